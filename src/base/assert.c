#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

/* Whoever writes reports of crashes has one of his own (env_posix/posix_signal_crash.c). */
__attribute__((weak)) void assert_noted(const char *file, int line, const char *function, const char *what)
{
    (void)file;
    (void)line;
    (void)function;
    (void)what;
}

void assert_fail(const char *file, int line, const char *function, const char *what)
{
    (void)fprintf(stderr, "%s:%d: %s: %s\n", file, line, function, what);
    (void)fflush(stderr);
    assert_noted(file, line, function, what);
    abort();
}
