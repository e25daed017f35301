/* The storage node: coming up, the pass, and going down. Its states are drawn in node_int.h. */
#include "base/assert.h"
#include "base/mem.h"
#include "node/ask.h"
#include "node/changes.h"
#include "node/watch.h"

#define REGISTER_EVERY_NS (500 * NS_PER_MS)
#define REGISTER_CALL_NS (3000 * NS_PER_MS)
#define STOP_PATIENCE_NS (2000 * NS_PER_MS)
/* What was sent here before the senders knew better is told who leads now; cut off, its outcome would be unknown. So long for
 * senders to close their connections who were told that we leave. */
#define STOP_LINGER_NS (500 * NS_PER_MS)
#define SAFEPOINT_EVERY_NS (1000 * NS_PER_MS)
enum { REQUEST_SPARES_MAX = 512 };

static void node_first_durable(void *ctx)
{
    struct node *n = ctx;
    struct errbuf err = {{0}};
    if (identity_note_log(n->env, &n->identity, &err) != STATUS_OK) n->env->ops->fatal(n->env, err.text);
}

/* Leader or not: a range that was split off here has perhaps no other who has applied that yet. */
static void node_range_changed(void *ctx, struct replica *r)
{
    heartbeat_note_changed(ctx, r);
    merge_notice(ctx, r);
}

static void node_range_gone(void *ctx, uint64_t group)
{
    struct node *n = ctx;
    flight_forget(n, group);
    mem_free(map_remove(&n->counters, group));
}

static void node_leads(void *ctx, struct replica *r, bool leads)
{
    if (leads) merge_notice(ctx, r);
}

static void set_peer(void *ctx, uint64_t id, const char *address)
{
    struct node *n = ctx;
    if (id != n->self.node_id) host_set_peer(n->host, id, address);
}

static void node_opened(struct node *n)
{
    struct errbuf err = {{0}};
    struct host_owner owner = {.machine = &kv_machine_ops,
                               .machine_ctx = n,
                               .first_durable = node_first_durable,
                               .changed = node_range_changed,
                               .leadership = node_leads,
                               .gone = node_range_gone,
                               .ctx = n};
    disk_space_open(&n->space, n->env, n->options.reserve_bytes);
    n->options.host.wal.must_exist = n->identity.has_log;
    enum status s = identity_check_log(n->env, &n->identity, n->options.host.wal.dir, &err);
    n->options.host.lsm.expires = row_stored_expires;
    if (s == STATUS_OK) s = host_open(n->env, &n->options.host, &n->self, &owner, &n->host, &err);
    if (s == STATUS_OK)
        host_set_line(n->host, 0); /* nothing is let go before the metadata service has said how much may */
    if (s != STATUS_OK) {
        n->env->ops->fatal(n->env, err.text[0] != '\0' ? err.text : status_text(s));
        return;
    }
    catalogue_each_node(&n->catalogue, set_peer, n); /* until a metadata service tells better */
    n->state = NODE_SERVING;
    log_event(n->env->log, LOG_INFO, "node.serving", "node=%llu address=%s ranges=%zu",
              (unsigned long long)n->self.node_id, n->advertise, host_replica_count(n->host));
}

static void node_registered(void *ctx, enum status status, bool sent, const struct reply_head *head)
{
    (void)sent;
    struct node *n = ctx;
    n->registering = false;
    n->env->ops->wake(n->env); /* what this pass has decided was decided without the answer */
    if (n->state == NODE_STOPPING) return;
    if (status == STATUS_WRONG_CLUSTER || (status == STATUS_OK && head->status == STATUS_WRONG_CLUSTER)) {
        n->env->ops->fatal(n->env, "this data directory belongs to another cluster than the metadata service");
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
    struct meta_register_reply reply;
    arena_reset(&n->arena);
    if (status != STATUS_OK || head->status != STATUS_OK ||
        unpack_meta_register_reply(head->payload, &n->arena, &reply) != STATUS_OK || reply.node_id == 0) {
        log_event(n->env->log, LOG_WARN, "node.not_registered", "why=%s",
                  status_name(status == STATUS_OK ? head->status : status));
        return; /* asked again */
    }
    n->registered = true;
    if (n->state == NODE_SERVING) {
        if (reply.node_id == n->self.node_id) {
            host_log_lost_below(n->host,
                                reply.next_range); /* asked for in this life: the range may not be of an older one */
            return;
        }
        n->env->ops->fatal(
            n->env,
            "the metadata service knows this directory under another node id: it was restored from an older state; "
            "start this node with an empty data directory");
        return;
    }
    struct errbuf err = {{0}};
    n->identity.node_id = reply.node_id;
    n->identity.cluster = reply.cluster;
    if (identity_save(n->env, &n->identity, &err) != STATUS_OK) {
        n->env->ops->fatal(n->env, err.text);
        return;
    }
    n->self.node_id = reply.node_id;
    n->self.cluster = reply.cluster;
    node_opened(n);
}

static uint64_t node_register(struct node *n, uint64_t now_ns)
{
    if (n->registering) return DEADLINE_NONE;
    if (now_ns < n->register_at_ns) return n->register_at_ns;
    n->register_at_ns = now_ns + REGISTER_EVERY_NS;
    n->registering = true;
    struct meta_register_request request = {.uuid = slice_make(n->identity.uuid, sizeof n->identity.uuid),
                                            .address = slice_str(n->advertise),
                                            .host = slice_str(n->label),
                                            .cluster = n->identity.cluster};
    buf_clear(&n->scratch);
    pack_meta_register_request(&n->scratch, &request);
    meta_call(n->meta, METHOD_META_REGISTER, buf_slice(&n->scratch), now_ns + REGISTER_CALL_NS, node_registered, n);
    return n->register_at_ns;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t node_pass(struct actor *a, uint64_t now_ns)
{
    struct node *n = LIST_ENTRY(a, struct node, actor);
    if (n->env->dead) return DEADLINE_NONE;
    uint64_t next = DEADLINE_NONE;
    rpc_server_pass(n->server, now_ns);
    if (!n->registered && n->state != NODE_STOPPING) next = earlier(next, node_register(n, now_ns));
    if (n->host != NULL && !n->env->dead) {
        scans_pass(n, now_ns);
        if (n->state == NODE_SERVING) next = earlier(next, host_resolve_pass(n->host, now_ns));
        next = earlier(next, steps_pass(n, now_ns));
        next = earlier(next, host_pass(n->host, now_ns));
        if (n->env->dead) return DEADLINE_NONE;
        next = earlier(next, locks_pass(n, now_ns));
        next = earlier(next, watches_pass(n, now_ns));
        timestamps_pass(n, now_ns);
        transfers_pass(n, now_ns);
        next = earlier(next, splits_pass(n, now_ns));
        next = earlier(next, merges_pass(n, now_ns));
        next = earlier(next, deferred_pass(n, now_ns));
        next = earlier(next, health_pass(n, now_ns));
        next = earlier(next, catalogue_pass(&n->catalogue, now_ns));
        if (n->state == NODE_SERVING) next = earlier(next, heartbeat_pass(n, now_ns));
    }
    /* What is under way still waits for word of the new leaders. */
    bool over = n->state == NODE_STOPPING && n->requests == 0 && (n->host == NULL || host_handed_over(n->host));
    if (over && n->handed_over_ns == 0) n->handed_over_ns = now_ns;
    if (n->handed_over_ns != 0) rpc_server_leave(n->server);
    next = earlier(next, meta_call_pass(n->meta, now_ns));
    if (n->env->dead) return DEADLINE_NONE;
    rpc_server_flush(n->server);
    return next;
}

/* "10.0.0.7:7411" -> "10.0.0.7": nodes at one address are taken to share a machine. */
static char *label_of(const char *address)
{
    char *label = mem_strdup(address);
    char *colon = strrchr(label, ':');
    if (colon != NULL) *colon = '\0';
    return label;
}

enum status node_new(struct env *env, const struct node_options *o, struct node **out, struct errbuf *err)
{
    struct node *n = mem_zalloc(sizeof *n);
    n->env = env;
    n->options = *o;
    n->listen = mem_strdup(o->listen);
    n->advertise = mem_strdup(o->advertise != NULL ? o->advertise : o->listen);
    n->label = o->host_label != NULL ? mem_strdup(o->host_label) : label_of(n->advertise);
    n->started_ns = env_mono_ns(env);
    list_init(&n->ts_waiting);
    list_init(&n->ts_asked);
    list_init(&n->scans_yielded);
    list_init(&n->transfers);
    list_init(&n->splits);
    list_init(&n->merges);
    list_init(&n->deferred);
    list_init(&n->changes);
    list_init(&n->reads_parked);
    list_init(&n->lock_states);
    list_init(&n->step_states);
    list_init(&n->prepares);
    list_init(&n->watched);
    spares_init(&n->request_spares, sizeof(struct node_request), REQUEST_SPARES_MAX);
    map_init(&n->counters);
    map_init(&n->told);
    n->tell_leads = true;
    load_samples_init(&n->samples, n->started_ns);
    map_init(&n->flights);
    map_init(&n->asks);
    arena_init(&n->arena, 64 * 1024);
    buf_init(&n->scratch, LIMIT_FRAME_BYTES);
    list_init(&n->actor.link);
    n->actor.pass = node_pass;
    enum status s = identity_open(env, ROLE_NODE, &n->identity, err);
    n->self = (struct rpc_identity){.role = ROLE_NODE,
                                    .node_id = n->identity.node_id,
                                    .cluster = n->identity.cluster,
                                    .newest = o->host.version_newest,
                                    .finalised = n->identity.finalised};
    if (s == STATUS_OK) s = identity_check_version(&n->identity, n->self.newest, err);
    if (s == STATUS_OK) s = identity_note_support(env, &n->identity, o->host.support_ms, err);
    n->options.host.support_before_ms = n->identity.support_ms;
    if (s == STATUS_OK) catalogue_open(&n->catalogue, env);
    n->orders.term = n->catalogue.now.term;
    if (s == STATUS_OK) s = rpc_server_new(env, n->listen, &n->self, node_on_request, n, &n->server, err);
    if (s == STATUS_OK) s = meta_call_new(env, o->meta_addresses, &n->self, &n->meta, err);
    if (s == STATUS_OK && n->identity.node_id != 0) node_opened(n);
    if (s != STATUS_OK) {
        node_free(n);
        return s;
    }
    env->ops->attach(env, &n->actor);
    *out = n;
    return STATUS_OK;
}

void node_stop(struct node *n)
{
    if (n->state == NODE_STOPPING) return;
    log_event(n->env->log, LOG_INFO, "node.stopping", "node=%llu", (unsigned long long)n->self.node_id);
    n->state = NODE_STOPPING;
    n->stop_deadline_ns = env_mono_ns(n->env) + STOP_PATIENCE_NS;
    timestamps_fail_all(n);
    locks_fail_all(n);
    watches_fail_all(n);
    transfers_refuse(n);
    deferred_fail_all(n);
    if (n->host != NULL) host_stop(n->host, STOP_PATIENCE_NS / NS_PER_MS);
    n->env->ops->wake(n->env);
}

bool node_stopped(const struct node *n)
{
    if (n->state != NODE_STOPPING) return false;
    if (n->host == NULL) return true;
    uint64_t now_ns = env_mono_ns(n->env);
    bool patience = now_ns < n->stop_deadline_ns;
    bool left = n->server == NULL || rpc_server_left(n->server) || now_ns >= n->handed_over_ns + STOP_LINGER_NS;
    if (patience && (n->requests > 0 || n->handed_over_ns == 0 || !left)) return false;
    return host_quiet(n->host) && !n->space.busy && !n->catalogue.busy && n->windows_read == 0;
}

static void node_fail_replica(void *ctx, struct replica *r)
{
    (void)ctx;
    replica_close_waits(r);
}

void node_free(struct node *n)
{
    if (n == NULL) return;
    if (!list_empty(&n->actor.link)) n->env->ops->detach(n->env, &n->actor);
    if (n->meta != NULL) meta_call_free(n->meta);
    timestamps_fail_all(n);
    transfers_refuse(n);
    deferred_fail_all(n);
    if (n->host != NULL) host_each_replica(n->host, node_fail_replica, n);
    splits_free(n);
    merges_free(n);
    heartbeat_free(n);
    struct list *it;
    while ((it = list_pop_front(&n->scans_yielded)) != NULL) {
        node_refuse(LIST_ENTRY(it, struct node_request, link), STATUS_CLOSED, false, "the node is stopping");
    }
    host_close(n->host);
    if (n->server != NULL) rpc_server_free(n->server);
    uint64_t key;
    void *value;
    for (size_t i = 0; map_next(&n->counters, &i, &key, &value);) mem_free(value);
    for (size_t i = 0; map_next(&n->flights, &i, &key, &value);) mem_free(value);
    asks_free(n);
    spares_free(&n->request_spares);
    map_free(&n->counters);
    load_samples_free(&n->samples);
    map_free(&n->flights);
    health_free(n);
    catalogue_free(&n->catalogue);
    orders_free(n);
    arena_free(&n->arena);
    buf_free(&n->scratch);
    mem_free(n->listen);
    mem_free(n->advertise);
    mem_free(n->label);
    mem_free(n);
}

struct host *node_host(struct node *n)
{
    return n->host;
}
