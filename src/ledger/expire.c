/* Pending transfers whose timeout has passed: every gateway looks for them once a second, in the rows that lie in the order of their
 * times. What it finds goes through a run like any transfer; the resolution is inserted, so of many that find it one acts. */
#include "base/assert.h"
#include "base/mem.h"
#include "ledger/ledger_int.h"

#define SWEEP_NS (1000 * NS_PER_MS)
#define SWEEP_MS 5000u
#define SWEEP_ROWS 500u

static void sweep_over(struct ledger *l, bool more)
{
    mem_free(l->sweep.found);
    l->sweep.found = NULL;
    l->sweep.busy = false;
    if (more) l->sweep.next_ns = 0;
    l->env->ops->wake(l->env);
}

static void expired_done(void *ctx, const struct client_error *e, const struct ledger_outcome *outcomes, size_t count)
{
    (void)outcomes;
    sweep_over(ctx, e->status == STATUS_OK && count == SWEEP_ROWS);
}

/* Not into a cluster that is being filled from a backup: the row that resolved the transfer may only be on its way. */
static void on_restoring(void *ctx, bool restoring)
{
    struct ledger *l = ctx;
    if (restoring)
        sweep_over(l, false);
    else
        ledger_create_transfers(l, l->sweep.found, l->sweep.count, SWEEP_MS, expired_done, l);
}

static void sweep_done(void *ctx, const struct client_error *e, const struct scan_reply *reply)
{
    struct ledger *l = ctx;
    if (e->status != STATUS_OK || reply->row_count == 0) {
        sweep_over(l, false);
        return;
    }
    l->sweep.found = mem_zalloc(reply->row_count * sizeof *l->sweep.found);
    l->sweep.count = 0;
    for (size_t i = 0; i < reply->row_count; i++) {
        struct ledger_key key;
        if (ledger_key_decode(reply->rows[i].key, &key) != STATUS_OK || key.row != LEDGER_ROW_EXPIRY) continue;
        l->sweep.found[l->sweep.count++] = (struct ledger_transfer){.flags = LEDGER_EXPIRE, .pending_id = key.id};
    }
    if (l->sweep.count > 0)
        client_restoring(l->client, SWEEP_MS, on_restoring, l);
    else
        sweep_over(l, false);
}

uint64_t expire_pass(struct ledger *l, uint64_t now_ns)
{
    uint64_t first;
    struct arena arena;
    if (l->sweep.busy) return DEADLINE_NONE;
    if (now_ns < l->sweep.next_ns) return l->sweep.next_ns;
    if (!ledger_stamps(l, 0, &first) || l->stamps.end == 0) return now_ns + SWEEP_NS / 10;
    l->sweep.busy = true;
    l->sweep.next_ns = now_ns + SWEEP_NS;
    arena_init(&arena, 256);
    struct ledger_id none = ledger_id_of(0, 0);
    struct client_scan scan = {.start = key_expiry(&arena, 0, &none),
                               .end = key_expiry(&arena, l->stamps.next >> TS_COUNTER_BITS, &none),
                               .limit_rows = SWEEP_ROWS,
                               .keys_only = true};
    client_scan(l->client, l->keyspace, &scan, SWEEP_MS, sweep_done, l);
    arena_free(&arena);
    return DEADLINE_NONE;
}
