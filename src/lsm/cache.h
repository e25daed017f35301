/* The cache of unpacked, verified blocks, with a budget in bytes. Loop only. A table's blocks are found through its own array of
 * slots (table.h), one pointer per block: a hit costs no search.
 *
 *            lsm_load             its task, good
 *   absent ------------> LOADING -------------------> HELD
 *    ^  ^                   | damaged, failed           | the first hit, or HOLD_PASSES passes
 *    |  +-------------------+                           v
 *    |--------------------------------------------- GUEST
 *    |                                                  | there is room, or it was a guest not long before
 *    +--- the clock finds it unused ------ RESIDENT <---+
 *
 * When CACHE_FLOOR others have become guests after it, a guest becomes a resident or goes. So what is read once, by a scan or at random, passes through a few hundred KiB which
 * stay in the processor's own caches, and turns out nobody. (As in 2Q: Johnson, Shasha, 1994.) Which guests went is remembered by a
 * fingerprint for about as many blocks as the budget holds. Residents are evicted by CLOCK.
 *
 * Progress: a block that somebody waited for is held until it was used once, and guests are up to CACHE_FLOOR + 8 per load under way, so that readers who need several blocks at once get them together however small the budget is. Where blocks
 * are so large that these exceed it by CACHE_OVER_BYTES, `floor` takes the place of CACHE_FLOOR: what one reader needs at once, a
 * block of each run, and a few. */
#ifndef QUORATE_LSM_CACHE_H
#define QUORATE_LSM_CACHE_H

#include "base/list.h"
#include "base/mem.h"
#include "lsm/table.h"

#define CACHE_FLOOR 64u
#define CACHE_FLOOR_LARGE 8u /* and one per run */
#define CACHE_OVER_BYTES ((size_t)16 << 20)
#define CACHE_HOLD_PASSES 64u
#define CACHE_SPARE_MAX 16u /* entries with room kept for the next loads */
#define CACHE_SMALL_BYTES MEM_LARGE_BYTES

enum cache_state { CACHE_LOADING, CACHE_HELD, CACHE_GUEST, CACHE_RESIDENT };

struct cache_entry { /* what a reader needs comes first */
    enum cache_state state;
    unsigned refs; /* readers that use it now: never evicted meanwhile */
    bool used;     /* since the clock passed by */
    uint32_t at;
    struct block block;
    const struct table *table; /* whose slot `at` points here */
    struct list link;          /* of those in its state; a LOADING entry is in no list */
    struct table_room room;    /* behind the entry, for the raw block; or none */
    struct cache_page *page;   /* which it lies in; NULL: memory of its own */
    uint8_t *raw;              /* what is not in the room: owned; or NULL */
    size_t bytes;
    uint64_t held_since; /* pass number */
    struct list waiters; /* LOADING: of the loader */
};

/* A large page full of entries with room. The first CACHE_SMALL_BYTES of entries lie outside of any: a small cache takes none. */
struct cache_page {
    struct list link;   /* among those with a place left */
    struct list left;   /* entries that were given back, the latest first */
    size_t used, fresh; /* places in use; places never used before, at the end */
};

struct cache {
    size_t slot_bytes; /* of an entry with room */
    struct cache_entry *spare[CACHE_SPARE_MAX];
    size_t spare_count;
    struct list pages; /* with a place left */
    size_t outside;    /* entries with room that are in no page, spare ones included */
    size_t floor;
    size_t count, bytes, budget; /* of entries that are not LOADING */
    size_t loading, guest_count;
    struct list held, guests, residents; /* the front came first; of the residents, it is under the clock's hand */
    uint32_t *gone;                      /* fingerprints of guests that went, each where its hash says */
    size_t gone_mask;
    uint64_t pass;
    uint64_t hits, misses;
};

/* room_bytes: raw blocks up to that size lie behind their entry. */
void cache_init(struct cache *c, size_t budget, size_t room_bytes);
void cache_free(struct cache *c); /* nothing may be referenced or loading */
void cache_pass(struct cache *c); /* once per pass of the loop */

void cache_unhold(struct cache *c, struct cache_entry *e); /* it becomes a guest */

/* A block that is there, with a reference, or NULL. */
static inline struct cache_entry *cache_get(struct cache *c, const struct table *t, uint32_t at)
{
    struct cache_entry *e = t->slots[at];
    if (e != NULL) { /* heads, prefix and stamps: fetched beside the entry, not after it */
        const char *end = (const char *)e + c->slot_bytes;
        __builtin_prefetch(end - 64);
        __builtin_prefetch(end - 128);
        __builtin_prefetch(end - 192);
    }
    if (e == NULL || e->state == CACHE_LOADING) {
        c->misses++;
        return NULL;
    }
    c->hits++;
    if (e->state == CACHE_HELD) cache_unhold(c, e);
    e->used = true;
    e->refs++;
    return e;
}
static inline void cache_release(struct cache_entry *e)
{
    if (e == NULL) return;
    ASSERT(e->refs > 0);
    e->refs--;
}

/* The slot must be empty. */
struct cache_entry *cache_load_begin(struct cache *c, const struct table *t, uint32_t at);
/* raw: the block's bytes, in e->room, or taken over. */
void cache_load_end(struct cache *c, struct cache_entry *e, uint8_t *raw, const struct block *block);
void cache_load_fail(struct cache *c, struct cache_entry *e); /* frees e; its waiters must have been taken */
void cache_hold(struct cache *c, struct cache_entry *e);      /* as if it had just been loaded */
void cache_forget(struct cache *c, const struct table *t);    /* the table goes; none of its blocks is in use */
void cache_check(const struct cache *c);

#endif
