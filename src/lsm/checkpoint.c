#include "base/mem.h"
#include "lsm/lsm_int.h"

struct checkpoint {
    struct list link;
    char *dir;
    uint64_t after_seq; /* memtables up to here are flushed first */
    void (*done)(void *ctx, enum status s);
    void *ctx;
};

void lsm_checkpoint(struct lsm *l, const char *dir, void (*done)(void *ctx, enum status s), void *ctx)
{
    if (!memtable_empty(l->active)) lsm_freeze(l);
    struct checkpoint *c = mem_zalloc(sizeof(*c));
    c->dir = mem_strdup(dir);
    c->after_seq = l->memtable_seq - 1;
    c->done = done;
    c->ctx = ctx;
    list_push_back(&l->checkpoints, &c->link);
    l->env->ops->wake(l->env);
}

struct checkpoint *checkpoint_ready(const struct lsm *l)
{
    if (list_empty(&l->checkpoints)) return NULL;
    struct checkpoint *c = LIST_ENTRY(l->checkpoints.next, struct checkpoint, link);
    return l->frozen_count == 0 || l->frozen[0]->seq > c->after_seq ? c : NULL;
}

static void checkpoint_free(struct checkpoint *c)
{
    list_remove(&c->link);
    mem_free(c->dir);
    mem_free(c);
}

void checkpoint_drop_first(struct lsm *l)
{
    checkpoint_free(LIST_ENTRY(l->checkpoints.next, struct checkpoint, link));
}

void checkpoint_finish(struct checkpoint *c, enum status s)
{
    void (*done)(void *, enum status) = c->done;
    void *ctx = c->ctx;
    checkpoint_free(c);
    done(ctx, s);
}

/* Two files may share a table: its second link is there already. One that is damaged may be missing. */
static enum status link_tables(struct disk *d, const char *from_dir, const char *to_dir, const struct version *v)
{
    enum status s = STATUS_OK;
    for (size_t i = 0; s == STATUS_OK && i < v->file_count; i++) {
        char from[TABLE_PATH_MAX], to[TABLE_PATH_MAX];
        table_path(from, from_dir, v->files[i]->table->id.number);
        table_path(to, to_dir, v->files[i]->table->id.number);
        s = disk_link(d, from, to);
        if (s == STATUS_EXISTS && i > 0) s = STATUS_OK;
        if (s == STATUS_NOT_FOUND && v->files[i]->level == LSM_DAMAGED) s = STATUS_OK;
    }
    return s;
}

static void remove_links(struct disk *d, const char *dir, const struct version *v)
{
    for (size_t i = 0; i < v->file_count; i++) {
        char path[TABLE_PATH_MAX];
        table_path(path, dir, v->files[i]->table->id.number);
        if (disk_remove(d, path) != STATUS_OK) COVER("lsm.checkpoint_link_left");
    }
}

/* On a worker. The manifest comes last: a folder without it is no store. */
enum status checkpoint_run(struct checkpoint *c, const struct lsm *l, const struct version *v, struct slice whole)
{
    struct disk *d = l->env->disk;
    struct manifest m = {.disk = d, .dir = c->dir, .rewrite = true};
    char parent[TABLE_PATH_MAX];
    lsm_parent_of(c->dir, parent);
    enum status s = disk_mkdir(d, c->dir);
    if (s == STATUS_OK) s = link_tables(d, l->dir, c->dir, v);
    if (s == STATUS_OK) s = disk_sync_dir(d, c->dir);
    if (s == STATUS_OK) s = manifest_commit(&m, whole, SLICE_EMPTY);
    if (s == STATUS_OK) s = disk_sync_dir(d, parent);
    if (s != STATUS_OK && s != STATUS_EXISTS && m.file == NULL) remove_links(d, c->dir, v);
    manifest_close(&m);
    return s;
}
