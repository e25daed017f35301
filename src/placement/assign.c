#include "placement/assign.h"

#include "base/assert.h"
#include "base/limits.h"

static bool is_chosen(const uint64_t *chosen, size_t count, uint64_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (chosen[i] == id) return true;
    }
    return false;
}

static bool shares_host(const struct placement_node *nodes, size_t node_count, const uint64_t *chosen, size_t count,
                        struct slice host)
{
    for (size_t i = 0; i < node_count; i++) {
        if (is_chosen(chosen, count, nodes[i].id) && slice_eq(nodes[i].host, host)) return true;
    }
    return false;
}

static struct placement_node *find(struct placement_node *nodes, size_t node_count, uint64_t id)
{
    for (size_t i = 0; i < node_count; i++) {
        if (nodes[i].id == id) return &nodes[i];
    }
    BUG("a chosen node is one of the nodes");
}

/* (shares a host, replicas, id): the smaller goes first. */
static bool goes_first(const struct placement_node *a, bool a_shares, const struct placement_node *b, bool b_shares)
{
    if (a_shares != b_shares) return b_shares;
    if (a->replicas != b->replicas) return a->replicas < b->replicas;
    return a->id < b->id;
}

enum status placement_assign(struct placement_node *nodes, size_t node_count, size_t count, uint64_t *chosen)
{
    ASSERT(count > 0 && count <= LIMIT_REPLICAS);
    if (node_count < count) return STATUS_UNAVAILABLE;
    for (size_t k = 0; k < count; k++) {
        struct placement_node *best = NULL;
        bool best_shares = false;
        for (size_t i = 0; i < node_count; i++) {
            if (is_chosen(chosen, k, nodes[i].id)) continue;
            bool shares = shares_host(nodes, node_count, chosen, k, nodes[i].host);
            if (best != NULL && !goes_first(&nodes[i], shares, best, best_shares)) continue;
            best = &nodes[i];
            best_shares = shares;
        }
        ASSERT(best != NULL); /* fewer are chosen than there are nodes */
        chosen[k] = best->id;
    }
    size_t leader = 0;
    for (size_t k = 0; k < count; k++) {
        struct placement_node *n = find(nodes, node_count, chosen[k]);
        n->replicas++;
        const struct placement_node *l = find(nodes, node_count, chosen[leader]);
        if (n->leaders < l->leaders) leader = k;
    }
    uint64_t first = chosen[leader];
    chosen[leader] = chosen[0];
    chosen[0] = first;
    find(nodes, node_count, first)->leaders++;
    return STATUS_OK;
}
