/* Interactive transactions: src/client/interact.c. */
#include "base/mem.h"
#include "client/interact.h"
#include "lib/client_rig.h"
#include "lib/suite.h"

#include <stdio.h>

static struct fake_cluster f;
static struct outcome o;

struct told {
    unsigned count;
    enum status status;
    bool found, more, unknown;
    uint64_t ts;
    char value[64], keys[512];
};
static struct told told;

static void on_end(void *ctx, const struct client_error *e, uint64_t ts)
{
    (void)ctx;
    told.count++;
    told.status = e->status;
    told.unknown = e->unknown_outcome;
    told.ts = ts;
}

static void on_get(void *ctx, const struct client_error *e, const struct interact_row *row)
{
    (void)ctx;
    told.count++;
    told.status = e->status;
    told.found = row->found;
    (void)snprintf(told.value, sizeof(told.value), "%.*s", (int)row->value.size, (const char *)row->value.data);
}

static void on_scan(void *ctx, const struct client_error *e, const struct interact_row *rows, size_t count, bool more)
{
    (void)ctx;
    told.count++;
    told.status = e->status;
    told.more = more;
    told.keys[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(told.keys);
        (void)snprintf(told.keys + n, sizeof(told.keys) - n, n > 0 ? " %.*s" : "%.*s", (int)rows[i].key.size,
                       (const char *)rows[i].key.data);
    }
}

static bool is_told(void *ctx)
{
    return *(const unsigned *)ctx > 0;
}

static void wait_told(void)
{
    (void)fakenet_run(f.net, is_told, &told.count, 6 * SECOND);
    ck_assert_uint_eq(told.count, 1);
    told.count = 0;
}

/* The rig's metadata server hands out no timestamps: the test does. */
static bool hand_out(struct fake_node *n, struct rpc_request *r, void *ctx)
{
    (void)ctx;
    if (r->method != METHOD_META_TIMESTAMPS) return false;
    struct buf payload;
    buf_init(&payload, 64);
    pack_meta_timestamps_reply(&payload, &(struct meta_timestamps_reply){.first = ++n->cluster->ts});
    fake_answer(r, &payload);
    buf_free(&payload);
    return true;
}

static struct interact *begin(void)
{
    struct interact *t = interact_new(f.env, f.client, slice_str("bank"));
    told = (struct told){.count = 0};
    interact_begin(t, 1000, on_end, NULL);
    wait_told();
    ck_assert_int_eq(told.status, STATUS_OK);
    ck_assert_uint_eq(interact_timestamp(t), told.ts);
    return t;
}

static bool get(struct interact *t, const char *key)
{
    interact_get(t, slice_str(key), 1000, on_get, NULL);
    wait_told();
    ck_assert_int_eq(told.status, STATUS_OK);
    return told.found;
}

static void put(struct interact *t, const char *key, const char *value)
{
    struct txn_op op = {.kind = TXN_PUT, .key = slice_str(key), .value = slice_str(value)};
    ck_assert_int_eq(interact_write(t, &op, NULL), STATUS_OK);
}

static void del(struct interact *t, const char *key)
{
    struct txn_op op = {.kind = TXN_DELETE, .key = slice_str(key), .value = SLICE_EMPTY};
    ck_assert_int_eq(interact_write(t, &op, NULL), STATUS_OK);
}

static enum status commit(struct interact *t)
{
    interact_commit(t, 1000, on_end, NULL);
    wait_told();
    interact_free(t);
    return told.status;
}

static const char *scan(struct interact *t, const char *start, const char *end, uint32_t limit, bool reverse)
{
    struct client_scan s = {.start = slice_str(start), .end = slice_str(end), .limit_rows = limit, .reverse = reverse};
    interact_scan(t, &s, 1000, on_scan, NULL);
    wait_told();
    ck_assert_int_eq(told.status, STATUS_OK);
    return told.keys;
}

static void setup(void)
{
    fake_start(&f, 1, 0);
    f.hook = hand_out;
    f.ts = 100;
}

static void teardown(void)
{
    fake_stop(&f);
}

START_TEST(writes_are_kept_until_the_commit)
{
    struct interact *t = begin();
    ck_assert(!get(t, "a"));
    put(t, "a", "one");
    put(t, "a", "two"); /* over ranges */
    put(t, "q", "there");
    ck_assert(get(t, "a"));
    ck_assert_str_eq(told.value, "two");
    fake_get(&f, &o, "a");
    ck_assert(!o.found);
    ck_assert_int_eq(commit(t), STATUS_OK);
    fake_get(&f, &o, "a");
    ck_assert_str_eq(o.value, "two");
    fake_get(&f, &o, "q");
    ck_assert_str_eq(o.value, "there");
    t = begin();
    del(t, "a");
    ck_assert(!get(t, "a"));
    interact_free(t); /* abort */
    fake_get(&f, &o, "a");
    ck_assert(o.found);
}
END_TEST

START_TEST(what_was_read_must_be_so_at_the_commit)
{
    struct interact *a = begin(), *b = begin();
    (void)get(a, "x");
    (void)get(b, "x");
    put(a, "y", "a");
    put(b, "z", "b");
    put(a, "x", "1");
    ck_assert_int_eq(commit(a), STATUS_OK);
    ck_assert_int_eq(commit(b), STATUS_RETRY); /* it has not seen x */
    fake_get(&f, &o, "z");
    ck_assert(!o.found);
    a = begin();
    b = begin();
    put(a, "x", "2"); /* blind: nobody's reads are in the way */
    put(b, "x", "3");
    ck_assert_int_eq(commit(a), STATUS_OK);
    ck_assert_int_eq(commit(b), STATUS_OK);
    fake_get(&f, &o, "x");
    ck_assert_str_eq(o.value, "3");
    a = begin();
    (void)get(a, "x");
    ck_assert_int_eq(commit(a), STATUS_OK); /* read only: nothing is sent */
}
END_TEST

static bool apply_and_say_nothing(struct fake_node *n, struct rpc_request *r, void *ctx)
{
    struct arena arena;
    struct buf result;
    struct txn_request m;
    if (r->method != METHOD_TXN) return hand_out(n, r, ctx);
    arena_init(&arena, 1024);
    buf_init(&result, LIMIT_FRAME_BYTES);
    ck_assert_int_eq(unpack_txn_request(r->params, &arena, &m), STATUS_OK);
    fake_apply(n->cluster, m.txn, &result);
    rpc_request_drop(r);
    buf_free(&result);
    arena_free(&arena);
    return true;
}

/* Unknown stays unknown until somebody has looked under the id; then it is what it was, and has acted once. */
START_TEST(a_commit_whose_answer_was_lost_is_asked_for_again)
{
    struct interact *t = begin();
    (void)get(t, "a");
    put(t, "a", "one");
    f.hook = apply_and_say_nothing;
    interact_commit(t, 300, on_end, NULL);
    wait_told();
    ck_assert_int_eq(told.status, STATUS_TIMEOUT);
    ck_assert(told.unknown);
    f.hook = hand_out;
    uint64_t leader = f.ranges[0].leader;
    f.ranges[0].leader = 0;
    interact_commit(t, 200, on_end, NULL); /* never gets there: which is not to say that the first did not */
    wait_told();
    ck_assert_int_ne(told.status, STATUS_OK);
    ck_assert(told.unknown);
    f.ranges[0].leader = leader;
    struct interact *other = begin();
    put(other, "a", "two");
    ck_assert_int_eq(commit(other), STATUS_OK);
    ck_assert_int_eq(commit(t), STATUS_OK); /* it was */
    fake_get(&f, &o, "a");
    ck_assert_str_eq(o.value, "two");
}
END_TEST

START_TEST(own_writes_lie_over_a_scan)
{
    static const char *const rows[] = {"b", "d", "h", "k", "q"};
    for (unsigned i = 0; i < 5; i++) fake_add(&f, &o, rows[i], 1, 0);
    struct interact *t = begin();
    put(t, "a", "");
    put(t, "c", "");
    put(t, "z", "");
    del(t, "d");
    del(t, "e"); /* was not there */
    put(t, "k", "new");
    ck_assert_str_eq(scan(t, "", "", 0, false), "a b c h k q z");
    ck_assert_str_eq(scan(t, "", "", 0, true), "z q k h c b a");
    ck_assert_str_eq(scan(t, "b", "h", 0, false), "b c");
    ck_assert_str_eq(scan(t, "", "", 2, false), "a b c"); /* the page of b and d, and what lies up to its end */
    ck_assert(told.more);
    ck_assert_str_eq(scan(t, "d\x01", "", 2, false), "h k");
    ck_assert_str_eq(scan(t, "", "", 2, true), "z q k");
    ck_assert_str_eq(scan(t, "", "k", 2, true), "h");
    ck_assert(told.more);
    ck_assert_int_eq(commit(t), STATUS_OK);
    fake_get(&f, &o, "z");
    ck_assert(o.found);
}
END_TEST

/* What came into a stretch, or went, since it was scanned makes the commit RETRY; what lies beside it does not. */
START_TEST(scans_see_no_phantoms)
{
    struct {
        const char *start, *end;
        uint32_t limit;
        bool reverse;
        const char *key; /* is written, or deleted when it is there */
        enum status want;
    } cases[] = {
        {"b", "f", 0, false, "c", STATUS_RETRY},  {"b", "f", 0, false, "d", STATUS_RETRY},
        {"b", "f", 0, false, "f", STATUS_OK},     {"b", "f", 0, false, "a", STATUS_OK},
        {"", "", 0, false, "0", STATUS_RETRY},    {"", "", 0, false, "zz", STATUS_RETRY},
        {"b", "z", 2, false, "cc", STATUS_RETRY}, {"b", "z", 2, false, "e", STATUS_OK},
        {"b", "z", 2, true, "r", STATUS_RETRY},   {"b", "z", 2, true, "i", STATUS_OK},
        {"d", "q", 0, false, "m", STATUS_RETRY},  {"r", "s", 0, false, "rr", STATUS_RETRY},
    };
    static const char *const rows[] = {"b", "d", "h", "k", "q"};
    for (unsigned n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
        for (unsigned i = 0; i < 5; i++) fake_add(&f, &o, rows[i], 1, 0);
        struct interact *t = begin(), *other = begin();
        (void)scan(t, cases[n].start, cases[n].end, cases[n].limit, cases[n].reverse);
        put(t, n % 2 == 0 ? "c1" : "elsewhere", "1"); /* within what it scanned, or not */
        if (get(other, cases[n].key)) {
            del(other, cases[n].key);
        } else {
            put(other, cases[n].key, "phantom");
        }
        ck_assert_int_eq(commit(other), STATUS_OK);
        enum status s = commit(t);
        ck_assert_msg(s == cases[n].want, "case %u: %s", n, status_name(s));
        other = begin();
        (void)scan(other, "", "", 0, false);
        char keys[512];
        memcpy(keys, told.keys, sizeof(keys));
        for (char *key = keys; key != NULL && *key != '\0';) {
            char *space = strchr(key, ' ');
            if (space != NULL) *space++ = '\0';
            del(other, key);
            key = space;
        }
        ck_assert_int_eq(commit(other), STATUS_OK);
    }
}
END_TEST

START_TEST(pages_that_follow_each_other)
{
    static const char *const rows[] = {"b", "d", "h", "k", "q"};
    for (unsigned i = 0; i < 5; i++) fake_add(&f, &o, rows[i], 1, 0);
    struct interact *t = begin(), *other;
    ck_assert_str_eq(scan(t, "", "", 2, false), "b d");
    put(t, "x", "1");
    ck_assert_str_eq(scan(t, "e", "", 2, false), "h k"); /* between d and e nobody looked */
    other = begin();
    put(other, "da", "1");
    ck_assert_int_eq(commit(other), STATUS_OK);
    ck_assert_int_eq(commit(t), STATUS_OK);
}
END_TEST

static bool get_quietly(struct interact *t, unsigned number)
{
    char key[16];
    (void)snprintf(key, sizeof(key), "a%u", number);
    return get(t, key);
}

/* What is read again and again is kept once; of more than a commit can compare nothing is, and a commit that writes says so. */
START_TEST(what_is_kept_of_reads_is_bounded)
{
    struct interact *t = begin();
    for (unsigned i = 0; i < 2 * LIMIT_TXN_OPS + 100; i++) (void)get_quietly(t, i % 7);
    put(t, "a", "one");
    ck_assert_int_eq(commit(t), STATUS_OK);
    t = begin();
    for (unsigned i = 0; i < 2 * LIMIT_TXN_OPS + 100; i++) (void)get_quietly(t, i);
    ck_assert(!get(t, "b"));
    put(t, "a", "two");
    ck_assert_int_eq(commit(t), STATUS_TOO_LARGE);
    t = begin();
    for (unsigned i = 0; i < 2 * LIMIT_TXN_OPS + 100; i++) (void)get_quietly(t, i);
    ck_assert_int_eq(commit(t), STATUS_OK); /* it wrote nothing */
    fake_get(&f, &o, "a");
    ck_assert_str_eq(o.value, "one");
}
END_TEST

START_TEST(limits_and_failures)
{
    struct interact *t = begin();
    struct txn_op op = {.kind = TXN_PUT, .key = SLICE_EMPTY, .value = SLICE_EMPTY};
    ck_assert_int_eq(interact_write(t, &op, NULL), STATUS_INVALID);
    char *big = mem_zalloc(LIMIT_VALUE_BYTES + 1);
    op.key = slice_str("k");
    op.value = slice_make(big, LIMIT_VALUE_BYTES + 1);
    ck_assert_int_eq(interact_write(t, &op, NULL), STATUS_TOO_LARGE);
    op.value.size = LIMIT_VALUE_BYTES;
    enum status s = STATUS_OK;
    for (unsigned i = 0; i < 9 && s == STATUS_OK; i++) s = interact_write(t, &op, NULL);
    ck_assert_int_eq(s, STATUS_TOO_LARGE); /* what is kept is bounded, overwritten values too */
    mem_free(big);
    f.ranges[0].leader = 0;
    interact_get(t, slice_str("a"), 200, on_get, NULL);
    wait_told();
    ck_assert_int_eq(told.status, STATUS_TIMEOUT);
    ck_assert(!interact_busy(t));
    interact_free(t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client_interact");
    TCase *t = tcase_create("interact");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, writes_are_kept_until_the_commit);
    tcase_add_test(t, what_was_read_must_be_so_at_the_commit);
    tcase_add_test(t, a_commit_whose_answer_was_lost_is_asked_for_again);
    tcase_add_test(t, own_writes_lie_over_a_scan);
    tcase_add_test(t, scans_see_no_phantoms);
    tcase_add_test(t, pages_that_follow_each_other);
    tcase_add_test(t, what_is_kept_of_reads_is_bounded);
    tcase_add_test(t, limits_and_failures);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
