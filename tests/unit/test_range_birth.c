/* T31: a range is split on hosts that have lost their logs. Who was split off before a loss may have voted here, and comes without a vote;
 * who was split off since was nowhere: without its replicas' votes nobody would ever lead it, for two of three may have lost their logs. */
#include "lib/cover.h"
#include "lib/range_hosts.h"
#include "lib/suite.h"
#include "range/command.h"
#include "range/members.h"
#include "wal/wal_format.h"

#include <stdio.h>

enum { CHILD = HOSTS_GROUP + 1, GRANDCHILD, BATCHES = 256 };

/* --- losing a log --- */

struct batches {
    struct {
        char path[64];
        uint64_t offset, number;
    } items[BATCHES];
    unsigned count;
    uint64_t last;
};

static void find_batches(void *ctx, const char *path, struct slice content)
{
    struct batches *b = ctx;
    struct wal_segment_header segment;
    size_t size = strlen(path);
    if (size < 4 || strcmp(path + size - 4, ".wal") != 0 || content.size < WAL_BLOCK) return;
    if (wal_segment_header_decode(content.data, &segment) != STATUS_OK || segment.epoch == 0) return;
    for (uint64_t at = WAL_BLOCK; at + WAL_BLOCK <= content.size;) {
        struct wal_batch_header h;
        if (wal_batch_header_decode(content.data + at, &h) != STATUS_OK || h.epoch != segment.epoch) return;
        ck_assert_uint_lt(b->count, BATCHES);
        (void)snprintf(b->items[b->count].path, sizeof b->items[0].path, "%s", path);
        b->items[b->count].offset = at;
        b->items[b->count++].number = h.number;
        if (h.number > b->last) b->last = h.number;
        at += wal_batch_size(h.payload_bytes);
    }
}

static uint64_t last_batch(unsigned i)
{
    struct batches b = {.count = 0};
    memdisk_each(hosts_process[i]->disk, find_batches, &b);
    return b.last;
}

/* All batches behind `kept` are gone but the last, which says that they were durable. */
static void lose_log(unsigned i, uint64_t kept)
{
    struct batches b = {.count = 0};
    process_crash(hosts_process[i], MEMDISK_KEEP, true);
    memdisk_each(hosts_process[i]->disk, find_batches, &b);
    ck_assert_uint_lt(kept + 1, b.last);
    for (unsigned k = 0; k < b.count; k++) {
        if (b.items[k].number > kept && b.items[k].number < b.last)
            memdisk_flip(hosts_process[i]->disk, b.items[k].path, b.items[k].offset + 20, 3);
    }
    ck_assert_int_eq(process_start(hosts_process[i]), STATUS_OK);
    ck_assert(host_log_lost(hosts_host(i)));
    ck_assert_ptr_nonnull(hosts_replica(i)->recovering);
}

static void await_mended(unsigned i)
{
    for (unsigned k = 0; k < 500 && raft_recovering(replica_raft(hosts_replica(i))); k++) hosts_run_ms(10);
    ck_assert(!raft_recovering(replica_raft(hosts_replica(i))));
}

/* --- splitting --- */

static struct replica *leader_of(uint64_t range)
{
    for (unsigned i = 0; i < HOSTS_COUNT; i++) {
        struct replica *r = process_runs(hosts_process[i]) ? host_replica(hosts_host(i), range) : NULL;
        if (r != NULL && replica_leads(r)) return r;
    }
    return NULL;
}

static struct replica *await_leader(uint64_t range)
{
    for (unsigned i = 0; i < 500 && leader_of(range) == NULL; i++) hosts_run_ms(10);
    if (leader_of(range) == NULL) ck_abort_msg("nobody leads range %llu", (unsigned long long)range);
    return leader_of(range);
}

static void proposal_done(struct proposal *q, enum status s, bool unknown, struct slice answer)
{
    (void)q;
    (void)s;
    (void)unknown;
    (void)answer;
}

static void split(uint64_t range, uint64_t child, const char *key)
{
    static struct proposal proposals[2];
    struct replica *leader = await_leader(range);
    struct proposal *p = &proposals[child - CHILD];
    struct buf command;
    buf_init(&command, 256);
    range_command_encode(&(struct range_command){.kind = RANGE_SPLIT,
                                                 .epoch = replica_desc(leader)->epoch,
                                                 .other = child,
                                                 .leader = replica_id(leader),
                                                 .key = slice_str(key)},
                         &command);
    *p = (struct proposal){.done = proposal_done, .deadline_ns = UINT64_MAX};
    ck_assert_int_eq(replica_propose(leader, buf_slice(&command), p), STATUS_OK);
    buf_free(&command);
    for (unsigned i = 0; i < HOSTS_COUNT; i++) process_pass_soon(hosts_process[i]);
}

/* Two hosts lose their logs, one after the other was mended; and perhaps start once more. What is split off then has a leader, and so has
 * what is split off from that. */
START_TEST(what_is_split_off_behind_a_loss_has_its_votes)
{
    hosts_begin(60);
    (void)await_leader(HOSTS_GROUP);
    const unsigned leader = (unsigned)hosts_leader();
    for (unsigned i = 0; i < HOSTS_COUNT; i++) {
        if (i == leader) continue;
        lose_log(i, 0);
        await_mended(i);
        if (_i == 0) continue;
        hosts_run_ms(100);
        process_crash(hosts_process[i], MEMDISK_DROP, true);
        ck_assert_int_eq(process_start(hosts_process[i]), STATUS_OK);
        await_mended(i);
    }
    ck_assert_int_eq(hosts_leader(), (int)leader);
    const uint64_t before = cover_count("range.born_after_loss"), without = cover_count("range.born_recovering");
    split(HOSTS_GROUP, CHILD, "m");
    split(CHILD, GRANDCHILD, "t");
    (void)await_leader(GRANDCHILD);
    hosts_run_ms(100);
    ck_assert_uint_eq(cover_count("range.born_after_loss"), before + 4);
    ck_assert_uint_eq(cover_count("range.born_recovering"), without);
    hosts_end();
}
END_TEST

/* 0: a host loses its log, and the split in it, which it applies again while a leader mends it.
 * 1: the same, and it applies the split again when it has been mended.
 * 2: it had been mended before the split, and now loses its log for the second time, all but that it had been mended once. */
START_TEST(what_was_split_off_before_a_loss_comes_without_a_vote)
{
    uint64_t kept = 0;
    hosts_begin(61);
    (void)await_leader(HOSTS_GROUP);
    const unsigned victim = ((unsigned)hosts_leader() + 1) % HOSTS_COUNT;
    if (_i == 2) {
        lose_log(victim, 0);
        await_mended(victim);
        hosts_run_ms(100);
        kept = last_batch(victim);
    }
    split(HOSTS_GROUP, CHILD, "m");
    (void)await_leader(CHILD);
    hosts_run_ms(100);
    ck_assert_ptr_nonnull(host_replica(hosts_host(victim), CHILD));
    hosts_put();
    hosts_run_ms(100);
    lose_log(victim, kept);
    ck_assert_ptr_null(host_replica(hosts_host(victim), CHILD));
    const uint64_t before = cover_count("range.born_recovering"), after = cover_count("range.born_after_loss");
    if (_i == 1) {
        hosts_replica(victim)->apply_wait = true;
        await_mended(victim);
        ck_assert_ptr_null(host_replica(hosts_host(victim), CHILD));
        hosts_replica(victim)->apply_wait = false;
        host_mark_ready(hosts_host(victim), hosts_replica(victim));
        process_pass_soon(hosts_process[victim]);
    }
    for (unsigned i = 0; i < 500 && host_replica(hosts_host(victim), CHILD) == NULL; i++) hosts_run_ms(1);
    ck_assert_uint_eq(cover_count("range.born_recovering"), before + 1);
    ck_assert_uint_eq(cover_count("range.born_after_loss"), after);
    hosts_run_ms(500);
    ck_assert_ptr_null(host_replica(hosts_host(victim), CHILD)->recovering); /* the others have mended it */
    hosts_end();
}
END_TEST

/* The store does not hold the split yet when a parent's replica leaves, and the host dies at any moment, or is stopping, when the store does
 * nothing any more: without the parent's log nobody could make the child again. */
START_TEST(who_leaves_waits_until_the_store_holds_its_children)
{
    hosts_begin(62);
    (void)await_leader(HOSTS_GROUP);
    const unsigned victim = ((unsigned)hosts_leader() + 1) % HOSTS_COUNT;
    split(HOSTS_GROUP, CHILD, "m");
    split(CHILD, GRANDCHILD, "t");
    (void)await_leader(GRANDCHILD);
    hosts_run_ms(100);
    const struct replica *r = hosts_replica(victim);
    uint64_t conf_ver = replica_desc(r)->epoch.conf_ver + 1;
    if (_i == 0) host_stop(hosts_host(victim), 10000);
    host_replica_gone(hosts_host(victim), HOSTS_GROUP, replica_id(r), conf_ver);
    for (unsigned i = 0; i < 100 && hosts_replica(victim) != NULL; i++) hosts_run_ms(1);
    ck_assert(_i == 0 || hosts_replica(victim) == NULL);
    hosts_run_ms((uint64_t)_i);
    process_crash(hosts_process[victim], MEMDISK_DROP, true);
    ck_assert_int_eq(process_start(hosts_process[victim]), STATUS_OK);
    for (uint64_t range = CHILD; range <= GRANDCHILD; range++) {
        ck_assert_ptr_nonnull(host_replica(hosts_host(victim), range));
        ck_assert_ptr_null(host_replica(hosts_host(victim), range)->recovering);
    }
    hosts_end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("range_birth");
    TCase *c = tcase_create("birth");
    tcase_add_loop_test(c, what_is_split_off_behind_a_loss_has_its_votes, 0, 2);
    tcase_add_loop_test(c, what_was_split_off_before_a_loss_comes_without_a_vote, 0, 3);
    tcase_add_loop_test(c, who_leaves_waits_until_the_store_holds_its_children, 0, 12);
    suite_add_tcase(s, c);
    return run_suite(s);
}
