#include "gateway/ledger_json.h"

#include "gateway/json_out.h"
#include "ledger/words.h"

/* --- reading --- */

enum status json_want_ledger_id(const struct json_at *at, struct ledger_id *out, struct errbuf *err)
{
    if (json_is_integer(at->value) && json_integer_value(at->value) >= 0) {
        *out = ledger_id_of(0, (uint64_t)json_integer_value(at->value));
        return STATUS_OK;
    }
    if (json_is_string(at->value) &&
        ledger_id_parse(slice_make(json_string_value(at->value), json_string_length(at->value)), out)) {
        return STATUS_OK;
    }
    return json_refuse(at, STATUS_INVALID, err,
                       "expected an integer from 0 to 2^128 - 1: a number, a string of digits, or \"0x...\"");
}

static enum status take_id(const struct json_at *object, const char *name, struct ledger_id *out, struct errbuf *err)
{
    struct json_at at = json_field(object, name);
    return at.value == NULL ? STATUS_OK : json_want_ledger_id(&at, out, err);
}

static enum status take_number(const struct json_at *object, const char *name, uint64_t max, uint64_t *out,
                               struct errbuf *err)
{
    struct json_at at = json_field(object, name);
    *out = 0;
    if (at.value == NULL) return STATUS_OK;
    if (max < UINT64_MAX) return json_want_u64(&at, max, out, err);
    i128 v = 0;
    enum status s = json_want_i128(&at, &v, err);
    if (s == STATUS_OK && (v < 0 || v > (i128)UINT64_MAX)) {
        return json_refuse(&at, STATUS_INVALID, err, "expected an integer from 0 to 2^64 - 1");
    }
    *out = (uint64_t)v;
    return s;
}

static enum status take_flags(const struct json_at *object, const struct ledger_flag_word *words, uint16_t *out,
                              struct errbuf *err)
{
    struct json_at at = json_field(object, "flags");
    uint64_t number = 0;
    *out = 0;
    if (at.value == NULL) return STATUS_OK;
    if (!json_is_array(at.value)) {
        enum status s = json_want_u64(&at, UINT16_MAX >> 1, &number, err);
        *out = (uint16_t)number;
        return s;
    }
    for (size_t i = 0; i < json_array_size(at.value); i++) {
        struct json_at one = json_element(&at, i);
        struct slice word;
        uint16_t flag;
        enum status s = json_want_text(&one, &word, err);
        if (s != STATUS_OK) return s;
        if (!ledger_flag_find(words, word, &flag)) return json_refuse(&one, STATUS_INVALID, err, "no such flag");
        *out |= flag;
    }
    return STATUS_OK;
}

struct common { /* fields that accounts and transfers share */
    uint64_t user_data_64, user_data_32, ledger, code;
};

static enum status take_common(const struct json_at *at, struct ledger_id *id, struct ledger_id *user_data_128,
                               struct common *c, struct errbuf *err)
{
    enum status s = take_id(at, "id", id, err);
    if (s == STATUS_OK) s = take_id(at, "user_data_128", user_data_128, err);
    if (s == STATUS_OK) s = take_number(at, "user_data_64", UINT64_MAX, &c->user_data_64, err);
    if (s == STATUS_OK) s = take_number(at, "user_data_32", UINT32_MAX, &c->user_data_32, err);
    if (s == STATUS_OK) s = take_number(at, "ledger", UINT32_MAX, &c->ledger, err);
    if (s == STATUS_OK) s = take_number(at, "code", UINT16_MAX, &c->code, err);
    return s;
}

enum status json_want_account(const struct json_at *at, struct ledger_account *out, struct errbuf *err)
{
    static const char *const names[] = {"id",           "ledger",      "code", "flags", "user_data_128",
                                        "user_data_64", "user_data_32"};
    struct common c;
    *out = (struct ledger_account){.ledger = 0};
    enum status s = json_want_object(at, names, sizeof(names) / sizeof(names[0]), err);
    if (s == STATUS_OK) s = take_common(at, &out->id, &out->user_data_128, &c, err);
    if (s == STATUS_OK) s = take_flags(at, ledger_account_words, &out->flags, err);
    if (s != STATUS_OK) return s;
    out->user_data_64 = c.user_data_64;
    out->user_data_32 = (uint32_t)c.user_data_32;
    out->ledger = (uint32_t)c.ledger;
    out->code = (uint16_t)c.code;
    return STATUS_OK;
}

/* Left out: what is pending, what there is, or nothing of what is voided. 2^128 - 1 says the same, as programs for TigerBeetle do. */
static enum status take_amount(const struct json_at *object, uint16_t flags, i128 *out, struct errbuf *err)
{
    const uint16_t open = LEDGER_POST_PENDING | LEDGER_VOID_PENDING | LEDGER_BALANCING_DEBIT | LEDGER_BALANCING_CREDIT;
    struct json_at at = json_field(object, "amount");
    struct ledger_id max;
    if (at.value == NULL && (flags & open)) {
        *out = LEDGER_AMOUNT_ALL;
        return STATUS_OK;
    }
    if (json_is_string(at.value) &&
        ledger_id_parse(slice_make(json_string_value(at.value), json_string_length(at.value)), &max) &&
        ledger_id_is_max(&max)) {
        *out = LEDGER_AMOUNT_ALL;
        return STATUS_OK;
    }
    enum status s = json_want_i128(&at, out, err);
    if (s == STATUS_OK && *out < 0) return json_refuse(&at, STATUS_INVALID, err, "an amount is not negative");
    return s;
}

enum status json_want_transfer(const struct json_at *at, struct ledger_transfer *out, struct errbuf *err)
{
    static const char *const names[] = {
        "id",    "debit_account_id", "credit_account_id", "amount",        "ledger",       "code",
        "flags", "pending_id",       "timeout",           "user_data_128", "user_data_64", "user_data_32"};
    struct common c;
    uint64_t timeout = 0;
    *out = (struct ledger_transfer){.amount = 0};
    enum status s = json_want_object(at, names, sizeof(names) / sizeof(names[0]), err);
    if (s == STATUS_OK) s = take_common(at, &out->id, &out->user_data_128, &c, err);
    if (s == STATUS_OK) s = take_id(at, "debit_account_id", &out->debit, err);
    if (s == STATUS_OK) s = take_id(at, "credit_account_id", &out->credit, err);
    if (s == STATUS_OK) s = take_id(at, "pending_id", &out->pending_id, err);
    if (s == STATUS_OK) s = take_flags(at, ledger_transfer_words, &out->flags, err);
    if (s == STATUS_OK) s = take_number(at, "timeout", UINT32_MAX, &timeout, err);
    if (s == STATUS_OK) s = take_amount(at, out->flags, &out->amount, err);
    if (s != STATUS_OK) return s;
    out->timeout_s = (uint32_t)timeout;
    out->user_data_64 = c.user_data_64;
    out->user_data_32 = (uint32_t)c.user_data_32;
    out->ledger = (uint32_t)c.ledger;
    out->code = (uint16_t)c.code;
    return STATUS_OK;
}

/* --- writing --- */

static void json_amount(struct buf *b, const char *name, i128 v)
{
    char text[I128_TEXT_MAX];
    i128_format(v, text);
    json_key(b, name);
    json_str(b, text);
}

void json_ledger_id(struct buf *b, const char *name, const struct ledger_id *id)
{
    char text[LEDGER_ID_TEXT_MAX];
    ledger_id_format(id, text);
    json_key(b, name);
    json_str(b, text);
}

static void json_number(struct buf *b, const char *name, uint64_t v)
{
    json_key(b, name);
    json_u64(b, v);
}

static void json_number_text(struct buf *b, const char *name, uint64_t v)
{
    json_key(b, name);
    json_u64_text(b, v);
}

static void json_flags(struct buf *b, const struct ledger_flag_word *words, uint16_t flags)
{
    json_key(b, "flags");
    json_open(b, '[');
    for (; words->word != NULL; words++) {
        if (flags & words->flag) json_str(b, words->word);
    }
    json_close(b, ']');
}

static void json_user_data(struct buf *b, const struct ledger_id *u128, uint64_t u64, uint32_t u32)
{
    if (!ledger_id_is_zero(u128)) json_ledger_id(b, "user_data_128", u128);
    if (u64 != 0) json_number_text(b, "user_data_64", u64);
    if (u32 != 0) json_number(b, "user_data_32", u32);
}

void json_ledger_balance(struct buf *b, const struct ledger_balance *balance)
{
    json_amount(b, "debits_pending", balance->debits_pending);
    json_amount(b, "debits_posted", balance->debits_posted);
    json_amount(b, "credits_pending", balance->credits_pending);
    json_amount(b, "credits_posted", balance->credits_posted);
}

void json_ledger_account(struct buf *b, const struct ledger_account *a, const struct ledger_balance *balance)
{
    uint16_t closed = balance->closed ? LEDGER_ACCOUNT_CLOSED : 0;
    json_ledger_id(b, "id", &a->id);
    json_number(b, "ledger", a->ledger);
    json_number(b, "code", a->code);
    json_flags(b, ledger_account_words, (uint16_t)(a->flags | closed));
    json_ledger_balance(b, balance);
    json_user_data(b, &a->user_data_128, a->user_data_64, a->user_data_32);
    json_number_text(b, "timestamp", a->timestamp);
}

void json_ledger_summed(struct buf *b, const struct ledger_account_reply *reply)
{
    if (!reply->summed) return;
    json_key(b, "summed");
    json_bool(b, true);
}

void json_ledger_item(struct buf *b, const struct ledger_transfer_item *item)
{
    const struct ledger_transfer *t = &item->transfer;
    json_open(b, '{');
    json_ledger_id(b, "id", &t->id);
    json_ledger_id(b, "debit_account_id", &t->debit);
    json_ledger_id(b, "credit_account_id", &t->credit);
    json_amount(b, "amount", t->amount);
    if (!ledger_id_is_zero(&t->pending_id)) json_ledger_id(b, "pending_id", &t->pending_id);
    json_number(b, "ledger", t->ledger);
    json_number(b, "code", t->code);
    json_flags(b, ledger_transfer_words, t->flags);
    if (t->timeout_s != 0) json_number(b, "timeout", t->timeout_s);
    json_user_data(b, &t->user_data_128, t->user_data_64, t->user_data_32);
    json_number_text(b, "timestamp", t->timestamp);
    json_key(b, "state");
    json_str(b, ledger_transfer_state_name(item->state));
    if (item->state == TRANSFER_REFUSED) {
        json_key(b, "result");
        json_str(b, ledger_result_name(item->refusal));
    }
    if (!ledger_id_is_zero(&item->resolved_by)) json_ledger_id(b, "resolved_by", &item->resolved_by);
    json_close(b, '}');
}

enum status json_want_currency(const struct json_at *at, struct ledger_currency *out, struct errbuf *err)
{
    static const char *const names[] = {"scale", "name"};
    uint64_t scale = 0;
    struct slice name = SLICE_EMPTY;
    *out = (struct ledger_currency){.ledger = 1};
    enum status s = json_want_object(at, names, 2, err);
    if (s != STATUS_OK) return s;
    struct json_at digits = json_field(at, "scale"), text = json_field(at, "name");
    s = json_want_u64(&digits, LEDGER_SCALE_MAX, &scale, err);
    if (s == STATUS_OK && text.value != NULL) s = json_want_text(&text, &name, err);
    if (s != STATUS_OK) return s;
    out->scale = (unsigned)scale;
    if (name.size <= LEDGER_CURRENCY_NAME_MAX) memcpy(out->name, name.data, name.size);
    if (name.size <= LEDGER_CURRENCY_NAME_MAX && strlen(out->name) == name.size && ledger_currency_valid(out))
        return STATUS_OK;
    return json_refuse(&text, STATUS_INVALID, err, "expected at most %u of A-Z, a-z, 0-9, _ and -",
                       LEDGER_CURRENCY_NAME_MAX);
}

void json_ledger_currency(struct buf *b, const struct ledger_currency *c)
{
    json_open(b, '{');
    json_key(b, "ledger");
    json_u64(b, c->ledger);
    json_key(b, "scale");
    json_u64(b, c->scale);
    json_key(b, "name");
    json_str(b, c->name);
    json_close(b, '}');
}

void json_ledger_outcome(struct buf *b, size_t index, const struct ledger_id *id, const struct ledger_outcome *o,
                         bool is_transfer)
{
    bool there = o->result == LEDGER_CREATED || o->result == LEDGER_EXISTS;
    json_open(b, '{');
    if (index != SIZE_MAX) json_number(b, "index", index);
    json_ledger_id(b, "id", id);
    json_key(b, "result");
    json_str(b, ledger_result_name(o->result));
    if (o->result == LEDGER_ID_ALREADY_FAILED) {
        json_key(b, "first_result");
        json_str(b, ledger_result_name(o->first));
    }
    if (there) json_number_text(b, "timestamp", o->timestamp);
    if (there && is_transfer) json_amount(b, "amount", o->amount);
    json_close(b, '}');
}

void json_ledger_audit(struct buf *b, const struct ledger_audit *audit)
{
    json_open(b, '{');
    json_key(b, "proven");
    json_bool(b, audit->faults == 0);
    json_number_text(b, "timestamp", audit->ts);
    json_number(b, "accounts", audit->accounts);
    json_number(b, "transfers", audit->transfers);
    json_number(b, "postings", audit->postings);
    json_number(b, "pending", audit->pending);
    json_number(b, "refusals", audit->refusals);
    json_number(b, "faults", audit->faults);
    if (audit->faults > 0) {
        json_key(b, "first_fault");
        json_str(b, audit->first_fault);
    }
    json_key(b, "ledgers");
    json_open(b, '[');
    for (size_t i = 0; i < audit->ledger_count; i++) {
        const struct ledger_audit_sums *s = &audit->sums[i];
        struct ledger_balance sums = {.debits_pending = s->debits_pending,
                                      .debits_posted = s->debits_posted,
                                      .credits_pending = s->credits_pending,
                                      .credits_posted = s->credits_posted};
        json_open(b, '{');
        json_number(b, "ledger", s->ledger);
        json_number(b, "accounts", s->accounts);
        json_number(b, "transfers", s->transfers);
        json_ledger_balance(b, &sums);
        json_close(b, '}');
    }
    json_close(b, ']');
    json_close(b, '}');
}
