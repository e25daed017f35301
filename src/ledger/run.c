/* Runs: slices of jobs that become one transaction of the store. docs/ledger.md, "A run".
 *
 *   job:  READY --> in a run --committed--> READY (more of it is left) --> done
 *           ^          |
 *           |          | the store refused, and this job has to do with it
 *           |          v
 *           +------ CAREFUL: its next run is one of those that look first; one at a time, so that they do not chase each other
 *
 *   run:  PLANNED --something wanted--> READING (gets; woken by each) --+
 *            |  ^                                                       v
 *            |  +-------------- refused, unknown, and careful ------ COMMITTING (client_txn; ends by its deadline) --> jobs
 *            +----------------------------------------------------------^
 *
 * A job whose requests ran out of time while something of it may have happened ends with unknown_outcome. */
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "ledger/ledger_int.h"

#define LIMITS_AFTER_TRIES 2u
_Static_assert(LEDGER_CHAIN_MAX *PLAN_WEIGHT_MAX <= LIMIT_TXN_OPS, "the longest chain fits one transaction");
#define TIMESTAMPS_PER_EVENT 2u /* its own, and that of an expiry which it meets */

static void run_plan(struct ledger_run *r);

void job_free(struct ledger_job *j)
{
    list_remove(&j->link);
    mem_free(j->transfers);
    mem_free(j->outcomes);
    mem_free(j);
}

void run_free(struct ledger_run *r)
{
    list_remove(&r->link);
    plan_free(r->plan);
    mem_free(r->suspects);
    mem_free(r);
}

static void job_finish(struct ledger_job *j, const struct client_error *e)
{
    struct client_error fine = {.status = STATUS_OK, .message = SLICE_EMPTY};
    list_remove(&j->link);
    j->done(j->ctx, e == NULL ? &fine : e, j->outcomes, e == NULL ? j->count : 0);
    job_free(j);
}

static void job_fail(struct ledger_job *j, const struct client_error *e)
{
    struct client_error with = *e;
    with.unknown_outcome = e->unknown_outcome || j->may_have_happened;
    job_finish(j, &with);
}

/* --- a run's life --- */

static struct ledger_run *run_take(struct ledger *l)
{
    struct list *spare = list_pop_front(&l->spare);
    struct ledger_run *r;
    if (spare != NULL) {
        r = LIST_ENTRY(spare, struct ledger_run, link);
    } else {
        r = mem_zalloc(sizeof(*r));
        r->plan = plan_new();
        list_init(&r->link);
    }
    r->ledger = l;
    list_init(&r->jobs);
    r->careful = r->look_at_ids = r->look_at_limits = false;
    r->suspect_count = 0;
    r->tries = 0;
    r->events = r->chains = 0;
    r->weight = 0;
    list_push_back(&l->runs, &r->link);
    l->run_count++;
    return r;
}

static void run_end(struct ledger_run *r)
{
    struct ledger *l = r->ledger;
    ASSERT(list_empty(&r->jobs));
    list_remove(&r->link);
    l->run_count--;
    if (r->careful) l->careful_count--;
    list_push_front(&l->spare, &r->link);
    l->env->ops->wake(l->env);
}

static void run_fail(struct ledger_run *r, const struct client_error *e)
{
    struct list *it;
    while ((it = list_pop_front(&r->jobs)) != NULL) job_fail(LIST_ENTRY(it, struct ledger_job, link), e);
    run_end(r);
}

static void run_fail_text(struct ledger_run *r, enum status s, const char *text)
{
    run_fail(r, &(struct client_error){.status = s, .message = slice_str(text)});
}

static void suspect(struct ledger_run *r, const struct ledger_id *id)
{
    if (r->suspect_count == r->suspect_capacity) {
        r->suspect_capacity = r->suspect_capacity == 0 ? 8 : r->suspect_capacity * 2;
        r->suspects = mem_realloc(r->suspects, r->suspect_capacity * sizeof(*r->suspects));
    }
    r->suspects[r->suspect_count++] = *id;
}

static uint64_t run_deadline(const struct ledger_run *r)
{
    uint64_t latest_ns = 0;
    LIST_FOR(it, &r->jobs)
    {
        uint64_t ns = LIST_ENTRY(it, struct ledger_job, link)->deadline_ns;
        if (ns > latest_ns) latest_ns = ns;
    }
    return latest_ns;
}

/* --- committed --- */

static void learn_expiries(struct ledger *l, const struct ledger_job *j)
{
    for (size_t i = j->next; i < j->until; i++) {
        if (j->transfers[i].flags == LEDGER_EXPIRE && j->outcomes[i].result == LEDGER_CREATED) l->stats.expired++;
    }
}

static void run_committed(struct ledger_run *r)
{
    struct ledger *l = r->ledger;
    struct list *it;
    struct ledger_id account;
    i128 net;
    for (size_t next = 0; plan_learned(r->plan, &next, &account, &net);) ledger_learn_net(l, &account, net);
    l->weight_max += l->weight_max / 64 + 1; /* ranges merge, and other keys come */
    if (l->weight_max > LEDGER_RUN_WEIGHT_MAX) l->weight_max = LEDGER_RUN_WEIGHT_MAX;
    l->stats.runs++;
    l->stats.transfers += r->events;
    while ((it = list_pop_front(&r->jobs)) != NULL) {
        struct ledger_job *j = LIST_ENTRY(it, struct ledger_job, link);
        learn_expiries(l, j);
        j->next = j->until;
        j->look_at_ids = false;
        j->suspect = ledger_id_of(0, 0);
        j->may_have_happened = true;
        if (j->next == j->count)
            job_finish(j, NULL);
        else
            list_push_back(&l->ready, &j->link);
    }
    run_end(r);
}

/* --- refused --- */

/* Its jobs wait for another run. */
static void run_again(struct ledger_run *r)
{
    struct ledger *l = r->ledger;
    while (!list_empty(&r->jobs)) {
        struct ledger_job *j = LIST_ENTRY(r->jobs.prev, struct ledger_job, link);
        list_remove(&j->link);
        j->look_at_ids |= r->look_at_ids;
        list_push_front(r->careful ? &l->careful : &l->ready, &j->link);
    }
    run_end(r);
}

/* Its keys lie in more ranges than a transaction may have, or it is longer than one may be. */
static void run_too_large(struct ledger_run *r, const struct client_error *e)
{
    struct ledger *l = r->ledger;
    if (r->chains == 1) {
        run_fail(r, e);
        return;
    }
    COVER("ledger.run_halved");
    if (l->weight_max > r->weight / 2) l->weight_max = r->weight / 2;
    run_again(r);
}

static bool job_is_touched(const struct ledger_run *r, const struct ledger_job *j, const struct plan_culprit *c)
{
    for (size_t i = j->next; i < j->until; i++) {
        if (plan_touches(r->plan, &j->transfers[i], c)) return true;
    }
    return false;
}

/* Those that have nothing to do with it go on as before, in their order; the others look first. */
static void run_part(struct ledger_run *r, const struct plan_culprit *c)
{
    struct ledger *l = r->ledger;
    while (!list_empty(&r->jobs)) {
        struct ledger_job *j = LIST_ENTRY(r->jobs.prev, struct ledger_job, link);
        list_remove(&j->link);
        if (!job_is_touched(r, j, c)) {
            list_push_front(&l->ready, &j->link);
            continue;
        }
        if (c->is_account)
            j->suspect = c->id;
        else
            j->look_at_ids = true;
        list_push_front(&l->careful, &j->link);
    }
    run_end(r);
}

static void run_refused(struct ledger_run *r, const struct plan_culprit *c)
{
    r->ledger->stats.refused_runs++;
    if (c->is_account) ledger_forget_net(r->ledger, &c->id);
    if (!r->careful) {
        run_part(r, c);
        return;
    }
    if (c->is_account)
        suspect(r, &c->id);
    else
        r->look_at_ids = true;
    if (++r->tries >= LIMITS_AFTER_TRIES) r->look_at_limits = true;
    run_plan(r);
}

/* The jobs of a run whose fate is not known look at their ids next time: what they did is there, or will never be. */
static void run_unknown(struct ledger_run *r, const struct client_error *e)
{
    struct ledger *l = r->ledger;
    uint64_t now_ns = env_mono_ns(l->env);
    l->stats.unknown_runs++;
    while (!list_empty(&r->jobs)) {
        struct ledger_job *j = LIST_ENTRY(r->jobs.prev, struct ledger_job, link);
        list_remove(&j->link);
        j->look_at_ids = true;
        j->may_have_happened = true;
        if (now_ns >= j->deadline_ns)
            job_fail(j, e);
        else
            list_push_front(&l->careful, &j->link);
    }
    run_end(r);
}

static void txn_done(void *ctx, const struct client_error *e, const struct txn_result *result)
{
    struct ledger_run *r = ctx;
    if (e->status != STATUS_OK) {
        if (e->unknown_outcome) {
            COVER("ledger.unknown");
            run_unknown(r, e);
        } else if (ledger_create_keyspace(r->ledger, e)) {
            run_again(r);
        } else if (e->status == STATUS_TOO_LARGE) {
            run_too_large(r, e);
        } else {
            run_fail(r, e);
        }
        return;
    }
    switch ((int)result->status) {
    case STATUS_OK: run_committed(r); break;
    case STATUS_EXISTS:
    case STATUS_GUARD_FAILED:
    case STATUS_CONDITION_FAILED: {
        COVER("ledger.refused");
        struct plan_culprit c = plan_blame(r->plan, result->status, result->failed_index);
        run_refused(r, &c);
        break;
    }
    default: run_fail_text(r, result->status, status_text(result->status));
    }
}

static void run_commit(struct ledger_run *r)
{
    struct ledger *l = r->ledger;
    struct txn t;
    uint32_t id = ledger_meet_keyspace(l);
    if (id != 0 && r->keyspace_id != 0 && id != r->keyspace_id) { /* what it has read is of another */
        run_again(r);
        return;
    }
    if (plan_build(r->plan, &t) != STATUS_OK) {
        struct plan_culprit c = plan_blamed(r->plan);
        run_refused(r, &c);
        return;
    }
    if (t.op_count + t.compare_count == 0) {
        run_committed(r);
        return;
    }
    client_txn_findable(l->client, l->keyspace, &t, ledger_left_ms(l, run_deadline(r)), txn_done, r);
}

/* --- reading what is wanted --- */

static void run_gather(struct ledger_run *r);

static void get_done(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    const struct plan_want *w = ctx;
    struct ledger_run *r = w->reader;
    r->gets_under_way--;
    enum status s = e->status;
    if (s == STATUS_OK) s = plan_take(r->plan, w, reply->found, reply->found ? reply->value : SLICE_EMPTY);
    if (s != STATUS_OK && r->failed.status == STATUS_OK) {
        snprintf(r->text, sizeof(r->text), "%.*s", (int)e->message.size, (const char *)e->message.data);
        if (e->status == STATUS_OK) snprintf(r->text, sizeof(r->text), "a row of the ledger cannot be read");
        r->failed = (struct client_error){.status = s, .message = slice_str(r->text)};
    }
    if (s == STATUS_OK && w->kind == WANT_ACCOUNT && reply->found) {
        struct ledger_account a = {.id = w->id};
        if (row_get_account(reply->value, &a) == STATUS_OK) ledger_learn_account(r->ledger, &a);
    }
    run_gather(r);
}

static void run_read(struct ledger_run *r)
{
    struct ledger *l = r->ledger;
    uint32_t left_ms = ledger_left_ms(l, run_deadline(r));
    while (r->failed.status == STATUS_OK && r->want_next < r->want_count && r->gets_under_way < LEDGER_GETS_MAX) {
        struct plan_want *w = &r->wants[r->want_next++];
        w->reader = r;
        r->gets_under_way++;
        l->stats.reads++;
        client_get(l->client, l->keyspace, w->key, left_ms, get_done, w);
    }
}

static void run_gather(struct ledger_run *r)
{
    run_read(r);
    if (r->gets_under_way > 0) return;
    if (r->failed.status != STATUS_OK) {
        if (ledger_create_keyspace(r->ledger, &r->failed))
            run_again(r);
        else
            run_fail(r, &r->failed);
        return;
    }
    r->wants = plan_wants(r->plan, &r->want_count);
    r->want_next = 0;
    run_read(r);
    if (r->gets_under_way == 0) run_commit(r);
}

static void run_plan(struct ledger_run *r)
{
    struct ledger *l = r->ledger;
    struct plan_options o = {
        .look_at_ids = r->look_at_ids, .look_at_limits = r->look_at_limits, .account = ledger_known_account, .ctx = l};
    if (!r->look_at_limits) o.guess = ledger_guess_net;
    if (env_mono_ns(l->env) >= run_deadline(r)) {
        run_fail_text(r, STATUS_TIMEOUT, "the deadline passed while others changed what was judged by");
        return;
    }
    if (!ledger_stamps(l, r->events * TIMESTAMPS_PER_EVENT, &o.timestamp)) {
        run_again(r);
        return;
    }
    r->keyspace_id = ledger_meet_keyspace(l);
    o.now_ms = o.timestamp >> TS_COUNTER_BITS;
    plan_begin(r->plan, &o);
    LIST_FOR(it, &r->jobs)
    {
        const struct ledger_job *j = LIST_ENTRY(it, struct ledger_job, link);
        plan_add(r->plan, j->transfers + j->next, j->outcomes + j->next, j->until - j->next, j->attempt + j->next);
    }
    for (size_t i = 0; i < r->suspect_count; i++) plan_suspect(r->plan, &r->suspects[i]);
    r->failed = (struct client_error){.status = STATUS_OK, .message = SLICE_EMPTY};
    r->wants = NULL;
    r->want_count = r->want_next = 0;
    run_gather(r);
}

/* --- filling a run --- */

/* As many whole chains as there is room for, one at least in an empty run; j->next: none. */
static size_t slice_end(const struct ledger_job *j, unsigned weight_max, unsigned *weight, size_t *chains)
{
    size_t end = j->next;
    while (end < j->count) {
        size_t to = end;
        unsigned chain = 0;
        do {
            chain += plan_weight(&j->transfers[to]);
            to++;
        } while (to < j->count && j->transfers[to - 1].flags != LEDGER_EXPIRE &&
                 (j->transfers[to - 1].flags & LEDGER_LINKED));
        if (*weight > 0 && *weight + chain > weight_max) break;
        *weight += chain;
        *chains += 1;
        end = to;
    }
    return end;
}

void run_start(struct ledger *l, bool careful)
{
    struct list *queue = careful ? &l->careful : &l->ready;
    struct ledger_run *r = run_take(l);
    r->careful = careful;
    if (careful) {
        l->careful_count++;
        l->stats.careful_runs++;
    }
    while (!list_empty(queue)) {
        struct ledger_job *j = LIST_ENTRY(queue->next, struct ledger_job, link);
        j->until = slice_end(j, l->weight_max, &r->weight, &r->chains);
        if (j->until == j->next) break;
        list_remove(&j->link);
        list_push_back(&r->jobs, &j->link);
        r->events += j->until - j->next;
        r->look_at_ids |= j->look_at_ids;
        if (!ledger_id_is_zero(&j->suspect)) suspect(r, &j->suspect);
        if (j->until < j->count) break;
    }
    ASSERT(!list_empty(&r->jobs));
    run_plan(r);
}

static void jobs_expire(struct list *jobs, uint64_t now_ns)
{
    static const char text[] = "the deadline passed before its turn came";
    LIST_FOR(it, jobs)
    {
        struct ledger_job *j = LIST_ENTRY(it, struct ledger_job, link);
        if (j->refused.status != STATUS_OK)
            job_finish(j, &j->refused);
        else if (now_ns >= j->deadline_ns)
            job_fail(j, &(struct client_error){.status = STATUS_TIMEOUT, .message = slice_str(text)});
    }
}

void jobs_pass(struct ledger *l, uint64_t now_ns)
{
    jobs_expire(&l->ready, now_ns);
    jobs_expire(&l->careful, now_ns);
    if (l->create.asking) return;
    while (!list_empty(&l->careful) && l->careful_count == 0 && ledger_has_stamps(l)) run_start(l, true);
    while (!list_empty(&l->ready) && l->run_count - l->careful_count < l->options.runs_max && ledger_has_stamps(l)) {
        run_start(l, false);
    }
}

/* --- the call --- */

static void judge_request(struct ledger_job *j)
{
    static const char sizes[] = "a batch has 1 to 8190 transfers";
    static const char chains[] = "a chain has at most 630 linked transfers: it is one transaction";
    size_t chain = 0;
    if (j->count == 0 || j->count > LEDGER_BATCH_MAX) {
        j->refused = (struct client_error){.status = STATUS_TOO_LARGE, .message = slice_str(sizes)};
    }
    for (size_t i = 0; i < j->count; i++) {
        bool linked = j->transfers[i].flags != LEDGER_EXPIRE && (j->transfers[i].flags & LEDGER_LINKED);
        chain = linked ? chain + 1 : 0;
        if (chain < LEDGER_CHAIN_MAX) continue;
        j->refused = (struct client_error){.status = STATUS_TOO_LARGE, .message = slice_str(chains)};
    }
}

void ledger_create_transfers(struct ledger *l, const struct ledger_transfer *transfers, size_t count,
                             uint32_t timeout_ms, ledger_done done, void *ctx)
{
    struct ledger_job *j = mem_zalloc(sizeof(*j));
    j->transfers = mem_dup(transfers, count * sizeof(*transfers));
    j->outcomes = mem_zalloc((count + 1) * sizeof(*j->outcomes));
    j->count = count;
    j->deadline_ns = env_mono_ns(l->env) + (uint64_t)timeout_ms * NS_PER_MS;
    j->done = done;
    j->ctx = ctx;
    l->env->ops->random(l->env, &j->attempt, sizeof(j->attempt));
    judge_request(j);
    list_push_back(&l->ready, &j->link);
    l->env->ops->wake(l->env);
}
