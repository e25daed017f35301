/* What depends on the disk, and the one door to the effects.
 *
 * Two rules hold back what must not leave before a sync:
 *   - A message leaves only when the term that it carries, and the vote of that term, are durable (raft_send). Until then it
 *     is held; a newer term makes it void. A candidate's own vote waits likewise (raft_count_own_vote).
 *   - An index is acknowledged, to the leader or by the leader to itself, only up to durable.index.
 *
 * Marks and truncation. Batches become durable in order, so mark s covers all that was handed out up to it. Say entries
 * 5..7 of term 2 leave in batch 1; a leader of term 3 replaces 5.. in batch 2; a leader of term 4, who has the old ones,
 * replaces them back in batch 3. Then mark 1 comes: index and term fit what is in memory, yet once batch 2 is on disk a crash
 * leaves neither 6 nor 7. So a mark older than the newest truncation counts only below the lowest point at which the log was
 * cut since; a mark that is not older counts in full, for since then the log has only grown. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "raft/lease_int.h"

#define GROW_MIN 8u
#define HELD_MIN 2u

bool raft_hard_durable(const struct raft *r)
{
    return r->durable.seq_done >= r->durable.hard_seq || MUTANT(speaks_before_term_saved);
}

void raft_set_term(struct raft *r, uint64_t term, uint64_t vote)
{
    ASSERT(term >= r->term);
    if (term == r->term) ASSERT(r->vote == 0 || r->vote == vote);
    if (term == r->term && vote == r->vote) return;
    if (term > r->term) r->held_count = 0; /* what was held carries an older term */
    r->term = term;
    r->vote = vote;
    r->durable.hard_seq = r->durable.seq + 1;
    r->hard_dirty = true;
}

void raft_note_dirty(struct raft *r, uint64_t from)
{
    ASSERT(from > r->log.base_index);
    if (r->durable.dirty_from == 0 || from < r->durable.dirty_from) r->durable.dirty_from = from;
}

void raft_note_truncated(struct raft *r, uint64_t from)
{
    struct raft_durable *d = &r->durable;
    if (d->index >= from) d->index = from - 1;
    d->trunc_seq = d->seq + 1;
    if (from < d->trunc_from) d->trunc_from = from;
}

void raft_persisted(struct raft *r, const struct raft_persist_mark *mark)
{
    struct raft_durable *d = &r->durable;
    ASSERT(mark->seq <= d->seq);
    if (mark->seq <= d->seq_done) return; /* the host may report several marks of one batch */
    d->seq_done = mark->seq;
    uint64_t upto = mark->index;
    if (d->seq_done >= d->trunc_seq) {
        d->trunc_from = RAFT_NEVER;
        ASSERT(upto <= raft_log_last(&r->log));
        if (upto >= r->log.base_index) ASSERT(raft_log_term(&r->log, upto) == mark->index_term);
    } else {
        COVER("raft.mark_before_truncation");
        if (upto >= d->trunc_from) upto = d->trunc_from - 1;
    }
    if (upto > d->index) d->index = upto;
    raft_recovery_persisted(r);
}

/* --- messages --- */

void raft_send_now(struct raft *r, const struct raft_message *m, struct raft_effects *fx)
{
    ASSERT(m->to != 0);
    ASSERT(m->to != r->self.id);
    ASSERT(raft_hard_durable(r));
    if (fx->message_count == fx->message_capacity) {
        fx->message_capacity = fx->message_capacity == 0 ? GROW_MIN : fx->message_capacity * 2;
        fx->messages = mem_realloc(fx->messages, fx->message_capacity * sizeof(*fx->messages));
    }
    fx->messages[fx->message_count++] = *m;
}

static void hold(struct raft *r, const struct raft_message *m)
{
    ASSERT(m->entry_count == 0);
    if (r->held_count == RAFT_HELD_MAX) {
        COVER("raft.held_full"); /* as if the network had lost it */
        return;
    }
    if (r->held_count == r->held_capacity) {
        r->held_capacity = r->held_capacity == 0 ? HELD_MIN : r->held_capacity * 2;
        r->held = mem_realloc(r->held, r->held_capacity * sizeof(*r->held));
    }
    r->held[r->held_count++] = *m;
}

void raft_send(struct raft *r, struct raft_message m, struct raft_effects *fx)
{
    m.from = r->self.id;
    if (m.term == 0) m.term = r->term;
    raft_recovery_mark(r, &m);
    if (raft_hard_durable(r)) {
        raft_send_now(r, &m, fx);
    } else {
        hold(r, &m);
    }
}

void raft_release_held(struct raft *r, struct raft_effects *fx)
{
    if (r->held_capacity == 0 || !raft_hard_durable(r)) return;
    for (size_t i = 0; i < r->held_count; i++) raft_send_now(r, &r->held[i], fx);
    mem_free(r->held);
    r->held = NULL;
    r->held_count = r->held_capacity = 0;
}

/* One acknowledgement per mark, however many appends came since the last. What is durable in part is acknowledged in part. */
void raft_send_ack(struct raft *r, struct raft_effects *fx)
{
    if (!r->ack_due || r->role != RAFT_FOLLOWER || r->leader == 0 || !raft_hard_durable(r)) return;
    uint64_t upto = r->ack_match < r->durable.index || MUTANT(ack_before_sync) ? r->ack_match : r->durable.index;
    if (upto < r->ack_match && upto <= r->ack_sent) return;
    raft_send(r,
              (struct raft_message){
                  .type = RAFT_MSG_APPEND_REPLY, .to = r->leader, .index = upto, .grant = raft_promised_grant(r)},
              fx);
    if (upto > r->ack_sent) r->ack_sent = upto;
    r->ack_due = upto < r->ack_match;
}

/* --- effects --- */

void raft_effects_init(struct raft_effects *fx)
{
    memset(fx, 0, sizeof(*fx));
}

void raft_effects_clear(struct raft_effects *fx)
{
    memset(fx, 0, offsetof(struct raft_effects, messages)); /* the lists keep their memory */
    fx->message_count = fx->read_count = fx->snapshot_count = 0;
}

void raft_effects_free(struct raft_effects *fx)
{
    mem_free(fx->messages);
    mem_free(fx->reads);
    mem_free(fx->snapshots);
    raft_effects_init(fx);
}

void raft_fx_read(struct raft_effects *fx, uint64_t context, uint64_t index, enum status status)
{
    if (fx->read_count == fx->read_capacity) {
        fx->read_capacity = fx->read_capacity == 0 ? GROW_MIN : fx->read_capacity * 2;
        fx->reads = mem_realloc(fx->reads, fx->read_capacity * sizeof(*fx->reads));
    }
    fx->reads[fx->read_count++] = (struct raft_read_ready){.context = context, .index = index, .status = status};
}

void raft_fx_snapshot(struct raft_effects *fx, uint64_t id)
{
    if (fx->snapshot_count == fx->snapshot_capacity) {
        fx->snapshot_capacity = fx->snapshot_capacity == 0 ? GROW_MIN : fx->snapshot_capacity * 2;
        fx->snapshots = mem_realloc(fx->snapshots, fx->snapshot_capacity * sizeof(*fx->snapshots));
    }
    fx->snapshots[fx->snapshot_count++] = id;
}

static void report_persist(struct raft *r, struct raft_effects *fx)
{
    struct raft_durable *d = &r->durable;
    uint64_t last = raft_log_last(&r->log);
    if (r->hard_dirty || r->commit_dirty) fx->persist_hard_state = true;
    bool recovered = r->recovery == RAFT_RECOVERED && r->recovery_seq > d->seq;
    bool sync = r->hard_dirty || d->dirty_from > 0 || d->trunc_seq > d->seq || recovered;
    if (recovered) fx->recovered = true;
    if (d->dirty_from > 0) {
        ASSERT(d->dirty_from <= last);
        if (fx->append_from == 0 || d->dirty_from < fx->append_from) fx->append_from = d->dirty_from;
        fx->append_to = last;
    }
    r->hard_dirty = r->commit_dirty = false;
    d->dirty_from = 0;
    if (!sync) return;
    fx->must_sync = true;
    fx->mark = (struct raft_persist_mark){
        .seq = ++d->seq, .term = r->term, .vote = r->vote, .index = last, .index_term = raft_log_last_term(&r->log)};
}

/* End of every call that has effects: what changed since the last one. */
void raft_report(struct raft *r, struct raft_effects *fx)
{
    report_persist(r, fx);
    if (r->commit > r->durable.commit_told) {
        fx->commit_to = r->durable.commit_told = r->commit;
    }
    if (r->role != r->told_role || r->leader != r->told_leader || r->config_changed) fx->state_changed = true;
    r->told_role = r->role;
    r->told_leader = r->leader;
    r->config_changed = false;
}
