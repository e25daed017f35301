/* Configurations of a group, and their encoding in configuration entries (docs/raft.md has the byte table). */
#ifndef QUORATE_RAFT_CONFIG_H
#define QUORATE_RAFT_CONFIG_H

#include "base/buf.h"
#include "base/map.h"
#include "base/slice.h"
#include "base/status.h"

#define RAFT_VOTERS_MAX 7u /* as many replicas as a descriptor has room for (LIMIT_REPLICAS) */

/* A configuration; joint while old_voter_count > 0 (a decision then needs a majority of both sets). */
struct raft_config {
    uint64_t voters[RAFT_VOTERS_MAX], old_voters[RAFT_VOTERS_MAX], learners[RAFT_VOTERS_MAX];
    uint8_t voter_count, old_voter_count, learner_count;
};

#define RAFT_NOTE_BYTES_MAX 256u

/* The note is the host's own: what a change means to it. It travels with the entry and is not looked at. */
void raft_config_encode(const struct raft_config *c, struct slice note, struct buf *out);
MUST_CHECK enum status raft_config_decode(struct slice data, struct raft_config *out);
struct slice raft_config_note(struct slice data); /* of data that raft_config_decode takes; borrowed */
bool raft_config_is_member(const struct raft_config *c, uint64_t id);

/* Configurations that several groups have in common (config_pool.c). */
struct raft_configs {
    struct map by_hash; /* -> struct raft_config_shared */
};
void raft_configs_init(struct raft_configs *p);
void raft_configs_free(struct raft_configs *p); /* after all that used it */

#endif
