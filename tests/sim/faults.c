#include "sim/faults.h"

#include "base/assert.h"
#include "base/mem.h"
#include "sim/rot.h"

struct faults {
    struct cluster *cluster;
    struct world *world;
    bool active;
    uint64_t count;
    struct rotten {
        struct process *p; /* NULL: nothing has rotted yet */
        size_t replicas;   /* that it had */
    } rotten[2];           /* of the members, of the nodes */
    unsigned partition;    /* number of the present one; its end looks whether it still is */
};

/* A kind: what it does, and its mean pause. */
struct fault_kind {
    void (*strike)(struct faults *f);
    uint64_t mean_ns;
    struct faults *faults;
};

static struct process *any_server(struct faults *f)
{
    struct process *servers[METAS + NODES_MAX];
    unsigned count = cluster_servers(f->cluster, servers);
    return servers[draw(f->world, 0, count - 1)];
}

/* The server that leads most, with good odds; else any. */
static void count_led(void *ctx, struct replica *r)
{
    *(unsigned *)ctx += replica_leads(r);
}

static struct process *a_leader(struct faults *f)
{
    struct process *servers[METAS + NODES_MAX], *found = any_server(f);
    unsigned count = cluster_servers(f->cluster, servers);
    unsigned at = (unsigned)draw(f->world, 0, count - 1);
    for (unsigned i = 0; i < count; i++) {
        struct process *p = servers[(at + i) % count];
        unsigned led = 0;
        const struct host *h = process_host(p);
        if (h != NULL) host_each_replica(h, count_led, &led);
        if (led > 0) return p;
    }
    return found;
}

static struct process *victim(struct faults *f)
{
    return chance(f->world, 500) ? a_leader(f) : any_server(f);
}

/* --- crashes, stops --- */

struct restart {
    struct faults *faults;
    struct process *p;
    unsigned life;
};

static void restart_now(struct world *w, void *ctx)
{
    (void)w;
    struct restart *r = ctx;
    if (r->faults->active && r->p->state == PROCESS_DOWN && r->p->lives == r->life) (void)process_start(r->p);
}

static void restart_later(struct faults *f, struct process *p)
{
    struct restart *r = world_alloc(f->world, sizeof *r);
    *r = (struct restart){.faults = f, .p = p, .life = p->lives};
    uint64_t longest = chance(f->world, 500) ? 30 * MS_NS : f->cluster->knobs.down_max_ns;
    world_after(f->world, draw(f->world, MS_NS, longest), restart_now, r);
}

static void crash(struct faults *f, struct process *p, bool machine)
{
    if (!process_runs(p)) return;
    enum memdisk_crash how = !machine ? MEMDISK_KEEP : chance(f->world, 300) ? MEMDISK_DROP : MEMDISK_RANDOM;
    process_crash(p, how, machine);
    restart_later(f, p);
}

static void strike_crash(struct faults *f)
{
    const struct cluster_knobs *k = &f->cluster->knobs;
    struct process *servers[METAS + NODES_MAX];
    unsigned count = cluster_servers(f->cluster, servers);
    bool machine = chance(f->world, k->machine_crash);
    if (!chance(f->world, k->all_at_once)) {
        if (chance(f->world, 600)) crash(f, victim(f), machine);
        /* And while it writes, perhaps what the crash above makes it write: a vote. strike_revive starts it again. */
        if (chance(f->world, 500)) any_server(f)->crash_in_log_tasks = (unsigned)draw(f->world, 1, 6);
        return;
    }
    for (unsigned i = 0; i < count; i++) crash(f, servers[i], machine);
}

/* Whoever went down by itself (a legitimate fatal, a stop that is over) starts again. */
static void strike_revive(struct faults *f)
{
    struct process *p = any_server(f);
    if (p->state == PROCESS_DOWN) (void)process_start(p);
}

static void strike_stop(struct faults *f)
{
    struct process *p = victim(f);
    if (p->state == PROCESS_UP && p->server != NULL) process_stop(p);
}

/* --- network --- */

static void heal_network(struct faults *f)
{
    for (unsigned a = 0; a < f->world->process_count; a++) {
        for (unsigned b = 0; b < f->world->process_count; b++) sim_net_cut(f->world, a, b, false);
    }
}

struct partition {
    struct faults *faults;
    unsigned number;
};

static void partition_over(struct world *w, void *ctx)
{
    struct partition *p = ctx;
    if (p->faults->active && p->faults->partition == p->number) {
        world_trace(w, NULL, "PARTITION over");
        heal_network(p->faults);
        if (chance(w, 300)) sim_net_reset_some(w, 500);
    }
}

static void cut_sides(struct faults *f, unsigned side, bool out, bool in)
{
    struct world *w = f->world;
    for (unsigned a = 0; a < w->process_count; a++) {
        for (unsigned b = 0; b < w->process_count; b++) {
            bool from = (side >> a & 1) != 0, to = (side >> b & 1) != 0;
            if ((out && from && !to) || (in && !from && to)) sim_net_cut(w, a, b, true);
        }
    }
}

/* Not two sides, but single links, each way on its own: a can talk to b and to c, which cannot talk to each other. */
static void cut_links(struct faults *f)
{
    struct world *w = f->world;
    unsigned per_mille = (unsigned)draw(w, 50, 600);
    bool servers_only = chance(w, 500); /* among the members, among the nodes: clients and timestamps go on */
    bool both_ways = chance(w, 500);
    world_trace(w, NULL, "PARTITION of links, %u per mille%s%s", per_mille,
                servers_only ? ", between servers of a kind" : "", both_ways ? "" : ", each way on its own");
    for (unsigned a = 0; a < w->process_count; a++) {
        for (unsigned b = both_ways ? a + 1 : 0; b < w->process_count; b++) {
            if (servers_only && w->processes[a]->ops != w->processes[b]->ops) continue;
            if (a == b || !chance(w, per_mille)) continue;
            sim_net_cut(w, a, b, true);
            if (both_ways) sim_net_cut(w, b, a, true);
        }
    }
}

static void cut_in_two(struct faults *f)
{
    struct world *w = f->world;
    uint64_t luck = draw(w, 0, 2);
    unsigned side = luck == 0   ? 1u << victim(f)->index
                    : luck == 1 ? 1u << a_leader(f)->index
                                : (unsigned)draw(w, 1, (1u << w->process_count) - 1);
    uint64_t way = draw(w, 0, 3);
    world_trace(w, NULL, "PARTITION side=%x %s", side,
                way == 0   ? "nothing leaves it"
                : way == 1 ? "nothing reaches it"
                           : "both ways");
    cut_sides(f, side, way != 1, way != 0);
}

static void strike_partition(struct faults *f)
{
    struct world *w = f->world;
    heal_network(f);
    if (chance(w, 400)) {
        cut_links(f);
    } else {
        cut_in_two(f);
    }
    struct partition *p = world_alloc(w, sizeof *p);
    *p = (struct partition){.faults = f, .number = ++f->partition};
    world_after(w, draw(w, 20, chance(w, 500) ? 500 : 5000) * MS_NS, partition_over, p);
}

static void strike_reset(struct faults *f)
{
    sim_net_reset_some(f->world, (unsigned)draw(f->world, 20, 1000));
}

/* --- time, disks --- */

static void strike_pause(struct faults *f)
{
    struct process *p =
        chance(f->world, 900) ? victim(f) : f->world->processes[draw(f->world, 0, f->world->process_count - 1)];
    if (process_runs(p)) process_pause(p, draw(f->world, MS_NS, f->cluster->knobs.pause_max_ns));
}

static void strike_wall(struct faults *f)
{
    static const int64_t JUMPS_MS[] = {50, 2000, 60000, 86400000};
    struct process *p = any_server(f);
    int64_t ms = (int64_t)draw(f->world, 1, (uint64_t)JUMPS_MS[draw(f->world, 0, 3)]);
    process_wall_jump(p, chance(f->world, 500) ? ms : -ms);
    unsigned ppm = f->world->knobs.clock_drift_ppm;
    if (ppm > 0) process_set_drift(p, (int64_t)draw(f->world, 0, 2 * ppm) - (int64_t)ppm);
}

static void strike_slow(struct faults *f)
{
    struct process *p = victim(f);
    p->disk_slow = chance(f->world, 300) ? 1 : draw(f->world, 2, 200);
    world_trace(f->world, p, "DISK is %llu times slower", (unsigned long long)p->disk_slow);
}

/* --- leaderships --- */

struct transfer {
    struct faults *faults;
    unsigned at;
};

static void transfer_one(void *ctx, struct replica *r)
{
    struct transfer *t = ctx;
    const struct range_desc *d = replica_desc(r);
    struct errbuf err;
    if (d->replica_count < 2 || !replica_leads(r) || t->at-- != 0) return;
    uint64_t node = d->replicas[draw(t->faults->world, 0, d->replica_count - 1)].node_id;
    if (replica_transfer(r, node, &err) != STATUS_OK) COVER("sim.transfer_refused");
}

static void handed_over(struct world *w, void *ctx)
{
    (void)w;
    struct process *p = ctx;
    struct host *h = process_runs(p) ? process_host(p) : NULL;
    if (h != NULL) host_hand_over(h, NULL);
}

/* As an admin does: one range's leadership to another node, or all of a node's away for a while. */
static void strike_transfer(struct faults *f)
{
    struct process *p = a_leader(f);
    struct host *h = process_runs(p) ? process_host(p) : NULL;
    if (h == NULL || p->env.dead || p->paused_until_ns > f->world->now_ns) return;
    if (chance(f->world, 300)) {
        world_trace(f->world, p, "HAND OVER");
        host_hand_over(h, "the simulator says so");
        world_after(f->world, draw(f->world, 10, 3000) * MS_NS, handed_over, p);
    } else {
        world_trace(f->world, p, "TRANSFER");
        host_each_replica(h, transfer_one, &(struct transfer){.faults = f, .at = (unsigned)draw(f->world, 0, 2)});
    }
    process_pass_soon(p);
}

static void disk_freed(struct world *w, void *ctx)
{
    struct process *p = ctx;
    memdisk_set_capacity(p->disk, 0);
    if (p->disk_full) world_trace(w, p, "DISK has room again");
    p->disk_full = false;
}

static void strike_full(struct faults *f)
{
    struct process *p = any_server(f);
    uint64_t free_bytes, total_bytes;
    if (p->disk_full || disk_space(memdisk_disk(p->disk), &free_bytes, &total_bytes) != STATUS_OK) return;
    uint64_t left = draw(f->world, 0, chance(f->world, 500) ? 20000 : 400000);
    memdisk_set_capacity(p->disk, total_bytes - free_bytes + left);
    p->disk_full = true;
    world_trace(f->world, p, "DISK has room for %llu more bytes", (unsigned long long)left);
    world_after(f->world, draw(f->world, 100, 5000) * MS_NS, disk_freed, p);
}

static void strike_disk(struct faults *f)
{
    static const unsigned CALLS[] = {MEMDISK_SYNC, MEMDISK_WRITE, MEMDISK_SYNC_DIR | MEMDISK_RENAME, MEMDISK_CHANGE};
    struct process *p = any_server(f);
    if (!process_runs(p)) return;
    p->disk_faulty = true;
    world_trace(f->world, p, "DISK will fail");
    memdisk_fail_at(p->disk, CALLS[draw(f->world, 0, 3)], draw(f->world, 1, 40), STATUS_IO, chance(f->world, 300));
}

static void strike_rot(struct faults *f)
{
    struct process *p = any_server(f);
    const struct host *h = process_host(p);
    struct rotten *r = &f->rotten[process_is_node(p) ? 1 : 0];
    if (h == NULL || p->state != PROCESS_UP || (r->p != NULL && !rot_mended(r->p, r->replicas))) return;
    r->p = p;
    r->replicas = host_replica_count(h);
    process_crash(p, chance(f->world, 500) ? MEMDISK_DROP : MEMDISK_RANDOM, true);
    rot_strike(f->world, p);
    restart_later(f, p);
}

/* --- all kinds --- */

static void strike(struct world *w, void *ctx)
{
    struct fault_kind *k = ctx;
    struct faults *f = k->faults;
    if (!f->active) return;
    f->count++;
    k->strike(f);
    world_after(w, draw(w, 0, 2 * k->mean_ns), strike, k);
}

static void add_kind(struct faults *f, void (*fn)(struct faults *), uint64_t mean_ns)
{
    if (mean_ns == 0) return;
    struct fault_kind *k = world_alloc(f->world, sizeof *k);
    *k = (struct fault_kind){.strike = fn, .mean_ns = mean_ns, .faults = f};
    world_after(f->world, draw(f->world, 0, 2 * mean_ns), strike, k);
}

struct faults *faults_new(struct cluster *c)
{
    struct faults *f = mem_zalloc(sizeof *f);
    f->cluster = c;
    f->world = c->world;
    return f;
}

void faults_free(struct faults *f)
{
    mem_free(f);
}

void faults_start(struct faults *f)
{
    const struct cluster_knobs *k = &f->cluster->knobs;
    f->active = true;
    add_kind(f, strike_crash, k->crash_ns);
    add_kind(f, strike_revive, 100 * MS_NS);
    add_kind(f, strike_stop, k->stop_ns);
    add_kind(f, strike_transfer, k->transfer_ns);
    add_kind(f, strike_partition, k->partition_ns);
    add_kind(f, strike_reset, k->reset_ns);
    add_kind(f, strike_pause, k->pause_ns);
    add_kind(f, strike_wall, k->wall_ns);
    add_kind(f, strike_slow, k->slow_ns);
    add_kind(f, strike_disk, k->disk_fault_ns);
    add_kind(f, strike_full, k->disk_full_ns);
    add_kind(f, strike_rot, k->rot_ns);
}

void faults_heal(struct faults *f)
{
    struct world *w = f->world;
    world_trace(w, NULL, "HEAL");
    f->active = false;
    heal_network(f);
    for (unsigned i = 0; i < w->process_count; i++) {
        struct process *p = w->processes[i];
        p->disk_slow = 1;
        p->crash_in_log_tasks = 0;
        if (p->disk_full) disk_freed(w, p);
        handed_over(w, p);
        if (p->disk != NULL) memdisk_fail_at(p->disk, 0, 0, STATUS_OK, false);
        if (p->state == PROCESS_DOWN) (void)process_start(p);
    }
}

uint64_t faults_count(const struct faults *f)
{
    return f->count;
}
