/* A backup as it is made: chunks are read while what changes meanwhile is archived, until the archive has passed the newest chunk.
 *
 *   STARTING --keyspaces and ranges are known, changes are being told--> READING --all chunks are there--> CLOSING --changes are archived
 *       |                                                                                                   up to the newest chunk--> ENDING --> done
 *       '-- the versions that the work so far builds on are gone: STARTING anew, keeping what has not changed
 *
 * Three ways in, one machine: a full backup has no chunks to begin with; one that was broken off has some; an incremental one has those of the
 * backup before it, and only the changes since are added. */
#ifndef QUORATE_BACKUP_CREATE_H
#define QUORATE_BACKUP_CREATE_H

#include "backup/catalog.h"
#include "client/client.h"

struct backup_progress {
    const char *doing;                /* in a few words */
    uint64_t bytes_done, bytes_total; /* total: as the nodes reckon it */
    uint64_t chunks, rows, changes_bytes;
};
struct backup_create_options {
    struct cluster_id cluster; /* whose it is */
    bool incremental;
    uint32_t parallel;    /* chunks read at a time; 0: 4 */
    uint64_t rate;        /* bytes a second; 0: as fast as it goes */
    uint32_t chunk_bytes; /* 0: 16 MiB */
    uint32_t timeout_ms;  /* so long nothing need go on before it is given up; 0: 60,000 */
};
struct backup_report {
    enum status status;
    const char *text; /* of a failure */
    uint64_t at, parent;
    uint64_t chunks, reused, rows, bytes; /* bytes: of chunk files written */
    uint64_t changes_bytes;
    bool resumed, reread;
};
struct backup_create;
typedef void (*backup_create_done)(void *ctx, const struct backup_report *report);
/* The catalog is the job's from now on. One callback, from its pass. */
struct backup_create *backup_create_new(struct env *env, struct client *client, struct depot *depot,
                                        struct catalog *catalog, const struct backup_create_options *o,
                                        backup_create_done done, void *ctx);
void backup_create_progress(const struct backup_create *b, struct backup_progress *out);
void backup_create_free(struct backup_create *b); /* before the client; not from its own callback */

#endif
