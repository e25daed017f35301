/* The audit: one snapshot of all rows, read page by page, and proven (proof.h). */
#include "base/mem.h"
#include "ledger/ledger_int.h"
#include "ledger/proof.h"

#define PAUSE_MS 2u /* between pages: an audit is not in a hurry */

struct audit_call {
    struct ledger_call call;
    uint64_t deadline_ns, rows;
    uint64_t ts;        /* of the snapshot; 0: now */
    struct arena arena; /* of `next`; reset from page to page */
    struct slice next;  /* where the next page begins */
    struct ledger_proof *proof;
    void (*progress)(void *ctx, uint64_t rows);
    ledger_audit_done done;
    void *ctx;
};

static void audit_free(struct ledger_call *call)
{
    struct audit_call *c = LIST_ENTRY(call, struct audit_call, call);
    arena_free(&c->arena);
    ledger_proof_free(c->proof);
    mem_free(c);
}

static void audit_end(struct audit_call *c, const struct client_error *e)
{
    c->done(c->ctx, e, e->status == STATUS_OK ? ledger_proof_judge(c->proof, c->ts) : NULL);
    call_end(&c->call);
}

static void audit_scanned(void *ctx, const struct client_error *e, const struct scan_reply *reply)
{
    struct audit_call *c = ctx;
    if (e->status != STATUS_OK) {
        audit_end(c, e);
        return;
    }
    c->ts = reply->mark.ts;
    for (size_t i = 0; i < reply->row_count; i++) ledger_proof_take(c->proof, reply->rows[i].key, reply->rows[i].value);
    c->rows += reply->row_count;
    if (c->progress != NULL) c->progress(c->ctx, c->rows);
    if (!reply->more || reply->row_count == 0) {
        audit_end(c, &(struct client_error){.status = STATUS_OK, .message = SLICE_EMPTY});
        return;
    }
    struct slice last = reply->rows[reply->row_count - 1].key;
    arena_reset(&c->arena);
    uint8_t *behind = arena_alloc(&c->arena, last.size + 1);
    memcpy(behind, last.data, last.size);
    behind[last.size] = 0;
    c->next = slice_make(behind, last.size + 1);
    call_wait(&c->call, PAUSE_MS);
}

static void audit_again(struct ledger_call *call, uint64_t now_ns)
{
    struct audit_call *c = LIST_ENTRY(call, struct audit_call, call);
    struct ledger *l = c->call.ledger;
    static const char late[] = "the deadline passed before everything was read";
    if (now_ns >= c->deadline_ns) {
        audit_end(c, &(struct client_error){.status = STATUS_TIMEOUT, .message = slice_str(late)});
        return;
    }
    struct client_scan scan = {.start = c->next, .end = SLICE_EMPTY, .how = {.mode = READ_SNAPSHOT, .ts = c->ts}};
    client_scan(l->client, l->keyspace, &scan, ledger_left_ms(l, c->deadline_ns), audit_scanned, c);
}

void ledger_run_audit(struct ledger *l, uint64_t at, uint32_t timeout_ms, void (*progress)(void *ctx, uint64_t rows),
                      ledger_audit_done done, void *ctx)
{
    struct audit_call *c = mem_zalloc(sizeof(*c));
    c->call.free = audit_free;
    c->call.again = audit_again;
    arena_init(&c->arena, 256);
    c->next = SLICE_EMPTY;
    c->ts = at;
    c->proof = ledger_proof_new();
    c->deadline_ns = env_mono_ns(l->env) + (uint64_t)timeout_ms * NS_PER_MS;
    c->progress = progress;
    c->done = done;
    c->ctx = ctx;
    call_begin(l, &c->call);
    call_wait(&c->call, 0);
}
