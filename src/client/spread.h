/* Private to client/: transactions over several ranges, and the fate of abandoned ones. */
#ifndef QUORATE_CLIENT_SPREAD_H
#define QUORATE_CLIENT_SPREAD_H

#include "client/client_int.h"

enum step spread_start(struct request *r);
enum step spread_take(struct request *r, uint64_t now_ns);
void spread_owner_left(struct request *r);
/* Somebody holds a lock for too long: an encoded txn_blocked says who. */
void spread_recover(struct client *c, struct slice keyspace_name, struct slice blocked);
void client_saw_timestamp(struct client *c, uint64_t ts);
void spreads_free(struct client *c);
void spread_spares_init(struct spares *s);

#endif
