/* What bench/engine asks of a key-value engine: ours, RocksDB, LevelDB and LMDB stand behind the same table. A failure of
 * an engine ends the program (engine_die): figures of an engine that does not work are of no use. */
#ifndef QUORATE_BENCH_ENGINE_H
#define QUORATE_BENCH_ENGINE_H

#include "base/slice.h"

struct engine_config {
    const char *dir; /* exists */
    size_t memtable_bytes, cache_bytes;
};

struct engine_pair {
    struct slice key, value;
};

struct engine_ops {
    const char *name;
    size_t memtables[3]; /* sizes to be tried, the rest 0: the better one counts */
    void *(*open)(const struct engine_config *config);
    void (*close)(void *engine);
    /* Survives the process's death, not the machine's. */
    void (*put)(void *engine, struct slice key, struct slice value);
    /* One unit, on disk when it returns. */
    void (*put_synced)(void *engine, const struct engine_pair *pairs, size_t count);
    /* False: there is none. The value's bytes count as used: *sum grows by some of them. */
    bool (*get)(void *engine, struct slice key, uint64_t *sum);
    /* Reads up to max rows from key on (key empty: from the first, reverse: from the last). */
    size_t (*scan)(void *engine, struct slice key, size_t max, bool reverse, uint64_t *sum);
    void (*settle)(void *engine); /* everything flushed and compacted that is due */
    bool one_thread;              /* writes and reads come from one thread */
};
extern const struct engine_ops engine_ours, engine_rocksdb, engine_leveldb, engine_lmdb;

_Noreturn void engine_die(const char *engine, const char *what);

static inline void engine_use(struct slice value, uint64_t *sum)
{
    *sum += value.size + (value.size > 0 ? (uint64_t)value.data[0] + value.data[value.size - 1] : 0);
}

/* keys.c: keys number 0..N-1 in order, values that lz4 halves, a permutation for the random order. */
#define KEY_MAX 24u
struct key_space {
    uint64_t count;
    size_t key_size;       /* 16: decimal digits; 24: a prefix of 16 bytes and 8 digits */
    unsigned half_bits;    /* of the permutation */
    const uint8_t *values; /* 1 MiB */
    size_t value_size;
};
void key_space_init(struct key_space *k, uint64_t count, size_t key_size);
void key_space_free(struct key_space *k);
uint64_t key_shuffled(const struct key_space *k, uint64_t i, uint64_t seed); /* a permutation of 0..count-1 */
struct slice key_make(const struct key_space *k, uint64_t i, bool present, uint8_t out[KEY_MAX]);
struct slice key_value(const struct key_space *k, uint64_t i);

/* scarce.c: from now on this process and the page cache of what it reads have `bytes` together, and nothing in dir is
 * cached. False: the machine does not let us. */
bool scarce_begin(const char *dir, size_t bytes);

/* work.c: one program of work in a process of its own. Figures go to `report`. */
struct work {
    const struct engine_ops *ops;
    const char *dir;
    size_t memtable_bytes;
    uint64_t count;
    double pace;          /* percent of the time in which the long overwrite writes */
    double pause_seconds; /* how long it takes */
    bool cpu_clock;       /* reads are timed by the processor time of their thread */
    void (*report)(const char *metric, double value);
};
struct work_kind {
    const char *name;
    void (*run)(const struct work *w);
};
extern const struct work_kind work_kinds[];
extern const size_t work_kind_count;

double bench_now(void); /* seconds */

#endif
