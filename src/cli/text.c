/* Text for people: escaping, sizes, tables. Pure. */
#include <stdarg.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "cli/cli_int.h"
#include "gateway/codec.h"

void text_escape(struct buf *b, struct slice s)
{
    bool text = utf8_valid(s);
    for (size_t i = 0; i < s.size; i++) {
        uint8_t c = s.data[i];
        if (c == '\\')
            buf_append(b, "\\\\", 2);
        else if (c == '\t')
            buf_append(b, "\\t", 2);
        else if (c == '\n')
            buf_append(b, "\\n", 2);
        else if (c < 0x20 || c == 0x7f || (c >= 0x80 && !text))
            buf_printf(b, "\\x%02x", c);
        else
            buf_append_byte(b, c);
    }
}

void text_duration(struct buf *b, uint64_t ms)
{
    uint64_t s = ms / 1000;
    if (s < 60)
        buf_printf(b, "%llus", (unsigned long long)s);
    else if (s < 3600)
        buf_printf(b, "%llum %02llus", (unsigned long long)(s / 60), (unsigned long long)(s % 60));
    else
        buf_printf(b, "%lluh %02llum", (unsigned long long)(s / 3600), (unsigned long long)(s % 3600 / 60));
}

void text_size(struct buf *b, uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes;
    int unit = -1;
    if (bytes < 1024) {
        buf_printf(b, "%llu B", (unsigned long long)bytes);
        return;
    }
    while (v >= 1024 && unit < 3) {
        v /= 1024;
        unit++;
    }
    buf_printf(b, "%.1f %s", v, units[unit]);
}

void text_table_init(struct text_table *t, const char *const *heads, unsigned columns)
{
    ASSERT(columns > 0);
    ASSERT(columns <= TABLE_COLUMNS_MAX);
    *t = (struct text_table){.heads = heads, .columns = columns};
    arena_init(&t->arena, 4096);
}

void text_table_free(struct text_table *t)
{
    arena_free(&t->arena);
    mem_free(t->cells);
    t->cells = NULL;
}

static void cell_add(struct text_table *t, struct slice s)
{
    if (t->cell_count == t->cell_capacity) {
        t->cell_capacity = t->cell_capacity == 0 ? 64 : t->cell_capacity * 2;
        t->cells = mem_realloc(t->cells, t->cell_capacity * sizeof(*t->cells));
    }
    t->cells[t->cell_count++] = arena_dup_slice(&t->arena, s);
}

void text_table_cell(struct text_table *t, const char *fmt, ...)
{
    char text[600];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    cell_add(t, slice_str(text));
}

/* Columns on a terminal: continuation bytes of UTF-8 take none. */
static size_t width(struct slice s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.size; i++) n += (s.data[i] & 0xc0) != 0x80;
    return n;
}

void text_table_cell_bytes(struct text_table *t, struct slice s, size_t shown_max)
{
    struct buf b;
    bool cut = s.size > shown_max;
    if (cut) s.size = shown_max;
    while (cut && s.size > 0 && !utf8_valid(s) && shown_max - s.size < 3) s.size--; /* not inside a character */
    buf_init(&b, shown_max * 4 + 8);
    text_escape(&b, s);
    if (cut) buf_append_str(&b, "...");
    cell_add(t, b.size > 0 ? buf_slice(&b) : SLICE_EMPTY);
    buf_free(&b);
}

static void pad(struct buf *out, size_t n)
{
    while (n-- > 0) buf_append_byte(out, ' ');
}

void text_table_write(const struct text_table *t, enum output output, struct buf *out)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0};
    bool plain = output == OUTPUT_PLAIN;
    ASSERT(t->cell_count % t->columns == 0);
    for (unsigned c = 0; c < t->columns && !plain; c++) widths[c] = strlen(t->heads[c]);
    for (size_t i = 0; i < t->cell_count && !plain; i++) {
        size_t w = width(t->cells[i]);
        if (w > widths[i % t->columns]) widths[i % t->columns] = w;
    }
    for (unsigned c = 0; c < t->columns && !plain; c++) {
        buf_append_str(out, t->heads[c]);
        if (c + 1 < t->columns) pad(out, widths[c] - strlen(t->heads[c]) + 2);
    }
    if (!plain) buf_append_byte(out, '\n');
    for (size_t i = 0; i < t->cell_count; i++) {
        unsigned c = (unsigned)(i % t->columns);
        bool last = c + 1 == t->columns;
        buf_append_slice(out, t->cells[i]);
        if (last)
            buf_append_byte(out, '\n');
        else if (plain)
            buf_append_byte(out, '\t');
        else
            pad(out, widths[c] - width(t->cells[i]) + 2);
    }
}
