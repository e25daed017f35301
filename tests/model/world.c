/* What may happen next, and the fingerprint by which states that are the same are known. */
#include "world.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

#include <stdio.h>

#define FIRST_TS 10u

struct world *world_new(const struct scenario *s)
{
    struct world *w = mem_zalloc(sizeof(*w));
    w->scenario = s;
    w->next_ts = FIRST_TS;
    for (unsigned i = 0; i < SHARDS; i++) shard_init(w, i);
    return w;
}

/* --- moves --- */

static void add(struct move *out, unsigned *count, enum move_kind kind, unsigned a, unsigned b)
{
    ASSERT(*count < MOVES_MAX);
    out[(*count)++] = (struct move){.kind = kind, .a = a, .b = b};
}

/* The undecided transaction of the actor in some range. */
static bool is_held(const struct world *w, unsigned actor)
{
    const struct actor *a = &w->actors[actor];
    for (unsigned s = 0; s < SHARDS; s++) {
        struct txn_id part = txn_part_id(&a->attempt, s);
        if (a->coordinator != NULL && txn_table_undecided(w->shards[s].table, &part)) return true;
    }
    return false;
}

static bool recovery_runs(const struct world *w, unsigned actor)
{
    for (unsigned i = 0; i < w->recoverer_count; i++) {
        const struct recoverer *r = &w->recoverers[i];
        if (!r->ended && memcmp(r->attempt.bytes, w->actors[actor].attempt.bytes, TXN_ID_BYTES) == 0) return true;
    }
    return false;
}

static unsigned actor_moves(const struct world *w, struct move *out)
{
    unsigned count = 0;
    for (unsigned i = 0; i < w->scenario->actor_count; i++) {
        const struct actor *a = &w->actors[i];
        const struct actor_spec *spec = &w->scenario->actors[i];
        bool free = spec->after == 0 || w->actors[spec->after - 1].status > ACTOR_RUNNING;
        if (a->status == ACTOR_WAITING && free) add(out, &count, MOVE_START, i, 0);
        for (unsigned s = 0; s < SHARDS; s++) {
            if (actor_may_read(w, i, s)) add(out, &count, MOVE_READ, i, s);
        }
        if (a->dead && is_held(w, i) && !recovery_runs(w, i)) add(out, &count, MOVE_RECOVER, i, 0);
    }
    return count;
}

/* What need not happen. */
static unsigned accidents(const struct world *w, struct move *out, unsigned count)
{
    const struct scenario *s = w->scenario;
    for (unsigned i = 0; i < s->actor_count; i++) {
        const struct actor *a = &w->actors[i];
        bool works = a->coordinator != NULL && !a->dead && !coordinator_done(a->coordinator);
        if (works && w->deaths < s->deaths) {
            add(out, &count, MOVE_DIE, i, 0);
            add(out, &count, MOVE_DIE, i, 1);
        }
        if (works && w->impatience < s->impatience && is_held(w, i) && !recovery_runs(w, i)) {
            add(out, &count, MOVE_RECOVER, i, 1);
        }
    }
    for (unsigned i = 0; i < SHARDS && w->new_leaders < s->new_leaders; i++) {
        add(out, &count, MOVE_NEW_LEADER, i, 0);
        if (w->shards[i].log_count > 0) add(out, &count, MOVE_NEW_LEADER, i, 1);
    }
    return count;
}

unsigned world_moves(struct world *w, struct move out[MOVES_MAX])
{
    unsigned count = actor_moves(w, out);
    for (unsigned i = 0; i < REQUESTS_MAX; i++) {
        if (request_moves(w, i, &out[count])) count++;
    }
    for (unsigned s = 0; s < SHARDS; s++) {
        if (w->shards[s].log_count > 0) add(out, &count, MOVE_APPLY, s, 0);
    }
    return count == 0 ? 0 : accidents(w, out, count);
}

void world_do(struct world *w, const struct move *m)
{
    switch (m->kind) {
    case MOVE_START: actor_start(w, m->a); break;
    case MOVE_ASK: request_ask(w, m->a); break;
    case MOVE_ISSUE: request_issue(w, m->a); break;
    case MOVE_APPEND: request_append(w, m->a); break;
    case MOVE_APPLY: shard_apply(w, m->a); break;
    case MOVE_READ: actor_read(w, m->a, m->b); break;
    case MOVE_RECOVER:
        w->impatience += m->b;
        recoverer_start(w, &w->actors[m->a].attempt, m->a + 1);
        break;
    case MOVE_DIE:
        w->deaths++;
        actor_die(w, m->a, m->b == 1);
        break;
    case MOVE_NEW_LEADER:
        w->new_leaders++;
        shard_new_leader(w, m->a, m->b == 0);
        break;
    }
    reads_go_on(w);
}

void move_text(const struct world *w, const struct move *m, char *text, size_t size)
{
    static const char *const names[] = {"start", "ask",     "issue", "append",    "apply",
                                        "read",  "recover", "die",   "new leader"};
    static const char *const kinds[] = {"", "txn", "prepare", "decide", "seal", "forget"};
    if (m->kind == MOVE_ASK || m->kind == MOVE_ISSUE || m->kind == MOVE_APPEND) {
        const struct request *q = &w->requests[m->a];
        snprintf(text, size, "%s %s of %u at %u (timestamp %llu)", names[m->kind], kinds[q->kind], q->actor, q->shard,
                 (unsigned long long)(m->kind == MOVE_ISSUE ? w->next_ts : q->ts));
    } else if (m->kind == MOVE_APPLY) {
        const struct request *q = &w->requests[w->shards[m->a].log[0]];
        snprintf(text, size, "apply %s of %u at %u", kinds[q->kind], q->actor, m->a);
    } else {
        snprintf(text, size, "%s %u %u", names[m->kind], m->a, m->b);
    }
}

/* --- the end --- */

void world_check_end(const struct world *w)
{
    for (unsigned i = 0; i < w->scenario->actor_count; i++) {
        ASSERT(w->actors[i].status > ACTOR_RUNNING); /* everybody was told, or died */
    }
    for (unsigned s = 0; s < SHARDS; s++) {
        ASSERT(txn_table_undecided_min(w->shards[s].table) == UINT64_MAX); /* no lock is left behind */
        ASSERT(gate_in_flight(w->shards[s].gate) == 0);
    }
    for (unsigned i = 0; i < w->recoverer_count; i++) ASSERT(w->recoverers[i].ended);
}

/* --- the fingerprint --- */

static uint64_t mix(uint64_t hash, uint64_t v)
{
    return hash_u64(hash ^ (v + 0x9e3779b97f4a7c15u));
}

static uint64_t mix_actor(uint64_t hash, const struct actor *a)
{
    hash =
        mix(hash, (uint64_t)a->status | (uint64_t)a->before << 8 | (uint64_t)a->ended << 16 | (uint64_t)a->dead << 17);
    for (unsigned i = 0; i < OPS_MAX; i++)
        hash = mix(hash, (uint64_t)(uint32_t)a->seen[i] | (uint64_t)a->sum_known[i] << 32);
    hash = mix(hash, a->ways);
    hash = mix(hash, a->snapshot_ts);
    for (unsigned s = 0; s < SHARDS; s++) hash = mix(mix(hash, a->reads[s].state), a->reads[s].limit);
    return hash;
}

/* Which requests a reader waits for: those in flight when it arrived. */
static uint64_t mix_gate(uint64_t hash, const struct actor *a, const struct request *q)
{
    for (unsigned s = 0; s < SHARDS; s++) {
        bool waits = a->reads[s].state == READ_GATE && q->shard == s && q->gate.ticket != 0 &&
                     q->gate.ticket < a->reads[s].gate.ticket;
        hash = mix(hash, waits);
    }
    return hash;
}

static uint64_t request_hash(const struct world *w, const struct request *q)
{
    uint64_t hash = mix((uint64_t)q->state, q->shard | q->actor << 8 | q->recoverer << 16 | (unsigned)q->kind << 24);
    hash = mix(hash, q->ts);
    hash = mix(hash, hash_bytes(buf_slice(&q->body), 6));
    hash = mix(hash, hash_bytes(slice_make(q->waits_for.bytes, TXN_ID_BYTES), 8));
    for (unsigned i = 0; i < w->scenario->actor_count; i++) hash = mix_gate(hash, &w->actors[i], q);
    return hash;
}

uint64_t world_fingerprint(const struct world *w)
{
    uint64_t hash = mix(w->next_ts, w->deaths | w->impatience << 8 | w->new_leaders << 16 | w->recoverer_count << 24),
             sum = 0;
    for (unsigned i = 0; i < w->scenario->actor_count; i++) hash = mix_actor(hash, &w->actors[i]);
    for (unsigned i = 0; i < w->recoverer_count; i++) {
        const struct recoverer *r = &w->recoverers[i];
        hash = mix(mix(hash, r->ways), r->attempt.bytes[0] | (r->ended ? 256u : 0));
    }
    for (unsigned i = 0; i < REQUESTS_MAX; i++) { /* whatever their numbers */
        if (w->requests[i].state != REQUEST_FREE) sum += request_hash(w, &w->requests[i]);
    }
    hash = mix(hash, sum);
    for (unsigned s = 0; s < SHARDS; s++) {
        const struct shard *shard = &w->shards[s];
        for (unsigned i = 0; i < shard->log_count; i++) hash = mix(hash, request_hash(w, &w->requests[shard->log[i]]));
        hash = shard_fingerprint(w, s, hash);
    }
    return hash;
}
