/* Rows of users and rights: the examples of docs/formats/users.md, every row there and back, anything else refused; what a right
 * covers, against trying every key. */
#include "auth/book.h"
#include "base/prng.h"
#include "lib/suite.h"
#include "lib/txn_example.h"

#include <stdlib.h>

#define FORMAT_DOC "docs/formats/users.md"

static struct arena arena;
static struct buf value;

static void setup(void)
{
    arena_init(&arena, 4096);
    buf_init(&value, 1u << 16);
}

static void teardown(void)
{
    arena_free(&arena);
    buf_free(&value);
}

static void check_example(const char *name)
{
    struct buf bytes;
    buf_init(&bytes, 4096);
    ck_assert(example_load(FORMAT_DOC, name, &bytes));
    ck_assert(slice_eq(buf_slice(&bytes), buf_slice(&value)));
    buf_free(&bytes);
    buf_clear(&value);
}

START_TEST(examples_of_the_document)
{
    struct slice roles[] = {slice_str("teller"), slice_str("audit")};
    struct auth_right right = {.verbs = AUTH_READ | AUTH_WRITE,
                               .keyspace = slice_str("default"),
                               .start = slice_str("a/"),
                               .end = slice_str("a0")};
    auth_user_put(&value, &(struct auth_user){.epoch = 3, .rate = 100, .roles = roles, .role_count = 2});
    check_example("user");
    auth_role_put(&value, &(struct auth_role){.rights = &right, .right_count = 1});
    check_example("role");
}
END_TEST

static struct auth_user random_user(struct prng *p, struct slice *roles)
{
    static const char *const names[] = {"a", "teller", "root", "x.y@z+1"};
    struct auth_user u = {.disabled = prng_chance(p, 1, 2),
                          .epoch = prng_next(p) >> prng_below(p, 64),
                          .rate = prng_below(p, 1000),
                          .quota = prng_chance(p, 1, 2) ? prng_next(p) >> 1 : 0};
    u.secret.set = prng_chance(p, 1, 2);
    u.secret.log2_n = (uint8_t)prng_between(p, 1, 20);
    u.secret.r = (uint8_t)prng_between(p, 1, 32);
    u.secret.p = (uint8_t)prng_between(p, 1, 16);
    for (unsigned i = 0; i < AUTH_HASH_BYTES; i++) u.secret.hash[i] = (uint8_t)prng_next(p);
    u.role_count = prng_below(p, 4);
    u.roles = roles;
    for (size_t i = 0; i < u.role_count; i++) roles[i] = slice_str(names[prng_below(p, 4)]);
    return u;
}

START_TEST(users_there_and_back_and_nothing_else)
{
    struct prng p;
    prng_init(&p, 41);
    for (unsigned round = 0; round < 300; round++) {
        struct slice roles[4];
        struct auth_user u = random_user(&p, roles), back;
        auth_user_put(&value, &u);
        struct slice whole = buf_slice(&value);
        ck_assert_int_eq(auth_user_get(whole, &arena, &back), STATUS_OK);
        ck_assert(back.disabled == u.disabled && back.epoch == u.epoch && back.rate == u.rate &&
                  back.quota == u.quota && back.secret.set == u.secret.set);
        ck_assert_uint_eq(back.role_count, u.role_count);
        for (size_t i = 0; i < u.role_count; i++) ck_assert(slice_eq(back.roles[i], u.roles[i]));
        if (u.secret.set) ck_assert_mem_eq(back.secret.hash, u.secret.hash, AUTH_HASH_BYTES);
        for (size_t size = 0; size < whole.size; size++)
            ck_assert_int_eq(auth_user_get(slice_make(whole.data, size), &arena, &back), STATUS_CORRUPT);
        buf_append_byte(&value, 0);
        ck_assert_int_eq(auth_user_get(buf_slice(&value), &arena, &back), STATUS_CORRUPT);
        buf_clear(&value);
        arena_reset(&arena);
    }
}
END_TEST

/* Flipping any byte gives another row or none, never a crash; a role that is read has only verbs that there are. */
START_TEST(damaged_roles_are_refused_or_other_roles)
{
    struct auth_right rights[] = {
        {.verbs = 3, .keyspace = slice_str("default"), .start = slice_str("a"), .end = slice_str("b")},
        {.verbs = AUTH_ALL, .keyspace = SLICE_EMPTY, .start = SLICE_EMPTY, .end = SLICE_EMPTY}};
    auth_role_put(&value, &(struct auth_role){.rights = rights, .right_count = 2});
    for (size_t at = 0; at < value.size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            struct auth_role back;
            value.data[at] ^= (uint8_t)(1u << bit);
            if (auth_role_get(buf_slice(&value), &arena, &back) == STATUS_OK) {
                ck_assert_uint_le(back.right_count, AUTH_RIGHTS_MAX);
                for (size_t i = 0; i < back.right_count; i++) ck_assert_uint_le(back.rights[i].verbs, AUTH_ALL);
            }
            value.data[at] ^= (uint8_t)(1u << bit);
        }
    }
}
END_TEST

static struct slice letter(struct prng *p, bool may_be_empty)
{
    static const char *const letters[] = {"", "a", "b", "c", "d"};
    uint64_t from = may_be_empty ? 0 : 1;
    return slice_str(letters[prng_between(p, from, 4)]);
}

/* Keys are single letters: a span is covered if and only if each key in it is. */
START_TEST(a_right_covers_what_lies_in_it)
{
    struct prng p;
    unsigned covered = 0, refused = 0;
    prng_init(&p, 42);
    for (unsigned round = 0; round < 5000; round++) {
        struct auth_right right = {.verbs = 1 + (unsigned)prng_below(&p, 15),
                                   .keyspace = prng_chance(&p, 1, 3) ? SLICE_EMPTY : slice_str("one"),
                                   .start = letter(&p, true),
                                   .end = letter(&p, true)};
        struct auth_need need = {.verb = (enum auth_verb)(1u << prng_below(&p, 4)),
                                 .keyspace = slice_str(prng_chance(&p, 3, 4) ? "one" : "two"),
                                 .start = letter(&p, false),
                                 .end = letter(&p, true)};
        need.one_key = prng_chance(&p, 1, 2);
        bool all =
            (right.verbs & (unsigned)need.verb) != 0 && (right.keyspace.size == 0 || need.keyspace.data[0] == 'o');
        bool any = false;
        for (char key = 'a'; key <= 'e' && all; key++) { /* e: all keys behind the letters */
            struct slice k = slice_make(&key, 1);
            bool in_need = need.one_key
                               ? slice_eq(k, need.start)
                               : slice_cmp(k, need.start) >= 0 && (need.end.size == 0 || slice_cmp(k, need.end) < 0);
            any |= in_need;
            if (in_need) all = slice_cmp(k, right.start) >= 0 && (right.end.size == 0 || slice_cmp(k, right.end) < 0);
        }
        if (all && !any) continue; /* an empty span */
        ck_assert_int_eq(auth_right_covers(&right, &need), all);
        covered += all;
        refused += !all;
    }
    ck_assert_uint_gt(covered, 100);
    ck_assert_uint_gt(refused, 100);
}
END_TEST

static void book_put(struct book *b, const char *key, struct buf *row)
{
    ck_assert_int_eq(book_add(b, slice_str(key), buf_slice(row), 7), STATUS_OK);
    buf_clear(row);
}

/* A span of letters may be covered by several rights together, one behind the other. */
START_TEST(rights_cover_together)
{
    struct prng p;
    unsigned may = 0, may_not = 0, together = 0;
    struct slice role = slice_str("some");
    prng_init(&p, 43);
    for (unsigned round = 0; round < 3000; round++) {
        struct book *b = book_new();
        struct auth_right rights[4];
        for (unsigned i = 0; i < 4; i++)
            rights[i] = (struct auth_right){.verbs = prng_chance(&p, 4, 5) ? AUTH_READ : AUTH_WRITE,
                                            .keyspace = slice_str("one"),
                                            .start = letter(&p, true),
                                            .end = letter(&p, false)};
        auth_role_put(&value, &(struct auth_role){.rights = rights, .right_count = 4});
        book_put(b, "b/role/some", &value);
        auth_user_put(&value, &(struct auth_user){.roles = &role, .role_count = 1});
        book_put(b, "b/user/bob", &value);
        struct auth_need need = {
            .verb = AUTH_READ, .keyspace = slice_str("one"), .start = slice_str("a"), .end = letter(&p, false)};
        bool each = true, any = false, alone = false;
        for (char key = 'a'; key < (char)need.end.data[0]; key++) {
            bool covered = false;
            for (unsigned i = 0; i < 4; i++)
                covered |= auth_right_covers(&rights[i], &(struct auth_need){.verb = AUTH_READ,
                                                                             .keyspace = need.keyspace,
                                                                             .start = slice_make(&key, 1),
                                                                             .one_key = true});
            each &= covered;
            any = true;
        }
        for (unsigned i = 0; i < 4; i++) alone |= auth_right_covers(&rights[i], &need);
        if (any) ck_assert_int_eq(book_may(b, slice_str("bob"), &need), each);
        may += any && each;
        may_not += any && !each;
        together += any && each && !alone;
        book_free(b);
    }
    ck_assert(may > 100 && may_not > 100 && together > 20);
}
END_TEST

START_TEST(a_book_knows_who_may)
{
    struct book *b = book_new();
    struct slice teller = slice_str("teller"), root = slice_str("root");
    struct auth_right right = {
        .verbs = AUTH_READ, .keyspace = slice_str("one"), .start = SLICE_EMPTY, .end = SLICE_EMPTY};
    struct auth_need need = {.verb = AUTH_READ, .keyspace = slice_str("one"), .start = slice_str("k"), .one_key = true};
    auth_role_put(&value, &(struct auth_role){.rights = &right, .right_count = 1});
    book_put(b, "b/role/teller", &value);
    buf_append_str(&value, "on");
    book_put(b, "b/switch", &value);
    auth_user_put(&value, &(struct auth_user){
                              .roles = &root, .role_count = 1, .secret = {.set = true, .log2_n = 1, .r = 1, .p = 1}});
    book_put(b, "b/user/ada", &value);
    auth_user_put(&value, &(struct auth_user){.roles = &teller, .role_count = 1});
    book_put(b, "b/user/bob", &value);
    auth_user_put(&value, &(struct auth_user){.roles = &root, .role_count = 1, .disabled = true});
    book_put(b, "b/user/eve", &value);
    ck_assert(book_is_on(b));
    ck_assert(book_may(b, slice_str("ada"), &need) && book_may(b, slice_str("bob"), &need));
    ck_assert(!book_may(b, slice_str("eve"), &need) && !book_may(b, slice_str("nobody"), &need));
    need.verb = AUTH_WRITE;
    ck_assert(book_may(b, slice_str("ada"), &need) && !book_may(b, slice_str("bob"), &need));
    ck_assert(book_is_administrator(book_user(b, slice_str("ada"), NULL)));
    ck_assert_int_eq(book_add(b, slice_str("b/user/"), SLICE_EMPTY, 1), STATUS_CORRUPT);
    ck_assert_int_eq(book_add(b, slice_str("b/user/mallory"), slice_str("nonsense"), 1), STATUS_CORRUPT);
    ck_assert_ptr_null(book_user(b, slice_str("mallory"), NULL));
    book_free(b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("auth_rights");
    TCase *t = tcase_create("rights");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, examples_of_the_document);
    tcase_add_test(t, users_there_and_back_and_nothing_else);
    tcase_add_test(t, damaged_roles_are_refused_or_other_roles);
    tcase_add_test(t, a_right_covers_what_lies_in_it);
    tcase_add_test(t, rights_cover_together);
    tcase_add_test(t, a_book_knows_who_may);
    suite_add_tcase(s, t);
    return run_suite(s);
}
