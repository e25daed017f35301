#include "raft/log.h"

#include "base/assert.h"
#include "base/mem.h"

#define LOG_CAPACITY_MIN 1u /* most groups are at rest, with the one entry of their leader's term in memory */
#define LOG_SHRINK_FROM 32u

void raft_log_init(struct raft_log *l, uint64_t base_index, uint64_t base_term)
{
    *l = (struct raft_log){.base_index = base_index, .base_term = base_term};
}

static void log_entry_free(struct raft_log *l, struct raft_entry *e)
{
    l->bytes -= e->data.size + sizeof(*e);
    if (e->data.size > 0) mem_free((void *)(uintptr_t)e->data.data);
    e->data = SLICE_EMPTY;
}

static void log_empty(struct raft_log *l)
{
    for (size_t i = 0; i < l->count; i++) log_entry_free(l, &l->slots[l->head + i]);
    l->head = l->count = 0;
    ASSERT(l->bytes == 0);
}

void raft_log_free(struct raft_log *l)
{
    log_empty(l);
    mem_free(l->slots);
    l->slots = NULL;
    l->capacity = 0;
}

static void log_resize(struct raft_log *l, uint32_t capacity)
{
    ASSERT(capacity >= l->count);
    if (l->head > 0 && l->count > 0) memmove(l->slots, l->slots + l->head, l->count * sizeof(*l->slots));
    l->head = 0;
    if (capacity == l->capacity) return;
    l->slots = mem_realloc(l->slots, capacity * sizeof(*l->slots));
    l->capacity = capacity;
}

/* Sliding moves at most as many entries as were compacted since the last slide: constant time per entry. */
static void log_make_room(struct raft_log *l)
{
    if (l->head + l->count < l->capacity) return;
    if (l->capacity > 0 && l->head >= l->capacity - l->capacity / 2) {
        log_resize(l, l->capacity);
    } else {
        log_resize(l, l->capacity == 0 ? LOG_CAPACITY_MIN : l->capacity * 2);
    }
}

void raft_log_append(struct raft_log *l, const struct raft_entry *e)
{
    struct raft_entry copy = *e;
    copy.data = e->data.size > 0 ? mem_dup_slice(e->data) : SLICE_EMPTY;
    raft_log_append_owned(l, &copy);
}

void raft_log_append_owned(struct raft_log *l, const struct raft_entry *e)
{
    ASSERT(e->index == raft_log_last(l) + 1);
    ASSERT(e->term >= raft_log_last_term(l));
    ASSERT(e->term > 0);
    log_make_room(l);
    struct raft_entry *slot = &l->slots[l->head + l->count++];
    *slot = *e;
    l->bytes += slot->data.size + sizeof(*slot);
}

void raft_log_truncate(struct raft_log *l, uint64_t from)
{
    ASSERT(from > l->base_index);
    while (raft_log_last(l) >= from) log_entry_free(l, &l->slots[l->head + --l->count]);
}

void raft_log_compact(struct raft_log *l, uint64_t index)
{
    ASSERT(index >= l->base_index);
    ASSERT(index <= raft_log_last(l));
    uint64_t term = raft_log_term(l, index);
    uint32_t gone = (uint32_t)(index - l->base_index);
    for (size_t i = 0; i < gone; i++) log_entry_free(l, &l->slots[l->head + i]);
    l->head += gone;
    l->count -= gone;
    l->base_index = index;
    l->base_term = term;
    if (l->count == 0) l->head = 0;
    if (l->capacity >= LOG_SHRINK_FROM && l->count <= l->capacity / 8) {
        log_resize(l, l->count * 2 < LOG_CAPACITY_MIN ? LOG_CAPACITY_MIN : l->count * 2);
    }
}

void raft_log_reset(struct raft_log *l, uint64_t base_index, uint64_t base_term)
{
    raft_log_free(l);
    raft_log_init(l, base_index, base_term);
}

/* Terms never fall along a log, so the border is found by halving. */
uint64_t raft_log_meet(const struct raft_log *l, uint64_t index, uint64_t term)
{
    uint64_t low = l->base_index;
    uint64_t high = index < raft_log_last(l) ? index : raft_log_last(l);
    if (high <= low) return high;
    while (low < high) {
        uint64_t middle = low + (high - low + 1) / 2;
        if (raft_log_term(l, middle) <= term) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}

size_t raft_log_run(const struct raft_log *l, uint64_t from, uint64_t max_bytes, uint64_t *bytes)
{
    ASSERT(from > l->base_index);
    size_t n = 0;
    *bytes = 0;
    for (const struct raft_entry *e; (e = raft_log_at(l, from + n)) != NULL; n++) {
        if (n > 0 && *bytes + e->data.size > max_bytes) break;
        *bytes += e->data.size;
    }
    return n;
}

void raft_log_check(const struct raft_log *l)
{
    ASSERT(l->head + l->count <= l->capacity);
    ASSERT((l->slots == NULL) == (l->capacity == 0));
    uint64_t bytes = 0, term = l->base_term;
    for (size_t i = 0; i < l->count; i++) {
        const struct raft_entry *e = &l->slots[l->head + i];
        ASSERT(e->index == l->base_index + 1 + i);
        ASSERT(e->term >= term);
        ASSERT(e->data.data != NULL);
        term = e->term;
        bytes += e->data.size + sizeof(*e);
    }
    ASSERT(bytes == l->bytes);
}
