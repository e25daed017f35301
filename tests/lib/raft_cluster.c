#include "lib/raft_cluster.h"

#include "base/hash.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define U(v) ((unsigned long long)(v))

/* A property is violated: nothing after this means anything. The seed replays it. */
_Noreturn void raft_cluster_violated(const struct raft_cluster *c, const struct rc_node *n, const char *what,
                                     uint64_t a, uint64_t b)
{
    struct buf line;
    buf_init(&line, 4096);
    if (n != NULL && n->raft != NULL) raft_describe(n->raft, &line);
    fprintf(stderr, "raft property violated: %s (%llu, %llu) replica=%llu SEED=%llu now=%llu\n%.*s\n", what, U(a), U(b),
            U(n != NULL ? n->id : 0), U(c->seed), U(c->now_ms), (int)line.size, (const char *)line.data);
    fflush(stderr);
    abort();
}

/* Grows an array to hold one more. */
static void *grown(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) return items;
    *capacity = *capacity == 0 ? 16 : *capacity * 2;
    return mem_realloc(items, *capacity * size);
}

struct rc_node *raft_cluster_node(struct raft_cluster *c, uint64_t id)
{
    if (id == 0 || id > c->node_count) raft_cluster_violated(c, NULL, "no such replica", id, 0);
    return &c->nodes[id - 1];
}

/* --- the disk --- */

static uint64_t disk_last(const struct rc_node *n)
{
    return n->disk_base + n->disk_count;
}

static uint64_t disk_term(const struct rc_node *n, uint64_t index)
{
    if (index == n->disk_base) return n->disk_base_term;
    if (index < n->disk_base || index > disk_last(n)) return 0;
    return n->disk[index - n->disk_base - 1].term;
}

static void disk_reset(struct rc_node *n, uint64_t index, uint64_t term)
{
    n->disk_count = 0;
    n->disk_base = index;
    n->disk_base_term = term;
}

/* As a log is recovered: a later entry replaces everything from its index on. */
static void disk_put(struct raft_cluster *c, struct rc_node *n, const struct raft_entry *e)
{
    if (e->index <= n->disk_base) return;
    if (e->index > disk_last(n) + 1) raft_cluster_violated(c, n, "gap in the disk's log", e->index, disk_last(n));
    n->disk_count = e->index - n->disk_base - 1;
    n->disk = grown(n->disk, n->disk_count, &n->disk_capacity, sizeof(*n->disk));
    n->disk[n->disk_count++] = *e;
}

static void disk_trim(struct rc_node *n, uint64_t index, uint64_t term)
{
    if (index <= n->disk_base) return;
    if (disk_last(n) <= index) {
        disk_reset(n, index, term);
        return;
    }
    size_t gone = index - n->disk_base;
    n->disk_base_term = disk_term(n, index);
    memmove(n->disk, n->disk + gone, (n->disk_count - gone) * sizeof(*n->disk));
    n->disk_count -= gone;
    n->disk_base = index;
}

static void disk_write(struct raft_cluster *c, struct rc_node *n, const struct rc_batch *b)
{
    if (b->reset) disk_reset(n, b->reset_index, b->reset_term);
    for (size_t i = 0; i < b->count; i++) disk_put(c, n, &b->entries[i]);
    if (b->has_hard) n->disk_hard = b->hard;
    if (b->recovered) n->disk_recovering = false;
}

/* What a replica acknowledged before it lost it may still be counted: to the group it is one that is down. */
static bool is_durable(const struct rc_node *n, uint64_t index, uint64_t term)
{
    if (n->disk_recovering && index <= n->lost_last) return true;
    return index <= n->durable_store.index || disk_term(n, index) == term;
}

/* Is it there now, and will it be whichever of the batches under way arrive? */
static bool stays_durable(const struct rc_node *n, uint64_t index, uint64_t term)
{
    if (index <= n->durable_store.index) return true;
    if (disk_term(n, index) != term) return false;
    for (size_t i = 0; i < n->batch_count; i++) {
        const struct rc_batch *b = &n->batches[i];
        bool holds = false;
        for (size_t k = 0; k < b->count; k++) {
            if (b->entries[k].index == index) holds = b->entries[k].term == term;
        }
        bool cuts = b->reset || (b->count > 0 && b->entries[0].index <= index);
        if (cuts && !holds) return false;
    }
    return true;
}

/* --- what is checked --- */

static bool durable_on_majority(struct raft_cluster *c, const uint64_t *ids, unsigned count, uint64_t index,
                                uint64_t term)
{
    unsigned have = 0;
    for (unsigned i = 0; i < count; i++) {
        if (is_durable(raft_cluster_node(c, ids[i]), index, term)) have++;
    }
    return have > count / 2;
}

static void check_committed(struct raft_cluster *c, struct rc_node *n, uint64_t index, uint64_t term)
{
    if (raft_role(n->raft) != RAFT_LEADER) return;
    if (term != raft_term(n->raft))
        raft_cluster_violated(c, n, "leader committed by counting an older term's entry", index, term);
    const struct raft_config *g = raft_config_now(n->raft);
    if (!durable_on_majority(c, g->voters, g->voter_count, index, term))
        raft_cluster_violated(c, n, "commit not durable", index, term);
    if (g->old_voter_count == 0) return;
    if (!durable_on_majority(c, g->old_voters, g->old_voter_count, index, term)) {
        raft_cluster_violated(c, n, "commit not durable in the old majority", index, term);
    }
}

static void note_committed(struct raft_cluster *c, struct rc_node *n, uint64_t index, uint64_t term, uint64_t chain)
{
    if (index <= c->committed_count) {
        const struct rc_committed *known = &c->committed[index - 1];
        if (known->term != term) raft_cluster_violated(c, n, "committed entry changed", index, term);
        if (known->chain != chain) raft_cluster_violated(c, n, "applied sequences differ", index, term);
        return;
    }
    if (index != c->committed_count + 1)
        raft_cluster_violated(c, n, "commit skipped an entry", index, c->committed_count);
    c->committed = grown(c->committed, c->committed_count, &c->committed_capacity, sizeof(*c->committed));
    c->committed[c->committed_count++] =
        (struct rc_committed){.term = term, .chain = chain, .seen_in = raft_term(n->raft)};
}

static void check_new_leader(struct raft_cluster *c, struct rc_node *n)
{
    uint64_t term = raft_term(n->raft);
    void *known = map_put(&c->leaders, term, (void *)(uintptr_t)n->id);
    if (known != NULL && (uintptr_t)known != n->id)
        raft_cluster_violated(c, n, "two leaders in a term", term, (uintptr_t)known);
    if (known != NULL) return;
    for (uint64_t i = raft_first_index(n->raft); i <= c->committed_count; i++) {
        const struct rc_committed *e = &c->committed[i - 1];
        if (e->seen_in > term) return; /* by a leader of a later term: this one was elected by votes long under way */
        if (raft_term_at(n->raft, i) != e->term)
            raft_cluster_violated(c, n, "leader lacks a committed entry", i, e->term);
    }
}

static void check_promise(struct raft_cluster *c, struct rc_node *n, uint64_t term, uint64_t candidate)
{
    void *known = map_put(&c->votes, term * 16 + n->id, (void *)(uintptr_t)candidate);
    if (known != NULL && (uintptr_t)known != candidate)
        raft_cluster_violated(c, n, "two votes in a term", term, candidate);
    if (n->disk_hard.term != term || n->disk_hard.vote != candidate) {
        raft_cluster_violated(c, n, "vote sent before it was durable", term, candidate);
    }
}

static void check_message(struct raft_cluster *c, struct rc_node *n, const struct raft_message *m)
{
    bool pre = m->type == RAFT_MSG_PRE_VOTE || m->type == RAFT_MSG_PRE_VOTE_REPLY;
    if (!pre && n->disk_hard.term < m->term)
        raft_cluster_violated(c, n, "message of a term that is not durable", m->term, m->type);
    if (m->type == RAFT_MSG_VOTE) check_promise(c, n, m->term, n->id);
    if (m->type == RAFT_MSG_VOTE_REPLY && !m->reject) check_promise(c, n, m->term, m->to);
    if (m->type == RAFT_MSG_APPEND_REPLY && !m->reject && m->index > 0) {
        uint64_t term = raft_term_at(n->raft, m->index);
        if (!stays_durable(n, m->index, term))
            raft_cluster_violated(c, n, "acknowledged what is not durable", m->index, term);
    }
}

static uint64_t entry_content(const struct raft_entry *e, uint64_t term_before)
{
    return hash_bytes(e->data, term_before * 4 + (uint64_t)e->type) | 1;
}

static void check_log_matching(struct raft_cluster *c, struct rc_node *n, const struct raft_entry *e)
{
    uint64_t content = entry_content(e, raft_term_at(n->raft, e->index - 1));
    void *known = map_put(&c->contents, e->index << 32 | e->term, (void *)(uintptr_t)content);
    if (known != NULL && (uintptr_t)known != content)
        raft_cluster_violated(c, n, "logs do not match", e->index, e->term);
}

/* --- effects --- */

static void trace_message(struct raft_cluster *c, const char *verb, const struct raft_message *m)
{
    if (c->trace == NULL) return;
    buf_printf(c->trace, "%s ", verb);
    raft_cluster_message_text(m, c->trace);
    buf_append_byte(c->trace, '\n');
}

static struct raft_entry kept_entry(struct raft_cluster *c, const struct raft_entry *e)
{
    struct raft_entry copy = *e;
    copy.data = arena_dup_slice(&c->arena, e->data);
    return copy;
}

static void queue_message(struct raft_cluster *c, const struct rc_message *m)
{
    if (m->m.to > c->node_count) return; /* to a stranger that a script has made up */
    if (!m->is_snapshot && c->cut[m->m.from][m->m.to])
        return; /* a transfer fails when it is delivered: the host hears of it */
    c->messages = grown(c->messages, c->message_count, &c->message_capacity, sizeof(*c->messages));
    c->messages[c->message_count++] = *m;
}

static void take_message(struct raft_cluster *c, struct rc_node *n, const struct raft_message *m)
{
    check_message(c, n, m);
    trace_message(c, "send", m);
    struct rc_message copy = {.m = *m, .life = n->lives};
    struct raft_entry *entries = arena_alloc(&c->arena, m->entry_count * sizeof(*entries) + 1);
    for (size_t i = 0; i < m->entry_count; i++) entries[i] = kept_entry(c, &m->entries[i]);
    copy.m.entries = entries;
    queue_message(c, &copy);
}

static void take_batch(struct raft_cluster *c, struct rc_node *n, const struct rc_batch *with)
{
    const struct raft_effects *fx = &n->fx;
    struct rc_batch b = *with;
    if (!fx->persist_hard_state && fx->append_from == 0 && !fx->must_sync && !b.reset) return;
    b.has_hard = fx->persist_hard_state;
    b.hard = raft_hard_state_now(n->raft);
    b.has_mark = fx->must_sync;
    b.mark = fx->mark;
    b.recovered = fx->recovered;
    if (b.recovered && !b.has_mark) raft_cluster_violated(c, n, "recovered without a mark", 0, 0);
    if (fx->append_from > 0) {
        b.count = (size_t)(fx->append_to - fx->append_from + 1);
        b.entries = arena_alloc(&c->arena, b.count * sizeof(*b.entries));
        for (size_t i = 0; i < b.count; i++) {
            const struct raft_entry *e = raft_entry_at(n->raft, fx->append_from + i);
            if (e == NULL)
                raft_cluster_violated(c, n, "entry to persist is not in memory", fx->append_from + i, fx->append_to);
            check_log_matching(c, n, e);
            b.entries[i] = kept_entry(c, e);
        }
    }
    n->batches = grown(n->batches, n->batch_count, &n->batch_capacity, sizeof(*n->batches));
    n->batches[n->batch_count++] = b;
    if (c->trace == NULL) return;
    buf_printf(c->trace, "%llu: write", U(n->id));
    if (b.reset) buf_printf(c->trace, " reset=%llu/%llu", U(b.reset_index), U(b.reset_term));
    if (b.count > 0) buf_printf(c->trace, " entries=%llu..%llu", U(fx->append_from), U(fx->append_to));
    if (b.has_hard)
        buf_printf(c->trace, " term=%llu vote=%llu commit=%llu", U(b.hard.term), U(b.hard.vote), U(b.hard.commit));
    if (b.has_mark) buf_printf(c->trace, " mark=%llu", U(b.mark.seq));
    if (b.recovered) buf_append_str(c->trace, " recovered");
    buf_append_byte(c->trace, '\n');
}

static void take_read(struct raft_cluster *c, struct rc_node *n, const struct raft_read_ready *ready)
{
    if (c->trace != NULL) {
        buf_printf(c->trace, "%llu: read %llu %s index=%llu\n", U(n->id), U(ready->context), status_name(ready->status),
                   U(ready->index));
    }
    for (size_t i = 0; i < c->read_count; i++) {
        struct rc_read *q = &c->reads[i];
        if (q->node != n->id || q->life != n->lives || q->context != ready->context) continue;
        if (q->done) raft_cluster_violated(c, n, "read answered twice", ready->context, ready->index);
        q->done = true;
        if (ready->status == STATUS_OK) {
            if (ready->index < q->floor) raft_cluster_violated(c, n, "stale read", ready->index, q->floor);
            c->reads_ok++;
        } else {
            c->reads_failed++;
        }
        return;
    }
    raft_cluster_violated(c, n, "answer to a read that nobody asked", ready->context, ready->index);
}

static void send_snapshot(struct raft_cluster *c, struct rc_node *n, uint64_t to)
{
    if (c->trace != NULL) {
        buf_printf(c->trace, "%llu: snapshot to=%llu index=%llu/%llu\n", U(n->id), U(to), U(n->store.index),
                   U(n->store.term));
    }
    struct rc_message s = {.is_snapshot = true, .snapshot = n->store, .life = n->lives};
    s.m = (struct raft_message){.type = RAFT_MSG_SNAPSHOT,
                                .from = n->id,
                                .to = to,
                                .term = raft_term(n->raft),
                                .index = n->store.index,
                                .log_term = n->store.term};
    queue_message(c, &s);
}

static void apply_one(struct raft_cluster *c, struct rc_node *n, const struct raft_entry *e)
{
    struct rc_store *s = &n->store;
    if (e->index != s->index + 1) raft_cluster_violated(c, n, "applied out of order", e->index, s->index);
    s->chain = hash_u64(s->chain ^ entry_content(e, s->term));
    s->index = e->index;
    s->term = e->term;
    if (e->type == RAFT_ENTRY_CONFIG && raft_config_decode(e->data, &s->config) != STATUS_OK) {
        raft_cluster_violated(c, n, "configuration entry does not decode", e->index, e->term);
    }
    note_committed(c, n, e->index, e->term, s->chain);
}

static void take_commit(struct raft_cluster *c, struct rc_node *n, uint64_t commit_to)
{
    if (commit_to <= n->store.index) return;
    if (c->trace != NULL) buf_printf(c->trace, "%llu: commit %llu\n", U(n->id), U(commit_to));
    check_committed(c, n, commit_to, raft_term_at(n->raft, commit_to));
    while (n->store.index < commit_to) {
        const struct raft_entry *e = raft_entry_at(n->raft, n->store.index + 1);
        if (e == NULL) raft_cluster_violated(c, n, "committed entry is not in memory", n->store.index + 1, commit_to);
        apply_one(c, n, e);
        struct raft_config held;
        if (!raft_config_at(n->raft, e->index, &held) || memcmp(&held, &n->store.config, sizeof(held)) != 0) {
            raft_cluster_violated(c, n, "configuration as of an index is wrong", e->index, e->term);
        }
    }
}

static void take_state(struct raft_cluster *c, struct rc_node *n)
{
    if (raft_role(n->raft) == RAFT_LEADER) check_new_leader(c, n);
    if (c->trace == NULL) return;
    static const char *const names[] = {"follower", "pre-candidate", "candidate", "leader"};
    buf_printf(c->trace, "%llu: %s term=%llu leader=%llu\n", U(n->id), names[raft_role(n->raft)], U(raft_term(n->raft)),
               U(raft_leader(n->raft)));
}

static void take_effects(struct raft_cluster *c, struct rc_node *n, const struct rc_batch *with)
{
    struct raft_effects *fx = &n->fx;
    raft_check(n->raft);
    raft_nodes_check(c);
    if (fx->state_changed) take_state(c, n);
    take_batch(c, n, with);
    for (size_t i = 0; i < fx->message_count; i++) take_message(c, n, &fx->messages[i]);
    uint64_t applied = n->store.index;
    take_commit(c, n, fx->commit_to);
    for (size_t i = 0; i < fx->read_count; i++) take_read(c, n, &fx->reads[i]);
    for (size_t i = 0; i < fx->snapshot_count; i++) send_snapshot(c, n, fx->snapshots[i]);
    raft_effects_clear(fx);
    if (n->store.index > applied) {
        raft_step(n->raft,
                  &(struct raft_event){.type = RAFT_EVENT_APPLIED, .now_ms = c->now_ms, .index = n->store.index}, fx);
        take_effects(c, n, &(struct rc_batch){0});
    }
}

static void finish_pass(struct raft_cluster *c, struct rc_node *n)
{
    raft_flush(n->raft, c->now_ms, &n->fx);
    take_effects(c, n, &(struct rc_batch){0});
}

/* --- life --- */

static void start(struct raft_cluster *c, struct rc_node *n)
{
    uint64_t seed = hash_u64(c->seed * 1000 + n->id * 100 + ++n->lives);
    struct raft_self self = {.id = n->id, .group = 1, .seed = seed, .support_ctx = n};
    n->options = c->options;
    if (c->support_ms > 0) {
        raft_nodes_born(c, n);
        n->options.support = &n->support;
        if (n->lives > 1) self.silent_until_ms = c->now_ms + c->support_ms;
    }
    n->store = n->durable_store;
    struct raft_restore restore = {.hard = n->disk_hard,
                                   .config = n->store.config,
                                   .snapshot_index = n->store.index,
                                   .snapshot_term = n->store.term,
                                   .applied = n->store.index,
                                   .recovering = n->disk_recovering};
    n->raft = raft_new(&n->options, &self, &restore, c->now_ms);
    for (size_t i = 0; i < n->disk_count; i++) {
        struct raft_entry e = n->disk[i];
        if (e.data.size > 0) e.data = mem_dup_slice(e.data);
        raft_restore_entry(n->raft, &e);
    }
    raft_restore_done(n->raft);
}

void raft_cluster_init(struct raft_cluster *c, size_t nodes, const struct raft_config *config,
                       const struct raft_options *options, uint64_t support_ms, uint64_t seed)
{
    memset(c, 0, sizeof(*c));
    c->seed = seed;
    c->node_count = nodes;
    c->now_ms = 1000;
    c->support_ms = support_ms;
    raft_options_default(&c->options);
    if (options != NULL) c->options = *options;
    arena_init(&c->arena, 65536);
    map_init(&c->leaders);
    map_init(&c->votes);
    map_init(&c->contents);
    for (size_t i = 0; i < nodes; i++) {
        struct rc_node *n = &c->nodes[i];
        n->id = i + 1;
        raft_effects_init(&n->fx);
        n->durable_store.config = *config; /* also where it does not list the replica: it is the group's at index 0 */
        start(c, n);
    }
}

static void stop(struct rc_node *n)
{
    raft_free(n->raft);
    n->raft = NULL;
    raft_effects_clear(&n->fx);
    n->batch_count = 0;
}

void raft_cluster_free(struct raft_cluster *c)
{
    for (size_t i = 0; i < c->node_count; i++) {
        struct rc_node *n = &c->nodes[i];
        stop(n);
        raft_effects_free(&n->fx);
        mem_free(n->disk);
        mem_free(n->batches);
    }
    map_free(&c->leaders);
    map_free(&c->votes);
    map_free(&c->contents);
    mem_free(c->messages);
    mem_free(c->committed);
    mem_free(c->reads);
    arena_free(&c->arena);
}

void raft_cluster_crash(struct raft_cluster *c, uint64_t id)
{
    struct rc_node *n = raft_cluster_node(c, id);
    if (n->raft == NULL) return;
    stop(n);
    if (c->trace != NULL) buf_printf(c->trace, "%llu: crashed\n", U(id));
}

/* The log's tail counts only if it follows what the store holds: a crash may have come between a snapshot's installation in
 * the store and the reset of the log. */
void raft_cluster_restart(struct raft_cluster *c, uint64_t id)
{
    struct rc_node *n = raft_cluster_node(c, id);
    if (n->raft != NULL) return;
    const struct rc_store *s = &n->durable_store;
    if (disk_term(n, s->index) == s->term) {
        disk_trim(n, s->index, s->term);
    } else {
        disk_reset(n, s->index, s->term);
    }
    if (n->disk_hard.term < s->term) n->disk_hard = (struct raft_hard_state){.term = s->term, .commit = s->index};
    start(c, n);
    finish_pass(c, n);
}

/* What it promised in votes is forgotten, by the checks too: that no two leaders come of it is checked for itself. */
void raft_cluster_rot(struct raft_cluster *c, uint64_t id, uint64_t keep, uint64_t term)
{
    struct rc_node *n = raft_cluster_node(c, id);
    if (n->raft != NULL) return;
    if (!n->disk_recovering || disk_last(n) > n->lost_last) n->lost_last = disk_last(n);
    n->disk_recovering = true;
    if (keep < n->disk_count) n->disk_count = (size_t)keep;
    uint64_t least = disk_term(n, disk_last(n));
    if (least < n->durable_store.term) least = n->durable_store.term;
    if (term < least) term = least;
    if (term < n->disk_hard.term) n->disk_hard = (struct raft_hard_state){.term = term, .commit = n->disk_hard.commit};
    if (n->disk_hard.commit > disk_last(n)) n->disk_hard.commit = disk_last(n);
    for (uint64_t t = 0; t < 4096; t++) (void)map_remove(&c->votes, t * 16 + id);
    if (c->trace != NULL)
        buf_printf(c->trace, "%llu: disk lost all but log=%llu..%llu term=%llu\n", U(id), U(n->disk_base + 1),
                   U(disk_last(n)), U(n->disk_hard.term));
}

/* --- passes --- */

void raft_cluster_step(struct raft_cluster *c, uint64_t id, struct raft_event ev)
{
    struct rc_node *n = raft_cluster_node(c, id);
    if (n->raft == NULL) return;
    ev.now_ms = c->now_ms;
    raft_step(n->raft, &ev, &n->fx);
    finish_pass(c, n);
}

void raft_cluster_tick(struct raft_cluster *c, uint64_t id)
{
    raft_nodes_tick(c, id);
    raft_cluster_step(c, id, (struct raft_event){.type = RAFT_EVENT_TICK});
}

enum status raft_cluster_propose(struct raft_cluster *c, uint64_t id, struct slice data)
{
    struct rc_node *n = raft_cluster_node(c, id);
    uint64_t index, term;
    if (n->raft == NULL) return STATUS_CLOSED;
    enum status s = raft_propose(n->raft, RAFT_ENTRY_COMMAND, data, &index, &term);
    finish_pass(c, n);
    return s;
}

enum status raft_cluster_config(struct raft_cluster *c, uint64_t id, const struct raft_config *target)
{
    struct rc_node *n = raft_cluster_node(c, id);
    uint64_t index;
    if (n->raft == NULL) return STATUS_CLOSED;
    enum status s = raft_propose_config(n->raft, target, SLICE_EMPTY, &index);
    finish_pass(c, n);
    return s;
}

enum status raft_cluster_read(struct raft_cluster *c, uint64_t id, uint64_t context)
{
    struct rc_node *n = raft_cluster_node(c, id);
    if (n->raft == NULL) return STATUS_CLOSED;
    enum status s = raft_read(n->raft, context);
    if (s != STATUS_OK) return s;
    c->reads = grown(c->reads, c->read_count, &c->read_capacity, sizeof(*c->reads));
    c->reads[c->read_count++] =
        (struct rc_read){.node = id, .context = context, .life = n->lives, .floor = c->committed_count};
    finish_pass(c, n);
    return STATUS_OK;
}

void raft_cluster_compact(struct raft_cluster *c, uint64_t id, uint64_t index)
{
    struct rc_node *n = raft_cluster_node(c, id);
    if (n->raft == NULL) return;
    n->durable_store = n->store;
    if (index > n->store.index) index = n->store.index;
    raft_compact(n->raft, index);
    raft_check(n->raft);
    uint64_t floor = raft_first_index(n->raft) - 1;
    disk_trim(n, floor, raft_term_at(n->raft, floor));
}

void raft_cluster_persist(struct raft_cluster *c, uint64_t id, size_t count, bool one_mark)
{
    struct rc_node *n = raft_cluster_node(c, id);
    if (count > n->batch_count) count = n->batch_count;
    if (n->raft == NULL || count == 0) return;
    struct raft_event marks[16];
    size_t mark_count = 0;
    if (count > 16) count = 16;
    for (size_t i = 0; i < count; i++) {
        disk_write(c, n, &n->batches[i]);
        if (!n->batches[i].has_mark) continue;
        if (one_mark) mark_count = 0;
        marks[mark_count++] = (struct raft_event){.type = RAFT_EVENT_PERSISTED, .mark = n->batches[i].mark};
    }
    n->batch_count -= count;
    memmove(n->batches, n->batches + count, n->batch_count * sizeof(*n->batches));
    for (size_t i = 0; i < mark_count; i++) raft_cluster_step(c, id, marks[i]);
}

/* --- messages --- */

static void remove_message(struct raft_cluster *c, size_t at)
{
    c->message_count--;
    memmove(c->messages + at, c->messages + at + 1, (c->message_count - at) * sizeof(*c->messages));
}

static void snapshot_ended(struct raft_cluster *c, const struct rc_message *s, bool ok)
{
    const struct rc_node *from = raft_cluster_node(c, s->m.from);
    if (from->raft == NULL || from->lives != s->life) return;
    struct raft_event ev = {.type = RAFT_EVENT_SNAPSHOT_SENT, .to = s->m.to, .index = s->m.index, .ok = ok};
    raft_cluster_step(c, s->m.from, ev);
}

/* What the receiving host does: the store is replaced and durable, then the core hears of it, then its log is reset. */
static void deliver_snapshot(struct raft_cluster *c, const struct rc_message *s)
{
    struct rc_node *n = raft_cluster_node(c, s->m.to);
    if (n->raft == NULL || s->m.term < raft_term(n->raft) || c->cut[s->m.from][s->m.to]) {
        snapshot_ended(c, s, false);
        return;
    }
    if (s->m.index > n->store.index) {
        if (c->trace != NULL) {
            buf_printf(c->trace, "%llu: install %llu/%llu\n", U(n->id), U(s->snapshot.index), U(s->snapshot.term));
        }
        n->store = n->durable_store = s->snapshot;
        raft_install(n->raft, s->snapshot.index, s->snapshot.term, &s->snapshot.config, &n->fx);
        take_effects(
            c, n, &(struct rc_batch){.reset = true, .reset_index = s->snapshot.index, .reset_term = s->snapshot.term});
    }
    if (s->m.index % 2 == 0) { /* a host may also tell the core who sent it */
        raft_cluster_step(c, n->id, (struct raft_event){.type = RAFT_EVENT_MESSAGE, .message = &s->m});
    }
    snapshot_ended(c, s, true);
}

void raft_cluster_deliver(struct raft_cluster *c, size_t at, bool keep)
{
    struct rc_message m = c->messages[at];
    if (!keep || m.is_snapshot) remove_message(c, at);
    if (m.is_snapshot) {
        deliver_snapshot(c, &m);
    } else {
        raft_cluster_step(c, m.m.to, (struct raft_event){.type = RAFT_EVENT_MESSAGE, .message = &m.m});
    }
}

void raft_cluster_drop(struct raft_cluster *c, size_t at)
{
    struct rc_message m = c->messages[at];
    remove_message(c, at);
    if (m.is_snapshot) snapshot_ended(c, &m, false);
}

bool raft_cluster_settle(struct raft_cluster *c)
{
    for (unsigned turn = 0; turn < 10000; turn++) {
        bool idle = c->message_count == 0;
        for (size_t i = 0; i < c->node_count; i++) {
            if (c->nodes[i].raft == NULL || c->nodes[i].batch_count == 0) continue;
            raft_cluster_persist(c, i + 1, c->nodes[i].batch_count, true);
            idle = false;
        }
        if (c->message_count > 0) raft_cluster_deliver(c, 0, false);
        if (idle) return true;
    }
    return false;
}

void raft_cluster_run(struct raft_cluster *c, uint64_t ms, uint64_t step_ms)
{
    for (uint64_t end = c->now_ms + ms; c->now_ms < end;) {
        c->now_ms += step_ms;
        raft_nodes_run(c);
        for (size_t i = 0; i < c->node_count; i++) {
            struct rc_node *n = &c->nodes[i];
            if (n->raft != NULL && c->now_ms >= raft_deadline_ms(n->raft)) raft_cluster_tick(c, n->id);
        }
        (void)raft_cluster_settle(c);
    }
}

/* --- looking --- */

uint64_t raft_cluster_leader(const struct raft_cluster *c)
{
    uint64_t id = 0, term = 0;
    for (size_t i = 0; i < c->node_count; i++) {
        const struct raft *r = c->nodes[i].raft;
        if (r == NULL || raft_role(r) != RAFT_LEADER || raft_term(r) < term) continue;
        id = c->nodes[i].id;
        term = raft_term(r);
    }
    return id;
}

uint64_t raft_cluster_commit(const struct raft_cluster *c)
{
    return c->committed_count;
}

static void append_text(const struct raft_message *m, struct buf *out)
{
    buf_printf(out, " prev=%llu/%llu commit=%llu", U(m->index), U(m->log_term), U(m->commit));
    for (size_t i = 0; i < m->entry_count; i++) {
        const struct raft_entry *e = &m->entries[i];
        static const char *const marks[] = {"noop", "", "config"};
        buf_printf(out, " %llu/%llu%s", U(e->index), U(e->term), marks[e->type]);
        if (e->type == RAFT_ENTRY_COMMAND) buf_printf(out, ":%.*s", (int)e->data.size, (const char *)e->data.data);
    }
}

void raft_cluster_message_text(const struct raft_message *m, struct buf *out)
{
    static const char *const names[] = {
        [RAFT_MSG_PRE_VOTE] = "PRE_VOTE",   [RAFT_MSG_PRE_VOTE_REPLY] = "PRE_VOTE_REPLY",
        [RAFT_MSG_VOTE] = "VOTE",           [RAFT_MSG_VOTE_REPLY] = "VOTE_REPLY",
        [RAFT_MSG_APPEND] = "APPEND",       [RAFT_MSG_APPEND_REPLY] = "APPEND_REPLY",
        [RAFT_MSG_HEARTBEAT] = "HEARTBEAT", [RAFT_MSG_HEARTBEAT_REPLY] = "HEARTBEAT_REPLY",
        [RAFT_MSG_READ] = "READ",           [RAFT_MSG_READ_REPLY] = "READ_REPLY",
        [RAFT_MSG_SNAPSHOT] = "SNAPSHOT",   [RAFT_MSG_TIMEOUT_NOW] = "TIMEOUT_NOW",
        [RAFT_MSG_RECOVERED] = "RECOVERED"};
    buf_printf(out, "%llu->%llu %s term=%llu", U(m->from), U(m->to), names[m->type], U(m->term));
    if (m->reject) buf_append_str(out, " reject");
    switch (m->type) {
    case RAFT_MSG_PRE_VOTE:
    case RAFT_MSG_VOTE: buf_printf(out, " last=%llu/%llu", U(m->index), U(m->log_term)); break;
    case RAFT_MSG_APPEND: append_text(m, out); break;
    case RAFT_MSG_APPEND_REPLY:
        buf_printf(out, " index=%llu", U(m->index));
        if (m->context != 0) buf_append_str(out, " recovering");
        if (m->reject) buf_printf(out, " hint=%llu/%llu", U(m->hint_index), U(m->hint_term));
        break;
    case RAFT_MSG_HEARTBEAT: buf_printf(out, " commit=%llu", U(m->commit)); break;
    case RAFT_MSG_READ_REPLY:
    case RAFT_MSG_RECOVERED:
    case RAFT_MSG_SNAPSHOT: buf_printf(out, " index=%llu", U(m->index)); break;
    case RAFT_MSG_PRE_VOTE_REPLY:
    case RAFT_MSG_VOTE_REPLY:
    case RAFT_MSG_HEARTBEAT_REPLY:
    case RAFT_MSG_READ:
    case RAFT_MSG_TIMEOUT_NOW: break;
    default: break;
    }
}
