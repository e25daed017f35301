/* The entries of a group that are in memory: a contiguous run after a base. The base is the last entry that is not here: it
 * is in the store, and its index and term are known. Owns a copy of every entry's data.
 *
 * Entries lie side by side in one array, so that an append message may borrow a run of them; the array slides to its front
 * when it has come to its end and half of it is free, otherwise it doubles. */
#ifndef QUORATE_RAFT_LOG_H
#define QUORATE_RAFT_LOG_H

#include "raft/raft.h"

struct raft_log {
    struct raft_entry *slots; /* [head, head + count) are the entries base_index + 1 .. */
    uint32_t head, count, capacity;
    uint64_t base_index, base_term;
    uint64_t bytes; /* of all entries: data and slots */
};

void raft_log_init(struct raft_log *l, uint64_t base_index, uint64_t base_term);
void raft_log_free(struct raft_log *l);
void raft_log_append(struct raft_log *l, const struct raft_entry *e);       /* copies; e->index is last + 1 */
void raft_log_append_owned(struct raft_log *l, const struct raft_entry *e); /* takes over e->data, of mem.h */
void raft_log_truncate(struct raft_log *l, uint64_t from); /* drops from and all after it; from > base */
void raft_log_compact(struct raft_log *l, uint64_t index); /* index becomes the base; it is in the log */
void raft_log_reset(struct raft_log *l, uint64_t base_index, uint64_t base_term); /* empty, after a new base */

static inline uint64_t raft_log_last(const struct raft_log *l) /* the base's index when empty */
{
    return l->base_index + l->count;
}

static inline const struct raft_entry *raft_log_at(const struct raft_log *l, uint64_t index) /* NULL: not in memory */
{
    if (index <= l->base_index || index > raft_log_last(l)) return NULL;
    return &l->slots[l->head + (size_t)(index - l->base_index - 1)];
}

static inline uint64_t raft_log_term(const struct raft_log *l, uint64_t index) /* 0: unknown, or index 0 */
{
    if (index == l->base_index) return l->base_term;
    const struct raft_entry *e = raft_log_at(l, index);
    return e == NULL ? 0 : e->term;
}

static inline uint64_t raft_log_last_term(const struct raft_log *l)
{
    return raft_log_term(l, raft_log_last(l));
}

/* The largest index <= the given one whose term is <= term: where two logs may agree at the latest. The base, if none is. */
uint64_t raft_log_meet(const struct raft_log *l, uint64_t index, uint64_t term);
/* Entries from `from` that fit in max_bytes of data, at least one if there is one. */
size_t raft_log_run(const struct raft_log *l, uint64_t from, uint64_t max_bytes, uint64_t *bytes);
void raft_log_check(const struct raft_log *l);

#endif
