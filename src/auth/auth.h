/* Who a request is from and what they may do: the users, roles and tokens of the keyspace AUTH_KEYSPACE, read again every second.
 * docs/users.md. Runs on the loop; callbacks come at once or later, never after auth_free.
 *
 * When in doubt it refuses: rows that could not be read for AUTH_STALE_MS let nobody in, unless there is no such keyspace and never was:
 * then everybody may do everything. */
#ifndef QUORATE_AUTH_AUTH_H
#define QUORATE_AUTH_AUTH_H

#include "auth/book.h"
#include "base/list.h"
#include "client/client.h"

#define AUTH_FRESH_MS 1000u /* a change or revocation holds in every gateway after so long */
#define AUTH_STALE_MS 10000u
#define AUTH_TOKEN_MS 3600000u /* of a token's life */
#define AUTH_TOKEN_BYTES 32u   /* in hex */

struct auth;
struct auth *auth_new(struct env *env, struct client *client); /* both borrowed */
void auth_free(struct auth *a); /* no callback of the client may come between this and client_free */

/* The book as it was last read; NULL: there is none, or it is not known. */
const struct book *auth_book(const struct auth *a);
/* Read again, from now on. why: for a person, when s is not STATUS_OK. */
typedef void (*auth_done)(void *ctx, enum status s, const char *why);
void auth_refresh(struct auth *a, auth_done done, void *ctx);

/* Rights are not asked for, and that is known. */
bool auth_is_open(const struct auth *a);
/* user: empty when rights are not asked for. STATUS_UNAUTHENTICATED, _BUSY (too many passwords at a time), _UNAVAILABLE. Borrowed. */
typedef void (*auth_who)(void *ctx, enum status s, struct slice user, const char *why);
void auth_by_nothing(struct auth *a, auth_who done, void *ctx);
void auth_by_token(struct auth *a, struct slice token, auth_who done, void *ctx);
void auth_by_password(struct auth *a, struct slice user, struct slice password, auth_who done, void *ctx);

/* What lasts. look: called when the right to it may have ended (the book has changed, or the token has ended), within AUTH_FRESH_MS; it
 * looks, and may end itself. token: as text; empty: none. The struct is its owner's until auth_last_end. */
struct auth_lasting {
    struct list link;
    struct auth *auth; /* NULL: not begun, or ended */
    struct auth_held *token;
    void (*look)(struct auth_lasting *l);
};
void auth_last(struct auth *a, struct auth_lasting *l, struct slice token, void (*look)(struct auth_lasting *l));
void auth_last_end(struct auth_lasting *l);            /* harmless if all zero, or ended */
bool auth_last_is_known(const struct auth_lasting *l); /* its token has not ended */

/* user: from auth_who. AUTH_KEYSPACE itself is nobody's. */
bool auth_may(const struct auth *a, struct slice user, const struct auth_need *need);
/* Counts a request against the user's rate; false: too many, or the bytes of the day are used up: why. */
bool auth_spend(struct auth *a, struct slice user, const char **why);
/* Of bodies, sent or received for the user, against the quota of the day. a may be NULL. */
void auth_count(struct auth *a, struct slice user, size_t bytes);

/* token: as text; empty unless s is STATUS_OK. */
typedef void (*auth_token_done)(void *ctx, enum status s, bool unknown_outcome, struct slice token, const char *why);
void auth_login(struct auth *a, struct slice user, struct slice password, auth_token_done done, void *ctx);
typedef void (*auth_changed)(void *ctx, enum status s, bool unknown_outcome, const char *why);
void auth_logout(struct auth *a, struct slice token, auth_changed done, void *ctx);

/* Changes: by whom is the caller's business. They are in this process's book when `done` is called. A change that would leave
 * nobody who may administer, while rights are asked for, is refused: STATUS_CONDITION_FAILED. */
struct auth_user_change { /* what is not given stays; a user who is not there is made, unless by himself */
    struct slice name;
    bool has_password, has_roles, has_disabled, has_rate, has_quota;
    struct slice password, *roles;
    size_t role_count;
    bool disabled;
    uint64_t rate, quota;
    bool revoke;  /* all tokens */
    bool by_user; /* not by an administrator: STATUS_NOT_FOUND when he has been dropped meanwhile */
};
void auth_change_user(struct auth *a, const struct auth_user_change *c, auth_changed done, void *ctx);
void auth_drop_user(struct auth *a, struct slice name, auth_changed done, void *ctx); /* STATUS_NOT_FOUND */
void auth_change_role(struct auth *a, const struct auth_role *r, auth_changed done, void *ctx);
void auth_drop_role(struct auth *a, struct slice name, auth_changed done, void *ctx);
void auth_switch(struct auth *a, bool on, auth_changed done, void *ctx);

/* A change that the caller works out against the book as it is: decide may be called again when another change came first, and does
 * nothing but decide. What it gives lives in the arena, or longer than the change. */
struct auth_edit {
    const struct auth_user *users; /* rows that are written, names and all */
    size_t user_count;
    const struct auth_role *role;            /* likewise; NULL: none */
    struct slice dropped_user, dropped_role; /* empty: none */
    enum { AUTH_STAYS, AUTH_TURNS_ON, AUTH_TURNS_OFF } turns;
    const char *why; /* when it refuses */
};
struct auth_decision {
    const struct book *book; /* NULL: there is none yet */
    const struct auth_secret *secret;
    struct arena *arena;
    uint64_t epoch; /* of a user who is new, or whose tokens are to end: no token has it */
};
typedef enum status (*auth_decide)(void *ctx, const struct auth_decision *d, struct auth_edit *out);
struct auth_edit_call {
    const char *what;            /* for the audit log */
    struct slice name, password; /* password: hashed first, for decide; empty: none */
    auth_decide decide;          /* with the ctx of done */
};
void auth_edit(struct auth *a, const struct auth_edit_call *call, auth_changed done, void *ctx);
uint64_t auth_generation(const struct auth *a); /* of the book: rises with every change; 0: none */

#endif
