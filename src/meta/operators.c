/* The operators under way: rows in memory, what the leader does about them. Orders go out with the answer to the heartbeat of
 * the range's leader; what has become of them is read off the descriptor that the range reports. */
#include "meta/operators.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/cursor.h"
#include "base/mem.h"
#include "meta/meta_int.h"

#define CALM_NS (30000 * NS_PER_MS) /* before a split or a merge that could not be done is tried again */

/* --- rows --- */

void operators_init(struct meta_operators *o)
{
    memset(o, 0, sizeof *o);
    map_init(&o->running);
}

static void operator_free(struct meta_operator *op)
{
    if (op == NULL) return;
    mem_free((void *)(uintptr_t)op->bytes.data);
    mem_free(op);
}

void operators_clear(struct meta_operators *o)
{
    uint64_t range;
    void *op;
    for (size_t it = 0; map_next(&o->running, &it, &range, &op);) operator_free(op);
    for (size_t i = 0; i < OPERATORS_ENDED_MAX; i++) operator_free(o->ended[i]);
    map_free(&o->running);
    operators_init(o);
}

static struct meta_operator *operator_of(struct slice value)
{
    struct meta_operator *op = mem_zalloc(sizeof *op);
    op->bytes = mem_dup_slice(value);
    if (unpack_operator_row(op->bytes, NULL, &op->row) != STATUS_OK)
        BUG("an operator's row of the metadata is damaged");
    return op;
}

/* key: `o/` or `e/` and a number. */
void operators_row(struct meta_operators *o, struct slice key, struct slice value, bool is_delete)
{
    if (key.size != 10) return;
    uint64_t number = be_u64(key.data + 2);
    if (key.data[0] == 'o') {
        operator_free(map_remove(&o->running, number));
        if (!is_delete) map_put(&o->running, number, operator_of(value));
    } else if (number < OPERATORS_ENDED_MAX) {
        operator_free(o->ended[number]);
        o->ended[number] = is_delete ? NULL : operator_of(value);
    }
}

/* --- proposals --- */

struct operator_proposal {
    struct proposal proposal;
    struct meta *meta;
    struct operator_row row; /* without its texts */
    bool is_end;
};

static void proposal_done(struct proposal *p, enum status s, bool unknown, struct slice answer)
{
    (void)s;
    (void)unknown;
    (void)answer;
    struct operator_proposal *q = LIST_ENTRY(p, struct operator_proposal, proposal);
    struct meta_operator *op = map_get(&q->meta->state.operators.running, q->row.range_id);
    if (op != NULL && q->is_end) op->ending = false; /* another try, if it is still there */
    if (!q->is_end) (void)map_remove(&q->meta->beginning, q->row.range_id);
    mem_free(q);
}

static struct operator_proposal *operator_propose(struct meta *m, enum meta_command_kind kind,
                                                  const struct operator_row *row)
{
    struct meta_command c = {.kind = kind, .operator= * row };
    struct operator_proposal *q = mem_zalloc(sizeof *q);
    q->meta = m;
    q->row = *row;
    q->is_end = kind == META_CMD_OPERATOR_END;
    q->proposal.done = proposal_done;
    q->proposal.deadline_ns = DEADLINE_NONE;
    list_init(&q->proposal.link);
    buf_clear(&m->scratch);
    meta_command_encode(&c, &m->scratch);
    if (replica_propose(host_replica(m->host, META_GROUP), buf_slice(&m->scratch), &q->proposal) == STATUS_OK) return q;
    mem_free(q);
    return NULL;
}

void operators_begin(struct meta *m, const struct operator_row *row)
{
    if (map_get(&m->beginning, row->range_id) != NULL) return;
    if (map_get(&m->state.operators.running, row->range_id) != NULL) return;
    struct operator_proposal *q = operator_propose(m, META_CMD_OPERATOR_BEGIN, row);
    if (q != NULL) map_put(&m->beginning, row->range_id, q);
}

const struct operator_row *operators_row_of(const struct meta *m, uint64_t range_id)
{
    const struct meta_operator *op = map_get(&m->state.operators.running, range_id);
    const struct operator_proposal *q = map_get(&m->beginning, range_id);
    return op != NULL ? &op->row : q != NULL ? &q->row : NULL;
}

static void operator_end(struct meta *m, struct meta_operator *op, enum operator_state state, const char *how)
{
    struct operator_row end = op->row;
    end.state = state;
    end.ended_ms = env_wall_ms(m->env);
    end.how_ended = slice_str(how);
    op->ending = operator_propose(m, META_CMD_OPERATOR_END, &end) != NULL;
    struct meta_range *r = meta_state_range(&m->state, op->row.range_id);
    if (r != NULL && state != OPERATOR_DONE && op->row.kind >= OPERATOR_SPLIT)
        r->calm_until_ns = env_mono_ns(m->env) + CALM_NS;
    log_event(m->env->log, LOG_INFO, "operator.ends", "op=%llu range=%llu kind=%s why=\"%.*s\" %s: %s",
              (unsigned long long)op->row.id, (unsigned long long)op->row.range_id, operator_kind_name(op->row.kind),
              (int)op->row.why.size, (const char *)op->row.why.data, operator_state_name(state), how);
}

void operators_give_way(struct meta *m, uint64_t range_id)
{
    struct meta_operator *op = map_get(&m->state.operators.running, range_id);
    if (op == NULL || op->ending || op->row.kind == OPERATOR_ALONE) return;
    COVER("operators.give_way");
    operator_end(m, op, OPERATOR_VOID, "the range has lost its quorum for ever: unsafe-recover takes over");
}

/* --- steps --- */

static void operator_moved(struct meta_operator *op, uint64_t now_ns)
{
    op->moved_ns = now_ns;
}

/* Leadership goes to nobody who does not answer; a replica may wait until its node is given up. */
static bool target_is_dead(const struct meta *m, const struct meta_operator *op, uint64_t now_ns)
{
    const struct meta_node *to = op->row.to == 0 ? NULL : meta_state_node(&m->state, op->row.to);
    if (to == NULL) return false;
    enum placement_life life = schedule_life(m, to, now_ns);
    return life == PLACEMENT_DEAD || (life == PLACEMENT_SILENT && op->row.kind == OPERATOR_TRANSFER);
}

enum operator_next operators_next(const struct meta *m, const struct operator_row *row, struct range_order *order,
                                  const char **what)
{
    const struct meta_range *r = meta_state_range(&m->state, row->range_id);
    if (r == NULL) {
        *what = "the range is no more";
        return OPERATOR_NEXT_VOID;
    }
    if (row->kind != OPERATOR_MERGE) return operator_next(row, &r->desc, r->leader, order, what);
    const struct meta_range *right = meta_state_range(&m->state, row->other);
    return operator_next_merge(row, &r->desc, right != NULL ? &right->desc : NULL, right != NULL ? right->leader : 0,
                               order, what);
}

static uint64_t patience_ns(const struct meta *m, const struct meta_operator *op)
{
    uint64_t s = m->state.settings.values[SETTING_PATIENCE_S];
    if (op->row.kind == OPERATOR_SPLIT_HOT && s > 30) s = 30; /* it looks at the load of some seconds */
    bool brief = op->row.kind == OPERATOR_TRANSFER || op->row.kind == OPERATOR_SPLIT;
    return (brief && s > 10 ? 10 : s) * 1000 * NS_PER_MS;
}

static void operator_look(struct meta *m, struct meta_operator *op, uint64_t now_ns)
{
    const struct meta_range *r = meta_state_range(&m->state, op->row.range_id);
    struct range_order order;
    const char *what;
    enum operator_next next = operators_next(m, &op->row, &order, &what);
    const struct meta_range *other = meta_state_range(&m->state, op->row.other);
    uint64_t conf_ver = (r != NULL ? r->desc.epoch.conf_ver : 0) + (other != NULL ? other->desc.epoch.conf_ver : 0);
    if (op->moved_ns == 0 || conf_ver != op->seen_conf_ver) {
        op->seen_conf_ver = conf_ver;
        op->percent = 0;
        op->step[0] = '\0';
        operator_moved(op, now_ns);
    }
    if (next == OPERATOR_NEXT_DONE) {
        operator_end(m, op, OPERATOR_DONE, "");
    } else if (next == OPERATOR_NEXT_VOID) {
        operator_end(m, op, OPERATOR_VOID, what);
    } else if (target_is_dead(m, op, now_ns)) {
        operator_end(m, op, OPERATOR_VOID,
                     op->row.kind == OPERATOR_TRANSFER ? "the node that was to lead does not answer"
                                                       : "the node that was to take the replica is dead");
    } else if (op->refused) {
        operator_end(m, op, OPERATOR_VOID, op->step);
    } else if (now_ns - op->moved_ns > patience_ns(m, op)) {
        operator_end(m, op, OPERATOR_FAILED, op->step[0] != '\0' ? op->step : what);
    }
}

void operators_pass(struct meta *m, uint64_t now_ns)
{
    uint64_t range;
    void *value;
    for (size_t it = 0; map_next(&m->state.operators.running, &it, &range, &value);) {
        struct meta_operator *op = value;
        if (!op->ending) operator_look(m, op, now_ns);
    }
}

void operators_reset(struct meta *m)
{
    uint64_t range;
    void *value;
    for (size_t it = 0; map_next(&m->state.operators.running, &it, &range, &value);) {
        struct meta_operator *op = value;
        op->moved_ns = 0; /* a new leader's patience begins anew */
        op->ending = false;
    }
}

/* --- what nodes are told, and tell --- */

void operators_orders(struct meta *m, uint64_t node_id, struct meta_heartbeat_reply *reply)
{
    const struct map *running = &m->state.operators.running;
    uint64_t range;
    void *value;
    reply->term = meta_term_told(m);
    reply->orders = arena_alloc(&m->arena, (running->count + 1) * sizeof *reply->orders);
    for (size_t it = 0; map_next(running, &it, &range, &value);) {
        const struct meta_operator *op = value;
        const char *what;
        struct range_order order;
        if (op->ending || operators_next(m, &op->row, &order, &what) != OPERATOR_NEXT_ORDER) continue;
        const struct meta_range *r = meta_state_range(&m->state, order.range_id);
        if (order.kind == ORDER_ALONE) { /* nobody leads */
            if (order.to == node_id) reply->orders[reply->order_count++] = order;
            continue;
        }
        if (r == NULL || r->leader != node_id) continue;
        if (r->report.epoch.conf_ver != r->desc.epoch.conf_ver)
            continue; /* it has gone on: its news are on their way */
        reply->orders[reply->order_count++] = order;
    }
}

struct meta_operator *operator_by_id(const struct meta *m, uint64_t id)
{
    uint64_t range;
    void *value;
    for (size_t it = 0; map_next(&m->state.operators.running, &it, &range, &value);) {
        struct meta_operator *op = value;
        if (op->row.id == id) return op;
    }
    return NULL;
}

void operators_verdicts(struct meta *m, const struct order_verdict *verdicts, size_t count, uint64_t now_ns)
{
    for (size_t i = 0; i < count; i++) {
        struct meta_operator *op = operator_by_id(m, verdicts[i].op);
        if (op == NULL) continue;
        if (verdicts[i].percent > op->percent) operator_moved(op, now_ns);
        op->percent = verdicts[i].percent;
        op->refused = verdicts[i].status == STATUS_INVALID && op->row.kind >= OPERATOR_SPLIT;
        (void)snprintf(op->step, sizeof op->step, "%.*s", (int)verdicts[i].text.size,
                       (const char *)verdicts[i].text.data);
    }
}
