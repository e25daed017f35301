/* `quorate ledger import FILE`: accounts and transfers, in the order of the file.
 *
 * Lines of JSON: objects as POST /v1/ledger/... takes them; one with debit_account_id or pending_id is a transfer. CSV: the first line names
 * the fields; a row whose debit_account_id or pending_id is not empty is a transfer; flags are divided by '|'.
 * Rows of one kind that follow each other go in batches of whole chains (ledger_batch.h), one batch after the other. A batch without a
 * certain answer is sent again: ids act once, so the whole import may be repeated too. What is refused goes to a file: line number,
 * reason, the line (TAB between them). */
#include <stdio.h>

#include "cli/http_load.h"
#include "cli/ledger_batch.h"
#include "cli/ledger_cli.h"
#include "cli/records.h"

#define RETRY_MS 120000u

struct import {
    struct ledger_command k;
    struct records in;
    struct rejects rejects;
    struct ledger_batch batch;
    size_t sending; /* of it, the first ones; 0: nothing is under way */
    uint64_t created, there, give_up_ns;
    struct progress progress;
};

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
        rejects_add(&m->rejects, m->batch.numbers[i], why, m->batch.lines[i]);
    }
    ledger_batch_drop(&m->batch, m->sending);
    m->sending = 0;
    progress_show(&m->progress, env, m->created + m->there + m->rejects.count, records_done(&m->in), false);
    batch_next(m);
}

static void refuse_line(void *ctx, uint64_t number, const char *why, struct slice line)
{
    struct import *m = ctx;
    rejects_add(&m->rejects, number, why, line);
}

/* False: the file cannot be read on, and the import has ended. */
static bool batch_fill(struct import *m)
{
    struct slice line;
    struct errbuf err;
    enum status s = STATUS_OK;
    bool other = false;
    while (!other && !ledger_batch_full(&m->batch) && (s = records_next(&m->in, &line, &err)) == STATUS_OK) {
        other = !ledger_batch_take(&m->batch, m->in.number, line);
    }
    if (other) records_back(&m->in);
    m->sending = ledger_batch_front(&m->batch, other || s == STATUS_END);
    if (s == STATUS_OK || s == STATUS_END) return true;
    ledger_command_end(&m->k, cli_fail("%s", err.text));
    return false;
}

static void batch_next(struct import *m)
{
    bool fresh = m->sending == 0; /* else: the same batch once more */
    if (fresh && !batch_fill(m)) return;
    if (fresh) m->give_up_ns = env_mono_ns(m->k.session.env) + RETRY_MS * NS_PER_MS;
    uint32_t timeout_ms = m->k.session.cli->timeout_ms;
    if (m->sending == 0)
        ledger_command_end(&m->k, CLI_OK);
    else if (m->batch.transfers)
        ledger_create_transfers(m->k.ledger, m->batch.items, m->sending, timeout_ms, batch_done, m);
    else
        ledger_create_accounts(m->k.ledger, m->batch.accounts, m->sending, timeout_ms, batch_done, m);
}

/* --- the command --- */

static int open_file(struct import *m, struct cli *c)
{
    struct errbuf err;
    struct slice first;
    const char *path = c->args.words[0];
    if (records_open(&m->in, path, &err) != STATUS_OK) return cli_fail("%s", err.text);
    if (m->in.kind == RECORD_RAW) return cli_fail("%s holds rows of a keyspace, no transfers: `quorate import`", path);
    if (rejects_init(&m->rejects, args_text(&c->args, "rejects", NULL), path, &m->in, &err) != STATUS_OK)
        return cli_usage("%s", err.text);
    if (m->in.kind == RECORD_LINE) return CLI_OK;
    enum status s = records_next(&m->in, &first, &err);
    if (s != STATUS_OK) return cli_fail("%s", s == STATUS_END ? "the file is empty" : err.text);
    s = csv_names(first, &m->k.arena, m->batch.names, LEDGER_FIELDS_MAX, &m->batch.name_count, &err);
    return s == STATUS_OK ? CLI_OK : cli_fail("%s: %s", path, err.text);
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
    ledger_batch_init(&m.batch, (size_t)batch);
    m.batch.refuse = refuse_line;
    m.batch.ctx = &m;
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
    ledger_batch_free(&m.batch);
    return code;
}
