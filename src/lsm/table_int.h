/* What the writer and the reader of tables share. */
#ifndef QUORATE_LSM_TABLE_INT_H
#define QUORATE_LSM_TABLE_INT_H

#include "lsm/table.h"

#define TABLE_MAGIC 0x31656C6261547551ull /* "QuTable1" */
#define TABLE_VERSION 1u
#define TABLE_SECTION_MAX BLOCK_RAW_MAX

struct table_footer {
    struct table_id id;                           /* .size is not in the footer */
    uint64_t index_offset;                        /* filter and properties follow the index */
    uint32_t index_size, filter_size, props_size; /* sealed */
    uint32_t block_count;
};
void table_footer_encode(const struct table_footer *f, uint8_t bytes[TABLE_FOOTER_BYTES]);
MUST_CHECK enum status table_footer_decode(const uint8_t bytes[TABLE_FOOTER_BYTES], struct table_footer *f,
                                           struct errbuf *err);

#endif
