#include "range/resolved.h"

#include "base/assert.h"
#include "base/mutant.h"

void resolved_forget_past(struct resolved_state *s, uint64_t index)
{
    s->floor_index = index;
    s->floor_ts = index == 0 || MUTANT(floor_forgotten) ? 0 : RESOLVED_NO_FLOOR;
}

void resolved_check(const struct resolved_state *s, uint64_t applied)
{
    ASSERT(s->now.index <= applied);
    if (s->next.ts != 0) ASSERT(s->next.index > applied);
    if (s->next.ts != 0) ASSERT(s->next.ts > s->now.ts);
    if (s->last.ts != 0) ASSERT(s->next.ts != 0);
    if (s->last.ts != 0) ASSERT(s->last.ts > s->next.ts);
}

static void take_usable(struct resolved_state *s, const struct resolved *r)
{
    if (r->ts > s->now.ts) {
        s->now = *r;
    } else if (r->ts == s->now.ts && r->since_ns > s->now.since_ns) {
        s->now.since_ns = r->since_ns;
    }
}

void resolved_applied(struct resolved_state *s, uint64_t applied)
{
    if (s->last.ts != 0 && s->last.index <= applied) {
        take_usable(s, &s->last);
        s->next = s->last = (struct resolved){0};
    } else if (s->next.ts != 0 && s->next.index <= applied) {
        take_usable(s, &s->next);
        s->next = s->last;
        s->last = (struct resolved){0};
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
        if (s->next.ts != 0 && s->next.ts <= s->now.ts) {
            s->next = s->last;
            s->last = (struct resolved){0};
        }
        if (s->next.ts != 0 && s->next.ts <= s->now.ts) s->next = (struct resolved){0};
    } else if (r->ts > s->now.ts) {
        if (s->next.ts == 0) {
            s->next = *r;
        } else if (r->ts > s->next.ts && r->ts > s->last.ts) {
            s->last = *r;
        } else if (r->ts < s->next.ts) {
            if (s->last.ts == 0) s->last = s->next;
            s->next = *r;
        }
    }
    resolved_check(s, applied);
}
