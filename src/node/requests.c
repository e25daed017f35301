/* Requests: routing and replies. Every request ends in exactly one reply.
 *
 *   transaction: checked -> (locks, timestamp) -> proposed -> applied -> replied                     txn.c, locks.c
 *   get, scan:   checked -> (by its mode: read.c) -> read the store, (block loads) -> replied        get.c, scan.c */
#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "node/changes.h"
#include "node/locks.h"
#include "node/read.h"
#include "node/watch.h"
#include "range/members.h"

enum { DEADLINE_MS_DEFAULT = 10000, DEADLINE_MS_MAX = 60000 };
enum { NEIGHBOURS_MAX = 4 };
enum { REQUESTS_MAX = 32768, REQUEST_BYTES_MAX = 256 << 20 }; /* under way in one node */

struct node_request *node_request_new(struct node *n, struct rpc_request *req)
{
    struct node_request *q = spares_take(&n->request_spares);
    list_init(&q->link);
    list_init(&q->proposal.link);
    list_init(&q->read.link);
    q->node = n;
    q->req = req;
    n->requests++;
    n->request_bytes += req->params.size;
    q->params_size = req->params.size;
    return q;
}

void node_request_free(struct node_request *q)
{
    q->node->requests--;
    q->node->request_bytes -= q->params_size;
    scan_release(q);
    watch_release(q);
    spares_give(&q->node->request_spares, q);
}

static void request_reply(struct node_request *q, const struct reply_head *head)
{
    rpc_reply(q->req, head);
    node_request_free(q);
}

void node_reply(struct node_request *q, struct slice payload)
{
    request_reply(q, &(struct reply_head){.status = STATUS_OK, .message = SLICE_EMPTY, .payload = payload});
}

struct neighbours {
    const struct range_desc *of;
    struct range_desc *items;
    size_t count;
};

static void note_neighbour(void *ctx, struct replica *r)
{
    struct neighbours *n = ctx;
    const struct range_desc *d = replica_desc(r), *of = n->of;
    bool behind = d->keyspace == of->keyspace && of->end.size > 0 && slice_eq(d->start, of->end);
    if (n->count < NEIGHBOURS_MAX && (d->id == of->id || behind)) range_desc_copy(&n->items[n->count++], d);
}

/* The range as it is, and the one behind it, which may have been split off from it. Owned by the caller. */
static size_t neighbours(struct node *node, const struct replica *r, struct range_desc **out)
{
    struct neighbours n = {.of = replica_desc(r), .items = mem_alloc(NEIGHBOURS_MAX * sizeof *n.items)};
    host_each_replica(node->host, note_neighbour, &n);
    *out = n.items;
    return n.count;
}

/* Answers with a refusal, and with what helps the router to do better: a leader, or the range's descriptor. */
void node_refuse(struct node_request *q, enum status s, bool unknown, const char *message)
{
    struct host *h = q->node->host;
    struct replica *r = h == NULL ? NULL : host_replica(h, q->group);
    if (r == NULL && h != NULL) r = host_absorber(h, q->group);
    struct reply_head head = {.status = s, .unknown_outcome = unknown, .message = slice_str(message)};
    if (r != NULL && s == STATUS_NOT_LEADER) {
        head.leader_hint = replica_leader_node(r);
        if (head.leader_hint == q->node->self.node_id && !replica_leads(r)) head.leader_hint = 0;
    }
    if (r != NULL && s == STATUS_EPOCH_MISMATCH) head.range_count = neighbours(q->node, r, &head.ranges);
    request_reply(q, &head);
    mem_free(head.ranges);
}

void node_refuse_with(struct node_request *q, enum status s, const char *message, struct slice payload)
{
    request_reply(q, &(struct reply_head){.status = s, .message = slice_str(message), .payload = payload});
}

bool node_epoch_holds(const struct replica *r, const struct routed *to)
{
    if (MUTANT(stale_range_served)) return true;
    const struct range_desc *d = replica_desc(r);
    return d->epoch.version == to->epoch.version; /* who holds the rows is another matter: docs/decisions/020 */
}

/* The replica that is to serve; NULL after the request has been refused. */
struct replica *node_request_route(struct node_request *q, const struct routed *to, bool any_replica)
{
    struct node *n = q->node;
    uint32_t ms = to->deadline_ms == 0 ? DEADLINE_MS_DEFAULT : to->deadline_ms;
    if (ms > DEADLINE_MS_MAX) ms = DEADLINE_MS_MAX;
    q->group = to->range_id;
    q->deadline_ns = q->req->received_ns + ms * NS_PER_MS;
    struct replica *r = n->host == NULL ? NULL : host_replica(n->host, to->range_id);
    if (n->state != NODE_SERVING) {
        node_refuse(q, r == NULL ? STATUS_RANGE_NOT_FOUND : STATUS_NOT_LEADER, false,
                    "the node is starting or stopping");
        return NULL;
    }
    if (r == NULL && n->host != NULL && host_absorber(n->host, to->range_id) != NULL) {
        node_refuse(q, STATUS_EPOCH_MISMATCH, false, "the range was taken in by its left neighbour");
        return NULL;
    }
    if (r == NULL) {
        node_refuse(q, STATUS_RANGE_NOT_FOUND, false, "no replica of that range is on this node");
        return NULL;
    }
    if (n->requests > REQUESTS_MAX || n->request_bytes > REQUEST_BYTES_MAX) {
        COVER("node.busy");
        node_refuse(q, STATUS_BUSY, false, "the node has as many requests under way as it takes");
        return NULL;
    }
    if (!node_epoch_holds(r, to)) {
        node_refuse(q, STATUS_EPOCH_MISMATCH, false, "the range has changed");
        return NULL;
    }
    bool frozen = replica_merge(r).frozen && !MUTANT(merge_serves_frozen);
    if ((frozen || (!any_replica && !replica_leads(r))) && node_defer(q, r)) return NULL;
    if (frozen) {
        node_refuse(q, STATUS_RETRY, false, "the range is about to be taken in by its left neighbour");
        return NULL;
    }
    if (!any_replica && !replica_leads(r)) {
        node_refuse(q, STATUS_NOT_LEADER, false, "this replica does not lead the range");
        return NULL;
    }
    return r;
}

/* --- dispatch --- */

static bool from_host(const struct node *n, const struct rpc_request *req)
{
    return n->host != NULL && req->peer_role == ROLE_NODE && req->peer_node_id != 0;
}

/* News between hosts, which nobody else sends. */
static void take_news(struct node *n, struct rpc_request *req, void (*take)(struct host *h, struct rpc_request *req))
{
    if (from_host(n, req)) {
        take(n->host, req);
    } else {
        rpc_request_drop(req);
    }
}

void node_on_request(void *ctx, struct rpc_request *req)
{
    struct node *n = ctx;
    switch (req->method) {
    case METHOD_RAFT: take_news(n, req, host_on_raft); return;
    case METHOD_LIVENESS: take_news(n, req, host_on_liveness); return;
    case METHOD_SNAPSHOT:
        if (from_host(n, req)) {
            host_on_snapshot(n->host, req);
        } else {
            rpc_reply_status(req, STATUS_RETRY, "the node is starting");
        }
        return;
    case METHOD_TXN: node_on_txn(n, req); return;
    case METHOD_GET: node_on_get(n, req); return;
    case METHOD_SCAN: node_on_scan(n, req); return;
    case METHOD_WATCH: node_on_watch(n, req); return;
    case METHOD_NODE_STATUS: node_status(n, req); return;
    case METHOD_NODE_HOLDS: holds_asked(n, req); return;
    case METHOD_RANGE_TRANSFER: transfer_asked(n, req); return;
    case METHOD_RANGE_SPLIT: split_asked(n, req); return;
    case METHOD_RANGE_MERGE: merge_asked(n, req); return;
    case METHOD_RANGE_CHECK: check_asked(n, req); return;
    case METHOD_RESOLVE: node_on_resolve(n, req); return;
    case METHOD_EFFECTS: take_news(n, req, host_on_effects); return;
    case METHOD_RESOLVED: take_news(n, req, host_on_resolved); return;
    case METHOD_GONE: take_news(n, req, host_on_gone); return;
    case METHOD_HELLO:
    case METHOD_META_INIT:
    case METHOD_META_REGISTER:
    case METHOD_META_HEARTBEAT:
    case METHOD_META_TIMESTAMPS:
    case METHOD_META_MAP:
    case METHOD_META_KEYSPACE_CREATE:
    case METHOD_META_STATUS:
    case METHOD_META_IDS:
    case METHOD_META_NODE_DRAIN:
    case METHOD_META_NODE:
    case METHOD_META_OP:
    case METHOD_META_OPS:
    case METHOD_META_CONFIG:
    case METHOD_META_PLACEMENT:
    case METHOD_META_RECOVER:
    case METHOD_META_MEMBER:
    case METHOD_META_UPGRADE:
    case METHOD_META_SNAPSHOT:
    case METHOD_META_REBUILD:
    case METHOD_META_KEYSPACE_ALTER:
    case METHOD_META_KEYSPACE_DROP: break;
    }
    rpc_reply_status(req, STATUS_UNSUPPORTED, "a storage node does not serve this method: ask the metadata service");
}
