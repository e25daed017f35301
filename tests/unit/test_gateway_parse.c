/* Requests to actions: routing, conditions, ids, scans, transaction and keyspace bodies, good and bad. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/prng.h"
#include "gateway/parse.h"

static struct arena arena;
static struct errbuf err;

static void setup(void)
{
    arena_init(&arena, 1024);
    err.text[0] = '\0';
}
static void teardown(void)
{
    arena_free(&arena);
}

static struct input get_input(const char *query)
{
    return (struct input){.method = HTTP_GET, .path = SLICE_EMPTY, .query = slice_str(query), .body = SLICE_EMPTY};
}

static struct route route_of(const char *path)
{
    struct route r;
    route_find(slice_str(path), &r);
    return r;
}

START_TEST(routes)
{
    static const struct {
        const char *path;
        enum endpoint endpoint;
    } cases[] = {
        {"/v1/kv/default/a", ENDPOINT_KV},
        {"/v1/kv/default/a/b", ENDPOINT_KV},
        {"/v1/kv/default/", ENDPOINT_KV},
        {"/v1/kv/default", ENDPOINT_SCAN},
        {"/v1/kv/", ENDPOINT_SCAN},
        {"/v1/txn", ENDPOINT_TXN},
        {"/v1/txn/", ENDPOINT_UNKNOWN},
        {"/v1/txn/begin", ENDPOINT_TXN_BEGIN},
        {"/v1/txn/00ff", ENDPOINT_TXN_ANSWER},
        {"/v1/txn/00ff/commit", ENDPOINT_TXN_COMMIT},
        {"/v1/txn/00ff/abort", ENDPOINT_TXN_ABORT},
        {"/v1/txn/00ff/nonsense", ENDPOINT_TXN_ANSWER},
        {"/v1/keyspaces", ENDPOINT_KEYSPACES},
        {"/v1/keyspaces/bank", ENDPOINT_KEYSPACE},
        {"/v1/kvx", ENDPOINT_UNKNOWN},
        {"", ENDPOINT_UNKNOWN},
        {"/", ENDPOINT_ROOT},
        {"/v1/snapshots", ENDPOINT_SNAPSHOTS},
        {"/v1/snapshots/closing", ENDPOINT_SNAPSHOT},
        {"/v1/operators", ENDPOINT_OPERATORS},
        {"/v1/operators/7", ENDPOINT_OPERATOR},
        {"/v1/ledger/accounts", ENDPOINT_LEDGER_ACCOUNTS},
        {"/v1/ledger/currencies", ENDPOINT_LEDGER_CURRENCIES},
        {"/v1/ledger/currencies/978", ENDPOINT_LEDGER_CURRENCY},
        {"/healthz", ENDPOINT_HEALTHZ},
        {"/metrics", ENDPOINT_METRICS},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_msg(route_of(cases[i].path).endpoint == cases[i].endpoint, "%s", cases[i].path);
    }
    struct route r = route_of("/v1/kv/ks/a/b%2Fc");
    ck_assert(slice_eq(r.keyspace, slice_str("ks")));
    ck_assert(slice_eq(r.key, slice_str("a/b%2Fc")));
    ck_assert(endpoint_allows(ENDPOINT_KV, HTTP_DELETE));
    ck_assert(!endpoint_allows(ENDPOINT_KV, HTTP_POST));
    ck_assert(!endpoint_allows(ENDPOINT_UNKNOWN, HTTP_GET));
    ck_assert(!endpoint_allows(ENDPOINT_TXN, HTTP_OTHER));
}
END_TEST

static enum status kv(struct input in, const char *path, struct kv_action *a)
{
    struct route r = route_of(path);
    return parse_kv(&in, &r, &arena, a, &err);
}

START_TEST(kv_key_of_any_bytes)
{
    struct kv_action a;
    ck_assert_int_eq(kv(get_input(""), "/v1/kv/ks/a%2Fb/c%00%FF", &a), STATUS_OK);
    ck_assert(slice_eq(a.key, slice_make("a/b/c\0\xff", 7)));
    ck_assert_int_eq(kv(get_input(""), "/v1/kv/ks/", &a), STATUS_INVALID);
    ck_assert_int_eq(kv(get_input(""), "/v1/kv/KS/a", &a), STATUS_INVALID);
    ck_assert_int_eq(kv(get_input(""), "/v1/kv/k%2Fs/a", &a), STATUS_INVALID);
    ck_assert_int_eq(kv(get_input("timeout_ms=0"), "/v1/kv/ks/a", &a), STATUS_INVALID);
    ck_assert_int_eq(kv(get_input("timeout_ms=50"), "/v1/kv/ks/a", &a), STATUS_OK);
    ck_assert_uint_eq(a.timeout_ms, 50);
    char path[LIMIT_KEY_BYTES + 32] = "/v1/kv/ks/";
    memset(path + 10, 'k', LIMIT_KEY_BYTES + 1);
    ck_assert_int_eq(kv(get_input(""), path, &a), STATUS_TOO_LARGE);
    ck_assert_ptr_nonnull(strstr(err.text, "4096"));
}
END_TEST

START_TEST(kv_conditions_become_comparisons)
{
    struct kv_action a;
    struct txn t;
    struct input in = {.method = HTTP_PUT, .query = SLICE_EMPTY, .body = slice_str("v"), .if_match = "\"17\""};
    ck_assert_int_eq(kv(in, "/v1/kv/ks/a", &a), STATUS_OK);
    kv_action_txn(&a, &arena, &t);
    ck_assert_uint_eq(t.op_count, 1);
    ck_assert_int_eq(t.ops[0].kind, TXN_PUT);
    ck_assert(slice_eq(t.ops[0].value, slice_str("v")));
    ck_assert_uint_eq(t.compare_count, 1);
    ck_assert_int_eq(t.compares[0].target, TXN_TARGET_VERSION);
    ck_assert_int_eq(t.compares[0].relation, TXN_EQUAL);
    ck_assert_uint_eq(t.compares[0].version, 17);

    in.if_match = NULL;
    in.if_none_match = "*";
    ck_assert_int_eq(kv(in, "/v1/kv/ks/a", &a), STATUS_OK);
    kv_action_txn(&a, &arena, &t);
    ck_assert_int_eq(t.compares[0].target, TXN_TARGET_EXISTS);
    ck_assert_uint_eq(t.compares[0].version, 0);

    in.if_match = "*";
    ck_assert_int_eq(kv(in, "/v1/kv/ks/a", &a), STATUS_INVALID); /* both */
    in.if_none_match = NULL;
    in.method = HTTP_DELETE;
    ck_assert_int_eq(kv(in, "/v1/kv/ks/a", &a), STATUS_OK);
    kv_action_txn(&a, &arena, &t);
    ck_assert_int_eq(t.ops[0].kind, TXN_DELETE);
    ck_assert_int_eq(t.compares[0].target, TXN_TARGET_EXISTS);
    ck_assert_uint_eq(t.compares[0].version, 1);
}
END_TEST

START_TEST(etags)
{
    static const char *const bad[] = {"", "x", "\"", "\"1", "\"1\", \"2\"", "-1", "18446744073709551616"};
    struct precondition p;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_msg(parse_etag("If-Match", bad[i], &p, &err) == STATUS_INVALID, "%s", bad[i]);
        ck_assert_ptr_nonnull(strstr(err.text, "If-Match"));
    }
    ck_assert_int_eq(parse_etag("If-Match", "W/\"5\"", &p, &err), STATUS_OK);
    ck_assert_uint_eq(p.version, 5);
    ck_assert_int_eq(parse_etag("If-Match", "5 ", &p, &err), STATUS_OK);
    ck_assert_int_eq(parse_etag("If-Match", NULL, &p, &err), STATUS_OK);
    ck_assert(!p.present);
}
END_TEST

START_TEST(idempotency_ids)
{
    struct txn_id id, again;
    ck_assert_int_eq(parse_idempotency_key(slice_str("00112233445566778899aAbBcCdDeEfF"), &id, &err), STATUS_OK);
    static const uint8_t want[16] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                     0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    ck_assert_int_eq(memcmp(id.bytes, want, 16), 0);
    ck_assert_int_eq(parse_idempotency_key(slice_str("abc"), &id, &err), STATUS_OK); /* SHA-256("abc"), FIPS 180-2 */
    static const uint8_t abc[16] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea,
                                    0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23};
    ck_assert_int_eq(memcmp(id.bytes, abc, 16), 0);
    ck_assert_int_eq(parse_idempotency_key(slice_str("abd"), &again, &err), STATUS_OK);
    ck_assert_int_ne(memcmp(id.bytes, again.bytes, 16), 0);
    ck_assert_int_eq(parse_idempotency_key(slice_str(""), &id, &err), STATUS_INVALID);
    ck_assert_int_eq(parse_idempotency_key(slice_str("00000000000000000000000000000000"), &id, &err), STATUS_INVALID);
    char longest[66];
    memset(longest, 'x', 65);
    longest[65] = '\0';
    ck_assert_int_eq(parse_idempotency_key(slice_str(longest), &id, &err), STATUS_INVALID);
    longest[64] = '\0';
    ck_assert_int_eq(parse_idempotency_key(slice_str(longest), &id, &err), STATUS_OK);
    struct kv_action a;
    struct input in = get_input("");
    in.idempotency_key = "x";
    ck_assert_int_eq(kv(in, "/v1/kv/ks/a", &a), STATUS_INVALID); /* a GET needs none */
}
END_TEST

static enum status scan(const char *query, struct scan_action *a)
{
    struct input in = get_input(query);
    struct route r = route_of("/v1/kv/ks");
    return parse_scan(&in, &r, &arena, a, &err);
}

START_TEST(scan_bounds)
{
    struct scan_action a;
    ck_assert_int_eq(scan("", &a), STATUS_OK);
    ck_assert_uint_eq(a.limit, SCAN_LIMIT_DEFAULT);
    ck_assert(a.start.size == 0 && a.end.size == 0 && !a.empty);
    ck_assert_int_eq(scan("prefix=ab", &a), STATUS_OK);
    ck_assert(slice_eq(a.start, slice_str("ab")) && slice_eq(a.end, slice_str("ac")));
    ck_assert_int_eq(scan("prefix=a%FF", &a), STATUS_OK);
    ck_assert(slice_eq(a.end, slice_str("b")));
    ck_assert_int_eq(scan("prefix=%FF%FF", &a), STATUS_OK);
    ck_assert_uint_eq(a.end.size, 0);
    ck_assert_int_eq(scan("prefix=ab&start=abc&end=b", &a), STATUS_OK);
    ck_assert(slice_eq(a.start, slice_str("abc")) && slice_eq(a.end, slice_str("ac")));
    ck_assert_int_eq(scan("start=b&end=a", &a), STATUS_OK);
    ck_assert(a.empty);
    ck_assert_int_eq(scan("start=b&end=b", &a), STATUS_OK);
    ck_assert(a.empty);
    ck_assert_int_eq(scan("next=YWIA", &a), STATUS_OK); /* "ab\0" */
    ck_assert(slice_eq(a.start, slice_make("ab\0", 3)));
    ck_assert_int_eq(scan("next=YWI&reverse", &a), STATUS_OK);
    ck_assert(slice_eq(a.end, slice_str("ab")) && a.reverse);
}
END_TEST

START_TEST(scan_refuses)
{
    static const char *const bad[] = {"limit=0",      "limit=10001", "limit=x",  "limt=3",      "reverse=maybe",
                                      "encoding=hex", "next=%25%25", "start=%4", "end=a&end=b", "timeout_ms=-1"};
    struct scan_action a;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_msg(scan(bad[i], &a) == STATUS_INVALID, "%s", bad[i]);
        ck_assert_uint_gt(strlen(err.text), 0);
    }
}
END_TEST

static enum status txn(const char *body, struct txn_action *a)
{
    struct input in = {.method = HTTP_POST, .query = SLICE_EMPTY, .body = slice_str(body)};
    err.text[0] = '\0';
    return parse_txn(&in, &arena, a, &err);
}

/* docs/reads.md: which words go together. */
START_TEST(read_modes)
{
    static const struct {
        const char *query;
        bool good;
        struct read_how how;
    } cases[] = {
        {"", true, {.mode = READ_STRONG}},
        {"read=strong&replica=leader", true, {.mode = READ_STRONG}},
        {"read=strong&replica=any", true, {.mode = READ_STRONG, .any_replica = true}},
        {"replica=any", true, {.mode = READ_STRONG, .any_replica = true}},
        {"read=snapshot", true, {.mode = READ_SNAPSHOT}},
        {"read=snapshot&at=18446744073709551614&replica=any",
         true,
         {.mode = READ_SNAPSHOT, .ts = UINT64_MAX - 1, .any_replica = true}},
        {"read=bounded&max_staleness_ms=1", true, {.mode = READ_BOUNDED, .max_staleness_ms = 1}},
        {"read=eventual", true, {.mode = READ_EVENTUAL}},
        {"read=", false, {0}},
        {"read=Strong", false, {0}},
        {"at=5", false, {0}},
        {"read=strong&at=5", false, {0}},
        {"read=snapshot&at=0", false, {0}},
        {"read=snapshot&at=", false, {0}},
        {"read=snapshot&at=18446744073709551615", false, {0}},
        {"read=snapshot&at=-1", false, {0}},
        {"read=snapshot&max_staleness_ms=5", false, {0}},
        {"read=bounded", false, {0}},
        {"read=bounded&max_staleness_ms=0", false, {0}},
        {"read=bounded&max_staleness_ms=4294967295", false, {0}},
        {"read=bounded&max_staleness_ms=5&replica=any", false, {0}},
        {"read=eventual&replica=leader", false, {0}},
        {"max_staleness_ms=5", false, {0}},
        {"replica=nearest", false, {0}},
        {"read=strong&read=strong", false, {0}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct input in = get_input(cases[i].query);
        struct route kv = route_of("/v1/kv/ks/k"), scan = route_of("/v1/kv/ks");
        struct kv_action a;
        struct scan_action s;
        bool good_kv = parse_kv(&in, &kv, &arena, &a, &err) == STATUS_OK;
        bool good_scan = parse_scan(&in, &scan, &arena, &s, &err) == STATUS_OK;
        ck_assert_msg(good_kv == cases[i].good && good_scan == cases[i].good, "%s", cases[i].query);
        if (!good_kv) {
            ck_assert(err.text[0] != '\0');
            continue;
        }
        const struct read_how *how = &cases[i].how;
        ck_assert(a.how.mode == how->mode && a.how.ts == how->ts && a.how.any_replica == how->any_replica &&
                  a.how.max_staleness_ms == how->max_staleness_ms);
        ck_assert(s.how.mode == how->mode && s.how.ts == how->ts && s.how.any_replica == how->any_replica);
        in.method = HTTP_PUT;
        ck_assert_msg((parse_kv(&in, &kv, &arena, &a, &err) == STATUS_OK) == (cases[i].query[0] == '\0'), "PUT %s",
                      cases[i].query);
    }
}
END_TEST

START_TEST(txn_of_all_parts)
{
    struct txn_action a;
    ck_assert_int_eq(
        txn("{\"id\":\"abc\",\"keyspace\":\"bank\",\"compare\":["
            "{\"key\":\"a\",\"target\":\"version\",\"op\":\">\",\"version\":\"18446744073709551615\"},"
            "{\"key\":\"a\",\"target\":\"value\",\"value_b64\":\"/w==\"},"
            "{\"key_b64\":\"AAA=\",\"target\":\"exists\",\"op\":\"!=\",\"exists\":true}],"
            "\"then\":[{\"put\":{\"key\":\"a\",\"value\":\"\\u0000x\"}},{\"get\":{\"key\":\"b\"}},{\"delete\":{\"key\":"
            "\"c\"}},"
            "{\"insert\":{\"key\":\"d\",\"value\":\"\"}},"
            "{\"add\":{\"key\":\"e\",\"delta\":\"-170141183460469231731687303715884105728\",\"min\":0,\"max\":\"9\"}}],"
            "\"else\":[{\"get\":{\"key\":\"a\"}}]}",
            &a),
        STATUS_OK);
    ck_assert(slice_eq(a.keyspace, slice_str("bank")));
    ck_assert(!txn_id_is_none(&a.txn.id));
    ck_assert_uint_eq(a.txn.compare_count, 3);
    ck_assert_uint_eq(a.txn.compares[0].version, UINT64_MAX);
    ck_assert_int_eq(a.txn.compares[0].relation, TXN_GREATER);
    ck_assert(slice_eq(a.txn.compares[1].value, slice_str("\xff")));
    ck_assert_int_eq(a.txn.compares[1].relation, TXN_EQUAL);
    ck_assert_int_eq(a.txn.compares[2].relation, TXN_EQUAL); /* not (exists) is: exists = 0 */
    ck_assert_uint_eq(a.txn.compares[2].version, 0);
    ck_assert(slice_eq(a.txn.compares[2].key, slice_make("\0\0", 2)));
    ck_assert_uint_eq(a.txn.op_count, 5);
    ck_assert(slice_eq(a.txn.ops[0].value, slice_make("\0x", 2)));
    ck_assert_int_eq(a.txn.ops[4].kind, TXN_ADD);
    ck_assert(a.txn.ops[4].delta == I128_MIN);
    ck_assert(a.txn.ops[4].min == 0);
    ck_assert(a.txn.ops[4].max == 9);
    ck_assert_uint_eq(a.txn.else_count, 1);
    json_decref(a.tree);
}
END_TEST

START_TEST(operations_are_aligned_wherever_the_arena_stands)
{
    for (size_t odd = 0; odd < 64; odd += 8) {
        (void)arena_alloc(&arena, 8 + odd % 16);
        struct txn_op *ops = arena_zalloc(&arena, 3 * sizeof(struct txn_op));
        ck_assert_uint_eq((uintptr_t)ops % _Alignof(struct txn_op), 0);
        for (size_t i = 0; i < 3; i++) ck_assert(ops[i].delta == 0 && ops[i].key.size == 0);
        ops[2].max = I128_MAX;
    }
}
END_TEST

START_TEST(txn_bounds_of_add_default_to_all)
{
    struct txn_action a;
    ck_assert_int_eq(txn("{\"then\":[{\"add\":{\"key\":\"e\",\"delta\":9007199254740993}}]}", &a), STATUS_OK);
    ck_assert(a.txn.ops[0].min == I128_MIN);
    ck_assert(a.txn.ops[0].max == I128_MAX);
    ck_assert(a.txn.ops[0].delta == 9007199254740993);
    ck_assert(slice_eq(a.keyspace, slice_str("default")));
    ck_assert(txn_id_is_none(&a.txn.id));
    json_decref(a.tree);
}
END_TEST

START_TEST(txn_errors_name_the_place)
{
    static const struct {
        const char *body, *text;
    } cases[] = {
        {"", "empty"},
        {"nonsense", "not JSON"},
        {"[]", "expected an object, got an array"},
        {"{}", "then: expected at least one operation"},
        {"{\"then\":{}}", "then: expected an array, got an object"},
        {"{\"then\":[{\"add\":{\"key\":\"k\",\"delta\":[]}}]}", "then[0].add.delta: expected an integer"},
        {"{\"then\":[{\"add\":{\"key\":\"k\",\"delta\":1.5}}]}", "then[0].add.delta: expected an integer"},
        {"{\"then\":[{\"add\":{\"key\":\"k\",\"delta\":\"1x\"}}]}", "then[0].add.delta: '1x'"},
        {"{\"then\":[{\"add\":{\"key\":\"k\",\"delta\":1,\"min\":2,\"max\":1}}]}", "then[0].add: min is above max"},
        {"{\"then\":[{\"add\":{\"key\":\"k\",\"delat\":1}}]}", "then[0].add: unknown field 'delat'"},
        {"{\"then\":[{\"get\":{}}]}", "then[0].get: key (or key_b64) is missing"},
        {"{\"then\":[{\"get\":{\"key\":\"a\",\"key_b64\":\"YQ==\"}}]}", "not both"},
        {"{\"then\":[{\"get\":{\"key\":\"\"}}]}", "the key is empty"},
        {"{\"then\":[{\"get\":{\"key\":7}}]}", "then[0].get.key: expected a string, got an integer"},
        {"{\"then\":[{\"get\":{\"key_b64\":\"?\"}}]}", "then[0].get.key_b64: not base64"},
        {"{\"then\":[{\"get\":{\"key\":\"a\"},\"put\":{\"key\":\"a\",\"value\":\"\"}}]}",
         "then[0]: expected exactly one of"},
        {"{\"then\":[{}]}", "then[0]: expected exactly one of"},
        {"{\"then\":[{\"got\":{}}]}", "then[0]: unknown field 'got'"},
        {"{\"id\":5,\"then\":[]}", "id: expected a string"},
        {"{\"id\":\"\",\"then\":[]}", "id: an idempotency id has 1 to 64 bytes"},
        {"{\"keyspace\":\"No\",\"then\":[]}", "a keyspace name"},
        {"{\"compare\":[{\"key\":\"a\"}],\"then\":[]}", "compare[0].target: expected a string, got nothing"},
        {"{\"compare\":[{\"key\":\"a\",\"target\":\"age\"}],\"then\":[]}",
         "compare[0].target: expected one of version, value, exists"},
        {"{\"compare\":[{\"key\":\"a\",\"target\":\"version\",\"version\":-1}],\"then\":[]}",
         "compare[0].version: expected an integer from 0"},
        {"{\"compare\":[{\"key\":\"a\",\"target\":\"exists\",\"op\":\"<\",\"exists\":true}],\"then\":[]}",
         "existence is compared with"},
        {"{\"then\":[],\"then\":[]}", "duplicate"},
        {"{\"then\":[{\"add\":{\"key\":\"k\",\"delta\":99999999999999999999}}]}", "as strings"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct txn_action a;
        ck_assert_msg(txn(cases[i].body, &a) == STATUS_INVALID, "%s", cases[i].body);
        ck_assert_msg(strstr(err.text, cases[i].text) != NULL, "%s: '%s' is not in '%s'", cases[i].body, cases[i].text,
                      err.text);
        json_decref(a.tree);
    }
}
END_TEST

START_TEST(json_bombs_are_refused_before_the_parser)
{
    struct buf b;
    json_t *tree;
    buf_init(&b, 4u << 20);
    for (int i = 0; i < 100000; i++) buf_append_byte(&b, '[');
    ck_assert_int_eq(json_load_body(buf_slice(&b), &tree, &err), STATUS_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "deeper than 32"));
    buf_clear(&b);
    buf_append_byte(&b, '[');
    for (unsigned i = 0; i < JSON_VALUES_MAX + 1; i++) buf_append_str(&b, "1,");
    buf_append_str(&b, "1]");
    ck_assert_int_eq(json_load_body(buf_slice(&b), &tree, &err), STATUS_TOO_LARGE);
    buf_clear(&b);
    for (int i = 0; i < 32; i++) buf_append_byte(&b, '[');
    for (int i = 0; i < 32; i++) buf_append_byte(&b, ']');
    ck_assert_int_eq(json_load_body(buf_slice(&b), &tree, &err), STATUS_OK);
    json_decref(tree);
    buf_clear(&b);
    buf_append_str(&b, "[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[\"]"); /* brackets in strings do not nest */
    ck_assert_int_eq(json_load_body(buf_slice(&b), &tree, &err), STATUS_OK);
    json_decref(tree);
    buf_free(&b);
}
END_TEST

/* A valid body with random bytes changed: an answer, never a crash; whatever parses keeps its promises. */
START_TEST(txn_survives_damage)
{
    static const char good[] =
        "{\"id\":\"abc\",\"keyspace\":\"bank\",\"compare\":[{\"key\":\"a\",\"target\":\"version\",\"op\":\"=\","
        "\"version\":3}],"
        "\"then\":[{\"put\":{\"key\":\"a\",\"value\":\"v\"}},{\"add\":{\"key\":\"e\",\"delta\":\"-17\",\"min\":0}}]}";
    struct prng p;
    prng_init(&p, (uint64_t)_i + 77);
    for (int round = 0; round < 200; round++) {
        char body[sizeof(good)];
        memcpy(body, good, sizeof(good));
        for (uint64_t n = prng_between(&p, 1, 4); n > 0; n--)
            body[prng_below(&p, sizeof(good) - 1)] = (char)prng_between(&p, 1, 255);
        struct txn_action a;
        if (txn(body, &a) == STATUS_OK) {
            ck_assert_uint_gt(a.txn.op_count + a.txn.else_count, 0);
            for (size_t i = 0; i < a.txn.op_count; i++) ck_assert_uint_gt(a.txn.ops[i].key.size, 0);
        } else {
            ck_assert_uint_gt(strlen(err.text), 0);
        }
        json_decref(a.tree);
    }
}
END_TEST

static enum status keyspace(const char *body, struct keyspace_action *a)
{
    struct input in = {.method = HTTP_POST, .query = SLICE_EMPTY, .body = slice_str(body)};
    return parse_keyspace_create(&in, &arena, a, &err);
}

START_TEST(keyspaces)
{
    struct keyspace_action a;
    ck_assert_int_eq(keyspace("{\"name\":\"ks\",\"splits\":[\"a\",\"b\"],\"replication\":3}", &a), STATUS_OK);
    ck_assert_uint_eq(a.split_count, 2);
    ck_assert_uint_eq(a.replication, 3);
    json_decref(a.tree);
    ck_assert_int_eq(keyspace("{\"name\":\"ks\",\"splits_b64\":[\"/w==\"]}", &a), STATUS_OK);
    ck_assert(slice_eq(a.splits[0], slice_str("\xff")));
    json_decref(a.tree);
    ck_assert_int_eq(keyspace("{\"name\":\"ks\",\"splits\":[\"b\",\"a\"]}", &a), STATUS_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "splits[1]: split keys must ascend"));
    json_decref(a.tree);
    ck_assert_int_eq(keyspace("{\"name\":\"ks\",\"splits\":[\"a\",\"a\"]}", &a), STATUS_INVALID);
    json_decref(a.tree);
    ck_assert_int_eq(keyspace("{\"splits\":[]}", &a), STATUS_INVALID);
    json_decref(a.tree);
    ck_assert_int_eq(keyspace("{\"name\":\"ks\",\"replication\":8}", &a), STATUS_INVALID);
    json_decref(a.tree);
}
END_TEST

START_TEST(keyspaces_by_hash_and_times_to_live)
{
    static const struct {
        const char *body, *text;
        uint64_t ttl_ms;
        uint32_t buckets;
    } cases[] = {
        {"{\"name\":\"ks\",\"hash_buckets\":16,\"ttl\":\"30s\"}", NULL, 30000, 16},
        {"{\"name\":\"ks\",\"ttl\":7}", NULL, 7000, 0},
        {"{\"name\":\"ks\",\"ttl\":\"7d\"}", NULL, 604800000, 0},
        {"{\"name\":\"ks\",\"ttl\":\"none\"}", NULL, 0, 0},
        {"{\"name\":\"ks\",\"ttl\":\"7 d\"}", "ttl: expected a duration", 0, 0},
        {"{\"name\":\"ks\",\"ttl\":\"200000d\"}", "ttl: expected a duration", 0, 0},
        {"{\"name\":\"ks\",\"ttl\":-1}", "ttl", 0, 0},
        {"{\"name\":\"ks\",\"hash_buckets\":1}", "hash_buckets: expected 2 to 256", 0, 0},
        {"{\"name\":\"ks\",\"hash_buckets\":257}", "hash_buckets", 0, 0},
        {"{\"name\":\"ks\",\"hash_buckets\":4,\"splits\":[\"a\"]}", "leave splits out", 0, 0},
        {"{\"name\":\"ks\",\"replication\":0}", "replication: expected 1 to 7", 0, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct keyspace_action a;
        enum status s = keyspace(cases[i].body, &a);
        if (cases[i].text == NULL) {
            ck_assert_msg(s == STATUS_OK, "%s: %s", cases[i].body, err.text);
            ck_assert_uint_eq(a.ttl_ms, cases[i].ttl_ms);
            ck_assert_uint_eq(a.buckets, cases[i].buckets);
        } else {
            ck_assert_int_eq(s, STATUS_INVALID);
            ck_assert_msg(strstr(err.text, cases[i].text) != NULL, "%s: %s", cases[i].body, err.text);
        }
        json_decref(a.tree);
    }
}
END_TEST

START_TEST(steps_of_a_session)
{
    static const struct {
        const char *body, *text;
    } cases[] = {
        {"{\"ops\":[{\"get\":{\"key\":\"a\"}},{\"put\":{\"key\":\"a\",\"value\":\"v\",\"ttl\":\"1h\"}},{\"delete\":{"
         "\"key\":\"b\"}}]}",
         NULL},
        {"{\"ops\":[{\"scan\":{\"prefix\":\"p\",\"limit\":7,\"reverse\":true}}]}", NULL},
        {"{\"ops\":[]}", "ops: expected 1 to"},
        {"{}", "ops: expected an array"},
        {"{\"ops\":[7]}", "ops[0]"},
        {"{\"ops\":[{\"add\":{\"key\":\"a\",\"delta\":1}}]}", "ops[0]: a session knows"},
        {"{\"ops\":[{\"insert\":{\"key\":\"a\",\"value\":\"v\"}}]}", "ops[0]: a session knows"},
        {"{\"ops\":[{\"scan\":{\"limit\":0}}]}", "ops[0].scan.limit"},
        {"{\"ops\":[{\"scan\":{\"limt\":1}}]}", "unknown field 'limt'"},
        {"{\"ops\":[{\"scan\":{},\"get\":{\"key\":\"a\"}}]}", "unknown field 'get'"},
        {"{\"ops\":[{\"scan\":7}]}", "ops[0].scan"},
        {"nonsense", "not JSON"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct input in = {.method = HTTP_POST, .query = SLICE_EMPTY, .body = slice_str(cases[i].body)};
        struct session_action a;
        enum status s = parse_session(&in, &arena, &a, &err);
        if (cases[i].text == NULL) {
            ck_assert_msg(s == STATUS_OK, "%s: %s", cases[i].body, err.text);
        } else {
            ck_assert_int_ne(s, STATUS_OK);
            ck_assert_msg(strstr(err.text, cases[i].text) != NULL, "%s: %s", cases[i].body, err.text);
        }
        if (s == STATUS_OK && a.count == 1)
            ck_assert(a.ops[0].is_scan && a.ops[0].scan.limit == 7 && slice_eq(a.ops[0].scan.end, slice_str("q")));
        if (s == STATUS_OK && a.count == 3) ck_assert(a.ops[1].op.has_ttl && a.ops[1].op.ttl_ms == 3600000);
        if (a.tree != NULL) json_decref(a.tree);
    }
    struct session_begin_action b;
    struct input none = {.method = HTTP_POST, .query = SLICE_EMPTY, .body = SLICE_EMPTY};
    ck_assert_int_eq(parse_session_begin(&none, &arena, &b, &err), STATUS_OK);
    ck_assert(slice_eq(b.keyspace, slice_str("default")) && b.idle_ms == SESSION_IDLE_MAX_MS && b.tree == NULL);
    struct input some = none;
    some.body = slice_str("{\"keyspace\":\"bank\",\"idle\":\"5s\"}");
    ck_assert_int_eq(parse_session_begin(&some, &arena, &b, &err), STATUS_OK);
    ck_assert(slice_eq(b.keyspace, slice_str("bank")) && b.idle_ms == 5000);
    json_decref(b.tree);
    some.body = slice_str("{\"idle\":\"none\"}");
    ck_assert_int_eq(parse_session_begin(&some, &arena, &b, &err), STATUS_INVALID);
    json_decref(b.tree);
}
END_TEST

static enum status one_keyspace(enum http_method m, const char *path, const char *query, const char *body,
                                struct keyspace_action *a)
{
    struct input in = {.method = m, .query = slice_str(query), .body = slice_str(body)};
    struct route r = route_of(path);
    return parse_keyspace(&in, &r, &arena, a, &err);
}

START_TEST(one_keyspace_is_altered_and_dropped)
{
    struct keyspace_action a;
    ck_assert_int_eq(one_keyspace(HTTP_PUT, "/v1/keyspaces/bank", "", "{\"ttl\":\"1h\",\"replication\":5}", &a),
                     STATUS_OK);
    ck_assert(slice_eq(a.name, slice_str("bank")) && a.has_ttl && a.ttl_ms == 3600000 && a.replication == 5);
    json_decref(a.tree);
    ck_assert_int_eq(one_keyspace(HTTP_PUT, "/v1/keyspaces/bank", "", "{\"dropped\":false}", &a), STATUS_OK);
    ck_assert(a.restore && !a.has_ttl && a.replication == 0);
    json_decref(a.tree);
    ck_assert_int_eq(one_keyspace(HTTP_PUT, "/v1/keyspaces/bank", "", "{\"dropped\":true}", &a), STATUS_INVALID);
    json_decref(a.tree);
    ck_assert_int_eq(one_keyspace(HTTP_PUT, "/v1/keyspaces/bank", "", "{}", &a), STATUS_INVALID);
    json_decref(a.tree);
    ck_assert_int_eq(one_keyspace(HTTP_PUT, "/v1/keyspaces/bank", "", "{\"splits\":[]}", &a), STATUS_INVALID);
    json_decref(a.tree);
    ck_assert_int_eq(one_keyspace(HTTP_DELETE, "/v1/keyspaces/bank", "", "", &a), STATUS_OK);
    ck_assert_uint_eq(a.grace_ms, DROP_GRACE_DEFAULT_MS);
    ck_assert_int_eq(one_keyspace(HTTP_DELETE, "/v1/keyspaces/bank", "grace=none", "", &a), STATUS_OK);
    ck_assert_uint_eq(a.grace_ms, 0);
    ck_assert_int_eq(one_keyspace(HTTP_DELETE, "/v1/keyspaces/bank", "grace=91d", "", &a), STATUS_INVALID);
    ck_assert_int_eq(one_keyspace(HTTP_GET, "/v1/keyspaces/bank", "grace=1d", "", &a), STATUS_INVALID);
    ck_assert_int_eq(one_keyspace(HTTP_GET, "/v1/keyspaces/B", "", "", &a), STATUS_INVALID);
    ck_assert_int_eq(one_keyspace(HTTP_GET, "/v1/keyspaces/", "", "", &a), STATUS_INVALID);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("gateway parse");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, routes);
    tcase_add_test(t, kv_key_of_any_bytes);
    tcase_add_test(t, kv_conditions_become_comparisons);
    tcase_add_test(t, etags);
    tcase_add_test(t, idempotency_ids);
    tcase_add_test(t, scan_bounds);
    tcase_add_test(t, scan_refuses);
    tcase_add_test(t, read_modes);
    tcase_add_test(t, txn_of_all_parts);
    tcase_add_test(t, operations_are_aligned_wherever_the_arena_stands);
    tcase_add_test(t, txn_bounds_of_add_default_to_all);
    tcase_add_test(t, txn_errors_name_the_place);
    tcase_add_test(t, json_bombs_are_refused_before_the_parser);
    tcase_add_loop_test(t, txn_survives_damage, 0, 20);
    tcase_add_test(t, keyspaces);
    tcase_add_test(t, keyspaces_by_hash_and_times_to_live);
    tcase_add_test(t, one_keyspace_is_altered_and_dropped);
    tcase_add_test(t, steps_of_a_session);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
