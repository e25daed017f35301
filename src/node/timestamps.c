/* Commit timestamps from the metadata leader. A timestamp is asked for after the transaction arrived, and only used if this
 * replica still leads in the term in which it was asked: so versions rise along every range's log, whoever leads.
 * One call is under way at a time; what arrives meanwhile goes with the next. */
#include "base/assert.h"
#include "node/node_int.h"

#define TIMESTAMPS_CALL_NS (5000 * NS_PER_MS)
#define TIMESTAMPS_SWEEP_NS (50 * NS_PER_MS)

static void timestamps_refuse(struct list *queue, enum status s, const char *why)
{
    struct list *it;
    while ((it = list_pop_front(queue)) != NULL) {
        node_refuse(LIST_ENTRY(it, struct node_request, link), s, false, why);
    }
}

static void timestamps_done(void *ctx, enum status status, bool sent, const struct reply_head *head)
{
    (void)sent;
    struct node *n = ctx;
    struct meta_timestamps_reply reply;
    n->ts_busy = false;
    n->env->ops->wake(n->env);
    n->ts_asked_count = 0;
    arena_reset(&n->arena);
    if (status != STATUS_OK || head->status != STATUS_OK ||
        unpack_meta_timestamps_reply(head->payload, &n->arena, &reply) != STATUS_OK) {
        timestamps_refuse(&n->ts_asked, STATUS_UNAVAILABLE,
                          "no timestamp: the metadata service has no leader that answers; see quorate status");
        return;
    }
    uint64_t now_ns = env_mono_ns(n->env);
    struct list *it;
    while ((it = list_pop_front(&n->ts_asked)) != NULL) {
        struct node_request *q = LIST_ENTRY(it, struct node_request, link);
        uint64_t ts = reply.first++;
        if (now_ns >= q->deadline_ns) {
            node_refuse(q, STATUS_TIMEOUT, false, "the deadline passed before the transaction was proposed");
        } else {
            node_txn_propose(q, ts);
        }
    }
}

void timestamps_ask(struct node *n, struct node_request *q)
{
    list_push_back(&n->ts_waiting, &q->link);
    n->ts_waiting_count++;
}

/* Transactions whose deadline passes before they were even asked for: nothing has happened. */
static void timestamps_sweep(struct node *n, uint64_t now_ns)
{
    if (now_ns < n->ts_sweep_ns) return;
    n->ts_sweep_ns = now_ns + TIMESTAMPS_SWEEP_NS;
    LIST_FOR(it, &n->ts_waiting)
    {
        struct node_request *q = LIST_ENTRY(it, struct node_request, link);
        if (now_ns < q->deadline_ns) continue;
        list_remove(it);
        n->ts_waiting_count--;
        node_refuse(q, STATUS_TIMEOUT, false,
                    "no timestamp came before the deadline: the metadata service is slow or away");
    }
}

void timestamps_pass(struct node *n, uint64_t now_ns)
{
    timestamps_sweep(n, now_ns);
    if (n->ts_busy || list_empty(&n->ts_waiting)) return;
    ASSERT(list_empty(&n->ts_asked));
    struct list *it;
    while ((it = list_pop_front(&n->ts_waiting)) != NULL) list_push_back(&n->ts_asked, it);
    n->ts_asked_count = n->ts_waiting_count;
    n->ts_waiting_count = 0;
    n->ts_busy = true;
    buf_clear(&n->scratch);
    pack_meta_timestamps_request(&n->scratch, &(struct meta_timestamps_request){.count = n->ts_asked_count});
    meta_call(n->meta, METHOD_META_TIMESTAMPS, buf_slice(&n->scratch), now_ns + TIMESTAMPS_CALL_NS, timestamps_done, n);
}

void timestamps_fail_all(struct node *n)
{
    n->ts_asked_count = n->ts_waiting_count = 0;
    timestamps_refuse(&n->ts_asked, STATUS_NOT_LEADER, "the node is stopping: others lead, or are about to");
    timestamps_refuse(&n->ts_waiting, STATUS_NOT_LEADER, "the node is stopping: others lead, or are about to");
}
