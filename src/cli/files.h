/* Files that a person names on the command line. */
#ifndef QUORATE_CLI_FILES_H
#define QUORATE_CLI_FILES_H

#include "base/buf.h"
#include "base/status.h"

/* Appends a file's content, or that of standard input for "-". */
MUST_CHECK enum status file_read_all(const char *path, struct buf *out, struct errbuf *err);
/* The last lines of a log, for a message; empty when there is none. */
void file_tail(const char *path, unsigned lines, struct buf *out);

#endif
