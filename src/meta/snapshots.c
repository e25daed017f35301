/* Registered snapshots: names for timestamps from which on the nodes keep every version, for as long as they live.
 *
 *           register                 its time has passed, by the bound of timestamps; or: drop
 *   (none) ----------> LIVES ------------------------------------------------------------------> (none)
 *                      |   ^
 *                      +---+ extend
 *
 * The line is what nodes may let go: it is told in every heartbeat, and they take the highest that they were told. It is a function
 * of the rows: the bound of timestamps less what is kept anyway, but not above any snapshot that lives. A snapshot is registered
 * only at or above the line of the rows at its entry's place in the log. The bound never falls, and a snapshot that has ended was
 * ended by it: so every line that was told before, by whatever leader that had applied fewer entries, is no higher than the line
 * there. And every later line is no higher than the snapshot. So nobody has let go, or will, what a living snapshot reads.
 *
 * The row holds a meta_snapshot_reply of the list alone. */
#include "base/assert.h"
#include "base/mutant.h"
#include "meta/machine_int.h"
#include "meta/meta_int.h"

#include <stdlib.h>

/* The bound runs ahead of what is handed out by less than this (timestamps.c): a timestamp of now is above the line. */
enum { LINE_BEHIND_MS = 4600 };

static uint64_t ts_of_ms(uint64_t ms)
{
    return ms << TS_COUNTER_BITS;
}

static bool lives(const struct past_snapshot *s, uint64_t bound)
{
    return s->expires_ts > bound;
}

static struct meta_snapshot_reply decode(struct slice row, struct arena *arena)
{
    struct meta_snapshot_reply list = {0};
    if (row.size > 0 && unpack_meta_snapshot_reply(row, arena, &list) != STATUS_OK)
        BUG("the row of registered snapshots is damaged");
    return list;
}

static uint64_t line_of(const struct meta_snapshot_reply *list, uint64_t bound, uint64_t version_keep)
{
    uint64_t behind = version_keep > ts_of_ms(LINE_BEHIND_MS) ? version_keep : ts_of_ms(LINE_BEHIND_MS);
    uint64_t line = bound > behind ? bound - behind : 0;
    if (MUTANT(snapshot_not_held)) return line;
    for (size_t i = 0; i < list->snapshot_count; i++) {
        const struct past_snapshot *s = &list->snapshots[i];
        if (lives(s, bound) && s->ts < line) line = s->ts;
    }
    return line;
}

uint64_t snapshots_line(const struct meta_state *s, uint64_t version_keep)
{
    struct arena arena;
    arena_init(&arena, 4096);
    struct meta_snapshot_reply list = decode(s->snapshots_row, &arena);
    uint64_t line = line_of(&list, s->ts_bound, version_keep);
    arena_free(&arena);
    return line;
}

/* --- evaluation --- */

static const char *name_fault(struct slice name)
{
    if (name.size == 0 || name.size > LIMIT_SNAPSHOT_NAME) return "a snapshot's name has 1 to 64 characters";
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
            return "a snapshot's name consists of a-z, 0-9, '_' and '-'";
    }
    return NULL;
}

struct past {                        /* one evaluation */
    struct meta_snapshot_reply list; /* those that live */
    struct past_snapshot *named;     /* NULL: none of that name lives */
    uint64_t bound, line;
};

static void past_load(struct eval *e, const struct meta_snapshot_request *q, uint64_t version_keep, struct past *p)
{
    struct slice row = SLICE_EMPTY;
    *p = (struct past){.bound = eval_read_number(e, slice_str("t"), 0)};
    struct meta_snapshot_reply all = {0};
    if (eval_read(e, slice_str("h"), &row)) all = decode(row, e->arena);
    p->list.snapshots = arena_alloc(e->arena, (LIMIT_SNAPSHOTS + 1) * sizeof *all.snapshots);
    for (size_t i = 0; i < all.snapshot_count; i++) {
        if (!lives(&all.snapshots[i], p->bound)) continue;
        struct past_snapshot *s = &p->list.snapshots[p->list.snapshot_count++];
        *s = all.snapshots[i];
        if (slice_eq(s->name, q->name)) p->named = s;
    }
    p->line = line_of(&p->list, p->bound, version_keep);
}

static void past_save(struct eval *e, const struct meta_snapshot_reply *list)
{
    struct buf b;
    buf_init(&b, 16384);
    pack_meta_snapshot_reply(
        &b, &(struct meta_snapshot_reply){.snapshots = list->snapshots, .snapshot_count = list->snapshot_count});
    eval_write(e, slice_str("h"), &b);
    buf_free(&b);
}

static void answer_one(struct eval *e, const struct past *p, struct past_snapshot s, bool changed)
{
    ANSWER_WITH(e, meta_snapshot_reply,
                &(struct meta_snapshot_reply){
                    .snapshots = &s, .snapshot_count = 1, .changed = changed, .now_ts = p->bound, .line_ts = p->line});
}

static void eval_register(struct eval *e, const struct meta_command *c, struct past *p)
{
    const struct meta_snapshot_request *q = &c->snapshot;
    uint64_t ts = q->ts;
    if (c->snapshot_now && ts < p->line) ts = p->line; /* it took its time to get here */
    if (p->named != NULL) {                            /* a repetition; another lifetime is a matter of extending it */
        if (c->snapshot_now || p->named->ts == ts)
            answer_one(e, p, *p->named, false);
        else
            eval_answer(e, STATUS_EXISTS, "a snapshot of that name is registered at another timestamp", SLICE_EMPTY);
    } else if (p->list.snapshot_count >= LIMIT_SNAPSHOTS) {
        eval_answer(e, STATUS_TOO_LARGE, "64 snapshots are registered: drop one first", SLICE_EMPTY);
    } else if (ts < p->line && !MUTANT(snapshot_below_line)) {
        eval_answer(e, STATUS_TOO_OLD, "versions of that time may be gone already: register a snapshot in time",
                    SLICE_EMPTY);
    } else {
        struct past_snapshot s = {.name = q->name, .ts = ts, .expires_ts = p->bound + ts_of_ms(q->lifetime_ms)};
        p->list.snapshots[p->list.snapshot_count++] = s;
        past_save(e, &p->list);
        answer_one(e, p, s, true);
    }
}

void eval_snapshot(struct eval *e, const struct meta_command *c, uint64_t version_keep)
{
    const struct meta_snapshot_request *q = &c->snapshot;
    const char *fault = name_fault(q->name);
    struct past p;
    if (fault == NULL && q->verb != SNAPSHOT_VERB_DROP &&
        (q->lifetime_ms == 0 || q->lifetime_ms > LIMIT_SNAPSHOT_LIFE_MS))
        fault = "a registered snapshot lives for 7 days at most, and longer than nothing";
    if (fault != NULL) {
        eval_answer(e, STATUS_INVALID, fault, SLICE_EMPTY);
        return;
    }
    past_load(e, q, version_keep, &p);
    if (e->failed != STATUS_OK) return;
    if (q->verb == SNAPSHOT_VERB_REGISTER) {
        eval_register(e, c, &p);
    } else if (p.named == NULL) {
        eval_answer(e, STATUS_NOT_FOUND, "no snapshot of that name is registered, or its time has passed", SLICE_EMPTY);
    } else if (q->verb == SNAPSHOT_VERB_EXTEND) {
        uint64_t until = p.bound + ts_of_ms(q->lifetime_ms);
        bool changed = until > p.named->expires_ts; /* never shorter: drop it for that */
        if (changed) p.named->expires_ts = until;
        if (changed) past_save(e, &p.list);
        answer_one(e, &p, *p.named, changed);
    } else {
        struct past_snapshot gone = *p.named;
        *p.named = p.list.snapshots[--p.list.snapshot_count];
        past_save(e, &p.list);
        answer_one(e, &p, gone, true);
    }
}

/* --- the leader --- */

enum status snapshots_command(struct meta *m, struct meta_command *c, struct errbuf *err)
{
    if (!feature_on(m->state.finalised, FEATURE_SNAPSHOT_REGISTERED)) {
        errbuf_set(err, "snapshots can be registered when this release has been finalised: quorate upgrade finalize");
        return STATUS_UNSUPPORTED;
    }
    if (c->snapshot.verb != SNAPSHOT_VERB_REGISTER) return STATUS_OK;
    c->snapshot_now = c->snapshot.ts == 0;
    uint64_t ts = timestamps_take(m);
    if (ts == 0) {
        errbuf_set(err, "timestamps are short for a moment");
        return STATUS_RETRY;
    }
    if (c->snapshot.ts > ts) {
        /* Who leads no more, and has not heard of it, does not know what its successor issues. */
        bool leads = env_mono_ns(m->env) < replica_lease_until_ns(host_replica(m->host, META_GROUP));
        errbuf_set(err, "that timestamp has not been issued yet");
        return leads ? STATUS_INVALID : STATUS_RETRY;
    }
    if (c->snapshot_now) c->snapshot.ts = ts;
    return STATUS_OK;
}

static int by_ts(const void *a, const void *b)
{
    const struct past_snapshot *x = a, *y = b;
    return x->ts < y->ts ? -1 : x->ts > y->ts;
}

void snapshots_fill(struct meta *m, struct meta_snapshot_reply *reply)
{
    struct meta_snapshot_reply all = decode(m->state.snapshots_row, &m->arena);
    *reply = (struct meta_snapshot_reply){.snapshots = all.snapshots,
                                          .now_ts = timestamps_about_now(m),
                                          .line_ts = snapshots_line(&m->state, m->applied.version_keep)};
    for (size_t i = 0; i < all.snapshot_count; i++) {
        if (lives(&all.snapshots[i], m->state.ts_bound)) reply->snapshots[reply->snapshot_count++] = all.snapshots[i];
    }
    if (reply->snapshot_count > 1) qsort(reply->snapshots, reply->snapshot_count, sizeof *reply->snapshots, by_ts);
}
