/* Held transactions by id, and the questions of the leader. What a row says is installed by one function, whether the row was
 * written a moment ago or found when the replica was opened: so memory is a function of rows. */
#include "txn/table.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "txn/evaluate_int.h"

#define SCRATCH_BYTES 4096u
enum { SPARES_MAX = 256, SPARE_ROW_BYTES = 1024 };
enum { CACHE_LINE = 64, ROW_SOON_BYTES = 512 };

static uint64_t id_hash(const struct txn_id *id)
{
    return hash_bytes(slice_make(id->bytes, TXN_ID_BYTES), 4);
}

struct txn_table *txn_table_new(void)
{
    struct txn_table *t = mem_zalloc(sizeof(*t));
    map_init(&t->by_id);
    map_init(&t->by_key);
    list_init(&t->keys);
    heap_init(&t->undecided);
    heap_init(&t->unforgotten);
    heap_init(&t->tombstones);
    list_init(&t->stretches);
    return t;
}

static void held_free(struct held *h)
{
    mem_free(h->row);
    mem_free(h);
}

void txn_table_free(struct txn_table *t)
{
    if (t == NULL) return;
    void *first;
    uint64_t key;
    for (size_t it = 0; map_next(&t->by_id, &it, &key, &first);) {
        struct held *next;
        for (struct held *h = first; h != NULL; h = next) {
            next = h->same_hash;
            table_remove(t, h);
        }
    }
    ASSERT(t->count == 0 && list_empty(&t->keys));
    while (t->spare != NULL) {
        struct held *next = t->spare->same_hash;
        held_free(t->spare);
        t->spare = next;
    }
    map_free(&t->by_id);
    map_free(&t->by_key);
    heap_free(&t->undecided);
    heap_free(&t->unforgotten);
    heap_free(&t->tombstones);
    mem_free(t);
}

struct held *table_find(const struct txn_table *t, const struct txn_id *id)
{
    struct held *h = map_get(&t->by_id, id_hash(id));
    while (h != NULL && !txn_id_eq(&h->id, id)) h = h->same_hash;
    return h;
}

static void bytes_soon(const void *p, size_t size)
{
    for (size_t at = 0; at < size; at += CACHE_LINE) __builtin_prefetch((const uint8_t *)p + at);
}

void table_soon(const struct txn_table *t, const struct txn_id *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) map_soon(&t->by_id, id_hash(&ids[i]));
    for (size_t i = 0; i < count; i++) {
        const struct held *h = map_get(&t->by_id, id_hash(&ids[i]));
        if (h != NULL) bytes_soon(h, sizeof(*h));
    }
    for (size_t i = 0; i < count; i++) {
        const struct held *h = map_get(&t->by_id, id_hash(&ids[i]));
        if (h == NULL) continue;
        bytes_soon(h->row, h->row_size < ROW_SOON_BYTES ? h->row_size : ROW_SOON_BYTES);
        for (size_t k = 0; k < h->hold_count && k < HOLDS_FEW; k++) bytes_soon(h->holds[k].at, sizeof(struct lock_key));
    }
}

void table_add_soon(const struct txn_table *t, const struct txn_id *id, const struct slice *keys, size_t count)
{
    map_soon(&t->by_id, id_hash(id));
    for (size_t i = 0; i < count; i++) locks_soon(t, keys[i]);
}

static struct held *table_add(struct txn_table *t, const struct txn_id *id)
{
    struct held *h = t->spare;
    if (h != NULL) {
        t->spare = h->same_hash;
        t->spare_count--;
        *h = (struct held){.row = h->row, .row_capacity = h->row_capacity};
    } else {
        h = mem_zalloc(sizeof(*h));
    }
    h->id = *id;
    h->same_hash = map_put(&t->by_id, id_hash(id), h);
    t->count++;
    return h;
}

static struct heap *heap_of(struct txn_table *t, enum held_state state)
{
    switch (state) {
    case HELD_PREPARED: return &t->undecided;
    case HELD_COMMITTED: return &t->unforgotten;
    case HELD_ABORTED:
    case HELD_SETTLED: break;
    }
    return &t->tombstones;
}

static void release_all(struct txn_table *t, struct held *h)
{
    for (size_t i = 0; i < h->hold_count; i++) locks_release(t, &h->holds[i]);
    locks_release_stretches(h);
    if (h->holds != h->few) mem_free(h->holds);
    h->holds = NULL;
    h->hold_count = 0;
    heap_remove(heap_of(t, h->state), &h->order);
}

void table_remove(struct txn_table *t, struct held *h)
{
    release_all(t, h);
    uint64_t hash = id_hash(&h->id);
    struct held *first = map_get(&t->by_id, hash);
    if (first == h) {
        if (h->same_hash != NULL) {
            (void)map_put(&t->by_id, hash, h->same_hash);
        } else {
            (void)map_remove(&t->by_id, hash);
        }
    } else {
        while (first->same_hash != h) first = first->same_hash;
        first->same_hash = h->same_hash;
    }
    t->count--;
    if (t->spare_count < SPARES_MAX && h->row_capacity <= SPARE_ROW_BYTES) {
        h->same_hash = t->spare;
        t->spare = h;
        t->spare_count++;
    } else {
        held_free(h);
    }
}

void table_keep_row(struct held *h, struct slice row)
{
    if (row.size > h->row_capacity || h->row == NULL) {
        mem_free(h->row);
        h->row = mem_alloc(row.size);
        h->row_capacity = row.size;
    }
    if (row.size > 0) memcpy(h->row, row.data, row.size);
    h->row_size = row.size;
}

/* --- what a prepared transaction locks --- */

struct locking {
    struct txn_table *table;
    struct held *held;
    struct arena *arena;
    struct evaluation e; /* for the question which keys are read */
    bool adds_lock;
};

static void lock_key(struct locking *l, struct slice user_key, struct hold like)
{
    locks_take(l->table, l->held, key_make_data(l->arena, l->e.t.keyspace, user_key), &like);
}

static void lock_ops(struct locking *l, const struct txn_op *ops, size_t count)
{
    evaluation_set_branch(&l->e, ops, count);
    for (size_t i = 0; i < count; i++) {
        const struct txn_op *op = &ops[i];
        if (op->kind == TXN_GET && MUTANT(reads_take_no_lock)) continue;
        struct hold like = {.mode = op->kind == TXN_GET ? HOLD_SHARED : HOLD_EXCLUSIVE};
        if (op->kind == TXN_ADD && !l->adds_lock && !evaluation_reads(&l->e, op->key)) {
            like = (struct hold){.mode = HOLD_RESERVED, .delta = op->delta, .min = op->min, .max = op->max};
        } else if (op->kind != TXN_PUT) {
            l->held->commit_reads = true;
        }
        lock_key(l, op->key, like);
    }
}

static void install_locks(struct txn_table *t, struct held *h, const struct txn_prepare *p, const struct txn *part,
                          struct arena *arena)
{
    struct locking l = {.table = t, .held = h, .arena = arena, .e = {.arena = arena, .t = *part}};
    l.adds_lock = p->has_else;
    h->commit_reads = false;
    locks_reserve_room(h, part->compare_count + part->op_count + part->else_count + 1);
    for (size_t i = 0; i < part->compare_count; i++) {
        const struct txn_compare *c = &part->compares[i];
        struct stretch s;
        if (c->target == TXN_TARGET_SPAN) {
            s = stretch_of(arena, part->keyspace, c);
            locks_take_stretch(t, h, &s);
        } else if (!MUTANT(compares_take_no_lock)) {
            lock_key(&l, c->key, (struct hold){.mode = HOLD_SHARED});
        }
    }
    lock_ops(&l, part->ops, part->op_count);
    lock_ops(&l, part->else_ops, part->else_count);
    if (p->keeps_answer) {
        struct slice key = key_make_idempotency(arena, part->keyspace, p->anchor, &p->client);
        locks_take(t, h, key, &(struct hold){.mode = HOLD_EXCLUSIVE});
    }
}

static void install_adds(struct txn_table *t, struct held *h, const struct held_row *r)
{
    locks_reserve_room(h, r->add_count);
    for (size_t i = 0; i < r->add_count; i++) {
        struct hold like = {.mode = HOLD_RESERVED, .delta = r->adds[i].delta};
        locks_take(t, h, r->adds[i].key, &like);
    }
}

/* What is held under the id, without anything of what it was. */
static struct held *install_bare(struct txn_table *t, const struct txn_id *id, struct slice row,
                                 const struct held_row *r)
{
    struct held *h = table_find(t, id);
    if (h == NULL) h = table_add(t, id);
    release_all(t, h);
    h->state = r->state;
    h->born = r->born;
    h->ts = r->ts;
    if (h->ts > t->newest) t->newest = h->ts;
    table_keep_row(h, row);
    return h;
}

struct held *table_install_prepared(struct txn_table *t, struct slice row, const struct held_row *r,
                                    const struct txn_prepare *p, const struct txn *part, struct arena *arena)
{
    ASSERT(r->state == HELD_PREPARED);
    struct held *h = install_bare(t, &p->id, row, r);
    heap_push(&t->undecided, &h->order, h->ts);
    install_locks(t, h, p, part, arena);
    return h;
}

enum status table_install(struct txn_table *t, const struct txn_id *id, struct slice row, struct arena *arena,
                          struct held **out)
{
    struct held_row r;
    struct txn_prepare p;
    struct txn part;
    enum status s = held_row_decode(row, arena, &r);
    if (s != STATUS_OK) return s;
    if (r.state == HELD_PREPARED) {
        if (txn_prepare_decode(r.prepare, arena, &p) != STATUS_OK || !txn_id_eq(&p.id, id)) return STATUS_CORRUPT;
        if (txn_decode(p.part, arena, &part, NULL) != STATUS_OK) return STATUS_CORRUPT;
        *out = table_install_prepared(t, row, &r, &p, &part, arena);
        return STATUS_OK;
    }
    struct held *h = install_bare(t, id, row, &r);
    if (r.state == HELD_COMMITTED || r.state == HELD_SETTLED) install_adds(t, h, &r);
    if (r.state == HELD_COMMITTED && r.spans.size > 0) heap_push(&t->unforgotten, &h->order, h->born);
    bool goes_by_itself = r.state == HELD_ABORTED || (r.state == HELD_SETTLED && r.add_count == 0);
    if (goes_by_itself) heap_push(&t->tombstones, &h->order, h->born);
    *out = h;
    return STATUS_OK;
}

void table_commit(struct txn_table *t, struct held *h, uint64_t ts)
{
    ASSERT(h->state == HELD_PREPARED && ts >= h->ts);
    heap_remove(&t->undecided, &h->order);
    heap_push(&t->unforgotten, &h->order, h->born);
    h->state = HELD_COMMITTED;
    h->ts = ts;
    if (h->ts > t->newest) t->newest = h->ts;
    locks_release_stretches(h);
    for (size_t i = 0; i < h->hold_count; i++) {
        if (h->holds[i].mode == HOLD_RESERVED) {
            locks_sort(&h->holds[i]);
        } else {
            locks_release(t, &h->holds[i]);
        }
    }
}

enum status txn_table_load(struct txn_table *t, struct slice store_key, struct slice value)
{
    struct txn_id id;
    struct held *h;
    if (store_key.size <= TXN_ID_BYTES) return STATUS_CORRUPT;
    memcpy(id.bytes, store_key.data + store_key.size - TXN_ID_BYTES, TXN_ID_BYTES);
    struct arena arena;
    arena_init(&arena, SCRATCH_BYTES);
    enum status s = MUTANT(locks_not_rebuilt) ? STATUS_OK : table_install(t, &id, value, &arena, &h);
    arena_free(&arena);
    return s;
}

/* --- questions --- */

size_t txn_table_count(const struct txn_table *t)
{
    return t->count;
}

uint64_t txn_table_undecided_min(const struct txn_table *t)
{
    const struct heap_node *n = heap_min(&t->undecided);
    return n == NULL ? UINT64_MAX : n->key;
}

uint64_t txn_table_newest(const struct txn_table *t)
{
    return t->newest;
}

bool txn_table_undecided_first(const struct txn_table *t, struct txn_id *id)
{
    const struct heap_node *n = heap_min(&t->undecided);
    if (n == NULL) return false;
    *id = ((const struct held *)(const void *)((const char *)n - offsetof(struct held, order)))->id;
    return true;
}

bool txn_table_undecided(const struct txn_table *t, const struct txn_id *id)
{
    const struct held *h = table_find(t, id);
    return h != NULL && h->state == HELD_PREPARED;
}

/* Who keeps a reader at ts from the key: an exclusive lock, or the reservations. */
static const struct held *key_waits(const struct lock_key *k, uint64_t ts)
{
    LIST_FOR(it, &k->locks)
    {
        const struct hold *hold = LIST_ENTRY(it, struct hold, link);
        if (hold->mode == HOLD_EXCLUSIVE && hold->txn->ts <= ts) return hold->txn;
    }
    if (list_empty(&k->reservations)) return NULL;
    const struct held *first = LIST_ENTRY(k->reservations.next, struct hold, link)->txn;
    ASSERT(first->state == HELD_PREPARED); /* or it would have been folded */
    return first->ts <= ts ? first : NULL;
}

bool txn_table_read_waits(const struct txn_table *t, struct slice store_key, uint64_t ts, struct txn_id *by)
{
    const struct lock_key *k = locks_find(t, store_key);
    const struct held *h = k == NULL ? NULL : key_waits(k, ts);
    if (h != NULL) *by = h->id;
    return h != NULL;
}

bool txn_table_scan_waits(const struct txn_table *t, struct slice start, struct slice end, uint64_t ts,
                          struct txn_id *by)
{
    LIST_FOR(it, &t->keys)
    {
        const struct lock_key *k = LIST_ENTRY(it, struct lock_key, link);
        if (slice_cmp(k->key, start) < 0 || slice_cmp(k->key, end) >= 0) continue;
        const struct held *h = key_waits(k, ts);
        if (h != NULL) {
            *by = h->id;
            return true;
        }
    }
    return false;
}

bool txn_table_describe(const struct txn_table *t, const struct txn_id *id, struct arena *arena,
                        struct txn_blocked *out)
{
    const struct held *h = table_find(t, id);
    struct held_row r;
    struct txn_prepare p = {.span_count = 0};
    if (h == NULL || (h->state != HELD_PREPARED && h->state != HELD_COMMITTED)) return false;
    if (held_row_decode(slice_make(h->row, h->row_size), arena, &r) != STATUS_OK) BUG("a held row that was installed");
    if (h->state == HELD_COMMITTED) {
        struct cursor c = cursor_make(r.spans);
        txn_read_spans(&c, arena, &p.keyspace, &p.spans, &p.span_count);
        if (c.failed) return false;
    } else if (txn_prepare_decode(r.prepare, arena, &p) != STATUS_OK) {
        BUG("a prepared transaction that was installed");
    }
    *out = (struct txn_blocked){.holder = h->id,
                                .born = h->born,
                                .min_ts = h->ts,
                                .keyspace = p.keyspace,
                                .spans = p.spans,
                                .span_count = p.span_count};
    return true;
}

bool txn_table_holder(const struct txn_table *t, const struct txn_id *id, struct arena *arena, struct txn_blocked *out)
{
    return txn_table_undecided(t, id) && txn_table_describe(t, id, arena, out);
}

bool txn_table_abandoned(const struct txn_table *t, struct txn_id *id)
{
    struct heap_node *n = heap_min(&t->unforgotten);
    if (n == NULL || n->key + TXN_ABANDONED >= t->newest) n = heap_min(&t->undecided);
    if (n == NULL || n->key + TXN_ABANDONED >= t->newest) return false;
    *id = HEAP_ENTRY(n, struct held, order)->id;
    return true;
}

static const struct held *meets_in_stretch(const struct txn_table *t, const struct txn *txn)
{
    const struct held *h = NULL;
    struct arena arena;
    arena_init(&arena, 512);
    for (size_t i = 0; i < txn->compare_count && h == NULL; i++) {
        if (txn->compares[i].target != TXN_TARGET_SPAN) continue;
        struct stretch s = stretch_of(&arena, txn->keyspace, &txn->compares[i]);
        h = locks_stretch_conflict(t, &s, NULL);
    }
    arena_free(&arena);
    return h;
}

const struct held *table_meets(const struct txn_table *t, const struct txn *txn, bool adds_lock)
{
    if (list_empty(&t->keys) && list_empty(&t->stretches)) return NULL;
    struct buf key;
    buf_init(&key, 4 * LIMIT_KEY_BYTES);
    const struct held *h = meets_in_stretch(t, txn);
    const size_t counts[] = {txn->compare_count, txn->op_count, txn->else_count};
    for (size_t part = 0; part < 3; part++) {
        for (size_t i = 0; i < counts[part] && h == NULL; i++) {
            if (part == 0 && txn->compares[i].target == TXN_TARGET_SPAN) continue;
            const struct txn_op *op = part == 1 ? &txn->ops[i] : part == 2 ? &txn->else_ops[i] : NULL;
            enum access access = op == NULL || op->kind == TXN_GET   ? ACCESS_READ
                                 : op->kind == TXN_ADD && !adds_lock ? ACCESS_ADD
                                                                     : ACCESS_WRITE;
            buf_clear(&key);
            key_encode_data(&key, txn->keyspace, op == NULL ? txn->compares[i].key : op->key);
            h = locks_conflict(t, buf_slice(&key), access, NULL);
        }
    }
    buf_free(&key);
    return h;
}

bool txn_table_would_block(const struct txn_table *t, const struct txn *txn, bool prepare, struct txn_id *by)
{
    const struct held *h = table_meets(t, txn, prepare && txn->else_count > 0);
    if (h != NULL) *by = h->id;
    return h != NULL;
}

/* --- what is true at all times --- */

static void check_key(const struct lock_key *k)
{
    ASSERT(!list_empty(&k->locks) || !list_empty(&k->reservations));
    size_t exclusive = 0, shared = 0;
    const struct held *writer = NULL;
    LIST_FOR(it, &k->locks)
    {
        const struct hold *h = LIST_ENTRY(it, struct hold, link);
        ASSERT(h->txn->state == HELD_PREPARED);
        if (h->mode == HOLD_EXCLUSIVE) {
            if (writer != NULL) ASSERT(writer == h->txn);
            writer = h->txn;
            exclusive++;
        } else {
            shared++;
        }
    }
    LIST_FOR(it, &k->locks)
    {
        if (writer != NULL) ASSERT(LIST_ENTRY(it, struct hold, link)->txn == writer);
    }
    if (!list_empty(&k->reservations)) ASSERT(exclusive == 0 && shared == 0);
    if (!list_empty(&k->reservations)) {
        ASSERT(LIST_ENTRY(k->reservations.next, struct hold, link)->txn->state == HELD_PREPARED);
    }
    uint64_t last = 0;
    LIST_FOR(it, &k->reservations)
    {
        const struct held *txn = LIST_ENTRY(it, struct hold, link)->txn;
        ASSERT(txn->ts > last);
        last = txn->ts;
    }
}

void txn_table_check(const struct txn_table *t)
{
    size_t count = 0;
    void *first;
    uint64_t key;
    for (size_t it = 0; map_next(&t->by_id, &it, &key, &first);) {
        for (const struct held *h = first; h != NULL; h = h->same_hash) {
            count++;
            if (h->state == HELD_ABORTED) ASSERT(h->hold_count == 0);
            ASSERT(!h->changed);
            if (h->stretches != NULL) ASSERT(h->state == HELD_PREPARED);
            for (size_t i = 0; i < h->hold_count; i++) ASSERT(h->holds[i].txn == h);
        }
    }
    ASSERT(count == t->count);
    LIST_FOR(it, &t->keys)
    {
        const struct lock_key *k = LIST_ENTRY(it, struct lock_key, link);
        ASSERT(locks_find(t, k->key) == k);
        check_key(k);
    }
}
