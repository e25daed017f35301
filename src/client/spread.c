/* A transaction over several ranges: the coordinator of txn/coordinator.h, driven by requests of one step each, which find
 * their range and its leader, and are repeated, like any other request. Every step may be repeated: a vote stands. What is repeated is
 * one more entry of a log that may be far behind: so a step lasts as long as its spread, and its tries grow rare.
 *
 *   owner:  ROUTING --keys in several ranges--> WAIT_SPREAD --answered--> DONE
 *             ^                                     |  |  woken by the spread; timed out by the deadline: then unknown
 *             +-------- WAIT_PAUSE <----- RETRY ----+  +--> DONE
 *             +---- the keyspace is no more, and a range was never prepared: routing says so
 *
 *   spread: steps under way, until the coordinator is done, also after the owner has gone; or a minute has passed: whoever meets
 *           the locks goes on. Without an owner: settles the fate of a transaction that was met. */
#include "client/spread.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "txn/command.h"
#include "txn/coordinator.h"

#include <stdio.h>

#define SPREAD_LIFE_NS (60000 * NS_PER_MS)
#define PREPARE_MS 2000u
#define ABANDONED_NS (500 * NS_PER_MS)

struct spread_part {
    struct spread *spread;
    size_t number;
    enum coordinator_ask asked;
    struct txn_span span;
    struct slice prepare; /* encoded; in the arena */
    bool repeated;        /* the next step begins with a pause */
};

struct spread {
    struct list link;
    struct client *client;
    struct request *owner; /* NULL: nobody waits */
    struct coordinator *coordinator;
    struct arena arena;
    struct txn_id id;
    uint64_t born;
    uint32_t keyspace;
    struct slice keyspace_name;
    struct spread_part *parts;
    size_t part_count;
    unsigned steps;  /* under way */
    bool lost;       /* the keyspace is no more: no step will be answered */
    bool unprepared; /* lost, and some part has definitely not been prepared: it never commits */
    uint64_t give_up_ns;
};

static void spread_pump(struct spread *s);

static void spread_free(struct spread *s)
{
    if (s->owner != NULL) s->owner->spread = NULL;
    list_remove(&s->link);
    coordinator_free(s->coordinator);
    arena_free(&s->arena);
    spares_give(&s->client->spread_spares, s);
}

void spread_spares_init(struct spares *s)
{
    spares_init(s, sizeof(struct spread), SPARES_MAX);
}

void spreads_free(struct client *c)
{
    LIST_FOR(it, &c->spreads) spread_free(LIST_ENTRY(it, struct spread, link));
    mem_free(c->met);
}

void spread_owner_left(struct request *r)
{
    if (r->spread == NULL) return;
    r->spread->owner = NULL;
    r->spread = NULL;
}

/* --- holders that were met --- */

enum { MET_SLOTS = 64 }; /* by a hash of the id */
struct met {
    struct txn_id id;
    uint64_t first_ns, last_ns;
};

/* A younger Prepare dies at once when it meets a lock, and tries again; whoever is met again and again has lost its coordinator. */
static bool met_for_long(struct client *c, const struct txn_id *holder)
{
    uint64_t now_ns = client_now_ns(c);
    if (c->met == NULL) c->met = mem_zalloc(MET_SLOTS * sizeof *c->met);
    struct met *m = &c->met[hash_bytes(slice_make(holder->bytes, TXN_ID_BYTES), 0) % MET_SLOTS];
    if (memcmp(&m->id, holder, sizeof m->id) != 0) {
        if (m->last_ns != 0 && now_ns - m->last_ns < 4 * ABANDONED_NS) return false; /* another one has the slot */
        *m = (struct met){.id = *holder, .first_ns = now_ns};
    }
    m->last_ns = now_ns;
    return now_ns - m->first_ns >= ABANDONED_NS;
}

static void prepare_blocked(struct spread *s, struct slice blocked)
{
    struct txn_blocked b;
    struct arena arena;
    arena_init(&arena, 1024);
    if (txn_blocked_decode(blocked, &arena, &b) == STATUS_OK && met_for_long(s->client, &b.holder)) {
        spread_recover(s->client, s->keyspace_name, blocked);
    }
    arena_free(&arena);
}

/* --- steps --- */

static void step_done(void *ctx, const struct client_error *e, struct slice payload)
{
    struct spread_part *p = ctx;
    struct spread *s = p->spread;
    s->steps--;
    p->repeated = false;
    if (e->status == STATUS_NOT_FOUND) {
        s->lost = true;
        s->unprepared = s->unprepared || p->asked == ASK_PREPARE;
    } else if (e->status != STATUS_OK) {
        p->repeated = p->asked != ASK_PREPARE;
        if (e->status == STATUS_BLOCKED) {
            prepare_blocked(s, payload);
            coordinator_blocked(s->coordinator, p->number);
        } else {
            coordinator_failed(s->coordinator, p->number);
        }
    } else if (coordinator_voted(s->coordinator, p->number, payload) != STATUS_OK) {
        p->repeated = true;
    }
    p->asked = ASK_NOTHING;
    spread_pump(s);
}

static void step_start(struct spread *s, struct spread_part *p, struct slice body)
{
    static const uint8_t kinds[] = {[ASK_PREPARE] = TXN_COMMAND_PREPARE,
                                    [ASK_SEAL] = TXN_COMMAND_SEAL,
                                    [ASK_DECIDE] = TXN_COMMAND_DECIDE,
                                    [ASK_FORGET] = TXN_COMMAND_FORGET};
    uint64_t now_ns = client_now_ns(s->client);
    bool waits = p->asked == ASK_PREPARE && s->owner != NULL;
    uint64_t until_ns = waits ? s->owner->deadline_ns : s->give_up_ns;
    uint64_t left_ms = until_ns > now_ns ? (until_ns - now_ns) / NS_PER_MS : 0;
    uint32_t ms = waits && left_ms >= PREPARE_MS ? PREPARE_MS : (uint32_t)left_ms + 1;
    struct request *r = request_new(s->client, REQUEST_STEP, s->keyspace_name, ms, p);
    r->done.call = step_done;
    r->keyspace = s->keyspace;
    r->keyspace_known = true;
    r->low = r->high = p->span.low;
    r->txn_kind = kinds[p->asked];
    r->begins_with_pause = p->repeated;
    r->step = p->asked == ASK_PREPARE ? p->prepare : arena_dup_slice(&r->arena, body);
    s->steps++;
}

static void spread_pump(struct spread *s)
{
    bool over = s->lost || client_now_ns(s->client) >= s->give_up_ns;
    struct txn_outcome outcome;
    struct slice answer;
    for (size_t i = 0; i < s->part_count && !over; i++) {
        struct spread_part *p = &s->parts[i];
        struct buf *body = &s->client->part;
        buf_clear(body);
        enum coordinator_ask ask = coordinator_ask(s->coordinator, i, body);
        if (ask != ASK_NOTHING) {
            p->asked = ask;
            step_start(s, p, buf_slice(body));
        }
    }
    if (s->client->part.capacity > 65536) buf_free(&s->client->part);
    if (coordinator_decided(s->coordinator, &outcome)) client_saw_timestamp(s->client, outcome.ts);
    if (s->owner != NULL && (s->lost || coordinator_answer(s->coordinator, &answer))) request_ready(s->owner);
    if (s->steps == 0 && s->owner == NULL) spread_free(s);
}

/* --- the owner --- */

/* Something that it asked for, or has yet to undo, may hold locks. */
static bool in_the_way(const struct spread *s)
{
    for (size_t i = 0; i < s->part_count; i++) {
        if (s->parts[i].asked != ASK_NOTHING && s->parts[i].asked != ASK_FORGET) return true;
    }
    return false;
}

static enum step owner_leaves(struct request *r, enum step step)
{
    struct spread *s = r->spread;
    spread_owner_left(r);
    if (s->steps == 0) spread_free(s);
    return step;
}

/* Of a part that was never prepared all others come to nothing. */
static enum step owner_lost(struct request *r, uint64_t now_ns)
{
    COVER("client.spread_lost");
    (void)snprintf(r->last, sizeof(r->last), "its keyspace was dropped meanwhile");
    if (r->spread->unprepared) return owner_leaves(r, request_pause(r, now_ns));
    r->may_have_happened = r->reached = true;
    return owner_leaves(r, request_finish(r, STATUS_UNAVAILABLE, "%s", r->last));
}

enum step spread_take(struct request *r, uint64_t now_ns)
{
    struct slice answer;
    if (coordinator_answer(r->spread->coordinator, &answer)) {
        answer = arena_dup_slice(&r->arena, answer);
        if (txn_result_decode(answer, &r->arena, &r->result.txn) != STATUS_OK) {
            return owner_leaves(r, request_finish(r, STATUS_CORRUPT, "the votes of the ranges cannot be read"));
        }
        bool again = r->result.txn.status == STATUS_RETRY;
        if (again && coordinator_uncertain(r->spread->coordinator)) r->may_have_happened = r->reached = true;
        if (again && r->may_have_happened && !r->has_id) {
            COVER("client.spread_forgotten");
            return owner_leaves(r, request_finish(r, STATUS_UNAVAILABLE, "nobody remembers it: it took too long"));
        }
        /* The next attempt would meet this one's parts, and they the next one's: where links are slow more came than went. */
        if (again && in_the_way(r->spread) && !MUTANT(attempts_pile_up) && now_ns < r->deadline_ns) return STEP_WAIT;
        if (again) {
            COVER("client.spread_again");
            (void)snprintf(r->last, sizeof(r->last), "it met others and was given up");
            if (r->client->newest_ts > r->born && r->client->newest_ts - r->born > TXN_HORIZON / 2) r->born = 0;
            return owner_leaves(r, request_pause(r, now_ns));
        }
        return owner_leaves(r, request_finish_well(r));
    }
    if (r->spread->lost) return owner_lost(r, now_ns);
    if (now_ns < r->deadline_ns) return STEP_WAIT;
    COVER("client.spread_late");
    r->may_have_happened = r->reached = true;
    coordinator_hurry(r->spread->coordinator);
    struct spread *s = r->spread;
    (void)request_finish(r, STATUS_TIMEOUT, "the deadline of %u ms passed before all its ranges had voted",
                         r->timeout_ms);
    spread_owner_left(r);
    spread_pump(s);
    return STEP_DONE;
}

/* --- making one --- */

static struct spread *spread_new(struct client *c, struct slice keyspace_name, uint32_t keyspace, size_t part_count)
{
    struct spread *s = spares_take(&c->spread_spares);
    s->client = c;
    arena_init_pages(&s->arena, &c->chunks);
    s->keyspace = keyspace;
    s->keyspace_name = arena_dup_slice(&s->arena, keyspace_name);
    s->part_count = part_count;
    s->parts = arena_zalloc(&s->arena, part_count * sizeof(*s->parts));
    s->give_up_ns = client_now_ns(c) + SPREAD_LIFE_NS;
    for (size_t i = 0; i < part_count; i++) {
        s->parts[i].spread = s;
        s->parts[i].number = i;
    }
    list_push_back(&c->spreads, &s->link);
    return s;
}

struct split { /* which element of the transaction belongs to which part */
    const struct txn *t;
    uint64_t ranges[TXN_PARTICIPANTS_MAX];
    size_t range_count;
    uint32_t *compares, *ops, *elses; /* part of each */
};

/* The part of a key; false: no range is known for it, or they are too many. */
static bool part_of(struct request *r, struct split *sp, struct slice key, uint32_t *part)
{
    const struct route_range *range = routes_find(&r->client->routes, r->keyspace, key);
    if (range == NULL) return false;
    size_t i = 0;
    while (i < sp->range_count && sp->ranges[i] != range->desc.id) i++;
    if (i == TXN_PARTICIPANTS_MAX) return false;
    if (i == sp->range_count) sp->ranges[sp->range_count++] = range->desc.id;
    *part = (uint32_t)i;
    return true;
}

/* A stretch is looked at in each range that it touches. False: no range is known for a part of it, or they are too many. */
static bool cut_stretches(struct request *r, struct txn *t)
{
    size_t capacity = t->compare_count + TXN_PARTICIPANTS_MAX, n = 0;
    struct txn_compare *cut = arena_alloc(&r->arena, capacity * sizeof(*cut));
    for (size_t i = 0; i < t->compare_count; i++) {
        struct txn_compare c = t->compares[i];
        bool more = true;
        while (more && n < capacity) {
            more = false;
            cut[n++] = c;
            if (c.target != TXN_TARGET_SPAN) break;
            const struct route_range *range = routes_find(&r->client->routes, r->keyspace, c.key);
            if (range == NULL) return false;
            struct slice end = range->desc.end;
            if (end.size == 0 || (c.value.size > 0 && slice_cmp(c.value, end) <= 0)) break;
            cut[n - 1].value = arena_dup_slice(&r->arena, end);
            c.key = cut[n - 1].value;
            more = c.value.size == 0 || slice_cmp(c.key, c.value) < 0;
        }
        if (more) return false;
    }
    t->compares = cut;
    t->compare_count = n;
    return n <= LIMIT_TXN_OPS;
}

static bool split_txn(struct request *r, struct split *sp)
{
    const struct txn *t = sp->t;
    bool good = true;
    sp->compares = arena_zalloc(&r->arena, t->compare_count * sizeof(uint32_t));
    sp->ops = arena_zalloc(&r->arena, t->op_count * sizeof(uint32_t));
    sp->elses = arena_zalloc(&r->arena, t->else_count * sizeof(uint32_t));
    for (size_t i = 0; i < t->compare_count; i++) good = good && part_of(r, sp, t->compares[i].key, &sp->compares[i]);
    for (size_t i = 0; i < t->op_count; i++) good = good && part_of(r, sp, t->ops[i].key, &sp->ops[i]);
    for (size_t i = 0; i < t->else_count; i++) good = good && part_of(r, sp, t->else_ops[i].key, &sp->elses[i]);
    return good;
}

static void take_ops(struct arena *arena, const struct txn_op *from, const uint32_t *parts, size_t count, size_t part,
                     struct txn_op **ops, uint32_t **places, size_t *taken)
{
    *ops = arena_alloc(arena, (count + 1) * sizeof(**ops));
    *places = arena_alloc(arena, (count + 1) * sizeof(**places));
    for (size_t i = 0; i < count; i++) {
        if (parts[i] != part) continue;
        (*ops)[*taken] = from[i];
        (*places)[(*taken)++] = (uint32_t)i;
    }
}

/* The part's own transaction, and where its elements stand in the whole. */
static struct txn part_txn(struct arena *arena, const struct split *sp, size_t part, struct txn_places *places)
{
    struct txn t = {.keyspace = sp->t->keyspace, .ttl_ms = sp->t->ttl_ms};
    *places = (struct txn_places){.compare_count = 0};
    take_ops(arena, sp->t->ops, sp->ops, sp->t->op_count, part, &t.ops, &places->ops, &t.op_count);
    take_ops(arena, sp->t->else_ops, sp->elses, sp->t->else_count, part, &t.else_ops, &places->elses, &t.else_count);
    t.compares = arena_alloc(arena, (sp->t->compare_count + 1) * sizeof(*t.compares));
    places->compares = arena_alloc(arena, (sp->t->compare_count + 1) * sizeof(uint32_t));
    for (size_t i = 0; i < sp->t->compare_count; i++) {
        if (sp->compares[i] != part) continue;
        t.compares[t.compare_count] = sp->t->compares[i];
        places->compares[t.compare_count++] = (uint32_t)i;
    }
    places->compare_count = t.compare_count;
    places->op_count = t.op_count;
    places->else_count = t.else_count;
    return t;
}

static struct slice encode_prepare(struct spread *s, const struct txn_prepare *p, const struct txn *part)
{
    struct buf *bytes = &s->client->part, *whole = &s->client->scratch;
    struct txn_prepare with_part = *p;
    buf_clear(bytes);
    buf_clear(whole);
    txn_encode(part, bytes);
    with_part.part = buf_slice(bytes);
    txn_prepare_encode(&with_part, whole);
    struct slice encoded = arena_dup_slice(&s->arena, buf_slice(whole));
    if (bytes->capacity > 65536) buf_free(bytes);
    if (whole->capacity > 65536) buf_free(whole);
    return encoded;
}

static bool make_parts(struct spread *s, const struct split *sp, struct slice encoded, size_t anchor)
{
    struct arena *scratch = &s->client->scratch_arena;
    bool small = true;
    struct txn *parts = arena_alloc(scratch, s->part_count * sizeof(*parts));
    struct txn_places *places = arena_alloc(scratch, s->part_count * sizeof(*places));
    struct txn_span *spans = arena_alloc(scratch, s->part_count * sizeof(*spans));
    for (size_t i = 0; i < s->part_count; i++) {
        parts[i] = part_txn(scratch, sp, i, &places[i]);
        txn_key_span(&parts[i], &spans[i].low, &spans[i].high);
        s->parts[i].span.low = arena_dup_slice(&s->arena, spans[i].low);
        s->parts[i].span.high = arena_dup_slice(&s->arena, spans[i].high);
    }
    for (size_t i = 0; i < s->part_count; i++) {
        struct txn_prepare p = {.id = txn_part_id(&s->id, i),
                                .born = s->born,
                                .has_else = sp->t->else_count > 0,
                                .keyspace = s->keyspace,
                                .spans = spans,
                                .span_count = s->part_count,
                                .places = places[i]};
        if (i == anchor && !txn_id_is_none(&sp->t->id)) {
            p.keeps_answer = true;
            p.client = sp->t->id;
            p.hash = request_hash_of(encoded);
            p.anchor = txn_anchor(sp->t);
        }
        s->parts[i].prepare = encode_prepare(s, &p, &parts[i]);
        if (s->parts[i].prepare.size > LIMIT_TXN_BYTES) small = false;
    }
    arena_reset(scratch);
    return small;
}

static struct txn_id attempt_id(struct client *c)
{
    struct txn_id id;
    if (c->attempt_ids_left == 0) {
        c->env->ops->random(c->env, c->attempt_ids, sizeof(c->attempt_ids));
        c->attempt_ids_left = ATTEMPT_IDS;
    }
    memcpy(id.bytes, &c->attempt_ids[--c->attempt_ids_left * TXN_ID_BYTES], TXN_ID_BYTES);
    return id;
}

enum step spread_start(struct request *r)
{
    struct client *c = r->client;
    struct txn t;
    uint32_t anchor = 0;
    if (txn_decode(buf_slice(&r->body), &r->arena, &t, NULL) != STATUS_OK) {
        return request_finish(r, STATUS_INVALID, "the transaction is malformed: a key may be written once");
    }
    struct split sp = {.t = &t};
    if (r->has_stretch && !cut_stretches(r, &t)) return request_wait_for_map(r, client_now_ns(c));
    if (!split_txn(r, &sp) || !part_of(r, &sp, txn_anchor(&t), &anchor)) {
        if (sp.range_count < TXN_PARTICIPANTS_MAX) return request_wait_for_map(r, client_now_ns(c));
        return request_finish(r, STATUS_TOO_LARGE, "its keys lie in more than %u ranges", TXN_PARTICIPANTS_MAX);
    }
    struct spread *s = spread_new(c, r->keyspace_name, r->keyspace, sp.range_count);
    s->id = attempt_id(c);
    s->born = r->born != 0 ? r->born : c->newest_ts; /* a repetition keeps its age */
    r->born = s->born;
    s->owner = r;
    r->spread = s;
    s->coordinator = coordinator_new(&(struct coordinator_options){.id = s->id,
                                                                   .chunks = &c->chunks,
                                                                   .born = s->born,
                                                                   .participant_count = s->part_count,
                                                                   .has_client_id = r->has_id,
                                                                   .anchor = anchor});
    if (!make_parts(s, &sp, buf_slice(&r->body), anchor)) {
        spread_free(s);
        return request_finish(r, STATUS_TOO_LARGE,
                              "with what its ranges must know of each other it is larger than %u bytes",
                              LIMIT_TXN_BYTES);
    }
    COVER("client.spread");
    request_set_state(r, REQUEST_WAIT_SPREAD);
    spread_pump(s);
    return STEP_WAIT;
}

/* --- settling the fate of a transaction that was met --- */

void spread_recover(struct client *c, struct slice keyspace_name, struct slice blocked)
{
    struct txn_blocked b;
    struct arena arena;
    arena_init(&arena, 1024);
    bool good = txn_blocked_decode(blocked, &arena, &b) == STATUS_OK && b.span_count > 0;
    if (MUTANT(abandoned_left_alone)) good = false;
    LIST_FOR(it, &c->spreads)
    {
        const struct spread *s = LIST_ENTRY(it, struct spread, link);
        if (good && txn_same_attempt(&s->id, &b.holder)) good = false; /* it is being seen to */
    }
    if (good) {
        COVER("client.recovers");
        struct spread *s = spread_new(c, keyspace_name, b.keyspace, b.span_count);
        s->id = b.holder;
        s->born = b.born;
        client_saw_timestamp(c, b.min_ts);
        for (size_t i = 0; i < b.span_count; i++) {
            s->parts[i].span.low = arena_dup_slice(&s->arena, b.spans[i].low);
            s->parts[i].span.high = arena_dup_slice(&s->arena, b.spans[i].high);
        }
        s->coordinator = coordinator_new(&(struct coordinator_options){.id = s->id,
                                                                       .chunks = &c->chunks,
                                                                       .born = s->born,
                                                                       .participant_count = s->part_count,
                                                                       .recovering = true});
        spread_pump(s);
    }
    arena_free(&arena);
}

void client_saw_timestamp(struct client *c, uint64_t ts)
{
    if (ts > c->newest_ts) c->newest_ts = ts;
}
