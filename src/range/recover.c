/* Opening: the store says up to which index each group is held durably; the log is replayed into the Raft cores from there,
 * and applied again as commits become known.
 *
 * What is lost is mended by peers. The damaged log gives what it still can (wal_salvage), and a new one begins, in which every
 * replica is noted as recovering; a damaged store is set aside when the log says so of every replica; a log that does not
 * continue the store costs the one group. What cannot be told from another node's or another day's directory is refused. */
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "range/members_int.h"

struct recovered_entry {
    uint64_t index, term;
    uint8_t type;
    struct slice data; /* owned */
};

/* A group's log as read so far: entries are contiguous, a later append at i having replaced everything from i on. */
struct recovered {
    uint64_t group;
    struct slice record; /* packed range_state in which it was created. Owned */
    char *why;           /* it is recovering; NULL: it is not. Owned */
    struct birth birth;
    uint64_t mended;
    struct range_state created, range; /* decoded, of the record; and as the store says, else the same */
    bool usable;                       /* these make sense, and have a replica here */
    bool unread;                       /* the store has its state, and cannot read it: nothing of its rows counts */
    struct recovered *absorber;        /* has its keys since a merge; NULL: nobody */
    bool unborn;          /* its log is here; its rows are not, until its parent's split is applied again */
    uint64_t birth_floor; /* an index at which it has had a child: that is committed */
    struct slice gone;    /* its record is a tombstone (group_record.h). Owned */
    bool left;            /* the store's state leaves this host out: it was on its way out */
    bool overtaken;       /* it is as it was made, and later owners of its keys have rows: it had left */
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
    struct map unread; /* groups of the store whose birth cannot be read */
    struct arena arena;
    const char *lost; /* what every replica has lost; NULL: nothing */
    bool damaged;     /* a record makes no sense */
    bool took_in;     /* whom a range had taken in cannot be told any more */
};

static void recovered_truncate(struct recovered *g, size_t count)
{
    while (g->count > count) {
        struct slice data = g->entries[--g->count].data;
        if (data.size > 0) mem_free((void *)(uintptr_t)data.data);
    }
}

static void recovered_free(struct recovered *g)
{
    recovered_truncate(g, 0);
    mem_free(g->entries);
    mem_free((void *)(uintptr_t)g->record.data);
    mem_free((void *)(uintptr_t)g->gone.data);
    mem_free(g->why);
    mem_free(g);
}

static struct recovered *recovered_get(struct recovery *rec, uint64_t group)
{
    struct recovered *g = map_get(&rec->groups, group);
    if (g != NULL) return g;
    g = mem_zalloc(sizeof *g);
    g->group = group;
    if (rec->host->lsm != NULL) (void)lsm_durable(rec->host->lsm, group, &g->store_index, &g->store_term);
    map_put(&rec->groups, group, g);
    return g;
}

static void on_group(void *ctx, uint64_t group, struct slice state)
{
    struct recovery *rec = ctx;
    if (group == HOST_GROUP) {
        if (host_record_read(state, &rec->host->lost_below) != STATUS_OK) rec->damaged = true;
        return;
    }
    struct group_record r;
    struct recovered *g = recovered_get(rec, group);
    mem_free((void *)(uintptr_t)g->record.data);
    mem_free((void *)(uintptr_t)g->gone.data);
    mem_free(g->why);
    g->record.data = g->gone.data = NULL;
    g->why = NULL;
    struct gone_record tombstone;
    if (gone_record_read(state, &tombstone)) {
        g->gone = mem_dup_slice(state);
        return;
    }
    if (group_record_read(state, &r) != STATUS_OK) return; /* recover_group says so */
    g->record = mem_dup_slice(r.range);
    g->birth = r.birth;
    g->mended = r.mended;
    if (r.recovering.size == 0) return;
    g->why = mem_zalloc(r.recovering.size + 1);
    memcpy(g->why, r.recovering.data, r.recovering.size);
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
        g->capacity = g->capacity == 0 ? 2 : g->capacity * 2; /* most ranges have hardly any */
        g->entries = mem_realloc(g->entries, g->capacity * sizeof *g->entries);
    }
    /* What the store holds is looked at for its term only. */
    bool needed = e->index > g->store_index && e->data.size > 0;
    g->entries[g->count++] = (struct recovered_entry){
        .index = e->index, .term = e->term, .type = e->type, .data = needed ? mem_dup_slice(e->data) : SLICE_EMPTY};
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

/* What the group has lost, or NULL. A committed index is in an earlier batch than what says so, or in the same. */
static const char *recovered_loss(const struct recovery *rec, const struct recovered *g, bool gap, uint64_t last)
{
    if (rec->lost != NULL) return rec->lost;
    if (g->unread) return "the row that says what the range is cannot be read";
    if (g->birth.group != 0 && g->store_index == 0) return "the range that it was split off from has lost that";
    if (gap || g->reset_index > g->store_index) return "the store is older than the log";
    if (g->hard.commit > last) return "committed entries are missing from the log";
    return NULL;
}

static void recovered_record_put(struct host *h, const struct recovered *g)
{
    struct buf b;
    buf_init(&b, LIMIT_FRAME_BYTES);
    group_record_pack(&b, &(struct group_record){.range = g->record,
                                                 .recovering = g->why != NULL ? slice_str(g->why) : SLICE_EMPTY,
                                                 .birth = g->birth,
                                                 .mended = g->mended});
    wal_put_group(h->wal, g->group, buf_slice(&b));
    buf_free(&b);
}

/* Nothing is left but what the store holds, and terms: the log begins anew behind that. */
static void recovered_forget(struct host *h, struct recovered *g, const char *why)
{
    log_event(h->env->log, LOG_WARN, "range.recovering", "range=%llu index=%llu why=%s", (unsigned long long)g->group,
              (unsigned long long)g->store_index, why);
    mem_free(g->why);
    g->why = mem_strdup(why);
    g->mended = 0;
    recovered_truncate(g, 0);
    g->hard.commit = g->store_index;
    if (g->hard.term < g->store_term)
        g->hard = (struct raft_hard_state){.term = g->store_term, .commit = g->store_index};
    recovered_record_put(h, g);
    wal_put_reset(h->wal, g->group, g->store_index, g->store_term);
    wal_put_hard_state(h->wal, g->group,
                       &(struct wal_hard_state){.term = g->hard.term, .vote = g->hard.vote, .commit = g->hard.commit});
}

/* Nothing of a range that has changed before, or nothing that makes sense: it takes no entry before a snapshot. */
static bool is_blank(const struct recovered *g)
{
    const struct range_epoch *e = &g->range.desc.epoch;
    return g->unread || g->overtaken || (g->store_index == 0 && (e->version > 1 || e->conf_ver > 1));
}

static struct replica *recovered_replica(struct host *h, struct recovered *g, size_t from)
{
    struct raft_restore restore = {.hard = g->hard,
                                   .snapshot_index = g->store_index,
                                   .snapshot_term = g->store_term,
                                   .applied = g->store_index,
                                   .blank = is_blank(g),
                                   .recovering = g->why != NULL};
    if (!restore.blank) replica_config_of(&g->range.desc, &restore.config);
    if (restore.hard.commit < g->store_index) restore.hard.commit = g->store_index;
    if (restore.hard.commit < g->birth_floor) restore.hard.commit = g->birth_floor;
    if (restore.hard.term < g->store_term)
        restore.hard = (struct raft_hard_state){.term = g->store_term, .commit = g->store_index};
    struct replica *r =
        replica_new(h, &g->range, &restore,
                    &(struct replica_birth){.recovering = g->why, .record = &g->created, .birth = g->birth});
    r->unborn = g->unborn && !MUTANT(split_without_rows);
    if (g->mended > 0) replica_lineage_of(r)->mended = g->mended;
    if (g->birth_floor > 0) replica_lineage_of(r)->birth_floor = g->birth_floor;
    for (size_t i = from; i < g->count; i++) {
        struct recovered_entry *e = &g->entries[i];
        raft_restore_entry(
            r->raft, &(struct raft_entry){
                         .index = e->index, .term = e->term, .type = (enum raft_entry_type)e->type, .data = e->data});
        e->data = SLICE_EMPTY;
    }
    raft_restore_done(r->raft);
    r->commit = raft_commit(r->raft) > r->applied ? raft_commit(r->raft) : r->applied;
    return r;
}

static bool holds_rows(const struct recovered *g)
{
    return g->usable && g->absorber == NULL && g->store_index > 0 && !g->unborn && !MUTANT(lost_log_takes_rows);
}

/* A log that has lost its end may have a tombstone back whose rows have gone. What others hold of its keys by now is theirs. */
static void spare_held(struct recovery *rec, struct gone_record *t)
{
    uint64_t group;
    void *value;
    struct buf start, end;
    buf_init(&start, LSM_KEY_MAX);
    buf_init(&end, LSM_KEY_MAX);
    for (size_t it = 0; map_next(&rec->groups, &it, &group, &value);) {
        const struct recovered *other = value;
        if (!holds_rows(other)) continue;
        buf_clear(&start);
        buf_clear(&end);
        range_desc_span(&other->range.desc, &start, &end);
        if (slice_cmp(buf_slice(&start), t->end) >= 0 || slice_cmp(t->start, buf_slice(&end)) >= 0) continue;
        COVER("recover.tombstone_spares");
        bool inside = slice_cmp(t->start, buf_slice(&start)) < 0;
        if (!inside) t->start = SLICE_EMPTY;
        t->end = inside ? arena_dup_slice(&rec->arena, buf_slice(&start)) : SLICE_EMPTY;
    }
    buf_free(&start);
    buf_free(&end);
}

/* Groups are not known any more: a damaged log had their records. Or, for those that a range here has taken in, what that range had become
 * was all that was left of them, and it is back as it was made. What was mended after an earlier loss says nothing of this one. */
static void groups_are_lost(struct host *h)
{
    uint64_t group;
    void *value;
    for (size_t it = 0; map_next(&h->replicas, &it, &group, &value);) {
        if (replica_lineage(value)->mended == 0) continue;
        replica_lineage_of(value)->mended = 0;
        replica_record_put(value);
    }
    h->lost_below = UINT64_MAX;
    host_record_put(h->wal, h->lost_below);
}

/* A tombstone: what it covers goes, if it is still there. True: nothing else is to be done for the group. */
static bool recover_gone(struct recovery *rec, struct recovered *g)
{
    struct host *h = rec->host;
    struct gone_record tombstone;
    if (g->left) {
        struct buf start, end;
        buf_init(&start, LSM_KEY_MAX);
        buf_init(&end, LSM_KEY_MAX);
        range_desc_span(&g->range.desc, &start, &end);
        uint64_t id = range_desc_replica(&g->created.desc, h->self->node_id)->replica_id;
        members_recall_left(h, g->group, id, buf_slice(&start), buf_slice(&end));
        buf_free(&start);
        buf_free(&end);
        return true;
    }
    if (g->gone.data == NULL || !gone_record_read(g->gone, &tombstone)) return false;
    if (h->lsm == NULL) tombstone.start = tombstone.end = SLICE_EMPTY; /* the store goes as a whole */
    spare_held(rec, &tombstone);
    if (rec->lost != NULL) gone_record_put(h->wal, g->group, &tombstone);
    members_recall(h, g->group, tombstone.replica_id, tombstone.start, tombstone.end);
    return true;
}

static enum status recover_group(struct recovery *rec, struct recovered *g, struct errbuf *err)
{
    struct host *h = rec->host;
    if (g->absorber != NULL) return STATUS_OK; /* its log goes in time */
    if (recover_gone(rec, g)) return STATUS_OK;
    if (!g->usable) {
        if (rec->lost != NULL) return STATUS_OK; /* when its descriptor comes, host->lost_below makes it recovering */
        errbuf_set(err,
                   "the log has entries of range %llu but no usable descriptor of it: the data directory is damaged or "
                   "was put "
                   "together from several; restore it, or remove it and let the node be rebuilt from its peers",
                   (unsigned long long)g->group);
        return STATUS_CORRUPT;
    }
    bool astray, gap;
    size_t from = recovered_tail(g, &astray, &gap);
    uint64_t last = from < g->count ? g->entries[g->count - 1].index : g->store_index;
    const char *why = recovered_loss(rec, g, gap, last);
    if (why != NULL) {
        COVER("recover.lost");
        ASSERT(!g->unborn);
        recovered_forget(h, g, why);
        if (rec->lost == NULL && g->store_index == 0) rec->took_in = true;
        from = 0;
    }
    struct replica *r = recovered_replica(h, g, from);
    if (astray && why == NULL) {
        COVER("recover.astray");
        wal_put_reset(h->wal, g->group, g->store_index, g->store_term);
    }
    if (!g->unborn) wal_set_floor(h->wal, g->group, g->store_index);
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
    if (group == HOST_GROUP || map_get(&c->rec->unread, group) != NULL) return;
    if (map_get(&c->rec->groups, group) == NULL) c->missing = group;
}

/* A store without its log has forgotten its votes: it must not take part. (Of a damaged log that is known, and noted.) */
static enum status recover_check(struct recovery *rec, struct errbuf *err)
{
    struct log_check check = {.rec = rec};
    if (rec->damaged) {
        errbuf_set(err, "the log's record of the host itself makes no sense: it was written by another program");
        return STATUS_CORRUPT;
    }
    if (rec->host->lsm == NULL || rec->host->lost_below > 0) return STATUS_OK;
    lsm_each_group(rec->host->lsm, check_in_log, &check);
    if (check.missing == 0) return STATUS_OK;
    errbuf_set(
        err,
        "the store holds range %llu but the log knows nothing of it: the log directory is missing or older than the "
        "store; restore both from one moment, or remove the data directory and let the node be rebuilt",
        (unsigned long long)check.missing);
    return STATUS_CORRUPT;
}

/* --- what is damaged --- */

static void recovery_clear(struct recovery *rec)
{
    uint64_t group;
    void *value;
    for (size_t it = 0; map_next(&rec->groups, &it, &group, &value);) recovered_free(value);
    map_free(&rec->groups);
    map_init(&rec->groups);
}

static const struct wal_replay REPLAY = {.group = on_group,
                                         .group_dropped = on_group_dropped,
                                         .hard_state = on_hard_state,
                                         .entry = on_entry,
                                         .reset = on_reset};

/* The log, or what a damaged one still gives; the host then begins it anew. */
static enum status recover_log(struct recovery *rec, bool *anew, struct errbuf *err)
{
    struct host *h = rec->host;
    struct wal_replay replay = REPLAY;
    replay.ctx = rec;
    *anew = false;
    enum status s = wal_open(h->env, &h->options.wal, &replay, &h->wal, err);
    if (s != STATUS_CORRUPT) return s;
    COVER("recover.damaged_log");
    log_event(h->env->log, LOG_ERROR, "host.log_damaged", "%s", err->text);
    recovery_clear(rec);
    rec->damaged = false;
    s = wal_salvage(h->env, &h->options.wal, &replay, &h->wal, err);
    if (s != STATUS_OK) return s;
    *anew = true;
    rec->lost = "the log was damaged";
    return STATUS_OK;
}

/* --- a damaged store --- */
#define SET_ASIDE ".damaged"

struct store_names {
    struct arena arena;
    const char **items;
    size_t count, capacity;
};

static void add_store_name(void *ctx, const char *name)
{
    struct store_names *n = ctx;
    size_t size = strlen(name), suffix = sizeof SET_ASIDE - 1;
    if (strcmp(name, "MANIFEST") == 0) return;
    if (size >= suffix && strcmp(name + size - suffix, SET_ASIDE) == 0) return;
    if (n->count == n->capacity) {
        n->capacity = n->capacity == 0 ? 64 : n->capacity * 2;
        n->items = mem_realloc(n->items, n->capacity * sizeof *n->items);
    }
    char *copy = arena_alloc(&n->arena, size + 1);
    memcpy(copy, name, size + 1);
    n->items[n->count++] = copy;
}

static enum status set_aside(struct disk *disk, const char *dir, const char *name)
{
    char from[512], to[512];
    (void)snprintf(from, sizeof from, "%s/%s", dir, name);
    (void)snprintf(to, sizeof to, "%s/%s" SET_ASIDE, dir, name);
    enum status s = disk_rename(disk, from, to);
    return s == STATUS_NOT_FOUND ? STATUS_OK : s;
}

/* The log says durably that everything is lost: only now the store may forget. The manifest goes last: until then the store
 * is refused, and this is done again. */
static enum status recover_store(struct host *h, struct errbuf *err)
{
    const char *dir = h->options.lsm.dir;
    struct store_names names = {.items = NULL};
    arena_init(&names.arena, 4096);
    enum status s = disk_list(h->env->disk, dir, add_store_name, &names);
    for (size_t i = 0; i < names.count && s == STATUS_OK; i++) s = set_aside(h->env->disk, dir, names.items[i]);
    if (s == STATUS_OK) s = disk_sync_dir(h->env->disk, dir);
    if (s == STATUS_OK) s = set_aside(h->env->disk, dir, "MANIFEST");
    if (s == STATUS_OK) s = disk_sync_dir(h->env->disk, dir);
    mem_free(names.items);
    arena_free(&names.arena);
    if (s == STATUS_OK) return lsm_open(h->env, &h->options.lsm, &h->lsm, err);
    errbuf_set(err, "the damaged store in '%s' cannot be set aside (%s): check the disk", dir, status_text(s));
    return s;
}

/* --- a missing store ---
 * A store is made durable before the first batch of its log, and knows of HOST_GROUP before the first segment of that log can
 * go: one that does not, behind a log that has lost its beginning, is not this log's. (That a segment has gone is no proof that
 * a flush has noted groups in the store: all that was needed of it may have been written again.) */
static void count_group(void *ctx, uint64_t group, uint64_t index, uint64_t term)
{
    (void)group;
    (void)index;
    (void)term;
    (*(size_t *)ctx)++;
}

static bool store_is_blank(const struct host *h)
{
    size_t groups = 0;
    if (h->lsm != NULL) lsm_each_group(h->lsm, count_group, &groups);
    return h->lsm != NULL && groups == 0;
}

/* --- what the groups are --- */

enum status recover_state(struct host *h, const struct range_desc *d, struct arena *arena, struct range_state *out)
{
    struct buf key;
    struct lsm_row row;
    struct lsm_miss miss;
    buf_init(&key, LSM_KEY_MAX);
    key_encode_range(&key, d->keyspace, d->start);
    enum status s = lsm_get(h->lsm, buf_slice(&key), LSM_TS_MAX, &row, &miss);
    if (s == STATUS_MISS) lsm_miss_drop(&miss); /* somebody else's load of the block is under way */
    if (s == STATUS_OK) s = range_state_unpack(arena_dup_slice(arena, row.value), out);
    buf_free(&key);
    return s == STATUS_OK && out->desc.id != d->id ? STATUS_NOT_FOUND : s;
}

/* The record of a birth that the log does not have, because the crash came first, is in the store with its rows. */
static void find_unwritten(void *ctx, uint64_t group, uint64_t index, uint64_t term)
{
    struct recovery *rec = ctx;
    struct host *h = rec->host;
    struct buf key;
    struct lsm_row row;
    struct lsm_miss miss;
    if (map_get(&rec->groups, group) != NULL || index != BIRTH_INDEX || term != BIRTH_TERM) return;
    if (group < h->lost_below) return; /* its votes may have been lost, too */
    buf_init(&key, 16);
    birth_row_key(&key, group);
    enum status s = lsm_get(h->lsm, buf_slice(&key), LSM_TS_MAX, &row, &miss);
    if (s == STATUS_MISS) lsm_miss_drop(&miss);
    if (s != STATUS_OK && s != STATUS_NOT_FOUND) { /* it has promised nothing yet: somebody will ask for it anew */
        COVER("recover.birth_unread");
        map_put(&rec->unread, group, rec);
    }
    if (s == STATUS_OK) {
        COVER("recover.birth_unwritten");
        on_group(rec, group, row.value);
        struct recovered *g = recovered_get(rec, group);
        g->hard = (struct raft_hard_state){.term = BIRTH_TERM, .vote = g->birth.leader, .commit = BIRTH_INDEX};
        recovered_record_put(h, g);
        wal_put_reset(h->wal, group, BIRTH_INDEX, BIRTH_TERM);
        wal_put_hard_state(h->wal, group,
                           &(struct wal_hard_state){.term = BIRTH_TERM, .vote = g->hard.vote, .commit = BIRTH_INDEX});
    }
    buf_free(&key);
}

static void decode_group(struct recovery *rec, struct recovered *g)
{
    struct host *h = rec->host;
    if (g->record.data == NULL || range_state_unpack(g->record, &g->created) != STATUS_OK) return;
    struct range_state stored;
    g->range = g->created;
    if (h->lsm != NULL && g->store_index > 0) {
        enum status s = recover_state(h, &g->created.desc, &rec->arena, &stored);
        /* The rows of one that was created later in its range's life bring its state along: these are of an earlier life. */
        bool foreign =
            s == STATUS_NOT_FOUND && (g->created.desc.epoch.version > 1 || g->created.desc.epoch.conf_ver > 1);
        if (s == STATUS_OK) {
            g->range = stored;
        } else if ((s != STATUS_NOT_FOUND || foreign) && !MUTANT(unread_state_guessed)) {
            COVER("recover.state_unread");
            g->unread = true;
            if (g->hard.term < g->store_term) g->hard = (struct raft_hard_state){.term = g->store_term};
            g->store_index = g->store_term = 0;
        }
    }
    g->usable = range_desc_replica(&g->range.desc, h->self->node_id) != NULL;
    g->left = !g->usable && range_desc_replica(&g->created.desc, h->self->node_id) != NULL;
}

/* What it will turn out to have lost (recover_group), or NULL. */
static const char *group_loss(const struct recovery *rec, const struct recovered *g)
{
    bool astray, gap;
    if (g->why != NULL) return g->why;
    size_t from = recovered_tail(g, &astray, &gap);
    return recovered_loss(rec, g, gap, from < g->count ? g->entries[g->count - 1].index : g->store_index);
}

/* Of a range that was split off the store may know nothing yet: then it is made again by its parent, for whom that entry is
 * committed. Meanwhile it is as if the store had what the split makes. */
static void find_unborn(struct recovery *rec, struct recovered *g)
{
    if (!g->usable || g->birth.group == 0 || g->store_index > 0 || rec->lost != NULL) return;
    struct recovered *parent = map_get(&rec->groups, g->birth.group);
    if (parent == NULL || parent == g || !parent->usable) return;
    find_unborn(rec, parent);
    if (parent->store_index >= g->birth.index || group_loss(rec, parent) != NULL) return;
    if (parent->count == 0 || parent->entries[parent->count - 1].index < g->birth.index) return;
    g->unborn = true;
    g->store_index = BIRTH_INDEX;
    g->store_term = BIRTH_TERM;
    if (group_loss(rec, g) != NULL) {
        g->unborn = false;
        g->store_index = g->store_term = 0;
        return;
    }
    COVER("recover.unborn");
    if (parent->birth_floor < g->birth.index) parent->birth_floor = g->birth.index;
}

/* replica_give_way (snapshot_recv.c), of before: what is here of later owners of its keys stays theirs. One that a lost log has back as it
 * was made, though its range has been split here since, has nothing to apply the split from: it had left. */
static void give_way(struct recovery *rec, struct recovered *g)
{
    uint64_t group;
    void *value;
    for (size_t it = 0; map_next(&rec->groups, &it, &group, &value);) {
        const struct recovered *other = value;
        const struct range_desc *to = &other->range.desc;
        if (!holds_rows(other) || other == g) continue;
        if (!range_desc_overlaps(&g->range.desc, to) || to->epoch.version <= g->range.desc.epoch.version) continue;
        if (slice_cmp(g->range.desc.start, to->start) >= 0) continue;
        COVER("recover.gives_way");
        g->overtaken = true;
        g->range.desc.end = to->start;
    }
}

static int by_place(const void *a, const void *b)
{
    const struct range_desc *x = &(*(const struct recovered *const *)a)->range.desc;
    const struct range_desc *y = &(*(const struct recovered *const *)b)->range.desc;
    if (x->keyspace != y->keyspace) return x->keyspace < y->keyspace ? -1 : 1;
    int order = slice_cmp(x->start, y->start);
    return order != 0 ? order : (x->epoch.version < y->epoch.version) - (x->epoch.version > y->epoch.version);
}

/* A group lives as long as it owns its start key: a newer one that has it has taken in the other. */
static void find_absorbed(struct recovery *rec)
{
    struct recovered **all = mem_alloc((rec->groups.count + 1) * sizeof(struct recovered *));
    struct recovered *cover = NULL;
    size_t count = 0;
    uint64_t group;
    void *value;
    for (size_t it = 0; map_next(&rec->groups, &it, &group, &value);) {
        struct recovered *g = value;
        if (g->usable && !g->unborn) all[count++] = g; /* what is unborn is so as of later than the store */
    }
    if (count > 1) qsort(all, count, sizeof(struct recovered *), by_place);
    for (size_t i = 0; i < count; i++) {
        struct recovered *g = all[i];
        bool taken = cover != NULL &&
                     range_desc_contains(&cover->range.desc, g->range.desc.keyspace, g->range.desc.start) &&
                     cover->range.desc.epoch.version > g->created.desc.epoch.version;
        if (taken) {
            COVER("recover.absorbed");
            g->absorber = cover;
            uint64_t id = range_desc_replica(&g->range.desc, rec->host->self->node_id)->replica_id;
            absorbed_note(rec->host, g->group, id, cover->group, 0);
        } else if (g->store_index > 0) {
            cover = g;
        }
    }
    mem_free(all);
}

static void decode_groups(struct recovery *rec)
{
    struct host *h = rec->host;
    uint64_t group;
    void *value;
    if (h->lsm != NULL) {
        lsm_set_blocking(h->lsm, true);
        if (rec->lost == NULL) lsm_each_group(h->lsm, find_unwritten, rec);
    }
    for (size_t it = 0; map_next(&rec->groups, &it, &group, &value);) decode_group(rec, value);
    for (size_t it = 0; map_next(&rec->groups, &it, &group, &value);) find_unborn(rec, value);
    if (h->lsm != NULL) lsm_set_blocking(h->lsm, false);
    if (h->lsm != NULL) find_absorbed(rec);
    for (size_t it = 0; map_next(&rec->groups, &it, &group, &value);) {
        struct recovered *g = value;
        bool came_back = g->store_index == 0 && (rec->lost != NULL || g->why != NULL);
        if (g->usable && g->absorber == NULL && (came_back || is_blank(g))) give_way(rec, g);
    }
}

static enum status recover_groups(struct recovery *rec, bool anew, bool store_damaged, struct errbuf *err)
{
    struct host *h = rec->host;
    uint64_t group;
    void *value;
    if (rec->lost == NULL && store_is_blank(h) && wal_first_batch(h->wal) > 1) rec->lost = "the store is missing";
    if (rec->lost != NULL && (anew || !MUTANT(lost_store_not_admitted))) groups_are_lost(h);
    decode_groups(rec);
    enum status s = recover_check(rec, err);
    for (size_t it = 0; s == STATUS_OK && map_next(&rec->groups, &it, &group, &value);)
        s = recover_group(rec, value, err);
    if (s == STATUS_OK && rec->took_in) groups_are_lost(h);
    if (s == STATUS_OK && anew) s = wal_begin_anew(h->wal, err);
    if (s == STATUS_OK && rec->lost != NULL && !anew) s = wal_submit_now(h->wal, err); /* durably lost: now it may go */
    if (s == STATUS_OK && store_damaged) s = recover_store(h, err);
    if (s == STATUS_OK && store_is_blank(h)) s = lsm_note_group(h->lsm, HOST_GROUP, err);
    return s;
}

enum status host_recover(struct host *h, struct errbuf *err)
{
    struct recovery rec = {.host = h};
    bool anew, store_damaged = false;
    map_init(&rec.groups);
    map_init(&rec.unread);
    arena_init(&rec.arena, 4096);
    enum status s = lsm_open(h->env, &h->options.lsm, &h->lsm, err);
    if (s == STATUS_CORRUPT) {
        COVER("recover.damaged_store");
        log_event(h->env->log, LOG_ERROR, "host.store_damaged", "%s", err->text);
        store_damaged = true;
        rec.lost = "the store was damaged";
        s = STATUS_OK;
    }
    if (s == STATUS_OK) s = recover_log(&rec, &anew, err);
    if (s == STATUS_OK) s = recover_groups(&rec, anew, store_damaged, err);
    recovery_clear(&rec);
    map_free(&rec.groups);
    map_free(&rec.unread);
    arena_free(&rec.arena);
    mem_give_back();
    return s;
}
