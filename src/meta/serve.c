/* The requests that a metadata member serves. Only the leader answers; others name it. Commands are proposed and answered
 * when applied; reads are answered after a quorum has confirmed the leadership. */
#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "meta/meta_int.h"
#include "range/members.h"
#include "range/state.h"

enum { TIMESTAMPS_MAX = 1 << 20, HEARTBEAT_RANGES_MAX = 256, HEARTBEAT_BYTES_MAX = 4 << 20 };
#define META_REQUEST_NS (5000 * NS_PER_MS)
#define ASK_ALL_NS (2000 * NS_PER_MS)

static struct meta_request *request_new(struct meta *m, struct rpc_request *req)
{
    struct meta_request *q = mem_zalloc(sizeof *q);
    list_init(&q->link);
    list_init(&q->read.link);
    list_init(&q->proposal.link);
    q->meta = m;
    q->req = req;
    m->requests++;
    return q;
}

static void request_end(struct meta_request *q, const struct reply_head *head)
{
    rpc_reply(q->req, head);
    q->meta->requests--;
    mem_free(q);
}

void meta_refuse(struct meta_request *q, enum status s, bool unknown, const char *message)
{
    struct reply_head head = {.status = s, .unknown_outcome = unknown, .message = slice_str(message)};
    struct replica *r = host_replica(q->meta->host, META_GROUP);
    if (s == STATUS_NOT_LEADER && r != NULL) {
        head.leader_hint = replica_leader_node(r);
        if (head.leader_hint == q->meta->self.node_id) head.leader_hint = 0; /* elected, but not ready to serve */
    }
    request_end(q, &head);
}

void meta_answer(struct meta_request *q, struct slice payload)
{
    request_end(q, &(struct reply_head){.status = STATUS_OK, .message = SLICE_EMPTY, .payload = payload});
}

/* --- commands --- */

static void command_done(struct proposal *p, enum status s, bool unknown, struct slice answer)
{
    struct meta_request *q = LIST_ENTRY(p, struct meta_request, proposal);
    struct reply_head head;
    struct meta *m = q->meta;
    if (s != STATUS_OK) {
        meta_refuse(q, s, unknown, status_text(s));
        return;
    }
    arena_reset(&m->arena);
    enum status decoded = unpack_reply_head(answer, &m->arena, &head);
    ASSERT(decoded == STATUS_OK); /* the machine packed it */
    request_end(q, &head);
}

static void propose(struct meta *m, struct rpc_request *req, const struct meta_command *c)
{
    struct meta_request *q = request_new(m, req);
    buf_clear(&m->scratch);
    meta_command_encode(c, &m->scratch);
    q->proposal.done = command_done;
    q->proposal.deadline_ns = req->received_ns + META_REQUEST_NS;
    enum status s = m->scratch.overflow
                        ? STATUS_TOO_LARGE
                        : replica_propose(host_replica(m->host, META_GROUP), buf_slice(&m->scratch), &q->proposal);
    if (s != STATUS_OK) meta_refuse(q, s, false, status_text(s));
}

/* Nodes whose disks are nearly full are taken only when there are too few others. */
static void candidates_take(struct meta *m, struct meta_command *c, bool tight)
{
    uint64_t now_ns = env_mono_ns(m->env);
    for (size_t i = 0; i < m->state.node_count; i++) {
        const struct meta_node *n = m->state.nodes[i];
        bool is_tight = (n->info.flags & (NODE_DISK_TIGHT | NODE_DISK_FULL)) != 0;
        if (!meta_node_alive(m, n, now_ns) || is_tight != tight) continue;
        struct placement_node *p = &c->candidates[c->candidate_count++];
        *p = (struct placement_node){.id = n->id, .host = n->info.host};
        for (size_t k = 0; k < m->state.range_count; k++) {
            const struct range_desc *d = &m->state.ranges[k]->desc;
            if (range_desc_replica(d, n->id) != NULL) p->replicas++;
            if (d->replica_count > 0 && d->replicas[0].node_id == n->id) p->leaders++;
        }
    }
}

void meta_candidates(struct meta *m, struct meta_command *c)
{
    uint32_t replication = c->keyspace.replication > 0 ? c->keyspace.replication : m->state.cluster.replication;
    c->candidates = arena_zalloc(&m->arena, (m->state.node_count + 1) * sizeof *c->candidates);
    candidates_take(m, c, false);
    if (c->candidate_count < replication) candidates_take(m, c, true);
}

static void on_command(struct meta *m, struct rpc_request *req)
{
    struct meta_command c = {0};
    arena_reset(&m->arena);
    enum status s = STATUS_UNSUPPORTED;
    if (req->method == METHOD_META_INIT) {
        c.kind = META_CMD_INIT;
        s = unpack_meta_init_request(req->params, &m->arena, &c.init);
    } else if (req->method == METHOD_META_REGISTER) {
        c.kind = META_CMD_REGISTER;
        s = unpack_meta_register_request(req->params, &m->arena, &c.node);
        if (s == STATUS_OK && (c.node.uuid.size != 16 || c.node.address.size == 0)) s = STATUS_INVALID;
    } else if (req->method == METHOD_META_KEYSPACE_CREATE) {
        c.kind = META_CMD_KEYSPACE;
        s = unpack_meta_keyspace_request(req->params, &m->arena, &c.keyspace);
        meta_candidates(m, &c);
    } else if (req->method == METHOD_META_REBUILD) {
        c.kind = META_CMD_REBUILD;
        s = unpack_meta_rebuild_request(req->params, &m->arena, &c.rebuild);
    } else if (req->method == METHOD_META_IDS) {
        c.kind = META_CMD_IDS;
        s = unpack_meta_ids_request(req->params, &m->arena, &c.ids);
    } else if (req->method == METHOD_META_NODE_DRAIN) {
        c.kind = META_CMD_DRAIN;
        s = unpack_meta_node_drain_request(req->params, &m->arena, &c.drain);
    } else if (req->method == METHOD_META_KEYSPACE_ALTER) {
        c.kind = META_CMD_KEYSPACE_ALTER;
        s = unpack_meta_keyspace_alter_request(req->params, &m->arena, &c.alter);
    } else if (req->method == METHOD_META_KEYSPACE_DROP) {
        c.kind = META_CMD_KEYSPACE_DROP;
        s = unpack_meta_keyspace_drop_request(req->params, &m->arena, &c.drop);
        c.drop.now_ts = timestamps_about_now(m);
    }
    struct errbuf err = {{0}};
    const char *fault = NULL;
    if (s == STATUS_OK && c.kind == META_CMD_KEYSPACE) fault = keyspace_ttl_fault(c.keyspace.name, c.keyspace.ttl_ms);
    if (s == STATUS_OK && c.kind == META_CMD_KEYSPACE && fault == NULL)
        fault = keyspace_name_fault(&m->state, c.keyspace.name);
    if (s == STATUS_OK && c.kind == META_CMD_KEYSPACE_ALTER) fault = keyspace_ttl_fault(c.alter.name, c.alter.ttl_ms);
    if (s == STATUS_OK && c.kind == META_CMD_KEYSPACE_DROP) fault = keyspace_drop_fault(c.drop.name);
    if (fault != NULL) {
        errbuf_set(&err, "%s", fault);
        s = STATUS_INVALID;
    }
    if (s == STATUS_UNSUPPORTED) s = admin_command(m, req, &c, &err);
    if (s != STATUS_OK) {
        bool told = err.text[0] != '\0';
        rpc_reply_status(req, told ? s : STATUS_INVALID, told ? err.text : "the request's parameters are malformed");
        return;
    }
    propose(m, req, &c);
}

/* --- heartbeats of nodes --- */

static void note_reports(struct meta *m, const struct meta_heartbeat_request *hb)
{
    uint64_t this = ++m->state.heartbeats, now_ns = env_mono_ns(m->env);
    for (size_t i = 0; i < hb->lead_count; i++) {
        const struct range_report *report = &hb->leads[i];
        struct meta_range *r = meta_state_range(&m->state, report->range_id);
        if (r == NULL) continue;
        r->claimed = this;
        if (report->term < r->report.term) continue; /* a former leader's word */
        schedule_note_load(r, report, hb->node_id, m->state.settings.values[SETTING_SPLIT_LOAD], now_ns);
        r->report = *report;
        r->leader = hb->node_id;
    }
    for (size_t i = 0; i < hb->left_count; i++) {
        struct meta_range *r = meta_state_range(&m->state, hb->left[i]);
        if (r != NULL && r->leader == hb->node_id) r->leader = 0;
    }
    for (size_t i = 0; i < m->state.range_count && !hb->is_delta;
         i++) { /* what it no longer claims, it no longer leads */
        struct meta_range *r = m->state.ranges[i];
        if (r->leader == hb->node_id && r->claimed != this) r->leader = 0;
    }
}

/* A range of which the node holds a replica has no leader that is known: perhaps it leads, and said so when nobody listened. */
static bool leader_is_missed(const struct meta *m, const struct meta_node *n)
{
    for (size_t i = 0; i < m->state.range_count; i++) {
        const struct meta_range *r = m->state.ranges[i];
        if (r->leader == 0 && range_desc_replica(&r->desc, n->id) != NULL) return true;
    }
    return false;
}

static uint32_t node_state_flags(const struct meta *m, const struct meta_node *n)
{
    bool maintained = n->maintenance_until_ms > env_wall_ms(m->env);
    uint32_t flags = n->drained || n->leaving || maintained ? NODE_DRAINED : 0;
    if (n->leaving) flags |= NODE_LEAVING;
    if (maintained) flags |= NODE_MAINTENANCE;
    if (n->lost_ms != 0) flags |= NODE_LOST;
    return flags;
}

static void fill_nodes(struct meta *m, struct node_info **out, size_t *count)
{
    uint64_t now_ns = env_mono_ns(m->env);
    struct node_info *nodes = arena_alloc(&m->arena, (m->state.node_count + 1) * sizeof *nodes);
    for (size_t i = 0; i < m->state.node_count; i++) {
        nodes[i] = m->state.nodes[i]->info;
        nodes[i].flags |= node_state_flags(m, m->state.nodes[i]);
        nodes[i].alive = meta_node_alive(m, m->state.nodes[i], now_ns);
    }
    *out = nodes;
    *count = m->state.node_count;
}

/* The ranges of which the node lacks a replica, by count: some at a time, all of its ranges in turn until it has them all. */
static void fill_ranges(struct meta *m, struct meta_node *n, const struct meta_heartbeat_request *hb,
                        struct meta_heartbeat_reply *reply)
{
    size_t expected = 0, bytes = 0;
    for (size_t i = 0; i < m->state.range_count; i++) {
        if (range_desc_replica(&m->state.ranges[i]->desc, n->id) != NULL) expected++;
    }
    if (hb->tells_all) {
        n->strays = 0;
        for (size_t i = 0; i < hb->hold_count; i++) {
            const struct meta_range *r = meta_state_range(&m->state, hb->holds[i].range_id);
            n->strays += r == NULL || range_desc_replica(&r->desc, n->id) == NULL;
        }
    }
    if (hb->range_count >= expected + n->strays) {
        n->told = 0;
        return;
    }
    if (n->told >= m->state.range_count) n->told = 0;
    reply->ranges = arena_alloc(&m->arena, HEARTBEAT_RANGES_MAX * sizeof *reply->ranges);
    for (; n->told < m->state.range_count; n->told++) {
        const struct range_desc *d = &m->state.ranges[n->told]->desc;
        if (range_desc_replica(d, n->id) == NULL) continue;
        if (reply->range_count == HEARTBEAT_RANGES_MAX || bytes > HEARTBEAT_BYTES_MAX) return;
        reply->ranges[reply->range_count++] = *d;
        bytes += d->start.size + d->end.size;
    }
}

/* Others have taken the range in, and nobody is left who could tell it. Either the node holds nothing of those: it was taken out of the
 * left one before it had applied the merge. Or what it has is no whole replica, as after the loss of a disk that knew of the merge: no
 * merge would take rows from there, while it keeps the keys from all that have divided them since. Of a range that is newer than the map
 * nothing of the kind is believed. */
bool meta_was_taken_in(const struct meta *m, const struct meta_node *n, const struct range_orphan *o)
{
    const struct range_desc *d = &o->desc;
    bool covered = false;
    if (meta_state_range(&m->state, d->id) != NULL) return false;
    for (size_t i = 0; i < m->state.range_count; i++) {
        const struct range_desc *other = &m->state.ranges[i]->desc;
        if (!range_desc_overlaps(other, d)) continue;
        if (other->epoch.version <= d->epoch.version) return false;
        if (range_desc_replica(other, n->id) != NULL) {
            if (o->whole) return false;
            COVER("meta.orphan_in_the_way");
        }
        covered = true;
    }
    return covered;
}

/* One too many and one too few make the same number: then the ids tell, and it is asked now and then, for what is missing is perhaps only
 * on its way. */
static bool holds_others(struct meta *m, struct meta_node *n, const struct meta_heartbeat_request *hb,
                         uint64_t expected)
{
    uint64_t now_ns = env_mono_ns(m->env);
    if (hb->holds_sum == 0 || hb->holds_sum == expected || now_ns < n->asked_ns + ASK_ALL_NS) return false;
    COVER("meta.holds_others");
    n->asked_ns = now_ns;
    return true;
}

/* What the node holds and the map says it should not. Asked for when the numbers differ. */
static void fill_gone(struct meta *m, struct meta_node *n, const struct meta_heartbeat_request *hb,
                      struct meta_heartbeat_reply *reply)
{
    size_t expected = 0;
    uint64_t sum = 0;
    for (size_t i = 0; i < m->state.range_count; i++) {
        if (range_desc_replica(&m->state.ranges[i]->desc, n->id) == NULL) continue;
        expected++;
        sum += hash_u64(m->state.ranges[i]->desc.id);
    }
    reply->tell_all = hb->range_count > expected || holds_others(m, n, hb, sum);
    reply->gone = arena_alloc(&m->arena, (hb->hold_count + hb->orphan_count + 1) * sizeof *reply->gone);
    for (size_t i = 0; i < hb->orphan_count; i++) {
        const struct range_orphan *o = &hb->orphans[i];
        if (!meta_was_taken_in(m, n, o)) continue;
        COVER("meta.orphan_of_merge");
        reply->gone[reply->gone_count++] = (struct replica_name){
            .range_id = o->desc.id, .replica_id = o->replica_id, .conf_ver = o->desc.epoch.conf_ver + 1};
    }
    for (size_t i = 0; i < hb->hold_count; i++) {
        const struct replica_name *held = &hb->holds[i];
        const struct meta_range *r = meta_state_range(&m->state, held->range_id);
        if (r == NULL || !range_desc_is_gone(&r->desc, held->replica_id)) continue;
        reply->gone[reply->gone_count++] = (struct replica_name){
            .range_id = held->range_id, .replica_id = held->replica_id, .conf_ver = r->desc.epoch.conf_ver};
    }
}

static void fill_wants(struct meta *m, const struct meta_heartbeat_request *hb, struct meta_heartbeat_reply *reply)
{
    reply->wants = arena_alloc(&m->arena, HEARTBEAT_RANGES_MAX * sizeof *reply->wants);
    for (size_t i = 0; i < hb->lead_count && reply->want_count < HEARTBEAT_RANGES_MAX; i++) {
        if (news_wanted(m, &hb->leads[i])) reply->wants[reply->want_count++] = hb->leads[i].range_id;
    }
}

/* 0 while nobody has set another than the default: then a node's own counts. */
static uint64_t send_rate(const struct meta *m)
{
    struct settings defaults;
    uint64_t rate = m->state.settings.values[SETTING_MOVE_BYTES_PER_S];
    settings_default(&defaults);
    return rate == defaults.values[SETTING_MOVE_BYTES_PER_S] ? 0 : rate + 1;
}

/* When it is another than the node keeps; and where timestamps are, so that it can tell if it is ever asked for it. */
static void fill_catalogue(struct meta *m, const struct meta_heartbeat_request *hb, struct meta_heartbeat_reply *reply)
{
    uint64_t hash;
    struct slice packed = meta_catalogue_packed(&m->state.catalogue, &hash);
    reply->ts_bound = m->state.ts_bound;
    if (hash != hb->catalogue) reply->catalogue = packed;
}

static void on_heartbeat(struct meta *m, struct rpc_request *req)
{
    struct meta_heartbeat_request hb;
    arena_reset(&m->arena);
    if (unpack_meta_heartbeat_request(req->params, &m->arena, &hb) != STATUS_OK) {
        rpc_reply_status(req, STATUS_INVALID, "the heartbeat is malformed");
        return;
    }
    struct meta_node *n = meta_state_node(&m->state, hb.node_id);
    if (n == NULL) {
        rpc_reply_status(req, STATUS_NOT_FOUND, "no node of that id is registered");
        return;
    }
    if (n->lost_ms != 0 && !MUTANT(given_up_let_in)) {
        rpc_reply_status(req, STATUS_FORBIDDEN, "the node was given up by unsafe-recover");
        return;
    }
    for (size_t i = 0; i < hb.changed_count; i++) news_take(m, &hb.changed[i]);
    if (n->heard_ns == 0 && hb.is_delta) { /* it speaks to a new leader, who knows nothing of it */
        struct buf first;
        buf_init(&first, 256);
        pack_meta_heartbeat_reply(&first, &(struct meta_heartbeat_reply){.term = meta_term_told(m)});
        rpc_reply(req, &(struct reply_head){.status = STATUS_OK, .message = SLICE_EMPTY, .payload = buf_slice(&first)});
        buf_free(&first);
        return;
    }
    n->heard_ns = env_mono_ns(m->env);
    n->hello = *rpc_request_hello(req);
    n->info.range_count = hb.range_count;
    n->info.leader_count = hb.leads_total;
    n->info.bytes = hb.bytes;
    n->info.flags = hb.flags & ~(uint32_t)(NODE_DRAINED | NODE_LEAVING | NODE_MAINTENANCE | NODE_LOST);
    n->info.disk_write_us = hb.disk_write_us;
    n->info.disk_free = hb.disk_free;
    n->info.disk_total = hb.disk_total;
    note_reports(m, &hb);
    for (size_t i = 0; i < hb.orphan_count; i++) {
        news_take(m, &hb.orphans[i].desc);
        salvage_note(n, &hb.orphans[i], n->heard_ns);
    }
    struct meta_heartbeat_reply reply = {.map_version = m->state.map_version};
    struct meta_address metas[LIMIT_REPLICAS];
    reply.metas = metas;
    reply.meta_count = members_addresses(m, metas);
    reply.finalised = m->state.finalised;
    reply.send_rate = send_rate(m);
    reply.line_ts = snapshots_line(&m->state, m->applied.version_keep);
    fill_nodes(m, &reply.nodes, &reply.node_count);
    fill_ranges(m, n, &hb, &reply);
    fill_gone(m, n, &hb, &reply);
    operators_verdicts(m, hb.verdicts, hb.verdict_count, n->heard_ns);
    operators_orders(m, n->id, &reply);
    reply.takes_deltas = !leader_is_missed(m, n);
    fill_catalogue(m, &hb, &reply);
    fill_wants(m, &hb, &reply);
    struct buf payload;
    buf_init(&payload, LIMIT_FRAME_BYTES);
    pack_meta_heartbeat_reply(&payload, &reply);
    rpc_reply(req, &(struct reply_head){.status = STATUS_OK, .message = SLICE_EMPTY, .payload = buf_slice(&payload)});
    buf_free(&payload);
}

/* --- reads --- */

static bool map_wants(const struct meta_map_request *q, uint32_t keyspace, const struct range_desc *d)
{
    if (d->replica_count == 0) return false; /* destroyed */
    if (q->keyspace.size > 0 && d->keyspace != keyspace) return false;
    return !q->has_key || range_desc_contains(d, d->keyspace, q->key);
}

static void answer_map(struct meta_request *q)
{
    struct meta *m = q->meta;
    struct meta_map_request request;
    arena_reset(&m->arena);
    if (unpack_meta_map_request(q->req->params, &m->arena, &request) != STATUS_OK) {
        meta_refuse(q, STATUS_INVALID, false, "the map request is malformed");
        return;
    }
    struct meta_map_reply reply = {.map_version = m->state.map_version};
    reply.keyspaces = arena_alloc(&m->arena, (m->state.keyspace_count + 1) * sizeof *reply.keyspaces);
    uint32_t wanted = 0;
    for (size_t i = 0; i < m->state.keyspace_count; i++) {
        const struct meta_keyspace *k = &m->state.keyspaces[i];
        if (request.keyspace.size > 0 && !slice_eq(k->name, request.keyspace)) continue;
        wanted = k->row.id;
        reply.keyspaces[reply.keyspace_count++] = (struct keyspace_info){.id = k->row.id,
                                                                         .name = k->name,
                                                                         .replication = k->row.replication,
                                                                         .buckets = k->row.buckets,
                                                                         .ttl_ms = k->row.ttl_ms,
                                                                         .dropped_ts = k->row.dropped_ts,
                                                                         .destroy_ts = k->row.destroy_ts};
    }
    size_t room = m->state.range_count + 1;
    reply.ranges = arena_alloc(&m->arena, room * sizeof *reply.ranges);
    reply.leaders = arena_alloc(&m->arena, room * sizeof *reply.leaders);
    reply.reports = arena_alloc(&m->arena, room * sizeof *reply.reports);
    for (size_t i = 0; i < m->state.range_count; i++) {
        const struct meta_range *r = m->state.ranges[i];
        if (!map_wants(&request, wanted, &r->desc)) continue;
        reply.ranges[reply.range_count] = r->desc;
        reply.leaders[reply.range_count] = r->leader;
        reply.reports[reply.range_count++] = r->report;
    }
    fill_nodes(m, &reply.nodes, &reply.node_count);
    struct meta_address metas[LIMIT_REPLICAS];
    reply.metas = metas;
    reply.meta_count = members_addresses(m, metas);
    reply.finalised = m->state.finalised;
    struct buf payload;
    buf_init(&payload, LIMIT_FRAME_BYTES - 65536);
    pack_meta_map_reply(&payload, &reply);
    if (payload.overflow) {
        meta_refuse(q, STATUS_TOO_LARGE, false, "the map does not fit one frame: ask for one keyspace");
    } else {
        meta_answer(q, buf_slice(&payload));
    }
    buf_free(&payload);
}

static bool from_member(const struct meta *m, const struct rpc_request *req)
{
    return m->host != NULL && req->peer_role == ROLE_META && req->peer_node_id != 0;
}

static void reply_status(struct rpc_request *req, const struct meta_status_reply *reply)
{
    struct buf payload;
    buf_init(&payload, 65536);
    pack_meta_status_reply(&payload, reply);
    rpc_reply(req, &(struct reply_head){.status = STATUS_OK, .message = SLICE_EMPTY, .payload = buf_slice(&payload)});
    buf_free(&payload);
}

/* By one that has nothing of the group yet: other members are told of which directories it has heard. */
static void answer_outsider(struct meta *m, struct rpc_request *req)
{
    char text[512];
    if (from_member(m, req)) {
        struct meta_status_reply reply = {.group = SLICE_EMPTY};
        founding_tell(m, &reply);
        reply_status(req, &reply);
    } else if (founding_text(m, text, sizeof text)) {
        rpc_reply_status(req, STATUS_RETRY, text);
    } else {
        rpc_reply_status(req, STATUS_RETRY, "this member is being added to the metadata service");
    }
}

static void answer_status(struct meta *m, struct rpc_request *req)
{
    const struct replica *r = host_replica(m->host, META_GROUP);
    if (r == NULL) {
        answer_outsider(m, req);
        return;
    }
    const struct raft *raft = replica_raft(r);
    struct meta_status_reply reply = {.cluster = m->state.cluster.cluster,
                                      .leader_id = raft_leader(raft),
                                      .term = raft_term(raft),
                                      .applied = raft_applied(raft),
                                      .map_version = m->state.map_version,
                                      .last_timestamp = m->ts_next};
    struct meta_address addresses[LIMIT_REPLICAS];
    struct buf group;
    buf_init(&group, 65536);
    pack_range_desc(&group, replica_desc(r));
    reply.group = buf_slice(&group);
    reply.member_count = members_addresses(m, addresses);
    for (size_t i = 0; i < reply.member_count; i++) {
        uint64_t id = addresses[i].id;
        reply.members[i].id = id;
        reply.members[i].address = addresses[i].address;
        reply.members[i].healthy = id == m->self.node_id || host_peer_connected(m->host, id);
        reply.members[i].votes = range_desc_replica(replica_desc(r), id)->role != RANGE_LEARNER;
    }
    founding_tell(m, &reply);
    reply_status(req, &reply);
    buf_free(&group);
}

static void read_confirmed(struct read_wait *w, enum status s)
{
    struct meta_request *q = LIST_ENTRY(w, struct meta_request, read);
    if (s != STATUS_OK || !q->meta->leads || q->term != q->meta->term) {
        meta_refuse(q, s == STATUS_OK ? STATUS_NOT_LEADER : s, false,
                    "a quorum of the metadata service did not confirm");
    } else if (q->req->method == METHOD_META_TIMESTAMPS) {
        timestamps_serve(q);
    } else if (!replica_read_holds(host_replica(q->meta->host, META_GROUP), w)) {
        s = replica_read(host_replica(q->meta->host, META_GROUP), w);
        if (s != STATUS_OK) meta_refuse(q, s, false, status_text(s));
    } else if (q->req->method == METHOD_META_MAP) {
        answer_map(q);
    } else {
        admin_read(q);
    }
}

static void on_read(struct meta *m, struct rpc_request *req)
{
    struct meta_request *q = request_new(m, req);
    arena_reset(&m->arena);
    if (req->method == METHOD_META_TIMESTAMPS) {
        struct meta_timestamps_request ts;
        if (unpack_meta_timestamps_request(req->params, &m->arena, &ts) != STATUS_OK || ts.count == 0 ||
            ts.count > TIMESTAMPS_MAX) {
            meta_refuse(q, STATUS_INVALID, false, "a timestamp request names how many: 1 to 1,048,576");
            return;
        }
        q->ts_count = ts.count;
        const struct meta_node *n = req->peer_role == ROLE_NODE ? meta_state_node(&m->state, req->peer_node_id) : NULL;
        if (n != NULL &&
            n->lost_ms != 0) { /* so nothing is written by those who were given up, whoever still listens to them */
            meta_refuse(q, STATUS_FORBIDDEN, false, "the node was given up by unsafe-recover");
            return;
        }
    }
    q->term = m->term;
    q->read.ready = read_confirmed;
    q->read.deadline_ns = req->received_ns + META_REQUEST_NS;
    if (MUTANT(timestamps_unconfirmed) && req->method == METHOD_META_TIMESTAMPS) {
        timestamps_serve(q);
        return;
    }
    enum status s = replica_read(host_replica(m->host, META_GROUP), &q->read);
    if (s != STATUS_OK) meta_refuse(q, s, false, status_text(s));
}

/* Begun: who asks looks who leads. */
static void on_transfer(struct meta *m, struct rpc_request *req)
{
    struct range_transfer_request asked;
    struct errbuf err = {{0}};
    arena_reset(&m->arena);
    enum status s = unpack_range_transfer_request(req->params, &m->arena, &asked);
    if (s == STATUS_OK && asked.range_id != META_GROUP) s = STATUS_INVALID;
    if (s != STATUS_OK) {
        rpc_reply_status(req, s, "not a transfer of the metadata service's leadership");
    } else if (!m->leads) {
        meta_refuse(request_new(m, req), STATUS_NOT_LEADER, false, "another member leads the metadata service");
    } else {
        s = replica_transfer(host_replica(m->host, META_GROUP), asked.node_id, &err);
        rpc_reply_status(req, s, s == STATUS_OK ? "" : err.text);
    }
}

/* --- dispatch --- */

/* Whoever has had no answer from a leader takes the map as any member has it, that knows none either: it goes by epochs, so an
 * old one costs a detour, and no map would cost the answer. That there is no such keyspace is only for a leader to say. */
static bool map_without_leader(struct meta *m, struct rpc_request *req)
{
    const struct replica *r = host_replica(m->host, META_GROUP);
    struct meta_map_request q;
    if (req->method != METHOD_META_MAP || r == NULL || !m->loaded || m->stopping || !m->state.has_cluster) return false;
    if (raft_leader(replica_raft(r)) != 0) return false;
    arena_reset(&m->arena);
    if (unpack_meta_map_request(req->params, &m->arena, &q) != STATUS_OK || !q.any) return false;
    if (q.keyspace.size > 0 && meta_state_keyspace(&m->state, q.keyspace) == NULL) return false;
    COVER("meta.map_without_leader");
    answer_map(request_new(m, req));
    return true;
}

static void on_led(struct meta *m, struct rpc_request *req)
{
    if (!m->leads && map_without_leader(m, req)) return;
    if (MUTANT(timestamps_unconfirmed) && req->method == METHOD_META_TIMESTAMPS && m->loaded && m->ts_next != 0) {
        on_read(m, req);
        return;
    }
    if (!m->leads || !m->loaded || m->stopping) {
        meta_refuse(request_new(m, req), STATUS_NOT_LEADER, false,
                    "another member leads the metadata service, or none does");
    } else if (!m->state.has_cluster && req->method != METHOD_META_INIT && req->method != METHOD_META_REBUILD) {
        rpc_reply_status(req, STATUS_NOT_INITIALIZED, "the cluster has not been initialised: quorate init");
    } else if (req->method == METHOD_META_HEARTBEAT) {
        on_heartbeat(m, req);
    } else if (req->method == METHOD_META_TIMESTAMPS || req->method == METHOD_META_MAP || admin_is_read(m, req)) {
        on_read(m, req);
    } else if (req->method == METHOD_META_RECOVER) {
        salvage_asked(m, req);
    } else {
        arena_reset(&m->arena);
        if (!admin_answers(m, req)) on_command(m, req);
    }
}

void meta_on_request(void *ctx, struct rpc_request *req)
{
    struct meta *m = ctx;
    switch (req->method) {
    case METHOD_RAFT:
    case METHOD_EFFECTS:
    case METHOD_LIVENESS:
    case METHOD_GONE:
    case METHOD_SNAPSHOT:
        if (!from_member(m, req)) {
            if (req->notify) {
                rpc_request_drop(req);
            } else {
                rpc_reply_status(req, STATUS_UNSUPPORTED, "only members of the metadata service send this");
            }
        } else if (req->method == METHOD_RAFT) {
            host_on_raft(m->host, req);
        } else if (req->method == METHOD_EFFECTS) {
            host_on_effects(m->host, req);
        } else if (req->method == METHOD_GONE) {
            host_on_gone(m->host, req);
        } else if (req->method == METHOD_LIVENESS) {
            host_on_liveness(m->host, req);
        } else {
            host_on_snapshot(m->host, req);
        }
        return;
    case METHOD_META_STATUS: answer_status(m, req); return;
    case METHOD_META_INIT:
    case METHOD_META_REGISTER:
    case METHOD_META_HEARTBEAT:
    case METHOD_META_TIMESTAMPS:
    case METHOD_META_MAP:
    case METHOD_META_KEYSPACE_CREATE:
    case METHOD_META_IDS:
    case METHOD_META_NODE_DRAIN:
    case METHOD_META_NODE:
    case METHOD_META_OP:
    case METHOD_META_OPS:
    case METHOD_META_CONFIG:
    case METHOD_META_PLACEMENT:
    case METHOD_META_RECOVER:
    case METHOD_META_MEMBER:
    case METHOD_META_UPGRADE:
    case METHOD_META_SNAPSHOT:
    case METHOD_META_REBUILD:
    case METHOD_META_KEYSPACE_ALTER:
    case METHOD_META_KEYSPACE_DROP: on_led(m, req); return;
    case METHOD_RANGE_TRANSFER: on_transfer(m, req); return;
    case METHOD_RANGE_SPLIT:
    case METHOD_RANGE_MERGE:
    case METHOD_WATCH:
    case METHOD_RANGE_CHECK:
    case METHOD_NODE_HOLDS:
    case METHOD_HELLO:
    case METHOD_TXN:
    case METHOD_GET:
    case METHOD_SCAN:
    case METHOD_RESOLVE:
    case METHOD_NODE_STATUS: break;
    case METHOD_RESOLVED: rpc_request_drop(req); return;
    }
    rpc_reply_status(req, STATUS_UNSUPPORTED, "the metadata service does not serve this method: ask a storage node");
}
