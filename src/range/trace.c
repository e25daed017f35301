/* What the Raft cores of this host do, one event a line, in the form of etcd/raft's state tracing, so that its public TLA+
 * trace specification can judge a real run (docs/raft.md, Traces). The core knows nothing of it: transitions are what differs
 * between two looks, and the host sees every message in and out. Nothing of this costs anything when it is off. */
#include "base/assert.h"
#include "base/mem.h"
#include "range/host_int.h"

struct trace_state { /* as of the last event written */
    struct raft_hard_state hard;
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

static void event(struct replica *r, const char *name, const struct raft_message *m, const char *type)
{
    const struct trace_state *t = r->traced;
    const struct raft_config *c = raft_config_now(r->raft);
    struct buf *b = &r->host->trace_line;
    buf_clear(b);
    buf_printf(b, "{\"tag\":\"trace\",\"group\":%llu,\"event\":{\"name\":\"%s\",\"nid\":\"%llu\",",
               (unsigned long long)r->desc->id, name, (unsigned long long)r->id);
    buf_printf(b, "\"state\":{\"term\":%llu,\"vote\":\"%llu\",\"commit\":%llu},\"role\":\"%s\",\"log\":%llu,\"conf\":[",
               (unsigned long long)t->hard.term, (unsigned long long)t->hard.vote, (unsigned long long)t->hard.commit,
               role_name(t->role), (unsigned long long)t->last);
    put_ids(b, c->voters, c->voter_count);
    buf_append_byte(b, ',');
    put_ids(b, c->old_voters, c->old_voter_count);
    buf_append_byte(b, ']');
    if (m != NULL) put_message(b, m, type);
    buf_append_str(b, "}}\n");
    r->host->options.raft_trace.line(r->host->options.raft_trace.ctx, buf_slice(b));
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
    if (type != NULL) event(r, names[sent][(is_vote ? 2 : 0) + (is_reply ? 1 : 0)], m, type);
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
    event(r, "InitState", NULL, NULL);
    event(r, "BecomeFollower", NULL, NULL);
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
    event(r, name, NULL, NULL);
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
    while (role == RAFT_LEADER && t->last < last) {
        t->last++;
        event(r, "Replicate", NULL, NULL);
        self_event(r, RAFT_MSG_APPEND_REPLY, t->last, true);
    }
    t->last = last;
    bool commits = role == RAFT_LEADER && now.commit > t->hard.commit;
    t->hard = now;
    if (commits) event(r, "Commit", NULL, NULL);
    for (size_t i = 0; i < fx->message_count; i++) message_event(r, &fx->messages[i], true);
    if (fx->message_count > 0 || fx->persist_hard_state || fx->append_from > 0) event(r, "Ready", NULL, NULL);
}

void replica_trace_free(struct replica *r)
{
    mem_free(r->traced);
}
