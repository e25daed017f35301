/* A host whose log or store has lost what was durable: its replicas come up without a vote and stay so, whatever crashes come
 * in between; what is sound comes up as it was. The replica here is the only one of its group: nobody can mend it. */
#include <stdio.h>

#include "lib/cover.h"
#include "lib/memdisk.h"
#include "lib/row_machine.h"
#include "lib/suite.h"
#include "lib/testenv.h"
#include "range/command.h"
#include "range/keys_int.h"
#include "range/members.h"
#include "wal/wal_format.h"

enum { GROUP = 9, PUTS = 120 };

static struct memdisk *disk;
static struct testenv t;
static struct errbuf err;
static struct host *host;
static struct rpc_identity self = {.role = ROLE_NODE, .node_id = 1};
static struct host_options options;

static void first_durable(void *ctx)
{
    (void)ctx;
}

static enum status open_host(void)
{
    struct host_owner owner = {.machine = &ROW_MACHINE, .first_durable = first_durable};
    memset(&err, 0, sizeof err);
    return host_open(&t.env, &options, &self, &owner, &host, &err);
}

static void pass(unsigned count)
{
    for (unsigned i = 0; i < count && !t.env.dead; i++) {
        testenv_advance_ms(&t, 5);
        (void)host_pass(host, env_mono_ns(&t.env));
        testenv_run(&t);
    }
}

static void crash(enum memdisk_crash how)
{
    t.env.dead = true;
    testenv_cancel(&t);
    host_close(host); /* a dead process writes nothing more */
    testenv_cancel(&t);
    host = NULL;
    memdisk_crash(disk, how);
    t.env.dead = false;
}

static void put_done(struct proposal *p, enum status s, bool unknown, struct slice answer)
{
    (void)p;
    (void)s;
    (void)unknown;
    (void)answer;
}

static struct range_desc the_range(void)
{
    struct range_desc d = {.id = GROUP, .keyspace = 3, .epoch = {.conf_ver = 1, .version = 1}, .replica_count = 1};
    d.replicas[0] = (struct range_replica){.node_id = 1, .replica_id = 1, .role = 1};
    return d;
}

/* A host that has never run. */
static void begin(void)
{
    disk = memdisk_new(1);
    testenv_init(&t, memdisk_disk(disk), 1);
    host_options_default(&options);
    options.wal.segment_bytes = 65536;
    options.wal.skip_self_test = true;
    options.lsm.memtable_bytes = 32768;
    options.log_keep_bytes = 1000;
    options.wal_flush_bytes = 128 * 1024;
    options.election_ms = 60;
    options.heartbeat_ms = 10;
    ck_assert_int_eq(open_host(), STATUS_OK);
}

/* A leader of its own group of one, with a log of several segments and a store that holds part of it. */
static void build(void)
{
    begin();
    struct range_desc d = the_range();
    host_create_replica(host, &d);
    pass(60);
    ck_assert(replica_leads(host_replica(host, GROUP)));
    static struct proposal puts[PUTS];
    static uint8_t value[3000];
    for (unsigned i = 0; i < PUTS; i++) {
        puts[i] = (struct proposal){.done = put_done, .deadline_ns = UINT64_MAX};
        ck_assert_int_eq(replica_propose(host_replica(host, GROUP), slice_make(value, sizeof value), &puts[i]),
                         STATUS_OK);
        pass(3);
    }
    pass(40);
    uint64_t index, term;
    ck_assert(lsm_durable(host_store(host), GROUP, &index, &term));
    for (unsigned i = 0; i < 4; i++) { /* whatever was flushed: these lie in the log alone */
        static struct proposal more[4];
        more[i] = (struct proposal){.done = put_done, .deadline_ns = UINT64_MAX};
        ck_assert_int_eq(replica_propose(host_replica(host, GROUP), slice_make(value, 100), &more[i]), STATUS_OK);
        pass(3);
    }
    ck_assert_uint_gt(wal_live_bytes(host_log(host)), 4 * WAL_BLOCK);
}

static void teardown(void)
{
    if (host != NULL) crash(MEMDISK_KEEP);
    testenv_free(&t);
    memdisk_free(disk);
}

struct longest {
    char path[64];
    uint64_t next; /* the newest segment: spared */
};

static void find_segment(void *ctx, const char *path, struct slice content)
{
    struct longest *l = ctx;
    struct wal_segment_header h;
    size_t size = strlen(path);
    if (size < 4 || strcmp(path + size - 4, ".wal") != 0 || content.size < WAL_BLOCK) return;
    if (wal_segment_header_decode(content.data, &h) != STATUS_OK || h.epoch == 0) return;
    if (l->next == 0 || h.epoch < l->next) return;
    (void)snprintf(l->path, sizeof l->path, "%s", path);
    l->next = h.epoch;
}

/* The first batch of the newest segment: later ones say that it was durable. */
static void damage_log(struct memdisk *d)
{
    struct longest l = {.next = 1};
    memdisk_each(d, find_segment, &l);
    memdisk_flip(d, l.path, WAL_BLOCK + 20, 3);
}

static void damage_newest_segment(struct memdisk *d)
{
    struct longest l = {.next = 1};
    memdisk_each(d, find_segment, &l);
    memdisk_flip(d, l.path, 3, 3);
}

static void damage_store(struct memdisk *d)
{
    memdisk_flip(d, "store/MANIFEST", 3, 3);
}

static void check_recovering(const char *when)
{
    struct replica *r = host_replica(host, GROUP);
    if (r == NULL) { /* its record was in the lost part: the metadata service names it again */
        struct range_desc d = the_range();
        host_create_replica(host, &d);
        r = host_replica(host, GROUP);
    }
    pass(80);
    if (!raft_recovering(replica_raft(r)) || replica_leads(r)) ck_abort_msg("%s: it has a vote", when);
    ck_assert_ptr_nonnull(strstr(replica_waits_for(r), "recovering"));
    ck_assert_ptr_nonnull(r->recovering);
}

/* Flushes that do not get on, as on a slow disk: fewer and fewer commands are taken, then none; and again when they do. */
START_TEST(the_stores_pressure_takes_room_from_proposals)
{
    static struct proposal puts[400];
    static uint8_t value[3000];
    build();
    host->options.proposals_max = 10;
    struct replica *r = host_replica(host, GROUP);
    enum status s = STATUS_OK;
    for (unsigned i = 0; i < 400 && s == STATUS_OK; i++) {
        puts[i] = (struct proposal){.done = put_done, .deadline_ns = UINT64_MAX};
        s = replica_propose(r, slice_make(value, sizeof value), &puts[i]);
        for (unsigned k = 0; k < 3; k++) {
            testenv_advance_ms(&t, 1);
            (void)host_pass(host, env_mono_ns(&t.env));
            while (testenv_execute(&t, LANE_LOG)) continue;
            while (testenv_complete(&t)) continue;
        }
    }
    ck_assert_int_eq(s, STATUS_BUSY);
    ck_assert_uint_gt(lsm_pressure(host_store(host)), 90); /* a tenth is the last of ten */
    pass(200);
    ck_assert_uint_eq(lsm_pressure(host_store(host)), 0);
    static struct proposal last;
    last = (struct proposal){.done = put_done, .deadline_ns = UINT64_MAX};
    ck_assert_int_eq(replica_propose(r, slice_make(value, 100), &last), STATUS_OK);
    pass(3);
    teardown();
}
END_TEST

START_TEST(a_sound_one_leads_again)
{
    build();
    uint64_t applied = raft_applied(replica_raft(host_replica(host, GROUP)));
    for (unsigned i = 0; i < 3; i++) {
        crash(i == 0 ? MEMDISK_DROP : MEMDISK_RANDOM);
        ck_assert_int_eq(open_host(), STATUS_OK);
        pass(60);
        ck_assert(replica_leads(host_replica(host, GROUP)));
        ck_assert_uint_gt(raft_applied(replica_raft(host_replica(host, GROUP))), applied);
    }
    teardown();
}
END_TEST

/* Damage; then the n-th call of opening fails or is its last; then it is opened again. It never has a vote. */
static bool interrupted_at(struct memdisk *sound, void (*damage)(struct memdisk *d), uint64_t n, enum status with)
{
    disk = memdisk_clone(sound, n);
    testenv_init(&t, memdisk_disk(disk), n);
    damage(disk);
    memdisk_fail_at(disk, MEMDISK_ANY, n, with, with == STATUS_CLOSED);
    bool opened = open_host() == STATUS_OK;
    bool fired = memdisk_fail_fired(disk);
    if (!opened) host = NULL;
    if (opened) pass(4);
    crash(n % 3 == 0 ? MEMDISK_DROP : n % 3 == 1 ? MEMDISK_RANDOM : MEMDISK_KEEP);
    t.fatal_count = 0;
    enum status s = open_host();
    if (s != STATUS_OK) ck_abort_msg("call %llu: %s", (unsigned long long)n, err.text);
    check_recovering("after an interrupted repair");
    crash(MEMDISK_DROP);
    ck_assert_int_eq(open_host(), STATUS_OK);
    check_recovering("after a restart");
    teardown();
    return fired;
}

static void interrupt_everywhere(void (*damage)(struct memdisk *d))
{
    build();
    crash(MEMDISK_KEEP);
    struct memdisk *sound = disk;
    testenv_free(&t);
    for (unsigned kind = 0; kind < 2; kind++) {
        uint64_t n = 1;
        while (interrupted_at(sound, damage, n, kind == 0 ? STATUS_CLOSED : STATUS_IO)) n++;
        ck_assert_uint_gt(n, 20);
    }
    memdisk_free(sound);
}

START_TEST(a_damaged_log)
{
    interrupt_everywhere(damage_log);
}
END_TEST

START_TEST(a_damaged_store)
{
    interrupt_everywhere(damage_store);
}
END_TEST

/* A store begun anew behind a log whose first segments its predecessor had freed is not a missing one: else the replica, once
 * mended, would lose its vote again at the next start. */
START_TEST(a_store_begun_anew_is_known)
{
    uint64_t index = 1, term = 1;
    build();
    crash(MEMDISK_KEEP);
    damage_store(disk);
    ck_assert_int_eq(open_host(), STATUS_OK);
    check_recovering("with a damaged store");
    ck_assert_uint_gt(wal_first_batch(host_log(host)), 1);
    crash(MEMDISK_DROP);
    ck_assert_int_eq(open_host(), STATUS_OK);
    ck_assert(lsm_durable(host_store(host), HOST_GROUP, &index, &term));
    ck_assert_ptr_eq(strstr(t.last_log, "missing"), NULL);
    teardown();
}
END_TEST

/* Segments of a log that nothing was applied from are used again: a store without a flush is no missing one. */
START_TEST(a_store_without_a_flush_is_known)
{
    begin();
    struct range_desc d = the_range();
    d.replica_count = 3; /* nobody hears it: it has no entry */
    for (unsigned i = 1; i < 3; i++)
        d.replicas[i] = (struct range_replica){.node_id = i + 1, .replica_id = i + 1, .role = 1};
    host_create_replica(host, &d);
    struct replica *r = host_replica(host, GROUP);
    for (unsigned i = 0; i < 200 && wal_first_batch(host_log(host)) <= 1; i++) {
        replica_record_put(r);
        pass(2);
    }
    for (unsigned life = 0; life < 2; life++) {
        crash(MEMDISK_DROP);
        ck_assert_int_eq(open_host(), STATUS_OK);
        ck_assert_uint_gt(wal_first_batch(host_log(host)), 1);
        ck_assert(!raft_recovering(replica_raft(host_replica(host, GROUP))));
        pass(5);
    }
    teardown();
}
END_TEST

static void damage_both(struct memdisk *d)
{
    damage_log(d);
    damage_store(d);
}

START_TEST(a_damaged_log_and_store)
{
    interrupt_everywhere(damage_both);
}
END_TEST

/* The store is gone as a whole, without a trace. The log shows that it once had one. */
static void remove_name(void *ctx, const char *path, struct slice content)
{
    (void)content;
    struct memdisk *d = ctx;
    if (strncmp(path, "store/", 6) == 0) ck_assert_int_eq(disk_remove(memdisk_disk(d), path), STATUS_OK);
}

START_TEST(a_missing_store)
{
    build();
    crash(MEMDISK_KEEP);
    struct memdisk *copy = memdisk_clone(disk, 2);
    memdisk_each(copy, remove_name, disk);
    memdisk_free(copy);
    ck_assert_int_eq(open_host(), STATUS_OK);
    check_recovering("without its store");
    teardown();
}
END_TEST

/* What is named before the metadata service has said which ranges existed may have been here, or been taken in; what came later was not. */
START_TEST(replicas_that_log_or_store_has_lost)
{
    build();
    crash(MEMDISK_KEEP);
    (_i == 0 ? damage_log : damage_store)(disk);
    ck_assert_int_eq(open_host(), STATUS_OK);
    ck_assert(host_log_lost(host));
    struct range_desc d = the_range();
    d.id = GROUP + 1;
    d.keyspace = 4;
    host_create_replica(host, &d);
    host_log_lost_below(host, GROUP + 5);
    ck_assert(!host_log_lost(host));
    pass(5);
    crash(MEMDISK_DROP); /* the bound is durable */
    ck_assert_int_eq(open_host(), STATUS_OK);
    for (uint64_t id = GROUP + 4; id <= GROUP + 5; id++) {
        d.id = id;
        d.keyspace = (uint32_t)id;
        host_create_replica(host, &d);
    }
    pass(80);
    ck_assert(raft_recovering(replica_raft(host_replica(host, GROUP + 1))));
    ck_assert(raft_recovering(replica_raft(host_replica(host, GROUP + 4))));
    ck_assert(!raft_recovering(replica_raft(host_replica(host, GROUP + 5))));
    ck_assert(replica_leads(host_replica(host, GROUP + 5)));
    teardown();
}
END_TEST

/* A tombstone outlives every restart: whatever an old map says, that replica is not made again. */
START_TEST(one_that_left_is_not_made_again)
{
    begin();
    struct range_desc d = the_range();
    host_create_replica(host, &d);
    pass(60);
    ck_assert(replica_leads(host_replica(host, GROUP)));
    host_replica_gone(host, GROUP, 1, d.epoch.conf_ver + 1);
    pass(40);
    ck_assert_ptr_null(host_replica(host, GROUP));
    for (unsigned life = 0; life < 3; life++) {
        host_create_replica(host, &d);
        ck_assert_ptr_null(host_replica(host, GROUP));
        pass(20);
        crash(MEMDISK_DROP);
        ck_assert_int_eq(open_host(), STATUS_OK);
    }
    d.replicas[0].replica_id = RANGE_FIRST_REPLICAS + 2; /* a later one may come */
    d.epoch.conf_ver = 2;
    host_create_replica(host, &d);
    ck_assert_ptr_nonnull(host_replica(host, GROUP));
    pass(5);
    teardown();
}
END_TEST

static void pass_without(enum exec_lane held)
{
    testenv_advance_ms(&t, 5);
    (void)host_pass(host, env_mono_ns(&t.env));
    for (bool done = true; done;) {
        done = false;
        for (unsigned lane = 0; lane < LANE_COUNT; lane++)
            done = (lane != (unsigned)held && testenv_execute(&t, (enum exec_lane)lane)) || done;
        done = testenv_complete(&t) || done;
    }
}

/* Its rows are cut out again at a restart as long as its tombstone names them. Whoever gets those keys meanwhile would lose them. */
START_TEST(keys_are_free_when_no_tombstone_names_them)
{
    begin();
    struct range_desc d = the_range();
    host_create_replica(host, &d);
    pass(60);
    host_replica_gone(host, GROUP, 1, d.epoch.conf_ver + 1);
    for (unsigned i = 0; i < 40 && (host_replica(host, GROUP) != NULL || host_replica_departs(host, GROUP)); i++)
        pass(1);
    ck_assert_uint_eq(host_leaving_count(host),
                      1); /* its rows go now; the log takes long to write that they have gone */
    for (unsigned i = 0; i < 20 && !keys_are_free(host, &d, NULL); i++) pass_without(LANE_LOG);
    if (!keys_are_free(host, &d, NULL)) pass(20);
    ck_assert(keys_are_free(host, &d, NULL));
    uint64_t cut_again = cover_count("members.cut_again");
    crash(MEMDISK_DROP);
    ck_assert_int_eq(open_host(), STATUS_OK);
    ck_assert_uint_eq(cover_count("members.cut_again"), cut_again);
    teardown();
}
END_TEST

/* What a host remembers of those that left does not grow for ever. */
START_TEST(tombstones_go_after_a_day)
{
    struct range_desc d = the_range();
    begin();
    host_create_replica(host, &d);
    pass(60);
    host_replica_gone(host, GROUP, 1, d.epoch.conf_ver + 1);
    pass(40);
    for (unsigned hour = 0; hour < 24; hour++) {
        host_create_replica(host, &d);
        ck_assert_ptr_null(host_replica(host, GROUP));
        testenv_advance_ms(&t, 3600000);
        pass(2);
    }
    testenv_advance_ms(&t, 3600000);
    pass(20);
    ck_assert_uint_eq(host->members.gone.count, 0);
    crash(MEMDISK_KEEP);
    ck_assert_int_eq(open_host(), STATUS_OK);
    ck_assert_uint_eq(host->members.gone.count, 0);
    teardown();
}
END_TEST

/* T32: a range that is about to be frozen keeps its replicas, from the entry that freezes it on, not only since that is applied. */
START_TEST(replicas_do_not_change_behind_a_freeze)
{
    static struct proposal freeze;
    struct range_desc d = the_range();
    struct errbuf why;
    uint32_t percent;
    struct buf command;
    begin();
    host_create_replica(host, &d);
    pass(60);
    struct replica *r = host_replica(host, GROUP);
    ck_assert(replica_leads(r));
    buf_init(&command, 4096);
    range_command_encode(&(struct range_command){.kind = RANGE_FREEZE,
                                                 .epoch = replica_desc(r)->epoch,
                                                 .other = GROUP + 1,
                                                 .version = 3,
                                                 .key = SLICE_EMPTY},
                         &command);
    freeze = (struct proposal){.done = put_done, .deadline_ns = UINT64_MAX};
    ck_assert_int_eq(replica_propose(r, buf_slice(&command), &freeze), STATUS_OK);
    const struct replica_change add = {.conf_ver = d.epoch.conf_ver, .add = true, .to = 2};
    ck_assert(!replica_merge(r).frozen);
    ck_assert_int_eq(replica_change(r, &add, &percent, &why), STATUS_BUSY);
    pass(20);
    ck_assert(replica_merge(r).frozen);
    ck_assert_int_eq(replica_change(r, &add, &percent, &why), STATUS_BUSY);
    buf_free(&command);
    teardown();
}
END_TEST

/* It speaks of the range as it was once, and has nothing: who holds its keys in a later version is let in beside it, all of them or some. */
START_TEST(one_without_rows_gives_way)
{
    begin();
    struct range_desc d = the_range(), later = the_range();
    d.epoch.version = 2;
    host_create_replica(host, &d);
    pass(10);
    ck_assert(raft_blank(replica_raft(host_replica(host, GROUP))));
    later.id = GROUP + 1;
    if (_i == 1) later.start = slice_str("m");
    host_create_replica(host, &later); /* of an earlier version: it is not */
    ck_assert_ptr_null(host_replica(host, GROUP + 1));
    later.epoch.version = 3;
    host_create_replica(host, &later);
    ck_assert_ptr_nonnull(host_replica(host, GROUP + 1));
    pass(5);
    teardown();
}
END_TEST

static void change(uint64_t id, struct range_command c)
{
    static struct proposal changes[8];
    static unsigned used;
    struct proposal *p = &changes[used++ % 8];
    struct buf command;
    buf_init(&command, 256);
    if (c.key.data == NULL) c.key = SLICE_EMPTY;
    range_command_encode(&c, &command);
    *p = (struct proposal){.done = put_done, .deadline_ns = UINT64_MAX};
    ck_assert_int_eq(replica_propose(host_replica(host, id), buf_slice(&command), p), STATUS_OK);
    buf_free(&command);
    pass(10);
}

static void damage_rows(void *ctx, const char *path, struct slice content)
{
    struct memdisk *d = ctx;
    bool table = strncmp(path, "store/", 6) == 0 && strstr(path, "MANIFEST") == NULL;
    for (uint64_t at = 30; table && at < content.size / 4; at += 100) memdisk_flip(d, path, at, 3);
}

/* What the range has become is a row of the store. When that cannot be read, what it was at its creation is no substitute. */
START_TEST(a_state_that_cannot_be_read_is_not_guessed)
{
    build();
    change(GROUP, (struct range_command){.kind = RANGE_INTEND,
                                         .epoch = replica_desc(host_replica(host, GROUP))->epoch,
                                         .other = GROUP + 7});
    ck_assert(replica_merge(host_replica(host, GROUP)).intends);
    uint64_t changed_at = raft_applied(replica_raft(host_replica(host, GROUP))), index = 0, term;
    host_flush(host);
    pass(60);
    ck_assert(lsm_durable(host_store(host), GROUP, &index, &term));
    ck_assert_uint_ge(index, changed_at);
    struct range_desc beside = the_range();
    beside.id = GROUP + 1;
    beside.keyspace = 4;
    host_create_replica(host, &beside);
    replica_lineage_of(host_replica(host, GROUP + 1))->mended = 5; /* after an earlier loss */
    replica_record_put(host_replica(host, GROUP + 1));
    pass(10);
    crash(MEMDISK_KEEP);
    struct memdisk *copy = memdisk_clone(disk, 2);
    memdisk_each(copy, damage_rows, disk);
    memdisk_free(copy);
    ck_assert_int_eq(open_host(), STATUS_OK);
    pass(80);
    ck_assert(raft_recovering(replica_raft(host_replica(host, GROUP))));
    ck_assert(!replica_leads(host_replica(host, GROUP)) && host_log_lost(host)); /* nor whom it has taken in */
    ck_assert_uint_gt(cover_count("recover.state_unread"), 0);
    crash(MEMDISK_DROP);
    ck_assert_int_eq(open_host(), STATUS_OK);
    ck_assert_uint_eq(replica_lineage(host_replica(host, GROUP + 1))->mended, 0);
    teardown();
}
END_TEST

/* A configuration that lies in the log alone: who it brings in may be a quorum, with more than is here. */
START_TEST(alone_only_by_the_last_word_of_the_log)
{
    begin();
    struct range_desc d = the_range();
    d.replica_count = 3;
    for (unsigned i = 0; i < 3; i++) /* replica 3 is this host's: it was not born to lead */
        d.replicas[i] = (struct range_replica){.node_id = 3 - i, .replica_id = i + 1, .role = RANGE_VOTER};
    host_create_replica(host, &d);
    struct replica *r = host_replica(host, GROUP);
    pass(5);
    struct buf note, data;
    buf_init(&note, 64);
    buf_init(&data, 256);
    static const uint64_t named[] = {17, 4, 18, 5}; /* replicas and their nodes */
    pack_array(&note, 2);
    for (unsigned i = 0; i < 4; i++) {
        if (i % 2 == 0) pack_array(&note, 2);
        pack_uint(&note, named[i]);
    }
    raft_config_encode(&(struct raft_config){.voters = {3, 17, 18}, .voter_count = 3}, buf_slice(&note), &data);
    uint64_t last = raft_last_index(replica_raft(r)), term = raft_term(replica_raft(r)) + 1;
    struct raft_entry e = {.index = last + 1, .term = term, .type = RAFT_ENTRY_CONFIG, .data = buf_slice(&data)};
    struct raft_message append = {.type = RAFT_MSG_APPEND,
                                  .from = 2,
                                  .to = 3,
                                  .term = term,
                                  .index = last,
                                  .log_term = raft_term_at(replica_raft(r), last),
                                  .entries = &e,
                                  .entry_count = 1};
    replica_step(r, &(struct raft_event){.type = RAFT_EVENT_MESSAGE, .now_ms = host->now_ms, .message = &append});
    pass(60);
    ck_assert_uint_eq(raft_config_index(replica_raft(r)), last + 1);
    ck_assert_uint_eq(replica_desc(r)->epoch.conf_ver, 1); /* not applied */
    ck_assert_uint_eq(replica_node_of(r, 1), 3);
    ck_assert_uint_eq(replica_node_of(r, 17), 4); /* a candidate may need their votes */
    ck_assert_uint_eq(replica_node_of(r, 18), 5);
    ck_assert_uint_eq(replica_node_of(r, 19), 0);
    const uint64_t lost[] = {2, 3, 4, 5};
    struct replica_alone q = {.epoch = 1u << 20, .lost = lost, .lost_count = 2};
    ck_assert_int_eq(replica_lead_alone(r, &q, &err), STATUS_INVALID); /* 4 and 5 live */
    /* 2 and 3 live, and cannot elect it: whether they can elect each other only the metadata service knows, which has asked them. */
    q = (struct replica_alone){.epoch = 1u << 20, .lost = lost + 2 * _i, .lost_count = _i == 0 ? 4 : 2};
    ck_assert_int_eq(replica_lead_alone(r, &q, &err), STATUS_OK);
    pass(60);
    ck_assert(replica_leads(r));
    ck_assert_uint_eq(replica_desc(r)->epoch.version, 1u << 20);
    ck_assert_uint_eq(replica_desc(r)->replica_count, 1);
    buf_free(&note);
    buf_free(&data);
    teardown();
}
END_TEST

/* One takes in its neighbour, which takes in its own first, and that one waits for a block. Two that wait do not ask each other all the
 * time whether the other has got on: the processor would be busy with that for as long as the disk takes. */
START_TEST(a_chain_of_merges_waits_at_rest)
{
    static const char *const STARTS[] = {"", "g", "p", ""};
    struct replica *r[3];
    begin();
    for (unsigned i = 0; i < 3; i++) {
        struct range_desc d = the_range();
        d.id = GROUP + i;
        d.start = slice_str(STARTS[i]);
        d.end = slice_str(STARTS[i + 1]);
        host_create_replica(host, &d);
        r[i] = host_replica(host, d.id);
    }
    pass(60);
    const struct range_epoch first = {.conf_ver = 1, .version = 1}, second = {.conf_ver = 1, .version = 2};
    r[2]->apply_wait = true;
    change(GROUP + 1, (struct range_command){.kind = RANGE_INTEND, .epoch = first, .other = GROUP + 2});
    change(GROUP + 2, (struct range_command){.kind = RANGE_FREEZE, .epoch = first, .other = GROUP + 1, .version = 1});
    change(GROUP + 1,
           (struct range_command){
               .kind = RANGE_COMMIT, .epoch = first, .other = GROUP + 2, .index = raft_last_index(replica_raft(r[2]))});
    change(GROUP, (struct range_command){.kind = RANGE_INTEND, .epoch = first, .other = GROUP + 1});
    change(GROUP + 1, (struct range_command){.kind = RANGE_FREEZE, .epoch = second, .other = GROUP, .version = 1});
    change(GROUP,
           (struct range_command){
               .kind = RANGE_COMMIT, .epoch = first, .other = GROUP + 1, .index = raft_last_index(replica_raft(r[1]))});
    ck_assert_uint_eq(host->replicas.count, 3);
    ck_assert_uint_gt(raft_commit(replica_raft(r[0])), raft_applied(replica_raft(r[0])));
    ck_assert(list_empty(&host->ready));
    bool damaged =
        _i == 1; /* another block of it is: nobody ever gets the rows from here, and all ask for a snapshot */
    r[2]->apply_wait = damaged;
    r[2]->divergence.damaged = damaged;
    host_mark_ready(host, r[2]);
    pass(2);
    ck_assert_uint_eq(host->replicas.count, damaged ? 3 : 1);
    ck_assert((r[0]->state == REPLICA_DIVERGED) == damaged);
    ck_assert(damaged || replica_desc(r[0])->end.size == 0);
    teardown();
}
END_TEST

static enum status row_of(unsigned n)
{
    struct buf key;
    struct lsm_row row;
    struct lsm_miss miss;
    char text[16];
    buf_init(&key, 64);
    (void)snprintf(text, sizeof text, "k%05u", n);
    key_encode_data(&key, the_range().keyspace, slice_str(text));
    lsm_set_blocking(host_store(host), true);
    enum status s = lsm_get(host_store(host), buf_slice(&key), LSM_TS_MAX, &row, &miss);
    lsm_set_blocking(host_store(host), false);
    buf_free(&key);
    return s;
}

/* A replica has left; the log loses that, and has it back as it was made, with keys that another has held since a split. Or it has its
 * tombstone back, of keys that another holds by now. It goes again, and takes no row of the other. */
START_TEST(what_is_back_with_a_lost_log_takes_no_rows_of_others)
{
    struct gone_record tombstone = {.replica_id = 1};
    struct buf start, end;
    struct range_desc whole = the_range();
    build();
    change(GROUP, (struct range_command){.kind = RANGE_SPLIT,
                                         .epoch = replica_desc(host_replica(host, GROUP))->epoch,
                                         .other = GROUP + 1,
                                         .leader = 1,
                                         .key = slice_str("k00060")});
    ck_assert(replica_leads(host_replica(host, GROUP + 1)));
    host_flush(host);
    pass(40);
    struct longest before = {.next = 1}, now = before;
    memdisk_each(disk, find_segment, &before);
    while (now.next <= before.next) { /* the next segment has begun: that is what will be lost */
        replica_record_put(host_replica(host, GROUP));
        replica_record_put(host_replica(host, GROUP + 1));
        pass(2);
        memdisk_each(disk, find_segment, &now);
    }
    host_replica_gone(host, GROUP, 1, whole.epoch.conf_ver + 1);
    pass(40);
    ck_assert_int_eq(row_of(30), STATUS_NOT_FOUND);
    ck_assert_int_eq(row_of(90), STATUS_OK);
    buf_init(&start, 64);
    buf_init(&end, 64);
    range_desc_span(&whole, &start, &end);
    tombstone.start = buf_slice(&start);
    tombstone.end = buf_slice(&end);
    if (_i == 1) gone_record_put(host_log(host), GROUP, &tombstone);
    pass(5);
    crash(MEMDISK_KEEP);
    if (_i == 0) damage_newest_segment(disk);
    ck_assert_int_eq(open_host(), STATUS_OK);
    ck_assert_ptr_nonnull(host_replica(host, GROUP + 1));
    ck_assert_int_eq(row_of(90), STATUS_OK);
    pass(20);
    host_replica_gone(host, GROUP, 1, whole.epoch.conf_ver + 1);
    pass(40);
    ck_assert_ptr_null(host_replica(host, GROUP));
    ck_assert_int_eq(row_of(90), STATUS_OK);
    buf_free(&start);
    buf_free(&end);
    teardown();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("range_repair");
    TCase *c = tcase_create("repair");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, a_sound_one_leads_again);
    tcase_add_test(c, the_stores_pressure_takes_room_from_proposals);
    tcase_add_test(c, a_damaged_log);
    tcase_add_test(c, a_damaged_store);
    tcase_add_test(c, a_store_begun_anew_is_known);
    tcase_add_test(c, a_store_without_a_flush_is_known);
    tcase_add_test(c, a_damaged_log_and_store);
    tcase_add_test(c, a_missing_store);
    tcase_add_loop_test(c, replicas_that_log_or_store_has_lost, 0, 2);
    tcase_add_test(c, one_that_left_is_not_made_again);
    tcase_add_test(c, keys_are_free_when_no_tombstone_names_them);
    tcase_add_test(c, tombstones_go_after_a_day);
    tcase_add_test(c, replicas_do_not_change_behind_a_freeze);
    tcase_add_loop_test(c, one_without_rows_gives_way, 0, 2);
    tcase_add_loop_test(c, a_chain_of_merges_waits_at_rest, 0, 2);
    tcase_add_test(c, a_state_that_cannot_be_read_is_not_guessed);
    tcase_add_loop_test(c, what_is_back_with_a_lost_log_takes_no_rows_of_others, 0, 2);
    tcase_add_loop_test(c, alone_only_by_the_last_word_of_the_log, 0, 2);
    suite_add_tcase(s, c);
    return run_suite(s);
}
