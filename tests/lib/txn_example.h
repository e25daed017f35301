/* Reads worked examples out of the documents of formats: the hex digits between <!-- example:NAME --> and the end of the
 * block that follows. Paths are relative to the top of the tree, where tests run. */
#ifndef QUORATE_TESTS_LIB_TXN_EXAMPLE_H
#define QUORATE_TESTS_LIB_TXN_EXAMPLE_H

#include "base/buf.h"

/* Appends the example's bytes; false if the document or the example is missing or holds anything but hex digits. */
bool example_load(const char *path, const char *name, struct buf *out);

#endif
