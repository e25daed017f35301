/* Scans: one page, as of one version of the range, built over as many passes as it takes (blocks to load, or simply long).
 *
 *   SCANNING --- block missing ---> LOADING --- loaded ---> SCANNING ...--- page full, or end ---> replied
 *       |  ^                                                                (woken by the load)
 *       v  | next pass
 *     YIELDED (more rows looked at than one pass may, deleted and shadowed ones included)
 *
 * The page reads at the newest version that was there when it began. Before the first write since the replica was opened
 * that is not known: the page then reads the newest rows, and begins again should anything be applied meanwhile. It also
 * begins again when the range has been written since and the store may have dropped the versions that the page reads: the
 * safepoint is far behind, but timestamps leap when a clock does. */
#include "base/assert.h"
#include "base/mutant.h"
#include "node/load.h"
#include "node/locks.h"
#include "node/read.h"

enum {
    SCAN_ROWS_PER_PASS = 8192,
    SCAN_ROWS_BESIDE_OTHERS = 2048, /* who waits for a row waits for no more than those */
    SCAN_BYTES_PER_ROW = 32,        /* a longer one counts for more: 256 KiB in a pass */
    IDS_BEFORE_SKIP = 16            /* rows of ids beside one key: more of them are passed over by a search */
};

static void scan_reset(struct node_request *q)
{
    struct replica *r = host_replica(q->node->host, q->group);
    buf_clear(&q->page);
    (void)pack_scan_begin(&q->page);
    q->row_count = q->row_bytes = 0;
    q->resuming = false;
    q->rows_life = r == NULL ? 0 : replica_rows_life(r);
    q->scan_ts = q->read_ts;
    bool latest = q->read_ts == LSM_TS_MAX && !MUTANT(scan_of_many_moments);
    if (latest && r != NULL && replica_newest_version(r) != 0) q->scan_ts = replica_newest_version(r);
    if (r != NULL) q->scan_mark = read_mark(q, r);
    if (r != NULL) q->scan_applied = replica_applied(r);
}

void scan_release(struct node_request *q)
{
    if (!q->is_scan) return;
    list_remove(&q->link);
    buf_free(&q->page);
    buf_free(&q->resume);
    buf_free(&q->user_key);
}

static void scan_reply(struct node_request *q, bool more)
{
    q->scan_mark.others = load_others(q->node, env_mono_ns(q->node->env));
    pack_scan_end(&q->page, 0, q->row_count, more, &q->scan_mark);
    load_count_read(q, q->scan.start);
    if (q->page.overflow) {
        node_refuse(q, STATUS_TOO_LARGE, false, "the page is larger than a frame: ask for fewer rows");
    } else {
        node_reply(q, buf_slice(&q->page));
    }
}

/* Adds the row unless it is none of the user's. STATUS_OK, or STATUS_CORRUPT. */
static enum status scan_take(struct node_request *q, const struct lsm_row *row)
{
    uint32_t keyspace;
    enum row_type type;
    struct row decoded;
    char text[I128_TEXT_MAX];
    buf_clear(&q->user_key);
    enum status s = key_decode(row->key, &keyspace, &q->user_key, &type);
    if (s != STATUS_OK || type != ROW_DATA) return s;
    s = row_decode(row->value, &decoded);
    if (s != STATUS_OK || !read_sees(q, &q->scan_mark, &decoded, row->ts)) return s;
    const struct scan_row out = {.key = buf_slice(&q->user_key),
                                 .value = q->scan.keys_only ? SLICE_EMPTY : row_value(&decoded, text),
                                 .version = row->ts,
                                 .is_counter = decoded.format == ROW_COUNTER,
                                 .ttl_ms = decoded.ttl_ms};
    pack_scan_row(&q->page, &out);
    q->row_count++;
    size_t bytes = out.key.size + out.value.size + 16;
    uint32_t share = (uint32_t)(bytes / SCAN_BYTES_PER_ROW);
    q->row_bytes += bytes;
    q->node->scan_left -= share < q->node->scan_left ? share : q->node->scan_left;
    return STATUS_OK;
}

static void scan_go_on(struct node_request *q);

static void scan_loaded(void *ctx, enum status s)
{
    struct node_request *q = ctx;
    if (s == STATUS_OK) {
        scan_go_on(q);
    } else {
        node_refuse(q, s == STATUS_CLOSED ? STATUS_CLOSED : STATUS_NOT_LEADER, false,
                    "a block of the span cannot be read here: ask another replica");
    }
}

static void scan_bounds(const struct node_request *q, struct buf *start, struct buf *end)
{
    buf_init(start, LSM_KEY_MAX);
    buf_init(end, LSM_KEY_MAX);
    key_encode_bound(start, q->scan.keyspace, q->scan.start);
    if (q->scan.end.size > 0) {
        key_encode_bound(end, q->scan.keyspace, q->scan.end);
    } else {
        key_encode_bound(end, q->scan.keyspace + 1, SLICE_EMPTY);
    }
}

/* Nothing undecided may lie below what the page reads at. A page of the newest rows waits first for the locks that are there: what
 * they bring may be above the version that it would have read at, and may have been acknowledged. Then it chooses its version, and
 * waits for what has come below that since; no more can come. */
static bool scan_passes_locks(struct node_request *q)
{
    struct buf start, end;
    bool free = true;
    scan_bounds(q, &start, &end);
    if (q->locks == SCAN_MEETS_LOCKS && q->read_ts == LSM_TS_MAX) {
        free = locks_let_scan(q, buf_slice(&start), buf_slice(&end), LSM_TS_MAX, scan_go_on);
        if (free) scan_reset(q);
        if (free) q->locks = SCAN_HAS_TS;
    }
    if (free && q->locks != SCAN_FREE) {
        free = locks_let_scan(q, buf_slice(&start), buf_slice(&end), q->scan_ts, scan_go_on);
        if (free) q->locks = SCAN_FREE;
    }
    buf_free(&start);
    buf_free(&end);
    return free;
}

/* An iterator over what is left of the span: from where the last one stood. */
static struct lsm_iter *scan_iter(struct node_request *q, struct lsm *store)
{
    struct buf start, end;
    scan_bounds(q, &start, &end);
    struct slice from = buf_slice(&start), to = buf_slice(&end);
    if (q->resuming && q->scan.reverse) to = buf_slice(&q->resume);
    if (q->resuming && !q->scan.reverse) from = buf_slice(&q->resume);
    struct lsm_iter *it = lsm_iter_new(store, from, to, q->scan_ts, q->scan.reverse);
    buf_free(&start);
    buf_free(&end);
    return it;
}

static void scan_keep_place(struct node_request *q, struct slice key)
{
    buf_clear(&q->resume);
    buf_append_slice(&q->resume, key);
    q->resuming = true;
}

/* A key that many transactions are anchored at has a row for each of their ids, for days: another iterator, beside them. */
static struct lsm_iter *scan_skip_ids(struct node_request *q, struct lsm *store, struct lsm_iter *it, struct slice key)
{
    COVER("scan.ids_skipped");
    buf_clear(&q->resume);
    key_encode_beside_ids(&q->resume, key, q->scan.reverse);
    q->resuming = true;
    lsm_iter_free(it);
    it = scan_iter(q, store);
    lsm_iter_allow(it, &q->node->scan_left);
    return it;
}

/* The rows that the page has taken may not go together with those that it has not. */
static bool scan_is_void(const struct node_request *q, const struct replica *r)
{
    if (q->read_ts != LSM_TS_MAX) return false; /* as of what is kept: read_may_serve */
    if (MUTANT(scan_of_many_moments)) return false;
    if (q->scan_ts == LSM_TS_MAX) return replica_applied(r) != q->scan_applied;
    return replica_last_ts(r) != q->scan_ts && host_safepoint(q->node->host) > q->scan_ts;
}

static void scan_go_on(struct node_request *q)
{
    struct node *n = q->node;
    struct replica *r = host_replica(n->host, q->group);
    if (r == NULL) {
        node_refuse(q, STATUS_RANGE_NOT_FOUND, false, "the replica has left this node");
        return;
    }
    if (env_mono_ns(n->env) >= q->deadline_ns) {
        node_refuse(q, STATUS_TIMEOUT, false, "the deadline passed");
        return;
    }
    if (!node_epoch_holds(r, &q->scan.to) && !MUTANT(scan_from_former_range)) {
        node_refuse(q, STATUS_EPOCH_MISMATCH, false, "the range has changed");
        return;
    }
    if (replica_rows_life(r) == 0 || replica_rows_life(r) != q->rows_life) {
        node_refuse(q, STATUS_NOT_LEADER, false, "a snapshot has replaced the rows here: ask the leader");
        return;
    }
    if (!read_may_serve(q)) return;
    if (scan_is_void(q, r)) {
        COVER("scan.restarted");
        scan_reset(q);
        q->locks = SCAN_HAS_TS;
    }
    if (q->locks != SCAN_FREE && !scan_passes_locks(q)) return;
    struct lsm *store = host_store(n->host);
    struct lsm_iter *it = scan_iter(q, store);
    struct lsm_row row;
    struct lsm_miss miss;
    enum status s = STATUS_OK;
    bool full = false, taking = false;
    unsigned ids = 0;
    lsm_iter_allow(it, &n->scan_left);
    while (!full && n->scan_left > 0) {
        s = lsm_iter_next(it, &row, &miss);
        if (s != STATUS_OK) break;
        ids = key_is_idempotency(row.key) ? ids + 1 : 0;
        if (ids == IDS_BEFORE_SKIP) it = scan_skip_ids(q, store, it, row.key);
        if (ids > 0) continue;
        s = scan_take(q, &row);
        taking = s != STATUS_OK;
        if (taking || q->wants_timestamp) break;
        full = q->row_count >= q->scan.limit_rows || q->row_bytes >= q->scan.limit_bytes;
    }
    scan_keep_place(q, lsm_iter_position(it));
    lsm_iter_free(it);
    if (q->wants_timestamp) {
        q->locks = SCAN_HAS_TS; /* of its own, from now on */
        read_at_timestamp(q);
    } else if (s == STATUS_MISS) {
        lsm_load(store, &miss, scan_loaded, q);
    } else if (s == STATUS_END || full) {
        if (MUTANT(scan_behind_lease) || read_stands(q, r)) scan_reply(q, s != STATUS_END);
    } else if (s == STATUS_OK || s == STATUS_RETRY) {
        COVER("scan.yielded");
        list_push_back(&n->scans_yielded, &q->link);
        n->env->ops->wake(n->env);
    } else if (taking) {
        node_refuse(q, STATUS_CORRUPT, false, "a stored row does not make sense");
    } else {
        node_refuse(q, STATUS_NOT_LEADER, false, "a table is damaged here, and fetched again: ask another replica");
    }
}

static void scan_begin(struct node_request *q)
{
    if (!q->is_scan) { /* else it begins anew */
        buf_init(&q->page, LIMIT_FRAME_BYTES - 65536);
        buf_init(&q->resume, LSM_KEY_MAX + 1);
        buf_init(&q->user_key, LSM_KEY_MAX);
    }
    q->is_scan = true;
    if (q->scan.limit_rows == 0 || q->scan.limit_rows > LIMIT_SCAN_ROWS) q->scan.limit_rows = LIMIT_SCAN_ROWS;
    if (q->scan.limit_bytes == 0 || q->scan.limit_bytes > LIMIT_SCAN_BYTES) q->scan.limit_bytes = LIMIT_SCAN_BYTES;
    scan_reset(q);
    list_push_back(&q->node->scans_yielded, &q->link);
    q->node->env->ops->wake(q->node->env);
}

void node_on_scan(struct node *n, struct rpc_request *req)
{
    struct node_request *q = node_request_new(n, req);
    arena_reset(&n->arena);
    if (unpack_scan_request(req->params, &n->arena, &q->scan) != STATUS_OK) {
        node_refuse(q, STATUS_INVALID, false, "not a scan request");
        return;
    }
    const struct read_how *how = &q->scan.how;
    struct replica *r = node_request_route(q, &q->scan.to, how->any_replica);
    if (r == NULL) return;
    const struct range_desc *d = replica_desc(r);
    bool inside = d->keyspace == q->scan.keyspace && slice_cmp(q->scan.start, d->start) >= 0 &&
                  (d->end.size == 0 || (q->scan.end.size > 0 && slice_cmp(q->scan.end, d->end) <= 0));
    if (!inside) {
        node_refuse(q, STATUS_EPOCH_MISMATCH, false, "the span is not within this range");
        return;
    }
    q->buckets = UINT64_MAX;
    read_begin(q, r, how, scan_begin);
}

/* All scans of a pass share one allowance of rows, small while others are served; who gets none waits for the next pass, first. */
void scans_pass(struct node *n, uint64_t now_ns)
{
    n->scan_left = load_others(n, now_ns) > 0 ? SCAN_ROWS_BESIDE_OTHERS : SCAN_ROWS_PER_PASS;
    struct list round;
    list_init(&round);
    struct list *it;
    while ((it = list_pop_front(&n->scans_yielded)) != NULL) list_push_back(&round, it);
    while (n->scan_left > 0 && (it = list_pop_front(&round)) != NULL)
        scan_go_on(LIST_ENTRY(it, struct node_request, link));
    while (!list_empty(&round)) {
        it = round.prev;
        list_remove(it);
        list_push_front(&n->scans_yielded, it);
    }
    if (!list_empty(&n->scans_yielded)) n->env->ops->wake(n->env);
}
