/* The data of a range's log entry that belongs to transactions: a header of fixed size and a body. Format: docs/formats/txn.md.
 * The first byte tells the kind; kinds that are not listed here belong to the range layer. */
#ifndef QUORATE_TXN_COMMAND_H
#define QUORATE_TXN_COMMAND_H

#include "base/buf.h"
#include "base/status.h"

#include <stdbool.h>

enum txn_command_kind {
    TXN_COMMAND_KIND = 1, /* a transaction of one range; body: txn_encode's bytes, as received */
    TXN_COMMAND_PREPARE,  /* body: txn_prepare_encode's */
    TXN_COMMAND_DECIDE,   /* body: txn_decide_encode's */
    TXN_COMMAND_SEAL,     /* body: txn_seal_encode's */
    TXN_COMMAND_FORGET,   /* body: txn_seal_encode's */
    TXN_COMMAND_STEPS,    /* body: txn_step_append's, of Decides, or Forgets, that came together */
    TXN_COMMAND_PREPARES /* body: txn_prepares_append's, of Prepares whose timestamps came together; ts: the last one's */
};
#define TXN_COMMAND_HEADER_BYTES 25u

/* The entry has a timestamp of its own: asked for after the request arrived, above those of all entries before it. */
static inline bool txn_command_has_ts(enum txn_command_kind kind)
{
    return kind < TXN_COMMAND_DECIDE || kind == TXN_COMMAND_SEAL || kind == TXN_COMMAND_PREPARES;
}

struct txn_command {
    uint64_t ts;                /* version that the writes get; 0 where the body tells it */
    uint64_t conf_ver, version; /* the range's epoch when it was proposed: applied only if it is still the same */
    struct slice txn;           /* the body, borrowed; not looked into */
    enum txn_command_kind kind; /* 0 when encoding: TXN_COMMAND_KIND */
};
void txn_command_encode(const struct txn_command *c, struct buf *out);
/* STATUS_OK; STATUS_UNSUPPORTED: another kind; STATUS_INVALID: too short. */
MUST_CHECK enum status txn_command_decode(struct slice data, struct txn_command *out);

#endif
