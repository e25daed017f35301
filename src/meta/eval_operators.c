/* Commands about operators, settings and the use of nodes, evaluated at apply on every member alike. */
#include "base/assert.h"
#include "base/cursor.h"
#include "meta/machine_int.h"
#include "meta/settings.h"

#define ENDED_KEPT 256u /* operators that have ended: rows, oldest overwritten */

static void write_operator(struct eval *e, struct slice key, const struct operator_row *row)
{
    struct buf b;
    buf_init(&b, 4096);
    pack_operator_row(&b, row);
    eval_write(e, key, &b);
    buf_free(&b);
}

static bool read_operator(struct eval *e, uint64_t range_id, struct operator_row *row)
{
    struct slice value;
    if (!eval_read(e, eval_key_id(e, "o/", range_id), &value)) return false;
    if (unpack_operator_row(value, e->arena, row) != STATUS_OK) BUG("an operator's row of the metadata is damaged");
    return true;
}

static const char *node_fault(struct eval *e, uint64_t node_id)
{
    struct meta_node_row node;
    if (node_id != 0 && !eval_read_node(e, node_id, &node)) return "no node of that id is registered";
    return NULL;
}

static const char *shape_fault(const struct operator_row *q, const struct range_desc *d)
{
    bool from_in = range_desc_replica(d, q->from) != NULL, to_in = range_desc_replica(d, q->to) != NULL;
    bool needs_to = q->kind == OPERATOR_ADD || q->kind == OPERATOR_REPLACE || q->kind == OPERATOR_TRANSFER ||
                    q->kind == OPERATOR_LEARNER;
    bool needs_from = q->kind == OPERATOR_REMOVE || q->kind == OPERATOR_REPLACE;
    if (needs_to && q->to == 0) return "it needs a node to go to";
    if (needs_from && (q->from == 0 || !from_in)) return "it needs a node that holds a replica of the range";
    if (q->kind == OPERATOR_TRANSFER && !to_in) return "that node holds no replica of the range";
    if (needs_to && q->kind != OPERATOR_TRANSFER && to_in && range_desc_replica(d, q->to)->role != RANGE_LEARNER)
        return "that node holds a replica of the range already";
    if (q->kind == OPERATOR_ALONE && !to_in && d->epoch.conf_ver > q->conf_ver)
        return "the range has gone on without that replica";
    if (q->kind == OPERATOR_REMOVE && d->replica_count < 2) return "it is the range's last replica";
    return NULL;
}

/* One at a time per range, on the configuration that whoever asks for it has seen. */
void eval_operator_begin(struct eval *e, const struct operator_row *q)
{
    struct slice value;
    struct range_desc d;
    struct operator_row row;
    if (!eval_read(e, eval_key_id(e, "r/", q->range_id), &value)) {
        if (e->failed == STATUS_OK) eval_answer(e, STATUS_NOT_FOUND, "there is no range of that id", SLICE_EMPTY);
        return;
    }
    if (unpack_range_desc(value, e->arena, &d) != STATUS_OK) BUG("a range row of the metadata is damaged");
    if (read_operator(e, q->range_id, &row)) {
        eval_answer(e, STATUS_EXISTS, "another operator works on the range: wait, or cancel it (op list)", SLICE_EMPTY);
        return;
    }
    if (q->kind != OPERATOR_ALONE && q->conf_ver != 0 && q->conf_ver != d.epoch.conf_ver) {
        eval_answer(e, STATUS_EPOCH_MISMATCH, "the range's replicas have changed meanwhile", SLICE_EMPTY);
        return;
    }
    const char *fault = shape_fault(q, &d);
    if (fault == NULL) fault = node_fault(e, q->from);
    if (fault == NULL) fault = node_fault(e, q->to);
    if (fault != NULL) {
        eval_answer(e, STATUS_INVALID, fault, SLICE_EMPTY);
        return;
    }
    row = *q;
    row.id = eval_take_ids(e, "operator", 1, 1);
    row.state = OPERATOR_RUNNING;
    row.version = d.epoch.version;
    if (d.epoch.conf_ver > row.conf_ver) row.conf_ver = d.epoch.conf_ver;
    /* No two recoveries of a range are given one epoch, whatever has become of the first. */
    if (row.kind == OPERATOR_ALONE) row.other += row.id % OPERATOR_EPOCH_STEP;
    write_operator(e, eval_key_id(e, "o/", row.range_id), &row);
    ANSWER_WITH(e, meta_op_reply, &(struct meta_op_reply){.id = row.id});
}

/* Of the operator with that id alone: a word about a former one of the range does nothing. */
void eval_operator_end(struct eval *e, const struct operator_row *q)
{
    struct operator_row row;
    if (!read_operator(e, q->range_id, &row) || row.id != q->id) {
        if (e->failed == STATUS_OK) eval_answer(e, STATUS_NOT_FOUND, "no such operator is running", SLICE_EMPTY);
        return;
    }
    row.state = q->state;
    row.ended_ms = q->ended_ms;
    row.how_ended = q->how_ended;
    eval_delete(e, eval_key_id(e, "o/", row.range_id));
    write_operator(e, eval_key_id(e, "e/", row.id % ENDED_KEPT), &row);
    ANSWER_WITH(e, meta_op_reply, &(struct meta_op_reply){.id = row.id});
}

void eval_setting(struct eval *e, const struct meta_config_request *q)
{
    struct errbuf err = {{0}};
    uint64_t value;
    enum setting_id id = setting_find(q->name);
    if (id == SETTING_COUNT) {
        eval_answer(e, STATUS_NOT_FOUND, "no setting has that name: config get lists them", SLICE_EMPTY);
        return;
    }
    if (setting_parse(id, q->value, &value, &err) != STATUS_OK) {
        eval_answer(e, STATUS_INVALID, err.text, SLICE_EMPTY);
        return;
    }
    struct slice key = eval_key_text(e, "s/", q->name);
    if (q->value.size == 0) {
        eval_delete(e, key);
    } else {
        eval_write_number(e, key, value);
    }
    eval_answer(e, STATUS_OK, "", SLICE_EMPTY);
}

void eval_node_verb(struct eval *e, const struct meta_node_request *q, uint64_t now_ms)
{
    struct meta_node_row row;
    if (!eval_read_node(e, q->node_id, &row)) {
        if (e->failed == STATUS_OK) eval_answer(e, STATUS_NOT_FOUND, "no node of that id is registered", SLICE_EMPTY);
        return;
    }
    const char *text = "";
    switch (q->verb) {
    case NODE_VERB_DECOMMISSION:
        row.leaving = true;
        text = "its replicas go to other nodes; when it holds none it may be stopped for good";
        break;
    case NODE_VERB_RECOMMISSION:
        row.leaving = row.drained = false;
        row.maintenance_until_ms = 0;
        text = "it takes replicas and leaderships again";
        break;
    case NODE_VERB_MAINTENANCE:
        row.maintenance_until_ms = q->for_ms == 0 ? 0 : now_ms + q->for_ms;
        text =
            q->for_ms == 0 ? "maintenance has ended" : "it leads nothing, and its silence is no reason to replace it";
        break;
    }
    eval_write_node(e, &row);
    ANSWER_WITH(e, meta_node_reply, &(struct meta_node_reply){.text = slice_str(text)});
}

/* For ever: the directory of such a node is never let in again. */
void eval_give_up(struct eval *e, const struct meta_recover_request *q, uint64_t now_ms)
{
    struct meta_node_row row;
    for (size_t i = 0; i < q->lost_count && e->failed == STATUS_OK; i++) {
        if (!eval_read_node(e, q->lost[i], &row)) {
            if (e->failed == STATUS_OK)
                eval_answer(e, STATUS_NOT_FOUND, "no node of that id is registered", SLICE_EMPTY);
            return;
        }
        if (row.lost_ms != 0) continue;
        row.lost_ms = now_ms;
        eval_write_node(e, &row);
    }
    eval_answer(e, STATUS_OK, "", SLICE_EMPTY);
}
