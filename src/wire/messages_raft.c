/* Raft messages between hosts. Entries follow the message's index without gap, so their own indexes are not sent. */
#include "wire/messages_int.h"

#include "base/assert.h"

#define ENTRY_WIRE_MIN 4u /* array head, term, type, empty data */
#define ENTRIES_MAX (1u << 20)

static void pack_raft_entries(struct buf *b, const struct raft_message *m)
{
    ASSERT(m->entry_count <= ENTRIES_MAX);
    pack_array(b, (uint32_t)m->entry_count);
    for (size_t i = 0; i < m->entry_count; i++) {
        const struct raft_entry *e = &m->entries[i];
        ASSERT(e->index == m->index + 1 + i);
        pack_array(b, 3);
        pack_uint(b, e->term);
        pack_uint(b, (uint64_t)e->type);
        pack_bin(b, e->data);
    }
}

static void read_raft_entries(struct unpack *u, struct arena *arena, struct raft_message *m)
{
    struct raft_entry *entries = read_list(u, arena, sizeof(*entries), ENTRY_WIRE_MIN, ENTRIES_MAX, &m->entry_count);
    if (m->entry_count > 0 && m->index > UINT64_MAX - m->entry_count) u->failed = true;
    for (size_t i = 0; i < m->entry_count && !u->failed; i++) {
        uint32_t extra = unpack_open(u, 3);
        entries[i].index = m->index + 1 + i;
        entries[i].term = unpack_uint(u);
        entries[i].type = (enum raft_entry_type)read_enum(u, RAFT_ENTRY_NOOP, RAFT_ENTRY_CONFIG);
        entries[i].data = read_bin(u, 0, LIMIT_FRAME_BYTES);
        unpack_close(u, extra);
    }
    m->entries = entries;
}

void pack_raft_envelope(struct buf *b, const struct raft_envelope *e)
{
    const struct raft_message *m = &e->message;
    pack_array(b, 14);
    pack_uint(b, e->group);
    pack_uint(b, (uint64_t)m->type);
    pack_uint(b, m->from);
    pack_uint(b, m->to);
    pack_uint(b, m->term);
    pack_uint(b, m->index);
    pack_uint(b, m->log_term);
    pack_uint(b, m->commit);
    pack_uint(b, m->hint_index);
    pack_uint(b, m->hint_term);
    pack_uint(b, m->context);
    pack_bool(b, m->reject);
    pack_raft_entries(b, m);
    pack_uint(b, m->grant);
}

enum status unpack_raft_envelope(struct unpack *u, struct arena *arena, struct raft_envelope *out)
{
    memset(out, 0, sizeof(*out));
    struct raft_message *m = &out->message;
    uint32_t extra = unpack_open(u, 14);
    out->group = unpack_uint(u);
    m->type = (enum raft_message_type)read_enum(u, RAFT_MSG_PRE_VOTE, RAFT_MSG_RECOVERED);
    m->from = unpack_uint(u);
    m->to = unpack_uint(u);
    m->term = unpack_uint(u);
    m->index = unpack_uint(u);
    m->log_term = unpack_uint(u);
    m->commit = unpack_uint(u);
    m->hint_index = unpack_uint(u);
    m->hint_term = unpack_uint(u);
    m->context = unpack_uint(u);
    m->reject = unpack_bool(u);
    read_raft_entries(u, arena, m);
    m->grant = unpack_uint(u);
    unpack_close(u, extra);
    return u->failed ? STATUS_INVALID : STATUS_OK;
}

/* --- between nodes --- */

void pack_liveness_message(struct buf *b, const struct liveness_message *m)
{
    pack_array(b, 5);
    pack_bool(b, m->is_answer);
    pack_uint(b, m->life);
    pack_uint(b, m->seq);
    pack_uint(b, m->support_ns);
    pack_uint(b, m->grant);
}

static void read_liveness_message(struct unpack *u, struct arena *arena, struct liveness_message *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 5);
    m->is_answer = unpack_bool(u);
    m->life = unpack_uint(u);
    m->seq = unpack_uint(u);
    m->support_ns = unpack_uint(u);
    m->grant = unpack_uint(u);
    if (m->life == 0 || m->support_ns > LIVENESS_SUPPORT_MAX_NS || m->is_answer != (m->grant != 0)) u->failed = true;
    unpack_close(u, extra);
}
MESSAGE_UNPACK(liveness_message)
