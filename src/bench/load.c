/* The lanes: which operation is next, what an answer means for the figures. */
#include <stdio.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "bench/bench.h"
#include "env_posix/env_posix.h"

#define REST_MS 5u

void bench_key(const struct bench *b, uint64_t key, struct buf *out)
{
    buf_append_str(out, b->prefix);
    buf_printf(out, "%010llu", (unsigned long long)key);
}

/* What no compression makes smaller; the same of the same text. */
static void fill_noise(const struct bench *b, const char *text, struct buf *out)
{
    struct prng noise;
    prng_init(&noise, hash_bytes(slice_str(text), 1));
    if (out->size < b->value_bytes) buf_append_byte(out, '.');
    while (out->size < b->value_bytes && !out->overflow) {
        uint64_t eight = prng_next(&noise);
        size_t left = b->value_bytes - out->size;
        buf_append(out, &eight, left < sizeof eight ? left : sizeof eight);
    }
}

void bench_fill_value(const struct bench *b, const char *text, struct buf *out)
{
    buf_append_str(out, text);
    if (b->noise) {
        fill_noise(b, text, out);
        return;
    }
    while (out->size < b->value_bytes && !out->overflow) {
        static const char dots[] = "................................................................";
        size_t left = b->value_bytes - out->size;
        buf_append(out, dots, left < sizeof(dots) - 1 ? left : sizeof(dots) - 1);
    }
}

static bool is_filled(const struct bench *b, struct slice seen, struct slice text)
{
    char copy[BENCH_VALUE_TEXT];
    struct buf whole;
    (void)snprintf(copy, sizeof copy, "%.*s", (int)text.size, (const char *)text.data);
    buf_init(&whole, LIMIT_VALUE_BYTES + BENCH_VALUE_TEXT);
    bench_fill_value(b, copy, &whole);
    bool same = slice_eq(buf_slice(&whole), seen);
    buf_free(&whole);
    return same;
}

/* A value's own text, or, when it is not whole, something that nobody wrote. */
static void value_text(const struct bench *b, struct slice seen, char text[BENCH_VALUE_TEXT])
{
    size_t size = 0;
    while (size < seen.size && seen.data[size] != '.' && size < BENCH_VALUE_TEXT - 1) size++;
    bool whole = size > 0 && (seen.size == b->value_bytes || seen.size == size);
    if (b->noise)
        whole = whole && is_filled(b, seen, slice_make(seen.data, size));
    else
        for (size_t i = size; i < seen.size; i++) whole = whole && seen.data[i] == '.';
    if (whole)
        snprintf(text, BENCH_VALUE_TEXT, "%.*s", (int)size, (const char *)seen.data);
    else
        snprintf(text, BENCH_VALUE_TEXT, "damaged value of %zu bytes", seen.size);
}

/* --- the next operation --- */

static enum bench_kind kind_draw(struct bench *b)
{
    uint64_t point = prng_below(&b->prng, 100);
    for (int kind = BENCH_GET; kind < BENCH_KINDS; kind++) {
        if (point < b->shares[kind]) return (enum bench_kind)kind;
        point -= b->shares[kind];
    }
    return BENCH_PUT;
}

static void op_draw(struct bench *b, struct bench_op *op)
{
    *op = (struct bench_op){.number = ++b->numbered};
    b->issued++;
    if (b->phase == BENCH_FILL) {
        op->kind = BENCH_PUT;
        op->key = b->filled++;
    } else {
        op->kind = b->phase == BENCH_WARM ? BENCH_GET : kind_draw(b);
        if (op->kind == BENCH_INSERT) bench_keys_insert(&b->keys);
        do {
            op->key = op->kind == BENCH_INSERT ? b->keys.newest - 1 : bench_keys_next(&b->keys, &b->prng);
        } while (b->in_flight != NULL && b->in_flight[op->key] >= BENCH_IN_FLIGHT_PER_KEY);
    }
    if (op->kind == BENCH_TRANSFER) op->other = (op->key + 1 + prng_below(&b->prng, b->key_count - 1)) % b->key_count;
    if (op->kind == BENCH_SCAN) op->other = 1 + prng_below(&b->prng, b->scan_rows);
    if (op->kind != BENCH_GET && op->kind != BENCH_SCAN && op->kind != BENCH_DELETE)
        snprintf(op->value, sizeof(op->value), "%012llx-%llu", (unsigned long long)b->run & 0xFFFFFFFFFFFFull,
                 (unsigned long long)op->number);
    if (op->kind == BENCH_CAS) memcpy(op->expect, b->last_seen[op->key], sizeof(op->expect));
}

/* now_ns: of the pass, which is at most a moment ago: a latency comes out longer, never shorter. */
static void lane_send(struct bench_lane *l, uint64_t now_ns, uint64_t due_ns)
{
    struct bench *b = l->bench;
    op_draw(b, &l->op);
    l->op.call_ns = now_ns;
    l->op.due_ns = due_ns != 0 ? due_ns : now_ns;
    if (b->in_flight != NULL) b->in_flight[l->op.key]++;
    l->state = BENCH_WAITING;
    b->busy++;
    b->wire->send(l);
}

/* --- answers --- */

static void note_served(struct bench *b, const struct bench_op *op, bool refused, uint64_t now_ns)
{
    b->ok[op->kind] += !refused;
    b->refused += refused;
    struct latency *l = op->kind == BENCH_GET ? &b->read : op->kind == BENCH_SCAN ? &b->scan : &b->write;
    latency_add(l, now_ns - op->due_ns);
    if (now_ns <= b->end_ns) b->in_time++;
    if (now_ns - b->last_ok_ns > b->pause_ns) {
        b->pause_ns = now_ns - b->last_ok_ns;
        b->pause_at_ns = b->last_ok_ns - b->begun_ns;
    }
    b->last_ok_ns = now_ns;
}

static void note_outcome(struct bench *b, const struct bench_op *op, enum bench_outcome outcome, struct slice why,
                         uint64_t now_ns)
{
    bool served = outcome == BENCH_OK || outcome == BENCH_REFUSED, measured = b->begun_ns != 0;
    if (served) {
        if (!measured) return;
        note_served(b, op, outcome == BENCH_REFUSED, now_ns);
        return;
    }
    if (b->failed + b->unknown == 0) errbuf_set(&b->first_error, "%.*s", (int)why.size, (const char *)why.data);
    b->failed += outcome == BENCH_FAILED;
    b->unknown += outcome == BENCH_UNKNOWN;
}

void bench_answered(struct bench_lane *l, enum bench_outcome outcome, bool found, struct slice seen, struct slice why)
{
    struct bench *b = l->bench;
    const struct bench_op *op = &l->op;
    uint64_t now = env_mono_ns(b->env);
    char text[BENCH_VALUE_TEXT] = "";
    ASSERT(l->state == BENCH_WAITING);
    bool served = outcome == BENCH_OK || outcome == BENCH_REFUSED;
    l->state = served ? BENCH_IDLE : BENCH_RESTING;
    l->again_ns = now + REST_MS * NS_PER_MS;
    b->busy--;
    if (b->in_flight != NULL) b->in_flight[op->key]--;
    if (op->kind == BENCH_GET && found) value_text(b, seen, text);
    if (b->last_seen != NULL && outcome == BENCH_OK)
        memcpy(b->last_seen[op->key], op->kind == BENCH_GET ? text : op->value, BENCH_VALUE_TEXT);
    bench_history_note(b, l, outcome, found, text, now);
    note_outcome(b, op, outcome, why, now);
    b->env->ops->wake(b->env);
}

/* --- phases --- */

static bool measure_over(const struct bench *b, uint64_t now_ns)
{
    return now_ns >= b->end_ns || (b->total != 0 && b->issued >= b->total);
}

/* Whether a lane may send now; *due_ns: since when, when operations come at a rate. */
static bool may_send(struct bench *b, uint64_t now_ns, uint64_t *due_ns, uint64_t *deadline)
{
    *due_ns = 0;
    switch (b->phase) {
    case BENCH_WARM: return b->failed == 0 && b->issued < b->lane_count;
    case BENCH_FILL: return b->failed == 0 && b->filled < b->key_count;
    case BENCH_MEASURE: break;
    case BENCH_DRAIN: return false;
    }
    if (measure_over(b, now_ns)) return false;
    if (b->rate == 0) return true;
    *due_ns = b->begun_ns + (uint64_t)((double)b->issued * 1e9 / (double)b->rate);
    if (*due_ns > now_ns && *due_ns < *deadline) *deadline = *due_ns;
    return *due_ns <= now_ns;
}

static void measure_begin(struct bench *b, uint64_t now_ns)
{
    b->phase = BENCH_MEASURE;
    b->issued = 0;
    b->begun_ns = b->last_ok_ns = now_ns;
    b->end_ns = now_ns + b->seconds * 1000 * NS_PER_MS;
}

/* What comes before the clock starts has to work: a run that cannot read or fill measures nothing. */
static void phase_step(struct bench *b, uint64_t now_ns)
{
    if (b->phase == BENCH_MEASURE && measure_over(b, now_ns)) {
        b->phase = BENCH_DRAIN;
        b->ended_ns = now_ns;
    }
    if (b->busy > 0) return;
    bool before = b->phase == BENCH_WARM || b->phase == BENCH_FILL;
    if (b->phase == BENCH_DRAIN || (before && b->failed + b->unknown > 0)) {
        b->done = true;
    } else if (b->phase == BENCH_WARM && b->issued >= b->lane_count) {
        if (b->fill)
            b->phase = BENCH_FILL;
        else
            measure_begin(b, now_ns);
    } else if (b->phase == BENCH_FILL && b->filled >= b->key_count) {
        measure_begin(b, now_ns);
    }
}

static uint64_t bench_pass(struct actor *a, uint64_t now_ns)
{
    struct bench *b = LIST_ENTRY(a, struct bench, actor);
    uint64_t deadline = now_ns + 100 * NS_PER_MS, due_ns;
    if (b->done) return DEADLINE_NONE;
    phase_step(b, now_ns);
    for (unsigned i = 0; i < b->lane_count && !b->done; i++) {
        struct bench_lane *l = &b->lanes[i];
        if (l->state == BENCH_RESTING && now_ns >= l->again_ns) l->state = BENCH_IDLE;
        if (l->state == BENCH_RESTING && l->again_ns < deadline) deadline = l->again_ns;
        if (l->state == BENCH_IDLE && may_send(b, now_ns, &due_ns, &deadline)) lane_send(l, now_ns, due_ns);
    }
    if (b->phase == BENCH_MEASURE && b->end_ns < deadline) deadline = b->end_ns;
    return b->done ? DEADLINE_NONE : deadline;
}

static bool bench_is_done(void *ctx)
{
    return ((struct bench *)ctx)->done;
}

/* A signal ends the measurement, and what there is is reported. */
static void on_stop(void *ctx)
{
    struct bench *b = ctx;
    b->end_ns = env_mono_ns(b->env);
    if (b->begun_ns == 0) {
        errbuf_set(&b->first_error, "interrupted");
        b->failed++;
    }
    b->env->ops->wake(b->env);
}

void bench_run(struct bench *b)
{
    env_posix_on_signal(b->env, on_stop, b);
    b->actor.pass = bench_pass;
    b->env->ops->attach(b->env, &b->actor);
    b->env->ops->wake(b->env);
    env_posix_run_until(b->env, bench_is_done, b, DEADLINE_NONE);
    b->env->ops->detach(b->env, &b->actor);
    bench_history_flush(b);
}
