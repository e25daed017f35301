/* Shared by auth.c (the book, kept fresh), identify.c (who) and change.c. */
#ifndef QUORATE_AUTH_AUTH_INT_H
#define QUORATE_AUTH_AUTH_INT_H

#include "auth/auth.h"
#include "base/list.h"
#include "env/env.h"

#define AUTH_ASK_MS 5000u
#define AUTH_KEY_GENERATION "g" /* written by every change: its version says whether a book is the newest */

struct auth_wait { /* for a reading of the rows; `round`: which */
    struct list link;
    uint64_t round;
    void (*go)(struct auth_wait *w, enum status s);
};
struct auth {
    struct actor actor;
    struct env *env;
    struct client *client;
    struct book *book;   /* NULL: there is no keyspace, or nothing is known */
    bool known;          /* read at least once */
    bool in_doubt;       /* there is no book, and perhaps there was one: nobody may do anything */
    uint64_t generation; /* of the book */
    uint64_t fresh_ns;
    struct { /* IDLE --due, or somebody waits--> GENERATION --same--> IDLE;  GENERATION --another--> ROWS --> IDLE */
        bool asking;
        uint64_t round, generation, next_ns;
        struct book *book; /* what has been read of the rows; as of */
        uint64_t ts;
    } reading;
    struct list waits;
    struct list ops; /* under way: freed with this */
    struct map seen; /* digest of a credential -> struct auth_seen */
    struct map meters;
    unsigned checking;    /* passwords */
    struct list to_check; /* struct identify: they wait for their turn */
    unsigned to_check_count;
    struct actor holder;
    struct list lasting; /* struct auth_lasting */
    struct list held;    /* struct auth_held */
    struct actor counter;
    struct map usages; /* struct auth_usage */
    uint64_t report_ns;
};

struct auth_op { /* the head of whatever is under way */
    struct list link;
    struct auth *auth;
    struct auth_wait wait;
    struct arena arena;
};
void *auth_op_new(struct auth *a, size_t size);
void auth_op_free(struct auth_op *op);

/* auth.c */
bool auth_usable(const struct auth *a); /* who may do what is known */
/* go: once the rows have been read; `from_now`: by a reading that has not begun yet. */
void auth_wait_for(struct auth *a, struct auth_wait *w, bool from_now, void (*go)(struct auth_wait *w, enum status s));
extern const char auth_unreadable[];
const char *auth_closed_why(const struct auth *a); /* nobody may do anything */

/* identify.c */
void auth_seen_free(struct auth *a);
void auth_token_digest(struct slice token, uint8_t out[AUTH_HASH_BYTES]);

/* quota.c */
void auth_quota_init(struct auth *a);
void auth_quota_free(struct auth *a);
bool auth_has_bytes(struct auth *a, struct slice user); /* of today */

/* lasting.c */
void auth_lasting_init(struct auth *a);
void auth_lasting_look(struct auth *a);
void auth_lasting_free(struct auth *a);

#endif
