/* Records of a file that a person names: lines, rows of CSV (RFC 4180, line ends in quoted cells too), rows of our own raw format; read
 * piece by piece, so that a file may be of any size. Rejects: a file of those that were refused, with numbers and reasons. */
#ifndef QUORATE_CLI_RECORDS_H
#define QUORATE_CLI_RECORDS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"

enum record_kind { RECORD_LINE, RECORD_CSV, RECORD_RAW };
#define RAW_MAGIC "QTROWS1\n" /* begins a raw file: docs/formats/rows.md */

struct records {
    int fd;
    enum record_kind kind;
    struct buf bytes; /* read and not yet passed */
    size_t at;
    uint64_t passed, size; /* bytes of the file; size 0: not known */
    uint64_t number;       /* of the line that the record begins with; RECORD_RAW: of the record; from 1 */
    uint64_t lines;        /* passed so far */
    size_t record;         /* size of the last one, which records_back gives back */
    bool ended;
};

/* "-": standard input. Its first bytes tell the kind, unless it is told: what begins with '{' is lines, with RAW_MAGIC raw, else CSV. */
MUST_CHECK enum status records_open(struct records *r, const char *path, struct errbuf *err);
void records_close(struct records *r);
/* The next record that is not empty, without its line end, borrowed until the next call. STATUS_END; STATUS_TOO_LARGE, STATUS_CORRUPT,
 * STATUS_IO: err says where. */
MUST_CHECK enum status records_next(struct records *r, struct slice *record, struct errbuf *err);
void records_back(struct records *r);         /* the last one comes again */
double records_done(const struct records *r); /* share of the file; 0 if its size is not known */

/* The next cell of a row; false: there are no more, or it has a quote that does not end where the cell does. Borrowed from the row, or
 * in the arena. */
bool csv_cell(struct slice *row, struct arena *arena, struct slice *cell);
bool csv_ended(const struct slice *row); /* all its cells have been read */
/* The first line: what the fields are called, each once. The names are copied to the arena. */
MUST_CHECK enum status csv_names(struct slice line, struct arena *arena, struct slice *names, size_t max, size_t *count,
                                 struct errbuf *err);
void csv_append(struct buf *b, struct slice cell); /* in quotes if it has to be */

struct rejects {
    char path[1100];
    int fd; /* -1: none so far */
    uint64_t count;
    bool failed;
};
/* --rejects, or the name of what is read with .rejects behind it. An old file of the name is removed; STATUS_INVALID when it is what
 * is read. */
MUST_CHECK enum status rejects_init(struct rejects *r, const char *given, const char *of, const struct records *in,
                                    struct errbuf *err);
void rejects_add(struct rejects *r, uint64_t number, const char *why, struct slice record);
void rejects_close(struct rejects *r);

#endif
