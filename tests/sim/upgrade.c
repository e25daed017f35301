#include "sim/upgrade.h"

#include "base/mem.h"
#include "base/prng.h"
#include "meta/meta_int.h"
#include "node/node_int.h"

#define FORMER 1u
#define NEWER 2u
#define CALL_MS 2000u

/* Its draws are its own: what else a seed draws stays as it is. */
struct upgrade {
    struct cluster *cluster;
    struct world *world;
    struct prng prng;
    enum { ALL_NEWER, MIXED, MIXED_FOR_EVER } plan;
    bool active, finishing;
    bool finalised; /* an admin was told so */
};

struct upgrade *upgrade_new(struct cluster *c)
{
    struct upgrade *u = mem_zalloc(sizeof *u);
    u->cluster = c;
    u->world = c->world;
    prng_init(&u->prng, c->world->seed ^ 0x09d1);
    uint64_t x = prng_below(&u->prng, 8);
    u->plan = x < 3 ? ALL_NEWER : x < 7 ? MIXED : MIXED_FOR_EVER;
    return u;
}

void upgrade_free(struct upgrade *u)
{
    mem_free(u);
}

uint32_t upgrade_draw(struct upgrade *u, struct process *p)
{
    bool former =
        u->plan != ALL_NEWER && !u->finalised && !u->finishing && !p->outdated && prng_below(&u->prng, 2) == 0;
    p->former = former;
    world_trace(u->world, p, "RELEASE %s", former ? "former" : "newer");
    return former ? FORMER : NEWER;
}

/* --- restarts with the other release --- */

struct back {
    struct process *p;
    unsigned life;
};

static void start_again(struct world *w, void *ctx)
{
    struct back *b = ctx;
    if (b->p->lives != b->life || b->p->given_up || b->p->disk_damaged) return;
    if (b->p->state == PROCESS_DOWN)
        (void)process_start(b->p);
    else
        world_after(w, 100 * MS_NS, start_again, b);
}

static void restart(struct upgrade *u, struct process *p)
{
    if (p->state != PROCESS_UP || p->server == NULL) return;
    struct back *b = world_alloc(u->world, sizeof *b);
    *b = (struct back){.p = p, .life = p->lives};
    process_stop(p);
    world_after(u->world, 100 * MS_NS, start_again, b);
}

static void roll(struct world *w, void *ctx)
{
    struct upgrade *u = ctx;
    struct process *servers[SERVERS_MAX];
    unsigned count = cluster_servers(u->cluster, servers);
    if (!u->active) return;
    restart(u, servers[prng_below(&u->prng, count)]);
    world_after(w, (200 + prng_below(&u->prng, 3000)) * MS_NS, roll, u);
}

/* After the heal: one former process after the other. */
static void roll_last(struct world *w, void *ctx)
{
    struct upgrade *u = ctx;
    struct process *servers[SERVERS_MAX];
    unsigned count = cluster_servers(u->cluster, servers);
    for (unsigned i = 0; i < count; i++) {
        if (servers[i]->former && servers[i]->state == PROCESS_UP) {
            restart(u, servers[i]);
            break;
        }
    }
    world_after(w, 300 * MS_NS, roll_last, u);
}

/* --- the admin --- */

static void answered(void *ctx, const struct client_error *e, struct slice payload)
{
    struct upgrade *u = ctx;
    (void)payload;
    world_trace(u->world, NULL, "FINALIZE %s %.*s", status_name(e->status), (int)e->message.size,
                (const char *)e->message.data);
    if (e->status == STATUS_OK) u->finalised = true;
}

/* Again and again: a router that dies answers nobody. */
static void ask(struct world *w, void *ctx)
{
    struct upgrade *u = ctx;
    struct client *c = NULL;
    if (u->finalised) return;
    for (unsigned i = 0; c == NULL && i < u->cluster->knobs.client_count; i++) c = cluster_client(u->cluster, i);
    world_after(w, (300 + prng_below(&u->prng, 1500)) * MS_NS, ask, u);
    if (c == NULL || !u->cluster->booted) return;
    struct buf b;
    buf_init(&b, 64);
    pack_meta_upgrade_request(&b, &(struct meta_upgrade_request){.version = NEWER, .finalize = true});
    client_meta(c, METHOD_META_UPGRADE, buf_slice(&b), CALL_MS, answered, u);
    buf_free(&b);
}

void upgrade_start(struct upgrade *u)
{
    u->active = u->plan != ALL_NEWER;
    if (u->active) world_after(u->world, prng_below(&u->prng, 3000) * MS_NS, roll, u);
    if (u->plan != MIXED_FOR_EVER) world_after(u->world, prng_below(&u->prng, 6000) * MS_NS, ask, u);
}

void upgrade_heal(struct upgrade *u)
{
    u->active = false;
    if (u->plan != MIXED) return;
    u->finishing = true;
    world_after(u->world, MS_NS, roll_last, u);
}

static uint32_t known_finalised(const struct process *p)
{
    if (process_is_node(p)) return ((const struct node *)p->server)->self.finalised;
    return ((const struct meta *)p->server)->self.finalised;
}

/* Everybody who is there knows. A node that is not there for good keeps it from being finalised. */
bool upgrade_settled(const struct upgrade *u)
{
    struct process *servers[SERVERS_MAX];
    unsigned count = cluster_servers(u->cluster, servers);
    if (u->plan == MIXED_FOR_EVER || cluster_damaged(u->cluster)) return true;
    for (unsigned i = 0; i < count; i++) {
        if (servers[i]->state != PROCESS_UP || servers[i]->server == NULL || servers[i]->former) return false;
        if (known_finalised(servers[i]) != NEWER) return false;
    }
    return u->finalised;
}
