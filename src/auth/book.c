#include "auth/book.h"

#include "base/mem.h"

struct book_user {
    struct auth_user user;
    uint64_t version;
};
struct book_role {
    struct auth_role role;
    uint64_t version;
};
/* Rows come in the order of their keys, so both arrays are sorted by name. */
struct book {
    struct arena arena;
    bool on;
    uint64_t switch_version;
    struct book_user *users;
    size_t user_count, user_capacity;
    struct book_role *roles;
    size_t role_count, role_capacity;
};

#define NOTHING                                                                                                        \
    {                                                                                                                  \
        .data = (const uint8_t *)"", .size = 0                                                                         \
    }
static const struct auth_right everything = {.verbs = AUTH_ALL, .keyspace = NOTHING, .start = NOTHING, .end = NOTHING};
static const struct auth_role root = {.name = {.data = (const uint8_t *)AUTH_ROOT, .size = sizeof(AUTH_ROOT) - 1},
                                      .rights = &everything,
                                      .right_count = 1};

struct book *book_new(void)
{
    struct book *b = mem_zalloc(sizeof(*b));
    arena_init(&b->arena, 4096);
    return b;
}

void book_free(struct book *b)
{
    if (b == NULL) return;
    arena_free(&b->arena);
    mem_free(b->users);
    mem_free(b->roles);
    mem_free(b);
}

static void *room(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) return items;
    *capacity = *capacity == 0 ? 16 : *capacity * 2;
    return mem_realloc(items, *capacity * size);
}

enum status book_add(struct book *b, struct slice key, struct slice value, uint64_t version)
{
    enum auth_row row;
    struct slice name, kept = arena_dup_slice(&b->arena, value);
    enum status s = auth_key_decode(arena_dup_slice(&b->arena, key), &row, &name);
    if (s != STATUS_OK) return s;
    switch (row) {
    case AUTH_ROW_SWITCH:
        b->on = slice_eq(value, slice_str("on"));
        b->switch_version = version;
        break;
    case AUTH_ROW_USER:
        b->users = room(b->users, b->user_count, &b->user_capacity, sizeof(*b->users));
        s = auth_user_get(kept, &b->arena, &b->users[b->user_count].user);
        b->users[b->user_count].user.name = name;
        b->users[b->user_count].version = version;
        b->user_count += s == STATUS_OK;
        break;
    case AUTH_ROW_ROLE:
        b->roles = room(b->roles, b->role_count, &b->role_capacity, sizeof(*b->roles));
        s = auth_role_get(kept, &b->arena, &b->roles[b->role_count].role);
        if (slice_eq(name, root.name)) b->roles[b->role_count].role = root; /* whatever the row says */
        b->roles[b->role_count].role.name = name;
        b->roles[b->role_count].version = version;
        b->role_count += s == STATUS_OK;
        break;
    }
    return s;
}

bool book_is_on(const struct book *b)
{
    return b->on;
}

uint64_t book_switch_version(const struct book *b)
{
    return b->switch_version;
}

const struct auth_user *book_user(const struct book *b, struct slice name, uint64_t *version)
{
    size_t low = 0, high = b->user_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = slice_cmp(b->users[mid].user.name, name);
        if (c == 0) {
            if (version != NULL) *version = b->users[mid].version;
            return &b->users[mid].user;
        }
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

const struct auth_role *book_role(const struct book *b, struct slice name, uint64_t *version)
{
    for (size_t i = 0; i < b->role_count; i++) {
        if (!slice_eq(b->roles[i].role.name, name)) continue;
        if (version != NULL) *version = b->roles[i].version;
        return &b->roles[i].role;
    }
    if (version != NULL) *version = 0;
    return slice_eq(name, root.name) ? &root : NULL;
}

const struct auth_user *book_user_at(const struct book *b, size_t index)
{
    return index < b->user_count ? &b->users[index].user : NULL;
}

const struct auth_role *book_role_at(const struct book *b, size_t index)
{
    return index < b->role_count ? &b->roles[index].role : NULL;
}

/* Calls one for each right of the user, until it returns true. */
static bool any_right(const struct book *b, struct slice user, bool (*one)(void *ctx, const struct auth_right *r),
                      void *ctx)
{
    const struct auth_user *u = book_user(b, user, NULL);
    if (u == NULL || u->disabled) return false;
    for (size_t i = 0; i < u->role_count; i++) {
        const struct auth_role *r = book_role(b, u->roles[i], NULL);
        for (size_t j = 0; r != NULL && j < r->right_count; j++) {
            if (one(ctx, &r->rights[j])) return true;
        }
    }
    return false;
}

struct covering {
    struct auth_need left;
    struct slice reach; /* up to where some right leads from left.start; empty: none does */
};

static bool covers(void *ctx, const struct auth_right *r)
{
    struct covering *c = ctx;
    if (auth_right_covers(r, &c->left)) return true;
    struct auth_need first = c->left;
    first.one_key = true;
    if (auth_right_covers(r, &first) && slice_cmp(r->end, c->reach) > 0) c->reach = r->end;
    return false;
}

/* A span may be covered by several rights, one behind the other: each round goes as far as one right leads. */
bool book_may(const struct book *b, struct slice user, const struct auth_need *need)
{
    struct covering c = {.left = *need, .reach = SLICE_EMPTY};
    while (!any_right(b, user, covers, &c)) {
        if (c.reach.size == 0 || need->one_key) return false;
        c.left.start = c.reach;
        c.reach = SLICE_EMPTY;
    }
    return true;
}

bool book_is_administrator(const struct auth_user *u)
{
    if (u->disabled || !u->secret.set) return false;
    for (size_t i = 0; i < u->role_count; i++) {
        if (slice_eq(u->roles[i], root.name)) return true;
    }
    return false;
}
