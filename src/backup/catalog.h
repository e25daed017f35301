/* What a backup's directory holds, as it was when it was read. */
#ifndef QUORATE_BACKUP_CATALOG_H
#define QUORATE_BACKUP_CATALOG_H

#include "backup/depot.h"

struct catalog_changes { /* a file of changes */
    uint64_t from, to, bytes;
    struct cluster_id cluster; /* as it says of itself */
};
struct catalog {
    struct arena arena;
    struct backup_manifest *backups; /* complete, oldest first */
    size_t backup_count, backup_capacity;
    struct backup_manifest partial;  /* of a backup that was broken off; partial.from 0: there is none */
    struct catalog_changes *changes; /* by from, then to */
    size_t change_count, change_capacity;
    bool moved;         /* while it was read, a file gave way to another */
    enum status status; /* of reading it */
    struct errbuf err;
    struct depot *depot; /* while it is read */
};
/* Reads names and manifests: blocks. A manifest that cannot be read is a failure, with its name. */
MUST_CHECK enum status catalog_read(struct catalog *c, struct depot *d, struct errbuf *err);
/* STATUS_WRONG_CLUSTER: something in it is of another; says what. */
MUST_CHECK enum status catalog_check(const struct catalog *c, const struct cluster_id *cluster, struct errbuf *err);
/* The keyspaces as they stood when the archive reached `at`, where a chain ends (catalog_chain). Blocks. They lie in the catalog. */
MUST_CHECK enum status catalog_keyspaces(struct catalog *c, struct depot *d, uint64_t at,
                                         const struct backup_keyspace **out, size_t *count, struct errbuf *err);
void catalog_free(struct catalog *c);
/* Up to where changes are there without a hole above `from`; at least `from`. `files`: those that it takes up to `want`, in order; may be NULL. */
uint64_t catalog_chain(const struct catalog *c, uint64_t from, uint64_t want, const struct catalog_changes **files,
                       size_t *count);

#endif
