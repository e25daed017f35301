/* Elections (thesis 3.4, 3.6, 9.6 PreVote, 6.2 CheckQuorum, 3.10 leadership transfer).
 *
 *              election timeout             a majority would vote           own vote durable,
 *   FOLLOWER ------------------> PRE_CANDIDATE --------------> CANDIDATE ---------------------> LEADER
 *    ^  ^  |                        |  ^  |                       |  |      a majority voted       |
 *    |  |  +-- TIMEOUT_NOW ---------|--|--|---------------------->+  |                             |
 *    |  |                           |  +--|-- election timeout ------+                             |
 *    |  +-- a leader, a newer term, a majority of refusals ----------+                             |
 *    +---- a newer term, no majority heard of for election_ms, no longer a voter ------------------+
 *
 * A LEADER that has given a transfer up becomes a CANDIDATE at once: raft_end_doubt.
 * An admin's order (RAFT_EVENT_ALONE) makes a FOLLOWER or PRE_CANDIDATE a CANDIDATE in a far term, and its own vote alone the LEADER of
 * a configuration that consists of it.
 *
 * PRE_CANDIDATE changes neither term nor vote. CANDIDATE has a new term and its own vote; both are on their way to the disk,
 * and the requests leave when they have arrived there (persist.c). */
#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "raft/lease_int.h"

/* --- peers --- */

struct raft_progress *raft_peer(const struct raft *r, uint64_t id)
{
    for (size_t i = 0; i < r->peer_count; i++) {
        if (r->peers[i].id == id) return &r->peers[i];
    }
    return NULL;
}

void raft_peers_free(struct raft *r)
{
    for (size_t i = 0; i < r->peer_count; i++) raft_progress_free(&r->peers[i]);
    mem_free(r->peers);
    r->peers = NULL;
    r->peer_count = 0;
}

/* One for each member, and always one for ourselves: a leader that is being removed still leads. */
void raft_peers_rebuild(struct raft *r)
{
    uint64_t ids[RAFT_MEMBERS_MAX + 1];
    size_t count = raft_config_members(r->config, ids);
    if (!raft_config_is_member(r->config, r->self.id)) ids[count++] = r->self.id;
    struct raft_progress *peers = mem_alloc(count * sizeof(*peers));
    for (size_t i = 0; i < count; i++) {
        struct raft_progress *known = raft_peer(r, ids[i]);
        if (known == NULL) {
            raft_progress_init(&peers[i], ids[i], raft_log_last(&r->log) + 1, r->now_ms);
        } else {
            peers[i] = *known;
            known->flights = NULL; /* taken over */
        }
    }
    raft_peers_free(r);
    r->peers = peers;
    r->peer_count = count;
}

/* --- time --- */

/* One that its newest configuration leaves out campaigns as well, until it knows that configuration to be committed: those
 * that stay may have shorter logs, and then nobody else can win (thesis 4.2.2). It does not count itself. */
bool raft_promotable(const struct raft *r)
{
    struct raft_config before;
    if (raft_recovering(r)) return false;
    if (raft_config_is_voter(r->config, r->self.id)) return true;
    if (r->config_index <= r->commit) return false;
    return raft_config_at(r, r->config_index - 1, &before) && raft_config_is_voter(&before, r->self.id);
}

/* While it is true nobody is helped to disturb the leader (thesis 4.2.3), and nobody that a lease may count on is untrue to it. */
bool raft_hears_leader(const struct raft *r)
{
    if (r->role == RAFT_LEADER || raft_withholds(r)) return true;
    return r->leader != 0 && r->now_ms < r->heard_ms + r->options->election_ms;
}

void raft_reset_election(struct raft *r)
{
    r->election_deadline_ms = r->now_ms + r->options->election_ms + raft_draw(r, r->options->election_ms + 1ull);
}

static uint64_t heard_of(const void *ctx, uint64_t id)
{
    const struct raft *r = ctx;
    const struct raft_progress *p = raft_peer(r, id);
    if (id == r->self.id) return r->now_ms;
    if (p == NULL || p->recovery_nonce != 0) return 0;
    return raft_backed_by(r, p) ? r->now_ms : p->heard_ms;
}

uint64_t raft_quorum_heard_ms(const struct raft *r)
{
    return raft_config_quorum(r->config, heard_of, r);
}

/* --- roles --- */

/* Follower of `leader` (0: unknown) in `term`. Whatever belonged to an earlier role, term or leader ends here. */
void raft_follow(struct raft *r, uint64_t term, uint64_t leader, struct raft_effects *fx)
{
    ASSERT(term >= r->term);
    ASSERT(leader != r->self.id);
    bool same = r->role == RAFT_FOLLOWER && term == r->term && leader == r->leader;
    if (same) return;
    if (term == r->term && r->role == RAFT_FOLLOWER) ASSERT(r->leader == 0 || leader == 0); /* one leader per term */
    if (term == r->term && r->role == RAFT_LEADER) ASSERT(leader == 0);
    enum raft_role was = r->role;
    if (term > r->term) raft_set_term(r, term, 0);
    raft_alone_free(r);
    r->role = RAFT_FOLLOWER;
    r->leader = leader;
    r->ack_match = r->ack_sent = 0;
    r->ack_due = false;
    r->append_due = false;
    r->news_ms = 0;
    r->transfer_to = 0;
    r->uncommitted_bytes = 0;
    raft_peers_free(r);
    raft_read_fail(r, fx);
    if (was != RAFT_FOLLOWER) raft_reset_election(r);
}

/* A learner is asked for its pre-vote too, which does not count: it may be bound to us, and nobody else tells it that we lead no more. */
static void broadcast_vote(struct raft *r, struct raft_message m, struct raft_effects *fx)
{
    m.index = raft_log_last(&r->log);
    m.log_term = raft_log_last_term(&r->log);
    for (size_t i = 0; i < r->peer_count; i++) {
        uint64_t id = r->peers[i].id;
        bool told = m.type == RAFT_MSG_PRE_VOTE && !MUTANT(learner_not_told);
        bool asked = told || raft_config_is_voter(r->config, id);
        if (id == r->self.id || !asked) continue;
        m.to = id;
        raft_send(r, m, fx);
    }
}

static uint64_t granted(const void *ctx, uint64_t id)
{
    const struct raft_progress *p = raft_peer(ctx, id);
    return p != NULL && p->ballot == RAFT_BALLOT_GRANTED ? 1 : 0;
}

static uint64_t not_refused(const void *ctx, uint64_t id)
{
    const struct raft_progress *p = raft_peer(ctx, id);
    return p != NULL && p->ballot == RAFT_BALLOT_REFUSED ? 0 : 1;
}

/* --- the last resort --- */

/* By so many terms it leaves behind whatever term those who are given up may have come to. */
#define ALONE_TERMS (1u << 20)

struct raft_alone {
    struct slice note; /* owned */
};

void raft_alone_free(struct raft *r)
{
    if (r->alone == NULL) return;
    mem_free((void *)(uintptr_t)r->alone->note.data);
    mem_free(r->alone);
    r->alone = NULL;
}

bool raft_may_lead_alone(const struct raft *r)
{
    bool whole = !r->blank && !raft_recovering(r) && raft_config_is_member(r->config, r->self.id);
    return whole && r->role != RAFT_LEADER && !raft_hears_leader(r) && r->now_ms >= r->self.silent_until_ms;
}

void raft_go_alone(struct raft *r, struct slice note, struct raft_effects *fx)
{
    if (!raft_may_lead_alone(r) || r->alone != NULL) return;
    COVER("raft.alone");
    raft_follow(r, r->term, 0, fx);
    r->role = RAFT_CANDIDATE;
    raft_peers_rebuild(r);
    raft_reset_election(r);
    raft_set_term(r, r->term + ALONE_TERMS, r->self.id);
    r->alone = mem_zalloc(sizeof *r->alone);
    if (note.size > 0) r->alone->note = mem_dup_slice(note);
}

/* --- leaders --- */

static void become_leader(struct raft *r, struct raft_effects *fx)
{
    ASSERT(r->role == RAFT_CANDIDATE);
    ASSERT(r->vote == r->self.id);
    ASSERT(raft_hard_durable(r));
    r->role = RAFT_LEADER;
    r->leader = r->self.id;
    raft_promise_end(r);
    raft_peers_free(r);
    raft_peers_rebuild(r);
    r->uncommitted_bytes = 0;
    for (uint64_t i = r->commit + 1; i <= raft_log_last(&r->log); i++) {
        r->uncommitted_bytes += raft_log_at(&r->log, i)->data.size;
    }
    r->transfer_to = 0;
    r->lease_void = false;
    r->backed_ms = 0;
    r->term_start = raft_append_own(r, RAFT_ENTRY_NOOP, SLICE_EMPTY);
    if (r->alone != NULL) {
        struct raft_config self = {.voters = {r->self.id}, .voter_count = 1};
        raft_append_config(r, &self, r->alone->note);
        raft_alone_free(r);
    }
    raft_send_heartbeats(r, fx); /* one that leads alone has nobody to tell */
}

/* Once in the life of a group, at a replica that has never spoken: all members begin in this term, with this vote. */
void raft_lead_from_birth(struct raft *r, struct raft_effects *fx)
{
    if (r->role != RAFT_FOLLOWER || r->leader != 0 || r->vote != r->self.id) return; /* others were quicker */
    if (raft_log_last(&r->log) != r->log.base_index || r->term != raft_log_last_term(&r->log)) return;
    COVER("raft.born_leader");
    raft_peers_rebuild(r);
    r->role = RAFT_CANDIDATE;
    become_leader(r, fx);
}

static void count_ballots(struct raft *r, struct raft_effects *fx)
{
    if (raft_config_quorum(r->config, granted, r) == 1) {
        if (r->role == RAFT_PRE_CANDIDATE) {
            raft_campaign(r, false, fx);
        } else {
            become_leader(r, fx);
        }
    } else if (raft_config_quorum(r->config, not_refused, r) == 0) {
        raft_follow(r, r->term, 0, fx);
    }
}

static void start_campaign(struct raft *r, enum raft_role role, struct raft_effects *fx)
{
    ASSERT(r->role != RAFT_LEADER);
    raft_follow(r, r->term, 0, fx);
    r->role = role;
    raft_peers_rebuild(r);
    raft_reset_election(r);
}

void raft_pre_campaign(struct raft *r, struct raft_effects *fx)
{
    if (r->role == RAFT_LEADER || !raft_promotable(r) || raft_withholds(r)) return;
    start_campaign(r, RAFT_PRE_CANDIDATE, fx);
    raft_peer(r, r->self.id)->ballot = RAFT_BALLOT_GRANTED;
    broadcast_vote(r, (struct raft_message){.type = RAFT_MSG_PRE_VOTE, .term = r->term + 1}, fx);
    count_ballots(r, fx);
}

void raft_campaign(struct raft *r, bool transfer, struct raft_effects *fx)
{
    ASSERT(raft_promotable(r));
    if (!transfer) ASSERT(!raft_withholds(r)); /* our own vote is a vote */
    start_campaign(r, RAFT_CANDIDATE, fx);
    raft_set_term(r, r->term + 1, r->self.id);
    uint64_t context = transfer ? RAFT_CONTEXT_TRANSFER : 0;
    broadcast_vote(r, (struct raft_message){.type = RAFT_MSG_VOTE, .context = context}, fx);
}

/* Our vote for ourselves is a vote like any other: it counts when it is durable. */
void raft_count_own_vote(struct raft *r, struct raft_effects *fx)
{
    if (r->role != RAFT_CANDIDATE || !raft_hard_durable(r)) return;
    struct raft_progress *self = raft_peer(r, r->self.id);
    if (self->ballot != RAFT_BALLOT_NONE) return;
    self->ballot = RAFT_BALLOT_GRANTED;
    if (r->alone != NULL) {
        become_leader(r, fx);
    } else {
        count_ballots(r, fx);
    }
}

/* --- votes --- */

/* Thesis 3.6.1. */
static bool log_up_to_date(const struct raft *r, const struct raft_message *m)
{
    uint64_t term = raft_log_last_term(&r->log);
    return MUTANT(vote_for_shorter_log) || m->log_term > term ||
           (m->log_term == term && m->index >= raft_log_last(&r->log));
}

/* Stepped without regard to the term: a pre-vote changes nothing here. */
void raft_recv_pre_vote(struct raft *r, const struct raft_message *m, struct raft_effects *fx)
{
    if (m->context == RAFT_CONTEXT_POKE) {
        raft_recv_poke(r, m, fx);
        return;
    }
    raft_promise_void_by(r, m, fx);
    if (raft_hears_leader(r) && m->term >= r->term) {
        COVER("raft.pre_vote_ignored");
        if (r->role == RAFT_LEADER) raft_look_after(r, m->from);
        if (r->role == RAFT_FOLLOWER && raft_promise_holds(r)) raft_poke(r, fx);
        return;
    }
    bool may = m->term > r->term || (m->term == r->term && r->leader == 0 && (r->vote == 0 || r->vote == m->from));
    bool grant = may && !raft_recovering(r) && log_up_to_date(r, m);
    raft_send(r,
              (struct raft_message){.type = RAFT_MSG_PRE_VOTE_REPLY,
                                    .to = m->from,
                                    .term = grant ? m->term : 0, /* the asked one; a refusal tells ours */
                                    .reject = !grant},
              fx);
}

/* m->term == r->term. A learner votes too when asked: its configuration may be older than the candidate's, who alone decides
 * whose votes count. */
void raft_recv_vote(struct raft *r, const struct raft_message *m, struct raft_effects *fx)
{
    bool free = m->context == RAFT_CONTEXT_TRANSFER || !raft_withholds(r);
    bool may = r->vote == m->from || (r->vote == 0 && r->leader == 0 && free);
    bool grant = may && !raft_recovering(r) && log_up_to_date(r, m);
    if (grant) {
        if (r->role == RAFT_PRE_CANDIDATE) raft_follow(r, r->term, 0, fx);
        raft_set_term(r, r->term, m->from);
        raft_reset_election(r);
    }
    raft_send(r, (struct raft_message){.type = RAFT_MSG_VOTE_REPLY, .to = m->from, .reject = !grant}, fx);
}

void raft_recv_ballot(struct raft *r, const struct raft_message *m, struct raft_effects *fx)
{
    bool pre = m->type == RAFT_MSG_PRE_VOTE_REPLY;
    if (r->role != (pre ? RAFT_PRE_CANDIDATE : RAFT_CANDIDATE)) return;
    if (pre && !m->reject && m->term != r->term + 1) return; /* an answer to an older question */
    struct raft_progress *p = raft_peer(r, m->from);
    if (p == NULL || p->ballot != RAFT_BALLOT_NONE) return;
    p->ballot = m->reject ? RAFT_BALLOT_REFUSED : RAFT_BALLOT_GRANTED;
    count_ballots(r, fx);
}

/* --- transfer (thesis 3.10) --- */

/* Proposals are refused until it has worked or election_ms has passed, so that the target can catch up. */
void raft_transfer(struct raft *r, uint64_t to, struct raft_effects *fx)
{
    if (r->role != RAFT_LEADER || to == r->self.id || raft_peer(r, to) == NULL) return;
    if (!raft_config_is_voter(r->config, to) || raft_peer(r, to)->recovery_nonce != 0) return;
    r->transfer_to = to;
    r->transfer_sent = false;
    r->transfer_deadline_ms = r->now_ms + r->options->election_ms;
    r->append_due = true;
    raft_transfer_step(r, fx);
}

void raft_transfer_step(struct raft *r, struct raft_effects *fx)
{
    if (r->role != RAFT_LEADER || r->transfer_to == 0) return;
    const struct raft_progress *p = raft_peer(r, r->transfer_to);
    if (p == NULL || r->now_ms >= r->transfer_deadline_ms) {
        COVER("raft.transfer_given_up");
        r->transfer_to = 0;
        return;
    }
    if (r->transfer_sent || p->match < raft_log_last(&r->log)) return;
    r->transfer_sent = true;
    r->lease_void = true;
    raft_send(r, (struct raft_message){.type = RAFT_MSG_TIMEOUT_NOW, .to = p->id}, fx);
}

/* A transfer that was given up leaves the message behind that told its target to campaign in the next term: until that term has come nobody's
 * promise binds. Nothing is in flight whose fate would be in doubt, so it is ours, and then reads ask no quorum again and the group may sleep. */
void raft_end_doubt(struct raft *r, struct raft_effects *fx)
{
    if (!r->lease_void || r->role != RAFT_LEADER || r->transfer_to != 0 || r->options->support == NULL) return;
    if (MUTANT(doubt_outlives_transfer)) return;
    if (r->commit != raft_log_last(&r->log) || !raft_leader_ready(r)) return;
    if (raft_config_is_joint(r->config) || !raft_promotable(r) || raft_withholds(r)) return;
    COVER("raft.leads_anew");
    raft_follow(r, r->term, 0, fx);
    raft_campaign(r, true, fx); /* they hear a leader still, who is ourselves */
}
