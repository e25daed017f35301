/* A page of a scan over a keyspace by hash: the rows of all buckets, merged in the order of the users' keys. Each bucket is asked for
 * a piece, by a request of its own; when the merge has used up a bucket's piece and there is more, for the next one.
 *
 *   owner:  ROUTING --> WAIT_BUCKETS --all that were asked have answered--> merge --page full, or all at their end--> DONE
 *                            ^                                                |
 *                            +------------- a bucket has run dry -------------+
 *
 * A snapshot is one instant of all buckets: the first of them is asked alone, the others as of its timestamp. In other modes the
 * pieces are of different instants, as pages over several ranges are. */
#include "client/keyspace.h"

#include "base/assert.h"
#include "base/mem.h"

#define PIECE_ROWS_MIN 8u
#define PIECE_BYTES_MIN 65536u

struct bucket {
    struct buckets *all;
    struct request *piece; /* under way; NULL: none is */
    uint8_t number;
    struct arena arena; /* of the piece at hand: its rows; their bytes are in the owner's */
    struct scan_row *rows;
    size_t at, count;
    bool more;               /* behind the piece */
    struct slice start, end; /* what is left, as the keyspace holds it; in the owner's arena, or `edge` */
    uint8_t edge[LIMIT_KEY_BYTES + 2];
};

struct buckets {
    struct request *owner;
    uint32_t count, pending;
    struct bucket *items;
    struct bucket **order; /* those that have rows, by the next one of each: the first in the merge stands last */
    uint32_t ordered;
    enum status status; /* the first failure */
    char text[CLIENT_TEXT_BYTES];
    struct slice end_of_last; /* empty: to the end of the keyspace */
};

void buckets_free(struct request *r)
{
    struct buckets *b = r->pieces;
    if (b == NULL) return;
    for (uint32_t i = 0; i < b->count; i++) {
        if (b->items[i].piece != NULL) request_cancel(b->items[i].piece); /* its answer would come to nobody */
        arena_free(&b->items[i].arena);
    }
    mem_free(b->items);
    mem_free(b->order);
    mem_free(b);
    r->pieces = NULL;
}

static void piece_done(void *ctx, const struct client_error *e, const struct scan_reply *reply)
{
    struct bucket *k = ctx;
    struct buckets *b = k->all;
    struct request *owner = b->owner;
    k->piece = NULL;
    b->pending--;
    if (e->status != STATUS_OK) {
        if (b->status == STATUS_OK) {
            b->status = e->status;
            size_t n = e->message.size < sizeof(b->text) - 1 ? e->message.size : sizeof(b->text) - 1;
            if (n > 0) memcpy(b->text, e->message.data, n);
            b->text[n] = '\0';
        }
        if (b->pending == 0) request_ready(owner);
        return;
    }
    arena_reset(&k->arena);
    k->rows = arena_alloc(&k->arena, (reply->row_count + 1) * sizeof(*k->rows));
    k->at = 0;
    k->count = reply->row_count;
    k->more = reply->more;
    for (size_t i = 0; i < reply->row_count; i++) {
        const struct scan_row *row = &reply->rows[i];
        k->rows[i] = *row;
        k->rows[i].key = arena_dup_slice(&owner->arena, row->key);
        k->rows[i].value = arena_dup_slice(&owner->arena, row->value);
    }
    scan_add_mark(owner, &reply->mark);
    if (b->pending == 0) request_ready(owner);
}

/* A bucket's part of a page, and a little more: keys are spread by a hash, so that their numbers differ by about the square root. What
 * is not used is asked for again with the next page. */
static uint32_t share(uint32_t whole, uint32_t count, uint32_t least)
{
    uint32_t part = whole / count, root = 1;
    while ((root + 1) * (root + 1) <= part && root < 1000) root++;
    part += 3 * root < part ? 3 * root : part;
    if (part < least) part = least;
    return part < whole ? part : whole;
}

static void piece_ask(struct bucket *k)
{
    struct buckets *b = k->all;
    struct request *owner = b->owner;
    uint64_t now_ns = client_now_ns(owner->client);
    uint64_t left_ms = owner->deadline_ns > now_ns ? (owner->deadline_ns - now_ns) / NS_PER_MS : 0;
    struct request *r = request_new(owner->client, REQUEST_PIECE, owner->keyspace_name, (uint32_t)left_ms + 1, k);
    r->done.scan = piece_done;
    r->keyspace = owner->keyspace;
    r->keyspace_known = r->placed = true;
    r->how = owner->how;
    r->scan = (struct scan_state){.start = arena_dup_slice(&r->arena, k->start),
                                  .end = arena_dup_slice(&r->arena, k->end),
                                  .limit_rows = share(owner->scan.limit_rows, b->count, PIECE_ROWS_MIN),
                                  .limit_bytes = share(owner->scan.limit_bytes, b->count, PIECE_BYTES_MIN),
                                  .reverse = owner->scan.reverse,
                                  .keys_only = owner->scan.keys_only};
    ASSERT(k->piece == NULL);
    k->piece = r;
    b->pending++;
}

/* [start, end) of the users' keys within one bucket. */
static void bucket_bounds(struct request *r, struct bucket *k)
{
    uint8_t number = k->number;
    struct slice start = r->scan.start, end = r->scan.end;
    uint8_t *from = arena_alloc(&r->arena, start.size + 1);
    from[0] = number;
    if (start.size > 0) memcpy(from + 1, start.data, start.size);
    k->start = slice_make(from, start.size + 1);
    k->end = SLICE_EMPTY; /* of the last possible bucket: to the end of the keyspace */
    if (end.size == 0 && number == UINT8_MAX) return;
    uint8_t *to = arena_alloc(&r->arena, end.size + 1);
    to[0] = end.size > 0 ? number : (uint8_t)(number + 1);
    if (end.size > 0) memcpy(to + 1, end.data, end.size);
    k->end = slice_make(to, end.size + 1);
}

enum step buckets_start(struct request *r)
{
    struct buckets *b = mem_zalloc(sizeof(*b));
    r->pieces = b;
    b->owner = r;
    b->count = r->buckets;
    b->items = mem_zalloc(b->count * sizeof(*b->items));
    b->order = mem_zalloc(b->count * sizeof(struct bucket *));
    request_set_state(r, REQUEST_WAIT_PIECES);
    for (uint32_t i = 0; i < b->count; i++) {
        struct bucket *k = &b->items[i];
        k->all = b;
        k->number = (uint8_t)i;
        k->more = true;
        arena_init(&k->arena, 1024);
        bucket_bounds(r, k);
    }
    if (r->how.mode == READ_SNAPSHOT && r->how.ts == 0) {
        piece_ask(&b->items[0]);
    } else {
        for (uint32_t i = 0; i < b->count; i++) piece_ask(&b->items[i]);
    }
    return STEP_WAIT;
}

/* The next piece lies behind the last row (reverse: before it). */
static void piece_go_on(struct bucket *k, bool reverse)
{
    if (k->count > 0) {
        struct slice last = k->rows[k->count - 1].key;
        ASSERT(last.size + 1 <= sizeof(k->edge));
        memcpy(k->edge, last.data, last.size);
        k->edge[last.size] = 0;
        if (reverse)
            k->end = slice_make(k->edge, last.size);
        else
            k->start = slice_make(k->edge, last.size + 1);
    }
    piece_ask(k);
}

/* Asks the buckets that have run dry; true: some were. */
static bool ask_dry(struct buckets *b, bool reverse)
{
    for (uint32_t i = 0; i < b->count; i++) {
        struct bucket *k = &b->items[i];
        if (k->at == k->count && k->more) piece_go_on(k, reverse);
    }
    return b->pending > 0;
}

static struct slice user_key(const struct scan_row *row)
{
    ASSERT(row->key.size > 1); /* reply_is_sound: within the bucket */
    return slice_make(row->key.data + 1, row->key.size - 1);
}

static bool goes_first(const struct bucket *k, const struct bucket *other, bool reverse)
{
    int order = slice_cmp(user_key(&k->rows[k->at]), user_key(&other->rows[other->at]));
    return reverse ? order > 0 : order < 0;
}

static void order_put(struct buckets *b, struct bucket *k, bool reverse)
{
    uint32_t low = 0, high = b->ordered;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (goes_first(k, b->order[middle], reverse)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    memmove(&b->order[low + 1], &b->order[low], (b->ordered - low) * sizeof(struct bucket *));
    b->order[low] = k;
    b->ordered++;
}

static void order_all(struct buckets *b, bool reverse)
{
    b->ordered = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        struct bucket *k = &b->items[i];
        if (k->at < k->count) order_put(b, k, reverse);
    }
}

static void take_row(struct request *r, struct bucket *k)
{
    struct scan_state *s = &r->scan;
    const struct scan_row *row = &k->rows[k->at++];
    if (s->row_count == s->row_capacity) {
        s->row_capacity = s->row_capacity == 0 ? 64 : s->row_capacity * 2;
        s->rows = mem_realloc(s->rows, s->row_capacity * sizeof(*s->rows));
    }
    struct scan_row *out = &s->rows[s->row_count++];
    *out = *row;
    out->key = user_key(row);
    s->row_bytes += out->key.size + out->value.size;
}

enum step buckets_take(struct request *r)
{
    struct buckets *b = r->pieces;
    struct scan_state *s = &r->scan;
    if (b->pending > 0) return STEP_WAIT;
    if (b->status != STATUS_OK) return request_finish(r, b->status, "%s", b->text);
    if (ask_dry(b, s->reverse)) return STEP_WAIT;
    order_all(b, s->reverse);
    while (s->row_count < s->limit_rows && s->row_bytes < s->limit_bytes && b->ordered > 0) {
        struct bucket *k = b->order[--b->ordered];
        take_row(r, k);
        if (k->at < k->count) {
            order_put(b, k, s->reverse);
        } else if (k->more) {
            COVER("client.bucket_ran_dry");
            piece_go_on(k, s->reverse);
            return STEP_WAIT;
        }
    }
    r->result.scan =
        (struct scan_reply){.rows = s->rows, .row_count = s->row_count, .more = b->ordered > 0, .mark = s->mark};
    return request_finish_well(r);
}
