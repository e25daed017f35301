/* Configuration files: flags, as lines of a file. Pure; docs/man/quorate.conf.5 is for people.
 *
 *   # for every command
 *   certs = /etc/quorate/certs/this
 *   [node]
 *   listen = 10.0.0.1:7411
 *   insecure = off
 *
 * Before the first section stand flags that every command has; in a section, named by a command, those of that command. Other
 * commands' sections are passed over, but what stands in them is looked at. What the command line says goes before. */
#ifndef QUORATE_CLI_CONF_H
#define QUORATE_CLI_CONF_H

#include "cli/args.h"

/* Takes what `text` says for a->command. The text is cut up in place and must live as long as *a. STATUS_INVALID: err names
 * the line and what is wrong with it; `name` is the file's, for that. */
MUST_CHECK enum status conf_apply(const char *name, struct buf *text, const struct command *commands, size_t count,
                                  struct args *a, struct errbuf *err);

#endif
