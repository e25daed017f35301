/* The write-ahead log: one segmented log for all Raft groups of a node, and the only stream that is synced.
 * Format, validity and recovery: docs/formats/wal.md. Runs on the loop; writes are LANE_LOG tasks.
 *
 * What a group's log is, as recovered: its GROUP record (opaque bytes of the layer above), its latest hard state, and its
 * entries above the floor, contiguous, a later append at index i having replaced everything from i on.
 *
 * A failed write or sync latches: the batch's callback never comes, env fatal is called. */
#ifndef QUORATE_WAL_WAL_H
#define QUORATE_WAL_WAL_H

#include "base/slice.h"
#include "base/status.h"
#include "env/env.h"

struct wal;

struct wal_options {
    const char *dir;         /* below the disk's root, "wal" by convention */
    uint64_t segment_bytes;  /* 64 MiB; at least 64 KiB; a multiple of 4 KiB. A larger batch gets a larger segment */
    unsigned spare_segments; /* zero-written in advance, at least 1 */
    bool must_exist;         /* a directory without any log is refused (STATUS_NOT_FOUND), instead of begun */
    bool skip_self_test;     /* tests: do not measure sync methods, use DISK_DSYNC */
};

struct wal_hard_state {
    uint64_t term;
    uint64_t vote; /* replica id, 0: none */
    uint64_t commit;
};

struct wal_entry {
    uint64_t index, term;
    uint8_t type; /* opaque */
    struct slice data;
};

/* Called while opening, in log order; slices are borrowed for the call. group ids are never 0. */
struct wal_replay {
    void (*group)(void *ctx, uint64_t group, struct slice state);
    void (*group_dropped)(void *ctx, uint64_t group);
    void (*hard_state)(void *ctx, uint64_t group, const struct wal_hard_state *);
    void (*entry)(void *ctx, uint64_t group, const struct wal_entry *);
    /* The group's log starts anew after `index` (a snapshot was installed): what was replayed of it before is void. */
    void (*reset)(void *ctx, uint64_t group, uint64_t index, uint64_t term);
    void *ctx;
};
/* Judge a group only when wal_open has returned: when old segments went, its latest group record and hard state were written
 * again, so that they may come after entries of it. Entries at and below the floor may come too, contiguous with the others. */

/* Blocks. STATUS_CORRUPT: durable data is damaged; err names segment, offset and what to do. Nothing was changed on disk.
 * STATUS_UNSUPPORTED: written by a newer version; likewise. On any failure forget what was replayed. */
MUST_CHECK enum status wal_open(struct env *env, const struct wal_options *options, const struct wal_replay *replay,
                                struct wal **out, struct errbuf *err);
/* Reads the log as wal_open does, and judges it so, for a person: changes nothing on disk. STATUS_NOT_FOUND: no such
 * directory. segment: of each that is live, in order; may be NULL. */
struct wal_segment_told {
    uint64_t number, bytes, epoch, end; /* end: where the next batch would go */
};
MUST_CHECK enum status wal_look(struct env *env, const char *dir, const struct wal_replay *replay,
                                void (*segment)(void *ctx, const struct wal_segment_told *s), struct errbuf *err);
/* For a log that wal_open has refused as STATUS_CORRUPT: delivers what can still be read of group records, drops and hard
 * states, in log order, and no entry: some of the last ones may be missing, and of each kind an older one may be the last
 * that is left. The handle is good for wal_put_* and wal_begin_anew, or wal_close. Blocks; nothing is changed on disk. */
MUST_CHECK enum status wal_salvage(struct env *env, const struct wal_options *options, const struct wal_replay *replay,
                                   struct wal **out, struct errbuf *err);
/* What was put since wal_salvage becomes, by one write of one sector, the whole log; it is open then. The damaged segments are
 * kept under the names NNN.wal.damaged and not looked at again. Blocks. On failure the damaged log is what it was. */
MUST_CHECK enum status wal_begin_anew(struct wal *w, struct errbuf *err);
/* No write may be under way (wal_busy). Blocks for one small write that closes the log. What was put and not submitted is
 * lost. A background task of the log may still complete afterwards; it touches nothing of the log. */
void wal_close(struct wal *w);

/* Once per pass: delivers the completion of an inline write, prepares spare segments, and when the log has been idle for
 * 10 ms writes a mark after the last batch (wal_busy is true meanwhile), which shows later that the batch was durable. */
void wal_step(struct wal *w);

/* One batch is filled at a time, while at most one is being written. The wal_put_* calls add to the batch being filled. */
void wal_put_group(struct wal *w, uint64_t group, struct slice state); /* create, or replace its state */
void wal_put_group_dropped(struct wal *w, uint64_t group);
void wal_put_hard_state(struct wal *w, uint64_t group, const struct wal_hard_state *hs);
/* index is at most one above the last one put (or reset), if the log has any of the group. */
void wal_put_entry(struct wal *w, uint64_t group, const struct wal_entry *entry);
/* Pins its segment like an entry at `index` until the floor reaches it. */
void wal_put_reset(struct wal *w, uint64_t group, uint64_t index, uint64_t term);

/* Of those that were there when it was opened; above 1: older ones have gone. 0: the log was new. */
uint64_t wal_first_batch(const struct wal *w);
size_t wal_pending_bytes(const struct wal *w);   /* in the batch being filled */
bool wal_busy(const struct wal *w);              /* a write is under way */
uint64_t wal_busy_since_ns(const struct wal *w); /* it began then; busy */
/* Starts writing the batch being filled; must not be busy. `durable` runs on the loop when it is on disk. Batches become
 * durable in order. inline_write: write on the calling thread (one lone batch, nothing else ready); `durable` then still
 * comes from the loop, not from inside this call. */
void wal_submit(struct wal *w, bool inline_write, void (*durable)(void *ctx), void *ctx);

/* The same, blocking, while the owner is being opened: what was put is durable when it returns STATUS_OK. */
MUST_CHECK enum status wal_submit_now(struct wal *w, struct errbuf *err);

/* Entries of the group up to `index` are no longer needed (they are in the store, durable). Segments in which nothing is
 * needed are recycled; group records and hard states that are still the latest are rewritten into the next batch. */
void wal_set_floor(struct wal *w, uint64_t group, uint64_t index);
/* A group whose entries above its floor keep the oldest segment; 0: none, or that is the one being written. When its owner puts
 * all of them again, in order and in one batch, they move to the present segment. */
uint64_t wal_oldest_pin(const struct wal *w);
/* Bytes in segments that still hold needed records: the node flushes its store when this grows. */
uint64_t wal_live_bytes(const struct wal *w);

struct wal_stats {
    uint64_t batches, bytes, payload_bytes; /* since open */
    uint64_t write_ns_total, write_ns_max;  /* of `batches`, each one write */
    bool writing;                           /* a write is under way */
    uint64_t segments, spare_segments;
    const char *sync_method;
};
void wal_stats(const struct wal *w, struct wal_stats *out);

#endif
