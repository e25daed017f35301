#include "cli/records.h"

#include <stdio.h>
#include <string.h>

#include "base/cursor.h"
#include "base/limits.h"
#include "env_posix/process.h"

#define PIECE_BYTES (256u << 10)
#define BYTE_ORDER_MARK "\xef\xbb\xbf" /* spreadsheets begin their files so */
#define RECORD_BYTES_MAX (4u << 20)    /* a value of base64 with escapes, and room */

/* --- reading --- */

/* One more piece of the file; what has been passed goes first. False: there is none. */
static bool more(struct records *r, struct errbuf *err, enum status *failed)
{
    if (r->ended) return false;
    if (r->at > 0) {
        memmove(r->bytes.data, r->bytes.data + r->at, r->bytes.size - r->at);
        r->bytes.size -= r->at;
        r->at = 0;
    }
    uint8_t *to = buf_extend(&r->bytes, PIECE_BYTES);
    if (to == NULL) {
        errbuf_set(err, "line %llu: longer than %u bytes", (unsigned long long)r->lines + 1, RECORD_BYTES_MAX);
        *failed = STATUS_TOO_LARGE;
        return false;
    }
    size_t got = 0;
    *failed = process_read(r->fd, to, PIECE_BYTES, &got, err);
    r->bytes.size -= PIECE_BYTES - got;
    r->ended = got == 0;
    return got > 0;
}

enum status records_open(struct records *r, const char *path, struct errbuf *err)
{
    enum status failed = STATUS_OK;
    *r = (struct records){.fd = 0};
    buf_init(&r->bytes, RECORD_BYTES_MAX + PIECE_BYTES);
    if (strcmp(path, "-") != 0) r->fd = process_read_open(path, &r->size, err);
    if (r->fd < 0) return STATUS_IO;
    while (r->bytes.size < sizeof(RAW_MAGIC) - 1 && more(r, err, &failed)) continue;
    if (failed != STATUS_OK) return failed;
    struct slice bytes = buf_slice(&r->bytes);
    if (slice_starts(bytes, slice_str(RAW_MAGIC))) {
        r->kind = RECORD_RAW;
        r->at = r->passed = sizeof(RAW_MAGIC) - 1;
        return STATUS_OK;
    }
    if (slice_starts(bytes, slice_str(BYTE_ORDER_MARK))) r->at = r->passed = sizeof(BYTE_ORDER_MARK) - 1;
    r->kind = r->at < bytes.size && bytes.data[r->at] == '{' ? RECORD_LINE : RECORD_CSV;
    return STATUS_OK;
}

void records_close(struct records *r)
{
    if (r->fd > 0) process_read_close(r->fd);
    buf_free(&r->bytes);
}

/* Where the line ends, of CSV the one that is not within quotes; false: further on. */
static bool find_line(const struct records *r, struct slice rest, size_t *size)
{
    bool quoted = false;
    if (r->kind == RECORD_LINE) {
        const uint8_t *end = rest.size > 0 ? memchr(rest.data, '\n', rest.size) : NULL;
        *size = end != NULL ? (size_t)(end - rest.data) + 1 : rest.size;
        return end != NULL;
    }
    for (size_t i = 0; i < rest.size; i++) {
        if (rest.data[i] == '"') quoted = !quoted;
        *size = i + 1;
        if (rest.data[i] == '\n' && !quoted) return true;
    }
    *size = rest.size;
    return false;
}

/* A raw row: flags, varint and key, varint and value, varint of ttl. */
static bool find_raw(struct slice rest, size_t *size)
{
    struct cursor c = cursor_make(rest);
    (void)cursor_u8(&c);
    for (int i = 0; i < 2; i++) {
        uint64_t n = cursor_varint(&c);
        if (c.failed || n > cursor_left(&c)) return false;
        (void)cursor_bytes(&c, (size_t)n);
    }
    (void)cursor_varint(&c);
    *size = rest.size - cursor_left(&c);
    return !c.failed;
}

static uint64_t count_lines(struct slice s)
{
    uint64_t n = 0;
    for (size_t i = 0; i < s.size; i++) n += s.data[i] == '\n';
    return n;
}

static struct slice without_end(struct slice s)
{
    if (s.size > 0 && s.data[s.size - 1] == '\n') s.size--;
    if (s.size > 0 && s.data[s.size - 1] == '\r') s.size--;
    return s;
}

enum status records_next(struct records *r, struct slice *record, struct errbuf *err)
{
    enum status failed = STATUS_OK;
    for (;;) {
        struct slice rest = slice_make(r->bytes.data + r->at, r->bytes.size - r->at);
        size_t size = 0;
        bool whole = r->kind == RECORD_RAW ? find_raw(rest, &size) : find_line(r, rest, &size);
        if (!whole && more(r, err, &failed)) continue;
        if (failed != STATUS_OK) return failed;
        if (rest.size == 0) return STATUS_END;
        if (!whole && r->kind == RECORD_RAW) {
            errbuf_set(err, "row %llu is cut off", (unsigned long long)r->number + 1);
            return STATUS_CORRUPT;
        }
        struct slice s = slice_make(rest.data, size);
        r->number = r->kind == RECORD_RAW ? r->number + 1 : r->lines + 1;
        r->lines += count_lines(s);
        r->at += size;
        r->passed += size;
        r->record = size;
        *record = r->kind == RECORD_RAW ? s : without_end(s);
        if (record->size > 0) return STATUS_OK;
    }
}

void records_back(struct records *r)
{
    r->at -= r->record;
    r->passed -= r->record;
    r->lines -= count_lines(slice_make(r->bytes.data + r->at, r->record));
    if (r->kind == RECORD_RAW) r->number--;
    r->record = 0;
}

double records_done(const struct records *r)
{
    return r->size == 0 ? 0 : (double)r->passed / (double)r->size;
}

/* --- CSV --- */

bool csv_cell(struct slice *row, struct arena *arena, struct slice *cell)
{
    if (row->data == NULL) return false;
    struct slice r = *row;
    if (r.size > 0 && r.data[0] == '"') {
        uint8_t *text = arena_alloc(arena, r.size);
        size_t size = 0, i = 1;
        while (i < r.size && !(r.data[i] == '"' && !(i + 1 < r.size && r.data[i + 1] == '"'))) {
            if (r.data[i] == '"') i++;
            text[size++] = r.data[i++];
        }
        if (i >= r.size || (i + 1 < r.size && r.data[i + 1] != ',')) return false;
        *cell = slice_make(text, size);
        i++;
        *row = i < r.size ? slice_make(r.data + i + 1, r.size - i - 1) : (struct slice){.data = NULL};
        return true;
    }
    const uint8_t *comma = r.size > 0 ? memchr(r.data, ',', r.size) : NULL;
    *cell = slice_make(r.data, comma != NULL ? (size_t)(comma - r.data) : r.size);
    *row = comma != NULL ? slice_make(comma + 1, r.size - cell->size - 1) : (struct slice){.data = NULL};
    return true;
}

bool csv_ended(const struct slice *row)
{
    return row->data == NULL;
}

enum status csv_names(struct slice line, struct arena *arena, struct slice *names, size_t max, size_t *count,
                      struct errbuf *err)
{
    struct slice name;
    *count = 0;
    while (csv_cell(&line, arena, &name)) {
        for (size_t i = 0; i < *count; i++) {
            if (!slice_eq(names[i], name)) continue;
            errbuf_set(err, "the first line names the field '%.*s' twice", (int)(name.size < 60 ? name.size : 60),
                       (const char *)name.data);
            return STATUS_INVALID;
        }
        if (*count == max) {
            errbuf_set(err, "the first line has more than %zu fields", max);
            return STATUS_INVALID;
        }
        names[(*count)++] = arena_dup_slice(arena, name);
    }
    if (csv_ended(&line)) return STATUS_OK;
    errbuf_set(err, "the first line has a quote that does not end where the field does");
    return STATUS_INVALID;
}

void csv_append(struct buf *b, struct slice cell)
{
    bool quote = false;
    for (size_t i = 0; i < cell.size && !quote; i++) {
        uint8_t c = cell.data[i];
        quote = c == '"' || c == ',' || c == '\n' || c == '\r';
    }
    if (!quote) {
        buf_append_slice(b, cell);
        return;
    }
    buf_append_byte(b, '"');
    for (size_t i = 0; i < cell.size; i++) {
        if (cell.data[i] == '"') buf_append_byte(b, '"');
        buf_append_byte(b, cell.data[i]);
    }
    buf_append_byte(b, '"');
}

/* --- rejects --- */

enum status rejects_init(struct rejects *r, const char *given, const char *of, const struct records *in,
                         struct errbuf *err)
{
    *r = (struct rejects){.fd = -1};
    if (given != NULL)
        (void)snprintf(r->path, sizeof r->path, "%.1000s", given);
    else if (strcmp(of, "-") == 0)
        (void)snprintf(r->path, sizeof r->path, "import.rejects");
    else
        (void)snprintf(r->path, sizeof r->path, "%.1000s.rejects", of);
    if (process_is_file(in->fd, r->path)) {
        errbuf_set(err, "--rejects: %s is what is imported, and would be replaced", r->path);
        return STATUS_INVALID;
    }
    enum status s = process_file_remove(r->path);
    r->failed = s != STATUS_OK && s != STATUS_NOT_FOUND;
    return STATUS_OK;
}

void rejects_add(struct rejects *r, uint64_t number, const char *why, struct slice record)
{
    struct errbuf err;
    struct buf b;
    r->count++;
    if (r->fd < 0 && !r->failed) r->fd = process_append_open(r->path, &err);
    r->failed = r->failed || r->fd < 0;
    if (r->failed) return;
    buf_init(&b, RECORD_BYTES_MAX + 1024);
    buf_printf(&b, "%llu\t%s\t", (unsigned long long)number, why);
    buf_append_slice(&b, record);
    buf_append_byte(&b, '\n');
    r->failed = process_append(r->fd, buf_slice(&b), &err) != STATUS_OK;
    buf_free(&b);
}

void rejects_close(struct rejects *r)
{
    if (r->fd >= 0) process_read_close(r->fd);
}
