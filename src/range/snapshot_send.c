/* Sending a snapshot: a frozen view of the range's rows as of one applied index, read in tasks, sent chunk by chunk over the
 * bulk connection; the next chunk is read when the receiver has stored the last. One chunk is in memory.
 *
 *   PACING --- the host's rate allows it ---> READING --- chunk filled ---> SENDING --- stored, the last ---> end: sent
 *      ^                                         |                           |   ^ |
 *      +------------------------------- stored --|---------------------------+   | +-- refused ---> end: failed
 *                                                |        no answer: the ------->|
 *      end: failed <-- read failed --------------+        connection broke    RESTING: the same chunk again
 *
 * PACING and RESTING are woken by the replica's timer, READING by its task, SENDING by the call's end or its deadline. It fails
 * when nothing has got through for SNAPSHOT_PATIENCE_MS: then Raft is told, probes, and may ask again. One at a time per replica,
 * the others queue. */
#include "base/assert.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "range/host_int.h"
#include "range/snapshot_int.h"

#include <lz4.h>

enum { SNAPSHOTS_SENDING_MAX = 2 }; /* by one host */
enum { LAG_SHIFT_MAX = 3 };
#define SNAPSHOT_CALL_NS (5000 * NS_PER_MS)
#define SNAPSHOT_REST_MS 100u
#define SNAPSHOT_PATIENCE_MS 20000u         /* less than the receiver's */
#define SNAPSHOT_CREDIT_NS (20 * NS_PER_MS) /* of the rate: so much lateness is made up for */
/* One chunk is on its way at a time: to a replica that is far away larger ones go, or the way there and back would be the rate. */
#define SNAPSHOT_NEAR_MS 2u
#define SNAPSHOT_FAR_TIMES 16u

enum send_state { SEND_PACING, SEND_READING, SEND_SENDING, SEND_RESTING };

struct snapshot_send {
    struct task task;
    struct host *host;
    struct replica *replica; /* NULL once aborted */
    struct lsm_view *view;
    struct rpc_peer *peer;
    enum send_state state;
    uint64_t to, id, seq, index, term, call;
    uint64_t bytes_sent, bytes_expected;
    uint64_t safepoint;                     /* of the store when the view was taken */
    uint64_t rest_until_ms, got_through_ms; /* when a chunk was last answered */
    uint64_t asked_ms, quickest_ms;         /* when the chunk left; the quickest answer so far, 0: none */
    size_t chunk_bytes;                     /* of the next one */
    struct raft_config config;              /* as of index */
    struct slice range;                     /* packed state, as of index. Owned */
    struct buf rows;
    struct buf packed;   /* rows as they are sent, when they are compressed */
    bool compresses;     /* the cluster has been finalised at a version that allows it */
    uint32_t stream_crc; /* of all rows up to and including this chunk */
    uint32_t bytes_crc;  /* of this chunk as it is sent */
    bool last;
    enum status read_status;
};

static void send_free(struct snapshot_send *s)
{
    s->host->snapshots_sending--;
    lsm_view_free(s->view);
    mem_free((void *)(uintptr_t)s->range.data);
    buf_free(&s->rows);
    buf_free(&s->packed);
    mem_free(s);
}

static void send_end(struct snapshot_send *s, bool ok)
{
    struct replica *r = s->replica;
    uint64_t to = s->to, index = s->index;
    log_event(s->host->env->log, LOG_INFO, ok ? "snapshot.sent" : "snapshot.failed",
              "range=%llu to=%llu index=%llu chunks=%llu", (unsigned long long)r->desc->id, (unsigned long long)to,
              (unsigned long long)index, (unsigned long long)s->seq);
    r->sending = NULL;
    send_free(s);
    if (ok || !MUTANT(snapshot_failure_forgotten))
        replica_step(r, &(struct raft_event){.type = RAFT_EVENT_SNAPSHOT_SENT, .to = to, .index = index, .ok = ok});
    /* What was written meanwhile has outgrown the log: the next one is given more of it. */
    bool outrun = ok && raft_first_index(r->raft) > index + 1;
    if (outrun) COVER("snapshot.outrun");
    if (!outrun && ok) r->lag_shift = 0;
    if (outrun && r->lag_shift < LAG_SHIFT_MAX) r->lag_shift++;
    snapshot_send_next(r);
}

static void send_row(struct snapshot_send *s, const struct lsm_write *w)
{
    bool is_id = w->key.size > 17 && w->key.data[w->key.size - 17] == ROW_IDEMPOTENCY;
    if (is_id && MUTANT(snapshot_without_ids)) return;
    snapshot_row_append(
        &s->rows,
        &(struct snapshot_row){.is_delete = w->kind == LSM_DELETE, .key = w->key, .ts = w->ts, .value = w->value});
}

static void send_fill(struct snapshot_send *s)
{
    buf_clear(&s->rows);
    s->read_status = STATUS_OK;
    while (s->rows.size < s->chunk_bytes) {
        struct lsm_write row;
        s->read_status = lsm_view_next(s->view, &row);
        if (s->read_status != STATUS_OK) return;
        send_row(s, &row);
    }
    ASSERT(!s->rows.overflow); /* a chunk and one largest row fit */
}

/* What does not become smaller goes as it is. */
static void send_pack(struct snapshot_send *s)
{
    buf_clear(&s->packed);
    if (!s->compresses || s->rows.size < 2) return;
    uint8_t *to = buf_extend(&s->packed, s->rows.size - 1);
    if (to == NULL) return;
    int size = LZ4_compress_default((const char *)s->rows.data, (char *)to, (int)s->rows.size, (int)(s->rows.size - 1));
    s->packed.size = size > 0 ? (size_t)size : 0;
}

static struct slice send_bytes(const struct snapshot_send *s)
{
    return buf_slice(s->packed.size > 0 ? &s->packed : &s->rows);
}

/* Worker: touches the view, the buffers and their checksums only. */
static void send_execute(struct task *t)
{
    struct snapshot_send *s = (struct snapshot_send *)(void *)t;
    send_fill(s);
    send_pack(s);
    struct slice bytes = send_bytes(s);
    s->stream_crc = crc32c(s->stream_crc, s->rows.data, s->rows.size);
    s->bytes_crc = crc32c(0, bytes.data, bytes.size);
}

static void send_chunk(struct snapshot_send *s);

/* By the quickest answer: what a busy peer or disk adds now and then is not the distance. */
static size_t send_chunk_bytes(const struct snapshot_send *s)
{
    uint64_t times = s->quickest_ms / SNAPSHOT_NEAR_MS;
    if (times < 1) times = 1;
    if (times > SNAPSHOT_FAR_TIMES) times = SNAPSHOT_FAR_TIMES;
    if (times > 1) COVER("snapshot.far");
    return (size_t)times * s->host->options.snapshot_chunk_bytes;
}

/* Reads the next chunk when the rate allows it: all that a host sends shares one rate. */
static void send_read(struct snapshot_send *s)
{
    struct host *h = s->host;
    if (h->now_ms * NS_PER_MS < h->snapshot_free_ns) {
        s->state = SEND_PACING;
        host_mark_ready(h, s->replica); /* its timer */
        return;
    }
    s->state = SEND_READING;
    s->chunk_bytes = send_chunk_bytes(s);
    exec_submit(h->env->exec, LANE_BACKGROUND, &s->task);
}

static void send_note_rate(struct snapshot_send *s)
{
    struct host *h = s->host;
    uint64_t rate = h->options.snapshot_rate_bytes, now_ns = h->now_ms * NS_PER_MS;
    if (h->snapshot_free_ns + SNAPSHOT_CREDIT_NS < now_ns) h->snapshot_free_ns = now_ns - SNAPSHOT_CREDIT_NS;
    uint64_t bytes = send_bytes(s).size;
    if (rate > 0) h->snapshot_free_ns += bytes * 1000 / rate * NS_PER_MS + bytes * 1000 % rate * NS_PER_MS / rate;
    h->snapshot_bytes += bytes;
    s->bytes_sent += s->rows.size;
}

static void send_rest(struct snapshot_send *s)
{
    struct host *h = s->host;
    if (h->now_ms >= s->got_through_ms + SNAPSHOT_PATIENCE_MS) {
        send_end(s, false);
        return;
    }
    COVER("snapshot.chunk_repeated");
    s->state = SEND_RESTING;
    s->rest_until_ms = h->now_ms + SNAPSHOT_REST_MS;
}

static void send_stored(void *ctx, enum status status, bool sent, const struct reply_head *head)
{
    (void)sent;
    struct snapshot_send *s = ctx;
    s->call = 0;
    if (status != STATUS_OK || head->status == STATUS_BUSY) {
        send_rest(s); /* nobody has answered, or not yet: the receiver knows what it has stored */
        return;
    }
    s->got_through_ms = s->host->now_ms;
    uint64_t took_ms = s->host->now_ms - s->asked_ms;
    if (s->quickest_ms == 0 || took_ms < s->quickest_ms) s->quickest_ms = took_ms > 0 ? took_ms : 1;
    if (head->status == STATUS_EXISTS) { /* it is past the index: replication can go on from there */
        COVER("snapshot.not_needed");
        send_end(s, true);
        return;
    }
    if (head->status != STATUS_OK) {
        send_end(s, false);
        return;
    }
    s->seq++;
    if (s->last) {
        send_end(s, true);
    } else {
        send_read(s);
    }
}

void snapshot_send_tick(struct replica *r)
{
    struct snapshot_send *s = r->sending;
    if (s->state != SEND_PACING && s->state != SEND_RESTING) return;
    if (raft_role(r->raft) != RAFT_LEADER) {
        send_end(s, false);
    } else if (s->state == SEND_PACING) {
        send_read(s);
    } else if (r->host->now_ms >= s->rest_until_ms) {
        send_chunk(s);
    }
}

static void send_chunk(struct snapshot_send *s)
{
    s->state = SEND_SENDING;
    struct replica *r = s->replica;
    struct host *h = s->host;
    s->asked_ms = h->now_ms;
    struct buf config, params;
    buf_init(&config, 4096);
    buf_init(&params, LIMIT_FRAME_BYTES);
    struct slice bytes = send_bytes(s);
    struct snapshot_chunk c = {.group = r->desc->id,
                               .from = r->id,
                               .to = s->to,
                               .snapshot_id = s->id,
                               .seq = s->seq,
                               .term = raft_term(r->raft),
                               .index = s->index,
                               .index_term = s->term,
                               .last = s->last,
                               .rows = bytes,
                               .rows_crc = s->bytes_crc,
                               .stream_crc = s->stream_crc,
                               .rows_size = s->packed.size > 0 ? (uint32_t)s->rows.size : 0,
                               .safepoint = s->safepoint};
    if (c.rows_size > 0) COVER("snapshot.compressed");
    if (s->seq == 0) {
        raft_config_encode(&s->config, SLICE_EMPTY, &config);
        c.descriptor = s->range;
        c.config = buf_slice(&config);
    }
    pack_snapshot_chunk(&params, &c);
    ASSERT(!params.overflow);
    s->call = rpc_call(s->peer, METHOD_SNAPSHOT, buf_slice(&params), h->now_ms * NS_PER_MS + SNAPSHOT_CALL_NS,
                       send_stored, s);
    buf_free(&config);
    buf_free(&params);
}

static void send_complete(struct task *t)
{
    struct snapshot_send *s = (struct snapshot_send *)(void *)t;
    s->state = SEND_PACING;
    if (s->replica == NULL || t->cancelled) {
        if (s->replica != NULL) s->replica->sending = NULL;
        send_free(s);
        return;
    }
    bool ok = s->read_status == STATUS_OK || s->read_status == STATUS_END;
    if (!ok || raft_role(s->replica->raft) != RAFT_LEADER) {
        send_end(s, false);
        return;
    }
    s->last = s->read_status == STATUS_END;
    send_note_rate(s);
    send_chunk(s);
}

static void send_queue(struct replica *r, uint64_t to)
{
    for (size_t i = 0; i < r->snapshot_queue_count; i++) {
        if (r->snapshot_queue[i] == to) return;
    }
    ASSERT(r->snapshot_queue_count < LIMIT_REPLICAS);
    if (r->snapshot_queue == NULL) r->snapshot_queue = mem_alloc(LIMIT_REPLICAS * sizeof *r->snapshot_queue);
    r->snapshot_queue[r->snapshot_queue_count++] = to;
}

void snapshot_send_next(struct replica *r)
{
    if (r->snapshot_queue_count == 0 || r->sending != NULL) return;
    uint64_t to = r->snapshot_queue[0];
    r->snapshot_queue_count--;
    memmove(r->snapshot_queue, r->snapshot_queue + 1, r->snapshot_queue_count * sizeof *r->snapshot_queue);
    snapshot_send_start(r, to);
}

void snapshot_send_start(struct replica *r, uint64_t to)
{
    struct host *h = r->host;
    if (raft_role(r->raft) != RAFT_LEADER || !raft_config_is_member(raft_config_now(r->raft), to)) {
        COVER("snapshot.wanted_no_more");
        return;
    }
    uint64_t node = replica_node_of(r, to);
    struct link *l = node == 0 ? NULL : map_get(&h->links, node);
    bool busy = r->unborn || r->sending != NULL || h->snapshots_sending >= SNAPSHOTS_SENDING_MAX;
    if (busy || l == NULL || h->stopping || r->state != REPLICA_RUNNING) {
        if (r->sending != NULL && r->sending->to == to) return;
        send_queue(r, to); /* started when the one under way ends, or by the next tick */
        return;
    }
    COVER("snapshot.send");
    struct snapshot_send *s = mem_zalloc(sizeof *s);
    s->task = (struct task){.execute = send_execute, .complete = send_complete};
    list_init(&s->task.link);
    s->host = h;
    s->replica = r;
    s->peer = link_bulk(l);
    s->to = to;
    s->id = ++h->next_snapshot_id ^ (h->self->node_id << 48);
    s->index = r->applied;
    s->term = raft_term_at(r->raft, r->applied);
    if (!raft_config_at(r->raft, s->index, &s->config)) s->config = *raft_config_now(r->raft);
    s->range = replica_range_packed(r);
    struct slice start, end;
    replica_span(r, &start, &end);
    s->view = lsm_view_new(h->lsm, start, end);
    s->safepoint = lsm_safepoint(h->lsm);
    buf_init(&s->rows, LIMIT_FRAME_BYTES - 65536);
    buf_init(&s->packed, LIMIT_FRAME_BYTES - 65536);
    s->compresses = feature_on(h->self->finalised, FEATURE_SNAPSHOT_COMPRESSED) || MUTANT(version_ungated);
    uint64_t rows;
    lsm_estimate(h->lsm, start, end, &s->bytes_expected, &rows);
    r->sending = s;
    h->snapshots_sending++;
    s->got_through_ms = h->now_ms;
    send_read(s);
}

uint64_t snapshot_send_due_ms(const struct snapshot_send *s)
{
    uint64_t free_ms = (s->host->snapshot_free_ns + NS_PER_MS - 1) / NS_PER_MS;
    return s->state == SEND_PACING ? free_ms : s->state == SEND_RESTING ? s->rest_until_ms : UINT64_MAX;
}

/* By the rows read so far against an estimate. */
uint32_t snapshot_send_percent(const struct snapshot_send *s, uint64_t to)
{
    uint64_t percent = s->bytes_expected == 0 ? 0 : s->bytes_sent * 100 / s->bytes_expected;
    return s->to != to ? 0 : percent > 99 ? 99 : (uint32_t)percent;
}

uint64_t snapshot_send_index(const struct snapshot_send *s)
{
    return s->index;
}

uint64_t snapshot_send_abort(struct snapshot_send *s)
{
    uint64_t to = s->to;
    s->replica->sending = NULL;
    if (s->call != 0) rpc_call_cancel(s->peer, s->call);
    s->replica = NULL;
    if (s->state != SEND_READING) send_free(s);
    return to;
}
