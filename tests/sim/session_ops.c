/* Sessions: interactive transactions (client/interact.h) that read lists, or scan them, think, and append to what they have read. The
 * lists are those of append_ops.c, and are judged with them. Now and then one reads as of a registered snapshot, and then writes:
 * the commit demands that all of it is still so. */
#include "base/assert.h"
#include "client/interact.h"
#include "sim/workload_int.h"

#include <stdio.h>

enum { ITEMS_MAX = 3 * LISTS_PER_TXN };

static struct world *world_of(const struct worker *w)
{
    return w->load->world;
}

bool session_wanted(const struct worker *w)
{
    return world_of(w)->seed % 8 == 5 && chance(world_of(w), 500); /* of other seeds the runs stay what they were */
}

void session_begin(struct worker *w)
{
    struct world *world = world_of(w);
    unsigned first = (unsigned)draw(world, 0, LISTS - 1);
    bool read_only = chance(world, 200);
    w->task = TASK_SESSION;
    w->list_at = 0;
    w->list_count = (unsigned)draw(world, 1, LISTS_PER_TXN);
    w->append = world_alloc(world, sizeof *w->append);
    w->items = world_alloc(world, ITEMS_MAX * sizeof *w->items);
    *w->append = (struct append_txn){
        .outcome = APPEND_NOTHING, .call_ns = world->now_ns, .return_ns = CYCLES_NEVER, .items = w->items};
    worker_begin_txn(w, false);
    for (unsigned i = 0; i < w->list_count; i++) {
        w->lists[i] = (first + i) % LISTS;
        w->appends[i] = !read_only && chance(world, 600);
    }
}

static struct append_item *item(struct worker *w, unsigned list)
{
    ASSERT(w->append->item_count < ITEMS_MAX);
    struct append_item *it = &w->items[w->append->item_count++];
    *it = (struct append_item){.key = list};
    return it;
}

static void ended(struct worker *w, enum append_outcome outcome)
{
    w->append->outcome = outcome;
    w->append->return_ns = world_of(w)->now_ns;
    appends_add(&w->load->history->appends, w->append);
    interact_free(w->session);
    w->session = NULL;
    worker_finish(w);
}

void session_lost(struct worker *w, bool unknown)
{
    ended(w, unknown && w->committing ? APPEND_UNKNOWN : APPEND_NOTHING);
}

/* --- what it does --- */

static void step(struct worker *w);

static void thought(struct world *world, void *ctx)
{
    struct worker *w = ctx;
    (void)world;
    if (!worker_router_lives(w)) {
        ended(w, APPEND_NOTHING);
        return;
    }
    step(w);
    process_pass_soon(w->load->cluster->clients[w->client]);
}

static void think(struct worker *w)
{
    struct world *world = world_of(w);
    world_after(world, chance(world, 300) ? draw(world, 0, 30) * MS_NS : 0, thought, w);
}

/* The list, then perhaps one more in it: what is put is what was read, and more. */
static void take(struct worker *w, unsigned list, struct slice text, bool appends)
{
    struct errbuf err;
    list_take(w, text, item(w, list));
    if (!appends) return;
    char key[KEY_TEXT];
    uint64_t value = ++w->load->last_append;
    struct append_item *added = item(w, list);
    added->appends = true;
    added->value = value;
    list_key(key, list);
    struct txn_op put = {.kind = TXN_PUT, .key = slice_str(key), .value = list_append(w, text, value)};
    if (interact_write(w->session, &put, &err) != STATUS_OK) world_fail(world_of(w), "session: %s", err.text);
}

static void got(void *ctx, const struct client_error *e, const struct interact_row *row)
{
    struct worker *w = ctx;
    w->asked.session = false;
    world_note(world_of(w), 29, (uint64_t)e->status, row->version);
    if (e->status != STATUS_OK) {
        ended(w, APPEND_NOTHING);
        return;
    }
    take(w, w->lists[w->list_at], row->found ? row->value : SLICE_EMPTY, w->appends[w->list_at]);
    w->list_at++;
    think(w);
}

/* The lists of one place: those that are not found are empty, and stay so until the commit. */
static void scanned(void *ctx, const struct client_error *e, const struct interact_row *rows, size_t count, bool more)
{
    struct worker *w = ctx;
    unsigned at = w->list_at;
    w->asked.session = false;
    world_note(world_of(w), 29, (uint64_t)e->status, count);
    if (e->status != STATUS_OK || more) {
        ended(w, APPEND_NOTHING);
        return;
    }
    COVER("sim.session_scan");
    for (unsigned list = w->lists[at] % 3; list < LISTS; list += 3) {
        char key[KEY_TEXT];
        struct slice text = SLICE_EMPTY;
        list_key(key, list);
        for (size_t i = 0; i < count; i++) {
            if (slice_eq(rows[i].key, slice_str(key))) text = rows[i].value;
        }
        take(w, list, text, list == w->lists[at] && w->appends[at]);
    }
    w->list_at++;
    think(w);
}

static void committed(void *ctx, const struct client_error *e, uint64_t ts)
{
    struct worker *w = ctx;
    w->asked.session = false;
    world_note(world_of(w), 29, (uint64_t)e->status, ts);
    w->load->answers += e->status == STATUS_OK;
    if (e->status == STATUS_RETRY) COVER("sim.session_conflict");
    ended(w, e->status == STATUS_OK ? APPEND_DONE : e->unknown_outcome ? APPEND_UNKNOWN : APPEND_NOTHING);
}

static void step(struct worker *w)
{
    char key[KEY_TEXT], end[KEY_TEXT];
    uint32_t timeout_ms = worker_timeout_ms(w);
    if (w->list_at == w->list_count) {
        w->asked.session = true;
        w->committing = true;
        interact_commit(w->session, timeout_ms, committed, w);
        return;
    }
    w->asked.session = true;
    list_key(key, w->lists[w->list_at]);
    if (w->list_count == 1 || w->lists[w->list_at] == 2) { /* of the other two it has read none before */
        key[strlen(key) - 1] = '\0';
        (void)snprintf(end, sizeof end, "%s~", key);
        struct client_scan scan = {.start = slice_str(key), .end = slice_str(end), .reverse = chance(world_of(w), 300)};
        interact_scan(w->session, &scan, timeout_ms, scanned, w);
    } else {
        interact_get(w->session, slice_str(key), timeout_ms, got, w);
    }
}

static void begun(void *ctx, const struct client_error *e, uint64_t ts)
{
    struct worker *w = ctx;
    (void)ts;
    w->asked.session = false;
    if (e->status != STATUS_OK) {
        ended(w, APPEND_NOTHING);
    } else {
        think(w);
    }
}

static bool writes(const struct worker *w)
{
    for (unsigned i = 0; i < w->list_count; i++) {
        if (w->appends[i]) return true;
    }
    return false;
}

void session_call(struct worker *w)
{
    uint64_t past = w->load->keeps != NULL && writes(w) && chance(world_of(w), 200) ? keep_load_ts(w->load->keeps) : 0;
    w->committing = false;
    w->session = NULL;
    w->asked.session = true;
    if (!worker_router_is_up(w)) return;
    w->session = interact_new(&w->load->cluster->clients[w->client]->env, worker_client(w), workload_keyspace);
    if (past != 0) {
        COVER("sim.session_past");
        interact_begin_at(w->session, past);
        w->asked.session = false;
        think(w);
        return;
    }
    interact_begin(w->session, worker_timeout_ms(w), begun, w);
}
