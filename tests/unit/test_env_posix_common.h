/* What the tests of env_posix share: an env, a data directory of their own, and waiting for a condition on the loop. */
#ifndef QUORATE_TESTS_UNIT_TEST_ENV_POSIX_COMMON_H
#define QUORATE_TESTS_UNIT_TEST_ENV_POSIX_COMMON_H

#include "base/buf.h"
#include "base/mem.h"
#include "env_posix/env_posix.h"
#include "env_posix/process.h"
#include "lib/env_posix_dir.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WAIT_NS (20000u * NS_PER_MS) /* a bound against hanging; no test waits for it to pass */

static inline struct env *test_env_new(const char *data_dir)
{
    struct errbuf err = {.text = ""};
    struct env_posix_options o = {
        .precise_timers = true, .data_dir = data_dir, .log_path = "/dev/null", .http_timeout_ms = 400};
    struct env *env = env_posix_new(&o, &err);
    ck_assert_msg(env != NULL, "%s", err.text);
    return env;
}

/* Runs the loop until the condition holds, and fails the test when it never does. */
static inline void test_wait(struct env *env, bool (*done)(void *), void *ctx)
{
    env_posix_run_until(env, done, ctx, WAIT_NS);
    ck_assert_msg(done(ctx), "what was waited for did not happen");
}

static inline int test_run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
