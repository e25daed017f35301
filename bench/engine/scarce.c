/* Memory for the process and the page cache together, by a memory control group (version 1 or 2; needs root). Without a
 * bound the page cache holds all files, and a cache "smaller than the data" bounds only those who keep one of their own. */
#define _GNU_SOURCE
#include "engine.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int drop_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)at;
    int fd = type == FTW_F ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return 0;
    (void)fdatasync(fd); /* only clean pages go */
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    (void)close(fd);
    return 0;
}

static bool write_number(const char *dir, const char *file, unsigned long long n)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, file);
    FILE *f = fopen(path, "we");
    if (f == NULL) return false;
    bool ok = fprintf(f, "%llu\n", n) > 0;
    return fclose(f) == 0 && ok;
}

static bool join(const char *root, const char *limit_file, size_t bytes)
{
    char dir[160];
    (void)snprintf(dir, sizeof(dir), "%s/bench-engine", root);
    (void)mkdir(dir, 0755);
    return write_number(dir, limit_file, bytes) && write_number(dir, "cgroup.procs", (unsigned long long)getpid());
}

bool scarce_begin(const char *dir, size_t bytes)
{
    (void)nftw(dir, drop_one, 16, FTW_PHYS);
    return join("/sys/fs/cgroup/memory", "memory.limit_in_bytes", bytes) || join("/sys/fs/cgroup", "memory.max", bytes);
}
