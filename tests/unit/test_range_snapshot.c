/* Snapshots between three hosts over the simulator's network and disks, a chunk being a row or two: broken connections,
 * a receiver or sender that dies at each chunk, the rate, writes that outrun it. */
#include <stdio.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "lib/cover.h"
#include "lib/suite.h"
#include "range/host_int.h"
#include "sim/sim.h"

enum { HOSTS = 3, GROUP = 9, ROWS = 40, VALUE = 1000 };

struct bare { /* a host and nothing else */
    struct actor actor;
    struct rpc_identity self;
    struct rpc_server *server;
    struct host *host;
    struct rpc_peer *peer; /* of a test that sends chunks of its own */
};

static struct world w;
static struct process *p[HOSTS];
static struct host_options options;
static unsigned chunk_rows = 1;
static bool no_range;    /* hosts begin without a replica */
static uint64_t written; /* commands that were answered */

/* --- the machine: each command is a row --- */

static enum status apply(void *ctx, const struct machine_entry *e, const struct txn_view *view, struct arena *arena,
                         struct txn_writes *writes, uint64_t *ts, struct buf *answer)
{
    (void)ctx;
    (void)view;
    struct buf key;
    char text[16];
    buf_init(&key, 64);
    (void)snprintf(text, sizeof text, "k%05llu", (unsigned long long)e->index);
    key_encode_data(&key, e->desc->keyspace, slice_str(text));
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

/* --- a process --- */

static void on_request(void *ctx, struct rpc_request *req)
{
    struct bare *b = ctx;
    if (req->method == METHOD_RAFT) {
        host_on_raft(b->host, req);
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
    struct bare *b = LIST_ENTRY(a, struct bare, actor);
    rpc_server_pass(b->server, now_ns);
    uint64_t next = host_pass(b->host, now_ns);
    if (b->peer != NULL) {
        uint64_t at_ns = rpc_peer_pass(b->peer, now_ns);
        if (at_ns < next) next = at_ns;
    }
    rpc_server_flush(b->server);
    return next;
}

static struct range_desc the_range(void)
{
    struct range_desc d = {.id = GROUP, .keyspace = 3, .epoch = {.conf_ver = 1, .version = 1}, .replica_count = HOSTS};
    for (unsigned i = 0; i < HOSTS; i++)
        d.replicas[i] = (struct range_replica){.node_id = i + 1, .replica_id = i + 1, .role = 1};
    return d;
}

static enum status bare_start(struct process *q, struct errbuf *err)
{
    struct bare *b = mem_zalloc(sizeof *b);
    q->server = b;
    b->self = (struct rpc_identity){.role = ROLE_NODE, .node_id = q->index + 1};
    memset(b->self.cluster.bytes, 7, sizeof b->self.cluster.bytes);
    struct host_owner owner = {.machine = &MACHINE, .first_durable = first_durable, .ctx = b};
    enum status s = rpc_server_new(&q->env, q->address, &b->self, on_request, b, &b->server, err);
    if (s == STATUS_OK) s = host_open(&q->env, &options, &b->self, &owner, &b->host, err);
    if (s != STATUS_OK) return s;
    for (unsigned i = 0; i < w.process_count; i++) host_set_peer(b->host, i + 1, w.processes[i]->address);
    struct range_desc d = the_range();
    if (!no_range) host_create_replica(b->host, &d);
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
    struct bare *b = q->server;
    q->env.ops->detach(&q->env, &b->actor);
    host_each_replica(b->host, close_waits, NULL);
    host_close(b->host);
    if (b->peer != NULL) rpc_peer_free(b->peer);
    rpc_server_free(b->server);
    mem_free(b);
}

static const struct process_ops OPS = {.start = bare_start, .free = bare_free};

static struct replica *replica_on(unsigned i)
{
    return process_runs(p[i]) ? host_replica(((struct bare *)p[i]->server)->host, GROUP) : NULL;
}

static uint64_t applied_on(unsigned i)
{
    return replica_on(i) == NULL ? 0 : raft_applied(replica_raft(replica_on(i)));
}

/* --- the world --- */

static void run_ms(uint64_t ms)
{
    uint64_t until = w.now_ns + ms * MS_NS;
    while (w.now_ns < until && world_step(&w)) continue;
    if (w.failed) ck_abort_msg("%s", w.failure);
}

static int leader(void)
{
    for (int i = 0; i < HOSTS; i++) {
        if (replica_on((unsigned)i) != NULL && replica_leads(replica_on((unsigned)i))) return i;
    }
    return -1;
}

static void put_done(struct proposal *q, enum status s, bool unknown, struct slice answer)
{
    (void)unknown;
    (void)answer;
    if (s == STATUS_OK) written++;
    mem_free(q);
}

static void put(void)
{
    static uint8_t value[VALUE];
    for (unsigned i = 0; i < VALUE; i++) value[i] = (uint8_t)draw(&w, 0, 255);
    for (unsigned tries = 0; tries < 2000; tries++) {
        int l = leader();
        struct proposal *q = mem_zalloc(sizeof *q);
        *q = (struct proposal){.done = put_done, .deadline_ns = UINT64_MAX};
        if (l >= 0 && replica_propose(replica_on((unsigned)l), slice_make(value, VALUE), q) == STATUS_OK) {
            process_pass_soon(p[l]);
            return;
        }
        mem_free(q);
        run_ms(5);
    }
    ck_abort_msg("nobody leads");
}

static void begin_world(uint64_t seed)
{
    world_init(&w, seed);
    w.knobs = (struct sim_knobs){.net_min_ns = 100000,
                                 .net_max_ns = 200000,
                                 .pass_gap_ns = 20000,
                                 .log_min_ns = 100000,
                                 .log_max_ns = 200000,
                                 .io_min_ns = 100000,
                                 .io_max_ns = 200000};
    host_options_default(&options);
    options.wal.segment_bytes = 65536;
    options.wal.skip_self_test = true;
    options.election_ms = 100;
    options.heartbeat_ms = 20;
    options.log_keep_bytes = options.log_lag_bytes = 3000;
    options.snapshot_chunk_bytes = chunk_rows * VALUE + 1;
    options.snapshot_rate_bytes = 0;
    written = 0;
    for (unsigned i = 0; i < HOSTS; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "host%u", i + 1);
        p[i] = process_new(&w, name, &OPS, NULL, true);
    }
    for (unsigned i = 0; i < HOSTS; i++) ck_assert_int_eq(process_start(p[i]), STATUS_OK);
}

static void begin(uint64_t seed)
{
    begin_world(seed);
    for (unsigned i = 0; i < 100 && leader() < 0; i++) run_ms(20);
    /* The third falls behind what the log keeps. */
    unsigned lagging = leader() == 2 ? 1 : 2;
    if (lagging == 1) { /* the test calls the lagging one p[2] */
        struct process *q = p[1];
        p[1] = p[2];
        p[2] = q;
    }
    run_ms(100);
    process_crash(p[2], MEMDISK_KEEP, false);
    for (unsigned i = 0; i < ROWS; i++) put();
    run_ms(200);
    ck_assert_uint_eq(written, ROWS);
}

static void end(void)
{
    for (unsigned i = 0; i < HOSTS; i++) {
        if (process_runs(p[i])) process_crash(p[i], MEMDISK_KEEP, false);
    }
    if (w.failed) ck_abort_msg("%s", w.failure);
    world_free(&w);
}

static bool caught_up(void)
{
    int l = leader();
    return l >= 0 && applied_on(0) == applied_on(2) && applied_on(1) == applied_on(2) &&
           replica_on(2)->receiving == NULL && replica_on((unsigned)l)->sending == NULL;
}

static void until_caught_up(const char *what, uint64_t n)
{
    for (unsigned i = 0; i < 3000 && !caught_up(); i++) run_ms(20);
    if (!caught_up()) {
        world_trace_dump(&w, 60);
        ck_abort_msg("%s %llu: it does not catch up", what, (unsigned long long)n);
    }
}

/* Chunks stored by the third, so far; 0 when nothing is under way. */
static bool receiving(void)
{
    return replica_on(2) != NULL && replica_on(2)->receiving != NULL;
}

/* Steps until `n` events after the first chunk came. False: it was over before. */
static bool steps_in(uint64_t n)
{
    for (unsigned i = 0; i < 100000 && !receiving() && world_step(&w); i++) continue;
    while (n-- > 0) {
        if (!receiving() || !world_step(&w)) return false;
    }
    return receiving();
}

/* --- tests --- */

START_TEST(breaks_at_each_chunk_and_goes_on)
{
    uint64_t again = cover_count("snapshot.chunk_again"), repeated = cover_count("snapshot.chunk_repeated");
    unsigned whole = 0, runs = 0;
    for (uint64_t n = 0;; n += 13, runs++) {
        begin(n + 1);
        uint64_t sent = cover_count("snapshot.send");
        ck_assert_int_eq(process_start(p[2]), STATUS_OK);
        bool broke = steps_in(n);
        if (broke) sim_net_reset_some(&w, 1000);
        until_caught_up("break", n);
        if (cover_count("snapshot.send") == sent + 1) whole++; /* no second snapshot was needed */
        end();
        if (!broke) break;
    }
    ck_assert_uint_gt(runs, 25);
    ck_assert_uint_gt(whole, runs * 9 / 10);
    ck_assert_uint_gt(cover_count("snapshot.chunk_repeated"), repeated + 10);
    ck_assert_uint_gt(cover_count("snapshot.chunk_again"), again);
}
END_TEST

static unsigned tables(const struct memdisk *d);

/* The receiver's machine, or the sender's, goes in the middle of it, and comes back. */
static void dies_at_each_chunk(bool sender)
{
    unsigned runs = 0;
    for (uint64_t n = 0;; n += 23, runs++) {
        begin(n + 1);
        ck_assert_int_eq(process_start(p[2]), STATUS_OK);
        bool broke = steps_in(n);
        if (broke) {
            struct process *dead = p[sender && leader() >= 0 ? leader() : 2];
            process_crash(dead, n % 2 == 0 ? MEMDISK_DROP : MEMDISK_RANDOM, true);
            run_ms(draw(&w, 1, 300));
            ck_assert_int_eq(process_start(dead), STATUS_OK);
        }
        until_caught_up("death", n);
        /* Restarted, it has what the store names, and nothing of a transfer that died. */
        uint64_t before = applied_on(2);
        process_crash(p[2], MEMDISK_DROP, true);
        ck_assert_int_eq(process_start(p[2]), STATUS_OK);
        until_caught_up("restart", n);
        ck_assert_uint_ge(applied_on(2), before);
        struct lsm_stats stats;
        lsm_stats(host_store(((struct bare *)p[2]->server)->host), &stats);
        ck_assert_uint_eq(tables(p[2]->disk), stats.files);
        end();
        if (!broke) break;
    }
    ck_assert_uint_gt(runs, 15);
}

static void count_table(void *ctx, const char *path, struct slice content)
{
    (void)content;
    if (strncmp(path, "store/", 6) == 0 && strstr(path, "MANIFEST") == NULL) (*(unsigned *)ctx)++;
}

static unsigned tables(const struct memdisk *d)
{
    unsigned count = 0;
    memdisk_each(d, count_table, &count);
    return count;
}

START_TEST(the_receiver_dies)
{
    dies_at_each_chunk(false);
}
END_TEST

START_TEST(the_sender_dies)
{
    dies_at_each_chunk(true);
}
END_TEST

/* The n-th call that the receiver's disk is asked for fails: it stops, or gives the attempt up; then it gets there. */
START_TEST(every_call_of_the_receivers_disk_fails)
{
    uint64_t n = 1;
    for (bool fired = true; fired; n += n < 60 ? 1 : 5) {
        begin(n);
        ck_assert_int_eq(process_start(p[2]), STATUS_OK);
        (void)steps_in(0);
        p[2]->disk_faulty = true;
        memdisk_fail_at(p[2]->disk, MEMDISK_ANY, n, n % 4 == 0 ? STATUS_NO_SPACE : STATUS_IO, n % 3 == 0);
        for (unsigned i = 0; i < 40 && process_runs(p[2]) && !caught_up(); i++) run_ms(20);
        fired = memdisk_fail_fired(p[2]->disk) || !process_runs(p[2]);
        if (process_runs(p[2])) process_crash(p[2], MEMDISK_RANDOM, true);
        memdisk_fail_at(p[2]->disk, 0, 0, STATUS_OK, false);
        ck_assert_int_eq(process_start(p[2]), STATUS_OK);
        until_caught_up("failing call", n);
        end();
    }
    ck_assert_uint_gt(n, 15);
}
END_TEST

START_TEST(the_rate_is_kept)
{
    begin(5);
    options.snapshot_rate_bytes = 20000;
    for (unsigned i = 0; i < 2; i++) { /* the knob is read at the start of a host */
        process_crash(p[i], MEMDISK_KEEP, false);
        ck_assert_int_eq(process_start(p[i]), STATUS_OK);
    }
    for (unsigned i = 0; i < 20; i++) put(); /* after a restart the whole log is in memory again: it is cut by writes */
    run_ms(500);
    ck_assert_int_eq(process_start(p[2]), STATUS_OK);
    (void)steps_in(0);
    uint64_t start = w.now_ns;
    until_caught_up("rate", 0);
    uint64_t ms = (w.now_ns - start) / MS_NS, sent = 0;
    for (unsigned i = 0; i < 2; i++) sent += host_snapshots(((struct bare *)p[i]->server)->host).bytes;
    ck_assert_uint_gt(sent, 20000);
    ck_assert_uint_ge(ms + 200, sent * 1000 / 20000);
    ck_assert_uint_le(ms, sent * 1000 / 20000 + 1500);
    end();
}
END_TEST

static struct host *host_on(unsigned i)
{
    return ((struct bare *)p[i]->server)->host;
}

/* What the sender has let go, the receiver does not have either, and says so: in its next life too. */
START_TEST(how_far_back_rows_reach_comes_along)
{
    begin(5);
    for (unsigned i = 0; i < 2; i++) lsm_set_safepoint(host_store(host_on(i)), 15);
    ck_assert_int_eq(process_start(p[2]), STATUS_OK);
    ck_assert_uint_lt(host_safepoint(host_on(2)), 15);
    until_caught_up("safepoint", 0);
    ck_assert_uint_ge(host_safepoint(host_on(2)), 15);
    process_crash(p[2], MEMDISK_DROP, true);
    ck_assert_int_eq(process_start(p[2]), STATUS_OK);
    ck_assert_uint_ge(host_safepoint(host_on(2)), 15);
    end();
}
END_TEST

/* Writes go on faster than the log that is kept: after a few snapshots, each with more log behind it, it gets there. */
START_TEST(writes_do_not_outrun_it_for_ever)
{
    chunk_rows = 3;
    begin(6);
    chunk_rows = 1;
    ck_assert_int_eq(process_start(p[2]), STATUS_OK);
    uint64_t sent = cover_count("snapshot.send"), outrun = cover_count("snapshot.outrun");
    unsigned i = 0;
    for (; i < 1500; i++) {
        put();
        run_ms(3);
        int l = leader();
        if (l >= 0 && i > 50 && applied_on(2) + 20 > applied_on((unsigned)l) && !receiving()) break;
    }
    ck_assert_uint_lt(i, 1500);
    ck_assert_uint_gt(cover_count("snapshot.outrun"), outrun);
    ck_assert_uint_lt(cover_count("snapshot.send"), sent + 12);
    until_caught_up("outrun", 0);
    end();
}
END_TEST

/* One that was away for a while still finds the log that it needs, if that is within bounds; a snapshot if not. */
START_TEST(a_lagging_follower_pins_the_log)
{
    begin(7);
    options.log_lag_bytes = 1u << 20;
    for (unsigned i = 0; i < HOSTS; i++) {
        if (process_runs(p[i])) process_crash(p[i], MEMDISK_KEEP, false);
    }
    for (unsigned i = 0; i < HOSTS; i++) ck_assert_int_eq(process_start(p[i]), STATUS_OK);
    run_ms(3000);
    put();
    until_caught_up("start", 0);
    uint64_t sent = cover_count("snapshot.send");
    unsigned third = leader() == 2 ? 1 : 2;
    for (unsigned i = 0; i < HOSTS; i++) {
        sim_net_cut(&w, p[third]->index, p[i]->index, true);
        sim_net_cut(&w, p[i]->index, p[third]->index, true);
    }
    for (unsigned i = 0; i < 60; i++) put();
    run_ms(5000); /* many elections long */
    for (unsigned i = 0; i < HOSTS; i++) {
        sim_net_cut(&w, p[third]->index, p[i]->index, false);
        sim_net_cut(&w, p[i]->index, p[third]->index, false);
    }
    until_caught_up("partition", 0);
    ck_assert_uint_eq(cover_count("snapshot.send"), sent);
    end();
}
END_TEST

/* --- damage --- */

static struct lsm *store_on(unsigned i)
{
    return host_store(((struct bare *)p[i]->server)->host);
}

static void flip_in_table(void *ctx, const char *path, struct slice content)
{
    size_t length = strlen(path);
    if (length < 4 || strcmp(path + length - 4, ".tbl") != 0) return;
    ck_assert_uint_gt(content.size, 200);
    memdisk_flip(ctx, path, 100, 3); /* in its first block */
}

static void flip_at_end(void *ctx, const char *path, struct slice content)
{
    size_t length = strlen(path);
    if (length >= 4 && strcmp(path + length - 4, ".tbl") == 0) memdisk_flip(ctx, path, content.size - 9, 3);
}

static uint64_t rows_on(unsigned i)
{
    const struct replica *r = replica_on(i);
    struct slice start, end;
    replica_span(r, &start, &end);
    struct lsm_view *v = lsm_view_new(store_on(i), start, end);
    struct lsm_write row;
    uint64_t rows = 0;
    enum status s;
    while ((s = lsm_view_next(v, &row)) == STATUS_OK) rows++;
    ck_assert_int_eq(s, STATUS_END);
    lsm_view_free(v);
    return rows;
}

static void damage_tables(unsigned victim, void (*flip)(void *ctx, const char *path, struct slice content))
{
    struct memdisk *copy = memdisk_clone(p[victim]->disk, 1);
    memdisk_each(copy, flip, p[victim]->disk);
    memdisk_free(copy);
}

/* How a table's damage is met: by the scrubber, by a snapshot that is read for somebody else, or, in what follows its blocks, when
 * the store is opened. */
enum meeting { BY_SCRUBBER, BY_VIEW, BY_START };

static void meet_damage(unsigned victim, enum meeting how)
{
    damage_tables(victim, how == BY_START ? flip_at_end : flip_in_table);
    if (how == BY_SCRUBBER) run_ms(3000);
    if (how == BY_START) {
        process_crash(p[victim], MEMDISK_KEEP, false);
        ck_assert_int_eq(process_start(p[victim]), STATUS_OK);
        run_ms(100);
    }
    if (how != BY_VIEW) return;
    const struct replica *r = replica_on(victim);
    struct slice start, end;
    replica_span(r, &start, &end);
    struct lsm_view *v = lsm_view_new(store_on(victim), start, end);
    struct lsm_write row;
    enum status s;
    while ((s = lsm_view_next(v, &row)) == STATUS_OK) continue;
    ck_assert_int_eq(s, STATUS_CORRUPT);
    lsm_view_free(v);
    process_pass_soon(p[victim]);
}

/* T24: the table is quarantined, its replica takes itself out, hands over if it leads, and fetches its rows from the leader. What
 * is left of the table goes, rows of nobody included. */
START_TEST(a_damaged_table_is_replaced_from_a_peer)
{
    bool leads = _i % 2 == 1;
    enum meeting how = (enum meeting)(_i / 2);
    uint64_t met = cover_count("range.damaged");
    begin(8 + (uint64_t)_i);
    options.lsm.scrub_ms = how == BY_SCRUBBER ? 1000 : 0;
    for (unsigned i = 0; i < 2; i++) process_crash(p[i], MEMDISK_KEEP, false);
    for (unsigned i = 0; i < HOSTS; i++) ck_assert_int_eq(process_start(p[i]), STATUS_OK);
    run_ms(1000);
    put();
    until_caught_up("start", 0);
    unsigned victim = (unsigned)leader();
    if (!leads) victim = (victim + 1) % HOSTS;
    const struct lsm_write stray = {.kind = LSM_PUT, .key = slice_str("\xff stray"), .ts = 1, .value = slice_str("x")};
    lsm_apply(store_on(victim), HOST_GROUP, 1, 1, &stray, 1); /* in the same table; of no replica */
    lsm_flush(store_on(victim), NULL, NULL);
    process_pass_soon(p[victim]);
    run_ms(300);
    uint64_t rows = rows_on(victim);
    ck_assert_uint_gt(rows, ROWS);
    meet_damage(victim, how);
    for (unsigned i = 0; i < 100 && (cover_count("range.damaged") == met || replica_damaged(replica_on(victim))); i++)
        run_ms(100);
    ck_assert_uint_eq(cover_count("range.damaged"), met + 1);
    ck_assert(!replica_damaged(replica_on(victim)));
    put();
    run_ms(300);
    until_caught_up("damaged", 0);
    ck_assert_uint_eq(rows_on(victim), rows + 1);
    struct lsm_stats stats;
    lsm_stats(store_on(victim), &stats);
    ck_assert_uint_ge(stats.quarantined, 1);
    uint64_t bytes, stray_rows;
    lsm_estimate(store_on(victim), slice_str("\xff"), SLICE_EMPTY, &bytes, &stray_rows);
    ck_assert_uint_eq(stray_rows, 0);
    end();
}
END_TEST

/* --- two ranges that meet --- */

struct sending { /* what a node that leads the range would send */
    struct range_desc desc;
    uint64_t seq, index;
    uint32_t crc;
    struct buf rows;
    bool answered;
    enum status answer;
};

static void sending_begin(struct sending *s, uint64_t id, uint64_t version, const char *start, uint64_t index)
{
    *s = (struct sending){.desc = {.id = id,
                                   .keyspace = 3,
                                   .start = slice_str(start),
                                   .epoch = {.conf_ver = 2, .version = version},
                                   .replica_count = 2},
                          .index = index};
    s->desc.replicas[0] = (struct range_replica){.node_id = 1, .replica_id = 1, .role = RANGE_VOTER};
    s->desc.replicas[1] = (struct range_replica){.node_id = 2, .replica_id = 18, .role = RANGE_LEARNER};
    buf_init(&s->rows, 65536);
}

static void chunk_done(void *ctx, enum status s, bool sent, const struct reply_head *head)
{
    struct sending *sending = ctx;
    (void)sent;
    sending->answered = true;
    sending->answer = s == STATUS_OK ? head->status : s;
}

static void start_key(struct buf *key, const char *user_key)
{
    buf_init(key, 64);
    key_encode_data(key, 3, slice_str(user_key));
}

/* The next chunk, one row. */
static enum status send_row(struct sending *s, const char *user_key, const char *value, bool last)
{
    struct buf key, state, config, packed;
    struct raft_config c;
    start_key(&key, user_key);
    buf_init(&state, 65536);
    buf_init(&config, 4096);
    buf_init(&packed, 1u << 20);
    buf_clear(&s->rows);
    snapshot_row_append(&s->rows,
                        &(struct snapshot_row){.key = buf_slice(&key), .ts = s->index, .value = slice_str(value)});
    s->crc = crc32c(s->crc, s->rows.data, s->rows.size);
    range_state_pack(&state, &(struct range_state){.desc = s->desc});
    replica_config_of(&s->desc, &c);
    raft_config_encode(&c, SLICE_EMPTY, &config);
    pack_snapshot_chunk(&packed, &(struct snapshot_chunk){.group = s->desc.id,
                                                          .from = 1,
                                                          .to = 18,
                                                          .snapshot_id = s->desc.id * 1000 + s->index,
                                                          .seq = s->seq,
                                                          .term = 7,
                                                          .index = s->index,
                                                          .index_term = 6,
                                                          .descriptor = s->seq == 0 ? buf_slice(&state) : SLICE_EMPTY,
                                                          .config = s->seq == 0 ? buf_slice(&config) : SLICE_EMPTY,
                                                          .last = last,
                                                          .rows = buf_slice(&s->rows),
                                                          .rows_crc = crc32c(0, s->rows.data, s->rows.size),
                                                          .stream_crc = s->crc});
    s->seq++;
    s->answered = false;
    struct bare *b = p[0]->server;
    (void)rpc_call(b->peer, METHOD_SNAPSHOT, buf_slice(&packed), env_mono_ns(&p[0]->env) + 5000 * MS_NS, chunk_done, s);
    process_pass_soon(p[0]);
    for (unsigned i = 0; i < 1000 && !s->answered; i++) run_ms(5);
    buf_free(&key);
    buf_free(&state);
    buf_free(&config);
    buf_free(&packed);
    return s->answer;
}

static enum status row_on(unsigned i, const char *user_key, struct lsm_row *row)
{
    struct buf key;
    struct lsm_miss miss;
    start_key(&key, user_key);
    lsm_set_blocking(store_on(i), true);
    enum status s = lsm_get(store_on(i), buf_slice(&key), LSM_TS_MAX, row, &miss);
    lsm_set_blocking(store_on(i), false);
    buf_free(&key);
    return s;
}

/* T31: a replica without rows takes a snapshot of a range from before its split; meanwhile the other half comes here by its own.
 * Whichever is whole first, the older one does not replace rows that are the other's. */
START_TEST(a_snapshot_from_before_a_split_meets_the_other_half)
{
    struct sending whole, half;
    struct lsm_row row;
    bool half_first = _i == 0;
    no_range = true;
    begin_world(40);
    struct bare *b = p[0]->server;
    b->peer = rpc_peer_new(&p[0]->env, p[1]->address, &b->self);
    struct host *h = ((struct bare *)p[1]->server)->host;
    sending_begin(&whole, 9, 5, "", 100);
    sending_begin(&half, 10, 6, "m", 500);
    host_create_replica(h, &whole.desc);
    run_ms(100);
    ck_assert_int_eq(send_row(&whole, "a", "old", false), STATUS_OK);
    host_create_replica(h, &half.desc);
    run_ms(100);
    ck_assert_ptr_nonnull(host_replica(h, 10));
    if (half_first) {
        ck_assert_int_eq(send_row(&half, "n", "acknowledged", true), STATUS_OK);
        ck_assert_int_eq(send_row(&whole, "n", "old", true), STATUS_RETRY);
    } else {
        ck_assert_int_eq(send_row(&half, "m", "acknowledged", false), STATUS_OK);
        ck_assert_int_eq(send_row(&whole, "n", "old", true), STATUS_RETRY);
        ck_assert_int_eq(send_row(&half, "n", "acknowledged", true), STATUS_OK);
    }
    ck_assert_int_eq(row_on(1, "n", &row), STATUS_OK);
    ck_assert(slice_eq(row.value, slice_str("acknowledged")));
    /* The next one of the whole is from behind the split, and fits. */
    sending_begin(&whole, 9, 6, "", 200);
    whole.desc.end = slice_str("m");
    ck_assert_int_eq(send_row(&whole, "a", "newer", true), STATUS_OK);
    ck_assert_int_eq(row_on(1, "a", &row), STATUS_OK);
    ck_assert_int_eq(row_on(1, "n", &row), STATUS_OK);
    no_range = false;
    end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("range_snapshot");
    TCase *c = tcase_create("snapshot");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, breaks_at_each_chunk_and_goes_on);
    tcase_add_test(c, the_receiver_dies);
    tcase_add_test(c, the_sender_dies);
    tcase_add_test(c, every_call_of_the_receivers_disk_fails);
    tcase_add_test(c, the_rate_is_kept);
    tcase_add_test(c, how_far_back_rows_reach_comes_along);
    tcase_add_test(c, writes_do_not_outrun_it_for_ever);
    tcase_add_test(c, a_lagging_follower_pins_the_log);
    tcase_add_loop_test(c, a_snapshot_from_before_a_split_meets_the_other_half, 0, 2);
    tcase_add_loop_test(c, a_damaged_table_is_replaced_from_a_peer, 0, 6);
    suite_add_tcase(s, c);
    return run_suite(s);
}
