/* The disk seam over a real directory. */
#define _GNU_SOURCE /* mkdtemp, fork */
#include "test_env_posix_common.h"

#include "base/prng.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

struct fixture {
    struct test_dir dir;
    struct env *env;
    struct disk *disk;
    struct errbuf err;
};

static void setup(struct fixture *f)
{
    *f = (struct fixture){.dir = test_dir_new()};
    f->env = test_env_new(f->dir.path);
    f->disk = f->env->disk;
}
static void teardown(struct fixture *f)
{
    env_posix_free(f->env);
    test_dir_free(&f->dir);
}

static struct disk_file *open_file(struct fixture *f, const char *path, unsigned flags)
{
    struct disk_file *file;
    enum status s = disk_open(f->disk, path, flags, &file, &f->err);
    ck_assert_msg(s == STATUS_OK, "%s", f->err.text);
    return file;
}

START_TEST(open_modes)
{
    struct fixture f;
    struct disk_file *file;
    setup(&f);
    ck_assert_int_eq(disk_open(f.disk, "a", DISK_READ, &file, &f.err), STATUS_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(f.err.text, f.dir.path));
    ck_assert_ptr_null(file);
    disk_close(open_file(&f, "a", DISK_WRITE | DISK_CREATE | DISK_EXCLUSIVE));
    ck_assert_int_eq(disk_open(f.disk, "a", DISK_WRITE | DISK_CREATE | DISK_EXCLUSIVE, &file, NULL), STATUS_EXISTS);
    disk_close(open_file(&f, "a", DISK_READ | DISK_WRITE | DISK_CREATE));
    file = open_file(&f, "a", DISK_READ);
    ck_assert_int_eq(disk_write(file, 0, "x", 1), STATUS_IO); /* not opened for it */
    disk_close(file);
    disk_close(NULL);
    teardown(&f);
}
END_TEST

START_TEST(paths_stay_below_the_root)
{
    static const char *const bad[] = {"..", "../x", "a/../../x", "/etc/passwd", "", "a//b", "./a", "a/", "a/.."};
    struct fixture f;
    struct disk_file *file;
    setup(&f);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_int_eq(disk_open(f.disk, bad[i], DISK_WRITE | DISK_CREATE, &file, &f.err), STATUS_INVALID);
        ck_assert_ptr_nonnull(strstr(f.err.text, "not a path below"));
        ck_assert_int_eq(disk_remove(f.disk, bad[i]), STATUS_INVALID);
        ck_assert_int_eq(disk_rename(f.disk, bad[i], "b"), STATUS_INVALID);
        ck_assert_int_eq(disk_rename(f.disk, "b", bad[i]), STATUS_INVALID);
        ck_assert_int_eq(disk_mkdir(f.disk, bad[i]), STATUS_INVALID);
        if (*bad[i] != '\0') ck_assert_int_eq(disk_sync_dir(f.disk, bad[i]), STATUS_INVALID);
    }
    disk_close(open_file(&f, "a..b", DISK_WRITE | DISK_CREATE)); /* dots inside a name are fine */
    disk_close(open_file(&f, "..c", DISK_WRITE | DISK_CREATE));
    teardown(&f);
}
END_TEST

/* Random writes, truncations and reads of one file against an array. */
static void random_operations(unsigned flags, size_t unit, uint64_t seed)
{
    enum { SIZE = 16 };
    struct fixture f;
    struct prng p;
    printf("random_operations flags %u seed %llu\n", flags, (unsigned long long)seed);
    prng_init(&p, seed);
    setup(&f);
    struct disk_file *file = open_file(&f, "data", DISK_READ | DISK_WRITE | DISK_CREATE | flags);
    uint8_t *model = mem_zalloc(SIZE * unit), *bytes = mem_aligned(DISK_ALIGN, SIZE * DISK_ALIGN);
    size_t model_size = 0;
    for (unsigned i = 0; i < 300; i++) {
        size_t offset = prng_below(&p, SIZE) * unit, size = (1 + prng_below(&p, SIZE - offset / unit)) * unit;
        uint64_t measured;
        size_t got;
        if (prng_chance(&p, 1, 2)) {
            memset(bytes, (int)prng_below(&p, 256), size);
            ck_assert_int_eq(disk_write(file, offset, bytes, size), STATUS_OK);
            memcpy(model + offset, bytes, size);
            if (offset + size > model_size) model_size = offset + size;
        } else if (prng_chance(&p, 1, 8)) {
            ck_assert_int_eq(disk_truncate(file, offset), STATUS_OK);
            if (offset < model_size) memset(model + offset, 0, model_size - offset);
            model_size = offset;
        } else {
            size_t expected = offset >= model_size ? 0 : model_size - offset < size ? model_size - offset : size;
            ck_assert_int_eq(disk_read(file, offset, bytes, size, &got), STATUS_OK);
            ck_assert_uint_eq(got, expected);
            ck_assert_int_eq(memcmp(bytes, model + offset, got), 0);
        }
        ck_assert_int_eq(disk_size(file, &measured), STATUS_OK);
        ck_assert_uint_eq(measured, model_size);
        if (prng_chance(&p, 1, 16)) ck_assert_int_eq(disk_sync(file), STATUS_OK);
    }
    disk_close(file);
    mem_free(model);
    mem_free(bytes);
    teardown(&f);
}

START_TEST(random_operations_plain)
{
    random_operations(0, 1, 1);
    random_operations(0, 100, 2);
    random_operations(DISK_DSYNC, 4096, 3);
}
END_TEST

/* Direct I/O, or a clear refusal where the file system has none. */
START_TEST(direct)
{
    struct fixture f;
    struct disk_file *file;
    setup(&f);
    enum status s =
        disk_open(f.disk, "d", DISK_READ | DISK_WRITE | DISK_CREATE | DISK_DIRECT | DISK_DSYNC, &file, &f.err);
    ck_assert(s == STATUS_OK || s == STATUS_UNSUPPORTED);
    if (s == STATUS_UNSUPPORTED) ck_assert_ptr_nonnull(strstr(f.err.text, "no direct I/O"));
    disk_close(file);
    if (s == STATUS_OK) {
        uint8_t *bytes = mem_aligned(DISK_ALIGN, 2 * DISK_ALIGN);
        size_t got;
        /* a file that ends inside a block is read to its end */
        file = open_file(&f, "odd", DISK_WRITE | DISK_CREATE);
        memset(bytes, 7, 2 * DISK_ALIGN);
        ck_assert_int_eq(disk_write(file, 0, bytes, DISK_ALIGN + 100), STATUS_OK);
        disk_close(file);
        file = open_file(&f, "odd", DISK_READ | DISK_DIRECT);
        memset(bytes, 0, 2 * DISK_ALIGN);
        ck_assert_int_eq(disk_read(file, 0, bytes, 2 * DISK_ALIGN, &got), STATUS_OK);
        ck_assert_uint_eq(got, DISK_ALIGN + 100);
        ck_assert_int_eq(bytes[DISK_ALIGN + 99], 7);
        ck_assert_int_eq(disk_read(file, 2 * DISK_ALIGN, bytes, DISK_ALIGN, &got), STATUS_OK);
        ck_assert_uint_eq(got, 0);
        disk_close(file);
        mem_free(bytes);
        random_operations(DISK_DIRECT | DISK_DSYNC, DISK_ALIGN, 4);
    }
    teardown(&f);
}
END_TEST

struct listing {
    char text[512];
    struct disk *remove_from; /* NULL: only look */
};
static void list_one(void *ctx, const char *name)
{
    struct listing *l = ctx;
    strncat(l->text, name, sizeof(l->text) - strlen(l->text) - 2);
    strncat(l->text, " ", 2);
    if (l->remove_from != NULL) ck_assert_int_eq(disk_remove(l->remove_from, name), STATUS_OK);
}

START_TEST(names)
{
    struct fixture f;
    struct listing l = {.text = ""};
    setup(&f);
    ck_assert_int_eq(disk_list(f.disk, "", list_one, &l), STATUS_OK);
    ck_assert_str_eq(l.text, "");
    ck_assert_int_eq(disk_mkdir(f.disk, "sub"), STATUS_OK);
    ck_assert_int_eq(disk_mkdir(f.disk, "sub"), STATUS_OK);
    ck_assert_int_eq(disk_mkdir(f.disk, "no/sub"), STATUS_NOT_FOUND);
    disk_close(open_file(&f, "b", DISK_WRITE | DISK_CREATE));
    disk_close(open_file(&f, "a", DISK_WRITE | DISK_CREATE));
    disk_close(open_file(&f, "sub/c", DISK_WRITE | DISK_CREATE));
    ck_assert_int_eq(disk_mkdir(f.disk, "a"), STATUS_EXISTS); /* as a file */
    ck_assert_int_eq(disk_list(f.disk, "", list_one, &l), STATUS_OK);
    ck_assert_str_eq(l.text, "a b sub ");
    ck_assert_int_eq(disk_rename(f.disk, "sub/c", "a"), STATUS_OK); /* replaces it */
    ck_assert_int_eq(disk_link(f.disk, "a", "sub/d"), STATUS_OK);
    ck_assert_int_eq(disk_link(f.disk, "a", "sub/d"), STATUS_EXISTS);
    ck_assert_int_eq(disk_link(f.disk, "gone", "sub/e"), STATUS_NOT_FOUND);
    ck_assert_int_eq(disk_link(f.disk, "a", "../e"), STATUS_INVALID);
    ck_assert_int_eq(disk_remove(f.disk, "sub/d"), STATUS_OK);
    ck_assert_int_eq(disk_rename(f.disk, "sub/c", "x"), STATUS_NOT_FOUND);
    ck_assert_int_eq(disk_remove(f.disk, "sub/c"), STATUS_NOT_FOUND);
    ck_assert_int_eq(disk_sync_dir(f.disk, ""), STATUS_OK);
    ck_assert_int_eq(disk_sync_dir(f.disk, "sub"), STATUS_OK);
    ck_assert_int_eq(disk_sync_dir(f.disk, "gone"), STATUS_NOT_FOUND);
    ck_assert_int_eq(disk_list(f.disk, "gone", list_one, &l), STATUS_NOT_FOUND);
    l = (struct listing){.text = "", .remove_from = f.disk};
    ck_assert_int_eq(disk_list(f.disk, "", list_one, &l), STATUS_OK); /* an empty directory goes too */
    ck_assert_str_eq(l.text, "a b sub ");
    l = (struct listing){.text = ""};
    ck_assert_int_eq(disk_list(f.disk, "", list_one, &l), STATUS_OK);
    ck_assert_str_eq(l.text, "");
    teardown(&f);
}
END_TEST

START_TEST(space)
{
    struct fixture f;
    uint64_t free_bytes, total_bytes;
    setup(&f);
    ck_assert_int_eq(disk_space(f.disk, &free_bytes, &total_bytes), STATUS_OK);
    ck_assert_uint_gt(total_bytes, 0);
    ck_assert_uint_le(free_bytes, total_bytes);
    teardown(&f);
}
END_TEST

START_TEST(lock_names_its_holder)
{
    struct fixture f;
    struct errbuf err;
    char expected[256];
    setup(&f);
    ck_assert_int_eq(disk_lock(f.disk, &err), STATUS_OK);
    ck_assert_int_eq(disk_lock(f.disk, &err), STATUS_OK); /* it is ours */
    struct env *other = test_env_new(f.dir.path);
    ck_assert_int_eq(disk_lock(other->disk, &err), STATUS_LOCKED);
    (void)snprintf(expected, sizeof(expected),
                   "data directory %s is in use by process %d: stop it or name another directory with --data",
                   f.dir.path, process_self().pid);
    ck_assert_str_eq(err.text, expected);
    env_posix_free(f.env);
    ck_assert_int_eq(disk_lock(other->disk, &err), STATUS_OK);
    env_posix_free(other);
    /* however its holder ended */
    pid_t child = fork();
    if (child == 0) {
        struct env *e = test_env_new(f.dir.path);
        if (disk_lock(e->disk, NULL) != STATUS_OK) _exit(1);
        (void)kill(getpid(), SIGKILL);
        _exit(2);
    }
    int how;
    ck_assert_int_eq(waitpid(child, &how, 0), child);
    ck_assert(WIFSIGNALED(how));
    f.env = test_env_new(f.dir.path);
    ck_assert_int_eq(disk_lock(f.env->disk, &err), STATUS_OK);
    teardown(&f);
}
END_TEST

/* A full disk, as far as a limit of the file's size can play it: the write that does not fit fails clearly. */
START_TEST(no_space)
{
    struct fixture f;
    setup(&f);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {.rlim_cur = 10000, .rlim_max = 10000};
        uint8_t bytes[8192] = {0};
        (void)signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(10);
        struct disk_file *file = open_file(&f, "full", DISK_WRITE | DISK_CREATE);
        if (disk_write(file, 0, bytes, sizeof(bytes)) != STATUS_OK) _exit(11);
        if (disk_write(file, sizeof(bytes), bytes, sizeof(bytes)) != STATUS_NO_SPACE) _exit(12);
        if (disk_write(file, 0, bytes, sizeof(bytes)) != STATUS_OK) _exit(13);
        _exit(0);
    }
    int how;
    ck_assert_int_eq(waitpid(child, &how, 0), child);
    ck_assert(WIFEXITED(how));
    ck_assert_int_eq(WEXITSTATUS(how), 0);
    teardown(&f);
}
END_TEST

static void expect_refused(const char *data_dir, const char *text)
{
    struct errbuf err = {.text = ""};
    struct env_posix_options o = {.data_dir = data_dir, .log_path = "/dev/null"};
    ck_assert_ptr_null(env_posix_new(&o, &err));
    ck_assert_msg(strstr(err.text, text) != NULL, "%s", err.text);
}

START_TEST(data_directory_errors)
{
    struct test_dir dir = test_dir_new();
    char path[128];
    struct errbuf err;
    expect_refused("", "empty");
    (void)snprintf(path, sizeof(path), "%s/file", dir.path);
    ck_assert_int_eq(process_file_write(path, slice_str("x"), &err), STATUS_OK);
    expect_refused(path, "is not a directory");
    (void)snprintf(path, sizeof(path), "%s/file/below", dir.path);
    expect_refused(path, "is not a directory");
    (void)snprintf(path, sizeof(path), "%s/new/deep/er", dir.path); /* made */
    struct env *env = test_env_new(path);
    env_posix_free(env);
    (void)snprintf(path, sizeof(path), "%s/new/deep/er", dir.path);
    env = test_env_new(path);
    env_posix_free(env);
    if (geteuid() != 0) { /* root may read everything */
        (void)snprintf(path, sizeof(path), "%s/new", dir.path);
        ck_assert_int_eq(chmod(path, 0), 0);
        expect_refused(path, "give this user the right");
        ck_assert_int_eq(chmod(path, 0700), 0);
    }
    struct env_posix_options o = {.log_path = "/nonexistent/dir/log"};
    ck_assert_ptr_null(env_posix_new(&o, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/dir/log"));
    test_dir_free(&dir);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("env_posix/disk");
    TCase *tc = tcase_create("disk");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, open_modes);
    tcase_add_test(tc, paths_stay_below_the_root);
    tcase_add_test(tc, random_operations_plain);
    tcase_add_test(tc, direct);
    tcase_add_test(tc, names);
    tcase_add_test(tc, space);
    tcase_add_test(tc, lock_names_its_holder);
    tcase_add_test(tc, no_space);
    tcase_add_test(tc, data_directory_errors);
    suite_add_tcase(suite, tc);
    return test_run_suite(suite);
}
