/* What this node knows of its own fitness and of its peers': whether it keeps leaderships, and what it tells of itself. */
#include "base/mem.h"
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
    n->peers = mem_realloc(n->peers, (count + 1) * sizeof *n->peers);
    n->peer_count = 0;
    uint64_t *us = arena_alloc(&n->arena, (count + 1) * sizeof *us);
    size_t known = 0;
    for (size_t i = 0; i < count; i++) {
        if (nodes[i].id == n->self.node_id) {
            n->drained = (nodes[i].flags & NODE_DRAINED) != 0;
        } else {
            n->peers[n->peer_count++] = (struct peer_health){.node_id = nodes[i].id, .flags = nodes[i].flags};
            host_peer_unfit(n->host, nodes[i].id, unfit(nodes[i].flags));
            if (nodes[i].alive) us[known++] = nodes[i].disk_write_us;
        }
    }
    host_set_peers_write_us(n->host, disk_health_median(us, known));
}

void health_free(struct node *n)
{
    mem_free(n->peers);
}

static bool peer_is_full(const struct node *n, uint64_t node_id)
{
    for (size_t i = 0; i < n->peer_count; i++) {
        if (n->peers[i].node_id == node_id) return (n->peers[i].flags & NODE_DISK_FULL) != 0;
    }
    return false;
}

enum status health_admit(const struct node *n, const struct replica *r, struct errbuf *err)
{
    const struct range_desc *d = replica_desc(r);
    bool self = (n->flags & NODE_DISK_FULL) != 0;
    size_t voters = 0, full = 0;
    for (size_t i = 0; i < d->replica_count; i++) {
        if (d->replicas[i].role == RANGE_LEARNER) continue;
        voters++;
        full += d->replicas[i].node_id == n->self.node_id ? self : peer_is_full(n, d->replicas[i].node_id);
    }
    if (voters - full >= voters / 2 + 1) {
        if (!self) return STATUS_OK;
        errbuf_set(err, "the disk of node %llu is full: a replica with room is to take over",
                   (unsigned long long)n->self.node_id);
        return STATUS_BUSY;
    }
    errbuf_set(
        err,
        "disk space: %zu of %zu replicas of the range are on disks that are full (95 %%; node %llu has %llu MiB free "
        "of %llu): delete data, make room or add nodes; deletes are still taken",
        full, voters, (unsigned long long)n->self.node_id, (unsigned long long)(n->space.free_bytes >> 20),
        (unsigned long long)(n->space.total_bytes >> 20));
    return STATUS_NO_SPACE;
}

uint64_t health_pass(struct node *n, uint64_t now_ns)
{
    uint64_t next = n->state == NODE_SERVING ? disk_space_pass(&n->space, now_ns) : DEADLINE_NONE;
    uint32_t flags = n->drained ? NODE_DRAINED : 0;
    if (host_disk_slow(n->host)) flags |= NODE_DISK_SLOW;
    if (n->space.level >= SPACE_TIGHT) flags |= NODE_DISK_TIGHT;
    if (n->space.level == SPACE_FULL) flags |= NODE_DISK_FULL;
    if (flags == n->flags) return next;
    const char *why = handover_reason(flags);
    log_event(n->env->log, LOG_INFO, "node.health", "node=%llu flags=%u leaderships=\"%s\"",
              (unsigned long long)n->self.node_id, flags, why != NULL ? why : "taken");
    n->flags = flags;
    host_hand_over(n->host, why);
    return next;
}
