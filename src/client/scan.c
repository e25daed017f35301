/* A page of a scan over as many ranges as it takes. Each range is asked at most once for its part of a page, so that a page
 * sees each range at one instant, and different ranges at different ones (a snapshot: all at one). A range that says "more" ends the page. */
#include "client/client_int.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>

struct route_range *scan_route(struct request *r)
{
    const struct routes *routes = &r->client->routes;
    return r->scan.reverse ? routes_find_before(routes, r->keyspace, r->scan.end)
                           : routes_find(routes, r->keyspace, r->scan.start);
}

static struct slice max_start(struct slice a, struct slice b)
{
    return slice_cmp(a, b) >= 0 ? a : b;
}

static struct slice min_end(struct slice a, struct slice b) /* empty: no end */
{
    if (a.size == 0 || b.size == 0) return a.size == 0 ? b : a;
    return slice_cmp(a, b) <= 0 ? a : b;
}

/* The part of the span that lies in the range; from its lower end. */
static void scan_cut(struct request *r, const struct range_desc *d)
{
    struct scan_state *s = &r->scan;
    s->sub_start = arena_dup_slice(&r->arena, max_start(s->start, d->start));
    s->sub_end = arena_dup_slice(&r->arena, min_end(s->end, d->end));
    ASSERT(s->sub_end.size == 0 || slice_cmp(s->sub_start, s->sub_end) < 0);
}

void watch_encode(struct request *r, const struct route_range *range, struct buf *params, const struct routed *to)
{
    scan_cut(r, &range->desc);
    struct watch_request m = {.to = *to,
                              .keyspace = r->keyspace,
                              .start = r->scan.sub_start,
                              .end = r->scan.sub_end,
                              .after = r->watch.after,
                              .until = r->watch.until,
                              .poll = r->watch.poll,
                              .limit_bytes = r->watch.limit_bytes,
                              .wait_ms = r->watch.wait_ms};
    pack_watch_request(params, &m);
}

void scan_encode(struct request *r, const struct route_range *range, struct buf *params, const struct routed *to)
{
    struct scan_state *s = &r->scan;
    const struct range_desc *d = &range->desc;
    scan_cut(r, d);
    s->sub_last = s->reverse ? slice_cmp(d->start, s->start) <= 0
                             : d->end.size == 0 || (s->end.size > 0 && slice_cmp(d->end, s->end) >= 0);
    ASSERT(s->row_count < s->limit_rows && s->row_bytes < s->limit_bytes);
    struct scan_request m = {.to = *to,
                             .keyspace = r->keyspace,
                             .start = s->sub_start,
                             .end = s->sub_end,
                             .limit_rows = s->limit_rows - (uint32_t)s->row_count,
                             .limit_bytes = s->limit_bytes - (uint32_t)s->row_bytes,
                             .reverse = s->reverse,
                             .keys_only = s->keys_only,
                             .how = r->how};
    pack_scan_request(params, &m);
}

/* Rows outside of what was asked, too many, or out of order: that node must not be believed. */
static bool reply_is_sound(const struct scan_state *s, const struct scan_reply *reply)
{
    if (reply->row_count > s->limit_rows - s->row_count) return false;
    for (size_t i = 0; i < reply->row_count; i++) {
        struct slice key = reply->rows[i].key;
        if (slice_cmp(key, s->sub_start) < 0) return false;
        if (s->sub_end.size > 0 && slice_cmp(key, s->sub_end) >= 0) return false;
        int order = i > 0 ? slice_cmp(reply->rows[i - 1].key, key) : 0;
        if (i > 0 && (s->reverse ? order <= 0 : order >= 0)) return false;
    }
    return true;
}

static void keep_rows(struct request *r, const struct scan_reply *reply)
{
    struct scan_state *s = &r->scan;
    if (s->row_count + reply->row_count > s->row_capacity) {
        s->row_capacity = s->row_count + reply->row_count + s->row_capacity;
        s->rows = mem_realloc(s->rows, s->row_capacity * sizeof(*s->rows));
    }
    for (size_t i = 0; i < reply->row_count; i++) {
        const struct scan_row *row = &reply->rows[i];
        struct scan_row *kept = &s->rows[s->row_count++];
        *kept = *row;
        kept->key = arena_dup_slice(&r->arena, row->key);
        kept->value = arena_dup_slice(&r->arena, row->value);
    }
}

/* The oldest of the ranges' marks; a snapshot goes on at the timestamp that the first range took. */
void scan_add_mark(struct request *r, const struct read_mark *mark)
{
    struct scan_state *s = &r->scan;
    if (!s->has_mark) s->mark = *mark;
    s->has_mark = true;
    if (mark->ts < s->mark.ts) s->mark.ts = mark->ts;
    if (mark->others > s->mark.others) s->mark.others = mark->others;
    if (mark->staleness_ms > s->mark.staleness_ms) s->mark.staleness_ms = mark->staleness_ms;
    if (r->how.mode == READ_SNAPSHOT && r->how.ts == 0) r->how.ts = mark->ts;
}

enum step scan_take(struct request *r, struct slice payload, uint64_t now_ns)
{
    struct scan_state *s = &r->scan;
    struct scan_reply reply;
    if (unpack_scan_reply(payload, &r->arena, &reply) != STATUS_OK || !reply_is_sound(s, &reply)) {
        return request_finish(r, STATUS_CORRUPT, "the answer of %s does not fit what was asked",
                              rpc_peer_address(r->peer->rpc));
    }
    if (reply.more && reply.row_count == 0) { /* it got nowhere, and there is no key to go on after */
        (void)snprintf(r->last, sizeof(r->last), "an empty part of a page from %s", rpc_peer_address(r->peer->rpc));
        return request_pause(r, now_ns);
    }
    scan_add_mark(r, &reply.mark);
    for (size_t i = 0; i < reply.row_count; i++) s->row_bytes += reply.rows[i].key.size + reply.rows[i].value.size;
    bool full = reply.more || s->row_count + reply.row_count >= s->limit_rows || s->row_bytes >= s->limit_bytes;
    bool more = reply.more || (full && !s->sub_last);
    if ((full || s->sub_last) && s->row_count == 0) { /* the usual case: one range, nothing to copy */
        r->result.scan = reply;
        r->result.scan.more = more;
        r->result.scan.mark = s->mark;
        return request_finish_well(r);
    }
    keep_rows(r, &reply);
    if (full || s->sub_last) {
        r->result.scan = (struct scan_reply){.rows = s->rows, .row_count = s->row_count, .more = more, .mark = s->mark};
        return request_finish_well(r);
    }
    COVER("client.scan_next_range");
    if (s->reverse)
        s->end = s->sub_start;
    else
        s->start = s->sub_end;
    r->tried = 0;
    r->too_old = false;
    r->timeouts = r->rounds = 0;
    request_set_state(r, REQUEST_ROUTING);
    return STEP_AGAIN;
}
