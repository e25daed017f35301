/* `quorate cluster supervise`: the parent of a local cluster's processes. Polls ten times a second; acts on what it sees.
 *
 *             start                 ended                  pause over
 *   DOWN ---------------> RUNNING ---------> WAITING ------------------> RUNNING
 *     ^                      |                  |
 *     | stop                 | ended, hold file | hold file
 *     +---- any state        v                  v
 *                          HELD  <--------------+      HELD --hold file gone--> RUNNING
 *
 * The pause before a restart is 1 s and doubles to 30 s while the process does not live for a minute; one that ends well was
 * told to, and is started anew at once. On SIGTERM: gateway
 * and nodes are told to stop, then the metadata servers; who is still there STOP_KILL_MS later is killed. */

#include <stdio.h>

#include "base/assert.h"
#include "cli/cli_int.h"
#include "cli/local.h"
#include "env_posix/env_posix.h"

#define POLL_NS (100 * NS_PER_MS)
#define PAUSE_MIN_MS 1000u
#define PAUSE_MAX_MS 30000u
#define SETTLED_MS 60000u
#define STOPPED_LIVED_MS 1000u /* one that ends well sooner was not told to: it has nothing to do here */
#define STOP_KILL_MS 20000u

struct supervisor {
    struct actor actor;
    struct env *env;
    const char *self;
    struct local_cluster cluster;
    struct local_status status;
    struct {
        uint64_t started_ns, restart_ns;
        uint32_t pause_ms;
        bool told; /* SIGTERM was sent */
    } timing[LOCAL_PROCESSES_MAX];
    bool changed;
    bool stopping, killed;
    uint64_t stop_ns;
    char meta[128], members[160];
    char certs[LOCAL_PATH_MAX]; /* "": connections are plain */
    char keys[LOCAL_PATH_MAX];  /* "": data is plain */
};

static void child_set(struct supervisor *s, unsigned i, enum local_state state)
{
    s->status.children[i].state = state;
    s->status.children[i].since_ms = env_wall_ms(s->env);
    s->changed = true;
}

static void child_argv(const struct supervisor *s, unsigned i, char data[LOCAL_PATH_MAX], char id[8],
                       const char *argv[26])
{
    const struct local_process *p = &s->cluster.processes[i];
    unsigned n = 0;
    local_path(&s->cluster, p->name, data);
    snprintf(id, 8, "%u", p->number);
    argv[n++] = s->self;
    switch (p->role) {
    case LOCAL_ROLE_META:
        argv[n++] = "meta";
        argv[n++] = "--id";
        argv[n++] = id;
        argv[n++] = "--members";
        argv[n++] = s->members;
        break;
    case LOCAL_ROLE_NODE:
        argv[n++] = "node";
        argv[n++] = "--listen";
        argv[n++] = p->address;
        argv[n++] = "--host"; /* one machine: each node stands for a host of its own */
        argv[n++] = p->name;
        argv[n++] = "--reserve-mib";
        argv[n++] = "8";
        argv[n++] = "--meta";
        argv[n++] = s->meta;
        break;
    case LOCAL_ROLE_GATEWAY:
        argv[n++] = "gateway";
        argv[n++] = "--listen";
        argv[n++] = p->address;
        argv[n++] = "--meta";
        argv[n++] = s->meta;
        break;
    }
    if (p->role != LOCAL_ROLE_GATEWAY) {
        argv[n++] = "--data";
        argv[n++] = data;
        argv[n++] = "--election-ms";
        argv[n++] = "300";
        argv[n++] = "--heartbeat-ms";
        argv[n++] = "60";
        argv[n++] = "--support-ms";
        argv[n++] = "300";
    }
    if (p->role != LOCAL_ROLE_GATEWAY && s->keys[0] != '\0') {
        argv[n++] = "--encryption-keys";
        argv[n++] = s->keys;
    }
    if (s->certs[0] != '\0') {
        argv[n++] = "--certs";
        argv[n++] = s->certs;
    }
    argv[n] = NULL;
    ASSERT(n < 28);
}

static void child_wait(struct supervisor *s, unsigned i, uint64_t now_ns)
{
    uint32_t pause = s->timing[i].pause_ms == 0 ? PAUSE_MIN_MS : s->timing[i].pause_ms * 2;
    s->timing[i].pause_ms = pause > PAUSE_MAX_MS ? PAUSE_MAX_MS : pause;
    s->timing[i].restart_ns = now_ns + s->timing[i].pause_ms * NS_PER_MS;
    child_set(s, i, LOCAL_STATE_WAITING);
}

static void child_start(struct supervisor *s, unsigned i, uint64_t now_ns)
{
    const struct local_process *p = &s->cluster.processes[i];
    struct local_child *child = &s->status.children[i];
    char data[LOCAL_PATH_MAX], id[8], log[LOCAL_PATH_MAX];
    const char *argv[28];
    struct errbuf err;
    child_argv(s, i, data, id, argv);
    local_log_path(&s->cluster, p->name, log);
    if (process_spawn(argv, log, &child->id, &err) != STATUS_OK) {
        log_event(s->env->log, LOG_ERROR, "supervisor.spawn_failed", "name=%s why=\"%s\"", p->name, err.text);
        child_wait(s, i, now_ns);
        return;
    }
    child->starts++;
    s->timing[i].started_ns = now_ns;
    s->timing[i].told = false;
    child_set(s, i, LOCAL_STATE_RUNNING);
    log_event(s->env->log, LOG_INFO, "supervisor.started", "name=%s pid=%d start=%u", p->name, child->id.pid,
              child->starts);
}

static void child_ended(struct supervisor *s, unsigned i, int exit_code, uint64_t now_ns)
{
    const struct local_process *p = &s->cluster.processes[i];
    struct local_child *child = &s->status.children[i];
    uint64_t lived_ms = (now_ns - s->timing[i].started_ns) / NS_PER_MS;
    child->exit_code = exit_code;
    log_event(s->env->log, s->stopping ? LOG_INFO : LOG_WARN, "supervisor.ended", "name=%s pid=%d %s=%d lived_ms=%llu",
              p->name, child->id.pid, exit_code > 128 ? "signal" : "exit",
              exit_code > 128 ? exit_code - 128 : exit_code, (unsigned long long)lived_ms);
    if (s->stopping) {
        child_set(s, i, LOCAL_STATE_DOWN);
    } else if (local_held(&s->cluster, p)) {
        child_set(s, i, LOCAL_STATE_HELD);
    } else {
        bool told = exit_code == 0 && lived_ms >= STOPPED_LIVED_MS;
        if (lived_ms >= SETTLED_MS || told) s->timing[i].pause_ms = 0;
        child_wait(s, i, now_ns);
        if (told) s->timing[i].restart_ns = now_ns;
    }
}

static void child_step(struct supervisor *s, unsigned i, uint64_t now_ns)
{
    const struct local_process *p = &s->cluster.processes[i];
    int exit_code = 0;
    switch (s->status.children[i].state) {
    case LOCAL_STATE_RUNNING: /* woken by: its end */
        if (process_reap(s->status.children[i].id.pid, false, &exit_code)) child_ended(s, i, exit_code, now_ns);
        break;
    case LOCAL_STATE_WAITING: /* woken by: the pause's end, a hold file */
        if (s->stopping)
            child_set(s, i, LOCAL_STATE_DOWN);
        else if (local_held(&s->cluster, p))
            child_set(s, i, LOCAL_STATE_HELD);
        else if (now_ns >= s->timing[i].restart_ns)
            child_start(s, i, now_ns);
        break;
    case LOCAL_STATE_HELD: /* woken by: the hold file's end */
        if (s->stopping)
            child_set(s, i, LOCAL_STATE_DOWN);
        else if (!local_held(&s->cluster, p))
            child_start(s, i, now_ns);
        break;
    case LOCAL_STATE_DOWN:
        if (s->stopping) break;
        if (local_held(&s->cluster, p))
            child_set(s, i, LOCAL_STATE_HELD);
        else
            child_start(s, i, now_ns);
        break;
    case LOCAL_STATE_COUNT: BUG("state");
    }
}

static bool role_ended(const struct supervisor *s, bool meta)
{
    for (unsigned i = 0; i < s->cluster.process_count; i++) {
        if ((s->cluster.processes[i].role == LOCAL_ROLE_META) == meta &&
            s->status.children[i].state == LOCAL_STATE_RUNNING)
            return false;
    }
    return true;
}

static void tell(struct supervisor *s, unsigned i, int signal_number)
{
    struct errbuf err;
    enum status status = process_kill(&s->status.children[i].id, signal_number, &err);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND)
        log_event(s->env->log, LOG_WARN, "supervisor.kill_failed", "why=\"%s\"", err.text);
}

static void stop_step(struct supervisor *s, uint64_t now_ns)
{
    bool others_ended = role_ended(s, false);
    bool late = now_ns >= s->stop_ns + STOP_KILL_MS * NS_PER_MS;
    for (unsigned i = 0; i < s->cluster.process_count; i++) {
        if (s->status.children[i].state != LOCAL_STATE_RUNNING) continue;
        if (late && !s->killed) {
            log_event(s->env->log, LOG_WARN, "supervisor.killed", "name=%s why=\"did not stop in time\"",
                      s->cluster.processes[i].name);
            tell(s, i, SIGNAL_KILL);
        } else if (!s->timing[i].told && (others_ended || s->cluster.processes[i].role != LOCAL_ROLE_META)) {
            s->timing[i].told = true;
            tell(s, i, SIGNAL_TERM);
        }
    }
    if (late) s->killed = true;
    if (others_ended && role_ended(s, true)) env_posix_stop(s->env, CLI_OK);
}

/* `cluster add-node` has written another description: new processes are DOWN, and so are started. */
static void nodes_reload(struct supervisor *s)
{
    struct local_cluster now;
    struct errbuf err;
    if (s->stopping || local_load(&now, s->cluster.dir, &err) != STATUS_OK || now.nodes <= s->cluster.nodes) return;
    log_event(s->env->log, LOG_INFO, "supervisor.nodes", "from=%u to=%u", s->cluster.nodes, now.nodes);
    s->cluster = now;
    s->changed = true;
}

static uint64_t supervisor_pass(struct actor *a, uint64_t now_ns)
{
    struct supervisor *s = LIST_ENTRY(a, struct supervisor, actor);
    struct errbuf err;
    nodes_reload(s);
    for (unsigned i = 0; i < s->cluster.process_count; i++) child_step(s, i, now_ns);
    if (s->stopping) stop_step(s, now_ns);
    if (s->changed && local_status_save(&s->cluster, &s->status, &err) == STATUS_OK) s->changed = false;
    return now_ns + POLL_NS;
}

static void on_stop(void *ctx)
{
    struct supervisor *s = ctx;
    log_event(s->env->log, LOG_INFO, "supervisor.stopping", "pid=%d", s->status.supervisor.pid);
    s->stopping = true;
    s->stop_ns = env_mono_ns(s->env);
    s->env->ops->wake(s->env);
}

static void addresses_write(struct supervisor *s)
{
    struct buf b;
    buf_init(&b, sizeof(s->members) - 1);
    for (unsigned i = 0; i < LOCAL_META; i++) {
        buf_printf(&b, "%s%u=%s", i > 0 ? "," : "", s->cluster.processes[i].number, s->cluster.processes[i].address);
    }
    ASSERT(!b.overflow);
    memcpy(s->members, b.data, b.size);
    s->members[b.size] = '\0';
    buf_free(&b);
    local_meta_addresses(&s->cluster, s->meta, sizeof(s->meta));
}

int run_cluster_supervise(struct cli *c)
{
    struct supervisor s = {.self = c->self, .status = {.supervisor = process_self()}, .changed = true};
    struct errbuf err;
    if (local_load(&s.cluster, cli_cluster_dir(c), &err) != STATUS_OK) return cli_fail("%s", err.text);
    struct env_posix_options options = {.data_dir = s.cluster.dir, .log_level = LOG_INFO};
    s.env = env_posix_new(&options, &err);
    if (s.env == NULL) return cli_fail("%s", err.text);
    if (disk_lock(s.env->disk, &err) != STATUS_OK) {
        env_posix_free(s.env);
        return cli_fail("%s", err.text);
    }
    addresses_write(&s);
    if (!certs_of_local(s.cluster.dir, TLS_ROLE_SERVER, s.certs)) s.certs[0] = '\0';
    if (!keys_of_local(s.cluster.dir, s.keys)) s.keys[0] = '\0';
    s.actor.pass = supervisor_pass;
    s.env->ops->attach(s.env, &s.actor);
    env_posix_on_signal(s.env, on_stop, &s);
    int code = env_posix_run(s.env);
    s.env->ops->detach(s.env, &s.actor);
    env_posix_free(s.env);
    return code;
}
