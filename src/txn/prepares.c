/* Prepares that share an entry: each is judged as if it were alone in one, in their order, at its own timestamp. All rows that any of
 * them looks at are read first: when one has to come from disk, nothing has happened. None of them writes a row that another one reads,
 * but for the answer to a client's id, which two attempts of one request may be after. */
#include "base/assert.h"
#include "txn/participant_int.h"

enum { PREPARES_AHEAD = 16 };

struct known_row {
    struct slice key;
    struct txn_stored stored;
    bool found;
};
struct part { /* one of them */
    uint64_t ts;
    struct slice body;
    bool good; /* it can be decoded */
    struct txn_prepare prepare;
    struct txn txn;
    struct slice *keys;
    struct known_row *rows; /* of the keys */
    size_t count;
};

/* --- reading --- */

static size_t count_parts(struct slice body)
{
    struct cursor c = cursor_make(body);
    uint64_t ts;
    struct slice one;
    size_t count = 0;
    while (txn_prepares_next(&c, &ts, &one)) count++;
    return count;
}

static void take_part(struct applying *a, struct part *p)
{
    a->body = p->body;
    p->good = apply_read_prepare(a, &p->prepare, &p->txn);
    if (!p->good) return;
    p->count = reads_of_part(&p->prepare, &p->txn, a->arena, &p->keys);
    p->rows = arena_alloc(a->arena, p->count * sizeof(*p->rows));
    table_add_soon(a->t, &p->prepare.id, p->keys, p->count);
}

static void tell_soon(const struct applying *a, const struct part *p, bool next)
{
    for (size_t i = 0; i < p->count && a->view->soon != NULL; i++) a->view->soon(a->view->ctx, p->keys[i], next);
}

static enum status read_rows(struct applying *a, struct part *p)
{
    enum status all = STATUS_OK; /* MISS does not keep the others from being asked for */
    for (size_t i = 0; i < p->count; i++) {
        struct known_row *row = &p->rows[i];
        *row = (struct known_row){.key = p->keys[i], .stored = {.value = SLICE_EMPTY}};
        enum status s = a->view->get(a->view->ctx, row->key, &row->stored);
        row->found = s == STATUS_OK;
        if (s == STATUS_MISS) all = s;
        if (s != STATUS_OK && s != STATUS_NOT_FOUND && s != STATUS_MISS) return s;
    }
    return all;
}

/* A few at a time: what they look at comes to the processor together. */
static enum status read_parts(struct applying *a, struct part *parts, size_t count)
{
    enum status all = STATUS_OK;
    for (size_t from = 0; from < count; from += PREPARES_AHEAD) {
        size_t to = from + PREPARES_AHEAD < count ? from + PREPARES_AHEAD : count;
        for (size_t i = from; i < to; i++) {
            take_part(a, &parts[i]);
            tell_soon(a, &parts[i], false);
        }
        for (size_t i = from; i < to; i++) tell_soon(a, &parts[i], true);
        for (size_t i = from; i < to; i++) {
            enum status s = read_rows(a, &parts[i]);
            if (s == STATUS_MISS) all = s;
            if (s != STATUS_OK && s != STATUS_MISS) return s;
        }
    }
    return all;
}

/* --- judging --- */

struct known { /* what a part sees */
    const struct applying *a;
    const struct part *part;
};

static enum status known_get(void *ctx, struct slice key, struct txn_stored *out)
{
    const struct known *k = ctx;
    for (size_t i = k->a->count; i-- > 0;) { /* refused a moment ago, for an id that keeps the answer */
        const struct txn_write *w = &k->a->items[i];
        if (w->held || !slice_eq(w->key, key)) continue;
        *out = (struct txn_stored){.version = w->ts, .value = w->value};
        return STATUS_OK;
    }
    for (size_t i = 0; i < k->part->count; i++) {
        const struct known_row *row = &k->part->rows[i];
        if (!slice_eq(row->key, key)) continue;
        *out = row->stored;
        return row->found ? STATUS_OK : STATUS_NOT_FOUND;
    }
    BUG("a row that was not read before");
}

/* Shorter than that of an entry of its own: many of them must fit into an answer. */
static enum status tell_blocked(struct applying *a, const struct held *by)
{
    struct txn_blocked b = {.holder = by->id, .born = by->born, .min_ts = by->ts};
    COVER("txn.prepares_blocked");
    txn_blocked_encode(&b, a->answer);
    return STATUS_OK;
}

static enum status judge(struct applying *a, const struct part *p)
{
    const struct held *blocker;
    size_t mark = txn_answers_begin(a->answer);
    a->body = p->body;
    enum status s = p->good ? apply_judge(a, &p->prepare, &p->txn, p->ts, &blocker) : apply_tell_malformed(a);
    if (s == STATUS_BLOCKED) s = tell_blocked(a, blocker);
    txn_answers_end(a->answer, mark);
    return s;
}

enum status apply_prepares(struct applying *a)
{
    struct cursor c = cursor_make(a->body);
    size_t count = count_parts(a->body);
    if (count == 0) return apply_tell_malformed(a);
    struct part *parts = arena_zalloc(a->arena, count * sizeof(*parts));
    for (size_t i = 0; i < count; i++) (void)txn_prepares_next(&c, &parts[i].ts, &parts[i].body);
    enum status s = read_parts(a, parts, count);
    if (s != STATUS_OK) return s;
    COVER("txn.prepares");
    struct known known = {.a = a};
    const struct txn_view view = {.get = known_get, .ctx = &known}, *outer = a->view;
    a->view = &view;
    for (size_t i = 0; i < count && s == STATUS_OK; i++) { /* a row that cannot be decoded: the process ends */
        if (i > 0) ASSERT(parts[i].ts > parts[i - 1].ts);
        known.part = &parts[i];
        s = judge(a, &parts[i]);
    }
    a->view = outer;
    apply_drop_tombstones(a, parts[0].ts, count); /* none of this entry's is as old as that */
    return s;
}
