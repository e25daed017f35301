/* What a read waits for, by its mode (docs/reads.md), until the store may be read:
 *
 *   (strong, and a row that may have expired is met: as snapshot now; read_sees)
 *   strong, leader:    [its keys are in a call for timestamps: PARKED until that ends] -> replica_read, flights applied -> serve
 *   snapshot, leader:  [not resolved, T above what was issued: a timestamp] -> replica_close -> serve as of T
 *   follower of both:  [not resolved: ask.c] -> applied up to the index -> serve
 *   bounded:           young enough -> serve; leader: as strong; follower: refused, the leader is the next to ask
 *   eventual:          serve
 *   resolve (another replica's call): a timestamp -> replica_close -> answered
 *
 * Woken by: timestamps_done, the read's `ready` (host_pass), the leader's answer. Timed out by: timestamps_sweep (parked,
 * waiting for a timestamp), read_wait's deadline, asks_sweep. */
#include "node/read.h"
#include "base/assert.h"
#include "base/mutant.h"
#include "node/ask.h"

#define CLOCK_RATE_PERCENT 2u /* how far the rate of a monotonic clock may be off */

static const struct read_how STRONG = {.mode = READ_STRONG};

/* --- the end of all waits --- */

static void read_ready(struct read_wait *w, enum status s)
{
    struct node_request *q = LIST_ENTRY(w, struct node_request, read);
    struct replica *r = host_replica(q->node->host, q->group);
    if (s != STATUS_OK || r == NULL) {
        node_refuse(q, s != STATUS_OK ? s : STATUS_RANGE_NOT_FOUND, false,
                    "the read could not be confirmed by a quorum");
        return;
    }
    if (q->closing.ts != 0) {
        q->closing.index = w->index;
        replica_note_resolved(r, &q->closing);
    }
    q->serve(q);
}

static void read_waits(struct node_request *q, enum status s)
{
    if (s != STATUS_OK) node_refuse(q, s, false, status_text(s));
}

static void prepare_wait(struct node_request *q)
{
    q->read.ready = read_ready;
    q->read.deadline_ns = q->deadline_ns;
    q->read.index = q->read.term = 0;
    q->read.by_lease = false;
}

/* --- strong, at the leader --- */

void read_confirm(struct node_request *q)
{
    struct replica *r = host_replica(q->node->host, q->group);
    if (r == NULL) {
        node_refuse(q, STATUS_RANGE_NOT_FOUND, false, "the replica has left this node");
        return;
    }
    prepare_wait(q);
    uint64_t last = raft_last_index(replica_raft(r));
    q->read.index = MUTANT(flights_ignored) ? 0 : flight_index(q->node, q);
    if (q->read.index > last) q->read.index = last; /* of an earlier leadership: gone since */
    q->was_confirmed = true;
    read_waits(q, replica_read(r, &q->read));
}

static void read_strong(struct node_request *q)
{
    q->read_ts = LSM_TS_MAX;
    if (flight_is_asked(q->node, q) && !MUTANT(flights_ignored)) {
        COVER("read.parked");
        list_push_back(&q->node->reads_parked, &q->link);
    } else {
        read_confirm(q);
    }
}

/* --- as of a timestamp, at the leader --- */

static void close_at(struct node_request *q, uint64_t ts, uint64_t since_ns)
{
    struct replica *r = host_replica(q->node->host, q->group);
    if (r == NULL || !replica_leads(r) || raft_term(replica_raft(r)) != q->term) {
        node_refuse(q, STATUS_NOT_LEADER, false, "leadership changed while the read waited for a timestamp");
        return;
    }
    q->closing = (struct resolved){.ts = ts, .since_ns = since_ns};
    prepare_wait(q);
    read_waits(q, replica_close(r, ts, &q->read));
}

static void snapshot_got_timestamp(struct node_request *q, uint64_t ts)
{
    if (q->read_ts == 0) {
        q->read_ts = ts;
    } else if (q->read_ts > ts) {
        node_refuse(q, STATUS_INVALID, false, "the timestamp has not been issued yet: it lies in the future");
        return;
    }
    close_at(q, ts, q->node->ts_asked_ns);
}

static void read_snapshot(struct node_request *q, struct replica *r)
{
    struct node *n = q->node;
    q->read_ts = q->how->ts;
    if (q->read_ts != 0 && q->read_ts <= replica_resolved(r).ts) {
        COVER("read.resolved_already");
        q->serve(q);
        return;
    }
    if (!replica_leads(r)) {
        ask_leader(q);
        return;
    }
    q->term = raft_term(replica_raft(r));
    struct resolved issued = host_issued(n->host);
    if (q->read_ts != 0 && q->read_ts <= issued.ts && issued.since_ns > replica_led_since_ns(r)) {
        close_at(q, issued.ts, issued.since_ns);
        return;
    }
    q->got_timestamp = snapshot_got_timestamp;
    timestamps_ask(n, q);
}

/* --- rows that expire --- */

bool read_sees(struct node_request *q, const struct read_mark *mark, const struct row *row, uint64_t version)
{
    uint64_t end = row_expires(row, version), now = mark->ts > q->expiry_ts ? mark->ts : q->expiry_ts;
    if (end == ROW_NEVER_EXPIRES) return true;
    if (q->read_ts != LSM_TS_MAX) return end > q->read_ts;
    if (end <= now) return false;
    if (!q->was_confirmed || q->expiry_ts != 0)
        return true; /* as of the mark, or of the timestamp that the leader asked for */
    /* The newest rows, at the leader: another read may have had a higher timestamp than this node has heard of. */
    if (end <= host_newest_ts(q->node->host)) return false;
    q->wants_timestamp = true;
    return true;
}

void read_at_timestamp(struct node_request *q)
{
    struct replica *r = host_replica(q->node->host, q->group);
    q->wants_timestamp = false;
    if (r == NULL || !replica_leads(r)) {
        node_refuse(q, STATUS_NOT_LEADER, false, "leadership changed while rows were read that may have expired");
        return;
    }
    COVER("read.expiry_by_timestamp");
    q->read_ts = 0;
    q->term = raft_term(replica_raft(r));
    q->got_timestamp = snapshot_got_timestamp;
    timestamps_ask(q->node, q);
}

/* --- at a follower --- */

void read_at_resolved(struct node_request *q, const struct resolved *resolved)
{
    struct replica *r = host_replica(q->node->host, q->group);
    if (r == NULL) {
        node_refuse(q, STATUS_RANGE_NOT_FOUND, false, "the replica has left this node");
        return;
    }
    if (q->how->mode == READ_SNAPSHOT && q->read_ts > resolved->ts) {
        node_refuse(q, STATUS_INVALID, false, "the timestamp has not been issued yet: it lies in the future");
        return;
    }
    if (q->read_ts == 0) q->read_ts = resolved->ts; /* snapshot now */
    q->expiry_ts = resolved->ts;
    COVER("read.follower_asked");
    q->was_confirmed = true;
    prepare_wait(q);
    q->read.index = MUTANT(follower_read_before_apply) ? 0 : resolved->index;
    read_waits(q, replica_wait_applied(r, &q->read));
}

/* --- young enough, or whatever is here --- */

/* Upper bound of the age of what is resolved here, in ms. */
static uint32_t age_ms(const struct node *n, struct resolved resolved)
{
    uint64_t now_ns = env_mono_ns(n->env);
    if (resolved.ts == 0 || resolved.since_ns == 0 || resolved.since_ns > now_ns) return STALENESS_UNKNOWN;
    uint64_t age_ns = now_ns - resolved.since_ns;
    uint64_t ms = (age_ns + age_ns / 100 * CLOCK_RATE_PERCENT) / NS_PER_MS + 1;
    return ms < STALENESS_UNKNOWN ? (uint32_t)ms : STALENESS_UNKNOWN - 1;
}

static void read_bounded(struct node_request *q, struct replica *r)
{
    q->read_ts = LSM_TS_MAX;
    uint32_t age = age_ms(q->node, replica_resolved(r));
    if (MUTANT(bounded_without_bound)) {
        q->serve(q);
    } else if (age != STALENESS_UNKNOWN && age <= q->how->max_staleness_ms) {
        if (!replica_leads(r)) COVER("read.bounded_at_follower");
        q->serve(q);
    } else if (replica_leads(r)) {
        COVER("read.bounded_by_quorum");
        read_strong(q);
    } else {
        COVER("read.bounded_forwarded");
        node_refuse(q, STATUS_NOT_LEADER, false, "this replica cannot prove that it is as fresh as asked");
    }
}

void read_begin(struct node_request *q, struct replica *r, const struct read_how *how,
                void (*serve)(struct node_request *q))
{
    q->how = how;
    q->serve = serve;
    switch (how->mode) {
    case READ_STRONG:
        if (replica_leads(r)) {
            read_strong(q);
        } else {
            q->read_ts = LSM_TS_MAX;
            if (MUTANT(follower_answers)) {
                serve(q);
            } else {
                ask_leader(q);
            }
        }
        return;
    case READ_SNAPSHOT: read_snapshot(q, r); return;
    case READ_BOUNDED: read_bounded(q, r); return;
    case READ_EVENTUAL:
        q->read_ts = LSM_TS_MAX;
        if (replica_applied(r) == 0) {
            node_refuse(q, STATUS_NOT_LEADER, false, "this replica is new and holds nothing yet");
        } else {
            serve(q);
        }
        return;
    }
    BUG("read mode");
}

/* --- while and after the store is read --- */

bool read_may_serve(struct node_request *q)
{
    if (q->read_ts == LSM_TS_MAX) return true;
    uint64_t past = host_safepoint(q->node->host);
    if (q->read_ts >= past) return true;
    COVER("read.too_old");
    struct errbuf err;
    errbuf_set(&err, "timestamp %llu is older than what this replica keeps: versions up to %llu may be gone",
               (unsigned long long)q->read_ts, (unsigned long long)past);
    node_refuse(q, STATUS_TOO_OLD, false, err.text);
    return false;
}

/* A strong read by a lease that has ended meanwhile begins anew: the rows may have been read behind its end. What was resolved
 * stays so. */
bool read_stands(struct node_request *q, const struct replica *r)
{
    if (q->closing.ts != 0 || replica_read_holds(r, &q->read)) return true;
    COVER("read.lease_ended");
    read_confirm(q);
    return false;
}

struct read_mark read_mark(const struct node_request *q, struct replica *r)
{
    struct read_mark mark = {.mode = q->how->mode, .ts = q->read_ts};
    struct resolved resolved = replica_resolved(r);
    if (q->how->mode == READ_SNAPSHOT) {
        uint64_t newest_ms = host_newest_ts(q->node->host) >> TS_COUNTER_BITS, ms = q->read_ts >> TS_COUNTER_BITS;
        uint64_t behind = newest_ms > ms ? newest_ms - ms : 0;
        mark.staleness_ms = behind < STALENESS_UNKNOWN ? (uint32_t)behind : STALENESS_UNKNOWN - 1;
        return mark;
    }
    if (q->read_ts == LSM_TS_MAX) mark.ts = replica_last_ts(r) > resolved.ts ? replica_last_ts(r) : resolved.ts;
    mark.staleness_ms = q->was_confirmed ? 0 : age_ms(q->node, resolved);
    return mark;
}

/* --- another replica's call --- */

static void resolve_serve(struct node_request *q)
{
    struct resolve_reply reply = {.ts = q->closing.ts, .index = q->closing.index};
    struct buf payload;
    buf_init(&payload, 64);
    pack_resolve_reply(&payload, &reply);
    node_reply(q, buf_slice(&payload));
    buf_free(&payload);
}

void node_on_resolve(struct node *n, struct rpc_request *req)
{
    struct node_request *q = node_request_new(n, req);
    struct resolve_request request;
    arena_reset(&n->arena);
    if (unpack_resolve_request(req->params, &n->arena, &request) != STATUS_OK) {
        node_refuse(q, STATUS_INVALID, false, "not a resolve request");
        return;
    }
    struct replica *r = node_request_route(q, &request.to, false);
    if (r == NULL) return;
    q->how = &STRONG;
    q->serve = resolve_serve;
    q->term = raft_term(replica_raft(r));
    q->got_timestamp = snapshot_got_timestamp; /* read_ts 0: now */
    timestamps_ask(n, q);
}
