/* Chains: keys in several ranges, read and written together. A transaction reads a key before it writes it, so the values of a key
 * form a chain that the answers themselves tell: no timestamp is needed to know the order of versions (check_chain.c).
 * Besides: transfers between counters of different ranges by guarded adds that reserve (shares). */
#include "base/assert.h"
#include "sim/workload_int.h"

#include <stdio.h>
#include <stdlib.h>

/* In the range of the first bank, of the last, and behind the registers: of two ranges at least. */
static struct slice key_text(char text[KEY_TEXT], const char *what, unsigned number)
{
    static const char *const PLACES[] = {"a0z", "b", "m"};
    (void)snprintf(text, KEY_TEXT, "%s%s%u", PLACES[number % 3], what, number);
    return slice_str(text);
}

bool chain_has_key(struct slice key)
{
    return slice_starts(key, slice_str("a0z")) || key.data[0] == 'b' || key.data[0] == 'm';
}

static struct chain_txn *chain_of(const struct worker *w)
{
    return &w->load->history->chains.items[w->chain];
}

static void begin(struct worker *w, enum task_kind task)
{
    w->task = task;
    w->chain = chains_call(&w->load->history->chains, w->load->world->now_ns);
}

static unsigned add_key(struct chain_txn *t, unsigned key)
{
    for (unsigned i = 0; i < t->key_count; i++) {
        if (t->keys[i] == key) return t->key_count;
    }
    t->keys[t->key_count] = key;
    t->sees[t->key_count] = CHAIN_UNSEEN;
    return t->key_count++;
}

void chain_begin(struct worker *w)
{
    struct world *world = w->load->world;
    begin(w, TASK_CHAIN);
    struct chain_txn *t = chain_of(w);
    bool read_only = chance(world, 200);
    unsigned wanted = (unsigned)draw(world, 1, CHAIN_TXN_KEYS);
    worker_begin_txn(w, !read_only && chance(world, 800));
    (void)snprintf(w->text, sizeof w->text, "%zu", w->chain + 1);
    for (unsigned n = 0; n < wanted; n++) {
        unsigned before = t->key_count, slot = add_key(t, (unsigned)draw(world, 0, CHAIN_KEYS - 1));
        if (t->key_count == before) continue;
        struct slice key = key_text(w->keys[slot], "", t->keys[slot]);
        worker_add_op(w, &(struct txn_op){.kind = TXN_GET, .key = key, .value = SLICE_EMPTY});
        t->writes[slot] = !read_only && chance(world, 700);
        if (t->writes[slot])
            worker_add_op(w, &(struct txn_op){.kind = TXN_PUT, .key = key, .value = slice_str(w->text)});
    }
}

static uint64_t number_of(struct slice value)
{
    char text[32] = "";
    memcpy(text, value.data, value.size < sizeof text - 1 ? value.size : sizeof text - 1);
    return strtoull(text, NULL, 10);
}

static void take_reads(struct worker *w, const struct txn_result *r)
{
    struct chain_txn *t = chain_of(w);
    unsigned slot = 0;
    for (size_t i = 0; i < r->op_count; i++) {
        if (r->ops[i].kind != TXN_GET) continue;
        ASSERT(slot < t->key_count);
        t->sees[slot++] = r->ops[i].found ? number_of(r->ops[i].value) : 0;
    }
}

void chain_answered(struct worker *w, const struct client_error *e, const struct txn_result *result)
{
    struct workload *l = w->load;
    struct chain_txn *t = chain_of(w);
    bool has_id = !txn_id_is_none(&w->txn.id);
    if (e->status != STATUS_OK && has_id) {
        worker_pause(w); /* with the same id, until it is known */
        return;
    }
    t->return_ns = l->world->now_ns;
    if (e->status != STATUS_OK) {
        t->outcome = e->unknown_outcome ? OP_UNKNOWN : OP_NOTHING;
    } else if (result->status != STATUS_OK) {
        world_fail(l->world, "chain: a transaction without conditions was answered %s", status_name(result->status));
    } else {
        t->outcome = OP_DONE;
        take_reads(w, result);
        commits_add(&l->history->commits, t->call_ns, t->return_ns, result->ts);
    }
    worker_finish(w);
}

/* --- reads without a transaction --- */

void chain_read_begin(struct worker *w)
{
    begin(w, TASK_CHAIN_READ);
    (void)add_key(chain_of(w), (unsigned)draw(w->load->world, 0, CHAIN_KEYS - 1));
}

static void read_ended(struct worker *w, bool served)
{
    struct chain_txn *t = chain_of(w);
    t->return_ns = w->load->world->now_ns;
    t->outcome = served ? OP_DONE : OP_NOTHING;
    worker_finish(w);
}

static void got(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct worker *w = ctx;
    world_note(w->load->world, 26, (uint64_t)e->status, reply != NULL ? reply->version : 0);
    if (e->status == STATUS_OK) chain_of(w)->sees[0] = reply->found ? number_of(reply->value) : 0;
    read_ended(w, e->status == STATUS_OK);
}

void chain_scan_begin(struct worker *w)
{
    begin(w, TASK_CHAIN_SCAN);
    for (unsigned key = 0; key < CHAIN_KEYS; key++) {
        if (key % 3 != 0) (void)add_key(chain_of(w), key);
    }
}

static void scanned(void *ctx, const struct client_error *e, const struct scan_reply *page)
{
    struct worker *w = ctx;
    struct chain_txn *t = chain_of(w);
    bool served = e->status == STATUS_OK && !page->more;
    world_note(w->load->world, 27, (uint64_t)e->status, page != NULL ? page->row_count : 0);
    for (unsigned slot = 0; served && slot < t->key_count; slot++) {
        char text[KEY_TEXT];
        struct slice key = key_text(text, "", t->keys[slot]);
        t->sees[slot] = 0;
        for (size_t i = 0; i < page->row_count; i++) {
            if (slice_eq(page->rows[i].key, key)) t->sees[slot] = number_of(page->rows[i].value);
        }
    }
    read_ended(w, served);
}

void chain_call(struct worker *w)
{
    char text[KEY_TEXT];
    if (w->task == TASK_CHAIN_READ) {
        worker_ask_get(w, key_text(text, "", chain_of(w)->keys[0]), &(struct read_how){.mode = READ_STRONG}, got);
        return;
    }
    struct client_scan scan = {.start = slice_str("b"), .end = slice_str("n"), .how = {.mode = READ_SNAPSHOT}};
    chain_of(w)->call_ns = w->load->world->now_ns;
    worker_ask_scan(w, &scan, scanned);
}

/* --- shares: counters whose sum is 0, none below -SHARE_OVERDRAFT --- */

enum { SHARES = 6, SHARE_OVERDRAFT = 100 };

void share_begin(struct worker *w)
{
    struct world *world = w->load->world;
    unsigned from = (unsigned)draw(world, 0, SHARES - 1), to = (from + (unsigned)draw(world, 1, SHARES - 1)) % SHARES;
    int64_t amount = (int64_t)draw(world, 1, 60);
    w->task = TASK_SHARE;
    worker_begin_txn(w, true);
    worker_add_op(w, &(struct txn_op){.kind = TXN_ADD,
                                      .key = key_text(w->keys[0], "s", from),
                                      .value = SLICE_EMPTY,
                                      .delta = -amount,
                                      .min = -SHARE_OVERDRAFT,
                                      .max = I128_MAX});
    worker_add_op(w, &(struct txn_op){.kind = TXN_ADD,
                                      .key = key_text(w->keys[1], "s", to),
                                      .value = SLICE_EMPTY,
                                      .delta = amount,
                                      .min = I128_MIN,
                                      .max = I128_MAX});
}

void share_read_begin(struct worker *w)
{
    w->task = TASK_SHARE_READ;
    worker_begin_txn(w, false);
    for (unsigned i = 0; i < SHARES; i++) {
        worker_add_op(w, &(struct txn_op){.kind = TXN_GET, .key = key_text(w->keys[i], "s", i), .value = SLICE_EMPTY});
    }
}

static void check_shares(struct worker *w, const struct txn_result *r)
{
    int64_t sum = 0;
    for (size_t i = 0; i < r->op_count; i++) {
        char text[I128_TEXT_MAX] = "";
        memcpy(text, r->ops[i].value.data, r->ops[i].value.size < sizeof text - 1 ? r->ops[i].value.size : 0);
        int64_t share = strtoll(text, NULL, 10);
        if (share < -SHARE_OVERDRAFT) world_fail(w->load->world, "shares: one is %lld", (long long)share);
        sum += share;
    }
    if (sum != 0) world_fail(w->load->world, "shares: they sum up to %lld", (long long)sum);
}

void share_answered(struct worker *w, const struct client_error *e, const struct txn_result *r)
{
    struct workload *l = w->load;
    bool served = e->status == STATUS_OK;
    if (!served && (w->task == TASK_SHARE || w->final)) {
        worker_pause(w);
        return;
    }
    if (served && w->task == TASK_SHARE_READ) {
        if (r->status != STATUS_OK) world_fail(l->world, "shares: a read was answered %s", status_name(r->status));
        if (r->status == STATUS_OK) check_shares(w, r);
    } else if (served && w->repeating) {
        if (r->status != w->answer || !r->replayed || r->ts != w->answer_ts) {
            world_fail(l->world,
                       "idempotency: a transfer over ranges was answered %s at %llu, a repetition %s at %llu%s",
                       status_name(w->answer), (unsigned long long)w->answer_ts, status_name(r->status),
                       (unsigned long long)r->ts, r->replayed ? "" : ", not as a repetition");
        }
    } else if (served) {
        if (r->status != STATUS_OK && r->status != STATUS_GUARD_FAILED) {
            world_fail(l->world, "shares: a transfer was answered %s", status_name(r->status));
        }
        if (r->status == STATUS_OK) commits_add(&l->history->commits, w->call_ns, l->world->now_ns, r->ts);
        w->answer = r->status;
        w->answer_ts = r->ts;
        w->repeating = chance(l->world, 200);
        if (w->repeating) {
            worker_pause(w);
            return;
        }
    }
    worker_finish(w);
}
