/* Requests that wait for the end of a transaction that holds a lock: bounded, then the router is told who it is, and settles it.
 *
 *   locks_park --> parked --the holder is decided--> resumed (from the start of what it does)
 *                     |
 *                     +--LOCK_WAIT_NS in all, deadline, leadership lost--> refused: BLOCKED, TIMEOUT, NOT_LEADER
 *
 * Woken by: the Decide that is applied (locks_applied). Swept: every 50 ms. */
#include "node/locks.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "node/watch.h"

#define LOCK_WAIT_NS (500 * NS_PER_MS)
#define SWEEP_NS (50 * NS_PER_MS)

void *locks_state_new(void *ctx, const struct range_desc *desc)
{
    struct kv_state *s = mem_zalloc(sizeof *s);
    s->node = ctx;
    s->range_id = desc->id;
    s->table = txn_table_new();
    list_init(&s->parked);
    list_init(&s->steps);
    list_init(&s->steps_link);
    list_init(&s->link);
    return s;
}

static void refuse_all(struct kv_state *s, const char *why)
{
    struct list *it;
    while ((it = list_pop_front(&s->parked)) != NULL) {
        node_refuse(LIST_ENTRY(it, struct node_request, link), STATUS_NOT_LEADER, false, why);
    }
    list_remove(&s->link);
}

void locks_state_free(void *ctx, void *state)
{
    struct kv_state *s = state;
    (void)ctx;
    refuse_all(s, "the rows are being replaced here: others lead, or are about to");
    steps_fail(s, "the rows are being replaced here: others lead, or are about to");
    watched_free(s);
    ASSERT(s->prepares == NULL);
    txn_table_free(s->table);
    mem_free(s);
}

void locks_fail_all(struct node *n)
{
    while (!list_empty(&n->lock_states)) {
        refuse_all(LIST_ENTRY(n->lock_states.next, struct kv_state, link),
                   "the node is stopping: others lead, or are about to");
    }
    steps_fail_all(n);
}

void locks_park(struct node_request *q, const struct txn_id *by, void (*resume)(struct node_request *q))
{
    struct node *n = q->node;
    struct replica *r = host_replica(n->host, q->group);
    struct kv_state *s = r == NULL ? NULL : replica_machine_state(r);
    if (s == NULL) {
        node_refuse(q, STATUS_NOT_LEADER, false, "the replica has left this node, or is being replaced");
        return;
    }
    COVER("node.parked");
    if (q->parked_ns == 0) q->parked_ns = env_mono_ns(n->env);
    q->waits_for = *by;
    q->resume_parked = resume;
    list_push_back(&s->parked, &q->link);
    if (list_empty(&s->link)) list_push_back(&n->lock_states, &s->link);
    if (!txn_table_undecided(s->table, by)) { /* decided between its answer and now */
        s->changed = true;
        n->env->ops->wake(n->env);
    }
}

/* A Decide was applied. */
void locks_changed(struct kv_state *s)
{
    if (list_empty(&s->parked)) return;
    s->changed = true;
    s->node->env->ops->wake(s->node->env);
}

void locks_refuse(struct node_request *q, const struct txn_id *by, const char *why)
{
    struct node *n = q->node;
    struct replica *r = host_replica(n->host, q->group);
    const struct kv_state *s = r == NULL ? NULL : replica_machine_state(r);
    struct txn_blocked b;
    arena_reset(&n->arena);
    if (s == NULL || !txn_table_holder(s->table, by, &n->arena, &b)) {
        node_refuse(q, STATUS_RETRY, false, why);
        return;
    }
    struct buf payload;
    buf_init(&payload, LIMIT_FRAME_BYTES);
    txn_blocked_encode(&b, &payload);
    node_refuse_with(q, STATUS_BLOCKED, why, buf_slice(&payload));
    buf_free(&payload);
}

/* True: it has left the list. */
static bool look_at(struct node_request *q, const struct kv_state *s, uint64_t now_ns)
{
    bool free = !txn_table_undecided(s->table, &q->waits_for);
    if (!free && now_ns < q->deadline_ns && now_ns - q->parked_ns < LOCK_WAIT_NS) return false;
    list_remove(&q->link);
    if (now_ns >= q->deadline_ns) {
        node_refuse(q, STATUS_TIMEOUT, false, "a lock was held until the deadline");
    } else if (free) {
        q->resume_parked(q);
    } else {
        COVER("node.blocked_for_long");
        locks_refuse(q, &q->waits_for, "another transaction has held a lock on its keys for too long");
    }
    return true;
}

/* In order of arrival; what is resumed may be parked again, behind. */
static void pass_state(struct kv_state *s, uint64_t now_ns)
{
    struct list round;
    list_init(&round);
    struct list *it;
    s->changed = false;
    while ((it = list_pop_front(&s->parked)) != NULL) list_push_back(&round, it);
    while ((it = list_pop_front(&round)) != NULL) {
        struct node_request *q = LIST_ENTRY(it, struct node_request, link);
        if (!look_at(q, s, now_ns)) list_push_back(&s->parked, it);
    }
    if (list_empty(&s->parked)) list_remove(&s->link);
}

uint64_t locks_pass(struct node *n, uint64_t now_ns)
{
    bool sweep = now_ns >= n->locks_sweep_ns;
    if (sweep) n->locks_sweep_ns = now_ns + SWEEP_NS;
    LIST_FOR(it, &n->lock_states)
    {
        struct kv_state *s = LIST_ENTRY(it, struct kv_state, link);
        if (sweep || s->changed) pass_state(s, now_ns);
    }
    return list_empty(&n->lock_states) ? DEADLINE_NONE : n->locks_sweep_ns;
}

/* --- reads --- */

static struct kv_state *state_of(const struct node_request *q)
{
    struct replica *r = host_replica(q->node->host, q->group);
    return r == NULL ? NULL : replica_machine_state(r);
}

/* Up to which timestamp locks matter: as of the read's, or of all that is here when it is first asked. */
static uint64_t limit_of(struct node_request *q, const struct kv_state *s, uint64_t ts)
{
    if (ts != LSM_TS_MAX) return ts;
    if (q->lock_limit == 0) q->lock_limit = txn_table_newest(s->table);
    return q->lock_limit;
}

bool locks_let_read(struct node_request *q, struct slice store_key, uint64_t ts, void (*resume)(struct node_request *q))
{
    struct kv_state *s = state_of(q);
    struct txn_id by;
    if (q->how->mode == READ_EVENTUAL || MUTANT(locks_not_seen)) return true;
    if (s == NULL) {
        node_refuse(q, STATUS_NOT_LEADER, false, "this replica is being opened: ask another");
        return false;
    }
    if (!txn_table_read_waits(s->table, store_key, limit_of(q, s, ts), &by)) return true;
    locks_park(q, &by, resume);
    return false;
}

bool locks_let_scan(struct node_request *q, struct slice start, struct slice end, uint64_t ts,
                    void (*resume)(struct node_request *q))
{
    struct kv_state *s = state_of(q);
    struct txn_id by;
    if (q->how->mode == READ_EVENTUAL || MUTANT(locks_not_seen)) return true;
    if (s == NULL) {
        node_refuse(q, STATUS_NOT_LEADER, false, "this replica is being opened: ask another");
        return false;
    }
    if (!txn_table_scan_waits(s->table, start, end, limit_of(q, s, ts), &by)) return true;
    locks_park(q, &by, resume);
    return false;
}
