/* One try at one replica: which, and what its answer means.
 *
 *   answer                                       | read, or transaction with id    | transaction without id
 *   ---------------------------------------------+---------------------------------+------------------------------------
 *   never sent; NOT_LEADER, RANGE_NOT_FOUND      | next replica                    | next replica
 *   EPOCH_MISMATCH                               | learn, route again              | learn, route again
 *   BUSY, RETRY                                  | pause, again                    | pause, again
 *   BLOCKED                                      | settle the holder's fate; pause, again (a step: the end)
 *   UNAVAILABLE, TIMEOUT, CLOSED... by the node  | next replica                    | the end, as definite as the node says
 *   any of these with unknown_outcome;           | next replica, remembering that  | the end: unknown
 *   broken or timed out after it was sent        | it may have happened            |
 *   TOO_OLD (a snapshot)                         | next replica, the end after all |
 *   anything else                                | the end                         | the end                             */
#include "client/client_int.h"
#include "client/spread.h"

#include "base/assert.h"
#include "base/mutant.h"
#include "txn/command.h"

#include <limits.h>
#include <stdio.h>

#define NO_REPLICA UINT_MAX

/* --- whom to ask --- */

static bool is_candidate(const struct request *r, const struct range_desc *d, unsigned i, bool learners)
{
    return (r->tried >> i & 1) == 0 && (d->replicas[i].role != RANGE_LEARNER || learners);
}

static bool is_down(struct client *c, uint64_t node_id)
{
    struct client_peer *peer = peer_of_node(c, node_id);
    return peer == NULL || rpc_peer_down(peer->rpc) || rpc_peer_silent(peer->rpc);
}

/* A read that any replica may answer is spread over those that can be reached; what one cannot answer, the leader can. */
static unsigned choose_any(const struct request *r, const struct range_desc *d)
{
    unsigned count = (unsigned)d->replica_count;
    if (count == 0) return NO_REPLICA;
    unsigned first = (unsigned)prng_between(&r->client->prng, 0, count - 1);
    for (unsigned n = 0; n < count; n++) {
        unsigned i = (first + n) % count;
        if (!is_down(r->client, d->replicas[i].node_id)) return i;
    }
    return first;
}

/* The presumed leader; else any other replica, it will know better. One that could not be reached lately, or is silent, is asked only when
 * no other can be: the call would wait for the next attempt to connect, and its peer makes that attempt by itself anyway. */
static unsigned choose_replica(const struct request *r, const struct route_range *range)
{
    const struct range_desc *d = &range->desc;
    unsigned count = (unsigned)d->replica_count, down = NO_REPLICA;
    if (r->how.any_replica && r->tried == 0) return choose_any(r, d);
    bool learners = true;
    for (unsigned i = 0; i < count; i++)
        learners = learners && d->replicas[i].role == RANGE_LEARNER; /* nobody else is left */
    for (unsigned i = 0; i < count; i++) {
        if (d->replicas[i].node_id != range->leader || !is_candidate(r, d, i, learners)) continue;
        if (!is_down(r->client, range->leader)) return i;
        down = i;
    }
    for (unsigned n = 0; n < count; n++) {
        unsigned i = (n + r->rounds) % count;
        if (!is_candidate(r, d, i, learners)) continue;
        if (!is_down(r->client, d->replicas[i].node_id)) return i;
        if (down == NO_REPLICA) down = i;
    }
    return r->tried == 0 ? down : NO_REPLICA;
}

/* Whether a try that left us without a definite answer may be followed by another one. Not a Prepare: a copy that comes when all is
 * forgotten would prepare again. It is sealed instead. */
static bool may_repeat(const struct request *r)
{
    if (r->kind == REQUEST_STEP) return r->txn_kind != TXN_COMMAND_PREPARE;
    return r->kind != REQUEST_TXN || r->has_id || MUTANT(repeated_without_id);
}

/* A try that may be repeated is given up early: the replica may hang while others could serve. */
static uint64_t try_deadline(const struct request *r, uint64_t now_ns)
{
    if (!may_repeat(r)) return r->deadline_ns;
    uint64_t ms = (uint64_t)CLIENT_TRY_MS << (r->timeouts < 4 ? r->timeouts : 4);
    if (ms > CLIENT_TRY_MAX_MS) ms = CLIENT_TRY_MAX_MS;
    if (r->kind == REQUEST_WATCH) ms += r->watch.wait_ms;
    uint64_t until = now_ns + ms * NS_PER_MS;
    return until < r->deadline_ns ? until : r->deadline_ns;
}

/* Whether it need not wait for a node that is silent: others are asked, or a Prepare's fate is sealed there, or who asked finds out. What waits
 * for changes may wait long. One without an id waits: it would only learn that its outcome is unknown, where a node that goes on says it. */
static bool may_move_on(const struct request *r)
{
    return r->kind != REQUEST_WATCH && (may_repeat(r) || r->kind == REQUEST_STEP || r->findable);
}

static void on_reply(void *ctx, enum status status, bool sent, const struct reply_head *head)
{
    struct request *r = ctx;
    ASSERT(r->peer->calls > 0);
    r->peer->calls--;
    r->answer.here = true;
    r->answer.status = status;
    r->answer.sent = sent;
    r->answer.head = head;
    request_run(r, r->client->now_ns);
}

static void encode_params(struct request *r, const struct route_range *range, uint64_t left_ns, struct buf *params)
{
    uint64_t left_ms = left_ns / NS_PER_MS;
    struct routed to = {.range_id = r->range_id, .epoch = r->epoch, .deadline_ms = left_ms > 0 ? (uint32_t)left_ms : 1};
    buf_clear(params);
    if (r->kind == REQUEST_TXN || r->kind == REQUEST_STEP) {
        struct slice body = r->kind == REQUEST_STEP ? r->step : buf_slice(&r->body);
        struct txn_request m = {.to = to, .txn = body, .kind = r->txn_kind};
        pack_txn_request(params, &m);
    } else if (r->kind == REQUEST_GET) {
        struct get_request m = {.to = to, .keyspace = r->keyspace, .key = r->low, .how = r->how};
        pack_get_request(params, &m);
    } else if (r->kind == REQUEST_WATCH) {
        watch_encode(r, range, params, &to);
    } else {
        scan_encode(r, range, params, &to);
    }
}

static enum method method_of(const struct request *r)
{
    return r->kind == REQUEST_TXN || r->kind == REQUEST_STEP ? METHOD_TXN
           : r->kind == REQUEST_GET                          ? METHOD_GET
           : r->kind == REQUEST_WATCH                        ? METHOD_WATCH
                                                             : METHOD_SCAN;
}

static void try_replica(struct request *r, const struct route_range *range, unsigned replica, struct client_peer *peer,
                        uint64_t now_ns)
{
    struct client *c = r->client;
    uint64_t deadline = try_deadline(r, now_ns);
    r->replica = replica;
    r->peer = peer;
    r->answer.here = false;
    if (++r->tries > 1) c->stats.retries++;
    request_set_state(r, REQUEST_WAIT_REPLY);
    if (bundle_takes(r, peer)) {
        bundle_add(r, peer, deadline, now_ns);
        return;
    }
    encode_params(r, range, deadline - now_ns, &c->scratch);
    ASSERT(!c->scratch.overflow);
    peer->calls++;
    c->called = true;
    r->call = rpc_call(peer->rpc, method_of(r), buf_slice(&c->scratch), deadline, on_reply, r);
    if (may_move_on(r)) rpc_call_elsewhere(peer->rpc, r->call);
    if (c->scratch.capacity > 65536) buf_free(&c->scratch);
}

enum step attempt_start(struct request *r, struct route_range *range, uint64_t now_ns)
{
    const struct range_desc *d = &range->desc;
    ASSERT(r->state == REQUEST_ROUTING);
    ASSERT(now_ns < r->deadline_ns);
    if (d->id != r->range_id || d->epoch.version != r->epoch.version || d->epoch.conf_ver != r->epoch.conf_ver) {
        r->range_id = d->id;
        r->epoch = d->epoch;
        r->tried = 0;
    }
    for (unsigned replica; (replica = choose_replica(r, range)) != NO_REPLICA;) {
        r->tried |= 1u << replica;
        struct client_peer *peer = peer_of_node(r->client, d->replicas[replica].node_id);
        if (peer != NULL) {
            try_replica(r, range, replica, peer, now_ns);
            return STEP_WAIT;
        }
        (void)snprintf(r->last, sizeof(r->last), "the address of node %llu is unknown",
                       (unsigned long long)d->replicas[replica].node_id);
        refresh_want(r->client, r->keyspace_name);
    }
    if (r->too_old) return request_finish(r, STATUS_TOO_OLD, "%s", r->last);
    if (r->rounds % 2 == 1) refresh_want(r->client, r->keyspace_name); /* twice round in vain */
    return request_pause(r, now_ns);
}

/* --- what the answer means --- */

static struct route_range *tried_range(const struct request *r)
{
    struct route_range *range = routes_by_id(&r->client->routes, r->range_id);
    bool same = range != NULL && range->desc.epoch.version == r->epoch.version &&
                range->desc.epoch.conf_ver == r->epoch.conf_ver;
    return same ? range : NULL;
}

static void note_last(struct request *r, enum status status, struct slice message)
{
    (void)snprintf(r->last, sizeof(r->last), "%s at %s: %.*s", status_name(status), rpc_peer_address(r->peer->rpc),
                   (int)(message.size < 120 ? message.size : 120), (const char *)message.data);
}

/* The replica that was asked is not the leader, or cannot be reached; hint: who is, 0 if it does not know. */
static void learn_leader(struct request *r, uint64_t hint)
{
    struct route_range *range = tried_range(r);
    if (range == NULL) return;
    bool believed = range->leader == r->peer->node_id;
    if (hint != 0 && hint != r->peer->node_id && range_desc_replica(&range->desc, hint) != NULL)
        range->leader = hint;
    else if (believed)
        range->leader = 0;
    if (hint != 0 && range_desc_replica(&range->desc, hint) == NULL) refresh_want(r->client, r->keyspace_name);
}

static enum step route_again(struct request *r)
{
    request_set_state(r, REQUEST_ROUTING);
    return STEP_AGAIN;
}

/* It may have happened, and nobody said so. */
static enum step take_unknown(struct request *r, enum status status)
{
    if (r->kind == REQUEST_TXN) r->may_have_happened = true;
    if (may_repeat(r)) return route_again(r);
    COVER("client.unknown");
    return request_finish(r, status == STATUS_TIMEOUT ? STATUS_TIMEOUT : STATUS_UNAVAILABLE,
                          "it may or may not have happened, and without an id it is not repeated: %s", r->last);
}

static enum step take_no_answer(struct request *r, uint64_t now_ns)
{
    enum status status = r->answer.status;
    note_last(r, status, r->answer.head->message);
    if (status == STATUS_TIMEOUT) r->timeouts++;
    if (status == STATUS_TOO_LARGE) return request_finish(r, status, "%s", r->last);
    if (status == STATUS_BUSY) return request_pause(r, now_ns);
    learn_leader(r, 0);
    if (status == STATUS_WRONG_CLUSTER || status == STATUS_UNSUPPORTED) refresh_want(r->client, r->keyspace_name);
    return r->answer.sent ? take_unknown(r, status) : route_again(r);
}

static enum step take_mismatch(struct request *r, uint64_t now_ns)
{
    bool news = false;
    for (size_t i = 0; i < r->answer.head->range_count; i++) {
        /* Who leads the one leads what was split off from it, most likely. */
        const struct range_desc *d = &r->answer.head->ranges[i];
        uint64_t leader = range_desc_replica(d, r->peer->node_id) != NULL ? r->peer->node_id : 0;
        if (routes_learn_range(&r->client->routes, d, leader)) news = true;
    }
    if (news && ++r->mismatches < CLIENT_MISMATCH_MAX) return route_again(r);
    COVER("client.mismatch_without_news");
    refresh_want(r->client, r->keyspace_name);
    return request_pause(r, now_ns);
}

static enum step take_refusal(struct request *r, uint64_t now_ns)
{
    const struct reply_head *head = r->answer.head;
    note_last(r, head->status, head->message);
    switch ((int)head->status) {
    case STATUS_NOT_LEADER:
        learn_leader(r, head->leader_hint);
        return head->unknown_outcome ? take_unknown(r, head->status) : route_again(r);
    case STATUS_RANGE_NOT_FOUND:
        learn_leader(r, 0);
        refresh_want(r->client, r->keyspace_name);
        return head->unknown_outcome ? take_unknown(r, head->status) : route_again(r);
    case STATUS_EPOCH_MISMATCH:
        if (head->unknown_outcome && !may_repeat(r)) return take_unknown(r, head->status);
        if (head->unknown_outcome && r->kind == REQUEST_TXN) r->may_have_happened = true;
        return take_mismatch(r, now_ns);
    case STATUS_BUSY:
    case STATUS_RETRY:
        if (head->unknown_outcome && !may_repeat(r)) return take_unknown(r, head->status);
        if (head->unknown_outcome && r->kind == REQUEST_TXN) r->may_have_happened = true;
        return request_pause(r, now_ns);
    case STATUS_TOO_OLD:                     /* another replica may have it still */
        if (r->kind == REQUEST_WATCH) break; /* only the leader is asked */
        r->too_old = r->how.any_replica = true;
        return route_again(r);
    case STATUS_BLOCKED:
        if (r->kind == REQUEST_STEP) break;
        spread_recover(r->client, r->keyspace_name, head->payload);
        return request_pause(r, now_ns);
    case STATUS_UNAVAILABLE:
    case STATUS_TIMEOUT:
    case STATUS_CLOSED:
        learn_leader(r, 0);
        if (head->status == STATUS_TIMEOUT) r->timeouts++;
        if (head->unknown_outcome) return take_unknown(r, head->status);
        if (may_repeat(r)) return route_again(r);
        break;
    case STATUS_IO:
    case STATUS_NO_SPACE:
    case STATUS_NO_MEMORY:
        if (r->kind == REQUEST_WATCH) return request_pause(r, now_ns); /* it would be asked again at once */
        break;
    default: break;
    }
    if (head->unknown_outcome && r->kind == REQUEST_TXN) r->may_have_happened = true;
    r->result.payload = head->payload;
    return request_finish(r, head->status, "%.*s", (int)(head->message.size < 300 ? head->message.size : 300),
                          (const char *)head->message.data);
}

static enum step take_unreadable(struct request *r)
{
    if (r->kind == REQUEST_TXN) r->may_have_happened = true;
    return request_finish(r, STATUS_CORRUPT, "the answer of %s cannot be read; do both run the same release?",
                          rpc_peer_address(r->peer->rpc));
}

static enum step take_served(struct request *r, uint64_t now_ns)
{
    struct slice payload = r->answer.head->payload;
    struct route_range *range = tried_range(r);
    if (range != NULL && !r->how.any_replica) range->leader = r->peer->node_id;
    if (r->kind == REQUEST_SCAN || r->kind == REQUEST_PIECE) return scan_take(r, payload, now_ns);
    if (r->kind == REQUEST_STEP) {
        r->result.payload = payload;
        return request_finish_well(r);
    }
    enum status status = r->kind == REQUEST_TXN     ? txn_result_decode(payload, &r->arena, &r->result.txn)
                         : r->kind == REQUEST_WATCH ? unpack_watch_reply(payload, &r->arena, &r->result.watch)
                                                    : unpack_get_reply(payload, &r->arena, &r->result.get);
    if (status != STATUS_OK) return take_unreadable(r);
    if (r->kind == REQUEST_TXN) client_saw_timestamp(r->client, r->result.txn.ts);
    return request_finish_well(r);
}

enum step attempt_take_answer(struct request *r, uint64_t now_ns)
{
    ASSERT(r->state == REQUEST_WAIT_REPLY);
    if (r->answer.sent) r->reached = true;
    if (r->answer.status != STATUS_OK) return take_no_answer(r, now_ns);
    if (r->answer.head->status != STATUS_OK) return take_refusal(r, now_ns);
    return take_served(r, now_ns);
}

/* --- requests to one address --- */

static struct client_peer *peer_of_address(struct client *c, const char *address)
{
    LIST_FOR(it, &c->peers)
    {
        struct client_peer *peer = LIST_ENTRY(it, struct client_peer, link);
        if (!peer->retired && strcmp(rpc_peer_address(peer->rpc), address) == 0) return peer;
    }
    struct client_peer *peer = peer_new(c, address, 0);
    peer->retired = true; /* for this request only */
    return peer;
}

enum step attempt_node(struct request *r)
{
    struct client *c = r->client;
    r->peer = peer_of_address(c, (const char *)r->address.data);
    r->tries++;
    request_set_state(r, REQUEST_WAIT_REPLY);
    r->peer->calls++;
    c->called = true;
    r->call = rpc_call(r->peer->rpc, r->method, buf_slice(&r->body), r->deadline_ns, on_reply, r);
    return STEP_WAIT;
}

enum step attempt_take_node_answer(struct request *r)
{
    const struct reply_head *head = r->answer.head;
    enum status status = r->answer.status != STATUS_OK ? r->answer.status : head->status;
    r->result.payload = head->payload;
    if (status == STATUS_CLOSED) status = STATUS_UNAVAILABLE;
    r->reached = r->answer.sent;
    r->may_have_happened = status != STATUS_OK && r->answer.sent && head->unknown_outcome;
    return request_finish(r, status, "%.*s", (int)(head->message.size < 300 ? head->message.size : 300),
                          (const char *)head->message.data);
}
