#define _GNU_SOURCE /* pidfd */
#include "env_posix/process.h"

#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <unistd.h>

static size_t read_small(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t got = read(fd, text, size - 1);
    (void)close(fd);
    if (got < 0) got = 0;
    text[got] = '\0';
    return (size_t)got;
}

static uint64_t boot_hash(void)
{
    char text[64];
    size_t size = read_small("/proc/sys/kernel/random/boot_id", text, sizeof(text));
    return hash_bytes(slice_make(text, size), 0);
}

bool process_identify(int pid, struct process_id *out)
{
    char path[40], text[1024];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    if (pid <= 0 || read_small(path, text, sizeof(text)) == 0) return false;
    const char *at = strrchr(text, ')'); /* the name before it may contain anything */
    if (at == NULL || at[1] != ' ') return false;
    char state = at[2];
    if (state == 'Z' || state == 'X' || state == 'x') return false;
    for (int field = 2; field < 22 && at != NULL; field++)
        at = strchr(at + 1, ' '); /* proc(5): starttime is the 22nd */
    if (at == NULL) return false;
    *out = (struct process_id){.pid = pid, .start_ticks = strtoull(at + 1, NULL, 10), .boot = boot_hash()};
    return true;
}

struct process_id process_self(void)
{
    struct process_id id = {.pid = (int)getpid()};
    (void)process_identify(id.pid, &id);
    return id;
}

bool process_alive(const struct process_id *id)
{
    struct process_id now;
    return process_identify(id->pid, &now) && now.start_ticks == id->start_ticks && now.boot == id->boot;
}

/* The descriptor stays with the process that had the pid when it was opened; whether that is the one meant is looked at
 * after, so no other one can slip in between. */
enum status process_kill(const struct process_id *id, int signal_number, struct errbuf *err)
{
    int fd = pidfd_open((pid_t)id->pid, 0);
    if (fd < 0 && errno == ESRCH) return STATUS_NOT_FOUND;
    bool known = fd >= 0; /* without: an old kernel, and a small gap */
    int rc = -1, code = ESRCH;
    if (process_alive(id)) {
        rc = known ? pidfd_send_signal(fd, signal_number, NULL, 0) : kill((pid_t)id->pid, signal_number);
        code = errno;
    }
    if (known) (void)close(fd);
    if (rc == 0) return STATUS_OK;
    if (code == ESRCH) return STATUS_NOT_FOUND;
    errbuf_set(err, "process %d cannot be sent signal %d: %s", id->pid, signal_number, strerror(code));
    return STATUS_IO;
}

void process_id_format(const struct process_id *id, char text[PROCESS_ID_TEXT_MAX])
{
    (void)snprintf(text, PROCESS_ID_TEXT_MAX, "%d %llu %016llx", id->pid, (unsigned long long)id->start_ticks,
                   (unsigned long long)id->boot);
}

bool process_id_parse(struct slice text, struct process_id *out)
{
    char line[PROCESS_ID_TEXT_MAX];
    if (text.size == 0 || text.size >= sizeof(line)) return false;
    memcpy(line, text.data, text.size);
    line[text.size] = '\0';
    unsigned long long start, boot;
    int pid, used = 0;
    if (sscanf(line, "%d %20llu %16llx%n", &pid, &start, &boot, &used) != 3 || pid <= 0) return false;
    if (line[used] != '\0' && line[used] != '\n') return false;
    *out = (struct process_id){.pid = pid, .start_ticks = start, .boot = boot};
    return true;
}
