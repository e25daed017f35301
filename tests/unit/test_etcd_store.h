/* Rows in memory behind the fake client: reads and transactions of one keyspace, answered in the order asked when the test says so. Versions are
 * timestamps that the test may let leap. Only the newest version of a row is kept, and a delete leaves none. */
#ifndef QUORATE_TESTS_UNIT_TEST_ETCD_STORE_H
#define QUORATE_TESTS_UNIT_TEST_ETCD_STORE_H

#include <check.h>

#include "base/list.h"
#include "base/mem.h"
#include "lib/etcd_rows.h"
#include "test_gateway_client.h"

struct asked {
    struct list link;
    enum { ASKED_TXN, ASKED_GET, ASKED_SCAN } kind;
    void *ctx;
    struct txn txn; /* in the arena, like the keys */
    struct client_scan scan;
    struct slice key;
    uint64_t ts;
    client_txn_done txn_done;
    client_get_done get_done;
    client_scan_done scan_done;
    struct arena arena;
};
struct store {
    struct client client;
    struct etcd_rows rows;
    uint64_t ts;
    struct list asked;
    enum status fails; /* what scans and reads are answered with; STATUS_OK: with what is there */
    unsigned txns;     /* that were committed */
    size_t largest;    /* compares and operations of one of them */
    unsigned reads;
};

static struct store *store_of(struct client *c)
{
    return LIST_ENTRY(c, struct store, client);
}

/* --- what is asked --- */

static struct asked *ask(struct client *c, unsigned kind, void *ctx)
{
    struct asked *a = mem_zalloc(sizeof(*a));
    a->kind = kind;
    a->ctx = ctx;
    arena_init(&a->arena, 1024);
    list_push_back(&store_of(c)->asked, &a->link);
    return a;
}

static void ask_txn(struct client *c, const struct txn *t, client_txn_done done, void *ctx)
{
    struct asked *a = ask(c, ASKED_TXN, ctx);
    a->txn_done = done;
    a->txn = *t;
    a->txn.ops = arena_zalloc(&a->arena, (t->op_count + 1) * sizeof(*t->ops));
    a->txn.compares = arena_zalloc(&a->arena, (t->compare_count + 1) * sizeof(*t->compares));
    for (size_t i = 0; i < t->op_count; i++) {
        a->txn.ops[i] = t->ops[i];
        a->txn.ops[i].key = arena_dup_slice(&a->arena, t->ops[i].key);
        a->txn.ops[i].value = arena_dup_slice(&a->arena, t->ops[i].value);
    }
    for (size_t i = 0; i < t->compare_count; i++) {
        a->txn.compares[i] = t->compares[i];
        a->txn.compares[i].key = arena_dup_slice(&a->arena, t->compares[i].key);
        a->txn.compares[i].value = arena_dup_slice(&a->arena, t->compares[i].value);
    }
}

static void ask_get(struct client *c, struct slice key, const struct read_how *how, client_get_done done, void *ctx)
{
    struct asked *a = ask(c, ASKED_GET, ctx);
    a->get_done = done;
    a->key = arena_dup_slice(&a->arena, key);
    a->ts = how->ts;
}

static void ask_scan(struct client *c, const struct client_scan *s, client_scan_done done, void *ctx)
{
    struct asked *a = ask(c, ASKED_SCAN, ctx);
    a->scan_done = done;
    a->scan = *s;
    a->scan.start = arena_dup_slice(&a->arena, s->start);
    a->scan.end = arena_dup_slice(&a->arena, s->end);
    a->ts = s->how.ts;
}

static const struct client_hooks store_hooks = {.txn = ask_txn, .get = ask_get, .scan = ask_scan};

/* --- answers --- */

static void answer_txn(struct store *s, struct asked *a)
{
    const struct client_error fine = {.status = STATUS_OK, .message = SLICE_EMPTY};
    const struct txn *t = &a->txn;
    struct txn_result r = {.status = STATUS_OK, .succeeded = true, .ts = ++s->ts, .op_count = t->op_count};
    r.ops = arena_zalloc(&a->arena, (t->op_count + 1) * sizeof(*r.ops));
    size_t size = t->compare_count + t->op_count;
    if (size > LIMIT_TXN_OPS) r.status = STATUS_TOO_LARGE;
    if (r.status == STATUS_OK) etcd_rows_apply(&s->rows, t, &a->arena, &r);
    if (r.status == STATUS_OK) {
        s->txns++;
        if (size > s->largest) s->largest = size;
    }
    a->txn_done(a->ctx, &fine, &r);
}

static void answer_read(struct store *s, struct asked *a)
{
    const struct client_error e = {.status = s->fails, .message = SLICE_EMPTY};
    struct read_mark mark = {.mode = READ_SNAPSHOT, .ts = a->ts != 0 ? a->ts : ++s->ts};
    s->reads++;
    if (a->kind == ASKED_GET) {
        const struct etcd_row *r = etcd_rows_find(&s->rows, a->key);
        struct get_reply reply = {.mark = mark, .found = r != NULL, .value = SLICE_EMPTY};
        if (r != NULL) {
            reply.version = r->version;
            reply.value = arena_dup_slice(&a->arena, r->value);
        }
        a->get_done(a->ctx, &e, e.status == STATUS_OK ? &reply : NULL);
        return;
    }
    size_t most = a->scan.limit_rows > 0 ? a->scan.limit_rows : LIMIT_SCAN_ROWS;
    struct scan_reply page = {.mark = mark};
    page.rows = arena_zalloc(&a->arena, (most + 1) * sizeof(*page.rows));
    size_t i = etcd_rows_at(&s->rows, a->scan.start);
    for (; i < s->rows.count && slice_cmp(s->rows.list[i].key, a->scan.end) < 0 && page.row_count < most; i++)
        page.rows[page.row_count++] = (struct scan_row){.key = arena_dup_slice(&a->arena, s->rows.list[i].key),
                                                        .value = arena_dup_slice(&a->arena, s->rows.list[i].value),
                                                        .version = s->rows.list[i].version};
    page.more = i < s->rows.count && slice_cmp(s->rows.list[i].key, a->scan.end) < 0;
    a->scan_done(a->ctx, &e, e.status == STATUS_OK ? &page : NULL);
}

/* The oldest of what is asked. False: nothing is. */
static bool store_answer(struct store *s)
{
    if (list_empty(&s->asked)) return false;
    struct asked *a = LIST_ENTRY(s->asked.next, struct asked, link);
    list_remove(&a->link);
    if (a->kind == ASKED_TXN)
        answer_txn(s, a);
    else
        answer_read(s, a);
    arena_free(&a->arena);
    mem_free(a);
    return true;
}

static void store_run(struct store *s)
{
    while (store_answer(s)) continue;
}

static void store_init(struct store *s)
{
    *s = (struct store){.ts = 100, .fails = STATUS_OK};
    arena_init(&s->client.arena, 1024);
    s->client.hooks = &store_hooks;
    list_init(&s->asked);
}

static void store_free(struct store *s)
{
    LIST_FOR(it, &s->asked)
    {
        struct asked *a = LIST_ENTRY(it, struct asked, link);
        arena_free(&a->arena);
        mem_free(a);
    }
    etcd_rows_free(&s->rows);
    arena_free(&s->client.arena);
}

#endif
