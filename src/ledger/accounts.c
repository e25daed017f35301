/* Creating accounts: read which ids are taken, judge in order, insert the new ones in one transaction; begin again when somebody was
 * faster. Parts of at most PART accounts, one after the other, whole chains.
 *
 *   READING (gets) --> INSERTING --created--> the next part, or done
 *      ^                   |
 *      +------ refused ----+      woken by each answer; each ends by the deadline */
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "ledger/ledger_int.h"

#define PART LEDGER_ACCOUNT_CHAIN_MAX

struct account_found {
    struct accounts_call *call;
    bool found;
    struct ledger_account account;
};
struct accounts_call {
    struct ledger_call call;
    struct ledger_account *accounts;
    struct ledger_outcome *outcomes;
    struct account_found *found; /* one for each */
    size_t count, next, until;
    size_t part; /* accounts in a transaction: fewer where they lie in too many ranges for one */
    size_t asked, under_way;
    uint64_t deadline_ns, stamp;
    bool done_some;
    struct client_error failed;
    char text[200];
    ledger_done done;
    void *ctx;
};

static void part_begin(struct accounts_call *c);

static void accounts_free(struct ledger_call *call)
{
    struct accounts_call *c = LIST_ENTRY(call, struct accounts_call, call);
    mem_free(c->accounts);
    mem_free(c->outcomes);
    mem_free(c->found);
    mem_free(c);
}

static void accounts_fail(struct accounts_call *c, const struct client_error *e)
{
    struct client_error with = *e;
    with.unknown_outcome |= c->done_some;
    c->done(c->ctx, &with, c->outcomes, 0);
    call_end(&c->call);
}

/* --- judging --- */

/* The id again, earlier in this part and created: it is taken by then. */
static const struct ledger_account *created_before(const struct accounts_call *c, size_t index)
{
    for (size_t i = index; i-- > c->next;) {
        if (c->outcomes[i].result == LEDGER_CREATED && ledger_id_eq(&c->accounts[i].id, &c->accounts[index].id)) {
            return &c->accounts[i];
        }
    }
    return NULL;
}

static void judge_account(struct accounts_call *c, size_t index, bool look_back)
{
    struct ledger_account *a = &c->accounts[index];
    struct ledger_outcome *out = &c->outcomes[index];
    const struct account_found *f = &c->found[index];
    *out = (struct ledger_outcome){.result = ledger_account_judge(a)};
    if (out->result != LEDGER_CREATED) return;
    const struct ledger_account *there = f->found ? &f->account : look_back ? created_before(c, index) : NULL;
    if (there != NULL) {
        out->result = ledger_account_compare(a, there);
        out->timestamp = there->timestamp;
        return;
    }
    a->timestamp = out->timestamp = c->stamp + index;
}

/* Whether an id comes twice: looking back is for those few. */
static bool part_has_twins(const struct accounts_call *c)
{
    struct map seen;
    bool twins = false;
    map_init(&seen);
    for (size_t i = c->next; i < c->until && !twins; i++) {
        const uint8_t *id = c->accounts[i].id.bytes;
        uint64_t half;
        memcpy(&half, id + 8, sizeof(half));
        twins = map_put(&seen, half + (uint64_t)id[7] * 3 + (uint64_t)id[0] * 7, c->accounts) != NULL;
    }
    map_free(&seen);
    return twins;
}

static void judge_part(struct accounts_call *c)
{
    bool twins = part_has_twins(c);
    for (size_t from = c->next; from < c->until;) {
        size_t to = from, failed = SIZE_MAX;
        bool linked;
        do {
            judge_account(c, to, twins);
            if (c->outcomes[to].result != LEDGER_CREATED && failed == SIZE_MAX) failed = to;
            linked = (c->accounts[to].flags & LEDGER_ACCOUNT_LINKED) != 0;
            to++;
        } while (linked && to < c->until);
        if (linked && failed == SIZE_MAX) {
            failed = to - 1;
            c->outcomes[failed] = (struct ledger_outcome){.result = LEDGER_LINKED_EVENT_CHAIN_OPEN};
        }
        for (size_t i = from; i < to && failed != SIZE_MAX; i++) {
            if (i != failed) c->outcomes[i] = (struct ledger_outcome){.result = LEDGER_LINKED_EVENT_FAILED};
        }
        from = to;
    }
}

/* --- inserting --- */

static void part_done(struct accounts_call *c)
{
    struct ledger *l = c->call.ledger;
    for (size_t i = c->next; i < c->until; i++) {
        if (c->outcomes[i].result != LEDGER_CREATED) continue;
        ledger_learn_account(l, &c->accounts[i]);
        ledger_learn_net(l, &c->accounts[i].id, 0);
    }
    c->done_some = true;
    c->next = c->until;
    if (c->next < c->count) {
        part_begin(c);
        return;
    }
    c->done(c->ctx, &(struct client_error){.status = STATUS_OK, .message = SLICE_EMPTY}, c->outcomes, c->count);
    call_end(&c->call);
}

static size_t chain_end(const struct accounts_call *c, size_t from)
{
    while (from + 1 < c->count && (c->accounts[from].flags & LEDGER_ACCOUNT_LINKED)) from++;
    return from + 1;
}

static void part_halve(struct accounts_call *c)
{
    COVER("ledger.accounts_halved");
    c->part = (c->until - c->next) / 2;
    call_wait(&c->call, 0);
}

static void insert_done(void *ctx, const struct client_error *e, const struct txn_result *result)
{
    struct accounts_call *c = ctx;
    if (e->status != STATUS_OK) {
        if (ledger_create_keyspace(c->call.ledger, e))
            call_wait(&c->call, 50);
        else if (e->status == STATUS_TOO_LARGE && !e->unknown_outcome && c->until > chain_end(c, c->next))
            part_halve(c);
        else
            accounts_fail(c, e);
    } else if (result->status == STATUS_OK) {
        part_done(c);
    } else if (result->status == STATUS_EXISTS) {
        COVER("ledger.account_race");
        call_wait(&c->call, 0);
    } else {
        accounts_fail(
            c, &(struct client_error){.status = result->status, .message = slice_str(status_text(result->status))});
    }
}

static void part_insert(struct accounts_call *c)
{
    struct ledger *l = c->call.ledger;
    struct arena arena;
    struct buf value;
    struct txn t = {.op_count = 0};
    judge_part(c);
    arena_init(&arena, 64u * 1024u);
    buf_init(&value, 256);
    t.ops = arena_alloc(&arena, (c->until - c->next) * sizeof(*t.ops));
    for (size_t i = c->next; i < c->until; i++) {
        if (c->outcomes[i].result != LEDGER_CREATED) continue;
        buf_clear(&value);
        row_put_account(&value, &c->accounts[i]);
        t.ops[t.op_count++] = (struct txn_op){.kind = TXN_INSERT,
                                              .key = key_account(&arena, &c->accounts[i].id),
                                              .value = arena_dup_slice(&arena, buf_slice(&value)),
                                              .has_ttl = true};
    }
    if (t.op_count == 0)
        part_done(c);
    else
        client_txn(l->client, l->keyspace, &t, ledger_left_ms(l, c->deadline_ns), insert_done, c);
    buf_free(&value);
    arena_free(&arena);
}

/* --- reading --- */

static void part_read(struct accounts_call *c);

static void account_get_done(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct account_found *f = ctx;
    struct accounts_call *c = f->call;
    f->account.id = c->accounts[f - c->found].id;
    c->under_way--;
    enum status s = e->status;
    f->found = s == STATUS_OK && reply->found;
    if (f->found) s = row_get_account(reply->value, &f->account);
    if (s != STATUS_OK && c->failed.status == STATUS_OK) {
        snprintf(c->text, sizeof(c->text), "%.*s", (int)e->message.size, (const char *)e->message.data);
        c->failed = (struct client_error){.status = s, .message = slice_str(c->text)};
    }
    part_read(c);
}

static void part_read(struct accounts_call *c)
{
    struct ledger *l = c->call.ledger;
    while (c->failed.status == STATUS_OK && c->asked < c->until && c->under_way < LEDGER_GETS_MAX) {
        struct account_found *f = &c->found[c->asked];
        struct arena arena;
        f->call = c;
        c->under_way++;
        arena_init(&arena, 64);
        client_get(l->client, l->keyspace, key_account(&arena, &c->accounts[c->asked++].id),
                   ledger_left_ms(l, c->deadline_ns), account_get_done, f);
        arena_free(&arena);
    }
    if (c->under_way > 0) return;
    if (c->failed.status == STATUS_OK) {
        part_insert(c);
    } else if (ledger_create_keyspace(l, &c->failed)) {
        c->failed.status = STATUS_OK;
        call_wait(&c->call, 50);
    } else {
        accounts_fail(c, &c->failed);
    }
}

/* As many whole chains as there is room for, one at least. */
static size_t part_end(const struct accounts_call *c)
{
    size_t end = chain_end(c, c->next);
    while (end < c->count && chain_end(c, end) - c->next <= c->part) end = chain_end(c, end);
    return end;
}

static void part_begin(struct accounts_call *c)
{
    struct ledger *l = c->call.ledger;
    static const char late[] = "the deadline passed before the accounts were created";
    if (env_mono_ns(l->env) >= c->deadline_ns) {
        accounts_fail(c, &(struct client_error){.status = STATUS_TIMEOUT, .message = slice_str(late)});
        return;
    }
    c->until = part_end(c);
    if (c->until - c->next > PART) {
        static const char chains[] = "a chain of linked accounts has at most 2000: it is one transaction";
        accounts_fail(c, &(struct client_error){.status = STATUS_TOO_LARGE, .message = slice_str(chains)});
        return;
    }
    if (l->create.asking || !ledger_stamps(l, c->count, &c->stamp)) {
        call_wait(&c->call, 2);
        return;
    }
    c->asked = c->next;
    part_read(c);
}

static void accounts_again(struct ledger_call *call, uint64_t now_ns)
{
    struct accounts_call *c = LIST_ENTRY(call, struct accounts_call, call);
    (void)now_ns;
    if (c->failed.status == STATUS_OK)
        part_begin(c);
    else
        accounts_fail(c, &c->failed);
}

void ledger_create_accounts(struct ledger *l, const struct ledger_account *accounts, size_t count, uint32_t timeout_ms,
                            ledger_done done, void *ctx)
{
    static const char sizes[] = "a batch has 1 to 8190 accounts";
    struct accounts_call *c = mem_zalloc(sizeof(*c));
    c->call.free = accounts_free;
    c->call.again = accounts_again;
    c->accounts = mem_dup(accounts, count * sizeof(*accounts));
    c->outcomes = mem_zalloc((count + 1) * sizeof(*c->outcomes));
    c->found = mem_zalloc((count + 1) * sizeof(*c->found));
    c->count = count;
    c->part = PART;
    c->deadline_ns = env_mono_ns(l->env) + (uint64_t)timeout_ms * NS_PER_MS;
    c->done = done;
    c->ctx = ctx;
    if (count == 0 || count > LEDGER_BATCH_MAX) {
        c->failed = (struct client_error){.status = STATUS_TOO_LARGE, .message = slice_str(sizes)};
    }
    call_begin(l, &c->call);
    call_wait(&c->call, 0);
}
