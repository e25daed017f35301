#include "gateway/auth_json.h"
#include "gateway/json_out.h"

void json_auth_user(struct buf *b, const struct auth_user *u)
{
    json_open(b, '{');
    json_key(b, "user");
    json_text(b, u->name);
    json_key(b, "roles");
    json_open(b, '[');
    for (size_t i = 0; i < u->role_count; i++) json_text(b, u->roles[i]);
    json_close(b, ']');
    json_key(b, "disabled");
    json_bool(b, u->disabled);
    json_key(b, "has_password");
    json_bool(b, u->secret.set);
    json_key(b, "requests_per_second");
    json_u64(b, u->rate);
    json_key(b, "bytes_per_day");
    json_u64(b, u->quota);
    json_close(b, '}');
}

static void json_right(struct buf *b, const struct auth_right *r)
{
    json_open(b, '{');
    json_key(b, "verbs");
    json_open(b, '[');
    for (unsigned verb = AUTH_READ; verb <= AUTH_ADMIN; verb <<= 1) {
        if (r->verbs & verb) json_str(b, auth_verb_name((enum auth_verb)verb));
    }
    json_close(b, ']');
    if (r->keyspace.size > 0) {
        json_key(b, "keyspace");
        json_text(b, r->keyspace);
    }
    if (r->start.size > 0) json_bytes(b, "start", r->start, false);
    if (r->end.size > 0) json_bytes(b, "end", r->end, false);
    json_close(b, '}');
}

void json_auth_role(struct buf *b, const struct auth_role *r)
{
    json_open(b, '{');
    json_key(b, "role");
    json_text(b, r->name);
    json_key(b, "rights");
    json_open(b, '[');
    for (size_t i = 0; i < r->right_count; i++) json_right(b, &r->rights[i]);
    json_close(b, ']');
    json_close(b, '}');
}

void json_auth_users(struct buf *b, const struct book *book)
{
    json_open(b, '{');
    json_key(b, "users");
    json_open(b, '[');
    const struct auth_user *u;
    for (size_t i = 0; book != NULL && (u = book_user_at(book, i)) != NULL; i++) json_auth_user(b, u);
    json_close(b, ']');
    json_close(b, '}');
}

void json_auth_roles(struct buf *b, const struct book *book)
{
    json_open(b, '{');
    json_key(b, "roles");
    json_open(b, '[');
    const struct auth_role *r;
    for (size_t i = 0; book != NULL && (r = book_role_at(book, i)) != NULL; i++) json_auth_role(b, r);
    json_close(b, ']');
    json_close(b, '}');
}
