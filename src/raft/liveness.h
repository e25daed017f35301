/* Node-pair liveness: what two hosts know of each other's life (docs/liveness.md; the idea of a promise to a node instead of
 * to a leader: CockroachDB's "store liveness"). One struct liveness per other host, both directions in it. Pure: time comes
 * in, messages go out.
 *
 * We as the supported: heartbeats go out, answers come in; an answer says that the other node promised, at the earliest when
 * the heartbeat left, to support this life of ours for a while under a grant.
 *
 *            first answer                 answers keep coming
 *   ALONE -----------------> HELD(grant) <------------------+
 *     ^                        |   |                         |
 *     +--- the time is up -----+   +--- another grant -------+     either: the host tells the groups that we lead
 *
 * We as the supporter:
 *                  a heartbeat                        heartbeats of the same life: longer
 *   WITHHELD(g) ----------------> GIVEN(g, life) <---------+
 *        ^                            |  |                  |
 *        +--- the time is up; g + 1 --+  +------------------+     the groups led from there are released
 *
 * A heartbeat of another life is not answered while GIVEN: nothing tells an old life's late message from a new life's, and
 * leaders of the life that we support may count on us until the time is up. */
#ifndef QUORATE_RAFT_LIVENESS_H
#define QUORATE_RAFT_LIVENESS_H

#include <stdbool.h>
#include <stdint.h>

#define LIVENESS_WINDOW 16u
#define LIVENESS_SUPPORT_MAX_NS 60000000000ull

struct liveness_options {
    uint64_t life; /* of this process: drawn at random at its start, never 0 */
    uint64_t heartbeat_ns;
    uint64_t support_ns; /* asked for, and the most that is given */
};

struct liveness_message {
    bool is_answer;
    uint64_t life;       /* the supported one's */
    uint64_t seq;        /* of the heartbeat */
    uint64_t support_ns; /* wanted; in an answer: given */
    uint64_t grant;      /* answers */
};

struct liveness {
    /* what the other node promised us */
    uint64_t seq;                      /* newest heartbeat */
    uint64_t sent_ns[LIVENESS_WINDOW]; /* when heartbeat n left: [n % LIVENESS_WINDOW] */
    uint64_t answered;                 /* newest heartbeat that was answered */
    uint64_t heartbeat_at_ns;
    uint64_t held_grant; /* 0: none */
    uint64_t held_until_ns;
    uint64_t lease_until_ns; /* as held_until_ns, of heartbeats from lease_from on; 0: none */
    uint64_t lease_from;
    /* what we promised it */
    uint64_t grant; /* present, or of the next time; rises with each withdrawal */
    uint64_t given_life;
    uint64_t given_until_ns;
    bool given;
};

/* What a call has changed, as bits. */
#define LIVENESS_HELD 1u      /* the other node supports us again, or under another grant */
#define LIVENESS_LOST 2u      /* it no longer does */
#define LIVENESS_WITHDRAWN 4u /* we no longer support it */

void liveness_init(struct liveness *l, uint64_t grant); /* grant: at random, so that no two lives share one */
/* True: *out is to be sent now. */
bool liveness_heartbeat(struct liveness *l, const struct liveness_options *o, uint64_t now_ns,
                        struct liveness_message *out);
/* now_ns: read after the message came. *reply is valid if *has_reply. */
unsigned liveness_receive(struct liveness *l, const struct liveness_options *o, uint64_t now_ns,
                          const struct liveness_message *m, struct liveness_message *reply, bool *has_reply);
unsigned liveness_tick(struct liveness *l, uint64_t now_ns);
uint64_t liveness_deadline_ns(const struct liveness *l); /* of the next heartbeat or tick */
/* Our sense of time is in doubt (a stall, a jump): only heartbeats that leave from now on give leases. */
void liveness_doubt(struct liveness *l, uint64_t now_ns);

/* Grant, or 0; stands until a tick withdraws it. life: only if it is given to that one; 0: to any. */
uint64_t liveness_given(const struct liveness *l, uint64_t life);
uint64_t liveness_held(const struct liveness *l); /* grant, or 0 */
void liveness_check(const struct liveness *l);

#endif
