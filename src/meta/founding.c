/* What a member asks the others while it reaches no leader: how the group is, and, with an empty directory, whether it has been a member
 * already. Who has voted and acknowledged and lost its disk must not do so again under the same id as if it were new.
 *
 *            all others are empty too, and each says so of all      IDENTITY: founders
 *   EMPTY ------------------------------------------------------> FOUNDED: a voter of the new group
 *     | '---- somebody has founded it with this very directory ------^
 *     |
 *     '------ the service is there, and knows another directory of ours, or none
 *                --> JOINS: named as learner:  begins blank
 *                           named as voter:    begins recovering: without a vote until a leader has mended it (raft/recover.c)
 *
 * A directory is known by its uuid. A member that is empty tells which directories it has heard of as empty; it founds the group when
 * all others tell the same as itself, so no two can found it with different ones: each tells one list at a time, and a directory that
 * was lost never comes back to a list. All members have to be up once for that: whoever was never asked could have lost what two others
 * know. A list that is in IDENTITY stands, also after a crash half-way: nothing was said in its name before it was durable.
 *
 * Whoever answers may lag, and name the replica that was here before: that one is told that it is gone, and the next word is waited for.
 * Whoever has a log and reaches no leader asks likewise: it may have been away when others came, whose addresses it lacks, or when it
 * was taken out. One of those may lead, and be heard; without its address it cannot be answered. */
#include "base/assert.h"
#include "base/mutant.h"
#include "meta/meta_int.h"
#include "range/members.h"

#include <stdio.h>

#define ASK_EVERY_NS (300 * NS_PER_MS)
#define FOUND_EVERY_NS (30 * NS_PER_MS)
#define ASK_CALL_NS (2000 * NS_PER_MS)
#define SAY_EVERY_NS (5000 * NS_PER_MS)

void founders_set(struct meta_founders *f, uint64_t id, const uint8_t uuid[16])
{
    size_t at = 0;
    while (at < f->count && f->items[at].id < id) at++;
    if (at == f->count || f->items[at].id != id) {
        ASSERT(f->count < LIMIT_VOTERS);
        memmove(&f->items[at + 1], &f->items[at], (f->count++ - at) * sizeof f->items[0]);
    }
    f->items[at].id = id;
    memcpy(f->items[at].uuid, uuid, sizeof f->items[at].uuid);
}

bool founders_name(const struct meta_founders *f, uint64_t id, const uint8_t uuid[16])
{
    for (size_t i = 0; i < f->count; i++) {
        if (f->items[i].id == id) return memcmp(f->items[i].uuid, uuid, sizeof f->items[i].uuid) == 0;
    }
    return false;
}

static bool founders_same(const struct meta_founders *a, const struct meta_founders *b)
{
    for (size_t i = 0; i < a->count; i++) {
        if (!founders_name(b, a->items[i].id, a->items[i].uuid)) return false;
    }
    return a->count == b->count;
}

/* --- the group that does not exist yet --- */

void founding_create(struct meta *m)
{
    struct range_desc d = {.id = META_GROUP, .keyspace = META_KEYSPACE, .start = SLICE_EMPTY, .end = SLICE_EMPTY};
    d.epoch = (struct range_epoch){.conf_ver = 1, .version = 1};
    for (size_t i = 0; i < m->options.member_count; i++) {
        uint64_t id = m->options.members[i].id;
        d.replicas[d.replica_count++] = (struct range_replica){.node_id = id, .replica_id = id, .role = RANGE_VOTER};
    }
    /* Before a first batch is known to be durable nothing is said as a voter: a log damaged by then has lost nothing of the group. */
    if (!m->identity.has_log && !MUTANT(unfounded_log_doubted)) host_log_lost_below(m->host, META_GROUP);
    host_create_replica(m->host, &d);
}

/* Nothing may be said as a voter before the list is durable. */
static void found(struct meta *m, const struct meta_founders *founders)
{
    struct errbuf err = {{0}};
    COVER("meta.founded");
    m->founding = false;
    m->identity.founders = *founders;
    log_event(m->env->log, LOG_INFO, "meta.founded", "member=%llu", (unsigned long long)m->self.node_id);
    if (identity_save(m->env, &m->identity, &err) == STATUS_OK)
        founding_create(m);
    else
        m->env->ops->fatal(m->env, err.text);
}

/* It is there, and was founded without this directory. */
static void found_late(struct meta *m)
{
    COVER("meta.founded_without");
    log_event(
        m->env->log, LOG_WARN, "meta.empty_directory",
        "member=%llu why=\"the metadata service exists, and this directory has no part in it: it gets no vote before "
        "a leader has given it all there is\"",
        (unsigned long long)m->self.node_id);
    m->founding = false;
    m->joins = true;
}

void founding_begin(struct meta *m)
{
    m->founding = true;
    founders_set(&m->heard, m->self.node_id, m->identity.uuid);
}

static void found_if_agreed(struct meta *m)
{
    for (size_t i = 0; i < m->other_count; i++) {
        if (!m->others[i].agrees && !MUTANT(founded_by_some)) return;
    }
    found(m, &m->heard);
}

/* Another one that is empty. */
static void hear_empty(struct meta *m, struct meta_other *o, const struct meta_founders *told)
{
    const uint8_t *uuid = NULL;
    for (size_t i = 0; i < told->count; i++) {
        if (told->items[i].id == o->id) uuid = told->items[i].uuid;
    }
    if (uuid == NULL) return; /* it is to join a service that is there */
    if (!founders_name(&m->heard, o->id, uuid)) {
        founders_set(&m->heard, o->id, uuid);
        for (size_t i = 0; i < m->other_count; i++) m->others[i].agrees = false;
    }
    bool all = m->heard.count == m->options.member_count || MUTANT(founded_by_some);
    o->agrees = all && founders_same(told, &m->heard);
    if (o->agrees) found_if_agreed(m);
}

static void founding_hear(struct meta *m, struct meta_other *o, const struct meta_status_reply *reply)
{
    if (!reply->founded && reply->group.size == 0)
        hear_empty(m, o, &reply->founders);
    else if (founders_name(&reply->founders, m->self.node_id, m->identity.uuid))
        found(m, &reply->founders);
    else if (reply->founded || reply->leader_id != 0) /* of the others, that came later, nobody knows who began it */
        found_late(m);
}

void founding_tell(const struct meta *m, struct meta_status_reply *reply)
{
    reply->founded = !m->founding && m->identity.founders.count > 0;
    reply->founders = m->founding ? m->heard : m->identity.founders;
}

bool founding_text(const struct meta *m, char *text, size_t size)
{
    if (!m->founding) return false;
    size_t at = (size_t)snprintf(text, size, "the metadata service is founded when all its members are up: waits for");
    for (size_t i = 0; i < m->other_count; i++) {
        const struct meta_other *o = &m->others[i];
        if (o->agrees || at >= size) continue;
        at +=
            (size_t)snprintf(text + at, size - at, " %llu (%s)", (unsigned long long)o->id, rpc_peer_address(o->peer));
    }
    return true;
}

/* --- the group that is there --- */

/* Not by somebody who knows an older group than this member. */
static void learn_peers(struct meta *m, const struct meta_status_reply *reply, const struct range_desc *d)
{
    const struct replica *r = host_replica(m->host, META_GROUP);
    if (r != NULL && replica_desc(r)->epoch.conf_ver > d->epoch.conf_ver) return;
    for (size_t i = 0; i < reply->member_count; i++)
        members_set_peer(m, reply->members[i].id, reply->members[i].address);
}

/* How the group is, by somebody who may lag. */
static void learn_group(struct meta *m, const struct range_desc *d)
{
    const struct replica *r = host_replica(m->host, META_GROUP);
    const struct range_replica *own = range_desc_replica(d, m->self.node_id);
    if (r != NULL && range_desc_is_gone(d, replica_id(r))) {
        COVER("meta.member_finds_out");
        host_replica_gone(m->host, META_GROUP, replica_id(r), d->epoch.conf_ver);
    } else if (r == NULL && own != NULL && own->role == RANGE_LEARNER) {
        COVER("meta.joins");
        host_create_replica(m->host, d);
    } else if (r == NULL && own != NULL && MUTANT(emptied_member_trusted)) {
        host_create_replica(m->host, d);
    } else if (r == NULL && own != NULL) {
        COVER("meta.begins_anew");
        host_create_forgetful(m->host, d, "its directory was empty, and it had been a member");
    }
}

static void answered(void *ctx, enum status status, bool sent, const struct reply_head *head)
{
    (void)sent;
    struct meta_other *o = ctx;
    struct meta *m = o->meta;
    struct meta_status_reply reply;
    struct range_desc d;
    struct arena arena;
    o->busy = false;
    m->env->ops->wake(m->env);
    if (status != STATUS_OK || head->status != STATUS_OK || m->stopping || m->env->dead) return;
    arena_init(&arena, 4096);
    bool good = unpack_meta_status_reply(head->payload, &arena, &reply) == STATUS_OK;
    if (good && m->founding) founding_hear(m, o, &reply);
    if (good && !m->founding && !m->env->dead && reply.group.size > 0 &&
        unpack_range_desc(reply.group, &arena, &d) == STATUS_OK) {
        learn_peers(m, &reply, &d);
        learn_group(m, &d);
    }
    arena_free(&arena);
}

/* --- asking --- */

void others_open(struct meta *m)
{
    for (size_t i = 0; i < m->options.member_count; i++) {
        if (m->options.members[i].id == m->options.id) continue;
        struct meta_other *o = &m->others[m->other_count++];
        *o = (struct meta_other){.meta = m, .id = m->options.members[i].id};
        o->peer = rpc_peer_new(m->env, m->addresses[i], &m->self);
        rpc_peer_expect(o->peer, ROLE_META, o->id);
    }
}

void others_close(struct meta *m)
{
    for (size_t i = 0; i < m->other_count; i++) rpc_peer_free(m->others[i].peer);
    m->other_count = 0;
}

/* Nobody leads whom it reaches: perhaps one who came while it was away, and to whom it cannot even answer. */
static bool is_lost(const struct meta *m)
{
    const struct replica *r = host_replica(m->host, META_GROUP);
    if (r == NULL) return m->joins || m->founding;
    uint64_t leader = replica_leader_node(r);
    return leader != m->self.node_id && !host_peer_connected(m->host, leader);
}

static void say_who_lacks(struct meta *m, uint64_t now_ns)
{
    char text[512];
    if (m->say_at_ns == 0) m->say_at_ns = now_ns + SAY_EVERY_NS;
    if (now_ns < m->say_at_ns || !founding_text(m, text, sizeof text)) return;
    m->say_at_ns = now_ns + SAY_EVERY_NS;
    log_event(m->env->log, LOG_WARN, "meta.founding", "%s", text);
}

uint64_t others_pass(struct meta *m, uint64_t now_ns)
{
    const struct replica *r = host_replica(m->host, META_GROUP);
    uint64_t next = DEADLINE_NONE;
    if (m->stopping) return next;
    if (r != NULL && raft_last_index(replica_raft(r)) > 0) m->joins = false;
    bool lost = is_lost(m), due = lost && now_ns >= m->ask_at_ns;
    if (due) m->ask_at_ns = now_ns + (m->founding ? FOUND_EVERY_NS : ASK_EVERY_NS);
    if (due) members_look_ahead(m);
    for (size_t i = 0; i < m->other_count; i++) {
        struct meta_other *o = &m->others[i];
        if (due && !o->busy) {
            o->busy = true;
            (void)rpc_call(o->peer, METHOD_META_STATUS, SLICE_EMPTY, now_ns + ASK_CALL_NS, answered, o);
        }
        uint64_t at = rpc_peer_pass(o->peer, now_ns);
        if (at < next) next = at;
    }
    if (m->founding) say_who_lacks(m, now_ns);
    return lost && m->ask_at_ns < next ? m->ask_at_ns : next;
}
