#include "base/mem.h"
#include "lsm/lsm_int.h"

/* One source per run of the pick; its files are grouped by run, newest run first, in the version's order. */
static size_t group_runs(struct compaction *c, bool init)
{
    size_t sources = 0;
    for (size_t i = 0; i < c->pick.count;) {
        const struct lsm_file *f = c->pick.files[i];
        size_t n = 1;
        while (i + n < c->pick.count && c->pick.files[i + n]->level == f->level && c->pick.files[i + n]->run == f->run)
            n++;
        if (init) {
            rowsource_init_run(&c->merge.sources[sources], &c->pick.files[i], n, false);
            c->merge.sources[sources].sequential = true;
        }
        sources++;
        i += n;
    }
    return sources;
}

/* Whatever is written from here on, by this compaction or later, leaves out what they hide. */
static void note_erases(struct lsm *l)
{
    for (size_t i = 0; i < l->version->erases.count; i++) {
        struct erase *e = &l->version->erases.items[i];
        if (e->clean == 0 && e->ts <= l->safepoint) e->clean = l->next;
    }
}

struct compaction *compaction_new(struct lsm *l, struct pick *p, uint32_t from_level)
{
    struct compaction *c = mem_zalloc(sizeof(*c));
    note_erases(l);
    c->pick = *p;
    c->from_level = from_level;
    for (size_t i = 0; i < p->count; i++) (void)lsm_file_ref(p->files[i]);
    c->version = version_ref(l->version);
    /* Runs of the output's own level are older than a new run of it. */
    gc_init(&c->gc, l->safepoint, c->version, p->new_run ? p->level - 1 : p->level, false);
    c->gc.expires = l->options.expires;
    c->gc.horizons = horizons_ref(l->horizons);
    uint32_t last = version_last_level(l->version);
    output_init(&c->out, l->env->disk, l->dir, &l->options, last > p->level ? last - p->level : 0,
                p->move ? 0 : lsm_reserve(l, OUTPUT_TABLES_MAX), lsm_salt(l));
    c->out.boundaries = boundaries_ref(l->boundaries);
    rowmerge_init(&c->merge, group_runs(c, false), false);
    (void)group_runs(c, true);
    log_event(l->env->log, LOG_DEBUG, "lsm.compact", "level=%u files=%zu move=%d", p->level, p->count, (int)p->move);
    return c;
}

void compaction_free(struct lsm *l, struct compaction *c)
{
    rowmerge_free(&c->merge);
    gc_free(&c->gc);
    lsm_output_release(l, &c->out);
    for (size_t i = 0; i < c->pick.count; i++) lsm_file_unref(c->pick.files[i]);
    pick_free(&c->pick);
    version_unref(c->version);
    mem_free(c);
}

/* Goes on until the step's budget is used up or all is written. */
enum status compaction_run(struct compaction *c, bool *finished, bool *reading)
{
    enum status s = STATUS_OK;
    if (!c->begun) {
        s = rowmerge_seek(&c->merge, SLICE_EMPTY, LSM_TS_MAX);
        c->begun = true;
    }
    struct lsm_write row;
    uint64_t budget = c->bytes_in + LSM_COMPACT_STEP_BYTES;
    while (s == STATUS_OK && c->bytes_in < budget) {
        s = rowmerge_next(&c->merge, &row);
        if (s != STATUS_OK) break;
        c->bytes_in += row.key.size + row.value.size + 8;
        if (!gc_keep(&c->gc, &row)) continue;
        s = output_add(&c->out, &row);
        if (s != STATUS_OK) return s;
    }
    if (s == STATUS_OK) return STATUS_OK;
    if (s == STATUS_END) {
        *finished = true;
        return output_finish(&c->out);
    }
    *reading = true;
    errbuf_set(&c->out.err, "reading block %u of table %llu failed: %s", c->merge.failed->miss.block,
               (unsigned long long)c->merge.failed->bad->table->id.number, status_text(s));
    return s;
}

void compaction_cancel_range(struct lsm *l, struct slice start, struct slice end)
{
    struct compaction *c = l->compaction;
    if (c == NULL) return;
    ASSERT(l->job == NULL);
    struct slice lower, upper;
    pick_bounds(&c->pick, &lower, &upper);
    bool overlaps = slice_cmp(upper, start) > 0 && (end.size == 0 || slice_cmp(lower, end) < 0);
    if (!overlaps) return;
    l->compaction = NULL;
    compaction_free(l, c);
}
