/* Shared pieces of the codecs; hello and the head of replies. */
#include "wire/messages_int.h"

#include "base/assert.h"

bool cluster_id_is_none(const struct cluster_id *id)
{
    static const struct cluster_id none;
    return memcmp(id->bytes, none.bytes, CLUSTER_ID_BYTES) == 0;
}

uint32_t read_u32(struct unpack *u)
{
    uint64_t v = unpack_uint(u);
    if (v > UINT32_MAX) u->failed = true;
    return u->failed ? 0 : (uint32_t)v;
}

uint8_t read_u8(struct unpack *u)
{
    uint64_t v = unpack_uint(u);
    if (v > UINT8_MAX) u->failed = true;
    return u->failed ? 0 : (uint8_t)v;
}

unsigned read_enum(struct unpack *u, unsigned low, unsigned high)
{
    uint64_t v = unpack_uint(u);
    if (v < low || v > high) u->failed = true;
    return u->failed ? low : (unsigned)v;
}

struct slice read_bin(struct unpack *u, size_t size_min, size_t size_max)
{
    struct slice s = unpack_bin(u);
    if (s.size < size_min || s.size > size_max) u->failed = true;
    return u->failed ? SLICE_EMPTY : s;
}

struct cluster_id read_cluster_id(struct unpack *u)
{
    struct cluster_id id = {{0}};
    struct slice s = read_bin(u, CLUSTER_ID_BYTES, CLUSTER_ID_BYTES);
    if (s.size == CLUSTER_ID_BYTES) memcpy(id.bytes, s.data, CLUSTER_ID_BYTES);
    return id;
}

void pack_cluster_id(struct buf *b, const struct cluster_id *id)
{
    pack_bin(b, slice_make(id->bytes, CLUSTER_ID_BYTES));
}

void pack_text(struct buf *b, struct slice text)
{
    pack_bin(b, slice_make(text.data, text.size < MESSAGE_TEXT_MAX ? text.size : MESSAGE_TEXT_MAX));
}

uint32_t list_count(size_t count)
{
    ASSERT(count <= MESSAGE_LIST_MAX);
    return (uint32_t)count;
}

void *read_list(struct unpack *u, struct arena *arena, size_t element_size, size_t wire_min, size_t count_max,
                size_t *count)
{
    ASSERT(wire_min > 0);
    size_t n = unpack_array(u);
    if (n > count_max || n > (size_t)(u->end - u->at) / wire_min) u->failed = true;
    *count = u->failed ? 0 : n;
    return *count > 0 ? arena_zalloc(arena, *count * element_size) : NULL;
}

/* --- hello --- */

void pack_hello(struct buf *b, const struct hello *m)
{
    pack_array(b, 8);
    pack_uint(b, m->version);
    pack_uint(b, (uint64_t)m->role);
    pack_uint(b, m->node_id);
    pack_cluster_id(b, &m->cluster);
    pack_uint(b, m->newest);
    pack_uint(b, m->oldest);
    pack_uint(b, m->finalised);
    pack_bin(b, slice_str(m->release));
}

/* Programs before versions were told say nothing of them. */
static void read_hello_versions(struct unpack *u, struct hello *m, uint32_t *extra)
{
    m->newest = m->oldest = VERSION_FIRST;
    if (*extra < 4) return;
    *extra -= 4;
    m->newest = read_u32(u);
    m->oldest = read_u32(u);
    m->finalised = read_u32(u);
    struct slice release = read_bin(u, 0, RELEASE_BYTES - 1);
    if (release.size > 0) memcpy(m->release, release.data, release.size);
}

static void read_hello(struct unpack *u, struct arena *arena, struct hello *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 4);
    m->version = read_u32(u);
    m->role = (enum role)read_enum(u, ROLE_META, ROLE_CLIENT);
    m->node_id = unpack_uint(u);
    m->cluster = read_cluster_id(u);
    read_hello_versions(u, m, &extra);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(hello)

/* --- the head of replies --- */

void pack_reply_head(struct buf *b, const struct reply_head *m)
{
    pack_array(b, 6);
    pack_uint(b, (uint64_t)m->status);
    pack_bool(b, m->unknown_outcome);
    pack_text(b, m->message);
    pack_uint(b, m->leader_hint);
    pack_range_descs(b, m->ranges, m->range_count);
    pack_bin(b, m->payload);
}

/* A status number of a newer version is a refusal that this version has no word for. */
static void read_reply_head(struct unpack *u, struct arena *arena, struct reply_head *m)
{
    uint32_t extra = unpack_open(u, 6);
    uint32_t status = read_u32(u);
    m->status = status < STATUS_COUNT ? (enum status)status : STATUS_UNSUPPORTED;
    m->unknown_outcome = unpack_bool(u);
    m->message = read_bin(u, 0, MESSAGE_TEXT_MAX);
    m->leader_hint = unpack_uint(u);
    m->ranges = read_range_descs(u, arena, &m->range_count);
    m->payload = read_bin(u, 0, LIMIT_FRAME_BYTES);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(reply_head)
