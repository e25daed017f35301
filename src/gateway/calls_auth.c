/* Who a request is from, whether they may, and the endpoints about users and roles: docs/users.md.
 *
 *   call_admit: --public, or rights are not asked for--> call_run
 *                --credential--> auth (at once or later) --> call_run, or 401, 429, 503 */
#include "base/assert.h"
#include "gateway/auth_json.h"
#include "gateway/credential.h"
#include "gateway/gateway_int.h"
#include "gateway/json_out.h"
#include "gateway/parse_auth.h"

static void refuse(struct call *c, enum status s, const char *text)
{
    struct errbuf err;
    errbuf_set(&err, "%s", text);
    call_refuse(c, s, &err);
}

/* --- admission --- */

static bool is_public(enum endpoint e)
{
    return e == ENDPOINT_ROOT || e == ENDPOINT_HEALTHZ || e == ENDPOINT_READYZ || e == ENDPOINT_AUTH_LOGIN;
}

static uint64_t epoch_of(const struct call *c, struct slice user)
{
    const struct book *book = auth_book(c->gateway->options.auth);
    const struct auth_user *u = book == NULL ? NULL : book_user(book, user, NULL);
    return u == NULL ? 0 : u->epoch;
}

static void known(void *ctx, enum status s, struct slice user, const char *why)
{
    struct call *c = ctx;
    struct gateway *g = c->gateway;
    ASSERT(user.size <= AUTH_NAME_MAX);
    memcpy(c->user, user.data, user.size);
    c->user_epoch = epoch_of(c, user);
    c->user[user.size] = '\0';
    if (c->http != NULL) auth_count(g->options.auth, user, g->env->http->ops->body(c->http).size);
    if (c->http == NULL || s != STATUS_OK)
        refuse(c, s != STATUS_OK ? s : STATUS_CLOSED, why);
    else if (!auth_spend(g->options.auth, user, &why))
        refuse(c, STATUS_BUSY, why);
    else
        call_run(c);
}

void call_admit(struct call *c)
{
    struct auth *auth = c->gateway->options.auth;
    c->user[0] = '\0';
    if (auth == NULL || is_public(c->endpoint)) {
        call_run(c);
        return;
    }
    credential_check(auth, &c->arena, c->gateway->env->http->ops->header(c->http, "Authorization"), false, known, c);
}

/* --- rights --- */

static bool may(struct call *c, const struct auth_need *need)
{
    const struct gateway *g = c->gateway;
    struct slice user = slice_str(c->user);
    if (g->options.auth == NULL || auth_may(g->options.auth, user, need)) {
        if (need->verb == AUTH_ADMIN && user.size > 0)
            log_event(g->env->log, LOG_INFO, "audit.administers", "user=%s endpoint=%s name=%.*s", c->user,
                      endpoint_name(c->endpoint), (int)c->name.size, (const char *)c->name.data);
        return true;
    }
    struct errbuf err;
    bool reserved = slice_eq(need->keyspace, slice_str(AUTH_KEYSPACE));
    if (reserved)
        errbuf_set(&err, "the keyspace %s holds users and rights: /v1/auth/users and /v1/auth/roles are the way to it",
                   AUTH_KEYSPACE);
    else
        errbuf_set(&err, "user %s has not the right %s on %s%.*s", c->user, auth_verb_name(need->verb),
                   need->keyspace.size > 0 ? "these keys of keyspace " : "the cluster", (int)need->keyspace.size,
                   (const char *)need->keyspace.data);
    log_event(g->env->log, LOG_INFO, "audit.forbidden", "user=%s endpoint=%s verb=%s keyspace=%.*s", c->user,
              endpoint_name(c->endpoint), auth_verb_name(need->verb), (int)need->keyspace.size,
              (const char *)need->keyspace.data);
    call_refuse(c, STATUS_FORBIDDEN, &err);
    return false;
}

const struct client_error call_revoked = {
    .status = STATUS_FORBIDDEN, .message = {.data = (const uint8_t *)"the right to read this has ended", .size = 32}};

bool call_still_may(struct call *c, const struct auth_need *need)
{
    const struct auth *auth = c->gateway->options.auth;
    struct slice user = slice_str(c->user);
    return auth == NULL ||
           (auth_may(auth, user, need) && epoch_of(c, user) == c->user_epoch && auth_last_is_known(&c->watch.lasting));
}

bool call_may_key(struct call *c, enum auth_verb verb, struct slice keyspace, struct slice key)
{
    return may(
        c, &(struct auth_need){.verb = verb, .keyspace = keyspace, .start = key, .end = SLICE_EMPTY, .one_key = true});
}

bool call_may_span(struct call *c, enum auth_verb verb, struct slice keyspace, struct slice start, struct slice end)
{
    return may(c, &(struct auth_need){.verb = verb, .keyspace = keyspace, .start = start, .end = end});
}

bool call_may_all(struct call *c, enum auth_verb verb, struct slice keyspace)
{
    return call_may_span(c, verb, keyspace, SLICE_EMPTY, SLICE_EMPTY);
}

static bool may_ops(struct call *c, struct slice keyspace, const struct txn_op *ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!call_may_key(c, ops[i].kind == TXN_GET ? AUTH_READ : AUTH_WRITE, keyspace, ops[i].key)) return false;
    }
    return true;
}

bool call_may_txn(struct call *c, struct slice keyspace, const struct txn *t)
{
    for (size_t i = 0; i < t->compare_count; i++) {
        if (!call_may_key(c, AUTH_READ, keyspace, t->compares[i].key)) return false;
    }
    return may_ops(c, keyspace, t->ops, t->op_count) && may_ops(c, keyspace, t->else_ops, t->else_count);
}

/* --- what is told --- */

static void self_show(struct call *c)
{
    const struct book *book = auth_book(c->gateway->options.auth);
    const struct auth_user *u = book == NULL ? NULL : book_user(book, slice_str(c->user), NULL);
    struct answer a;
    answer_init(&a);
    json_open(&a.body, '{');
    json_key(&a.body, "enabled");
    json_bool(&a.body, book != NULL && book_is_on(book));
    if (u != NULL) {
        json_key(&a.body, "you");
        json_auth_user(&a.body, u);
    }
    json_close(&a.body, '}');
    buf_append_byte(&a.body, '\n');
    call_send(c, &a);
}

static void one_show(struct call *c, struct answer *a, const struct book *book)
{
    bool role = c->endpoint == ENDPOINT_AUTH_ROLE;
    const struct auth_user *u = book == NULL || role ? NULL : book_user(book, c->name, NULL);
    const struct auth_role *r = book == NULL || !role ? NULL : book_role(book, c->name, NULL);
    if (u != NULL)
        json_auth_user(&a->body, u);
    else if (r != NULL)
        json_auth_role(&a->body, r);
    else
        answer_error(a, STATUS_NOT_FOUND, false, slice_str(role ? "there is no such role" : "there is no such user"));
}

static void book_fresh(void *ctx, enum status s, const char *why)
{
    struct call *c = ctx;
    const struct book *book = auth_book(c->gateway->options.auth);
    if (s != STATUS_OK) {
        refuse(c, s, why);
        return;
    }
    struct answer a;
    answer_init(&a);
    if (c->endpoint == ENDPOINT_AUTH_USERS)
        json_auth_users(&a.body, book);
    else if (c->endpoint == ENDPOINT_AUTH_ROLES)
        json_auth_roles(&a.body, book);
    else
        one_show(c, &a, book);
    if (a.code == 200) buf_append_byte(&a.body, '\n');
    call_send(c, &a);
}

/* --- what is done --- */

static void failed(struct call *c, enum status s, bool unknown, const char *why)
{
    call_fail(c, &(struct client_error){.status = s, .unknown_outcome = unknown, .message = slice_str(why)});
}

static void changed(void *ctx, enum status s, bool unknown, const char *why)
{
    struct call *c = ctx;
    if (s != STATUS_OK) {
        failed(c, s, unknown, why);
        return;
    }
    struct answer a;
    answer_init(&a);
    buf_append_str(&a.body, "{\"done\":true}\n");
    call_send(c, &a);
}

static void logged_in(void *ctx, enum status s, bool unknown, struct slice token, const char *why)
{
    struct call *c = ctx;
    if (s != STATUS_OK) {
        failed(c, s, unknown, why);
        return;
    }
    struct answer a;
    answer_init(&a);
    json_open(&a.body, '{');
    json_key(&a.body, "token");
    json_text(&a.body, token);
    json_key(&a.body, "expires_in_s");
    json_u64(&a.body, AUTH_TOKEN_MS / 1000);
    json_close(&a.body, '}');
    buf_append_byte(&a.body, '\n');
    call_send(c, &a);
}

static void handle_login(struct call *c, const struct input *in)
{
    struct errbuf err;
    struct login_action login;
    enum status s = parse_login(in, &login, &err);
    if (s == STATUS_OK)
        auth_login(c->gateway->options.auth, login.user, login.password, logged_in, c);
    else
        call_refuse(c, s, &err);
    json_decref(login.tree);
}

static void handle_logout(struct call *c)
{
    const char *header = c->gateway->env->http->ops->header(c->http, "Authorization");
    struct slice token = credential_bearer(header);
    if (token.size == 0)
        refuse(c, STATUS_INVALID, "log out with the token that is to end: Authorization: Bearer TOKEN");
    else
        auth_logout(c->gateway->options.auth, token, changed, c);
}

/* Their own password is everybody's own business. */
static bool is_own_password(const struct call *c, const struct auth_user_change *w)
{
    return w->has_password && !w->has_roles && !w->has_disabled && !w->has_rate && !w->has_quota &&
           slice_eq(w->name, slice_str(c->user));
}

static void handle_user(struct call *c, const struct input *in)
{
    struct errbuf err;
    struct auth *auth = c->gateway->options.auth;
    struct auth_user_change w = {.name = c->name, .password = SLICE_EMPTY};
    json_t *tree = NULL;
    if (in->method == HTTP_DELETE) {
        if (call_may_all(c, AUTH_ADMIN, SLICE_EMPTY)) auth_drop_user(auth, c->name, changed, c);
        return;
    }
    enum status s = parse_user(in, &c->arena, &w, &tree, &err);
    w.by_user = is_own_password(c, &w);
    if (s != STATUS_OK)
        call_refuse(c, s, &err);
    else if (w.by_user || call_may_all(c, AUTH_ADMIN, SLICE_EMPTY))
        auth_change_user(auth, &w, changed, c);
    json_decref(tree);
}

static void handle_role(struct call *c, const struct input *in)
{
    struct errbuf err;
    struct auth *auth = c->gateway->options.auth;
    struct auth_role role = {.name = c->name};
    json_t *tree = NULL;
    if (!call_may_all(c, AUTH_ADMIN, SLICE_EMPTY)) return;
    if (in->method == HTTP_DELETE) {
        auth_drop_role(auth, c->name, changed, c);
        return;
    }
    enum status s = parse_role(in, &c->arena, &role, &tree, &err);
    if (s == STATUS_OK)
        auth_change_role(auth, &role, changed, c);
    else
        call_refuse(c, s, &err);
    json_decref(tree);
}

static void handle_named(struct call *c, const struct input *in, const struct route *route)
{
    struct errbuf err;
    struct slice name;
    enum status s = parse_auth_name(route, &c->arena, &name, &err);
    c->name = s == STATUS_OK ? arena_dup_slice(&c->arena, name) : SLICE_EMPTY;
    if (s != STATUS_OK)
        call_refuse(c, s, &err);
    else if (in->method == HTTP_GET && call_may_all(c, AUTH_ADMIN, SLICE_EMPTY))
        auth_refresh(c->gateway->options.auth, book_fresh, c);
    else if (in->method != HTTP_GET && c->endpoint == ENDPOINT_AUTH_USER)
        handle_user(c, in);
    else if (in->method != HTTP_GET)
        handle_role(c, in);
}

void handle_auth(struct call *c, const struct input *in, const struct route *route)
{
    struct auth *auth = c->gateway->options.auth;
    if (auth == NULL) {
        refuse(c, STATUS_UNSUPPORTED, "this gateway knows no users");
        return;
    }
    switch ((int)c->endpoint) {
    case ENDPOINT_AUTH_SELF: self_show(c); break;
    case ENDPOINT_AUTH_LOGIN: handle_login(c, in); break;
    case ENDPOINT_AUTH_LOGOUT: handle_logout(c); break;
    case ENDPOINT_AUTH_ENABLE:
    case ENDPOINT_AUTH_DISABLE:
        if (call_may_all(c, AUTH_ADMIN, SLICE_EMPTY))
            auth_switch(auth, c->endpoint == ENDPOINT_AUTH_ENABLE, changed, c);
        break;
    case ENDPOINT_AUTH_USERS:
    case ENDPOINT_AUTH_ROLES:
        if (call_may_all(c, AUTH_ADMIN, SLICE_EMPTY)) auth_refresh(auth, book_fresh, c);
        break;
    default: handle_named(c, in, route);
    }
}
