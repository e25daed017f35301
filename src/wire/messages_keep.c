/* Registered snapshots. */
#include "wire/messages_int.h"

#define PAST_WIRE_MIN 5u

static void pack_past_snapshots(struct buf *b, const struct past_snapshot *snapshots, size_t count)
{
    pack_array(b, list_count(count));
    for (size_t i = 0; i < count; i++) {
        pack_array(b, 3);
        pack_text(b, snapshots[i].name);
        pack_uint(b, snapshots[i].ts);
        pack_uint(b, snapshots[i].expires_ts);
    }
}

static struct past_snapshot *read_past_snapshots(struct unpack *u, struct arena *arena, size_t *count)
{
    struct past_snapshot *s = read_list(u, arena, sizeof(*s), PAST_WIRE_MIN, LIMIT_SNAPSHOTS, count);
    for (size_t i = 0; i < *count && !u->failed; i++) {
        uint32_t extra = unpack_open(u, 3);
        s[i].name = read_bin(u, 1, LIMIT_SNAPSHOT_NAME);
        s[i].ts = unpack_uint(u);
        s[i].expires_ts = unpack_uint(u);
        unpack_close(u, extra);
    }
    return s;
}

void pack_meta_snapshot_request(struct buf *b, const struct meta_snapshot_request *m)
{
    pack_array(b, 4);
    pack_uint(b, (uint64_t)m->verb);
    pack_text(b, m->name);
    pack_uint(b, m->ts);
    pack_uint(b, m->lifetime_ms);
}

static void read_meta_snapshot_request(struct unpack *u, struct arena *arena, struct meta_snapshot_request *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 4);
    m->verb = (enum snapshot_verb)read_enum(u, SNAPSHOT_VERB_LIST, SNAPSHOT_VERB_DROP);
    m->name = read_bin(u, 0, LIMIT_SNAPSHOT_NAME);
    m->ts = unpack_uint(u);
    m->lifetime_ms = unpack_uint(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_snapshot_request)

void pack_meta_snapshot_reply(struct buf *b, const struct meta_snapshot_reply *m)
{
    pack_array(b, 4);
    pack_past_snapshots(b, m->snapshots, m->snapshot_count);
    pack_bool(b, m->changed);
    pack_uint(b, m->now_ts);
    pack_uint(b, m->line_ts);
}

static void read_meta_snapshot_reply(struct unpack *u, struct arena *arena, struct meta_snapshot_reply *m)
{
    uint32_t extra = unpack_open(u, 4);
    m->snapshots = read_past_snapshots(u, arena, &m->snapshot_count);
    m->changed = unpack_bool(u);
    m->now_ts = unpack_uint(u);
    m->line_ts = unpack_uint(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_snapshot_reply)
