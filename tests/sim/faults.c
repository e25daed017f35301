#include "sim/faults_int.h"

#include "base/assert.h"
#include "base/mem.h"
#include "sim/check.h"
#include "sim/rot.h"

/* A kind: what it does, and its mean pause. */
struct fault_kind {
    void (*strike)(struct faults *f);
    uint64_t mean_ns;
    struct faults *faults;
};

struct process *fault_any_server(struct faults *f)
{
    struct process *servers[SERVERS_MAX];
    unsigned count = cluster_servers(f->cluster, servers);
    return servers[draw(f->world, 0, count - 1)];
}

/* The server that leads most, with good odds; else any. */
static void count_led(void *ctx, struct replica *r)
{
    *(unsigned *)ctx += replica_leads(r);
}

struct process *fault_leader(struct faults *f)
{
    struct process *servers[SERVERS_MAX], *found = fault_any_server(f);
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

struct process *fault_victim(struct faults *f)
{
    return chance(f->world, 500) ? fault_leader(f) : fault_any_server(f);
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
    struct process *servers[SERVERS_MAX];
    unsigned count = cluster_servers(f->cluster, servers);
    bool machine = chance(f->world, k->machine_crash);
    if (!chance(f->world, k->all_at_once)) {
        if (chance(f->world, 600)) crash(f, fault_victim(f), machine);
        /* And while it writes, perhaps what the crash above makes it write: a vote. strike_revive starts it again. */
        if (chance(f->world, 700)) fault_any_server(f)->crash_in_log_tasks = (unsigned)draw(f->world, 1, 6);
        if (chance(f->world, 500)) fault_victim(f)->crash_in_log_tasks = (unsigned)draw(f->world, 1, 30);
        if (chance(f->world, 500)) fault_any_server(f)->crash_at_effect = (unsigned)draw(f->world, 1, 100);
        return;
    }
    for (unsigned i = 0; i < count; i++) crash(f, servers[i], machine);
}

/* A router dies, at once or between two of the messages that it is about to send; those whose transactions it drove do not know. */
static void strike_router(struct faults *f)
{
    struct cluster *c = f->cluster;
    struct process *p = c->clients[draw(f->world, 0, c->knobs.client_count - 1)];
    if (!c->booted) return;
    if (p->state == PROCESS_DOWN) {
        (void)process_start(p);
    } else if (chance(f->world, 300)) {
        crash(f, p, false);
    } else {
        p->crash_at_effect = (unsigned)draw(f->world, 1, 40);
    }
}

/* Whoever went down by itself (a legitimate fatal, a stop that is over) starts again. */
static void strike_revive(struct faults *f)
{
    struct process *p = fault_any_server(f);
    if (p->state == PROCESS_DOWN) (void)process_start(p);
}

static void strike_stop(struct faults *f)
{
    struct process *p = fault_victim(f);
    if (p->state == PROCESS_UP && p->server != NULL) process_stop(p);
}

/* --- time --- */

static void strike_pause(struct faults *f)
{
    struct process *p =
        chance(f->world, 900) ? fault_victim(f) : f->world->processes[draw(f->world, 0, f->world->process_count - 1)];
    if (!process_runs(p)) return;
    uint64_t ns = draw(f->world, MS_NS, f->cluster->knobs.pause_max_ns);
    if (chance(f->world, 500)) {
        process_pause(p, ns);
    } else {
        process_pause_within(p, ns, (unsigned)draw(f->world, 1, 40));
    }
}

static void strike_wall(struct faults *f)
{
    static const int64_t JUMPS_MS[] = {50, 2000, 60000, 86400000};
    struct process *p = fault_any_server(f);
    int64_t ms = (int64_t)draw(f->world, 1, (uint64_t)JUMPS_MS[draw(f->world, 0, 3)]);
    if (chance(f->world, 500)) ms = -ms;
    /* A day ahead at most: ids are kept for two, and timestamps follow the clock that is furthest ahead. */
    process_wall_jump(p, p->wall_jump_ms + ms <= JUMPS_MS[3] ? ms : -ms);
    unsigned ppm = f->world->knobs.clock_drift_ppm;
    if (ppm > 0) process_set_drift(p, (int64_t)draw(f->world, 0, 2 * ppm) - (int64_t)ppm);
}

/* --- leaderships --- */

struct away {
    struct faults *faults;
    unsigned at;
};

static void transfer_one(void *ctx, struct replica *r)
{
    struct away *t = ctx;
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

struct bounce {
    struct faults *faults;
    struct process *p;
    uint64_t node; /* of p; 0: not known yet */
    bool back;
    unsigned left;
};

static void bounce_one(void *ctx, struct replica *r)
{
    struct bounce *b = ctx;
    const struct range_desc *d = replica_desc(r);
    struct errbuf err;
    if (d->replica_count < 2 || !replica_leads(r)) return;
    uint64_t to = b->node;
    for (size_t i = 0; i < d->replica_count && !b->back; i++) {
        if (d->replicas[i].replica_id == replica_id(r))
            b->node = d->replicas[i].node_id;
        else
            to = d->replicas[i].node_id;
    }
    if (replica_transfer(r, to, &err) != STATUS_OK) COVER("sim.transfer_refused");
}

static void bounce_now(struct world *w, void *ctx)
{
    struct bounce *b = ctx;
    for (unsigned i = 0; b->faults->active && i < w->process_count; i++) {
        struct process *p = w->processes[i];
        struct host *h = p->ops == b->p->ops && (b->back || p == b->p) ? process_host(p) : NULL;
        if (h == NULL || p->env.dead || p->paused_until_ns > w->now_ns) continue;
        host_each_replica(h, bounce_one, b);
        process_pass_soon(p);
    }
    if (b->node == 0 || --b->left == 0) return;
    b->back = !b->back;
    world_after(w, draw(w, 10, 300) * MS_NS, bounce_now, b);
}

void fault_bounce(struct faults *f, struct process *p, uint64_t after_ns)
{
    struct bounce *b = world_alloc(f->world, sizeof *b);
    *b = (struct bounce){.faults = f, .p = p, .left = 20};
    world_after(f->world, after_ns, bounce_now, b);
}

/* As an admin does: one range's leadership to another node, or all of a node's away for a while. */
static void strike_transfer(struct faults *f)
{
    struct process *p = fault_leader(f);
    struct host *h = process_runs(p) ? process_host(p) : NULL;
    if (h == NULL || p->env.dead || p->paused_until_ns > f->world->now_ns) return;
    if (chance(f->world, 300)) {
        world_trace(f->world, p, "HAND OVER");
        host_hand_over(h, "the simulator says so");
        world_after(f->world, draw(f->world, 10, 3000) * MS_NS, handed_over, p);
    } else {
        world_trace(f->world, p, "TRANSFER");
        host_each_replica(h, transfer_one, &(struct away){.faults = f, .at = (unsigned)draw(f->world, 0, 2)});
    }
    process_pass_soon(p);
}

/* --- rot --- */

bool fault_may_rot(struct faults *f, const struct process *p)
{
    const struct rotten *r = &f->rotten[process_is_node(p) ? 1 : 0];
    if (!process_is_node(p) && f->cluster->meta_count > METAS) return false; /* it has no vote, and others may go */
    if (process_is_node(p) && !(f->cluster->placed && check_raft_complete(f->cluster->check_raft))) return false;
    return process_host(p) != NULL && p->state == PROCESS_UP &&
           (r->p == NULL || (!r->p->disk_damaged && rot_mended(r->p, r->before)));
}

void fault_note_rot(struct faults *f, struct process *p)
{
    f->rotten[process_is_node(p) ? 1 : 0] = (struct rotten){.p = p, .before = rot_ranges_of(f->world, p)};
}

/* What is durable in the log, or the head of the manifest: leaders must mend it. */
static void strike_rot(struct faults *f)
{
    struct process *p = fault_any_server(f);
    if (!fault_may_rot(f, p)) return;
    fault_note_rot(f, p);
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
    add_kind(f, fault_partition, k->partition_ns);
    add_kind(f, fault_lag, k->lag_ns);
    add_kind(f, fault_reset, k->reset_ns);
    add_kind(f, strike_pause, k->pause_ns);
    add_kind(f, strike_wall, k->wall_ns);
    add_kind(f, fault_slow_disk, k->slow_ns);
    add_kind(f, fault_failing_disk, k->disk_fault_ns);
    add_kind(f, fault_full_disk, k->disk_full_ns);
    add_kind(f, strike_rot, k->rot_ns);
    add_kind(f, fault_table_rot, k->table_rot_ns);
    add_kind(f, strike_router, k->crash_ns / 2);
    add_kind(f, fault_split, k->split_ns);
    add_kind(f, fault_merge, k->merge_ns);
}

void faults_heal(struct faults *f)
{
    struct world *w = f->world;
    world_trace(w, NULL, "HEAL");
    f->active = false;
    w->knobs.net_spike = w->knobs.io_spike =
        0; /* longer than an election may take: nobody could be expected to lead on */
    fault_heal_network(f);
    for (unsigned i = 0; i < w->process_count; i++) {
        struct process *p = w->processes[i];
        p->log_slow = p->io_slow = 1;
        p->disk_stalls_ns = 0;
        p->crash_in_log_tasks = p->crash_at_effect = p->pause_at_clock = 0;
        if (p->disk_full) fault_disk_freed(w, p);
        handed_over(w, p);
        if (p->disk != NULL) memdisk_fail_at(p->disk, 0, 0, STATUS_OK, false);
        if (p->disk_damaged && process_runs(p)) process_crash(p, MEMDISK_KEEP, false); /* for good */
        if (p->state == PROCESS_DOWN && !p->disk_damaged && !cluster_stands_by(f->cluster, p)) (void)process_start(p);
    }
}

uint64_t faults_count(const struct faults *f)
{
    return f->count;
}
