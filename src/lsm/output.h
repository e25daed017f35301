/* Rows in, tables out: cuts tables at a target size, never between versions of one key. Any thread, one at a time. */
#ifndef QUORATE_LSM_OUTPUT_H
#define QUORATE_LSM_OUTPUT_H

#include "lsm/table_build.h"

#define OUTPUT_TABLES_MAX ((uint64_t)1 << 20) /* table numbers set aside for one output */

/* Keys at which tables end if they can. Immutable, counted on the loop. */
struct boundaries {
    unsigned refs;
    size_t count;
    struct slice keys[];
};
struct boundaries *boundaries_new(const struct slice *keys, size_t count);
struct boundaries *boundaries_ref(struct boundaries *b); /* NULL gives NULL */
void boundaries_unref(struct boundaries *b);

struct output {
    struct disk *disk;
    const char *dir;
    struct table_build_options build;
    uint64_t file_bytes;
    struct boundaries *boundaries; /* one reference, or NULL */
    size_t boundary;               /* the first that is above the row added last */
    uint64_t first, next;          /* numbers: those in [first, next) have files that are this output's */
    uint64_t salt;
    struct table_builder *builder;
    struct table **tables; /* finished; one reference each */
    size_t table_count, table_capacity;
    uint64_t bytes;    /* of the finished tables */
    struct errbuf err; /* after a failure */
};
/* levels_below: that of the tables, to the last one. first: of OUTPUT_TABLES_MAX unused numbers. */
void output_init(struct output *o, struct disk *d, const char *dir, const struct lsm_options *options,
                 uint32_t levels_below, uint64_t first, uint64_t salt);
MUST_CHECK enum status output_add(struct output *o, const struct lsm_write *row);
MUST_CHECK enum status output_finish(struct output *o); /* the last table; then syncs the folder */
/* The tables, and the care for their files, are the caller's from here on. */
void output_hand_over(struct output *o);
void output_free(struct output *o); /* after output_hand_over or lsm_output_release */

#endif
