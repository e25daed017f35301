/* Changes of a group's replicas: the leader's checks and the configuration entry; its application, on every replica alike,
 * which makes the descriptor. docs/moves.md. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "range/members_int.h"
#include "range/snapshot_int.h"

enum { CATCH_UP_LAG_MAX = 256 }; /* entries that a learner may lack when it becomes a voter */

/* --- descriptor and configuration --- */

void replica_config_of(const struct range_desc *d, struct raft_config *c)
{
    memset(c, 0, sizeof *c);
    bool joint = range_desc_joint(d);
    for (size_t i = 0; i < d->replica_count; i++) {
        const struct range_replica *m = &d->replicas[i];
        bool is_new = m->role == RANGE_VOTER || m->role == RANGE_INCOMING;
        bool is_old = joint && (m->role == RANGE_VOTER || m->role == RANGE_OUTGOING);
        if (is_new) c->voters[c->voter_count++] = m->replica_id;
        if (is_old) c->old_voters[c->old_voter_count++] = m->replica_id;
        if (m->role == RANGE_LEARNER) c->learners[c->learner_count++] = m->replica_id;
    }
}

static bool among(const uint64_t *ids, unsigned count, uint64_t id)
{
    for (unsigned i = 0; i < count; i++) {
        if (ids[i] == id) return true;
    }
    return false;
}

static uint8_t role_in(const struct raft_config *c, uint64_t id)
{
    bool is_new = among(c->voters, c->voter_count, id), is_old = among(c->old_voters, c->old_voter_count, id);
    if (c->old_voter_count == 0 || (is_new && is_old)) return is_new ? RANGE_VOTER : RANGE_LEARNER;
    return is_new ? RANGE_INCOMING : is_old ? RANGE_OUTGOING : RANGE_LEARNER;
}

/* --- notes --- */

static void note_pack(struct buf *b, uint64_t replica_id, uint64_t node_id)
{
    pack_array(b, 1);
    pack_array(b, 2);
    pack_uint(b, replica_id);
    pack_uint(b, node_id);
}

/* The node of a replica that the note introduces; 0: it does not. */
static uint64_t note_node(struct slice note, uint64_t replica_id)
{
    if (note.size == 0) return 0;
    struct unpack u = unpack_make(note);
    uint32_t count = unpack_array(&u);
    for (uint32_t i = 0; i < count && !u.failed; i++) {
        uint32_t extra = unpack_open(&u, 2);
        uint64_t id = unpack_uint(&u), node = unpack_uint(&u);
        unpack_close(&u, extra);
        if (!u.failed && id == replica_id) return node;
    }
    return 0;
}

/* The epoch that an unsafe recovery gives the range (docs/recovery.md), as the node of the replica 0; 0: it is no such entry. */
#define EPOCH_NOTE 0u

/* --- applying --- */

static uint64_t node_in(const struct range_desc *d, uint64_t replica_id)
{
    for (size_t i = 0; i < d->replica_count; i++) {
        if (d->replicas[i].replica_id == replica_id) return d->replicas[i].node_id;
    }
    return 0;
}

static void seat(struct range_desc *next, const struct range_desc *now, const struct raft_config *c, uint64_t id,
                 struct slice note)
{
    if (node_in(next, id) != 0) return;
    uint64_t node = node_in(now, id);
    if (node == 0) node = note_node(note, id);
    if (node == 0 || next->replica_count == LIMIT_REPLICAS) BUG("a configuration entry names a replica without a node");
    next->replicas[next->replica_count++] =
        (struct range_replica){.node_id = node, .replica_id = id, .role = role_in(c, id)};
}

void reconfigure_desc(const struct range_desc *now, struct slice entry, struct range_desc *next)
{
    struct raft_config c;
    enum status s = raft_config_decode(entry, &c);
    ASSERT(s == STATUS_OK); /* looked at by Raft when it came */
    struct slice note = raft_config_note(entry);
    range_desc_copy(next, now); /* it may be kept with room for its own replicas alone */
    next->replica_count = 0;
    next->epoch.conf_ver++;
    uint64_t epoch = note_node(note, EPOCH_NOTE);
    if (epoch > next->epoch.conf_ver) next->epoch.conf_ver = epoch;
    if (epoch > 0) next->epoch.version = epoch > now->epoch.version ? epoch : now->epoch.version + 1;
    for (size_t i = 0; i < now->replica_count; i++) { /* who stays keeps its place */
        uint64_t id = now->replicas[i].replica_id;
        bool stays = among(c.voters, c.voter_count, id) || among(c.old_voters, c.old_voter_count, id) ||
                     among(c.learners, c.learner_count, id);
        if (stays) seat(next, now, &c, id, note);
    }
    for (unsigned i = 0; i < c.voter_count; i++) seat(next, now, &c, c.voters[i], note);
    for (unsigned i = 0; i < c.learner_count; i++) seat(next, now, &c, c.learners[i], note);
}

/* Those who are gone are told at once; a lost word is made good by what they hear when they speak, or by the map. */
static void tell_gone(struct replica *r, const struct range_desc *former)
{
    for (size_t i = 0; i < former->replica_count; i++) {
        const struct range_replica *m = &former->replicas[i];
        if (m->replica_id != r->id && range_desc_is_gone(r->desc, m->replica_id))
            members_tell_gone(r, m->node_id, m->replica_id);
    }
}

/* The index that each other replica was last told goes with the replica, not with its place. One that is taken out may not hear of that
 * for long, and would go on reckoning with it: its node is told all anew, without the range. */
static void carry_told(struct replica *r, const struct range_desc *former)
{
    struct resolve_leader *v = r->resolve.leader;
    uint64_t told[LIMIT_REPLICAS] = {0};
    if (v == NULL) return;
    for (size_t k = 0; k < former->replica_count; k++) {
        bool stays = false;
        for (size_t i = 0; i < r->desc->replica_count; i++) {
            if (former->replicas[k].replica_id != r->desc->replicas[i].replica_id) continue;
            told[i] = v->told[k];
            stays = true;
        }
        struct link *l = stays || v->told[k] == 0 ? NULL : map_get(&r->host->links, former->replicas[k].node_id);
        if (l != NULL) resolve_void(l);
    }
    memcpy(v->told, told, sizeof told);
}

void reconfigure_carry_out(struct replica *r, const struct range_desc *former)
{
    COVER("range.conf_changed");
    carry_told(r, former);
    log_event(r->host->env->log, LOG_INFO, "range.replicas", "range=%llu conf_ver=%llu count=%zu%s",
              (unsigned long long)r->desc->id, (unsigned long long)r->desc->epoch.conf_ver, r->desc->replica_count,
              range_desc_joint(r->desc) ? " joint" : "");
    tell_gone(r, former);
    if (range_desc_is_gone(r->desc, r->id)) replica_leave(r, "its range has gone on without it");
}

/* --- proposing --- */

static void drop_id(uint64_t *ids, uint8_t *count, uint64_t id)
{
    for (unsigned i = 0; i < *count; i++) {
        if (ids[i] != id) continue;
        ids[i] = ids[--*count];
        return;
    }
}

static enum status plan_add(struct replica *r, uint64_t node, struct raft_config *c, struct buf *note,
                            struct errbuf *err)
{
    const struct range_desc *d = r->desc;
    if (range_desc_replica(d, node) != NULL || d->replica_count == LIMIT_REPLICAS) {
        errbuf_set(err, "node %llu holds a replica already, or the range has as many as it may",
                   (unsigned long long)node);
        return STATUS_INVALID;
    }
    uint64_t id = RANGE_FIRST_REPLICAS + d->epoch.conf_ver + 1;
    c->learners[c->learner_count++] = id;
    note_pack(note, id, node);
    return STATUS_OK;
}

static enum status plan_promote(struct replica *r, uint64_t node, struct raft_config *c, uint32_t *percent,
                                struct errbuf *err)
{
    const struct range_replica *to = range_desc_replica(r->desc, node);
    if (to == NULL || to->role != RANGE_LEARNER) {
        errbuf_set(err, "node %llu holds no learner of the range", (unsigned long long)node);
        return STATUS_INVALID;
    }
    uint64_t match = raft_match_of(r->raft, to->replica_id), last = raft_commit(r->raft);
    if ((match == 0 || match + CATCH_UP_LAG_MAX < last) && !MUTANT(learner_promoted_blank)) {
        *percent = r->sending != NULL ? snapshot_send_percent(r->sending, to->replica_id) : 0;
        errbuf_set(err, "the replica on node %llu catches up: it has entries up to %llu of %llu%s",
                   (unsigned long long)node, (unsigned long long)match, (unsigned long long)last,
                   *percent > 0 ? ", a snapshot is on its way" : "");
        return STATUS_RETRY;
    }
    drop_id(c->learners, &c->learner_count, to->replica_id);
    c->voters[c->voter_count++] = to->replica_id;
    return STATUS_OK;
}

static enum status plan_drop(struct replica *r, uint64_t node, struct raft_config *c, struct errbuf *err)
{
    const struct range_replica *from = range_desc_replica(r->desc, node);
    if (from == NULL || from->replica_id == r->id) {
        errbuf_set(err,
                   from == NULL ? "node %llu holds no replica of the range"
                                : "node %llu leads the range: its leadership has to go first",
                   (unsigned long long)node);
        return STATUS_INVALID;
    }
    drop_id(c->voters, &c->voter_count, from->replica_id);
    drop_id(c->learners, &c->learner_count, from->replica_id);
    return STATUS_OK;
}

/* Nothing is on its way to the range that the descriptor does not know of; and a merge wants its replicas to stay. */
static bool settled(const struct replica *r)
{
    if (range_desc_joint(r->desc) || replica_lineage(r)->merge.phase != RANGE_NORMAL) return false;
    if (raft_config_index(r->raft) > r->applied) return false;
    return MUTANT(moves_behind_freeze) || !replica_changes_ahead(r); /* it may be frozen */
}

/* Those that can be reached are a majority of the voters to come: else a range that works would be stopped by the change. */
static bool can_decide(const struct replica *r, const struct raft_config *c)
{
    unsigned reached = 0;
    for (unsigned i = 0; i < c->voter_count; i++)
        reached += c->voters[i] == r->id || host_peer_connected(r->host, node_in(r->desc, c->voters[i]));
    return reached >= c->voter_count / 2u + 1;
}

enum status replica_change(struct replica *r, const struct replica_change *c, uint32_t *percent, struct errbuf *err)
{
    *percent = 0;
    if (r->state != REPLICA_RUNNING || !r->leads || r->host->stopping) {
        errbuf_set(err, "this replica does not lead the range");
        return STATUS_NOT_LEADER;
    }
    if (c->conf_ver != r->desc->epoch.conf_ver && !MUTANT(conf_ver_not_compared)) {
        errbuf_set(err, "the range's replicas have changed: conf_ver is %llu, not %llu",
                   (unsigned long long)r->desc->epoch.conf_ver, (unsigned long long)c->conf_ver);
        return STATUS_EPOCH_MISMATCH;
    }
    if (!settled(r)) {
        errbuf_set(err, "another change of the range is under way");
        return STATUS_BUSY;
    }
    struct raft_config target;
    replica_config_of(r->desc, &target);
    struct buf note;
    buf_init(&note, RAFT_NOTE_BYTES_MAX);
    enum status s = STATUS_OK;
    if (c->add) s = plan_add(r, c->to, &target, &note, err);
    if (!c->add && c->from != 0) s = plan_drop(r, c->from, &target, err);
    if (!c->add && s == STATUS_OK && c->to != 0) s = plan_promote(r, c->to, &target, percent, err);
    if (!c->add && s == STATUS_OK && !can_decide(r, &target)) {
        COVER("range.change_would_stop_it");
        errbuf_set(err, "the voters that can be reached would be no majority of those to come");
        s = STATUS_RETRY;
    }
    if (s == STATUS_OK) {
        uint64_t index;
        s = raft_propose_config(r->raft, &target, buf_slice(&note), &index);
        if (s != STATUS_OK) errbuf_set(err, "the leader takes no change of replicas at this moment");
    }
    buf_free(&note);
    if (s == STATUS_OK) {
        r->needs_flush = true;
        host_mark_ready(r->host, r);
        r->host->env->ops->wake(r->host->env);
    }
    return s;
}

/* --- the last resort --- */

/* Voters of one set that are not given up are no majority of it. */
static bool is_lost(const struct range_desc *d, enum range_role alone, const uint64_t *lost, size_t lost_count)
{
    size_t voters = 0, left = 0;
    for (size_t i = 0; i < d->replica_count; i++) {
        if (d->replicas[i].role != RANGE_VOTER && d->replicas[i].role != alone) continue;
        voters++;
        left += !among(lost, (unsigned)lost_count, d->replicas[i].node_id);
    }
    return voters > 0 && left < voters / 2 + 1;
}

bool range_quorum_lost(const struct range_desc *d, const uint64_t *lost, size_t lost_count)
{
    if (is_lost(d, RANGE_INCOMING, lost, lost_count)) return true;
    return range_desc_joint(d) && is_lost(d, RANGE_OUTGOING, lost, lost_count);
}

/* The left one of a merge decides; until it has, the right one waits. */
static bool merge_is_open(const struct replica *r)
{
    if (replica_lineage(r)->merge.phase != RANGE_FROZEN) return false;
    const struct replica *left = map_get(&r->host->replicas, replica_lineage(r)->merge.with);
    return left != NULL && left->desc->epoch.version <= replica_lineage(r)->merge.version;
}

/* Nothing says that the last word is committed, nor that it is not: after a restart no entry is applied before a leader has spoken, and
 * those whom it brings in may be a quorum with more than this replica has. */
void replica_desc_ahead(const struct replica *r, struct range_desc *d)
{
    range_desc_copy(d, r->desc);
    for (uint64_t i = r->applied + 1; i <= raft_config_index(r->raft); i++) {
        const struct raft_entry *e = raft_entry_at(r->raft, i);
        if (e == NULL || e->type != RAFT_ENTRY_CONFIG) continue;
        struct range_desc former = *d;
        reconfigure_desc(&former, e->data, d);
    }
}

uint64_t replica_node_ahead(const struct replica *r, uint64_t replica_id)
{
    struct range_desc ahead;
    if (replica_id == 0 || raft_config_index(r->raft) <= r->applied) return 0;
    COVER("range.node_ahead");
    replica_desc_ahead(r, &ahead);
    return node_in(&ahead, replica_id);
}

enum status replica_lead_alone(struct replica *r, const struct replica_alone *q, struct errbuf *err)
{
    struct range_desc ahead;
    if (r->desc->epoch.version >= q->epoch) return STATUS_OK;
    replica_desc_ahead(r, &ahead);
    if (ahead.epoch.conf_ver != r->desc->epoch.conf_ver) COVER("range.alone_looks_ahead");
    if (!range_quorum_lost(&ahead, q->lost, q->lost_count)) {
        errbuf_set(err, "a quorum of the range's voters has not been given up: it is to elect a leader by itself");
        return STATUS_INVALID;
    }
    if (r->state != REPLICA_RUNNING || r->members.leaving || r->unborn || !raft_may_lead_alone(r->raft)) {
        errbuf_set(err, "the replica is damaged or incomplete, or hears of a leader");
        return STATUS_RETRY;
    }
    if (merge_is_open(r)) {
        errbuf_set(err, "the range waits for range %llu, which was about to take it in: that one first",
                   (unsigned long long)replica_lineage(r)->merge.with);
        return STATUS_RETRY;
    }
    struct buf note;
    buf_init(&note, RAFT_NOTE_BYTES_MAX);
    note_pack(&note, EPOCH_NOTE, q->epoch);
    log_event(r->host->env->log, LOG_WARN, "range.recovers_alone",
              "range=%llu replica=%llu epoch=%llu last=%llu commit=%llu: what others acknowledged beyond that is lost",
              (unsigned long long)r->desc->id, (unsigned long long)r->id, (unsigned long long)q->epoch,
              (unsigned long long)raft_last_index(r->raft), (unsigned long long)raft_commit(r->raft));
    replica_step(r, &(struct raft_event){.type = RAFT_EVENT_ALONE, .note = buf_slice(&note)});
    buf_free(&note);
    r->host->env->ops->wake(r->host->env);
    return STATUS_OK;
}
