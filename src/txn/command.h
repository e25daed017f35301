/* The data of a range's log entry that holds a transaction: one copy of the received bytes behind a header of fixed size.
 * Format: docs/formats/txn.md. The first byte tells the kind; kinds other than TXN_COMMAND_KIND belong to the range layer. */
#ifndef QUORATE_TXN_COMMAND_H
#define QUORATE_TXN_COMMAND_H

#include "base/buf.h"
#include "base/status.h"

#define TXN_COMMAND_KIND 1u
#define TXN_COMMAND_HEADER_BYTES 25u

struct txn_command {
    uint64_t ts;                /* version that the writes get */
    uint64_t conf_ver, version; /* the range's epoch when it was proposed: applied only if it is still the same */
    struct slice txn;           /* txn_encode's bytes, borrowed; not looked into */
};
void txn_command_encode(const struct txn_command *c, struct buf *out);
/* STATUS_OK; STATUS_UNSUPPORTED: another kind; STATUS_INVALID: too short. */
MUST_CHECK enum status txn_command_decode(struct slice data, struct txn_command *out);

#endif
