/* The digest of what a cluster holds: of each keyspace, as of one timestamp. Equal digests: equal contents (format.h). */
#ifndef QUORATE_BACKUP_INSPECT_H
#define QUORATE_BACKUP_INSPECT_H

#include "backup/format.h"
#include "client/client.h"

struct inspected { /* a keyspace */
    uint32_t id;
    struct slice name;
    struct backup_digest digest;
};
struct inspect;
struct inspect_report {
    enum status status;
    const char *text;
    uint64_t at;
    const struct inspected *keyspaces;
    size_t keyspace_count;
};
typedef void (*inspect_done)(void *ctx, const struct inspect_report *report);
/* at: 0: now. One callback, from its pass. */
struct inspect *inspect_new(struct env *env, struct client *client, uint64_t at, uint32_t parallel, inspect_done done,
                            void *ctx);
void inspect_progress(const struct inspect *p, uint64_t *bytes, uint64_t *total);
void inspect_free(struct inspect *p); /* before the client; not from its own callback */

#endif
