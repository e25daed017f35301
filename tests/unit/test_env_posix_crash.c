/* A process that dies of a bug leaves a report: of an assertion that failed, with its words and the last events; of a memory fault, with the address. Under the
 * sanitizers, which tell more, it leaves none. */
#define _GNU_SOURCE /* fork */
#include "base/assert.h"
#include "env_posix/crash.h"
#include "test_env_posix_common.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define REPORTS false
#else
#define REPORTS true
#endif

enum death { BY_ASSERT, BY_FAULT };

_Noreturn static void die(const struct test_dir *d, enum death how)
{
    volatile unsigned kept = 0, counted = 1;
    int nowhere = open("/dev/null", O_WRONLY);
    (void)dup2(nowhere, STDERR_FILENO); /* what assert_fail says there is not of this test's */
    crash_reports_begin(d->path, "9.8.7");
    for (unsigned i = 0; i < 100; i++) {
        char line[64];
        int size = snprintf(line, sizeof line, "event number=%u.", i);
        crash_note(line, (size_t)size);
    }
    if (how == BY_ASSERT) ASSERT(kept == counted);
    (void)raise(SIGSEGV);
    _exit(0);
}

static int death_of(const struct test_dir *d, enum death how)
{
    int state = 0;
    pid_t child = fork();
    if (child == 0) die(d, how);
    ck_assert_int_gt(child, 0);
    ck_assert_int_eq(waitpid(child, &state, 0), child);
    ck_assert(WIFSIGNALED(state) || !REPORTS);
    return WIFSIGNALED(state) ? WTERMSIG(state) : 0;
}

static char *report(const struct test_dir *d, const char *name)
{
    struct buf b;
    struct errbuf err;
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", d->path, name);
    buf_init(&b, 16u << 20);
    enum status s = process_file_read(path, &b, &err);
    ck_assert_int_eq(s == STATUS_OK, REPORTS);
    buf_append_byte(&b, '\0');
    return (char *)b.data;
}

static void expect_in(const char *text, const char *what)
{
    if (REPORTS) ck_assert_msg(strstr(text, what) != NULL, "'%s' is not in: %s", what, text);
}

START_TEST(an_assertion_is_reported_in_its_words)
{
    struct test_dir d = test_dir_new();
    int signal = death_of(&d, BY_ASSERT);
    char *text = report(&d, CRASH_NAME);
    ck_assert_int_eq(signal, SIGABRT);
    expect_in(text, "quorate 9.8.7 ended by signal 6, process ");
    expect_in(text, "test_env_posix_crash.c:");
    expect_in(text, ": die: kept == counted\n");
    expect_in(text, "frames, innermost first");
    expect_in(text, "  event number=99.\nend of report\n");
    expect_in(text, "  event number=36.\n"); /* the last 64 */
    ck_assert_ptr_null(strstr(text, "event number=35."));
    mem_free(text);
    test_dir_free(&d);
}
END_TEST

START_TEST(a_fault_is_added_to_it)
{
    struct test_dir d = test_dir_new();
    (void)death_of(&d, BY_ASSERT);
    int signal = death_of(&d, BY_FAULT);
    char *text = report(&d, CRASH_NAME);
    if (REPORTS) ck_assert_int_eq(signal, SIGSEGV);
    expect_in(text, "ended by signal 6");
    expect_in(text, "ended by signal 11, process ");
    expect_in(text, ", at address 0x");
    mem_free(text);
    test_dir_free(&d);
}
END_TEST

START_TEST(reports_do_not_fill_the_disk)
{
    struct test_dir d = test_dir_new();
    char path[256];
    static uint8_t much[300 * 1024];
    struct errbuf err;
    memset(much, 'x', sizeof much);
    (void)snprintf(path, sizeof path, "%s/%s", d.path, CRASH_NAME);
    ck_assert_int_eq(process_file_write(path, slice_make(much, sizeof much), &err), STATUS_OK);
    (void)death_of(&d, BY_ASSERT);
    struct stat now;
    ck_assert_int_eq(stat(path, &now) == 0, REPORTS);
    if (REPORTS) ck_assert_int_lt(now.st_size, 100 * 1024);
    (void)snprintf(path, sizeof path, "%s/%s", d.path, CRASH_FORMER_NAME);
    ck_assert_int_eq(stat(path, &now), 0);
    ck_assert_int_eq(now.st_size, sizeof much);
    test_dir_free(&d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("env_posix/crash");
    TCase *tc = tcase_create("crash");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, an_assertion_is_reported_in_its_words);
    tcase_add_test(tc, a_fault_is_added_to_it);
    tcase_add_test(tc, reports_do_not_fill_the_disk);
    suite_add_tcase(suite, tc);
    return test_run_suite(suite);
}
