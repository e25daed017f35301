/* Work over a snapshot, committed only if what it read is still so: drawing in etcd_int.h. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "etcd/work.h"

#define ATTEMPTS_MAX 40u
#define PAGE_ROWS 2000u
#define LOOKS_MAX (1u << 20) /* rows that one run of a body may look at */
#define HELD_MAX (64u << 20) /* bytes of rows that were read */
#define FETCHES_AT_ONCE 256u /* others have requests of the same client under way */

/* What the commit asks about a span that was read. */
enum guard {
    GUARD_ALL,  /* its rows are as they were, and none has come */
    GUARD_COME, /* none has come */
    GUARD_NONE
};
/* And about a row: the strongest of what its readers want. */
enum ask {
    ASK_THERE = 1, /* it is there, or not, as it was */
    ASK_BOUND,     /* the lease is its lease, or not, as it was */
    ASK_SAME
};
struct work_span {
    struct work_span *next;
    struct span span;
    enum guard guard;
    size_t most; /* rows; 0: all */
    bool wanted, there;
    struct slice from; /* of the next page */
    const struct work_row **rows;
    size_t count, capacity;
};
struct work_key { /* of what is read by its key, and of what is written */
    struct work_key *next, *same_hash;
    struct work_row row;
    bool wanted, there;
    enum ask ask;
    uint64_t lease;  /* ASK_BOUND */
    size_t write;    /* its place in writes + 1; 0: none */
    uint64_t met_by; /* the scan that has met it last */
};
struct work_write {
    struct work_key *key;
    struct slice value;
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
    struct map by_hash; /* of all keys */
    struct work_span *spans;
    uint64_t scans;
    size_t looks; /* of this run */
    bool too_large;
    struct work_key *next_key; /* of those that are wanted: to be asked for next */
    struct work_span *next_span;
    unsigned fetching, attempts;
    size_t held; /* bytes */
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
    map_free(&w->by_hash);
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

unsigned work_attempts(const struct work *w)
{
    return w->attempts;
}

struct arena *work_arena(struct work *w)
{
    return w->arena;
}

/* --- reading --- */

static void fetch_some(struct work *w);

static void fetch_fails(struct work *w, struct etcd_error why)
{
    if (!w->failed) w->refusal = why;
    w->failed = true;
}

static void fetched(struct work *w, const struct client_error *e)
{
    if (e->status != STATUS_OK) fetch_fails(w, etcd_error_of(w->etcd, e));
    w->fetching--;
    if (!w->failed) fetch_some(w);
    if (w->fetching > 0) return;
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
        w->held += sizeof(struct work_row) + page->rows[i].key.size + page->rows[i].value.size;
        struct work_row *row = arena_zalloc(w->arena, sizeof(*row));
        *row = (struct work_row){.key = arena_dup_slice(w->arena, page->rows[i].key),
                                 .found = true,
                                 .version = page->rows[i].version,
                                 .value = arena_dup_slice(w->arena, page->rows[i].value)};
        s->rows[s->count++] = row;
    }
    if (w->held > HELD_MAX) fetch_fails(w, ERR_TOO_LARGE);
    bool enough = w->failed || (s->most != 0 && s->count >= s->most);
    if (page->more && !enough) {
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
    const struct work_span *s = u->span;
    size_t left = s->most == 0 ? PAGE_ROWS : s->most - s->count;
    struct client_scan scan = {.start = s->from,
                               .end = s->span.end,
                               .limit_rows = left < PAGE_ROWS ? (uint32_t)left : PAGE_ROWS,
                               .how = how_of(u->work)};
    client_scan(u->work->etcd->client, etcd_keyspace, &scan, ETCD_CALL_MS, scanned, u);
}

static void fetch_key(struct work *w, struct work_key *k)
{
    struct get_under_way *g = arena_alloc(w->arena, sizeof(*g));
    struct read_how how = how_of(w);
    *g = (struct get_under_way){.work = w, .key = k};
    w->fetching++;
    client_get_how(w->etcd->client, etcd_keyspace, k->row.key, &how, ETCD_CALL_MS, got, g);
}

static void fetch_span(struct work *w, struct work_span *s)
{
    struct scan_under_way *u = arena_alloc(w->arena, sizeof(*u));
    *u = (struct scan_under_way){.work = w, .span = s};
    s->from = s->span.start;
    w->fetching++;
    scan_page(u);
}

/* The first alone, if now is not known yet: the others are as of the same timestamp. */
static bool may_fetch(const struct work *w)
{
    return w->fetching < (w->revision == 0 ? 1 : FETCHES_AT_ONCE);
}

static void fetch_some(struct work *w)
{
    for (; w->next_key != NULL && may_fetch(w); w->next_key = w->next_key->next)
        if (w->next_key->wanted && !w->next_key->there) fetch_key(w, w->next_key);
    for (; w->next_span != NULL && may_fetch(w); w->next_span = w->next_span->next)
        if (w->next_span->wanted && !w->next_span->there) fetch_span(w, w->next_span);
}

static void fetch(struct work *w)
{
    w->next_key = w->keys;
    w->next_span = w->spans;
    fetch_some(w);
    ASSERT(w->fetching > 0);
}

/* --- what is known of a key --- */

static struct work_key *find_key(const struct work *w, struct slice key)
{
    struct work_key *k = map_get(&w->by_hash, hash_bytes(key, w->etcd->seed));
    while (k != NULL && !slice_eq(k->row.key, key)) k = k->same_hash;
    return k;
}

static struct work_key *have_key(struct work *w, struct slice key)
{
    struct work_key *k = find_key(w, key);
    if (k != NULL) return k;
    k = arena_zalloc(w->arena, sizeof(*k));
    k->row.key = key;
    k->row.value = SLICE_EMPTY;
    k->next = w->keys;
    w->keys = k;
    k->same_hash = map_put(&w->by_hash, hash_bytes(key, w->etcd->seed), k);
    return k;
}

static const struct work_write *write_of(const struct work *w, const struct work_key *k)
{
    return k == NULL || k->write == 0 ? NULL : &w->writes[k->write - 1];
}

static void forget_writes(struct work *w)
{
    for (size_t i = 0; i < w->write_count; i++) w->writes[i].key->write = 0;
    w->write_count = 0;
}

/* The row as it will be: of a revision, with what was there before. */
static const struct work_row *row_with_write(struct work *w, const struct work_row *before, const struct work_write *x)
{
    struct work_row *row = arena_zalloc(w->arena, sizeof(*row));
    *row =
        (struct work_row){.key = x->key->row.key, .found = x->kind != TXN_DELETE, .written = true, .value = x->value};
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

/* As it was read; NULL: it has not been. */
static struct work_key *get_as(struct work *w, struct slice row_key, enum ask ask)
{
    struct work_key *k = have_key(w, row_key);
    k->wanted = true;
    if (ask > k->ask) k->ask = ask;
    return k->there ? k : NULL;
}

bool work_get(struct work *w, struct slice row_key, const struct work_row **out)
{
    struct work_key *k = get_as(w, row_key, ASK_SAME);
    if (k == NULL) return false;
    const struct work_write *x = write_of(w, k);
    *out = x != NULL ? row_with_write(w, &k->row, x) : &k->row;
    return true;
}

bool work_get_before(struct work *w, struct slice row_key, const struct work_row **out)
{
    const struct work_key *k = get_as(w, row_key, ASK_SAME);
    if (k != NULL) *out = &k->row;
    return k != NULL;
}

bool work_get_loosely(struct work *w, struct slice row_key, const struct work_row **out)
{
    const struct work_key *k = get_as(w, row_key, ASK_THERE);
    if (k != NULL) *out = &k->row;
    return k != NULL;
}

static bool is_bound(const struct work_row *row, uint64_t lease)
{
    return row->found && revised_read(row->value, row->version).lease == lease;
}

bool work_get_bound(struct work *w, struct slice row_key, uint64_t lease, bool *bound)
{
    struct work_key *k = get_as(w, row_key, ASK_BOUND);
    if (k == NULL) return false;
    k->lease = lease;
    *bound = is_bound(&k->row, lease);
    return true;
}

static int compare_rows(const void *a, const void *b)
{
    const struct work_row *const *x = a, *const *y = b;
    return slice_cmp((*x)->key, (*y)->key);
}

static struct work_span *have_span(struct work *w, const struct span *span, enum guard guard, size_t most)
{
    struct work_span *s = w->spans;
    while (s != NULL && !(s->guard == guard && s->most == most && slice_eq(s->span.start, span->start) &&
                          slice_eq(s->span.end, span->end)))
        s = s->next;
    if (s != NULL) return s;
    s = arena_zalloc(w->arena, sizeof(*s));
    *s = (struct work_span){.next = w->spans, .span = *span, .guard = guard, .most = most};
    w->spans = s;
    return s;
}

/* False: there is too much of it; the work is refused when its body has run. */
static bool may_look(struct work *w, size_t rows)
{
    w->looks += rows;
    w->too_large = w->too_large || w->looks > LOOKS_MAX;
    return !w->too_large;
}

static bool scan_as_read(struct work *w, const struct span *span, enum guard guard, size_t most,
                         const struct work_row ***out, size_t *count)
{
    struct work_span *s = have_span(w, span, guard, most);
    s->wanted = true;
    if (!s->there) return false;
    *count = may_look(w, s->count) ? s->count : 0;
    *out = s->rows;
    return true;
}

bool work_scan_before(struct work *w, const struct span *span, const struct work_row ***out, size_t *count)
{
    return scan_as_read(w, span, GUARD_ALL, 0, out, count);
}

bool work_scan_loosely(struct work *w, const struct span *span, size_t most, const struct work_row ***out,
                       size_t *count)
{
    return scan_as_read(w, span, GUARD_COME, most, out, count);
}

bool work_peek(struct work *w, const struct span *span, size_t most, const struct work_row ***out, size_t *count)
{
    return scan_as_read(w, span, GUARD_NONE, most, out, count);
}

bool work_scan(struct work *w, const struct span *span, const struct work_row ***out, size_t *count)
{
    const struct work_row **read, **rows;
    size_t read_count, n = 0;
    *count = 0;
    if (!scan_as_read(w, span, GUARD_ALL, 0, &read, &read_count)) return false;
    if (!may_look(w, w->write_count)) return true;
    uint64_t scan = ++w->scans;
    rows = arena_alloc(w->arena, (read_count + w->write_count + 1) * sizeof(*rows));
    for (size_t i = 0; i < read_count; i++) {
        struct work_key *k = w->write_count > 0 ? find_key(w, read[i]->key) : NULL;
        const struct work_write *x = write_of(w, k);
        if (x != NULL) k->met_by = scan;
        if (x != NULL && x->kind == TXN_DELETE) continue;
        rows[n++] = x != NULL ? row_with_write(w, read[i], x) : read[i];
    }
    size_t old = n;
    for (size_t i = 0; i < w->write_count; i++) {
        const struct work_write *x = &w->writes[i];
        bool comes = x->kind != TXN_DELETE && x->key->met_by != scan && span_has(span, x->key->row.key);
        if (comes) rows[n++] = row_with_write(w, &(struct work_row){.found = false}, x);
    }
    if (n > old) qsort(rows, n, sizeof(*rows), compare_rows);
    *out = rows;
    *count = n;
    return true;
}

/* --- writing --- */

static void add_write(struct work *w, struct slice key, struct work_write x)
{
    x.key = have_key(w, key);
    if (x.key->write != 0) {
        w->writes[x.key->write - 1] = x;
        return;
    }
    if (w->write_count == LIMIT_TXN_OPS) {
        w->too_large = true;
        return;
    }
    if (w->write_count == w->write_capacity) {
        w->write_capacity = w->write_capacity == 0 ? 8 : w->write_capacity * 2;
        w->writes = mem_realloc(w->writes, w->write_capacity * sizeof(*w->writes));
    }
    w->writes[w->write_count++] = x;
    x.key->write = w->write_count;
}

void work_put(struct work *w, struct slice row_key, struct slice value)
{
    add_write(w, row_key, (struct work_write){.value = value, .kind = TXN_PUT});
}
/* Of a key that this work has deleted: it begins anew. */
void work_revise(struct work *w, struct slice row_key, struct slice value, uint64_t lease)
{
    const struct work_write *before = write_of(w, find_key(w, row_key));
    if (before != NULL && before->kind != TXN_REVISE) {
        struct revised anew = {.created = 0, .count = 1, .lease = lease, .value = value};
        work_put(w, row_key, revised_make(w->arena, &anew));
        return;
    }
    add_write(w, row_key, (struct work_write){.value = value, .kind = TXN_REVISE, .lease = lease});
}
void work_delete(struct work *w, struct slice row_key)
{
    add_write(w, row_key, (struct work_write){.value = SLICE_EMPTY, .kind = TXN_DELETE});
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
    forget_writes(w);
    map_free(&w->by_hash);
    map_init(&w->by_hash);
    w->keys = NULL;
    w->spans = NULL;
    w->revision = 0;
    w->held = 0;
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

static struct txn_compare compare_of(const struct work_key *k)
{
    static const enum txn_target targets[] = {
        [ASK_THERE] = TXN_TARGET_EXISTS, [ASK_BOUND] = TXN_TARGET_LEASE, [ASK_SAME] = TXN_TARGET_VERSION};
    uint64_t there = k->row.found ? 1 : 0;
    bool same = k->ask != ASK_BOUND || is_bound(&k->row, k->lease);
    return (struct txn_compare){.target = targets[k->ask],
                                .relation = same ? TXN_EQUAL : TXN_NOT_EQUAL,
                                .key = k->row.key,
                                .version = k->ask == ASK_THERE   ? there
                                           : k->ask == ASK_BOUND ? k->lease
                                                                 : there * k->row.version,
                                .value = SLICE_EMPTY};
}

static size_t make_compares(struct work *w, struct txn_compare *out)
{
    size_t n = 0;
    for (struct work_key *k = w->keys; k != NULL; k = k->next) {
        if (k->wanted) out[n++] = compare_of(k);
    }
    for (struct work_span *s = w->spans; s != NULL; s = s->next) {
        if (!s->wanted) continue;
        for (size_t i = 0; i < s->count && s->guard == GUARD_ALL; i++)
            out[n++] = (struct txn_compare){.target = TXN_TARGET_VERSION,
                                            .relation = TXN_EQUAL,
                                            .key = s->rows[i]->key,
                                            .version = s->rows[i]->version,
                                            .value = SLICE_EMPTY};
        if (s->guard == GUARD_NONE) continue;
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
        t.ops[i] = (struct txn_op){.kind = x->kind, .key = x->key->row.key, .value = x->value, .lease = x->lease};
    }
    client_txn(w->etcd->client, etcd_keyspace, &t, ETCD_CALL_MS, committed, w);
}

static void work_run(struct work *w)
{
    forget_writes(w);
    w->looks = 0;
    w->too_large = false;
    for (struct work_key *k = w->keys; k != NULL; k = k->next) {
        k->wanted = false;
        k->ask = ASK_THERE;
    }
    for (struct work_span *s = w->spans; s != NULL; s = s->next) s->wanted = false;
    enum work_step step = w->body(w, w->ctx);
    if (w->too_large) {
        work_end(w, &ERR_TOO_LARGE, w->revision, false);
        return;
    }
    switch (step) {
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
    map_init(&w->by_hash);
    list_push_back(&e->works, &w->link);
    work_run(w);
}
