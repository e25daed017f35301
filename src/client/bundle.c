/* Endings of transactions over several ranges: Decides, or Forgets, that go to one leader of one range at about the same time share a
 * request, and so one answer and one place in the leader's queue. A Forget, for which nobody waits, waits a little for others.
 *
 *   step chosen its replica --> gathered --the turn ends, or a Forget has waited--> sent together --> each is told the answer
 *                                                  \-- alone: as it is              \-- not understood: each on its own */
#include "client/client_int.h"

#include "base/assert.h"
#include "base/mem.h"
#include "txn/command.h"
#include "txn/prepare.h"

#define FORGET_WAIT_NS (10 * NS_PER_MS)
enum { BUNDLE_STEPS_MAX = 128, BUNDLE_BYTES_MAX = 32768 };

struct bundle {
    struct list link; /* the client's bundles, or bundles_sent */
    struct client *client;
    struct client_peer *peer;
    struct routed to;
    uint8_t kind;
    struct list requests; /* their wait_link */
    size_t count, bytes;
    uint64_t due_ns, deadline_ns;
};

bool bundle_takes(const struct request *r, const struct client_peer *peer)
{
    bool ends = r->txn_kind == TXN_COMMAND_DECIDE || r->txn_kind == TXN_COMMAND_FORGET;
    return r->kind == REQUEST_STEP && ends && !peer->steps_alone && r->step.size < BUNDLE_BYTES_MAX;
}

static struct bundle *find(struct client *c, const struct request *r, const struct client_peer *peer)
{
    LIST_FOR(it, &c->bundles)
    {
        struct bundle *b = LIST_ENTRY(it, struct bundle, link);
        if (b->peer == peer && b->to.range_id == r->range_id && b->kind == r->txn_kind &&
            b->to.epoch.version == r->epoch.version && b->to.epoch.conf_ver == r->epoch.conf_ver)
            return b;
    }
    return NULL;
}

void bundle_add(struct request *r, struct client_peer *peer, uint64_t deadline_ns, uint64_t now_ns)
{
    struct client *c = r->client;
    struct bundle *b = find(c, r, peer);
    if (b == NULL) {
        b = mem_zalloc(sizeof(*b));
        *b = (struct bundle){.client = c,
                             .peer = peer,
                             .to = {.range_id = r->range_id, .epoch = r->epoch},
                             .kind = r->txn_kind,
                             .due_ns = now_ns + (r->txn_kind == TXN_COMMAND_FORGET ? FORGET_WAIT_NS : 0),
                             .deadline_ns = deadline_ns};
        list_init(&b->requests);
        list_push_back(&c->bundles, &b->link);
        peer->calls++;
    }
    list_push_back(&b->requests, &r->wait_link);
    b->count++;
    b->bytes += r->step.size;
    if (b->count == BUNDLE_STEPS_MAX || b->bytes >= BUNDLE_BYTES_MAX) b->due_ns = now_ns;
}

/* A node that knows no such request does what is asked one by one. */
static void go_alone(struct request *r)
{
    COVER("client.steps_alone");
    r->tried &= ~(1u << r->replica);
    request_set_state(r, REQUEST_ROUTING);
    request_ready(r);
}

static void bundle_answered(void *ctx, enum status status, bool sent, const struct reply_head *head)
{
    struct bundle *b = ctx;
    struct client *c = b->client;
    bool alone = status == STATUS_OK && head->status == STATUS_INVALID && b->count > 1;
    struct list *it;
    ASSERT(b->peer->calls > 0);
    b->peer->calls--;
    if (alone) b->peer->steps_alone = true;
    list_remove(&b->link);
    while ((it = list_pop_front(&b->requests)) != NULL) {
        struct request *r = LIST_ENTRY(it, struct request, wait_link);
        if (alone) {
            go_alone(r);
            continue;
        }
        r->answer.here = true;
        r->answer.status = status;
        r->answer.sent = sent;
        r->answer.head = head;
        request_run(r, c->now_ns);
    }
    mem_free(b);
}

static void encode(const struct bundle *b, uint64_t now_ns, struct buf *params)
{
    const struct request *first = LIST_ENTRY(b->requests.next, struct request, wait_link);
    struct txn_request m = {.to = b->to, .txn = first->step, .kind = b->kind};
    struct buf body;
    uint64_t left_ms = b->deadline_ns > now_ns ? (b->deadline_ns - now_ns) / NS_PER_MS : 0;
    m.to.deadline_ms = left_ms > 0 ? (uint32_t)left_ms : 1;
    buf_init(&body, LIMIT_FRAME_BYTES);
    if (b->count > 1) {
        COVER("client.bundle");
        m.kind = TXN_COMMAND_STEPS;
        LIST_FOR(it, &b->requests)
        {
            const struct request *r = LIST_ENTRY(it, struct request, wait_link);
            struct txn_step step = {.kind = (enum txn_command_kind)b->kind, .body = r->step};
            txn_step_append(&step, &body);
        }
        m.txn = buf_slice(&body);
    }
    buf_clear(params);
    pack_txn_request(params, &m);
    buf_free(&body);
}

/* Returns when the next one is due. */
uint64_t bundles_send(struct client *c, uint64_t now_ns)
{
    uint64_t next = DEADLINE_NONE;
    LIST_FOR(it, &c->bundles)
    {
        struct bundle *b = LIST_ENTRY(it, struct bundle, link);
        if (b->due_ns > now_ns) {
            if (b->due_ns < next) next = b->due_ns;
            continue;
        }
        list_remove(it);
        list_push_back(&c->bundles_sent, it);
        encode(b, now_ns, &c->scratch);
        ASSERT(!c->scratch.overflow);
        c->called = true;
        uint64_t call = rpc_call(b->peer->rpc, METHOD_TXN, buf_slice(&c->scratch), b->deadline_ns, bundle_answered, b);
        rpc_call_elsewhere(b->peer->rpc, call);
    }
    return next;
}

/* Requests and peers go by themselves. */
void bundles_free(struct client *c)
{
    LIST_FOR(it, &c->bundles) mem_free(LIST_ENTRY(it, struct bundle, link));
    LIST_FOR(it, &c->bundles_sent) mem_free(LIST_ENTRY(it, struct bundle, link));
}
