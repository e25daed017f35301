/* Thousands of groups have one and the same configuration: a host's groups share one copy of each. */
#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "raft/raft_int.h"

struct raft_config_shared { /* first its configuration: what groups point to is that */
    struct raft_config config;
    struct raft_configs *pool; /* NULL: nobody shares it */
    uint64_t hash, users;
};

void raft_configs_init(struct raft_configs *p)
{
    map_init(&p->by_hash);
}

void raft_configs_free(struct raft_configs *p)
{
    ASSERT(p->by_hash.count == 0);
    map_free(&p->by_hash);
}

static bool same_ids(const uint64_t *a, unsigned a_count, const uint64_t *b, unsigned b_count)
{
    return a_count == b_count && memcmp(a, b, a_count * sizeof *a) == 0;
}

static bool same_config(const struct raft_config *a, const struct raft_config *b)
{
    return same_ids(a->voters, a->voter_count, b->voters, b->voter_count) &&
           same_ids(a->old_voters, a->old_voter_count, b->old_voters, b->old_voter_count) &&
           same_ids(a->learners, a->learner_count, b->learners, b->learner_count);
}

static uint64_t config_hash(const struct raft_config *c)
{
    uint64_t h = hash_bytes(slice_make((const uint8_t *)c->voters, c->voter_count * sizeof c->voters[0]), 1);
    h = hash_bytes(slice_make((const uint8_t *)c->old_voters, c->old_voter_count * sizeof c->voters[0]), h);
    return hash_bytes(slice_make((const uint8_t *)c->learners, c->learner_count * sizeof c->voters[0]), h);
}

static const struct raft_config *config_take(struct raft_configs *pool, const struct raft_config *c)
{
    uint64_t hash = config_hash(c);
    struct raft_config_shared *s = pool == NULL ? NULL : map_get(&pool->by_hash, hash);
    if (s != NULL && same_config(&s->config, c)) {
        s->users++;
        return &s->config;
    }
    bool collides = s != NULL;
    s = mem_zalloc(sizeof *s);
    *s = (struct raft_config_shared){.config = *c, .pool = collides ? NULL : pool, .hash = hash, .users = 1};
    if (s->pool != NULL) (void)map_put(&pool->by_hash, hash, s);
    return &s->config;
}

void raft_config_drop(const struct raft_config *c)
{
    if (c == NULL) return;
    struct raft_config_shared *s = (struct raft_config_shared *)(uintptr_t)c;
    if (--s->users > 0) return;
    if (s->pool != NULL) (void)map_remove(&s->pool->by_hash, s->hash);
    mem_free(s);
}

void raft_config_hold(struct raft *r, const struct raft_config *c)
{
    const struct raft_config *former = r->config;
    r->config = config_take(r->options->configs, c);
    raft_config_drop(former);
}
