#include "base/mem.h"
#include "base/mutant.h"
#include "lsm/lsm_int.h"

struct lsm_ingest *lsm_ingest_new(struct lsm *l, struct slice start, struct slice end)
{
    struct lsm_ingest *g = mem_zalloc(sizeof(*g));
    g->l = l;
    list_init(&g->link);
    g->start = mem_dup_slice(start);
    g->end = mem_dup_slice(end);
    output_init(&g->out, l->env->disk, l->dir, &l->options, 0, lsm_reserve(l, OUTPUT_TABLES_MAX), lsm_salt(l));
    l->ingests++;
    return g;
}

void ingest_free(struct lsm_ingest *g)
{
    g->l->ingests--;
    lsm_output_release(g->l, &g->out);
    keybuf_free(&g->last);
    mem_free((void *)(uintptr_t)g->start.data);
    mem_free((void *)(uintptr_t)g->end.data);
    mem_free(g);
}

void lsm_ingest_abort(struct lsm_ingest *g)
{
    if (g == NULL) return;
    ASSERT(list_empty(&g->link)); /* not handed to lsm_ingest_install */
    ingest_free(g);
}

/* Rows come from another machine: what is out of order or out of range is refused, not believed. */
static bool acceptable(const struct lsm_ingest *g, const struct lsm_write *row)
{
    if (row->key.size == 0 || row->key.size > LSM_KEY_MAX || row->value.size > LSM_VALUE_MAX) return false;
    if (slice_cmp(row->key, g->start) < 0 || (g->end.size > 0 && slice_cmp(row->key, g->end) >= 0)) return false;
    return g->rows == 0 || row_cmp(keybuf_slice(&g->last), g->last_ts, row->key, row->ts) < 0;
}

enum status lsm_ingest_add(struct lsm_ingest *g, const struct lsm_write *row)
{
    ASSERT(!g->finished);
    if (g->failed != STATUS_OK) return g->failed;
    if (!acceptable(g, row)) {
        g->failed = STATUS_INVALID;
    } else {
        keybuf_set(&g->last, 0, row->key.data, row->key.size);
        g->last_ts = row->ts;
        g->rows++;
        g->failed = output_add(&g->out, row);
    }
    return g->failed;
}

enum status lsm_ingest_finish(struct lsm_ingest *g)
{
    ASSERT(!g->finished);
    if (g->failed == STATUS_OK) g->failed = output_finish(&g->out);
    g->finished = g->failed == STATUS_OK;
    return g->failed;
}

/* The memtables that know of the range or of the group are flushed as they are before the excise: until its edit is
 * durable, a crash finds the old state whole, and after it nothing of the old rows can come back. */
static bool concerns(const struct memtable *m, const struct lsm_ingest *g)
{
    if (MUTANT(install_leaves_memtable)) return false;
    if (map_get(&m->applied, g->applied.group) != NULL || m->erases.count > 0) return true;
    struct memtable_cursor c;
    memtable_seek(m, g->start, LSM_TS_MAX, &c);
    if (!memtable_cursor_valid(&c)) return false;
    struct lsm_write row;
    memtable_row(&c, &row);
    return g->end.size == 0 || slice_cmp(row.key, g->end) < 0;
}

static void install(struct lsm_ingest *g, void (*done)(void *ctx, enum status s), void *ctx)
{
    struct lsm *l = g->l;
    ASSERT(g->finished);
    ASSERT(list_empty(&g->link));
    g->done = done;
    g->ctx = ctx;
    lsm_settle(l);
    recent_clear(&l->recent);
    for (size_t i = 0; i < l->frozen_count; i++) {
        if (concerns(l->frozen[i], g)) g->after_seq = l->frozen[i]->seq;
    }
    if (concerns(l->active, g)) {
        g->after_seq = l->active->seq;
        lsm_freeze(l);
    }
    list_push_back(&l->installs, &g->link);
    l->env->ops->wake(l->env);
}

void lsm_ingest_install(struct lsm_ingest *g, uint64_t group, uint64_t index, uint64_t term,
                        void (*done)(void *ctx, enum status s), void *ctx)
{
    ASSERT(group != 0);
    g->applied = (struct applied){.group = group, .index = index, .term = term};
    install(g, done, ctx);
}

void lsm_excise(struct lsm *l, struct slice start, struct slice end, void (*done)(void *ctx, enum status s), void *ctx)
{
    struct lsm_ingest *g = lsm_ingest_new(l, start, end);
    g->finished = true;
    install(g, done, ctx);
}

void lsm_drop_group(struct lsm *l, uint64_t group, struct slice start, struct slice end,
                    void (*done)(void *ctx, enum status s), void *ctx)
{
    ASSERT(group != 0);
    struct lsm_ingest *g = lsm_ingest_new(l, start, end);
    g->applied = (struct applied){.group = group, .forgotten = true};
    g->finished = true;
    install(g, done, ctx);
}

bool ingest_ready(const struct lsm_ingest *g)
{
    return g->l->frozen_count == 0 || g->l->frozen[0]->seq > g->after_seq;
}

/* As deep as the data belongs by its amount, and no higher than what is there: then most of it need not move again. */
static uint32_t ingest_level(const struct lsm *l, uint64_t bytes)
{
    uint32_t level = 1;
    for (size_t i = 0; i < l->version->file_count; i++) {
        const struct lsm_file *f = l->version->files[i];
        if (f->level == LSM_DAMAGED) continue;
        bytes += f->bytes;
        if (f->level > level) level = f->level;
    }
    uint64_t target = pick_base_bytes(l->options.memtable_bytes);
    for (uint32_t i = 1; i < level; i++) target *= PICK_RATIO;
    while (level + 1 < LSM_LEVELS && bytes > target) {
        level++;
        target *= PICK_RATIO;
    }
    return level;
}

void ingest_edit(struct lsm_ingest *g, struct edit *e, uint64_t *ids)
{
    struct lsm *l = g->l;
    edit_excise(e, l->version, g->start, g->end, ids);
    lsm_output_to_edit(l, &g->out, ids, ingest_level(l, g->out.bytes), 0, e);
    if (g->applied.group != 0) edit_applied(e, &g->applied);
}
