/* A replica whose log lost what was durable. It may have forgotten entries that it acknowledged, and votes. Until it is mended
 * it counts as one that is down: nothing that it says makes a majority.
 *
 *                a leader's RECOVERED                      which is durable
 *   RECOVERING --------------------------> RECOVERED ---------------------------> NORMAL
 *     no vote, no pre-vote, no campaign,     as before
 *     no acknowledgement that counts
 *
 * What it answers to appends and heartbeats bears a number drawn in this life, its nonce. The leader that hears of a nonce for
 * the first time counts the replica in no majority any more (commit, reads, CheckQuorum) and proposes an entry, the fence.
 * When the fence has committed by the others alone and lies durably here, everything before it being the leader's too, the
 * leader says so. Then whatever was forgotten can do no harm:
 *   - An entry that was acknowledged and committed is in the leader's log: the majority that elected it, or the one that
 *     committed the fence, has a member other than this one in common with the entry's. It lies before the fence.
 *   - A leader of a later term that had our vote cannot exist: its majority and the fence's share a member other than us,
 *     which would not have acknowledged the fence.
 *   - A candidate of a later term that still holds our vote cannot win any more: it needs one of those that acknowledged the
 *     fence; its log was fixed before the fence was proposed, and is not up to date for them.
 *   - In the leader's own term our vote counts as given to it.
 * A read index would not do in place of the fence: it leaves no trace in the logs of those who confirmed it. */
#include "base/assert.h"
#include "base/mutant.h"
#include "raft/raft_int.h"

bool raft_recovering(const struct raft *r)
{
    return r->recovery != RAFT_NORMAL;
}

void raft_recovery_begin(struct raft *r)
{
    r->recovery = RAFT_RECOVERING;
    r->recovery_nonce = raft_draw(r, UINT64_MAX) | 1;
}

/* What leaves a recovering replica says so. */
void raft_recovery_mark(const struct raft *r, struct raft_message *m)
{
    if (r->recovery == RAFT_NORMAL) return;
    if (m->type == RAFT_MSG_APPEND_REPLY) m->context = r->recovery_nonce;
    if (m->type != RAFT_MSG_HEARTBEAT_REPLY) return;
    m->reject = true;
    m->context = 0;
    m->hint_index = r->recovery_nonce;
}

void raft_recovery_hear(struct raft *r, uint64_t leader)
{
    if (r->recovery != RAFT_NORMAL && r->vote == 0) raft_set_term(r, r->term, leader);
}

/* --- the leader --- */

bool raft_recovery_note(struct raft *r, struct raft_progress *p, const struct raft_message *m)
{
    ASSERT(r->role == RAFT_LEADER);
    uint64_t nonce = m->type == RAFT_MSG_APPEND_REPLY ? m->context : m->reject ? m->hint_index : 0;
    if (nonce == 0 && p->recovery_nonce == 0) return true;
    if (nonce == 0) {
        /* From an earlier life, unless it has the fence, which no earlier life can have. */
        bool mended = m->type == RAFT_MSG_APPEND_REPLY && !m->reject && m->index >= p->recovery_fence;
        if (!mended) return false;
        COVER("raft.recovery_counted_again");
        p->recovery_nonce = 0;
        return true;
    }
    if (p->recovery_nonce == nonce) {
        p->recovery_told = false; /* it still asks */
        return true;
    }
    COVER("raft.recovery_fence");
    p->recovery_nonce = nonce;
    p->recovery_told = false;
    p->match = p->commit_sent = p->read_acked = 0; /* of an earlier life */
    if (p->state != RAFT_SNAPSHOT) raft_progress_probe(p, p->next);
    p->recovery_fence = raft_append_own(r, RAFT_ENTRY_NOOP, SLICE_EMPTY);
    return true;
}

/* An acknowledgement that does not count says where to go on all the same: if it is wrong the next append is refused. Without
 * that, one that was mended but was called recovering again by a message that came late would never get to its fence. */
void raft_recovery_go_on(struct raft *r, struct raft_progress *p, uint64_t index)
{
    if (p->state == RAFT_SNAPSHOT || index < p->match || index > raft_log_last(&r->log)) return;
    COVER("raft.recovery_go_on");
    raft_progress_probe(p, index + 1);
    r->append_due = true;
}

void raft_recovery_settle(struct raft *r, struct raft_effects *fx)
{
    for (size_t i = 0; i < r->peer_count; i++) {
        struct raft_progress *p = &r->peers[i];
        if (p->recovery_nonce == 0 || p->recovery_told) continue;
        if ((r->commit < p->recovery_fence && !MUTANT(fence_not_awaited)) || p->match < p->recovery_fence) continue;
        p->recovery_told = true;
        raft_send(
            r,
            (struct raft_message){
                .type = RAFT_MSG_RECOVERED, .to = p->id, .index = p->recovery_fence, .context = p->recovery_nonce},
            fx);
    }
}

/* A configuration that needs those that do not count would never commit, and they would never be mended. */
bool raft_recovery_leaves_majority(const struct raft *r, const struct raft_config *c)
{
    unsigned sound = 0;
    for (unsigned i = 0; i < c->voter_count; i++) {
        const struct raft_progress *p = raft_peer(r, c->voters[i]);
        if (p == NULL || p->recovery_nonce == 0) sound++;
    }
    return sound > c->voter_count / 2;
}

/* --- the replica --- */

/* m->term == r->term. The log equals the leader's up to ack_match in this term. */
void raft_recv_recovered(struct raft *r, const struct raft_message *m)
{
    if (r->recovery != RAFT_RECOVERING || m->context != r->recovery_nonce || m->from != r->leader) return;
    if (m->index > r->ack_match || m->index > r->durable.index) return;
    COVER("raft.recovered");
    raft_commit_to(r, m->index);
    r->recovery = RAFT_RECOVERED;
    r->recovery_seq = r->durable.seq + 1;
}

void raft_recovery_persisted(struct raft *r)
{
    if (r->recovery != RAFT_RECOVERED || r->durable.seq_done < r->recovery_seq) return;
    r->recovery = RAFT_NORMAL;
    r->ack_due = r->role == RAFT_FOLLOWER && r->leader != 0; /* the leader counts us when it hears of it */
}
