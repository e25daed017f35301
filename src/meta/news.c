/* What leaders tell of their ranges becomes the map, stretch by stretch: docs/ranges.md, "Where the truth is". News are kept in
 * memory until what they say of a stretch of the key space is whole: every key belongs to the range with the highest version
 * that is known for it, and these ranges lie end to end. Then one command replaces what the map had there. */
#include "base/assert.h"
#include "base/mem.h"
#include "meta/meta_int.h"

struct range_news {
    struct range_desc desc;
    uint8_t *bytes; /* packed: desc's slices point into it */
};

static bool is_newer(const struct range_epoch *a, const struct range_epoch *than)
{
    return a->version > than->version || (a->version == than->version && a->conf_ver > than->conf_ver);
}

static bool ends_after(const struct range_desc *d, struct slice key)
{
    return d->end.size == 0 || slice_cmp(d->end, key) > 0;
}

static bool overlap(const struct range_desc *a, const struct range_desc *b)
{
    return a->keyspace == b->keyspace && ends_after(a, b->start) && ends_after(b, a->start);
}

static void news_free(struct meta *m, uint64_t id)
{
    struct range_news *n = map_remove(&m->news, id);
    if (n == NULL) return;
    mem_free(n->bytes);
    mem_free(n);
}

void news_clear(struct meta *m)
{
    uint64_t id;
    void *value;
    for (size_t it = 0; map_next(&m->news, &it, &id, &value);) {
        mem_free(((struct range_news *)value)->bytes);
        mem_free(value);
    }
    map_free(&m->news);
    map_init(&m->news);
}

/* The first range of the map that ends behind (keyspace, key). */
static size_t first_behind(const struct meta_state *s, uint32_t keyspace, struct slice key)
{
    size_t low = 0, high = s->range_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct range_desc *d = &s->ranges[middle]->desc;
        if (d->keyspace < keyspace || (d->keyspace == keyspace && !ends_after(d, key)))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The map knows better: what it says of some of these keys is of a higher version, or this very thing. */
static bool is_old(const struct meta *m, const struct range_desc *d)
{
    const struct meta_state *s = &m->state;
    const struct meta_range *same = meta_state_range(s, d->id);
    if (same != NULL) return !is_newer(&d->epoch, &same->desc.epoch);
    for (size_t i = first_behind(s, d->keyspace, d->start); i < s->range_count; i++) {
        if (!overlap(&s->ranges[i]->desc, d)) break;
        if (s->ranges[i]->desc.epoch.version >= d->epoch.version) return true;
    }
    return false;
}

void news_take(struct meta *m, const struct range_desc *d)
{
    const struct range_news *known = map_get(&m->news, d->id);
    if (is_old(m, d) || (known != NULL && !is_newer(&d->epoch, &known->desc.epoch))) return;
    news_free(m, d->id);
    struct range_news *n = mem_zalloc(sizeof *n);
    struct buf packed;
    size_t size;
    buf_init(&packed, LIMIT_FRAME_BYTES);
    pack_range_desc(&packed, d);
    n->bytes = buf_take(&packed, &size);
    struct arena arena;
    arena_init(&arena, 64);
    if (unpack_range_desc(slice_make(n->bytes, size), &arena, &n->desc) != STATUS_OK) BUG("packed a moment ago");
    arena_free(&arena);
    map_put(&m->news, d->id, n);
}

bool news_wanted(const struct meta *m, const struct range_report *r)
{
    const struct meta_range *known = meta_state_range(&m->state, r->range_id);
    const struct range_news *told = map_get(&m->news, r->range_id);
    if (known != NULL && !is_newer(&r->epoch, &known->desc.epoch)) return false;
    return told == NULL || is_newer(&r->epoch, &told->desc.epoch);
}

/* --- what is whole --- */

struct stretch { /* all that is known of some keys, old and new */
    uint32_t keyspace;
    struct slice start, end;
    const struct range_desc **candidates;
    bool *is_news;
    size_t count;
};

static bool widen(struct stretch *s, const struct range_desc *d)
{
    struct range_desc now = {.keyspace = s->keyspace, .start = s->start, .end = s->end};
    bool wider = false;
    if (!overlap(&now, d)) return false;
    if (slice_cmp(d->start, s->start) < 0) {
        s->start = d->start;
        wider = true;
    }
    if (s->end.size > 0 && (d->end.size == 0 || slice_cmp(d->end, s->end) > 0)) {
        s->end = d->end;
        wider = true;
    }
    return wider;
}

static bool widen_by_all(struct meta *m, struct stretch *s)
{
    uint64_t id;
    void *value;
    bool wider = false;
    for (size_t i = first_behind(&m->state, s->keyspace, s->start); i < m->state.range_count; i++) {
        const struct range_desc *d = &m->state.ranges[i]->desc;
        if (d->keyspace != s->keyspace || (s->end.size > 0 && slice_cmp(d->start, s->end) >= 0)) break;
        if (widen(s, d)) wider = true;
    }
    for (size_t it = 0; map_next(&m->news, &it, &id, &value);) {
        if (widen(s, &((const struct range_news *)value)->desc)) wider = true;
    }
    return wider;
}

static void gather(struct meta *m, struct stretch *s)
{
    struct range_desc all = {.keyspace = s->keyspace, .start = s->start, .end = s->end};
    uint64_t id;
    void *value;
    size_t room = m->state.range_count + m->news.count + 1;
    s->candidates = arena_alloc(&m->arena, room * sizeof *s->candidates);
    s->is_news = arena_zalloc(&m->arena, room * sizeof *s->is_news);
    for (size_t i = first_behind(&m->state, s->keyspace, s->start); i < m->state.range_count; i++) {
        const struct range_desc *d = &m->state.ranges[i]->desc;
        if (!overlap(&all, d)) break;
        if (map_get(&m->news, d->id) == NULL) s->candidates[s->count++] = d;
    }
    for (size_t it = 0; map_next(&m->news, &it, &id, &value);) {
        const struct range_desc *d = &((const struct range_news *)value)->desc;
        if (!overlap(&all, d)) continue;
        s->is_news[s->count] = true;
        s->candidates[s->count++] = d;
    }
}

/* The range that begins at the key and has, for all of its keys, the highest version of all that is known. */
static const struct range_desc *next_of(const struct stretch *s, struct slice key, bool *is_news)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct range_desc *d = s->candidates[i];
        bool best = slice_eq(d->start, key);
        for (size_t k = 0; k < s->count && best; k++) {
            const struct range_desc *other = s->candidates[k];
            if (k != i && overlap(d, other) && other->epoch.version >= d->epoch.version) best = false;
        }
        *is_news = s->is_news[i];
        if (best) return d;
    }
    return NULL;
}

static bool is_in(const struct range_desc *const *list, size_t count, uint64_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i]->id == id) return true;
    }
    return false;
}

/* Fills the command. False: something is missing yet, or nothing is new. */
static bool make_command(struct meta *m, const struct stretch *s, struct meta_command *c)
{
    const struct range_desc **chain = arena_alloc(&m->arena, (s->count + 1) * sizeof *chain);
    size_t length = 0;
    struct slice at = s->start;
    c->news.ranges = arena_alloc(&m->arena, (s->count + 1) * sizeof *c->news.ranges);
    c->gone = arena_alloc(&m->arena, (m->state.range_count + 1) * sizeof *c->gone);
    for (;;) {
        bool is_news;
        const struct range_desc *d = length < s->count ? next_of(s, at, &is_news) : NULL;
        if (d == NULL) return false;
        chain[length++] = d;
        if (is_news) c->news.ranges[c->news.range_count++] = *d;
        at = d->end;
        if (at.size == 0 || (s->end.size > 0 && slice_cmp(at, s->end) >= 0)) break;
    }
    struct range_desc all = {.keyspace = s->keyspace, .start = s->start, .end = s->end};
    for (size_t i = first_behind(&m->state, s->keyspace, s->start); i < m->state.range_count; i++) {
        const struct range_desc *d = &m->state.ranges[i]->desc;
        if (!overlap(&all, d)) break;
        if (!is_in(chain, length, d->id)) c->gone[c->gone_count++] = d->id;
    }
    return c->news.range_count > 0;
}

/* --- proposing it --- */

static void news_applied(struct proposal *p, enum status s, bool unknown, struct slice answer)
{
    (void)s;
    (void)unknown;
    (void)answer;
    struct meta *m = LIST_ENTRY(p, struct meta, news_proposal);
    m->news_busy = false; /* what is in the map now is no news any more: news_step drops it */
    m->env->ops->wake(m->env);
}

static void propose(struct meta *m, const struct meta_command *c)
{
    COVER("meta.news");
    buf_clear(&m->scratch);
    meta_command_encode(c, &m->scratch);
    m->news_proposal.done = news_applied;
    m->news_proposal.deadline_ns = DEADLINE_NONE;
    m->news_busy =
        replica_propose(host_replica(m->host, META_GROUP), buf_slice(&m->scratch), &m->news_proposal) == STATUS_OK;
}

static void drop_old(struct meta *m)
{
    uint64_t id;
    void *value;
    bool dropped;
    do { /* dropping one makes the walk begin anew */
        dropped = false;
        for (size_t it = 0; !dropped && map_next(&m->news, &it, &id, &value);) {
            if (!is_old(m, &((const struct range_news *)value)->desc)) continue;
            news_free(m, id);
            dropped = true;
        }
    } while (dropped);
}

void news_step(struct meta *m)
{
    uint64_t id;
    void *value;
    if (!m->leads || !m->loaded || m->stopping || m->news_busy || m->news.count == 0) return;
    drop_old(m);
    for (size_t it = 0; !m->news_busy && map_next(&m->news, &it, &id, &value);) {
        const struct range_desc *d = &((const struct range_news *)value)->desc;
        struct stretch s = {.keyspace = d->keyspace, .start = d->start, .end = d->end};
        struct meta_command c = {.kind = META_CMD_RANGES};
        arena_reset(&m->arena);
        while (widen_by_all(m, &s)) {
        }
        gather(m, &s);
        if (make_command(m, &s, &c)) propose(m, &c);
    }
}
