#include "node/split_key.h"

#include "base/mutant.h"
#include "txn/txn.h"

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

bool split_key_choose(const struct lsm_sample *samples, size_t count, struct slice start, struct buf *key)
{
    struct buf last, user;
    uint64_t total = 0, before = 0, best = UINT64_MAX;
    bool found = false;
    buf_init(&last, LSM_KEY_MAX);
    buf_init(&user, LSM_KEY_MAX);
    for (size_t i = 0; i < count; i++) total += samples[i].bytes;
    for (size_t i = 0; i < count; before += samples[i++].bytes) {
        buf_clear(&user);
        key_user_of(samples[i].key, &user);
        bool rises = i > 0 && slice_cmp(buf_slice(&user), buf_slice(&last)) > 0;
        int beyond = slice_cmp(buf_slice(&user), start);
        bool fits =
            user.size > 0 && user.size <= LIMIT_KEY_BYTES && (beyond > 0 || (beyond == 0 && MUTANT(start_key_chosen)));
        if (rises && fits && distance(2 * before, total) < best) {
            best = distance(2 * before, total);
            found = true;
            buf_clear(key);
            buf_append_slice(key, buf_slice(&user));
        }
        if (i == 0 || rises) {
            buf_clear(&last);
            buf_append_slice(&last, buf_slice(&user));
        }
    }
    buf_free(&last);
    buf_free(&user);
    return found;
}
