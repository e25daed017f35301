/* The node's regular word with the metadata leader: what it leads and how large that is; back come the members' addresses
 * and, when the map has changed, the ranges of which this node is to hold a replica. */
#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "node/changes.h"
#include "node/load.h"
#include "range/members.h"

#define HEARTBEAT_EVERY_NS (250 * NS_PER_MS)
enum {
    WHOLE_EVERY = 32,
    QUIET_AFTER = 8
};                           /* heartbeats: between whole ones; that still name a range which does not change */
enum { ESTIMATE_EVERY = 8 }; /* sizes are estimated for one range in so many each time */
#define HEARTBEAT_CALL_NS (2000 * NS_PER_MS)
enum { CHANGES_MAX = 256 }; /* descriptors told in one heartbeat */
enum { LEADERLESS_EVERY = 8, ORPHANS_MAX = 1024 };

/* False: the node ends. */
static bool adopt_version(struct node *n, uint32_t finalised)
{
    struct errbuf err = {{0}};
    if (finalised <= n->self.finalised) return true;
    enum status s = identity_note_finalised(n->env, &n->identity, finalised, &err);
    if (s == STATUS_OK) s = identity_check_version(&n->identity, n->self.newest, &err);
    if (s != STATUS_OK) {
        n->env->ops->fatal(n->env, err.text);
        return false;
    }
    log_event(n->env->log, LOG_INFO, "node.finalised", "version=%u", (unsigned)finalised);
    n->self.finalised = finalised;
    return true;
}

static void heartbeat_adopt(struct node *n, const struct meta_heartbeat_reply *reply)
{
    if (!adopt_version(n, reply->finalised)) return;
    for (size_t i = 0; i < reply->node_count; i++) {
        char address[LIMIT_ADDRESS_BYTES + 1];
        struct slice a = reply->nodes[i].address;
        if (a.size > LIMIT_ADDRESS_BYTES) continue;
        memcpy(address, a.data, a.size);
        address[a.size] = '\0';
        host_set_peer(n->host, reply->nodes[i].id, address);
    }
    meta_call_learn(n->meta, reply->metas, reply->meta_count);
    if (reply->node_count > 0) { /* else it only asks for all */
        host_set_line(n->host, reply->line_ts);
        host_set_snapshot_rate(n->host,
                               reply->send_rate > 0 ? reply->send_rate - 1 : n->options.host.snapshot_rate_bytes);
        health_learn(n, reply->nodes, reply->node_count);
    }
    for (size_t i = 0; i < reply->range_count; i++) host_create_replica(n->host, &reply->ranges[i]);
    if (reply->map_version > n->map_version) n->map_version = reply->map_version;
    orders_take(n, reply);
    catalogue_learn(&n->catalogue, reply, env_mono_ns(n->env));
    n->tell_leads = !reply->takes_deltas;
    for (size_t i = 0; i < reply->want_count; i++) {
        const struct replica *r = host_replica(n->host, reply->wants[i]);
        if (r != NULL) heartbeat_note_changed(n, r);
    }
}

/* --- what has changed --- */

struct range_changed {
    struct list link;
    uint64_t group;
    bool sent; /* with the heartbeat that is under way */
};

void heartbeat_note_changed(struct node *n, const struct replica *r)
{
    n->heartbeat_news = true;
    n->env->ops->wake(n->env);
    LIST_FOR(it, &n->changes)
    {
        struct range_changed *c = LIST_ENTRY(it, struct range_changed, link);
        if (c->group != replica_group(r)) continue;
        c->sent = false;
        return;
    }
    struct range_changed *c = mem_zalloc(sizeof *c);
    c->group = replica_group(r);
    list_push_back(&n->changes, &c->link);
}

static void changes_sent(struct node *n, bool arrived)
{
    LIST_FOR(it, &n->changes)
    {
        struct range_changed *c = LIST_ENTRY(it, struct range_changed, link);
        if (c->sent && arrived) {
            list_remove(it);
            mem_free(c);
        } else {
            c->sent = false;
        }
    }
}

static void told_clear(struct node *n)
{
    uint64_t group;
    void *value;
    for (size_t it = 0; map_next(&n->told, &it, &group, &value);) mem_free(value);
    map_free(&n->told);
    map_init(&n->told);
}

void heartbeat_free(struct node *n)
{
    told_clear(n);
    LIST_FOR(it, &n->changes)
    {
        list_remove(it);
        mem_free(LIST_ENTRY(it, struct range_changed, link));
    }
}

static void fill_changed(struct node *n, struct meta_heartbeat_request *request)
{
    n->heartbeat_news = false;
    LIST_FOR(it, &n->changes)
    {
        struct range_changed *c = LIST_ENTRY(it, struct range_changed, link);
        const struct replica *r = host_replica(n->host, c->group);
        if (request->changed_count == CHANGES_MAX) return;
        c->sent = true;
        if (r != NULL) range_desc_copy(&request->changed[request->changed_count++], replica_desc(r));
    }
}

void node_unsupported(struct node *n, struct slice why)
{
    struct errbuf err;
    errbuf_set(&err, "%.*s", (int)(why.size < 400 ? why.size : 400), (const char *)why.data);
    n->env->ops->fatal(n->env, err.text);
}

void node_given_up(struct node *n)
{
    n->env->ops->fatal(
        n->env, "this node was given up by `quorate unsafe-recover`: others went on without it, and nothing that its "
                "data directory holds counts any more; keep the directory as evidence, and start with an "
                "empty one");
}

static void heartbeat_done(void *ctx, enum status status, bool sent, const struct reply_head *head)
{
    (void)sent;
    struct node *n = ctx;
    n->heartbeat_busy = false;
    n->tell_leads = true; /* nobody knows what has arrived; unless the answer says so */
    changes_sent(n, status == STATUS_OK && head->status == STATUS_OK);
    n->env->ops->wake(n->env);
    if (status == STATUS_WRONG_CLUSTER || (status == STATUS_OK && head->status == STATUS_WRONG_CLUSTER)) {
        n->env->ops->fatal(n->env,
                           "this data directory belongs to another cluster than the metadata service: name the right "
                           "--meta addresses, or an empty data directory");
        return;
    }
    if (status == STATUS_OK && head->status == STATUS_FORBIDDEN) {
        node_given_up(n);
        return;
    }
    if (status == STATUS_UNSUPPORTED) {
        node_unsupported(n, head->message);
        return;
    }
    if (status != STATUS_OK || head->status != STATUS_OK) return;
    struct meta_heartbeat_reply reply;
    struct arena arena; /* its own: adopting may run code that uses the node's */
    arena_init(&arena, 16 * 1024);
    if (unpack_meta_heartbeat_reply(head->payload, &arena, &reply) == STATUS_OK) heartbeat_adopt(n, &reply);
    arena_free(&arena);
}

/* --- what is led --- */

struct range_told { /* of a range that is led here, as the metadata service was told last */
    struct range_report report;
    uint64_t beat;  /* n->heartbeats when it was last found to be led */
    unsigned quiet; /* times in a row that nothing had changed */
};

/* Is it to be told? What changes no more is told a few times: that is how its load is seen to fall. */
static bool told_note(struct node *n, const struct range_report *now)
{
    struct range_told *t = map_get(&n->told, now->range_id);
    bool known = t != NULL;
    if (!known) {
        t = mem_zalloc(sizeof *t);
        map_put(&n->told, now->range_id, t);
    }
    const struct range_report *was = &t->report;
    bool same = known && was->epoch.version == now->epoch.version && was->epoch.conf_ver == now->epoch.conf_ver &&
                was->term == now->term && was->writes == now->writes && was->reads == now->reads &&
                was->bytes == now->bytes;
    t->report = *now;
    t->beat = n->heartbeats;
    t->quiet = same ? t->quiet + 1 : 0;
    return t->quiet < QUIET_AFTER;
}

/* What was led and is not any more. */
static void fill_left(struct node *n, struct meta_heartbeat_request *request)
{
    uint64_t group;
    void *value;
    request->left = arena_alloc(&n->arena, (n->told.count + 1) * sizeof *request->left);
    for (size_t it = 0; map_next(&n->told, &it, &group, &value);) {
        if (((struct range_told *)value)->beat != n->heartbeats) request->left[request->left_count++] = group;
    }
    for (size_t i = 0; i < request->left_count; i++) mem_free(map_remove(&n->told, request->left[i]));
}

struct heartbeat_build {
    struct node *node;
    struct meta_heartbeat_request *request;
};

/* A range without a leader may miss replicas that only the map can ask for, and the map may not know of it yet: what it is
 * is as true from one that follows. */
static void tell_leaderless(struct heartbeat_build *b, const struct replica *r)
{
    struct meta_heartbeat_request *request = b->request;
    bool turn = (replica_group(r) + b->node->heartbeats) % LEADERLESS_EVERY == 0;
    const struct raft *raft = replica_raft(r);
    if (!turn || raft_leader(raft) != 0 || request->orphan_count == ORPHANS_MAX) return;
    COVER("heartbeat.leaderless");
    if (MUTANT(leaderless_unknown)) return;
    struct raft_hard_state hard = raft_hard_state_now(raft);
    struct range_orphan *orphan = &request->orphans[request->orphan_count++];
    *orphan = (struct range_orphan){.replica_id = replica_id(r),
                                    .last_term = raft_term_at(raft, raft_last_index(raft)),
                                    .last_index = raft_last_index(raft),
                                    .commit = hard.commit,
                                    .last_ts = replica_last_ts(r),
                                    .whole = !raft_blank(raft) && !raft_recovering(raft) && !replica_diverged(r)};
    range_desc_copy(&orphan->desc, replica_desc(r));
    struct range_desc ahead;
    if (raft_config_index(raft) > raft_durable_index(raft)) return; /* a crash would take it back */
    replica_desc_ahead(r, &ahead);
    if (ahead.epoch.conf_ver != orphan->desc.epoch.conf_ver) orphan->ahead = ahead;
}

static void heartbeat_count(void *ctx, struct replica *r)
{
    struct heartbeat_build *b = ctx;
    struct node *n = b->node;
    b->request->holds_sum += hash_u64(replica_group(r));
    if (!replica_leads(r)) {
        tell_leaderless(b, r);
        return;
    }
    struct range_report *report = &b->request->leads[b->request->lead_count];
    uint64_t turn = ++b->request->leads_total;
    struct range_counters none = {0}, *known = map_get(&n->counters, replica_group(r)),
                          *c = known != NULL ? known : &none;
    *report = (struct range_report){.range_id = replica_group(r),
                                    .epoch = replica_desc(r)->epoch,
                                    .term = raft_term(replica_raft(r)),
                                    .writes = c->writes,
                                    .reads = c->reads};
    bool used_first = known != NULL && c->bytes == 0;
    if (turn % ESTIMATE_EVERY == n->heartbeats % ESTIMATE_EVERY || used_first) {
        struct slice start, end;
        replica_span(r, &start, &end);
        lsm_estimate(host_store(n->host), start, end, &c->bytes, &c->rows);
        if (known == NULL && c->bytes > 0)
            *node_counters(n, replica_group(r)) = none; /* an unused empty range has none */
    }
    report->bytes = c->bytes;
    report->rows = c->rows;
    if (told_note(n, report) || !b->request->is_delta) b->request->lead_count++;
}

uint64_t heartbeat_pass(struct node *n, uint64_t now_ns)
{
    if (n->heartbeat_busy) return DEADLINE_NONE;
    if (now_ns < n->heartbeat_at_ns && !n->heartbeat_news) return n->heartbeat_at_ns;
    n->heartbeat_at_ns = now_ns + HEARTBEAT_EVERY_NS;
    n->heartbeat_busy = true;
    n->heartbeats++;
    load_samples_tick(&n->samples, now_ns / NS_PER_MS);
    arena_reset(&n->arena);
    struct lsm_stats store;
    lsm_stats(host_store(n->host), &store);
    struct meta_heartbeat_request request = {.node_id = n->self.node_id,
                                             .address = slice_str(n->advertise),
                                             .map_version = n->map_version,
                                             .range_count = host_replica_count(n->host),
                                             .bytes = store.file_bytes + store.memtable_bytes,
                                             .flags = n->flags,
                                             .disk_write_us = host_disk_write_us(n->host),
                                             .disk_free = n->space.free_bytes,
                                             .disk_total = n->space.total_bytes};
    request.changed = arena_alloc(&n->arena, CHANGES_MAX * sizeof *request.changed);
    request.orphans = arena_alloc(&n->arena, ORPHANS_MAX * sizeof *request.orphans);
    request.leads = arena_alloc(&n->arena, (host_led_most(n->host) + 1) * sizeof *request.leads);
    struct heartbeat_build build = {.node = n, .request = &request};
    request.is_delta = !n->tell_leads && n->heartbeats % WHOLE_EVERY != 0;
    request.catalogue = n->catalogue.hash;
    fill_changed(n, &request);
    host_each_replica(n->host, heartbeat_count, &build);
    fill_left(n, &request);
    orders_report(n, &request);
    struct buf params;
    buf_init(&params, LIMIT_FRAME_BYTES);
    pack_meta_heartbeat_request(&params, &request);
    ASSERT(!params.overflow);
    meta_call(n->meta, METHOD_META_HEARTBEAT, buf_slice(&params), now_ns + HEARTBEAT_CALL_NS, heartbeat_done, n);
    buf_free(&params);
    return n->heartbeat_at_ns;
}
