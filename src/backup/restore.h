/* A backup goes into a new, empty cluster, as of a timestamp.
 *
 *   PLANNING --> LOOKING: is the cluster empty? --> MARKING --> CREATING keyspaces --> WRITING --> READING BACK --> UNMARKING --> done
 *
 * The mark is a row in a keyspace of its own: a restore that was broken off goes on when it is run again, and no other may begin. It is
 * put only where there is none: one that was sent before a restore was broken off may come while the next looks, and then it counts. Rows go
 * in the order of their keys, in batches whose bounds and ids follow from the backup alone: repeated, a batch acts once. */
#ifndef QUORATE_BACKUP_RESTORE_H
#define QUORATE_BACKUP_RESTORE_H

#include "backup/inspect.h"
#include "backup/walk.h"

#define RESTORE_KEYSPACE CLIENT_RESTORE_MARK

struct restore_options {
    uint64_t at;
    uint32_t parallel;  /* batches under way; 0: 8 */
    size_t batch_bytes; /* whoever goes on with a restore must have the same; 0: 512 KiB */
    uint64_t rate;      /* bytes a second; 0: as fast as it goes */
    bool skip_readback; /* what was written is not compared */
};
struct restore_report {
    enum status status;
    const char *text;
    uint64_t at, backup_at, rows, bytes, ended; /* ended: rows whose time to live had passed */
    bool resumed, compared;
};
struct restore;
typedef void (*restore_done)(void *ctx, const struct restore_report *report);
MUST_CHECK enum status restore_new(struct env *env, struct client *client, struct depot *depot,
                                   const struct catalog *catalog, const struct restore_options *o, restore_done done,
                                   void *ctx, struct restore **out, struct errbuf *err);
const char *restore_progress(const struct restore *r, uint64_t *done, uint64_t *total); /* what it is doing */
/* The row as it is to be written into a new cluster. */
struct backup_row restore_row(struct arena *arena, struct slice keyspace, struct backup_row row);
/* The keyspace's time to live as it is to be: none where the gateways keep what must stay. */
uint64_t restore_ttl(const struct backup_keyspace *k);
void restore_free(struct restore *r); /* before the client; not from its own callback */

#endif
