/* How long a node takes to come back with a long log: make bench-recovery [MB=1024]. Writes that much log through a host with
 * one range, whose store is not flushed meanwhile, closes it as a crash would, and opens it again: reading and judging the log,
 * then applying all of it to the store a second time. Prints both, and the sum as the line that is compared. */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/hash.h"
#include "base/mem.h"
#include "env_posix/env_posix.h"
#include "range/host.h"

enum { GROUP = 9, VALUE = 1024, UNDER_WAY_MAX = 8192, STOP_MS = 60000 };
#define LOOK_NS (10000 * NS_PER_MS)
#define STUCK_LOOKS 12u

struct bench {
    struct actor actor;
    struct env *env;
    struct host *host;
    struct rpc_identity self;
    uint64_t wanted, proposed, done;
};

_Noreturn static void die(const char *what)
{
    (void)fprintf(stderr, "recovery: %s\n", what);
    exit(1);
}

static enum status apply(void *ctx, const struct machine_entry *e, const struct txn_view *view, struct arena *arena,
                         struct txn_writes *writes, uint64_t *ts, struct buf *answer)
{
    (void)ctx;
    (void)view;
    struct buf key;
    char text[24];
    int size = snprintf(text, sizeof text, "%016" PRIx64, hash_u64(e->index));
    buf_init(&key, 64);
    key_encode_data(&key, e->desc->keyspace, slice_make(text, (size_t)size));
    writes->items = arena_alloc(arena, sizeof *writes->items);
    writes->items[0] = (struct txn_write){.key = arena_dup_slice(arena, buf_slice(&key)), .value = e->command};
    writes->count = 1;
    buf_free(&key);
    *ts = e->index;
    buf_clear(answer);
    return STATUS_OK;
}

static const struct machine_ops MACHINE = {.apply = apply};

static void first_durable(void *ctx)
{
    (void)ctx;
}

static void put_done(struct proposal *p, enum status s, bool unknown, struct slice answer)
{
    (void)unknown;
    (void)answer;
    struct bench *b = *(struct bench **)(void *)(p + 1);
    if (s != STATUS_OK) die("a write failed");
    b->done++;
    mem_free(p);
}

static void put(struct bench *b, struct replica *r)
{
    static uint8_t value[VALUE];
    for (size_t i = 0; i < VALUE / 2; i += 8) { /* half of it compresses */
        uint64_t x = hash_u64(b->proposed * VALUE + i);
        memcpy(value + i, &x, 8);
    }
    struct proposal *p = mem_zalloc(sizeof *p + sizeof b);
    p->done = put_done;
    p->deadline_ns = UINT64_MAX;
    *(struct bench **)(void *)(p + 1) = b;
    if (replica_propose(r, slice_make(value, VALUE), p) == STATUS_OK) {
        b->proposed++;
    } else {
        mem_free(p);
    }
}

static uint64_t pass(struct actor *a, uint64_t now_ns)
{
    struct bench *b = LIST_ENTRY(a, struct bench, actor);
    struct replica *r = host_replica(b->host, GROUP);
    if (r != NULL && replica_leads(r)) {
        uint64_t before = b->done + UNDER_WAY_MAX < b->wanted ? b->done + UNDER_WAY_MAX : b->wanted;
        for (uint64_t left = before - b->proposed; left > 0; left--) put(b, r); /* as much as fits into a few syncs */
    }
    return host_pass(b->host, now_ns);
}

static bool written(void *ctx)
{
    const struct bench *b = ctx;
    return b->done == b->wanted;
}

static bool applied(void *ctx)
{
    const struct bench *b = ctx;
    const struct replica *r = host_replica(b->host, GROUP);
    return replica_leads(r) && raft_applied(replica_raft(r)) > b->done;
}

static bool quiet(void *ctx)
{
    return host_quiet(((const struct bench *)ctx)->host);
}

/* Nothing for two minutes is a hang, which says where; a slow machine only says that it goes on. */
static void run_until(struct bench *b, bool (*done)(void *ctx), const char *what)
{
    uint64_t before = UINT64_MAX;
    for (unsigned stuck = 0; stuck < STUCK_LOOKS; stuck++) {
        env_posix_run_until(b->env, done, b, LOOK_NS);
        if (done(b)) return;
        struct replica *r = host_replica(b->host, GROUP);
        uint64_t at = r == NULL ? 0 : raft_applied(replica_raft(r));
        if (at != before) stuck = 0;
        before = at;
        (void)fprintf(stderr,
                      "recovery: %s: %" PRIu64 " of %" PRIu64 " applied, busy: log %d, store %d; waits for: %s\n", what,
                      at, b->wanted, wal_busy(host_log(b->host)), lsm_busy(host_store(b->host)),
                      r == NULL ? "its replica" : replica_waits_for(r));
    }
    die("hangs");
}

static void open_host(struct bench *b, const char *dir, size_t memtable_bytes)
{
    struct errbuf err = {{0}};
    b->env = env_posix_new(&(struct env_posix_options){.data_dir = dir, .log_level = LOG_WARN}, &err);
    if (b->env == NULL) die(err.text);
    struct host_options o;
    host_options_default(&o);
    o.wal_flush_bytes = UINT64_MAX / 2;
    o.election_ms = 60;
    o.heartbeat_ms = 20;
    if (memtable_bytes > 0) o.lsm.memtable_bytes = memtable_bytes;
    b->self = (struct rpc_identity){.role = ROLE_NODE, .node_id = 1};
    struct host_owner owner = {.machine = &MACHINE, .first_durable = first_durable, .ctx = b};
    if (host_open(b->env, &o, &b->self, &owner, &b->host, &err) != STATUS_OK) die(err.text);
    struct range_desc d = {.id = GROUP, .keyspace = 3, .epoch = {.conf_ver = 1, .version = 1}, .replica_count = 1};
    d.replicas[0] = (struct range_replica){.node_id = 1, .replica_id = 1, .role = 1};
    host_create_replica(b->host, &d);
    list_init(&b->actor.link);
    b->actor.pass = pass;
    b->env->ops->attach(b->env, &b->actor);
}

static void close_host(struct bench *b)
{
    host_stop(b->host, STOP_MS);
    run_until(b, quiet, "closing");
    b->env->ops->detach(b->env, &b->actor);
    env_posix_quiesce(b->env);
    host_close(b->host);
    env_posix_free(b->env);
}

static double seconds(const struct timespec *from, const struct timespec *to)
{
    return (double)(to->tv_sec - from->tv_sec) + (double)(to->tv_nsec - from->tv_nsec) / 1e9;
}

int main(int argc, char **argv)
{
    if (argc < 2) die("usage: recovery EMPTY-DIRECTORY [MB]");
    uint64_t mb = argc > 2 ? strtoull(argv[2], NULL, 10) : 1024;
    struct bench b = {.wanted = (mb << 20) / (VALUE + 16)};
    open_host(&b, argv[1], (size_t)mb * 3 << 20);
    run_until(&b, written, "writing");
    uint64_t live = wal_live_bytes(host_log(b.host));
    close_host(&b);
    struct timespec start, opened, end;
    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    open_host(&b, argv[1], 0);
    (void)clock_gettime(CLOCK_MONOTONIC, &opened);
    run_until(&b, applied, "coming back");
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    close_host(&b);
    (void)printf("log_mb=%" PRIu64 " entries=%" PRIu64 " open_s=%.2f apply_s=%.2f\n", live >> 20, b.done,
                 seconds(&start, &opened), seconds(&opened, &end));
    (void)printf("bench wal/recovery ours=%.2f unit=s\n", seconds(&start, &end));
    return 0;
}
