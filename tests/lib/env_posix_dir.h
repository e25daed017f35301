/* A directory of a test's own. */
#ifndef QUORATE_TESTS_ENV_POSIX_DIR_H
#define QUORATE_TESTS_ENV_POSIX_DIR_H

struct test_dir {
    char path[64];
};

struct test_dir test_dir_new(void);
void test_dir_free(struct test_dir *d); /* with all that is in it */

#endif
