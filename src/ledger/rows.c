/* docs/formats/ledger.md */
#include "ledger/rows.h"

#include "base/assert.h"
#include "base/cursor.h"
#include "base/hash.h"

#define SPACE_ACCOUNT 'A'
#define SPACE_TRANSFER 'T'
#define SPACE_EXPIRY 'X'
#define SPACE_CURRENCY 'L'
#define KIND_META 'a'
#define KIND_COUNTER 'b'
#define KIND_POSTINGS 'p'
#define KIND_RESOLUTION 'r'
#define KIND_TRANSFER 't'

#define FORMAT 1u

/* --- keys --- */

static struct slice key_make(struct arena *a, char space, const struct ledger_id *id, char kind, const uint8_t *tail,
                             size_t tail_size)
{
    uint8_t *at = arena_alloc(a, 18 + tail_size);
    at[0] = (uint8_t)space;
    memcpy(at + 1, id->bytes, 16);
    at[17] = (uint8_t)kind;
    if (tail_size > 0) memcpy(at + 18, tail, tail_size);
    return slice_make(at, 18 + tail_size);
}

struct slice key_account(struct arena *a, const struct ledger_id *account)
{
    return key_make(a, SPACE_ACCOUNT, account, KIND_META, NULL, 0);
}

struct slice key_counter(struct arena *a, const struct ledger_id *account, enum ledger_slot slot)
{
    uint8_t tail = (uint8_t)('0' + (int)slot);
    return key_make(a, SPACE_ACCOUNT, account, KIND_COUNTER, &tail, 1);
}

struct slice key_postings(struct arena *a, const struct ledger_id *account, uint64_t timestamp)
{
    uint8_t tail[8];
    be_set_u64(tail, timestamp);
    return key_make(a, SPACE_ACCOUNT, account, KIND_POSTINGS, tail, sizeof(tail));
}

struct slice key_transfer(struct arena *a, const struct ledger_id *transfer)
{
    return key_make(a, SPACE_TRANSFER, transfer, KIND_TRANSFER, NULL, 0);
}

struct slice key_resolution(struct arena *a, const struct ledger_id *transfer)
{
    return key_make(a, SPACE_TRANSFER, transfer, KIND_RESOLUTION, NULL, 0);
}

struct slice key_expiry(struct arena *a, uint64_t at_ms, const struct ledger_id *transfer)
{
    uint8_t *at = arena_alloc(a, 25);
    at[0] = SPACE_EXPIRY;
    be_set_u64(at + 1, at_ms);
    memcpy(at + 9, transfer->bytes, 16);
    return slice_make(at, 25);
}

struct slice key_currency(struct arena *a, uint32_t ledger)
{
    uint8_t *at = arena_alloc(a, 5);
    at[0] = SPACE_CURRENCY;
    be_set_u32(at + 1, ledger);
    return slice_make(at, 5);
}

static enum status account_key_decode(struct slice key, struct ledger_key *out)
{
    if (key.data[17] == KIND_META && key.size == 18) {
        out->row = LEDGER_ROW_ACCOUNT;
        return STATUS_OK;
    }
    if (key.data[17] == KIND_COUNTER && key.size == 19 && key.data[18] >= '0' && key.data[18] < '0' + SLOT_COUNT) {
        out->row = LEDGER_ROW_COUNTER;
        out->slot = (enum ledger_slot)(key.data[18] - '0');
        return STATUS_OK;
    }
    if (key.data[17] != KIND_POSTINGS || key.size != 26) return STATUS_CORRUPT;
    out->row = LEDGER_ROW_POSTINGS;
    out->at = be_u64(key.data + 18);
    return STATUS_OK;
}

enum status ledger_key_decode(struct slice key, struct ledger_key *out)
{
    *out = (struct ledger_key){.slot = SLOT_COUNT};
    if (key.size == 25 && key.data[0] == SPACE_EXPIRY) {
        out->row = LEDGER_ROW_EXPIRY;
        out->at = be_u64(key.data + 1);
        memcpy(out->id.bytes, key.data + 9, 16);
        return STATUS_OK;
    }
    if (key.size == 5 && key.data[0] == SPACE_CURRENCY) {
        out->row = LEDGER_ROW_CURRENCY;
        out->ledger = be_u32(key.data + 1);
        return STATUS_OK;
    }
    if (key.size < 18) return STATUS_CORRUPT;
    memcpy(out->id.bytes, key.data + 1, 16);
    if (key.data[0] == SPACE_ACCOUNT) return account_key_decode(key, out);
    if (key.data[0] != SPACE_TRANSFER || key.size != 18) return STATUS_CORRUPT;
    if (key.data[17] != KIND_TRANSFER && key.data[17] != KIND_RESOLUTION) return STATUS_CORRUPT;
    out->row = key.data[17] == KIND_TRANSFER ? LEDGER_ROW_TRANSFER : LEDGER_ROW_RESOLUTION;
    return STATUS_OK;
}

/* --- numbers --- */

/* Zigzag, then seven bits a byte: small amounts of either sign are short. */
static void put_number(struct buf *b, i128 v)
{
    __extension__ unsigned __int128 z = (__extension__(unsigned __int128) v << 1);
    if (v < 0) z = ~z;
    while (z >= 0x80) {
        buf_put_u8(b, (uint8_t)(z | 0x80));
        z >>= 7;
    }
    buf_put_u8(b, (uint8_t)z);
}

static i128 get_number(struct cursor *c)
{
    __extension__ unsigned __int128 z = 0;
    for (unsigned shift = 0; shift < 128; shift += 7) {
        uint8_t byte = cursor_u8(c);
        z |= (__extension__(unsigned __int128)(byte & 0x7f)) << shift;
        if (byte < 0x80) {
            i128 half = (i128)(z >> 1);
            return (z & 1) != 0 ? -half - 1 : half;
        }
    }
    c->failed = true;
    return 0;
}

static void put_id(struct buf *b, const struct ledger_id *id)
{
    buf_append(b, id->bytes, sizeof(id->bytes));
}

static void get_id(struct cursor *c, struct ledger_id *out)
{
    struct slice s = cursor_bytes(c, sizeof(out->bytes));
    if (s.size == sizeof(out->bytes)) memcpy(out->bytes, s.data, s.size);
}

/* --- user data: only what is not zero --- */

enum { HAS_DATA_128 = 1, HAS_DATA_64 = 2, HAS_DATA_32 = 4, HAS_PENDING_ID = 8, HAS_TIMEOUT = 16, HAS_ALL = 31 };

static unsigned user_data_bits(const struct ledger_id *u128, uint64_t u64, uint32_t u32)
{
    return (ledger_id_is_zero(u128) ? 0u : HAS_DATA_128) | (u64 != 0 ? HAS_DATA_64 : 0u) |
           (u32 != 0 ? HAS_DATA_32 : 0u);
}

static void put_user_data(struct buf *b, unsigned bits, const struct ledger_id *u128, uint64_t u64, uint32_t u32)
{
    if (bits & HAS_DATA_128) put_id(b, u128);
    if (bits & HAS_DATA_64) buf_put_u64(b, u64);
    if (bits & HAS_DATA_32) buf_put_u32(b, u32);
}

static void get_user_data(struct cursor *c, unsigned bits, struct ledger_id *u128, uint64_t *u64, uint32_t *u32)
{
    if (bits & HAS_DATA_128) get_id(c, u128);
    if (bits & HAS_DATA_64) *u64 = cursor_u64(c);
    if (bits & HAS_DATA_32) *u32 = cursor_u32(c);
}

/* --- rows --- */

void row_put_currency(struct buf *b, const struct ledger_currency *c)
{
    buf_put_u8(b, FORMAT);
    buf_put_u8(b, (uint8_t)c->scale);
    buf_append_str(b, c->name);
}

enum status row_get_currency(struct slice value, struct ledger_currency *out)
{
    *out = (struct ledger_currency){.ledger = 1};
    if (value.size < 2 || value.size > 2 + LEDGER_CURRENCY_NAME_MAX || value.data[0] != FORMAT) return STATUS_CORRUPT;
    out->scale = value.data[1];
    memcpy(out->name, value.data + 2, value.size - 2);
    return ledger_currency_valid(out) && strlen(out->name) == value.size - 2 ? STATUS_OK : STATUS_CORRUPT;
}

void row_put_account(struct buf *b, const struct ledger_account *a)
{
    unsigned bits = user_data_bits(&a->user_data_128, a->user_data_64, a->user_data_32);
    buf_put_u8(b, FORMAT);
    buf_put_u8(b, (uint8_t)bits);
    buf_put_u32(b, a->ledger);
    buf_put_u16(b, a->code);
    buf_put_u16(b, a->flags);
    buf_put_u64(b, a->timestamp);
    put_user_data(b, bits, &a->user_data_128, a->user_data_64, a->user_data_32);
}

enum status row_get_account(struct slice value, struct ledger_account *out)
{
    struct cursor c = cursor_make(value);
    struct ledger_account a = {.id = out->id};
    unsigned format = cursor_u8(&c), bits = cursor_u8(&c);
    a.ledger = cursor_u32(&c);
    a.code = cursor_u16(&c);
    a.flags = cursor_u16(&c);
    a.timestamp = cursor_u64(&c);
    get_user_data(&c, bits, &a.user_data_128, &a.user_data_64, &a.user_data_32);
    if (c.failed || cursor_left(&c) > 0 || format != FORMAT || (bits & ~7u) != 0) return STATUS_CORRUPT;
    *out = a;
    return STATUS_OK;
}

void row_put_transfer(struct buf *b, const struct transfer_row *r)
{
    const struct ledger_transfer *t = &r->transfer;
    bool second = !ledger_id_is_zero(&t->pending_id);
    unsigned bits = user_data_bits(&t->user_data_128, t->user_data_64, t->user_data_32) |
                    (second ? HAS_PENDING_ID : 0u) | (t->timeout_s != 0 ? HAS_TIMEOUT : 0u);
    buf_put_u8(b, FORMAT);
    buf_put_u8(b, (uint8_t)bits);
    buf_put_u8(b, (uint8_t)r->result);
    buf_put_u32(b, t->ledger);
    buf_put_u16(b, t->code);
    buf_put_u16(b, t->flags);
    buf_put_u64(b, t->timestamp);
    buf_put_u64(b, r->attempt);
    put_id(b, &t->debit);
    put_id(b, &t->credit);
    put_number(b, t->amount);
    put_user_data(b, bits, &t->user_data_128, t->user_data_64, t->user_data_32);
    if (second) {
        put_id(b, &t->pending_id);
        put_number(b, t->pending_amount);
    }
    if (t->timeout_s != 0) buf_put_u32(b, t->timeout_s);
}

enum status row_get_transfer(struct slice value, struct transfer_row *out)
{
    struct cursor c = cursor_make(value);
    struct transfer_row r = {.transfer = {.id = out->transfer.id}};
    struct ledger_transfer *t = &r.transfer;
    unsigned format = cursor_u8(&c), bits = cursor_u8(&c), result = cursor_u8(&c);
    t->ledger = cursor_u32(&c);
    t->code = cursor_u16(&c);
    t->flags = cursor_u16(&c);
    t->timestamp = cursor_u64(&c);
    r.attempt = cursor_u64(&c);
    get_id(&c, &t->debit);
    get_id(&c, &t->credit);
    t->amount = get_number(&c);
    get_user_data(&c, bits, &t->user_data_128, &t->user_data_64, &t->user_data_32);
    if (bits & HAS_PENDING_ID) {
        get_id(&c, &t->pending_id);
        t->pending_amount = get_number(&c);
    }
    if (bits & HAS_TIMEOUT) t->timeout_s = cursor_u32(&c);
    if (c.failed || cursor_left(&c) > 0 || format != FORMAT || (bits & ~(unsigned)HAS_ALL) != 0) return STATUS_CORRUPT;
    if (result >= LEDGER_RESULT_COUNT) return STATUS_CORRUPT;
    r.result = (enum ledger_result)result;
    *out = r;
    return STATUS_OK;
}

void row_put_resolution(struct buf *b, const struct resolution *r)
{
    buf_put_u8(b, FORMAT);
    buf_put_u8(b, (uint8_t)r->kind);
    put_id(b, &r->by);
    buf_put_u64(b, r->timestamp);
}

enum status row_get_resolution(struct slice value, struct resolution *out)
{
    struct cursor c = cursor_make(value);
    struct resolution r = {.timestamp = 0};
    unsigned format = cursor_u8(&c), kind = cursor_u8(&c);
    get_id(&c, &r.by);
    r.timestamp = cursor_u64(&c);
    if (c.failed || cursor_left(&c) > 0 || format != FORMAT) return STATUS_CORRUPT;
    if (kind < RESOLUTION_POSTED || kind > RESOLUTION_EXPIRED) return STATUS_CORRUPT;
    r.kind = (enum resolution_kind)kind;
    *out = r;
    return STATUS_OK;
}

/* --- postings --- */

void row_put_posting(struct buf *b, const struct posting *p, uint64_t base)
{
    const i128 changes[] = {p->debits, p->credits, p->debits_pending, p->credits_pending};
    unsigned bits = 0;
    for (unsigned i = 0; i < 4; i++) bits |= (changes[i] != 0 ? 1u : 0u) << i;
    ASSERT(p->timestamp >= base);
    put_id(b, &p->transfer);
    buf_put_varint(b, p->timestamp - base);
    buf_put_u8(b, (uint8_t)bits);
    for (unsigned i = 0; i < 4; i++) {
        if (changes[i] != 0) put_number(b, changes[i]);
    }
}

enum status row_get_posting(struct slice *value, uint64_t base, struct posting *out)
{
    if (value->size == 0) return STATUS_END;
    struct cursor c = cursor_make(*value);
    struct posting p = {.debits = 0};
    i128 *const changes[] = {&p.debits, &p.credits, &p.debits_pending, &p.credits_pending};
    get_id(&c, &p.transfer);
    uint64_t later = cursor_varint(&c);
    unsigned bits = cursor_u8(&c);
    for (unsigned i = 0; i < 4; i++) {
        if (bits & (1u << i)) *changes[i] = get_number(&c);
    }
    if (c.failed || bits > 15 || later > UINT64_MAX - base) return STATUS_CORRUPT;
    p.timestamp = base + later;
    *value = slice_make(c.at, cursor_left(&c));
    *out = p;
    return STATUS_OK;
}

uint64_t posting_fingerprint(const struct ledger_id *account, const struct posting *p)
{
    uint8_t bytes[16 + 16 + 8 + 4 * 16];
    memcpy(bytes, account->bytes, 16);
    memcpy(bytes + 16, p->transfer.bytes, 16);
    le_set_u64(bytes + 32, p->timestamp);
    i128_encode(p->debits, bytes + 40);
    i128_encode(p->credits, bytes + 56);
    i128_encode(p->debits_pending, bytes + 72);
    i128_encode(p->credits_pending, bytes + 88);
    return hash_bytes(slice_make(bytes, sizeof(bytes)), 17);
}
