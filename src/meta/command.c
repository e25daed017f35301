/* Encodings of the metadata group's commands and rows. */
#include "base/assert.h"
#include "meta/machine.h"

/* A message packed as a bin inside the command: the codecs of wire/ are the only ones. */
#define PACK_INNER(out, name, message)                                                                                 \
    do {                                                                                                               \
        struct buf inner;                                                                                              \
        buf_init(&inner, LIMIT_FRAME_BYTES);                                                                           \
        pack_##name(&inner, message);                                                                                  \
        pack_bin(out, buf_slice(&inner));                                                                              \
        buf_free(&inner);                                                                                              \
    } while (0)

void meta_command_encode(const struct meta_command *c, struct buf *out)
{
    pack_array(out, 3);
    pack_uint(out, (uint64_t)c->kind);
    switch (c->kind) {
    case META_CMD_INIT: PACK_INNER(out, meta_init_request, &c->init); break;
    case META_CMD_REGISTER: PACK_INNER(out, meta_register_request, &c->node); break;
    case META_CMD_KEYSPACE: PACK_INNER(out, meta_keyspace_request, &c->keyspace); break;
    case META_CMD_TS_BOUND: pack_uint(out, c->ts_bound); break;
    case META_CMD_IDS: PACK_INNER(out, meta_ids_request, &c->ids); break;
    case META_CMD_DRAIN: PACK_INNER(out, meta_node_drain_request, &c->drain); break;
    case META_CMD_KEYSPACE_ALTER: PACK_INNER(out, meta_keyspace_alter_request, &c->alter); break;
    case META_CMD_KEYSPACE_DROP: PACK_INNER(out, meta_keyspace_drop_request, &c->drop); break;
    case META_CMD_KEYSPACE_DESTROY:
        pack_array(out, 3);
        pack_bin(out, c->destroy.name);
        pack_uint(out, c->destroy.id);
        pack_uint(out, c->destroy.destroy_ts);
        break;
    case META_CMD_RANGES_DESTROY:
        pack_array(out, (uint32_t)c->range_id_count);
        for (size_t i = 0; i < c->range_id_count; i++) pack_uint(out, c->range_ids[i]);
        break;
    case META_CMD_OPERATOR_BEGIN:
    case META_CMD_OPERATOR_END: PACK_INNER(out, operator_row, &c->operator); break;
    case META_CMD_PLACEMENT: PACK_INNER(out, meta_placement_request, &c->placement); break;
    case META_CMD_SETTING: PACK_INNER(out, meta_config_request, &c->setting); break;
    case META_CMD_NODE:
        pack_array(out, 2);
        PACK_INNER(out, meta_node_request, &c->node_verb);
        pack_uint(out, c->now_ms);
        break;
    case META_CMD_GIVE_UP:
        pack_array(out, 2);
        PACK_INNER(out, meta_recover_request, &c->recover);
        pack_uint(out, c->now_ms);
        break;
    case META_CMD_MEMBER:
        pack_array(out, 2);
        PACK_INNER(out, meta_member_request, &c->member);
        pack_bool(out, c->member_gone);
        break;
    case META_CMD_FINALIZE: pack_uint(out, c->finalised); break;
    case META_CMD_SNAPSHOT:
        pack_array(out, 2);
        PACK_INNER(out, meta_snapshot_request, &c->snapshot);
        pack_bool(out, c->snapshot_now);
        break;
    case META_CMD_REBUILD: PACK_INNER(out, meta_rebuild_request, &c->rebuild); break;
    case META_CMD_RANGES:
        pack_array(out, 2);
        PACK_INNER(out, range_change_reply, &c->news);
        pack_array(out, (uint32_t)c->gone_count);
        for (size_t i = 0; i < c->gone_count; i++) pack_uint(out, c->gone[i]);
        break;
    }
    pack_array(out, (uint32_t)c->candidate_count);
    for (size_t i = 0; i < c->candidate_count; i++) {
        const struct placement_node *n = &c->candidates[i];
        pack_array(out, 4);
        pack_uint(out, n->id);
        pack_bin(out, n->host);
        pack_uint(out, n->replicas);
        pack_uint(out, n->leaders);
    }
}

static void decode_candidates(struct unpack *u, struct arena *arena, struct meta_command *out)
{
    uint32_t count = unpack_array(u);
    if (u->failed) return;
    out->candidates = arena_alloc(arena, (count + 1) * sizeof *out->candidates);
    for (uint32_t i = 0; i < count && !u->failed; i++) {
        struct placement_node *n = &out->candidates[out->candidate_count++];
        if (!unpack_array_of(u, 4)) return;
        n->id = unpack_uint(u);
        n->host = unpack_bin(u);
        n->replicas = unpack_uint(u);
        n->leaders = unpack_uint(u);
    }
}

static enum status decode_news(struct unpack *u, struct arena *arena, struct meta_command *out)
{
    if (!unpack_array_of(u, 2)) return STATUS_INVALID;
    enum status s = unpack_range_change_reply(unpack_bin(u), arena, &out->news);
    uint32_t count = unpack_array(u);
    if (s != STATUS_OK || u->failed) return STATUS_INVALID;
    out->gone = arena_alloc(arena, (count + 1) * sizeof *out->gone);
    for (uint32_t i = 0; i < count && !u->failed; i++) out->gone[out->gone_count++] = unpack_uint(u);
    return u->failed ? STATUS_INVALID : STATUS_OK;
}

enum status meta_command_decode(struct slice bytes, struct arena *arena, struct meta_command *out)
{
    struct unpack u = unpack_make(bytes);
    memset(out, 0, sizeof *out);
    if (!unpack_array_of(&u, 3)) return STATUS_INVALID;
    out->kind = (enum meta_command_kind)unpack_uint(&u);
    enum status s = STATUS_OK;
    switch (out->kind) {
    case META_CMD_INIT: s = unpack_meta_init_request(unpack_bin(&u), arena, &out->init); break;
    case META_CMD_REGISTER: s = unpack_meta_register_request(unpack_bin(&u), arena, &out->node); break;
    case META_CMD_KEYSPACE: s = unpack_meta_keyspace_request(unpack_bin(&u), arena, &out->keyspace); break;
    case META_CMD_TS_BOUND: out->ts_bound = unpack_uint(&u); break;
    case META_CMD_IDS: s = unpack_meta_ids_request(unpack_bin(&u), arena, &out->ids); break;
    case META_CMD_DRAIN: s = unpack_meta_node_drain_request(unpack_bin(&u), arena, &out->drain); break;
    case META_CMD_KEYSPACE_ALTER: s = unpack_meta_keyspace_alter_request(unpack_bin(&u), arena, &out->alter); break;
    case META_CMD_KEYSPACE_DROP: s = unpack_meta_keyspace_drop_request(unpack_bin(&u), arena, &out->drop); break;
    case META_CMD_KEYSPACE_DESTROY:
        (void)unpack_array_of(&u, 3);
        out->destroy.name = unpack_bin(&u);
        out->destroy.id = (uint32_t)unpack_uint(&u);
        out->destroy.destroy_ts = unpack_uint(&u);
        break;
    case META_CMD_RANGES_DESTROY: {
        uint32_t count = unpack_array(&u);
        if (u.failed || count > META_DESTROY_RANGES_MAX) return STATUS_INVALID;
        out->range_ids = arena_alloc(arena, (count + 1) * sizeof *out->range_ids);
        for (uint32_t i = 0; i < count && !u.failed; i++) out->range_ids[out->range_id_count++] = unpack_uint(&u);
        break;
    }
    case META_CMD_OPERATOR_BEGIN:
    case META_CMD_OPERATOR_END: s = unpack_operator_row(unpack_bin(&u), arena, &out->operator); break;
    case META_CMD_PLACEMENT: s = unpack_meta_placement_request(unpack_bin(&u), arena, &out->placement); break;
    case META_CMD_SETTING: s = unpack_meta_config_request(unpack_bin(&u), arena, &out->setting); break;
    case META_CMD_NODE:
        (void)unpack_array_of(&u, 2);
        s = unpack_meta_node_request(unpack_bin(&u), arena, &out->node_verb);
        out->now_ms = unpack_uint(&u);
        break;
    case META_CMD_GIVE_UP:
        (void)unpack_array_of(&u, 2);
        s = unpack_meta_recover_request(unpack_bin(&u), arena, &out->recover);
        out->now_ms = unpack_uint(&u);
        break;
    case META_CMD_MEMBER:
        (void)unpack_array_of(&u, 2);
        s = unpack_meta_member_request(unpack_bin(&u), arena, &out->member);
        out->member_gone = unpack_bool(&u);
        break;
    case META_CMD_FINALIZE: out->finalised = (uint32_t)unpack_uint(&u); break;
    case META_CMD_SNAPSHOT:
        (void)unpack_array_of(&u, 2);
        s = unpack_meta_snapshot_request(unpack_bin(&u), arena, &out->snapshot);
        out->snapshot_now = unpack_bool(&u);
        break;
    case META_CMD_REBUILD: s = unpack_meta_rebuild_request(unpack_bin(&u), arena, &out->rebuild); break;
    case META_CMD_RANGES: s = decode_news(&u, arena, out); break;
    default: return STATUS_UNSUPPORTED;
    }
    if (s != STATUS_OK) return s;
    decode_candidates(&u, arena, out);
    return u.failed ? STATUS_INVALID : STATUS_OK;
}

void meta_node_row_encode(const struct meta_node_row *row, struct buf *out)
{
    pack_array(out, 8);
    pack_uint(out, row->id);
    pack_bin(out, row->uuid);
    pack_bin(out, row->address);
    pack_bin(out, row->host);
    pack_bool(out, row->drained);
    pack_bool(out, row->leaving);
    pack_uint(out, row->maintenance_until_ms);
    pack_uint(out, row->lost_ms);
}

enum status meta_node_row_decode(struct slice value, struct meta_node_row *out)
{
    struct unpack u = unpack_make(value);
    uint32_t extra = unpack_open(&u, 7);
    out->id = unpack_uint(&u);
    out->uuid = unpack_bin(&u);
    out->address = unpack_bin(&u);
    out->host = unpack_bin(&u);
    out->drained = unpack_bool(&u);
    out->leaving = unpack_bool(&u);
    out->maintenance_until_ms = unpack_uint(&u);
    out->lost_ms = extra > 0 ? unpack_uint(&u) : 0;
    return u.failed ? STATUS_CORRUPT : STATUS_OK;
}

void meta_keyspace_row_encode(const struct meta_keyspace_row *row, struct buf *out)
{
    pack_array(out, 7);
    pack_uint(out, row->id);
    pack_uint(out, row->replication);
    pack_uint(out, row->splits_hash);
    pack_uint(out, row->buckets);
    pack_uint(out, row->ttl_ms);
    pack_uint(out, row->dropped_ts);
    pack_uint(out, row->destroy_ts);
}

enum status meta_keyspace_row_decode(struct slice value, struct meta_keyspace_row *out)
{
    struct unpack u = unpack_make(value);
    if (!unpack_array_of(&u, 7)) return STATUS_CORRUPT;
    out->id = (uint32_t)unpack_uint(&u);
    out->replication = (uint32_t)unpack_uint(&u);
    out->splits_hash = unpack_uint(&u);
    out->buckets = (uint32_t)unpack_uint(&u);
    out->ttl_ms = unpack_uint(&u);
    out->dropped_ts = unpack_uint(&u);
    out->destroy_ts = unpack_uint(&u);
    return u.failed ? STATUS_CORRUPT : STATUS_OK;
}

enum status meta_cluster_row_decode(struct slice value, struct meta_cluster_row *out)
{
    struct unpack u = unpack_make(value);
    if (!unpack_array_of(&u, 2)) return STATUS_CORRUPT;
    struct slice id = unpack_bin(&u);
    out->replication = (uint32_t)unpack_uint(&u);
    if (u.failed || id.size != CLUSTER_ID_BYTES) return STATUS_CORRUPT;
    memcpy(out->cluster.bytes, id.data, CLUSTER_ID_BYTES);
    return STATUS_OK;
}

enum status meta_number_row_decode(struct slice value, uint64_t *out)
{
    struct unpack u = unpack_make(value);
    *out = unpack_uint(&u);
    return u.failed ? STATUS_CORRUPT : STATUS_OK;
}
