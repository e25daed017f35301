/* What a replica holds for resolved at (timestamp, index) is so, whether or not somebody reads there: of the range's log, no entry
 * behind that index has a timestamp of its own at or below it, now or ever. Looks at what replicas know, not at what they answer,
 * so that a wrong word is found without a reader in the one moment in which it does harm. */
#include "base/map.h"
#include "base/mem.h"
#include "raft/raft.h"
#include "range/change_int.h"
#include "sim/check.h"
#include "sim/cluster.h"
#include "txn/command.h"

struct claim { /* as last looked at */
    unsigned life;
    uint64_t ts, index, commit;
};

struct group {
    uint64_t id;
    uint64_t *ts; /* of the committed entry at this index; 0: it has none of its own, or is not known */
    size_t capacity;
    uint64_t last;       /* known up to here */
    uint64_t claimed_ts; /* the highest that anybody held for resolved at an index up to last */
    struct claim claims[SIM_PROCESSES_MAX];
};

enum { RECENT = 128 };

struct check_resolved {
    struct world *world;
    struct map groups;
    struct group *recent[RECENT]; /* of groups, by id: most are looked at after every pass */
};

struct check_resolved *check_resolved_new(struct world *w)
{
    struct check_resolved *c = mem_zalloc(sizeof *c);
    c->world = w;
    map_init(&c->groups);
    return c;
}

void check_resolved_free(struct check_resolved *c)
{
    uint64_t key;
    void *value;
    for (size_t it = 0; map_next(&c->groups, &it, &key, &value);) {
        struct group *g = value;
        mem_free(g->ts);
        mem_free(g);
    }
    map_free(&c->groups);
    mem_free(c);
}

void check_resolved_forget(struct check_resolved *c, uint64_t id)
{
    struct group *g = map_remove(&c->groups, id);
    c->recent[id % RECENT] = NULL;
    if (g != NULL) mem_free(g->ts);
    mem_free(g);
}

static struct group *group_of(struct check_resolved *c, uint64_t id)
{
    struct group **recent = &c->recent[id % RECENT], *g = *recent;
    if (g != NULL && g->id == id) return g;
    *recent = g = map_get(&c->groups, id);
    if (g != NULL) return g;
    g = mem_zalloc(sizeof *g);
    g->id = id;
    map_put(&c->groups, id, g);
    *recent = g;
    return g;
}

static void broken(struct check_resolved *c, const struct group *g, const struct process *p, uint64_t ts,
                   uint64_t index)
{
    world_fail(c->world, "range %llu was resolved at %llu, but the entry %llu, seen on %s, has the timestamp %llu",
               (unsigned long long)g->id, (unsigned long long)ts, (unsigned long long)index, p->name,
               (unsigned long long)g->ts[index]);
}

static void note_entry(struct check_resolved *c, struct group *g, const struct process *p, const struct raft_entry *e)
{
    struct txn_command command;
    if (e->index >= g->capacity) {
        size_t capacity = (size_t)e->index * 2 + 256;
        g->ts = mem_realloc(g->ts, capacity * sizeof *g->ts);
        memset(g->ts + g->capacity, 0, (capacity - g->capacity) * sizeof *g->ts);
        g->capacity = capacity;
    }
    if (e->index <= g->last) return;
    g->last = e->index;
    if (e->type != RAFT_ENTRY_COMMAND || txn_command_decode(e->data, &command) != STATUS_OK) return;
    if (!txn_command_has_ts(command.kind)) return;
    g->ts[e->index] = command.ts;
    if (command.ts != 0 && command.ts <= g->claimed_ts) broken(c, g, p, g->claimed_ts, e->index);
}

/* Timestamps rise along a log: the first behind the index tells of all. */
static void note_claim(struct check_resolved *c, struct group *g, const struct process *p, const struct resolved *r)
{
    if (r->index > g->last) return; /* it was not seen how it got so far: of a snapshot */
    if (r->ts > g->claimed_ts) g->claimed_ts = r->ts;
    uint64_t i = r->index + 1;
    while (i <= g->last && g->ts[i] == 0) i++;
    if (i <= g->last && g->ts[i] <= r->ts) broken(c, g, p, r->ts, i);
}

/* As resolve_fold reckons it, which changes nothing here. */
static struct resolved claim_of(const struct replica *r)
{
    const struct resolve_replica *v = &r->resolve;
    struct resolved now = v->state.now, other = {0};
    struct link *l = v->cover_node == 0 ? NULL : map_get(&r->host->links, v->cover_node);
    if (v->leader != NULL && v->leader->resting) {
        other = r->host->resolve.rest;
        other.index = v->leader->closing.index;
    } else if (l != NULL && link_resolve(l)->cover_life == v->cover_life) {
        other = link_resolve(l)->newest;
        other.index = v->cover_index;
    }
    return other.ts > now.ts && other.index <= r->applied ? other : now;
}

void check_resolved_replica(struct check_resolved *c, const struct process *p, const struct replica *r)
{
    struct group *g = group_of(c, r->desc->id);
    struct claim *seen = &g->claims[p->index];
    uint64_t commit = raft_commit(r->raft);
    if (seen->life != p->lives) *seen = (struct claim){.life = p->lives};
    if (commit > seen->commit) {
        uint64_t first = raft_first_index(r->raft);
        for (uint64_t i = seen->commit < first ? first : seen->commit + 1; i <= commit; i++) {
            const struct raft_entry *e = raft_entry_at(r->raft, i);
            if (e != NULL) note_entry(c, g, p, e);
        }
    }
    seen->commit = commit;
    struct resolved now = claim_of(r);
    if (now.ts == seen->ts && now.index == seen->index) return;
    seen->ts = now.ts;
    seen->index = now.index;
    if (now.ts != 0 && r->state == REPLICA_RUNNING && !r->members.leaving) note_claim(c, g, p, &now);
}
