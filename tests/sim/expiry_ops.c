/* Rows that end by themselves, in two ranges: judged as they are answered. What must hold, whatever breaks:
 *
 *   - nobody sees a row at a timestamp at or behind its end;
 *   - a row that somebody missed is never seen again by whoever asks later (no read goes back behind another one);
 *   - a snapshot or a transaction does not miss a row that was acknowledged, not replaced, and has not ended at its timestamp.
 *
 * A value tells the time to live that it was put with. Nothing deletes here. */
#include "sim/workload_int.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const FAMILIES[] = {"ate", "te"}; /* of different ranges; other checkers leave such keys alone */

static struct ending *ending_of(struct worker *w, unsigned key)
{
    return &w->load->endings[key];
}

static void key_text(struct worker *w, unsigned key, unsigned slot)
{
    (void)snprintf(w->keys[slot], KEY_TEXT, "%s%u.%u", FAMILIES[key % 2], key, ending_of(w, key)->life);
}

/* A put that may have happened, or may yet: nothing can be said of the key any more. Another one takes its place. */
static void cloud(struct ending *e)
{
    *e = (struct ending){.life = e->life + 1};
}

/* What is known when it is called: later on it cannot be held against the answer. */
static void note_call(struct worker *w, unsigned key)
{
    const struct ending *e = ending_of(w, key);
    w->read_key = key;
    w->ending_floor = e->missed;
    w->ending_acked = e->calls == e->acked_call && e->open == 0 ? e->acked : 0;
    w->read_life = e->life;
    w->ending_ttl_ms = e->acked_ttl_ms;
    w->ending_calls = e->calls;
}

static void put_into(struct worker *w, unsigned key, unsigned slot)
{
    struct ending *e = ending_of(w, key);
    w->ending_ttl_ms = draw(w->load->world, 1, chance(w->load->world, 500) ? 100 : 2000);
    w->ending_calls = ++e->calls;
    w->write_life = e->life;
    e->open++;
    key_text(w, key, slot);
    (void)snprintf(w->text, sizeof w->text, "%llu", (unsigned long long)w->ending_ttl_ms);
    worker_add_op(w, &(struct txn_op){.kind = TXN_PUT,
                                      .key = slice_str(w->keys[slot]),
                                      .value = slice_str(w->text),
                                      .has_ttl = true,
                                      .ttl_ms = w->ending_ttl_ms});
}

/* A put; a read; or a transaction that reads in one range and writes in the other. */
void ending_begin(struct worker *w)
{
    struct world *world = w->load->world;
    unsigned key = (unsigned)draw(world, 0, ENDINGS - 1);
    uint64_t luck = draw(world, 0, 99);
    w->task = TASK_ENDING;
    worker_begin_txn(w, false);
    w->ending_reads = luck >= 35;
    w->ending_writes = luck < 35 || luck >= 80;
    w->how = (struct read_how){.mode = luck < 65 ? READ_STRONG : READ_SNAPSHOT, .any_replica = chance(world, 400)};
    if (w->ending_reads) note_call(w, key);
    w->ending_read_calls = w->ending_calls;
    if (w->ending_reads && w->ending_writes) {
        key_text(w, key, 0);
        worker_add_op(w, &(struct txn_op){.kind = TXN_GET, .key = slice_str(w->keys[0]), .value = SLICE_EMPTY});
        w->ending_acked_ttl_ms = w->ending_ttl_ms;
        w->write_key = (key + 1) % ENDINGS;
        put_into(w, w->write_key, 1);
    } else if (w->ending_writes) {
        w->write_key = key;
        put_into(w, key, 0);
    } else {
        w->ending_acked_ttl_ms = w->ending_ttl_ms;
        key_text(w, key, 0);
    }
}

static void saw(struct worker *w, bool found, uint64_t version, struct slice value, uint64_t ts)
{
    struct world *world = w->load->world;
    struct ending *e = ending_of(w, w->read_key);
    if (found) {
        char text[32] = "";
        memcpy(text, value.data, value.size < sizeof text - 1 ? value.size : sizeof text - 1);
        uint64_t end = version + (strtoull(text, NULL, 10) << TS_COUNTER_BITS);
        if (ts >= end)
            world_fail(world, "endings: a row that ended at %llu was seen at %llu", (unsigned long long)end,
                       (unsigned long long)ts);
        if (version <= w->ending_floor && w->ending_floor != 0)
            world_fail(world, "endings: version %llu had been missed, and was seen again", (unsigned long long)version);
        return;
    }
    if (e->life != w->read_life) return;
    bool exact = w->task == TASK_ENDING && (w->how.mode == READ_SNAPSHOT || w->ending_writes);
    bool replaced = e->calls != w->ending_read_calls; /* somebody has put since: that one may be what ended */
    uint64_t end = w->ending_acked + (w->ending_acked_ttl_ms << TS_COUNTER_BITS);
    if (exact && !replaced && w->ending_acked != 0 && w->ending_acked <= ts && ts < end)
        world_fail(world, "endings: version %llu, which ends at %llu, was missed at %llu",
                   (unsigned long long)w->ending_acked, (unsigned long long)end, (unsigned long long)ts);
    if (w->ending_acked > e->missed) e->missed = w->ending_acked;
}

void ending_answered(struct worker *w, const struct client_error *e, const struct txn_result *result)
{
    struct workload *l = w->load;
    struct ending *put = ending_of(w, w->write_key);
    bool done = e->status == STATUS_OK && result->status == STATUS_OK, same = put->life == w->write_life;
    if (same) put->open--;
    if (done) {
        size_t at = w->ending_reads ? 1 : 0;
        commits_add(&l->history->commits, w->call_ns, l->world->now_ns, result->ts);
        if (w->ending_reads) saw(w, result->ops[0].found, result->ops[0].version, result->ops[0].value, result->ts);
        if (result->ops[at].version != result->ts) world_fail(l->world, "endings: a put has another version");
        if (same && result->ts > put->acked) {
            put->acked = result->ts;
            put->acked_call = w->ending_calls;
            put->acked_ttl_ms = w->ending_ttl_ms;
        }
    } else if (e->status == STATUS_OK && result->status != STATUS_RETRY) {
        world_fail(l->world, "endings: answered %s", status_name(result->status));
    } else if (same && e->status != STATUS_OK && e->unknown_outcome) {
        cloud(put);
    }
    worker_finish(w);
}

static void read_done(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct worker *w = ctx;
    struct workload *l = w->load;
    world_note(l->world, 27, (uint64_t)e->status, reply != NULL ? reply->version : 0);
    if (e->status == STATUS_OK) {
        l->answers++;
        if (w->how.mode == READ_SNAPSHOT && reply->mark.ts > l->history->commits.newest)
            l->history->commits.newest = reply->mark.ts;
        saw(w, reply->found, reply->version, reply->value, reply->mark.ts);
    }
    worker_finish(w);
}

void ending_call(struct worker *w)
{
    worker_ask_get(w, slice_str(w->keys[0]), &w->how, read_done);
}
