/* The messages that cross the wire, their encodings and decodings. A decoded message borrows its slices from the frame and
 * its arrays from the arena. Every *_unpack checks all bounds and answers STATUS_INVALID for anything else. */
#ifndef QUORATE_WIRE_MESSAGES_H
#define QUORATE_WIRE_MESSAGES_H

#include "raft/liveness.h"
#include "txn/feed.h"
#include "wire/descriptors.h"
#include "wire/messages_keep.h"
#include "wire/messages_meta.h"
#include "wire/messages_upgrade.h"
#include "wire/wire.h"

/* --- errors: the params of any response are [status, message, payload] --- */
struct reply_head {
    enum status status;
    bool unknown_outcome; /* a write that may or may not have happened */
    struct slice message;
    uint64_t leader_hint;      /* NOT_LEADER: node id of the leader, 0 unknown */
    struct range_desc *ranges; /* EPOCH_MISMATCH: current descriptors that this node knows for the asked keys */
    size_t range_count;
    struct slice payload; /* encoded answer; with BLOCKED who holds the lock; else empty */
};

/* --- router to node --- */
struct routed { /* leads every request to a range */
    uint64_t range_id;
    struct range_epoch epoch;
    uint32_t deadline_ms; /* time left when it was sent; expired work is dropped */
};
/* How fresh a read must be, and what its answer was: docs/reads.md. */
enum read_mode { READ_STRONG = 0, READ_SNAPSHOT, READ_BOUNDED, READ_EVENTUAL };
struct read_how {
    enum read_mode mode;
    uint64_t ts;               /* READ_SNAPSHOT: as of it; 0: now */
    uint32_t max_staleness_ms; /* READ_BOUNDED */
    bool any_replica;          /* the replica that is asked need not lead */
    struct slice id;           /* of a get: 16 bytes: the answer kept beside the key for this id; empty: the row */
};
#define STALENESS_UNKNOWN UINT32_MAX
struct read_mark {
    enum read_mode mode;
    uint64_t ts; /* every write of the range with a timestamp up to it is in the answer; 0: unknown */
    uint32_t staleness_ms;
    uint32_t
        others; /* of a scan: gets and transactions that the node has served lately, a second; 0: none, or not said */
};
const char *read_mode_name(enum read_mode m);
struct txn_request {
    struct routed to;
    struct slice txn; /* txn_encode's bytes, answered with txn_result_encode's; or as docs/formats/rpc.md says */
    uint8_t kind;     /* enum txn_command_kind; 0: a transaction */
};
struct get_request {
    struct routed to;
    uint32_t keyspace;
    struct slice key;
    struct read_how how;
};
struct get_reply {
    bool found;
    uint64_t version;
    struct slice value; /* as a client sees it; of an id: an encoded txn_result */
    struct read_mark mark;
};
struct scan_request {
    struct routed to;
    uint32_t keyspace;
    struct slice start, end; /* within the range */
    uint32_t limit_rows, limit_bytes;
    bool reverse, keys_only;
    struct read_how how;
};
struct scan_row {
    struct slice key, value;
    uint64_t version, ttl_ms; /* ttl_ms 0: it stays */
    bool is_counter;          /* value: its decimal digits */
};
struct scan_reply {
    struct scan_row *rows;
    size_t row_count;
    bool more; /* the page ended before the end of the asked span: go on after the last row */
    struct read_mark mark;
};

/* A page that is packed row by row, instead of pack_scan_reply: pack_scan_begin says where it stands in b. */
size_t pack_scan_begin(struct buf *b);
void pack_scan_row(struct buf *b, const struct scan_row *r);
void pack_scan_end(struct buf *b, size_t at, size_t row_count, bool more, const struct read_mark *mark);

/* Changes of a span with after < ts <= upto of the answer, which comes when there are some, or the wait is over; until not 0: as soon as
 * upto is at least that. A later request of the same poll takes the place of one that waits. docs/watch.md. */
struct watch_request {
    struct routed to;
    uint32_t keyspace;
    struct slice start, end; /* within the range */
    uint64_t after, until, poll;
    uint32_t limit_bytes /* soft */, wait_ms;
};
struct watch_reply { /* also the payload of TOO_OLD: from `upto` on it can go on */
    uint64_t upto;
    struct feed_change *changes; /* in the order of (ts, key) */
    size_t change_count;
};

/* --- raft between hosts: a RAFT frame's params are an array of these --- */
struct raft_envelope {
    uint64_t group;
    struct raft_message message; /* entries: array in the arena, data borrowed from the frame */
};
void pack_raft_envelope(struct buf *b, const struct raft_envelope *e);
MUST_CHECK enum status unpack_raft_envelope(struct unpack *u, struct arena *arena, struct raft_envelope *out);

/* --- snapshot chunks (SNAPSHOT requests; answered when the chunk is stored) --- */
struct snapshot_chunk {
    uint64_t group, from, to; /* replica ids */
    uint64_t snapshot_id;     /* of this attempt */
    uint64_t seq;             /* 0, 1, 2...: the last one may come again; any other than the next aborts */
    uint64_t term;            /* sender's raft term */
    uint64_t index, index_term;
    struct slice descriptor; /* seq 0: packed range_desc, as of index */
    struct slice config;     /* seq 0: raft_config_encode's bytes */
    bool last;
    struct slice rows;             /* snapshot_row after snapshot_row */
    uint32_t rows_crc, stream_crc; /* crc32c of rows as they are here; of the rows of all chunks up to this one */
    uint32_t rows_size;            /* not 0: rows is an LZ4 block of so many bytes (FEATURE_SNAPSHOT_COMPRESSED) */
    uint64_t safepoint; /* versions up to here may be lacking, because newer ones hide them; UINT64_MAX: not said */
};
struct snapshot_row {
    bool is_delete;
    struct slice key;
    uint64_t ts;
    struct slice value;
};
void snapshot_row_append(struct buf *b, const struct snapshot_row *row);
MUST_CHECK enum status snapshot_row_next(struct slice *rows, struct snapshot_row *out); /* STATUS_END after the last */

/* --- resolved timestamps between nodes (docs/reads.md) --- */
struct resolved_item {
    uint64_t group, index;
};
struct resolved_news {             /* RESOLVED, notify: every 200 ms to each peer */
    uint64_t life, seq;            /* of the sender: news of one life come without a gap, or the receiver starts anew */
    uint64_t stamp_ns;             /* the sender's clock */
    uint64_t echo_life, echo_ns;   /* the receiver's, as the sender had seen it before it asked for ts; 0, 0: never */
    uint64_t ts;                   /* 0: none yet */
    bool whole;                    /* forget what was told: `changed` is all */
    bool want_whole;               /* tell all next time */
    struct resolved_item *changed; /* resolved at (ts, index); what is in neither list stays so at its old index */
    size_t changed_count;
    uint64_t *dropped; /* groups that are not */
    size_t dropped_count;
};
struct resolve_request {
    struct routed to; /* RESOLVE: a replica asks the leader for a resolved timestamp that is newer than the call */
};
struct resolve_reply {
    uint64_t ts, index;
};

/* --- what replicas did, told to the range's other replicas --- */
#define EFFECTS_NEWS_MAX 64u
struct effects_item {
    uint64_t index, hash; /* of the window that ends at index */
};
struct effects_news { /* EFFECTS, notify */
    uint64_t group, replica;
    bool wants_rows; /* it has found itself diverged: the leader is to send it a snapshot */
    struct effects_item *windows;
    size_t window_count;
};
/* --- codecs: pack_X(buf, message), unpack_X(slice of params or payload, arena, message) --- */
#define MESSAGE_MAP(X)                                                                                                 \
    KEEP_MESSAGE_MAP(X)                                                                                                \
    UPGRADE_MESSAGE_MAP(X)                                                                                             \
    X(range_desc)                                                                                                      \
    X(reply_head)                                                                                                      \
    X(txn_request)                                                                                                     \
    X(get_request)                                                                                                     \
    X(get_reply)                                                                                                       \
    X(scan_request)                                                                                                    \
    X(scan_reply)                                                                                                      \
    X(watch_request)                                                                                                   \
    X(watch_reply)                                                                                                     \
    X(snapshot_chunk)                                                                                                  \
    MESSAGE_OPS_MAP(X)                                                                                                 \
    X(effects_news)                                                                                                    \
    X(resolved_news)                                                                                                   \
    X(resolve_request)                                                                                                 \
    X(resolve_reply)                                                                                                   \
    X(liveness_message)                                                                                                \
    META_MESSAGE_MAP(X)

#define MESSAGE_DECLARE(name)                                                                                          \
    void pack_##name(struct buf *b, const struct name *m);                                                             \
    MUST_CHECK enum status unpack_##name(struct slice bytes, struct arena *arena, struct name *out);
MESSAGE_MAP(MESSAGE_DECLARE)
#undef MESSAGE_DECLARE

#endif
