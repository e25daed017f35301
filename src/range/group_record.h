/* What a host keeps in the log's group records: of each replica its descriptor and whether it is recovering, of itself which
 * replicas the log may have lost (docs/formats/wal.md). */
#ifndef QUORATE_RANGE_GROUP_RECORD_H
#define QUORATE_RANGE_GROUP_RECORD_H

#include "wal/wal.h"

#define HOST_GROUP UINT64_MAX /* the group record of this id is the host's own */

struct birth {             /* of a replica that a split has made; group 0: it was made otherwise */
    uint64_t group, index; /* the entry that split it off */
    uint64_t leader;       /* replica that has every vote of the first term */
};
struct group_record {
    struct slice range;      /* packed range_state in which the replica was created */
    struct slice recovering; /* why it is; empty: it is not */
    struct birth birth;
    uint64_t
        mended; /* what is behind this index committed after the last loss of this host's log or store; 0: not known */
};
void group_record_pack(struct buf *out, const struct group_record *r);
MUST_CHECK enum status group_record_read(struct slice state, struct group_record *out);
/* A tombstone in place of a record: no replica of the group with an id up to this one is made here again. With a span of store
 * keys, its rows may still be in the store. */
struct gone_record {
    uint64_t replica_id;
    struct slice start, end;
};
void gone_record_put(struct wal *w, uint64_t group, const struct gone_record *r);
bool gone_record_read(struct slice state, struct gone_record *out); /* false: it is another record */
void host_record_put(struct wal *w, uint64_t lost_below);
MUST_CHECK enum status host_record_read(struct slice state, uint64_t *lost_below);

#endif
