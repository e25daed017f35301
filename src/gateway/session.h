/* Interactive transactions that this gateway holds for its HTTP clients. A session is known by 16 random bytes; it ends by commit,
 * by abort, or when nobody has used it for its idle time: nothing is locked by it, so nothing waits for it. A session that is not
 * here (another gateway, a restart, too long idle) is answered RETRY, definite: nothing of it was written. */
#ifndef QUORATE_GATEWAY_SESSION_H
#define QUORATE_GATEWAY_SESSION_H

#include "auth/rights.h"
#include "client/interact.h"

#define SESSIONS_MAX 1024u
#define SESSION_ID_BYTES 16u

struct session {
    struct list link; /* in gateway.sessions, the one that was used last behind */
    uint8_t id[SESSION_ID_BYTES];
    char keyspace[LIMIT_KEYSPACE_NAME + 1];
    char user[AUTH_NAME_MAX + 1]; /* whose it is, and nobody else's; "": nobody asked */
    struct interact *txn;
    uint64_t idle_ns, used_ns;
    bool in_use; /* by a call */
};
void sessions_free(struct list *sessions);

#endif
