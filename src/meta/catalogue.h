/* The catalogue: those rows of the metadata that no replica of a range can tell. Every storage node keeps a copy (node/catalogue.h),
 * for the day when all metadata is lost. Pure. */
#ifndef QUORATE_META_CATALOGUE_H
#define QUORATE_META_CATALOGUE_H

#include "base/buf.h"
#include "wire/messages_rebuild.h"

struct meta_catalogue {
    struct catalogue_row *rows; /* by key; owned */
    size_t count, capacity;
    bool stale; /* packed is of former rows */
    struct buf packed;
    uint64_t hash;
};
void meta_catalogue_init(struct meta_catalogue *c);
void meta_catalogue_clear(struct meta_catalogue *c); /* and frees */
/* A row of the metadata was written; nothing if it is none of the catalogue's. */
void meta_catalogue_row(struct meta_catalogue *c, struct slice key, struct slice value, bool is_delete);
/* All of it, packed; empty: it does not fit one frame. Until the next row. */
struct slice meta_catalogue_packed(struct meta_catalogue *c, uint64_t *hash);

#endif
