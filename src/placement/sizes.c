/* Ranges that are too large or too hot are split, small cold neighbours merged. Between the two lies a factor of four in
 * size and of twenty in load, and an age: what was split does not merge at once, nor the other way round.
 *
 * Too hot is a range that for some time has had more than a node's share of all load: no placement of leaderships is even
 * then. Where it is as busy elsewhere, to cut it would help nobody; and each cut costs, for what came in one batch then
 * comes in two. */
#include "placement/plan_int.h"

static bool is_healthy(const struct round *r, const struct placement_range *g)
{
    for (unsigned i = 0; i < g->seats; i++) {
        if (!seat_answers(r, g, i)) return false;
    }
    return g->leader < g->seats;
}

/* One that lacks a replica does not merge: the other one would be brought to the same. */
static bool is_whole(const struct round *r, const struct placement_range *g)
{
    return is_healthy(r, g) && seat_voters(g) >= r->view->rules[g->rules].voters;
}

static bool too_large(const struct round *r, const struct placement_range *g)
{
    return g->bytes > r->options->split_bytes;
}

static bool too_hot(const struct round *r, const struct placement_range *g)
{
    const struct placement_options *o = r->options;
    return g->load > o->split_load && g->hot_s >= o->split_load_s && (uint64_t)g->load * r->leading > r->load;
}

static bool may_merge(const struct round *r, const struct placement_range *a, const struct placement_range *b)
{
    const struct placement_options *o = r->options;
    if (a->keyspace != b->keyspace || r->view->rules[a->rules].pinned) return false;
    return a->bytes + b->bytes < o->merge_bytes && (uint64_t)a->load + b->load < o->merge_load &&
           a->age_s >= o->merge_age_s && b->age_s >= o->merge_age_s;
}

static void try_split(struct round *r, size_t i)
{
    const struct placement_range *g = &r->view->ranges[i];
    if (!too_large(r, g) && !too_hot(r, g)) return;
    if (r->options->pause_split) {
        round_note(r, PLACEMENT_NOT_PAUSED, i);
    } else if (g->calm) {
        round_note(r, PLACEMENT_NOT_AGAIN, i);
    } else if (is_healthy(r, g)) {
        round_emit(r, PLACEMENT_SPLIT, too_large(r, g) ? PLACEMENT_WHY_SIZE : PLACEMENT_WHY_LOAD, i, PLACEMENT_NO_SITE,
                   PLACEMENT_NO_SITE);
    }
}

static void try_merge(struct round *r, size_t i)
{
    const struct placement_range *a = &r->view->ranges[i], *b = a + 1;
    if (round_touched(r, i) || round_touched(r, i + 1) || !may_merge(r, a, b)) return;
    if (r->options->pause_merge) {
        round_note(r, PLACEMENT_NOT_PAUSED, i);
    } else if (a->calm || b->calm) {
        round_note(r, PLACEMENT_NOT_AGAIN, i);
    } else if (is_whole(r, a) && is_whole(r, b)) {
        round_emit(r, PLACEMENT_MERGE, PLACEMENT_WHY_SMALL, i, PLACEMENT_NO_SITE, PLACEMENT_NO_SITE);
        r->plan->ops[r->plan->op_count - 1].other = b->id;
        r->touched[(i + 1) / 8] = (uint8_t)(r->touched[(i + 1) / 8] | 1u << ((i + 1) % 8));
    }
}

void sizes_pass(struct round *r)
{
    for (size_t i = 0; i < r->view->range_count && !round_full(r); i++) {
        if (!round_touched(r, i)) try_split(r, i);
        if (!round_full(r) && i + 1 < r->view->range_count) try_merge(r, i);
    }
}
