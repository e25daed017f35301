/* Operations straight to the storage nodes: a router of its own for each connection. */
#include "base/assert.h"
#include "base/mem.h"
#include "bench/bench.h"

#define COUNTER_MAX 1000000000000000000ll

static struct slice why_of(const struct client_error *e)
{
    return e->message.size > 0 ? e->message : slice_str(status_text(e->status));
}

static void get_done(void *ctx, const struct client_error *e, const struct get_reply *r)
{
    if (e->status != STATUS_OK)
        bench_answered(ctx, BENCH_FAILED, false, SLICE_EMPTY, why_of(e));
    else
        bench_answered(ctx, BENCH_OK, r->found, r->found ? r->value : SLICE_EMPTY, SLICE_EMPTY);
}

static void native_write(struct bench_lane *l);

static void modify_read(void *ctx, const struct client_error *e, const struct get_reply *r)
{
    struct bench_lane *l = ctx;
    (void)r;
    if (e->status != STATUS_OK) {
        bench_answered(l, BENCH_FAILED, false, SLICE_EMPTY, why_of(e));
        return;
    }
    native_write(l);
}

static void scan_done(void *ctx, const struct client_error *e, const struct scan_reply *r)
{
    struct bench_lane *l = ctx;
    if (e->status == STATUS_OK && l->bench->begun_ns != 0) l->bench->rows += r->row_count;
    bench_answered(l, e->status == STATUS_OK ? BENCH_OK : BENCH_FAILED, true, SLICE_EMPTY, why_of(e));
}

static void txn_done(void *ctx, const struct client_error *e, const struct txn_result *r)
{
    if (e->status != STATUS_OK)
        bench_answered(ctx, e->unknown_outcome ? BENCH_UNKNOWN : BENCH_FAILED, false, SLICE_EMPTY, why_of(e));
    else if (r->status == STATUS_CONDITION_FAILED)
        bench_answered(ctx, BENCH_REFUSED, false, SLICE_EMPTY, SLICE_EMPTY);
    else if (r->status != STATUS_OK)
        bench_answered(ctx, BENCH_FAILED, false, SLICE_EMPTY, slice_str(status_text(r->status)));
    else
        bench_answered(ctx, BENCH_OK, r->op_count > 0 && r->ops[0].found, SLICE_EMPTY, SLICE_EMPTY);
}

static void native_id(const struct bench_lane *l, struct txn *t)
{
    memcpy(t->id.bytes, &l->bench->run, 8);
    memcpy(t->id.bytes + 8, &l->op.number, 8);
}

static void native_write(struct bench_lane *l)
{
    const struct bench *b = l->bench;
    struct buf key, value, expect;
    buf_init(&key, LIMIT_KEY_BYTES);
    bench_key(b, l->op.key, &key);
    struct txn_op op = {.kind = l->op.kind == BENCH_DELETE ? TXN_DELETE : TXN_PUT, .key = buf_slice(&key)};
    struct txn_compare compare = {.target = TXN_TARGET_EXISTS, .relation = TXN_EQUAL, .key = buf_slice(&key)};
    struct txn t = {.ops = &op, .op_count = 1, .compares = &compare, .compare_count = l->op.kind == BENCH_CAS};
    buf_init(&value, LIMIT_VALUE_BYTES);
    buf_init(&expect, LIMIT_VALUE_BYTES);
    if (l->op.kind != BENCH_DELETE) {
        bench_fill_value(b, l->op.value, &value);
        op.value = buf_slice(&value);
    }
    if (l->op.kind == BENCH_CAS && l->op.expect[0] != '\0') {
        bench_fill_value(b, l->op.expect, &expect);
        compare.target = TXN_TARGET_VALUE;
        compare.value = buf_slice(&expect);
    }
    if (b->ids) native_id(l, &t);
    client_txn(l->client, slice_str(b->keyspace), &t, b->cli->timeout_ms, txn_done, l);
    buf_free(&key);
    buf_free(&value);
    buf_free(&expect);
}

static void native_read(struct bench_lane *l, client_get_done done)
{
    const struct bench *b = l->bench;
    struct buf key;
    buf_init(&key, LIMIT_KEY_BYTES);
    bench_key(b, l->op.key, &key);
    client_get(l->client, slice_str(b->keyspace), buf_slice(&key), b->cli->timeout_ms, done, l);
    buf_free(&key);
}

static void native_scan(struct bench_lane *l)
{
    const struct bench *b = l->bench;
    struct buf key;
    buf_init(&key, LIMIT_KEY_BYTES);
    bench_key(b, l->op.key, &key);
    struct client_scan scan = {.start = buf_slice(&key), .limit_rows = (uint32_t)l->op.other};
    client_scan(l->client, slice_str(b->keyspace), &scan, b->cli->timeout_ms, scan_done, l);
    buf_free(&key);
}

static void counter_key(const struct bench *b, uint64_t number, struct buf *out)
{
    buf_append_str(out, "counter/");
    bench_key(b, number, out);
}

/* 1 from one counter to another: two guarded additions, all or nothing. */
static void native_transfer(struct bench_lane *l)
{
    const struct bench *b = l->bench;
    struct buf from, to;
    buf_init(&from, LIMIT_KEY_BYTES);
    buf_init(&to, LIMIT_KEY_BYTES);
    counter_key(b, l->op.key, &from);
    counter_key(b, l->op.other, &to);
    struct txn_op ops[] = {
        {.kind = TXN_ADD, .key = buf_slice(&from), .delta = -1, .min = -COUNTER_MAX, .max = COUNTER_MAX},
        {.kind = TXN_ADD, .key = buf_slice(&to), .delta = 1, .min = -COUNTER_MAX, .max = COUNTER_MAX}};
    struct txn t = {.ops = ops, .op_count = 2};
    if (b->ids) native_id(l, &t);
    client_txn(l->client, slice_str(b->keyspace), &t, b->cli->timeout_ms, txn_done, l);
    buf_free(&from);
    buf_free(&to);
}

/* A key that this transaction has not yet: the drawn one or the next that is free. */
static uint64_t fresh_key(struct bench *b, uint64_t drawn, const uint64_t *taken, size_t count)
{
    for (size_t i = 0; i < count;) {
        if (taken[i] != drawn) {
            i++;
        } else {
            drawn = (drawn + 1) % b->key_count;
            i = 0;
        }
    }
    return drawn;
}

static void native_txn(struct bench_lane *l)
{
    struct bench *b = l->bench;
    struct buf keys[BENCH_TXN_OPS_MAX], value;
    uint64_t taken[BENCH_TXN_OPS_MAX];
    struct txn_op ops[BENCH_TXN_OPS_MAX];
    struct txn t = {.ops = ops, .op_count = b->txn_reads + b->txn_writes};
    buf_init(&value, LIMIT_VALUE_BYTES);
    bench_fill_value(b, l->op.value, &value);
    for (size_t i = 0; i < t.op_count; i++) {
        bool reads = i < b->txn_reads;
        buf_init(&keys[i], LIMIT_KEY_BYTES);
        taken[i] = fresh_key(b, i == 0 ? l->op.key : bench_keys_next(&b->keys, &b->prng), taken, i);
        bench_key(b, taken[i], &keys[i]);
        ops[i] = (struct txn_op){.kind = reads ? TXN_GET : TXN_PUT,
                                 .key = buf_slice(&keys[i]),
                                 .value = reads ? SLICE_EMPTY : buf_slice(&value)};
    }
    if (b->ids) native_id(l, &t);
    client_txn(l->client, slice_str(b->keyspace), &t, b->cli->timeout_ms, txn_done, l);
    for (size_t i = 0; i < t.op_count; i++) buf_free(&keys[i]);
    buf_free(&value);
}

static void native_send(struct bench_lane *l)
{
    switch (l->op.kind) {
    case BENCH_GET: native_read(l, get_done); break;
    case BENCH_MODIFY: native_read(l, modify_read); break;
    case BENCH_SCAN: native_scan(l); break;
    case BENCH_TRANSFER: native_transfer(l); break;
    case BENCH_TXN: native_txn(l); break;
    case BENCH_PUT:
    case BENCH_INSERT:
    case BENCH_DELETE:
    case BENCH_CAS: native_write(l); break;
    case BENCH_KINDS: BUG("kind");
    }
}

static bool native_open(struct bench *b)
{
    char addresses[LIMIT_REPLICAS * LIMIT_ADDRESS_BYTES];
    struct errbuf err;
    cli_meta_addresses(b->cli, addresses, sizeof(addresses));
    struct client_options o = {.meta_addresses = addresses, .role = ROLE_CLIENT};
    for (unsigned i = 0; i < b->lane_count; i++) {
        struct bench_lane *l = &b->lanes[i];
        if (i % b->depth != 0) {
            l->client = b->lanes[i - 1].client;
        } else if (client_new(b->env, &o, &l->client, &err) != STATUS_OK) {
            l->client = NULL;
            cli_usage("--meta %s: %s", addresses, err.text);
            return false;
        }
    }
    return true;
}

static void native_close(struct bench *b)
{
    for (unsigned i = 0; i < b->lane_count; i += (unsigned)b->depth) {
        if (b->lanes[i].client != NULL) client_free(b->lanes[i].client);
    }
}

const struct bench_wire bench_native = {.open = native_open, .send = native_send, .close = native_close};
