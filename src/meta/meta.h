/* The metadata service: one Raft group of its own on 3 or 5 members, same log, store and replica code as the ranges.
 * Decisions are in the pure machine (meta/machine.h); this is the server around it. */
#ifndef QUORATE_META_META_H
#define QUORATE_META_META_H

#include "env/env.h"
#include "range/host.h"

struct meta;
struct meta_member {
    uint64_t id; /* 1, 2, 3...: also its replica id */
    const char *address;
};
struct meta_options {
    uint64_t id;
    const char *listen; /* NULL: its own member address */
    struct meta_member members[LIMIT_VOTERS];
    size_t member_count;
    bool join; /* the group exists, and this member is being added to it (`meta add`): members names the others, too */
    struct host_options host;
};
MUST_CHECK enum status meta_new(struct env *env, const struct meta_options *o, struct meta **out, struct errbuf *err);
void meta_stop(struct meta *m);
bool meta_stopped(const struct meta *m);
void meta_free(struct meta *m);
struct host *meta_host(struct meta *m); /* for tests and checkers */

#endif
