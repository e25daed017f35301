#include "rpc/rpc_int.h"

#include "base/assert.h"
#include "base/cursor.h"

static void stream_check(const struct rpc_stream *s)
{
    ASSERT(s->in_at <= s->in.size);
    if (s->conn == NULL) ASSERT(!s->paused);
    if (s->ended) ASSERT(s->conn == NULL);
    if (s->conn != NULL) ASSERT(s->paused || !s->held);
}

static void mark_ready(struct rpc_stream *s)
{
    if (s->ready == NULL) return;
    list_remove(&s->ready_link);
    list_push_back(s->ready, &s->ready_link);
}

/* The sender is stopped when the owner says so, or when the buffer holds as much as the largest frame. */
static void update_pause(struct rpc_stream *s)
{
    if (s->conn == NULL) return;
    bool want = s->held || s->in.size - s->in_at >= RPC_RECEIVE_PAUSE_BYTES;
    if (want == s->paused) return;
    s->paused = want;
    s->env->net->ops->pause(s->conn, want);
}

static void on_open(void *ctx, struct net_conn *conn)
{
    struct rpc_stream *s = ctx;
    ASSERT(conn == s->conn);
    s->opened = true;
    mark_ready(s);
}

static void on_data(void *ctx, struct net_conn *conn, struct slice bytes)
{
    struct rpc_stream *s = ctx;
    ASSERT(conn == s->conn);
    s->heard_bytes += bytes.size;
    if (bytes.size > s->in.max - s->in.size) { /* rare: the taken frames at the front are still in the way */
        buf_consume(&s->in, s->in_at);
        s->in_at = 0;
    }
    buf_append_slice(&s->in, bytes);
    if (s->in.overflow) s->overrun = true;
    update_pause(s);
    mark_ready(s);
}

static void on_close(void *ctx, struct net_conn *conn, enum status why)
{
    struct rpc_stream *s = ctx;
    ASSERT(conn == s->conn);
    s->conn = NULL;
    s->paused = false;
    s->ended = true;
    s->why = why;
    mark_ready(s);
}

static const struct net_handler STREAM_HANDLER = {.on_open = on_open, .on_data = on_data, .on_close = on_close};

void rpc_stream_init(struct rpc_stream *s, struct env *env, struct list *ready)
{
    *s = (struct rpc_stream){.env = env, .ready = ready, .frame_max = RPC_HELLO_BYTES_MAX};
    buf_init(&s->in, RPC_RECEIVE_MAX_BYTES);
    buf_init(&s->out, RPC_UNSENT_MAX_BYTES + LIMIT_FRAME_BYTES + FRAME_HEADER_BYTES);
    list_init(&s->ready_link);
}

static void stream_begin(struct rpc_stream *s)
{
    ASSERT(s->conn == NULL);
    buf_clear(&s->in);
    buf_clear(&s->out);
    s->in_at = 0;
    s->frame_max = RPC_HELLO_BYTES_MAX;
    s->opened = s->ended = s->overrun = s->held = s->paused = false;
    s->why = STATUS_OK;
}

void rpc_stream_accept(struct rpc_stream *s, struct net_conn *conn)
{
    stream_begin(s);
    s->conn = conn;
    s->opened = true;
    s->env->net->ops->attach(conn, &STREAM_HANDLER, s);
}

void rpc_stream_connect(struct rpc_stream *s, const char *address)
{
    stream_begin(s);
    s->conn = s->env->net->ops->connect(s->env->net, address, &STREAM_HANDLER, s);
}

void rpc_stream_close(struct rpc_stream *s)
{
    if (s->conn != NULL) s->env->net->ops->close(s->conn);
    s->conn = NULL;
    stream_begin(s);
    buf_free(&s->in);
    buf_free(&s->out);
}

void rpc_stream_free(struct rpc_stream *s)
{
    rpc_stream_close(s);
    list_remove(&s->ready_link);
}

/* The counted length of the frame at the front, or 0 when not even that has arrived. */
static uint32_t front_length(const struct rpc_stream *s)
{
    return s->in.size - s->in_at >= 4 ? le_u32(s->in.data + s->in_at) : 0;
}

enum status rpc_stream_next(struct rpc_stream *s, struct frame *frame)
{
    stream_check(s);
    if (s->overrun) return STATUS_TOO_LARGE;
    if (s->in.size == s->in_at) return STATUS_END;
    if (front_length(s) > s->frame_max) return STATUS_TOO_LARGE;
    size_t used = 0;
    enum status status = frame_parse(slice_make(s->in.data + s->in_at, s->in.size - s->in_at), frame, &used);
    if (status == STATUS_OK) {
        ASSERT(used > 0 && used <= s->in.size - s->in_at);
        s->in_at += used;
    }
    return status;
}

bool rpc_stream_has_frame(const struct rpc_stream *s)
{
    size_t left = s->in.size - s->in_at;
    return left >= FRAME_HEADER_BYTES && left - FRAME_HEADER_BYTES >= front_length(s);
}

/* Moves the rest to the front only when that is at most as much as was taken: each byte is moved O(1) times. */
void rpc_stream_compact(struct rpc_stream *s)
{
    size_t left = s->in.size - s->in_at;
    if (left == 0 && s->in.capacity > RPC_IDLE_BUFFER_BYTES) {
        buf_free(&s->in);
        s->in_at = 0;
    } else if (left <= s->in_at) {
        buf_consume(&s->in, s->in_at);
        s->in_at = 0;
    }
    update_pause(s);
    stream_check(s);
}

void rpc_stream_hold(struct rpc_stream *s, bool held)
{
    s->held = held;
    update_pause(s);
}

void rpc_stream_flush(struct rpc_stream *s)
{
    if (s->conn == NULL || s->out.size == 0 || s->env->dead) return;
    ASSERT(!s->out.overflow);
    s->env->net->ops->send(s->conn, buf_slice(&s->out));
    buf_clear(&s->out);
    if (s->out.capacity > RPC_IDLE_BUFFER_BYTES) buf_free(&s->out);
}

size_t rpc_stream_unsent(const struct rpc_stream *s)
{
    return s->out.size + (s->conn != NULL ? s->env->net->ops->unsent(s->conn) : 0);
}

/* Takes back a frame that did not fit; what was there before it is whole. */
static bool frame_fits(struct buf *out, size_t before)
{
    if (!out->overflow && out->size - before <= LIMIT_FRAME_BYTES) return true;
    out->size = before;
    out->overflow = false;
    return false;
}

bool rpc_append_frame(struct buf *out, enum frame_type type, uint64_t id, enum method method, struct slice params)
{
    size_t before = out->size;
    if (params.size > LIMIT_FRAME_BYTES) return false;
    size_t mark = frame_begin(out, type, id, method);
    if (params.size == 0) pack_nil(out);
    buf_append_slice(out, params);
    if (!out->overflow) frame_end(out, mark);
    return frame_fits(out, before);
}

bool rpc_append_reply(struct buf *out, uint64_t id, enum method method, const struct reply_head *head)
{
    size_t before = out->size;
    size_t mark = frame_begin(out, FRAME_RESPONSE, id, method);
    pack_reply_head(out, head);
    if (!out->overflow) frame_end(out, mark);
    return frame_fits(out, before);
}
