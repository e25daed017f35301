/* The requests about keyspaces. */
#include "gateway/codec.h"
#include "gateway/parse.h"
#include "gateway/uri.h"

enum status json_want_ttl(const struct json_at *at, uint64_t *out, struct errbuf *err)
{
    uint64_t seconds;
    struct slice text;
    if (json_is_integer(at->value)) {
        enum status s = json_want_u64(at, LIMIT_TTL_MS / 1000, &seconds, err);
        *out = s == STATUS_OK ? seconds * 1000 : 0;
        return s;
    }
    enum status s = json_want_text(at, &text, err);
    if (s != STATUS_OK || text_to_duration_ms(text, LIMIT_TTL_MS, out)) return s;
    return json_refuse(at, STATUS_INVALID, err,
                       "expected a duration as \"500ms\", \"30s\", \"24h\", \"7d\" or \"none\"");
}

/* replication and ttl: in the bodies of create and alter. */
static enum status take_common(const struct json_at *root, struct keyspace_action *out, struct errbuf *err)
{
    struct json_at replication = json_field(root, "replication"), ttl = json_field(root, "ttl");
    uint64_t copies = 0;
    enum status s = STATUS_OK;
    if (replication.value != NULL) s = json_want_u64(&replication, LIMIT_VOTERS, &copies, err);
    if (s == STATUS_OK && replication.value != NULL && copies == 0)
        s = json_refuse(&replication, STATUS_INVALID, err, "expected 1 to %u", LIMIT_VOTERS);
    out->replication = (uint32_t)copies;
    out->has_ttl = ttl.value != NULL;
    if (s == STATUS_OK && out->has_ttl) s = json_want_ttl(&ttl, &out->ttl_ms, err);
    return s;
}

static enum status take_splits(const struct json_at *root, struct arena *a, struct keyspace_action *out,
                               struct errbuf *err)
{
    struct json_at splits = json_field(root, "splits");
    bool coded = splits.value == NULL;
    enum status s;
    if (coded) splits = json_field(root, "splits_b64");
    if (splits.value == NULL) return STATUS_OK;
    if ((s = json_want_array(&splits, err)) != STATUS_OK) return s;
    size_t n = json_array_size(splits.value);
    if (n >= LIMIT_SPLIT_KEYS)
        return json_refuse(&splits, STATUS_TOO_LARGE, err, "at most %u split keys", LIMIT_SPLIT_KEYS - 1);
    out->splits = arena_zalloc(a, (n + 1) * sizeof(*out->splits));
    for (size_t i = 0; i < n; i++) {
        struct json_at element = json_element(&splits, i);
        if ((s = json_want_text(&element, &out->splits[i], err)) != STATUS_OK) return s;
        if (coded && !base64_decode(out->splits[i], a, &out->splits[i]))
            return json_refuse(&element, STATUS_INVALID, err, "not base64");
        if ((s = check_key(out->splits[i], err)) != STATUS_OK) return s;
        if (i > 0 && slice_cmp(out->splits[i - 1], out->splits[i]) >= 0) {
            return json_refuse(&element, STATUS_INVALID, err, "split keys must ascend and differ");
        }
    }
    out->split_count = n;
    return STATUS_OK;
}

static enum status take_buckets(const struct json_at *root, struct keyspace_action *out, struct errbuf *err)
{
    struct json_at buckets = json_field(root, "hash_buckets");
    uint64_t n = 0;
    if (buckets.value == NULL) return STATUS_OK;
    enum status s = json_want_u64(&buckets, LIMIT_HASH_BUCKETS, &n, err);
    if (s == STATUS_OK && n < 2) s = json_refuse(&buckets, STATUS_INVALID, err, "expected 2 to %u", LIMIT_HASH_BUCKETS);
    if (s == STATUS_OK && out->split_count > 0) {
        s = json_refuse(&buckets, STATUS_INVALID, err, "a keyspace by hash is split at its buckets: leave splits out");
    }
    out->buckets = (uint32_t)n;
    return s;
}

enum status parse_keyspace_create(const struct input *in, struct arena *a, struct keyspace_action *out,
                                  struct errbuf *err)
{
    static const char *const names[] = {"name", "splits", "splits_b64", "replication", "hash_buckets", "ttl"};
    struct query_param params[] = {{.name = "timeout_ms"}};
    *out = (struct keyspace_action){.name = SLICE_EMPTY};
    enum status s = query_parse(in->query, params, 1, a, err);
    if (s == STATUS_OK) s = take_timeout(&params[0], &out->timeout_ms, err);
    if (s == STATUS_OK) s = json_load_body(in->body, &out->tree, err);
    if (s != STATUS_OK) return s;
    struct json_at root = {.value = out->tree, .path = {.name = ""}};
    if ((s = json_want_object(&root, names, 6, err)) != STATUS_OK) return s;
    struct json_at name = json_field(&root, "name");
    s = json_want_text(&name, &out->name, err);
    if (s == STATUS_OK) s = check_keyspace_name(out->name, err);
    if (s == STATUS_OK) s = take_common(&root, out, err);
    if (s == STATUS_OK) s = take_splits(&root, a, out, err);
    if (s == STATUS_OK) s = take_buckets(&root, out, err);
    return s;
}

static enum status parse_alter(const struct input *in, struct keyspace_action *out, struct errbuf *err)
{
    static const char *const names[] = {"replication", "ttl", "dropped"};
    enum status s = json_load_body(in->body, &out->tree, err);
    if (s != STATUS_OK) return s;
    struct json_at root = {.value = out->tree, .path = {.name = ""}};
    if ((s = json_want_object(&root, names, 3, err)) != STATUS_OK) return s;
    struct json_at dropped = json_field(&root, "dropped");
    bool is_dropped = false;
    if (dropped.value != NULL && (s = json_want_bool(&dropped, &is_dropped, err)) != STATUS_OK) return s;
    if (is_dropped) return json_refuse(&dropped, STATUS_INVALID, err, "only false, which restores it; DELETE drops it");
    out->restore = dropped.value != NULL;
    if ((s = take_common(&root, out, err)) != STATUS_OK) return s;
    if (out->replication > 0 || out->has_ttl || out->restore) return STATUS_OK;
    return json_refuse(&root, STATUS_INVALID, err,
                       "expected replication, ttl or dropped: what else there is stays for ever");
}

enum status parse_keyspace(const struct input *in, const struct route *r, struct arena *a, struct keyspace_action *out,
                           struct errbuf *err)
{
    struct query_param params[] = {{.name = "timeout_ms"}, {.name = "grace"}};
    *out = (struct keyspace_action){.grace_ms = DROP_GRACE_DEFAULT_MS};
    enum status s = query_parse(in->query, params, in->method == HTTP_DELETE ? 2 : 1, a, err);
    if (s == STATUS_OK) s = take_timeout(&params[0], &out->timeout_ms, err);
    if (s == STATUS_OK) s = take_keyspace(r->keyspace, a, &out->name, err);
    if (s != STATUS_OK) return s;
    if (params[1].present && !text_to_duration_ms(params[1].value, LIMIT_DROP_GRACE_MS, &out->grace_ms)) {
        errbuf_set(err, "grace: expected a duration of at most 90d, as 24h, 10m or none");
        return STATUS_INVALID;
    }
    return in->method == HTTP_PUT ? parse_alter(in, out, err) : STATUS_OK;
}
