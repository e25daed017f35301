#include "gateway/credential.h"

#include <strings.h>

#include "gateway/codec.h"

static struct slice word_behind(const char *text, const char *scheme)
{
    size_t n = strlen(scheme);
    if (text == NULL || strncasecmp(text, scheme, n) != 0 || text[n] != ' ') return SLICE_EMPTY;
    while (text[n] == ' ') n++;
    return slice_str(text + n);
}

struct slice credential_bearer(const char *header)
{
    return word_behind(header, "Bearer");
}

static struct slice token_of(const char *header, bool bare_token)
{
    if (bare_token && header != NULL && strchr(header, ' ') == NULL) return slice_str(header);
    return credential_bearer(header);
}

struct slice credential_token(struct arena *a, const char *header, bool bare_token)
{
    return arena_dup_slice(a, token_of(header, bare_token));
}

static void by_basic(struct auth *auth, struct arena *a, struct slice text, auth_who done, void *ctx)
{
    struct slice pair;
    const uint8_t *colon = NULL;
    if (base64_decode(text, a, &pair) && pair.size > 0) colon = memchr(pair.data, ':', pair.size);
    if (colon == NULL) {
        done(ctx, STATUS_UNAUTHENTICATED, SLICE_EMPTY, "Authorization: Basic wants base64 of USER:PASSWORD");
        return;
    }
    size_t size = (size_t)(colon - pair.data);
    auth_by_password(auth, slice_make(pair.data, size), slice_make(colon + 1, pair.size - size - 1), done, ctx);
}

void credential_check(struct auth *auth, struct arena *a, const char *header, bool bare_token, auth_who done, void *ctx)
{
    struct slice token = token_of(header, bare_token), basic = word_behind(header, "Basic");
    if (header == NULL)
        auth_by_nothing(auth, done, ctx);
    else if (token.size > 0)
        auth_by_token(auth, token, done, ctx);
    else if (basic.size > 0)
        by_basic(auth, a, basic, done, ctx);
    else
        done(ctx, STATUS_UNAUTHENTICATED, SLICE_EMPTY, "Authorization: expected Bearer TOKEN or Basic");
}
