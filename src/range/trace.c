/* What the Raft cores of this host do, one event a line, in the form of etcd/raft's state tracing, so that its public TLA+
 * trace specification can judge a real run (docs/raft.md, Traces). The core knows nothing of it: transitions are what differs
 * between two looks, and the host sees every message in and out. Nothing of this costs anything when it is off. */
#include "base/assert.h"
#include "base/mem.h"
#include "range/host_int.h"

struct trace_state { /* as of the last event written */
    struct raft_hard_state hard;
    struct raft_config config;
    enum raft_role role;
    uint64_t last;
    uint64_t own_match; /* leader: of its own entries, acknowledged to itself */
    bool own_vote;      /* candidate: its vote for itself was counted */
};

static bool is_on(const struct replica *r)
{
    return r->host->options.raft_trace.line != NULL;
}

/* A pre-candidate has changed nothing yet: the specification knows no such role. */
static const char *role_name(enum raft_role role)
{
    switch (role) {
    case RAFT_LEADER: return "StateLeader";
    case RAFT_CANDIDATE: return "StateCandidate";
    case RAFT_FOLLOWER:
    case RAFT_PRE_CANDIDATE: break;
    }
    return "StateFollower";
}

static void put_ids(struct buf *b, const uint64_t *ids, unsigned count)
{
    buf_append_byte(b, '[');
    for (unsigned i = 0; i < count; i++) buf_printf(b, "%s\"%llu\"", i > 0 ? "," : "", (unsigned long long)ids[i]);
    buf_append_byte(b, ']');
}

/* NULL: the specification has no such message. */
static const char *message_name(const struct raft_message *m, bool *is_reply, bool *is_vote)
{
    *is_reply =
        m->type == RAFT_MSG_APPEND_REPLY || m->type == RAFT_MSG_HEARTBEAT_REPLY || m->type == RAFT_MSG_VOTE_REPLY;
    *is_vote = m->type == RAFT_MSG_VOTE || m->type == RAFT_MSG_VOTE_REPLY;
    switch (m->type) {
    case RAFT_MSG_APPEND: return "MsgApp";
    case RAFT_MSG_APPEND_REPLY: return "MsgAppResp";
    case RAFT_MSG_HEARTBEAT: return "MsgHeartbeat";
    case RAFT_MSG_HEARTBEAT_REPLY: return "MsgHeartbeatResp";
    case RAFT_MSG_VOTE: return "MsgVote";
    case RAFT_MSG_VOTE_REPLY: return "MsgVoteResp";
    case RAFT_MSG_SNAPSHOT: return "MsgSnap";
    case RAFT_MSG_PRE_VOTE:
    case RAFT_MSG_PRE_VOTE_REPLY:
    case RAFT_MSG_READ:
    case RAFT_MSG_READ_REPLY:
    case RAFT_MSG_TIMEOUT_NOW:
    case RAFT_MSG_RECOVERED: break;
    }
    return NULL;
}

static void put_message(struct buf *b, const struct raft_message *m, const char *type)
{
    uint64_t entries = m->type == RAFT_MSG_SNAPSHOT ? m->index : m->entry_count, last = m->index + m->entry_count;
    bool append = m->type == RAFT_MSG_APPEND; /* what it tells of the commit index counts up to its last entry */
    buf_printf(b, ",\"msg\":{\"type\":\"%s\",\"term\":%llu,\"from\":\"%llu\",\"to\":\"%llu\",\"entries\":%llu,", type,
               (unsigned long long)m->term, (unsigned long long)m->from, (unsigned long long)m->to,
               (unsigned long long)entries);
    buf_printf(b, "\"logTerm\":%llu,\"index\":%llu,\"commit\":%llu,\"vote\":\"0\",\"reject\":%s,\"rejectHint\":%llu}",
               (unsigned long long)(m->type == RAFT_MSG_SNAPSHOT ? 0 : m->log_term),
               (unsigned long long)(m->type == RAFT_MSG_SNAPSHOT ? 0 : m->index),
               (unsigned long long)(append && m->commit > last ? last : m->commit), m->reject ? "true" : "false",
               (unsigned long long)m->hint_index);
}

/* The time is there to sort by, as text: it is what `validate.sh` of the specification does first. */
static struct buf *event_begin(struct replica *r, const char *name)
{
    struct host *h = r->host;
    const struct trace_state *t = r->traced;
    const struct raft_config *c = &t->config;
    struct buf *b = &h->trace_line;
    uint64_t now_ns = env_mono_ns(h->env);
    h->traced_ns = now_ns > h->traced_ns ? now_ns : h->traced_ns + 1;
    buf_clear(b);
    buf_printf(b, "{\"tag\":\"trace\",\"ts\":\"%020llu\",\"group\":%llu,\"event\":{\"name\":\"%s\",\"nid\":\"%llu\",",
               (unsigned long long)h->traced_ns, (unsigned long long)r->desc->id, name, (unsigned long long)r->id);
    buf_printf(b, "\"state\":{\"term\":%llu,\"vote\":\"%llu\",\"commit\":%llu},\"role\":\"%s\",\"log\":%llu,\"conf\":[",
               (unsigned long long)t->hard.term, (unsigned long long)t->hard.vote, (unsigned long long)t->hard.commit,
               role_name(t->role), (unsigned long long)t->last);
    put_ids(b, c->voters, c->voter_count);
    buf_append_byte(b, ',');
    put_ids(b, c->old_voters, c->old_voter_count);
    buf_append_byte(b, ']');
    return b;
}

static void event_end(struct replica *r)
{
    buf_append_str(&r->host->trace_line, "}}\n");
    r->host->options.raft_trace.line(r->host->options.raft_trace.ctx, buf_slice(&r->host->trace_line));
}

static void event(struct replica *r, const char *name)
{
    (void)event_begin(r, name);
    event_end(r);
}

static void message_event(struct replica *r, const struct raft_message *m, bool sent)
{
    static const char *const names[2][4] = {
        {"ReceiveAppendEntriesRequest", "ReceiveAppendEntriesResponse", "ReceiveRequestVoteRequest",
         "ReceiveRequestVoteResponse"},
        {"SendAppendEntriesRequest", "SendAppendEntriesResponse", "SendRequestVoteRequest", "SendRequestVoteResponse"},
    };
    bool is_reply, is_vote;
    const char *type = message_name(m, &is_reply, &is_vote);
    if (type == NULL) return;
    put_message(event_begin(r, names[sent][(is_vote ? 2 : 0) + (is_reply ? 1 : 0)]), m, type);
    event_end(r);
}

/* A vote for itself, or its own acknowledgement: the specification has a leader send these to itself. */
static void self_event(struct replica *r, enum raft_message_type type, uint64_t index, bool sent)
{
    message_event(
        r,
        &(struct raft_message){.type = type, .from = r->id, .to = r->id, .term = r->traced->hard.term, .index = index},
        sent);
}

static void begin(struct replica *r)
{
    struct trace_state *t = r->traced = mem_zalloc(sizeof *t);
    t->hard = raft_hard_state_now(r->raft);
    t->role = RAFT_FOLLOWER;
    t->last = raft_last_index(r->raft);
    t->config = *raft_config_now(r->raft);
    event(r, "InitState");
    event(r, "BecomeFollower");
}

void replica_trace_step(struct replica *r, const struct raft_event *e)
{
    if (!is_on(r)) return;
    if (r->traced == NULL) begin(r);
    struct trace_state *t = r->traced;
    if (e->type == RAFT_EVENT_MESSAGE) message_event(r, e->message, false);
    if (e->type != RAFT_EVENT_PERSISTED) return;
    bool own_vote = t->role == RAFT_CANDIDATE && !t->own_vote && e->mark.term == t->hard.term && e->mark.vote == r->id;
    if (own_vote) self_event(r, RAFT_MSG_VOTE_REPLY, 0, false);
    t->own_vote = t->own_vote || own_vote;
    if (t->role == RAFT_LEADER && e->mark.index > t->own_match && e->mark.index_term == t->hard.term) {
        self_event(r, RAFT_MSG_APPEND_REPLY, e->mark.index, false);
        t->own_match = e->mark.index;
    }
}

static void become(struct replica *r, enum raft_role role, const struct raft_hard_state *now, const char *name)
{
    struct trace_state *t = r->traced;
    t->role = role;
    t->hard.term = now->term;
    t->hard.vote = now->vote;
    event(r, name);
}

/* --- changes of members --- */

static bool has_id(const uint64_t *ids, unsigned count, uint64_t id)
{
    for (unsigned i = 0; i < count; i++) {
        if (ids[i] == id) return true;
    }
    return false;
}

static void put_change(struct buf *changes, uint64_t id, const char *action)
{
    buf_printf(changes, "%s{\"nid\":\"%llu\",\"action\":\"%s\"}", changes->size > 0 ? "," : "", (unsigned long long)id,
               action);
}

/* What the leader proposes, one by one; that a joint configuration is left is none of it. */
static void put_changes(struct buf *b, const struct raft_config *from, const struct raft_config *to)
{
    for (unsigned i = 0; i < to->voter_count; i++) {
        if (!has_id(from->voters, from->voter_count, to->voters[i])) put_change(b, to->voters[i], "AddNewServer");
    }
    for (unsigned i = 0; i < to->learner_count; i++) {
        if (!has_id(from->learners, from->learner_count, to->learners[i])) put_change(b, to->learners[i], "AddLearner");
    }
    for (unsigned i = 0; i < from->voter_count; i++) {
        bool learns = has_id(to->learners, to->learner_count, from->voters[i]);
        if (!learns && !has_id(to->voters, to->voter_count, from->voters[i]))
            put_change(b, from->voters[i], "RemoveServer");
    }
    for (unsigned i = 0; i < from->learner_count; i++) {
        if (!raft_config_is_member(to, from->learners[i])) put_change(b, from->learners[i], "RemoveServer");
    }
}

/* A leader appends an entry: the state is the one before it, as in etcd/raft. */
static void append(struct replica *r)
{
    struct trace_state *t = r->traced;
    const struct raft_entry *e = raft_entry_at(r->raft, t->last + 1);
    struct raft_config to;
    if (e != NULL && e->type == RAFT_ENTRY_CONFIG && raft_config_decode(e->data, &to) == STATUS_OK) {
        struct buf changes;
        buf_init(&changes, 4096);
        put_changes(&changes, &t->config, &to);
        if (changes.size > 0) {
            buf_printf(event_begin(r, "ChangeConf"), ",\"prop\":{\"cc\":{\"changes\":[%.*s]}}", (int)changes.size,
                       (const char *)changes.data);
            event_end(r);
        }
        buf_free(&changes);
    } else {
        event(r, "Replicate");
    }
    t->last++;
    self_event(r, RAFT_MSG_APPEND_REPLY, t->last, true);
}

/* Another configuration is in force: here that is when its entry is in the log, in etcd/raft when it is applied. */
static void reconfigure(struct replica *r)
{
    struct trace_state *t = r->traced;
    const struct raft_config *now = raft_config_now(r->raft);
    bool same = t->config.voter_count == now->voter_count && t->config.old_voter_count == now->old_voter_count &&
                memcmp(t->config.voters, now->voters, now->voter_count * sizeof now->voters[0]) == 0 &&
                memcmp(t->config.old_voters, now->old_voters, now->old_voter_count * sizeof now->old_voters[0]) == 0;
    if (!same) {
        struct buf *b = event_begin(r, "ApplyConfChange");
        buf_append_str(b, ",\"prop\":{\"cc\":{\"newconf\":");
        put_ids(b, now->voters, now->voter_count);
        buf_append_str(b, "}}");
        event_end(r);
    }
    t->config = *now;
}

/* One step may do several things: they are written in the order in which the protocol does them. */
void replica_trace_effects(struct replica *r, const struct raft_effects *fx)
{
    struct trace_state *t = r->traced;
    if (t == NULL) return;
    struct raft_hard_state now = raft_hard_state_now(r->raft);
    enum raft_role role = raft_role(r->raft) == RAFT_PRE_CANDIDATE ? RAFT_FOLLOWER : raft_role(r->raft);
    uint64_t last = raft_last_index(r->raft);
    bool campaigned = role != RAFT_FOLLOWER && now.term > t->hard.term;
    if (role == RAFT_FOLLOWER && (t->role != role || now.term > t->hard.term)) become(r, role, &now, "BecomeFollower");
    if (campaigned) {
        become(r, RAFT_CANDIDATE, &now, "BecomeCandidate");
        self_event(r, RAFT_MSG_VOTE_REPLY, 0, true);
        t->own_vote = false;
    }
    if (role == RAFT_LEADER && t->role != RAFT_LEADER) {
        become(r, RAFT_LEADER, &now, "BecomeLeader");
        t->own_match = t->last;
    }
    while (role == RAFT_LEADER && t->last < last) append(r);
    t->last = last;
    reconfigure(r);
    bool commits = role == RAFT_LEADER && now.commit > t->hard.commit;
    t->hard = now;
    if (commits) event(r, "Commit");
    for (size_t i = 0; i < fx->message_count; i++) message_event(r, &fx->messages[i], true);
    if (fx->message_count > 0 || fx->persist_hard_state || fx->append_from > 0) event(r, "Ready");
}

void replica_trace_free(struct replica *r)
{
    mem_free(r->traced);
}
