/* One lasting outgoing connection. Its states, and what ends each:
 *
 *             first call or notify, pause over
 *      RESTING --------------------------------> CONNECTING
 *       ^  ^  ^                                      | established: hello goes out
 *       |  |  |     refused, 1 s over                v
 *       |  |  +---------------------------------- GREETING
 *       |  |        refused, wrong hello, 1 s over   |
 *       |  +-----------------------------------------+ answer fits: waiting calls go out
 *       |                                            v
 *       +----------------------------------------- READY
 *          broken, garbage, no byte after a ping (after a second or more: pauses start anew);
 *          it leaves, and has answered all that was sent: no call goes out from when it says so
 *
 * and of a call:
 *
 *      WAITING --ready--> QUEUED (in the out buffer) --flush--> SENT
 *         |                  |                                   |
 *         v attempt failed   v broken                            v answered; broken: sent = true
 *        ENDED  <------------+-----------------------------------+       (any: deadline)
 *
 * ENDED calls are told to their callers by the next pass; nothing is ever sent twice. */
#include "rpc/rpc_int.h"

#include "base/assert.h"
#include "base/heap.h"
#include "base/map.h"
#include "base/mem.h"

enum peer_state { PEER_RESTING, PEER_CONNECTING, PEER_GREETING, PEER_READY };
enum call_state { CALL_WAITING, CALL_QUEUED, CALL_SENT, CALL_ENDED };

struct call {
    uint64_t id;
    enum method method;
    enum call_state state;
    enum status status;     /* ENDED */
    bool sent;              /* ENDED */
    bool elsewhere;         /* ends when the other side is silent */
    struct list link;       /* the peer's list of its state */
    struct heap_node timer; /* unless ENDED */
    rpc_done done;
    void *ctx;
    size_t params_size;
    uint8_t params[]; /* WAITING only; a call that is queued at once has none */
};

struct rpc_peer {
    struct env *env;
    struct list news;  /* holds the stream when something has happened to it */
    uint64_t looks_ns; /* the last pass had nothing to do before */
    bool used;         /* a call or notify since the last pass */
    bool leaving;      /* READY: the other side stops, and answers what has been sent */
    bool wanted;       /* somebody has used it: keep it connected */
    enum peer_state state;
    char *address;
    const struct rpc_identity *self;
    enum role expected_role;
    uint64_t expected_id; /* 0: anybody */
    struct rpc_stream stream;
    unsigned failures;   /* attempts that failed, or broke within a second, since a connection lasted */
    uint64_t ready_ns;   /* READY: since when */
    uint64_t until_ns;   /* RESTING: no attempt before; CONNECTING, GREETING: given up then */
    enum status refusal; /* why waiting calls fail when this attempt does */
    struct errbuf refusal_text;
    struct hello other;
    bool other_known;

    struct map calls; /* id -> struct call, unless ENDED */
    struct heap timers;
    struct list waiting, queued, sent, ended;
    size_t waiting_bytes, ended_count;
    uint64_t next_id;

    uint64_t heard_bytes; /* stream's, as of the last look */
    size_t unsent_bytes;  /* likewise */
    uint64_t owed_ns;     /* since when something was sent and nothing heard; 0: nothing is owed */
    uint64_t ping_ns;     /* when a ping went out that is not answered; 0: none */
    size_t elsewhere;     /* such calls, unless ENDED */
    bool silent;
    struct prng prng;
    struct arena arena;
};

static void peer_check(const struct rpc_peer *p)
{
    if (p->state != PEER_READY) ASSERT(list_empty(&p->queued) && list_empty(&p->sent));
    if (p->state == PEER_READY) ASSERT(list_empty(&p->waiting));
    if (p->state == PEER_RESTING) ASSERT(p->stream.conn == NULL);
    ASSERT(p->calls.count == p->timers.count);
}

struct rpc_peer *rpc_peer_new(struct env *env, const char *address, const struct rpc_identity *self)
{
    struct rpc_peer *p = mem_zalloc(sizeof(*p));
    p->env = env;
    p->address = mem_strdup(address);
    p->self = self;
    p->state = PEER_RESTING;
    p->refusal = STATUS_CLOSED;
    p->next_id = 1;
    list_init(&p->news);
    rpc_stream_init(&p->stream, env, &p->news);
    map_init(&p->calls);
    heap_init(&p->timers);
    list_init(&p->waiting);
    list_init(&p->queued);
    list_init(&p->sent);
    list_init(&p->ended);
    uint64_t seed;
    env->ops->random(env, &seed, sizeof(seed));
    prng_init(&p->prng, seed);
    arena_init(&p->arena, 4096);
    return p;
}

void rpc_peer_expect(struct rpc_peer *p, enum role role, uint64_t node_id)
{
    p->expected_role = role;
    p->expected_id = node_id;
}

static void free_calls(struct list *calls)
{
    for (struct list *it; (it = list_pop_front(calls)) != NULL;) mem_free(LIST_ENTRY(it, struct call, link));
}

void rpc_peer_free(struct rpc_peer *p)
{
    if (p == NULL) return;
    rpc_stream_free(&p->stream);
    heap_free(&p->timers); /* lets go of its nodes, so before they are freed */
    free_calls(&p->waiting);
    free_calls(&p->queued);
    free_calls(&p->sent);
    free_calls(&p->ended);
    map_free(&p->calls);
    arena_free(&p->arena);
    mem_free(p->address);
    mem_free(p);
}

const char *rpc_peer_address(const struct rpc_peer *p)
{
    return p->address;
}

bool rpc_peer_connected(const struct rpc_peer *p)
{
    return p->state == PEER_READY;
}

bool rpc_peer_down(const struct rpc_peer *p)
{
    return p->state != PEER_READY && p->failures > 0;
}

bool rpc_peer_hello(const struct rpc_peer *p, struct hello *out)
{
    *out = p->other;
    return p->other_known;
}

bool rpc_peer_silent(const struct rpc_peer *p)
{
    return p->silent;
}

size_t rpc_peer_unsent(const struct rpc_peer *p)
{
    return rpc_stream_unsent(&p->stream);
}

/* --- calls --- */

static void call_end(struct rpc_peer *p, struct call *c, enum status status, bool sent)
{
    ASSERT(c->state != CALL_ENDED);
    if (c->state == CALL_WAITING) p->waiting_bytes -= c->params_size;
    if (c->elsewhere) p->elsewhere--;
    (void)map_remove(&p->calls, c->id);
    heap_remove(&p->timers, &c->timer);
    c->state = CALL_ENDED;
    c->status = status;
    c->sent = sent;
    list_remove(&c->link);
    list_push_back(&p->ended, &c->link);
    p->ended_count++;
}

static void calls_end(struct rpc_peer *p, struct list *calls, enum status status, bool sent)
{
    LIST_FOR(it, calls) call_end(p, LIST_ENTRY(it, struct call, link), status, sent);
}

/* Puts the call's frame into the out buffer, or ends it. */
static void call_queue(struct rpc_peer *p, struct call *c, struct slice params)
{
    if (params.size > LIMIT_FRAME_BYTES - RPC_HELLO_BYTES_MAX) {
        call_end(p, c, STATUS_TOO_LARGE, false);
        return;
    }
    if (rpc_stream_unsent(&p->stream) + params.size > RPC_UNSENT_MAX_BYTES ||
        !rpc_append_frame(&p->stream.out, FRAME_REQUEST, c->id, c->method, params)) {
        COVER("rpc.call_busy");
        call_end(p, c, STATUS_BUSY, false);
        return;
    }
    if (c->state == CALL_WAITING) p->waiting_bytes -= c->params_size;
    c->state = CALL_QUEUED;
    list_remove(&c->link);
    list_push_back(&p->queued, &c->link);
}

uint64_t rpc_call(struct rpc_peer *p, enum method method, struct slice params, uint64_t deadline_ns, rpc_done done,
                  void *ctx)
{
    bool ready = p->state == PEER_READY && !p->stream.ended && !p->leaving;
    size_t kept = ready ? 0 : params.size;
    bool busy =
        p->calls.count + p->ended_count >= RPC_CALLS_MAX_COUNT || p->waiting_bytes + kept > RPC_UNSENT_MAX_BYTES;
    if (busy) kept = 0;
    struct call *c = mem_alloc(sizeof(*c) + kept);
    *c = (struct call){
        .id = p->next_id++, .method = method, .state = CALL_WAITING, .done = done, .ctx = ctx, .params_size = kept};
    if (kept > 0) memcpy(c->params, params.data, kept);
    p->wanted = p->used = true;
    p->waiting_bytes += kept;
    list_push_back(&p->waiting, &c->link);
    (void)map_put(&p->calls, c->id, c);
    heap_push(&p->timers, &c->timer, deadline_ns);
    if (busy) {
        call_end(p, c, STATUS_BUSY, false);
    } else if (p->state == PEER_READY) {
        if (!ready)
            call_end(p, c, STATUS_CLOSED, false); /* it leaves; or is broken, and the pass has not seen it yet */
        else
            call_queue(p, c, params);
    }
    return c->id;
}

static struct call *ended_find(struct rpc_peer *p, uint64_t id)
{
    LIST_FOR(it, &p->ended)
    {
        struct call *c = LIST_ENTRY(it, struct call, link);
        if (c->id == id) return c;
    }
    return NULL;
}

void rpc_call_cancel(struct rpc_peer *p, uint64_t id)
{
    struct call *c = map_remove(&p->calls, id);
    if (c == NULL) {
        c = ended_find(p, id);
        if (c == NULL) return; /* told already */
        p->ended_count--;
    } else {
        if (c->state == CALL_WAITING) p->waiting_bytes -= c->params_size;
        if (c->elsewhere) p->elsewhere--;
    }
    heap_remove(&p->timers, &c->timer);
    list_remove(&c->link);
    mem_free(c);
}

void rpc_call_elsewhere(struct rpc_peer *p, uint64_t id)
{
    struct call *c = map_get(&p->calls, id);
    if (c == NULL || c->elsewhere || p->silent)
        return; /* it has ended at once, or goes where nobody else could be asked */
    c->elsewhere = true;
    p->elsewhere++;
}

bool rpc_notify(struct rpc_peer *p, enum method method, struct slice params)
{
    p->wanted = p->used = true;
    if (p->state != PEER_READY || p->stream.ended || p->leaving) return false;
    if (rpc_stream_unsent(&p->stream) + params.size > RPC_UNSENT_NOTIFY_MAX_BYTES) {
        COVER("rpc.notify_dropped");
        return false;
    }
    return rpc_append_frame(&p->stream.out, FRAME_NOTIFY, 0, method, params);
}

/* --- the connection --- */

/* Twice as long after each failure, and a random part of it, so that many clients of a returning node do not come at once. */
static uint64_t pause_ns(struct rpc_peer *p)
{
    unsigned doublings = p->failures > 6 ? 6 : p->failures - 1;
    uint64_t ms = (uint64_t)RPC_PAUSE_MIN_MS << doublings;
    if (ms > RPC_PAUSE_MAX_MS) ms = RPC_PAUSE_MAX_MS;
    return prng_between(&p->prng, ms * NS_PER_MS / 2, ms * NS_PER_MS);
}

static void peer_rest(struct rpc_peer *p, enum status why, uint64_t now_ns)
{
    rpc_stream_close(&p->stream);
    if (p->failures < 1000) p->failures++;
    p->until_ns = now_ns + pause_ns(p);
    p->state = PEER_RESTING;
    p->refusal = why;
    p->owed_ns = p->ping_ns = 0;
    p->leaving = p->silent = false;
}

/* An attempt came to nothing: who waited for it may try elsewhere, nothing of theirs has left us. */
static void attempt_failed(struct rpc_peer *p, enum status why, uint64_t now_ns)
{
    ASSERT(p->state == PEER_CONNECTING || p->state == PEER_GREETING);
    log_event(p->env->log, p->failures == 0 || why != STATUS_CLOSED ? LOG_INFO : LOG_DEBUG, "rpc.connect_failed",
              "peer=%s why=\"%s\"", p->address, p->refusal_text.text);
    calls_end(p, &p->waiting, why, false);
    peer_rest(p, why, now_ns);
    peer_check(p);
}

/* READY is over. What was flushed may have been carried out; what was only queued has not left. */
static void connection_lost(struct rpc_peer *p, const char *why, uint64_t now_ns)
{
    ASSERT(p->state == PEER_READY);
    log_event(p->env->log, LOG_INFO, "rpc.lost", "peer=%s why=\"%s\"", p->address, why);
    errbuf_set(&p->refusal_text, "the connection to %s was lost: %s", p->address, why);
    if (now_ns - p->ready_ns >= RPC_LASTING_MS * NS_PER_MS) p->failures = 0;
    calls_end(p, &p->sent, STATUS_CLOSED, true);
    calls_end(p, &p->queued, STATUS_CLOSED, false);
    peer_rest(p, STATUS_CLOSED, now_ns);
    peer_check(p);
}

static void send_hello(struct rpc_peer *p)
{
    struct hello hello;
    rpc_hello_fill(&hello, p->self);
    struct buf params;
    buf_init(&params, RPC_HELLO_BYTES_MAX);
    pack_hello(&params, &hello);
    (void)rpc_append_frame(&p->stream.out, FRAME_REQUEST, 0, METHOD_HELLO, buf_slice(&params));
    buf_free(&params);
}

static void peer_connect(struct rpc_peer *p, uint64_t now_ns)
{
    ASSERT(p->state == PEER_RESTING);
    rpc_stream_connect(&p->stream, p->address);
    p->state = PEER_CONNECTING;
    p->until_ns = now_ns + RPC_ATTEMPT_MS * NS_PER_MS;
    p->refusal = STATUS_CLOSED;
    p->heard_bytes = p->stream.heard_bytes;
    p->unsent_bytes = 0;
    p->owed_ns = p->ping_ns = 0;
}

static void become_ready(struct rpc_peer *p, const struct hello *other, uint64_t now_ns)
{
    ASSERT(p->state == PEER_GREETING);
    log_event(p->env->log, LOG_DEBUG, "rpc.connected", "peer=%s node=%llu", p->address,
              (unsigned long long)other->node_id);
    p->state = PEER_READY;
    p->ready_ns = now_ns;
    p->other = *other;
    p->other_known = true;
    p->stream.frame_max = LIMIT_FRAME_BYTES;
    LIST_FOR(it, &p->waiting)
    {
        struct call *c = LIST_ENTRY(it, struct call, link);
        call_queue(p, c, slice_make(c->params, c->params_size));
    }
    peer_check(p);
}

/* --- frames that come in --- */

static void protocol_error(struct rpc_peer *p, const char *what, uint64_t now_ns)
{
    log_event(p->env->log, LOG_WARN, "rpc.garbage", "peer=%s what=\"%s\"", p->address, what);
    errbuf_set(&p->refusal_text, "%s answers with something that is not this protocol (%s); check the address",
               p->address, what);
    if (p->state == PEER_READY)
        connection_lost(p, what, now_ns);
    else
        attempt_failed(p, STATUS_CLOSED, now_ns);
}

static const char *role_word(enum role role)
{
    return role == ROLE_META ? "metadata server" : role == ROLE_NODE ? "node" : "client";
}

static enum status check_expected(struct rpc_peer *p, const struct hello *other)
{
    if (p->expected_id == 0 || (other->node_id == p->expected_id && other->role == p->expected_role)) return STATUS_OK;
    COVER("rpc.somebody_else");
    errbuf_set(&p->refusal_text, "%s is said to be %s %llu, and says that it is %s %llu", p->address,
               role_word(p->expected_role), (unsigned long long)p->expected_id, role_word(other->role),
               (unsigned long long)other->node_id);
    return STATUS_CLOSED;
}

/* The other side's answer to our hello, its answer to a ping, or its complaint before it closes. */
static void on_hello_reply(struct rpc_peer *p, const struct reply_head *head, uint64_t now_ns)
{
    struct hello other = {0};
    if (head->status == STATUS_OK) {
        if (unpack_hello(head->payload, &p->arena, &other) != STATUS_OK) {
            protocol_error(p, "malformed hello", now_ns);
            return;
        }
        if (p->state == PEER_READY) return;
        enum status status = rpc_hello_check(p->self, &other, p->address, &p->refusal_text);
        if (status == STATUS_OK) status = check_expected(p, &other);
        if (status == STATUS_OK)
            become_ready(p, &other, now_ns);
        else
            attempt_failed(p, rpc_refusal(&other, status), now_ns);
        return;
    }
    int size = head->message.size < 300 ? (int)head->message.size : 300;
    errbuf_set(&p->refusal_text, "%s refuses: %.*s", p->address, size, (const char *)head->message.data);
    if (p->state == PEER_READY && head->status == STATUS_UNAVAILABLE) {
        COVER("rpc.leaving");
        p->leaving = true;
        return;
    }
    log_event(p->env->log, LOG_WARN, "rpc.refused", "peer=%s status=%s why=\"%.*s\"", p->address,
              status_name(head->status), size, (const char *)head->message.data);
    bool told = head->status == STATUS_WRONG_CLUSTER || head->status == STATUS_UNSUPPORTED;
    if (p->state == PEER_READY)
        connection_lost(p, "refused by the other side", now_ns);
    else
        attempt_failed(p, told ? head->status : STATUS_CLOSED, now_ns);
}

static void on_answer(struct rpc_peer *p, uint64_t id, const struct reply_head *head)
{
    struct call *c = map_get(&p->calls, id);
    if (c == NULL || c->state != CALL_SENT) return; /* cancelled, or timed out before */
    call_end(p, c, STATUS_OK, true);
    list_remove(&c->link);
    p->ended_count--;
    rpc_done done = c->done;
    void *ctx = c->ctx;
    mem_free(c);
    done(ctx, STATUS_OK, true, head);
}

static void on_frame(struct rpc_peer *p, const struct frame *f, uint64_t now_ns)
{
    struct reply_head head;
    arena_reset(&p->arena);
    if (f->type != FRAME_RESPONSE || f->id >= p->next_id) {
        protocol_error(p, f->type != FRAME_RESPONSE ? "a request where a response was due" : "a response to nothing",
                       now_ns);
    } else if (unpack_reply_head(f->params, &p->arena, &head) != STATUS_OK) {
        protocol_error(p, "malformed response", now_ns);
    } else if (f->id == 0) {
        on_hello_reply(p, &head, now_ns);
    } else if (p->state != PEER_READY) {
        protocol_error(p, "a response before the hello", now_ns);
    } else {
        on_answer(p, f->id, &head);
    }
}

/* --- the pass --- */

static void take_frames(struct rpc_peer *p, uint64_t now_ns)
{
    while (p->state == PEER_GREETING || p->state == PEER_READY) {
        struct frame frame;
        enum status status = rpc_stream_next(&p->stream, &frame);
        if (status == STATUS_END) break;
        if (status == STATUS_OK)
            on_frame(p, &frame, now_ns);
        else
            protocol_error(p, status == STATUS_TOO_LARGE ? "frame too large" : "bad frame", now_ns);
    }
    if (p->state != PEER_RESTING) rpc_stream_compact(&p->stream);
}

/* Answers that arrived before the end count; then the end does. */
static void take_news(struct rpc_peer *p, uint64_t now_ns)
{
    if (p->state == PEER_CONNECTING && p->stream.opened) {
        send_hello(p);
        p->state = PEER_GREETING;
    }
    take_frames(p, now_ns);
    if (!p->stream.ended || p->state == PEER_RESTING) return;
    if (p->state == PEER_READY) {
        connection_lost(p, "closed by the other side", now_ns);
    } else {
        errbuf_set(&p->refusal_text, "no connection to %s: %s", p->address,
                   p->state == PEER_CONNECTING ? "refused or unreachable" : "closed during the hello");
        attempt_failed(p, STATUS_CLOSED, now_ns);
    }
}

/* When silence must have been broken by a ping's answer at the latest, for calls that can go elsewhere. */
static uint64_t hush_over_ns(const struct rpc_peer *p)
{
    return p->ping_ns + RPC_HUSH_MS * NS_PER_MS;
}

static uint64_t ping_due_ns(const struct rpc_peer *p)
{
    return p->owed_ns + (p->elsewhere > 0 ? RPC_HUSH_MS : RPC_SILENCE_MS) * NS_PER_MS;
}

static void fall_silent(struct rpc_peer *p)
{
    COVER("rpc.hushed");
    if (!p->silent) log_event(p->env->log, LOG_INFO, "rpc.silent", "peer=%s", p->address);
    p->silent = true;
    LIST_FOR(it, &p->sent)
    {
        struct call *c = LIST_ENTRY(it, struct call, link);
        if (c->elsewhere) call_end(p, c, STATUS_TIMEOUT, true);
    }
}

/* A connection on which we wait and hear nothing is asked for a sign of life, then given up: a peer that vanished without a
 * reset would otherwise hold calls until their deadlines, one by one. Bytes that leave count as life too, while others wait behind
 * them: the last ones may only have come as far as our own kernel. */
static void watch_silence(struct rpc_peer *p, uint64_t now_ns)
{
    if (p->state != PEER_READY) return;
    size_t unsent = p->env->net->ops->unsent(p->stream.conn);
    bool heard = p->stream.heard_bytes != p->heard_bytes;
    bool idle = list_empty(&p->sent) && p->ping_ns == 0;
    if (heard || (unsent < p->unsent_bytes && (unsent > 0 || idle))) {
        p->owed_ns = list_empty(&p->sent) && (heard || unsent == 0) ? 0 : now_ns;
        p->ping_ns = 0;
        if (heard) p->silent = false;
    }
    p->heard_bytes = p->stream.heard_bytes;
    p->unsent_bytes = unsent;
    if (p->ping_ns != 0 && now_ns >= p->ping_ns + RPC_PING_MS * NS_PER_MS) {
        COVER("rpc.silent");
        connection_lost(p, "it has fallen silent", now_ns);
    } else if (p->ping_ns == 0 && p->owed_ns != 0 && now_ns >= ping_due_ns(p)) {
        COVER("rpc.ping");
        send_hello(p);
        p->ping_ns = now_ns;
    } else if (p->ping_ns != 0 && p->elsewhere > 0 && now_ns >= hush_over_ns(p)) {
        fall_silent(p);
    }
}

static void expire(struct rpc_peer *p, uint64_t now_ns)
{
    bool attempt = p->state == PEER_CONNECTING || p->state == PEER_GREETING;
    if (attempt && now_ns >= p->until_ns) {
        errbuf_set(&p->refusal_text, "no connection to %s: no answer within %u ms", p->address, RPC_ATTEMPT_MS);
        attempt_failed(p, STATUS_CLOSED, now_ns);
    }
    for (struct heap_node *n; (n = heap_min(&p->timers)) != NULL && n->key <= now_ns;) {
        struct call *c = HEAP_ENTRY(n, struct call, timer);
        call_end(p, c, STATUS_TIMEOUT, c->state != CALL_WAITING);
    }
}

static void ended_text(const struct rpc_peer *p, enum status status, struct errbuf *text)
{
    switch ((int)status) {
    case STATUS_TIMEOUT: errbuf_set(text, "no answer from %s before the deadline", p->address); break;
    case STATUS_BUSY: errbuf_set(text, "too many bytes or calls wait for %s", p->address); break;
    case STATUS_TOO_LARGE: errbuf_set(text, "the request is larger than a frame may be (16 MiB)"); break;
    default: *text = p->refusal_text; break;
    }
}

static void tell_ended(struct rpc_peer *p)
{
    for (size_t left = p->ended_count; left > 0 && !list_empty(&p->ended); left--) {
        struct call *c = LIST_ENTRY(list_pop_front(&p->ended), struct call, link);
        p->ended_count--;
        struct errbuf text;
        ended_text(p, c->status, &text);
        struct reply_head head = {
            .status = c->status, .unknown_outcome = c->sent, .message = slice_str(text.text), .payload = SLICE_EMPTY};
        c->done(c->ctx, c->status, c->sent, &head);
        mem_free(c);
    }
}

static void peer_flush(struct rpc_peer *p, uint64_t now_ns)
{
    if (p->state != PEER_GREETING && p->state != PEER_READY) return;
    if (p->stream.conn == NULL || p->stream.out.size == 0) return;
    rpc_stream_flush(&p->stream);
    if (p->owed_ns == 0) p->owed_ns = now_ns;
    p->unsent_bytes = p->env->net->ops->unsent(p->stream.conn);
    for (struct list *it; (it = list_pop_front(&p->queued)) != NULL;) {
        LIST_ENTRY(it, struct call, link)->state = CALL_SENT;
        list_push_back(&p->sent, it);
    }
}

/* When this peer must be looked at again though nothing happens: the one place that knows. */
static uint64_t peer_deadline(const struct rpc_peer *p)
{
    if (!list_empty(&p->ended) || rpc_stream_has_frame(&p->stream)) return 0;
    uint64_t at = DEADLINE_NONE;
    if (p->state == PEER_READY) {
        if (p->ping_ns != 0)
            at = p->elsewhere > 0 ? hush_over_ns(p) : p->ping_ns + RPC_PING_MS * NS_PER_MS;
        else if (p->owed_ns != 0)
            at = ping_due_ns(p);
    } else if (p->state != PEER_RESTING || p->wanted) {
        at = p->until_ns;
    }
    const struct heap_node *n = heap_min(&p->timers);
    return n != NULL && n->key < at ? n->key : at;
}

uint64_t rpc_peer_pass(struct rpc_peer *p, uint64_t now_ns)
{
    if (p->env->dead) return DEADLINE_NONE;
    if (!p->used && list_empty(&p->news) && now_ns < p->looks_ns) return p->looks_ns; /* a client has many idle ones */
    peer_check(p);
    list_remove(&p->stream.ready_link);
    p->used = false;
    take_news(p, now_ns);
    if (p->state == PEER_READY && rpc_too_old(p->self, &p->other)) {
        COVER("rpc.peer_too_old");
        connection_lost(p, "it does not support the version that the cluster is finalised at", now_ns);
    }
    if (p->leaving && list_empty(&p->queued) && list_empty(&p->sent)) connection_lost(p, "it is stopping", now_ns);
    watch_silence(p, now_ns);
    expire(p, now_ns);
    tell_ended(p);
    if (p->state == PEER_RESTING && p->wanted && now_ns >= p->until_ns) peer_connect(p, now_ns);
    peer_flush(p, now_ns);
    peer_check(p);
    p->looks_ns = peer_deadline(p);
    if (p->looks_ns < now_ns) p->looks_ns = now_ns;
    return p->looks_ns;
}
