#include "range/effects.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

void effects_init(struct effects *e, uint64_t every, uint64_t applied)
{
    effects_free(e);
    *e = (struct effects){
        .every = every, .next = applied + 1, .begun = applied + 1, .whole = every > 0 && applied % every == 0};
}

void effects_free(struct effects *e)
{
    mem_free(e->memory);
    e->memory = NULL;
}

static struct effects_memory *memory_of(struct effects *e)
{
    if (e->memory == NULL) e->memory = mem_zalloc(sizeof *e->memory);
    return e->memory;
}

static const struct effects_memory NOTHING;

static const struct effects_memory *known(const struct effects *e)
{
    return e->memory != NULL ? e->memory : &NOTHING;
}

void effects_note(struct effects *e, uint64_t number)
{
    e->hash = hash_u64(e->hash ^ number) + number;
}

void effects_note_bytes(struct effects *e, struct slice bytes)
{
    effects_note(e, bytes.size);
    e->hash = hash_bytes(bytes, e->hash);
}

const struct effects_window *effects_own(const struct effects *e)
{
    return known(e)->own;
}

static void own_push(struct effects *e, uint64_t index, uint64_t hash)
{
    struct effects_memory *m = memory_of(e);
    memmove(&m->own[1], &m->own[0], (EFFECTS_WINDOWS - 1) * sizeof m->own[0]);
    m->own[0] = (struct effects_window){.index = index, .hash = hash};
}

/* True: it was seen from its beginning, and is remembered. */
static bool window_end(struct effects *e)
{
    bool whole = e->whole;
    if (whole) own_push(e, e->next - 1, e->hash);
    e->whole = true;
    e->begun = e->next;
    e->hash = 0;
    return whole;
}

bool effects_cut(struct effects *e, bool *whole, uint64_t *hash)
{
    *whole = e->whole;
    *hash = e->hash;
    if (e->every == 0 || e->begun == e->next) return false; /* it has ended here anyway */
    return window_end(e);
}

void effects_add_rows(struct effects *e, uint64_t index, uint64_t hash)
{
    own_push(e, index | EFFECTS_ROWS, hash);
}

bool effects_end(struct effects *e, uint64_t index)
{
    ASSERT(index == e->next);
    effects_note(e, index);
    e->next++;
    return e->every > 0 && index % e->every == 0 && window_end(e);
}

void effects_claim(struct effects *e, uint64_t replica, const struct effects_window *w)
{
    struct effects_memory *m = memory_of(e);
    for (unsigned i = 0; i < EFFECTS_CLAIMS; i++) {
        if (m->claims[i].replica == replica && m->claims[i].window.index == w->index) {
            m->claims[i].window = *w;
            return;
        }
    }
    m->claims[m->claim_next] = (struct effects_claim){.replica = replica, .window = *w};
    m->claim_next = (m->claim_next + 1) % EFFECTS_CLAIMS;
}

static const struct effects_window *claim_of(const struct effects *e, uint64_t replica, uint64_t index)
{
    const struct effects_claim *claims = known(e)->claims;
    for (unsigned i = 0; i < EFFECTS_CLAIMS; i++) {
        if (claims[i].replica == replica && claims[i].window.index == index) return &claims[i].window;
    }
    return NULL;
}

static enum effects_verdict judge_window(const struct effects *e, const struct effects_window *own,
                                         const uint64_t *voters, unsigned count, uint64_t self)
{
    unsigned agree = 0, differ = 0, most = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct effects_window *w = voters[i] == self ? own : claim_of(e, voters[i], own->index);
        if (w == NULL) continue;
        agree += w->hash == own->hash;
        differ += w->hash != own->hash;
        unsigned same = 0; /* voters that claim what this one claims */
        for (unsigned k = 0; k < count && w->hash != own->hash; k++) {
            const struct effects_window *other = voters[k] == self ? own : claim_of(e, voters[k], own->index);
            same += other != NULL && other->hash == w->hash;
        }
        if (same > most) most = same;
    }
    unsigned majority = count / 2 + 1;
    if (most >= majority) return EFFECTS_DIVERGED;
    if (differ > 0) return EFFECTS_DOUBT;
    return agree >= majority ? EFFECTS_AGREE : EFFECTS_UNKNOWN;
}

enum effects_verdict effects_judge(const struct effects *e, const uint64_t *voters, unsigned voter_count, uint64_t self,
                                   struct effects_window *at)
{
    enum effects_verdict worst = EFFECTS_UNKNOWN;
    const struct effects_window *own = known(e)->own;
    for (unsigned i = 0; i < EFFECTS_WINDOWS && own[i].index != 0; i++) {
        enum effects_verdict v = judge_window(e, &own[i], voters, voter_count, self);
        if (v <= worst) continue;
        worst = v;
        *at = own[i];
    }
    return worst;
}
