/* A ZIP archive in memory (PKWARE's APPNOTE 6.3.3, method 8), for small files. */
#ifndef QUORATE_CLI_ZIP_H
#define QUORATE_CLI_ZIP_H

#include "base/buf.h"

#define ZIP_FILES_MAX 256u

struct zip {
    struct buf bytes, directory;
    unsigned count;
};
void zip_init(struct zip *z, size_t max);
bool zip_add(struct zip *z, const char *name, struct slice content); /* false: it does not fit */
struct slice zip_end(struct zip *z);                                 /* the whole archive, borrowed */
void zip_free(struct zip *z);

#endif
