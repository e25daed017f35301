/* The follower's side: appends and heartbeats from the leader of the term. An append is acknowledged when what it brought is
 * durable (raft_send_ack), refused at once. */
#include "base/assert.h"
#include "raft/lease_int.h"

/* m->term == r->term, and only the term's leader sends such messages. */
static void hear_leader(struct raft *r, const struct raft_message *m, struct raft_effects *fx)
{
    raft_follow(r, r->term, m->from, fx);
    raft_recovery_hear(r, m->from);
    if (raft_hears_in_vain(r, m)) {
        COVER("raft.heard_in_vain");
        return;
    }
    r->heard_ms = r->now_ms;
    raft_reset_election(r);
}

/* Whatever a peer sends, the log stays a log. */
static bool append_well_formed(const struct raft_message *m)
{
    uint64_t term = m->log_term;
    if (m->index > UINT64_MAX - m->entry_count - 1 || (m->index == 0) != (m->log_term == 0)) return false;
    for (size_t i = 0; i < m->entry_count; i++) {
        const struct raft_entry *e = &m->entries[i];
        if (e->index != m->index + 1 + i || e->term < term || e->term > m->term || e->term == 0) return false;
        term = e->term;
    }
    return term <= m->term && raft_config_entries_valid(m);
}

static void refuse(struct raft *r, const struct raft_message *m, struct raft_effects *fx)
{
    if (r->blank) {
        raft_send(r,
                  (struct raft_message){.type = RAFT_MSG_APPEND_REPLY,
                                        .to = m->from,
                                        .reject = true,
                                        .index = m->index,
                                        .hint_index = RAFT_HINT_BLANK},
                  fx);
        return;
    }
    uint64_t hint = raft_log_meet(&r->log, m->index, m->log_term);
    raft_send(r,
              (struct raft_message){.type = RAFT_MSG_APPEND_REPLY,
                                    .to = m->from,
                                    .reject = true,
                                    .index = m->index,
                                    .hint_index = hint,
                                    .hint_term = raft_log_term(&r->log, hint)},
              fx);
}

static void truncate_log(struct raft *r, uint64_t from)
{
    ASSERT(from > r->commit);    /* state machine safety */
    ASSERT(from > r->ack_match); /* this leader's own entries do not contradict each other */
    COVER("raft.truncate");
    raft_log_truncate(&r->log, from);
    raft_note_truncated(r, from);
    if (r->config_index >= from) {
        COVER("raft.config_rolled_back");
        raft_config_reload(r);
    }
}

/* Takes over what is not here yet. An entry that is here stays as it is, even if the message ends before our log does: it may
 * be an old message, overtaken by later ones (thesis 3.5). */
static void take_entries(struct raft *r, const struct raft_message *m)
{
    bool config = false;
    for (size_t i = 0; i < m->entry_count; i++) {
        const struct raft_entry *e = &m->entries[i];
        if (e->index <= r->log.base_index) continue;
        if (e->index <= raft_log_last(&r->log)) {
            if (raft_log_term(&r->log, e->index) == e->term) continue;
            truncate_log(r, e->index);
        }
        raft_log_append(&r->log, e);
        raft_note_dirty(r, e->index);
        if (e->type == RAFT_ENTRY_CONFIG) config = true;
    }
    if (config) raft_config_reload(r);
}

void raft_recv_append(struct raft *r, const struct raft_message *m, struct raft_effects *fx)
{
    if (!append_well_formed(m)) {
        COVER("raft.append_malformed");
        return;
    }
    hear_leader(r, m, fx);
    raft_promise(r, m);
    /* What is committed here is in every later leader's log (thesis 3.6.3), even where we no longer know its term. */
    bool follows = m->index <= r->commit ||
                   (m->index <= raft_log_last(&r->log) && raft_log_term(&r->log, m->index) == m->log_term);
    if (!follows || r->blank) {
        refuse(r, m, fx);
        return;
    }
    take_entries(r, m);
    uint64_t match = m->index + m->entry_count;
    raft_commit_to(r, m->commit < match ? m->commit : match);
    if (match < r->commit) match = r->commit;
    if (match > r->ack_match) r->ack_match = match;
    bool news = m->context == RAFT_CONTEXT_NEWS && m->entry_count == 0 && match <= r->ack_sent;
    if (!news) r->ack_due = true;
}

void raft_recv_heartbeat(struct raft *r, const struct raft_message *m, struct raft_effects *fx)
{
    hear_leader(r, m, fx);
    /* What the leader knows of a replica that has lost its log may be of its former life; and what salvage left may be a stale leader's. */
    uint64_t last = raft_recovering(r) ? r->ack_match : raft_log_last(&r->log);
    raft_commit_to(r, m->commit < last ? m->commit : last);
    raft_promise(r, m);
    raft_send(r,
              (struct raft_message){.type = RAFT_MSG_HEARTBEAT_REPLY,
                                    .to = m->from,
                                    .context = m->context,
                                    .commit = r->commit,
                                    .grant = raft_promised_grant(r)},
              fx);
}

/* The host has put a snapshot of the leader's in place of the store and has called raft_install: acknowledge it. A message
 * about a snapshot that is not here says no more than a heartbeat. */
void raft_recv_snapshot(struct raft *r, const struct raft_message *m, struct raft_effects *fx)
{
    hear_leader(r, m, fx);
    if (m->index > r->commit || raft_log_term(&r->log, m->index) != m->log_term) return;
    if (m->index > r->ack_match) r->ack_match = m->index;
    r->ack_due = true;
}
