#include "backup/verify.h"

#include "base/mem.h"
#include "ledger/proof.h"

#include <stdio.h>

struct verify {
    struct walk *walk;
    struct verified *keyspaces;
    size_t keyspace_count;
    struct ledger_proof *proof; /* NULL: there is no ledger */
    verify_done done;
    void *ctx;
};

static void on_plan(void *ctx)
{
    struct verify *v = ctx;
    const struct backup_keyspace *k = walk_keyspaces(v->walk, &v->keyspace_count);
    v->keyspaces = mem_zalloc((v->keyspace_count + 1) * sizeof *v->keyspaces);
    for (size_t i = 0; i < v->keyspace_count; i++)
        v->keyspaces[i] = (struct verified){
            .name = k[i].name, .info = &k[i], .is_ledger = slice_eq(k[i].name, slice_str(LEDGER_KEYSPACE))};
    for (size_t i = 0; i < v->keyspace_count; i++)
        if (v->keyspaces[i].is_ledger && k[i].buckets == 0) v->proof = ledger_proof_new();
}

static void on_chunk(void *ctx, struct walk_chunk *c)
{
    struct verify *v = ctx;
    struct backup_row row;
    struct verified *of = v->keyspaces;
    while (of->info->id != c->rows.chunk->keyspace) of++;
    while (merged_next(&c->rows, &row)) {
        backup_digest_row(&of->digest, &row);
        if (of->is_ledger && v->proof != NULL) ledger_proof_take(v->proof, row.key, row.value);
    }
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
    char fault[300];
    (void)walk_chunks(v->walk, &report.chunk_count);
    if (s == STATUS_OK && v->proof != NULL) report.ledger = ledger_proof_judge(v->proof, report.at);
    if (report.ledger != NULL && report.ledger->faults > 0) {
        (void)snprintf(fault, sizeof fault, "the ledger does not hold together: %s", report.ledger->first_fault);
        report.status = STATUS_CORRUPT;
        report.text = fault;
    }
    v->done(v->ctx, &report);
}

enum status verify_new(struct env *env, struct depot *depot, const struct catalog *catalog, uint64_t at,
                       verify_done done, void *ctx, struct verify **out, struct errbuf *err)
{
    static const struct walk_events events = {.on_plan = on_plan, .on_chunk = on_chunk, .on_end = on_end};
    struct verify *v = mem_zalloc(sizeof *v);
    v->done = done;
    v->ctx = ctx;
    struct walk_options o = {.at = at, .ahead = 1}; /* one by one: a ledger is proven in the order of its keys */
    enum status s = walk_new(env, depot, catalog, &o, &events, v, &v->walk, err);
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
    ledger_proof_free(v->proof);
    mem_free(v->keyspaces);
    mem_free(v);
}
