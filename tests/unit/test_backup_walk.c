/* Files of a backup: the example of docs/formats/backup.md; and a random history, cut into chunks that are as of different timestamps and
 * files of changes, read back as of any timestamp, in one part or many: just the rows of the history. What is damaged or missing is found. */
#include "backup/restore.h"
#include "backup/walk.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/prng.h"
#include "lib/memdisk.h"
#include "lib/suite.h"
#include "lib/testenv.h"
#include "lib/txn_example.h"
#include "meta/machine.h"
#include "txn/txn.h"

#include <stdio.h>
#include <stdlib.h>

#define KEYS 40u
#define EVENTS 300u
#define SPACES 2u

static const struct cluster_id mine = {.bytes = {1, 2, 3}}, other = {.bytes = {1, 2, 4}};

struct event {
    uint64_t ts;
    uint32_t keyspace; /* 1, 2: from the beginning; 3: comes to be in the middle */
    unsigned key;
    uint8_t kind;
    uint64_t ttl_ms;
    char value[24];
};

struct rig {
    struct prng prng;
    struct memdisk *disk;
    struct testenv env;
    struct depot *depot;
    struct event events[EVENTS];
    uint64_t from, at, end; /* timestamps of the backup and of the last change */
    uint64_t third_since;
    bool foreign; /* changes are written as another cluster's */
    struct backup_keyspace spaces[3];
    struct backup_chunk chunks[64];
    size_t chunk_count;
    char names[64][BACKUP_NAME_MAX];
    char keys[64][2][8];
};

static void on_written(void *ctx, enum status s, const char *text, struct buf *bytes)
{
    (void)ctx;
    (void)bytes;
    ck_assert_msg(s == STATUS_OK, "%s", text);
}

static void key_text(unsigned key, char text[8])
{
    (void)snprintf(text, 8, "k%02u", key);
}

static struct backup_row row_of(const struct event *e, char key[8])
{
    key_text(e->key, key);
    return (struct backup_row){.keyspace = e->keyspace,
                               .kind = e->kind,
                               .ts = e->ts,
                               .ttl_ms = e->ttl_ms,
                               .key = slice_str(key),
                               .value = e->kind == BACKUP_DELETE ? SLICE_EMPTY : slice_str(e->value)};
}

/* The newest event of the key up to ts, if its row is there. */
static const struct event *model(const struct rig *r, uint32_t keyspace, unsigned key, uint64_t ts)
{
    const struct event *found = NULL;
    for (unsigned i = 0; i < EVENTS && r->events[i].ts <= ts; i++)
        if (r->events[i].keyspace == keyspace && r->events[i].key == key) found = &r->events[i];
    if (found == NULL || found->kind == BACKUP_DELETE) return NULL;
    if (found->ttl_ms != 0 && found->ts + (found->ttl_ms << TS_COUNTER_BITS) <= ts) return NULL;
    return found;
}

static void make_history(struct rig *r)
{
    uint64_t ts = 1000ull << TS_COUNTER_BITS;
    for (unsigned i = 0; i < EVENTS; i++) {
        struct event *e = &r->events[i];
        ts += 1 + (prng_below(&r->prng, 3) << TS_COUNTER_BITS);
        e->ts = ts;
        e->keyspace = (uint32_t)prng_between(&r->prng, 1, i > EVENTS / 2 ? 3 : 2);
        e->key = (unsigned)prng_below(&r->prng, KEYS);
        e->kind = (uint8_t)prng_below(&r->prng, 3);
        e->ttl_ms = e->kind != BACKUP_DELETE && prng_chance(&r->prng, 1, 5) ? prng_between(&r->prng, 1, 200) : 0;
        (void)snprintf(e->value, sizeof e->value, "%u", i);
    }
    r->from = r->events[prng_below(&r->prng, EVENTS / 3)].ts;
    r->at = r->events[prng_between(&r->prng, EVENTS / 3, EVENTS * 2 / 3)].ts;
    r->end = r->events[EVENTS - 1].ts + 5;
    r->third_since = r->events[EVENTS / 2].ts;
    for (uint32_t i = 0; i < 3; i++)
        r->spaces[i] = (struct backup_keyspace){.id = i + 1, .name = slice_str(i == 0 ? "a" : i == 1 ? "b" : "c")};
    r->spaces[2].absent_until = r->third_since;
}

static void write_chunk(struct rig *r, uint32_t keyspace, unsigned low, unsigned high)
{
    size_t n = r->chunk_count++;
    struct backup_chunk *c = &r->chunks[n];
    struct buf b;
    buf_init(&b, 1u << 20);
    key_text(low, r->keys[n][0]);
    key_text(high, r->keys[n][1]);
    *c = (struct backup_chunk){.keyspace = keyspace, .name = SLICE_EMPTY};
    c->start = low == 0 ? SLICE_EMPTY : slice_str(r->keys[n][0]);
    c->end = high == KEYS ? SLICE_EMPTY : slice_str(r->keys[n][1]);
    c->ts = prng_between(&r->prng, r->from, r->at);
    backup_file_begin(&b, BACKUP_CHUNK);
    for (unsigned k = low; k < high; k++) {
        char key[8];
        const struct event *e = model(r, keyspace, k, c->ts);
        if (e == NULL) continue;
        struct backup_row row = row_of(e, key);
        backup_row_put(&b, &row);
        backup_digest_row(&c->digest, &row);
    }
    if (c->digest.rows + c->digest.mortal > 0) {
        backup_chunk_name(r->names[n], r->from, n);
        c->name = slice_str(r->names[n]);
        c->file_bytes = b.size + 4;
        c->crc = crc32c(0, b.data, b.size);
        backup_file_end(&b, r->names[n]);
        depot_write(r->depot, r->names[n], &b, on_written, NULL);
    }
    buf_free(&b);
}

static void write_changes(struct rig *r, uint64_t from, uint64_t to)
{
    char name[BACKUP_NAME_MAX];
    struct buf b;
    struct backup_changes head = {.cluster = mine, .from = from, .to = to, .keyspaces = r->spaces};
    if (r->foreign) head.cluster = other;
    head.keyspace_count = to > r->third_since ? 3 : 2;
    buf_init(&b, 1u << 20);
    backup_file_begin(&b, BACKUP_CHANGES);
    backup_changes_put(&b, &head);
    for (uint32_t k = 1; k <= 3; k++)
        for (unsigned i = 0; i < EVENTS; i++) {
            char key[8];
            const struct event *e = &r->events[i];
            if (e->keyspace != k || e->ts <= from || e->ts > to) continue;
            struct backup_row row = row_of(e, key);
            backup_row_put(&b, &row);
        }
    backup_changes_name(name, from, to);
    backup_file_end(&b, name);
    depot_write(r->depot, name, &b, on_written, NULL);
}

static void write_all(struct rig *r)
{
    char name[BACKUP_NAME_MAX];
    struct buf b;
    for (uint32_t k = 1; k <= SPACES; k++)
        for (unsigned low = 0; low < KEYS;) {
            unsigned high = low + (unsigned)prng_between(&r->prng, 1, 15);
            if (high > KEYS) high = KEYS;
            write_chunk(r, k, low, high);
            low = high;
        }
    for (uint64_t from = r->from; from < r->end;) {
        uint64_t to = from + (prng_between(&r->prng, 5, 200) << TS_COUNTER_BITS);
        if (to > r->end) to = r->end;
        write_changes(r, from, to);
        if (prng_chance(&r->prng, 1, 3)) write_changes(r, from, from + (to - from) / 2); /* one that is not needed */
        from = to;
    }
    struct backup_manifest m = {.cluster = mine, .complete = true, .from = r->from, .at = r->at};
    m.keyspaces = r->spaces;
    m.keyspace_count = r->at > r->third_since ? 3 : 2;
    m.chunks = r->chunks;
    m.chunk_count = r->chunk_count;
    qsort(m.chunks, m.chunk_count, sizeof *m.chunks, backup_chunk_compare);
    buf_init(&b, 1u << 20);
    backup_file_begin(&b, BACKUP_MANIFEST);
    backup_manifest_put(&b, &m);
    backup_manifest_name(name, true, r->at);
    backup_file_end(&b, name);
    depot_write(r->depot, name, &b, on_written, NULL);
    testenv_run(&r->env);
}

static void rig_open(struct rig *r, uint64_t seed)
{
    struct errbuf err;
    memset(r, 0, sizeof *r);
    prng_init(&r->prng, seed);
    r->disk = memdisk_new(seed);
    testenv_init(&r->env, memdisk_disk(r->disk), seed);
    ck_assert(depot_new(&r->env.env, &r->depot, &err) == STATUS_OK);
    make_history(r);
    write_all(r);
}

static void rig_close(struct rig *r)
{
    depot_free(r->depot);
    testenv_free(&r->env);
    memdisk_free(r->disk);
}

/* --- reading it back --- */

struct reading {
    const struct rig *rig;
    struct walk *walk;
    uint64_t at;
    unsigned rows, left; /* left: chunks of the keyspace that comes first */
    const char *first;
    bool wrong, ended;
    enum status status;
};

static void on_plan(void *ctx)
{
    struct reading *g = ctx;
    size_t count;
    const struct backup_chunk *c = walk_chunks(g->walk, &count);
    for (size_t i = 0; i < count && strcmp(g->first, "b") == 0; i++) g->left += c[i].keyspace == 2;
    (void)walk_keyspaces(g->walk, &count);
    g->wrong = g->wrong || count != (g->at > g->rig->third_since ? 3 : 2);
}

static void on_chunk(void *ctx, struct walk_chunk *c)
{
    struct reading *g = ctx;
    struct backup_row row;
    bool leads = c->rows.chunk->keyspace == 2 && strcmp(g->first, "b") == 0;
    if (leads) g->left--;
    g->wrong = g->wrong || (!leads && g->left > 0);
    while (merged_next(&c->rows, &row)) {
        unsigned key = (unsigned)(row.key.data[1] - '0') * 10 + (unsigned)(row.key.data[2] - '0');
        const struct event *e = model(g->rig, row.keyspace, key, g->at);
        bool same = e != NULL && e->ts == row.ts && e->kind == row.kind && e->ttl_ms == row.ttl_ms &&
                    slice_eq(slice_str(e->value), row.value);
        g->wrong = g->wrong || !same;
        g->rows++;
    }
    walk_chunk_done(c);
}

static void on_end(void *ctx, enum status s, const char *text)
{
    struct reading *g = ctx;
    g->ended = true;
    g->status = s;
    ck_assert(s == STATUS_OK || text[0] != '\0');
}

/* between: after the catalog has been read. */
static enum status read_between(struct rig *r, uint64_t at, uint64_t memory_bytes, struct reading *g,
                                void (*between)(struct rig *))
{
    static const struct walk_events events = {.on_plan = on_plan, .on_chunk = on_chunk, .on_end = on_end};
    struct walk_options o = {.at = at, .ahead = (uint32_t)prng_between(&r->prng, 1, 6), .memory_bytes = memory_bytes};
    struct catalog catalog;
    struct errbuf err;
    *g = (struct reading){.rig = r, .at = at};
    enum status s = catalog_read(&catalog, r->depot, &err);
    if (s != STATUS_OK) return s;
    if (between != NULL) between(r);
    o.first = slice_str(g->first = prng_chance(&r->prng, 1, 2) ? "b" : "none");
    s = walk_new(&r->env.env, r->depot, &catalog, &o, &events, g, &g->walk, &err);
    if (s == STATUS_OK) {
        testenv_run(&r->env);
        ck_assert(g->ended);
        s = g->status;
        walk_free(g->walk);
    }
    catalog_free(&catalog);
    return s;
}

static enum status read_at(struct rig *r, uint64_t at, uint64_t memory_bytes, struct reading *g)
{
    return read_between(r, at, memory_bytes, g, NULL);
}

static unsigned rows_at(const struct rig *r, uint64_t at)
{
    unsigned rows = 0;
    for (uint32_t k = 1; k <= 3; k++)
        for (unsigned i = 0; i < KEYS; i++) rows += model(r, k, i, at) != NULL;
    return rows;
}

START_TEST(any_timestamp_is_the_history)
{
    static struct rig r;
    struct reading g;
    rig_open(&r, (uint64_t)_i + 1);
    for (unsigned i = 0; i < 12; i++) {
        uint64_t at = prng_between(&r.prng, r.at, r.end), memory = i % 3 == 0 ? 500 : 0;
        ck_assert_int_eq(read_at(&r, at, memory, &g), STATUS_OK);
        ck_assert_msg(!g.wrong && g.rows == rows_at(&r, at), "seed %d: as of %llu: %u rows, not %u", _i + 1,
                      (unsigned long long)at, g.rows, rows_at(&r, at));
    }
    ck_assert_int_eq(read_at(&r, r.at - 1, 0, &g), STATUS_NOT_FOUND);
    ck_assert_int_eq(read_at(&r, r.end + 1, 0, &g), STATUS_NOT_FOUND);
    rig_close(&r);
}
END_TEST

struct pick {
    uint64_t left;
    char path[BACKUP_NAME_MAX];
    size_t size;
};

static void pick_file(void *ctx, const char *path, struct slice content)
{
    struct pick *p = ctx;
    if (p->left-- == 0 || p->size == 0) {
        (void)snprintf(p->path, sizeof p->path, "%s", path);
        p->size = content.size;
    }
}

/* A bit flipped anywhere: found, or in a file that is not needed. A file that stands under another's name: found. */
START_TEST(damage_is_found)
{
    static struct rig r;
    struct reading g;
    unsigned found = 0;
    for (unsigned i = 0; i < 40; i++) {
        struct pick p = {.size = 0};
        rig_open(&r, 100 + (uint64_t)_i * 40 + i);
        p.left = prng_below(&r.prng, 12);
        memdisk_each(r.disk, pick_file, &p);
        memdisk_flip(r.disk, p.path, prng_below(&r.prng, p.size), (unsigned)prng_below(&r.prng, 8));
        enum status s = read_at(&r, r.end, 0, &g);
        ck_assert(s == STATUS_CORRUPT || s == STATUS_UNSUPPORTED || (s == STATUS_OK && !g.wrong));
        found += s != STATUS_OK;
        rig_close(&r);
    }
    ck_assert_uint_gt(found, 20);
    rig_open(&r, 7 + (uint64_t)_i);
    struct disk *disk = memdisk_disk(r.disk);
    size_t a = 0, b = r.chunk_count - 1;
    char from[BACKUP_NAME_MAX], to[BACKUP_NAME_MAX];
    while (r.chunks[a].name.size == 0) a++;
    while (r.chunks[b].name.size == 0) b--;
    (void)snprintf(from, sizeof from, "%.*s", (int)r.chunks[a].name.size, (const char *)r.chunks[a].name.data);
    (void)snprintf(to, sizeof to, "%.*s", (int)r.chunks[b].name.size, (const char *)r.chunks[b].name.data);
    ck_assert(a != b && disk->ops->rename(disk, from, to) == STATUS_OK);
    ck_assert_int_ne(read_at(&r, r.end, 0, &g), STATUS_OK);
    rig_close(&r);
}
END_TEST

START_TEST(holes_and_overlaps_are_refused)
{
    struct backup_keyspace k = {.id = 1, .name = slice_str("a")};
    struct backup_chunk c[3] = {{.keyspace = 1, .start = SLICE_EMPTY, .end = slice_str("g"), .ts = 5},
                                {.keyspace = 1, .start = slice_str("g"), .end = slice_str("p"), .ts = 6},
                                {.keyspace = 1, .start = slice_str("p"), .end = SLICE_EMPTY, .ts = 7}};
    struct backup_manifest m = {
        .complete = true, .from = 5, .at = 7, .keyspaces = &k, .keyspace_count = 1, .chunks = c, .chunk_count = 3};
    struct errbuf err;
    ck_assert(backup_manifest_check(&m, &err) == STATUS_OK);
    c[1].start = slice_str("h");
    ck_assert(backup_manifest_check(&m, &err) == STATUS_CORRUPT && strstr(err.text, "a hole") != NULL);
    c[1].start = slice_str("f");
    ck_assert(backup_manifest_check(&m, &err) == STATUS_CORRUPT && strstr(err.text, "an overlap") != NULL);
    c[1].start = slice_str("g");
    c[2].end = slice_str("z");
    ck_assert(backup_manifest_check(&m, &err) == STATUS_CORRUPT && strstr(err.text, "a hole") != NULL);
    c[2].end = SLICE_EMPTY;
    c[2].ts = 8;
    ck_assert(backup_manifest_check(&m, &err) == STATUS_CORRUPT);
    c[2].ts = 7;
    m.chunk_count = 0;
    ck_assert(backup_manifest_check(&m, &err) == STATUS_CORRUPT && strstr(err.text, "a hole") != NULL);
    k.absent_until = 6; /* it came meanwhile: its rows are changes */
    ck_assert(backup_manifest_check(&m, &err) == STATUS_OK);
}
END_TEST

START_TEST(example_of_the_document)
{
    struct backup_keyspace k = {.id = 7, .name = slice_str("bank"), .replication = 3, .buckets = 2};
    struct backup_changes c = {.from = 256, .to = 512, .keyspaces = &k, .keyspace_count = 1}, read;
    for (uint8_t i = 0; i < CLUSTER_ID_BYTES; i++) c.cluster.bytes[i] = (uint8_t)(0x11 + i);
    struct backup_row rows[2] = {{.keyspace = 7,
                                  .kind = BACKUP_COUNTER,
                                  .ts = 300,
                                  .key = slice_str("\x01"
                                                   "a"),
                                  .value = slice_str("5")},
                                 {.keyspace = 7,
                                  .kind = BACKUP_DELETE,
                                  .ts = 301,
                                  .key = slice_str("\x01"
                                                   "a"),
                                  .value = SLICE_EMPTY}};
    char name[BACKUP_NAME_MAX];
    struct buf b, example;
    struct arena arena;
    struct slice body;
    struct errbuf err;
    buf_init(&b, 4096);
    buf_init(&example, 4096);
    arena_init(&arena, 4096);
    backup_file_begin(&b, BACKUP_CHANGES);
    backup_changes_put(&b, &c);
    for (unsigned i = 0; i < 2; i++) backup_row_put(&b, &rows[i]);
    backup_changes_name(name, c.from, c.to);
    backup_file_end(&b, name);
    ck_assert(example_load("docs/formats/backup.md", "changes", &example));
    ck_assert(slice_eq(buf_slice(&b), buf_slice(&example)));
    ck_assert(backup_file_open(buf_slice(&example), BACKUP_CHANGES, name, &body, &err) == STATUS_OK);
    ck_assert(backup_changes_get(body, &arena, &read) == STATUS_OK && read.from == 256 && read.to == 512);
    ck_assert(memcmp(&read.cluster, &c.cluster, sizeof c.cluster) == 0);
    ck_assert(read.keyspace_count == 1 && slice_eq(read.keyspaces[0].name, k.name) && read.keyspaces[0].buckets == 2);
    ck_assert(backup_file_open(buf_slice(&example), BACKUP_CHANGES, "another", &body, &err) == STATUS_CORRUPT);
    ck_assert(backup_file_open(buf_slice(&example), BACKUP_CHUNK, name, &body, &err) == STATUS_CORRUPT);
    buf_free(&b);
    buf_free(&example);
    arena_free(&arena);
}
END_TEST

static void expect_exists(void *ctx, enum status s, const char *text, struct buf *bytes)
{
    (void)text;
    (void)bytes;
    *(enum status *)ctx = s;
}

START_TEST(no_name_of_a_chunk_is_used_twice)
{
    static struct rig r;
    enum status s = STATUS_OK;
    struct reading g;
    struct buf b;
    uint64_t from, number;
    rig_open(&r, 900);
    size_t n = 0;
    while (r.chunks[n].name.size == 0) n++;
    char name[BACKUP_NAME_MAX];
    (void)snprintf(name, sizeof name, "%.*s", (int)r.chunks[n].name.size, (const char *)r.chunks[n].name.data);
    ck_assert(backup_chunk_name_read(name + 7, &from, &number) && from == r.from && number < r.chunk_count);
    ck_assert(!backup_chunk_name_read("LOCK", &from, &number));
    ck_assert(!backup_chunk_name_read("0000000000000001-000001.tmp", &from, &number));
    ck_assert(backup_chunk_name_read("0000000000000001-1000001", &from, &number) && number == 1000001);
    buf_init(&b, 4096);
    backup_file_begin(&b, BACKUP_CHUNK);
    backup_file_end(&b, name);
    depot_write(r.depot, name, &b, expect_exists, &s);
    testenv_run(&r.env);
    ck_assert_int_eq(s, STATUS_EXISTS);
    ck_assert_int_eq(read_at(&r, r.end, 0, &g), STATUS_OK);
    ck_assert(!g.wrong);
    buf_free(&b);
    rig_close(&r);
}
END_TEST

START_TEST(another_clusters_files_are_refused)
{
    static struct rig r;
    struct reading g;
    struct catalog catalog;
    struct errbuf err;
    rig_open(&r, 901);
    ck_assert(catalog_read(&catalog, r.depot, &err) == STATUS_OK);
    ck_assert(catalog_check(&catalog, &mine, &err) == STATUS_OK);
    ck_assert(catalog_check(&catalog, &other, &err) == STATUS_WRONG_CLUSTER);
    catalog_free(&catalog);
    r.foreign = true;
    write_changes(&r, r.end, r.end + 9);
    testenv_run(&r.env);
    ck_assert(catalog_read(&catalog, r.depot, &err) == STATUS_OK);
    ck_assert(catalog_check(&catalog, &mine, &err) == STATUS_WRONG_CLUSTER);
    catalog_free(&catalog);
    ck_assert_int_eq(read_at(&r, r.end + 9, 0, &g), STATUS_WRONG_CLUSTER);
    rig_close(&r);
}
END_TEST

/* Between what is known of it and its drop, a keyspace cannot be restored; before and after it can. */
START_TEST(what_is_not_known_of_a_dropped_keyspace_is_refused)
{
    static struct rig r;
    struct reading g;
    const struct backup_keyspace *known;
    struct catalog catalog;
    struct errbuf err;
    size_t count;
    rig_open(&r, 902);
    r.spaces[1].known_upto = r.end + 10;
    r.spaces[1].dropped_ts = r.end + 20;
    write_changes(&r, r.end, r.end + 30);
    testenv_run(&r.env);
    ck_assert_int_eq(read_at(&r, r.end + 10, 0, &g), STATUS_OK);
    ck_assert(!g.wrong);
    ck_assert_int_eq(read_at(&r, r.end + 11, 0, &g), STATUS_NOT_FOUND);
    ck_assert_int_eq(read_at(&r, r.end + 19, 0, &g), STATUS_NOT_FOUND);
    (void)read_at(&r, r.end + 20, 0, &g);
    ck_assert_int_eq(g.status, STATUS_OK);
    ck_assert(catalog_read(&catalog, r.depot, &err) == STATUS_OK); /* who goes on learns it */
    ck_assert(catalog_keyspaces(&catalog, r.depot, r.end + 30, &known, &count, &err) == STATUS_OK);
    ck_assert(count == 3 && known[1].id == 2 && known[1].known_upto == r.end + 10);
    catalog_free(&catalog);
    rig_close(&r);
}
END_TEST

/* It was dropped when the backup ended, and taken back: its chunks are gone. */
START_TEST(a_keyspace_without_its_chunks_is_refused)
{
    static struct rig r;
    struct reading g;
    char name[BACKUP_NAME_MAX];
    struct buf b;
    rig_open(&r, 903);
    size_t kept = 0;
    for (size_t i = 0; i < r.chunk_count; i++)
        if (r.chunks[i].keyspace != 2) r.chunks[kept++] = r.chunks[i];
    struct backup_manifest m = {.cluster = mine, .complete = true, .from = r.from, .at = r.at};
    m.keyspaces = r.spaces;
    m.keyspace_count = 2;
    m.chunks = r.chunks;
    m.chunk_count = kept;
    r.spaces[1].dropped_ts = r.at;
    buf_init(&b, 1u << 20);
    backup_file_begin(&b, BACKUP_MANIFEST);
    backup_manifest_put(&b, &m);
    backup_manifest_name(name, true, r.at);
    backup_file_end(&b, name);
    depot_write(r.depot, name, &b, on_written, NULL);
    testenv_run(&r.env);
    ck_assert_int_eq(read_at(&r, r.end, 0, &g), STATUS_NOT_FOUND);
    rig_close(&r);
}
END_TEST

/* A backup that was broken off before a later one was begun is not gone on with; a directory that cannot be read is not an empty one. */
START_TEST(a_directory_is_read_as_it_is)
{
    static struct rig r;
    struct catalog catalog;
    struct errbuf err;
    char name[BACKUP_NAME_MAX];
    struct buf b;
    rig_open(&r, 906);
    for (unsigned later = 0; later < 2; later++) {
        struct backup_manifest m = {.cluster = mine, .from = later == 1 ? r.from : r.from - 1};
        buf_init(&b, 1u << 20);
        backup_file_begin(&b, BACKUP_MANIFEST);
        backup_manifest_put(&b, &m);
        backup_manifest_name(name, false, m.from);
        backup_file_end(&b, name);
        depot_write(r.depot, name, &b, on_written, NULL);
        testenv_run(&r.env);
        ck_assert(catalog_read(&catalog, r.depot, &err) == STATUS_OK);
        ck_assert_uint_eq(catalog.partial.from, later == 1 ? r.from : 0);
        catalog_free(&catalog);
    }
    for (unsigned n = 1; n <= 2; n++) {
        memdisk_fail_at(r.disk, MEMDISK_LIST, n, STATUS_IO, false);
        ck_assert_int_eq(catalog_read(&catalog, r.depot, &err), STATUS_IO);
    }
    rig_close(&r);
}
END_TEST

/* As etcd's keys lie in rows: created 0 means "with this version". */
START_TEST(keys_keep_the_revision_in_which_they_came_to_be)
{
    struct arena arena;
    arena_init(&arena, 1024);
    struct revised fresh = {.created = 0, .count = 1, .lease = 9, .value = slice_str("v")};
    struct backup_row row = {.keyspace = 3, .kind = BACKUP_RAW, .ts = 77, .key = slice_str("k")};
    row.value = revised_make(&arena, &fresh);
    struct backup_row plain = restore_row(&arena, slice_str("bank"), row);
    ck_assert(slice_eq(plain.value, row.value));
    struct revised kept = revised_read(restore_row(&arena, slice_str("etcd"), row).value, 500);
    ck_assert(kept.created == 77 && kept.count == 1 && kept.lease == 9 && slice_eq(kept.value, slice_str("v")));
    fresh.created = 50;
    row.value = revised_make(&arena, &fresh);
    ck_assert(slice_eq(restore_row(&arena, slice_str("etcd"), row).value, row.value));
    arena_free(&arena);
}
END_TEST

/* Older releases allowed it, and no cluster takes it any more. */
START_TEST(what_must_stay_gets_no_time_to_live_back)
{
    struct backup_keyspace own = {.name = slice_str("ledger"), .ttl_ms = 5000}, bank = own;
    bank.name = slice_str("bank");
    ck_assert_uint_eq(restore_ttl(&own), 0);
    ck_assert_uint_eq(restore_ttl(&bank), 5000);
    ck_assert_ptr_null(keyspace_ttl_fault(own.name, restore_ttl(&own)));
}
END_TEST

static void grow_archive(struct rig *r)
{
    char name[BACKUP_NAME_MAX];
    backup_changes_name(name, r->end, r->end + 10);
    write_changes(r, r->end, r->end + 20);
    testenv_run(&r->env);
    depot_remove(r->depot, name);
}

static void lose_archive(struct rig *r)
{
    char name[BACKUP_NAME_MAX];
    backup_changes_name(name, r->end, r->end + 10);
    depot_remove(r->depot, name);
}

START_TEST(the_archive_may_grow_meanwhile)
{
    static struct rig r;
    struct reading g;
    for (unsigned i = 0; i < 2; i++) {
        rig_open(&r, 904);
        write_changes(&r, r.end, r.end + 10);
        testenv_run(&r.env);
        enum status s = read_between(&r, r.end + 10, i == 1 ? 500 : 0, &g, grow_archive);
        ck_assert_int_eq(s, STATUS_OK);
        ck_assert(!g.wrong);
        rig_close(&r);
    }
    rig_open(&r, 905);
    write_changes(&r, r.end, r.end + 10);
    testenv_run(&r.env);
    ck_assert_int_eq(read_between(&r, r.end + 10, 0, &g, lose_archive), STATUS_NOT_FOUND);
    rig_close(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("backup_walk");
    TCase *c = tcase_create("files");
    tcase_add_loop_test(c, any_timestamp_is_the_history, 0, 60);
    tcase_add_loop_test(c, damage_is_found, 0, 5);
    tcase_add_test(c, holes_and_overlaps_are_refused);
    tcase_add_test(c, example_of_the_document);
    tcase_add_test(c, no_name_of_a_chunk_is_used_twice);
    tcase_add_test(c, another_clusters_files_are_refused);
    tcase_add_test(c, what_is_not_known_of_a_dropped_keyspace_is_refused);
    tcase_add_test(c, a_keyspace_without_its_chunks_is_refused);
    tcase_add_test(c, the_archive_may_grow_meanwhile);
    tcase_add_test(c, a_directory_is_read_as_it_is);
    tcase_add_test(c, keys_keep_the_revision_in_which_they_came_to_be);
    tcase_add_test(c, what_must_stay_gets_no_time_to_live_back);
    suite_add_tcase(s, c);
    return run_suite(s);
}
