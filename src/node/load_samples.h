/* Which keys a node's requests are about: a sample of the last few seconds, so that a hot range can be cut where its load lies.
 * Pure. One ring for all ranges: what is asked for most is what is in it. */
#ifndef QUORATE_NODE_LOAD_SAMPLES_H
#define QUORATE_NODE_LOAD_SAMPLES_H

#include "base/buf.h"
#include "base/prng.h"

enum { LOAD_SAMPLES = 1024, LOAD_SAMPLE_KEY = 96 };

struct load_sample {
    uint64_t group;
    uint8_t low_size, high_size;
    uint8_t low[LOAD_SAMPLE_KEY], high[LOAD_SAMPLE_KEY]; /* lowest and highest key of the request, cut short */
};

struct load_samples {
    struct load_sample *ring; /* NULL before the first */
    size_t next, count;
    uint64_t every, skip, seen; /* one request in about so many is taken; those to pass over; since the last tick */
    uint64_t ticked_ms;
    struct prng prng;
};
void load_samples_init(struct load_samples *s, uint64_t seed);
void load_samples_free(struct load_samples *s);
/* Is the next request one to note? */
static inline bool load_samples_wants(struct load_samples *s)
{
    s->seen++;
    return s->skip == 0 || --s->skip == 0;
}
void load_samples_note(struct load_samples *s, uint64_t group, struct slice low, struct slice high);
/* Now and then: so many are taken that the ring holds about ten seconds. */
void load_samples_tick(struct load_samples *s, uint64_t now_ms);

enum load_cut { LOAD_CUT, LOAD_CUT_WANDERS, LOAD_CUT_LATER, LOAD_CUT_NONE };
/* A key strictly inside of the range that divides its load: much on either side, all the time, and few requests that touch
 * both. Else *why says why there is none. WANDERS: all of the load is at one place at a time; *key is where it was last. */
enum load_cut load_samples_split(const struct load_samples *s, uint64_t group, struct slice start, struct slice end,
                                 struct buf *key, const char **why);

#endif
