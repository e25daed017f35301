/* quorate meta, node, gateway: one server process each. SIGTERM: it stops taking work, ends what is under way, exits 0. */
#include <stdio.h>

#include "base/assert.h"
#include "cli/cli_int.h"
#include "cli/encryption.h"
#include "env_posix/crash.h"
#include "env_posix/env_posix.h"
#include "env_posix/process.h"
#include "etcd/etcd.h"
#include "gateway/exchange.h"
#include "gateway/gateway.h"
#include "ledger/ledger.h"
#include "meta/meta.h"
#include "node/node.h"
#include "wire/versions.h"

#define STOP_PATIENCE_NS (15000 * NS_PER_MS)
#define CERTS_LOOK_NS (5000 * NS_PER_MS)

/* What the three servers have in common: told to stop, looked at until stopped. */
struct server {
    struct actor actor;
    struct cli *cli;
    uint64_t certs_ns; /* when to look whether they have been replaced */
    struct env *env;
    struct encryption encryption;
    bool stopping;
    uint64_t stop_ns;
    void *object;
    void (*stop)(void *object);
    bool (*stopped)(const void *object);
};

/* A certificate is replaced by files of the same names: connections made from now on use the new one. */
static void certs_look(struct server *s)
{
    struct errbuf err;
    struct certs next, *now = &s->cli->certs;
    enum status status = certs_read(&next, now->prefix, now->options.ask_peers, &err);
    if (status == STATUS_OK && certs_same(&next, now)) {
        certs_free(&next);
        return;
    }
    if (status == STATUS_OK) status = env_posix_tls_reload(s->env, &next.options, &err);
    if (status != STATUS_OK) { /* half replaced, perhaps: the former ones stay in use */
        log_event(s->env->log, LOG_WARN, "certs.not_replaced", "why=\"%s\"", err.text);
        certs_free(&next);
        return;
    }
    log_event(s->env->log, LOG_INFO, "certs.replaced", "prefix=%s", next.prefix);
    certs_free(now);
    *now = next;
}

static uint64_t server_pass(struct actor *a, uint64_t now_ns)
{
    struct server *s = LIST_ENTRY(a, struct server, actor);
    if (!s->stopping) {
        uint64_t keys_ns = encryption_pass(&s->encryption, now_ns);
        if (!s->cli->certs.on) return keys_ns;
        if (s->certs_ns == 0) s->certs_ns = now_ns + CERTS_LOOK_NS;
        if (now_ns >= s->certs_ns) {
            certs_look(s);
            s->certs_ns = now_ns + CERTS_LOOK_NS;
        }
        return s->certs_ns < keys_ns ? s->certs_ns : keys_ns;
    }
    bool late = now_ns >= s->stop_ns + STOP_PATIENCE_NS;
    if (s->stopped(s->object) || late) {
        if (late) log_event(s->env->log, LOG_WARN, "server.stop_late", "why=\"work under way did not end in time\"");
        env_posix_stop(s->env, CLI_OK);
        return DEADLINE_NONE;
    }
    return now_ns + 20 * NS_PER_MS;
}

static void server_on_stop(void *ctx)
{
    struct server *s = ctx;
    log_event(s->env->log, LOG_INFO, "server.stopping", "pid=%d", process_self().pid);
    s->stopping = true;
    s->stop_ns = env_mono_ns(s->env);
    s->stop(s->object);
    s->env->ops->wake(s->env);
}

static int server_run(struct server *s)
{
    s->actor.pass = server_pass;
    s->env->ops->attach(s->env, &s->actor);
    env_posix_on_signal(s->env, server_on_stop, s);
    int code = env_posix_run(s->env);
    env_posix_quiesce(s->env);
    s->env->ops->detach(s->env, &s->actor);
    return code;
}

/* False: it has been said why. */
static bool server_env(struct server *s, const char *data)
{
    struct errbuf err;
    struct cli *c = s->cli;
    struct env_posix_options options = {.data_dir = data,
                                        .log_level = c->log_level_given ? c->log_level : LOG_INFO,
                                        .log_path = args_text(&c->args, "log", NULL),
                                        .tls = cli_tls(c)};
    s->env = env_posix_new(&options, &err);
    crash_reports_begin(data, version_release());
    if (s->env != NULL && data != NULL &&
        encryption_begin(&s->encryption, s->env, args_text(&c->args, "encryption-keys", NULL), true, &err) !=
            STATUS_OK) {
        env_posix_free(s->env);
        s->env = NULL;
    }
    if (s->env == NULL) (void)cli_fail("%s", err.text);
    return s->env != NULL;
}

static void server_env_free(struct server *s)
{
    encryption_end(&s->encryption);
    env_posix_free(s->env);
}

static bool is_this_machine(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]:", 6) == 0 ||
           strncmp(address, "localhost:", 10) == 0 || strncmp(address, "unix:", 5) == 0;
}

/* Certificates, and the refusal to be open to everybody by oversight. */
static int server_certs(struct cli *c, const char *listen, bool ask_peers)
{
    int code = cli_certs_take(c, true, ask_peers);
    if (code != CLI_OK || c->certs.on || is_this_machine(listen) || args_switch(&c->args, "insecure")) return code;
    return cli_usage("%s can be reached from other machines, and without --certs anybody there could read and change "
                     "everything. `quorate cert` makes certificates; --insecure if the network itself keeps others out",
                     listen);
}

/* Written at once: what happened before a kill is there, and lines of several servers stand in the order of their events. */
static void trace_line(void *ctx, struct slice line)
{
    struct errbuf err; /* a trace: what does not fit is not there, and its judge sees that */
    (void)!process_append(((const struct cli *)ctx)->trace_fd, line, &err);
}

static int host_options_take(struct cli *c, struct host_options *o)
{
    struct errbuf err;
    uint64_t election, heartbeat, support;
    host_options_default(o);
    if (args_number(&c->args, "election-ms", o->election_ms, 50, 60000, &election, &err) != STATUS_OK ||
        args_number(&c->args, "heartbeat-ms", o->heartbeat_ms, 5, 20000, &heartbeat, &err) != STATUS_OK ||
        args_number(&c->args, "support-ms", o->support_ms, 50, 60000, &support, &err) != STATUS_OK) {
        return cli_usage("%s", err.text);
    }
    if (heartbeat * 2 > election)
        return cli_usage("--heartbeat-ms must be at most half of --election-ms (%llu)", (unsigned long long)election);
    if (heartbeat * 2 > support)
        return cli_usage("--heartbeat-ms must be at most half of --support-ms (%llu)", (unsigned long long)support);
    o->election_ms = (uint32_t)election;
    o->support_ms = (uint32_t)support;
    o->heartbeat_ms = (uint32_t)heartbeat;
    const char *trace = args_text(&c->args, "raft-trace", process_getenv("QUORATE_RAFT_TRACE"));
    if (trace == NULL) return CLI_OK;
    c->trace_fd = process_append_open(trace, &err);
    if (c->trace_fd < 0) return cli_fail("--raft-trace: %s", err.text);
    o->raft_trace.line = trace_line;
    o->raft_trace.ctx = c;
    return CLI_OK;
}

/* --- meta --- */

static void meta_stop_object(void *object)
{
    meta_stop(object);
}
static bool meta_stopped_object(const void *object)
{
    return meta_stopped(object);
}

/* "1=host:port,2=host:port": addresses are cut out of text, which the caller owns. */
static int members_parse(char *text, struct meta_options *o)
{
    char *at = text;
    while (*at != '\0') {
        char *end = strchr(at, ','), *equals = strchr(at, '=');
        if (end != NULL) *end = '\0';
        if (equals == NULL || (end != NULL && equals > end) || equals == at || equals - at > 3) {
            return cli_usage("--members: expected ID=HOST:PORT,ID=HOST:PORT,..., got '%s'", at);
        }
        uint64_t id = 0;
        for (const char *p = at; p < equals; p++) {
            if (*p < '0' || *p > '9') return cli_usage("--members: '%s' does not begin with a number", at);
            id = id * 10 + (uint64_t)(*p - '0');
        }
        if (id == 0 || strchr(equals + 1, ':') == NULL)
            return cli_usage("--members: expected ID=HOST:PORT with ID from 1, got '%s'", at);
        if (o->member_count == LIMIT_VOTERS) return cli_usage("--members: at most %u members", LIMIT_VOTERS);
        o->members[o->member_count++] = (struct meta_member){.id = id, .address = equals + 1};
        at = end != NULL ? end + 1 : at + strlen(at);
    }
    return o->member_count > 0 ? CLI_OK : cli_usage("--members is empty");
}

int run_meta(struct cli *c)
{
    struct errbuf err;
    struct meta *m = NULL;
    char members[LIMIT_VOTERS * (LIMIT_ADDRESS_BYTES + 5)];
    struct meta_options o = {.listen = args_text(&c->args, "listen", NULL)};
    const char *data = args_text(&c->args, "data", NULL), *list = args_text(&c->args, "members", NULL);
    if (data == NULL) return cli_usage("--data DIR is missing");
    if (list == NULL) return cli_usage("--members 1=HOST:PORT,... is missing");
    if (args_number(&c->args, "id", 0, 1, UINT32_MAX, &o.id, &err) != STATUS_OK) return cli_usage("%s", err.text);
    if (o.id == 0) return cli_usage("--id N is missing: which of --members this process is");
    if ((size_t)snprintf(members, sizeof(members), "%s", list) >= sizeof(members))
        return cli_usage("--members is too long");
    int code = members_parse(members, &o);
    if (code == CLI_OK) code = host_options_take(c, &o.host);
    if (code != CLI_OK) return code;
    const char *own = NULL;
    for (size_t i = 0; i < o.member_count; i++) own = o.members[i].id == o.id ? o.members[i].address : own;
    o.join = args_switch(&c->args, "join");
    if (own == NULL) return cli_usage("--id %llu is not among --members", (unsigned long long)o.id);
    code = server_certs(c, o.listen != NULL ? o.listen : own, true);
    if (code != CLI_OK) return code;

    struct server s = {.cli = c, .stop = meta_stop_object, .stopped = meta_stopped_object};
    if (!server_env(&s, data)) return CLI_FAILED;
    if (meta_new(s.env, &o, &m, &err) != STATUS_OK) {
        code = cli_fail("%s", err.text);
        server_env_free(&s);
        return code;
    }
    s.object = m;
    code = server_run(&s);
    meta_free(m);
    server_env_free(&s);
    return code;
}

/* --- node --- */

static void node_stop_object(void *object)
{
    node_stop(object);
}
static bool node_stopped_object(const void *object)
{
    return node_stopped(object);
}

/* What a node keeps for itself, of disk and of memory. */
static int node_sizes_take(struct cli *c, struct node_options *o)
{
    struct errbuf err;
    uint64_t reserve_mib, cache_mib;
    const char *cache = process_getenv("QUORATE_CACHE_MIB");
    if (cache != NULL && cache[0] != '\0' && !args_given(&c->args, "cache-mib") &&
        args_store(&c->args, args_flag(c->args.command, "cache-mib", &err), cache, &err) != STATUS_OK)
        return cli_usage("QUORATE_CACHE_MIB: %s", err.text);
    if (args_number(&c->args, "reserve-mib", 64, 0, 1u << 20, &reserve_mib, &err) != STATUS_OK ||
        args_number(&c->args, "cache-mib", o->host.lsm.cache_bytes >> 20, 1, 1u << 20, &cache_mib, &err) != STATUS_OK)
        return cli_usage("%s", err.text);
    o->reserve_bytes = reserve_mib << 20;
    o->host.lsm.cache_bytes = (size_t)cache_mib << 20;
    return CLI_OK;
}

int run_node(struct cli *c)
{
    struct errbuf err;
    struct node *n = NULL;
    char meta[LIMIT_VOTERS * LIMIT_ADDRESS_BYTES];
    const char *data = args_text(&c->args, "data", NULL);
    struct node_options o = {.listen = args_text(&c->args, "listen", NULL),
                             .advertise = args_text(&c->args, "advertise", NULL),
                             .host_label = args_text(&c->args, "host", NULL),
                             .meta_addresses = meta};
    if (data == NULL) return cli_usage("--data DIR is missing");
    if (o.listen == NULL) return cli_usage("--listen HOST:PORT is missing");
    cli_meta_addresses(c, meta, sizeof(meta));
    int code = host_options_take(c, &o.host);
    if (code == CLI_OK) code = node_sizes_take(c, &o);
    if (code == CLI_OK) code = server_certs(c, o.listen, true);
    if (code != CLI_OK) return code;

    struct server s = {.cli = c, .stop = node_stop_object, .stopped = node_stopped_object};
    if (!server_env(&s, data)) return CLI_FAILED;
    if (node_new(s.env, &o, &n, &err) != STATUS_OK) {
        code = cli_fail("%s", err.text);
        server_env_free(&s);
        return code;
    }
    s.object = n;
    code = server_run(&s);
    node_free(n);
    server_env_free(&s);
    return code;
}

/* --- gateway --- */

static void gateway_stop_object(void *object)
{
    gateway_stop(object);
}
static bool gateway_stopped_object(const void *object)
{
    return gateway_stopped(object);
}

int run_gateway(struct cli *c)
{
    struct errbuf err;
    struct gateway *g = NULL;
    struct client *client = NULL;
    struct ledger *ledger = NULL;
    struct etcd *etcd = NULL;
    struct auth *auth = NULL;
    char meta[LIMIT_VOTERS * LIMIT_ADDRESS_BYTES];
    struct gateway_options o = {.listen = args_text(&c->args, "listen", "127.0.0.1:7480")};
    struct client_options co = {.meta_addresses = meta, .role = ROLE_GATEWAY};
    uint64_t slow_ms;
    cli_meta_addresses(c, meta, sizeof(meta));
    if (args_number(&c->args, "slow-ms", 500, 1, 3600000, &slow_ms, &err) != STATUS_OK)
        return cli_usage("%s", err.text);
    o.slow_ms = (uint32_t)slow_ms;
    o.cors_origins = args_text(&c->args, "cors", NULL);
    o.hosts = args_text(&c->args, "hosts", NULL);
    int code = server_certs(c, o.listen, false);
    if (code != CLI_OK) return code;
    /* A certificate has been compared with the name already; and who listens beyond this machine is reached by names of others' making. */
    if (o.hosts == NULL && (c->certs.on || !address_is_local(o.listen))) o.hosts = "*";
    struct server s = {.cli = c, .stop = gateway_stop_object, .stopped = gateway_stopped_object};
    if (!server_env(&s, NULL)) return CLI_FAILED;
    if (client_new(s.env, &co, &client, &err) != STATUS_OK) {
        code = cli_usage("--meta %s: %s", meta, err.text);
    } else {
        o.auth = auth = auth_new(s.env, client);
        o.ledger = ledger = ledger_new(s.env, client, &(struct ledger_options){.expires = true});
        etcd = etcd_new(s.env, client, auth, o.listen);
        o.guest = etcd_guest(etcd);
        if (gateway_new(s.env, &o, client, &g, &err) != STATUS_OK) code = cli_fail("%s", err.text);
    }
    s.object = g;
    if (code == CLI_OK) code = server_run(&s);
    if (client != NULL) client_free(client);
    auth_free(auth);
    ledger_free(ledger);
    etcd_free(etcd);
    gateway_free(g);
    server_env_free(&s);
    return code;
}
