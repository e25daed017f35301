/* What is asked of the leaders of ranges that are to split or merge. */
#include "wire/messages_int.h"

void pack_range_split_request(struct buf *b, const struct range_split_request *m)
{
    pack_array(b, 4);
    pack_uint(b, m->range_id);
    pack_uint(b, m->version);
    pack_uint(b, m->new_id);
    pack_bin(b, m->key);
}

static void read_range_split_request(struct unpack *u, struct arena *arena, struct range_split_request *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 4);
    m->range_id = unpack_uint(u);
    m->version = unpack_uint(u);
    m->new_id = unpack_uint(u);
    m->key = read_bin(u, 0, LIMIT_KEY_BYTES);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(range_split_request)

void pack_range_merge_request(struct buf *b, const struct range_merge_request *m)
{
    pack_array(b, 4);
    pack_uint(b, m->left_id);
    pack_uint(b, m->right_id);
    pack_uint(b, m->left_version);
    pack_uint(b, m->right_version);
}

static void read_range_merge_request(struct unpack *u, struct arena *arena, struct range_merge_request *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 4);
    m->left_id = unpack_uint(u);
    m->right_id = unpack_uint(u);
    m->left_version = unpack_uint(u);
    m->right_version = unpack_uint(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(range_merge_request)

void pack_range_change_reply(struct buf *b, const struct range_change_reply *m)
{
    pack_array(b, 1);
    pack_range_descs(b, m->ranges, m->range_count);
}

static void read_range_change_reply(struct unpack *u, struct arena *arena, struct range_change_reply *m)
{
    uint32_t extra = unpack_open(u, 1);
    m->ranges = read_range_descs(u, arena, &m->range_count);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(range_change_reply)
