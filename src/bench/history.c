/* What was done, one operation a line (docs/formats/history.md): written in pieces while the run goes on. */
#include "bench/bench.h"
#include "env_posix/process.h"
#include "gateway/json_out.h"

#define FLUSH_BYTES (32u * 1024u)

static void text_or_null(struct buf *b, const char *name, const char *text)
{
    json_key(b, name);
    if (text[0] == '\0')
        buf_append_str(b, "null");
    else
        json_str(b, text);
}

void bench_history_note(struct bench *b, const struct bench_lane *l, enum bench_outcome outcome, bool found,
                        const char *seen, uint64_t ret_ns)
{
    static const char *const ops[] = {"get", "put", "del", "cas"};
    static const char *const statuses[] = {"ok", "fail", "fail", "unknown"};
    struct buf *h = &b->history;
    if (b->history_path == NULL) return;
    json_open(h, '{');
    json_key(h, "client");
    json_u64(h, l->number);
    json_key(h, "op");
    json_str(h, ops[l->op.kind]);
    json_key(h, "key");
    buf_append_byte(h, '"');
    bench_key(b, l->op.key, h);
    buf_append_byte(h, '"');
    if (l->op.kind == BENCH_PUT || l->op.kind == BENCH_CAS) text_or_null(h, "value", l->op.value);
    if (l->op.kind == BENCH_CAS) text_or_null(h, "expect", l->op.expect);
    json_key(h, "call");
    buf_printf(h, "%llu", (unsigned long long)l->op.call_ns);
    json_key(h, "ret");
    buf_printf(h, "%llu", (unsigned long long)ret_ns);
    json_key(h, "status");
    json_str(h, statuses[outcome]);
    if (outcome == BENCH_REFUSED) {
        json_key(h, "refused");
        json_bool(h, true);
    }
    if (outcome == BENCH_OK && l->op.kind == BENCH_GET) text_or_null(h, "out", seen);
    if (outcome == BENCH_OK && l->op.kind == BENCH_DELETE) {
        json_key(h, "found");
        json_bool(h, found);
    }
    json_close(h, '}');
    buf_append_byte(h, '\n');
    if (h->size >= FLUSH_BYTES) bench_history_flush(b);
}

void bench_history_flush(struct bench *b)
{
    struct errbuf err;
    if (b->history_path == NULL || b->history.size == 0 || b->history_failed) return;
    if (process_file_append(b->history_path, buf_slice(&b->history), &err) != STATUS_OK) {
        b->history_failed = true;
        cli_fail("--history: %s", err.text);
    }
    buf_clear(&b->history);
}
