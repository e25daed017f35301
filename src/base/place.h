/* Where a store keeps a row, as whoever wrote it remembers it for the next write: the store's affair. All zero: nowhere. */
#ifndef QUORATE_BASE_PLACE_H
#define QUORATE_BASE_PLACE_H

#include <stdint.h>

struct place {
    void *row;
    uint64_t life; /* of what the store keeps there: a place of an earlier one is none any more */
};

#endif
