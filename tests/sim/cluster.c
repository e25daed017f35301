#include "sim/cluster.h"

#include "base/assert.h"
#include "base/mem.h"
#include "sim/check.h"
#include "sim/members.h"
#include "sim/upgrade.h"

#include <stdio.h>

struct cluster *process_cluster(const struct process *p)
{
    return p->owner;
}

/* --- metadata members --- */

static enum status meta_start(struct process *p, struct errbuf *err)
{
    struct cluster *c = process_cluster(p);
    struct meta_options o = {.host = c->knobs.host, .member_count = METAS};
    for (unsigned i = 0; i < c->meta_count; i++) {
        o.members[i] = (struct meta_member){.id = i + 1, .address = c->metas[i]->address};
        if (c->metas[i] != p) continue;
        o.id = i + 1;
        o.join = c->meta_joins[i];
        if (o.join || c->meta_emptied[i]) o.member_count = c->meta_count;
    }
    if (c->bench == BENCH_NONE) knobs_draw_host(p->world, &o.host);
    if (c->upgrade != NULL) o.host.version_newest = upgrade_draw(c->upgrade, p);
    struct meta *m = NULL;
    enum status s = meta_new(&p->env, &o, &m, err);
    p->server = m;
    return s;
}

static void meta_ask_stop(struct process *p)
{
    meta_stop(p->server);
}
static bool meta_has_stopped(struct process *p)
{
    return meta_stopped(p->server);
}
static void meta_end(struct process *p)
{
    meta_free(p->server);
}
static void look_replica(void *ctx, struct replica *r)
{
    const struct process *p = ctx;
    const struct cluster *c = process_cluster(p);
    check_raft_replica(c->check_raft, p, r);
    if (process_is_node(p)) check_resolved_replica(c->check_resolved, p, r);
}
static void host_look(struct process *p)
{
    struct check_raft *check = process_cluster(p)->check_raft;
    const struct host *h = process_host(p);
    if (h == NULL || p->given_up) return; /* until they are told they may lead one another (docs/recovery.md) */
    check_raft_begin(check, p, h);
    host_each_replica(h, look_replica, p);
    check_raft_end(check, p, h);
}

static const struct process_ops META_OPS = {
    .start = meta_start, .stop = meta_ask_stop, .stopped = meta_has_stopped, .free = meta_end, .after_pass = host_look};

/* --- storage nodes --- */

static enum status node_start(struct process *p, struct errbuf *err)
{
    struct cluster *c = process_cluster(p);
    struct node_options o = {
        .listen = p->address, .meta_addresses = c->meta_addresses, .host_label = p->name, .host = c->knobs.host};
    if (c->bench == BENCH_NONE) knobs_draw_host(p->world, &o.host);
    if (c->upgrade != NULL) o.host.version_newest = upgrade_draw(c->upgrade, p);
    struct node *n = NULL;
    enum status s = node_new(&p->env, &o, &n, err);
    p->server = n;
    return s;
}

static void node_ask_stop(struct process *p)
{
    node_stop(p->server);
}
static bool node_has_stopped(struct process *p)
{
    return node_stopped(p->server);
}
static void node_end(struct process *p)
{
    node_free(p->server);
}

static const struct process_ops NODE_OPS = {
    .start = node_start, .stop = node_ask_stop, .stopped = node_has_stopped, .free = node_end, .after_pass = host_look};

/* --- routers --- */

static enum status client_start(struct process *p, struct errbuf *err)
{
    struct cluster *c = process_cluster(p);
    struct client *client = NULL;
    enum status s = client_new(
        &p->env, &(struct client_options){.meta_addresses = c->meta_addresses, .role = ROLE_CLIENT}, &client, err);
    p->server = client;
    return s;
}
static void client_end(struct process *p)
{
    struct cluster *c = process_cluster(p);
    client_free(p->server);
    for (unsigned i = 0; i < c->knobs.client_count; i++) {
        if (c->clients[i] != p) continue;
        ledger_free(c->ledgers[i]);
        c->ledgers[i] = NULL;
    }
    if (c->router_died != NULL) c->router_died(c->router_died_ctx);
}

static const struct process_ops CLIENT_OPS = {.start = client_start, .free = client_end};

/* --- all of them --- */

void cluster_init(struct cluster *c, struct world *w, enum cluster_bench bench)
{
    memset(c, 0, sizeof *c);
    c->world = w;
    c->bench = bench;
    knobs_draw(w, &c->knobs);
    if (bench != BENCH_NONE) knobs_bench(w, &c->knobs);
    char name[32];
    size_t at = 0;
    for (unsigned i = 0; i < METAS; i++) {
        (void)snprintf(name, sizeof name, "meta%u", i + 1);
        c->metas[i] = process_new(w, name, &META_OPS, c, true);
        at += (size_t)snprintf(c->meta_addresses + at, sizeof c->meta_addresses - at, "%s%s", i > 0 ? "," : "",
                               c->metas[i]->address);
    }
    for (unsigned i = 0; i < c->knobs.node_count; i++) {
        (void)snprintf(name, sizeof name, "node%u", i + 1);
        c->nodes[i] = process_new(w, name, &NODE_OPS, c, true);
    }
    for (unsigned i = 0; i < c->knobs.client_count; i++) {
        (void)snprintf(name, sizeof name, "client%u", i + 1);
        c->clients[i] = process_new(w, name, &CLIENT_OPS, c, false);
    }
    c->meta_count = METAS;
    while (bench == BENCH_NONE && members_wanted(w->seed) && c->meta_count < METAS_MAX) {
        (void)snprintf(name, sizeof name, "meta%u", c->meta_count + 1);
        c->meta_out[c->meta_count] = c->meta_joins[c->meta_count] = true;
        c->metas[c->meta_count++] = process_new(w, name, &META_OPS, c, true);
    }
    c->check_raft = check_raft_new(w);
    c->check_resolved = check_resolved_new(w);
}

void cluster_free(struct cluster *c)
{
    for (unsigned i = 0; i < c->world->process_count; i++) {
        struct process *p = c->world->processes[i];
        if (process_runs(p)) process_crash(p, MEMDISK_KEEP, false);
    }
    check_raft_free(c->check_raft);
    check_resolved_free(c->check_resolved);
}

void cluster_start(struct cluster *c)
{
    for (unsigned i = 0; i < c->world->process_count; i++) {
        struct process *p = c->world->processes[i];
        if (!process_runs(p) && !cluster_stands_by(c, p)) (void)process_start(p);
    }
}

bool cluster_stands_by(const struct cluster *c, const struct process *p)
{
    for (unsigned i = 0; i < c->meta_count; i++) {
        if (c->metas[i] == p) return c->meta_out[i] || p->taken_out;
    }
    return false;
}

unsigned cluster_servers(const struct cluster *c, struct process *out[SERVERS_MAX])
{
    unsigned count = 0;
    for (unsigned i = 0; i < c->meta_count; i++) {
        if (!cluster_stands_by(c, c->metas[i])) out[count++] = c->metas[i];
    }
    for (unsigned i = 0; i < c->knobs.node_count; i++) out[count++] = c->nodes[i];
    return count;
}

bool cluster_all_up(const struct cluster *c)
{
    for (unsigned i = 0; i < c->world->process_count; i++) {
        const struct process *p = c->world->processes[i];
        if (p->state != PROCESS_UP && !p->disk_damaged && !cluster_stands_by(c, p)) return false;
    }
    return true;
}

bool cluster_damaged(const struct cluster *c)
{
    for (unsigned i = 0; i < c->world->process_count; i++) {
        if (c->world->processes[i]->disk_damaged) return true;
    }
    return false;
}

bool cluster_restless(const struct cluster *c)
{
    return (uint64_t)c->knobs.host.election_ms * MS_NS < 6 * c->world->knobs.net_max_ns;
}

struct client *cluster_client(const struct cluster *c, unsigned i)
{
    return process_runs(c->clients[i]) ? c->clients[i]->server : NULL;
}

bool process_is_node(const struct process *p)
{
    return p->ops == &NODE_OPS;
}

struct host *process_host(const struct process *p)
{
    if (!process_runs(p) || p->server == NULL) return NULL;
    return p->ops == &META_OPS ? meta_host(p->server) : p->ops == &NODE_OPS ? node_host(p->server) : NULL;
}
