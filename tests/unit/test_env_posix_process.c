/* Process control, small files and the questions of the command line. */
#define _GNU_SOURCE /* mkdtemp, fork */
#include "test_env_posix_common.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void path_in(const struct test_dir *d, const char *name, char path[128])
{
    (void)snprintf(path, 128, "%s/%s", d->path, name);
}

static void expect_file(const char *path, const char *text)
{
    struct buf b;
    struct errbuf err = {.text = ""};
    buf_init(&b, 4096);
    enum status s = process_file_read(path, &b, &err);
    ck_assert_msg(s == STATUS_OK, "%s", err.text);
    ck_assert_msg(slice_eq(buf_slice(&b), slice_str(text)), "%.*s", (int)b.size, (char *)b.data);
    buf_free(&b);
}

START_TEST(spawn_reap_and_log)
{
    struct test_dir dir = test_dir_new();
    char log[128];
    struct process_id id;
    struct errbuf err;
    int code;
    path_in(&dir, "log", log);
    const char *const argv[] = {"sh", "-c", "echo out; echo err >&2; cat; exit 3", NULL};
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_int_eq(process_spawn(argv, log, &id, &err), STATUS_OK);
        ck_assert(process_reap(id.pid, true, &code));
        ck_assert_int_eq(code, 3);
    }
    expect_file(log, "out\nerr\nout\nerr\n");      /* appended */
    ck_assert(!process_reap(id.pid, true, &code)); /* no child any more */
    const char *const missing[] = {"/nonexistent/program", NULL};
    ck_assert_int_eq(process_spawn(missing, NULL, &id, &err), STATUS_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/program cannot be started"));
    ck_assert_int_eq(process_spawn(argv, "/nonexistent/log", &id, &err), STATUS_IO);
    test_dir_free(&dir);
}
END_TEST

START_TEST(child_has_its_own_session_no_files_and_default_signals)
{
    struct test_dir dir = test_dir_new();
    char log[128], expected[64];
    struct process_id id;
    struct errbuf err;
    int code;
    path_in(&dir, "log", log);
    struct env *env = test_env_new(dir.path); /* opens several files, ignores SIGPIPE */
    /* No pipe in it: the shell would hold one of its ends for a moment. */
    const char *const argv[] = {"sh", "-c", "cut -d' ' -f6 /proc/$$/stat; ls -m /proc/$$/fd; kill -PIPE $$", NULL};
    ck_assert_int_eq(process_spawn(argv, log, &id, &err), STATUS_OK);
    ck_assert(process_reap(id.pid, true, &code));
    ck_assert_int_eq(code, 128 + SIGPIPE);
    (void)snprintf(expected, sizeof(expected), "%d\n0, 1, 2\n", id.pid); /* session leader; its standard files alone */
    expect_file(log, expected);
    env_posix_free(env);
    test_dir_free(&dir);
}
END_TEST

/* glibc of the child keeps more small blocks, unless somebody else has a say in how it allocates. */
START_TEST(child_keeps_small_blocks)
{
    struct test_dir dir = test_dir_new();
    char log[128];
    struct process_id id;
    struct errbuf err;
    int code;
    path_in(&dir, "log", log);
    const char *const argv[] = {"sh", "-c", "echo $GLIBC_TUNABLES", NULL};
    ck_assert_int_eq(unsetenv("GLIBC_TUNABLES"), 0);
    ck_assert_int_eq(process_spawn(argv, log, &id, &err), STATUS_OK);
    ck_assert(process_reap(id.pid, true, &code));
    ck_assert_int_eq(setenv("GLIBC_TUNABLES", "glibc.malloc.check=3", 1), 0);
    ck_assert_int_eq(process_spawn(argv, log, &id, &err), STATUS_OK);
    ck_assert(process_reap(id.pid, true, &code));
    expect_file(log, "glibc.malloc.tcache_count=512\nglibc.malloc.check=3\n");
    test_dir_free(&dir);
}
END_TEST

START_TEST(liveness_kill_and_identity)
{
    struct process_id id, other, parsed;
    struct errbuf err;
    char text[PROCESS_ID_TEXT_MAX];
    int code;
    const char *const argv[] = {"sleep", "1000", NULL};
    ck_assert_int_eq(process_spawn(argv, NULL, &id, &err), STATUS_OK);
    ck_assert(process_alive(&id));
    ck_assert(!process_reap(id.pid, false, &code));
    process_id_format(&id, text);
    ck_assert(process_id_parse(slice_str(text), &parsed));
    ck_assert_int_eq(parsed.pid, id.pid);
    ck_assert(process_alive(&parsed));
    /* the same pid, another start or another boot: another process */
    other = id;
    other.start_ticks++;
    ck_assert(!process_alive(&other));
    ck_assert_int_eq(process_kill(&other, SIGKILL, &err), STATUS_NOT_FOUND);
    other = id;
    other.boot ^= 1;
    ck_assert(!process_alive(&other));
    ck_assert_int_eq(process_kill(&other, SIGKILL, &err), STATUS_NOT_FOUND);
    ck_assert(process_alive(&id));
    ck_assert_int_eq(process_kill(&id, SIGKILL, &err), STATUS_OK);
    siginfo_t info;
    ck_assert_int_eq(waitid(P_PID, (id_t)id.pid, &info, WEXITED | WNOWAIT), 0);
    ck_assert(!process_alive(&id)); /* ended, not reaped yet */
    ck_assert(process_reap(id.pid, true, &code));
    ck_assert_int_eq(code, 128 + SIGKILL);
    ck_assert(!process_alive(&id));
    ck_assert_int_eq(process_kill(&id, SIGTERM, &err), STATUS_NOT_FOUND);
    struct process_id self = process_self();
    ck_assert_int_eq(self.pid, getpid());
    ck_assert(process_alive(&self));
    ck_assert(!process_identify(0, &other));
    ck_assert(!process_identify(-1, &other));
    static const char *const bad[] = {"", "x", "12", "12 34", "-1 2 3", "1 2 3 4", "1 2 zz"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) ck_assert(!process_id_parse(slice_str(bad[i]), &parsed));
}
END_TEST

START_TEST(daemon_goes_on_without_its_parent)
{
    struct test_dir dir = test_dir_new();
    char log[128];
    struct errbuf err;
    int ends[2];
    path_in(&dir, "log", log);
    ck_assert_int_eq(pipe(ends), 0);
    int pid = process_daemonize(log, &err);
    if (pid == 0) {
        printf("from the daemon %d\n", getsid(0) == getpid());
        (void)fflush(stdout);
        (void)!write(ends[1], "x", 1);
        _exit(0);
    }
    int code;
    char byte;
    ck_assert_int_gt(pid, 0);
    ck_assert_int_eq(read(ends[0], &byte, 1), 1);
    ck_assert(process_reap(pid, true, &code));
    ck_assert_int_eq(code, 0);
    struct buf b;
    buf_init(&b, 65536);
    ck_assert_int_eq(process_file_read(log, &b, &err), STATUS_OK);
    buf_append_byte(&b, '\0');
    ck_assert_ptr_nonnull(strstr((char *)b.data, "from the daemon 1\n"));
    buf_free(&b);
    (void)close(ends[0]);
    (void)close(ends[1]);
    ck_assert_int_eq(process_daemonize("/nonexistent/log", &err), -1);
    test_dir_free(&dir);
}
END_TEST

struct lines {
    unsigned count, stop_at;
    uint64_t bytes;
    char last[32];
};
static bool each_line(void *ctx, struct slice line)
{
    struct lines *l = ctx;
    l->count++;
    l->bytes += line.size;
    size_t size = line.size < sizeof(l->last) - 1 ? line.size : sizeof(l->last) - 1;
    memcpy(l->last, line.data, size);
    l->last[size] = '\0';
    return l->count != l->stop_at;
}

START_TEST(read_lines)
{
    struct errbuf err;
    struct lines l = {0};
    const char *const many[] = {"seq", "1", "100000", NULL};
    ck_assert_int_eq(process_read_lines(many, each_line, &l, &err), STATUS_OK);
    ck_assert_uint_eq(l.count, 100000);
    ck_assert_uint_eq(l.bytes, 488895);
    ck_assert_str_eq(l.last, "100000");
    const char *const endless[] = {"yes", NULL};
    l = (struct lines){.stop_at = 3};
    ck_assert_int_eq(process_read_lines(endless, each_line, &l, &err), STATUS_OK);
    ck_assert_uint_eq(l.count, 3);
    const char *const unended[] = {"printf", "a\\n\\nb", NULL};
    l = (struct lines){0};
    ck_assert_int_eq(process_read_lines(unended, each_line, &l, &err), STATUS_OK);
    ck_assert_uint_eq(l.count, 3);
    ck_assert_str_eq(l.last, "b");
    const char *const fails[] = {"sh", "-c", "echo x; exit 4", NULL};
    l = (struct lines){0};
    ck_assert_int_eq(process_read_lines(fails, each_line, &l, &err), STATUS_IO);
    ck_assert_uint_eq(l.count, 1);
    ck_assert_str_eq(err.text, "sh failed with exit code 4");
    const char *const missing[] = {"/nonexistent/program", NULL};
    ck_assert_int_eq(process_read_lines(missing, each_line, &l, &err), STATUS_NOT_FOUND);
    const char *const wide[] = {"sh", "-c", "head -c 3000000 /dev/zero", NULL};
    l = (struct lines){0};
    ck_assert_int_eq(process_read_lines(wide, each_line, &l, &err), STATUS_TOO_LARGE);
    ck_assert_uint_eq(l.count, 0);
}
END_TEST

START_TEST(files)
{
    struct test_dir dir = test_dir_new();
    char path[128], deep[160];
    struct errbuf err;
    struct buf b;
    path_in(&dir, "file", path);
    buf_init(&b, 5);
    ck_assert_int_eq(process_file_read(path, &b, &err), STATUS_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.text, path));
    ck_assert_int_eq(process_file_write(path, slice_str("first, long"), &err), STATUS_OK);
    expect_file(path, "first, long");
    ck_assert_int_eq(process_file_read(path, &b, &err), STATUS_TOO_LARGE);
    ck_assert_int_eq(process_file_write(path, slice_str("2"), &err), STATUS_OK);
    expect_file(path, "2");
    ck_assert_int_eq(process_file_write(path, SLICE_EMPTY, &err), STATUS_OK);
    expect_file(path, "");
    ck_assert_int_eq(process_file_write("/nonexistent/dir/file", slice_str("2"), &err), STATUS_NOT_FOUND);
    ck_assert_int_eq(process_file_remove(path), STATUS_OK);
    ck_assert_int_eq(process_file_remove(path), STATUS_NOT_FOUND);
    struct lines l = {0}; /* no temporary file is left */
    const char *const ls[] = {"ls", "-A", dir.path, NULL};
    ck_assert_int_eq(process_read_lines(ls, each_line, &l, &err), STATUS_OK);
    ck_assert_uint_eq(l.count, 0);
    (void)snprintf(deep, sizeof(deep), "%s/a//b/c/", dir.path);
    ck_assert_int_eq(process_make_dirs(deep, &err), STATUS_OK);
    ck_assert_int_eq(process_make_dirs(deep, &err), STATUS_OK);
    struct stat st;
    ck_assert_int_eq(stat(deep, &st), 0);
    ck_assert(S_ISDIR(st.st_mode));
    ck_assert_int_eq(process_make_dirs("/proc/nothing/here", &err), STATUS_NOT_FOUND);
    buf_free(&b);
    test_dir_free(&dir);
}
END_TEST

START_TEST(small_questions)
{
    char path[512], tiny[2];
    ck_assert(process_executable(path, sizeof(path)));
    ck_assert_ptr_nonnull(strstr(path, "test_env_posix_process"));
    ck_assert(!process_executable(tiny, sizeof(tiny)));
    ck_assert_int_eq(setenv("QUORATE_TEST_A", "b", 1), 0);
    ck_assert_int_eq(setenv("QUORATE_TEST_EMPTY", "", 1), 0);
    ck_assert_str_eq(process_getenv("QUORATE_TEST_A"), "b");
    ck_assert_ptr_null(process_getenv("QUORATE_TEST_EMPTY"));
    ck_assert_ptr_null(process_getenv("QUORATE_TEST_UNSET"));
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ck_assert(!process_is_terminal(fd));
    ck_assert_uint_eq(process_terminal_width(fd), 80);
    (void)close(fd);
    uint64_t before = process_mono_ms();
    process_sleep_ms(15);
    ck_assert_uint_ge(process_mono_ms() - before, 14);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("env_posix/process");
    TCase *tc = tcase_create("process");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, spawn_reap_and_log);
    tcase_add_test(tc, child_has_its_own_session_no_files_and_default_signals);
    tcase_add_test(tc, child_keeps_small_blocks);
    tcase_add_test(tc, liveness_kill_and_identity);
    tcase_add_test(tc, daemon_goes_on_without_its_parent);
    tcase_add_test(tc, read_lines);
    tcase_add_test(tc, files);
    tcase_add_test(tc, small_questions);
    suite_add_tcase(suite, tc);
    return test_run_suite(suite);
}
