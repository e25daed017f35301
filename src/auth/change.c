/* Changes of users, roles and the switch: each is one transaction on the row and on the generation, compared with the one that the
 * book was read at, so changes are one after the other and each has seen all before it.
 *
 *   READING --book--> [HASHING a password] --> COMMITTING --ok--> READING, for this process's own book --> done
 *      ^                                          |  |
 *      |              another change came first   |  +--no keyspace yet--> CREATING --+
 *      +------------------------------------------+<----------------------------------+   at most TRIES_MAX times */
#include "auth/auth_int.h"
#include "auth/password.h"
#include "base/mem.h"

#define TRIES_MAX 8u
#define CREATE_MS 10000u

struct change {
    struct auth_op op;
    enum { CHANGE_USER, CHANGE_USER_DROP, CHANGE_ROLE, CHANGE_ROLE_DROP, CHANGE_SWITCH } kind;
    struct auth_user_change user; /* copied into the arena */
    struct auth_role role;
    struct slice name;
    bool on;
    struct auth_secret secret; /* of the new password */
    unsigned tries;
    auth_changed done;
    void *ctx;
};

static void change_end(struct change *c, enum status s, bool unknown, const char *why)
{
    static const char *const kinds[] = {"user", "drop-user", "role", "drop-role", "switch"};
    log_event(c->op.auth->env->log, LOG_INFO, "audit.change", "what=%s name=%.*s status=%s", kinds[c->kind],
              (int)c->name.size, (const char *)c->name.data, status_name(s));
    c->done(c->ctx, s, unknown, why);
    auth_op_free(&c->op);
}

static void change_read(struct auth_wait *w, enum status s);

static void change_again(struct change *c)
{
    if (++c->tries > TRIES_MAX)
        change_end(c, STATUS_RETRY, false, "others change users and roles at the same time: try again");
    else
        auth_wait_for(c->op.auth, &c->op.wait, true, change_read);
}

static void change_seen(struct auth_wait *w, enum status s)
{
    (void)s; /* it is done, whether this process has read it or not */
    change_end(LIST_ENTRY(w, struct change, op.wait), STATUS_OK, false, "");
}

static void keyspace_made(void *ctx, const struct client_error *e, struct slice payload)
{
    struct change *c = ctx;
    (void)payload;
    if (e->status != STATUS_OK && e->status != STATUS_EXISTS)
        change_end(c, e->status, e->unknown_outcome, "the keyspace of users could not be made");
    else
        change_again(c);
}

static void make_keyspace(struct change *c)
{
    struct buf params;
    buf_init(&params, 1024);
    pack_meta_keyspace_request(&params, &(struct meta_keyspace_request){.name = slice_str(AUTH_KEYSPACE)});
    client_meta(c->op.auth->client, METHOD_META_KEYSPACE_CREATE, buf_slice(&params), CREATE_MS, keyspace_made, c);
    buf_free(&params);
}

static void committed(void *ctx, const struct client_error *e, const struct txn_result *result)
{
    struct change *c = ctx;
    if (e->status == STATUS_NOT_FOUND)
        make_keyspace(c);
    else if (e->status != STATUS_OK)
        change_end(c, e->status, e->unknown_outcome,
                   e->unknown_outcome ? "whether it was done is not known" : auth_unreadable);
    else if (result->status == STATUS_CONDITION_FAILED)
        change_again(c);
    else if (result->status != STATUS_OK)
        change_end(c, result->status, false, status_text(result->status));
    else
        auth_wait_for(c->op.auth, &c->op.wait, true, change_seen);
}

static void commit(struct change *c, struct slice key, const struct buf *value)
{
    struct auth *a = c->op.auth;
    struct slice generation = slice_str(AUTH_KEY_GENERATION);
    struct txn_compare compare = {.target = TXN_TARGET_VERSION,
                                  .relation = TXN_EQUAL,
                                  .key = generation,
                                  .version = a->generation,
                                  .value = SLICE_EMPTY};
    struct txn_op ops[] = {{.kind = TXN_PUT, .key = generation, .value = SLICE_EMPTY},
                           {.kind = value == NULL ? TXN_DELETE : TXN_PUT, .key = key, .value = SLICE_EMPTY}};
    if (value != NULL) ops[1].value = buf_slice(value);
    struct txn t = {.compares = &compare, .compare_count = 1, .ops = ops, .op_count = 2};
    client_txn(a->client, slice_str(AUTH_KEYSPACE), &t, AUTH_ASK_MS, committed, c);
}

/* --- what it comes to, against the book as it is --- */

static const char last_administrator[] =
    "nobody would be left who may administer: an enabled user with a password and the role root";

static bool is_administrator(const struct auth_user *u)
{
    bool root = false;
    for (size_t i = 0; i < u->role_count; i++) root |= slice_eq(u->roles[i], slice_str(AUTH_ROOT));
    return root && !u->disabled && u->secret.set;
}

static bool leaves_nobody(const struct change *c, const struct auth_user *u)
{
    const struct book *b = c->op.auth->book;
    if (b == NULL || !book_is_on(b)) return false;
    return !book_has_administrator(b, c->name) && (u == NULL || !is_administrator(u));
}

static void change_user(struct change *c)
{
    const struct auth_user_change *w = &c->user;
    const struct book *b = c->op.auth->book;
    const struct auth_user *there = b == NULL ? NULL : book_user(b, w->name, NULL);
    struct auth_user u = there != NULL ? *there : (struct auth_user){.name = w->name};
    bool void_tokens = w->has_password || w->revoke || (w->has_disabled && w->disabled);
    if (there == NULL || void_tokens) u.epoch++;
    if (w->has_password) u.secret = c->secret;
    if (w->has_disabled) u.disabled = w->disabled;
    if (w->has_rate) u.rate = w->rate;
    if (w->has_roles) {
        u.roles = w->roles;
        u.role_count = w->role_count;
    }
    if (leaves_nobody(c, &u)) {
        change_end(c, STATUS_CONDITION_FAILED, false, last_administrator);
        return;
    }
    struct buf value;
    buf_init(&value, 8192);
    auth_user_put(&value, &u);
    commit(c, auth_key_user(&c->op.arena, w->name), &value);
    buf_free(&value);
}

static void drop_user(struct change *c)
{
    const struct book *b = c->op.auth->book;
    if (b == NULL || book_user(b, c->name, NULL) == NULL)
        change_end(c, STATUS_NOT_FOUND, false, "there is no such user");
    else if (leaves_nobody(c, NULL))
        change_end(c, STATUS_CONDITION_FAILED, false, last_administrator);
    else
        commit(c, auth_key_user(&c->op.arena, c->name), NULL);
}

static void change_role(struct change *c)
{
    struct buf value;
    buf_init(&value, 1u << 20);
    auth_role_put(&value, &c->role);
    if (value.overflow)
        change_end(c, STATUS_TOO_LARGE, false, "the role's rights are too large together");
    else
        commit(c, auth_key_role(&c->op.arena, c->name), &value);
    buf_free(&value);
}

static void drop_role(struct change *c)
{
    const struct book *b = c->op.auth->book;
    if (b == NULL || book_role(b, c->name, NULL) == NULL)
        change_end(c, STATUS_NOT_FOUND, false, "there is no such role");
    else
        commit(c, auth_key_role(&c->op.arena, c->name), NULL);
}

static void change_switch(struct change *c)
{
    const struct book *b = c->op.auth->book;
    struct buf value;
    if (c->on && (b == NULL || !book_has_administrator(b, SLICE_EMPTY))) {
        change_end(c, STATUS_CONDITION_FAILED, false, last_administrator);
        return;
    }
    buf_init(&value, 16);
    buf_append_str(&value, c->on ? "on" : "off");
    commit(c, auth_key_switch(&c->op.arena), &value);
    buf_free(&value);
}

static void change_make(struct change *c)
{
    switch (c->kind) {
    case CHANGE_USER: change_user(c); break;
    case CHANGE_USER_DROP: drop_user(c); break;
    case CHANGE_ROLE: change_role(c); break;
    case CHANGE_ROLE_DROP: drop_role(c); break;
    case CHANGE_SWITCH: change_switch(c); break;
    }
}

static void hashed(void *ctx, const struct auth_secret *secret, bool cancelled)
{
    struct change *c = ctx;
    c->secret = *secret;
    if (cancelled)
        change_end(c, STATUS_UNAVAILABLE, false, "this process is stopping");
    else
        change_make(c);
}

static void change_read(struct auth_wait *w, enum status s)
{
    struct change *c = LIST_ENTRY(w, struct change, op.wait);
    if (s != STATUS_OK)
        change_end(c, STATUS_UNAVAILABLE, false, auth_unreadable);
    else if (c->kind == CHANGE_USER && c->user.has_password && !c->secret.set)
        password_hash(c->op.auth->env, c->user.password, hashed, c);
    else
        change_make(c);
}

/* --- the calls --- */

static struct change *change_new(struct auth *a, struct slice name, auth_changed done, void *ctx)
{
    struct change *c = auth_op_new(a, sizeof(*c));
    c->name = arena_dup_slice(&c->op.arena, name);
    c->done = done;
    c->ctx = ctx;
    return c;
}

static bool name_passes(struct change *c, bool role)
{
    const char *why = NULL;
    if (!auth_name_valid(c->name)) why = "a name is 1 to 64 of a-z A-Z 0-9 . _ - @ +";
    if (role && slice_eq(c->name, slice_str(AUTH_ROOT))) why = "the role root is what it is: it may do everything";
    if (why != NULL) change_end(c, STATUS_INVALID, false, why);
    return why == NULL;
}

void auth_change_user(struct auth *a, const struct auth_user_change *w, auth_changed done, void *ctx)
{
    struct change *c = change_new(a, w->name, done, ctx);
    struct arena *arena = &c->op.arena;
    if (!name_passes(c, false)) return;
    c->kind = CHANGE_USER;
    c->user = *w;
    c->user.name = c->name;
    c->user.password = arena_dup_slice(arena, w->password);
    c->user.roles = arena_alloc(arena, (w->role_count + 1) * sizeof(*w->roles));
    for (size_t i = 0; i < w->role_count; i++) c->user.roles[i] = arena_dup_slice(arena, w->roles[i]);
    if (w->has_password && (w->password.size < PASSWORD_MIN || w->password.size > PASSWORD_MAX)) {
        change_end(c, STATUS_INVALID, false, "a password has 8 to 256 bytes");
        return;
    }
    if (w->role_count > AUTH_ROLES_MAX) {
        change_end(c, STATUS_TOO_LARGE, false, "a user has at most 32 roles");
        return;
    }
    for (size_t i = 0; i < w->role_count; i++) {
        if (auth_name_valid(w->roles[i])) continue;
        change_end(c, STATUS_INVALID, false, "a role's name is 1 to 64 of a-z A-Z 0-9 . _ - @ +");
        return;
    }
    change_again(c);
}

void auth_drop_user(struct auth *a, struct slice name, auth_changed done, void *ctx)
{
    struct change *c = change_new(a, name, done, ctx);
    c->kind = CHANGE_USER_DROP;
    if (name_passes(c, false)) change_again(c);
}

void auth_change_role(struct auth *a, const struct auth_role *r, auth_changed done, void *ctx)
{
    struct change *c = change_new(a, r->name, done, ctx);
    struct arena *arena = &c->op.arena;
    if (!name_passes(c, true)) return;
    c->kind = CHANGE_ROLE;
    c->role = (struct auth_role){.name = c->name, .right_count = r->right_count};
    struct auth_right *rights = arena_alloc(arena, (r->right_count + 1) * sizeof(*rights));
    c->role.rights = rights;
    for (size_t i = 0; i < r->right_count; i++) {
        const struct auth_right *from = &r->rights[i];
        rights[i] = (struct auth_right){.verbs = from->verbs,
                                        .keyspace = arena_dup_slice(arena, from->keyspace),
                                        .start = arena_dup_slice(arena, from->start),
                                        .end = arena_dup_slice(arena, from->end)};
    }
    if (r->right_count > AUTH_RIGHTS_MAX)
        change_end(c, STATUS_TOO_LARGE, false, "a role has at most 64 rights");
    else
        change_again(c);
}

void auth_drop_role(struct auth *a, struct slice name, auth_changed done, void *ctx)
{
    struct change *c = change_new(a, name, done, ctx);
    c->kind = CHANGE_ROLE_DROP;
    if (name_passes(c, true)) change_again(c);
}

void auth_switch(struct auth *a, bool on, auth_changed done, void *ctx)
{
    struct change *c = change_new(a, slice_str(on ? "on" : "off"), done, ctx);
    c->kind = CHANGE_SWITCH;
    c->on = on;
    change_again(c);
}
