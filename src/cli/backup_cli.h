/* What the backup subcommands share. */
#ifndef QUORATE_CLI_BACKUP_CLI_H
#define QUORATE_CLI_BACKUP_CLI_H

#include "backup/catalog.h"
#include "cli/admin_int.h"

struct backup_command {
    struct session session;
    struct depot *depot; /* NULL: none was asked for */
    struct env *lock;    /* of one that writes: holds the lock; or NULL */
    struct cluster_id cluster;
    struct catalog catalog;
    uint64_t began_ms;
    bool done;
    int code;
};
/* Without a directory, or without a cluster, if there is none to speak of. An exit code, with the text already printed. */
int backup_open(struct backup_command *k, struct cli *c, const char *dir);
/* For one that writes: the directory's `folder` is its alone, and nothing there is of another cluster than k->cluster, which it asks for. */
int backup_claim(struct backup_command *k, const char *dir, const char *folder);
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
