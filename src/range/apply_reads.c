/* Rows that apply has to fetch from disk. An entry that misses a block has done nothing and is evaluated again from its
 * beginning; so that this happens once, and not once for each cold row, the evaluation goes on as far as it makes sense and asks for
 * its other rows too. Those that miss are fetched, many at a time, and remembered until the entry is applied: no other entry of the
 * range comes between.
 *
 *   an evaluation misses --> the blocks of all rows that it has missed are loaded
 *                        --> when the last one is there: evaluated again (a row that it had not come to: once more)
 *
 * Blocks for the entries behind it are loaded meanwhile, committed or not; their rows are not kept. */
#include "base/assert.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "range/members_int.h"

enum { ROW_LOADS_MAX = 128 }; /* at a time, for one entry */
enum { AHEAD_ENTRIES_MAX = 32, AHEAD_LOADS_MAX = 256 };

enum apply_row_state { ROW_WANTED, ROW_PRESENT, ROW_ABSENT };
struct apply_row {
    struct apply_reads *of;
    struct apply_row *same_hash;
    enum apply_row_state state;
    struct slice key, value; /* in the arena */
    uint64_t version;
};

struct apply_stretch {
    struct apply_reads *of;
    struct apply_stretch *next;
    struct stretch_scan scan;
    enum status status; /* STATUS_MISS: not read to its end yet */
};

struct apply_reads {
    struct replica *r;
    uint64_t index; /* of the entry */
    struct arena arena;
    struct map by_hash;
    struct apply_row **rows;
    size_t count, capacity;
    size_t next; /* rows before it have been looked at */
    struct apply_stretch *stretches;
    unsigned loads;
};

static struct apply_row *find_row(const struct apply_reads *reads, struct slice key)
{
    struct apply_row *row = map_get(&reads->by_hash, hash_bytes(key, 0));
    while (row != NULL && !slice_eq(row->key, key)) row = row->same_hash;
    return row;
}

static struct apply_row *want_row(struct apply_reads *reads, struct slice key)
{
    struct apply_row *row = find_row(reads, key);
    if (row != NULL) return row;
    row = arena_zalloc(&reads->arena, sizeof *row);
    row->of = reads;
    row->key = arena_dup_slice(&reads->arena, key);
    row->same_hash = map_put(&reads->by_hash, hash_bytes(key, 0), row);
    if (reads->count == reads->capacity) {
        reads->capacity = reads->capacity == 0 ? 64 : reads->capacity * 2;
        reads->rows = mem_realloc(reads->rows, reads->capacity * sizeof(struct apply_row *));
    }
    reads->rows[reads->count++] = row;
    return row;
}

void apply_reads_free(struct replica *r)
{
    struct apply_reads *reads = r->reads;
    if (reads == NULL) return;
    ASSERT(reads->loads == 0);
    for (struct apply_stretch *x = reads->stretches; x != NULL; x = x->next) buf_free(&x->scan.at);
    map_free(&reads->by_hash);
    mem_free(reads->rows);
    arena_free(&reads->arena);
    mem_free(reads);
    r->reads = NULL;
}

bool apply_reads_find(const struct replica *r, struct slice key, struct txn_stored *out, enum status *s)
{
    const struct apply_row *row =
        r->reads == NULL || r->reads->index != r->applied + 1 ? NULL : find_row(r->reads, key);
    if (row == NULL || row->state == ROW_WANTED) return false;
    *s = row->state == ROW_PRESENT ? STATUS_OK : STATUS_NOT_FOUND;
    *out = (struct txn_stored){.version = row->version, .value = row->value};
    return true;
}

bool apply_reads_find_stretch(const struct replica *r, const struct stretch_scan *like, uint64_t *newest,
                              enum status *s)
{
    if (r->reads == NULL || r->reads->index != r->applied + 1) return false;
    for (const struct apply_stretch *x = r->reads->stretches; x != NULL; x = x->next) {
        if (x->status == STATUS_MISS || !slice_eq(x->scan.from, like->from) || !slice_eq(x->scan.to, like->to))
            continue;
        *newest = x->scan.newest;
        *s = x->status;
        return true;
    }
    return false;
}

/* --- stretches --- */

static bool counts(const struct lsm_row *row, uint64_t ts)
{
    uint32_t keyspace;
    struct buf user;
    enum row_type type;
    buf_init(&user, 4 * LIMIT_KEY_BYTES);
    bool data = key_decode(row->key, &keyspace, &user, &type) == STATUS_OK && type == ROW_DATA;
    buf_free(&user);
    return data && row_stored_expires(row->key, row->ts, row->value) > ts;
}

enum status stretch_scan_on(struct host *h, struct stretch_scan *s, struct lsm_miss *miss)
{
    struct lsm_row row;
    struct lsm_iter *it = lsm_iter_new(h->lsm, s->at.size > 0 ? buf_slice(&s->at) : s->from, s->to, LSM_TS_MAX, false);
    enum status status;
    while ((status = lsm_iter_next(it, &row, miss)) == STATUS_OK) {
        if (!counts(&row, s->ts)) continue;
        if (row.ts > s->newest) s->newest = row.ts;
        if (++s->rows > TXN_STRETCH_ROWS_MAX) {
            lsm_iter_free(it);
            return STATUS_TOO_LARGE;
        }
    }
    struct slice at = lsm_iter_position(it);
    buf_clear(&s->at);
    buf_append_slice(&s->at, at);
    lsm_iter_free(it);
    return status == STATUS_END ? STATUS_OK : status;
}

/* --- loading --- */

static void row_loaded(void *ctx, enum status s);
static void stretch_loaded(void *ctx, enum status s);

/* What cannot be read stays wanted: the evaluation meets it, and says so. */
static void look_at(struct apply_row *row)
{
    struct apply_reads *reads = row->of;
    struct host *h = reads->r->host;
    struct lsm_row found;
    struct lsm_miss miss;
    enum status s = lsm_get(h->lsm, row->key, LSM_TS_MAX, &found, &miss);
    if (s == STATUS_OK) {
        row->state = ROW_PRESENT;
        row->version = found.ts;
        row->value = arena_dup_slice(&reads->arena, found.value);
    } else if (s == STATUS_NOT_FOUND) {
        row->state = ROW_ABSENT;
    } else if (s == STATUS_MISS) {
        reads->loads++;
        h->loads++;
        lsm_load(h->lsm, &miss, row_loaded, row);
    }
}

static void stretch_on(struct apply_stretch *x)
{
    struct host *h = x->of->r->host;
    struct lsm_miss miss;
    x->status = stretch_scan_on(h, &x->scan, &miss);
    if (x->status != STATUS_MISS) return;
    x->of->loads++;
    h->loads++;
    lsm_load(h->lsm, &miss, stretch_loaded, x);
}

static void go_on(struct apply_reads *reads)
{
    while (reads->loads < ROW_LOADS_MAX && reads->next < reads->count) {
        struct apply_row *row = reads->rows[reads->next++];
        if (row->state == ROW_WANTED) look_at(row);
    }
    reads->r->apply_wait = reads->loads > 0;
}

/* A block has come for the entry: for a row, or for a stretch. */
static void loaded(struct apply_reads *reads, enum status s, struct apply_row *row, struct apply_stretch *x)
{
    struct replica *r = reads->r;
    reads->loads--;
    r->host->loads--;
    if (s == STATUS_OK && row != NULL) look_at(row);
    if (s == STATUS_OK && x != NULL) stretch_on(x);
    if (s == STATUS_CLOSED) {
        r->apply_wait = reads->loads > 0;
        return;
    }
    if (s != STATUS_OK && !(s == STATUS_CORRUPT && r->divergence.damaged)) {
        r->host->env->ops->fatal(r->host->env, "a block that apply needs cannot be read: its table is damaged");
    }
    go_on(reads);
    if (r->apply_wait) return;
    host_mark_ready(r->host, r);
    r->host->env->ops->wake(r->host->env);
}

static void row_loaded(void *ctx, enum status s)
{
    struct apply_row *row = ctx;
    loaded(row->of, s, row, NULL);
}

static void stretch_loaded(void *ctx, enum status s)
{
    struct apply_stretch *x = ctx;
    loaded(x->of, s, NULL, x);
}

/* --- entries behind --- */

static void ahead_loaded(void *ctx, enum status s)
{
    struct host *h = ctx;
    (void)s; /* whoever needs it will see */
    h->loads--;
    h->ahead_loads--;
}

static void load_ahead(struct host *h, struct slice key)
{
    struct lsm_row found;
    struct lsm_miss miss;
    if (lsm_get(h->lsm, key, LSM_TS_MAX, &found, &miss) != STATUS_MISS) return;
    h->loads++;
    h->ahead_loads++;
    lsm_load(h->lsm, &miss, ahead_loaded, h);
}

static size_t keys_of(struct replica *r, const struct raft_entry *e, struct arena *arena, struct slice **keys)
{
    const struct host_owner *o = &r->host->owner;
    if (o->machine->reads == NULL || e->type != RAFT_ENTRY_COMMAND || change_is(r, e)) return 0;
    struct machine_entry me = {.index = r->row_base + e->index,
                               .term = e->term,
                               .desc = r->desc,
                               .command = e->data,
                               .state = r->machine_state};
    return o->machine->reads(o->machine_ctx, &me, arena, keys);
}

static void read_ahead(struct replica *r, uint64_t index)
{
    struct host *h = r->host;
    struct arena arena;
    uint64_t from = index + 1, to = raft_last_index(r->raft);
    if (r->read_ahead >= from) from = r->read_ahead + 1;
    if (to > index + AHEAD_ENTRIES_MAX) to = index + AHEAD_ENTRIES_MAX;
    arena_init(&arena, 4096);
    for (uint64_t i = from; i <= to && h->ahead_loads < AHEAD_LOADS_MAX; i++) {
        const struct raft_entry *e = raft_entry_at(r->raft, i);
        struct slice *keys;
        if (e == NULL) break;
        arena_reset(&arena);
        size_t count = keys_of(r, e, &arena, &keys);
        for (size_t k = 0; k < count && h->ahead_loads < AHEAD_LOADS_MAX; k++) load_ahead(h, keys[k]);
        r->read_ahead = i;
    }
    arena_free(&arena);
}

static struct apply_reads *reads_of_next(struct replica *r)
{
    if (r->reads != NULL && r->reads->index != r->applied + 1) apply_reads_free(r);
    if (r->reads != NULL) return r->reads;
    struct apply_reads *reads = r->reads = mem_zalloc(sizeof *reads);
    reads->r = r;
    reads->index = r->applied + 1;
    arena_init(&reads->arena, 4096);
    map_init(&reads->by_hash);
    return reads;
}

void apply_reads_want(struct replica *r, struct slice key)
{
    struct apply_reads *reads = reads_of_next(r);
    size_t before = reads->count;
    (void)want_row(reads, key);
    if (reads->count == before) reads->next = 0; /* it has been looked at in vain: the block is gone again */
}

void apply_reads_want_stretch(struct replica *r, const struct stretch_scan *scan)
{
    struct apply_reads *reads = reads_of_next(r);
    struct apply_stretch *x = arena_zalloc(&reads->arena, sizeof *x);
    x->of = reads;
    x->scan.from = arena_dup_slice(&reads->arena, scan->from);
    x->scan.to = arena_dup_slice(&reads->arena, scan->to);
    x->scan.ts = scan->ts;
    buf_init(&x->scan.at, LSM_KEY_MAX);
    x->status = STATUS_MISS;
    x->next = reads->stretches;
    reads->stretches = x;
}

bool apply_reads_fetch(struct replica *r, const struct raft_entry *e)
{
    struct apply_reads *reads = r->reads;
    COVER("apply.miss");
    ASSERT(reads != NULL && reads->index == e->index && !r->apply_wait);
    if (reads->next > 0) COVER("apply.missed_again");
    for (struct apply_stretch *x = reads->stretches; x != NULL; x = x->next) {
        if (x->status == STATUS_MISS) stretch_on(x);
    }
    go_on(reads);
    if (!r->apply_wait) return true;
    read_ahead(r, e->index);
    return false;
}
