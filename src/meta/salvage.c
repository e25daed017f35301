/* unsafe-recover: nodes are given up for ever, and of each range that has no quorum without them one replica goes on alone
 * (docs/recovery.md). Here is decided which, by what the nodes that are left have told; the replica itself looks once more
 * (range/reconfigure.c). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "meta/meta_int.h"
#include "range/members.h"
#include "range/state.h"

#define FRESH_NS                                                                                                       \
    (10000 * NS_PER_MS) /* a word about a replica without a leader counts so long: it comes every two seconds */
#define U(v) ((unsigned long long)(v))
#define SILENT_NS (10000 * NS_PER_MS) /* before that nobody is believed to be gone */

/* --- what nodes tell --- */

void orphans_clear(struct map *orphans)
{
    uint64_t id;
    void *value;
    for (size_t it = 0; map_next(orphans, &it, &id, &value);) {
        mem_free((void *)(uintptr_t)((struct meta_orphan *)value)->bytes.data);
        mem_free(value);
    }
    map_free(orphans);
    map_init(orphans);
}

void salvage_note(struct meta_node *n, const struct range_orphan *told, uint64_t now_ns)
{
    struct meta_orphan *o = map_get(&n->orphans, told->desc.id);
    if (o == NULL) {
        o = mem_zalloc(sizeof *o);
        map_put(&n->orphans, told->desc.id, o);
    }
    struct buf packed;
    struct arena arena;
    buf_init(&packed, LIMIT_FRAME_BYTES);
    arena_init(&arena, 64);
    pack_range_desc(&packed, &told->desc);
    size_t ahead = packed.size;
    if (told->ahead.replica_count > 0) pack_range_desc(&packed, &told->ahead);
    mem_free((void *)(uintptr_t)o->bytes.data);
    o->bytes = mem_dup_slice(buf_slice(&packed));
    o->told = *told;
    if (unpack_range_desc(slice_make(o->bytes.data, ahead), &arena, &o->told.desc) != STATUS_OK)
        BUG("packed a moment ago");
    if (told->ahead.replica_count > 0 && unpack_range_desc(slice_make(o->bytes.data + ahead, o->bytes.size - ahead),
                                                           &arena, &o->told.ahead) != STATUS_OK)
        BUG("packed a moment ago");
    o->heard_ns = now_ns;
    arena_free(&arena);
    buf_free(&packed);
}

/* --- the plan --- */

struct salvage {
    struct meta *meta;
    const struct meta_recover_request *asked;
    uint64_t now_ns, newest; /* newest: version or conf_ver that is known of any range */
    struct map seen;         /* range ids that have been looked at */
    struct recover_item *items;
    const struct range_desc **descs; /* of those that go on, like items; else NULL */
    size_t count, capacity;
};

static bool is_named(const struct salvage *s, uint64_t node_id)
{
    const struct meta_node *n = meta_state_node(&s->meta->state, node_id);
    if (n != NULL && n->lost_ms != 0) return true;
    for (size_t i = 0; i < s->asked->lost_count; i++) {
        if (s->asked->lost[i] == node_id) return true;
    }
    return false;
}

/* A node that was down while its replica was moved comes back with it. The map knows that it is gone: it is no candidate, and what
 * it says of the others counts for nothing. */
static const struct range_orphan *orphan_of(const struct salvage *s, const struct meta_node *n, uint64_t range_id)
{
    const struct meta_range *r = meta_state_range(&s->meta->state, range_id);
    const struct meta_orphan *o = map_get(&n->orphans, range_id);
    if (o == NULL || is_named(s, n->id) || s->now_ns - o->heard_ns >= FRESH_NS) return NULL;
    if (r == NULL || !range_desc_is_gone(&r->desc, o->told.replica_id)) return &o->told;
    COVER("salvage.gone");
    return NULL;
}

/* All that are named here or were given up before. */
static size_t all_named(const struct salvage *s, uint64_t *ids)
{
    size_t count = 0;
    for (size_t i = 0; i < s->meta->state.node_count; i++) {
        if (is_named(s, s->meta->state.nodes[i]->id)) ids[count++] = s->meta->state.nodes[i]->id;
    }
    return count;
}

static bool quorum_is_lost(const struct salvage *s, const struct range_desc *d)
{
    uint64_t *ids = arena_alloc(&s->meta->arena, (s->meta->state.node_count + 1) * sizeof *ids);
    return range_quorum_lost(d, ids, all_named(s, ids));
}

/* By its log: the last word counts, whether it was committed or not. */
static const struct range_desc *wants_votes_of(const struct range_orphan *o)
{
    return o->ahead.replica_count > 0 ? &o->ahead : &o->desc;
}

static bool log_is_longer(const struct range_orphan *a, const struct range_orphan *than)
{
    return a->last_term != than->last_term ? a->last_term > than->last_term : a->last_index > than->last_index;
}

/* Of one set of voters. One that has told nothing may vote for it; one with a longer log does not. */
static bool has_votes(const struct salvage *s, const struct range_orphan *o, enum range_role besides)
{
    const struct range_desc *d = wants_votes_of(o);
    size_t voters = 0, votes = 0;
    for (size_t i = 0; i < d->replica_count; i++) {
        if (d->replicas[i].role != RANGE_VOTER && d->replicas[i].role != besides) continue;
        const struct meta_node *n = meta_state_node(&s->meta->state, d->replicas[i].node_id);
        const struct range_orphan *word = n == NULL ? NULL : orphan_of(s, n, d->id);
        voters++;
        votes += n != NULL && !is_named(s, n->id) && (word == NULL || !log_is_longer(word, o));
    }
    return voters == 0 || votes >= voters / 2 + 1;
}

static bool can_be_elected(const struct salvage *s, const struct range_orphan *o)
{
    return has_votes(s, o, RANGE_INCOMING) && (!range_desc_joint(wants_votes_of(o)) || has_votes(s, o, RANGE_OUTGOING));
}

static bool is_voter(const struct range_orphan *o)
{
    for (size_t i = 0; i < o->desc.replica_count; i++) {
        if (o->desc.replicas[i].replica_id == o->replica_id) return o->desc.replicas[i].role != RANGE_LEARNER;
    }
    return false;
}

/* Raft's own order, among those that can lead at all; a learner only when nothing else is left. */
static bool is_better(const struct range_orphan *a, const struct range_orphan *than)
{
    if (a->whole != than->whole) return a->whole;
    if (log_is_longer(a, than)) return true;
    if (log_is_longer(than, a)) return false;
    return is_voter(a) && !is_voter(than);
}

static struct recover_item *item_add(struct salvage *s, uint64_t range_id, const struct range_desc *desc)
{
    ASSERT(s->count < s->capacity);
    s->descs[s->count] = desc;
    s->items[s->count] = (struct recover_item){.range_id = range_id, .text = SLICE_EMPTY};
    return &s->items[s->count++];
}

__attribute__((format(printf, 2, 3))) static struct slice text_of(const struct salvage *s, const char *format, ...)
{
    char *text = arena_alloc(&s->meta->arena, 200);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, 200, format, args);
    va_end(args);
    return slice_str(text);
}

/* One that may still hold something, and has told nothing; 0: nobody. */
static uint64_t who_is_missing(const struct salvage *s, const struct range_desc *d)
{
    for (size_t i = 0; i < d->replica_count; i++) {
        const struct meta_node *n = meta_state_node(&s->meta->state, d->replicas[i].node_id);
        if (is_named(s, d->replicas[i].node_id)) continue;
        if (n == NULL || orphan_of(s, n, d->id) == NULL) return d->replicas[i].node_id;
    }
    return 0;
}

static void look_at(struct salvage *s, uint64_t range_id)
{
    const struct meta_state *state = &s->meta->state;
    const struct meta_range *r = meta_state_range(state, range_id);
    const struct range_orphan *best = NULL;
    uint64_t node = 0;
    if (map_get(&s->seen, range_id) != NULL || (r != NULL && r->leader != 0)) return;
    for (size_t i = 0; i < state->node_count; i++) {
        const struct range_orphan *o = orphan_of(s, state->nodes[i], range_id);
        if (o == NULL) continue;
        if (can_be_elected(s, o)) {
            map_put(&s->seen, range_id, s);
            return;
        }
        if (best != NULL && !is_better(o, best)) continue;
        best = o;
        node = state->nodes[i]->id;
    }
    if (best == NULL) return; /* nobody who counts: the map's row is looked at */
    map_put(&s->seen, range_id, s);
    /* Whom the map knows of and the best one does not may have gone on without it. */
    const struct range_desc *d = wants_votes_of(best), *members = &best->desc;
    if (r != NULL && r->desc.epoch.conf_ver > d->epoch.conf_ver) d = members = &r->desc;
    if (!quorum_is_lost(s, d)) return;
    uint64_t missing =
        who_is_missing(s, members); /* a learner that nobody has committed was perhaps never told that it is one */
    struct recover_item *item = item_add(s, range_id, &best->desc);
    item->last_index = best->last_index;
    item->commit = best->commit;
    item->last_ts = best->last_ts;
    if (missing != 0) {
        item->text = text_of(s, "node %llu has told nothing of its replica: start it, or give it up, too", U(missing));
    } else if (!best->whole) {
        item->text = slice_str("what is left of it is damaged: nothing can go on from there; restore it from a backup");
    } else {
        item->node = node;
        item->text =
            text_of(s, "lost is whatever was acknowledged behind entry %llu, and nothing can tell what that was",
                    U(best->last_index));
    }
}

/* What the map alone knows of: nobody who is left holds a replica, or has said so. */
static void look_at_row(struct salvage *s, const struct range_desc *d)
{
    if (d->replica_count == 0 || map_get(&s->seen, d->id) != NULL || !quorum_is_lost(s, d)) return;
    uint64_t missing = who_is_missing(s, d);
    struct slice text = slice_str("no replica of it is left: restore it from a backup");
    for (size_t i = 0; i < s->count; i++) {
        if (s->items[i].node != 0 && range_desc_overlaps(s->descs[i], d))
            text = text_of(s, "what is left of its keys is in range %llu, which had not been split yet there",
                           U(s->items[i].range_id));
    }
    if (missing != 0)
        text = text_of(s, "node %llu has told nothing of its replica: start it, or give it up, too", U(missing));
    item_add(s, d->id, NULL)->text = text;
}

static void note_newest(struct salvage *s, const struct range_desc *d)
{
    if (d->replica_count == 0) return; /* destroyed */
    if (d->epoch.version > s->newest) s->newest = d->epoch.version;
    if (d->epoch.conf_ver > s->newest) s->newest = d->epoch.conf_ver;
}

static int by_range(const void *a, const void *b)
{
    const struct recover_item *x = a, *y = b;
    return x->range_id < y->range_id ? -1 : x->range_id > y->range_id;
}

static void plan(struct salvage *s)
{
    const struct meta_state *state = &s->meta->state;
    uint64_t id;
    void *value;
    s->capacity = state->range_count + 1;
    for (size_t i = 0; i < state->node_count; i++) s->capacity += state->nodes[i]->orphans.count;
    s->items = arena_alloc(&s->meta->arena, s->capacity * sizeof *s->items);
    s->descs = arena_alloc(&s->meta->arena, s->capacity * sizeof *s->descs);
    map_init(&s->seen);
    for (size_t i = 0; i < state->node_count; i++) {
        for (size_t it = 0; map_next(&state->nodes[i]->orphans, &it, &id, &value);) {
            note_newest(s, &((struct meta_orphan *)value)->told.desc);
            look_at(s, id);
        }
    }
    for (size_t i = 0; i < state->range_count; i++) {
        note_newest(s, &state->ranges[i]->desc);
        if (state->ranges[i]->leader == 0) look_at_row(s, &state->ranges[i]->desc);
    }
    map_free(&s->seen);
    qsort(s->items, s->count, sizeof *s->items, by_range); /* descs no longer fit them */
}

struct recover_item *salvage_plan(struct meta *m, const struct meta_recover_request *asked, uint64_t now_ns,
                                  size_t *count)
{
    struct salvage s = {.meta = m, .asked = asked, .now_ns = now_ns};
    plan(&s);
    *count = s.count;
    return s.items;
}

/* --- asked --- */

/* Why it cannot be done; empty: it can. */
static struct slice refusal(const struct salvage *s)
{
    const struct meta *m = s->meta;
    if (s->asked->lost_count == 0) return slice_str("it is not said which nodes never come back");
    for (size_t i = 0; i < s->asked->lost_count; i++) {
        const struct meta_node *n = meta_state_node(&m->state, s->asked->lost[i]);
        if (n == NULL) return text_of(s, "there is no node %llu", U(s->asked->lost[i]));
        if (n->lost_ms != 0) continue;
        uint64_t heard = n->heard_ns > m->leads_since_ns ? n->heard_ns : m->leads_since_ns;
        if (s->now_ns - heard < SILENT_NS)
            return text_of(
                s,
                "node %llu was heard of within the last 10 s, or the metadata service has a new leader: stop "
                "the node for good, wait, and ask again",
                U(n->id));
    }
    if (s->count == 0)
        return slice_str("every range has a quorum without these nodes, or a leader: there is nothing to recover from; "
                         "a dead node's replicas are replaced by themselves");
    return SLICE_EMPTY;
}

static void answer(struct rpc_request *req, const struct salvage *s, struct slice refused, bool begun)
{
    struct buf payload;
    buf_init(&payload, LIMIT_FRAME_BYTES - 65536);
    pack_meta_recover_reply(
        &payload,
        &(struct meta_recover_reply){
            .refused = refused.size > 0, .begun = begun, .text = refused, .items = s->items, .item_count = s->count});
    rpc_reply(req, &(struct reply_head){.status = STATUS_OK, .message = SLICE_EMPTY, .payload = buf_slice(&payload)});
    buf_free(&payload);
}

static void begin_all(struct salvage *s)
{
    struct meta *m = s->meta;
    char why[160];
    size_t at = (size_t)snprintf(why, sizeof why, "given up by an admin: nodes");
    for (size_t i = 0; i < s->asked->lost_count && at + 24 < sizeof why; i++)
        at += (size_t)snprintf(why + at, sizeof why - at, " %llu", (unsigned long long)s->asked->lost[i]);
    for (size_t i = 0; i < s->count; i++) {
        if (s->items[i].node == 0) continue;
        const struct meta_node *n = meta_state_node(&m->state, s->items[i].node);
        const struct range_orphan *o = orphan_of(s, n, s->items[i].range_id);
        ASSERT(o != NULL);
        operators_give_way(m, s->items[i].range_id);
        operators_begin(m, &(struct operator_row){.range_id = s->items[i].range_id,
                                                  .kind = OPERATOR_ALONE,
                                                  .to = s->items[i].node,
                                                  .conf_ver = o->desc.epoch.conf_ver,
                                                  .other = (s->newest / OPERATOR_EPOCH_STEP + 1) * OPERATOR_EPOCH_STEP,
                                                  .began_ms = env_wall_ms(m->env),
                                                  .why = slice_str(why),
                                                  .state = OPERATOR_RUNNING,
                                                  .how_ended = SLICE_EMPTY});
    }
}

/* --- giving up: a command first, so that it is durable before anything goes on alone --- */

struct giving_up {
    struct proposal proposal;
    struct meta *meta;
    struct rpc_request *req;
    uint64_t term;
};

static void given_up(struct proposal *p, enum status status, bool unknown, struct slice reply)
{
    (void)unknown;
    (void)reply;
    struct giving_up *g = LIST_ENTRY(p, struct giving_up, proposal);
    struct meta *m = g->meta;
    struct meta_recover_request asked;
    arena_reset(&m->arena);
    if (status != STATUS_OK || !m->leads || m->term != g->term ||
        unpack_meta_recover_request(g->req->params, &m->arena, &asked) != STATUS_OK) {
        rpc_reply_status(g->req, STATUS_RETRY, "the metadata service has another leader: ask again");
    } else {
        struct salvage s = {.meta = m, .asked = &asked, .now_ns = env_mono_ns(m->env)};
        plan(&s);
        begin_all(&s);
        answer(g->req, &s, SLICE_EMPTY, true);
    }
    m->requests--;
    mem_free(g);
}

static void give_up(struct meta *m, struct rpc_request *req, const struct meta_recover_request *asked)
{
    struct meta_command c = {.kind = META_CMD_GIVE_UP, .recover = *asked, .now_ms = env_wall_ms(m->env)};
    struct giving_up *g = mem_zalloc(sizeof *g);
    g->meta = m;
    g->req = req;
    g->term = m->term;
    g->proposal.done = given_up;
    g->proposal.deadline_ns = DEADLINE_NONE;
    list_init(&g->proposal.link);
    for (size_t i = 0; i < asked->lost_count; i++)
        log_event(m->env->log, LOG_WARN, "unsafe_recover.node", "node=%llu", (unsigned long long)asked->lost[i]);
    buf_clear(&m->scratch);
    meta_command_encode(&c, &m->scratch);
    enum status s = replica_propose(host_replica(m->host, META_GROUP), buf_slice(&m->scratch), &g->proposal);
    if (s == STATUS_OK) {
        m->requests++;
        return;
    }
    mem_free(g);
    rpc_reply_status(req, s, status_text(s));
}

void salvage_asked(struct meta *m, struct rpc_request *req)
{
    struct meta_recover_request asked;
    arena_reset(&m->arena);
    if (unpack_meta_recover_request(req->params, &m->arena, &asked) != STATUS_OK) {
        rpc_reply_status(req, STATUS_INVALID, "not a request for recovery");
        return;
    }
    struct salvage s = {.meta = m, .asked = &asked, .now_ns = env_mono_ns(m->env)};
    plan(&s);
    struct slice refused = refusal(&s);
    if (refused.size == 0 && asked.accept_loss) {
        give_up(m, req, &asked);
    } else {
        answer(req, &s, refused, false);
    }
}
