/* Who a data directory belongs to: the file IDENTITY at its root, written once by temp file, sync, rename and directory sync.
 * A directory of another cluster or role is refused, never used. */
#ifndef QUORATE_RANGE_IDENTITY_H
#define QUORATE_RANGE_IDENTITY_H

#include "env/env.h"
#include "wire/messages.h"

struct identity {
    enum role role;
    uint8_t uuid[16];          /* of this directory */
    uint64_t node_id;          /* 0: not registered yet */
    struct cluster_id cluster; /* none: not known yet */
    uint32_t finalised;        /* cluster version that may have been used here: at least VERSION_FIRST */
    bool has_log;        /* a batch of a log was once durable here: without it the directory has forgotten its votes */
    uint32_t support_ms; /* the longest promise to a leader that may have been given from here (docs/liveness.md) */
    struct meta_founders founders; /* of a metadata server: with whom the service began (meta/founding.c) */
};

/* Claims the directory (lock), reads IDENTITY, or makes one for an empty directory. STATUS_LOCKED, STATUS_UNSUPPORTED (another
 * role or a newer version), STATUS_CORRUPT, STATUS_INVALID (foreign files): err says what it is and what to do. */
MUST_CHECK enum status identity_open(struct env *env, enum role role, struct identity *out, struct errbuf *err);
/* Before the log is opened: a directory that once held a durable log and has none is refused, STATUS_CORRUPT. */
MUST_CHECK enum status identity_check_log(struct env *env, const struct identity *id, const char *log_dir,
                                          struct errbuf *err);
/* The first batch of the log is durable: noted once in the directory's life. Blocks for that one small write. */
MUST_CHECK enum status identity_note_log(struct env *env, struct identity *id, struct errbuf *err);
/* May a program that supports `newest` at most (0: this one) run here? Else STATUS_UNSUPPORTED. */
MUST_CHECK enum status identity_check_version(const struct identity *id, uint32_t newest, struct errbuf *err);
/* The cluster is at that version: noted before anything of it is used here. Blocks for that one small write. */
MUST_CHECK enum status identity_note_finalised(struct env *env, struct identity *id, uint32_t finalised,
                                               struct errbuf *err);
/* Promises of that length will be given: noted before. Blocks for that one small write. */
MUST_CHECK enum status identity_note_support(struct env *env, struct identity *id, uint32_t support_ms,
                                             struct errbuf *err);
MUST_CHECK enum status identity_save(struct env *env, const struct identity *id, struct errbuf *err);

#endif
