/* Registers: put, delete, compare-and-put and get on a few hot keys, with and without ids; recorded in the history. */
#include "base/assert.h"
#include "base/mem.h"
#include "sim/workload_int.h"

#include <stdio.h>
#include <stdlib.h>

static struct op *op_of(struct worker *w)
{
    return &w->load->history->ops[w->op];
}

/* "<id>:" and padding. */
static struct slice make_value(struct worker *w, uint64_t id)
{
    int n = snprintf((char *)w->value, 32, "%llu:", (unsigned long long)id);
    size_t size = (size_t)n + (size_t)draw(w->load->world, 0, w->load->cluster->knobs.value_bytes_max);
    memset(w->value + n, 'a' + (int)(id % 26), size - (size_t)n);
    return slice_make(w->value, size);
}

static uint64_t value_id(struct worker *w, struct slice value)
{
    char text[24] = "";
    memcpy(text, value.data, value.size < sizeof text - 1 ? value.size : sizeof text - 1);
    char *end;
    uint64_t id = strtoull(text, &end, 10);
    bool whole = *end == ':' && id > 0;
    for (size_t i = (size_t)(end - text) + 1; whole && i < value.size; i++)
        whole = value.data[i] == 'a' + (int)(id % 26);
    if (!whole) world_fail(w->load->world, "a register holds bytes that nobody wrote: %.40s", text);
    return id;
}

static void key_name(struct worker *w, unsigned key)
{
    (void)snprintf(w->keys[0], KEY_TEXT, "k%u", key);
}

/* On what somebody has seen there lately: sometimes it still is. */
static void begin_cas(struct worker *w, unsigned key)
{
    struct workload *l = w->load;
    op_of(w)->expect = l->last_seen[key];
    w->compares[0] = (struct txn_compare){.relation = TXN_EQUAL, .key = slice_str(w->keys[0])};
    if (l->last_seen[key] == 0 && chance(l->world, 500)) {
        w->compares[0].target = TXN_TARGET_EXISTS;
    } else {
        w->compares[0].target = TXN_TARGET_VERSION;
        w->compares[0].version = l->last_seen_version[key];
    }
    w->txn.compare_count = 1;
}

void register_begin(struct worker *w)
{
    struct workload *l = w->load;
    struct world *world = l->world;
    unsigned key = (unsigned)draw(world, 0, l->cluster->knobs.register_keys - 1);
    if (chance(world, 500)) key = 0; /* the hottest */
    uint64_t luck = draw(world, 0, 99);
    enum op_kind kind = luck < 40 ? OP_GET : luck < 65 ? OP_PUT : luck < 75 ? OP_DELETE : OP_CAS;
    w->task = TASK_REGISTER;
    key_name(w, key);
    w->op =
        history_call(l->history, &(struct op){.kind = kind, .client = w->client, .key = key, .call_ns = world->now_ns});
    worker_begin_txn(w, kind != OP_GET && chance(world, 600));
    if (kind == OP_GET && chance(world, 700)) return; /* no operation: worker_call makes it a client_get */
    struct txn_op op = {.kind = kind == OP_GET      ? TXN_GET
                                : kind == OP_DELETE ? TXN_DELETE
                                                    : TXN_PUT,
                        .key = slice_str(w->keys[0])};
    if (op.kind == TXN_PUT) {
        op_of(w)->value = ++l->history->last_value;
        op.value = make_value(w, l->history->last_value);
    }
    worker_add_op(w, &op);
    if (kind == OP_CAS) begin_cas(w, key);
}

void register_audit(struct worker *w, unsigned key)
{
    struct workload *l = w->load;
    w->task = TASK_REGISTER;
    w->final = true;
    key_name(w, key);
    w->op = history_call(l->history,
                         &(struct op){.kind = OP_GET, .client = w->client, .key = key, .call_ns = l->world->now_ns});
    worker_begin_txn(w, false);
}

void register_scan_begin(struct worker *w)
{
    w->task = TASK_REGISTER_SCAN;
    worker_begin_txn(w, false);
}

/* --- answers --- */

static void end_op(struct worker *w, enum op_outcome outcome)
{
    op_of(w)->outcome = outcome;
    op_of(w)->return_ns = w->load->world->now_ns;
}

static void note_seen(struct workload *l, unsigned key, uint64_t value, uint64_t version)
{
    l->last_seen[key] = value;
    l->last_seen_version[key] = version;
}

/* The same transaction again must be answered as before, and do nothing. */
static void compare_repeated(struct worker *w, const struct txn_result *r)
{
    if (r->status == w->answer && r->ts == w->answer_ts) return;
    world_fail(w->load->world, "idempotency: a repetition was answered %s at %llu, the first time %s at %llu",
               status_name(r->status), (unsigned long long)r->ts, status_name(w->answer),
               (unsigned long long)w->answer_ts);
}

static void not_served(struct worker *w, const struct client_error *e)
{
    bool has_id = !txn_id_is_none(&w->txn.id);
    if (has_id || w->repeating || w->final) {
        worker_pause(w);
        return;
    }
    if (e->unknown_outcome && op_of(w)->kind != OP_GET) {
        op_of(w)->outcome = OP_UNKNOWN;
    } else {
        end_op(w, OP_NOTHING);
    }
    worker_finish(w);
}

static void record_answer(struct worker *w, const struct txn_result *r)
{
    struct workload *l = w->load;
    struct op *op = op_of(w);
    const struct txn_op_result *first = r->op_count > 0 ? &r->ops[0] : NULL;
    if (r->status == STATUS_CONDITION_FAILED && op->kind == OP_CAS) {
        end_op(w, OP_REFUSED);
        return;
    }
    if (r->status != STATUS_OK || first == NULL) {
        world_fail(l->world, "a transaction on k%u was answered %s", op->key, status_name(r->status));
        return;
    }
    op->version = r->ts;
    if (op->kind == OP_GET) {
        op->version = first->found ? first->version : 0;
        op->value = first->found ? value_id(w, first->value) : 0;
        note_seen(l, op->key, op->value, op->version);
    } else if (op->kind == OP_DELETE) {
        op->has_found = true;
        op->found = first->found;
    } else if (chance(l->world, 300)) {
        note_seen(l, op->key, op->value, op->version);
    }
    end_op(w, OP_DONE);
    if (op->kind != OP_GET) commits_add(&l->history->commits, op->call_ns, op->return_ns, r->ts);
}

void register_answered(struct worker *w, const struct client_error *e, const struct txn_result *result)
{
    if (e->status != STATUS_OK) {
        not_served(w, e);
        return;
    }
    if (w->repeating) {
        compare_repeated(w, result);
        worker_finish(w);
        return;
    }
    record_answer(w, result);
    w->answer = result->status;
    w->answer_ts = result->ts;
    w->repeating = !txn_id_is_none(&w->txn.id) && chance(w->load->world, 200);
    if (w->repeating) {
        worker_pause(w);
    } else {
        worker_finish(w);
    }
}

static void get_done(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct worker *w = ctx;
    struct workload *l = w->load;
    world_note(l->world, 22, (uint64_t)e->status, reply != NULL ? reply->version : 0);
    if (e->status != STATUS_OK) {
        not_served(w, e);
        return;
    }
    l->answers++;
    struct op *op = op_of(w);
    op->value = reply->found ? value_id(w, reply->value) : 0;
    op->version = reply->found ? reply->version : 0;
    note_seen(l, op->key, op->value, op->version);
    end_op(w, OP_DONE);
    read_note_strong(w, op->key, op->version);
    worker_finish(w);
}

void register_call(struct worker *w)
{
    w->page_ns = w->load->world->now_ns;
    w->read_floor_ts = w->load->history->commits.newest;
    worker_ask_get(w, slice_str(w->keys[0]), &(struct read_how){.mode = READ_STRONG}, get_done);
}

/* A scan of all registers is a read of each of them. */
void register_scan_answered(struct worker *w, const struct client_error *e, const struct scan_reply *page)
{
    struct workload *l = w->load;
    if (e->status != STATUS_OK) {
        worker_finish(w);
        return;
    }
    if (page->more) world_fail(l->world, "a scan of all registers has more than one page");
    for (unsigned key = 0; key < l->cluster->knobs.register_keys; key++) {
        struct op read = {.kind = OP_GET, .client = w->client, .key = key, .call_ns = w->page_ns};
        key_name(w, key);
        for (size_t i = 0; i < page->row_count; i++) {
            if (!slice_eq(page->rows[i].key, slice_str(w->keys[0]))) continue;
            read.value = value_id(w, page->rows[i].value);
            read.version = page->rows[i].version;
        }
        w->op = history_call(l->history, &read);
        end_op(w, OP_DONE);
    }
    worker_finish(w);
}
