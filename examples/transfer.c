/* Moves 30 from alice to bob, if alice has them; prints both balances. transfer META-ADDRESSES */
#include <quorate.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int read_amount(struct quorate_txn *t, const char *key, long *amount)
{
    const void *value;
    size_t size;
    char text[32] = "";
    int e = quorate_get(t, key, strlen(key), &value, &size);
    if (e == QUORATE_OK && size < sizeof(text)) memcpy(text, value, size);
    *amount = strtol(text, NULL, 10);
    return e == QUORATE_NOT_FOUND ? QUORATE_OK : e;
}

static int write_amount(struct quorate_txn *t, const char *key, long amount)
{
    char text[32];
    int size = snprintf(text, sizeof(text), "%ld", amount);
    return quorate_put(t, key, strlen(key), text, (size_t)size);
}

struct transfer {
    const char *from, *to;
    long amount, left; /* left: what the payer has afterwards */
};

/* May run several times: it has no effect but through t. */
static int move_money(struct quorate_txn *t, void *ctx)
{
    struct transfer *m = ctx;
    long from, to;
    int e = read_amount(t, m->from, &from);
    if (e == QUORATE_OK) e = read_amount(t, m->to, &to);
    if (e != QUORATE_OK) return e;
    m->left = from;
    if (from < m->amount) return QUORATE_INVALID; /* any other answer than OK or RETRY ends it, and nothing is written */
    m->left = from - m->amount;
    e = write_amount(t, m->from, from - m->amount);
    return e == QUORATE_OK ? write_amount(t, m->to, to + m->amount) : e;
}

static int pay_in(struct quorate_txn *t, void *ctx)
{
    (void)ctx;
    return write_amount(t, "example/alice", 100);
}

int main(int argc, char **argv)
{
    char error[256];
    struct quorate_options options = {.meta = argc > 1 ? argv[1] : "127.0.0.1:7401,127.0.0.1:7402,127.0.0.1:7403"};
    struct quorate *db = quorate_open(&options, error, sizeof(error));
    if (db == NULL) {
        (void)fprintf(stderr, "transfer: %s\n", error);
        return 1;
    }
    struct transfer m = {.from = "example/alice", .to = "example/bob", .amount = 30};
    uint64_t version = 0;
    int e = quorate_run(db, "default", pay_in, NULL, NULL);
    if (e == QUORATE_OK) e = quorate_run(db, "default", move_money, &m, &version);
    if (e == QUORATE_OK) {
        (void)printf("moved 30 at %llu, alice has %ld\n", (unsigned long long)version, m.left);
    } else {
        (void)fprintf(stderr, "transfer: %s\n", e == QUORATE_INVALID ? "alice has not so much" : quorate_error(db));
    }
    quorate_close(db);
    return e == QUORATE_OK ? 0 : 1;
}
