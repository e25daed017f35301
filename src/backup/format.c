#include "backup/format.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/hash.h"
#include "base/mutant.h"

#include <stdio.h>

#define MAGIC_BYTES 8u

/* --- files --- */

static void magic_of(enum backup_file type, uint8_t magic[MAGIC_BYTES])
{
    memcpy(magic, "QUORBKx1", MAGIC_BYTES);
    magic[6] = (uint8_t)type;
    if (type == BACKUP_CHANGES) magic[7] = '2'; /* 1 did not say whose they are */
}

void backup_file_begin(struct buf *b, enum backup_file type)
{
    uint8_t magic[MAGIC_BYTES];
    magic_of(type, magic);
    buf_clear(b);
    buf_append(b, magic, sizeof magic);
}

void backup_file_end(struct buf *b, const char *name)
{
    buf_put_u32(b, crc32c(crc32c(0, name, strlen(name)), b->data, b->size));
}

enum status backup_file_open(struct slice bytes, enum backup_file type, const char *name, struct slice *body,
                             struct errbuf *err)
{
    uint8_t magic[MAGIC_BYTES];
    magic_of(type, magic);
    if (bytes.size < MAGIC_BYTES + 4 || memcmp(bytes.data, magic, MAGIC_BYTES - 1) != 0) {
        errbuf_set(err, "%s: not a file of a backup, or cut short: fetch it again from where the backup is kept", name);
        return STATUS_CORRUPT;
    }
    if (bytes.data[MAGIC_BYTES - 1] != magic[MAGIC_BYTES - 1]) {
        errbuf_set(err, "%s: written by another version", name);
        return STATUS_UNSUPPORTED;
    }
    if (crc32c(crc32c(0, name, strlen(name)), bytes.data, bytes.size - 4) != le_u32(bytes.data + bytes.size - 4)) {
        errbuf_set(err, "%s: the checksum does not match: it is damaged, or stands under another file's name", name);
        return STATUS_CORRUPT;
    }
    *body = slice_make(bytes.data + MAGIC_BYTES, bytes.size - MAGIC_BYTES - 4);
    return STATUS_OK;
}

/* --- rows --- */

static void put_bytes(struct buf *b, struct slice s)
{
    buf_put_varint(b, s.size);
    buf_append_slice(b, s);
}

static struct slice get_bytes(struct cursor *c, size_t max)
{
    uint64_t size = cursor_varint(c);
    if (size > max || size > cursor_left(c)) {
        c->failed = true;
        return SLICE_EMPTY;
    }
    return cursor_bytes(c, (size_t)size);
}

static uint32_t get_u32(struct cursor *c)
{
    uint64_t v = cursor_varint(c);
    if (v > UINT32_MAX) c->failed = true;
    return (uint32_t)v;
}

void backup_row_put(struct buf *b, const struct backup_row *r)
{
    buf_put_varint(b, r->keyspace);
    buf_put_u8(b, r->kind);
    buf_put_u64(b, r->ts);
    buf_put_varint(b, r->ttl_ms);
    put_bytes(b, r->key);
    put_bytes(b, r->value);
}

bool backup_row_next(struct cursor *c, struct backup_row *r)
{
    if (cursor_left(c) == 0) return false;
    r->keyspace = get_u32(c);
    r->kind = cursor_u8(c);
    r->ts = cursor_u64(c);
    r->ttl_ms = cursor_varint(c);
    r->key = get_bytes(c, LIMIT_KEY_BYTES);
    r->value = get_bytes(c, LIMIT_VALUE_BYTES);
    if (r->kind > BACKUP_COUNTER || r->key.size == 0 || r->ts == 0 || r->ttl_ms > LIMIT_TTL_MS) c->failed = true;
    return !c->failed;
}

/* --- digests --- */

void backup_digest_row(struct backup_digest *d, const struct backup_row *r)
{
    d->bytes += r->key.size + r->value.size;
    if (r->ttl_ms != 0) {
        d->mortal++;
        return;
    }
    uint64_t low = hash_u64(hash_bytes(r->key, 41) + hash_bytes(r->value, 42) * 3 + r->kind);
    uint64_t high = hash_u64(hash_bytes(r->key, 43) + hash_bytes(r->value, 44) * 5 + r->kind);
    d->rows++;
    d->low += low;
    d->high += high + (d->low < low);
}

void backup_digest_add(struct backup_digest *d, const struct backup_digest *other)
{
    d->low += other->low;
    d->high += other->high + (d->low < other->low);
    d->rows += other->rows;
    d->mortal += other->mortal;
    d->bytes += other->bytes;
}

bool backup_digest_eq(const struct backup_digest *a, const struct backup_digest *b)
{
    return a->low == b->low && a->high == b->high && a->rows == b->rows;
}

static void put_digest(struct buf *b, const struct backup_digest *d)
{
    buf_put_u64(b, d->low);
    buf_put_u64(b, d->high);
    buf_put_varint(b, d->rows);
    buf_put_varint(b, d->mortal);
    buf_put_varint(b, d->bytes);
}

static struct backup_digest get_digest(struct cursor *c)
{
    struct backup_digest d;
    d.low = cursor_u64(c);
    d.high = cursor_u64(c);
    d.rows = cursor_varint(c);
    d.mortal = cursor_varint(c);
    d.bytes = cursor_varint(c);
    return d;
}

/* --- keyspaces --- */

bool backup_keyspace_is_there(const struct backup_keyspace *k, uint64_t at)
{
    return at > k->absent_until && (k->dropped_ts == 0 || k->dropped_ts > at);
}

static void put_keyspaces(struct buf *b, const struct backup_keyspace *k, size_t count)
{
    buf_put_varint(b, count);
    for (size_t i = 0; i < count; i++) {
        buf_put_varint(b, k[i].id);
        put_bytes(b, k[i].name);
        buf_put_varint(b, k[i].replication);
        buf_put_varint(b, k[i].buckets);
        buf_put_varint(b, k[i].ttl_ms);
        buf_put_u64(b, k[i].absent_until);
        buf_put_u64(b, k[i].dropped_ts);
        buf_put_u64(b, k[i].known_upto);
    }
}

static size_t get_count(struct cursor *c, size_t item_bytes_min)
{
    uint64_t count = cursor_varint(c);
    if (count > cursor_left(c) / item_bytes_min) {
        c->failed = true;
        return 0;
    }
    return (size_t)count;
}

static size_t get_keyspaces(struct cursor *c, struct arena *arena, struct backup_keyspace **out)
{
    size_t count = get_count(c, 29);
    struct backup_keyspace *k = *out = arena_zalloc(arena, (count + 1) * sizeof *k);
    for (size_t i = 0; i < count; i++) {
        k[i].id = get_u32(c);
        k[i].name = get_bytes(c, LIMIT_KEYSPACE_NAME);
        k[i].replication = get_u32(c);
        k[i].buckets = get_u32(c);
        k[i].ttl_ms = cursor_varint(c);
        k[i].absent_until = cursor_u64(c);
        k[i].dropped_ts = cursor_u64(c);
        k[i].known_upto = cursor_u64(c);
        if (k[i].buckets > LIMIT_HASH_BUCKETS || k[i].name.size == 0) c->failed = true;
    }
    return count;
}

/* --- changes --- */

void backup_changes_put(struct buf *b, const struct backup_changes *c)
{
    buf_append(b, c->cluster.bytes, CLUSTER_ID_BYTES);
    buf_put_u64(b, c->from);
    buf_put_u64(b, c->to);
    put_keyspaces(b, c->keyspaces, c->keyspace_count);
}

enum status backup_changes_get(struct slice body, struct arena *arena, struct backup_changes *out)
{
    struct cursor c = cursor_make(body);
    struct slice cluster = cursor_bytes(&c, CLUSTER_ID_BYTES);
    if (!c.failed) memcpy(out->cluster.bytes, cluster.data, CLUSTER_ID_BYTES);
    out->from = cursor_u64(&c);
    out->to = cursor_u64(&c);
    out->keyspace_count = get_keyspaces(&c, arena, &out->keyspaces);
    out->rows = slice_make(c.at, cursor_left(&c));
    return c.failed || out->from > out->to ? STATUS_CORRUPT : STATUS_OK;
}

/* --- manifests --- */

void backup_manifest_put(struct buf *b, const struct backup_manifest *m)
{
    buf_append(b, m->cluster.bytes, CLUSTER_ID_BYTES);
    buf_put_u8(b, m->complete);
    buf_put_u64(b, m->from);
    buf_put_u64(b, m->at);
    buf_put_u64(b, m->parent);
    buf_put_u64(b, m->began_ms);
    buf_put_u64(b, m->ended_ms);
    put_keyspaces(b, m->keyspaces, m->keyspace_count);
    buf_put_varint(b, m->chunk_count);
    for (size_t i = 0; i < m->chunk_count; i++) {
        const struct backup_chunk *k = &m->chunks[i];
        buf_put_varint(b, k->keyspace);
        put_bytes(b, k->start);
        put_bytes(b, k->end);
        buf_put_u64(b, k->ts);
        buf_put_varint(b, k->file_bytes);
        buf_put_u32(b, k->crc);
        put_digest(b, &k->digest);
        put_bytes(b, k->name);
    }
}

enum status backup_manifest_get(struct slice body, struct arena *arena, struct backup_manifest *m)
{
    struct cursor c = cursor_make(body);
    *m = (struct backup_manifest){.complete = false};
    struct slice cluster = cursor_bytes(&c, CLUSTER_ID_BYTES);
    if (!c.failed) memcpy(m->cluster.bytes, cluster.data, CLUSTER_ID_BYTES);
    m->complete = cursor_u8(&c) != 0;
    m->from = cursor_u64(&c);
    m->at = cursor_u64(&c);
    m->parent = cursor_u64(&c);
    m->began_ms = cursor_u64(&c);
    m->ended_ms = cursor_u64(&c);
    m->keyspace_count = get_keyspaces(&c, arena, &m->keyspaces);
    m->chunk_count = get_count(&c, 36);
    m->chunks = arena_zalloc(arena, (m->chunk_count + 1) * sizeof *m->chunks);
    for (size_t i = 0; i < m->chunk_count; i++) {
        struct backup_chunk *k = &m->chunks[i];
        k->keyspace = get_u32(&c);
        k->start = get_bytes(&c, LIMIT_KEY_BYTES + 1);
        k->end = get_bytes(&c, LIMIT_KEY_BYTES + 1);
        k->ts = cursor_u64(&c);
        k->file_bytes = cursor_varint(&c);
        k->crc = cursor_u32(&c);
        k->digest = get_digest(&c);
        k->name = get_bytes(&c, BACKUP_NAME_MAX - 1);
    }
    return c.failed || cursor_left(&c) > 0 ? STATUS_CORRUPT : STATUS_OK;
}

int backup_chunk_compare(const void *a, const void *b)
{
    const struct backup_chunk *x = a, *y = b;
    if (x->keyspace != y->keyspace) return x->keyspace < y->keyspace ? -1 : 1;
    return slice_cmp(x->start, y->start);
}

static enum status uncovered(struct errbuf *err, const struct backup_keyspace *k, struct slice at, const char *what)
{
    errbuf_set(err, "the chunks of keyspace %.*s have %s at key \"%.*s\"", (int)k->name.size,
               (const char *)k->name.data, what, (int)(at.size < 100 ? at.size : 100), (const char *)at.data);
    return STATUS_CORRUPT;
}

/* From chunk i on; *next: behind the keyspace's last. */
static enum status check_keyspace(const struct backup_manifest *m, const struct backup_keyspace *k, size_t i,
                                  size_t *next, struct errbuf *err)
{
    struct slice at = SLICE_EMPTY;
    bool whole = false;
    for (; i < m->chunk_count && m->chunks[i].keyspace == k->id; i++) {
        const struct backup_chunk *c = &m->chunks[i];
        int order = slice_cmp(c->start, at);
        if (whole || order < 0) return uncovered(err, k, c->start, "an overlap");
        if (order > 0 && !MUTANT(backup_with_holes)) return uncovered(err, k, at, "a hole");
        if (c->end.size > 0 && slice_cmp(c->start, c->end) >= 0) return uncovered(err, k, c->start, "an empty span");
        if (m->complete && (c->ts > m->at || c->ts < m->from))
            return uncovered(err, k, c->start, "a timestamp that is not the backup's");
        whole = c->end.size == 0;
        at = c->end;
    }
    *next = i;
    return whole ? STATUS_OK : uncovered(err, k, at, "a hole");
}

enum status backup_manifest_check(const struct backup_manifest *m, struct errbuf *err)
{
    size_t next = 0;
    ASSERT(m->complete);
    while (next < m->chunk_count) {
        const struct backup_keyspace *k = NULL;
        for (size_t i = 0; i < m->keyspace_count; i++)
            if (m->keyspaces[i].id == m->chunks[next].keyspace) k = &m->keyspaces[i];
        if (k == NULL) {
            errbuf_set(err, "a chunk of a keyspace that the backup does not know");
            return STATUS_CORRUPT;
        }
        enum status s = check_keyspace(m, k, next, &next, err);
        if (s != STATUS_OK) return s;
    }
    for (size_t i = 0; i < m->keyspace_count; i++) {
        const struct backup_keyspace *k = &m->keyspaces[i];
        bool found = k->absent_until >= m->from || !backup_keyspace_is_there(k, m->at);
        for (size_t j = 0; j < m->chunk_count && !found; j++) found = m->chunks[j].keyspace == k->id;
        if (!found) return uncovered(err, k, SLICE_EMPTY, "a hole");
    }
    return STATUS_OK;
}

/* --- names --- */

void backup_manifest_name(char name[BACKUP_NAME_MAX], bool complete, uint64_t ts)
{
    (void)snprintf(name, BACKUP_NAME_MAX, complete ? "backup-%016llx" : "partial-%016llx", (unsigned long long)ts);
}

void backup_chunk_name(char name[BACKUP_NAME_MAX], uint64_t from, uint64_t number)
{
    (void)snprintf(name, BACKUP_NAME_MAX, "chunks/%016llx-%06llu", (unsigned long long)from,
                   (unsigned long long)number);
}

void backup_changes_name(char name[BACKUP_NAME_MAX], uint64_t from, uint64_t to)
{
    (void)snprintf(name, BACKUP_NAME_MAX, "changes/%016llx-%016llx", (unsigned long long)from, (unsigned long long)to);
}

static bool read_hex(const char *text, uint64_t *out)
{
    *out = 0;
    for (unsigned i = 0; i < 16; i++) {
        char c = text[i];
        bool digit = c >= '0' && c <= '9';
        if (!digit && (c < 'a' || c > 'f')) return false;
        *out = *out << 4 | (uint64_t)(digit ? c - '0' : c - 'a' + 10);
    }
    return true;
}

bool backup_name_read(const char *name, const char *prefix, unsigned count, uint64_t numbers[2])
{
    size_t skip = strlen(prefix);
    ASSERT(count == 1 || count == 2);
    if (strlen(name) != skip + count * 17 - 1 || memcmp(name, prefix, skip) != 0) return false;
    if (!read_hex(name + skip, &numbers[0])) return false;
    return count == 1 || (name[skip + 16] == '-' && read_hex(name + skip + 17, &numbers[1]));
}

bool backup_chunk_name_read(const char *name, uint64_t *from, uint64_t *number)
{
    size_t size = strlen(name);
    if (size < 23 || size > 35 || !read_hex(name, from) || name[16] != '-') return false;
    if (strspn(name + 17, "0123456789") != size - 17) return false;
    *number = 0;
    for (const char *p = name + 17; *p != '\0'; p++) *number = *number * 10 + (uint64_t)(*p - '0');
    return true;
}
