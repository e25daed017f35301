/* Who may speak for a group, and replicas of this host that go (docs/moves.md):
 *
 *   LEAVING -- nothing works on it any more --> DETACHED -- tombstone durable --> CUTTING -- rows gone --> CUT -- that is durable --> (end)
 *     mute                                       the replica is freed              excise of its rows     the tombstone without its span
 *
 * A host that starts and finds a tombstone with a span begins at DETACHED: so until there is one without, nobody may have rows there.
 * Rows of one that left before its parent split it off begin at STORING: until the split is durable the parent may need them again. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "raft/lease.h"
#include "range/keys_int.h"
#include "range/link_int.h"
#include "range/members_int.h"
#include "range/snapshot_int.h"

enum leaving_state { LEAVING_STORING, LEAVING_DETACHED, LEAVING_CUTTING, LEAVING_CUT };

struct leaving {
    struct list link;
    struct host *host;
    enum leaving_state state;
    uint64_t group, replica_id;
    uint64_t batch; /* the log batch that holds the tombstone; CUT: the one without a span */
    struct keys_dropping keys;
};

/* --- tombstones --- */

#define GONE_KEEP_MS 86400000u /* a day: no map that still names the replica is on its way for so long */
#define GONE_LOOK_MS 60000u

struct member_gone {
    uint64_t replica_id; /* none up to this one is ever made here again */
    uint64_t noted_ms;   /* in this life of the host */
};

/* 0: any may be. */
static uint64_t gone_up_to(const struct host *h, uint64_t group)
{
    const struct member_gone *g = map_get(&h->members.gone, group);
    return g == NULL ? 0 : g->replica_id;
}

void members_note_gone(struct host *h, uint64_t group, uint64_t replica_id)
{
    struct member_gone *g = map_get(&h->members.gone, group);
    if (g == NULL) {
        g = mem_zalloc(sizeof *g);
        map_put(&h->members.gone, group, g);
    }
    if (replica_id > g->replica_id) g->replica_id = replica_id;
    g->noted_ms = h->now_ms;
}

static bool is_leaving(const struct host *h, uint64_t group)
{
    LIST_FOR(it, &h->members.leaving)
    {
        if (LIST_ENTRY(it, struct leaving, link)->group == group) return true;
    }
    return false;
}

/* A host sees tens of thousands of ranges come and go: what it remembers of each goes, too. */
static void forget_gone(struct host *h)
{
    uint64_t group;
    void *value;
    if (h->now_ms < h->members.forget_at_ms) return;
    h->members.forget_at_ms = h->now_ms + GONE_LOOK_MS;
    for (size_t it = 0; map_next(&h->members.gone, &it, &group, &value);) {
        const struct member_gone *g = value;
        if (h->now_ms < g->noted_ms + GONE_KEEP_MS || is_leaving(h, group) || absorbed_is_kept(h, group)) continue;
        COVER("members.tombstone_forgotten");
        if (map_get(&h->replicas, group) == NULL) wal_put_group_dropped(h->wal, group);
        mem_free(map_remove(&h->members.gone, group));
    }
}

bool members_may_create(const struct host *h, uint64_t group, uint64_t replica_id)
{
    if (MUTANT(zombie_returns)) return true;
    return replica_id > gone_up_to(h, group) && !is_leaving(h, group); /* its rows are gone, too */
}

/* --- who sent it --- */

/* Messages of a replica that the descriptor does not name: of one that is gone, which is told so, or of one that is to come,
 * whose node is remembered. */
static bool stranger_may_speak(struct replica *r, uint64_t replica_id, uint64_t node_id)
{
    if (range_desc_is_gone(r->desc, replica_id)) {
        COVER("members.zombie");
        members_tell_gone(r, node_id, replica_id);
        return false;
    }
    struct members_hints *h = r->members.hints;
    if (h == NULL) h = r->members.hints = mem_zalloc(sizeof *h);
    for (size_t i = 0; i < MEMBERS_HINTS; i++) {
        if (h->items[i].replica_id == replica_id) return h->items[i].node_id == node_id;
    }
    h->items[h->next].replica_id = replica_id;
    h->items[h->next].node_id = node_id;
    h->next = (h->next + 1) % MEMBERS_HINTS;
    return true;
}

/* A message to a replica with a higher id than ours says that ours is gone: a node holds one of a range. */
static bool is_successor(const struct replica *r, uint64_t to)
{
    return to > r->id && to > RANGE_FIRST_REPLICAS;
}

bool members_address(struct replica *r, uint64_t to)
{
    if (to == r->id) return true;
    if (is_successor(r, to)) replica_leave(r, "its successor on this node is spoken to");
    return false;
}

void members_speak_for_gone(struct host *h, uint64_t from_node, uint64_t group, const struct raft_message *m)
{
    struct raft_message answer;
    if (MUTANT(gone_says_nothing) || m->to > gone_up_to(h, group) || is_leaving(h, group)) return;
    if (!raft_answer_for_destroyed(m, &answer)) return;
    COVER("members.poke_of_gone");
    link_send_to(h, from_node, group, &answer);
}

bool members_may_speak(struct replica *r, uint64_t replica_id, uint64_t node_id)
{
    for (size_t i = 0; i < r->desc->replica_count; i++) {
        if (r->desc->replicas[i].replica_id == replica_id) return r->desc->replicas[i].node_id == node_id;
    }
    return stranger_may_speak(r, replica_id, node_id);
}

void members_tell_gone(struct replica *r, uint64_t node_id, uint64_t replica_id)
{
    struct link *l = map_get(&r->host->links, node_id);
    if (l == NULL) return;
    struct buf b;
    buf_init(&b, 64);
    pack_replica_name(&b, &(struct replica_name){
                              .range_id = r->desc->id, .replica_id = replica_id, .conf_ver = r->desc->epoch.conf_ver});
    (void)link_notify(l, METHOD_GONE, buf_slice(&b));
    buf_free(&b);
}

void host_on_gone(struct host *h, struct rpc_request *req)
{
    struct replica_name m;
    arena_reset(&h->decode_arena);
    if (unpack_replica_name(req->params, &h->decode_arena, &m) == STATUS_OK)
        host_replica_gone(h, m.range_id, m.replica_id, m.conf_ver);
    rpc_request_drop(req);
}

void host_replica_gone(struct host *h, uint64_t group, uint64_t replica_id, uint64_t conf_ver)
{
    struct replica *r = map_get(&h->replicas, group);
    if (r == NULL || r->id != replica_id || conf_ver <= r->desc->epoch.conf_ver) return;
    replica_leave(r, "a member says that the range has gone on without it");
}

/* --- going --- */

void replica_leave(struct replica *r, const char *why)
{
    struct host *h = r->host;
    if (r->members.leaving) return;
    /* One that is to be born again has no rows to drop yet, and its parent may not go before it: both are told again. */
    if (r->unborn || r->applied < replica_lineage(r)->birth_floor) {
        COVER("members.leaves_later");
        return;
    }
    COVER("members.leave");
    log_event(h->env->log, LOG_INFO, "range.leaving", "range=%llu replica=%llu why=\"%s\"",
              (unsigned long long)r->desc->id, (unsigned long long)r->id, why);
    r->members.leaving = true;
    h->members.departures = true;
    if (r->leads) {
        r->leads = false;
        resolve_led(r, false);
        if (h->owner.leadership != NULL) h->owner.leadership(h->owner.ctx, r, false);
    }
    h->env->ops->wake(h->env);
}

size_t host_leaving_count(const struct host *h)
{
    size_t count = 0;
    LIST_FOR(it, &h->members.leaving)
    {
        count++;
    }
    return count;
}

static void leaving_free(struct leaving *l)
{
    keys_dropping_end(&l->keys);
    mem_free(l);
}

static void tombstone_put(struct host *h, uint64_t group, uint64_t replica_id, struct slice start, struct slice end)
{
    wal_put_group_dropped(h->wal, group);
    if (MUTANT(tombstone_forgotten)) return;
    gone_record_put(h->wal, group, &(struct gone_record){.replica_id = replica_id, .start = start, .end = end});
}

void members_tombstone(struct host *h, uint64_t group, uint64_t replica_id)
{
    tombstone_put(h, group, replica_id, SLICE_EMPTY, SLICE_EMPTY);
}

static void leaving_end(struct leaving *l)
{
    struct host *h = l->host;
    log_event(h->env->log, LOG_INFO, "range.left", "range=%llu replica=%llu", (unsigned long long)l->group,
              (unsigned long long)l->replica_id);
    list_remove(&l->link);
    leaving_free(l);
    h->env->ops->wake(h->env);
}

static void leaving_cut(void *ctx, enum status s)
{
    struct leaving *l = ctx;
    struct host *h = l->host;
    const struct gone_record rowless = {.replica_id = l->replica_id, .start = SLICE_EMPTY, .end = SLICE_EMPTY};
    if (s != STATUS_OK)
        h->env->ops->fatal(h->env, "the rows of a range that left cannot be dropped: the manifest cannot be written");
    if (s == STATUS_OK && !MUTANT(tombstone_forgotten)) gone_record_put(h->wal, l->group, &rowless);
    l->state = LEAVING_CUT;
    l->batch = h->batch_seq;
    if (MUTANT(keys_free_too_early)) leaving_end(l);
    h->env->ops->wake(h->env);
}

static void leaving_begin_cut(struct leaving *l)
{
    l->state = LEAVING_CUTTING;
    lsm_drop_group(l->host->lsm, l->group, l->keys.start, l->keys.end, leaving_cut, l);
}

static struct leaving *leaving_new(struct host *h, uint64_t group, uint64_t replica_id, struct slice start,
                                   struct slice end)
{
    struct leaving *l = mem_zalloc(sizeof *l);
    l->host = h;
    l->state = LEAVING_DETACHED;
    l->group = group;
    l->replica_id = replica_id;
    keys_dropping_begin(h, &l->keys, start, end);
    list_push_back(&h->members.leaving, &l->link);
    return l;
}

bool host_replica_departs(const struct host *h, uint64_t group)
{
    LIST_FOR(it, &h->members.leaving)
    {
        const struct leaving *l = LIST_ENTRY(it, struct leaving, link);
        if (l->group == group) return l->state == LEAVING_DETACHED;
    }
    return false;
}

static void recall(struct host *h, uint64_t group, uint64_t replica_id, struct slice start, struct slice end)
{
    members_note_gone(h, group, replica_id);
    leaving_new(h, group, replica_id, start, end)->batch = h->batch_seq;
    tombstone_put(h, group, replica_id, start, end);
}

void members_recall(struct host *h, uint64_t group, uint64_t replica_id, struct slice start, struct slice end)
{
    if (end.size == 0) {
        members_note_gone(h, group, replica_id);
        return;
    }
    COVER("members.cut_again");
    recall(h, group, replica_id, start, end);
}

void members_recall_left(struct host *h, uint64_t group, uint64_t replica_id, struct slice start, struct slice end)
{
    COVER("members.left_at_restart");
    recall(h, group, replica_id, start, end);
}

static void leaving_stored(void *ctx)
{
    struct leaving *l = ctx;
    l->state = LEAVING_DETACHED;
    l->batch = l->host->batch_seq;
    tombstone_put(l->host, l->group, l->replica_id, l->keys.start, l->keys.end);
}

/* Its tombstone, without a span, is in the log already: a crash before the next one leaves rows that are nobody's. */
void members_refuse_birth(struct host *h, const struct range_desc *d, uint64_t replica_id)
{
    struct buf start, end;
    COVER("members.left_unborn");
    buf_init(&start, LSM_KEY_MAX);
    buf_init(&end, LSM_KEY_MAX);
    range_desc_span(d, &start, &end);
    struct leaving *l = leaving_new(h, d->id, replica_id, buf_slice(&start), buf_slice(&end));
    l->state = LEAVING_STORING;
    lsm_flush(h->lsm, leaving_stored, l);
    buf_free(&start);
    buf_free(&end);
}

/* What a split has made goes only when the store holds the split. Else a crash has that applied again: it would make the
 * replica again, and the parent would find rows missing that it still had then. */
static bool split_is_durable(struct replica *r)
{
    uint64_t index, term;
    if (replica_lineage(r)->birth.group == 0 || r->applied == 0) return true;
    if (lsm_durable(r->host->lsm, r->desc->id, &index, &term)) return true;
    COVER("members.leave_newborn");
    host_flush(r->host);
    return false;
}

/* What was split off from it is made again, after a crash, by its log: until the store holds that. */
static bool children_are_durable(struct replica *r)
{
    uint64_t group;
    void *value;
    for (size_t it = 0; map_next(&r->host->replicas, &it, &group, &value);) {
        if (replica_lineage(value)->birth.group == r->desc->id && !split_is_durable(value)) return false;
    }
    return true;
}

/* Nothing that was begun for the replica may still come back to it. */
static bool detachable(struct replica *r)
{
    if (!split_is_durable(r)) return false;
    if (!children_are_durable(r) && !MUTANT(children_left_behind)) return false;
    if (r->sending != NULL) (void)snapshot_send_abort(r->sending);
    if (r->receiving != NULL) snapshot_recv_abort(r->receiving);
    return r->receiving == NULL && !r->apply_wait && r->state != REPLICA_CREATING;
}

static void detach(struct host *h, struct replica *r)
{
    struct slice start, end;
    replica_span(r, &start, &end);
    struct leaving *l = leaving_new(h, r->desc->id, r->id, start, end);
    l->batch = h->batch_seq;
    replica_fail_all(r, STATUS_NOT_LEADER, true);
    members_note_gone(h, l->group, l->replica_id);
    resolve_end(r);
    if (r->mark_slot != 0) h->filling.items[r->mark_slot - 1].group = 0; /* nobody is told */
    absorbed_leave(h, l->group);
    tombstone_put(h, l->group, l->replica_id, l->keys.start, l->keys.end);
    (void)map_remove(&h->replicas, l->group);
    replica_gone(r);
}

void members_pass(struct host *h)
{
    forget_gone(h);
    if (!h->members.departures) return;
    h->members.departures = false;
    uint64_t group;
    void *value;
    bool again = true;
    while (again) { /* the map changes under the walk */
        again = false;
        for (size_t it = 0; !again && map_next(&h->replicas, &it, &group, &value);) {
            struct replica *r = value;
            if (!r->members.leaving) continue;
            if (detachable(r)) {
                detach(h, r);
                again = true;
            } else {
                h->members.departures = true; /* looked at again in the next pass */
            }
        }
    }
}

struct unknown {
    struct host *host;
    bool any;
};

static void forget_unknown(void *ctx, uint64_t group, uint64_t index, uint64_t term)
{
    struct unknown *u = ctx;
    const struct replica *r = map_get(&u->host->replicas, group);
    bool without = r == NULL || (raft_blank(r->raft) && r->state != REPLICA_INSTALLING);
    (void)index;
    (void)term;
    if (group == HOST_GROUP || !without || is_leaving(u->host, group) || absorbed_is_kept(u->host, group)) return;
    u->any = true;
    lsm_group_forget(u->host->lsm, group);
}

/* Behind a lost log the store may know of replicas that nothing else here knows of, and the rows of one that the log had back as it was
 * made may be theirs. Before they are cut the store forgets how far those had come: they begin anew, with a snapshot. */
static bool forgets_first(struct leaving *l)
{
    struct unknown u = {.host = l->host};
    if (l->host->lost_below == 0 || MUTANT(cut_rows_remembered)) return false;
    lsm_each_group(l->host->lsm, forget_unknown, &u);
    if (!u.any) return false;
    COVER("members.forgets_first");
    l->state = LEAVING_STORING;
    lsm_flush(l->host->lsm, leaving_stored, l);
    return true;
}

void members_durable(struct host *h)
{
    LIST_FOR(it, &h->members.leaving)
    {
        struct leaving *l = LIST_ENTRY(it, struct leaving, link);
        if (l->batch >= h->batch_seq) continue;
        if (l->state == LEAVING_DETACHED) {
            if (!forgets_first(l)) leaving_begin_cut(l);
        } else if (l->state == LEAVING_CUT) {
            leaving_end(l);
        }
    }
}

void members_close(struct host *h)
{
    struct list *it;
    while ((it = list_pop_front(&h->members.leaving)) != NULL) leaving_free(LIST_ENTRY(it, struct leaving, link));
    uint64_t group;
    void *value;
    for (size_t i = 0; map_next(&h->members.gone, &i, &group, &value);) mem_free(value);
    map_free(&h->members.gone);
}
