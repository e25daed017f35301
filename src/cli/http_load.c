#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "cli/http_load.h"
#include "env_posix/env_posix.h"

#define REST_MIN_MS 10u
#define REST_MAX_MS 200u
#define REQUEST_TIMEOUT_MS 15000u
#define SILENCE_MAX_NS (90000 * NS_PER_MS) /* no final answer on any lane for so long: give up */

void load_gateway(const struct cli *c, char *address, size_t size)
{
    struct local_cluster local;
    struct errbuf err;
    if (local_load(&local, cli_cluster_dir(c), &err) != STATUS_OK) local_default(&local, cli_cluster_dir(c));
    snprintf(address, size, "%s", args_text(&c->args, "gateway", local_gateway(&local)->address));
}

struct env *load_env(const struct cli *c, const char *data_dir, struct errbuf *err)
{
    struct env_posix_options options = {
        .data_dir = data_dir, .log_level = c->log_level_given ? c->log_level : LOG_ERROR, .tls = cli_tls(c)};
    return env_posix_new(&options, err);
}

void path_escape(struct buf *path, struct slice s)
{
    for (size_t i = 0; i < s.size; i++) {
        uint8_t c = s.data[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                     c == '.' || c == '_' || c == '~';
        if (plain)
            buf_append_byte(path, c);
        else
            buf_printf(path, "%%%02X", c);
    }
}

/* --- lanes --- */

static void lane_send(struct lane *l);

static void lane_rest(struct lane *l)
{
    uint64_t ms = REST_MIN_MS << (l->attempts < 5 ? l->attempts : 5);
    if (ms > REST_MAX_MS) ms = REST_MAX_MS;
    l->state = LANE_RESTING;
    l->again_ns = env_mono_ns(l->load->env) + ms * NS_PER_MS;
    l->load->retries++;
}

static void lane_answered(void *ctx, int code, enum status why, struct slice body)
{
    struct lane *l = ctx;
    struct load *load = l->load;
    (void)why;
    ASSERT(l->state == LANE_WAITING);
    l->attempts++;
    if (code == 0 || code >= 500 || code == 429) {
        if (code == 0)
            load->no_answer++;
        else
            load->server_errors++;
        lane_rest(l);
    } else {
        load->last_answer_ns = env_mono_ns(load->env);
        l->state = LANE_IDLE;
        load->busy--;
        load->answer(load->ctx, l, code, body);
    }
    load->env->ops->wake(load->env);
}

static void lane_send(struct lane *l)
{
    static const struct http_header json = {.name = "Content-Type", .value = "application/json"};
    bool has_type = l->method == HTTP_POST;
    l->state = LANE_WAITING;
    l->load->env->http->ops->client_send(l->http, l->method, (const char *)l->path.data, &json, has_type ? 1 : 0,
                                         l->body.size > 0 ? buf_slice(&l->body) : SLICE_EMPTY, lane_answered, l);
}

static bool lane_next(struct lane *l)
{
    struct load *load = l->load;
    buf_clear(&l->path);
    buf_clear(&l->body);
    l->attempts = 0;
    if (!load->next(load->ctx, l)) return false;
    buf_append_byte(&l->path, '\0');
    ASSERT(!l->path.overflow);
    ASSERT(!l->body.overflow);
    load->busy++;
    lane_send(l);
    return true;
}

static uint64_t load_pass(struct actor *a, uint64_t now_ns)
{
    struct load *l = LIST_ENTRY(a, struct load, actor);
    uint64_t deadline = now_ns + 250 * NS_PER_MS;
    bool more = true;
    if (l->done) return DEADLINE_NONE;
    if (now_ns > l->last_answer_ns + SILENCE_MAX_NS)
        load_fail(l, "no request was answered for %llu s", SILENCE_MAX_NS / (1000 * NS_PER_MS));
    for (unsigned i = 0; i < l->lane_count && !l->failed; i++) {
        struct lane *lane = &l->lanes[i];
        if (lane->state == LANE_RESTING && now_ns >= lane->again_ns) lane_send(lane);
        if (lane->state == LANE_RESTING && lane->again_ns < deadline) deadline = lane->again_ns;
        if (lane->state == LANE_IDLE && more) more = lane_next(lane);
    }
    if (l->tick != NULL && !l->failed) {
        uint64_t tick = l->tick(l->ctx, now_ns);
        if (tick < deadline) deadline = tick;
    }
    if (l->failed || (!more && l->busy == 0)) l->done = true;
    return deadline;
}

void load_open(struct load *l, struct env *env, const char *address, unsigned lanes, void *ctx)
{
    *l = (struct load){.env = env, .lane_count = lanes, .ctx = ctx};
    l->lanes = mem_zalloc(lanes * sizeof(*l->lanes));
    for (unsigned i = 0; i < lanes; i++) {
        struct lane *lane = &l->lanes[i];
        lane->load = l;
        lane->http = env->http->ops->client_new(env->http, address, REQUEST_TIMEOUT_MS);
        buf_init(&lane->path, 3 * LIMIT_KEY_BYTES + 1024);
        buf_init(&lane->body, LIMIT_HTTP_BODY_BYTES);
    }
}

static bool load_is_done(void *ctx)
{
    return ((struct load *)ctx)->done;
}

int load_run(struct load *l)
{
    l->last_answer_ns = env_mono_ns(l->env);
    l->actor.pass = load_pass;
    l->env->ops->attach(l->env, &l->actor);
    l->env->ops->wake(l->env);
    env_posix_run_until(l->env, load_is_done, l, DEADLINE_NONE);
    l->env->ops->detach(l->env, &l->actor);
    return l->failed ? cli_fail("%s", l->why.text) : CLI_OK;
}

void load_fail(struct load *l, const char *fmt, ...)
{
    va_list args;
    if (l->failed) return;
    va_start(args, fmt);
    vsnprintf(l->why.text, sizeof(l->why.text), fmt, args);
    va_end(args);
    l->failed = true;
}

void load_close(struct load *l)
{
    for (unsigned i = 0; i < l->lane_count; i++) {
        l->env->http->ops->client_free(l->lanes[i].http);
        buf_free(&l->lanes[i].path);
        buf_free(&l->lanes[i].body);
    }
    mem_free(l->lanes);
    l->lanes = NULL;
    l->lane_count = 0;
}

/* --- one request --- */

struct ask {
    enum http_method method;
    const char *path;
    struct slice body;
    struct buf *answer;
    int code;
    bool sent;
};

static bool ask_next(void *ctx, struct lane *lane)
{
    struct ask *a = ctx;
    if (a->sent) return false;
    a->sent = true;
    lane->method = a->method;
    buf_append_str(&lane->path, a->path);
    buf_append_slice(&lane->body, a->body);
    return true;
}

static void ask_answer(void *ctx, struct lane *lane, int code, struct slice body)
{
    struct ask *a = ctx;
    (void)lane;
    a->code = code;
    buf_clear(a->answer);
    buf_append_slice(a->answer, body);
}

int http_ask(struct env *env, const char *address, enum http_method method, const char *path, struct slice body,
             struct buf *answer)
{
    struct ask a = {.method = method, .path = path, .body = body, .answer = answer};
    struct load l;
    load_open(&l, env, address, 1, &a);
    l.next = ask_next;
    l.answer = ask_answer;
    int code = load_run(&l);
    load_close(&l);
    return code == CLI_OK ? a.code : 0;
}

/* --- progress --- */

void progress_begin(struct progress *p, struct env *env, const char *label, uint64_t total)
{
    *p = (struct progress){
        .label = label, .total = total, .begun_ns = env_mono_ns(env), .terminal = process_is_terminal(1)};
}

static void bar(struct buf *b, double fraction)
{
    unsigned filled = (unsigned)(fraction * 30);
    buf_append_byte(b, '[');
    for (unsigned i = 0; i < 30; i++) buf_append_byte(b, i < filled ? '#' : '.');
    buf_append_byte(b, ']');
}

void progress_show(struct progress *p, struct env *env, uint64_t done, double fraction, bool last)
{
    uint64_t now = env_mono_ns(env);
    if (fraction > 1 || last) fraction = 1;
    unsigned percent = (unsigned)(fraction * 100);
    bool due = p->terminal ? now >= p->shown_ns + 200 * NS_PER_MS : percent >= p->shown_percent + 20;
    if (!last && (!due || percent == 100)) return;
    double seconds = (double)(now - p->begun_ns) / 1e9;
    double rate = seconds > 0.05 ? (double)done / seconds : 0;
    struct buf b;
    buf_init(&b, 512);
    buf_append_str(&b, p->terminal ? "\r" : "");
    buf_printf(&b, "%-22s ", p->label);
    if (p->terminal) bar(&b, fraction);
    buf_printf(&b, " %3u %%  %8llu  %7.0f /s", percent, (unsigned long long)done, rate);
    if (!last && fraction > 0.02)
        buf_printf(&b, "  %3.0f s left ", seconds / fraction - seconds);
    else
        buf_printf(&b, "  %.1f s      ", seconds);
    if (last || !p->terminal) buf_append_byte(&b, '\n');
    out_buf(&b);
    buf_free(&b);
    p->shown_ns = now;
    p->shown_percent = percent;
}

/* --- report --- */

void report_line(struct report *r, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    buf_append_str(&r->text, text);
    buf_append_byte(&r->text, '\n');
    out_printf("%s\n", text);
}

int report_end(struct report *r, const struct cli *c, int code)
{
    struct errbuf err;
    const char *path = args_text(&c->args, "report", NULL);
    if (path != NULL && r->text.size > 0 && process_file_write(path, buf_slice(&r->text), &err) != STATUS_OK)
        code = cli_fail("%s", err.text);
    buf_free(&r->text);
    return code;
}
