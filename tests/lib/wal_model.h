/* A model of what the log must give back, and a world to try it in: memdisk, testenv, the log, and three states: after the
 * last batch that was acknowledged, after the one under way, and with what is being filled. Whatever happens, a reopened log
 * must show one of the first two: all that was acknowledged, nothing that was not submitted, whole batches, no gap. */
#ifndef QUORATE_TESTS_WAL_MODEL_H
#define QUORATE_TESTS_WAL_MODEL_H

#include "lib/memdisk.h"
#include "lib/testenv.h"
#include "wal/wal.h"

#define WM_GROUPS 5u

struct wm_entry {
    uint64_t index, term, uid; /* the data is a function of uid and size */
    uint32_t size;
    uint8_t type;
};
struct wm_group {
    bool has_record, has_hard_state;
    uint64_t record_uid;
    uint32_t record_size;
    struct wal_hard_state hard_state;
    uint64_t base; /* entries begin at base + 1 */
    struct wm_entry *entries;
    size_t count, capacity;
    uint64_t floor;
    uint64_t life; /* drops so far */
};
struct wm_state {
    struct wm_group groups[WM_GROUPS];
};

enum wm_result {
    WM_OK,
    WM_REFUSED, /* wal_open failed: m->status, m->err */
    WM_WRONG,   /* it opened and shows something else: m->wrong */
};

struct wm {
    struct memdisk *disk;
    struct testenv env;
    struct wal_options options;
    struct wal *wal; /* NULL: not open */
    struct prng prng;
    struct wm_state acked, sent, now;
    bool in_flight;         /* `sent` is being written */
    uint64_t acked_batches; /* callbacks seen */
    uint64_t next_uid;
    uint32_t data_max;   /* of an entry, usually */
    bool direct, killed; /* the test's notes: the disk can do DISK_DIRECT; the armed fault is a kill */
    enum status status;
    struct errbuf err;
    char wrong[256];
};

uint64_t wm_group_id(unsigned g);
void wm_init(struct wm *m, uint64_t seed);
void wm_free(struct wm *m);

/* Opens the log and compares. On WM_OK the states are what was found. */
enum wm_result wm_open(struct wm *m);
/* Opens the log on another disk (it stays open in nobody's hands: it is closed again) and compares with m's states;
 * needs nothing in flight. Does not change m, except status, err and wrong. */
enum wm_result wm_compare_on(struct wm *m, struct memdisk *disk);
void wm_close(struct wm *m);
/* The process and, with anything but MEMDISK_KEEP, the power go away. m->wal is NULL afterwards. */
void wm_crash(struct wm *m, enum memdisk_crash how);

void wm_put(struct wm *m); /* some record, chosen at random */
void wm_put_entry(struct wm *m, unsigned g, uint64_t index, uint32_t size);
void wm_put_group(struct wm *m, unsigned g, uint32_t size);
void wm_put_hard_state(struct wm *m, unsigned g);
void wm_put_reset(struct wm *m, unsigned g, uint64_t index);
void wm_put_dropped(struct wm *m, unsigned g);
uint64_t wm_last(const struct wm *m, unsigned g); /* last index put */
void wm_submit(struct wm *m, bool inline_write);
void wm_set_floor(struct wm *m, unsigned g, uint64_t index); /* capped at what is acknowledged */
/* Submits what is there, runs all tasks and steps until nothing is left. */
void wm_drain(struct wm *m);
/* One batch with `puts` random records, acknowledged. */
void wm_batch(struct wm *m, unsigned puts);

#endif
