/* Replicas are deterministic: those that have applied the same entries hold the same rows. Compared at the end, when all
 * have caught up: the newest version of every key, idempotency rows included (older versions go when each store compacts). */
#include "base/assert.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/map.h"
#include "sim/check.h"
#include "sim/cluster.h"

struct seen {
    struct world *world;
    const struct process *p;
    struct map *highest; /* group -> commit + 1 */
    struct map *held;    /* group -> replicas that nodes have of it */
    struct map *hashes;  /* group -> hash of rows */
    bool behind;
    uint64_t safepoint; /* the highest of any: rows that end below may have gone from some stores */
};

static void *number(uint64_t n)
{
    return (void *)(uintptr_t)n; /* maps hold pointers; never looked through */
}

static void note_commit(void *ctx, struct replica *r)
{
    struct seen *s = ctx;
    uint64_t commit = raft_commit(replica_raft(r)) + 1;
    if ((uintptr_t)map_get(s->highest, replica_group(r)) < commit)
        map_put(s->highest, replica_group(r), number(commit));
    if (process_is_node(s->p))
        map_put(s->held, replica_group(r), number((uintptr_t)map_get(s->held, replica_group(r)) + 1));
}

/* What lacks a replica is not whole, even when all that are there agree. Who is gone for good has its replicas for a while yet. */
static void compare_held(void *ctx, struct replica *r)
{
    struct seen *s = ctx;
    if (!process_is_node(s->p) || !replica_leads(r)) return;
    if ((uintptr_t)map_get(s->held, replica_group(r)) < replica_desc(r)->replica_count) s->behind = true;
}

static void compare_applied(void *ctx, struct replica *r)
{
    struct seen *s = ctx;
    if ((uintptr_t)map_get(s->highest, replica_group(r)) != raft_applied(replica_raft(r)) + 1) s->behind = true;
}

static void each_replica(const struct cluster *c, struct seen *s, void (*each)(void *ctx, struct replica *r))
{
    struct process *servers[SERVERS_MAX];
    unsigned count = cluster_servers(c, servers);
    for (unsigned i = 0; i < count; i++) {
        s->p = servers[i];
        const struct host *h = process_host(servers[i]);
        if (h == NULL)
            s->behind = s->behind || !(servers[i]->disk_damaged || servers[i]->given_up);
        else
            host_each_replica(h, each, s);
    }
}

static void describe(void *ctx, struct replica *r)
{
    const struct seen *s = ctx;
    struct buf b;
    buf_init(&b, 4096);
    raft_describe(replica_raft(r), &b);
    world_trace(s->p->world, s->p, "%.*s", (int)b.size, (const char *)b.data);
    world_trace(s->p->world, s->p, "waits for \"%s\"", replica_waits_for(r));
    buf_free(&b);
}

void check_state_describe(const struct cluster *c)
{
    each_replica(c, &(struct seen){.highest = NULL}, describe);
}

static bool somebody_is_gone(const struct cluster *c)
{
    struct process *servers[SERVERS_MAX];
    unsigned count = cluster_servers(c, servers);
    for (unsigned i = 0; i < count; i++) {
        if (servers[i]->given_up || servers[i]->disk_damaged) return true;
    }
    return false;
}

bool check_state_settled(const struct cluster *c)
{
    struct map highest, held;
    map_init(&highest);
    map_init(&held);
    struct seen s = {.world = c->world, .highest = &highest, .held = &held};
    each_replica(c, &s, note_commit);
    if (!s.behind && !somebody_is_gone(c)) each_replica(c, &s, compare_held);
    if (!s.behind) each_replica(c, &s, compare_applied);
    map_free(&highest);
    map_free(&held);
    return !s.behind;
}

static uint64_t hash_rows(struct seen *s, struct replica *r)
{
    struct slice start, end;
    replica_span(r, &start, &end);
    struct lsm_view *view = lsm_view_new(host_store(process_host(s->p)), start, end);
    struct lsm_write row;
    struct buf last;
    buf_init(&last, LSM_KEY_MAX);
    uint64_t hash = 1;
    bool first = true;
    enum status st;
    while ((st = lsm_view_next(view, &row)) == STATUS_OK) {
        if (!first && slice_eq(row.key, buf_slice(&last))) continue;
        first = false;
        buf_clear(&last);
        buf_append_slice(&last, row.key);
        if (row.kind == LSM_DELETE) continue; /* a tombstone may have gone already */
        if (row_stored_expires(row.key, row.ts, row.value) <= s->safepoint) continue;
        hash = hash_bytes(row.value, hash_bytes(row.key, hash_u64(hash ^ row.ts)));
    }
    if (st != STATUS_END) world_fail(s->world, "%s cannot read its rows: %s", s->p->name, status_name(st));
    lsm_view_free(view);
    buf_free(&last);
    return hash | 1;
}

static void note_safepoint(void *ctx, struct replica *r)
{
    struct seen *s = ctx;
    uint64_t safepoint = host_safepoint(process_host(s->p));
    (void)r;
    if (safepoint > s->safepoint) s->safepoint = safepoint;
}

static void compare_rows(void *ctx, struct replica *r)
{
    struct seen *s = ctx;
    uint64_t hash = hash_rows(s, r);
    uintptr_t other = (uintptr_t)map_get(s->hashes, replica_group(r));
    if (other == 0)
        map_put(s->hashes, replica_group(r), number(hash));
    else if (other != hash) {
        world_fail(s->world, "divergence: range %llu has other rows on %s than elsewhere at index %llu",
                   (unsigned long long)replica_group(r), s->p->name, (unsigned long long)raft_applied(replica_raft(r)));
    }
}

void check_state(struct cluster *c)
{
    struct map hashes;
    map_init(&hashes);
    struct seen s = {.world = c->world, .hashes = &hashes};
    each_replica(c, &s, note_safepoint);
    each_replica(c, &s, compare_rows);
    map_free(&hashes);
}
