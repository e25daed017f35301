/* The group records of the log: what a host has to know of a group before it has heard of anybody (docs/formats/wal.md). */
#include "range/group_record.h"

#include "base/assert.h"
#include "base/limits.h"
#include "wire/wire.h"

void group_record_pack(struct buf *out, const struct group_record *r)
{
    pack_array(out, r->mended > 0 ? 6 : 5);
    pack_bin(out, r->range);
    pack_bin(out, r->recovering);
    pack_uint(out, r->birth.group);
    pack_uint(out, r->birth.index);
    pack_uint(out, r->birth.leader);
    if (r->mended > 0) pack_uint(out, r->mended);
    ASSERT(!out->overflow);
}

enum status group_record_read(struct slice state, struct group_record *out)
{
    struct unpack u = unpack_make(state);
    uint32_t extra = unpack_open(&u, 5);
    *out = (struct group_record){.range = unpack_bin(&u)};
    out->recovering = unpack_bin(&u);
    out->birth.group = unpack_uint(&u);
    out->birth.index = unpack_uint(&u);
    out->birth.leader = unpack_uint(&u);
    if (extra > 0) {
        out->mended = unpack_uint(&u);
        extra--;
    }
    unpack_close(&u, extra);
    return unpack_done(&u) ? STATUS_OK : STATUS_CORRUPT;
}

enum { GONE_FIELDS = 3 }; /* fewer than a group record has */

void gone_record_put(struct wal *w, uint64_t group, const struct gone_record *r)
{
    struct buf b;
    buf_init(&b, LIMIT_FRAME_BYTES);
    pack_array(&b, GONE_FIELDS);
    pack_uint(&b, r->replica_id);
    pack_bin(&b, r->start);
    pack_bin(&b, r->end);
    wal_put_group(w, group, buf_slice(&b));
    buf_free(&b);
}

bool gone_record_read(struct slice state, struct gone_record *out)
{
    struct unpack u = unpack_make(state);
    if (unpack_array(&u) != GONE_FIELDS) return false;
    *out = (struct gone_record){.replica_id = unpack_uint(&u)};
    out->start = unpack_bin(&u);
    out->end = unpack_bin(&u);
    return unpack_done(&u);
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
