/* One replica: making it, the dispatch of events, and the calls that only look. The order within a step: the event changes
 * the state; then what was held for the disk leaves; then the leader draws its conclusions; then the effects are reported. */
#include "raft/raft.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "raft/lease_int.h"

void raft_options_default(struct raft_options *o)
{
    *o = (struct raft_options){.election_ms = 1000,
                               .heartbeat_ms = 250,
                               .news_ms = 2,
                               .inflight_max_count = 128,
                               .inflight_max_bytes = 8u << 20,
                               .append_max_bytes = 512u << 10,
                               .uncommitted_max_bytes = 64u << 20};
}

/* --- making --- */

/* The seed is the state: of thousands of groups each has room for one number. */
uint64_t raft_draw(struct raft *r, uint64_t bound)
{
    r->self.seed = hash_u64(r->self.seed + 1);
    return r->self.seed % bound;
}

struct raft *raft_new(const struct raft_options *options, const struct raft_self *self,
                      const struct raft_restore *restore, uint64_t now_ms)
{
    ASSERT(self->id != 0);
    ASSERT(options->heartbeat_ms > 0);
    ASSERT(options->election_ms > options->heartbeat_ms);
    ASSERT(options->inflight_max_count > 0);
    ASSERT(options->inflight_max_bytes > 0);
    ASSERT(restore->applied == restore->snapshot_index);
    struct raft *r = mem_zalloc(sizeof(*r));
    r->self = *self;
    r->options = options;
    r->read_round =
        raft_draw(r, UINT64_MAX) >> 16; /* answers to READs of an earlier life must not fit those of this one */
    r->now_ms = now_ms;
    r->term = restore->hard.term;
    r->vote = restore->hard.vote;
    r->commit = restore->hard.commit > restore->snapshot_index ? restore->hard.commit : restore->snapshot_index;
    r->applied = restore->snapshot_index;
    r->role = r->told_role = RAFT_FOLLOWER;
    r->base_config = SLICE_EMPTY;
    raft_config_hold(r, &(struct raft_config){.voter_count = 0});
    r->durable.trunc_from = RAFT_NEVER;
    r->durable.commit_told = restore->snapshot_index;
    raft_log_init(&r->log, restore->snapshot_index, restore->snapshot_term);
    raft_config_set_base(r, &restore->config);
    r->blank = restore->blank;
    ASSERT(!r->blank || (restore->config.voter_count == 0 && restore->snapshot_index == 0));
    if (restore->recovering && !MUTANT(damage_not_admitted)) raft_recovery_begin(r);
    return r;
}

bool raft_blank(const struct raft *r)
{
    return r->blank;
}

void raft_restore_entry(struct raft *r, const struct raft_entry *entry)
{
    ASSERT(entry->index > r->log.base_index);
    ASSERT(entry->index <= raft_log_last(&r->log) + 1);
    if (entry->index <= raft_log_last(&r->log)) raft_log_truncate(&r->log, entry->index);
    raft_log_append_owned(&r->log, entry);
}

void raft_restore_done(struct raft *r)
{
    uint64_t last = raft_log_last(&r->log);
    ASSERT(raft_log_last_term(&r->log) <= r->term); /* a term is durable before, or with, the entries of that term */
    if (r->commit > last) r->commit = last;         /* it is only a hint: the leader tells it again */
    r->durable.index = last;
    raft_config_reload(r);
    raft_reset_election(r);
    if (r->self.silent_until_ms > r->now_ms) raft_wake_after_silence(r);
    raft_check(r);
}

void raft_free(struct raft *r)
{
    if (r == NULL) return;
    raft_peers_free(r);
    raft_alone_free(r);
    raft_config_drop(r->config);
    raft_log_free(&r->log);
    if (r->base_config.size > 0) mem_free((void *)(uintptr_t)r->base_config.data);
    mem_free(r->held);
    mem_free(r->reads);
    mem_free(r);
}

/* --- events --- */

static void settle(struct raft *r, struct raft_effects *fx)
{
    raft_release_held(r, fx);
    raft_count_own_vote(r, fx);
    raft_leader_settle(r, fx);
    raft_read_settle(r, fx);
    raft_send_ack(r, fx);
    raft_report(r, fx);
}

/* Our node may be heard and yet lack the support of others, as when its disk hangs: then it is to lead no longer, however well
 * the groups' own messages get through. */
static bool leads_in_vain(struct raft *r)
{
    raft_note_backed(r);
    if (!raft_wants_promise(r)) r->backed_ms = 0; /* nobody is asked to */
    if (r->backed_ms != 0 && r->backed_ms + r->options->election_ms <= r->now_ms) return true;
    return raft_quorum_heard_ms(r) + r->options->election_ms <= r->now_ms;
}

static void tick_leader(struct raft *r, struct raft_effects *fx)
{
    if (leads_in_vain(r)) {
        COVER("raft.check_quorum_failed");
        raft_follow(r, r->term, 0, fx);
        return;
    }
    if (r->now_ms >= r->heartbeat_deadline_ms) raft_send_heartbeats(r, fx);
    if (r->news_ms != 0 && r->now_ms >= r->news_ms) r->append_due = true;
}

static void tick(struct raft *r, struct raft_effects *fx)
{
    if (r->role == RAFT_LEADER) {
        tick_leader(r, fx);
        return;
    }
    raft_read_expire(r, fx);
    if (r->now_ms < r->election_deadline_ms) return;
    if (raft_promise_holds(r)) {
        raft_reset_election(r);
        if (r->leader == 0) raft_poke(r, fx);
    } else if (raft_promotable(r)) {
        raft_pre_campaign(r, fx);
    } else {
        raft_follow(r, r->term, 0, fx);
        raft_reset_election(r);
    }
}

static bool is_reply(enum raft_message_type type)
{
    return type == RAFT_MSG_PRE_VOTE_REPLY || type == RAFT_MSG_VOTE_REPLY || type == RAFT_MSG_APPEND_REPLY ||
           type == RAFT_MSG_HEARTBEAT_REPLY;
}

static bool is_leaders(enum raft_message_type type)
{
    return type == RAFT_MSG_APPEND || type == RAFT_MSG_HEARTBEAT || type == RAFT_MSG_SNAPSHOT ||
           type == RAFT_MSG_TIMEOUT_NOW || type == RAFT_MSG_RECOVERED;
}

/* A message of an older term: its sender learns the newer one if it asked for something that a new term ends. */
static void recv_older_term(struct raft *r, const struct raft_message *m, struct raft_effects *fx)
{
    struct raft_message reply = {.to = m->from, .reject = true};
    switch (m->type) {
    case RAFT_MSG_APPEND:
    case RAFT_MSG_HEARTBEAT:
    case RAFT_MSG_SNAPSHOT: reply.type = RAFT_MSG_APPEND_REPLY; break;
    case RAFT_MSG_PRE_VOTE: reply.type = RAFT_MSG_PRE_VOTE_REPLY; break;
    case RAFT_MSG_VOTE: reply.type = RAFT_MSG_VOTE_REPLY; break;
    case RAFT_MSG_READ:
        reply.type = RAFT_MSG_READ_REPLY;
        reply.context = m->context;
        break;
    case RAFT_MSG_PRE_VOTE_REPLY:
    case RAFT_MSG_VOTE_REPLY:
    case RAFT_MSG_APPEND_REPLY:
    case RAFT_MSG_HEARTBEAT_REPLY:
    case RAFT_MSG_READ_REPLY:
    case RAFT_MSG_TIMEOUT_NOW:
    case RAFT_MSG_RECOVERED:
    default: return;
    }
    raft_send(r, reply, fx);
}

/* False: the message is to be ignored. Otherwise r->term >= m->term, but for pre-votes. */
static bool recv_newer_term(struct raft *r, const struct raft_message *m, struct raft_effects *fx)
{
    if (m->type == RAFT_MSG_PRE_VOTE) return true;
    if (m->type == RAFT_MSG_PRE_VOTE_REPLY && !m->reject) return true; /* carries the term that we asked about */
    if (m->type == RAFT_MSG_VOTE && m->context != RAFT_CONTEXT_TRANSFER) {
        raft_promise_void_by(r, m, fx);
        if (raft_hears_leader(r)) {
            COVER("raft.vote_ignored");
            return false;
        }
    }
    raft_follow(r, m->term, is_leaders(m->type) ? m->from : 0, fx);
    return true;
}

static void dispatch(struct raft *r, const struct raft_message *m, struct raft_effects *fx)
{
    switch (m->type) {
    case RAFT_MSG_PRE_VOTE: raft_recv_pre_vote(r, m, fx); return;
    case RAFT_MSG_VOTE: raft_recv_vote(r, m, fx); return;
    case RAFT_MSG_PRE_VOTE_REPLY:
    case RAFT_MSG_VOTE_REPLY: raft_recv_ballot(r, m, fx); return;
    case RAFT_MSG_APPEND: raft_recv_append(r, m, fx); return;
    case RAFT_MSG_APPEND_REPLY:
        raft_recv_append_reply(r, m);
        raft_recv_promise(r, m, fx);
        return;
    case RAFT_MSG_HEARTBEAT: raft_recv_heartbeat(r, m, fx); return;
    case RAFT_MSG_HEARTBEAT_REPLY:
        raft_recv_heartbeat_reply(r, m);
        raft_recv_promise(r, m, fx);
        return;
    case RAFT_MSG_READ: raft_recv_read(r, m, fx); return;
    case RAFT_MSG_READ_REPLY: raft_recv_read_reply(r, m, fx); return;
    case RAFT_MSG_SNAPSHOT: raft_recv_snapshot(r, m, fx); return;
    case RAFT_MSG_TIMEOUT_NOW:
        if (m->from == r->leader && r->role == RAFT_FOLLOWER && raft_promotable(r)) raft_campaign(r, true, fx);
        return;
    case RAFT_MSG_RECOVERED: raft_recv_recovered(r, m); return;
    default: return; /* of a later version */
    }
}

/* Who is not in our configuration cannot answer us. It may ask and lead, though: our configuration may be the older one
 * (thesis 4.2.2), and what it asks for is granted or not by its term and log. */
static void recv(struct raft *r, const struct raft_message *m, struct raft_effects *fx)
{
    if (m->to != r->self.id || m->from == r->self.id || m->from == 0 || m->term == 0) return;
    if (m->type == RAFT_MSG_PRE_VOTE_REPLY && m->context != 0) { /* whatever its term, and whoever is a member */
        raft_recv_poke_reply(r, m, fx);
        return;
    }
    if (is_reply(m->type) && !raft_config_is_member(r->config, m->from)) {
        COVER("raft.reply_of_stranger");
        return;
    }
    if (m->term < r->term) {
        recv_older_term(r, m, fx);
        return;
    }
    if (m->term > r->term && !recv_newer_term(r, m, fx)) return;
    if (is_leaders(m->type) && r->leader != 0 && r->leader != m->from && !raft_config_is_member(r->config, m->from)) {
        COVER("raft.stranger_leads"); /* of a member the same is a violated invariant: raft_follow stops the process */
        return;
    }
    dispatch(r, m, fx);
}

static void applied(struct raft *r, uint64_t index)
{
    ASSERT(index <= r->commit);
    if (index > r->applied) r->applied = index;
}

void raft_step(struct raft *r, const struct raft_event *event, struct raft_effects *fx)
{
    if (event->now_ms > r->now_ms) r->now_ms = event->now_ms;
    switch (event->type) {
    case RAFT_EVENT_TICK: tick(r, fx); break;
    case RAFT_EVENT_MESSAGE: recv(r, event->message, fx); break;
    case RAFT_EVENT_PERSISTED: raft_persisted(r, &event->mark); break;
    case RAFT_EVENT_APPLIED: applied(r, event->index); break;
    case RAFT_EVENT_SNAPSHOT_SENT: raft_snapshot_sent(r, event->to, event->index, event->ok); break;
    case RAFT_EVENT_TRANSFER: raft_transfer(r, event->to, fx); break;
    case RAFT_EVENT_CAMPAIGN: raft_pre_campaign(r, fx); break;
    case RAFT_EVENT_PROVEN:
        if (event->index <= raft_log_last(&r->log)) raft_commit_to(r, event->index);
        break;
    case RAFT_EVENT_BORN: raft_lead_from_birth(r, fx); break;
    case RAFT_EVENT_UNREACHABLE: raft_unreachable(r, event->to); break;
    case RAFT_EVENT_SUPPORT: raft_support_changed(r, event->to); break;
    case RAFT_EVENT_ALONE: raft_go_alone(r, event->note, fx); break;
    case RAFT_EVENT_RELEASED: raft_released(r); break;
    default: BUG("event type");
    }
    settle(r, fx);
}

void raft_flush(struct raft *r, uint64_t now_ms, struct raft_effects *fx)
{
    if (now_ms > r->now_ms) r->now_ms = now_ms;
    raft_send_appends(r, fx);
    raft_read_flush(r, fx);
    settle(r, fx);
}

/* --- proposals --- */

enum status raft_propose(struct raft *r, enum raft_entry_type type, struct slice data, uint64_t *index, uint64_t *term)
{
    ASSERT(type != RAFT_ENTRY_CONFIG);
    if (r->role != RAFT_LEADER) return STATUS_NOT_LEADER;
    if (r->transfer_to != 0) return STATUS_BUSY;
    /* One always goes, however large: else a large one could never be proposed. */
    if (r->uncommitted_bytes > 0 && r->uncommitted_bytes + data.size > r->options->uncommitted_max_bytes)
        return STATUS_BUSY;
    *index = raft_append_own(r, type, data);
    *term = r->term;
    return STATUS_OK;
}

/* Learners alone may change without a joint phase: no majority depends on them. */
enum status raft_propose_config(struct raft *r, const struct raft_config *target, struct slice note, uint64_t *index)
{
    if (r->role != RAFT_LEADER) return STATUS_NOT_LEADER;
    if (raft_config_is_joint(target) || !raft_config_is_valid(target)) return STATUS_INVALID;
    if (note.size > RAFT_NOTE_BYTES_MAX) return STATUS_INVALID;
    bool under_way = raft_config_is_joint(r->config) || r->config_index > r->commit;
    if (MUTANT(changes_overlap)) under_way = false;
    if (under_way || !raft_leader_ready(r) || r->transfer_to != 0) return STATUS_BUSY;
    if (!raft_recovery_leaves_majority(r, target)) return STATUS_BUSY;
    struct raft_config next = *target;
    if (!raft_config_same_voters(r->config, target)) {
        memcpy(next.old_voters, r->config->voters, sizeof(next.old_voters));
        next.old_voter_count = r->config->voter_count;
    }
    raft_append_config(r, &next, note);
    *index = raft_log_last(&r->log);
    return STATUS_OK;
}

/* --- the log's beginning --- */

void raft_compact(struct raft *r, uint64_t index)
{
    ASSERT(index <= r->applied);
    if (index > r->durable.index) index = r->durable.index; /* the host may not have copied what is newer */
    if (index <= r->log.base_index) return;
    raft_config_rebase(r, index);
    raft_log_compact(&r->log, index);
}

/* With the entry in the log, the snapshot is a prefix of it, and what follows stays: some of it may have been acknowledged.
 * It is handed out once more, for the host's log was reset. It stays as durable as it was: the old batches hold it until the
 * batch with the reset does. */
static void install_over_prefix(struct raft *r, uint64_t index, struct raft_effects *fx)
{
    COVER("raft.install_over_prefix");
    raft_commit_to(r, index);
    raft_log_compact(&r->log, index);
    bool tail = raft_log_last(&r->log) > index;
    r->durable.dirty_from = 0;
    fx->append_from = fx->append_to = 0;
    if (tail) raft_note_dirty(r, index + 1);
}

static void install_anew(struct raft *r, uint64_t index, uint64_t term, struct raft_effects *fx)
{
    ASSERT(r->role != RAFT_LEADER); /* a leader's log has all that was ever committed */
    ASSERT(index > r->commit);
    raft_log_reset(&r->log, index, term);
    r->ack_match = r->ack_sent = 0;
    r->ack_due = false;
    raft_note_truncated(r, 1);
    r->durable.dirty_from = 0;
    fx->append_from = fx->append_to = 0;
    r->commit = index;
    r->commit_dirty = true;
}

void raft_install(struct raft *r, uint64_t index, uint64_t term, const struct raft_config *config,
                  struct raft_effects *fx)
{
    ASSERT(index >= r->applied);
    ASSERT(index > 0);
    ASSERT(raft_config_is_valid(config));
    if (term > r->term) raft_follow(r, term, 0, fx);
    if (raft_log_term(&r->log, index) == term) {
        install_over_prefix(r, index, fx);
    } else {
        install_anew(r, index, term, fx);
    }
    r->applied = index;
    r->blank = false;
    if (r->durable.commit_told < index) r->durable.commit_told = index;
    raft_config_set_base(r, config);
    raft_config_reload(r);
    /* Also when nothing else changed the host writes: its reset, and term and vote, which the reset must not lose. */
    r->hard_dirty = true;
    settle(r, fx);
}

/* --- looking --- */

/* With nobody to send to there is nothing to do at any time. */
static uint64_t leader_deadline_ms(const struct raft *r)
{
    if (r->peer_count == 1 || raft_leader_asleep(r)) return RAFT_NEVER;
    uint64_t quorum = raft_quorum_heard_ms(r) + r->options->election_ms;
    uint64_t at = r->heartbeat_deadline_ms < quorum ? r->heartbeat_deadline_ms : quorum;
    if (r->transfer_to != 0 && r->transfer_deadline_ms < at) at = r->transfer_deadline_ms;
    return r->news_ms != 0 && r->news_ms < at ? r->news_ms : at;
}

uint64_t raft_deadline_ms(const struct raft *r)
{
    if (r->role == RAFT_LEADER) return leader_deadline_ms(r);
    uint64_t read = raft_read_deadline_ms(r);
    if (r->role == RAFT_FOLLOWER && r->leader != 0 && raft_promise_holds(r)) return read;
    return read < r->election_deadline_ms ? read : r->election_deadline_ms;
}

enum raft_role raft_role(const struct raft *r)
{
    return r->role;
}

uint64_t raft_term(const struct raft *r)
{
    return r->term;
}

uint64_t raft_leader(const struct raft *r)
{
    return r->leader;
}

uint64_t raft_commit(const struct raft *r)
{
    return r->commit;
}

uint64_t raft_applied(const struct raft *r)
{
    return r->applied;
}

uint64_t raft_first_index(const struct raft *r)
{
    return r->log.base_index + 1;
}

uint64_t raft_last_index(const struct raft *r)
{
    return raft_log_last(&r->log);
}

uint64_t raft_min_match(const struct raft *r, uint32_t within_ms)
{
    uint64_t low = r->durable.index;
    for (size_t i = 0; r->role == RAFT_LEADER && i < r->peer_count; i++) {
        const struct raft_progress *p = &r->peers[i];
        bool recent = r->now_ms < p->heard_ms + within_ms || raft_backed_by(r, p);
        if (p->id != r->self.id && recent && p->match < low) low = p->match;
    }
    return low;
}

uint64_t raft_match_of(const struct raft *r, uint64_t replica_id)
{
    const struct raft_progress *p = r->role == RAFT_LEADER ? raft_peer(r, replica_id) : NULL;
    return p != NULL && p->recovery_nonce == 0 ? p->match : 0;
}

uint64_t raft_transfer_target(const struct raft *r)
{
    return r->role == RAFT_LEADER ? r->transfer_to : 0;
}

uint64_t raft_log_bytes(const struct raft *r)
{
    return r->log.bytes;
}

bool raft_leader_ready(const struct raft *r)
{
    return r->role == RAFT_LEADER && (r->commit >= r->term_start || MUTANT(read_before_noop));
}

bool raft_leader_caught_up(const struct raft *r)
{
    return raft_leader_ready(r) && r->applied >= r->term_start;
}

const struct raft_entry *raft_entry_at(const struct raft *r, uint64_t index)
{
    return raft_log_at(&r->log, index);
}

struct raft_hard_state raft_hard_state_now(const struct raft *r)
{
    return (struct raft_hard_state){.term = r->term, .vote = r->vote, .commit = r->commit};
}

uint64_t raft_durable_index(const struct raft *r)
{
    return r->durable.index;
}

uint64_t raft_config_index(const struct raft *r)
{
    return r->config_index;
}
const struct raft_config *raft_config_now(const struct raft *r)
{
    return r->config;
}

uint64_t raft_term_at(const struct raft *r, uint64_t index)
{
    return raft_log_term(&r->log, index);
}
