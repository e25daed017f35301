/* What this node knows of its own fitness and of its peers': whether it keeps leaderships, and what it tells of itself. */
#include "node/node_int.h"
#include "range/disk_health.h"

/* Reasons to lead nothing that another replica can lead, worst first. */
static const char *handover_reason(uint32_t flags)
{
    if ((flags & NODE_DISK_SLOW) != 0) return "the disk is slow";
    if ((flags & NODE_DISK_FULL) != 0) return "the disk is full";
    if ((flags & NODE_DRAINED) != 0) return "the node is drained";
    return NULL;
}

static bool unfit(uint32_t flags)
{
    return handover_reason(flags) != NULL;
}

void health_learn(struct node *n, const struct node_info *nodes, size_t count)
{
    uint64_t *us = arena_alloc(&n->arena, (count + 1) * sizeof *us);
    size_t known = 0;
    for (size_t i = 0; i < count; i++) {
        if (nodes[i].id == n->self.node_id) {
            n->drained = (nodes[i].flags & NODE_DRAINED) != 0;
        } else {
            host_peer_unfit(n->host, nodes[i].id, unfit(nodes[i].flags));
            if (nodes[i].alive) us[known++] = nodes[i].disk_write_us;
        }
    }
    host_set_peers_write_us(n->host, disk_health_median(us, known));
}

void health_pass(struct node *n, uint64_t now_ns)
{
    (void)now_ns;
    uint32_t flags = n->drained ? NODE_DRAINED : 0;
    if (host_disk_slow(n->host)) flags |= NODE_DISK_SLOW;
    if (flags == n->flags) return;
    const char *why = handover_reason(flags);
    log_event(n->env->log, LOG_INFO, "node.health", "node=%llu flags=%u leaderships=\"%s\"",
              (unsigned long long)n->self.node_id, flags, why != NULL ? why : "taken");
    n->flags = flags;
    host_hand_over(n->host, why);
}
