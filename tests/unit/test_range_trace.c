/* What --raft-trace writes (docs/raft.md, Traces): the form of each line, what changes of members look like, and times to sort by. */
#include <stdio.h>

#include "lib/range_hosts.h"
#include "lib/suite.h"
#include "range/members.h"

enum { LINE_MAX = 2048 };

static struct buf lines; /* of all hosts, in the order of their events */

static void take_line(void *ctx, struct slice line)
{
    (void)ctx;
    buf_append_slice(&lines, line);
}

static void begin(uint64_t seed)
{
    buf_init(&lines, 64u << 20);
    hosts_begin(seed);
    hosts_options.raft_trace.line = take_line;
    for (unsigned i = 0; i < HOSTS_COUNT; i++) { /* the knob is read at the start of a host */
        process_crash(hosts_process[i], MEMDISK_KEEP, false);
        ck_assert_int_eq(process_start(hosts_process[i]), STATUS_OK);
    }
    hosts_run_ms(1000);
    hosts_put();
    hosts_run_ms(300);
}

static void end(void)
{
    hosts_end();
    buf_append_byte(&lines, 0);
    ck_assert(!lines.overflow);
}

/* The next line into `line`; false: there is none. */
static bool next_line(const char **at, char line[LINE_MAX])
{
    const char *stop = strchr(*at, '\n');
    if (stop == NULL) return false;
    (void)snprintf(line, LINE_MAX, "%.*s", (int)(stop - *at), *at);
    *at = stop + 1;
    return true;
}

static bool tells(const char *line, const char *what)
{
    return strstr(line, what) != NULL;
}

static unsigned count_lines(const char *name, const char *what)
{
    const char *at = (const char *)lines.data;
    char line[LINE_MAX];
    unsigned count = 0;
    while (next_line(&at, line)) count += tells(line, name) && tells(line, what);
    return count;
}

static void swap(unsigned leader, const struct replica_change *c)
{
    struct errbuf err = {{0}};
    uint32_t percent;
    ck_assert_int_eq(replica_change(hosts_replica(leader), c, &percent, &err), STATUS_OK);
    process_pass_soon(hosts_process[leader]);
    hosts_run_ms(500);
}

START_TEST(changes_of_members)
{
    char what[128];
    begin(5);
    unsigned leader = (unsigned)hosts_leader(), other = (leader + 1) % HOSTS_COUNT;
    struct replica *r = hosts_replica(leader);
    unsigned former = count_lines("\"name\":\"ApplyConfChange\"", "");
    swap(leader, &(struct replica_change){.conf_ver = replica_desc(r)->epoch.conf_ver, .from = other + 1});
    ck_assert_uint_eq(replica_desc(r)->replica_count, 2);
    end();
    (void)snprintf(what, sizeof what, "\"prop\":{\"cc\":{\"changes\":[{\"nid\":\"%u\",\"action\":\"RemoveServer\"}]}}",
                   other + 1);
    ck_assert_uint_eq(count_lines("\"name\":\"ChangeConf\"", what), 1);
    ck_assert_uint_eq(count_lines("\"name\":\"ChangeConf\"", ""), 1); /* that the joint one is left is no change */
    ck_assert_uint_ge(count_lines("\"name\":\"ApplyConfChange\"", "\"newconf\":["),
                      former + 4); /* two replicas, in and out */
    ck_assert_uint_ge(count_lines("\"name\":\"ApplyConfChange\"", "\"conf\":[[\"1\",\"2\",\"3\"],[]]"),
                      2); /* as it was before */
    buf_free(&lines);
}
END_TEST

/* As text, and each process's lines; a leader's log before it appends is what it was. */
START_TEST(times_rise_and_logs_grow_by_what_is_appended)
{
    begin(6);
    for (unsigned i = 0; i < 20; i++) hosts_put();
    hosts_run_ms(300);
    end();
    const char *at = (const char *)lines.data;
    char line[LINE_MAX], last[HOSTS_COUNT + 1][32] = {{0}};
    unsigned long long log[HOSTS_COUNT + 1] = {0}, appended = 0;
    while (next_line(&at, line)) {
        char ts[32], name[40];
        unsigned nid;
        unsigned long long group, size;
        ck_assert_int_eq(sscanf(line,
                                "{\"tag\":\"trace\",\"ts\":\"%20[0-9]\",\"group\":%llu,\"event\":{\"name\":\"%39[A-Za-"
                                "z]\",\"nid\":\"%u\"",
                                ts, &group, name, &nid),
                         4);
        ck_assert_uint_le(nid, HOSTS_COUNT);
        ck_assert_uint_eq(strlen(ts), 20);
        ck_assert_int_lt(strcmp(last[nid], ts), 0);
        memcpy(last[nid], ts, sizeof ts);
        ck_assert_int_eq(sscanf(strstr(line, "\"log\":"), "\"log\":%llu", &size), 1);
        bool appends = strcmp(name, "Replicate") == 0;
        if (appends) ck_assert_uint_eq(size, log[nid]);
        appended += appends;
        log[nid] = size + appends;
    }
    ck_assert_uint_ge(appended, 20);
    buf_free(&lines);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("range_trace");
    TCase *c = tcase_create("trace");
    tcase_add_test(c, changes_of_members);
    tcase_add_test(c, times_rise_and_logs_grow_by_what_is_appended);
    suite_add_tcase(s, c);
    return run_suite(s);
}
