/* What the backup subcommands share. */
#ifndef QUORATE_CLI_BACKUP_CLI_H
#define QUORATE_CLI_BACKUP_CLI_H

#include "backup/catalog.h"
#include "cli/admin_int.h"
#include "cli/encryption.h"

struct backup_command {
    struct session session;
    struct disk *store; /* an object store's; NULL: a directory, or none was asked for */
    struct encryption encryption;
    struct depot *depot; /* NULL: none was asked for */
    struct env *lock;    /* of one that writes into a directory: holds the lock; or NULL */
    struct cluster_id cluster;
    struct catalog catalog;
    uint64_t began_ms;
    bool done;
    int code;
};
/* `place`: a directory, or s3://BUCKET/PREFIX; NULL: none. A cluster need not be there. An exit code, with the text already printed. */
int backup_open(struct backup_command *k, struct cli *c, const char *place);
/* For one that writes: a directory's `folder` is its alone, and nothing there is of another cluster than k->cluster, which it asks for. */
int backup_claim(struct backup_command *k, const char *place, const char *folder);
/* Runs the loop until k->done; tells each second what is being done. */
void backup_wait(struct backup_command *k, const char *(*progress)(void *job, uint64_t *done, uint64_t *total),
                 void *job);
int backup_close(struct backup_command *k);   /* the exit code; jobs are freed before */
bool backup_at(struct cli *c, uint64_t *at);  /* --at; false: a usage error was printed */
void backup_time(struct buf *b, uint64_t ts); /* "2026-01-31 12:00:00.123Z" */
/* As a line each, or as members of a JSON object. */
void backup_print_digest(struct buf *b, struct slice keyspace, const struct backup_digest *d, enum output output,
                         bool first);

#endif
