/* Private to the workload: its parts are workload.c (phases), worker.c (one client's loop), register_ops.c, bank_ops.c,
 * tally_ops.c, read_ops.c, expiry_ops.c, chain_ops.c, append_ops.c, session_ops.c; calls.c (what they ask of routers). */
#ifndef QUORATE_TESTS_SIM_WORKLOAD_INT_H
#define QUORATE_TESTS_SIM_WORKLOAD_INT_H

#include "sim/keep_load.h"
#include "sim/ledger_load.h"
#include "sim/watch_load.h"
#include "sim/workload.h"

enum { WORKERS_MAX = 16, KEY_TEXT = 32, LISTS = 4, LISTS_PER_TXN = 3, ENDINGS = 4 };

/* A worker does one thing at a time:
 *
 *   THINKING --- timer ---> CALLING --- answered ---> THINKING, or (a repetition is wanted) PAUSING
 *                              ^------- not served, and it has an id: PAUSING --- timer ---+
 *
 * DONE: the workload drains, and nothing is open. */
enum worker_state { WORKER_THINKING, WORKER_CALLING, WORKER_PAUSING, WORKER_DONE };
enum task_kind {
    TASK_REGISTER,
    TASK_REGISTER_SCAN,
    TASK_TRANSFER,
    TASK_PAGE,
    TASK_TALLY,
    TASK_TALLY_READ,
    TASK_CHAIN,      /* reads and writes of several ranges in one transaction */
    TASK_CHAIN_READ, /* of one key, the latest */
    TASK_CHAIN_SCAN, /* of all, as of one timestamp */
    TASK_SHARE,      /* a transfer between accounts of different ranges */
    TASK_SHARE_READ,
    TASK_APPEND,  /* lists of several ranges are read, and written if they are still the same */
    TASK_SESSION, /* the same in an interactive transaction */
    TASK_ENDING,  /* rows that end by themselves */
    TASK_READ
};
enum read_what { READ_REGISTER, READ_BANK, READ_ALL };

struct worker {
    struct workload *load;
    unsigned number, client;
    enum worker_state state;
    enum task_kind task;
    /* the transaction under way; what it points to is here too */
    struct txn txn;
    struct txn_op ops[ACCOUNTS_MAX];
    struct txn_op else_ops[LISTS_PER_TXN];
    struct txn_compare compares[LISTS_PER_TXN];
    char keys[ACCOUNTS_MAX][KEY_TEXT];
    char text[96];
    uint8_t *value;
    uint64_t call_ns;  /* of the first attempt */
    uint64_t page_ns;  /* of a page's or scan's attempt */
    size_t op;         /* in the history */
    uint64_t transfer; /* number */
    size_t chain;      /* in history->chains: of the transaction under way */
    unsigned bank;
    bool final; /* audit */
    struct {
        client_txn_done txn;
        client_get_done get;
        client_scan_done scan;
        bool session;  /* the session's router; its callbacks are in session_ops.c */
        unsigned life; /* of the router; UINT32_MAX: there was none */
    } asked;           /* calls.c */
    /* a transaction on lists */
    struct append_txn *append;
    struct append_item *items; /* of it */
    unsigned list_count, list_at;
    bool appends[LISTS_PER_TXN];
    struct interact *session;
    unsigned lists[LISTS_PER_TXN];
    bool committing;
    /* a read by mode */
    struct read_how how;
    enum read_what read_what;
    unsigned read_key;
    uint64_t read_floor_ts; /* answered to anybody when the read was called */
    unsigned audit_at;      /* next thing to audit */
    /* a row that ends: what was known of read_key when it was called, and what is put */
    bool ending_reads, ending_writes;
    unsigned write_key, read_life, write_life;
    uint64_t ending_floor, ending_acked, ending_acked_ttl_ms, ending_read_calls;
    uint64_t ending_ttl_ms, ending_calls;
    /* the first answer, against which a repetition is compared */
    bool repeating;
    enum status answer;
    uint64_t answer_ts;
    char answer_value[I128_TEXT_MAX];
};

struct ending {                               /* a key whose rows end by themselves */
    uint64_t calls;                           /* puts that were called */
    uint64_t acked, acked_call, acked_ttl_ms; /* the newest that was acknowledged */
    unsigned life, open;                      /* puts under way */
    uint64_t missed;                          /* this version and those below have been missed by somebody */
};

enum boot_step { BOOT_INIT, BOOT_KEYSPACE, BOOT_FUND, BOOT_DONE };

struct workload {
    struct cluster *cluster;
    struct world *world;
    struct history *history;
    struct ledger_load *ledger;  /* NULL: not in this run */
    struct watch_load *watches;  /* likewise */
    struct keep_load *keeps;     /* likewise */
    struct backup_load *backups; /* likewise */
    struct money money;
    struct cuts cuts;
    struct worker workers[WORKERS_MAX];
    unsigned worker_count;
    enum boot_step boot;
    unsigned boot_bank;
    bool draining, auditing, splits_registers; /* these lie in two ranges */
    uint64_t last_id, last_append, answers;
    struct ending endings[ENDINGS];
    uint64_t last_seen[REGISTERS_MAX]; /* a value that somebody read, for cas */
    uint64_t last_seen_version[REGISTERS_MAX];
};

/* worker.c */
void worker_init(struct worker *w, struct workload *l, unsigned number);
void worker_free(struct worker *w);
void worker_think(struct worker *w);                   /* begins the loop, or goes on with it */
void worker_pause(struct worker *w);                   /* then the same again */
void worker_begin_txn(struct worker *w, bool with_id); /* forgets the last one */
void worker_add_op(struct worker *w, const struct txn_op *op);
void worker_call(struct worker *w);                 /* calls, or calls again, what the task says */
void worker_finish(struct worker *w);               /* this task is over */
uint32_t worker_timeout_ms(const struct worker *w); /* of the next call */
struct client *worker_client(const struct worker *w);
void workload_id(struct workload *l, struct txn_id *id);
extern const struct slice workload_keyspace;

/* register_ops.c */
void register_begin(struct worker *w);
void register_scan_begin(struct worker *w);
void register_call(struct worker *w);
void register_answered(struct worker *w, const struct client_error *e, const struct txn_result *result);
void register_audit(struct worker *w, unsigned key);
void register_scan_answered(struct worker *w, const struct client_error *e, const struct scan_reply *page);

/* calls.c: what the worker asks of its router; one thing at a time, and `done` is called once, whatever becomes of the router */
bool worker_router_is_up(struct worker *w);                  /* false: whoever asks learns it a little later */
bool worker_router_lives(const struct worker *w);            /* since the last question */
void worker_ask_txn(struct worker *w, client_txn_done done); /* w->txn */
void worker_ask_get(struct worker *w, struct slice key, const struct read_how *how, client_get_done done);
void worker_ask_scan(struct worker *w, const struct client_scan *scan, client_scan_done done);
void workload_router_died(void *ctx);

/* tally_ops.c */
void tally_begin(struct worker *w);
void tally_read_begin(struct worker *w);
void tally_read(struct worker *w);
void tally_answered(struct worker *w, const struct client_error *e, const struct txn_result *result);

/* read_ops.c */
void read_begin_task(struct worker *w);
void read_call(struct worker *w);
void read_note_strong(struct worker *w, unsigned key, uint64_t version);

/* chain_ops.c */
bool chain_has_key(struct slice key);
void chain_begin(struct worker *w);
void chain_read_begin(struct worker *w);
void chain_scan_begin(struct worker *w);
void chain_call(struct worker *w);
void chain_answered(struct worker *w, const struct client_error *e, const struct txn_result *result);
void share_begin(struct worker *w);
void share_read_begin(struct worker *w);
void share_answered(struct worker *w, const struct client_error *e, const struct txn_result *result);

/* append_ops.c */
void append_begin(struct worker *w);
void append_call(struct worker *w);
void append_answered(struct worker *w, const struct client_error *e, const struct txn_result *result);
void list_key(char text[KEY_TEXT], unsigned number);
void list_take(struct worker *w, struct slice text, struct append_item *item); /* what was read, into the item */
struct slice list_append(struct worker *w, struct slice text, uint64_t value);

/* session_ops.c */
bool session_wanted(const struct worker *w);
void session_begin(struct worker *w);
void session_call(struct worker *w);
void session_lost(struct worker *w, bool unknown);

/* expiry_ops.c */
void ending_begin(struct worker *w);
void ending_call(struct worker *w);
void ending_answered(struct worker *w, const struct client_error *e, const struct txn_result *result);

/* bank_ops.c */
void bank_fund(struct worker *w, unsigned bank); /* fills in the transaction */
void transfer_begin(struct worker *w);
void transfer_answered(struct worker *w, const struct client_error *e, const struct txn_result *result);
void page_begin(struct worker *w, unsigned bank, bool final);
void page_answered(struct worker *w, const struct client_error *e, const struct scan_reply *page);

#endif
