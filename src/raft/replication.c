/* The leader's side: its own log, appends and heartbeats out, acknowledgements in, commit, the end of a joint configuration.
 *
 * Messages with entries leave only from raft_flush, at the end of the host's pass: they borrow from the log, and a pass with
 * many proposals or acknowledgements makes one append per follower. Steps set append_due and nothing more. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "raft/lease_int.h"

#define PROBE_MAX_BYTES (16u << 10)

static struct raft_progress *self_progress(const struct raft *r)
{
    struct raft_progress *p = raft_peer(r, r->self.id);
    ASSERT(p != NULL);
    return p;
}

/* --- our own log --- */

uint64_t raft_append_own(struct raft *r, enum raft_entry_type type, struct slice data)
{
    ASSERT(r->role == RAFT_LEADER);
    uint64_t index = raft_log_last(&r->log) + 1;
    struct raft_entry e = {.index = index, .term = r->term, .type = type, .data = data};
    raft_log_append(&r->log, &e);
    raft_note_dirty(r, index);
    self_progress(r)->next = index + 1;
    r->uncommitted_bytes += data.size;
    r->append_due = true;
    /* Woken from sleep: this append tells what a heartbeat would. */
    uint64_t beat = r->options->heartbeat_ms;
    if (r->heartbeat_deadline_ms + beat <= r->now_ms) r->heartbeat_deadline_ms = r->now_ms + beat;
    return index;
}

void raft_append_config(struct raft *r, const struct raft_config *c, struct slice note)
{
    ASSERT(raft_config_is_valid(c));
    struct buf b;
    buf_init(&b, 4 + 8 * RAFT_MEMBERS_MAX + RAFT_NOTE_BYTES_MAX);
    raft_config_encode(c, note, &b);
    ASSERT(!b.overflow);
    uint64_t index = raft_append_own(r, RAFT_ENTRY_CONFIG, buf_slice(&b));
    buf_free(&b);
    raft_config_enter(r, c, index);
}

/* --- out --- */

/* A probe may be in vain: the logs part before it, or nobody is there to take it, again and again. Once it is answered all the rest streams. */
static uint64_t append_max_bytes(const struct raft *r, const struct raft_progress *p)
{
    uint64_t max = r->options->append_max_bytes;
    return p->state == RAFT_PROBE && max > PROBE_MAX_BYTES ? PROBE_MAX_BYTES : max;
}

static void send_append(struct raft *r, struct raft_progress *p, bool with_entries, uint64_t context,
                        struct raft_effects *fx)
{
    ASSERT(p->next > r->log.base_index);
    uint64_t before = p->next - 1, bytes = 0;
    size_t count = 0;
    if (with_entries) count = raft_log_run(&r->log, p->next, append_max_bytes(r, p), &bytes);
    uint64_t last = before + count;
    uint64_t commit = r->commit < last ? r->commit : last;
    raft_send(r,
              (struct raft_message){.type = RAFT_MSG_APPEND,
                                    .to = p->id,
                                    .index = before,
                                    .log_term = raft_log_term(&r->log, before),
                                    .commit = commit,
                                    .context = context,
                                    .grant = raft_promise_wanted(r),
                                    .entries = count > 0 ? raft_log_at(&r->log, p->next) : NULL,
                                    .entry_count = count},
              fx);
    if (p->state == RAFT_PROBE) p->paused = true;
    if (count > 0) raft_progress_sent(p, last, bytes);
    if (p->state == RAFT_REPLICATE && commit > p->commit_sent) p->commit_sent = commit;
}

static void want_snapshot(struct raft_progress *p, struct raft_effects *fx)
{
    if (!p->heard) return; /* nobody there: a heartbeat's reply comes back here */
    COVER("raft.snapshot_wanted");
    p->blank = false; /* it says so again if the snapshot does not get there */
    raft_progress_snapshot(p);
    raft_fx_snapshot(fx, p->id);
}

/* More has committed of what it was sent than it has been told. */
static bool has_news(const struct raft *r, const struct raft_progress *p)
{
    uint64_t commit = r->commit < p->next - 1 ? r->commit : p->next - 1;
    return p->state == RAFT_REPLICATE && p->commit_sent < commit;
}

static void send_to(struct raft *r, struct raft_progress *p, bool news_due, struct raft_effects *fx)
{
    if (p->state == RAFT_SNAPSHOT || p->paused) return;
    if (p->blank || p->next <= r->log.base_index) {
        want_snapshot(p, fx);
        return;
    }
    if (p->state == RAFT_PROBE) {
        send_append(r, p, true, 0, fx);
        return;
    }
    bool sent = false;
    while (p->next <= raft_log_last(&r->log) && raft_progress_window_open(p, r->options)) {
        send_append(r, p, true, 0, fx);
        sent = true;
    }
    if (!sent && (p->nudge || (news_due && has_news(r, p)))) {
        send_append(r, p, false, p->nudge ? 0 : RAFT_CONTEXT_NEWS, fx);
    }
    p->nudge = false;
}

/* Under load the next entries tell of the last ones' commit: a message of its own for each would cost every follower a wake-up and a
 * pass. So it waits a little for them. */
void raft_send_appends(struct raft *r, struct raft_effects *fx)
{
    if (r->role != RAFT_LEADER || !r->append_due) return;
    bool due = r->now_ms >= r->news_ms, wait = false;
    r->append_due = false;
    for (size_t i = 0; i < r->peer_count; i++) {
        if (r->peers[i].id == r->self.id) continue;
        send_to(r, &r->peers[i], due, fx);
        wait = wait || has_news(r, &r->peers[i]);
    }
    if (due || !wait) r->news_ms = 0;
}

/* The commit index is capped to what the follower is known to have: it need not look at its log. Each heartbeat carries the
 * newest read round, and so confirms all rounds that began before it left. */
void raft_send_heartbeats(struct raft *r, struct raft_effects *fx)
{
    ASSERT(r->role == RAFT_LEADER);
    r->heartbeat_deadline_ms = r->now_ms + r->options->heartbeat_ms;
    for (size_t i = 0; i < r->peer_count; i++) {
        struct raft_progress *p = &r->peers[i];
        if (p->id == r->self.id) continue;
        raft_progress_idle(p);
        raft_send(r,
                  (struct raft_message){.type = RAFT_MSG_HEARTBEAT,
                                        .to = p->id,
                                        .commit = r->commit < p->match || MUTANT(heartbeat_commits_unknown) ? r->commit
                                                                                                            : p->match,
                                        .context = r->read_round,
                                        .grant = raft_promise_wanted(r)},
                  fx);
    }
}

/* --- in --- */

static struct raft_progress *hear(struct raft *r, const struct raft_message *m)
{
    if (r->role != RAFT_LEADER || m->from == r->self.id) return NULL;
    struct raft_progress *p = raft_peer(r, m->from);
    if (p == NULL) return NULL;
    p->heard_ms = r->now_ms;
    p->heard = true;
    if (m->grant != 0 || m->type == RAFT_MSG_HEARTBEAT_REPLY) p->grant = m->grant;
    if (r->backed_ms == 0) raft_note_backed(r);
    return p;
}

/* With many conflicting entries per term, two hints skip a term at a time from either side (etcd's raft, "hint by term"). */
static uint64_t meeting_point(const struct raft *r, const struct raft_message *m)
{
    return m->hint_term > 0 ? raft_log_meet(&r->log, m->hint_index, m->hint_term) : m->hint_index;
}

void raft_recv_append_reply(struct raft *r, const struct raft_message *m)
{
    struct raft_progress *p = hear(r, m);
    if (p == NULL) return;
    bool counts = raft_recovery_note(r, p, m);
    if (!counts && !m->reject) {
        raft_recovery_go_on(r, p, m->index);
        return;
    }
    if (m->reject && m->hint_index == RAFT_HINT_BLANK) {
        COVER("raft.blank_follower");
        if (p->state != RAFT_SNAPSHOT) p->blank = r->append_due = true;
        return;
    }
    if (m->reject) { /* also of a life that does not count: it only says where to go on */
        if (raft_progress_refused(p, m->index, meeting_point(r, m))) r->append_due = true;
        return;
    }
    if (m->index > raft_log_last(&r->log)) {
        COVER("raft.ack_beyond_log");
        return;
    }
    if (p->state == RAFT_SNAPSHOT) {
        if (m->index < r->log.base_index) return;
        raft_progress_probe(p, m->index + 1);
    }
    raft_progress_acked(p, m->index);
    r->append_due = true;
}

void raft_recv_heartbeat_reply(struct raft *r, const struct raft_message *m)
{
    struct raft_progress *p = hear(r, m);
    if (p == NULL) return;
    bool counts = raft_recovery_note(r, p, m);
    if (counts && m->context > p->read_acked && m->context <= r->read_round) p->read_acked = m->context;
    if (!MUTANT(probe_never_resumes)) p->paused = false;
    if (m->commit > p->commit_known && m->commit <= r->commit) p->commit_known = m->commit;
    if (p->state == RAFT_SNAPSHOT) return;
    if (p->state == RAFT_REPLICATE && (!counts || p->match < raft_log_last(&r->log))) p->nudge = true;
    if (p->state == RAFT_PROBE || p->nudge) r->append_due = true;
}

void raft_snapshot_sent(struct raft *r, uint64_t to, uint64_t index, bool ok)
{
    struct raft_progress *p = r->role == RAFT_LEADER ? raft_peer(r, to) : NULL;
    if (p == NULL || p->state != RAFT_SNAPSHOT) return;
    if (ok && index > raft_log_last(&r->log)) ok = false; /* not ours: an earlier term's transfer */
    raft_progress_probe(p, ok ? index + 1 : p->match + 1);
    p->paused = !ok; /* after a failure the next heartbeat's reply starts the next attempt */
    r->append_due = true;
}

void raft_unreachable(struct raft *r, uint64_t to)
{
    struct raft_progress *p = r->role == RAFT_LEADER ? raft_peer(r, to) : NULL;
    if (p == NULL || p->state != RAFT_REPLICATE) return;
    raft_progress_probe(p, p->match + 1);
    p->paused = true;
}

/* --- commit --- */

void raft_commit_to(struct raft *r, uint64_t index)
{
    if (index <= r->commit) return;
    ASSERT(index <= raft_log_last(&r->log));
    if (r->role == RAFT_LEADER) {
        for (uint64_t i = r->commit + 1; i <= index; i++) r->uncommitted_bytes -= raft_log_at(&r->log, i)->data.size;
        r->append_due = true;
        if (r->news_ms == 0) r->news_ms = r->now_ms + r->options->news_ms;
    }
    r->commit = index;
    r->commit_dirty = true;
}

static uint64_t matched(const void *ctx, uint64_t id)
{
    const struct raft_progress *p = raft_peer(ctx, id);
    return p == NULL || p->recovery_nonce != 0 ? 0 : p->match;
}

/* Only an entry of the own term commits by counting; all before it commit with it (thesis 3.6.2, figure 3.7). */
static void advance_commit(struct raft *r)
{
    self_progress(r)->match = MUTANT(leader_counts_unsynced) ? raft_log_last(&r->log) : r->durable.index;
    uint64_t index = raft_config_quorum(r->config, matched, r);
    if (index > r->commit && (raft_log_term(&r->log, index) == r->term || MUTANT(commit_of_older_term))) {
        if (index > r->durable.index) COVER("raft.commit_before_own_sync");
        raft_commit_to(r, index);
    }
}

/* The joint configuration has committed: propose the new one alone (thesis 4.3). */
static void leave_joint(struct raft *r)
{
    COVER("raft.leave_joint");
    struct raft_config next = *r->config;
    next.old_voter_count = 0;
    memset(next.old_voters, 0, sizeof(next.old_voters));
    raft_append_config(r, &next, SLICE_EMPTY);
}

/* The configuration without us has committed. One that has everything takes over at once, so that nobody waits for a timeout. */
static void leave_office(struct raft *r, struct raft_effects *fx)
{
    COVER("raft.leader_removed");
    const struct raft_progress *heir = NULL;
    for (size_t i = 0; i < r->peer_count; i++) {
        const struct raft_progress *p = &r->peers[i];
        if (!raft_config_is_voter(r->config, p->id) || p->recovery_nonce != 0) continue;
        if (heir == NULL || p->match > heir->match) heir = p;
    }
    if (heir != NULL && heir->match >= r->config_index) {
        r->lease_void = true;
        raft_send(r, (struct raft_message){.type = RAFT_MSG_TIMEOUT_NOW, .to = heir->id}, fx);
    }
    raft_follow(r, r->term, 0, fx);
}

/* After every step: what follows from the acknowledgements and marks that have come. */
void raft_leader_settle(struct raft *r, struct raft_effects *fx)
{
    if (r->role != RAFT_LEADER) return;
    advance_commit(r);
    raft_recovery_settle(r, fx);
    if ((r->commit >= r->config_index || MUTANT(joint_left_early)) && raft_leader_ready(r)) {
        if (raft_config_is_joint(r->config)) {
            leave_joint(r);
        } else if (!raft_config_is_voter(r->config, r->self.id)) {
            leave_office(r, fx);
            return;
        }
    }
    raft_transfer_step(r, fx);
    raft_end_doubt(r, fx);
}
