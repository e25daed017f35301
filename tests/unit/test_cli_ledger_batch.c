/* Batches of a file of accounts and transfers: no chain is ever cut, whatever the size of a batch and whatever cannot be read; no cell of
 * a row is left out. */
#include "lib/suite.h"

#include "base/mem.h"
#include "base/prng.h"
#include "cli/ledger_batch.h"

#include <stdio.h>

static struct ledger_batch batch;
static char refused[4096]; /* numbers, each behind a space */
static char sent[4096];    /* numbers, a bar behind each batch */
static struct arena arena;

static void on_refuse(void *ctx, uint64_t number, const char *why, struct slice line)
{
    size_t n = strlen(refused);
    (void)ctx;
    ck_assert_uint_gt(strlen(why), 0);
    ck_assert_uint_gt(line.size, 0);
    snprintf(refused + n, sizeof(refused) - n, " %llu", (unsigned long long)number);
}

static void open_batch(size_t most)
{
    refused[0] = sent[0] = '\0';
    arena_init(&arena, 4096);
    ledger_batch_init(&batch, most);
    batch.refuse = on_refuse;
}

static void close_batch(void)
{
    ledger_batch_free(&batch);
    arena_free(&arena);
}

static void send(bool ended)
{
    size_t count = ledger_batch_front(&batch, ended);
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(sent);
        snprintf(sent + n, sizeof(sent) - n, " %llu%s", (unsigned long long)batch.numbers[i],
                 i + 1 == count ? " |" : "");
    }
    ledger_batch_drop(&batch, count);
}

static void give(uint64_t number, const char *line)
{
    if (ledger_batch_full(&batch)) send(false);
    if (!ledger_batch_take(&batch, number, slice_str(line))) {
        send(true);
        ck_assert(ledger_batch_take(&batch, number, slice_str(line)));
    }
}

static void give_all(size_t most, const char *const *lines)
{
    open_batch(most);
    for (uint64_t i = 0; lines[i] != NULL; i++) give(i + 1, lines[i]);
    send(true);
    ck_assert_uint_eq(batch.count, 0);
    close_batch();
}

#define T(id, rest) "{\"id\":" #id ",\"debit_account_id\":1,\"credit_account_id\":2,\"ledger\":1,\"code\":1," rest "}"
#define PLAIN "\"amount\":5"
#define LINKED "\"amount\":5,\"flags\":[\"linked\"]"

START_TEST(a_border_is_never_in_a_chain)
{
    static const char *const lines[] = {T(1, PLAIN),  T(2, LINKED), T(3, PLAIN), T(4, PLAIN), T(5, LINKED),
                                        T(6, LINKED), T(7, LINKED), T(8, PLAIN), NULL};
    give_all(2, lines);
    ck_assert_str_eq(sent, " 1 | 2 3 | 4 | 5 6 7 8 |");
    give_all(3, lines);
    ck_assert_str_eq(sent, " 1 2 3 | 4 | 5 6 7 8 |");
    give_all(100, lines);
    ck_assert_str_eq(sent, " 1 2 3 4 5 6 7 8 |");
    ck_assert_str_eq(refused, "");
}
END_TEST

START_TEST(a_bad_line_refuses_its_chain)
{
    static const char *const inside[] = {
        T(1, PLAIN), T(2, LINKED), T(3, "\"amount\":5.5,\"flags\":1"), T(4, LINKED), T(5, PLAIN), T(6, PLAIN), NULL};
    give_all(100, inside);
    ck_assert_str_eq(sent, " 1 6 |");
    ck_assert_str_eq(refused, " 2 3 4 5");
    static const char *const first[] = {T(1, "\"amount\":-5,\"flags\":[\"linked\"]"), T(2, PLAIN), T(3, PLAIN), NULL};
    give_all(100, first);
    ck_assert_str_eq(sent, " 3 |");
    static const char *const last[] = {T(1, LINKED), T(2, "\"amount\":5,\"colour\":7"), T(3, PLAIN), NULL};
    give_all(100, last);
    ck_assert_str_eq(sent, " 3 |");
    ck_assert_str_eq(refused, " 1 2");
    /* What cannot be read at all may have been linked. */
    static const char *const cut[] = {
        T(1, LINKED), "{\"id\":2,\"deb", T(3, PLAIN), "rubbish", T(5, PLAIN), "{\"id\":6,\"flags\":[\"lin", T(7, PLAIN),
        NULL};
    give_all(100, cut);
    ck_assert_str_eq(sent, " 5 |");
    ck_assert_str_eq(refused, " 1 2 3 4 6 7");
    /* The chain began in an earlier batch's time. */
    static const char *const over[] = {T(1, PLAIN), T(2, LINKED), T(3, "\"amount\":\"x\""), T(4, PLAIN), NULL};
    give_all(2, over);
    ck_assert_str_eq(sent, " 1 | 4 |");
    ck_assert_str_eq(refused, " 2 3");
}
END_TEST

START_TEST(kinds_do_not_mix)
{
    static const char *const lines[] = {"{\"id\":1,\"ledger\":1,\"code\":1}",
                                        "{\"id\":2,\"ledger\":1,\"code\":1,\"flags\":[\"linked\"]}",
                                        T(3, PLAIN),
                                        "{\"id\":4,\"ledger\":1,\"code\":1,\"flags\":\"?linked\"}",
                                        T(5, PLAIN),
                                        T(6, PLAIN),
                                        NULL};
    give_all(100, lines);
    ck_assert_str_eq(sent, " 1 2 | 3 | 6 |"); /* the ledger says that 2 is an open chain */
    ck_assert_str_eq(refused, " 4 5");
}
END_TEST

START_TEST(a_chain_too_long_is_refused_whole)
{
    open_batch(LEDGER_BATCH_MAX);
    for (uint64_t i = 1; i <= LEDGER_CHAIN_MAX + 5; i++) give(i, i < LEDGER_CHAIN_MAX + 5 ? T(1, LINKED) : T(1, PLAIN));
    give(9000, T(2, PLAIN));
    for (uint64_t i = 1; i <= LEDGER_CHAIN_MAX; i++) {
        ck_assert_uint_le(batch.count, LEDGER_CHAIN_MAX); /* one before the chain */
        ck_assert(ledger_batch_take(&batch, 10000 + i, slice_str(i < LEDGER_CHAIN_MAX ? T(3, LINKED) : T(3, PLAIN))));
    }
    ck_assert_uint_eq(batch.whole, LEDGER_CHAIN_MAX + 1);
    ck_assert_uint_eq(batch.numbers[0], 9000);
    ck_assert_ptr_nonnull(strstr(refused, " 1 2 3 "));
    ck_assert_ptr_nonnull(strstr(refused, " 634 635"));
    close_batch();
}
END_TEST

/* Random chains and sizes: what goes out together ends chains, in the order of the file, and everything goes somewhere. */
START_TEST(random_chains)
{
    struct prng p;
    prng_init(&p, 900 + (uint64_t)_i);
    open_batch(1 + prng_below(&p, 9));
    uint64_t told = 0, bad_chains = 0;
    bool linked[301] = {false}, bad[301] = {false};
    for (uint64_t i = 1; i <= 300; i++) {
        linked[i] = i < 300 && prng_chance(&p, 1, 2);
        bad[i] = prng_chance(&p, 1, 20);
    }
    for (uint64_t i = 1; i <= 300; i++) {
        bool chain_bad = false;
        uint64_t from = i, to = i;
        while (linked[from - 1]) from--;
        while (linked[to]) to++;
        for (uint64_t k = from; k <= to; k++) chain_bad |= bad[k];
        bad_chains += chain_bad;
        if (ledger_batch_full(&batch)) {
            size_t n = ledger_batch_front(&batch, false);
            ck_assert_uint_gt(n, 0);
            ck_assert(!linked[batch.numbers[n - 1]]);
            for (size_t k = 0; k < n; k++) {
                ck_assert_uint_gt(batch.numbers[k], told);
                told = batch.numbers[k];
            }
            ledger_batch_drop(&batch, n);
        }
        const char *line = linked[i] ? T(1, LINKED) : T(1, PLAIN);
        if (bad[i]) line = linked[i] ? T(1, "\"amount\":\"\",\"flags\":[\"linked\"]") : T(1, "\"amount\":\"\"");
        ck_assert(ledger_batch_take(&batch, i, slice_str(line)));
    }
    size_t refusals = 0;
    for (const char *c = refused; *c != '\0'; c++) refusals += *c == ' ';
    ck_assert_uint_eq(refusals, bad_chains);
    close_batch();
}
END_TEST

/* --- rows of CSV --- */

static void csv(const char *head, const char *row, bool fine)
{
    struct errbuf err;
    open_batch(10);
    ck_assert_int_eq(csv_names(slice_str(head), &arena, batch.names, LEDGER_FIELDS_MAX, &batch.name_count, &err),
                     STATUS_OK);
    ck_assert(ledger_batch_take(&batch, 2, slice_str(row)));
    ck_assert_msg((batch.count == 1) == fine, "%s", row);
    close_batch();
}

START_TEST(no_cell_is_left_out)
{
    static const char head[] = "id,ledger,code,debit_account_id,credit_account_id,flags,amount";
    csv(head, "1,1,1,1,2,,50", true);
    csv(head, "1,1,1,1,2,,\"50\"", true);
    csv(head, "1,1,1,1,2,,1,000", false); /* not 1 */
    csv(head, "1,1,1,1,2,,50,", false);
    csv(head, "1,1,1,1,2,50", false);
    csv(head, "1,1,1,1,2,,\"50", false); /* cut off */
    csv(head, "1,1,1,1,2,,\"5\"0", false);
    csv(head, "1,1,1,1,2,,50,\"5\"0", false);
    csv(head, "1,1,1,1,2,,-50", false);
    csv(head, "1,1,1,1,2,,+50", false);
    csv(head, "1,1,1,1,2,, 50", false);
    csv(head, "1,1,1,1,2,,5e1", false);
    csv(head, "1,1,1,1,2,,", false);
    csv(head, "1,1,65537,1,2,,50", false);
    csv(head, "1,4294967297,1,1,2,,50", false);
    csv(head, "340282366920938463463374607431768211456,1,1,1,2,,50", false);
}
END_TEST

START_TEST(names_of_fields_come_once)
{
    struct slice names[3];
    size_t count;
    struct errbuf err;
    arena_init(&arena, 1024);
    ck_assert_int_eq(csv_names(slice_str("id,amount,\"amount\""), &arena, names, 3, &count, &err), STATUS_INVALID);
    ck_assert_str_eq(err.text, "the first line names the field 'amount' twice");
    ck_assert_int_eq(csv_names(slice_str("a,b,c,d"), &arena, names, 3, &count, &err), STATUS_INVALID);
    ck_assert_int_eq(csv_names(slice_str("a,\"b\"c"), &arena, names, 3, &count, &err), STATUS_INVALID);
    ck_assert_int_eq(csv_names(slice_str("a,\"b\",c"), &arena, names, 3, &count, &err), STATUS_OK);
    ck_assert_uint_eq(count, 3);
    arena_free(&arena);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ledger batches");
    TCase *tc = tcase_create("batches");
    tcase_add_test(tc, a_border_is_never_in_a_chain);
    tcase_add_test(tc, a_bad_line_refuses_its_chain);
    tcase_add_test(tc, kinds_do_not_mix);
    tcase_add_test(tc, a_chain_too_long_is_refused_whole);
    tcase_add_loop_test(tc, random_chains, 0, 40);
    tcase_add_test(tc, no_cell_is_left_out);
    tcase_add_test(tc, names_of_fields_come_once);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
