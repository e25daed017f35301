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
}

static void flights_forget(struct raft_progress *p)
{
    struct raft_flights *f = p->flights;
    if (f == NULL) return;
    f->head = f->count = 0;
    f->bytes = 0;
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
    struct raft_flights *f = p->flights;
    while (f != NULL && f->count > 0 && f->items[f->head].last <= upto) {
        f->bytes -= f->items[f->head].bytes;
        f->head = (f->head + 1) % f->capacity;
        f->count--;
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
    const struct raft_flights *f = p->flights;
    return f == NULL || (f->count < o->inflight_max_count && f->bytes < o->inflight_max_bytes);
}

static struct raft_flights *flights_grown(struct raft_flights *f)
{
    uint32_t capacity = f == NULL ? FLIGHTS_MIN : f->capacity * 2, count = f == NULL ? 0 : f->count;
    struct raft_flights *grown = mem_alloc(sizeof(*grown) + capacity * sizeof(grown->items[0]));
    *grown = (struct raft_flights){.bytes = f == NULL ? 0 : f->bytes, .count = count, .capacity = capacity};
    for (uint32_t i = 0; i < count; i++) grown->items[i] = f->items[(f->head + i) % f->capacity];
    mem_free(f);
    return grown;
}

static void flights_push(struct raft_progress *p, uint64_t last, uint64_t bytes)
{
    struct raft_flights *f = p->flights;
    if (f == NULL || f->count == f->capacity) f = p->flights = flights_grown(f);
    f->items[(f->head + f->count++) % f->capacity] = (struct raft_flight){.last = last, .bytes = bytes};
    f->bytes += bytes;
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

uint32_t raft_progress_flights(const struct raft_progress *p)
{
    return p->flights == NULL ? 0 : p->flights->count;
}

void raft_progress_idle(struct raft_progress *p)
{
    if (raft_progress_flights(p) == 0) raft_progress_free(p);
}

void raft_progress_check(const struct raft_progress *p, uint64_t last)
{
    ASSERT(p->id != 0);
    ASSERT(p->next > p->match);
    ASSERT(p->next <= last + 1);
    ASSERT(p->commit_sent < p->next);
    const struct raft_flights *f = p->flights;
    if (f != NULL) ASSERT(f->count <= f->capacity);
    if (p->state != RAFT_REPLICATE) ASSERT(raft_progress_flights(p) == 0);
    if (p->state != RAFT_PROBE) ASSERT(!p->paused);
    if (p->state != RAFT_REPLICATE) ASSERT(!p->nudge);
    uint64_t bytes = 0, before = p->match;
    for (uint32_t i = 0; f != NULL && i < f->count; i++) {
        const struct raft_flight *one = &f->items[(f->head + i) % f->capacity];
        ASSERT(one->last > before);
        ASSERT(one->last < p->next);
        before = one->last;
        bytes += one->bytes;
    }
    ASSERT(bytes == (f == NULL ? 0 : f->bytes));
}
