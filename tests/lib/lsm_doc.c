#include "lib/lsm_doc.h"

#include <check.h>
#include <stdio.h>

static unsigned hex_digit(int c)
{
    if (c >= '0' && c <= '9') return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f') return (unsigned)(c - 'a') + 10u;
    return 16;
}

/* Lines are "offset: bytes   remark"; two blanks end the bytes. */
static void take_line(const char *line, struct buf *out)
{
    const char *p = strchr(line, ':');
    if (p == NULL) return;
    for (p++; *p == ' '; p++) {
        unsigned high = hex_digit(p[1]);
        if (high > 15) return;
        buf_append_byte(out, (uint8_t)(high << 4 | hex_digit(p[2])));
        p += 2;
    }
}

static void show(struct slice fresh)
{
    for (size_t i = 0; i < fresh.size; i += 16) {
        fprintf(stderr, "%04zx:", i);
        for (size_t k = i; k < fresh.size && k < i + 16; k++) fprintf(stderr, " %02x", fresh.data[k]);
        fprintf(stderr, "\n");
    }
}

void lsm_doc_example(const char *path, const char *name, struct slice fresh, struct buf *out)
{
    buf_init(out, 1 << 20);
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "%s cannot be opened: run the tests from the top folder", path);
    char line[256], begin[64];
    (void)snprintf(begin, sizeof(begin), "<!-- example: %s -->", name);
    bool inside = false;
    while (fgets(line, sizeof(line), f) != NULL) {
        if (strncmp(line, begin, strlen(begin)) == 0) inside = true;
        if (strncmp(line, "<!-- end -->", 12) == 0) inside = false;
        if (inside) take_line(line, out);
    }
    (void)fclose(f);
    if (!slice_eq(buf_slice(out), fresh)) show(fresh);
    ck_assert_uint_gt(out->size, 0);
}
