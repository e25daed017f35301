/* Strict serializability of transactions over several keys, by cycles (tests/lib/cycles.h). Trusts no timestamp: every writer has
 * read what it overwrote, so the order of a key's values is in the answers. Edges: what wrote a value -> who saw it (wr), who
 * overwrote it (ww); who saw it -> who overwrote it (rw). Besides: nobody sees what did not happen (G1a), and no value is
 * overwritten twice (lost update). */
#include "base/mem.h"
#include "lib/cycles.h"
#include "sim/check.h"

struct graph {
    struct world *world;
    const struct chains *chains;
    struct cycles cycles;
    uint32_t *overwriter; /* [key][value]: number of the transaction that overwrote it; 0: none known */
};

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
                cycles_add(&g->cycles, (size_t)t->sees[i] - 1, n, t->writes[i] ? CYCLE_WW : CYCLE_WR);
            }
            uint32_t over = *overwriter(g, t->keys[i], t->sees[i]);
            if (over != 0) cycles_add(&g->cycles, n, over - 1, CYCLE_RW);
        }
    }
}

void check_chain(struct world *w, const struct history *h)
{
    struct graph g = {.world = w, .chains = &h->chains};
    char text[400];
    cycles_init(&g.cycles, h->chains.count);
    g.overwriter = mem_zalloc((h->chains.count + 1) * CHAIN_KEYS * sizeof *g.overwriter);
    note_overwriters(&g);
    add_dependencies(&g);
    for (size_t n = 0; n < h->chains.count; n++) {
        const struct chain_txn *t = &h->chains.items[n];
        bool done = t->outcome == OP_DONE;
        if (done || t->outcome == OP_UNKNOWN) cycles_time(&g.cycles, n, t->call_ns, done ? t->return_ns : CYCLES_NEVER);
    }
    if (cycles_find(&g.cycles, text, sizeof text)) world_fail(w, "chain: a cycle, %s", text);
    cycles_free(&g.cycles);
    mem_free(g.overwriter);
}
