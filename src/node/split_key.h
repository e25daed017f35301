/* Where to cut a range: pure. */
#ifndef QUORATE_NODE_SPLIT_KEY_H
#define QUORATE_NODE_SPLIT_KEY_H

#include "base/buf.h"
#include "lsm/lsm.h"

/* Of samples in the order of their keys: a user key above `start` that leaves samples on both sides, as nearly the same bytes as can
 * be. False: there is none, as when all lies under one key. */
bool split_key_choose(const struct lsm_sample *samples, size_t count, struct slice start, struct buf *key);

#endif
