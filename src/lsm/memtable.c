#include "lsm/memtable.h"

#include "base/mem.h"
#include "lsm/memnode.h"

#include <stddef.h>

#define HEIGHT_MAX 12u
#define CACHE_LINE 64u
#define FILTER_SHARE 8u /* of a chunk, which is a sixteenth: ten bits for each row of 160 bytes, all told */

struct memleaf {
    struct memnode node;
    struct memleaf *next, *prev;
};

struct meminner {
    struct memnode node;
    struct memnode *children[NODE_ROWS + 1];
};

static struct memleaf *leaf_new(struct memtable *m)
{
    struct memleaf *leaf = arena_alloc(&m->arena, sizeof(*leaf));
    leaf->node.count = 0;
    leaf->node.prefix = 0;
    leaf->node.tail = 0;
    leaf->next = leaf->prev = NULL;
    return leaf;
}

struct memtable *memtable_new(size_t chunk_bytes, struct arena_pages *pages, uint64_t seq)
{
    struct memtable *m = mem_zalloc(sizeof(*m));
    if (pages != NULL) {
        arena_init_pages(&m->arena, pages);
    } else {
        arena_init(&m->arena, chunk_bytes);
    }
    map_init(&m->applied);
    m->filter_lines = (uint32_t)(chunk_bytes / FILTER_SHARE / BLOOM_LINE) + 1;
    m->filter = mem_aligned(BLOOM_LINE, (size_t)m->filter_lines * BLOOM_LINE);
    memset(m->filter, 0, (size_t)m->filter_lines * BLOOM_LINE);
    m->first = m->last = leaf_new(m);
    m->root = &m->first->node;
    m->height = 1;
    m->seq = seq;
    m->refs = 1;
    return m;
}

struct memtable *memtable_ref(struct memtable *m)
{
    ASSERT(m->refs > 0);
    m->refs++;
    return m;
}

void memtable_unref(struct memtable *m)
{
    if (m == NULL) return;
    ASSERT(m->refs > 0);
    if (--m->refs > 0) return;
    map_free(&m->applied);
    erase_list_free(&m->erases);
    arena_free(&m->arena);
    mem_free(m->filter);
    mem_free(m);
}

static const struct memrow *memrow_new(struct memtable *m, const struct lsm_write *w)
{
    ASSERT(w->key.size >= 1);
    ASSERT(w->key.size <= LSM_KEY_MAX);
    ASSERT(w->value.size <= LSM_VALUE_MAX);
    struct memrow *r = arena_alloc(&m->arena, sizeof(*r) + w->key.size + w->value.size);
    r->ts = w->ts;
    r->key_size = (uint32_t)w->key.size;
    r->value_size = (uint32_t)w->value.size | (w->kind == LSM_PUT ? KIND_BIT : 0);
    memcpy(r->bytes, w->key.data, w->key.size);
    if (w->value.size > 0) memcpy(r->bytes + w->key.size, w->value.data, w->value.size);
    return r;
}

struct path {
    struct meminner *nodes[HEIGHT_MAX];
    unsigned at[HEIGHT_MAX]; /* the child taken */
};

/* A search goes through the heads by halves, each step when the one before has come: from memory they are asked for at once. */
static void leaf_soon(const struct memnode *leaf)
{
    const uint8_t *bytes = (const uint8_t *)leaf;
    for (size_t at = 0; at < offsetof(struct memnode, rows); at += CACHE_LINE) __builtin_prefetch(bytes + at);
}

static struct memleaf *descend(const struct memtable *m, const struct memtarget *t, struct path *path, size_t *known)
{
    struct memnode *n = m->root;
    *known = 0;
    for (unsigned level = 0; level + 1 < m->height; level++) {
        struct meminner *inner = (struct meminner *)(void *)n;
        bool equal;
        unsigned at = memnode_search(n, t, known, &equal);
        if (equal) at++;
        if (at == 0 || at == n->count) *known = 0; /* an outermost child may hold keys without the prefix */
        if (path != NULL) {
            path->nodes[level] = inner;
            path->at[level] = at;
        }
        n = inner->children[at];
    }
    leaf_soon(n);
    return (struct memleaf *)(void *)n;
}

void memtable_place(const struct memtable *m, struct slice key, uint64_t ts, struct memtable_place *out)
{
    struct memtarget t = {.key = key, .ts = ts};
    out->splits = m->splits;
    out->leaf = descend(m, &t, NULL, &out->known);
}

static void root_grow(struct memtable *m, struct memnode *right, const struct memrow *least)
{
    ASSERT(m->height < HEIGHT_MAX);
    struct meminner *root = arena_alloc(&m->arena, sizeof(*root));
    root->node.count = 0;
    root->children[0] = m->root;
    root->children[1] = right;
    memnode_insert(&root->node, 0, least);
    m->root = &root->node;
    m->height++;
}

static void inner_insert(struct meminner *n, unsigned at, const struct memrow *least, struct memnode *right)
{
    memmove(&n->children[at + 2], &n->children[at + 1], (n->node.count - at) * sizeof(n->children[0]));
    n->children[at + 1] = right;
    memnode_insert(&n->node, at, least);
}

/* The child at path->at[level] was split: `right`, whose least row is `least`, stands after it. */
static void insert_child(struct memtable *m, const struct path *path, const struct memrow *least, struct memnode *right)
{
    for (unsigned level = m->height - 1; level-- > 0;) {
        struct meminner *n = path->nodes[level];
        unsigned at = path->at[level];
        if (n->node.count < NODE_ROWS) {
            inner_insert(n, at, least, right);
            return;
        }
        /* Rows 0..cut-1 stay, row cut goes up, the rest moves. Appending in order leaves full nodes behind. */
        unsigned cut = at == NODE_ROWS ? NODE_ROWS - 1 : NODE_ROWS / 2;
        struct meminner *sibling = arena_alloc(&m->arena, sizeof(*sibling));
        sibling->node.count = 0;
        const struct memrow *up = n->node.rows[cut];
        memcpy(sibling->children, &n->children[cut + 1], (NODE_ROWS - cut) * sizeof(n->children[0]));
        memnode_split(&n->node, &sibling->node, cut + 1);
        n->node.count = cut;
        memnode_refresh(&n->node);
        if (at <= cut) {
            inner_insert(n, at, least, right);
        } else {
            inner_insert(sibling, at - cut - 1, least, right);
        }
        least = up;
        right = &sibling->node;
    }
    root_grow(m, right, least);
}

static struct memleaf *leaf_split(struct memtable *m, struct memleaf *leaf, unsigned at)
{
    struct memleaf *right = leaf_new(m);
    m->splits++;
    right->prev = leaf;
    right->next = leaf->next;
    if (leaf->next != NULL) {
        leaf->next->prev = right;
    } else {
        m->last = right;
    }
    leaf->next = right;
    unsigned cut = at == NODE_ROWS && right->next == NULL ? NODE_ROWS : NODE_ROWS / 2;
    memnode_split(&leaf->node, &right->node, cut);
    return right;
}

/* Rows of one entry lie beside each other, often: strictly inside the leaf where the last one went, the next one needs no descent.
 * The leaf's prefix is that of the last row's key, which is at hand. False: it lies elsewhere, or there is no room. */
static bool put_beside_last(struct memtable *m, const struct memrow *r, const struct memtarget *t)
{
    struct memnode *n = m->last_leaf != NULL ? &m->last_leaf->node : NULL;
    if (n == NULL || n->count < 2 || n->count == NODE_ROWS) return false;
    size_t prefix = n->prefix;
    if (t->key.size < prefix || memcmp(t->key.data, m->last_row->bytes, prefix) != 0) return false;
    uint64_t head = key_head(t->key, prefix);
    if (head <= n->heads[0] || head >= n->heads[n->count - 1]) return false;
    bool equal;
    unsigned at = memnode_search(n, t, &prefix, &equal);
    if (equal) {
        n->rows[at] = r;
    } else {
        m->rows++;
        memnode_insert(n, at, r);
    }
    m->last_row = r;
    return true;
}

void memtable_put(struct memtable *m, const struct lsm_write *w, uint64_t hash, const struct memtable_place *place)
{
    ASSERT(!m->frozen);
    const struct memrow *r = memrow_new(m, w);
    struct memtarget t = {.key = w->key, .ts = w->ts};
    bloom_add(m->filter, m->filter_lines, hash);
    if (put_beside_last(m, r, &t)) return;
    struct path path;
    bool placed = place != NULL && place->splits == m->splits && place->leaf->node.count < NODE_ROWS;
    size_t known = placed ? place->known : 0;
    struct memleaf *leaf = placed ? place->leaf : descend(m, &t, &path, &known);
    bool equal;
    unsigned at = memnode_search(&leaf->node, &t, &known, &equal);
    m->last_leaf = leaf;
    m->last_row = r;
    if (equal) {
        leaf->node.rows[at] = r;
        return;
    }
    m->rows++;
    if (leaf->node.count < NODE_ROWS) {
        memnode_insert(&leaf->node, at, r);
        return;
    }
    struct memleaf *right = leaf_split(m, leaf, at);
    m->last_leaf = NULL;
    if (at <= leaf->node.count && leaf->node.count < NODE_ROWS) {
        memnode_insert(&leaf->node, at, r);
    } else {
        memnode_insert(&right->node, at - leaf->node.count, r);
    }
    insert_child(m, &path, right->node.rows[0], &right->node);
}

void memtable_set_applied(struct memtable *m, const struct applied *a)
{
    ASSERT(!m->frozen);
    struct applied *held = map_get(&m->applied, a->group);
    if (held == NULL) {
        held = arena_alloc(&m->arena, sizeof(*held));
        map_put(&m->applied, a->group, held);
    }
    *held = *a;
}

size_t memtable_bytes(const struct memtable *m)
{
    return m->arena.used;
}

bool memtable_empty(const struct memtable *m)
{
    return m->rows == 0 && m->applied.count == 0 && m->erases.count == 0;
}

/* --- cursors --- */

static void cursor_settle(struct memtable_cursor *c)
{
    while (c->leaf != NULL && c->at >= c->leaf->node.count) {
        c->leaf = c->leaf->next;
        c->at = 0;
    }
}

void memtable_seek(const struct memtable *m, struct slice key, uint64_t ts, struct memtable_cursor *c)
{
    struct memtarget t = {.key = key, .ts = ts};
    size_t known;
    const struct memleaf *leaf = descend(m, &t, NULL, &known);
    bool equal;
    c->at = memnode_search(&leaf->node, &t, &known, &equal);
    c->leaf = leaf;
    cursor_settle(c);
}

void memtable_seek_before(const struct memtable *m, struct slice key, uint64_t ts, struct memtable_cursor *c)
{
    struct memtarget t = {.key = key, .ts = ts};
    size_t known;
    bool equal;
    c->leaf = descend(m, &t, NULL, &known);
    c->at = memnode_search(&c->leaf->node, &t, &known, &equal);
    memtable_prev(c);
}

void memtable_seek_last(const struct memtable *m, struct memtable_cursor *c)
{
    c->leaf = m->last;
    c->at = m->last->node.count;
    memtable_prev(c);
}

void memtable_next(struct memtable_cursor *c)
{
    c->at++;
    cursor_settle(c);
}

void memtable_prev(struct memtable_cursor *c)
{
    while (c->leaf != NULL && c->at == 0) {
        c->leaf = c->leaf->prev;
        if (c->leaf != NULL) c->at = c->leaf->node.count;
    }
    if (c->leaf != NULL) c->at--;
}

static void row_of(const struct memrow *r, struct lsm_write *row)
{
    uint32_t value_size = r->value_size & ~KIND_BIT;
    row->kind = (r->value_size & KIND_BIT) != 0 ? LSM_PUT : LSM_DELETE;
    row->key = memrow_key(r);
    row->ts = r->ts;
    row->value = slice_make(r->bytes + r->key_size, value_size);
}

void memtable_row(const struct memtable_cursor *c, struct lsm_write *row)
{
    ASSERT(c->leaf != NULL);
    const struct memnode *n = &c->leaf->node;
    if (c->at + 4 < n->count) __builtin_prefetch(n->rows[c->at + 4]);
    row_of(n->rows[c->at], row);
}

bool memtable_get(const struct memtable *m, struct slice key, uint64_t hash, uint64_t ts, struct lsm_write *row)
{
    if (!memtable_may_hold(m, hash)) return false;
    struct memtable_cursor c;
    memtable_seek(m, key, ts, &c);
    if (c.leaf == NULL) return false;
    const struct memrow *r = c.leaf->node.rows[c.at];
    if (!slice_eq(memrow_key(r), key)) return false;
    row_of(r, row);
    return true;
}

uint64_t memtable_estimate(const struct memtable *m, struct slice start, struct slice end)
{
    struct memtable_cursor from, to = {.leaf = NULL};
    memtable_seek(m, start, LSM_TS_MAX, &from);
    if (end.size > 0) memtable_seek(m, end, LSM_TS_MAX, &to);
    uint64_t rows = 0;
    for (const struct memleaf *leaf = from.leaf; leaf != NULL; leaf = leaf->next) {
        unsigned first = leaf == from.leaf ? from.at : 0;
        unsigned last = leaf == to.leaf ? to.at : leaf->node.count;
        if (last > first) rows += last - first;
        if (leaf == to.leaf) break;
    }
    return rows;
}

/* --- the invariants --- */

static void tree_check(const struct memnode *n, unsigned height, const struct memrow *low, const struct memrow *high)
{
    memnode_check(n);
    if (n->count > 0) {
        const struct memrow *first = n->rows[0], *last = n->rows[n->count - 1];
        if (low != NULL) ASSERT(row_cmp(memrow_key(low), low->ts, memrow_key(first), first->ts) <= 0);
        if (high != NULL) ASSERT(row_cmp(memrow_key(last), last->ts, memrow_key(high), high->ts) < 0);
    }
    if (height == 1) return;
    const struct meminner *inner = (const struct meminner *)(const void *)n;
    ASSERT(n->count > 0);
    for (unsigned i = 0; i <= n->count; i++) {
        tree_check(inner->children[i], height - 1, i > 0 ? n->rows[i - 1] : low, i < n->count ? n->rows[i] : high);
    }
}

void memtable_check(const struct memtable *m)
{
    tree_check(m->root, m->height, NULL, NULL);
    uint64_t rows = 0;
    const struct memleaf *before = NULL;
    for (const struct memleaf *leaf = m->first; leaf != NULL; leaf = leaf->next) {
        ASSERT(leaf->prev == before);
        rows += leaf->node.count;
        before = leaf;
    }
    ASSERT(before == m->last);
    ASSERT(rows == m->rows);
}
