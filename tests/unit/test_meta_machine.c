/* The metadata machine over rows in a plain list, and the state that follows it. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/prng.h"
#include "meta/state.h"

enum { ROWS_MAX = 4096 };

struct world {
    struct slice keys[ROWS_MAX], values[ROWS_MAX]; /* owned */
    size_t count;
    uint64_t index;
    unsigned gets, miss_at; /* the miss_at-th get misses; 0: none does */
    struct arena arena;
    struct buf answer;
    struct meta_state state;
    struct meta_applied applied;
};

static struct world w;

static void on_row(void *ctx, struct slice key, struct slice value, bool is_delete)
{
    meta_state_row(&((struct world *)ctx)->state, key, value, is_delete);
}

static void setup(void)
{
    memset(&w, 0, sizeof w);
    arena_init(&w.arena, 65536);
    buf_init(&w.answer, LIMIT_FRAME_BYTES);
    meta_state_init(&w.state);
    w.applied = (struct meta_applied){.row = on_row, .ctx = &w};
}

static void teardown(void)
{
    for (size_t i = 0; i < w.count; i++) {
        mem_free((void *)(uintptr_t)w.keys[i].data);
        mem_free((void *)(uintptr_t)w.values[i].data);
    }
    arena_free(&w.arena);
    buf_free(&w.answer);
    meta_state_clear(&w.state);
}

static size_t find(struct slice key)
{
    size_t i = 0;
    while (i < w.count && !slice_eq(w.keys[i], key)) i++;
    return i;
}

static enum status view_get(void *ctx, struct slice key, struct txn_stored *out)
{
    (void)ctx;
    if (++w.gets == w.miss_at) return STATUS_MISS;
    size_t i = find(key);
    if (i == w.count) return STATUS_NOT_FOUND;
    *out = (struct txn_stored){.version = 1, .value = w.values[i]};
    return STATUS_OK;
}

static void store(const struct txn_writes *writes)
{
    for (size_t k = 0; k < writes->count; k++) {
        size_t i = find(writes->items[k].key);
        if (writes->items[k].is_delete) {
            ck_assert_uint_lt(i, w.count);
            mem_free((void *)(uintptr_t)w.keys[i].data);
            mem_free((void *)(uintptr_t)w.values[i].data);
            w.count--;
            w.keys[i] = w.keys[w.count];
            w.values[i] = w.values[w.count];
            continue;
        }
        if (i == w.count) {
            ck_assert_uint_lt(w.count, ROWS_MAX);
            w.keys[w.count++] = mem_dup_slice(writes->items[k].key);
        } else {
            mem_free((void *)(uintptr_t)w.values[i].data);
        }
        w.values[i] = mem_dup_slice(writes->items[k].value);
        if (!writes->items[k].is_delete) continue;
        mem_free((void *)(uintptr_t)w.keys[i].data);
        mem_free((void *)(uintptr_t)w.values[i].data);
        w.count--;
        w.keys[i] = w.keys[w.count];
        w.values[i] = w.values[w.count];
    }
}

/* Applies the command; the answer's head borrows from w. */
static enum status run(const struct meta_command *c, struct reply_head *head)
{
    struct buf encoded;
    buf_init(&encoded, LIMIT_FRAME_BYTES);
    meta_command_encode(c, &encoded);
    arena_reset(&w.arena);
    struct slice command = arena_dup_slice(&w.arena, buf_slice(&encoded));
    buf_free(&encoded);
    struct machine_entry e = {.index = ++w.index, .term = 1, .command = command};
    struct txn_view view = {.get = view_get};
    struct txn_writes writes = {0};
    uint64_t ts;
    buf_clear(&w.answer);
    w.gets = 0;
    enum status s = meta_machine_ops.apply(&w.applied, &e, &view, &w.arena, &writes, &ts, &w.answer);
    if (s != STATUS_OK) {
        ck_assert_uint_eq(writes.count, 0);
        return s;
    }
    ck_assert_uint_eq(ts, e.index);
    store(&writes);
    meta_machine_ops.applied(&w.applied, &e, &writes, 0);
    ck_assert_int_eq(unpack_reply_head(buf_slice(&w.answer), &w.arena, head), STATUS_OK);
    if (head->status != STATUS_OK) ck_assert_uint_eq(writes.count, 0);
    return head->status;
}

static struct cluster_id cluster(uint8_t tag)
{
    struct cluster_id id;
    memset(id.bytes, tag, sizeof id.bytes);
    return id;
}

static void init(uint8_t tag)
{
    struct reply_head head;
    struct meta_command c = {.kind = META_CMD_INIT, .init = {.cluster = cluster(tag), .replication = 3}};
    ck_assert_int_eq(run(&c, &head), STATUS_OK);
}

static uint64_t enlist(const char *uuid, const char *address, enum status expected)
{
    struct reply_head head;
    struct meta_register_reply reply;
    struct meta_command c = {.kind = META_CMD_REGISTER,
                             .node = {.uuid = slice_str(uuid), .address = slice_str(address), .host = slice_str("h")}};
    ck_assert_int_eq(run(&c, &head), expected);
    if (expected != STATUS_OK) return 0;
    ck_assert_int_eq(unpack_meta_register_reply(head.payload, &w.arena, &reply), STATUS_OK);
    return reply.node_id;
}

static enum status keyspace(const char *name, struct slice *splits, size_t count, uint32_t replication, bool *created)
{
    struct placement_node nodes[3];
    for (uint64_t i = 0; i < 3; i++) nodes[i] = (struct placement_node){.id = i + 1, .host = SLICE_EMPTY};
    struct reply_head head;
    struct meta_keyspace_reply reply = {0};
    struct meta_command c = {
        .kind = META_CMD_KEYSPACE,
        .keyspace = {.name = slice_str(name), .replication = replication, .splits = splits, .split_count = count},
        .candidates = nodes,
        .candidate_count = 3};
    enum status s = run(&c, &head);
    if (s == STATUS_OK) ck_assert_int_eq(unpack_meta_keyspace_reply(head.payload, &w.arena, &reply), STATUS_OK);
    if (created != NULL) *created = reply.changed;
    return s;
}

START_TEST(first_init_wins)
{
    struct reply_head head;
    struct meta_init_reply reply;
    init(7);
    struct meta_command again = {.kind = META_CMD_INIT, .init = {.cluster = cluster(9), .replication = 1}};
    ck_assert_int_eq(run(&again, &head), STATUS_OK);
    ck_assert_int_eq(unpack_meta_init_reply(head.payload, &w.arena, &reply), STATUS_OK);
    ck_assert_uint_eq(reply.cluster.bytes[0], 7);
    ck_assert_uint_eq(w.state.cluster.replication, 3);
}
END_TEST

START_TEST(nothing_before_init)
{
    ck_assert_int_eq(keyspace("a", NULL, 0, 0, NULL), STATUS_NOT_INITIALIZED);
    enlist("0123456789abcdef", "x:1", STATUS_NOT_INITIALIZED);
    ck_assert_uint_eq(w.count, 0);
}
END_TEST

START_TEST(one_directory_is_one_node)
{
    init(1);
    uint64_t a = enlist("aaaaaaaaaaaaaaaa", "x:1", STATUS_OK);
    uint64_t b = enlist("bbbbbbbbbbbbbbbb", "x:2", STATUS_OK);
    ck_assert_uint_ne(a, b);
    uint64_t version = w.state.map_version;
    ck_assert_uint_eq(enlist("aaaaaaaaaaaaaaaa", "x:1", STATUS_OK), a);
    ck_assert_uint_eq(w.state.map_version, version); /* nothing new */
    ck_assert_uint_eq(enlist("aaaaaaaaaaaaaaaa", "y:9", STATUS_OK), a);
    ck_assert_uint_gt(w.state.map_version, version);
    ck_assert(slice_eq(meta_state_node(&w.state, a)->info.address, slice_str("y:9")));
    ck_assert_uint_eq(w.state.node_count, 2);
}
END_TEST

START_TEST(foreign_cluster_is_refused)
{
    init(1);
    struct reply_head head;
    struct meta_command c = {
        .kind = META_CMD_REGISTER,
        .node = {.uuid = slice_str("aaaaaaaaaaaaaaaa"), .address = slice_str("x:1"), .cluster = cluster(2)}};
    ck_assert_int_eq(run(&c, &head), STATUS_WRONG_CLUSTER);
    ck_assert_uint_eq(w.state.node_count, 0);
}
END_TEST

/* The ranges of a keyspace tile it: the first begins at "", each ends where the next begins, the last has no end. */
static void check_tiling(uint32_t id, size_t expected)
{
    struct slice at = SLICE_EMPTY;
    size_t seen = 0;
    for (size_t i = 0; i < w.state.range_count; i++) {
        const struct range_desc *d = &w.state.ranges[i]->desc;
        if (d->keyspace != id) continue;
        ck_assert(slice_eq(d->start, at));
        at = d->end;
        seen++;
        ck_assert_uint_eq(d->end.size == 0, seen == expected);
        ck_assert_uint_eq(d->replica_count, 3);
    }
    ck_assert_uint_eq(seen, expected);
}

START_TEST(ranges_tile_the_keyspace)
{
    init(1);
    char text[64][8];
    struct slice splits[64];
    for (int i = 0; i < 64; i++) {
        int n = snprintf(text[i], sizeof text[i], "k%03d", i * 3);
        splits[i] = slice_make(text[i], (size_t)n);
    }
    bool created;
    ck_assert_int_eq(keyspace("one", splits, 64, 0, &created), STATUS_OK);
    ck_assert(created);
    ck_assert_int_eq(keyspace("two", NULL, 0, 0, &created), STATUS_OK);
    check_tiling(meta_state_keyspace(&w.state, slice_str("one"))->row.id, 65);
    check_tiling(meta_state_keyspace(&w.state, slice_str("two"))->row.id, 1);
}
END_TEST

START_TEST(creating_a_keyspace_is_idempotent)
{
    init(1);
    struct slice splits[] = {slice_str("b"), slice_str("d")}, others[] = {slice_str("b"), slice_str("e")};
    bool created;
    ck_assert_int_eq(keyspace("k", splits, 2, 0, &created), STATUS_OK);
    ck_assert_int_eq(keyspace("k", splits, 2, 0, &created), STATUS_OK);
    ck_assert(!created);
    ck_assert_int_eq(keyspace("k", others, 2, 0, NULL), STATUS_EXISTS);
    ck_assert_int_eq(keyspace("k", splits, 2, 1, NULL), STATUS_EXISTS);
    ck_assert_int_eq(keyspace("k", NULL, 0, 0, NULL), STATUS_EXISTS); /* as members of the former release say */
    (void)run(&(struct meta_command){.kind = META_CMD_FINALIZE, .finalised = 2}, &(struct reply_head){0});
    ck_assert_int_eq(keyspace("k", NULL, 0, 0, &created), STATUS_OK); /* what is left out may be anything */
    ck_assert_uint_eq(w.state.range_count, 3);
}
END_TEST

static enum status change(struct meta_command c, struct meta_keyspace_reply *reply)
{
    struct reply_head head;
    enum status s = run(&c, &head);
    *reply = (struct meta_keyspace_reply){0};
    if (s == STATUS_OK) ck_assert_int_eq(unpack_meta_keyspace_reply(head.payload, &w.arena, reply), STATUS_OK);
    return s;
}

static enum status alter(struct meta_keyspace_alter_request q, struct meta_keyspace_reply *reply)
{
    return change((struct meta_command){.kind = META_CMD_KEYSPACE_ALTER, .alter = q}, reply);
}

static enum status drop(const char *name, uint64_t now_ts, uint64_t grace_ms, struct meta_keyspace_reply *reply)
{
    struct meta_keyspace_drop_request q = {.name = slice_str(name), .now_ts = now_ts, .grace_ms = grace_ms};
    return change((struct meta_command){.kind = META_CMD_KEYSPACE_DROP, .drop = q}, reply);
}

static enum status destroy(const char *name, uint32_t id, uint64_t destroy_ts, struct meta_keyspace_reply *reply)
{
    struct meta_keyspace_destroy d = {.name = slice_str(name), .id = id, .destroy_ts = destroy_ts};
    return change((struct meta_command){.kind = META_CMD_KEYSPACE_DESTROY, .destroy = d}, reply);
}

START_TEST(a_keyspace_is_altered)
{
    struct meta_keyspace_reply r;
    struct slice name = slice_str("bank");
    init(1);
    ck_assert_int_eq(alter((struct meta_keyspace_alter_request){.name = name, .replication = 1}, &r), STATUS_NOT_FOUND);
    ck_assert_int_eq(keyspace("bank", NULL, 0, 3, NULL), STATUS_OK);
    uint64_t version = w.state.map_version;
    ck_assert_int_eq(alter((struct meta_keyspace_alter_request){.name = name, .has_ttl = true, .ttl_ms = 5000}, &r),
                     STATUS_OK);
    ck_assert(r.changed);
    ck_assert_uint_gt(w.state.map_version, version);
    const struct meta_keyspace *k = meta_state_keyspace(&w.state, name);
    ck_assert_uint_eq(k->row.ttl_ms, 5000);
    ck_assert_uint_eq(k->row.replication, 3);
    ck_assert_int_eq(alter((struct meta_keyspace_alter_request){.name = name, .has_ttl = true, .ttl_ms = 5000}, &r),
                     STATUS_OK);
    ck_assert(!r.changed);
    ck_assert_int_eq(alter((struct meta_keyspace_alter_request){.name = name, .replication = 1}, &r), STATUS_OK);
    k = meta_state_keyspace(&w.state, name);
    ck_assert_uint_eq(k->row.ttl_ms, 5000);
    ck_assert_uint_eq(k->row.replication, 1);
    ck_assert_int_eq(alter((struct meta_keyspace_alter_request){.name = name, .replication = 8}, &r), STATUS_INVALID);
    ck_assert_int_eq(
        alter((struct meta_keyspace_alter_request){.name = name, .has_ttl = true, .ttl_ms = LIMIT_TTL_MS + 1}, &r),
        STATUS_INVALID);
}
END_TEST

START_TEST(a_dropped_keyspace_comes_back_or_goes)
{
    struct meta_keyspace_reply r;
    uint64_t now = (uint64_t)1000 << TS_COUNTER_BITS, later = (uint64_t)1500 << TS_COUNTER_BITS;
    init(1);
    ck_assert_int_eq(keyspace("bank", NULL, 0, 3, NULL), STATUS_OK);
    ck_assert_int_eq(keyspace("default", NULL, 0, 3, NULL), STATUS_OK);
    ck_assert_int_eq(drop("default", now, 0, &r), STATUS_INVALID);
    ck_assert_int_eq(drop("nowhere", now, 0, &r), STATUS_NOT_FOUND);
    ck_assert_int_eq(drop("bank", now, LIMIT_DROP_GRACE_MS + 1, &r), STATUS_INVALID);
    ck_assert_int_eq(drop("bank", now, 500, &r), STATUS_OK);
    ck_assert(r.changed);
    ck_assert_uint_eq(r.destroy_ts, later);
    uint32_t id = r.id;
    ck_assert_int_eq(drop("bank", now, 800, &r), STATUS_OK); /* never later than was said */
    ck_assert(!r.changed);
    ck_assert_uint_eq(r.destroy_ts, later);
    ck_assert_int_eq(keyspace("bank", NULL, 0, 3, NULL), STATUS_EXISTS);
    ck_assert_int_eq(alter((struct meta_keyspace_alter_request){.name = slice_str("bank"), .replication = 1}, &r),
                     STATUS_NOT_FOUND);
    ck_assert_int_eq(alter((struct meta_keyspace_alter_request){.name = slice_str("bank"), .restore = true}, &r),
                     STATUS_OK);
    ck_assert(r.changed);
    ck_assert_uint_eq(meta_state_keyspace(&w.state, slice_str("bank"))->row.dropped_ts, 0);
    ck_assert_int_eq(destroy("bank", id, later, &r), STATUS_CONDITION_FAILED); /* proposed before it was restored */

    ck_assert_int_eq(drop("bank", now, 800, &r), STATUS_OK);
    ck_assert_int_eq(drop("bank", now, 500, &r), STATUS_OK); /* sooner after all */
    ck_assert(r.changed);
    ck_assert_int_eq(destroy("bank", id + 1, later, &r), STATUS_CONDITION_FAILED);
    ck_assert_int_eq(destroy("bank", id, later, &r), STATUS_OK);
    ck_assert_ptr_null(meta_state_keyspace(&w.state, slice_str("bank")));
    ck_assert_int_eq(destroy("bank", id, later, &r), STATUS_NOT_FOUND);
    uint64_t ids[] = {w.state.ranges[0]->desc.id, w.state.ranges[1]->desc.id, 999};
    struct reply_head head;
    struct meta_command c = {.kind = META_CMD_RANGES_DESTROY, .range_ids = ids, .range_id_count = 3};
    ck_assert_int_eq(run(&c, &head), STATUS_OK);
    const struct range_desc *gone = &meta_state_range(&w.state, ids[0])->desc,
                            *kept = &meta_state_range(&w.state, ids[1])->desc;
    ck_assert_uint_eq(gone->keyspace, id);
    ck_assert_uint_eq(gone->replica_count, 0);
    ck_assert(range_desc_is_gone(gone, 1) && range_desc_is_gone(gone, 70000));
    ck_assert_uint_eq(kept->replica_count, 3); /* of a keyspace that is in use */
    uint64_t version = w.state.map_version;
    ck_assert_int_eq(run(&c, &head), STATUS_OK);
    ck_assert_uint_eq(w.state.map_version, version);
    bool created = false;
    ck_assert_int_eq(keyspace("bank", NULL, 0, 3, &created), STATUS_OK);
    ck_assert(created);
    ck_assert_uint_ne(meta_state_keyspace(&w.state, slice_str("bank"))->row.id, id);
}
END_TEST

START_TEST(a_keyspace_by_hash_has_a_range_for_each_bucket)
{
    struct placement_node nodes[3];
    for (uint64_t i = 0; i < 3; i++) nodes[i] = (struct placement_node){.id = i + 1, .host = SLICE_EMPTY};
    struct meta_keyspace_reply r;
    struct slice split = slice_str("m");
    struct meta_command c = {.kind = META_CMD_KEYSPACE,
                             .keyspace = {.name = slice_str("spread"), .buckets = 256, .ttl_ms = 7},
                             .candidates = nodes,
                             .candidate_count = 3};
    init(1);
    ck_assert_int_eq(change(c, &r), STATUS_OK);
    ck_assert_uint_eq(w.state.range_count, 256);
    for (size_t i = 0; i < 256; i++) {
        const struct range_desc *d = &w.state.ranges[i]->desc;
        ck_assert_uint_eq(d->start.size, i == 0 ? 0 : 1);
        if (i > 0) ck_assert_uint_eq(d->start.data[0], i);
        ck_assert_uint_eq(d->end.size, i == 255 ? 0 : 1);
    }
    const struct meta_keyspace *k = meta_state_keyspace(&w.state, slice_str("spread"));
    ck_assert_uint_eq(k->row.buckets, 256);
    ck_assert_uint_eq(k->row.ttl_ms, 7);
    ck_assert_int_eq(change(c, &r), STATUS_OK);
    ck_assert(!r.changed);
    c.keyspace.buckets = 16;
    ck_assert_int_eq(change(c, &r), STATUS_EXISTS);
    c.keyspace.name = slice_str("other");
    c.keyspace.buckets = 1;
    ck_assert_int_eq(change(c, &r), STATUS_INVALID);
    c.keyspace.buckets = 257;
    ck_assert_int_eq(change(c, &r), STATUS_INVALID);
    c.keyspace.buckets = 2;
    c.keyspace.splits = &split;
    c.keyspace.split_count = 1;
    ck_assert_int_eq(change(c, &r), STATUS_INVALID);
}
END_TEST

START_TEST(bad_keyspaces_are_refused)
{
    init(1);
    struct slice falling[] = {slice_str("d"), slice_str("b")}, twice[] = {slice_str("b"), slice_str("b")},
                 empty[] = {SLICE_EMPTY};
    ck_assert_int_eq(keyspace("k", falling, 2, 0, NULL), STATUS_INVALID);
    ck_assert_int_eq(keyspace("k", twice, 2, 0, NULL), STATUS_INVALID);
    ck_assert_int_eq(keyspace("k", empty, 1, 0, NULL), STATUS_INVALID);
    ck_assert_int_eq(keyspace("Upper", NULL, 0, 0, NULL), STATUS_INVALID);
    ck_assert_int_eq(keyspace("k", NULL, 0, 5, NULL), STATUS_UNAVAILABLE); /* three nodes */
    ck_assert_uint_eq(w.state.keyspace_count, 0);
    ck_assert_uint_eq(w.state.range_count, 0);
    ck_assert_ptr_nonnull(keyspace_ttl_fault(slice_str("ledger"), 1)); /* rows of money have no end */
    ck_assert_ptr_nonnull(keyspace_ttl_fault(slice_str("etcd"), 1));
    ck_assert(keyspace_ttl_fault(slice_str("auth"), 0) == NULL && keyspace_ttl_fault(slice_str("own"), 1) == NULL);
    ck_assert(keyspace_drop_fault(slice_str("auth")) != NULL && keyspace_drop_fault(slice_str("etcd")) == NULL);
}
END_TEST

START_TEST(bound_never_falls)
{
    struct reply_head head;
    ck_assert_int_eq(run(&(struct meta_command){.kind = META_CMD_TS_BOUND, .ts_bound = 500}, &head), STATUS_OK);
    ck_assert_int_eq(run(&(struct meta_command){.kind = META_CMD_TS_BOUND, .ts_bound = 300}, &head), STATUS_OK);
    ck_assert_uint_eq(w.state.ts_bound, 500);
}
END_TEST

START_TEST(what_is_finalised_never_falls)
{
    struct reply_head head;
    ck_assert_uint_eq(w.state.finalised, VERSION_FIRST);
    ck_assert_int_eq(run(&(struct meta_command){.kind = META_CMD_FINALIZE, .finalised = 3}, &head), STATUS_OK);
    ck_assert_int_eq(run(&(struct meta_command){.kind = META_CMD_FINALIZE, .finalised = 2}, &head), STATUS_OK);
    ck_assert_uint_eq(w.state.finalised, 3);
}
END_TEST

static bool drained(uint64_t id)
{
    const struct meta_node *n = meta_state_node(&w.state, id);
    ck_assert_ptr_nonnull(n);
    return n->drained;
}

/* --- registered snapshots --- */

#define MS(n) ((uint64_t)(n) << TS_COUNTER_BITS)

static void bound_to(uint64_t ms)
{
    struct reply_head head;
    ck_assert_int_eq(run(&(struct meta_command){.kind = META_CMD_TS_BOUND, .ts_bound = MS(ms)}, &head), STATUS_OK);
}

static enum status ask_snapshot(enum snapshot_verb verb, const char *name, uint64_t ts, bool now, uint64_t life_ms,
                                struct meta_snapshot_reply *reply)
{
    struct reply_head head;
    struct meta_command c = {.kind = META_CMD_SNAPSHOT,
                             .snapshot = {.verb = verb, .name = slice_str(name), .ts = ts, .lifetime_ms = life_ms},
                             .snapshot_now = now};
    *reply = (struct meta_snapshot_reply){0};
    if (run(&c, &head) == STATUS_OK) {
        ck_assert_int_eq(unpack_meta_snapshot_reply(head.payload, &w.arena, reply), STATUS_OK);
        ck_assert_uint_eq(reply->snapshot_count, 1);
    }
    return head.status;
}

static uint64_t line(void)
{
    return snapshots_line(&w.state, w.applied.version_keep);
}

START_TEST(a_registered_snapshot_holds_the_line)
{
    struct meta_snapshot_reply r;
    w.applied.version_keep = MS(60000);
    ck_assert_uint_eq(line(), 0);
    bound_to(1000000);
    ck_assert_uint_eq(line(), MS(940000));
    ck_assert_int_eq(ask_snapshot(SNAPSHOT_VERB_REGISTER, "a", MS(939999), false, 1000, &r), STATUS_TOO_OLD);
    ck_assert_int_eq(ask_snapshot(SNAPSHOT_VERB_REGISTER, "a", MS(950000), false, 100000, &r), STATUS_OK);
    ck_assert(r.changed && r.snapshots[0].ts == MS(950000) && r.snapshots[0].expires_ts == MS(1100000));
    bound_to(1050000);
    ck_assert_uint_eq(line(), MS(950000));
    ck_assert_int_eq(ask_snapshot(SNAPSHOT_VERB_REGISTER, "b", MS(951000), false, 500000, &r), STATUS_OK);
    ck_assert_int_eq(ask_snapshot(SNAPSHOT_VERB_REGISTER, "c", MS(949999), false, 500000, &r), STATUS_TOO_OLD);
    /* the leader's own timestamp, and the bound has run on meanwhile */
    ck_assert_int_eq(ask_snapshot(SNAPSHOT_VERB_REGISTER, "c", MS(1), true, 10, &r), STATUS_OK);
    ck_assert_uint_eq(r.snapshots[0].ts, MS(950000));
    bound_to(1100000); /* a ends */
    ck_assert_uint_eq(line(), MS(951000));
    ck_assert_int_eq(ask_snapshot(SNAPSHOT_VERB_EXTEND, "a", 0, false, 1000, &r), STATUS_NOT_FOUND);
    ck_assert_int_eq(ask_snapshot(SNAPSHOT_VERB_DROP, "b", 0, false, 0, &r), STATUS_OK);
    ck_assert_uint_eq(line(), MS(1040000));
    ck_assert_int_eq(ask_snapshot(SNAPSHOT_VERB_DROP, "b", 0, false, 0, &r), STATUS_NOT_FOUND);
}
END_TEST

START_TEST(a_snapshot_is_registered_once_and_extended)
{
    struct meta_snapshot_reply r;
    bound_to(1000000);
    ck_assert_int_eq(ask_snapshot(SNAPSHOT_VERB_REGISTER, "a", MS(999000), true, 1000, &r), STATUS_OK);
    ck_assert(r.changed);
    ck_assert_int_eq(ask_snapshot(SNAPSHOT_VERB_REGISTER, "a", MS(999500), true, 5000, &r), STATUS_OK);
    ck_assert(!r.changed && r.snapshots[0].ts == MS(999000) && r.snapshots[0].expires_ts == MS(1001000));
    ck_assert_int_eq(ask_snapshot(SNAPSHOT_VERB_REGISTER, "a", MS(999000), false, 5000, &r), STATUS_OK);
    ck_assert_int_eq(ask_snapshot(SNAPSHOT_VERB_REGISTER, "a", MS(999500), false, 5000, &r), STATUS_EXISTS);
    ck_assert_int_eq(ask_snapshot(SNAPSHOT_VERB_EXTEND, "a", 0, false, 9000, &r), STATUS_OK);
    ck_assert(r.changed && r.snapshots[0].expires_ts == MS(1009000));
    ck_assert_int_eq(ask_snapshot(SNAPSHOT_VERB_EXTEND, "a", 0, false, 10, &r), STATUS_OK);
    ck_assert(!r.changed);
    static const char *const bad[] = {"", "A", "a b", "a/b"};
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(ask_snapshot(SNAPSHOT_VERB_REGISTER, bad[i], MS(999000), true, 10, &r), STATUS_INVALID);
    ck_assert_int_eq(ask_snapshot(SNAPSHOT_VERB_REGISTER, "x", MS(999000), true, 0, &r), STATUS_INVALID);
    ck_assert_int_eq(ask_snapshot(SNAPSHOT_VERB_REGISTER, "x", MS(999000), true, LIMIT_SNAPSHOT_LIFE_MS + 1, &r),
                     STATUS_INVALID);
    for (unsigned i = 1; i < LIMIT_SNAPSHOTS; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "n%u", i);
        ck_assert_int_eq(ask_snapshot(SNAPSHOT_VERB_REGISTER, name, MS(999000), true, 100000, &r), STATUS_OK);
    }
    ck_assert_int_eq(ask_snapshot(SNAPSHOT_VERB_REGISTER, "one-more", MS(999000), true, 10, &r), STATUS_TOO_LARGE);
    bound_to(1010000); /* a has ended, and makes room */
    ck_assert_int_eq(ask_snapshot(SNAPSHOT_VERB_REGISTER, "one-more", MS(1009000), true, 10, &r), STATUS_OK);
}
END_TEST

/* Whatever is registered, extended, dropped, with a bound that rises: no line that anybody was told before is above what lives. */
START_TEST(no_line_ever_passes_a_snapshot_that_lives)
{
    struct prng p;
    prng_init(&p, 4711);
    uint64_t told = 0, bound = 100000;
    w.applied.version_keep = MS(8000);
    for (unsigned n = 0; n < 3000; n++) {
        struct meta_snapshot_reply r;
        char name[8];
        (void)snprintf(name, sizeof name, "n%u", (unsigned)prng_below(&p, 6));
        uint64_t luck = prng_below(&p, 10), life = prng_between(&p, 1, 30000);
        if (luck < 4) bound_to(bound += prng_below(&p, 3000));
        if (luck >= 4 && luck < 7) {
            uint64_t ts = MS(bound - prng_below(&p, 12000));
            enum status s = ask_snapshot(SNAPSHOT_VERB_REGISTER, name, ts, prng_below(&p, 2) == 0, life, &r);
            if (s == STATUS_OK && r.changed) ck_assert_uint_ge(r.snapshots[0].ts, told);
        }
        if (luck == 7) (void)ask_snapshot(SNAPSHOT_VERB_EXTEND, name, 0, false, life, &r);
        if (luck == 8) (void)ask_snapshot(SNAPSHOT_VERB_DROP, name, 0, false, 0, &r);
        if (line() > told) told = line();
        struct arena arena;
        arena_init(&arena, 4096);
        if (w.state.snapshots_row.size > 0) {
            ck_assert_int_eq(unpack_meta_snapshot_reply(w.state.snapshots_row, &arena, &r), STATUS_OK);
            for (size_t i = 0; i < r.snapshot_count; i++)
                if (r.snapshots[i].expires_ts > MS(bound)) ck_assert_uint_ge(r.snapshots[i].ts, told);
        }
        arena_free(&arena);
    }
    ck_assert_uint_gt(told, MS(1000000));
}
END_TEST

START_TEST(a_drained_node_stays_drained)
{
    init(1);
    uint64_t id = enlist("aaaaaaaaaaaaaaaa", "x:1", STATUS_OK);
    struct reply_head head;
    struct meta_command c = {.kind = META_CMD_DRAIN, .drain = {.node_id = id, .drain = true}};
    ck_assert(!drained(id));
    ck_assert_int_eq(run(&c, &head), STATUS_OK);
    ck_assert(drained(id));
    uint64_t version = w.state.map_version;
    ck_assert_int_eq(run(&c, &head), STATUS_OK); /* again: nothing changes */
    ck_assert_uint_eq(w.state.map_version, version);
    ck_assert_uint_eq(enlist("aaaaaaaaaaaaaaaa", "x:2", STATUS_OK), id); /* restarted elsewhere */
    ck_assert(drained(id));
    c.drain.drain = false;
    ck_assert_int_eq(run(&c, &head), STATUS_OK);
    ck_assert(!drained(id));
    c.drain.node_id = id + 1;
    ck_assert_int_eq(run(&c, &head), STATUS_NOT_FOUND);
}
END_TEST

START_TEST(ids_are_given_once)
{
    struct reply_head head;
    struct meta_ids_reply reply;
    uint64_t next = 1;
    for (uint32_t n = 1; n < 20; n++) {
        ck_assert_int_eq(run(&(struct meta_command){.kind = META_CMD_IDS, .ids = {.count = n}}, &head), STATUS_OK);
        ck_assert_int_eq(unpack_meta_ids_reply(head.payload, &w.arena, &reply), STATUS_OK);
        ck_assert_uint_eq(reply.first, next);
        next += n;
    }
}
END_TEST

static void tiles(size_t count)
{
    ck_assert_uint_eq(w.state.range_count, count);
    for (size_t i = 0; i < count; i++) {
        const struct range_desc *d = &w.state.ranges[i]->desc;
        ck_assert(slice_eq(d->start, i == 0 ? SLICE_EMPTY : w.state.ranges[i - 1]->desc.end));
    }
    ck_assert_uint_eq(w.state.ranges[count - 1]->desc.end.size, 0);
}

static enum status tell(struct range_desc *news, size_t count, uint64_t *gone, size_t gone_count)
{
    struct reply_head head;
    struct meta_command c = {.kind = META_CMD_RANGES,
                             .news = {.ranges = news, .range_count = count},
                             .gone = gone,
                             .gone_count = gone_count};
    return run(&c, &head);
}

/* The map tiles whatever it is told: news are taken as a whole stretch, and only if they are newer (T15). */
START_TEST(news_of_ranges)
{
    init(1);
    struct placement_node nodes[3] = {{.id = 1}, {.id = 2}, {.id = 3}};
    struct reply_head head;
    struct meta_command c = {
        .kind = META_CMD_KEYSPACE, .keyspace = {.name = slice_str("k")}, .candidates = nodes, .candidate_count = 3};
    ck_assert_int_eq(run(&c, &head), STATUS_OK);
    tiles(1);
    struct range_desc left = w.state.ranges[0]->desc;
    left.epoch.version = 2;
    struct range_desc right = left;
    left.end = right.start = slice_str("m");
    right.id = 77;
    ck_assert_int_eq(tell(&left, 1, NULL, 0), STATUS_RETRY); /* half of the news */
    ck_assert_int_eq(tell(&right, 1, NULL, 0), STATUS_RETRY);
    tiles(1);
    struct range_desc both[] = {right, left};
    ck_assert_int_eq(tell(both, 2, NULL, 0), STATUS_OK);
    tiles(2);
    ck_assert_int_eq(tell(both, 2, NULL, 0), STATUS_RETRY); /* again: it is not newer */
    struct range_desc merged = left;
    merged.end = SLICE_EMPTY;
    merged.epoch.version = 4;
    uint64_t gone[] = {77};
    ck_assert_int_eq(tell(&merged, 1, NULL, 0), STATUS_RETRY); /* whose keys are they now? */
    ck_assert_int_eq(tell(&merged, 1, gone, 1), STATUS_OK);
    tiles(1);
    ck_assert_uint_eq(w.state.ranges[0]->desc.epoch.version, 4);
    ck_assert_int_eq(tell(both, 2, NULL, 0), STATUS_RETRY); /* old news */
    tiles(1);
}
END_TEST

/* A replica that the range has gone on without never recovers it; one that knows more than the map may. */
START_TEST(no_recovery_by_a_replica_that_is_gone)
{
    init(1);
    const char *uuids[] = {"aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "cccccccccccccccc", "dddddddddddddddd"};
    for (size_t i = 0; i < 4; i++) enlist(uuids[i], "x:1", STATUS_OK);
    ck_assert_int_eq(keyspace("k", NULL, 0, 3, NULL), STATUS_OK);
    const struct range_desc *d = &w.state.ranges[0]->desc; /* on 1, 2, 3 */
    struct meta_command c = {.kind = META_CMD_OPERATOR_BEGIN};
    c.operator=(struct operator_row){.kind = OPERATOR_ALONE, .range_id = d->id, .to = 4, .other = 1u << 20};
    c.operator.state = OPERATOR_RUNNING;
    c.operator.conf_ver = d->epoch.conf_ver - 1;
    struct reply_head head;
    ck_assert_int_eq(run(&c, &head), STATUS_INVALID);
    ck_assert(slice_eq(head.message, slice_str("the range has gone on without that replica")));
    c.operator.conf_ver = d->epoch.conf_ver + 3;
    ck_assert_int_eq(run(&c, &head), STATUS_OK);
}
END_TEST

/* An evaluation that misses at any of its reads has done nothing; repeated, it does what it would have done. */
START_TEST(a_miss_leaves_nothing)
{
    init(1);
    struct slice splits[] = {slice_str("b")};
    size_t rows = w.count;
    struct placement_node nodes[3] = {{.id = 1}, {.id = 2}, {.id = 3}};
    struct meta_command c = {.kind = META_CMD_KEYSPACE,
                             .keyspace = {.name = slice_str("k"), .splits = splits, .split_count = 1},
                             .candidates = nodes,
                             .candidate_count = 3};
    struct reply_head head;
    unsigned misses = 0;
    for (w.miss_at = 1;; w.miss_at++) {
        enum status s = run(&c, &head);
        if (s != STATUS_MISS) break;
        misses++;
        ck_assert_uint_eq(w.count, rows);
    }
    ck_assert_uint_ge(misses, 4);
    ck_assert_int_eq(head.status, STATUS_OK);
    ck_assert_uint_eq(w.state.range_count, 2);
}
END_TEST

/* A state built from the rows alone is the state that followed the commands. */
START_TEST(state_is_a_function_of_the_rows)
{
    init(1);
    enlist("aaaaaaaaaaaaaaaa", "x:1", STATUS_OK);
    struct slice splits[] = {slice_str("b"), slice_str("c")};
    ck_assert_int_eq(keyspace("k", splits, 2, 0, NULL), STATUS_OK);
    struct meta_state rebuilt;
    meta_state_init(&rebuilt);
    struct buf key;
    buf_init(&key, 4096);
    for (size_t i = w.count; i-- > 0;) {
        uint32_t id;
        enum row_type type;
        buf_clear(&key);
        ck_assert_int_eq(key_decode(w.keys[i], &id, &key, &type), STATUS_OK);
        meta_state_row(&rebuilt, buf_slice(&key), w.values[i], false);
    }
    buf_free(&key);
    ck_assert_uint_eq(rebuilt.map_version, w.state.map_version);
    ck_assert_uint_eq(rebuilt.range_count, w.state.range_count);
    for (size_t i = 0; i < rebuilt.range_count; i++) {
        ck_assert_uint_eq(rebuilt.ranges[i]->desc.id, w.state.ranges[i]->desc.id);
        ck_assert(slice_eq(rebuilt.ranges[i]->desc.start, w.state.ranges[i]->desc.start));
    }
    ck_assert_uint_eq(rebuilt.node_count, 1);
    meta_state_clear(&rebuilt);
}
END_TEST

START_TEST(damaged_commands_do_not_decode)
{
    struct slice splits[] = {slice_str("b")};
    struct placement_node nodes[1] = {{.id = 1, .host = slice_str("h")}};
    struct meta_command c = {.kind = META_CMD_KEYSPACE,
                             .keyspace = {.name = slice_str("k"), .splits = splits, .split_count = 1},
                             .candidates = nodes,
                             .candidate_count = 1},
                        out;
    struct buf b;
    buf_init(&b, 4096);
    meta_command_encode(&c, &b);
    for (size_t n = 0; n < b.size; n++) {
        ck_assert_int_ne(meta_command_decode(slice_make(b.data, n), &w.arena, &out), STATUS_OK);
    }
    ck_assert_int_eq(meta_command_decode(buf_slice(&b), &w.arena, &out), STATUS_OK);
    ck_assert_uint_eq(out.candidate_count, 1);
    buf_free(&b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("meta_machine");
    TCase *tc = tcase_create("machine");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, first_init_wins);
    tcase_add_test(tc, nothing_before_init);
    tcase_add_test(tc, one_directory_is_one_node);
    tcase_add_test(tc, foreign_cluster_is_refused);
    tcase_add_test(tc, ranges_tile_the_keyspace);
    tcase_add_test(tc, creating_a_keyspace_is_idempotent);
    tcase_add_test(tc, bad_keyspaces_are_refused);
    tcase_add_test(tc, a_keyspace_is_altered);
    tcase_add_test(tc, a_dropped_keyspace_comes_back_or_goes);
    tcase_add_test(tc, a_keyspace_by_hash_has_a_range_for_each_bucket);
    tcase_add_test(tc, bound_never_falls);
    tcase_add_test(tc, what_is_finalised_never_falls);
    tcase_add_test(tc, a_registered_snapshot_holds_the_line);
    tcase_add_test(tc, a_snapshot_is_registered_once_and_extended);
    tcase_add_test(tc, no_line_ever_passes_a_snapshot_that_lives);
    tcase_add_test(tc, a_drained_node_stays_drained);
    tcase_add_test(tc, ids_are_given_once);
    tcase_add_test(tc, news_of_ranges);
    tcase_add_test(tc, no_recovery_by_a_replica_that_is_gone);
    tcase_add_test(tc, a_miss_leaves_nothing);
    tcase_add_test(tc, state_is_a_function_of_the_rows);
    tcase_add_test(tc, damaged_commands_do_not_decode);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
