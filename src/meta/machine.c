/* Evaluation of the metadata commands. Each reads what it needs through the view, then writes rows, or refuses. */
#include "base/mutant.h"
#include "meta/machine_int.h"

#include "base/assert.h"
#include "base/cursor.h"

enum { META_REPLICATION_DEFAULT = 3 };

static struct slice store_key(struct eval *e, struct slice user_key)
{
    struct buf b;
    buf_init(&b, 1024);
    key_encode_data(&b, META_KEYSPACE, user_key);
    struct slice key = arena_dup_slice(e->arena, buf_slice(&b));
    buf_free(&b);
    return key;
}

struct slice eval_key_text(struct eval *e, const char *prefix, struct slice rest)
{
    size_t n = strlen(prefix);
    uint8_t *p = arena_alloc(e->arena, n + rest.size + 1);
    memcpy(p, prefix, n);
    if (rest.size > 0) memcpy(p + n, rest.data, rest.size);
    return slice_make(p, n + rest.size);
}

struct slice eval_key_id(struct eval *e, const char *prefix, uint64_t id)
{
    uint8_t bytes[8];
    be_set_u64(bytes, id);
    return eval_key_text(e, prefix, slice_make(bytes, sizeof bytes));
}

bool eval_read(struct eval *e, struct slice user_key, struct slice *value)
{
    struct txn_stored stored;
    enum status s = e->failed != STATUS_OK ? e->failed : e->view->get(e->view->ctx, store_key(e, user_key), &stored);
    if (s == STATUS_OK) *value = stored.value;
    if (s != STATUS_OK && s != STATUS_NOT_FOUND) e->failed = s;
    return s == STATUS_OK;
}

uint64_t eval_read_number(struct eval *e, struct slice user_key, uint64_t absent)
{
    struct slice value;
    uint64_t n = absent;
    if (eval_read(e, user_key, &value) && meta_number_row_decode(value, &n) != STATUS_OK)
        BUG("a number row of the metadata is damaged");
    return n;
}

static void add_write(struct eval *e, struct txn_write write)
{
    struct txn_writes *w = e->writes;
    if (w->count == e->write_capacity) {
        size_t capacity = e->write_capacity == 0 ? 16 : e->write_capacity * 2;
        struct txn_write *items = arena_alloc(e->arena, capacity * sizeof *items);
        if (w->count > 0) memcpy(items, w->items, w->count * sizeof *items);
        w->items = items;
        e->write_capacity = capacity;
    }
    w->items[w->count++] = write;
}

void eval_write(struct eval *e, struct slice user_key, const struct buf *value)
{
    ASSERT(!value->overflow);
    add_write(e,
              (struct txn_write){.key = store_key(e, user_key), .value = arena_dup_slice(e->arena, buf_slice(value))});
}

void eval_delete(struct eval *e, struct slice user_key)
{
    add_write(e, (struct txn_write){.key = store_key(e, user_key), .is_delete = true, .value = SLICE_EMPTY});
}

void eval_write_number(struct eval *e, struct slice user_key, uint64_t n)
{
    struct buf b;
    buf_init(&b, 16);
    pack_uint(&b, n);
    eval_write(e, user_key, &b);
    buf_free(&b);
}

uint64_t eval_take_ids(struct eval *e, const char *kind, uint64_t first, uint64_t count)
{
    struct slice key = eval_key_text(e, "i/", slice_str(kind));
    uint64_t next = eval_read_number(e, key, first);
    eval_write_number(e, key, next + count);
    return next;
}

void eval_raise_map_version(struct eval *e)
{
    struct slice key = slice_str("v");
    eval_write_number(e, key, eval_read_number(e, key, 0) + 1);
}

void eval_answer(struct eval *e, enum status s, const char *message, struct slice payload)
{
    struct reply_head head = {.status = s, .message = slice_str(message), .payload = payload};
    buf_clear(e->answer);
    pack_reply_head(e->answer, &head);
    if (s != STATUS_OK) e->writes->count = 0;
}

void eval_answer_not_initialized(struct eval *e)
{
    if (e->failed != STATUS_OK) return;
    eval_answer(e, STATUS_NOT_INITIALIZED, "the cluster has not been initialised: quorate init", SLICE_EMPTY);
}

bool eval_read_cluster(struct eval *e, struct meta_cluster_row *row)
{
    struct slice value;
    if (!eval_read(e, slice_str("c"), &value)) return false;
    if (meta_cluster_row_decode(value, row) != STATUS_OK) BUG("the cluster row of the metadata is damaged");
    return true;
}

/* The first one wins; everybody gets the id that won. */
static void eval_init(struct eval *e, const struct meta_init_request *q)
{
    struct meta_cluster_row row;
    if (!eval_read_cluster(e, &row)) {
        row.cluster = q->cluster;
        row.replication = q->replication == 0 ? META_REPLICATION_DEFAULT : q->replication;
        if (row.replication > LIMIT_VOTERS || cluster_id_is_none(&row.cluster)) {
            eval_answer(e, STATUS_INVALID, "init needs a cluster id and a replication of 1 to 7", SLICE_EMPTY);
            return;
        }
        struct buf b;
        buf_init(&b, 256);
        pack_array(&b, 2);
        pack_bin(&b, slice_make(row.cluster.bytes, CLUSTER_ID_BYTES));
        pack_uint(&b, row.replication);
        eval_write(e, slice_str("c"), &b);
        buf_free(&b);
        eval_raise_map_version(e);
    }
    ANSWER_WITH(e, meta_init_reply, &(struct meta_init_reply){.cluster = row.cluster});
}

void eval_write_node(struct eval *e, const struct meta_node_row *row)
{
    struct buf b;
    buf_init(&b, 4096);
    meta_node_row_encode(row, &b);
    eval_write(e, eval_key_id(e, "n/", row->id), &b);
    buf_free(&b);
    eval_raise_map_version(e);
}

bool eval_read_node(struct eval *e, uint64_t id, struct meta_node_row *row)
{
    struct slice value;
    if (!eval_read(e, eval_key_id(e, "n/", id), &value)) return false;
    if (meta_node_row_decode(value, row) != STATUS_OK) BUG("a node row of the metadata is damaged");
    return true;
}

/* The same directory (uuid) is the same node for ever; its address may change. */
static void eval_register(struct eval *e, const struct meta_register_request *q)
{
    struct meta_cluster_row cluster;
    if (!eval_read_cluster(e, &cluster)) {
        eval_answer_not_initialized(e);
        return;
    }
    if (!cluster_id_is_none(&q->cluster) && memcmp(q->cluster.bytes, cluster.cluster.bytes, CLUSTER_ID_BYTES) != 0) {
        eval_answer(e, STATUS_WRONG_CLUSTER, "the data directory belongs to another cluster", SLICE_EMPTY);
        return;
    }
    struct slice uuid_key = eval_key_text(e, "u/", q->uuid);
    struct meta_node_row row;
    uint64_t id = eval_read_number(e, uuid_key, 0);
    if (id == 0) {
        id = eval_take_ids(e, "node", 1, 1);
        eval_write_number(e, uuid_key, id);
        eval_write_node(e, &(struct meta_node_row){.id = id, .uuid = q->uuid, .address = q->address, .host = q->host});
    } else if (eval_read_node(e, id, &row)) {
        if (row.lost_ms != 0 && !MUTANT(given_up_let_in)) {
            eval_answer(e, STATUS_FORBIDDEN, "the node was given up by unsafe-recover", SLICE_EMPTY);
            return;
        }
        struct slice host = q->host.size > 0 ? q->host : row.host;
        bool same = slice_eq(row.address, q->address) && slice_eq(row.host, host);
        row.address = q->address;
        row.host = host;
        if (!same) eval_write_node(e, &row);
    }
    uint64_t next_range = eval_read_number(e, eval_key_text(e, "i/", slice_str("range")), META_FIRST_RANGE);
    ANSWER_WITH(e, meta_register_reply,
                &(struct meta_register_reply){.cluster = cluster.cluster, .node_id = id, .next_range = next_range});
}

static void eval_drain(struct eval *e, const struct meta_node_drain_request *q)
{
    struct meta_node_row row;
    if (!eval_read_node(e, q->node_id, &row)) {
        if (e->failed == STATUS_OK) eval_answer(e, STATUS_NOT_FOUND, "no node of that id is registered", SLICE_EMPTY);
        return;
    }
    bool same = row.drained == q->drain;
    row.drained = q->drain;
    if (!same) eval_write_node(e, &row);
    eval_answer(e, STATUS_OK, "", SLICE_EMPTY);
}

/* What an admin wants of a member, until it is so. */
static void eval_member(struct eval *e, const struct meta_command *c)
{
    struct slice key = eval_key_id(e, "m/", c->member.id);
    if (c->member_gone) {
        eval_delete(e, key);
    } else {
        struct buf b;
        buf_init(&b, 4096);
        pack_array(&b, 2);
        pack_bin(&b, c->member.address);
        pack_bool(&b, !c->member.remove);
        eval_write(e, key, &b);
        buf_free(&b);
    }
    eval_answer(e, STATUS_OK, "", SLICE_EMPTY);
}

static enum status meta_apply(void *ctx, const struct machine_entry *me, const struct txn_view *view,
                              struct arena *arena, struct txn_writes *writes, uint64_t *ts, struct buf *out)
{
    struct eval e = {
        .view = view, .arena = arena, .writes = writes, .answer = out, .failed = STATUS_OK, .index = me->index};
    struct meta_command c;
    *ts = me->index; /* versions of metadata rows: they have no other order */
    writes->count = 0;
    enum status decoded = meta_command_decode(me->command, arena, &c);
    if (decoded == STATUS_UNSUPPORTED)
        BUG("a metadata log entry that is no command of this release: start a newer one on this directory");
    if (decoded != STATUS_OK) {
        eval_answer(&e, STATUS_INVALID, "the request is malformed, or beyond a limit", SLICE_EMPTY);
        return STATUS_OK;
    }
    switch (c.kind) {
    case META_CMD_INIT: eval_init(&e, &c.init); break;
    case META_CMD_REGISTER: eval_register(&e, &c.node); break;
    case META_CMD_KEYSPACE: eval_keyspace_create(&e, &c); break;
    case META_CMD_KEYSPACE_ALTER: eval_keyspace_alter(&e, &c.alter); break;
    case META_CMD_KEYSPACE_DROP: eval_keyspace_drop(&e, &c.drop); break;
    case META_CMD_KEYSPACE_DESTROY: eval_keyspace_destroy(&e, &c.destroy); break;
    case META_CMD_RANGES_DESTROY: eval_ranges_destroy(&e, &c); break;
    case META_CMD_TS_BOUND: /* never falls */
        if (eval_read_number(&e, slice_str("t"), 0) < c.ts_bound) eval_write_number(&e, slice_str("t"), c.ts_bound);
        eval_answer(&e, STATUS_OK, "", SLICE_EMPTY);
        break;
    case META_CMD_IDS: {
        uint64_t first =
            eval_take_ids(&e, c.ids.ranges ? "range" : "user", c.ids.ranges ? META_FIRST_RANGE : 1, c.ids.count);
        ANSWER_WITH(&e, meta_ids_reply, &(struct meta_ids_reply){.first = first});
        break;
    }
    case META_CMD_DRAIN: eval_drain(&e, &c.drain); break;
    case META_CMD_OPERATOR_BEGIN: eval_operator_begin(&e, &c.operator); break;
    case META_CMD_OPERATOR_END: eval_operator_end(&e, &c.operator); break;
    case META_CMD_SETTING: eval_setting(&e, &c.setting); break;
    case META_CMD_NODE: eval_node_verb(&e, &c.node_verb, c.now_ms); break;
    case META_CMD_RANGES: eval_ranges(&e, &c); break;
    case META_CMD_MEMBER: eval_member(&e, &c); break;
    case META_CMD_REBUILD: eval_rebuild(&e, &c.rebuild); break;
    case META_CMD_GIVE_UP: eval_give_up(&e, &c.recover, c.now_ms); break;
    case META_CMD_FINALIZE: /* never falls */
        if (eval_read_number(&e, slice_str("f"), VERSION_FIRST) < c.finalised)
            eval_write_number(&e, slice_str("f"), c.finalised);
        eval_answer(&e, STATUS_OK, "", SLICE_EMPTY);
        break;
    case META_CMD_SNAPSHOT: eval_snapshot(&e, &c, ctx != NULL ? ((struct meta_applied *)ctx)->version_keep : 0); break;
    case META_CMD_PLACEMENT: eval_placement(&e, &c.placement.rule); break;
    }
    if (e.failed != STATUS_OK) writes->count = 0;
    return e.failed;
}

static void meta_applied_rows(void *ctx, const struct machine_entry *me, const struct txn_writes *writes, uint64_t ts)
{
    (void)ts;
    (void)me;
    const struct meta_applied *a = ctx;
    if (a == NULL) return;
    struct buf key;
    buf_init(&key, 2 * LIMIT_KEY_BYTES);
    for (size_t i = 0; i < writes->count; i++) {
        uint32_t keyspace;
        enum row_type type;
        buf_clear(&key);
        if (key_decode(writes->items[i].key, &keyspace, &key, &type) != STATUS_OK)
            BUG("a key that was encoded a moment ago");
        a->row(a->ctx, buf_slice(&key), writes->items[i].value, writes->items[i].is_delete);
    }
    buf_free(&key);
}

const struct machine_ops meta_machine_ops = {.apply = meta_apply, .applied = meta_applied_rows};
