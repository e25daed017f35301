/* quorate changefeed: the changes of a keyspace as lines of JSON, to standard output, a file or a webhook. docs/changefeed.md.
 *
 *   READING --a batch--> SENDING --taken--> READING ...
 *               ^           | refused: again, after a pause
 *               '-----------'
 *
 * A batch that was taken before its position was kept is sent again after a restart: at least once. */
#include "cli/cli_int.h"

#include "base/mem.h"
#include "client/watch.h"
#include "env_posix/env_posix.h"
#include "gateway/feed_json.h"
#include "gateway/parse.h"

#include <stdio.h>

#define TAIL_BYTES (4u << 20)
#define PAUSE_MIN_NS (200 * NS_PER_MS)
#define PAUSE_MAX_NS (10000 * NS_PER_MS)
#define WEBHOOK_TIMEOUT_MS 30000u
#define PROGRESS_MS 1000u

enum sink { SINK_OUT, SINK_FILE, SINK_HTTP };

struct changefeed {
    struct actor actor;
    struct session session;
    struct task task; /* of a file, and of the state */
    enum sink sink;
    struct client_watch *watch;
    struct buf lines;
    uint64_t upto, resume;
    bool reading, sending, stopping;
    /* file */
    struct disk_file *file;
    uint64_t file_end;
    enum status written;
    /* webhook */
    struct http_client *http;
    const char *path;
    uint64_t pause_ns, again_ns;
    const char *state; /* file that keeps the position; NULL: none */
};

static void end_with(struct changefeed *f, int code)
{
    f->session.exit_code = code;
    f->session.done = true;
}

static void wake(struct changefeed *f)
{
    f->session.env->ops->wake(f->session.env);
}

/* --- files: the sink, or what keeps the position of another one --- */

static enum status write_state(struct changefeed *f, struct disk *disk)
{
    struct disk_file *file = NULL;
    struct errbuf err;
    char text[40];
    (void)snprintf(text, sizeof text, "%llu\n", (unsigned long long)f->upto);
    enum status s = disk_open(disk, "state.tmp", DISK_WRITE | DISK_CREATE, &file, &err);
    if (s != STATUS_OK) return s;
    s = disk_truncate(file, 0);
    if (s == STATUS_OK) s = disk_write(file, 0, text, strlen(text));
    if (s == STATUS_OK) s = disk_sync(file);
    disk_close(file);
    if (s == STATUS_OK) s = disk_rename(disk, "state.tmp", f->state);
    return s == STATUS_OK ? disk_sync_dir(disk, "") : s;
}

static void file_execute(struct task *t)
{
    struct changefeed *f = LIST_ENTRY(t, struct changefeed, task);
    f->written = STATUS_OK;
    if (f->sink == SINK_FILE) {
        f->written = disk_write(f->file, f->file_end, f->lines.data, f->lines.size);
        if (f->written == STATUS_OK) f->written = disk_sync(f->file);
    } else {
        f->written = write_state(f, f->session.env->disk);
    }
}

static void taken(struct changefeed *f)
{
    f->sending = false;
    f->pause_ns = PAUSE_MIN_NS;
    wake(f);
}

static void file_complete(struct task *t)
{
    struct changefeed *f = LIST_ENTRY(t, struct changefeed, task);
    if (t->cancelled) return;
    if (f->written != STATUS_OK)
        end_with(f, cli_fail("changefeed: the file cannot be written: %s", status_text(f->written)));
    f->file_end += f->lines.size;
    taken(f);
}

static void write_file(struct changefeed *f)
{
    f->task = (struct task){.execute = file_execute, .complete = file_complete};
    exec_submit(f->session.env->exec, LANE_READ, &f->task);
}

/* Behind the last resolved line: what comes after it is not whole, and comes again. */
static enum status open_file(struct changefeed *f, const char *name, uint64_t *after, struct errbuf *err)
{
    static const char mark[] = "{\"resolved\":\"";
    struct disk *disk = f->session.env->disk;
    enum status s = disk_open(disk, name, DISK_READ | DISK_WRITE | DISK_CREATE, &f->file, err);
    if (s == STATUS_OK) s = disk_size(f->file, &f->file_end);
    if (s == STATUS_OK && f->file_end == 0) s = disk_sync_dir(disk, ""); /* a new one is there after a power cut, too */
    uint64_t from = s == STATUS_OK && f->file_end > TAIL_BYTES ? f->file_end - TAIL_BYTES : 0;
    size_t got = 0;
    char *tail = mem_zalloc(TAIL_BYTES + 1);
    if (s == STATUS_OK) s = disk_read(f->file, from, tail, TAIL_BYTES, &got);
    const char *last = NULL;
    for (const char *p = tail; s == STATUS_OK && (p = strstr(p, mark)) != NULL; p++)
        if ((p == tail || p[-1] == '\n') && strchr(p, '\n') != NULL) last = p;
    if (last != NULL) {
        *after = 0;
        for (const char *p = last + sizeof mark - 1; *p >= '0' && *p <= '9'; p++)
            *after = *after * 10 + (uint64_t)(*p - '0');
        f->file_end = from + (uint64_t)(strchr(last, '\n') - tail) + 1;
    } else if (s == STATUS_OK && f->file_end > 0) {
        errbuf_set(err,
                   "%s holds no resolved line: it is not the file of a change feed, or its last 4 MiB are not whole",
                   name);
        s = STATUS_INVALID;
    }
    if (s == STATUS_OK) s = disk_truncate(f->file, f->file_end);
    mem_free(tail);
    return s;
}

static void read_state(struct changefeed *f, uint64_t *after)
{
    struct disk_file *file = NULL;
    struct errbuf err;
    char text[40] = "";
    size_t got = 0;
    if (disk_open(f->session.env->disk, f->state, DISK_READ, &file, &err) != STATUS_OK) return;
    if (disk_read(file, 0, text, sizeof text - 1, &got) == STATUS_OK && got > 0) {
        *after = 0;
        for (const char *p = text; *p >= '0' && *p <= '9'; p++) *after = *after * 10 + (uint64_t)(*p - '0');
    }
    disk_close(file);
}

/* --- sending --- */

static void sent(struct changefeed *f)
{
    if (f->state != NULL)
        write_file(f);
    else
        taken(f);
}

static void on_http(void *ctx, int code, enum status why, struct slice body)
{
    struct changefeed *f = ctx;
    (void)body;
    if (code >= 200 && code < 300) {
        sent(f);
        return;
    }
    if (code == 0)
        cli_note("changefeed: the webhook did not answer (%s); again in %llu ms", status_text(why),
                 (unsigned long long)(f->pause_ns / NS_PER_MS));
    else
        cli_note("changefeed: the webhook answered %d; again in %llu ms", code,
                 (unsigned long long)(f->pause_ns / NS_PER_MS));
    f->again_ns = env_mono_ns(f->session.env) + f->pause_ns;
    f->pause_ns = f->pause_ns * 2 < PAUSE_MAX_NS ? f->pause_ns * 2 : PAUSE_MAX_NS;
    wake(f);
}

static void send_lines(struct changefeed *f)
{
    static const struct http_header type = {.name = "Content-Type", .value = "application/x-ndjson"};
    f->again_ns = 0;
    if (f->sink == SINK_FILE) {
        write_file(f);
    } else if (f->sink == SINK_HTTP) {
        f->session.env->http->ops->client_send(f->http, HTTP_POST, f->path, &type, 1, buf_slice(&f->lines), on_http, f);
    } else {
        out_bytes(buf_slice(&f->lines));
        if (out_failed())
            end_with(f, CLI_OK); /* what was not written has not been taken; cli_main tells why */
        else
            sent(f);
    }
}

static void on_batch(void *ctx, const struct client_error *e, const struct client_watch_batch *batch, uint64_t resume)
{
    struct changefeed *f = ctx;
    f->reading = false;
    if (e->status == STATUS_TOO_OLD) {
        end_with(f, cli_fail("changefeed: %.*s\nIt could go on from %llu; read a snapshot at that timestamp first "
                             "(quorate scan --read "
                             "snapshot --at)",
                             (int)e->message.size, (const char *)e->message.data, (unsigned long long)resume));
    } else if (e->status != STATUS_OK) {
        end_with(f, cli_client_failed("changefeed", e));
    } else {
        buf_clear(&f->lines);
        feed_json_lines(&f->lines, batch, false);
        f->upto = batch->upto;
        f->sending = true;
        send_lines(f);
    }
    wake(f);
}

static uint64_t changefeed_pass(struct actor *actor, uint64_t now_ns)
{
    struct changefeed *f = LIST_ENTRY(actor, struct changefeed, actor);
    if (f->session.done) return DEADLINE_NONE;
    if (f->stopping && (!f->sending || f->again_ns != 0)) {
        end_with(f, CLI_OK);
        return DEADLINE_NONE;
    }
    if (f->sending && f->again_ns != 0 && now_ns >= f->again_ns) send_lines(f);
    if (!f->sending && !f->reading) {
        f->reading = true;
        client_watch_next(f->watch, on_batch, f);
    }
    return f->again_ns != 0 ? f->again_ns : DEADLINE_NONE;
}

static void on_stop(void *ctx)
{
    struct changefeed *f = ctx;
    f->stopping = true;
    wake(f);
}

/* --- the command --- */

/* A path as its folder, which the environment is rooted at, and a name. */
static const char *split_path(const char *path, char folder[512])
{
    const char *slash = strrchr(path, '/');
    size_t size = slash == NULL ? 0 : (size_t)(slash - path);
    if (size >= 512) size = 511;
    (void)snprintf(folder, 512, "%.*s", slash == NULL ? 1 : size == 0 ? 1 : (int)size, slash == NULL ? "." : path);
    return slash == NULL ? path : slash + 1;
}

/* http://HOST:PORT/PATH */
static bool open_webhook(struct changefeed *f, const char *url)
{
    char address[LIMIT_ADDRESS_BYTES];
    const char *host = url + strlen("http://"), *path = strchr(host, '/');
    size_t size = path == NULL ? strlen(host) : (size_t)(path - host);
    if (size == 0 || size >= sizeof address) return false;
    memcpy(address, host, size);
    address[size] = '\0';
    f->path = path == NULL ? "/" : path;
    f->http = f->session.env->http->ops->client_new(f->session.env->http, address, WEBHOOK_TIMEOUT_MS);
    return f->http != NULL;
}

static int open_sink(struct changefeed *f, const char *sink, const char *file, uint64_t *after)
{
    struct errbuf err;
    if (f->sink == SINK_FILE && open_file(f, file, after, &err) != STATUS_OK)
        return cli_fail("changefeed: %s", err.text);
    if (f->state != NULL) read_state(f, after);
    if (f->sink == SINK_HTTP && !open_webhook(f, sink))
        return cli_usage("--sink %s: expected http://HOST:PORT/PATH", sink);
    return CLI_OK;
}

static int start(struct changefeed *f, struct cli *c, uint64_t after)
{
    struct scan_action span = {.empty = false};
    struct arena keep;
    arena_init(&keep, 1024);
    scan_bounds_set(&span, slice_str(args_text(&c->args, "start", "")), slice_str(args_text(&c->args, "end", "")),
                    slice_str(args_text(&c->args, "prefix", "")), &keep);
    struct client_watch_options o = {.keyspace = slice_str(c->args.words[0]),
                                     .start = span.start,
                                     .end = span.end,
                                     .after = after,
                                     .progress_ms = PROGRESS_MS};
    if (!span.empty) f->watch = client_watch_new(f->session.client, &o);
    arena_free(&keep);
    return span.empty ? cli_usage("--start, --end, --prefix: no key lies there") : CLI_OK;
}

int run_changefeed(struct cli *c)
{
    struct changefeed f = {.sink = SINK_OUT, .pause_ns = PAUSE_MIN_NS};
    const char *sink = args_text(&c->args, "sink", "-"), *state = args_text(&c->args, "state", NULL), *file = NULL;
    char folder[512];
    uint64_t after;
    struct errbuf err;
    if (args_number(&c->args, "from", 0, 1, UINT64_MAX >> 1, &after, &err) != STATUS_OK)
        return cli_usage("%s", err.text);
    if (strncmp(sink, "file:", 5) == 0) f.sink = SINK_FILE;
    if (strncmp(sink, "http://", 7) == 0) f.sink = SINK_HTTP;
    if (f.sink == SINK_OUT && strcmp(sink, "-") != 0)
        return cli_usage("--sink %s: expected -, file:PATH or http://HOST:PORT/PATH", sink);
    if (f.sink == SINK_FILE && state != NULL) return cli_usage("--state: a file keeps its own position");
    if (f.sink == SINK_FILE) file = split_path(sink + 5, folder);
    if (state != NULL) f.state = split_path(state, folder);
    int code = session_open_in(&f.session, c, file != NULL || state != NULL ? folder : NULL);
    if (code != CLI_OK) return code;
    buf_init(&f.lines, SIZE_MAX / 2);
    code = open_sink(&f, sink, file, &after);
    if (code == CLI_OK) code = start(&f, c, after);
    if (code == CLI_OK) {
        f.actor = (struct actor){.pass = changefeed_pass};
        f.session.env->ops->attach(f.session.env, &f.actor);
        env_posix_on_signal(f.session.env, on_stop, &f);
        code = session_wait(&f.session);
        f.session.env->ops->detach(f.session.env, &f.actor);
    }
    env_posix_quiesce(f.session.env);
    client_watch_free(f.watch);
    if (f.http != NULL) f.session.env->http->ops->client_free(f.http);
    disk_close(f.file);
    buf_free(&f.lines);
    session_close(&f.session);
    return code;
}
