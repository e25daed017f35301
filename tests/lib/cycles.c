/* See cycles.h. */
#include "lib/cycles.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

struct cycle_edge {
    uint32_t from, to;
    enum cycle_kind kind;
};

struct cycle_moment {
    uint64_t at_ns;
    bool is_end;
    uint32_t txn;
};

void cycles_init(struct cycles *g, size_t txn_count)
{
    *g = (struct cycles){.txn_count = txn_count, .node_count = (uint32_t)txn_count};
    g->moments = mem_alloc((2 * txn_count + 1) * sizeof *g->moments);
}

void cycles_free(struct cycles *g)
{
    mem_free(g->edges);
    mem_free(g->moments);
}

void cycles_add(struct cycles *g, size_t from, size_t to, enum cycle_kind kind)
{
    if (from == to) return;
    if (g->edge_count == g->edge_capacity) {
        g->edge_capacity = g->edge_capacity == 0 ? 1024 : 2 * g->edge_capacity;
        g->edges = mem_realloc(g->edges, g->edge_capacity * sizeof *g->edges);
    }
    g->edges[g->edge_count++] = (struct cycle_edge){.from = (uint32_t)from, .to = (uint32_t)to, .kind = kind};
}

void cycles_time(struct cycles *g, size_t txn, uint64_t call_ns, uint64_t return_ns)
{
    g->moments[g->moment_count++] = (struct cycle_moment){.at_ns = call_ns, .txn = (uint32_t)txn};
    if (return_ns == CYCLES_NEVER) return;
    g->moments[g->moment_count++] = (struct cycle_moment){.at_ns = return_ns, .is_end = true, .txn = (uint32_t)txn};
}

static int moment_cmp(const void *a, const void *b)
{
    const struct cycle_moment *x = a, *y = b;
    if (x->at_ns != y->at_ns) return x->at_ns < y->at_ns ? -1 : 1;
    return (int)x->is_end - (int)y->is_end; /* at one instant: beginnings first, so that they are concurrent */
}

/* Points in time, each after the one before it: an end reaches every later beginning by way of them. */
static void add_real_time(struct cycles *g)
{
    uint32_t first = (uint32_t)g->txn_count, point = first;
    qsort(g->moments, g->moment_count, sizeof *g->moments, moment_cmp);
    for (size_t i = 0; i < g->moment_count; i++) {
        const struct cycle_moment *m = &g->moments[i];
        if (!m->is_end) {
            if (point > first) cycles_add(g, point - 1, m->txn, CYCLE_RT);
            continue;
        }
        if (point > first) cycles_add(g, point - 1, point, CYCLE_RT);
        cycles_add(g, m->txn, point++, CYCLE_RT);
    }
    g->node_count = point;
}

static int edge_cmp(const void *a, const void *b)
{
    const struct cycle_edge *x = a, *y = b;
    return (x->from > y->from) - (x->from < y->from);
}

/* What is left when everything that nothing precedes has been taken away, again and again: cycles and what hangs on them. */
static bool take_away(const struct cycles *g, const size_t *first, uint32_t *waits)
{
    uint32_t *ready = mem_alloc((g->node_count + 1) * sizeof *ready);
    size_t count = 0, taken = 0;
    for (size_t i = 0; i < g->edge_count; i++) waits[g->edges[i].to]++;
    for (uint32_t n = 0; n < g->node_count; n++) {
        if (waits[n] == 0) ready[count++] = n;
    }
    while (taken < count) {
        uint32_t n = ready[taken++];
        for (size_t i = first[n]; i < first[n + 1]; i++) {
            if (--waits[g->edges[i].to] == 0) ready[count++] = g->edges[i].to;
        }
    }
    mem_free(ready);
    return taken < g->node_count;
}

static const char *name_of(const unsigned counts[4])
{
    if (counts[CYCLE_RW] > 0) return counts[CYCLE_RW] > 1 ? "G2" : "G-single";
    return counts[CYCLE_WR] > 0 ? "G1c" : "G0";
}

/* Backwards from what is left there is always a predecessor that is left: walked until a node comes again. */
static void tell(const struct cycles *g, const uint32_t *waits, char *out, size_t size)
{
    static const char *const KINDS[] = {"ww", "wr", "rw", "rt"};
    const struct cycle_edge **came = mem_zalloc((g->node_count + 1) * sizeof *came);
    unsigned counts[4] = {0};
    char text[320] = "";
    size_t at = 0;
    uint32_t n = 0;
    while (waits[n] == 0) n++;
    while (came[n] == NULL) {
        for (size_t i = 0; i < g->edge_count && came[n] == NULL; i++) {
            if (g->edges[i].to == n && waits[g->edges[i].from] > 0) came[n] = &g->edges[i];
        }
        n = came[n]->from;
    }
    uint32_t start = n;
    do {
        const struct cycle_edge *e = came[n];
        counts[e->kind]++;
        if (e->to < g->txn_count && at < sizeof text - 40) {
            at += (size_t)snprintf(text + at, sizeof text - at, " %u <-%s-", e->to + 1, KINDS[e->kind]);
        }
        n = e->from;
    } while (n != start);
    (void)snprintf(out, size, "%s%s:%s", name_of(counts), counts[CYCLE_RT] > 0 ? " with real time" : "", text);
    mem_free(came);
}

bool cycles_find(struct cycles *g, char *text, size_t size)
{
    add_real_time(g);
    if (g->edge_count > 0) qsort(g->edges, g->edge_count, sizeof *g->edges, edge_cmp);
    size_t *first = mem_zalloc((g->node_count + 2) * sizeof *first);
    uint32_t *waits = mem_zalloc((g->node_count + 1) * sizeof *waits);
    for (size_t i = 0; i < g->edge_count; i++) first[g->edges[i].from + 1]++;
    for (uint32_t n = 0; n < g->node_count; n++) first[n + 1] += first[n];
    bool found = take_away(g, first, waits);
    if (found) tell(g, waits, text, size);
    mem_free(first);
    mem_free(waits);
    return found;
}
