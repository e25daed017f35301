/* Members of the metadata service that come and go. What an admin wants is a row m/<id>: [address, stays]; the leader changes its own
 * group's configuration until it is so, one step at a time, by the same joint changes as any range (docs/moves.md):
 *
 *   add:     row --> a learner --> it has caught up --> it votes
 *   remove:  row --> (leadership leaves it) --> it is taken out --> the row goes
 *
 * Nothing is remembered: a new leader goes on from row and descriptor. A member that joins knows nothing of the group: it asks the
 * others until the descriptor names it, then begins blank and is sent a snapshot. Whoever answers may lag, and name the replica that was
 * here before: that one is told that it is gone, and the next word is waited for. Whoever knows of no leader asks likewise: it may have
 * been away when others came, whose addresses it lacks, or when it was taken out. */
#include "range/members.h"
#include "base/assert.h"
#include "base/mem.h"
#include "meta/meta_int.h"

#define ASK_EVERY_NS (300 * NS_PER_MS)
#define ASK_CALL_NS (2000 * NS_PER_MS)

static const struct range_desc *group_desc(const struct meta *m)
{
    const struct replica *r = host_replica(m->host, META_GROUP);
    return r == NULL ? NULL : replica_desc(r);
}

const char *members_address_of(const struct meta *m, uint64_t id)
{
    for (size_t i = 0; i < m->state.member_count; i++) {
        if (m->state.members[i].id == id) return m->state.members[i].address;
    }
    for (size_t i = 0; i < m->options.member_count; i++) {
        if (m->options.members[i].id == id) return m->addresses[i];
    }
    return NULL;
}

void members_learn(struct meta *m)
{
    if (!m->state.members_changed) return;
    m->state.members_changed = false;
    for (size_t i = 0; i < m->state.member_count; i++) {
        const struct meta_member_row *row = &m->state.members[i];
        if (row->id != m->self.node_id) host_set_peer(m->host, row->id, row->address);
    }
}

size_t members_addresses(const struct meta *m, struct meta_address out[LIMIT_REPLICAS])
{
    const struct range_desc *d = group_desc(m);
    size_t count = 0;
    for (size_t i = 0; d != NULL && i < d->replica_count; i++) {
        const char *address = members_address_of(m, d->replicas[i].node_id);
        if (address != NULL)
            out[count++] = (struct meta_address){.id = d->replicas[i].node_id, .address = slice_str(address)};
    }
    return count;
}

/* --- the leader --- */

static void row_gone(struct proposal *p, enum status s, bool unknown, struct slice answer)
{
    (void)s;
    (void)unknown;
    (void)answer;
    LIST_ENTRY(p, struct meta, member_proposal)->member_busy = false;
}

static void forget_row(struct meta *m, uint64_t id)
{
    if (m->member_busy) return;
    struct meta_command c = {
        .kind = META_CMD_MEMBER, .member = {.id = id, .remove = true, .address = SLICE_EMPTY}, .member_gone = true};
    buf_clear(&m->scratch);
    meta_command_encode(&c, &m->scratch);
    m->member_proposal.done = row_gone;
    m->member_proposal.deadline_ns = DEADLINE_NONE;
    m->member_busy =
        replica_propose(host_replica(m->host, META_GROUP), buf_slice(&m->scratch), &m->member_proposal) == STATUS_OK;
}

/* What cannot be done now (it catches up, a change is under way) is tried again at the next look. */
static void row_step(struct meta *m, const struct meta_member_row *row)
{
    struct replica *r = host_replica(m->host, META_GROUP);
    const struct range_desc *d = replica_desc(r);
    const struct range_replica *is = range_desc_replica(d, row->id);
    struct replica_change c = {.conf_ver = d->epoch.conf_ver};
    struct errbuf err = {{0}};
    uint32_t percent;
    if (row->stays && is != NULL && is->role != RANGE_LEARNER) return;
    if (!row->stays && is == NULL) {
        forget_row(m, row->id);
        return;
    }
    if (!row->stays && row->id == m->self.node_id) {
        if (replica_transfer_away(r, &err) != STATUS_OK)
            log_event(m->env->log, LOG_INFO, "meta.member_stays", "why=\"%s\"", err.text);
        return;
    }
    c.add = row->stays && is == NULL;
    c.to = row->stays ? row->id : 0;
    c.from = row->stays ? 0 : row->id;
    if (replica_change(r, &c, &percent, &err) == STATUS_OK) COVER("meta.member_changed");
}

void members_step(struct meta *m)
{
    for (size_t i = 0; i < m->state.member_count; i++) row_step(m, &m->state.members[i]);
}

/* Why not; NULL: it may go. */
static const char *may_not_go(const struct meta *m, uint64_t id)
{
    const struct range_desc *d = group_desc(m);
    size_t voters = 0, reached = 0;
    if (range_desc_replica(d, id) == NULL) return "there is no such member: meta list shows all";
    for (size_t i = 0; i < d->replica_count; i++) {
        uint64_t other = d->replicas[i].node_id;
        if (other == id || d->replicas[i].role == RANGE_LEARNER) continue;
        voters++;
        reached += other == m->self.node_id || host_peer_connected(m->host, other);
    }
    if (voters == 0) return "it is the last member";
    return reached >= voters / 2 + 1
               ? NULL
               : "without it the members that are up are no majority: start others, or add one first";
}

static bool address_is_taken(const struct meta *m, struct slice address)
{
    struct meta_address members[LIMIT_REPLICAS];
    size_t count = members_addresses(m, members);
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(members[i].address, address)) return true;
    }
    return false;
}

enum status members_command(const struct meta *m, struct meta_command *c, struct errbuf *err)
{
    const struct range_desc *d = group_desc(m);
    const char *fault = NULL;
    c->kind = META_CMD_MEMBER;
    if (c->member.remove) {
        fault = may_not_go(m, c->member.id);
    } else if (c->member.id == 0 || c->member.address.size == 0) {
        fault = "a member has an id above 0 and an address";
    } else if (range_desc_replica(d, c->member.id) != NULL) {
        fault = "there is a member of that id already";
    } else if (address_is_taken(m, c->member.address)) {
        fault = "that address is another member's";
    } else if (d->replica_count >= LIMIT_VOTERS) {
        fault = "the metadata service has as many members as it may";
    }
    if (fault == NULL) return STATUS_OK;
    errbuf_set(err, "%s", fault);
    return STATUS_CONDITION_FAILED;
}

/* --- what others are asked --- */

/* Whoever is added is a learner at first. One that votes has promised and acknowledged what an empty directory knows nothing of. */
static bool is_added(struct meta *m, const struct range_desc *d)
{
    const struct range_replica *own = range_desc_replica(d, m->self.node_id);
    if (own != NULL && own->role != RANGE_LEARNER && !m->join_warned) {
        m->join_warned = true;
        log_event(m->env->log, LOG_WARN, "meta.is_member_already",
                  "member=%llu cure=\"its directory is lost: `quorate meta remove %llu`, then `quorate meta add %llu "
                  "ADDRESS`\"",
                  (unsigned long long)m->self.node_id, (unsigned long long)m->self.node_id,
                  (unsigned long long)m->self.node_id);
    }
    return own != NULL && own->role == RANGE_LEARNER;
}

static void learn_peers(struct meta *m, const struct meta_status_reply *reply)
{
    for (size_t i = 0; i < reply->member_count; i++) {
        char address[LIMIT_ADDRESS_BYTES + 1] = {0};
        if (reply->members[i].id == m->self.node_id || reply->members[i].address.size > LIMIT_ADDRESS_BYTES) continue;
        memcpy(address, reply->members[i].address.data, reply->members[i].address.size);
        host_set_peer(m->host, reply->members[i].id, address);
    }
}

/* How the group is, by somebody who may lag. */
static void learn_group(struct meta *m, const struct range_desc *d)
{
    const struct replica *r = host_replica(m->host, META_GROUP);
    if (r != NULL && range_desc_is_gone(d, replica_id(r))) {
        COVER("meta.member_finds_out");
        host_replica_gone(m->host, META_GROUP, replica_id(r), d->epoch.conf_ver);
    } else if (r == NULL && is_added(m, d)) {
        COVER("meta.joins");
        host_create_replica(m->host, d);
    }
}

static void others_answered(void *ctx, enum status status, bool sent, const struct reply_head *head)
{
    (void)sent;
    struct meta *m = ctx;
    struct meta_status_reply reply;
    struct range_desc d;
    struct arena arena;
    m->ask_busy = false;
    m->env->ops->wake(m->env);
    if (status != STATUS_OK || head->status != STATUS_OK || m->stopping) return;
    arena_init(&arena, 4096);
    if (unpack_meta_status_reply(head->payload, &arena, &reply) == STATUS_OK && reply.group.size > 0 &&
        unpack_range_desc(reply.group, &arena, &d) == STATUS_OK) {
        learn_peers(m, &reply);
        learn_group(m, &d);
    }
    arena_free(&arena);
}

/* Nobody leads whom it knows: perhaps one who came while it was away, and to whom it cannot even answer. */
static bool is_lost(const struct meta *m)
{
    const struct replica *r = host_replica(m->host, META_GROUP);
    return r == NULL ? m->joins : !m->leads && replica_leader_node(r) == 0;
}

uint64_t members_ask_pass(struct meta *m, uint64_t now_ns)
{
    const struct replica *r = host_replica(m->host, META_GROUP);
    if (m->others == NULL || m->stopping) return DEADLINE_NONE;
    if (r != NULL && raft_last_index(replica_raft(r)) > 0) m->joins = false;
    bool lost = is_lost(m);
    if (lost && !m->ask_busy && now_ns >= m->ask_at_ns) {
        m->ask_busy = true;
        m->ask_at_ns = now_ns + ASK_EVERY_NS;
        meta_call(m->others, METHOD_META_STATUS, SLICE_EMPTY, now_ns + ASK_CALL_NS, others_answered, m);
    }
    uint64_t next = meta_call_pass(m->others, now_ns);
    return lost && !m->ask_busy && m->ask_at_ns < next ? m->ask_at_ns : next;
}
