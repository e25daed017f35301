/* The requests about users and roles (parse.h has the rest). Pure. */
#ifndef QUORATE_GATEWAY_PARSE_AUTH_H
#define QUORATE_GATEWAY_PARSE_AUTH_H

#include "auth/auth.h"
#include "gateway/parse.h"

/* The name of a user or role in the path. */
MUST_CHECK enum status parse_auth_name(const struct route *r, struct arena *a, struct slice *out, struct errbuf *err);
struct login_action {
    struct slice user, password;
    json_t *tree; /* keeps them alive: json_decref, also after a failure */
};
MUST_CHECK enum status parse_login(const struct input *in, struct login_action *out, struct errbuf *err);
/* All but the name. *tree keeps the slices alive: json_decref, also after a failure. */
MUST_CHECK enum status parse_user(const struct input *in, struct arena *a, struct auth_user_change *out, json_t **tree,
                                  struct errbuf *err);
MUST_CHECK enum status parse_role(const struct input *in, struct arena *a, struct auth_role *out, json_t **tree,
                                  struct errbuf *err);

#endif
