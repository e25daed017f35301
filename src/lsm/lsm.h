/* The store: one log-structured merge tree per node, all ranges in it. It has no log: the node's wal is re-applied from
 * the indexes that the store says it holds durably. Formats: docs/formats/{table,manifest}.md.
 *
 * Runs on the loop and never blocks it: a read that needs a block which is not cached answers STATUS_MISS and says which;
 * lsm_load fetches it (LANE_READ), then the caller repeats the read. Flush and compaction are LANE_BACKGROUND tasks of
 * bounded steps, at most one step at a time.
 *
 * A row is (key, timestamp, kind, value): versions of a key sort newest first. A key is 1 to LSM_KEY_MAX bytes. */
#ifndef QUORATE_LSM_LSM_H
#define QUORATE_LSM_LSM_H

#include "base/place.h"
#include "base/status.h"
#include "env/env.h"

#define LSM_KEY_MAX 16384u
#define LSM_VALUE_MAX (16u * 1024u * 1024u)
#define LSM_TS_MAX UINT64_MAX

struct lsm;
struct lsm_file;
/* Leveled: fewer runs to look at. Lazy: several runs in all levels but the last, each row is rewritten less often. May be
 * changed from one opening to the next. */
enum lsm_shape { LSM_LEVELED, LSM_LAZY };

struct lsm_options {
    const char *dir;       /* below the disk's root, "store" by convention */
    size_t memtable_bytes; /* freeze at this size; 16 MiB */
    size_t cache_bytes;    /* block cache; 128 MiB */
    size_t recent_bytes;   /* rows that are read again soon; 36 MiB, when there are any */
    size_t block_bytes;    /* 4 KiB before compression */
    uint64_t file_bytes;   /* target size of a table; 32 MiB */
    bool compress;         /* lz4 where it gains */
    enum lsm_shape shape;
    uint64_t scrub_ms; /* everything is read and verified once in that time; 14 days; 0: never */
    /* Rows that end by themselves: no reader at the timestamp that it answers, or above, sees the row. NULL: there are none.
     * Any thread. The store's reads show such rows all the same; only compaction lets them go (lsm_set_horizons). */
    uint64_t (*expires)(struct slice key, uint64_t ts, struct slice value);
};
void lsm_options_default(struct lsm_options *o);
/* STATUS_CORRUPT: the manifest is damaged or missing. A damaged or missing table is no reason: see lsm_on_damage. */
MUST_CHECK enum status lsm_open(struct env *env, const struct lsm_options *options, struct lsm **out,
                                struct errbuf *err);
void lsm_close(struct lsm *l); /* no task of it may be under way: see lsm_busy */
bool lsm_busy(const struct lsm *l);

/* --- writing --- */
enum lsm_kind { LSM_DELETE = 0, LSM_PUT = 1 };
struct lsm_write {
    enum lsm_kind kind;
    struct slice key;
    uint64_t ts;
    struct slice value; /* empty for LSM_DELETE */
    bool recent;        /* lsm_apply: it will be read again soon (recent.h) */
};
/* Applies the writes of one log entry of a group as one unit and notes that the group is applied up to (index, term).
 * Copies. Always succeeds: admission is the caller's (lsm_pressure). Call also with count 0 to move the index. */
void lsm_apply(struct lsm *l, uint64_t group, uint64_t index, uint64_t term, const struct lsm_write *writes,
               size_t count);
/* In the same unit as the lsm_apply that follows at once: another group is applied up to (index, term). */
void lsm_apply_also(struct lsm *l, uint64_t group, uint64_t index, uint64_t term);
/* Likewise: all keys in [start, end) (end empty: no bound) are deleted as of ts, which is above every version applied so far. */
void lsm_apply_erase(struct lsm *l, struct slice start, struct slice end, uint64_t ts);
/* Likewise: a row that will be gone soon (passing.h), of a key that is free. Returns its place, for later writes of it. */
struct place lsm_apply_passing_new(struct lsm *l, const struct lsm_write *w);
void lsm_apply_passing(struct lsm *l, const struct lsm_write *w, struct place place); /* all zero: it has none */
/* Passing rows become rows like any other: for lsm_get and iterators, which do not see them. Views have them anyway. */
void lsm_settle(struct lsm *l);
void lsm_group_forget(struct lsm *l, uint64_t group); /* it is gone; its rows go by lsm_excise */
/* The manifest knows of the group from now on, up to index 0. While opening a node. */
MUST_CHECK enum status lsm_note_group(struct lsm *l, uint64_t group, struct errbuf *err);

/* Applied index held durably (in tables named by the manifest); false: the group is unknown to the manifest. */
bool lsm_durable(const struct lsm *l, uint64_t group, uint64_t *index, uint64_t *term);
/* Calls `each` for every group in the manifest; while opening a node. */
void lsm_each_group(const struct lsm *l, void (*each)(void *ctx, uint64_t group, uint64_t index, uint64_t term),
                    void *ctx);
/* Rises whenever a flush has moved durable indexes, rows or not: cheap to look at in each pass. */
uint64_t lsm_flush_count(const struct lsm *l);
unsigned lsm_pressure(const struct lsm *l); /* 0: none, 100: stop writing. The node turns it into admission control. */
bool lsm_overfull(const struct lsm *l);     /* half as much again: what may be had again later is not to be taken now */
/* How long a writer of so many bytes should wait for sustained writes to go at the pace of flush and compaction, as measured:
 * 0 without pressure, at half of it as long as flushing them takes, four times that at 100, and on up to sixteen times. Waited for in small
 * parts it keeps writes from ever coming to a halt. */
uint64_t lsm_delay_ns(const struct lsm *l, uint64_t bytes);

/* --- reading (loop only) --- */
struct lsm_miss { /* which block is wanted; holds a reference on the file until lsm_load or lsm_miss_drop */
    struct lsm_file *file;
    uint32_t block;
    int32_t ahead; /* so many more behind it (below 0: before it) may be fetched along, for who scans */
};
struct lsm_row {
    struct slice key; /* borrowed until the next call on the store or iterator */
    uint64_t ts;
    struct slice value; /* likewise */
};
/* The newest version of key with timestamp <= ts. STATUS_OK, STATUS_NOT_FOUND (absent or deleted), STATUS_MISS (*miss is
 * set, the caller owns it), STATUS_CORRUPT (the table is quarantined: the caller must not answer). */
MUST_CHECK enum status lsm_get(struct lsm *l, struct slice key, uint64_t ts, struct lsm_row *row,
                               struct lsm_miss *miss);
void lsm_soon(const struct lsm *l, struct slice key, bool next); /* it will be got: a hint. Again, next: in a moment */

/* Iterates the newest visible version of each key in [start, end) at ts, deleted keys left out; end empty: no bound.
 * Lives only within one pass: any write to the store invalidates it. */
struct lsm_iter;
struct lsm_iter *lsm_iter_new(struct lsm *l, struct slice start, struct slice end, uint64_t ts, bool reverse);
/* Rows that it may still look at, deleted and shadowed ones included: lowered as it does. NULL, as at first: no limit. */
void lsm_iter_allow(struct lsm_iter *it, uint32_t *allowance);
/* STATUS_OK with *row, STATUS_END, STATUS_MISS (load, then make a new iterator from lsm_iter_position), STATUS_CORRUPT,
 * STATUS_RETRY: the allowance is used up; it has got on, and goes on likewise, in another pass. */
MUST_CHECK enum status lsm_iter_next(struct lsm_iter *it, struct lsm_row *row, struct lsm_miss *miss);
/* Where it stands: the start (reverse: the end) for an iterator that goes on with the rows which this one has not given. Use
 * it rather than the last row: there may be any number of deleted or invisible rows after that. Borrowed from it. */
struct slice lsm_iter_position(struct lsm_iter *it);
void lsm_iter_free(struct lsm_iter *it);

/* Fetches the block into the cache and calls done from the loop. Takes over *miss. */
void lsm_load(struct lsm *l, struct lsm_miss *miss, void (*done)(void *ctx, enum status s), void *ctx);
void lsm_miss_drop(struct lsm_miss *miss);

/* For callers that may wait (tools, benchmarks): from now on reads fetch what they miss themselves. STATUS_MISS is then an answer
 * only for a block that lsm_load is fetching. */
void lsm_set_blocking(struct lsm *l, bool blocking);

/* --- background --- */
/* Goes on with flush and compaction when due. Call once per pass. */
void lsm_step(struct lsm *l);
/* Freezes the memtable so that it is flushed soon, whatever its size. done (may be NULL) is called from the loop when all
 * that was applied before the call is durable. */
void lsm_flush(struct lsm *l, void (*done)(void *ctx), void *ctx);
/* Keys at which a table of a compaction ends where it can, so that ranges share few tables: sorted, copied. */
void lsm_set_boundaries(struct lsm *l, const struct slice *keys, size_t count);
/* Called from the loop when a table is found damaged, for each stretch of keys [start, end) that it held: reads of it answer
 * STATUS_CORRUPT until rows from elsewhere are installed in its place (lsm_ingest_install). Also at once for what is known.
 * It may be called from within a read: it notes what it is told. `damaged` NULL: nobody is told any more. */
void lsm_on_damage(struct lsm *l, void (*damaged)(void *ctx, struct slice start, struct slice end), void *ctx);
void lsm_set_safepoint(struct lsm *l, uint64_t ts); /* what a version <= ts shadows may go. Never moves back */
uint64_t lsm_safepoint(const struct lsm *l);        /* of former lives too */
/* Up to which timestamp rows that end by themselves may be missed by nobody: at keys from `start` on up to the next one's. Below
 * it no reader looks, and no entry that will ever be applied, after a crash either, has a timestamp: entries are evaluated
 * against the rows, at their own timestamps. Sorted, copied; keys before the first one: 0. */
struct lsm_horizon {
    struct slice start;
    uint64_t ts;
};
void lsm_set_horizons(struct lsm *l, const struct lsm_horizon *horizons, size_t count);

/* --- snapshots of a key range, all versions --- */
/* A frozen view of [start, end): memtable rows are copied, tables pinned. The view's reader runs in a task, on any thread. */
struct lsm_view;
struct lsm_view *lsm_view_new(struct lsm *l, struct slice start, struct slice end);
/* Next row, every version in order, tombstones too; blocking reads; STATUS_OK, STATUS_END, STATUS_CORRUPT. */
MUST_CHECK enum status lsm_view_next(struct lsm_view *v, struct lsm_write *row);
void lsm_view_free(struct lsm_view *v); /* loop only */

/* Builds tables from rows in order, outside of any version, then installs them in place of everything that the store held
 * in [start, end), with the group's applied index, in one manifest edit. */
struct lsm_ingest;
struct lsm_ingest *lsm_ingest_new(struct lsm *l, struct slice start, struct slice end);
/* Any thread, one at a time. Rows in the order that lsm_view_next gives. */
MUST_CHECK enum status lsm_ingest_add(struct lsm_ingest *g, const struct lsm_write *row);
/* Finishes the last table and syncs. Any thread, blocking. */
MUST_CHECK enum status lsm_ingest_finish(struct lsm_ingest *g);
/* Loop. Until `done` the group must not be read or written. Frees g. What memtables hold of it is flushed, then replaced. */
void lsm_ingest_install(struct lsm_ingest *g, uint64_t group, uint64_t index, uint64_t term,
                        void (*done)(void *ctx, enum status s), void *ctx);
void lsm_ingest_abort(struct lsm_ingest *g); /* removes its files; loop only; not after lsm_ingest_install */
/* Installs nothing in place of [start, end): drops a range. Until `done` the range must not be read or written. */
void lsm_excise(struct lsm *l, struct slice start, struct slice end, void (*done)(void *ctx, enum status s), void *ctx);
/* The same, and in the same edit the group is forgotten: afterwards lsm_durable does not know it. */
void lsm_drop_group(struct lsm *l, uint64_t group, struct slice start, struct slice end,
                    void (*done)(void *ctx, enum status s), void *ctx);

/* A copy of the store in the new folder `dir` (below the disk's root, beside the store's own), which can be opened like it:
 * hard links of tables that never change, and a manifest. It holds at least what was applied before the call; the store goes
 * on meanwhile. A copy that failed is not there: what was made of it is removed. */
void lsm_checkpoint(struct lsm *l, const char *dir, void (*done)(void *ctx, enum status s), void *ctx);

/* Approximate bytes and rows of [start, end), from properties: for status and split decisions. */
void lsm_estimate(const struct lsm *l, struct slice start, struct slice end, uint64_t *bytes, uint64_t *rows);

/* Where the bytes of [start, end) lie, roughly, in the order of keys: `bytes` of them at or behind the key, before the next one's.
 * Keys are those of rows or cut short in front of one. Array and keys are the arena's. */
struct lsm_sample {
    struct slice key;
    uint64_t bytes;
};
struct arena;
size_t lsm_sample(const struct lsm *l, struct slice start, struct slice end, struct arena *a, struct lsm_sample **out);

struct lsm_stats {
    uint64_t memtable_bytes, frozen_memtables, files, file_bytes;
    uint64_t runs; /* sorted runs a point read may have to look at */
    uint64_t flushed_bytes, compacted_bytes_in, compacted_bytes_out;
    uint64_t cache_hits, cache_misses, bloom_skips, scrubbed_bytes, quarantined; /* since open; the last: tables */
};
void lsm_stats(const struct lsm *l, struct lsm_stats *out);

#endif
