/* The next step of each kind of operator, by what the descriptor says:
 *
 *   to absent -- add --> learner -- (leadership leaves from) -- swap --> joint -- the leader leaves it --> from absent: done */
#include "meta/operator.h"

#include "base/assert.h"

void pack_operator_row(struct buf *b, const struct operator_row *row)
{
    pack_array(b, 13);
    pack_uint(b, row->id);
    pack_uint(b, row->range_id);
    pack_uint(b, (uint64_t)row->kind);
    pack_uint(b, row->from);
    pack_uint(b, row->to);
    pack_uint(b, row->version);
    pack_uint(b, row->conf_ver);
    pack_uint(b, row->began_ms);
    pack_bin(b, row->why);
    pack_uint(b, (uint64_t)row->state);
    pack_uint(b, row->ended_ms);
    pack_bin(b, row->how_ended);
    pack_uint(b, row->other);
}

enum status unpack_operator_row(struct slice bytes, struct arena *arena, struct operator_row *out)
{
    (void)arena;
    struct unpack u = unpack_make(bytes);
    uint32_t extra = unpack_open(&u, 13);
    *out = (struct operator_row){.id = unpack_uint(&u)};
    out->range_id = unpack_uint(&u);
    uint64_t kind = unpack_uint(&u);
    out->from = unpack_uint(&u);
    out->to = unpack_uint(&u);
    out->version = unpack_uint(&u);
    out->conf_ver = unpack_uint(&u);
    out->began_ms = unpack_uint(&u);
    out->why = unpack_bin(&u);
    uint64_t state = unpack_uint(&u);
    out->ended_ms = unpack_uint(&u);
    out->how_ended = unpack_bin(&u);
    out->other = unpack_uint(&u);
    unpack_close(&u, extra);
    bool known =
        kind >= OPERATOR_ADD && kind < OPERATOR_KINDS && state >= OPERATOR_RUNNING && state <= OPERATOR_CANCELLED;
    if (!unpack_done(&u) || !known) return STATUS_CORRUPT;
    out->kind = (enum operator_kind)kind;
    out->state = (enum operator_state)state;
    return STATUS_OK;
}

static enum operator_next order_that(struct range_order *order, enum order_kind kind, uint64_t to, uint64_t from)
{
    order->kind = kind;
    order->to = to;
    order->from = from;
    return OPERATOR_NEXT_ORDER;
}

/* Steps of ADD, REPLACE and REMOVE alike: `to` in, `from` out. */
static enum operator_next next_of_change(const struct operator_row *row, const struct range_desc *d, uint64_t leader,
                                         struct range_order *order, const char **what)
{
    const struct range_replica *to = row->to == 0 ? NULL : range_desc_replica(d, row->to);
    const struct range_replica *from = row->from == 0 ? NULL : range_desc_replica(d, row->from);
    if (range_desc_joint(d)) {
        *what = "both sets of voters decide: the leader is about to go on with the new one";
        return OPERATOR_NEXT_WAIT;
    }
    bool is_in = row->to == 0 || (to != NULL && to->role == RANGE_VOTER);
    if (is_in && from == NULL) {
        *what = "done";
        return OPERATOR_NEXT_DONE;
    }
    if (row->from != 0 && from == NULL) {
        *what = "the replica that was to go is gone already";
        return OPERATOR_NEXT_VOID;
    }
    if (row->to == 0 && d->epoch.conf_ver != row->conf_ver) {
        *what = "the range's replicas have changed since: perhaps it has none to spare any more";
        return OPERATOR_NEXT_VOID;
    }
    /* A change that was under way when this was asked for brought it in: nothing takes the place of who is to go. */
    if (row->to != 0 && is_in) {
        *what = "the replica that was to come votes already, and the one that was to go may be needed";
        return OPERATOR_NEXT_VOID;
    }
    if (row->to != 0 && to == NULL) {
        *what = "a replica is added";
        return order_that(order, ORDER_ADD, row->to, 0);
    }
    if (from != NULL && leader == row->from) {
        *what = "the leadership leaves the replica that is to go";
        return order_that(order, ORDER_TRANSFER, 0, row->from);
    }
    *what = row->to == 0 ? "a replica is taken away" : "the new replica catches up, then it votes";
    return order_that(order, ORDER_SWAP, row->to, row->from);
}

static enum operator_next next_of_transfer(const struct operator_row *row, const struct range_desc *d, uint64_t leader,
                                           struct range_order *order, const char **what)
{
    if (leader == row->to) {
        *what = "done";
        return OPERATOR_NEXT_DONE;
    }
    if (range_desc_replica(d, row->to) == NULL) {
        *what = "there is no replica on that node";
        return OPERATOR_NEXT_VOID;
    }
    *what = "the leadership goes over";
    return order_that(order, ORDER_TRANSFER, row->to, leader);
}

static enum operator_next next_of_learner(const struct operator_row *row, const struct range_desc *d,
                                          struct range_order *order, const char **what)
{
    bool is_in = range_desc_replica(d, row->to) != NULL;
    *what = is_in ? "done" : "a replica without a vote is added";
    return is_in ? OPERATOR_NEXT_DONE : order_that(order, ORDER_ADD, row->to, 0);
}

static enum operator_next next_of_alone(const struct operator_row *row, const struct range_desc *d,
                                        struct range_order *order, const char **what)
{
    order->epoch = row->other;
    if (d->epoch.version >= row->other) {
        *what = "done";
        return OPERATOR_NEXT_DONE;
    }
    if (d->epoch.conf_ver > row->conf_ver && range_desc_replica(d, row->to) == NULL) {
        *what = "the range has gone on without that replica";
        return OPERATOR_NEXT_VOID;
    }
    *what = "the replica goes on alone, in a new epoch";
    return order_that(order, ORDER_ALONE, row->to, 0);
}

enum operator_next operator_next(const struct operator_row *row, const struct range_desc *d, uint64_t leader,
                                 struct range_order *order, const char **what)
{
    *order = (struct range_order){.op = row->id, .range_id = row->range_id, .conf_ver = d->epoch.conf_ver};
    switch (row->kind) {
    case OPERATOR_ADD:
    case OPERATOR_REPLACE:
    case OPERATOR_REMOVE: return next_of_change(row, d, leader, order, what);
    case OPERATOR_TRANSFER: return next_of_transfer(row, d, leader, order, what);
    case OPERATOR_LEARNER: return next_of_learner(row, d, order, what);
    case OPERATOR_ALONE: return next_of_alone(row, d, order, what);
    case OPERATOR_KINDS:
    case OPERATOR_SPLIT:
    case OPERATOR_SPLIT_HOT: break;
    case OPERATOR_MERGE: BUG("operator_next_merge");
    }
    if (d->epoch.version > row->version) {
        *what = "done";
        return OPERATOR_NEXT_DONE;
    }
    bool hot = row->kind == OPERATOR_SPLIT_HOT;
    *what = hot ? "its leader splits it where its load divides" : "its leader picks a key and splits";
    return order_that(order, hot ? ORDER_SPLIT_HOT : ORDER_SPLIT, 0, 0);
}

/* The replica of the second range that is next to go where the first one has its own. False: they are on the same nodes. */
static bool to_align(const struct range_desc *left, const struct range_desc *right, struct operator_row *step)
{
    *step = (struct operator_row){.kind = OPERATOR_REPLACE, .range_id = right->id, .conf_ver = right->epoch.conf_ver};
    for (size_t i = 0; i < left->replica_count; i++) {
        const struct range_replica *has = range_desc_replica(right, left->replicas[i].node_id);
        if (step->to == 0 && (has == NULL || has->role != RANGE_VOTER)) step->to = left->replicas[i].node_id;
    }
    for (size_t i = 0; i < right->replica_count; i++) {
        uint64_t node = right->replicas[i].node_id;
        if (step->from == 0 && range_desc_replica(left, node) == NULL) step->from = node;
    }
    return step->to != 0 || step->from != 0;
}

enum operator_next operator_next_merge(const struct operator_row *row, const struct range_desc *left,
                                       const struct range_desc *right, uint64_t right_leader, struct range_order *order,
                                       const char **what)
{
    struct operator_row step;
    *order = (struct range_order){.op = row->id, .range_id = left->id, .conf_ver = left->epoch.conf_ver};
    if (right == NULL) {
        *what = "done";
        return OPERATOR_NEXT_DONE;
    }
    bool neighbours = left->keyspace == right->keyspace && left->end.size > 0 && slice_eq(left->end, right->start);
    if (!neighbours || left->epoch.version > row->version) {
        *what = neighbours ? "the merge was given up" : "the two ranges are no neighbours any more";
        return OPERATOR_NEXT_VOID;
    }
    if (range_desc_joint(left) || range_desc_joint(right)) {
        *what = "a change of replicas comes to its end";
        return OPERATOR_NEXT_WAIT;
    }
    if (to_align(left, right, &step)) {
        order->range_id = right->id;
        order->conf_ver = right->epoch.conf_ver;
        return next_of_change(&step, right, right_leader, order, what);
    }
    *what = "its leader takes in the range behind it";
    return order_that(order, ORDER_MERGE, 0, 0);
}

static const char *const KINDS[] = {
    [OPERATOR_ADD] = "add",           [OPERATOR_REPLACE] = "move",    [OPERATOR_REMOVE] = "remove",
    [OPERATOR_TRANSFER] = "transfer", [OPERATOR_SPLIT] = "split",     [OPERATOR_MERGE] = "merge",
    [OPERATOR_SPLIT_HOT] = "split",   [OPERATOR_LEARNER] = "learner", [OPERATOR_ALONE] = "unsafe-recover"};
static const char *const STATES[] = {[OPERATOR_RUNNING] = "running",
                                     [OPERATOR_DONE] = "done",
                                     [OPERATOR_VOID] = "void",
                                     [OPERATOR_FAILED] = "failed",
                                     [OPERATOR_CANCELLED] = "cancelled"};

const char *operator_kind_name(enum operator_kind k)
{
    return k >= OPERATOR_ADD && k < OPERATOR_KINDS ? KINDS[k] : "?";
}

const char *operator_state_name(enum operator_state s)
{
    return s >= OPERATOR_RUNNING && s <= OPERATOR_CANCELLED ? STATES[s] : "?";
}
