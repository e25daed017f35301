/* The bodies about users and roles. */
#include "gateway/parse_auth.h"
#include "gateway/uri.h"

enum status parse_auth_name(const struct route *r, struct arena *a, struct slice *out, struct errbuf *err)
{
    enum status s = uri_decode(r->key, false, a, out, err);
    if (s != STATUS_OK || auth_name_valid(*out)) return s;
    errbuf_set(err, "a name is 1 to %u of a-z A-Z 0-9 . _ - @ +", AUTH_NAME_MAX);
    return STATUS_INVALID;
}

enum status parse_login(const struct input *in, struct login_action *out, struct errbuf *err)
{
    static const char *const names[] = {"user", "password"};
    *out = (struct login_action){.user = SLICE_EMPTY};
    enum status s = json_load_body(in->body, &out->tree, err);
    if (s != STATUS_OK) return s;
    struct json_at root = {.value = out->tree, .path = {.name = ""}};
    if ((s = json_want_object(&root, names, 2, err)) != STATUS_OK) return s;
    struct json_at user = json_field(&root, "user"), password = json_field(&root, "password");
    s = json_want_text(&user, &out->user, err);
    return s == STATUS_OK ? json_want_text(&password, &out->password, err) : s;
}

static enum status take_roles(const struct json_at *at, struct arena *a, struct auth_user_change *c, struct errbuf *err)
{
    enum status s = json_want_array(at, err);
    if (s != STATUS_OK) return s;
    c->has_roles = true;
    c->role_count = json_array_size(at->value);
    if (c->role_count > AUTH_ROLES_MAX)
        return json_refuse(at, STATUS_TOO_LARGE, err, "at most %u roles", AUTH_ROLES_MAX);
    c->roles = arena_alloc(a, (c->role_count + 1) * sizeof(*c->roles));
    for (size_t i = 0; i < c->role_count && s == STATUS_OK; i++) {
        struct json_at element = json_element(at, i);
        s = json_want_text(&element, &c->roles[i], err);
        if (s == STATUS_OK && !auth_name_valid(c->roles[i]))
            s = json_refuse(&element, STATUS_INVALID, err, "not a role's name");
    }
    return s;
}

enum status parse_user(const struct input *in, struct arena *a, struct auth_user_change *out, json_t **tree,
                       struct errbuf *err)
{
    static const char *const names[] = {"password",      "roles",        "disabled", "requests_per_second",
                                        "bytes_per_day", "revoke_tokens"};
    enum status s = json_load_body(in->body, tree, err);
    if (s != STATUS_OK) return s;
    struct json_at root = {.value = *tree, .path = {.name = ""}};
    if ((s = json_want_object(&root, names, 6, err)) != STATUS_OK) return s;
    struct json_at password = json_field(&root, "password"), roles = json_field(&root, "roles"),
                   disabled = json_field(&root, "disabled"), rate = json_field(&root, "requests_per_second"),
                   quota = json_field(&root, "bytes_per_day"), revoke = json_field(&root, "revoke_tokens");
    out->has_password = password.value != NULL;
    out->has_disabled = disabled.value != NULL;
    out->has_rate = rate.value != NULL;
    out->has_quota = quota.value != NULL;
    if (out->has_password) s = json_want_text(&password, &out->password, err);
    if (s == STATUS_OK && roles.value != NULL) s = take_roles(&roles, a, out, err);
    if (s == STATUS_OK && out->has_disabled) s = json_want_bool(&disabled, &out->disabled, err);
    if (s == STATUS_OK && out->has_rate) s = json_want_u64(&rate, 1000000000, &out->rate, err);
    if (s == STATUS_OK && out->has_quota) s = json_want_u64(&quota, UINT64_MAX >> 1, &out->quota, err);
    if (s == STATUS_OK && revoke.value != NULL) s = json_want_bool(&revoke, &out->revoke, err);
    return s;
}

static enum status take_verbs(const struct json_at *right, unsigned *verbs, struct errbuf *err)
{
    struct json_at list = json_field(right, "verbs");
    enum status s = json_want_array(&list, err);
    for (size_t i = 0; s == STATUS_OK && i < json_array_size(list.value); i++) {
        struct json_at element = json_element(&list, i);
        struct slice name;
        enum auth_verb verb = AUTH_READ;
        s = json_want_text(&element, &name, err);
        if (s == STATUS_OK && !auth_verb_find(name, &verb))
            s = json_refuse(&element, STATUS_INVALID, err, "expected read, write, ledger or admin");
        *verbs |= (unsigned)verb;
    }
    if (s == STATUS_OK && *verbs == 0) s = json_refuse(&list, STATUS_INVALID, err, "expected at least one verb");
    return s;
}

static enum status take_key(const struct json_at *right, const char *name, const char *name_b64, struct arena *a,
                            struct slice *out, struct errbuf *err)
{
    bool given = json_field(right, name).value != NULL || json_field(right, name_b64).value != NULL;
    *out = SLICE_EMPTY;
    return given ? json_want_bytes(right, name, name_b64, a, out, err) : STATUS_OK;
}

static enum status take_right(const struct json_at *at, struct arena *a, struct auth_right *out, struct errbuf *err)
{
    static const char *const names[] = {"verbs", "keyspace", "start",  "start_b64",
                                        "end",   "end_b64",  "prefix", "prefix_b64"};
    struct slice prefix = SLICE_EMPTY;
    *out = (struct auth_right){.keyspace = SLICE_EMPTY, .start = SLICE_EMPTY, .end = SLICE_EMPTY};
    enum status s = json_want_object(at, names, 8, err);
    struct json_at keyspace = s == STATUS_OK ? json_field(at, "keyspace") : *at;
    if (s == STATUS_OK) s = take_verbs(at, &out->verbs, err);
    if (s == STATUS_OK && keyspace.value != NULL) {
        s = json_want_text(&keyspace, &out->keyspace, err);
        if (s == STATUS_OK) s = check_keyspace_name(out->keyspace, err);
    }
    if (s == STATUS_OK) s = take_key(at, "start", "start_b64", a, &out->start, err);
    if (s == STATUS_OK) s = take_key(at, "end", "end_b64", a, &out->end, err);
    if (s == STATUS_OK) s = take_key(at, "prefix", "prefix_b64", a, &prefix, err);
    if (s != STATUS_OK || prefix.size == 0) return s;
    if (out->start.size + out->end.size > 0)
        return json_refuse(at, STATUS_INVALID, err, "give a prefix, or start and end");
    out->start = prefix;
    out->end = key_prefix_end(prefix, a);
    return STATUS_OK;
}

enum status parse_role(const struct input *in, struct arena *a, struct auth_role *out, json_t **tree,
                       struct errbuf *err)
{
    static const char *const names[] = {"rights"};
    enum status s = json_load_body(in->body, tree, err);
    if (s != STATUS_OK) return s;
    struct json_at root = {.value = *tree, .path = {.name = ""}};
    if ((s = json_want_object(&root, names, 1, err)) != STATUS_OK) return s;
    struct json_at rights = json_field(&root, "rights");
    if ((s = json_want_array(&rights, err)) != STATUS_OK) return s;
    out->right_count = json_array_size(rights.value);
    if (out->right_count > AUTH_RIGHTS_MAX)
        return json_refuse(&rights, STATUS_TOO_LARGE, err, "at most %u rights", AUTH_RIGHTS_MAX);
    struct auth_right *list = arena_alloc(a, (out->right_count + 1) * sizeof(*list));
    out->rights = list;
    for (size_t i = 0; i < out->right_count && s == STATUS_OK; i++) {
        struct json_at element = json_element(&rights, i);
        s = take_right(&element, a, &list[i], err);
    }
    return s;
}
