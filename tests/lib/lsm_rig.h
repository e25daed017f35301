/* A store under test beside its model. The model is the log of what each group applied: what the store must hold after a
 * crash is the prefix of it that lsm_durable names, and what it must hold now is all of it.
 *
 * Group g owns the keys that begin with the letter 'a' + g. Deterministic: everything is drawn from the rig's prng. */
#ifndef QUORATE_TESTS_LSM_RIG_H
#define QUORATE_TESTS_LSM_RIG_H

#include "lib/memdisk.h"
#include "lib/testenv.h"
#include "lsm/lsm.h"

#define RIG_GROUPS 3u
#define RIG_KEY_MAX 48u

struct rig_row {
    uint64_t ts;
    enum lsm_kind kind;
    size_t key_size, value_size;
    uint8_t key[RIG_KEY_MAX];
    uint8_t *value;
};

struct rig_rows { /* sorted as the store sorts */
    struct rig_row *rows;
    size_t count, capacity;
};

struct rig_entry { /* one log entry of a group: writes, or the replacement of [start, end) by the rows of a snapshot */
    uint64_t index;
    bool replace, erase; /* erase: of [start, end), at `ts` */
    uint64_t ts;
    uint8_t start[RIG_KEY_MAX], end[RIG_KEY_MAX];
    size_t start_size, end_size;
    struct rig_rows rows; /* in the order of writing, or sorted for a replacement */
};

struct rig_group {
    struct rig_entry *entries;
    size_t count, capacity;
};

struct rig {
    struct memdisk *disk;
    struct testenv env;
    struct lsm_options options;
    struct lsm *l;
    struct prng prng;
    struct rig_group groups[RIG_GROUPS];
    struct rig_rows rows; /* the model of now */
    uint64_t ts;          /* the latest timestamp written */
    uint64_t safepoint;
    unsigned keys; /* different keys per group, about */
    size_t value_max;
    bool damaged_allowed; /* STATUS_CORRUPT and STATUS_IO are good answers; wrong ones are not */
    uint64_t corrupt_seen;
    bool ingest_failed;       /* rig_replace was told so and gave up */
    uint64_t compacted_bytes; /* written by compactions of stores closed since */
    enum status open_status;  /* of the last rig_open */
    struct errbuf err;
};

void rig_init(struct rig *r, uint64_t seed); /* tiny sizes, nothing opened */
void rig_free(struct rig *r);                /* closes */
bool rig_open(struct rig *r);                /* false: open_status and err say why */
void rig_close(struct rig *r);               /* tasks under way are finished first (or cancelled on a dead env) */
/* As after a power cut: drops the store without a further call to the disk, then shows what survived. */
void rig_crash(struct rig *r, enum memdisk_crash how);
/* After an open: cuts the model back to what lsm_durable says, and then applies the rest anew if `reapply`. */
void rig_recover(struct rig *r, bool reapply);

void rig_write(struct rig *r); /* one random entry of a random group */
void rig_write_many(struct rig *r, unsigned entries);
void rig_step(struct rig *r);    /* lsm_step and perhaps a task or a completion */
void rig_settle(struct rig *r);  /* steps until nothing is due */
void rig_flush(struct rig *r);   /* lsm_flush, until it is done or the env is dead */
bool rig_replace(struct rig *r); /* ingests random rows in place of a random part of a group; false: failed */

void rig_replace_group(struct rig *r, unsigned group); /* all of a group's keys; must succeed */

/* Reads in the store what the model says, through misses. Fail the test on a difference. */
void rig_check_get(struct rig *r, struct slice key, uint64_t ts);
void rig_check_scan(struct rig *r, struct slice start, struct slice end, uint64_t ts, bool reverse);
void rig_check_random(struct rig *r, unsigned times);
void rig_check_all(struct rig *r); /* every key at several timestamps, and scans of everything */
void rig_check_view(struct rig *r, struct slice start,
                    struct slice end); /* all versions; only exact below no safepoint */

struct slice rig_random_key(struct rig *r, unsigned group, uint8_t key[RIG_KEY_MAX]);
const struct rig_row *rig_model_get(const struct rig *r, struct slice key, uint64_t ts);

#endif
