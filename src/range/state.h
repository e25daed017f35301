/* What a range is: its descriptor, and what is under way with it. A row of the store beside the range's start key, changed
 * by entries of the group's log (docs/ranges.md). Bytes: docs/formats/ranges.md. */
#ifndef QUORATE_RANGE_STATE_H
#define QUORATE_RANGE_STATE_H

#include "base/buf.h"
#include "base/status.h"
#include "wire/descriptors.h"

enum range_phase { RANGE_NORMAL = 0, RANGE_INTENDING, RANGE_FROZEN };

struct range_phase_of { /* a merge that is under way */
    enum range_phase phase;
    uint64_t with;      /* INTENDING: the right neighbour; FROZEN: the left one */
    uint64_t version;   /* of the left one's epoch, as it began to intend */
    uint64_t frozen_at; /* FROZEN: index of the entry that says so */
};
struct range_state {
    struct range_desc desc;
    uint64_t
        row_base; /* rows whose version is an index of the log get row_base + index: it rises for ever beside any key */
    struct range_phase_of merge;
    /* The version, at the latest, at which ranges began to end there, without a break since; 0: the present one. */
    uint64_t end_since;
};

/* Whether an intent of that version to take in who begins at a range's end has come to nothing for good: an end that has stood since was
 * not merged away. now, end_since: the range's. False: not yet, or it is not known. */
bool range_intent_is_over(uint64_t now, uint64_t end_since, uint64_t version);
void range_state_pack(struct buf *out, const struct range_state *s);
/* Slices are borrowed from the bytes. */
MUST_CHECK enum status range_state_unpack(struct slice bytes, struct range_state *out);
bool range_epoch_newer(const struct range_epoch *a, const struct range_epoch *than); /* version first, then conf_ver */
/* A copy to be kept for long, in one piece of memory with its keys, without room for replicas that it does not have: to be copied
 * with range_desc_copy alone. mem_free. */
struct range_desc *range_desc_keep(const struct range_desc *d);
void range_desc_span(const struct range_desc *d, struct buf *start, struct buf *end); /* appends: of store keys */
bool range_desc_overlaps(const struct range_desc *a, const struct range_desc *b);

#endif
