#include "sim/members.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/prng.h"
#include "raft/raft.h"
#include "sim/check.h"

enum { META_GROUP_ID = 1, CALL_MS = 3000, NEVER_OUT = METAS - 1, VOTERS_MIN = 3 };
#define LOOK_EVERY_NS (100 * MS_NS)

struct members {
    struct cluster *cluster;
    struct world *world;
    struct prng prng;
    bool active, healing;
    bool to_go[METAS_MAX]; /* asked for; a word that comes late may take it out again, when it has come back */
    struct process *empty; /* has lost its disk, and is not yet whole again; NULL: none */
    unsigned still;        /* looks in a row with nothing left to do */
};

/* The constant is such that seeds of the corpus, and those that find planted bugs, are as they were. */
bool members_wanted(uint64_t seed)
{
    struct prng prng;
    prng_init(&prng, seed ^ 0x3fa4);
    return prng_below(&prng, 8) == 0;
}

/* The newest that any member knows of its group; NULL: nobody runs. */
static const struct range_desc *newest(const struct cluster *c)
{
    const struct range_desc *best = NULL;
    for (unsigned i = 0; i < c->meta_count; i++) {
        const struct host *h = process_host(c->metas[i]);
        const struct replica *r = h == NULL ? NULL : host_replica(h, META_GROUP_ID);
        if (r == NULL) continue;
        if (best == NULL || replica_desc(r)->epoch.conf_ver > best->epoch.conf_ver) best = replica_desc(r);
    }
    return best;
}

static bool has_vote(const struct range_desc *d, unsigned i)
{
    const struct range_replica *is = range_desc_replica(d, i + 1);
    return is != NULL && is->role == RANGE_VOTER;
}

static unsigned staying(const struct members *m, const struct range_desc *d)
{
    unsigned count = 0;
    for (unsigned i = 0; i < METAS_MAX; i++) count += has_vote(d, i) && !m->to_go[i];
    return count;
}

/* --- what an admin says --- */

static void answered(void *ctx, const struct client_error *e, struct slice payload)
{
    struct members *m = ctx;
    (void)payload;
    world_trace(m->world, NULL, "MEMBERS %s %.*s", status_name(e->status), (int)e->message.size,
                (const char *)e->message.data);
}

static void say(struct members *m, enum method method, const struct buf *params)
{
    for (unsigned i = 0; i < m->cluster->knobs.client_count; i++) {
        struct client *c = cluster_client(m->cluster, i);
        if (c == NULL) continue;
        client_meta(c, method, buf_slice(params), CALL_MS, answered, m);
        return;
    }
}

static void say_member(struct members *m, unsigned i, bool remove)
{
    struct process *p = m->cluster->metas[i];
    struct meta_member_request q = {.id = i + 1, .remove = remove, .address = SLICE_EMPTY};
    struct buf b;
    if (!remove) q.address = slice_str(p->address);
    world_trace(m->world, p, remove ? "TO GO" : "TO COME");
    buf_init(&b, 256);
    pack_meta_member_request(&b, &q);
    say(m, METHOD_META_MEMBER, &b);
    buf_free(&b);
}

/* One that stands by comes: an empty disk, and it joins. */
static void come(struct members *m, unsigned i)
{
    struct process *p = m->cluster->metas[i];
    m->cluster->meta_out[i] = m->to_go[i] = false;
    say_member(m, i, false);
    if (p->state == PROCESS_DOWN) (void)process_start(p);
}

static void go(struct members *m, unsigned i)
{
    m->cluster->metas[i]->may_go = m->to_go[i] = true;
    say_member(m, i, true);
}

static void hand_over(struct members *m, unsigned i)
{
    struct buf b;
    buf_init(&b, 64);
    pack_range_transfer_request(&b, &(struct range_transfer_request){.range_id = META_GROUP_ID, .node_id = i + 1});
    say(m, METHOD_RANGE_TRANSFER, &b);
    buf_free(&b);
}

/* Its disk is lost, and it is started again as before: one at a time, until the others have mended it. */
static void lose_disk(struct members *m, unsigned i)
{
    struct process *p = m->cluster->metas[i];
    COVER("sim.member_emptied");
    world_trace(m->world, p, "LOSES ITS DISK");
    m->empty = p;
    m->cluster->meta_emptied[i] = true;
    if (process_runs(p)) process_crash(p, MEMDISK_DROP, true);
    memdisk_free(p->disk);
    p->disk = memdisk_new(prng_next(&m->prng));
    check_raft_emptied(m->cluster->check_raft, p);
    (void)process_start(p);
}

static bool is_whole(const struct process *p)
{
    const struct host *h = process_host(p);
    const struct replica *r = h == NULL ? NULL : host_replica(h, META_GROUP_ID);
    if (r == NULL) return false;
    const struct raft *raft = replica_raft(r);
    return !raft_recovering(raft) && !raft_blank(raft) && raft_applied(raft) > 0;
}

static void strike(struct world *w, void *ctx)
{
    struct members *m = ctx;
    const struct cluster *c = m->cluster;
    if (!m->active) return;
    unsigned i = (unsigned)prng_below(&m->prng, c->meta_count);
    uint64_t what = prng_below(&m->prng, 4);
    const struct range_desc *d = newest(c);
    if (c->booted && d != NULL) {
        if (c->meta_out[i])
            come(m, i);
        else if (what == 0)
            hand_over(m, i);
        else if (what == 3 && has_vote(d, i) && !m->to_go[i] && m->empty == NULL && !cluster_damaged(c))
            lose_disk(m, i);
        else if (has_vote(d, i) && i != NEVER_OUT && staying(m, d) > VOTERS_MIN)
            go(m, i);
        else if (!has_vote(d, i) && what == 1) /* it was not told, or in vain */
            say_member(m, i, false);
    }
    world_after(w, (1 + prng_below(&m->prng, 1500)) * MS_NS, strike, m);
}

/* --- who was taken out, and has ended, stands by with an empty disk --- */

static void stand_by(struct members *m, unsigned i)
{
    struct cluster *c = m->cluster;
    struct process *p = c->metas[i];
    COVER("sim.member_left");
    if (process_runs(p)) process_crash(p, MEMDISK_KEEP, false);
    memdisk_free(p->disk);
    p->disk = memdisk_new(prng_next(&m->prng));
    p->taken_out = m->to_go[i] = false;
    c->meta_out[i] = c->meta_joins[i] = true;
    if (m->empty == p) m->empty = NULL;
    check_raft_emptied(c->check_raft, p);
}

/* Its disk was lost, and it was taken out before anything was given to it: it does not end, but waits until it is added. */
static bool waits_outside(const struct members *m, const struct range_desc *d, unsigned i)
{
    const struct host *h = process_host(m->cluster->metas[i]);
    if (!m->to_go[i] || d == NULL || range_desc_replica(d, i + 1) != NULL) return false;
    return h != NULL && host_replica(h, META_GROUP_ID) == NULL;
}

/* --- the end --- */

/* A word that it is to come may have been heard when it had been taken out and ended: nobody will start it, and it is to go again. It
 * can only be a learner: a voter that ended is one too few. */
static bool finish_one(struct members *m, const struct range_desc *d, unsigned i)
{
    struct cluster *c = m->cluster;
    const struct range_replica *is = range_desc_replica(d, i + 1);
    if (c->meta_out[i] && is == NULL) return true;
    bool in_vain = c->meta_out[i] && is->role == RANGE_LEARNER;
    if (in_vain || m->to_go[i]) say_member(m, i, true);
    if (c->meta_out[i] || m->to_go[i]) return false;
    if (has_vote(d, i)) return true;
    if (is == NULL) say_member(m, i, false);
    return false;
}

static void look(struct world *w, void *ctx)
{
    struct members *m = ctx;
    struct cluster *c = m->cluster;
    const struct range_desc *d = newest(c);
    for (unsigned i = 0; i < c->meta_count; i++) {
        bool ended = c->metas[i]->taken_out && c->metas[i]->state != PROCESS_STOPPING;
        if (ended || waits_outside(m, d, i)) stand_by(m, i);
    }
    if (m->empty != NULL && is_whole(m->empty)) m->empty = NULL;
    if (m->healing) {
        bool done = d != NULL && !range_desc_joint(d) && m->empty == NULL;
        for (unsigned i = 0; d != NULL && i < c->meta_count; i++) done = finish_one(m, d, i) && done;
        m->still = done ? m->still + 1 : 0;
    }
    world_after(w, m->healing ? 5 * LOOK_EVERY_NS : LOOK_EVERY_NS, look, m);
}

struct members *members_new(struct cluster *c)
{
    if (c->meta_count == METAS) return NULL;
    struct members *m = mem_zalloc(sizeof *m);
    m->cluster = c;
    m->world = c->world;
    prng_init(&m->prng, c->world->seed ^ 0x3fa5);
    return m;
}

void members_free(struct members *m)
{
    mem_free(m);
}

void members_start(struct members *m)
{
    if (m == NULL) return;
    m->active = true;
    world_after(m->world, prng_below(&m->prng, 2000) * MS_NS, strike, m);
    world_after(m->world, LOOK_EVERY_NS, look, m);
}

void members_heal(struct members *m)
{
    if (m == NULL) return;
    m->active = false;
    m->healing = true;
}

bool members_settled(const struct members *m)
{
    return m == NULL || m->still >= 3;
}
