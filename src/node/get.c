/* Point reads: the store is read when read.c says so; a block that is missing is loaded, and the read repeated. */
#include "base/assert.h"
#include "base/mutant.h"
#include "node/load.h"
#include "node/locks.h"
#include "node/read.h"

static void get_try(struct node_request *q);

static void get_loaded(void *ctx, enum status s)
{
    struct node_request *q = ctx;
    if (s == STATUS_OK) {
        get_try(q);
    } else {
        node_refuse(q, s == STATUS_CLOSED ? STATUS_CLOSED : STATUS_NOT_LEADER, false,
                    "the block that holds the key cannot be read here: ask another replica");
    }
}

static void store_key(const struct node_request *q, struct buf *out)
{
    struct txn_id id;
    buf_clear(out);
    if (q->get.how.id.size == 0) {
        key_encode_data(out, q->get.keyspace, q->get.key);
        return;
    }
    memcpy(id.bytes, q->get.how.id.data, TXN_ID_BYTES);
    key_encode_idempotency(out, q->get.keyspace, q->get.key, &id);
}

/* What the client sees. STATUS_TOO_LARGE: the answer of an id, larger than a reply may be. */
static enum status get_value(const struct node_request *q, struct slice stored, struct row *row,
                             char text[I128_TEXT_MAX], struct slice *value)
{
    if (q->get.how.id.size == 0) {
        enum status s = row_decode(stored, row);
        if (s == STATUS_OK) *value = row_value(row, text);
        return s;
    }
    *row = (struct row){.format = ROW_RAW, .ttl_ms = LIMIT_ID_LIFE_MS};
    enum status s = txn_stored_answer(stored, value);
    return s == STATUS_OK && value->size > LIMIT_VALUE_BYTES ? STATUS_TOO_LARGE : s;
}

static void get_try(struct node_request *q)
{
    struct node *n = q->node;
    struct lsm_row row;
    struct lsm_miss miss;
    struct replica *r = host_replica(n->host, q->group);
    if (r != NULL && !node_epoch_holds(r, &q->get.to) && !MUTANT(get_from_former_range)) {
        node_refuse(q, STATUS_EPOCH_MISMATCH, false, "the range has changed");
        return;
    }
    if (r == NULL || replica_rows_life(r) == 0) {
        node_refuse(q, STATUS_NOT_LEADER, false, "a snapshot is replacing the rows here: ask the leader");
        return;
    }
    if (!read_may_serve(q)) return;
    store_key(q, &n->scratch);
    if (!locks_let_read(q, buf_slice(&n->scratch), q->read_ts, get_try)) return;
    enum status s = lsm_get(host_store(n->host), buf_slice(&n->scratch), q->read_ts, &row, &miss);
    if (s == STATUS_MISS) {
        lsm_load(host_store(n->host), &miss, get_loaded, q);
        return;
    }
    if (s == STATUS_CORRUPT) {
        node_refuse(q, STATUS_NOT_LEADER, false, "a table is damaged here, and fetched again: ask another replica");
        return;
    }
    struct get_reply reply = {.found = s == STATUS_OK, .mark = read_mark(q, r)};
    char text[I128_TEXT_MAX];
    if (s == STATUS_OK) {
        struct row decoded;
        s = get_value(q, row.value, &decoded, text, &reply.value);
        reply.version = row.ts;
        if (s == STATUS_OK) reply.found = read_sees(q, &reply.mark, &decoded, row.ts);
        if (s != STATUS_OK || !reply.found) reply.value = SLICE_EMPTY;
        if (!reply.found) reply.version = 0;
    } else if (s == STATUS_NOT_FOUND) {
        reply.value = SLICE_EMPTY;
        s = STATUS_OK;
    }
    if (s == STATUS_TOO_LARGE) {
        node_refuse(q, s, false, "the answer that is kept is larger than a reply may be");
        return;
    }
    if (s != STATUS_OK) {
        node_refuse(q, STATUS_CORRUPT, false, "the stored row is damaged here");
        return;
    }
    if (q->wants_timestamp) {
        read_at_timestamp(q);
        return;
    }
    if (!MUTANT(get_behind_lease) && !read_stands(q, r)) return;
    load_count_read(q, q->get.key);
    load_count_other(q->node);
    struct buf payload;
    buf_init(&payload, LIMIT_FRAME_BYTES);
    pack_get_reply(&payload, &reply);
    node_reply(q, buf_slice(&payload));
    buf_free(&payload);
}

void node_on_get(struct node *n, struct rpc_request *req)
{
    struct node_request *q = node_request_new(n, req);
    arena_reset(&n->arena);
    if (unpack_get_request(req->params, &n->arena, &q->get) != STATUS_OK) {
        node_refuse(q, STATUS_INVALID, false, "not a get request");
        return;
    }
    const struct read_how *how = &q->get.how;
    struct replica *r = node_request_route(q, &q->get.to, how->any_replica);
    if (r == NULL) return;
    if (!range_desc_contains(replica_desc(r), q->get.keyspace, q->get.key)) {
        node_refuse(q, STATUS_EPOCH_MISMATCH, false, "the key is not in this range");
        return;
    }
    q->buckets = flight_bucket(q->get.key);
    read_begin(q, r, how, get_try);
}
