#include "backup/depot.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>

#define WRITE_STEP_BYTES (1u << 20)

struct depot {
    struct env *env;
    size_t busy;
    bool closed;
};

struct depot_task {
    struct task task;
    struct depot *depot;
    char name[BACKUP_NAME_MAX];
    bool is_read;
    enum backup_file type;
    struct buf bytes;
    struct slice body;
    enum status status;
    struct errbuf err;
    depot_done done;
    depot_read_done read_done;
    void *ctx;
};

enum status depot_new(struct env *env, struct depot **out, struct errbuf *err)
{
    enum status s = env->disk->ops->mkdir(env->disk, "chunks");
    if (s == STATUS_OK) s = env->disk->ops->mkdir(env->disk, "changes");
    if (s == STATUS_OK) s = env->disk->ops->sync_dir(env->disk, "");
    if (s != STATUS_OK) {
        errbuf_set(err, "the directory of the backup cannot be written: %s", status_text(s));
        return s;
    }
    *out = mem_zalloc(sizeof **out);
    (*out)->env = env;
    return STATUS_OK;
}

void depot_free(struct depot *d)
{
    if (d == NULL) return;
    d->closed = true;
    if (d->busy == 0) mem_free(d);
}

size_t depot_busy(const struct depot *d)
{
    return d->busy;
}

/* --- on a worker: the task alone --- */

/* Whole blocks, past the page cache: a backup in it would turn out what is read from there, and filling it costs more than all else.
 * STATUS_UNSUPPORTED: nothing is written. */
static enum status write_blocks(struct disk *disk, const char *path, struct slice bytes, struct errbuf *err)
{
    struct disk_file *f = NULL;
    enum status s = disk_open(disk, path, DISK_WRITE | DISK_CREATE | DISK_DIRECT, &f, err);
    if (s != STATUS_OK) return s;
    uint8_t *blocks = mem_aligned(DISK_ALIGN, WRITE_STEP_BYTES);
    s = disk_truncate(f, 0);
    for (size_t at = 0; s == STATUS_OK && at < bytes.size; at += WRITE_STEP_BYTES) {
        size_t left = bytes.size - at, size = left < WRITE_STEP_BYTES ? left : WRITE_STEP_BYTES;
        memcpy(blocks, bytes.data + at, size);
        s = disk_write(f, at, blocks, size);
    }
    mem_free(blocks);
    disk_close(f);
    return s;
}

static enum status write_bytes(struct disk *disk, const char *path, struct slice bytes, struct errbuf *err)
{
    struct disk_file *f = NULL;
    size_t at = bytes.size / DISK_ALIGN * DISK_ALIGN;
    enum status s = at > 0 ? write_blocks(disk, path, slice_make(bytes.data, at), err) : STATUS_UNSUPPORTED;
    if (s != STATUS_OK && s != STATUS_UNSUPPORTED) return s;
    if (s == STATUS_UNSUPPORTED) at = 0;
    s = disk_open(disk, path, DISK_WRITE | DISK_CREATE, &f, err);
    if (s != STATUS_OK) return s;
    if (at == 0) s = disk_truncate(f, 0);
    for (; s == STATUS_OK && at < bytes.size; at += WRITE_STEP_BYTES) {
        size_t left = bytes.size - at;
        s = disk_write(f, at, bytes.data + at, left < WRITE_STEP_BYTES ? left : WRITE_STEP_BYTES);
    }
    if (s == STATUS_OK) s = disk_sync(f);
    disk_close(f);
    return s;
}

static void folder_of(const char *name, char folder[BACKUP_NAME_MAX])
{
    const char *slash = strchr(name, '/');
    size_t size = slash == NULL ? 0 : (size_t)(slash - name);
    memcpy(folder, name, size);
    folder[size] = '\0';
}

/* The directory has one writer of chunks, who finds out here if he is wrong. */
static enum status absent(struct disk *disk, const char *name)
{
    struct disk_file *f = NULL;
    struct errbuf err;
    enum status s = disk_open(disk, name, DISK_READ, &f, &err);
    disk_close(f);
    return s == STATUS_OK ? STATUS_EXISTS : s == STATUS_NOT_FOUND ? STATUS_OK : s;
}

static void write_execute(struct depot_task *t)
{
    struct disk *disk = t->depot->env->disk;
    char draft[BACKUP_NAME_MAX + 8], folder[BACKUP_NAME_MAX];
    (void)snprintf(draft, sizeof draft, "%s.tmp", t->name);
    folder_of(t->name, folder);
    t->status = strcmp(folder, "chunks") == 0 ? absent(disk, t->name) : STATUS_OK;
    if (t->status == STATUS_OK) t->status = write_bytes(disk, draft, buf_slice(&t->bytes), &t->err);
    if (t->status == STATUS_OK) t->status = disk->ops->rename(disk, draft, t->name);
    if (t->status == STATUS_OK) t->status = disk->ops->sync_dir(disk, folder);
    if (t->status != STATUS_OK) errbuf_set(&t->err, "%s cannot be written: %s", t->name, status_text(t->status));
}

static enum status read_bytes(struct disk *disk, const char *name, struct buf *bytes, struct errbuf *err)
{
    struct disk_file *f = NULL;
    uint64_t size = 0;
    size_t got = 0;
    enum status s = disk_open(disk, name, DISK_READ, &f, err);
    if (s == STATUS_OK) s = f->disk->ops->size(f, &size);
    buf_init(bytes, BACKUP_FILE_BYTES_MAX);
    uint8_t *room = s == STATUS_OK ? buf_extend(bytes, (size_t)size) : NULL;
    if (s == STATUS_OK && room == NULL) s = STATUS_TOO_LARGE;
    if (s == STATUS_OK && size > 0) s = disk_read(f, 0, room, (size_t)size, &got);
    if (s == STATUS_OK && got != size) s = STATUS_IO;
    disk_close(f);
    if (s != STATUS_OK) errbuf_set(err, "%s cannot be read: %s", name, status_text(s));
    return s;
}

enum status depot_file(struct disk *disk, const char *name, enum backup_file type, struct buf *bytes,
                       struct slice *body, struct errbuf *err)
{
    enum status s = read_bytes(disk, name, bytes, err);
    return s == STATUS_OK ? backup_file_open(buf_slice(bytes), type, name, body, err) : s;
}

static void task_execute(struct task *task)
{
    struct depot_task *t = LIST_ENTRY(task, struct depot_task, task);
    if (!t->is_read) {
        write_execute(t);
        return;
    }
    t->status = depot_file(t->depot->env->disk, t->name, t->type, &t->bytes, &t->body, &t->err);
}

/* --- on the loop --- */

static void task_complete(struct task *task)
{
    struct depot_task *t = LIST_ENTRY(task, struct depot_task, task);
    struct depot *d = t->depot;
    d->busy--;
    if (!d->closed && !task->cancelled) {
        if (t->is_read)
            t->read_done(t->ctx, t->status, t->err.text, &t->bytes, t->body);
        else
            t->done(t->ctx, t->status, t->err.text, &t->bytes);
    }
    buf_free(&t->bytes);
    mem_free(t);
    if (d->closed && d->busy == 0) mem_free(d);
}

static struct depot_task *task_new(struct depot *d, const char *name, void *ctx)
{
    struct depot_task *t = mem_zalloc(sizeof *t);
    t->depot = d;
    t->ctx = ctx;
    t->task = (struct task){.execute = task_execute, .complete = task_complete};
    ASSERT(strlen(name) < BACKUP_NAME_MAX);
    (void)snprintf(t->name, sizeof t->name, "%s", name);
    d->busy++;
    return t;
}

void depot_write(struct depot *d, const char *name, struct buf *b, depot_done done, void *ctx)
{
    struct depot_task *t = task_new(d, name, ctx);
    ASSERT(!b->overflow);
    t->done = done;
    t->bytes = *b;
    buf_init(b, t->bytes.max);
    exec_submit(d->env->exec, LANE_READ, &t->task);
}

void depot_read(struct depot *d, const char *name, enum backup_file type, depot_read_done done, void *ctx)
{
    struct depot_task *t = task_new(d, name, ctx);
    t->is_read = true;
    t->type = type;
    t->read_done = done;
    buf_init(&t->bytes, BACKUP_FILE_BYTES_MAX);
    exec_submit(d->env->exec, LANE_READ, &t->task);
}

enum status depot_read_now(struct depot *d, const char *name, enum backup_file type, struct buf *bytes,
                           struct slice *body, struct errbuf *err)
{
    return depot_file(d->env->disk, name, type, bytes, body, err);
}

enum status depot_list(struct depot *d, const char *folder, void (*each)(void *ctx, const char *name), void *ctx,
                       struct errbuf *err)
{
    enum status s = disk_list(d->env->disk, folder, each, ctx);
    if (s == STATUS_OK || s == STATUS_NOT_FOUND) return STATUS_OK; /* nothing is there */
    errbuf_set(err, "the directory of the backup cannot be read: %s: %s", folder[0] != '\0' ? folder : ".",
               status_text(s));
    return s;
}

enum status depot_peek(struct depot *d, const char *name, void *head, size_t head_bytes, uint64_t *file_bytes,
                       struct errbuf *err)
{
    struct disk_file *f = NULL;
    size_t got = 0;
    memset(head, 0, head_bytes);
    enum status s = disk_open(d->env->disk, name, DISK_READ, &f, err);
    if (s == STATUS_OK) s = disk_size(f, file_bytes);
    if (s == STATUS_OK) s = disk_read(f, 0, head, head_bytes, &got);
    disk_close(f);
    if (s != STATUS_OK) errbuf_set(err, "%s cannot be read: %s", name, status_text(s));
    return s;
}

void depot_remove(struct depot *d, const char *name)
{
    (void)d->env->disk->ops->remove(d->env->disk, name);
}
