/* Handing leaderships over: one on request, or all of a host's for as long as there is a reason (it stops, was drained, its
 * disk is slow or full). Raft does the transfer; here it is chosen who gets which, how many at a time, and tried again. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "range/change_int.h"

#include <stdlib.h>

enum { HANDOVER_AT_ONCE = 32, HANDOVER_EVERY_MS = 50 };
enum { HEIR_LAG_MAX = 1024 }; /* entries: while one that lags further catches up, writes would wait */

/* Voters in the descriptor's order; the configuration in force has the last word. */
static bool is_voter(const struct replica *r, const struct range_replica *m)
{
    const struct raft_config *c = raft_config_now(r->raft);
    for (unsigned i = 0; i < c->voter_count; i++) {
        if (c->voters[i] == m->replica_id) return true;
    }
    return false;
}

static bool lags(const struct replica *r, uint64_t replica_id)
{
    return raft_match_of(r->raft, replica_id) + HEIR_LAG_MAX < raft_commit(r->raft);
}

/* A connection says little: a process that is stopped, or cut off without a word, keeps it. While the leadership is on its way no
 * command is taken, so it goes to nobody whose heartbeats have ceased. */
static bool is_heard(const struct replica *r, struct link *l)
{
    if (l == NULL || !link_connected(l)) return false;
    return r->host->options.support_ms == 0 || liveness_given(link_liveness(l), 0) != 0 || MUTANT(silent_heir);
}

/* Who gets it: heard, fit, and nearest to having everything; among equals the one that was given least. When we stop, one
 * that is unfit is better than none. NULL: nobody. */
static const struct range_replica *choose_heir(const struct replica *r, bool any)
{
    const struct range_replica *best = NULL;
    const struct link *best_link = NULL;
    uint64_t best_match = 0;
    for (size_t i = 0; i < r->desc->replica_count; i++) {
        const struct range_replica *m = &r->desc->replicas[i];
        struct link *l = map_get(&r->host->links, m->node_id);
        if (m->replica_id == r->id || !is_heard(r, l) || !is_voter(r, m)) continue;
        if ((link_unfit(l) || lags(r, m->replica_id)) && !any) continue;
        uint64_t match = raft_match_of(r->raft, m->replica_id);
        if (match > raft_commit(r->raft)) match = raft_commit(r->raft); /* what is in flight says nothing */
        bool better = best == NULL || (link_unfit(best_link) && !link_unfit(l));
        if (best != NULL && link_unfit(best_link) == link_unfit(l)) {
            better = match > best_match || (match == best_match && link_given(l) < link_given(best_link));
        }
        if (!better) continue;
        best = m;
        best_link = l;
        best_match = match;
    }
    return best;
}

static void give(struct replica *r, const struct range_replica *to)
{
    struct link *l = map_get(&r->host->links, to->node_id);
    if (l != NULL) link_note_given(l);
    log_event(r->host->env->log, LOG_INFO, "range.transfer", "range=%llu to_node=%llu why=\"%s\"",
              (unsigned long long)r->desc->id, (unsigned long long)to->node_id,
              r->host->handover != NULL ? r->host->handover : "asked for");
    replica_step(r, &(struct raft_event){.type = RAFT_EVENT_TRANSFER, .to = to->replica_id});
}

void handover_away(struct replica *r)
{
    const struct range_replica *heir = choose_heir(r, true);
    if (heir != NULL && raft_transfer_target(r->raft) == 0) give(r, heir);
}

enum status replica_transfer(struct replica *r, uint64_t node_id, struct errbuf *err)
{
    const struct range_replica *to = range_desc_replica(r->desc, node_id);
    struct link *l = map_get(&r->host->links, node_id);
    if (to == NULL || !is_voter(r, to)) {
        errbuf_set(err, "node %llu holds no voting replica of the range", (unsigned long long)node_id);
        return STATUS_INVALID;
    }
    if (raft_role(r->raft) != RAFT_LEADER || !r->leads) {
        errbuf_set(err, "this replica does not lead the range");
        return STATUS_NOT_LEADER;
    }
    if (to->replica_id == r->id || raft_transfer_target(r->raft) == to->replica_id) return STATUS_OK;
    if (raft_transfer_target(r->raft) != 0) {
        errbuf_set(err, "another transfer of the range is under way");
        return STATUS_BUSY;
    }
    if (!is_heard(r, l)) {
        errbuf_set(err, "the leader does not hear of node %llu", (unsigned long long)node_id);
        return STATUS_UNAVAILABLE;
    }
    if (link_unfit(l)) {
        errbuf_set(err, "node %llu is drained, or its disk is slow or full: it would give the leadership away again",
                   (unsigned long long)node_id);
        return STATUS_INVALID;
    }
    if (lags(r, to->replica_id)) {
        errbuf_set(err, "the replica on node %llu is far behind and catches up", (unsigned long long)node_id);
        return STATUS_RETRY;
    }
    give(r, to);
    return STATUS_OK;
}

enum status replica_transfer_away(struct replica *r, struct errbuf *err)
{
    if (raft_transfer_target(r->raft) != 0) return STATUS_OK;
    const struct range_replica *heir = choose_heir(r, false);
    if (heir == NULL) {
        errbuf_set(err, "no other replica is connected, fit and up to date enough to lead");
        return STATUS_RETRY;
    }
    give(r, heir);
    return STATUS_OK;
}

bool replica_transferring(const struct replica *r)
{
    return raft_transfer_target(r->raft) != 0;
}

struct candidate {
    struct replica *replica;
    const struct range_replica *heir;
    uint64_t bytes;
};

static int larger_first(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
    return x->replica->desc->id < y->replica->desc->id ? -1 : x->replica->desc->id > y->replica->desc->id;
}

static uint64_t range_bytes(struct replica *r)
{
    uint64_t bytes, rows;
    struct slice start, end;
    replica_span(r, &start, &end);
    lsm_estimate(r->host->lsm, start, end, &bytes, &rows);
    return bytes;
}

void handover_step(struct host *h)
{
    if (h->handover == NULL && !h->stopping) return;
    if (h->now_ms < h->handover_at_ms) return;
    h->handover_at_ms = h->now_ms + HANDOVER_EVERY_MS;
    struct candidate *found = mem_alloc((h->replicas.count + 1) * sizeof *found);
    size_t count = 0, under_way = 0;
    uint64_t group;
    void *value;
    for (size_t it = 0; map_next(&h->replicas, &it, &group, &value);) {
        struct replica *r = value;
        r->no_heir = false;
        if (r->state != REPLICA_RUNNING || raft_role(r->raft) != RAFT_LEADER || r->desc->replica_count < 2) continue;
        if (raft_transfer_target(r->raft) != 0) {
            under_way++;
            continue;
        }
        const struct range_replica *heir = choose_heir(r, h->stopping);
        r->no_heir = heir == NULL;
        if (heir != NULL) found[count++] = (struct candidate){.replica = r, .heir = heir, .bytes = range_bytes(r)};
    }
    if (count > 1) qsort(found, count, sizeof *found, larger_first);
    for (size_t i = 0; i < count && under_way < HANDOVER_AT_ONCE; i++, under_way++)
        give(found[i].replica, found[i].heir);
    mem_free(found);
}

void host_hand_over(struct host *h, const char *why)
{
    if (why != NULL && h->handover == NULL) h->handover_at_ms = 0;
    if (why == NULL) {
        uint64_t group;
        void *value;
        for (size_t it = 0; map_next(&h->replicas, &it, &group, &value);) ((struct replica *)value)->no_heir = false;
    }
    h->handover = why;
}

bool host_handed_over(const struct host *h)
{
    uint64_t group;
    void *value;
    for (size_t it = 0; map_next(&h->replicas, &it, &group, &value);) {
        const struct replica *r = value;
        if (raft_role(r->raft) == RAFT_LEADER && r->desc->replica_count > 1) return false;
    }
    return true;
}

void host_peer_unfit(struct host *h, uint64_t node_id, bool unfit)
{
    struct link *l = map_get(&h->links, node_id);
    if (l != NULL) link_set_unfit(l, unfit);
}
