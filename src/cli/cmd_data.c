/* get, put, del, scan, txn: straight to the storage nodes through the client, without a gateway. */
#include "base/mem.h"
#include "cli/cli_int.h"
#include "cli/files.h"
#include "gateway/answer.h"
#include "gateway/json_out.h"
#include "gateway/uri.h"

struct data_call {
    struct session session;
    struct kv_action kv;
    struct scan_action scan;
    struct client_scan page;
    struct arena arena;
    uint64_t rows_left;
    uint64_t rows;
};

static int data_end(struct data_call *d, int code)
{
    d->session.exit_code = code;
    d->session.done = true;
    return code;
}

static int data_open(struct data_call *d, struct cli *c)
{
    memset(d, 0, sizeof(*d));
    arena_init(&d->arena, 4096);
    return session_open(&d->session, c);
}

static int data_close(struct data_call *d)
{
    int code = session_wait(&d->session);
    session_close(&d->session);
    arena_free(&d->arena);
    return code;
}

static void print_answer(struct answer *a)
{
    out_bytes(answer_body(a));
    answer_free(a);
}

/* --read and what goes with it; CLI_OK or an exit code. */
int cli_read_arguments(struct cli *c, struct read_how *how)
{
    static const char *const names[] = {"read", "at", "max-staleness-ms", "replica"};
    struct slice words[4];
    struct errbuf err;
    for (int i = 0; i < 4; i++) words[i] = slice_str(args_text(&c->args, names[i], ""));
    struct read_words w = {.mode = words[0],
                           .has_mode = args_given(&c->args, names[0]),
                           .at = words[1],
                           .has_at = args_given(&c->args, names[1]),
                           .max_staleness_ms = words[2],
                           .has_max_staleness_ms = args_given(&c->args, names[2]),
                           .replica = words[3],
                           .has_replica = args_given(&c->args, names[3])};
    return read_how_parse(&w, how, &err) == STATUS_OK
               ? CLI_OK
               : cli_usage("%s (--read, --at, --max-staleness-ms, --replica)", err.text);
}

/* --- get --- */

static void get_done(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct data_call *d = ctx;
    if (e->status != STATUS_OK) {
        data_end(d, cli_client_failed("get", e));
    } else if (!reply->found) {
        data_end(d, cli_fail("no such key"));
    } else if (d->session.cli->output == OUTPUT_JSON) {
        struct buf b;
        buf_init(&b, ANSWER_BODY_MAX);
        json_open(&b, '{');
        json_bytes(&b, "key", d->kv.key, false);
        json_bytes(&b, "value", reply->value, false);
        json_key(&b, "version");
        json_u64_text(&b, reply->version);
        json_read_mark(&b, &reply->mark);
        json_close(&b, '}');
        buf_append_byte(&b, '\n');
        out_buf(&b);
        buf_free(&b);
        data_end(d, CLI_OK);
    } else {
        out_bytes(reply->value); /* the bytes as they are; for a person with a line end */
        if (d->session.cli->output == OUTPUT_TABLE) out_bytes(slice_str("\n"));
        data_end(d, CLI_OK);
    }
}

/* Keyspace, key and conditions from the command line; CLI_OK or an exit code. */
static int kv_arguments(struct data_call *d, struct cli *c, enum http_method method)
{
    struct errbuf err;
    const char *id = args_text(&c->args, "id", NULL);
    const char *version = args_text(&c->args, "if-version", NULL);
    d->kv = (struct kv_action){
        .method = method, .keyspace = slice_str(c->args.words[0]), .key = slice_str(c->args.words[1])};
    if (check_keyspace_name(d->kv.keyspace, &err) != STATUS_OK || check_key(d->kv.key, &err) != STATUS_OK)
        return cli_usage("%s", err.text);
    if (id != NULL && parse_idempotency_key(slice_str(id), &d->kv.id, &err) != STATUS_OK)
        return cli_usage("--id: %s", err.text);
    if (version != NULL && parse_etag("--if-version", version, &d->kv.if_match, &err) != STATUS_OK)
        return cli_usage("%s", err.text);
    const char *ttl = args_text(&c->args, "ttl", NULL);
    d->kv.has_ttl = ttl != NULL;
    if (ttl != NULL && !text_to_duration_ms(slice_str(ttl), LIMIT_TTL_MS, &d->kv.ttl_ms))
        return cli_usage("--ttl %s: expected a duration as 500ms, 30s, 24h, 7d or none", ttl);
    if (args_switch(&c->args, "if-absent")) d->kv.if_none_match = (struct precondition){.present = true, .any = true};
    if (d->kv.if_match.present && d->kv.if_none_match.present)
        return cli_usage("--if-version and --if-absent exclude each other");
    return CLI_OK;
}

int run_get(struct cli *c)
{
    struct data_call d;
    int code = data_open(&d, c);
    if (code != CLI_OK) return code;
    code = kv_arguments(&d, c, HTTP_GET);
    if (code == CLI_OK) code = cli_read_arguments(c, &d.kv.how);
    if (code == CLI_OK)
        client_get_how(d.session.client, d.kv.keyspace, d.kv.key, &d.kv.how, c->timeout_ms, get_done, &d);
    else
        data_end(&d, code);
    return data_close(&d);
}

/* --- put, del --- */

static void write_done(void *ctx, const struct client_error *e, const struct txn_result *r)
{
    struct data_call *d = ctx;
    if (e->status != STATUS_OK) {
        data_end(d, cli_client_failed(d->kv.method == HTTP_PUT ? "put" : "del", e));
        return;
    }
    bool deleted = r->op_count > 0 && r->ops[0].found;
    if (d->session.cli->output == OUTPUT_JSON) {
        struct answer a;
        answer_init(&a);
        answer_write(&a, &d->kv, r);
        print_answer(&a);
    } else if (r->status != STATUS_OK) {
        cli_fail("%s", status_text(r->status));
    } else if (d->kv.method == HTTP_DELETE) {
        out_printf("%s\n", deleted ? "deleted" : "it was not there");
    } else {
        out_printf("version %llu%s\n", (unsigned long long)r->ts, r->replayed ? " (answer of an earlier attempt)" : "");
    }
    data_end(d, r->status == STATUS_OK ? CLI_OK : CLI_FAILED);
}

static int run_write(struct cli *c, enum http_method method)
{
    struct data_call d;
    struct buf value;
    int code = data_open(&d, c);
    if (code != CLI_OK) return code;
    buf_init(&value, LIMIT_VALUE_BYTES + 1);
    code = kv_arguments(&d, c, method);
    if (code == CLI_OK && method == HTTP_PUT) {
        struct errbuf err;
        if (strcmp(c->args.words[2], "-") != 0)
            buf_append_str(&value, c->args.words[2]);
        else if (file_read_all("-", &value, &err) != STATUS_OK)
            code = cli_fail("%s", err.text);
        if (value.overflow || value.size > LIMIT_VALUE_BYTES)
            code = cli_fail("the value is larger than the limit of %u bytes", LIMIT_VALUE_BYTES);
        d.kv.value = value.size > 0 ? buf_slice(&value) : SLICE_EMPTY;
    }
    if (code == CLI_OK) {
        struct txn t;
        kv_action_txn(&d.kv, &d.arena, &t);
        client_txn(d.session.client, d.kv.keyspace, &t, c->timeout_ms, write_done, &d);
    } else {
        data_end(&d, code);
    }
    buf_free(&value);
    return data_close(&d);
}

int run_put(struct cli *c)
{
    return run_write(c, HTTP_PUT);
}

int run_del(struct cli *c)
{
    return run_write(c, HTTP_DELETE);
}

/* --- scan: page after page until the end or the limit --- */

static void scan_start(struct data_call *d);

static void print_rows(const struct data_call *d, const struct scan_reply *reply)
{
    static const char *const heads[] = {"KEY", "VALUE", "VERSION"};
    enum output output = d->session.cli->output;
    struct buf b;
    buf_init(&b, ANSWER_BODY_MAX);
    if (output == OUTPUT_TABLE) {
        struct text_table t;
        text_table_init(&t, heads, 3);
        for (size_t i = 0; i < reply->row_count; i++) {
            text_table_cell_bytes(&t, reply->rows[i].key, 48);
            text_table_cell_bytes(&t, reply->rows[i].value, 60);
            text_table_cell(&t, "%llu", (unsigned long long)reply->rows[i].version);
        }
        if (reply->row_count > 0) text_table_write(&t, output, &b);
        text_table_free(&t);
    }
    for (size_t i = 0; i < reply->row_count && output != OUTPUT_TABLE; i++) {
        const struct scan_row *row = &reply->rows[i];
        if (output == OUTPUT_PLAIN) {
            text_escape(&b, row->key);
            if (!d->page.keys_only) buf_append_byte(&b, '\t');
            if (!d->page.keys_only) text_escape(&b, row->value);
        } else {
            json_open(&b, '{');
            json_bytes(&b, "key", row->key, false);
            if (!d->page.keys_only) json_bytes(&b, "value", row->value, false);
            json_key(&b, "version");
            json_u64_text(&b, row->version);
            json_read_mark(&b, &reply->mark);
            json_close(&b, '}');
        }
        buf_append_byte(&b, '\n');
    }
    out_buf(&b);
    buf_free(&b);
}

/* The next page begins just above the last key, or ends before it. */
static void scan_advance(struct data_call *d, struct slice last)
{
    arena_reset(&d->arena);
    if (d->page.reverse) {
        d->page.end = arena_dup_slice(&d->arena, last);
        d->page.start = arena_dup_slice(&d->arena, d->scan.start);
        return;
    }
    uint8_t *above = arena_alloc(&d->arena, last.size + 1);
    memcpy(above, last.data, last.size);
    above[last.size] = 0;
    d->page.start = slice_make(above, last.size + 1);
}

static void scan_done(void *ctx, const struct client_error *e, const struct scan_reply *reply)
{
    struct data_call *d = ctx;
    if (e->status != STATUS_OK) {
        data_end(d, cli_client_failed("scan", e));
        return;
    }
    print_rows(d, reply);
    if (d->page.how.mode == READ_SNAPSHOT) d->page.how.ts = reply->mark.ts; /* one instant for all pages */
    d->rows += reply->row_count;
    if (d->rows_left != 0) {
        d->rows_left -= reply->row_count < d->rows_left ? reply->row_count : d->rows_left;
        if (d->rows_left == 0) {
            data_end(d, CLI_OK);
            return;
        }
    }
    if (!reply->more || reply->row_count == 0 || out_failed()) {
        data_end(d, CLI_OK);
        return;
    }
    scan_advance(d, reply->rows[reply->row_count - 1].key);
    scan_start(d);
}

static void scan_start(struct data_call *d)
{
    d->page.limit_rows = d->rows_left != 0 && d->rows_left < LIMIT_SCAN_ROWS ? (uint32_t)d->rows_left : LIMIT_SCAN_ROWS;
    client_scan(d->session.client, d->scan.keyspace, &d->page, d->session.cli->timeout_ms, scan_done, d);
}

/* The bounds are worked out by the gateway's parser from the same words; here they come as flags. */
static int scan_arguments(struct data_call *d, struct cli *c, struct arena *keep)
{
    struct errbuf err;
    const char *prefix = args_text(&c->args, "prefix", "");
    d->scan.keyspace = slice_str(c->args.words[0]);
    if (check_keyspace_name(d->scan.keyspace, &err) != STATUS_OK) return cli_usage("%s", err.text);
    if (args_number(&c->args, "limit", 0, 1, INT64_MAX, &d->rows_left, &err) != STATUS_OK)
        return cli_usage("%s", err.text);
    scan_bounds_set(&d->scan, slice_str(args_text(&c->args, "start", "")), slice_str(args_text(&c->args, "end", "")),
                    slice_str(prefix), keep);
    d->page = (struct client_scan){.start = d->scan.start,
                                   .end = d->scan.end,
                                   .reverse = args_switch(&c->args, "reverse"),
                                   .keys_only = args_switch(&c->args, "keys-only")};
    return cli_read_arguments(c, &d->page.how);
}

int run_scan(struct cli *c)
{
    struct data_call d;
    struct arena keep;
    int code = data_open(&d, c);
    if (code != CLI_OK) return code;
    arena_init(&keep, 1024);
    code = scan_arguments(&d, c, &keep);
    if (code != CLI_OK)
        data_end(&d, code);
    else if (d.scan.empty)
        data_end(&d, CLI_OK);
    else
        scan_start(&d);
    code = data_close(&d);
    arena_free(&keep);
    return code;
}

/* --- txn --- */

static void txn_done(void *ctx, const struct client_error *e, const struct txn_result *r)
{
    struct data_call *d = ctx;
    if (e->status != STATUS_OK) {
        data_end(d, cli_client_failed("txn", e));
        return;
    }
    struct answer a;
    answer_init(&a);
    answer_txn(&a, r);
    print_answer(&a);
    data_end(d, r->status == STATUS_OK ? CLI_OK : CLI_FAILED);
}

int run_txn(struct cli *c)
{
    struct data_call d;
    struct buf body;
    struct errbuf err;
    struct txn_action action = {.tree = NULL};
    int code = data_open(&d, c);
    if (code != CLI_OK) return code;
    buf_init(&body, LIMIT_HTTP_BODY_BYTES);
    if (file_read_all(c->args.words[0], &body, &err) != STATUS_OK) {
        data_end(&d, cli_fail("%s", err.text));
    } else {
        struct input in = {.method = HTTP_POST, .path = SLICE_EMPTY, .query = SLICE_EMPTY, .body = buf_slice(&body)};
        if (parse_txn(&in, &d.arena, &action, &err) != STATUS_OK)
            data_end(&d, cli_fail("%s: %s", c->args.words[0], err.text));
        else
            client_txn(d.session.client, action.keyspace, &action.txn, c->timeout_ms, txn_done, &d);
    }
    json_decref(action.tree);
    buf_free(&body);
    return data_close(&d);
}
