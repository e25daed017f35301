/* Locks and reservations by key: a treap whose priorities are hashes of the keys, so its shape depends on nothing else. */
#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "txn/table_int.h"

/* --- the treap --- */

struct lock_key *locks_find(const struct txn_table *t, struct slice store_key)
{
    struct lock_key *k = t->keys;
    while (k != NULL) {
        int order = slice_cmp(store_key, k->key);
        if (order == 0) return k;
        k = order < 0 ? k->left : k->right;
    }
    return NULL;
}

struct lock_key *locks_first(const struct txn_table *t, struct slice from)
{
    struct lock_key *k = t->keys, *best = NULL;
    while (k != NULL) {
        if (slice_cmp(k->key, from) >= 0) {
            best = k;
            k = k->left;
        } else {
            k = k->right;
        }
    }
    return best;
}

struct lock_key *locks_after(const struct txn_table *t, const struct lock_key *k)
{
    struct lock_key *at = t->keys, *best = NULL;
    while (at != NULL) {
        if (slice_cmp(at->key, k->key) > 0) {
            best = at;
            at = at->left;
        } else {
            at = at->right;
        }
    }
    return best;
}

static bool above(const struct lock_key *a, const struct lock_key *b)
{
    return a->priority != b->priority ? a->priority > b->priority : slice_cmp(a->key, b->key) < 0;
}

static struct lock_key *lock_key_new(struct slice key)
{
    struct lock_key *k = mem_zalloc(sizeof(*k) + key.size);
    uint8_t *bytes = (uint8_t *)(k + 1);
    memcpy(bytes, key.data, key.size);
    k->key = slice_make(bytes, key.size);
    k->priority = hash_bytes(key, 3);
    list_init(&k->locks);
    list_init(&k->reservations);
    return k;
}

/* Splits the tree below *at into keys below `key` and above it. */
static void split(struct lock_key *at, struct slice key, struct lock_key **below, struct lock_key **over)
{
    while (at != NULL) {
        if (slice_cmp(at->key, key) < 0) {
            *below = at;
            below = &at->right;
            at = at->right;
        } else {
            *over = at;
            over = &at->left;
            at = at->left;
        }
    }
    *below = *over = NULL;
}

static struct lock_key *locks_make(struct txn_table *t, struct slice store_key)
{
    struct lock_key *k = locks_find(t, store_key);
    if (k != NULL) return k;
    k = lock_key_new(store_key);
    struct lock_key **at = &t->keys;
    while (*at != NULL && above(*at, k)) at = slice_cmp(k->key, (*at)->key) < 0 ? &(*at)->left : &(*at)->right;
    split(*at, k->key, &k->left, &k->right);
    *at = k;
    return k;
}

static void locks_drop(struct txn_table *t, struct lock_key *k)
{
    struct lock_key **at = &t->keys;
    while (*at != k) at = slice_cmp(k->key, (*at)->key) < 0 ? &(*at)->left : &(*at)->right;
    struct lock_key *left = k->left, *right = k->right;
    while (left != NULL || right != NULL) { /* merges the two children into k's place */
        if (right == NULL || (left != NULL && above(left, right))) {
            *at = left;
            at = &left->right;
            left = left->right;
        } else {
            *at = right;
            at = &right->left;
            right = right->left;
        }
    }
    *at = NULL;
    mem_free(k);
}

/* --- holds --- */

void locks_reserve_room(struct held *h, size_t count)
{
    ASSERT(h->holds == NULL);
    if (count > 0) h->holds = mem_zalloc(count * sizeof(*h->holds));
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
    struct lock_key *k = t == NULL ? NULL : locks_first(t, s->from);
    for (; k != NULL && slice_cmp(k->key, s->to) < 0; k = locks_after(t, k)) {
        if (!key_is_idempotency(k->key)) oldest = older(oldest, locks_conflict(t, k->key, ACCESS_READ, self));
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
    if (t == NULL) return NULL;
    struct lock_key *k = locks_find(t, store_key);
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
