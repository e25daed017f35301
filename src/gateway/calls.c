/* The handlers: each parses, refuses or asks the client, and turns the callback into an answer. */
#include "gateway/gateway_int.h"

#include "base/assert.h"
#include "gateway/assets.h"
#include "gateway/health.h"

void call_send(struct call *c, struct answer *a)
{
    call_answer(c, a);
    answer_free(a);
}

/* A commit in steps that was asked for before may have happened, whatever is wrong with asking again; and until its session was looked
 * at nobody knows whether it was. */
static bool may_have_happened(const struct call *c)
{
    const struct session *s = c->session.held;
    return c->endpoint == ENDPOINT_TXN_COMMIT && (s == NULL || s->commit_asked);
}

void call_refuse(struct call *c, enum status s, const struct errbuf *err)
{
    call_fail(c, &(struct client_error){
                     .status = s, .unknown_outcome = may_have_happened(c), .message = slice_str(err->text)});
}

void call_fail(struct call *c, const struct client_error *e)
{
    struct answer a;
    answer_init(&a);
    if (e->unknown_outcome) c->gateway->metrics.unknown_outcomes++;
    answer_client_error(&a, e);
    call_send(c, &a);
}

bool call_answers(struct call *c, const struct client_error *e, struct answer *a)
{
    if (e->status == STATUS_OK)
        answer_init(a);
    else
        call_fail(c, e);
    return e->status == STATUS_OK;
}

uint32_t call_timeout(const struct call *c, uint32_t asked_ms)
{
    return asked_ms != 0 ? asked_ms : c->gateway->options.timeout_default_ms;
}

static void input_read(const struct call *c, struct input *in)
{
    const struct http_ops *ops = c->gateway->env->http->ops;
    *in = (struct input){
        .method = c->method,
        .path = ops->path(c->http),
        .query = ops->query(c->http),
        .body = ops->body(c->http),
        .if_match = ops->header(c->http, "If-Match"),
        .if_none_match = ops->header(c->http, "If-None-Match"),
        .idempotency_key = ops->header(c->http, "Idempotency-Key"),
        .accept = ops->header(c->http, "Accept"),
        .last_event_id = ops->header(c->http, "Last-Event-ID"),
    };
}

/* --- one key --- */

static void kv_read_done(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct call *c = ctx;
    struct answer a;
    if (!call_answers(c, e, &a)) return;
    answer_get(&a, &c->kv, reply);
    call_send(c, &a);
}

static void kv_write_done(void *ctx, const struct client_error *e, const struct txn_result *result)
{
    struct call *c = ctx;
    struct answer a;
    if (!call_answers(c, e, &a)) return;
    answer_write(&a, &c->kv, result);
    call_send(c, &a);
}

static void handle_kv(struct call *c, const struct input *in, const struct route *route)
{
    struct errbuf err;
    struct client *client = c->gateway->client;
    enum status s = parse_kv(in, route, &c->arena, &c->kv, &err);
    if (s != STATUS_OK) {
        call_refuse(c, s, &err);
        return;
    }
    uint32_t timeout_ms = call_timeout(c, c->kv.timeout_ms);
    bool reads = in->method == HTTP_GET || in->method == HTTP_HEAD;
    if (!call_may_key(c, reads ? AUTH_READ : AUTH_WRITE, c->kv.keyspace, c->kv.key)) return;
    if (reads) {
        client_get_how(client, c->kv.keyspace, c->kv.key, &c->kv.how, timeout_ms, kv_read_done, c);
        return;
    }
    struct txn t;
    kv_action_txn(&c->kv, &c->arena, &t);
    client_txn(client, c->kv.keyspace, &t, timeout_ms, kv_write_done, c);
}

/* --- transactions --- */

static void txn_done(void *ctx, const struct client_error *e, const struct txn_result *result)
{
    struct call *c = ctx;
    struct answer a;
    if (!call_answers(c, e, &a)) return;
    answer_txn(&a, result);
    call_send(c, &a);
}

static void lookup_done(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct call *c = ctx;
    struct txn_result result;
    struct answer a;
    if (!call_answers(c, e, &a)) return;
    if (!reply->found) {
        answer_error(&a, STATUS_NOT_FOUND, false, slice_str("no answer is kept for this id beside this key"));
    } else if (txn_result_decode(reply->value, &c->arena, &result) != STATUS_OK) {
        answer_error(&a, STATUS_CORRUPT, false, slice_str("the answer that is kept cannot be read"));
    } else {
        result.replayed = true;
        answer_txn(&a, &result);
        if (!call_still_may(c, &(struct auth_need){.verb = AUTH_READ, .keyspace = c->name, .start = SLICE_EMPTY}))
            answer_txn_bare(&a, &result); /* what it has read may be what this user may not */
    }
    call_send(c, &a);
}

static void handle_txn_lookup(struct call *c, const struct input *in, const struct route *route)
{
    struct errbuf err;
    struct txn_lookup l;
    enum status s = parse_txn_lookup(in, route, &c->arena, &l, &err);
    if (s == STATUS_OK && !call_may_key(c, AUTH_READ, l.keyspace, l.key)) return;
    c->name = arena_dup_slice(&c->arena, l.keyspace);
    if (s == STATUS_OK)
        client_get_answer(c->gateway->client, l.keyspace, l.key, &l.id, call_timeout(c, l.timeout_ms), lookup_done, c);
    else
        call_refuse(c, s, &err);
}

static void handle_txn(struct call *c, const struct input *in)
{
    struct errbuf err;
    struct txn_action action;
    enum status s = parse_txn(in, &c->arena, &action, &err);
    if (s != STATUS_OK)
        call_refuse(c, s, &err);
    else if (call_may_txn(c, action.keyspace, &action.txn))
        client_txn(c->gateway->client, action.keyspace, &action.txn, call_timeout(c, action.timeout_ms), txn_done, c);
    json_decref(action.tree); /* the client has its own copy */
}

/* --- the cluster --- */

static void map_done(void *ctx, const struct client_error *e, const struct meta_map_reply *map)
{
    struct call *c = ctx;
    struct answer a;
    if (!call_answers(c, e, &a)) return;
    if (c->endpoint == ENDPOINT_KEYSPACES)
        answer_keyspaces(&a, map);
    else if (c->endpoint == ENDPOINT_RANGES)
        answer_ranges(&a, map);
    else
        answer_nodes(&a, map);
    call_send(c, &a);
}

static void handle_map(struct call *c, const struct input *in)
{
    struct errbuf err;
    struct list_action action;
    enum status s = parse_list(in, c->endpoint == ENDPOINT_RANGES, &c->arena, &action, &err);
    if (s != STATUS_OK)
        call_refuse(c, s, &err);
    else
        client_map(c->gateway->client, action.keyspace, call_timeout(c, action.timeout_ms), map_done, c);
}

/* Status and readiness: the metadata status first, then the map. */
static void status_map_done(void *ctx, const struct client_error *e, const struct meta_map_reply *map)
{
    struct call *c = ctx;
    struct meta_status_reply status;
    if (e->status != STATUS_OK) {
        call_fail(c, e);
        return;
    }
    if (unpack_meta_status_reply(c->status_payload, &c->arena, &status) != STATUS_OK) {
        call_refuse(c, STATUS_CORRUPT, &(struct errbuf){.text = "the metadata service's answer cannot be read"});
        return;
    }
    struct answer a;
    answer_init(&a);
    if (c->endpoint == ENDPOINT_STATUS)
        answer_status(&a, &status, map);
    else
        answer_ready(&a, &status, map);
    if (c->endpoint == ENDPOINT_READYZ && a.code == 200)
        c->gateway->ready_until_ns = env_mono_ns(c->gateway->env) + 500 * NS_PER_MS;
    call_send(c, &a);
}

static void status_done(void *ctx, const struct client_error *e, struct slice payload)
{
    struct call *c = ctx;
    if (e->status != STATUS_OK) {
        call_fail(c, e);
        return;
    }
    c->status_payload = arena_dup_slice(&c->arena, payload);
    client_map(c->gateway->client, SLICE_EMPTY, c->timeout_ms, status_map_done, c);
}

static void handle_status(struct call *c, const struct input *in)
{
    struct errbuf err;
    struct list_action action;
    enum status s = parse_list(in, false, &c->arena, &action, &err);
    if (s != STATUS_OK) {
        call_refuse(c, s, &err);
        return;
    }
    if (c->endpoint == ENDPOINT_READYZ && env_mono_ns(c->gateway->env) < c->gateway->ready_until_ns) {
        struct answer a;
        answer_init(&a);
        buf_append_str(&a.body, "{\"ready\":true}\n");
        call_send(c, &a);
        return;
    }
    bool probe = c->endpoint == ENDPOINT_READYZ && action.timeout_ms == 0;
    c->timeout_ms = probe ? 2000 : call_timeout(c, action.timeout_ms);
    client_meta(c->gateway->client, METHOD_META_STATUS, SLICE_EMPTY, c->timeout_ms, status_done, c);
}

/* --- what this process knows itself --- */

static void handle_local(struct call *c, const struct input *in)
{
    struct answer a;
    answer_init(&a);
    if (c->endpoint == ENDPOINT_HEALTHZ) {
        buf_append_str(&a.body, "{\"alive\":true}\n");
    } else if (c->endpoint == ENDPOINT_METRICS) {
        struct client_stats stats;
        client_stats(c->gateway->client, &stats);
        a.content_type = "text/plain; version=0.0.4";
        struct ledger_stats ledger;
        if (c->gateway->ledger != NULL) ledger_stats(c->gateway->ledger, &ledger);
        metrics_write(&c->gateway->metrics, &stats, c->gateway->ledger != NULL ? &ledger : NULL, &a.body);
    } else if (c->endpoint == ENDPOINT_OPENAPI) {
        a.borrowed = asset_find("openapi.json");
    } else {
        answer_root(&a, &c->gateway->page, in);
    }
    call_send(c, &a);
}

static void handle_wrong(struct call *c)
{
    struct answer a;
    answer_init(&a);
    if (c->endpoint == ENDPOINT_UNKNOWN) {
        answer_error(&a, STATUS_NOT_FOUND, false, slice_str("there is no such endpoint; GET / lists them"));
    } else {
        answer_method_not_allowed(&a, c->endpoint);
    }
    call_send(c, &a);
}

/* True when the request was refused because of the server's own state. Health and metrics always get through. */
static bool refused_by_load(struct call *c)
{
    const struct gateway *g = c->gateway;
    if (c->endpoint == ENDPOINT_HEALTHZ || c->endpoint == ENDPOINT_METRICS) return false;
    struct errbuf err;
    if (g->stopping) {
        errbuf_set(&err, "this gateway is stopping; use another one");
        call_refuse(c, STATUS_CLOSED, &err);
        return true;
    }
    if (g->metrics.in_flight > g->options.in_flight_max) {
        errbuf_set(&err, "%u requests are under way in this gateway; try again after a pause",
                   g->options.in_flight_max);
        call_refuse(c, STATUS_BUSY, &err);
        return true;
    }
    return false;
}

void call_dispatch(struct call *c)
{
    struct input in;
    struct route route;
    input_read(c, &in);
    route_find(in.path, &route);
    c->endpoint = route.endpoint;
    if (refused_by_load(c)) return;
    if (c->method == HTTP_OPTIONS && c->endpoint != ENDPOINT_UNKNOWN) {
        handle_options(c);
        return;
    }
    if (!endpoint_allows(c->endpoint, c->method)) {
        handle_wrong(c);
        return;
    }
    c->exchange.asked_ns = env_mono_ns(c->gateway->env);
    if (c->method == HTTP_HEAD && c->endpoint != ENDPOINT_KV)
        c->method = in.method = HTTP_GET; /* the server sends no body */
    call_admit(c);
}

void call_run(struct call *c)
{
    struct input in;
    struct route route;
    input_read(c, &in);
    route_find(in.path, &route);
    switch (c->endpoint) {
    case ENDPOINT_KV: handle_kv(c, &in, &route); break;
    case ENDPOINT_SCAN: handle_scan(c, &in, &route); break;
    case ENDPOINT_TXN: handle_txn(c, &in); break;
    case ENDPOINT_BATCH: handle_batch(c, &in); break;
    case ENDPOINT_WATCH: handle_watch(c, &in, &route); break;
    case ENDPOINT_TXN_ANSWER:
        if (c->method == HTTP_POST)
            handle_session(c, &in, &route);
        else
            handle_txn_lookup(c, &in, &route);
        break;
    case ENDPOINT_TXN_BEGIN:
    case ENDPOINT_TXN_COMMIT:
    case ENDPOINT_TXN_ABORT: handle_session(c, &in, &route); break;
    case ENDPOINT_LEDGER_ACCOUNTS:
    case ENDPOINT_LEDGER_ACCOUNT:
    case ENDPOINT_LEDGER_BALANCES:
    case ENDPOINT_LEDGER_POSTINGS:
    case ENDPOINT_LEDGER_TRANSFERS:
    case ENDPOINT_LEDGER_TRANSFER:
    case ENDPOINT_LEDGER_CURRENCIES:
    case ENDPOINT_LEDGER_CURRENCY:
    case ENDPOINT_LEDGER_AUDIT: call_ledger(c, &in, &route); break;
    case ENDPOINT_AUTH_SELF:
    case ENDPOINT_AUTH_LOGIN:
    case ENDPOINT_AUTH_LOGOUT:
    case ENDPOINT_AUTH_ENABLE:
    case ENDPOINT_AUTH_DISABLE:
    case ENDPOINT_AUTH_USERS:
    case ENDPOINT_AUTH_USER:
    case ENDPOINT_AUTH_ROLES:
    case ENDPOINT_AUTH_ROLE: handle_auth(c, &in, &route); break;
    case ENDPOINT_KEYSPACES:
        if (c->method == HTTP_POST)
            handle_keyspace_create(c, &in);
        else
            handle_map(c, &in);
        break;
    case ENDPOINT_KEYSPACE: handle_keyspace(c, &in, &route); break;
    case ENDPOINT_OPERATORS:
    case ENDPOINT_OPERATOR: handle_operators(c, &in, &route); break;
    case ENDPOINT_SNAPSHOTS:
    case ENDPOINT_SNAPSHOT: handle_snapshots(c, &in, &route); break;
    case ENDPOINT_RANGES:
    case ENDPOINT_NODES: handle_map(c, &in); break;
    case ENDPOINT_STATUS:
    case ENDPOINT_READYZ: handle_status(c, &in); break;
    case ENDPOINT_METRICS_CLUSTER: handle_metrics_cluster(c, &in); break;
    case ENDPOINT_HEALTHZ:
    case ENDPOINT_METRICS:
    case ENDPOINT_OPENAPI:
    case ENDPOINT_ROOT: handle_local(c, &in); break;
    case ENDPOINT_UNKNOWN:
    case ENDPOINT_COUNT: BUG("allowed on no method");
    }
}
