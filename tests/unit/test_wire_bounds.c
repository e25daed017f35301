/* Bounds of messages, nested growth, raft envelopes, snapshot rows: what the table of test_wire_messages.c does not reach. */
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/prng.h"
#include "lib/txn_example.h"
#include "wire/messages.h"

#include <check.h>
#include <stdio.h>

#define SEED 555u
#define RPC_MD "docs/formats/rpc.md"

static struct arena arena;
static struct buf b;
static uint8_t *zeroes; /* LIMIT_FRAME_BYTES of them */

static void setup(void)
{
    arena_init(&arena, 4096);
    buf_init(&b, 2 * LIMIT_FRAME_BYTES);
    zeroes = mem_zalloc(LIMIT_FRAME_BYTES);
}

static void teardown(void)
{
    arena_free(&arena);
    buf_free(&b);
    mem_free(zeroes);
}

static struct slice zero(size_t size)
{
    return slice_make(zeroes, size);
}

/* Packs a message, tells whether it is accepted. */
#define ACCEPTED(type, ...)                                                                                            \
    (buf_clear(&b), pack_##type(&b, &(struct type)__VA_ARGS__),                                                        \
     unpack_##type(buf_slice(&b), &arena, &(struct type){0}) == STATUS_OK)

START_TEST(bounds_of_keys_and_values)
{
    ck_assert(ACCEPTED(get_request, {.key = zero(LIMIT_KEY_BYTES)}));
    ck_assert(!ACCEPTED(get_request, {.key = zero(LIMIT_KEY_BYTES + 1)}));
    ck_assert(!ACCEPTED(get_request, {.key = zero(0)}));
    ck_assert(ACCEPTED(get_reply, {.value = zero(LIMIT_VALUE_BYTES)}));
    ck_assert(!ACCEPTED(get_reply, {.value = zero(LIMIT_VALUE_BYTES + 1)}));
    ck_assert(ACCEPTED(txn_request, {.txn = zero(LIMIT_TXN_BYTES)}));
    ck_assert(!ACCEPTED(txn_request, {.txn = zero(LIMIT_TXN_BYTES + 1)}));
    ck_assert(!ACCEPTED(txn_request, {.txn = zero(0)}));
    ck_assert(ACCEPTED(scan_request, {.start = zero(LIMIT_KEY_BYTES + 1)}));
    ck_assert(!ACCEPTED(scan_request, {.start = zero(LIMIT_KEY_BYTES + 2)}));
    ck_assert(!ACCEPTED(scan_request, {.end = zero(LIMIT_KEY_BYTES + 2)}));
}
END_TEST

START_TEST(bounds_of_names_and_texts)
{
    ck_assert(ACCEPTED(meta_keyspace_request, {.name = zero(LIMIT_KEYSPACE_NAME)}));
    ck_assert(!ACCEPTED(meta_keyspace_request, {.name = zero(LIMIT_KEYSPACE_NAME + 1)}));
    ck_assert(!ACCEPTED(meta_keyspace_request, {.name = zero(0)}));
    ck_assert(ACCEPTED(meta_register_request, {.uuid = zero(16), .address = zero(LIMIT_ADDRESS_BYTES)}));
    ck_assert(!ACCEPTED(meta_register_request, {.uuid = zero(16), .address = zero(LIMIT_ADDRESS_BYTES + 1)}));
    ck_assert(!ACCEPTED(meta_register_request, {.uuid = zero(16), .address = zero(0)}));
    ck_assert(!ACCEPTED(meta_register_request, {.uuid = zero(15), .address = zero(1)}));
    ck_assert(!ACCEPTED(meta_heartbeat_request, {.address = zero(LIMIT_ADDRESS_BYTES + 1)}));
    ck_assert(!ACCEPTED(hello, {.role = (enum role)0}));
    ck_assert(!ACCEPTED(hello, {.role = (enum role)5}));
    ck_assert(ACCEPTED(snapshot_chunk, {.rows_size = LIMIT_FRAME_BYTES}));
    ck_assert(!ACCEPTED(snapshot_chunk, {.rows_size = LIMIT_FRAME_BYTES + 1}));
    /* a long message of an error is cut, not refused */
    ck_assert(ACCEPTED(reply_head, {.message = zero(2000)}));
    struct reply_head head;
    ck_assert_int_eq(unpack_reply_head(buf_slice(&b), &arena, &head), STATUS_OK);
    ck_assert_uint_eq(head.message.size, 512);
    /* a status of a newer version is a refusal */
    ck_assert(ACCEPTED(reply_head, {.status = (enum status)100, .unknown_outcome = true}));
    ck_assert_int_eq(unpack_reply_head(buf_slice(&b), &arena, &head), STATUS_OK);
    ck_assert_int_eq(head.status, STATUS_UNSUPPORTED);
    ck_assert(head.unknown_outcome);
}
END_TEST

START_TEST(bounds_of_ranges)
{
    ck_assert(ACCEPTED(range_desc, {.start = slice_str("a"), .end = slice_str("b")}));
    ck_assert(ACCEPTED(range_desc, {.start = slice_str("a")}));
    ck_assert(!ACCEPTED(range_desc, {.start = slice_str("b"), .end = slice_str("b")}));
    ck_assert(!ACCEPTED(range_desc, {.start = slice_str("b"), .end = slice_str("a")}));
    ck_assert(!ACCEPTED(range_desc, {.start = zero(LIMIT_KEY_BYTES + 1)}));
    struct range_desc d = {.start = SLICE_EMPTY, .end = SLICE_EMPTY, .replica_count = LIMIT_REPLICAS}, out;
    for (size_t i = 0; i < LIMIT_REPLICAS; i++) d.replicas[i] = (struct range_replica){.node_id = 10 + i, .role = 1};
    buf_clear(&b);
    pack_range_desc(&b, &d);
    ck_assert_int_eq(unpack_range_desc(buf_slice(&b), &arena, &out), STATUS_OK);
    ck_assert_ptr_eq(range_desc_replica(&out, 12), &out.replicas[2]);
    ck_assert_ptr_null(range_desc_replica(&out, 99));
    d.replicas[3].role = 5;
    buf_clear(&b);
    pack_range_desc(&b, &d);
    ck_assert_int_eq(unpack_range_desc(buf_slice(&b), &arena, &out), STATUS_INVALID);
}
END_TEST

START_TEST(ranges_contain_keys)
{
    struct range_desc d = {.keyspace = 3, .start = slice_str("b"), .end = slice_str("d")};
    ck_assert(!range_desc_contains(&d, 3, slice_str("azz")));
    ck_assert(range_desc_contains(&d, 3, slice_str("b")));
    ck_assert(range_desc_contains(&d, 3, slice_str("czz")));
    ck_assert(!range_desc_contains(&d, 3, slice_str("d")));
    ck_assert(!range_desc_contains(&d, 4, slice_str("c")));
    d.start = d.end = SLICE_EMPTY;
    ck_assert(range_desc_contains(&d, 3, slice_str("\xff\xff")));
    ck_assert(range_desc_contains(&d, 3, SLICE_EMPTY));
}
END_TEST

START_TEST(bounds_of_lists)
{
    struct scan_row *rows = mem_zalloc((LIMIT_SCAN_ROWS + 1) * sizeof(*rows));
    for (size_t i = 0; i <= LIMIT_SCAN_ROWS; i++) rows[i] = (struct scan_row){.key = zero(1), .value = SLICE_EMPTY};
    ck_assert(ACCEPTED(scan_reply, {.rows = rows, .row_count = LIMIT_SCAN_ROWS}));
    struct slice *splits = mem_zalloc((LIMIT_SPLIT_KEYS + 1) * sizeof(*splits));
    for (size_t i = 0; i <= LIMIT_SPLIT_KEYS; i++) splits[i] = zero(1);
    struct meta_keyspace_request r = {.name = slice_str("n"), .splits = splits, .split_count = LIMIT_SPLIT_KEYS}, out;
    buf_clear(&b);
    pack_meta_keyspace_request(&b, &r);
    ck_assert_int_eq(unpack_meta_keyspace_request(buf_slice(&b), &arena, &out), STATUS_OK);
    r.split_count++;
    buf_clear(&b);
    pack_meta_keyspace_request(&b, &r);
    ck_assert_int_eq(unpack_meta_keyspace_request(buf_slice(&b), &arena, &out), STATUS_INVALID);
    splits[0].size = 0;
    r.split_count = 1;
    buf_clear(&b);
    pack_meta_keyspace_request(&b, &r);
    ck_assert_int_eq(unpack_meta_keyspace_request(buf_slice(&b), &arena, &out), STATUS_INVALID);
    mem_free(rows);
    mem_free(splits);
}
END_TEST

/* A list that claims 2^32 - 1 elements, with a megabyte behind it or without: refused before anything is allocated. */
START_TEST(claimed_counts_allocate_nothing)
{
    static const uint8_t claims[] = {0xdd, 0xff, 0xff, 0xff, 0xff};
    for (int long_tail = 0; long_tail < 2; long_tail++) {
        struct scan_reply scan;
        struct meta_heartbeat_reply beat;
        struct raft_envelope e;
        buf_clear(&b);
        pack_array(&b, 2);
        pack_bool(&b, false);
        buf_append(&b, claims, sizeof(claims));
        if (long_tail) buf_append(&b, zeroes, 1u << 20);
        ck_assert_int_eq(unpack_scan_reply(buf_slice(&b), &arena, &scan), STATUS_INVALID);
        buf_clear(&b);
        pack_array(&b, 3);
        pack_uint(&b, 1);
        buf_append(&b, claims, sizeof(claims));
        if (long_tail) buf_append(&b, zeroes, 1u << 20);
        ck_assert_int_eq(unpack_meta_heartbeat_reply(buf_slice(&b), &arena, &beat), STATUS_INVALID);
        buf_clear(&b);
        pack_array(&b, 13);
        for (int i = 0; i < 11; i++) pack_uint(&b, 1);
        pack_bool(&b, false);
        buf_append(&b, claims, sizeof(claims));
        if (long_tail) buf_append(&b, zeroes, 1u << 20);
        struct unpack u = unpack_make(buf_slice(&b));
        ck_assert_int_eq(unpack_raft_envelope(&u, &arena, &e), STATUS_INVALID);
        ck_assert_uint_eq(arena.reserved, 0);
    }
}
END_TEST

/* 100,000 ranges claimed over 131,072 bytes: as many elements of one byte could be there, but not as many ranges. */
START_TEST(elements_have_a_smallest_size)
{
    struct meta_heartbeat_reply beat;
    pack_array(&b, 3);
    pack_uint(&b, 1);
    pack_array(&b, 100000);
    buf_append(&b, zeroes, 1u << 17);
    ck_assert_int_eq(unpack_meta_heartbeat_reply(buf_slice(&b), &arena, &beat), STATUS_INVALID);
    ck_assert_uint_eq(arena.reserved, 0);
}
END_TEST

/* Arrays inside of messages may grow too: here a replica, the epoch and the list's element. */
START_TEST(nested_arrays_may_grow)
{
    pack_array(&b, 6);
    pack_uint(&b, 5);
    pack_uint(&b, 1);
    pack_bin(&b, SLICE_EMPTY);
    pack_bin(&b, SLICE_EMPTY);
    pack_array(&b, 3);
    pack_uint(&b, 2);
    pack_uint(&b, 3);
    pack_str(&b, "new in the epoch");
    pack_array(&b, 1);
    pack_array(&b, 5);
    pack_uint(&b, 7);
    pack_uint(&b, 8);
    pack_uint(&b, 2);
    pack_nil(&b);
    pack_array(&b, 1);
    pack_bool(&b, true);
    struct range_desc d;
    ck_assert_int_eq(unpack_range_desc(buf_slice(&b), &arena, &d), STATUS_OK);
    ck_assert(d.id == 5 && d.epoch.conf_ver == 2 && d.epoch.version == 3 && d.replica_count == 1);
    ck_assert(d.replicas[0].node_id == 7 && d.replicas[0].replica_id == 8 && d.replicas[0].role == 2);
}
END_TEST

START_TEST(a_map_without_leaders_reads_as_zeroes)
{
    struct range_desc ranges[2] = {{.id = 1, .start = SLICE_EMPTY, .end = slice_str("m")},
                                   {.id = 2, .start = slice_str("m")}};
    struct meta_map_reply m = {.ranges = ranges, .range_count = 2}, out;
    pack_meta_map_reply(&b, &m);
    ck_assert_int_eq(unpack_meta_map_reply(buf_slice(&b), &arena, &out), STATUS_OK);
    ck_assert_uint_eq(out.leaders[1], 0);
    ck_assert_uint_eq(out.reports[1].range_id, 0);
}
END_TEST

/* --- raft --- */

static struct raft_envelope random_envelope(struct prng *p)
{
    struct raft_envelope e = {.group = prng_next(p)};
    struct raft_message *m = &e.message;
    m->type = (enum raft_message_type)prng_between(p, RAFT_MSG_PRE_VOTE, RAFT_MSG_RECOVERED);
    uint64_t *numbers[] = {&m->from,   &m->to,         &m->term,      &m->log_term,
                           &m->commit, &m->hint_index, &m->hint_term, &m->context};
    for (size_t i = 0; i < 8; i++) *numbers[i] = prng_next(p) >> prng_below(p, 64);
    m->index = prng_next(p) >> (1 + prng_below(p, 63));
    m->reject = prng_chance(p, 1, 2);
    if (m->type != RAFT_MSG_APPEND) return e;
    m->entry_count = (size_t)prng_below(p, 20);
    struct raft_entry *entries = arena_zalloc(&arena, m->entry_count * sizeof(*entries));
    for (size_t i = 0; i < m->entry_count; i++) {
        entries[i] = (struct raft_entry){
            .index = m->index + 1 + i, .term = prng_next(p), .data = zero((size_t)prng_below(p, 200))};
        entries[i].type = (enum raft_entry_type)prng_below(p, 3);
    }
    m->entries = entries;
    return e;
}

static void check_same_envelope(const struct raft_envelope *a, const struct raft_envelope *c)
{
    const struct raft_message *m = &a->message, *n = &c->message;
    ck_assert(a->group == c->group && m->type == n->type && m->from == n->from && m->to == n->to && m->term == n->term);
    ck_assert(m->index == n->index && m->log_term == n->log_term && m->commit == n->commit && m->reject == n->reject);
    ck_assert(m->hint_index == n->hint_index && m->hint_term == n->hint_term && m->context == n->context);
    ck_assert_uint_eq(m->entry_count, n->entry_count);
    for (size_t i = 0; i < m->entry_count; i++) {
        const struct raft_entry *x = &m->entries[i], *y = &n->entries[i];
        ck_assert(x->index == y->index && x->term == y->term && x->type == y->type && slice_eq(x->data, y->data));
    }
}

START_TEST(raft_envelopes_round_trip)
{
    struct prng p;
    prng_init(&p, SEED);
    for (int round = 0; round < 300; round++) {
        arena_reset(&arena);
        buf_clear(&b);
        struct raft_envelope sent[10], got;
        size_t count = (size_t)prng_below(&p, 10);
        pack_array(&b, (uint32_t)count); /* as in a frame: many groups at once */
        for (size_t i = 0; i < count; i++) {
            sent[i] = random_envelope(&p);
            pack_raft_envelope(&b, &sent[i]);
        }
        struct unpack u = unpack_make(buf_slice(&b));
        ck_assert_uint_eq(unpack_array(&u), count);
        for (size_t i = 0; i < count; i++) {
            ck_assert_int_eq(unpack_raft_envelope(&u, &arena, &got), STATUS_OK);
            check_same_envelope(&sent[i], &got);
        }
        ck_assert(unpack_done(&u));
    }
}
END_TEST

START_TEST(damaged_raft_envelopes)
{
    struct prng p;
    prng_init(&p, SEED + 1);
    for (int round = 0; round < 300; round++) {
        arena_reset(&arena);
        buf_clear(&b);
        struct raft_envelope e = random_envelope(&p), got;
        pack_raft_envelope(&b, &e);
        for (size_t cut = 0; cut < b.size; cut += 1 + b.size / 100) {
            uint8_t *exact = mem_dup(b.data, cut);
            struct unpack u = unpack_make(slice_make(exact, cut));
            ck_assert_int_eq(unpack_raft_envelope(&u, &arena, &got), STATUS_INVALID);
            mem_free(exact);
        }
        for (int flip = 0; flip < 50; flip++) {
            size_t at = (size_t)prng_below(&p, b.size < 100 ? b.size : 100);
            uint8_t was = b.data[at];
            b.data[at] = (uint8_t)prng_next(&p);
            struct unpack u = unpack_make(buf_slice(&b));
            if (unpack_raft_envelope(&u, &arena, &got) == STATUS_OK) {
                ck_assert(got.message.type >= RAFT_MSG_PRE_VOTE && got.message.type <= RAFT_MSG_RECOVERED);
                for (size_t i = 0; i < got.message.entry_count; i++)
                    ck_assert(got.message.entries[i].index > got.message.index);
            }
            b.data[at] = was;
        }
    }
    /* indexes that would pass 2^64 */
    arena_reset(&arena);
    buf_clear(&b);
    struct raft_entry entry = {.index = 5, .term = 1, .data = SLICE_EMPTY};
    struct raft_envelope e = {.message = {.type = RAFT_MSG_APPEND, .index = 4, .entries = &entry, .entry_count = 1}},
                         got;
    pack_raft_envelope(&b, &e);
    struct unpack u = unpack_make(buf_slice(&b));
    ck_assert_int_eq(unpack_raft_envelope(&u, &arena, &got), STATUS_OK);
    e.message.index = UINT64_MAX;
    entry.index = 0;
    buf_clear(&b);
    pack_raft_envelope(&b, &e);
    u = unpack_make(buf_slice(&b));
    ck_assert_int_eq(unpack_raft_envelope(&u, &arena, &got), STATUS_INVALID);
}
END_TEST

/* --- snapshots --- */

START_TEST(chunks_carry_their_rows_checksum)
{
    struct snapshot_chunk c = {.rows = slice_str("rows"), .rows_crc = crc32c(0, "rows", 4), .stream_crc = 7}, out;
    pack_snapshot_chunk(&b, &c);
    ck_assert_int_eq(unpack_snapshot_chunk(buf_slice(&b), &arena, &out), STATUS_OK);
    c.rows_crc ^= 1;
    buf_clear(&b);
    pack_snapshot_chunk(&b, &c);
    ck_assert_int_eq(unpack_snapshot_chunk(buf_slice(&b), &arena, &out), STATUS_CORRUPT);
}
END_TEST

static struct snapshot_row random_row(struct prng *p)
{
    struct snapshot_row r = {.is_delete = prng_chance(p, 1, 3), .ts = prng_next(p), .value = SLICE_EMPTY};
    r.key = zero((size_t)prng_between(p, 1, prng_chance(p, 1, 20) ? 16384 : 200));
    if (!r.is_delete) r.value = zero((size_t)prng_below(p, prng_chance(p, 1, 50) ? 100000 : 300));
    return r;
}

START_TEST(snapshot_rows_round_trip)
{
    struct prng p;
    prng_init(&p, SEED + 2);
    struct snapshot_row sent[400], got;
    for (size_t i = 0; i < 400; i++) {
        sent[i] = random_row(&p);
        snapshot_row_append(&b, &sent[i]);
    }
    struct slice rest = buf_slice(&b);
    for (size_t i = 0; i < 400; i++) {
        ck_assert_int_eq(snapshot_row_next(&rest, &got), STATUS_OK);
        ck_assert(got.is_delete == sent[i].is_delete && got.ts == sent[i].ts);
        ck_assert(slice_eq(got.key, sent[i].key) && slice_eq(got.value, sent[i].value));
    }
    ck_assert_int_eq(snapshot_row_next(&rest, &got), STATUS_END);
    ck_assert_uint_eq(rest.size, 0);
}
END_TEST

START_TEST(damaged_snapshot_rows)
{
    struct prng p;
    prng_init(&p, SEED + 3);
    for (int round = 0; round < 2000; round++) {
        buf_clear(&b);
        struct snapshot_row row = random_row(&p), got;
        snapshot_row_append(&b, &row);
        for (size_t cut = 1; cut < b.size; cut += 1 + b.size / 50) {
            uint8_t *exact = mem_dup(b.data, cut);
            struct slice rest = slice_make(exact, cut);
            ck_assert_int_eq(snapshot_row_next(&rest, &got), STATUS_CORRUPT);
            ck_assert_uint_eq(rest.size, cut);
            mem_free(exact);
        }
        b.data[prng_below(&p, b.size < 12 ? b.size : 12)] = (uint8_t)prng_next(&p);
        struct slice rest = buf_slice(&b);
        enum status s;
        while ((s = snapshot_row_next(&rest, &got)) == STATUS_OK) ck_assert_uint_gt(got.key.size, 0);
        ck_assert(s == STATUS_END || s == STATUS_CORRUPT);
    }
}
END_TEST

START_TEST(documents_rows)
{
    ck_assert(example_load(RPC_MD, "rows", &b));
    struct slice rest = buf_slice(&b);
    struct snapshot_row r;
    ck_assert_int_eq(snapshot_row_next(&rest, &r), STATUS_OK);
    ck_assert(!r.is_delete && r.ts == 0x0102030405 && slice_eq(r.key, slice_str("k")) &&
              slice_eq(r.value, slice_str("v")));
    ck_assert_int_eq(snapshot_row_next(&rest, &r), STATUS_OK);
    ck_assert(r.is_delete && r.ts == 0x0102030405 && slice_eq(r.key, slice_str("k")) && r.value.size == 0);
    ck_assert_int_eq(snapshot_row_next(&rest, &r), STATUS_END);
}
END_TEST

int main(void)
{
    printf("seed %u\n", SEED);
    Suite *s = suite_create("wire_bounds");
    TCase *tc = tcase_create("bounds");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add_tcase(s, tc);
    tcase_add_test(tc, bounds_of_keys_and_values);
    tcase_add_test(tc, bounds_of_names_and_texts);
    tcase_add_test(tc, bounds_of_ranges);
    tcase_add_test(tc, ranges_contain_keys);
    tcase_add_test(tc, bounds_of_lists);
    tcase_add_test(tc, claimed_counts_allocate_nothing);
    tcase_add_test(tc, elements_have_a_smallest_size);
    tcase_add_test(tc, nested_arrays_may_grow);
    tcase_add_test(tc, a_map_without_leaders_reads_as_zeroes);
    tcase_add_test(tc, raft_envelopes_round_trip);
    tcase_add_test(tc, damaged_raft_envelopes);
    tcase_add_test(tc, chunks_carry_their_rows_checksum);
    tcase_add_test(tc, snapshot_rows_round_trip);
    tcase_add_test(tc, damaged_snapshot_rows);
    tcase_add_test(tc, documents_rows);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
