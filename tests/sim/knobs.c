/* A swarm: every run draws its sizes, its latencies and its faults anew, "none" included, so that over many seeds each kind
 * of trouble is met alone and in company. */
#include "sim/cluster.h"

#include <stdio.h>

static bool half(struct world *w)
{
    return chance(w, 500);
}

static void draw_network(struct world *w, struct sim_knobs *k)
{
    static const uint64_t MAXIMA[] = {60000, 300000, 2 * MS_NS, 10 * MS_NS, 40 * MS_NS};
    k->net_max_ns = MAXIMA[draw(w, 0, 4)];
    k->net_min_ns = k->net_max_ns / draw(w, 1, 10);
    k->net_spike = half(w) ? (unsigned)draw(w, 1, 20) : 0;
    k->net_spike_ns = draw(w, 1, 200) * MS_NS;
    k->net_split = half(w) ? (unsigned)draw(w, 1, 300) : 0;
    k->pass_gap_ns = draw(w, 1, 200) * 1000;
}

static void draw_machine(struct world *w, struct sim_knobs *k)
{
    static const uint64_t MAXIMA[] = {50000, 200000, MS_NS, 8 * MS_NS};
    k->log_max_ns = MAXIMA[draw(w, 0, 3)];
    k->log_min_ns = k->log_max_ns / draw(w, 1, 10);
    k->io_max_ns = 2 * MAXIMA[draw(w, 0, 3)];
    k->io_min_ns = k->io_max_ns / draw(w, 1, 10);
    k->io_spike = half(w) ? (unsigned)draw(w, 1, 10) : 0;
    /* Two clocks may differ in rate by 1 percent: that is what leases allow for (docs/liveness.md). */
    k->clock_drift_ppm = half(w) ? (unsigned)draw(w, 1, 4900) : 0;
}

/* The mean pause between two faults of a kind, or 0. */
static uint64_t draw_fault(struct world *w, unsigned per_mille, uint64_t min_ms, uint64_t max_ms)
{
    uint64_t ms = draw(w, min_ms, max_ms);
    return chance(w, per_mille) ? ms * MS_NS : 0;
}

static void draw_faults(struct world *w, struct cluster_knobs *k)
{
    k->crash_ns = draw_fault(w, 700, 400, 5000);
    k->partition_ns = draw_fault(w, 600, 500, 5000);
    k->pause_ns = draw_fault(w, 500, 300, 4000);
    k->reset_ns = draw_fault(w, 500, 100, 3000);
    k->stop_ns = draw_fault(w, 300, 1000, 5000);
    k->transfer_ns = draw_fault(w, 400, 50, 3000);
    k->wall_ns = draw_fault(w, 500, 300, 3000);
    k->slow_ns = draw_fault(w, 300, 500, 5000);
    k->disk_fault_ns = draw_fault(w, 250, 800, 5000);
    k->disk_full_ns = draw_fault(w, 200, 800, 5000);
    k->lag_ns = draw_fault(w, 500, 500, 4000);
    k->rot_ns = draw_fault(w, 300, 300, 3000);
    k->table_rot_ns = draw_fault(w, 150, 300, 3000);
    k->split_ns = draw_fault(w, 500, 20, 2000);
    k->admin_ns = draw_fault(w, 500, 30, 1500);
    k->merge_ns = draw_fault(w, 600, 20, 2000);
    if (k->split_ns == 0) k->merge_ns = 0; /* nothing to merge that the workload does not count on */
    k->pause_max_ns = half(w) ? draw(w, 1, 200) * MS_NS : draw(w, 1, 30) * SEC_NS;
    k->down_max_ns = draw(w, 1, 4000) * MS_NS;
    k->all_at_once = half(w) ? (unsigned)draw(w, 0, 300) : 0;
    k->machine_crash = (unsigned)draw(w, 0, 1000);
    k->chaos_from_start = chance(w, 300);
    k->safety_ns = draw(w, 2, 10) * SEC_NS;
}

void knobs_draw_host(struct world *w, struct host_options *o)
{
    o->lsm.memtable_bytes = (size_t)2048 << draw(w, 0, 6);
    o->lsm.cache_bytes = (size_t)1024 << draw(w, 0, 8);
    o->lsm.block_bytes = (size_t)512 << draw(w, 0, 4);
    o->lsm.file_bytes = (uint64_t)4096 << draw(w, 0, 5);
    o->lsm.compress = half(w);
    o->lsm.recent_bytes =
        o->lsm.compress ? 4096 : 0; /* a set or two; no draw of its own, so that seeds stay what they were */
    o->log_keep_bytes = half(w) ? draw(w, 200, 4000) : draw(w, 4000, 200000);
    o->wal_flush_bytes = draw(w, 128, 1024) * 1024;
    o->version_keep = draw(w, 0, 3000) << 18;
    o->horizon_ms = (uint32_t)(o->version_keep >> 18) / 2 + 50; /* as short as what is kept, of its draw */
    if (cluster_backs_up(w) &&
        w->seed / 16 % 2 == 0) { /* as long as servers keep them: in the others a backup is often too late */
        o->version_keep = 60000ull << 18;
        o->horizon_ms = 10000;
    }
    o->snapshot_chunk_bytes = (uint32_t)draw(w, 100, 20000);
    o->snapshot_rate_bytes = half(w) ? 0 : draw(w, 20000, 2000000);
    o->log_lag_bytes = o->log_keep_bytes * draw(w, 1, 8);
    o->log_lag_ms = half(w) ? 900000 : (uint32_t)draw(w, 50, 3000);
}

static void draw_host(struct world *w, struct host_options *o)
{
    host_options_default(o);
    o->wal.segment_bytes = (uint64_t)65536 << draw(w, 0, 4);
    o->wal.spare_segments = (unsigned)draw(w, 1, 2);
    o->wal.skip_self_test = half(w);
    o->election_ms = (uint32_t)draw(w, half(w) ? 60 : 200, half(w) ? 250 : 1000);
    o->compare_every = draw(w, 1, half(w) ? 8 : 200);
    /* A majority answers well within an election timeout, or nobody can be expected to lead. */
    uint32_t needed_ms = (uint32_t)((4 * w->knobs.net_max_ns + 2 * w->knobs.log_max_ns) / MS_NS);
    if (o->election_ms < needed_ms) o->election_ms = needed_ms;
    o->heartbeat_ms = o->election_ms / (uint32_t)draw(w, 4, 8);
    o->support_ms = chance(w, 750) ? o->heartbeat_ms * (uint32_t)draw(w, 3, 12) : 0;
    o->proposals_max = half(w) ? 16384 : (uint32_t)draw(w, 1, 8);
}

static void draw_workload(struct world *w, struct cluster_knobs *k)
{
    k->workers = (unsigned)draw(w, 1, 3);
    k->think_max_ms = half(w) ? (unsigned)draw(w, 0, 20) : (unsigned)draw(w, 1, 100);
    k->register_keys = (unsigned)draw(w, 2, 6);
    k->bank_ranges = (unsigned)draw(w, 1, 3);
    k->accounts = (unsigned)draw(w, 2, 5);
    k->value_bytes_max = chance(w, 300) ? 16 : (unsigned)draw(w, 16, 3000);
    k->timeout_max_ms = (uint32_t)draw(w, 200, 6000);
}

enum { STORM_EVERY = 16, STORM_AT = 9 };
enum { NARROW_EVERY = 8, NARROW_AT = 6 };

/* One seed of so many: ranges that change all the time, while processes die and the metadata service is hard to reach. What goes wrong
 * between two changes of a range is rare where changes are. */
static void storm(struct world *w, struct cluster_knobs *k)
{
    k->split_ns = draw(w, 20, 100) * MS_NS;
    k->merge_ns = draw(w, 20, 100) * MS_NS;
    k->admin_ns = draw(w, 20, 100) * MS_NS;
    k->crash_ns = draw(w, 300, 1500) * MS_NS;
    k->transfer_ns = draw(w, 50, 300) * MS_NS;
    k->lag_ns = draw(w, 500, 1500) * MS_NS;
    if (half(w)) k->rot_ns = draw(w, 300, 1500) * MS_NS;
    k->safety_ns = 10 * SEC_NS;
}

/* One entry in an append, one append under way. Over the slowest links that would be a dozen entries a second, fewer than are asked for. */
static void narrow(struct world *w, struct cluster_knobs *k)
{
    k->host.append_max_bytes = k->host.inflight_max_count = 1;
    if (w->knobs.net_max_ns > 10 * MS_NS) w->knobs.net_max_ns = 10 * MS_NS;
    if (w->knobs.net_min_ns > w->knobs.net_max_ns) w->knobs.net_min_ns = w->knobs.net_max_ns;
}

void knobs_draw(struct world *w, struct cluster_knobs *k)
{
    memset(k, 0, sizeof *k);
    draw_network(w, &w->knobs);
    draw_machine(w, &w->knobs);
    draw_faults(w, k);
    draw_host(w, &k->host);
    draw_workload(w, k);
    k->node_count = (unsigned)draw(w, 3, NODES_MAX);
    k->client_count = (unsigned)draw(w, 1, CLIENTS_MAX);
    if (w->seed % STORM_EVERY == STORM_AT) storm(w, k);
    if (w->seed % NARROW_EVERY == NARROW_AT) narrow(w, k);
    if (prng_chance(&w->stray, 1, 4)) w->knobs.net_again = (unsigned)prng_between(&w->stray, 1, 60);
}

void knobs_bench(struct world *w, struct cluster_knobs *k)
{
    *k = (struct cluster_knobs){.node_count = 5,
                                .client_count = 3,
                                .workers = 3,
                                .think_max_ms = 80,
                                .register_keys = 6,
                                .bank_ranges = 3,
                                .accounts = 5,
                                .value_bytes_max = 100,
                                .timeout_max_ms = 5000,
                                .safety_ns = 20 * SEC_NS};
    host_options_default(&k->host);
    k->host.wal.segment_bytes = 256u << 10;
    k->host.wal_flush_bytes = 1u << 20; /* so that segments are used again, as they are after a while */
    w->knobs = (struct sim_knobs){.net_min_ns = 50000,
                                  .net_max_ns = 300000,
                                  .pass_gap_ns = 100000,
                                  .log_min_ns = 50000,
                                  .log_max_ns = 200000,
                                  .io_min_ns = 50000,
                                  .io_max_ns = 200000};
}

void knobs_describe(const struct world *w, const struct cluster_knobs *k, char *text, size_t size)
{
    (void)snprintf(
        text, size,
        "nodes=%u clients=%u workers=%u banks=%u net_ms=%.2f log_ms=%.2f drift_ppm=%u election_ms=%u crash_ms=%u "
        "partition_ms=%u pause_ms=%u reset_ms=%u stop_ms=%u transfer_ms=%u wall_ms=%u slow_ms=%u disk_fault_ms=%u "
        "disk_full_ms=%u lag_ms=%u rot_ms=%u table_rot_ms=%u split_ms=%u merge_ms=%u admin_ms=%u again=%u "
        "safety_s=%u",
        k->node_count, k->client_count, k->workers, k->bank_ranges, (double)w->knobs.net_max_ns / 1e6,
        (double)w->knobs.log_max_ns / 1e6, w->knobs.clock_drift_ppm, k->host.election_ms,
        (unsigned)(k->crash_ns / MS_NS), (unsigned)(k->partition_ns / MS_NS), (unsigned)(k->pause_ns / MS_NS),
        (unsigned)(k->reset_ns / MS_NS), (unsigned)(k->stop_ns / MS_NS), (unsigned)(k->transfer_ns / MS_NS),
        (unsigned)(k->wall_ns / MS_NS), (unsigned)(k->slow_ns / MS_NS), (unsigned)(k->disk_fault_ns / MS_NS),
        (unsigned)(k->disk_full_ns / MS_NS), (unsigned)(k->lag_ns / MS_NS), (unsigned)(k->rot_ns / MS_NS),
        (unsigned)(k->table_rot_ns / MS_NS), (unsigned)(k->split_ns / MS_NS), (unsigned)(k->merge_ns / MS_NS),
        (unsigned)(k->admin_ns / MS_NS), w->knobs.net_again, (unsigned)(k->safety_ns / SEC_NS));
}
