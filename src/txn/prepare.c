/* Encoding and decoding of what coordinator and participants tell each other: docs/formats/txn.md, "Several ranges". */
#include "txn/prepare.h"

#include "base/assert.h"
#include "txn/txn_int.h"

#define PREPARE_VERSION 1u
#define VOTE_VERSION 0x11u
#define DECIDE_VERSION 1u
#define SEAL_VERSION 1u
#define BLOCKED_VERSION 0xB1u
#define PREPARE_HAS_ELSE 1u
#define PREPARE_KEEPS_ANSWER 2u
#define VOTE_HOLDS 1u
#define VOTE_HAS_ELSE 2u
#define VOTE_KEEPS_ANSWER 4u
#define VOTE_UNTIL 8u
#define DECIDE_COMMIT 1u
#define DECIDE_ELSE 2u

struct txn_id txn_part_id(const struct txn_id *attempt, size_t part)
{
    struct txn_id id = *attempt;
    ASSERT(part < TXN_PARTICIPANTS_MAX);
    id.bytes[TXN_ID_BYTES - 2] = (uint8_t)(part >> 8);
    id.bytes[TXN_ID_BYTES - 1] = (uint8_t)part;
    return id;
}

size_t txn_part_number(const struct txn_id *part)
{
    return (size_t)part->bytes[TXN_ID_BYTES - 2] << 8 | part->bytes[TXN_ID_BYTES - 1];
}

bool txn_same_attempt(const struct txn_id *a, const struct txn_id *b)
{
    return memcmp(a->bytes, b->bytes, TXN_ID_BYTES - 2) == 0;
}

/* --- parts of several messages --- */

static void get_id(struct cursor *c, struct txn_id *id)
{
    struct slice s = cursor_bytes(c, TXN_ID_BYTES);
    if (s.size == TXN_ID_BYTES) memcpy(id->bytes, s.data, TXN_ID_BYTES);
}

static void put_numbers(struct buf *out, const uint32_t *numbers, size_t count)
{
    buf_put_varint(out, count);
    for (size_t i = 0; i < count; i++) buf_put_varint(out, numbers[i]);
}

static uint32_t *get_numbers(struct cursor *c, struct arena *arena, size_t *count)
{
    uint64_t n = cursor_varint(c);
    *count = 0;
    if (c->failed || n > LIMIT_TXN_OPS || n > cursor_left(c)) {
        c->failed = true;
        return NULL;
    }
    uint32_t *numbers = arena_alloc(arena, (size_t)n * sizeof(*numbers));
    for (size_t i = 0; i < n; i++) {
        uint64_t v = cursor_varint(c);
        if (v >= LIMIT_TXN_OPS) c->failed = true;
        numbers[i] = (uint32_t)v;
    }
    *count = (size_t)n;
    return numbers;
}

static void put_places(struct buf *out, const struct txn_places *p)
{
    put_numbers(out, p->compares, p->compare_count);
    put_numbers(out, p->ops, p->op_count);
    put_numbers(out, p->elses, p->else_count);
}

static void get_places(struct cursor *c, struct arena *arena, struct txn_places *p)
{
    p->compares = get_numbers(c, arena, &p->compare_count);
    p->ops = get_numbers(c, arena, &p->op_count);
    p->elses = get_numbers(c, arena, &p->else_count);
}

void txn_put_spans(struct buf *out, uint32_t keyspace, const struct txn_span *spans, size_t count)
{
    buf_put_varint(out, keyspace);
    buf_put_varint(out, count);
    for (size_t i = 0; i < count; i++) {
        txn_put_bytes(out, spans[i].low);
        txn_put_bytes(out, spans[i].high);
    }
}

void txn_read_spans(struct cursor *c, struct arena *arena, uint32_t *keyspace, struct txn_span **spans, size_t *count)
{
    uint64_t number = cursor_varint(c), n = cursor_varint(c);
    if (c->failed || number > TXN_KEYSPACE_MAX || n > TXN_PARTICIPANTS_MAX || n > cursor_left(c) / 2) {
        c->failed = true;
        return;
    }
    *keyspace = (uint32_t)number;
    *count = (size_t)n;
    *spans = arena_zalloc(arena, *count * sizeof(**spans));
    for (size_t i = 0; i < *count; i++) {
        (*spans)[i].low = txn_read_bytes(c, LIMIT_KEY_BYTES);
        (*spans)[i].high = txn_read_bytes(c, LIMIT_KEY_BYTES);
    }
}

static enum status ended(const struct cursor *c)
{
    return c->failed || cursor_left(c) > 0 ? STATUS_INVALID : STATUS_OK;
}

/* STATUS_OK, or why not. */
static enum status get_version(struct cursor *c, unsigned version)
{
    unsigned v = cursor_u8(c);
    if (c->failed) return STATUS_INVALID;
    return v == version ? STATUS_OK : STATUS_UNSUPPORTED;
}

/* --- prepare --- */

void txn_prepare_encode(const struct txn_prepare *p, struct buf *out)
{
    ASSERT(p->span_count <= TXN_PARTICIPANTS_MAX);
    buf_put_u8(out, PREPARE_VERSION);
    buf_put_u8(out, (uint8_t)((p->has_else ? PREPARE_HAS_ELSE : 0) | (p->keeps_answer ? PREPARE_KEEPS_ANSWER : 0)));
    buf_append(out, p->id.bytes, TXN_ID_BYTES);
    buf_put_u64(out, p->born);
    if (p->keeps_answer) {
        buf_append(out, p->client.bytes, TXN_ID_BYTES);
        buf_put_u64(out, p->hash.first);
        buf_put_u64(out, p->hash.second);
        txn_put_bytes(out, p->anchor);
    }
    txn_put_spans(out, p->keyspace, p->spans, p->span_count);
    put_places(out, &p->places);
    buf_append_slice(out, p->part);
}

enum status txn_prepare_decode(struct slice bytes, struct arena *arena, struct txn_prepare *out)
{
    *out = (struct txn_prepare){.part = SLICE_EMPTY, .anchor = SLICE_EMPTY};
    struct cursor c = cursor_make(bytes);
    enum status s = get_version(&c, PREPARE_VERSION);
    if (s != STATUS_OK) return s;
    unsigned flags = cursor_u8(&c);
    if (flags > (PREPARE_HAS_ELSE | PREPARE_KEEPS_ANSWER)) return STATUS_UNSUPPORTED;
    out->has_else = (flags & PREPARE_HAS_ELSE) != 0;
    out->keeps_answer = (flags & PREPARE_KEEPS_ANSWER) != 0;
    get_id(&c, &out->id);
    out->born = cursor_u64(&c);
    if (out->keeps_answer) {
        get_id(&c, &out->client);
        out->hash.first = cursor_u64(&c);
        out->hash.second = cursor_u64(&c);
        out->anchor = txn_read_bytes(&c, LIMIT_KEY_BYTES);
        if (txn_id_is_none(&out->client) || out->anchor.size == 0) return STATUS_INVALID;
    }
    txn_read_spans(&c, arena, &out->keyspace, &out->spans, &out->span_count);
    get_places(&c, arena, &out->places);
    out->part = cursor_bytes(&c, cursor_left(&c));
    if (c.failed || out->span_count == 0 || txn_id_is_none(&out->id)) return STATUS_INVALID;
    return STATUS_OK;
}

/* --- votes --- */

void txn_vote_encode(const struct txn_vote *v, struct buf *out)
{
    unsigned flags = (v->holds ? VOTE_HOLDS : 0) | (v->has_else ? VOTE_HAS_ELSE : 0) |
                     (v->keeps_answer ? VOTE_KEEPS_ANSWER : 0) | (v->until != 0 ? VOTE_UNTIL : 0);
    buf_put_u8(out, VOTE_VERSION);
    buf_put_u8(out, (uint8_t)v->kind);
    buf_put_u64(out, v->ts);
    buf_put_u8(out, (uint8_t)flags);
    if (v->until != 0) buf_put_u64(out, v->until);
    put_places(out, &v->places);
    txn_put_bytes(out, v->then_result);
    txn_put_bytes(out, v->else_result);
}

enum status txn_vote_decode(struct slice bytes, struct arena *arena, struct txn_vote *out)
{
    *out = (struct txn_vote){.then_result = SLICE_EMPTY, .else_result = SLICE_EMPTY};
    struct cursor c = cursor_make(bytes);
    enum status s = get_version(&c, VOTE_VERSION);
    if (s != STATUS_OK) return s;
    unsigned kind = cursor_u8(&c);
    out->ts = cursor_u64(&c);
    unsigned flags = cursor_u8(&c);
    if (kind < VOTE_YES || kind > VOTE_DONE || flags > (VOTE_HOLDS | VOTE_HAS_ELSE | VOTE_KEEPS_ANSWER | VOTE_UNTIL)) {
        return STATUS_INVALID;
    }
    out->kind = (enum txn_vote_kind)kind;
    out->holds = (flags & VOTE_HOLDS) != 0;
    out->has_else = (flags & VOTE_HAS_ELSE) != 0;
    out->keeps_answer = (flags & VOTE_KEEPS_ANSWER) != 0;
    if (flags & VOTE_UNTIL) out->until = cursor_u64(&c);
    if ((flags & VOTE_UNTIL) && out->until == 0) return STATUS_INVALID;
    get_places(&c, arena, &out->places);
    out->then_result = txn_read_bytes(&c, TXN_RESULT_BYTES_MAX);
    out->else_result = txn_read_bytes(&c, TXN_RESULT_BYTES_MAX);
    return ended(&c);
}

/* --- decide, seal, blocked --- */

void txn_decide_encode(const struct txn_decide *d, struct buf *out)
{
    buf_put_u8(out, DECIDE_VERSION);
    buf_put_u8(out, (uint8_t)((d->commit ? DECIDE_COMMIT : 0) | (d->use_else ? DECIDE_ELSE : 0)));
    buf_append(out, d->id.bytes, TXN_ID_BYTES);
    buf_put_u64(out, d->ts);
    buf_append_slice(out, d->answer);
}

enum status txn_decide_decode(struct slice bytes, struct txn_decide *out)
{
    *out = (struct txn_decide){.answer = SLICE_EMPTY};
    struct cursor c = cursor_make(bytes);
    enum status s = get_version(&c, DECIDE_VERSION);
    if (s != STATUS_OK) return s;
    unsigned flags = cursor_u8(&c);
    if (flags > (DECIDE_COMMIT | DECIDE_ELSE)) return STATUS_UNSUPPORTED;
    out->commit = (flags & DECIDE_COMMIT) != 0;
    out->use_else = (flags & DECIDE_ELSE) != 0;
    get_id(&c, &out->id);
    out->ts = cursor_u64(&c);
    out->answer = cursor_bytes(&c, cursor_left(&c));
    if (c.failed || txn_id_is_none(&out->id) || out->answer.size > TXN_RESULT_BYTES_MAX) return STATUS_INVALID;
    return STATUS_OK;
}

void txn_seal_encode(const struct txn_seal *s, struct buf *out)
{
    buf_put_u8(out, SEAL_VERSION);
    buf_append(out, s->id.bytes, TXN_ID_BYTES);
    buf_put_u64(out, s->born);
}

enum status txn_seal_decode(struct slice bytes, struct txn_seal *out)
{
    *out = (struct txn_seal){.born = 0};
    struct cursor c = cursor_make(bytes);
    enum status s = get_version(&c, SEAL_VERSION);
    if (s != STATUS_OK) return s;
    get_id(&c, &out->id);
    out->born = cursor_u64(&c);
    return txn_id_is_none(&out->id) ? STATUS_INVALID : ended(&c);
}

void txn_step_append(const struct txn_step *s, struct buf *out)
{
    buf_put_u8(out, (uint8_t)s->kind);
    txn_put_bytes(out, s->body);
}

bool txn_step_next(struct cursor *c, struct txn_step *out)
{
    if (c->failed || cursor_left(c) == 0) return false;
    unsigned kind = cursor_u8(c);
    out->body = txn_read_bytes(c, LIMIT_FRAME_BYTES);
    if (kind != TXN_COMMAND_DECIDE && kind != TXN_COMMAND_FORGET) c->failed = true;
    out->kind = (enum txn_command_kind)kind;
    return !c->failed;
}

void txn_prepares_append(uint64_t ts, struct slice prepare, struct buf *out)
{
    buf_put_u64(out, ts);
    txn_put_bytes(out, prepare);
}

bool txn_prepares_next(struct cursor *c, uint64_t *ts, struct slice *prepare)
{
    if (c->failed || cursor_left(c) == 0) return false;
    *ts = cursor_u64(c);
    *prepare = txn_read_bytes(c, LIMIT_FRAME_BYTES);
    return !c->failed;
}

size_t txn_answers_begin(struct buf *out)
{
    buf_put_u32(out, 0);
    return out->size;
}

void txn_answers_end(struct buf *out, size_t mark)
{
    if (!out->overflow) le_set_u32(out->data + mark - sizeof(uint32_t), (uint32_t)(out->size - mark));
}

bool txn_answers_next(struct cursor *c, struct slice *answer)
{
    *answer = cursor_bytes(c, cursor_u32(c));
    return !c->failed;
}

bool txn_is_blocked(struct slice answer)
{
    return answer.size > 0 && answer.data[0] == BLOCKED_VERSION;
}

void txn_blocked_encode(const struct txn_blocked *b, struct buf *out)
{
    buf_put_u8(out, BLOCKED_VERSION);
    buf_append(out, b->holder.bytes, TXN_ID_BYTES);
    buf_put_u64(out, b->born);
    buf_put_u64(out, b->min_ts);
    txn_put_spans(out, b->keyspace, b->spans, b->span_count);
}

enum status txn_blocked_decode(struct slice bytes, struct arena *arena, struct txn_blocked *out)
{
    *out = (struct txn_blocked){.born = 0};
    struct cursor c = cursor_make(bytes);
    enum status s = get_version(&c, BLOCKED_VERSION);
    if (s != STATUS_OK) return s;
    get_id(&c, &out->holder);
    out->born = cursor_u64(&c);
    out->min_ts = cursor_u64(&c);
    txn_read_spans(&c, arena, &out->keyspace, &out->spans, &out->span_count);
    return ended(&c);
}
