/* Decides and Forgets of a range that come within one pass share an entry of its log: each of them is small, needs no timestamp, and
 * is answered alike. A Forget, for which nobody waits, waits a little for others.
 *
 *   arrived --> gathered --the pass ends, or a Forget has waited--> proposed together --> applied --> each is answered
 *                                                                         \-- refused: each is */
#include "base/assert.h"
#include "base/mem.h"
#include "node/locks.h"

#define FORGET_WAIT_NS (10 * NS_PER_MS)
#define NAMED_EVERY_NS (100 * NS_PER_MS)
#define STEPS_BYTES_MAX 65536u
enum { STEPS_MAX = 256 };

struct batch {
    struct proposal proposal;
    struct node *node;
    struct list steps;
};

/* Of a request of several its first one's kind: they are all alike. */
static enum txn_command_kind kind_of(const struct node_request *q)
{
    return q->txn.kind == TXN_COMMAND_STEPS ? (enum txn_command_kind)q->txn.txn.data[0]
                                            : (enum txn_command_kind)q->txn.kind;
}

void steps_gather(struct node_request *q, struct kv_state *s)
{
    struct node *n = q->node;
    uint64_t now_ns = q->req->received_ns;
    list_push_back(&s->steps, &q->link);
    if (list_empty(&s->steps_link)) {
        list_push_back(&n->step_states, &s->steps_link);
        s->steps_due_ns = UINT64_MAX;
    }
    uint64_t wait_ns = kind_of(q) == TXN_COMMAND_FORGET ? FORGET_WAIT_NS : 0;
    if (now_ns + wait_ns < s->steps_due_ns) s->steps_due_ns = now_ns + wait_ns;
    if (++s->steps_count >= STEPS_MAX) s->steps_due_ns = now_ns;
}

static void refuse_all(struct list *steps, enum status s, bool unknown, const char *why)
{
    struct list *it;
    while ((it = list_pop_front(steps)) != NULL) {
        node_refuse(LIST_ENTRY(it, struct node_request, link), s, unknown, why);
    }
}

static void batch_done(struct proposal *p, enum status s, bool unknown, struct slice answer)
{
    struct batch *b = LIST_ENTRY(p, struct batch, proposal);
    struct list *it;
    if (s != STATUS_OK) {
        refuse_all(&b->steps, s, unknown, "the end of the transaction was proposed; whether it commits is not known");
    } else if (answer.size == 0) {
        refuse_all(&b->steps, STATUS_EPOCH_MISMATCH, false, "the range changed before the transaction's turn");
    } else {
        while ((it = list_pop_front(&b->steps)) != NULL) node_reply(LIST_ENTRY(it, struct node_request, link), answer);
    }
    mem_free(b);
}

/* A step alone is an entry of its own kind. */
static void encode(struct buf *out, const struct list *steps, const struct range_desc *d)
{
    struct buf body;
    struct txn_command c = {.kind = TXN_COMMAND_STEPS, .conf_ver = d->epoch.conf_ver, .version = d->epoch.version};
    buf_init(&body, LIMIT_FRAME_BYTES);
    if (steps->next->next == steps) {
        const struct node_request *q = LIST_ENTRY(steps->next, struct node_request, link);
        c.kind = (enum txn_command_kind)q->txn.kind;
        c.txn = q->txn.txn;
    } else {
        LIST_FOR(it, steps)
        {
            const struct node_request *q = LIST_ENTRY(it, struct node_request, link);
            struct txn_step step = {.kind = kind_of(q), .body = q->txn.txn};
            if (q->txn.kind == TXN_COMMAND_STEPS)
                buf_append_slice(&body, q->txn.txn);
            else
                txn_step_append(&step, &body);
        }
        c.txn = buf_slice(&body);
    }
    txn_command_encode(&c, out);
    buf_free(&body);
}

/* A transaction whose coordinator has died between its Decides and its Forgets is met by nobody. It is named to one who sends a Forget,
 * which can wait: whoever hears of it again and again settles it (client/spread.c). */
static bool names_abandoned(struct node_request *q, struct kv_state *s)
{
    struct node *n = q->node;
    struct txn_id id;
    struct txn_blocked b;
    if (kind_of(q) != TXN_COMMAND_FORGET || q->req->received_ns < s->named_ns + NAMED_EVERY_NS) return false;
    s->named_ns = q->req->received_ns;
    arena_reset(&n->arena);
    if (!txn_table_abandoned(s->table, &id) || !txn_table_describe(s->table, &id, &n->arena, &b)) return false;
    COVER("node.names_abandoned");
    struct buf payload;
    buf_init(&payload, LIMIT_FRAME_BYTES);
    txn_blocked_encode(&b, &payload);
    node_refuse_with(q, STATUS_BLOCKED, "there is an abandoned transaction to be settled", buf_slice(&payload));
    buf_free(&payload);
    return true;
}

/* As many as go into an entry; those that were sent for another state of the range are refused. */
static struct batch *take(struct node *n, struct kv_state *s, const struct replica *r)
{
    struct batch *b = mem_zalloc(sizeof *b);
    b->node = n;
    list_init(&b->steps);
    size_t bytes = 0;
    while (!list_empty(&s->steps) && bytes < STEPS_BYTES_MAX) {
        struct node_request *q = LIST_ENTRY(list_pop_front(&s->steps), struct node_request, link);
        s->steps_count--;
        if (q->term != raft_term(replica_raft(r))) {
            node_refuse(q, STATUS_NOT_LEADER, false, "leadership changed before the transaction's end was proposed");
            continue;
        }
        if (!node_epoch_holds(r, &q->txn.to)) {
            node_refuse(q, STATUS_EPOCH_MISMATCH, false, "the range changed before the transaction's turn");
            continue;
        }
        if (names_abandoned(q, s)) continue;
        bytes += q->txn.txn.size;
        if (q->deadline_ns > b->proposal.deadline_ns) b->proposal.deadline_ns = q->deadline_ns;
        list_push_back(&b->steps, &q->link);
    }
    return b;
}

static void propose(struct node *n, struct kv_state *s)
{
    struct replica *r = host_replica(n->host, s->range_id);
    if (r == NULL || !replica_leads(r)) {
        s->steps_count = 0;
        refuse_all(&s->steps, STATUS_NOT_LEADER, false, "leadership changed before the transaction's end was proposed");
        return;
    }
    struct batch *b = take(n, s, r);
    if (list_empty(&b->steps)) {
        mem_free(b);
        return;
    }
    buf_clear(&n->scratch);
    encode(&n->scratch, &b->steps, replica_desc(r));
    b->proposal.done = batch_done;
    enum status status = replica_propose(r, buf_slice(&n->scratch), &b->proposal);
    if (status == STATUS_OK) return;
    if (status == STATUS_CLOSED) status = STATUS_NOT_LEADER; /* stopping: others lead, or are about to */
    refuse_all(&b->steps, status, false, status_text(status));
    mem_free(b);
}

uint64_t steps_pass(struct node *n, uint64_t now_ns)
{
    uint64_t next = DEADLINE_NONE;
    LIST_FOR(it, &n->step_states)
    {
        struct kv_state *s = LIST_ENTRY(it, struct kv_state, steps_link);
        while (s->steps_due_ns <= now_ns && !list_empty(&s->steps)) propose(n, s);
        if (list_empty(&s->steps)) {
            list_remove(&s->steps_link);
        } else if (s->steps_due_ns < next) {
            next = s->steps_due_ns;
        }
    }
    return next;
}

void steps_fail(struct kv_state *s, const char *why)
{
    s->steps_count = 0;
    refuse_all(&s->steps, STATUS_NOT_LEADER, false, why);
    list_remove(&s->steps_link);
}

void steps_fail_all(struct node *n)
{
    while (!list_empty(&n->step_states)) {
        steps_fail(LIST_ENTRY(n->step_states.next, struct kv_state, steps_link),
                   "the node is stopping: others lead, or are about to");
    }
}
