/* Receiving a snapshot: chunks become tables outside of the store, which replace the range's rows in one manifest edit.
 *
 *   EXPECTING --- chunk ---> STORING --- not the last ---> EXPECTING     (woken by chunk; task)
 *                               |------- the last -------> READY         (waits for apply to stand still)
 *   READY ---> INSTALLING --- edit is durable ---> gone: the replica goes on after the snapshot's index
 *
 * The chunk before the expected one may come again, when the connection broke under its answer: it is not stored twice. Any
 * other that is not expected, or a new attempt, aborts. Nothing of the replica changes before INSTALLING; a crash
 * after the edit and before the log's reset record is mended by recover.c. */
#include "base/assert.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "range/keys_int.h"
#include "range/members_int.h"
#include "range/snapshot_int.h"

#include <lz4.h>

enum { SNAPSHOTS_RECEIVING_MAX = 4 }; /* by one host */
#define SNAPSHOT_IDLE_MS 30000u       /* without a chunk: the sender is gone */

enum recv_state { RECV_EXPECTING, RECV_STORING, RECV_READY, RECV_INSTALLING };

struct snapshot_recv {
    struct task task;
    struct host *host;
    struct replica *replica; /* NULL once aborted */
    enum recv_state state;
    struct lsm_ingest *ingest;
    uint64_t id, next_seq, index, term;
    uint64_t heard_ms; /* when the last chunk came */
    struct raft_config config;
    struct rpc_request *req; /* the chunk that is answered when it is stored */
    struct slice rows;       /* owned */
    uint32_t rows_size;      /* not 0: rows is an LZ4 block of so many bytes */
    uint32_t rows_crc, stream_crc,
        stream_crc_sent; /* of this chunk; of all so far, as received and as the sender says */
    struct slice range;  /* packed state of the range as of index. Owned */
    uint64_t safepoint;  /* what the sender may have dropped; UINT64_MAX: not said */
    bool last;
    enum status stored;
};

/* A diverged replica takes a snapshot of what it has applied: its rows are not what the others have there. */
static bool is_news(const struct replica *r, uint64_t index)
{
    return r->divergence.at != 0 ? index >= r->applied : index > r->applied;
}

static void recv_free(struct snapshot_recv *s)
{
    s->host->snapshots_receiving--;
    if (s->req != NULL) rpc_reply_status(s->req, STATUS_RETRY, "the snapshot was given up");
    if (s->ingest != NULL) lsm_ingest_abort(s->ingest);
    mem_free((void *)(uintptr_t)s->rows.data);
    mem_free((void *)(uintptr_t)s->range.data);
    mem_free(s);
}

void snapshot_recv_abort(struct snapshot_recv *s)
{
    if (s->state == RECV_INSTALLING) return; /* cannot be taken back: host_quiet waits for it */
    if (s->replica != NULL) s->replica->receiving = NULL;
    s->replica = NULL;
    if (s->state != RECV_STORING) recv_free(s);
}

/* The host closes: no task is under way, and the store, closed next, frees an ingest that it was given and calls nobody. */
void snapshot_recv_close(struct snapshot_recv *s)
{
    if (s->state == RECV_INSTALLING) s->ingest = NULL;
    recv_free(s);
}

/* In the place of the chunk's copy come the rows that were compressed. */
static bool unpack_rows(struct snapshot_recv *s)
{
    if (s->rows_size == 0) return true;
    uint8_t *rows = mem_alloc(s->rows_size);
    int size = LZ4_decompress_safe((const char *)s->rows.data, (char *)rows, (int)s->rows.size, (int)s->rows_size);
    mem_free((void *)(uintptr_t)s->rows.data);
    s->rows = slice_make(rows, s->rows_size);
    return size == (int)s->rows_size;
}

/* Worker: touches the ingest and the chunk's copy only. */
static void recv_execute(struct task *t)
{
    struct snapshot_recv *s = (struct snapshot_recv *)(void *)t;
    bool sound = crc32c(0, s->rows.data, s->rows.size) == s->rows_crc && unpack_rows(s);
    struct slice rows = s->rows;
    s->stream_crc = crc32c(s->stream_crc, rows.data, rows.size);
    s->stored = sound && s->stream_crc == s->stream_crc_sent ? STATUS_OK : STATUS_CORRUPT;
    while (s->stored == STATUS_OK) {
        struct snapshot_row row;
        enum status next = snapshot_row_next(&rows, &row);
        if (next == STATUS_END) break;
        s->stored = next;
        if (next != STATUS_OK) break;
        s->stored = lsm_ingest_add(s->ingest, &(struct lsm_write){.kind = row.is_delete ? LSM_DELETE : LSM_PUT,
                                                                  .key = row.key,
                                                                  .ts = row.ts,
                                                                  .value = row.value});
    }
    if (s->stored == STATUS_OK && s->last) s->stored = lsm_ingest_finish(s->ingest);
}

static void recv_complete(struct task *t)
{
    struct snapshot_recv *s = (struct snapshot_recv *)(void *)t;
    s->state = RECV_EXPECTING;
    if (s->replica == NULL) {
        recv_free(s);
        return;
    }
    if (t->cancelled || s->stored != STATUS_OK) {
        log_event(s->host->env->log, LOG_WARN, "snapshot.store_failed", "range=%llu why=%s",
                  (unsigned long long)s->replica->desc->id, status_name(s->stored));
        snapshot_recv_abort(s);
        return;
    }
    if (s->last) {
        s->state = RECV_READY;
        snapshot_recv_step(s->replica);
        return;
    }
    struct rpc_request *req = s->req;
    s->req = NULL;
    rpc_reply_status(req, STATUS_OK, "");
}

/* The keys that the range had here and has no longer are nobody's, unless another has them: their rows go. */
static void drop_lost_keys(struct replica *r, struct slice former_end)
{
    struct slice ours, from;
    struct buf end;
    if (r->desc->end.size == 0 || (former_end.size > 0 && slice_cmp(former_end, r->desc->end) <= 0)) return;
    COVER("snapshot.shrinks");
    buf_init(&end, LSM_KEY_MAX);
    key_encode_bound(&end, former_end.size > 0 ? r->desc->keyspace : r->desc->keyspace + 1, former_end);
    replica_span(r, &ours, &from);
    keys_drop_unheld(r->host, from, buf_slice(&end));
    buf_free(&end);
}

/* What the range has become with these rows; its state is one of them. */
static void recv_adopt(const struct snapshot_recv *s, struct replica *r)
{
    struct range_state state;
    struct slice former_end = mem_dup_slice(r->desc->end);
    enum status ok = range_state_unpack(s->range, &state);
    ASSERT(ok == STATUS_OK); /* looked at when it came */
    replica_set_range(r, &state);
    drop_lost_keys(r, former_end);
    mem_free((void *)(uintptr_t)former_end.data);
    replica_state_reset(r);
    if (r->host->owner.changed != NULL) r->host->owner.changed(r->host->owner.ctx, r);
}

static void recv_installed(void *ctx, enum status status)
{
    struct snapshot_recv *s = ctx;
    struct replica *r = s->replica;
    struct host *h = s->host;
    s->ingest = NULL; /* the store freed it */
    if (status != STATUS_OK) {
        h->env->ops->fatal(h->env, "a snapshot could not be installed: the store's manifest cannot be written");
        r->receiving = NULL;
        recv_free(s);
        return;
    }
    replica_fail_all(r, STATUS_NOT_LEADER, true);
    r->state = REPLICA_RUNNING;
    r->applied = r->commit = s->index;
    recv_adopt(s, r);
    r->last_ts = 0;
    r->bounded = false;
    resolved_forget_past(&r->resolve.state, s->index);
    resolved_applied(&r->resolve.state, r->applied);
    r->rows_life++;
    r->receiving = NULL;
    divergence_rebuilt(r);
    wal_put_reset(h->wal, r->desc->id, s->index, s->term);
    raft_install(r->raft, s->index, s->term, &s->config, &h->fx);
    replica_take_effects(r);
    if (raft_commit(r->raft) > r->commit) r->commit = raft_commit(r->raft); /* told before the install, once */
    r->needs_flush = true;
    host_mark_ready(h, r);
    if (h->owner.installed != NULL) h->owner.installed(h->owner.ctx, r);
    log_event(h->env->log, LOG_INFO, "snapshot.installed", "range=%llu index=%llu", (unsigned long long)r->desc->id,
              (unsigned long long)s->index);
    struct rpc_request *req = s->req;
    s->req = NULL;
    rpc_reply_status(req, STATUS_OK, "");
    recv_free(s);
    h->env->ops->wake(h->env);
}

/* What the sender says of the range must have a place here. Asked when it begins, and again when it is whole: others may have come
 * meanwhile. */
static bool recv_fits(const struct replica *r, const struct range_state *state)
{
    const struct range_desc *d = &state->desc;
    const struct range_replica *self = range_desc_replica(d, r->host->self->node_id);
    if (self == NULL || self->replica_id != r->id || d->id != r->desc->id) return false;
    if (d->keyspace != r->desc->keyspace || !slice_eq(d->start, r->desc->start)) return false;
    if (keys_are_free(r->host, d, r)) return true;
    COVER("snapshot.covered");
    return false;
}

/* Its keys end where the other's begin. */
static void replica_give_way(struct replica *r, const struct range_desc *to)
{
    COVER("range.gives_way");
    struct range_state state = replica_range(r);
    struct slice end = state.desc.end = mem_dup_slice(to->start);
    replica_set_range(r, &state);
    mem_free((void *)(uintptr_t)end.data);
}

/* Nothing is under way with one that is taken in. */
static bool may_end(const struct replica *r)
{
    return r->state != REPLICA_CREATING && r->state != REPLICA_INSTALLING && !r->apply_wait && r->receiving == NULL &&
           r->sending == NULL;
}

/* Others give way, or end here because the range has taken them in. False: one of them is in the middle of something. */
static bool make_room(struct replica *r, const struct snapshot_recv *s, const struct range_desc *d)
{
    struct host *h = r->host;
    uint64_t group;
    void *value;
    for (size_t it = 0; map_next(&h->replicas, &it, &group, &value);) {
        struct replica *other = value;
        enum keys_claim claim = keys_claim(other, d, r);
        if (claim == KEYS_GIVEN_WAY) replica_give_way(other, d);
        if (claim != KEYS_TAKEN_IN) continue;
        if (!may_end(other)) return false;
        COVER("snapshot.takes_in");
        merge_absorb_lagging(r, other, s->index);
        it = 0; /* the walk begins anew */
    }
    return true;
}

void snapshot_recv_tick(struct replica *r)
{
    struct snapshot_recv *s = r->receiving;
    if (s->state != RECV_EXPECTING) return;
    if (is_news(r, s->index) && r->host->now_ms < s->heard_ms + SNAPSHOT_IDLE_MS) return;
    COVER("snapshot.abandoned");
    snapshot_recv_abort(s);
}

void snapshot_recv_step(struct replica *r)
{
    struct snapshot_recv *s = r->receiving;
    if (s->state != RECV_READY || r->apply_wait || r->applied < replica_lineage(r)->birth_floor) return;
    if (!is_news(r, s->index)) { /* the log got there first */
        COVER("snapshot.overtaken");
        struct rpc_request *req = s->req;
        s->req = NULL;
        rpc_reply_status(req, STATUS_OK, "");
        snapshot_recv_abort(s);
        return;
    }
    struct range_state state;
    if (range_state_unpack(s->range, &state) != STATUS_OK) BUG("a state that was looked at");
    if (!recv_fits(r, &state) && !MUTANT(snapshot_fits_for_ever)) {
        COVER("snapshot.covered_meanwhile");
        snapshot_recv_abort(s);
        return;
    }
    if (!make_room(r, s, &state.desc)) return;
    COVER("snapshot.install");
    s->state = RECV_INSTALLING;
    r->state = REPLICA_INSTALLING;
    struct lsm_ingest *g = s->ingest;
    /* The edit that installs the rows says how far back they reach: for later lives too. A former release does not say it; it kept what
     * is younger by version_keep than the newest that it had applied. */
    uint64_t past = s->safepoint != UINT64_MAX ? s->safepoint : host_newest_ts(r->host);
    if (!MUTANT(floor_forgotten)) lsm_set_safepoint(r->host->lsm, past);
    lsm_ingest_install(g, r->desc->id, s->index, s->term, recv_installed, s);
}

static struct snapshot_recv *recv_new(struct replica *r, const struct snapshot_chunk *c, enum status *why)
{
    struct host *h = r->host;
    struct raft_config config;
    struct range_state state;
    *why = STATUS_INVALID;
    if (c->term < raft_term(r->raft)) {
        *why = STATUS_RETRY;
        return NULL;
    }
    if (!is_news(r, c->index)) {
        *why = STATUS_EXISTS;
        return NULL;
    }
    if (h->snapshots_receiving >= SNAPSHOTS_RECEIVING_MAX) {
        *why = STATUS_BUSY;
        return NULL;
    }
    if (raft_config_decode(c->config, &config) != STATUS_OK) return NULL;
    if (range_state_unpack(c->descriptor, &state) != STATUS_OK || !recv_fits(r, &state)) return NULL;
    struct snapshot_recv *s = mem_zalloc(sizeof *s);
    s->range = mem_dup_slice(c->descriptor);
    s->task = (struct task){.execute = recv_execute, .complete = recv_complete};
    list_init(&s->task.link);
    s->host = h;
    s->replica = r;
    s->id = c->snapshot_id;
    s->index = c->index;
    s->heard_ms = h->now_ms;
    s->term = c->index_term;
    s->safepoint = c->safepoint;
    s->config = config;
    struct buf start, end;
    buf_init(&start, LSM_KEY_MAX);
    buf_init(&end, LSM_KEY_MAX);
    range_desc_span(&state.desc, &start, &end);
    s->ingest = lsm_ingest_new(h->lsm, buf_slice(&start), buf_slice(&end));
    buf_free(&start);
    buf_free(&end);
    h->snapshots_receiving++;
    return s;
}

/* Its answer was lost, or is still to come. */
static void recv_again(struct snapshot_recv *s, struct rpc_request *req)
{
    COVER("snapshot.chunk_again");
    s->heard_ms = s->host->now_ms;
    if (s->state == RECV_EXPECTING) {
        rpc_reply_status(req, STATUS_OK, "");
        return;
    }
    if (s->req != NULL) rpc_request_drop(s->req);
    s->req = req;
}

void snapshot_recv_chunk(struct replica *r, struct rpc_request *req, const struct snapshot_chunk *c)
{
    struct snapshot_recv *s = r->receiving;
    uint32_t newest = r->host->options.version_newest;
    if (c->rows_size > 0 && newest != 0 && !feature_on(newest, FEATURE_SNAPSHOT_COMPRESSED)) {
        rpc_reply_status(req, STATUS_UNSUPPORTED, "compressed rows"); /* it plays a former release (docs/upgrade.md) */
        return;
    }
    if (s != NULL && s->id == c->snapshot_id && s->next_seq == c->seq + 1) {
        recv_again(s, req);
        return;
    }
    if (r->state == REPLICA_INSTALLING) {
        rpc_reply_status(req, STATUS_BUSY, "another snapshot is being installed");
        return;
    }
    if (c->seq == 0 && (s == NULL || s->state == RECV_EXPECTING)) {
        if (s != NULL) snapshot_recv_abort(s);
        enum status why;
        r->receiving = s = recv_new(r, c, &why);
        if (s == NULL) {
            rpc_reply_status(req, why, "the snapshot is not wanted: the replica is past it, or in a later term");
            return;
        }
    }
    if (s == NULL || s->state != RECV_EXPECTING || s->id != c->snapshot_id || s->next_seq != c->seq) {
        bool past = s == NULL && !is_news(r, c->index); /* e.g. installed, and the answer to the last chunk was lost */
        rpc_reply_status(req, past ? STATUS_EXISTS : STATUS_RETRY,
                         past ? "the replica is past it" : "not the chunk that is expected; start the snapshot again");
        return;
    }
    s->next_seq++;
    s->heard_ms = r->host->now_ms;
    s->req = req;
    mem_free((void *)(uintptr_t)s->rows.data);
    s->rows = mem_dup_slice(c->rows);
    s->rows_size = c->rows_size;
    s->rows_crc = c->rows_crc;
    s->stream_crc_sent = c->stream_crc;
    s->last = c->last;
    s->state = RECV_STORING;
    exec_submit(r->host->env->exec, LANE_BACKGROUND, &s->task);
}
