/* Leases end by the clock of whoever ends them: a gateway looks at all their rows every second and keeps when, by its own monotonic clock, it
 * has first seen each as it is. A lease whose row was seen unchanged for its whole time to live ends, if its row is still that one when
 * it goes (lease_end.c). So no clock that leaps, and no other process's clock, ends one early; whichever gateway comes first does it.
 *
 *   (idle) --a second later, or nine times what the last look took--> LOOKING, page by page --> ENDING those that have ended --> (idle)
 *                                                                        \--it fails: nothing is known any more--> (idle)
 *
 * Nobody can renew a lease while the store, or this process, stands still. So what was counted before an answer that took longer than half of a
 * lease's time to live is forgotten, as all is when a look fails or a gateway starts: the lease has its full time again. */
#include "base/assert.h"
#include "base/cursor.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "etcd/lease.h"

#define SWEEP_NS (1000 * NS_PER_MS)
#define SWEEP_ABSENT_NS (5000 * NS_PER_MS) /* there is no keyspace: nobody has ever used this surface */
#define SWEEP_REST 9u                      /* times what a look took: many leases cost a tenth of a gateway */
#define SWEEP_REST_NS (10000 * NS_PER_MS)  /* but no longer */
#define ENDS_AT_ONCE 4u

/* Which leases there are, in the order of ids. */
struct lease_seen {
    uint64_t id, version, ttl_s, since_ns; /* by this gateway's clock: when its row was first seen with this version */
};
struct leases {
    struct lease_seen *list;
    size_t count, capacity;
};

struct sweeper {
    uint64_t due_ns;
    struct sweep *sweep;  /* NULL: none is under way */
    struct leases leases; /* as the last look has seen them */
};

struct sweep {
    struct etcd *etcd;
    struct arena arena;
    struct leases seen;
    size_t old_at; /* in what the last look has seen: both are in the order of ids */
    struct slice from, end;
    uint64_t begun_ns, asked_ns;
    uint64_t late_ns; /* it was begun so much later than it was due */
    uint64_t rest_ns; /* until the next */
    struct lease_to_end *ended;
    size_t ended_count, ended_capacity, at, under_way;
};

static void sweep_drop(struct sweep *s)
{
    s->etcd->sweeper->sweep = NULL;
    mem_free(s->seen.list);
    mem_free(s->ended);
    arena_free(&s->arena);
    mem_free(s);
}

static void sweep_end(struct sweep *s, uint64_t rest_ns)
{
    struct etcd *e = s->etcd;
    sweep_drop(s);
    e->sweeper->due_ns = env_mono_ns(e->env) + rest_ns;
    e->env->ops->wake(e->env); /* its pass has told no deadline */
}

struct sweeper *sweeper_new(void)
{
    return mem_zalloc(sizeof(struct sweeper));
}

void sweeper_free(struct sweeper *s)
{
    if (s->sweep != NULL) sweep_drop(s->sweep);
    mem_free(s->leases.list);
    mem_free(s);
}

/* --- what this gateway has seen --- */

static void seen_add(struct leases *l, struct lease_seen x)
{
    if (l->count == l->capacity) {
        l->capacity = l->capacity == 0 ? 16 : l->capacity * 2;
        l->list = mem_realloc(l->list, l->capacity * sizeof(*l->list));
    }
    l->list[l->count++] = x;
}

static const struct lease_seen *seen_find(const struct etcd *e, uint64_t id)
{
    const struct leases *l = &e->sweeper->leases;
    size_t low = 0, high = l->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (l->list[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < l->count && l->list[low].id == id ? &l->list[low] : NULL;
}

uint64_t lease_seen_ttl_s(const struct etcd *e, uint64_t id)
{
    const struct lease_seen *x = seen_find(e, id);
    return x != NULL ? x->ttl_s : 0;
}

uint64_t lease_left_s(const struct etcd *e, uint64_t id, uint64_t version, uint64_t ttl_s)
{
    const struct lease_seen *x = seen_find(e, id);
    if (x == NULL || x->version != version) return ttl_s; /* renewed since */
    uint64_t gone_s = (env_mono_ns(e->env) - x->since_ns) / (1000 * NS_PER_MS);
    return gone_s < ttl_s ? ttl_s - gone_s : 0;
}

/* --- ending those that have ended --- */

static void ended_add(struct sweep *s, struct lease_to_end l)
{
    if (s->ended_count == s->ended_capacity) {
        s->ended_capacity = s->ended_capacity == 0 ? 16 : s->ended_capacity * 2;
        s->ended = mem_realloc(s->ended, s->ended_capacity * sizeof(*s->ended));
    }
    s->ended[s->ended_count++] = l;
}

static void end_some(struct sweep *s);

static void one_ended(void *ctx, const struct etcd_error *why, uint64_t revision)
{
    struct sweep *s = ctx;
    (void)why; /* somebody else was first; or the next sweep tries again */
    (void)revision;
    s->under_way--;
    end_some(s);
}

static void end_some(struct sweep *s)
{
    struct etcd *e = s->etcd;
    while (s->at < s->ended_count && s->under_way < ENDS_AT_ONCE && !e->stopping) {
        s->under_way++;
        lease_end(e, &s->ended[s->at++], one_ended, s);
    }
    uint64_t rest_ns = s->rest_ns > SWEEP_NS ? s->rest_ns : SWEEP_NS;
    if (s->under_way == 0) sweep_end(s, rest_ns < SWEEP_REST_NS ? rest_ns : SWEEP_REST_NS);
}

/* Half of what is restored is not there yet: its leases begin anew when it is. */
static void restore_known(void *ctx, bool restoring)
{
    struct sweep *s = ctx;
    if (restoring) {
        COVER("etcd.leases_rest_in_a_restore");
        s->etcd->sweeper->leases.count = 0;
        s->ended_count = 0;
    }
    end_some(s);
}

/* --- looking --- */

/* Since when it has been as it is. */
static uint64_t since(struct sweep *s, uint64_t id, uint64_t version, uint64_t ttl_ns, uint64_t now_ns)
{
    const struct leases *old = &s->etcd->sweeper->leases;
    uint64_t stood_ns = now_ns - s->asked_ns > s->late_ns ? now_ns - s->asked_ns : s->late_ns;
    while (s->old_at < old->count && old->list[s->old_at].id < id) s->old_at++;
    if (s->old_at == old->count) return now_ns;
    const struct lease_seen *x = &old->list[s->old_at];
    if (MUTANT(standstill_counts)) stood_ns = 0;
    return x->id == id && x->version == version && stood_ns <= ttl_ns / 2 ? x->since_ns : now_ns;
}

static void look_at(struct sweep *s, const struct scan_reply *page, const struct scan_row *row, uint64_t now_ns)
{
    uint64_t ttl_s = lease_ttl_s(row->value), ttl_ns = ttl_s * 1000 * NS_PER_MS;
    if (row->key.size < 9 || ttl_s == 0) return;
    struct lease_seen x = {.id = be_u64(row->key.data + 1), .version = row->version, .ttl_s = ttl_s};
    if (row->key.size > 9) {
        ended_add(s, (struct lease_to_end){.id = x.id, .marked = true});
        return;
    }
    x.since_ns = since(s, x.id, x.version, ttl_ns, now_ns);
    if (MUTANT(lease_by_timestamps)) x.since_ns = now_ns - ((page->mark.ts - x.version) >> TS_COUNTER_BITS) * NS_PER_MS;
    seen_add(&s->seen, x);
    if (now_ns - x.since_ns >= ttl_ns) ended_add(s, (struct lease_to_end){.id = x.id, .version = x.version});
}

static void look(struct sweep *s);

static void looked(void *ctx, const struct client_error *e, const struct scan_reply *page)
{
    struct sweep *s = ctx;
    struct etcd *etcd = s->etcd;
    uint64_t now_ns = env_mono_ns(etcd->env);
    if (e->status != STATUS_OK) {
        etcd->sweeper->leases.count = 0;
        sweep_end(s, e->status == STATUS_NOT_FOUND ? SWEEP_ABSENT_NS : SWEEP_NS);
        return;
    }
    for (size_t i = 0; i < page->row_count; i++) look_at(s, page, &page->rows[i], now_ns);
    if (page->more && page->row_count > 0) {
        struct slice last = page->rows[page->row_count - 1].key;
        uint8_t *next = arena_zalloc(&s->arena, last.size + 1);
        memcpy(next, last.data, last.size);
        s->from = slice_make(next, last.size + 1);
        look(s);
        return;
    }
    struct leases old = etcd->sweeper->leases;
    etcd->sweeper->leases = s->seen;
    s->seen = old;
    s->rest_ns = SWEEP_REST * (now_ns - s->begun_ns);
    if (s->ended_count > 0)
        client_restoring(etcd->client, ETCD_CALL_MS, restore_known, s);
    else
        end_some(s);
}

static void look(struct sweep *s)
{
    struct client_scan scan = {.start = s->from, .end = s->end, .how = {.mode = READ_SNAPSHOT}};
    s->asked_ns = env_mono_ns(s->etcd->env);
    client_scan(s->etcd->client, etcd_keyspace, &scan, ETCD_CALL_MS, looked, s);
}

uint64_t sweep_pass(struct etcd *e, uint64_t now_ns)
{
    if (e->stopping) return DEADLINE_NONE;
    if (e->sweeper->sweep == NULL && now_ns >= e->sweeper->due_ns) {
        struct sweep *s = mem_zalloc(sizeof(*s));
        e->sweeper->sweep = s;
        s->etcd = e;
        s->begun_ns = now_ns;
        s->late_ns = e->sweeper->due_ns > 0 ? now_ns - e->sweeper->due_ns : 0;
        e->sweeper->due_ns = DEADLINE_NONE;
        arena_init(&s->arena, 1024);
        struct span span = span_leases(&s->arena);
        s->from = span.start;
        s->end = span.end;
        look(s);
    }
    return e->sweeper->due_ns;
}
