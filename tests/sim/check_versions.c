/* Timestamps against real time: a commit that was acknowledged before another was asked for has the lower timestamp,
 * whichever ranges they touched. And a version names one value: reads of the same version of a key saw the same. The tally: each +1 that was
 * acknowledged counts once, each of unknown outcome at most once. */
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "sim/check.h"

#include <stdlib.h>

struct point {
    uint64_t at_ns, ts;
    bool is_call;
};

static int point_cmp(const void *a, const void *b)
{
    const struct point *x = a, *y = b;
    if (x->at_ns != y->at_ns) return x->at_ns < y->at_ns ? -1 : 1;
    return (int)y->is_call - (int)x->is_call; /* at one instant: calls first, so that they count as concurrent */
}

static void check_real_time(struct world *w, const struct commits *c, const char *what)
{
    size_t count = 2 * c->count;
    struct point *points = mem_alloc((count + 1) * sizeof *points);
    for (size_t i = 0; i < c->count; i++) {
        const struct commit *x = &c->items[i];
        points[2 * i] = (struct point){.at_ns = x->call_ns, .ts = x->ts, .is_call = true};
        points[2 * i + 1] = (struct point){.at_ns = x->return_ns, .ts = x->ts};
    }
    qsort(points, count, sizeof *points, point_cmp);
    uint64_t returned = 0;
    for (size_t i = 0; i < count; i++) {
        if (!points[i].is_call) {
            if (points[i].ts > returned) returned = points[i].ts;
        } else if (points[i].ts <= returned) {
            world_fail(w, "%s: a commit asked for at %.6f s got %llu, although %llu had been acknowledged before", what,
                       (double)points[i].at_ns / 1e9, (unsigned long long)points[i].ts, (unsigned long long)returned);
            break;
        }
    }
    mem_free(points);
}

void check_tally(struct world *w, const struct history *h, uint64_t final)
{
    check_real_time(w, &h->tally, "tally");
    struct map seen;
    map_init(&seen);
    for (size_t i = 0; i < h->tally.count; i++) {
        if (map_put(&seen, h->tally.items[i].ts, &h->tally.items[i]) == NULL) continue;
        world_fail(w, "tally: the sum %llu was answered twice", (unsigned long long)h->tally.items[i].ts);
    }
    map_free(&seen);
    if (final >= h->tally.count && final <= h->tally.count + h->tally_unknown) return;
    world_fail(w, "tally: %llu at the end, but %zu were acknowledged and %llu more may have happened",
               (unsigned long long) final, h->tally.count, (unsigned long long)h->tally_unknown);
}

void check_versions(struct world *w, const struct history *h)
{
    check_real_time(w, &h->commits, "timestamps");
    struct map values; /* hash of (key, version) -> op */
    map_init(&values);
    for (size_t i = 0; i < h->op_count; i++) {
        struct op *op = &h->ops[i];
        if (op->outcome != OP_DONE || op->kind == OP_DELETE || op->version == 0) continue;
        uint64_t key = hash_u64(op->version) + op->key;
        const struct op *other = map_get(&values, key);
        if (other == NULL) {
            map_put(&values, key, op);
        } else if (other->value != op->value) {
            world_fail(w, "versions: k%u has two values at version %llu: %llu and %llu", op->key,
                       (unsigned long long)op->version, (unsigned long long)other->value,
                       (unsigned long long)op->value);
        }
    }
    map_free(&values);
}
