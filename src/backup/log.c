#include "backup/log.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>

#define FILE_BYTES (16u << 20)
#define TAKE_BYTES (64u << 20) /* at a time: the rest waits for the next file */

void change_log_init(struct change_log *l, struct env *env, struct depot *depot, struct changes *changes,
                     const struct cluster_id *cluster, uint32_t every_ms)
{
    *l = (struct change_log){.env = env, .depot = depot, .cluster = *cluster, .changes = changes};
    l->every_ns = every_ms * NS_PER_MS;
    buf_init(&l->rows, BACKUP_FILE_BYTES_MAX / 2);
}

void change_log_free(struct change_log *l)
{
    buf_free(&l->rows);
}

static void on_written(void *ctx, enum status s, const char *text, struct buf *bytes)
{
    struct change_log *l = ctx;
    (void)bytes;
    l->writing = false;
    if (s != STATUS_OK) {
        l->status = s;
        (void)snprintf(l->text, sizeof l->text, "%s", text);
    } else {
        if (l->name[0] != '\0' && strcmp(l->name, l->next_name) != 0) depot_remove(l->depot, l->name);
        memcpy(l->name, l->next_name, sizeof l->name);
        l->written = l->to;
        if (l->rows.size >= FILE_BYTES) {
            l->from = l->to;
            l->name[0] = '\0';
            buf_clear(&l->rows);
        }
    }
    l->env->ops->wake(l->env);
}

static void write_file(struct change_log *l, uint64_t upto)
{
    struct backup_changes head = {.cluster = l->cluster, .from = l->from, .to = upto};
    size_t count;
    const struct backup_keyspace *keyspaces = changes_keyspaces(l->changes, &count);
    size_t had = l->rows.size;
    changes_take(l->changes, upto, &l->rows);
    l->bytes += l->rows.size - had;
    head.keyspaces = mem_dup(keyspaces, count * sizeof *keyspaces);
    head.keyspace_count = count;
    struct buf file;
    buf_init(&file, BACKUP_FILE_BYTES_MAX);
    backup_file_begin(&file, BACKUP_CHANGES);
    backup_changes_put(&file, &head);
    mem_free(head.keyspaces);
    buf_append_slice(&file, buf_slice(&l->rows));
    backup_changes_name(l->next_name, l->from, upto);
    backup_file_end(&file, l->next_name);
    ASSERT(!l->rows.overflow && !file.overflow);
    l->to = upto;
    l->writing = true;
    depot_write(l->depot, l->next_name, &file, on_written, l);
}

uint64_t change_log_pass(struct change_log *l, uint64_t now_ns)
{
    const char *text;
    enum status s = changes_status(l->changes, &text);
    if (s != STATUS_OK && l->status == STATUS_OK) {
        l->status = s;
        (void)snprintf(l->text, sizeof l->text, "%s", text);
    }
    if (l->status != STATUS_OK || l->writing || changes_listed(l->changes) == 0) return DEADLINE_NONE;
    if (l->from == 0) {
        l->from = l->written = changes_from(l->changes);
        l->next_ns = now_ns + l->every_ns;
    }
    uint64_t resolved = changes_resolved(l->changes);
    bool due = now_ns >= l->next_ns || changes_bytes(l->changes) + l->rows.size >= FILE_BYTES ||
               (l->goal > l->written && resolved >= l->goal);
    if (resolved <= l->written) return DEADLINE_NONE;
    if (!due) return l->next_ns;
    l->next_ns = now_ns + l->every_ns;
    write_file(l, changes_upto(l->changes, l->written, TAKE_BYTES));
    return l->next_ns;
}
