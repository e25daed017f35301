#include "backup/verify.h"

#include "base/mem.h"

struct verify {
    struct walk *walk;
    struct verified *keyspaces;
    size_t keyspace_count;
    verify_done done;
    void *ctx;
};

static void on_plan(void *ctx)
{
    struct verify *v = ctx;
    const struct backup_keyspace *k = walk_keyspaces(v->walk, &v->keyspace_count);
    v->keyspaces = mem_zalloc((v->keyspace_count + 1) * sizeof *v->keyspaces);
    for (size_t i = 0; i < v->keyspace_count; i++)
        v->keyspaces[i] = (struct verified){.name = k[i].name, .info = &k[i]};
}

static void on_chunk(void *ctx, struct walk_chunk *c)
{
    struct verify *v = ctx;
    struct backup_row row;
    struct verified *of = v->keyspaces;
    while (of->info->id != c->rows.chunk->keyspace) of++;
    while (merged_next(&c->rows, &row)) backup_digest_row(&of->digest, &row);
    walk_chunk_done(c);
}

static void on_end(void *ctx, enum status s, const char *text)
{
    struct verify *v = ctx;
    struct verify_report report = {.status = s,
                                   .text = text,
                                   .at = walk_at(v->walk),
                                   .backup_at = walk_backup(v->walk)->at,
                                   .keyspaces = v->keyspaces,
                                   .keyspace_count = v->keyspace_count};
    v->done(v->ctx, &report);
}

enum status verify_new(struct env *env, struct depot *depot, const struct catalog *catalog, uint64_t at,
                       verify_done done, void *ctx, struct verify **out, struct errbuf *err)
{
    static const struct walk_events events = {.on_plan = on_plan, .on_chunk = on_chunk, .on_end = on_end};
    struct verify *v = mem_zalloc(sizeof *v);
    v->done = done;
    v->ctx = ctx;
    enum status s = walk_new(env, depot, catalog, &(struct walk_options){.at = at}, &events, v, &v->walk, err);
    if (s == STATUS_OK)
        *out = v;
    else
        mem_free(v);
    return s;
}

void verify_progress(const struct verify *v, uint64_t *done, uint64_t *total)
{
    walk_progress(v->walk, done, total);
}

void verify_free(struct verify *v)
{
    if (v == NULL) return;
    walk_free(v->walk);
    mem_free(v->keyspaces);
    mem_free(v);
}
