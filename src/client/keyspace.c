/* What its keyspace makes of a request: where its keys lie, and how long the rows that it puts live.
 *
 * A keyspace by hash holds each key behind one byte, its bucket (docs/formats/keys.md). Only this folder knows: keys are placed
 * before they are routed, and the byte is taken off again from what a scan brings (buckets.c). */
#include "client/keyspace.h"

#include "base/assert.h"
#include "base/hash.h"

uint8_t keyspace_bucket(uint32_t buckets, struct slice key)
{
    return (uint8_t)(hash_bytes(key, 0) % buckets);
}

/* The key as the keyspace holds it, in the arena. An empty one, which is refused elsewhere, stays empty. */
struct slice keyspace_place(struct arena *arena, uint32_t buckets, struct slice key)
{
    if (buckets == 0 || key.size == 0) return key;
    uint8_t *placed = arena_alloc(arena, key.size + 1);
    placed[0] = keyspace_bucket(buckets, key);
    memcpy(placed + 1, key.data, key.size);
    return slice_make(placed, key.size + 1);
}

static struct txn_op *place_ops(struct request *r, const struct txn_op *ops, size_t count)
{
    struct txn_op *placed = arena_zalloc(&r->arena, (count + 1) * sizeof(*placed));
    for (size_t i = 0; i < count; i++) {
        placed[i] = ops[i];
        placed[i].key = keyspace_place(&r->arena, r->buckets, ops[i].key);
    }
    return placed;
}

/* Of a bucket; an empty end: to the end of the bucket. */
static struct slice in_bucket(struct arena *arena, uint32_t bucket, struct slice key, bool is_end)
{
    if (is_end && key.size == 0 && bucket == UINT8_MAX) return SLICE_EMPTY;
    uint8_t *placed = arena_alloc(arena, key.size + 1);
    placed[0] = (uint8_t)(is_end && key.size == 0 ? bucket + 1 : bucket);
    if (key.size > 0) memcpy(placed + 1, key.data, key.size);
    return slice_make(placed, key.size + 1);
}

/* What was scanned is a stretch of every bucket. */
static void place_compares(struct request *r, struct txn *t)
{
    size_t stretches = 0, n = 0;
    for (size_t i = 0; i < t->compare_count; i++) stretches += t->compares[i].target == TXN_TARGET_SPAN;
    size_t room = t->compare_count + stretches * r->buckets + 1;
    struct txn_compare *compares = arena_zalloc(&r->arena, room * sizeof(*compares));
    for (size_t i = 0; i < t->compare_count; i++) {
        const struct txn_compare *c = &t->compares[i];
        bool stretch = c->target == TXN_TARGET_SPAN;
        for (uint32_t b = 0; stretch && b < r->buckets; b++) {
            compares[n] = *c;
            compares[n].key = in_bucket(&r->arena, b, c->key, false);
            compares[n++].value = in_bucket(&r->arena, b, c->value, true);
        }
        if (stretch) continue;
        compares[n] = *c;
        compares[n++].key = keyspace_place(&r->arena, r->buckets, c->key);
    }
    t->compares = compares;
    t->compare_count = n;
}

static void place_txn(struct request *r, struct txn *t)
{
    place_compares(r, t);
    t->ops = place_ops(r, t->ops, t->op_count);
    t->else_ops = place_ops(r, t->else_ops, t->else_count);
}

static void note_stretches(struct request *r, const struct txn *t)
{
    bool open = false;
    for (size_t i = 0; i < t->compare_count; i++) {
        const struct txn_compare *c = &t->compares[i];
        if (c->target != TXN_TARGET_SPAN) continue;
        r->has_stretch = true;
        open = open || c->value.size == 0;
        if (slice_cmp(c->value, r->reach) > 0) r->reach = c->value;
    }
    r->reach = open ? SLICE_EMPTY : arena_dup_slice(&r->arena, r->reach);
}

bool keyspace_encode_txn(struct request *r, const struct txn *t)
{
    struct txn whole = *t;
    struct slice low, high;
    whole.keyspace = r->keyspace;
    whole.ttl_ms = r->ttl_ms;
    if (r->buckets > 0) place_txn(r, &whole);
    txn_key_span(&whole, &low, &high);
    note_stretches(r, &whole);
    r->low = arena_dup_slice(&r->arena, low);
    r->high = arena_dup_slice(&r->arena, high);
    txn_encode(&whole, &r->body);
    r->txn = NULL;
    r->placed = true;
    return !r->body.overflow && r->body.size <= LIMIT_TXN_BYTES &&
           whole.compare_count + whole.op_count + whole.else_count <= LIMIT_TXN_OPS;
}

static void take_keyspace(struct request *r, const struct route_keyspace *k)
{
    r->keyspace_known = true;
    r->keyspace = k->id;
    r->buckets = k->buckets;
    r->ttl_ms = k->ttl_ms;
}

void keyspace_look_up(struct request *r)
{
    const struct route_keyspace *k = routes_keyspace(&r->client->routes, r->keyspace_name);
    if (k != NULL && !k->dropped) take_keyspace(r, k);
}

static enum step unknown(struct request *r, const char *what)
{
    if (!r->map_fresh) return refresh_wait(r);
    return request_finish(r, STATUS_NOT_FOUND, "%s \"%.*s\"", what, (int)r->keyspace_name.size,
                          (const char *)r->keyspace_name.data);
}

static enum step place(struct request *r)
{
    if (r->txn != NULL && !keyspace_encode_txn(r, r->txn))
        return request_finish(r, STATUS_TOO_LARGE, "the transaction is larger than %u bytes", LIMIT_TXN_BYTES);
    if (r->kind == REQUEST_GET) r->low = r->high = keyspace_place(&r->arena, r->buckets, r->low);
    if (r->kind == REQUEST_GET && r->low.size > LIMIT_KEY_BYTES)
        return request_finish(r, STATUS_TOO_LARGE, "a key has at most %u bytes in a keyspace by hash",
                              LIMIT_KEY_BYTES - 1);
    r->placed = true;
    return STEP_AGAIN;
}

/* Its ranges have gone with it: nobody will ever answer. */
enum step keyspace_still(struct request *r)
{
    const struct route_keyspace *k = routes_keyspace(&r->client->routes, r->keyspace_name);
    if (k != NULL && k->id == r->keyspace) return STEP_AGAIN;
    return request_finish(r, STATUS_NOT_FOUND, "the keyspace was dropped meanwhile");
}

enum step keyspace_enter(struct request *r)
{
    struct route_keyspace *k = routes_keyspace(&r->client->routes, r->keyspace_name);
    if (k == NULL) return unknown(r, "there is no keyspace named");
    if (k->dropped) return unknown(r, "dropped, and to be destroyed, is the keyspace");
    if (r->keyspace_known && k->id != r->keyspace) {
        COVER("client.keyspace_made_anew");
        return request_finish(r, STATUS_NOT_FOUND, "the keyspace was dropped, and another one has its name since");
    }
    if (!r->keyspace_known) take_keyspace(r, k);
    refresh_keyspace_used(r->client, k);
    return r->placed ? STEP_AGAIN : place(r);
}
