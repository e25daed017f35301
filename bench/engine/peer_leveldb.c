/* LevelDB through its C interface: snappy (it has no lz4), bloom filter of 10 bits a key, everything else as it comes. */
#define _GNU_SOURCE /* nanosleep */
#include "engine.h"

#include "base/mem.h"

#include <leveldb/c.h>
#include <time.h>

struct level {
    leveldb_t *db;
    leveldb_options_t *options;
    leveldb_writeoptions_t *write, *write_synced;
    leveldb_readoptions_t *read;
    leveldb_cache_t *cache;
    leveldb_filterpolicy_t *filter;
};

static void check(char *err)
{
    if (err != NULL) engine_die("leveldb", err);
}

static void *level_open(const struct engine_config *c)
{
    struct level *r = mem_zalloc(sizeof(*r));
    r->cache = leveldb_cache_create_lru(c->cache_bytes);
    r->filter = leveldb_filterpolicy_create_bloom(10);
    r->options = leveldb_options_create();
    leveldb_options_set_create_if_missing(r->options, 1);
    leveldb_options_set_compression(r->options, leveldb_snappy_compression);
    leveldb_options_set_write_buffer_size(r->options, c->memtable_bytes);
    leveldb_options_set_cache(r->options, r->cache);
    leveldb_options_set_filter_policy(r->options, r->filter);
    r->write = leveldb_writeoptions_create();
    r->write_synced = leveldb_writeoptions_create();
    leveldb_writeoptions_set_sync(r->write_synced, 1);
    r->read = leveldb_readoptions_create();
    char *err = NULL;
    r->db = leveldb_open(r->options, c->dir, &err);
    check(err);
    return r;
}

static void level_close(void *engine)
{
    struct level *r = engine;
    leveldb_close(r->db);
    leveldb_readoptions_destroy(r->read);
    leveldb_writeoptions_destroy(r->write);
    leveldb_writeoptions_destroy(r->write_synced);
    leveldb_options_destroy(r->options);
    leveldb_cache_destroy(r->cache);
    leveldb_filterpolicy_destroy(r->filter);
    mem_free(r);
}

static void level_put(void *engine, struct slice key, struct slice value)
{
    struct level *r = engine;
    char *err = NULL;
    leveldb_put(r->db, r->write, (const char *)key.data, key.size, (const char *)value.data, value.size, &err);
    check(err);
}

static void level_put_synced(void *engine, const struct engine_pair *pairs, size_t count)
{
    struct level *r = engine;
    leveldb_writebatch_t *batch = leveldb_writebatch_create();
    for (size_t i = 0; i < count; i++) {
        const struct engine_pair *p = &pairs[i];
        leveldb_writebatch_put(batch, (const char *)p->key.data, p->key.size, (const char *)p->value.data,
                               p->value.size);
    }
    char *err = NULL;
    leveldb_write(r->db, r->write_synced, batch, &err);
    check(err);
    leveldb_writebatch_destroy(batch);
}

static bool level_get(void *engine, struct slice key, uint64_t *sum)
{
    struct level *r = engine;
    char *err = NULL;
    size_t size;
    char *value = leveldb_get(r->db, r->read, (const char *)key.data, key.size, &size, &err);
    check(err);
    if (value == NULL) return false;
    engine_use(slice_make(value, size), sum);
    leveldb_free(value);
    return true;
}

static size_t level_scan(void *engine, struct slice key, size_t max, bool reverse, uint64_t *sum)
{
    struct level *r = engine;
    leveldb_iterator_t *it = leveldb_create_iterator(r->db, r->read);
    if (key.size > 0) {
        leveldb_iter_seek(it, (const char *)key.data, key.size);
    } else if (reverse) {
        leveldb_iter_seek_to_last(it);
    } else {
        leveldb_iter_seek_to_first(it);
    }
    size_t rows = 0;
    for (; rows < max && leveldb_iter_valid(it); rows++) {
        size_t size;
        const char *bytes = leveldb_iter_key(it, &size);
        engine_use(slice_make(bytes, size), sum);
        bytes = leveldb_iter_value(it, &size);
        engine_use(slice_make(bytes, size), sum);
        if (reverse) {
            leveldb_iter_prev(it);
        } else {
            leveldb_iter_next(it);
        }
    }
    leveldb_iter_destroy(it);
    return rows;
}

/* It does not say whether it is compacting: its table of levels has to stay the same for half a second. */
static void level_settle(void *engine)
{
    struct level *r = engine;
    char *before = leveldb_property_value(r->db, "leveldb.stats");
    for (unsigned quiet = 0; quiet < 10;) {
        (void)nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
        char *now = leveldb_property_value(r->db, "leveldb.stats");
        quiet = strcmp(before, now) == 0 ? quiet + 1 : 0;
        leveldb_free(before);
        before = now;
    }
    leveldb_free(before);
}

const struct engine_ops engine_leveldb = {.name = "leveldb",
                                          .memtables = {8u << 20, 64u << 20},
                                          .open = level_open,
                                          .close = level_close,
                                          .put = level_put,
                                          .put_synced = level_put_synced,
                                          .get = level_get,
                                          .scan = level_scan,
                                          .settle = level_settle};
