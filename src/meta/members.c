/* Members of the metadata service that come and go. What an admin wants is a row m/<id>: [address, stays]; the leader changes its own
 * group's configuration until it is so, one step at a time, by the same joint changes as any range (docs/moves.md):
 *
 *   add:     row --> a learner --> it has caught up --> it votes
 *   remove:  row --> (leadership leaves it) --> it is taken out --> the row goes
 *
 * Nothing is remembered: a new leader goes on from row and descriptor. A member that joins knows nothing of the group: it asks the
 * others until the descriptor names it (founding.c), then begins blank and is sent a snapshot. */
#include "range/members.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "meta/meta_int.h"

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

void members_set_peer(struct meta *m, uint64_t id, struct slice address)
{
    char text[LIMIT_ADDRESS_BYTES + 1] = {0};
    if (address.size > LIMIT_ADDRESS_BYTES) return;
    memcpy(text, address.data, address.size);
    host_set_peer(m->host, id, text);
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

/* Nobody leads: of those who came last the rows do not tell before somebody does, and their votes may be needed for that. A member's row
 * comes before the entries that make it one. */
void members_look_ahead(struct meta *m)
{
    const struct replica *r = host_replica(m->host, META_GROUP);
    uint64_t upto = r == NULL || MUTANT(member_ahead_unknown) ? 0 : raft_config_index(replica_raft(r));
    struct arena arena;
    struct meta_command c;
    arena_init(&arena, 4096);
    for (uint64_t i = r == NULL ? 1 : raft_applied(replica_raft(r)) + 1; i < upto; i++) {
        const struct raft_entry *e = raft_entry_at(replica_raft(r), i);
        if (e == NULL || e->type != RAFT_ENTRY_COMMAND) continue;
        arena_reset(&arena);
        bool comes = meta_command_decode(e->data, &arena, &c) == STATUS_OK && c.kind == META_CMD_MEMBER;
        if (!comes || c.member.remove) continue;
        COVER("meta.member_ahead");
        members_set_peer(m, c.member.id, c.member.address);
    }
    arena_free(&arena);
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

/* HOST:PORT, as far as can be seen: a member that nobody can reach would count all the same. */
static bool has_port(struct slice address)
{
    size_t digits = 0;
    while (digits < address.size && address.data[address.size - 1 - digits] >= '0' &&
           address.data[address.size - 1 - digits] <= '9')
        digits++;
    return digits > 0 && digits <= 5 && address.size > digits + 1 && address.data[address.size - 1 - digits] == ':';
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
    } else if (!has_port(c->member.address)) {
        fault = "the address is not HOST:PORT";
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
