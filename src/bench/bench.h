/* `quorate bench kv`, `scan`, `mixed`, `txn` and `ycsb`: a load of operations on rows in a closed loop (each lane sends when its answer is there) or at a
 * rate (latency then counts from when an operation was due, so a pause is not hidden by what was not sent during it).
 *
 * A lane is one operation at a time; `depth` lanes share a connection.
 *
 *   IDLE --an operation is due--> WAITING --answered--> IDLE
 *                                    |                    ^
 *                                    +--failed--> RESTING +  (for REST_MS: a refusing server is not stormed)
 *
 * Files: kv.c (options), load.c (lanes), native.c, http.c (how operations travel), history.c (what was done, for checkers),
 * keys.c (which key is next), report.c. */
#ifndef QUORATE_BENCH_BENCH_H
#define QUORATE_BENCH_BENCH_H

#include "base/prng.h"
#include "cli/cli_int.h"
#include "cli/latency.h"

#define BENCH_VALUE_TEXT 40u       /* "<run>-<number>": unique, filled up to the value's size */
#define BENCH_TXN_OPS_MAX 64u      /* of one transaction */
#define BENCH_IN_FLIGHT_PER_KEY 8u /* in histories: what an exhaustive search copes with */

enum bench_kind {
    BENCH_GET,
    BENCH_PUT,
    BENCH_DELETE,
    BENCH_CAS,
    BENCH_TRANSFER,
    BENCH_INSERT, /* a put of a key that is new */
    BENCH_SCAN,   /* some rows from a key on */
    BENCH_MODIFY, /* a get, then a put of the same key */
    BENCH_TXN,    /* one transaction of txn_reads gets and txn_writes puts, of keys of any ranges */
    BENCH_KINDS
};
struct bench_preset { /* what holds unless flags say otherwise */
    const char *name;
    uint64_t shares[BENCH_KINDS]; /* percent; puts are the rest */
    const char *spread;
    uint64_t value_bytes, key_count;
    bool fill;
};
enum bench_outcome {
    BENCH_OK,
    BENCH_REFUSED, /* served: a compare-and-swap found another value */
    BENCH_FAILED,  /* definitely did not happen */
    BENCH_UNKNOWN
};

struct bench_keys { /* keys.c: numbers in [0, count); latest: the highest are the hottest */
    enum bench_spread { SPREAD_UNIFORM, SPREAD_ZIPFIAN, SPREAD_SEQUENTIAL, SPREAD_LATEST } spread;
    uint64_t count, next, newest;   /* newest: how many there are with those inserted */
    double theta, zeta, alpha, eta; /* zipfian */
};
bool bench_keys_init(struct bench_keys *k, const char *spread, uint64_t count); /* false: no such spread */
uint64_t bench_keys_next(struct bench_keys *k, struct prng *p);
void bench_keys_insert(struct bench_keys *k); /* one more */

struct bench;
struct bench_op {
    enum bench_kind kind;
    uint64_t key, other;           /* other: transfer: who is given; scan: how many rows */
    uint64_t number;               /* of this operation in the run */
    char value[BENCH_VALUE_TEXT];  /* put, cas */
    char expect[BENCH_VALUE_TEXT]; /* cas; "": absent */
    uint64_t due_ns, call_ns;
};
struct bench_lane {
    struct bench *bench;
    enum { BENCH_IDLE, BENCH_WAITING, BENCH_RESTING } state;
    unsigned number;
    struct client *client; /* native; shared by `depth` lanes */
    struct http_client *http;
    struct bench_op op;
    uint64_t again_ns;
};

struct bench_wire {
    bool (*open)(struct bench *b); /* fills the lanes' connections; false: a text was printed */
    void (*send)(struct bench_lane *l);
    void (*close)(struct bench *b);
};
extern const struct bench_wire bench_native, bench_http;

struct bench {
    struct actor actor;
    struct cli *cli;
    struct env *env;
    /* what is wanted */
    const struct bench_preset *preset;
    const struct bench_wire *wire;
    char keyspace[64], prefix[128], http_address[LIMIT_ADDRESS_BYTES];
    uint64_t connections, depth, key_count, value_bytes, scan_rows, total, seconds, rate, txn_reads, txn_writes;
    uint64_t shares[BENCH_KINDS]; /* percent */
    bool ids, fill, noise;
    const char *history_path;
    struct bench_keys keys;
    struct prng prng;
    uint64_t run; /* distinguishes this run's values and ids from all others' */
    /* state: every lane reads once before the clock starts, so that connections stand; then, if wanted, every key is
     * written; then it is measured */
    enum { BENCH_WARM, BENCH_FILL, BENCH_MEASURE, BENCH_DRAIN } phase;
    struct bench_lane *lanes;
    unsigned lane_count, busy;
    uint64_t issued, filled; /* in this phase */
    uint64_t numbered;       /* in all */
    uint64_t begun_ns, end_ns, ended_ns, last_ok_ns;
    uint8_t *in_flight;                  /* per key; histories only */
    char (*last_seen)[BENCH_VALUE_TEXT]; /* per key: what a compare-and-swap expects; NULL without them */
    struct buf history;
    bool done, history_failed;
    /* what came of it */
    struct latency read, write, scan;
    uint64_t ok[BENCH_KINDS], rows, refused, failed, unknown, in_time;
    uint64_t pause_ns, pause_at_ns;
    struct errbuf first_error;
};
void bench_key(const struct bench *b, uint64_t key, struct buf *out);
void bench_fill_value(const struct bench *b, const char *text, struct buf *out); /* up to the wanted size */
/* From a wire. seen: the value that a get found, as it came; found: get and delete. why: for the first error's text. */
void bench_answered(struct bench_lane *l, enum bench_outcome outcome, bool found, struct slice seen, struct slice why);
void bench_run(struct bench *b);         /* load.c */
int bench_report(const struct bench *b); /* report.c; the exit status */

/* history.c */
void bench_history_note(struct bench *b, const struct bench_lane *l, enum bench_outcome outcome, bool found,
                        const char *seen, uint64_t ret_ns);
void bench_history_flush(struct bench *b);

#endif
