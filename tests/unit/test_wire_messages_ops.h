/* The messages of messages_ops.h for test_wire_messages.c: every field in turn, by its primitives. */
#ifndef QUORATE_TESTS_UNIT_TEST_WIRE_MESSAGES_OPS_H
#define QUORATE_TESTS_UNIT_TEST_WIRE_MESSAGES_OPS_H

#include "test_wire_visit.h"

static inline void v_meta_recover_request(struct visit *v, struct meta_recover_request *m)
{
    V_LIST(v, m->lost, m->lost_count, 9);
    for (size_t i = 0; i < m->lost_count; i++) v_u64(v, &m->lost[i]);
    v_bool(v, &m->accept_loss);
}

static inline void v_meta_recover_reply(struct visit *v, struct meta_recover_reply *m)
{
    v_bool(v, &m->refused);
    v_bool(v, &m->begun);
    v_bin(v, &m->text, 0, 512);
    V_LIST(v, m->items, m->item_count, 8);
    for (size_t i = 0; i < m->item_count; i++) {
        struct recover_item *it = &m->items[i];
        uint64_t *numbers[] = {&it->range_id, &it->node, &it->last_index, &it->commit, &it->last_ts};
        for (size_t k = 0; k < sizeof(numbers) / sizeof(numbers[0]); k++) v_u64(v, numbers[k]);
        v_bin(v, &it->text, 0, 512);
    }
}

static inline void v_meta_member_request(struct visit *v, struct meta_member_request *m)
{
    v_u64(v, &m->id);
    v_bool(v, &m->remove);
    v_bin(v, &m->address, 0, LIMIT_ADDRESS_BYTES);
}

static inline void v_meta_op_request(struct visit *v, struct meta_op_request *m)
{
    m->verb = (enum operator_verb)v_enum(v, (unsigned)m->verb, OPERATOR_VERB_START, OPERATOR_VERB_SCATTER);
    m->kind = (enum operator_kind)v_enum(v, (unsigned)m->kind, 0, OPERATOR_KINDS - 1);
    uint64_t *numbers[] = {&m->id, &m->range_id, &m->from, &m->to};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) v_u64(v, numbers[i]);
    v_bin(v, &m->keyspace, 0, LIMIT_KEYSPACE_NAME);
}

static inline void v_meta_op_reply(struct visit *v, struct meta_op_reply *m)
{
    v_u64(v, &m->id);
}

static inline void v_op(struct visit *v, struct operator_info *m)
{
    uint64_t *numbers[] = {&m->id, &m->range_id, &m->from, &m->to, &m->began_ms, &m->ended_ms};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) v_u64(v, numbers[i]);
    m->kind = (enum operator_kind)v_enum(v, (unsigned)m->kind, OPERATOR_ADD, OPERATOR_KINDS - 1);
    m->state = (enum operator_state)v_enum(v, (unsigned)m->state, OPERATOR_RUNNING, OPERATOR_CANCELLED);
    m->percent = v_enum(v, m->percent, 0, 100);
    v_bin(v, &m->why, 0, 512);
    v_bin(v, &m->step, 0, 512);
}

static inline void v_meta_ops_reply(struct visit *v, struct meta_ops_reply *m)
{
    V_LIST(v, m->ops, m->op_count, 8);
    for (size_t i = 0; i < m->op_count; i++) v_op(v, &m->ops[i]);
    V_LIST(v, m->notes, m->note_count, 8);
    for (size_t i = 0; i < m->note_count; i++) {
        v_bin(v, &m->notes[i].name, 0, 512);
        v_bin(v, &m->notes[i].text, 0, 512);
        v_u64(v, &m->notes[i].count);
        v_u64(v, &m->notes[i].range_id);
    }
    uint64_t *numbers[] = {&m->round_ns, &m->rounds, &m->failures_borne, &m->ranges_short, &m->ranges_stopped};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) v_u64(v, numbers[i]);
}

static inline void v_rule(struct visit *v, struct placement_rule *m)
{
    v_bin(v, &m->keyspace, 0, LIMIT_KEYSPACE_NAME);
    v_u32(v, &m->voters);
    v_u32(v, &m->learners);
    v_bin(v, &m->within, 0, 512);
    v_bin(v, &m->leaders, 0, 512);
    v_bin(v, &m->learners_within, 0, 512);
}

static inline void v_meta_placement_request(struct visit *v, struct meta_placement_request *m)
{
    v_rule(v, &m->rule);
}

static inline void v_meta_placement_reply(struct visit *v, struct meta_placement_reply *m)
{
    V_LIST(v, m->rules, m->rule_count, 8);
    for (size_t i = 0; i < m->rule_count; i++) v_rule(v, &m->rules[i]);
}

static inline void v_meta_config_request(struct visit *v, struct meta_config_request *m)
{
    v_bin(v, &m->name, 0, 512);
    v_bin(v, &m->value, 0, 512);
}

static inline void v_meta_config_reply(struct visit *v, struct meta_config_reply *m)
{
    V_LIST(v, m->settings, m->setting_count, 8);
    for (size_t i = 0; i < m->setting_count; i++) {
        v_bin(v, &m->settings[i].name, 0, 512);
        v_bin(v, &m->settings[i].value, 0, 512);
    }
}

static inline void v_meta_snapshot_request(struct visit *v, struct meta_snapshot_request *m)
{
    m->verb = (enum snapshot_verb)v_enum(v, (unsigned)m->verb, SNAPSHOT_VERB_LIST, SNAPSHOT_VERB_DROP);
    v_bin(v, &m->name, 0, LIMIT_SNAPSHOT_NAME);
    v_u64(v, &m->ts);
    v_u64(v, &m->lifetime_ms);
}

static inline void v_meta_snapshot_reply(struct visit *v, struct meta_snapshot_reply *m)
{
    V_LIST(v, m->snapshots, m->snapshot_count, 8);
    for (size_t i = 0; i < m->snapshot_count; i++) {
        v_bin(v, &m->snapshots[i].name, 1, LIMIT_SNAPSHOT_NAME);
        v_u64(v, &m->snapshots[i].ts);
        v_u64(v, &m->snapshots[i].expires_ts);
    }
    v_bool(v, &m->changed);
    v_u64(v, &m->now_ts);
    v_u64(v, &m->line_ts);
}

static inline void v_meta_node_request(struct visit *v, struct meta_node_request *m)
{
    v_u64(v, &m->node_id);
    m->verb = (enum node_verb)v_enum(v, (unsigned)m->verb, NODE_VERB_DECOMMISSION, NODE_VERB_MAINTENANCE);
    v_bool(v, &m->dry_run);
    v_u64(v, &m->for_ms);
}

static inline void v_meta_node_reply(struct visit *v, struct meta_node_reply *m)
{
    v_bin(v, &m->text, 0, 512);
}

static inline void v_range_check_request(struct visit *v, struct range_check_request *m)
{
    v_u64(v, &m->range_id);
    v_bool(v, &m->begin);
}

static inline void v_range_check_reply(struct visit *v, struct range_check_reply *m)
{
    uint64_t *numbers[] = {&m->node_id,      &m->replica_id, &m->applied, &m->index,
                           &m->effects_hash, &m->rows_hash,  &m->rows,    &m->bytes};
    bool *flags[] = {&m->leads, &m->diverged, &m->done, &m->failed, &m->whole};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) v_u64(v, numbers[i]);
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) v_bool(v, flags[i]);
}

#endif
