/* Orders to leaders and what became of them, operators, settings. */
#include "wire/messages_int.h"

#include "base/assert.h"

#define NAME_WIRE_MIN 4u
#define ORDER_WIRE_MIN 8u
#define ORPHAN_WIRE_MIN 16u
#define ITEM_WIRE_MIN 7u
#define VERDICT_WIRE_MIN 5u
#define OPERATOR_WIRE_MIN 12u
#define NOTE_WIRE_MIN 5u
#define SETTING_WIRE_MIN 3u
#define RULE_WIRE_MIN 7u
#define OPS_MAX 4096u
#define SETTINGS_MAX 256u

/* --- replicas --- */

void pack_replica_name(struct buf *b, const struct replica_name *m)
{
    pack_array(b, 3);
    pack_uint(b, m->range_id);
    pack_uint(b, m->replica_id);
    pack_uint(b, m->conf_ver);
}

static void read_replica_name(struct unpack *u, struct arena *arena, struct replica_name *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 3);
    m->range_id = unpack_uint(u);
    m->replica_id = unpack_uint(u);
    m->conf_ver = unpack_uint(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(replica_name)

void pack_replica_names(struct buf *b, const struct replica_name *names, size_t count)
{
    pack_array(b, list_count(count));
    for (size_t i = 0; i < count; i++) pack_replica_name(b, &names[i]);
}

struct replica_name *read_replica_names(struct unpack *u, struct arena *arena, size_t *count)
{
    struct replica_name *names = read_list(u, arena, sizeof(*names), NAME_WIRE_MIN, MESSAGE_LIST_MAX, count);
    for (size_t i = 0; i < *count && !u->failed; i++) read_replica_name(u, arena, &names[i]);
    return names;
}

/* --- orders and verdicts --- */

void pack_range_orders(struct buf *b, const struct range_order *orders, size_t count)
{
    pack_array(b, list_count(count));
    for (size_t i = 0; i < count; i++) {
        pack_array(b, 7);
        pack_uint(b, orders[i].op);
        pack_uint(b, orders[i].range_id);
        pack_uint(b, orders[i].conf_ver);
        pack_uint(b, (uint64_t)orders[i].kind);
        pack_uint(b, orders[i].to);
        pack_uint(b, orders[i].from);
        pack_uint(b, orders[i].epoch);
    }
}

struct range_order *read_range_orders(struct unpack *u, struct arena *arena, size_t *count)
{
    struct range_order *orders = read_list(u, arena, sizeof(*orders), ORDER_WIRE_MIN, MESSAGE_LIST_MAX, count);
    for (size_t i = 0; i < *count && !u->failed; i++) {
        uint32_t extra = unpack_open(u, 7);
        orders[i].op = unpack_uint(u);
        orders[i].range_id = unpack_uint(u);
        orders[i].conf_ver = unpack_uint(u);
        orders[i].kind = (enum order_kind)read_enum(u, ORDER_ADD, ORDER_ALONE);
        orders[i].to = unpack_uint(u);
        orders[i].from = unpack_uint(u);
        orders[i].epoch = unpack_uint(u);
        unpack_close(u, extra);
    }
    return orders;
}

void pack_order_verdicts(struct buf *b, const struct order_verdict *verdicts, size_t count)
{
    pack_array(b, list_count(count));
    for (size_t i = 0; i < count; i++) {
        pack_array(b, 4);
        pack_uint(b, verdicts[i].op);
        pack_uint(b, (uint64_t)verdicts[i].status);
        pack_uint(b, verdicts[i].percent);
        pack_text(b, verdicts[i].text);
    }
}

struct order_verdict *read_order_verdicts(struct unpack *u, struct arena *arena, size_t *count)
{
    struct order_verdict *verdicts = read_list(u, arena, sizeof(*verdicts), VERDICT_WIRE_MIN, MESSAGE_LIST_MAX, count);
    for (size_t i = 0; i < *count && !u->failed; i++) {
        uint32_t extra = unpack_open(u, 4);
        verdicts[i].op = unpack_uint(u);
        verdicts[i].status = (enum status)read_enum(u, 0, STATUS_COUNT - 1);
        verdicts[i].percent = (uint32_t)read_enum(u, 0, 100);
        verdicts[i].text = read_bin(u, 0, MESSAGE_TEXT_MAX);
        unpack_close(u, extra);
    }
    return verdicts;
}

/* --- operators --- */

static void pack_operator_info(struct buf *b, const struct operator_info *m)
{
    pack_array(b, 11);
    pack_uint(b, m->id);
    pack_uint(b, m->range_id);
    pack_uint(b, (uint64_t)m->kind);
    pack_uint(b, (uint64_t)m->state);
    pack_uint(b, m->from);
    pack_uint(b, m->to);
    pack_uint(b, m->began_ms);
    pack_uint(b, m->ended_ms);
    pack_uint(b, m->percent);
    pack_text(b, m->why);
    pack_text(b, m->step);
}

static void read_operator_info(struct unpack *u, struct operator_info *m)
{
    uint32_t extra = unpack_open(u, 11);
    m->id = unpack_uint(u);
    m->range_id = unpack_uint(u);
    m->kind = (enum operator_kind)read_enum(u, OPERATOR_ADD, OPERATOR_KINDS - 1);
    m->state = (enum operator_state)read_enum(u, OPERATOR_RUNNING, OPERATOR_CANCELLED);
    m->from = unpack_uint(u);
    m->to = unpack_uint(u);
    m->began_ms = unpack_uint(u);
    m->ended_ms = unpack_uint(u);
    m->percent = (uint32_t)read_enum(u, 0, 100);
    m->why = read_bin(u, 0, MESSAGE_TEXT_MAX);
    m->step = read_bin(u, 0, MESSAGE_TEXT_MAX);
    unpack_close(u, extra);
}

void pack_meta_op_request(struct buf *b, const struct meta_op_request *m)
{
    pack_array(b, 7);
    pack_uint(b, (uint64_t)m->verb);
    pack_uint(b, (uint64_t)m->kind);
    pack_uint(b, m->id);
    pack_uint(b, m->range_id);
    pack_uint(b, m->from);
    pack_uint(b, m->to);
    pack_bin(b, m->keyspace);
}

static void read_meta_op_request(struct unpack *u, struct arena *arena, struct meta_op_request *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 7);
    m->verb = (enum operator_verb)read_enum(u, OPERATOR_VERB_START, OPERATOR_VERB_SCATTER);
    m->kind = (enum operator_kind)read_enum(u, 0, OPERATOR_KINDS - 1);
    m->id = unpack_uint(u);
    m->range_id = unpack_uint(u);
    m->from = unpack_uint(u);
    m->to = unpack_uint(u);
    m->keyspace = read_bin(u, 0, LIMIT_KEYSPACE_NAME);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_op_request)

void pack_meta_op_reply(struct buf *b, const struct meta_op_reply *m)
{
    pack_array(b, 1);
    pack_uint(b, m->id);
}

static void read_meta_op_reply(struct unpack *u, struct arena *arena, struct meta_op_reply *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 1);
    m->id = unpack_uint(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_op_reply)

void pack_meta_ops_reply(struct buf *b, const struct meta_ops_reply *m)
{
    pack_array(b, 7);
    pack_array(b, list_count(m->op_count));
    for (size_t i = 0; i < m->op_count; i++) pack_operator_info(b, &m->ops[i]);
    pack_array(b, list_count(m->note_count));
    for (size_t i = 0; i < m->note_count; i++) {
        pack_array(b, 4);
        pack_text(b, m->notes[i].name);
        pack_text(b, m->notes[i].text);
        pack_uint(b, m->notes[i].count);
        pack_uint(b, m->notes[i].range_id);
    }
    pack_uint(b, m->round_ns);
    pack_uint(b, m->rounds);
    pack_uint(b, m->failures_borne);
    pack_uint(b, m->ranges_short);
    pack_uint(b, m->ranges_stopped);
}

static void read_meta_ops_reply(struct unpack *u, struct arena *arena, struct meta_ops_reply *m)
{
    uint32_t extra = unpack_open(u, 7);
    m->ops = read_list(u, arena, sizeof(*m->ops), OPERATOR_WIRE_MIN, OPS_MAX, &m->op_count);
    for (size_t i = 0; i < m->op_count && !u->failed; i++) read_operator_info(u, &m->ops[i]);
    m->notes = read_list(u, arena, sizeof(*m->notes), NOTE_WIRE_MIN, OPS_MAX, &m->note_count);
    for (size_t i = 0; i < m->note_count && !u->failed; i++) {
        uint32_t more = unpack_open(u, 4);
        m->notes[i].name = read_bin(u, 0, MESSAGE_TEXT_MAX);
        m->notes[i].text = read_bin(u, 0, MESSAGE_TEXT_MAX);
        m->notes[i].count = unpack_uint(u);
        m->notes[i].range_id = unpack_uint(u);
        unpack_close(u, more);
    }
    m->round_ns = unpack_uint(u);
    m->rounds = unpack_uint(u);
    m->failures_borne = unpack_uint(u);
    m->ranges_short = unpack_uint(u);
    m->ranges_stopped = unpack_uint(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_ops_reply)

/* --- unsafe-recover --- */

void pack_range_orphans(struct buf *b, const struct range_orphan *orphans, size_t count)
{
    pack_array(b, list_count(count));
    for (size_t i = 0; i < count; i++) {
        const struct range_orphan *m = &orphans[i];
        bool differs = m->ahead.replica_count > 0;
        pack_array(b, differs ? 8 : 7);
        pack_range_desc(b, &m->desc);
        pack_uint(b, m->replica_id);
        pack_uint(b, m->last_term);
        pack_uint(b, m->last_index);
        pack_uint(b, m->commit);
        pack_uint(b, m->last_ts);
        pack_bool(b, m->whole);
        if (differs) pack_range_desc(b, &m->ahead);
    }
}

struct range_orphan *read_range_orphans(struct unpack *u, struct arena *arena, size_t *count)
{
    struct range_orphan *orphans = read_list(u, arena, sizeof(*orphans), ORPHAN_WIRE_MIN, MESSAGE_LIST_MAX, count);
    for (size_t i = 0; i < *count && !u->failed; i++) {
        struct range_orphan *m = &orphans[i];
        uint32_t extra = unpack_open(u, 7);
        read_range_desc(u, arena, &m->desc);
        m->replica_id = unpack_uint(u);
        m->last_term = unpack_uint(u);
        m->last_index = unpack_uint(u);
        m->commit = unpack_uint(u);
        m->last_ts = unpack_uint(u);
        m->whole = unpack_bool(u);
        if (extra > 0) read_range_desc(u, arena, &m->ahead);
        unpack_close(u, extra > 0 ? extra - 1 : 0);
    }
    return orphans;
}

void pack_meta_recover_request(struct buf *b, const struct meta_recover_request *m)
{
    pack_array(b, 2);
    pack_array(b, list_count(m->lost_count));
    for (size_t i = 0; i < m->lost_count; i++) pack_uint(b, m->lost[i]);
    pack_bool(b, m->accept_loss);
}

static void read_meta_recover_request(struct unpack *u, struct arena *arena, struct meta_recover_request *m)
{
    uint32_t extra = unpack_open(u, 2);
    m->lost = read_list(u, arena, sizeof(*m->lost), 1, OPS_MAX, &m->lost_count);
    for (size_t i = 0; i < m->lost_count && !u->failed; i++) m->lost[i] = unpack_uint(u);
    m->accept_loss = unpack_bool(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_recover_request)

void pack_meta_recover_reply(struct buf *b, const struct meta_recover_reply *m)
{
    pack_array(b, 4);
    pack_bool(b, m->refused);
    pack_bool(b, m->begun);
    pack_text(b, m->text);
    pack_array(b, list_count(m->item_count));
    for (size_t i = 0; i < m->item_count; i++) {
        const struct recover_item *it = &m->items[i];
        pack_array(b, 6);
        pack_uint(b, it->range_id);
        pack_uint(b, it->node);
        pack_uint(b, it->last_index);
        pack_uint(b, it->commit);
        pack_uint(b, it->last_ts);
        pack_text(b, it->text);
    }
}

static void read_meta_recover_reply(struct unpack *u, struct arena *arena, struct meta_recover_reply *m)
{
    uint32_t extra = unpack_open(u, 4);
    m->refused = unpack_bool(u);
    m->begun = unpack_bool(u);
    m->text = read_bin(u, 0, MESSAGE_TEXT_MAX);
    m->items = read_list(u, arena, sizeof(*m->items), ITEM_WIRE_MIN, MESSAGE_LIST_MAX, &m->item_count);
    for (size_t i = 0; i < m->item_count && !u->failed; i++) {
        struct recover_item *it = &m->items[i];
        uint32_t more = unpack_open(u, 6);
        it->range_id = unpack_uint(u);
        it->node = unpack_uint(u);
        it->last_index = unpack_uint(u);
        it->commit = unpack_uint(u);
        it->last_ts = unpack_uint(u);
        it->text = read_bin(u, 0, MESSAGE_TEXT_MAX);
        unpack_close(u, more);
    }
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_recover_reply)

/* --- members of the metadata service --- */

void pack_meta_member_request(struct buf *b, const struct meta_member_request *m)
{
    pack_array(b, 3);
    pack_uint(b, m->id);
    pack_bool(b, m->remove);
    pack_bin(b, m->address);
}

static void read_meta_member_request(struct unpack *u, struct arena *arena, struct meta_member_request *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 3);
    m->id = unpack_uint(u);
    m->remove = unpack_bool(u);
    m->address = read_bin(u, 0, LIMIT_ADDRESS_BYTES);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_member_request)

void pack_meta_addresses(struct buf *b, const struct meta_address *metas, size_t count)
{
    pack_array(b, list_count(count));
    for (size_t i = 0; i < count; i++) {
        pack_array(b, 2);
        pack_uint(b, metas[i].id);
        pack_bin(b, metas[i].address);
    }
}

struct meta_address *read_meta_addresses(struct unpack *u, struct arena *arena, size_t *count)
{
    struct meta_address *metas = read_list(u, arena, sizeof(*metas), 3, LIMIT_REPLICAS, count);
    for (size_t i = 0; i < *count && !u->failed; i++) {
        uint32_t extra = unpack_open(u, 2);
        metas[i].id = unpack_uint(u);
        metas[i].address = read_bin(u, 0, LIMIT_ADDRESS_BYTES);
        unpack_close(u, extra);
    }
    return metas;
}

/* --- settings and nodes --- */

void pack_meta_config_request(struct buf *b, const struct meta_config_request *m)
{
    pack_array(b, 2);
    pack_text(b, m->name);
    pack_text(b, m->value);
}

static void read_meta_config_request(struct unpack *u, struct arena *arena, struct meta_config_request *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 2);
    m->name = read_bin(u, 0, MESSAGE_TEXT_MAX);
    m->value = read_bin(u, 0, MESSAGE_TEXT_MAX);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_config_request)

void pack_meta_config_reply(struct buf *b, const struct meta_config_reply *m)
{
    pack_array(b, 1);
    pack_array(b, list_count(m->setting_count));
    for (size_t i = 0; i < m->setting_count; i++) {
        pack_array(b, 2);
        pack_text(b, m->settings[i].name);
        pack_text(b, m->settings[i].value);
    }
}

static void read_meta_config_reply(struct unpack *u, struct arena *arena, struct meta_config_reply *m)
{
    uint32_t extra = unpack_open(u, 1);
    m->settings = read_list(u, arena, sizeof(*m->settings), SETTING_WIRE_MIN, SETTINGS_MAX, &m->setting_count);
    for (size_t i = 0; i < m->setting_count && !u->failed; i++) {
        uint32_t more = unpack_open(u, 2);
        m->settings[i].name = read_bin(u, 0, MESSAGE_TEXT_MAX);
        m->settings[i].value = read_bin(u, 0, MESSAGE_TEXT_MAX);
        unpack_close(u, more);
    }
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_config_reply)

void pack_meta_node_request(struct buf *b, const struct meta_node_request *m)
{
    pack_array(b, 4);
    pack_uint(b, m->node_id);
    pack_uint(b, (uint64_t)m->verb);
    pack_bool(b, m->dry_run);
    pack_uint(b, m->for_ms);
}

static void read_meta_node_request(struct unpack *u, struct arena *arena, struct meta_node_request *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 4);
    m->node_id = unpack_uint(u);
    m->verb = (enum node_verb)read_enum(u, NODE_VERB_DECOMMISSION, NODE_VERB_MAINTENANCE);
    m->dry_run = unpack_bool(u);
    m->for_ms = unpack_uint(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_node_request)

void pack_meta_node_reply(struct buf *b, const struct meta_node_reply *m)
{
    pack_array(b, 1);
    pack_text(b, m->text);
}

static void read_meta_node_reply(struct unpack *u, struct arena *arena, struct meta_node_reply *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 1);
    m->text = read_bin(u, 0, MESSAGE_TEXT_MAX);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_node_reply)

/* --- placement rules --- */

static void pack_rule(struct buf *b, const struct placement_rule *m)
{
    pack_array(b, 6);
    pack_bin(b, m->keyspace);
    pack_uint(b, m->voters);
    pack_uint(b, m->learners);
    pack_bin(b, m->within);
    pack_bin(b, m->leaders);
    pack_bin(b, m->learners_within);
}

static void read_rule(struct unpack *u, struct placement_rule *m)
{
    uint32_t extra = unpack_open(u, 6);
    m->keyspace = read_bin(u, 0, LIMIT_KEYSPACE_NAME);
    m->voters = read_u32(u);
    m->learners = read_u32(u);
    m->within = read_bin(u, 0, MESSAGE_TEXT_MAX);
    m->leaders = read_bin(u, 0, MESSAGE_TEXT_MAX);
    m->learners_within = read_bin(u, 0, MESSAGE_TEXT_MAX);
    unpack_close(u, extra);
}

void pack_meta_placement_request(struct buf *b, const struct meta_placement_request *m)
{
    pack_array(b, 1);
    pack_rule(b, &m->rule);
}

static void read_meta_placement_request(struct unpack *u, struct arena *arena, struct meta_placement_request *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 1);
    read_rule(u, &m->rule);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_placement_request)

void pack_meta_placement_reply(struct buf *b, const struct meta_placement_reply *m)
{
    pack_array(b, 1);
    pack_array(b, list_count(m->rule_count));
    for (size_t i = 0; i < m->rule_count; i++) pack_rule(b, &m->rules[i]);
}

static void read_meta_placement_reply(struct unpack *u, struct arena *arena, struct meta_placement_reply *m)
{
    uint32_t extra = unpack_open(u, 1);
    m->rules = read_list(u, arena, sizeof(*m->rules), RULE_WIRE_MIN, MESSAGE_LIST_MAX, &m->rule_count);
    for (size_t i = 0; i < m->rule_count && !u->failed; i++) read_rule(u, &m->rules[i]);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_placement_reply)

/* --- replicas compared --- */

void pack_range_check_request(struct buf *b, const struct range_check_request *m)
{
    pack_array(b, 2);
    pack_uint(b, m->range_id);
    pack_bool(b, m->begin);
}

static void read_range_check_request(struct unpack *u, struct arena *arena, struct range_check_request *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 2);
    m->range_id = unpack_uint(u);
    m->begin = unpack_bool(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(range_check_request)

void pack_range_check_reply(struct buf *b, const struct range_check_reply *m)
{
    pack_array(b, 13);
    pack_uint(b, m->node_id);
    pack_uint(b, m->replica_id);
    pack_bool(b, m->leads);
    pack_bool(b, m->diverged);
    pack_uint(b, m->applied);
    pack_uint(b, m->index);
    pack_bool(b, m->done);
    pack_bool(b, m->failed);
    pack_bool(b, m->whole);
    pack_uint(b, m->effects_hash);
    pack_uint(b, m->rows_hash);
    pack_uint(b, m->rows);
    pack_uint(b, m->bytes);
}

static void read_range_check_reply(struct unpack *u, struct arena *arena, struct range_check_reply *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 13);
    m->node_id = unpack_uint(u);
    m->replica_id = unpack_uint(u);
    m->leads = unpack_bool(u);
    m->diverged = unpack_bool(u);
    m->applied = unpack_uint(u);
    m->index = unpack_uint(u);
    m->done = unpack_bool(u);
    m->failed = unpack_bool(u);
    m->whole = unpack_bool(u);
    m->effects_hash = unpack_uint(u);
    m->rows_hash = unpack_uint(u);
    m->rows = unpack_uint(u);
    m->bytes = unpack_uint(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(range_check_reply)
