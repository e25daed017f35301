/* Members, status, alarms, hashes and snapshot: what is known of the cluster, in etcd's words. */
#include <stdio.h>

#include "base/hash.h"
#include "etcd/kv.h"
#include "gateway/json_out.h"

static void answer_header_only(struct ecall *c)
{
    struct buf b = answer_begin(c, c->etcd->newest);
    answer_end(c, &b);
}

/* --- members: the gateways serve, and know of themselves only --- */

void serve_member_list(struct ecall *c, const struct json_node *body)
{
    const struct etcd *e = c->etcd;
    char url[LIMIT_ADDRESS_BYTES + 8];
    struct buf b = answer_begin(c, e->newest);
    (void)body;
    (void)snprintf(url, sizeof(url), "http://%s", e->address);
    json_key(&b, "members");
    json_open(&b, '[');
    json_open(&b, '{');
    emit_u64(&b, "ID", e->member_id);
    json_key(&b, "name");
    json_str(&b, "quorate");
    json_key(&b, "peerURLs");
    json_open(&b, '[');
    json_str(&b, url);
    json_close(&b, ']');
    json_key(&b, "clientURLs");
    json_open(&b, '[');
    json_str(&b, url);
    json_close(&b, ']');
    json_close(&b, '}');
    json_close(&b, ']');
    answer_end(c, &b);
}

void serve_member_change(struct ecall *c, const struct json_node *body)
{
    (void)body;
    ecall_refuse(c, &ERR_NOT_CHANGED_HERE);
}

/* --- status --- */

static void emit_status(struct ecall *c, uint64_t revision)
{
    const struct meta_status_reply *status = c->state;
    struct buf b = answer_begin(c, revision);
    json_key(&b, "version");
    json_str(&b, SERVER_VERSION);
    emit_u64(&b, "dbSize", 1);
    emit_u64(&b, "leader", c->etcd->member_id);
    emit_u64(&b, "raftIndex", status->applied);
    emit_u64(&b, "raftTerm", status->term);
    emit_u64(&b, "raftAppliedIndex", status->applied);
    emit_u64(&b, "dbSizeInUse", 1);
    answer_end(c, &b);
}

static void now_known(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct ecall *c = ctx;
    emit_status(c, e->status == STATUS_OK ? reply->mark.ts : c->etcd->newest);
}

/* A snapshot read tells a timestamp that has been issued. */
static void status_known(void *ctx, const struct client_error *e, struct slice payload)
{
    struct ecall *c = ctx;
    struct meta_status_reply *status = arena_zalloc(&c->arena, sizeof(*status));
    struct read_how how = {.mode = READ_SNAPSHOT};
    c->state = status;
    if (e->status != STATUS_OK || unpack_meta_status_reply(payload, &c->arena, status) != STATUS_OK) {
        ecall_fail(c, e);
        return;
    }
    c->etcd->term = status->term;
    client_get_how(c->etcd->client, etcd_keyspace, key_compacted(&c->arena), &how, c->timeout_ms, now_known, c);
}

void serve_status(struct ecall *c, const struct json_node *body)
{
    (void)body;
    client_meta(c->etcd->client, METHOD_META_STATUS, SLICE_EMPTY, c->timeout_ms, status_known, c);
}

void serve_alarm(struct ecall *c, const struct json_node *body)
{
    (void)body;
    answer_header_only(c); /* a full disk refuses writes by itself (docs/operations.md): there is nothing to disarm */
}

void serve_defragment(struct ecall *c, const struct json_node *body)
{
    (void)body;
    answer_header_only(c); /* compaction never stops */
}

/* --- hash: of the rows that users see, at one revision: equal for equal contents --- */

struct hash_state {
    struct slice from;
    uint64_t revision;
    uint64_t hash;
    bool snapshot; /* a stream of all rows instead */
    bool asking;   /* for a page: what comes then ends the call if nobody reads any more */
};

static void hash_page(struct ecall *c);

static void hash_end(struct ecall *c)
{
    const struct hash_state *s = c->state;
    struct buf b = answer_begin(c, s->revision);
    json_key(&b, "hash");
    json_u64(&b, (s->hash & 0xffffffffu) | 1);
    answer_end(c, &b);
}

static void snapshot_send(struct ecall *c, const struct scan_reply *page)
{
    struct buf blob, b;
    buf_init(&blob, SIZE_MAX / 2);
    for (size_t i = 0; i < page->row_count; i++)
        snapshot_row_append(&blob, &(struct snapshot_row){.key = page->rows[i].key,
                                                          .ts = page->rows[i].version,
                                                          .value = page->rows[i].value});
    buf_init(&b, SIZE_MAX / 2);
    buf_append_str(&b, "{\"result\":{");
    emit_header(c->etcd, &b, ((struct hash_state *)c->state)->revision);
    emit_u64(&b, "remaining_bytes", page->more ? 1 : 0);
    emit_bytes(&b, "blob", buf_slice(&blob));
    buf_append_str(&b, "}}\n");
    ecall_send(c, buf_slice(&b));
    buf_free(&blob);
    buf_free(&b);
}

static bool may_still_read(const struct ecall *c)
{
    return ecall_holds(c, AUTH_READ, slice_make("", 1), slice_make("", 1));
}

static void snapshot_left(struct ecall *c)
{
    const struct hash_state *s = c->state;
    if (!s->asking) ecall_end(c);
}

static void snapshot_room(void *ctx)
{
    hash_page(ctx);
}

static void hash_scanned(void *ctx, const struct client_error *e, const struct scan_reply *page)
{
    struct ecall *c = ctx;
    struct hash_state *s = c->state;
    s->asking = false;
    if (s->snapshot && !c->streaming && c->http == NULL) {
        ecall_end(c);
        return;
    }
    if (e->status != STATUS_OK || !may_still_read(c)) {
        const struct etcd_error why = e->status != STATUS_OK ? etcd_error_of(c->etcd, e) : ERR_FORBIDDEN;
        ecall_refuse(c, &why);
        return;
    }
    s->revision = page->mark.ts;
    for (size_t i = 0; i < page->row_count; i++) {
        s->hash = s->hash * 1099511628211u ^ hash_bytes(page->rows[i].key, 1) ^ hash_bytes(page->rows[i].value, 2);
        s->hash ^= page->rows[i].version;
    }
    if (s->snapshot && !c->streaming) ecall_stream(c, snapshot_left);
    if (s->snapshot) snapshot_send(c, page);
    if (page->more) {
        struct slice last = page->rows[page->row_count - 1].key;
        uint8_t *next = arena_zalloc(&c->arena, last.size + 1);
        memcpy(next, last.data, last.size);
        s->from = slice_make(next, last.size + 1);
        if (!s->snapshot || stream_has_room(&c->stream, snapshot_room, c)) hash_page(c);
    } else if (s->snapshot) {
        stream_end(&c->stream);
        c->streaming = false;
        ecall_end(c);
    } else {
        hash_end(c);
    }
}

static void hash_page(struct ecall *c)
{
    struct hash_state *s = c->state;
    struct client_scan scan = {.start = s->from,
                               .end = key_row(&c->arena, ROW_OF_USER + 1, SLICE_EMPTY),
                               .how = {.mode = READ_SNAPSHOT, .ts = s->revision}};
    s->asking = true;
    client_scan(c->etcd->client, etcd_keyspace, &scan, c->timeout_ms, hash_scanned, c);
}

void serve_hash(struct ecall *c, const struct json_node *body)
{
    if (!ecall_may(c, AUTH_READ, slice_make("", 1), slice_make("", 1))) return;
    struct hash_state *s = arena_zalloc(&c->arena, sizeof(*s));
    int64_t revision;
    c->state = s;
    if (!take_i64(c, body, "revision", &revision)) return;
    s->revision = (uint64_t)revision;
    s->from = key_row(&c->arena, ROW_OF_USER, SLICE_EMPTY);
    hash_page(c);
}

void serve_snapshot(struct ecall *c, const struct json_node *body)
{
    if (!ecall_may(c, AUTH_READ, slice_make("", 1), slice_make("", 1))) return;
    struct hash_state *s = arena_zalloc(&c->arena, sizeof(*s));
    (void)body;
    c->state = s;
    s->snapshot = true;
    s->from = key_row(&c->arena, ROW_OF_USER, SLICE_EMPTY);
    hash_page(c);
}
