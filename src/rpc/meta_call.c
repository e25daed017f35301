/* A call's states:
 *
 *                 member chosen                 answer
 *      CHOOSING ----------------> ASKING ------------------> done
 *        ^    \                    |   \__ NOT_LEADER, CLOSED, TIMEOUT..., members left in this round: CHOOSING
 *        |     \ deadline          |
 *        |      v                  | all members tried: a pause with jitter
 *        |     done <--- PAUSING <-+
 *        +------------------|  (woken by: its timer; the pause over, or the deadline)
 *
 * ASKING is woken by the rpc call's end, which has a deadline of its own: a member that hangs must not hold a call for
 * long, so each try gets 1 s, then 2 s, 4 s... */
#include "rpc/meta_call.h"

#include "base/assert.h"
#include "base/heap.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"

#include <stdio.h>

#define META_MEMBERS_MAX 16u /* with those that have come and gone since the start */
#define META_TRY_MS 1000u
#define META_TRY_MAX_MS 8000u
#define META_PAUSE_MIN_MS 5u
#define META_PAUSE_MAX_MS 100u
#define NOBODY SIZE_MAX

enum meta_state { META_CHOOSING, META_ASKING, META_PAUSING };

struct meta_request {
    struct meta_call *owner;
    uint64_t id;
    enum method method;
    enum meta_state state;
    uint64_t deadline_ns;
    rpc_done done;
    void *ctx;
    struct list choosing_link;
    struct heap_node timer; /* PAUSING */
    size_t member;          /* ASKING: which */
    uint64_t rpc_id;        /* ASKING: its call */
    uint32_t tried;         /* members of this round, as bits */
    unsigned rounds, timeouts;
    bool sent;             /* a try may have arrived, and nobody said what came of it */
    enum status last;      /* how the last try ended: of the call itself... */
    enum status last_head; /* ...or, when that is STATUS_OK, of the answer */
    struct errbuf last_text;
    size_t params_size;
    uint8_t params[];
};

struct meta_call {
    struct env *env;
    const struct rpc_identity *self;
    size_t member_count, given; /* given: at the start; they stay */
    struct rpc_peer *members[META_MEMBERS_MAX];
    size_t leader; /* our best guess: where calls begin */
    size_t asked;  /* who named a leader that is not known here, and is asked for the members' addresses; or NOBODY */
    bool asking;   /* that call is under way */
    struct map requests;
    struct list choosing;
    struct heap pausing;
    uint64_t next_id;
    struct prng prng;
};

/* --- addresses --- */

/* member: whose place it takes; or the first that is free. */
static enum status set_member(struct meta_call *m, size_t member, struct slice address, struct errbuf *err)
{
    char text[LIMIT_ADDRESS_BYTES];
    bool has_port = memchr(address.data, ':', address.size) != NULL;
    if (address.size == 0 || address.size >= sizeof(text) || !has_port) {
        errbuf_set(err, "\"%.*s\" is not an address of a metadata member; expected host:port",
                   (int)(address.size < 128 ? address.size : 128), (const char *)address.data);
        return STATUS_INVALID;
    }
    memcpy(text, address.data, address.size);
    text[address.size] = '\0';
    rpc_peer_free(m->members[member]);
    m->members[member] = rpc_peer_new(m->env, text, m->self);
    if (member == m->member_count) m->member_count++;
    return STATUS_OK;
}

static enum status add_members(struct meta_call *m, const char *addresses, struct errbuf *err)
{
    for (const char *at = addresses;; at++) {
        size_t size = strcspn(at, ",");
        enum status status = set_member(m, m->member_count, slice_make(at, size), err);
        if (status != STATUS_OK) return status;
        if (m->member_count > LIMIT_VOTERS) {
            errbuf_set(err, "more than %u metadata members", LIMIT_VOTERS);
            return STATUS_INVALID;
        }
        at += size;
        if (*at == '\0') return STATUS_OK;
    }
}

enum status meta_call_new(struct env *env, const char *addresses, const struct rpc_identity *self,
                          struct meta_call **out, struct errbuf *err)
{
    struct meta_call *m = mem_zalloc(sizeof(*m));
    m->env = env;
    m->self = self;
    m->next_id = 1;
    m->asked = NOBODY;
    map_init(&m->requests);
    list_init(&m->choosing);
    heap_init(&m->pausing);
    uint64_t seed;
    env->ops->random(env, &seed, sizeof(seed));
    prng_init(&m->prng, seed);
    enum status status = add_members(m, addresses != NULL ? addresses : "", err);
    if (status != STATUS_OK) {
        meta_call_free(m);
        return status;
    }
    m->given = m->member_count;
    *out = m;
    return STATUS_OK;
}

static bool is_among(const struct rpc_peer *p, const struct meta_address *metas, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(metas[i].address, slice_str(rpc_peer_address(p)))) return true;
    }
    return false;
}

static bool is_asked(const struct meta_call *m, size_t member)
{
    uint64_t id;
    void *value;
    if (member == m->asked) return true;
    for (size_t it = 0; map_next(&m->requests, &it, &id, &value);) {
        const struct meta_request *r = value;
        if (r->state == META_ASKING && r->member == member) return true;
    }
    return false;
}

/* Where the next one goes: when those who have come and gone take all the room, in the place of one of them. NOBODY: nowhere. */
static size_t free_place(const struct meta_call *m, const struct meta_address *metas, size_t count)
{
    if (m->member_count < META_MEMBERS_MAX) return m->member_count;
    for (size_t i = m->given; i < m->member_count; i++) {
        const struct rpc_peer *p = m->members[i];
        if (i != m->leader && !rpc_peer_connected(p) && !is_asked(m, i) && !is_among(p, metas, count)) return i;
    }
    return NOBODY;
}

void meta_call_learn(struct meta_call *m, const struct meta_address *metas, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool known = false;
        for (size_t k = 0; k < m->member_count && !known; k++)
            known = slice_eq(metas[i].address, slice_str(rpc_peer_address(m->members[k])));
        size_t place = known ? NOBODY : free_place(m, metas, count);
        if (place != NOBODY && set_member(m, place, metas[i].address, NULL) == STATUS_OK) COVER("meta_call.learned");
    }
}

void meta_call_free(struct meta_call *m)
{
    if (m == NULL) return;
    for (size_t i = 0; i < m->member_count; i++) rpc_peer_free(m->members[i]);
    heap_free(&m->pausing); /* lets go of its nodes, so before they are freed */
    uint64_t id;
    void *request;
    for (size_t it = 0; map_next(&m->requests, &it, &id, &request);) mem_free(request);
    map_free(&m->requests);
    mem_free(m);
}

struct cluster_id meta_call_cluster(const struct meta_call *m)
{
    struct cluster_id none = {{0}};
    for (size_t i = 0; i < m->member_count; i++) {
        struct hello hello;
        if (rpc_peer_hello(m->members[i], &hello) && !cluster_id_is_none(&hello.cluster)) return hello.cluster;
    }
    return none;
}

/* --- requests --- */

static void set_state(struct meta_request *r, enum meta_state state)
{
    struct meta_call *m = r->owner;
    list_remove(&r->choosing_link);
    heap_remove(&m->pausing, &r->timer);
    r->state = state;
    if (state == META_CHOOSING) list_push_back(&m->choosing, &r->choosing_link);
}

uint64_t meta_call(struct meta_call *m, enum method method, struct slice params, uint64_t deadline_ns, rpc_done done,
                   void *ctx)
{
    struct meta_request *r = mem_zalloc(sizeof(*r) + params.size);
    r->owner = m;
    r->id = m->next_id++;
    r->method = method;
    r->deadline_ns = deadline_ns;
    r->done = done;
    r->ctx = ctx;
    r->last = STATUS_TIMEOUT;
    errbuf_set(&r->last_text, "no metadata member was asked before the deadline");
    r->params_size = params.size;
    if (params.size > 0) memcpy(r->params, params.data, params.size);
    list_init(&r->choosing_link);
    (void)map_put(&m->requests, r->id, r);
    set_state(r, META_CHOOSING);
    return r->id;
}

static void request_remove(struct meta_request *r)
{
    struct meta_call *m = r->owner;
    if (r->state == META_ASKING) rpc_call_cancel(m->members[r->member], r->rpc_id);
    list_remove(&r->choosing_link);
    heap_remove(&m->pausing, &r->timer);
    (void)map_remove(&m->requests, r->id);
}

void meta_call_cancel(struct meta_call *m, uint64_t id)
{
    struct meta_request *r = map_get(&m->requests, id);
    if (r == NULL) return;
    request_remove(r);
    mem_free(r);
}

static void request_finish(struct meta_request *r, enum status status, const struct reply_head *head)
{
    r->state = META_CHOOSING; /* no call is under way any more */
    request_remove(r);
    r->done(r->ctx, status, r->sent, head);
    mem_free(r);
}

/* The deadline has come: what the last try said is the best that is known. */
static void request_give_up(struct meta_request *r)
{
    struct reply_head head = {.status = r->last == STATUS_OK ? r->last_head : r->last,
                              .unknown_outcome = r->sent,
                              .message = slice_str(r->last_text.text),
                              .payload = SLICE_EMPTY};
    request_finish(r, r->last, &head);
}

/* --- whom to ask --- */

static void follow_hint(struct meta_request *r, uint64_t node_id)
{
    struct meta_call *m = r->owner;
    for (size_t i = 0; node_id != 0 && i < m->member_count; i++) {
        struct hello hello;
        if (i != r->member && rpc_peer_hello(m->members[i], &hello) && hello.node_id == node_id) {
            m->leader = i;
            return;
        }
    }
    if (node_id != 0 && m->asked == NOBODY) m->asked = r->member; /* one that came since, perhaps */
    if (m->leader == r->member) m->leader = (m->leader + 1) % m->member_count;
}

/* Any member knows where the others are. */
static void members_told(void *ctx, enum status status, bool sent, const struct reply_head *head)
{
    (void)sent;
    struct meta_call *m = ctx;
    struct meta_status_reply reply;
    struct arena arena;
    m->asking = false;
    bool good = status == STATUS_OK && head->status == STATUS_OK;
    arena_init(&arena, 4096);
    if (good && unpack_meta_status_reply(head->payload, &arena, &reply) == STATUS_OK) {
        struct meta_address metas[LIMIT_REPLICAS];
        for (size_t i = 0; i < reply.member_count; i++)
            metas[i] = (struct meta_address){.id = reply.members[i].id, .address = reply.members[i].address};
        meta_call_learn(m, metas, reply.member_count);
    }
    m->asked = NOBODY;
    arena_free(&arena);
}

static void ask_for_members(struct meta_call *m, uint64_t now_ns)
{
    if (m->asked == NOBODY || m->asking) return;
    m->asking = true;
    (void)rpc_call(m->members[m->asked], METHOD_META_STATUS, SLICE_EMPTY, now_ns + META_TRY_MS * NS_PER_MS,
                   members_told, m);
}

/* The presumed leader first, then the others in order. One that is known to be down is asked only when all are: its connection comes
 * back by itself, and to wait for the next attempt could take longer than the others take to elect. SIZE_MAX: nobody. */
static size_t choose_member(const struct meta_request *r)
{
    const struct meta_call *m = r->owner;
    size_t down = SIZE_MAX;
    bool all_down = true;
    for (size_t i = 0; i < m->member_count; i++) {
        size_t member = (m->leader + i) % m->member_count;
        bool is_down = rpc_peer_down(m->members[member]), tried = (r->tried >> member & 1) != 0;
        if (!is_down && !tried) return member;
        if (!tried && down == SIZE_MAX) down = member;
        all_down = all_down && is_down;
    }
    return all_down ? down : SIZE_MAX;
}

static bool is_retried(enum status status)
{
    return status == STATUS_NOT_LEADER || status == STATUS_TIMEOUT || status == STATUS_CLOSED ||
           status == STATUS_BUSY || status == STATUS_RETRY || status == STATUS_UNAVAILABLE;
}

static void on_done(void *ctx, enum status status, bool sent, const struct reply_head *head)
{
    struct meta_request *r = ctx;
    struct meta_call *m = r->owner;
    ASSERT(r->state == META_ASKING);
    if (status != STATUS_OK ? sent : head->status != STATUS_OK && head->unknown_outcome) r->sent = true;
    if (!is_retried(status == STATUS_OK ? head->status : status)) {
        if (status == STATUS_OK && head->status == STATUS_OK) m->leader = r->member;
        request_finish(r, status, head);
        return;
    }
    r->last = status;
    r->last_head = head->status;
    errbuf_set(&r->last_text, "%s: %.*s", rpc_peer_address(m->members[r->member]),
               (int)(head->message.size < 300 ? head->message.size : 300), (const char *)head->message.data);
    if (status == STATUS_TIMEOUT) r->timeouts++;
    follow_hint(r, status == STATUS_OK ? head->leader_hint : 0);
    set_state(r, META_CHOOSING);
}

static void request_pause(struct meta_request *r, uint64_t now_ns)
{
    uint64_t ms = META_PAUSE_MIN_MS << (r->rounds < 5 ? r->rounds : 5);
    if (ms > META_PAUSE_MAX_MS) ms = META_PAUSE_MAX_MS;
    r->rounds++;
    r->tried = 0;
    uint64_t until = now_ns + prng_between(&r->owner->prng, ms * NS_PER_MS / 2, ms * NS_PER_MS);
    set_state(r, META_PAUSING);
    heap_push(&r->owner->pausing, &r->timer, until < r->deadline_ns ? until : r->deadline_ns);
}

static void request_choose(struct meta_request *r, uint64_t now_ns)
{
    struct meta_call *m = r->owner;
    if (now_ns >= r->deadline_ns) {
        request_give_up(r);
        return;
    }
    size_t member = choose_member(r);
    if (member == SIZE_MAX) {
        request_pause(r, now_ns);
        return;
    }
    uint64_t try_ms = (uint64_t)META_TRY_MS << (r->timeouts < 4 ? r->timeouts : 4);
    if (try_ms > META_TRY_MAX_MS) try_ms = META_TRY_MAX_MS;
    uint64_t until = now_ns + try_ms * NS_PER_MS;
    set_state(r, META_ASKING);
    r->member = member;
    r->tried |= 1u << member;
    r->rpc_id = rpc_call(m->members[member], r->method, slice_make(r->params, r->params_size),
                         until < r->deadline_ns ? until : r->deadline_ns, on_done, r);
}

/* Lets the calls move on until all of them wait; the pass of a member may end calls, which then choose another member. */
uint64_t meta_call_pass(struct meta_call *m, uint64_t now_ns)
{
    if (m->env->dead) return DEADLINE_NONE;
    uint64_t deadline = DEADLINE_NONE;
    for (unsigned turn = 0; turn <= 2 * META_MEMBERS_MAX; turn++) {
        for (struct heap_node *n; (n = heap_min(&m->pausing)) != NULL && n->key <= now_ns;) {
            set_state(HEAP_ENTRY(n, struct meta_request, timer), META_CHOOSING);
        }
        for (struct list *it; (it = list_pop_front(&m->choosing)) != NULL;) {
            request_choose(LIST_ENTRY(it, struct meta_request, choosing_link), now_ns);
        }
        ask_for_members(m, now_ns);
        deadline = DEADLINE_NONE;
        for (size_t i = 0; i < m->member_count; i++) {
            uint64_t at = rpc_peer_pass(m->members[i], now_ns);
            if (at < deadline) deadline = at;
        }
        if (list_empty(&m->choosing)) break;
    }
    const struct heap_node *n = heap_min(&m->pausing);
    if (n != NULL && n->key < deadline) deadline = n->key;
    return list_empty(&m->choosing) ? deadline : now_ns;
}
