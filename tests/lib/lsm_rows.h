/* Random sorted rows for tests of tables, blocks and memtables. */
#ifndef QUORATE_TESTS_LSM_ROWS_H
#define QUORATE_TESTS_LSM_ROWS_H

#include "base/arena.h"
#include "base/prng.h"
#include "lsm/row.h"

struct lsm_rows {
    struct prng prng;
    struct arena arena;
    struct lsm_write *rows; /* sorted, different */
    size_t count;
    unsigned keys;
};
struct lsm_rows *lsm_rows_new(uint64_t seed, unsigned count, unsigned keys);
void lsm_rows_free(struct lsm_rows *r);
size_t lsm_rows_lower(const struct lsm_rows *r, struct slice key, uint64_t ts); /* rows before (key, ts) */
/* A key that is there or nearly so, and a timestamp near one of its own. In the arena. */
struct slice lsm_rows_random_key(struct lsm_rows *r, uint64_t *ts);
void lsm_rows_random_bounds(struct lsm_rows *r, struct slice *lower, struct slice *upper); /* lower < upper */
bool lsm_rows_equal(const struct lsm_write *a, const struct lsm_write *b);

#endif
