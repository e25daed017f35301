#include "sim/stage.h"

#include "base/assert.h"
#include "base/cursor.h"
#include "base/mem.h"
#include "sim/check.h"

#include <stdio.h>

#define PATIENCE_NS (60 * SEC_NS)
#define CALL_MS 5000u

const struct slice stage_keyspace = {.data = (const uint8_t *)"stage", .size = 5};

/* --- booting --- */

static void answered(void *ctx, const struct client_error *e, struct slice payload)
{
    struct stage_answer *a = ctx;
    (void)payload;
    a->done = true;
    a->status = e->status;
}

/* One step, again and again until it is done. */
static void boot(struct stage *s, enum method m, const struct buf *params)
{
    struct stage_answer a = {.status = STATUS_RETRY};
    uint64_t limit = s->world.now_ns + PATIENCE_NS;
    while (a.status != STATUS_OK && !s->world.failed) {
        a = (struct stage_answer){.stage = s};
        client_meta(stage_client(s, 0), m, buf_slice(params), 3000, answered, &a);
        process_pass_soon(s->cluster.clients[0]);
        if (!stage_until(s, &a.done)) return;
        if (s->world.now_ns > limit) world_fail(&s->world, "stage: booting was answered %s", status_name(a.status));
        stage_run(s, 50 * MS_NS);
    }
}

static void boot_all(struct stage *s)
{
    struct buf b;
    struct slice splits[STAGE_RANGES - 1];
    static const char *const KEYS[] = {"b", "c", "d", "e", "f"};
    struct meta_init_request init = {.replication = 3};
    struct meta_keyspace_request create = {.name = stage_keyspace, .splits = splits, .split_count = STAGE_RANGES - 1};
    memset(init.cluster.bytes, 0x51, CLUSTER_ID_BYTES);
    for (unsigned i = 0; i < STAGE_RANGES - 1; i++) splits[i] = slice_str(KEYS[i]);
    buf_init(&b, 65536);
    pack_meta_init_request(&b, &init);
    boot(s, METHOD_META_INIT, &b);
    buf_clear(&b);
    pack_meta_keyspace_request(&b, &create);
    boot(s, METHOD_META_KEYSPACE_CREATE, &b);
    buf_free(&b);
    for (unsigned router = 0; router < CLIENTS_MAX; router++) { /* each knows the way to all */
        struct stage_answer a;
        struct txn_op ops[STAGE_RANGES];
        char keys[STAGE_RANGES][2] = {"a", "b", "c", "d", "e", "f"};
        for (unsigned i = 0; i < STAGE_RANGES; i++)
            ops[i] = (struct txn_op){.kind = TXN_GET, .key = slice_str(keys[i]), .value = SLICE_EMPTY};
        if (!stage_do(s, router, &(struct txn){.ops = ops, .op_count = STAGE_RANGES}, &a)) return;
    }
}

void stage_init(struct stage *s, uint64_t seed)
{
    stage_init_at(s, seed, SEC_NS);
}

void stage_init_at(struct stage *s, uint64_t seed, uint64_t now_ns)
{
    world_init(&s->world, seed);
    s->world.now_ns = now_ns;
    cluster_init(&s->cluster, &s->world, BENCH_PLAIN);
    cluster_start(&s->cluster);
    boot_all(s);
    stage_run(s, 200 * MS_NS); /* for what is done behind an answer */
}

void stage_free(struct stage *s)
{
    cluster_free(&s->cluster);
    world_free(&s->world);
}

/* --- time --- */

bool stage_until(struct stage *s, const bool *flag)
{
    uint64_t limit = s->world.now_ns + PATIENCE_NS;
    while (!*flag) {
        if (!world_step(&s->world) || s->world.now_ns > limit) return false;
    }
    return !s->world.failed;
}

static void time_is_up(struct world *w, void *ctx)
{
    bool *up = ctx;
    (void)w;
    *up = true;
}

void stage_run(struct stage *s, uint64_t ns)
{
    bool *up = world_alloc(&s->world, sizeof *up);
    world_after(&s->world, ns, time_is_up, up);
    (void)stage_until(s, up);
}

/* --- who is where --- */

struct search {
    uint32_t keyspace;
    struct slice key;
    bool leads;
};

static void look(void *ctx, struct replica *r)
{
    struct search *f = ctx;
    if (replica_leads(r) && range_desc_contains(replica_desc(r), f->keyspace, f->key)) f->leads = true;
}

struct process *stage_leader(struct stage *s, const char *key)
{
    uint32_t keyspace = 0;
    for (unsigned i = 0; i < CLIENTS_MAX && keyspace == 0; i++) {
        if (stage_client(s, i) != NULL) keyspace = client_keyspace_id(stage_client(s, i), stage_keyspace);
    }
    for (unsigned i = 0; i < s->cluster.knobs.node_count; i++) {
        struct search f = {.keyspace = keyspace, .key = slice_str(key)};
        const struct host *h = process_host(s->cluster.nodes[i]);
        if (h != NULL) host_each_replica(h, look, &f);
        if (f.leads) return s->cluster.nodes[i];
    }
    return NULL;
}

void stage_crash(struct stage *s, struct process *p)
{
    (void)s;
    if (process_runs(p)) process_crash(p, MEMDISK_DROP, true);
}

void stage_revive(struct stage *s)
{
    for (unsigned i = 0; i < s->world.process_count; i++) {
        if (s->world.processes[i]->state == PROCESS_DOWN) (void)process_start(s->world.processes[i]);
    }
}

/* --- calls --- */

struct client *stage_client(struct stage *s, unsigned i)
{
    return cluster_client(&s->cluster, i);
}

static void copy(char out[STAGE_VALUE], struct slice value)
{
    size_t size = value.size < STAGE_VALUE - 1 ? value.size : STAGE_VALUE - 1;
    memcpy(out, value.data, size);
    out[size] = '\0';
}

static void ended(struct stage_answer *a, const struct client_error *e)
{
    ASSERT(!a->done);
    a->done = true;
    a->status = e->status;
    a->unknown = e->unknown_outcome;
}

static void txn_done(void *ctx, const struct client_error *e, const struct txn_result *r)
{
    struct stage_answer *a = ctx;
    ended(a, e);
    if (e->status != STATUS_OK) return;
    a->ts = r->ts;
    a->result = r->status;
    a->replayed = r->replayed;
    a->succeeded = r->succeeded;
    for (size_t i = 0; i < r->op_count && a->count < STAGE_OPS; i++) copy(a->values[a->count++], r->ops[i].value);
}

void stage_txn(struct stage *s, unsigned router, const struct txn *t, struct stage_answer *out)
{
    *out = (struct stage_answer){.stage = s};
    client_txn(stage_client(s, router), stage_keyspace, t, CALL_MS, txn_done, out);
    process_pass_soon(s->cluster.clients[router]);
}

static void get_done(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct stage_answer *a = ctx;
    ended(a, e);
    if (e->status != STATUS_OK) return;
    a->ts = reply->version;
    a->count = 1;
    if (reply->found) copy(a->values[0], reply->value);
}

void stage_get(struct stage *s, unsigned router, const char *key, const struct read_how *how, struct stage_answer *out)
{
    *out = (struct stage_answer){.stage = s};
    client_get_how(stage_client(s, router), stage_keyspace, slice_str(key), how, CALL_MS, get_done, out);
    process_pass_soon(s->cluster.clients[router]);
}

/* values: of the keys "a" to "f" */
static void scan_done(void *ctx, const struct client_error *e, const struct scan_reply *reply)
{
    struct stage_answer *a = ctx;
    ended(a, e);
    if (e->status != STATUS_OK) return;
    a->ts = reply->mark.ts;
    a->count = STAGE_RANGES;
    for (size_t i = 0; i < reply->row_count; i++) {
        struct slice key = reply->rows[i].key;
        if (key.size == 1 && key.data[0] >= 'a' && key.data[0] < 'a' + STAGE_RANGES)
            copy(a->values[key.data[0] - 'a'], reply->rows[i].value);
    }
}

void stage_scan(struct stage *s, unsigned router, const struct read_how *how, bool reverse, struct stage_answer *out)
{
    *out = (struct stage_answer){.stage = s};
    struct client_scan scan = {.start = SLICE_EMPTY, .end = SLICE_EMPTY, .reverse = reverse, .how = *how};
    client_scan(stage_client(s, router), stage_keyspace, &scan, CALL_MS, scan_done, out);
    process_pass_soon(s->cluster.clients[router]);
}

bool stage_do(struct stage *s, unsigned router, const struct txn *t, struct stage_answer *out)
{
    for (unsigned tries = 0; tries < 100; tries++) {
        stage_txn(s, router, t, out);
        if (!stage_until(s, &out->done)) return false;
        if (out->status == STATUS_OK) return true;
        stage_run(s, 100 * MS_NS);
    }
    world_fail(&s->world, "stage: a transaction is answered %s again and again", status_name(out->status));
    return false;
}

struct txn_id stage_id(uint64_t number)
{
    struct txn_id id = {.bytes = {0}};
    le_set_u64(id.bytes, number);
    id.bytes[15] = 2;
    return id;
}
