/* The journal that power_cut.py reads backwards: a line of text for each change, for a write followed by the bytes that it
 * replaces. Files are named by inode, because names change; names by their full path.
 *
 *   W INODE OFFSET SIZE OLD_SIZE OLD_BYTES\n<bytes>   not synced: may be taken back        D INODE OFFSET SIZE   durable at once
 *   S INODE          the file was synced               C PATH   R FROM TO SAVED   U PATH SAVED   names made, changed, removed
 *   N PATH           the directory was synced          SAVED: a hard link to what the name stood for, or - */
#define _GNU_SOURCE
#include "process/preload/faults.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned saved_count;

static void journal(const void *bytes, size_t size)
{
    if (write(faults.undo_fd, bytes, size) != (ssize_t)size) abort(); /* a test that cannot keep its journal is void */
}

static void line(const char *text)
{
    (void)pthread_mutex_lock(&lock);
    journal(text, strlen(text));
    (void)pthread_mutex_unlock(&lock);
}

static void path_of(int dir, const char *path, char *out, size_t size)
{
    char link[64], root[1024];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
    ssize_t got = readlink(link, root, sizeof root - 1);
    root[got > 0 ? got : 0] = '\0';
    if (path == NULL || strcmp(path, ".") == 0)
        (void)snprintf(out, size, "%s", root);
    else if (path[0] == '/' || dir == AT_FDCWD)
        (void)snprintf(out, size, "%s", path);
    else
        (void)snprintf(out, size, "%s/%s", root, path);
}

static void note_old(int fd, off_t offset, size_t size)
{
    struct stat st;
    char head[160], link[64];
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) return;
    off_t end = offset + (off_t)size < st.st_size ? offset + (off_t)size : st.st_size;
    size_t old = end > offset ? (size_t)(end - offset) : 0;
    int n = snprintf(head, sizeof head, "W %llu %lld %zu %lld %zu\n", (unsigned long long)st.st_ino, (long long)offset,
                     size, (long long)st.st_size, old);
    char *record = malloc((size_t)n + old + 1);
    if (record == NULL) abort();
    memcpy(record, head, (size_t)n);
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd); /* a buffered view: fd itself may want aligned reads */
    int view = open(link, O_RDONLY | O_CLOEXEC);
    if (view < 0 || pread(view, record + n, old, offset) != (ssize_t)old) abort();
    (void)close(view);
    journal(record, (size_t)n + old);
    free(record);
}

void undo_write(int fd, off_t offset, size_t size, bool durable)
{
    struct stat st;
    char text[160];
    if (faults.undo_fd < 0) return;
    (void)pthread_mutex_lock(&lock);
    if (!durable) {
        note_old(fd, offset, size);
    } else if (fstat(fd, &st) == 0) {
        int n =
            snprintf(text, sizeof text, "D %llu %lld %zu\n", (unsigned long long)st.st_ino, (long long)offset, size);
        journal(text, (size_t)n);
    }
    (void)pthread_mutex_unlock(&lock);
}

void undo_truncate(int fd, off_t size)
{
    struct stat st;
    if (faults.undo_fd < 0 || fstat(fd, &st) != 0) return;
    (void)pthread_mutex_lock(&lock);
    note_old(fd, size < st.st_size ? size : st.st_size, size < st.st_size ? (size_t)(st.st_size - size) : 0);
    (void)pthread_mutex_unlock(&lock);
}

void undo_synced(int fd)
{
    struct stat st;
    char text[1200], path[1100];
    if (faults.undo_fd < 0 || fstat(fd, &st) != 0) return;
    path_of(fd, NULL, path, sizeof path);
    if (S_ISDIR(st.st_mode))
        (void)snprintf(text, sizeof text, "N %s\n", path);
    else
        (void)snprintf(text, sizeof text, "S %llu\n", (unsigned long long)st.st_ino);
    line(text);
}

void undo_created(int dir, const char *path)
{
    char text[1200], full[1100];
    if (faults.undo_fd < 0) return;
    path_of(dir, path, full, sizeof full);
    (void)snprintf(text, sizeof text, "C %s\n", full);
    line(text);
}

/* Keeps what a name stands for; "-" when it stands for nothing. */
static void save(const char *full, char *saved, size_t size)
{
    (void)snprintf(saved, size, "%s/%ld.%u", faults.undo_dir, (long)getpid(),
                   __atomic_add_fetch(&saved_count, 1, __ATOMIC_SEQ_CST));
    if (link(full, saved) != 0) (void)snprintf(saved, size, "-");
}

void undo_renamed(int dir, const char *from, const char *to)
{
    char text[3600], from_full[1100], to_full[1100], saved[1100];
    if (faults.undo_fd < 0) return;
    path_of(dir, from, from_full, sizeof from_full);
    path_of(dir, to, to_full, sizeof to_full);
    save(to_full, saved, sizeof saved);
    (void)snprintf(text, sizeof text, "R %s %s %s\n", from_full, to_full, saved);
    line(text);
}

void undo_removed(int dir, const char *path)
{
    char text[2400], full[1100], saved[1100];
    if (faults.undo_fd < 0) return;
    path_of(dir, path, full, sizeof full);
    save(full, saved, sizeof saved);
    if (saved[0] == '-') return;
    (void)snprintf(text, sizeof text, "U %s %s\n", full, saved);
    line(text);
}
