/* The host: opening and closing, and the pass that drives everything on it (docs/architecture.md draws it). */
#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "range/keys_int.h"
#include "range/members_int.h"
#include "range/snapshot_int.h"

enum { DECIDE_MS = 1000 }; /* what is proposed when the host stops is decided by then, or its outcome is unknown */
enum { RUN_ROUNDS_MAX = 4, APPLY_ENTRIES_PER_PASS = 8192, MARKS_KEPT = 1024 };
#define WATCH_EVERY_NS (10 * NS_PER_MS)
#define WAKE_EVERY_NS (50 * NS_PER_MS) /* for what has no timer of its own */

void host_options_default(struct host_options *o)
{
    struct raft_options raft;
    raft_options_default(&raft);
    memset(o, 0, sizeof *o);
    o->append_max_bytes = raft.append_max_bytes;
    o->inflight_max_count = raft.inflight_max_count;
    o->wal = (struct wal_options){.dir = "wal", .segment_bytes = 64ull << 20, .spare_segments = 1};
    lsm_options_default(&o->lsm);
    o->election_ms = 1000;
    o->heartbeat_ms = 300;
    o->support_ms = 1500;
    o->log_keep_bytes = 8ull << 20;
    o->wal_flush_bytes = 192ull << 20;
    o->version_keep = 60000ull << 18;
    o->horizon_ms = 10000;
    o->proposals_max = 16384;
    o->snapshot_chunk_bytes = 64u << 10;
    o->compare_every = 1024;
    o->snapshot_rate_bytes = 64ull << 20;
    o->log_lag_bytes = 64ull << 20;
    o->log_lag_ms = 15 * 60 * 1000;
}

enum status host_open(struct env *env, const struct host_options *o, const struct rpc_identity *self,
                      const struct host_owner *owner, struct host **out, struct errbuf *err)
{
    struct host *h = mem_zalloc(sizeof *h);
    h->env = env;
    h->options = *o;
    h->self = self;
    h->owner = *owner;
    h->line_ts = UINT64_MAX;
    h->stop_until_ms = UINT64_MAX;
    h->now_ms = env_mono_ns(env) / NS_PER_MS;
    map_init(&h->replicas);
    raft_configs_init(&h->configs);
    map_init(&h->links);
    heap_init(&h->timers);
    nodes_open(h);
    raft_options_default(&h->raft_options);
    h->raft_options.election_ms = o->election_ms;
    h->raft_options.heartbeat_ms = o->heartbeat_ms;
    h->raft_options.append_max_bytes = o->append_max_bytes;
    h->raft_options.inflight_max_count = o->inflight_max_count;
    h->raft_options.support = o->support_ms > 0 ? &h->nodes.support : NULL;
    h->raft_options.configs = &h->configs;
    resolve_open(h);
    list_init(&h->ready);
    list_init(&h->created);
    list_init(&h->members.leaving);
    map_init(&h->members.gone);
    list_init(&h->waiting);
    list_init(&h->absorbed);
    list_init(&h->dropping);
    arena_init(&h->apply_arena, 64 * 1024);
    arena_init(&h->decode_arena, 64 * 1024);
    buf_init(&h->answer, LIMIT_FRAME_BYTES);
    buf_init(&h->span, 2 * LSM_KEY_MAX);
    raft_effects_init(&h->fx);
    buf_init(&h->trace_line, 4096);
    disk_health_init(&h->disk);
    enum status s = host_recover(h, err);
    if (s == STATUS_OK) divergence_recall(h);
    if (s == STATUS_OK) damage_watch(h, true);
    if (s != STATUS_OK) {
        host_close(h);
        return s;
    }
    *out = h;
    return STATUS_OK;
}

void host_close(struct host *h)
{
    if (h == NULL) return;
    uint64_t key;
    void *value;
    if (h->lsm != NULL) damage_watch(h, false);
    for (size_t it = 0; map_next(&h->replicas, &it, &key, &value);) replica_free(value);
    for (size_t it = 0; map_next(&h->links, &it, &key, &value);) link_free(value);
    waiting_clear(h);
    members_close(h);
    keys_close(h);
    absorbed_clear(h);
    if (h->wal != NULL) wal_close(h->wal);
    if (h->lsm != NULL) lsm_close(h->lsm);
    map_free(&h->replicas);
    raft_configs_free(&h->configs);
    map_free(&h->links);
    heap_free(&h->timers);
    arena_free(&h->apply_arena);
    arena_free(&h->decode_arena);
    buf_free(&h->answer);
    buf_free(&h->span);
    raft_effects_free(&h->fx);
    buf_free(&h->trace_line);
    mem_free(h->filling.items);
    mem_free(h->writing.items);
    mem_free(h->writes);
    mem_free(h);
}

/* --- the log's batches --- */

static void host_batch_durable(void *ctx)
{
    struct host *h = ctx;
    struct batch_marks *m = &h->writing;
    if (!h->first_durable_told) {
        h->first_durable_told = true;
        h->owner.first_durable(h->owner.ctx);
        if (h->env->dead) return;
    }
    for (size_t i = 0; i < m->count && !h->env->dead; i++) {
        struct replica *r = map_get(&h->replicas, m->items[i].group);
        if (r != NULL) replica_step(r, &(struct raft_event){.type = RAFT_EVENT_PERSISTED, .mark = m->items[i].mark});
    }
    m->count = 0;
    if (m->capacity > MARKS_KEPT) { /* thousands of groups began at once: that is rare */
        mem_free(m->items);
        *m = (struct batch_marks){.items = NULL};
    }
    LIST_FOR(it, &h->created)
    {
        struct replica *r = LIST_ENTRY(it, struct replica, ready_link);
        if (r->created_batch >= h->batch_seq) continue; /* in the batch that is still being filled */
        list_remove(&r->ready_link);
        r->state = REPLICA_RUNNING;
        host_mark_ready(h, r);
        birth_durable(r);
    }
    members_durable(h);
}

static void host_submit(struct host *h)
{
    if (wal_busy(h->wal) || wal_pending_bytes(h->wal) == 0) return;
    struct batch_marks written = h->writing;
    ASSERT(written.count == 0);
    for (size_t i = 0; i < h->filling.count; i++) {
        struct replica *r = map_get(&h->replicas, h->filling.items[i].group);
        if (r != NULL) r->mark_slot = 0;
    }
    h->writing = h->filling;
    h->filling = written;
    h->batch_seq++;
    wal_submit(h->wal, false, host_batch_durable, h);
}

/* --- store and log space --- */

static void host_floor(void *ctx, uint64_t group, uint64_t index, uint64_t term)
{
    (void)term;
    struct host *h = ctx;
    wal_set_floor(h->wal, group, index);
}

static void host_flushed(void *ctx)
{
    struct host *h = ctx;
    h->flush_asked = false;
    h->flushes_seen = lsm_flush_count(h->lsm);
    lsm_each_group(h->lsm, host_floor, h);
    absorbed_step(h);
    h->live_after_flush = wal_live_bytes(h->wal);
    h->unpinning = h->live_after_flush > h->options.wal_flush_bytes / 2;
}

/* What is applied was flushed a moment ago; what still keeps an old segment are entries that cannot be applied yet: on the
 * minor side of a partition, where nothing happens any more; of a range that never had a quorum; of a replica that has diverged. They are in memory, and go into the present segment. */
static bool host_unpin_one(struct host *h, uint64_t group)
{
    const struct replica *r = map_get(&h->replicas, group);
    uint64_t index = 0, term; /* 0: nothing of it is in the store yet */
    if (r == NULL || r->state == REPLICA_CREATING || r->state == REPLICA_INSTALLING || r->unborn) return false;
    (void)lsm_durable(h->lsm, group, &index, &term);
    if (raft_first_index(r->raft) > index + 1 || raft_last_index(r->raft) <= index) return false;
    COVER("host.unpin");
    for (uint64_t i = index + 1; i <= raft_last_index(r->raft); i++) {
        const struct raft_entry *e = raft_entry_at(r->raft, i);
        wal_put_entry(
            h->wal, group,
            &(struct wal_entry){.index = e->index, .term = e->term, .type = (uint8_t)e->type, .data = e->data});
    }
    return true;
}

/* One group a batch: the index of the log knows what has moved when the batch is durable. */
static void host_unpin(struct host *h)
{
    if (!h->unpinning || h->stopping || h->batch_seq <= h->unpin_batch || wal_busy(h->wal)) return;
    uint64_t group = wal_oldest_pin(h->wal);
    h->unpin_batch = h->batch_seq;
    h->unpinning = group != 0 && group != HOST_GROUP && host_unpin_one(h, group);
}

/* Wherever a batch is handed over: under load the log is never at rest elsewhere. */
static void host_write(struct host *h)
{
    host_unpin(h);
    host_submit(h);
}

void host_flush(struct host *h)
{
    if (h->flush_asked || h->stopping) return;
    h->flush_asked = true;
    lsm_flush(h->lsm, host_flushed, h);
}

static void host_store_step(struct host *h)
{
    if (h->stopping && h->snapshots_receiving + h->excises == 0 && !h->flush_asked)
        return; /* nothing new is begun on the way out */
    host_spans_step(h);
    lsm_set_safepoint(h->lsm, host_safepoint(h));
    host_horizons_step(h);
    lsm_step(h->lsm);
    if (lsm_flush_count(h->lsm) != h->flushes_seen) {
        h->flushes_seen = lsm_flush_count(h->lsm);
        lsm_each_group(h->lsm, host_floor, h);
        absorbed_step(h);
    }
    /* Whole segments are freed: asking again makes sense when the log has grown by one since. */
    uint64_t live = wal_live_bytes(h->wal);
    if (live < h->live_after_flush) h->live_after_flush = live;
    bool grown = live >= h->live_after_flush + h->options.wal.segment_bytes;
    if (grown && live > h->options.wal_flush_bytes) host_flush(h);
}

/* --- the pass --- */

static void host_watch_disk(struct host *h, uint64_t now_ns)
{
    struct wal_stats log;
    wal_stats(h->wal, &log);
    enum disk_state was = h->disk.state;
    enum disk_state is = disk_health_step(&h->disk, &(struct disk_sample){.now_ns = now_ns,
                                                                          .writes = log.batches,
                                                                          .write_ns_total = log.write_ns_total,
                                                                          .writing = log.writing,
                                                                          .store_full = lsm_pressure(h->lsm) == 100,
                                                                          .peers_us = h->peers_write_us});
    if (is == was) return;
    if (is == DISK_HUNG) {
        h->env->ops->fatal(h->env, "a write of the log has been under way for 20 s: the disk hangs");
        return;
    }
    COVER("host.disk_judged");
    log_event(h->env->log, LOG_WARN, is == DISK_SLOW ? "disk.slow" : "disk.recovered",
              "write_us=%llu peers_us=%llu pressure=%u", (unsigned long long)h->disk.write_us,
              (unsigned long long)h->peers_write_us, lsm_pressure(h->lsm));
}

static void host_tick(struct host *h, uint64_t now_ns)
{
    if (now_ns >= h->watch_at_ns) {
        h->watch_at_ns = now_ns + WATCH_EVERY_NS;
        host_watch_disk(h, now_ns);
        if (h->env->dead) return;
        waiting_expire(h);
    }
    struct heap_node *due;
    while ((due = heap_min(&h->timers)) != NULL && due->key <= h->now_ms && !h->env->dead) {
        struct replica *r = HEAP_ENTRY(due, struct replica, timer);
        replica_tick(r);
        replica_sweep(r, now_ns);
        replica_arm(r);
    }
    handover_step(h);
}

/* What is to be durable goes to the disk first, which writes while committed entries are applied. */
static void host_run_ready(struct host *h)
{
    struct list flushed, round;
    list_init(&flushed);
    list_init(&round);
    struct list *node;
    while ((node = list_pop_front(&h->ready)) != NULL) list_push_back(&round, node);
    while ((node = list_pop_front(&round)) != NULL) { /* all of them: the lists end with this call */
        list_push_back(&flushed, node);
        if (!h->env->dead) replica_flush(LIST_ENTRY(node, struct replica, ready_link));
    }
    if (!h->env->dead) host_write(h);
    while ((node = list_pop_front(&flushed)) != NULL) {
        if (!h->env->dead) replica_run(LIST_ENTRY(node, struct replica, ready_link));
    }
}

uint64_t host_pass(struct host *h, uint64_t now_ns)
{
    if (h->env->dead) return DEADLINE_NONE;
    h->now_ms = now_ns / NS_PER_MS;
    wal_step(h->wal);
    uint64_t next = nodes_pass(h, now_ns);
    host_tick(h, now_ns);
    h->apply_left = APPLY_ENTRIES_PER_PASS;
    for (int i = 0; i < RUN_ROUNDS_MAX && !list_empty(&h->ready) && !h->env->dead; i++) host_run_ready(h);
    if (h->env->dead) return DEADLINE_NONE;
    uint64_t timer = heap_min(&h->timers) == NULL ? DEADLINE_NONE : heap_min(&h->timers)->key * NS_PER_MS;
    if (timer < next) next = timer;
    if (now_ns + WAKE_EVERY_NS < next) next = now_ns + WAKE_EVERY_NS;
    uint64_t node;
    void *value;
    for (size_t it = 0; map_next(&h->links, &it, &node, &value);) { /* messages leave before the log write ends */
        uint64_t d = link_pass(value, now_ns);
        if (d < next) next = d;
    }
    members_pass(h);
    host_write(h);
    host_store_step(h);
    if (!list_empty(&h->ready)) h->env->ops->wake(h->env);
    h->nodes.pass_due_ns = next;
    return next;
}

/* --- from other hosts --- */

/* On the way out the others are a quorum without this one, or nobody is. But what was proposed here before the leadership went
 * is decided by the new leader: until it has said so, or that takes too long, it is listened to. */
static bool host_is_deaf(const struct host *h)
{
    if (h->now_ms >= h->stop_until_ms) return true;
    if (!h->stopping || !host_handed_over(h)) return false;
    return h->proposals == 0 || h->now_ms >= h->stopping_ms + DECIDE_MS;
}

/* A leader asks its own store before it takes a command, nobody asks a follower's: one that cannot write tables as fast as the log
 * grows would hold all of it in memory. So it lets go of entries as if they had been lost on the way. The leader goes on with the others,
 * tries again a little at a time, and keeps what this one lacks up to its bounds; then a snapshot is sent. */
static bool host_sheds(const struct host *h, const struct raft_message *m)
{
    if (m->type != RAFT_MSG_APPEND || m->entry_count == 0 || !lsm_overfull(h->lsm)) return false;
    COVER("host.sheds");
    return !MUTANT(takes_without_bound);
}

void host_take_envelope(struct host *h, uint64_t from_node, struct slice envelope)
{
    struct unpack u = unpack_make(envelope);
    struct raft_envelope e;
    arena_reset(&h->decode_arena);
    if (unpack_raft_envelope(&u, &h->decode_arena, &e) != STATUS_OK) return;
    struct replica *r = map_get(&h->replicas, e.group);
    if (r == NULL) waiting_keep(h, from_node, e.group, envelope);
    if (r == NULL || e.message.to != r->id) members_speak_for_gone(h, from_node, e.group, &e.message);
    if (r == NULL || r->members.leaving || !members_address(r, e.message.to) || divergence_mutes(r)) return;
    if (r->state == REPLICA_CREATING && replica_lineage(r)->birth.group != 0)
        waiting_keep(h, from_node, e.group, envelope);
    if (r->state != REPLICA_RUNNING && r->state != REPLICA_DIVERGED) return;
    if (!members_may_speak(r, e.message.from, from_node) || host_sheds(h, &e.message)) return;
    replica_step(r, &(struct raft_event){.type = RAFT_EVENT_MESSAGE, .message = &e.message});
}

void host_on_raft(struct host *h, struct rpc_request *req)
{
    if (host_is_deaf(h)) {
        rpc_request_drop(req);
        return;
    }
    struct unpack u = unpack_make(req->params);
    uint32_t count = unpack_array(&u);
    for (uint32_t i = 0; i < count && !u.failed && !h->env->dead; i++) {
        const uint8_t *start = u.at;
        unpack_skip(&u);
        if (!u.failed) host_take_envelope(h, req->peer_node_id, slice_make(start, (size_t)(u.at - start)));
    }
    if (u.failed)
        log_event(h->env->log, LOG_WARN, "range.bad_raft_frame", "from_node=%llu",
                  (unsigned long long)req->peer_node_id);
    rpc_request_drop(req);
}

void host_on_snapshot(struct host *h, struct rpc_request *req)
{
    struct snapshot_chunk c;
    arena_reset(&h->decode_arena);
    if (unpack_snapshot_chunk(req->params, &h->decode_arena, &c) != STATUS_OK) {
        rpc_reply_status(req, STATUS_INVALID, "not a snapshot chunk");
        return;
    }
    struct replica *r = map_get(&h->replicas, c.group);
    bool takes = r != NULL && !r->members.leaving &&
                 (r->state == REPLICA_RUNNING || r->state == REPLICA_INSTALLING ||
                  (r->state == REPLICA_DIVERGED && divergence_mutes(r)));
    if (!takes || r->id != c.to || h->stopping) {
        rpc_reply_status(req, STATUS_RANGE_NOT_FOUND, "no such replica takes a snapshot here");
        return;
    }
    snapshot_recv_chunk(r, req, &c);
    host_mark_ready(h, r);
}

/* --- members --- */

/* Before a link goes away: what is being sent over one is given up, and Raft asks again. */
static void host_abort_snapshots(struct host *h)
{
    uint64_t group;
    void *value;
    for (size_t it = 0; map_next(&h->replicas, &it, &group, &value);) {
        struct replica *r = value;
        if (r->sending == NULL) continue;
        uint64_t to = snapshot_send_abort(r->sending);
        replica_step(r, &(struct raft_event){.type = RAFT_EVENT_SNAPSHOT_SENT, .to = to, .ok = false});
    }
}

void host_set_peer(struct host *h, uint64_t node_id, const char *address)
{
    if (node_id == h->self->node_id) return;
    struct link *l = map_get(&h->links, node_id);
    if (l != NULL && strcmp(link_address(l), address) == 0) return;
    struct liveness kept;
    bool known = l != NULL;
    if (known) {
        host_abort_snapshots(h);
        kept = *link_liveness(l); /* what was promised to the node holds wherever it is */
        map_remove(&h->links, node_id);
        link_free(l);
    }
    l = link_new(h, node_id, address);
    if (known) *link_liveness(l) = kept;
}

bool host_log_lost(const struct host *h)
{
    return h->lost_below == UINT64_MAX;
}

void host_log_lost_below(struct host *h, uint64_t range_id)
{
    if (!host_log_lost(h) || range_id == UINT64_MAX) return;
    h->lost_below = range_id;
    host_record_put(h->wal, h->lost_below);
    h->env->ops->wake(h->env);
}

bool host_peer_connected(const struct host *h, uint64_t node_id)
{
    const struct link *l = map_get(&h->links, node_id);
    return l != NULL && link_connected(l);
}

bool host_peer_hello(const struct host *h, uint64_t node_id, struct hello *out)
{
    const struct link *l = map_get(&h->links, node_id);
    return l != NULL && link_hello(l, out);
}

struct replica *host_replica(const struct host *h, uint64_t group)
{
    return map_get(&h->replicas, group);
}
size_t host_replica_count(const struct host *h)
{
    return h->replicas.count;
}
void host_each_replica(const struct host *h, void (*each)(void *ctx, struct replica *r), void *ctx)
{
    uint64_t group;
    void *value;
    for (size_t it = 0; map_next(&h->replicas, &it, &group, &value);) each(ctx, value);
}
uint64_t host_safepoint(const struct host *h)
{
    uint64_t ts = h->newest_ts > h->options.version_keep ? h->newest_ts - h->options.version_keep : 0;
    if (ts > h->line_ts) ts = h->line_ts;
    uint64_t was = lsm_safepoint(h->lsm);
    return ts > was ? ts : was;
}
void host_set_line(struct host *h, uint64_t ts)
{
    if (h->line_ts == UINT64_MAX || ts > h->line_ts) h->line_ts = ts;
}
bool host_disk_slow(const struct host *h)
{
    return h->disk.state == DISK_SLOW;
}
uint64_t host_disk_write_us(const struct host *h)
{
    uint64_t waiting_us = h->disk.writing_ns / 1000;
    return waiting_us > h->disk.write_us ? waiting_us : h->disk.write_us;
}
void host_set_peers_write_us(struct host *h, uint64_t median_us)
{
    h->peers_write_us = median_us;
}
struct host_snapshots host_snapshots(const struct host *h)
{
    return (struct host_snapshots){.sending = h->snapshots_sending,
                                   .receiving = h->snapshots_receiving,
                                   .bytes = h->snapshot_bytes,
                                   .rate = h->options.snapshot_rate_bytes};
}
void host_set_snapshot_rate(struct host *h, uint64_t bytes_per_s)
{
    if (bytes_per_s == h->options.snapshot_rate_bytes) return;
    h->options.snapshot_rate_bytes = bytes_per_s;
    h->snapshot_free_ns = 0;
}
uint64_t host_node_id(const struct host *h)
{
    return h->self->node_id;
}

struct lsm *host_store(struct host *h)
{
    return h->lsm;
}
struct wal *host_log(struct host *h)
{
    return h->wal;
}

/* --- the way out --- */

void host_stop(struct host *h, uint32_t patience_ms)
{
    if (h->stopping) return;
    h->stopping = true;
    h->stopping_ms = h->now_ms;
    h->stop_until_ms = h->now_ms + patience_ms;
    uint64_t group;
    void *value;
    for (size_t it = 0; map_next(&h->replicas, &it, &group, &value);) {
        struct replica *r = value;
        if (r->sending != NULL) (void)snapshot_send_abort(r->sending);
        if (r->receiving != NULL) snapshot_recv_abort(r->receiving);
    }
    h->handover_at_ms = 0;
    handover_step(h);
}

bool host_quiet(const struct host *h)
{
    return !wal_busy(h->wal) && !lsm_busy(h->lsm) && h->loads == 0 && h->snapshots_sending == 0 &&
           h->snapshots_receiving == 0 && h->evidences == 0 && h->comparisons == 0 && h->excises == 0;
}
