/* Leases that have ended are revoked by whichever gateway comes first: one round a second, of one snapshot.
 *
 *   (idle) --every second--> LOOKING --some have ended--> REVOKING, one after the other --> (idle)
 *
 * A gateway that has just started leaves a lease alone for its whole time to live: if all of them were down, nobody could renew it. */
#include "base/cursor.h"
#include "base/mem.h"
#include "etcd/lease.h"

#define SWEEP_NS (1000 * NS_PER_MS)
#define SWEEP_ABSENT_NS (5000 * NS_PER_MS) /* there is no keyspace: nobody has ever used this surface */
#define ENDED_MAX 256u

struct sweep {
    struct etcd *etcd;
    struct arena arena;
    uint64_t ended[ENDED_MAX];
    size_t count, at;
};

static void sweep_end(struct sweep *s)
{
    s->etcd->sweep = NULL;
    arena_free(&s->arena);
    mem_free(s);
}

void sweep_free(struct etcd *e)
{
    if (e->sweep != NULL) sweep_end(e->sweep);
}

static enum work_step revoke_body(struct work *w, void *ctx)
{
    const struct sweep *s = ctx;
    return lease_do_revoke(w, s->ended[s->at], NULL);
}

static void revoke_next(struct sweep *s);

static void revoked(void *ctx, const struct etcd_error *why, uint64_t revision, bool wrote)
{
    struct sweep *s = ctx;
    (void)why; /* somebody else was first; or the next round tries again */
    (void)revision;
    (void)wrote;
    s->at++;
    revoke_next(s);
}

static void revoke_next(struct sweep *s)
{
    if (s->at == s->count || s->etcd->stopping) {
        sweep_end(s);
        return;
    }
    arena_reset(&s->arena);
    work_start(s->etcd, &s->arena, revoke_body, revoked, s);
}

static void looked(void *ctx, const struct client_error *e, const struct scan_reply *page)
{
    struct sweep *s = ctx;
    uint64_t up_s = (env_mono_ns(s->etcd->env) - s->etcd->started_ns) / (1000 * NS_PER_MS);
    if (e->status != STATUS_OK) {
        if (e->status == STATUS_NOT_FOUND) s->etcd->sweep_ns += SWEEP_ABSENT_NS;
        sweep_end(s);
        return;
    }
    for (size_t i = 0; i < page->row_count && s->count < ENDED_MAX; i++) {
        const struct scan_row *row = &page->rows[i];
        struct work_row lease = {.found = true, .version = row->version, .value = row->value};
        bool sound = row->key.size == 9 && row->value.size == 8;
        if (sound && lease_ends(&lease) <= page->mark.ts && le_u64(row->value.data) <= up_s)
            s->ended[s->count++] = be_u64(row->key.data + 1);
    }
    revoke_next(s);
}

uint64_t sweep_pass(struct etcd *e, uint64_t now_ns)
{
    if (e->stopping) return DEADLINE_NONE;
    if (e->sweep == NULL && now_ns >= e->sweep_ns) {
        struct sweep *s = mem_zalloc(sizeof(*s));
        e->sweep = s;
        e->sweep_ns = now_ns + SWEEP_NS;
        s->etcd = e;
        arena_init(&s->arena, 1024);
        struct span span = span_leases(&s->arena);
        struct client_scan scan = {.start = span.start, .end = span.end, .how = {.mode = READ_SNAPSHOT}};
        client_scan(e->client, etcd_keyspace, &scan, ETCD_CALL_MS, looked, s);
    }
    return e->sweep_ns;
}
