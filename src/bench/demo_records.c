/* `quorate demo records`: the package index of a Debian machine, stanza by stanza, into the keyspace `records` and back.
 * Standard input: what `apt-cache dumpavail` prints. Key: package/version. Value: the stanza. Everything goes over HTTP. */
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "bench/commands.h"
#include "cli/files.h"
#include "cli/http_load.h"
#include "env_posix/env_posix.h"
#include "gateway/codec.h"
#include "gateway/json_out.h"

#define SOURCE_MAX (1024ull << 20)
#define SCAN_ROWS "2000"

struct record {
    struct slice key, value; /* key in the arena, value borrowed from the source */
    size_t order;            /* in the source */
};

struct records {
    struct cli *cli;
    struct env *env;
    char gateway[LIMIT_ADDRESS_BYTES];
    unsigned connections;
    struct buf source;
    struct arena arena;
    struct record *items;
    size_t count, capacity, duplicates;
    uint64_t bytes;
    struct slice *stale; /* keys that an earlier run stored and the source no longer has */
    size_t stale_count, stale_capacity;
    struct load load;
    struct progress progress;
    size_t next, done;
    uint64_t took_ns;
    struct report report;
};

/* --- the source --- */

static struct slice field_of(struct slice stanza, const char *name)
{
    struct slice want = slice_str(name);
    while (stanza.size > 0) {
        const uint8_t *end = memchr(stanza.data, '\n', stanza.size);
        size_t n = end != NULL ? (size_t)(end - stanza.data) : stanza.size;
        struct slice line = slice_make(stanza.data, n);
        if (slice_starts(line, want)) return slice_make(line.data + want.size, line.size - want.size);
        size_t skip = end != NULL ? n + 1 : n;
        stanza = slice_make(stanza.data + skip, stanza.size - skip);
    }
    return SLICE_EMPTY;
}

static void record_add(struct records *r, struct slice stanza)
{
    struct slice package = field_of(stanza, "Package: "), version = field_of(stanza, "Version: ");
    if (package.size == 0 || version.size == 0 || package.size + version.size + 1 > LIMIT_KEY_BYTES ||
        stanza.size > LIMIT_VALUE_BYTES)
        return;
    if (r->count == r->capacity) {
        r->capacity = r->capacity == 0 ? 4096 : r->capacity * 2;
        r->items = mem_realloc(r->items, r->capacity * sizeof(*r->items));
    }
    uint8_t *key = arena_alloc(&r->arena, package.size + version.size + 1);
    memcpy(key, package.data, package.size);
    key[package.size] = '/';
    memcpy(key + package.size + 1, version.data, version.size);
    r->items[r->count] =
        (struct record){.key = slice_make(key, package.size + version.size + 1), .value = stanza, .order = r->count};
    r->count++;
}

static int record_cmp(const void *a, const void *b)
{
    const struct record *x = a, *y = b;
    int c = slice_cmp(x->key, y->key);
    if (c != 0) return c;
    return (x->order > y->order) - (x->order < y->order);
}

/* Sorted by key; of equal keys the last one of the source stays. */
static void records_sort(struct records *r)
{
    size_t n = 0;
    qsort(r->items, r->count, sizeof(*r->items), record_cmp);
    for (size_t i = 0; i < r->count; i++) {
        if (n > 0 && slice_eq(r->items[n - 1].key, r->items[i].key)) {
            r->duplicates++;
            r->items[n - 1] = r->items[i];
        } else {
            r->items[n++] = r->items[i];
        }
    }
    r->count = n;
    for (size_t i = 0; i < n; i++) r->bytes += r->items[i].key.size + r->items[i].value.size;
}

static int records_read(struct records *r)
{
    struct errbuf err;
    if (file_read_all("-", &r->source, &err) != STATUS_OK) return cli_fail("standard input: %s", err.text);
    const uint8_t *at = r->source.data, *end = at + r->source.size, *start = at;
    while (r->source.size > 0 && at <= end) { /* a stanza ends with an empty line, or with the input */
        bool last = at == end;
        if (last || (*at == '\n' && at > start && at[-1] == '\n')) {
            if (at > start) record_add(r, slice_make(start, (size_t)(at - start)));
            start = at + 1;
        } else if (*at == '\n' && at == start) {
            start = at + 1;
        }
        at++;
    }
    if (r->count == 0)
        return cli_fail("standard input holds no package stanza: pipe `apt-cache dumpavail` in (after `apt-get "
                        "update`, when it is empty)");
    records_sort(r);
    return CLI_OK;
}

/* --- the keyspace --- */

static int keyspace_make(struct records *r)
{
    struct errbuf err;
    uint64_t ranges;
    struct buf body, answer;
    if (args_number(&r->cli->args, "ranges", 12, 1, 1000, &ranges, &err) != STATUS_OK) return cli_usage("%s", err.text);
    buf_init(&body, 1u << 20);
    buf_init(&answer, 1u << 20);
    json_open(&body, '{');
    json_key(&body, "name");
    json_str(&body, "records");
    json_key(&body, "splits_b64");
    json_open(&body, '[');
    for (uint64_t i = 1; i < ranges && r->count >= ranges; i++) { /* evenly, by the source's own keys */
        struct slice key = r->items[i * r->count / ranges].key;
        buf_append_str(&body, i > 1 ? ",\"" : "\"");
        base64_append(&body, key);
        buf_append_byte(&body, '"');
    }
    json_close(&body, ']');
    json_close(&body, '}');
    int code = http_ask(r->env, r->gateway, HTTP_POST, "/v1/keyspaces", buf_slice(&body), &answer);
    int result = CLI_OK;
    /* 409: it exists, split by an earlier state of the index: as good. */
    if (code != 200 && code != 201 && code != 409)
        result = cli_fail("keyspace records: HTTP %d %.*s", code, (int)answer.size, (const char *)answer.data);
    buf_free(&body);
    buf_free(&answer);
    return result;
}

/* --- scanning over HTTP --- */

/* Calls each(ctx, key, value) for all rows in order; value is empty when keys_only. */
static int scan_all(struct records *r, bool keys_only,
                    void (*each)(struct records *, struct slice key, struct slice value), const char *label)
{
    struct buf page;
    char path[128 + 2 * LIMIT_KEY_BYTES], next[2 * LIMIT_KEY_BYTES] = "";
    int result = CLI_OK;
    struct arena scratch;
    uint64_t rows = 0;
    buf_init(&page, 64u << 20);
    arena_init(&scratch, 1u << 16);
    if (label != NULL) progress_begin(&r->progress, r->env, label, r->count);
    for (bool more = true; more && result == CLI_OK;) {
        snprintf(path, sizeof(path), "/v1/kv/records?limit=" SCAN_ROWS "%s%s%s", keys_only ? "&keys_only=true" : "",
                 next[0] != '\0' ? "&next=" : "", next);
        int code = http_ask(r->env, r->gateway, HTTP_GET, path, SLICE_EMPTY, &page);
        json_t *root = code == 200 ? json_loadb((const char *)page.data, page.size, JSON_ALLOW_NUL, NULL) : NULL;
        const json_t *list = json_object_get(root, "rows");
        if (!json_is_array(list))
            result =
                cli_fail("scan: HTTP %d %.*s", code, (int)(page.size < 200 ? page.size : 200), (const char *)page.data);
        for (size_t i = 0; i < json_array_size(list); i++) {
            struct slice pair[2] = {SLICE_EMPTY, SLICE_EMPTY};
            static const char *const names[2][2] = {{"key", "key_b64"}, {"value", "value_b64"}};
            const json_t *row = json_array_get(list, i);
            for (int k = 0; k < 2; k++) {
                const json_t *plain = json_object_get(row, names[k][0]), *coded = json_object_get(row, names[k][1]);
                if (plain != NULL)
                    pair[k] = slice_make(json_string_value(plain), json_string_length(plain));
                else if (coded != NULL && !base64_decode(slice_str(json_string_value(coded)), &scratch, &pair[k]))
                    result = cli_fail("scan: bad base64");
            }
            each(r, pair[0], pair[1]);
            rows++;
        }
        more = json_is_true(json_object_get(root, "more"));
        if (more) snprintf(next, sizeof(next), "%s", json_string_value(json_object_get(root, "next")));
        json_decref(root);
        arena_reset(&scratch);
        if (label != NULL) progress_show(&r->progress, r->env, rows, (double)rows / (double)r->count, !more);
    }
    buf_free(&page);
    arena_free(&scratch);
    return result;
}

static void stale_note(struct records *r, struct slice key, struct slice value)
{
    (void)value;
    struct record want = {.key = key};
    size_t low = 0, high = r->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (slice_cmp(r->items[middle].key, want.key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < r->count && slice_eq(r->items[low].key, key)) return;
    if (r->stale_count == r->stale_capacity) {
        r->stale_capacity = r->stale_capacity == 0 ? 64 : r->stale_capacity * 2;
        r->stale = mem_realloc(r->stale, r->stale_capacity * sizeof(*r->stale));
    }
    r->stale[r->stale_count++] = arena_dup_slice(&r->arena, key);
}

/* --- writing --- */

static bool records_next(void *ctx, struct lane *lane)
{
    struct records *r = ctx;
    if (r->next == r->stale_count + r->count) return false;
    size_t i = r->next++;
    bool remove = i < r->stale_count;
    struct slice key = remove ? r->stale[i] : r->items[i - r->stale_count].key;
    lane->job = i;
    lane->method = remove ? HTTP_DELETE : HTTP_PUT;
    buf_append_str(&lane->path, "/v1/kv/records/");
    path_escape(&lane->path, key);
    if (!remove) buf_append_slice(&lane->body, r->items[i - r->stale_count].value);
    return true;
}

static void records_answer(void *ctx, struct lane *lane, int code, struct slice body)
{
    struct records *r = ctx;
    if (code != 200)
        load_fail(&r->load, "%s: HTTP %d %.*s", (const char *)lane->path.data, code,
                  (int)(body.size < 200 ? body.size : 200), (const char *)body.data);
    r->done++;
    progress_show(&r->progress, r->env, r->done, (double)r->done / (double)(r->count + r->stale_count), false);
}

static int records_write(struct records *r)
{
    load_open(&r->load, r->env, r->gateway, r->connections, r);
    r->load.next = records_next;
    r->load.answer = records_answer;
    progress_begin(&r->progress, r->env, "records: writing", r->count);
    int code = load_run(&r->load);
    r->took_ns = env_mono_ns(r->env) - r->progress.begun_ns;
    progress_show(&r->progress, r->env, r->done, 1, true);
    load_close(&r->load);
    return code;
}

/* --- comparing --- */

struct digest {
    EVP_MD_CTX *ctx;
    uint64_t rows;
    char text[65];
};

static void digest_row(struct digest *d, struct slice key, struct slice value)
{
    uint64_t sizes[2] = {key.size, value.size}; /* so that no two sequences of rows give the same bytes */
    int fine = EVP_DigestUpdate(d->ctx, sizes, sizeof(sizes)) & EVP_DigestUpdate(d->ctx, key.data, key.size) &
               EVP_DigestUpdate(d->ctx, value.data, value.size);
    ASSERT(fine == 1);
    d->rows++;
}

static void digest_begin(struct digest *d)
{
    *d = (struct digest){.ctx = EVP_MD_CTX_new()};
    ASSERT(d->ctx != NULL);
    int fine = EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL);
    ASSERT(fine == 1);
}

static void digest_end(struct digest *d)
{
    uint8_t bytes[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    int fine = EVP_DigestFinal_ex(d->ctx, bytes, &size);
    ASSERT(fine == 1);
    for (unsigned i = 0; i < 32 && i < size; i++) snprintf(d->text + 2 * i, 3, "%02x", bytes[i]);
    EVP_MD_CTX_free(d->ctx);
}

struct compare {
    struct records records; /* first: a struct records * is this */
    struct digest source, store;
};

static void compare_row(struct records *r, struct slice key, struct slice value)
{
    digest_row(&((struct compare *)(void *)r)->store, key, value);
}

static int compare_run(struct compare *c)
{
    struct records *r = &c->records;
    uint64_t begun = env_mono_ns(r->env);
    digest_begin(&c->source);
    digest_begin(&c->store);
    for (size_t i = 0; i < r->count; i++) digest_row(&c->source, r->items[i].key, r->items[i].value);
    int code = scan_all(r, false, compare_row, "records: reading back");
    double seconds = (double)(env_mono_ns(r->env) - begun) / 1e9;
    digest_end(&c->source);
    digest_end(&c->store);
    if (code != CLI_OK) return code;
    bool same = c->source.rows == c->store.rows && strcmp(c->source.text, c->store.text) == 0;
    double wrote_s = (double)r->took_ns / 1e9;
    report_line(
        &r->report,
        "records: %zu stanzas (%.1f MB) written in %.1f s: %.0f records/s over %u connections, %llu requests repeated",
        r->count, (double)r->bytes / 1e6, wrote_s, (double)r->count / (wrote_s > 0 ? wrote_s : 1), r->connections,
        (unsigned long long)r->load.retries);
    report_line(
        &r->report,
        "records: %llu read back by scan in %.1f s; %zu duplicate keys in the source, %zu of an earlier run removed",
        (unsigned long long)c->store.rows, seconds, r->duplicates, r->stale_count);
    report_line(&r->report, "records: source %zu rows sha256 %.16s..., store %llu rows sha256 %.16s...", r->count,
                c->source.text, (unsigned long long)c->store.rows, c->store.text);
    report_line(&r->report, "records: VERDICT %s", same ? "exact: every record is there, byte for byte" : "MISMATCH");
    return same ? CLI_OK : CLI_FAILED;
}

int run_demo_records(struct cli *cli)
{
    struct compare c;
    struct records *r = &c.records;
    struct errbuf err;
    uint64_t connections;
    memset(&c, 0, sizeof(c));
    r->cli = cli;
    if (args_number(&cli->args, "connections", 64, 1, 1024, &connections, &err) != STATUS_OK)
        return cli_usage("%s", err.text);
    r->connections = (unsigned)connections;
    int certs = cli_certs_take(cli, false, false);
    if (certs != CLI_OK) return certs;
    load_gateway(cli, r->gateway, sizeof(r->gateway));
    r->env = load_env(cli, NULL, &err);
    if (r->env == NULL) return cli_fail("%s", err.text);
    buf_init(&r->source, SOURCE_MAX);
    buf_init(&r->report.text, 1u << 16);
    arena_init(&r->arena, 1u << 20);
    int code = records_read(r);
    if (code == CLI_OK) code = keyspace_make(r);
    if (code == CLI_OK) code = scan_all(r, true, stale_note, NULL);
    if (code == CLI_OK) code = records_write(r);
    if (code == CLI_OK) code = compare_run(&c);
    code = report_end(&r->report, cli, code);
    buf_free(&r->source);
    mem_free(r->items);
    mem_free(r->stale);
    arena_free(&r->arena);
    env_posix_quiesce(r->env);
    env_posix_free(r->env);
    return code;
}
