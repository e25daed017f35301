/* The scheduler alone at scale: nodes and ranges in memory, plans carried out at once. Prints how long one decision round
 * takes, what it needs of memory, and how many rounds the cluster takes to settle after nodes have come, died or left.
 *   placement [NODES [RANGES]]       default: 1000 nodes, 1000000 ranges, three replicas each */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/placement_world.h"

static struct placement_world world;

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* of one thread: the machine may have other things to do */
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t moves(void)
{
    return world.done[PLACEMENT_ADD] + world.done[PLACEMENT_REPLACE] + world.done[PLACEMENT_REMOVE];
}

/* Rounds until one has nothing to do; their mean and longest time without the carrying out. */
static void settle(const char *what)
{
    uint64_t moved = moves(), handed = world.done[PLACEMENT_TRANSFER];
    double longest = 0, total = 0;
    size_t rounds = 0, ops;
    do {
        struct placement_view v = placement_world_view(&world);
        double begin = now_s();
        placement_round(&v, &world.options, &world.plan);
        double took = now_s() - begin;
        if (took > longest) longest = took;
        total += took;
        ops = placement_world_round(&world);
        rounds++;
    } while (ops > 0 && rounds < 5000);
    printf("%-34s %5zu rounds, %7llu moves, %6llu hand-overs; a round %.0f ms, at most %.0f ms; off the mean at most "
           "%.1f replicas, %.1f leaders; without quorum %llu, short %llu\n",
           what, rounds, (unsigned long long)(moves() - moved),
           (unsigned long long)(world.done[PLACEMENT_TRANSFER] - handed), total / (double)rounds * 1000, longest * 1000,
           placement_world_spread(&world, false), placement_world_spread(&world, true),
           (unsigned long long)world.plan.ranges_without_quorum, (unsigned long long)world.plan.ranges_short);
    printf("bench placement/%s ours=%.1f unit=ms\n", what, longest * 1000);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    size_t nodes = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
    size_t ranges = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000000;
    if (nodes < 10 || ranges < nodes) {
        fprintf(stderr, "usage: placement [NODES >= 10 [RANGES >= NODES]]\n");
        return 2;
    }
    struct prng rng;
    prng_init(&rng, 1);
    placement_world_init(&world, nodes, ranges + 64);
    world.options.pause_merge = world.options.pause_split = true;
    world.options.ops_max = (unsigned)(nodes * 8);
    world.options.arrivals_max = world.options.departures_max = 100; /* a round here is as long as a move */
    size_t ready = nodes - nodes / 100 - 1;                          /* the last hundredth comes later */
    for (size_t i = ready; i < nodes; i++) world.sites[i].takes_replicas = false;
    placement_world_add(&world, &rng, ranges, ready, 256u << 20);
    printf("%zu nodes, %zu ranges: view %.0f MiB, %zu bytes a range\n", nodes, ranges,
           (double)(ranges * sizeof(struct placement_range)) / (1 << 20), sizeof(struct placement_range));
    settle("at_random");
    for (size_t i = ready; i < nodes; i++) world.sites[i].takes_replicas = true;
    settle("nodes_added");
    world.sites[0].life = PLACEMENT_DEAD;
    settle("node_died");
    world.sites[1].life = PLACEMENT_LEAVING;
    settle("node_decommissioned");
    world.sites[2].life = PLACEMENT_DRAINING;
    settle("node_drained");
    placement_world_free(&world);
    return 0;
}
