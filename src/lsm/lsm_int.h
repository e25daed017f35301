/* The store's inside: its state and the work of its background step. Loop only, but for the run functions of jobs.
 *
 *   lsm_apply -> memtable -> frozen memtables -> flush -> level 0 -> compaction -> level 1 ... 6
 *
 * At most one job is under way. It owns the manifest meanwhile, and the version changes only when it completes. */
#ifndef QUORATE_LSM_LSM_INT_H
#define QUORATE_LSM_LSM_INT_H

#include "lsm/cache.h"
#include "lsm/edit.h"
#include "lsm/gc.h"
#include "lsm/output.h"
#include "lsm/passing.h"
#include "lsm/pick.h"
#include "lsm/recent.h"
#include "lsm/rowmerge.h"

#define LSM_COMPACT_STEP_BYTES (4u * 1024u * 1024u)
#define LSM_RETRY_MS 500u
/* What a look at one run more is worth in bytes rewritten: in processor time; or, when nothing was flushed for a while, what
 * the disk would do in the time of a block that has to be read, because then there is nothing else to do. */
#define LOOK_BYTES 32u
#define LOOK_BYTES_QUIET 16384u
#define QUIET_NS (10000 * NS_PER_MS)
#define LOOKS_OF_ITERATOR 16u /* it reads a block of each run, where a get asks a filter */
#define SCRUB_STEP_BYTES (1024u * 1024u)

struct grave {           /* a file to remove */
    struct table *table; /* still open, or NULL */
    uint64_t number;
};

struct flush_waiter {
    struct list link;
    uint64_t seq; /* of the last memtable that must be flushed */
    void (*done)(void *ctx);
    void *ctx;
};

/* Rows merged into one level; goes on in steps of LSM_COMPACT_STEP_BYTES, other jobs may run in between. */
struct compaction {
    struct pick pick; /* files referenced */
    uint32_t from_level;
    struct version *version; /* for gc */
    struct rowmerge merge;
    struct gc gc;
    struct output out;
    bool begun; /* the sources stand at rows */
    uint64_t bytes_in;
};

/*              submit              run ends
 *   (none) ------------> RUNNING -------------+--> applied, freed           good
 *                           ^                 +--> abandoned, freed         no space or damage before the commit
 *                           | LSM_RETRY_MS    +--> STUCK                    no space in the commit: its outcome is open
 *                           +------------------------+
 *                                             +--> fatal                    a write or sync failed */
enum job_kind { JOB_FLUSH, JOB_COMPACT, JOB_EDIT, JOB_REMOVE, JOB_SCRUB, JOB_CHECKPOINT };
struct job {
    struct task task;
    struct lsm *l;
    enum job_kind kind;
    struct memtable *memtable;     /* JOB_FLUSH: referenced */
    struct version *version;       /* JOB_FLUSH: for gc; JOB_CHECKPOINT: what is copied */
    struct output out;             /* JOB_FLUSH */
    struct compaction *compaction; /* JOB_COMPACT, and JOB_EDIT when it moves files: borrowed */
    struct lsm_ingest *ingest;     /* JOB_EDIT: of an installation, owned */
    struct checkpoint *checkpoint; /* JOB_CHECKPOINT: borrowed */
    struct lsm_file *scrubbed;     /* JOB_SCRUB: referenced */
    uint32_t scrub_block;          /* where it begins, then where it stands; block_count: at what follows the blocks */
    struct grave *graves;          /* JOB_REMOVE: owned */
    size_t grave_count;
    uint64_t safepoint, next; /* as they go into the edit */
    uint64_t ids;             /* first of the numbers set aside for this job's files */
    struct edit edit;
    struct buf payload, whole;
    bool committing; /* the edit was handed to the manifest */
    bool reading;    /* the failure came from reading an input */
    enum status status;
    struct errbuf err;
};

struct lsm {
    struct env *env;
    struct lsm_options options; /* dir is owned */
    char *dir;
    struct memtable *active;
    struct arena_pages pages; /* of memtables */
    struct passing passing;   /* rows that go into it when it freezes */
    struct recent recent;     /* of what was applied, in any of them */
    struct memtable **frozen; /* oldest first */
    size_t frozen_count, frozen_capacity;
    uint64_t memtable_seq; /* of the active one */
    struct version *version;
    struct map applied;       /* group -> struct applied (owned): what the manifest says */
    struct manifest manifest; /* the job's while one is under way */
    uint64_t next;            /* unused ids and numbers from here on */
    uint64_t safepoint;
    struct cache cache;

    struct job *job;      /* under way */
    struct job *stuck;    /* to be committed again */
    uint64_t retry_at_ns; /* no new work before */
    struct compaction *compaction;
    struct pick_cursors cursors;
    struct grave *graves;
    size_t grave_count, grave_capacity;
    struct list installs; /* struct lsm_ingest, waiting */
    struct list flush_waiters;
    struct list checkpoints;       /* waiting or under way */
    struct boundaries *boundaries; /* or NULL */
    struct horizons *horizons;     /* or NULL */
    void (*damaged)(void *ctx, struct slice start, struct slice end);
    void *damaged_ctx;
    uint64_t scrub_id;    /* of the file at hand; 0: none */
    uint32_t scrub_block; /* of it, the next */
    uint64_t scrub_at_ns; /* the next step */
    uint64_t scrubbed_bytes, quarantined;

    uint64_t looks;      /* of reads at more runs than one, since level 0 was merged last, or another because of them */
    uint64_t looks_next; /* when there are so many, whether they pay for a merge is asked again */
    uint64_t flushed_at_ns; /* the last flush; 0: none yet */

    uint64_t drain_since_ns;   /* since when the oldest frozen memtable has been the next */
    uint64_t drain_ns_per_kib; /* of memtables flushed, smoothed */
    unsigned loads, views, ingests, iters;
    struct lsm_iter *spare_iter; /* with its buffers, for the next one */
    bool closing, blocking;
    uint64_t flush_count; /* manifest edits of flushes since open */
    uint64_t flushed_bytes, compacted_bytes_in, compacted_bytes_out, bloom_skips;
};

void lsm_table_unref(struct lsm *l, struct table *t);
void lsm_bury(struct lsm *l, struct table *t, uint64_t number);
/* Sets numbers aside: ids and table numbers are never used twice. */
uint64_t lsm_reserve(struct lsm *l, uint64_t count);
uint64_t lsm_salt(struct lsm *l);
size_t lsm_memtable_pages(const struct lsm *l); /* large ones, that one fills */
struct memtable *lsm_memtable_new(struct lsm *l);
void lsm_freeze(struct lsm *l);
void lsm_check(const struct lsm *l);
void lsm_note_applied(struct lsm *l, const struct applied *a);
void lsm_encode_whole(const struct lsm *l, struct buf *payload);
void lsm_quarantine(struct lsm *l, struct lsm_file *f, uint32_t block); /* says so once; it is read no more */
void lsm_output_release(struct lsm *l, struct output *o);               /* what was written is buried */
/* Makes files of a level from an output's tables. Ids are taken from *ids. */
void lsm_output_to_edit(struct lsm *l, struct output *o, uint64_t *ids, uint32_t level, uint64_t run, struct edit *e);
void lsm_notify_flushed(struct lsm *l);

/* load.c: the block with a reference: STATUS_OK, STATUS_MISS, STATUS_CORRUPT, STATUS_IO. */
MUST_CHECK enum status lsm_block(struct lsm_file *f, uint32_t at, struct cache_entry **e);
void lsm_iter_spare_free(struct lsm *l);

/* --- checkpoint.c --- */
struct checkpoint;
struct checkpoint *checkpoint_ready(const struct lsm *l); /* or NULL */
void checkpoint_finish(struct checkpoint *c, enum status s);
void checkpoint_drop_first(struct lsm *l); /* without a word: the store closes */
MUST_CHECK enum status checkpoint_run(struct checkpoint *c, const struct lsm *l, const struct version *v,
                                      struct slice whole);
/* The folder that holds `path`: "" for a name directly below the root. */
void lsm_parent_of(const char *path, char parent[TABLE_PATH_MAX]);

/* --- scrub.c --- */
bool lsm_scrub_due(const struct lsm *l);
bool lsm_scrub_next(struct lsm *l, struct job *j); /* what to read; false: nothing */
void lsm_scrubbed(struct lsm *l, struct job *j);   /* the step ended, well or not */

struct job *lsm_job_new(struct lsm *l, enum job_kind kind);
void lsm_job_submit(struct job *j);
void lsm_job_execute(struct task *t); /* on a worker (job_run.c) */
void lsm_job_free(struct job *j);

struct compaction *compaction_new(struct lsm *l, struct pick *p, uint32_t from_level);
void compaction_free(struct lsm *l, struct compaction *c);
MUST_CHECK enum status compaction_run(struct compaction *c, bool *finished, bool *reading); /* any thread */
/* A range is about to be excised: a compaction that touches it is given up. */
void compaction_cancel_range(struct lsm *l, struct slice start, struct slice end);

/* --- ingest.c --- */
struct lsm_ingest {
    struct lsm *l;
    struct list link;
    struct slice start, end; /* owned */
    struct output out;
    struct keybuf last;
    uint64_t last_ts;
    uint64_t rows;
    enum status failed;
    bool finished;
    struct applied applied;
    uint64_t after_seq; /* memtables up to here must be flushed first */
    void (*done)(void *ctx, enum status s);
    void *ctx;
};
bool ingest_ready(const struct lsm_ingest *g);
void ingest_edit(struct lsm_ingest *g, struct edit *e, uint64_t *ids);
void ingest_free(struct lsm_ingest *g);

#endif
