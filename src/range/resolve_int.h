/* What resolve.c keeps in a host, in its replicas and in its links. */
#ifndef QUORATE_RANGE_RESOLVE_INT_H
#define QUORATE_RANGE_RESOLVE_INT_H

#include "range/resolve.h"

/* A round of telling peers (resolve.c):
 *
 *   IDLE --every 200 ms--> ASKING --a timestamp came, is young, was refused, or 200 ms--> CONFIRMING --all, or 200 ms--> told; IDLE */
enum round_state { ROUND_IDLE, ROUND_ASKING, ROUND_CONFIRMING };

struct resolve_host {
    uint64_t life; /* drawn at opening, never 0 */
    enum round_state state;
    uint64_t number;    /* of the round */
    struct resolved at; /* what this round closes at; index unused */
    unsigned pending;   /* confirmations */
    uint64_t begun_ns;
    uint64_t next_ns;       /* IDLE: next round; else: when patience ends */
    uint64_t asked_ns;      /* the call for timestamps that is under way left then; 0: none is */
    struct resolved issued; /* newest that came */
    uint64_t heard_ts;      /* newest that peers told of */
    struct list led;        /* struct resolve_leader: looked at in each round */
    struct list resting;    /* likewise: not looked at */
    size_t led_count;       /* of both */
    size_t resting_count;
    struct resolved rest; /* the round that those at rest are resolved in; index unused */
};

/* A replica that leads, or that led and whose peers are still to be told that it does no more. At rest: its peers know the index,
 * nothing was proposed since, and its lease rests on supports under grants that have not changed. Then each round resolves it
 * without a look at it, as long as all supports that are held last beyond the moment at which the round's timestamp had come.
 *
 *   LED --told to all, under the lease, nothing new--> RESTING --anything is done with it, a grant changes--> LED */
struct resolve_leader {
    struct list link;
    struct replica *replica;
    uint64_t since_ns;     /* 0: it leads no more */
    uint64_t closed_ts;    /* nothing at or below it is proposed any more; RESTING: nor at or below rest.ts */
    struct read_wait wait; /* the confirmation for a round, while busy */
    bool busy, resting;
    uint64_t round, confirmed_round;
    struct resolved closing;       /* under confirmation; then, of confirmed_round, resolved */
    uint64_t told[LIMIT_REPLICAS]; /* index that the replica at this place was last told; 0: none */
};

/* What one replica has to do with rounds. */
struct resolve_replica {
    struct resolved_state state;
    struct resolve_leader *leader; /* NULL: nothing to resolve, and nobody to tell */
    /* Follower: its resolved timestamp is the link's newest at cover_index, as long as cover_life is the link's. */
    uint64_t cover_node, cover_life, cover_index;
};

/* Of the other side's resolved timestamps, and what it is told of ours. */
struct link_resolve {
    /* to it */
    uint64_t seq;
    bool whole;                    /* the next news tells all */
    uint64_t stamp_life, stamp_ns; /* its clock, as it last told */
    struct {
        uint64_t life, ns;
    } asked, issued, round; /* that stamp as of: the call under way; the newest timestamp; the round */
    /* from it */
    uint64_t from_life, from_seq;
    bool want_whole;
    uint64_t cover_life;    /* counts up whenever what it told is void */
    struct resolved newest; /* index unused */
};
/* horizon.c: which expired rows may go. As often as one likes; it keeps its own pace. */
struct host;
void host_horizons_step(struct host *h);

#endif
