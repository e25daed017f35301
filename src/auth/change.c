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
    const char *what; /* for the log */
    struct slice name;
    auth_decide decide;
    void *asked;                  /* of decide: the caller's, or what follows */
    struct auth_user_change user; /* copied into the arena, like role */
    struct auth_role role;
    bool on;
    struct slice password;
    struct auth_secret secret; /* of the password */
    unsigned tries;
    auth_changed done;
    void *ctx;
};

static void change_end(struct change *c, enum status s, bool unknown, const char *why)
{
    struct slice name = auth_name_valid(c->name) ? c->name : slice_str("-");
    log_event(c->op.auth->env->log, LOG_INFO, "audit.change", "what=%s name=%.*s status=%s", c->what, (int)name.size,
              (const char *)name.data, status_name(s));
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

/* Rows that one edit writes, with the generation. */
struct rows {
    struct txn_op *ops;
    size_t count;
};

static void add_row(struct change *c, struct rows *r, struct slice key, struct slice value)
{
    r->ops[r->count++] = (struct txn_op){
        .kind = value.size == 0 ? TXN_DELETE : TXN_PUT, .key = key, .value = arena_dup_slice(&c->op.arena, value)};
}

static void add_user(struct change *c, struct rows *r, const struct auth_user *u)
{
    struct buf value;
    buf_init(&value, 8192);
    auth_user_put(&value, u);
    add_row(c, r, auth_key_user(&c->op.arena, u->name), buf_slice(&value));
    buf_free(&value);
}

/* False: too large. */
static bool add_role(struct change *c, struct rows *r, const struct auth_role *role)
{
    struct buf value;
    buf_init(&value, 1u << 20);
    auth_role_put(&value, role);
    bool fits = !value.overflow;
    if (fits) add_row(c, r, auth_key_role(&c->op.arena, role->name), buf_slice(&value));
    buf_free(&value);
    return fits;
}

static void commit(struct change *c, const struct auth_edit *e)
{
    struct auth *a = c->op.auth;
    struct arena *arena = &c->op.arena;
    struct slice generation = slice_str(AUTH_KEY_GENERATION);
    struct txn_compare compare = {.target = TXN_TARGET_VERSION,
                                  .relation = TXN_EQUAL,
                                  .key = generation,
                                  .version = a->generation,
                                  .value = SLICE_EMPTY};
    struct rows r = {.ops = arena_alloc(arena, (e->user_count + 6) * sizeof(*r.ops)), .count = 1};
    r.ops[0] = (struct txn_op){.kind = TXN_PUT, .key = generation, .value = SLICE_EMPTY};
    for (size_t i = 0; i < e->user_count; i++) add_user(c, &r, &e->users[i]);
    if (e->role != NULL && !add_role(c, &r, e->role)) {
        change_end(c, STATUS_TOO_LARGE, false, "the role's rights are too large together");
        return;
    }
    if (e->dropped_user.size > 0) add_row(c, &r, auth_key_user(arena, e->dropped_user), SLICE_EMPTY);
    if (e->dropped_user.size > 0) add_row(c, &r, auth_key_usage(arena, e->dropped_user), SLICE_EMPTY);
    if (e->dropped_role.size > 0) add_row(c, &r, auth_key_role(arena, e->dropped_role), SLICE_EMPTY);
    if (e->turns != AUTH_STAYS)
        add_row(c, &r, auth_key_switch(arena), slice_str(e->turns == AUTH_TURNS_ON ? "on" : "off"));
    struct txn t = {.compares = &compare, .compare_count = 1, .ops = r.ops, .op_count = r.count};
    client_txn(a->client, slice_str(AUTH_KEYSPACE), &t, AUTH_ASK_MS, committed, c);
}

/* --- what it comes to, against the book as it is --- */

static const char last_administrator[] =
    "nobody would be left who may administer: an enabled user with a password and the role root";

static bool is_edited(const struct auth_edit *e, struct slice user)
{
    bool edited = slice_eq(user, e->dropped_user);
    for (size_t i = 0; i < e->user_count; i++) edited |= slice_eq(user, e->users[i].name);
    return edited;
}

/* Rights would be asked for, and nobody could administer. */
static bool leaves_nobody(const struct change *c, const struct auth_edit *e)
{
    const struct book *b = c->op.auth->book;
    const struct auth_user *u;
    bool on = e->turns == AUTH_STAYS ? b != NULL && book_is_on(b) : e->turns == AUTH_TURNS_ON;
    bool somebody = !on;
    for (size_t i = 0; i < e->user_count; i++) somebody |= book_is_administrator(&e->users[i]);
    for (size_t i = 0; b != NULL && !somebody && (u = book_user_at(b, i)) != NULL; i++)
        somebody = book_is_administrator(u) && !is_edited(e, u->name);
    return !somebody;
}

static enum status edit_user(void *ctx, const struct auth_decision *d, struct auth_edit *out)
{
    const struct change *c = ctx;
    const struct auth_user_change *w = &c->user;
    const struct auth_user *there = d->book == NULL ? NULL : book_user(d->book, w->name, NULL);
    out->why = "there is no such user any more";
    if (there == NULL && w->by_user) return STATUS_NOT_FOUND;
    struct auth_user *u = arena_alloc(d->arena, sizeof(*u));
    *u = there != NULL ? *there : (struct auth_user){.name = w->name};
    bool void_tokens = w->has_password || w->revoke || (w->has_disabled && w->disabled);
    if (there == NULL || void_tokens) u->epoch = d->epoch;
    if (w->has_password) u->secret = *d->secret;
    if (w->has_disabled) u->disabled = w->disabled;
    if (w->has_rate) u->rate = w->rate;
    if (w->has_quota) u->quota = w->quota;
    if (w->has_roles) {
        u->roles = w->roles;
        u->role_count = w->role_count;
    }
    out->users = u;
    out->user_count = 1;
    return STATUS_OK;
}

static enum status edit_user_drop(void *ctx, const struct auth_decision *d, struct auth_edit *out)
{
    const struct change *c = ctx;
    out->dropped_user = c->name;
    out->why = "there is no such user";
    return d->book == NULL || book_user(d->book, c->name, NULL) == NULL ? STATUS_NOT_FOUND : STATUS_OK;
}

static enum status edit_role(void *ctx, const struct auth_decision *d, struct auth_edit *out)
{
    const struct change *c = ctx;
    (void)d;
    out->role = &c->role;
    return STATUS_OK;
}

/* Who has it loses it: nobody shall have the next one of that name because of this one. */
static enum status edit_role_drop(void *ctx, const struct auth_decision *d, struct auth_edit *out)
{
    const struct change *c = ctx;
    const struct auth_user *u;
    out->dropped_role = c->name;
    out->why = "there is no such role";
    if (d->book == NULL || book_role(d->book, c->name, NULL) == NULL) return STATUS_NOT_FOUND;
    size_t count = 0, holders = 0;
    while (book_user_at(d->book, count) != NULL) count++;
    struct auth_user *users = arena_alloc(d->arena, (count + 1) * sizeof(*users));
    for (size_t i = 0; (u = book_user_at(d->book, i)) != NULL; i++) {
        if (auth_user_without(d->arena, u, c->name, &users[holders])) holders++;
    }
    out->users = users;
    out->user_count = holders;
    return STATUS_OK;
}

static enum status edit_switch(void *ctx, const struct auth_decision *d, struct auth_edit *out)
{
    const struct change *c = ctx;
    (void)d;
    out->turns = c->on ? AUTH_TURNS_ON : AUTH_TURNS_OFF;
    return STATUS_OK;
}

static void change_make(struct change *c)
{
    struct auth_edit e = {.dropped_user = SLICE_EMPTY, .dropped_role = SLICE_EMPTY, .why = ""};
    const struct auth *a = c->op.auth;
    struct auth_decision d = {.book = a->book, .secret = &c->secret, .arena = &c->op.arena, .epoch = a->generation + 1};
    enum status s = c->decide(c->asked, &d, &e);
    if (s != STATUS_OK)
        change_end(c, s, false, e.why);
    else if (leaves_nobody(c, &e))
        change_end(c, STATUS_CONDITION_FAILED, false, last_administrator);
    else
        commit(c, &e);
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
    else if (c->password.size > 0 && !c->secret.set)
        password_hash(c->op.auth->env, c->password, hashed, c);
    else
        change_make(c);
}

/* --- the calls --- */

static struct change *change_new(struct auth *a, const char *what, struct slice name, auth_changed done, void *ctx)
{
    struct change *c = auth_op_new(a, sizeof(*c));
    c->what = what;
    c->name = arena_dup_slice(&c->op.arena, name);
    c->password = SLICE_EMPTY;
    c->asked = c;
    c->done = done;
    c->ctx = ctx;
    return c;
}

void auth_edit(struct auth *a, const struct auth_edit_call *call, auth_changed done, void *ctx)
{
    struct change *c = change_new(a, call->what, call->name, done, ctx);
    c->decide = call->decide;
    c->asked = ctx;
    c->password = arena_dup_slice(&c->op.arena, call->password);
    if (call->password.size > PASSWORD_MAX)
        change_end(c, STATUS_INVALID, false, "a password has at most 256 bytes");
    else
        change_again(c);
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
    struct change *c = change_new(a, "user", w->name, done, ctx);
    struct arena *arena = &c->op.arena;
    if (!name_passes(c, false)) return;
    c->decide = edit_user;
    c->user = *w;
    c->user.name = c->name;
    if (w->has_password) c->password = arena_dup_slice(arena, w->password);
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
    struct change *c = change_new(a, "drop-user", name, done, ctx);
    c->decide = edit_user_drop;
    if (name_passes(c, false)) change_again(c);
}

void auth_change_role(struct auth *a, const struct auth_role *r, auth_changed done, void *ctx)
{
    struct change *c = change_new(a, "role", r->name, done, ctx);
    struct arena *arena = &c->op.arena;
    if (!name_passes(c, true)) return;
    c->decide = edit_role;
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
    struct change *c = change_new(a, "drop-role", name, done, ctx);
    c->decide = edit_role_drop;
    if (name_passes(c, true)) change_again(c);
}

void auth_switch(struct auth *a, bool on, auth_changed done, void *ctx)
{
    struct change *c = change_new(a, "switch", slice_str(on ? "on" : "off"), done, ctx);
    c->decide = edit_switch;
    c->on = on;
    change_again(c);
}
