/* The handlers of interactive transactions: docs/http-api.md.
 *
 *   begin --> a timestamp --> the session is in the list, and told
 *   steps: one after the other; each answers before the next begins; the first that fails ends the session
 *   commit, abort --> the session is over; what it came to is remembered for a while (session.h) */
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "gateway/gateway_int.h"
#include "gateway/json_out.h"

static void release(struct call *c)
{
    struct session *s = c->session.held;
    if (s == NULL) return;
    s->in_use = false;
    if (!s->commit_asked) s->used_ns = env_mono_ns(c->gateway->env);
    c->session.held = NULL;
}

static void session_end(struct call *c, enum status status, uint64_t ts, struct slice text)
{
    session_over(c->gateway, c->session.held, status, ts, text);
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
        session_forget(c->gateway, c->session.held);
        c->session.held = NULL;
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
    if (s == STATUS_OK) sessions_sweep(g);
    if (s == STATUS_OK && g->session_count >= SESSIONS_MAX) {
        s = STATUS_BUSY;
        errbuf_set(&err, "this gateway holds %u sessions already: commit or abort some, or try again later",
                   SESSIONS_MAX);
    }
    if (s != STATUS_OK) {
        call_refuse(c, s, &err);
    } else {
        struct session *held = session_new(g, action.keyspace, c->user);
        held->idle_ns = action.idle_ms * NS_PER_MS;
        held->in_use = true;
        c->session.held = held;
        interact_begin(held->txn, call_timeout(c, action.timeout_ms), begun, c);
    }
    if (action.tree != NULL) json_decref(action.tree);
}

/* --- steps --- */

static void steps_go_on(struct call *c);

static void step_failed(struct call *c, const struct client_error *e)
{
    session_end(c, STATUS_RETRY, 0,
                slice_str("a step has failed and ended the session: nothing of it was written; begin again"));
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

static void tell_commit(struct call *c, uint64_t ts)
{
    struct answer a;
    answer_init(&a);
    json_open(&a.body, '{');
    json_key(&a.body, "committed");
    json_bool(&a.body, true);
    json_key(&a.body, "version");
    json_u64_text(&a.body, ts);
    json_close(&a.body, '}');
    buf_append_byte(&a.body, '\n');
    call_send(c, &a);
}

static void committed(void *ctx, const struct client_error *e, uint64_t ts)
{
    struct call *c = ctx;
    if (e->status != STATUS_OK && e->unknown_outcome) { /* it may be asked for again */
        call_fail(c, e);
        return;
    }
    session_end(c, e->status, ts, e->message);
    if (e->status == STATUS_OK)
        tell_commit(c, ts);
    else
        call_fail(c, e);
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
        struct session *held = c->session.held;
        if (!interact_each_write(held->txn, still_may_write, c)) return;
        if (!held->commit_asked) held->used_ns = env_mono_ns(c->gateway->env);
        held->commit_asked = true;
        interact_commit(held->txn, call_timeout(c, query.timeout_ms), committed, c);
    } else {
        struct answer a;
        session_end(c, STATUS_RETRY, 0, slice_str("the session was aborted: nothing of it was written; begin again"));
        answer_init(&a);
        buf_append_str(&a.body, "{\"aborted\":true}\n");
        call_send(c, &a);
    }
}

static void refuse(struct call *c, enum status s, bool unknown, const char *text)
{
    call_fail(c, &(struct client_error){.status = s, .unknown_outcome = unknown, .message = slice_str(text)});
}

/* Steps write nothing; but a commit may have been asked for before, and its answer lost. */
static void refuse_unknown_session(struct call *c)
{
    if (c->endpoint == ENDPOINT_TXN_ANSWER)
        refuse(c, STATUS_RETRY, false,
               "this gateway holds no such session: it ended long ago, or began elsewhere. Nothing of it was written "
               "unless "
               "its commit was asked for; begin again");
    else
        refuse(
            c, STATUS_NOT_FOUND, true,
            "this gateway holds no such session: it ended long ago, or began elsewhere. Nothing of it was written "
            "unless "
            "its commit was asked for: then GET /v1/txn/{session}?keyspace=...&key=..., the lowest key that it wrote, "
            "tells what came of it");
}

static void tell_over(struct call *c, const struct session *s)
{
    if (s->status != STATUS_OK)
        refuse(c, s->status, false, s->text);
    else if (c->endpoint == ENDPOINT_TXN_COMMIT)
        tell_commit(c, s->ts);
    else
        refuse(c, STATUS_INVALID, false, "the session has been committed");
}

/* The session that the path names becomes this call's; false: answered. */
static bool session_take(struct call *c, struct slice text)
{
    struct txn_id id;
    struct errbuf err;
    sessions_sweep(c->gateway);
    bool named = text.size == 2 * SESSION_ID_BYTES && parse_idempotency_key(text, &id, &err) == STATUS_OK;
    struct session *s = named ? session_find(c->gateway, id.bytes, c->user) : NULL;
    if (s == NULL) {
        refuse_unknown_session(c);
    } else if (s->txn == NULL) {
        tell_over(c, s);
    } else if (s->commit_asked && (s->in_use || c->endpoint != ENDPOINT_TXN_COMMIT)) {
        refuse(c, STATUS_TIMEOUT, true, "its commit is under way, or its outcome is unknown: ask for the commit again");
    } else if (s->in_use) {
        refuse(c, STATUS_BUSY, false, "another request of this session is under way");
    } else {
        s->in_use = true;
        c->session.held = s;
        return true;
    }
    return false;
}

void handle_session(struct call *c, const struct input *in, const struct route *route)
{
    if (c->endpoint == ENDPOINT_TXN_BEGIN) {
        session_begin(c, in);
    } else if (session_take(c, route->key)) {
        if (c->endpoint == ENDPOINT_TXN_ANSWER)
            session_steps(c, in);
        else
            session_commit_or_abort(c, in);
    }
}
