#include "cli/local.h"

#include <stdio.h>

#include "base/assert.h"

static const char CONF_HEAD[] = "quorate-local-cluster 1\n";
static const char STATE_HEAD[] = "quorate-supervisor 1\n";

static void process_set(struct local_process *p, enum local_role role, const char *word, unsigned number, unsigned port)
{
    p->role = role;
    p->number = number;
    if (number > 0)
        snprintf(p->name, sizeof(p->name), "%s-%u", word, number);
    else
        snprintf(p->name, sizeof(p->name), "%s", word);
    snprintf(p->address, sizeof(p->address), "127.0.0.1:%u", port);
}

void local_set(struct local_cluster *c, const char *dir, unsigned base_port, unsigned nodes)
{
    ASSERT(nodes > 0 && nodes <= LOCAL_NODES_MAX);
    memset(c, 0, sizeof(*c));
    snprintf(c->dir, sizeof(c->dir), "%s", dir);
    c->base_port = base_port;
    struct local_process *p = c->processes;
    for (unsigned i = 1; i <= LOCAL_META; i++) process_set(p++, LOCAL_ROLE_META, "meta", i, base_port + i);
    process_set(p++, LOCAL_ROLE_GATEWAY, "gateway", 0, base_port + 80);
    for (unsigned i = 1; i <= nodes; i++) process_set(p++, LOCAL_ROLE_NODE, "node", i, base_port + 10 + i);
    c->nodes = nodes;
    c->process_count = (unsigned)(p - c->processes);
}

void local_default(struct local_cluster *c, const char *dir)
{
    local_set(c, dir, LOCAL_BASE_PORT, LOCAL_NODES);
}

const struct local_process *local_gateway(const struct local_cluster *c)
{
    return &c->processes[LOCAL_META];
}

void local_path(const struct local_cluster *c, const char *name, char path[LOCAL_PATH_MAX])
{
    snprintf(path, LOCAL_PATH_MAX, "%.900s/%s", c->dir, name);
}

void local_log_path(const struct local_cluster *c, const char *name, char path[LOCAL_PATH_MAX])
{
    snprintf(path, LOCAL_PATH_MAX, "%.900s/log/%s.log", c->dir, name);
}

static void hold_path(const struct local_cluster *c, const char *name, char path[LOCAL_PATH_MAX])
{
    snprintf(path, LOCAL_PATH_MAX, "%.900s/hold/%s", c->dir, name);
}

/* The whole file as NUL-terminated text; false when it cannot be read. */
static enum status read_text(const char *path, char *text, size_t size, struct errbuf *err)
{
    struct buf b;
    buf_init(&b, size - 1);
    enum status s = process_file_read(path, &b, err);
    if (s == STATUS_OK) {
        if (b.size > 0) memcpy(text, b.data, b.size);
        text[b.size] = '\0';
    }
    buf_free(&b);
    return s;
}

enum status local_load(struct local_cluster *c, const char *dir, struct errbuf *err)
{
    char path[LOCAL_PATH_MAX], text[256];
    unsigned base_port = 0, nodes = LOCAL_NODES;
    local_default(c, dir);
    local_path(c, "cluster.conf", path);
    enum status s = read_text(path, text, sizeof(text), err);
    if (s != STATUS_OK) return s;
    size_t head = sizeof(CONF_HEAD) - 1;
    bool fine =
        strncmp(text, CONF_HEAD, head) == 0 && sscanf(text + head, "base_port %u nodes %u", &base_port, &nodes) >= 1;
    if (!fine || base_port == 0 || base_port > 65000 || nodes == 0 || nodes > LOCAL_NODES_MAX) {
        errbuf_set(err,
                   "%s is not the description of a local cluster of this version; name another directory with --dir",
                   path);
        return STATUS_CORRUPT;
    }
    local_set(c, dir, base_port, nodes);
    return STATUS_OK;
}

enum status local_save(const struct local_cluster *c, struct errbuf *err)
{
    char path[LOCAL_PATH_MAX], text[256];
    snprintf(text, sizeof(text), "%sbase_port %u\nnodes %u\n", CONF_HEAD, c->base_port, c->nodes);
    local_path(c, "cluster.conf", path);
    return process_file_write(path, slice_str(text), err);
}

void local_meta_addresses(const struct local_cluster *c, char *text, size_t size)
{
    snprintf(text, size, "%s,%s,%s", c->processes[0].address, c->processes[1].address, c->processes[2].address);
}

const struct local_process *local_find(const struct local_cluster *c, const char *name)
{
    for (unsigned i = 0; i < c->process_count; i++) {
        if (strcmp(c->processes[i].name, name) == 0) return &c->processes[i];
    }
    return NULL;
}

const struct local_process *local_by_address(const struct local_cluster *c, struct slice address)
{
    for (unsigned i = 0; i < c->process_count; i++) {
        if (slice_eq(address, slice_str(c->processes[i].address))) return &c->processes[i];
    }
    return NULL;
}

const char *local_state_name(enum local_state s)
{
    static const char *const names[] = {
#define LOCAL_STATE_NAME(name, word) word,
        LOCAL_STATE_MAP(LOCAL_STATE_NAME)
#undef LOCAL_STATE_NAME
    };
    ASSERT(s < LOCAL_STATE_COUNT);
    return names[s];
}

enum status local_status_save(const struct local_cluster *c, const struct local_status *s, struct errbuf *err)
{
    char path[LOCAL_PATH_MAX], id[PROCESS_ID_TEXT_MAX];
    struct buf b;
    buf_init(&b, 8192);
    process_id_format(&s->supervisor, id);
    buf_printf(&b, "%ssupervisor %s\n", STATE_HEAD, id);
    for (unsigned i = 0; i < c->process_count; i++) {
        const struct local_child *child = &s->children[i];
        process_id_format(&child->id, id);
        buf_printf(&b, "%s %s %llu %u %d %s\n", c->processes[i].name, local_state_name(child->state),
                   (unsigned long long)child->since_ms, child->starts, child->exit_code, id);
    }
    local_path(c, "supervisor.state", path);
    enum status status = process_file_write(path, buf_slice(&b), err);
    buf_free(&b);
    return status;
}

static bool child_parse(const char *line, size_t size, const struct local_cluster *c, struct local_status *out)
{
    char name[16], word[16], text[256];
    unsigned long long since;
    struct local_child child;
    int used = 0;
    if (size >= sizeof(text)) return false;
    memcpy(text, line, size);
    text[size] = '\0';
    if (sscanf(text, "%15s %15s %llu %u %d %n", name, word, &since, &child.starts, &child.exit_code, &used) != 5 ||
        used == 0)
        return false;
    const struct local_process *p = local_find(c, name);
    if (p == NULL) return false;
    memset(&child.id, 0, sizeof(child.id)); /* held since the supervisor began: there has been no process */
    bool none = strncmp(text + used, "0 ", 2) == 0;
    if (!none && !process_id_parse(slice_str(text + used), &child.id)) return false;
    child.since_ms = since;
    for (int s = 0; s < LOCAL_STATE_COUNT; s++) {
        if (strcmp(word, local_state_name((enum local_state)s)) != 0) continue;
        child.state = (enum local_state)s;
        out->children[p - c->processes] = child;
        return true;
    }
    return false;
}

enum status local_status_load(const struct local_cluster *c, struct local_status *out, struct errbuf *err)
{
    char path[LOCAL_PATH_MAX], text[8192];
    memset(out, 0, sizeof(*out));
    local_path(c, "supervisor.state", path);
    enum status s = read_text(path, text, sizeof(text), err);
    if (s == STATUS_NOT_FOUND) return STATUS_OK; /* never started */
    if (s != STATUS_OK) return s;
    const char *line = text;
    bool fine = strncmp(text, STATE_HEAD, sizeof(STATE_HEAD) - 1) == 0;
    for (unsigned n = 0; fine && *line != '\0'; n++) {
        size_t size = strcspn(line, "\n");
        if (n == 1)
            fine = strncmp(line, "supervisor ", 11) == 0 &&
                   process_id_parse(slice_make(line + 11, size - 11), &out->supervisor);
        if (n > 1) fine = child_parse(line, size, c, out);
        line += line[size] == '\n' ? size + 1 : size;
    }
    if (!fine) {
        errbuf_set(err, "%s cannot be understood; stop the cluster's processes by hand and remove that file", path);
        return STATUS_CORRUPT;
    }
    out->supervised = process_alive(&out->supervisor);
    return STATUS_OK;
}

bool local_held(const struct local_cluster *c, const struct local_process *p)
{
    char path[LOCAL_PATH_MAX], text[64];
    hold_path(c, p->name, path);
    return read_text(path, text, sizeof(text), NULL) == STATUS_OK;
}

enum status local_kill(const struct local_cluster *c, const struct local_process *p, struct errbuf *err)
{
    char path[LOCAL_PATH_MAX];
    struct local_status status;
    enum status s = local_status_load(c, &status, err);
    if (s != STATUS_OK) return s;
    if (!status.supervised) {
        errbuf_set(err, "the cluster in %s is not running; `quorate cluster start` starts it", c->dir);
        return STATUS_UNAVAILABLE;
    }
    hold_path(c, p->name, path); /* first the hold: it must not be started again in between */
    s = process_file_write(path, slice_str("held down by `quorate cluster kill`\n"), err);
    if (s != STATUS_OK) return s;
    s = process_kill(&status.children[p - c->processes].id, SIGNAL_KILL, err);
    return s == STATUS_NOT_FOUND ? STATUS_OK : s; /* it was down already */
}

enum status local_release(const struct local_cluster *c, const struct local_process *p, struct errbuf *err)
{
    char path[LOCAL_PATH_MAX];
    hold_path(c, p->name, path);
    enum status s = process_file_remove(path);
    if (s == STATUS_OK || s == STATUS_NOT_FOUND) return STATUS_OK;
    errbuf_set(err, "%s cannot be removed: %s", path, status_text(s));
    return s;
}
