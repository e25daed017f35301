/* Raft's properties (Ongaro 2014, figure 3.2) as seen from outside: election safety, log matching, and state machine safety
 * in the form "the committed prefix is one". The record outlives every process, so a committed entry that a later leader
 * lacks is found as soon as something else is committed in its place.
 *
 * And what these rest on: a replica that starts again holds what a leader counts on it for, and the voters that could elect
 * a second leader of a term are fewer than a majority. So a promise that was given before the disk held it is found when it
 * is lost, not only when, some rare time, somebody makes use of that.
 *
 * A replica that has left a host never comes back to it: whoever holds the range there again has a higher id. What keeps it away is a
 * tombstone, which is there in every later life of the host. A learner becomes a voter only with entries of its own. */
#include "base/assert.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "raft/raft_int.h"
#include "range/host_int.h"
#include "range/members.h"
#include "sim/check.h"
#include "sim/cluster.h"

#include <limits.h>

struct known_entry {
    uint64_t term, hash;
};

struct seen { /* how far this life of the replica has been looked at */
    unsigned life;
    uint64_t id, term, vote, commit, last, last_term, applied, conf_ver;
    uint64_t look;             /* of the host, in which it was there last */
    uint64_t matches, changes; /* a leader: of its peers, hashed; of the group, then */
    bool recovering, leads;
};

struct promise { /* the newest leader that knows of the replica's log, and how far */
    uint64_t term, match;
};

struct group {
    uint64_t id;
    struct map leaders;            /* term -> process */
    uint64_t elected_term;         /* the highest of these */
    struct map entries;            /* hash of (index, term) -> struct known_entry */
    struct known_entry *committed; /* by index */
    size_t committed_capacity;
    struct seen seen[SIM_PROCESSES_MAX];
    struct promise promises[SIM_PROCESSES_MAX];
    uint32_t leading;                 /* bits of those that led when they were looked at last */
    uint64_t changes;                 /* of whose replicas are there, and promises that were let go */
    uint64_t gone[SIM_PROCESSES_MAX]; /* highest id of a replica that was there and is not any more */
    uint64_t conf_ver;                /* highest that was seen */
    uint64_t config_index;            /* of the last configuration that its proposer was looked at for */
    bool absorbed[SIM_PROCESSES_MAX]; /* by a neighbour, there */
    bool complete;                    /* once a leader has heard from every voter */
};

struct raft_look { /* at a host, under way */
    unsigned replicas;
    bool fresh; /* one of them was not there at the last look */
};

enum { RECENT = 128 };

struct check_raft {
    struct world *world;
    uint64_t looks;
    struct map groups;
    struct group *recent[RECENT];       /* of groups, by id: most are looked at after every pass */
    unsigned hosted[SIM_PROCESSES_MAX]; /* replicas at the last look */
    unsigned incomplete;                /* groups */
    unsigned lives[SIM_PROCESSES_MAX];  /* of the host, at the last look */
    struct raft_look look;
};

struct check_raft *check_raft_new(struct world *w)
{
    struct check_raft *c = mem_zalloc(sizeof *c);
    c->world = w;
    map_init(&c->groups);
    return c;
}

static void group_free(struct group *g)
{
    uint64_t key;
    void *value;
    for (size_t it = 0; map_next(&g->entries, &it, &key, &value);) mem_free(value);
    map_free(&g->entries);
    map_free(&g->leaders);
    mem_free(g->committed);
    mem_free(g);
}

void check_raft_free(struct check_raft *c)
{
    uint64_t key;
    void *value;
    for (size_t it = 0; map_next(&c->groups, &it, &key, &value);) group_free(value);
    map_free(&c->groups);
    mem_free(c);
}

static struct group *group_of(struct check_raft *c, uint64_t id)
{
    struct group **recent = &c->recent[id % RECENT], *g = *recent;
    if (g != NULL && g->id == id) return g;
    *recent = g = map_get(&c->groups, id);
    if (g != NULL) return g;
    g = mem_zalloc(sizeof *g);
    g->id = id;
    map_init(&g->leaders);
    map_init(&g->entries);
    map_put(&c->groups, id, g);
    *recent = g;
    c->incomplete++;
    return g;
}

void check_raft_forget(struct check_raft *c, uint64_t id)
{
    struct group *g = map_remove(&c->groups, id);
    c->recent[id % RECENT] = NULL;
    if (g == NULL) return;
    if (!g->complete) c->incomplete--;
    group_free(g);
}

static void seen_clear(struct group *g, const struct process *p)
{
    g->seen[p->index] = (struct seen){.life = p->lives};
    g->leading &= ~(1u << p->index);
    g->changes++;
}

static void promise_clear(struct group *g, const struct process *p)
{
    g->promises[p->index] = (struct promise){.term = 0};
    g->changes++;
}

void check_raft_emptied(struct check_raft *c, const struct process *p)
{
    uint64_t id;
    void *value;
    for (size_t it = 0; map_next(&c->groups, &it, &id, &value);) {
        struct group *g = value;
        seen_clear(g, p);
        promise_clear(g, p);
        g->gone[p->index] = 0;
        g->absorbed[p->index] = false;
    }
}

static uint64_t entry_hash(const struct raft_entry *e)
{
    return hash_bytes(e->data, e->index * 31 + e->term * 7 + (uint64_t)e->type);
}

static void check_leader(struct check_raft *c, struct group *g, const struct process *p, uint64_t term)
{
    struct process *other = map_get(&g->leaders, term);
    if (other == NULL) {
        map_put(&g->leaders, term, c->world->processes[p->index]);
        if (term > g->elected_term) g->elected_term = term;
    } else if (other != p) {
        world_fail(c->world, "range %llu has two leaders in term %llu: %s and %s", (unsigned long long)g->id,
                   (unsigned long long)term, other->name, p->name);
    }
}

static void check_matching(struct check_raft *c, struct group *g, const struct process *p, const struct raft_entry *e)
{
    uint64_t key = hash_u64(e->index) ^ hash_u64(e->term * 0x9e3779b97f4a7c15ull + 1);
    struct known_entry *known = map_get(&g->entries, key);
    uint64_t hash = entry_hash(e);
    if (known == NULL) {
        known = mem_alloc(sizeof *known);
        *known = (struct known_entry){.term = e->term, .hash = hash};
        map_put(&g->entries, key, known);
    } else if (known->hash != hash) {
        world_fail(c->world, "log matching: range %llu index %llu term %llu is different on %s",
                   (unsigned long long)g->id, (unsigned long long)e->index, (unsigned long long)e->term, p->name);
    }
}

static void check_committed(struct check_raft *c, struct group *g, const struct process *p, const struct raft_entry *e)
{
    if (e->index >= g->committed_capacity) {
        size_t capacity = (size_t)e->index * 2 + 256;
        g->committed = mem_realloc(g->committed, capacity * sizeof *g->committed);
        memset(g->committed + g->committed_capacity, 0, (capacity - g->committed_capacity) * sizeof *g->committed);
        g->committed_capacity = capacity;
    }
    struct known_entry *known = &g->committed[e->index];
    uint64_t hash = entry_hash(e);
    if (known->term == 0) {
        *known = (struct known_entry){.term = e->term, .hash = hash};
    } else if (known->term != e->term || known->hash != hash) {
        world_fail(c->world,
                   "committed entry lost: range %llu index %llu was committed in term %llu, %s has committed another "
                   "of term %llu",
                   (unsigned long long)g->id, (unsigned long long)e->index, (unsigned long long)known->term, p->name,
                   (unsigned long long)e->term);
    }
}

static bool votes(const struct raft_config *config, uint64_t id)
{
    for (unsigned i = 0; i < config->voter_count; i++) {
        if (config->voters[i] == id) return true;
    }
    return false;
}

/* Down replicas count as they were seen last: their disks may hold less, never more. */
static void check_votes(struct check_raft *c, const struct group *g, const struct raft_config *config)
{
    unsigned free_to_vote = 0;
    if (g->elected_term == 0 || config->old_voter_count > 0) return;
    for (unsigned i = 0; i < SIM_PROCESSES_MAX; i++) {
        const struct seen *s = &g->seen[i];
        if (s->id == 0 || !votes(config, s->id)) continue;
        if (s->recovering) continue; /* it has no vote */
        /* One that came later was perhaps no voter when that was decided. */
        if (s->id > RANGE_FIRST_REPLICAS && s->term == g->elected_term) continue;
        if (s->term < g->elected_term || (s->term == g->elected_term && s->vote == 0)) free_to_vote++;
    }
    if (free_to_vote <= config->voter_count / 2) return;
    world_fail(c->world, "promise broken: range %llu has elected a leader of term %llu, and %u voters know of no vote",
               (unsigned long long)g->id, (unsigned long long)g->elected_term, free_to_vote);
}

/* Members that have never been there are as good as down. */
static void note_complete(struct check_raft *c, struct group *g, const struct raft *raft)
{
    const struct raft_config *config = raft_config_now(raft);
    for (unsigned i = 0; i < config->voter_count; i++) {
        const struct raft_progress *peer = raft_peer(raft, config->voters[i]);
        if (peer == NULL || peer->match == 0) return;
    }
    g->complete = true;
    c->incomplete--;
}

bool check_raft_complete(const struct check_raft *c)
{
    return c->incomplete == 0;
}

/* The leader that has proposed a configuration with a new voter knows that it has the log, or nearly. */
static void check_new_voters(struct check_raft *c, struct group *g, const struct raft *raft)
{
    uint64_t index = raft_config_index(raft);
    const struct raft_config *config = raft_config_now(raft);
    if (index <= g->config_index) return;
    g->config_index = index;
    if (config->old_voter_count == 0 || raft_term_at(raft, index) != raft_term(raft)) return; /* another's word */
    for (unsigned i = 0; i < config->voter_count; i++) {
        const struct raft_progress *peer = raft_peer(raft, config->voters[i]);
        bool before = false;
        for (unsigned k = 0; k < config->old_voter_count; k++) before |= config->old_voters[k] == config->voters[i];
        if (before || peer == NULL || peer->match > 0) continue;
        world_fail(c->world, "range %llu: replica %llu got a vote without an entry", (unsigned long long)g->id,
                   (unsigned long long)config->voters[i]);
    }
}

static uint64_t hash_matches(const struct raft *raft)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < raft->peer_count; i++) hash = hash_u64(hash ^ raft->peers[i].match);
    return hash;
}

/* What a leader counts on. */
static void note_matches(struct group *g, const struct raft *raft)
{
    for (unsigned i = 0; i < SIM_PROCESSES_MAX; i++) {
        struct promise *p = &g->promises[i];
        const struct raft_progress *peer = g->seen[i].id == 0 ? NULL : raft_peer(raft, g->seen[i].id);
        if (peer == NULL || peer->match == 0 || raft->term < p->term) continue;
        if (raft->term > p->term) *p = (struct promise){.term = raft->term};
        if (peer->match > p->match) p->match = peer->match;
    }
}

/* A replica that has started again: it was in that term, and if it still is, its log cannot have been cut below that. */
static void check_promise(struct check_raft *c, const struct group *g, const struct process *p)
{
    const struct seen *s = &g->seen[p->index];
    const struct promise *given = &g->promises[p->index];
    if (s->term > given->term || (s->term == given->term && s->last >= given->match)) return;
    /* A lost store is filled from logs that are whole again: one whose own was lost is born once more, and taken in again. */
    if (g->absorbed[p->index] && process_cluster(p)->knobs.rot_ns > 0) return;
    world_fail(c->world,
               "promise broken: a leader counts on %s for range %llu up to index %llu in term %llu; it has come back "
               "with index %llu in term %llu",
               p->name, (unsigned long long)g->id, (unsigned long long)given->match, (unsigned long long)given->term,
               (unsigned long long)s->last, (unsigned long long)s->term);
}

static bool believes_in_lease(const struct process *p, const struct replica *r)
{
    return process_mono_ns(p) < replica_lease_until_ns(r);
}

/* At no instant do two believe that nobody else can lead, whatever their clocks say. A belief begins in a pass, and only a
 * leader has one. */
static void check_lease(struct check_raft *c, const struct group *g, const struct replica *r, const struct process *p)
{
    if ((g->leading & ~(1u << p->index)) == 0 || !believes_in_lease(p, r)) return;
    COVER("check.lease_held");
    for (unsigned i = 0; i < c->world->process_count; i++) {
        if (!g->seen[i].leads) continue;
        const struct process *other = c->world->processes[i];
        const struct host *h =
            other == p || other->given_up || !process_runs(other) || other->ops != p->ops ? NULL : process_host(other);
        const struct replica *twin = h == NULL ? NULL : host_replica(h, replica_group(r));
        if (twin == NULL || !believes_in_lease(other, twin)) continue;
        world_fail(c->world, "range %llu: %s in term %llu and %s in term %llu hold a lease at one time",
                   (unsigned long long)replica_group(r), p->name, (unsigned long long)raft_term(replica_raft(r)),
                   other->name, (unsigned long long)raft_term(replica_raft(twin)));
    }
}

/* Its data went with it: nobody counts on it there any more. It has left, unless an earlier one is there instead: a log was lost,
 * and the later one with it, which may be made again. */
static void seen_gone(struct group *g, const struct process *p, uint64_t instead)
{
    const struct seen *s = &g->seen[p->index];
    bool lost = instead != 0 && instead < s->id;
    if (lost) COVER("check.lost_not_left");
    if (!lost && s->id > g->gone[p->index]) g->gone[p->index] = s->id;
    seen_clear(g, p);
    promise_clear(g, p);
}

/* Nothing has happened to it since it was looked at: so are most, most of the time. */
static bool as_it_was(const struct group *g, const struct seen *s, const struct replica *r, const struct process *p)
{
    const struct raft *raft = r->raft;
    if (s->leads && (s->changes != g->changes || s->matches != hash_matches(raft))) return false;
    return s->life == p->lives && s->id == r->id && s->leads == (raft->role == RAFT_LEADER) && s->term == raft->term &&
           s->commit == raft->commit && s->last == raft_log_last(&raft->log) && s->applied == raft->applied &&
           s->last_term == raft_log_last_term(&raft->log) && s->vote == raft->vote &&
           s->recovering == raft_recovering(raft) && s->conf_ver == r->desc->epoch.conf_ver && !replica_diverged(r);
}

void check_raft_replica(struct check_raft *c, const struct process *p, const struct replica *r)
{
    struct raft_look *l = &c->look;
    const struct raft *raft = r->raft;
    struct group *g = group_of(c, r->desc->id);
    struct seen *s = &g->seen[p->index];
    if (as_it_was(g, s, r, p)) {
        l->replicas++;
        s->look = c->looks;
        if (s->leads) check_lease(c, g, r, p);
        return;
    }
    bool new_life = s->life != p->lives;
    if (s->id != 0 && s->id != replica_id(r)) {
        seen_gone(g, p, replica_id(r));
        new_life = true;
    }
    if (new_life) seen_clear(g, p);
    l->replicas++;
    if (s->id == 0) l->fresh = true;
    if (s->id == 0) g->changes++;
    s->look = c->looks;
    if (replica_id(r) <= g->gone[p->index] && !raft_recovering(raft)) /* a lost log loses tombstones, and says so */
        world_fail(c->world, "zombie: replica %llu of range %llu is on %s again, after %llu has left",
                   (unsigned long long)replica_id(r), (unsigned long long)g->id, p->name,
                   (unsigned long long)g->gone[p->index]);
    uint64_t conf_ver = replica_desc(r)->epoch.conf_ver;
    if (conf_ver > g->conf_ver) g->conf_ver = conf_ver;
    bool leads = raft_role(raft) == RAFT_LEADER;
    if (leads && !(s->leads && s->term == raft_term(raft))) check_leader(c, g, p, raft_term(raft));
    s->leads = leads;
    g->leading = (g->leading & ~(1u << p->index)) | (leads ? 1u : 0u) << p->index;
    if (leads) check_lease(c, g, r, p);
    uint64_t first = raft_first_index(raft), last = raft_last_index(raft), commit = raft_commit(raft);
    bool same_tail = s->last > 0 && s->last <= last && raft_term_at(raft, s->last) == s->last_term;
    for (uint64_t i = same_tail ? s->last + 1 : s->commit + 1; i <= last; i++) {
        const struct raft_entry *e = i < first ? NULL : raft_entry_at(raft, i);
        if (e != NULL) check_matching(c, g, p, e);
    }
    for (uint64_t i = s->commit + 1; i <= commit; i++) {
        const struct raft_entry *e = i < first ? NULL : raft_entry_at(raft, i);
        if (e != NULL) check_committed(c, g, p, e);
    }
    if (commit < s->commit) {
        world_fail(c->world, "range %llu: the commit index of %s went back from %llu to %llu",
                   (unsigned long long)g->id, p->name, (unsigned long long)s->commit, (unsigned long long)commit);
    }
    s->commit = commit;
    s->last = last;
    s->applied = raft_applied(raft);
    s->conf_ver = conf_ver;
    s->last_term = raft_term_at(raft, last);
    s->id = replica_id(r);
    s->recovering = raft_recovering(raft);
    s->term = raft_term(raft);
    s->vote = raft_hard_state_now(raft).vote;
    if (new_life && conf_ver == g->conf_ver) check_votes(c, g, raft_config_now(raft));
    if (s->recovering) promise_clear(g, p); /* it says itself that it may have lost some */
    if (new_life) check_promise(c, g, p);
    if (leads) check_new_voters(c, g, raft);
    if (leads) note_matches(g, raft);
    if (leads && !g->complete) note_complete(c, g, raft);
    s->matches = leads ? hash_matches(raft) : 0;
    s->changes = g->changes;
    if (leads && raft_term(raft) < g->elected_term) COVER("sim.deposed_leader");
    if (replica_diverged(r) && !c->world->rows_rot)
        world_fail(c->world, "range %llu: %s finds that it did other than its peers",
                   (unsigned long long)replica_group(r), p->name);
    if (raft_applied(raft) > commit) world_fail(c->world, "%s has applied more than is committed", p->name);
}

/* In a new life. A lost log is lost with its tombstones. */
static void check_tombstones(struct check_raft *c, const struct process *p, const struct host *h)
{
    uint64_t id;
    void *value;
    if (c->lives[p->index] == p->lives) return;
    c->lives[p->index] = p->lives;
    if (process_cluster(p)->knobs.rot_ns > 0) return;
    for (size_t it = 0; map_next(&c->groups, &it, &id, &value);) {
        const struct group *g = value;
        const struct seen *s = &g->seen[p->index];
        uint64_t gone = g->absorbed[p->index] ? s->id : g->gone[p->index];
        const uint64_t *tombstone = map_get(&h->members.gone, id);
        if (gone == 0 || host_replica(h, id) != NULL || host_absorber(h, id) != NULL) continue;
        if (tombstone == NULL || *tombstone < gone)
            world_fail(c->world, "%s has forgotten that its replica %llu of range %llu has left or was taken in",
                       p->name, (unsigned long long)gone, (unsigned long long)id);
    }
}

void check_raft_begin(struct check_raft *c, const struct process *p, const struct host *h)
{
    check_tombstones(c, p, h);
    c->looks++;
    c->look = (struct raft_look){.replicas = 0};
}

void check_raft_end(struct check_raft *c, const struct process *p, const struct host *h)
{
    uint64_t id;
    void *value;
    bool as_before = !c->look.fresh && c->look.replicas == c->hosted[p->index];
    c->hosted[p->index] = c->look.replicas;
    if (as_before) return; /* then nobody is missing */
    for (size_t it = 0; map_next(&c->groups, &it, &id, &value);) {
        struct group *g = value;
        const struct seen *s = &g->seen[p->index];
        if (host_absorber(h, g->id) != NULL) { /* a merge took it in; a crash before that is durable brings it back */
            g->absorbed[p->index] = true;
            c->hosted[p->index] = UINT_MAX;
            continue;
        }
        if (s->id != 0 && s->life == p->lives && s->look != c->looks && !host_replica_departs(h, id))
            seen_gone(g, p, 0);
    }
}
