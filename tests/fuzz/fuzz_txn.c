/* libFuzzer entry: any bytes as a transaction (decoded, evaluated over rows that the bytes choose, evaluated again), as a
 * result, as a store key, as a row, as a command. Run by `make fuzz` and `make replay`. */
#include "base/assert.h"
#include "base/hash.h"
#include "txn/command.h"
#include "txn/txn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Which rows there are is a function of their key: absent, raw, a counter, damaged, or not to be had. */
static enum status view_get(void *ctx, struct slice store_key, struct txn_stored *out)
{
    static const uint8_t raw[] = {ROW_RAW, '1', '0'};
    static const uint8_t counter[17] = {ROW_COUNTER, 10};
    const uint64_t *seed = ctx;
    out->version = 7;
    switch (hash_bytes(store_key, *seed) % 8) {
    case 0:
    case 1:
    case 2: return STATUS_NOT_FOUND;
    case 3:
    case 4: out->value = slice_make(raw, sizeof(raw)); return STATUS_OK;
    case 5: out->value = slice_make(counter, sizeof(counter)); return STATUS_OK;
    case 6: out->value = store_key; return STATUS_OK;
    default: return STATUS_MISS;
    }
}

static void try_evaluate(struct slice bytes, struct arena *arena)
{
    uint64_t seed = bytes.size;
    struct txn_view view = {.get = view_get, .ctx = &seed};
    struct txn_writes one, two;
    struct buf first, second;
    buf_init(&first, TXN_RESULT_BYTES_MAX);
    buf_init(&second, TXN_RESULT_BYTES_MAX);
    enum status s = txn_evaluate(bytes, 9, &view, arena, &one, &first);
    ASSERT(s == txn_evaluate(bytes, 9, &view, arena, &two, &second));
    ASSERT(slice_eq(buf_slice(&first), buf_slice(&second)));
    ASSERT(one.count == two.count);
    struct txn_result r;
    if (s == STATUS_OK) ASSERT(txn_result_decode(buf_slice(&first), arena, &r) == STATUS_OK);
    buf_free(&first);
    buf_free(&second);
}

static void try_txn(struct slice bytes, struct arena *arena)
{
    struct txn t;
    struct errbuf err;
    enum status s = txn_decode(bytes, arena, &t, &err);
    ASSERT(arena->used <= 128 * bytes.size + 4096);
    if (s != STATUS_OK) return;
    struct slice low, high;
    txn_key_span(&t, &low, &high);
    ASSERT(slice_cmp(low, high) <= 0);
    struct buf again;
    buf_init(&again, 4 * LIMIT_TXN_BYTES);
    txn_encode(&t, &again);
    ASSERT(txn_decode(buf_slice(&again), arena, &t, NULL) == STATUS_OK);
    buf_free(&again);
}

static void try_key(struct slice bytes)
{
    struct buf user;
    buf_init(&user, bytes.size);
    uint32_t keyspace;
    enum row_type type;
    if (key_decode(bytes, &keyspace, &user, &type) == STATUS_OK) ASSERT(!user.overflow);
    buf_free(&user);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_make(data, size);
    struct arena arena;
    arena_init(&arena, 4096);
    try_txn(bytes, &arena);
    try_evaluate(bytes, &arena);
    struct txn_result r;
    (void)!txn_result_decode(bytes, &arena, &r);
    struct row row;
    char text[I128_TEXT_MAX];
    if (row_decode(bytes, &row) == STATUS_OK) (void)row_value(&row, text);
    struct txn_command c;
    (void)!txn_command_decode(bytes, &c);
    try_key(bytes);
    arena_free(&arena);
    return 0;
}
