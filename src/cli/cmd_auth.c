/* quorate auth, user, role: users and rights, straight in their keyspace. Whoever may speak to the nodes may do this, so it is also
 * the way back in when no administrator's password is known. */
#include <stdio.h>

#include "auth/auth.h"
#include "base/mem.h"
#include "cli/cli_int.h"
#include "cli/files.h"
#include "env_posix/env_posix.h"
#include "gateway/auth_json.h"
#include "gateway/json_out.h"
#include "gateway/parse.h"
#include "gateway/uri.h"

#define PASSWORD_BYTES_MAX 1024u

struct auth_command {
    struct session session;
    struct auth *auth;
    struct arena arena;
    enum auth_show { SHOW_SWITCH, SHOW_USERS, SHOW_ROLES } show;
};

static int command_open(struct auth_command *k, struct cli *c)
{
    memset(k, 0, sizeof(*k));
    arena_init(&k->arena, 1024);
    int code = session_open(&k->session, c);
    if (code == CLI_OK) k->auth = auth_new(k->session.env, k->session.client);
    if (code != CLI_OK) arena_free(&k->arena);
    return code;
}

static int command_close(struct auth_command *k)
{
    int code = session_wait(&k->session);
    env_posix_quiesce(k->session.env); /* a password's task may still have to tell its end */
    auth_free(k->auth);
    session_close(&k->session);
    arena_free(&k->arena);
    return code;
}

static void command_end(struct auth_command *k, int code)
{
    k->session.exit_code = code;
    k->session.done = true;
}

static void changed(void *ctx, enum status s, bool unknown, const char *why)
{
    struct auth_command *k = ctx;
    if (s == STATUS_OK) {
        out_printf("%s", k->session.cli->output == OUTPUT_JSON ? "{\"done\":true}\n" : "done\n");
        command_end(k, CLI_OK);
    } else {
        command_end(k, cli_fail("%s%s", why, unknown ? " (it may have been done)" : ""));
    }
}

/* --- what there is --- */

static void show_json(const struct auth_command *k, const struct book *book)
{
    struct buf b;
    buf_init(&b, 16u << 20);
    if (k->show == SHOW_USERS)
        json_auth_users(&b, book);
    else if (k->show == SHOW_ROLES)
        json_auth_roles(&b, book);
    else
        buf_append_str(&b, book != NULL && book_is_on(book) ? "{\"enabled\":true}" : "{\"enabled\":false}");
    buf_append_byte(&b, '\n');
    out_buf(&b);
    buf_free(&b);
}

static void print_table(struct text_table *t, enum output output)
{
    struct buf b;
    buf_init(&b, 16u << 20);
    text_table_write(t, output, &b);
    out_buf(&b);
    buf_free(&b);
    text_table_free(t);
}

static void number_or_any(struct text_table *t, uint64_t n)
{
    if (n > 0)
        text_table_cell(t, "%llu", (unsigned long long)n);
    else
        text_table_cell(t, "any");
}

static void show_users(const struct auth_command *k, const struct book *book)
{
    static const char *const heads[] = {"USER", "ROLES", "PASSWORD", "STATE", "REQUESTS/S", "BYTES/DAY"};
    const struct auth_user *u;
    struct text_table t;
    text_table_init(&t, heads, 6);
    for (size_t i = 0; book != NULL && (u = book_user_at(book, i)) != NULL; i++) {
        struct buf roles;
        buf_init(&roles, 8192);
        for (size_t j = 0; j < u->role_count; j++) {
            if (j > 0) buf_append_byte(&roles, ',');
            buf_append_slice(&roles, u->roles[j]);
        }
        text_table_cell_bytes(&t, u->name, AUTH_NAME_MAX);
        text_table_cell_bytes(&t, roles.size > 0 ? buf_slice(&roles) : slice_str("-"), 60);
        text_table_cell(&t, "%s", u->secret.set ? "set" : "none");
        text_table_cell(&t, "%s", u->disabled ? "disabled" : "in use");
        number_or_any(&t, u->rate);
        number_or_any(&t, u->quota);
        buf_free(&roles);
    }
    print_table(&t, k->session.cli->output);
}

static void show_roles(const struct auth_command *k, const struct book *book)
{
    static const char *const heads[] = {"ROLE", "MAY", "KEYSPACE", "FROM", "TO"};
    const struct auth_role *r;
    struct text_table t;
    text_table_init(&t, heads, 5);
    for (size_t i = 0; book != NULL && (r = book_role_at(book, i)) != NULL; i++) {
        for (size_t j = 0; j < r->right_count; j++) {
            const struct auth_right *right = &r->rights[j];
            struct buf verbs;
            buf_init(&verbs, 256);
            for (unsigned verb = AUTH_READ; verb <= AUTH_ADMIN; verb <<= 1) {
                if (!(right->verbs & verb)) continue;
                buf_printf(&verbs, "%s%s", verbs.size > 0 ? "," : "", auth_verb_name((enum auth_verb)verb));
            }
            text_table_cell_bytes(&t, r->name, AUTH_NAME_MAX);
            text_table_cell_bytes(&t, buf_slice(&verbs), 64);
            text_table_cell_bytes(&t, right->keyspace.size > 0 ? right->keyspace : slice_str("(all)"),
                                  LIMIT_KEYSPACE_NAME);
            text_table_cell_bytes(&t, right->start.size > 0 ? right->start : slice_str("(first)"), 40);
            text_table_cell_bytes(&t, right->end.size > 0 ? right->end : slice_str("(last)"), 40);
            buf_free(&verbs);
        }
    }
    print_table(&t, k->session.cli->output);
}

static void shown(void *ctx, enum status s, const char *why)
{
    struct auth_command *k = ctx;
    const struct book *book = auth_book(k->auth);
    if (s != STATUS_OK) {
        command_end(k, cli_fail("%s", why));
        return;
    }
    if (k->session.cli->output == OUTPUT_JSON)
        show_json(k, book);
    else if (k->show == SHOW_USERS)
        show_users(k, book);
    else if (k->show == SHOW_ROLES)
        show_roles(k, book);
    else
        out_printf("%s\n", book != NULL && book_is_on(book)
                               ? "on: the gateways ask who a request is from"
                               : "off: everybody who can reach a gateway may do everything");
    command_end(k, CLI_OK);
}

static int show(struct cli *c, enum auth_show what)
{
    struct auth_command k;
    int code = command_open(&k, c);
    if (code != CLI_OK) return code;
    k.show = what;
    auth_refresh(k.auth, shown, &k);
    return command_close(&k);
}

int run_auth_status(struct cli *c)
{
    return show(c, SHOW_SWITCH);
}

int run_user_list(struct cli *c)
{
    return show(c, SHOW_USERS);
}

int run_role_list(struct cli *c)
{
    return show(c, SHOW_ROLES);
}

/* --- changes --- */

static int set_switch(struct cli *c, bool on)
{
    struct auth_command k;
    int code = command_open(&k, c);
    if (code != CLI_OK) return code;
    auth_switch(k.auth, on, changed, &k);
    return command_close(&k);
}

int run_auth_enable(struct cli *c)
{
    return set_switch(c, true);
}

int run_auth_disable(struct cli *c)
{
    return set_switch(c, false);
}

/* The first line of standard input: a password on a command line is there for all to see. */
static int read_password(struct auth_command *k, struct auth_user_change *w)
{
    struct buf text;
    struct errbuf err;
    buf_init(&text, PASSWORD_BYTES_MAX);
    enum status s = file_read_all("-", &text, &err);
    struct slice line = buf_slice(&text);
    const uint8_t *end = line.size > 0 ? memchr(line.data, '\n', line.size) : NULL;
    if (end != NULL) line.size = (size_t)(end - line.data);
    if (line.size > 0 && line.data[line.size - 1] == '\r') line.size--;
    w->password = arena_dup_slice(&k->arena, line);
    w->has_password = true;
    buf_free(&text);
    return s == STATUS_OK ? CLI_OK : cli_fail("%s", err.text);
}

static void take_roles(struct auth_command *k, const char *text, struct auth_user_change *w)
{
    size_t room = 1;
    for (const char *p = text; *p != '\0'; p++) room += *p == ',';
    w->has_roles = true;
    w->roles = arena_alloc(&k->arena, room * sizeof(*w->roles));
    while (*text != '\0') {
        size_t size = strcspn(text, ",");
        if (size > 0) w->roles[w->role_count++] = slice_make(text, size);
        text += size;
        if (*text != '\0') text++;
    }
}

int run_user_set(struct cli *c)
{
    struct auth_command k;
    struct errbuf err;
    const struct args *a = &c->args;
    struct auth_user_change w = {.name = slice_str(a->words[0]), .password = SLICE_EMPTY};
    bool disable = args_switch(a, "disable"), enable = args_switch(a, "enable");
    if (disable && enable) return cli_usage("--disable and --enable exclude each other");
    if (args_number(a, "rate", 0, 0, 1000000000, &w.rate, &err) != STATUS_OK) return cli_usage("%s", err.text);
    w.has_rate = args_given(a, "rate");
    if (args_number(a, "quota", 0, 0, UINT64_MAX >> 1, &w.quota, &err) != STATUS_OK) return cli_usage("%s", err.text);
    w.has_quota = args_given(a, "quota");
    w.has_disabled = disable || enable;
    w.disabled = disable;
    w.revoke = args_switch(a, "revoke");
    int code = command_open(&k, c);
    if (code != CLI_OK) return code;
    if (args_given(a, "roles")) take_roles(&k, args_text(a, "roles", ""), &w);
    if (args_switch(a, "password-stdin")) code = read_password(&k, &w);
    if (code == CLI_OK)
        auth_change_user(k.auth, &w, changed, &k);
    else
        command_end(&k, code);
    return command_close(&k);
}

int run_user_drop(struct cli *c)
{
    struct auth_command k;
    int code = command_open(&k, c);
    if (code != CLI_OK) return code;
    auth_drop_user(k.auth, slice_str(c->args.words[0]), changed, &k);
    return command_close(&k);
}

/* VERBS[:KEYSPACE[:PREFIX]], verbs with commas. */
static int take_right(struct auth_command *k, const char *text, struct auth_right *out)
{
    size_t verbs = strcspn(text, ":");
    struct errbuf err;
    *out = (struct auth_right){.keyspace = SLICE_EMPTY, .start = SLICE_EMPTY, .end = SLICE_EMPTY};
    for (size_t at = 0; at < verbs;) {
        size_t size = strcspn(text + at, ",:");
        enum auth_verb verb;
        if (!auth_verb_find(slice_make(text + at, size), &verb))
            return cli_usage("'%.*s': expected read, write, ledger or admin", (int)size, text + at);
        out->verbs |= (unsigned)verb;
        at += size + 1;
    }
    if (out->verbs == 0) return cli_usage("'%s': expected VERBS[:KEYSPACE[:PREFIX]]", text);
    if (text[verbs] == '\0') return CLI_OK;
    const char *keyspace = text + verbs + 1;
    size_t size = strcspn(keyspace, ":");
    out->keyspace = slice_make(keyspace, size);
    if (size > 0 && check_keyspace_name(out->keyspace, &err) != STATUS_OK) return cli_usage("%s", err.text);
    if (keyspace[size] == '\0') return CLI_OK;
    out->start = slice_str(keyspace + size + 1);
    if (out->start.size > 0) out->end = key_prefix_end(out->start, &k->arena);
    return CLI_OK;
}

int run_role_set(struct cli *c)
{
    struct auth_command k;
    struct auth_right rights[ARGS_WORDS_MAX];
    struct auth_role role = {.name = slice_str(c->args.words[0]), .rights = rights};
    int code = command_open(&k, c);
    if (code != CLI_OK) return code;
    for (unsigned i = 1; i < c->args.word_count && code == CLI_OK; i++)
        code = take_right(&k, c->args.words[i], &rights[role.right_count++]);
    if (code == CLI_OK)
        auth_change_role(k.auth, &role, changed, &k);
    else
        command_end(&k, code);
    return command_close(&k);
}

int run_role_drop(struct cli *c)
{
    struct auth_command k;
    int code = command_open(&k, c);
    if (code != CLI_OK) return code;
    auth_drop_role(k.auth, slice_str(c->args.words[0]), changed, &k);
    return command_close(&k);
}
