#define _GNU_SOURCE
#include "process/preload/faults.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_BYTES = 4096, POLL_US = 5000 };

struct faults faults = {.undo_fd = -1};

/* --- who we are --- */

static void self_name(char *name, size_t size, unsigned *id)
{
    char line[8192] = "";
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, line, sizeof line - 1);
    const char *verb = "", *data = NULL;
    if (fd >= 0) (void)close(fd);
    int word = 0;
    for (const char *at = line; at < line + got; at += strlen(at) + 1, word++) {
        if (word == 1) verb = at;
        if (strcmp(at, "--data") == 0) data = at + strlen(at) + 1;
    }
    const char *slash = data == NULL ? NULL : strrchr(data, '/');
    (void)snprintf(name, size, "%s", data == NULL ? verb : slash == NULL ? data : slash + 1);
    unsigned number = 0;
    *id = 200;
    if (sscanf(name, "meta-%u", &number) == 1) *id = number;
    if (sscanf(name, "node-%u", &number) == 1) *id = 10 + number;
    if (strcmp(name, "gateway") == 0) *id = 80;
}

__attribute__((constructor)) static void begin(void)
{
    const char *dir = getenv("QUORATE_FAULTS"), *proxy = getenv("QUORATE_FAULTS_PROXY");
    char name[256], path[600];
    self_name(name, sizeof name, &faults.id);
    if (proxy != NULL) (void)sscanf(proxy, "%u %u", &faults.proxy_base, &faults.proxy_delta);
    faults.buffered = getenv("QUORATE_FAULTS_BUFFERED") != NULL;
    if (dir == NULL) return;
    (void)snprintf(path, sizeof path, "%s/%s.fault", dir, name);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *at = mmap(NULL, LINE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (at != MAP_FAILED) faults.line = at;
    if (getenv("QUORATE_FAULTS_POWER") == NULL) return;
    (void)snprintf(faults.undo_dir, sizeof faults.undo_dir, "%s/%s.undo", dir, name);
    (void)mkdir(faults.undo_dir, 0700);
    (void)snprintf(path, sizeof path, "%s/journal", faults.undo_dir);
    faults.undo_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* --- what fails --- */

static bool line_is(const char *word)
{
    return strncmp(faults.line, word, strlen(word)) == 0;
}

/* Of several threads one takes it. */
static bool take(const char *word)
{
    if (!line_is(word)) return false;
    char first = word[0];
    bool mine = __atomic_compare_exchange_n(&faults.line[0], &first, 'd', false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    if (mine) memcpy(faults.line, "done\n      ", 11);
    return mine;
}

int faults_before(enum faults_call call, bool durable, bool grows)
{
    unsigned ms = 0;
    if (faults.line == NULL || faults.line[0] == '\n' || faults.line[0] == '\0') return 0;
    if (line_is("stall") && sscanf(faults.line, "stall %u", &ms) == 1) (void)usleep(ms * 1000);
    while (line_is("hang")) (void)usleep(POLL_US);
    if ((call == CALL_SYNC || durable) && take("fail-sync")) return EIO;
    if (call == CALL_WRITE && take("fail-write")) return EIO;
    return grows && line_is("full") ? ENOSPC : 0;
}

/* --- the calls --- */

#define NEXT(name) ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))

static bool is_durable(int fd)
{
    return (fcntl(fd, F_GETFL) & O_DSYNC) != 0;
}
static bool would_grow(int fd, off_t end)
{
    struct stat st;
    return fstat(fd, &st) == 0 && end > st.st_size;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    bool durable = is_durable(fd);
    int code = faults_before(CALL_WRITE, durable, would_grow(fd, offset + (off_t)size));
    if (code != 0) {
        errno = code;
        return -1;
    }
    undo_write(fd, offset, size, durable);
    return NEXT(pwrite)(fd, bytes, size, offset);
}
ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset)
{
    return pwrite(fd, bytes, size, offset);
}

static int sync_call(int fd, int (*next)(int))
{
    int code = faults_before(CALL_SYNC, true, false);
    if (code != 0) {
        errno = code;
        return -1;
    }
    int rc = next(fd);
    if (rc == 0) undo_synced(fd);
    return rc;
}
int fsync(int fd)
{
    return sync_call(fd, NEXT(fsync));
}
int fdatasync(int fd)
{
    return sync_call(fd, NEXT(fdatasync));
}

int ftruncate(int fd, off_t size)
{
    if (would_grow(fd, size) && faults_before(CALL_WRITE, false, true) != 0) {
        errno = ENOSPC;
        return -1;
    }
    undo_truncate(fd, size);
    return NEXT(ftruncate)(fd, size);
}
int ftruncate64(int fd, off64_t size)
{
    return ftruncate(fd, size);
}

int openat(int dir, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    struct stat st;
    if (faults.buffered && (flags & O_DIRECT) != 0) {
        errno = EINVAL;
        return -1;
    }
    bool makes = faults.line != NULL && (flags & O_CREAT) != 0 && fstatat(dir, path, &st, 0) != 0;
    if (makes && faults_before(CALL_WRITE, false, true) == ENOSPC) {
        errno = ENOSPC;
        return -1;
    }
    int fd = NEXT(openat)(dir, path, flags, mode);
    if (fd >= 0 && makes) undo_created(dir, path);
    return fd;
}
int openat64(int dir, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    return openat(dir, path, flags, mode);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    if (from_dir == to_dir) undo_renamed(from_dir, from, to);
    return NEXT(renameat)(from_dir, from, to_dir, to);
}
int unlinkat(int dir, const char *path, int flags)
{
    if (flags == 0) undo_removed(dir, path);
    return NEXT(unlinkat)(dir, path, flags);
}

typedef int connect_fn(int fd, const struct sockaddr *to, socklen_t size); /* without the C library's union */

int connect(int fd, __CONST_SOCKADDR_ARG target, socklen_t size)
{
    const struct sockaddr *to = target.__sockaddr__;
    connect_fn *next_connect = (connect_fn *)(uintptr_t)dlsym(RTLD_NEXT, "connect");
    struct sockaddr_in there, here = {.sin_family = AF_INET};
    memset(&there, 0, sizeof there);
    if (to->sa_family == AF_INET && size >= sizeof there) memcpy(&there, to, sizeof there);
    unsigned port = ntohs(there.sin_port);
    bool ours = faults.proxy_base != 0 && port > faults.proxy_base && port < faults.proxy_base + 80;
    if (!ours) return next_connect(fd, to, size);
    here.sin_addr.s_addr = htonl(0x7F000100u + faults.id);
    there.sin_port = htons((uint16_t)(port + faults.proxy_delta));
    if (bind(fd, (const struct sockaddr *)(const void *)&here, sizeof here) != 0) return -1;
    return next_connect(fd, (const struct sockaddr *)(const void *)&there, sizeof there);
}
