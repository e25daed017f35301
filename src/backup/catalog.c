#include "backup/catalog.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

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
    char path[BACKUP_NAME_MAX];
    if (!backup_name_read(name, "", 2, n)) return;
    struct catalog_changes f = {.from = n[0], .to = n[1]};
    backup_changes_name(path, f.from, f.to);
    if (!depot_has(c->depot, path, &f.bytes)) return;
    c->changes = grow(c->changes, c->change_count, &c->change_capacity, sizeof *c->changes);
    c->changes[c->change_count++] = f;
}

static void read_manifest(struct catalog *c, const char *name, struct backup_manifest *out)
{
    struct buf bytes;
    struct slice body;
    if (c->status != STATUS_OK) return;
    c->status = depot_read_now(c->depot, name, BACKUP_MANIFEST, &bytes, &body, &c->err);
    if (c->status == STATUS_OK) {
        body = arena_dup_slice(&c->arena, body);
        c->status = backup_manifest_get(body, &c->arena, out);
        if (c->status != STATUS_OK) errbuf_set(&c->err, "%s: does not make sense", name);
    }
    buf_free(&bytes);
}

static void on_name(void *ctx, const char *name)
{
    struct catalog *c = ctx;
    uint64_t n[2];
    if (backup_name_read(name, "backup-", 1, n)) {
        c->backups = grow(c->backups, c->backup_count, &c->backup_capacity, sizeof *c->backups);
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

enum status catalog_read(struct catalog *c, struct depot *d, struct errbuf *err)
{
    *c = (struct catalog){.depot = d};
    arena_init(&c->arena, 4096);
    depot_list(d, "", on_name, c);
    depot_list(d, "changes", on_changes, c);
    c->depot = NULL;
    if (c->status != STATUS_OK) {
        *err = c->err;
        catalog_free(c);
        return c->status;
    }
    if (c->backup_count > 1) qsort(c->backups, c->backup_count, sizeof *c->backups, compare_backups);
    if (c->change_count > 1) qsort(c->changes, c->change_count, sizeof *c->changes, compare_changes);
    return STATUS_OK;
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
