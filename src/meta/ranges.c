/* News of ranges become rows: the leader has put them together (news.c), here they are held against what the map says. */
#include "base/assert.h"
#include "meta/machine_int.h"

#include <stdlib.h>

static bool read_range(struct eval *e, uint64_t id, struct range_desc *out)
{
    struct slice value;
    if (!eval_read(e, eval_key_id(e, "r/", id), &value)) return false;
    if (unpack_range_desc(value, e->arena, out) != STATUS_OK) BUG("a range row of the metadata is damaged");
    return true;
}

static int by_place(const void *a, const void *b)
{
    const struct range_desc *x = a, *y = b;
    if (x->keyspace != y->keyspace) return x->keyspace < y->keyspace ? -1 : 1;
    return slice_cmp(x->start, y->start);
}

/* They lie end to end, from one key to another. */
static bool is_stretch(struct range_desc *d, size_t count)
{
    qsort(d, count, sizeof *d, by_place);
    for (size_t i = 0; i + 1 < count; i++) {
        if (d[i].keyspace != d[i + 1].keyspace || d[i].end.size == 0 || !slice_eq(d[i].end, d[i + 1].start))
            return false;
    }
    return count > 0;
}

/* What is there now of the ranges that the news replace. False: the news are not what they were: somebody was quicker. */
static bool read_replaced(struct eval *e, const struct meta_command *c, struct range_desc *old, size_t *count)
{
    uint64_t newest = 0;
    *count = 0;
    for (size_t i = 0; i < c->news.range_count; i++) {
        const struct range_desc *d = &c->news.ranges[i];
        struct range_desc *was = &old[*count];
        if (d->epoch.version > newest) newest = d->epoch.version;
        if (!read_range(e, d->id, was)) continue;
        bool newer = d->epoch.version > was->epoch.version ||
                     (d->epoch.version == was->epoch.version && d->epoch.conf_ver > was->epoch.conf_ver);
        if (!newer) return false;
        ++*count;
    }
    for (size_t i = 0; i < c->gone_count; i++) {
        if (!read_range(e, c->gone[i], &old[*count]) || old[*count].epoch.version >= newest) return false;
        ++*count;
    }
    return e->failed == STATUS_OK;
}

/* The map tiles the key space before and after: the same stretch, made of other ranges. */
void eval_ranges(struct eval *e, struct meta_command *c)
{
    size_t count, n = c->news.range_count;
    struct range_desc *old = arena_alloc(e->arena, (n + c->gone_count + 1) * sizeof *old);
    bool good = read_replaced(e, c, old, &count) && is_stretch(c->news.ranges, n) && is_stretch(old, count);
    good = good && old[0].keyspace == c->news.ranges[0].keyspace && slice_eq(old[0].start, c->news.ranges[0].start) &&
           slice_eq(old[count - 1].end, c->news.ranges[n - 1].end);
    if (!good) {
        COVER("meta.stale_news");
        if (e->failed == STATUS_OK) eval_answer(e, STATUS_RETRY, "the map has changed meanwhile", SLICE_EMPTY);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct buf b;
        buf_init(&b, 64 * 1024);
        pack_range_desc(&b, &c->news.ranges[i]);
        eval_write(e, eval_key_id(e, "r/", c->news.ranges[i].id), &b);
        buf_free(&b);
    }
    for (size_t i = 0; i < c->gone_count; i++) eval_delete(e, eval_key_id(e, "r/", c->gone[i]));
    eval_raise_map_version(e);
    eval_answer(e, STATUS_OK, "", SLICE_EMPTY);
}
