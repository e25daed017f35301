#include "lsm/lsm.h"

#include "base/mem.h"
#include "base/mutant.h"
#include "lsm/bloom.h"
#include "lsm/lsm_int.h"

void lsm_options_default(struct lsm_options *o)
{
    *o = (struct lsm_options){.dir = "store",
                              .memtable_bytes = 16u << 20,
                              .cache_bytes = 128u << 20,
                              .recent_bytes = 36u << 20,
                              .block_bytes = 4096,
                              .file_bytes = 32u << 20,
                              .compress = true,
                              .shape = LSM_LEVELED,
                              .scrub_ms = 14ull * 24 * 3600 * 1000};
}

/* --- references and numbers --- */

void lsm_bury(struct lsm *l, struct table *t, uint64_t number)
{
    if (l->grave_count == l->grave_capacity) {
        l->grave_capacity = l->grave_capacity > 0 ? l->grave_capacity * 2 : 8;
        l->graves = mem_realloc(l->graves, l->grave_capacity * sizeof(*l->graves));
    }
    l->graves[l->grave_count++] = (struct grave){.table = t, .number = number};
}

/* The version in force refers to every table that the manifest names: the last reference goes only with a table that the
 * manifest does not name (any more), or when the store closes. */
void lsm_table_unref(struct lsm *l, struct table *t)
{
    ASSERT(t->refs > 0);
    if (--t->refs > 0) return;
    cache_forget(&l->cache, t);
    if (l->closing) {
        table_free(t);
    } else {
        lsm_bury(l, t, t->id.number);
    }
}

uint64_t lsm_reserve(struct lsm *l, uint64_t count)
{
    uint64_t first = l->next;
    l->next += count;
    return first;
}

uint64_t lsm_salt(struct lsm *l)
{
    uint64_t salt;
    l->env->ops->random(l->env, &salt, sizeof(salt));
    return salt;
}

void lsm_note_applied(struct lsm *l, const struct applied *a)
{
    if (a->forgotten) {
        mem_free(map_remove(&l->applied, a->group));
        return;
    }
    struct applied *held = map_get(&l->applied, a->group);
    if (held == NULL) {
        held = mem_alloc(sizeof(*held));
        map_put(&l->applied, a->group, held);
    }
    *held = *a;
}

void lsm_encode_whole(const struct lsm *l, struct buf *payload)
{
    manifest_put_next(payload, l->next);
    manifest_put_safepoint(payload, l->safepoint);
    for (size_t i = 0; i < l->version->file_count; i++) manifest_put_add(payload, l->version->files[i]);
    manifest_put_erases(payload, &l->version->erases);
    uint64_t group;
    void *a;
    for (size_t it = 0; map_next(&l->applied, &it, &group, &a);) manifest_put_applied(payload, a);
}

void lsm_check(const struct lsm *l)
{
    ASSERT(!l->active->frozen);
    ASSERT(l->active->seq == l->memtable_seq);
    for (size_t i = 0; i < l->frozen_count; i++) {
        ASSERT(l->frozen[i]->frozen);
        ASSERT(l->frozen[i]->seq == l->memtable_seq - l->frozen_count + i);
    }
    if (l->job != NULL) ASSERT(l->stuck == NULL);
    version_check(l->version);
}

/* --- writing --- */

enum { WRITES_AHEAD = 8, WRITES_NEAR = 4 };

/* Of a write that comes soon: what it will touch is on its way to the processor. */
struct ahead {
    uint64_t hash;
    struct memtable_place place;
};

static void ahead_far(const struct lsm *l, struct ahead *a, const struct lsm_write *w)
{
    a->hash = bloom_hash(w->key);
    recent_soon(&l->recent, a->hash);
    memtable_soon(l->active, a->hash);
    memtable_place(l->active, w->key, w->ts, &a->place);
}

#define CHUNK_MIN 4096u
#define CHUNK_MAX ((size_t)1 << 20)
#define MEMTABLES_KEPT 3u

/* A large one lies in large pages, which go from one to the next. As many are kept as those fill that lsm_pressure lets pile up: to have a page of
 * the system, all zero, costs as much as to fill it. */
size_t lsm_memtable_pages(const struct lsm *l)
{
    return l->options.memtable_bytes / MEM_LARGE_BYTES + 1;
}

struct memtable *lsm_memtable_new(struct lsm *l)
{
    size_t chunk = l->options.memtable_bytes / 16;
    bool large = chunk >= CHUNK_MAX;
    if (chunk < CHUNK_MIN) chunk = CHUNK_MIN;
    if (large) l->pages.max = MEMTABLES_KEPT * lsm_memtable_pages(l);
    return memtable_new(large ? CHUNK_MAX : chunk, large ? &l->pages : NULL, l->memtable_seq);
}

void lsm_freeze(struct lsm *l)
{
    lsm_settle(l);
    if (l->frozen_count == l->frozen_capacity) {
        l->frozen_capacity = l->frozen_capacity > 0 ? l->frozen_capacity * 2 : 8;
        l->frozen = mem_realloc(l->frozen, l->frozen_capacity * sizeof(struct memtable *));
    }
    l->active->frozen = true;
    l->frozen[l->frozen_count++] = l->active;
    uint64_t now_ns = env_mono_ns(l->env);
    if (l->frozen_count == 1) {
        l->drain_since_ns = now_ns;
    } else { /* the oldest one has taken so long already: writers need not wait for its end to learn of it */
        uint64_t so_far = (now_ns - l->drain_since_ns) / (memtable_bytes(l->frozen[0]) / 1024 + 1);
        if (so_far > l->drain_ns_per_kib) l->drain_ns_per_kib = so_far;
    }
    l->memtable_seq++;
    l->active = lsm_memtable_new(l);
}

void lsm_apply(struct lsm *l, uint64_t group, uint64_t index, uint64_t term, const struct lsm_write *writes,
               size_t count)
{
    struct ahead ring[WRITES_AHEAD];
    for (size_t i = 0, seen = 0, near = 0; i < count; i++) {
        for (; seen < count && seen < i + WRITES_AHEAD; seen++) ahead_far(l, &ring[seen % WRITES_AHEAD], &writes[seen]);
        for (; near < count && near < i + WRITES_NEAR; near++)
            (void)recent_next(&l->recent, ring[near % WRITES_AHEAD].hash);
        const struct ahead *a = &ring[i % WRITES_AHEAD];
        memtable_put(l->active, &writes[i], a->hash, &a->place);
        recent_take(&l->recent, &writes[i], a->hash);
    }
    const struct applied a = {.group = group, .index = index, .term = term};
    memtable_set_applied(l->active, &a);
    if (memtable_bytes(l->active) + l->passing.bytes >= l->options.memtable_bytes) lsm_freeze(l);
}

struct place lsm_apply_passing_new(struct lsm *l, const struct lsm_write *w)
{
    return passing_add(&l->passing, w);
}

void lsm_apply_passing(struct lsm *l, const struct lsm_write *w, struct place place)
{
    if (!passing_take(&l->passing, w, place)) memtable_put(l->active, w, bloom_hash(w->key), NULL);
}

void lsm_settle(struct lsm *l)
{
    if (l->passing.bytes > 0 && !MUTANT(passing_rows_lost)) passing_settle(&l->passing, l->active);
}

void lsm_apply_erase(struct lsm *l, struct slice start, struct slice end, uint64_t ts)
{
    recent_clear(&l->recent);
    erase_list_add(&l->active->erases, &(struct erase){.start = start, .end = end, .ts = ts});
}

bool lsm_erased(const struct lsm *l, const struct version *v, struct slice key, uint64_t row_ts, uint64_t ts)
{
    if (erase_list_at(&l->active->erases, key, row_ts, ts) > 0) return true;
    for (size_t i = 0; i < l->frozen_count; i++) {
        if (erase_list_at(&l->frozen[i]->erases, key, row_ts, ts) > 0) return true;
    }
    return erase_list_at(&v->erases, key, row_ts, ts) > 0;
}

void lsm_apply_also(struct lsm *l, uint64_t group, uint64_t index, uint64_t term)
{
    const struct applied a = {.group = group, .index = index, .term = term};
    memtable_set_applied(l->active, &a);
}

void lsm_group_forget(struct lsm *l, uint64_t group)
{
    const struct applied a = {.group = group, .forgotten = true};
    memtable_set_applied(l->active, &a);
}

bool lsm_durable(const struct lsm *l, uint64_t group, uint64_t *index, uint64_t *term)
{
    const struct applied *a = map_get(&l->applied, group);
    if (a == NULL) return false;
    *index = a->index;
    *term = a->term;
    return true;
}

void lsm_each_group(const struct lsm *l, void (*each)(void *ctx, uint64_t group, uint64_t index, uint64_t term),
                    void *ctx)
{
    uint64_t group;
    void *value;
    for (size_t it = 0; map_next(&l->applied, &it, &group, &value);) {
        const struct applied *a = value;
        each(ctx, group, a->index, a->term);
    }
}

/* Of how full the active memtable is: pressure rises smoothly, not by whole memtables. */
static size_t active_eighths(const struct lsm *l)
{
    return memtable_bytes(l->active) * 8 / (l->options.memtable_bytes + 1);
}

/* In percent, and beyond. */
static unsigned pressure_of(size_t n, size_t none, size_t full)
{
    return n <= none ? 0 : (unsigned)((n - none) * 100 / (full - none));
}

/* Eighths of memtables, the active one's included. What the memtables may come to is memory, so the band is narrow. */
#define PRESSURE_NONE 12u
#define PRESSURE_FULL 28u
#define PRESSURE_OVERFULL 150u
#define DELAY_PRESSURE_MAX 200u /* slower than a sixteenth of the pace of flushes serves nobody */

static unsigned pressure(const struct lsm *l)
{
    unsigned frozen = pressure_of(l->frozen_count * 8 + active_eighths(l), PRESSURE_NONE, PRESSURE_FULL);
    unsigned runs = pressure_of(version_runs_of_level(l->version, 0), 2 * PICK_L0_RUNS, 5 * PICK_L0_RUNS);
    return frozen > runs ? frozen : runs;
}

unsigned lsm_pressure(const struct lsm *l)
{
    unsigned p = pressure(l);
    return p < 100 ? p : 100;
}

bool lsm_overfull(const struct lsm *l)
{
    return pressure(l) >= PRESSURE_OVERFULL;
}

uint64_t lsm_delay_ns(const struct lsm *l, uint64_t bytes)
{
    uint64_t p = pressure(l);
    if (p > DELAY_PRESSURE_MAX) p = DELAY_PRESSURE_MAX;
    return bytes * l->drain_ns_per_kib / 1024 * p * p / 2500;
}

uint64_t lsm_safepoint(const struct lsm *l)
{
    return l->safepoint;
}

void lsm_set_safepoint(struct lsm *l, uint64_t ts)
{
    if (ts > l->safepoint) l->safepoint = ts;
}

void lsm_set_horizons(struct lsm *l, const struct lsm_horizon *horizons, size_t count)
{
    horizons_unref(l->horizons);
    l->horizons = horizons_new(horizons, count);
}

void lsm_set_boundaries(struct lsm *l, const struct slice *keys, size_t count)
{
    boundaries_unref(l->boundaries);
    l->boundaries = boundaries_new(keys, count);
}

void lsm_set_blocking(struct lsm *l, bool blocking)
{
    l->blocking = blocking;
}

/* --- figures --- */

void lsm_estimate(const struct lsm *l, struct slice start, struct slice end, uint64_t *bytes, uint64_t *rows)
{
    *bytes = *rows = 0;
    for (size_t i = 0; i < l->version->file_count; i++) {
        const struct lsm_file *f = l->version->files[i];
        if (!lsm_file_overlaps(f, start, end)) continue;
        struct slice from = slice_cmp(start, f->lower) > 0 ? start : f->lower;
        struct slice to = end.size > 0 && slice_cmp(end, f->upper) < 0 ? end : f->upper;
        uint64_t part = table_range_bytes(f->table, from, to), whole = f->table->id.size;
        *bytes += part;
        *rows += (uint64_t)((double)f->table->props.rows * (double)part / (double)whole);
    }
    for (size_t i = 0; i <= l->frozen_count; i++) {
        const struct memtable *m = i < l->frozen_count ? l->frozen[i] : l->active;
        uint64_t n = m->rows > 0 ? memtable_estimate(m, start, end) : 0;
        if (n == 0) continue;
        *rows += n;
        *bytes += (uint64_t)((double)memtable_bytes(m) * (double)n / (double)m->rows);
    }
}

uint64_t lsm_flush_count(const struct lsm *l)
{
    return l->flush_count;
}

void lsm_stats(const struct lsm *l, struct lsm_stats *out)
{
    *out = (struct lsm_stats){.memtable_bytes = memtable_bytes(l->active),
                              .frozen_memtables = l->frozen_count,
                              .files = l->version->file_count,
                              .runs = l->version->run_count,
                              .flushed_bytes = l->flushed_bytes,
                              .compacted_bytes_in = l->compacted_bytes_in,
                              .compacted_bytes_out = l->compacted_bytes_out,
                              .cache_hits = l->cache.hits,
                              .cache_misses = l->cache.misses,
                              .bloom_skips = l->bloom_skips,
                              .scrubbed_bytes = l->scrubbed_bytes,
                              .quarantined = l->quarantined};
    for (size_t i = 0; i < l->frozen_count; i++) out->memtable_bytes += memtable_bytes(l->frozen[i]);
    for (size_t i = 0; i < l->version->file_count; i++) out->file_bytes += l->version->files[i]->bytes;
}
