#include "lsm/block.h"

#include "base/cursor.h"
#include "base/mem.h"

#define NEXT_UNKNOWN UINT32_MAX
#define PREFETCH_MAX 2048u /* bytes */

struct entry {
    uint32_t shared, more, value_size; /* of the key's part behind the prefix */
    enum lsm_kind kind;
    const uint8_t *key, *value;
};

/* The rows from a restart on, whole keys: going back would else decode the interval again for each step. */
struct block_group {
    uint32_t first, count; /* ordinals */
    struct keybuf keys;
    struct group_row {
        size_t key_end;
        enum lsm_kind kind;
        bool new_key; /* than that of the row before it; the first: not known */
        struct slice value;
    } rows[BLOCK_INTERVAL_MAX];
};

static uint64_t stamp(const struct block *b, uint32_t at)
{
    if (b->ts_width == 0) return b->ts_base;
    uint64_t delta = load_le64(b->stamps + (size_t)at * b->ts_width); /* the heads behind make 8 bytes readable */
    if (b->ts_width < 8) delta &= (1ull << (8 * b->ts_width)) - 1;
    return b->ts_base + delta;
}

bool block_parse(struct slice raw, struct block *b)
{
    if (raw.size < BLOCK_TAIL_BYTES || raw.size > BLOCK_RAW_MAX) return false;
    const uint8_t *tail = raw.data + raw.size - BLOCK_TAIL_BYTES;
    *b = (struct block){.data = raw.data,
                        .raw_size = (uint32_t)raw.size,
                        .ts_base = load_le64(tail),
                        .entries_size = load_le32(tail + 8),
                        .count = load_le32(tail + 12),
                        .prefix_size = le_u16(tail + 16),
                        .ts_width = tail[18],
                        .interval = tail[19]};
    if (b->count == 0 || b->ts_width > 8 || b->interval == 0 || b->interval > BLOCK_INTERVAL_MAX) return false;
    b->restart_count = (b->count - 1) / b->interval + 1;
    uint64_t size = (uint64_t)b->entries_size + b->prefix_size + (uint64_t)b->count * b->ts_width +
                    (uint64_t)b->restart_count * 12 + BLOCK_TAIL_BYTES;
    if (size != raw.size || b->prefix_size > LSM_KEY_MAX) return false;
    b->prefix = raw.data + b->entries_size;
    b->stamps = b->prefix + b->prefix_size;
    b->heads = b->stamps + (size_t)b->count * b->ts_width;
    b->offsets = b->heads + (size_t)b->restart_count * 8;
    return true;
}

static const uint8_t *read_varint(const uint8_t *p, const uint8_t *end, uint32_t *v)
{
    uint32_t result = 0;
    for (unsigned shift = 0; shift < 35 && p < end; shift += 7) {
        uint32_t byte = *p++;
        if (shift == 28 && byte > 15) return NULL;
        result |= (byte & 0x7fu) << shift;
        if (byte < 0x80) {
            *v = result;
            return p;
        }
    }
    return NULL;
}

static bool read_sizes(const uint8_t **p, const uint8_t *end, struct entry *e, uint32_t *value)
{
    if ((*p = read_varint(*p, end, &e->shared)) == NULL) return false;
    if ((*p = read_varint(*p, end, &e->more)) == NULL) return false;
    return (*p = read_varint(*p, end, value)) != NULL;
}

/* The entry at *offset, which moves on. False: it reaches out of the entries. */
static inline bool entry_read(const struct block *b, uint32_t *offset, struct entry *e)
{
    if (*offset >= b->entries_size) return false;
    const uint8_t *p = b->data + *offset, *end = b->data + b->entries_size;
    uint32_t value;
    if (end - p >= 4 && p[0] < 0x80 && p[1] < 0x80 && (p[2] < 0x80 || p[3] < 0x80)) {
        e->shared = p[0];
        e->more = p[1];
        value = p[2] < 0x80 ? p[2] : (uint32_t)(p[2] & 0x7fu) | (uint32_t)p[3] << 7;
        p += p[2] < 0x80 ? 3 : 4;
    } else if (!read_sizes(&p, end, e, &value)) {
        return false;
    }
    e->value_size = value >> 2;
    if ((value & 3u) > LSM_PUT) return false;
    e->kind = (enum lsm_kind)(value & 3u);
    if ((uint64_t)e->more + e->value_size > (uint64_t)(end - p)) return false;
    e->key = p;
    e->value = p + e->more;
    *offset = (uint32_t)(e->value + e->value_size - b->data);
    return true;
}

/* --- searching --- */

struct hit {
    uint32_t at;
    bool same_key;
    struct entry entry;
};

/* Restarts whose head is below. No branch depends on the data. */
static uint32_t heads_before(const struct block *b, uint64_t head)
{
    const uint8_t *base = b->heads;
    uint32_t n = b->restart_count;
    while (n > 1) {
        uint32_t half = n / 2;
        base += load_le64(base + (size_t)(half - 1) * 8) < head ? (size_t)half * 8 : 0;
        n -= half;
    }
    return (uint32_t)((size_t)(base - b->heads) / 8) + (load_le64(base) < head ? 1u : 0u);
}

/* Whether the restart's row is before (suffix, ts). */
static bool restart_before(const struct block *b, uint32_t restart, struct slice suffix, uint64_t ts, bool *before)
{
    uint32_t offset = load_le32(b->offsets + (size_t)restart * 4);
    struct entry e;
    if (!entry_read(b, &offset, &e) || e.shared != 0) return false;
    *before = row_cmp(slice_make(e.key, e.more), stamp(b, restart * b->interval), suffix, ts) < 0;
    return true;
}

/* The last restart whose row is before (suffix, ts), or the first. */
static bool find_restart(const struct block *b, struct slice suffix, uint64_t ts, uint32_t *restart)
{
    uint64_t head = key_head(suffix, 0);
    uint32_t low = heads_before(b, head), high = low;
    while (high < b->restart_count && load_le64(b->heads + (size_t)high * 8) == head) high++;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        bool before;
        if (!restart_before(b, middle, suffix, ts, &before)) return false;
        if (before) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *restart = low > 0 ? low - 1 : 0;
    return true;
}

/* The first row at or after (suffix, ts), from a restart that is not after it. `matched` bytes of the suffix are those that
 * the row before shares with it, and that row is smaller: so an entry which shares more with that row than `matched` is
 * smaller too, one which shares less is greater, and only otherwise bytes have to be compared. */
static enum status scan(const struct block *b, uint32_t restart, struct slice suffix, uint64_t ts, struct hit *hit)
{
    uint32_t offset = load_le32(b->offsets + (size_t)restart * 4);
    size_t matched = 0;
    hit->same_key = false;
    for (hit->at = restart * b->interval; hit->at < b->count; hit->at++) {
        struct entry *e = &hit->entry;
        if (!entry_read(b, &offset, e)) return STATUS_CORRUPT;
        bool fresh = hit->at % b->interval == 0;
        if (fresh) matched = 0;
        if (e->shared > matched) continue;
        if (e->shared < matched) return STATUS_OK;
        struct slice rest = slice_make(suffix.data + matched, suffix.size - matched);
        size_t common = key_shared(slice_make(e->key, e->more), rest);
        matched += common;
        if (common == e->more && common == rest.size) {
            hit->same_key = stamp(b, hit->at) <= ts;
            if (hit->same_key) return STATUS_OK;
        } else if (common == rest.size || (common < e->more && e->key[common] > rest.data[common])) {
            return STATUS_OK;
        }
    }
    return STATUS_END;
}

static enum status find(const struct block *b, struct slice key, uint64_t ts, struct hit *hit)
{
    struct slice prefix = slice_make(b->prefix, b->prefix_size);
    uint32_t restart = 0;
    if (!slice_starts(key, prefix)) {
        if (slice_cmp(key, prefix) > 0) return STATUS_END;
        hit->at = 0;
        hit->same_key = false;
        return STATUS_OK;
    }
    struct slice suffix = slice_make(key.data + prefix.size, key.size - prefix.size);
    if (!find_restart(b, suffix, ts, &restart)) return STATUS_CORRUPT;
    return scan(b, restart, suffix, ts, hit);
}

enum status block_get(const struct block *b, struct slice key, uint64_t ts, struct lsm_write *row)
{
    struct hit hit;
    enum status s = find(b, key, ts, &hit);
    if (s != STATUS_OK) return s;
    if (!hit.same_key) return STATUS_NOT_FOUND;
    *row = (struct lsm_write){.kind = hit.entry.kind,
                              .key = key,
                              .ts = stamp(b, hit.at),
                              .value = slice_make(hit.entry.value, hit.entry.value_size)};
    return STATUS_OK;
}

/* --- the cursor --- */

static void prefetch(const uint8_t *from, size_t size)
{
    for (size_t at = 0; at < size && at < PREFETCH_MAX; at += 64) __builtin_prefetch(from + at);
}

/* The interval that a cursor which goes back decodes next: from its first row on, which is no order that the processor foresees. */
static void prefetch_interval(const struct block *b, uint32_t restart)
{
    uint32_t from = load_le32(b->offsets + (size_t)restart * 4), to = b->entries_size;
    if (restart + 1 < b->restart_count) to = load_le32(b->offsets + (size_t)(restart + 1) * 4);
    if (from < to && to <= b->entries_size) prefetch(b->data + from, to - from);
}

void block_prefetch(const struct block *b, bool end)
{
    size_t about = (size_t)b->entries_size / b->restart_count, back = end ? b->entries_size - about : 0;
    prefetch(b->data + back, end ? about : 256);
    prefetch(b->prefix, b->raw_size - b->entries_size);
}

void block_cursor_free(struct block_cursor *c)
{
    keybuf_free(&c->key);
    if (c->group != NULL) keybuf_free(&c->group->keys);
    mem_free(c->group);
    c->group = NULL;
    c->block = NULL;
}

/* Decodes the entry at c->next as row number `at`; the key buffer must hold the key of the row before it. */
static enum status decode(struct block_cursor *c, uint32_t at)
{
    const struct block *b = c->block;
    struct entry e;
    if (!entry_read(b, &c->next, &e)) return STATUS_CORRUPT;
    size_t keep = (size_t)b->prefix_size + e.shared, size = keep + e.more;
    if (keep > c->key.size || size > LSM_KEY_MAX || size == 0) return STATUS_CORRUPT;
    keybuf_set(&c->key, keep, e.key, e.more);
    c->row = (struct lsm_write){
        .kind = e.kind, .key = keybuf_slice(&c->key), .ts = stamp(b, at), .value = slice_make(e.value, e.value_size)};
    c->at = at;
    return STATUS_OK;
}

static enum status to_restart(struct block_cursor *c, uint32_t restart)
{
    const struct block *b = c->block;
    c->next = load_le32(b->offsets + (size_t)restart * 4);
    keybuf_set(&c->key, 0, b->prefix, b->prefix_size);
    return decode(c, restart * b->interval);
}

static enum status to_ordinal(struct block_cursor *c, uint32_t at)
{
    enum status s = to_restart(c, at / c->block->interval);
    while (s == STATUS_OK && c->at < at) s = decode(c, c->at + 1);
    return s;
}

static void enter(struct block_cursor *c, const struct block *b)
{
    c->block = b;
    if (c->group != NULL) c->group->count = 0;
}

enum status block_first(struct block_cursor *c, const struct block *b)
{
    enter(c, b);
    return to_restart(c, 0);
}

enum status block_next(struct block_cursor *c)
{
    if (c->at + 1 >= c->block->count) {
        c->at = c->block->count;
        return STATUS_END;
    }
    return c->next == NEXT_UNKNOWN ? to_ordinal(c, c->at + 1) : decode(c, c->at + 1);
}

enum status block_last(struct block_cursor *c, const struct block *b)
{
    enter(c, b);
    c->at = b->count;
    return block_prev(c);
}

/* Appends the entry's key, which begins with bytes of the key before it, at [start, end) of the keys. False: it cannot be. */
static bool group_key(struct block_group *g, const struct block *b, const struct entry *e, size_t start)
{
    size_t end = g->keys.size, keep = (size_t)b->prefix_size + e->shared, size = keep + e->more;
    if (size > LSM_KEY_MAX || size == 0) return false;
    if (end + size > g->keys.capacity) keybuf_grow(&g->keys, 2 * (end + size));
    uint8_t *key = g->keys.data + end;
    if (g->count == 0) {
        if (e->shared > 0) return false;
        memcpy(key, b->prefix, keep);
    } else {
        if (keep > end - start) return false;
        memcpy(key, g->keys.data + start, keep);
    }
    memcpy(key + keep, e->key, e->more);
    g->keys.size = end + size;
    return true;
}

/* Decodes from the restart to the row `last`. */
static enum status group_fill(struct block_cursor *c, uint32_t last)
{
    if (c->group == NULL) c->group = mem_zalloc(sizeof(*c->group));
    struct block_group *g = c->group;
    const struct block *b = c->block;
    uint32_t restart = last / b->interval, offset = load_le32(b->offsets + (size_t)restart * 4);
    if (restart > 0) prefetch_interval(b, restart - 1);
    g->first = restart * b->interval;
    g->keys.size = 0;
    size_t start = 0; /* of the key before */
    for (g->count = 0; g->first + g->count <= last; g->count++) {
        struct entry e;
        size_t end = g->keys.size;
        if (!entry_read(b, &offset, &e) || !group_key(g, b, &e, start)) return STATUS_CORRUPT;
        g->rows[g->count] =
            (struct group_row){.key_end = g->keys.size,
                               .kind = e.kind,
                               .new_key = g->count > 0 && (e.more > 0 || g->keys.size - end != end - start),
                               .value = slice_make(e.value, e.value_size)};
        start = end;
    }
    return STATUS_OK;
}

enum status block_prev(struct block_cursor *c)
{
    if (c->at == 0) {
        c->at = c->block->count;
        return STATUS_END;
    }
    uint32_t at = c->at - 1;
    struct block_group *g = c->group;
    if (g == NULL || g->count == 0 || at < g->first || at >= g->first + g->count) {
        enum status s = group_fill(c, at);
        if (s != STATUS_OK) {
            if (c->group != NULL) c->group->count = 0;
            return s;
        }
        g = c->group;
    }
    uint32_t i = at - g->first;
    const struct group_row *row = &g->rows[i];
    size_t start = i > 0 ? row[-1].key_end : 0;
    c->row = (struct lsm_write){.kind = row->kind,
                                .key = slice_make(g->keys.data + start, row->key_end - start),
                                .ts = stamp(c->block, at),
                                .value = row->value};
    c->prev_differs = row->new_key;
    c->at = at;
    c->next = NEXT_UNKNOWN;
    return STATUS_OK;
}

enum status block_seek(struct block_cursor *c, const struct block *b, struct slice key, uint64_t ts)
{
    enter(c, b);
    struct hit hit;
    enum status s = find(b, key, ts, &hit);
    if (s == STATUS_END) c->at = b->count;
    return s == STATUS_OK ? to_ordinal(c, hit.at) : s;
}

enum status block_seek_before(struct block_cursor *c, const struct block *b, struct slice key, uint64_t ts)
{
    enter(c, b);
    struct hit hit;
    enum status s = find(b, key, ts, &hit);
    if (s == STATUS_END) hit.at = b->count;
    if (s == STATUS_CORRUPT) return s;
    c->at = hit.at;
    return block_prev(c);
}
