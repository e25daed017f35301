#include "auth/rights.h"

#include "base/cursor.h"

#define FORMAT 1u
#define KEY_SWITCH "b/switch"
#define KEY_USERS "b/user/"
#define KEY_ROLES "b/role/"
#define KEY_TOKENS "t/"
#define KEY_USAGE "u/"
#define USER_DISABLED 1u
#define USER_SECRET 2u
#define USER_QUOTA 4u

static const struct {
    enum auth_verb verb;
    const char *name;
} verbs[] = {{AUTH_READ, "read"}, {AUTH_WRITE, "write"}, {AUTH_LEDGER, "ledger"}, {AUTH_ADMIN, "admin"}};

const char *auth_verb_name(enum auth_verb v)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (verbs[i].verb == v) return verbs[i].name;
    }
    return "?";
}

bool auth_verb_find(struct slice name, enum auth_verb *out)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (!slice_eq(name, slice_str(verbs[i].name))) continue;
        *out = verbs[i].verb;
        return true;
    }
    return false;
}

bool auth_name_valid(struct slice name)
{
    if (name.size == 0 || name.size > AUTH_NAME_MAX) return false;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && memchr("._-@+", c, 5) == NULL) return false;
    }
    return true;
}

/* --- keys --- */

static struct slice key_make(struct arena *a, const char *head, struct slice tail)
{
    size_t size = strlen(head);
    uint8_t *at = arena_alloc(a, size + tail.size);
    memcpy(at, head, size);
    if (tail.size > 0) memcpy(at + size, tail.data, tail.size);
    return slice_make(at, size + tail.size);
}

struct slice auth_key_switch(struct arena *a)
{
    return key_make(a, KEY_SWITCH, SLICE_EMPTY);
}

struct slice auth_key_user(struct arena *a, struct slice name)
{
    return key_make(a, KEY_USERS, name);
}

struct slice auth_key_role(struct arena *a, struct slice name)
{
    return key_make(a, KEY_ROLES, name);
}

struct slice auth_key_token(struct arena *a, const uint8_t digest[AUTH_HASH_BYTES])
{
    return key_make(a, KEY_TOKENS, slice_make(digest, AUTH_HASH_BYTES));
}

struct slice auth_key_usage(struct arena *a, struct slice user)
{
    return key_make(a, KEY_USAGE, user);
}

enum status auth_key_decode(struct slice key, enum auth_row *row, struct slice *name)
{
    static const char *const heads[] = {
        [AUTH_ROW_SWITCH] = KEY_SWITCH, [AUTH_ROW_USER] = KEY_USERS, [AUTH_ROW_ROLE] = KEY_ROLES};
    for (unsigned i = 0; i < 3; i++) {
        struct slice head = slice_str(heads[i]);
        if (!slice_starts(key, head)) continue;
        *row = (enum auth_row)i;
        *name = slice_make(key.data + head.size, key.size - head.size);
        bool named = i != AUTH_ROW_SWITCH;
        return (named ? auth_name_valid(*name) : name->size == 0) ? STATUS_OK : STATUS_CORRUPT;
    }
    return STATUS_CORRUPT;
}

/* --- rows --- */

static void put_text(struct buf *b, struct slice s)
{
    buf_put_varint(b, s.size);
    buf_append_slice(b, s);
}

static struct slice get_text(struct cursor *c)
{
    uint64_t size = cursor_varint(c);
    if (size > cursor_left(c)) {
        c->failed = true;
        return SLICE_EMPTY;
    }
    return cursor_bytes(c, (size_t)size);
}

static uint64_t get_count(struct cursor *c, uint64_t max)
{
    uint64_t count = cursor_varint(c);
    if (count > max) c->failed = true;
    return c->failed ? 0 : count;
}

static enum status get_end(const struct cursor *c)
{
    return c->failed || cursor_left(c) > 0 ? STATUS_CORRUPT : STATUS_OK;
}

void auth_user_put(struct buf *b, const struct auth_user *u)
{
    const struct auth_secret *s = &u->secret;
    buf_put_u8(b, FORMAT);
    buf_put_u8(
        b, (uint8_t)((u->disabled ? USER_DISABLED : 0) | (s->set ? USER_SECRET : 0) | (u->quota > 0 ? USER_QUOTA : 0)));
    buf_put_varint(b, u->epoch);
    buf_put_varint(b, u->rate);
    if (u->quota > 0) buf_put_varint(b, u->quota);
    if (s->set) {
        buf_put_u8(b, s->log2_n);
        buf_put_u8(b, s->r);
        buf_put_u8(b, s->p);
        buf_append(b, s->salt, sizeof(s->salt));
        buf_append(b, s->hash, sizeof(s->hash));
    }
    buf_put_varint(b, u->role_count);
    for (size_t i = 0; i < u->role_count; i++) put_text(b, u->roles[i]);
}

static void get_secret(struct cursor *c, struct auth_secret *s)
{
    s->log2_n = cursor_u8(c);
    s->r = cursor_u8(c);
    s->p = cursor_u8(c);
    struct slice salt = cursor_bytes(c, sizeof(s->salt)), hash = cursor_bytes(c, sizeof(s->hash));
    if (c->failed) return;
    memcpy(s->salt, salt.data, sizeof(s->salt));
    memcpy(s->hash, hash.data, sizeof(s->hash));
    if (s->log2_n < 1 || s->log2_n > 20 || s->r < 1 || s->r > 32 || s->p < 1 || s->p > 16) c->failed = true;
}

enum status auth_user_get(struct slice value, struct arena *a, struct auth_user *out)
{
    struct cursor c = cursor_make(value);
    *out = (struct auth_user){.name = SLICE_EMPTY};
    if (cursor_u8(&c) != FORMAT) return STATUS_CORRUPT;
    uint8_t flags = cursor_u8(&c);
    if (flags > (USER_DISABLED | USER_SECRET | USER_QUOTA)) return STATUS_CORRUPT;
    out->disabled = (flags & USER_DISABLED) != 0;
    out->secret.set = (flags & USER_SECRET) != 0;
    out->epoch = cursor_varint(&c);
    out->rate = cursor_varint(&c);
    if (flags & USER_QUOTA) out->quota = cursor_varint(&c);
    if ((flags & USER_QUOTA) && out->quota == 0) c.failed = true;
    if (out->secret.set) get_secret(&c, &out->secret);
    out->role_count = (size_t)get_count(&c, AUTH_ROLES_MAX);
    out->roles = arena_alloc(a, (out->role_count + 1) * sizeof(*out->roles));
    for (size_t i = 0; i < out->role_count; i++) {
        out->roles[i] = get_text(&c);
        if (!auth_name_valid(out->roles[i])) c.failed = true;
    }
    return get_end(&c);
}

void auth_role_put(struct buf *b, const struct auth_role *r)
{
    buf_put_u8(b, FORMAT);
    buf_put_varint(b, r->right_count);
    for (size_t i = 0; i < r->right_count; i++) {
        buf_put_u8(b, (uint8_t)r->rights[i].verbs);
        put_text(b, r->rights[i].keyspace);
        put_text(b, r->rights[i].start);
        put_text(b, r->rights[i].end);
    }
}

enum status auth_role_get(struct slice value, struct arena *a, struct auth_role *out)
{
    struct cursor c = cursor_make(value);
    *out = (struct auth_role){.name = SLICE_EMPTY};
    if (cursor_u8(&c) != FORMAT) return STATUS_CORRUPT;
    out->right_count = (size_t)get_count(&c, AUTH_RIGHTS_MAX);
    struct auth_right *rights = arena_alloc(a, (out->right_count + 1) * sizeof(*rights));
    out->rights = rights;
    for (size_t i = 0; i < out->right_count; i++) {
        struct auth_right *r = &rights[i];
        r->verbs = cursor_u8(&c);
        r->keyspace = get_text(&c);
        r->start = get_text(&c);
        r->end = get_text(&c);
        if (r->verbs == 0 || r->verbs > AUTH_ALL) c.failed = true;
    }
    return get_end(&c);
}

void auth_token_put(struct buf *b, const struct auth_token *t)
{
    buf_put_u8(b, FORMAT);
    buf_put_varint(b, t->epoch);
    put_text(b, t->user);
}

enum status auth_token_get(struct slice value, struct auth_token *out)
{
    struct cursor c = cursor_make(value);
    if (cursor_u8(&c) != FORMAT) return STATUS_CORRUPT;
    out->epoch = cursor_varint(&c);
    out->user = get_text(&c);
    return auth_name_valid(out->user) ? get_end(&c) : STATUS_CORRUPT;
}

/* --- roles of a user --- */

bool auth_user_without(struct arena *a, const struct auth_user *u, struct slice role, struct auth_user *out)
{
    struct slice *roles = arena_alloc(a, (u->role_count + 1) * sizeof(*roles));
    *out = *u;
    out->roles = roles;
    out->role_count = 0;
    for (size_t i = 0; i < u->role_count; i++) {
        if (!slice_eq(u->roles[i], role)) roles[out->role_count++] = u->roles[i];
    }
    return out->role_count < u->role_count;
}

/* --- rights --- */

bool auth_right_covers(const struct auth_right *r, const struct auth_need *need)
{
    if ((r->verbs & (unsigned)need->verb) == 0) return false;
    if (r->keyspace.size > 0 && !slice_eq(r->keyspace, need->keyspace)) return false;
    if (slice_cmp(need->start, r->start) < 0) return false;
    if (r->end.size == 0) return true;
    if (need->one_key) return slice_cmp(need->start, r->end) < 0;
    return need->end.size > 0 && slice_cmp(need->end, r->end) <= 0;
}
