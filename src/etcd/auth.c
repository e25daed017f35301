/* Who may do what, and etcd's requests about it: its users and roles are ours (docs/users.md), its permissions are rights on the
 * keyspace of this surface.
 *
 *   ecall_admit --authenticate, status, or rights are not asked for--> go
 *               --token--> auth (at once or later) --> go, or refused */
#include "auth/auth.h"

#include "base/assert.h"
#include "etcd/kv.h"
#include "gateway/credential.h"
#include "gateway/json_out.h"

#define FAILED(name, grpc, message) static const struct etcd_error name = {.code = GRPC_##grpc, .text = message};
FAILED(NOT_ENABLED, FAILED_PRECONDITION, "etcdserver: authentication is not enabled")
FAILED(NO_ROOT_USER, FAILED_PRECONDITION, "etcdserver: root user does not exist")
FAILED(NO_ROOT_ROLE, FAILED_PRECONDITION, "etcdserver: root user does not have root role")
FAILED(USER_EXISTS, FAILED_PRECONDITION, "etcdserver: user name already exists")
FAILED(USER_NOT_FOUND, FAILED_PRECONDITION, "etcdserver: user name not found")
FAILED(ROLE_EXISTS, FAILED_PRECONDITION, "etcdserver: role name already exists")
FAILED(ROLE_NOT_FOUND, FAILED_PRECONDITION, "etcdserver: role name not found")
FAILED(NOT_GRANTED, FAILED_PRECONDITION, "etcdserver: role is not granted to the user")
FAILED(NOT_PERMITTED, FAILED_PRECONDITION, "etcdserver: permission is not granted to the role")
FAILED(ROLE_EMPTY, INVALID_ARGUMENT, "etcdserver: role name is empty")
FAILED(AUTH_FAILED, INVALID_ARGUMENT, "etcdserver: authentication failed, invalid user ID or password")
FAILED(PERMISSION_MISSING, INVALID_ARGUMENT, "etcdserver: permission not given")
FAILED(NOT_ALLOWED, INVALID_ARGUMENT, "etcdserver: invalid auth management")
FAILED(BUSY, RESOURCE_EXHAUSTED, "etcdserver: too many requests")
FAILED(BAD_NAME, INVALID_ARGUMENT, "a name is 1 to 64 of a-z A-Z 0-9 . _ - @ +")
FAILED(HASHED, UNIMPLEMENTED, "a password that is hashed already cannot be taken: passwords are kept as scrypt")
#undef FAILED

/* --- who --- */

struct admission {
    struct ecall *call;
    void (*go)(struct ecall *c);
    bool named; /* there was a token or password */
};

static uint64_t epoch_of(const struct ecall *c)
{
    const struct book *book = auth_book(c->etcd->auth);
    const struct auth_user *u = book == NULL ? NULL : book_user(book, slice_str(c->user), NULL);
    return u == NULL ? 0 : u->epoch;
}

static void known(void *ctx, enum status s, struct slice user, const char *why)
{
    struct admission *a = ctx;
    struct ecall *c = a->call;
    ASSERT(user.size <= AUTH_NAME_MAX);
    memcpy(c->user, user.data, user.size);
    c->user[user.size] = '\0';
    c->user_epoch = epoch_of(c);
    if (c->http != NULL) auth_count(c->etcd->auth, user, c->etcd->env->http->ops->body(c->http).size);
    if (c->http == NULL)
        ecall_end(c);
    else if (s == STATUS_UNAUTHENTICATED)
        ecall_refuse(c, a->named ? &ERR_TOKEN : &ERR_USER_EMPTY);
    else if (s == STATUS_BUSY || (s == STATUS_OK && !auth_spend(c->etcd->auth, user, &why)))
        ecall_refuse(c, &BUSY);
    else if (s != STATUS_OK)
        ecall_refuse_text(c, GRPC_UNAVAILABLE, why);
    else
        a->go(c);
}

void ecall_admit(struct ecall *c, void (*go)(struct ecall *c))
{
    struct etcd *e = c->etcd;
    bool open = strcmp(c->route, "auth/authenticate") == 0 || strcmp(c->route, "auth/status") == 0;
    if (e->auth == NULL || open || auth_is_open(e->auth)) {
        go(c);
        return;
    }
    const char *header = e->env->http->ops->header(c->http, "Authorization");
    struct admission *a = arena_alloc(&c->arena, sizeof(*a));
    *a = (struct admission){.call = c, .go = go, .named = header != NULL};
    c->token = credential_token(&c->arena, header, true);
    credential_check(e->auth, &c->arena, header, true, known, a);
}

/* --- may they --- */

bool ecall_is_asked(const struct ecall *c)
{
    return c->etcd->auth != NULL && !auth_is_open(c->etcd->auth);
}

/* Whoever it is from is who they were when it came. */
static bool is_known(const struct ecall *c)
{
    return c->user[0] != '\0' && epoch_of(c) == c->user_epoch && auth_last_is_known(&c->lasting);
}

static bool holds(const struct ecall *c, const struct auth_need *need)
{
    return !ecall_is_asked(c) || (auth_may(c->etcd->auth, slice_str(c->user), need) && is_known(c));
}

static void look_again(struct auth_lasting *l)
{
    struct ecall *c = LIST_ENTRY(l, struct ecall, lasting);
    if ((!c->streaming && c->must_leave == NULL) || !ecall_is_asked(c)) return;
    if (!is_known(c) && c->streaming)
        ecall_stream_error(c, ERR_TOKEN.code, ERR_TOKEN.text);
    else if (!is_known(c))
        c->must_leave(c, &ERR_TOKEN);
    else if (c->recheck != NULL)
        c->recheck(c);
}

void ecall_last(struct ecall *c)
{
    if (c->etcd->auth != NULL) auth_last(c->etcd->auth, &c->lasting, c->token, look_again);
}

static bool may(struct ecall *c, const struct auth_need *need)
{
    if (holds(c, need)) return true;
    log_event(c->etcd->env->log, LOG_INFO, "audit.forbidden", "user=%s endpoint=%s verb=%s keyspace=%.*s", c->user,
              c->route, auth_verb_name(need->verb), (int)need->keyspace.size, (const char *)need->keyspace.data);
    ecall_refuse(c, &ERR_FORBIDDEN);
    return false;
}

static bool need_of(const struct ecall *c, enum auth_verb verb, struct slice key, struct slice range_end,
                    struct arena *a, struct auth_need *out)
{
    if (!ecall_is_asked(c)) return false;
    struct span span = span_of(a, key, range_end);
    if (span.empty) return false; /* nothing is told, nothing is changed */
    *out = (struct auth_need){
        .verb = verb, .keyspace = etcd_keyspace, .start = span.start, .end = span.end, .one_key = span.single};
    return true;
}

bool ecall_holds(const struct ecall *c, enum auth_verb verb, struct slice key, struct slice range_end)
{
    struct auth_need need;
    struct arena a;
    arena_init(&a, 256);
    bool held = !need_of(c, verb, key, range_end, &a, &need) || holds(c, &need);
    arena_free(&a);
    return held;
}

bool ecall_may(struct ecall *c, enum auth_verb verb, struct slice key, struct slice range_end)
{
    struct auth_need need;
    return !need_of(c, verb, key, range_end, &c->arena, &need) || may(c, &need);
}

static bool may_administer(struct ecall *c)
{
    const struct auth_need need = {
        .verb = AUTH_ADMIN, .keyspace = SLICE_EMPTY, .start = SLICE_EMPTY, .end = SLICE_EMPTY};
    bool granted = may(c, &need);
    if (granted && c->user[0] != '\0')
        log_event(c->etcd->env->log, LOG_INFO, "audit.administers", "user=%s endpoint=%s", c->user, c->route);
    return granted;
}

/* --- permissions and rights --- */

struct auth_asked {
    const struct auth_request *request;
    struct slice user, role, password;
    struct auth_right right; /* of the permission */
    bool has_right;
    const struct etcd_error *refusal; /* of a decision */
};

static const char *const PERMISSIONS[] = {"READ", "WRITE", "READWRITE"};

static struct auth_right right_of(struct arena *a, unsigned type, struct slice key, struct slice range_end)
{
    static const unsigned verbs[] = {AUTH_READ, AUTH_WRITE, AUTH_READ | AUTH_WRITE};
    struct span s = span_of(a, key, range_end);
    if (s.single) {
        uint8_t *end = arena_zalloc(a, s.start.size + 1);
        memcpy(end, s.start.data, s.start.size);
        s.end = slice_make(end, s.start.size + 1);
    }
    return (struct auth_right){.verbs = verbs[type], .keyspace = etcd_keyspace, .start = s.start, .end = s.end};
}

static bool is_of_this_surface(const struct auth_right *r)
{
    return slice_eq(r->keyspace, etcd_keyspace) && (r->verbs & (AUTH_READ | AUTH_WRITE)) != 0 && r->start.size > 0 &&
           r->start.data[0] == ROW_OF_USER && r->end.size > 0;
}

static bool same_keys(const struct auth_right *x, const struct auth_right *y)
{
    return slice_eq(x->keyspace, y->keyspace) && slice_eq(x->start, y->start) && slice_eq(x->end, y->end);
}

static void emit_right(struct buf *b, const struct auth_right *r)
{
    unsigned type = (r->verbs & AUTH_WRITE) == 0 ? 0 : (r->verbs & AUTH_READ) == 0 ? 1 : 2;
    size_t n = r->start.size;
    bool single = r->end.size == n + 1 && slice_starts(r->end, r->start) && r->end.data[n] == 0;
    bool all = r->end.size == 1; /* behind the last row of a user */
    json_open(b, '{');
    if (type > 0) {
        json_key(b, "permType");
        json_str(b, PERMISSIONS[type]);
    }
    emit_bytes(b, "key", n == 1 ? slice_make("", 1) : slice_make(r->start.data + 1, n - 1)); /* "\0": the first */
    if (!single) emit_bytes(b, "range_end", all ? slice_make("", 1) : slice_make(r->end.data + 1, r->end.size - 1));
    json_close(b, '}');
}

/* --- changes, decided on the book as it is --- */

static enum status refuse_edit(struct auth_asked *q, const struct etcd_error *why)
{
    q->refusal = why;
    return STATUS_CONDITION_FAILED;
}

static const struct auth_user *user_in(const struct auth_decision *d, struct slice name)
{
    return d->book == NULL ? NULL : book_user(d->book, name, NULL);
}
/* With a row: the role root has none until somebody adds it. */
static const struct auth_role *role_in(const struct book *b, struct slice name)
{
    const struct auth_role *r;
    for (size_t i = 0; b != NULL && (r = book_role_at(b, i)) != NULL; i++) {
        if (slice_eq(r->name, name)) return r;
    }
    return NULL;
}

static bool has_role(const struct auth_user *u, struct slice role)
{
    for (size_t i = 0; i < u->role_count; i++) {
        if (slice_eq(u->roles[i], role)) return true;
    }
    return false;
}

static enum status decide_enable(void *ctx, const struct auth_decision *d, struct auth_edit *out)
{
    struct auth_asked *q = ((struct ecall *)ctx)->state;
    const struct auth_user *root = user_in(d, slice_str(AUTH_ROOT));
    if (root == NULL) return refuse_edit(q, &NO_ROOT_USER);
    if (!has_role(root, slice_str(AUTH_ROOT))) return refuse_edit(q, &NO_ROOT_ROLE);
    out->turns = AUTH_TURNS_ON;
    return STATUS_OK;
}

static enum status decide_disable(void *ctx, const struct auth_decision *d, struct auth_edit *out)
{
    (void)ctx;
    if (d->book != NULL && book_is_on(d->book)) out->turns = AUTH_TURNS_OFF;
    return STATUS_OK;
}

static void edit_one_user(const struct auth_decision *d, const struct auth_user *u, struct auth_edit *out)
{
    out->users = arena_dup(d->arena, u, sizeof(*u));
    out->user_count = 1;
}

static enum status decide_user_add(void *ctx, const struct auth_decision *d, struct auth_edit *out)
{
    struct auth_asked *q = ((struct ecall *)ctx)->state;
    if (user_in(d, q->user) != NULL) return refuse_edit(q, &USER_EXISTS);
    edit_one_user(d, &(struct auth_user){.name = q->user, .epoch = d->epoch, .secret = *d->secret}, out);
    return STATUS_OK;
}

static enum status decide_user_password(void *ctx, const struct auth_decision *d, struct auth_edit *out)
{
    struct auth_asked *q = ((struct ecall *)ctx)->state;
    const struct auth_user *there = user_in(d, q->user);
    if (there == NULL) return refuse_edit(q, &USER_NOT_FOUND);
    struct auth_user u = *there;
    u.secret = *d->secret;
    u.epoch = d->epoch;
    edit_one_user(d, &u, out);
    return STATUS_OK;
}

static enum status decide_user_grant(void *ctx, const struct auth_decision *d, struct auth_edit *out)
{
    struct auth_asked *q = ((struct ecall *)ctx)->state;
    const struct auth_user *there = user_in(d, q->user);
    if (there == NULL) return refuse_edit(q, &USER_NOT_FOUND);
    if (!slice_eq(q->role, slice_str(AUTH_ROOT)) && role_in(d->book, q->role) == NULL)
        return refuse_edit(q, &ROLE_NOT_FOUND);
    if (has_role(there, q->role)) return STATUS_OK;
    if (there->role_count >= AUTH_ROLES_MAX) return refuse_edit(q, &NOT_ALLOWED);
    struct auth_user u = *there;
    u.roles = arena_alloc(d->arena, (there->role_count + 1) * sizeof(*u.roles));
    size_t at = 0, i = 0; /* in the order of their names, as etcd's */
    while (i < there->role_count && slice_cmp(there->roles[i], q->role) < 0) u.roles[at++] = there->roles[i++];
    u.roles[at++] = q->role;
    while (i < there->role_count) u.roles[at++] = there->roles[i++];
    u.role_count = at;
    edit_one_user(d, &u, out);
    return STATUS_OK;
}

static enum status decide_user_revoke(void *ctx, const struct auth_decision *d, struct auth_edit *out)
{
    struct auth_asked *q = ((struct ecall *)ctx)->state;
    const struct auth_user *there = user_in(d, q->user);
    struct auth_user u;
    if (there == NULL) return refuse_edit(q, &USER_NOT_FOUND);
    if (!auth_user_without(d->arena, there, q->role, &u)) return refuse_edit(q, &NOT_GRANTED);
    edit_one_user(d, &u, out);
    return STATUS_OK;
}

static enum status decide_role_add(void *ctx, const struct auth_decision *d, struct auth_edit *out)
{
    struct auth_asked *q = ((struct ecall *)ctx)->state;
    struct auth_role *r = arena_zalloc(d->arena, sizeof(*r));
    if (role_in(d->book, q->role) != NULL) return refuse_edit(q, &ROLE_EXISTS);
    r->name = q->role;
    out->role = r;
    return STATUS_OK;
}

/* The rights of the role without those of the permission's keys; with it, when `grants`. */
static enum status decide_rights(struct auth_asked *q, const struct auth_decision *d, struct auth_edit *out,
                                 bool grants)
{
    const struct auth_role *there = role_in(d->book, q->role);
    if (there == NULL) return refuse_edit(q, &ROLE_NOT_FOUND);
    if (!q->has_right) return refuse_edit(q, &PERMISSION_MISSING);
    struct auth_role *r = arena_zalloc(d->arena, sizeof(*r));
    struct auth_right *rights = arena_alloc(d->arena, (there->right_count + 1) * sizeof(*rights));
    bool placed = !grants, found = false;
    for (size_t i = 0; i < there->right_count; i++) {
        const struct auth_right *x = &there->rights[i];
        if (same_keys(x, &q->right)) {
            found = true;
            continue;
        }
        if (!placed && slice_cmp(x->start, q->right.start) > 0) {
            rights[r->right_count++] = q->right;
            placed = true;
        }
        rights[r->right_count++] = *x;
    }
    if (!placed) rights[r->right_count++] = q->right;
    if (!grants && !found) return refuse_edit(q, &NOT_PERMITTED);
    if (r->right_count > AUTH_RIGHTS_MAX) return refuse_edit(q, &NOT_ALLOWED);
    r->name = q->role;
    r->rights = rights;
    out->role = r;
    return STATUS_OK;
}

static enum status decide_role_grant(void *ctx, const struct auth_decision *d, struct auth_edit *out)
{
    return decide_rights(((struct ecall *)ctx)->state, d, out, true);
}
static enum status decide_role_revoke(void *ctx, const struct auth_decision *d, struct auth_edit *out)
{
    return decide_rights(((struct ecall *)ctx)->state, d, out, false);
}

/* --- answers --- */

static struct buf begin(struct ecall *c)
{
    return answer_begin(c, c->etcd->newest > 0 ? c->etcd->newest : 1);
}

static void changed(void *ctx, enum status s, bool unknown, const char *why)
{
    struct ecall *c = ctx;
    const struct auth_asked *q = c->state;
    (void)unknown;
    struct buf b;
    if (s == STATUS_OK) {
        b = begin(c);
        answer_end(c, &b);
    } else if (s == STATUS_CONDITION_FAILED) {
        ecall_refuse(c, q->refusal != NULL ? q->refusal : &NOT_ALLOWED);
    } else if (s == STATUS_NOT_FOUND) {
        ecall_refuse(c, q->user.size > 0 ? &USER_NOT_FOUND : &ROLE_NOT_FOUND);
    } else {
        ecall_refuse_text(c, s == STATUS_INVALID || s == STATUS_TOO_LARGE ? GRPC_INVALID_ARGUMENT : GRPC_UNAVAILABLE,
                          why);
    }
}

static void logged_in(void *ctx, enum status s, bool unknown, struct slice token, const char *why)
{
    struct ecall *c = ctx;
    (void)unknown;
    if (s == STATUS_OK) {
        struct buf b = begin(c);
        json_key(&b, "token");
        json_text(&b, token);
        answer_end(c, &b);
    } else if (s == STATUS_CONDITION_FAILED) {
        ecall_refuse(c, &NOT_ENABLED);
    } else if (s == STATUS_UNAUTHENTICATED) {
        ecall_refuse(c, &AUTH_FAILED);
    } else if (s == STATUS_BUSY) {
        ecall_refuse(c, &BUSY);
    } else {
        ecall_refuse_text(c, GRPC_UNAVAILABLE, why);
    }
}

static void show_user(struct ecall *c, const struct book *book)
{
    const struct auth_asked *q = c->state;
    const struct auth_user *u = book == NULL ? NULL : book_user(book, q->user, NULL);
    if (u == NULL) {
        ecall_refuse(c, &USER_NOT_FOUND);
        return;
    }
    struct buf b = begin(c);
    for (size_t i = 0; i < u->role_count; i++) {
        if (i == 0) json_key(&b, "roles");
        if (i == 0) json_open(&b, '[');
        json_text(&b, u->roles[i]);
    }
    if (u->role_count > 0) json_close(&b, ']');
    answer_end(c, &b);
}

static void show_role(struct ecall *c, const struct book *book)
{
    const struct auth_asked *q = c->state;
    const struct auth_role *r = role_in(book, q->role);
    bool any = false; /* of root none are told: it may do everything anyhow */
    if (r == NULL) {
        ecall_refuse(c, &ROLE_NOT_FOUND);
        return;
    }
    for (size_t i = 0; i < r->right_count; i++) any |= is_of_this_surface(&r->rights[i]);
    struct buf b = begin(c);
    if (any) json_key(&b, "perm");
    if (any) json_open(&b, '[');
    for (size_t i = 0; i < r->right_count; i++) {
        if (is_of_this_surface(&r->rights[i])) emit_right(&b, &r->rights[i]);
    }
    if (any) json_close(&b, ']');
    answer_end(c, &b);
}

static void show_names(struct ecall *c, const char *what, const struct book *book,
                       struct slice (*name)(const struct book *b, size_t i))
{
    struct buf b = begin(c);
    size_t count = 0;
    for (struct slice n; book != NULL && (n = name(book, count)).size > 0; count++) {
        if (count == 0) json_key(&b, what);
        if (count == 0) json_open(&b, '[');
        json_text(&b, n);
    }
    if (count > 0) json_close(&b, ']');
    answer_end(c, &b);
}

static struct slice user_name(const struct book *b, size_t i)
{
    const struct auth_user *u = book_user_at(b, i);
    return u == NULL ? SLICE_EMPTY : u->name;
}
static struct slice role_name(const struct book *b, size_t i)
{
    const struct auth_role *r = book_role_at(b, i);
    return r == NULL ? SLICE_EMPTY : r->name;
}

static void show_users(struct ecall *c, const struct book *book)
{
    show_names(c, "users", book, user_name);
}
static void show_roles(struct ecall *c, const struct book *book)
{
    show_names(c, "roles", book, role_name);
}

static void show_status(struct ecall *c, const struct book *book)
{
    struct buf b = begin(c);
    emit_true(&b, "enabled", book != NULL && book_is_on(book));
    emit_u64(&b, "authRevision", auth_generation(c->etcd->auth));
    answer_end(c, &b);
}

/* --- requests --- */

/* What a request is: a change that is decided on, or something shown; what it must name, and whose business it is. */
static const struct auth_request {
    const char *path, *what;
    auth_decide decide;
    void (*show)(struct ecall *c, const struct book *book);
    bool user, role, permission, password;
    enum { BY_ADMINISTRATOR, BY_ITSELF_TOO, BY_ANYBODY } by;
} REQUESTS[] = {
    {"auth/enable", "switch", .decide = decide_enable},
    {"auth/disable", "switch", .decide = decide_disable},
    {"auth/status", "status", .show = show_status, .by = BY_ANYBODY},
    {"auth/authenticate", "login", .user = true, .password = true, .by = BY_ANYBODY},
    {"auth/user/add", "user", .decide = decide_user_add, .user = true, .password = true},
    {"auth/user/changepw", "user", .decide = decide_user_password, .user = true, .password = true},
    {"auth/user/grant", "user", .decide = decide_user_grant, .user = true, .role = true},
    {"auth/user/revoke", "user", .decide = decide_user_revoke, .user = true, .role = true},
    {"auth/user/get", "user", .show = show_user, .user = true, .by = BY_ITSELF_TOO},
    {"auth/user/list", "users", .show = show_users},
    {"auth/user/delete", "drop-user", .user = true},
    {"auth/role/add", "role", .decide = decide_role_add, .role = true},
    {"auth/role/grant", "role", .decide = decide_role_grant, .role = true, .permission = true},
    {"auth/role/revoke", "role", .decide = decide_role_revoke, .role = true, .permission = true},
    {"auth/role/get", "role", .show = show_role, .role = true, .by = BY_ITSELF_TOO},
    {"auth/role/list", "roles", .show = show_roles},
    {"auth/role/delete", "drop-role", .role = true},
};

static void book_fresh(void *ctx, enum status s, const char *why)
{
    struct ecall *c = ctx;
    const struct auth_asked *q = c->state;
    if (s != STATUS_OK)
        ecall_refuse_text(c, GRPC_UNAVAILABLE, why);
    else
        q->request->show(c, auth_book(c->etcd->auth));
}

static bool take_permission(struct ecall *c, const struct json_node *body, struct auth_asked *q)
{
    const struct json_node *perm = q->request->decide == decide_role_grant ? field(body, "perm") : body;
    unsigned type;
    struct slice key, range_end;
    if (perm == NULL) return true; /* refused when it is known whether there is such a role */
    if (!take_enum(c, perm, "permType", PERMISSIONS, 3, &type) || !take_bytes(c, perm, "key", &key) ||
        !take_bytes(c, perm, "range_end", &range_end))
        return false;
    q->right = right_of(&c->arena, type, key, range_end);
    q->has_right = true;
    return true;
}

static bool take_name(struct ecall *c, const struct json_node *body, const char *name, const char *otherwise,
                      struct slice *out)
{
    return take_text(c, body, name, out) && (out->size > 0 || take_text(c, body, otherwise, out));
}

static bool take_asked(struct ecall *c, const struct json_node *body, struct auth_asked *q)
{
    const struct auth_request *r = q->request;
    struct slice hashed;
    q->user = q->role = q->password = SLICE_EMPTY;
    if (r->user && !take_name(c, body, "user", "name", &q->user)) return false;
    if (r->role && !take_name(c, body, "role", "name", &q->role)) return false;
    if (r->password && !take_text(c, body, "password", &q->password)) return false;
    if (r->password && !take_text(c, body, "hashedPassword", &hashed)) return false;
    const struct etcd_error *wrong = r->user && q->user.size == 0           ? &ERR_USER_EMPTY
                                     : r->role && q->role.size == 0         ? &ROLE_EMPTY
                                     : r->password && hashed.size > 0       ? &HASHED
                                     : r->decide == NULL                    ? NULL
                                     : r->user && !auth_name_valid(q->user) ? &BAD_NAME
                                     : r->role && !auth_name_valid(q->role) ? &BAD_NAME
                                                                            : NULL;
    if (wrong != NULL) ecall_refuse(c, wrong);
    return wrong == NULL && (!r->permission || take_permission(c, body, q));
}

static bool is_own(const struct ecall *c, const struct auth_asked *q)
{
    const struct book *book = auth_book(c->etcd->auth);
    const struct auth_user *u = book == NULL ? NULL : book_user(book, slice_str(c->user), NULL);
    return u != NULL && (q->request->user ? slice_eq(q->user, u->name) : has_role(u, q->role));
}

void serve_auth(struct ecall *c, const struct json_node *body)
{
    struct auth *auth = c->etcd->auth;
    struct auth_asked *q = arena_zalloc(&c->arena, sizeof(*q));
    c->state = q;
    for (size_t i = 0; i < sizeof(REQUESTS) / sizeof(REQUESTS[0]); i++) {
        if (strcmp(REQUESTS[i].path, c->route) == 0) q->request = &REQUESTS[i];
    }
    ASSERT(q->request != NULL);
    if (auth == NULL) {
        ecall_refuse(c, &NOT_ENABLED);
        return;
    }
    const struct auth_request *r = q->request;
    if (!take_asked(c, body, q)) return;
    bool own = r->by == BY_ANYBODY || (r->by == BY_ITSELF_TOO && is_own(c, q));
    if (!own && !may_administer(c)) return;
    struct auth_edit_call call = {
        .what = r->what, .name = r->user ? q->user : q->role, .password = q->password, .decide = r->decide};
    if (r->decide != NULL)
        auth_edit(auth, &call, changed, c);
    else if (r->show != NULL)
        auth_refresh(auth, book_fresh, c);
    else if (r->password)
        auth_login(auth, q->user, q->password, logged_in, c);
    else if (r->user)
        auth_drop_user(auth, q->user, changed, c);
    else
        auth_drop_role(auth, q->role, changed, c);
}
