#include "range/resolved.h"

#include "base/assert.h"
#include "base/mem.h"

void resolved_forget_past(struct resolved_state *s, uint64_t index)
{
    s->floor_index = index;
    s->floor_ts = index == 0 ? 0 : RESOLVED_NO_FLOOR;
}

void resolved_free(struct resolved_state *s)
{
    mem_free(s->ahead);
    s->ahead = NULL;
}

void resolved_check(const struct resolved_state *s, uint64_t applied)
{
    const struct resolved_ahead *a = s->ahead;
    ASSERT(s->now.index <= applied);
    if (a == NULL) return;
    ASSERT(a->next.index > applied);
    ASSERT(a->next.ts > s->now.ts);
    if (a->last.ts != 0) ASSERT(a->last.ts > a->next.ts);
}

static void take_usable(struct resolved_state *s, const struct resolved *r)
{
    if (r->ts > s->now.ts) {
        s->now = *r;
    } else if (r->ts == s->now.ts && r->since_ns > s->now.since_ns) {
        s->now.since_ns = r->since_ns;
    }
}

/* The oldest of those that wait is done with. */
static void drop_next(struct resolved_state *s)
{
    struct resolved_ahead *a = s->ahead;
    if (a->last.ts == 0) {
        resolved_free(s);
    } else {
        *a = (struct resolved_ahead){.next = a->last};
    }
}

void resolved_applied(struct resolved_state *s, uint64_t applied)
{
    const struct resolved_ahead *a = s->ahead;
    if (a == NULL) return;
    if (a->last.ts != 0 && a->last.index <= applied) {
        take_usable(s, &a->last);
        resolved_free(s);
    } else if (a->next.index <= applied) {
        take_usable(s, &a->next);
        drop_next(s);
    }
}

static void wait_for(struct resolved_state *s, const struct resolved *r)
{
    struct resolved_ahead *a = s->ahead;
    if (a == NULL) {
        a = s->ahead = mem_alloc(sizeof *a);
        *a = (struct resolved_ahead){.next = *r};
    } else if (r->ts > a->next.ts && r->ts > a->last.ts) {
        a->last = *r;
    } else if (r->ts < a->next.ts) {
        if (a->last.ts == 0) a->last = a->next;
        a->next = *r;
    }
}

void resolved_note(struct resolved_state *s, const struct resolved *r, uint64_t applied)
{
    if (r->ts == 0) return;
    if (r->index >= s->floor_index && r->ts < s->floor_ts) s->floor_ts = r->ts;
    resolved_applied(s, applied);
    if (r->index <= applied) {
        take_usable(s, r);
        /* What waited for an index behind it has a higher timestamp: indexes and timestamps rise together. */
        while (s->ahead != NULL && s->ahead->next.ts <= s->now.ts) drop_next(s);
    } else if (r->ts > s->now.ts) {
        wait_for(s, r);
    }
    resolved_check(s, applied);
}
