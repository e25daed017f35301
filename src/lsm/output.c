#include "lsm/output.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "lsm/bloom.h"

#define CUT_SHARE                                                                                                      \
    8u /* of file_bytes: what a table has at least before it ends at a boundary; small ranges share tables */

struct boundaries *boundaries_new(const struct slice *keys, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) bytes += keys[i].size;
    struct boundaries *b = mem_alloc(sizeof(*b) + count * sizeof(b->keys[0]) + bytes); /* their bytes behind them */
    uint8_t *at = (uint8_t *)&b->keys[count];
    b->refs = 1;
    b->count = count;
    for (size_t i = 0; i < count; i++) {
        if (i > 0) ASSERT(slice_cmp(keys[i - 1], keys[i]) < 0);
        if (keys[i].size > 0) memcpy(at, keys[i].data, keys[i].size);
        b->keys[i] = slice_make(at, keys[i].size);
        at += keys[i].size;
    }
    return b;
}

struct boundaries *boundaries_ref(struct boundaries *b)
{
    if (b != NULL) b->refs++;
    return b;
}

void boundaries_unref(struct boundaries *b)
{
    if (b == NULL) return;
    ASSERT(b->refs > 0);
    if (--b->refs == 0) mem_free(b);
}

void output_init(struct output *o, struct disk *d, const char *dir, const struct lsm_options *options,
                 uint32_t levels_below, uint64_t first, uint64_t salt)
{
    *o = (struct output){.disk = d,
                         .dir = dir,
                         .build = {.block_bytes = options->block_bytes,
                                   .compress = options->compress,
                                   .bloom_bits = bloom_bits(levels_below)},
                         .file_bytes = options->file_bytes,
                         .first = first,
                         .next = first,
                         .salt = salt};
}

static enum status finish_table(struct output *o)
{
    struct table *t = NULL;
    enum status s = table_builder_finish(o->builder, &t, &o->err);
    o->builder = NULL;
    if (s != STATUS_OK) return s;
    if (o->table_count == o->table_capacity) {
        o->table_capacity = o->table_capacity > 0 ? o->table_capacity * 2 : 8;
        o->tables = mem_realloc(o->tables, o->table_capacity * sizeof(struct table *));
    }
    t->refs = 1;
    o->tables[o->table_count++] = t;
    o->bytes += t->id.size;
    return STATUS_OK;
}

static enum status begin_table(struct output *o)
{
    ASSERT(o->next - o->first < OUTPUT_TABLES_MAX);
    struct table_id id = {.number = o->next++};
    id.salt = hash_u64(o->salt + id.number);
    return table_builder_new(o->disk, o->dir, &id, &o->build, &o->builder, &o->err);
}

/* The row is the first of a new stretch between boundaries. */
static bool crosses(struct output *o, struct slice key)
{
    const struct boundaries *b = o->boundaries;
    bool crossed = false;
    for (; b != NULL && o->boundary < b->count && slice_cmp(b->keys[o->boundary], key) <= 0; o->boundary++)
        crossed = true;
    return crossed;
}

/* A table never ends between versions of one key. */
static bool cut_before(struct output *o, struct slice key)
{
    bool crossed = crosses(o, key);
    if (o->builder == NULL) return false;
    uint64_t bytes = table_builder_bytes(o->builder);
    if (bytes < o->file_bytes && !(crossed && bytes >= o->file_bytes / CUT_SHARE)) return false;
    return !slice_eq(table_builder_last_key(o->builder), key);
}

enum status output_add(struct output *o, const struct lsm_write *row)
{
    enum status s = STATUS_OK;
    if (cut_before(o, row->key)) s = finish_table(o);
    if (s == STATUS_OK && o->builder == NULL) s = begin_table(o);
    if (s == STATUS_OK) s = table_builder_add(o->builder, row);
    if (s != STATUS_OK && o->err.text[0] == 0) errbuf_set(&o->err, "writing a table failed: %s", status_text(s));
    return s;
}

enum status output_finish(struct output *o)
{
    enum status s = o->builder != NULL ? finish_table(o) : STATUS_OK;
    if (s == STATUS_OK && o->table_count > 0 && !MUTANT(table_name_not_synced)) {
        s = disk_sync_dir(o->disk, o->dir);
        if (s != STATUS_OK) errbuf_set(&o->err, "syncing the folder %s failed: %s", o->dir, status_text(s));
    }
    return s;
}

void output_hand_over(struct output *o)
{
    ASSERT(o->builder == NULL);
    o->table_count = 0;
    o->first = o->next;
}

void output_free(struct output *o)
{
    ASSERT(o->table_count == 0);
    table_builder_free(o->builder);
    boundaries_unref(o->boundaries);
    o->boundaries = NULL;
    mem_free(o->tables);
    o->builder = NULL;
    o->tables = NULL;
}
