/* Rows that apply has to fetch from disk. An entry that misses a block has done nothing and is evaluated again from its
 * beginning; so that this happens once, and not once for each cold row, all rows that the entry names are fetched first, many
 * at a time, and remembered until the entry is applied: no other entry of the range comes between.
 *
 *   an evaluation misses --> all its rows are looked up: cached ones are kept, blocks of the others are loaded
 *                        --> when the last one is there: evaluated again (a row that nobody had named: once more)
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

struct apply_reads {
    struct replica *r;
    uint64_t index; /* of the entry */
    struct arena arena;
    struct map by_hash;
    struct apply_row **rows;
    size_t count, capacity;
    size_t next; /* rows before it have been looked at */
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

/* --- loading --- */

static void row_loaded(void *ctx, enum status s);

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

static void go_on(struct apply_reads *reads)
{
    while (reads->loads < ROW_LOADS_MAX && reads->next < reads->count) look_at(reads->rows[reads->next++]);
    reads->r->apply_wait = reads->loads > 0;
}

static void row_loaded(void *ctx, enum status s)
{
    struct apply_row *row = ctx;
    struct apply_reads *reads = row->of;
    struct replica *r = reads->r;
    reads->loads--;
    r->host->loads--;
    if (s == STATUS_OK) look_at(row);
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
                               .desc = &r->desc,
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

bool apply_reads_fetch(struct replica *r, const struct raft_entry *e, struct slice missed)
{
    COVER("apply.miss");
    if (r->reads != NULL && r->reads->index != e->index) apply_reads_free(r);
    struct apply_reads *reads = r->reads;
    if (reads == NULL) {
        r->reads = reads = mem_zalloc(sizeof *reads);
        reads->r = r;
        reads->index = e->index;
        arena_init(&reads->arena, 4096);
        map_init(&reads->by_hash);
        struct slice *keys;
        size_t count = keys_of(r, e, &reads->arena, &keys);
        for (size_t i = 0; i < count; i++) (void)want_row(reads, keys[i]);
    } else {
        COVER("apply.missed_again");
    }
    struct apply_row *row = want_row(reads, missed);
    if (row->state == ROW_WANTED && reads->next == reads->count) look_at(row);
    go_on(reads);
    if (!r->apply_wait) return true;
    read_ahead(r, e->index);
    return false;
}
