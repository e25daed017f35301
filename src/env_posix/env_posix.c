#define _GNU_SOURCE /* getrlimit and friends */
#include "env_posix/posix_int.h"

#include "base/assert.h"
#include "base/mem.h"
#include "http/http.h"
#include "tls/tls.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* One turn of the loop:
 *
 *   wait ---> callbacks ---> deliver ---> pass of every actor ---> flush ---> (again)
 *   epoll     note facts     failures     all work that is         one send per connection,
 *   or 0 s    in objects     noted late   possible now             the closed ones are freed
 *
 * A turn without sleep follows when anybody has woken the loop meanwhile. */

#define CONNECTIONS_SHARE                                                                                              \
    3u /* of the files that may be open: connections, outgoing ones and the store's own each have a third */

static void loop_wake(struct env *e)
{
    env_posix_of(e)->woken = true;
}

static void loop_attach(struct env *e, struct actor *a)
{
    struct env_posix *p = env_posix_of(e);
    a->deadline_ns = DEADLINE_NONE;
    list_push_back(&p->actors, &a->link);
    p->woken = true; /* its first pass tells its deadline */
}

static void loop_detach(struct env *e, struct actor *a)
{
    struct env_posix *p = env_posix_of(e);
    if (p->cursor == &a->link) p->cursor = a->link.next;
    list_remove(&a->link);
}

/* Only what is sure to work: no buffer is flushed, no callback is called, no destructor runs. */
_Noreturn static void loop_die(struct env *e, const char *why)
{
    struct env_posix *p = env_posix_of(e);
    p->env.dead = true;
    log_event(p->log, LOG_ERROR, "process.fatal", "why=\"%s\"", why);
    if (!posix_log_is_stderr(p->log)) (void)dprintf(STDERR_FILENO, "quorate: fatal: %s\n", why);
    _exit(ENV_POSIX_EXIT_FATAL);
}
static void loop_fatal(struct env *e, const char *why)
{
    loop_die(e, why);
}

static const struct env_ops loop_ops = {
    .mono_ns = posix_mono_ns,
    .wall_ms = posix_wall_ms,
    .random = posix_random,
    .attach = loop_attach,
    .detach = loop_detach,
    .wake = loop_wake,
    .fatal = loop_fatal,
};

static void timer_cb(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    (void)ctx; /* that the loop woke is all that was wanted */
}

static uint64_t earliest_deadline(const struct env_posix *p, uint64_t limit_ns)
{
    uint64_t deadline = limit_ns;
    LIST_FOR(it, &p->actors)
    {
        const struct actor *a = LIST_ENTRY(it, struct actor, link);
        if (a->deadline_ns < deadline) deadline = a->deadline_ns;
    }
    return deadline;
}

static void loop_wait(struct env_posix *p, uint64_t limit_ns)
{
    int flags = EVLOOP_ONCE;
    uint64_t deadline = p->woken ? 0 : earliest_deadline(p, limit_ns);
    uint64_t now = deadline == 0 || deadline == DEADLINE_NONE ? 0 : posix_mono_ns(&p->env);
    if (deadline <= now) {
        flags |= EVLOOP_NONBLOCK;
    } else if (deadline == DEADLINE_NONE) {
        (void)event_del(p->timer);
    } else {
        struct timeval wait = posix_timeval(deadline - now + 999u); /* rounded up: never early, or it would spin */
        (void)event_add(p->timer, &wait);
    }
    if (event_base_loop(p->base, flags) < 0) loop_die(&p->env, "the event loop failed");
}

static void loop_pass(struct env_posix *p)
{
    uint64_t now = posix_mono_ns(&p->env);
    ASSERT(p->cursor == NULL);
    p->env.pass_ns = now;
    for (struct list *it = p->actors.next; it != &p->actors; it = p->cursor) {
        struct actor *a = LIST_ENTRY(it, struct actor, link);
        p->cursor = it->next;
        uint64_t deadline = a->pass(a, now);
        /* An actor that detached itself in its pass may be freed memory by now: look for it before writing to it. */
        if (p->cursor->prev == it) a->deadline_ns = deadline;
    }
    p->cursor = NULL;
    p->env.pass_ns = 0;
}

static void loop_turn(struct env_posix *p, uint64_t limit_ns)
{
    loop_wait(p, limit_ns);
    p->woken = false;
    posix_net_deliver(p->net);
    loop_pass(p);
    posix_net_flush(p->net);
}

int env_posix_run(struct env *env)
{
    struct env_posix *p = env_posix_of(env);
    for (p->stopping = false; !p->stopping;) loop_turn(p, DEADLINE_NONE);
    return p->exit_code;
}

void env_posix_run_until(struct env *env, bool (*done)(void *ctx), void *ctx, uint64_t timeout_ns)
{
    struct env_posix *p = env_posix_of(env);
    uint64_t now = posix_mono_ns(env);
    uint64_t limit = timeout_ns > DEADLINE_NONE - now ? DEADLINE_NONE : now + timeout_ns;
    p->woken = true; /* what the caller has asked for is sent before the first sleep */
    while (!done(ctx) && (limit == DEADLINE_NONE || posix_mono_ns(env) < limit)) loop_turn(p, limit);
}

void env_posix_stop(struct env *env, int exit_code)
{
    struct env_posix *p = env_posix_of(env);
    p->stopping = true;
    p->woken = true;
    p->exit_code = exit_code;
}

void env_posix_quiesce(struct env *env)
{
    struct env_posix *p = env_posix_of(env);
    if (p->quiesced) return;
    posix_exec_quiesce(p->exec);
    p->quiesced = true;
}

/* Every connection, table and segment is an open file. */
static size_t raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
    rlim_t soft = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0) soft = limit.rlim_cur;
    return soft > 1000000u ? 1000000u : (size_t)soft;
}

static struct event_base *base_new(bool precise_timers)
{
    struct event_config *config = event_config_new();
    ASSERT(config != NULL);
    (void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    if (precise_timers) (void)event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    ASSERT(base != NULL);
    return base;
}

struct env *env_posix_new(const struct env_posix_options *options, struct errbuf *err)
{
    struct logger *log = posix_log_new(options->log_path, options->log_level, err);
    if (log == NULL) return NULL;
    struct disk *disk = NULL;
    if (options->data_dir != NULL) {
        disk = posix_disk_new(options->data_dir, log, err);
        if (disk == NULL) {
            posix_log_free(log);
            return NULL;
        }
    }
    struct env_posix *p = mem_zalloc(sizeof(*p));
    list_init(&p->actors);
    p->log = log;
    p->env = (struct env){.ops = &loop_ops, .disk = disk, .log = log};
    posix_signal_init(p);
    size_t files = raise_file_limit();
    size_t share = disk == NULL ? files - files / CONNECTIONS_SHARE : files / CONNECTIONS_SHARE; /* it has no store */
    size_t connections = options->connections_max > 0 ? options->connections_max : share;
    p->base = base_new(options->precise_timers);
    p->timer = event_new(p->base, -1, 0, timer_cb, p);
    ASSERT(p->timer != NULL);
    p->exec = posix_exec_new(p, options->read_threads > 0 ? options->read_threads : 2,
                             options->background_threads > 0 ? options->background_threads : 1);
    p->env.exec = posix_exec_seam(p->exec);
    p->net = posix_net_new(p, connections);
    p->env.net = posix_net_seam(p->net);
    if (options->tls != NULL && tls_net_new(&p->env, p->env.net, options->tls, &p->tls, err) != STATUS_OK) {
        env_posix_free(&p->env);
        return NULL;
    }
    if (p->tls != NULL) p->env.net = p->tls;
    p->env.http = http_new(&p->env, options->http_timeout_ms > 0 ? options->http_timeout_ms : 75000);
    return &p->env;
}

enum status env_posix_tls_reload(struct env *env, const struct tls_options *tls, struct errbuf *err)
{
    struct env_posix *p = env_posix_of(env);
    ASSERT(p->tls != NULL);
    return tls_net_reload(p->tls, tls, err);
}

void env_posix_free(struct env *env)
{
    if (env == NULL) return;
    struct env_posix *p = env_posix_of(env);
    env_posix_quiesce(env);
    if (p->env.http != NULL) http_free(p->env.http);
    if (p->tls != NULL) tls_net_free(p->tls);
    ASSERT(list_empty(&p->actors));
    posix_net_free(p->net);
    posix_exec_free(p->exec);
    posix_signal_free(p);
    event_free(p->timer);
    event_base_free(p->base);
    posix_disk_free(p->env.disk);
    posix_log_free(p->log);
    mem_free(p);
}

const char *env_posix_http_address(const struct http_server *s)
{
    return env_posix_listener_address(http_server_listener(s));
}
