/* The group records of the log: what a host has to know of a group before it has heard of anybody (docs/formats/wal.md). */
#include "range/group_record.h"

#include "base/assert.h"
#include "base/limits.h"
#include "wire/wire.h"

void group_record_put(struct wal *w, uint64_t group, struct slice desc, const char *recovering)
{
    struct buf b;
    buf_init(&b, LIMIT_FRAME_BYTES);
    pack_array(&b, 2);
    pack_bin(&b, desc);
    pack_bin(&b, slice_str(recovering != NULL ? recovering : ""));
    ASSERT(!b.overflow);
    wal_put_group(w, group, buf_slice(&b));
    buf_free(&b);
}

enum status group_record_read(struct slice state, struct slice *desc, struct slice *recovering)
{
    struct unpack u = unpack_make(state);
    uint32_t extra = unpack_open(&u, 2);
    *desc = unpack_bin(&u);
    *recovering = unpack_bin(&u);
    unpack_close(&u, extra);
    return unpack_done(&u) ? STATUS_OK : STATUS_CORRUPT;
}

void host_record_put(struct wal *w, uint64_t lost_below)
{
    struct buf b;
    buf_init(&b, 64);
    pack_array(&b, 1);
    pack_uint(&b, lost_below);
    wal_put_group(w, HOST_GROUP, buf_slice(&b));
    buf_free(&b);
}

enum status host_record_read(struct slice state, uint64_t *lost_below)
{
    struct unpack u = unpack_make(state);
    uint32_t extra = unpack_open(&u, 1);
    *lost_below = unpack_uint(&u);
    unpack_close(&u, extra);
    return unpack_done(&u) ? STATUS_OK : STATUS_CORRUPT;
}
