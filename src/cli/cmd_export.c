/* quorate export KEYSPACE: its rows as CSV, lines of JSON or raw, of one snapshot, over several ranges at a time. Rows of a range stand in
 * the order of their keys; ranges stand as they come, unless --parallel is 1. docs/formats/rows.md. */
#include <stdio.h>

#include "base/mem.h"
#include "cli/admin_int.h"
#include "cli/data_row.h"
#include "cli/http_load.h"
#include "env_posix/process.h"

#define PARALLEL_MAX 64u

struct export_span { /* of keys as the keyspace holds them */
    struct export *export;
    struct slice start, end;
    struct arena arena; /* where the next page begins */
    bool busy, done;
};

struct export
{
    struct session session;
    struct cli *cli;
    struct arena arena;
    enum record_kind kind;
    const char *path;    /* NULL: standard output */
    char temporary[600]; /* its name until all rows are in it */
    int fd;
    struct slice keyspace, start, end; /* asked for, user keys */
    struct read_how how;
    uint32_t buckets;
    struct export_span *spans;
    size_t span_count, next, busy;
    uint64_t parallel, rows, rows_expected;
    struct progress progress;
    struct buf out;
};

static void export_end(struct export *x, int code)
{
    if (x->session.done) return;
    x->session.exit_code = code;
    x->session.done = true;
}

/* --- spans --- */

static void span_ask(struct export_span *s);

/* As many as may be: the first page says which snapshot it is, so it goes alone. */
static void go_on(struct export *x)
{
    bool first = x->how.mode == READ_SNAPSHOT && x->how.ts == 0;
    while (x->next < x->span_count && x->busy < (first ? 1 : x->parallel) && !x->session.done) {
        x->busy++;
        span_ask(&x->spans[x->next++]);
    }
    if (x->busy == 0) export_end(x, CLI_OK);
}

static bool in_bounds(const struct export *x, struct slice key)
{
    return slice_cmp(key, x->start) >= 0 && (x->end.size == 0 || slice_cmp(key, x->end) < 0);
}

static void write_rows(struct export *x, const struct scan_reply *reply)
{
    size_t prefix = x->buckets > 0 ? 1 : 0; /* the bucket */
    for (size_t i = 0; i < reply->row_count; i++) {
        const struct scan_row *r = &reply->rows[i];
        struct data_row row = {
            .value = r->value, .ttl_ms = r->ttl_ms, .has_ttl = r->ttl_ms > 0, .is_counter = r->is_counter};
        row.key = slice_make(r->key.data + prefix, r->key.size - prefix);
        if (prefix > 0 && !in_bounds(x, row.key)) continue;
        data_row_append(x->kind, &row, &x->out);
        x->rows++;
    }
    struct errbuf err;
    if (x->path == NULL)
        out_bytes(buf_slice(&x->out));
    else if (process_append(x->fd, buf_slice(&x->out), &err) != STATUS_OK)
        export_end(x, cli_fail("%s: %s; nothing is kept of it", x->path, err.text));
    buf_clear(&x->out);
}

static void page_done(void *ctx, const struct client_error *e, const struct scan_reply *reply)
{
    struct export_span *s = ctx;
    struct export *x = s->export;
    if (x->session.done) return;
    if (e->status != STATUS_OK) {
        int code = cli_client_failed("export", e);
        if (e->status == STATUS_TOO_OLD)
            cli_note("a snapshot can be read for as long as former versions are kept (docs/limits.md): `--read strong` "
                     "takes each page as it is then; `quorate backup create` has no such limit");
        export_end(x, code);
        return;
    }
    if (x->how.mode == READ_SNAPSHOT) x->how.ts = reply->mark.ts;
    write_rows(x, reply);
    if (x->session.done) return;
    if (x->path != NULL)
        progress_show(&x->progress, x->session.env, x->rows,
                      x->rows_expected == 0 ? 0 : (double)x->rows / (double)x->rows_expected, false);
    if (reply->more && reply->row_count > 0 && !out_failed()) {
        struct slice last = reply->rows[reply->row_count - 1].key;
        arena_reset(&s->arena);
        uint8_t *above = arena_alloc(&s->arena, last.size + 1);
        memcpy(above, last.data, last.size);
        above[last.size] = 0;
        s->start = slice_make(above, last.size + 1);
        span_ask(s);
        return;
    }
    x->busy--;
    if (out_failed()) x->next = x->span_count;
    go_on(x);
}

static void span_ask(struct export_span *s)
{
    struct export *x = s->export;
    struct client_scan scan = {.start = s->start, .end = s->end, .placed = true, .how = x->how};
    client_scan(x->session.client, x->keyspace, &scan, x->cli->timeout_ms, page_done, s);
}

/* --- the map --- */

static struct slice later(struct slice a, struct slice b)
{
    return slice_cmp(a, b) >= 0 ? a : b;
}
static struct slice earlier_end(struct slice a, struct slice b)
{
    if (a.size == 0 || b.size == 0) return a.size == 0 ? b : a;
    return slice_cmp(a, b) <= 0 ? a : b;
}

static void add_span(struct export *x, const struct range_desc *d)
{
    struct export_span *s = &x->spans[x->span_count];
    *s = (struct export_span){.export = x, .start = d->start, .end = d->end};
    if (x->buckets == 0) {
        s->start = later(d->start, x->start);
        s->end = earlier_end(d->end, x->end);
        if (s->end.size > 0 && slice_cmp(s->start, s->end) >= 0) return;
    }
    s->start = arena_dup_slice(&x->arena, s->start);
    s->end = arena_dup_slice(&x->arena, s->end);
    arena_init(&s->arena, 256);
    x->span_count++;
}

static void on_map(void *ctx, const struct client_error *e, const struct meta_map_reply *map)
{
    struct export *x = ctx;
    x->session.done = true;
    x->session.exit_code = CLI_FAILED;
    if (e->status != STATUS_OK) {
        (void)cli_client_failed("the shard map", e);
    } else if (map->keyspace_count == 0) {
        (void)cli_fail("no keyspace is named '%.*s'; `quorate keyspace list` shows all", (int)x->keyspace.size,
                       (const char *)x->keyspace.data);
    } else {
        x->buckets = map->keyspaces[0].buckets;
        x->spans = arena_zalloc(&x->arena, (map->range_count + 1) * sizeof *x->spans);
        for (size_t i = 0; i < map->range_count; i++) {
            add_span(x, &map->ranges[i]);
            x->rows_expected += map->reports[i].rows;
        }
        x->session.exit_code = CLI_OK;
    }
}

/* --- the command --- */

static int take_arguments(struct export *x, struct arena *keep)
{
    struct cli *c = x->cli;
    struct errbuf err;
    struct scan_action bounds = {.keyspace = x->keyspace};
    const char *format = args_text(&c->args, "format", "ndjson");
    x->kind = strcmp(format, "csv") == 0 ? RECORD_CSV : strcmp(format, "raw") == 0 ? RECORD_RAW : RECORD_LINE;
    if (x->kind == RECORD_LINE && strcmp(format, "ndjson") != 0) return cli_usage("--format: csv, ndjson or raw");
    if (args_number(&c->args, "parallel", 4, 1, PARALLEL_MAX, &x->parallel, &err) != STATUS_OK)
        return cli_usage("%s", err.text);
    scan_bounds_set(&bounds, slice_str(args_text(&c->args, "start", "")), slice_str(args_text(&c->args, "end", "")),
                    slice_str(args_text(&c->args, "prefix", "")), keep);
    x->start = bounds.start;
    x->end = bounds.end;
    x->how = (struct read_how){.mode = READ_SNAPSHOT};
    return args_given(&c->args, "read") || args_given(&c->args, "at") ? cli_read_arguments(c, &x->how) : CLI_OK;
}

static int open_output(struct export *x)
{
    struct errbuf err;
    if (x->path != NULL) {
        if (strlen(x->path) >= sizeof x->temporary - 8) return cli_usage("%s: the name is too long", x->path);
        if (process_file_special(x->path)) return cli_usage("%s is no regular file: `-` is standard output", x->path);
        (void)snprintf(x->temporary, sizeof x->temporary, "%s.part", x->path);
        enum status s = process_file_remove(x->temporary);
        if (s != STATUS_OK && s != STATUS_NOT_FOUND)
            return cli_fail("%s cannot be replaced (%s)", x->temporary, status_text(s));
        x->fd = process_append_open(x->temporary, &err);
        if (x->fd < 0) return cli_fail("%s", err.text);
    }
    if (x->kind == RECORD_CSV) buf_append_str(&x->out, CSV_HEAD);
    if (x->kind == RECORD_RAW) buf_append_str(&x->out, RAW_MAGIC);
    return CLI_OK;
}

/* All of it, or nothing: the name stands for all rows. */
static int close_output(struct export *x, int code)
{
    struct errbuf err;
    int fd = x->fd;
    x->fd = -1;
    if (code != CLI_OK) {
        process_read_close(fd);
        enum status s = process_file_remove(x->temporary);
        return s == STATUS_OK ? code : cli_fail("%s is not whole, and could not be removed", x->temporary);
    }
    if (process_append_keep(fd, x->temporary, x->path, &err) != STATUS_OK) return cli_fail("%s", err.text);
    out_printf("export: %llu rows to %s\n", (unsigned long long)x->rows, x->path);
    return CLI_OK;
}

static int export_rows(struct export *x)
{
    struct scan_reply none = {.rows = NULL};
    int code = open_output(x);
    if (code != CLI_OK) return code;
    progress_begin(&x->progress, x->session.env, "export", x->rows_expected);
    x->session.done = false;
    write_rows(x, &none); /* the head */
    if (!x->session.done) go_on(x);
    code = session_wait(&x->session);
    return x->path == NULL ? code : close_output(x, code);
}

int run_export(struct cli *c)
{
    struct export *x = mem_zalloc(sizeof *x);
    x->cli = c;
    x->fd = -1;
    x->keyspace = slice_str(c->args.words[0]);
    if (c->args.word_count > 1 && strcmp(c->args.words[1], "-") != 0) x->path = c->args.words[1];
    arena_init(&x->arena, 4096);
    buf_init(&x->out, 256u << 20);
    int code = take_arguments(x, &x->arena);
    if (code == CLI_OK) code = session_open(&x->session, c);
    if (code == CLI_OK) {
        client_map(x->session.client, x->keyspace, c->timeout_ms, on_map, x);
        code = session_wait(&x->session);
        if (code == CLI_OK) code = export_rows(x);
        session_close(&x->session);
    }
    for (size_t i = 0; i < x->span_count; i++) arena_free(&x->spans[i].arena);
    if (x->fd >= 0) process_read_close(x->fd);
    buf_free(&x->out);
    arena_free(&x->arena);
    mem_free(x);
    return code;
}
