/* Money: in every page of a bank's range the sum of balances is what it was at the beginning, no balance is negative, each
 * transfer that was acknowledged before the page was asked for is there, and none twice. In banks that keep history rows for
 * all transfers, each balance is the sum of the rows of the same page. */
#include "base/assert.h"
#include "base/mem.h"
#include "sim/check.h"

#include <stdio.h>

void money_init(struct money *m, unsigned banks, unsigned accounts)
{
    ASSERT(banks <= BANKS_MAX);
    ASSERT(accounts <= ACCOUNTS_MAX);
    *m = (struct money){.bank_count = banks, .account_count = accounts};
}

void money_free(struct money *m)
{
    mem_free(m->transfers);
}

struct transfer *money_transfer(struct money *m)
{
    if (m->count == m->capacity) {
        m->capacity = m->capacity == 0 ? 256 : m->capacity * 2;
        m->transfers = mem_realloc(m->transfers, m->capacity * sizeof *m->transfers);
    }
    struct transfer *t = &m->transfers[m->count++];
    *t = (struct transfer){.number = m->count};
    return t;
}

bool money_keeps_history(unsigned bank)
{
    return bank % 2 == 0;
}

struct page {
    int64_t balance[ACCOUNTS_MAX], by_history[ACCOUNTS_MAX];
    unsigned balances;
    bool *posted; /* by number - 1 */
};

static bool page_row(struct world *w, const struct money *m, unsigned bank, const struct scan_row *row, struct page *p)
{
    char key[64] = "", value[96] = "";
    unsigned account, from, to, in_bank;
    unsigned long long number;
    long long amount;
    if (row->key.size >= sizeof key || row->value.size >= sizeof value) return false;
    memcpy(key, row->key.data, row->key.size);
    memcpy(value, row->value.data, row->value.size);
    if (sscanf(key, "a%u/c/%u", &in_bank, &account) == 2 && in_bank == bank && account < m->account_count) {
        if (sscanf(value, "%lld", &amount) != 1) return false;
        p->balance[account] = amount;
        p->balances++;
        if (amount < 0) world_fail(w, "money: %s is %lld", key, amount);
        return true;
    }
    if (sscanf(key, "a%u/h/%llu", &in_bank, &number) != 2 || in_bank != bank || number == 0 || number > m->count)
        return false;
    const struct transfer *t = &m->transfers[number - 1];
    if (sscanf(value, "%u %u %lld", &from, &to, &amount) != 3) return false;
    if (t->bank != bank || !t->with_history || t->from != from || t->to != to || t->amount != amount ||
        p->posted[number - 1])
        return false;
    if (t->answered && !t->posted) world_fail(w, "money: transfer %llu was refused and has a history row", number);
    p->posted[number - 1] = true;
    p->by_history[from] -= amount;
    p->by_history[to] += amount;
    return true;
}

static void check_acknowledged(struct world *w, const struct money *m, unsigned bank, uint64_t call_ns,
                               const struct page *p, bool final)
{
    int64_t expected[ACCOUNTS_MAX] = {0};
    for (size_t i = 0; i < m->count; i++) {
        const struct transfer *t = &m->transfers[i];
        if (t->bank != bank || !t->answered || !t->posted) continue;
        expected[t->from] -= t->amount;
        expected[t->to] += t->amount;
        if (t->with_history && t->return_ns < call_ns && !p->posted[i]) {
            world_fail(w, "money: transfer %zu was acknowledged at %.6f s and is not in a page asked for at %.6f s",
                       i + 1, (double)t->return_ns / 1e9, (double)call_ns / 1e9);
        }
    }
    for (unsigned a = 0; final && a < m->account_count; a++) {
        if (p->balance[a] != ACCOUNT_START + expected[a]) {
            world_fail(w, "money: a%u/c/%u ends with %lld, but the answers say %lld", bank, a, (long long)p->balance[a],
                       (long long)(ACCOUNT_START + expected[a]));
        }
    }
}

void check_money_page(struct world *w, const struct money *m, unsigned bank, uint64_t call_ns,
                      const struct scan_reply *page, bool final)
{
    if (!m->funded[bank]) return;
    struct page p = {.posted = mem_zalloc(m->count + 1)};
    for (size_t i = 0; i < page->row_count; i++) {
        if (page_row(w, m, bank, &page->rows[i], &p)) continue;
        world_fail(w, "money: a page of bank %u has a row that nobody wrote: %.*s = %.*s", bank,
                   (int)page->rows[i].key.size, (const char *)page->rows[i].key.data, (int)page->rows[i].value.size,
                   (const char *)page->rows[i].value.data);
    }
    int64_t sum = 0;
    for (unsigned a = 0; a < m->account_count; a++) {
        sum += p.balance[a];
        if (money_keeps_history(bank) && p.balance[a] != ACCOUNT_START + p.by_history[a]) {
            world_fail(w, "money: a%u/c/%u is %lld, but the history rows of the same page make %lld", bank, a,
                       (long long)p.balance[a], (long long)(ACCOUNT_START + p.by_history[a]));
        }
    }
    if (p.balances != m->account_count || sum != (int64_t)m->account_count * ACCOUNT_START) {
        world_fail(w, "money: bank %u has %u accounts that sum up to %lld", bank, p.balances, (long long)sum);
    }
    check_acknowledged(w, m, bank, call_ns, &p, final);
    mem_free(p.posted);
}
