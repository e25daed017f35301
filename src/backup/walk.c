#include "backup/walk.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define AHEAD 4u
#define MEMORY_BYTES (512ull << 20)

enum walk_state { WALK_SURVEYING, WALK_LOADING, WALK_CHUNKS, WALK_ENDED };

struct walk {
    struct actor actor;
    struct env *env;
    struct depot *depot;
    struct walk_options options;
    struct walk_events events;
    void *ctx;
    const struct backup_manifest *backup;
    const struct catalog_changes **files;
    size_t file_count;
    enum walk_state state;
    size_t file; /* SURVEYING, LOADING: which is read */
    bool reading;
    struct arena arena;
    struct backup_keyspace *keyspaces;
    size_t keyspace_count, keyspace_capacity;
    struct backup_chunk *chunks;
    size_t chunk_count;
    size_t part, part_count, part_end; /* of the chunks */
    size_t lead;                       /* chunks of options.first, which stand before the others */
    size_t next_chunk, chunks_out;
    struct overlay overlay;
    uint64_t bytes_done, bytes_total;
    enum status status;
    char text[500];
};

static void walk_fail(struct walk *w, enum status s, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void walk_fail(struct walk *w, enum status s, const char *fmt, ...)
{
    if (w->status != STATUS_OK) return;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(w->text, sizeof w->text, fmt, args);
    va_end(args);
    w->status = s;
}

/* --- which keyspaces --- */

static void learn_keyspace(struct walk *w, const struct backup_keyspace *k, uint64_t from)
{
    for (size_t i = 0; i < w->keyspace_count; i++) {
        struct backup_keyspace *have = &w->keyspaces[i];
        if (have->id != k->id) continue;
        uint64_t absent = have->absent_until;
        struct slice name = have->name;
        *have = *k;
        have->absent_until = absent;
        have->name = name;
        return;
    }
    if (w->keyspace_count == w->keyspace_capacity) {
        w->keyspace_capacity = w->keyspace_capacity == 0 ? 16 : w->keyspace_capacity * 2;
        w->keyspaces = mem_realloc(w->keyspaces, w->keyspace_capacity * sizeof *w->keyspaces);
    }
    struct backup_keyspace *fresh = &w->keyspaces[w->keyspace_count++];
    *fresh = *k;
    fresh->name = arena_dup_slice(&w->arena, k->name);
    if (fresh->absent_until < from) fresh->absent_until = from;
}

static const struct backup_keyspace *keyspace_of(const struct walk *w, uint32_t id)
{
    for (size_t i = 0; i < w->keyspace_count; i++)
        if (w->keyspaces[i].id == id) return &w->keyspaces[i];
    return NULL;
}

/* Chunks are sorted: those of one keyspace stand together. */
static void put_first(struct walk *w)
{
    size_t from = 0, n = 0;
    for (size_t i = 0; i < w->chunk_count; i++) {
        if (!slice_eq(keyspace_of(w, w->chunks[i].keyspace)->name, w->options.first)) continue;
        if (n++ == 0) from = i;
    }
    w->lead = n;
    if (n == 0 || from == 0) return;
    struct backup_chunk *mine = mem_dup(w->chunks + from, n * sizeof *mine);
    memmove(w->chunks + n, w->chunks, from * sizeof *mine);
    memcpy(w->chunks, mine, n * sizeof *mine);
    mem_free(mine);
}

static bool has_chunks(const struct backup_manifest *m, uint32_t keyspace)
{
    for (size_t i = 0; i < m->chunk_count; i++)
        if (m->chunks[i].keyspace == keyspace) return true;
    return false;
}

/* Keyspaces that had been dropped for a while may have rows that are not in the files. */
static void refuse_unknown(struct walk *w)
{
    const struct backup_manifest *m = w->backup;
    for (size_t i = 0; i < w->keyspace_count; i++) {
        const struct backup_keyspace *k = &w->keyspaces[i];
        if (k->dropped_ts != 0 && w->options.at > k->known_upto)
            walk_fail(w, STATUS_NOT_FOUND,
                      "keyspace %.*s was dropped at %llu, and its changes are known up to %llu: nothing between can be "
                      "restored, name a time before or after",
                      (int)k->name.size, (const char *)k->name.data, (unsigned long long)k->dropped_ts,
                      (unsigned long long)k->known_upto);
        for (size_t j = 0; j < m->keyspace_count; j++)
            if (m->keyspaces[j].id == k->id && m->keyspaces[j].absent_until < m->from && !has_chunks(m, k->id))
                walk_fail(
                    w, STATUS_NOT_FOUND,
                    "keyspace %.*s was dropped when the backup as of %llu was made, and taken back later: its rows "
                    "are not in it; name a time before, or after a later backup",
                    (int)k->name.size, (const char *)k->name.data, (unsigned long long)m->at);
    }
}

/* Those that are there at `at`; the chunks that are theirs, and an empty one for each that came later than the backup. */
static void make_plan(struct walk *w)
{
    const struct backup_manifest *m = w->backup;
    size_t kept = 0;
    for (size_t i = 0; i < w->keyspace_count; i++)
        if (backup_keyspace_is_there(&w->keyspaces[i], w->options.at)) w->keyspaces[kept++] = w->keyspaces[i];
    w->keyspace_count = kept;
    refuse_unknown(w);
    w->chunks = mem_alloc((m->chunk_count + kept + 1) * sizeof *w->chunks);
    for (size_t i = 0; i < m->chunk_count; i++)
        if (keyspace_of(w, m->chunks[i].keyspace) != NULL) w->chunks[w->chunk_count++] = m->chunks[i];
    for (size_t i = 0; i < kept; i++) {
        bool has = false;
        for (size_t j = 0; j < w->chunk_count && !has; j++) has = w->chunks[j].keyspace == w->keyspaces[i].id;
        if (has) continue;
        w->chunks[w->chunk_count++] = (struct backup_chunk){
            .keyspace = w->keyspaces[i].id, .start = SLICE_EMPTY, .end = SLICE_EMPTY, .name = SLICE_EMPTY};
    }
    if (w->chunk_count > 1) qsort(w->chunks, w->chunk_count, sizeof *w->chunks, backup_chunk_compare);
    put_first(w);
    for (size_t i = 0; i < w->chunk_count; i++) w->bytes_total += w->chunks[i].file_bytes;
}

/* --- reading --- */

static struct overlay_bound bound_of(const struct walk *w, size_t chunk)
{
    if (chunk >= w->chunk_count) return (struct overlay_bound){.keyspace = UINT32_MAX, .key = SLICE_EMPTY};
    return (struct overlay_bound){.keyspace = w->chunks[chunk].keyspace, .key = w->chunks[chunk].start};
}

static void begin_part(struct walk *w)
{
    overlay_free(&w->overlay);
    overlay_init(&w->overlay, w->options.at);
    size_t rest = w->chunk_count - w->lead, skip = w->lead > 0 ? 1 : 0, parts = w->part_count - skip;
    bool leads = w->part < skip;
    w->next_chunk = leads ? 0 : w->lead + (w->part - skip) * rest / parts;
    w->part_end = leads ? w->lead : w->lead + (w->part - skip + 1) * rest / parts;
    w->overlay.bounded = true;
    w->overlay.from = bound_of(w, w->next_chunk);
    w->overlay.to = leads ? (struct overlay_bound){.keyspace = w->chunks[0].keyspace + 1, .key = SLICE_EMPTY}
                          : bound_of(w, w->part_end);
    w->file = 0;
    w->state = WALK_LOADING;
    w->env->ops->wake(w->env);
}

static void on_change_name(void *ctx, const char *name)
{
    struct walk *w = ctx;
    const struct catalog_changes *f = w->files[w->file];
    uint64_t n[2];
    if (!backup_name_read(name, "", 2, n) || n[0] != f->from || n[1] <= f->to) return;
    struct catalog_changes *longer = arena_zalloc(&w->arena, sizeof *longer);
    *longer = *f;
    longer->to = n[1];
    w->files[w->file] = longer;
}

/* The last file of an archive that grows is written anew under a longer name: it takes the place of the one that was listed. */
static bool superseded(struct walk *w)
{
    const struct catalog_changes *f = w->files[w->file];
    struct errbuf err;
    return depot_list(w->depot, "changes", on_change_name, w, &err) == STATUS_OK && w->files[w->file] != f;
}

static void on_changes(void *ctx, enum status s, const char *text, struct buf *bytes, struct slice body)
{
    struct walk *w = ctx;
    const struct catalog_changes *f = w->files[w->file];
    struct backup_changes c;
    w->reading = false;
    w->bytes_done += bytes->size;
    if (s == STATUS_NOT_FOUND && superseded(w)) {
        COVER("backup.file_superseded");
    } else if (s != STATUS_OK) {
        walk_fail(w, s, "%s", text);
    } else if (backup_changes_get(body, &w->arena, &c) != STATUS_OK || c.from != f->from || c.to != f->to) {
        walk_fail(w, STATUS_CORRUPT, "changes/%016llx-%016llx does not make sense", (unsigned long long)f->from,
                  (unsigned long long)f->to);
    } else if (memcmp(&c.cluster, &w->backup->cluster, sizeof c.cluster) != 0) {
        walk_fail(w, STATUS_WRONG_CLUSTER, "changes/%016llx-%016llx is of another cluster than the backup",
                  (unsigned long long)f->from, (unsigned long long)f->to);
    } else {
        if (w->state == WALK_SURVEYING)
            for (size_t i = 0; i < c.keyspace_count; i++) learn_keyspace(w, &c.keyspaces[i], f->from);
        bool wanted = w->state == WALK_LOADING || w->part_count == 1;
        if (wanted && overlay_add(&w->overlay, c.rows) != STATUS_OK)
            walk_fail(w, STATUS_CORRUPT, "changes/%016llx-%016llx holds what is no row", (unsigned long long)f->from,
                      (unsigned long long)f->to);
        w->file++;
    }
    w->env->ops->wake(w->env);
}

static void deliver(struct walk_chunk *c, struct slice body)
{
    struct walk *w = c->walk;
    merged_init(&c->rows, &w->chunks[c->index], body, &w->overlay);
    w->events.on_chunk(w->ctx, c);
}

static void on_chunk(void *ctx, enum status s, const char *text, struct buf *bytes, struct slice body)
{
    struct walk_chunk *c = ctx;
    struct walk *w = c->walk;
    const struct backup_chunk *k = &w->chunks[c->index];
    w->bytes_done += k->file_bytes;
    if (s == STATUS_OK && (bytes->size != k->file_bytes || crc32c(0, bytes->data, bytes->size - 4) != k->crc)) {
        s = STATUS_CORRUPT;
        walk_fail(w, s, "%.*s is not the file that the backup was made with", (int)k->name.size,
                  (const char *)k->name.data);
    }
    if (s != STATUS_OK) {
        walk_fail(w, s, "%s", text);
        w->chunks_out--;
        mem_free(c);
    } else {
        c->file = *bytes;
        buf_init(bytes, 0);
        deliver(c, body);
    }
    w->env->ops->wake(w->env);
}

void walk_chunk_done(struct walk_chunk *c)
{
    struct walk *w = c->walk;
    const struct merged *m = &c->rows;
    const struct backup_chunk *k = m->chunk;
    bool whole = m->corrupt || (!m->has_row && m->over_count == 0);
    bool same = backup_digest_eq(&m->seen, &k->digest) && m->seen.mortal == k->digest.mortal;
    if (m->corrupt || (whole && !same))
        walk_fail(w, STATUS_CORRUPT, "%.*s: its rows are not those that it was made of", (int)k->name.size,
                  (const char *)k->name.data);
    buf_free(&c->file);
    mem_free(c);
    w->chunks_out--;
    w->env->ops->wake(w->env);
}

static void ask_chunk(struct walk *w)
{
    struct walk_chunk *c = mem_zalloc(sizeof *c);
    char name[BACKUP_NAME_MAX];
    c->walk = w;
    c->index = w->next_chunk++;
    w->chunks_out++;
    struct slice file = w->chunks[c->index].name;
    if (file.size == 0) {
        deliver(c, SLICE_EMPTY);
        return;
    }
    (void)snprintf(name, sizeof name, "%.*s", (int)file.size, (const char *)file.data);
    depot_read(w->depot, name, BACKUP_CHUNK, on_chunk, c);
}

/* --- the pass --- */

static void step_files(struct walk *w)
{
    if (w->reading) return;
    if (w->file < w->file_count) {
        char name[BACKUP_NAME_MAX];
        backup_changes_name(name, w->files[w->file]->from, w->files[w->file]->to);
        w->reading = true;
        depot_read(w->depot, name, BACKUP_CHANGES, on_changes, w);
        return;
    }
    if (w->state == WALK_SURVEYING) {
        make_plan(w);
        if (w->status != STATUS_OK) return;
        w->events.on_plan(w->ctx);
        w->part_end = w->chunk_count;
        if (w->part_count > 1 && w->lead > 0) w->part_count++; /* those that lead are a part of their own */
        if (w->part_count > 1) begin_part(w);
        if (w->part_count > 1) return;
    }
    overlay_ready(&w->overlay);
    w->state = WALK_CHUNKS;
}

static void step_chunks(struct walk *w)
{
    while (w->status == STATUS_OK && w->chunks_out < w->options.ahead && w->next_chunk < w->part_end) {
        if (w->next_chunk == w->lead && w->chunks_out > 0) return;
        ask_chunk(w);
    }
    if (w->next_chunk < w->part_end || w->chunks_out > 0) return;
    if (++w->part < w->part_count)
        begin_part(w);
    else
        w->state = WALK_ENDED;
}

static uint64_t walk_pass(struct actor *actor, uint64_t now_ns)
{
    struct walk *w = LIST_ENTRY(actor, struct walk, actor);
    if (w->env->dead || w->events.on_end == NULL) return DEADLINE_NONE;
    (void)now_ns;
    enum walk_state was;
    do {
        was = w->state;
        if (w->status == STATUS_OK && (was == WALK_SURVEYING || was == WALK_LOADING)) step_files(w);
        if (w->status == STATUS_OK && w->state == WALK_CHUNKS) step_chunks(w);
    } while (w->state != was);
    bool over = w->status != STATUS_OK ? w->chunks_out == 0 && !w->reading : w->state == WALK_ENDED;
    if (over) {
        void (*end)(void *, enum status, const char *) = w->events.on_end;
        w->events.on_end = NULL;
        end(w->ctx, w->status, w->text);
    }
    return DEADLINE_NONE;
}

/* --- its life --- */

static enum status choose(struct walk *w, const struct catalog *c, struct errbuf *err)
{
    for (size_t i = c->backup_count; i-- > 0;) {
        const struct backup_manifest *m = &c->backups[i];
        uint64_t reach = catalog_chain(c, m->from, UINT64_MAX, NULL, NULL);
        uint64_t at = w->options.at != 0 ? w->options.at : reach;
        if (m->at > at || reach < at || reach < m->at) continue;
        w->backup = m;
        w->options.at = at;
        (void)catalog_chain(c, m->from, at, w->files, &w->file_count);
        return STATUS_OK;
    }
    if (c->backup_count == 0) {
        errbuf_set(err, "there is no backup in this directory that has been completed");
        return STATUS_NOT_FOUND;
    }
    const struct backup_manifest *first = &c->backups[0], *last = &c->backups[c->backup_count - 1];
    errbuf_set(err,
               "no backup reaches timestamp %llu: the oldest is as of %llu, and changes after the newest end at %llu",
               (unsigned long long)w->options.at, (unsigned long long)first->at,
               (unsigned long long)catalog_chain(c, last->from, UINT64_MAX, NULL, NULL));
    return STATUS_NOT_FOUND;
}

enum status walk_new(struct env *env, struct depot *depot, const struct catalog *catalog, const struct walk_options *o,
                     const struct walk_events *events, void *ctx, struct walk **out, struct errbuf *err)
{
    struct walk *w = mem_zalloc(sizeof *w);
    w->env = env;
    w->depot = depot;
    w->options = *o;
    w->events = *events;
    w->ctx = ctx;
    w->files = mem_alloc((catalog->change_count + 1) * sizeof *w->files);
    arena_init(&w->arena, 4096);
    overlay_init(&w->overlay, 0);
    enum status s = choose(w, catalog, err);
    if (s == STATUS_OK) s = backup_manifest_check(w->backup, err);
    w->actor = (struct actor){.pass = walk_pass};
    env->ops->attach(env, &w->actor);
    if (s != STATUS_OK) {
        walk_free(w);
        return s;
    }
    if (w->options.ahead == 0) w->options.ahead = AHEAD;
    if (w->options.memory_bytes == 0) w->options.memory_bytes = MEMORY_BYTES;
    w->overlay.at = w->options.at;
    for (size_t i = 0; i < w->backup->keyspace_count; i++) learn_keyspace(w, &w->backup->keyspaces[i], 0);
    for (size_t i = 0; i < w->file_count; i++) w->bytes_total += w->files[i]->bytes;
    w->part_count = 1 + (size_t)(w->bytes_total / w->options.memory_bytes);
    if (w->part_count > 1) w->bytes_total *= 1 + w->part_count;
    env->ops->wake(env);
    *out = w;
    return STATUS_OK;
}

void walk_free(struct walk *w)
{
    if (w == NULL) return;
    w->env->ops->detach(w->env, &w->actor);
    overlay_free(&w->overlay);
    arena_free(&w->arena);
    mem_free(w->files);
    mem_free(w->keyspaces);
    mem_free(w->chunks);
    mem_free(w);
}

uint64_t walk_at(const struct walk *w)
{
    return w->options.at;
}

const struct backup_manifest *walk_backup(const struct walk *w)
{
    return w->backup;
}

const struct backup_keyspace *walk_keyspaces(const struct walk *w, size_t *count)
{
    *count = w->keyspace_count;
    return w->keyspaces;
}

const struct backup_chunk *walk_chunks(const struct walk *w, size_t *count)
{
    *count = w->chunk_count;
    return w->chunks;
}

void walk_progress(const struct walk *w, uint64_t *done, uint64_t *total)
{
    *done = w->bytes_done;
    *total = w->bytes_total;
}
