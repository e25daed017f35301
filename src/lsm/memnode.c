#include "lsm/memnode.h"

static void memnode_set_prefix(struct memnode *n, size_t prefix)
{
    n->prefix = (uint32_t)prefix;
    n->tail = memrow_prefix_tail(memrow_key(n->rows[0]), prefix);
    for (unsigned i = 0; i < n->count; i++) n->heads[i] = key_head(memrow_key(n->rows[i]), prefix);
}

/* Rows are sorted, so what the first and the last share is shared by all. */
void memnode_refresh(struct memnode *n)
{
    if (n->count > 0) memnode_set_prefix(n, key_shared(memrow_key(n->rows[0]), memrow_key(n->rows[n->count - 1])));
}

void memnode_insert(struct memnode *n, unsigned at, const struct memrow *r)
{
    ASSERT(n->count < NODE_ROWS);
    ASSERT(at <= n->count);
    memmove(&n->rows[at + 1], &n->rows[at], (n->count - at) * sizeof(n->rows[0]));
    memmove(&n->heads[at + 1], &n->heads[at], (n->count - at) * sizeof(n->heads[0]));
    n->rows[at] = r;
    n->count++;
    if (n->count == 1) {
        memnode_refresh(n);
        return;
    }
    size_t prefix = n->prefix;
    if (at == 0 || at == n->count - 1) {
        size_t shared = key_shared(memrow_key(r), memrow_key(n->rows[at == 0 ? 1 : at - 1]));
        if (shared < prefix) {
            memnode_set_prefix(n, shared);
            return;
        }
    }
    n->heads[at] = key_head(memrow_key(r), prefix);
}

void memnode_split(struct memnode *from, struct memnode *to, unsigned at)
{
    ASSERT(to->count == 0);
    to->count = from->count - at;
    memcpy(to->rows, &from->rows[at], to->count * sizeof(to->rows[0]));
    from->count = at;
    memnode_refresh(from);
    memnode_refresh(to);
}

void memnode_check(const struct memnode *n)
{
    ASSERT(n->count <= NODE_ROWS);
    for (unsigned i = 0; i < n->count; i++) {
        struct slice key = memrow_key(n->rows[i]);
        ASSERT(key.size >= n->prefix);
        ASSERT(memcmp(key.data, n->rows[0]->bytes, n->prefix) == 0);
        ASSERT(n->heads[i] == key_head(key, n->prefix));
        if (i > 0) ASSERT(row_cmp(memrow_key(n->rows[i - 1]), n->rows[i - 1]->ts, key, n->rows[i]->ts) < 0);
    }
}
