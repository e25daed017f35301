#define _GNU_SOURCE /* O_DIRECT */
#include "env_posix/posix_disk_int.h"
#include "env_posix/posix_int.h"

#include "base/assert.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Calls are made relative to the root's descriptor: the process may change its working directory, and the root may be
 * renamed, without effect. The path is kept for messages only. A call that fails logs what the status cannot say. */

struct posix_file {
    struct disk_file file; /* first */
    int fd;
    unsigned flags;
    char path[]; /* for log lines */
};

static struct posix_disk *disk_of(struct disk *d)
{
    return (struct posix_disk *)(void *)d;
}
static struct posix_file *file_of(struct disk_file *f)
{
    return (struct posix_file *)(void *)f;
}

enum status posix_status_of_errno(int code)
{
    switch (code) {
    case 0: return STATUS_OK;
    case ENOENT: return STATUS_NOT_FOUND;
    case EEXIST: return STATUS_EXISTS;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return STATUS_NO_SPACE;
    case ENOMEM: return STATUS_NO_MEMORY;
    default: return STATUS_IO;
    }
}

/* Relative, without empty, "." or ".." components: nothing leaves the root. "" is the root where it is allowed. */
static bool path_valid(const char *path)
{
    if (*path == '\0') return false;
    for (const char *at = path;;) {
        size_t size = strcspn(at, "/");
        if (size == 0) return false;
        if (size == 1 && at[0] == '.') return false;
        if (size == 2 && at[0] == '.' && at[1] == '.') return false;
        at += size;
        if (*at == '\0') return true;
        at++;
    }
}

/* For calls without an errbuf. "Not there" and "there already" are answers, not failures. */
static enum status disk_failed(struct posix_disk *d, const char *call, const char *path, int code)
{
    enum status s = posix_status_of_errno(code);
    if (s != STATUS_NOT_FOUND && s != STATUS_EXISTS)
        log_event(d->log, LOG_ERROR, "disk.failed", "call=%s path=%s/%s error=\"%s\"", call, d->root, path,
                  strerror(code));
    return s;
}
static enum status disk_refused(struct posix_disk *d, const char *call, const char *path)
{
    log_event(d->log, LOG_ERROR, "disk.bad_path", "call=%s path=\"%s\"", call, path);
    return STATUS_INVALID;
}

static int open_flags(unsigned flags)
{
    int f = O_CLOEXEC | O_NOCTTY;
    if ((flags & DISK_READ) != 0 && (flags & DISK_WRITE) != 0)
        f |= O_RDWR;
    else if ((flags & DISK_WRITE) != 0)
        f |= O_WRONLY;
    else
        f |= O_RDONLY;
    if ((flags & DISK_CREATE) != 0) f |= O_CREAT;
    if ((flags & DISK_EXCLUSIVE) != 0) f |= O_EXCL;
    if ((flags & DISK_DIRECT) != 0) f |= O_DIRECT;
    if ((flags & DISK_DSYNC) != 0) f |= O_DSYNC;
    return f;
}

static enum status open_failed(const struct posix_disk *d, const char *path, unsigned flags, int code,
                               struct errbuf *err)
{
    if (code == EINVAL && (flags & DISK_DIRECT) != 0) {
        errbuf_set(err, "%s/%s: this file system has no direct I/O", d->root, path);
        return STATUS_UNSUPPORTED;
    }
    errbuf_set(err, "%s/%s cannot be opened: %s", d->root, path, strerror(code));
    return posix_status_of_errno(code);
}

static enum status file_open(struct disk *disk, const char *path, unsigned flags, struct disk_file **out,
                             struct errbuf *err)
{
    struct posix_disk *d = disk_of(disk);
    ASSERT((flags & (DISK_READ | DISK_WRITE)) != 0);
    *out = NULL;
    if (!path_valid(path)) {
        errbuf_set(err, "\"%s\" is not a path below the data directory %s", path, d->root);
        return disk_refused(d, "open", path);
    }
    int fd;
    do {
        fd = openat(d->root_fd, path, open_flags(flags), 0640);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) return open_failed(d, path, flags, errno, err);
    size_t path_size = strlen(path) + 1;
    struct posix_file *f = mem_zalloc(sizeof(*f) + path_size);
    f->file.disk = disk;
    f->fd = fd;
    f->flags = flags;
    memcpy(f->path, path, path_size);
    *out = &f->file;
    return STATUS_OK;
}

static void file_close(struct disk_file *file)
{
    struct posix_file *f = file_of(file);
    (void)close(f->fd); /* what had to be durable was synced: close has nothing to tell */
    mem_free(f);
}

static enum status file_failed(struct posix_file *f, const char *call, int code)
{
    return disk_failed(disk_of(f->file.disk), call, f->path, code);
}

static void check_alignment(const struct posix_file *f, uint64_t offset, const void *bytes, size_t size)
{
    if ((f->flags & DISK_DIRECT) == 0) return;
    ASSERT(offset % DISK_ALIGN == 0);
    ASSERT(size % DISK_ALIGN == 0);
    ASSERT((uintptr_t)bytes % DISK_ALIGN == 0);
}

static enum status file_read(struct disk_file *file, uint64_t offset, void *bytes, size_t size, size_t *got)
{
    struct posix_file *f = file_of(file);
    check_alignment(f, offset, bytes, size);
    *got = 0;
    while (*got < size) {
        ssize_t n = pread(f->fd, (uint8_t *)bytes + *got, size - *got, (off_t)(offset + *got));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return file_failed(f, "read", errno);
        if (n == 0) break;
        *got += (size_t)n;
        /* Direct reads stop in the middle of a block only at the end of the file, and cannot go on from there. */
        if ((f->flags & DISK_DIRECT) != 0 && *got % DISK_ALIGN != 0) break;
    }
    return STATUS_OK;
}

static enum status file_write(struct disk_file *file, uint64_t offset, const void *bytes, size_t size)
{
    struct posix_file *f = file_of(file);
    check_alignment(f, offset, bytes, size);
    for (size_t done = 0; done < size;) {
        ssize_t n = pwrite(f->fd, (const uint8_t *)bytes + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return file_failed(f, "write", errno);
        if (n == 0) return file_failed(f, "write", EIO);
        done += (size_t)n;
    }
    return STATUS_OK;
}

static enum status file_sync(struct disk_file *file)
{
    struct posix_file *f = file_of(file);
    int rc;
    do {
        rc = fdatasync(f->fd); /* with the size, if that has changed */
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? STATUS_OK : file_failed(f, "sync", errno);
}

static enum status file_size(struct disk_file *file, uint64_t *size)
{
    struct posix_file *f = file_of(file);
    struct stat st;
    if (fstat(f->fd, &st) != 0) return file_failed(f, "size", errno);
    *size = (uint64_t)st.st_size;
    return STATUS_OK;
}

static enum status file_truncate(struct disk_file *file, uint64_t size)
{
    struct posix_file *f = file_of(file);
    int rc;
    do {
        rc = ftruncate(f->fd, (off_t)size);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? STATUS_OK : file_failed(f, "truncate", errno);
}

static enum status name_remove(struct disk *disk, const char *path)
{
    struct posix_disk *d = disk_of(disk);
    if (!path_valid(path)) return disk_refused(d, "remove", path);
    if (unlinkat(d->root_fd, path, 0) == 0) return STATUS_OK;
    if (errno == EISDIR && unlinkat(d->root_fd, path, AT_REMOVEDIR) == 0) return STATUS_OK; /* an empty directory */
    return disk_failed(d, "remove", path, errno);
}

static enum status name_rename(struct disk *disk, const char *from, const char *to)
{
    struct posix_disk *d = disk_of(disk);
    if (!path_valid(from)) return disk_refused(d, "rename", from);
    if (!path_valid(to)) return disk_refused(d, "rename", to);
    return renameat(d->root_fd, from, d->root_fd, to) == 0 ? STATUS_OK : disk_failed(d, "rename", from, errno);
}

static enum status name_link(struct disk *disk, const char *from, const char *to)
{
    struct posix_disk *d = disk_of(disk);
    if (!path_valid(from)) return disk_refused(d, "link", from);
    if (!path_valid(to)) return disk_refused(d, "link", to);
    return linkat(d->root_fd, from, d->root_fd, to, 0) == 0 ? STATUS_OK : disk_failed(d, "link", from, errno);
}

static enum status name_mkdir(struct disk *disk, const char *path)
{
    struct posix_disk *d = disk_of(disk);
    if (!path_valid(path)) return disk_refused(d, "mkdir", path);
    if (mkdirat(d->root_fd, path, 0750) == 0) return STATUS_OK;
    if (errno != EEXIST) return disk_failed(d, "mkdir", path, errno);
    struct stat st;
    if (fstatat(d->root_fd, path, &st, 0) == 0 && S_ISDIR(st.st_mode)) return STATUS_OK;
    return STATUS_EXISTS; /* as something else */
}

static int open_dir(const struct posix_disk *d, const char *path)
{
    return openat(d->root_fd, *path == '\0' ? "." : path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static enum status dir_sync(struct disk *disk, const char *path)
{
    struct posix_disk *d = disk_of(disk);
    if (*path != '\0' && !path_valid(path)) return disk_refused(d, "sync_dir", path);
    int fd = open_dir(d, path);
    if (fd < 0) return disk_failed(d, "sync_dir", path, errno);
    int rc;
    do {
        rc = fsync(fd);
    } while (rc != 0 && errno == EINTR);
    enum status s = rc == 0 ? STATUS_OK : disk_failed(d, "sync_dir", path, errno);
    (void)close(fd);
    return s;
}

struct names {
    char **at;
    size_t count, capacity;
};

static void names_add(struct names *n, const char *name)
{
    if (n->count == n->capacity) {
        n->capacity = n->capacity > 0 ? n->capacity * 2 : 64;
        n->at = mem_realloc(n->at, n->capacity * sizeof(*n->at));
    }
    n->at[n->count++] = mem_strdup(name);
}
static int names_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int names_read(int fd, struct names *n) /* takes fd; returns errno */
{
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        int code = errno;
        (void)close(fd);
        return code;
    }
    errno = 0;
    for (struct dirent *e; (e = readdir(dir)) != NULL; errno = 0) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) names_add(n, e->d_name);
    }
    int code = errno;
    (void)closedir(dir);
    return code;
}

/* Sorted, so that two runs over equal directories do equal things; closed before the first call of `each`, which may
 * therefore remove files. */
static enum status dir_list(struct disk *disk, const char *path, void (*each)(void *ctx, const char *name), void *ctx)
{
    struct posix_disk *d = disk_of(disk);
    if (*path != '\0' && !path_valid(path)) return disk_refused(d, "list", path);
    int fd = open_dir(d, path);
    if (fd < 0) return disk_failed(d, "list", path, errno);
    struct names names = {0};
    int code = names_read(fd, &names);
    if (code == 0 && names.count > 0) qsort(names.at, names.count, sizeof(*names.at), names_compare);
    for (size_t i = 0; i < names.count; i++) {
        if (code == 0) each(ctx, names.at[i]);
        mem_free(names.at[i]);
    }
    mem_free(names.at);
    return code == 0 ? STATUS_OK : disk_failed(d, "list", path, code);
}

static enum status disk_measure(struct disk *disk, uint64_t *free_bytes, uint64_t *total_bytes)
{
    struct posix_disk *d = disk_of(disk);
    struct statvfs v;
    if (fstatvfs(d->root_fd, &v) != 0) return disk_failed(d, "space", "", errno);
    *free_bytes = (uint64_t)v.f_bavail * v.f_frsize; /* what is left for us, not for root */
    *total_bytes = (uint64_t)v.f_blocks * v.f_frsize;
    return STATUS_OK;
}

const struct disk_ops posix_disk_ops = {
    .open = file_open,
    .close = file_close,
    .read = file_read,
    .write = file_write,
    .sync = file_sync,
    .size = file_size,
    .truncate = file_truncate,
    .remove = name_remove,
    .rename = name_rename,
    .link = name_link,
    .mkdir = name_mkdir,
    .sync_dir = dir_sync,
    .list = dir_list,
    .space = disk_measure,
    .lock = posix_disk_lock,
};
