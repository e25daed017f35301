#include "sim/rebuild.h"

#include "base/mem.h"
#include "meta/rebuild.h"
#include "sim/check.h"

#define AGAIN_NS (700 * MS_NS)

struct rebuild_run {
    struct cluster *cluster;
    struct arena arena;
    struct node_holds_reply told[NODES_MAX];
    unsigned asked, answered, told_count; /* of this try */
    struct rebuild_plan plan;
    bool has_plan, done;
    size_t at; /* rows that have been taken */
    size_t next;
    uint64_t piece;
};

static void begin(struct world *w, void *ctx);
static void send_piece(struct world *w, void *ctx);

static struct client *any_client(const struct rebuild_run *r)
{
    for (unsigned i = 0; i < r->cluster->knobs.client_count; i++) {
        struct client *c = cluster_client(r->cluster, i);
        if (c != NULL) return c;
    }
    return NULL;
}

static void again(struct rebuild_run *r)
{
    if (r->has_plan) rebuild_plan_free(&r->plan);
    r->has_plan = false;
    world_after(r->cluster->world, AGAIN_NS, begin, r);
}

/* --- the new service is told --- */

static void piece_taken(void *ctx, const struct client_error *e, struct slice payload)
{
    struct rebuild_run *r = ctx;
    struct world *w = r->cluster->world;
    (void)payload;
    if (e->status == STATUS_OK) {
        r->at = r->next;
        r->piece++;
        r->done = r->at == r->plan.row_count;
    } else {
        world_trace(w, NULL, "a piece of the metadata is not taken: %s %.*s", status_name(e->status),
                    (int)e->message.size, (const char *)e->message.data);
        if (e->status == STATUS_EXISTS || e->status == STATUS_CONDITION_FAILED || e->status == STATUS_INVALID)
            world_fail(w, "the metadata service refuses to be made anew: %s", status_name(e->status));
    }
    if (!r->done) world_after(w, 10 * MS_NS, send_piece, r);
}

static void send_piece(struct world *w, void *ctx)
{
    struct rebuild_run *r = ctx;
    struct client *c = any_client(r);
    if (c == NULL) {
        world_after(w, AGAIN_NS, send_piece, r);
        return;
    }
    struct meta_rebuild_request q = {.piece = r->piece};
    struct buf rows, params;
    buf_init(&rows, LIMIT_FRAME_BYTES / 2);
    buf_init(&params, LIMIT_FRAME_BYTES);
    r->next = r->at;
    (void)rebuild_plan_piece(&r->plan, &r->next, &rows, &q.last);
    q.rows = buf_slice(&rows);
    pack_meta_rebuild_request(&params, &q);
    client_meta(c, METHOD_META_REBUILD, buf_slice(&params), 3000, piece_taken, r);
    buf_free(&rows);
    buf_free(&params);
}

/* --- the nodes tell --- */

static void all_told(struct rebuild_run *r)
{
    struct world *w = r->cluster->world;
    struct rebuild_asked asked = {.nodes = r->told, .node_count = r->told_count, .wall_ms = 1};
    rebuild_plan_make(&asked, &r->arena, &r->plan);
    r->has_plan = true;
    world_trace(w, NULL, "rebuild: %u nodes told, %zu ranges; %.*s%.*s", r->told_count, r->plan.ranges,
                (int)r->plan.remarks.size, (const char *)r->plan.remarks.data, (int)r->plan.faults.size,
                (const char *)r->plan.faults.data);
    if (r->plan.faults.size > 0)
        again(r);
    else
        send_piece(w, r);
}

static void node_told(void *ctx, const struct client_error *e, struct slice payload)
{
    struct rebuild_run *r = ctx;
    r->answered++;
    if (e->status == STATUS_OK) {
        struct slice kept = arena_dup_slice(&r->arena, payload);
        if (unpack_node_holds_reply(kept, &r->arena, &r->told[r->told_count]) == STATUS_OK) r->told_count++;
    }
    if (r->answered == r->asked) all_told(r);
}

static void begin(struct world *w, void *ctx)
{
    struct rebuild_run *r = ctx;
    struct client *c = any_client(r);
    r->asked = r->answered = r->told_count = 0;
    arena_reset(&r->arena);
    for (unsigned i = 0; i < r->cluster->knobs.node_count; i++) r->asked += process_runs(r->cluster->nodes[i]);
    if (c == NULL || r->asked == 0) {
        world_after(w, AGAIN_NS, begin, r);
        return;
    }
    for (unsigned i = 0; i < r->cluster->knobs.node_count; i++) {
        const struct process *p = r->cluster->nodes[i];
        if (process_runs(p)) client_node(c, p->address, METHOD_NODE_HOLDS, SLICE_EMPTY, 3000, node_told, r);
    }
}

struct rebuild_run *rebuild_new(struct cluster *c)
{
    if (c->meta_count > METAS || cluster_damaged(c) || cluster_restless(c) || !chance(c->world, 300)) return NULL;
    struct rebuild_run *r = mem_zalloc(sizeof *r);
    r->cluster = c;
    arena_init(&r->arena, 65536);
    for (unsigned i = 0; i < METAS; i++) {
        struct process *p = c->metas[i];
        if (process_runs(p)) process_crash(p, MEMDISK_DROP, true);
        memdisk_free(p->disk);
        p->disk = memdisk_new(draw(c->world, 0, UINT64_MAX - 1));
    }
    check_raft_forget(c->check_raft, 1);
    check_resolved_forget(c->check_resolved, 1);
    for (unsigned i = 0; i < c->knobs.node_count; i++) { /* some tell it out of their files */
        struct process *p = c->nodes[i];
        if (!process_runs(p) || !chance(c->world, 300)) continue;
        process_crash(p, MEMDISK_DROP, true);
        (void)process_start(p);
    }
    for (unsigned i = 0; i < METAS; i++) (void)process_start(c->metas[i]);
    world_after(c->world, 12 * SEC_NS, begin, r); /* until nobody has heard of the former one */
    return r;
}

void rebuild_free(struct rebuild_run *r)
{
    if (r == NULL) return;
    if (r->has_plan) rebuild_plan_free(&r->plan);
    arena_free(&r->arena);
    mem_free(r);
}

bool rebuild_done(const struct rebuild_run *r)
{
    return r->done;
}
