/* Our store as a library: src/lsm with src/wal as its log, on an event loop of env_posix that is turned from within the
 * calls. Writes are applied when they are handed to the log, whose batches go to disk behind them (O_DSYNC): a process that
 * dies loses less than LOG_BYTES_MAX, a machine no more than that. put_synced waits for the disk. */
#include "engine.h"

#include "base/buf.h"
#include "base/mem.h"
#include "env_posix/env_posix.h"
#include "lsm/lsm.h"
#include "wal/wal.h"

#define TURN_OPS 64u
#define TURN_GETS 512u                /* what the background has done is looked at: about once a millisecond */
#define LOG_BYTES ((size_t)256 << 10) /* a batch, when the disk keeps up */
#define LOG_BYTES_MAX ((size_t)16 << 20)
#define CREDIT_NS (10 * (int64_t)NS_PER_MS)
#define WAIT_NS 200000 /* what a writer owes is waited for in such parts */
#define GROUP 1u
#define APPLY_MEANWHILE 16u /* rows: from then on it takes longer than to wake a thread */

struct ours {
    struct actor actor;
    struct env *env;
    struct wal *wal;
    struct lsm *lsm;
    uint64_t index, flushes;
    int64_t owed_ns; /* below 0: more was waited than was due */
    struct buf entry;
    unsigned ops;
    bool closing;
};

static void floor_of(void *ctx, uint64_t group, uint64_t index, uint64_t term)
{
    (void)term;
    wal_set_floor(((struct ours *)ctx)->wal, group, index);
}

static void written(void *ctx)
{
    (void)ctx;
}

static uint64_t pass(struct actor *a, uint64_t now_ns)
{
    struct ours *o = (struct ours *)(void *)a;
    wal_step(o->wal);
    if (!wal_busy(o->wal) && wal_pending_bytes(o->wal) > 0) wal_submit(o->wal, false, written, o);
    if (o->closing) return now_ns + NS_PER_MS;
    lsm_set_safepoint(o->lsm, o->index);
    lsm_step(o->lsm);
    if (lsm_flush_count(o->lsm) != o->flushes) {
        o->flushes = lsm_flush_count(o->lsm);
        lsm_each_group(o->lsm, floor_of, o);
    }
    return now_ns + 10 * NS_PER_MS;
}

static bool once(void *ctx)
{
    bool *done = ctx, was = *done;
    *done = true;
    return was;
}

static void turn(struct ours *o)
{
    bool done = false;
    env_posix_run_until(o->env, once, &done, DEADLINE_NONE);
}

/* The log's entries of an earlier run are in the store already: settle comes before close. */
static void replayed_group(void *ctx, uint64_t group, struct slice state)
{
    (void)ctx;
    (void)group;
    (void)state;
}
static void replayed_hard_state(void *ctx, uint64_t group, const struct wal_hard_state *hs)
{
    (void)ctx;
    (void)group;
    (void)hs;
}
static void replayed_entry(void *ctx, uint64_t group, const struct wal_entry *e)
{
    (void)group;
    ((struct ours *)ctx)->index = e->index;
}
static void replayed_dropped(void *ctx, uint64_t group)
{
    (void)ctx;
    (void)group;
}
static void replayed_reset(void *ctx, uint64_t group, uint64_t index, uint64_t term)
{
    (void)group;
    (void)term;
    ((struct ours *)ctx)->index = index;
}

/* A log that has just been made writes zeros into its next segment; later on segments are recycled. */
static bool log_has_spare(void *ctx)
{
    struct wal_stats s;
    wal_stats(((struct ours *)ctx)->wal, &s);
    return s.spare_segments > 0;
}

static void *ours_open(const struct engine_config *c)
{
    struct ours *o = mem_zalloc(sizeof(*o));
    struct errbuf err;
    struct env_posix_options env = {.data_dir = c->dir, .log_level = LOG_WARN, .precise_timers = true};
    o->env = env_posix_new(&env, &err);
    if (o->env == NULL) engine_die("ours", err.text);
    buf_init(&o->entry, (size_t)1 << 20);
    struct wal_options wal = {.dir = "wal", .segment_bytes = 64u << 20, .spare_segments = 1};
    struct wal_replay replay = {.group = replayed_group,
                                .group_dropped = replayed_dropped,
                                .hard_state = replayed_hard_state,
                                .entry = replayed_entry,
                                .reset = replayed_reset,
                                .ctx = o};
    if (wal_open(o->env, &wal, &replay, &o->wal, &err) != STATUS_OK) engine_die("ours", err.text);
    struct lsm_options lsm;
    lsm_options_default(&lsm);
    lsm.memtable_bytes = c->memtable_bytes;
    lsm.cache_bytes = c->cache_bytes;
    if (lsm_open(o->env, &lsm, &o->lsm, &err) != STATUS_OK) engine_die("ours", err.text);
    lsm_set_blocking(o->lsm, true);
    uint64_t durable = 0, term;
    if (lsm_durable(o->lsm, GROUP, &durable, &term) && durable > o->index) o->index = durable;
    if (o->index == 0) wal_put_group(o->wal, GROUP, slice_str("bench"));
    if (o->index > 0) wal_put_reset(o->wal, GROUP, o->index, 1);
    o->actor.pass = pass;
    o->env->ops->attach(o->env, &o->actor);
    env_posix_run_until(o->env, log_has_spare, o, DEADLINE_NONE);
    return o;
}

static bool log_idle(void *ctx)
{
    struct ours *o = ctx;
    return !wal_busy(o->wal) && wal_pending_bytes(o->wal) == 0;
}

static bool idle(void *ctx)
{
    struct ours *o = ctx;
    return log_idle(o) && !lsm_busy(o->lsm);
}

static void ours_close(void *engine)
{
    struct ours *o = engine;
    o->closing = true;
    env_posix_run_until(o->env, idle, o, DEADLINE_NONE);
    o->env->ops->detach(o->env, &o->actor);
    env_posix_quiesce(o->env);
    lsm_close(o->lsm);
    wal_close(o->wal);
    env_posix_free(o->env);
    buf_free(&o->entry);
    mem_free(o);
}

/* Rows of one unit: one entry of the log. */
static void log_put(struct ours *o, const struct lsm_write *rows, size_t count)
{
    buf_clear(&o->entry);
    for (size_t i = 0; i < count; i++) {
        buf_put_varint(&o->entry, rows[i].key.size);
        buf_append_slice(&o->entry, rows[i].key);
        buf_put_varint(&o->entry, rows[i].value.size);
        buf_append_slice(&o->entry, rows[i].value);
    }
    const struct wal_entry e = {.index = o->index, .term = 1, .type = 1, .data = buf_slice(&o->entry)};
    wal_put_entry(o->wal, GROUP, &e);
}

static bool log_has_room(void *ctx)
{
    return wal_pending_bytes(((struct ours *)ctx)->wal) < LOG_BYTES_MAX;
}

static bool never(void *ctx)
{
    (void)ctx;
    return false;
}

/* What is not in the log yet slows down too, from a quarter of its limit on: at half as long as the log has needed for such bytes,
 * four times that at the limit, so that it is hardly ever reached and waited at. */
static uint64_t log_delay_ns(const struct ours *o, uint64_t bytes)
{
    uint64_t sixteenths = wal_pending_bytes(o->wal) * 16 / LOG_BYTES_MAX;
    if (sixteenths < 4) return 0;
    struct wal_stats s;
    wal_stats(o->wal, &s);
    return bytes * (s.write_ns_total / (s.payload_bytes / 1024 + 1)) / 1024 * sixteenths * sixteenths / 64;
}

static void ours_put(void *engine, struct slice key, struct slice value)
{
    struct ours *o = engine;
    const struct lsm_write w = {.kind = LSM_PUT, .key = key, .ts = ++o->index, .value = value};
    log_put(o, &w, 1);
    lsm_apply(o->lsm, GROUP, o->index, 1, &w, 1);
    size_t bytes = key.size + value.size;
    o->owed_ns += (int64_t)(lsm_delay_ns(o->lsm, bytes) + log_delay_ns(o, bytes));
    bool due = ++o->ops % TURN_OPS == 0 && wal_pending_bytes(o->wal) >= LOG_BYTES;
    if (o->owed_ns > WAIT_NS) {
        uint64_t begun_ns = env_mono_ns(o->env);
        env_posix_run_until(o->env, never, o, (uint64_t)o->owed_ns);
        o->owed_ns -= (int64_t)(env_mono_ns(o->env) - begun_ns); /* a timer comes late: that counts */
        if (o->owed_ns < -CREDIT_NS) o->owed_ns = -CREDIT_NS;
    } else if (due) {
        turn(o);
    }
    if (due && !log_has_room(o)) env_posix_run_until(o->env, log_has_room, o, DEADLINE_NONE);
}

static void durable(void *ctx)
{
    *(bool *)ctx = true;
}

static bool is_durable(void *ctx)
{
    return *(bool *)ctx;
}

/* A few rows are written by this thread, which has nothing else to do; many are applied while another writes them. */
static void ours_put_synced(void *engine, const struct engine_pair *pairs, size_t count)
{
    struct ours *o = engine;
    if (!log_idle(o)) env_posix_run_until(o->env, log_idle, o, DEADLINE_NONE);
    bool done = false;
    struct lsm_write *rows = mem_alloc(count * sizeof(*rows));
    o->index++;
    for (size_t i = 0; i < count; i++)
        rows[i] = (struct lsm_write){.kind = LSM_PUT, .key = pairs[i].key, .ts = o->index, .value = pairs[i].value};
    log_put(o, rows, count);
    wal_submit(o->wal, count < APPLY_MEANWHILE, durable, &done);
    lsm_apply(o->lsm, GROUP, o->index, 1, rows, count);
    mem_free(rows);
    env_posix_run_until(o->env, is_durable, &done, DEADLINE_NONE);
}

static bool ours_get(void *engine, struct slice key, uint64_t *sum)
{
    struct ours *o = engine;
    struct lsm_row row;
    struct lsm_miss miss;
    enum status s = lsm_get(o->lsm, key, LSM_TS_MAX, &row, &miss);
    if (s != STATUS_OK && s != STATUS_NOT_FOUND) engine_die("ours", status_text(s));
    if (s == STATUS_OK) engine_use(row.value, sum);
    if (++o->ops % TURN_GETS == 0) turn(o);
    return s == STATUS_OK;
}

static size_t ours_scan(void *engine, struct slice key, size_t max, bool reverse, uint64_t *sum)
{
    struct ours *o = engine;
    struct lsm_iter *it = lsm_iter_new(o->lsm, reverse ? SLICE_EMPTY : key, SLICE_EMPTY, LSM_TS_MAX, reverse);
    size_t rows = 0;
    while (rows < max) {
        struct lsm_row row;
        struct lsm_miss miss;
        enum status s = lsm_iter_next(it, &row, &miss);
        if (s == STATUS_END) break;
        if (s != STATUS_OK) engine_die("ours", status_text(s));
        engine_use(row.key, sum);
        engine_use(row.value, sum);
        rows++;
    }
    lsm_iter_free(it);
    if (++o->ops % 256 == 0) turn(o);
    return rows;
}

static void flushed(void *ctx)
{
    *(bool *)ctx = true;
}

static void ours_settle(void *engine)
{
    struct ours *o = engine;
    bool done = false;
    lsm_flush(o->lsm, flushed, &done);
    env_posix_run_until(o->env, is_durable, &done, DEADLINE_NONE);
    for (unsigned quiet = 0; quiet < 10;) {
        turn(o);
        quiet = idle(o) ? quiet + 1 : 0;
        if (!idle(o)) env_posix_run_until(o->env, idle, o, DEADLINE_NONE);
    }
}

const struct engine_ops engine_ours = {.name = "ours",
                                       .memtables = {16u << 20},
                                       .open = ours_open,
                                       .close = ours_close,
                                       .put = ours_put,
                                       .put_synced = ours_put_synced,
                                       .get = ours_get,
                                       .scan = ours_scan,
                                       .settle = ours_settle,
                                       .one_thread = true};
