#define _GNU_SOURCE /* mkdtemp */
/* The local cluster's description and state files, in a directory of the test's own. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/local.h"

static char dir[] = "/tmp/quorate-test-local-XXXXXX";
static struct local_cluster c;
static struct errbuf err;

static void write_text(const char *name, const char *text)
{
    char path[LOCAL_PATH_MAX];
    local_path(&c, name, path);
    ck_assert_int_eq(process_file_write(path, slice_str(text), &err), STATUS_OK);
}

START_TEST(description_round_trips)
{
    struct local_cluster back;
    local_set(&c, dir, 9000, 3);
    ck_assert_int_eq(local_load(&back, dir, &err), STATUS_NOT_FOUND);
    ck_assert_int_eq(local_save(&c, &err), STATUS_OK);
    ck_assert_int_eq(local_load(&back, dir, &err), STATUS_OK);
    ck_assert_uint_eq(back.base_port, 9000);
    ck_assert_str_eq(back.processes[0].name, "meta-1");
    ck_assert_str_eq(back.processes[0].address, "127.0.0.1:9001");
    ck_assert_str_eq(local_find(&back, "node-3")->address, "127.0.0.1:9013");
    ck_assert_str_eq(local_by_address(&back, slice_str("127.0.0.1:9080"))->name, "gateway");
    ck_assert_ptr_null(local_find(&back, "node-4"));
    char meta[128];
    local_meta_addresses(&back, meta, sizeof(meta));
    ck_assert_str_eq(meta, "127.0.0.1:9001,127.0.0.1:9002,127.0.0.1:9003");
}
END_TEST

START_TEST(foreign_descriptions_are_refused)
{
    static const char *const bad[] = {"",
                                      "x",
                                      "quorate-local-cluster 2\nbase_port 1\n",
                                      "quorate-local-cluster 1\n",
                                      "quorate-local-cluster 1\nbase_port 0\n",
                                      "quorate-local-cluster 1\nbase_port 99999\n"};
    struct local_cluster back;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        write_text("cluster.conf", bad[i]);
        ck_assert_int_eq(local_load(&back, dir, &err), STATUS_CORRUPT);
        ck_assert_ptr_nonnull(strstr(err.text, "cluster.conf"));
    }
}
END_TEST

START_TEST(state_round_trips)
{
    struct local_status s = {.supervisor = process_self()}, back;
    local_set(&c, dir, 9000, 3);
    for (unsigned i = 0; i < c.process_count; i++) {
        s.children[i] = (struct local_child){.state = (enum local_state)(i % LOCAL_STATE_COUNT),
                                             .since_ms = 1000 + i,
                                             .starts = i,
                                             .exit_code = (int)i * 20,
                                             .id = process_self()};
    }
    ck_assert_int_eq(local_status_save(&c, &s, &err), STATUS_OK);
    ck_assert_int_eq(local_status_load(&c, &back, &err), STATUS_OK);
    ck_assert(back.supervised); /* this very process */
    for (unsigned i = 0; i < c.process_count; i++) {
        ck_assert_int_eq(back.children[i].state, s.children[i].state);
        ck_assert_uint_eq(back.children[i].since_ms, s.children[i].since_ms);
        ck_assert_uint_eq(back.children[i].starts, s.children[i].starts);
        ck_assert_int_eq(back.children[i].exit_code, s.children[i].exit_code);
        ck_assert_int_eq(back.children[i].id.pid, process_self().pid);
    }
    write_text("supervisor.state", "something else\n");
    ck_assert_int_eq(local_status_load(&c, &back, &err), STATUS_CORRUPT);
    write_text("supervisor.state", "quorate-supervisor 1\nsupervisor x\n");
    ck_assert_int_eq(local_status_load(&c, &back, &err), STATUS_CORRUPT);
}
END_TEST

START_TEST(nothing_is_killed_without_a_supervisor)
{
    struct local_cluster other;
    char where[LOCAL_PATH_MAX];
    local_path(&c, "elsewhere", where);
    ck_assert_int_eq(process_make_dirs(where, &err), STATUS_OK);
    local_set(&other, where, 9000, 3);
    ck_assert_int_eq(local_kill(&other, &other.processes[0], &err), STATUS_UNAVAILABLE);
    ck_assert(!local_held(&other, &other.processes[0]));
    ck_assert_int_eq(local_release(&other, &other.processes[0], &err), STATUS_OK);
}
END_TEST

static void directory_remove(void)
{
    static const char *const names[] = {"cluster.conf", "supervisor.state"};
    char path[LOCAL_PATH_MAX];
    for (size_t i = 0; i < 2; i++) {
        local_path(&c, names[i], path);
        (void)unlink(path);
    }
    local_path(&c, "elsewhere", path);
    (void)rmdir(path);
    (void)rmdir(dir);
}

int main(void)
{
    if (mkdtemp(dir) == NULL) return EXIT_FAILURE;
    local_set(&c, dir, 9000, 3);
    Suite *s = suite_create("cli local");
    TCase *t = tcase_create("all");
    tcase_add_test(t, description_round_trips);
    tcase_add_test(t, foreign_descriptions_are_refused);
    tcase_add_test(t, state_round_trips);
    tcase_add_test(t, nothing_is_killed_without_a_supervisor);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    directory_remove();
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
