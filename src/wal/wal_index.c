/* What the durable log holds, and in which segment: the latest group record and hard state of each group, and per segment
 * and group the highest index that is not void. A function of the durable batches and nothing else: replay builds it with
 * the same calls as writing does, each batch when it is durable. Only floors and the put_* fields know what is newer. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "wal/wal_int.h"

#define ARENA_CHUNK 4096u

/* --- groups --- */
struct wal_group *wal_group_find(struct wal *w, uint64_t group)
{
    if (w->last_group != NULL && w->last_group->id == group) return w->last_group;
    struct wal_group *g = map_get(&w->groups, group);
    if (g != NULL) w->last_group = g;
    return g;
}

struct wal_group *wal_group_get(struct wal *w, uint64_t group)
{
    ASSERT(group != 0);
    struct wal_group *g = wal_group_find(w, group);
    if (g != NULL) return g;
    g = mem_zalloc(sizeof *g);
    g->id = group;
    g->record = SLICE_EMPTY;
    map_put(&w->groups, group, g);
    w->last_group = g;
    return g;
}

static void group_drop_record(struct wal_group *g)
{
    if (g->record.size > 0) mem_free((void *)(uintptr_t)g->record.data);
    g->record = SLICE_EMPTY;
}

static void group_free(struct wal *w, struct wal_group *g)
{
    if (w->last_group == g) w->last_group = NULL;
    group_drop_record(g);
    mem_free(g);
}

/* --- needs --- */
static struct wal_need *need_get(struct wal *w, struct wal_segment *s, struct wal_group *g)
{
    if (w->last_need != NULL && w->last_need_in == s && w->last_need->group == g) return w->last_need;
    struct wal_need *n = map_get(&s->needs, g->id);
    if (n == NULL) {
        n = arena_alloc(&s->arena, sizeof *n);
        *n = (struct wal_need){.group = g, .max_index = 0};
        map_put(&s->needs, g->id, n);
    }
    w->last_need = n;
    w->last_need_in = s;
    return n;
}

static void need_set(struct wal_segment *s, struct wal_need *n, uint64_t max_index)
{
    bool was = n->max_index > n->group->floor;
    n->max_index = max_index;
    bool is = max_index > n->group->floor;
    if (was && !is) s->needed--;
    if (!was && is) s->needed++;
}

static void group_set_floor(struct wal *w, struct wal_group *g, uint64_t floor)
{
    LIST_FOR(node, &w->live)
    {
        struct wal_segment *s = LIST_ENTRY(node, struct wal_segment, link);
        const struct wal_need *n = map_get(&s->needs, g->id);
        if (n == NULL) continue;
        bool was = n->max_index > g->floor;
        bool is = n->max_index > floor;
        if (was && !is) s->needed--;
        if (!was && is) s->needed++;
    }
    g->floor = floor;
}

void wal_set_floor(struct wal *w, uint64_t group, uint64_t index)
{
    struct wal_group *g = wal_group_find(w, group);
    if (g == NULL) return; /* the log has nothing of it */
    if (g->drops_pending > 0) {
        /* The group's next life: its floor must not touch the entries of the former one before the drop is durable. */
        if (index > g->floor_after_drop) g->floor_after_drop = index;
    } else if (index > g->floor) {
        group_set_floor(w, g, index);
    }
}

/* The latest of a kind moves to s (NULL: nowhere). */
static void latest_move(struct wal_segment **in, struct wal_segment *s)
{
    if (*in != NULL) {
        ASSERT((*in)->latest > 0);
        (*in)->latest--;
    }
    *in = s;
    if (s != NULL) s->latest++;
}

/* --- records of a durable batch --- */

/* Whatever older segments hold of the group from `index` on is void. */
static void void_entries(struct wal *w, struct wal_group *g, uint64_t index)
{
    LIST_FOR(node, &w->live)
    {
        struct wal_segment *s = LIST_ENTRY(node, struct wal_segment, link);
        struct wal_need *n = map_get(&s->needs, g->id);
        if (n != NULL && n->max_index >= index) need_set(s, n, index - 1);
    }
}

static enum status apply_entry(struct wal *w, struct wal_segment *s, struct wal_group *g, uint64_t index)
{
    if (index == 0 || (g->last_index != 0 && index > g->last_index + 1)) return STATUS_CORRUPT;
    if (index <= g->last_index) void_entries(w, g, index);
    need_set(s, need_get(w, s, g), index);
    g->last_index = index;
    return STATUS_OK;
}

static void apply_reset(struct wal *w, struct wal_segment *s, struct wal_group *g, uint64_t index)
{
    void_entries(w, g, 1);
    need_set(s, need_get(w, s, g), index);
    g->last_index = index;
}

static void apply_group(struct wal *w, struct wal_segment *s, struct wal_group *g, struct slice state)
{
    group_drop_record(g);
    g->record = state.size > 0 ? mem_dup_slice(state) : SLICE_EMPTY;
    (void)need_get(w, s, g);
    latest_move(&g->record_in, s);
}

static void apply_hard_state(struct wal *w, struct wal_segment *s, struct wal_group *g, const struct wal_hard_state *hs)
{
    g->hard_state = *hs;
    (void)need_get(w, s, g);
    latest_move(&g->hard_state_in, s);
}

/* Nothing of the group is needed any more: the drop lies behind all of it, and segments are freed from the oldest on. */
static void apply_drop(struct wal *w, struct wal_group *g)
{
    latest_move(&g->record_in, NULL);
    latest_move(&g->hard_state_in, NULL);
    LIST_FOR(node, &w->live)
    {
        struct wal_segment *s = LIST_ENTRY(node, struct wal_segment, link);
        const struct wal_need *n = map_remove(&s->needs, g->id);
        if (n != NULL && n->max_index > g->floor) s->needed--;
    }
    w->last_need = NULL;
    group_drop_record(g);
    g->last_index = 0;
    if (g->drops_pending > 0) g->drops_pending--;
    if (g->drops_pending > 0) return;
    g->floor = g->floor_after_drop;
    g->floor_after_drop = 0;
    if (g->put_since_drop) return; /* its next life has begun */
    map_remove(&w->groups, g->id);
    group_free(w, g);
}

enum status wal_index_apply(struct wal *w, struct wal_segment *s, const struct wal_record *r)
{
    if (r->kind == WAL_GROUP_DROPPED) {
        struct wal_group *gone = wal_group_find(w, r->group);
        if (gone != NULL) apply_drop(w, gone);
        return STATUS_OK;
    }
    struct wal_group *g = wal_group_get(w, r->group);
    switch (r->kind) {
    case WAL_GROUP: apply_group(w, s, g, r->state); break;
    case WAL_HARD_STATE: apply_hard_state(w, s, g, &r->hard_state); break;
    case WAL_ENTRY: return apply_entry(w, s, g, r->entry.index);
    case WAL_RESET: apply_reset(w, s, g, r->entry.index); break;
    case WAL_GROUP_DROPPED: BUG("handled above");
    }
    return STATUS_OK;
}

/* --- what keeps a segment --- */
bool wal_segment_in_use(const struct wal_segment *s)
{
    return (s->needed > 0 && !MUTANT(log_freed_early)) || s->latest > 0;
}

uint64_t wal_index_oldest(const struct wal *w, uint64_t otherwise)
{
    for (struct list *node = w->live.next; node != &w->live; node = node->next) {
        const struct wal_segment *s = LIST_ENTRY(node, struct wal_segment, link);
        if (wal_segment_in_use(s)) return s->epoch;
    }
    return otherwise;
}

uint64_t wal_oldest_pin(const struct wal *w)
{
    for (struct list *node = w->live.next; node != &w->live; node = node->next) {
        const struct wal_segment *s = LIST_ENTRY(node, struct wal_segment, link);
        if (s == w->current) return 0;
        uint64_t key;
        void *value;
        for (size_t it = 0; s->needed > 0 && map_next(&s->needs, &it, &key, &value);) {
            const struct wal_need *n = value;
            if (n->max_index > n->group->floor) return key;
        }
        if (wal_segment_in_use(s)) return 0; /* leftovers: the log moves them itself */
    }
    return 0;
}

uint64_t wal_live_bytes(const struct wal *w)
{
    uint64_t sum = 0;
    for (struct list *node = w->live.next; node != &w->live; node = node->next) {
        const struct wal_segment *s = LIST_ENTRY(node, struct wal_segment, link);
        if (sum > 0 || wal_segment_in_use(s)) sum += s == w->current ? s->end : s->bytes;
    }
    return sum;
}

/* Puts again what alone keeps segment s, except what the batch being filled replaces anyway: that is why it may go behind
 * the records that are there. False: enough for one batch. */
static bool put_leftovers_of(struct wal *w, const struct wal_segment *s)
{
    uint64_t key;
    void *value;
    for (size_t it = 0; map_next(&s->needs, &it, &key, &value);) {
        const struct wal_group *g = ((const struct wal_need *)value)->group;
        if (w->fill[w->filling].payload_bytes > WAL_LEFTOVER_BYTES) return false;
        if (g->record_in == s && g->record_batch != w->next_batch)
            wal_put_record(w, &(struct wal_record){.kind = WAL_GROUP, .group = key, .state = g->record}, g->record);
        if (g->hard_state_in == s && g->hard_state_batch != w->next_batch)
            wal_put_record(w, &(struct wal_record){.kind = WAL_HARD_STATE, .group = key, .hard_state = g->hard_state},
                           SLICE_EMPTY);
    }
    return true;
}

void wal_index_leftovers(struct wal *w)
{
    ASSERT(!w->busy); /* or the batch under way might hold newer ones */
    LIST_FOR(node, &w->live)
    {
        const struct wal_segment *s = LIST_ENTRY(node, struct wal_segment, link);
        if (s == w->current || s->needed > 0) return;
        if (s->latest > 0) {
            COVER("wal.leftovers");
            if (!put_leftovers_of(w, s)) return;
        }
    }
}

void wal_index_forget_segment(struct wal *w, struct wal_segment *s)
{
    ASSERT(s->latest == 0);
    ASSERT(s->needed == 0);
    if (w->last_need_in == s) w->last_need = NULL;
    map_free(&s->needs);
    map_init(&s->needs);
    arena_free(&s->arena);
    arena_init(&s->arena, ARENA_CHUNK);
}

void wal_index_free(struct wal *w)
{
    uint64_t key;
    void *value;
    for (size_t it = 0; map_next(&w->groups, &it, &key, &value);) group_free(w, value);
    map_free(&w->groups);
}

void wal_check(const struct wal *w)
{
#ifdef QUORATE_SLOW_ASSERTS
    unsigned live = 0;
    uint64_t epoch = 0, key;
    void *value;
    for (struct list *node = w->live.next; node != &w->live; node = node->next, live++) {
        const struct wal_segment *s = LIST_ENTRY(node, struct wal_segment, link);
        ASSERT(s->epoch > epoch);
        ASSERT(s->epoch < w->next_epoch);
        ASSERT(s->number < w->next_segment);
        ASSERT(s->end >= WAL_BLOCK);
        ASSERT(s->end <= s->bytes);
        epoch = s->epoch;
        uint64_t needed = 0, latest = 0;
        for (size_t it = 0; map_next(&s->needs, &it, &key, &value);) {
            const struct wal_need *n = value;
            ASSERT(n->group == map_get(&w->groups, key));
            if (n->max_index > n->group->floor) needed++;
            if (n->group->record_in == s) latest++;
            if (n->group->hard_state_in == s) latest++;
        }
        ASSERT(needed == s->needed);
        ASSERT(latest == s->latest);
    }
    ASSERT(live == w->live_count);
    ASSERT(w->current == NULL || w->live.prev == &w->current->link);
#else
    (void)w;
#endif
}
