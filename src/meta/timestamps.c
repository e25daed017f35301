/* Timestamps: 64 bits, milliseconds << 18 | counter, rising for ever.
 *
 * A leader hands out only below a bound that its group has committed, and a new leader begins at the bound that the former
 * one left: so none is ever handed out twice, nor one below another leader's. Every batch is handed out after a quorum has
 * confirmed the leadership since the request came (a read index round), so a deposed leader hands out nothing that is below
 * what its successor handed out before the request. Wall time only pushes forward. */
#include "base/assert.h"
#include "base/mutant.h"
#include "meta/meta_int.h"

enum { TS_AHEAD_MS = 3000, TS_EXTEND_MS = 1500 };

static uint64_t ts_of_ms(uint64_t ms)
{
    return ms << TS_COUNTER_BITS;
}

/* The next timestamp. A confirmed read of this term has applied all that former leaders committed, so the bound that is known
 * at the first one is where they stopped. */
static uint64_t ts_now(struct meta *m)
{
    uint64_t wall = ts_of_ms(env_wall_ms(m->env));
    if (m->ts_next == 0 && MUTANT(timestamps_from_the_clock)) m->ts_next = wall;
    if (m->ts_next == 0) m->ts_next = m->state.ts_bound > 0 ? m->state.ts_bound : 1;
    /* A wall clock far ahead of what was promised is followed by extending the bound, not at once. */
    return m->ts_next < wall && wall < m->state.ts_bound ? wall : m->ts_next;
}

uint64_t meta_term_told(const struct meta *m)
{
    return (m->state.lives << META_TERM_LIFE_BITS) + m->term;
}

uint64_t timestamps_about_now(const struct meta *m)
{
    uint64_t wall = ts_of_ms(env_wall_ms(m->env));
    return m->ts_next > wall ? m->ts_next : wall;
}

/* No read is confirmed for it: so what has been applied is looked at here. */
uint64_t timestamps_take(struct meta *m)
{
    const struct raft *r = replica_raft(host_replica(m->host, META_GROUP));
    if (!raft_leader_caught_up(r) && !MUTANT(timestamp_before_bound)) return 0;
    uint64_t ts = ts_now(m);
    if (ts + 1 > m->state.ts_bound) return 0;
    m->ts_next = ts + 1;
    return ts;
}

static void bound_applied(struct proposal *p, enum status s, bool unknown, struct slice answer)
{
    (void)s;
    (void)unknown;
    (void)answer;
    struct meta *m = LIST_ENTRY(p, struct meta, ts_proposal);
    m->ts_bound_busy = false;
    m->env->ops->wake(m->env); /* requests may be parked for it */
}

static void bound_extend(struct meta *m)
{
    if (m->ts_bound_busy) return;
    uint64_t wall = ts_of_ms(env_wall_ms(m->env));
    uint64_t from = m->ts_next > wall ? m->ts_next : wall;
    if (from < m->state.ts_bound) from = m->state.ts_bound;
    struct meta_command c = {.kind = META_CMD_TS_BOUND, .ts_bound = from + ts_of_ms(TS_AHEAD_MS)};
    buf_clear(&m->scratch);
    meta_command_encode(&c, &m->scratch);
    m->ts_proposal.done = bound_applied;
    m->ts_proposal.deadline_ns = DEADLINE_NONE;
    struct replica *r = host_replica(m->host, META_GROUP);
    m->ts_bound_busy = replica_propose(r, buf_slice(&m->scratch), &m->ts_proposal) == STATUS_OK;
}

void timestamps_reset(struct meta *m)
{
    if (!MUTANT(timestamps_unconfirmed)) m->ts_next = 0;
    struct list *it;
    while ((it = list_pop_front(&m->ts_parked)) != NULL) {
        meta_refuse(LIST_ENTRY(it, struct meta_request, link), STATUS_NOT_LEADER, false, "leadership changed");
    }
}

/* The request's leadership check has passed in the present term. */
void timestamps_serve(struct meta_request *q)
{
    struct meta *m = q->meta;
    uint64_t first = ts_now(m);
    if (first + q->ts_count > m->state.ts_bound) {
        COVER("timestamps.parked");
        list_push_back(&m->ts_parked, &q->link);
        bound_extend(m);
        return;
    }
    m->ts_next = first + q->ts_count;
    struct replica *r = host_replica(m->host, META_GROUP);
    if (!replica_read_holds(r, &q->read)) { /* what was taken is lost, which harms nobody */
        COVER("timestamps.lease_ended");
        enum status s = replica_read(r, &q->read);
        if (s != STATUS_OK) meta_refuse(q, s, false, status_text(s));
        return;
    }
    struct buf payload;
    buf_init(&payload, 64);
    pack_meta_timestamps_reply(&payload, &(struct meta_timestamps_reply){.first = first, .term = meta_term_told(m)});
    meta_answer(q, buf_slice(&payload));
    buf_free(&payload);
}

/* Serves what waited for the bound, and keeps the bound ahead. A parked request was confirmed in this term, and this
 * member has handed out nothing lower since: but another leader may have come meanwhile, so it is confirmed again. */
void timestamps_step(struct meta *m)
{
    if (!m->leads || m->ts_bound_busy) return;
    struct list round;
    list_init(&round);
    struct list *it;
    while ((it = list_pop_front(&m->ts_parked)) != NULL) list_push_back(&round, it);
    while ((it = list_pop_front(&round)) != NULL) {
        struct meta_request *q = LIST_ENTRY(it, struct meta_request, link);
        enum status s = replica_read(host_replica(m->host, META_GROUP), &q->read);
        if (s != STATUS_OK) meta_refuse(q, s, false, status_text(s));
    }
    uint64_t wall = ts_of_ms(env_wall_ms(m->env));
    uint64_t now = m->ts_next > wall ? m->ts_next : wall;
    if (now + ts_of_ms(TS_EXTEND_MS) > m->state.ts_bound) bound_extend(m);
}
