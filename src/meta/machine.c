/* Evaluation of the metadata commands. Each reads what it needs through the view, then writes rows, or refuses. */
#include "meta/machine.h"

#include "base/assert.h"
#include "base/cursor.h"
#include "base/hash.h"

enum { META_REPLICATION_DEFAULT = 3, SPLIT_BYTES_MAX = 1 << 20 };

/* One evaluation: what it reads through and writes to. `failed` is the view's first failure: the evaluation is then void. */
struct eval {
    const struct txn_view *view;
    struct arena *arena;
    struct txn_writes *writes;
    size_t write_capacity;
    struct buf *answer;
    enum status failed;
    uint64_t index;
};

static struct slice store_key(struct eval *e, struct slice user_key)
{
    struct buf b;
    buf_init(&b, 1024);
    key_encode_data(&b, META_KEYSPACE, user_key);
    struct slice key = arena_dup_slice(e->arena, buf_slice(&b));
    buf_free(&b);
    return key;
}

static struct slice key_text(struct eval *e, const char *prefix, struct slice rest)
{
    size_t n = strlen(prefix);
    uint8_t *p = arena_alloc(e->arena, n + rest.size + 1);
    memcpy(p, prefix, n);
    if (rest.size > 0) memcpy(p + n, rest.data, rest.size);
    return slice_make(p, n + rest.size);
}

static struct slice key_id(struct eval *e, const char *prefix, uint64_t id)
{
    uint8_t bytes[8];
    be_set_u64(bytes, id);
    return key_text(e, prefix, slice_make(bytes, sizeof bytes));
}

static bool read_row(struct eval *e, struct slice user_key, struct slice *value)
{
    struct txn_stored stored;
    enum status s = e->failed != STATUS_OK ? e->failed : e->view->get(e->view->ctx, store_key(e, user_key), &stored);
    if (s == STATUS_OK) *value = stored.value;
    if (s != STATUS_OK && s != STATUS_NOT_FOUND) e->failed = s;
    return s == STATUS_OK;
}

static uint64_t read_number(struct eval *e, struct slice user_key, uint64_t absent)
{
    struct slice value;
    uint64_t n = absent;
    if (read_row(e, user_key, &value) && meta_number_row_decode(value, &n) != STATUS_OK)
        BUG("a number row of the metadata is damaged");
    return n;
}

static void write_row(struct eval *e, struct slice user_key, const struct buf *value)
{
    struct txn_writes *w = e->writes;
    if (w->count == e->write_capacity) {
        size_t capacity = e->write_capacity == 0 ? 16 : e->write_capacity * 2;
        struct txn_write *items = arena_alloc(e->arena, capacity * sizeof *items);
        if (w->count > 0) memcpy(items, w->items, w->count * sizeof *items);
        w->items = items;
        e->write_capacity = capacity;
    }
    ASSERT(!value->overflow);
    w->items[w->count++] =
        (struct txn_write){.key = store_key(e, user_key), .value = arena_dup_slice(e->arena, buf_slice(value))};
}

static void write_number(struct eval *e, struct slice user_key, uint64_t n)
{
    struct buf b;
    buf_init(&b, 16);
    pack_uint(&b, n);
    write_row(e, user_key, &b);
    buf_free(&b);
}

/* Takes `count` ids of a kind. */
static uint64_t take_ids(struct eval *e, const char *kind, uint64_t first, uint64_t count)
{
    struct slice key = key_text(e, "i/", slice_str(kind));
    uint64_t next = read_number(e, key, first);
    write_number(e, key, next + count);
    return next;
}

static void raise_map_version(struct eval *e)
{
    struct slice key = slice_str("v");
    write_number(e, key, read_number(e, key, 0) + 1);
}

static void answer(struct eval *e, enum status s, const char *message, struct slice payload)
{
    struct reply_head head = {.status = s, .message = slice_str(message), .payload = payload};
    buf_clear(e->answer);
    pack_reply_head(e->answer, &head);
    if (s != STATUS_OK) e->writes->count = 0;
}

#define ANSWER_WITH(e, name, ...)                                                                                      \
    do {                                                                                                               \
        struct buf payload;                                                                                            \
        buf_init(&payload, LIMIT_FRAME_BYTES);                                                                         \
        pack_##name(&payload, __VA_ARGS__);                                                                            \
        answer(e, STATUS_OK, "", buf_slice(&payload));                                                                 \
        buf_free(&payload);                                                                                            \
    } while (0)

static bool read_cluster(struct eval *e, struct meta_cluster_row *row)
{
    struct slice value;
    if (!read_row(e, slice_str("c"), &value)) return false;
    if (meta_cluster_row_decode(value, row) != STATUS_OK) BUG("the cluster row of the metadata is damaged");
    return true;
}

/* The first one wins; everybody gets the id that won. */
static void eval_init(struct eval *e, const struct meta_init_request *q)
{
    struct meta_cluster_row row;
    if (!read_cluster(e, &row)) {
        row.cluster = q->cluster;
        row.replication = q->replication == 0 ? META_REPLICATION_DEFAULT : q->replication;
        if (row.replication > LIMIT_VOTERS || cluster_id_is_none(&row.cluster)) {
            answer(e, STATUS_INVALID, "init needs a cluster id and a replication of 1 to 7", SLICE_EMPTY);
            return;
        }
        struct buf b;
        buf_init(&b, 256);
        pack_array(&b, 2);
        pack_bin(&b, slice_make(row.cluster.bytes, CLUSTER_ID_BYTES));
        pack_uint(&b, row.replication);
        write_row(e, slice_str("c"), &b);
        buf_free(&b);
        raise_map_version(e);
    }
    ANSWER_WITH(e, meta_init_reply, &(struct meta_init_reply){.cluster = row.cluster});
}

static void write_node(struct eval *e, const struct meta_node_row *row)
{
    struct buf b;
    buf_init(&b, 4096);
    pack_array(&b, 5);
    pack_uint(&b, row->id);
    pack_bin(&b, row->uuid);
    pack_bin(&b, row->address);
    pack_bin(&b, row->host);
    pack_bool(&b, row->drained);
    write_row(e, key_id(e, "n/", row->id), &b);
    buf_free(&b);
    raise_map_version(e);
}

static bool read_node(struct eval *e, uint64_t id, struct meta_node_row *row)
{
    struct slice value;
    if (!read_row(e, key_id(e, "n/", id), &value)) return false;
    if (meta_node_row_decode(value, row) != STATUS_OK) BUG("a node row of the metadata is damaged");
    return true;
}

/* The same directory (uuid) is the same node for ever; its address may change. */
static void eval_register(struct eval *e, const struct meta_register_request *q)
{
    struct meta_cluster_row cluster;
    if (!read_cluster(e, &cluster)) {
        if (e->failed == STATUS_OK)
            answer(e, STATUS_NOT_INITIALIZED, "the cluster has not been initialised: quorate init", SLICE_EMPTY);
        return;
    }
    if (!cluster_id_is_none(&q->cluster) && memcmp(q->cluster.bytes, cluster.cluster.bytes, CLUSTER_ID_BYTES) != 0) {
        answer(e, STATUS_WRONG_CLUSTER, "the data directory belongs to another cluster", SLICE_EMPTY);
        return;
    }
    struct slice uuid_key = key_text(e, "u/", q->uuid);
    struct meta_node_row row;
    uint64_t id = read_number(e, uuid_key, 0);
    if (id == 0) {
        id = take_ids(e, "node", 1, 1);
        write_number(e, uuid_key, id);
        write_node(e, &(struct meta_node_row){.id = id, .uuid = q->uuid, .address = q->address, .host = q->host});
    } else if (read_node(e, id, &row)) {
        struct slice host = q->host.size > 0 ? q->host : row.host;
        bool same = slice_eq(row.address, q->address) && slice_eq(row.host, host);
        row.address = q->address;
        row.host = host;
        if (!same) write_node(e, &row);
    }
    uint64_t next_range = read_number(e, key_text(e, "i/", slice_str("range")), META_FIRST_RANGE);
    ANSWER_WITH(e, meta_register_reply,
                &(struct meta_register_reply){.cluster = cluster.cluster, .node_id = id, .next_range = next_range});
}

static void eval_drain(struct eval *e, const struct meta_node_drain_request *q)
{
    struct meta_node_row row;
    if (!read_node(e, q->node_id, &row)) {
        if (e->failed == STATUS_OK) answer(e, STATUS_NOT_FOUND, "no node of that id is registered", SLICE_EMPTY);
        return;
    }
    bool same = row.drained == q->drain;
    row.drained = q->drain;
    if (!same) write_node(e, &row);
    answer(e, STATUS_OK, "", SLICE_EMPTY);
}

static uint64_t splits_hash(const struct meta_keyspace_request *q)
{
    uint64_t h = q->split_count;
    for (size_t i = 0; i < q->split_count; i++) h = hash_bytes(q->splits[i], h);
    return h;
}

static const char *keyspace_fault(const struct meta_keyspace_request *q, uint32_t replication)
{
    if (q->name.size == 0 || q->name.size > LIMIT_KEYSPACE_NAME) return "a keyspace name has 1 to 64 characters";
    for (size_t i = 0; i < q->name.size; i++) {
        uint8_t c = q->name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-')) {
            return "a keyspace name consists of a-z, 0-9, '_' and '-'";
        }
    }
    if (replication == 0 || replication > LIMIT_VOTERS) return "replication is 1 to 7";
    if (q->split_count > LIMIT_SPLIT_KEYS) return "too many split keys: 4096 at most";
    size_t bytes = 0;
    for (size_t i = 0; i < q->split_count; i++) {
        bytes += q->splits[i].size;
        if (bytes > SPLIT_BYTES_MAX)
            return "the split keys together have more than 1 MiB: create the keyspace with fewer or shorter ones";
        if (q->splits[i].size == 0 || q->splits[i].size > LIMIT_KEY_BYTES) return "a split key has 1 to 4096 bytes";
        if (i > 0 && slice_cmp(q->splits[i - 1], q->splits[i]) >= 0) return "split keys must rise, without duplicates";
    }
    return NULL;
}

/* One range between each two split keys. False: too few nodes. */
static bool write_ranges(struct eval *e, const struct meta_command *c, uint32_t keyspace, uint32_t replication)
{
    const struct meta_keyspace_request *q = &c->keyspace;
    uint64_t id = take_ids(e, "range", META_FIRST_RANGE, q->split_count + 1);
    for (size_t i = 0; i <= q->split_count; i++, id++) {
        struct range_desc d = {
            .id = id, .keyspace = keyspace, .epoch = {.conf_ver = 1, .version = 1}, .replica_count = replication};
        d.start = i == 0 ? SLICE_EMPTY : q->splits[i - 1];
        d.end = i == q->split_count ? SLICE_EMPTY : q->splits[i];
        uint64_t chosen[LIMIT_REPLICAS];
        if (placement_assign(c->candidates, c->candidate_count, replication, chosen) != STATUS_OK) return false;
        for (size_t k = 0; k < replication; k++) {
            d.replicas[k] = (struct range_replica){.node_id = chosen[k], .replica_id = k + 1, .role = 1};
        }
        struct buf b;
        buf_init(&b, 64 * 1024);
        pack_range_desc(&b, &d);
        write_row(e, key_id(e, "r/", id), &b);
        buf_free(&b);
    }
    return true;
}

static void create_keyspace(struct eval *e, const struct meta_command *c, struct slice key, uint32_t replication)
{
    uint32_t id = (uint32_t)take_ids(e, "keyspace", 1, 1);
    if (!write_ranges(e, c, id, replication)) {
        answer(e, STATUS_UNAVAILABLE,
               "fewer live storage nodes than replicas asked for: start more nodes, or ask for fewer replicas",
               SLICE_EMPTY);
        return;
    }
    struct buf b;
    buf_init(&b, 64);
    pack_array(&b, 3);
    pack_uint(&b, id);
    pack_uint(&b, replication);
    pack_uint(&b, splits_hash(&c->keyspace));
    write_row(e, key, &b);
    buf_free(&b);
    raise_map_version(e);
    ANSWER_WITH(e, meta_keyspace_reply, &(struct meta_keyspace_reply){.id = id, .created = true});
}

/* Idempotent: the same name, splits and replication again is no error. */
static void eval_keyspace(struct eval *e, const struct meta_command *c)
{
    struct meta_cluster_row cluster;
    if (!read_cluster(e, &cluster)) {
        if (e->failed == STATUS_OK)
            answer(e, STATUS_NOT_INITIALIZED, "the cluster has not been initialised: quorate init", SLICE_EMPTY);
        return;
    }
    uint32_t replication = c->keyspace.replication == 0 ? cluster.replication : c->keyspace.replication;
    const char *fault = keyspace_fault(&c->keyspace, replication);
    if (fault != NULL) {
        answer(e, STATUS_INVALID, fault, SLICE_EMPTY);
        return;
    }
    struct slice key = key_text(e, "k/", c->keyspace.name), value;
    if (!read_row(e, key, &value)) {
        if (e->failed == STATUS_OK) create_keyspace(e, c, key, replication);
        return;
    }
    struct meta_keyspace_row row;
    if (meta_keyspace_row_decode(value, &row) != STATUS_OK) BUG("a keyspace row of the metadata is damaged");
    if (row.replication != replication || row.splits_hash != splits_hash(&c->keyspace)) {
        answer(e, STATUS_EXISTS, "a keyspace of that name exists with other split keys or another replication",
               SLICE_EMPTY);
        return;
    }
    ANSWER_WITH(e, meta_keyspace_reply, &(struct meta_keyspace_reply){.id = row.id, .created = false});
}

static enum status meta_apply(void *ctx, const struct machine_entry *me, const struct txn_view *view,
                              struct arena *arena, struct txn_writes *writes, uint64_t *ts, struct buf *out)
{
    (void)ctx;
    struct eval e = {
        .view = view, .arena = arena, .writes = writes, .answer = out, .failed = STATUS_OK, .index = me->index};
    struct meta_command c;
    *ts = me->index; /* versions of metadata rows: they have no other order */
    writes->count = 0;
    enum status decoded = meta_command_decode(me->command, arena, &c);
    if (decoded == STATUS_UNSUPPORTED) BUG("a metadata log entry that is no command of this version");
    if (decoded != STATUS_OK) {
        answer(&e, STATUS_INVALID, "the request is malformed, or beyond a limit", SLICE_EMPTY);
        return STATUS_OK;
    }
    switch (c.kind) {
    case META_CMD_INIT: eval_init(&e, &c.init); break;
    case META_CMD_REGISTER: eval_register(&e, &c.node); break;
    case META_CMD_KEYSPACE: eval_keyspace(&e, &c); break;
    case META_CMD_TS_BOUND: /* never falls */
        if (read_number(&e, slice_str("t"), 0) < c.ts_bound) write_number(&e, slice_str("t"), c.ts_bound);
        answer(&e, STATUS_OK, "", SLICE_EMPTY);
        break;
    case META_CMD_IDS: {
        uint64_t first = take_ids(&e, "user", 1, c.id_count);
        ANSWER_WITH(&e, meta_ids_reply, &(struct meta_ids_reply){.first = first});
        break;
    }
    case META_CMD_DRAIN: eval_drain(&e, &c.drain); break;
    }
    if (e.failed != STATUS_OK) writes->count = 0;
    return e.failed;
}

static void meta_applied_rows(void *ctx, const struct machine_entry *me, const struct txn_writes *writes)
{
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
