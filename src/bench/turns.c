#include "bench/turns.h"

#include <stdlib.h>
#include <string.h>

void turns_begin(struct turns *t, uint64_t now_ns, uint64_t length_ns)
{
    memset(t, 0, sizeof *t);
    t->begun_ns = now_ns;
    t->length_ns = length_ns;
}

static uint64_t turn_of(const struct turns *t, uint64_t now_ns)
{
    return (now_ns - t->begun_ns) / t->length_ns;
}

uint64_t turns_next(const struct turns *t, uint64_t now_ns)
{
    uint64_t turn = turn_of(t, now_ns);
    return t->begun_ns + (turn + (turn % 2 == 1 ? 2 : 1)) * t->length_ns;
}

void turns_done(struct turns *t, uint64_t now_ns)
{
    uint64_t turn = turn_of(t, now_ns);
    if (turn < TURNS_MAX) t->items[turn].done++;
}

void turns_beside(struct turns *t, uint64_t from_ns, uint64_t to_ns)
{
    for (uint64_t turn = turn_of(t, from_ns); turn <= turn_of(t, to_ns) && turn < TURNS_MAX; turn++)
        t->items[turn].beside = true;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

double turns_median(const struct turns *t, bool beside, uint64_t end_ns, size_t *count)
{
    uint64_t done[TURNS_MAX], whole = turn_of(t, end_ns);
    *count = 0;
    for (uint64_t turn = 0; turn < whole && turn < TURNS_MAX; turn++) {
        if (t->items[turn].beside == beside) done[(*count)++] = t->items[turn].done;
    }
    if (*count == 0) return 0;
    qsort(done, *count, sizeof done[0], by_size);
    uint64_t twice = done[(*count - 1) / 2] + done[*count / 2];
    return (double)twice / 2 * 1e9 / (double)t->length_ns;
}
