#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>

struct status_row {
    const char *name;
    const char *text;
    int http;
};

static const struct status_row rows[] = {
#define STATUS_ROW(id, wire, code, words) [STATUS_##id] = {.name = wire, .text = words, .http = code},
    STATUS_MAP(STATUS_ROW)
#undef STATUS_ROW
};

_Static_assert(sizeof(rows) / sizeof(rows[0]) == STATUS_COUNT, "every status has a row");

/* A number may come from the wire, from a newer version: it is looked at before it is used. */
static const struct status_row *row_of(enum status s)
{
    unsigned n = (unsigned)s;
    return n < STATUS_COUNT ? &rows[n] : NULL;
}

const char *status_name(enum status s)
{
    const struct status_row *row = row_of(s);
    return row != NULL ? row->name : "?";
}

const char *status_text(enum status s)
{
    const struct status_row *row = row_of(s);
    return row != NULL ? row->text : "a status that this version does not know";
}

int status_http(enum status s)
{
    const struct status_row *row = row_of(s);
    return row != NULL ? row->http : 500;
}

void errbuf_set(struct errbuf *e, const char *fmt, ...)
{
    if (e == NULL) return;
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(e->text, sizeof(e->text), fmt, args);
    va_end(args);
    if (n < 0) e->text[0] = '\0';
}
