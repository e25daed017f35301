/* Prepares of a range whose timestamps come together share an entry of its log: what an entry costs is paid once, and on every
 * replica what they look at comes to the processor together. Each is answered for itself.
 *
 *   its timestamp has come --> gathered --those of the others have come; it is full; another kind of request--> proposed --> each is answered
 *                                                                                          \-- not taken: each goes alone
 *
 * A range's timestamps must rise along its log: nothing else of it is proposed before those that are gathered (timestamps.c). */
#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "node/locks.h"
#include "wire/versions.h"

enum { PREPARES_MAX = 64, PREPARES_BYTES_MAX = 65536, PREPARE_BYTES_MAX = 4096 };

struct prepares {
    struct proposal proposal;
    struct list link; /* the node's, while they are gathered */
    struct node *node;
    struct kv_state *state;
    struct range_epoch epoch; /* as below: of all of them */
    uint64_t group, term;
    struct list requests; /* their timestamps, in proposal.ts, rise */
    size_t count, bytes;
};

/* It returns no values, which may be large, and looks at no stretches, which are not read ahead. */
static bool is_plain(const struct txn *t)
{
    for (size_t i = 0; i < t->compare_count; i++) {
        if (t->compares[i].target == TXN_TARGET_SPAN) return false;
    }
    for (size_t i = 0; i < t->op_count; i++) {
        if (t->ops[i].kind == TXN_GET) return false;
    }
    for (size_t i = 0; i < t->else_count; i++) {
        if (t->else_ops[i].kind == TXN_GET) return false;
    }
    return true;
}

bool prepares_may_share(const struct node_request *q, const struct txn *part)
{
    bool understood = feature_on(q->node->self.finalised, FEATURE_PREPARES_SHARED) || MUTANT(version_ungated);
    return understood && q->txn.kind == TXN_COMMAND_PREPARE && q->txn.txn.size <= PREPARE_BYTES_MAX && is_plain(part);
}

static struct kv_state *state_of(const struct node *n, uint64_t group)
{
    struct replica *r = host_replica(n->host, group);
    return r == NULL ? NULL : replica_machine_state(r);
}

static void prepares_done(struct proposal *p, enum status s, bool unknown, struct slice answer)
{
    struct prepares *b = LIST_ENTRY(p, struct prepares, proposal);
    struct cursor c = cursor_make(answer);
    struct list *it;
    while ((it = list_pop_front(&b->requests)) != NULL) {
        struct slice one = SLICE_EMPTY; /* no answer at all: the range has changed */
        if (answer.size > 0 && !txn_answers_next(&c, &one)) BUG("an answer of this process");
        txn_answered(LIST_ENTRY(it, struct node_request, link), s, unknown, one);
    }
    mem_free(b);
}

static void encode(struct prepares *b, struct buf *out)
{
    struct txn_command c = {.kind = TXN_COMMAND_PREPARES,
                            .conf_ver = b->epoch.conf_ver,
                            .version = b->epoch.version,
                            .ts = LIST_ENTRY(b->requests.prev, struct node_request, link)->proposal.ts,
                            .txn = SLICE_EMPTY};
    buf_clear(out);
    txn_command_encode(&c, out);
    LIST_FOR(it, &b->requests)
    {
        const struct node_request *q = LIST_ENTRY(it, struct node_request, link);
        txn_prepares_append(q->proposal.ts, q->txn.txn, out);
        if (q->deadline_ns > b->proposal.deadline_ns) b->proposal.deadline_ns = q->deadline_ns;
    }
}

/* False: nothing has happened. */
static bool propose_together(struct prepares *b)
{
    struct replica *r = host_replica(b->node->host, b->group);
    if (b->count == 1 || r == NULL || raft_term(replica_raft(r)) != b->term) return false;
    encode(b, &b->node->scratch);
    b->proposal.done = prepares_done;
    b->proposal.ts = LIST_ENTRY(b->requests.next, struct node_request, link)->proposal.ts; /* the lowest */
    if (replica_propose(r, buf_slice(&b->node->scratch), &b->proposal) != STATUS_OK) return false;
    LIST_FOR(it, &b->requests)
    {
        struct node_request *q = LIST_ENTRY(it, struct node_request, link);
        q->proposal.index = b->proposal.index;
        flight_proposed(q);
    }
    return true;
}

/* What cannot go together is tried alone, and refused, or asks for another timestamp, by itself. */
static void propose(struct prepares *b)
{
    struct list *it;
    list_remove(&b->link);
    b->state->prepares = NULL;
    if (propose_together(b)) return;
    while ((it = list_pop_front(&b->requests)) != NULL) {
        struct node_request *q = LIST_ENTRY(it, struct node_request, link);
        txn_propose(q, q->proposal.ts);
    }
    mem_free(b);
}

static struct prepares *prepares_new(const struct node_request *q, struct kv_state *s)
{
    struct prepares *b = mem_zalloc(sizeof *b);
    b->node = q->node;
    b->state = s;
    b->group = q->group;
    b->term = q->term;
    b->epoch = q->txn.to.epoch;
    list_init(&b->requests);
    list_push_back(&q->node->prepares, &b->link);
    s->prepares = b;
    return b;
}

static bool takes(const struct prepares *b, const struct node_request *q)
{
    const struct range_epoch *e = &q->txn.to.epoch;
    return b->term == q->term && b->epoch.version == e->version && b->epoch.conf_ver == e->conf_ver &&
           b->count < PREPARES_MAX && b->bytes < PREPARES_BYTES_MAX;
}

void prepares_gather(struct node_request *q, uint64_t ts)
{
    struct kv_state *s = state_of(q->node, q->group);
    if (s == NULL) {
        txn_propose(q, ts);
        return;
    }
    if (s->prepares != NULL && !takes(s->prepares, q)) propose(s->prepares);
    struct prepares *b = s->prepares != NULL ? s->prepares : prepares_new(q, s);
    q->proposal.ts = ts;
    list_push_back(&b->requests, &q->link);
    b->count++;
    b->bytes += q->txn.txn.size;
}

void prepares_propose(struct node *n, uint64_t group)
{
    const struct kv_state *s = list_empty(&n->prepares) ? NULL : state_of(n, group);
    if (s != NULL && s->prepares != NULL) propose(s->prepares);
}

void prepares_propose_all(struct node *n)
{
    while (!list_empty(&n->prepares)) propose(LIST_ENTRY(n->prepares.next, struct prepares, link));
}
