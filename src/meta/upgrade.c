/* Which releases run, and the version that the cluster is finalised at (docs/upgrade.md, with a drawing). The leader asks nobody: it looks
 * at what the processes that are connected to it have said of themselves. */
#include "base/assert.h"
#include "meta/meta_int.h"

enum { GATEWAYS_MAX = 256, FAULTS_MAX = 32 };

struct survey {
    struct meta *meta;
    struct meta_upgrade_reply *out;
    size_t capacity;
};

static uint32_t own_newest(const struct meta *m)
{
    return m->self.newest != 0 ? m->self.newest : version_newest();
}

static void add(struct survey *s, enum role role, uint64_t id, struct slice address, const struct hello *h)
{
    struct meta_upgrade_reply *out = s->out;
    if (out->process_count == s->capacity) return;
    struct upgrade_process *p = &out->processes[out->process_count++];
    *p = (struct upgrade_process){
        .role = role, .id = id, .address = arena_dup_slice(&s->meta->arena, address), .release = SLICE_EMPTY};
    if (h == NULL) return;
    p->release = arena_dup_slice(&s->meta->arena, slice_str(h->release));
    p->newest = h->newest;
    p->oldest = h->oldest;
}

static void add_gateway(void *ctx, const struct hello *peer, const char *address)
{
    if (peer->role == ROLE_GATEWAY) add(ctx, ROLE_GATEWAY, 0, slice_str(address), peer);
}

static void add_members(struct survey *s)
{
    struct meta *m = s->meta;
    struct meta_address addresses[LIMIT_REPLICAS];
    size_t count = members_addresses(m, addresses);
    for (size_t i = 0; i < count; i++) {
        struct hello h;
        bool up = true;
        if (addresses[i].id == m->self.node_id) {
            h = (struct hello){.newest = own_newest(m), .oldest = version_oldest()};
            memcpy(h.release, version_release(), strlen(version_release()) + 1);
        } else {
            up = host_peer_hello(m->host, addresses[i].id, &h);
        }
        add(s, ROLE_META, addresses[i].id, addresses[i].address, up ? &h : NULL);
    }
}

static void add_nodes(struct survey *s)
{
    struct meta *m = s->meta;
    uint64_t now_ns = env_mono_ns(m->env);
    for (size_t i = 0; i < m->state.node_count; i++) {
        const struct meta_node *n = m->state.nodes[i];
        if (n->lost_ms != 0) continue; /* it is never let in again */
        add(s, ROLE_NODE, n->id, n->info.address, meta_node_alive(m, n, now_ns) ? &n->hello : NULL);
    }
}

static const char *role_text(enum role r)
{
    return r == ROLE_META ? "metadata server" : r == ROLE_NODE ? "node" : "gateway";
}

static void judge(struct survey *s, const struct upgrade_process *p)
{
    struct meta_upgrade_reply *out = s->out;
    struct errbuf text;
    int size = (int)p->address.size;
    const char *address = (const char *)p->address.data;
    if (p->newest >= out->target && p->oldest <= out->target) return;
    if (p->newest == 0) {
        errbuf_set(&text, "%s %llu at %.*s is not up: start it%s", role_text(p->role), (unsigned long long)p->id, size,
                   address,
                   p->role == ROLE_NODE ? ", or decommission it for good" : ", or take it out (`quorate meta remove`)");
    } else {
        errbuf_set(&text, "%s %llu at %.*s runs release %.*s, which supports versions %u to %u", role_text(p->role),
                   (unsigned long long)p->id, size, address, p->release.size > 0 ? (int)p->release.size : 10,
                   p->release.size > 0 ? (const char *)p->release.data : "before 0.2", (unsigned)p->oldest,
                   (unsigned)p->newest);
    }
    if (out->fault_count < FAULTS_MAX)
        out->faults[out->fault_count++] = arena_dup_slice(&s->meta->arena, slice_str(text.text));
}

void upgrade_survey(struct meta *m, uint32_t version, struct meta_upgrade_reply *out)
{
    struct survey s = {.meta = m, .out = out, .capacity = LIMIT_REPLICAS + m->state.node_count + GATEWAYS_MAX};
    *out =
        (struct meta_upgrade_reply){.finalised = m->state.finalised, .target = version != 0 ? version : own_newest(m)};
    out->processes = arena_zalloc(&m->arena, s.capacity * sizeof *out->processes);
    out->faults = arena_zalloc(&m->arena, FAULTS_MAX * sizeof *out->faults);
    add_members(&s);
    add_nodes(&s);
    rpc_server_each(m->server, add_gateway, &s);
    for (size_t i = 0; i < out->process_count; i++) judge(&s, &out->processes[i]);
}

enum status upgrade_command(struct meta *m, const struct meta_upgrade_request *q, struct meta_command *c,
                            struct errbuf *err)
{
    struct meta_upgrade_reply survey;
    upgrade_survey(m, q->version, &survey);
    if (survey.target < m->state.finalised) {
        errbuf_set(err, "the cluster is at version %u already, and a version is never taken back",
                   (unsigned)m->state.finalised);
        return STATUS_CONDITION_FAILED;
    }
    if (survey.fault_count > 0) {
        COVER("upgrade.refused");
        errbuf_set(err, "version %u cannot be finalised: %.*s%s", (unsigned)survey.target, (int)survey.faults[0].size,
                   (const char *)survey.faults[0].data,
                   survey.fault_count > 1 ? "; and others: `quorate upgrade check`" : "");
        return STATUS_CONDITION_FAILED;
    }
    c->kind = META_CMD_FINALIZE;
    c->finalised = survey.target;
    return STATUS_OK;
}

void upgrade_note(struct meta *m)
{
    struct errbuf err = {{0}};
    if (m->state.finalised <= m->self.finalised) return;
    enum status s = identity_note_finalised(m->env, &m->identity, m->state.finalised, &err);
    if (s == STATUS_OK) s = identity_check_version(&m->identity, m->self.newest, &err);
    if (s != STATUS_OK) {
        m->env->ops->fatal(m->env, err.text);
        return;
    }
    log_event(m->env->log, LOG_INFO, "meta.finalised", "version=%u", (unsigned)m->state.finalised);
    m->self.finalised = m->state.finalised;
}
