/* quorate cluster start|stop|status|kill: the local cluster seen from outside; the parent of its processes is the
 * supervisor (supervisor.c). */
#include <stdio.h>

#include "base/assert.h"
#include "cli/admin_int.h"
#include "cli/files.h"
#include "cli/local.h"
#include "env_posix/env_posix.h"
#include "gateway/health.h"

#define DISK_FREE_MIN (512ull << 20)
#define POLL_MS 100u
#define STOP_WAIT_MS 30000u

/* --- start: is the directory ours, are the ports free, is there room? --- */

static void count_name(void *ctx, const char *name)
{
    unsigned *count = ctx;
    if (strcmp(name, "LOCK") != 0) (*count)++;
}

/* Of a new cluster: one that was there before must start on a full disk too, or nothing in it could ever be deleted. */
static int check_room(struct env *env, const char *dir)
{
    uint64_t free_bytes = 0, total = 0;
    unsigned names = 0;
    if (disk_list(env->disk, "node-1", count_name, &names) == STATUS_OK && names > 0) return CLI_OK;
    if (disk_space(env->disk, &free_bytes, &total) != STATUS_OK || free_bytes >= DISK_FREE_MIN) return CLI_OK;
    return cli_fail("only %llu MiB are free on the disk of %s, and a new cluster needs %llu MiB; make room, or "
                    "name another directory with "
                    "--dir",
                    (unsigned long long)(free_bytes >> 20), dir, (unsigned long long)(DISK_FREE_MIN >> 20));
}

static void accept_none(void *ctx, struct net_conn *conn)
{
    struct env *env = ctx;
    env->net->ops->close(conn);
}

static int check_ports(struct env *env, const struct local_cluster *cluster)
{
    for (unsigned i = 0; i < cluster->process_count; i++) {
        struct net_listener *listener;
        struct errbuf err;
        const struct local_process *p = &cluster->processes[i];
        if (env->net->ops->listen(env->net, p->address, accept_none, env, &listener, &err) != STATUS_OK) {
            return cli_fail("%s (for %s) cannot be used: %s. Stop what uses that port (`ss -ltnp` shows it), or choose "
                            "other ports with --base-port",
                            p->address, p->name, err.text);
        }
        env->net->ops->unlisten(listener);
    }
    return CLI_OK;
}

/* A new directory becomes a cluster's; one that holds other things is left alone. */
static int directory_prepare(struct env *env, struct local_cluster *cluster, const struct args *args)
{
    struct errbuf err;
    uint64_t base_port, nodes;
    unsigned names = 0;
    if (args_number(args, "base-port", cluster->base_port, 1, 65000, &base_port, &err) != STATUS_OK ||
        args_number(args, "nodes", LOCAL_NODES, 3, LOCAL_NODES_MAX, &nodes, &err) != STATUS_OK)
        return cli_usage("%s", err.text);
    char dir[LOCAL_PATH_MAX], prefix[LOCAL_PATH_MAX];
    snprintf(dir, sizeof(dir), "%s", cluster->dir);
    enum status s = local_load(cluster, dir, &err);
    if (s == STATUS_OK && args_switch(args, "secure") && !certs_of_local(dir, "", prefix))
        return cli_fail("the cluster in %s was made without --secure, and its processes speak plainly", dir);
    if (s == STATUS_OK && args_switch(args, "encrypted") && !keys_of_local(dir, prefix))
        return cli_fail("the cluster in %s was made without --encrypted, and its files are plain", dir);
    if (s == STATUS_OK && args_given(args, "nodes") && nodes != cluster->nodes)
        return cli_fail("the cluster in %s has %u storage nodes; `quorate cluster add-node` adds one", dir,
                        cluster->nodes);
    if (s == STATUS_OK && (!args_given(args, "base-port") || base_port == cluster->base_port)) return CLI_OK;
    if (s == STATUS_OK) {
        return cli_fail("the cluster in %s was made with --base-port %u; its members know each other by these ports",
                        dir, cluster->base_port);
    }
    if (s != STATUS_NOT_FOUND) return cli_fail("%s", err.text);
    if (disk_list(env->disk, "", count_name, &names) != STATUS_OK) return cli_fail("%s cannot be listed", dir);
    if (names > 0)
        return cli_fail("%s holds files, but no Quorate cluster; nothing was touched. Name a new directory with --dir",
                        dir);
    local_set(cluster, dir, (unsigned)base_port, (unsigned)nodes);
    if (args_switch(args, "secure") && certs_make_local(dir, &err) != STATUS_OK) return cli_fail("%s", err.text);
    bool keyed = !args_switch(args, "encrypted") || keys_of_local(dir, prefix) || key_append(prefix, &err) == STATUS_OK;
    if (!keyed) return cli_fail("%s", err.text);
    if (local_save(cluster, &err) != STATUS_OK) return cli_fail("%s", err.text);
    return CLI_OK;
}

/* --- start: wait until everything can be used --- */

struct starting {
    struct actor actor;
    struct session session;
    struct local_cluster cluster;
    struct arena arena;
    struct http_client *http;
    enum { START_INIT, START_NODES, START_KEYSPACE, START_GATEWAY, START_DONE } step;
    bool asking;     /* a call is under way */
    uint64_t ask_ns; /* when to ask again */
    uint64_t deadline_ns;
    char waits_for[256];
};

static void starting_answered(struct starting *s, bool next)
{
    s->asking = false;
    s->ask_ns = env_mono_ns(s->session.env) + (next ? 0 : POLL_MS * NS_PER_MS);
    if (next) s->step++;
    arena_reset(&s->arena);
    s->session.env->ops->wake(s->session.env);
}

static void starting_waits(struct starting *s, const char *what, const struct client_error *e)
{
    struct slice m = e->message.size > 0 ? e->message : slice_str(status_text(e->status));
    snprintf(s->waits_for, sizeof(s->waits_for), "%s: %.*s", what, (int)m.size, (const char *)m.data);
}

static void starting_init_done(void *ctx, const struct client_error *e, struct slice payload)
{
    (void)payload;
    if (e->status != STATUS_OK) starting_waits(ctx, "the metadata service has no leader yet", e);
    starting_answered(ctx, e->status == STATUS_OK);
}

static void starting_map_done(void *ctx, const struct client_error *e, const struct meta_map_reply *map)
{
    struct starting *s = ctx;
    unsigned alive = 0, wanted = 0;
    if (e->status != STATUS_OK) {
        starting_waits(s, "the shard map cannot be read", e);
        starting_answered(s, false);
        return;
    }
    for (unsigned i = 0; i < s->cluster.process_count; i++) {
        const struct local_process *p = &s->cluster.processes[i];
        if (p->role != LOCAL_ROLE_NODE || local_held(&s->cluster, p))
            continue; /* held down on purpose: not waited for */
        wanted++;
        for (size_t j = 0; j < map->node_count; j++) {
            alive += map->nodes[j].alive && slice_eq(map->nodes[j].address, slice_str(p->address));
        }
    }
    if (alive < wanted)
        snprintf(s->waits_for, sizeof(s->waits_for), "%u of %u storage nodes have registered", alive, wanted);
    starting_answered(s, alive >= wanted);
}

static void starting_keyspace_done(void *ctx, const struct client_error *e, struct slice payload)
{
    (void)payload;
    bool there = e->status == STATUS_OK || e->status == STATUS_EXISTS;
    if (!there) starting_waits(ctx, "the keyspace 'default' cannot be made yet", e);
    starting_answered(ctx, there);
}

static void starting_gateway_done(void *ctx, int code, enum status why, struct slice body)
{
    struct starting *s = ctx;
    if (code != 200) {
        snprintf(s->waits_for, sizeof(s->waits_for), "the gateway is not ready: %.*s",
                 (int)(body.size < 200 ? body.size : 200), code == 0 ? status_text(why) : (const char *)body.data);
        if (code == 0)
            snprintf(s->waits_for, sizeof(s->waits_for), "the gateway does not answer: %s", status_text(why));
    }
    starting_answered(s, code == 200);
}

static void starting_ask(struct starting *s)
{
    struct buf params;
    buf_init(&params, 1024);
    s->asking = true;
    switch (s->step) {
    case START_INIT: {
        struct meta_init_request init = {.replication = 3};
        s->session.env->ops->random(s->session.env, init.cluster.bytes, CLUSTER_ID_BYTES);
        pack_meta_init_request(&params, &init);
        client_meta(s->session.client, METHOD_META_INIT, buf_slice(&params), 2000, starting_init_done, s);
        break;
    }
    case START_NODES: client_map(s->session.client, SLICE_EMPTY, 2000, starting_map_done, s); break;
    case START_KEYSPACE: {
        struct meta_keyspace_request keyspace = {.name = slice_str("default")};
        pack_meta_keyspace_request(&params, &keyspace);
        client_meta(s->session.client, METHOD_META_KEYSPACE_CREATE, buf_slice(&params), 2000, starting_keyspace_done,
                    s);
        break;
    }
    case START_GATEWAY:
        s->session.env->http->ops->client_send(s->http, HTTP_GET, "/readyz", NULL, 0, SLICE_EMPTY,
                                               starting_gateway_done, s);
        break;
    case START_DONE: break;
    }
    buf_free(&params);
}

static uint64_t starting_pass(struct actor *a, uint64_t now_ns)
{
    struct starting *s = LIST_ENTRY(a, struct starting, actor);
    if (s->session.done) return DEADLINE_NONE;
    if (s->step == START_DONE || now_ns >= s->deadline_ns) {
        s->session.exit_code = s->step == START_DONE ? CLI_OK : CLI_FAILED;
        s->session.done = true;
        return DEADLINE_NONE;
    }
    if (!s->asking && now_ns >= s->ask_ns) starting_ask(s);
    return s->asking || s->deadline_ns < s->ask_ns ? s->deadline_ns : s->ask_ns;
}

/* Says which process is to blame, and what it said last. */
static void starting_explain(const struct starting *s)
{
    struct local_status status;
    struct errbuf err;
    cli_fail("the cluster in %s was not ready in time: %s", s->cluster.dir, s->waits_for);
    if (local_status_load(&s->cluster, &status, &err) != STATUS_OK || !status.supervised) {
        char log[LOCAL_PATH_MAX];
        local_log_path(&s->cluster, "supervisor", log);
        cli_fail("the supervisor does not run; see %s", log);
        return;
    }
    for (unsigned i = 0; i < s->cluster.process_count; i++) {
        const struct local_child *child = &status.children[i];
        if (child->state == LOCAL_STATE_RUNNING && child->starts == 1) continue;
        char path[LOCAL_PATH_MAX];
        struct buf tail;
        buf_init(&tail, 1u << 20);
        local_log_path(&s->cluster, s->cluster.processes[i].name, path);
        file_tail(path, 5, &tail);
        cli_fail("%s is %s after %u starts, last exit code %d; the end of %s:\n%.*s", s->cluster.processes[i].name,
                 local_state_name(child->state), child->starts, child->exit_code, path, (int)tail.size,
                 tail.size > 0 ? (const char *)tail.data : "");
        buf_free(&tail);
    }
}

static int wait_ready(struct cli *c, const struct local_cluster *cluster, uint64_t wait_ms)
{
    struct starting s = {.cluster = *cluster, .waits_for = "the metadata service does not answer"};
    int code = session_open(&s.session, c);
    if (code != CLI_OK) return code;
    struct env *env = s.session.env;
    arena_init(&s.arena, 4096);
    s.http = env->http->ops->client_new(env->http, local_gateway(cluster)->address, 3000);
    s.deadline_ns = env_mono_ns(env) + wait_ms * NS_PER_MS;
    s.actor.pass = starting_pass;
    env->ops->attach(env, &s.actor);
    env->ops->wake(env);
    code = session_wait(&s.session);
    if (code != CLI_OK) starting_explain(&s);
    env->ops->detach(env, &s.actor);
    env->http->ops->client_free(s.http);
    session_close(&s.session);
    arena_free(&s.arena);
    return code;
}

/* --- processes that outlived their supervisor --- */

static bool child_lives(const struct local_child *child)
{
    return child->starts > 0 && process_alive(&child->id);
}

static unsigned children_tell(const struct local_status *status, int signal_number)
{
    unsigned alive = 0;
    for (unsigned i = 0; i < LOCAL_PROCESSES_MAX; i++) {
        struct errbuf err;
        if (!child_lives(&status->children[i])) continue;
        alive++;
        if (signal_number != 0 && process_kill(&status->children[i].id, signal_number, &err) != STATUS_OK) continue;
    }
    return alive;
}

static void orphans_stop(const struct local_status *status)
{
    if (children_tell(status, SIGNAL_TERM) == 0) return;
    for (unsigned waited = 0; waited < 20000 && children_tell(status, 0) > 0; waited += POLL_MS)
        process_sleep_ms(POLL_MS);
    (void)children_tell(status, SIGNAL_KILL);
    for (unsigned waited = 0; waited < 5000 && children_tell(status, 0) > 0; waited += POLL_MS)
        process_sleep_ms(POLL_MS);
}

static int supervisor_spawn(struct cli *c, const struct local_cluster *cluster)
{
    char log[LOCAL_PATH_MAX], path[LOCAL_PATH_MAX];
    struct errbuf err;
    struct process_id id;
    const char *argv[] = {c->self, "cluster", "supervise", "--dir", cluster->dir, NULL};
    local_path(cluster, "log", path);
    if (process_make_dirs(path, &err) != STATUS_OK) return cli_fail("%s", err.text);
    local_path(cluster, "hold", path);
    if (process_make_dirs(path, &err) != STATUS_OK) return cli_fail("%s", err.text);
    local_log_path(cluster, "supervisor", log);
    if (process_spawn(argv, log, &id, &err) != STATUS_OK) return cli_fail("%s", err.text);
    for (unsigned waited = 0; waited < 10000; waited += POLL_MS) {
        struct local_status status;
        int exit_code = 0;
        if (local_status_load(cluster, &status, &err) == STATUS_OK && status.supervised) return CLI_OK;
        if (process_reap(id.pid, false, &exit_code)) {
            struct buf tail;
            buf_init(&tail, 1u << 20);
            file_tail(log, 3, &tail);
            int code = cli_fail("the supervisor ended at once (exit code %d); the end of %s:\n%.*s", exit_code, log,
                                (int)tail.size, tail.size > 0 ? (const char *)tail.data : "");
            buf_free(&tail);
            return code;
        }
        process_sleep_ms(POLL_MS);
    }
    return cli_fail("the supervisor did not come up within 10 s; see %s", log);
}

static int start_one(const struct local_cluster *cluster, const struct local_status *status, const char *name)
{
    struct errbuf err;
    const struct local_process *p = local_find(cluster, name);
    if (p == NULL)
        return cli_usage("no process is called '%s': meta-1..%u, node-1..%u, gateway", name, LOCAL_META,
                         cluster->nodes);
    if (!status->supervised)
        return cli_fail("the cluster in %s is not running; `quorate cluster start` starts all of it", cluster->dir);
    if (local_release(cluster, p, &err) != STATUS_OK) return cli_fail("%s", err.text);
    for (unsigned waited = 0; waited < 10000; waited += POLL_MS) {
        struct local_status now;
        unsigned i = (unsigned)(p - cluster->processes);
        if (local_status_load(cluster, &now, &err) == STATUS_OK && now.children[i].state == LOCAL_STATE_RUNNING) {
            out_printf("%s runs, pid %d\n", name, now.children[i].id.pid);
            return CLI_OK;
        }
        process_sleep_ms(POLL_MS);
    }
    char log[LOCAL_PATH_MAX];
    local_log_path(cluster, name, log);
    return cli_fail("%s did not start within 10 s; see %s", name, log);
}

static int start_supervised(struct cli *c, struct local_cluster *cluster, struct local_status *status)
{
    struct errbuf err;
    struct env_posix_options options = {.data_dir = cluster->dir, .log_level = LOG_ERROR};
    struct env *env = env_posix_new(&options, &err);
    if (env == NULL) return cli_fail("%s", err.text);
    int code = directory_prepare(env, cluster, &c->args);
    if (code == CLI_OK && local_status_load(cluster, status, &err) != STATUS_OK) code = cli_fail("%s", err.text);
    if (code == CLI_OK && !status->supervised) {
        orphans_stop(status);
        code = check_room(env, cluster->dir);
        if (code == CLI_OK) code = check_ports(env, cluster);
        env_posix_free(env);
        return code == CLI_OK ? supervisor_spawn(c, cluster) : code;
    }
    env_posix_free(env);
    return code;
}

static void print_started(const struct cli *c, const struct local_cluster *cluster, bool was_running)
{
    const char *gateway = local_gateway(cluster)->address, *scheme = c->certs.on ? "https" : "http";
    if (c->output == OUTPUT_JSON) {
        out_printf("{\"started\":%s,\"gateway\":\"%s://%s\",\"dir\":\"%s\"}\n", was_running ? "false" : "true", scheme,
                   gateway, cluster->dir);
    } else {
        out_printf("local cluster %s: %u metadata servers, %u storage nodes, gateway %s://%s, data in %s\n",
                   was_running ? "is running already" : "started", LOCAL_META, cluster->nodes, scheme, gateway,
                   cluster->dir);
    }
}

static int settle_version(struct admin_call *a)
{
    upgrade_new_cluster(a);
    return CLI_OK;
}

int run_cluster_start(struct cli *c)
{
    struct local_cluster cluster;
    struct local_status status = {.supervised = false};
    struct errbuf err;
    uint64_t wait_ms;
    if (strlen(cli_cluster_dir(c)) > 800) return cli_usage("--dir is too long");
    if (args_number(&c->args, "wait", 60000, 100, 3600000, &wait_ms, &err) != STATUS_OK)
        return cli_usage("%s", err.text);
    bool fresh = local_load(&cluster, cli_cluster_dir(c), &err) == STATUS_NOT_FOUND;
    local_default(&cluster, cli_cluster_dir(c));
    if (c->args.word_count == 1) {
        if (local_load(&cluster, cli_cluster_dir(c), &err) != STATUS_OK)
            return cli_fail("no local cluster in %s", cli_cluster_dir(c));
        if (local_status_load(&cluster, &status, &err) != STATUS_OK) return cli_fail("%s", err.text);
        return start_one(&cluster, &status, c->args.words[0]);
    }
    int code = start_supervised(c, &cluster, &status);
    if (code == CLI_OK) code = wait_ready(c, &cluster, wait_ms);
    if (code == CLI_OK && fresh) code = admin_watch(c, settle_version);
    if (code == CLI_OK) print_started(c, &cluster, status.supervised);
    return code;
}

/* --- stop, status, kill --- */

static int cluster_open(struct cli *c, struct local_cluster *cluster, struct local_status *status)
{
    struct errbuf err;
    enum status s = local_load(cluster, cli_cluster_dir(c), &err);
    if (s == STATUS_NOT_FOUND)
        return cli_fail("there is no local cluster in %s; `quorate cluster start` makes one", cli_cluster_dir(c));
    if (s == STATUS_OK) s = local_status_load(cluster, status, &err);
    return s == STATUS_OK ? CLI_OK : cli_fail("%s", err.text);
}

int run_cluster_stop(struct cli *c)
{
    struct local_cluster cluster;
    struct local_status status;
    struct errbuf err;
    if (local_load(&cluster, cli_cluster_dir(c), &err) == STATUS_NOT_FOUND) {
        out_printf("no local cluster in %s: nothing to stop\n", cli_cluster_dir(c));
        return CLI_OK;
    }
    int code = cluster_open(c, &cluster, &status);
    if (code != CLI_OK) return code;
    bool ran = status.supervised || children_tell(&status, 0) > 0;
    if (status.supervised) {
        enum status s = process_kill(&status.supervisor, SIGNAL_TERM, &err);
        if (s != STATUS_OK && s != STATUS_NOT_FOUND) return cli_fail("%s", err.text);
        for (unsigned waited = 0; waited < STOP_WAIT_MS && process_alive(&status.supervisor); waited += POLL_MS)
            process_sleep_ms(POLL_MS);
        if (process_alive(&status.supervisor))
            return cli_fail("the supervisor (pid %d) did not stop within %u s", status.supervisor.pid,
                            STOP_WAIT_MS / 1000);
    }
    orphans_stop(&status);
    out_printf("local cluster in %s %s\n", cluster.dir, ran ? "stopped" : "was not running");
    return CLI_OK;
}

static void status_rows(const struct local_cluster *cluster, const struct local_status *status, struct text_table *t)
{
    struct env_posix_options options = {.log_level = LOG_ERROR};
    struct env *env = env_posix_new(&options, NULL);
    uint64_t now_ms = env != NULL ? env_wall_ms(env) : 0;
    env_posix_free(env);
    for (unsigned i = 0; i < cluster->process_count; i++) {
        static const char *const roles[] = {"metadata", "storage node", "gateway"};
        const struct local_process *p = &cluster->processes[i];
        const struct local_child *child = &status->children[i];
        bool lives = child_lives(child);
        struct buf since;
        buf_init(&since, 64);
        text_duration(&since, now_ms > child->since_ms ? now_ms - child->since_ms : 0);
        text_table_cell(t, "%s", p->name);
        text_table_cell(t, "%s", roles[p->role]);
        text_table_cell(t, "%s", p->address);
        if (lives)
            text_table_cell(t, "%d", child->id.pid);
        else
            text_table_cell(t, "-");
        if (!status->supervised)
            text_table_cell(t, "%s", lives ? "running, without its supervisor" : "down");
        else if (child->state == LOCAL_STATE_WAITING)
            text_table_cell(t, "waiting to start again (exit code %d)", child->exit_code);
        else
            text_table_cell(t, "%s", local_state_name(child->state));
        text_table_cell_bytes(t, child->starts > 0 ? buf_slice(&since) : slice_str("-"), 32);
        text_table_cell(t, "%u", child->starts);
        buf_free(&since);
    }
}

static void status_json(const struct local_cluster *cluster, const struct local_status *status)
{
    struct buf b;
    buf_init(&b, 1u << 16);
    buf_printf(&b, "{\"running\":%s,\"supervisor_pid\":%d,\"processes\":[", status->supervised ? "true" : "false",
               status->supervised ? status->supervisor.pid : 0);
    for (unsigned i = 0; i < cluster->process_count; i++) {
        const struct local_child *child = &status->children[i];
        bool lives = child_lives(child);
        buf_printf(&b,
                   "%s{\"name\":\"%s\",\"address\":\"%s\",\"state\":\"%s\",\"alive\":%s,\"pid\":%d,\"starts\":%u,"
                   "\"exit_code\":%d}",
                   i > 0 ? "," : "", cluster->processes[i].name, cluster->processes[i].address,
                   local_state_name(child->state), lives ? "true" : "false", lives ? child->id.pid : 0, child->starts,
                   child->exit_code);
    }
    buf_append_str(&b, "]}\n");
    out_buf(&b);
    buf_free(&b);
}

int run_cluster_status(struct cli *c)
{
    static const char *const heads[] = {"PROCESS", "ROLE", "ADDRESS", "PID", "STATE", "SINCE", "STARTS"};
    struct local_cluster cluster;
    struct local_status status;
    int code = cluster_open(c, &cluster, &status);
    if (code != CLI_OK) return code;
    if (c->output == OUTPUT_JSON) {
        status_json(&cluster, &status);
    } else {
        struct text_table t;
        struct buf b;
        text_table_init(&t, heads, 7);
        buf_init(&b, 1u << 16);
        status_rows(&cluster, &status, &t);
        text_table_write(&t, c->output, &b);
        if (!status.supervised) buf_append_str(&b, "\nThe cluster is stopped; `quorate cluster start` starts it.\n");
        out_buf(&b);
        buf_free(&b);
        text_table_free(&t);
    }
    return status.supervised ? CLI_OK : CLI_FAILED;
}

/* The supervisor sees the new description and starts what is new in it. */
int run_cluster_add_node(struct cli *c)
{
    struct local_cluster cluster;
    struct local_status status;
    struct errbuf err;
    int code = cluster_open(c, &cluster, &status);
    if (code != CLI_OK) return code;
    if (!status.supervised) return cli_fail("the cluster in %s is not running", cluster.dir);
    if (cluster.nodes == LOCAL_NODES_MAX) return cli_fail("a local cluster has %u nodes at most", LOCAL_NODES_MAX);
    local_set(&cluster, cli_cluster_dir(c), cluster.base_port, cluster.nodes + 1);
    if (local_save(&cluster, &err) != STATUS_OK) return cli_fail("%s", err.text);
    code = start_one(&cluster, &status, cluster.processes[cluster.process_count - 1].name);
    return code == CLI_OK ? wait_ready(c, &cluster, 60000) : code;
}

int run_cluster_kill(struct cli *c)
{
    struct local_cluster cluster;
    struct local_status status;
    struct errbuf err;
    int code = cluster_open(c, &cluster, &status);
    if (code != CLI_OK) return code;
    const struct local_process *p = local_find(&cluster, c->args.words[0]);
    if (p == NULL)
        return cli_usage("no process is called '%s': meta-1..%u, node-1..%u, gateway", c->args.words[0], LOCAL_META,
                         cluster.nodes);
    if (local_kill(&cluster, p, &err) != STATUS_OK) return cli_fail("%s", err.text);
    for (unsigned waited = 0; waited < 10000; waited += POLL_MS) {
        if (local_status_load(&cluster, &status, &err) == STATUS_OK &&
            status.children[p - cluster.processes].state == LOCAL_STATE_HELD) {
            out_printf("%s killed with signal 9; it stays down until `quorate cluster start %s`\n", p->name, p->name);
            return CLI_OK;
        }
        process_sleep_ms(POLL_MS);
    }
    return cli_fail("%s was killed, but the supervisor did not note it within 10 s", p->name);
}
