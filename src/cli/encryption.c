#include "cli/encryption.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "env_posix/process.h"

#define LOOK_NS (5000 * NS_PER_MS)
#define COMMAND_LOOK_NS (300000 * NS_PER_MS)
#define KEYS_TEXT_MAX 65536u

static bool add_line(void *ctx, struct slice line)
{
    struct buf *text = ctx;
    buf_append_slice(text, line);
    buf_append_byte(text, '\n');
    return true;
}

enum status encryption_keys_read(const char *source, struct vault_keys *out, struct errbuf *err)
{
    struct buf text;
    struct errbuf why = {.text = ""};
    const char *const argv[] = {"sh", "-c", source + 1, NULL};
    buf_init(&text, KEYS_TEXT_MAX);
    enum status s =
        source[0] == '|' ? process_read_lines(argv, add_line, &text, &why) : process_file_read(source, &text, &why);
    if (s == STATUS_OK) s = vault_keys_parse(buf_slice(&text), out, &why);
    if (s != STATUS_OK) errbuf_set(err, "--encryption-keys %s: %s", source, why.text);
    if (text.size > 0) memset(text.data, 0, text.size);
    buf_free(&text);
    return s;
}

enum status encryption_begin(struct encryption *e, struct env *env, const char *source, bool strict, struct errbuf *err)
{
    *e = (struct encryption){.env = env, .below = env->disk, .source = source};
    enum status s = source == NULL ? STATUS_OK : encryption_keys_read(source, &e->keys, err);
    if (s == STATUS_OK && source != NULL) e->vault = vault_new(env->disk, &e->keys, env->log);
    if (s == STATUS_OK && strict) s = vault_check(e->vault, e->below, err);
    e->rotating = e->keys.count > 1; /* perhaps it had not come to its end */
    if (s != STATUS_OK)
        encryption_end(e);
    else if (e->vault != NULL)
        env->disk = vault_disk(e->vault);
    return s;
}

void encryption_end(struct encryption *e)
{
    if (e->env != NULL) e->env->disk = e->below;
    vault_free(e->vault);
    e->vault = NULL;
    vault_keys_wipe(&e->keys);
    vault_keys_wipe(&e->next);
}

/* --- keys that change --- */

static void rewrap(struct task *t)
{
    struct encryption *e = LIST_ENTRY(t, struct encryption, task);
    e->status = vault_rewrap(e->vault, &e->changed, &e->why);
}

static void rewrapped(struct task *t)
{
    struct encryption *e = LIST_ENTRY(t, struct encryption, task);
    char id[VAULT_ID_TEXT];
    e->busy = false;
    if (t->cancelled) return;
    vault_id_text(e->keys.keys[e->keys.count - 1].id, id);
    if (e->status != STATUS_OK)
        log_event(e->env->log, LOG_WARN, "vault.not_rotated", "key=%s why=\"%s\"", id, e->why.text);
    else if (e->changed > 0)
        log_event(e->env->log, LOG_INFO, "vault.rotating", "key=%s files=%u", id, e->changed);
    else
        log_event(e->env->log, LOG_INFO, "vault.rotated", "key=%s others=\"no longer needed\"", id);
    e->rotating =
        e->status != STATUS_OK || e->changed > 0; /* a file may have been made under the former key meanwhile */
}

static void submit(struct encryption *e, void (*execute)(struct task *t), void (*complete)(struct task *t))
{
    e->busy = true;
    e->why.text[0] = '\0';
    e->task = (struct task){.execute = execute, .complete = complete};
    exec_submit(e->env->exec, LANE_BACKGROUND, &e->task);
}

static void read_keys(struct task *t)
{
    struct encryption *e = LIST_ENTRY(t, struct encryption, task);
    e->status = encryption_keys_read(e->source, &e->next, &e->why);
}

static void keys_were_read(struct task *t)
{
    struct encryption *e = LIST_ENTRY(t, struct encryption, task);
    e->busy = false;
    if (t->cancelled) return;
    if (e->status != STATUS_OK) { /* the former ones stay in use */
        log_event(e->env->log, LOG_WARN, "vault.keys_not_read", "why=\"%s\"", e->why.text);
        return;
    }
    if (memcmp(&e->next, &e->keys, sizeof(e->keys)) != 0) {
        log_event(e->env->log, LOG_INFO, "vault.keys_changed", "keys=%zu", e->next.count);
        e->keys = e->next;
        vault_use(e->vault, &e->keys);
        e->rotating = true;
    }
    if (e->rotating) submit(e, rewrap, rewrapped);
}

uint64_t encryption_pass(struct encryption *e, uint64_t now_ns)
{
    if (e->vault == NULL) return DEADLINE_NONE;
    if (now_ns < e->next_ns) return e->next_ns;
    e->next_ns = now_ns + (e->source[0] == '|' && !e->rotating ? COMMAND_LOOK_NS : LOOK_NS);
    if (!e->busy) submit(e, read_keys, keys_were_read);
    return e->next_ns;
}
