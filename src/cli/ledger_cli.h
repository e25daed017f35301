/* What the ledger's subcommands share. */
#ifndef QUORATE_CLI_LEDGER_CLI_H
#define QUORATE_CLI_LEDGER_CLI_H

#include "cli/cli_int.h"
#include "ledger/ledger.h"

struct ledger_command {
    struct session session;
    struct ledger *ledger;
    struct arena arena;
    bool scale_given; /* --scale: digits behind the decimal point, for display, whatever the currencies say */
    unsigned scale;
    struct ledger_currency *currencies; /* in the arena */
    size_t currency_count;
    const struct ledger_id *ids; /* of what is created */
    bool transfers;
    struct ledger_query query; /* pages */
    uint64_t wanted, told;
};
int ledger_command_open(struct ledger_command *k,
                        struct cli *c); /* CLI_OK, or an exit code with the text already printed */
/* The same for one that shows amounts: it knows the currencies. */
int ledger_command_open_showing(struct ledger_command *k, struct cli *c);
int ledger_command_close(struct ledger_command *k); /* waits until it has ended; the exit code */
void ledger_command_end(struct ledger_command *k, int code);

int run_ledger_create_accounts(struct cli *c); /* cmd_ledger.c */
int run_ledger_transfer(struct cli *c);
int run_ledger_post(struct cli *c);
int run_ledger_void(struct cli *c);
int run_ledger_account(struct cli *c);
int run_ledger_lookup(struct cli *c);
int run_ledger_transfers(struct cli *c);
int run_ledger_balances(struct cli *c);
int run_ledger_audit_command(struct cli *c);
int run_ledger_currency(struct cli *c);
int run_ledger_currencies(struct cli *c);
int run_ledger_import(struct cli *c); /* ledger_import.c */
int run_ledger_dump(struct cli *c);   /* ledger_dump.c */

#endif
