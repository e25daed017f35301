/* Actors of the model: clients with one transaction or read each, coordinators, and those who settle abandoned transactions. */
#include "world.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

#define KEYSPACE 1u

/* --- transactions --- */

struct made { /* the part of an actor's transaction in one range, or in both */
    struct txn t;
    struct txn_op ops[OPS_MAX];
    uint32_t places[OPS_MAX];
    uint8_t values[OPS_MAX];
};

static struct txn_id id_of(unsigned number)
{
    return (struct txn_id){.bytes = {(uint8_t)number, 1}};
}

static void make(const struct actor_spec *spec, unsigned shard, struct made *m)
{
    *m = (struct made){.t = {.keyspace = KEYSPACE}};
    m->t.ops = m->ops;
    for (unsigned i = 0; i < spec->op_count; i++) {
        const struct model_op *op = &spec->ops[i];
        if (shard < SHARDS && shard_of(op->key) != shard) continue;
        struct txn_op *out = &m->ops[m->t.op_count];
        m->places[m->t.op_count] = i;
        m->values[i] = (uint8_t)op->value;
        *out = (struct txn_op){.key = model_user_key(op->key), .min = I128_MIN, .max = I128_MAX};
        out->kind = op->kind == MODEL_GET ? TXN_GET : op->kind == MODEL_PUT ? TXN_PUT : TXN_ADD;
        out->value = op->kind == MODEL_PUT ? slice_make(&m->values[i], 1) : SLICE_EMPTY;
        out->delta = op->value;
        if (op->kind == MODEL_ADD && op->min != NO_MIN) out->min = op->min;
        m->t.op_count++;
    }
}

static void prepare_body(const struct actor_spec *spec, const struct actor *a, uint64_t born, unsigned shard,
                         struct buf *out)
{
    struct made part, whole;
    struct buf bytes, all;
    struct txn_span spans[SHARDS];
    buf_init(&bytes, 1u << 16);
    buf_init(&all, 1u << 16);
    make(spec, shard, &part);
    make(spec, SHARDS, &whole);
    if (spec->client_id != 0) whole.t.id = id_of(spec->client_id);
    txn_encode(&part.t, &bytes);
    txn_encode(&whole.t, &all);
    for (unsigned i = 0; i < SHARDS; i++) {
        struct made other;
        make(spec, i, &other);
        txn_key_span(&other.t, &spans[i].low, &spans[i].high);
    }
    struct txn_prepare p = {.id = txn_part_id(&a->attempt, shard),
                            .born = born,
                            .keyspace = KEYSPACE,
                            .spans = spans,
                            .span_count = SHARDS,
                            .places = {.ops = part.places, .op_count = part.t.op_count},
                            .part = buf_slice(&bytes)};
    if (spec->client_id != 0 && shard == shard_of(spec->ops[0].key)) {
        p.keeps_answer = true;
        p.client = id_of(spec->client_id);
        p.hash = request_hash_of(buf_slice(&all));
        p.anchor = txn_anchor(&whole.t);
    }
    txn_prepare_encode(&p, out);
    buf_free(&bytes);
    buf_free(&all);
}

static void end(struct world *w, unsigned actor, enum actor_status status)
{
    struct actor *a = &w->actors[actor];
    if (a->ended) return;
    a->status = status;
    a->ended = status != ACTOR_UNKNOWN;
}

static void take_result(struct world *w, unsigned actor, struct slice bytes)
{
    struct actor *a = &w->actors[actor];
    struct txn_result r;
    struct arena arena;
    if (a->status != ACTOR_RUNNING) return;
    arena_init(&arena, 1024);
    if (txn_result_decode(bytes, &arena, &r) != STATUS_OK) BUG("result");
    for (unsigned i = 0; i < r.op_count; i++) {
        const struct txn_op_result *o = &r.ops[i];
        i128 sum = 0;
        if (o->kind == TXN_GET && o->found) a->seen[i] = o->value.size > 0 ? o->value.data[0] : 0;
        if ((o->kind == TXN_ADD || (o->kind == TXN_GET && o->found)) && i128_parse(o->value, &sum))
            a->seen[i] = (int)sum;
        if (o->kind == TXN_ADD && o->value.size > 0) a->sum_known[i] = true;
    }
    end(w, actor,
        r.status == STATUS_OK             ? ACTOR_COMMITTED
        : r.status == STATUS_GUARD_FAILED ? ACTOR_REFUSED
                                          : ACTOR_NOTHING);
    arena_free(&arena);
}

/* --- coordinators --- */

static struct coordinator *coordinator_of(struct world *w, const struct request *q)
{
    return q->recoverer > 0 ? w->recoverers[q->recoverer - 1].coordinator : w->actors[q->actor].coordinator;
}

static void note_way(struct world *w, const struct request *q, uint64_t what)
{
    uint64_t *ways = q->recoverer > 0 ? &w->recoverers[q->recoverer - 1].ways : &w->actors[q->actor].ways;
    *ways += hash_u64(hash_u64(what) + q->shard); /* whatever the order of the two participants */
}

/* Sends what is to be sent; messages take their time from REQUEST_NEW on. */
static void pump(struct world *w, unsigned actor, unsigned recoverer)
{
    struct actor *a = &w->actors[actor];
    struct coordinator *c = recoverer > 0 ? w->recoverers[recoverer - 1].coordinator : a->coordinator;
    if (c == NULL || (recoverer == 0 && a->dead)) return;
    for (unsigned i = 0; i < SHARDS; i++) {
        struct buf body;
        buf_init(&body, 1u << 20);
        enum coordinator_ask ask = coordinator_ask(c, i, &body);
        static const enum txn_command_kind kinds[] = {[ASK_PREPARE] = TXN_COMMAND_PREPARE,
                                                      [ASK_SEAL] = TXN_COMMAND_SEAL,
                                                      [ASK_DECIDE] = TXN_COMMAND_DECIDE,
                                                      [ASK_FORGET] = TXN_COMMAND_FORGET};
        if (ask != ASK_NOTHING) {
            unsigned request = request_new(w, i, kinds[ask]);
            struct request *q = &w->requests[request];
            q->actor = actor;
            q->recoverer = recoverer;
            q->born = actor + 1;
            if (ask == ASK_FORGET && w->scenario->no_settling) {
                txn_seal_encode(&(struct txn_seal){.id = txn_part_id(&a->attempt, i)}, &q->body);
            } else if (ask == ASK_PREPARE) {
                prepare_body(&w->scenario->actors[actor], a, q->born, i, &q->body);
            } else {
                buf_append_slice(&q->body, buf_slice(&body));
            }
            note_way(w, q, (uint64_t)ask);
        }
        buf_free(&body);
    }
    struct slice answer;
    if (recoverer == 0 && coordinator_answer(c, &answer)) take_result(w, actor, answer);
    if (recoverer > 0 && coordinator_done(c)) w->recoverers[recoverer - 1].ended = true;
}

void actor_answered(struct world *w, unsigned request, struct slice answer)
{
    struct request *q = &w->requests[request];
    unsigned actor = q->actor, recoverer = q->recoverer, shard = q->shard;
    bool plain = q->kind == TXN_COMMAND_KIND, deaf = recoverer == 0 && w->actors[actor].dead;
    struct coordinator *c = coordinator_of(w, q);
    if (!plain && !deaf) note_way(w, q, hash_bytes(answer, 7));
    request_free(w, request);
    if (plain) {
        take_result(w, actor, answer);
    } else if (!deaf) {
        if (coordinator_voted(c, shard, answer) != STATUS_OK) BUG("vote");
        pump(w, actor, recoverer);
    }
}

static void lost(struct world *w, unsigned request, bool unknown, bool blocked)
{
    struct request *q = &w->requests[request];
    unsigned actor = q->actor, recoverer = q->recoverer, shard = q->shard;
    bool plain = q->kind == TXN_COMMAND_KIND, deaf = recoverer == 0 && w->actors[actor].dead;
    struct coordinator *c = coordinator_of(w, q);
    if (!plain && !deaf) note_way(w, q, blocked ? 98 : 99);
    request_free(w, request);
    if (plain) {
        end(w, actor, unknown ? ACTOR_UNKNOWN : ACTOR_NOTHING);
    } else if (!deaf) {
        if (blocked)
            coordinator_blocked(c, shard);
        else
            coordinator_failed(c, shard);
        pump(w, actor, recoverer);
    }
}

void actor_lost(struct world *w, unsigned request, bool unknown)
{
    lost(w, request, unknown, false);
}

void actor_blocked(struct world *w, unsigned request)
{
    lost(w, request, false, true);
}

void actor_die(struct world *w, unsigned actor, bool drop)
{
    struct actor *a = &w->actors[actor];
    a->dead = true;
    if (a->status == ACTOR_RUNNING) end(w, actor, ACTOR_UNKNOWN);
    for (unsigned i = 0; i < REQUESTS_MAX && drop; i++) {
        struct request *q = &w->requests[i];
        if (q->state == REQUEST_NEW && q->actor == actor && q->recoverer == 0) request_free(w, i);
    }
}

void recoverer_start(struct world *w, const struct txn_id *id, uint64_t born)
{
    ASSERT(w->recoverer_count < RECOVERERS_MAX);
    struct recoverer *r = &w->recoverers[w->recoverer_count++];
    unsigned actor = id->bytes[0] - 1u;
    r->attempt = *id;
    r->coordinator = coordinator_new(
        &(struct coordinator_options){.id = *id, .born = born, .participant_count = SHARDS, .recovering = true});
    pump(w, actor, w->recoverer_count);
}

/* --- starting --- */

void actor_start(struct world *w, unsigned actor)
{
    struct actor *a = &w->actors[actor];
    const struct actor_spec *spec = &w->scenario->actors[actor];
    a->status = ACTOR_RUNNING;
    for (unsigned i = 0; i < w->scenario->actor_count; i++) a->before |= (w->actors[i].ended ? 1u : 0u) << i;
    switch (spec->kind) {
    case ACTOR_PLAIN: {
        struct made m;
        unsigned request = request_new(w, shard_of(spec->ops[0].key), TXN_COMMAND_KIND);
        make(spec, SHARDS, &m);
        if (spec->client_id != 0) m.t.id = id_of(spec->client_id);
        txn_encode(&m.t, &w->requests[request].body);
        w->requests[request].actor = actor;
        w->requests[request].born = actor + 1;
        return;
    }
    case ACTOR_CROSS:
        a->attempt = (struct txn_id){.bytes = {(uint8_t)(actor + 1), 9}};
        a->coordinator = coordinator_new(&(struct coordinator_options){.id = a->attempt,
                                                                       .born = actor + 1,
                                                                       .participant_count = SHARDS,
                                                                       .has_client_id = spec->client_id != 0,
                                                                       .anchor = shard_of(spec->ops[0].key)});
        pump(w, actor, 0);
        return;
    case ACTOR_SNAPSHOT: a->snapshot_ts = w->next_ts++; break;
    case ACTOR_LATEST: break;
    }
    for (unsigned s = 0; s < SHARDS; s++) {
        bool wanted = false;
        for (unsigned i = 0; i < spec->op_count; i++) wanted = wanted || shard_of(spec->ops[i].key) == s;
        a->reads[s].state = wanted ? READ_NEW : READ_DONE;
    }
}

/* --- reads: docs/transactions.md, "Order" --- */

static bool read_waits(const struct world *w, unsigned actor, unsigned shard)
{
    const struct actor_spec *spec = &w->scenario->actors[actor];
    bool waits = false;
    for (unsigned i = 0; i < spec->op_count; i++) {
        struct txn_id by;
        struct buf key;
        if (shard_of(spec->ops[i].key) != shard) continue;
        buf_init(&key, 64);
        key_encode_data(&key, KEYSPACE, model_user_key(spec->ops[i].key));
        waits = waits ||
                txn_table_read_waits(w->shards[shard].table, buf_slice(&key), w->actors[actor].reads[shard].limit, &by);
        buf_free(&key);
    }
    return waits;
}

/* Readers whose writes in flight have gone see at once up to where the range's timestamps go. */
void reads_go_on(struct world *w)
{
    for (unsigned i = 0; i < w->scenario->actor_count; i++) {
        struct actor *a = &w->actors[i];
        if (a->status != ACTOR_RUNNING) continue;
        for (unsigned s = 0; s < SHARDS; s++) {
            struct reading *r = &a->reads[s];
            if (r->state != READ_GATE || !gate_may_pass(w->shards[s].gate, &r->gate)) continue;
            r->state = READ_LOCKS;
            r->limit = a->snapshot_ts != 0 ? a->snapshot_ts : UINT64_MAX;
            if (a->snapshot_ts == 0) r->limit = gate_floor(w->shards[s].gate);
        }
    }
}

static void arrive(struct world *w, unsigned actor, unsigned shard)
{
    const struct actor_spec *spec = &w->scenario->actors[actor];
    struct reading *r = &w->actors[actor].reads[shard];
    struct buf key;
    buf_init(&key, 64);
    if (spec->op_count == 1) key_encode_data(&key, KEYSPACE, model_user_key(spec->ops[0].key));
    gate_arrive(w->shards[shard].gate, buf_slice(&key), &r->gate);
    if (w->scenario->no_latest_rule && spec->kind == ACTOR_LATEST) r->gate.ticket = 0;
    buf_free(&key);
    r->state = READ_GATE;
}

void actor_read(struct world *w, unsigned actor, unsigned shard)
{
    struct actor *a = &w->actors[actor];
    const struct actor_spec *spec = &w->scenario->actors[actor];
    if (a->reads[shard].state == READ_NEW) {
        arrive(w, actor, shard);
        return;
    }
    for (unsigned i = 0; i < spec->op_count; i++) {
        if (shard_of(spec->ops[i].key) != shard) continue;
        a->seen[i] = world_value(w, spec->ops[i].key, a->snapshot_ts != 0 ? a->snapshot_ts : UINT64_MAX);
    }
    a->reads[shard].state = READ_DONE;
    for (unsigned s = 0; s < SHARDS; s++) {
        if (a->reads[s].state != READ_DONE) return;
    }
    end(w, actor, ACTOR_COMMITTED);
}

bool actor_may_read(const struct world *w, unsigned actor, unsigned shard)
{
    const struct actor *a = &w->actors[actor];
    enum actor_kind kind = w->scenario->actors[actor].kind;
    if (a->status != ACTOR_RUNNING || (kind != ACTOR_LATEST && kind != ACTOR_SNAPSHOT)) return false;
    if (a->reads[shard].state == READ_NEW) return true;
    return a->reads[shard].state == READ_LOCKS && !read_waits(w, actor, shard);
}
