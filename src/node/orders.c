/* What the metadata service asks of this node in its answers to heartbeats: changes of ranges that are led here. What an order
 * did is seen by the range's descriptor; what hindered it is told with the next heartbeat. Orders come again until they are
 * void, so nothing is remembered of them. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "node/changes.h"
#include "range/members.h"

static enum status order_transfer(struct replica *r, const struct range_order *o, struct errbuf *err)
{
    if (o->to != 0) return replica_transfer(r, o->to, err);
    return replica_transfer_away(r, err);
}

/* The one order that is not for a leader. Who is given up the metadata service has said with the nodes. */
static enum status order_alone(struct node *n, const struct range_order *o, struct errbuf *err)
{
    struct replica *r = host_replica(n->host, o->range_id);
    if (r == NULL || o->to != n->self.node_id) {
        errbuf_set(err, "node %llu holds no replica of the range", (unsigned long long)n->self.node_id);
        return STATUS_INVALID;
    }
    struct replica_alone q = {.epoch = o->epoch};
    uint64_t *lost = arena_alloc(&n->arena, (n->peer_count + 1) * sizeof *lost);
    for (size_t i = 0; i < n->peer_count; i++) {
        if ((n->peers[i].flags & NODE_LOST) != 0) lost[q.lost_count++] = n->peers[i].node_id;
    }
    q.lost = lost;
    return replica_lead_alone(r, &q, err);
}

static enum status order_obey(struct node *n, const struct range_order *o, uint32_t *percent, struct errbuf *err)
{
    if (o->kind == ORDER_ALONE) return order_alone(n, o, err);
    struct replica *r = host_replica(n->host, o->range_id);
    if (r == NULL || !replica_leads(r)) {
        errbuf_set(err, "node %llu does not lead the range any more", (unsigned long long)n->self.node_id);
        return STATUS_NOT_LEADER;
    }
    switch (o->kind) {
    case ORDER_ADD:
    case ORDER_SWAP: {
        struct replica_change c = {.conf_ver = o->conf_ver, .add = o->kind == ORDER_ADD, .to = o->to, .from = o->from};
        return replica_change(r, &c, percent, err);
    }
    case ORDER_TRANSFER: return order_transfer(r, o, err);
    case ORDER_SPLIT:
    case ORDER_SPLIT_HOT: split_ordered(n, o); return STATUS_OK;
    case ORDER_MERGE: merge_ordered(n, o); return STATUS_OK;
    case ORDER_ALONE: break;
    }
    errbuf_set(err, "this node does not know how to do that");
    return STATUS_UNSUPPORTED;
}

void orders_verdict(struct node *n, uint64_t op, enum status s, uint32_t percent, const char *text)
{
    if (n->orders.verdict_count == n->orders.verdict_capacity) {
        n->orders.verdict_capacity = n->orders.verdict_capacity == 0 ? 16 : n->orders.verdict_capacity * 2;
        n->orders.verdicts = mem_realloc(n->orders.verdicts, n->orders.verdict_capacity * sizeof *n->orders.verdicts);
    }
    n->orders.verdicts[n->orders.verdict_count++] =
        (struct order_verdict){.op = op, .status = s, .percent = percent, .text = mem_dup_slice(slice_str(text))};
}

/* Those that came up after the heartbeat had left are told with the next one. */
static void orders_forget(struct node *n, size_t count)
{
    struct node_orders *o = &n->orders;
    for (size_t i = 0; i < count; i++) mem_free((void *)(uintptr_t)o->verdicts[i].text.data);
    o->verdict_count -= count;
    if (o->verdict_count > 0) memmove(o->verdicts, o->verdicts + count, o->verdict_count * sizeof *o->verdicts);
    o->told = 0;
}

void orders_free(struct node *n)
{
    orders_forget(n, n->orders.verdict_count);
    mem_free(n->orders.verdicts);
}

void orders_take(struct node *n, const struct meta_heartbeat_reply *reply)
{
    orders_forget(n, n->orders.told);
    n->orders.tell_all = reply->tell_all;
    for (size_t i = 0; i < reply->gone_count; i++)
        host_replica_gone(n->host, reply->gone[i].range_id, reply->gone[i].replica_id, reply->gone[i].conf_ver);
    if (reply->term < n->orders.term && !MUTANT(stale_orders_obeyed)) {
        COVER("orders.stale");
        return;
    }
    n->orders.term = reply->term;
    for (size_t i = 0; i < reply->order_count && n->state == NODE_SERVING; i++) {
        struct errbuf err = {{0}};
        uint32_t percent = 0;
        enum status s = order_obey(n, &reply->orders[i], &percent, &err);
        if (s != STATUS_OK) orders_verdict(n, reply->orders[i].op, s, percent, err.text);
    }
}

/* --- what is held here --- */

struct holds_build {
    struct meta_heartbeat_request *request;
};

static void hold_add(void *ctx, struct replica *r)
{
    struct meta_heartbeat_request *q = ((struct holds_build *)ctx)->request;
    q->holds[q->hold_count++] = (struct replica_name){
        .range_id = replica_group(r), .replica_id = replica_id(r), .conf_ver = replica_desc(r)->epoch.conf_ver};
}

void orders_report(struct node *n, struct meta_heartbeat_request *request)
{
    request->verdicts = n->orders.verdicts;
    request->verdict_count = n->orders.told = n->orders.verdict_count;
    request->tells_all = n->orders.tell_all;
    if (!n->orders.tell_all) return;
    request->holds = arena_alloc(&n->arena, (host_replica_count(n->host) + 1) * sizeof *request->holds);
    host_each_replica(n->host, hold_add, &(struct holds_build){.request = request});
}
