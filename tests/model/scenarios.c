/* What is explored. Keys 0 and 1 lie in the first range, 2 and 3 in the second. */
#include "world.h"

#define GET(k)                                                                                                         \
    {                                                                                                                  \
        .kind = MODEL_GET, .key = k                                                                                    \
    }
#define PUT(k, v)                                                                                                      \
    {                                                                                                                  \
        .kind = MODEL_PUT, .key = k, .value = v                                                                        \
    }
#define ADD(k, v)                                                                                                      \
    {                                                                                                                  \
        .kind = MODEL_ADD, .key = k, .value = v, .min = NO_MIN                                                         \
    }
#define TAKE(k, v)                                                                                                     \
    {                                                                                                                  \
        .kind = MODEL_ADD, .key = k, .value = -(v), .min = 0                                                           \
    }
#define ACTOR(actor_kind, id, ends_first, ...)                                                                         \
    {                                                                                                                  \
        .kind = actor_kind, .client_id = id, .after = ends_first, .ops = {__VA_ARGS__},                                \
        .op_count = sizeof((struct model_op[]){__VA_ARGS__}) / sizeof(struct model_op)                                 \
    }
#define PLAIN(...) ACTOR(ACTOR_PLAIN, 0, 0, __VA_ARGS__)
#define CROSS(...) ACTOR(ACTOR_CROSS, 0, 0, __VA_ARGS__)
#define LATEST(...) ACTOR(ACTOR_LATEST, 0, 0, __VA_ARGS__)
#define SNAPSHOT(...) ACTOR(ACTOR_SNAPSHOT, 0, 0, __VA_ARGS__)
#define ID(number, ...) ACTOR(ACTOR_CROSS, number, 0, __VA_ARGS__)

const struct scenario scenarios[] = {
    /* Slow write with an old timestamp, later write elsewhere, a latest read, a snapshot. */
    {.name = "four-transaction cycle",
     .in_short_form = true,
     .actors = {PLAIN(PUT(0, 1)), PLAIN(PUT(2, 2)), LATEST(GET(0)), SNAPSHOT(GET(0), GET(2))},
     .actor_count = 4},
    {.name = "four-transaction cycle, no rule",
     .in_short_form = true,
     .no_latest_rule = true,
     .must_fail = true,
     .actors = {PLAIN(PUT(0, 1)), PLAIN(PUT(2, 2)), LATEST(GET(0)), SNAPSHOT(GET(0), GET(2))},
     .actor_count = 4},
    {.name = "cycle, a write over both ranges",
     .actors = {CROSS(PUT(0, 1), PUT(3, 1)), PLAIN(PUT(2, 2)), LATEST(GET(0)), SNAPSHOT(GET(0), GET(2))},
     .actor_count = 4},
    {.name = "two writers over both ranges",
     .in_short_form = true,
     .actors = {CROSS(PUT(0, 1), PUT(2, 1)), CROSS(PUT(0, 2), PUT(2, 2))},
     .actor_count = 2},
    {.name = "write, then snapshot, coordinator dies",
     .in_short_form = true,
     .deaths = 1,
     .actors = {CROSS(PUT(0, 1), PUT(2, 1)), SNAPSHOT(GET(0), GET(2))},
     .actor_count = 2},
    {.name = "write, latest read, Seals by others",
     .in_short_form = true,
     .deaths = 1,
     .impatience = 1,
     .actors = {CROSS(PUT(0, 1), PUT(2, 1)), LATEST(GET(0))},
     .actor_count = 2},
    {.name = "write skew",
     .actors = {CROSS(GET(0), PUT(2, 1)), CROSS(GET(2), PUT(0, 1))},
     .deaths = 1,
     .actor_count = 2},
    {.name = "long fork",
     .actors = {PLAIN(PUT(0, 1)), PLAIN(PUT(2, 2)), SNAPSHOT(GET(0), GET(2)), SNAPSHOT(GET(2), GET(0))},
     .actor_count = 4},
    {.name = "read under a lock, then a write",
     .actors = {CROSS(GET(0), PUT(2, 1)), PLAIN(PUT(0, 2)), SNAPSHOT(GET(0), GET(2))},
     .actor_count = 3},
    {.name = "read under a lock, no floor",
     .no_floor = true,
     .must_fail = true,
     .actors = {CROSS(GET(0), PUT(2, 1)), PLAIN(PUT(0, 2)), SNAPSHOT(GET(0), GET(2))},
     .actor_count = 3},
    {.name = "new leaders",
     .in_short_form = true,
     .new_leaders = 1,
     .actors = {CROSS(PUT(0, 1), PUT(2, 1)), LATEST(GET(2))},
     .actor_count = 2},
    {.name = "new leaders, Seals by others",
     .in_short_form = true,
     .new_leaders = 1,
     .impatience = 1,
     .actors = {CROSS(ADD(0, 1), ADD(2, 1)), LATEST(GET(2))},
     .actor_count = 2},
    {.name = "new leaders, Seals by others, no settling",
     .in_short_form = true,
     .new_leaders = 1,
     .impatience = 1,
     .no_settling = true,
     .must_fail = true,
     .actors = {CROSS(ADD(0, 1), ADD(2, 1)), LATEST(GET(2))},
     .actor_count = 2},
    {.name = "new leaders, snapshot",
     .new_leaders = 1,
     .deaths = 1,
     .actors = {CROSS(PUT(0, 1), PUT(2, 1)), SNAPSHOT(GET(0), GET(2))},
     .actor_count = 2},
    {.name = "escrow: one for two",
     .in_short_form = true,
     .initial = {1},
     .actors = {CROSS(TAKE(0, 1), ADD(2, 1)), PLAIN(TAKE(0, 1))},
     .actor_count = 2},
    {.name = "escrow: one for two, one dies",
     .initial = {1},
     .deaths = 1,
     .actors = {CROSS(TAKE(0, 1), ADD(2, 1)), PLAIN(TAKE(0, 1)), SNAPSHOT(GET(0), GET(2))},
     .actor_count = 3},
    {.name = "escrow: two transfers and a payment",
     .initial = {1},
     .actors = {CROSS(TAKE(0, 1), ADD(2, 1)), CROSS(TAKE(2, 1), ADD(0, 1)), PLAIN(TAKE(0, 1))},
     .actor_count = 3},
    {.name = "escrow: an add without guard",
     .initial = {2},
     .actors = {CROSS(TAKE(0, 1), ADD(2, 1)), PLAIN(ADD(0, -2)), SNAPSHOT(GET(0), GET(2))},
     .actor_count = 3},
    {.name = "escrow: adds and a latest read",
     .initial = {2},
     .actors = {CROSS(ADD(0, 1), ADD(2, 1)), PLAIN(ADD(0, 2)), LATEST(GET(0))},
     .actor_count = 3},
    {.name = "escrow: adds, new leaders",
     .initial = {2},
     .new_leaders = 1,
     .actors = {CROSS(ADD(0, 1), ADD(2, 1)), PLAIN(ADD(0, 2))},
     .actor_count = 2},
    {.name = "an id twice, the first dies",
     .deaths = 1,
     .actors = {ID(7, ADD(0, 1), ADD(2, 1)), ID(7, ADD(0, 1), ADD(2, 1))},
     .actor_count = 2},
    {.name = "a refused id twice",
     .deaths = 1,
     .actors = {ID(7, ADD(0, 1), TAKE(2, 1)), ACTOR(ACTOR_PLAIN, 0, 1, ADD(2, 1)),
                ACTOR(ACTOR_CROSS, 7, 2, ADD(0, 1), TAKE(2, 1))},
     .actor_count = 3},
};
const size_t scenario_count = sizeof(scenarios) / sizeof(scenarios[0]);
