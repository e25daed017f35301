/* Opening: the store says up to which index each group is held durably; the log is replayed into the Raft cores from there,
 * and applied again as commits become known. */
#include "base/assert.h"
#include "base/mem.h"
#include "range/host_int.h"

struct recovered_entry {
    uint64_t index, term;
    uint8_t type;
    struct slice data; /* owned */
};

/* A group's log as read so far: entries are contiguous, a later append at i having replaced everything from i on. */
struct recovered {
    uint64_t group;
    struct slice desc; /* owned */
    struct raft_hard_state hard;
    uint64_t store_index, store_term; /* what the store holds durably */
    uint64_t reset_index;             /* of the last reset record: 0 when there was none */
    uint64_t first;                   /* index of entries[0] */
    struct recovered_entry *entries;
    size_t count, capacity;
};

struct recovery {
    struct host *host;
    struct map groups;
};

static void recovered_truncate(struct recovered *g, size_t count)
{
    while (g->count > count) mem_free((void *)(uintptr_t)g->entries[--g->count].data.data);
}

static void recovered_free(struct recovered *g)
{
    recovered_truncate(g, 0);
    mem_free(g->entries);
    mem_free((void *)(uintptr_t)g->desc.data);
    mem_free(g);
}

static struct recovered *recovered_get(struct recovery *rec, uint64_t group)
{
    struct recovered *g = map_get(&rec->groups, group);
    if (g != NULL) return g;
    g = mem_zalloc(sizeof *g);
    g->group = group;
    (void)lsm_durable(rec->host->lsm, group, &g->store_index, &g->store_term);
    map_put(&rec->groups, group, g);
    return g;
}

static void on_group(void *ctx, uint64_t group, struct slice state)
{
    struct recovered *g = recovered_get(ctx, group);
    mem_free((void *)(uintptr_t)g->desc.data);
    g->desc = mem_dup_slice(state);
}

static void on_group_dropped(void *ctx, uint64_t group)
{
    struct recovery *rec = ctx;
    struct recovered *g = map_remove(&rec->groups, group);
    if (g != NULL) recovered_free(g);
}

static void on_hard_state(void *ctx, uint64_t group, const struct wal_hard_state *hs)
{
    recovered_get(ctx, group)->hard =
        (struct raft_hard_state){.term = hs->term, .vote = hs->vote, .commit = hs->commit};
}

static void on_reset(void *ctx, uint64_t group, uint64_t index, uint64_t term)
{
    (void)term;
    struct recovered *g = recovered_get(ctx, group);
    recovered_truncate(g, 0);
    g->reset_index = index;
}

static void on_entry(void *ctx, uint64_t group, const struct wal_entry *e)
{
    struct recovered *g = recovered_get(ctx, group);
    if (g->count > 0 && e->index >= g->first && e->index <= g->first + g->count) {
        recovered_truncate(g, (size_t)(e->index - g->first));
    } else {
        recovered_truncate(g, 0); /* the log goes on elsewhere: what was before is in the store, or void */
    }
    if (g->count == 0) g->first = e->index;
    if (g->count == g->capacity) {
        g->capacity = g->capacity == 0 ? 64 : g->capacity * 2;
        g->entries = mem_realloc(g->entries, g->capacity * sizeof *g->entries);
    }
    g->entries[g->count++] =
        (struct recovered_entry){.index = e->index, .term = e->term, .type = e->type, .data = mem_dup_slice(e->data)};
}

/* Which of the replayed entries follow what the store holds. The entries count only if they continue the store's index
 * without a gap and, where the log still has the entry at that index, agree with it on the term: otherwise a snapshot was
 * installed over a log that had gone astray, and the crash came before the reset record. *lost: durable entries are missing. */
static size_t recovered_tail(const struct recovered *g, bool *astray, bool *lost)
{
    *astray = *lost = false;
    if (g->count ==
        0) { /* e.g. entries were applied and flushed before their own batch was durable: the log ends at the reset */
        *astray = g->reset_index != 0 && g->reset_index < g->store_index;
        return 0;
    }
    uint64_t last = g->first + g->count - 1;
    if (last < g->store_index) {
        *astray = true;
        return g->count;
    }
    if (g->first > g->store_index + 1) {
        *lost = true;
        return g->count;
    }
    if (g->first <= g->store_index) {
        const struct recovered_entry *at = &g->entries[g->store_index - g->first];
        if (g->store_index > 0 && at->term != g->store_term) {
            *astray = true;
            return g->count;
        }
    }
    return (size_t)(g->store_index + 1 - g->first);
}

static enum status recover_group(struct host *h, struct recovered *g, struct errbuf *err)
{
    struct range_desc desc;
    arena_reset(&h->decode_arena);
    if (g->desc.data == NULL || unpack_range_desc(g->desc, &h->decode_arena, &desc) != STATUS_OK ||
        range_desc_replica(&desc, h->self->node_id) == NULL) {
        errbuf_set(err,
                   "the log has entries of range %llu but no usable descriptor of it: the data directory is damaged or "
                   "was put "
                   "together from several; restore it, or remove it and let the node be rebuilt from its peers",
                   (unsigned long long)g->group);
        return STATUS_CORRUPT;
    }
    bool astray, lost;
    size_t from = recovered_tail(g, &astray, &lost);
    if (lost || g->reset_index > g->store_index) {
        errbuf_set(err,
                   "range %llu: the store holds entries up to %llu but the log begins at %llu: the store directory is "
                   "older than "
                   "the log; restore both from one moment, or remove the data directory and let the node be rebuilt",
                   (unsigned long long)g->group, (unsigned long long)g->store_index, (unsigned long long)g->first);
        return STATUS_CORRUPT;
    }
    struct raft_restore restore = {
        .hard = g->hard, .snapshot_index = g->store_index, .snapshot_term = g->store_term, .applied = g->store_index};
    replica_config_of(&desc, &restore.config);
    if (restore.hard.commit < g->store_index) restore.hard.commit = g->store_index;
    if (restore.hard.term < g->store_term)
        restore.hard = (struct raft_hard_state){.term = g->store_term, .commit = g->store_index};
    uint64_t last = from < g->count ? g->entries[g->count - 1].index : g->store_index;
    if (restore.hard.commit > last) { /* what is committed is in an earlier or the same batch: it was here once */
        errbuf_set(err,
                   "range %llu: the log says that entries up to %llu are committed, but log and store hold them up to "
                   "%llu only: "
                   "files are missing; restore them, or remove the data directory and let the node be rebuilt",
                   (unsigned long long)g->group, (unsigned long long)restore.hard.commit, (unsigned long long)last);
        return STATUS_CORRUPT;
    }
    struct replica *r = replica_new(h, &desc, &restore, false);
    for (size_t i = from; i < g->count; i++) {
        const struct recovered_entry *e = &g->entries[i];
        raft_restore_entry(
            r->raft, &(struct raft_entry){
                         .index = e->index, .term = e->term, .type = (enum raft_entry_type)e->type, .data = e->data});
    }
    raft_restore_done(r->raft);
    r->commit = raft_commit(r->raft) > r->applied ? raft_commit(r->raft) : r->applied;
    if (astray) {
        COVER("recover.astray");
        wal_put_reset(h->wal, g->group, g->store_index, g->store_term);
    }
    wal_set_floor(h->wal, g->group, g->store_index);
    host_mark_ready(h, r);
    return STATUS_OK;
}

struct log_check {
    struct recovery *rec;
    uint64_t missing; /* a group that the store has and the log does not; 0: none */
};

static void check_in_log(void *ctx, uint64_t group, uint64_t index, uint64_t term)
{
    (void)index;
    (void)term;
    struct log_check *c = ctx;
    if (map_get(&c->rec->groups, group) == NULL) c->missing = group;
}

/* A store without its log has forgotten its votes: it must not take part. */
static enum status recover_check(struct recovery *rec, struct errbuf *err)
{
    struct log_check check = {.rec = rec};
    lsm_each_group(rec->host->lsm, check_in_log, &check);
    if (check.missing == 0) return STATUS_OK;
    errbuf_set(
        err,
        "the store holds range %llu but the log knows nothing of it: the log directory is missing or older than the "
        "store; restore both from one moment, or remove the data directory and let the node be rebuilt",
        (unsigned long long)check.missing);
    return STATUS_CORRUPT;
}

enum status host_recover(struct host *h, struct errbuf *err)
{
    struct recovery rec = {.host = h};
    map_init(&rec.groups);
    struct wal_replay replay = {.group = on_group,
                                .group_dropped = on_group_dropped,
                                .hard_state = on_hard_state,
                                .entry = on_entry,
                                .reset = on_reset,
                                .ctx = &rec};
    enum status s = wal_open(h->env, &h->options.wal, &replay, &h->wal, err);
    if (s == STATUS_OK) s = recover_check(&rec, err);
    uint64_t group;
    void *value;
    for (size_t it = 0; map_next(&rec.groups, &it, &group, &value);) {
        if (s == STATUS_OK) s = recover_group(h, value, err);
        recovered_free(value);
    }
    map_free(&rec.groups);
    return s;
}
