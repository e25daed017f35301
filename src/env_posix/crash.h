/* Reports of processes that die of a bug: an assertion that failed, a memory fault. What a report holds: release, signal, the assertion, addresses of the
 * frames, the last lines of the log. */
#ifndef QUORATE_ENV_POSIX_CRASH_H
#define QUORATE_ENV_POSIX_CRASH_H

#include "base/slice.h"

#define CRASH_NAME "crash.txt"               /* reports are added to it */
#define CRASH_FORMER_NAME "crash-former.txt" /* it, when it had become large */

/* From here on the process writes one when it dies of a bug. dir: where (NULL: to standard error). Once, at the start. */
void crash_reports_begin(const char *dir, const char *release);
void crash_note(const char *line, size_t size); /* any thread: a line of the log, without its end */

#endif
