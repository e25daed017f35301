/* Who a request is from, over a fake cluster: passwords, tokens, their ends; changes by two at a time; and that a gateway which cannot
 * read the rows any more lets nobody in. */
#include "auth/auth.h"
#include "base/mem.h"
#include "lib/client_rig.h"
#include "lib/suite.h"

#include <stdio.h>
#include <stdlib.h>

struct worker { /* executes what was submitted in its next pass */
    struct exec exec;
    struct actor actor;
    struct env *env;
    struct list tasks;
};
struct rig {
    struct fake_cluster cluster;
    struct worker worker;
    struct auth *auth, *other; /* two gateways */
    bool deaf;                 /* the nodes answer nothing */
    unsigned later_pages;      /* scanned, behind the first */
    uint64_t oldest_page;      /* the oldest moment of any of them */
};
static struct rig *rig;

static void submit(struct exec *e, enum exec_lane lane, struct task *t)
{
    struct worker *w = LIST_ENTRY(e, struct worker, exec);
    (void)lane;
    list_push_back(&w->tasks, &t->link);
    w->env->ops->wake(w->env);
}

static uint64_t work(struct actor *a, uint64_t now_ns)
{
    struct worker *w = LIST_ENTRY(a, struct worker, actor);
    struct list *it;
    (void)now_ns;
    while ((it = list_pop_front(&w->tasks)) != NULL) {
        struct task *t = LIST_ENTRY(it, struct task, link);
        t->execute(t);
        t->complete(t);
    }
    return DEADLINE_NONE;
}

static void note_page(const struct rpc_request *r)
{
    struct scan_request m;
    struct arena arena;
    arena_init(&arena, 1024);
    ck_assert_int_eq(unpack_scan_request(r->params, &arena, &m), STATUS_OK);
    if (slice_cmp(m.start, slice_str("b")) != 0) {
        if (rig->later_pages++ == 0 || m.how.ts < rig->oldest_page) rig->oldest_page = m.how.ts;
    }
    arena_free(&arena);
}

static bool swallow(struct fake_node *n, struct rpc_request *r, void *ctx)
{
    (void)ctx;
    if (r->method == METHOD_SCAN) note_page(r);
    if (!rig->deaf || n->self.role == ROLE_META) return false;
    fake_refuse(r, STATUS_UNAVAILABLE, false, 0);
    return true;
}

static void setup(void)
{
    static const struct exec_ops ops = {.submit = submit};
    rig = mem_zalloc(sizeof(*rig));
    fake_start(&rig->cluster, 5, 0);
    rig->cluster.keyspace_name = AUTH_KEYSPACE;
    rig->cluster.hook = swallow;
    rig->worker = (struct worker){.exec = {.ops = &ops}, .actor = {.pass = work}, .env = rig->cluster.env};
    list_init(&rig->worker.tasks);
    rig->cluster.env->exec = &rig->worker.exec;
    rig->cluster.env->ops->attach(rig->cluster.env, &rig->worker.actor);
    rig->auth = auth_new(rig->cluster.env, rig->cluster.client);
    rig->other = auth_new(rig->cluster.env, rig->cluster.client);
}

static void teardown(void)
{
    auth_free(rig->auth);
    auth_free(rig->other);
    rig->cluster.env->ops->detach(rig->cluster.env, &rig->worker.actor);
    fake_stop(&rig->cluster);
    mem_free(rig);
}

/* --- waiting for an answer --- */

struct told {
    unsigned done;
    enum status status;
    char text[160];
};

static void on_changed(void *ctx, enum status s, bool unknown, const char *why)
{
    struct told *t = ctx;
    (void)unknown;
    t->done++;
    t->status = s;
    (void)snprintf(t->text, sizeof(t->text), "%s", why);
}

static void on_who(void *ctx, enum status s, struct slice user, const char *why)
{
    struct told *t = ctx;
    t->done++;
    t->status = s;
    if (s == STATUS_OK)
        (void)snprintf(t->text, sizeof(t->text), "%.*s", (int)user.size, (const char *)user.data);
    else
        (void)snprintf(t->text, sizeof(t->text), "%s", why);
}

static void on_token(void *ctx, enum status s, bool unknown, struct slice token, const char *why)
{
    struct told *t = ctx;
    (void)unknown;
    on_who(t, s, token, why);
}

static bool is_told(void *ctx)
{
    return ((struct told *)ctx)->done > 0;
}

static bool never(void *ctx)
{
    (void)ctx;
    return false;
}

static enum status wait_for(struct told *t)
{
    ck_assert(fakenet_run(rig->cluster.net, is_told, t, 40 * SECOND));
    ck_assert_uint_eq(t->done, 1);
    return t->status;
}

static void pass_time(uint64_t ns)
{
    (void)fakenet_run(rig->cluster.net, never, NULL, ns);
}

static enum status set_user(const char *name, const char *password, const char *role)
{
    struct told t = {.done = 0};
    struct slice roles[] = {slice_str(role)};
    struct auth_user_change c = {.name = slice_str(name),
                                 .has_password = true,
                                 .password = slice_str(password),
                                 .has_roles = true,
                                 .roles = roles,
                                 .role_count = 1};
    auth_change_user(rig->auth, &c, on_changed, &t);
    return wait_for(&t);
}

static enum status turn(bool on)
{
    struct told t = {.done = 0};
    auth_switch(rig->auth, on, on_changed, &t);
    return wait_for(&t);
}

/* Borrowed until the next one. */
static const struct told *who(struct auth *a, const char *token)
{
    static struct told t;
    t = (struct told){.done = 0};
    if (token == NULL)
        auth_by_nothing(a, on_who, &t);
    else
        auth_by_token(a, slice_str(token), on_who, &t);
    (void)wait_for(&t);
    return &t;
}

static enum status by_password(struct auth *a, const char *user, const char *password)
{
    struct told t = {.done = 0};
    auth_by_password(a, slice_str(user), slice_str(password), on_who, &t);
    return wait_for(&t);
}

static void login(const char *user, const char *password, char *token)
{
    struct told t = {.done = 0};
    auth_login(rig->auth, slice_str(user), slice_str(password), on_token, &t);
    ck_assert_int_eq(wait_for(&t), STATUS_OK);
    ck_assert_uint_eq(strlen(t.text), 2 * AUTH_TOKEN_BYTES);
    (void)snprintf(token, 2 * AUTH_TOKEN_BYTES + 1, "%.64s", t.text);
}

/* --- tests --- */

START_TEST(off_until_somebody_can_administer)
{
    ck_assert_int_eq(who(rig->auth, NULL)->status, STATUS_OK);
    ck_assert_int_eq(turn(true), STATUS_CONDITION_FAILED);
    ck_assert_int_eq(set_user("ada", "short", "root"), STATUS_INVALID);
    ck_assert_int_eq(set_user("a da", "long enough", "root"), STATUS_INVALID);
    ck_assert_int_eq(set_user("ada", "long enough", "teller"), STATUS_OK);
    ck_assert_int_eq(turn(true), STATUS_CONDITION_FAILED);
    ck_assert_int_eq(set_user("ada", "long enough", "root"), STATUS_OK);
    ck_assert_int_eq(turn(true), STATUS_OK);
    ck_assert_int_eq(who(rig->auth, NULL)->status, STATUS_UNAUTHENTICATED);
    struct told t = {.done = 0};
    auth_drop_user(rig->auth, slice_str("ada"), on_changed, &t);
    ck_assert_int_eq(wait_for(&t), STATUS_CONDITION_FAILED); /* the last one */
    ck_assert_int_eq(set_user("ada", "long enough", "teller"), STATUS_CONDITION_FAILED);
    ck_assert_int_eq(set_user("bob", "long enough", "root"), STATUS_OK);
    ck_assert_int_eq(set_user("ada", "long enough", "teller"), STATUS_OK);
}
END_TEST

START_TEST(passwords_and_tokens)
{
    char token[2 * AUTH_TOKEN_BYTES + 1];
    ck_assert_int_eq(set_user("ada", "correct horse", "root"), STATUS_OK);
    ck_assert_int_eq(turn(true), STATUS_OK);
    pass_time(2 * SECOND);
    ck_assert_int_eq(by_password(rig->other, "ada", "correct horse"), STATUS_OK);
    ck_assert_int_eq(by_password(rig->other, "ada", "correct hors"), STATUS_UNAUTHENTICATED);
    ck_assert_int_eq(by_password(rig->other, "eve", "correct horse"), STATUS_UNAUTHENTICATED);
    ck_assert_int_eq(by_password(rig->other, "ad a", "correct horse"), STATUS_UNAUTHENTICATED);
    login("ada", "correct horse", token);
    ck_assert_str_eq(who(rig->auth, token)->text, "ada");
    ck_assert_str_eq(who(rig->other, token)->text, "ada");
    token[3] = token[3] == '0' ? '1' : '0';
    ck_assert_int_eq(who(rig->other, token)->status, STATUS_UNAUTHENTICATED);
}
END_TEST

/* Within a second, in the other gateway too. */
START_TEST(a_token_ends_with_what_it_rested_on)
{
    char token[2 * AUTH_TOKEN_BYTES + 1];
    ck_assert_int_eq(set_user("ada", "correct horse", "root"), STATUS_OK);
    ck_assert_int_eq(set_user("bob", "battery staple", "teller"), STATUS_OK);
    ck_assert_int_eq(turn(true), STATUS_OK);
    pass_time(AUTH_FRESH_MS * MS);
    for (int how = 0; how < 4; how++) {
        struct told t = {.done = 0};
        struct auth_user_change c = {.name = slice_str("bob"), .password = SLICE_EMPTY};
        login("bob", "battery staple", token);
        ck_assert_str_eq(who(rig->other, token)->text, "bob");
        c.revoke = how == 0;
        c.has_disabled = c.disabled = how == 1;
        if (how == 2) {
            auth_logout(rig->auth, slice_str(token), on_changed, &t);
        } else if (how == 3) {
            auth_drop_user(rig->auth, slice_str("bob"), on_changed, &t);
        } else {
            auth_change_user(rig->auth, &c, on_changed, &t);
        }
        ck_assert_int_eq(wait_for(&t), STATUS_OK);
        ck_assert_int_eq(who(rig->auth, token)->status, STATUS_UNAUTHENTICATED);
        pass_time(AUTH_FRESH_MS * MS);
        ck_assert_int_eq(who(rig->other, token)->status, STATUS_UNAUTHENTICATED);
        if (how == 1) {
            struct told again = {.done = 0};
            c = (struct auth_user_change){.name = slice_str("bob"), .password = SLICE_EMPTY, .has_disabled = true};
            auth_change_user(rig->auth, &c, on_changed, &again);
            ck_assert_int_eq(wait_for(&again), STATUS_OK);
            ck_assert_int_eq(who(rig->auth, token)->status, STATUS_UNAUTHENTICATED); /* it does not come back */
        }
    }
}
END_TEST

struct holder {
    struct auth_lasting lasting;
    unsigned looks;
};
static void count_look(struct auth_lasting *l)
{
    LIST_ENTRY(l, struct holder, lasting)->looks++;
}

/* What lasts is told within a second that its token has ended, whichever gateway ended it; and of every change of the book. */
START_TEST(what_lasts_is_told)
{
    char token[2 * AUTH_TOKEN_BYTES + 1];
    struct told t = {.done = 0};
    static struct holder other; /* outlives this function: it goes with its auth */
    struct holder first = {.looks = 0}, second = {.looks = 0}, left = {.looks = 0};
    ck_assert_int_eq(set_user("ada", "correct horse", "root"), STATUS_OK);
    ck_assert_int_eq(turn(true), STATUS_OK);
    login("ada", "correct horse", token);
    pass_time(2 * SECOND);
    auth_last(rig->other, &first.lasting, slice_str(token), count_look);
    auth_last(rig->other, &second.lasting, slice_str(token), count_look);
    auth_last(rig->other, &left.lasting, slice_str(token), count_look);
    auth_last(rig->other, &other.lasting, SLICE_EMPTY, count_look); /* by password */
    pass_time(3 * SECOND);
    auth_last_end(&left.lasting);
    ck_assert_uint_eq(first.looks + second.looks + other.looks, 0);
    ck_assert(auth_last_is_known(&first.lasting));
    auth_logout(rig->auth, slice_str(token), on_changed, &t);
    ck_assert_int_eq(wait_for(&t), STATUS_OK);
    pass_time(AUTH_FRESH_MS * MS);
    ck_assert_uint_eq(first.looks, 1);
    ck_assert_uint_eq(second.looks, 1);
    ck_assert(!auth_last_is_known(&first.lasting) && !auth_last_is_known(&second.lasting));
    ck_assert(other.looks == 0 && auth_last_is_known(&other.lasting));
    auth_last_end(&first.lasting);
    auth_last_end(&first.lasting);
    ck_assert_int_eq(set_user("bob", "battery staple", "teller"), STATUS_OK);
    pass_time(AUTH_FRESH_MS * MS);
    ck_assert(other.looks == 1 && second.looks == 2 && first.looks == 1 && left.looks == 0);
    auth_last_end(&second.lasting);
}
END_TEST

/* Who is made anew is another: neither tokens nor roles of the former one of that name are theirs. */
START_TEST(a_name_that_comes_back_brings_nothing)
{
    char token[2 * AUTH_TOKEN_BYTES + 1];
    struct told user_gone = {.done = 0}, role_made = {.done = 0}, role_gone = {.done = 0};
    struct auth_role teller = {.name = slice_str("teller")};
    ck_assert_int_eq(set_user("ada", "correct horse", "root"), STATUS_OK);
    ck_assert_int_eq(set_user("bob", "battery staple", "teller"), STATUS_OK);
    ck_assert_int_eq(turn(true), STATUS_OK);
    login("bob", "battery staple", token);
    auth_drop_user(rig->auth, slice_str("bob"), on_changed, &user_gone);
    ck_assert_int_eq(wait_for(&user_gone), STATUS_OK);
    ck_assert_int_eq(set_user("bob", "battery staple", "teller"), STATUS_OK);
    ck_assert_int_eq(who(rig->auth, token)->status, STATUS_UNAUTHENTICATED);
    auth_change_role(rig->auth, &teller, on_changed, &role_made);
    ck_assert_int_eq(wait_for(&role_made), STATUS_OK);
    auth_drop_role(rig->auth, slice_str("teller"), on_changed, &role_gone);
    ck_assert_int_eq(wait_for(&role_gone), STATUS_OK);
    ck_assert_uint_eq(book_user(auth_book(rig->auth), slice_str("bob"), NULL)->role_count, 0);
    ck_assert_uint_eq(book_user(auth_book(rig->auth), slice_str("ada"), NULL)->role_count, 1);
}
END_TEST

/* Whoever was dropped a moment ago may still be known to a gateway: it does not make him anew. */
START_TEST(who_was_dropped_does_not_make_himself_anew)
{
    struct told gone = {.done = 0}, changed = {.done = 0};
    ck_assert_int_eq(set_user("bob", "battery staple", "root"), STATUS_OK);
    auth_drop_user(rig->auth, slice_str("bob"), on_changed, &gone);
    ck_assert_int_eq(wait_for(&gone), STATUS_OK);
    struct auth_user_change own = {
        .name = slice_str("bob"), .has_password = true, .password = slice_str("another one"), .by_user = true};
    auth_change_user(rig->auth, &own, on_changed, &changed);
    ck_assert_int_eq(wait_for(&changed), STATUS_NOT_FOUND);
    ck_assert_ptr_null(book_user(auth_book(rig->auth), slice_str("bob"), NULL));
}
END_TEST

START_TEST(who_guesses_keeps_nobody_out)
{
    static struct told guesses[9];
    struct told own = {.done = 0};
    char text[16];
    ck_assert_int_eq(set_user("ada", "correct horse", "root"), STATUS_OK);
    ck_assert_int_eq(turn(true), STATUS_OK);
    for (unsigned i = 0; i < 9; i++) {
        (void)snprintf(text, sizeof text, "a guess %u", i);
        guesses[i] = (struct told){.done = 0};
        auth_by_password(rig->auth, slice_str("ada"), slice_str(text), on_who, &guesses[i]);
    }
    auth_by_password(rig->auth, slice_str("ada"), slice_str("correct horse"), on_who, &own);
    ck_assert_int_eq(wait_for(&own), STATUS_OK);
    for (unsigned i = 0; i < 9; i++) ck_assert_int_eq(wait_for(&guesses[i]), STATUS_UNAUTHENTICATED);
}
END_TEST

/* Users and roles may be more than one page. */
START_TEST(a_large_book_is_read)
{
    static struct auth_right rights[AUTH_RIGHTS_MAX];
    static uint8_t key[4000];
    ck_assert_int_eq(set_user("ada", "correct horse", "root"), STATUS_OK);
    ck_assert_int_eq(turn(true), STATUS_OK);
    for (size_t i = 0; i < AUTH_RIGHTS_MAX; i++) {
        struct slice k = slice_make(key, sizeof key);
        rights[i] =
            (struct auth_right){.verbs = AUTH_READ, .keyspace = slice_str("default"), .start = k, .end = SLICE_EMPTY};
    }
    for (unsigned i = 0; i < 6; i++) {
        struct told t = {.done = 0};
        char name[8];
        (void)snprintf(name, sizeof name, "r%u", i);
        struct auth_role role = {.name = slice_str(name), .rights = rights, .right_count = AUTH_RIGHTS_MAX};
        auth_change_role(rig->auth, &role, on_changed, &t);
        ck_assert_int_eq(wait_for(&t), STATUS_OK);
    }
    rig->later_pages = 0;
    pass_time(20 * SECOND);
    ck_assert_int_eq(by_password(rig->other, "ada", "correct horse"), STATUS_OK);
    ck_assert_ptr_nonnull(book_role(auth_book(rig->other), slice_str("r0"), NULL));
    ck_assert_ptr_nonnull(book_role(auth_book(rig->other), slice_str("r5"), NULL));
    /* The first page's range may not have heard of the change yet that the others are read for. */
    ck_assert_uint_gt(rig->later_pages, 0);
    ck_assert_uint_ge(rig->oldest_page, auth_generation(rig->other));
    ck_assert_int_eq(turn(false), STATUS_OK);
}
END_TEST

START_TEST(in_doubt_nobody_comes_in)
{
    char token[2 * AUTH_TOKEN_BYTES + 1];
    struct auth_need need = {
        .verb = AUTH_READ, .keyspace = slice_str("default"), .start = slice_str("k"), .one_key = true};
    ck_assert_int_eq(set_user("ada", "correct horse", "root"), STATUS_OK);
    ck_assert_int_eq(turn(true), STATUS_OK);
    login("ada", "correct horse", token);
    ck_assert(auth_may(rig->auth, slice_str("ada"), &need));
    ck_assert(!auth_may(rig->auth, SLICE_EMPTY, &need));
    rig->deaf = true;
    pass_time((AUTH_STALE_MS + 1000) * MS);
    ck_assert_int_eq(who(rig->auth, token)->status, STATUS_UNAVAILABLE);
    ck_assert_int_eq(who(rig->auth, NULL)->status, STATUS_UNAVAILABLE);
    ck_assert(!auth_may(rig->auth, slice_str("ada"), &need));
    struct auth *fresh = auth_new(rig->cluster.env, rig->cluster.client); /* and one that has never read anything */
    ck_assert_int_eq(who(fresh, token)->status, STATUS_UNAVAILABLE);
    rig->deaf = false;
    pass_time(6 * SECOND);
    ck_assert_str_eq(who(rig->auth, token)->text, "ada");
    ck_assert_str_eq(who(fresh, token)->text, "ada");
    need.keyspace = slice_str(AUTH_KEYSPACE);
    ck_assert(!auth_may(rig->auth, slice_str("ada"), &need));
    auth_free(fresh);
}
END_TEST

static bool spends_as(struct auth *a, const char *user, const char *why_not)
{
    const char *why;
    bool may = auth_spend(a, slice_str(user), &why);
    if (!may) ck_assert_ptr_nonnull(strstr(why, why_not));
    return may;
}

static bool spends(struct auth *a, const char *why_not)
{
    return spends_as(a, "bob", why_not);
}

static void set_quota(uint64_t bytes)
{
    struct told t = {.done = 0};
    struct auth_user_change c = {.name = slice_str("bob"), .has_quota = true, .quota = bytes};
    auth_change_user(rig->auth, &c, on_changed, &t);
    ck_assert_int_eq(wait_for(&t), STATUS_OK);
    pass_time(AUTH_FRESH_MS * MS);
}

/* Bytes of a day count whichever gateway has passed them on, and outlive a gateway. */
START_TEST(a_quota_is_the_clusters)
{
    struct slice bob = slice_str("bob");
    struct told t = {.done = 0};
    ck_assert_int_eq(set_user("bob", "battery staple", "teller"), STATUS_OK);
    auth_count(rig->auth, bob, 5000); /* nobody counts yet */
    set_quota(1000);
    auth_count(rig->auth, bob, 600);
    ck_assert(spends(rig->auth, "") && spends(rig->other, ""));
    auth_count(rig->other, bob, 300);
    auth_count(rig->other, slice_str("eve"), 5000);
    pass_time(4 * SECOND); /* at the same time: one of them is first */
    ck_assert(spends(rig->auth, "") && spends(rig->other, ""));
    auth_count(rig->other, bob, 101);
    ck_assert(!spends(rig->other, "bytes"));
    for (unsigned i = 0; i < 2; i++) { /* what is counted is told to all, and what all have counted comes back */
        auth_count(rig->auth, bob, 1);
        pass_time(4 * SECOND);
    }
    ck_assert(!spends(rig->auth, "bytes"));
    struct auth *fresh = auth_new(rig->cluster.env, rig->cluster.client);
    pass_time(SECOND);
    auth_count(fresh, bob, 1);
    pass_time(3 * SECOND);
    ck_assert(!spends(fresh, "bytes"));
    auth_free(fresh);
    set_quota(0);
    ck_assert(spends(rig->auth, ""));
    set_quota(1000);
    ck_assert(!spends(rig->auth, "bytes"));
    auth_drop_user(rig->auth, bob, on_changed, &t);
    ck_assert_int_eq(wait_for(&t), STATUS_OK);
    ck_assert_int_eq(set_user("bob", "battery staple", "teller"), STATUS_OK); /* anew: nothing was used */
    set_quota(1000);
    (void)spends(rig->auth, "bytes"); /* who knew the former one looks again */
    pass_time(3 * SECOND);
    ck_assert(spends(rig->auth, ""));
    struct auth *later = auth_new(rig->cluster.env, rig->cluster.client);
    pass_time(SECOND);
    auth_count(later, bob, 1);
    pass_time(3 * SECOND);
    ck_assert(spends(later, ""));
    auth_free(later);
}
END_TEST

/* A keyspace that was lost (a metadata service made anew, say) is not one that was never made. */
START_TEST(rights_that_are_lost_open_nothing)
{
    struct auth_need need = {
        .verb = AUTH_READ, .keyspace = slice_str("default"), .start = slice_str("k"), .one_key = true};
    ck_assert_int_eq(set_user("ada", "correct horse", "root"), STATUS_OK);
    ck_assert_int_eq(turn(true), STATUS_OK);
    rig->cluster.keyspace_known = false;
    pass_time((AUTH_STALE_MS + 6000) * MS); /* what the router knows of the keyspace is renewed, too */
    ck_assert_int_eq(who(rig->auth, NULL)->status, STATUS_UNAVAILABLE);
    ck_assert(!auth_is_open(rig->auth) && !auth_may(rig->auth, SLICE_EMPTY, &need));
    rig->cluster.keyspace_known = true;
    pass_time(2 * SECOND);
    ck_assert_int_eq(who(rig->auth, NULL)->status, STATUS_UNAUTHENTICATED);
    ck_assert_int_eq(turn(false), STATUS_OK); /* what was turned off may be lost */
    pass_time(2 * SECOND);
    rig->cluster.keyspace_known = false;
    pass_time((AUTH_STALE_MS + 6000) * MS);
    ck_assert_int_eq(who(rig->auth, NULL)->status, STATUS_OK);
}
END_TEST

static enum status who_by_a_new_gateway(void)
{
    pass_time((AUTH_STALE_MS + 6000) * MS); /* what the router knows of the keyspace is renewed */
    struct auth *fresh = auth_new(rig->cluster.env, rig->cluster.client);
    pass_time(7 * SECOND);
    enum status s = who(fresh, NULL)->status;
    ck_assert_int_eq(auth_is_open(fresh), s == STATUS_OK);
    auth_free(fresh);
    return s;
}

/* A gateway that begins when they are lost already: only where users were certainly never made everybody may do everything. */
START_TEST(rights_that_may_have_been_lost_open_nothing)
{
    ck_assert_int_eq(set_user("ada", "correct horse", "root"), STATUS_OK);
    ck_assert_int_eq(turn(true), STATUS_OK);
    ck_assert_int_eq(who_by_a_new_gateway(), STATUS_UNAUTHENTICATED);
    rig->cluster.keyspace_dropped = true;
    ck_assert_int_eq(who_by_a_new_gateway(), STATUS_UNAVAILABLE);
    rig->cluster.keyspace_dropped = false;
    rig->cluster.keyspace_name = "recovered-5"; /* of the metadata that was made anew; its id */
    ck_assert_int_eq(who_by_a_new_gateway(), STATUS_UNAVAILABLE);
    rig->cluster.keyspace_name = "recovered-6"; /* somebody's own */
    ck_assert_int_eq(who_by_a_new_gateway(), STATUS_OK);
    rig->cluster.keyspace_known = false;
    ck_assert_int_eq(who_by_a_new_gateway(), STATUS_OK);
    rig->cluster.keyspace_known = true;
    rig->cluster.keyspace_name = AUTH_KEYSPACE;
    ck_assert_int_eq(who_by_a_new_gateway(), STATUS_UNAUTHENTICATED);
}
END_TEST

/* Each change is compared with the state that it was decided on: the last two administrators cannot drop each other. */
START_TEST(two_administrators_do_not_lock_each_other_out)
{
    struct told one = {.done = 0}, two = {.done = 0};
    ck_assert_int_eq(set_user("ada", "correct horse", "root"), STATUS_OK);
    ck_assert_int_eq(set_user("bob", "battery staple", "root"), STATUS_OK);
    ck_assert_int_eq(turn(true), STATUS_OK);
    pass_time(2 * SECOND);
    auth_drop_user(rig->auth, slice_str("ada"), on_changed, &one);
    auth_drop_user(rig->other, slice_str("bob"), on_changed, &two);
    enum status first = wait_for(&one), second = wait_for(&two);
    ck_assert_int_eq((first == STATUS_OK) + (second == STATUS_OK), 1);
    ck_assert_int_eq((first == STATUS_CONDITION_FAILED) + (second == STATUS_CONDITION_FAILED), 1);
}
END_TEST

START_TEST(a_rate_is_kept)
{
    struct told t = {.done = 0};
    unsigned passed = 0;
    ck_assert_int_eq(set_user("ada", "correct horse", "root"), STATUS_OK);
    struct auth_user_change c = {.name = slice_str("ada"), .password = SLICE_EMPTY, .has_rate = true, .rate = 50};
    auth_change_user(rig->auth, &c, on_changed, &t);
    ck_assert_int_eq(wait_for(&t), STATUS_OK);
    for (unsigned i = 0; i < 200; i++) passed += spends_as(rig->auth, "ada", "more requests");
    ck_assert_uint_eq(passed, 50);
    pass_time(SECOND / 2);
    for (unsigned i = 0; i < 200; i++) passed += spends_as(rig->auth, "ada", "more requests");
    ck_assert_uint_ge(passed, 74);
    ck_assert_uint_le(passed, 77);
    for (unsigned i = 0; i < 200; i++) ck_assert(spends(rig->auth, ""));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("auth_identify");
    TCase *t = tcase_create("identify");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, off_until_somebody_can_administer);
    tcase_add_test(t, passwords_and_tokens);
    tcase_add_test(t, a_token_ends_with_what_it_rested_on);
    tcase_add_test(t, what_lasts_is_told);
    tcase_add_test(t, a_name_that_comes_back_brings_nothing);
    tcase_add_test(t, who_was_dropped_does_not_make_himself_anew);
    tcase_add_test(t, who_guesses_keeps_nobody_out);
    tcase_add_test(t, a_large_book_is_read);
    tcase_add_test(t, in_doubt_nobody_comes_in);
    tcase_add_test(t, a_quota_is_the_clusters);
    tcase_add_test(t, rights_that_are_lost_open_nothing);
    tcase_add_test(t, rights_that_may_have_been_lost_open_nothing);
    tcase_add_test(t, two_administrators_do_not_lock_each_other_out);
    tcase_add_test(t, a_rate_is_kept);
    suite_add_tcase(s, t);
    return run_suite(s);
}
