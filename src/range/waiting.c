/* Raft messages for groups that are not here. A range that was split off is led at once, and its leader's first messages may be here
 * before the replica is: they are kept for a moment, or the leader would learn by its next heartbeat only. Bounded by
 * count, bytes and age; to lose them is harmless. */
#include "base/assert.h"
#include "base/mem.h"
#include "range/change_int.h"

#define WAITING_MS 1000u
#define WAITING_BYTES_MAX (4u << 20)

struct waiting {
    struct list link; /* oldest first */
    uint64_t from_node, group, until_ms;
    struct slice envelope; /* owned */
};

static void waiting_free(struct host *h, struct waiting *w)
{
    list_remove(&w->link);
    h->waiting_bytes -= w->envelope.size + sizeof *w;
    mem_free((void *)(uintptr_t)w->envelope.data);
    mem_free(w);
}

void waiting_keep(struct host *h, uint64_t from_node, uint64_t group, struct slice envelope)
{
    if (h->owner.machine->cut == NULL) return;
    if (h->waiting_bytes + envelope.size + sizeof(struct waiting) > WAITING_BYTES_MAX) return;
    struct waiting *w = mem_zalloc(sizeof *w);
    *w = (struct waiting){.from_node = from_node,
                          .group = group,
                          .until_ms = h->now_ms + WAITING_MS,
                          .envelope = mem_dup_slice(envelope)};
    list_init(&w->link);
    list_push_back(&h->waiting, &w->link);
    h->waiting_bytes += envelope.size + sizeof *w;
}

void waiting_deliver(struct host *h, struct replica *r)
{
    LIST_FOR(it, &h->waiting)
    {
        struct waiting *w = LIST_ENTRY(it, struct waiting, link);
        if (w->group != r->desc->id) continue;
        COVER("range.message_waited");
        host_take_envelope(h, w->from_node, w->envelope);
        waiting_free(h, w);
    }
}

void waiting_expire(struct host *h)
{
    while (!list_empty(&h->waiting)) {
        struct waiting *w = LIST_ENTRY(h->waiting.next, struct waiting, link);
        if (h->now_ms < w->until_ms) return;
        waiting_free(h, w);
    }
}

void waiting_clear(struct host *h)
{
    while (!list_empty(&h->waiting)) waiting_free(h, LIST_ENTRY(h->waiting.next, struct waiting, link));
}
