/* Requests that have come too early: for a range that this node is about to lead, because it was split off here a moment ago; or for
 * one that is frozen, and about to be part of another. They wait, unread, and are taken in again when that has become clear; half a second at most.
 *
 *   arrived --about to lead, frozen--> DEFERRED --leads, merged, thawed, or not after all, or DEFER_NS--> arrived again */
#include "base/assert.h"
#include "node/changes.h"

#define DEFER_NS (500 * NS_PER_MS)

static bool must_wait(const struct node_request *q, const struct replica *r, uint64_t now_ns)
{
    return r != NULL && (replica_awaited(r) || replica_merge(r).frozen) && now_ns < q->req->received_ns + DEFER_NS &&
           now_ns < q->deadline_ns;
}

bool node_defer(struct node_request *q, const struct replica *r)
{
    struct node *n = q->node;
    if (!must_wait(q, r, env_mono_ns(n->env))) return false;
    COVER("node.deferred");
    list_push_back(&n->deferred, &q->link);
    return true;
}

uint64_t deferred_pass(struct node *n, uint64_t now_ns)
{
    struct list round;
    list_init(&round);
    struct list *it;
    while ((it = list_pop_front(&n->deferred)) != NULL) list_push_back(&round, it);
    while ((it = list_pop_front(&round)) != NULL) {
        struct node_request *q = LIST_ENTRY(it, struct node_request, link);
        if (must_wait(q, host_replica(n->host, q->group), now_ns)) {
            list_push_back(&n->deferred, it);
            continue;
        }
        struct rpc_request *req = q->req;
        node_request_free(q);
        node_on_request(n, req);
    }
    return list_empty(&n->deferred) ? DEADLINE_NONE : now_ns + 5 * NS_PER_MS;
}

void deferred_fail_all(struct node *n)
{
    struct list *it;
    while ((it = list_pop_front(&n->deferred)) != NULL) {
        node_refuse(LIST_ENTRY(it, struct node_request, link), STATUS_NOT_LEADER, false,
                    "the node is stopping: others lead, or are about to");
    }
}
