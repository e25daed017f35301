/* Wrong histories of lists, each anomaly by its name, and right ones that look odd: tests/lib/append.h. */
#include <check.h>
#include <stdio.h>

#include "lib/append.h"
#include "lib/suite.h"

enum { TXNS_MAX = 8, ITEMS_MAX = 4 };

static struct append_txn txns[TXNS_MAX];
static struct append_item items[TXNS_MAX][ITEMS_MAX];
static uint64_t lists[TXNS_MAX][ITEMS_MAX][4];
static size_t count;
static char why[500];

static void setup(void)
{
    count = 0;
    why[0] = '\0';
}

/* "+x1": 1 is appended to list x; "x12": list x is read as 1, 2. All concurrent, unless times are set. */
static struct append_txn *txn(const char *text)
{
    struct append_txn *t = &txns[count];
    *t = (struct append_txn){.call_ns = 0, .return_ns = 1000, .items = items[count]};
    for (const char *p = text; *p != '\0';) {
        struct append_item *it = &items[count][t->item_count];
        *it = (struct append_item){.appends = *p == '+'};
        if (it->appends) p++;
        it->key = (uint64_t)*p++;
        for (; *p >= '0' && *p <= '9'; p++) {
            it->value = (uint64_t)(*p - '0');
            if (!it->appends) lists[count][t->item_count][it->list_size++] = it->value;
        }
        if (!it->appends) it->list = lists[count][t->item_count];
        t->item_count++;
        if (*p == ' ') p++;
    }
    count++;
    return t;
}

static void at(struct append_txn *t, uint64_t call_ns, uint64_t return_ns)
{
    t->call_ns = call_ns;
    t->return_ns = return_ns;
}

static bool right(void)
{
    bool fine = append_check(txns, count, why, sizeof why);
    if (!fine) printf("told: %s\n", why);
    return fine;
}

static bool wrong(const char *what)
{
    return !append_check(txns, count, why, sizeof why) && strstr(why, what) != NULL;
}

START_TEST(right_histories)
{
    at(txn("x +x1"), 0, 10);
    at(txn("x1 +y2"), 20, 30);
    at(txn("x1 y2"), 40, 50);
    at(txn("x1 +x3 x13"), 60, 70);
    txn("+x4")->outcome = APPEND_UNKNOWN;
    txn("+x5")->outcome = APPEND_NOTHING;
    ck_assert(right());
    txn("x134");
    ck_assert(right());
}
END_TEST

START_TEST(what_nobody_did)
{
    txn("x7");
    ck_assert(wrong("nobody appended"));
    setup();
    txn("+x1")->outcome = APPEND_NOTHING;
    txn("x1");
    ck_assert(wrong("G1a"));
    setup();
    txn("+x1 +x2");
    txn("x1");
    txn("x12");
    ck_assert(wrong("G1b"));
    setup();
    txn("+x1");
    txn("+x2");
    txn("x12");
    txn("x2");
    ck_assert(wrong("where others saw"));
    setup();
    txn("+x1 x");
    ck_assert(wrong("its own append"));
}
END_TEST

START_TEST(cycles_by_name)
{
    txn("+x1 +y4"); /* G0: x says 1, 2; y says 3, 4 */
    txn("+x2 +y3");
    txn("x12");
    txn("y34");
    ck_assert(wrong("G0:"));
    setup();
    txn("+x1 y2"); /* each sees the other */
    txn("+y2 x1");
    ck_assert(wrong("G1c:"));
    setup();
    txn("+x1 +y2"); /* half of it is seen: read skew */
    txn("x1 y");
    ck_assert(wrong("G-single:"));
    setup();
    txn("x +y1"); /* write skew */
    txn("y +x2");
    txn("x2 y1");
    ck_assert(wrong("G2:"));
    setup();
    txn("+x1"); /* long fork */
    txn("+y2");
    txn("x1 y");
    txn("x y2");
    ck_assert(wrong("G2:"));
}
END_TEST

START_TEST(real_time)
{
    at(txn("+x1"), 0, 10);
    at(txn("x"), 20, 30); /* it had been acknowledged */
    ck_assert(wrong("with real time"));
    setup();
    at(txn("+x1"), 0, 10); /* acknowledged, and in no list for ever: a lost write */
    at(txn("+x2"), 0, 10);
    at(txn("x2"), 20, 30);
    ck_assert(wrong("with real time"));
    setup();
    /* the four-transaction cycle: a slow write, a later one elsewhere, who sees it before the first, who sees the first alone */
    at(txn("+x1"), 0, 100);
    at(txn("+y2"), 10, 20);
    at(txn("x"), 30, 40);
    at(txn("x1 y"), 50, 60);
    ck_assert(wrong("with real time"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sim_append");
    TCase *t = tcase_create("histories");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, right_histories);
    tcase_add_test(t, what_nobody_did);
    tcase_add_test(t, cycles_by_name);
    tcase_add_test(t, real_time);
    suite_add_tcase(s, t);
    return run_suite(s);
}
