/* All rows that a backup holds as of a timestamp, chunk by chunk: what verifying and restoring have in common.
 *
 *   SURVEYING --every file of changes has been read--> LOADING --those of a part of the keys are at hand--> CHUNKS --> LOADING ... --> ENDED
 *
 * Changes that fit `memory_bytes` are read once; otherwise once for each part. */
#ifndef QUORATE_BACKUP_WALK_H
#define QUORATE_BACKUP_WALK_H

#include "backup/catalog.h"
#include "backup/overlay.h"

struct walk;
struct walk_options {
    uint64_t at;           /* 0: as late as there are changes for the newest backup */
    uint32_t ahead;        /* chunks at hand at a time; 0: 4 */
    uint64_t memory_bytes; /* for changes; 0: 512 MiB */
    struct slice first;    /* a keyspace whose chunks are all given back before any other is delivered; or none */
};
struct walk_chunk {
    struct list link; /* the receiver's */
    struct walk *walk;
    struct merged rows;
    struct buf file;
    size_t index;
};
/* on_chunk: in any order, in the end each once; give it back with walk_chunk_done when all rows have been taken. on_plan: once, before. on_end: once. */
struct walk_events {
    void (*on_plan)(void *ctx);
    void (*on_chunk)(void *ctx, struct walk_chunk *c);
    void (*on_end)(void *ctx, enum status s, const char *text);
};
/* Picks the newest backup that can be brought to `at`. STATUS_NOT_FOUND: there is none; says what there is. */
MUST_CHECK enum status walk_new(struct env *env, struct depot *depot, const struct catalog *catalog,
                                const struct walk_options *o, const struct walk_events *events, void *ctx,
                                struct walk **out, struct errbuf *err);
void walk_free(struct walk *w);
void walk_chunk_done(struct walk_chunk *c);

uint64_t walk_at(const struct walk *w);
const struct backup_manifest *walk_backup(const struct walk *w);
/* From on_plan on: the keyspaces that are there at `at`, and the chunks (those of keyspaces that came after the backup have no file). */
const struct backup_keyspace *walk_keyspaces(const struct walk *w, size_t *count);
const struct backup_chunk *walk_chunks(const struct walk *w, size_t *count);
/* Progress: bytes of files read, and of all that will be. */
void walk_progress(const struct walk *w, uint64_t *done, uint64_t *total);

#endif
