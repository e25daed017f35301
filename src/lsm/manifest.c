#include "lsm/manifest.h"

#include "base/crc32c.h"
#include "base/cursor.h"
#include "base/mem.h"

#include <stdio.h>

#define HEADER_BYTES 16u
#define RECORD_HEAD_BYTES 16u
#define HEADER_MAGIC 0x3166696E614D7551ull /* "QuManif1" */
#define RECORD_MAGIC 0x63655251u           /* "QRec" */
#define MANIFEST_VERSION 1u
#define MANIFEST_BYTES_MAX ((size_t)1 << 31)
#define REWRITE_BYTES (4u * 1024u * 1024u)

enum item {
    ITEM_ADD = 1,
    ITEM_REMOVE,
    ITEM_APPLIED,
    ITEM_FORGET,
    ITEM_NEXT,
    ITEM_SAFEPOINT,
    ITEM_SYNCED,
    ITEM_ERASE,
    ITEM_CUT
};

/* --- items --- */

static void put_bytes(struct buf *b, struct slice s)
{
    buf_put_varint(b, s.size);
    buf_append_slice(b, s);
}

void manifest_put_add(struct buf *b, const struct lsm_file *f)
{
    buf_put_u8(b, ITEM_ADD);
    buf_put_varint(b, f->id);
    buf_put_varint(b, f->table->id.number);
    buf_put_u64(b, f->table->id.salt);
    buf_put_varint(b, f->table->id.size);
    buf_put_varint(b, f->level);
    buf_put_varint(b, f->run);
    put_bytes(b, f->lower);
    put_bytes(b, f->upper);
}

static void put_number(struct buf *b, enum item item, uint64_t v)
{
    buf_put_u8(b, (uint8_t)item);
    buf_put_varint(b, v);
}

void manifest_put_remove(struct buf *b, uint64_t id)
{
    put_number(b, ITEM_REMOVE, id);
}

void manifest_put_applied(struct buf *b, const struct applied *a)
{
    put_number(b, a->forgotten ? ITEM_FORGET : ITEM_APPLIED, a->group);
    if (a->forgotten) return;
    buf_put_varint(b, a->index);
    buf_put_varint(b, a->term);
}

void manifest_put_erases(struct buf *b, const struct erase_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        put_number(b, ITEM_ERASE, list->items[i].ts);
        put_bytes(b, list->items[i].start);
        put_bytes(b, list->items[i].end);
    }
}

void manifest_put_cut(struct buf *b, struct slice start, struct slice end)
{
    buf_put_u8(b, ITEM_CUT);
    put_bytes(b, start);
    put_bytes(b, end);
}

void manifest_put_next(struct buf *b, uint64_t next)
{
    put_number(b, ITEM_NEXT, next);
}

void manifest_put_safepoint(struct buf *b, uint64_t ts)
{
    put_number(b, ITEM_SAFEPOINT, ts);
}

/* --- reading --- */

void manifest_state_init(struct manifest_state *s)
{
    *s = (struct manifest_state){.next = 1};
    arena_init(&s->arena, 16384);
    map_init(&s->files);
    map_init(&s->applied);
}

void manifest_state_free(struct manifest_state *s)
{
    map_free(&s->files);
    map_free(&s->applied);
    erase_list_free(&s->erases);
    arena_free(&s->arena);
}

static struct slice take_bytes(struct cursor *c)
{
    uint64_t size = cursor_varint(c);
    if (size > cursor_left(c)) c->failed = true;
    return cursor_bytes(c, c->failed ? 0 : (size_t)size);
}

static bool apply_add(struct manifest_state *s, struct cursor *c)
{
    struct manifest_file f = {.id = cursor_varint(c)};
    f.table.number = cursor_varint(c);
    f.table.salt = cursor_u64(c);
    f.table.size = cursor_varint(c);
    uint64_t level = cursor_varint(c);
    f.run = cursor_varint(c);
    f.lower = take_bytes(c);
    f.upper = take_bytes(c);
    if (c->failed || level > LSM_DAMAGED) return false;
    if (slice_cmp(f.lower, f.upper) >= 0 || map_get(&s->files, f.id) != NULL) return false;
    f.level = (uint32_t)level;
    f.lower = arena_dup_slice(&s->arena, f.lower);
    f.upper = arena_dup_slice(&s->arena, f.upper);
    map_put(&s->files, f.id, arena_dup(&s->arena, &f, sizeof(f)));
    return true;
}

static bool apply_applied(struct manifest_state *s, struct cursor *c)
{
    struct applied a = {.group = cursor_varint(c), .index = cursor_varint(c), .term = cursor_varint(c)};
    if (c->failed) return false;
    struct applied *held = map_get(&s->applied, a.group);
    if (held != NULL) {
        *held = a;
    } else {
        map_put(&s->applied, a.group, arena_dup(&s->arena, &a, sizeof(a)));
    }
    return true;
}

static bool apply_erase(struct manifest_state *s, struct cursor *c)
{
    struct erase e = {.ts = cursor_varint(c)};
    e.start = take_bytes(c);
    e.end = take_bytes(c);
    if (c->failed || e.ts == 0 || (e.end.size > 0 && slice_cmp(e.start, e.end) >= 0)) return false;
    erase_list_add(&s->erases, &e);
    return true;
}

static bool apply_cut(struct manifest_state *s, struct cursor *c)
{
    struct slice start = take_bytes(c), end = take_bytes(c);
    if (c->failed || (end.size > 0 && slice_cmp(start, end) >= 0)) return false;
    erase_list_cut(&s->erases, start, end);
    return true;
}

static void raise_to(uint64_t *v, uint64_t to)
{
    if (to > *v) *v = to;
}

static bool apply_item(struct manifest_state *s, struct cursor *c)
{
    switch (cursor_u8(c)) {
    case ITEM_ADD: return apply_add(s, c);
    case ITEM_REMOVE: {
        uint64_t id = cursor_varint(c);
        return !c->failed && map_remove(&s->files, id) != NULL;
    }
    case ITEM_APPLIED: return apply_applied(s, c);
    case ITEM_FORGET: (void)map_remove(&s->applied, cursor_varint(c)); break;
    case ITEM_NEXT: raise_to(&s->next, cursor_varint(c)); break;
    case ITEM_SAFEPOINT: raise_to(&s->safepoint, cursor_varint(c)); break;
    case ITEM_SYNCED: break;
    case ITEM_ERASE: return apply_erase(s, c);
    case ITEM_CUT: return apply_cut(s, c);
    default: return false;
    }
    return !c->failed;
}

/* Magic, size and checksum of the record at `at` are right. */
static bool record_valid(struct slice bytes, size_t at, size_t *size)
{
    if (bytes.size - at < RECORD_HEAD_BYTES) return false;
    const uint8_t *p = bytes.data + at;
    if (le_u32(p) != RECORD_MAGIC) return false;
    size_t payload = le_u32(p + 4);
    if (payload > bytes.size - at - RECORD_HEAD_BYTES) return false;
    *size = RECORD_HEAD_BYTES + payload;
    return crc32c(crc32c(0, p, 12), p + RECORD_HEAD_BYTES, payload) == le_u32(p + 12);
}

/* A `synced` record was written only after all before it was durable: behind a bad record it convicts the disk. Another good
 * record does not: a power cut during its sync may keep it and lose the mark before it, which was not synced either. */
static bool synced_record_after(struct slice bytes, size_t at)
{
    size_t size;
    for (; bytes.size - at > RECORD_HEAD_BYTES; at++) {
        if (!record_valid(bytes, at, &size)) continue;
        if (size == RECORD_HEAD_BYTES + 1 && bytes.data[at + RECORD_HEAD_BYTES] == ITEM_SYNCED) return true;
    }
    return false;
}

static enum status header_check(struct slice bytes, struct errbuf *err)
{
    if (bytes.size < HEADER_BYTES || le_u64(bytes.data) != HEADER_MAGIC ||
        crc32c(0, bytes.data, 12) != le_u32(bytes.data + 12)) {
        errbuf_set(err, "MANIFEST: the header is damaged; rebuild this replica");
        return STATUS_CORRUPT;
    }
    if (le_u32(bytes.data + 8) != MANIFEST_VERSION) {
        errbuf_set(err, "MANIFEST: format version %u; this program knows version %u: use a newer one",
                   le_u32(bytes.data + 8), MANIFEST_VERSION);
        return STATUS_UNSUPPORTED;
    }
    return STATUS_OK;
}

enum status manifest_decode(struct slice bytes, struct manifest_state *s, size_t *used, struct errbuf *err)
{
    enum status status = header_check(bytes, err);
    if (status != STATUS_OK) return status;
    uint32_t crc = le_u32(bytes.data + 12);
    size_t at = HEADER_BYTES, size = 0;
    while (record_valid(bytes, at, &size) && le_u32(bytes.data + at + 8) == crc) {
        struct cursor c = cursor_make(slice_make(bytes.data + at + RECORD_HEAD_BYTES, size - RECORD_HEAD_BYTES));
        while (cursor_left(&c) > 0) {
            if (apply_item(s, &c)) continue;
            errbuf_set(
                err,
                "MANIFEST: the record at offset %zu makes no sense though its checksum matches: written by a newer "
                "version, or damaged; use that version or rebuild this replica",
                at);
            return STATUS_CORRUPT;
        }
        crc = le_u32(bytes.data + at + 12);
        at += size;
    }
    if (synced_record_after(bytes, at)) {
        errbuf_set(err, "MANIFEST: the record at offset %zu is damaged, and later ones are not; rebuild this replica",
                   at);
        return STATUS_CORRUPT;
    }
    *used = at;
    return STATUS_OK;
}

static enum status read_all(struct disk_file *f, uint8_t **bytes, size_t *size)
{
    uint64_t file_size = 0;
    enum status s = disk_size(f, &file_size);
    if (s != STATUS_OK) return s;
    if (file_size > MANIFEST_BYTES_MAX) return STATUS_CORRUPT;
    *bytes = mem_alloc((size_t)file_size);
    s = disk_read(f, 0, *bytes, (size_t)file_size, size);
    if (s != STATUS_OK) {
        mem_free(*bytes);
        *bytes = NULL;
    }
    return s;
}

static void manifest_path(const struct manifest *m, const char *name, char path[TABLE_PATH_MAX])
{
    int n = snprintf(path, TABLE_PATH_MAX, "%s/%s", m->dir, name);
    ASSERT(n > 0);
    ASSERT((size_t)n < TABLE_PATH_MAX);
}

enum status manifest_open(struct manifest *m, struct disk *d, const char *dir, struct manifest_state *state,
                          struct errbuf *err)
{
    *m = (struct manifest){.disk = d, .dir = dir, .rewrite = true};
    char path[TABLE_PATH_MAX];
    manifest_path(m, "MANIFEST", path);
    enum status s = disk_open(d, path, DISK_READ | DISK_WRITE, &m->file, err);
    if (s != STATUS_OK) return s;
    /* What a process that died wrote may be in memory only; files will be removed on the strength of it. */
    s = disk_sync(m->file);
    uint8_t *bytes = NULL;
    size_t size = 0, used = 0;
    if (s == STATUS_OK) s = read_all(m->file, &bytes, &size);
    if (s != STATUS_OK) errbuf_set(err, "%s: cannot be read or synced: %s", path, status_text(s));
    if (s == STATUS_OK) s = manifest_decode(slice_make(bytes, size), state, &used, err);
    m->size = used;
    mem_free(bytes);
    if (s != STATUS_OK) manifest_close(m);
    return s;
}

void manifest_close(struct manifest *m)
{
    disk_close(m->file);
    m->file = NULL;
}

/* --- writing --- */

bool manifest_wants_rewrite(const struct manifest *m)
{
    return m->rewrite || m->file == NULL || m->size > REWRITE_BYTES + 4 * m->whole_size;
}

/* In a key, that is. Were such an edit torn at the end of the file, its key could be taken for a `synced` record behind it. */
static bool holds_record(struct slice edit)
{
    for (size_t at = 0; at + 4 <= edit.size; at++)
        if (le_u32(edit.data + at) == RECORD_MAGIC) return true;
    return false;
}

/* Appends a record to `out` and moves the chain on. */
static void put_record(struct buf *out, uint32_t *crc, struct slice payload)
{
    size_t start = out->size;
    buf_put_u32(out, RECORD_MAGIC);
    buf_put_u32(out, (uint32_t)payload.size);
    buf_put_u32(out, *crc);
    *crc = crc32c(crc32c(0, out->data + start, 12), payload.data, payload.size);
    buf_put_u32(out, *crc);
    buf_append_slice(out, payload);
    ASSERT(!out->overflow);
}

static void put_synced(struct buf *out, uint32_t *crc)
{
    const uint8_t item = ITEM_SYNCED;
    put_record(out, crc, slice_make(&item, 1));
}

static enum status write_new(struct manifest *m, const char *path, const struct buf *out, struct disk_file **file)
{
    enum status s = disk_remove(m->disk, path); /* of an attempt that failed */
    if (s != STATUS_OK && s != STATUS_NOT_FOUND) return s;
    s = disk_open(m->disk, path, DISK_READ | DISK_WRITE | DISK_CREATE, file, NULL);
    if (s == STATUS_OK) s = disk_write(*file, 0, out->data, out->size);
    if (s == STATUS_OK) s = disk_sync(*file);
    return s;
}

/* Until the rename, nothing has happened; from then on a failure is final, for which of the two names is durable is not
 * known. */
static enum status rewrite(struct manifest *m, struct slice whole, struct slice edit)
{
    struct buf out;
    buf_init(&out, MANIFEST_BYTES_MAX);
    buf_put_u64(&out, HEADER_MAGIC);
    buf_put_u32(&out, MANIFEST_VERSION);
    uint32_t crc = crc32c(0, out.data, 12);
    buf_put_u32(&out, crc);
    put_record(&out, &crc, whole);
    if (edit.size > 0) put_record(&out, &crc, edit);
    put_synced(&out, &crc);
    char from[TABLE_PATH_MAX], to[TABLE_PATH_MAX];
    manifest_path(m, "MANIFEST.new", from);
    manifest_path(m, "MANIFEST", to);
    struct disk_file *file = NULL;
    enum status s = write_new(m, from, &out, &file);
    if (s == STATUS_OK) {
        s = disk_rename(m->disk, from, to);
        if (s == STATUS_OK) s = disk_sync_dir(m->disk, m->dir);
        if (s != STATUS_OK) s = STATUS_IO;
    }
    if (s == STATUS_OK) {
        disk_close(m->file);
        *m = (struct manifest){
            .disk = m->disk, .dir = m->dir, .file = file, .size = out.size, .crc = crc, .whole_size = out.size};
    } else {
        disk_close(file);
    }
    buf_free(&out);
    return s;
}

static enum status append(struct manifest *m, struct slice edit)
{
    struct buf out;
    buf_init(&out, MANIFEST_BYTES_MAX);
    uint32_t crc = m->crc;
    put_record(&out, &crc, edit);
    enum status s = disk_write(m->file, m->size, out.data, out.size);
    if (s == STATUS_OK) s = disk_sync(m->file);
    if (s == STATUS_OK) {
        m->size += out.size;
        m->crc = crc;
        buf_clear(&out);
        put_synced(&out, &crc);
        s = disk_write(m->file, m->size, out.data, out.size); /* not synced: it may get lost */
        m->rewrite = s != STATUS_OK;
        m->size += out.size;
        m->crc = crc;
        if (s == STATUS_NO_SPACE) s = STATUS_OK; /* the edit is durable, only its mark is not */
    } else {
        m->rewrite = true;
    }
    buf_free(&out);
    return s;
}

enum status manifest_commit(struct manifest *m, struct slice whole, struct slice edit)
{
    bool wanted = manifest_wants_rewrite(m);
    if (!wanted && !holds_record(edit)) return append(m, edit);
    if (!wanted && whole.size == 0) {
        m->rewrite = true;
        return STATUS_RETRY;
    }
    ASSERT(whole.size > 0);
    return rewrite(m, whole, edit);
}
