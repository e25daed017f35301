#include "sim/ledger_load.h"

#include "base/assert.h"
#include "base/mem.h"
#include "ledger/ledger.h"
#include "sim/sim.h"

#include <stdio.h>

enum { ACCOUNTS = 6, TELLERS = 2, EVENTS = 4, TRANSFERS_MAX = 1500, FUNDS = 300, FUND_ID = 1000000 };

/* A call of somebody. A router that dies takes it along without a word: then `lost` is called, and the outcome is not known. */
struct asker {
    struct ledger_load *load;
    bool waiting;
    unsigned client, life;
    void (*lost)(void *ctx);
    void *ctx;
};

struct teller {
    struct ledger_load *load;
    struct asker ask;
    unsigned number;
    enum { TELLER_REST, TELLER_CALLING, TELLER_DONE } state;
    struct ledger_transfer t[EVENTS];
    struct ledger_outcome first[EVENTS];
    size_t count;
    bool tried, repeating; /* an attempt may have acted; the first answer is there */
};

struct ledger_load {
    struct cluster *cluster;
    struct world *world;
    enum { STEP_KEYSPACE, STEP_ACCOUNTS, STEP_FUNDS, STEP_WORK } step;
    bool started, draining, auditing, idle_auditor;
    struct teller tellers[TELLERS];
    struct asker audit, steps;                 /* of the auditor; of booting and of the last look */
    struct ledger_transfer all[TRANSFERS_MAX]; /* by id - 1 */
    struct ledger_outcome told[TRANSFERS_MAX];
    bool certain[TRANSFERS_MAX];
    size_t count, audits;
    /* the end */
    size_t looked_at;
    i128 debits[ACCOUNTS], credits[ACCOUNTS];
};

static struct ledger_id account_id(unsigned i)
{
    return ledger_id_of((uint64_t)(i + 1) << 56, i + 1); /* spread over the ranges */
}

static struct ledger_id transfer_id(uint64_t number)
{
    return ledger_id_of((number % 7) << 56, number);
}

static uint16_t flags_of(unsigned i)
{
    static const uint16_t flags[ACCOUNTS] = {0,
                                             0,
                                             LEDGER_DEBITS_MUST_NOT_EXCEED_CREDITS,
                                             LEDGER_DEBITS_MUST_NOT_EXCEED_CREDITS,
                                             LEDGER_DEBITS_MUST_NOT_EXCEED_CREDITS,
                                             LEDGER_CREDITS_MUST_NOT_EXCEED_DEBITS};
    return flags[i];
}

static unsigned index_of(const struct ledger_id *id)
{
    unsigned i = 0;
    while (i < ACCOUNTS) {
        struct ledger_id one = account_id(i);
        if (ledger_id_eq(&one, id)) break;
        i++;
    }
    return i;
}

static void lost_now(struct world *w, void *ctx)
{
    struct asker *a = ctx;
    (void)w;
    if (!a->waiting) return;
    a->waiting = false;
    a->lost(a->ctx);
}

/* The ledger of that router; NULL: it is down, and a->lost will say so. The answer must be noted by answered(). */
static struct ledger *ask(struct asker *a, unsigned client)
{
    struct cluster *c = a->load->cluster;
    ASSERT(!a->waiting);
    a->waiting = true;
    a->client = client;
    a->life = c->clients[client]->lives;
    if (cluster_client(c, client) == NULL) {
        a->life = UINT32_MAX; /* nobody's death ends it */
        world_after(a->load->world, draw(a->load->world, 1, 20) * MS_NS, lost_now, a);
        return NULL;
    }
    if (c->ledgers[client] == NULL) {
        struct ledger_options o = {.expires = client == 0, .keyspace_is_there = true};
        c->ledgers[client] = ledger_new(&c->clients[client]->env, cluster_client(c, client), &o);
    }
    process_pass_soon(c->clients[client]);
    return c->ledgers[client];
}

static void answered(struct asker *a)
{
    ASSERT(a->waiting);
    a->waiting = false;
}

static void look_for_lost(struct asker *a)
{
    const struct process *p = a->load->cluster->clients[a->client];
    bool gone = !process_runs(p) || p->lives != a->life;
    if (a->waiting && a->life != UINT32_MAX && gone) lost_now(a->load->world, a);
}

static void routers_have_died(struct world *w, void *ctx)
{
    struct ledger_load *l = ctx;
    (void)w;
    for (unsigned i = 0; i < TELLERS; i++) look_for_lost(&l->tellers[i].ask);
    look_for_lost(&l->audit);
    look_for_lost(&l->steps);
}

void ledger_load_router_died(struct ledger_load *l)
{
    world_after(l->world, 0, routers_have_died, l);
}

static uint32_t patience_ms(struct ledger_load *l)
{
    return l->draining ? 8000 : (uint32_t)draw(l->world, 200, 3000);
}

static void teller_rest(struct teller *t, uint64_t ms);

/* --- booting --- */

static void boot(struct world *w, void *ctx);

static void boot_answered(struct ledger_load *l, bool done)
{
    if (done) l->step++;
    if (l->step == STEP_WORK) {
        for (unsigned i = 0; i < TELLERS; i++) teller_rest(&l->tellers[i], draw(l->world, 1, 200));
        return;
    }
    world_after(l->world, draw(l->world, 5, 100) * MS_NS, boot, l);
}

static void keyspace_made(void *ctx, const struct client_error *e, struct slice payload)
{
    struct ledger_load *l = ctx;
    (void)payload;
    answered(&l->steps);
    if (e->status == STATUS_OK) l->cluster->placed = true;
    boot_answered(l, e->status == STATUS_OK);
}

static void boot_created(void *ctx, const struct client_error *e, const struct ledger_outcome *outcomes, size_t count)
{
    struct ledger_load *l = ctx;
    answered(&l->steps);
    for (size_t i = 0; i < count; i++) {
        if (outcomes[i].result == LEDGER_CREATED || outcomes[i].result == LEDGER_EXISTS) continue;
        world_fail(l->world, "ledger: what it begins with was answered %s", ledger_result_name(outcomes[i].result));
    }
    boot_answered(l, e->status == STATUS_OK);
}

static void boot_keyspace(struct ledger_load *l)
{
    static const char *const SPLITS[] = {"A\x02", "A\x04", "T", "T\x03"};
    struct slice splits[4];
    struct buf params;
    for (unsigned i = 0; i < 4; i++) splits[i] = slice_str(SPLITS[i]);
    struct meta_keyspace_request q = {.name = slice_str(LEDGER_KEYSPACE), .splits = splits, .split_count = 4};
    buf_init(&params, 4096);
    pack_meta_keyspace_request(&params, &q);
    client_meta(cluster_client(l->cluster, 0), METHOD_META_KEYSPACE_CREATE, buf_slice(&params), 3000, keyspace_made, l);
    buf_free(&params);
}

static void boot(struct world *w, void *ctx)
{
    (void)w;
    struct ledger_load *l = ctx;
    struct ledger_account accounts[ACCOUNTS];
    struct ledger_transfer funds[ACCOUNTS];
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        bool owes = flags_of(i) == LEDGER_CREDITS_MUST_NOT_EXCEED_DEBITS;
        struct ledger_id vault = account_id(i == 0 ? 1 : 0), own = account_id(i);
        accounts[i] = (struct ledger_account){.id = own, .ledger = 1, .code = 1, .flags = flags_of(i)};
        funds[i] = (struct ledger_transfer){.id = transfer_id(FUND_ID + i),
                                            .debit = owes ? own : vault,
                                            .credit = owes ? vault : own,
                                            .amount = FUNDS,
                                            .ledger = 1,
                                            .code = 1};
    }
    struct ledger *ledger = ask(&l->steps, 0);
    if (ledger == NULL) return;
    if (l->step == STEP_KEYSPACE)
        boot_keyspace(l);
    else if (l->step == STEP_ACCOUNTS)
        ledger_create_accounts(ledger, accounts, ACCOUNTS, 3000, boot_created, l);
    else
        ledger_create_transfers(ledger, funds, ACCOUNTS, 3000, boot_created, l);
}

/* --- tellers --- */

static void random_transfer(struct ledger_load *l, struct ledger_transfer *t)
{
    struct world *w = l->world;
    unsigned from = (unsigned)draw(w, 0, ACCOUNTS - 1), to = (from + (unsigned)draw(w, 1, ACCOUNTS - 1)) % ACCOUNTS;
    uint64_t kind = draw(w, 0, 19), number = l->count + 1;
    *t = (struct ledger_transfer){.id = transfer_id(number),
                                  .debit = account_id(from),
                                  .credit = account_id(to),
                                  .amount = (i128)draw(w, 0, 120),
                                  .ledger = 1,
                                  .code = 1};
    if (kind < 4) t->flags = LEDGER_PENDING;
    if (kind < 2) t->timeout_s = (uint32_t)draw(w, 1, 3);
    if (kind >= 4 && kind < 8 && number > 1) {
        uint64_t back = draw(w, 1, number - 1 < 30 ? number - 1 : 30);
        *t = (struct ledger_transfer){.id = t->id,
                                      .pending_id = transfer_id(number - back),
                                      .amount = LEDGER_AMOUNT_ALL,
                                      .flags = kind < 6 ? LEDGER_POST_PENDING : LEDGER_VOID_PENDING};
    }
    if (kind == 8) t->flags = LEDGER_BALANCING_DEBIT;
}

static void teller_call(struct teller *t);

static void teller_begin(struct teller *t)
{
    struct ledger_load *l = t->load;
    t->tried = t->repeating = false;
    t->count = (size_t)draw(l->world, 1, EVENTS);
    if (l->count + t->count > TRANSFERS_MAX) {
        t->state = TELLER_DONE;
        return;
    }
    for (size_t i = 0; i < t->count; i++) {
        random_transfer(l, &t->t[i]);
        if (i + 1 < t->count && chance(l->world, 150)) t->t[i].flags |= LEDGER_LINKED;
        l->all[l->count++] = t->t[i];
    }
    teller_call(t);
}

static void woken(struct world *w, void *ctx)
{
    (void)w;
    struct teller *t = ctx;
    if (t->state == TELLER_CALLING)
        teller_call(t);
    else if (t->load->draining)
        t->state = TELLER_DONE;
    else
        teller_begin(t);
}

static void teller_rest(struct teller *t, uint64_t ms)
{
    if (t->state != TELLER_CALLING) t->state = TELLER_REST;
    world_after(t->load->world, ms * MS_NS, woken, t);
}

static size_t slot_of(const struct ledger_transfer *t)
{
    uint64_t number = 0;
    for (unsigned i = 8; i < 16; i++) number = number << 8 | t->id.bytes[i];
    return (size_t)number - 1;
}

static void first_answers(struct teller *t, const struct ledger_outcome *o)
{
    struct ledger_load *l = t->load;
    for (size_t i = 0; i < t->count; i++) {
        struct ledger_outcome told = o[i];
        bool there = told.result == LEDGER_EXISTS, failed = told.result == LEDGER_ID_ALREADY_FAILED;
        bool chained = (t->t[i].flags & LEDGER_LINKED) || (i > 0 && (t->t[i - 1].flags & LEDGER_LINKED));
        if ((there || failed) && !t->tried) {
            world_fail(l->world, "ledger: a first attempt was answered %s", ledger_result_name(told.result));
        }
        if (there) told.result = LEDGER_CREATED;
        if (failed) told.result = told.first;
        t->first[i] = told;
        l->told[slot_of(&t->t[i])] = told;
        l->certain[slot_of(&t->t[i])] = there || !(chained && t->tried); /* an attempt of before may yet come */
    }
}

/* What is asked again must be answered as it was, and must not act. */
static void check_repetition(struct teller *t, const struct ledger_outcome *o)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct ledger_outcome *f = &t->first[i];
        bool chained = (t->t[i].flags & LEDGER_LINKED) || (i > 0 && (t->t[i - 1].flags & LEDGER_LINKED));
        bool same = o[i].result == f->result;
        if (f->result == LEDGER_CREATED) same = o[i].result == LEDGER_EXISTS && o[i].amount == f->amount;
        if (ledger_result_is_kept(f->result)) same = o[i].result == LEDGER_ID_ALREADY_FAILED && o[i].first == f->result;
        /* A chain that failed may fail at another place now; of what it would have made nothing may be there. */
        if (chained && !same && f->result != LEDGER_CREATED) {
            bool made = o[i].result == LEDGER_CREATED || o[i].result == LEDGER_EXISTS;
            same = t->tried ? o[i].result != LEDGER_CREATED : !made;
        }
        if (same) continue;
        world_fail(t->load->world, "ledger: transfer %zu was answered %s, a repetition %s", slot_of(&t->t[i]) + 1,
                   ledger_result_name(f->result), ledger_result_name(o[i].result));
    }
}

/* A batch may be half done, whatever the error says of the rest. */
static void teller_unanswered(void *ctx)
{
    struct teller *t = ctx;
    t->tried = true;
    teller_rest(t, draw(t->load->world, 1, 100));
}

static void teller_answered(void *ctx, const struct client_error *e, const struct ledger_outcome *o, size_t count)
{
    struct teller *t = ctx;
    struct ledger_load *l = t->load;
    answered(&t->ask);
    world_note(l->world, 40, (uint64_t)e->status, count);
    if (e->status != STATUS_OK) {
        teller_unanswered(t);
        return;
    }
    ASSERT(count == t->count);
    if (t->repeating) {
        check_repetition(t, o);
    } else {
        first_answers(t, o);
        t->repeating = chance(l->world, 300);
        if (t->repeating) {
            teller_rest(t, draw(l->world, 1, 200));
            return;
        }
    }
    t->state = TELLER_REST;
    teller_rest(t, draw(l->world, 0, 2 * l->cluster->knobs.think_max_ms));
}

static void teller_call(struct teller *t)
{
    struct ledger_load *l = t->load;
    unsigned client = (unsigned)draw(l->world, 0, l->cluster->knobs.client_count - 1);
    t->state = TELLER_CALLING;
    struct ledger *ledger = ask(&t->ask, client);
    if (ledger != NULL) ledger_create_transfers(ledger, t->t, t->count, patience_ms(l), teller_answered, t);
}

/* --- audits --- */

static void audit_again(struct world *w, void *ctx);
static void final_looks(struct ledger_load *l);

static void audit_later(void *ctx)
{
    struct ledger_load *l = ctx;
    if (l->draining && !l->auditing)
        l->idle_auditor = true;
    else
        world_after(l->world, draw(l->world, 50, 1500) * MS_NS, audit_again, l);
}

static void audited(void *ctx, const struct client_error *e, const struct ledger_audit *a)
{
    struct ledger_load *l = ctx;
    answered(&l->audit);
    world_note(l->world, 41, (uint64_t)e->status, e->status == STATUS_OK ? a->transfers : 0);
    if (e->status == STATUS_OK) {
        l->audits++;
        if (a->faults > 0) {
            world_fail(l->world, "ledger: the audit at %llu found %llu faults: %s", (unsigned long long)a->ts,
                       (unsigned long long)a->faults, a->first_fault);
        }
        if (l->auditing) {
            final_looks(l);
            return;
        }
    }
    audit_later(l);
}

static void audit_again(struct world *w, void *ctx)
{
    (void)w;
    struct ledger_load *l = ctx;
    if (l->draining && !l->auditing) {
        l->idle_auditor = true;
        return;
    }
    if (l->step != STEP_WORK) {
        world_after(l->world, 500 * MS_NS, audit_again, l);
        return;
    }
    unsigned client = (unsigned)draw(l->world, 0, l->cluster->knobs.client_count - 1);
    struct ledger *ledger = ask(&l->audit, client);
    /* At the end all was written that ever will be, and the disks and caches may be the smallest and slowest. */
    uint32_t timeout_ms = l->auditing ? 40000 : 5000;
    if (ledger != NULL) ledger_run_audit(ledger, 0, timeout_ms, NULL, audited, l);
}

/* --- the end: one look-up after the other, then the accounts --- */

static void look(struct world *w, void *ctx);

static void look_on(struct ledger_load *l, bool served)
{
    if (served) l->looked_at++;
    world_after(l->world, (served ? 0 : 50) * MS_NS, look, l);
}

static void check_transfer(struct ledger_load *l, size_t slot, const struct ledger_transfer_item *item)
{
    const struct ledger_outcome *told = &l->told[slot];
    bool there = item != NULL && item->state != TRANSFER_REFUSED;
    bool right = there == (told->result == LEDGER_CREATED);
    if (right && there) right = item->transfer.amount == told->amount;
    if (ledger_result_is_kept(told->result) && (item == NULL || item->refusal != told->result)) right = false;
    if (!right && l->certain[slot]) {
        world_fail(l->world, "ledger: transfer %zu was answered %s, and is %s", slot + 1,
                   ledger_result_name(told->result),
                   item == NULL ? "not there" : ledger_transfer_state_name(item->state));
    }
    if (!there || (item->transfer.flags & (LEDGER_PENDING | LEDGER_VOID_PENDING))) return;
    l->debits[index_of(&item->transfer.debit)] += item->transfer.amount;
    l->credits[index_of(&item->transfer.credit)] += item->transfer.amount;
}

static void looked_up(void *ctx, const struct client_error *e, const struct ledger_transfer_item *item)
{
    struct ledger_load *l = ctx;
    answered(&l->steps);
    if (e->status == STATUS_OK) check_transfer(l, l->looked_at, item);
    look_on(l, e->status == STATUS_OK);
}

static void account_seen(void *ctx, const struct client_error *e, const struct ledger_account_reply *r)
{
    struct ledger_load *l = ctx;
    unsigned i = (unsigned)(l->looked_at - l->count);
    answered(&l->steps);
    if (e->status == STATUS_OK) {
        bool owes = flags_of(i) == LEDGER_CREDITS_MUST_NOT_EXCEED_DEBITS;
        i128 debits = l->debits[i] + (owes ? FUNDS : 0), credits = l->credits[i] + (owes ? 0 : FUNDS);
        if (i == 0) debits += 4 * FUNDS; /* it funded all but itself and the one that owes */
        if (i == 0) credits += FUNDS;    /* which paid it */
        if (i == 1) debits += FUNDS;     /* it funded the first */
        if (!r->found || r->balance.debits_posted != debits || r->balance.credits_posted != credits) {
            world_fail(l->world, "ledger: account %u ends with other sums than its transfers have", i);
        }
    }
    look_on(l, e->status == STATUS_OK);
}

static void look(struct world *w, void *ctx)
{
    (void)w;
    struct ledger_load *l = ctx;
    if (l->looked_at == l->count + ACCOUNTS) {
        l->auditing = false;
        l->idle_auditor = true;
        return;
    }
    struct ledger *ledger = ask(&l->steps, 0);
    if (ledger == NULL) return;
    if (l->looked_at < l->count) {
        ledger_get_transfer(ledger, &l->all[l->looked_at].id, 3000, looked_up, l);
    } else {
        struct ledger_id id = account_id((unsigned)(l->looked_at - l->count));
        ledger_get_account(ledger, &id, 0, 3000, account_seen, l);
    }
}

static void final_looks(struct ledger_load *l)
{
    world_after(l->world, 0, look, l);
}

static void step_lost(void *ctx)
{
    struct ledger_load *l = ctx;
    if (l->step != STEP_WORK)
        boot_answered(l, false);
    else
        look_on(l, false);
}

/* --- life --- */

struct ledger_load *ledger_load_new(struct cluster *c)
{
    struct ledger_load *l = mem_zalloc(sizeof *l);
    l->cluster = c;
    l->world = c->world;
    for (unsigned i = 0; i < TELLERS; i++) {
        struct teller *t = &l->tellers[i];
        *t = (struct teller){.load = l, .number = i};
        t->ask = (struct asker){.load = l, .lost = teller_unanswered, .ctx = t};
    }
    l->audit = (struct asker){.load = l, .lost = audit_later, .ctx = l};
    l->steps = (struct asker){.load = l, .lost = step_lost, .ctx = l};
    return l;
}

void ledger_load_free(struct ledger_load *l)
{
    mem_free(l);
}

void ledger_load_start(struct ledger_load *l)
{
    l->started = true;
    world_after(l->world, draw(l->world, 1, 300) * MS_NS, boot, l);
    world_after(l->world, draw(l->world, 1000, 3000) * MS_NS, audit_again, l);
}

void ledger_load_drain(struct ledger_load *l)
{
    l->draining = true;
}

bool ledger_load_idle(const struct ledger_load *l)
{
    if (!l->started) return true;
    if (l->step != STEP_WORK || !l->idle_auditor || l->audit.waiting) return false;
    for (unsigned i = 0; i < TELLERS; i++) {
        if (l->tellers[i].state != TELLER_DONE) return false;
    }
    return true;
}

void ledger_load_audit(struct ledger_load *l)
{
    if (!l->started) return;
    l->auditing = true;
    l->idle_auditor = false;
    world_after(l->world, 0, audit_again, l);
}

void ledger_load_describe(const struct ledger_load *l)
{
    static const char *const STATES[] = {"resting", "calling", "done"};
    world_trace(l->world, NULL, "ledger: step %d, %zu transfers, %zu audits%s%s", (int)l->step, l->count, l->audits,
                l->audit.waiting ? ", one under way" : "", l->auditing ? ", the last one" : "");
    for (unsigned i = 0; i < TELLERS; i++) {
        world_trace(l->world, NULL, "teller %u is %s", i, STATES[l->tellers[i].state]);
    }
}
