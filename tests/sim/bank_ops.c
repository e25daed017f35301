/* Money: each bank is a range of accounts; a transfer moves an amount by two guarded adds under an id, mostly with a history
 * row; a page reads the whole bank. */
#include "base/assert.h"
#include "base/mem.h"
#include "sim/workload_int.h"

#include <stdio.h>

static struct slice account_key(struct worker *w, unsigned slot, unsigned bank, unsigned account)
{
    (void)snprintf(w->keys[slot], KEY_TEXT, "a%u/c/%u", bank, account);
    return slice_str(w->keys[slot]);
}

void bank_fund(struct worker *w, unsigned bank)
{
    worker_begin_txn(w, true);
    for (unsigned a = 0; a < w->load->money.account_count; a++) {
        worker_add_op(
            w,
            &(struct txn_op){
                .kind = TXN_ADD, .key = account_key(w, a, bank, a), .delta = ACCOUNT_START, .min = 0, .max = I128_MAX});
    }
}

void transfer_begin(struct worker *w)
{
    struct workload *l = w->load;
    struct world *world = l->world;
    struct transfer *t = money_transfer(&l->money);
    w->task = TASK_TRANSFER;
    w->transfer = t->number;
    t->bank = (unsigned)draw(world, 0, l->money.bank_count - 1);
    t->from = (unsigned)draw(world, 0, l->money.account_count - 1);
    t->to = (t->from + (unsigned)draw(world, 1, l->money.account_count - 1)) % l->money.account_count;
    t->amount = (int64_t)draw(world, 1, 60);
    t->with_history = money_keeps_history(t->bank) || chance(world, 300);
    t->call_ns = world->now_ns;
    worker_begin_txn(w, true);
    worker_add_op(w, &(struct txn_op){.kind = TXN_ADD,
                                      .key = account_key(w, 0, t->bank, t->from),
                                      .delta = -t->amount,
                                      .min = 0,
                                      .max = I128_MAX});
    worker_add_op(
        w,
        &(struct txn_op){
            .kind = TXN_ADD, .key = account_key(w, 1, t->bank, t->to), .delta = t->amount, .min = 0, .max = I128_MAX});
    if (!t->with_history) return;
    (void)snprintf(w->keys[2], KEY_TEXT, "a%u/h/%llu", t->bank, (unsigned long long)t->number);
    (void)snprintf(w->text, sizeof w->text, "%u %u %lld", t->from, t->to, (long long)t->amount);
    worker_add_op(w, &(struct txn_op){.kind = TXN_INSERT, .key = slice_str(w->keys[2]), .value = slice_str(w->text)});
}

static void first_answer(struct worker *w, const struct txn_result *r)
{
    struct workload *l = w->load;
    struct transfer *t = &l->money.transfers[w->transfer - 1];
    if (r->status != STATUS_OK && r->status != STATUS_GUARD_FAILED) {
        world_fail(l->world, "transfer %llu was answered %s%s", (unsigned long long)t->number, status_name(r->status),
                   r->status == STATUS_EXISTS ? ": it was posted twice" : "");
        return;
    }
    t->answered = true;
    t->posted = r->status == STATUS_OK;
    t->return_ns = l->world->now_ns;
    t->ts = r->ts;
    w->answer = r->status;
    w->answer_ts = r->ts;
    w->answer_value[0] = '\0';
    if (!t->posted) return;
    commits_add(&l->history->commits, t->call_ns, t->return_ns, r->ts);
    (void)snprintf(w->answer_value, sizeof w->answer_value, "%.*s", (int)r->ops[0].value.size,
                   (const char *)r->ops[0].value.data);
}

static void same_answer(struct worker *w, const struct txn_result *r)
{
    bool same = r->status == w->answer && r->ts == w->answer_ts && r->replayed;
    if (same && r->status == STATUS_OK) same = slice_eq(r->ops[0].value, slice_str(w->answer_value));
    if (same) return;
    world_fail(w->load->world, "idempotency: transfer %llu was answered %s at %llu (%s), a repetition %s at %llu%s",
               (unsigned long long)w->transfer, status_name(w->answer), (unsigned long long)w->answer_ts,
               w->answer_value, status_name(r->status), (unsigned long long)r->ts,
               r->replayed ? "" : ", not as a repetition");
}

void transfer_answered(struct worker *w, const struct client_error *e, const struct txn_result *result)
{
    if (e->status != STATUS_OK) {
        worker_pause(w); /* with the same id, until it is known */
        return;
    }
    if (w->repeating) {
        same_answer(w, result);
        worker_finish(w);
        return;
    }
    first_answer(w, result);
    w->repeating = chance(w->load->world, 200);
    if (w->repeating) {
        worker_pause(w);
    } else {
        worker_finish(w);
    }
}

/* --- pages --- */

void page_begin(struct worker *w, unsigned bank, bool final)
{
    w->task = TASK_PAGE;
    w->bank = bank;
    w->final = final;
    worker_begin_txn(w, false);
}

void page_answered(struct worker *w, const struct client_error *e, const struct scan_reply *page)
{
    struct workload *l = w->load;
    if (e->status != STATUS_OK) {
        if (w->final)
            worker_pause(w);
        else
            worker_finish(w);
        return;
    }
    if (page->more) world_fail(l->world, "the page of bank %u is cut short", w->bank);
    check_money_page(l->world, &l->money, w->bank, w->page_ns, page, w->final);
    worker_finish(w);
}
