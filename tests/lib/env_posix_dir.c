#define _GNU_SOURCE /* mkdtemp */
#include "lib/env_posix_dir.h"

#include "env_posix/process.h"

#include <check.h>
#include <stdlib.h>

struct test_dir test_dir_new(void)
{
    struct test_dir d = {.path = "/tmp/quorate-test-XXXXXX"};
    ck_assert_ptr_nonnull(mkdtemp(d.path));
    return d;
}

static bool ignore_line(void *ctx, struct slice line)
{
    (void)ctx;
    (void)line;
    return true;
}

void test_dir_free(struct test_dir *d)
{
    const char *const argv[] = {"rm", "-rf", d->path, NULL};
    struct errbuf err;
    ck_assert_int_eq(process_read_lines(argv, ignore_line, NULL, &err), STATUS_OK);
}
