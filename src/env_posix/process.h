/* Processes, files and the terminal, for the command line and the local cluster: calls that a one-shot command or a
 * supervisor makes directly, without a loop. They block. Nothing of the servers' core uses them. */
#ifndef QUORATE_ENV_POSIX_PROCESS_H
#define QUORATE_ENV_POSIX_PROCESS_H

#include "base/buf.h"
#include "base/status.h"

/* One process of this machine for ever: a pid alone is used again. */
struct process_id {
    int pid;
    uint64_t start_ticks; /* when it started, since the machine did */
    uint64_t boot;        /* a hash of this boot's id */
};
#define PROCESS_ID_TEXT_MAX 64

struct process_id process_self(void);
bool process_identify(int pid, struct process_id *out); /* false: there is no such process, or it has ended */
bool process_alive(const struct process_id *id);        /* one that has ended and is not reaped yet is not alive */
/* STATUS_NOT_FOUND when it has ended; never reaches another process that got its pid. */
MUST_CHECK enum status process_kill(const struct process_id *id, int signal_number, struct errbuf *err);
void process_id_format(const struct process_id *id, char text[PROCESS_ID_TEXT_MAX]); /* one line for a pid file */
bool process_id_parse(struct slice text, struct process_id *out);

/* Starts argv[0] (a path, or a name looked up in PATH) in a session of its own: no terminal, no signals of ours. Its
 * standard input is empty; standard output and error are appended to log_path (NULL: dropped). It inherits no file.
 * Its environment is ours; unless GLIBC_TUNABLES is set, it is, to let glibc keep more small blocks for a thread. */
MUST_CHECK enum status process_spawn(const char *const argv[], const char *log_path, struct process_id *out,
                                     struct errbuf *err);
/* Goes to the background: the caller's process goes on as the parent (returns the child's pid), the child (returns 0) has
 * a session and standard files as by process_spawn. -1 with a text on failure. Before any env_posix_new: threads and
 * locks do not survive it. */
int process_daemonize(const char *log_path, struct errbuf *err);
/* Collects a child that has ended: true, with its exit code or 128 + its signal. With `wait` it waits for that; false
 * then means that it is no child of ours. */
bool process_reap(int pid, bool wait, int *exit_code);

/* Runs a command and calls each_line for each line of its standard output, without the line end; false stops it early.
 * A line above 1 MiB is an error. STATUS_OK iff it exited with 0 or was stopped early. */
MUST_CHECK enum status process_read_lines(const char *const argv[], bool (*each_line)(void *ctx, struct slice line),
                                          void *ctx, struct errbuf *err);

/* Whole small files. Reading appends to `out` (STATUS_TOO_LARGE beyond its ceiling); writing replaces the file
 * atomically and durably: after a crash there is the old content or the new one. */
MUST_CHECK enum status process_file_read(const char *path, struct buf *out, struct errbuf *err);
MUST_CHECK enum status process_file_write(const char *path, struct slice bytes, struct errbuf *err);
/* The same for what only its owner may read. */
MUST_CHECK enum status process_secret_write(const char *path, struct slice bytes, struct errbuf *err);
/* A file of any size, piece by piece: -1 with a text; *got 0 at its end. *size 0: not known, as of a pipe. */
int process_read_open(const char *path, uint64_t *size, struct errbuf *err);
MUST_CHECK enum status process_read(int fd, void *bytes, size_t size, size_t *got, struct errbuf *err);
bool process_is_file(int fd, const char *path); /* the same file, whatever it is called */
void process_read_close(int fd);                /* also of process_append_open */
/* Adds to the end of a file, which is made if absent; for reports: nothing is synced. */
MUST_CHECK enum status process_file_append(const char *path, struct slice bytes, struct errbuf *err);
/* The same for many small pieces, each written in one call: pieces of several processes do not mix. -1 with a text. */
int process_append_open(const char *path, struct errbuf *err);
MUST_CHECK enum status process_append(int fd, struct slice bytes, struct errbuf *err);
/* Closes it; what it holds is durable and bears the name `path`, whatever had that before. `temporary` is its name so far. */
MUST_CHECK enum status process_append_keep(int fd, const char *temporary, const char *path, struct errbuf *err);
bool process_file_special(const char *path); /* it is there, and no regular file: a pipe, a device, a directory */
MUST_CHECK enum status process_file_remove(const char *path); /* STATUS_NOT_FOUND when absent */
bool process_is_dir(const char *path);
MUST_CHECK enum status process_make_dirs(const char *path, struct errbuf *err); /* with its parents; durable */

bool process_executable(char *path, size_t size); /* of this process; false: it does not fit */
const char *process_getenv(const char *name);     /* NULL when unset or empty */
bool process_is_terminal(int fd);
bool process_read_byte(int fd, uint8_t *byte); /* waits for it; false: there are no more */
/* Key by key, without echo, instead of line by line; and back. False: it is no terminal. */
bool process_terminal_raw(int fd, bool raw);
bool process_reader_gone(int fd);         /* a pipe or socket that nobody reads any more */
unsigned process_terminal_width(int fd);  /* columns; 80 when it is no terminal */
unsigned process_terminal_height(int fd); /* rows; 24 */
void process_give_way(void); /* to others on this machine, as background lanes do; before any env_posix_new */
void process_sleep_ms(unsigned ms);
uint64_t process_mono_ms(void);
uint64_t process_wall_s(void); /* since 1970 */

#endif
