#include "node/load_samples.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"

#define HISTORY_MS 10000u
#define TICK_MS 200u
enum { SAMPLES_MIN = 48, CANDIDATES = 32 };
enum { SIDE_PERCENT = 15, BOTH_PERCENT = 25 }; /* a side has that much at least, requests for both sides at most */

void load_samples_init(struct load_samples *s, uint64_t seed)
{
    *s = (struct load_samples){.every = 1};
    prng_init(&s->prng, seed);
}

void load_samples_free(struct load_samples *s)
{
    mem_free(s->ring);
    s->ring = NULL;
}

static uint8_t keep(uint8_t *at, struct slice key)
{
    size_t size = key.size < LOAD_SAMPLE_KEY ? key.size : LOAD_SAMPLE_KEY;
    if (size > 0) memcpy(at, key.data, size);
    return (uint8_t)size;
}

void load_samples_note(struct load_samples *s, uint64_t group, struct slice low, struct slice high)
{
    if (s->ring == NULL) s->ring = mem_zalloc(LOAD_SAMPLES * sizeof *s->ring);
    struct load_sample *at = &s->ring[s->next];
    at->group = group;
    at->low_size = keep(at->low, low);
    at->high_size = keep(at->high, high);
    s->next = (s->next + 1) % LOAD_SAMPLES;
    if (s->count < LOAD_SAMPLES) s->count++;
    s->skip = prng_between(&s->prng, 1, 2 * s->every - 1); /* not in step with a load that repeats itself */
}

void load_samples_tick(struct load_samples *s, uint64_t now_ms)
{
    if (now_ms < s->ticked_ms + TICK_MS) return;
    s->every = s->seen * HISTORY_MS / (now_ms - s->ticked_ms) / LOAD_SAMPLES + 1;
    s->ticked_ms = now_ms;
    s->seen = 0;
    if (s->skip > 2 * s->every) s->skip = 2 * s->every;
}

/* --- where to cut --- */

struct found {
    const struct load_sample *items[LOAD_SAMPLES]; /* of the range, oldest first */
    const struct load_sample *sorted[LOAD_SAMPLES];
    size_t count;
};

static struct slice low_of(const struct load_sample *s)
{
    return slice_make(s->low, s->low_size);
}

static struct slice high_of(const struct load_sample *s)
{
    return slice_make(s->high, s->high_size);
}

static int by_low(const void *a, const void *b)
{
    return slice_cmp(low_of(*(const struct load_sample *const *)a), low_of(*(const struct load_sample *const *)b));
}

static void find(const struct load_samples *s, uint64_t group, struct slice start, struct slice end, struct found *f)
{
    f->count = 0;
    for (size_t i = 0; i < s->count; i++) {
        const struct load_sample *at = &s->ring[(s->next + LOAD_SAMPLES - s->count + i) % LOAD_SAMPLES];
        struct slice low = low_of(at);
        if (at->group != group || slice_cmp(low, start) < 0 || (end.size > 0 && slice_cmp(low, end) >= 0)) continue;
        f->items[f->count] = f->sorted[f->count] = at;
        f->count++;
    }
    if (f->count > 1) qsort(f->sorted, f->count, sizeof f->sorted[0], by_low);
}

static size_t count_below(const struct found *f, size_t from, size_t to, struct slice key)
{
    size_t below = 0;
    for (size_t i = from; i < to; i++) below += slice_cmp(low_of(f->items[i]), key) < 0;
    return below;
}

static size_t count_both(const struct found *f, struct slice key)
{
    size_t both = 0;
    for (size_t i = 0; i < f->count; i++)
        both += slice_cmp(low_of(f->items[i]), key) < 0 && slice_cmp(high_of(f->items[i]), key) >= 0;
    return both;
}

static bool divides(size_t below, size_t of)
{
    size_t smaller = below < of - below ? below : of - below;
    return smaller * 100 >= of * SIDE_PERCENT;
}

/* Not only in the end: in each half of the time. */
static bool divides_always(const struct found *f, struct slice key)
{
    for (size_t i = 0; i < 2; i++) {
        size_t from = f->count * i / 2, to = f->count * (i + 1) / 2;
        if (!divides(count_below(f, from, to, key), to - from)) return false;
    }
    return true;
}

static const char TOO_FEW[] = "too few requests have been seen here yet";
static const char ONE_KEY[] = "one key has most of the load";
static const char BOTH_SIDES[] =
    "its transactions have keys on both sides wherever it is cut: two ranges would cost more";
static const char WANDERS[] =
    "its load wanders over the keys, all of it at one place at a time: a keyspace by hash spreads it";

/* NULL: it may be cut there. */
static const char *objection(const struct found *f, struct slice at, size_t below)
{
    size_t both = count_both(f, at);
    if (!divides(below, f->count)) return ONE_KEY;
    if (both * 100 > f->count * BOTH_PERCENT || (below - both) * 100 < f->count * SIDE_PERCENT) return BOTH_SIDES;
    return divides_always(f, at) ? NULL : WANDERS;
}

enum load_cut load_samples_split(const struct load_samples *s, uint64_t group, struct slice start, struct slice end,
                                 struct buf *key, const char **why)
{
    struct found f;
    size_t best = SIZE_MAX, nearest = SIZE_MAX;
    find(s, group, start, end, &f);
    *why = f.count < SAMPLES_MIN ? TOO_FEW : ONE_KEY;
    for (size_t i = 1; i < CANDIDATES && f.count >= SAMPLES_MIN; i++) {
        struct slice at = low_of(f.sorted[i * f.count / CANDIDATES]);
        size_t below = count_below(&f, 0, f.count, at);
        size_t off = 2 * below > f.count ? 2 * below - f.count : f.count - 2 * below;
        const char *no = objection(&f, at, below);
        if (slice_cmp(at, start) <= 0) continue;
        if (no == NULL && off < best) {
            best = off;
            buf_clear(key);
            buf_append_slice(key, at);
        }
        if (no != NULL && off < nearest) {
            nearest = off;
            *why = no;
        }
    }
    if (best != SIZE_MAX) return LOAD_CUT;
    if (*why != WANDERS) return *why == TOO_FEW ? LOAD_CUT_LATER : LOAD_CUT_NONE;
    buf_clear(key);
    buf_append_slice(key, low_of(f.items[f.count - 1]));
    return LOAD_CUT_WANDERS;
}
