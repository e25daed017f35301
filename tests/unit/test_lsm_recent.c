/* Rows kept for the next reader: what is found is what was written last, whatever was pushed out. */
#include "lsm/recent.h"

#include "base/prng.h"
#include "lsm/bloom.h"
#include "lsm/lsm.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEYS = 300, OPS = 20000 };

struct model { /* of one key; ts 0: deleted, or written so that it must not be found */
    uint64_t ts;
    unsigned size;
};

static struct slice key_of(unsigned k, char text[32])
{
    snprintf(text, 32, "account/%u", k);
    return slice_str(text);
}

static struct slice value_of(uint64_t ts, unsigned size, char bytes[200])
{
    memset(bytes, (int)(ts % 251), size);
    return slice_make(bytes, size);
}

static bool find(const struct recent *r, struct slice key, uint64_t *ts, struct slice *value)
{
    uint64_t hash = bloom_hash(key);
    recent_soon(r, hash);
    recent_next(r, hash);
    return recent_find(r, key, hash, ts, value);
}

START_TEST(what_is_found_was_written_last)
{
    struct recent r;
    struct prng prng;
    static struct model model[KEYS];
    char text[32], bytes[200];
    size_t hits = 0;
    memset(model, 0, sizeof model);
    prng_init(&prng, (uint64_t)_i);
    recent_init(&r, (size_t)1024 << _i % 6);
    for (uint64_t ts = 1; ts <= OPS; ts++) {
        unsigned k = (unsigned)prng_below(&prng, KEYS), size = (unsigned)prng_below(&prng, 130);
        bool keep = prng_chance(&prng, 3, 4), goes = prng_chance(&prng, 1, 5);
        struct lsm_write w = {.kind = goes ? LSM_DELETE : LSM_PUT,
                              .key = key_of(k, text),
                              .ts = ts,
                              .value = goes ? SLICE_EMPTY : value_of(ts, size, bytes),
                              .recent = keep};
        recent_take(&r, &w, bloom_hash(w.key));
        bool kept = keep && !goes && w.key.size + size <= RECENT_ROW_BYTES;
        model[k] = (struct model){.ts = kept ? ts : 0, .size = size};
        if (prng_chance(&prng, 1, 2000)) {
            recent_clear(&r);
            memset(model, 0, sizeof model);
        }
        unsigned look = prng_chance(&prng, 1, 2) ? k : (unsigned)prng_below(&prng, KEYS);
        uint64_t found;
        struct slice value;
        if (find(&r, key_of(look, text), &found, &value)) {
            hits++;
            ck_assert_uint_eq(found, model[look].ts);
            ck_assert(slice_eq(value, value_of(found, model[look].size, bytes)));
        } else if (look == k) {
            ck_assert(model[k].ts == 0 || r.set_count == 0); /* a row that was kept a moment ago is there */
        }
        if (ts % 1000 == 0) recent_check(&r);
    }
    ck_assert(hits > 0 || r.set_count == 0);
    recent_free(&r);
}
END_TEST

START_TEST(without_room_nothing_is_kept)
{
    struct recent r;
    uint64_t ts;
    struct slice value;
    recent_init(&r, 0);
    struct lsm_write w = {.kind = LSM_PUT, .key = slice_str("k"), .ts = 1, .value = slice_str("v"), .recent = true};
    recent_take(&r, &w, bloom_hash(w.key));
    ck_assert(!find(&r, slice_str("k"), &ts, &value));
    recent_clear(&r);
    recent_free(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lsm_recent");
    TCase *c = tcase_create("recent");
    tcase_add_loop_test(c, what_is_found_was_written_last, 0, 12);
    tcase_add_test(c, without_room_nothing_is_kept);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
