/* The cache of unpacked, verified blocks, with a budget in bytes; evicts by CLOCK. Loop only.
 *
 *            lsm_load                 its task, good
 *   absent ------------> LOADING ----------------------> HELD
 *      ^                    | damaged, failed             | the first hit, or HOLD_PASSES passes
 *      |<-------------------+                             v
 *      +----------------------------------------------- CACHED   (the clock passes by and finds it unused, unreferenced)
 *
 * Progress: a block that somebody waited for is held until it was used once, and the clock evicts nothing while no more than
 * CACHE_FLOOR + 8 per load under way blocks are there besides those held, so that readers who need several blocks at once get them together
 * however small the budget is. */
#ifndef QUORATE_LSM_CACHE_H
#define QUORATE_LSM_CACHE_H

#include "base/list.h"
#include "lsm/block.h"

#define CACHE_FLOOR 64u
#define CACHE_HOLD_PASSES 64u

enum cache_state { CACHE_LOADING, CACHE_HELD, CACHE_CACHED };

struct cache_entry {
    uint64_t number, offset;   /* of the table, of the block */
    struct cache_entry *chain; /* of the hash bucket */
    struct list link;          /* the clock's; a LOADING entry is in no list */
    uint8_t *raw;              /* owned */
    size_t bytes;
    struct block block;
    unsigned refs; /* readers that use it now: never evicted meanwhile */
    enum cache_state state;
    bool used;           /* since the clock passed by */
    uint64_t held_since; /* pass number */
    struct list waiters; /* LOADING: of the loader */
};

struct cache {
    struct cache_entry **buckets;
    size_t bucket_count;
    size_t count, bytes, budget; /* of entries that are not LOADING */
    size_t total;                /* with those */
    size_t loading, held;
    struct list clock; /* the front is under the hand */
    uint64_t pass;
    uint64_t hits, misses;
};

void cache_init(struct cache *c, size_t budget);
void cache_free(struct cache *c); /* nothing may be referenced or loading */
void cache_pass(struct cache *c); /* once per pass of the loop */

/* A HELD or CACHED block with a reference, or NULL. */
struct cache_entry *cache_get(struct cache *c, uint64_t number, uint64_t offset);
void cache_release(struct cache_entry *e);

/* An entry in any state without a reference, or NULL: for the loader. */
struct cache_entry *cache_peek(const struct cache *c, uint64_t number, uint64_t offset);
struct cache_entry *cache_load_begin(struct cache *c, uint64_t number, uint64_t offset);
/* raw: the block's bytes, taken over. */
void cache_load_end(struct cache *c, struct cache_entry *e, uint8_t *raw, const struct block *block, size_t bytes);
void cache_load_fail(struct cache *c, struct cache_entry *e); /* frees e; its waiters must have been taken */
void cache_hold(struct cache *c, struct cache_entry *e);      /* as if it had just been loaded */
void cache_check(const struct cache *c);

#endif
