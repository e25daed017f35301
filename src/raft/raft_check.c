/* All that is true of a replica between two calls, and a line that tells a person what it is doing. */
#include "base/assert.h"
#include "raft/raft_int.h"

static void check_log(const struct raft *r)
{
    const struct raft_log *l = &r->log;
    uint64_t last = raft_log_last(l);
    ASSERT(l->base_index <= r->applied);
    ASSERT(r->applied <= r->commit);
    ASSERT(r->commit <= last);
    ASSERT(raft_log_last_term(l) <= r->term);
}

static void check_durable(const struct raft *r)
{
    const struct raft_durable *d = &r->durable;
    ASSERT(d->seq_done <= d->seq);
    ASSERT(d->hard_seq <= d->seq + 1);
    ASSERT(d->trunc_seq <= d->seq + 1);
    ASSERT(d->index <= raft_log_last(&r->log));
    ASSERT((d->trunc_from == RAFT_NEVER) == (d->trunc_seq <= d->seq_done));
    if (d->dirty_from != 0) ASSERT(d->dirty_from > d->index);
    if (d->dirty_from != 0) ASSERT(d->dirty_from <= raft_log_last(&r->log));
    if (r->held_count > 0) ASSERT(!raft_hard_durable(r));
    for (size_t i = 0; i < r->held_count; i++) {
        const struct raft_message *m = &r->held[i];
        bool pre = m->type == RAFT_MSG_PRE_VOTE || m->type == RAFT_MSG_PRE_VOTE_REPLY;
        if (!pre) ASSERT(m->term == r->term);
        ASSERT(m->entry_count == 0);
    }
}

static void check_config(const struct raft *r)
{
    if (r->config->voter_count > 0) ASSERT(raft_config_is_valid(r->config));
    ASSERT(r->config_index >= r->log.base_index);
    ASSERT(r->config_index <= raft_log_last(&r->log));
}

/* The configuration in force is the newest that the log holds. */
static void check_config_held(const struct raft *r)
{
    struct slice held = r->base_config;
    for (uint64_t i = r->log.base_index + 1; i <= raft_log_last(&r->log); i++) {
        const struct raft_entry *e = raft_log_at(&r->log, i);
        if (e->type != RAFT_ENTRY_CONFIG) continue;
        held = e->data;
        if (i > r->config_index) BUG("a newer configuration is in the log");
    }
    if (r->config_index > r->log.base_index) ASSERT(raft_log_at(&r->log, r->config_index)->type == RAFT_ENTRY_CONFIG);
    if (r->config_index == r->log.base_index) {
        ASSERT(r->base_config.size == 0);
        return;
    }
    struct buf now;
    buf_init(&now, 4096);
    if (r->config->voter_count > 0) raft_config_encode(r->config, raft_config_note(held), &now);
    ASSERT(slice_eq(buf_slice(&now), held));
    buf_free(&now);
}

static void check_leader(const struct raft *r)
{
    const struct raft_progress *self = raft_peer(r, r->self.id);
    ASSERT(r->leader == r->self.id);
    ASSERT(r->vote == r->self.id);
    ASSERT(raft_hard_durable(r));
    ASSERT(self != NULL);
    ASSERT(self->match <= r->durable.index);
    ASSERT(r->durable.trunc_seq <= r->durable.seq); /* a leader never cuts its own log (thesis 3.5, append-only) */
    ASSERT(r->term_start > 0);
    if (r->term_start > r->log.base_index) ASSERT(raft_log_term(&r->log, r->term_start) == r->term);
    ASSERT(r->term_start <= raft_log_last(&r->log));
    uint64_t bytes = 0;
    for (uint64_t i = r->commit + 1; i <= raft_log_last(&r->log); i++) bytes += raft_log_at(&r->log, i)->data.size;
    ASSERT(bytes == r->uncommitted_bytes);
    if (r->transfer_to != 0) ASSERT(r->transfer_to != r->self.id);
    for (size_t i = 0; i < r->peer_count; i++) {
        raft_progress_check(&r->peers[i], raft_log_last(&r->log));
        ASSERT(r->peers[i].read_acked <= r->read_round);
    }
}

static void check_role(const struct raft *r)
{
    ASSERT((r->peers != NULL) == (r->role != RAFT_FOLLOWER));
    switch (r->role) {
    case RAFT_FOLLOWER:
        ASSERT(r->leader != r->self.id);
        if (r->leader != 0) ASSERT(r->heard_ms <= r->now_ms);
        break;
    case RAFT_PRE_CANDIDATE: ASSERT(r->leader == 0); break;
    case RAFT_CANDIDATE:
        ASSERT(r->leader == 0);
        ASSERT(r->vote == r->self.id);
        break;
    case RAFT_LEADER: check_leader(r); break;
    default: BUG("role");
    }
    if (r->role != RAFT_LEADER) {
        ASSERT(r->uncommitted_bytes == 0);
        ASSERT(r->transfer_to == 0);
        ASSERT(!r->append_due);
        ASSERT(r->news_ms == 0);
    }
    if (r->ack_due) ASSERT(r->role == RAFT_FOLLOWER && r->leader != 0);
    ASSERT(r->ack_match <= raft_log_last(&r->log));
    ASSERT(r->ack_sent <= r->ack_match);
    ASSERT(r->ack_sent <= r->durable.index); /* what was acknowledged is durable, and stays in the log of this term */
}

static void check_reads(const struct raft *r)
{
    uint64_t round = 0;
    bool boarded = true;
    if (r->leader == 0) ASSERT(r->read_count == 0);
    for (size_t i = 0; i < r->read_count; i++) {
        const struct raft_read_item *item = &r->reads[i];
        if (item->round == 0) {
            boarded = false;
            continue;
        }
        ASSERT(boarded);
        ASSERT(item->round >= round);
        ASSERT(item->round <= r->read_round);
        if (r->role == RAFT_LEADER) ASSERT(item->index >= r->term_start); /* T1 */
        round = item->round;
    }
}

void raft_check_brief(const struct raft *r)
{
    if (r->term == 0) ASSERT(r->vote == 0);
    if (raft_recovering(r)) ASSERT(r->role == RAFT_FOLLOWER);
    check_log(r);
    check_durable(r);
    check_config(r);
    check_role(r);
    check_reads(r);
}

void raft_check(const struct raft *r)
{
    raft_check_brief(r);
    raft_log_check(&r->log);
    check_config_held(r);
}

static const char *role_name(enum raft_role role)
{
    switch (role) {
    case RAFT_FOLLOWER: return "follower";
    case RAFT_PRE_CANDIDATE: return "pre-candidate";
    case RAFT_CANDIDATE: return "candidate";
    case RAFT_LEADER: return "leader";
    default: return "?";
    }
}

#define U(v) ((unsigned long long)(v))

static void describe_ids(struct buf *out, const char *name, const uint64_t *ids, unsigned count)
{
    if (count == 0) return;
    buf_printf(out, " %s=", name);
    for (unsigned i = 0; i < count; i++) buf_printf(out, "%s%llu", i > 0 ? "," : "", U(ids[i]));
}

static void describe_peer(struct buf *out, const struct raft_progress *p)
{
    static const char *const states[] = {
        [RAFT_PROBE] = "probe", [RAFT_REPLICATE] = "replicate", [RAFT_SNAPSHOT] = "snapshot"};
    buf_printf(out, " %llu:%s%s,match=%llu,next=%llu", U(p->id), states[p->state], p->paused ? "(paused)" : "",
               U(p->match), U(p->next));
    if (raft_progress_flights(p) > 0) buf_printf(out, ",flights=%u", raft_progress_flights(p));
}

void raft_describe(const struct raft *r, struct buf *out)
{
    buf_printf(out,
               "group=%llu replica=%llu %s term=%llu leader=%llu log=%llu..%llu durable=%llu commit=%llu applied=%llu",
               U(r->self.group), U(r->self.id), role_name(r->role), U(r->term), U(r->leader), U(raft_first_index(r)),
               U(raft_last_index(r)), U(r->durable.index), U(r->commit), U(r->applied));
    describe_ids(out, "voters", r->config->voters, r->config->voter_count);
    describe_ids(out, "old", r->config->old_voters, r->config->old_voter_count);
    describe_ids(out, "learners", r->config->learners, r->config->learner_count);
    if (r->read_count > 0) buf_printf(out, " reads=%u", r->read_count);
    if (r->transfer_to != 0) buf_printf(out, " transfer=%llu", U(r->transfer_to));
    if (r->ack_due || !raft_hard_durable(r)) buf_printf(out, " waits=disk");
    if (raft_recovering(r)) buf_printf(out, " recovering");
    for (size_t i = 0; r->role == RAFT_LEADER && i < r->peer_count; i++) {
        if (r->peers[i].id != r->self.id) describe_peer(out, &r->peers[i]);
    }
}
