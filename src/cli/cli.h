/* The command line: every subcommand of the one binary. main.c calls cli_main and exits with what it returns.
 * Exit codes: 0 done, 1 failed (the text on stderr says why and what to do), 2 wrong usage. */
#ifndef QUORATE_CLI_CLI_H
#define QUORATE_CLI_CLI_H

int cli_main(int argc, char *const *argv);

#endif
