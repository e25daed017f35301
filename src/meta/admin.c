/* What admins ask of the leader: operators, settings, the use of nodes. */
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/cursor.h"
#include "meta/meta_int.h"

/* --- commands --- */

/* A learner may always go, a voter when there are more than asked for. */
static bool may_lose(const struct meta *m, const struct meta_range *r, uint64_t node_id)
{
    const struct range_replica *goes = range_desc_replica(&r->desc, node_id);
    uint32_t voters = 0;
    for (size_t i = 0; i < r->desc.replica_count; i++) voters += r->desc.replicas[i].role != RANGE_LEARNER;
    if (goes == NULL || goes->role == RANGE_LEARNER)
        return true; /* who is not there is refused later, with that reason */
    return voters > schedule_replication(m, r->desc.keyspace);
}

static enum status op_command(struct meta *m, const struct meta_op_request *q, struct meta_command *c,
                              struct errbuf *err)
{
    if (q->verb == OPERATOR_VERB_CANCEL) {
        const struct meta_operator *op = operator_by_id(m, q->id);
        c->kind = META_CMD_OPERATOR_END;
        if (op == NULL) {
            errbuf_set(err, "no operator with the id %llu is running", (unsigned long long)q->id);
            return STATUS_NOT_FOUND;
        }
        c->operator= op->row;
        c->operator.state = OPERATOR_CANCELLED;
        c->operator.ended_ms = env_wall_ms(m->env);
        c->operator.how_ended = slice_str("by an admin");
        return STATUS_OK;
    }
    if (q->kind == 0) {
        errbuf_set(err, "it is not said what is to be done");
        return STATUS_INVALID;
    }
    if (q->kind == OPERATOR_ALONE) {
        errbuf_set(err, "that is only begun by unsafe-recover");
        return STATUS_INVALID;
    }
    const struct meta_range *range = meta_state_range(&m->state, q->range_id);
    if (range == NULL) {
        errbuf_set(err, "there is no range of that id");
        return STATUS_NOT_FOUND;
    }
    if (q->kind == OPERATOR_REMOVE && !may_lose(m, range, q->from)) {
        errbuf_set(
            err,
            "the range would have fewer replicas than its keyspace asks for: move the replica, or lower that first "
            "(keyspace alter --replication)");
        return STATUS_CONDITION_FAILED;
    }
    c->kind = META_CMD_OPERATOR_BEGIN;
    c->operator=(struct operator_row){.range_id = q->range_id,
                                      .kind = q->kind,
                                      .from = q->from,
                                      .to = q->to,
                                      .conf_ver = range->desc.epoch.conf_ver, /* what was looked at here */
                                      .began_ms = env_wall_ms(m->env),
                                      .why = slice_str("asked for by an admin"),
                                      .state = OPERATOR_RUNNING,
                                      .how_ended = SLICE_EMPTY};
    return STATUS_OK;
}

enum status admin_command(struct meta *m, const struct rpc_request *req, struct meta_command *c, struct errbuf *err)
{
    enum status s = STATUS_UNSUPPORTED;
    if (req->method == METHOD_META_OP) {
        struct meta_op_request q;
        s = unpack_meta_op_request(req->params, &m->arena, &q);
        if (s == STATUS_OK) s = op_command(m, &q, c, err);
    } else if (req->method == METHOD_META_MEMBER) {
        s = unpack_meta_member_request(req->params, &m->arena, &c->member);
        if (s == STATUS_OK) s = members_command(m, c, err);
        if (s == STATUS_OK && c->member.remove) c->member.address = slice_str(members_address_of(m, c->member.id));
    } else if (req->method == METHOD_META_UPGRADE) {
        struct meta_upgrade_request q;
        s = unpack_meta_upgrade_request(req->params, &m->arena, &q);
        if (s == STATUS_OK) s = upgrade_command(m, &q, c, err);
    } else if (req->method == METHOD_META_CONFIG) {
        c->kind = META_CMD_SETTING;
        s = unpack_meta_config_request(req->params, &m->arena, &c->setting);
    } else if (req->method == METHOD_META_PLACEMENT) {
        c->kind = META_CMD_PLACEMENT;
        s = unpack_meta_placement_request(req->params, &m->arena, &c->placement);
    } else if (req->method == METHOD_META_SNAPSHOT) {
        c->kind = META_CMD_SNAPSHOT;
        s = unpack_meta_snapshot_request(req->params, &m->arena, &c->snapshot);
        if (s == STATUS_OK) s = snapshots_command(m, c, err);
    } else if (req->method == METHOD_META_NODE) {
        c->kind = META_CMD_NODE;
        c->now_ms = env_wall_ms(m->env);
        s = unpack_meta_node_request(req->params, &m->arena, &c->node_verb);
    }
    return s;
}

/* --- what needs no command --- */

/* Can every range find a place when the node goes? NULL: yes. */
static bool can_leave(const struct meta *m, uint64_t node_id, char *text, size_t size)
{
    uint64_t now_ns = env_mono_ns(m->env), bytes = 0, room = 0;
    size_t others = 0, held = 0, full = 0;
    uint32_t most = 1;
    for (size_t i = 0; i < m->state.node_count; i++) {
        const struct meta_node *n = m->state.nodes[i];
        bool tight = (n->info.flags & (NODE_DISK_TIGHT | NODE_DISK_FULL)) != 0;
        if (n->id == node_id || schedule_life(m, n, now_ns) != PLACEMENT_UP) continue;
        full += tight;
        if (tight) continue;
        others++;
        room += n->info.disk_free;
    }
    for (size_t i = 0; i < m->state.range_count; i++) {
        const struct meta_range *r = m->state.ranges[i];
        if (range_desc_replica(&r->desc, node_id) == NULL) continue;
        held++;
        bytes += r->report.bytes;
        if (r->desc.replica_count > most) most = (uint32_t)r->desc.replica_count;
    }
    for (size_t i = 0; i < m->state.keyspace_count; i++) {
        if (m->state.keyspaces[i].row.replication > most) most = m->state.keyspaces[i].row.replication;
    }
    if (held > 0 && others < most) {
        (void)snprintf(
            text, size,
            "it holds replicas of %zu ranges, and a keyspace asks for %u replicas: only %zu other nodes are up "
            "and take replicas (%zu more have a disk that is nearly full); add %zu first",
            held, most, others, full, most - others);
        return false;
    }
    if (bytes > room && room > 0) {
        (void)snprintf(text, size, "its replicas have %llu MiB, the other nodes' disks have %llu MiB free: add a node",
                       (unsigned long long)(bytes >> 20), (unsigned long long)(room >> 20));
        return false;
    }
    bool small = bytes < (1u << 20);
    (void)snprintf(text, size, "%zu replicas with %llu %s go to %zu other nodes", held,
                   (unsigned long long)(bytes >> (small ? 10 : 20)), small ? "KiB" : "MiB", others);
    return true;
}

static void reply_text(struct rpc_request *req, const char *text)
{
    struct buf payload;
    buf_init(&payload, 4096);
    pack_meta_node_reply(&payload, &(struct meta_node_reply){.text = slice_str(text)});
    rpc_reply(req, &(struct reply_head){.status = STATUS_OK, .message = SLICE_EMPTY, .payload = buf_slice(&payload)});
    buf_free(&payload);
}

/* Whether every range that has a voter there and one on another node that is away keeps a majority without both. */
static bool may_rest(struct meta *m, uint64_t node_id, char *text, size_t size)
{
    uint64_t now_ns = env_mono_ns(m->env), now_ms = env_wall_ms(m->env);
    for (size_t i = 0; i < m->state.range_count; i++) {
        const struct range_desc *d = &m->state.ranges[i]->desc;
        uint64_t voters = 0, left = 0, beside = 0;
        if (range_desc_replica(d, node_id) == NULL) continue;
        for (size_t k = 0; k < d->replica_count; k++) {
            const struct meta_node *n = meta_state_node(&m->state, d->replicas[k].node_id);
            bool away = n == NULL || n->maintenance_until_ms > now_ms || !meta_node_alive(m, n, now_ns);
            if (d->replicas[k].role == RANGE_LEARNER) continue;
            voters++;
            if (d->replicas[k].node_id == node_id) continue;
            if (away) beside = d->replicas[k].node_id;
            if (!away) left++;
        }
        if (beside == 0 || left > voters / 2) continue;
        (void)snprintf(
            text, size,
            "range %llu would have no quorum: node %llu is down or in maintenance, too. Wait until it is back, and end "
            "that first (quorate node maintenance %llu --end)",
            (unsigned long long)d->id, (unsigned long long)beside, (unsigned long long)beside);
        return false;
    }
    return true;
}

static bool scatter(struct meta *m, struct rpc_request *req, struct slice keyspace)
{
    const struct meta_keyspace *k = meta_state_keyspace(&m->state, keyspace);
    uint64_t count = 0;
    if (k == NULL) {
        rpc_reply_status(req, STATUS_NOT_FOUND, "no keyspace of that name exists");
        return true;
    }
    for (size_t i = 0; i < m->state.range_count; i++) {
        const struct range_desc *d = &m->state.ranges[i]->desc;
        if (d->keyspace != k->row.id || d->replica_count == 0) continue;
        uint64_t to = d->replicas[count % d->replica_count].node_id;
        count++;
        if (to == m->state.ranges[i]->leader) continue;
        operators_begin(m, &(struct operator_row){.range_id = d->id,
                                                  .kind = OPERATOR_TRANSFER,
                                                  .to = to,
                                                  .conf_ver = d->epoch.conf_ver,
                                                  .began_ms = env_wall_ms(m->env),
                                                  .why = slice_str("scattered by an admin"),
                                                  .state = OPERATOR_RUNNING,
                                                  .how_ended = SLICE_EMPTY});
    }
    struct buf payload;
    buf_init(&payload, 64);
    pack_meta_op_reply(&payload, &(struct meta_op_reply){.id = count});
    rpc_reply(req, &(struct reply_head){.status = STATUS_OK, .message = SLICE_EMPTY, .payload = buf_slice(&payload)});
    buf_free(&payload);
    return true;
}

/* True: answered, and nothing is to be proposed. */
bool admin_answers(struct meta *m, struct rpc_request *req)
{
    char text[400];
    if (req->method == METHOD_META_OP) {
        struct meta_op_request q;
        if (unpack_meta_op_request(req->params, &m->arena, &q) != STATUS_OK || q.verb != OPERATOR_VERB_SCATTER)
            return false;
        return scatter(m, req, q.keyspace);
    }
    if (req->method != METHOD_META_NODE) return false;
    struct meta_node_request q;
    if (unpack_meta_node_request(req->params, &m->arena, &q) != STATUS_OK) return false;
    bool rests = q.verb == NODE_VERB_MAINTENANCE && q.for_ms > 0;
    if (!rests && q.verb != NODE_VERB_DECOMMISSION) return false;
    if (meta_state_node(&m->state, q.node_id) == NULL) {
        rpc_reply_status(req, STATUS_NOT_FOUND, "no node of that id is registered");
    } else if (rests) {
        if (may_rest(m, q.node_id, text, sizeof text)) return false;
        COVER("admin.cannot_rest");
        rpc_reply_status(req, STATUS_CONDITION_FAILED, text);
    } else if (!can_leave(m, q.node_id, text, sizeof text)) {
        COVER("admin.cannot_leave");
        rpc_reply_status(req, STATUS_CONDITION_FAILED, text);
    } else if (q.dry_run) {
        reply_text(req, text);
    } else {
        return false;
    }
    return true;
}

/* --- reads --- */

bool admin_is_read(struct meta *m, const struct rpc_request *req)
{
    struct meta_config_request q;
    struct meta_placement_request rules;
    struct meta_upgrade_request upgrade;
    struct meta_snapshot_request snapshots;
    if (req->method == METHOD_META_OPS) return true;
    arena_reset(&m->arena);
    if (req->method == METHOD_META_UPGRADE)
        return unpack_meta_upgrade_request(req->params, &m->arena, &upgrade) == STATUS_OK && !upgrade.finalize;
    if (req->method == METHOD_META_SNAPSHOT)
        return unpack_meta_snapshot_request(req->params, &m->arena, &snapshots) == STATUS_OK &&
               snapshots.verb == SNAPSHOT_VERB_LIST;
    if (req->method == METHOD_META_PLACEMENT)
        return unpack_meta_placement_request(req->params, &m->arena, &rules) == STATUS_OK &&
               rules.rule.keyspace.size == 0;
    return req->method == METHOD_META_CONFIG && unpack_meta_config_request(req->params, &m->arena, &q) == STATUS_OK &&
           q.name.size == 0;
}

static int newest_first(const void *a, const void *b)
{
    const struct operator_info *x = a, *y = b;
    if ((x->state == OPERATOR_RUNNING) != (y->state == OPERATOR_RUNNING)) return x->state == OPERATOR_RUNNING ? -1 : 1;
    return x->id > y->id ? -1 : x->id < y->id;
}

static struct operator_info info_of(const struct meta *m, const struct meta_operator *op)
{
    const struct operator_row *row = &op->row;
    struct operator_info info = {.id = row->id,
                                 .range_id = row->range_id,
                                 .kind = row->kind,
                                 .state = row->state,
                                 .from = row->from,
                                 .to = row->to,
                                 .began_ms = row->began_ms,
                                 .ended_ms = row->ended_ms,
                                 .percent = op->percent,
                                 .why = row->why,
                                 .step = row->how_ended};
    if (row->state != OPERATOR_RUNNING) return info;
    const struct meta_range *r = meta_state_range(&m->state, row->range_id);
    struct range_order order;
    const char *what;
    (void)operators_next(m, row, &order, &what);
    if (r != NULL && r->leader == 0) what = "the range has no leader that is known";
    info.step = slice_str(op->step[0] != '\0' ? op->step : what);
    return info;
}

static void fill_operators(struct meta *m, struct meta_ops_reply *reply)
{
    const struct meta_operators *o = &m->state.operators;
    uint64_t range;
    void *value;
    reply->ops = arena_alloc(&m->arena, (o->running.count + OPERATORS_ENDED_MAX) * sizeof *reply->ops);
    for (size_t it = 0; map_next(&o->running, &it, &range, &value);) reply->ops[reply->op_count++] = info_of(m, value);
    for (size_t i = 0; i < OPERATORS_ENDED_MAX; i++) {
        if (o->ended[i] != NULL) reply->ops[reply->op_count++] = info_of(m, o->ended[i]);
    }
    qsort(reply->ops, reply->op_count, sizeof *reply->ops, newest_first);
}

static void fill_notes(struct meta *m, struct meta_ops_reply *reply)
{
    const struct placement_plan *p = &m->schedule.plan;
    reply->notes = arena_zalloc(&m->arena, (PLACEMENT_REASONS + 1) * sizeof *reply->notes);
    for (unsigned i = 0; i < PLACEMENT_REASONS; i++) {
        const struct placement_note *n = &p->notes[i];
        if (n->count == 0) continue;
        reply->notes[reply->note_count++] =
            (struct scheduler_note){.name = slice_str("not done"),
                                    .text = slice_str(placement_reason_text((enum placement_reason)i)),
                                    .count = n->count,
                                    .range_id = n->range};
    }
    if (m->schedule.rounds == 0)
        reply->notes[reply->note_count++] = (struct scheduler_note){
            .name = slice_str("waits"),
            .text = slice_str("for the nodes to tell what they hold, after a change of leader")};
    reply->rounds = m->schedule.rounds;
    reply->round_ns = m->schedule.took_ns;
    reply->failures_borne = p->failures_borne;
    reply->ranges_short = p->ranges_short;
    reply->ranges_stopped = p->ranges_without_quorum;
}

static void fill_settings(struct meta *m, struct meta_config_reply *reply)
{
    reply->settings = arena_alloc(&m->arena, SETTING_COUNT * sizeof *reply->settings);
    for (unsigned i = 0; i < SETTING_COUNT; i++) {
        enum setting_id id = (enum setting_id)i;
        char *text = arena_alloc(&m->arena, 24);
        (void)snprintf(text, 24, "%llu", (unsigned long long)m->state.settings.values[i]);
        if (setting_is_switch(id)) (void)snprintf(text, 24, "%s", m->state.settings.values[i] != 0 ? "on" : "off");
        reply->settings[reply->setting_count++] =
            (struct setting){.name = slice_str(setting_name(id)), .value = slice_str(text)};
    }
}

static void fill_rules(struct meta *m, struct meta_placement_reply *reply)
{
    reply->rules = arena_alloc(&m->arena, (m->state.keyspace_count + 1) * sizeof *reply->rules);
    for (size_t i = 0; i < m->state.keyspace_count; i++) {
        const struct meta_keyspace *k = &m->state.keyspaces[i];
        reply->rules[reply->rule_count++] = (struct placement_rule){.keyspace = k->name,
                                                                    .voters = k->row.replication,
                                                                    .learners = k->rules.learners,
                                                                    .within = k->rules.within,
                                                                    .leaders = k->rules.leaders,
                                                                    .learners_within = k->rules.learners_within};
    }
}

void admin_read(struct meta_request *q)
{
    struct meta *m = q->meta;
    struct buf payload;
    buf_init(&payload, LIMIT_FRAME_BYTES - 65536);
    arena_reset(&m->arena);
    if (q->req->method == METHOD_META_OPS) {
        struct meta_ops_reply reply = {0};
        fill_operators(m, &reply);
        fill_notes(m, &reply);
        pack_meta_ops_reply(&payload, &reply);
    } else if (q->req->method == METHOD_META_UPGRADE) {
        struct meta_upgrade_reply reply = {0};
        upgrade_survey(m, 0, &reply);
        pack_meta_upgrade_reply(&payload, &reply);
    } else if (q->req->method == METHOD_META_PLACEMENT) {
        struct meta_placement_reply reply = {0};
        fill_rules(m, &reply);
        pack_meta_placement_reply(&payload, &reply);
    } else if (q->req->method == METHOD_META_SNAPSHOT) {
        struct meta_snapshot_reply reply;
        snapshots_fill(m, &reply);
        pack_meta_snapshot_reply(&payload, &reply);
    } else {
        struct meta_config_reply reply = {0};
        fill_settings(m, &reply);
        pack_meta_config_reply(&payload, &reply);
    }
    meta_answer(q, buf_slice(&payload));
    buf_free(&payload);
}
