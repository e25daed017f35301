/* The tally: +1 without an id, never repeated by us; whoever repeats it on our behalf counts twice, and is found. */
#include "sim/workload_int.h"

#include <stdlib.h>

static uint64_t decimal(struct slice s)
{
    char text[I128_TEXT_MAX] = "";
    memcpy(text, s.data, s.size < sizeof text - 1 ? s.size : sizeof text - 1);
    return strtoull(text, NULL, 10);
}

void tally_begin(struct worker *w)
{
    w->task = TASK_TALLY;
    worker_begin_txn(w, false);
    worker_add_op(w, &(struct txn_op){.kind = TXN_ADD, .key = slice_str("t"), .delta = 1, .min = 0, .max = I128_MAX});
}

void tally_answered(struct worker *w, const struct client_error *e, const struct txn_result *result)
{
    struct workload *l = w->load;
    if (e->status == STATUS_OK && result->status == STATUS_OK) {
        commits_add(&l->history->tally, w->call_ns, l->world->now_ns, decimal(result->ops[0].value));
        commits_add(&l->history->commits, w->call_ns, l->world->now_ns, result->ts);
    } else if (e->status == STATUS_OK) {
        world_fail(l->world, "the tally was answered %s", status_name(result->status));
    } else if (e->unknown_outcome) {
        l->history->tally_unknown++;
    }
    worker_finish(w);
}

void tally_read_begin(struct worker *w)
{
    w->task = TASK_TALLY_READ;
    worker_begin_txn(w, false);
}

static void read_done(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct worker *w = ctx;
    struct workload *l = w->load;
    world_note(l->world, 25, (uint64_t)e->status, reply != NULL ? reply->version : 0);
    if (e->status != STATUS_OK) {
        worker_pause(w);
        return;
    }
    check_tally(l->world, l->history, reply->found ? decimal(reply->value) : 0);
    worker_finish(w);
}

void tally_read(struct worker *w)
{
    worker_ask_get(w, slice_str("t"), &(struct read_how){.mode = READ_STRONG}, read_done);
}
