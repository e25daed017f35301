/* status, errbuf, log lines, asserts, marks. */
#include "base/assert.h"
#include "base/log.h"
#include "base/status.h"
#include "lib/cover.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The numbers go over the wire: this list may only grow at its end. */
START_TEST(status_numbers_never_change)
{
    static const char *const names[] = {
        "ok",
        "not_found",
        "already_exists",
        "condition_failed",
        "guard_failed",
        "not_leader",
        "epoch_mismatch",
        "range_not_found",
        "busy",
        "retry",
        "miss",
        "timeout",
        "unavailable",
        "invalid",
        "too_large",
        "unsupported",
        "wrong_cluster",
        "not_initialized",
        "io_error",
        "corrupt",
        "no_space",
        "no_memory",
        "closed",
        "locked",
        "end",
        "id_reused",
    };
    ck_assert_uint_le(sizeof(names) / sizeof(names[0]), STATUS_COUNT);
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        ck_assert_str_eq(status_name((enum status)i), names[i]);
    }
    ck_assert_int_eq(STATUS_OK, 0);
}
END_TEST

START_TEST(every_status_has_words_and_a_name_of_its_own)
{
    for (unsigned i = 0; i < STATUS_COUNT; i++) {
        enum status s = (enum status)i;
        ck_assert_uint_gt(strlen(status_text(s)), 0);
        ck_assert_int_ge(status_http(s), 200);
        ck_assert_int_lt(status_http(s), 600);
        for (unsigned k = 0; k < i; k++) ck_assert_str_ne(status_name(s), status_name((enum status)k));
    }
    ck_assert_int_eq(status_http(STATUS_GUARD_FAILED), 409);
    ck_assert_str_eq(status_name((enum status)STATUS_COUNT), "?");
    ck_assert_str_eq(status_name((enum status)60000), "?");
    ck_assert_int_eq(status_http((enum status)60000), 500);
    ck_assert_uint_gt(strlen(status_text((enum status)60000)), 0);
}
END_TEST

START_TEST(errbuf_cuts_and_accepts_null)
{
    errbuf_set(NULL, "nobody reads %d", 1);
    struct errbuf e;
    errbuf_set(&e, "disk %s: %d", "a", 5);
    ck_assert_str_eq(e.text, "disk a: 5");
    char longer[2000];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    errbuf_set(&e, "%s", longer);
    ck_assert_uint_eq(strlen(e.text), sizeof(e.text) - 1);
}
END_TEST

struct kept_lines {
    unsigned count;
    enum log_level level;
    char last[2048];
};

static void keep_line(struct logger *log, enum log_level level, const char *line)
{
    struct kept_lines *kept = log->ctx;
    size_t size = strlen(line);
    ck_assert_uint_lt(size, sizeof(kept->last));
    memcpy(kept->last, line, size + 1);
    kept->count++;
    kept->level = level;
}

START_TEST(log_lines)
{
    struct kept_lines kept = {.count = 0};
    struct logger log = {.level = LOG_INFO, .write = keep_line, .ctx = &kept};
    log_event(&log, LOG_DEBUG, "raft.tick", "term=%d", 3);
    ck_assert_uint_eq(kept.count, 0);
    log_event(&log, LOG_WARN, "wal.slow", "ms=%u lane=%s", 30u, "log");
    ck_assert_str_eq(kept.last, "wal.slow ms=30 lane=log");
    ck_assert_int_eq(kept.level, LOG_WARN);
    log_event(&log, LOG_INFO, "node.ready", "%s", "");
    ck_assert_str_eq(kept.last, "node.ready");
    log_event(&log, LOG_INFO, "rpc.bad", "name=%s", "a\nERROR forged\x1b[31m\r");
    ck_assert_str_eq(kept.last, "rpc.bad name=a ERROR forged [31m ");
    char longer[3000];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    log_event(&log, LOG_ERROR, "big", "%s", longer);
    ck_assert_uint_eq(kept.count, 4);
    ck_assert_uint_gt(strlen(kept.last), 1000);
    log_event(NULL, LOG_ERROR, "nobody.listens", "%s", "x");
    ck_assert_str_eq(log_level_name(LOG_DEBUG), "debug");
    ck_assert_str_eq(log_level_name(LOG_ERROR), "error");
}
END_TEST

/* In a child: ends by SIGABRT, and stderr names place and condition. */
static void dies_saying(void (*act)(int), int argument, const char *words)
{
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        (void)dup2(fds[1], STDERR_FILENO);
        act(argument);
        _exit(0);
    }
    (void)close(fds[1]);
    char said[4000];
    size_t size = 0;
    for (ssize_t n; size < sizeof(said) - 1 && (n = read(fds[0], said + size, sizeof(said) - 1 - size)) > 0;) {
        size += (size_t)n;
    }
    said[size] = '\0';
    (void)close(fds[0]);
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    if (words != NULL) {
        ck_assert(WIFSIGNALED(status));
        ck_assert_int_eq(WTERMSIG(status), SIGABRT);
        ck_assert_msg(strstr(said, words) != NULL, "%s", said);
        ck_assert_msg(strstr(said, "test_base_words.c:") != NULL, "%s", said);
    } else {
        ck_assert(WIFEXITED(status));
        ck_assert_int_eq(WEXITSTATUS(status), 0);
    }
}

static void assert_small(int n)
{
    ASSERT(n < 10);
}

static void assert_small_slowly(int n)
{
    ASSERT_SLOW(n < 10);
}

static void call_it_a_bug(int n)
{
    if (n == 3) BUG("state");
}

START_TEST(assertions_stop_the_process)
{
    dies_saying(assert_small, 3, NULL);
    dies_saying(assert_small, 10, "assert_small: n < 10");
    dies_saying(assert_small_slowly, 10, "n < 10"); /* tests are built with the slow ones */
    dies_saying(call_it_a_bug, 3, "call_it_a_bug: state");
}
END_TEST

static void join_names(void *ctx, const char *name, uint64_t count)
{
    char *all = ctx;
    size_t used = strlen(all), size = strlen(name);
    ck_assert_uint_gt(count, 0);
    ck_assert_uint_lt(used + size, 100);
    memcpy(all + used, name, size + 1);
}

START_TEST(marks_are_counted_by_name)
{
    cover_reset();
    ck_assert_uint_eq(cover_count("b"), 0);
    for (int i = 0; i < 5; i++) COVER("b");
    COVER("c");
    COVER("a");
    ck_assert_uint_eq(cover_count("b"), 5);
    ck_assert_uint_eq(cover_count("a"), 1);
    ck_assert_uint_eq(cover_count("d"), 0);
    ck_assert_uint_eq(cover_marks(), 3);
    char all[100] = "";
    cover_each(join_names, all);
    ck_assert_str_eq(all, "abc");
    cover_reset();
    ck_assert_uint_eq(cover_marks(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/words");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, status_numbers_never_change);
    tcase_add_test(tcase, every_status_has_words_and_a_name_of_its_own);
    tcase_add_test(tcase, errbuf_cuts_and_accepts_null);
    tcase_add_test(tcase, log_lines);
    tcase_add_test(tcase, assertions_stop_the_process);
    tcase_add_test(tcase, marks_are_counted_by_name);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
