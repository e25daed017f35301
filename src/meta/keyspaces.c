/* Evaluation of the commands on keyspaces.
 *
 *           create                    drop                  the grace has passed
 *   (none) ---------> in use -----------------> dropped ----------------------------> (none)
 *                        ^                         |        its ranges go; a row x/<id> remembers that
 *                        +--- alter: restore ------+                              then: its ranges, some at a time,
 *                                                                                       lose all their replicas
 * All of them may be repeated: what is done already is no error. The ranges of a dropped keyspace stay as they are, and routers
 * refuse its name; so it can be taken back whole. */
#include "meta/machine_int.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mutant.h"
#include "wire/versions.h"

#include <stdio.h>

enum { SPLIT_BYTES_MAX = 1 << 20 };

static uint64_t splits_hash(const struct meta_keyspace_request *q)
{
    uint64_t h = q->split_count;
    for (size_t i = 0; i < q->split_count; i++) h = hash_bytes(q->splits[i], h);
    return h;
}

static void write_keyspace(struct eval *e, struct slice name, const struct meta_keyspace_row *row)
{
    struct buf b;
    buf_init(&b, 128);
    meta_keyspace_row_encode(row, &b);
    eval_write(e, eval_key_text(e, "k/", name), &b);
    buf_free(&b);
    eval_raise_map_version(e);
}

bool eval_read_keyspace(struct eval *e, struct slice name, struct meta_keyspace_row *row)
{
    struct slice value;
    if (!eval_read(e, eval_key_text(e, "k/", name), &value)) return false;
    if (meta_keyspace_row_decode(value, row) != STATUS_OK) BUG("a keyspace row of the metadata is damaged");
    return true;
}

static void answer_keyspace(struct eval *e, const struct meta_keyspace_row *row, bool changed)
{
    ANSWER_WITH(e, meta_keyspace_reply,
                &(struct meta_keyspace_reply){.id = row->id, .changed = changed, .destroy_ts = row->destroy_ts});
}

static void answer_unknown(struct eval *e)
{
    if (e->failed == STATUS_OK) eval_answer(e, STATUS_NOT_FOUND, "there is no keyspace of that name", SLICE_EMPTY);
}

/* --- what gateways keep their own in --- */

/* Their rows have no end: transfers, users and leases would vanish in silence. Asked by the leader, before it proposes. */
const char *keyspace_ttl_fault(struct slice name, uint64_t ttl_ms)
{
    static const char *const own[] = {"ledger", "auth", "etcd"};
    for (size_t i = 0; ttl_ms != 0 && i < sizeof own / sizeof own[0]; i++) {
        if (slice_eq(name, slice_str(own[i])))
            return "no time to live for the keyspaces ledger, auth and etcd: what is in them must stay";
    }
    return NULL;
}

/* Whoever finds none takes it that users were never made. Asked by the leader, too. */
const char *keyspace_drop_fault(struct slice name)
{
    if (!slice_eq(name, slice_str("auth"))) return NULL;
    return "the keyspace auth holds users and rights: it is not dropped. 'quorate auth disable' opens the cluster";
}

/* --- create --- */

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
    if (q->ttl_ms > LIMIT_TTL_MS) return "a time to live is at most 100 years";
    if (q->buckets == 1 || q->buckets > LIMIT_HASH_BUCKETS) return "a keyspace by hash has 2 to 256 buckets";
    if (q->buckets > 0 && q->split_count > 0)
        return "a keyspace by hash is split at its buckets: leave the split keys out";
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

/* Where the keyspace is split from the start: as asked, or at each bucket (docs/formats/keys.md). */
static struct slice *split_keys(struct eval *e, const struct meta_keyspace_request *q, size_t *count)
{
    *count = q->buckets > 0 ? q->buckets - 1 : q->split_count;
    if (q->buckets == 0) return q->splits;
    struct slice *splits = arena_alloc(e->arena, *count * sizeof *splits);
    for (size_t i = 0; i < *count; i++) {
        uint8_t *first = arena_alloc(e->arena, 1);
        *first = (uint8_t)(i + 1);
        splits[i] = slice_make(first, 1);
    }
    return splits;
}

/* One range between each two split keys. False: too few nodes. */
static bool write_ranges(struct eval *e, const struct meta_command *c, uint32_t keyspace, uint32_t replication)
{
    size_t split_count;
    const struct slice *splits = split_keys(e, &c->keyspace, &split_count);
    uint64_t id = eval_take_ids(e, "range", META_FIRST_RANGE, split_count + 1);
    for (size_t i = 0; i <= split_count; i++, id++) {
        struct range_desc d = {
            .id = id, .keyspace = keyspace, .epoch = {.conf_ver = 1, .version = 1}, .replica_count = replication};
        d.start = i == 0 ? SLICE_EMPTY : splits[i - 1];
        d.end = i == split_count ? SLICE_EMPTY : splits[i];
        uint64_t chosen[LIMIT_REPLICAS];
        if (placement_assign(c->candidates, c->candidate_count, replication, chosen) != STATUS_OK) return false;
        for (size_t k = 0; k < replication; k++) {
            d.replicas[k] = (struct range_replica){.node_id = chosen[k], .replica_id = k + 1, .role = 1};
        }
        struct buf b;
        buf_init(&b, 64 * 1024);
        pack_range_desc(&b, &d);
        eval_write(e, eval_key_id(e, "r/", id), &b);
        buf_free(&b);
    }
    return true;
}

static void create_keyspace(struct eval *e, const struct meta_command *c, uint32_t replication)
{
    uint32_t id = (uint32_t)eval_take_ids(e, "keyspace", 1, 1);
    if (MUTANT(keyspace_short) && replication > c->candidate_count) replication = (uint32_t)c->candidate_count;
    if (!write_ranges(e, c, id, replication)) {
        eval_answer(e, STATUS_UNAVAILABLE,
                    "fewer live storage nodes than replicas asked for: start more nodes, or ask for fewer replicas",
                    SLICE_EMPTY);
        return;
    }
    struct meta_keyspace_row row = {.id = id,
                                    .replication = replication,
                                    .splits_hash = splits_hash(&c->keyspace),
                                    .buckets = c->keyspace.buckets,
                                    .ttl_ms = c->keyspace.ttl_ms};
    write_keyspace(e, c->keyspace.name, &row);
    answer_keyspace(e, &row, true);
}

/* What of what is asked for is not so; NULL: nothing. What is not asked for may be anything. Kept in the arena. */
static const char *difference(struct eval *e, const struct meta_keyspace_row *row,
                              const struct meta_keyspace_request *q)
{
    enum { TEXT_MAX = 160 };
    char *text = arena_alloc(e->arena, TEXT_MAX);
    if (q->replication != 0 && q->replication != row->replication) {
        (void)snprintf(text, TEXT_MAX, "the keyspace exists with replication %u, not %u", row->replication,
                       q->replication);
    } else if (q->buckets != 0 && q->buckets != row->buckets && row->buckets != 0) {
        (void)snprintf(text, TEXT_MAX, "the keyspace exists with %u hash buckets, not %u", row->buckets, q->buckets);
    } else if (q->buckets != 0 && q->buckets != row->buckets) {
        (void)snprintf(text, TEXT_MAX, "the keyspace exists, partitioned by range, not by hash");
    } else if (q->split_count != 0 && row->buckets != 0) {
        (void)snprintf(text, TEXT_MAX, "the keyspace exists, partitioned by hash over %u buckets: it has no split keys",
                       row->buckets);
    } else if (q->split_count != 0 && row->splits_hash != splits_hash(q)) {
        (void)snprintf(text, TEXT_MAX, "the keyspace exists, made with other split keys or none");
    } else if (q->ttl_ms != 0 && q->ttl_ms != row->ttl_ms) {
        (void)snprintf(text, TEXT_MAX, "the keyspace exists with a time to live of %llu ms, not %llu (0: none)",
                       (unsigned long long)row->ttl_ms, (unsigned long long)q->ttl_ms);
    } else {
        return NULL;
    }
    return text;
}

/* What members of the former release answer: all of them must answer alike. */
static const char *former_difference(const struct meta_keyspace_row *row, const struct meta_keyspace_request *q,
                                     uint32_t replication)
{
    bool same = row->replication == replication && row->splits_hash == splits_hash(q) && row->buckets == q->buckets &&
                row->ttl_ms == q->ttl_ms;
    return same ? NULL : "a keyspace of that name exists with another replication, time to live or partitioning";
}

/* Idempotent: a keyspace of that name that is all that is asked for is no error. */
void eval_keyspace_create(struct eval *e, const struct meta_command *c)
{
    const struct meta_keyspace_request *q = &c->keyspace;
    struct meta_cluster_row cluster;
    struct meta_keyspace_row row;
    if (!eval_read_cluster(e, &cluster)) {
        eval_answer_not_initialized(e);
        return;
    }
    uint32_t replication = q->replication == 0 ? cluster.replication : q->replication;
    bool compared = feature_on((uint32_t)eval_read_number(e, slice_str("f"), VERSION_FIRST), FEATURE_KEYSPACE_COMPARED);
    const char *fault = keyspace_fault(q, replication);
    if (fault != NULL) {
        eval_answer(e, STATUS_INVALID, fault, SLICE_EMPTY);
    } else if (!eval_read_keyspace(e, q->name, &row)) {
        if (e->failed == STATUS_OK) create_keyspace(e, c, replication);
    } else if (row.dropped_ts != 0) {
        eval_answer(e, STATUS_EXISTS,
                    "a dropped keyspace of that name still waits for its end: restore it, or drop it again with a "
                    "shorter grace and wait",
                    SLICE_EMPTY);
    } else if ((fault = compared ? difference(e, &row, q) : former_difference(&row, q, replication)) != NULL) {
        eval_answer(e, STATUS_EXISTS, fault, SLICE_EMPTY);
    } else {
        answer_keyspace(e, &row, false);
    }
}

/* --- alter, drop --- */

void eval_keyspace_alter(struct eval *e, const struct meta_keyspace_alter_request *q)
{
    struct meta_keyspace_row row, old;
    if (!eval_read_keyspace(e, q->name, &old)) {
        answer_unknown(e);
        return;
    }
    row = old;
    if (q->replication > LIMIT_VOTERS || (q->has_ttl && q->ttl_ms > LIMIT_TTL_MS)) {
        eval_answer(e, STATUS_INVALID, "replication is 1 to 7, a time to live at most 100 years", SLICE_EMPTY);
        return;
    }
    if (row.dropped_ts != 0 && !q->restore) {
        eval_answer(e, STATUS_NOT_FOUND, "the keyspace has been dropped; restore it first", SLICE_EMPTY);
        return;
    }
    if (q->replication != 0) row.replication = q->replication;
    if (q->has_ttl) row.ttl_ms = q->ttl_ms;
    if (q->restore) row.dropped_ts = row.destroy_ts = 0;
    bool changed = row.replication != old.replication || row.ttl_ms != old.ttl_ms || row.dropped_ts != old.dropped_ts;
    if (changed) write_keyspace(e, q->name, &row);
    answer_keyspace(e, &row, changed);
}

/* Again with a shorter grace: sooner. Never later: restore it for that. */
void eval_keyspace_drop(struct eval *e, const struct meta_keyspace_drop_request *q)
{
    struct meta_keyspace_row row;
    if (slice_eq(q->name, slice_str("default"))) {
        eval_answer(e, STATUS_INVALID, "the keyspace default belongs to every cluster: it is not dropped", SLICE_EMPTY);
        return;
    }
    if (q->grace_ms > LIMIT_DROP_GRACE_MS || q->now_ts == 0) {
        eval_answer(e, STATUS_INVALID, "the grace before a dropped keyspace is destroyed is at most 90 days",
                    SLICE_EMPTY);
        return;
    }
    if (!eval_read_keyspace(e, q->name, &row)) {
        answer_unknown(e);
        return;
    }
    uint64_t destroy_ts = q->now_ts + (q->grace_ms << TS_COUNTER_BITS);
    bool changed = row.dropped_ts == 0 || destroy_ts < row.destroy_ts;
    if (row.dropped_ts == 0) row.dropped_ts = q->now_ts;
    if (changed) row.destroy_ts = destroy_ts;
    if (changed) write_keyspace(e, q->name, &row);
    answer_keyspace(e, &row, changed);
}

/* The leader says that the time has come; a keyspace that was restored meanwhile, or dropped anew, is another matter. */
void eval_keyspace_destroy(struct eval *e, const struct meta_keyspace_destroy *d)
{
    struct meta_keyspace_row row;
    if (!eval_read_keyspace(e, d->name, &row)) {
        answer_unknown(e);
        return;
    }
    if (row.id != d->id || row.dropped_ts == 0 || row.destroy_ts != d->destroy_ts) {
        COVER("keyspace.destroy_too_late");
        eval_answer(e, STATUS_CONDITION_FAILED, "the keyspace is in use", SLICE_EMPTY);
        return;
    }
    eval_write_number(e, eval_key_id(e, "x/", row.id), 1);
    eval_delete(e, eval_key_text(e, "k/", d->name));
    struct slice rules;
    if (eval_read(e, eval_key_id(e, "p/", row.id), &rules)) eval_delete(e, eval_key_id(e, "p/", row.id));
    eval_raise_map_version(e);
    answer_keyspace(e, &row, true);
}

/* Ranges of a keyspace that is no more, one that a split made known meanwhile included. */
static void destroy_range(struct eval *e, uint64_t id)
{
    struct slice value, key = eval_key_id(e, "r/", id);
    struct range_desc d;
    if (!eval_read(e, key, &value)) return;
    if (unpack_range_desc(value, e->arena, &d) != STATUS_OK) BUG("a range row of the metadata is damaged");
    if (d.replica_count == 0 || eval_read_number(e, eval_key_id(e, "x/", d.keyspace), 0) == 0) return;
    d.replica_count = 0;
    d.epoch.conf_ver = META_DESTROYED_CONF_VER;
    struct buf b;
    buf_init(&b, 64 * 1024);
    pack_range_desc(&b, &d);
    eval_write(e, key, &b);
    buf_free(&b);
}

void eval_ranges_destroy(struct eval *e, const struct meta_command *c)
{
    for (size_t i = 0; i < c->range_id_count; i++) destroy_range(e, c->range_ids[i]);
    if (e->writes->count > 0) eval_raise_map_version(e);
    eval_answer(e, STATUS_OK, "", SLICE_EMPTY);
}
