/* Backups under faults: one more process, with a disk of its own, that makes full and incremental backups and follows the changes while ranges are cut and
 * moved and everything dies, itself too. What must be true, however it went:
 *
 *   - whatever the directory holds can be read, and proves itself: no manifest without its chunks, no hole in what it says it has;
 *   - as of any timestamp that it says it reaches, it holds what all commits up to there make, and nothing of later ones: registers, balances,
 *     history rows, over all ranges (check_reads.c, check_money.c; the ledger by its own proof);
 *   - it is what the cluster holds at that timestamp;
 *   - restored into a new cluster, while that one's processes die, it is the same (restore_run.c). */
#ifndef QUORATE_TESTS_SIM_BACKUP_LOAD_H
#define QUORATE_TESTS_SIM_BACKUP_LOAD_H

#include "backup/format.h"
#include "sim/check.h"
#include "sim/cluster.h"

enum { HELD_MAX = 8, HELD_NAME = 64 };

/* What a backup holds as of a timestamp, keyspace by keyspace. */
struct held {
    uint64_t at;
    unsigned count;
    char names[HELD_MAX][HELD_NAME];
    struct backup_digest digests[HELD_MAX];
};
void held_add(struct held *h, struct slice name, const struct backup_digest *d);
/* NULL: a keyspace without rows, or that is not there. */
const struct backup_digest *held_find(const struct held *h, struct slice name);

struct workload;
struct backup_load;
struct backup_load *backup_load_new(struct workload *l);
void backup_load_free(struct backup_load *l); /* its process must be down */
void backup_load_last(
    struct backup_load
        *l); /* nothing breaks any more, and nobody writes: the last backup, then all of them are judged */
bool backup_load_over(const struct backup_load *l);
void backup_load_describe(const struct backup_load *l);
/* When its process is down for good: the disk, which is the caller's now, and what is restored from it. */
struct memdisk *backup_load_take(struct backup_load *l, struct held *wanted);

/* restore_run.c: into a new cluster, in a world of its own that begins at now_ns; false: it is not what was wanted, or something else was found. */
bool restore_run(struct memdisk *disk, const struct held *wanted, uint64_t seed, uint64_t now_ns, uint64_t *hash,
                 char failure[1024]);
/* read_ops.c: into the cut; false: nobody writes such a row. */
bool read_look_at_row(struct cut *cut, const struct scan_row *row);
/* An outcome that trouble in the cluster explains. */
bool backup_may_fail(enum status s);

#endif
