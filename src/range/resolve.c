/* Making resolved timestamps of the ranges that are led here, and telling peers of them in rounds: docs/reads.md. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "range/change_int.h"

#define ROUND_NS (200 * NS_PER_MS)
#define ROUND_PATIENCE_NS (200 * NS_PER_MS)
#define ROUND_CONFIRM_NS (1000 * NS_PER_MS)
#define TIMESTAMP_YOUNG_NS (100 * NS_PER_MS)

/* --- timestamps of the owner's --- */

void host_timestamps_asked(struct host *h, uint64_t now_ns)
{
    h->resolve.asked_ns = now_ns;
    uint64_t node;
    void *value;
    for (size_t it = 0; map_next(&h->links, &it, &node, &value);) {
        struct link_resolve *v = link_resolve(value);
        v->asked.life = v->stamp_life;
        v->asked.ns = v->stamp_ns;
    }
}

/* A round that asked in vain goes on with what there is. Whoever refuses does so at once: the next round asks again, not this one. */
void host_timestamps_came(struct host *h, uint64_t newest)
{
    uint64_t asked_ns = h->resolve.asked_ns;
    h->resolve.asked_ns = 0;
    if (newest <= h->resolve.issued.ts) {
        if (h->resolve.state == ROUND_ASKING && asked_ns >= h->resolve.begun_ns) h->resolve.next_ns = asked_ns;
        return;
    }
    h->resolve.issued = (struct resolved){.ts = newest, .since_ns = asked_ns};
    uint64_t node;
    void *value;
    for (size_t it = 0; map_next(&h->links, &it, &node, &value);) {
        struct link_resolve *v = link_resolve(value);
        v->issued = v->asked;
    }
}

bool host_wants_timestamp(const struct host *h)
{
    return h->resolve.state == ROUND_ASKING && h->resolve.asked_ns == 0 && !h->stopping;
}
struct resolved host_issued(const struct host *h)
{
    return h->resolve.issued;
}
uint64_t host_newest_ts(const struct host *h)
{
    uint64_t ts = h->resolve.issued.ts > h->resolve.heard_ts ? h->resolve.issued.ts : h->resolve.heard_ts;
    return ts > h->newest_ts ? ts : h->newest_ts;
}

/* --- closing --- */

void resolve_open(struct host *h)
{
    h->env->ops->random(h->env, &h->resolve.life, sizeof h->resolve.life);
    h->resolve.life |= 1;
    list_init(&h->resolve.led);
    list_init(&h->resolve.resting);
}

static struct resolve_leader *leader_of(struct replica *r)
{
    struct resolve_leader *v = r->resolve.leader;
    if (v != NULL) return v;
    v = r->resolve.leader = mem_zalloc(sizeof *v);
    v->replica = r;
    list_init(&v->wait.link);
    list_push_back(&r->host->resolve.led, &v->link);
    r->host->resolve.led_count++;
    return v;
}

void resolve_forget(struct replica *r) /* also while the host is taken apart */
{
    struct resolve_leader *v = r->resolve.leader;
    if (v == NULL) return;
    resolve_wake(r);
    list_remove(&v->wait.link);
    list_remove(&v->link);
    r->host->resolve.led_count--;
    mem_free(v);
    r->resolve.leader = NULL;
}

void resolve_void(struct link *l)
{
    COVER("resolve.ends_told");
    link_resolve(l)->whole = true;
}

/* Peers that reckon with what they were told of it are told all anew: of what is not named then, nothing stands. */
void resolve_end(struct replica *r)
{
    struct resolve_leader *v = r->resolve.leader;
    for (size_t i = 0; v != NULL && i < r->desc->replica_count; i++) {
        struct link *l = v->told[i] == 0 ? NULL : map_get(&r->host->links, r->desc->replicas[i].node_id);
        if (l != NULL) resolve_void(l);
    }
    resolve_forget(r);
}

size_t host_led_most(const struct host *h)
{
    return h->resolve.led_count;
}

void resolve_wake(struct replica *r)
{
    struct resolve_leader *v = r->resolve.leader;
    if (v == NULL || !v->resting) return;
    struct resolve_host *round = &r->host->resolve;
    v->resting = false;
    round->resting_count--;
    list_remove(&v->link);
    list_push_back(&round->led, &v->link);
    v->round = v->confirmed_round = round->number;
    v->closing.ts = round->rest.ts;
    v->closing.since_ns = round->rest.since_ns;
    if (v->closing.ts > v->closed_ts) v->closed_ts = v->closing.ts;
    resolved_note(&r->resolve.state, &v->closing, r->applied);
}

void resolve_wake_all(struct host *h)
{
    LIST_FOR(it, &h->resolve.resting)
    {
        resolve_wake(LIST_ENTRY(it, struct resolve_leader, link)->replica);
    }
}

void resolve_led(struct replica *r, bool leads)
{
    if (!leads && r->resolve.leader == NULL) return;
    struct resolve_leader *v = leader_of(r);
    resolve_wake(r);
    v->since_ns = leads ? env_mono_ns(r->host->env) : 0;
    v->closed_ts = 0;
    /* What peers were told stands until they are told otherwise: they reckon with it. */
    if (MUTANT(drop_forgotten)) memset(v->told, 0, sizeof v->told);
}

/* A range that was split off: what is resolved of its rows, and since when their past is known, at its first index. */
void resolve_inherit(struct replica *child, const struct replica *parent)
{
    const struct resolved_state *from = &parent->resolve.state;
    struct resolved_state *to = &child->resolve.state;
    resolved_free(to);
    *to = (struct resolved_state){.now = from->now, .floor_ts = from->floor_ts, .floor_index = BIRTH_INDEX};
    to->now.index = BIRTH_INDEX;
}

/* Two ranges become one. What was resolved of the left one's log is so for the right one's rows, which ended before; what is
 * not known of the right one's past is not known of the whole. */
void resolve_join(struct replica *left, const struct replica *right, uint64_t index)
{
    struct resolved_state *to = &left->resolve.state;
    uint64_t floor_ts = right->resolve.state.floor_ts;
    if (floor_ts <= to->floor_ts) return;
    to->floor_ts = floor_ts;
    to->floor_index = index;
}

uint64_t replica_led_since_ns(const struct replica *r)
{
    return r->resolve.leader != NULL ? r->resolve.leader->since_ns : 0;
}

uint64_t resolve_closed_ts(const struct replica *r)
{
    const struct resolve_leader *v = r->resolve.leader;
    if (v == NULL) return 0;
    uint64_t rest_ts = v->resting ? r->host->resolve.rest.ts : 0;
    return rest_ts > v->closed_ts ? rest_ts : v->closed_ts;
}

/* From now on nothing at or below ts is proposed; w: a read that confirms the leadership of this very term. */
static void close_at(struct replica *r, uint64_t ts, struct read_wait *w)
{
    replica_raise(r, ts);
    w->term = raft_term(r->raft);
}

enum status replica_close(struct replica *r, uint64_t ts, struct read_wait *w)
{
    if (!replica_leads(r)) return STATUS_NOT_LEADER;
    close_at(r, ts, w);
    w->index = raft_last_index(r->raft);
    return replica_read(r, w);
}

void replica_raise(struct replica *r, uint64_t ts)
{
    struct resolve_leader *v = leader_of(r);
    resolve_wake(r);
    if (ts > v->closed_ts) v->closed_ts = ts;
}

/* --- what is known here --- */

/* Reckons what the leader's node last told, if it stands; at rest, what the last round resolved. */
static void resolve_fold(struct replica *r)
{
    struct resolve_replica *v = &r->resolve;
    if (v->leader != NULL && v->leader->resting) {
        struct resolved rest = r->host->resolve.rest;
        rest.index = v->leader->closing.index;
        resolved_note(&v->state, &rest, r->applied);
    }
    struct link *l = v->cover_node == 0 ? NULL : map_get(&r->host->links, v->cover_node);
    if (l == NULL || link_resolve(l)->cover_life != v->cover_life) {
        v->cover_node = 0;
        return;
    }
    struct resolved newest = link_resolve(l)->newest;
    newest.index = v->cover_index;
    resolved_note(&v->state, &newest, r->applied);
}

void replica_note_resolved(struct replica *r, const struct resolved *resolved)
{
    resolved_note(&r->resolve.state, resolved, r->applied);
}

struct resolved replica_resolved(struct replica *r)
{
    resolve_fold(r);
    return r->resolve.state.now;
}

uint64_t replica_newest_bound(const struct replica *r)
{
    uint64_t floor = r->resolve.state.floor_ts;
    return floor == RESOLVED_NO_FLOOR || floor > r->last_ts ? floor : r->last_ts;
}

void replica_resolve_now(struct replica *r)
{
    struct resolved closing = r->host->resolve.issued;
    struct resolve_leader *v = r->resolve.leader;
    if (!replica_leads(r) || v == NULL || closing.ts == 0 || closing.since_ns <= v->since_ns) return;
    if (r->state != REPLICA_RUNNING || env_mono_ns(r->host->env) >= replica_lease_until_ns(r)) return;
    replica_raise(r, closing.ts);
    closing.index = raft_last_index(r->raft);
    resolved_note(&r->resolve.state, &closing, r->applied);
}

uint64_t replica_applied(const struct replica *r)
{
    return r->applied;
}

/* --- a round --- */

static void round_confirmed(struct read_wait *w, enum status s)
{
    struct resolve_leader *v = LIST_ENTRY(w, struct resolve_leader, wait);
    struct replica *r = v->replica;
    struct resolve_host *round = &r->host->resolve;
    bool present = v->round == round->number && round->state == ROUND_CONFIRMING;
    v->busy = false;
    if (present) {
        ASSERT(round->pending > 0);
        if (--round->pending == 0) r->host->env->ops->wake(r->host->env);
    }
    if (s != STATUS_OK) return;
    v->confirmed_round = v->round;
    resolved_note(&r->resolve.state, &v->closing, r->applied);
}

/* The entries that a timestamp may be below: all that the log has, committed or not. */
static uint64_t tail_index(const struct replica *r)
{
    return MUTANT(resolved_without_tail) ? raft_commit(r->raft) : raft_last_index(r->raft);
}

/* Under the lease the clock, read after the timestamp came, confirms the leadership: no list is touched for a range at rest. */
static bool round_close_at_once(struct replica *r, struct resolve_leader *v, uint64_t now_ns)
{
    bool holds = r->state == REPLICA_RUNNING && now_ns < replica_lease_until_ns(r);
    if (!holds && !MUTANT(resolved_unconfirmed)) return false;
    v->closing = r->host->resolve.at;
    v->closing.index = tail_index(r);
    if (v->closing.ts > v->closed_ts) v->closed_ts = v->closing.ts;
    v->round = v->confirmed_round = r->host->resolve.number;
    resolved_note(&r->resolve.state, &v->closing, r->applied);
    return true;
}

static void round_close(struct resolve_leader *v, uint64_t now_ns)
{
    struct replica *r = v->replica;
    struct resolve_host *round = &r->host->resolve;
    if (!replica_leads(r) || v->busy) return;
    if (round->at.since_ns <= v->since_ns) return; /* the timestamp was asked for before this replica led */
    if (round_close_at_once(r, v, now_ns)) return;
    v->closing = round->at;
    v->closing.index = tail_index(r);
    close_at(r, round->at.ts, &v->wait);
    v->wait.index = 0; /* to be told it need not be applied here */
    v->wait.ready = round_confirmed;
    v->wait.deadline_ns = now_ns + ROUND_CONFIRM_NS;
    v->round = round->number;
    v->busy = true;
    round->pending++;
    if (replica_read(r, &v->wait) != STATUS_OK) {
        v->busy = false;
        round->pending--;
    }
}

/* Is each support that is held good beyond now_ns? Then so are the leases of those at rest, which count on some of them. */
static bool supports_last(const struct host *h, uint64_t now_ns)
{
    uint64_t node;
    void *value;
    for (size_t it = 0; map_next(&h->links, &it, &node, &value);) {
        const struct liveness *l = link_liveness(value);
        if (liveness_held(l) != 0 && now_ns >= l->lease_until_ns) return false;
    }
    return true;
}

static void round_begin(struct host *h, uint64_t now_ns)
{
    struct resolve_host *round = &h->resolve;
    uint64_t key;
    void *value;
    round->state = ROUND_CONFIRMING;
    round->next_ns = now_ns + ROUND_PATIENCE_NS;
    round->pending = 0;
    if (round->issued.ts == round->at.ts) return; /* nothing newer: only the peers' clocks are told */
    round->at = round->issued;
    round->number++;
    for (size_t it = 0; map_next(&h->links, &it, &key, &value);) {
        struct link_resolve *v = link_resolve(value);
        v->round = v->issued;
    }
    now_ns = env_mono_ns(h->env);
    if (!supports_last(h, now_ns)) resolve_wake_all(h);
    round->rest = round->at;
    LIST_FOR(it, &round->led)
    {
        round_close(LIST_ENTRY(it, struct resolve_leader, link), now_ns);
    }
}

/* The index at which the range is resolved in the present round; 0: it is not. */
static uint64_t round_index(const struct resolve_leader *v)
{
    const struct replica *r = v->replica;
    bool resolved = v->resting || (!v->busy && v->confirmed_round == r->host->resolve.number);
    return resolved && r->leads ? v->closing.index : 0;
}

static void news_of_replica(struct resolved_news *news, struct resolve_leader *v, uint64_t node_id)
{
    const struct replica *r = v->replica;
    const struct range_replica *other = range_desc_replica(r->desc, node_id);
    if (other == NULL) return;
    uint64_t *told = &v->told[other - r->desc->replicas];
    uint64_t index = round_index(v);
    if (index != 0 && (news->whole || *told != index)) {
        news->changed[news->changed_count++] = (struct resolved_item){.group = r->desc->id, .index = index};
    } else if (index == 0 && *told != 0 && !news->whole) {
        news->dropped[news->dropped_count++] = r->desc->id;
    }
    *told = index;
}

static void news_of_list(struct resolved_news *news, struct list *leaders, uint64_t node_id)
{
    LIST_FOR(it, leaders)
    {
        news_of_replica(news, LIST_ENTRY(it, struct resolve_leader, link), node_id);
    }
}

static void round_tell_link(struct host *h, struct link *l, uint64_t now_ns)
{
    struct link_resolve *v = link_resolve(l);
    if (!link_connected(l)) {
        v->whole = true;
        return;
    }
    struct resolved_news news = {.life = h->resolve.life,
                                 .seq = ++v->seq,
                                 .stamp_ns = now_ns,
                                 .echo_life = v->round.life,
                                 .echo_ns = v->round.ns,
                                 .ts = h->resolve.at.ts,
                                 .whole = v->whole,
                                 .want_whole = v->want_whole};
    arena_reset(&h->decode_arena);
    size_t most = (v->whole ? h->resolve.led_count : h->resolve.led_count - h->resolve.resting_count) + 1;
    news.changed = arena_alloc(&h->decode_arena, most * sizeof *news.changed);
    news.dropped = arena_alloc(&h->decode_arena, most * sizeof *news.dropped);
    news_of_list(&news, &h->resolve.led, link_node(l));
    if (v->whole) news_of_list(&news, &h->resolve.resting, link_node(l));
    struct buf b;
    buf_init(&b, LIMIT_FRAME_BYTES - 65536);
    pack_resolved_news(&b, &news);
    v->whole = b.overflow || !link_notify(l, METHOD_RESOLVED, buf_slice(&b));
    buf_free(&b);
}

/* Does every other replica know this index? */
static bool all_told(const struct resolve_leader *v, uint64_t index)
{
    const struct range_desc *d = v->replica->desc;
    for (size_t i = 0; i < d->replica_count; i++) {
        if (d->replicas[i].replica_id != v->replica->id && v->told[i] != index) return false;
    }
    return true;
}

/* At the end of a round: may it rest, or be forgotten? */
static void round_leave(struct resolve_leader *v)
{
    struct replica *r = v->replica;
    uint64_t index = round_index(v);
    if (index == 0) {
        if (!r->leads && !v->busy && all_told(v, 0)) resolve_forget(r);
        return;
    }
    bool quiet =
        list_empty(&r->ready_link) && raft_deadline_ms(r->raft) == UINT64_MAX && raft_last_index(r->raft) == index;
    if (!quiet || !all_told(v, index) || !replica_has_lease(r)) return;
    COVER("resolve.rest");
    v->resting = true;
    r->host->resolve.resting_count++;
    list_remove(&v->link);
    list_push_back(&r->host->resolve.resting, &v->link);
}

static void round_tell(struct host *h, uint64_t now_ns)
{
    uint64_t node;
    void *value;
    for (size_t it = 0; map_next(&h->links, &it, &node, &value);) round_tell_link(h, value, now_ns);
    LIST_FOR(it, &h->resolve.led)
    {
        round_leave(LIST_ENTRY(it, struct resolve_leader, link));
    }
    h->resolve.state = ROUND_IDLE;
    h->resolve.next_ns = h->resolve.begun_ns + ROUND_NS;
}

uint64_t host_resolve_pass(struct host *h, uint64_t now_ns)
{
    struct resolve_host *round = &h->resolve;
    if (h->env->dead || h->stopping) return DEADLINE_NONE;
    if (round->state == ROUND_IDLE && now_ns >= round->next_ns) {
        round->state = ROUND_ASKING;
        round->begun_ns = now_ns;
        round->next_ns = now_ns + ROUND_PATIENCE_NS;
        if (round->led_count == 0) round->next_ns = now_ns; /* nothing to close */
    }
    if (round->state == ROUND_ASKING) {
        bool young = round->issued.ts != 0 && round->issued.since_ns + TIMESTAMP_YOUNG_NS > round->begun_ns;
        if (young || now_ns >= round->next_ns) round_begin(h, now_ns);
    }
    if (round->state == ROUND_CONFIRMING && (round->pending == 0 || now_ns >= round->next_ns)) round_tell(h, now_ns);
    return round->next_ns;
}

/* --- news of peers --- */

static void take_news(struct host *h, struct link *l, const struct resolved_news *news)
{
    struct link_resolve *v = link_resolve(l);
    for (size_t i = 0; i < news->dropped_count; i++) {
        struct replica *r = map_get(&h->replicas, news->dropped[i]);
        if (r == NULL || r->resolve.cover_node != link_node(l)) continue;
        resolve_fold(r);
        r->resolve.cover_node = 0;
    }
    for (size_t i = 0; i < news->changed_count; i++) {
        struct replica *r = map_get(&h->replicas, news->changed[i].group);
        if (r == NULL) continue;
        resolve_fold(r);
        r->resolve.cover_node = link_node(l);
        r->resolve.cover_life = v->cover_life;
        r->resolve.cover_index = news->changed[i].index;
    }
    v->newest = (struct resolved){.ts = news->ts, .since_ns = news->echo_life == h->resolve.life ? news->echo_ns : 0};
    if (news->ts > h->resolve.heard_ts) h->resolve.heard_ts = news->ts;
}

void host_on_resolved(struct host *h, struct rpc_request *req)
{
    struct resolved_news news;
    struct link *l = map_get(&h->links, req->peer_node_id);
    arena_reset(&h->decode_arena);
    if (l == NULL || unpack_resolved_news(req->params, &h->decode_arena, &news) != STATUS_OK) {
        rpc_request_drop(req);
        return;
    }
    struct link_resolve *v = link_resolve(l);
    bool follows = news.life == v->from_life && news.seq == v->from_seq + 1;
    v->from_life = news.life;
    v->from_seq = news.seq;
    v->stamp_life = news.life;
    v->stamp_ns = news.stamp_ns;
    if (news.want_whole) v->whole = true;
    if (news.whole || !follows) v->cover_life++; /* what was told before is void */
    if (news.whole) v->want_whole = false;
    if (!news.whole && !follows) {
        COVER("resolve.gap");
        v->want_whole = true;
    }
    if (!v->want_whole) take_news(h, l, &news);
    rpc_request_drop(req);
}
