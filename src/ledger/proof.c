/* The audit's reasoning: see proof.h. It trusts no result that it has not computed from rows. */
#include "ledger/proof.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

struct ledger_proof {
    struct ledger_audit audit;
    struct ledger_audit_sums *sums;
    /* the account whose rows are being read */
    bool in_account, has_meta;
    struct ledger_account account;
    i128 slots[SLOT_COUNT];
    struct ledger_balance posted;
    /* the transfer whose rows are being read */
    bool has_resolution;
    struct ledger_id resolved;
    struct resolution resolution;
    /* fingerprints: what is there, and what must be there */
    uint64_t postings_there, postings_due, resolutions_there, resolutions_due, expiries_there, expiries_due;
};

struct ledger_proof *ledger_proof_new(void)
{
    struct ledger_proof *c = mem_zalloc(sizeof *c);
    c->sums = mem_zalloc(LEDGER_AUDIT_LEDGERS_MAX * sizeof *c->sums);
    return c;
}

void ledger_proof_free(struct ledger_proof *c)
{
    if (c == NULL) return;
    mem_free(c->sums);
    mem_free(c);
}

static void fault(struct ledger_proof *c, const char *what, const struct ledger_id *id)
{
    char text[LEDGER_ID_TEXT_MAX] = "";
    if (id != NULL) ledger_id_format(id, text);
    if (c->audit.faults++ == 0) {
        snprintf(c->audit.first_fault, sizeof(c->audit.first_fault), "%s%s%s", what, id != NULL ? ": " : "", text);
    }
}

static struct ledger_audit_sums *sums_of(struct ledger_proof *c, uint32_t ledger)
{
    for (size_t i = 0; i < c->audit.ledger_count; i++) {
        if (c->sums[i].ledger == ledger) return &c->sums[i];
    }
    if (c->audit.ledger_count == LEDGER_AUDIT_LEDGERS_MAX) {
        fault(c, "more ledgers than an audit can tell apart", NULL);
        return &c->sums[0];
    }
    c->sums[c->audit.ledger_count] = (struct ledger_audit_sums){.ledger = ledger};
    return &c->sums[c->audit.ledger_count++];
}

/* --- accounts --- */

static void account_close(struct ledger_proof *c)
{
    const struct ledger_account *a = &c->account;
    const struct ledger_balance *p = &c->posted;
    if (!c->in_account) return;
    c->in_account = false;
    if (!c->has_meta) {
        fault(c, "rows of an account that was never created", &a->id);
        return;
    }
    struct ledger_balance b = account_balance(a->flags, c->slots);
    if (b.debits_posted != p->debits_posted || b.credits_posted != p->credits_posted ||
        b.debits_pending != p->debits_pending || b.credits_pending != p->credits_pending) {
        fault(c, "a balance is not the sum of its postings: account", &a->id);
    }
    bool debits_ok = b.debits_posted + b.debits_pending <= b.credits_posted;
    bool credits_ok = b.credits_posted + b.credits_pending <= b.debits_posted;
    if ((a->flags & LEDGER_DEBITS_MUST_NOT_EXCEED_CREDITS) && !debits_ok) fault(c, "debits exceed credits", &a->id);
    if ((a->flags & LEDGER_CREDITS_MUST_NOT_EXCEED_DEBITS) && !credits_ok) fault(c, "credits exceed debits", &a->id);
    struct ledger_audit_sums *s = sums_of(c, a->ledger);
    s->accounts++;
    s->debits_posted += b.debits_posted;
    s->credits_posted += b.credits_posted;
    s->debits_pending += b.debits_pending;
    s->credits_pending += b.credits_pending;
}

static void account_open(struct ledger_proof *c, const struct ledger_id *id)
{
    if (c->in_account && ledger_id_eq(&c->account.id, id)) return;
    account_close(c);
    c->in_account = true;
    c->has_meta = false;
    c->account = (struct ledger_account){.id = *id};
    c->posted = (struct ledger_balance){.closed = false};
    memset(c->slots, 0, sizeof(c->slots));
    c->audit.accounts++;
}

static enum status take_postings(struct ledger_proof *c, struct slice value, uint64_t base)
{
    struct posting p;
    enum status s;
    while ((s = row_get_posting(&value, base, &p)) == STATUS_OK) {
        c->posted.debits_posted += p.debits;
        c->posted.credits_posted += p.credits;
        c->posted.debits_pending += p.debits_pending;
        c->posted.credits_pending += p.credits_pending;
        c->postings_there += posting_fingerprint(&c->account.id, &p);
        c->audit.postings++;
    }
    return s == STATUS_END ? STATUS_OK : s;
}

/* --- transfers --- */

static void due(struct ledger_proof *c, const struct ledger_transfer *t, uint64_t timestamp, i128 posted, i128 pending)
{
    struct posting debit = {.transfer = t->id, .timestamp = timestamp, .debits = posted, .debits_pending = pending};
    struct posting credit = {.transfer = t->id, .timestamp = timestamp, .credits = posted, .credits_pending = pending};
    c->postings_due += posting_fingerprint(&t->debit, &debit) + posting_fingerprint(&t->credit, &credit);
}

static uint64_t pair_fingerprint(const struct ledger_id *a, const struct ledger_id *b)
{
    uint8_t bytes[32];
    memcpy(bytes, a->bytes, 16);
    memcpy(bytes + 16, b->bytes, 16);
    return hash_bytes(slice_make(bytes, sizeof(bytes)), 19);
}

static uint64_t expiry_fingerprint(uint64_t at_ms, const struct ledger_id *id)
{
    return hash_bytes(slice_make(id->bytes, 16), 23) * (at_ms | 1);
}

static void take_pending(struct ledger_proof *c, const struct ledger_transfer *t, bool resolved)
{
    due(c, t, t->timestamp, 0, t->amount);
    if (!resolved) {
        c->audit.pending++;
        uint64_t at_ms = (t->timestamp >> TS_COUNTER_BITS) + (uint64_t)t->timeout_s * 1000;
        if (t->timeout_s != 0) c->expiries_due += expiry_fingerprint(at_ms, &t->id);
    } else if (c->resolution.kind == RESOLUTION_EXPIRED) {
        due(c, t, c->resolution.timestamp, 0, -t->amount);
    } else {
        c->resolutions_there += pair_fingerprint(&t->id, &c->resolution.by);
    }
}

static void take_transfer(struct ledger_proof *c, const struct transfer_row *row)
{
    const struct ledger_transfer *t = &row->transfer;
    bool resolved = c->has_resolution && ledger_id_eq(&c->resolved, &t->id);
    if (c->has_resolution && !resolved) fault(c, "a resolution without its transfer", &c->resolved);
    c->has_resolution = false;
    if (row->result != LEDGER_CREATED) {
        c->audit.refusals++;
        if (resolved) fault(c, "a refused transfer was resolved", &t->id);
        return;
    }
    c->audit.transfers++;
    sums_of(c, t->ledger)->transfers++;
    if (t->flags & LEDGER_PENDING) {
        take_pending(c, t, resolved);
    } else if (t->flags & (LEDGER_POST_PENDING | LEDGER_VOID_PENDING)) {
        due(c, t, t->timestamp, t->flags & LEDGER_POST_PENDING ? t->amount : 0, -t->pending_amount);
        c->resolutions_due += pair_fingerprint(&t->pending_id, &t->id);
    } else {
        due(c, t, t->timestamp, t->amount, 0);
    }
}

/* --- rows --- */

static enum status take_row(struct ledger_proof *c, struct slice at, struct slice value)
{
    struct ledger_key key;
    struct transfer_row transfer;
    enum status s = ledger_key_decode(at, &key);
    if (s != STATUS_OK) return s;
    switch (key.row) {
    case LEDGER_ROW_ACCOUNT:
        account_open(c, &key.id);
        c->has_meta = true;
        return row_get_account(value, &c->account);
    case LEDGER_ROW_COUNTER:
        account_open(c, &key.id);
        return i128_parse(value, &c->slots[key.slot]) ? STATUS_OK : STATUS_CORRUPT;
    case LEDGER_ROW_POSTINGS: account_open(c, &key.id); return take_postings(c, value, key.at);
    case LEDGER_ROW_RESOLUTION:
        if (c->has_resolution) fault(c, "a resolution without its transfer", &c->resolved);
        c->has_resolution = true;
        c->resolved = key.id;
        return row_get_resolution(value, &c->resolution);
    case LEDGER_ROW_TRANSFER:
        transfer.transfer.id = key.id;
        s = row_get_transfer(value, &transfer);
        if (s == STATUS_OK) take_transfer(c, &transfer);
        return s;
    case LEDGER_ROW_CURRENCY: return row_get_currency(value, &(struct ledger_currency){0});
    case LEDGER_ROW_EXPIRY: c->expiries_there += expiry_fingerprint(key.at, &key.id); return STATUS_OK;
    }
    BUG("row");
}

void ledger_proof_take(struct ledger_proof *c, struct slice key, struct slice value)
{
    if (take_row(c, key, value) != STATUS_OK) fault(c, "a row that cannot be read", NULL);
}

const struct ledger_audit *ledger_proof_judge(struct ledger_proof *c, uint64_t ts)
{
    account_close(c);
    if (c->has_resolution) fault(c, "a resolution without its transfer", &c->resolved);
    for (size_t i = 0; i < c->audit.ledger_count; i++) {
        const struct ledger_audit_sums *s = &c->sums[i];
        struct ledger_id ledger = ledger_id_of(0, s->ledger);
        if (s->debits_posted != s->credits_posted) fault(c, "debits are not credits in ledger", &ledger);
        if (s->debits_pending != s->credits_pending) fault(c, "pending debits are not credits in ledger", &ledger);
    }
    if (c->postings_there != c->postings_due) fault(c, "postings and transfers do not say the same", NULL);
    if (c->resolutions_there != c->resolutions_due)
        fault(c, "pending transfers and what resolved them do not fit", NULL);
    if (c->expiries_there != c->expiries_due) fault(c, "the list of timeouts is not that of pending transfers", NULL);
    c->audit.ts = ts;
    c->audit.sums = c->sums;
    return &c->audit;
}
