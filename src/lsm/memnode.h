/* Private to the memtable: its rows, and the nodes of its tree. */
#ifndef QUORATE_LSM_MEMNODE_H
#define QUORATE_LSM_MEMNODE_H

#include "lsm/row.h"

/* Each node keeps, next to the pointers to its rows, an array of key heads taken after the prefix that all keys of the
 * node share. A search touches the heads and, as a rule, one row. The prefix is checked against its last 8 bytes, which
 * the node holds too; the bytes before them are known to match from the node above. */
#define NODE_ROWS 64u
#define KIND_BIT 0x80000000u

struct memrow {
    uint64_t ts;
    uint32_t key_size;
    uint32_t value_size; /* KIND_BIT: LSM_PUT */
    uint8_t bytes[];     /* key, value */
};

struct memnode {
    uint32_t count;
    uint32_t prefix; /* bytes shared by the keys of all rows below */
    uint64_t tail;   /* the last 8 bytes of the prefix (all of a shorter one), big-endian */
    uint64_t heads[NODE_ROWS];
    const struct memrow *rows[NODE_ROWS]; /* inner: rows[i] is the least that child i + 1 may hold */
};

struct memtarget {
    struct slice key;
    uint64_t ts;
};

static inline struct slice memrow_key(const struct memrow *r)
{
    return slice_make(r->bytes, r->key_size);
}

static inline int memrow_cmp(const struct memrow *r, const struct memtarget *t)
{
    return row_cmp(memrow_key(r), r->ts, t->key, t->ts);
}

static inline uint64_t memrow_prefix_tail(struct slice key, size_t prefix)
{
    if (prefix >= 8) return load_be64(key.data + prefix - 8);
    uint64_t tail = 0;
    for (size_t i = 0; i < prefix; i++) tail = tail << 8 | key.data[i];
    return tail;
}

/* < 0: the target's key is before all keys with the node's prefix; > 0: after; 0: it has the prefix. `known`: bytes of the
 * prefix that are known to match. */
static inline int memnode_cmp_prefix(const struct memnode *n, struct slice key, size_t known)
{
    size_t prefix = n->prefix;
    if (prefix <= known) return 0;
    if (key.size >= prefix && prefix - known <= 8) {
        uint64_t tail = memrow_prefix_tail(key, prefix);
        return (tail > n->tail) - (tail < n->tail);
    }
    size_t size = key.size < prefix ? key.size : prefix;
    int c = size > 0 ? memcmp(key.data, n->rows[0]->bytes, size) : 0;
    if (c == 0 && key.size < prefix) return -1;
    return c;
}

/* The number of rows before the target; *equal: the next one is the target itself. *known as for memnode_cmp_prefix, and on return
 * what is known of every child but the first and the last. */
static inline unsigned memnode_search(const struct memnode *n, const struct memtarget *t, size_t *known, bool *equal)
{
    *equal = false;
    if (n->count == 0) return 0;
    int c = memnode_cmp_prefix(n, t->key, *known);
    if (c != 0) return c < 0 ? 0 : n->count;
    *known = n->prefix;
    uint64_t head = key_head(t->key, n->prefix);
    unsigned low = heads_below(n->heads, n->count, head);
    /* Versions of one key, as a rule, of which the newest is wanted or a newer one comes: before all of them. */
    if (low < n->count && n->heads[low] == head && memrow_cmp(n->rows[low], t) > 0) return low;
    unsigned high = low;
    while (high < n->count && n->heads[high] == head) high++;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        int order = memrow_cmp(n->rows[middle], t);
        if (order == 0) {
            *equal = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The node is not full. The prefix stays unless the row is a new first or last that shares less. */
void memnode_insert(struct memnode *n, unsigned at, const struct memrow *r);
/* Moves the rows from `at` on to the empty node `to`. */
void memnode_split(struct memnode *from, struct memnode *to, unsigned at);
void memnode_refresh(struct memnode *n); /* after its rows were changed otherwise */
void memnode_check(const struct memnode *n);

#endif
