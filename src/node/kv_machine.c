/* The key-value machine: a log entry is a transaction (txn/command.h), applied if the range is still what it was when the
 * transaction was proposed. An empty answer says that it is not: EPOCH_MISMATCH, nothing done, on every replica alike. */
#include "base/assert.h"
#include "node/node_int.h"
#include "txn/command.h"

static enum status kv_apply(void *ctx, const struct machine_entry *e, const struct txn_view *view, struct arena *arena,
                            struct txn_writes *writes, uint64_t *ts, struct buf *answer)
{
    (void)ctx;
    struct txn_command c;
    if (txn_command_decode(e->command, &c) != STATUS_OK) BUG("a log entry that is no command of this version");
    if (c.conf_ver != e->desc->epoch.conf_ver || c.version != e->desc->epoch.version) {
        COVER("apply.epoch_mismatch");
        writes->count = 0;
        *ts = 0;
        return STATUS_OK;
    }
    *ts = c.ts;
    return txn_evaluate(c.txn, c.ts, view, arena, writes, answer);
}

const struct machine_ops kv_machine_ops = {.apply = kv_apply, .applied = NULL};
