/* The archive of changes: what a reader of changes brings becomes files, each of which follows on the one before without a hole.
 * While the last file is small it is written anew, longer, so that an idle cluster does not fill a folder. */
#ifndef QUORATE_BACKUP_LOG_H
#define QUORATE_BACKUP_LOG_H

#include "backup/changes.h"
#include "backup/depot.h"

struct change_log {
    struct env *env;
    struct depot *depot;
    struct cluster_id cluster;
    struct changes *changes;
    uint64_t every_ns; /* between two files, when little changes */
    uint64_t written;  /* all changes up to here are in files */
    uint64_t goal;     /* files are wanted up to here at once */
    /* the file that grows */
    uint64_t from;
    struct buf rows;
    char name[BACKUP_NAME_MAX]; /* empty: it has not been written yet */
    /* the write under way */
    bool writing;
    uint64_t to, next_ns;
    char next_name[BACKUP_NAME_MAX];
    uint64_t bytes; /* rows written, ever */
    enum status status;
    char text[400];
};
void change_log_init(struct change_log *l, struct env *env, struct depot *depot, struct changes *changes,
                     const struct cluster_id *cluster, uint32_t every_ms);
void change_log_free(struct change_log *l); /* not the depot, nor the changes */
/* In each pass of the owner; when to look again. l->status tells a failure of either. */
uint64_t change_log_pass(struct change_log *l, uint64_t now_ns);

#endif
