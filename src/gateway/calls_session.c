/* The handlers of interactive transactions: docs/http-api.md.
 *
 *   begin --> a timestamp --> the session is in the list, and told
 *   steps: one after the other; each answers before the next begins; the first that fails ends the session
 *   commit, abort --> the session is gone */
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "gateway/gateway_int.h"
#include "gateway/json_out.h"

static void session_free(struct session *s)
{
    list_remove(&s->link);
    interact_free(s->txn);
    mem_free(s);
}

void sessions_free(struct list *sessions)
{
    struct list *it;
    while ((it = list_pop_front(sessions)) != NULL) {
        struct session *s = LIST_ENTRY(it, struct session, link);
        list_init(&s->link);
        session_free(s);
    }
}

static void session_end(struct call *c)
{
    struct gateway *g = c->gateway;
    session_free(c->session.held);
    c->session.held = NULL;
    ASSERT(g->session_count > 0);
    g->session_count--;
}

/* Those that nobody has used for too long. */
static void sweep(struct gateway *g, uint64_t now_ns)
{
    LIST_FOR(it, &g->sessions)
    {
        struct session *s = LIST_ENTRY(it, struct session, link);
        if (s->in_use || now_ns - s->used_ns < s->idle_ns) continue;
        COVER("gateway.session_idle");
        session_free(s);
        g->session_count--;
    }
}

static void release(struct call *c)
{
    struct session *s = c->session.held;
    if (s == NULL) return;
    s->in_use = false;
    s->used_ns = env_mono_ns(c->gateway->env);
    c->session.held = NULL;
}

void session_call_end(struct call *c)
{
    release(c);
    if (c->session.answering) answer_free(&c->session.answer);
    if (c->session.tree != NULL) json_decref(c->session.tree);
    memset(&c->session, 0, sizeof(c->session));
}

/* --- begin --- */

static void json_id(struct buf *b, const uint8_t *id)
{
    buf_append_byte(b, '"');
    for (size_t i = 0; i < SESSION_ID_BYTES; i++) buf_printf(b, "%02x", id[i]);
    buf_append_byte(b, '"');
}

static void begun(void *ctx, const struct client_error *e, uint64_t ts)
{
    struct call *c = ctx;
    if (e->status != STATUS_OK) {
        session_end(c);
        call_fail(c, e);
        return;
    }
    struct answer a;
    answer_init(&a);
    json_open(&a.body, '{');
    json_key(&a.body, "session");
    json_id(&a.body, c->session.held->id);
    json_key(&a.body, "timestamp");
    json_u64_text(&a.body, ts);
    json_close(&a.body, '}');
    buf_append_byte(&a.body, '\n');
    a.code = 201;
    call_send(c, &a);
}

static void session_begin(struct call *c, const struct input *in)
{
    struct gateway *g = c->gateway;
    struct errbuf err;
    struct session_begin_action action;
    enum status s = parse_session_begin(in, &c->arena, &action, &err);
    if (s == STATUS_OK) sweep(g, env_mono_ns(g->env));
    if (s == STATUS_OK && g->session_count >= SESSIONS_MAX) {
        s = STATUS_BUSY;
        errbuf_set(&err, "this gateway holds %u sessions already: commit or abort some, or try again later",
                   SESSIONS_MAX);
    }
    if (s != STATUS_OK) {
        call_refuse(c, s, &err);
    } else {
        struct session *held = mem_zalloc(sizeof(*held));
        held->txn = interact_new(g->env, g->client, action.keyspace);
        snprintf(held->keyspace, sizeof(held->keyspace), "%.*s", (int)action.keyspace.size,
                 (const char *)action.keyspace.data);
        memcpy(held->user, c->user, sizeof(held->user));
        held->idle_ns = action.idle_ms * NS_PER_MS;
        held->in_use = true;
        g->env->ops->random(g->env, held->id, sizeof(held->id));
        list_push_back(&g->sessions, &held->link);
        g->session_count++;
        c->session.held = held;
        interact_begin(held->txn, call_timeout(c, action.timeout_ms), begun, c);
    }
    if (action.tree != NULL) json_decref(action.tree);
}

/* --- steps --- */

static void steps_go_on(struct call *c);

static void step_failed(struct call *c, const struct client_error *e)
{
    session_end(c);
    call_fail(c, e);
}

static void step_got(void *ctx, const struct client_error *e, const struct interact_row *row)
{
    struct call *c = ctx;
    struct buf *b = &c->session.answer.body;
    if (e->status != STATUS_OK) {
        step_failed(c, e);
        return;
    }
    json_open(b, '{');
    json_key(b, "found");
    json_bool(b, row->found);
    if (row->found) json_bytes(b, "value", row->value, false);
    if (row->found && row->version != 0) {
        json_key(b, "version");
        json_u64_text(b, row->version);
    }
    json_close(b, '}');
    c->session.at++;
    steps_go_on(c);
}

static void step_scanned(void *ctx, const struct client_error *e, const struct interact_row *rows, size_t count,
                         bool more)
{
    struct call *c = ctx;
    struct buf *b = &c->session.answer.body;
    if (e->status != STATUS_OK) {
        step_failed(c, e);
        return;
    }
    bool keys_only = c->session.ops[c->session.at].scan.keys_only;
    json_open(b, '{');
    json_key(b, "rows");
    json_open(b, '[');
    for (size_t i = 0; i < count; i++) {
        json_open(b, '{');
        json_bytes(b, "key", rows[i].key, false);
        if (!keys_only) json_bytes(b, "value", rows[i].value, false);
        if (rows[i].version != 0) {
            json_key(b, "version");
            json_u64_text(b, rows[i].version);
        }
        json_close(b, '}');
    }
    json_close(b, ']');
    json_key(b, "more");
    json_bool(b, more);
    json_close(b, '}');
    c->session.at++;
    steps_go_on(c);
}

/* False: it will call back. */
static bool step_now(struct call *c, struct session_op *op)
{
    struct interact *t = c->session.held->txn;
    struct buf *b = &c->session.answer.body;
    struct errbuf err;
    if (op->is_scan && op->scan.empty) {
        buf_append_str(b, c->session.at > 0 ? ",{\"rows\":[],\"more\":false}" : "{\"rows\":[],\"more\":false}");
        return true;
    }
    if (op->is_scan) {
        struct client_scan scan = {.start = op->scan.start,
                                   .end = op->scan.end,
                                   .limit_rows = op->scan.limit,
                                   .reverse = op->scan.reverse,
                                   .keys_only = op->scan.keys_only};
        interact_scan(t, &scan, c->timeout_ms, step_scanned, c);
        return false;
    }
    if (op->op.kind == TXN_GET) {
        interact_get(t, op->op.key, c->timeout_ms, step_got, c);
        return false;
    }
    enum status s = interact_write(t, &op->op, &err);
    if (s != STATUS_OK) {
        step_failed(c, &(struct client_error){.status = s, .message = slice_str(err.text)});
        return false;
    }
    json_open(b, '{');
    json_close(b, '}');
    return true;
}

static void steps_go_on(struct call *c)
{
    while (c->session.at < c->session.count) {
        if (!step_now(c, &c->session.ops[c->session.at])) return;
        c->session.at++;
    }
    struct answer *a = &c->session.answer;
    json_close(&a->body, ']');
    json_close(&a->body, '}');
    buf_append_byte(&a->body, '\n');
    if (a->body.overflow)
        answer_error(a, STATUS_TOO_LARGE, false, slice_str("the rows do not fit one answer; ask for less"));
    release(c);
    call_answer(c, a);
}

static bool may_step(struct call *c, const struct session_op *o)
{
    struct slice keyspace = slice_str(c->session.held->keyspace);
    if (o->is_scan) return call_may_span(c, AUTH_READ, keyspace, o->scan.start, o->scan.end);
    return call_may_key(c, o->op.kind == TXN_GET ? AUTH_READ : AUTH_WRITE, keyspace, o->op.key);
}

static void session_steps(struct call *c, const struct input *in)
{
    struct errbuf err;
    struct session_action action;
    enum status s = parse_session(in, &c->arena, &action, &err);
    c->session.tree = action.tree;
    c->timeout_ms = call_timeout(c, action.timeout_ms);
    if (s != STATUS_OK) {
        call_refuse(c, s, &err);
        return;
    }
    for (size_t i = 0; i < action.count; i++) {
        if (!may_step(c, &action.ops[i])) return;
    }
    c->session.ops = action.ops;
    c->session.count = action.count;
    answer_init(&c->session.answer);
    c->session.answering = true;
    json_open(&c->session.answer.body, '{');
    json_key(&c->session.answer.body, "results");
    json_open(&c->session.answer.body, '[');
    steps_go_on(c);
}

/* --- the end --- */

static void committed(void *ctx, const struct client_error *e, uint64_t ts)
{
    struct call *c = ctx;
    session_end(c);
    struct answer a;
    if (!call_answers(c, e, &a)) return;
    json_open(&a.body, '{');
    json_key(&a.body, "committed");
    json_bool(&a.body, true);
    json_key(&a.body, "version");
    json_u64_text(&a.body, ts);
    json_close(&a.body, '}');
    buf_append_byte(&a.body, '\n');
    call_send(c, &a);
}

/* A right to write may have ended since the step. */
static bool still_may_write(void *ctx, struct slice key)
{
    struct call *c = ctx;
    return call_may_key(c, AUTH_WRITE, slice_str(c->session.held->keyspace), key);
}

static void session_commit_or_abort(struct call *c, const struct input *in)
{
    struct errbuf err;
    struct list_action query;
    enum status s = parse_list(in, false, &c->arena, &query, &err);
    if (s != STATUS_OK) {
        call_refuse(c, s, &err);
    } else if (c->endpoint == ENDPOINT_TXN_COMMIT) {
        if (interact_each_write(c->session.held->txn, still_may_write, c))
            interact_commit(c->session.held->txn, call_timeout(c, query.timeout_ms), committed, c);
    } else {
        struct answer a;
        session_end(c);
        answer_init(&a);
        buf_append_str(&a.body, "{\"aborted\":true}\n");
        call_send(c, &a);
    }
}

/* The session that the path names becomes this call's; NULL: refused. */
static struct session *session_take(struct call *c, struct slice text)
{
    struct gateway *g = c->gateway;
    struct txn_id id;
    struct errbuf err;
    sweep(g, env_mono_ns(g->env));
    bool named = text.size == 2 * SESSION_ID_BYTES && parse_idempotency_key(text, &id, &err) == STATUS_OK;
    LIST_FOR(it, &g->sessions)
    {
        struct session *s = LIST_ENTRY(it, struct session, link);
        if (!named || memcmp(s->id, id.bytes, sizeof(s->id)) != 0 || strcmp(s->user, c->user) != 0) continue;
        if (s->in_use) {
            errbuf_set(&err, "another request of this session is under way");
            call_refuse(c, STATUS_BUSY, &err);
            return NULL;
        }
        s->in_use = true;
        c->session.held = s;
        return s;
    }
    errbuf_set(&err, "this gateway holds no such session: it has ended, was idle for too long, or began elsewhere. "
                     "Nothing of it was "
                     "written unless its commit was answered; begin again");
    call_refuse(c, STATUS_RETRY, &err);
    return NULL;
}

void handle_session(struct call *c, const struct input *in, const struct route *route)
{
    if (c->endpoint == ENDPOINT_TXN_BEGIN) {
        session_begin(c, in);
    } else if (session_take(c, route->key) != NULL) {
        if (c->endpoint == ENDPOINT_TXN_ANSWER)
            session_steps(c, in);
        else
            session_commit_or_abort(c, in);
    }
}
