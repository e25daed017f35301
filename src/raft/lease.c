/* A group under node-pair liveness (docs/liveness.md): the follower's promise, the leader's lease, and when a group may sleep.
 *
 * Promise. A follower that hears a leader which wants one, while its host supports the leader's node under grant g, promises:
 * no vote, no pre-vote and no candidacy against that leader for as long as g stands. Its replies carry g. The promise outlives
 * the follower's knowledge of the leader (a newer term may come from a candidate that nobody elects). It ends when g does, when
 * the leader itself campaigns in a later term or says that it wants none, and by the promise to the next leader.
 *
 * Lease. A voter backs the leader while the grant of its last reply in this term is the one under which its node supports ours.
 * Until the earliest end of support over some quorum of backers nobody else can be elected: every majority has one of them.
 * That holds unless the leader itself asked for an election (TIMEOUT_NOW), and in a configuration that still counts the leader.
 *
 * Sleep. When every follower whose node is awake has all, knows the commit and backs the leader, nothing is left that a message
 * of the group could change: the leader's deadline is never, and so is that of a follower bound by a promise. */
#include "base/assert.h"
#include "base/mutant.h"
#include "raft/lease_int.h"

/* --- the follower --- */

/* Nobody else's vote is asked for, so nobody else's leader can be hurt by ours. */
static bool raft_votes_alone(const struct raft *r)
{
    return r->config->voter_count == 1 && r->config->voters[0] == r->self.id && !raft_config_is_joint(r->config);
}

/* Votes that a former life gave away by promises are not given again before their time is up. */
bool raft_silent(const struct raft *r)
{
    return r->now_ms < r->self.silent_until_ms && !MUTANT(promise_forgotten) && !raft_votes_alone(r);
}

bool raft_promise_holds(const struct raft *r)
{
    const struct raft_support *s = r->options->support;
    return r->promise.to != 0 && s->given(r->self.support_ctx, r->promise.to, 0) == r->promise.grant;
}

/* There is a leader of a later term: the one that we promised ourselves to has no lease, or it could not have been elected. */
void raft_promise_end(struct raft *r)
{
    r->promise = (struct raft_promise){0};
}

/* Neither vote nor candidacy: while we are bound, or silent after a start. */
bool raft_withholds(const struct raft *r)
{
    return raft_silent(r) || (raft_promise_holds(r) && !MUTANT(vote_despite_promise));
}

/* m is an append or a heartbeat of our term's leader. One of an earlier life of its node, come late, binds us to nobody. */
void raft_promise(struct raft *r, const struct raft_message *m)
{
    const struct raft_support *s = r->options->support;
    if (s == NULL) return;
    if (m->term > r->promise.term) raft_promise_end(r);
    uint64_t grant = m->grant != 0 ? s->given(r->self.support_ctx, m->from, m->grant) : 0;
    if (grant != 0) {
        r->promise = (struct raft_promise){.to = m->from, .term = m->term, .grant = grant};
    } else if (r->promise.to == m->from) {
        raft_promise_end(r);
    }
}

/* The grant that our replies to the leader carry. */
uint64_t raft_promised_grant(const struct raft *r)
{
    bool to_leader = r->leader != 0 && r->promise.to == r->leader && r->promise.term == r->term;
    return to_leader && raft_promise_holds(r) ? r->promise.grant : 0;
}

/* The leader of our term, whom we followed by a promise, no longer has our support: that its messages come is not enough. */
bool raft_hears_in_vain(const struct raft *r, const struct raft_message *m)
{
    if (r->promise.to != m->from || r->promise.term != m->term || m->grant == 0) return false;
    return r->options->support->given(r->self.support_ctx, m->from, m->grant) == 0;
}

/* `from` leads in no term below `below`, now or ever. */
static void leads_no_more(struct raft *r, uint64_t from, uint64_t below, struct raft_effects *fx)
{
    if (r->promise.to != from || r->promise.term >= below) return;
    COVER("raft.promise_void");
    raft_promise_end(r);
    if (r->leader == from && r->role == RAFT_FOLLOWER) {
        raft_follow(r, r->term, 0, fx);
        r->heard_ms = 0;
    }
    if (r->role == RAFT_FOLLOWER && r->leader == 0) raft_release(r);
}

/* m is a (pre-)vote request. One that leads in a term never asks for a later one before that leadership has ended. */
void raft_promise_void_by(struct raft *r, const struct raft_message *m, struct raft_effects *fx)
{
    if (m->context != RAFT_CONTEXT_POKE) leads_no_more(r, m->from, m->term, fx);
}

/* Thousands of groups lose their leader at one moment, and their followers learn of it at almost the same: they take turns by
 * their place in the configuration, with a little chance on top that spreads the groups over several passes. */
static uint64_t turn(const struct raft *r, uint64_t without)
{
    uint64_t before = 0;
    for (unsigned i = 0; i < r->config->voter_count && r->config->voters[i] != r->self.id; i++) {
        if (r->config->voters[i] != without) before++;
    }
    return before;
}

/* After a restart of the whole cluster: the first in each configuration leads again, as leaders were spread. */
void raft_wake_after_silence(struct raft *r)
{
    uint64_t step = r->options->election_ms;
    uint64_t at = r->self.silent_until_ms + turn(r, 0) * step + raft_draw(r, step / 2 + 1);
    if (!raft_votes_alone(r)) r->election_deadline_ms = at;
}

void raft_release(struct raft *r)
{
    uint64_t step = r->options->heartbeat_ms;
    r->election_deadline_ms = r->now_ms + step / 4 + turn(r, r->leader) * step + raft_draw(r, step / 4 + 1);
    if (r->election_deadline_ms < r->self.silent_until_ms) r->election_deadline_ms = r->self.silent_until_ms;
}

void raft_released(struct raft *r)
{
    if (r->role != RAFT_FOLLOWER || r->leader == 0 || raft_promise_holds(r)) return;
    r->heard_ms = 0;
    raft_release(r);
}

/* Does the one that we promised ourselves to lead still? If so it looks after us, and learns our term if that is newer. If not
 * it tells us, unless it is a candidate: whoever is neither leader nor candidate will never lead in its term or an earlier one.
 * Asked when we no longer follow it, and when somebody else seems to miss a leader. */
void raft_poke(struct raft *r, struct raft_effects *fx)
{
    COVER("raft.poke");
    raft_send(r,
              (struct raft_message){.type = RAFT_MSG_PRE_VOTE,
                                    .to = r->promise.to,
                                    .term = r->term + 1,
                                    .context = RAFT_CONTEXT_POKE,
                                    .index = raft_log_last(&r->log),
                                    .log_term = raft_log_last_term(&r->log)},
              fx);
}

static void deny_leading(struct raft *r, uint64_t to, struct raft_effects *fx)
{
    if (r->role == RAFT_LEADER || r->role == RAFT_CANDIDATE) return;
    struct raft_message reply = {.type = RAFT_MSG_PRE_VOTE_REPLY, .to = to, .reject = true, .context = r->term};
    raft_send(r, reply, fx);
}

void raft_recv_poke(struct raft *r, const struct raft_message *m, struct raft_effects *fx)
{
    if (r->role == RAFT_LEADER) {
        raft_look_after(r, m->from);
    } else {
        deny_leading(r, m->from, fx);
    }
}

/* Its followers may have missed all that came after it led. It leads in no term that they know of, nor will it ever. */
bool raft_answer_for_destroyed(const struct raft_message *m, struct raft_message *answer)
{
    if (m->type != RAFT_MSG_PRE_VOTE || m->context != RAFT_CONTEXT_POKE || m->term < 2) return false;
    uint64_t theirs = m->term - 1;
    *answer = (struct raft_message){.type = RAFT_MSG_PRE_VOTE_REPLY,
                                    .from = m->to,
                                    .to = m->from,
                                    .term = theirs,
                                    .reject = true,
                                    .context = theirs};
    return true;
}

/* An answer to a leader: its sender may be bound to us by messages that came late. */
void raft_recv_promise(struct raft *r, const struct raft_message *m, struct raft_effects *fx)
{
    if (m->grant != 0) deny_leading(r, m->from, fx);
}

void raft_recv_poke_reply(struct raft *r, const struct raft_message *m, struct raft_effects *fx)
{
    if (m->reject && m->context != 0) leads_no_more(r, m->from, m->context + 1, fx);
}

/* --- the leader --- */

/* What our messages ask with: the life that a promise is to be made to, 0: none is wanted. */
uint64_t raft_promise_wanted(const struct raft *r)
{
    return raft_wants_promise(r) ? r->options->support->life : 0;
}

bool raft_wants_promise(const struct raft *r)
{
    return r->options->support != NULL && (!r->lease_void || MUTANT(lease_outlives_transfer)) &&
           (raft_config_is_voter(r->config, r->self.id) || MUTANT(lease_outlives_removal));
}

/* One that has lost durable data may have given its vote away before it promised: it backs nobody until it is mended. */
static bool is_backed_by(const struct raft *r, const struct raft_progress *p, uint64_t *until_ns)
{
    const struct raft_support *s = r->options->support;
    return s != NULL && p->grant != 0 && (p->recovery_nonce == 0 || MUTANT(recovering_backs)) &&
           s->held(r->self.support_ctx, p->id, until_ns) == p->grant;
}

bool raft_backed_by(const struct raft *r, const struct raft_progress *p)
{
    uint64_t until;
    return is_backed_by(r, p, &until);
}

static uint64_t backed_until(const void *ctx, uint64_t id)
{
    const struct raft *r = ctx;
    if (id == r->self.id) return RAFT_NEVER;
    const struct raft_progress *p = raft_peer(r, id);
    uint64_t until = 0;
    return p != NULL && is_backed_by(r, p, &until) ? until : 0;
}

uint64_t raft_lease_until_ns(const struct raft *r)
{
    if (!raft_leader_ready(r) || !raft_wants_promise(r)) return 0;
    return raft_config_quorum(r->config, backed_until, r);
}

static uint64_t backs(const void *ctx, uint64_t id)
{
    const struct raft *r = ctx;
    const struct raft_progress *p = raft_peer(r, id);
    return id == r->self.id || (p != NULL && raft_backed_by(r, p)) ? 1 : 0;
}

static bool peer_asleep(const struct raft *r, const struct raft_progress *p)
{
    uint64_t until;
    if (r->options->support->held(r->self.support_ctx, p->id, &until) == 0) return true; /* its node wakes us */
    bool has_all = p->state == RAFT_REPLICATE && p->match == raft_log_last(&r->log) && p->commit_known == r->commit;
    return has_all && raft_backed_by(r, p);
}

/* The cheap conditions come first: a busy group asks this in each pass. */
bool raft_leader_asleep(const struct raft *r)
{
    if (r->commit != raft_log_last(&r->log) || r->append_due || r->news_ms != 0 || r->read_count > 0 ||
        r->transfer_to != 0)
        return false;
    if (!raft_wants_promise(r) || raft_config_is_joint(r->config) || !raft_leader_ready(r)) return false;
    for (size_t i = 0; i < r->peer_count; i++) {
        if (r->peers[i].id != r->self.id && !peer_asleep(r, &r->peers[i])) return false;
    }
    return raft_config_quorum(r->config, backs, r) == 1;
}

void raft_note_backed(struct raft *r)
{
    if (raft_wants_promise(r) && raft_config_quorum(r->config, backs, r) == 1) r->backed_ms = r->now_ms;
}

/* One that backed a group at rest was heard of as long as its node was, though no message of the group has come since. What was promised
 * under a former grant is over. */
void raft_support_changed(struct raft *r, uint64_t id)
{
    const struct raft_support *s = r->options->support;
    struct raft_progress *p = r->role == RAFT_LEADER ? raft_peer(r, id) : NULL;
    uint64_t until;
    if (p == NULL) return;
    r->heartbeat_deadline_ms = r->now_ms;
    if (r->backed_ms != 0) r->backed_ms = r->now_ms;
    uint64_t held = s->held(r->self.support_ctx, id, &until);
    if (held != 0 && held != p->grant) p->grant = 0;
    bool lapsed = held == 0 && p->grant != 0 && !MUTANT(lapse_ends_rest);
    if (lapsed && p->heard_ms + s->long_ms < r->now_ms) p->heard_ms = r->now_ms - s->long_ms;
}

/* A follower campaigns, or doubts that we lead: no sleep before it has answered a heartbeat. */
void raft_look_after(struct raft *r, uint64_t id)
{
    struct raft_progress *p = raft_peer(r, id);
    if (p == NULL) return;
    p->commit_known = 0;
    r->heartbeat_deadline_ms = r->now_ms;
}
