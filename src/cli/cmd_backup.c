/* quorate backup create, list, verify, restore. docs/backup.md. */
#include "cli/backup_cli.h"

#include "backup/create.h"
#include "backup/restore.h"
#include "backup/verify.h"
#include "env_posix/env_posix.h"
#include "env_posix/process.h"

#include <stdio.h>

#define MIB (1024ull * 1024)

/* --- the command --- */

static int claim_lock(struct backup_command *k, const char *dir, const char *folder)
{
    struct errbuf err;
    struct buf path;
    if (k->store != NULL) return CLI_OK; /* nothing in an object store ends with a process */
    buf_init(&path, 8192);
    buf_printf(&path, "%s/%s", dir, folder);
    buf_append_byte(&path, 0);
    k->lock =
        env_posix_new(&(struct env_posix_options){.log_level = LOG_ERROR, .data_dir = (const char *)path.data}, &err);
    buf_free(&path);
    if (k->lock == NULL) return cli_fail("%s", err.text);
    enum status s = disk_lock(k->lock->disk, &err);
    if (s == STATUS_LOCKED)
        return cli_fail("%s: another `quorate backup` that writes %s works here: wait for it, or end it", dir, folder);
    return s == STATUS_OK ? CLI_OK : cli_fail("%s", err.text);
}

static void on_status(void *ctx, const struct client_error *e, struct slice payload)
{
    struct backup_command *k = ctx;
    struct meta_status_reply reply;
    struct arena arena;
    arena_init(&arena, 4096);
    k->done = true;
    if (e->status != STATUS_OK || unpack_meta_status_reply(payload, &arena, &reply) != STATUS_OK)
        k->code = cli_client_failed("backup", e);
    else
        k->cluster = reply.cluster;
    arena_free(&arena);
}

static bool is_done(void *ctx)
{
    return ((struct backup_command *)ctx)->done;
}

/* On stderr: standard output is for the answer. */
static void tell(struct backup_command *k, const char *doing, uint64_t done, uint64_t total)
{
    struct buf b;
    uint64_t spent_ms = env_mono_ns(k->session.env) / NS_PER_MS - k->began_ms;
    buf_init(&b, 512);
    if (total > 0) buf_printf(&b, "%3llu %%  ", (unsigned long long)(done >= total ? 99 : done * 100 / total));
    buf_printf(&b, "%s, ", doing);
    text_size(&b, done);
    if (total > 0 && done < total) {
        buf_append_str(&b, " of ");
        text_size(&b, total);
    }
    if (spent_ms > 0) {
        buf_append_str(&b, ", ");
        text_size(&b, done * 1000 / spent_ms);
        buf_append_str(&b, "/s");
    }
    if (done > 0 && done < total) {
        buf_append_str(&b, ", about ");
        text_duration(&b, spent_ms * (total - done) / done);
        buf_append_str(&b, " to go");
    }
    cli_note("%.*s", (int)b.size, (const char *)b.data);
    buf_free(&b);
}

/* What is in the directory is read again under the lock. */
static int claim_catalog(struct backup_command *k, const char *dir)
{
    struct errbuf err;
    client_meta(k->session.client, METHOD_META_STATUS, SLICE_EMPTY, k->session.cli->timeout_ms, on_status, k);
    env_posix_run_until(k->session.env, is_done, k, DEADLINE_NONE);
    k->done = false;
    if (k->code != CLI_OK) return k->code;
    catalog_free(&k->catalog);
    enum status s = catalog_read(&k->catalog, k->depot, &err);
    if (s == STATUS_OK) s = catalog_check(&k->catalog, &k->cluster, &err);
    return s == STATUS_OK ? CLI_OK : cli_fail("%s: %s", dir, err.text);
}

int backup_claim(struct backup_command *k, const char *dir, const char *folder)
{
    int code = claim_lock(k, dir, folder);
    if (code == CLI_OK) code = claim_catalog(k, dir);
    if (code == CLI_OK) return CLI_OK;
    catalog_free(&k->catalog);
    (void)backup_close(k);
    return code;
}

void backup_wait(struct backup_command *k, const char *(*progress)(void *job, uint64_t *done, uint64_t *total),
                 void *job)
{
    while (!k->done) {
        uint64_t done = 0, total = 0;
        env_posix_run_until(k->session.env, is_done, k, 1000 * NS_PER_MS);
        if (k->done) return;
        const char *doing = progress(job, &done, &total);
        if (doing != NULL) tell(k, doing, done, total);
    }
}

/* --- times --- */

static int64_t days_of(int64_t year, int64_t month,
                       int64_t day) /* since 1970-01-01; Hinnant, "chrono-compatible date algorithms" */
{
    year -= month <= 2;
    int64_t era = year / 400, of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void backup_time(struct buf *b, uint64_t ts)
{
    uint64_t ms = ts >> TS_COUNTER_BITS;
    int64_t days = (int64_t)(ms / 86400000), year = 1970 + days / 366, month = 1;
    while (days_of(year + 1, 1, 1) <= days) year++;
    while (month < 12 && days_of(year, month + 1, 1) <= days) month++;
    buf_printf(b, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (int)year, (int)month,
               (int)(days - days_of(year, month, 1) + 1), (int)(ms / 3600000 % 24), (int)(ms / 60000 % 60),
               (int)(ms / 1000 % 60), (int)(ms % 1000));
}

bool backup_at(struct cli *c, uint64_t *at)
{
    const char *text = args_text(&c->args, "at", NULL);
    int year, month, day, hour, minute, second, ms = 0, used = 0;
    *at = 0;
    if (text == NULL) return true;
    size_t digits = strspn(text, "0123456789");
    if (text[digits] == '\0' && digits > 0 && digits < 20) {
        for (const char *p = text; *p != '\0'; p++) *at = *at * 10 + (uint64_t)(*p - '0');
        return true;
    }
    int n = sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &year, &month, &day, &hour, &minute, &second, &used);
    const char *rest = text + used;
    int more = 0;
    if (n == 6 && sscanf(rest, ".%3d%n", &ms, &more) == 1) rest += more;
    bool ok = n == 6 && strcmp(rest, "Z") == 0 && year >= 1970 && month >= 1 && month <= 12 && day >= 1 && day <= 31;
    if (!ok) {
        (void)cli_usage("--at %s: expected a timestamp, or a time like 2026-01-31T12:00:00.000Z", text);
        return false;
    }
    int64_t seconds = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    *at = ((uint64_t)(seconds * 1000 + ms) << TS_COUNTER_BITS) | ((1u << TS_COUNTER_BITS) - 1);
    return true;
}

static int numbers(struct cli *c, uint64_t *rate, uint64_t *parallel)
{
    struct errbuf err;
    if (args_number(&c->args, "rate", 0, 1, 1u << 20, rate, &err) != STATUS_OK) return cli_usage("%s", err.text);
    if (args_number(&c->args, "parallel", 0, 1, 256, parallel, &err) != STATUS_OK) return cli_usage("%s", err.text);
    *rate *= MIB;
    return CLI_OK;
}

/* --- create --- */

struct creating {
    struct backup_command command;
    struct backup_create *job;
    struct backup_create_options options;
};

static const char *create_progress(void *job, uint64_t *done, uint64_t *total)
{
    struct backup_progress p;
    backup_create_progress(job, &p);
    *done = p.bytes_done;
    *total = p.bytes_total;
    return p.doing;
}

static void created_text(struct buf *b, const struct backup_report *r)
{
    buf_append_str(b, "backup as of ");
    backup_time(b, r->at);
    buf_printf(b, " (%llu)\n  chunks    %llu", (unsigned long long)r->at, (unsigned long long)r->chunks);
    if (r->reused > 0) buf_printf(b, ", %llu of them as they were", (unsigned long long)r->reused);
    buf_printf(b, "\n  rows      %llu\n  written   ", (unsigned long long)r->rows);
    text_size(b, r->bytes);
    buf_append_str(b, "\n  changes   ");
    text_size(b, r->changes_bytes);
    if (r->parent != 0) buf_printf(b, "\n  adds to   %llu", (unsigned long long)r->parent);
    if (r->resumed) buf_append_str(b, "\n  went on with one that was broken off");
    if (r->reread)
        buf_append_str(b, "\n  versions since the last one were gone: all was read, what had not changed was kept");
    buf_append_str(b, "\n");
}

static void create_done(void *ctx, const struct backup_report *r)
{
    struct creating *g = ctx;
    struct buf b;
    g->command.done = true;
    if (r->status != STATUS_OK) {
        g->command.code = cli_fail("backup create: %s", r->text);
        return;
    }
    buf_init(&b, 4096);
    if (g->command.session.cli->output == OUTPUT_JSON)
        buf_printf(&b,
                   "{\"timestamp\":\"%llu\",\"chunks\":%llu,\"reused\":%llu,\"rows\":%llu,\"bytes\":%llu,"
                   "\"changes_bytes\":%llu,\"parent\":\"%llu\",\"resumed\":%s,\"reread\":%s,\"ms\":%llu}\n",
                   (unsigned long long)r->at, (unsigned long long)r->chunks, (unsigned long long)r->reused,
                   (unsigned long long)r->rows, (unsigned long long)r->bytes, (unsigned long long)r->changes_bytes,
                   (unsigned long long)r->parent, r->resumed ? "true" : "false", r->reread ? "true" : "false",
                   (unsigned long long)(env_mono_ns(g->command.session.env) / NS_PER_MS - g->command.began_ms));
    else
        created_text(&b, r);
    out_buf(&b);
    buf_free(&b);
}

int run_backup_create(struct cli *c)
{
    struct creating g = {.job = NULL};
    uint64_t rate, parallel;
    int code = numbers(c, &rate, &parallel);
    process_give_way();
    if (code == CLI_OK) code = backup_open(&g.command, c, c->args.words[0]);
    if (code == CLI_OK) code = backup_claim(&g.command, c->args.words[0], "chunks");
    if (code != CLI_OK) return code;
    g.options = (struct backup_create_options){.cluster = g.command.cluster,
                                               .incremental = args_switch(&c->args, "incremental"),
                                               .parallel = (uint32_t)parallel,
                                               .rate = rate};
    struct session *s = &g.command.session;
    g.job = backup_create_new(s->env, s->client, g.command.depot, &g.command.catalog, &g.options, create_done, &g);
    backup_wait(&g.command, create_progress, g.job);
    env_posix_quiesce(s->env);
    backup_create_free(g.job);
    return backup_close(&g.command);
}

/* --- list --- */

static void list_json(struct buf *b, const struct catalog *c, const struct backup_manifest *m, uint64_t reach,
                      uint64_t bytes, uint64_t rows)
{
    (void)c;
    buf_printf(b,
               "{\"timestamp\":\"%llu\",\"restorable_to\":\"%llu\",\"parent\":\"%llu\",\"chunks\":%zu,\"rows\":%llu,"
               "\"bytes\":%llu}\n",
               (unsigned long long)m->at, (unsigned long long)reach, (unsigned long long)m->parent, m->chunk_count,
               (unsigned long long)rows, (unsigned long long)bytes);
}

int run_backup_list(struct cli *c)
{
    static const char *const heads[] = {"TIMESTAMP", "TIME", "RESTORABLE TO", "ADDS TO", "CHUNKS", "ROWS", "SIZE"};
    struct backup_command k;
    struct text_table t;
    struct buf b;
    int code = backup_open(&k, c, c->args.words[0]);
    if (code != CLI_OK) return code;
    text_table_init(&t, heads, 7);
    buf_init(&b, 1u << 24);
    for (size_t i = 0; i < k.catalog.backup_count; i++) {
        const struct backup_manifest *m = &k.catalog.backups[i];
        uint64_t reach = catalog_chain(&k.catalog, m->from, UINT64_MAX, NULL, NULL), bytes = 0, rows = 0;
        for (size_t j = 0; j < m->chunk_count; j++) bytes += m->chunks[j].file_bytes;
        for (size_t j = 0; j < m->chunk_count; j++) rows += m->chunks[j].digest.rows + m->chunks[j].digest.mortal;
        if (c->output == OUTPUT_JSON) {
            list_json(&b, &k.catalog, m, reach, bytes, rows);
            continue;
        }
        struct buf text;
        buf_init(&text, 200);
        text_table_cell(&t, "%llu", (unsigned long long)m->at);
        backup_time(&text, m->at);
        text_table_cell(&t, "%.*s", (int)text.size, (const char *)text.data);
        buf_clear(&text);
        backup_time(&text, reach);
        text_table_cell(&t, "%.*s", (int)text.size, (const char *)text.data);
        text_table_cell(&t, m->parent != 0 ? "%llu" : "-", (unsigned long long)m->parent);
        text_table_cell(&t, "%zu", m->chunk_count);
        text_table_cell(&t, "%llu", (unsigned long long)rows);
        buf_clear(&text);
        text_size(&text, bytes);
        text_table_cell(&t, "%.*s", (int)text.size, (const char *)text.data);
        buf_free(&text);
    }
    if (c->output != OUTPUT_JSON) text_table_write(&t, c->output, &b);
    out_buf(&b);
    if (k.catalog.partial.from != 0) cli_note("a backup was broken off: `quorate backup create` goes on with it");
    buf_free(&b);
    text_table_free(&t);
    catalog_free(&k.catalog);
    return backup_close(&k);
}

/* --- verify --- */

void backup_print_digest(struct buf *b, struct slice keyspace, const struct backup_digest *d, enum output output,
                         bool first)
{
    if (output == OUTPUT_JSON) {
        buf_append_str(b, first ? "" : ",");
        buf_printf(b, "\"%.*s\"", (int)keyspace.size, (const char *)keyspace.data);
        buf_printf(b, ":{\"digest\":\"%016llx%016llx\",\"rows\":%llu,\"rows_with_ttl\":%llu,\"bytes\":%llu}",
                   (unsigned long long)d->high, (unsigned long long)d->low, (unsigned long long)d->rows,
                   (unsigned long long)d->mortal, (unsigned long long)d->bytes);
    } else {
        buf_printf(b, "  %-24.*s %016llx%016llx  %llu rows", (int)keyspace.size, (const char *)keyspace.data,
                   (unsigned long long)d->high, (unsigned long long)d->low, (unsigned long long)d->rows);
        if (d->mortal > 0) buf_printf(b, " and %llu that end by themselves", (unsigned long long)d->mortal);
        buf_append_str(b, "\n");
    }
}

static void verify_done_cb(void *ctx, const struct verify_report *r)
{
    struct backup_command *k = ctx;
    struct buf b;
    bool json = k->session.cli->output == OUTPUT_JSON;
    k->done = true;
    if (r->status != STATUS_OK) {
        k->code = cli_fail("backup verify: %s", r->text);
        return;
    }
    buf_init(&b, 1u << 24);
    if (json) {
        buf_printf(&b, "{\"timestamp\":\"%llu\",\"backup\":\"%llu\",\"chunks\":%zu,\"keyspaces\":{",
                   (unsigned long long)r->at, (unsigned long long)r->backup_at, r->chunk_count);
    } else {
        buf_append_str(&b, "whole, and restorable as of ");
        backup_time(&b, r->at);
        buf_printf(&b, " (%llu)\n  chunks    %zu, which cover %zu keyspaces without a hole or an overlap\n",
                   (unsigned long long)r->at, r->chunk_count, r->keyspace_count);
    }
    for (size_t i = 0; i < r->keyspace_count; i++)
        backup_print_digest(&b, r->keyspaces[i].name, &r->keyspaces[i].digest, k->session.cli->output, i == 0);
    if (json) buf_append_str(&b, "}}\n");
    if (!json && r->ledger != NULL)
        buf_printf(&b, "  the ledger proves itself: %llu accounts, %llu transfers, %llu postings\n",
                   (unsigned long long)r->ledger->accounts, (unsigned long long)r->ledger->transfers,
                   (unsigned long long)r->ledger->postings);
    out_buf(&b);
    buf_free(&b);
}

static const char *verify_progress_cb(void *job, uint64_t *done, uint64_t *total)
{
    verify_progress(job, done, total);
    return "reading";
}

int run_backup_verify(struct cli *c)
{
    struct backup_command k;
    struct verify *job;
    struct errbuf err;
    uint64_t at;
    if (!backup_at(c, &at)) return CLI_USAGE;
    int code = backup_open(&k, c, c->args.words[0]);
    if (code != CLI_OK) return code;
    if (verify_new(k.session.env, k.depot, &k.catalog, at, verify_done_cb, &k, &job, &err) != STATUS_OK) {
        k.code = cli_fail("backup verify: %s", err.text);
    } else {
        backup_wait(&k, verify_progress_cb, job);
        verify_free(job);
    }
    catalog_free(&k.catalog);
    return backup_close(&k);
}

/* --- restore --- */

static void restored(void *ctx, const struct restore_report *r)
{
    struct backup_command *k = ctx;
    uint64_t ms = env_mono_ns(k->session.env) / NS_PER_MS - k->began_ms;
    struct buf b;
    k->done = true;
    if (r->status != STATUS_OK) {
        k->code = cli_fail("backup restore: %s", r->text);
        return;
    }
    buf_init(&b, 1024);
    if (k->session.cli->output == OUTPUT_JSON) {
        buf_printf(&b,
                   "{\"timestamp\":\"%llu\",\"rows\":%llu,\"bytes\":%llu,\"ended\":%llu,\"compared\":%s,\"ms\":%llu}\n",
                   (unsigned long long)r->at, (unsigned long long)r->rows, (unsigned long long)r->bytes,
                   (unsigned long long)r->ended, r->compared ? "true" : "false", (unsigned long long)ms);
    } else {
        buf_append_str(&b, "restored as of ");
        backup_time(&b, r->at);
        buf_printf(&b, " (%llu)\n  rows      %llu, ", (unsigned long long)r->at, (unsigned long long)r->rows);
        text_size(&b, r->bytes);
        if (r->ended > 0)
            buf_printf(&b, "\n  ended     %llu rows whose time to live has passed", (unsigned long long)r->ended);
        buf_append_str(&b, r->compared ? "\n  read back, and found equal\n" : "\n");
    }
    out_buf(&b);
    buf_free(&b);
}

static const char *restore_progress_cb(void *job, uint64_t *done, uint64_t *total)
{
    return restore_progress(job, done, total);
}

int run_backup_restore(struct cli *c)
{
    struct backup_command k;
    struct restore *job = NULL;
    struct errbuf err;
    uint64_t rate, parallel;
    struct restore_options o = {.skip_readback = args_switch(&c->args, "no-check")};
    if (!backup_at(c, &o.at)) return CLI_USAGE;
    int code = numbers(c, &rate, &parallel);
    if (code == CLI_OK) code = backup_open(&k, c, c->args.words[0]);
    if (code != CLI_OK) return code;
    o.rate = rate;
    o.parallel = (uint32_t)parallel;
    enum status s = restore_new(k.session.env, k.session.client, k.depot, &k.catalog, &o, restored, &k, &job, &err);
    if (s != STATUS_OK)
        k.code = cli_fail("backup restore: %s", err.text);
    else
        backup_wait(&k, restore_progress_cb, job);
    env_posix_quiesce(k.session.env);
    restore_free(job);
    catalog_free(&k.catalog);
    return backup_close(&k);
}
