/* `quorate ledger import FILE`: accounts and transfers, in the order of the file.
 *
 * Lines of JSON: objects as POST /v1/ledger/... takes them; one with debit_account_id or pending_id is a transfer. CSV: the first line names
 * the fields; a row whose debit_account_id or pending_id is not empty is a transfer; flags are divided by '|'.
 * Rows of one kind that follow each other go in batches, one batch after the other. A batch without a certain answer is sent again: ids
 * act once, so the whole import may be repeated too. What is refused goes to a file: line number, reason, the line (TAB between them). */
#include <jansson.h>
#include <stdio.h>

#include "base/mem.h"
#include "cli/http_load.h"
#include "cli/ledger_cli.h"
#include "cli/records.h"
#include "gateway/ledger_json.h"

#define FIELDS_MAX 32u
#define RETRY_MS 120000u

struct import {
    struct ledger_command k;
    struct records in;
    struct rejects rejects;
    struct slice names[FIELDS_MAX];
    size_t name_count;
    bool transfers;
    struct ledger_account *accounts;
    struct ledger_transfer *items;
    struct arena lines_arena;
    struct slice *lines;
    uint64_t *numbers;
    size_t count, batch;
    uint64_t created, there, give_up_ns;
    struct progress progress;
};

/* --- lines --- */

static json_t *flags_json(struct slice text)
{
    json_t *list = json_array();
    while (text.size > 0) {
        const uint8_t *bar = memchr(text.data, '|', text.size);
        size_t size = bar != NULL ? (size_t)(bar - text.data) : text.size;
        json_array_append_new(list, json_stringn((const char *)text.data, size));
        text = bar != NULL ? slice_make(bar + 1, text.size - size - 1) : SLICE_EMPTY;
    }
    return list;
}

/* A row as the object that a line of JSON would hold. */
static json_t *csv_object(struct import *m, struct slice row, struct arena *arena, struct errbuf *err)
{
    json_t *object = json_object();
    struct slice cell;
    size_t i = 0;
    for (; csv_cell(&row, arena, &cell); i++) {
        if (i >= m->name_count) break;
        if (cell.size == 0) continue;
        json_t *value = slice_eq(m->names[i], slice_str("flags")) ? flags_json(cell)
                                                                  : json_stringn((const char *)cell.data, cell.size);
        struct slice name = arena_dup_slice(arena, m->names[i]);
        char text[64];
        snprintf(text, sizeof(text), "%.*s", (int)(name.size < 60 ? name.size : 60), (const char *)name.data);
        if (value == NULL || json_object_set_new(object, text, value) != 0) break;
    }
    if (i == m->name_count) return object;
    errbuf_set(err, "the row has not the %zu fields of the first line", m->name_count);
    json_decref(object);
    return NULL;
}

/* --- batches --- */

static void batch_next(struct import *m);

static void batch_done(void *ctx, const struct client_error *e, const struct ledger_outcome *outcomes, size_t count)
{
    struct import *m = ctx;
    struct env *env = m->k.session.env;
    if (e->status != STATUS_OK) {
        bool again = e->unknown_outcome || e->status == STATUS_TIMEOUT || e->status == STATUS_UNAVAILABLE ||
                     e->status == STATUS_BUSY || e->status == STATUS_RETRY || e->status == STATUS_CLOSED;
        if (again && env_mono_ns(env) < m->give_up_ns)
            batch_next(m);
        else
            ledger_command_end(&m->k, cli_client_failed("the import (it may be repeated)", e));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const struct ledger_outcome *o = &outcomes[i];
        m->created += o->result == LEDGER_CREATED;
        m->there += o->result == LEDGER_EXISTS;
        if (o->result == LEDGER_CREATED || o->result == LEDGER_EXISTS) continue;
        char why[160];
        bool first = o->result == LEDGER_ID_ALREADY_FAILED;
        snprintf(why, sizeof(why), "%s%s%s", ledger_result_name(o->result), first ? ": " : "",
                 first ? ledger_result_name(o->first) : "");
        rejects_add(&m->rejects, m->numbers[i], why, m->lines[i]);
    }
    m->count = 0;
    progress_show(&m->progress, env, m->created + m->there + m->rejects.count, records_done(&m->in), false);
    batch_next(m);
}

/* Takes the line into the batch; false: it is of the other kind, or the batch is full. */
static bool take_line(struct import *m, struct slice line)
{
    struct errbuf err = {.text = "not an object"};
    struct arena arena;
    arena_init(&arena, 1024);
    json_t *tree = m->in.kind == RECORD_CSV
                       ? csv_object(m, line, &arena, &err)
                       : json_loadb((const char *)line.data, line.size, JSON_REJECT_DUPLICATES, NULL);
    struct json_at at = {.value = tree, .path = {.parent = NULL, .name = ""}};
    bool fits = true;
    if (!json_is_object(tree)) {
        rejects_add(&m->rejects, m->in.number, err.text, line);
    } else {
        bool transfer =
            json_object_get(tree, "debit_account_id") != NULL || json_object_get(tree, "pending_id") != NULL;
        fits = m->count == 0 || transfer == m->transfers;
        if (fits) m->transfers = transfer;
        enum status s = !fits      ? STATUS_OK
                        : transfer ? json_want_transfer(&at, &m->items[m->count], &err)
                                   : json_want_account(&at, &m->accounts[m->count], &err);
        if (s != STATUS_OK) {
            rejects_add(&m->rejects, m->in.number, err.text, line);
        } else if (fits) {
            m->lines[m->count] = arena_dup_slice(&m->lines_arena, line);
            m->numbers[m->count++] = m->in.number;
        }
    }
    json_decref(tree);
    arena_free(&arena);
    return fits;
}

/* False: the file cannot be read on, and the import has ended. */
static bool batch_fill(struct import *m)
{
    struct slice line;
    struct errbuf err;
    enum status s = STATUS_OK;
    arena_reset(&m->lines_arena);
    while (m->count < m->batch && (s = records_next(&m->in, &line, &err)) == STATUS_OK) {
        if (take_line(m, line)) continue;
        records_back(&m->in);
        break;
    }
    if (s == STATUS_OK || s == STATUS_END) return true;
    ledger_command_end(&m->k, cli_fail("%s", err.text));
    return false;
}

static void batch_next(struct import *m)
{
    bool fresh = m->count == 0; /* else: the same batch once more */
    if (fresh && !batch_fill(m)) return;
    if (fresh) m->give_up_ns = env_mono_ns(m->k.session.env) + RETRY_MS * NS_PER_MS;
    uint32_t timeout_ms = m->k.session.cli->timeout_ms;
    if (m->count == 0)
        ledger_command_end(&m->k, CLI_OK);
    else if (m->transfers)
        ledger_create_transfers(m->k.ledger, m->items, m->count, timeout_ms, batch_done, m);
    else
        ledger_create_accounts(m->k.ledger, m->accounts, m->count, timeout_ms, batch_done, m);
}

/* --- the command --- */

static int open_file(struct import *m, struct cli *c)
{
    struct errbuf err;
    struct slice first;
    const char *path = c->args.words[0];
    if (records_open(&m->in, path, &err) != STATUS_OK) return cli_fail("%s", err.text);
    if (m->in.kind == RECORD_RAW) return cli_fail("%s holds rows of a keyspace, no transfers: `quorate import`", path);
    rejects_init(&m->rejects, args_text(&c->args, "rejects", NULL), path);
    if (m->in.kind == RECORD_LINE) return CLI_OK;
    enum status s = records_next(&m->in, &first, &err);
    if (s != STATUS_OK) return cli_fail("%s", s == STATUS_END ? "the file is empty" : err.text);
    first = arena_dup_slice(&m->k.arena, first);
    while (m->name_count < FIELDS_MAX && csv_cell(&first, &m->k.arena, &m->names[m->name_count])) m->name_count++;
    return CLI_OK;
}

static int tell(const struct import *m, int code)
{
    uint64_t refused = m->rejects.count;
    out_printf("import: %llu created, %llu were there already, %llu refused%s%s\n", (unsigned long long)m->created,
               (unsigned long long)m->there, (unsigned long long)refused, refused > 0 ? ": see " : "",
               refused > 0 ? m->rejects.path : "");
    if (refused == 0) return code;
    if (m->rejects.failed) return cli_fail("%s could not be written", m->rejects.path);
    return code == CLI_OK ? CLI_FAILED : code;
}

int run_ledger_import(struct cli *c)
{
    struct import m;
    struct errbuf err;
    uint64_t batch = 0;
    memset(&m, 0, sizeof(m));
    m.rejects.fd = -1;
    if (args_number(&c->args, "batch", LEDGER_BATCH_MAX, 1, LEDGER_BATCH_MAX, &batch, &err) != STATUS_OK) {
        return cli_usage("%s", err.text);
    }
    int code = ledger_command_open(&m.k, c);
    if (code != CLI_OK) return code;
    m.batch = (size_t)batch;
    m.accounts = mem_zalloc(m.batch * sizeof(*m.accounts));
    m.items = mem_zalloc(m.batch * sizeof(*m.items));
    m.lines = mem_zalloc(m.batch * sizeof(*m.lines));
    m.numbers = mem_zalloc(m.batch * sizeof(*m.numbers));
    arena_init(&m.lines_arena, 65536);
    code = open_file(&m, c);
    bool opened = code == CLI_OK;
    if (opened) {
        progress_begin(&m.progress, m.k.session.env, "import", m.in.size);
        batch_next(&m);
    } else {
        ledger_command_end(&m.k, code);
    }
    code = ledger_command_close(&m.k);
    if (opened) code = tell(&m, code);
    records_close(&m.in);
    rejects_close(&m.rejects);
    arena_free(&m.lines_arena);
    mem_free(m.accounts);
    mem_free(m.items);
    mem_free(m.lines);
    mem_free(m.numbers);
    return code;
}
