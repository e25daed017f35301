/* Passwords by scrypt (RFC 7914): work for a worker, never for the loop. */
#ifndef QUORATE_AUTH_PASSWORD_H
#define QUORATE_AUTH_PASSWORD_H

#include "auth/rights.h"
#include "env/env.h"

#define PASSWORD_MIN 8u
#define PASSWORD_MAX 256u

/* done: on the loop. same: the secret is the password's. cancelled: the process is ending. */
struct password_task;
/* Compares. `secret` NULL: a comparison that takes as long and fails, so that nobody can tell which users there are. */
void password_check(struct env *env, struct slice password, const struct auth_secret *secret,
                    void (*done)(void *ctx, bool same, bool cancelled), void *ctx);
/* Makes a new one. */
void password_hash(struct env *env, struct slice password,
                   void (*done)(void *ctx, const struct auth_secret *secret, bool cancelled), void *ctx);

#endif
