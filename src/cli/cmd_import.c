/* quorate import KEYSPACE FILE: rows of CSV, lines of JSON or raw rows, each put as it is; harmless when repeated.
 *
 * Rows go to lanes by the range that holds their key, so that a batch is one entry of one range's log and the later one of two rows of a key
 * wins. A lane's batch:
 *
 *   FILLING --full, or the file ends--> ASKED --answered--> FILLING
 *                                       |  ^ \--refused--> its rows one by one: who is refused alone goes to the rejects
 *            no certain answer: again --+--+
 *
 * A lane that is full while it waits holds up the reading. */
#include <stdio.h>

#include "base/hash.h"
#include "base/mem.h"
#include "cli/admin_int.h"
#include "cli/data_row.h"
#include "cli/http_load.h"

#define LANES_MAX 256u
#define BATCH_BYTES_MAX (512u << 10)
#define RETRY_NS (120000 * NS_PER_MS)
#define REST_NS (50 * NS_PER_MS)

struct import_row {
    struct data_row row;
    uint64_t number;
    struct slice record;
};

struct import_lane {
    struct import *import;
    struct arena arena;
    struct import_row *rows;
    size_t count, bytes;
    size_t sent_from, sent; /* rows of the transaction under way; sent 0: none */
    bool singly;            /* what is left goes row by row */
    bool resting;
    uint64_t began_ns, again_ns;
};

struct import {
    struct actor actor;
    struct session session;
    struct cli *cli;
    struct arena arena;
    struct records in;
    struct csv_columns columns;
    struct rejects rejects;
    struct progress progress;
    struct slice keyspace;
    uint32_t buckets;
    struct slice *starts; /* of its ranges, ascending; none: by buckets */
    size_t lane_count;
    struct import_lane *lanes;
    size_t batch, asked;
    bool ended; /* nothing more is read */
    uint64_t stored, there;
    bool if_absent;
};

static void import_fail(struct import *m, int code)
{
    m->session.exit_code = code;
    m->session.done = true;
}

/* --- lanes --- */

static struct import_lane *lane_of(struct import *m, struct slice key)
{
    if (m->buckets > 0) return &m->lanes[hash_bytes(key, 0) % m->buckets % m->lane_count];
    size_t low = 0, high = m->lane_count;
    while (low + 1 < high) {
        size_t middle = (low + high) / 2;
        if (slice_cmp(m->starts[middle], key) <= 0)
            low = middle;
        else
            high = middle;
    }
    return &m->lanes[low];
}

static void lane_clear(struct import_lane *l)
{
    arena_reset(&l->arena);
    l->rows = NULL;
    l->count = l->bytes = l->sent_from = l->sent = 0;
    l->singly = false;
}

/* Counters, and rows that must not be there, are transactions of their own: each has its condition. */
static bool needs_own(const struct import *m, const struct data_row *r)
{
    return r->is_counter || m->if_absent;
}

static void lane_done(void *ctx, const struct client_error *e, const struct txn_result *r);

static void lane_send(struct import_lane *l)
{
    struct import *m = l->import;
    const struct data_row *first = &l->rows[l->sent_from].row;
    l->sent = l->singly || needs_own(m, first) ? 1 : l->count - l->sent_from;
    for (size_t i = 1; i < l->sent; i++) {
        if (needs_own(m, &l->rows[l->sent_from + i].row)) l->sent = i;
    }
    struct txn_op *ops = arena_zalloc(&l->arena, l->sent * sizeof *ops + sizeof(i128));
    ops = (struct txn_op *)(void *)(((uintptr_t)ops + _Alignof(struct txn_op) - 1) / _Alignof(struct txn_op) *
                                    _Alignof(struct txn_op));
    for (size_t i = 0; i < l->sent; i++) {
        const struct data_row *r = &l->rows[l->sent_from + i].row;
        ops[i] = (struct txn_op){
            .kind = TXN_PUT, .key = r->key, .value = r->value, .has_ttl = r->has_ttl, .ttl_ms = r->ttl_ms};
        if (!r->is_counter) continue;
        ops[i] = (struct txn_op){.kind = TXN_ADD, .key = r->key, .min = I128_MIN, .max = I128_MAX};
        if (!i128_parse(r->value, &ops[i].delta)) continue; /* looked at when it was read */
    }
    struct txn_op get = {.kind = TXN_GET, .key = first->key};
    struct txn_compare absent = {.target = TXN_TARGET_EXISTS, .relation = TXN_EQUAL, .key = first->key, .version = 0};
    struct txn t = {.ops = ops, .op_count = l->sent};
    if (needs_own(m, first)) {
        t.compares = &absent;
        t.compare_count = 1;
        t.else_ops = &get;
        t.else_count = 1;
    }
    l->resting = false;
    client_txn(m->session.client, m->keyspace, &t, m->cli->timeout_ms, lane_done, l);
}

static void lane_begin(struct import_lane *l)
{
    l->import->asked++;
    l->began_ns = env_mono_ns(l->import->session.env);
    lane_send(l);
}

static bool is_passing(const struct client_error *e)
{
    return e->unknown_outcome || e->status == STATUS_TIMEOUT || e->status == STATUS_UNAVAILABLE ||
           e->status == STATUS_BUSY || e->status == STATUS_RETRY || e->status == STATUS_CLOSED ||
           e->status == STATUS_NOT_LEADER || e->status == STATUS_NO_SPACE;
}

/* The rows sent are settled; on with those behind them. */
static void lane_next(struct import_lane *l)
{
    l->sent_from += l->sent;
    l->sent = 0;
    if (l->sent_from < l->count) {
        l->began_ns = env_mono_ns(l->import->session.env);
        lane_send(l);
        return;
    }
    lane_clear(l);
    l->import->asked--;
}

static void lane_done(void *ctx, const struct client_error *e, const struct txn_result *r)
{
    struct import_lane *l = ctx;
    struct import *m = l->import;
    struct env *env = m->session.env;
    enum status s = e->status != STATUS_OK ? e->status : r->status;
    env->ops->wake(env);
    if (e->status != STATUS_OK && is_passing(e)) {
        if (env_mono_ns(env) >= l->began_ns + RETRY_NS) {
            import_fail(m, cli_client_failed("the import (it may be repeated)", e));
            return;
        }
        l->resting = true;
        l->again_ns = env_mono_ns(env) + REST_NS;
    } else if (e->status == STATUS_NOT_FOUND || e->status == STATUS_FORBIDDEN || e->status == STATUS_WRONG_CLUSTER) {
        import_fail(m, cli_client_failed("the import", e));
    } else if (s != STATUS_OK && l->sent > 1) {
        l->singly = true;
        lane_send(l);
    } else {
        const struct import_row *row = &l->rows[l->sent_from];
        if (s != STATUS_OK)
            rejects_add(&m->rejects, row->number, status_text(s), row->record);
        else if (r->succeeded)
            m->stored += l->sent;
        else
            m->there += l->sent;
        lane_next(l);
    }
}

/* --- reading --- */

/* A key that is in the batch already has its row replaced. */
static void lane_add(struct import_lane *l, const struct data_row *row, uint64_t number, struct slice record)
{
    struct import *m = l->import;
    if (l->rows == NULL) l->rows = arena_zalloc(&l->arena, m->batch * sizeof *l->rows);
    size_t at = 0;
    while (at < l->count && !slice_eq(l->rows[at].row.key, row->key)) at++;
    struct import_row *r = &l->rows[at];
    if (at == l->count)
        l->count++;
    else
        m->stored++; /* what is replaced counts as done */
    *r = (struct import_row){.row = *row, .number = number, .record = arena_dup_slice(&l->arena, record)};
    r->row.key = arena_dup_slice(&l->arena, row->key);
    r->row.value = arena_dup_slice(&l->arena, row->value);
    l->bytes += row->key.size + row->value.size;
}

static bool lane_full(const struct import_lane *l)
{
    return l->count == l->import->batch || l->bytes >= BATCH_BYTES_MAX;
}

/* False: its lane is full and waits; the record comes again. */
static bool take(struct import *m, struct slice record)
{
    struct arena arena;
    struct errbuf err = {{0}};
    struct data_row row;
    bool taken = true;
    arena_init(&arena, 4096);
    if (data_row_parse(m->in.kind, &m->columns, record, &arena, &row, &err) != STATUS_OK) {
        rejects_add(&m->rejects, m->in.number, err.text, m->in.kind == RECORD_RAW ? SLICE_EMPTY : record);
    } else {
        struct import_lane *l = lane_of(m, row.key);
        taken = l->sent == 0;
        if (taken) lane_add(l, &row, m->in.number, m->in.kind == RECORD_RAW ? SLICE_EMPTY : record);
        if (taken && lane_full(l)) lane_begin(l);
    }
    arena_free(&arena);
    return taken;
}

static void read_on(struct import *m)
{
    struct slice record;
    struct errbuf err;
    while (!m->ended && !m->session.done) {
        enum status s = records_next(&m->in, &record, &err);
        if (s != STATUS_OK && s != STATUS_END) import_fail(m, cli_fail("%s", err.text));
        m->ended = s != STATUS_OK;
        if (m->ended) break;
        if (take(m, record)) continue;
        records_back(&m->in);
        return;
    }
    for (size_t i = 0; i < m->lane_count && !m->session.done; i++) {
        if (m->lanes[i].count > 0 && m->lanes[i].sent == 0) lane_begin(&m->lanes[i]);
    }
    if (m->asked == 0) m->session.done = true;
}

static uint64_t import_pass(struct actor *a, uint64_t now_ns)
{
    struct import *m = LIST_ENTRY(a, struct import, actor);
    uint64_t next = DEADLINE_NONE;
    if (m->session.done) return next;
    for (size_t i = 0; i < m->lane_count; i++) {
        struct import_lane *l = &m->lanes[i];
        if (!l->resting) continue;
        if (now_ns >= l->again_ns)
            lane_send(l);
        else if (l->again_ns < next)
            next = l->again_ns;
    }
    read_on(m);
    progress_show(&m->progress, m->session.env, m->stored + m->there + m->rejects.count, records_done(&m->in), false);
    return next;
}

/* --- the command --- */

static void on_map(void *ctx, const struct client_error *e, const struct meta_map_reply *map)
{
    struct import *m = ctx;
    m->session.done = true;
    m->session.exit_code = CLI_FAILED;
    if (e->status != STATUS_OK) {
        (void)cli_client_failed("the shard map", e);
    } else if (map->keyspace_count == 0) {
        (void)cli_fail("no keyspace is named '%.*s'; `quorate keyspace create` makes one", (int)m->keyspace.size,
                       (const char *)m->keyspace.data);
    } else {
        m->buckets = map->keyspaces[0].buckets;
        m->lane_count = m->buckets > 0 ? m->buckets : map->range_count < LANES_MAX ? map->range_count : LANES_MAX;
        m->starts = arena_zalloc(&m->arena, (m->lane_count + 1) * sizeof *m->starts);
        for (size_t i = 0; i < m->lane_count && m->buckets == 0; i++) {
            const struct range_desc *d = &map->ranges[i * map->range_count / m->lane_count];
            m->starts[i] = i == 0 ? SLICE_EMPTY : arena_dup_slice(&m->arena, d->start);
        }
        m->session.exit_code = m->lane_count > 0 ? CLI_OK : cli_fail("the keyspace has no ranges yet");
    }
}

static int open_file(struct import *m)
{
    struct errbuf err;
    struct slice first;
    const char *path = m->cli->args.words[1], *format = args_text(&m->cli->args, "format", "");
    if (records_open(&m->in, path, &err) != STATUS_OK) return cli_fail("%s", err.text);
    if (strcmp(format, "csv") == 0 || strcmp(format, "ndjson") == 0)
        m->in.kind = format[0] == 'c' ? RECORD_CSV : RECORD_LINE;
    else if (format[0] != '\0' && strcmp(format, "raw") != 0)
        return cli_usage("--format: csv, ndjson or raw");
    else if (format[0] == 'r' && m->in.kind != RECORD_RAW)
        return cli_fail("%s does not begin as a raw file does", path);
    if (rejects_init(&m->rejects, args_text(&m->cli->args, "rejects", NULL), path, &m->in, &err) != STATUS_OK)
        return cli_usage("%s", err.text);
    if (m->in.kind != RECORD_CSV) return CLI_OK;
    m->columns.key = args_text(&m->cli->args, "key", "key");
    m->columns.value = args_text(&m->cli->args, "value", "value");
    enum status s = records_next(&m->in, &first, &err);
    if (s == STATUS_END) return cli_fail("%s is empty", path);
    if (s == STATUS_OK) s = csv_columns_read(&m->columns, first, &m->arena, &err);
    return s == STATUS_OK ? CLI_OK : cli_fail("%s: %s", path, err.text);
}

static int run_lanes(struct import *m)
{
    m->lanes = mem_zalloc(m->lane_count * sizeof *m->lanes);
    for (size_t i = 0; i < m->lane_count; i++) {
        m->lanes[i].import = m;
        arena_init(&m->lanes[i].arena, 4096);
    }
    m->session.done = false;
    m->actor.pass = import_pass;
    progress_begin(&m->progress, m->session.env, "import", m->in.size);
    m->session.env->ops->attach(m->session.env, &m->actor);
    m->session.env->ops->wake(m->session.env);
    int code = session_wait(&m->session);
    m->session.env->ops->detach(m->session.env, &m->actor);
    uint64_t refused = m->rejects.count;
    if (m->cli->output == OUTPUT_JSON)
        out_printf("{\"stored\":%llu,\"there\":%llu,\"refused\":%llu}\n", (unsigned long long)m->stored,
                   (unsigned long long)m->there, (unsigned long long)refused);
    else
        out_printf("import: %llu rows stored, %llu were there already, %llu refused%s%s\n",
                   (unsigned long long)m->stored, (unsigned long long)m->there, (unsigned long long)refused,
                   refused > 0 ? ": see " : "", refused > 0 ? m->rejects.path : "");
    if (m->rejects.failed && refused > 0) code = cli_fail("%s could not be written", m->rejects.path);
    return code == CLI_OK && refused > 0 ? CLI_FAILED : code;
}

int run_import(struct cli *c)
{
    struct import *m = mem_zalloc(sizeof *m);
    struct errbuf err;
    uint64_t batch;
    m->cli = c;
    m->rejects.fd = -1;
    m->keyspace = slice_str(c->args.words[0]);
    m->if_absent = args_switch(&c->args, "if-absent");
    arena_init(&m->arena, 4096);
    int code = args_number(&c->args, "batch", 128, 1, LIMIT_TXN_OPS, &batch, &err) == STATUS_OK
                   ? session_open(&m->session, c)
                   : cli_usage("%s", err.text);
    if (code != CLI_OK) {
        arena_free(&m->arena);
        mem_free(m);
        return code;
    }
    m->batch = (size_t)batch;
    code = open_file(m);
    if (code == CLI_OK) client_map(m->session.client, m->keyspace, c->timeout_ms, on_map, m);
    if (code == CLI_OK) code = session_wait(&m->session);
    if (code == CLI_OK) code = run_lanes(m);
    session_close(&m->session);
    for (size_t i = 0; m->lanes != NULL && i < m->lane_count; i++) arena_free(&m->lanes[i].arena);
    mem_free(m->lanes);
    records_close(&m->in);
    rejects_close(&m->rejects);
    arena_free(&m->arena);
    mem_free(m);
    return code;
}
