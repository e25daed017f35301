#include "lib/wal_model.h"

#include "base/assert.h"
#include "base/cursor.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

uint64_t wm_group_id(unsigned g)
{
    return 1 + (uint64_t)g * 97; /* ids of one byte and of two */
}

/* --- states --- */
static void group_copy(struct wm_group *to, const struct wm_group *from)
{
    struct wm_entry *entries = to->entries;
    size_t capacity = to->capacity;
    if (capacity < from->count) {
        capacity = from->count * 2;
        entries = mem_realloc(entries, capacity * sizeof *entries);
    }
    *to = *from;
    to->entries = entries;
    to->capacity = capacity;
    if (from->count > 0) memcpy(to->entries, from->entries, from->count * sizeof *entries);
}

static void state_copy(struct wm_state *to, const struct wm_state *from)
{
    for (unsigned i = 0; i < WM_GROUPS; i++) group_copy(&to->groups[i], &from->groups[i]);
}

static void state_free(struct wm_state *s)
{
    for (unsigned i = 0; i < WM_GROUPS; i++) mem_free(s->groups[i].entries);
    memset(s, 0, sizeof *s);
}

static uint64_t group_last(const struct wm_group *g)
{
    return g->base + g->count;
}

/* A later append at index i voids everything from i on. False: it leaves a gap. */
static bool group_append(struct wm_group *g, const struct wm_entry *e)
{
    if (g->base == 0 && g->count == 0) g->base = e->index - 1;
    if (e->index > group_last(g) + 1) return false;
    if (e->index <= g->base) { /* recovered: what was before it has gone */
        g->base = e->index - 1;
        g->count = 0;
    } else {
        g->count = (size_t)(e->index - g->base - 1);
    }
    if (g->count == g->capacity) {
        g->capacity = g->capacity == 0 ? 32 : g->capacity * 2;
        g->entries = mem_realloc(g->entries, g->capacity * sizeof *g->entries);
    }
    g->entries[g->count++] = *e;
    return true;
}

static void group_reset(struct wm_group *g, uint64_t index)
{
    g->count = 0;
    g->base = index;
}

static void group_drop(struct wm_group *g)
{
    struct wm_group empty = {.entries = g->entries, .capacity = g->capacity, .life = g->life + 1};
    *g = empty;
}

static const struct wm_entry *group_at(const struct wm_group *g, uint64_t index)
{
    return index > g->base && index <= group_last(g) ? &g->entries[index - g->base - 1] : NULL;
}

static bool entry_same(const struct wm_entry *a, const struct wm_entry *b)
{
    return a->index == b->index && a->term == b->term && a->uid == b->uid && a->size == b->size && a->type == b->type;
}

/* Why `found` is not a right recovery of `want`, or NULL. */
static const char *group_difference(const struct wm_group *want, const struct wm_group *found)
{
    if (want->has_record != found->has_record) return "a group record is missing or too many";
    if (want->has_record && (want->record_uid != found->record_uid || want->record_size != found->record_size))
        return "the group record is another";
    if (want->has_hard_state != found->has_hard_state) return "a hard state is missing or too many";
    if (want->has_hard_state && memcmp(&want->hard_state, &found->hard_state, sizeof want->hard_state) != 0)
        return "the hard state is another";
    for (uint64_t i = want->floor + 1; i <= group_last(want); i++) {
        const struct wm_entry *a = group_at(want, i), *b = group_at(found, i);
        if (a == NULL) continue;
        if (b == NULL) return "an entry above the floor is missing";
        if (!entry_same(a, b)) return "an entry above the floor is another";
    }
    /* Segments go from the oldest on: what is left of a group's log is its end. */
    if (group_last(found) != 0 && group_last(found) != group_last(want)) return "the log ends elsewhere";
    for (uint64_t i = found->base + 1; i <= group_last(found); i++)
        if (i > want->floor && group_at(want, i) == NULL) return "an entry is there that must not be";
    return NULL;
}

static bool state_matches(const struct wm_state *want, const struct wm_state *found, char *why, size_t size)
{
    for (unsigned i = 0; i < WM_GROUPS; i++) {
        const char *d = group_difference(&want->groups[i], &found->groups[i]);
        if (d == NULL) continue;
        (void)snprintf(why, size,
                       "group %u: %s (want %" PRIu64 "..%" PRIu64 " floor %" PRIu64 ", found %" PRIu64 "..%" PRIu64 ")",
                       i, d, want->groups[i].base + 1, group_last(&want->groups[i]), want->groups[i].floor,
                       found->groups[i].base + 1, group_last(&found->groups[i]));
        return false;
    }
    return true;
}

/* --- data --- */
static void fill_data(uint8_t *p, uint32_t size, uint64_t uid)
{
    uint64_t x = uid * 0x9e3779b97f4a7c15ull;
    for (uint32_t i = 0; i < size; i++)
        p[i] = (uint8_t)((x >> (i % 8 * 8)) ^ (i >> 3) ^ (i >> 11) * 37u); /* no period: blocks differ */
    ASSERT(size >= 8);
    le_set_u64(p, uid);
}

static bool data_right(struct slice s)
{
    if (s.size < 8) return false;
    uint8_t *want = mem_alloc(s.size);
    fill_data(want, (uint32_t)s.size, le_u64(s.data));
    bool same = memcmp(want, s.data, s.size) == 0;
    mem_free(want);
    return same;
}

/* --- replay into a state --- */
struct collector {
    struct wm_state state;
    const char *wrong;
};

static struct wm_group *collected(struct collector *c, uint64_t id)
{
    for (unsigned i = 0; i < WM_GROUPS; i++)
        if (wm_group_id(i) == id) return &c->state.groups[i];
    c->wrong = "a group that never was";
    return &c->state.groups[0];
}

static void on_group(void *ctx, uint64_t group, struct slice state)
{
    struct collector *c = ctx;
    struct wm_group *g = collected(c, group);
    if (!data_right(state)) {
        c->wrong = "a group record has the wrong bytes";
        return;
    }
    g->has_record = true;
    g->record_uid = le_u64(state.data);
    g->record_size = (uint32_t)state.size;
}

static void on_group_dropped(void *ctx, uint64_t group)
{
    group_drop(collected(ctx, group));
}

static void on_hard_state(void *ctx, uint64_t group, const struct wal_hard_state *hs)
{
    struct wm_group *g = collected(ctx, group);
    g->has_hard_state = true;
    g->hard_state = *hs;
}

static void on_entry(void *ctx, uint64_t group, const struct wal_entry *e)
{
    struct collector *c = ctx;
    if (!data_right(e->data)) {
        c->wrong = "an entry has the wrong bytes";
        return;
    }
    struct wm_entry m = {.index = e->index,
                         .term = e->term,
                         .type = e->type,
                         .uid = le_u64(e->data.data),
                         .size = (uint32_t)e->data.size};
    if (!group_append(collected(c, group), &m)) c->wrong = "a gap between entries";
}

static void on_reset(void *ctx, uint64_t group, uint64_t index, uint64_t term)
{
    (void)term;
    group_reset(collected(ctx, group), index);
}

/* Opens on `env`; *out is NULL unless the result is WM_OK. */
static enum wm_result open_and_match(struct wm *m, struct env *env, struct wal **out, struct wm_state **matched)
{
    struct collector c = {.wrong = NULL};
    struct wal_replay replay = {.group = on_group,
                                .group_dropped = on_group_dropped,
                                .hard_state = on_hard_state,
                                .entry = on_entry,
                                .reset = on_reset,
                                .ctx = &c};
    m->wrong[0] = '\0';
    m->err.text[0] = '\0';
    *out = NULL;
    m->status = wal_open(env, &m->options, &replay, out, &m->err);
    enum wm_result result = WM_OK;
    char why_sent[120] = "";
    *matched = &m->acked;
    if (m->status != STATUS_OK) {
        ASSERT(*out == NULL);
        result = WM_REFUSED;
    } else if (c.wrong != NULL) {
        (void)snprintf(m->wrong, sizeof m->wrong, "%s", c.wrong);
        result = WM_WRONG;
    } else if (!state_matches(&m->acked, &c.state, m->wrong, sizeof m->wrong)) {
        *matched = &m->sent;
        if (!m->in_flight || !state_matches(&m->sent, &c.state, why_sent, sizeof why_sent)) result = WM_WRONG;
    }
    state_free(&c.state);
    return result;
}

/* --- the world --- */
void wm_init(struct wm *m, uint64_t seed)
{
    memset(m, 0, sizeof *m);
    prng_init(&m->prng, seed);
    m->disk = memdisk_new(prng_next(&m->prng));
    testenv_init(&m->env, memdisk_disk(m->disk), prng_next(&m->prng));
    m->options =
        (struct wal_options){.dir = "wal", .segment_bytes = 65536, .spare_segments = 1, .skip_self_test = true};
    m->next_uid = 1;
    m->data_max = 6000;
}

void wm_free(struct wm *m)
{
    if (m->wal != NULL) wm_crash(m, MEMDISK_KEEP);
    state_free(&m->acked);
    state_free(&m->sent);
    state_free(&m->now);
    testenv_cancel(&m->env);
    testenv_free(&m->env);
    memdisk_free(m->disk);
}

enum wm_result wm_open(struct wm *m)
{
    ASSERT(m->wal == NULL);
    m->env.env.dead = false;
    struct wm_state *matched;
    enum wm_result r = open_and_match(m, &m->env.env, &m->wal, &matched);
    if (r != WM_OK) {
        testenv_cancel(&m->env);
        if (m->wal != NULL) {
            wal_close(m->wal);
            m->wal = NULL;
        }
        return r;
    }
    if (matched == &m->sent) state_copy(&m->acked, &m->sent);
    state_copy(&m->now, &m->acked);
    m->in_flight = false;
    return WM_OK;
}

enum wm_result wm_compare_on(struct wm *m, struct memdisk *disk)
{
    struct testenv env;
    testenv_init(&env, memdisk_disk(disk), 1);
    struct wal *w;
    struct wm_state *matched;
    ASSERT(!m->in_flight);
    enum wm_result r = open_and_match(m, &env.env, &w, &matched);
    env.env.dead = true;
    testenv_cancel(&env);
    if (w != NULL) wal_close(w);
    testenv_free(&env);
    return r;
}

void wm_close(struct wm *m)
{
    while (wal_busy(m->wal)) {
        testenv_run(&m->env);
        wal_step(m->wal);
    }
    wal_close(m->wal);
    m->wal = NULL;
    testenv_run(&m->env);
    ASSERT(!m->in_flight);
}

void wm_crash(struct wm *m, enum memdisk_crash how)
{
    m->env.env.dead = true;
    testenv_cancel(&m->env);
    if (m->wal != NULL) {
        wal_step(m->wal);
        /* An inline write whose completion the loop never delivered. */
        ASSERT(!wal_busy(m->wal));
        wal_close(m->wal);
        m->wal = NULL;
    }
    testenv_cancel(&m->env);
    memdisk_crash(m->disk, how);
}

/* --- records --- */
uint64_t wm_last(const struct wm *m, unsigned g)
{
    return group_last(&m->now.groups[g]);
}

void wm_put_entry(struct wm *m, unsigned g, uint64_t index, uint32_t size)
{
    struct wm_entry e = {.index = index,
                         .term = 1 + prng_below(&m->prng, 300),
                         .uid = m->next_uid++,
                         .size = size,
                         .type = (uint8_t)prng_next(&m->prng)};
    uint8_t *data = mem_alloc(size);
    fill_data(data, size, e.uid);
    bool fits = group_append(&m->now.groups[g], &e);
    ASSERT(fits);
    wal_put_entry(m->wal, wm_group_id(g),
                  &(struct wal_entry){.index = index, .term = e.term, .type = e.type, .data = slice_make(data, size)});
    mem_free(data);
}

void wm_put_group(struct wm *m, unsigned g, uint32_t size)
{
    struct wm_group *x = &m->now.groups[g];
    x->has_record = true;
    x->record_uid = m->next_uid++;
    x->record_size = size;
    uint8_t *data = mem_alloc(size);
    fill_data(data, size, x->record_uid);
    wal_put_group(m->wal, wm_group_id(g), slice_make(data, size));
    mem_free(data);
}

void wm_put_hard_state(struct wm *m, unsigned g)
{
    struct wm_group *x = &m->now.groups[g];
    x->has_hard_state = true;
    x->hard_state = (struct wal_hard_state){
        .term = m->next_uid++, .vote = prng_below(&m->prng, 4), .commit = prng_below(&m->prng, 1u << 20)};
    wal_put_hard_state(m->wal, wm_group_id(g), &x->hard_state);
}

void wm_put_reset(struct wm *m, unsigned g, uint64_t index)
{
    group_reset(&m->now.groups[g], index);
    wal_put_reset(m->wal, wm_group_id(g), index, 7);
}

void wm_put_dropped(struct wm *m, unsigned g)
{
    group_drop(&m->now.groups[g]);
    wal_put_group_dropped(m->wal, wm_group_id(g));
}

void wm_put(struct wm *m)
{
    unsigned g = (unsigned)prng_below(&m->prng, WM_GROUPS);
    const struct wm_group *x = &m->now.groups[g];
    uint64_t last = group_last(x);
    uint64_t dice = prng_below(&m->prng, 100);
    uint32_t size = 8 + (uint32_t)prng_below(&m->prng, prng_chance(&m->prng, 1, 4) ? m->data_max : 100);
    if (prng_chance(&m->prng, 1, 400)) size += 70000; /* larger than a segment */
    if (dice < 70) {
        wm_put_entry(m, g, last + 1, size);
    } else if (dice < 76) { /* void the end of the log; what is at or below the floor is applied and stays */
        uint64_t low = (x->floor > x->base ? x->floor : x->base) + 1;
        wm_put_entry(m, g, low <= last ? prng_between(&m->prng, low, last) : last + 1, size);
    } else if (dice < 87) {
        wm_put_hard_state(m, g);
    } else if (dice < 93) {
        wm_put_group(m, g, size < 2000 ? size : 2000);
    } else if (dice < 97) {
        wm_put_reset(m, g, last + 1 + prng_below(&m->prng, 10));
    } else {
        wm_put_dropped(m, g);
    }
}

static void durable(void *ctx)
{
    struct wm *m = ctx;
    ASSERT(m->in_flight);
    ASSERT(!m->env.env.dead);
    state_copy(&m->acked, &m->sent);
    m->in_flight = false;
    m->acked_batches++;
}

void wm_submit(struct wm *m, bool inline_write)
{
    ASSERT(!wal_busy(m->wal));
    state_copy(&m->sent, &m->now);
    m->in_flight = true;
    wal_submit(m->wal, inline_write, durable, m);
    ASSERT(m->in_flight); /* never from inside the call */
}

void wm_set_floor(struct wm *m, unsigned g, uint64_t index)
{
    struct wm_state *states[] = {&m->acked, &m->sent, &m->now};
    uint64_t life = m->acked.groups[g].life;
    if (index > group_last(&m->acked.groups[g])) index = group_last(&m->acked.groups[g]);
    if (m->now.groups[g].life != life) return; /* dropped meanwhile: the owner does not ask for that any more */
    for (size_t i = 0; i < 3; i++) {
        struct wm_group *x = &states[i]->groups[g];
        if (x->life == life && x->floor < index) x->floor = index;
    }
    wal_set_floor(m->wal, wm_group_id(g), index);
}

void wm_drain(struct wm *m)
{
    for (;;) {
        testenv_run(&m->env);
        wal_step(m->wal);
        testenv_run(&m->env);
        if (m->env.env.dead) return;
        if (wal_busy(m->wal)) continue;
        if (wal_pending_bytes(m->wal) == 0) return;
        wm_submit(m, false);
    }
}

void wm_batch(struct wm *m, unsigned puts)
{
    for (unsigned i = 0; i < puts; i++) wm_put(m);
    wm_drain(m);
}
