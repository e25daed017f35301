/* What the debug subcommands share: a directory that is looked at offline. */
#ifndef QUORATE_CLI_DEBUG_CLI_H
#define QUORATE_CLI_DEBUG_CLI_H

#include "cli/cli_int.h"
#include "cli/encryption.h"

#define DEBUG_PATH_MAX 4096u

struct debug_place {
    struct env *env;
    struct encryption encryption;
};
/* The directory must be there. An exit code, with the text already printed. */
int debug_open(struct debug_place *p, struct cli *c, const char *dir);
int debug_close(struct debug_place *p, enum status s, const struct errbuf *err); /* the exit code */

#endif
