/* What workers ask of routers. A router that dies takes its requests with it, without a word: whoever asked learns that the outcome
 * is not known, as a caller of a process that is gone does; and that nothing was asked while it is down. */
#include "base/assert.h"
#include "sim/workload_int.h"

static void txn_done(void *ctx, const struct client_error *e, const struct txn_result *result)
{
    struct worker *w = ctx;
    client_txn_done done = w->asked.txn;
    w->asked.txn = NULL;
    done(w, e, result);
}

static void get_done(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct worker *w = ctx;
    client_get_done done = w->asked.get;
    w->asked.get = NULL;
    done(w, e, reply);
}

static void scan_done(void *ctx, const struct client_error *e, const struct scan_reply *reply)
{
    struct worker *w = ctx;
    client_scan_done done = w->asked.scan;
    w->asked.scan = NULL;
    done(w, e, reply);
}

static bool is_asking(const struct worker *w)
{
    return w->asked.txn != NULL || w->asked.get != NULL || w->asked.scan != NULL || w->asked.session;
}

static void answer_lost(struct worker *w, bool unknown)
{
    struct client_error e = {
        .status = STATUS_UNAVAILABLE, .unknown_outcome = unknown, .message = slice_str("the router is gone")};
    if (w->asked.session) {
        w->asked.session = false;
        session_lost(w, unknown);
    } else if (w->asked.txn != NULL) {
        txn_done(w, &e, NULL);
    } else if (w->asked.get != NULL) {
        get_done(w, &e, NULL);
    } else {
        scan_done(w, &e, NULL);
    }
}

static void nobody_there(struct world *world, void *ctx)
{
    struct worker *w = ctx;
    (void)world;
    if (is_asking(w)) answer_lost(w, false);
}

bool worker_router_is_up(struct worker *w)
{
    w->asked.life = w->load->cluster->clients[w->client]->lives;
    if (worker_client(w) != NULL) return true;
    w->asked.life = UINT32_MAX; /* nobody's death ends it */
    world_after(w->load->world, draw(w->load->world, 1, 20) * MS_NS, nobody_there, w);
    return false;
}

bool worker_router_lives(const struct worker *w)
{
    const struct process *p = w->load->cluster->clients[w->client];
    return process_runs(p) && p->lives == w->asked.life;
}

void worker_ask_txn(struct worker *w, client_txn_done done)
{
    ASSERT(!is_asking(w));
    w->asked.txn = done;
    if (!worker_router_is_up(w)) return;
    client_txn(worker_client(w), workload_keyspace, &w->txn, worker_timeout_ms(w), txn_done, w);
}

void worker_ask_get(struct worker *w, struct slice key, const struct read_how *how, client_get_done done)
{
    ASSERT(!is_asking(w));
    w->asked.get = done;
    if (!worker_router_is_up(w)) return;
    client_get_how(worker_client(w), workload_keyspace, key, how, worker_timeout_ms(w), get_done, w);
}

void worker_ask_scan(struct worker *w, const struct client_scan *scan, client_scan_done done)
{
    ASSERT(!is_asking(w));
    w->asked.scan = done;
    if (!worker_router_is_up(w)) return;
    client_scan(worker_client(w), workload_keyspace, scan, worker_timeout_ms(w), scan_done, w);
}

static void routers_have_died(struct world *world, void *ctx)
{
    struct workload *l = ctx;
    (void)world;
    for (unsigned i = 0; i < l->worker_count; i++) {
        struct worker *w = &l->workers[i];
        if (is_asking(w) && w->asked.life != UINT32_MAX && !worker_router_lives(w)) answer_lost(w, true);
    }
}

void workload_router_died(void *ctx)
{
    struct workload *l = ctx;
    world_after(l->world, 0, routers_have_died, l);
    if (l->ledger != NULL) ledger_load_router_died(l->ledger);
    if (l->watches != NULL) watch_load_router_died(l->watches);
}
