/* One client's loop: think, begin something, call until it is answered, now and then ask the same again. */
#include "base/assert.h"
#include "base/cursor.h"
#include "base/mem.h"
#include "client/interact.h"
#include "sim/workload_int.h"

#include <stdio.h>

const struct slice workload_keyspace = {.data = (const uint8_t *)"sim", .size = 3};

void workload_id(struct workload *l, struct txn_id *id)
{
    memset(id, 0, sizeof *id);
    le_set_u64(id->bytes, ++l->last_id);
    id->bytes[15] = 1;
}

void worker_init(struct worker *w, struct workload *l, unsigned number)
{
    *w = (struct worker){.load = l, .number = number, .client = number % l->cluster->knobs.client_count};
    w->value = mem_zalloc(LIMIT_VALUE_BYTES / 64);
}

void worker_free(struct worker *w)
{
    interact_free(w->session);
    mem_free(w->value);
}

struct client *worker_client(const struct worker *w)
{
    return cluster_client(w->load->cluster, w->client);
}

void worker_begin_txn(struct worker *w, bool with_id)
{
    memset(&w->txn, 0, sizeof w->txn);
    w->txn.ops = w->ops;
    w->txn.compares = w->compares;
    w->txn.else_ops = w->else_ops;
    if (with_id) workload_id(w->load, &w->txn.id);
}

void worker_add_op(struct worker *w, const struct txn_op *op)
{
    ASSERT(w->txn.op_count < ACCOUNTS_MAX);
    w->ops[w->txn.op_count++] = *op;
}

/* --- what wakes it --- */

static void begin(struct worker *w)
{
    struct workload *l = w->load;
    struct world *world = l->world;
    w->repeating = false;
    w->final = false;
    w->call_ns = world->now_ns;
    uint64_t luck = draw(world, l->cluster->bench == BENCH_PLAIN ? 34 : 0, 99);
    if (luck < 12) {
        chain_begin(w);
    } else if (luck < 15) {
        chain_read_begin(w);
    } else if (luck < 18) {
        chain_scan_begin(w);
    } else if (luck < 24) {
        share_begin(w);
    } else if (luck < 26) {
        share_read_begin(w);
    } else if (luck < 34) {
        if (session_wanted(w))
            session_begin(w);
        else
            append_begin(w);
    } else if (luck < 47) {
        register_begin(w);
    } else if (luck < 50) {
        tally_begin(w);
    } else if (luck < 55) {
        register_scan_begin(w);
    } else if (luck < 68) {
        read_begin_task(w);
    } else if (luck < 78) {
        ending_begin(w);
    } else if (luck < 92) {
        transfer_begin(w);
    } else {
        page_begin(w, (unsigned)draw(world, 0, l->money.bank_count - 1), false);
    }
    worker_call(w);
}

static void begin_audit(struct worker *w)
{
    struct workload *l = w->load;
    unsigned banks = l->money.bank_count, keys = l->cluster->knobs.register_keys;
    w->repeating = false;
    w->call_ns = l->world->now_ns;
    if (w->audit_at < banks) {
        page_begin(w, w->audit_at, true);
    } else if (w->audit_at < banks + keys) {
        register_audit(w, w->audit_at - banks);
    } else if (w->audit_at == banks + keys) {
        tally_read_begin(w);
    } else if (w->audit_at == banks + keys + 1) {
        w->final = true;
        share_read_begin(w);
    } else {
        w->state = WORKER_DONE;
        return;
    }
    w->audit_at++;
    worker_call(w);
}

static void woken(struct world *world, void *ctx)
{
    (void)world;
    struct worker *w = ctx;
    struct workload *l = w->load;
    if (w->state == WORKER_PAUSING) {
        worker_call(w);
    } else if (l->auditing) {
        begin_audit(w);
    } else if (l->draining) {
        w->state = WORKER_DONE;
    } else {
        begin(w);
    }
}

void worker_think(struct worker *w)
{
    struct world *world = w->load->world;
    w->state = WORKER_THINKING;
    world_after(world, draw(world, 0, w->load->cluster->knobs.think_max_ms) * MS_NS, woken, w);
}

void worker_pause(struct worker *w)
{
    struct world *world = w->load->world;
    w->state = WORKER_PAUSING;
    world_after(world, draw(world, 1, 100) * MS_NS, woken, w);
}

/* --- calls --- */

static void txn_done(void *ctx, const struct client_error *e, const struct txn_result *result)
{
    struct worker *w = ctx;
    world_note(w->load->world, 20, (uint64_t)e->status, result != NULL ? result->ts : 0);
    w->load->answers += e->status == STATUS_OK;
    if (w->task == TASK_TRANSFER) {
        transfer_answered(w, e, result);
    } else if (w->task == TASK_TALLY) {
        tally_answered(w, e, result);
    } else if (w->task == TASK_CHAIN) {
        chain_answered(w, e, result);
    } else if (w->task == TASK_APPEND) {
        append_answered(w, e, result);
    } else if (w->task == TASK_ENDING) {
        ending_answered(w, e, result);
    } else if (w->task == TASK_SHARE || w->task == TASK_SHARE_READ) {
        share_answered(w, e, result);
    } else {
        register_answered(w, e, result);
    }
}

static void scan_done(void *ctx, const struct client_error *e, const struct scan_reply *page)
{
    struct worker *w = ctx;
    world_note(w->load->world, 21, (uint64_t)e->status, page != NULL ? page->row_count : 0);
    w->load->answers += e->status == STATUS_OK;
    if (w->task == TASK_PAGE) {
        page_answered(w, e, page);
    } else {
        register_scan_answered(w, e, page);
    }
}

uint32_t worker_timeout_ms(const struct worker *w)
{
    if (w->load->draining) return 5000; /* impatience must not stand in the way of the end */
    return (uint32_t)draw(w->load->world, 50, w->load->cluster->knobs.timeout_max_ms);
}

static void call_scan(struct worker *w)
{
    char start[KEY_TEXT] = "k", end[KEY_TEXT] = "l";
    if (w->task == TASK_PAGE) {
        (void)snprintf(start, sizeof start, "a%u/", w->bank);
        (void)snprintf(end, sizeof end, "a%u0", w->bank);
    }
    struct client_scan scan = {.start = slice_str(start), .end = slice_str(end)};
    /* Of one range a strong page is one instant; of several only a snapshot is. */
    if (w->task == TASK_PAGE && cluster_splits(&w->load->cluster->knobs)) scan.how.mode = READ_SNAPSHOT;
    w->page_ns = w->load->world->now_ns;
    worker_ask_scan(w, &scan, scan_done);
}

void worker_call(struct worker *w)
{
    w->state = WORKER_CALLING;
    if (w->task == TASK_READ) {
        read_call(w);
    } else if (w->task == TASK_SESSION) {
        session_call(w);
    } else if (w->task == TASK_ENDING && w->txn.op_count == 0) {
        ending_call(w);
    } else if (w->task == TASK_PAGE || w->task == TASK_REGISTER_SCAN) {
        call_scan(w);
    } else if (w->task == TASK_REGISTER && w->txn.op_count == 0) {
        register_call(w);
    } else if (w->task == TASK_TALLY_READ) {
        tally_read(w);
    } else if (w->task == TASK_CHAIN_READ || w->task == TASK_CHAIN_SCAN) {
        chain_call(w);
    } else if (w->task == TASK_APPEND && w->list_at < w->list_count) {
        append_call(w);
    } else {
        worker_ask_txn(w, txn_done);
    }
    if (worker_client(w) != NULL) process_pass_soon(w->load->cluster->clients[w->client]);
}

void worker_finish(struct worker *w)
{
    if (w->load->draining && !w->load->auditing) {
        w->state = WORKER_DONE;
    } else {
        worker_think(w);
    }
}
