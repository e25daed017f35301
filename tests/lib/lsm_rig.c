#include "lib/lsm_rig.h"

#include "base/mem.h"
#include "lsm/lsm_int.h"

#include <check.h>
#include <stdio.h>

/* --- rows --- */

static struct slice key_of(const struct rig_row *row)
{
    return slice_make(row->key, row->key_size);
}

static size_t rows_lower(const struct rig_rows *rows, struct slice key, uint64_t ts)
{
    size_t low = 0, high = rows->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (row_cmp(key_of(&rows->rows[middle]), rows->rows[middle].ts, key, ts) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct rig_row row_copy(const struct rig_row *row)
{
    struct rig_row copy = *row;
    copy.value = mem_dup(row->value, row->value_size);
    return copy;
}

static void rows_insert_at(struct rig_rows *rows, size_t at, struct rig_row row)
{
    if (rows->count == rows->capacity) {
        rows->capacity = rows->capacity > 0 ? rows->capacity * 2 : 64;
        rows->rows = mem_realloc(rows->rows, rows->capacity * sizeof(*rows->rows));
    }
    memmove(&rows->rows[at + 1], &rows->rows[at], (rows->count - at) * sizeof(row));
    rows->rows[at] = row;
    rows->count++;
}

static void rows_put(struct rig_rows *rows, const struct rig_row *row)
{
    size_t at = rows_lower(rows, key_of(row), row->ts);
    if (at < rows->count && rows->rows[at].ts == row->ts && slice_eq(key_of(&rows->rows[at]), key_of(row))) {
        mem_free(rows->rows[at].value);
        rows->rows[at] = row_copy(row);
        return;
    }
    rows_insert_at(rows, at, row_copy(row));
}

static void rows_remove(struct rig_rows *rows, struct slice start, struct slice end)
{
    size_t from = rows_lower(rows, start, LSM_TS_MAX),
           to = end.size > 0 ? rows_lower(rows, end, LSM_TS_MAX) : rows->count;
    if (to <= from) return;
    for (size_t i = from; i < to; i++) mem_free(rows->rows[i].value);
    memmove(&rows->rows[from], &rows->rows[to], (rows->count - to) * sizeof(*rows->rows));
    rows->count -= to - from;
}

static void rows_free(struct rig_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) mem_free(rows->rows[i].value);
    mem_free(rows->rows);
    *rows = (struct rig_rows){.rows = NULL};
}

/* What an erase comes to: each key of the stretch that has a version is deleted. */
static void rows_erase(struct rig_rows *rows, struct slice start, struct slice end, uint64_t ts)
{
    for (size_t i = rows_lower(rows, start, LSM_TS_MAX);
         i < rows->count && slice_cmp(key_of(&rows->rows[i]), end) < 0;) {
        struct rig_row row = rows->rows[i];
        row.kind = LSM_DELETE;
        row.ts = ts;
        row.value = NULL;
        row.value_size = 0;
        rows_put(rows, &row);
        while (i < rows->count && slice_eq(key_of(&rows->rows[i]), key_of(&row))) i++;
    }
}

static void entry_apply(struct rig_rows *rows, const struct rig_entry *e)
{
    if (e->erase) rows_erase(rows, slice_make(e->start, e->start_size), slice_make(e->end, e->end_size), e->ts);
    if (e->replace) rows_remove(rows, slice_make(e->start, e->start_size), slice_make(e->end, e->end_size));
    for (size_t i = 0; i < e->rows.count; i++) rows_put(rows, &e->rows.rows[i]);
}

static struct rig_entry *entry_new(struct rig_group *g)
{
    if (g->count == g->capacity) {
        g->capacity = g->capacity > 0 ? g->capacity * 2 : 64;
        g->entries = mem_realloc(g->entries, g->capacity * sizeof(*g->entries));
    }
    struct rig_entry *e = &g->entries[g->count++];
    *e = (struct rig_entry){.index = g->count};
    return e;
}

const struct rig_row *rig_model_get(const struct rig *r, struct slice key, uint64_t ts)
{
    size_t at = rows_lower(&r->rows, key, ts);
    if (at == r->rows.count || !slice_eq(key_of(&r->rows.rows[at]), key)) return NULL;
    return r->rows.rows[at].kind == LSM_PUT ? &r->rows.rows[at] : NULL;
}

/* --- life --- */

void rig_init(struct rig *r, uint64_t seed)
{
    memset(r, 0, sizeof(*r));
    prng_init(&r->prng, seed);
    r->disk = memdisk_new(seed);
    testenv_init(&r->env, memdisk_disk(r->disk), seed);
    lsm_options_default(&r->options);
    r->options.memtable_bytes = 16384;
    r->options.recent_bytes = seed % 4 < 2 ? 4096 : 0;
    r->options.cache_bytes = 8192;
    r->options.block_bytes = 256;
    r->options.file_bytes = 4096;
    r->options.shape = seed % 2 == 0 ? LSM_LEVELED : LSM_LAZY;
    r->options.scrub_ms = 0;
    r->keys = 60;
    r->value_max = 60;
    r->ts = 100;
}

void rig_free(struct rig *r)
{
    rig_close(r);
    for (unsigned g = 0; g < RIG_GROUPS; g++) {
        for (size_t i = 0; i < r->groups[g].count; i++) rows_free(&r->groups[g].entries[i].rows);
        mem_free(r->groups[g].entries);
    }
    rows_free(&r->rows);
    testenv_free(&r->env);
    struct memdisk_stats stats;
    memdisk_stats(r->disk, &stats);
    ck_assert_uint_eq(stats.open_handles, 0);
    memdisk_free(r->disk);
}

bool rig_open(struct rig *r)
{
    ck_assert_ptr_null(r->l);
    r->env.env.dead = false;
    r->err.text[0] = 0;
    r->open_status = lsm_open(&r->env.env, &r->options, &r->l, &r->err);
    if (r->open_status != STATUS_OK) {
        r->l = NULL;
        ck_assert_msg(r->err.text[0] != 0, "lsm_open says %s and no more", status_name(r->open_status));
        return false;
    }
    lsm_set_safepoint(r->l, r->safepoint);
    if (prng_chance(&r->prng, 1, 2)) { /* a boundary where each group begins */
        const struct slice starts[RIG_GROUPS] = {slice_str("a"), slice_str("b"), slice_str("c")};
        lsm_set_boundaries(r->l, starts, RIG_GROUPS);
    }
    return true;
}

void rig_close(struct rig *r)
{
    if (r->l == NULL) return;
    while (!testenv_idle(&r->env)) {
        if (r->env.env.dead) {
            testenv_cancel(&r->env);
        } else {
            (void)testenv_execute(&r->env, LANE_COUNT);
            (void)testenv_complete(&r->env);
        }
    }
    struct lsm_stats stats;
    lsm_stats(r->l, &stats);
    r->compacted_bytes += stats.compacted_bytes_out;
    lsm_close(r->l);
    r->l = NULL;
}

void rig_crash(struct rig *r, enum memdisk_crash how)
{
    r->env.env.dead = true;
    memdisk_crash(r->disk, how);
    testenv_cancel(&r->env);
    rig_close(r);
    r->env.env.dead = false;
    r->env.fatal_count = 0;
}

static void apply_erase(struct rig *r, const struct rig_entry *e)
{
    if (!e->erase) return;
    lsm_apply_erase(r->l, slice_make(e->start, e->start_size), slice_make(e->end, e->end_size), e->ts);
}

void rig_recover(struct rig *r, bool reapply)
{
    rows_free(&r->rows);
    for (unsigned g = 0; g < RIG_GROUPS; g++) {
        uint64_t index = 0, term = 0;
        if (lsm_durable(r->l, g + 1, &index, &term)) ck_assert_uint_eq(term, index / 7 + 1);
        ck_assert_uint_le(index, r->groups[g].count);
        for (size_t i = 0; i < index; i++) entry_apply(&r->rows, &r->groups[g].entries[i]);
    }
    rig_check_all(r);
    for (unsigned g = 0; reapply && g < RIG_GROUPS; g++) {
        struct rig_group *group = &r->groups[g];
        uint64_t index = 0, term = 0;
        (void)lsm_durable(r->l, g + 1, &index, &term);
        for (size_t i = index; i < group->count; i++) {
            struct rig_entry *e = &group->entries[i];
            if (e->replace) { /* a snapshot that was not installed: the group's log ends before it */
                for (size_t k = i; k < group->count; k++) rows_free(&group->entries[k].rows);
                group->count = i;
                break;
            }
            struct lsm_write w[16];
            for (size_t k = 0; k < e->rows.count; k++) {
                const struct rig_row *row = &e->rows.rows[k];
                w[k] = (struct lsm_write){row->kind, key_of(row), row->ts, slice_make(row->value, row->value_size),
                                          row->ts % 3 == 0};
            }
            apply_erase(r, e);
            lsm_apply(r->l, g + 1, e->index, e->index / 7 + 1, w, e->rows.count);
            entry_apply(&r->rows, e);
        }
    }
    if (reapply) return;
    for (unsigned g = 0; g < RIG_GROUPS; g++) {
        uint64_t index = 0, term = 0;
        (void)lsm_durable(r->l, g + 1, &index, &term);
        for (size_t k = index; k < r->groups[g].count; k++) rows_free(&r->groups[g].entries[k].rows);
        r->groups[g].count = index;
    }
}

/* --- writing --- */

struct slice rig_random_key(struct rig *r, unsigned group, uint8_t key[RIG_KEY_MAX])
{
    uint64_t n = prng_below(&r->prng, r->keys);
    if (prng_chance(&r->prng, 1, 3)) n = prng_below(&r->prng, 4); /* hot keys */
    key[0] = (uint8_t)('a' + group);
    /* Long shared parts, short keys, keys that begin other keys, zero bytes. */
    size_t size = 1;
    if (n % 3 == 0) {
        memcpy(key + 1, "/common/prefix/", 15);
        size = 16;
    }
    if (n % 7 == 0) key[size++] = 0;
    int digits = snprintf((char *)key + size, 16, n % 2 == 0 ? "%03u" : "%u", (unsigned)n);
    return slice_make(key, size + (size_t)digits);
}

static struct rig_row random_row(struct rig *r, unsigned group)
{
    struct rig_row row = {.ts = r->ts};
    row.key_size = rig_random_key(r, group, row.key).size;
    row.kind = prng_chance(&r->prng, 1, 5) ? LSM_DELETE : LSM_PUT;
    row.value_size = row.kind == LSM_PUT ? (size_t)prng_below(&r->prng, r->value_max) : 0;
    if (row.kind == LSM_PUT && prng_chance(&r->prng, 1, 200)) row.value_size *= 40;
    row.value = mem_alloc(row.value_size);
    uint8_t fill = (uint8_t)prng_next(&r->prng);
    for (size_t i = 0; i < row.value_size; i++) row.value[i] = (uint8_t)(fill + i / 8);
    return row;
}

void rig_write(struct rig *r)
{
    unsigned g = (unsigned)prng_below(&r->prng, RIG_GROUPS);
    struct rig_entry *e = entry_new(&r->groups[g]);
    size_t count = (size_t)prng_below(&r->prng, 5);
    if (!prng_chance(&r->prng, 1, 20)) r->ts += 1 + prng_below(&r->prng, 3); /* else the latest timestamp again */
    if (prng_chance(&r->prng, 1, 25)) {
        e->start_size = rig_random_key(r, g, e->start).size;
        e->end_size = rig_random_key(r, g, e->end).size;
        e->erase = slice_cmp(slice_make(e->start, e->start_size), slice_make(e->end, e->end_size)) < 0;
        e->ts = ++r->ts;
    }
    struct lsm_write w[16];
    for (size_t i = 0; i < count; i++) {
        rows_insert_at(&e->rows, e->rows.count, random_row(r, g));
    }
    for (size_t i = 0; i < count; i++) {
        const struct rig_row *row = &e->rows.rows[i];
        w[i] = (struct lsm_write){row->kind, key_of(row), row->ts, slice_make(row->value, row->value_size),
                                  row->ts % 3 == 0};
    }
    apply_erase(r, e);
    lsm_apply(r->l, g + 1, e->index, e->index / 7 + 1, w, count);
    entry_apply(&r->rows, e);
}

void rig_write_many(struct rig *r, unsigned entries)
{
    for (unsigned i = 0; i < entries; i++) {
        rig_write(r);
        if (prng_chance(&r->prng, 1, 4)) rig_step(r);
    }
}

void rig_step(struct rig *r)
{
    if (r->env.env.dead) return;
    lsm_step(r->l);
    if (prng_chance(&r->prng, 1, 2)) (void)testenv_execute(&r->env, LANE_COUNT);
    if (prng_chance(&r->prng, 1, 2)) (void)testenv_complete(&r->env);
    if (prng_chance(&r->prng, 1, 8)) testenv_advance_ms(&r->env, 200);
}

void rig_settle(struct rig *r)
{
    for (unsigned idle = 0; idle < 3 && !r->env.env.dead;) {
        lsm_step(r->l);
        idle = testenv_idle(&r->env) ? idle + 1 : 0;
        while (testenv_execute(&r->env, LANE_COUNT)) continue;
        while (testenv_complete(&r->env)) continue;
        testenv_advance_ms(&r->env, 1000);
    }
}

static void set_true(void *ctx)
{
    *(bool *)ctx = true;
}

void rig_flush(struct rig *r)
{
    bool *flushed = mem_zalloc(sizeof(*flushed));
    lsm_flush(r->l, set_true, flushed);
    for (unsigned i = 0; i < 10000 && !*flushed && !r->env.env.dead; i++) {
        lsm_step(r->l);
        while (testenv_execute(&r->env, LANE_COUNT)) continue;
        while (testenv_complete(&r->env)) continue;
        testenv_advance_ms(&r->env, 100);
    }
    ck_assert(*flushed || r->env.env.dead);
    if (!*flushed) { /* the store holds on to it until it is closed */
        testenv_cancel(&r->env);
        lsm_close(r->l);
        r->l = NULL;
    }
    mem_free(flushed);
}

struct outcome {
    bool called;
    enum status status;
};

static void note_outcome(void *ctx, enum status s)
{
    struct outcome *o = ctx;
    o->called = true;
    o->status = s;
}

static void replace_rows(struct rig *r, unsigned g, struct rig_entry *e)
{
    struct rig_rows sorted = {.rows = NULL};
    size_t count = (size_t)prng_below(&r->prng, 80);
    for (size_t i = 0; i < count; i++) {
        r->ts++;
        struct rig_row row = random_row(r, g);
        struct slice key = key_of(&row);
        if (slice_cmp(key, slice_make(e->start, e->start_size)) >= 0 &&
            slice_cmp(key, slice_make(e->end, e->end_size)) < 0) {
            rows_put(&sorted, &row);
        }
        mem_free(row.value);
    }
    e->rows = sorted;
}

/* Builds the tables of the replacement; NULL: it was not to be. */
static struct lsm_ingest *build_ingest(struct rig *r, struct rig_entry *e)
{
    struct lsm_ingest *in = lsm_ingest_new(r->l, slice_make(e->start, e->start_size), slice_make(e->end, e->end_size));
    enum status s = STATUS_OK;
    for (size_t i = 0; i < e->rows.count && s == STATUS_OK; i++) {
        const struct rig_row *row = &e->rows.rows[i];
        struct lsm_write w = {row->kind, key_of(row), row->ts, slice_make(row->value, row->value_size), false};
        s = lsm_ingest_add(in, &w);
        if (prng_chance(&r->prng, 1, 10)) rig_step(r);
    }
    if (s == STATUS_OK) s = lsm_ingest_finish(in);
    if (s == STATUS_OK) return in;
    lsm_ingest_abort(in);
    r->ingest_failed = true;
    return NULL;
}

/* Waits for the outcome. Takes over *e. */
static bool install(struct rig *r, unsigned g, struct lsm_ingest *in, struct rig_entry *e)
{
    struct outcome *o = mem_zalloc(sizeof(*o));
    *entry_new(&r->groups[g]) = *e; /* from the call on the outcome is one or the other */
    lsm_ingest_install(in, g + 1, e->index, e->index / 7 + 1, note_outcome, o);
    for (unsigned i = 0; i < 20000 && !o->called && !r->env.env.dead; i++) {
        rig_step(r);
        testenv_advance_ms(&r->env, 50);
    }
    bool installed = o->called && o->status == STATUS_OK;
    if (installed) {
        entry_apply(&r->rows, e);
    } else {
        ck_assert(r->env.env.dead);
        testenv_cancel(&r->env);
        lsm_close(r->l);
        r->l = NULL;
    }
    mem_free(o);
    return installed;
}

bool rig_replace(struct rig *r)
{
    unsigned g = (unsigned)prng_below(&r->prng, RIG_GROUPS);
    struct rig_entry e = {.index = r->groups[g].count + 1, .replace = true};
    e.start_size = rig_random_key(r, g, e.start).size;
    e.end_size = rig_random_key(r, g, e.end).size;
    if (prng_chance(&r->prng, 1, 3)) e.start_size = 1;
    if (prng_chance(&r->prng, 1, 3)) e.end[0] = (uint8_t)('a' + g + 1), e.end_size = 1;
    if (slice_cmp(slice_make(e.start, e.start_size), slice_make(e.end, e.end_size)) >= 0) return true;
    replace_rows(r, g, &e);
    struct lsm_ingest *in = build_ingest(r, &e);
    if (in != NULL && prng_chance(&r->prng, 1, 10)) {
        lsm_ingest_abort(in);
        rows_free(&e.rows);
        return true;
    }
    if (in != NULL) return install(r, g, in, &e);
    rows_free(&e.rows);
    return false;
}

void rig_replace_group(struct rig *r, unsigned group)
{
    struct rig_entry e = {.index = r->groups[group].count + 1, .replace = true, .start_size = 1, .end_size = 1};
    e.start[0] = (uint8_t)('a' + group);
    e.end[0] = (uint8_t)('b' + group);
    replace_rows(r, group, &e);
    struct lsm_ingest *in = build_ingest(r, &e);
    ck_assert_ptr_nonnull(in);
    ck_assert(install(r, group, in, &e));
}

/* --- reading --- */

/* For what is looked at a million times: an assertion of the library writes to a file even when it holds. */
#define HOLDS(what)                                                                                                    \
    do {                                                                                                               \
        if (!(what)) ck_abort_msg("%s", #what);                                                                        \
    } while (0)

/* Loads what is missing. False: the read ends with *s. */
static bool load(struct rig *r, struct lsm_miss *miss, enum status *s)
{
    struct outcome o = {.called = false};
    if (prng_chance(&r->prng, 1, 50)) { /* somebody else wants it too, and gives up */
        struct lsm_miss other = *miss;
        (void)lsm_file_ref(other.file);
        lsm_miss_drop(&other);
    }
    lsm_load(r->l, miss, note_outcome, &o);
    ck_assert_ptr_null(miss->file);
    ck_assert(!o.called);
    for (unsigned i = 0; i < 100 && !o.called; i++) {
        (void)testenv_execute(&r->env, LANE_READ);
        (void)testenv_complete(&r->env);
    }
    ck_assert(o.called);
    *s = o.status;
    return o.status == STATUS_OK;
}

static bool bad_answer(struct rig *r, enum status s)
{
    if (s != STATUS_CORRUPT && s != STATUS_IO) return false;
    ck_assert_msg(r->damaged_allowed, "status %s without damage", status_name(s));
    r->corrupt_seen++;
    return true;
}

void rig_check_get(struct rig *r, struct slice key, uint64_t ts)
{
    const struct rig_row *want = rig_model_get(r, key, ts);
    struct lsm_row row;
    struct lsm_miss miss;
    enum status s;
    unsigned tries = 0;
    while ((s = lsm_get(r->l, key, ts, &row, &miss)) == STATUS_MISS) {
        ck_assert_uint_lt(tries++, 200);
        if (!load(r, &miss, &s)) break;
    }
    if (bad_answer(r, s)) return;
    if (s != (want == NULL ? STATUS_NOT_FOUND : STATUS_OK))
        ck_abort_msg("get %.*s at %llu: %s, expected %s", (int)key.size, (const char *)key.data, (unsigned long long)ts,
                     status_name(s), want == NULL ? "nothing" : "a row");
    if (want == NULL) return;
    HOLDS(row.ts == want->ts);
    HOLDS(slice_eq(row.key, key));
    HOLDS(slice_eq(row.value, slice_make(want->value, want->value_size)));
}

/* The model's visible rows of [start, end) at ts; `pos` walks them. */
static const struct rig_row *model_next(const struct rig *r, size_t *pos, struct slice end, uint64_t ts)
{
    while (*pos < r->rows.count) {
        const struct rig_row *first = &r->rows.rows[*pos];
        if (end.size > 0 && slice_cmp(key_of(first), end) >= 0) return NULL;
        size_t after = *pos;
        while (after < r->rows.count && slice_eq(key_of(&r->rows.rows[after]), key_of(first))) after++;
        *pos = after;
        const struct rig_row *row = rig_model_get(r, key_of(first), ts);
        if (row != NULL) return row;
    }
    return NULL;
}

static void free_expected(const struct rig_row **expected)
{
    mem_free((void *)expected);
}

void rig_check_scan(struct rig *r, struct slice start, struct slice end, uint64_t ts, bool reverse)
{
    const struct rig_row **expected = mem_alloc((r->rows.count + 1) * sizeof(*expected));
    size_t count = 0, seen = 0, pos = rows_lower(&r->rows, start, LSM_TS_MAX);
    const struct rig_row *row;
    while ((row = model_next(r, &pos, end, ts)) != NULL) expected[count++] = row;
    struct keybuf from = {.data = NULL};
    unsigned tries = 0;
    uint32_t allowance = 0, allowed = (uint32_t)prng_below(&r->prng, 20);
    struct lsm_iter *it = lsm_iter_new(r->l, start, end, ts, reverse);
    for (;;) {
        struct lsm_row got;
        struct lsm_miss miss;
        if (allowed > 0 && allowance == 0) allowance = allowed;
        if (allowed > 0) lsm_iter_allow(it, &allowance); /* else a new iterator must be without one */
        enum status s = lsm_iter_next(it, &got, &miss);
        if (s == STATUS_RETRY) {
            ck_assert_uint_eq(allowance, 0);
            if (prng_chance(&r->prng, 1, 2)) continue;
            struct slice here = lsm_iter_position(it);
            bool moved = slice_cmp(here, reverse ? end : start) != 0;
            ck_assert(moved); /* or a caller would go on for ever */
            keybuf_set(&from, 0, here.data, here.size);
            here = keybuf_slice(&from);
            lsm_iter_free(it);
            it = reverse ? lsm_iter_new(r->l, start, here, ts, true) : lsm_iter_new(r->l, here, end, ts, false);
            continue;
        }
        if (s == STATUS_MISS) {
            ck_assert_uint_lt(tries++, 60);
            struct slice here = lsm_iter_position(it);
            if (tries == 1 || !slice_eq(here, keybuf_slice(&from))) tries = 1;
            keybuf_set(&from, 0, here.data, here.size);
            here = keybuf_slice(&from);
            lsm_iter_free(it);
            it = NULL;
            if (load(r, &miss, &s)) {
                it = reverse ? lsm_iter_new(r->l, start, here, ts, true) : lsm_iter_new(r->l, here, end, ts, false);
                continue;
            }
        }
        if (bad_answer(r, s)) break;
        if (s == STATUS_END) {
            ck_assert_uint_eq(seen, count);
            break;
        }
        if (s != STATUS_OK) ck_abort_msg("iterator: %s", status_name(s));
        HOLDS(seen < count);
        const struct rig_row *want = expected[reverse ? count - 1 - seen : seen];
        HOLDS(slice_eq(got.key, key_of(want)));
        HOLDS(got.ts == want->ts);
        HOLDS(slice_eq(got.value, slice_make(want->value, want->value_size)));
        seen++;
    }
    lsm_iter_free(it);
    keybuf_free(&from);
    free_expected(expected);
}

static uint64_t random_ts(struct rig *r)
{
    if (prng_chance(&r->prng, 1, 3)) return LSM_TS_MAX;
    return prng_between(&r->prng, r->safepoint, r->ts + 2);
}

void rig_check_random(struct rig *r, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        uint8_t a[RIG_KEY_MAX], b[RIG_KEY_MAX];
        unsigned g = (unsigned)prng_below(&r->prng, RIG_GROUPS);
        struct slice key = rig_random_key(r, g, a);
        if (!prng_chance(&r->prng, 1, 6)) {
            rig_check_get(r, key, random_ts(r));
            continue;
        }
        struct slice end = rig_random_key(r, (unsigned)prng_below(&r->prng, RIG_GROUPS), b);
        if (prng_chance(&r->prng, 1, 4)) key = SLICE_EMPTY;
        if (prng_chance(&r->prng, 1, 4)) end = SLICE_EMPTY;
        if (end.size > 0 && slice_cmp(key, end) > 0) continue;
        rig_check_scan(r, key, end, random_ts(r), prng_chance(&r->prng, 1, 2));
    }
}

void rig_check_all(struct rig *r)
{
    for (size_t i = 0; i < r->rows.count; i++) {
        const struct rig_row *row = &r->rows.rows[i];
        if (row->ts >= r->safepoint) rig_check_get(r, key_of(row), row->ts);
        if (i == 0 || !slice_eq(key_of(row), key_of(row - 1))) rig_check_get(r, key_of(row), LSM_TS_MAX);
    }
    rig_check_scan(r, SLICE_EMPTY, SLICE_EMPTY, LSM_TS_MAX, false);
    rig_check_scan(r, SLICE_EMPTY, SLICE_EMPTY, LSM_TS_MAX, true);
    rig_check_scan(r, SLICE_EMPTY, SLICE_EMPTY, (r->safepoint + r->ts) / 2, false);
    rig_check_scan(r, SLICE_EMPTY, SLICE_EMPTY, (r->safepoint + r->ts) / 2, true);
}

void rig_check_view(struct rig *r, struct slice start, struct slice end)
{
    struct lsm_view *v = lsm_view_new(r->l, start, end);
    size_t pos = rows_lower(&r->rows, start, LSM_TS_MAX);
    size_t to = end.size > 0 ? rows_lower(&r->rows, end, LSM_TS_MAX) : r->rows.count;
    struct lsm_write row;
    enum status s;
    while ((s = lsm_view_next(v, &row)) == STATUS_OK) {
        HOLDS(pos < to);
        const struct rig_row *want = &r->rows.rows[pos++];
        HOLDS(slice_eq(row.key, key_of(want)));
        HOLDS(row.ts == want->ts);
        HOLDS(row.kind == want->kind);
        HOLDS(slice_eq(row.value, slice_make(want->value, want->value_size)));
    }
    if (!bad_answer(r, s)) {
        ck_assert_int_eq(s, STATUS_END);
        ck_assert_uint_eq(pos, to);
    }
    lsm_view_free(v);
}
