/* One replica: its Raft core, the commands and reads that wait on it, and what its effects become. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "range/change_int.h"
#include "range/comparison_int.h"
#include "range/members.h"
#include "range/snapshot_int.h"

#define COMMAND_BYTES_MAX (LIMIT_TXN_BYTES + 65536u) /* fits a frame between hosts, with room for what surrounds it */
#define LOG_HOST_BYTES (256ull << 20)                /* of all groups' logs in memory, as a target */
#define LAG_HOST_BYTES (1024ull << 20)               /* the same while followers lag */
#define SWEEP_MS 10u
#define FULL_CHECK_MS 64u /* in tests: the whole log is looked at in every so many-th millisecond */

uint64_t replica_node_of(const struct replica *r, uint64_t replica_id)
{
    for (size_t i = 0; i < r->desc->replica_count; i++) {
        if (r->desc->replicas[i].replica_id == replica_id) return r->desc->replicas[i].node_id;
    }
    const struct members_hints *h = r->members.hints;
    for (size_t i = 0; h != NULL && i < MEMBERS_HINTS; i++) {
        if (h->items[i].replica_id == replica_id) return h->items[i].node_id;
    }
    return MUTANT(newcomer_not_asked) ? 0 : replica_node_ahead(r, replica_id);
}

const struct lineage *replica_lineage(const struct replica *r)
{
    static const struct lineage NONE = {.merge = {.phase = RANGE_NORMAL}};
    return r->lineage != NULL ? r->lineage : &NONE;
}

struct lineage *replica_lineage_of(struct replica *r)
{
    if (r->lineage == NULL) r->lineage = mem_zalloc(sizeof *r->lineage);
    return r->lineage;
}

struct range_state replica_range(const struct replica *r)
{
    struct range_state s = {
        .row_base = r->row_base, .merge = replica_lineage(r)->merge, .end_since = replica_lineage(r)->end_since};
    range_desc_copy(&s.desc, r->desc);
    return s;
}

struct slice replica_range_packed(const struct replica *r)
{
    struct buf packed;
    struct range_state state = replica_range(r);
    buf_init(&packed, LIMIT_FRAME_BYTES);
    range_state_pack(&packed, &state);
    ASSERT(!packed.overflow);
    struct slice bytes = mem_dup_slice(buf_slice(&packed));
    buf_free(&packed);
    return bytes;
}

/* What the group record says stays what it was. */
static void keep_record(struct replica *r, struct slice before)
{
    struct slice now = replica_range_packed(r);
    if (slice_eq(before, now)) {
        mem_free((void *)(uintptr_t)before.data);
    } else {
        replica_lineage_of(r)->record = before;
    }
    mem_free((void *)(uintptr_t)now.data);
}

void replica_set_range(struct replica *r, const struct range_state *state)
{
    struct range_desc *former = r->desc;
    bool first = former == NULL, changed_before = replica_lineage(r)->record.size > 0;
    struct slice before = first || changed_before ? SLICE_EMPTY : replica_range_packed(r);
    r->desc = range_desc_keep(&state->desc);
    r->row_base = state->row_base;
    if (r->lineage != NULL || state->merge.phase != RANGE_NORMAL || state->end_since != 0) {
        replica_lineage_of(r)->merge = state->merge;
        replica_lineage_of(r)->end_since = state->end_since;
    }
    if (before.size > 0) keep_record(r, before);
    mem_free(former); /* what state borrows from it ends here */
    r->host->spans_changed = true;
}

/* It never changes but for what the replica is recovering from: what the range has become is a row of the store. */
void replica_record_put(struct replica *r)
{
    struct buf b;
    const struct lineage *l = replica_lineage(r);
    struct slice range = l->record.size > 0 ? l->record : replica_range_packed(r);
    buf_init(&b, LIMIT_FRAME_BYTES);
    group_record_pack(
        &b, &(struct group_record){.range = range,
                                   .recovering = r->recovering != NULL ? slice_str(r->recovering) : SLICE_EMPTY,
                                   .birth = l->birth,
                                   .mended = l->mended});
    wal_put_group(r->host->wal, r->desc->id, buf_slice(&b));
    if (l->record.size == 0) mem_free((void *)(uintptr_t)range.data);
    buf_free(&b);
}

static struct replica_waits *waits_of(struct replica *r)
{
    if (r->waits != NULL) return r->waits;
    struct replica_waits *w = r->waits = mem_alloc(sizeof *w);
    list_init(&w->proposals);
    list_init(&w->reads_waiting);
    list_init(&w->read_batches);
    list_init(&w->reads_late);
    return w;
}

/* Whoever waits for something may wait in vain: swept every SWEEP_MS. */
static bool anybody_waits(const struct replica *r)
{
    const struct replica_waits *w = r->waits;
    return w != NULL && !(list_empty(&w->proposals) && list_empty(&w->reads_waiting) && list_empty(&w->read_batches) &&
                          list_empty(&w->reads_late));
}

/* Nothing is to be done before somebody comes: what waits need is made again then. */
static void replica_rest(struct replica *r)
{
    if (anybody_waits(r)) return;
    mem_free(r->waits);
    r->waits = NULL;
}

static void replica_make_raft(struct replica *r, const struct raft_restore *restore, bool is_new)
{
    struct host *h = r->host;
    struct raft_self self = {.id = r->id, .group = r->desc->id, .support_ctx = r};
    if (!is_new) self.silent_until_ms = h->nodes.silent_until_ms;
    h->env->ops->random(h->env, &self.seed, sizeof self.seed);
    r->raft = raft_new(&h->raft_options, &self, restore, h->now_ms);
}

struct replica *replica_new(struct host *h, const struct range_state *state, const struct raft_restore *restore,
                            const struct replica_birth *how)
{
    const struct range_replica *self = range_desc_replica(&state->desc, h->self->node_id);
    ASSERT(self != NULL);
    ASSERT(restore->recovering == (how->recovering != NULL));
    struct replica *r = mem_zalloc(sizeof *r);
    r->host = h;
    r->state = how->creating ? REPLICA_CREATING : REPLICA_RUNNING;
    r->id = self->replica_id;
    replica_set_range(r, how->record);
    if (how->record != state) replica_set_range(r, state);
    if (how->birth.group != 0) replica_lineage_of(r)->birth = how->birth;
    if (how->recovering != NULL) r->recovering = mem_strdup(how->recovering);
    list_init(&r->ready_link);
    resolved_forget_past(&r->resolve.state, restore->applied);
    replica_make_raft(r, restore, how->creating && !restore->recovering);
    r->applied = r->commit = restore->applied;
    replica_state_reset(r);
    r->rows_life = 1;
    effects_init(&r->divergence.effects, h->options.compare_every, r->applied);
    map_put(&h->replicas, r->desc->id, r);
    return r;
}

void replica_free(struct replica *r)
{
    if (r == NULL) return;
    list_remove(&r->ready_link);
    heap_remove(&r->host->timers, &r->timer);
    resolve_forget(r);
    resolved_free(&r->resolve.state);
    apply_reads_free(r);
    effects_free(&r->divergence.effects);
    comparison_free(r);
    if (r->waits != NULL) {
        struct list *batch;
        while ((batch = list_pop_front(&r->waits->read_batches)) != NULL)
            mem_free(LIST_ENTRY(batch, struct read_batch, link));
        mem_free(r->waits);
    }
    if (r->sending != NULL) (void)snapshot_send_abort(r->sending);
    if (r->receiving != NULL) snapshot_recv_close(r->receiving);
    replica_trace_free(r);
    if (r->machine_state != NULL) /* what waits in it is refused, and told who leads */
        r->host->owner.machine->state_free(r->host->owner.machine_ctx, r->machine_state);
    raft_free(r->raft);
    r->raft = NULL;
    state_at_set(r, SLICE_EMPTY);
    mem_free(r->members.hints);
    mem_free(r->snapshot_queue);
    mem_free(r->desc);
    mem_free((void *)(uintptr_t)replica_lineage(r)->record.data);
    mem_free(r->lineage);
    mem_free(r->recovering);
    mem_free(r);
}

void replica_gone(struct replica *r)
{
    const struct host_owner *o = &r->host->owner;
    uint64_t group = r->desc->id;
    replica_free(r);
    if (o->gone != NULL) o->gone(o->ctx, group);
}

void host_mark_ready(struct host *h, struct replica *r)
{
    if (!MUTANT(rest_outlives_change)) resolve_wake(r);
    if (list_empty(&r->ready_link)) list_push_back(&h->ready, &r->ready_link);
}

/* --- effects --- */

static void replica_note_mark(struct replica *r, const struct raft_persist_mark *mark)
{
    struct batch_marks *m = &r->host->filling;
    if (r->mark_slot == 0) {
        if (m->count == m->capacity) {
            m->capacity = m->capacity == 0 ? 64 : m->capacity * 2;
            m->items = mem_realloc(m->items, m->capacity * sizeof *m->items);
        }
        r->mark_slot = (uint32_t)++m->count;
    }
    m->items[r->mark_slot - 1] = (struct batch_mark){.group = r->desc->id, .mark = *mark};
}

/* A leader has mended it: so says the batch that is being filled. */
static void replica_recovered(struct replica *r)
{
    log_event(r->host->env->log, LOG_INFO, "range.recovered", "range=%llu index=%llu after=%s",
              (unsigned long long)r->desc->id, (unsigned long long)raft_commit(r->raft), r->recovering);
    mem_free(r->recovering);
    r->recovering = NULL;
    replica_lineage_of(r)->mended = raft_commit(r->raft); /* at the fence or behind it */
    replica_record_put(r);
}

static void replica_persist(struct replica *r, const struct raft_effects *fx)
{
    struct wal *w = r->host->wal;
    if (fx->append_from > 0) {
        for (uint64_t i = fx->append_from; i <= fx->append_to; i++) {
            const struct raft_entry *e = raft_entry_at(r->raft, i);
            ASSERT(e != NULL);
            wal_put_entry(
                w, r->desc->id,
                &(struct wal_entry){.index = e->index, .term = e->term, .type = (uint8_t)e->type, .data = e->data});
        }
    }
    if (!fx->must_sync) return;
    if (fx->persist_hard_state) {
        struct raft_hard_state hs = raft_hard_state_now(r->raft);
        wal_put_hard_state(w, r->desc->id,
                           &(struct wal_hard_state){
                               .term = hs.term, .vote = MUTANT(vote_not_saved) ? 0 : hs.vote, .commit = hs.commit});
    }
    if (fx->recovered) replica_recovered(r);
    replica_note_mark(r, &fx->mark);
}

/* The read index of a batch is known: its reads wait for apply. */
static void replica_read_answered(struct replica *r, const struct raft_read_ready *ready)
{
    if (r->waits == NULL) return;
    LIST_FOR(it, &r->waits->read_batches)
    {
        struct read_batch *b = LIST_ENTRY(it, struct read_batch, link);
        if (b->context != ready->context) continue;
        if (ready->status == STATUS_OK) {
            b->index = ready->index;
            return;
        }
        list_remove(&b->link);
        struct list *node;
        while ((node = list_pop_front(&b->waits)) != NULL) {
            struct read_wait *w = LIST_ENTRY(node, struct read_wait, link);
            w->ready(w, ready->status);
        }
        mem_free(b);
        return;
    }
}

static bool may_lead(const struct replica *r)
{
    return r->state != REPLICA_DIVERGED && !r->members.leaving && raft_leader_ready(r->raft);
}

void replica_set_leads(struct replica *r)
{
    bool leads = may_lead(r);
    if (leads == r->leads) return;
    r->leads = leads;
    resolve_led(r, leads);
    struct host *h = r->host;
    log_event(h->env->log, LOG_INFO, leads ? "range.leads" : "range.follows", "range=%llu term=%llu",
              (unsigned long long)r->desc->id, (unsigned long long)raft_term(r->raft));
    if (h->owner.leadership != NULL) h->owner.leadership(h->owner.ctx, r, leads);
}

/* Carries out host->fx, which a step of this replica has filled, in the order that raft.h demands. */
void replica_take_effects(struct replica *r)
{
    struct host *h = r->host;
    struct raft_effects *fx = &h->fx;
    replica_trace_effects(r, fx);
    replica_persist(r, fx);
    for (size_t i = 0; i < fx->message_count && !divergence_mutes(r); i++) link_send(h, r, &fx->messages[i]);
    if (fx->commit_to > r->commit) {
        r->commit = fx->commit_to;
        host_mark_ready(h, r);
    }
    for (size_t i = 0; i < fx->read_count; i++) replica_read_answered(r, &fx->reads[i]);
    if (fx->read_count > 0) host_mark_ready(h, r);
    uint64_t snapshot_to[LIMIT_REPLICAS];
    size_t snapshot_count = 0;
    while (snapshot_count < fx->snapshot_count && snapshot_count < LIMIT_REPLICAS) {
        snapshot_to[snapshot_count] = fx->snapshots[snapshot_count];
        snapshot_count++;
    }
    bool changed = fx->state_changed;
    raft_effects_clear(fx);
    if (changed || may_lead(r) != r->leads) replica_set_leads(r);
    for (size_t i = 0; i < snapshot_count; i++) snapshot_send_start(r, snapshot_to[i]);
}

void replica_step(struct replica *r, const struct raft_event *ev)
{
    if (r->state == REPLICA_CREATING || r->members.leaving) return;
    struct raft_event e = *ev;
    e.now_ms = r->host->now_ms;
    replica_trace_step(r, &e);
    raft_step(r->raft, &e, &r->host->fx);
    ASSERT_SLOW((raft_check_brief(r->raft), true));
    if (e.now_ms % FULL_CHECK_MS == 0) ASSERT_SLOW((raft_check(r->raft), true));
    r->needs_flush = true;
    host_mark_ready(r->host, r);
    replica_take_effects(r);
}

void replica_tick(struct replica *r)
{
    struct host *h = r->host;
    if (r->state == REPLICA_CREATING || r->members.leaving) return;
    if (r->campaign_at_ms != 0 && h->now_ms >= r->campaign_at_ms) {
        r->campaign_at_ms = 0;
        if (raft_leader(r->raft) == 0) replica_step(r, &(struct raft_event){.type = RAFT_EVENT_CAMPAIGN});
    }
    if (r->receiving != NULL) snapshot_recv_tick(r);
    divergence_tick(r);
    if (r->sending != NULL) snapshot_send_tick(r);
    snapshot_send_next(r);
    if (h->now_ms >= raft_deadline_ms(r->raft)) replica_step(r, &(struct raft_event){.type = RAFT_EVENT_TICK});
}

static bool is_watched(const struct replica *r)
{
    if (r->receiving != NULL || r->sending != NULL || r->snapshot_queue_count > 0) return true;
    return r->state == REPLICA_DIVERGED || anybody_waits(r);
}

void replica_arm(struct replica *r)
{
    struct host *h = r->host;
    uint64_t at = r->state == REPLICA_CREATING ? UINT64_MAX : raft_deadline_ms(r->raft);
    if (r->campaign_at_ms != 0 && r->campaign_at_ms < at) at = r->campaign_at_ms;
    if (r->sending != NULL && snapshot_send_due_ms(r->sending) < at) at = snapshot_send_due_ms(r->sending);
    if (at > h->now_ms + SWEEP_MS && is_watched(r)) at = h->now_ms + SWEEP_MS;
    if (at <= h->now_ms) at = h->now_ms + 1;
    if (at == UINT64_MAX) {
        heap_remove(&h->timers, &r->timer);
        replica_rest(r);
    } else if (r->timer.pos == 0 || r->timer.key != at) {
        heap_set(&h->timers, &r->timer, at);
    }
}

/* --- commands and reads --- */

/* Commands that may be under way: fewer as the store falls behind, none when it is full, so that writers slow down before they
 * have to stop. */
static uint32_t proposals_room(const struct host *h)
{
    return (uint32_t)((uint64_t)h->options.proposals_max * (100 - lsm_pressure(h->lsm)) / 100);
}

enum status replica_propose(struct replica *r, struct slice command, struct proposal *p)
{
    struct host *h = r->host;
    if (h->stopping) return STATUS_CLOSED;
    if (r->state != REPLICA_RUNNING || !r->leads) return STATUS_NOT_LEADER;
    if (command.size > COMMAND_BYTES_MAX) return STATUS_TOO_LARGE;
    if (p->ts != 0 && p->ts <= resolve_closed_ts(r) && !MUTANT(closed_timestamp_passed)) return STATUS_RETRY;
    if (h->proposals >= proposals_room(h)) return STATUS_BUSY;
    enum status s = raft_propose(r->raft, RAFT_ENTRY_COMMAND, command, &p->index, &p->term);
    uint64_t again;
    if (MUTANT(proposal_doubled)) s = raft_propose(r->raft, RAFT_ENTRY_COMMAND, command, &again, &again);
    if (s != STATUS_OK) return s;
    list_push_back(&waits_of(r)->proposals, &p->link);
    h->proposals++;
    r->needs_flush = true;
    host_mark_ready(h, r);
    return STATUS_OK;
}

enum status replica_read(struct replica *r, struct read_wait *w)
{
    if (r->state != REPLICA_RUNNING || !r->leads) return STATUS_NOT_LEADER;
    list_push_back(&waits_of(r)->reads_waiting, &w->link);
    r->needs_flush = true;
    host_mark_ready(r->host, r);
    return STATUS_OK;
}

enum status replica_wait_applied(struct replica *r, struct read_wait *w)
{
    if (r->state != REPLICA_RUNNING) return STATUS_NOT_LEADER;
    list_push_back(&waits_of(r)->reads_late, &w->link);
    host_mark_ready(r->host, r);
    r->host->env->ops->wake(r->host->env);
    return STATUS_OK;
}

/* All reads that came before this flush share one index, none that comes later does (T5). */
static void replica_ask_read_index(struct replica *r)
{
    if (r->waits == NULL || list_empty(&r->waits->reads_waiting)) return;
    struct read_batch *b = mem_zalloc(sizeof *b);
    list_init(&b->waits);
    bool leads = raft_role(r->raft) == RAFT_LEADER;
    struct list *node;
    while ((node = list_pop_front(&r->waits->reads_waiting)) != NULL) {
        struct read_wait *w = LIST_ENTRY(node, struct read_wait, link);
        if (w->term != 0 && (!leads || w->term != raft_term(r->raft))) {
            w->ready(w, STATUS_NOT_LEADER);
        } else {
            list_push_back(&b->waits, node);
        }
    }
    b->context = ++r->next_read_context;
    list_push_back(&r->waits->read_batches, &b->link);
    uint64_t commit = raft_commit(r->raft);
    if (replica_has_lease(r)) { /* looked at after the commit index: what was committed elsewhere before is in it */
        b->index = commit;
        b->by_lease = true;
        return;
    }
    enum status s = raft_read(r->raft, b->context);
    if (s != STATUS_OK) replica_read_answered(r, &(struct raft_read_ready){.context = b->context, .status = s});
}

/* The log kept in memory: what is kept anyway; what followers that lag still need, if they were heard of within log_lag_ms,
 * up to log_lag_bytes; and for one that is receiving a snapshot what follows its index, or the next snapshot would be needed
 * before this one has ended. When that has happened, twice as much next time (lag_shift). */
static void replica_compact(struct replica *r)
{
    struct host *h = r->host;
    uint64_t share = LOG_HOST_BYTES / h->replicas.count;
    uint64_t keep = h->options.log_keep_bytes < share ? h->options.log_keep_bytes : share;
    if (raft_log_bytes(r->raft) <= keep) return;
    uint64_t limit = r->applied;
    uint64_t lag = LAG_HOST_BYTES / h->replicas.count;
    if (lag > h->options.log_lag_bytes) lag = h->options.log_lag_bytes;
    if (lag < keep) lag = keep;
    if (raft_role(r->raft) == RAFT_LEADER && raft_log_bytes(r->raft) < lag << r->lag_shift) {
        uint64_t low =
            r->sending != NULL ? snapshot_send_index(r->sending) : raft_min_match(r->raft, h->options.log_lag_ms);
        if (low < limit) limit = low;
    }
    uint64_t upto = raft_first_index(r->raft) - 1;
    uint64_t excess = raft_log_bytes(r->raft) - keep / 2;
    while (excess > 0 && upto < limit) {
        const struct raft_entry *e = raft_entry_at(r->raft, ++upto);
        uint64_t cost = e->data.size + sizeof *e;
        excess = excess > cost ? excess - cost : 0;
    }
    raft_compact(r->raft, upto);
}

void replica_flush(struct replica *r)
{
    if (r->state == REPLICA_CREATING || r->members.leaving || !r->needs_flush) return;
    r->needs_flush = false;
    replica_ask_read_index(r);
    raft_flush(r->raft, r->host->now_ms, &r->host->fx);
    replica_take_effects(r);
}

void replica_run(struct replica *r)
{
    if (r->state == REPLICA_CREATING || r->members.leaving) return;
    replica_flush(r);
    if (r->receiving != NULL) snapshot_recv_step(r);
    bool more = replica_apply(r);
    divergence_run(r);
    damage_run(r);
    replica_reads_ready(r);
    if (!r->unborn) replica_compact(r);
    if (more) host_mark_ready(r->host, r);
    replica_arm(r);
}

static void sweep_reads(struct list *waits, uint64_t now_ns)
{
    LIST_FOR(it, waits)
    {
        struct read_wait *w = LIST_ENTRY(it, struct read_wait, link);
        if (now_ns < w->deadline_ns) continue;
        list_remove(&w->link);
        w->ready(w, STATUS_TIMEOUT);
    }
}

static void sweep_all_reads(struct replica *r, uint64_t now_ns)
{
    sweep_reads(&r->waits->reads_waiting, now_ns);
    sweep_reads(&r->waits->reads_late, now_ns);
    LIST_FOR(it, &r->waits->read_batches)
    {
        sweep_reads(&LIST_ENTRY(it, struct read_batch, link)->waits, now_ns);
    }
}

void replica_sweep(struct replica *r, uint64_t now_ns)
{
    if (r->waits == NULL) return;
    LIST_FOR(it, &r->waits->proposals)
    {
        struct proposal *p = LIST_ENTRY(it, struct proposal, link);
        if (now_ns < p->deadline_ns) continue;
        list_remove(&p->link);
        r->host->proposals--;
        p->done(p, STATUS_TIMEOUT, true, SLICE_EMPTY);
    }
    sweep_all_reads(r, now_ns);
}

void replica_fail_all(struct replica *r, enum status s, bool unknown)
{
    struct list *node;
    if (r->waits == NULL) return;
    while ((node = list_pop_front(&r->waits->proposals)) != NULL) {
        struct proposal *p = LIST_ENTRY(node, struct proposal, link);
        r->host->proposals--;
        p->done(p, s, unknown, SLICE_EMPTY);
    }
    sweep_all_reads(r, UINT64_MAX);
}

void replica_close_waits(struct replica *r)
{
    replica_fail_all(r, STATUS_CLOSED, true);
}

/* --- looking --- */

uint64_t replica_group(const struct replica *r)
{
    return r->desc->id;
}
uint64_t replica_id(const struct replica *r)
{
    return r->id;
}
const struct range_desc *replica_desc(const struct replica *r)
{
    return r->desc;
}
const struct raft *replica_raft(const struct replica *r)
{
    return r->raft;
}
bool replica_leads(const struct replica *r)
{
    return r->leads && r->state == REPLICA_RUNNING;
}
struct replica_merge replica_merge(const struct replica *r)
{
    return (struct replica_merge){.intends = replica_lineage(r)->merge.phase == RANGE_INTENDING,
                                  .frozen = replica_lineage(r)->merge.phase == RANGE_FROZEN,
                                  .with = replica_lineage(r)->merge.with,
                                  .version = replica_lineage(r)->merge.version,
                                  .frozen_at = replica_lineage(r)->merge.frozen_at,
                                  .end_since = replica_lineage(r)->end_since};
}
bool replica_aligned(const struct replica *r, uint64_t index)
{
    for (size_t i = 0; i < r->desc->replica_count; i++) {
        if (raft_match_of(r->raft, r->desc->replicas[i].replica_id) < index && !MUTANT(merge_unaligned)) return false;
    }
    return true;
}
bool replica_awaited(const struct replica *r)
{
    if (r->leads_at_birth) return true;
    return replica_lineage(r)->birth.leader == r->id && raft_term(r->raft) == BIRTH_TERM &&
           raft_role(r->raft) == RAFT_LEADER && !r->leads;
}
uint64_t replica_leader_node(const struct replica *r)
{
    return replica_node_of(r, raft_leader(r->raft));
}
uint64_t replica_last_ts(const struct replica *r)
{
    return r->last_ts;
}
/* What is applied first may be the end of a transaction, with a version from before rows that were there when it was opened. */
uint64_t replica_newest_version(const struct replica *r)
{
    return r->bounded || MUTANT(old_decision_bounds) ? r->last_ts : 0;
}
uint64_t replica_rows_life(const struct replica *r)
{
    return r->state == REPLICA_INSTALLING || r->state == REPLICA_DIVERGED || r->members.leaving ? 0 : r->rows_life;
}
/* Made when asked for: thousands of ranges need not keep what few ask for. */
void replica_span(const struct replica *r, struct slice *start, struct slice *end)
{
    struct buf *keys = &r->host->span;
    const struct range_desc *d = r->desc;
    buf_clear(keys);
    key_encode_bound(keys, d->keyspace, d->start);
    size_t size = keys->size;
    key_encode_bound(keys, d->end.size > 0 ? d->keyspace : d->keyspace + 1, d->end);
    ASSERT(!keys->overflow);
    *start = slice_make(keys->data, size);
    *end = slice_make(keys->data + size, keys->size - size);
}
bool replica_diverged(const struct replica *r)
{
    return r->divergence.at != 0 && !r->divergence.damaged && !r->divergence.lacking;
}
bool replica_damaged(const struct replica *r)
{
    return r->divergence.damaged;
}
const char *replica_waits_for(const struct replica *r)
{
    if (r->members.leaving) return "what is under way for it to end: its range has gone on without it";
    if (r->state == REPLICA_CREATING) return "its creation to be durable";
    if (r->unborn) return "the range that it was split off from, to apply that again";
    if (r->state == REPLICA_INSTALLING) return "a snapshot to be installed";
    if (r->receiving != NULL) return "the rest of a snapshot";
    if (r->state == REPLICA_DIVERGED) return "a snapshot: its rows differ from its peers'";
    if (raft_recovering(r->raft))
        return raft_leader(r->raft) != 0
                   ? "recovering, without a vote: a leader to bring back what this disk has lost"
                   : "recovering, without a vote: a leader; if a majority of the replicas is recovering there will be "
                     "none, and what they lost can only come from a backup";
    if (r->apply_wait) return "a block that apply needs from disk";
    if (raft_leader(r->raft) == 0) return "a leader to be elected";
    if (replica_transferring(r)) return "another replica to take over the leadership";
    if (r->no_heir) return "another replica that may lead: leaderships are to leave this node";
    if (raft_role(r->raft) == RAFT_LEADER && !r->leads) return "the first entry of its term to commit";
    if (replica_merge(r).frozen) return "its left neighbour to take it in, or a proof that it has given that up";
    return "";
}
