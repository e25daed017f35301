/* The ledger's vocabulary: accounts, transfers, results. What they mean: docs/ledger.md. Names of results and flags are those of
 * TigerBeetle where the meaning is the same. Pure values: no I/O. */
#ifndef QUORATE_LEDGER_MODEL_H
#define QUORATE_LEDGER_MODEL_H

#include "base/i128.h"
#include "base/slice.h"

/* An unsigned integer of 128 bits, big-endian: the order of bytes is the order of numbers. */
struct ledger_id {
    uint8_t bytes[16];
};
#define LEDGER_ID_TEXT_MAX 40 /* 39 digits, zero */
bool ledger_id_is_zero(const struct ledger_id *id);
bool ledger_id_is_max(const struct ledger_id *id);
bool ledger_id_eq(const struct ledger_id *a, const struct ledger_id *b);
struct ledger_id ledger_id_of(uint64_t high, uint64_t low);
/* Decimal, or hexadecimal after "0x", up to 2^128 - 1; false: neither. */
bool ledger_id_parse(struct slice text, struct ledger_id *out);
void ledger_id_format(const struct ledger_id *id, char text[LEDGER_ID_TEXT_MAX]);

#define LEDGER_AMOUNT_MAX (((i128)1 << 112) - 1)  /* of one transfer */
#define LEDGER_BALANCE_MAX (((i128)1 << 125) - 1) /* of any sum that an account keeps */
#define LEDGER_AMOUNT_ALL ((i128)-1)              /* post: what is pending; balancing: as much as there is */
#define LEDGER_BATCH_MAX 8190u
#define LEDGER_ACCOUNT_CHAIN_MAX 2000u
#define LEDGER_CHAIN_MAX 630u /* linked transfers: they must fit one transaction of the store */

enum ledger_account_flag {
    LEDGER_ACCOUNT_LINKED = 1,
    LEDGER_DEBITS_MUST_NOT_EXCEED_CREDITS = 2,
    LEDGER_CREDITS_MUST_NOT_EXCEED_DEBITS = 4,
    LEDGER_ACCOUNT_HISTORY = 8, /* kept for every account; accepted so that programs need not change */
    LEDGER_ACCOUNT_CLOSED = 32, /* only shown */
    LEDGER_ACCOUNT_FLAGS = 15   /* what a request may set */
};
enum ledger_transfer_flag {
    LEDGER_LINKED = 1,
    LEDGER_PENDING = 2,
    LEDGER_POST_PENDING = 4,
    LEDGER_VOID_PENDING = 8,
    LEDGER_BALANCING_DEBIT = 16,
    LEDGER_BALANCING_CREDIT = 32,
    LEDGER_CLOSING_DEBIT = 64,
    LEDGER_CLOSING_CREDIT = 128,
    LEDGER_TRANSFER_FLAGS = 255,
    LEDGER_EXPIRE = 0x8000 /* inside only: the timeout of pending_id has passed */
};

struct ledger_account {
    struct ledger_id id, user_data_128;
    uint64_t user_data_64;
    uint32_t user_data_32;
    uint32_t ledger;
    uint16_t code, flags;
    uint64_t timestamp;
};
struct ledger_balance {
    i128 debits_pending, debits_posted, credits_pending, credits_posted;
    bool closed;
};
struct ledger_transfer {
    struct ledger_id id, debit, credit, pending_id, user_data_128;
    i128 amount;
    i128 pending_amount; /* of a post, void or expiry: what it released; only in what is stored */
    uint64_t user_data_64;
    uint32_t user_data_32;
    uint32_t timeout_s;
    uint32_t ledger;
    uint16_t code, flags;
    uint64_t timestamp; /* unique and rising; milliseconds << 18 | counter, as all of the store's */
};

/* X(enumerator, name, kept): kept: a refusal that another moment might not have given; its transfer's id is used up. */
#define LEDGER_RESULT_MAP(X)                                                                                           \
    X(CREATED, "created", 0)                                                                                           \
    X(LINKED_EVENT_FAILED, "linked_event_failed", 0)                                                                   \
    X(LINKED_EVENT_CHAIN_OPEN, "linked_event_chain_open", 0)                                                           \
    X(RESERVED_FLAG, "reserved_flag", 0)                                                                               \
    X(ID_MUST_NOT_BE_ZERO, "id_must_not_be_zero", 0)                                                                   \
    X(ID_MUST_NOT_BE_INT_MAX, "id_must_not_be_int_max", 0)                                                             \
    X(EXISTS, "exists", 0)                                                                                             \
    X(ID_ALREADY_FAILED, "id_already_failed", 0)                                                                       \
    X(FLAGS_ARE_MUTUALLY_EXCLUSIVE, "flags_are_mutually_exclusive", 0)                                                 \
    X(DEBIT_ID_ZERO, "debit_account_id_must_not_be_zero", 0)                                                           \
    X(DEBIT_ID_MAX, "debit_account_id_must_not_be_int_max", 0)                                                         \
    X(CREDIT_ID_ZERO, "credit_account_id_must_not_be_zero", 0)                                                         \
    X(CREDIT_ID_MAX, "credit_account_id_must_not_be_int_max", 0)                                                       \
    X(ACCOUNTS_MUST_BE_DIFFERENT, "accounts_must_be_different", 0)                                                     \
    X(PENDING_ID_ZERO, "pending_id_must_not_be_zero", 0)                                                               \
    X(PENDING_ID_NOT_ZERO, "pending_id_must_be_zero", 0)                                                               \
    X(PENDING_ID_MAX, "pending_id_must_not_be_int_max", 0)                                                             \
    X(PENDING_ID_SAME, "pending_id_must_be_different", 0)                                                              \
    X(TIMEOUT_RESERVED, "timeout_reserved_for_pending_transfer", 0)                                                    \
    X(CLOSING_MUST_BE_PENDING, "closing_transfer_must_be_pending", 0)                                                  \
    X(LEDGER_ZERO, "ledger_must_not_be_zero", 0)                                                                       \
    X(CODE_ZERO, "code_must_not_be_zero", 0)                                                                           \
    X(DEBIT_NOT_FOUND, "debit_account_not_found", 1)                                                                   \
    X(CREDIT_NOT_FOUND, "credit_account_not_found", 1)                                                                 \
    X(ACCOUNTS_LEDGERS_DIFFER, "accounts_must_have_the_same_ledger", 0)                                                \
    X(TRANSFER_LEDGER_DIFFERS, "transfer_must_have_the_same_ledger_as_accounts", 0)                                    \
    X(PENDING_NOT_FOUND, "pending_transfer_not_found", 1)                                                              \
    X(PENDING_NOT_PENDING, "pending_transfer_not_pending", 0)                                                          \
    X(PENDING_OTHER_DEBIT, "pending_transfer_has_different_debit_account_id", 0)                                       \
    X(PENDING_OTHER_CREDIT, "pending_transfer_has_different_credit_account_id", 0)                                     \
    X(PENDING_OTHER_LEDGER, "pending_transfer_has_different_ledger", 0)                                                \
    X(PENDING_OTHER_CODE, "pending_transfer_has_different_code", 0)                                                    \
    X(PENDING_OTHER_AMOUNT, "pending_transfer_has_different_amount", 0)                                                \
    X(EXCEEDS_PENDING_AMOUNT, "exceeds_pending_transfer_amount", 0)                                                    \
    X(PENDING_ALREADY_POSTED, "pending_transfer_already_posted", 0)                                                    \
    X(PENDING_ALREADY_VOIDED, "pending_transfer_already_voided", 0)                                                    \
    X(PENDING_EXPIRED, "pending_transfer_expired", 0)                                                                  \
    X(EXISTS_OTHER_FLAGS, "exists_with_different_flags", 0)                                                            \
    X(EXISTS_OTHER_PENDING_ID, "exists_with_different_pending_id", 0)                                                  \
    X(EXISTS_OTHER_TIMEOUT, "exists_with_different_timeout", 0)                                                        \
    X(EXISTS_OTHER_DEBIT, "exists_with_different_debit_account_id", 0)                                                 \
    X(EXISTS_OTHER_CREDIT, "exists_with_different_credit_account_id", 0)                                               \
    X(EXISTS_OTHER_AMOUNT, "exists_with_different_amount", 0)                                                          \
    X(EXISTS_OTHER_USER_DATA_128, "exists_with_different_user_data_128", 0)                                            \
    X(EXISTS_OTHER_USER_DATA_64, "exists_with_different_user_data_64", 0)                                              \
    X(EXISTS_OTHER_USER_DATA_32, "exists_with_different_user_data_32", 0)                                              \
    X(EXISTS_OTHER_LEDGER, "exists_with_different_ledger", 0)                                                          \
    X(EXISTS_OTHER_CODE, "exists_with_different_code", 0)                                                              \
    X(DEBIT_CLOSED, "debit_account_already_closed", 1)                                                                 \
    X(CREDIT_CLOSED, "credit_account_already_closed", 1)                                                               \
    X(OVERFLOWS_AMOUNT, "overflows_amount", 0)                                                                         \
    X(OVERFLOWS_TIMEOUT, "overflows_timeout", 0)                                                                       \
    X(OVERFLOWS_DEBITS, "overflows_debits", 1)                                                                         \
    X(OVERFLOWS_CREDITS, "overflows_credits", 1)                                                                       \
    X(EXCEEDS_CREDITS, "exceeds_credits", 1)                                                                           \
    X(EXCEEDS_DEBITS, "exceeds_debits", 1)

/* Numbers are stored: append only. */
enum ledger_result {
#define LEDGER_RESULT_ENUM(name, text, kept) LEDGER_##name,
    LEDGER_RESULT_MAP(LEDGER_RESULT_ENUM)
#undef LEDGER_RESULT_ENUM
        LEDGER_RESULT_COUNT
};
const char *ledger_result_name(enum ledger_result r);
bool ledger_result_is_kept(enum ledger_result r);

struct ledger_outcome {
    enum ledger_result result;
    enum ledger_result first; /* ID_ALREADY_FAILED: what the first attempt was told */
    uint64_t timestamp;       /* CREATED, EXISTS: the transfer's or account's */
    i128 amount;              /* CREATED, EXISTS of a transfer: what was moved */
};

/* What can be said without looking anything up: LEDGER_CREATED or the refusal. */
enum ledger_result ledger_account_judge(const struct ledger_account *a);
enum ledger_result ledger_transfer_judge(const struct ledger_transfer *t);
/* An id that is taken: is it by the same request? LEDGER_EXISTS or how it differs. */
enum ledger_result ledger_account_compare(const struct ledger_account *asked, const struct ledger_account *there);
enum ledger_result ledger_transfer_compare(const struct ledger_transfer *asked, const struct ledger_transfer *there);

/* What a ledger's amounts are, for people: `scale` digits behind the point, and a name. */
#define LEDGER_SCALE_MAX 18u
#define LEDGER_CURRENCY_NAME_MAX 16u
struct ledger_currency {
    uint32_t ledger; /* not 0 */
    unsigned scale;
    char name[LEDGER_CURRENCY_NAME_MAX + 1]; /* A-Z, a-z, 0-9, _, -; may be empty */
};
bool ledger_currency_valid(const struct ledger_currency *c);

#endif
