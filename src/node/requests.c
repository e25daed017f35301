/* Requests of routers: transactions and point reads. Every request ends in exactly one reply.
 *
 *   transaction: checked -> (timestamp) -> proposed -> applied -> replied
 *   get, scan:   checked -> (read index, apply) -> read the store, (block loads) -> replied        scan.c for scans */
#include "base/assert.h"
#include "base/mem.h"
#include "node/node_int.h"
#include "txn/command.h"

enum { DEADLINE_MS_DEFAULT = 10000, DEADLINE_MS_MAX = 60000 };
enum { REQUESTS_MAX = 32768, REQUEST_BYTES_MAX = 256 << 20 }; /* under way in one node */

static struct node_request *request_new(struct node *n, struct rpc_request *req)
{
    struct node_request *q = mem_zalloc(sizeof *q);
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
    mem_free(q);
}

static void request_reply(struct node_request *q, const struct reply_head *head)
{
    rpc_reply(q->req, head);
    node_request_free(q);
}

/* Answers with a refusal, and with what helps the router to do better: a leader, or the range's descriptor. */
void node_refuse(struct node_request *q, enum status s, bool unknown, const char *message)
{
    struct host *h = q->node->host;
    struct replica *r = h == NULL ? NULL : host_replica(h, q->group);
    struct reply_head head = {.status = s, .unknown_outcome = unknown, .message = slice_str(message)};
    struct range_desc desc;
    if (r != NULL && s == STATUS_NOT_LEADER) {
        head.leader_hint = replica_leader_node(r);
        if (head.leader_hint == q->node->self.node_id && !replica_leads(r)) head.leader_hint = 0;
    }
    if (r != NULL && s == STATUS_EPOCH_MISMATCH) {
        desc = *replica_desc(r);
        head.ranges = &desc;
        head.range_count = 1;
    }
    request_reply(q, &head);
}

struct range_counters *node_counters(struct node *n, uint64_t group)
{
    struct range_counters *c = map_get(&n->counters, group);
    if (c == NULL) {
        c = mem_zalloc(sizeof *c);
        map_put(&n->counters, group, c);
    }
    return c;
}

bool node_epoch_holds(const struct replica *r, const struct routed *to)
{
    const struct range_desc *d = replica_desc(r);
    return d->epoch.conf_ver == to->epoch.conf_ver && d->epoch.version == to->epoch.version;
}

/* The replica that is to serve; NULL after the request has been refused. */
static struct replica *request_route(struct node_request *q, const struct routed *to)
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
    if (!replica_leads(r)) {
        node_refuse(q, STATUS_NOT_LEADER, false, "this replica does not lead the range");
        return NULL;
    }
    return r;
}

/* --- transactions --- */

static void txn_done(struct proposal *p, enum status s, bool unknown, struct slice answer)
{
    struct node_request *q = LIST_ENTRY(p, struct node_request, proposal);
    if (s != STATUS_OK) {
        node_refuse(q, s, unknown,
                    unknown ? "the transaction was proposed; whether it commits is not known"
                            : "the transaction did not commit");
    } else if (answer.size == 0) {
        node_refuse(q, STATUS_EPOCH_MISMATCH, false, "the range changed before the transaction's turn");
    } else {
        node_counters(q->node, q->group)->writes++;
        request_reply(q, &(struct reply_head){.status = STATUS_OK, .message = SLICE_EMPTY, .payload = answer});
    }
}

void node_txn_propose(struct node_request *q, uint64_t ts)
{
    struct node *n = q->node;
    struct replica *r = host_replica(n->host, q->group);
    if (r == NULL || !replica_leads(r) || raft_term(replica_raft(r)) != q->term) {
        node_refuse(q, STATUS_NOT_LEADER, false, "leadership changed before the transaction was proposed");
        return;
    }
    buf_clear(&n->scratch);
    txn_command_encode(/* the epoch under which the keys were checked: if it is another by its turn, nothing is done */

                       &(struct txn_command){.ts = ts,
                                             .conf_ver = q->txn.to.epoch.conf_ver,
                                             .version = q->txn.to.epoch.version,
                                             .txn = q->txn.txn},
                       &n->scratch);
    q->proposal.done = txn_done;
    q->proposal.deadline_ns = q->deadline_ns;
    enum status s = replica_propose(r, buf_slice(&n->scratch), &q->proposal);
    if (s == STATUS_CLOSED) s = STATUS_NOT_LEADER; /* stopping: others lead, or are about to */
    if (s != STATUS_OK) node_refuse(q, s, false, status_text(s));
}

static void on_txn(struct node *n, struct rpc_request *req)
{
    struct node_request *q = request_new(n, req);
    arena_reset(&n->arena);
    if (unpack_txn_request(req->params, &n->arena, &q->txn) != STATUS_OK) {
        node_refuse(q, STATUS_INVALID, false, "not a transaction request");
        return;
    }
    struct replica *r = request_route(q, &q->txn.to);
    if (r == NULL) return;
    struct txn t;
    struct errbuf err = {{0}};
    enum status s = txn_decode(q->txn.txn, &n->arena, &t, &err);
    if (s != STATUS_OK) {
        node_refuse(q, s, false, err.text);
        return;
    }
    struct slice lowest, highest;
    txn_key_span(&t, &lowest, &highest);
    const struct range_desc *d = replica_desc(r);
    if (!range_desc_contains(d, t.keyspace, lowest) || !range_desc_contains(d, t.keyspace, highest)) {
        node_refuse(q, STATUS_EPOCH_MISMATCH, false, "a key of the transaction is not in this range");
        return;
    }
    q->term = raft_term(replica_raft(r));
    timestamps_ask(n, q);
}

/* --- point reads --- */

static void get_try(struct node_request *q);

static void get_loaded(void *ctx, enum status s)
{
    struct node_request *q = ctx;
    if (s == STATUS_OK) {
        get_try(q);
    } else {
        node_refuse(q, s == STATUS_CLOSED ? STATUS_CLOSED : STATUS_CORRUPT, false,
                    "the block that holds the key cannot be read here");
    }
}

static void get_try(struct node_request *q)
{
    struct node *n = q->node;
    struct lsm_row row;
    struct lsm_miss miss;
    const struct replica *r = host_replica(n->host, q->group);
    if (r != NULL && !node_epoch_holds(r, &q->get.to)) {
        node_refuse(q, STATUS_EPOCH_MISMATCH, false, "the range has changed");
        return;
    }
    if (r == NULL || replica_rows_life(r) == 0) {
        node_refuse(q, STATUS_NOT_LEADER, false, "a snapshot is replacing the rows here: ask the leader");
        return;
    }
    buf_clear(&n->scratch);
    key_encode_data(&n->scratch, q->get.keyspace, q->get.key);
    enum status s = lsm_get(host_store(n->host), buf_slice(&n->scratch), LSM_TS_MAX, &row, &miss);
    if (s == STATUS_MISS) {
        lsm_load(host_store(n->host), &miss, get_loaded, q);
        return;
    }
    struct get_reply reply = {.found = s == STATUS_OK};
    char text[I128_TEXT_MAX];
    if (s == STATUS_OK) {
        struct row decoded;
        s = row_decode(row.value, &decoded);
        reply.version = row.ts;
        if (s == STATUS_OK) reply.value = row_value(&decoded, text);
    } else if (s == STATUS_NOT_FOUND) {
        reply.value = SLICE_EMPTY;
        s = STATUS_OK;
    }
    if (s != STATUS_OK) {
        node_refuse(q, STATUS_CORRUPT, false, "the stored row is damaged here");
        return;
    }
    node_counters(n, q->group)->reads++;
    struct buf payload;
    buf_init(&payload, LIMIT_FRAME_BYTES);
    pack_get_reply(&payload, &reply);
    request_reply(q, &(struct reply_head){.status = STATUS_OK, .message = SLICE_EMPTY, .payload = buf_slice(&payload)});
    buf_free(&payload);
}

static void get_ready(struct read_wait *w, enum status s)
{
    struct node_request *q = LIST_ENTRY(w, struct node_request, read);
    if (s != STATUS_OK) {
        node_refuse(q, s, false, "the read could not be confirmed by a quorum");
        return;
    }
    get_try(q);
}

static void on_get(struct node *n, struct rpc_request *req)
{
    struct node_request *q = request_new(n, req);
    arena_reset(&n->arena);
    if (unpack_get_request(req->params, &n->arena, &q->get) != STATUS_OK) {
        node_refuse(q, STATUS_INVALID, false, "not a get request");
        return;
    }
    struct replica *r = request_route(q, &q->get.to);
    if (r == NULL) return;
    if (!range_desc_contains(replica_desc(r), q->get.keyspace, q->get.key)) {
        node_refuse(q, STATUS_EPOCH_MISMATCH, false, "the key is not in this range");
        return;
    }
    q->read.ready = get_ready;
    q->read.deadline_ns = q->deadline_ns;
    enum status s = replica_read(r, &q->read);
    if (s != STATUS_OK) node_refuse(q, s, false, status_text(s));
}

/* --- scans --- */

static void scan_ready(struct read_wait *w, enum status s)
{
    struct node_request *q = LIST_ENTRY(w, struct node_request, read);
    if (s != STATUS_OK) {
        node_refuse(q, s, false, "the read could not be confirmed by a quorum");
        return;
    }
    scan_begin(q);
}

static void on_scan(struct node *n, struct rpc_request *req)
{
    struct node_request *q = request_new(n, req);
    arena_reset(&n->arena);
    if (unpack_scan_request(req->params, &n->arena, &q->scan) != STATUS_OK) {
        node_refuse(q, STATUS_INVALID, false, "not a scan request");
        return;
    }
    struct replica *r = request_route(q, &q->scan.to);
    if (r == NULL) return;
    const struct range_desc *d = replica_desc(r);
    bool inside = d->keyspace == q->scan.keyspace && slice_cmp(q->scan.start, d->start) >= 0 &&
                  (d->end.size == 0 || (q->scan.end.size > 0 && slice_cmp(q->scan.end, d->end) <= 0));
    if (!inside) {
        node_refuse(q, STATUS_EPOCH_MISMATCH, false, "the span is not within this range");
        return;
    }
    q->read.ready = scan_ready;
    q->read.deadline_ns = q->deadline_ns;
    enum status s = replica_read(r, &q->read);
    if (s != STATUS_OK) node_refuse(q, s, false, status_text(s));
}

/* --- dispatch --- */

static bool from_host(const struct node *n, const struct rpc_request *req)
{
    return n->host != NULL && req->peer_role == ROLE_NODE && req->peer_node_id != 0;
}

void node_on_request(void *ctx, struct rpc_request *req)
{
    struct node *n = ctx;
    switch (req->method) {
    case METHOD_RAFT:
        if (from_host(n, req)) {
            host_on_raft(n->host, req);
        } else {
            rpc_request_drop(req);
        }
        return;
    case METHOD_SNAPSHOT:
        if (from_host(n, req)) {
            host_on_snapshot(n->host, req);
        } else {
            rpc_reply_status(req, STATUS_RETRY, "the node is starting");
        }
        return;
    case METHOD_TXN: on_txn(n, req); return;
    case METHOD_GET: on_get(n, req); return;
    case METHOD_SCAN: on_scan(n, req); return;
    case METHOD_NODE_STATUS: node_status(n, req); return;
    case METHOD_RANGE_TRANSFER: transfer_asked(n, req); return;
    case METHOD_HELLO:
    case METHOD_META_INIT:
    case METHOD_META_REGISTER:
    case METHOD_META_HEARTBEAT:
    case METHOD_META_TIMESTAMPS:
    case METHOD_META_MAP:
    case METHOD_META_KEYSPACE_CREATE:
    case METHOD_META_STATUS:
    case METHOD_META_IDS:
    case METHOD_META_NODE_DRAIN: break;
    }
    rpc_reply_status(req, STATUS_UNSUPPORTED, "a storage node does not serve this method: ask the metadata service");
}
