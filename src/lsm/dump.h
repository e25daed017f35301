/* What a table or a manifest holds, as text for a person: offline, blocking, from one file. Damage is named where it is
 * found, and what can still be read is shown. */
#ifndef QUORATE_LSM_DUMP_H
#define QUORATE_LSM_DUMP_H

#include "env/disk.h"

struct buf;
struct dump {
    struct disk *disk;
    const char *path;
    bool rows;                                 /* of a table: every row, not only the blocks */
    void (*show)(void *ctx, struct buf *text); /* takes the text away; called again and again */
    void *ctx;
};
/* STATUS_CORRUPT: something was damaged. err: what is the matter when there is nothing to show. */
MUST_CHECK enum status dump_table(const struct dump *d, struct errbuf *err);
MUST_CHECK enum status dump_manifest(const struct dump *d, struct errbuf *err);

#endif
