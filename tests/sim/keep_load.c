#include "sim/keep_load.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/prng.h"

#include <stdio.h>

#define CALL_MS 3000u
enum { KEPT = 3, ASKS_MAX = 2000, SUSPECTS_MAX = 64 };

struct kept {
    char name[8];
    uint64_t ts, acked_ns; /* ts 0: none is known to live */
};
struct ask { /* a call; a router that dies never answers it, one that pauses may answer late */
    struct keep_load *load;
    size_t slot;
    enum snapshot_verb verb;
    size_t suspects; /* LIST: those that were there when it was asked */
};
struct suspect { /* a read as of ts was answered TOO_OLD while that snapshot was thought to live */
    struct kept kept;
    uint64_t ts;
};

struct keep_load {
    struct cluster *cluster;
    struct world *world;
    const struct commits *commits;
    struct prng prng; /* its own: what else is drawn stays as it is */
    bool draining;
    struct kept kept[KEPT];
    struct ask asks[ASKS_MAX];
    size_t ask_count;
    struct suspect suspects[SUSPECTS_MAX];
    size_t suspect_count;
};

struct keep_load *keep_load_new(struct cluster *c, const struct commits *commits)
{
    struct keep_load *l = mem_zalloc(sizeof *l);
    l->cluster = c;
    l->world = c->world;
    l->commits = commits;
    prng_init(&l->prng, c->world->seed ^ 0x6b656570);
    for (unsigned i = 0; i < KEPT; i++) (void)snprintf(l->kept[i].name, sizeof l->kept[i].name, "s%u", i);
    return l;
}

void keep_load_free(struct keep_load *l)
{
    mem_free(l);
}

uint64_t keep_load_ts(struct keep_load *l)
{
    return l->kept[prng_below(&l->prng, KEPT)].ts;
}

void keep_load_too_old(struct keep_load *l, uint64_t ts, uint64_t call_ns)
{
    for (unsigned i = 0; i < KEPT && l->suspect_count < SUSPECTS_MAX; i++) {
        const struct kept *k = &l->kept[i];
        if (k->ts == 0 || k->ts > ts || k->acked_ns > call_ns) continue;
        l->suspects[l->suspect_count++] = (struct suspect){.kept = *k, .ts = ts};
    }
}

static bool listed(const struct meta_snapshot_reply *reply, const struct kept *k)
{
    for (size_t i = 0; i < reply->snapshot_count; i++) {
        const struct past_snapshot *s = &reply->snapshots[i];
        if (s->ts == k->ts && slice_eq(s->name, slice_str(k->name))) return true;
    }
    return false;
}

/* Who is listed now has lived all the time. */
static void look_at_list(struct keep_load *l, const struct meta_snapshot_reply *reply, size_t suspects)
{
    for (size_t i = 0; i < suspects; i++) {
        const struct suspect *s = &l->suspects[i];
        if (!listed(reply, &s->kept)) continue;
        world_fail(l->world, "snapshots: a read as of %llu was answered TOO_OLD, though %s, as of %llu, lives",
                   (unsigned long long)s->ts, s->kept.name, (unsigned long long)s->kept.ts);
    }
    memmove(l->suspects, l->suspects + suspects, (l->suspect_count - suspects) * sizeof l->suspects[0]);
    l->suspect_count -= suspects;
    for (unsigned i = 0; i < KEPT; i++) {
        if (!listed(reply, &l->kept[i])) l->kept[i].ts = 0;
    }
}

static void done(void *ctx, const struct client_error *e, struct slice payload)
{
    struct ask *a = ctx;
    struct keep_load *l = a->load;
    struct meta_snapshot_reply reply;
    struct arena arena;
    world_note(l->world, 28, (uint64_t)e->status, (uint64_t)a->verb);
    arena_init(&arena, 4096);
    if (e->status == STATUS_OK && unpack_meta_snapshot_reply(payload, &arena, &reply) == STATUS_OK) {
        if (a->verb == SNAPSHOT_VERB_LIST && a->suspects <= l->suspect_count) {
            look_at_list(l, &reply, a->suspects);
        } else if (a->verb == SNAPSHOT_VERB_REGISTER && reply.snapshot_count == 1) {
            l->kept[a->slot].ts = reply.snapshots[0].ts;
            l->kept[a->slot].acked_ns = l->world->now_ns;
        }
    } else if (e->status == STATUS_INVALID) {
        world_fail(l->world, "snapshots: verb %d was answered %.*s", (int)a->verb, (int)e->message.size,
                   (const char *)e->message.data);
    }
    arena_free(&arena);
}

/* A timestamp that somebody was told a moment ago, or now. */
static uint64_t some_ts(struct keep_load *l)
{
    size_t count = l->commits->count;
    if (count == 0 || prng_below(&l->prng, 2) == 0) return 0;
    return l->commits->items[count - 1 - prng_below(&l->prng, count < 20 ? count : 20)].ts;
}

static void step(struct world *w, void *ctx)
{
    struct keep_load *l = ctx;
    unsigned number = (unsigned)prng_below(&l->prng, l->cluster->knobs.client_count);
    struct client *c = cluster_client(l->cluster, number);
    if (l->draining || l->ask_count == ASKS_MAX) return;
    world_after(w, prng_between(&l->prng, 50, 600) * MS_NS, step, l);
    if (c == NULL) return;
    struct ask *a = &l->asks[l->ask_count++];
    *a = (struct ask){.load = l, .slot = (size_t)prng_below(&l->prng, KEPT), .verb = SNAPSHOT_VERB_LIST};
    struct kept *k = &l->kept[a->slot];
    uint64_t luck = prng_below(&l->prng, 8);
    if (l->suspect_count == 0 && luck < 6) a->verb = k->ts == 0 ? SNAPSHOT_VERB_REGISTER : SNAPSHOT_VERB_EXTEND;
    if (l->suspect_count == 0 && luck == 5 && k->ts != 0) a->verb = SNAPSHOT_VERB_DROP;
    a->suspects = l->suspect_count;
    struct meta_snapshot_request q = {.verb = a->verb, .name = slice_str(k->name)};
    if (a->verb == SNAPSHOT_VERB_REGISTER) q.ts = some_ts(l);
    if (a->verb == SNAPSHOT_VERB_DROP) k->ts = 0;
    q.lifetime_ms = prng_between(&l->prng, 500, 10000);
    struct buf b;
    buf_init(&b, 1024);
    pack_meta_snapshot_request(&b, &q);
    client_meta(c, METHOD_META_SNAPSHOT, buf_slice(&b), CALL_MS, done, a);
    buf_free(&b);
    process_pass_soon(l->cluster->clients[number]);
}

void keep_load_start(struct keep_load *l)
{
    step(l->world, l);
}

void keep_load_drain(struct keep_load *l)
{
    l->draining = true;
}
