/* Users, roles and tokens as rows, and what a right allows. Pure. docs/users.md; rows: docs/formats/users.md. */
#ifndef QUORATE_AUTH_RIGHTS_H
#define QUORATE_AUTH_RIGHTS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"

#define AUTH_KEYSPACE "auth"
#define AUTH_ROOT "root" /* the role that may do everything; it needs no row */
#define AUTH_NAME_MAX 64u
#define AUTH_ROLES_MAX 32u  /* of a user */
#define AUTH_RIGHTS_MAX 64u /* of a role */
#define AUTH_SALT_BYTES 16u
#define AUTH_HASH_BYTES 32u

enum auth_verb {
    AUTH_READ = 1,
    AUTH_WRITE = 2,
    AUTH_LEDGER = 4, /* make accounts and transfers, by the ledger's rules only */
    AUTH_ADMIN = 8,  /* keyspaces, users, roles, operators */
    AUTH_ALL = 15
};

struct auth_right {
    unsigned verbs;
    struct slice keyspace;   /* empty: all */
    struct slice start, end; /* user keys; empty end: to the end of the keyspace */
};
struct auth_role {
    struct slice name;
    const struct auth_right *rights;
    size_t right_count;
};
struct auth_secret { /* of a password: scrypt (RFC 7914) */
    bool set;        /* without one nobody logs in by password */
    uint8_t log2_n, r, p;
    uint8_t salt[AUTH_SALT_BYTES], hash[AUTH_HASH_BYTES];
};
struct auth_user {
    struct slice name;
    bool disabled;
    uint64_t epoch; /* tokens of an older one are void */
    uint64_t rate;  /* requests a second through one gateway; 0: any number */
    uint64_t quota; /* bytes a day through all gateways; 0: any number */
    struct auth_secret secret;
    struct slice *roles; /* names */
    size_t role_count;
};
/* A copy that has not the role; its other fields are shared. False: the user has not got it. */
bool auth_user_without(struct arena *a, const struct auth_user *u, struct slice role, struct auth_user *out);
struct auth_token {
    struct slice user;
    uint64_t epoch; /* the user's when it was made */
};

/* 1 to 64 of a-z A-Z 0-9 . _ - @ + */
bool auth_name_valid(struct slice name);

/* Keys in AUTH_KEYSPACE. A book's rows all begin with 'b': one page of a scan is one moment of them. */
enum auth_row { AUTH_ROW_SWITCH, AUTH_ROW_USER, AUTH_ROW_ROLE };
struct slice auth_key_switch(struct arena *a);
struct slice auth_key_user(struct arena *a, struct slice name);
struct slice auth_key_role(struct arena *a, struct slice name);
struct slice auth_key_token(struct arena *a, const uint8_t digest[AUTH_HASH_BYTES]);
struct slice auth_key_usage(struct arena *a, struct slice user);
MUST_CHECK enum status auth_key_decode(struct slice key, enum auth_row *row, struct slice *name); /* of a book's row */

void auth_user_put(struct buf *b, const struct auth_user *u); /* all but the name */
void auth_role_put(struct buf *b, const struct auth_role *r);
void auth_token_put(struct buf *b, const struct auth_token *t);
/* STATUS_CORRUPT: not such a row. Slices are borrowed from the value, arrays are in the arena. */
MUST_CHECK enum status auth_user_get(struct slice value, struct arena *a, struct auth_user *out);
MUST_CHECK enum status auth_role_get(struct slice value, struct arena *a, struct auth_role *out);
MUST_CHECK enum status auth_token_get(struct slice value, struct auth_token *out);

struct auth_need { /* what a request is about to do */
    enum auth_verb verb;
    struct slice keyspace;
    struct slice start, end; /* user keys */
    bool one_key;            /* start alone; else [start, end), empty end: to the end */
};
/* This right alone. */
bool auth_right_covers(const struct auth_right *r, const struct auth_need *need);

/* "read", "write", "ledger", "admin". */
const char *auth_verb_name(enum auth_verb v);
bool auth_verb_find(struct slice name, enum auth_verb *out);

#endif
