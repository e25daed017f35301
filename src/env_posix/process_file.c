#define _GNU_SOURCE /* O_DIRECTORY */
#include "base/mem.h"
#include "env_posix/posix_int.h"
#include "env_posix/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status file_failed(const char *path, const char *what, int code, struct errbuf *err)
{
    errbuf_set(err, "%s cannot be %s: %s", path, what, strerror(code));
    return posix_status_of_errno(code);
}

enum status process_file_read(const char *path, struct buf *out, struct errbuf *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return file_failed(path, "opened", errno, err);
    enum status s = STATUS_OK;
    char part[4096];
    for (ssize_t got; s == STATUS_OK && (got = read(fd, part, sizeof(part))) != 0;) {
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            s = file_failed(path, "read", errno, err);
            break;
        }
        buf_append(out, part, (size_t)got);
        if (out->overflow) {
            errbuf_set(err, "%s is larger than %zu bytes", path, out->max);
            s = STATUS_TOO_LARGE;
        }
    }
    (void)close(fd);
    return s;
}

int process_read_open(const char *path, uint64_t *size, struct errbuf *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) (void)file_failed(path, "opened", errno, err);
    *size = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    return fd;
}

enum status process_read(int fd, void *bytes, size_t size, size_t *got, struct errbuf *err)
{
    ssize_t n;
    do {
        n = read(fd, bytes, size);
    } while (n < 0 && errno == EINTR);
    *got = n > 0 ? (size_t)n : 0;
    return n >= 0 ? STATUS_OK : file_failed("the file", "read", errno, err);
}

bool process_is_file(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

void process_read_close(int fd)
{
    (void)close(fd);
}

static int write_all(int fd, struct slice bytes) /* returns errno */
{
    for (size_t done = 0; done < bytes.size;) {
        ssize_t n = write(fd, bytes.data + done, bytes.size - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno;
        done += (size_t)n;
    }
    return 0;
}

static char *parent_of(const char *path) /* owned by the caller */
{
    const char *slash = strrchr(path, '/');
    char *parent = mem_strdup(slash == NULL ? "." : slash == path ? "/" : path);
    if (slash != NULL && slash != path) parent[slash - path] = '\0';
    return parent;
}

static int sync_parent(const char *path) /* returns errno */
{
    char *parent = parent_of(path);
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mem_free(parent);
    if (fd < 0) return errno;
    int code = fsync(fd) == 0 ? 0 : errno;
    (void)close(fd);
    return code;
}

static enum status replace_file(const char *path, struct slice bytes, mode_t mode, struct errbuf *err)
{
    size_t size = strlen(path) + 32;
    char *temporary = mem_alloc(size);
    (void)snprintf(temporary, size, "%s.%ld.tmp", path, (long)getpid());
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    int code = fd < 0 ? errno : write_all(fd, bytes);
    if (fd >= 0 && code == 0 && fsync(fd) != 0) code = errno;
    if (fd >= 0 && close(fd) != 0 && code == 0) code = errno;
    if (code == 0 && rename(temporary, path) != 0) code = errno;
    if (code != 0 && fd >= 0) (void)unlink(temporary);
    if (code == 0) code = sync_parent(path);
    mem_free(temporary);
    return code == 0 ? STATUS_OK : file_failed(path, "written", code, err);
}

enum status process_file_write(const char *path, struct slice bytes, struct errbuf *err)
{
    return replace_file(path, bytes, 0640, err);
}

enum status process_secret_write(const char *path, struct slice bytes, struct errbuf *err)
{
    return replace_file(path, bytes, 0600, err);
}

int process_append_open(const char *path, struct errbuf *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0) (void)file_failed(path, "opened", errno, err);
    return fd;
}

enum status process_append(int fd, struct slice bytes, struct errbuf *err)
{
    int code = write_all(fd, bytes);
    return code == 0 ? STATUS_OK : file_failed("the file", "written", code, err);
}

enum status process_append_keep(int fd, const char *temporary, const char *path, struct errbuf *err)
{
    int code = fsync(fd) == 0 || errno == EINVAL ? 0 : errno; /* EINVAL: a pipe or a device */
    if (close(fd) != 0 && code == 0) code = errno;
    if (code == 0 && rename(temporary, path) != 0) code = errno;
    if (code == 0) code = sync_parent(path);
    return code == 0 ? STATUS_OK : file_failed(path, "written", code, err);
}

enum status process_file_append(const char *path, struct slice bytes, struct errbuf *err)
{
    int fd = process_append_open(path, err);
    if (fd < 0) return posix_status_of_errno(errno);
    int code = write_all(fd, bytes);
    (void)close(fd);
    return code == 0 ? STATUS_OK : file_failed(path, "written", code, err);
}

bool process_file_special(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

enum status process_file_remove(const char *path)
{
    return unlink(path) == 0 ? STATUS_OK : posix_status_of_errno(errno);
}

static enum status make_dir(const char *path, struct errbuf *err)
{
    struct stat st;
    if (mkdir(path, 0750) == 0) {
        int code = sync_parent(path);
        /* A parent that may be entered and not read cannot be synced; the directory is there all the same. */
        return code == 0 || code == EACCES ? STATUS_OK : file_failed(path, "made durable", code, err);
    }
    int code = errno;
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode)) return STATUS_OK;
        errbuf_set(err, "%s is not a directory; move it away or name another place", path);
        return STATUS_INVALID;
    }
    errbuf_set(err, "directory %s cannot be made: %s", path, strerror(code));
    return code == ENOENT ? STATUS_NOT_FOUND : STATUS_IO;
}

bool process_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

enum status process_make_dirs(const char *path, struct errbuf *err)
{
    char *part = mem_strdup(path);
    enum status s = STATUS_OK;
    for (char *slash = strchr(part + 1, '/'); *path != '\0' && s == STATUS_OK && slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        s = make_dir(part, err);
        *slash = '/';
    }
    if (s == STATUS_OK) s = make_dir(part, err);
    mem_free(part);
    return s;
}
