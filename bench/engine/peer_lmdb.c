/* LMDB: writes that need no sync go in transactions of LMDB_BATCH without one, which is its best case. */
#include "engine.h"

#include "base/mem.h"

#include <lmdb.h>

#define LMDB_BATCH 1000u

struct lm {
    MDB_env *env;
    MDB_dbi dbi;
    MDB_txn *write, *read;
    size_t pending;
};

static void check(int rc)
{
    if (rc != 0) engine_die("lmdb", mdb_strerror(rc));
}

static void *lm_open(const struct engine_config *c)
{
    struct lm *m = mem_zalloc(sizeof(*m));
    check(mdb_env_create(&m->env));
    check(mdb_env_set_mapsize(m->env, (size_t)32 << 30));
    check(mdb_env_open(m->env, c->dir, MDB_NORDAHEAD, 0640));
    MDB_txn *t;
    check(mdb_txn_begin(m->env, NULL, 0, &t));
    check(mdb_dbi_open(t, NULL, 0, &m->dbi));
    check(mdb_txn_commit(t));
    check(mdb_txn_begin(m->env, NULL, MDB_RDONLY, &m->read));
    mdb_txn_reset(m->read);
    return m;
}

static void commit(struct lm *m)
{
    if (m->write == NULL) return;
    check(mdb_txn_commit(m->write));
    m->write = NULL;
    m->pending = 0;
}

static void lm_settle(void *engine)
{
    struct lm *m = engine;
    commit(m);
    check(mdb_env_sync(m->env, 1));
}

static void lm_close(void *engine)
{
    struct lm *m = engine;
    lm_settle(m);
    mdb_txn_abort(m->read);
    mdb_env_close(m->env);
    mem_free(m);
}

static void put(struct lm *m, struct slice key, struct slice value)
{
    MDB_val k = {.mv_size = key.size, .mv_data = (void *)(uintptr_t)key.data};
    MDB_val v = {.mv_size = value.size, .mv_data = (void *)(uintptr_t)value.data};
    check(mdb_put(m->write, m->dbi, &k, &v, 0));
}

static void lm_put(void *engine, struct slice key, struct slice value)
{
    struct lm *m = engine;
    if (m->write == NULL) {
        check(mdb_env_set_flags(m->env, MDB_NOSYNC, 1));
        check(mdb_txn_begin(m->env, NULL, 0, &m->write));
    }
    put(m, key, value);
    if (++m->pending == LMDB_BATCH) commit(m);
}

static void lm_put_synced(void *engine, const struct engine_pair *pairs, size_t count)
{
    struct lm *m = engine;
    commit(m);
    check(mdb_env_set_flags(m->env, MDB_NOSYNC, 0));
    check(mdb_txn_begin(m->env, NULL, 0, &m->write));
    for (size_t i = 0; i < count; i++) put(m, pairs[i].key, pairs[i].value);
    commit(m);
}

static bool lm_get(void *engine, struct slice key, uint64_t *sum)
{
    struct lm *m = engine;
    check(mdb_txn_renew(m->read));
    MDB_val k = {.mv_size = key.size, .mv_data = (void *)(uintptr_t)key.data}, v;
    int rc = mdb_get(m->read, m->dbi, &k, &v);
    if (rc == 0) engine_use(slice_make(v.mv_data, v.mv_size), sum);
    mdb_txn_reset(m->read);
    if (rc != MDB_NOTFOUND) check(rc);
    return rc == 0;
}

static size_t lm_scan(void *engine, struct slice key, size_t max, bool reverse, uint64_t *sum)
{
    struct lm *m = engine;
    check(mdb_txn_renew(m->read));
    MDB_cursor *c;
    check(mdb_cursor_open(m->read, m->dbi, &c));
    MDB_val k = {.mv_size = key.size, .mv_data = (void *)(uintptr_t)key.data}, v;
    int rc = mdb_cursor_get(c, &k, &v, key.size > 0 ? MDB_SET_RANGE : reverse ? MDB_LAST : MDB_FIRST);
    size_t rows = 0;
    for (; rows < max && rc == 0; rows++) {
        engine_use(slice_make(k.mv_data, k.mv_size), sum);
        engine_use(slice_make(v.mv_data, v.mv_size), sum);
        rc = mdb_cursor_get(c, &k, &v, reverse ? MDB_PREV : MDB_NEXT);
    }
    if (rc != MDB_NOTFOUND) check(rc);
    mdb_cursor_close(c);
    mdb_txn_reset(m->read);
    return rows;
}

const struct engine_ops engine_lmdb = {.name = "lmdb",
                                       .memtables = {1},
                                       .open = lm_open,
                                       .close = lm_close,
                                       .put = lm_put,
                                       .put_synced = lm_put_synced,
                                       .get = lm_get,
                                       .scan = lm_scan,
                                       .settle = lm_settle};
