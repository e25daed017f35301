/* An admin's comparison of a range's replicas: the leader is asked to begin, then every replica what came of it. */
#include "node/changes.h"
#include "range/comparison.h"

#define CHECK_NS (5000 * NS_PER_MS)
/* Timestamps: an hour. Rows that end before are not compared: the stores let them go, each when it likes. */
#define CHECK_SPARES ((uint64_t)3600 * 1000 << 18)

static void check_reply(struct node_request *q, const struct replica *r)
{
    struct comparison c;
    replica_comparison(r, &c);
    struct range_check_reply reply = {.node_id = q->node->self.node_id,
                                      .replica_id = replica_id(r),
                                      .leads = replica_leads(r),
                                      .diverged = replica_diverged(r) || replica_damaged(r),
                                      .applied = raft_applied(replica_raft(r)),
                                      .index = c.index,
                                      .done = c.done,
                                      .failed = c.failed,
                                      .whole = c.whole,
                                      .effects_hash = c.effects_hash,
                                      .rows_hash = c.rows_hash,
                                      .rows = c.rows,
                                      .bytes = c.bytes};
    struct buf payload;
    buf_init(&payload, 256);
    pack_range_check_reply(&payload, &reply);
    node_reply(q, buf_slice(&payload));
    buf_free(&payload);
}

static void check_begun(struct proposal *p, enum status s, bool unknown, struct slice answer)
{
    (void)answer;
    struct node_request *q = LIST_ENTRY(p, struct node_request, proposal);
    const struct replica *r = host_replica(q->node->host, q->group);
    if (s != STATUS_OK || r == NULL) {
        node_refuse(q, s != STATUS_OK ? s : STATUS_RANGE_NOT_FOUND, unknown, "the comparison could not be begun");
    } else {
        check_reply(q, r);
    }
}

static void check_begin(struct node_request *q, struct replica *r)
{
    struct node *n = q->node;
    uint64_t now = env_wall_ms(n->env) << 18, known = host_safepoint(n->host);
    if (replica_last_ts(r) > known) known = replica_last_ts(r);
    buf_clear(&n->scratch);
    comparison_encode((known > now ? known : now) + CHECK_SPARES, &n->scratch);
    q->proposal.done = check_begun;
    q->proposal.deadline_ns = q->req->received_ns + CHECK_NS;
    enum status s = replica_propose(r, buf_slice(&n->scratch), &q->proposal);
    if (s != STATUS_OK) node_refuse(q, s, false, "this replica does not lead the range, or has too much to do");
}

void check_asked(struct node *n, struct rpc_request *req)
{
    struct range_check_request asked;
    struct node_request *q = node_request_new(n, req);
    arena_reset(&n->arena);
    if (unpack_range_check_request(req->params, &n->arena, &asked) != STATUS_OK) {
        node_refuse(q, STATUS_INVALID, false, "not a check request");
        return;
    }
    q->group = asked.range_id;
    struct replica *r = n->host == NULL || n->state != NODE_SERVING ? NULL : host_replica(n->host, asked.range_id);
    if (r == NULL) {
        node_refuse(q, STATUS_RANGE_NOT_FOUND, false, "no replica of that range is on this node");
    } else if (asked.begin) {
        check_begin(q, r);
    } else {
        check_reply(q, r);
    }
}
