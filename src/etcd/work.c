/* Work over a snapshot, committed only if what it read is still so: drawing in etcd_int.h. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "etcd/work.h"

#define ATTEMPTS_MAX 40u
#define PAGE_ROWS 2000u

struct work_span {
    struct work_span *next;
    struct span span;
    bool wanted, there;
    struct slice from; /* of the next page */
    struct work_row **rows;
    size_t count, capacity;
};
struct work_key {
    struct work_key *next;
    struct work_row row;
    bool wanted, there;
};
struct work_write {
    struct slice key, value;
    enum txn_op_kind kind;
    uint64_t lease;
};

struct work {
    struct list link; /* etcd's */
    struct etcd *etcd;
    struct arena *arena;
    work_body body;
    work_done done;
    void *ctx;
    uint64_t revision; /* of the snapshot */
    struct work_key *keys;
    struct work_span *spans;
    unsigned fetching, attempts;
    bool failed;
    struct etcd_error refusal;
    struct work_write *writes;
    size_t write_count, write_capacity;
};

static void work_run(struct work *w);

static void work_free(struct work *w)
{
    list_remove(&w->link);
    mem_free(w->writes);
    for (struct work_span *s = w->spans; s != NULL; s = s->next) mem_free(s->rows);
    mem_free(w);
}

void works_free(struct etcd *e)
{
    LIST_FOR(it, &e->works) work_free(LIST_ENTRY(it, struct work, link));
}

static void work_end(struct work *w, const struct etcd_error *why, uint64_t revision, bool wrote)
{
    work_done done = w->done;
    void *ctx = w->ctx;
    struct etcd_error refusal = why != NULL ? *why : (struct etcd_error){.code = GRPC_OK};
    work_free(w);
    done(ctx, why != NULL ? &refusal : NULL, revision, wrote);
}

uint64_t work_revision(const struct work *w)
{
    return w->revision;
}

struct arena *work_arena(struct work *w)
{
    return w->arena;
}

/* --- reading --- */

static void fetched(struct work *w, const struct client_error *e)
{
    if (e->status != STATUS_OK && !w->failed) {
        w->failed = true;
        w->refusal = etcd_error_of(w->etcd, e);
    }
    if (--w->fetching > 0) return;
    if (w->failed)
        work_end(w, &w->refusal, 0, false);
    else
        work_run(w);
}

struct get_under_way {
    struct work *work;
    struct work_key *key;
};

static void note_revision(struct work *w, uint64_t ts)
{
    if (w->revision == 0) w->revision = ts;
}

static void got(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct get_under_way *g = ctx;
    struct work *w = g->work;
    if (e->status == STATUS_OK) {
        note_revision(w, reply->mark.ts);
        g->key->there = true;
        g->key->row.found = reply->found;
        g->key->row.version = reply->version;
        if (reply->found) g->key->row.value = arena_dup_slice(w->arena, reply->value);
    }
    fetched(w, e);
}

struct scan_under_way {
    struct work *work;
    struct work_span *span;
};
static void scan_page(struct scan_under_way *u);

static void scanned(void *ctx, const struct client_error *e, const struct scan_reply *page)
{
    struct scan_under_way *u = ctx;
    struct work *w = u->work;
    struct work_span *s = u->span;
    if (e->status != STATUS_OK) {
        fetched(w, e);
        return;
    }
    note_revision(w, page->mark.ts);
    if (s->count + page->row_count > s->capacity) {
        s->capacity = (s->count + page->row_count) * 2;
        s->rows = mem_realloc(s->rows, s->capacity * sizeof(struct work_row *));
    }
    for (size_t i = 0; i < page->row_count; i++) {
        struct work_row *row = arena_zalloc(w->arena, sizeof(*row));
        *row = (struct work_row){.key = arena_dup_slice(w->arena, page->rows[i].key),
                                 .found = true,
                                 .version = page->rows[i].version,
                                 .value = arena_dup_slice(w->arena, page->rows[i].value)};
        s->rows[s->count++] = row;
    }
    if (page->more) {
        struct slice last = s->rows[s->count - 1]->key;
        uint8_t *next = arena_zalloc(w->arena, last.size + 1);
        memcpy(next, last.data, last.size);
        s->from = slice_make(next, last.size + 1);
        scan_page(u);
        return;
    }
    s->there = true;
    fetched(w, e);
}

static struct read_how how_of(const struct work *w)
{
    return (struct read_how){.mode = READ_SNAPSHOT, .ts = w->revision};
}

static void scan_page(struct scan_under_way *u)
{
    struct client_scan scan = {
        .start = u->span->from, .end = u->span->span.end, .limit_rows = PAGE_ROWS, .how = how_of(u->work)};
    client_scan(u->work->etcd->client, etcd_keyspace, &scan, ETCD_CALL_MS, scanned, u);
}

/* The first alone, if now is not known yet: the others are as of the same timestamp. */
static void fetch(struct work *w)
{
    bool alone = w->revision == 0;
    w->fetching = 1; /* ours: callbacks come later, but let us not depend on it */
    for (struct work_key *k = w->keys; k != NULL; k = k->next) {
        if (!k->wanted || k->there || (alone && w->fetching > 1)) continue;
        struct get_under_way *g = arena_alloc(w->arena, sizeof(*g));
        struct read_how how = how_of(w);
        *g = (struct get_under_way){.work = w, .key = k};
        w->fetching++;
        client_get_how(w->etcd->client, etcd_keyspace, k->row.key, &how, ETCD_CALL_MS, got, g);
    }
    for (struct work_span *s = w->spans; s != NULL; s = s->next) {
        if (!s->wanted || s->there || (alone && w->fetching > 1)) continue;
        struct scan_under_way *u = arena_alloc(w->arena, sizeof(*u));
        *u = (struct scan_under_way){.work = w, .span = s};
        s->from = s->span.start;
        w->fetching++;
        scan_page(u);
    }
    w->fetching--;
    ASSERT(w->fetching > 0);
}

static struct work_write *find_write(struct work *w, struct slice key)
{
    for (size_t i = 0; i < w->write_count; i++) {
        if (slice_eq(w->writes[i].key, key)) return &w->writes[i];
    }
    return NULL;
}

static struct work_key *find_key(struct work *w, struct slice key)
{
    struct work_key *k = w->keys;
    while (k != NULL && !slice_eq(k->row.key, key)) k = k->next;
    return k;
}

/* The row as it will be: of a revision, with what was there before. */
static const struct work_row *row_with_write(struct work *w, const struct work_row *before, const struct work_write *x)
{
    struct work_row *row = arena_zalloc(w->arena, sizeof(*row));
    *row = (struct work_row){.key = x->key, .found = x->kind != TXN_DELETE, .written = true, .value = x->value};
    if (x->kind != TXN_REVISE) return row;
    struct revised r = {.created = 0, .count = 1, .lease = x->lease, .value = x->value};
    if (before->found) {
        struct revised b = revised_read(before->value, before->version);
        r.created = b.created;
        r.count = b.count + 1;
    }
    row->value = revised_make(w->arena, &r);
    return row;
}

bool work_get(struct work *w, struct slice row_key, const struct work_row **out)
{
    struct work_key *k = find_key(w, row_key);
    if (k == NULL) {
        k = arena_zalloc(w->arena, sizeof(*k));
        k->row.key = row_key;
        k->row.value = SLICE_EMPTY;
        k->next = w->keys;
        w->keys = k;
    }
    k->wanted = true;
    if (!k->there) return false;
    const struct work_write *x = find_write(w, row_key);
    *out = x != NULL ? row_with_write(w, &k->row, x) : &k->row;
    return true;
}

static int compare_rows(const void *a, const void *b)
{
    const struct work_row *const *x = a, *const *y = b;
    return slice_cmp((*x)->key, (*y)->key);
}

bool work_scan(struct work *w, const struct span *span, const struct work_row ***out, size_t *count)
{
    struct work_span *s = w->spans;
    while (s != NULL && !(slice_eq(s->span.start, span->start) && slice_eq(s->span.end, span->end))) s = s->next;
    if (s == NULL) {
        s = arena_zalloc(w->arena, sizeof(*s));
        s->span = *span;
        s->next = w->spans;
        w->spans = s;
    }
    s->wanted = true;
    if (!s->there) return false;
    const struct work_row **rows = arena_alloc(w->arena, (s->count + w->write_count + 1) * sizeof(*rows));
    size_t n = 0;
    for (size_t i = 0; i < s->count; i++) {
        const struct work_write *x = find_write(w, s->rows[i]->key);
        if (x != NULL && x->kind == TXN_DELETE) continue;
        rows[n++] = x != NULL ? row_with_write(w, s->rows[i], x) : s->rows[i];
    }
    size_t old = n;
    for (size_t i = 0; i < w->write_count; i++) {
        const struct work_write *x = &w->writes[i];
        bool known = x->kind == TXN_DELETE || !span_has(span, x->key);
        for (size_t k = 0; k < old && !known; k++) known = slice_eq(rows[k]->key, x->key);
        if (!known) rows[n++] = row_with_write(w, &(struct work_row){.found = false}, x);
    }
    if (n > old) qsort(rows, n, sizeof(*rows), compare_rows);
    *out = rows;
    *count = n;
    return true;
}

/* --- writing --- */

static void add_write(struct work *w, struct work_write x)
{
    struct work_write *before = find_write(w, x.key);
    if (before != NULL) {
        *before = x;
        return;
    }
    if (w->write_count == w->write_capacity) {
        w->write_capacity = w->write_capacity == 0 ? 8 : w->write_capacity * 2;
        w->writes = mem_realloc(w->writes, w->write_capacity * sizeof(*w->writes));
    }
    w->writes[w->write_count++] = x;
}

void work_put(struct work *w, struct slice row_key, struct slice value)
{
    add_write(w, (struct work_write){.key = row_key, .value = value, .kind = TXN_PUT});
}
/* Of a key that this work has deleted: it begins anew. */
void work_revise(struct work *w, struct slice row_key, struct slice value, uint64_t lease)
{
    const struct work_write *before = find_write(w, row_key);
    if (before != NULL && before->kind != TXN_REVISE) {
        struct revised anew = {.created = 0, .count = 1, .lease = lease, .value = value};
        work_put(w, row_key, revised_make(w->arena, &anew));
        return;
    }
    add_write(w, (struct work_write){.key = row_key, .value = value, .kind = TXN_REVISE, .lease = lease});
}
void work_delete(struct work *w, struct slice row_key)
{
    add_write(w, (struct work_write){.key = row_key, .value = SLICE_EMPTY, .kind = TXN_DELETE});
}

enum work_step work_refuse(struct work *w, const struct etcd_error *why)
{
    w->refusal = *why;
    return WORK_REFUSED;
}

/* --- the commit --- */

/* What was read is forgotten; it is all computed again. */
static void work_again(struct work *w)
{
    COVER("etcd.work_again");
    for (struct work_span *s = w->spans; s != NULL; s = s->next) mem_free(s->rows);
    w->keys = NULL;
    w->spans = NULL;
    w->revision = 0;
    work_run(w);
}

static void committed(void *ctx, const struct client_error *e, const struct txn_result *result)
{
    struct work *w = ctx;
    if (e->status != STATUS_OK) {
        struct etcd_error why = etcd_error_of(w->etcd, e);
        work_end(w, &why, 0, false);
    } else if (result->status == STATUS_CONDITION_FAILED || result->status == STATUS_RETRY) {
        if (++w->attempts < ATTEMPTS_MAX) {
            work_again(w);
        } else {
            work_end(w, &ERR_TIMEOUT, 0, false);
        }
    } else if (result->status != STATUS_OK) {
        work_end(w, result->status == STATUS_TOO_LARGE ? &ERR_TOO_LARGE : &ERR_TIMEOUT, 0, false);
    } else {
        work_end(w, NULL, result->ts, true);
    }
}

static size_t make_compares(struct work *w, struct txn_compare *out)
{
    size_t n = 0;
    for (struct work_key *k = w->keys; k != NULL; k = k->next) {
        if (!k->wanted) continue;
        out[n++] = (struct txn_compare){.target = TXN_TARGET_VERSION,
                                        .relation = TXN_EQUAL,
                                        .key = k->row.key,
                                        .version = k->row.found ? k->row.version : 0,
                                        .value = SLICE_EMPTY};
    }
    for (struct work_span *s = w->spans; s != NULL; s = s->next) {
        if (!s->wanted) continue;
        for (size_t i = 0; i < s->count; i++)
            out[n++] = (struct txn_compare){.target = TXN_TARGET_VERSION,
                                            .relation = TXN_EQUAL,
                                            .key = s->rows[i]->key,
                                            .version = s->rows[i]->version,
                                            .value = SLICE_EMPTY};
        out[n++] = (struct txn_compare){.target = TXN_TARGET_SPAN,
                                        .relation = TXN_EQUAL,
                                        .key = s->span.start,
                                        .version = w->revision,
                                        .value = s->span.end};
    }
    return n;
}

static void commit(struct work *w)
{
    size_t most = 1;
    for (struct work_key *k = w->keys; k != NULL; k = k->next) most++;
    for (struct work_span *s = w->spans; s != NULL; s = s->next) most += s->count + 1;
    struct txn t = {.op_count = w->write_count};
    t.compares = arena_alloc(w->arena, most * sizeof(*t.compares));
    t.ops = arena_zalloc(w->arena, w->write_count * sizeof(*t.ops));
    t.compare_count = make_compares(w, t.compares);
    for (size_t i = 0; i < w->write_count; i++) {
        const struct work_write *x = &w->writes[i];
        t.ops[i] = (struct txn_op){.kind = x->kind, .key = x->key, .value = x->value, .lease = x->lease};
    }
    client_txn(w->etcd->client, etcd_keyspace, &t, ETCD_CALL_MS, committed, w);
}

static void work_run(struct work *w)
{
    w->write_count = 0;
    for (struct work_key *k = w->keys; k != NULL; k = k->next) k->wanted = false;
    for (struct work_span *s = w->spans; s != NULL; s = s->next) s->wanted = false;
    switch (w->body(w, w->ctx)) {
    case WORK_WANTS: fetch(w); return;
    case WORK_REFUSED: work_end(w, &w->refusal, w->revision, false); return;
    case WORK_DONE: break;
    }
    const struct work_row *any;
    if (w->write_count > 0)
        commit(w);
    else if (w->revision == 0 && !work_get(w, key_row(w->arena, ROW_OF_SYSTEM, SLICE_EMPTY), &any))
        fetch(w); /* nothing was read or written: of when is that true? */
    else
        work_end(w, NULL, w->revision, false);
}

void work_start(struct etcd *e, struct arena *arena, work_body body, work_done done, void *ctx)
{
    struct work *w = mem_zalloc(sizeof(*w));
    *w = (struct work){.etcd = e, .arena = arena, .body = body, .done = done, .ctx = ctx};
    list_push_back(&e->works, &w->link);
    work_run(w);
}
