#include "ledger/words.h"

const struct ledger_flag_word ledger_account_words[] = {
    {"linked", LEDGER_ACCOUNT_LINKED},
    {"debits_must_not_exceed_credits", LEDGER_DEBITS_MUST_NOT_EXCEED_CREDITS},
    {"credits_must_not_exceed_debits", LEDGER_CREDITS_MUST_NOT_EXCEED_DEBITS},
    {"history", LEDGER_ACCOUNT_HISTORY},
    {"closed", LEDGER_ACCOUNT_CLOSED},
    {NULL, 0},
};
const struct ledger_flag_word ledger_transfer_words[] = {
    {"linked", LEDGER_LINKED},
    {"pending", LEDGER_PENDING},
    {"post_pending_transfer", LEDGER_POST_PENDING},
    {"void_pending_transfer", LEDGER_VOID_PENDING},
    {"balancing_debit", LEDGER_BALANCING_DEBIT},
    {"balancing_credit", LEDGER_BALANCING_CREDIT},
    {"closing_debit", LEDGER_CLOSING_DEBIT},
    {"closing_credit", LEDGER_CLOSING_CREDIT},
    {NULL, 0},
};

bool ledger_flag_find(const struct ledger_flag_word *words, struct slice word, uint16_t *flag)
{
    for (; words->word != NULL; words++) {
        if (!slice_eq(word, slice_str(words->word))) continue;
        *flag = words->flag;
        return true;
    }
    return false;
}

void ledger_amount_format(i128 amount, unsigned scale, char text[I128_TEXT_MAX + 24])
{
    char digits[I128_TEXT_MAX];
    i128_format(amount, digits);
    const char *from = digits[0] == '-' ? digits + 1 : digits;
    size_t count = strlen(from), at = 0;
    if (digits[0] == '-') text[at++] = '-';
    if (scale > LEDGER_SCALE_MAX) scale = LEDGER_SCALE_MAX;
    for (size_t i = count; i <= scale; i++) { /* a digit before the point, at least */
        text[at++] = '0';
        if (i == count && scale > 0) text[at++] = '.';
    }
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && scale > 0 && count - i == scale) text[at++] = '.';
        text[at++] = from[i];
    }
    text[at] = '\0';
}
