/* Flags as words, for people and JSON. */
#ifndef QUORATE_LEDGER_WORDS_H
#define QUORATE_LEDGER_WORDS_H

#include "ledger/model.h"

struct ledger_flag_word {
    const char *word;
    uint16_t flag;
};
extern const struct ledger_flag_word ledger_account_words[];
extern const struct ledger_flag_word ledger_transfer_words[];
/* Ends with a NULL word. False: there is no such flag. */
bool ledger_flag_find(const struct ledger_flag_word *words, struct slice word, uint16_t *flag);

/* An amount with the decimal point where `scale` puts it: 12345 at 2 is "123.45". */
void ledger_amount_format(i128 amount, unsigned scale, char text[I128_TEXT_MAX + 24]);

#endif
