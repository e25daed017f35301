/* What a host keeps in the log's group records: of each replica its descriptor and whether it is recovering, of itself which
 * replicas the log may have lost (docs/formats/wal.md). */
#ifndef QUORATE_RANGE_GROUP_RECORD_H
#define QUORATE_RANGE_GROUP_RECORD_H

#include "wal/wal.h"

#define HOST_GROUP UINT64_MAX /* the group record of this id is the host's own */

/* recovering: why the replica is, or NULL. */
void group_record_put(struct wal *w, uint64_t group, struct slice desc, const char *recovering);
MUST_CHECK enum status group_record_read(struct slice state, struct slice *desc, struct slice *recovering);
void host_record_put(struct wal *w, uint64_t lost_below);
MUST_CHECK enum status host_record_read(struct slice state, uint64_t *lost_below);

#endif
