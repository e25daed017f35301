/* Transactions, and the steps of those over several ranges (docs/transactions.md).
 *
 *   transaction, Prepare: checked -> ADMIT --free--> (timestamp) -> proposed -> applied -> replied
 *                                     |  ^            ^     |             |
 *                                     |  |            +-----+ not above   | met a lock
 *                                     v  |  the lock is gone the log's    v
 *                                    parked (locks.c) <-------------------+   a younger Prepare dies: refused, BLOCKED
 *   Decide, Forget: checked -> gathered (steps.c) -> proposed -> applied -> replied; Seal: with a timestamp, alone
 *
 * Woken by: timestamps_done, the proposal's `done`, the end of the lock's holder. Timed out by: timestamps_sweep, the
 * proposal's deadline, locks_pass. */
#include "base/assert.h"
#include "base/mutant.h"
#include "node/load.h"
#include "node/locks.h"

static void txn_admit(struct node_request *q);

static enum txn_command_kind kind_of(const struct node_request *q)
{
    return q->txn.kind == 0 ? TXN_COMMAND_KIND : (enum txn_command_kind)q->txn.kind;
}

/* It met a lock: it waits for its holder, or dies (wait-die: only the older of two Prepares waits). */
static void txn_blocked(struct node_request *q, const struct txn_blocked *by)
{
    struct txn_prepare p;
    if (kind_of(q) == TXN_COMMAND_PREPARE) {
        if (txn_prepare_decode(q->txn.txn, &q->node->arena, &p) != STATUS_OK) BUG("a Prepare that was checked");
        bool older = p.born != by->born ? p.born < by->born : memcmp(p.id.bytes, by->holder.bytes, TXN_ID_BYTES) < 0;
        if (!older) {
            COVER("node.prepare_dies");
            struct txn_id holder = by->holder;
            locks_refuse(q, &holder, "an older transaction holds a lock");
            return;
        }
    }
    locks_park(q, &by->holder, txn_admit);
}

void txn_answered(struct node_request *q, enum status s, bool unknown, struct slice answer)
{
    struct node *n = q->node;
    struct txn_blocked by;
    if (MUTANT(unknown_called_definite)) unknown = false;
    if (s != STATUS_OK) {
        node_refuse(q, s, unknown,
                    unknown ? "the transaction was proposed; whether it commits is not known"
                            : "the transaction did not commit");
    } else if (answer.size == 0) {
        node_refuse(q, STATUS_EPOCH_MISMATCH, false, "the range changed before the transaction's turn");
    } else if (txn_is_blocked(answer)) {
        arena_reset(&n->arena);
        if (txn_blocked_decode(answer, &n->arena, &by) != STATUS_OK) BUG("an answer of this process");
        txn_blocked(q, &by);
    } else {
        load_count_write(q);
        node_reply(q, answer);
    }
}

static void txn_done(struct proposal *p, enum status s, bool unknown, struct slice answer)
{
    txn_answered(LIST_ENTRY(p, struct node_request, proposal), s, unknown, answer);
}

void txn_propose(struct node_request *q, uint64_t ts)
{
    struct node *n = q->node;
    struct replica *r = host_replica(n->host, q->group);
    bool same_term = r != NULL && (raft_term(replica_raft(r)) == q->term || MUTANT(timestamp_of_older_term));
    if (r == NULL || !replica_leads(r) || !same_term) {
        node_refuse(q, STATUS_NOT_LEADER, false, "leadership changed before the transaction was proposed");
        return;
    }
    buf_clear(&n->scratch);
    /* The epoch under which the keys were checked: if it is another by its turn, nothing is done. */
    txn_command_encode(&(struct txn_command){.kind = kind_of(q),
                                             .ts = ts,
                                             .conf_ver = q->txn.to.epoch.conf_ver,
                                             .version = q->txn.to.epoch.version,
                                             .txn = q->txn.txn},
                       &n->scratch);
    q->proposal.done = txn_done;
    q->proposal.deadline_ns = q->deadline_ns;
    q->proposal.ts = ts;
    enum status s = replica_propose(r, buf_slice(&n->scratch), &q->proposal);
    if (s == STATUS_CLOSED) s = STATUS_NOT_LEADER; /* stopping: others lead, or are about to */
    if (s == STATUS_OK && ts != 0) flight_proposed(q);
    if (s == STATUS_OK) return;
    if (s == STATUS_RETRY && ts != 0) { /* a read or a commit above it came between */
        COVER("node.asks_again");
        timestamps_ask(n, q);
        return;
    }
    node_refuse(q, s, false, status_text(s));
}

/* The transaction, or the part of one, in the node's arena. */
static enum status txn_read(struct node_request *q, struct txn *t, bool *prepare, struct errbuf *err)
{
    struct arena *arena = &q->node->arena;
    struct slice bytes = q->txn.txn;
    struct txn_prepare p;
    *prepare = kind_of(q) == TXN_COMMAND_PREPARE;
    if (*prepare) {
        enum status s = txn_prepare_decode(bytes, arena, &p);
        if (s != STATUS_OK) return s;
        bytes = p.part;
    }
    return txn_decode(bytes, arena, t, err);
}

/* Locks that are known already are waited for without an entry in the log. */
static void txn_admit(struct node_request *q)
{
    struct node *n = q->node;
    struct replica *r = host_replica(n->host, q->group);
    if (r == NULL || !replica_leads(r) || replica_machine_state(r) == NULL) {
        node_refuse(q, STATUS_NOT_LEADER, false, "this replica does not lead the range");
        return;
    }
    q->term = raft_term(replica_raft(r));
    const struct kv_state *state = replica_machine_state(r);
    if (txn_table_count(state->table) > 0) {
        struct txn t;
        struct txn_id id;
        struct txn_blocked by;
        bool prepare;
        arena_reset(&n->arena);
        if (txn_read(q, &t, &prepare, NULL) != STATUS_OK) BUG("a transaction that was checked");
        if (txn_table_would_block(state->table, &t, prepare, &id) &&
            txn_table_holder(state->table, &id, &n->arena, &by)) {
            txn_blocked(q, &by);
            return;
        }
    }
    q->got_timestamp = q->shares ? prepares_gather : txn_propose;
    timestamps_ask(n, q);
}

/* It is what it says. *floor: the highest timestamp at which it commits; 0: it does not. */
static bool step_read(enum txn_command_kind kind, struct slice body, uint64_t *floor)
{
    struct txn_decide d;
    struct txn_seal seal;
    if (kind != TXN_COMMAND_DECIDE) return txn_seal_decode(body, &seal) == STATUS_OK;
    if (txn_decide_decode(body, &d) != STATUS_OK) return false;
    if (d.commit && d.ts > *floor) *floor = d.ts;
    return true;
}

static bool steps_read(struct slice body, uint64_t *floor)
{
    struct cursor c = cursor_make(body);
    struct txn_step step;
    bool good = body.size > 0;
    while (good && txn_step_next(&c, &step)) good = step_read(step.kind, step.body, floor);
    return good && !c.failed;
}

static void on_step(struct node_request *q, struct replica *r)
{
    uint64_t floor = 0;
    bool good =
        kind_of(q) == TXN_COMMAND_STEPS ? steps_read(q->txn.txn, &floor) : step_read(kind_of(q), q->txn.txn, &floor);
    if (!good) {
        node_refuse(q, STATUS_INVALID, false, "not a step of a transaction");
        return;
    }
    if (floor > 0 && !MUTANT(decide_without_floor)) replica_raise(r, floor);
    q->term = raft_term(replica_raft(r));
    if (!txn_command_has_ts(kind_of(q))) {
        struct kv_state *state = replica_machine_state(r);
        if (state == NULL) {
            node_refuse(q, STATUS_NOT_LEADER, false, "the rows are being replaced here: others lead, or are about to");
        } else {
            steps_gather(q, state);
        }
        return;
    }
    q->got_timestamp = txn_propose;
    timestamps_ask(q->node, q);
}

static bool adds_rows(const struct txn_op *ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (ops[i].kind != TXN_DELETE && ops[i].kind != TXN_GET) return true;
    }
    return false;
}

void node_on_txn(struct node *n, struct rpc_request *req)
{
    struct node_request *q = node_request_new(n, req);
    arena_reset(&n->arena);
    if (unpack_txn_request(req->params, &n->arena, &q->txn) != STATUS_OK) {
        node_refuse(q, STATUS_INVALID, false, "not a transaction request");
        return;
    }
    struct replica *r = node_request_route(q, &q->txn.to, false);
    if (r == NULL) return;
    if (kind_of(q) > TXN_COMMAND_PREPARE) {
        on_step(q, r);
        return;
    }
    struct txn t;
    struct errbuf err = {{0}};
    bool prepare;
    enum status s = txn_read(q, &t, &prepare, &err);
    if (s != STATUS_OK) {
        node_refuse(q, s, false, err.text);
        return;
    }
    struct slice lowest, highest;
    txn_key_span(&t, &lowest, &highest);
    const struct range_desc *d = replica_desc(r);
    if (!range_desc_contains(d, t.keyspace, lowest) || !range_desc_contains(d, t.keyspace, highest) ||
        !txn_stretches_end_by(&t, d->end)) {
        node_refuse(q, STATUS_EPOCH_MISMATCH, false, "a key of the transaction is not in this range");
        return;
    }
    if (adds_rows(t.ops, t.op_count) || adds_rows(t.else_ops, t.else_count)) s = health_admit(n, r, &err);
    if (s != STATUS_OK) {
        COVER("node.disk_full");
        node_refuse(q, s, false, err.text);
        return;
    }
    q->buckets = flight_buckets_of(&t);
    q->shares = prepares_may_share(q, &t);
    txn_admit(q);
}
