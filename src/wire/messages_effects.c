/* Hashes of what replicas did, between hosts. */
#include "wire/messages_int.h"

#include "base/assert.h"

#define WINDOW_WIRE_MIN 3u

void pack_effects_news(struct buf *b, const struct effects_news *m)
{
    pack_array(b, 4);
    pack_uint(b, m->group);
    pack_uint(b, m->replica);
    pack_bool(b, m->wants_rows);
    pack_array(b, list_count(m->window_count));
    for (size_t i = 0; i < m->window_count; i++) {
        pack_array(b, 2);
        pack_uint(b, m->windows[i].index);
        pack_uint(b, m->windows[i].hash);
    }
}

static void read_effects_news(struct unpack *u, struct arena *arena, struct effects_news *m)
{
    uint32_t extra = unpack_open(u, 4);
    m->group = unpack_uint(u);
    m->replica = unpack_uint(u);
    m->wants_rows = unpack_bool(u);
    m->windows = read_list(u, arena, sizeof(*m->windows), WINDOW_WIRE_MIN, EFFECTS_NEWS_MAX, &m->window_count);
    for (size_t i = 0; i < m->window_count && !u->failed; i++) {
        uint32_t more = unpack_open(u, 2);
        m->windows[i].index = unpack_uint(u);
        m->windows[i].hash = unpack_uint(u);
        unpack_close(u, more);
    }
    unpack_close(u, extra);
}
MESSAGE_UNPACK(effects_news)
