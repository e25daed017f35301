/* /v1/operators: what changes of ranges are under way, why, and how they ended; starting and cancelling them. The metadata leader decides. */
#include "gateway/codec.h"
#include "gateway/gateway_int.h"
#include "gateway/json_out.h"
#include "gateway/uri.h"
#include "meta/operator.h"

static void key_u64(struct buf *b, const char *name, uint64_t v)
{
    json_key(b, name);
    json_u64(b, v);
}

static void key_text(struct buf *b, const char *name, struct slice s)
{
    json_key(b, name);
    json_text(b, utf8_valid(s) ? s : SLICE_EMPTY);
}

static void json_operator(struct buf *b, const struct operator_info *o)
{
    json_open(b, '{');
    key_u64(b, "id", o->id);
    key_u64(b, "range", o->range_id);
    key_text(b, "kind", slice_str(operator_kind_name(o->kind)));
    key_text(b, "state", slice_str(operator_state_name(o->state)));
    if (o->from != 0) key_u64(b, "from", o->from);
    if (o->to != 0) key_u64(b, "to", o->to);
    key_u64(b, "percent", o->percent);
    key_u64(b, "began_ms", o->began_ms);
    key_u64(b, "ended_ms", o->ended_ms);
    key_text(b, "why", o->why);
    key_text(b, "step", o->step);
    json_close(b, '}');
}

static void json_scheduler(struct buf *b, const struct meta_ops_reply *reply)
{
    json_open(b, '{');
    key_u64(b, "rounds", reply->rounds);
    key_u64(b, "round_us", reply->round_ns / 1000);
    key_u64(b, "failures_borne", reply->failures_borne);
    key_u64(b, "ranges_short", reply->ranges_short);
    key_u64(b, "ranges_stopped", reply->ranges_stopped);
    json_key(b, "notes");
    json_open(b, '[');
    for (size_t i = 0; i < reply->note_count; i++) {
        const struct scheduler_note *n = &reply->notes[i];
        json_open(b, '{');
        key_text(b, "name", n->name);
        key_u64(b, "count", n->count);
        key_u64(b, "range", n->range_id);
        key_text(b, "text", n->text);
        json_close(b, '}');
    }
    json_close(b, ']');
    json_close(b, '}');
}

static bool answered(struct call *c, const struct client_error *e, enum status unpacked)
{
    if (e->status != STATUS_OK) {
        call_fail(c, e);
        return false;
    }
    if (unpacked == STATUS_OK) return true;
    call_refuse(c, STATUS_CORRUPT, &(struct errbuf){.text = "the metadata service's answer cannot be read"});
    return false;
}

static void listed(void *ctx, const struct client_error *e, struct slice payload)
{
    struct call *c = ctx;
    struct meta_ops_reply reply;
    struct answer a;
    enum status s = e->status == STATUS_OK ? unpack_meta_ops_reply(payload, &c->arena, &reply) : STATUS_OK;
    if (!answered(c, e, s)) return;
    answer_init(&a);
    json_open(&a.body, '{');
    json_key(&a.body, "operators");
    json_open(&a.body, '[');
    for (size_t i = 0; i < reply.op_count; i++) json_operator(&a.body, &reply.ops[i]);
    json_close(&a.body, ']');
    json_key(&a.body, "scheduler");
    json_scheduler(&a.body, &reply);
    json_close(&a.body, '}');
    buf_append_byte(&a.body, '\n');
    call_send(c, &a);
}

static void accepted(void *ctx, const struct client_error *e, struct slice payload)
{
    struct call *c = ctx;
    struct meta_op_reply reply;
    struct answer a;
    enum status s = e->status == STATUS_OK ? unpack_meta_op_reply(payload, &c->arena, &reply) : STATUS_OK;
    if (!answered(c, e, s)) return;
    answer_init(&a);
    a.code = c->method == HTTP_POST ? 202 : 200;
    json_open(&a.body, '{');
    key_u64(&a.body, c->method == HTTP_POST ? "id" : "cancelled", reply.id);
    json_close(&a.body, '}');
    buf_append_byte(&a.body, '\n');
    call_send(c, &a);
}

static enum status want_kind(const struct json_at *object, struct meta_op_request *out, struct errbuf *err)
{
    struct json_at at = json_field(object, "kind");
    struct slice text;
    enum status s = json_want_text(&at, &text, err);
    if (s != STATUS_OK) return s;
    out->verb = slice_eq(text, slice_str("scatter")) ? OPERATOR_VERB_SCATTER : OPERATOR_VERB_START;
    if (out->verb == OPERATOR_VERB_SCATTER) return STATUS_OK;
    for (int kind = OPERATOR_ADD; kind <= OPERATOR_MERGE; kind++) {
        out->kind = (enum operator_kind)kind;
        if (slice_eq(text, slice_str(operator_kind_name(out->kind)))) return STATUS_OK;
    }
    return json_refuse(&at, STATUS_INVALID, err, "expected add, move, remove, transfer, split, merge or scatter");
}

static enum status want_number(const struct json_at *object, const char *name, uint64_t *out, struct errbuf *err)
{
    struct json_at at = json_field(object, name);
    *out = 0;
    return at.value == NULL ? STATUS_OK : json_want_u64(&at, UINT64_MAX >> 1, out, err);
}

static enum status want_request(const struct json_at *object, struct meta_op_request *out, struct errbuf *err)
{
    static const char *const names[] = {"kind", "range", "from", "to", "keyspace"};
    enum status s = json_want_object(object, names, sizeof(names) / sizeof(names[0]), err);
    if (s == STATUS_OK) s = want_kind(object, out, err);
    if (s == STATUS_OK && out->verb == OPERATOR_VERB_SCATTER) {
        struct json_at keyspace = json_field(object, "keyspace");
        s = json_want_text(&keyspace, &out->keyspace, err);
        return s == STATUS_OK ? check_keyspace_name(out->keyspace, err) : s;
    }
    if (s == STATUS_OK) s = want_number(object, "range", &out->range_id, err);
    if (s == STATUS_OK) s = want_number(object, "from", &out->from, err);
    if (s == STATUS_OK) s = want_number(object, "to", &out->to, err);
    if (s != STATUS_OK || out->range_id != 0) return s;
    struct json_at range = json_field(object, "range");
    return json_refuse(&range, STATUS_INVALID, err, "expected the id of a range");
}

static void ask(struct call *c, const struct meta_op_request *request)
{
    struct buf params;
    buf_init(&params, 4096);
    pack_meta_op_request(&params, request);
    client_meta(c->gateway->client, METHOD_META_OP, buf_slice(&params), c->timeout_ms, accepted, c);
    buf_free(&params);
}

void handle_operators(struct call *c, const struct input *in, const struct route *route)
{
    struct errbuf err;
    struct list_action action;
    struct meta_op_request request = {.verb = OPERATOR_VERB_CANCEL};
    json_t *tree = NULL;
    enum status s = parse_list(in, false, &c->arena, &action, &err);
    if (s == STATUS_OK) c->timeout_ms = call_timeout(c, action.timeout_ms);
    if (s == STATUS_OK && c->method == HTTP_DELETE && !text_to_u64(route->key, UINT64_MAX >> 1, &request.id)) {
        errbuf_set(&err, "an operator's id is a number");
        s = STATUS_INVALID;
    } else if (s == STATUS_OK && c->method == HTTP_POST) {
        s = json_load_body(in->body, &tree, &err);
        struct json_at root = {.value = tree, .path = {.parent = NULL, .name = ""}};
        if (s == STATUS_OK) s = want_request(&root, &request, &err);
    }
    if (s != STATUS_OK)
        call_refuse(c, s, &err);
    else if (c->method == HTTP_GET)
        client_meta(c->gateway->client, METHOD_META_OPS, SLICE_EMPTY, c->timeout_ms, listed, c);
    else if (call_may_all(c, AUTH_ADMIN, SLICE_EMPTY))
        ask(c, &request);
    json_decref(tree);
}
