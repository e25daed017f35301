/* Timestamps against real time: a commit that was acknowledged before another was asked for has the lower timestamp,
 * whichever ranges they touched. And a version names one value: reads of the same version of a key saw the same. */
#include "base/map.h"
#include "base/mem.h"
#include "base/hash.h"
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

static void check_real_time(struct world *w, const struct history *h)
{
    size_t count = 2 * h->commit_count;
    struct point *points = mem_alloc((count + 1) * sizeof *points);
    for (size_t i = 0; i < h->commit_count; i++) {
        points[2 * i] = (struct point){.at_ns = h->commits[i].call_ns, .ts = h->commits[i].ts, .is_call = true};
        points[2 * i + 1] = (struct point){.at_ns = h->commits[i].return_ns, .ts = h->commits[i].ts};
    }
    qsort(points, count, sizeof *points, point_cmp);
    uint64_t returned = 0;
    for (size_t i = 0; i < count; i++) {
        if (!points[i].is_call) {
            if (points[i].ts > returned) returned = points[i].ts;
        } else if (points[i].ts <= returned) {
            world_fail(w, "timestamps: a commit asked for at %.6f s got %llu, although %llu had been acknowledged before",
                       (double)points[i].at_ns / 1e9, (unsigned long long)points[i].ts, (unsigned long long)returned);
            break;
        }
    }
    mem_free(points);
}

void check_versions(struct world *w, const struct history *h)
{
    check_real_time(w, h);
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
            world_fail(w, "versions: k%u has two values at version %llu: %llu and %llu", op->key, (unsigned long long)op->version,
                       (unsigned long long)other->value, (unsigned long long)op->value);
        }
    }
    map_free(&values);
}
