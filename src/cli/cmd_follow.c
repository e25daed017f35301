/* quorate backup follow, digest. docs/backup.md. */
#include "cli/backup_cli.h"

#include "backup/inspect.h"
#include "backup/log.h"
#include "env_posix/env_posix.h"

#include <stdio.h>

/* --- follow --- */

struct following {
    struct actor actor;
    struct backup_command command;
    struct changes *changes;
    struct change_log log;
    uint64_t told;
    bool stopping;
    uint64_t stop_listed; /* stopping: all that was committed before is archived, then it ends */
};

/* One line for each file: how far the archive reaches. */
static void tell_written(struct following *f)
{
    struct buf b;
    if (f->log.written == f->told || f->log.from == 0) return;
    f->told = f->log.written;
    buf_init(&b, 300);
    if (f->command.session.cli->output == OUTPUT_JSON) {
        buf_printf(&b, "{\"archived_to\":\"%llu\",\"bytes\":%llu}\n", (unsigned long long)f->told,
                   (unsigned long long)f->log.bytes);
    } else {
        buf_append_str(&b, "archived to ");
        backup_time(&b, f->told);
        buf_printf(&b, " (%llu), ", (unsigned long long)f->told);
        text_size(&b, f->log.bytes);
        buf_append_str(&b, "\n");
    }
    out_buf(&b);
    buf_free(&b);
}

static uint64_t follow_pass(struct actor *actor, uint64_t now_ns)
{
    struct following *f = LIST_ENTRY(actor, struct following, actor);
    struct backup_command *k = &f->command;
    if (k->done) return DEADLINE_NONE;
    if (f->stopping && f->stop_listed == 0) f->stop_listed = changes_listed(f->changes);
    bool asked_since = f->stopping && changes_listed(f->changes) > f->stop_listed;
    if (asked_since && f->log.goal == 0) f->log.goal = changes_listed(f->changes);
    uint64_t deadline = change_log_pass(&f->log, now_ns);
    tell_written(f);
    if (f->log.status == STATUS_TOO_OLD) {
        k->code = cli_fail("backup follow: %s\nThe archive has a gap there: --from-now goes on behind it, and then "
                           "`quorate backup create` begins anew",
                           f->log.text);
        k->done = true;
    } else if (f->log.status != STATUS_OK) {
        k->code = cli_fail("backup follow: %s", f->log.text);
        k->done = true;
    } else if (f->log.goal != 0 && f->log.written >= f->log.goal && !f->log.writing) {
        k->done = true;
    }
    return deadline;
}

static void on_stop(void *ctx)
{
    struct following *f = ctx;
    f->stopping = true;
    f->command.session.env->ops->wake(f->command.session.env);
}

/* From the end of what is there, if anything is. */
static uint64_t where_to_begin(const struct catalog *c)
{
    uint64_t end = 0;
    if (c->backup_count > 0) end = catalog_chain(c, c->backups[c->backup_count - 1].from, UINT64_MAX, NULL, NULL);
    for (size_t i = 0; i < c->change_count && c->backup_count == 0; i++)
        if (c->changes[i].to > end) end = c->changes[i].to;
    return end;
}

static const char *no_progress(void *job, uint64_t *done, uint64_t *total)
{
    (void)job;
    (void)done;
    (void)total;
    return NULL;
}

int run_backup_follow(struct cli *c)
{
    struct following f = {.told = 0};
    struct errbuf err;
    uint64_t every_ms;
    if (args_number(&c->args, "every-ms", 2000, 10, 3600000, &every_ms, &err) != STATUS_OK)
        return cli_usage("%s", err.text);
    int code = backup_open(&f.command, c, c->args.words[0]);
    if (code == CLI_OK) code = backup_claim(&f.command, c->args.words[0], "changes");
    if (code != CLI_OK) return code;
    struct session *s = &f.command.session;
    struct backup_command *k = &f.command;
    const struct backup_keyspace *known;
    size_t known_count;
    uint64_t after = args_switch(&c->args, "from-now") ? 0 : where_to_begin(&k->catalog);
    if (catalog_keyspaces(&k->catalog, k->depot, after, &known, &known_count, &err) != STATUS_OK) {
        catalog_free(&k->catalog);
        (void)backup_close(k);
        return cli_fail("backup follow: %s", err.text);
    }
    f.changes = changes_new(s->env, s->client, after, known, known_count);
    change_log_init(&f.log, s->env, k->depot, f.changes, &k->cluster, (uint32_t)every_ms);
    f.actor = (struct actor){.pass = follow_pass};
    s->env->ops->attach(s->env, &f.actor);
    env_posix_on_signal(s->env, on_stop, &f);
    backup_wait(&f.command, no_progress, NULL);
    env_posix_quiesce(s->env);
    s->env->ops->detach(s->env, &f.actor);
    changes_free(f.changes);
    change_log_free(&f.log);
    catalog_free(&f.command.catalog);
    return backup_close(&f.command);
}

/* --- digest --- */

static void inspected(void *ctx, const struct inspect_report *r)
{
    struct backup_command *k = ctx;
    struct buf b;
    bool json = k->session.cli->output == OUTPUT_JSON;
    k->done = true;
    if (r->status != STATUS_OK) {
        k->code = cli_fail("backup digest: %s", r->text);
        return;
    }
    buf_init(&b, 1u << 24);
    if (json) {
        buf_printf(&b, "{\"timestamp\":\"%llu\",\"keyspaces\":{", (unsigned long long)r->at);
    } else {
        buf_append_str(&b, "as of ");
        backup_time(&b, r->at);
        buf_printf(&b, " (%llu)\n", (unsigned long long)r->at);
    }
    for (size_t i = 0; i < r->keyspace_count; i++)
        backup_print_digest(&b, r->keyspaces[i].name, &r->keyspaces[i].digest, k->session.cli->output, i == 0);
    if (json) buf_append_str(&b, "}}\n");
    out_buf(&b);
    buf_free(&b);
}

static const char *inspect_progress_cb(void *job, uint64_t *done, uint64_t *total)
{
    inspect_progress(job, done, total);
    return "reading";
}

int run_backup_digest(struct cli *c)
{
    struct backup_command k;
    uint64_t at;
    if (!backup_at(c, &at)) return CLI_USAGE;
    int code = backup_open(&k, c, NULL);
    if (code != CLI_OK) return code;
    struct inspect *job = inspect_new(k.session.env, k.session.client, at, 0, inspected, &k);
    backup_wait(&k, inspect_progress_cb, job);
    inspect_free(job);
    return backup_close(&k);
}
