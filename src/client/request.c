/* A request's states, what wakes each wait, and what times it out:
 *
 *        NEW ------- META, MAP -----------> WAIT_META -- answer -----------------------------> DONE
 *         |  \------ NODE ------\            woken by: the end of its meta call (its deadline ends it too)
 *         v                      \
 *      ROUTING <------------+     \
 *       |  |  |             |      \
 *       |  |  |  unknown    |       \
 *       |  |  +---------> WAIT_MAP   \       woken by: the end of a refresh of the shard map; timed out by the deadline
 *       |  |                          \
 *       |  | a replica was chosen      v
 *       |  +----------------------> WAIT_REPLY -- served, refused for good, or unknown ------> DONE
 *       |                             | |    woken by: the end of its rpc call: a try has a deadline of its own
 *       |   another replica, or news  | |
 *       +<----------------------------+ |
 *       |                               | busy, or all replicas were tried
 *       +<----------- WAIT_PAUSE <------+    woken by: its timer (the pause's end, or the deadline)
 *
 *      ROUTING --scan of a keyspace by hash--> WAIT_PIECES --> DONE: buckets.c
 *      ROUTING --keys in several ranges--> WAIT_SPREAD --> DONE, or WAIT_PAUSE: spread.c
 *      ROUTING after the deadline, and what can never be served (no keyspace, too large...) ---> DONE
 *
 * DONE: the callback is called once, from the client's pass, and the request is freed. */
#include "client/keyspace.h"
#include "client/spread.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "txn/command.h"

#include <stdarg.h>
#include <stdio.h>

/* Of one that is counted, or that lasts. */
static bool request_is_part(enum request_kind kind)
{
    return kind == REQUEST_STEP || kind == REQUEST_PIECE || kind == REQUEST_WATCH;
}

static void request_check(const struct request *r)
{
    if (r->state == REQUEST_WAIT_MAP) ASSERT(!list_empty(&r->wait_link) || r->timer.pos == 0);
    if (r->state == REQUEST_WAIT_REPLY) ASSERT(r->peer != NULL);
    if (r->kind == REQUEST_TXN && r->txn == NULL && r->state != REQUEST_NEW && r->status == STATUS_OK)
        ASSERT(r->keyspace_known);
    if (r->may_have_happened) ASSERT(r->reached);
}

struct request *request_new(struct client *c, enum request_kind kind, struct slice keyspace, uint32_t timeout_ms,
                            void *ctx)
{
    struct request *r = spares_take(&c->request_spares);
    r->client = c;
    r->kind = kind;
    r->state = REQUEST_NEW;
    r->ctx = ctx;
    r->timeout_ms = timeout_ms;
    r->deadline_ns = client_now_ns(c) + (uint64_t)timeout_ms * NS_PER_MS;
    r->map_needed = c->refresh.started + 1;
    arena_init_pages(&r->arena, &c->chunks);
    buf_init(&r->body, LIMIT_FRAME_BYTES);
    list_init(&r->wait_link);
    list_push_back(&c->requests, &r->link);
    bool is_part = request_is_part(kind);
    if (!is_part) {
        c->stats.requests++;
        c->stats.in_flight++;
    }
    if (!is_part && c->stats.in_flight > c->in_flight_max) {
        request_refuse(r, STATUS_BUSY, "too many requests are under way in this process");
    } else if (keyspace.size > LIMIT_KEYSPACE_NAME) {
        request_refuse(r, STATUS_INVALID, "a keyspace's name has at most 64 bytes");
    } else {
        r->keyspace_name = arena_dup_slice(&r->arena, keyspace);
        if (kind != REQUEST_STEP) keyspace_look_up(r); /* its spread knows it */
    }
    request_ready(r);
    return r;
}

void request_free(struct request *r)
{
    spread_owner_left(r);
    buckets_free(r);
    list_remove(&r->link);
    list_remove(&r->wait_link);
    heap_remove(&r->client->timers, &r->timer);
    mem_free(r->scan.rows);
    buf_free(&r->body);
    arena_free(&r->arena);
    spares_give(&r->client->request_spares, r);
}

void request_cancel(struct request *r)
{
    if (r->state == REQUEST_WAIT_REPLY && !r->answer.here) {
        rpc_call_cancel(r->peer->rpc, r->call);
        ASSERT(r->peer->calls > 0);
        r->peer->calls--;
    }
    request_free(r);
}

void request_refuse(struct request *r, enum status status, const char *text)
{
    ASSERT(r->state == REQUEST_NEW);
    if (r->status != STATUS_OK) return; /* refused already */
    r->status = status;
    (void)snprintf(r->text, sizeof(r->text), "%s", text);
}

void request_ready(struct request *r)
{
    list_remove(&r->wait_link);
    list_push_back(&r->client->ready, &r->wait_link);
    if (!r->client->in_pass) r->client->env->ops->wake(r->client->env);
}

/* Rows: from; columns: to. */
static bool move_is_legal(enum request_state from, enum request_state to)
{
    switch (from) {
    case REQUEST_NEW:
        return to == REQUEST_ROUTING || to == REQUEST_WAIT_META || to == REQUEST_WAIT_REPLY || to == REQUEST_DONE;
    case REQUEST_ROUTING:
        return to == REQUEST_WAIT_MAP || to == REQUEST_WAIT_REPLY || to == REQUEST_WAIT_PAUSE ||
               to == REQUEST_WAIT_SPREAD || to == REQUEST_WAIT_PIECES || to == REQUEST_DONE;
    case REQUEST_WAIT_PIECES: return to == REQUEST_DONE;
    case REQUEST_WAIT_SPREAD: return to == REQUEST_WAIT_PAUSE || to == REQUEST_DONE;
    case REQUEST_WAIT_MAP: return to == REQUEST_ROUTING || to == REQUEST_WAIT_PAUSE || to == REQUEST_DONE;
    case REQUEST_WAIT_REPLY: return to == REQUEST_ROUTING || to == REQUEST_WAIT_PAUSE || to == REQUEST_DONE;
    case REQUEST_WAIT_META: return to == REQUEST_DONE;
    case REQUEST_WAIT_PAUSE: return to == REQUEST_ROUTING || to == REQUEST_DONE;
    case REQUEST_DONE: return false;
    }
    BUG("request state");
}

void request_set_state(struct request *r, enum request_state state)
{
    ASSERT(move_is_legal(r->state, state));
    struct client *c = r->client;
    list_remove(&r->wait_link);
    heap_remove(&c->timers, &r->timer);
    r->state = state;
    if (state == REQUEST_WAIT_MAP) {
        list_push_back(&c->refresh.waiting, &r->wait_link);
        heap_push(&c->timers, &r->timer, r->deadline_ns);
    } else if (state == REQUEST_WAIT_SPREAD) {
        heap_push(&c->timers, &r->timer, r->deadline_ns);
    } else if (state == REQUEST_WAIT_PAUSE) {
        heap_push(&c->timers, &r->timer, r->wake_ns < r->deadline_ns ? r->wake_ns : r->deadline_ns);
    }
    request_check(r);
}

enum step request_finish(struct request *r, enum status status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(r->text, sizeof(r->text), fmt, args);
    va_end(args);
    r->status = status;
    r->unknown_outcome = status != STATUS_OK && r->may_have_happened && !MUTANT(unknown_called_definite);
    request_set_state(r, REQUEST_DONE);
    return STEP_DONE;
}

enum step request_finish_well(struct request *r)
{
    r->status = STATUS_OK;
    r->text[0] = '\0';
    request_set_state(r, REQUEST_DONE);
    return STEP_DONE;
}

/* Steps that settle a transaction gather for as long as a range has no leader, a thousand in half a minute: the pauses of such a one grow with
 * the time that it has lasted. */
static uint64_t pause_max_ms(const struct request *r, uint64_t now_ns)
{
    if (r->kind != REQUEST_STEP || r->txn_kind == TXN_COMMAND_PREPARE) return CLIENT_PAUSE_MAX_MS;
    uint64_t left_ms = r->deadline_ns > now_ns ? (r->deadline_ns - now_ns) / NS_PER_MS : 0;
    uint64_t ms = left_ms < r->timeout_ms ? (r->timeout_ms - left_ms) / 8 : 0;
    if (ms > CLIENT_PAUSE_SETTLE_MS) return CLIENT_PAUSE_SETTLE_MS;
    return ms > CLIENT_PAUSE_MAX_MS ? ms : CLIENT_PAUSE_MAX_MS;
}

enum step request_pause(struct request *r, uint64_t now_ns)
{
    uint64_t ms = (uint64_t)CLIENT_PAUSE_MIN_MS << (r->rounds < 8 ? r->rounds : 8), max_ms = pause_max_ms(r, now_ns);
    if (ms > max_ms) ms = max_ms;
    r->rounds++;
    r->tried = 0;
    r->mismatches = 0;
    r->wake_ns = now_ns + prng_between(&r->client->prng, ms * NS_PER_MS / 2, ms * NS_PER_MS);
    request_set_state(r, REQUEST_WAIT_PAUSE);
    return STEP_WAIT;
}

enum step request_give_up(struct request *r)
{
    enum status status = r->reached ? STATUS_TIMEOUT : STATUS_UNAVAILABLE;
    const char *last = r->last[0] != '\0' ? r->last : "nothing was tried";
    return request_finish(r, status, "the deadline of %u ms passed after %u tries; the last: %s", r->timeout_ms,
                          r->tries, last);
}

/* --- routing --- */

/* A gap in a map that was fetched for this request: the metadata service is about to learn more. */
enum step request_wait_for_map(struct request *r, uint64_t now_ns)
{
    if (!r->map_fresh) return refresh_wait(r);
    r->map_fresh = false;
    r->map_needed = r->client->refresh.started + 1;
    (void)snprintf(r->last, sizeof(r->last), "the metadata service knows no range for the key");
    return request_pause(r, now_ns);
}

static enum step request_route(struct request *r, uint64_t now_ns)
{
    struct client *c = r->client;
    if (now_ns >= r->deadline_ns) return request_give_up(r);
    bool is_part = r->kind == REQUEST_STEP || r->kind == REQUEST_PIECE;
    bool is_scan = r->kind == REQUEST_SCAN || r->kind == REQUEST_PIECE || r->kind == REQUEST_WATCH;
    enum step step = is_part ? keyspace_still(r) : keyspace_enter(r);
    if (step != STEP_AGAIN) return step;
    if (is_scan && r->scan.end.size > 0 && slice_cmp(r->scan.start, r->scan.end) >= 0) {
        r->result.scan =
            (struct scan_reply){.rows = r->scan.rows, .row_count = r->scan.row_count, .mark = r->scan.mark};
        return request_finish_well(r);
    }
    if (r->kind == REQUEST_SCAN && r->buckets > 0 && !r->scan.placed) return buckets_start(r);
    struct route_range *range = is_scan ? scan_route(r) : routes_find(&c->routes, r->keyspace, r->low);
    if (range == NULL) return request_wait_for_map(r, now_ns);
    const struct range_desc *d = &range->desc;
    bool reaches = !r->has_stretch || d->end.size == 0 || (r->reach.size > 0 && slice_cmp(r->reach, d->end) <= 0);
    if (r->kind == REQUEST_TXN && (!reaches || !range_desc_contains(d, r->keyspace, r->high))) {
        return spread_start(r);
    }
    return attempt_start(r, range, now_ns);
}

/* --- metadata requests --- */

static enum step take_meta(struct request *r, enum status status, bool sent, const struct reply_head *head)
{
    int size = head->message.size < 300 ? (int)head->message.size : 300;
    const char *text = (const char *)head->message.data;
    if (status != STATUS_OK) {
        r->reached = sent;
        r->may_have_happened = sent && r->kind == REQUEST_META;
        if (status == STATUS_CLOSED) status = STATUS_UNAVAILABLE;
        return request_finish(r, status, "%.*s", size, text);
    }
    r->reached = true;
    if (head->status != STATUS_OK) {
        r->may_have_happened = (sent || head->unknown_outcome) && r->kind == REQUEST_META;
        return request_finish(r, head->status, "%.*s", size, text);
    }
    if (r->kind == REQUEST_MAP) {
        if (unpack_meta_map_reply(head->payload, &r->arena, &r->result.map) != STATUS_OK) {
            return request_finish(r, STATUS_INVALID, "the metadata service's answer cannot be read");
        }
        refresh_learn(r->client, &r->result.map, r->keyspace_name.size == 0);
    } else {
        r->result.payload = head->payload;
    }
    return request_finish_well(r);
}

static void on_meta_done(void *ctx, enum status status, bool sent, const struct reply_head *head)
{
    struct request *r = ctx;
    r->answer.here = true;
    r->answer.status = status;
    r->answer.sent = sent;
    r->answer.head = head;
    request_run(r, env_mono_ns(r->client->env));
}

static enum step ask_meta(struct request *r)
{
    struct client *c = r->client;
    struct meta_map_request map = {.keyspace = r->keyspace_name, .key = SLICE_EMPTY};
    if (r->kind == REQUEST_MAP) pack_meta_map_request(&r->body, &map);
    request_set_state(r, REQUEST_WAIT_META);
    r->tries++;
    c->called = true;
    r->call = meta_call(c->meta, r->kind == REQUEST_MAP ? METHOD_META_MAP : r->method, buf_slice(&r->body),
                        r->deadline_ns, on_meta_done, r);
    return STEP_WAIT;
}

/* --- the step --- */

static enum step request_begin(struct request *r)
{
    if (r->status != STATUS_OK) {
        request_set_state(r, REQUEST_DONE);
        return STEP_DONE;
    }
    switch (r->kind) {
    case REQUEST_TXN:
    case REQUEST_GET:
    case REQUEST_SCAN:
    case REQUEST_WATCH:
    case REQUEST_PIECE: request_set_state(r, REQUEST_ROUTING); return STEP_AGAIN;
    case REQUEST_STEP:
        request_set_state(r, REQUEST_ROUTING);
        return r->begins_with_pause ? request_pause(r, client_now_ns(r->client)) : STEP_AGAIN;
    case REQUEST_MAP:
    case REQUEST_META: return ask_meta(r);
    case REQUEST_NODE: return attempt_node(r);
    }
    BUG("request kind");
}

static enum step request_step(struct request *r, uint64_t now_ns)
{
    request_check(r);
    switch (r->state) {
    case REQUEST_NEW: return request_begin(r);
    case REQUEST_ROUTING: return request_route(r, now_ns);
    case REQUEST_WAIT_MAP: return now_ns >= r->deadline_ns ? request_give_up(r) : STEP_WAIT;
    case REQUEST_WAIT_REPLY:
        if (!r->answer.here) return STEP_WAIT;
        r->answer.here = false;
        return r->kind == REQUEST_NODE ? attempt_take_node_answer(r) : attempt_take_answer(r, now_ns);
    case REQUEST_WAIT_META:
        if (!r->answer.here) return STEP_WAIT;
        r->answer.here = false;
        return take_meta(r, r->answer.status, r->answer.sent, r->answer.head);
    case REQUEST_WAIT_PAUSE:
        if (now_ns < r->wake_ns && now_ns < r->deadline_ns) return STEP_WAIT;
        request_set_state(r, REQUEST_ROUTING);
        return STEP_AGAIN;
    case REQUEST_WAIT_SPREAD: return spread_take(r, now_ns);
    case REQUEST_WAIT_PIECES: return buckets_take(r);
    case REQUEST_DONE: return STEP_DONE;
    }
    BUG("request state");
}

static void request_tell(struct request *r)
{
    struct client *c = r->client;
    bool ok = r->status == STATUS_OK;
    struct client_error e = {.status = r->status, .unknown_outcome = r->unknown_outcome, .message = slice_str(r->text)};
    if (r->kind == REQUEST_STEP) { /* what blocks it is told with the refusal */
        r->done.call(r->ctx, &e, r->result.payload);
        return;
    }
    if (r->kind == REQUEST_PIECE) {
        r->done.scan(r->ctx, &e, ok ? &r->result.scan : NULL);
        return;
    }
    if (r->kind == REQUEST_WATCH) {
        struct watch_reply old = {.upto = 0};
        if (r->status == STATUS_TOO_OLD && unpack_watch_reply(r->result.payload, &r->arena, &old) != STATUS_OK)
            old.upto = 0;
        r->done.watch(r->ctx, &e, ok ? &r->result.watch : NULL, r->scan.sub_end, old.upto);
        return;
    }
    if (!ok) c->stats.failures++;
    if (r->unknown_outcome) c->stats.unknown_outcomes++;
    c->stats.in_flight--;
    if (r->forgotten) return;
    switch (r->kind) {
    case REQUEST_TXN: r->done.txn(r->ctx, &e, ok ? &r->result.txn : NULL); break;
    case REQUEST_GET: r->done.get(r->ctx, &e, ok ? &r->result.get : NULL); break;
    case REQUEST_STEP:
    case REQUEST_WATCH:
    case REQUEST_PIECE: BUG("told above");
    case REQUEST_SCAN: r->done.scan(r->ctx, &e, ok ? &r->result.scan : NULL); break;
    case REQUEST_MAP: r->done.map(r->ctx, &e, ok ? &r->result.map : NULL); break;
    case REQUEST_META:
    case REQUEST_NODE: r->done.call(r->ctx, &e, ok ? r->result.payload : SLICE_EMPTY); break;
    }
}

void request_run(struct request *r, uint64_t now_ns)
{
    enum step step;
    do {
        step = request_step(r, now_ns);
    } while (step == STEP_AGAIN);
    if (step == STEP_WAIT) return;
    ASSERT(r->state == REQUEST_DONE);
    list_remove(&r->link); /* first: the callback may start others */
    list_init(&r->link);
    request_tell(r);
    request_free(r);
}
