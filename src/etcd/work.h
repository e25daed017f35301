/* Private to etcd/: a piece of work over a snapshot, and its commit (work.c).
 *
 *   READING --body wants what has not been read--> READING ... --body is done--> COMMITTING --> done
 *      ^                                                                              |
 *      '------------- what was read has changed meanwhile: all over again ------------'
 *
 * body computes over what has been read as of one timestamp; it is called again when what it wanted is there, so it does nothing else.
 * Rows that it writes it sees. What no transaction of ours could hold is refused while it is computed, and so is a body that looks at more
 * than a million rows: the gateway's loop stands still meanwhile. */
#ifndef QUORATE_ETCD_WORK_H
#define QUORATE_ETCD_WORK_H

#include "etcd/etcd_int.h"

struct work_row {
    struct slice key; /* row key */
    bool found, written;
    uint64_t version; /* 0: by this work */
    struct slice value;
};
struct work;
enum work_step { WORK_DONE, WORK_WANTS, WORK_REFUSED };
typedef enum work_step (*work_body)(struct work *w, void *ctx);
/* revision: of the commit; without writes: as of which it was read. why: NULL when all went well. */
typedef void (*work_done)(void *ctx, const struct etcd_error *why, uint64_t revision, bool wrote);
/* arena: for everything that it reads; reset by nobody before it is done. */
void work_start(struct etcd *e, struct arena *arena, work_body body, work_done done, void *ctx);
void works_free(struct etcd *e);              /* the client has been freed: their ends never come */
uint64_t work_revision(const struct work *w); /* as of which it reads; 0 before the first read */
unsigned work_attempts(const struct work *w); /* commits that came too late */
struct arena *work_arena(struct work *w);
/* For body. False: wanted; return WORK_WANTS, or want more before that. */
bool work_get(struct work *w, struct slice row_key, const struct work_row **out);
bool work_scan(struct work *w, const struct span *s, const struct work_row ***out, size_t *count);
/* Likewise, but as it was read, without what this work writes. */
bool work_get_before(struct work *w, struct slice row_key, const struct work_row **out);
/* Likewise; and the commit does not ask whether it is the same row, but only whether there is one, if there was. */
bool work_get_loosely(struct work *w, struct slice row_key, const struct work_row **out);
/* Likewise, of a user's row; it asks only whether the lease still is its lease, or still is not. */
bool work_get_bound(struct work *w, struct slice row_key, uint64_t lease, bool *bound);
bool work_scan_before(struct work *w, const struct span *s, const struct work_row ***out, size_t *count);
/* As it was read; at the commit some may have gone, but none has come. The first `most` of it; 0: all. */
bool work_scan_loosely(struct work *w, const struct span *s, size_t most, const struct work_row ***out, size_t *count);
/* As it was read, the first ones; the commit asks nothing about them. */
bool work_peek(struct work *w, const struct span *s, size_t most, const struct work_row ***out, size_t *count);
void work_put(struct work *w, struct slice row_key, struct slice value);                    /* our own rows */
void work_revise(struct work *w, struct slice row_key, struct slice value, uint64_t lease); /* users' */
void work_delete(struct work *w, struct slice row_key);
enum work_step work_refuse(struct work *w, const struct etcd_error *why);

#endif
