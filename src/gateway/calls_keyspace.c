/* The handlers about keyspaces: the metadata service decides. */
#include "gateway/gateway_int.h"

static void changed(void *ctx, const struct client_error *e, struct slice payload)
{
    struct call *c = ctx;
    struct meta_keyspace_reply reply;
    if (e->status != STATUS_OK) {
        call_fail(c, e);
        return;
    }
    if (unpack_meta_keyspace_reply(payload, &c->arena, &reply) != STATUS_OK) {
        call_refuse(c, STATUS_CORRUPT, &(struct errbuf){.text = "the metadata service's answer cannot be read"});
        return;
    }
    struct answer a;
    answer_init(&a);
    answer_keyspace_changed(&a, c->name, c->endpoint == ENDPOINT_KEYSPACES, &reply);
    call_send(c, &a);
}

static void shown(void *ctx, const struct client_error *e, const struct meta_map_reply *map)
{
    struct call *c = ctx;
    struct answer a;
    if (!call_answers(c, e, &a)) return;
    answer_keyspace(&a, c->name, map);
    call_send(c, &a);
}

/* Takes over params. */
static void ask(struct call *c, enum method m, struct buf *params, const struct keyspace_action *action)
{
    c->name = arena_dup_slice(&c->arena, action->name);
    if (params->overflow) {
        call_refuse(c, STATUS_TOO_LARGE, &(struct errbuf){.text = "the split keys are too large together"});
    } else {
        client_meta(c->gateway->client, m, buf_slice(params), call_timeout(c, action->timeout_ms), changed, c);
    }
    buf_free(params);
}

void handle_keyspace_create(struct call *c, const struct input *in)
{
    struct errbuf err;
    struct keyspace_action action;
    enum status s = parse_keyspace_create(in, &c->arena, &action, &err);
    if (s != STATUS_OK) {
        call_refuse(c, s, &err);
    } else if (call_may_all(c, AUTH_ADMIN, action.name)) {
        struct buf params;
        struct meta_keyspace_request request = {.name = action.name,
                                                .replication = action.replication,
                                                .splits = action.splits,
                                                .split_count = action.split_count,
                                                .buckets = action.buckets,
                                                .ttl_ms = action.ttl_ms};
        buf_init(&params, LIMIT_FRAME_BYTES / 2);
        pack_meta_keyspace_request(&params, &request);
        ask(c, METHOD_META_KEYSPACE_CREATE, &params, &action);
    }
    json_decref(action.tree);
}

void handle_keyspace(struct call *c, const struct input *in, const struct route *route)
{
    struct errbuf err;
    struct keyspace_action action;
    struct buf params;
    enum status s = parse_keyspace(in, route, &c->arena, &action, &err);
    buf_init(&params, 4096);
    if (s != STATUS_OK) {
        call_refuse(c, s, &err);
    } else if (in->method == HTTP_GET) {
        c->name = arena_dup_slice(&c->arena, action.name);
        client_map(c->gateway->client, action.name, call_timeout(c, action.timeout_ms), shown, c);
    } else if (!call_may_all(c, AUTH_ADMIN, action.name)) {
        ; /* refused */
    } else if (in->method == HTTP_PUT) {
        struct meta_keyspace_alter_request alter = {.name = action.name,
                                                    .replication = action.replication,
                                                    .has_ttl = action.has_ttl,
                                                    .ttl_ms = action.ttl_ms,
                                                    .restore = action.restore};
        pack_meta_keyspace_alter_request(&params, &alter);
        ask(c, METHOD_META_KEYSPACE_ALTER, &params, &action);
    } else {
        struct meta_keyspace_drop_request drop = {.name = action.name, .grace_ms = action.grace_ms};
        pack_meta_keyspace_drop_request(&params, &drop);
        ask(c, METHOD_META_KEYSPACE_DROP, &params, &action);
    }
    json_decref(action.tree);
}
