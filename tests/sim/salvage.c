#include "sim/salvage.h"

#include "base/mem.h"

enum { LOST = 2 };

struct salvage {
    struct cluster *cluster;
    struct process *lost[LOST];
    uint64_t ids[LOST];
    bool begun;
    unsigned quiet; /* answers in a row that there is nothing to recover */
};

static void ask(struct world *w, void *ctx);

static uint64_t node_id_of(const struct process *p)
{
    return host_node_id(process_host(p));
}

static void answered(void *ctx, const struct client_error *e, struct slice payload)
{
    struct salvage *s = ctx;
    struct meta_recover_reply reply;
    struct arena arena;
    arena_init(&arena, 4096);
    if (e->status == STATUS_OK && unpack_meta_recover_reply(payload, &arena, &reply) == STATUS_OK) {
        s->begun = s->begun || reply.begun;
        bool nothing = reply.refused && slice_starts(reply.text, slice_str("every range has a quorum"));
        s->quiet = nothing ? s->quiet + 1 : 0;
        world_trace(s->cluster->world, NULL, "unsafe-recover: %s %zu ranges %.*s", reply.begun ? "begun" : "told",
                    reply.item_count, (int)reply.text.size, (const char *)reply.text.data);
        for (size_t i = 0; i < reply.item_count; i++) {
            world_trace(s->cluster->world, NULL, "range %llu goes on at %llu: %.*s",
                        (unsigned long long)reply.items[i].range_id, (unsigned long long)reply.items[i].node,
                        (int)reply.items[i].text.size, (const char *)reply.items[i].text.data);
        }
    }
    arena_free(&arena);
    world_after(s->cluster->world, 700 * MS_NS, ask, s);
}

static void ask(struct world *w, void *ctx)
{
    struct salvage *s = ctx;
    struct client *c = NULL;
    if (salvage_recovered(s)) return;
    for (unsigned i = 0; i < s->cluster->knobs.client_count && c == NULL; i++) c = cluster_client(s->cluster, i);
    if (c == NULL) {
        world_after(w, SEC_NS, ask, s);
        return;
    }
    struct buf b;
    buf_init(&b, 256);
    pack_meta_recover_request(&b,
                              &(struct meta_recover_request){.lost = s->ids, .lost_count = LOST, .accept_loss = true});
    client_meta(c, METHOD_META_RECOVER, buf_slice(&b), 3000, answered, s);
    buf_free(&b);
}

struct salvage *salvage_new(struct cluster *c)
{
    if (cluster_damaged(c) || cluster_restless(c) || !chance(c->world, 250)) return NULL;
    struct salvage *s = mem_zalloc(sizeof *s);
    s->cluster = c;
    unsigned first = (unsigned)draw(c->world, 0, c->knobs.node_count - 1);
    for (unsigned i = 0; i < LOST; i++) {
        struct process *p = s->lost[i] = c->nodes[(first + i) % c->knobs.node_count];
        s->ids[i] = node_id_of(p);
        p->given_up = true;
        process_crash(p, MEMDISK_KEEP, chance(c->world, 500));
    }
    world_after(c->world, 12 * SEC_NS, ask, s);
    return s;
}

void salvage_free(struct salvage *s)
{
    mem_free(s);
}

bool salvage_recovered(const struct salvage *s)
{
    return s->quiet >= 8; /* longer than nodes take to tell of all that has no leader */
}

bool salvage_begun(const struct salvage *s)
{
    return s->begun;
}

void salvage_return(struct salvage *s)
{
    for (unsigned i = 0; i < LOST; i++) {
        s->lost[i]->given_up = s->begun;
        (void)process_start(s->lost[i]);
    }
}

bool salvage_refused(const struct salvage *s)
{
    for (unsigned i = 0; i < LOST; i++) {
        if (process_runs(s->lost[i])) return false;
    }
    return true;
}
