/* Locks and reservations by key. */
#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "txn/table_int.h"

/* --- by key --- */

static uint64_t key_hash(struct slice store_key)
{
    return hash_bytes(store_key, 3);
}

static struct lock_key *find(const struct txn_table *t, struct slice store_key, uint64_t hash)
{
    struct lock_key *k = map_get(&t->by_key, hash);
    while (k != NULL && !slice_eq(k->key, store_key)) k = k->same_hash;
    return k;
}

struct lock_key *locks_find(const struct txn_table *t, struct slice store_key)
{
    return t == NULL || list_empty(&t->keys) ? NULL : find(t, store_key, key_hash(store_key));
}

void locks_soon(const struct txn_table *t, struct slice store_key)
{
    map_soon(&t->by_key, key_hash(store_key));
}

static struct lock_key *locks_make(struct txn_table *t, struct slice store_key)
{
    uint64_t hash = key_hash(store_key);
    struct lock_key *k = find(t, store_key, hash);
    if (k != NULL) return k;
    k = mem_zalloc(sizeof(*k) + store_key.size);
    uint8_t *bytes = (uint8_t *)(k + 1);
    memcpy(bytes, store_key.data, store_key.size);
    k->key = slice_make(bytes, store_key.size);
    k->hash = hash;
    k->same_hash = map_put(&t->by_key, hash, k);
    list_init(&k->locks);
    list_init(&k->reservations);
    list_push_back(&t->keys, &k->link);
    return k;
}

static void locks_drop(struct txn_table *t, struct lock_key *k)
{
    struct lock_key *first = map_get(&t->by_key, k->hash);
    if (first == k && k->same_hash == NULL) {
        (void)map_remove(&t->by_key, k->hash);
    } else if (first == k) {
        (void)map_put(&t->by_key, k->hash, k->same_hash);
    } else {
        while (first->same_hash != k) first = first->same_hash;
        first->same_hash = k->same_hash;
    }
    list_remove(&k->link);
    mem_free(k);
}

/* --- holds --- */

void locks_reserve_room(struct held *h, size_t count)
{
    ASSERT(h->holds == NULL);
    if (count > 0) h->holds = count <= HOLDS_FEW ? h->few : mem_zalloc(count * sizeof(*h->holds));
    for (size_t i = 0; i < count; i++) list_init(&h->holds[i].link);
}

static bool later(const struct held *a, const struct held *b)
{
    return a->ts != b->ts ? a->ts > b->ts : memcmp(a->id.bytes, b->id.bytes, TXN_ID_BYTES) > 0;
}

void locks_sort(struct hold *reservation)
{
    struct list *head = &reservation->at->reservations;
    list_remove(&reservation->link);
    struct list *it = head->prev; /* most belong at the end */
    while (it != head && later(LIST_ENTRY(it, struct hold, link)->txn, reservation->txn)) it = it->prev;
    list_insert_before(it->next, &reservation->link);
}

void locks_take(struct txn_table *t, struct held *h, struct slice store_key, const struct hold *like)
{
    struct hold *hold = &h->holds[h->hold_count++];
    *hold = *like;
    list_init(&hold->link);
    hold->txn = h;
    hold->at = locks_make(t, store_key);
    if (hold->mode == HOLD_RESERVED) {
        locks_sort(hold);
    } else {
        list_push_back(&hold->at->locks, &hold->link);
    }
}

void locks_know_folded(struct txn_table *t, struct slice store_key, i128 folded)
{
    struct lock_key *k = locks_find(t, store_key);
    if (k == NULL || list_empty(&k->reservations)) return;
    if (k->folded_known) ASSERT(k->folded == folded);
    k->folded_known = true;
    k->folded = folded;
}

void locks_release(struct txn_table *t, struct hold *hold)
{
    struct lock_key *k = hold->at;
    if (k == NULL) return;
    list_remove(&hold->link);
    hold->at = NULL;
    if (list_empty(&k->locks) && list_empty(&k->reservations)) locks_drop(t, k);
}

/* --- stretches --- */

struct stretch stretch_of(struct arena *arena, uint32_t keyspace, const struct txn_compare *c)
{
    struct stretch s;
    struct buf b;
    buf_init(&b, 4 * LIMIT_KEY_BYTES);
    key_encode_bound(&b, keyspace, c->key);
    s.from = arena_dup_slice(arena, buf_slice(&b));
    buf_clear(&b);
    key_encode_bound(&b, c->value.size == 0 ? keyspace + 1 : keyspace, c->value);
    s.to = arena_dup_slice(arena, buf_slice(&b));
    buf_free(&b);
    return s;
}

void locks_take_stretch(struct txn_table *t, struct held *h, const struct stretch *s)
{
    if (MUTANT(stretch_not_locked)) return;
    struct stretch_hold *hold = mem_zalloc(sizeof(*hold) + s->from.size + s->to.size);
    uint8_t *bytes = (uint8_t *)(hold + 1);
    memcpy(bytes, s->from.data, s->from.size);
    memcpy(bytes + s->from.size, s->to.data, s->to.size);
    hold->txn = h;
    hold->stretch.from = slice_make(bytes, s->from.size);
    hold->stretch.to = slice_make(bytes + s->from.size, s->to.size);
    hold->next = h->stretches;
    h->stretches = hold;
    list_push_back(&t->stretches, &hold->link);
}

void locks_release_stretches(struct held *h)
{
    while (h->stretches != NULL) {
        struct stretch_hold *hold = h->stretches;
        h->stretches = hold->next;
        list_remove(&hold->link);
        mem_free(hold);
    }
}

static const struct held *older(const struct held *a, const struct held *b)
{
    if (a == NULL || b == NULL) return a == NULL ? b : a;
    return later(a, b) ? b : a;
}

const struct held *locks_stretch_conflict(const struct txn_table *t, const struct stretch *s, const struct held *self)
{
    const struct held *oldest = NULL;
    if (t == NULL) return NULL;
    LIST_FOR(it, &t->keys)
    {
        const struct lock_key *k = LIST_ENTRY(it, struct lock_key, link);
        if (slice_cmp(k->key, s->from) < 0 || slice_cmp(k->key, s->to) >= 0 || key_is_idempotency(k->key)) continue;
        oldest = older(oldest, locks_conflict_at(t, k, k->key, ACCESS_READ, self));
    }
    return oldest;
}

/* Of those who have scanned where somebody would write. */
static const struct held *scanner_of(const struct txn_table *t, struct slice store_key, const struct held *self)
{
    const struct held *oldest = NULL;
    LIST_FOR(it, &t->stretches)
    {
        const struct stretch_hold *h = LIST_ENTRY(it, struct stretch_hold, link);
        if (h->txn == self || slice_cmp(store_key, h->stretch.from) < 0 || slice_cmp(store_key, h->stretch.to) >= 0)
            continue;
        oldest = older(oldest, h->txn);
    }
    return oldest != NULL && key_is_idempotency(store_key) ? NULL : oldest;
}

const struct held *locks_conflict(const struct txn_table *t, struct slice store_key, enum access access,
                                  const struct held *self)
{
    return locks_conflict_at(t, locks_find(t, store_key), store_key, access, self);
}

const struct held *locks_conflict_at(const struct txn_table *t, const struct lock_key *k, struct slice store_key,
                                     enum access access, const struct held *self)
{
    if (t == NULL) return NULL;
    bool writes = access != ACCESS_READ;
    const struct held *oldest = writes && !list_empty(&t->stretches) ? scanner_of(t, store_key, self) : NULL;
    if (k == NULL) return oldest;
    /* of all in the way: whatever the order in which a replica came to know them */
    LIST_FOR(it, &k->locks)
    {
        const struct hold *hold = LIST_ENTRY(it, struct hold, link);
        if (hold->txn == self || (hold->mode != HOLD_EXCLUSIVE && access == ACCESS_READ)) continue;
        if (oldest == NULL || later(oldest, hold->txn)) oldest = hold->txn;
    }
    if (oldest != NULL) return oldest;
    if (access == ACCESS_ADD || list_empty(&k->reservations)) return NULL;
    const struct held *undecided = escrow_waits_for(k);
    ASSERT(undecided != NULL); /* what is decided and below everything undecided has been folded */
    return undecided != self ? undecided : NULL;
}
