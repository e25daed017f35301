/* Users and roles as JSON, for the gateway and the command line. */
#ifndef QUORATE_GATEWAY_AUTH_JSON_H
#define QUORATE_GATEWAY_AUTH_JSON_H

#include "auth/book.h"

void json_auth_user(struct buf *b, const struct auth_user *u);
void json_auth_role(struct buf *b, const struct auth_role *r);
/* {"users":[...]} and {"roles":[...]}; book may be NULL. */
void json_auth_users(struct buf *b, const struct book *book);
void json_auth_roles(struct buf *b, const struct book *book);

#endif
