/* Worked examples in docs/formats: hex bytes between "<!-- example: NAME -->" and "<!-- end -->". */
#ifndef QUORATE_TESTS_LSM_DOC_H
#define QUORATE_TESTS_LSM_DOC_H

#include "base/buf.h"

/* Reads the example's bytes into `out`, which it initialises. Fails the test if there is none, and then shows `fresh` in the
 * form in which it belongs into the document. */
void lsm_doc_example(const char *path, const char *name, struct slice fresh, struct buf *out);

#endif
