/* POST /v1/batch: many operations in one request, each for itself: what one is refused says nothing of the others.
 *
 *   begun: up to UNDER_WAY at a time --each is answered--> the next begins --all are answered--> one answer, in their order */
#include <stdio.h>

#include "base/assert.h"
#include "gateway/gateway_int.h"
#include "gateway/json_out.h"

#define UNDER_WAY 64u
#define KEPT_MAX (8u << 20) /* of results; then reads are refused */

struct batch_item {
    struct batch *batch;
    struct slice text; /* what it was answered, as JSON; in the call's arena */
};
struct batch { /* in the call's arena */
    struct call *call;
    struct slice keyspace; /* a copy: the request may leave */
    struct txn_id id;      /* of the batch; none: it may not be repeated */
    struct txn_op *ops;
    struct batch_item *items;
    size_t count, next, pending;
    size_t bytes; /* of what is kept */
};

static void go_on(struct batch *b);

static void keep(struct batch_item *item, const struct buf *text)
{
    struct slice s = buf_slice(text);
    while (s.size > 0 && s.data[s.size - 1] == '\n') s.size--;
    item->batch->bytes += s.size;
    item->text = arena_dup_slice(&item->batch->call->arena, s);
    item->batch->pending--;
    go_on(item->batch);
}

static void keep_error(struct batch_item *item, enum status s, bool unknown, struct slice message)
{
    struct answer a;
    answer_init(&a);
    if (unknown) item->batch->call->gateway->metrics.unknown_outcomes++;
    answer_error(&a, s, unknown, message);
    keep(item, &a.body);
    answer_free(&a);
}

static void read_done(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct batch_item *item = ctx;
    struct buf text;
    if (e->status != STATUS_OK) {
        keep_error(item, e->status, e->unknown_outcome, e->message);
        return;
    }
    if (item->batch->bytes + reply->value.size * 2 > KEPT_MAX) {
        keep_error(item, STATUS_TOO_LARGE, false, slice_str("the values do not fit one answer: ask for fewer"));
        return;
    }
    struct txn_op_result r = {.kind = TXN_GET, .found = reply->found, .version = reply->version, .value = reply->value};
    buf_init(&text, ANSWER_BODY_MAX);
    json_txn_op_result(&text, &r, NULL);
    keep(item, &text);
    buf_free(&text);
}

static void write_done(void *ctx, const struct client_error *e, const struct txn_result *result)
{
    struct batch_item *item = ctx;
    struct buf text;
    if (e->status != STATUS_OK || result->status != STATUS_OK) {
        enum status s = e->status != STATUS_OK ? e->status : result->status;
        keep_error(item, s, e->unknown_outcome, e->message);
        return;
    }
    buf_init(&text, ANSWER_BODY_MAX);
    json_txn_op_result(&text, &result->ops[0], result);
    keep(item, &text);
    buf_free(&text);
}

/* Of the batch's id and the place: the batch repeated does each once, in whatever order. */
static struct txn_id id_of(const struct batch *b, size_t place)
{
    char text[2 * TXN_ID_BYTES + 24];
    struct errbuf unused;
    struct txn_id id;
    size_t n = (size_t)snprintf(text, sizeof(text), "batch %zu ", place);
    for (size_t i = 0; i < TXN_ID_BYTES; i++) n += (size_t)snprintf(text + n, sizeof(text) - n, "%02x", b->id.bytes[i]);
    enum status s = parse_idempotency_key(slice_str(text), &id, &unused); /* no digits of an id: it is hashed */
    ASSERT(s == STATUS_OK);
    return id;
}

static void begin(struct batch *b, size_t place)
{
    struct call *c = b->call;
    struct txn_op *op = &b->ops[place];
    struct txn t = {.ops = op, .op_count = 1};
    b->pending++;
    if (op->kind == TXN_GET) {
        client_get(c->gateway->client, b->keyspace, op->key, c->timeout_ms, read_done, &b->items[place]);
        return;
    }
    if (!txn_id_is_none(&b->id)) t.id = id_of(b, place);
    client_txn(c->gateway->client, b->keyspace, &t, c->timeout_ms, write_done, &b->items[place]);
}

static void finish(struct batch *b)
{
    struct answer a;
    answer_init(&a);
    buf_append_str(&a.body, "{\"results\":[");
    for (size_t i = 0; i < b->next; i++) {
        if (i > 0) buf_append_byte(&a.body, ',');
        buf_append_slice(&a.body, b->items[i].text);
    }
    buf_append_str(&a.body, "]}\n");
    if (a.body.overflow) /* it was done */
        answer_error(&a, STATUS_TOO_LARGE, true, slice_str("the results do not fit one answer: ask for each"));
    call_send(b->call, &a);
}

/* Whoever has left is answered no more; what has begun stands. */
static void go_on(struct batch *b)
{
    while (b->next < b->count && b->pending < UNDER_WAY && b->call->http != NULL) begin(b, b->next++);
    if (b->pending == 0) finish(b);
}

static bool may(struct call *c, const struct batch_action *action)
{
    for (size_t i = 0; i < action->count; i++) {
        enum auth_verb verb = action->ops[i].kind == TXN_GET ? AUTH_READ : AUTH_WRITE;
        if (!call_may_key(c, verb, action->keyspace, action->ops[i].key)) return false;
    }
    return true;
}

static void copy_ops(struct batch *b, const struct batch_action *action)
{
    struct arena *a = &b->call->arena;
    b->ops = action->ops;
    for (size_t i = 0; i < b->count; i++) { /* the tree goes with the request */
        b->ops[i].key = arena_dup_slice(a, b->ops[i].key);
        b->ops[i].value = arena_dup_slice(a, b->ops[i].value);
        b->items[i].batch = b;
    }
}

void handle_batch(struct call *c, const struct input *in)
{
    struct errbuf err;
    struct batch_action action;
    enum status s = parse_batch(in, &c->arena, &action, &err);
    if (s != STATUS_OK) {
        call_refuse(c, s, &err);
    } else if (may(c, &action)) {
        struct batch *b = arena_zalloc(&c->arena, sizeof(*b));
        *b = (struct batch){.call = c, .count = action.count};
        b->keyspace = arena_dup_slice(&c->arena, action.keyspace);
        b->id = action.id;
        b->items = arena_zalloc(&c->arena, b->count * sizeof(*b->items));
        c->timeout_ms = call_timeout(c, action.timeout_ms);
        copy_ops(b, &action);
        go_on(b);
    }
    json_decref(action.tree);
}
