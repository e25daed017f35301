/* A client that keeps the last call and answers when the test says so. It defines the client's functions, so a program that includes it (in
 * one file) does not link the real ones. */
#ifndef QUORATE_TESTS_UNIT_TEST_GATEWAY_CLIENT_H
#define QUORATE_TESTS_UNIT_TEST_GATEWAY_CLIENT_H

#include <stdio.h>

#include "client/watch.h"

/* Whoever answers by himself (test_etcd_store.h). */
struct client_hooks {
    void (*txn)(struct client *c, const struct txn *t, client_txn_done done, void *ctx);
    void (*get)(struct client *c, struct slice key, const struct read_how *how, client_get_done done, void *ctx);
    void (*scan)(struct client *c, const struct client_scan *s, client_scan_done done, void *ctx);
};

struct client {
    const struct client_hooks *hooks; /* NULL: none */
    bool restoring;
    char what[32];
    char keyspace[80];
    struct arena arena;
    struct txn txn; /* copied into the arena */
    struct slice key;
    struct client_scan scan;
    uint32_t timeout_ms;
    unsigned calls;
    void *ctx;
    client_txn_done txn_done;
    struct read_how how;
    client_get_done get_done;
    client_scan_done scan_done;
    client_map_done map_done;
    client_call_done call_done;
    enum method method;
    struct client_watch_options watch;
    uint64_t afters[4];           /* of the watches, in the order they were begun */
    client_watch_done watch_done; /* NULL: it has not asked for more */
    unsigned watches;
    uint64_t position;  /* of every watch */
    void *watch_ctx[4]; /* who has asked for more, in this order */
    unsigned watch_asked;
};

static void note(struct client *c, const char *what, struct slice keyspace, uint32_t timeout_ms, void *ctx)
{
    snprintf(c->what, sizeof(c->what), "%s", what);
    snprintf(c->keyspace, sizeof(c->keyspace), "%.*s", (int)keyspace.size, (const char *)keyspace.data);
    c->timeout_ms = timeout_ms;
    c->ctx = ctx;
    c->calls++;
}

uint32_t client_keyspace_id(const struct client *c, struct slice name)
{
    (void)c;
    (void)name;
    return 0;
}

void client_txn(struct client *c, struct slice keyspace, const struct txn *t, uint32_t timeout_ms, client_txn_done done,
                void *ctx)
{
    note(c, "txn", keyspace, timeout_ms, ctx);
    if (c->hooks != NULL) {
        c->hooks->txn(c, t, done, ctx);
        return;
    }
    c->txn = *t;
    c->txn.ops = arena_zalloc(&c->arena, t->op_count * sizeof(struct txn_op));
    memcpy(c->txn.ops, t->ops, t->op_count * sizeof(*t->ops));
    for (size_t i = 0; i < t->op_count; i++) {
        c->txn.ops[i].key = arena_dup_slice(&c->arena, t->ops[i].key);
        c->txn.ops[i].value = arena_dup_slice(&c->arena, t->ops[i].value);
    }
    c->txn_done = done;
}

void client_txn_findable(struct client *c, struct slice keyspace, const struct txn *t, uint32_t timeout_ms,
                         client_txn_done done, void *ctx)
{
    client_txn(c, keyspace, t, timeout_ms, done, ctx);
}
void client_get_how(struct client *c, struct slice keyspace, struct slice key, const struct read_how *how,
                    uint32_t timeout_ms, client_get_done done, void *ctx)
{
    note(c, "get", keyspace, timeout_ms, ctx);
    if (c->hooks != NULL) {
        c->hooks->get(c, key, how, done, ctx);
        return;
    }
    c->how = *how;
    c->key = arena_dup_slice(&c->arena, key);
    c->get_done = done;
}
void client_get(struct client *c, struct slice keyspace, struct slice key, uint32_t timeout_ms, client_get_done done,
                void *ctx)
{
    struct read_how how = {.mode = READ_STRONG};
    client_get_how(c, keyspace, key, &how, timeout_ms, done, ctx);
}
void client_get_answer(struct client *c, struct slice keyspace, struct slice anchor, const struct txn_id *id,
                       uint32_t timeout_ms, client_get_done done, void *ctx)
{
    note(c, "answer", keyspace, timeout_ms, ctx);
    c->txn.id = *id;
    c->key = arena_dup_slice(&c->arena, anchor);
    c->get_done = done;
}
void client_scan(struct client *c, struct slice keyspace, const struct client_scan *s, uint32_t timeout_ms,
                 client_scan_done done, void *ctx)
{
    note(c, "scan", keyspace, timeout_ms, ctx);
    if (c->hooks != NULL) {
        c->hooks->scan(c, s, done, ctx);
        return;
    }
    c->scan = *s;
    c->scan_done = done;
}
void client_restoring(struct client *c, uint32_t timeout_ms, client_restoring_done done, void *ctx)
{
    (void)timeout_ms;
    done(ctx, c->restoring);
}
void client_map(struct client *c, struct slice keyspace, uint32_t timeout_ms, client_map_done done, void *ctx)
{
    note(c, "map", keyspace, timeout_ms, ctx);
    c->map_done = done;
}
void client_meta(struct client *c, enum method m, struct slice params, uint32_t timeout_ms, client_call_done done,
                 void *ctx)
{
    (void)params;
    note(c, "meta", SLICE_EMPTY, timeout_ms, ctx);
    c->method = m;
    c->call_done = done;
}
void client_node(struct client *c, const char *address, enum method m, struct slice params, uint32_t timeout_ms,
                 client_call_done done, void *ctx)
{
    (void)address;
    client_meta(c, m, params, timeout_ms, done, ctx);
}
void client_stats(const struct client *c, struct client_stats *out)
{
    *out = (struct client_stats){.requests = c->calls};
}

struct client_watch *client_watch_new(struct client *c, const struct client_watch_options *o)
{
    c->watch = *o;
    c->afters[c->watches % 4] = o->after;
    c->watches++;
    return (struct client_watch *)(void *)c;
}
void client_watch_next(struct client_watch *w, client_watch_done done, void *ctx)
{
    struct client *c = (struct client *)(void *)w;
    c->watch_done = done;
    c->ctx = c->watch_ctx[c->watch_asked++ % 4] = ctx;
}
uint64_t client_watch_position(const struct client_watch *w)
{
    return ((const struct client *)(const void *)w)->position;
}
void client_watch_free(struct client_watch *w)
{
    if (w != NULL) ((struct client *)(void *)w)->watches--;
}

#endif
