/* The ledger under faults: tellers that make transfers through ledger/ on the clients' processes, each request repeated until it is
 * answered, some repeated after that; auditors that prove snapshots meanwhile; at the end everything is looked up again. What must be true:
 * every snapshot is proven by the audit; a repetition tells what the first answer told; what was acknowledged is there, what was refused
 * is not, and balances are what the acknowledged transfers make. */
#ifndef QUORATE_TESTS_SIM_LEDGER_LOAD_H
#define QUORATE_TESTS_SIM_LEDGER_LOAD_H

#include "sim/cluster.h"

struct ledger_load;
struct ledger_load *ledger_load_new(struct cluster *c);
void ledger_load_free(struct ledger_load *l);
void ledger_load_router_died(struct ledger_load *l);
void ledger_load_start(struct ledger_load *l);
void ledger_load_drain(struct ledger_load *l);
bool ledger_load_idle(const struct ledger_load *l);
void ledger_load_audit(struct ledger_load *l); /* idle when done */
void ledger_load_describe(const struct ledger_load *l);

#endif
