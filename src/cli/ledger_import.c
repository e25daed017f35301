/* `quorate ledger import FILE`: accounts and transfers, in the order of the file.
 *
 * Lines of JSON: objects as POST /v1/ledger/... takes them; one with debit_account_id or pending_id is a transfer. CSV: the first line names
 * the fields; a row whose debit_account_id or pending_id is not empty is a transfer; flags are divided by '|'.
 * Rows of one kind that follow each other go in batches, one batch after the other. A batch without a certain answer is sent again: ids
 * act once, so the whole import may be repeated too. What is refused goes to a file: line number, reason, the line (TAB between them). */
#include <jansson.h>
#include <stdio.h>

#include "base/mem.h"
#include "cli/files.h"
#include "cli/http_load.h"
#include "cli/ledger_cli.h"
#include "env_posix/process.h"
#include "gateway/ledger_json.h"

#define FILE_BYTES_MAX (1u << 30)
#define FIELDS_MAX 32u
#define RETRY_MS 120000u

struct import {
    struct ledger_command k;
    struct buf file, rejects;
    size_t at, line;
    bool csv;
    struct slice names[FIELDS_MAX];
    size_t name_count;
    bool transfers;
    struct ledger_account *accounts;
    struct ledger_transfer *items;
    struct slice *lines;
    size_t *numbers;
    size_t count, batch;
    uint64_t created, there, refused, give_up_ns;
    struct progress progress;
};

/* --- lines --- */

static bool next_line(struct import *m, struct slice *line)
{
    while (m->at < m->file.size) {
        const uint8_t *start = m->file.data + m->at;
        const uint8_t *end = memchr(start, '\n', m->file.size - m->at);
        size_t size = end != NULL ? (size_t)(end - start) : m->file.size - m->at;
        m->at += size + 1;
        m->line++;
        if (size > 0 && start[size - 1] == '\r') size--;
        *line = slice_make(start, size);
        if (size > 0) return true;
    }
    return false;
}

/* The next cell of a CSV row: plain, or in quotes with quotes doubled (RFC 4180, without line ends in cells). */
static bool next_cell(struct slice *row, struct arena *arena, struct slice *cell)
{
    if (row->data == NULL) return false;
    struct slice r = *row;
    if (r.size > 0 && r.data[0] == '"') {
        uint8_t *text = arena_alloc(arena, r.size);
        size_t size = 0, i = 1;
        while (i < r.size && !(r.data[i] == '"' && !(i + 1 < r.size && r.data[i + 1] == '"'))) {
            if (r.data[i] == '"') i++;
            text[size++] = r.data[i++];
        }
        *cell = slice_make(text, size);
        i++;
        *row = i < r.size ? slice_make(r.data + i + 1, r.size - i - 1) : (struct slice){.data = NULL};
        return true;
    }
    const uint8_t *comma = r.size > 0 ? memchr(r.data, ',', r.size) : NULL;
    *cell = slice_make(r.data, comma != NULL ? (size_t)(comma - r.data) : r.size);
    *row = comma != NULL ? slice_make(comma + 1, r.size - cell->size - 1) : (struct slice){.data = NULL};
    return true;
}

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
    for (; next_cell(&row, arena, &cell); i++) {
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

static void reject(struct import *m, size_t number, struct slice line, const char *why)
{
    m->refused++;
    buf_printf(&m->rejects, "%zu\t%s\t", number, why);
    buf_append_slice(&m->rejects, line);
    buf_append_byte(&m->rejects, '\n');
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
        reject(m, m->numbers[i], m->lines[i], why);
    }
    m->count = 0;
    progress_show(&m->progress, env, m->created + m->there + m->refused, (double)m->at / (double)m->file.size, false);
    batch_next(m);
}

/* Takes the line into the batch; false: it is of the other kind, or the batch is full. */
static bool take_line(struct import *m, struct slice line)
{
    struct errbuf err = {.text = "not an object"};
    struct arena arena;
    arena_init(&arena, 1024);
    json_t *tree = m->csv ? csv_object(m, line, &arena, &err)
                          : json_loadb((const char *)line.data, line.size, JSON_REJECT_DUPLICATES, NULL);
    struct json_at at = {.value = tree, .path = {.parent = NULL, .name = ""}};
    bool fits = true;
    if (!json_is_object(tree)) {
        reject(m, m->line, line, err.text);
    } else {
        bool transfer =
            json_object_get(tree, "debit_account_id") != NULL || json_object_get(tree, "pending_id") != NULL;
        fits = m->count == 0 || transfer == m->transfers;
        if (fits) m->transfers = transfer;
        enum status s = !fits      ? STATUS_OK
                        : transfer ? json_want_transfer(&at, &m->items[m->count], &err)
                                   : json_want_account(&at, &m->accounts[m->count], &err);
        if (s != STATUS_OK) {
            reject(m, m->line, line, err.text);
        } else if (fits) {
            m->lines[m->count] = line;
            m->numbers[m->count++] = m->line;
        }
    }
    json_decref(tree);
    arena_free(&arena);
    return fits;
}

static void batch_next(struct import *m)
{
    struct slice line;
    size_t at = m->at, number = m->line;
    bool fresh = m->count == 0; /* else: the same batch once more */
    while (fresh && m->count < m->batch && next_line(m, &line)) {
        if (!take_line(m, line)) {
            m->at = at;
            m->line = number;
            break;
        }
        at = m->at;
        number = m->line;
    }
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

static int read_file(struct import *m, struct cli *c)
{
    struct errbuf err;
    struct slice first;
    buf_init(&m->file, FILE_BYTES_MAX);
    if (file_read_all(c->args.words[0], &m->file, &err) != STATUS_OK) return cli_fail("%s", err.text);
    if (m->file.size == 0) return cli_fail("%s is empty", c->args.words[0]);
    m->csv = m->file.data[0] != '{';
    if (!m->csv || !next_line(m, &first)) return CLI_OK;
    while (m->name_count < FIELDS_MAX && next_cell(&first, &m->k.arena, &m->names[m->name_count])) m->name_count++;
    return CLI_OK;
}

static int write_rejects(struct import *m, struct cli *c, int code)
{
    char own[1024];
    struct errbuf err;
    snprintf(own, sizeof(own), "%.1000s.rejects", c->args.words[0]);
    const char *path = args_text(&c->args, "rejects", strcmp(c->args.words[0], "-") == 0 ? "import.rejects" : own);
    out_printf("import: %llu created, %llu were there already, %llu refused%s%s\n", (unsigned long long)m->created,
               (unsigned long long)m->there, (unsigned long long)m->refused, m->refused > 0 ? ": see " : "",
               m->refused > 0 ? path : "");
    if (m->refused == 0) return code;
    if (process_file_write(path, buf_slice(&m->rejects), &err) != STATUS_OK) return cli_fail("%s", err.text);
    return code == CLI_OK ? CLI_FAILED : code;
}

int run_ledger_import(struct cli *c)
{
    struct import m;
    struct errbuf err;
    uint64_t batch = 0;
    memset(&m, 0, sizeof(m));
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
    buf_init(&m.rejects, FILE_BYTES_MAX);
    code = read_file(&m, c);
    if (code == CLI_OK) {
        progress_begin(&m.progress, m.k.session.env, "import", m.file.size);
        batch_next(&m);
    } else {
        ledger_command_end(&m.k, code);
    }
    code = ledger_command_close(&m.k);
    if (m.file.size > 0) code = write_rejects(&m, c, code);
    mem_free(m.accounts);
    mem_free(m.items);
    mem_free(m.lines);
    mem_free(m.numbers);
    buf_free(&m.rejects);
    buf_free(&m.file);
    return code;
}
