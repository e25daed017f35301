/* The public interface, used as a program would: only include/ is seen here. Run against a cluster: api_test META-ADDRESSES [crash].
 * Prints a line for each thing that it looks at; the last is "N passed, N failed". */
#include <quorate.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int passed, failed;

static void check(const char *name, bool good, const struct quorate *db)
{
    if (good) {
        passed++;
        printf("pass  %s\n", name);
    } else {
        failed++;
        printf("FAIL  %s: %s\n", name, db != NULL ? quorate_error(db) : "");
    }
}

static bool is(const void *value, size_t size, const char *text)
{
    return size == strlen(text) && memcmp(value, text, size) == 0;
}

static int get_number(struct quorate_txn *t, const char *key, long *out)
{
    const void *value;
    size_t size;
    char text[32] = "";
    int e = quorate_get(t, key, strlen(key), &value, &size);
    if (e == QUORATE_OK && size < sizeof(text)) memcpy(text, value, size);
    *out = e == QUORATE_OK ? strtol(text, NULL, 10) : 0;
    return e;
}

static int put_number(struct quorate_txn *t, const char *key, long n)
{
    char text[32];
    int size = snprintf(text, sizeof(text), "%ld", n);
    return quorate_put(t, key, strlen(key), text, (size_t)size);
}

static void test_open(void)
{
    char error[256] = "";
    struct quorate_options none = {.meta = NULL}, wrong = {.meta = "nonsense"},
                           secure = {.meta = "127.0.0.1:1", .tls_ca = "/nowhere"};
    struct quorate_options nobody = {.meta = "127.0.0.1:1", .timeout_ms = 300};
    check("open without addresses", quorate_open(&none, error, sizeof(error)) == NULL && strstr(error, "meta") != NULL,
          NULL);
    check("open with a wrong address", quorate_open(&wrong, error, sizeof(error)) == NULL && error[0] != '\0', NULL);
    check("open with half of the files", quorate_open(&secure, error, sizeof(error)) == NULL && error[0] != '\0', NULL);
    struct quorate *db = quorate_open(&nobody, error, sizeof(error));
    struct quorate_txn *t;
    check("open does not connect", db != NULL, NULL);
    check("nobody there is definite", quorate_begin(db, "default", &t) == QUORATE_UNAVAILABLE && t == NULL, db);
    check("a keyspace needs a name", quorate_begin(db, "", &t) == QUORATE_INVALID, db);
    quorate_close(db);
    quorate_close(NULL);
}

static void test_one(struct quorate *db)
{
    struct quorate_txn *t;
    const void *value;
    size_t size;
    uint64_t version = 0, ts;
    check("begin", quorate_begin(db, "default", &t) == QUORATE_OK && quorate_timestamp(t) > 0, db);
    check("a key that is not there", quorate_get(t, "api/a", 5, &value, &size) == QUORATE_NOT_FOUND && value == NULL,
          db);
    check("put", quorate_put(t, "api/a", 5, "one", 3) == QUORATE_OK, db);
    check("an empty key", quorate_put(t, "", 0, "x", 1) == QUORATE_INVALID, db);
    check("own writes are seen", quorate_get(t, "api/a", 5, &value, &size) == QUORATE_OK && is(value, size, "one"), db);
    check("put again",
          quorate_put(t, "api/a", 5, "two", 3) == QUORATE_OK && quorate_put(t, "api/b", 5, "", 0) == QUORATE_OK, db);
    ts = quorate_timestamp(t);
    check("commit", quorate_commit(t, &version) == QUORATE_OK && version > ts, db);

    check("begin again", quorate_begin(db, "default", &t) == QUORATE_OK && quorate_timestamp(t) > version, db);
    check("what was committed", quorate_get(t, "api/a", 5, &value, &size) == QUORATE_OK && is(value, size, "two"), db);
    check("an empty value", quorate_get(t, "api/b", 5, &value, &size) == QUORATE_OK && size == 0 && value != NULL, db);
    check("delete", quorate_delete(t, "api/b", 5) == QUORATE_OK, db);
    check("is seen", quorate_get(t, "api/b", 5, &value, &size) == QUORATE_NOT_FOUND, db);
    quorate_abort(t);
    quorate_abort(NULL);
    check("begin after abort", quorate_begin(db, "default", &t) == QUORATE_OK, db);
    check("an abort writes nothing", quorate_get(t, "api/b", 5, &value, &size) == QUORATE_OK, db);
    check("a commit that wrote nothing", quorate_commit(t, &version) == QUORATE_OK, db);
    check("an unknown keyspace",
          quorate_begin(db, "nowhere", &t) == QUORATE_OK &&
              quorate_get(t, "a", 1, &value, &size) == QUORATE_NOT_FOUND &&
              strstr(quorate_error(db), "keyspace") != NULL,
          db);
    quorate_abort(t);
}

static void test_conflicts(struct quorate *db)
{
    struct quorate_txn *a = NULL, *b = NULL;
    const void *value;
    size_t size;
    long n;
    check("two at once",
          quorate_begin(db, "default", &a) == QUORATE_OK && quorate_begin(db, "default", &b) == QUORATE_OK, db);
    (void)get_number(a, "api/x", &n);
    (void)get_number(b, "api/x", &n);
    (void)put_number(a, "api/x", 1);
    (void)put_number(b, "api/x", 2);
    check("the first commits", quorate_commit(a, NULL) == QUORATE_OK, db);
    check("the second is to try again", quorate_commit(b, NULL) == QUORATE_RETRY, db);
    /* write skew: each reads what the other writes */
    (void)quorate_begin(db, "default", &a);
    (void)quorate_begin(db, "default", &b);
    (void)get_number(a, "api/left", &n);
    (void)get_number(b, "api/right", &n);
    (void)put_number(a, "api/right", 1);
    (void)put_number(b, "api/left", 1);
    int first = quorate_commit(a, NULL), second = quorate_commit(b, NULL);
    check("no write skew", first == QUORATE_OK && second == QUORATE_RETRY, db);
    (void)quorate_begin(db, "default", &a);
    (void)quorate_begin(db, "default", &b);
    (void)put_number(b, "api/x", 77);
    check("a write beside a reader", quorate_commit(b, NULL) == QUORATE_OK, db);
    check("the reader's instant stays", get_number(a, "api/x", &n) == QUORATE_OK && n == 1, db);
    check("a reader commits", quorate_commit(a, NULL) == QUORATE_OK, db);
    (void)quorate_begin(db, "default", &a);
    check("a row that ends",
          quorate_put_ttl(a, "api/brief", 9, "x", 1, 1) == QUORATE_OK && quorate_commit(a, NULL) == QUORATE_OK, db);
    int e = QUORATE_OK;
    time_t until =
        time(NULL) + 20; /* a new metadata leader's timestamps begin up to 3 s ahead, and wait for the clock */
    while (e == QUORATE_OK && time(NULL) < until) {
        (void)quorate_begin(db, "default", &a);
        e = quorate_get(a, "api/brief", 9, &value, &size);
        quorate_abort(a);
    }
    check("and is not found", e == QUORATE_NOT_FOUND, db);
}

struct seen {
    char keys[4096];
    int count, stop_at;
};

static bool note(void *ctx, const void *key, size_t key_size, const void *value, size_t value_size)
{
    struct seen *s = ctx;
    (void)value;
    (void)value_size;
    size_t n = strlen(s->keys);
    if (n < 400)
        (void)snprintf(s->keys + n, sizeof(s->keys) - n, "%s%.*s", n > 0 ? " " : "", (int)key_size, (const char *)key);
    return ++s->count != s->stop_at;
}

static void test_scans(struct quorate *db, const char *keyspace)
{
    struct quorate_txn *t;
    char key[32];
    (void)quorate_begin(db, keyspace, &t);
    for (int i = 0; i < 2500; i++) {
        int size = snprintf(key, sizeof(key), "s/%04d", i);
        (void)quorate_put(t, key, (size_t)size, "v", 1);
    }
    static const char *const extra[] = {"s/0000x", "s/1x", "s/3"}; /* of an earlier run */
    for (int i = 0; i < 3; i++) (void)quorate_delete(t, extra[i], strlen(extra[i]));
    check("2500 rows", quorate_commit(t, NULL) == QUORATE_OK, db);
    struct quorate_scan all = {.start = "s/", .start_size = 2, .end = "s0", .end_size = 2};
    struct seen s = {.keys = ""};
    (void)quorate_begin(db, keyspace, &t);
    check("a scan of all pages", quorate_scan(t, &all, note, &s) == QUORATE_OK && s.count == 2500, db);
    all.limit = 3;
    s = (struct seen){.keys = ""};
    (void)quorate_put(t, "s/0000x", 7, "own", 3);
    (void)quorate_delete(t, "s/0001", 6);
    check("own writes lie over it",
          quorate_scan(t, &all, note, &s) == QUORATE_OK && strcmp(s.keys, "s/0000 s/0000x s/0002") == 0, db);
    all.reverse = true;
    s = (struct seen){.keys = ""};
    check("backwards", quorate_scan(t, &all, note, &s) == QUORATE_OK && strcmp(s.keys, "s/2499 s/2498 s/2497") == 0,
          db);
    s = (struct seen){.keys = "", .stop_at = 2};
    all.limit = 0;
    check("until told to stop", quorate_scan(t, &all, note, &s) == QUORATE_OK && s.count == 2, db);
    check("who has scanned may write", quorate_commit(t, NULL) == QUORATE_OK, db);
    struct quorate_txn *other;
    for (int inside = 0; inside < 2; inside++) {
        all = (struct quorate_scan){.start = "s/2", .start_size = 3, .end = "s0", .end_size = 2};
        s = (struct seen){.keys = ""};
        (void)quorate_begin(db, keyspace, &t);
        (void)quorate_scan(t, &all, note, &s);
        (void)quorate_put(t, "total", 5, "x", 1);
        (void)quorate_begin(db, keyspace, &other);
        (void)quorate_put(other, inside == 1 ? "s/3" : "s/1x", inside == 1 ? 3 : 4, "v", 1);
        check("beside what another has scanned", quorate_commit(other, NULL) == QUORATE_OK, db);
        check(inside == 1 ? "a row that came there is noticed" : "nothing came where it scanned",
              quorate_commit(t, NULL) == (inside == 1 ? QUORATE_RETRY : QUORATE_OK), db);
    }
}

/* --- registered snapshots, and transactions as of them --- */

static int put_now(struct quorate *db, const char *key, long n)
{
    struct quorate_txn *t;
    int e = quorate_begin(db, "default", &t);
    if (e != QUORATE_OK) return e;
    (void)put_number(t, key, n);
    return quorate_commit(t, NULL);
}

/* What stood there at that timestamp; -1: the answer was another. */
static long number_at(struct quorate *db, const char *key, uint64_t timestamp)
{
    struct quorate_txn *t;
    long n = -1;
    if (quorate_begin_at(db, "default", timestamp, &t) != QUORATE_OK) return -1;
    if (get_number(t, key, &n) != QUORATE_OK || quorate_timestamp(t) != timestamp) n = -1;
    return quorate_commit(t, NULL) == QUORATE_OK ? n : -1;
}

static void test_snapshot_names(struct quorate *db)
{
    uint64_t at = 0;
    check("a name of other letters", quorate_snapshot_register(db, "No Name", 60000, &at) == QUORATE_INVALID, db);
    check("no name", quorate_snapshot_register(db, "", 60000, &at) == QUORATE_INVALID, db);
    check("no life", quorate_snapshot_register(db, "api_none", 0, &at) == QUORATE_INVALID, db);
    check("a life of eight days", quorate_snapshot_register(db, "api_long", 8ull * 86400000, &at) == QUORATE_INVALID,
          db);
    at = UINT64_MAX >> 2;
    check("of a time to come", quorate_snapshot_register(db, "api_later", 60000, &at) == QUORATE_INVALID, db);
    at = 1;
    check("of a time long gone", quorate_snapshot_register(db, "api_old", 60000, &at) == QUORATE_FAILED, db);
    check("one that is not there is not extended", quorate_snapshot_extend(db, "api_none", 60000) == QUORATE_NOT_FOUND,
          db);
    check("nor dropped", quorate_snapshot_drop(db, "api_none") == QUORATE_NOT_FOUND, db);
}

static void test_snapshots(struct quorate *db)
{
    struct quorate_txn *t;
    uint64_t at = 0, again = 0, named = 0;
    long n;
    (void)quorate_snapshot_drop(db, "api_test"); /* of an earlier run */
    test_snapshot_names(db);
    check("a past",
          put_now(db, "api/past", 1) == QUORATE_OK && put_now(db, "api/other", 1) == QUORATE_OK &&
              put_now(db, "api/found", 0) == QUORATE_OK,
          db);
    check("registered", quorate_snapshot_register(db, "api_test", 60000, &at) == QUORATE_OK && at > 0, db);
    check("a present", put_now(db, "api/past", 2) == QUORATE_OK, db);
    check("registered again it is the same",
          quorate_snapshot_register(db, "api_test", 1000, &again) == QUORATE_OK && again == at, db);
    check("what was is read", number_at(db, "api/past", at) == 1, db);
    check("as of 0 there is nothing", quorate_begin_at(db, "default", 0, &t) == QUORATE_INVALID && t == NULL, db);
    (void)quorate_begin_at(db, "default", at, &t);
    (void)get_number(t, "api/past", &n);
    (void)put_number(t, "api/found", n);
    check("a commit on what is no longer so", quorate_commit(t, NULL) == QUORATE_RETRY, db);
    (void)quorate_begin_at(db, "default", at, &t);
    (void)get_number(t, "api/other", &n);
    (void)put_number(t, "api/found", n);
    uint64_t version = 0;
    check("on what still is", quorate_commit(t, &version) == QUORATE_OK && version > at, db);
    check("it is of now", number_at(db, "api/found", at) == 0 && number_at(db, "api/found", version) == 1, db);
    named = version;
    check("registered as of a timestamp",
          quorate_snapshot_register(db, "api_test2", 60000, &named) == QUORATE_OK && named == version, db);
    check("extended", quorate_snapshot_extend(db, "api_test", 120000) == QUORATE_OK, db);
    check("dropped",
          quorate_snapshot_drop(db, "api_test") == QUORATE_OK && quorate_snapshot_drop(db, "api_test2") == QUORATE_OK,
          db);
    check("once", quorate_snapshot_drop(db, "api_test") == QUORATE_NOT_FOUND, db);
}

/* --- quorate_run: money moved by several connections, whose sum stays --- */

struct move {
    int from, to;
    int calls;
};

static int move_one(struct quorate_txn *t, void *ctx)
{
    struct move *m = ctx;
    char from[32], to[32];
    long a, b;
    m->calls++;
    (void)snprintf(from, sizeof(from), "money/%d", m->from);
    (void)snprintf(to, sizeof(to), "money/%d", m->to);
    int e = get_number(t, from, &a);
    if (e == QUORATE_OK) e = get_number(t, to, &b);
    if (e != QUORATE_OK) return e;
    if (a < 1) return QUORATE_OK; /* nothing to move: commits what it has not written */
    e = put_number(t, from, a - 1);
    return e == QUORATE_OK ? put_number(t, to, b + 1) : e;
}

static int fill(struct quorate_txn *t, void *ctx)
{
    char key[32];
    (void)ctx;
    for (int i = 0; i < 5; i++) {
        (void)snprintf(key, sizeof(key), "money/%d", i);
        if (put_number(t, key, 100) != QUORATE_OK) return QUORATE_FAILED;
    }
    return QUORATE_OK;
}

static int sum(struct quorate_txn *t, void *ctx)
{
    long n, total = 0;
    char key[32];
    for (int i = 0; i < 5; i++) {
        (void)snprintf(key, sizeof(key), "money/%d", i);
        int e = get_number(t, key, &n);
        if (e != QUORATE_OK) return e;
        total += n;
    }
    *(long *)ctx = total;
    return QUORATE_OK;
}

static int give_up(struct quorate_txn *t, void *ctx)
{
    ++*(int *)ctx;
    (void)quorate_put(t, "api/never", 9, "x", 1);
    return 42;
}

static int twice(struct quorate_txn *t, void *ctx)
{
    int *calls = ctx;
    (void)quorate_put(t, "api/twice", 9, "x", 1);
    return ++*calls < 3 ? QUORATE_RETRY : QUORATE_OK;
}

static void test_run(struct quorate *db, struct quorate *other, const char *keyspace)
{
    int calls = 0;
    long total = 0;
    uint64_t version = 0;
    struct quorate_txn *t;
    const void *value;
    size_t size;
    check("run with another answer", quorate_run(db, keyspace, give_up, &calls, NULL) == 42 && calls == 1, db);
    (void)quorate_begin(db, keyspace, &t);
    check("wrote nothing", quorate_get(t, "api/never", 9, &value, &size) == QUORATE_NOT_FOUND, db);
    quorate_abort(t);
    calls = 0;
    check("run until it is done",
          quorate_run(db, keyspace, twice, &calls, &version) == QUORATE_OK && calls == 3 && version > 0, db);
    check("money", quorate_run(db, keyspace, fill, NULL, NULL) == QUORATE_OK, db);
    bool good = true;
    for (int i = 0; i < 120 && good; i++) {
        /* the other's transaction commits between this one's reads and its commit, every third time */
        struct move mine = {.from = i % 5, .to = (i + 1) % 5}, theirs = {.from = (i + 1) % 5, .to = (i + 3) % 5};
        if (i % 3 == 0) {
            (void)quorate_begin(db, keyspace, &t);
            int e = move_one(t, &mine);
            good = e == QUORATE_OK && quorate_run(other, keyspace, move_one, &theirs, NULL) == QUORATE_OK;
            good = good && quorate_commit(t, NULL) == QUORATE_RETRY;
        } else {
            good = quorate_run(db, keyspace, move_one, &mine, NULL) == QUORATE_OK && mine.calls >= 1;
        }
    }
    check("moves, some of them in each other's way", good, db);
    check("the sum stays", quorate_run(db, keyspace, sum, &total, NULL) == QUORATE_OK && total == 500, db);
}

int main(int argc, char **argv)
{
    char error[256] = "";
    if (argc != 2) {
        fprintf(stderr, "usage: api_test META-ADDRESSES\n");
        return 2;
    }
    struct quorate_options o = {.meta = argv[1]};
    struct quorate *db = quorate_open(&o, error, sizeof(error)), *other = quorate_open(&o, error, sizeof(error));
    check("open", db != NULL && other != NULL, NULL);
    if (db == NULL || other == NULL) return 1;
    test_open();
    test_one(db);
    test_conflicts(db);
    test_snapshots(db);
    test_scans(db, "default");
    test_scans(db, "hashed");
    test_run(db, other, "default");
    test_run(db, other, "split");
    test_run(db, other, "hashed");
    struct quorate_txn *open;
    check("one that stays open", quorate_begin(db, "default", &open) == QUORATE_OK, db);
    quorate_close(db);
    quorate_close(other);
    printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
