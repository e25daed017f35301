/* Reads of a range that this node does not lead: its leader is asked for a resolved timestamp. One call per range is under
 * way at a time; what comes meanwhile goes with the next, never with the one that left before it came.
 *
 *   read --> waiting --(no call under way)--> asked --answer--> waits for apply, then served; or refused: ask the leader
 *
 * A call ends by its answer or deadline; when the link to the leader goes away, by the sweep. */
#include "node/ask.h"
#include "base/assert.h"
#include "base/mem.h"
#include "node/read.h"

#define ASK_CALL_NS (2000 * NS_PER_MS)
#define ASK_GRACE_NS (1000 * NS_PER_MS)

static void ask_send(struct ask *a);

static void ask_refuse(struct list *queue, enum status s, const char *why)
{
    struct list *it;
    while ((it = list_pop_front(queue)) != NULL) node_refuse(LIST_ENTRY(it, struct node_request, link), s, false, why);
}

static void ask_done(void *ctx, enum status status, bool sent, const struct reply_head *head)
{
    (void)sent;
    struct ask *a = ctx;
    struct node *n = a->node;
    struct resolve_reply reply = {0};
    if (!a->busy) return; /* given up by the sweep */
    a->busy = false;
    struct replica *r = host_replica(n->host, a->group);
    struct arena arena;
    arena_init(&arena, 256);
    bool good = status == STATUS_OK && head->status == STATUS_OK && r != NULL &&
                unpack_resolve_reply(head->payload, &arena, &reply) == STATUS_OK && reply.ts != 0;
    arena_free(&arena);
    if (good) {
        struct resolved resolved = {.ts = reply.ts, .index = reply.index, .since_ns = a->sent_ns};
        replica_note_resolved(r, &resolved);
        struct list *it;
        while ((it = list_pop_front(&a->asked)) != NULL)
            read_at_resolved(LIST_ENTRY(it, struct node_request, link), &resolved);
    } else {
        ask_refuse(&a->asked, STATUS_NOT_LEADER,
                   "the leader of the range did not answer this replica: ask it yourself");
    }
    n->env->ops->wake(n->env);
    if (!list_empty(&a->waiting)) ask_send(a);
}

static void ask_send(struct ask *a)
{
    struct node *n = a->node;
    struct replica *r = host_replica(n->host, a->group);
    struct list *it;
    ASSERT(!a->busy);
    ASSERT(list_empty(&a->asked));
    while ((it = list_pop_front(&a->waiting)) != NULL) list_push_back(&a->asked, it);
    uint64_t leader = r == NULL ? 0 : replica_leader_node(r);
    if (leader == 0 || leader == n->self.node_id) {
        ask_refuse(&a->asked, STATUS_NOT_LEADER, "this replica knows no other that leads");
        return;
    }
    a->busy = true;
    a->sent_ns = env_mono_ns(n->env);
    a->deadline_ns = a->sent_ns + ASK_CALL_NS;
    struct resolve_request request = {.to = {.range_id = a->group,
                                             .epoch = replica_desc(r)->epoch,
                                             .deadline_ms = (uint32_t)(ASK_CALL_NS / NS_PER_MS)}};
    buf_clear(&n->scratch);
    pack_resolve_request(&n->scratch, &request);
    if (!host_call(n->host, leader, METHOD_RESOLVE, buf_slice(&n->scratch), a->deadline_ns, ask_done, a)) {
        a->busy = false;
        ask_refuse(&a->asked, STATUS_NOT_LEADER, "this node does not know where the leader is");
    }
}

void ask_leader(struct node_request *q)
{
    struct node *n = q->node;
    struct ask *a = map_get(&n->asks, q->group);
    if (a == NULL) {
        a = mem_zalloc(sizeof *a);
        a->node = n;
        a->group = q->group;
        list_init(&a->waiting);
        list_init(&a->asked);
        map_put(&n->asks, q->group, a);
    }
    list_push_back(&a->waiting, &q->link);
    if (!a->busy) ask_send(a);
}

static void sweep_queue(struct list *queue, uint64_t now_ns)
{
    LIST_FOR(it, queue)
    {
        struct node_request *q = LIST_ENTRY(it, struct node_request, link);
        if (now_ns < q->deadline_ns) continue;
        list_remove(it);
        node_refuse(q, STATUS_TIMEOUT, false, "the leader of the range did not answer this replica in time");
    }
}

void asks_sweep(struct node *n, uint64_t now_ns)
{
    uint64_t group;
    void *value;
    for (size_t i = 0; map_next(&n->asks, &i, &group, &value);) {
        struct ask *a = value;
        sweep_queue(&a->asked, now_ns);
        sweep_queue(&a->waiting, now_ns);
        if (!a->busy && list_empty(&a->waiting)) { /* nobody asks any more; of the last call nothing comes any more */
            (void)map_remove(&n->asks, group);
            mem_free(a);
            continue;
        }
        if (!a->busy || now_ns < a->deadline_ns + ASK_GRACE_NS) continue;
        COVER("ask.link_gone");
        a->busy = false;
        ask_refuse(&a->asked, STATUS_NOT_LEADER, "the connection to the leader is gone");
        if (!list_empty(&a->waiting)) ask_send(a);
    }
}

void asks_fail_all(struct node *n)
{
    uint64_t group;
    void *value;
    for (size_t i = 0; map_next(&n->asks, &i, &group, &value);) {
        struct ask *a = value;
        ask_refuse(&a->asked, STATUS_NOT_LEADER, "the node is stopping: others lead, or are about to");
        ask_refuse(&a->waiting, STATUS_NOT_LEADER, "the node is stopping: others lead, or are about to");
    }
}

void asks_free(struct node *n)
{
    uint64_t group;
    void *value;
    for (size_t i = 0; map_next(&n->asks, &i, &group, &value);) mem_free(value);
    map_free(&n->asks);
}
