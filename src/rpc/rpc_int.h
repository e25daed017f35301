/* Private to rpc/: what the two ends of a connection share. */
#ifndef QUORATE_RPC_RPC_INT_H
#define QUORATE_RPC_RPC_INT_H

#include "base/limits.h"
#include "rpc/rpc.h"

#define RPC_HELLO_BYTES_MAX 4096u /* a frame before the hello is done */
/* The receive buffer holds the largest frame and one more read. Beyond the first we pause the sender. */
#define RPC_RECEIVE_PAUSE_BYTES (LIMIT_FRAME_BYTES + FRAME_HEADER_BYTES)
#define RPC_RECEIVE_MAX_BYTES (RPC_RECEIVE_PAUSE_BYTES + 4u * 1024u * 1024u)
#define RPC_IDLE_BUFFER_BYTES (64u * 1024u) /* an empty buffer that is larger gives its memory back */
#define RPC_UNSENT_MAX_BYTES (64u * 1024u * 1024u)
#define RPC_UNSENT_NOTIFY_MAX_BYTES (16u * 1024u * 1024u)

/* server */
#define RPC_CONNECTIONS_MAX 8192u
/* A gateway's open watches wait here, each as a request: more of them would hold up everything behind them (docs/limits.md). */
#define RPC_UNANSWERED_MAX_COUNT 16384u
#define RPC_UNANSWERED_MAX_BYTES (64u * 1024u * 1024u)
#define RPC_UNSENT_CHOKE_BYTES                                                                                         \
    (8u * 1024u * 1024u)           /* unsent replies above it: no further request of that connection is read */
#define RPC_REQUESTS_PER_PASS 512u /* of one connection, for fairness */
#define RPC_GREETING_MS 5000u      /* a connection that says no hello for so long is closed */

/* client */
#define RPC_ATTEMPT_MS 1000u /* connect and hello */
#define RPC_PAUSE_MIN_MS 20u
#define RPC_PAUSE_MAX_MS 500u
#define RPC_LASTING_MS                                                                                                 \
    1000u /* a connection that broke earlier counts as a failed attempt: no tight loop of greetings */
#define RPC_SILENCE_MS 2000u /* nothing heard for so long though something was sent: a hello as ping */
#define RPC_PING_MS 3000u    /* no byte after a ping for so long: the connection is given up */
#define RPC_HUSH_MS 250u     /* likewise, for calls that can go elsewhere: a ping then, and given up as long after it */
#define RPC_CALLS_MAX_COUNT 65536u

_Static_assert(RPC_UNSENT_NOTIFY_MAX_BYTES <= RPC_UNSENT_MAX_BYTES, "notifies give way to calls");
_Static_assert(RPC_UNSENT_CHOKE_BYTES < RPC_UNSENT_MAX_BYTES, "a choked connection is not yet a slow reader");
_Static_assert(RPC_RECEIVE_PAUSE_BYTES >= LIMIT_FRAME_BYTES + FRAME_HEADER_BYTES, "the largest frame fits");

/* One net_conn with its two buffers. Net callbacks only note facts here (bytes, opened, closed) and put the stream on its
 * owner's ready list; the owner looks at them in its pass. */
struct rpc_stream {
    struct env *env;
    struct net_conn *conn; /* NULL: not connected */
    struct buf in;         /* received; frames before in_at have been handed out */
    size_t in_at;
    struct buf out;       /* frames of this pass; sent as one */
    size_t frame_max;     /* largest counted length that is taken now */
    uint64_t heard_bytes; /* ever received, for noticing silence */
    bool opened;          /* outgoing: established */
    bool ended;           /* the other side ended it, for `why`; conn is NULL */
    bool overrun;         /* more came than the receive buffer takes: bytes are lost, the stream is useless */
    bool held;            /* the owner takes nothing more at the moment */
    bool paused;          /* what we told the net */
    enum status why;
    struct list ready_link;
    struct list *ready; /* NULL: the owner looks at each pass anyway */
};

void rpc_stream_init(struct rpc_stream *s, struct env *env, struct list *ready);
void rpc_stream_accept(struct rpc_stream *s, struct net_conn *conn);
void rpc_stream_connect(struct rpc_stream *s, const char *address);
/* Ends our side and forgets all bytes: those that were flushed are still tried by the net. May be connected again. */
void rpc_stream_close(struct rpc_stream *s);
void rpc_stream_free(struct rpc_stream *s);
/* The next whole frame, borrowed until rpc_stream_compact. STATUS_END: none yet; anything else: garbage. */
MUST_CHECK enum status rpc_stream_next(struct rpc_stream *s, struct frame *frame);
bool rpc_stream_has_frame(const struct rpc_stream *s); /* bytes of at least one whole frame wait */
void rpc_stream_compact(struct rpc_stream *s);
void rpc_stream_hold(struct rpc_stream *s, bool held);
void rpc_stream_flush(struct rpc_stream *s); /* one send of all that waits */
size_t rpc_stream_unsent(const struct rpc_stream *s);

/* Appends a frame with these params; false, and nothing appended, when it is larger than a frame may be or does not fit. */
bool rpc_append_frame(struct buf *out, enum frame_type type, uint64_t id, enum method method, struct slice params);
bool rpc_append_reply(struct buf *out, uint64_t id, enum method method, const struct reply_head *head);

/* --- hello --- */
void rpc_hello_fill(struct hello *h, const struct rpc_identity *self);
bool rpc_too_old(const struct rpc_identity *self, const struct hello *other); /* for what is finalised */
/* What calls end with when rpc_hello_check says so of the server's answer: UNSUPPORTED if it is for us to change. Another server may do where
 * this one is too old. */
enum status rpc_refusal(const struct hello *other, enum status why);
/* May we talk? STATUS_OK, STATUS_UNSUPPORTED (its versions), STATUS_UNAVAILABLE (ours), STATUS_WRONG_CLUSTER; `err` then says why for a person. `peer` is
 * how the text calls the other side. */
MUST_CHECK enum status rpc_hello_check(const struct rpc_identity *self, const struct hello *other, const char *peer,
                                       struct errbuf *err);

#endif
