/* Writes one table: rows in order, then finish. Blocking; used by one task at a time. */
#ifndef QUORATE_LSM_TABLE_BUILD_H
#define QUORATE_LSM_TABLE_BUILD_H

#include "lsm/table.h"

struct table_build_options {
    size_t block_bytes;
    bool compress;
    unsigned bloom_bits; /* of the filter, a key */
};

struct table_builder;
/* Creates the file, whose name must be new. */
MUST_CHECK enum status table_builder_new(struct disk *d, const char *dir, const struct table_id *id,
                                         const struct table_build_options *options, struct table_builder **out,
                                         struct errbuf *err);
MUST_CHECK enum status table_builder_add(struct table_builder *b, const struct lsm_write *row);
uint64_t table_builder_bytes(const struct table_builder *b);        /* written so far, about */
struct slice table_builder_last_key(const struct table_builder *b); /* empty before the first row */
/* Writes the rest, syncs, and opens the table, which reads and verifies its index again. The builder is used up. */
MUST_CHECK enum status table_builder_finish(struct table_builder *b, struct table **out, struct errbuf *err);
void table_builder_free(struct table_builder *b); /* closes the file; it stays on disk */

#endif
