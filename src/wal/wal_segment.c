/* The log's files: made full of zeros before they are used, used again and again, removed when there are too many. */
#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "wal/wal_int.h"

#define ZERO_CHUNK (1024u * 1024u)
#define ZERO_SYNC (4u * ZERO_CHUNK)
#define SPARES_KEPT_MORE 4u /* than wanted: a flush frees several segments at a time */
#define SELF_TEST_FILE "selftest.tmp"
#define SELF_TEST_WRITES 16u
#define ARENA_CHUNK 4096u

/* --- names and methods --- */
void wal_path(char path[WAL_PATH_MAX], const char *dir, uint64_t number)
{
    int n = snprintf(path, WAL_PATH_MAX, "%s/%016" PRIx64 WAL_SUFFIX, dir, number);
    ASSERT(n > 0 && n < (int)WAL_PATH_MAX);
}

bool wal_path_parse(const char *name, uint64_t *number, const char *suffix)
{
    *number = 0;
    for (unsigned i = 0; i < 16; i++) {
        char c = name[i];
        bool digit = c >= '0' && c <= '9';
        if (!digit && !(c >= 'a' && c <= 'f')) return false; /* also ends a short name */
        *number = *number << 4 | (uint64_t)(digit ? c - '0' : c - 'a' + 10);
    }
    return *number != 0 && strcmp(name + 16, suffix) == 0;
}

const char *wal_method_name(enum wal_method m)
{
    switch (m) {
    case WAL_DIRECT_DSYNC: return "direct+dsync";
    case WAL_DSYNC: return "dsync";
    case WAL_FDATASYNC: return "fdatasync";
    }
    BUG("method");
}

unsigned wal_method_flags(enum wal_method m)
{
    if (MUTANT(log_not_synced)) return DISK_READ | DISK_WRITE;
    switch (m) {
    case WAL_DIRECT_DSYNC: return DISK_READ | DISK_WRITE | DISK_DIRECT | DISK_DSYNC;
    case WAL_DSYNC: return DISK_READ | DISK_WRITE | DISK_DSYNC;
    case WAL_FDATASYNC: return DISK_READ | DISK_WRITE;
    }
    BUG("method");
}

/* --- making files --- */
static enum status write_zeros(struct disk_file *f, uint64_t bytes)
{
    uint64_t chunk = bytes < ZERO_CHUNK ? bytes : ZERO_CHUNK;
    uint8_t *zeros = mem_aligned(WAL_BLOCK, (size_t)chunk);
    memset(zeros, 0, (size_t)chunk);
    enum status s = STATUS_OK;
    /* Synced piece by piece: in one burst they would make the log's own writes wait for hundreds of milliseconds. */
    for (uint64_t at = 0; at < bytes && s == STATUS_OK; at += chunk) {
        s = disk_write(f, at, zeros, (size_t)(bytes - at < chunk ? bytes - at : chunk));
        if (s == STATUS_OK && (at + chunk) % ZERO_SYNC == 0) s = disk_sync(f);
    }
    if (s == STATUS_OK) s = disk_sync(f);
    mem_free(zeros);
    return s;
}

/* Only behind a sync that succeeded: it tells a later start that the zeros are on the disk. */
static enum status write_blank_header(struct disk_file *f, uint64_t number, uint64_t bytes)
{
    uint8_t *block = mem_aligned(WAL_BLOCK, WAL_BLOCK);
    wal_segment_header_encode(&(struct wal_segment_header){.segment = number, .segment_bytes = bytes}, block);
    enum status s = disk_write(f, 0, block, WAL_BLOCK);
    mem_free(block);
    return s == STATUS_OK ? disk_sync(f) : s;
}

enum status wal_segment_create(struct disk *disk, const char *dir, uint64_t number, uint64_t bytes,
                               enum wal_method method, bool direct, struct disk_file **out)
{
    char path[WAL_PATH_MAX];
    wal_path(path, dir, number);
    struct disk_file *f = NULL;
    *out = NULL;
    /* Zeros are written without DSYNC: one sync at the end. In the page cache they would cost a copy, and the place of what others read. */
    unsigned flags = DISK_READ | DISK_WRITE | DISK_CREATE | DISK_EXCLUSIVE | (direct ? DISK_DIRECT : 0);
    enum status s = disk_open(disk, path, flags, &f, NULL);
    if (s != STATUS_OK) return s;
    s = write_zeros(f, bytes);
    if (s == STATUS_OK) s = write_blank_header(f, number, bytes);
    disk_close(f);
    if (s == STATUS_OK && !MUTANT(segment_name_not_synced)) s = disk_sync_dir(disk, dir);
    if (s == STATUS_OK) s = disk_open(disk, path, wal_method_flags(method), out, NULL);
    if (s != STATUS_OK && disk_remove(disk, path) != STATUS_OK)
        COVER("wal.spare_left_behind"); /* the next start finds it */
    return s;
}

/* --- segments --- */
struct wal_segment *wal_segment_new(uint64_t number, uint64_t bytes)
{
    struct wal_segment *s = mem_zalloc(sizeof *s);
    list_init(&s->link);
    s->number = number;
    s->bytes = bytes;
    map_init(&s->needs);
    arena_init(&s->arena, ARENA_CHUNK);
    return s;
}

void wal_segment_free(struct wal *w, struct wal_segment *s)
{
    if (w->last_need_in == s) w->last_need = NULL;
    list_remove(&s->link);
    disk_close(s->file);
    map_free(&s->needs);
    arena_free(&s->arena);
    mem_free(s);
}

void wal_segment_release(struct wal *w, struct wal_segment *s)
{
    wal_index_forget_segment(w, s);
    s->epoch = 0;
    s->end = 0;
    if (s->bytes == w->segment_bytes && w->spare_count < w->spares_wanted + SPARES_KEPT_MORE) {
        list_push_back(&w->spares, &s->link);
        w->spare_count++;
    } else {
        wal_doom(w, s->number);
        wal_segment_free(w, s);
    }
}

/* --- chores --- */
void wal_doom(struct wal *w, uint64_t number)
{
    if (w->doomed_count == w->doomed_capacity) {
        w->doomed_capacity = w->doomed_capacity == 0 ? 16 : w->doomed_capacity * 2;
        w->doomed = mem_realloc(w->doomed, w->doomed_capacity * sizeof *w->doomed);
    }
    w->doomed[w->doomed_count++] = number;
}

static void chore_execute(struct task *task)
{
    struct wal_chore *c = LIST_ENTRY(task, struct wal_chore, task);
    if (c->remove_count == 0) {
        c->status =
            wal_segment_create(c->disk, c->dir, c->create_number, c->create_bytes, c->method, c->direct, &c->file);
        return;
    }
    for (unsigned i = 0; i < c->remove_count; i++) {
        char path[WAL_PATH_MAX];
        wal_path(path, c->dir, c->remove[i]);
        enum status s = disk_remove(c->disk, path);
        if (s != STATUS_OK && s != STATUS_NOT_FOUND) c->status = s;
    }
}

static void chore_complete(struct task *task)
{
    struct wal_chore *c = LIST_ENTRY(task, struct wal_chore, task);
    struct wal *w = c->wal;
    if (w == NULL || task->cancelled) {
        disk_close(c->file);
        if (w != NULL) w->chore = NULL;
        mem_free(c);
        return;
    }
    w->chore = NULL;
    if (c->status != STATUS_OK) {
        /* Nobody waits for it: the log has what it has, and tries again later. */
        log_event(w->env->log, LOG_WARN, c->remove_count == 0 ? "wal.spare_failed" : "wal.remove_failed", "status=%s",
                  status_name(c->status));
        w->chore_retry_ns = env_mono_ns(w->env) + WAL_RETRY_NS;
    } else if (c->remove_count == 0) {
        struct wal_segment *s = wal_segment_new(c->create_number, c->create_bytes);
        s->file = c->file;
        list_push_back(&w->spares, &s->link);
        w->spare_count++;
    }
    mem_free(c);
    wal_chores(w);
}

void wal_chores(struct wal *w)
{
    if (w->chore != NULL || w->failed || w->closing || w->env->dead) return;
    bool create = w->spare_count < w->spares_wanted && !MUTANT(no_spares);
    if (!create && w->doomed_count == 0) return;
    if (w->chore_retry_ns != 0 && env_mono_ns(w->env) < w->chore_retry_ns) return;
    w->chore_retry_ns = 0;
    struct wal_chore *c = mem_zalloc(sizeof *c);
    c->task = (struct task){.execute = chore_execute, .complete = chore_complete};
    c->wal = w;
    c->disk = w->disk;
    c->method = w->method;
    c->direct = w->direct;
    memcpy(c->dir, w->dir, sizeof c->dir);
    if (w->doomed_count > 0) { /* first: it makes room */
        while (w->doomed_count > 0 && c->remove_count < WAL_REMOVE_MAX)
            c->remove[c->remove_count++] = w->doomed[--w->doomed_count];
    } else {
        c->create_number = w->next_segment++;
        c->create_bytes = w->segment_bytes;
    }
    w->chore = c;
    exec_submit(w->env->exec, LANE_BACKGROUND, &c->task);
}

/* --- which way of writing is fastest here --- */
static enum status measure(struct wal *w, struct disk_file *f, enum wal_method m, uint64_t at, const uint8_t *block,
                           uint64_t *best_ns)
{
    uint64_t start = env_mono_ns(w->env);
    enum status s = disk_write(f, at, block, WAL_BLOCK);
    if (s == STATUS_OK && m == WAL_FDATASYNC) s = disk_sync(f);
    uint64_t ns = env_mono_ns(w->env) - start;
    if (ns < *best_ns) *best_ns = ns;
    return s;
}

/* By turns, and the best of each counts: whatever else the disk does meanwhile makes writes slower, never faster. What goes
 * past the page cache costs less of a processor, so the other way has to be faster by a quarter. */
static enum status self_test(struct wal *w, const char *path)
{
    struct disk_file *direct = NULL, *cached = NULL;
    uint64_t direct_ns = UINT64_MAX, sync_ns = UINT64_MAX;
    uint8_t *block = mem_aligned(WAL_BLOCK, WAL_BLOCK);
    memset(block, 0x5a, WAL_BLOCK);
    enum status s = disk_open(w->disk, path, DISK_CREATE | wal_method_flags(WAL_FDATASYNC), &cached, NULL);
    if (s == STATUS_OK) s = write_zeros(cached, (uint64_t)SELF_TEST_WRITES * WAL_BLOCK);
    if (s == STATUS_OK) s = disk_open(w->disk, path, wal_method_flags(WAL_DIRECT_DSYNC), &direct, NULL);
    for (uint64_t at = 0; at < SELF_TEST_WRITES * WAL_BLOCK && s == STATUS_OK; at += WAL_BLOCK) {
        s = measure(w, cached, WAL_FDATASYNC, at, block, &sync_ns);
        if (s == STATUS_OK) s = measure(w, direct, WAL_DIRECT_DSYNC, at, block, &direct_ns);
    }
    disk_close(direct);
    disk_close(cached);
    mem_free(block);
    if (s != STATUS_OK) return s;
    w->method = sync_ns < direct_ns - direct_ns / 4 ? WAL_FDATASYNC : WAL_DIRECT_DSYNC;
    log_event(w->env->log, LOG_INFO, "wal.self_test", "direct_dsync_ns=%" PRIu64 " fdatasync_ns=%" PRIu64 " chosen=%s",
              direct_ns, sync_ns, wal_method_name(w->method));
    return STATUS_OK;
}

/* A new log has no file that could tell whether the disk can do DISK_DIRECT. */
static enum status probe_direct(struct wal *w, const char *path)
{
    struct disk_file *f = NULL;
    enum status s = disk_open(w->disk, path, wal_method_flags(WAL_DIRECT_DSYNC) | DISK_CREATE, &f, NULL);
    disk_close(f);
    if (s != STATUS_UNSUPPORTED) return s;
    w->direct = false;
    return STATUS_OK;
}

enum status wal_method_choose(struct wal *w, bool to_measure, struct errbuf *err)
{
    char path[WAL_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/" SELF_TEST_FILE, w->dir);
    enum status s = STATUS_OK;
    bool wrote = w->live_count == 0 && w->spare_count == 0;
    if (wrote) s = probe_direct(w, path);
    if (to_measure) {
        w->method = w->direct ? WAL_DIRECT_DSYNC : WAL_FDATASYNC;
    } else {
        w->method = w->direct ? WAL_DIRECT_DSYNC : WAL_DSYNC;
    }
    if (s == STATUS_OK && to_measure && w->direct) {
        s = self_test(w, path);
        wrote = true;
    }
    enum status removed = wrote ? disk_remove(w->disk, path) : STATUS_OK;
    if (s == STATUS_NO_SPACE) return STATUS_OK; /* unmeasured: what the log itself needs may exist already */
    if (s == STATUS_OK && removed != STATUS_NOT_FOUND) s = removed;
    if (s != STATUS_OK)
        errbuf_set(err, "wal: the test of sync methods in %s failed: %s; check the disk", w->dir, status_text(s));
    return s;
}
