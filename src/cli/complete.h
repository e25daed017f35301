/* Completion: what may come next on a command line. From the table of commands and flags alone. Pure. */
#ifndef QUORATE_CLI_COMPLETE_H
#define QUORATE_CLI_COMPLETE_H

#include "cli/args.h"

/* The words before the one that is being written, and that one, which may be empty. Candidates, one a line; none: a file
 * name, or whatever only the user knows. */
void complete_word(const struct command *commands, size_t command_count, const char *const *words, size_t word_count,
                   struct buf *out);

#endif
