/* Entries of a group's log that change the range itself. Bytes: docs/formats/ranges.md; meaning: docs/ranges.md. */
#ifndef QUORATE_RANGE_COMMAND_H
#define QUORATE_RANGE_COMMAND_H

#include "base/buf.h"
#include "base/status.h"
#include "wire/descriptors.h"

enum range_command_kind {
    RANGE_SPLIT = 16,  /* other: the new range; leader: replica id; key: where the new range begins */
    RANGE_INTEND,      /* left: other: the right neighbour, which is to be absorbed */
    RANGE_FREEZE,      /* right: other: the left neighbour; version: of its intent */
    RANGE_COMMIT,      /* left: other: the right neighbour; index: at which that is frozen */
    RANGE_ABORT,       /* left: the intent is given up */
    RANGE_THAW,        /* right: the left neighbour has given it up */
    RANGE_INTEND_SINCE /* RANGE_INTEND, and what is known of the end goes into the state (FEATURE_MERGE_END_SINCE) */
};

struct range_command {
    enum range_command_kind kind;
    struct range_epoch epoch; /* when it was proposed: has an effect only if it is still the same */
    uint64_t other, leader, version, index;
    struct slice key;
};

bool range_command_is(struct slice data);
void range_command_encode(const struct range_command *c, struct buf *out);
MUST_CHECK enum status range_command_decode(struct slice data, struct range_command *out);

/* The answer of such an entry: one byte, a status; EPOCH_MISMATCH, RETRY, EXISTS...: nothing was done. */
enum status range_answer_status(struct slice answer);

#endif
