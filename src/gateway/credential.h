/* Who a request says it is from: its header Authorization. */
#ifndef QUORATE_GATEWAY_CREDENTIAL_H
#define QUORATE_GATEWAY_CREDENTIAL_H

#include "auth/auth.h"

/* header: "Bearer TOKEN", "Basic ..."; with bare_token also the token alone, as etcd's clients send it; NULL: there is none. done comes at
 * once or later, as auth's. */
void credential_check(struct auth *auth, struct arena *a, const char *header, bool bare_token, auth_who done,
                      void *ctx);
/* In the arena; empty: it names none. */
struct slice credential_token(struct arena *a, const char *header, bool bare_token);
/* The token of "Bearer TOKEN"; empty: it is not that. */
struct slice credential_bearer(const char *header);

#endif
