/* What admins and schedulers do to ranges while everything goes on: splits at any key, merges of neighbours. Asked for over the wire, of the leader, like
 * anything else; what becomes of it is seen by the workload and the checkers. */
#include "sim/faults_int.h"

#include "base/assert.h"

enum { SPLITS_MAX = 24 }; /* ranges of one run */

struct pick {
    struct faults *faults;
    unsigned left;
    struct replica *found;
};

static void pick_led(void *ctx, struct replica *r)
{
    struct pick *p = ctx;
    if (replica_leads(r) && p->left-- == 0) p->found = r;
}

static struct process *pick_range(struct faults *f, struct replica **r)
{
    struct cluster *c = f->cluster;
    unsigned at = (unsigned)draw(f->world, 0, c->knobs.node_count - 1);
    for (unsigned i = 0; i < c->knobs.node_count; i++) {
        struct process *p = c->nodes[(at + i) % c->knobs.node_count];
        struct host *h = process_runs(p) ? process_host(p) : NULL;
        struct pick pick = {.faults = f, .left = (unsigned)draw(f->world, 0, 3)};
        if (h == NULL || p->env.dead || p->paused_until_ns > f->world->now_ns) continue;
        host_each_replica(h, pick_led, &pick);
        if (pick.found == NULL) continue;
        *r = pick.found;
        return p;
    }
    return NULL;
}

/* Any key of any row, as the store happens to hold them: often one that is written all the time. */
static void pick_key(struct faults *f, struct process *p, struct replica *r, struct buf *key)
{
    struct slice start, end;
    struct lsm_sample *samples;
    struct arena arena;
    arena_init(&arena, 4096);
    replica_span(r, &start, &end);
    size_t count = lsm_sample(host_store(process_host(p)), start, end, &arena, &samples);
    if (count > 0) key_user_of(samples[draw(f->world, 0, count - 1)].key, key);
    if (key->size > 0 && chance(f->world, 100)) key->data[key->size - 1]++;
    arena_free(&arena);
}

static void split_answered(void *ctx, const struct client_error *e, struct slice payload)
{
    (void)payload;
    struct faults *f = ctx;
    world_note(f->world, 30, (uint64_t)e->status, 0);
    world_trace(f->world, NULL, "split: %s %.*s", status_name(e->status), (int)e->message.size,
                (const char *)e->message.data);
    if (e->status == STATUS_OK) COVER("sim.split");
}

void fault_split(struct faults *f)
{
    struct replica *r = NULL;
    struct cluster *c = f->cluster;
    struct process *p = c->booted && f->splits < SPLITS_MAX ? pick_range(f, &r) : NULL;
    unsigned at = (unsigned)draw(f->world, 0, c->knobs.client_count - 1);
    struct client *client = cluster_client(c, at);
    if (p == NULL || client == NULL) return;
    struct buf key, params;
    buf_init(&key, LSM_KEY_MAX);
    buf_init(&params, 65536);
    bool own = chance(f->world, 400); /* the node is to choose one */
    if (!own) pick_key(f, p, r, &key);
    f->splits++;
    world_trace(f->world, p, "SPLIT range %llu at \"%.*s\"", (unsigned long long)replica_group(r), (int)key.size,
                (const char *)key.data);
    struct range_split_request q = {.range_id = replica_group(r), .key = buf_slice(&key)};
    pack_range_split_request(&params, &q);
    client_node(client, p->address, METHOD_RANGE_SPLIT, buf_slice(&params), 5000, split_answered, f);
    process_pass_soon(c->clients[at]);
    buf_free(&key);
    buf_free(&params);
}

/* --- merges --- */

static void merge_answered(void *ctx, const struct client_error *e, struct slice payload)
{
    (void)payload;
    struct faults *f = ctx;
    world_note(f->world, 31, (uint64_t)e->status, 0);
    world_trace(f->world, NULL, "merge: %s %.*s", status_name(e->status), (int)e->message.size,
                (const char *)e->message.data);
    if (e->status == STATUS_OK) COVER("sim.merge");
}

struct right_of {
    const struct range_desc *left;
    uint64_t found;
};

static void look_right(void *ctx, struct replica *r)
{
    struct right_of *q = ctx;
    const struct range_desc *d = replica_desc(r);
    if (d->keyspace == q->left->keyspace && q->left->end.size > 0 && slice_eq(d->start, q->left->end)) q->found = d->id;
}

void fault_merge(struct faults *f)
{
    struct replica *r = NULL;
    struct cluster *c = f->cluster;
    struct process *p = c->booted ? pick_range(f, &r) : NULL;
    unsigned at = (unsigned)draw(f->world, 0, c->knobs.client_count - 1);
    struct client *client = cluster_client(c, at);
    if (p == NULL || client == NULL) return;
    struct right_of q = {.left = replica_desc(r)};
    host_each_replica(process_host(p), look_right, &q);
    if (q.found == 0) return;
    struct buf params;
    buf_init(&params, 65536);
    world_trace(f->world, p, "MERGE range %llu with %llu", (unsigned long long)replica_group(r),
                (unsigned long long)q.found);
    pack_range_merge_request(&params, &(struct range_merge_request){.left_id = replica_group(r), .right_id = q.found});
    client_node(client, p->address, METHOD_RANGE_MERGE, buf_slice(&params), 5000, merge_answered, f);
    process_pass_soon(c->clients[at]);
    buf_free(&params);
}
