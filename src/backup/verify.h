/* Proves that a backup can be restored, without a cluster: reads every file that it takes, checks every checksum, that the chunks cover each keyspace
 * without a hole or an overlap, that changes follow on each other without one, that chunks hold the rows that they were made of, and that a ledger proves itself (ledger/proof.h). */
#ifndef QUORATE_BACKUP_VERIFY_H
#define QUORATE_BACKUP_VERIFY_H

#include "backup/walk.h"
#include "ledger/ledger.h"

struct verified { /* a keyspace */
    struct slice name;
    struct backup_digest digest;
    const struct backup_keyspace *info;
    bool is_ledger;
};
struct verify_report {
    enum status status;
    const char *text;
    uint64_t at, backup_at;
    const struct verified *keyspaces;
    size_t keyspace_count;
    size_t chunk_count;                /* that cover the keyspaces, without a hole or an overlap */
    const struct ledger_audit *ledger; /* NULL: there is none */
};
struct verify;
typedef void (*verify_done)(void *ctx, const struct verify_report *report);
MUST_CHECK enum status verify_new(struct env *env, struct depot *depot, const struct catalog *catalog, uint64_t at,
                                  verify_done done, void *ctx, struct verify **out, struct errbuf *err);
void verify_progress(const struct verify *v, uint64_t *done, uint64_t *total);
void verify_free(struct verify *v);

#endif
