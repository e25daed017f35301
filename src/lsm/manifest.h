/* The manifest: a log of edits, each durable before anything relies on it. Layout, recovery: docs/formats/manifest.md. */
#ifndef QUORATE_LSM_MANIFEST_H
#define QUORATE_LSM_MANIFEST_H

#include "lsm/memtable.h"
#include "lsm/version.h"

/* Items, appended to an edit's payload. */
void manifest_put_add(struct buf *b, const struct lsm_file *f);
void manifest_put_remove(struct buf *b, uint64_t id);
void manifest_put_applied(struct buf *b, const struct applied *a); /* or forget */
void manifest_put_erases(struct buf *b, const struct erase_list *list);
void manifest_put_cut(struct buf *b, struct slice start, struct slice end);
void manifest_put_next(struct buf *b, uint64_t next);
void manifest_put_safepoint(struct buf *b, uint64_t ts);

/* What a manifest says, as read. */
struct manifest_file {
    uint64_t id, run;
    uint32_t level;
    struct table_id table;
    struct slice lower, upper; /* in the arena of the state */
};
struct manifest_state {
    struct arena arena;
    struct map files;   /* id -> struct manifest_file */
    struct map applied; /* group -> struct applied */
    struct erase_list erases;
    uint64_t next, safepoint;
};
void manifest_state_init(struct manifest_state *s);
void manifest_state_free(struct manifest_state *s);
/* The whole file's bytes. *used: where the log ends. STATUS_OK, STATUS_CORRUPT, STATUS_UNSUPPORTED. */
MUST_CHECK enum status manifest_decode(struct slice bytes, struct manifest_state *s, size_t *used, struct errbuf *err);

/* The open manifest. Used by one thread at a time: whoever runs the store's step. */
struct manifest {
    struct disk *disk;
    const char *dir;
    struct disk_file *file; /* NULL: there is none yet */
    uint64_t size;
    uint32_t crc;        /* of the last record */
    uint64_t whole_size; /* of the file when it was begun */
    bool rewrite;        /* the next edit goes into a new file */
};
/* Reads, verifies and syncs. STATUS_NOT_FOUND: there is none. */
MUST_CHECK enum status manifest_open(struct manifest *m, struct disk *d, const char *dir, struct manifest_state *s,
                                     struct errbuf *err);
void manifest_close(struct manifest *m);
bool manifest_wants_rewrite(const struct manifest *m);
/* Makes the edit durable. whole: payload of the state before the edit; used if a new file is to be written, so give it
 * when manifest_wants_rewrite; edit may be empty then. STATUS_RETRY: not done; call again with `whole`. STATUS_NO_SPACE: it may
 * or may not have become durable, so call again with the same edit (and with `whole`) until it succeeds. STATUS_IO: the process
 * must stop. */
MUST_CHECK enum status manifest_commit(struct manifest *m, struct slice whole, struct slice edit);

#endif
