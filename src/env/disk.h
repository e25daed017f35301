/* The disk seam: about a dozen blocking calls below one root directory. Paths are relative to the root, '/'-separated,
 * without "..". Every call may block: on an event loop only while opening; later from tasks (env/exec.h), any thread.
 * One file may be used by one thread at a time, except that `read` may be called by many.
 *
 * Durability, as ext4 and xfs give it and the simulator takes it away:
 *  - bytes written are durable after disk_sync of that file, or when disk_write returns on a file opened DISK_DSYNC;
 *  - a created, renamed or removed name is durable after disk_sync_dir of its directory;
 *  - an unsynced write may survive, vanish, or survive in part, 512 bytes being atomic;
 *  - a failed write or sync leaves the file's content unknown: whoever sees it stops for good. */
#ifndef QUORATE_ENV_DISK_H
#define QUORATE_ENV_DISK_H

#include "base/slice.h"
#include "base/status.h"

enum disk_flags {
    DISK_READ = 1,
    DISK_WRITE = 2,
    DISK_CREATE = 4,    /* create if absent */
    DISK_EXCLUSIVE = 8, /* with DISK_CREATE: STATUS_EXISTS if present */
    /* Bypass the page cache: offset, size and memory aligned to DISK_ALIGN; STATUS_UNSUPPORTED where it cannot be done. */
    DISK_DIRECT = 16,
    DISK_DSYNC = 32, /* each write is durable when it returns */
};

#define DISK_ALIGN 4096u

struct disk;
struct disk_file {
    struct disk *disk; /* implementations extend this struct */
};

struct disk_ops {
    enum status (*open)(struct disk *, const char *path, unsigned flags, struct disk_file **out, struct errbuf *);
    void (*close)(struct disk_file *);
    /* Reads up to `size` bytes; *got < size only at the end of the file. */
    enum status (*read)(struct disk_file *, uint64_t offset, void *bytes, size_t size, size_t *got);
    enum status (*write)(struct disk_file *, uint64_t offset, const void *bytes, size_t size);
    enum status (*sync)(struct disk_file *);
    enum status (*size)(struct disk_file *, uint64_t *size);
    enum status (*truncate)(struct disk_file *, uint64_t size);
    enum status (*remove)(struct disk *, const char *path);
    enum status (*rename)(struct disk *, const char *from, const char *to);
    /* A second name for a file, durable as other names are; STATUS_EXISTS if there is such a name. */
    enum status (*link)(struct disk *, const char *from, const char *to);
    enum status (*mkdir)(struct disk *, const char *path);    /* STATUS_OK if it exists */
    enum status (*sync_dir)(struct disk *, const char *path); /* "" is the root */
    enum status (*list)(struct disk *, const char *path, void (*each)(void *ctx, const char *name), void *ctx);
    enum status (*space)(struct disk *, uint64_t *free_bytes, uint64_t *total_bytes);
    /* Exclusive claim on the root for this process (STATUS_LOCKED if another has it). */
    enum status (*lock)(struct disk *, struct errbuf *);
};

struct disk {
    const struct disk_ops *ops;
};

static inline MUST_CHECK enum status disk_open(struct disk *d, const char *path, unsigned flags, struct disk_file **out,
                                               struct errbuf *err)
{
    return d->ops->open(d, path, flags, out, err);
}
static inline void disk_close(struct disk_file *f)
{
    if (f != NULL) f->disk->ops->close(f);
}
static inline MUST_CHECK enum status disk_read(struct disk_file *f, uint64_t offset, void *bytes, size_t size,
                                               size_t *got)
{
    return f->disk->ops->read(f, offset, bytes, size, got);
}
static inline MUST_CHECK enum status disk_write(struct disk_file *f, uint64_t offset, const void *bytes, size_t size)
{
    return f->disk->ops->write(f, offset, bytes, size);
}
static inline MUST_CHECK enum status disk_sync(struct disk_file *f)
{
    return f->disk->ops->sync(f);
}
static inline MUST_CHECK enum status disk_size(struct disk_file *f, uint64_t *size)
{
    return f->disk->ops->size(f, size);
}
static inline MUST_CHECK enum status disk_truncate(struct disk_file *f, uint64_t size)
{
    return f->disk->ops->truncate(f, size);
}
static inline MUST_CHECK enum status disk_remove(struct disk *d, const char *path)
{
    return d->ops->remove(d, path);
}
static inline MUST_CHECK enum status disk_rename(struct disk *d, const char *from, const char *to)
{
    return d->ops->rename(d, from, to);
}
static inline MUST_CHECK enum status disk_link(struct disk *d, const char *from, const char *to)
{
    return d->ops->link(d, from, to);
}
static inline MUST_CHECK enum status disk_mkdir(struct disk *d, const char *path)
{
    return d->ops->mkdir(d, path);
}
static inline MUST_CHECK enum status disk_sync_dir(struct disk *d, const char *path)
{
    return d->ops->sync_dir(d, path);
}
static inline MUST_CHECK enum status disk_list(struct disk *d, const char *path, void (*each)(void *, const char *),
                                               void *ctx)
{
    return d->ops->list(d, path, each, ctx);
}
static inline MUST_CHECK enum status disk_space(struct disk *d, uint64_t *free_bytes, uint64_t *total_bytes)
{
    return d->ops->space(d, free_bytes, total_bytes);
}
static inline MUST_CHECK enum status disk_lock(struct disk *d, struct errbuf *err)
{
    return d->ops->lock(d, err);
}

#endif
