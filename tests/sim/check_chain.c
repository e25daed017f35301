/* Strict serializability of transactions over several keys, by cycles: after Adya ("Weak Consistency", 1999) and Elle
 * (Kingsbury, Alvaro, 2020). Trusts no timestamp: every writer has read what it overwrote, so the order of a key's values is in
 * the answers. Edges: what wrote a value -> who saw it (wr), who overwrote it (ww); who saw it -> who overwrote it (rw); who had
 * ended -> who began later (rt). A cycle of ww is a G0, with wr a G1c, with one rw a G-single, with more a G2; the shortest
 * way back is told. Besides: nobody sees what did not happen (G1a), and no value is overwritten twice (lost update). */
#include "base/mem.h"
#include "sim/check.h"

#include <stdio.h>
#include <stdlib.h>

enum edge_kind { EDGE_WW, EDGE_WR, EDGE_RW, EDGE_RT };
struct edge {
    uint32_t from, to;
    enum edge_kind kind;
};

struct graph {
    struct world *world;
    const struct chains *chains;
    struct edge *edges;
    size_t edge_count, edge_capacity;
    uint32_t node_count;  /* transactions, then points in time */
    uint32_t *overwriter; /* [key][value]: number of the transaction that overwrote it; 0: none known */
};

static void add_edge(struct graph *g, uint32_t from, uint32_t to, enum edge_kind kind)
{
    if (from == to) return;
    if (g->edge_count == g->edge_capacity) {
        g->edge_capacity = g->edge_capacity == 0 ? 1024 : 2 * g->edge_capacity;
        g->edges = mem_realloc(g->edges, g->edge_capacity * sizeof *g->edges);
    }
    g->edges[g->edge_count++] = (struct edge){.from = from, .to = to, .kind = kind};
}

static uint32_t *overwriter(struct graph *g, unsigned key, uint64_t value)
{
    return &g->overwriter[key * (g->chains->count + 1) + value];
}

/* A value is the number of its writer; 0: absent. */
static bool value_is_real(struct graph *g, const struct chain_txn *t, unsigned slot)
{
    uint64_t value = t->sees[slot];
    if (value == CHAIN_UNSEEN) return false;
    if (value == 0) return true;
    bool wrote = false;
    const struct chain_txn *writer = value <= g->chains->count ? &g->chains->items[value - 1] : NULL;
    for (unsigned i = 0; writer != NULL && i < writer->key_count; i++) {
        if (writer->keys[i] == t->keys[slot] && writer->writes[i]) wrote = true;
    }
    if (wrote && writer->outcome != OP_NOTHING) return true;
    world_fail(g->world, "chain: transaction %zu saw %llu in key %u, which %s (G1a)",
               (size_t)(t - g->chains->items) + 1, (unsigned long long)value, t->keys[slot],
               wrote ? "did not happen" : "nobody wrote there");
    return false;
}

static void note_overwriters(struct graph *g)
{
    for (size_t n = 0; n < g->chains->count; n++) {
        const struct chain_txn *t = &g->chains->items[n];
        for (unsigned i = 0; i < t->key_count; i++) {
            if (t->outcome != OP_DONE || !t->writes[i] || !value_is_real(g, t, i)) continue;
            uint32_t *over = overwriter(g, t->keys[i], t->sees[i]);
            if (*over != 0) {
                world_fail(g->world, "chain: %u and %zu both overwrote %llu in key %u: a lost update", *over, n + 1,
                           (unsigned long long)t->sees[i], t->keys[i]);
            }
            *over = (uint32_t)n + 1;
        }
    }
}

static void add_dependencies(struct graph *g)
{
    for (size_t n = 0; n < g->chains->count; n++) {
        const struct chain_txn *t = &g->chains->items[n];
        for (unsigned i = 0; i < t->key_count; i++) {
            if (t->outcome != OP_DONE || !value_is_real(g, t, i)) continue;
            if (t->sees[i] != 0) {
                add_edge(g, (uint32_t)t->sees[i] - 1, (uint32_t)n, t->writes[i] ? EDGE_WW : EDGE_WR);
            }
            uint32_t over = *overwriter(g, t->keys[i], t->sees[i]);
            if (over != 0) add_edge(g, (uint32_t)n, over - 1, EDGE_RW);
        }
    }
}

struct moment {
    uint64_t at_ns;
    bool is_end;
    uint32_t txn;
};

static int moment_cmp(const void *a, const void *b)
{
    const struct moment *x = a, *y = b;
    if (x->at_ns != y->at_ns) return x->at_ns < y->at_ns ? -1 : 1;
    return (int)x->is_end - (int)y->is_end; /* at one instant: beginnings first, so that they are concurrent */
}

/* Points in time, each after the one before it: an end reaches every later beginning by way of them. */
static void add_real_time(struct graph *g)
{
    size_t count = 0;
    struct moment *m = mem_alloc((2 * g->chains->count + 1) * sizeof *m);
    for (size_t n = 0; n < g->chains->count; n++) {
        const struct chain_txn *t = &g->chains->items[n];
        if (t->outcome != OP_DONE && t->outcome != OP_UNKNOWN) continue;
        m[count++] = (struct moment){.at_ns = t->call_ns, .txn = (uint32_t)n};
        if (t->outcome == OP_DONE)
            m[count++] = (struct moment){.at_ns = t->return_ns, .is_end = true, .txn = (uint32_t)n};
    }
    qsort(m, count, sizeof *m, moment_cmp);
    uint32_t point = (uint32_t)g->chains->count;
    for (size_t i = 0; i < count; i++) {
        if (!m[i].is_end) {
            if (point > g->chains->count) add_edge(g, point - 1, m[i].txn, EDGE_RT);
            continue;
        }
        if (point > g->chains->count) add_edge(g, point - 1, point, EDGE_RT);
        add_edge(g, m[i].txn, point++, EDGE_RT);
    }
    g->node_count = point;
    mem_free(m);
}

static int edge_cmp(const void *a, const void *b)
{
    const struct edge *x = a, *y = b;
    return (x->from > y->from) - (x->from < y->from);
}

/* What is left when everything that nothing precedes has been taken away, again and again: cycles and what hangs on them. */
static bool take_away(const struct graph *g, const size_t *first, uint32_t *waits)
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

/* Backwards from what is left there is always a predecessor that is left: walked until a node comes again. */
static void tell_cycle(const struct graph *g, const uint32_t *waits)
{
    static const char *const KINDS[] = {"ww", "wr", "rw", "rt"};
    const struct edge **came = mem_zalloc((g->node_count + 1) * sizeof *came);
    unsigned counts[4] = {0};
    char text[400] = "";
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
        const struct edge *e = came[n];
        counts[e->kind]++;
        if (e->to < g->chains->count && at < sizeof text - 40) {
            at += (size_t)snprintf(text + at, sizeof text - at, " %u <-%s-", e->to + 1, KINDS[e->kind]);
        }
        n = e->from;
    } while (n != start);
    const char *name = counts[EDGE_RW] > 1    ? "G2"
                       : counts[EDGE_RW] == 1 ? "G-single"
                       : counts[EDGE_WR] > 0  ? "G1c"
                                              : "G0";
    world_fail(g->world, "chain: a cycle, %s%s:%s", name, counts[EDGE_RT] > 0 ? " with real time" : "", text);
    mem_free(came);
}

void check_chain(struct world *w, const struct history *h)
{
    struct graph g = {.world = w, .chains = &h->chains};
    g.overwriter = mem_zalloc((h->chains.count + 1) * CHAIN_KEYS * sizeof *g.overwriter);
    note_overwriters(&g);
    add_dependencies(&g);
    add_real_time(&g);
    if (g.edge_count > 0) qsort(g.edges, g.edge_count, sizeof *g.edges, edge_cmp);
    size_t *first = mem_zalloc((g.node_count + 2) * sizeof *first);
    uint32_t *waits = mem_zalloc((g.node_count + 1) * sizeof *waits);
    for (size_t i = 0; i < g.edge_count; i++) first[g.edges[i].from + 1]++;
    for (uint32_t n = 0; n < g.node_count; n++) first[n + 1] += first[n];
    if (take_away(&g, first, waits)) tell_cycle(&g, waits);
    mem_free(first);
    mem_free(waits);
    mem_free(g.edges);
    mem_free(g.overwriter);
}
