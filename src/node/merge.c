/* Merges that are driven here (docs/ranges.md, "Merge"): one for each range that is led here and intends to take in its right
 * neighbour, or is frozen. What is to be done next follows from the two ranges' states alone, so whoever leads goes on.
 *
 *   asked ---> INTEND proposed ---> the right one's leadership is fetched here ---> FREEZE proposed, when nobody lags
 *                                                                                     |
 *   replied <--- COMMIT applied <--- COMMIT proposed, when every replica has all <----+
 *           <--- ABORT applied  <--- ABORT proposed, when MERGE_NS are over
 *
 *   frozen, and who ends where it begins proves that the left one has given it up: THAW proposed
 *           nobody here ends there, for MERGE_NS: the leadership goes to another of its nodes, which looks in its turn */
#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "node/changes.h"
#include "range/command.h"
#include "range/state.h"
#include "wire/versions.h"

#define MERGE_NS (2000 * NS_PER_MS)
#define FETCH_EVERY_NS (100 * NS_PER_MS)

struct node_merge {
    struct list link;
    struct node *node;
    uint64_t group;          /* led here */
    uint64_t right;          /* asked for; 0: found under way */
    uint64_t op;             /* ordered by the metadata service */
    struct rpc_request *req; /* NULL: nobody waits */
    struct proposal proposal;
    bool busy; /* the proposal is under way */
    bool begun;
    bool doubted; /* the right one stays frozen, and it has been said */
    uint64_t since_ns, fetch_ns;
};

static struct node_merge *merge_find(struct node *n, uint64_t group)
{
    LIST_FOR(it, &n->merges)
    {
        struct node_merge *m = LIST_ENTRY(it, struct node_merge, link);
        if (m->group == group) return m;
    }
    return NULL;
}

static struct node_merge *merge_new(struct node *n, uint64_t group)
{
    struct node_merge *m = mem_zalloc(sizeof *m);
    m->node = n;
    m->group = group;
    m->since_ns = env_mono_ns(n->env);
    list_init(&m->proposal.link);
    list_push_back(&n->merges, &m->link);
    n->env->ops->wake(n->env);
    return m;
}

void merge_notice(struct node *n, const struct replica *r)
{
    struct replica_merge state = replica_merge(r);
    if (!replica_leads(r) || (!state.intends && !state.frozen)) return;
    if (merge_find(n, replica_group(r)) == NULL) (void)merge_new(n, replica_group(r));
}

static void merge_end(struct node_merge *m, enum status s, const char *why)
{
    struct replica *r = m->node->host == NULL ? NULL : host_replica(m->node->host, m->group);
    if (m->req != NULL && s == STATUS_OK && r != NULL) {
        struct range_desc desc;
        struct buf payload;
        range_desc_copy(&desc, replica_desc(r));
        buf_init(&payload, LIMIT_FRAME_BYTES);
        pack_range_change_reply(&payload, &(struct range_change_reply){.ranges = &desc, .range_count = 1});
        rpc_reply(m->req,
                  &(struct reply_head){.status = STATUS_OK, .message = SLICE_EMPTY, .payload = buf_slice(&payload)});
        buf_free(&payload);
    } else if (m->req != NULL) {
        uint64_t hint = r != NULL && s == STATUS_NOT_LEADER && !replica_leads(r) ? replica_leader_node(r) : 0;
        rpc_reply(m->req, &(struct reply_head){.status = s, .message = slice_str(why), .leader_hint = hint});
    } else if (m->op != 0 && s != STATUS_OK) {
        orders_verdict(m->node, m->op, s, 0, why);
    }
    list_remove(&m->link);
    mem_free(m);
}

/* --- proposals --- */

static void merge_done(struct proposal *p, enum status s, bool unknown, struct slice answer)
{
    struct node_merge *m = LIST_ENTRY(p, struct node_merge, proposal);
    (void)unknown;
    m->busy = false; /* the states tell what has become of it */
    if (s == STATUS_OK && range_answer_status(answer) == STATUS_OK) m->begun = true;
    m->node->env->ops->wake(m->node->env);
}

static void merge_propose(struct node_merge *m, struct replica *r, struct range_command c)
{
    struct node *n = m->node;
    c.epoch = replica_desc(r)->epoch;
    buf_clear(&n->scratch);
    range_command_encode(&c, &n->scratch);
    m->proposal.done = merge_done;
    m->proposal.deadline_ns = DEADLINE_NONE;
    m->busy = replica_propose(r, buf_slice(&n->scratch), &m->proposal) == STATUS_OK;
}

/* --- who fits whom --- */

static bool same_nodes(const struct range_desc *a, const struct range_desc *b)
{
    if (a->replica_count != b->replica_count || range_desc_joint(a) || range_desc_joint(b)) return false;
    for (size_t i = 0; i < a->replica_count; i++) {
        const struct range_replica *other = range_desc_replica(b, a->replicas[i].node_id);
        if (other == NULL || other->role != a->replicas[i].role) return false;
    }
    return true;
}

static bool are_neighbours(const struct range_desc *left, const struct range_desc *right)
{
    return left->keyspace == right->keyspace && left->end.size > 0 && slice_eq(left->end, right->start);
}

struct awaited {
    const struct replica *left;
    bool yes;
};

static void note_awaiting(void *ctx, struct replica *r)
{
    struct awaited *a = ctx;
    struct replica_merge is = replica_merge(r);
    const struct range_desc *left = replica_desc(a->left);
    bool may_freeze = !MUTANT(freeze_ahead_unseen) && replica_changes_ahead(r);
    if (!are_neighbours(left, replica_desc(r)) || (!is.frozen && !may_freeze)) return;
    uint64_t now = left->epoch.version, since = replica_merge(a->left).end_since;
    uint64_t intent = is.frozen ? is.version : now - 1; /* at worst the change that comes is a freeze for that one */
    a->yes = a->yes || (range_intent_is_over(now, since, intent) && !range_intent_is_over(now + 1, since, intent));
}

bool merge_awaited(const struct host *h, const struct replica *left)
{
    struct awaited a = {.left = left};
    if (!MUTANT(left_gone_early)) host_each_replica(h, note_awaiting, &a);
    if (a.yes) COVER("merge.awaited");
    return a.yes;
}

/* --- the left one --- */

static void fetched(void *ctx, enum status status, bool sent, const struct reply_head *head)
{
    (void)ctx;
    (void)status;
    (void)sent;
    (void)head; /* who leads now is seen by the replica */
}

static void fetch_leadership(struct node_merge *m, const struct replica *right, uint64_t now_ns)
{
    struct node *n = m->node;
    uint64_t leader = replica_leader_node(right);
    if (now_ns < m->fetch_ns || leader == 0 || leader == n->self.node_id) return;
    COVER("merge.fetch");
    m->fetch_ns = now_ns + FETCH_EVERY_NS;
    buf_clear(&n->scratch);
    pack_range_transfer_request(
        &n->scratch, &(struct range_transfer_request){.range_id = replica_group(right), .node_id = n->self.node_id});
    (void)host_call(n->host, leader, METHOD_RANGE_TRANSFER, buf_slice(&n->scratch), now_ns + MERGE_NS, fetched, NULL);
}

static void drive_left(struct node_merge *m, struct replica *left, uint64_t now_ns)
{
    struct replica_merge is = replica_merge(left), r = {.intends = false};
    struct replica *right = host_replica(m->node->host, is.with);
    if (right != NULL) r = replica_merge(right);
    bool ours = r.frozen && r.with == m->group && r.version == is.version;
    bool fits = right != NULL && same_nodes(replica_desc(left), replica_desc(right)) &&
                are_neighbours(replica_desc(left), replica_desc(right));
    /* Replicas that came or went behind the freeze are in no word of the merge. */
    bool moved = ours && raft_config_index(replica_raft(right)) > r.frozen_at;
    if (now_ns >= m->since_ns + MERGE_NS || (right != NULL && !fits) || moved) {
        merge_propose(m, left, (struct range_command){.kind = RANGE_ABORT, .other = is.with, .key = SLICE_EMPTY});
    } else if (right == NULL || !replica_leads(right)) {
        if (right != NULL) fetch_leadership(m, right, now_ns);
    } else if (ours) {
        if (!replica_aligned(right, r.frozen_at)) return;
        merge_propose(m, left,
                      (struct range_command){.kind = RANGE_COMMIT,
                                             .other = is.with,
                                             .version = replica_desc(right)->epoch.version,
                                             .index = r.frozen_at,
                                             .key = SLICE_EMPTY});
    } else if (!r.frozen && !r.intends && replica_aligned(right, raft_commit(replica_raft(right))) &&
               !merge_awaited(m->node->host, right)) {
        merge_propose(
            m, right,
            (struct range_command){.kind = RANGE_FREEZE, .other = m->group, .version = is.version, .key = SLICE_EMPTY});
    }
}

/* --- the right one --- */

struct before {
    const struct range_desc *right;
    uint64_t version; /* of the intent */
    bool here;        /* there is who ends where the right one begins */
    bool risen;       /* and has a higher one */
    bool over;        /* and proves that the intent has come to nothing */
};

static void note_before(void *ctx, struct replica *r)
{
    struct before *b = ctx;
    if (!are_neighbours(replica_desc(r), b->right)) return;
    uint64_t now = replica_desc(r)->epoch.version;
    b->here = true;
    b->risen = b->risen || now > b->version;
    b->over = b->over || range_intent_is_over(now, replica_merge(r).end_since, b->version);
}

/* When the left one has given the merge up, it may have been split, or another may have taken it in since: whoever ends where the right
 * one begins is asked. */
static struct before look_before(const struct host *h, const struct replica *right)
{
    struct before b = {.right = replica_desc(right), .version = replica_merge(right).version};
    bool here = host_replica(h, replica_merge(right).with) != NULL;
    if (here || !MUTANT(left_gone_awaited)) host_each_replica(h, note_before, &b);
    return b;
}

/* A higher version alone proves nothing: the left one may have taken this one in and been split again, and have come here as it is now. */
static void drive_right(struct node_merge *m, struct replica *right, uint64_t now_ns)
{
    struct replica_merge is = replica_merge(right);
    struct before b = look_before(m->node->host, right);
    if (b.over) {
        merge_propose(
            m, right,
            (struct range_command){.kind = RANGE_THAW, .other = is.with, .version = is.version, .key = SLICE_EMPTY});
    } else if (b.risen && !m->doubted) {
        COVER("merge.thaw_unproven");
        m->doubted = true;
        log_event(m->node->env->log, LOG_WARN, "merge.thaw_unproven", "range=%llu left=%llu version=%llu",
                  (unsigned long long)m->group, (unsigned long long)is.with, (unsigned long long)is.version);
    } else if (!b.here && now_ns >= m->since_ns + MERGE_NS) {
        struct errbuf err;
        m->since_ns = now_ns;
        if (replica_transfer_away(right, &err) == STATUS_OK) COVER("merge.looks_elsewhere"); /* else again in a while */
    }
}

/* --- all of them --- */

static void merge_begin(struct node_merge *m, struct replica *left)
{
    const struct replica *right = host_replica(m->node->host, m->right);
    if (right == NULL || !are_neighbours(replica_desc(left), replica_desc(right))) {
        merge_end(m, STATUS_INVALID, "the second range does not begin where the first one ends");
    } else if (!same_nodes(replica_desc(left), replica_desc(right))) {
        merge_end(m, STATUS_RETRY, "the two ranges have not their replicas on the same nodes: move them first");
    } else {
        m->since_ns = env_mono_ns(m->node->env);
        bool since = feature_on(m->node->self.finalised, FEATURE_MERGE_END_SINCE);
        merge_propose(m, left,
                      (struct range_command){
                          .kind = since ? RANGE_INTEND_SINCE : RANGE_INTEND, .other = m->right, .key = SLICE_EMPTY});
        if (!m->busy) merge_end(m, STATUS_BUSY, "the range takes no proposals just now");
    }
}

static void merge_step(struct node_merge *m, uint64_t now_ns)
{
    struct node *n = m->node;
    struct replica *r = host_replica(n->host, m->group);
    if (m->busy) return;
    if (r == NULL || !replica_leads(r)) {
        merge_end(m, STATUS_NOT_LEADER, "this node leads the range no more: whoever does goes on with the merge");
        return;
    }
    struct replica_merge is = replica_merge(r);
    if (is.intends) {
        drive_left(m, r, now_ns);
    } else if (is.frozen) {
        drive_right(m, r, now_ns);
    } else if (m->right != 0 && !m->begun) {
        if (now_ns >= m->since_ns + MERGE_NS)
            merge_end(m, STATUS_RETRY, "the range did not begin to merge in time");
        else if (!merge_awaited(n->host, r))
            merge_begin(m, r);
    } else {
        bool merged = host_absorber(n->host, m->right) == r;
        merge_end(m, merged ? STATUS_OK : STATUS_RETRY,
                  "the merge was given up: a replica lagged, or the second range's leadership could not be fetched");
    }
}

void merge_asked(struct node *n, struct rpc_request *req)
{
    struct range_merge_request q;
    arena_reset(&n->arena);
    if (unpack_range_merge_request(req->params, &n->arena, &q) != STATUS_OK) {
        rpc_reply_status(req, STATUS_INVALID, "not a merge request");
        return;
    }
    const struct replica *r = n->host == NULL ? NULL : host_replica(n->host, q.left_id);
    if (r == NULL || n->state != NODE_SERVING) {
        rpc_reply_status(req, STATUS_RANGE_NOT_FOUND, "no replica of the first range is on this node");
    } else if (q.left_version != 0 && q.left_version != replica_desc(r)->epoch.version) {
        rpc_reply_status(req, STATUS_EPOCH_MISMATCH, "the range has changed since the merge was decided on");
    } else if (merge_find(n, q.left_id) != NULL) {
        rpc_reply_status(req, STATUS_BUSY, "a merge of the range is under way");
    } else {
        struct node_merge *m = merge_new(n, q.left_id);
        m->right = q.right_id;
        m->req = req;
    }
}

struct behind {
    const struct range_desc *left;
    uint64_t found;
};

static void note_behind(void *ctx, struct replica *r)
{
    struct behind *b = ctx;
    if (are_neighbours(b->left, replica_desc(r))) b->found = replica_group(r);
}

/* Orders come again until the ranges have merged: one at a time. */
void merge_ordered(struct node *n, const struct range_order *o)
{
    struct behind behind = {.left = replica_desc(host_replica(n->host, o->range_id))};
    if (merge_find(n, o->range_id) != NULL) return;
    host_each_replica(n->host, note_behind, &behind);
    if (behind.found == 0) {
        orders_verdict(n, o->op, STATUS_RETRY, 0, "the range behind it has no replica here");
        return;
    }
    struct node_merge *m = merge_new(n, o->range_id);
    m->right = behind.found;
    m->op = o->op;
}

uint64_t merges_pass(struct node *n, uint64_t now_ns)
{
    LIST_FOR(it, &n->merges) merge_step(LIST_ENTRY(it, struct node_merge, link), now_ns);
    return list_empty(&n->merges) ? DEADLINE_NONE : now_ns + 2 * NS_PER_MS;
}

void merges_free(struct node *n)
{
    while (!list_empty(&n->merges)) {
        merge_end(LIST_ENTRY(n->merges.next, struct node_merge, link), STATUS_NOT_LEADER,
                  "the node is stopping and hands all its leaderships over");
    }
}
