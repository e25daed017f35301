#include "lib/txn_example.h"

#include <stdio.h>

static int hex_digit(int c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

static bool append_line(const char *line, struct buf *out)
{
    for (const char *at = line; *at != '\0' && *at != '\n';) {
        if (*at == ' ') {
            at++;
            continue;
        }
        int high = hex_digit(at[0]);
        int low = high >= 0 ? hex_digit(at[1]) : -1;
        if (low < 0) return false;
        buf_put_u8(out, (uint8_t)(high * 16 + low));
        at += 2;
    }
    return true;
}

bool example_load(const char *path, const char *name, struct buf *out)
{
    FILE *f = fopen(path, "r");
    if (f == NULL) return false;
    char marker[128], line[512];
    (void)snprintf(marker, sizeof(marker), "<!-- example:%s -->", name);
    enum { SEARCHING, FOUND, INSIDE, DONE, BAD } state = SEARCHING;
    while ((state == SEARCHING || state == FOUND || state == INSIDE) && fgets(line, sizeof(line), f) != NULL) {
        bool fence = strncmp(line, "```", 3) == 0;
        if (state == SEARCHING && strncmp(line, marker, strlen(marker)) == 0) {
            state = FOUND;
        } else if (state == FOUND && fence) {
            state = INSIDE;
        } else if (state == INSIDE && fence) {
            state = DONE;
        } else if (state == INSIDE && !append_line(line, out)) {
            state = BAD;
        }
    }
    (void)fclose(f);
    return state == DONE;
}
