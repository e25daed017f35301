/* Encoding and decoding of transactions: docs/formats/txn.md. */
#include "txn/txn_int.h"

#include "base/assert.h"
#include "base/hash.h"

#define FLAG_ID 1u
#define FLAG_TTL 2u /* the last 8 bytes: the time to live of rows put without one */
#define TTL_BYTES 8u
/* On the wire a put or an insert with a time to live has a number of its own. */
#define OP_PUT_TTL 6u
#define OP_INSERT_TTL 7u
#define KEEPS_VALUE 1u
#define KEEPS_LEASE 2u
#define BOUND_MIN 1u
#define BOUND_MAX 2u
#define COMPARE_WIRE_MIN 5u  /* target, relation, key of one byte, operand */
#define OP_WIRE_MIN 3u       /* kind, key of one byte */
#define WRITES_FEW 8u        /* are compared each with each */
#define PROBES_PER_WRITE 16u /* more: keys chosen to collide */

/* --- encoding --- */

void txn_put_bytes(struct buf *out, struct slice s)
{
    buf_put_varint(out, s.size);
    buf_append_slice(out, s);
}

static void put_i128(struct buf *out, i128 v)
{
    uint8_t bytes[16];
    i128_encode(v, bytes);
    buf_append(out, bytes, sizeof(bytes));
}

static bool target_has_value(enum txn_target t)
{
    return t == TXN_TARGET_VALUE || t == TXN_TARGET_PAYLOAD || t == TXN_TARGET_SPAN;
}

static bool target_has_number(enum txn_target t)
{
    return t != TXN_TARGET_VALUE && t != TXN_TARGET_PAYLOAD;
}

static void put_compare(struct buf *out, const struct txn_compare *c)
{
    buf_put_u8(out, (uint8_t)c->target);
    buf_put_u8(out, (uint8_t)c->relation);
    txn_put_bytes(out, c->key);
    if (target_has_value(c->target)) txn_put_bytes(out, c->value);
    if (target_has_number(c->target)) buf_put_varint(out, c->version);
}

static void put_op(struct buf *out, const struct txn_op *op)
{
    unsigned with_ttl = op->kind == TXN_PUT ? OP_PUT_TTL : OP_INSERT_TTL;
    buf_put_u8(out, (uint8_t)(op->has_ttl ? with_ttl : (unsigned)op->kind));
    txn_put_bytes(out, op->key);
    if (op->has_ttl) ASSERT(op->kind == TXN_PUT || op->kind == TXN_INSERT);
    if (op->has_ttl) buf_put_varint(out, op->ttl_ms);
    switch (op->kind) {
    case TXN_GET:
    case TXN_DELETE: break;
    case TXN_PUT:
    case TXN_INSERT: txn_put_bytes(out, op->value); break;
    case TXN_ADD: {
        unsigned bounds = (op->min != I128_MIN ? BOUND_MIN : 0) | (op->max != I128_MAX ? BOUND_MAX : 0);
        buf_put_u8(out, (uint8_t)bounds);
        put_i128(out, op->delta);
        if (bounds & BOUND_MIN) put_i128(out, op->min);
        if (bounds & BOUND_MAX) put_i128(out, op->max);
        break;
    }
    case TXN_REVISE:
        buf_put_u8(out, (uint8_t)((op->keeps_value ? KEEPS_VALUE : 0) | (op->keeps_lease ? KEEPS_LEASE : 0)));
        buf_put_varint(out, op->lease);
        txn_put_bytes(out, op->value);
        break;
    }
}

void txn_encode(const struct txn *t, struct buf *out)
{
    bool has_id = !txn_id_is_none(&t->id);
    buf_put_u8(out, TXN_VERSION);
    buf_put_u8(out, (uint8_t)((has_id ? FLAG_ID : 0) | (t->ttl_ms > 0 ? FLAG_TTL : 0)));
    if (has_id) buf_append(out, t->id.bytes, TXN_ID_BYTES);
    buf_put_varint(out, t->keyspace);
    buf_put_varint(out, t->compare_count);
    buf_put_varint(out, t->op_count);
    buf_put_varint(out, t->else_count);
    for (size_t i = 0; i < t->compare_count; i++) put_compare(out, &t->compares[i]);
    for (size_t i = 0; i < t->op_count; i++) put_op(out, &t->ops[i]);
    for (size_t i = 0; i < t->else_count; i++) put_op(out, &t->else_ops[i]);
    if (t->ttl_ms > 0) buf_put_u64(out, t->ttl_ms);
}

struct slice txn_without_default_ttl(struct slice encoded)
{
    ASSERT(encoded.size > 2);
    bool has_ttl = (encoded.data[1] & FLAG_TTL) != 0;
    size_t left_out = has_ttl ? 2 + TTL_BYTES : 2;
    ASSERT(encoded.size > left_out);
    return slice_make(encoded.data + 2, encoded.size - left_out);
}

/* --- decoding --- */

struct slice txn_read_bytes(struct cursor *c, uint64_t size_max)
{
    uint64_t size = cursor_varint(c);
    if (c->failed || size > size_max || size > cursor_left(c)) {
        c->failed = true;
        return SLICE_EMPTY;
    }
    return cursor_bytes(c, (size_t)size);
}

struct decoder {
    struct cursor c;
    struct arena *arena;
    struct errbuf *err;
};

static enum status malformed(struct decoder *d, const char *what)
{
    errbuf_set(d->err, "the transaction cannot be decoded: %s; encode it by docs/formats/txn.md", what);
    return STATUS_INVALID;
}

/* A length beyond the published limit is told apart from one beyond the bytes that are there. */
static enum status get_limited(struct decoder *d, uint64_t size_max, const char *what, struct slice *out)
{
    struct cursor peek = d->c;
    uint64_t size = cursor_varint(&peek);
    if (!peek.failed && size > size_max) {
        errbuf_set(d->err, "a %s of %llu bytes exceeds the limit of %llu bytes; make it smaller", what,
                   (unsigned long long)size, (unsigned long long)size_max);
        return STATUS_TOO_LARGE;
    }
    *out = txn_read_bytes(&d->c, size_max);
    return d->c.failed ? malformed(d, "it is cut short") : STATUS_OK;
}

static enum status get_key(struct decoder *d, struct slice *key)
{
    enum status s = get_limited(d, LIMIT_KEY_BYTES, "key", key);
    if (s == STATUS_OK && key->size == 0) return malformed(d, "a key is empty");
    return s;
}

static enum status get_value(struct decoder *d, struct slice *value)
{
    return get_limited(d, LIMIT_VALUE_BYTES, "value", value);
}

static i128 get_i128(struct decoder *d)
{
    struct slice s = cursor_bytes(&d->c, 16);
    return s.size == 16 ? i128_decode(s.data) : 0;
}

static enum status get_compare(struct decoder *d, struct txn_compare *c)
{
    unsigned target = cursor_u8(&d->c), relation = cursor_u8(&d->c);
    if (target < TXN_TARGET_VERSION || target > TXN_TARGET_SPAN) return malformed(d, "unknown target of a compare");
    if (relation < TXN_EQUAL || relation > TXN_GREATER) return malformed(d, "unknown relation of a compare");
    c->target = (enum txn_target)target;
    c->relation = (enum txn_relation)relation;
    c->value = SLICE_EMPTY;
    enum status s = get_key(d, &c->key);
    if (s != STATUS_OK) return s;
    if (target_has_value(c->target)) s = get_value(d, &c->value);
    if (s != STATUS_OK) return s;
    if (target_has_number(c->target)) c->version = cursor_varint(&d->c);
    if (d->c.failed) return malformed(d, "it is cut short");
    if (c->target == TXN_TARGET_SPAN && c->value.size > 0 && slice_cmp(c->key, c->value) >= 0)
        return malformed(d, "the end of a compared span is not behind its start");
    if (c->target == TXN_TARGET_EXISTS && (c->version > 1 || c->relation != TXN_EQUAL)) {
        return malformed(d, "a compare of existence is neither \"equals 0\" nor \"equals 1\"");
    }
    if (c->target == TXN_TARGET_SPAN && c->relation != TXN_EQUAL) return malformed(d, "a stretch has no relation");
    return STATUS_OK;
}

static enum status get_add(struct decoder *d, struct txn_op *op)
{
    unsigned bounds = cursor_u8(&d->c);
    if (bounds > (BOUND_MIN | BOUND_MAX)) return malformed(d, "unknown bounds of an add");
    op->delta = get_i128(d);
    op->min = bounds & BOUND_MIN ? get_i128(d) : I128_MIN;
    op->max = bounds & BOUND_MAX ? get_i128(d) : I128_MAX;
    if (d->c.failed) return malformed(d, "it is cut short");
    if (op->min > op->max) return malformed(d, "an add's min is above its max");
    return STATUS_OK;
}

static enum status get_revise(struct decoder *d, struct txn_op *op)
{
    unsigned keeps = cursor_u8(&d->c);
    if (keeps > (KEEPS_VALUE | KEEPS_LEASE)) return malformed(d, "unknown flags of a revision");
    op->keeps_value = (keeps & KEEPS_VALUE) != 0;
    op->keeps_lease = (keeps & KEEPS_LEASE) != 0;
    op->lease = cursor_varint(&d->c);
    return get_limited(d, LIMIT_VALUE_BYTES - REVISED_HEAD_BYTES, "value", &op->value);
}

static enum status get_op(struct decoder *d, struct txn_op *op)
{
    unsigned kind = cursor_u8(&d->c);
    op->has_ttl = kind == OP_PUT_TTL || kind == OP_INSERT_TTL;
    if (op->has_ttl) kind = kind == OP_PUT_TTL ? TXN_PUT : TXN_INSERT;
    if ((kind < TXN_GET || kind > TXN_ADD) && kind != TXN_REVISE) return malformed(d, "unknown kind of an operation");
    op->kind = (enum txn_op_kind)kind;
    op->value = SLICE_EMPTY;
    enum status s = get_key(d, &op->key);
    if (s != STATUS_OK) return s;
    if (op->has_ttl) op->ttl_ms = cursor_varint(&d->c);
    if (op->ttl_ms > LIMIT_TTL_MS) return malformed(d, "a time to live of more than 100 years");
    if (op->kind == TXN_PUT || op->kind == TXN_INSERT) return get_value(d, &op->value);
    if (op->kind == TXN_ADD) return get_add(d, op);
    if (op->kind == TXN_REVISE) return get_revise(d, op);
    return STATUS_OK;
}

static enum status written_twice(struct decoder *d, uint32_t first, uint32_t second)
{
    errbuf_set(d->err, "operations %u and %u write the same key; write each key once", first, second);
    return STATUS_INVALID;
}

static enum status check_few(struct decoder *d, const struct txn_op *ops, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        for (size_t k = 0; k < i && txn_op_writes(ops[i].kind); k++) {
            if (txn_op_writes(ops[k].kind) && slice_eq(ops[k].key, ops[i].key))
                return written_twice(d, (uint32_t)k, (uint32_t)i);
        }
    }
    return STATUS_OK;
}

static enum status check_sorted(struct decoder *d, const struct txn_op *ops, size_t count)
{
    size_t writes;
    const uint32_t *order = txn_order_writes(ops, count, d->arena, &writes);
    for (size_t i = 1; i < writes; i++) {
        if (slice_eq(ops[order[i - 1]].key, ops[order[i]].key)) return written_twice(d, order[i - 1], order[i]);
    }
    return STATUS_OK;
}

static enum status check_many(struct decoder *d, const struct txn_op *ops, size_t count)
{
    size_t mask = 63, probes = 0;
    while (mask < 2 * count) mask = mask * 2 + 1;
    uint32_t *set = arena_zalloc(d->arena, (mask + 1) * sizeof(*set)); /* of indexes, from 1 */
    for (size_t i = 0; i < count; i++) {
        if (!txn_op_writes(ops[i].kind)) continue;
        size_t at = (size_t)hash_bytes(ops[i].key, 6) & mask;
        for (; set[at] != 0; at = (at + 1) & mask) {
            if (slice_eq(ops[set[at] - 1].key, ops[i].key)) return written_twice(d, set[at] - 1, (uint32_t)i);
            if (++probes > PROBES_PER_WRITE * count) return check_sorted(d, ops, count);
        }
        set[at] = (uint32_t)i + 1;
    }
    return STATUS_OK;
}

/* Two writes of one key in one branch would make their order matter and the second's guard ambiguous. */
static enum status check_written_once(struct decoder *d, const struct txn_op *ops, size_t count)
{
    return count <= WRITES_FEW ? check_few(d, ops, count) : check_many(d, ops, count);
}

static enum status get_ops(struct decoder *d, struct txn_op **ops, size_t count)
{
    if (count == 0) return STATUS_OK;
    if (count > cursor_left(&d->c) / OP_WIRE_MIN) return malformed(d, "it has fewer bytes than its operations take");
    *ops = arena_zalloc(d->arena, count * sizeof(**ops));
    for (size_t i = 0; i < count; i++) {
        enum status s = get_op(d, &(*ops)[i]);
        if (s != STATUS_OK) return s;
    }
    return check_written_once(d, *ops, count);
}

static enum status get_compares(struct decoder *d, struct txn_compare **compares, size_t count)
{
    if (count == 0) return STATUS_OK;
    if (count > cursor_left(&d->c) / COMPARE_WIRE_MIN) return malformed(d, "it has fewer bytes than its compares take");
    *compares = arena_zalloc(d->arena, count * sizeof(**compares));
    for (size_t i = 0; i < count; i++) {
        enum status s = get_compare(d, &(*compares)[i]);
        if (s != STATUS_OK) return s;
    }
    return STATUS_OK;
}

static enum status get_head(struct decoder *d, struct txn *out)
{
    unsigned version = cursor_u8(&d->c), flags = cursor_u8(&d->c);
    if (d->c.failed) return malformed(d, "it is cut short");
    if (version != TXN_VERSION || (flags & ~(FLAG_ID | FLAG_TTL)) != 0) {
        errbuf_set(d->err, "a transaction of format version %u, flags %u is not known here; upgrade this process",
                   version, flags);
        return STATUS_UNSUPPORTED;
    }
    if (flags & FLAG_ID) {
        struct slice id = cursor_bytes(&d->c, TXN_ID_BYTES);
        if (id.size == TXN_ID_BYTES) memcpy(out->id.bytes, id.data, TXN_ID_BYTES);
        if (txn_id_is_none(&out->id)) return malformed(d, "its id is missing or all zero");
    }
    uint64_t keyspace = cursor_varint(&d->c);
    uint64_t compares = cursor_varint(&d->c), ops = cursor_varint(&d->c), elses = cursor_varint(&d->c);
    if (d->c.failed) return malformed(d, "it is cut short");
    if (keyspace > TXN_KEYSPACE_MAX) return malformed(d, "no such keyspace number");
    if (compares > LIMIT_TXN_OPS || ops > LIMIT_TXN_OPS || elses > LIMIT_TXN_OPS ||
        compares + ops + elses > LIMIT_TXN_OPS) {
        errbuf_set(d->err, "a transaction holds at most %u compares and operations; split it", LIMIT_TXN_OPS);
        return STATUS_TOO_LARGE;
    }
    if (compares + ops + elses == 0) return malformed(d, "it is empty");
    if (flags & FLAG_TTL) {
        struct slice rest = cursor_bytes(&d->c, cursor_left(&d->c));
        if (rest.size < TTL_BYTES) return malformed(d, "it is cut short");
        out->ttl_ms = le_u64(rest.data + rest.size - TTL_BYTES);
        if (out->ttl_ms == 0 || out->ttl_ms > LIMIT_TTL_MS) return malformed(d, "a time to live out of bounds");
        d->c = cursor_make(slice_make(rest.data, rest.size - TTL_BYTES));
    }
    out->keyspace = (uint32_t)keyspace;
    out->compare_count = (size_t)compares;
    out->op_count = (size_t)ops;
    out->else_count = (size_t)elses;
    return STATUS_OK;
}

static enum status get_txn(struct decoder *d, struct txn *out)
{
    enum status s = get_head(d, out);
    if (s == STATUS_OK) s = get_compares(d, &out->compares, out->compare_count);
    if (s == STATUS_OK) s = get_ops(d, &out->ops, out->op_count);
    if (s == STATUS_OK) s = get_ops(d, &out->else_ops, out->else_count);
    if (s == STATUS_OK && cursor_left(&d->c) > 0) return malformed(d, "there are bytes behind its end");
    return s;
}

enum status txn_decode(struct slice bytes, struct arena *arena, struct txn *out, struct errbuf *err)
{
    *out = (struct txn){.compare_count = 0};
    if (bytes.size > LIMIT_TXN_BYTES) {
        errbuf_set(err, "a transaction of %zu bytes exceeds the limit of %u bytes; split it", bytes.size,
                   LIMIT_TXN_BYTES);
        return STATUS_TOO_LARGE;
    }
    struct decoder d = {.c = cursor_make(bytes), .arena = arena, .err = err};
    enum status s = get_txn(&d, out);
    if (s != STATUS_OK) *out = (struct txn){.compare_count = 0};
    return s;
}
