/* Interactive transactions that this gateway holds for its HTTP clients. A session is known by 16 random bytes, which are its
 * transaction's id too; it ends by commit, by abort, by a step that fails, or when nobody has used it for its idle time: nothing is
 * locked by it, so nothing waits for it.
 *
 *   OPEN --commit--> COMMITTING --its outcome is known--> OVER: how it ended is remembered, and told to whoever asks again
 *     |                  ^   |
 *     |                  |   '--unknown--> IN DOUBT --too long--> forgotten
 *     |                  '-----commit---------'
 *     '--abort, a step that failed, idle--> OVER (nothing was written)
 *
 * Of a session that is not here (another gateway, a restart, too long ago) nobody knows here whether it was committed: a commit of
 * it is answered so; steps are RETRY. */
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
    struct interact *txn;         /* NULL: OVER */
    uint64_t idle_ns, used_ns;
    bool in_use;       /* by a call */
    bool commit_asked; /* COMMITTING (in use), or IN DOUBT */
    /* OVER */
    enum status status; /* OK: committed, at ts */
    uint64_t ts;
    char text[200];
};

struct gateway;
struct session *session_new(struct gateway *g, struct slice keyspace, const char *user); /* OPEN */
struct session *session_find(struct gateway *g, const uint8_t *id, const char *user);    /* NULL: not here */
void session_forget(struct gateway *g, struct session *s);
void session_over(struct gateway *g, struct session *s, enum status status, uint64_t ts, struct slice text);
void sessions_sweep(struct gateway *g); /* those that nobody has used for too long */
void sessions_init(struct gateway *g);
void sessions_free(struct gateway *g);

#endif
