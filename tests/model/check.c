/* Strict serializability by search: an order of the transactions in which each sees what it saw, which agrees with real time, and
 * which ends with the rows as they are. A refusal is a transaction that saw its guard false. */
#include "world.h"

#include "base/hash.h"

#include <stdio.h>

struct search {
    const struct world *w;
    int values[KEYS];
    unsigned done, refused; /* bits */
};

/* Executes the actor's transaction on the values: false if it would have seen something else. */
static bool execute(const struct search *s, unsigned actor, int values[KEYS], bool *was_refused)
{
    const struct actor_spec *spec = &s->w->scenario->actors[actor];
    const struct actor *a = &s->w->actors[actor];
    bool refused = false, told = a->ended && a->status == ACTOR_COMMITTED;
    for (unsigned i = 0; i < spec->op_count; i++) {
        const struct model_op *op = &spec->ops[i];
        switch (op->kind) {
        case MODEL_GET:
            if (told && a->seen[i] != values[op->key]) return false;
            break;
        case MODEL_PUT: values[op->key] = op->value; break;
        case MODEL_ADD:
            values[op->key] += op->value;
            if (op->min != NO_MIN && values[op->key] < op->min) refused = true;
            if (told && a->sum_known[i] && a->seen[i] != values[op->key]) return false;
            break;
        }
    }
    *was_refused = refused;
    return a->status == ACTOR_UNKNOWN || refused == (a->status == ACTOR_REFUSED);
}

static bool finals_fit(const struct search *s)
{
    for (unsigned key = 0; key < KEYS; key++) {
        if (s->values[key] != world_value(s->w, key, UINT64_MAX)) return false;
    }
    return true;
}

static bool counts(const struct world *w, unsigned actor)
{
    return w->actors[actor].status == ACTOR_COMMITTED || w->actors[actor].status == ACTOR_REFUSED;
}

/* A second attempt with the client's id that got the stored answer is the first attempt again: it is in the order once. */
static bool is_repetition(const struct search *s, unsigned actor)
{
    unsigned id = s->w->scenario->actors[actor].client_id;
    for (unsigned i = 0; id != 0 && i < s->w->scenario->actor_count; i++) {
        bool other = i != actor && (s->done & (1u << i)) != 0 && s->w->scenario->actors[i].client_id == id;
        if (other && ((s->refused >> i) & 1u) == (s->w->actors[actor].status == ACTOR_REFUSED)) return true;
    }
    return false;
}

static bool search(struct search *s)
{
    unsigned count = s->w->scenario->actor_count;
    bool all = true;
    for (unsigned i = 0; i < count; i++) {
        if (counts(s->w, i) && (s->done & (1u << i)) == 0) all = false;
    }
    if (all && finals_fit(s)) return true;
    for (unsigned i = 0; i < count; i++) {
        const struct actor *a = &s->w->actors[i];
        bool may = counts(s->w, i) || a->status == ACTOR_UNKNOWN;
        unsigned first = 0; /* what must be before it */
        for (unsigned j = 0; j < count; j++) {
            if ((a->before & (1u << j)) != 0 && counts(s->w, j)) first |= 1u << j;
        }
        if (!may || (s->done & (1u << i)) != 0 || (first & ~s->done) != 0) continue;
        struct search next = *s;
        next.done |= 1u << i;
        if (!is_repetition(s, i)) {
            bool refused = false;
            if (!execute(s, i, next.values, &refused)) continue;
            if (refused) next.refused |= 1u << i;
            if (refused) memcpy(next.values, s->values, sizeof(next.values));
        }
        if (search(&next)) return true;
    }
    return false;
}

/* Whoever asks with a client's id gets the first answer, a refusal too. */
static bool answers_agree(const struct world *w)
{
    for (unsigned i = 0; i < w->scenario->actor_count; i++) {
        for (unsigned j = 0; j < i; j++) {
            bool same = w->scenario->actors[i].client_id != 0 &&
                        w->scenario->actors[i].client_id == w->scenario->actors[j].client_id;
            if (same && counts(w, i) && counts(w, j) && w->actors[i].status != w->actors[j].status) return false;
        }
    }
    return true;
}

bool history_explained(const struct world *w)
{
    if (!answers_agree(w)) return false;
    struct search s = {.w = w};
    memcpy(s.values, w->scenario->initial, sizeof(s.values));
    return search(&s);
}

uint64_t history_hash(const struct world *w)
{
    uint64_t hash = 1;
    for (unsigned i = 0; i < w->scenario->actor_count; i++) {
        const struct actor *a = &w->actors[i];
        hash = hash_u64(hash + (uint64_t)a->status + 16 * a->before);
        for (unsigned j = 0; j < OPS_MAX; j++) {
            hash = hash_u64(hash + (uint64_t)(uint32_t)a->seen[j] + ((uint64_t)a->sum_known[j] << 40));
        }
    }
    for (unsigned key = 0; key < KEYS; key++) hash = hash_u64(hash + (uint64_t)world_value(w, key, UINT64_MAX));
    return hash;
}

void history_print(const struct world *w)
{
    static const char *const names[] = {"waits", "runs", "committed", "refused", "nothing", "unknown"};
    for (unsigned i = 0; i < w->scenario->actor_count; i++) {
        const struct actor *a = &w->actors[i];
        printf("  %u: %s, after the end of", i, names[a->status]);
        for (unsigned j = 0; j < ACTORS_MAX; j++) {
            if (a->before & (1u << j)) printf(" %u", j);
        }
        printf("; saw");
        for (unsigned j = 0; j < w->scenario->actors[i].op_count; j++) printf(" %d", a->seen[j]);
        printf("\n");
    }
    printf("  rows:");
    for (unsigned key = 0; key < KEYS; key++) printf(" %d", world_value(w, key, UINT64_MAX));
    printf("\n");
}
