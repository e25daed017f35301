#include "backup/catalog.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define READS_MAX 20u

static void *grow(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) return items;
    *capacity = *capacity == 0 ? 16 : *capacity * 2;
    return mem_realloc(items, *capacity * size);
}

static void on_changes(void *ctx, const char *name)
{
    struct catalog *c = ctx;
    uint64_t n[2];
    uint8_t head[BACKUP_CHANGES_HEAD_BYTES];
    char path[BACKUP_NAME_MAX];
    if (c->status != STATUS_OK || !backup_name_read(name, "", 2, n)) return;
    struct catalog_changes f = {.from = n[0], .to = n[1]};
    backup_changes_name(path, f.from, f.to);
    enum status s = depot_peek(c->depot, path, head, sizeof head, &f.bytes, &c->err);
    c->moved = c->moved || s == STATUS_NOT_FOUND;
    if (s != STATUS_NOT_FOUND) c->status = s;
    if (s != STATUS_OK) return;
    memcpy(f.cluster.bytes, head + sizeof head - CLUSTER_ID_BYTES, CLUSTER_ID_BYTES);
    c->changes = grow(c->changes, c->change_count, &c->change_capacity, sizeof *c->changes);
    c->changes[c->change_count++] = f;
}

static void read_manifest(struct catalog *c, const char *name, struct backup_manifest *out)
{
    struct buf bytes;
    struct slice body;
    enum status s = depot_read_now(c->depot, name, BACKUP_MANIFEST, &bytes, &body, &c->err);
    if (s == STATUS_OK) {
        body = arena_dup_slice(&c->arena, body);
        s = backup_manifest_get(body, &c->arena, out);
        if (s != STATUS_OK) errbuf_set(&c->err, "%s: does not make sense", name);
    }
    if (s == STATUS_NOT_FOUND)
        c->moved = true;
    else
        c->status = s;
    buf_free(&bytes);
}

static void on_name(void *ctx, const char *name)
{
    struct catalog *c = ctx;
    uint64_t n[2];
    if (c->status != STATUS_OK) return;
    if (backup_name_read(name, "backup-", 1, n)) {
        c->backups = grow(c->backups, c->backup_count, &c->backup_capacity, sizeof *c->backups);
        c->backups[c->backup_count] = (struct backup_manifest){.from = 0};
        read_manifest(c, name, &c->backups[c->backup_count++]);
    } else if (backup_name_read(name, "partial-", 1, n)) {
        struct backup_manifest m = {.from = 0};
        read_manifest(c, name, &m);
        if (m.from > c->partial.from) c->partial = m;
    }
}

static int compare_backups(const void *a, const void *b)
{
    const struct backup_manifest *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

static int compare_changes(const void *a, const void *b)
{
    const struct catalog_changes *x = a, *y = b;
    if (x->from != y->from) return x->from < y->from ? -1 : 1;
    return (x->to > y->to) - (x->to < y->to);
}

static void read_once(struct catalog *c, struct depot *d)
{
    *c = (struct catalog){.depot = d};
    arena_init(&c->arena, 4096);
    enum status s = depot_list(d, "", on_name, c, &c->err);
    if (s == STATUS_OK && c->status == STATUS_OK) s = depot_list(d, "changes", on_changes, c, &c->err);
    if (s != STATUS_OK) c->status = s;
    c->depot = NULL;
}

enum status catalog_read(struct catalog *c, struct depot *d, struct errbuf *err)
{
    read_once(c, d);
    for (unsigned i = 0; i < READS_MAX && c->moved && c->status == STATUS_OK; i++) {
        catalog_free(c);
        read_once(c, d);
    }
    if (c->status == STATUS_OK && c->moved) c->status = STATUS_NOT_FOUND;
    if (c->status != STATUS_OK) {
        enum status s = c->status;
        *err = c->err;
        catalog_free(c);
        return s;
    }
    if (c->backup_count > 1) qsort(c->backups, c->backup_count, sizeof *c->backups, compare_backups);
    if (c->change_count > 1) qsort(c->changes, c->change_count, sizeof *c->changes, compare_changes);
    /* What was broken off before the newest backup was begun is of no use. */
    if (c->backup_count > 0 && c->partial.from < c->backups[c->backup_count - 1].from) c->partial.from = 0;
    return STATUS_OK;
}

enum status catalog_check(const struct catalog *c, const struct cluster_id *cluster, struct errbuf *err)
{
    bool same = c->partial.from == 0 || memcmp(&c->partial.cluster, cluster, sizeof *cluster) == 0;
    for (size_t i = 0; i < c->backup_count; i++)
        same = same && memcmp(&c->backups[i].cluster, cluster, sizeof *cluster) == 0;
    for (size_t i = 0; i < c->change_count; i++)
        same = same && memcmp(&c->changes[i].cluster, cluster, sizeof *cluster) == 0;
    if (same) return STATUS_OK;
    errbuf_set(err, "the directory holds files of another cluster: give each cluster its own");
    return STATUS_WRONG_CLUSTER;
}

enum status catalog_keyspaces(struct catalog *c, struct depot *d, uint64_t at, const struct backup_keyspace **out,
                              size_t *count, struct errbuf *err)
{
    const struct catalog_changes *f = NULL;
    *out = NULL;
    *count = 0;
    for (size_t i = 0; i < c->change_count; i++)
        if (c->changes[i].to == at) f = &c->changes[i];
    if (f == NULL) return STATUS_OK;
    char name[BACKUP_NAME_MAX];
    struct buf bytes;
    struct slice body;
    struct backup_changes changes;
    backup_changes_name(name, f->from, f->to);
    enum status s = depot_read_now(d, name, BACKUP_CHANGES, &bytes, &body, err);
    if (s == STATUS_OK && backup_changes_get(body, &c->arena, &changes) != STATUS_OK) {
        errbuf_set(err, "%s: does not make sense", name);
        s = STATUS_CORRUPT;
    }
    for (size_t i = 0; s == STATUS_OK && i < changes.keyspace_count; i++)
        changes.keyspaces[i].name = arena_dup_slice(&c->arena, changes.keyspaces[i].name);
    if (s == STATUS_OK) {
        *out = changes.keyspaces;
        *count = changes.keyspace_count;
    }
    buf_free(&bytes);
    return s;
}

void catalog_free(struct catalog *c)
{
    mem_free(c->backups);
    mem_free(c->changes);
    c->backups = NULL;
    c->changes = NULL;
    c->backup_count = c->change_count = 0;
    arena_free(&c->arena);
}

uint64_t catalog_chain(const struct catalog *c, uint64_t from, uint64_t want, const struct catalog_changes **files,
                       size_t *count)
{
    uint64_t at = from;
    size_t n = 0;
    for (size_t i = 0; at < want;) {
        const struct catalog_changes *best = NULL;
        for (; i < c->change_count && c->changes[i].from <= at; i++)
            if (c->changes[i].to > at && (best == NULL || c->changes[i].to > best->to)) best = &c->changes[i];
        if (best == NULL) break;
        if (files != NULL) files[n] = best;
        n++;
        at = best->to;
    }
    if (count != NULL) *count = n;
    return at;
}
