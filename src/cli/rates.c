#include "cli/rates.h"

#include <stdlib.h>

#include "base/assert.h"

struct range_count *range_counts(const struct meta_map_reply *map, struct arena *arena)
{
    struct range_count *counts = arena_alloc(arena, (map->range_count + 1) * sizeof *counts);
    for (size_t i = 0; i < map->range_count; i++)
        counts[i] = (struct range_count){.id = map->ranges[i].id,
                                         .leader = map->leaders[i],
                                         .writes = map->reports[i].writes,
                                         .reads = map->reports[i].reads};
    return counts;
}

static int busier_first(const void *x, const void *y)
{
    const struct range_rate *a = x, *b = y;
    uint64_t of_a = a->writes + a->reads, of_b = b->writes + b->reads;
    if (of_a != of_b) return of_a > of_b ? -1 : 1;
    return (a->at > b->at) - (a->at < b->at);
}

static uint64_t per_second(uint64_t before, uint64_t now, uint64_t ms)
{
    return now > before && ms > 0 ? ((now - before) * 1000 + ms / 2) / ms : 0;
}

struct range_rate *range_rates(const struct range_count *before, size_t before_count, const struct meta_map_reply *map,
                               uint64_t ms, struct arena *arena)
{
    struct range_rate *rates = arena_alloc(arena, (map->range_count + 1) * sizeof *rates);
    size_t at = 0; /* both are in the order of keys: the next one is mostly where the last one was */
    for (size_t i = 0; i < map->range_count; i++) {
        rates[i] = (struct range_rate){.at = i};
        for (size_t tried = 0; tried < before_count; tried++, at++) {
            const struct range_count *b = &before[at % before_count];
            if (b->id != map->ranges[i].id) continue;
            if (b->leader == map->leaders[i]) {
                rates[i].writes = per_second(b->writes, map->reports[i].writes, ms);
                rates[i].reads = per_second(b->reads, map->reports[i].reads, ms);
            }
            break;
        }
    }
    if (map->range_count > 1) qsort(rates, map->range_count, sizeof *rates, busier_first);
    return rates;
}

/* --- a gateway's requests --- */

static bool take(struct slice *line, const char *text)
{
    struct slice want = slice_str(text);
    if (!slice_starts(*line, want)) return false;
    *line = slice_make(line->data + want.size, line->size - want.size);
    return true;
}

static struct slice upto(struct slice *line, char end)
{
    const uint8_t *at = line->size > 0 ? memchr(line->data, end, line->size) : NULL;
    size_t size = at != NULL ? (size_t)(at - line->data) : line->size;
    struct slice head = slice_make(line->data, size);
    size_t skip = at != NULL ? size + 1 : size;
    *line = slice_make(line->data + skip, line->size - skip);
    return head;
}

static double number(struct slice s)
{
    char text[40] = "";
    if (s.size < sizeof text) memcpy(text, s.data, s.size);
    return strtod(text, NULL);
}

static void add_bucket(struct request_table *t, struct slice endpoint, struct slice bound, struct slice count)
{
    struct request_counts *last = t->count > 0 ? &t->endpoints[t->count - 1] : NULL;
    if (last == NULL || !slice_eq(last->endpoint, endpoint)) {
        if (t->count == REQUEST_ENDPOINTS_MAX) return;
        last = &t->endpoints[t->count++];
        *last = (struct request_counts){.endpoint = endpoint};
    }
    if (last->buckets == REQUEST_BUCKETS_MAX) return;
    last->bound_s[last->buckets] = slice_eq(bound, slice_str("+Inf")) ? 0 : number(bound);
    last->within[last->buckets++] = (uint64_t)number(count);
}

void request_table_read(struct request_table *t, struct slice metrics)
{
    t->count = 0;
    while (metrics.size > 0) {
        struct slice line = upto(&metrics, '\n');
        if (!take(&line, "quorate_gateway_request_seconds_bucket{endpoint=\"")) continue;
        struct slice endpoint = upto(&line, '"');
        if (!take(&line, ",le=\"")) continue;
        struct slice bound = upto(&line, '"');
        if (take(&line, "} ")) add_bucket(t, endpoint, bound, line);
    }
}

static uint64_t since(const struct request_counts *now, const struct request_counts *before, size_t bucket)
{
    uint64_t had = before != NULL && bucket < before->buckets ? before->within[bucket] : 0;
    return now->within[bucket] > had ? now->within[bucket] - had : 0;
}

static double quantile_ms(const struct request_counts *now, const struct request_counts *before, double q)
{
    uint64_t all = since(now, before, now->buckets - 1);
    double want = q * (double)all, low_s = 0;
    for (size_t i = 0; i < now->buckets; i++) {
        double below = i > 0 ? (double)since(now, before, i - 1) : 0, upto_here = (double)since(now, before, i);
        if (now->bound_s[i] == 0) break;
        if (upto_here >= want && upto_here > below)
            return 1000 * (low_s + (now->bound_s[i] - low_s) * (want - below) / (upto_here - below));
        low_s = now->bound_s[i];
    }
    return all > 0 ? 1000 * low_s : 0;
}

struct request_rate request_rate_of(const struct request_counts *now, const struct request_table *before, uint64_t ms)
{
    const struct request_counts *was = NULL;
    ASSERT(now->buckets > 0);
    for (size_t i = 0; i < before->count; i++)
        if (slice_eq(before->endpoints[i].endpoint, now->endpoint)) was = &before->endpoints[i];
    /* A gateway that has started anew counts from nothing. */
    if (was != NULL && was->within[was->buckets - 1] > now->within[now->buckets - 1]) was = NULL;
    return (struct request_rate){.per_second = per_second(0, since(now, was, now->buckets - 1), ms),
                                 .p50_ms = quantile_ms(now, was, 0.5),
                                 .p99_ms = quantile_ms(now, was, 0.99)};
}
