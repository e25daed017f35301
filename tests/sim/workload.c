/* The phases of the workload. Booting is one step after the other, each repeated until it is answered. */
#include "sim/backup_load.h"
#include "sim/workload_int.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>

struct workload *workload_new(struct cluster *c, struct history *h)
{
    struct workload *l = mem_zalloc(sizeof *l);
    l->cluster = c;
    l->world = c->world;
    l->history = h;
    if (c->bench == BENCH_NONE && chance(c->world, 500)) l->ledger = ledger_load_new(c);
    if (c->bench == BENCH_NONE && chance(c->world, 600)) l->watches = watch_load_new(c);
    if (c->bench == BENCH_NONE) l->keeps = keep_load_new(c, &h->commits);
    if (c->bench == BENCH_NONE && cluster_backs_up(c->world)) l->backups = backup_load_new(l);
    money_init(&l->money, c->knobs.bank_ranges, c->knobs.accounts);
    l->worker_count = c->knobs.workers * c->knobs.client_count;
    ASSERT(l->worker_count <= WORKERS_MAX);
    for (unsigned i = 0; i < l->worker_count; i++) worker_init(&l->workers[i], l, i);
    c->router_died = workload_router_died;
    c->router_died_ctx = l;
    return l;
}

void workload_free(struct workload *l)
{
    for (unsigned i = 0; i < l->worker_count; i++) worker_free(&l->workers[i]);
    if (l->ledger != NULL) ledger_load_free(l->ledger);
    if (l->watches != NULL) watch_load_free(l->watches);
    if (l->keeps != NULL) keep_load_free(l->keeps);
    if (l->backups != NULL) backup_load_free(l->backups);
    money_free(&l->money);
    cuts_free(&l->cuts);
    mem_free(l);
}

/* --- booting --- */

static void boot_go_on(struct world *w, void *ctx);

static void boot_wait(struct workload *l)
{
    world_after(l->world, draw(l->world, 10, 300) * MS_NS, boot_go_on, l);
}

static void boot_answered(void *ctx, const struct client_error *e, struct slice payload)
{
    (void)payload;
    struct workload *l = ctx;
    world_note(l->world, 23, (uint64_t)e->status, (uint64_t)l->boot);
    if (e->status == STATUS_OK)
        l->boot++;
    else
        world_trace(l->world, NULL, "boot step %d: %s %.*s", (int)l->boot, status_name(e->status), (int)e->message.size,
                    (const char *)e->message.data);
    boot_wait(l);
}

static void fund_answered(void *ctx, const struct client_error *e, const struct txn_result *result)
{
    struct workload *l = ctx;
    world_note(l->world, 24, (uint64_t)e->status, l->boot_bank);
    if (e->status == STATUS_OK) {
        if (result->status != STATUS_OK)
            world_fail(l->world, "funding a bank was answered %s", status_name(result->status));
        l->money.funded_ts[l->boot_bank] = result->ts;
        l->money.funded[l->boot_bank++] = true;
        if (l->boot_bank < l->money.bank_count) bank_fund(&l->workers[0], l->boot_bank);
    } else {
        world_trace(l->world, NULL, "funding: %s %.*s", status_name(e->status), (int)e->message.size,
                    (const char *)e->message.data);
    }
    if (l->boot_bank == l->money.bank_count) l->boot = BOOT_DONE;
    l->cluster->booted = l->boot == BOOT_DONE;
    if (l->ledger == NULL) l->cluster->placed = l->cluster->booted;
    boot_wait(l);
}

static void boot_init(struct workload *l, struct buf *params)
{
    struct meta_init_request q = {.replication = 3};
    memset(q.cluster.bytes, 0x51, CLUSTER_ID_BYTES);
    pack_meta_init_request(params, &q);
    client_meta(cluster_client(l->cluster, 0), METHOD_META_INIT, buf_slice(params), 3000, boot_answered, l);
}

/* A range per bank, one or two for the registers. */
static void boot_keyspace(struct workload *l, struct buf *params)
{
    static const char *const SPLITS[] = {"a1", "a2", "k", "k2"};
    struct slice splits[4];
    struct meta_keyspace_request q = {.name = workload_keyspace, .splits = splits};
    for (unsigned i = 0; i + 1 < l->money.bank_count; i++) splits[q.split_count++] = slice_str(SPLITS[i]);
    splits[q.split_count++] = slice_str(SPLITS[2]);
    if (l->splits_registers) splits[q.split_count++] = slice_str(SPLITS[3]);
    pack_meta_keyspace_request(params, &q);
    client_meta(cluster_client(l->cluster, 0), METHOD_META_KEYSPACE_CREATE, buf_slice(params), 3000, boot_answered, l);
}

static void boot_go_on(struct world *w, void *ctx)
{
    (void)w;
    struct workload *l = ctx;
    struct buf params;
    buf_init(&params, 65536);
    switch (l->boot) {
    case BOOT_INIT: boot_init(l, &params); break;
    case BOOT_KEYSPACE: boot_keyspace(l, &params); break;
    case BOOT_FUND:
        if (l->boot_bank == 0 && l->workers[0].txn.op_count == 0) bank_fund(&l->workers[0], 0);
        client_txn(cluster_client(l->cluster, 0), workload_keyspace, &l->workers[0].txn, 3000, fund_answered, l);
        break;
    case BOOT_DONE:
        for (unsigned i = 0; i < l->worker_count; i++) worker_think(&l->workers[i]);
        if (l->ledger != NULL) ledger_load_start(l->ledger);
        if (l->watches != NULL) watch_load_start(l->watches);
        if (l->keeps != NULL) keep_load_start(l->keeps);
        break;
    }
    buf_free(&params);
    process_pass_soon(l->cluster->clients[0]);
}

void workload_start(struct workload *l)
{
    l->splits_registers = chance(l->world, 500);
    boot_go_on(l->world, l);
}

/* --- the rest --- */

bool workload_booted(const struct workload *l)
{
    return l->boot == BOOT_DONE;
}

void workload_drain(struct workload *l)
{
    l->draining = true;
    if (l->ledger != NULL) ledger_load_drain(l->ledger);
    if (l->watches != NULL) watch_load_drain(l->watches);
    if (l->keeps != NULL) keep_load_drain(l->keeps);
}

bool workload_idle(const struct workload *l)
{
    if (l->boot != BOOT_DONE) return false;
    if (l->ledger != NULL && !ledger_load_idle(l->ledger)) return false;
    if (l->watches != NULL && !watch_load_idle(l->watches)) return false;
    for (unsigned i = 0; i < l->worker_count; i++) {
        if (l->workers[i].state != WORKER_DONE) return false;
    }
    return true;
}

void workload_audit(struct workload *l)
{
    ASSERT(workload_idle(l));
    l->auditing = true;
    l->workers[0].audit_at = 0;
    worker_think(&l->workers[0]);
    if (l->ledger != NULL) ledger_load_audit(l->ledger);
}

struct backup_load *workload_backups(const struct workload *l)
{
    return l->backups;
}

uint64_t workload_answers(const struct workload *l)
{
    return l->answers;
}

void workload_check(struct workload *l)
{
    check_linear(l->world, l->history, l->cluster->knobs.register_keys);
    check_order(l->world, l->history, l->cluster->knobs.register_keys);
    check_versions(l->world, l->history);
    check_reads(l->world, l->history, &l->money, &l->cuts);
    check_chain(l->world, l->history);
    check_appends(l->world, l->history);
}

void workload_describe_pending(const struct workload *l)
{
    static const char *const STATES[] = {"thinking", "calling", "pausing", "done"};
    static const char *const TASKS[] = {"register",   "register scan", "transfer",   "page",       "tally",
                                        "tally read", "chain",         "chain read", "chain scan", "share",
                                        "share read", "append",        "session",    "ending",     "read"};
    if (l->boot != BOOT_DONE) world_trace(l->world, NULL, "boot is at step %d", (int)l->boot);
    if (l->ledger != NULL) ledger_load_describe(l->ledger);
    if (l->watches != NULL) watch_load_describe(l->watches);
    if (l->backups != NULL) backup_load_describe(l->backups);
    for (unsigned i = 0; i < l->worker_count; i++) {
        const struct worker *w = &l->workers[i];
        if (w->state == WORKER_DONE) continue;
        world_trace(l->world, l->cluster->clients[w->client], "worker %u is %s: %s %s since %.6f", w->number,
                    STATES[w->state], TASKS[w->task], w->keys[0], (double)w->call_ns / 1e9);
    }
}
