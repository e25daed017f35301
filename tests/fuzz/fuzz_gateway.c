/* Whatever a client of the gateway may send: targets, queries, headers and JSON bodies; base64. What is accepted keeps the
 * limits, and what is decoded can be coded again. See Makefile, fuzz. */
#include "base/assert.h"
#include "gateway/codec.h"
#include "gateway/parse.h"
#include "gateway/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_bodies(const struct input *in, struct arena *a)
{
    struct errbuf err;
    struct txn_action txn = {.tree = NULL};
    struct keyspace_action keyspace = {.tree = NULL};
    if (parse_txn(in, a, &txn, &err) == STATUS_OK) {
        struct buf encoded;
        struct txn again;
        buf_init(&encoded, 4 * LIMIT_TXN_BYTES);
        txn_encode(&txn.txn, &encoded);
        enum status s = txn_decode(buf_slice(&encoded), a, &again, &err);
        ASSERT(s != STATUS_CORRUPT); /* what JSON could say, the other form can say */
        buf_free(&encoded);
    }
    json_decref(txn.tree);
    if (parse_keyspace_create(in, a, &keyspace, &err) == STATUS_OK)
        ASSERT(check_keyspace_name(keyspace.name, &err) == STATUS_OK);
    json_decref(keyspace.tree);
}

static void try_target(struct input *in, struct arena *a)
{
    struct errbuf err;
    struct route r;
    struct kv_action kv;
    struct scan_action scan;
    struct list_action list;
    route_find(in->path, &r);
    if (r.endpoint == ENDPOINT_UNKNOWN) return;
    if (parse_kv(in, &r, a, &kv, &err) == STATUS_OK) {
        ASSERT(kv.key.size > 0);
        ASSERT(kv.key.size <= LIMIT_KEY_BYTES);
    }
    (void)!parse_scan(in, &r, a, &scan, &err);
    (void)!parse_list(in, true, a, &list, &err);
}

static void try_base64(struct slice bytes, struct arena *a)
{
    struct slice decoded, again;
    struct buf text;
    if (!base64_decode(bytes, a, &decoded)) return;
    buf_init(&text, 2 * bytes.size + 8);
    base64_append(&text, decoded);
    if (text.size > 0) {
        bool fine = base64_decode(buf_slice(&text), a, &again);
        ASSERT(fine);
        ASSERT(slice_eq(decoded, again));
    }
    buf_free(&text);
}

/* Lines: target, If-Match, Idempotency-Key; then the body. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum http_method methods[] = {HTTP_GET, HTTP_PUT, HTTP_DELETE, HTTP_POST};
    struct arena a;
    arena_init(&a, 4096);
    char *text = arena_alloc(&a, size + 1), *line[3] = {text, NULL, NULL}, *rest = text;
    if (size > 0) memcpy(text, data, size);
    text[size] = '\0';
    for (int i = 0; i < 3 && rest != NULL; i++) {
        line[i] = rest;
        rest = memchr(rest, '\n', (size_t)(text + size - rest));
        if (rest != NULL) *rest++ = '\0';
    }
    char *query = strchr(line[0], '?');
    struct input in = {.method = methods[size % 4], .query = SLICE_EMPTY, .body = SLICE_EMPTY};
    if (query != NULL) {
        *query = '\0';
        in.query = slice_str(query + 1);
    }
    in.path = slice_str(line[0]);
    if (rest != NULL) in.body = slice_make(rest, (size_t)(text + size - rest));
    if (line[1] != NULL && line[1][0] != '\0') in.if_match = line[1];
    if (line[2] != NULL && line[2][0] != '\0') in.idempotency_key = line[2];
    try_target(&in, &a);
    try_bodies(&in, &a);
    try_base64(in.body, &a);
    (void)utf8_valid(in.body);
    arena_free(&a);
    return 0;
}
