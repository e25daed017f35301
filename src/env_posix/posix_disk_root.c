#define _GNU_SOURCE /* flock, O_DIRECTORY */
#include "env_posix/posix_disk_int.h"
#include "env_posix/posix_int.h"
#include "env_posix/process.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_NAME "LOCK"

static void explain_root(const char *root, int code, struct errbuf *err)
{
    if (code == ENOTDIR)
        errbuf_set(err, "data directory %s: it, or a part of its path, is not a directory; name another with --data",
                   root);
    else if (code == EACCES || code == EPERM || code == EROFS)
        errbuf_set(err, "data directory %s: %s; give this user the right to write it or name another with --data", root,
                   strerror(code));
    else
        errbuf_set(err, "data directory %s cannot be used: %s", root, strerror(code));
}

/* Everything in it is ours to read and write, or the process must not start on it. */
static int open_root(const char *root, int *fd)
{
    *fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0) return errno;
    if (faccessat(*fd, ".", R_OK | W_OK | X_OK, AT_EACCESS) == 0) return 0;
    int code = errno;
    (void)close(*fd);
    *fd = -1;
    return code;
}

struct disk *posix_disk_new(const char *root, struct logger *log, struct errbuf *err)
{
    if (*root == '\0') {
        errbuf_set(err, "the name of the data directory is empty; name one with --data");
        return NULL;
    }
    if (process_make_dirs(root, err) != STATUS_OK) return NULL;
    int fd = -1;
    int code = open_root(root, &fd);
    if (code != 0) {
        explain_root(root, code, err);
        return NULL;
    }
    size_t root_size = strlen(root) + 1;
    struct posix_disk *d = mem_zalloc(sizeof(*d) + root_size);
    d->disk.ops = &posix_disk_ops;
    d->log = log;
    d->root_fd = fd;
    d->lock_fd = -1;
    memcpy(d->root, root, root_size);
    return &d->disk;
}

void posix_disk_free(struct disk *disk)
{
    if (disk == NULL) return;
    struct posix_disk *d = (struct posix_disk *)(void *)disk;
    if (d->lock_fd >= 0) (void)close(d->lock_fd); /* the file stays: removing it would race with the next owner */
    (void)close(d->root_fd);
    mem_free(d);
}

static long lock_holder(int fd)
{
    char text[32] = "";
    ssize_t got = pread(fd, text, sizeof(text) - 1, 0);
    return got > 0 ? strtol(text, NULL, 10) : 0;
}

static enum status lock_refused(const struct posix_disk *d, int fd, int code, struct errbuf *err)
{
    if (code != EWOULDBLOCK) {
        errbuf_set(err, "%s/" LOCK_NAME " cannot be locked: %s", d->root, strerror(code));
        return STATUS_IO;
    }
    long pid = lock_holder(fd);
    if (pid > 0)
        errbuf_set(err, "data directory %s is in use by process %ld: stop it or name another directory with --data",
                   d->root, pid);
    else
        errbuf_set(err, "data directory %s is in use by another process: stop it or name another directory with --data",
                   d->root);
    return STATUS_LOCKED;
}

/* The kernel drops the lock with the process, however it ends. The pid in the file is for the message only. */
enum status posix_disk_lock(struct disk *disk, struct errbuf *err)
{
    struct posix_disk *d = (struct posix_disk *)(void *)disk;
    if (d->lock_fd >= 0) return STATUS_OK;
    int fd = openat(d->root_fd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0) {
        errbuf_set(err, "%s/" LOCK_NAME " cannot be opened: %s", d->root, strerror(errno));
        return posix_status_of_errno(errno);
    }
    int rc;
    do {
        rc = flock(fd, LOCK_EX | LOCK_NB);
    } while (rc != 0 && errno == EINTR);
    if (rc != 0) {
        enum status s = lock_refused(d, fd, errno, err);
        (void)close(fd);
        return s;
    }
    char text[32];
    int size = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)size, 0) != size)
        log_event(d->log, LOG_WARN, "disk.lock_pid", "error=\"%s\"", strerror(errno)); /* a full disk does not unlock */
    d->lock_fd = fd;
    return STATUS_OK;
}
