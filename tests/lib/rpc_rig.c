#include "lib/rpc_rig.h"

#include "base/limits.h"
#include "base/mem.h"

#include <check.h>
#include <stdio.h>

static uint64_t echo_number(struct slice params)
{
    struct unpack u = unpack_make(params);
    struct slice bytes = unpack_bin(&u);
    uint64_t v = 0;
    if (bytes.size >= sizeof(v)) memcpy(&v, bytes.data, sizeof(v));
    return v;
}

static void echo_answer(struct rpc_request *r)
{
    struct reply_head head = {.status = STATUS_OK, .message = SLICE_EMPTY, .payload = r->params};
    rpc_reply(r, &head);
}

static void echo_on_request(void *ctx, struct rpc_request *r)
{
    struct echo *e = ctx;
    if (r->notify) {
        e->notifies++;
        rpc_request_drop(r);
        return;
    }
    e->requests++;
    uint64_t number = echo_number(r->params);
    if (number <= e->last_number) e->out_of_order = true;
    e->last_number = number;
    if (e->hold) {
        list_push_back(&e->held, &r->link);
        e->held_count++;
    } else {
        echo_answer(r);
    }
}

void echo_release(struct echo *e, size_t count)
{
    for (struct list *it; count > 0 && (it = list_pop_front(&e->held)) != NULL; count--) {
        e->held_count--;
        echo_answer(LIST_ENTRY(it, struct rpc_request, link));
    }
    e->env->ops->wake(e->env);
}

static uint64_t echo_pass(struct actor *a, uint64_t now_ns)
{
    struct echo *e = LIST_ENTRY(a, struct echo, actor);
    rpc_server_pass(e->server, now_ns);
    rpc_server_flush(e->server);
    return now_ns + 20 * MS; /* a host's tick */
}

void echo_start(struct echo *e, struct env *env, const char *address)
{
    *e = (struct echo){.env = env, .self = {.role = ROLE_NODE, .node_id = 7}, .actor = {.pass = echo_pass}};
    list_init(&e->held);
    struct errbuf err = {{0}};
    enum status s = rpc_server_new(env, address, &e->self, echo_on_request, e, &e->server, &err);
    ck_assert_msg(s == STATUS_OK, "%s", err.text);
    env->ops->attach(env, &e->actor);
}

void echo_stop(struct echo *e)
{
    for (struct list *it; (it = list_pop_front(&e->held)) != NULL;)
        rpc_request_drop(LIST_ENTRY(it, struct rpc_request, link));
    e->env->ops->detach(e->env, &e->actor);
    rpc_server_free(e->server);
}

static void caller_done(void *ctx, enum status status, bool sent, const struct reply_head *head)
{
    struct caller_call *call = ctx;
    struct caller *c = call->caller;
    ck_assert(!c->inside);
    ck_assert_uint_eq(call->done_count, 0);
    call->done_count++;
    ck_assert_ptr_nonnull(head);
    c->last_status = status;
    c->last_sent = sent;
    c->last_ns = env_mono_ns(c->env);
    (void)snprintf(c->last_message, sizeof(c->last_message), "%.*s", (int)head->message.size,
                   (const char *)head->message.data);
    c->last_head = head->status;
    c->last_unknown = head->unknown_outcome;
    if (status == STATUS_OK && head->status != STATUS_OK) {
        c->failed++;
    } else if (status == STATUS_OK) {
        ck_assert(sent);
        ck_assert_uint_eq(echo_number(head->payload), call->number);
        if (call->number <= c->last_answer) c->out_of_order = true;
        c->last_answer = call->number;
        c->answered++;
    } else {
        ck_assert_int_eq(head->status, status);
        c->failed++;
        if (sent) c->failed_sent++;
    }
    mem_free(call);
}

static uint64_t caller_pass(struct actor *a, uint64_t now_ns)
{
    struct caller *c = LIST_ENTRY(a, struct caller, actor);
    return rpc_peer_pass(c->peer, now_ns);
}

void caller_start(struct caller *c, struct env *env, const char *address)
{
    *c = (struct caller){.env = env, .self = {.role = ROLE_GATEWAY}, .actor = {.pass = caller_pass}};
    c->peer = rpc_peer_new(env, address, &c->self);
    env->ops->attach(env, &c->actor);
}

void caller_stop(struct caller *c)
{
    c->env->ops->detach(c->env, &c->actor);
    rpc_peer_free(c->peer);
}

void caller_params(struct buf *params, uint64_t number, size_t size)
{
    uint8_t *bytes = mem_zalloc(size < sizeof(number) ? sizeof(number) : size);
    memcpy(bytes, &number, sizeof(number));
    buf_init(params, LIMIT_FRAME_BYTES * 2);
    pack_bin(params, slice_make(bytes, size < sizeof(number) ? sizeof(number) : size));
    mem_free(bytes);
}

struct caller_call *caller_call(struct caller *c, size_t size, uint64_t timeout_ns)
{
    struct caller_call *call = mem_zalloc(sizeof(*call));
    call->caller = c;
    call->number = ++c->number;
    struct buf params;
    caller_params(&params, call->number, size);
    c->inside = true;
    call->id = rpc_call(c->peer, METHOD_TXN, buf_slice(&params), env_mono_ns(c->env) + timeout_ns, caller_done, call);
    c->inside = false;
    buf_free(&params);
    c->env->ops->wake(c->env);
    return call;
}

bool caller_idle(void *ctx)
{
    const struct caller *c = ctx;
    return c->answered + c->failed == c->number;
}

static void raw_on_open(void *ctx, struct net_conn *conn)
{
    (void)conn;
    ((struct raw *)ctx)->open = true;
}

static void raw_on_data(void *ctx, struct net_conn *conn, struct slice bytes)
{
    (void)conn;
    buf_append_slice(&((struct raw *)ctx)->in, bytes);
}

static void raw_on_close(void *ctx, struct net_conn *conn, enum status why)
{
    (void)conn;
    (void)why;
    ((struct raw *)ctx)->closed = true;
}

static const struct net_handler RAW_HANDLER = {
    .on_open = raw_on_open, .on_data = raw_on_data, .on_close = raw_on_close};

static bool raw_is_open(void *ctx)
{
    return ((struct raw *)ctx)->open;
}

bool raw_is_closed(void *ctx)
{
    return ((struct raw *)ctx)->closed;
}

void raw_connect(struct raw *r, struct fakenet *n, struct env *env, const char *address)
{
    *r = (struct raw){.env = env};
    buf_init(&r->in, 64u << 20);
    r->conn = env->net->ops->connect(env->net, address, &RAW_HANDLER, r);
    ck_assert(fakenet_run(n, raw_is_open, r, SECOND));
}

void raw_hello(struct raw *r, uint32_t version, const struct cluster_id *cluster)
{
    struct hello hello = {.version = version, .role = ROLE_CLIENT, .cluster = *cluster};
    struct buf frame;
    buf_init(&frame, 4096);
    size_t mark = frame_begin(&frame, FRAME_REQUEST, 0, METHOD_HELLO);
    pack_hello(&frame, &hello);
    frame_end(&frame, mark);
    r->env->net->ops->send(r->conn, buf_slice(&frame));
    buf_free(&frame);
}

bool raw_reply(struct raw *r, struct arena *arena, struct reply_head *head)
{
    struct frame frame;
    size_t used;
    if (frame_parse(buf_slice(&r->in), &frame, &used) != STATUS_OK || frame.type != FRAME_RESPONSE) return false;
    return unpack_reply_head(frame.params, arena, head) == STATUS_OK;
}

void raw_stop(struct raw *r)
{
    if (!r->closed) r->env->net->ops->close(r->conn);
    buf_free(&r->in);
}
