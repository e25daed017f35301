/* A split that was asked for: an id for the new range, a key, then one entry of the log.
 *
 *   NEEDS_ID --the metadata service has given one--> READY --> PROPOSED --applied--> replied
 *      (none is asked for when the request names it)   ^          |
 *                                                      +-- RETRY: a held transaction has keys on both sides, or the range behind it
 *                                                          must thaw first; in a moment again
 *
 * A range whose keys only rise is cut at its head: then what is to come goes to the new range, and that to the next of its nodes:
 *
 *   PROPOSED --applied--> GIVES_HEAD --the new range is led here, and its leadership on its way--> (end)
 *
 * Timed out by its deadline; a leadership that goes ends it. */
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "node/changes.h"
#include "node/split_key.h"
#include "range/command.h"
#include "txn/txn.h"

#define SPLIT_NS (5000 * NS_PER_MS)
#define SPLIT_PAUSE_NS (5 * NS_PER_MS)

enum split_state { SPLIT_NEEDS_ID, SPLIT_ASKS_ID, SPLIT_READY, SPLIT_PROPOSED, SPLIT_GIVES_HEAD };
enum { HEAD_ROWS = 16384 };      /* a range is not cut at its head before it has so many rows... */
#define HEAD_BYTES (16ull << 20) /* ...or so many bytes: else rising keys would leave a trail of crumbs */

struct node_split {
    struct list link;
    struct node *node;
    struct rpc_request *req;
    struct range_split_request asked; /* its key is in `key` */
    struct buf key;
    uint64_t op; /* ordered by the metadata service; 0: asked for */
    bool hot;    /* where its load divides, not its bytes */
    bool head;   /* at the end of keys that only rise */
    enum split_state state;
    struct proposal proposal;
    uint64_t retry_ns, deadline_ns;
};

static void split_end(struct node_split *s, const struct reply_head *head)
{
    list_remove(&s->link);
    if (s->req != NULL) {
        rpc_reply(s->req, head);
    } else if (head->status != STATUS_OK) {
        char why[160];
        (void)snprintf(why, sizeof why, "%.*s", (int)head->message.size, (const char *)head->message.data);
        orders_verdict(s->node, s->op, head->status, 0, why);
    }
    buf_free(&s->key);
    mem_free(s);
}

static void split_refuse(struct node_split *s, enum status status, bool unknown, const char *message)
{
    struct replica *r = s->node->host == NULL ? NULL : host_replica(s->node->host, s->asked.range_id);
    struct reply_head head = {.status = status, .unknown_outcome = unknown, .message = slice_str(message)};
    struct range_desc desc;
    if (r != NULL && status == STATUS_NOT_LEADER && !replica_leads(r)) head.leader_hint = replica_leader_node(r);
    if (r != NULL && status == STATUS_EPOCH_MISMATCH) {
        range_desc_copy(&desc, replica_desc(r));
        head.ranges = &desc;
        head.range_count = 1;
    }
    split_end(s, &head);
}

static void split_succeed(struct node_split *s)
{
    struct node *n = s->node;
    struct range_desc ranges[2];
    struct range_change_reply reply = {.ranges = ranges};
    const uint64_t ids[] = {s->asked.range_id, s->asked.new_id};
    for (size_t i = 0; i < 2; i++) {
        const struct replica *r = host_replica(n->host, ids[i]);
        if (r != NULL) range_desc_copy(&ranges[reply.range_count++], replica_desc(r));
    }
    struct buf payload;
    buf_init(&payload, LIMIT_FRAME_BYTES);
    pack_range_change_reply(&payload, &reply);
    split_end(s, &(struct reply_head){.status = STATUS_OK, .message = SLICE_EMPTY, .payload = buf_slice(&payload)});
    buf_free(&payload);
}

static void split_done(struct proposal *p, enum status status, bool unknown, struct slice answer)
{
    struct node_split *s = LIST_ENTRY(p, struct node_split, proposal);
    enum status answered = status == STATUS_OK ? range_answer_status(answer) : status;
    s->state = SPLIT_READY;
    if (answered == STATUS_OK && s->head) {
        s->state = SPLIT_GIVES_HEAD;
        s->node->env->ops->wake(s->node->env);
    } else if (answered == STATUS_OK) {
        split_succeed(s);
    } else if (status == STATUS_OK && answered == STATUS_RETRY) {
        s->retry_ns = env_mono_ns(s->node->env) + SPLIT_PAUSE_NS;
        s->node->env->ops->wake(s->node->env);
    } else {
        bool outside = status == STATUS_OK && answered == STATUS_INVALID;
        split_refuse(s, answered, unknown,
                     outside ? "the key is not inside the range: it would leave one side without keys"
                             : status_text(answered));
    }
}

static void split_got_id(void *ctx, enum status status, bool sent, const struct reply_head *head)
{
    (void)sent;
    struct node_split *s = ctx;
    struct node *n = s->node;
    struct meta_ids_reply reply;
    arena_reset(&n->arena);
    bool good = status == STATUS_OK && head->status == STATUS_OK &&
                unpack_meta_ids_reply(head->payload, &n->arena, &reply) == STATUS_OK;
    if (!good) {
        split_refuse(s, STATUS_UNAVAILABLE, false, "the metadata service gave no id for the new range");
        return;
    }
    s->asked.new_id = reply.first;
    s->state = SPLIT_READY;
    n->env->ops->wake(n->env);
}

static void split_ask_id(struct node_split *s, uint64_t now_ns)
{
    struct node *n = s->node;
    s->state = SPLIT_ASKS_ID;
    buf_clear(&n->scratch);
    pack_meta_ids_request(&n->scratch, &(struct meta_ids_request){.count = 1, .ranges = true});
    meta_call(n->meta, METHOD_META_IDS, buf_slice(&n->scratch), now_ns + SPLIT_NS, split_got_id, s);
}

static bool choose_by_bytes(struct node_split *s, const struct replica *r)
{
    struct node *n = s->node;
    struct slice start, end;
    struct lsm_sample *samples;
    replica_span(r, &start, &end);
    arena_reset(&n->arena);
    size_t count = lsm_sample(host_store(n->host), start, end, &n->arena, &samples);
    return split_key_choose(samples, count, replica_desc(r)->start, &s->key);
}

/* Load that wanders over keys that are there is spread, in the mean over time, by what halves the rows. Keys that are
 * written one behind the other are not: all load is at the end, wherever the others are. There it is cut at the last of them, when
 * what it leaves behind is worth a range. */
static enum status choose_in_wandering(struct node_split *s, const struct replica *r, const char **why)
{
    struct slice start, end;
    struct buf at;
    uint64_t bytes, rows, bytes_behind, behind;
    replica_span(r, &start, &end);
    buf_init(&at, LSM_KEY_MAX);
    key_encode_bound(&at, replica_desc(r)->keyspace, buf_slice(&s->key));
    lsm_estimate(host_store(s->node->host), start, end, &bytes, &rows);
    lsm_estimate(host_store(s->node->host), buf_slice(&at), end, &bytes_behind, &behind);
    buf_free(&at);
    if (behind > rows / 16) {
        buf_clear(&s->key);
        return choose_by_bytes(s, r) ? STATUS_OK : STATUS_RETRY;
    }
    *why = "its keys only rise: it is cut at the last one when it has more rows";
    if (rows < HEAD_ROWS && bytes < HEAD_BYTES) return STATUS_RETRY;
    COVER("split.head");
    s->head = true;
    return STATUS_OK;
}

/* STATUS_OK; RETRY: not yet; INVALID: there is none. */
static enum status choose_key(struct node_split *s, const struct replica *r, const char **why)
{
    const struct range_desc *d = replica_desc(r);
    *why = "there is no key in the range that leaves rows on both sides";
    if (!s->hot) return choose_by_bytes(s, r) ? STATUS_OK : STATUS_INVALID;
    s->head = false;
    buf_clear(&s->key);
    switch (load_samples_split(&s->node->samples, d->id, d->start, d->end, &s->key, why)) {
    case LOAD_CUT: return STATUS_OK;
    case LOAD_CUT_WANDERS: return choose_in_wandering(s, r, why);
    case LOAD_CUT_LATER: return STATUS_RETRY;
    case LOAD_CUT_NONE: return STATUS_INVALID;
    }
    BUG("where to cut");
}

static void split_propose(struct node_split *s)
{
    struct node *n = s->node;
    struct replica *r = host_replica(n->host, s->asked.range_id);
    if (r == NULL || !replica_leads(r)) {
        split_refuse(s, r == NULL ? STATUS_RANGE_NOT_FOUND : STATUS_NOT_LEADER, false,
                     "this replica does not lead the range");
        return;
    }
    const struct range_desc *d = replica_desc(r);
    if (s->asked.version != 0 && s->asked.version != d->epoch.version) {
        split_refuse(s, STATUS_EPOCH_MISMATCH, false, "the range has changed since the split was decided on");
        return;
    }
    if (merge_awaited(n->host, r)) {
        s->retry_ns = env_mono_ns(n->env) + SPLIT_PAUSE_NS;
        n->env->ops->wake(n->env);
        return;
    }
    s->asked.version = d->epoch.version;
    const char *why;
    enum status chosen = s->key.size == 0 ? choose_key(s, r, &why) : STATUS_OK;
    if (chosen != STATUS_OK) {
        split_refuse(s, chosen, false, why);
        return;
    }
    buf_clear(&n->scratch);
    range_command_encode(&(struct range_command){.kind = RANGE_SPLIT,
                                                 .epoch = d->epoch,
                                                 .other = s->asked.new_id,
                                                 .leader = replica_id(r),
                                                 .key = buf_slice(&s->key)},
                         &n->scratch);
    s->proposal.done = split_done;
    s->proposal.deadline_ns = s->deadline_ns;
    s->state = SPLIT_PROPOSED;
    enum status status = replica_propose(r, buf_slice(&n->scratch), &s->proposal);
    if (status == STATUS_OK) return;
    s->state = SPLIT_READY;
    split_refuse(s, status == STATUS_CLOSED ? STATUS_NOT_LEADER : status, false, status_text(status));
}

static struct node_split *split_new(struct node *n, struct rpc_request *req)
{
    struct node_split *s = mem_zalloc(sizeof *s);
    s->node = n;
    s->req = req;
    s->deadline_ns = env_mono_ns(n->env) + SPLIT_NS;
    buf_init(&s->key, LIMIT_KEY_BYTES);
    list_init(&s->proposal.link);
    list_push_back(&n->splits, &s->link);
    return s;
}

/* Orders come again until the range has split: one at a time. */
void split_ordered(struct node *n, const struct range_order *o)
{
    LIST_FOR(it, &n->splits)
    {
        if (LIST_ENTRY(it, struct node_split, link)->asked.range_id == o->range_id) return;
    }
    struct node_split *s = split_new(n, NULL);
    s->asked = (struct range_split_request){.range_id = o->range_id, .key = SLICE_EMPTY};
    s->op = o->op;
    s->hot = o->kind == ORDER_SPLIT_HOT;
    s->state = SPLIT_NEEDS_ID;
    n->env->ops->wake(n->env);
}

void split_asked(struct node *n, struct rpc_request *req)
{
    struct node_split *s = split_new(n, req);
    arena_reset(&n->arena);
    if (unpack_range_split_request(req->params, &n->arena, &s->asked) != STATUS_OK) {
        split_refuse(s, STATUS_INVALID, false, "not a split request");
        return;
    }
    buf_append_slice(&s->key, s->asked.key);
    s->state = s->asked.new_id != 0 ? SPLIT_READY : SPLIT_NEEDS_ID;
    const struct replica *r = n->host == NULL ? NULL : host_replica(n->host, s->asked.range_id);
    if (r == NULL || n->state != NODE_SERVING || !replica_leads(r))
        split_refuse(s, r == NULL ? STATUS_RANGE_NOT_FOUND : STATUS_NOT_LEADER, false,
                     "this node does not lead the range");
}

/* To the node that comes behind this one in the descriptor: so the head of rising keys goes round. */
static void give_head(struct node_split *s)
{
    struct replica *r = host_replica(s->node->host, s->asked.new_id);
    struct errbuf err;
    if (r == NULL || !replica_leads(r)) {
        if (r == NULL || !replica_awaited(r)) split_succeed(s); /* others have it already */
        return;
    }
    const struct range_desc *d = replica_desc(r);
    size_t self = 0;
    while (d->replicas[self].replica_id != replica_id(r)) self++;
    enum status given = replica_transfer(r, d->replicas[(self + 1) % d->replica_count].node_id, &err);
    if (given == STATUS_OK) split_succeed(s);
}

uint64_t splits_pass(struct node *n, uint64_t now_ns)
{
    uint64_t next = DEADLINE_NONE;
    LIST_FOR(it, &n->splits)
    {
        struct node_split *s = LIST_ENTRY(it, struct node_split, link);
        if (s->state == SPLIT_NEEDS_ID) split_ask_id(s, now_ns);
        if (s->state == SPLIT_GIVES_HEAD && now_ns >= s->deadline_ns) {
            split_succeed(s); /* it has been cut, and that is what was asked for */
            continue;
        }
        if (s->state == SPLIT_GIVES_HEAD) {
            if (now_ns + SPLIT_PAUSE_NS < next) next = now_ns + SPLIT_PAUSE_NS;
            give_head(s);
            continue;
        }
        if (s->state != SPLIT_READY) continue;
        if (now_ns >= s->deadline_ns) {
            split_refuse(s, STATUS_RETRY, false,
                         "all the time transactions had keys on both sides, or the range behind it was frozen");
        } else if (now_ns >= s->retry_ns) {
            split_propose(s);
        } else if (s->retry_ns < next) {
            next = s->retry_ns;
        }
    }
    return next;
}

/* The calls and proposals that they wait for are over, or will never come. */
void splits_free(struct node *n)
{
    while (!list_empty(&n->splits)) {
        split_refuse(LIST_ENTRY(n->splits.next, struct node_split, link), STATUS_NOT_LEADER, false,
                     "the node is stopping and hands all its leaderships over");
    }
}
