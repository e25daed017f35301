/* A lost metadata service made anew, out of what storage nodes tell: their ranges, and their copies of the catalogue
 * (docs/recovery.md, "When the metadata is lost"). Pure: decides whether it can be, and with which rows. */
#ifndef QUORATE_META_REBUILD_H
#define QUORATE_META_REBUILD_H

#include "wire/messages.h"

struct rebuild_asked {
    const struct node_holds_reply *nodes; /* one each of all that could be asked */
    size_t node_count;
    const uint64_t *without; /* ids of nodes that are known to be missing, and are not waited for */
    size_t without_count;
    bool leaderless; /* ranges without a leader are taken as the newest replica knows them */
    uint64_t wall_ms;
};
struct rebuild_plan {
    struct buf faults;          /* why it cannot be, a line each; empty: it can */
    struct buf remarks;         /* what a person should know, a line each */
    struct catalogue_row *rows; /* in the arena; the cluster's is the last one */
    size_t row_count;
    size_t nodes, keyspaces, ranges;
    uint64_t ts_bound, next_range;
};
void rebuild_plan_make(const struct rebuild_asked *asked, struct arena *arena, struct rebuild_plan *out);
void rebuild_plan_free(struct rebuild_plan *p);
/* The packed rows of the next piece, beginning at *at, which goes on behind it; false: there is none. */
bool rebuild_plan_piece(const struct rebuild_plan *p, size_t *at, struct buf *out, bool *last);

#endif
