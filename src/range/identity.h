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
};

/* Claims the directory (lock), reads IDENTITY, or makes one for an empty directory. STATUS_LOCKED, STATUS_UNSUPPORTED (another
 * role or a newer version), STATUS_CORRUPT, STATUS_INVALID (foreign files): err says what it is and what to do. */
MUST_CHECK enum status identity_open(struct env *env, enum role role, struct identity *out, struct errbuf *err);
MUST_CHECK enum status identity_save(struct env *env, const struct identity *id, struct errbuf *err);

#endif
