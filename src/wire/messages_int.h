/* What the codecs of messages share. pack_X(buf, m) appends one array; read_X(cursor, arena, out) is its reverse, marking the
 * cursor as failed when anything is beyond its bounds; unpack_X wraps read_X for a whole slice. */
#ifndef QUORATE_WIRE_MESSAGES_INT_H
#define QUORATE_WIRE_MESSAGES_INT_H

#include "wire/messages.h"

/* Bounds that are the wire's own (docs/formats/rpc.md): far above what is sent, low enough to keep a decoded message within a
 * small multiple of the frame. */
#define MESSAGE_LIST_MAX 262144u /* ranges, nodes, reports, keyspaces in one message */
#define MESSAGE_TEXT_MAX 512u    /* text for a person */
#define SNAPSHOT_KEY_MAX 16384u  /* a store key */
#define SNAPSHOT_META_MAX 65536u /* packed descriptor, encoded configuration */

uint32_t read_u32(struct unpack *u);
uint8_t read_u8(struct unpack *u);
/* A number of low <= v <= high, for enumerations. */
unsigned read_enum(struct unpack *u, unsigned low, unsigned high);
struct slice read_bin(struct unpack *u, size_t size_min, size_t size_max);
struct cluster_id read_cluster_id(struct unpack *u);
void pack_cluster_id(struct buf *b, const struct cluster_id *id);
void pack_text(struct buf *b, struct slice text); /* cut at MESSAGE_TEXT_MAX */
uint32_t list_count(size_t count);                /* for pack_array; asserts that it fits */

/* The head of a list: its count is checked against count_max and against the bytes that are left, of which each element takes
 * wire_min at least, before anything is allocated. Elements are zeroed. NULL with *count 0 when it is empty or has failed. */
void *read_list(struct unpack *u, struct arena *arena, size_t element_size, size_t wire_min, size_t count_max,
                size_t *count);

void pack_range_epoch(struct buf *b, const struct range_epoch *e);
struct range_epoch read_range_epoch(struct unpack *u);
void read_range_desc(struct unpack *u, struct arena *arena, struct range_desc *m);
void pack_range_descs(struct buf *b, const struct range_desc *ranges, size_t count);
struct range_desc *read_range_descs(struct unpack *u, struct arena *arena, size_t *count);
void pack_node_infos(struct buf *b, const struct node_info *nodes, size_t count);
struct node_info *read_node_infos(struct unpack *u, struct arena *arena, size_t *count);
void pack_replica_names(struct buf *b, const struct replica_name *names, size_t count);
struct replica_name *read_replica_names(struct unpack *u, struct arena *arena, size_t *count);
void pack_range_orders(struct buf *b, const struct range_order *orders, size_t count);
struct range_order *read_range_orders(struct unpack *u, struct arena *arena, size_t *count);
void pack_range_orphans(struct buf *b, const struct range_orphan *orphans, size_t count);
struct range_orphan *read_range_orphans(struct unpack *u, struct arena *arena, size_t *count);
void pack_meta_addresses(struct buf *b, const struct meta_address *metas, size_t count);
struct meta_address *read_meta_addresses(struct unpack *u, struct arena *arena, size_t *count);
void pack_order_verdicts(struct buf *b, const struct order_verdict *verdicts, size_t count);
struct order_verdict *read_order_verdicts(struct unpack *u, struct arena *arena, size_t *count);
void pack_range_reports(struct buf *b, const struct range_report *reports, size_t count);
struct range_report *read_range_reports(struct unpack *u, struct arena *arena, size_t *count);

/* Defines unpack_NAME by a static `read_NAME(struct unpack *, struct arena *, struct NAME *)`. */
#define MESSAGE_UNPACK(name)                                                                                           \
    enum status unpack_##name(struct slice bytes, struct arena *arena, struct name *out)                               \
    {                                                                                                                  \
        memset(out, 0, sizeof(*out));                                                                                  \
        struct unpack u = unpack_make(bytes);                                                                          \
        read_##name(&u, arena, out);                                                                                   \
        return unpack_done(&u) ? STATUS_OK : STATUS_INVALID;                                                           \
    }

#endif
