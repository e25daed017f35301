/* The log from inside. Files: wal.c (filling, writing, waiting), wal_index.c (what the durable log holds and where),
 * wal_segment.c (files), wal_recover.c (opening), wal_format.c (bytes).
 *
 * Who owns a segment: `live` is the chain, oldest first, its last is `current`; `spares` are free to be overwritten. A
 * segment moves from live to spares only when the header that announced it is durable. A task that runs elsewhere touches
 * only its own struct. */
#ifndef QUORATE_WAL_WAL_INT_H
#define QUORATE_WAL_WAL_INT_H

#include "base/arena.h"
#include "base/list.h"
#include "base/map.h"
#include "wal/wal.h"
#include "wal/wal_format.h"

#define WAL_DIR_MAX 200u
#define WAL_PATH_MAX (WAL_DIR_MAX + 32u)
#define WAL_SUFFIX ".wal"
#define WAL_DAMAGED_SUFFIX ".wal.damaged" /* evidence: not read */
#define WAL_MARK_IDLE_NS (10 * NS_PER_MS)
#define WAL_RETRY_NS (1000 * NS_PER_MS)
#define WAL_LEFTOVER_BYTES (256u * 1024u) /* rewritten per batch, about */
#define WAL_REMOVE_MAX 16u                /* files per removing task */

enum wal_method { WAL_DIRECT_DSYNC, WAL_DSYNC, WAL_FDATASYNC };

struct wal_group {
    uint64_t id;
    uint64_t floor;      /* entries up to it are not needed */
    uint64_t last_index; /* of the durable log; 0: it has no entry and no reset of the group */
    /* The latest durable group record and hard state, and where they lie; NULL: there is none. */
    struct wal_segment *record_in, *hard_state_in;
    struct slice record; /* owned */
    struct wal_hard_state hard_state;
    /* What was put, durable or not yet. */
    uint64_t put_last;                       /* as last_index */
    uint64_t record_batch, hard_state_batch; /* the last batch in which this was put, or voided by a drop */
    unsigned drops_pending;                  /* group-dropped records put and not durable yet */
    bool put_since_drop;                     /* anything but a drop was put after the last drop */
    uint64_t floor_after_drop;               /* floor of the group's next life, while drops_pending */
};

/* A group has records in a segment. */
struct wal_need {
    struct wal_group *group;
    uint64_t max_index; /* of its entries and reset there that are not void; 0: none */
};

struct wal_segment {
    struct list link;
    uint64_t number, bytes; /* of the file */
    struct disk_file *file; /* NULL: not open, and found at opening: synced once before its first use */
    /* While live: */
    uint64_t epoch;
    uint64_t end;                /* offset at which the next batch would go; `bytes` when it is sealed */
    uint64_t last_at, last_size; /* the last batch found at opening; 0: none */
    struct map needs;            /* group -> struct wal_need */
    struct arena arena;          /* of the needs */
    uint64_t needed;             /* needs with max_index above their group's floor */
    uint64_t latest;             /* latest group records and hard states that lie here */
};

/* A batch being filled or written: a block of room for a segment header, then the batch. */
struct wal_fill {
    uint8_t *memory; /* aligned to WAL_BLOCK */
    size_t capacity;
    uint32_t payload_bytes, records;
};

/* The one write under way. */
struct wal_write {
    struct task task;
    struct wal *wal;
    /* Frozen while the task runs: */
    struct disk *disk;
    const char *dir;
    enum wal_method method;
    uint64_t segment_number, segment_bytes;
    bool create, direct;    /* no spare was ready: the segment has to be made first; as of struct wal */
    struct disk_file *file; /* in: NULL if not open; out */
    uint64_t offset;
    const uint8_t *bytes;
    size_t size;
    /* Out: */
    enum status status;
    const char *failed; /* what: a verb */
    /* The loop's: */
    struct wal_segment *segment;
    uint64_t oldest_epoch; /* announced by this write; 0: it writes no segment header */
    uint64_t started_ns;
    struct wal_batch_header header;
    void (*durable)(void *ctx);
    void *ctx;
};

/* Making a spare, or removing files that are of no use any more. */
struct wal_chore {
    struct task task;
    struct wal *wal; /* NULL: the log was closed meanwhile */
    struct disk *disk;
    char dir[WAL_DIR_MAX];
    enum wal_method method;
    bool direct;                          /* as of struct wal */
    uint64_t create_number, create_bytes; /* 0: this is a removal */
    uint64_t remove[WAL_REMOVE_MAX];
    unsigned remove_count;
    enum status status;
    struct disk_file *file;
};

struct wal {
    struct env *env;
    struct disk *disk;
    char dir[WAL_DIR_MAX];
    uint64_t segment_bytes;
    unsigned spares_wanted;
    enum wal_method method;
    bool direct; /* the disk can do DISK_DIRECT */
    uint64_t log_id;

    struct list live, spares;
    unsigned live_count, spare_count;
    struct wal_segment *current; /* last of live; NULL only while opening a new log */
    uint64_t next_segment, next_epoch;

    uint64_t first_batch; /* as found at opening */
    uint64_t next_batch;  /* number of the batch being filled */
    uint32_t chain;       /* header crc of batch next_batch - 1, when not busy */
    bool last_is_mark;    /* that batch has no records */
    uint64_t idle_since_ns;

    struct wal_fill fill[2];
    unsigned filling; /* which of the two */
    struct wal_write write;
    bool busy, inline_done, failed, closing;

    struct map groups;
    struct wal_group *last_group; /* of the last lookup, or NULL */
    struct wal_need *last_need;   /* likewise, of last_need_in */
    struct wal_segment *last_need_in;

    struct wal_chore *chore; /* under way, or NULL */
    uint64_t chore_retry_ns;
    uint64_t *doomed; /* numbers of files to remove */
    size_t doomed_count, doomed_capacity;

    struct wal_anew *anew; /* between wal_salvage and wal_begin_anew; else NULL */
    struct wal_stats stats;
};

/* --- wal.c --- */
/* Seals the batch being filled and sets up w->write. `with_leftovers`: see wal_index_leftovers. */
void wal_write_prepare(struct wal *w, bool with_leftovers);
void wal_write_execute(struct task *task);
void wal_write_finish(struct wal *w); /* it succeeded: the index, the chain, what was announced */
void wal_put_record(struct wal *w, const struct wal_record *r, struct slice data);

struct wal *wal_new(struct env *env, const struct wal_options *o, enum status *s, struct errbuf *err);
void wal_free(struct wal *w);

/* --- wal_index.c --- */
struct wal_group *wal_group_find(struct wal *w, uint64_t group); /* NULL: unknown */
struct wal_group *wal_group_get(struct wal *w, uint64_t group);  /* made if unknown */
/* A record of a batch that is durable and lies in s. STATUS_CORRUPT: it cannot follow what was there (a gap). */
MUST_CHECK enum status wal_index_apply(struct wal *w, struct wal_segment *s, const struct wal_record *r);
void wal_index_leftovers(struct wal *w); /* puts what alone keeps the oldest segments */
bool wal_segment_in_use(const struct wal_segment *s);
uint64_t wal_index_oldest(const struct wal *w, uint64_t otherwise); /* epoch of the first live segment in use */
void wal_index_forget_segment(struct wal *w, struct wal_segment *s);
void wal_index_free(struct wal *w);
void wal_check(const struct wal *w); /* what is true between any two calls */

/* --- wal_segment.c --- */
struct wal_segment *wal_segment_new(uint64_t number, uint64_t bytes);
void wal_segment_free(struct wal *w, struct wal_segment *s);
void wal_segment_release(struct wal *w, struct wal_segment *s); /* unlinked from live: a spare, or its file is doomed */
void wal_doom(struct wal *w, uint64_t number);
void wal_chores(struct wal *w); /* starts a task when spares are missing or files are doomed */
void wal_path(char path[WAL_PATH_MAX], const char *dir, uint64_t number);
bool wal_path_parse(const char *name, uint64_t *number, const char *suffix);
const char *wal_method_name(enum wal_method m);
unsigned wal_method_flags(enum wal_method m);
/* Blocking: a file full of zeros, synced, its name synced; direct: past the page cache. On failure nothing is left, if it can be helped. */
MUST_CHECK enum status wal_segment_create(struct disk *disk, const char *dir, uint64_t number, uint64_t bytes,
                                          enum wal_method method, bool direct, struct disk_file **out);
/* Blocking: measures which method is fastest here, by writes to a file of its own. */
MUST_CHECK enum status wal_method_choose(struct wal *w, bool measure, struct errbuf *err);

/* --- wal_recover.c --- */
/* Reads the log and fills w: live, spares, current, numbers, index. Changes nothing on disk. *sync_too: a segment besides
 * current that may hold what was never synced, or NULL. */
MUST_CHECK enum status wal_recover(struct wal *w, const struct wal_replay *replay, struct wal_segment **sync_too,
                                   struct errbuf *err);

void wal_deliver(const struct wal_replay *to, const struct wal_record *r);

/* --- wal_salvage.c --- */
void wal_anew_free(struct wal_anew *a);

#endif
