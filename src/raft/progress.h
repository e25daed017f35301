/* What a leader knows of one replica, itself included; a candidate keeps the votes here.
 *
 *              acknowledged                  refused, unreachable
 *   PROBE ---------------------> REPLICATE -----------------------> PROBE
 *     |  one append at a time       |  a window of appends under way
 *     |                             |
 *     +-----------> SNAPSHOT <------+   the log does not reach back far enough: no appends
 *                      |
 *                      +--> PROBE       the host reports an end (RAFT_EVENT_SNAPSHOT_SENT), or it acknowledges */
#ifndef QUORATE_RAFT_PROGRESS_H
#define QUORATE_RAFT_PROGRESS_H

#include "raft/raft.h"

enum raft_progress_state { RAFT_PROBE, RAFT_REPLICATE, RAFT_SNAPSHOT };
enum raft_ballot { RAFT_BALLOT_NONE, RAFT_BALLOT_GRANTED, RAFT_BALLOT_REFUSED };

struct raft_flight { /* one append under way */
    uint64_t last, bytes;
};
struct raft_flights { /* a ring */
    uint64_t bytes;
    uint32_t head, count, capacity;
    struct raft_flight items[];
};

struct raft_progress {
    uint64_t id;
    uint64_t match;               /* acknowledged as durable there, up to here */
    uint64_t next;                /* first entry to send; > match */
    uint64_t probe_last;          /* PROBE: last entry of the append under way; 0: it had none */
    uint64_t commit_sent;         /* highest commit that it was told and could use */
    uint64_t commit_known;        /* its commit index, as of its last answer to a heartbeat */
    uint64_t grant;               /* under which it promised itself to us in this term; 0: did not */
    uint64_t read_acked;          /* newest read round that it answered */
    uint64_t recovery_nonce;      /* it has lost durable data and counts in no majority (recover.c); 0: it counts */
    uint64_t recovery_fence;      /* then: the entry that it has to get to */
    uint64_t heard_ms;            /* when it was last heard of in this term; at the start of the term: then */
    struct raft_flights *flights; /* REPLICATE; NULL when nothing has been under way for long */
    bool heard;                   /* at all in this term */
    bool recovery_told;
    bool blank;     /* it takes no entry before a snapshot */
    bool paused;    /* PROBE: the one append is under way; a heartbeat's reply lets the next one out */
    bool nudge;     /* REPLICATE: send an append even if there is nothing new, to learn whether one was lost */
    uint8_t state;  /* enum raft_progress_state */
    uint8_t ballot; /* enum raft_ballot */
};

void raft_progress_init(struct raft_progress *p, uint64_t id, uint64_t next, uint64_t now_ms);
void raft_progress_free(struct raft_progress *p);
void raft_progress_probe(struct raft_progress *p, uint64_t next);
void raft_progress_snapshot(struct raft_progress *p);
void raft_progress_acked(struct raft_progress *p, uint64_t index); /* PROBE and REPLICATE */
/* `refused` does not follow what is there; the logs meet at `meet` at the latest. False: an old refusal, nothing changed. */
bool raft_progress_refused(struct raft_progress *p, uint64_t refused, uint64_t meet);
bool raft_progress_window_open(const struct raft_progress *p, const struct raft_options *o);
void raft_progress_sent(struct raft_progress *p, uint64_t last, uint64_t bytes); /* an append with entries has left */
uint32_t raft_progress_flights(const struct raft_progress *p);                   /* appends under way */
void raft_progress_idle(struct raft_progress *p); /* gives back memory that nothing needs */
void raft_progress_check(const struct raft_progress *p, uint64_t last);

#endif
