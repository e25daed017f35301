/* A vault over a disk that crashes: log and store keep what they promise, nothing of them is to be read below, and keys change under
 * way. */
#include "base/mem.h"
#include "lib/lsm_rig.h"
#include "lib/suite.h"
#include "lib/wal_model.h"
#include "vault/header.h"
#include "vault/vault.h"

#include <stdio.h>
#include <string.h>

static const char *const key_texts[] = {"1111111111111111111111111111111111111111111111111111111111111111\n",
                                        "2222222222222222222222222222222222222222222222222222222222222222\n"};

static struct vault_keys keys(const char *first, const char *second)
{
    struct vault_keys k;
    struct errbuf err;
    char text[200];
    (void)snprintf(text, sizeof(text), "%s%s", first, second);
    ck_assert_int_eq(vault_keys_parse(slice_str(text), &k, &err), STATUS_OK);
    return k;
}

static struct vault *vault_over(struct memdisk *d, struct logger *log)
{
    struct vault_keys k = keys(key_texts[0], "");
    return vault_new(memdisk_disk(d), &k, log);
}

static void drop_line(struct logger *log, enum log_level level, const char *line)
{
    (void)log;
    (void)level;
    (void)line;
}

static void look_for_plain(void *ctx, const char *path, struct slice content)
{
    const struct slice *needle = ctx;
    for (size_t i = 0; i + needle->size <= content.size; i++)
        ck_assert_msg(memcmp(content.data + i, needle->data, needle->size) != 0, "%s holds it at %zu", path, i);
}

/* Appended to, read anywhere, opened again; names pass through. */
START_TEST(content_is_what_was_written)
{
    struct prng p;
    struct memdisk *d = memdisk_new(1);
    struct logger log = {.level = LOG_ERROR, .write = drop_line};
    struct vault *v = vault_over(d, &log);
    struct disk *disk = vault_disk(v);
    struct disk_file *f = NULL;
    static uint8_t model[300000], got_bytes[300000];
    size_t size = 0, got;
    uint64_t told;
    prng_init(&p, 77);
    ck_assert_int_eq(disk_open(disk, "a", DISK_WRITE | DISK_CREATE | DISK_EXCLUSIVE, &f, NULL), STATUS_OK);
    while (size < 200000) {
        size_t more = prng_below(&p, 5000);
        for (size_t i = 0; i < more; i++) model[size + i] = (uint8_t) "needle"[(size + i) % 6];
        ck_assert_int_eq(disk_write(f, size, model + size, more), STATUS_OK);
        size += more;
        size_t from = prng_below(&p, size + 10), want = prng_below(&p, 9000);
        ck_assert_int_eq(disk_read(f, from, got_bytes, want, &got), STATUS_OK);
        ck_assert_uint_eq(got, from >= size ? 0 : size - from < want ? size - from : want);
        ck_assert_int_eq(memcmp(got_bytes, model + from, got), 0);
        if (!prng_chance(&p, 1, 5)) continue;
        disk_close(f);
        ck_assert_int_eq(disk_open(disk, "a", DISK_READ | DISK_WRITE, &f, NULL), STATUS_OK);
    }
    ck_assert_int_eq(disk_size(f, &told), STATUS_OK);
    ck_assert_uint_eq(told, size);
    ck_assert_int_eq(disk_truncate(f, 1000), STATUS_OK);
    ck_assert_int_eq(disk_size(f, &told), STATUS_OK);
    ck_assert_uint_eq(told, 1000);
    struct slice needle = slice_str("needleneedle");
    memdisk_each(d, look_for_plain, &needle);
    disk_close(f);
    vault_free(v);
    memdisk_free(d);
}
END_TEST

/* A table: written once, in whole units but the last, read anywhere. Whoever alters a bit of it makes noise, and cannot choose what. */
START_TEST(tables_are_sealed)
{
    static const size_t rests[] = {0, 1, 15, 16, 17, 31, 4095};
    static uint8_t model[5 * VAULT_UNIT_BYTES], back[5 * VAULT_UNIT_BYTES];
    size_t size = 3 * VAULT_UNIT_BYTES + rests[_i], got;
    struct prng p;
    struct memdisk *d = memdisk_new(1);
    struct logger log = {.level = LOG_ERROR, .write = drop_line};
    struct vault *v = vault_over(d, &log);
    struct disk_file *f = NULL;
    prng_init(&p, 78 + (uint64_t)_i);
    memset(model, 'm', sizeof(model));
    ck_assert_int_eq(disk_open(vault_disk(v), "1.tbl", DISK_WRITE | DISK_CREATE | DISK_EXCLUSIVE, &f, NULL), STATUS_OK);
    ck_assert_int_eq(disk_write(f, 0, model, 2 * VAULT_UNIT_BYTES), STATUS_OK);
    ck_assert_int_eq(disk_write(f, 2 * VAULT_UNIT_BYTES, model, size - 2 * VAULT_UNIT_BYTES), STATUS_OK);
    disk_close(f);
    ck_assert_int_eq(disk_open(vault_disk(v), "1.tbl", DISK_READ, &f, NULL), STATUS_OK);
    for (unsigned round = 0; round < 200; round++) {
        size_t from = prng_below(&p, size), want = prng_below(&p, size - from + 100);
        ck_assert_int_eq(disk_read(f, from, back, want, &got), STATUS_OK);
        ck_assert_uint_eq(got, want < size - from ? want : size - from);
        ck_assert_int_eq(memcmp(back, model, got), 0);
    }
    uint8_t *below = (uint8_t *)(uintptr_t)memdisk_content(d, "1.tbl").data + VAULT_HEADER_BYTES;
    size_t whole = rests[_i] >= 16 ? size : 3 * VAULT_UNIT_BYTES;
    for (unsigned round = 0; round < 50; round++) {
        size_t at = prng_below(&p, whole), wrong = 0;
        below[at] ^= 1;
        ck_assert_int_eq(disk_read(f, 0, back, size, &got), STATUS_OK);
        for (size_t i = 0; i < size; i++) wrong += back[i] != model[i];
        ck_assert_uint_ge(wrong, 8); /* of 16 or 32 */
        below[at] ^= 1;
    }
    disk_close(f);
    vault_free(v);
    memdisk_free(d);
}
END_TEST

/* Beginning anew in place: the same bytes of the disk, and never the same key stream. */
START_TEST(truncated_to_nothing_is_another_file)
{
    struct memdisk *d = memdisk_new(2);
    struct logger log = {.level = LOG_ERROR, .write = drop_line};
    struct vault *v = vault_over(d, &log);
    struct disk_file *f = NULL;
    uint8_t zeros[64] = {0}, before[64];
    ck_assert_int_eq(disk_open(vault_disk(v), "t", DISK_WRITE | DISK_CREATE, &f, NULL), STATUS_OK);
    ck_assert_int_eq(disk_write(f, 0, zeros, 64), STATUS_OK);
    memcpy(before, memdisk_content(d, "t").data + VAULT_HEADER_BYTES, 64);
    ck_assert_int_eq(disk_truncate(f, 0), STATUS_OK);
    ck_assert_int_eq(disk_write(f, 0, zeros, 64), STATUS_OK);
    ck_assert_int_ne(memcmp(before, memdisk_content(d, "t").data + VAULT_HEADER_BYTES, 64), 0);
    disk_close(f);
    ck_assert_int_eq(disk_open(vault_disk(v), "t", DISK_READ, &f, NULL), STATUS_OK);
    size_t got;
    ck_assert_int_eq(disk_read(f, 0, before, 64, &got), STATUS_OK);
    ck_assert_int_eq(memcmp(before, zeros, 64), 0);
    disk_close(f);
    vault_free(v);
    memdisk_free(d);
}
END_TEST

START_TEST(the_directory_says_whether_it_is_encrypted)
{
    struct memdisk *plain = memdisk_new(3), *sealed = memdisk_new(4);
    struct logger log = {.level = LOG_ERROR, .write = drop_line};
    struct vault *over_plain = vault_over(plain, &log), *over_sealed = vault_over(sealed, &log);
    struct disk_file *f = NULL;
    struct errbuf err;
    ck_assert_int_eq(vault_check(NULL, memdisk_disk(plain), &err), STATUS_OK);
    ck_assert_int_eq(disk_open(memdisk_disk(plain), "IDENTITY", DISK_WRITE | DISK_CREATE, &f, NULL), STATUS_OK);
    disk_close(f);
    ck_assert_int_eq(vault_check(over_plain, memdisk_disk(plain), &err), STATUS_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.text, "begun without"));
    ck_assert_int_eq(vault_check(over_sealed, memdisk_disk(sealed), &err), STATUS_OK);
    memdisk_crash(sealed, MEMDISK_DROP); /* durable by then */
    ck_assert_int_eq(vault_check(over_sealed, memdisk_disk(sealed), &err), STATUS_OK);
    ck_assert_int_eq(vault_check(NULL, memdisk_disk(sealed), &err), STATUS_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.text, "--encryption-keys"));
    vault_free(over_plain);
    vault_free(over_sealed);
    memdisk_free(plain);
    memdisk_free(sealed);
}
END_TEST

static void give_vault(struct vault **v, struct memdisk *d, struct testenv *env)
{
    vault_free(*v);
    *v = vault_over(d, &env->log);
    env->env.disk = vault_disk(*v);
}

/* As test_lsm_crash has it without a vault. */
START_TEST(the_store_survives_crashes)
{
    struct rig r;
    struct vault *v = NULL;
    rig_init(&r, (uint64_t)_i);
    give_vault(&v, r.disk, &r.env);
    ck_assert(rig_open(&r));
    for (unsigned round = 0; round < 6; round++) {
        for (unsigned i = 0; i < 3; i++) {
            rig_write_many(&r, 40);
            if (prng_chance(&r.prng, 1, 2)) rig_flush(&r);
            if (prng_chance(&r.prng, 1, 4)) (void)rig_replace(&r);
            if (prng_chance(&r.prng, 1, 2)) rig_settle(&r);
        }
        rig_crash(&r, (enum memdisk_crash)prng_below(&r.prng, 3));
        give_vault(&v, r.disk, &r.env);
        ck_assert_msg(rig_open(&r), "%s", r.err.text);
        rig_recover(&r, prng_chance(&r.prng, 1, 2));
        rig_check_random(&r, 20);
    }
    rig_check_all(&r);
    rig_free(&r);
    vault_free(v);
}
END_TEST

/* --- key streams --- */

/* What was ever enciphered under each key in counter mode, byte by byte, whatever became of it on the disk. */
struct stream {
    struct stream *next;
    struct vault_secret secret;
    size_t size;
    uint8_t plain[65536];
};
static struct stream *streams; /* one test at a time */
static const struct disk_ops *ops_below;
static uint64_t written_twice, bytes_seen;

static struct stream *stream_of(struct disk_file *f)
{
    static uint8_t header[VAULT_HEADER_BYTES];
    struct vault_keys k = keys(key_texts[0], "");
    struct vault_secret secret;
    uint8_t by[VAULT_ID_BYTES];
    struct errbuf err;
    size_t got = 0;
    if (ops_below->read(f, 0, header, sizeof(header), &got) != STATUS_OK || got < sizeof(header)) return NULL;
    if (vault_header_decode(header, &k, &secret, by, &err) != STATUS_OK || secret.mode != VAULT_CTR) return NULL;
    for (struct stream *s = streams; s != NULL; s = s->next)
        if (memcmp(s->secret.key, secret.key, sizeof(secret.key)) == 0) return s;
    struct stream *s = mem_zalloc(sizeof(*s));
    s->secret = secret;
    s->next = streams;
    streams = s;
    return s;
}

static enum status write_watched(struct disk_file *f, uint64_t offset, const void *bytes, size_t size)
{
    struct stream *s = offset < VAULT_HEADER_BYTES ? NULL : stream_of(f);
    if (s != NULL) {
        uint64_t from = offset - VAULT_HEADER_BYTES;
        uint8_t *plain = mem_alloc(size);
        ck_assert_uint_le(from, s->size); /* no holes */
        ck_assert_uint_le(from + size, sizeof(s->plain));
        vault_decrypt(&s->secret, from, bytes, plain, size);
        for (size_t i = 0; i < size && from + i < s->size; i++) written_twice += s->plain[from + i] != plain[i];
        memcpy(s->plain + from, plain, size);
        if (from + size > s->size) s->size = from + size;
        bytes_seen += size;
        mem_free(plain);
    }
    return ops_below->write(f, offset, bytes, size);
}

/* The store's manifest is appended to and torn; after each kind of failure and crash what comes next lies under another key. */
START_TEST(no_key_stream_is_used_twice)
{
    static const enum status faults[] = {STATUS_IO, STATUS_CLOSED, STATUS_NO_SPACE};
    bool fired = true;
    uint64_t n = 1, files = 0;
    written_twice = bytes_seen = 0;
    for (; fired; n++) {
        struct rig r;
        struct vault *v = NULL;
        rig_init(&r, n);
        struct disk_ops watched = *(ops_below = memdisk_disk(r.disk)->ops);
        watched.write = write_watched;
        memdisk_disk(r.disk)->ops = &watched;
        give_vault(&v, r.disk, &r.env);
        ck_assert(rig_open(&r));
        memdisk_fail_at(r.disk, MEMDISK_CHANGE, n, faults[_i], faults[_i] != STATUS_NO_SPACE);
        for (unsigned life = 0; life < 3; life++) {
            for (unsigned i = 0; i < 7 && r.l != NULL && !r.env.env.dead && !memdisk_fail_fired(r.disk); i++) {
                rig_write_many(&r, 30);
                rig_flush(&r);
            }
            if (life == 0) fired = memdisk_fail_fired(r.disk);
            for (unsigned i = 0; i < 60 && r.l != NULL && !r.env.env.dead; i++) rig_step(&r);
            rig_crash(&r, (enum memdisk_crash)((n + life) % 3));
            give_vault(&v, r.disk, &r.env);
            ck_assert_msg(rig_open(&r), "%s", r.err.text);
            rig_recover(&r, true);
        }
        rig_free(&r);
        vault_free(v);
        for (struct stream *s; (s = streams) != NULL; files++) {
            streams = s->next;
            mem_free(s);
        }
    }
    printf("%llu faults, %llu bytes in %llu files\n", (unsigned long long)n - 2, (unsigned long long)bytes_seen,
           (unsigned long long)files);
    ck_assert_uint_gt(n, 30);
    ck_assert_uint_gt(files, 3 * n);
    ck_assert_uint_eq(written_twice, 0);
}
END_TEST

static void script(struct wm *m)
{
    for (unsigned i = 0; i < 12 && !m->env.env.dead; i++) {
        wm_batch(m, 5);
        if (i == 4) wm_put_entry(m, 1, wm_last(m, 1) + 1, 90000);
        for (unsigned g = 0; g < WM_GROUPS && i % 6 == 5 && !m->env.env.dead; g++) wm_set_floor(m, g, UINT64_MAX);
        if (i % 5 == 4) testenv_advance_ms(&m->env, 60);
    }
    if (!m->env.env.dead) wm_drain(m);
}

/* As test_wal_fault has it: the power goes at each call to the disk, opening included. */
START_TEST(the_log_survives_a_power_cut_at_every_call)
{
    bool fired = true;
    for (uint64_t n = 1; fired; n++) {
        struct wm m;
        struct vault *v = NULL;
        wm_init(&m, n);
        m.options.skip_self_test = true;
        memdisk_set_direct(m.disk, n % 2 == 0);
        give_vault(&v, m.disk, &m.env);
        memdisk_fail_at(m.disk, MEMDISK_ANY, n, STATUS_IO, true);
        if (wm_open(&m) == WM_OK) script(&m);
        fired = memdisk_fail_fired(m.disk);
        wm_crash(&m, n % 3 == 0 ? MEMDISK_DROP : MEMDISK_RANDOM);
        give_vault(&v, m.disk, &m.env);
        ck_assert_msg(wm_open(&m) == WM_OK, "call %llu: %s %s", (unsigned long long)n, m.wrong, m.err.text);
        script(&m);
        ck_assert(!m.env.env.dead);
        wm_free(&m);
        vault_free(v);
    }
}
END_TEST

/* While the store is at work: the next key, headers written again, the old key gone; a crash anywhere in between harms nothing. */
START_TEST(keys_are_rotated_under_way)
{
    struct rig r;
    struct vault *v = NULL;
    struct errbuf err;
    unsigned changed;
    rig_init(&r, 100 + (uint64_t)_i);
    give_vault(&v, r.disk, &r.env);
    ck_assert(rig_open(&r));
    rig_write_many(&r, 100);
    rig_flush(&r);
    struct vault_keys both = keys(key_texts[0], key_texts[1]), next = keys("", key_texts[1]);
    vault_use(v, &both);
    rig_write_many(&r, 40);
    if (_i > 0) memdisk_fail_at(r.disk, MEMDISK_CHANGE, (uint64_t)_i, STATUS_IO, true);
    enum status s = vault_rewrap(v, &changed, &err);
    bool fired = memdisk_fail_fired(r.disk);
    ck_assert(s == STATUS_OK || fired);
    if (s == STATUS_OK) ck_assert_uint_gt(changed, 0);
    rig_crash(&r, MEMDISK_RANDOM);
    vault_free(v);
    v = vault_new(memdisk_disk(r.disk), s == STATUS_OK ? &next : &both, &r.env.log);
    r.env.env.disk = vault_disk(v);
    ck_assert_msg(rig_open(&r), "%s", r.err.text);
    rig_recover(&r, true);
    rig_check_all(&r);
    ck_assert_int_eq(vault_rewrap(v, &changed, &err), STATUS_OK);
    ck_assert_int_eq(vault_rewrap(v, &changed, &err), STATUS_OK);
    ck_assert_uint_eq(changed, 0);
    rig_crash(&r, MEMDISK_DROP);
    vault_free(v);
    v = vault_over(r.disk, &r.env.log); /* the old key alone */
    r.env.env.disk = vault_disk(v);
    ck_assert(!rig_open(&r));
    ck_assert_ptr_nonnull(strstr(r.err.text, "master key"));
    rig_free(&r);
    vault_free(v);
}
END_TEST

static struct vault *renewed; /* while the next header is on its way */

static enum status write_slow(struct disk_file *f, uint64_t offset, const void *bytes, size_t size)
{
    struct vault *v = renewed;
    renewed = NULL;
    if (v != NULL) {
        struct vault_keys both = keys(key_texts[0], key_texts[1]);
        struct errbuf err;
        unsigned changed;
        vault_use(v, &both);
        ck_assert_int_eq(vault_rewrap(v, &changed, &err), STATUS_OK);
    }
    return ops_below->write(f, offset, bytes, size);
}

/* A file is begun while the keys are replaced: when all files are said to be under the new key, that one is, too. */
START_TEST(a_file_that_is_begun_while_keys_are_rotated)
{
    struct memdisk *d = memdisk_new(3);
    struct logger log = {.level = LOG_ERROR, .write = drop_line};
    struct vault *v = vault_over(d, &log);
    struct vault_keys second = keys(key_texts[1], "");
    struct disk_file *f = NULL;
    struct errbuf err;
    uint8_t got_bytes[8];
    size_t got = 0;
    struct disk_ops slow = *(ops_below = memdisk_disk(d)->ops);
    slow.write = write_slow;
    memdisk_disk(d)->ops = &slow;
    renewed = v;
    ck_assert_int_eq(disk_open(vault_disk(v), "a", DISK_WRITE | DISK_CREATE | DISK_EXCLUSIVE, &f, &err), STATUS_OK);
    ck_assert_ptr_null(renewed);
    ck_assert_int_eq(disk_write(f, 0, "content", 7), STATUS_OK);
    disk_close(f);
    vault_free(v);
    v = vault_new(memdisk_disk(d), &second, &log);
    ck_assert_msg(disk_open(vault_disk(v), "a", DISK_READ, &f, &err) == STATUS_OK, "%s", err.text);
    ck_assert_int_eq(disk_read(f, 0, got_bytes, 7, &got), STATUS_OK);
    ck_assert_int_eq(memcmp(got_bytes, "content", 7), 0);
    disk_close(f);
    vault_free(v);
    memdisk_disk(d)->ops = ops_below;
    memdisk_free(d);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("vault_disk");
    TCase *t = tcase_create("disk");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, content_is_what_was_written);
    tcase_add_loop_test(t, tables_are_sealed, 0, 7);
    tcase_add_test(t, truncated_to_nothing_is_another_file);
    tcase_add_test(t, the_directory_says_whether_it_is_encrypted);
    tcase_add_loop_test(t, the_store_survives_crashes, 0, 8);
    tcase_add_loop_test(t, no_key_stream_is_used_twice, 0, 3);
    tcase_add_test(t, the_log_survives_a_power_cut_at_every_call);
    tcase_add_test(t, a_file_that_is_begun_while_keys_are_rotated);
    tcase_add_loop_test(t, keys_are_rotated_under_way, 0, 10);
    suite_add_tcase(s, t);
    return run_suite(s);
}
