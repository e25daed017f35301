/* Lists: as an application does that reads first and decides then. Each list is read by itself; the transaction demands that they
 * are still what was read, and appends; if not, it reads them all instead. Judged by tests/lib/append.h. */
#include "base/assert.h"
#include "sim/check.h"
#include "sim/workload_int.h"

#include <stdio.h>
#include <stdlib.h>

void list_key(char text[KEY_TEXT], unsigned number)
{
    static const char *const PLACES[] = {"a0z", "b", "m"};
    (void)snprintf(text, KEY_TEXT, "%sl%u", PLACES[number % 3], number);
}

static struct world *world_of(const struct worker *w)
{
    return w->load->world;
}

void append_begin(struct worker *w)
{
    struct world *world = world_of(w);
    unsigned first = (unsigned)draw(world, 0, LISTS - 1);
    bool read_only = chance(world, 200);
    w->task = TASK_APPEND;
    w->list_at = 0;
    w->list_count = (unsigned)draw(world, 1, LISTS_PER_TXN);
    w->append = world_alloc(world, sizeof *w->append);
    w->items = world_alloc(world, 2 * LISTS_PER_TXN * sizeof *w->items);
    *w->append = (struct append_txn){
        .outcome = APPEND_NOTHING, .call_ns = world->now_ns, .return_ns = CYCLES_NEVER, .items = w->items};
    worker_begin_txn(w, chance(world, 700));
    for (unsigned i = 0; i < w->list_count; i++) {
        list_key(w->keys[i], (first + i) % LISTS);
        w->appends[i] = !read_only && chance(world, 600);
        w->items[i] = (struct append_item){.key = (first + i) % LISTS};
    }
}

/* --- lists as text: numbers with commas --- */

void list_take(struct worker *w, struct slice text, struct append_item *item)
{
    size_t count = 0, at = 0;
    for (size_t i = 0; i < text.size; i++) count += text.data[i] == ',';
    uint64_t *list = world_alloc(world_of(w), (count + 1) * sizeof *list);
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == ',') {
            at++;
        } else {
            list[at] = 10 * list[at] + (uint64_t)(text.data[i] - '0');
        }
    }
    ASSERT(at == count);
    item->list = list;
    item->list_size = count;
}

struct slice list_append(struct worker *w, struct slice text, uint64_t value)
{
    char *longer = world_alloc(world_of(w), text.size + 24);
    memcpy(longer, text.data, text.size);
    int more = snprintf(longer + text.size, 24, "%llu,", (unsigned long long)value);
    return slice_make(longer, text.size + (size_t)more);
}

/* --- the lists, one after the other, then the transaction --- */

/* That the list is what was read: by its version, or as a scan would say it, by a stretch in which nothing is newer. */
static struct txn_compare unchanged(struct worker *w, struct slice key, uint64_t version)
{
    struct txn_compare c = {
        .target = TXN_TARGET_VERSION, .relation = TXN_EQUAL, .key = key, .version = version, .value = SLICE_EMPTY};
    if ((w->list_at + w->load->last_append) % 3 != 0) return c;
    COVER("sim.append_stretch");
    char *end = world_alloc(world_of(w), key.size + 1);
    memcpy(end, key.data, key.size);
    end[key.size] = '~';
    c.target = TXN_TARGET_SPAN;
    c.value = slice_make(end, key.size + 1);
    return c;
}

static void add_list(struct worker *w, const struct get_reply *reply)
{
    unsigned i = w->list_at;
    struct slice key = slice_str(w->keys[i]), text = reply->found ? reply->value : SLICE_EMPTY;
    list_take(w, text, &w->items[i]);
    w->compares[w->txn.compare_count++] = unchanged(w, key, reply->found ? reply->version : 0);
    struct txn_op get = {.kind = TXN_GET, .key = key, .value = SLICE_EMPTY};
    w->else_ops[w->txn.else_count++] = get;
    if (w->appends[i]) {
        uint64_t value = ++w->load->last_append;
        struct append_item *item = &w->items[w->list_count + w->append->item_count++];
        *item = (struct append_item){.appends = true, .key = w->items[i].key, .value = value};
        worker_add_op(w, &(struct txn_op){.kind = TXN_PUT, .key = key, .value = list_append(w, text, value)});
    } else {
        worker_add_op(w, &get);
    }
    w->list_at++;
}

static void ended(struct worker *w, enum append_outcome outcome)
{
    w->append->outcome = outcome;
    w->append->return_ns = world_of(w)->now_ns;
    appends_add(&w->load->history->appends, w->append);
    worker_finish(w);
}

static void got(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct worker *w = ctx;
    world_note(world_of(w), 28, (uint64_t)e->status, reply != NULL ? reply->version : 0);
    if (e->status != STATUS_OK) {
        w->append->item_count = 0;
        ended(w, APPEND_NOTHING);
        return;
    }
    add_list(w, reply);
    if (w->list_at == w->list_count) w->append->item_count += w->list_count;
    worker_call(w);
}

void append_call(struct worker *w)
{
    worker_ask_get(w, slice_str(w->keys[w->list_at]), &(struct read_how){.mode = READ_STRONG}, got);
}

/* The lists were others: then this was a transaction that read them. */
static void take_else(struct worker *w, const struct txn_result *r)
{
    ASSERT(r->op_count == w->list_count);
    w->append->item_count = w->list_count;
    for (unsigned i = 0; i < w->list_count; i++) {
        list_take(w, r->ops[i].found ? r->ops[i].value : SLICE_EMPTY, &w->items[i]);
    }
}

void append_answered(struct worker *w, const struct client_error *e, const struct txn_result *r)
{
    if (e->status != STATUS_OK && !txn_id_is_none(&w->txn.id)) {
        worker_pause(w); /* with the same id, until it is known */
        return;
    }
    if (e->status != STATUS_OK) {
        ended(w, e->unknown_outcome ? APPEND_UNKNOWN : APPEND_NOTHING);
        return;
    }
    if (r->status != STATUS_OK) {
        world_fail(world_of(w), "append: a transaction with else operations was answered %s", status_name(r->status));
    } else if (!r->succeeded) {
        take_else(w, r);
    }
    ended(w, APPEND_DONE);
}

void check_appends(struct world *w, const struct history *h)
{
    char why[500];
    struct append_txn *txns = world_alloc(w, (h->appends.count + 1) * sizeof *txns);
    for (size_t i = 0; i < h->appends.count; i++) txns[i] = *h->appends.items[i];
    if (!append_check(txns, h->appends.count, why, sizeof why)) world_fail(w, "append: %s", why);
}
