/* What changes in all keyspaces: the resolved timestamp does not pass what is not known, and what is known of a dropped keyspace is not
 * forgotten. This file defines the client's functions itself, so the real ones are not linked. */
#include "backup/changes.h"
#include "lib/memdisk.h"
#include "lib/suite.h"
#include "lib/testenv.h"

#include <stdio.h>

struct client_watch {
    char name[16];
    uint64_t after, wanted;
    client_watch_done done;
    void *ctx;
};
struct client {
    struct client_watch watches[8];
    size_t watch_count;
    uint64_t now; /* the next timestamp */
    struct keyspace_info keyspaces[2];
    size_t keyspace_count;
};

static const struct client_error fine = {.status = STATUS_OK, .message = {.data = (const uint8_t *)"", .size = 0}};

void client_meta(struct client *c, enum method m, struct slice params, uint32_t timeout_ms, client_call_done done,
                 void *ctx)
{
    struct buf b;
    (void)params;
    (void)timeout_ms;
    buf_init(&b, 1u << 16);
    if (m == METHOD_META_TIMESTAMPS)
        pack_meta_timestamps_reply(&b, &(struct meta_timestamps_reply){.first = c->now++});
    else
        pack_meta_map_reply(&b,
                            &(struct meta_map_reply){.keyspaces = c->keyspaces, .keyspace_count = c->keyspace_count});
    done(ctx, &fine, buf_slice(&b));
    buf_free(&b);
}

struct client_watch *client_watch_new(struct client *c, const struct client_watch_options *o)
{
    struct client_watch *w = &c->watches[c->watch_count++];
    ck_assert_uint_le(c->watch_count, 8);
    *w = (struct client_watch){.after = o->after};
    (void)snprintf(w->name, sizeof w->name, "%.*s", (int)o->keyspace.size, (const char *)o->keyspace.data);
    return w;
}

void client_watch_next(struct client_watch *w, client_watch_done done, void *ctx)
{
    w->done = done;
    w->ctx = ctx;
}

void client_watch_hurry(struct client_watch *w, uint64_t ts)
{
    w->wanted = ts;
}

uint64_t client_watch_behind(const struct client_watch *w, uint64_t ts, struct errbuf *who)
{
    if (who != NULL) errbuf_set(who, "%s, played", w->name);
    return w->after < ts ? ts - w->after : 0;
}

void client_watch_free(struct client_watch *w)
{
    if (w != NULL) w->done = NULL;
}

void client_forget(struct client *c, const void *ctx)
{
    (void)c;
    (void)ctx;
}

struct rig {
    struct memdisk *disk;
    struct testenv env;
    struct client client;
    struct changes *changes;
};

static void rig_open(struct rig *r, uint64_t after, uint64_t now, const struct backup_keyspace *known, size_t count)
{
    memset(r, 0, sizeof *r);
    r->disk = memdisk_new(1);
    testenv_init(&r->env, memdisk_disk(r->disk), 1);
    r->client.now = now;
    r->client.keyspaces[0] = (struct keyspace_info){.id = 1, .name = slice_str("a"), .replication = 3};
    r->client.keyspaces[1] = (struct keyspace_info){.id = 2, .name = slice_str("b"), .replication = 3};
    r->client.keyspace_count = 2;
    r->changes = changes_new(&r->env.env, &r->client, after, known, count);
}

static void rig_close(struct rig *r)
{
    changes_free(r->changes);
    testenv_free(&r->env);
    memdisk_free(r->disk);
}

static void list_again(struct rig *r)
{
    testenv_advance_ms(&r->env, 600);
    testenv_pass(&r->env);
}

static void tell(struct rig *r, size_t watch, uint64_t upto, uint64_t ts, size_t bytes, size_t count)
{
    static uint8_t text[4u << 20];
    static struct feed_change all[64];
    struct client_watch *w = &r->client.watches[watch];
    client_watch_done done = w->done;
    ck_assert(done != NULL && count <= 64);
    for (size_t i = 0; i < count; i++)
        all[i] = (struct feed_change){.ts = ts + i, .key = slice_str("k"), .value = slice_make(text, bytes)};
    w->done = NULL;
    done(w->ctx, &fine, &(struct client_watch_batch){.upto = upto, .changes = all, .change_count = count}, upto);
}

static void lose(struct rig *r, size_t watch)
{
    struct client_watch *w = &r->client.watches[watch];
    struct client_error e = {.status = STATUS_NOT_FOUND, .message = slice_str("no such keyspace")};
    w->done(w->ctx, &e, NULL, 0);
}

START_TEST(nothing_is_resolved_past_a_keyspace_that_is_lost)
{
    struct rig r;
    size_t count;
    rig_open(&r, 0, 100, NULL, 0);
    testenv_run(&r.env);
    ck_assert_uint_eq(r.client.watch_count, 2);
    r.client.now = 200;
    list_again(&r);
    tell(&r, 0, 190, 150, 1, 1);
    tell(&r, 1, 300, 150, 1, 1);
    ck_assert_uint_eq(changes_resolved(r.changes), 190);
    lose(&r, 0);
    r.client.now = 400; /* no list says so yet */
    tell(&r, 1, 500, 450, 1, 1);
    ck_assert_uint_eq(changes_resolved(r.changes), 190);
    r.client.keyspaces[0].dropped_ts = 350;
    list_again(&r);
    ck_assert_uint_gt(changes_resolved(r.changes), 350);
    const struct backup_keyspace *k = changes_keyspaces(r.changes, &count);
    ck_assert(count == 2 && k[0].dropped_ts == 350 && k[0].known_upto == 190);
    r.client.keyspaces[0].dropped_ts = 0; /* taken back: told from where it was known */
    list_again(&r);
    ck_assert_uint_eq(r.client.watch_count, 3);
    ck_assert_uint_eq(r.client.watches[2].after, 190);
    r.client.keyspaces[0].dropped_ts = 700; /* the list says so before the watch does */
    list_again(&r);
    tell(&r, 2, 650, 600, 1, 1);
    k = changes_keyspaces(r.changes, &count);
    ck_assert(k[0].dropped_ts == 700 && k[0].known_upto == 650);
    rig_close(&r);
}
END_TEST

/* One that goes on where another reader ended: a keyspace that was dropped by then is known no further than that one knew it. */
START_TEST(what_is_known_of_a_dropped_keyspace_is_handed_on)
{
    struct rig r;
    size_t count;
    const struct backup_keyspace known[2] = {
        {.id = 1, .name = slice_str("a")},
        {.id = 2, .name = slice_str("b"), .dropped_ts = 480, .known_upto = 450},
    };
    for (unsigned early = 0; early < 2; early++) {
        rig_open(&r, 500, 600, known, 2);
        if (early == 0) r.client.keyspaces[1].dropped_ts = 480;
        testenv_run(&r.env);
        const struct backup_keyspace *k = changes_keyspaces(r.changes, &count);
        ck_assert(count == 2 && k[1].known_upto == 450);
        r.client.keyspaces[1].dropped_ts = 0;
        list_again(&r);
        ck_assert_uint_eq(r.client.watch_count, 2);
        ck_assert_uint_eq(r.client.watches[0].after, 500);
        ck_assert_uint_eq(r.client.watches[1].after, 450);
        rig_close(&r);
    }
}
END_TEST

/* A batch of 64 MiB and more waits whole, and is taken in parts. */
START_TEST(much_is_taken_in_parts)
{
    struct rig r;
    struct buf rows;
    uint64_t at = 100;
    size_t most = 0, parts = 0;
    rig_open(&r, 0, 100, NULL, 0);
    testenv_run(&r.env);
    r.client.now = 1000;
    list_again(&r);
    tell(&r, 0, 900, 500, LIMIT_VALUE_BYTES, 64);
    tell(&r, 1, 950, 510, LIMIT_VALUE_BYTES, 20);
    ck_assert_uint_gt(changes_bytes(r.changes), 80u << 20);
    buf_init(&rows, 128u << 20);
    while (at < 900) {
        uint64_t upto = changes_upto(r.changes, at, 10u << 20);
        ck_assert(upto > at && upto <= 900);
        buf_clear(&rows);
        changes_take(r.changes, upto, &rows);
        ck_assert(!rows.overflow);
        if (rows.size > most) most = rows.size;
        parts += rows.size > 0;
        at = upto;
    }
    ck_assert_uint_le(most, 10u << 20);
    ck_assert_uint_ge(parts, 10);
    ck_assert_uint_eq(changes_bytes(r.changes), 0);
    buf_free(&rows);
    rig_close(&r);
}
END_TEST

/* Who is waited for does not pause: each watch is told so, and those of keyspaces that come to be; the list is read again at once, until it is
 * later than what is wanted. */
START_TEST(nothing_pauses_when_somebody_waits)
{
    struct rig r;
    rig_open(&r, 0, 100, NULL, 0);
    r.client.keyspace_count = 1;
    testenv_run(&r.env);
    ck_assert_uint_eq(changes_listed(r.changes), 100);
    r.client.now = 200;
    r.client.keyspace_count = 2;
    testenv_run(&r.env);
    ck_assert_uint_eq(changes_listed(r.changes), 100);
    changes_hurry(r.changes, 150);
    testenv_run(&r.env);
    ck_assert_uint_eq(changes_listed(r.changes), 200);
    ck_assert_uint_eq(r.client.watch_count, 2);
    ck_assert(r.client.watches[0].wanted == 150 && r.client.watches[1].wanted == 150);
    r.client.now = 300;
    testenv_run(&r.env);
    ck_assert_uint_eq(changes_listed(r.changes), 200);
    rig_close(&r);
}
END_TEST

START_TEST(a_transaction_is_never_cut)
{
    struct rig r;
    rig_open(&r, 0, 100, NULL, 0);
    testenv_run(&r.env);
    r.client.now = 1000;
    list_again(&r);
    tell(&r, 0, 900, 500, 1u << 20, 1);
    tell(&r, 1, 900, 500, 1u << 20, 1);
    ck_assert_uint_eq(changes_upto(r.changes, 100, 1u << 10), 499);
    ck_assert_uint_eq(changes_upto(r.changes, 499, 1u << 10), 500);
    rig_close(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("backup_changes");
    TCase *c = tcase_create("resolved");
    tcase_add_test(c, nothing_is_resolved_past_a_keyspace_that_is_lost);
    tcase_add_test(c, what_is_known_of_a_dropped_keyspace_is_handed_on);
    tcase_add_test(c, much_is_taken_in_parts);
    tcase_add_test(c, nothing_pauses_when_somebody_waits);
    tcase_add_test(c, a_transaction_is_never_cut);
    suite_add_tcase(s, c);
    return run_suite(s);
}
