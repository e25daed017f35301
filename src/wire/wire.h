/* Frames and MessagePack, pure over buffers. Format: docs/formats/rpc.md.
 *
 * A frame is a 32-bit little-endian length of what follows, a crc32c of it, then one MessagePack array [type, id, method, params],
 * shaped like MessagePack-RPC. Packing is msgpack-c's; reading is a pull cursor of our own (docs/decisions/). */
#ifndef QUORATE_WIRE_WIRE_H
#define QUORATE_WIRE_WIRE_H

#include "base/buf.h"
#include "base/status.h"

/* --- packing: appended to a buf, fixed-shape arrays --- */
void pack_array(struct buf *b, uint32_t count);
void pack_uint(struct buf *b, uint64_t v);
void pack_int(struct buf *b, int64_t v);
void pack_bool(struct buf *b, bool v);
void pack_nil(struct buf *b);
void pack_bin(struct buf *b, struct slice s);
void pack_str(struct buf *b, const char *s);

/* --- reading: a cursor; the first wrong type or truncation sets `failed` and everything after reads as zero --- */
struct unpack {
    const uint8_t *at, *end;
    bool failed;
};
struct unpack unpack_make(struct slice s);
uint32_t unpack_array(struct unpack *u); /* element count; fails if more than bytes are left */
bool unpack_array_of(struct unpack *u,
                     uint32_t expected_min); /* an array of at least expected_min elements; extra ones must be
                                                                  skipped by the caller with unpack_skip: newer senders add fields */
/* The same, telling how many elements there are beyond expected_min; unpack_close skips these once the others are read. */
uint32_t unpack_open(struct unpack *u, uint32_t expected_min);
void unpack_close(struct unpack *u, uint32_t extra);
uint64_t unpack_uint(struct unpack *u);
int64_t unpack_int(struct unpack *u);
bool unpack_bool(struct unpack *u);
struct slice unpack_bin(struct unpack *u); /* bin or str; borrowed */
bool unpack_is_nil(struct unpack *u);      /* consumes it if it is nil */
void unpack_skip(struct unpack *u);        /* one value of any type, depth <= 32 */
bool unpack_done(const struct unpack *u);  /* all consumed and nothing failed */

/* --- frames --- */
enum frame_type { FRAME_REQUEST = 0, FRAME_RESPONSE = 1, FRAME_NOTIFY = 2 };

/* X(enumerator, number, name). Append only. */
#define METHOD_MAP(X)                                                                                                  \
    X(HELLO, 1, "hello")                                                                                               \
    X(RAFT, 2, "raft")         /* notify: raft messages of many groups, host to host */                                \
    X(SNAPSHOT, 3, "snapshot") /* snapshot chunk, host to host */                                                      \
    X(RESOLVED, 4, "resolved") /* notify: resolved timestamps, host to host */                                         \
    X(EFFECTS, 5, "effects")   /* notify: hashes of what a replica did, host to host */                                \
    X(LIVENESS, 6, "liveness") /* notify: a heartbeat between two nodes, or its answer */                              \
    X(GONE, 7, "gone")         /* notify: a replica is told that its range has gone on without it */                   \
    X(TXN, 10, "txn")          /* router to node */                                                                    \
    X(GET, 11, "get")                                                                                                  \
    X(SCAN, 12, "scan")                                                                                                \
    X(NODE_STATUS, 13, "node_status")                                                                                  \
    X(RANGE_TRANSFER, 14, "range_transfer")                                                                            \
    X(RESOLVE, 15, "resolve")         /* a replica to its leader */                                                    \
    X(RANGE_SPLIT, 16, "range_split") /* admin to the range's leader */                                                \
    X(RANGE_MERGE, 17, "range_merge") /* admin to the left range's leader */                                           \
    X(WATCH, 19, "watch")             /* router to a range's leader: what changes, as it does */                       \
    X(META_INIT, 20, "meta_init")     /* anybody to metadata service */                                                \
    X(META_REGISTER, 21, "meta_register")                                                                              \
    X(META_HEARTBEAT, 22, "meta_heartbeat")                                                                            \
    X(META_TIMESTAMPS, 23, "meta_timestamps")                                                                          \
    X(META_MAP, 24, "meta_map")                                                                                        \
    X(META_KEYSPACE_CREATE, 25, "meta_keyspace_create")                                                                \
    X(META_STATUS, 26, "meta_status")                                                                                  \
    X(META_IDS, 27, "meta_ids")                                                                                        \
    X(META_NODE_DRAIN, 28, "meta_node_drain")                                                                          \
    X(META_NODE, 29, "meta_node")     /* decommission, maintenance */                                                  \
    X(META_OP, 30, "meta_op")         /* an admin starts or cancels an operator */                                     \
    X(META_OPS, 31, "meta_ops")       /* operators, and what the scheduler thinks */                                   \
    X(META_CONFIG, 32, "meta_config") /* settings of the cluster */                                                    \
    X(META_KEYSPACE_ALTER, 33, "meta_keyspace_alter")                                                                  \
    X(META_KEYSPACE_DROP, 34, "meta_keyspace_drop")                                                                    \
    X(META_PLACEMENT, 40, "meta_placement") /* rules of keyspaces: which nodes they want */                            \
    X(META_RECOVER, 42, "meta_recover")     /* an admin gives up nodes, and with them quorums */                       \
    X(META_MEMBER, 43, "meta_member")       /* an admin adds or removes a member of the metadata service */            \
    X(META_UPGRADE, 44, "meta_upgrade")     /* which versions run; an admin finalises one */                           \
    X(META_SNAPSHOT, 45, "meta_snapshot")   /* registered snapshots: listed, registered, extended, dropped */          \
    X(NODE_HOLDS, 46, "node_holds")         /* whoever rebuilds the metadata service to a node */                      \
    X(META_REBUILD, 47, "meta_rebuild")     /* the same to the new metadata service */                                 \
    X(RANGE_CHECK, 41, "range_check")       /* admin to every replica: compare what they hold */

enum method {
#define METHOD_ENUM(name, number, text) METHOD_##name = number,
    METHOD_MAP(METHOD_ENUM)
#undef METHOD_ENUM
};
const char *method_name(enum method m); /* "?" if unknown */

struct frame {
    enum frame_type type;
    uint64_t id; /* pairs a response with its request */
    uint32_t method;
    struct slice params; /* the encoded params value; borrowed */
};
#define FRAME_HEADER_BYTES 8u
#define FRAME_OVERHEAD_BYTES 32u /* more than a frame adds to its params */
/* Starts a frame at the end of b; append exactly one msgpack value (the params), then frame_end with the returned mark. */
size_t frame_begin(struct buf *b, enum frame_type type, uint64_t id, enum method method);
/* A frame that did not fit (the buffer's ceiling or LIMIT_FRAME_BYTES) is taken back whole; then b->overflow is set. */
void frame_end(struct buf *b, size_t mark);
/* Looks for a whole frame at the start of `bytes`. STATUS_OK: *frame, *used bytes; STATUS_END: more bytes needed;
 * STATUS_TOO_LARGE, STATUS_CORRUPT, STATUS_INVALID: close the connection. params is whatever follows the method: that it is
 * one well-formed value of the method's shape is checked by the message's unpack. */
MUST_CHECK enum status frame_parse(struct slice bytes, struct frame *frame, size_t *used);

#endif
