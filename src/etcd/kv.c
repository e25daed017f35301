/* The plain requests of the key-value service. One key is read and put in one step, like the native surface's; ranges of keys are
 * read as of one timestamp, and deleted as a piece of work. */
#include "etcd/kv.h"
#include "etcd/lease.h"

#include "base/assert.h"
#include "base/mem.h"
#include "gateway/json_out.h"

#define ANSWER_MAX (64u << 20)
#define ANSWER_USUAL 240u          /* bytes: a header, a small row */
#define KEPT_MAX (2u * ANSWER_MAX) /* of a range's rows, to be sorted */

struct buf answer_begin(struct ecall *c, uint64_t revision)
{
    struct buf b;
    buf_init(&b, ANSWER_MAX);
    buf_expect(&b, ANSWER_USUAL);
    json_open(&b, '{');
    emit_header(c->etcd, &b, revision);
    return b;
}

void answer_end(struct ecall *c, struct buf *b)
{
    json_close(b, '}');
    ecall_answer(c, b);
}

static void worked(void *ctx, const struct etcd_error *why, uint64_t revision, bool wrote)
{
    struct ecall *c = ctx;
    (void)wrote;
    if (why != NULL) {
        ecall_refuse(c, why);
        return;
    }
    struct buf b = answer_begin(c, revision);
    if (c->emit != NULL) c->emit(c, &b, revision);
    answer_end(c, &b);
}

void answer_by_work(struct ecall *c, work_body body, void (*emit)(struct ecall *c, struct buf *b, uint64_t revision))
{
    c->emit = emit;
    work_start(c->etcd, &c->arena, body, worked, c);
}

/* --- rights --- */

bool may_range(struct ecall *c, const struct range_asked *q)
{
    return ecall_may(c, AUTH_READ, q->key, q->range_end);
}

bool may_put(struct ecall *c, const struct put_asked *q)
{
    return ecall_may(c, AUTH_WRITE, q->key, SLICE_EMPTY) &&
           (!q->prev_kv || ecall_may(c, AUTH_READ, q->key, SLICE_EMPTY));
}

bool may_delete(struct ecall *c, const struct delete_asked *q)
{
    return ecall_may(c, AUTH_WRITE, q->key, q->range_end) &&
           (!q->prev_kv || ecall_may(c, AUTH_READ, q->key, q->range_end));
}

/* --- range --- */

struct range_state {
    struct range_asked q;
    struct span span;
    struct ekv *rows;
    size_t count, capacity, all, bytes; /* rows that are kept, room for them; that there are; of those that are kept */
    uint64_t revision;
    uint64_t compacted;
    struct slice from;
};

static void range_answer(struct ecall *c)
{
    struct range_state *s = c->state;
    struct buf b = answer_begin(c, s->revision > c->etcd->newest || s->q.revision == 0 ? s->revision : c->etcd->newest);
    bool more;
    size_t n = range_select(&s->q, s->rows, s->count, &more);
    emit_range(&b, &s->q, s->rows, n, s->all, more);
    mem_free(s->rows);
    s->rows = NULL;
    answer_end(c, &b);
}

static void range_failed(struct ecall *c, const struct client_error *e)
{
    struct range_state *s = c->state;
    mem_free(s->rows);
    s->rows = NULL;
    ecall_fail(c, e);
}

static void range_add(struct ecall *c, struct slice key, struct slice value, uint64_t version)
{
    struct range_state *s = c->state;
    struct ekv kv = ekv_of(key, value, version);
    s->all++;
    if (!range_keeps(&s->q, &kv, s->count)) return;
    if (s->count == s->capacity) {
        s->capacity = s->capacity == 0 ? 16 : s->capacity * 2;
        s->rows = mem_realloc(s->rows, s->capacity * sizeof(*s->rows));
    }
    kv.key = arena_dup_slice(&c->arena, kv.key);
    kv.value = arena_dup_slice(&c->arena, kv.value);
    s->bytes += sizeof kv + kv.key.size + kv.value.size;
    s->rows[s->count++] = kv;
}

static void range_got(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct ecall *c = ctx;
    struct range_state *s = c->state;
    if (e->status != STATUS_OK) {
        range_failed(c, e);
        return;
    }
    bool behind = s->q.revision == 0 && (reply->mark.ts < c->etcd->newest || reply->mark.ts == 0);
    if (behind && reply->mark.mode == READ_STRONG &&
        !s->q.serializable) { /* revisions that this gateway has told do not go back */
        COVER("etcd.read_behind");
        struct read_how how = {.mode = READ_SNAPSHOT, .ts = c->etcd->newest};
        client_get_how(c->etcd->client, etcd_keyspace, s->span.start, &how, c->timeout_ms, range_got, c);
        return;
    }
    s->revision = reply->mark.ts;
    if (reply->found) range_add(c, s->span.start, reply->value, reply->version);
    range_answer(c);
}

static void range_page(struct ecall *c);

static void range_scanned(void *ctx, const struct client_error *e, const struct scan_reply *page)
{
    struct ecall *c = ctx;
    struct range_state *s = c->state;
    if (e->status != STATUS_OK) {
        range_failed(c, e);
        return;
    }
    if (s->revision == 0) s->revision = page->mark.ts;
    for (size_t i = 0; i < page->row_count; i++)
        range_add(c, page->rows[i].key, page->rows[i].value, page->rows[i].version);
    bool left = c->http == NULL;
    if (left || s->bytes > KEPT_MAX) {
        mem_free(s->rows);
        s->rows = NULL;
        if (left)
            ecall_end(c);
        else
            ecall_refuse_text(c, GRPC_RESOURCE_EXHAUSTED, "grpc: received message larger than max");
        return;
    }
    if (page->more && page->row_count > 0) {
        struct slice last = page->rows[page->row_count - 1].key;
        uint8_t *next = arena_zalloc(&c->arena, last.size + 1);
        memcpy(next, last.data, last.size);
        s->from = slice_make(next, last.size + 1);
        range_page(c);
    } else {
        range_answer(c);
    }
}

static void range_page(struct ecall *c)
{
    struct range_state *s = c->state;
    struct client_scan scan = {.start = s->from, .end = s->span.end, .how = {.mode = READ_SNAPSHOT, .ts = s->revision}};
    if (s->q.serializable && s->revision == 0) scan.how.any_replica = true;
    client_scan(c->etcd->client, etcd_keyspace, &scan, c->timeout_ms, range_scanned, c);
}

static void range_read(struct ecall *c)
{
    struct range_state *s = c->state;
    s->revision = (uint64_t)s->q.revision;
    s->from = s->span.start;
    if (s->span.empty) {
        s->revision = c->etcd->newest;
        range_answer(c);
    } else if (!s->span.single) {
        range_page(c);
    } else {
        struct read_how how = {.mode = s->revision != 0    ? READ_SNAPSHOT
                                       : s->q.serializable ? READ_EVENTUAL
                                                           : READ_STRONG,
                               .ts = s->revision,
                               .any_replica = s->q.serializable};
        client_get_how(c->etcd->client, etcd_keyspace, s->span.start, &how, c->timeout_ms, range_got, c);
    }
}

/* Reads of the past ask first up to where it has been compacted. */
static void range_compacted(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct ecall *c = ctx;
    struct range_state *s = c->state;
    if (e->status != STATUS_OK) {
        range_failed(c, e);
        return;
    }
    uint64_t compacted = reply->found ? revised_read(reply->value, 0).count : 0;
    if (s->q.revision < 0 || (uint64_t)s->q.revision < compacted)
        ecall_refuse(c, &ERR_COMPACTED);
    else
        range_read(c);
}

struct slice key_compacted(struct arena *a)
{
    return key_row(a, ROW_OF_SYSTEM, slice_str("compacted"));
}

void serve_range(struct ecall *c, const struct json_node *body)
{
    struct range_state *s = arena_zalloc(&c->arena, sizeof(*s));
    c->state = s;
    if (!take_range(c, body, &s->q) || !may_range(c, &s->q)) return;
    s->span = span_of(&c->arena, s->q.key, s->q.range_end);
    if (s->q.revision == 0)
        range_read(c);
    else
        client_get(c->etcd->client, etcd_keyspace, key_compacted(&c->arena), c->timeout_ms, range_compacted, c);
}

/* --- put --- */

bool take_put(struct ecall *c, const struct json_node *body, struct put_asked *out)
{
    *out = (struct put_asked){.lease = 0};
    bool good = take_bytes(c, body, "key", &out->key) && take_bytes(c, body, "value", &out->value) &&
                take_i64(c, body, "lease", &out->lease) && take_bool(c, body, "prev_kv", &out->prev_kv) &&
                take_bool(c, body, "ignore_value", &out->ignore_value) &&
                take_bool(c, body, "ignore_lease", &out->ignore_lease);
    if (!good) return false;
    const struct etcd_error *why = out->key.size == 0                         ? &ERR_EMPTY_KEY
                                   : out->ignore_value && out->value.size > 0 ? &ERR_VALUE_PROVIDED
                                   : out->ignore_lease && out->lease != 0     ? &ERR_LEASE_PROVIDED
                                   : out->value.size > ETCD_VALUE_MAX         ? &ERR_TOO_LARGE
                                   : out->key.size > LIMIT_KEY_BYTES - 16     ? &ERR_TOO_LARGE
                                                                              : NULL;
    if (why != NULL) ecall_refuse(c, why);
    return why == NULL;
}

/* In a piece of work: with what was there before. */
enum work_step work_do_put(struct work *w, const struct put_asked *q, const struct ecall *by, struct ekv *before,
                           bool *had)
{
    const struct work_row *row = NULL, *lease = NULL;
    struct arena *a = work_arena(w);
    struct slice key = key_row(a, ROW_OF_USER, q->key);
    bool reads = q->prev_kv || q->ignore_value || q->ignore_lease;
    bool there = !reads || work_get(w, key, &row);
    if (q->lease != 0 && !work_get_loosely(w, key_lease(a, (uint64_t)q->lease), &lease)) there = false;
    if (!there) return WORK_WANTS;
    *had = row != NULL && row->found;
    if (*had) *before = ekv_of(row->key, row->value, row->written ? OF_THIS : row->version);
    if ((q->ignore_value || q->ignore_lease) && !*had) return work_refuse(w, &ERR_KEY_NOT_FOUND);
    if (q->lease != 0) {
        if (!lease->found) return work_refuse(w, &ERR_LEASE_NOT_FOUND);
        enum work_step bound = lease_may_bind(w, (uint64_t)q->lease, by);
        if (bound != WORK_DONE) return bound;
    }
    work_revise(w, key, q->ignore_value ? before->value : q->value,
                q->ignore_lease ? before->lease : (uint64_t)q->lease);
    if (q->lease != 0) work_put(w, key_attached(a, (uint64_t)q->lease, q->key), SLICE_EMPTY);
    return WORK_DONE;
}

struct put_state {
    struct put_asked q;
    struct ekv before;
    bool had;
};

static void emit_put(struct ecall *c, struct buf *b, uint64_t revision)
{
    const struct put_state *s = c->state;
    (void)revision;
    if (!s->q.prev_kv || !s->had) return;
    json_key(b, "prev_kv");
    emit_ekv(b, &s->before, false);
}

static enum work_step put_body(struct work *w, void *ctx)
{
    struct ecall *c = ctx;
    struct put_state *s = c->state;
    return work_do_put(w, &s->q, c, &s->before, &s->had);
}

static void put_done(void *ctx, const struct client_error *e, const struct txn_result *r)
{
    struct ecall *c = ctx;
    struct put_state *s = c->state;
    if (e->status != STATUS_OK) {
        ecall_fail(c, e);
    } else if (r->status == STATUS_CONDITION_FAILED) {
        ecall_refuse(c, &ERR_LEASE_NOT_FOUND);
    } else if (r->status == STATUS_NOT_FOUND) {
        ecall_refuse(c, &ERR_KEY_NOT_FOUND);
    } else if (r->status != STATUS_OK) {
        ecall_refuse(c, &ERR_TIMEOUT);
    } else {
        const struct txn_op_result *g = &r->ops[0];
        s->had = s->q.prev_kv && g->found;
        if (s->had) s->before = ekv_of(key_row(&c->arena, ROW_OF_USER, s->q.key), g->value, g->version);
        struct buf b = answer_begin(c, r->ts);
        emit_put(c, &b, r->ts);
        answer_end(c, &b);
    }
}

void put_ops(struct arena *a, const struct put_asked *q, struct txn_op *out, size_t *count)
{
    out[(*count)++] = (struct txn_op){.kind = TXN_REVISE,
                                      .key = key_row(a, ROW_OF_USER, q->key),
                                      .value = q->value,
                                      .lease = (uint64_t)q->lease,
                                      .keeps_value = q->ignore_value,
                                      .keeps_lease = q->ignore_lease};
    if (q->lease == 0) return;
    out[(*count)++] =
        (struct txn_op){.kind = TXN_PUT, .key = key_attached(a, (uint64_t)q->lease, q->key), .value = SLICE_EMPTY};
}

struct txn_compare lease_is_there(struct arena *a, int64_t lease)
{
    return (struct txn_compare){.target = TXN_TARGET_EXISTS,
                                .relation = TXN_EQUAL,
                                .key = key_lease(a, (uint64_t)lease),
                                .version = 1,
                                .value = SLICE_EMPTY};
}

/* One transaction: [the row before], the row, [what is attached to the lease, which must be there]. Where it matters what else is
 * attached, that is looked at first: a piece of work. */
void serve_put(struct ecall *c, const struct json_node *body)
{
    struct put_state *s = arena_zalloc(&c->arena, sizeof(*s));
    struct txn_op ops[3];
    struct txn_compare lease;
    struct txn t = {.ops = ops};
    c->state = s;
    if (!take_put(c, body, &s->q) || !may_put(c, &s->q)) return;
    if (s->q.lease != 0 && ecall_is_asked(c)) {
        answer_by_work(c, put_body, emit_put);
        return;
    }
    if (s->q.prev_kv)
        ops[t.op_count++] =
            (struct txn_op){.kind = TXN_GET, .key = key_row(&c->arena, ROW_OF_USER, s->q.key), .value = SLICE_EMPTY};
    put_ops(&c->arena, &s->q, ops, &t.op_count);
    if (s->q.lease != 0) {
        lease = lease_is_there(&c->arena, s->q.lease);
        t.compares = &lease;
        t.compare_count = 1;
    }
    client_txn(c->etcd->client, etcd_keyspace, &t, c->timeout_ms, put_done, c);
}

/* --- deleterange --- */

bool take_delete(struct ecall *c, const struct json_node *body, struct delete_asked *out)
{
    *out = (struct delete_asked){.prev_kv = false};
    if (!take_bytes(c, body, "key", &out->key) || !take_bytes(c, body, "range_end", &out->range_end) ||
        !take_bool(c, body, "prev_kv", &out->prev_kv))
        return false;
    bool named = out->key.size > 0;
    if (!named) ecall_refuse(c, &ERR_EMPTY_KEY); /* frees the call, and what lies in its arena: `out`, perhaps */
    return named;
}

enum work_step work_do_delete(struct work *w, const struct delete_asked *q, struct ekv **before, size_t *count)
{
    struct arena *a = work_arena(w);
    struct span span = span_of(a, q->key, q->range_end);
    const struct work_row *one, **rows = &one;
    *count = 0;
    if (span.empty) return WORK_DONE;
    bool there = span.single ? work_get(w, span.start, &one) : work_scan(w, &span, &rows, count);
    if (!there) return WORK_WANTS;
    if (span.single) *count = one->found ? 1 : 0;
    *before = arena_alloc(a, (*count + 1) * sizeof(**before));
    for (size_t i = 0; i < *count; i++) {
        (*before)[i] = ekv_of(rows[i]->key, rows[i]->value, rows[i]->written ? OF_THIS : rows[i]->version);
        work_delete(w, rows[i]->key);
    }
    return WORK_DONE;
}

struct delete_state {
    struct delete_asked q;
    struct ekv *before;
    size_t count;
};

static enum work_step delete_body(struct work *w, void *ctx)
{
    struct ecall *c = ctx;
    struct delete_state *s = c->state;
    return work_do_delete(w, &s->q, &s->before, &s->count);
}

void emit_deleted(struct buf *b, bool prev_kv, const struct ekv *before, size_t count)
{
    emit_u64(b, "deleted", count);
    if (!prev_kv || count == 0) return;
    json_key(b, "prev_kvs");
    json_open(b, '[');
    for (size_t i = 0; i < count; i++) emit_ekv(b, &before[i], false);
    json_close(b, ']');
}

static void emit_delete(struct ecall *c, struct buf *b, uint64_t revision)
{
    const struct delete_state *s = c->state;
    (void)revision;
    emit_deleted(b, s->q.prev_kv, s->before, s->count);
}

static void delete_done(void *ctx, const struct client_error *e, const struct txn_result *r)
{
    struct ecall *c = ctx;
    struct delete_state *s = c->state;
    if (e->status != STATUS_OK) {
        ecall_fail(c, e);
    } else if (r->status != STATUS_OK) {
        ecall_refuse(c, &ERR_TIMEOUT);
    } else {
        s->count = r->ops[r->op_count - 1].found ? 1 : 0;
        s->before = arena_zalloc(&c->arena, sizeof(*s->before));
        if (s->q.prev_kv && r->ops[0].found)
            *s->before = ekv_of(key_row(&c->arena, ROW_OF_USER, s->q.key), r->ops[0].value, r->ops[0].version);
        struct buf b = answer_begin(c, r->ts);
        emit_delete(c, &b, r->ts);
        answer_end(c, &b);
    }
}

/* Of one key: one transaction, [the row before], its end. */
static void delete_one(struct ecall *c, struct slice row_key)
{
    const struct delete_state *s = c->state;
    struct txn_op ops[2];
    struct txn t = {.ops = ops};
    if (s->q.prev_kv) ops[t.op_count++] = (struct txn_op){.kind = TXN_GET, .key = row_key, .value = SLICE_EMPTY};
    ops[t.op_count++] = (struct txn_op){.kind = TXN_DELETE, .key = row_key, .value = SLICE_EMPTY};
    client_txn(c->etcd->client, etcd_keyspace, &t, c->timeout_ms, delete_done, c);
}

void serve_delete(struct ecall *c, const struct json_node *body)
{
    struct delete_state *s = arena_zalloc(&c->arena, sizeof(*s));
    c->state = s;
    if (!take_delete(c, body, &s->q) || !may_delete(c, &s->q)) return;
    struct span span = span_of(&c->arena, s->q.key, s->q.range_end);
    if (span.single && s->q.key.size <= LIMIT_KEY_BYTES - 16)
        delete_one(c, span.start);
    else
        answer_by_work(c, delete_body, emit_delete);
}

/* --- compaction: versions go by themselves; what is said here is that nobody may read them any more --- */

struct compaction_state {
    int64_t revision;
};

static enum work_step compaction_body(struct work *w, void *ctx)
{
    struct ecall *c = ctx;
    const struct compaction_state *s = c->state;
    const struct work_row *row;
    struct arena *a = work_arena(w);
    if (!work_get(w, key_compacted(a), &row)) return WORK_WANTS;
    uint64_t before = row->found ? revised_read(row->value, 0).count : 0;
    if (s->revision < 0 || (uint64_t)s->revision <= before) return work_refuse(w, &ERR_COMPACTED);
    if ((uint64_t)s->revision > work_revision(w)) return work_refuse(w, &ERR_FUTURE);
    struct revised r = {.created = 1, .count = (uint64_t)s->revision, .value = SLICE_EMPTY};
    work_put(w, key_compacted(a), revised_make(a, &r));
    return WORK_DONE;
}

void serve_compaction(struct ecall *c, const struct json_node *body)
{
    struct compaction_state *s = arena_zalloc(&c->arena, sizeof(*s));
    c->state = s;
    if (take_i64(c, body, "revision", &s->revision) && ecall_may(c, AUTH_WRITE, slice_make("", 1), slice_make("", 1)))
        answer_by_work(c, compaction_body, NULL);
}
