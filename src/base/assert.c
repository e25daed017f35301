#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void assert_fail(const char *file, int line, const char *function, const char *what)
{
    (void)fprintf(stderr, "%s:%d: %s: %s\n", file, line, function, what);
    (void)fflush(stderr);
    abort();
}
