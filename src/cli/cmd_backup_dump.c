/* quorate backup dump: the rows of a backup as of a timestamp, a line of JSON each. */
#include "cli/backup_cli.h"

#include "backup/walk.h"
#include "env_posix/env_posix.h"
#include "gateway/json_out.h"

struct dump {
    struct backup_command command;
    struct walk *walk;
    struct slice keyspace; /* empty: all */
    uint64_t rows;
};

static void on_plan(void *ctx)
{
    (void)ctx;
}

static void put_row(struct buf *b, const struct backup_keyspace *k, const struct backup_row *r)
{
    struct slice key = r->key;
    if (k->buckets > 0) key = slice_make(key.data + 1, key.size - 1);
    json_open(b, '{');
    json_bytes(b, "keyspace", k->name, false);
    json_bytes(b, "key", key, false);
    json_bytes(b, "value", r->value, false);
    json_key(b, "version");
    json_u64_text(b, r->ts);
    if (r->kind == BACKUP_COUNTER) {
        json_key(b, "counter");
        buf_append_str(b, "true");
    }
    if (r->ttl_ms != 0) {
        json_key(b, "ttl_ms");
        buf_printf(b, "%llu", (unsigned long long)r->ttl_ms);
    }
    json_close(b, '}');
    buf_append_byte(b, '\n');
}

static void on_chunk(void *ctx, struct walk_chunk *c)
{
    struct dump *d = ctx;
    struct backup_row row;
    struct buf b;
    size_t count;
    const struct backup_keyspace *k = walk_keyspaces(d->walk, &count);
    while (k->id != c->rows.chunk->keyspace) k++;
    bool wanted = d->keyspace.size == 0 || slice_eq(d->keyspace, k->name);
    buf_init(&b, 1u << 30);
    while (merged_next(&c->rows, &row)) {
        if (!wanted) continue;
        put_row(&b, k, &row);
        d->rows++;
        if (b.size > 1u << 16) out_buf(&b);
    }
    out_buf(&b);
    buf_free(&b);
    walk_chunk_done(c);
}

static void on_end(void *ctx, enum status s, const char *text)
{
    struct dump *d = ctx;
    d->command.done = true;
    if (s != STATUS_OK) d->command.code = cli_fail("backup dump: %s", text);
}

static const char *dump_progress(void *job, uint64_t *done, uint64_t *total)
{
    walk_progress(job, done, total);
    return NULL;
}

int run_backup_dump(struct cli *c)
{
    static const struct walk_events events = {.on_plan = on_plan, .on_chunk = on_chunk, .on_end = on_end};
    struct dump d = {.keyspace = slice_str(args_text(&c->args, "keyspace", ""))};
    struct walk_options o = {.at = 0, .ahead = 1};
    struct backup_command *k = &d.command;
    struct errbuf err;
    if (!backup_at(c, &o.at)) return CLI_USAGE;
    int code = backup_open(k, c, c->args.words[0]);
    if (code != CLI_OK) return code;
    if (walk_new(k->session.env, k->depot, &k->catalog, &o, &events, &d, &d.walk, &err) != STATUS_OK)
        k->code = cli_fail("backup dump: %s", err.text);
    else
        backup_wait(k, dump_progress, d.walk);
    walk_free(d.walk);
    catalog_free(&k->catalog);
    return backup_close(k);
}
