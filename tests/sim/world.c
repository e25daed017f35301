/* The world: events in order of (time, sequence), the fingerprint over them, and the trace. */
#include "sim/sim.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>

struct timer {
    struct sim_event event;
    void (*fn)(struct world *w, void *ctx);
    void *ctx;
};

static void timer_fire(struct world *w, struct sim_event *e)
{
    struct timer *t = (struct timer *)(void *)e;
    t->fn(w, t->ctx);
    mem_free(t);
}

void world_init(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    w->seed = seed;
    w->now_ns = SEC_NS;
    prng_init(&w->prng, seed);
    prng_init(&w->stray, hash_u64(seed));
    heap_init(&w->heap);
    arena_init(&w->arena, 16384);
    list_init(&w->conns);
    list_init(&w->listeners);
    w->trace = mem_alloc(SIM_TRACE_LINES * sizeof *w->trace);
}

void world_free(struct world *w)
{
    for (unsigned i = 0; i < w->process_count; i++) process_free(w->processes[i]);
    sim_net_free(w);
    struct heap_node *n;
    while ((n = heap_pop(&w->heap)) != NULL) {
        struct sim_event *e = HEAP_ENTRY(n, struct sim_event, node);
        ASSERT(e->fire == timer_fire); /* everything else goes with its process */
        mem_free(e);
    }
    heap_free(&w->heap);
    arena_free(&w->arena);
    mem_free(w->trace);
}

void world_schedule(struct world *w, struct sim_event *e, uint64_t at_ns)
{
    heap_set(&w->heap, &e->node, at_ns > w->now_ns ? at_ns : w->now_ns);
}

void world_cancel(struct world *w, struct sim_event *e)
{
    heap_remove(&w->heap, &e->node);
}

bool world_step(struct world *w)
{
    struct heap_node *n = w->failed ? NULL : heap_pop(&w->heap);
    if (n == NULL) return false;
    struct sim_event *e = HEAP_ENTRY(n, struct sim_event, node);
    ASSERT(n->key >= w->now_ns);
    w->now_ns = n->key;
    w->event_count++;
    e->fire(w, e);
    return !w->failed;
}

void world_after(struct world *w, uint64_t delay_ns, void (*fn)(struct world *w, void *ctx), void *ctx)
{
    struct timer *t = mem_zalloc(sizeof *t);
    t->event.fire = timer_fire;
    t->fn = fn;
    t->ctx = ctx;
    world_schedule(w, &t->event, w->now_ns + delay_ns);
}

void world_note(struct world *w, unsigned kind, uint64_t a, uint64_t b)
{
    w->hash = hash_u64(w->hash ^ w->now_ns) + hash_u64(a + kind) * 3 + hash_u64(b ^ kind);
}

void *world_alloc(struct world *w, size_t size)
{
    return arena_zalloc(&w->arena, size);
}

uint64_t draw(struct world *w, uint64_t low, uint64_t high)
{
    return prng_between(&w->prng, low, high);
}

bool chance(struct world *w, unsigned per_mille)
{
    return per_mille > 0 && prng_below(&w->prng, 1000) < per_mille;
}

/* --- the trace --- */

__attribute__((format(printf, 3, 0))) static void trace_line(struct world *w, const struct process *p, const char *fmt,
                                                             va_list args)
{
    char *line = w->trace[w->trace_count++ % SIM_TRACE_LINES];
    int n = snprintf(line, SIM_TRACE_WIDTH, "%10.6f %-8s ", (double)w->now_ns / 1e9, p != NULL ? p->name : "-");
    ASSERT(n > 0);
    (void)vsnprintf(line + n, SIM_TRACE_WIDTH - (size_t)n, fmt, args);
    if (w->trace_all) (void)printf("%s\n", line);
}

void world_trace(struct world *w, const struct process *p, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    trace_line(w, p, fmt, args);
    va_end(args);
}

void world_fail(struct world *w, const char *fmt, ...)
{
    if (w->failed) return;
    w->failed = true;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(w->failure, sizeof w->failure, fmt, args);
    va_end(args);
    world_trace(w, NULL, "FAILED: %s", w->failure);
}

void world_trace_dump(const struct world *w, unsigned lines)
{
    unsigned kept = w->trace_count < SIM_TRACE_LINES ? w->trace_count : SIM_TRACE_LINES;
    if (lines > kept) lines = kept;
    for (unsigned i = w->trace_count - lines; i != w->trace_count; i++)
        (void)printf("%s\n", w->trace[i % SIM_TRACE_LINES]);
}
