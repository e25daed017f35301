/* Opening and closing. Whatever is found that the manifest does not name goes, once a new manifest stands. */
#include "lsm/lsm.h"

#include "base/mem.h"
#include "lsm/lsm_int.h"

#include <stdio.h>

#define DRAIN_FIRST 50000u /* 20 MiB/s */

void lsm_parent_of(const char *path, char parent[TABLE_PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t size = slash != NULL ? (size_t)(slash - path) : 0;
    ASSERT(size < TABLE_PATH_MAX);
    memcpy(parent, path, size);
    parent[size] = 0;
}

struct listing {
    struct lsm *l;
    struct map named; /* table number -> anything: what the manifest names */
    bool any_table;
};

static void list_table(void *ctx, const char *name)
{
    struct listing *ls = ctx;
    uint64_t number;
    if (!table_path_parse(name, &number)) return;
    ls->any_table = true;
    if (map_get(&ls->named, number) == NULL) lsm_bury(ls->l, NULL, number);
}

/* A table that is damaged where its rows cannot be found without it, or is missing, costs the store its rows alone: nothing
 * within the bounds that the manifest has for it is answered until rows from elsewhere are installed there. */
static struct table *table_of(struct lsm *l, struct map *tables, const struct manifest_file *f, enum status *s,
                              struct errbuf *err)
{
    struct table *t = map_get(tables, f->table.number);
    if (t != NULL) {
        t->refs++;
        return t;
    }
    bool unreadable = false;
    *s = f->level == LSM_DAMAGED ? STATUS_CORRUPT : table_open(l->env->disk, l->dir, &f->table, &t, &unreadable, err);
    if (*s == STATUS_CORRUPT) {
        if (f->level != LSM_DAMAGED) {
            COVER("lsm.table_unopened");
            log_event(l->env->log, LOG_ERROR, unreadable ? "lsm.unreadable" : "lsm.corrupt", "%s", err->text);
            l->quarantined++;
        }
        t = table_unopened(&f->table);
        *s = STATUS_OK;
    }
    if (*s != STATUS_OK) return NULL;
    t->refs = 1;
    map_put(tables, f->table.number, t);
    return t;
}

static enum status open_files(struct lsm *l, const struct manifest_state *state, struct map *tables, struct errbuf *err)
{
    struct lsm_file **files = mem_alloc((state->files.count + 1) * sizeof(*files));
    size_t count = 0;
    enum status s = STATUS_OK;
    uint64_t id;
    void *value;
    for (size_t it = 0; s == STATUS_OK && map_next(&state->files, &it, &id, &value);) {
        const struct manifest_file *f = value;
        struct table *t = table_of(l, tables, f, &s, err);
        if (t == NULL) break;
        bool lost = t->quarantined; /* nothing else is known of it yet */
        files[count++] = lsm_file_new(l, id, t, lost ? LSM_DAMAGED : f->level, lost ? 0 : f->run, f->lower, f->upper);
    }
    if (s == STATUS_OK) {
        l->version = version_new(files, count);
        version_add_erases(l->version, &state->erases);
    } else {
        for (size_t i = 0; i < count; i++) lsm_file_unref(files[i]);
    }
    mem_free(files);
    return s;
}

static void take_state(struct lsm *l, const struct manifest_state *state)
{
    l->next = state->next;
    l->safepoint = state->safepoint;
    uint64_t group;
    void *a;
    for (size_t it = 0; map_next(&state->applied, &it, &group, &a);) lsm_note_applied(l, a);
}

static void remove_buried(struct lsm *l)
{
    for (size_t i = 0; i < l->grave_count; i++) {
        char path[TABLE_PATH_MAX];
        table_path(path, l->dir, l->graves[i].number);
        table_free(l->graves[i].table);
        enum status s = disk_remove(l->env->disk, path);
        if (s != STATUS_OK)
            log_event(l->env->log, LOG_WARN, "lsm.remove_failed", "file=%s status=%s", path, status_name(s));
    }
    l->grave_count = 0;
}

/* A new manifest stands before anything is removed. Without space for it the old one, which was synced, stays in use. */
static enum status begin_manifest(struct lsm *l, struct errbuf *err)
{
    struct buf whole;
    buf_init(&whole, SIZE_MAX / 2);
    lsm_encode_whole(l, &whole);
    enum status s = manifest_commit(&l->manifest, buf_slice(&whole), SLICE_EMPTY);
    buf_free(&whole);
    if (s == STATUS_NO_SPACE && l->manifest.file != NULL) return STATUS_OK;
    if (s != STATUS_OK) errbuf_set(err, "%s: writing a new manifest failed: %s", l->dir, status_text(s));
    return s;
}

enum status lsm_note_group(struct lsm *l, uint64_t group, struct errbuf *err)
{
    ASSERT(l->job == NULL);
    ASSERT(map_get(&l->applied, group) == NULL);
    lsm_note_applied(l, &(struct applied){.group = group});
    l->manifest.rewrite = true;
    return begin_manifest(l, err);
}

static enum status recover(struct lsm *l, struct manifest_state *state, struct map *tables, struct errbuf *err)
{
    struct disk *d = l->env->disk;
    char parent[TABLE_PATH_MAX];
    lsm_parent_of(l->dir, parent);
    enum status s = disk_mkdir(d, l->dir);
    if (s == STATUS_OK) s = disk_sync_dir(d, parent);
    if (s != STATUS_OK) {
        errbuf_set(err, "%s: the folder cannot be made: %s", l->dir, status_text(s));
        return s;
    }
    s = manifest_open(&l->manifest, d, l->dir, state, err);
    bool fresh = s == STATUS_NOT_FOUND;
    if (s != STATUS_OK && !fresh) return s;
    struct listing ls = {.l = l};
    map_init(&ls.named);
    uint64_t id;
    void *value;
    for (size_t it = 0; map_next(&state->files, &it, &id, &value);) {
        struct manifest_file *f = value;
        map_put(&ls.named, f->table.number, f);
    }
    s = disk_list(d, l->dir, list_table, &ls);
    map_free(&ls.named);
    if (s != STATUS_OK) {
        errbuf_set(err, "%s: the folder cannot be listed: %s", l->dir, status_text(s));
        return s;
    }
    if (fresh && ls.any_table) {
        errbuf_set(err, "%s: there are tables but no MANIFEST; rebuild this replica", l->dir);
        return STATUS_CORRUPT;
    }
    take_state(l, state);
    s = open_files(l, state, tables, err);
    if (s == STATUS_OK) s = begin_manifest(l, err);
    return s;
}

static void lsm_release(struct lsm *l)
{
    l->closing = true;
    memtable_unref(l->active);
    passing_free(&l->passing);
    recent_free(&l->recent);
    for (size_t i = 0; i < l->frozen_count; i++) memtable_unref(l->frozen[i]);
    arena_pages_free(&l->pages);
    mem_free(l->frozen);
    version_unref(l->version);
    for (size_t i = 0; i < l->grave_count; i++) table_free(l->graves[i].table);
    mem_free(l->graves);
    uint64_t group;
    void *a;
    for (size_t it = 0; map_next(&l->applied, &it, &group, &a);) mem_free(a);
    map_free(&l->applied);
    manifest_close(&l->manifest);
    cache_free(&l->cache);
    pick_cursors_free(&l->cursors);
    lsm_iter_spare_free(l);
    boundaries_unref(l->boundaries);
    horizons_unref(l->horizons);
    mem_free(l->dir);
    mem_free(l);
}

enum status lsm_open(struct env *env, const struct lsm_options *options, struct lsm **out, struct errbuf *err)
{
    ASSERT(options->block_bytes >= 64);
    ASSERT(options->file_bytes >= 1);
    struct lsm *l = mem_zalloc(sizeof(*l));
    l->env = env;
    l->options = *options;
    l->drain_ns_per_kib = DRAIN_FIRST;
    l->options.dir = l->dir = mem_strdup(options->dir);
    map_init(&l->applied);
    list_init(&l->installs);
    list_init(&l->flush_waiters);
    list_init(&l->checkpoints);
    cache_init(&l->cache, options->cache_bytes, options->block_bytes + options->block_bytes / 32);
    passing_init(&l->passing);
    recent_init(&l->recent, options->recent_bytes);
    l->memtable_seq = 1;
    l->active = lsm_memtable_new(l);
    struct manifest_state state;
    struct map tables;
    manifest_state_init(&state);
    map_init(&tables);
    l->closing = true; /* on failure, tables are closed and not removed */
    enum status s = recover(l, &state, &tables, err);
    l->closing = false;
    manifest_state_free(&state);
    map_free(&tables);
    if (s != STATUS_OK) {
        lsm_release(l);
        return s;
    }
    remove_buried(l);
    l->cache.floor = CACHE_FLOOR_LARGE + l->version->run_count;
    lsm_check(l);
    log_event(env->log, LOG_INFO, "lsm.opened", "dir=%s files=%zu groups=%zu", l->dir, l->version->file_count,
              l->applied.count);
    *out = l;
    return STATUS_OK;
}

bool lsm_busy(const struct lsm *l)
{
    return l->job != NULL || l->loads > 0;
}

void lsm_close(struct lsm *l)
{
    if (l == NULL) return;
    ASSERT(!lsm_busy(l));
    ASSERT(l->views == 0);
    l->closing = true;
    if (l->stuck != NULL) lsm_job_free(l->stuck);
    if (l->compaction != NULL) compaction_free(l, l->compaction);
    struct list *link;
    while ((link = list_pop_front(&l->installs)) != NULL) ingest_free(LIST_ENTRY(link, struct lsm_ingest, link));
    while ((link = list_pop_front(&l->flush_waiters)) != NULL) mem_free(LIST_ENTRY(link, struct flush_waiter, link));
    while (!list_empty(&l->checkpoints)) checkpoint_drop_first(l);
    ASSERT(l->ingests == 0);
    lsm_release(l);
}
