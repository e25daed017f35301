/* Private to meta/: replicas that know no leader, as their nodes tell them; and what unsafe-recover makes of them
 * (docs/recovery.md). */
#ifndef QUORATE_META_SALVAGE_H
#define QUORATE_META_SALVAGE_H

#include "base/map.h"
#include "wire/messages.h"

struct meta_orphan {
    struct range_orphan told; /* slices point into bytes */
    struct slice bytes;       /* owned */
    uint64_t heard_ns;
};
void orphans_clear(struct map *orphans); /* range id -> struct meta_orphan */

#endif
