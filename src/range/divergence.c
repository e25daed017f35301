/* Replicas that do not hold what the others hold. Each tells the others, window by window, the hash of what it did
 * (effects.h), and judges itself by what it is told.
 *
 *   RUNNING --- a majority did something else ---> DIVERGED --- evidence kept, a snapshot has come ---> INSTALLING ---> RUNNING
 *
 * A diverged replica applies, serves and acknowledges nothing: for its group it is as if cut off. If it leads, it hands the
 * leadership over first. That it is diverged is remembered by a file, so that a restart does not make it forget. */
#include "base/assert.h"
#include "base/mem.h"
#include "range/change_int.h"
#include "range/comparison_int.h"
#include "range/snapshot_int.h"

#include <stdio.h>
#include <stdlib.h>

#define EVIDENCE_DIR "evidence"
#define EVIDENCE_BYTES_MAX (64u << 20) /* of rows, and as much of the log */
#define WANT_EVERY_MS 1000u

enum { PATH_MAX_BYTES = 96 };

/* Two files: range-<id>, which marks the replica as diverged and says why in words, followed by the log entries in memory in
 * hex; range-<id>.rows, its rows as in a snapshot chunk (docs/formats/rpc.md), cut off at EVIDENCE_BYTES_MAX. When the range
 * was rebuilt, both get the index at which it was found out behind their names. */
struct evidence {
    struct task task;
    struct host *host;
    uint64_t group, index;
    bool rename; /* the range was rebuilt: nothing more is marked */
    struct buf text;
    struct lsm_view *view;
    enum status status;
};

static void mark_path(char path[PATH_MAX_BYTES], uint64_t group, const char *suffix)
{
    (void)snprintf(path, PATH_MAX_BYTES, EVIDENCE_DIR "/range-%llu%s", (unsigned long long)group, suffix);
}

static enum status write_file(struct disk *d, const char *path, struct slice bytes, uint64_t offset)
{
    struct disk_file *f;
    enum status s = offset == 0 ? disk_remove(d, path) : STATUS_OK; /* what a crash left of it is not written over */
    if (s == STATUS_OK || s == STATUS_NOT_FOUND) s = disk_open(d, path, DISK_WRITE | DISK_CREATE, &f, NULL);
    if (s != STATUS_OK) return s;
    if (bytes.size > 0) s = disk_write(f, offset, bytes.data, bytes.size);
    if (s == STATUS_OK) s = disk_sync(f);
    disk_close(f);
    return s;
}

/* A crash before this is durable rebuilds the replica once more, which does no harm. */
static enum status evidence_rename(const struct evidence *v)
{
    char from[PATH_MAX_BYTES], to[PATH_MAX_BYTES], suffix[40];
    struct disk *d = v->host->env->disk;
    for (int i = 0; i < 2; i++) {
        const char *kind = i == 0 ? ".rows" : "";
        mark_path(from, v->group, kind);
        (void)snprintf(suffix, sizeof suffix, "-index-%llu%s", (unsigned long long)v->index, kind);
        mark_path(to, v->group, suffix);
        enum status s = disk_rename(d, from, to);
        if (s != STATUS_OK && s != STATUS_NOT_FOUND) return s;
    }
    return disk_sync_dir(d, EVIDENCE_DIR);
}

/* Worker: touches the evidence only. The rows first: with the mark there, everything is. */
static void evidence_execute(struct task *t)
{
    struct evidence *v = LIST_ENTRY(t, struct evidence, task);
    struct disk *d = v->host->env->disk;
    char path[PATH_MAX_BYTES];
    struct buf rows;
    uint64_t written = 0;
    if (v->rename) {
        v->status = evidence_rename(v);
        return;
    }
    enum status s = disk_mkdir(d, EVIDENCE_DIR), next = STATUS_OK;
    buf_init(&rows, LIMIT_FRAME_BYTES);
    mark_path(path, v->group, ".rows");
    while (s == STATUS_OK && next == STATUS_OK && written < EVIDENCE_BYTES_MAX) {
        struct lsm_write w;
        buf_clear(&rows);
        while (rows.size < (1u << 20) && (next = lsm_view_next(v->view, &w)) == STATUS_OK) {
            struct snapshot_row row = {.is_delete = w.kind == LSM_DELETE, .key = w.key, .ts = w.ts, .value = w.value};
            snapshot_row_append(&rows, &row);
        }
        s = write_file(d, path, buf_slice(&rows), written);
        written += rows.size;
    }
    buf_free(&rows);
    mark_path(path, v->group, "");
    if (s == STATUS_OK || s == STATUS_NO_SPACE) s = write_file(d, path, buf_slice(&v->text), 0);
    if (s == STATUS_OK) s = disk_sync_dir(d, EVIDENCE_DIR);
    if (s == STATUS_OK) s = disk_sync_dir(d, "");
    v->status = s;
}

static void evidence_complete(struct task *t)
{
    struct evidence *v = LIST_ENTRY(t, struct evidence, task);
    struct host *h = v->host;
    struct replica *r = map_get(&h->replicas, v->group);
    h->evidences--;
    if (v->view != NULL) lsm_view_free(v->view);
    if (!t->cancelled && v->status != STATUS_OK) {
        h->env->ops->fatal(h->env,
                           "a replica has diverged from its peers, and that cannot be written down: check the disk");
    } else if (!t->cancelled && !v->rename && r != NULL) {
        r->divergence.evidence_kept = true;
        h->env->ops->wake(h->env);
    }
    buf_free(&v->text);
    mem_free(v);
}

/* Whose it is stands first: mark_is_of reads it. */
static void evidence_text(const struct replica *r, const struct effects_window *at, struct buf *b)
{
    const struct effects *e = &r->divergence.effects;
    bool rows = (at->index & EFFECTS_ROWS) != 0;
    buf_printf(b, "range %llu, replica %llu on node %llu: %s up to index %llu %s from a majority\n",
               (unsigned long long)r->desc->id, (unsigned long long)r->id, (unsigned long long)r->host->self->node_id,
               rows ? "the rows as of" : "what was applied", (unsigned long long)(at->index & ~EFFECTS_ROWS),
               rows ? "differ" : "differs");
    if (rows) buf_append_str(b, "windows with the mark 4611686018427387904 added to their index are of all rows\n");
    buf_printf(b, "applied %llu, window %llu entries\n", (unsigned long long)r->applied, (unsigned long long)e->every);
    const struct effects_window *own = effects_own(e);
    for (unsigned i = 0; i < EFFECTS_WINDOWS && own[i].index != 0; i++) {
        buf_printf(b, "window %llu own %016llx\n", (unsigned long long)own[i].index, (unsigned long long)own[i].hash);
    }
    for (unsigned i = 0; i < EFFECTS_CLAIMS && e->memory != NULL; i++) {
        const struct effects_claim *c = &e->memory->claims[i];
        if (c->replica == 0) continue;
        buf_printf(b, "window %llu replica %llu says %016llx\n", (unsigned long long)c->window.index,
                   (unsigned long long)c->replica, (unsigned long long)c->window.hash);
    }
    uint64_t from = raft_first_index(r->raft), to = r->applied;
    if (to > e->every * EFFECTS_WINDOWS && from < to - e->every * EFFECTS_WINDOWS)
        from = to - e->every * EFFECTS_WINDOWS;
    for (uint64_t i = from; i <= to && !b->overflow; i++) {
        const struct raft_entry *x = raft_entry_at(r->raft, i);
        if (x == NULL) continue;
        buf_printf(b, "entry %llu term %llu type %u ", (unsigned long long)i, (unsigned long long)x->term,
                   (unsigned)x->type);
        for (size_t k = 0; k < x->data.size && !b->overflow; k++) buf_printf(b, "%02x", x->data.data[k]);
        buf_append_byte(b, '\n');
    }
    b->overflow = false;
}

static struct evidence *evidence_new(struct replica *r, uint64_t index)
{
    struct evidence *v = mem_zalloc(sizeof *v);
    v->task = (struct task){.execute = evidence_execute, .complete = evidence_complete};
    list_init(&v->task.link);
    v->host = r->host;
    v->group = r->desc->id;
    v->index = index;
    buf_init(&v->text, EVIDENCE_BYTES_MAX);
    return v;
}

static void evidence_submit(struct evidence *v)
{
    v->host->evidences++;
    exec_submit(v->host->env->exec, LANE_BACKGROUND, &v->task);
}

static void evidence_keep(struct replica *r, const struct effects_window *at)
{
    struct evidence *v = evidence_new(r, at->index & ~EFFECTS_ROWS);
    evidence_text(r, at, &v->text);
    struct slice start, end;
    replica_span(r, &start, &end);
    v->view = lsm_view_new(r->host->lsm, start, end);
    evidence_submit(v);
}

/* --- out, and in again --- */

static void diverge(struct replica *r, const struct effects_window *at)
{
    struct host *h = r->host;
    COVER("range.diverged");
    log_event(h->env->log, LOG_ERROR, "range.diverged", "range=%llu index=%llu applied=%llu what=%s evidence=%s",
              (unsigned long long)r->desc->id, (unsigned long long)(at->index & ~EFFECTS_ROWS),
              (unsigned long long)r->applied, (at->index & EFFECTS_ROWS) != 0 ? "rows" : "effects", EVIDENCE_DIR);
    divergence_take_out(r, at->index & ~EFFECTS_ROWS);
    evidence_keep(r, at);
}

void divergence_take_out(struct replica *r, uint64_t at)
{
    r->state = REPLICA_DIVERGED;
    r->divergence.at = at;
    r->divergence.evidence_kept = false;
    if (r->sending != NULL) {
        uint64_t to = snapshot_send_abort(r->sending);
        replica_step(r, &(struct raft_event){.type = RAFT_EVENT_SNAPSHOT_SENT, .to = to, .ok = false});
    }
    replica_fail_all(r, STATUS_NOT_LEADER, true);
    replica_set_leads(r);
    host_mark_ready(r->host, r);
    merge_wake(r);
}

static void judge(struct replica *r)
{
    struct effects_window at = {0};
    const struct raft_config *c = raft_config_now(r->raft);
    if (r->state != REPLICA_RUNNING || c->old_voter_count > 0) return; /* a joint configuration: a little later */
    enum effects_verdict v = effects_judge(&r->divergence.effects, c->voters, c->voter_count, r->id, &at);
    if (v == EFFECTS_DIVERGED) {
        diverge(r, &at);
    } else if (v == EFFECTS_DOUBT && r->divergence.effects.memory->doubted != at.index) {
        COVER("range.doubt");
        r->divergence.effects.memory->doubted = at.index;
        log_event(r->host->env->log, LOG_ERROR, "range.doubt",
                  "range=%llu index=%llu why=\"a replica differs from this one\"", (unsigned long long)r->desc->id,
                  (unsigned long long)at.index);
    }
}

static void tell(struct replica *r, bool wants_rows)
{
    struct effects_item windows[EFFECTS_WINDOWS];
    struct effects_news news = {.group = r->desc->id, .replica = r->id, .wants_rows = wants_rows, .windows = windows};
    const struct effects_window *own = effects_own(&r->divergence.effects);
    for (unsigned i = 0; i < EFFECTS_WINDOWS && own[i].index != 0; i++) {
        windows[news.window_count++] = (struct effects_item){.index = own[i].index, .hash = own[i].hash};
    }
    struct buf b;
    buf_init(&b, 4096);
    pack_effects_news(&b, &news);
    for (size_t i = 0; i < r->desc->replica_count; i++) {
        struct link *l = map_get(&r->host->links, r->desc->replicas[i].node_id);
        if (l != NULL) (void)link_notify(l, METHOD_EFFECTS, buf_slice(&b)); /* lost: compared at the next window */
    }
    buf_free(&b);
}

void divergence_applied(struct replica *r, const struct raft_entry *e, const struct txn_writes *w, uint64_t ts,
                        struct slice answer)
{
    struct effects *f = &r->divergence.effects;
    if (f->every == 0) return;
    effects_note(f, e->term);
    effects_note(f, ts);
    for (size_t i = 0; i < w->count; i++) {
        effects_note(f, w->items[i].is_delete);
        effects_note_bytes(f, w->items[i].key);
        effects_note_bytes(f, w->items[i].value);
    }
    effects_note_bytes(f, answer);
    if (effects_end(f, e->index)) r->divergence.news = true;
}

/* In the pass, when apply stands still: the judgement may take the replica out. */
void divergence_run(struct replica *r)
{
    if (!r->divergence.news) return;
    r->divergence.news = false;
    tell(r, false);
    judge(r);
}

void divergence_tick(struct replica *r)
{
    struct host *h = r->host;
    if (r->state != REPLICA_DIVERGED || h->now_ms < r->divergence.want_at_ms) return;
    r->divergence.want_at_ms = h->now_ms + WANT_EVERY_MS;
    if (raft_role(r->raft) == RAFT_LEADER) {
        handover_away(r);
    } else if (r->divergence.evidence_kept && r->receiving == NULL) {
        tell(r, true);
    }
}

bool divergence_mutes(const struct replica *r)
{
    return r->state == REPLICA_DIVERGED && raft_role(r->raft) != RAFT_LEADER;
}

void divergence_rebuilt(struct replica *r)
{
    effects_init(&r->divergence.effects, r->host->options.compare_every, r->applied);
    comparison_free(r); /* it was of other rows */
    if (r->divergence.at == 0) return;
    if (!r->divergence.damaged && !r->divergence.lacking) {
        struct evidence *v = evidence_new(r, r->divergence.at);
        v->rename = true;
        evidence_submit(v);
    }
    r->divergence.damaged = r->divergence.lacking = false;
    log_event(r->host->env->log, LOG_WARN, "range.rebuilt", "range=%llu index=%llu", (unsigned long long)r->desc->id,
              (unsigned long long)r->applied);
    r->divergence.at = 0;
}

void host_on_effects(struct host *h, struct rpc_request *req)
{
    struct effects_news news;
    arena_reset(&h->decode_arena);
    struct replica *r = NULL;
    if (unpack_effects_news(req->params, &h->decode_arena, &news) == STATUS_OK) r = map_get(&h->replicas, news.group);
    if (r != NULL && r->state == REPLICA_RUNNING && replica_node_of(r, news.replica) == req->peer_node_id) {
        for (size_t i = 0; i < news.window_count; i++) {
            effects_claim(&r->divergence.effects, news.replica,
                          &(struct effects_window){.index = news.windows[i].index, .hash = news.windows[i].hash});
        }
        judge(r);
        if (news.wants_rows && r->state == REPLICA_RUNNING && r->leads && !h->stopping)
            snapshot_send_start(r, news.replica);
    }
    rpc_request_drop(req);
}

/* --- after a restart --- */

/* One that left before it was rebuilt leaves its mark behind. A later replica of the range here is whole, and may be all that there is. */
static bool mark_is_of(struct host *h, const struct replica *r)
{
    char path[PATH_MAX_BYTES], text[PATH_MAX_BYTES] = "";
    unsigned long long group, replica;
    struct disk_file *f = NULL;
    size_t got = 0;
    mark_path(path, r->desc->id, "");
    if (disk_open(h->env->disk, path, DISK_READ, &f, NULL) != STATUS_OK) return true;
    enum status s = disk_read(f, 0, (uint8_t *)text, sizeof text - 1, &got);
    disk_close(f);
    if (s != STATUS_OK || sscanf(text, "range %llu, replica %llu ", &group, &replica) != 2) return true;
    if (replica != r->id) COVER("range.mark_of_former");
    return replica == r->id;
}

static void marked(void *ctx, const char *name)
{
    struct host *h = ctx;
    char *end;
    if (strncmp(name, "range-", 6) != 0) return;
    uint64_t group = strtoull(name + 6, &end, 10);
    struct replica *r = *end == '\0' ? map_get(&h->replicas, group) : NULL;
    if (r == NULL || !mark_is_of(h, r)) return;
    r->state = REPLICA_DIVERGED;
    r->divergence.at = r->applied > 0 ? r->applied : 1;
    r->divergence.evidence_kept = true;
    log_event(h->env->log, LOG_ERROR, "range.diverged", "range=%llu since=\"an earlier run\"",
              (unsigned long long)group);
}

void divergence_recall(struct host *h)
{
    if (h->env->disk != NULL && disk_list(h->env->disk, EVIDENCE_DIR, marked, h) != STATUS_OK) return; /* never any */
}
