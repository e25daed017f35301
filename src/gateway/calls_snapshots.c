/* /v1/snapshots: names for timestamps from which on every version is kept. The metadata leader decides. */
#include "gateway/gateway_int.h"

#define SNAPSHOT_LIFE_DEFAULT_MS 3600000u

static enum snapshot_verb verb_of(enum http_method method)
{
    return method == HTTP_POST     ? SNAPSHOT_VERB_REGISTER
           : method == HTTP_PUT    ? SNAPSHOT_VERB_EXTEND
           : method == HTTP_DELETE ? SNAPSHOT_VERB_DROP
                                   : SNAPSHOT_VERB_LIST;
}

static void done(void *ctx, const struct client_error *e, struct slice payload)
{
    struct call *c = ctx;
    struct meta_snapshot_reply reply;
    struct answer a;
    if (!call_answers(c, e, &a)) return;
    if (unpack_meta_snapshot_reply(payload, &c->arena, &reply) != STATUS_OK ||
        (c->method != HTTP_GET && reply.snapshot_count != 1)) {
        answer_free(&a);
        call_refuse(c, STATUS_CORRUPT, &(struct errbuf){.text = "the metadata service's answer cannot be read"});
        return;
    }
    if (c->method == HTTP_GET)
        json_snapshots(&a.body, &reply);
    else
        json_snapshot(&a.body, &reply.snapshots[0], verb_of(c->method), reply.changed);
    buf_append_byte(&a.body, '\n');
    if (c->method == HTTP_POST && reply.changed) a.code = 201;
    call_send(c, &a);
}

static enum status want_body(const struct input *in, json_t **tree, struct meta_snapshot_request *q, struct errbuf *err)
{
    static const char *const names[] = {"lifetime", "name", "at"};
    bool creates = in->method == HTTP_POST;
    if (creates || in->body.size > 0) {
        enum status s = json_load_body(in->body, tree, err);
        if (s != STATUS_OK) return s;
    }
    struct json_at root = {.value = *tree, .path = {.name = ""}};
    if (*tree == NULL) return STATUS_OK;
    enum status s = json_want_object(&root, names, creates ? 3 : 1, err);
    if (s != STATUS_OK) return s;
    struct json_at name = json_field(&root, "name"), at = json_field(&root, "at"), life = json_field(&root, "lifetime");
    if (creates) s = json_want_text(&name, &q->name, err);
    if (s == STATUS_OK && creates && at.value != NULL) s = json_want_u64(&at, UINT64_MAX >> 1, &q->ts, err);
    if (s == STATUS_OK && creates && at.value != NULL && q->ts == 0)
        s = json_refuse(&at, STATUS_INVALID, err, "expected a timestamp; left out: now");
    if (s == STATUS_OK && life.value != NULL) s = json_want_ttl(&life, &q->lifetime_ms, err);
    if (s == STATUS_OK && life.value != NULL && (q->lifetime_ms == 0 || q->lifetime_ms > LIMIT_SNAPSHOT_LIFE_MS))
        s = json_refuse(&life, STATUS_INVALID, err, "expected a duration of at most 7d, as 30s, 10m or 24h");
    return s;
}

static enum status want_request(struct call *c, const struct input *in, const struct route *route, json_t **tree,
                                struct meta_snapshot_request *q, struct errbuf *err)
{
    struct list_action action;
    enum status s = parse_list(in, false, &c->arena, &action, err);
    if (s != STATUS_OK) return s;
    c->timeout_ms = call_timeout(c, action.timeout_ms);
    q->verb = verb_of(c->method);
    q->lifetime_ms = SNAPSHOT_LIFE_DEFAULT_MS;
    if (q->verb == SNAPSHOT_VERB_EXTEND || q->verb == SNAPSHOT_VERB_DROP)
        s = take_keyspace(route->key, &c->arena, &q->name, err); /* the same letters */
    if (s == STATUS_OK && (q->verb == SNAPSHOT_VERB_EXTEND || q->verb == SNAPSHOT_VERB_REGISTER))
        s = want_body(in, tree, q, err);
    if (s == STATUS_OK && q->verb == SNAPSHOT_VERB_REGISTER) s = check_keyspace_name(q->name, err);
    return s;
}

void handle_snapshots(struct call *c, const struct input *in, const struct route *route)
{
    struct errbuf err;
    struct meta_snapshot_request q = {.name = SLICE_EMPTY};
    json_t *tree = NULL;
    enum status s = want_request(c, in, route, &tree, &q, &err);
    c->name = arena_dup_slice(&c->arena, q.name);
    if (s != STATUS_OK) {
        call_refuse(c, s, &err);
    } else if (q.verb == SNAPSHOT_VERB_LIST || call_may_all(c, AUTH_ADMIN, SLICE_EMPTY)) {
        struct buf params;
        buf_init(&params, 4096);
        pack_meta_snapshot_request(&params, &q);
        client_meta(c->gateway->client, METHOD_META_SNAPSHOT, buf_slice(&params), c->timeout_ms, done, c);
        buf_free(&params);
    }
    json_decref(tree);
}
