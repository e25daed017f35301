/* Resolved timestamps between nodes: docs/reads.md. */
#include "wire/messages_int.h"

#include "base/assert.h"

#define ITEM_WIRE_MIN 3u /* array head, group, index */
#define NEWS_COUNT 10u

void pack_resolved_news(struct buf *b, const struct resolved_news *m)
{
    pack_array(b, NEWS_COUNT);
    pack_uint(b, m->life);
    pack_uint(b, m->seq);
    pack_uint(b, m->stamp_ns);
    pack_uint(b, m->echo_life);
    pack_uint(b, m->echo_ns);
    pack_uint(b, m->ts);
    pack_bool(b, m->whole);
    pack_bool(b, m->want_whole);
    pack_array(b, list_count(m->changed_count));
    for (size_t i = 0; i < m->changed_count; i++) {
        pack_array(b, 2);
        pack_uint(b, m->changed[i].group);
        pack_uint(b, m->changed[i].index);
    }
    pack_array(b, list_count(m->dropped_count));
    for (size_t i = 0; i < m->dropped_count; i++) pack_uint(b, m->dropped[i]);
}

static void read_resolved_news(struct unpack *u, struct arena *arena, struct resolved_news *m)
{
    uint32_t extra = unpack_open(u, NEWS_COUNT);
    m->life = unpack_uint(u);
    m->seq = unpack_uint(u);
    m->stamp_ns = unpack_uint(u);
    m->echo_life = unpack_uint(u);
    m->echo_ns = unpack_uint(u);
    m->ts = unpack_uint(u);
    m->whole = unpack_bool(u);
    m->want_whole = unpack_bool(u);
    m->changed = read_list(u, arena, sizeof(*m->changed), ITEM_WIRE_MIN, MESSAGE_LIST_MAX, &m->changed_count);
    for (size_t i = 0; i < m->changed_count && !u->failed; i++) {
        uint32_t more = unpack_open(u, 2);
        m->changed[i].group = unpack_uint(u);
        m->changed[i].index = unpack_uint(u);
        unpack_close(u, more);
    }
    m->dropped = read_list(u, arena, sizeof(*m->dropped), 1, MESSAGE_LIST_MAX, &m->dropped_count);
    for (size_t i = 0; i < m->dropped_count && !u->failed; i++) m->dropped[i] = unpack_uint(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(resolved_news)

void pack_resolve_reply(struct buf *b, const struct resolve_reply *m)
{
    pack_array(b, 2);
    pack_uint(b, m->ts);
    pack_uint(b, m->index);
}

static void read_resolve_reply(struct unpack *u, struct arena *arena, struct resolve_reply *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 2);
    m->ts = unpack_uint(u);
    m->index = unpack_uint(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(resolve_reply)
