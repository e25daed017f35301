#include "lib/range_hosts.h"
#include "lib/row_machine.h"

#include <stdio.h>

#include "base/mem.h"
#include "lib/suite.h"

struct world hosts_world;
struct process *hosts_process[HOSTS_COUNT];
struct host_options hosts_options;
unsigned hosts_chunk_rows = 1;
bool hosts_without_range; /* hosts begin without a replica */
uint64_t hosts_written;   /* commands that were answered */
uint64_t hosts_frames, hosts_messages;

static void first_durable(void *ctx)
{
    (void)ctx;
}

/* --- a process --- */

static void on_request(void *ctx, struct rpc_request *req)
{
    struct bare_host *b = ctx;
    if (req->method == METHOD_RAFT) {
        hosts_frames++;
        struct unpack u = unpack_make(req->params);
        hosts_messages += unpack_array(&u);
        host_on_raft(b->host, req);
    } else if (req->method == METHOD_LIVENESS) {
        host_on_liveness(b->host, req);
    } else if (req->method == METHOD_SNAPSHOT) {
        host_on_snapshot(b->host, req);
    } else if (req->method == METHOD_EFFECTS) {
        host_on_effects(b->host, req);
    } else {
        rpc_request_drop(req);
    }
}

static uint64_t bare_pass(struct actor *a, uint64_t now_ns)
{
    struct bare_host *b = LIST_ENTRY(a, struct bare_host, actor);
    rpc_server_pass(b->server, now_ns);
    uint64_t next = host_pass(b->host, now_ns);
    if (b->peer != NULL) {
        uint64_t at_ns = rpc_peer_pass(b->peer, now_ns);
        if (at_ns < next) next = at_ns;
    }
    rpc_server_flush(b->server);
    return next;
}

struct range_desc hosts_range(void)
{
    struct range_desc d = {
        .id = HOSTS_GROUP, .keyspace = 3, .epoch = {.conf_ver = 1, .version = 1}, .replica_count = HOSTS_COUNT};
    for (unsigned i = 0; i < HOSTS_COUNT; i++)
        d.replicas[i] = (struct range_replica){.node_id = i + 1, .replica_id = i + 1, .role = 1};
    return d;
}

static enum status bare_start(struct process *q, struct errbuf *err)
{
    struct bare_host *b = mem_zalloc(sizeof *b);
    q->server = b;
    b->self = (struct rpc_identity){.role = ROLE_NODE, .node_id = q->index + 1};
    memset(b->self.cluster.bytes, 7, sizeof b->self.cluster.bytes);
    struct host_owner owner = {.machine = &ROW_MACHINE, .first_durable = first_durable, .ctx = b};
    enum status s = rpc_server_new(&q->env, q->address, &b->self, on_request, b, &b->server, err);
    if (s == STATUS_OK) s = host_open(&q->env, &hosts_options, &b->self, &owner, &b->host, err);
    if (s != STATUS_OK) return s;
    for (unsigned i = 0; i < hosts_world.process_count; i++)
        host_set_peer(b->host, i + 1, hosts_world.processes[i]->address);
    struct range_desc d = hosts_range();
    if (!hosts_without_range) host_create_replica(b->host, &d);
    list_init(&b->actor.link);
    b->actor.pass = bare_pass;
    q->env.ops->attach(&q->env, &b->actor);
    return STATUS_OK;
}

static void close_waits(void *ctx, struct replica *r)
{
    (void)ctx;
    replica_close_waits(r);
}

static void bare_free(struct process *q)
{
    struct bare_host *b = q->server;
    q->env.ops->detach(&q->env, &b->actor);
    host_each_replica(b->host, close_waits, NULL);
    host_close(b->host);
    if (b->peer != NULL) rpc_peer_free(b->peer);
    rpc_server_free(b->server);
    mem_free(b);
}

static const struct process_ops OPS = {.start = bare_start, .free = bare_free};

struct replica *hosts_replica(unsigned i)
{
    return process_runs(hosts_process[i])
               ? host_replica(((struct bare_host *)hosts_process[i]->server)->host, HOSTS_GROUP)
               : NULL;
}

uint64_t hosts_applied(unsigned i)
{
    return hosts_replica(i) == NULL ? 0 : raft_applied(replica_raft(hosts_replica(i)));
}

/* --- the world --- */

void hosts_run_ms(uint64_t ms)
{
    uint64_t until = hosts_world.now_ns + ms * MS_NS;
    while (hosts_world.now_ns < until && world_step(&hosts_world)) continue;
    if (hosts_world.failed) ck_abort_msg("%s", hosts_world.failure);
}

int hosts_leader(void)
{
    for (int i = 0; i < HOSTS_COUNT; i++) {
        if (hosts_replica((unsigned)i) != NULL && replica_leads(hosts_replica((unsigned)i))) return i;
    }
    return -1;
}

static void put_done(struct proposal *q, enum status s, bool unknown, struct slice answer)
{
    (void)unknown;
    (void)answer;
    if (s == STATUS_OK) hosts_written++;
    mem_free(q);
}

void hosts_put(void)
{
    static uint8_t value[HOSTS_VALUE];
    for (unsigned i = 0; i < HOSTS_VALUE; i++) value[i] = (uint8_t)draw(&hosts_world, 0, 255);
    value[0] = 0; /* else it may be taken for a command of the range itself (range_command_is) */
    for (unsigned tries = 0; tries < 2000; tries++) {
        int l = hosts_leader();
        struct proposal *q = mem_zalloc(sizeof *q);
        *q = (struct proposal){.done = put_done, .deadline_ns = UINT64_MAX};
        if (l >= 0 && replica_propose(hosts_replica((unsigned)l), slice_make(value, HOSTS_VALUE), q) == STATUS_OK) {
            process_pass_soon(hosts_process[l]);
            return;
        }
        mem_free(q);
        hosts_run_ms(5);
    }
    ck_abort_msg("nobody leads");
}

void hosts_begin(uint64_t seed)
{
    world_init(&hosts_world, seed);
    hosts_world.knobs = (struct sim_knobs){.net_min_ns = 100000,
                                           .net_max_ns = 200000,
                                           .pass_gap_ns = 20000,
                                           .log_min_ns = 100000,
                                           .log_max_ns = 200000,
                                           .io_min_ns = 100000,
                                           .io_max_ns = 200000};
    host_options_default(&hosts_options);
    hosts_options.wal.segment_bytes = 65536;
    hosts_options.wal.skip_self_test = true;
    hosts_options.election_ms = 100;
    hosts_options.heartbeat_ms = 20;
    hosts_options.log_keep_bytes = hosts_options.log_lag_bytes = 3000;
    hosts_options.snapshot_chunk_bytes = hosts_chunk_rows * HOSTS_VALUE + 1;
    hosts_options.snapshot_rate_bytes = 0;
    hosts_written = hosts_frames = hosts_messages = 0;
    for (unsigned i = 0; i < HOSTS_COUNT; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "host%u", i + 1);
        hosts_process[i] = process_new(&hosts_world, name, &OPS, NULL, true);
    }
    for (unsigned i = 0; i < HOSTS_COUNT; i++) ck_assert_int_eq(process_start(hosts_process[i]), STATUS_OK);
}

void hosts_end(void)
{
    for (unsigned i = 0; i < HOSTS_COUNT; i++) {
        if (process_runs(hosts_process[i])) process_crash(hosts_process[i], MEMDISK_KEEP, false);
    }
    if (hosts_world.failed) ck_abort_msg("%s", hosts_world.failure);
    world_free(&hosts_world);
}

struct lsm *hosts_store(unsigned i)
{
    return host_store(((struct bare_host *)hosts_process[i]->server)->host);
}

struct host *hosts_host(unsigned i)
{
    return ((struct bare_host *)hosts_process[i]->server)->host;
}
