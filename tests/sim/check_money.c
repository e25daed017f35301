/* Money: in every page of a bank's range the sum of balances is what it was at the beginning, no balance is negative, each
 * transfer that was acknowledged before the page was asked for is there, and none twice. In banks that keep history rows for
 * all transfers, each balance is the sum of the rows of the same page. */
#include "base/assert.h"
#include "base/mem.h"
#include "sim/check.h"

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

/* --- reading rows; by hand, for this is half of what a run would cost otherwise --- */

static bool skip(struct slice *in, char c)
{
    if (in->size == 0 || in->data[0] != (uint8_t)c) return false;
    in->data++;
    in->size--;
    return true;
}

static bool take(struct slice *in, int64_t *out)
{
    bool negative = skip(in, '-');
    size_t at = 0;
    *out = 0;
    for (; at < in->size && at < 18 && in->data[at] >= '0' && in->data[at] <= '9'; at++)
        *out = *out * 10 + (in->data[at] - '0');
    in->data += at;
    in->size -= at;
    if (negative) *out = -*out;
    return at > 0;
}

/* "aBANK/KIND/NUMBER" */
static bool take_key(struct slice key, char *kind, int64_t *bank, int64_t *number)
{
    if (!skip(&key, 'a') || !take(&key, bank) || !skip(&key, '/') || key.size < 2) return false;
    *kind = (char)key.data[0];
    return skip(&key, *kind) && skip(&key, '/') && take(&key, number) && key.size == 0;
}

static bool balance_row(struct world *w, const struct money *m, struct slice value, int64_t account, struct page *p)
{
    int64_t balance;
    if (account < 0 || account >= m->account_count || !take(&value, &balance) || value.size > 0) return false;
    p->balance[account] = balance;
    p->balances++;
    if (balance < 0) world_fail(w, "money: account %lld is %lld", (long long)account, (long long)balance);
    return true;
}

/* "FROM TO AMOUNT", as the transfer of that number was asked for. */
static bool history_row(struct world *w, const struct money *m, unsigned bank, struct slice value, int64_t number,
                        struct page *p)
{
    int64_t from, to, amount;
    if (number < 1 || (uint64_t)number > m->count) return false;
    const struct transfer *t = &m->transfers[number - 1];
    bool whole = take(&value, &from) && skip(&value, ' ') && take(&value, &to) && skip(&value, ' ') &&
                 take(&value, &amount) && value.size == 0;
    if (!whole || t->bank != bank || !t->with_history || t->from != from || t->to != to || t->amount != amount ||
        p->posted[number - 1])
        return false;
    if (t->answered && !t->posted)
        world_fail(w, "money: transfer %lld was refused and has a history row", (long long)number);
    p->posted[number - 1] = true;
    p->by_history[from] -= amount;
    p->by_history[to] += amount;
    return true;
}

static bool page_row(struct world *w, const struct money *m, unsigned bank, const struct scan_row *row, struct page *p)
{
    char kind;
    int64_t in_bank, number;
    if (!take_key(row->key, &kind, &in_bank, &number) || in_bank != bank) return false;
    if (kind == 'c') return balance_row(w, m, row->value, number, p);
    return kind == 'h' && history_row(w, m, bank, row->value, number, p);
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
