/* bench transfer: the leadership of one range moves round its replicas while writers without idempotency ids put into it, so
 * that each failed or unknown answer counts. The pause of a transfer is the longest time without an acknowledgement between
 * asking for it and some time after its end. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/commands.h"
#include "cli/cli_int.h"
#include "gateway/health.h"

enum { WRITERS = 32, COUNT_MAX = 1000, VALUE_BYTES = 100 };
#define SETTLE_NS (200 * NS_PER_MS)

struct writer {
    struct bench *bench;
    char key[32];
};

struct bench {
    struct session session;
    struct actor actor;
    uint64_t count, done; /* transfers */
    uint64_t range_id, nodes[LIMIT_REPLICAS];
    char addresses[LIMIT_REPLICAS][LIMIT_ADDRESS_BYTES + 1];
    size_t node_count, leader;    /* leader: index into nodes */
    uint64_t next_ns;             /* the next transfer; 0: one is under way */
    uint64_t last_ack_ns, gap_ns; /* gap: the longest since the last transfer was asked for */
    uint64_t pauses_ns[COUNT_MAX];
    uint64_t acks, failed, unknown, refused;
    unsigned writing;
    bool ending;
    struct writer writers[WRITERS];
    char why[200]; /* the last failure */
};

static void note_why(struct bench *b, const struct client_error *e)
{
    snprintf(b->why, sizeof b->why, "%s: %.*s", status_name(e->status),
             (int)(e->message.size < 150 ? e->message.size : 150), (const char *)e->message.data);
}

/* --- writers --- */

static void write_next(struct writer *w);

static void write_done(void *ctx, const struct client_error *e, const struct txn_result *result)
{
    struct writer *w = ctx;
    struct bench *b = w->bench;
    uint64_t now_ns = env_mono_ns(b->session.env);
    b->writing--;
    if (e->status == STATUS_OK && result->status == STATUS_OK) {
        if (b->last_ack_ns != 0 && now_ns - b->last_ack_ns > b->gap_ns) b->gap_ns = now_ns - b->last_ack_ns;
        b->last_ack_ns = now_ns;
        b->acks++;
    } else {
        b->failed++;
        if (e->unknown_outcome) b->unknown++;
        note_why(b, e);
    }
    if (!b->ending) write_next(w);
    if (b->writing == 0) b->session.done = true;
}

static void write_next(struct writer *w)
{
    static const uint8_t value[VALUE_BYTES] = {'x'};
    struct bench *b = w->bench;
    struct txn_op op = {.kind = TXN_PUT, .key = slice_str(w->key), .value = slice_make(value, sizeof value)};
    struct txn t = {.ops = &op, .op_count = 1};
    b->writing++;
    client_txn(b->session.client, slice_str("default"), &t, b->session.cli->timeout_ms, write_done, w);
}

/* --- transfers --- */

static void transfer_done(void *ctx, const struct client_error *e, struct slice payload)
{
    (void)payload;
    struct bench *b = ctx;
    if (e->status == STATUS_OK) {
        b->leader = (b->leader + 1) % b->node_count;
    } else { /* it may have gone through all the same: ask the next one in turn */
        b->refused++;
        b->leader = (b->leader + 1) % b->node_count;
        note_why(b, e);
    }
    b->next_ns = env_mono_ns(b->session.env) + SETTLE_NS;
    b->session.env->ops->wake(b->session.env);
}

static void transfer_next(struct bench *b)
{
    struct buf params;
    buf_init(&params, 64);
    pack_range_transfer_request(&params,
                                &(struct range_transfer_request){.range_id = b->range_id,
                                                                 .node_id = b->nodes[(b->leader + 1) % b->node_count]});
    b->gap_ns = 0;
    client_node(b->session.client, b->addresses[b->leader], METHOD_RANGE_TRANSFER, buf_slice(&params), 6000,
                transfer_done, b);
    buf_free(&params);
}

static uint64_t bench_pass(struct actor *actor, uint64_t now_ns)
{
    struct bench *b = LIST_ENTRY(actor, struct bench, actor);
    if (b->next_ns == 0 || b->ending) return DEADLINE_NONE;
    if (now_ns < b->next_ns) return b->next_ns;
    b->next_ns = 0;
    if (b->acks > 0 && b->gap_ns > 0) b->pauses_ns[b->done++] = b->gap_ns;
    if (b->done < b->count) {
        transfer_next(b);
    } else {
        b->ending = true;
    }
    return DEADLINE_NONE;
}

/* --- the range: the first of keyspace `default` --- */

static void map_done(void *ctx, const struct client_error *e, const struct meta_map_reply *map)
{
    struct bench *b = ctx;
    if (e->status != STATUS_OK || map->range_count == 0 || map->leaders[0] == 0) {
        b->session.exit_code = cli_fail("the keyspace 'default' has no range with a leader");
        b->session.done = true;
        return;
    }
    const struct range_desc *d = &map->ranges[0];
    b->range_id = d->id;
    for (size_t i = 0; i < d->replica_count; i++) {
        const struct node_info *n = map_node(map, d->replicas[i].node_id);
        if (n == NULL || n->address.size > LIMIT_ADDRESS_BYTES) continue;
        if (n->id == map->leaders[0]) b->leader = b->node_count;
        memcpy(b->addresses[b->node_count], n->address.data, n->address.size);
        b->nodes[b->node_count++] = n->id;
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        b->writers[i].bench = b;
        snprintf(b->writers[i].key, sizeof b->writers[i].key, "!bench/transfer/%02u", i);
        write_next(&b->writers[i]);
    }
    b->next_ns = env_mono_ns(b->session.env) + 5 * SETTLE_NS;
}

static int by_size(const void *x, const void *y)
{
    const uint64_t *a = x, *b = y;
    return *a < *b ? -1 : *a > *b;
}

static int report(struct bench *b)
{
    /* The first one is of before any transfer: how long acknowledgements are apart anyway. */
    uint64_t *p = b->pauses_ns + 1, count = b->done - 1;
    if (b->done < 2) return cli_fail("no transfer was measured: %s", b->why);
    qsort(p, count, sizeof *p, by_size);
    out_printf("transfers        %llu, %llu refused; %llu writes, %llu failed, %llu of them with unknown outcome\n",
               (unsigned long long)count, (unsigned long long)b->refused, (unsigned long long)b->acks,
               (unsigned long long)b->failed, (unsigned long long)b->unknown);
    if (b->why[0] != '\0') out_printf("last failure     %s\n", b->why);
    out_printf("without any      %.1f ms\n", (double)b->pauses_ns[0] / 1e6);
    out_printf("bench transfer/pause-p50 ours=%.1f unit=ms\n", (double)p[count / 2] / 1e6);
    out_printf("bench transfer/pause ours=%.1f unit=ms\n", (double)p[count - 1] / 1e6);
    out_printf("bench transfer/failed ours=%llu unit=requests\n", (unsigned long long)b->failed);
    return b->failed == 0 && b->refused == 0 ? CLI_OK : CLI_FAILED;
}

int run_bench_transfer(struct cli *c)
{
    struct errbuf err;
    static const struct bench EMPTY = {.done = 0};
    struct bench b = EMPTY;
    if (args_number(&c->args, "count", 20, 1, COUNT_MAX - 1, &b.count, &err) != STATUS_OK)
        return cli_usage("%s", err.text);
    b.count++;
    int code = session_open(&b.session, c);
    if (code != CLI_OK) return code;
    b.actor.pass = bench_pass;
    b.session.env->ops->attach(b.session.env, &b.actor);
    client_map(b.session.client, slice_str("default"), c->timeout_ms, map_done, &b);
    code = session_wait(&b.session);
    b.session.env->ops->detach(b.session.env, &b.actor);
    session_close(&b.session);
    return code == CLI_OK ? report(&b) : code;
}
