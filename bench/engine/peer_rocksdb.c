/* RocksDB through its C interface: lz4, bloom filter of 10 bits a key, everything else as it comes. */
#define _GNU_SOURCE /* nanosleep */
#include "engine.h"

#include "base/mem.h"

#include <rocksdb/c.h>
#include <time.h>

struct rocks {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_writeoptions_t *write, *write_synced;
    rocksdb_readoptions_t *read;
};

static void check(char *err)
{
    if (err != NULL) engine_die("rocksdb", err);
}

static void *rocks_open(const struct engine_config *c)
{
    struct rocks *r = mem_zalloc(sizeof(*r));
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_cache_t *cache = rocksdb_cache_create_lru(c->cache_bytes);
    rocksdb_block_based_options_set_block_cache(table, cache);
    rocksdb_cache_destroy(cache);
    r->options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(r->options, 1);
    rocksdb_options_set_block_based_table_factory(r->options, table);
    rocksdb_block_based_options_destroy(table);
    rocksdb_options_set_compression(r->options, rocksdb_lz4_compression);
    rocksdb_options_set_write_buffer_size(r->options, c->memtable_bytes);
    rocksdb_options_set_max_background_jobs(r->options, 2);
    r->write = rocksdb_writeoptions_create();
    r->write_synced = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(r->write_synced, 1);
    r->read = rocksdb_readoptions_create();
    char *err = NULL;
    r->db = rocksdb_open(r->options, c->dir, &err);
    check(err);
    return r;
}

static void rocks_close(void *engine)
{
    struct rocks *r = engine;
    rocksdb_close(r->db);
    rocksdb_readoptions_destroy(r->read);
    rocksdb_writeoptions_destroy(r->write);
    rocksdb_writeoptions_destroy(r->write_synced);
    rocksdb_options_destroy(r->options);
    mem_free(r);
}

static void rocks_put(void *engine, struct slice key, struct slice value)
{
    struct rocks *r = engine;
    char *err = NULL;
    rocksdb_put(r->db, r->write, (const char *)key.data, key.size, (const char *)value.data, value.size, &err);
    check(err);
}

static void rocks_put_synced(void *engine, const struct engine_pair *pairs, size_t count)
{
    struct rocks *r = engine;
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    for (size_t i = 0; i < count; i++) {
        const struct engine_pair *p = &pairs[i];
        rocksdb_writebatch_put(batch, (const char *)p->key.data, p->key.size, (const char *)p->value.data,
                               p->value.size);
    }
    char *err = NULL;
    rocksdb_write(r->db, r->write_synced, batch, &err);
    check(err);
    rocksdb_writebatch_destroy(batch);
}

static bool rocks_get(void *engine, struct slice key, uint64_t *sum)
{
    struct rocks *r = engine;
    char *err = NULL;
    rocksdb_pinnableslice_t *v = rocksdb_get_pinned(r->db, r->read, (const char *)key.data, key.size, &err);
    check(err);
    if (v == NULL) return false;
    size_t size;
    const char *bytes = rocksdb_pinnableslice_value(v, &size);
    engine_use(slice_make(bytes, size), sum);
    rocksdb_pinnableslice_destroy(v);
    return true;
}

static size_t rocks_scan(void *engine, struct slice key, size_t max, bool reverse, uint64_t *sum)
{
    struct rocks *r = engine;
    rocksdb_iterator_t *it = rocksdb_create_iterator(r->db, r->read);
    if (key.size > 0) {
        rocksdb_iter_seek(it, (const char *)key.data, key.size);
    } else if (reverse) {
        rocksdb_iter_seek_to_last(it);
    } else {
        rocksdb_iter_seek_to_first(it);
    }
    size_t rows = 0;
    for (; rows < max && rocksdb_iter_valid(it); rows++) {
        size_t size;
        const char *bytes = rocksdb_iter_key(it, &size);
        engine_use(slice_make(bytes, size), sum);
        bytes = rocksdb_iter_value(it, &size);
        engine_use(slice_make(bytes, size), sum);
        if (reverse) {
            rocksdb_iter_prev(it);
        } else {
            rocksdb_iter_next(it);
        }
    }
    rocksdb_iter_destroy(it);
    return rows;
}

static bool busy(struct rocks *r)
{
    static const char *const properties[] = {"rocksdb.compaction-pending", "rocksdb.num-running-compactions",
                                             "rocksdb.mem-table-flush-pending", "rocksdb.num-running-flushes"};
    for (size_t i = 0; i < sizeof(properties) / sizeof(properties[0]); i++) {
        uint64_t n = 0;
        if (rocksdb_property_int(r->db, properties[i], &n) == 0 && n > 0) return true;
    }
    return false;
}

static void rocks_settle(void *engine)
{
    struct rocks *r = engine;
    char *err = NULL;
    rocksdb_flushoptions_t *flush = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(flush, 1);
    rocksdb_flush(r->db, flush, &err);
    check(err);
    rocksdb_flushoptions_destroy(flush);
    for (unsigned quiet = 0; quiet < 20; quiet = busy(r) ? 0 : quiet + 1)
        (void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

const struct engine_ops engine_rocksdb = {.name = "rocksdb",
                                          .memtables = {8u << 20, 64u << 20},
                                          .open = rocks_open,
                                          .close = rocks_close,
                                          .put = rocks_put,
                                          .put_synced = rocks_put_synced,
                                          .get = rocks_get,
                                          .scan = rocks_scan,
                                          .settle = rocks_settle};
