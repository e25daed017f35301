/* All users and roles of a cluster as of one moment, and what each may do. Immutable once filled. Pure. */
#ifndef QUORATE_AUTH_BOOK_H
#define QUORATE_AUTH_BOOK_H

#include "auth/rights.h"
#include "base/map.h"

struct book;
struct book *book_new(void);
void book_free(struct book *b);
/* A row as it was read; copied. version: its commit timestamp. */
MUST_CHECK enum status book_add(struct book *b, struct slice key, struct slice value, uint64_t version);

bool book_is_on(const struct book *b);              /* rights are asked for */
uint64_t book_switch_version(const struct book *b); /* 0: there is no such row */
/* In the book; NULL: there is none. version may be NULL. The role AUTH_ROOT is there without a row, as of version 0. */
const struct auth_user *book_user(const struct book *b, struct slice name, uint64_t *version);
const struct auth_role *book_role(const struct book *b, struct slice name, uint64_t *version);
/* By number, in the order of names; NULL behind the last. */
const struct auth_user *book_user_at(const struct book *b, size_t index);
const struct auth_role *book_role_at(const struct book *b, size_t index);

/* Rights of the user cover it, alone or one behind the other. */
bool book_may(const struct book *b, struct slice user, const struct auth_need *need);
/* Enabled, with a password and the role AUTH_ROOT: could administer if rights were asked for. */
bool book_is_administrator(const struct auth_user *u);

#endif
