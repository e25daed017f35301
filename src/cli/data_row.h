/* A row of a keyspace in a file: CSV, lines of JSON, raw. docs/formats/rows.md. */
#ifndef QUORATE_CLI_DATA_ROW_H
#define QUORATE_CLI_DATA_ROW_H

#include "cli/records.h"

#define CSV_COLUMNS_MAX 64u

struct data_row {
    struct slice key, value;
    uint64_t ttl_ms; /* 0: it stays */
    bool has_ttl;    /* else the keyspace's */
    bool is_counter; /* value: decimal digits */
};

struct csv_columns { /* the first line's names */
    struct slice names[CSV_COLUMNS_MAX];
    size_t count;
    const char *key, *value; /* what the columns of key and value are called */
};
/* The names are copied to the arena. STATUS_INVALID: there is no column of the key. */
MUST_CHECK enum status csv_columns_read(struct csv_columns *c, struct slice first, struct arena *arena,
                                        struct errbuf *err);
/* Borrowed from the record, or in the arena. STATUS_INVALID: err says what is wrong with it. */
MUST_CHECK enum status data_row_parse(enum record_kind kind, const struct csv_columns *columns, struct slice record,
                                      struct arena *arena, struct data_row *out, struct errbuf *err);

#define CSV_HEAD "key,key_b64,value,value_b64,ttl_ms,counter\n"
void data_row_append(enum record_kind kind, const struct data_row *row, struct buf *out);

#endif
