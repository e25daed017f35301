/* A metadata member: coming up, the pass, and going down. It leads, or it names the leader. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "meta/meta_int.h"

static const char REMOVED[] =
    "this member has been removed from the metadata service: it may be stopped for good. To take it in again: an "
    "empty directory, `quorate meta add`, and --join";
#define STOP_PATIENCE_NS (2000 * NS_PER_MS)

/* --- the copy in memory --- */

static void note_cluster(struct meta *m)
{
    if (!m->state.has_cluster || !cluster_id_is_none(&m->self.cluster)) return;
    struct errbuf err = {{0}};
    m->self.cluster = m->identity.cluster = m->state.cluster.cluster;
    if (identity_save(m->env, &m->identity, &err) != STATUS_OK) m->env->ops->fatal(m->env, err.text);
}

static void on_row(void *ctx, struct slice user_key, struct slice value, bool is_delete)
{
    struct meta *m = ctx;
    bool scanned = m->load_begun && slice_cmp(user_key, buf_slice(&m->load_at)) <= 0;
    if (!m->loaded && scanned) meta_state_row(&m->state, user_key, value, is_delete);
    if (!m->loaded) return; /* the scan will see it, or has seen it */
    meta_state_row(&m->state, user_key, value, is_delete);
    note_cluster(m);
    upgrade_note(m);
}

static void state_block_loaded(void *ctx, enum status s)
{
    struct meta *m = ctx;
    m->loading = false;
    if (s != STATUS_OK && s != STATUS_CLOSED)
        m->env->ops->fatal(m->env, "the metadata's rows cannot be read: a table is damaged");
    m->env->ops->wake(m->env);
}

static void state_load_begin(struct meta *m)
{
    if (m->load_begun) return;
    m->load_begun = true;
    buf_clear(&m->load_at);
    meta_state_clear(&m->state);
    meta_state_bulk(&m->state, true);
}

static void state_load_end(struct meta *m)
{
    m->loaded = true;
    m->load_begun = false;
    meta_state_bulk(&m->state, false);
    note_cluster(m);
    upgrade_note(m);
}

/* Reads all rows; if a block has to come from disk, it goes on when that is there, behind what it has read. */
static void state_load(struct meta *m)
{
    if (m->loaded || m->loading || host_replica(m->host, META_GROUP) == NULL) return;
    struct slice start, end;
    struct buf behind;
    state_load_begin(m);
    replica_span(host_replica(m->host, META_GROUP), &start, &end);
    buf_init(&behind, LSM_KEY_MAX + 1);
    if (m->load_at.size > 0) {
        key_encode_data(&behind, META_KEYSPACE, buf_slice(&m->load_at));
        buf_append_byte(&behind, 0);
        start = buf_slice(&behind);
    }
    struct lsm_iter *it = lsm_iter_new(host_store(m->host), start, end, LSM_TS_MAX, false);
    struct lsm_row row;
    struct lsm_miss miss;
    enum status s;
    while ((s = lsm_iter_next(it, &row, &miss)) == STATUS_OK) {
        uint32_t keyspace;
        enum row_type type;
        buf_clear(&m->load_at);
        if (key_decode(row.key, &keyspace, &m->load_at, &type) != STATUS_OK)
            BUG("a row of the metadata has a foreign key");
        meta_state_row(&m->state, buf_slice(&m->load_at), row.value, false);
    }
    lsm_iter_free(it);
    buf_free(&behind);
    if (s == STATUS_MISS) {
        m->loading = true;
        lsm_load(host_store(m->host), &miss, state_block_loaded, m);
    } else if (s == STATUS_END) {
        state_load_end(m);
    } else {
        m->env->ops->fatal(m->env, "the metadata's rows cannot be read: a table is damaged");
    }
}

static void on_leadership(void *ctx, struct replica *r, bool leads)
{
    struct meta *m = ctx;
    m->leads = leads;
    m->term = raft_term(replica_raft(r));
    timestamps_reset(m);
    m->leads_since_ns = env_mono_ns(m->env);
    operators_reset(m);
    for (size_t i = 0; i < m->state.node_count; i++) {
        m->state.nodes[i]->heard_ns = 0;
        orphans_clear(&m->state.nodes[i]->orphans);
    }
    m->env->ops->wake(m->env);
}

static void on_first_durable(void *ctx)
{
    struct meta *m = ctx;
    struct errbuf err = {{0}};
    if (identity_note_log(m->env, &m->identity, &err) != STATUS_OK) m->env->ops->fatal(m->env, err.text);
}

static void on_installed(void *ctx, struct replica *r)
{
    (void)r;
    struct meta *m = ctx;
    m->loaded = m->load_begun = false;
}

/* --- the pass --- */

static uint64_t meta_pass(struct actor *a, uint64_t now_ns)
{
    struct meta *m = LIST_ENTRY(a, struct meta, actor);
    if (m->env->dead) return DEADLINE_NONE;
    rpc_server_pass(m->server, now_ns);
    if (m->env->dead) return DEADLINE_NONE;
    state_load(m);
    members_learn(m);
    uint64_t ask = others_pass(m, now_ns);
    news_step(m);
    /* Looked at anew: what requests have noted must not lie in the future of those who judge silence. */
    uint64_t duties = duties_pass(m, env_mono_ns(m->env));
    uint64_t next = host_pass(m->host, now_ns);
    if (m->env->dead) return DEADLINE_NONE;
    if (!m->joins && !m->founding && host_replica(m->host, META_GROUP) == NULL) m->env->ops->fatal(m->env, REMOVED);
    if (m->env->dead) return DEADLINE_NONE;
    if (m->stopping && m->requests == 0 && host_handed_over(m->host)) rpc_server_leave(m->server);
    rpc_server_flush(m->server);
    if (ask < next) next = ask;
    return duties < next ? duties : next;
}

/* --- up --- */

static void meta_group_begin(struct meta *m)
{
    const struct identity *id = &m->identity;
    bool is_founder = m->options.member_count == 1 || id->has_log || id->founders.count > 0;
    m->joins = m->options.join;
    if (!m->joins && !is_founder && !MUTANT(empty_member_votes))
        founding_begin(m);
    else if (!m->joins)
        founding_create(m);
    for (size_t i = 0; i < m->options.member_count; i++)
        host_set_peer(m->host, m->options.members[i].id, m->addresses[i]);
    others_open(m);
}

static enum status meta_identity(struct meta *m, struct errbuf *err)
{
    enum status s = identity_open(m->env, ROLE_META, &m->identity, err);
    if (s != STATUS_OK) return s;
    if (m->identity.node_id != 0 && m->identity.node_id != m->options.id) {
        errbuf_set(
            err, "this data directory is member %llu's, not member %llu's: name the right directory or the right --id",
            (unsigned long long)m->identity.node_id, (unsigned long long)m->options.id);
        return STATUS_INVALID;
    }
    if (m->identity.node_id == 0) {
        m->identity.node_id = m->options.id;
        m->identity.support_ms = m->options.host.support_ms;
        s = identity_save(m->env, &m->identity, err);
    } else {
        s = identity_note_support(m->env, &m->identity, m->options.host.support_ms, err);
    }
    m->options.host.support_before_ms = m->identity.support_ms;
    m->self = (struct rpc_identity){.role = ROLE_META,
                                    .node_id = m->options.id,
                                    .cluster = m->identity.cluster,
                                    .newest = m->options.host.version_newest,
                                    .finalised = m->identity.finalised};
    return s == STATUS_OK ? identity_check_version(&m->identity, m->self.newest, err) : s;
}

static const char *meta_own_address(struct meta *m, struct errbuf *err)
{
    for (size_t i = 0; i < m->options.member_count; i++) {
        if (m->options.members[i].id == m->options.id) return m->addresses[i];
    }
    errbuf_set(err, "member %llu is not in the list of members", (unsigned long long)m->options.id);
    return NULL;
}

static enum status meta_start(struct meta *m, struct errbuf *err)
{
    const char *own = meta_own_address(m, err);
    if (own == NULL) return STATUS_INVALID;
    enum status s = meta_identity(m, err);
    if (s != STATUS_OK) return s;
    s = rpc_server_new(m->env, m->options.listen != NULL ? m->options.listen : own, &m->self, meta_on_request, m,
                       &m->server, err);
    if (s != STATUS_OK) return s;
    m->applied.version_keep = m->options.host.version_keep; /* the same on every member */
    m->options.host.version_keep = 0;                       /* nobody reads old versions of metadata rows */
    struct host_owner owner = {.machine = &meta_machine_ops,
                               .machine_ctx = &m->applied,
                               .leadership = on_leadership,
                               .first_durable = on_first_durable,
                               .installed = on_installed,
                               .ctx = m};
    m->options.host.wal.must_exist = m->identity.has_log;
    s = identity_check_log(m->env, &m->identity, m->options.host.wal.dir, err);
    if (s == STATUS_OK) s = host_open(m->env, &m->options.host, &m->self, &owner, &m->host, err);
    if (s != STATUS_OK) return s;
    meta_group_begin(m);
    if (host_replica(m->host, META_GROUP) != NULL || m->joins || m->founding) return STATUS_OK;
    errbuf_set(err, "%s", REMOVED);
    return STATUS_INVALID;
}

enum status meta_new(struct env *env, const struct meta_options *o, struct meta **out, struct errbuf *err)
{
    struct meta *m = mem_zalloc(sizeof *m);
    m->env = env;
    m->options = *o;
    for (size_t i = 0; i < o->member_count; i++) m->addresses[i] = mem_strdup(o->members[i].address);
    buf_init(&m->load_at, 2 * LIMIT_KEY_BYTES);
    m->applied = (struct meta_applied){.row = on_row, .ctx = m};
    list_init(&m->ts_parked);
    list_init(&m->ts_proposal.link);
    list_init(&m->default_proposal.link);
    list_init(&m->drop_proposal.link);
    list_init(&m->news_proposal.link);
    list_init(&m->member_proposal.link);
    map_init(&m->news);
    meta_state_init(&m->state);
    map_init(&m->beginning);
    placement_plan_init(&m->schedule.plan);
    arena_init(&m->arena, 64 * 1024);
    buf_init(&m->scratch, LIMIT_FRAME_BYTES);
    list_init(&m->actor.link);
    m->actor.pass = meta_pass;
    enum status s = meta_start(m, err);
    if (s != STATUS_OK) {
        meta_free(m);
        return s;
    }
    env->ops->attach(env, &m->actor);
    log_event(env->log, LOG_INFO, "meta.serving", "member=%llu", (unsigned long long)m->self.node_id);
    *out = m;
    return STATUS_OK;
}

/* --- down --- */

void meta_stop(struct meta *m)
{
    if (m->stopping) return;
    m->stopping = true;
    m->stop_deadline_ns = env_mono_ns(m->env) + STOP_PATIENCE_NS;
    host_stop(m->host, STOP_PATIENCE_NS / NS_PER_MS);
    m->env->ops->wake(m->env);
}

bool meta_stopped(const struct meta *m)
{
    if (!m->stopping || m->loading) return false;
    bool patience = env_mono_ns(m->env) < m->stop_deadline_ns;
    if (patience && (m->requests > 0 || !rpc_server_left(m->server))) return false;
    return host_quiet(m->host);
}

static void close_waits(void *ctx, struct replica *r)
{
    (void)ctx;
    replica_close_waits(r);
}

void meta_free(struct meta *m)
{
    if (m == NULL) return;
    if (!list_empty(&m->actor.link)) m->env->ops->detach(m->env, &m->actor);
    timestamps_reset(m);
    if (m->host != NULL) host_each_replica(m->host, close_waits, NULL);
    timestamps_reset(m);
    host_close(m->host);
    if (m->server != NULL) rpc_server_free(m->server);
    buf_free(&m->load_at);
    others_close(m);
    for (size_t i = 0; i < m->options.member_count; i++) mem_free(m->addresses[i]);
    meta_state_clear(&m->state);
    map_free(&m->beginning);
    placement_plan_free(&m->schedule.plan);
    news_clear(m);
    map_free(&m->news);
    arena_free(&m->arena);
    buf_free(&m->scratch);
    mem_free(m);
}

struct host *meta_host(struct meta *m)
{
    return m->host;
}
