/* Ranges that meet on a host: snapshots from before and behind splits and merges, sent chunk by chunk by the test. */
#include "base/crc32c.h"
#include "lib/cover.h"
#include "lib/range_hosts.h"
#include "lib/suite.h"
#include "range/change_int.h"
#include "range/members_int.h"
#include "range/snapshot_int.h"

#include <stdio.h>

struct sending { /* what a node that leads the range would send */
    struct range_desc desc;
    uint64_t seq, index;
    uint32_t crc;
    bool answered;
    enum status answer;
};

/* Hosts without a range; the first one sends chunks to the second. */
static struct host *meeting_begin(uint64_t seed)
{
    hosts_without_range = true;
    hosts_begin(seed);
    hosts_without_range = false;
    struct bare_host *b = hosts_process[0]->server;
    b->peer = rpc_peer_new(&hosts_process[0]->env, hosts_process[1]->address, &b->self);
    return hosts_host(1);
}

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
    struct buf key, state, config, packed, rows;
    struct raft_config c;
    start_key(&key, user_key);
    buf_init(&state, 65536);
    buf_init(&config, 4096);
    buf_init(&packed, 1u << 20);
    buf_init(&rows, 65536);
    snapshot_row_append(&rows,
                        &(struct snapshot_row){.key = buf_slice(&key), .ts = s->index, .value = slice_str(value)});
    s->crc = crc32c(s->crc, rows.data, rows.size);
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
                                                          .rows = buf_slice(&rows),
                                                          .rows_crc = crc32c(0, rows.data, rows.size),
                                                          .stream_crc = s->crc});
    s->seq++;
    s->answered = false;
    struct bare_host *b = hosts_process[0]->server;
    (void)rpc_call(b->peer, METHOD_SNAPSHOT, buf_slice(&packed), env_mono_ns(&hosts_process[0]->env) + 5000 * MS_NS,
                   chunk_done, s);
    process_pass_soon(hosts_process[0]);
    for (unsigned i = 0; i < 1000 && !s->answered; i++) hosts_run_ms(5);
    buf_free(&key);
    buf_free(&state);
    buf_free(&config);
    buf_free(&packed);
    buf_free(&rows);
    return s->answer;
}

static enum status row_on(unsigned i, const char *user_key, struct lsm_row *row)
{
    struct buf key;
    struct lsm_miss miss;
    start_key(&key, user_key);
    lsm_set_blocking(hosts_store(i), true);
    enum status s = lsm_get(hosts_store(i), buf_slice(&key), LSM_TS_MAX, row, &miss);
    lsm_set_blocking(hosts_store(i), false);
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
    struct host *h = meeting_begin(40);
    sending_begin(&whole, 9, 5, "", 100);
    sending_begin(&half, 10, 6, "m", 500);
    host_create_replica(h, &whole.desc);
    hosts_run_ms(100);
    ck_assert_int_eq(send_row(&whole, "a", "old", false), STATUS_OK);
    host_create_replica(h, &half.desc);
    hosts_run_ms(100);
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
    hosts_end();
}
END_TEST

static struct { /* of a proposal */
    bool told, unknown;
    enum status status;
} outcome;

static void proposal_done(struct proposal *q, enum status s, bool unknown, struct slice answer)
{
    (void)q;
    (void)answer;
    outcome.told = true;
    outcome.unknown = unknown;
    outcome.status = s;
}

/* Two neighbours merge while this host's replica of the right one lags: what had been proposed to it here may have been done by others. */
START_TEST(what_was_proposed_to_one_that_is_taken_in_is_unknown)
{
    static struct proposal late;
    struct sending merged;
    struct range_desc right = hosts_range();
    struct host *h = meeting_begin(41);
    sending_begin(&merged, 11, 5, "", 100);
    merged.desc.end = slice_str("m");
    host_create_replica(h, &merged.desc);
    right.start = slice_str("m");
    right.replica_count = 2;
    right.replicas[0] = (struct range_replica){.node_id = 2, .replica_id = 1, .role = RANGE_VOTER};
    right.replicas[1] = (struct range_replica){.node_id = 3, .replica_id = 2, .role = RANGE_VOTER};
    host_create_replica(h, &right);
    host_create_replica(hosts_host(2), &right);
    for (unsigned i = 0; i < 100 && !replica_leads(host_replica(h, HOSTS_GROUP)); i++) hosts_run_ms(10);
    ck_assert(replica_leads(host_replica(h, HOSTS_GROUP)));
    process_crash(hosts_process[2], MEMDISK_KEEP, false);
    late = (struct proposal){.done = proposal_done, .deadline_ns = UINT64_MAX};
    ck_assert_int_eq(replica_propose(host_replica(h, HOSTS_GROUP), slice_str("pay"), &late), STATUS_OK);
    hosts_run_ms(20);
    merged.desc.end = SLICE_EMPTY;
    merged.desc.epoch.version = 6;
    ck_assert_int_eq(send_row(&merged, "n", "paid", true), STATUS_OK);
    ck_assert_ptr_null(host_replica(h, HOSTS_GROUP));
    ck_assert(outcome.told);
    ck_assert(outcome.status != STATUS_OK && outcome.unknown);
    /* Who took it in leaves the host at once, before the store holds that for good: so does what was taken in, now and in later lives. */
    ck_assert(absorbed_is_kept(h, HOSTS_GROUP));
    host_replica_gone(h, merged.desc.id, 18, merged.desc.epoch.conf_ver + 1);
    hosts_run_ms(200);
    ck_assert_ptr_null(host_replica(h, merged.desc.id));
    ck_assert(!absorbed_is_kept(h, HOSTS_GROUP));
    hosts_without_range = true;
    process_crash(hosts_process[1], MEMDISK_DROP, true);
    ck_assert_int_eq(process_start(hosts_process[1]), STATUS_OK);
    hosts_without_range = false;
    ck_assert_ptr_null(host_replica(hosts_host(1), HOSTS_GROUP));
    hosts_end();
}
END_TEST

/* A log was lost, and with it the left one of two that the others merge meanwhile. What is left here is the right one, whole, which waits
 * for a left one: who took it in is made again beside it, and its snapshot ends it. */
START_TEST(one_that_took_in_what_is_here_still_is_made_again)
{
    struct sending merged;
    struct lsm_row row;
    struct range_desc right = hosts_range();
    struct host *h = meeting_begin(43);
    right.start = slice_str("m");
    right.replica_count = 2;
    right.replicas[0] = (struct range_replica){.node_id = 2, .replica_id = 1, .role = RANGE_VOTER};
    right.replicas[1] = (struct range_replica){.node_id = 3, .replica_id = 2, .role = RANGE_VOTER};
    host_create_replica(h, &right);
    host_create_replica(hosts_host(2), &right);
    hosts_run_ms(300);
    sending_begin(&merged, 11, right.epoch.version, "", 100);
    host_create_replica(h, &merged.desc); /* it may have been split, and this one be what was split off */
    ck_assert_ptr_null(host_replica(h, 11));
    merged.desc.epoch.version = right.epoch.version + 1;
    host_create_replica(h, &merged.desc);
    hosts_run_ms(100);
    ck_assert_ptr_nonnull(host_replica(h, 11));
    ck_assert_ptr_nonnull(host_replica(h, HOSTS_GROUP));
    ck_assert_int_eq(send_row(&merged, "n", "paid", true), STATUS_OK);
    ck_assert_ptr_null(host_replica(h, HOSTS_GROUP));
    ck_assert_int_eq(row_on(1, "n", &row), STATUS_OK);
    hosts_end();
}
END_TEST

/* A range that comes back smaller: of the keys that it has no longer, only those go that nobody else has. */
START_TEST(a_range_shrinks_beside_others)
{
    struct sending whole, last;
    struct lsm_row row;
    struct host *h = meeting_begin(42);
    sending_begin(&whole, 12, 5, "", 100);
    host_create_replica(h, &whole.desc);
    hosts_run_ms(100);
    static const char *const KEYS[] = {"a", "n", "q"};
    for (unsigned i = 0; i < 3; i++) ck_assert_int_eq(send_row(&whole, KEYS[i], "of the whole", i == 2), STATUS_OK);
    sending_begin(&whole, 12, 7, "", 200);
    whole.desc.end = slice_str("m");
    ck_assert_int_eq(send_row(&whole, "a", "newer", true), STATUS_OK);
    sending_begin(&last, 13, 7, "p", 300); /* [m, p) is another node's */
    for (unsigned i = 0; i < 100 && host_replica(h, 13) == NULL; i++) {
        host_create_replica(h, &last.desc);
        hosts_run_ms(10);
    }
    ck_assert_int_eq(send_row(&last, "q", "of the last part", true), STATUS_OK);
    hosts_run_ms(500);
    ck_assert_int_eq(row_on(1, "n", &row), STATUS_NOT_FOUND);
    ck_assert_int_eq(row_on(1, "q", &row), STATUS_OK);
    ck_assert(slice_eq(row.value, slice_str("of the last part")));
    ck_assert(list_empty(&h->dropping));
    hosts_end();
}
END_TEST

static void propose(uint64_t range, struct range_command command)
{
    static struct proposal proposals[3];
    static unsigned used;
    struct proposal *p = &proposals[used++ % 3];
    struct buf packed;
    buf_init(&packed, 256);
    command.epoch = (struct range_epoch){.conf_ver = 1, .version = 1};
    if (command.kind != RANGE_SPLIT) command.key = SLICE_EMPTY;
    range_command_encode(&command, &packed);
    *p = (struct proposal){.done = proposal_done, .deadline_ns = UINT64_MAX};
    ck_assert_int_eq(replica_propose(host_replica(hosts_host(1), range), buf_slice(&packed), p), STATUS_OK);
    buf_free(&packed);
    hosts_run_ms(20);
}

enum { LEFT = HOSTS_GROUP, RIGHT = HOSTS_GROUP + 1 };

static struct range_desc half(uint64_t id)
{
    struct range_desc d = hosts_range();
    d.id = id;
    d.start = slice_str(id == LEFT ? "" : "m");
    d.end = slice_str(id == LEFT ? "m" : "");
    d.replica_count = 1;
    d.replicas[0] = (struct range_replica){.node_id = 2, .replica_id = 18, .role = RANGE_VOTER};
    d.epoch = (struct range_epoch){.conf_ver = 1, .version = 1};
    return d;
}

static bool leads(struct host *h, uint64_t id)
{
    return host_replica(h, id) != NULL && replica_leads(host_replica(h, id));
}

/* Two halves, the right one frozen for the left one. Returns where it is. */
static uint64_t halves_begin(struct host *h)
{
    for (uint64_t id = LEFT; id <= RIGHT; id++) {
        struct range_desc d = half(id);
        host_create_replica(h, &d);
    }
    for (unsigned i = 0; i < 200 && !(leads(h, LEFT) && leads(h, RIGHT)); i++) hosts_run_ms(10);
    propose(LEFT, (struct range_command){.kind = RANGE_INTEND, .other = RIGHT});
    propose(RIGHT, (struct range_command){.kind = RANGE_FREEZE, .other = LEFT, .version = 1});
    return raft_last_index(replica_raft(host_replica(h, RIGHT)));
}

/* A snapshot had begun to come to the right one when its log came after all. The sender is gone with the range: the left one
 * does not wait for a chunk that nobody sends. */
START_TEST(a_merge_waits_for_no_snapshot_that_is_not_needed)
{
    struct sending begun;
    struct host *h = meeting_begin(44);
    const uint64_t frozen_at = halves_begin(h);
    sending_begin(&begun, RIGHT, 2, "m", frozen_at + 10);
    ck_assert_int_eq(send_row(&begun, "n", "of the snapshot", false), STATUS_OK);
    ck_assert_ptr_nonnull(host_replica(h, RIGHT)->receiving);
    propose(LEFT, (struct range_command){.kind = RANGE_COMMIT, .other = RIGHT, .index = frozen_at});
    ck_assert_ptr_null(host_replica(h, RIGHT));
    ck_assert_uint_eq(replica_desc(host_replica(h, LEFT))->end.size, 0);
    hosts_end();
}
END_TEST

static struct host *start_again(void)
{
    process_crash(hosts_process[1], MEMDISK_DROP, true);
    ck_assert_int_eq(process_start(hosts_process[1]), STATUS_OK);
    hosts_run_ms(100);
    return hosts_host(1);
}

/* When the log of one that was taken in has gone and who took it in has left, too, it is not made again: it has voted here. */
START_TEST(one_that_was_taken_in_is_not_made_again)
{
    struct host *h = meeting_begin(45);
    struct range_desc right = half(RIGHT);
    uint64_t dropped = cover_count("range.merge_dropped"), frozen_at = halves_begin(h);
    propose(LEFT, (struct range_command){.kind = RANGE_COMMIT, .other = RIGHT, .index = frozen_at});
    for (unsigned i = 0; i < 20 && cover_count("range.merge_dropped") == dropped; i++) {
        host_flush(h);
        hosts_run_ms(20);
    }
    ck_assert_uint_gt(cover_count("range.merge_dropped"), dropped);
    hosts_run_ms(20);
    for (unsigned life = 0; life < 3; life++) {
        h = start_again();
        host_create_replica(h, &right);
        ck_assert_ptr_null(host_replica(h, RIGHT));
        host_replica_gone(h, LEFT, 18, 2);
        hosts_run_ms(500);
        ck_assert_ptr_null(host_replica(h, LEFT));
    }
    hosts_end();
}
END_TEST

/* A flush that had begun before the merge ends behind it: the store does not hold the merge, and a crash needs the right one's log again. */
START_TEST(what_was_taken_in_is_kept_until_the_store_has_it)
{
    struct host *h = meeting_begin(46);
    const uint64_t frozen_at = halves_begin(h);
    hosts_process[1]->io_slow = 1000;
    host_flush(h);
    process_pass_soon(hosts_process[1]);
    hosts_run_ms(5);
    propose(LEFT, (struct range_command){.kind = RANGE_COMMIT, .other = RIGHT, .index = frozen_at});
    ck_assert_ptr_null(host_replica(h, RIGHT));
    ck_assert(h->flush_asked);
    hosts_process[1]->io_slow = 1;
    for (unsigned i = 0; i < 1000 && h->flush_asked; i++) hosts_run_ms(10);
    ck_assert(!h->flush_asked);
    hosts_run_ms(100);
    h = start_again();
    for (unsigned i = 0; i < 100 && !leads(h, LEFT); i++) hosts_run_ms(50);
    ck_assert(leads(h, LEFT));
    hosts_run_ms(500);
    ck_assert(leads(h, LEFT)); /* nor does it lack rows */
    ck_assert_uint_eq(replica_desc(host_replica(h, LEFT))->end.size, 0);
    hosts_end();
}
END_TEST

/* A replica of the new range was made here for the map, and has left, before its parent comes to the split: it is not born under the
 * id that it had, and the rows of that half go. */
START_TEST(one_that_has_left_is_not_born_again)
{
    static struct proposal put;
    struct lsm_row row;
    char text[16];
    struct host *h = meeting_begin(47);
    struct range_desc d = half(LEFT);
    d.end = SLICE_EMPTY;
    host_create_replica(h, &d);
    for (unsigned i = 0; i < 200 && !leads(h, LEFT); i++) hosts_run_ms(10);
    members_recall(h, RIGHT, 18, SLICE_EMPTY, SLICE_EMPTY);
    put = (struct proposal){.done = proposal_done, .deadline_ns = UINT64_MAX};
    ck_assert_int_eq(replica_propose(host_replica(h, LEFT), slice_str("paid"), &put), STATUS_OK);
    hosts_run_ms(20);
    (void)snprintf(text, sizeof text, "k%05llu",
                   (unsigned long long)raft_last_index(replica_raft(host_replica(h, LEFT))));
    ck_assert_int_eq(row_on(1, text, &row), STATUS_OK);
    propose(LEFT, (struct range_command){.kind = RANGE_SPLIT, .other = RIGHT, .leader = 18, .key = slice_str("b")});
    ck_assert(slice_eq(replica_desc(host_replica(h, LEFT))->end, slice_str("b")));
    ck_assert_ptr_null(host_replica(h, RIGHT));
    for (unsigned i = 0; i < 100 && row_on(1, text, &row) == STATUS_OK; i++) hosts_run_ms(10);
    ck_assert_int_eq(row_on(1, text, &row), STATUS_NOT_FOUND);
    ck_assert_uint_gt(cover_count("members.left_unborn"), 0);
    hosts_end();
}
END_TEST

/* Behind a lost log: the store tells of ranges whose records were lost, and of some of their keys the log has a former owner back, as it was
 * made. When that one's rows are cut, theirs may be among them: nobody comes back with what the store then has. */
START_TEST(what_is_cut_is_not_taken_for_whole)
{
    enum { FORMER = 71, LATER = 72 };
    uint64_t index, term;
    struct sending former, later;
    struct host *h = meeting_begin(46);
    lsm_apply_also(h->lsm, LATER, 10, 2);
    host_flush(h);
    hosts_run_ms(300);
    ck_assert(lsm_durable(h->lsm, LATER, &index, &term) && index == 10);
    h->lost_below = UINT64_MAX;
    sending_begin(&former, FORMER, 5, "p", 100);
    host_create_replica(h, &former.desc);
    hosts_run_ms(100);
    ck_assert_ptr_nonnull(host_replica(h, FORMER));
    if (_i == 0) { /* it leaves before the later one is made again */
        host_replica_gone(h, FORMER, 18, former.desc.epoch.conf_ver + 1);
        hosts_run_ms(300);
        ck_assert_ptr_null(host_replica(h, FORMER));
        ck_assert(!lsm_durable(h->lsm, LATER, &index, &term));
    }
    sending_begin(&later, LATER, 6, "p", 200);
    for (unsigned i = 0; i < 20; i++) { /* as heartbeats do; with the former one beside it, it is to take that in */
        host_create_replica(h, &later.desc);
        if (host_replica(h, LATER) != NULL) ck_assert(!lsm_durable(h->lsm, LATER, &index, &term));
        hosts_run_ms(50);
    }
    ck_assert_ptr_nonnull(host_replica(h, LATER));
    ck_assert(raft_blank(replica_raft(host_replica(h, LATER))));
    hosts_end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("range_meeting");
    TCase *c = tcase_create("meeting");
    tcase_add_loop_test(c, a_snapshot_from_before_a_split_meets_the_other_half, 0, 2);
    tcase_add_test(c, what_was_proposed_to_one_that_is_taken_in_is_unknown);
    tcase_add_test(c, one_that_took_in_what_is_here_still_is_made_again);
    tcase_add_test(c, a_range_shrinks_beside_others);
    tcase_add_test(c, a_merge_waits_for_no_snapshot_that_is_not_needed);
    tcase_add_test(c, one_that_was_taken_in_is_not_made_again);
    tcase_add_test(c, what_was_taken_in_is_kept_until_the_store_has_it);
    tcase_add_test(c, one_that_has_left_is_not_born_again);
    tcase_add_loop_test(c, what_is_cut_is_not_taken_for_whole, 0, 2);
    suite_add_tcase(s, c);
    return run_suite(s);
}
