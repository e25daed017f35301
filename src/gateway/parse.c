/* Routing, identifiers and the plain endpoints; bodies are in parse_txn.c and parse_keyspace.c. */
#include "gateway/parse.h"

#include <openssl/evp.h>
#include <stdio.h>

#include "base/assert.h"
#include "gateway/codec.h"
#include "gateway/uri.h"

#define TIMEOUT_MAX_MS 600000u

const char *endpoint_name(enum endpoint e)
{
    static const char *const names[] = {
#define ENDPOINT_NAME(name, text, methods) text,
        ENDPOINT_MAP(ENDPOINT_NAME)
#undef ENDPOINT_NAME
    };
    ASSERT(e < ENDPOINT_COUNT);
    return names[e];
}

const char *endpoint_methods(enum endpoint e)
{
    static const char *const methods_of[] = {
#define ENDPOINT_METHODS(name, text, methods) methods,
        ENDPOINT_MAP(ENDPOINT_METHODS)
#undef ENDPOINT_METHODS
    };
    ASSERT(e < ENDPOINT_COUNT);
    return methods_of[e];
}

const char *http_method_text(enum http_method m)
{
    switch (m) {
    case HTTP_GET: return "GET";
    case HTTP_HEAD: return "HEAD";
    case HTTP_PUT: return "PUT";
    case HTTP_POST: return "POST";
    case HTTP_DELETE: return "DELETE";
    case HTTP_OPTIONS: return "OPTIONS";
    case HTTP_OTHER: break;
    }
    return "other";
}

bool endpoint_allows(enum endpoint e, enum http_method m)
{
    if (m == HTTP_HEAD && e != ENDPOINT_WATCH) m = HTTP_GET; /* what can be read, and ends, can be asked about */
    return strstr(endpoint_methods(e), http_method_text(m)) != NULL;
}

/* /v1/ledger/accounts/{id}, .../balances, .../transfers; /v1/ledger/transfers/{id} */
static bool route_ledger(struct slice path, struct route *out)
{
    static const char accounts[] = "/v1/ledger/accounts/", transfers[] = "/v1/ledger/transfers/";
    bool account = slice_starts(path, slice_str(accounts));
    if (!account && !slice_starts(path, slice_str(transfers))) return false;
    size_t head = account ? sizeof(accounts) - 1 : sizeof(transfers) - 1;
    struct slice rest = slice_make(path.data + head, path.size - head);
    const uint8_t *slash = rest.size > 0 ? memchr(rest.data, '/', rest.size) : NULL;
    out->key = rest;
    out->endpoint = account ? ENDPOINT_LEDGER_ACCOUNT : ENDPOINT_LEDGER_TRANSFER;
    if (rest.size == 0) out->endpoint = ENDPOINT_UNKNOWN;
    if (slash == NULL) return true;
    struct slice tail = slice_make(slash, (size_t)(rest.data + rest.size - slash));
    out->key.size = (size_t)(slash - rest.data);
    out->endpoint = !account                                  ? ENDPOINT_UNKNOWN
                    : slice_eq(tail, slice_str("/balances"))  ? ENDPOINT_LEDGER_BALANCES
                    : slice_eq(tail, slice_str("/transfers")) ? ENDPOINT_LEDGER_POSTINGS
                                                              : ENDPOINT_UNKNOWN;
    return true;
}

/* /v1/txn/begin, /v1/txn/{session}/commit and /abort; else /v1/txn/{id or session}, by the method: an id may hold a slash */
static bool route_session(struct slice path, struct route *out)
{
    static const char txn[] = "/v1/txn/", commit[] = "/commit", abort_text[] = "/abort";
    if (!slice_starts(path, slice_str(txn))) return false;
    struct slice rest = slice_make(path.data + sizeof(txn) - 1, path.size - (sizeof(txn) - 1));
    const uint8_t *slash = rest.size > 0 ? memchr(rest.data, '/', rest.size) : NULL;
    struct slice tail = slash == NULL ? SLICE_EMPTY : slice_make(slash, (size_t)(rest.data + rest.size - slash));
    out->key = rest;
    out->endpoint = rest.size == 0                          ? ENDPOINT_UNKNOWN
                    : slice_eq(rest, slice_str("begin"))    ? ENDPOINT_TXN_BEGIN
                    : slice_eq(tail, slice_str(commit))     ? ENDPOINT_TXN_COMMIT
                    : slice_eq(tail, slice_str(abort_text)) ? ENDPOINT_TXN_ABORT
                                                            : ENDPOINT_TXN_ANSWER;
    if (out->endpoint == ENDPOINT_TXN_COMMIT || out->endpoint == ENDPOINT_TXN_ABORT) out->key.size -= tail.size;
    return true;
}

static bool route_auth(struct slice path, struct route *out)
{
    static const char users[] = "/v1/auth/users/", roles[] = "/v1/auth/roles/";
    bool user = slice_starts(path, slice_str(users));
    if (!user && !slice_starts(path, slice_str(roles))) return false;
    size_t head = user ? sizeof(users) - 1 : sizeof(roles) - 1;
    out->key = slice_make(path.data + head, path.size - head);
    out->endpoint = user ? ENDPOINT_AUTH_USER : ENDPOINT_AUTH_ROLE;
    return true;
}

/* Paths that end with the name of what they are about. */
static bool route_named(struct slice path, struct route *out)
{
    static const struct {
        const char *path;
        enum endpoint endpoint;
        bool keyspace;
    } heads[] = {
        {"/v1/kv/", ENDPOINT_SCAN, true},
        {"/v1/watch/", ENDPOINT_WATCH, true},
        {"/v1/keyspaces/", ENDPOINT_KEYSPACE, true},
        {"/v1/snapshots/", ENDPOINT_SNAPSHOT, false},
        {"/v1/operators/", ENDPOINT_OPERATOR, false},
        {"/v1/ledger/currencies/", ENDPOINT_LEDGER_CURRENCY, false},
    };
    size_t i = 0, count = sizeof(heads) / sizeof(heads[0]);
    while (i < count && !slice_starts(path, slice_str(heads[i].path))) i++;
    if (i == count) return false;
    size_t head = strlen(heads[i].path);
    struct slice rest = slice_make(path.data + head, path.size - head);
    *(heads[i].keyspace ? &out->keyspace : &out->key) = rest;
    out->endpoint = heads[i].endpoint;
    const uint8_t *slash = rest.size > 0 && i == 0 ? memchr(rest.data, '/', rest.size) : NULL;
    if (slash == NULL) return true;
    out->endpoint = ENDPOINT_KV; /* the key is all the rest, further slashes included */
    out->keyspace.size = (size_t)(slash - rest.data);
    out->key = slice_make(slash + 1, rest.size - out->keyspace.size - 1);
    return true;
}

void route_find(struct slice path, struct route *out)
{
    static const struct {
        const char *path;
        enum endpoint endpoint;
    } fixed[] = {
        {"/v1/txn", ENDPOINT_TXN},
        {"/v1/batch", ENDPOINT_BATCH},
        {"/v1/keyspaces", ENDPOINT_KEYSPACES},
        {"/v1/snapshots", ENDPOINT_SNAPSHOTS},
        {"/v1/ranges", ENDPOINT_RANGES},
        {"/v1/nodes", ENDPOINT_NODES},
        {"/v1/status", ENDPOINT_STATUS},
        {"/v1/operators", ENDPOINT_OPERATORS},
        {"/v1/auth", ENDPOINT_AUTH_SELF},
        {"/v1/auth/login", ENDPOINT_AUTH_LOGIN},
        {"/v1/auth/logout", ENDPOINT_AUTH_LOGOUT},
        {"/v1/auth/enable", ENDPOINT_AUTH_ENABLE},
        {"/v1/auth/disable", ENDPOINT_AUTH_DISABLE},
        {"/v1/auth/users", ENDPOINT_AUTH_USERS},
        {"/v1/auth/roles", ENDPOINT_AUTH_ROLES},
        {"/healthz", ENDPOINT_HEALTHZ},
        {"/v1/ledger/accounts", ENDPOINT_LEDGER_ACCOUNTS},
        {"/v1/ledger/transfers", ENDPOINT_LEDGER_TRANSFERS},
        {"/v1/ledger/audit", ENDPOINT_LEDGER_AUDIT},
        {"/v1/ledger/currencies", ENDPOINT_LEDGER_CURRENCIES},
        {"/readyz", ENDPOINT_READYZ},
        {"/metrics", ENDPOINT_METRICS},
        {"/metrics/cluster", ENDPOINT_METRICS_CLUSTER},
        {"/v1/openapi.json", ENDPOINT_OPENAPI},
        {"/", ENDPOINT_ROOT},
    };
    *out = (struct route){.endpoint = ENDPOINT_UNKNOWN, .keyspace = SLICE_EMPTY, .key = SLICE_EMPTY};
    if (route_named(path, out)) return;
    if (route_ledger(path, out)) return;
    if (route_session(path, out)) return;
    if (route_auth(path, out)) return;
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        if (slice_eq(path, slice_str(fixed[i].path))) out->endpoint = fixed[i].endpoint;
    }
}

enum status check_keyspace_name(struct slice name, struct errbuf *err)
{
    bool fine = name.size > 0 && name.size <= LIMIT_KEYSPACE_NAME;
    for (size_t i = 0; i < name.size && fine; i++) {
        uint8_t c = name.data[i];
        fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    }
    if (fine) return STATUS_OK;
    errbuf_set(err, "a keyspace name is 1 to %u of a-z, 0-9, _ and -", LIMIT_KEYSPACE_NAME);
    return STATUS_INVALID;
}

enum status check_key(struct slice key, struct errbuf *err)
{
    if (key.size == 0) {
        errbuf_set(err, "the key is empty; a key has 1 to %u bytes", LIMIT_KEY_BYTES);
        return STATUS_INVALID;
    }
    if (key.size > LIMIT_KEY_BYTES) {
        errbuf_set(err, "the key has %zu bytes; the limit is %u", key.size, LIMIT_KEY_BYTES);
        return STATUS_TOO_LARGE;
    }
    return STATUS_OK;
}

enum status parse_etag(const char *header, const char *text, struct precondition *out, struct errbuf *err)
{
    *out = (struct precondition){.present = false};
    if (text == NULL) return STATUS_OK;
    struct slice s = slice_str(text);
    while (s.size > 0 && s.data[s.size - 1] == ' ') s.size--;
    out->present = true;
    if (slice_eq(s, slice_str("*"))) {
        out->any = true;
        return STATUS_OK;
    }
    if (slice_starts(s, slice_str("W/"))) s = slice_make(s.data + 2, s.size - 2);
    if (s.size >= 2 && s.data[0] == '"' && s.data[s.size - 1] == '"') s = slice_make(s.data + 1, s.size - 2);
    if (text_to_u64(s, UINT64_MAX, &out->version)) return STATUS_OK;
    errbuf_set(err, "%s: expected one version, as the ETag gave it (\"123\"), or *; got %.80s", header, text);
    return STATUS_INVALID;
}

static bool hex_id(struct slice text, struct txn_id *out)
{
    if (text.size != 2 * TXN_ID_BYTES) return false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        int v = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (v < 0) return false;
        out->bytes[i / 2] = (uint8_t)(i % 2 == 0 ? v << 4 : out->bytes[i / 2] | v);
    }
    return true;
}

enum status parse_idempotency_key(struct slice text, struct txn_id *out, struct errbuf *err)
{
    memset(out, 0, sizeof(*out));
    if (text.size == 0 || text.size > 64) {
        errbuf_set(err, "an idempotency id has 1 to 64 bytes; got %zu", text.size);
        return STATUS_INVALID;
    }
    if (hex_id(text, out)) {
        if (!txn_id_is_none(out)) return STATUS_OK;
        errbuf_set(err, "the idempotency id of 32 zeros means none; choose another");
        return STATUS_INVALID;
    }
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (EVP_Digest(text.data, text.size, digest, &size, EVP_sha256(), NULL) != 1)
        BUG("SHA-256 is missing in libcrypto");
    ASSERT(size >= TXN_ID_BYTES);
    memcpy(out->bytes, digest, TXN_ID_BYTES);
    return STATUS_OK;
}

enum status take_timeout(const struct query_param *p, uint32_t *out, struct errbuf *err)
{
    uint64_t v;
    *out = 0;
    if (!p->present) return STATUS_OK;
    if (!text_to_u64(p->value, TIMEOUT_MAX_MS, &v) || v == 0) {
        errbuf_set(err, "timeout_ms: expected an integer from 1 to %u", TIMEOUT_MAX_MS);
        return STATUS_INVALID;
    }
    *out = (uint32_t)v;
    return STATUS_OK;
}

enum status take_keyspace(struct slice raw, struct arena *a, struct slice *out, struct errbuf *err)
{
    enum status s = uri_decode(raw, false, a, out, err);
    return s == STATUS_OK ? check_keyspace_name(*out, err) : s;
}

static enum status kv_conditions(const struct input *in, struct kv_action *out, struct errbuf *err)
{
    enum status s = parse_etag("If-Match", in->if_match, &out->if_match, err);
    if (s == STATUS_OK) s = parse_etag("If-None-Match", in->if_none_match, &out->if_none_match, err);
    if (s != STATUS_OK) return s;
    bool write = in->method == HTTP_PUT || in->method == HTTP_DELETE;
    if (out->if_match.present && out->if_none_match.present) {
        errbuf_set(err, "If-Match and If-None-Match exclude each other");
        return STATUS_INVALID;
    }
    if (in->method == HTTP_DELETE && out->if_none_match.present) {
        errbuf_set(err, "If-None-Match has no meaning on DELETE; use If-Match");
        return STATUS_INVALID;
    }
    if (!write && in->idempotency_key != NULL) {
        errbuf_set(err, "Idempotency-Key has a meaning on PUT, DELETE and POST only");
        return STATUS_INVALID;
    }
    if (write && in->idempotency_key != NULL)
        return parse_idempotency_key(slice_str(in->idempotency_key), &out->id, err);
    return STATUS_OK;
}

enum { READ_MODE, READ_AT, READ_MAX_STALENESS_MS, READ_REPLICA, READ_CONSISTENCY, READ_MAX_STALENESS, READ_PARAMS };
enum { QUERY_TIMEOUT, QUERY_READ, QUERY_PARAMS = QUERY_READ + READ_PARAMS };
enum { WRITE_TIMEOUT, WRITE_TTL, WRITE_PARAMS }; /* DELETE: without the last one */

static void read_params(struct query_param *p)
{
    static const char *const names[READ_PARAMS] = {[READ_MODE] = "read",
                                                   [READ_AT] = "at",
                                                   [READ_REPLICA] = "replica",
                                                   [READ_MAX_STALENESS_MS] = "max_staleness_ms",
                                                   [READ_CONSISTENCY] = "consistency",
                                                   [READ_MAX_STALENESS] = "max_staleness"};
    for (int i = 0; i < READ_PARAMS; i++) p[i] = (struct query_param){.name = names[i]};
}

/* consistency is another word for read, max_staleness=2s for max_staleness_ms=2000. */
static enum status take_read(const struct query_param *p, struct arena *a, struct read_how *out, struct errbuf *err)
{
    const struct query_param *mode = p[READ_CONSISTENCY].present ? &p[READ_CONSISTENCY] : &p[READ_MODE];
    struct slice staleness = p[READ_MAX_STALENESS_MS].value;
    bool both = p[READ_CONSISTENCY].present && p[READ_MODE].present;
    if (both || (p[READ_MAX_STALENESS].present && p[READ_MAX_STALENESS_MS].present)) {
        errbuf_set(err,
                   both ? "read and consistency are the same: give one" : "max_staleness is given twice, once in ms");
        return STATUS_INVALID;
    }
    if (p[READ_MAX_STALENESS].present) {
        uint64_t ms;
        char *text = arena_alloc(a, 24);
        if (!text_to_duration_ms(p[READ_MAX_STALENESS].value, UINT32_MAX, &ms)) {
            errbuf_set(err, "max_staleness: expected a duration as 500ms, 30s or 10m");
            return STATUS_INVALID;
        }
        (void)snprintf(text, 24, "%llu", (unsigned long long)ms);
        staleness = slice_str(text);
    }
    struct read_words words = {.mode = mode->value,
                               .has_mode = mode->present,
                               .at = p[READ_AT].value,
                               .has_at = p[READ_AT].present,
                               .max_staleness_ms = staleness,
                               .has_max_staleness_ms =
                                   p[READ_MAX_STALENESS].present || p[READ_MAX_STALENESS_MS].present,
                               .replica = p[READ_REPLICA].value,
                               .has_replica = p[READ_REPLICA].present};
    return read_how_parse(&words, out, err);
}

static enum status kv_write_query(const struct input *in, struct arena *a, struct kv_action *out, struct errbuf *err)
{
    struct query_param params[WRITE_PARAMS] = {[WRITE_TIMEOUT] = {.name = "timeout_ms"}, [WRITE_TTL] = {.name = "ttl"}};
    enum status s = query_parse(in->query, params, in->method == HTTP_PUT ? WRITE_PARAMS : WRITE_TTL, a, err);
    if (s == STATUS_OK) s = take_timeout(&params[WRITE_TIMEOUT], &out->timeout_ms, err);
    if (s != STATUS_OK || !params[WRITE_TTL].present) return s;
    out->has_ttl = true;
    if (text_to_duration_ms(params[WRITE_TTL].value, LIMIT_TTL_MS, &out->ttl_ms)) return STATUS_OK;
    errbuf_set(err, "ttl: expected a duration as 500ms, 30s, 24h, 7d or none");
    return STATUS_INVALID;
}

static enum status kv_read_query(const struct input *in, struct arena *a, struct kv_action *out, struct errbuf *err)
{
    struct query_param params[QUERY_PARAMS] = {[QUERY_TIMEOUT] = {.name = "timeout_ms"}};
    read_params(&params[QUERY_READ]);
    enum status s = query_parse(in->query, params, QUERY_PARAMS, a, err);
    if (s == STATUS_OK) s = take_timeout(&params[QUERY_TIMEOUT], &out->timeout_ms, err);
    if (s == STATUS_OK) s = take_read(&params[QUERY_READ], a, &out->how, err);
    return s;
}

enum status parse_kv(const struct input *in, const struct route *r, struct arena *a, struct kv_action *out,
                     struct errbuf *err)
{
    bool reads = in->method == HTTP_GET || in->method == HTTP_HEAD;
    *out = (struct kv_action){.method = in->method, .value = in->body};
    enum status s = take_keyspace(r->keyspace, a, &out->keyspace, err);
    if (s == STATUS_OK) s = uri_decode(r->key, false, a, &out->key, err);
    if (s == STATUS_OK) s = check_key(out->key, err);
    if (s == STATUS_OK) s = reads ? kv_read_query(in, a, out, err) : kv_write_query(in, a, out, err);
    if (s == STATUS_OK) s = kv_conditions(in, out, err);
    if (s == STATUS_OK && in->method == HTTP_PUT && in->body.size > LIMIT_VALUE_BYTES) {
        errbuf_set(err, "the value has %zu bytes; the limit is %u", in->body.size, LIMIT_VALUE_BYTES);
        return STATUS_TOO_LARGE;
    }
    return s;
}

static struct txn_compare condition(const struct kv_action *action, const struct precondition *p, bool negate)
{
    struct txn_compare c = {.key = action->key, .relation = TXN_EQUAL, .value = SLICE_EMPTY};
    if (p->any) { /* If-Match: * asks that the key is there, If-None-Match: * that it is not */
        c.target = TXN_TARGET_EXISTS;
        c.version = negate ? 0 : 1;
    } else {
        c.target = TXN_TARGET_VERSION;
        c.relation = negate ? TXN_NOT_EQUAL : TXN_EQUAL;
        c.version = p->version;
    }
    return c;
}

void kv_action_txn(const struct kv_action *action, struct arena *a, struct txn *out)
{
    ASSERT(action->method == HTTP_PUT || action->method == HTTP_DELETE);
    *out = (struct txn){.id = action->id, .op_count = 1};
    out->ops = arena_zalloc(a, sizeof(*out->ops));
    out->ops[0].kind = action->method == HTTP_PUT ? TXN_PUT : TXN_DELETE;
    out->ops[0].key = action->key;
    out->ops[0].value = action->method == HTTP_PUT ? action->value : SLICE_EMPTY;
    out->ops[0].has_ttl = action->has_ttl;
    out->ops[0].ttl_ms = action->ttl_ms;
    const struct precondition *p = action->if_match.present ? &action->if_match : &action->if_none_match;
    if (!p->present) return;
    out->compares = arena_zalloc(a, sizeof(*out->compares));
    out->compares[0] = condition(action, p, p == &action->if_none_match);
    out->compare_count = 1;
}

enum status take_flag(const struct query_param *p, bool *out, struct errbuf *err)
{
    *out = false;
    if (!p->present) return STATUS_OK;
    if (p->value.size == 0 || slice_eq(p->value, slice_str("true")) || slice_eq(p->value, slice_str("1"))) {
        *out = true;
        return STATUS_OK;
    }
    if (slice_eq(p->value, slice_str("false")) || slice_eq(p->value, slice_str("0"))) return STATUS_OK;
    errbuf_set(err, "%s: expected true or false", p->name);
    return STATUS_INVALID;
}

enum {
    SCAN_START,
    SCAN_END,
    SCAN_PREFIX,
    SCAN_NEXT,
    SCAN_LIMIT,
    SCAN_REVERSE,
    SCAN_KEYS_ONLY,
    SCAN_ALL,
    SCAN_ENCODING,
    SCAN_TIMEOUT,
    SCAN_READ,
    SCAN_PARAMS = SCAN_READ + READ_PARAMS
};

void scan_bounds_set(struct scan_action *action, struct slice start, struct slice end, struct slice prefix,
                     struct arena *a)
{
    struct slice above = prefix.size > 0 ? key_prefix_end(prefix, a) : SLICE_EMPTY;
    if (slice_cmp(start, prefix) < 0) start = prefix;
    if (above.size > 0 && (end.size == 0 || slice_cmp(end, above) > 0)) end = above;
    action->start = start;
    action->end = end;
    action->empty = end.size > 0 && slice_cmp(start, end) >= 0;
}

static struct slice value_or_empty(const struct query_param *p)
{
    return p->present ? p->value : SLICE_EMPTY;
}

static enum status scan_bounds(const struct query_param *p, struct arena *a, struct scan_action *out,
                               struct errbuf *err)
{
    scan_bounds_set(out, value_or_empty(&p[SCAN_START]), value_or_empty(&p[SCAN_END]), value_or_empty(&p[SCAN_PREFIX]),
                    a);
    if (p[SCAN_NEXT].present) {
        struct slice next;
        if (!base64_decode(p[SCAN_NEXT].value, a, &next)) {
            errbuf_set(err, "next: not a value that an earlier page gave");
            return STATUS_INVALID;
        }
        if (out->reverse) {
            if (out->end.size == 0 || slice_cmp(next, out->end) < 0) out->end = next;
            if (next.size == 0) out->empty = true;
        } else if (slice_cmp(next, out->start) > 0) {
            out->start = next;
        }
    }
    if (out->start.size > LIMIT_KEY_BYTES + 1 || out->end.size > LIMIT_KEY_BYTES + 1) {
        errbuf_set(err, "a bound is longer than a key can be (%u bytes)", LIMIT_KEY_BYTES);
        return STATUS_TOO_LARGE;
    }
    if (out->end.size > 0 && slice_cmp(out->start, out->end) >= 0) out->empty = true;
    return STATUS_OK;
}

static enum status scan_options(const struct query_param *p, const struct input *in, struct arena *a,
                                struct scan_action *out, struct errbuf *err)
{
    uint64_t limit = SCAN_LIMIT_DEFAULT;
    if (p[SCAN_LIMIT].present && (!text_to_u64(p[SCAN_LIMIT].value, LIMIT_SCAN_ROWS, &limit) || limit == 0)) {
        errbuf_set(err, "limit: expected an integer from 1 to %u", LIMIT_SCAN_ROWS);
        return STATUS_INVALID;
    }
    out->limit = (uint32_t)limit;
    if (p[SCAN_ENCODING].present) {
        if (!slice_eq(p[SCAN_ENCODING].value, slice_str("base64"))) {
            errbuf_set(err, "encoding: expected base64, or leave it out");
            return STATUS_INVALID;
        }
        out->force_base64 = true;
    }
    out->lines = in->accept != NULL && strstr(in->accept, "application/x-ndjson") != NULL;
    enum status s = take_flag(&p[SCAN_REVERSE], &out->reverse, err);
    if (s == STATUS_OK) s = take_flag(&p[SCAN_KEYS_ONLY], &out->keys_only, err);
    if (s == STATUS_OK) s = take_flag(&p[SCAN_ALL], &out->all, err);
    if (s == STATUS_OK && out->all && (!out->lines || p[SCAN_LIMIT].present)) {
        errbuf_set(err, "all: goes with Accept: application/x-ndjson, and without a limit");
        return STATUS_INVALID;
    }
    if (s == STATUS_OK) s = take_timeout(&p[SCAN_TIMEOUT], &out->timeout_ms, err);
    if (s == STATUS_OK) s = take_read(&p[SCAN_READ], a, &out->how, err);
    if (s == STATUS_OK && out->all) out->limit = LIMIT_SCAN_ROWS;
    if (s == STATUS_OK && out->all && out->how.mode == READ_STRONG)
        out->how.mode = READ_SNAPSHOT; /* of now, for the first page as for the last */
    return s;
}

enum status parse_scan(const struct input *in, const struct route *r, struct arena *a, struct scan_action *out,
                       struct errbuf *err)
{
    struct query_param params[SCAN_PARAMS] = {
        [SCAN_START] = {.name = "start"},
        [SCAN_END] = {.name = "end"},
        [SCAN_PREFIX] = {.name = "prefix"},
        [SCAN_NEXT] = {.name = "next"},
        [SCAN_LIMIT] = {.name = "limit"},
        [SCAN_REVERSE] = {.name = "reverse"},
        [SCAN_KEYS_ONLY] = {.name = "keys_only"},
        [SCAN_ENCODING] = {.name = "encoding"},
        [SCAN_ALL] = {.name = "all"},
        [SCAN_TIMEOUT] = {.name = "timeout_ms"},
    };
    read_params(&params[SCAN_READ]);
    *out = (struct scan_action){.limit = SCAN_LIMIT_DEFAULT};
    enum status s = take_keyspace(r->keyspace, a, &out->keyspace, err);
    if (s == STATUS_OK) s = query_parse(in->query, params, SCAN_PARAMS, a, err);
    if (s == STATUS_OK) s = scan_options(params, in, a, out, err);
    if (s == STATUS_OK) s = scan_bounds(params, a, out, err);
    return s;
}

enum status parse_list(const struct input *in, bool with_keyspace, struct arena *a, struct list_action *out,
                       struct errbuf *err)
{
    struct query_param params[] = {{.name = "timeout_ms"}, {.name = "keyspace"}};
    *out = (struct list_action){.keyspace = SLICE_EMPTY};
    enum status s = query_parse(in->query, params, with_keyspace ? 2 : 1, a, err);
    if (s == STATUS_OK) s = take_timeout(&params[0], &out->timeout_ms, err);
    if (s != STATUS_OK || !params[1].present) return s;
    out->keyspace = params[1].value;
    return check_keyspace_name(out->keyspace, err);
}
