/* What the applied entries of a range did, as one hash per window of entries: replicas that hold the same rows must have done
 * the same. Pure. A window is the `every` entries that end at a multiple of `every`; it begins anew with each, so a replica
 * that was opened or replaced in the middle of a window has no hash of that one and is compared again from the next.
 *
 * A replica is told the others' hashes and judges itself: if a majority of the voters agree on another hash than its own, it is
 * the one that is wrong. With fewer it cannot know, and only says that there is a difference. */
#ifndef QUORATE_RANGE_EFFECTS_H
#define QUORATE_RANGE_EFFECTS_H

#include "base/slice.h"

#define EFFECTS_WINDOWS 4u /* remembered: of our own... */
#define EFFECTS_CLAIMS 12u /* ...and of all others together */

struct effects_window {
    uint64_t index; /* its last entry; 0: none */
    uint64_t hash;
};
struct effects_claim { /* by another replica */
    uint64_t replica;
    struct effects_window window;
};
enum effects_verdict {
    EFFECTS_UNKNOWN,  /* too few have spoken */
    EFFECTS_AGREE,    /* a majority of the voters, ourselves included */
    EFFECTS_DOUBT,    /* somebody differs, but no majority against us */
    EFFECTS_DIVERGED, /* a majority of the voters agree on another hash */
};

struct effects_memory {
    struct effects_window own[EFFECTS_WINDOWS]; /* newest first */
    struct effects_claim claims[EFFECTS_CLAIMS];
    unsigned claim_next;
    uint64_t doubted; /* the window of the last log line about a difference; its owner's */
};
struct effects {
    uint64_t every; /* 0: nothing is hashed */
    uint64_t next;  /* index of the entry that comes next */
    uint64_t begun; /* the first entry of the present window, or of what was seen of it */
    bool whole;     /* all entries of the present window were seen */
    uint64_t hash;
    struct effects_memory *memory; /* NULL until there is something to remember: most ranges never get there */
};

/* e is zeroed, or was initialised before. */

void effects_init(struct effects *e, uint64_t every, uint64_t applied);
void effects_free(struct effects *e);
/* An entry's effect, piece by piece, then its end. True: a window is complete (own[] has it). */
void effects_note(struct effects *e, uint64_t number);
void effects_note_bytes(struct effects *e, struct slice bytes);
bool effects_end(struct effects *e, uint64_t index);
/* The window ends behind the last entry, whatever its index, as on all other replicas: if it has not ended there anyway, also
 * where the end was not seen whole. True: own[] has it. */
bool effects_cut(struct effects *e, bool *whole, uint64_t *hash);
/* A hash of all rows as of that index is compared like a window, under an index of its own. */
#define EFFECTS_ROWS ((uint64_t)1 << 62)
void effects_add_rows(struct effects *e, uint64_t index, uint64_t hash);
/* Newest first; empty ones have index 0. */
const struct effects_window *effects_own(const struct effects *e);
void effects_claim(struct effects *e, uint64_t replica, const struct effects_window *w);
/* Worst verdict over all remembered windows; *at: the window that it is about. */
enum effects_verdict effects_judge(const struct effects *e, const uint64_t *voters, unsigned voter_count, uint64_t self,
                                   struct effects_window *at);
#endif
