/* Text for others to see: what may be a secret or somebody's data is left out. Pure. */
#ifndef QUORATE_CLI_REDACT_H
#define QUORATE_CLI_REDACT_H

#include "base/buf.h"

/* Appends the text with *** in the place of: members of JSON and fields of log lines (NAME=...) that hold keys, values, passwords or tokens;
 * what follows Bearer and Basic; paths and queries of /v1/kv and the like behind the keyspace; PEM blocks. */
void redact_append(struct buf *out, struct slice text);

#endif
