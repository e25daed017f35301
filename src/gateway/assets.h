/* Files that are part of the program: the console's, and the description of the interface. Made by console/embed.sh at build time. */
#ifndef QUORATE_GATEWAY_ASSETS_H
#define QUORATE_GATEWAY_ASSETS_H

#include "base/slice.h"

struct asset {
    const char *name; /* of the file, without its folder */
    const uint8_t *data;
    size_t size;
};
extern const struct asset assets[]; /* the last one has no name */

/* BUG when there is none of that name. */
struct slice asset_find(const char *name);

#endif
