#include "raft/progress.h"

#include "base/assert.h"
#include "base/mem.h"

#define FLIGHTS_MIN 8u

void raft_progress_init(struct raft_progress *p, uint64_t id, uint64_t next, uint64_t now_ms)
{
    ASSERT(next > 0);
    *p = (struct raft_progress){.id = id, .next = next, .heard_ms = now_ms, .state = RAFT_PROBE};
}

void raft_progress_free(struct raft_progress *p)
{
    mem_free(p->flights);
    p->flights = NULL;
    p->flight_head = p->flight_count = p->flight_capacity = 0;
    p->flight_bytes = 0;
}

static void flights_forget(struct raft_progress *p)
{
    p->flight_head = p->flight_count = 0;
    p->flight_bytes = 0;
}

void raft_progress_probe(struct raft_progress *p, uint64_t next)
{
    ASSERT(next > 0);
    flights_forget(p);
    p->state = RAFT_PROBE;
    p->next = next > p->match ? next : p->match + 1;
    if (p->commit_sent >= p->next) p->commit_sent = p->next - 1;
    p->probe_last = 0;
    p->paused = false;
    p->nudge = false;
}

void raft_progress_snapshot(struct raft_progress *p)
{
    flights_forget(p);
    p->state = RAFT_SNAPSHOT;
    p->paused = false;
    p->nudge = false;
}

static void flights_land(struct raft_progress *p, uint64_t upto)
{
    while (p->flight_count > 0 && p->flights[p->flight_head].last <= upto) {
        p->flight_bytes -= p->flights[p->flight_head].bytes;
        p->flight_head = (p->flight_head + 1) % p->flight_capacity;
        p->flight_count--;
    }
}

void raft_progress_acked(struct raft_progress *p, uint64_t index)
{
    ASSERT(p->state != RAFT_SNAPSHOT);
    bool news = index > p->match;
    if (news) p->match = index;
    if (p->next <= p->match) p->next = p->match + 1;
    if (p->state == RAFT_REPLICATE) {
        flights_land(p, index);
        return;
    }
    if (!news && index != p->match) return; /* an old acknowledgement: says nothing about the probe under way */
    /* The logs meet. If the probe fitted, all of it is there, though perhaps not yet durable: it is not sent again. */
    uint64_t next = p->match + 1;
    if (index + 1 >= p->next && p->probe_last >= next) next = p->probe_last + 1;
    raft_progress_probe(p, next);
    p->state = RAFT_REPLICATE;
}

/* As etcd's raft: while replicating, `next` is a guess far ahead, so one falls back to what is known; while probing, only
 * the answer to the probe under way counts. */
bool raft_progress_refused(struct raft_progress *p, uint64_t refused, uint64_t meet)
{
    if (p->state == RAFT_SNAPSHOT || refused <= p->match) return false;
    if (p->state == RAFT_REPLICATE) {
        if (refused >= p->next) return false;
        raft_progress_probe(p, meet + 1 < p->next ? meet + 1 : p->next);
        return true;
    }
    if (p->next - 1 != refused) return false;
    raft_progress_probe(p, meet < refused ? meet + 1 : refused);
    return true;
}

bool raft_progress_window_open(const struct raft_progress *p, const struct raft_options *o)
{
    ASSERT(p->state == RAFT_REPLICATE);
    return p->flight_count < o->inflight_max_count && p->flight_bytes < o->inflight_max_bytes;
}

static void flights_push(struct raft_progress *p, uint64_t last, uint64_t bytes)
{
    if (p->flight_count == p->flight_capacity) {
        uint32_t capacity = p->flight_capacity == 0 ? FLIGHTS_MIN : p->flight_capacity * 2;
        struct raft_flight *grown = mem_alloc(capacity * sizeof(*grown));
        for (uint32_t i = 0; i < p->flight_count; i++) {
            grown[i] = p->flights[(p->flight_head + i) % p->flight_capacity];
        }
        mem_free(p->flights);
        p->flights = grown;
        p->flight_head = 0;
        p->flight_capacity = capacity;
    }
    uint32_t at = (p->flight_head + p->flight_count++) % p->flight_capacity;
    p->flights[at] = (struct raft_flight){.last = last, .bytes = bytes};
    p->flight_bytes += bytes;
}

void raft_progress_sent(struct raft_progress *p, uint64_t last, uint64_t bytes)
{
    ASSERT(p->state != RAFT_SNAPSHOT);
    ASSERT(last >= p->next);
    if (p->state == RAFT_PROBE) {
        p->paused = true;
        p->probe_last = last;
        return;
    }
    flights_push(p, last, bytes);
    p->next = last + 1;
}

void raft_progress_idle(struct raft_progress *p)
{
    if (p->flight_count == 0) raft_progress_free(p);
}

void raft_progress_check(const struct raft_progress *p, uint64_t last)
{
    ASSERT(p->id != 0);
    ASSERT(p->next > p->match);
    ASSERT(p->next <= last + 1);
    ASSERT(p->commit_sent < p->next);
    ASSERT(p->flight_count <= p->flight_capacity);
    if (p->state != RAFT_REPLICATE) ASSERT(p->flight_count == 0);
    if (p->state != RAFT_PROBE) ASSERT(!p->paused);
    if (p->state != RAFT_REPLICATE) ASSERT(!p->nudge);
    uint64_t bytes = 0, before = p->match;
    for (uint32_t i = 0; i < p->flight_count; i++) {
        const struct raft_flight *f = &p->flights[(p->flight_head + i) % p->flight_capacity];
        ASSERT(f->last > before);
        ASSERT(f->last < p->next);
        before = f->last;
        bytes += f->bytes;
    }
    ASSERT(bytes == p->flight_bytes);
}
