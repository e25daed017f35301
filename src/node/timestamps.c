/* Timestamps from the metadata leader, for transactions, for reads as of now, and to close ranges at (docs/reads.md). One is
 * asked for after the request arrived, and only used if this replica still leads in the term in which it was asked: so versions
 * rise along every range's log, whoever leads.
 * One call is under way at a time; what arrives meanwhile goes with the next. */
#include "base/assert.h"
#include "node/ask.h"
#include "node/locks.h"
#include "node/read.h"

#define TIMESTAMPS_CALL_NS (5000 * NS_PER_MS)
#define TIMESTAMPS_SWEEP_NS (50 * NS_PER_MS)

static void timestamps_refuse(struct list *queue, enum status s, const char *why)
{
    struct list *it;
    while ((it = list_pop_front(queue)) != NULL) {
        node_refuse(LIST_ENTRY(it, struct node_request, link), s, false, why);
    }
}

/* The call is over, its transactions are proposed or refused: reads that waited for them know which index to wait for. */
static void timestamps_unpark(struct node *n)
{
    struct list round;
    list_init(&round);
    struct list *it;
    while ((it = list_pop_front(&n->reads_parked)) != NULL) list_push_back(&round, it);
    while ((it = list_pop_front(&round)) != NULL) read_confirm(LIST_ENTRY(it, struct node_request, link));
}

/* From a metadata service that has been made anew since: it hands out what may have been handed out already. */
static bool is_of_old(const struct node *n, const struct meta_timestamps_reply *reply)
{
    if (reply->term == 0 || META_TERM_LIFE(reply->term) >= META_TERM_LIFE(n->orders.term)) return false;
    COVER("timestamps.of_old");
    return true;
}

static void timestamps_done(void *ctx, enum status status, bool sent, const struct reply_head *head)
{
    (void)sent;
    struct node *n = ctx;
    struct meta_timestamps_reply reply;
    n->ts_busy = false;
    n->env->ops->wake(n->env);
    uint32_t asked = n->ts_asked_count;
    n->ts_asked_count = 0;
    arena_reset(&n->arena);
    flight_landed(n, &n->ts_asked);
    if (status != STATUS_OK || head->status != STATUS_OK ||
        unpack_meta_timestamps_reply(head->payload, &n->arena, &reply) != STATUS_OK || is_of_old(n, &reply)) {
        timestamps_refuse(&n->ts_asked, STATUS_UNAVAILABLE,
                          "no timestamp: the metadata service has no leader that answers; see quorate status");
        host_timestamps_came(n->host, 0);
        timestamps_unpark(n);
        return;
    }
    uint64_t now_ns = env_mono_ns(n->env), newest = reply.first + asked - 1;
    if (newest > n->newest_ts) n->newest_ts = newest;
    struct list *it;
    while ((it = list_pop_front(&n->ts_asked)) != NULL) {
        struct node_request *q = LIST_ENTRY(it, struct node_request, link);
        uint64_t ts = reply.first++;
        if (now_ns >= q->deadline_ns) {
            node_refuse(q, STATUS_TIMEOUT, false, "the deadline passed before a timestamp came");
        } else {
            if (q->got_timestamp != prepares_gather) prepares_propose(n, q->group);
            q->got_timestamp(q, ts);
        }
    }
    prepares_propose_all(n);
    host_timestamps_came(n->host, newest);
    timestamps_unpark(n);
}

void timestamps_ask(struct node *n, struct node_request *q)
{
    list_push_back(&n->ts_waiting, &q->link);
    n->ts_waiting_count++;
}

/* Requests whose deadline passes while they wait for a timestamp, their own or others': nothing has happened. */
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
    LIST_FOR(it, &n->reads_parked)
    {
        struct node_request *q = LIST_ENTRY(it, struct node_request, link);
        if (now_ns < q->deadline_ns) continue;
        list_remove(it);
        node_refuse(q, STATUS_TIMEOUT, false, "a write on the key was under way until the deadline");
    }
    asks_sweep(n, now_ns);
}

void timestamps_pass(struct node *n, uint64_t now_ns)
{
    timestamps_sweep(n, now_ns);
    if (n->ts_busy || (list_empty(&n->ts_waiting) && !host_wants_timestamp(n->host))) return;
    ASSERT(list_empty(&n->ts_asked));
    struct list *it;
    while ((it = list_pop_front(&n->ts_waiting)) != NULL) list_push_back(&n->ts_asked, it);
    n->ts_asked_count = n->ts_waiting_count > 0 ? n->ts_waiting_count : 1; /* one only to close ranges at */
    n->ts_waiting_count = 0;
    n->ts_busy = true;
    n->ts_asked_ns = now_ns;
    host_timestamps_asked(n->host, now_ns);
    flight_asked(n, &n->ts_asked);
    buf_clear(&n->scratch);
    pack_meta_timestamps_request(&n->scratch, &(struct meta_timestamps_request){.count = n->ts_asked_count});
    meta_call(n->meta, METHOD_META_TIMESTAMPS, buf_slice(&n->scratch), now_ns + TIMESTAMPS_CALL_NS, timestamps_done, n);
}

void timestamps_fail_all(struct node *n)
{
    n->ts_waiting_count = 0; /* ts_asked_count is the call's, which may still be under way */
    timestamps_refuse(&n->ts_asked, STATUS_NOT_LEADER, "the node is stopping: others lead, or are about to");
    timestamps_refuse(&n->ts_waiting, STATUS_NOT_LEADER, "the node is stopping: others lead, or are about to");
    timestamps_refuse(&n->reads_parked, STATUS_NOT_LEADER, "the node is stopping: others lead, or are about to");
    asks_fail_all(n);
}
