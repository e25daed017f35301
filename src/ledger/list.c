/* Pages. Of an account: its postings in the order of timestamps, all pages of one snapshot, then the transfers that they name. Of all:
 * the rows of transfers in the order of ids. `next` carries where the page stood, and the snapshot's timestamp.
 *
 *   of an account: [BALANCE (backwards from it)] --> POSTINGS (one scan) --> TRANSFERS (one look-up each) --> done
 *   of all:        ROWS (one scan) --> done */
#include "base/assert.h"
#include "base/cursor.h"
#include "base/mem.h"
#include "ledger/ledger_int.h"

#define LIMIT_DEFAULT 100u
#define RUN_SPAN 20000u /* timestamps that one row of postings spans at most */
#define NEXT_BYTES (8u + 8u + 4u + 4u * 16u)
#define NOT_A_NEXT "next: not a value that an earlier page gave"

struct list_entry {
    struct list_call *call;
    struct posting posting;
    struct ledger_balance balance;
    bool found;
};
struct list_call {
    struct ledger_call call;
    struct ledger_query q;
    struct arena arena;
    uint64_t deadline_ns;
    uint64_t ts;                   /* of the snapshot; 0: not known yet */
    uint64_t at;                   /* the row of postings where the page begins; 0: at the end */
    uint32_t skip;                 /* of its postings have been told */
    struct ledger_balance balance; /* before (behind, in time) the next posting */
    struct list_entry *entries;
    struct ledger_transfer_item *items;
    size_t count, looked_up, under_way;
    struct slice next;
    struct client_error failed;
    ledger_page_done done;
    void *ctx;
};

static void list_free(struct ledger_call *call)
{
    struct list_call *c = LIST_ENTRY(call, struct list_call, call);
    arena_free(&c->arena);
    mem_free(c);
}

static void list_fail(struct list_call *c, const struct client_error *e)
{
    c->done(c->ctx, e, NULL);
    call_end(&c->call);
}

static void list_fail_text(struct list_call *c, enum status s, const char *text)
{
    list_fail(c, &(struct client_error){.status = s, .message = slice_str(text)});
}

/* --- next --- */

static void next_make(struct list_call *c, uint64_t at, uint32_t skip)
{
    uint8_t *b = arena_alloc(&c->arena, NEXT_BYTES);
    be_set_u64(b, c->ts);
    be_set_u64(b + 8, at);
    le_set_u32(b + 16, skip);
    i128_encode(c->balance.debits_posted, b + 20);
    i128_encode(c->balance.credits_posted, b + 36);
    i128_encode(c->balance.debits_pending, b + 52);
    i128_encode(c->balance.credits_pending, b + 68);
    c->next = slice_make(b, NEXT_BYTES);
}

static bool next_read(struct list_call *c, struct slice next)
{
    if (next.size != NEXT_BYTES) return false;
    c->ts = be_u64(next.data);
    c->at = be_u64(next.data + 8);
    c->skip = le_u32(next.data + 16);
    c->balance.debits_posted = i128_decode(next.data + 20);
    c->balance.credits_posted = i128_decode(next.data + 36);
    c->balance.debits_pending = i128_decode(next.data + 52);
    c->balance.credits_pending = i128_decode(next.data + 68);
    return true;
}

/* --- the end --- */

static bool wanted(const struct list_call *c, const struct ledger_transfer_item *item)
{
    const struct ledger_query *q = &c->q;
    const struct ledger_transfer *t = &item->transfer;
    if (q->code != 0 && t->code != q->code) return false;
    if (q->ledger != 0 && t->ledger != q->ledger) return false;
    if (!q->of_account || q->debits == q->credits) return true;
    return q->debits ? ledger_id_eq(&t->debit, &q->account) : ledger_id_eq(&t->credit, &q->account);
}

/* A timeout gives back what was reserved: it changes balances, and is no transfer. */
static bool is_expiry(const struct list_entry *entry, const struct ledger_transfer_item *item)
{
    return entry->posting.timestamp != item->transfer.timestamp;
}

static void list_finish(struct list_call *c)
{
    struct ledger_balance *balances = arena_alloc(&c->arena, (c->count + 1) * sizeof(*balances));
    uint64_t *timestamps = arena_alloc(&c->arena, (c->count + 1) * sizeof(*timestamps));
    size_t kept = 0;
    for (size_t i = 0; i < c->count; i++) {
        if (c->entries != NULL && !c->entries[i].found) continue;
        if (!wanted(c, &c->items[i])) continue;
        if (c->entries != NULL && !c->q.balances && is_expiry(&c->entries[i], &c->items[i])) continue;
        c->items[kept] = c->items[i];
        balances[kept] = c->entries != NULL ? c->entries[i].balance : (struct ledger_balance){.closed = false};
        timestamps[kept] = c->entries != NULL ? c->entries[i].posting.timestamp : c->items[i].transfer.timestamp;
        kept++;
    }
    struct ledger_page page = {.items = c->items,
                               .balances = c->q.balances ? balances : NULL,
                               .timestamps = timestamps,
                               .count = kept,
                               .next = c->next,
                               .ts = c->ts};
    c->done(c->ctx, &(struct client_error){.status = STATUS_OK, .message = SLICE_EMPTY}, &page);
    call_end(&c->call);
}

/* --- the transfers that postings name --- */

static void list_look_up(struct list_call *c);

static void looked_up(void *ctx, const struct client_error *e, const struct ledger_transfer_item *item)
{
    struct list_entry *entry = ctx;
    struct list_call *c = entry->call;
    if (e->status != STATUS_OK && c->failed.status == STATUS_OK) {
        c->failed = (struct client_error){.status = e->status, .message = arena_dup_slice(&c->arena, e->message)};
    }
    if (item != NULL) c->items[entry - c->entries] = *item;
    entry->found = item != NULL;
    c->under_way--;
    list_look_up(c);
}

static void list_look_up(struct list_call *c)
{
    struct ledger *l = c->call.ledger;
    while (c->looked_up < c->count && c->under_way < LEDGER_GETS_MAX && c->failed.status == STATUS_OK) {
        struct list_entry *entry = &c->entries[c->looked_up++];
        entry->call = c;
        c->under_way++;
        ledger_get_transfer(l, &entry->posting.transfer, ledger_left_ms(l, c->deadline_ns), looked_up, entry);
    }
    if (c->under_way > 0) return;
    if (c->failed.status != STATUS_OK)
        list_fail(c, &c->failed);
    else
        list_finish(c);
}

/* --- postings --- */

/* From behind a posting to before it. False: no balance is so far from it; `next`, which comes from the client, was no page's. */
static bool go_back(struct ledger_balance *b, const struct posting *p)
{
    return i128_add(b->debits_posted, -p->debits, &b->debits_posted) &&
           i128_add(b->credits_posted, -p->credits, &b->credits_posted) &&
           i128_add(b->debits_pending, -p->debits_pending, &b->debits_pending) &&
           i128_add(b->credits_pending, -p->credits_pending, &b->credits_pending);
}

static bool take_posting(struct list_call *c, const struct posting *p)
{
    bool counts = p->timestamp >= c->q.from && (c->q.to == 0 || p->timestamp < c->q.to);
    if (counts) c->entries[c->count++] = (struct list_entry){.posting = *p, .balance = c->balance};
    return !c->q.balances || go_back(&c->balance, p);
}

/* The postings of a row, from the one where the last page stopped; false: the page is full. */
static enum status take_row(struct list_call *c, const struct scan_row *row, bool *full)
{
    struct ledger_key key;
    struct slice value = row->value;
    struct posting *all = arena_alloc(&c->arena, (row->value.size / 18 + 1) * sizeof(*all));
    size_t count = 0;
    enum status s = ledger_key_decode(row->key, &key);
    if (s != STATUS_OK || key.row != LEDGER_ROW_POSTINGS) return STATUS_CORRUPT;
    while ((s = row_get_posting(&value, key.at, &all[count])) == STATUS_OK) count++;
    if (s != STATUS_END) return s;
    for (size_t i = key.at == c->at ? c->skip : 0; i < count; i++) {
        if (c->count == c->q.limit) {
            *full = true;
            next_make(c, key.at, (uint32_t)i);
            return STATUS_OK;
        }
        if (!take_posting(c, &all[c->q.reverse ? count - 1 - i : i])) return STATUS_INVALID;
    }
    return STATUS_OK;
}

static void postings_scanned(void *ctx, const struct client_error *e, const struct scan_reply *reply)
{
    struct list_call *c = ctx;
    bool full = false;
    if (e->status != STATUS_OK) {
        list_fail(c, e);
        return;
    }
    c->ts = reply->mark.ts;
    c->entries = arena_zalloc(&c->arena, (c->q.limit + 1) * sizeof(*c->entries));
    for (size_t i = 0; i < reply->row_count && !full; i++) {
        enum status s = take_row(c, &reply->rows[i], &full);
        if (s == STATUS_OK) continue;
        if (s == STATUS_INVALID)
            list_fail_text(c, s, NOT_A_NEXT);
        else
            list_fail_text(c, STATUS_CORRUPT, "a posting of the account cannot be read");
        return;
    }
    if (!full && reply->more && reply->row_count > 0) {
        struct ledger_key last;
        if (ledger_key_decode(reply->rows[reply->row_count - 1].key, &last) != STATUS_OK) BUG("a key that was read");
        next_make(c, c->q.reverse ? last.at - 1 : last.at + 1, 0);
    }
    c->items = arena_zalloc(&c->arena, (c->count + 1) * sizeof(*c->items));
    list_look_up(c);
}

static void list_postings(struct list_call *c)
{
    struct ledger *l = c->call.ledger;
    const struct ledger_query *q = &c->q;
    uint64_t from = q->from > RUN_SPAN ? q->from - RUN_SPAN : 0, to = q->to == 0 || q->balances ? UINT64_MAX : q->to;
    if (c->at != 0 && q->reverse && c->at < to) to = c->at + 1;
    if (c->at != 0 && !q->reverse) from = c->at;
    struct client_scan scan = {.start = key_postings(&c->arena, &q->account, from),
                               .end = key_postings(&c->arena, &q->account, to),
                               .limit_rows = q->limit + 1,
                               .reverse = q->reverse,
                               .how = {.mode = READ_SNAPSHOT, .ts = c->ts}};
    if (slice_cmp(scan.start, scan.end) >= 0) {
        list_finish(c);
        return;
    }
    client_scan(l->client, l->keyspace, &scan, ledger_left_ms(l, c->deadline_ns), postings_scanned, c);
}

static void balance_read(void *ctx, const struct client_error *e, const struct ledger_account_reply *reply)
{
    struct list_call *c = ctx;
    if (e->status != STATUS_OK) {
        list_fail(c, e);
        return;
    }
    c->balance = reply->balance;
    c->ts = reply->ts;
    list_postings(c);
}

/* --- all transfers --- */

static void rows_scanned(void *ctx, const struct client_error *e, const struct scan_reply *reply)
{
    struct list_call *c = ctx;
    struct resolution by;
    struct ledger_id resolved = ledger_id_of(0, 0);
    struct slice last = SLICE_EMPTY;
    if (e->status != STATUS_OK) {
        list_fail(c, e);
        return;
    }
    c->ts = reply->mark.ts;
    c->items = arena_zalloc(&c->arena, (reply->row_count + 1) * sizeof(*c->items));
    for (size_t i = 0; i < reply->row_count; i++) {
        struct ledger_key key;
        struct transfer_row row = {.attempt = 0};
        enum status s = ledger_key_decode(reply->rows[i].key, &key);
        if (s == STATUS_OK && key.row == LEDGER_ROW_RESOLUTION) {
            s = row_get_resolution(reply->rows[i].value, &by);
            resolved = key.id;
        } else if (s == STATUS_OK && c->count == c->q.limit) { /* rows were asked for as if each had a resolution */
            c->next = last;
            break;
        } else if (s == STATUS_OK && key.row == LEDGER_ROW_TRANSFER) {
            row.transfer.id = key.id;
            s = row_get_transfer(reply->rows[i].value, &row);
            if (s == STATUS_OK) item_set(&c->items[c->count], &row, ledger_id_eq(&resolved, &key.id) ? &by : NULL);
            uint64_t t = row.transfer.timestamp;
            if (s == STATUS_OK && t >= c->q.from && (c->q.to == 0 || t < c->q.to)) c->count++;
            last = arena_dup_slice(&c->arena, slice_make(key.id.bytes, 16));
            c->next = reply->more ? last : SLICE_EMPTY;
        }
        if (s == STATUS_OK) continue;
        list_fail_text(c, STATUS_CORRUPT, "a transfer's row cannot be read");
        return;
    }
    list_finish(c);
}

static void list_rows(struct list_call *c)
{
    struct ledger *l = c->call.ledger;
    struct ledger_id first = ledger_id_of(0, 0), last = ledger_id_of(UINT64_MAX, UINT64_MAX);
    bool goes_on = c->q.next.size == 16;
    if (goes_on) memcpy(first.bytes, c->q.next.data, 16);
    struct slice start = goes_on ? key_transfer(&c->arena, &first) : key_resolution(&c->arena, &first);
    if (goes_on) { /* behind it */
        uint8_t *behind = arena_alloc(&c->arena, start.size + 1);
        memcpy(behind, start.data, start.size);
        behind[start.size] = 0;
        start = slice_make(behind, start.size + 1);
    }
    struct client_scan scan = {.start = start,
                               .end = key_transfer(&c->arena, &last),
                               .limit_rows = 2 * c->q.limit,
                               .how = {.mode = READ_STRONG}};
    client_scan(l->client, l->keyspace, &scan, ledger_left_ms(l, c->deadline_ns), rows_scanned, c);
}

/* --- the call --- */

static void list_again(struct ledger_call *call, uint64_t now_ns)
{
    struct list_call *c = LIST_ENTRY(call, struct list_call, call);
    struct slice next = c->q.next;
    (void)now_ns;
    if (next.size > 0 && !(c->q.of_account ? next_read(c, next) : next.size == 16)) {
        list_fail_text(c, STATUS_INVALID, NOT_A_NEXT);
    } else if (!c->q.of_account) {
        list_rows(c);
    } else if (c->q.balances && next.size == 0) {
        ledger_get_account(c->call.ledger, &c->q.account, 0, ledger_left_ms(c->call.ledger, c->deadline_ns),
                           balance_read, c);
    } else {
        list_postings(c);
    }
}

void ledger_list(struct ledger *l, const struct ledger_query *q, uint32_t timeout_ms, ledger_page_done done, void *ctx)
{
    struct list_call *c = mem_zalloc(sizeof(*c));
    c->call.free = list_free;
    c->call.again = list_again;
    arena_init(&c->arena, 4096);
    c->q = *q;
    c->q.next = arena_dup_slice(&c->arena, q->next);
    c->next = SLICE_EMPTY;
    if (c->q.limit == 0) c->q.limit = LIMIT_DEFAULT;
    if (c->q.limit > LEDGER_PAGE_MAX) c->q.limit = LEDGER_PAGE_MAX;
    if (c->q.balances) c->q.reverse = true;
    c->deadline_ns = env_mono_ns(l->env) + (uint64_t)timeout_ms * NS_PER_MS;
    c->done = done;
    c->ctx = ctx;
    call_begin(l, &c->call);
    call_wait(&c->call, 0);
}
