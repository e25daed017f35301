#include "ledger/model.h"

#include "base/assert.h"
#include "base/cursor.h"

/* --- ids --- */

__extension__ typedef unsigned __int128 u128;

static u128 number_of(const struct ledger_id *id)
{
    return (u128)be_u64(id->bytes) << 64 | be_u64(id->bytes + 8);
}

struct ledger_id ledger_id_of(uint64_t high, uint64_t low)
{
    struct ledger_id id = {{0}};
    be_set_u64(id.bytes, high);
    be_set_u64(id.bytes + 8, low);
    return id;
}

bool ledger_id_is_zero(const struct ledger_id *id)
{
    return number_of(id) == 0;
}

bool ledger_id_is_max(const struct ledger_id *id)
{
    return number_of(id) == ~(u128)0;
}

bool ledger_id_eq(const struct ledger_id *a, const struct ledger_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static int digit_of(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return 99;
}

bool ledger_id_parse(struct slice text, struct ledger_id *out)
{
    unsigned base = 10, fit = 38; /* so many digits are never too many */
    if (text.size > 2 && text.data[0] == '0' && text.data[1] == 'x') {
        base = 16;
        fit = 32;
        text = slice_make(text.data + 2, text.size - 2);
    }
    if (text.size == 0 || text.size > 39) return false;
    u128 n = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned)digit_of(text.data[i]);
        if (digit >= base || (i >= fit && n > (~(u128)0 - digit) / base)) return false;
        n = n * base + digit;
    }
    *out = ledger_id_of((uint64_t)(n >> 64), (uint64_t)n);
    return true;
}

void ledger_id_format(const struct ledger_id *id, char text[LEDGER_ID_TEXT_MAX])
{
    u128_format(be_u64(id->bytes), be_u64(id->bytes + 8), text);
}

/* --- results --- */

const char *ledger_result_name(enum ledger_result r)
{
    static const char *const names[] = {
#define LEDGER_RESULT_NAME(name, text, kept) text,
        LEDGER_RESULT_MAP(LEDGER_RESULT_NAME)
#undef LEDGER_RESULT_NAME
    };
    return r < LEDGER_RESULT_COUNT ? names[r] : "?";
}

bool ledger_result_is_kept(enum ledger_result r)
{
    static const bool kept_of[] = {
#define LEDGER_RESULT_KEPT(name, text, kept) kept,
        LEDGER_RESULT_MAP(LEDGER_RESULT_KEPT)
#undef LEDGER_RESULT_KEPT
    };
    return r < LEDGER_RESULT_COUNT && kept_of[r];
}

/* --- judging a request by itself --- */

enum ledger_result ledger_account_judge(const struct ledger_account *a)
{
    const uint16_t limits = LEDGER_DEBITS_MUST_NOT_EXCEED_CREDITS | LEDGER_CREDITS_MUST_NOT_EXCEED_DEBITS;
    if (a->flags & ~LEDGER_ACCOUNT_FLAGS) return LEDGER_RESERVED_FLAG;
    if (ledger_id_is_zero(&a->id)) return LEDGER_ID_MUST_NOT_BE_ZERO;
    if (ledger_id_is_max(&a->id)) return LEDGER_ID_MUST_NOT_BE_INT_MAX;
    if ((a->flags & limits) == limits) return LEDGER_FLAGS_ARE_MUTUALLY_EXCLUSIVE;
    if (a->ledger == 0) return LEDGER_LEDGER_ZERO;
    if (a->code == 0) return LEDGER_CODE_ZERO;
    return LEDGER_CREATED;
}

/* `all`: it may be left open, as LEDGER_AMOUNT_ALL; nothing else below zero means anything. */
static enum ledger_result judge_amount(i128 amount, bool all)
{
    bool fits = (amount >= 0 && amount <= LEDGER_AMOUNT_MAX) || (all && amount == LEDGER_AMOUNT_ALL);
    return fits ? LEDGER_CREATED : LEDGER_OVERFLOWS_AMOUNT;
}

static enum ledger_result judge_second_phase(const struct ledger_transfer *t)
{
    const uint16_t others = LEDGER_PENDING | LEDGER_BALANCING_DEBIT | LEDGER_BALANCING_CREDIT | LEDGER_CLOSING_DEBIT |
                            LEDGER_CLOSING_CREDIT;
    const uint16_t both = LEDGER_POST_PENDING | LEDGER_VOID_PENDING;
    if ((t->flags & both) == both || (t->flags & others)) return LEDGER_FLAGS_ARE_MUTUALLY_EXCLUSIVE;
    if (ledger_id_is_zero(&t->pending_id)) return LEDGER_PENDING_ID_ZERO;
    if (ledger_id_is_max(&t->pending_id)) return LEDGER_PENDING_ID_MAX;
    if (ledger_id_eq(&t->pending_id, &t->id)) return LEDGER_PENDING_ID_SAME;
    if (t->timeout_s != 0) return LEDGER_TIMEOUT_RESERVED;
    return judge_amount(t->amount, true);
}

static enum ledger_result judge_accounts(const struct ledger_transfer *t)
{
    if (ledger_id_is_zero(&t->debit)) return LEDGER_DEBIT_ID_ZERO;
    if (ledger_id_is_max(&t->debit)) return LEDGER_DEBIT_ID_MAX;
    if (ledger_id_is_zero(&t->credit)) return LEDGER_CREDIT_ID_ZERO;
    if (ledger_id_is_max(&t->credit)) return LEDGER_CREDIT_ID_MAX;
    return ledger_id_eq(&t->debit, &t->credit) ? LEDGER_ACCOUNTS_MUST_BE_DIFFERENT : LEDGER_CREATED;
}

enum ledger_result ledger_transfer_judge(const struct ledger_transfer *t)
{
    const uint16_t balancing = LEDGER_BALANCING_DEBIT | LEDGER_BALANCING_CREDIT;
    if (t->flags == LEDGER_EXPIRE) return LEDGER_CREATED;
    if (t->flags & ~LEDGER_TRANSFER_FLAGS) return LEDGER_RESERVED_FLAG;
    if (ledger_id_is_zero(&t->id)) return LEDGER_ID_MUST_NOT_BE_ZERO;
    if (ledger_id_is_max(&t->id)) return LEDGER_ID_MUST_NOT_BE_INT_MAX;
    if (t->flags & (LEDGER_POST_PENDING | LEDGER_VOID_PENDING)) return judge_second_phase(t);
    enum ledger_result r = judge_accounts(t);
    if (r != LEDGER_CREATED) return r;
    if (!ledger_id_is_zero(&t->pending_id)) return LEDGER_PENDING_ID_NOT_ZERO;
    if (!(t->flags & LEDGER_PENDING)) {
        if (t->timeout_s != 0) return LEDGER_TIMEOUT_RESERVED;
        if (t->flags & (LEDGER_CLOSING_DEBIT | LEDGER_CLOSING_CREDIT)) return LEDGER_CLOSING_MUST_BE_PENDING;
    }
    if (t->ledger == 0) return LEDGER_LEDGER_ZERO;
    if (t->code == 0) return LEDGER_CODE_ZERO;
    return judge_amount(t->amount, (t->flags & balancing) != 0);
}

/* --- an id that is taken --- */

enum ledger_result ledger_account_compare(const struct ledger_account *asked, const struct ledger_account *there)
{
    if (asked->flags != there->flags) return LEDGER_EXISTS_OTHER_FLAGS;
    if (!ledger_id_eq(&asked->user_data_128, &there->user_data_128)) return LEDGER_EXISTS_OTHER_USER_DATA_128;
    if (asked->user_data_64 != there->user_data_64) return LEDGER_EXISTS_OTHER_USER_DATA_64;
    if (asked->user_data_32 != there->user_data_32) return LEDGER_EXISTS_OTHER_USER_DATA_32;
    if (asked->ledger != there->ledger) return LEDGER_EXISTS_OTHER_LEDGER;
    if (asked->code != there->code) return LEDGER_EXISTS_OTHER_CODE;
    return LEDGER_EXISTS;
}

/* A balancing transfer moved what there was, up to what was asked; a second phase leaves things to the pending transfer. */
static bool same_amount(const struct ledger_transfer *asked, const struct ledger_transfer *there)
{
    if (asked->flags & (LEDGER_BALANCING_DEBIT | LEDGER_BALANCING_CREDIT)) {
        return asked->amount == LEDGER_AMOUNT_ALL || asked->amount >= there->amount;
    }
    if (asked->amount == LEDGER_AMOUNT_ALL) return there->amount == there->pending_amount;
    if ((asked->flags & LEDGER_VOID_PENDING) && asked->amount == 0) return true;
    return asked->amount == there->amount;
}

static bool same_or_left_out(const struct ledger_id *asked, const struct ledger_id *there, bool may)
{
    return (may && ledger_id_is_zero(asked)) || ledger_id_eq(asked, there);
}

enum ledger_result ledger_transfer_compare(const struct ledger_transfer *asked, const struct ledger_transfer *there)
{
    bool second = (asked->flags & (LEDGER_POST_PENDING | LEDGER_VOID_PENDING)) != 0;
    if (asked->flags != there->flags) return LEDGER_EXISTS_OTHER_FLAGS;
    if (!ledger_id_eq(&asked->pending_id, &there->pending_id)) return LEDGER_EXISTS_OTHER_PENDING_ID;
    if (asked->timeout_s != there->timeout_s) return LEDGER_EXISTS_OTHER_TIMEOUT;
    if (!same_or_left_out(&asked->debit, &there->debit, second)) return LEDGER_EXISTS_OTHER_DEBIT;
    if (!same_or_left_out(&asked->credit, &there->credit, second)) return LEDGER_EXISTS_OTHER_CREDIT;
    if (!same_amount(asked, there)) return LEDGER_EXISTS_OTHER_AMOUNT;
    if (!same_or_left_out(&asked->user_data_128, &there->user_data_128, second)) {
        return LEDGER_EXISTS_OTHER_USER_DATA_128;
    }
    if (asked->user_data_64 != there->user_data_64 && !(second && asked->user_data_64 == 0)) {
        return LEDGER_EXISTS_OTHER_USER_DATA_64;
    }
    if (asked->user_data_32 != there->user_data_32 && !(second && asked->user_data_32 == 0)) {
        return LEDGER_EXISTS_OTHER_USER_DATA_32;
    }
    if (asked->ledger != there->ledger && !(second && asked->ledger == 0)) return LEDGER_EXISTS_OTHER_LEDGER;
    if (asked->code != there->code && !(second && asked->code == 0)) return LEDGER_EXISTS_OTHER_CODE;
    return LEDGER_EXISTS;
}

bool ledger_currency_valid(const struct ledger_currency *c)
{
    if (c->ledger == 0 || c->scale > LEDGER_SCALE_MAX) return false;
    for (const char *p = c->name; *p != '\0'; p++) {
        bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');
        if (!letter && !(*p >= '0' && *p <= '9') && *p != '_' && *p != '-') return false;
    }
    return true;
}
