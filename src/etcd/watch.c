/* Watch streams. The body has come whole, so its requests are taken one after the other, then the stream lasts:
 *
 *   watch:  OPEN --batch--> [prev_kv: READING what was there before] --sent, and the client has read enough--> OPEN
 *             '--cancel, too old--> told "canceled", gone
 *
 * The stream ends when the HTTP client leaves. Reads that are under way then hold on to it until they are answered. */
#include "base/assert.h"
#include "base/mem.h"
#include "etcd/kv.h"
#include "gateway/json_out.h"

#define PROGRESS_NS (600000 * NS_PER_MS)
#define READS_MAX 64u
#define FRAGMENT_BYTES (1u << 20)
#define POLL_MS 10000u
#define WATCHES_MAX 1000u /* of one stream: each asks its ranges by itself */

struct event {
    struct ekv kv, before;
    bool is_delete, had;
};

struct ewatch {
    struct list link;
    struct wstream *stream;
    struct client_watch *watch;
    int64_t id;
    struct slice key, range_end; /* in the call's arena */
    uint64_t start;              /* revision that was asked for */
    bool prev_kv, progress_notify, fragment, no_put, no_delete;
    bool waits; /* for room in the stream */
    uint64_t told_ns;
    /* a batch under way */
    struct arena arena;
    struct event *events;
    size_t count, next_read, reading;
    struct etcd_error failed; /* what was there before an event could not be read */
    uint64_t upto;
};

struct wstream {
    struct ecall *call;
    struct list watches;
    size_t count;   /* of watches */
    size_t reading; /* of all watches */
    int64_t next_id;
    bool gone;
    uint64_t
        now; /* when its requests were taken: what begins "now" tells all that is put after it was told "created" */
    uint64_t progress_at; /* somebody asked for progress: when all watches are there; 0: nobody did */
};

static void watch_next(struct ewatch *w);

static void watch_free(struct ewatch *w)
{
    list_remove(&w->link);
    w->stream->count--;
    client_watch_free(w->watch);
    arena_free(&w->arena);
    mem_free(w);
}

/* --- messages --- */

static struct buf message_begin(struct wstream *s, uint64_t revision)
{
    struct buf b;
    buf_init(&b, SIZE_MAX / 2); /* bounded by the batch */
    buf_append_str(&b, "{\"result\":{");
    emit_header(s->call->etcd, &b, revision);
    return b;
}

static void message_send(struct wstream *s, struct buf *b)
{
    buf_append_str(b, "}}\n");
    ecall_send(s->call, buf_slice(b));
    buf_free(b);
}

static void emit_id(struct buf *b, int64_t id)
{
    emit_i64(b, "watch_id", id);
}

static void send_canceled(struct wstream *s, int64_t id, bool created, uint64_t compacted, const char *reason)
{
    struct buf b = message_begin(s, s->call->etcd->newest);
    emit_id(&b, id);
    emit_true(&b, "created", created);
    emit_true(&b, "canceled", true);
    emit_u64(&b, "compact_revision", compacted);
    if (reason != NULL) {
        json_key(&b, "cancel_reason");
        json_str(&b, reason);
    }
    message_send(s, &b);
}

static void emit_event(struct buf *b, const struct ewatch *w, const struct event *e)
{
    json_open(b, '{');
    if (e->is_delete) {
        json_key(b, "type");
        json_str(b, "DELETE");
    }
    json_key(b, "kv");
    if (e->is_delete)
        emit_ekv(b, &(struct ekv){.key = e->kv.key, .mod = e->kv.mod, .value = SLICE_EMPTY}, false);
    else
        emit_ekv(b, &e->kv, false);
    if (w->prev_kv && e->had) {
        json_key(b, "prev_kv");
        emit_ekv(b, &e->before, false);
    }
    json_close(b, '}');
}

static void send_events(struct ewatch *w)
{
    for (size_t i = 0; i < w->count;) {
        struct buf b = message_begin(w->stream, w->upto);
        size_t from = b.size;
        emit_id(&b, w->id);
        json_key(&b, "events");
        json_open(&b, '[');
        while (i < w->count && (!w->fragment || b.size - from < FRAGMENT_BYTES)) emit_event(&b, w, &w->events[i++]);
        json_close(&b, ']');
        emit_true(&b, "fragment", i < w->count);
        message_send(w->stream, &b);
    }
}

/* --- progress --- */

static void answer_progress(struct wstream *s)
{
    uint64_t least = UINT64_MAX;
    if (s->progress_at == 0) return;
    LIST_FOR(it, &s->watches)
    {
        const struct ewatch *w = LIST_ENTRY(it, struct ewatch, link);
        uint64_t at = client_watch_position(w->watch);
        if (w->count > 0) return; /* its events are not sent yet */
        if (at < least) least = at;
    }
    if (least < s->progress_at) return;
    struct buf b = message_begin(s, least == UINT64_MAX ? s->progress_at : least);
    emit_id(&b, -1);
    message_send(s, &b);
    s->progress_at = 0;
}

/* --- a batch --- */

static void stream_room(void *ctx)
{
    struct wstream *s = ctx;
    LIST_FOR(it, &s->watches)
    {
        struct ewatch *w = LIST_ENTRY(it, struct ewatch, link);
        if (!w->waits) continue;
        w->waits = false;
        watch_next(w);
    }
}

/* It sends nothing more, and says why. */
static void cancel(struct ewatch *w, uint64_t compacted, const char *why)
{
    struct wstream *s = w->stream;
    send_canceled(s, w->id, false, compacted, why);
    watch_free(w);
    answer_progress(s);
}

static bool still_may(const struct ewatch *w)
{
    return ecall_holds(w->stream->call, AUTH_READ, w->key, w->range_end);
}

static void batch_done(struct ewatch *w)
{
    struct wstream *s = w->stream;
    struct etcd *e = s->call->etcd;
    uint64_t now_ns = env_mono_ns(e->env);
    if (w->failed.code != GRPC_OK || !still_may(w)) {
        cancel(w, 0, w->failed.code != GRPC_OK ? w->failed.text : ERR_FORBIDDEN.text);
        return;
    }
    if (w->count > 0) {
        send_events(w);
        w->told_ns = now_ns;
    } else if (w->progress_notify && now_ns - w->told_ns >= PROGRESS_NS) {
        struct buf b = message_begin(s, w->upto);
        emit_id(&b, w->id);
        message_send(s, &b);
        w->told_ns = now_ns;
    }
    w->count = 0;
    answer_progress(s);
    w->waits = !stream_has_room(&s->call->stream, stream_room, s);
    if (!w->waits) watch_next(w);
}

struct read_before {
    struct wstream *stream;
    struct ewatch *watch;
    struct event *event;
};
static void read_before(struct ewatch *w);

static void stream_unhold(struct wstream *s)
{
    if (s->gone && s->reading == 0) ecall_end(s->call);
}

static void was_before(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct read_before *r = ctx;
    struct wstream *s = r->stream;
    s->reading--;
    if (s->gone) {
        mem_free(r);
        stream_unhold(s);
        return;
    }
    struct ewatch *w = r->watch;
    w->reading--;
    if (e->status != STATUS_OK && e->status != STATUS_TOO_OLD) { /* not known is not the same as absent */
        w->failed = etcd_error_of(s->call->etcd, e);
    } else if (e->status == STATUS_OK && reply->found) {
        struct slice value = arena_dup_slice(&w->arena, reply->value);
        r->event->had = true;
        r->event->before =
            ekv_of(slice_make(r->event->kv.key.data - 1, r->event->kv.key.size + 1), value, reply->version);
    }
    mem_free(r);
    if (w->watch != NULL) read_before(w);
}

/* Each event's key as of the revision before; the batch goes out when all are there. */
static void read_before(struct ewatch *w)
{
    struct etcd *e = w->stream->call->etcd;
    while (w->next_read < w->count && w->reading < READS_MAX) {
        struct read_before *r = mem_alloc(sizeof(*r));
        struct event *event = &w->events[w->next_read++];
        struct read_how how = {.mode = READ_SNAPSHOT, .ts = event->kv.mod - 1};
        *r = (struct read_before){.stream = w->stream, .watch = w, .event = event};
        w->reading++;
        w->stream->reading++;
        client_get_how(e->client, etcd_keyspace, slice_make(event->kv.key.data - 1, event->kv.key.size + 1), &how,
                       ETCD_CALL_MS, was_before, r);
    }
    if (w->reading == 0) batch_done(w);
}

static void take_batch(struct ewatch *w, const struct client_watch_batch *batch)
{
    arena_reset(&w->arena);
    w->events = arena_zalloc(&w->arena, (batch->change_count + 1) * sizeof(*w->events));
    w->count = w->next_read = 0;
    w->upto = batch->upto;
    for (size_t i = 0; i < batch->change_count; i++) {
        const struct feed_change *c = &batch->changes[i];
        if ((c->is_delete && w->no_delete) || (!c->is_delete && w->no_put) || c->ts < w->start) continue;
        struct event *e = &w->events[w->count++];
        e->is_delete = c->is_delete;
        e->kv = ekv_of(arena_dup_slice(&w->arena, c->key), arena_dup_slice(&w->arena, c->value), c->ts);
    }
}

static void on_batch(void *ctx, const struct client_error *e, const struct client_watch_batch *batch, uint64_t resume)
{
    struct ewatch *w = ctx;
    if (!still_may(w)) { /* the right, or the token, has ended since */
        cancel(w, 0, ERR_FORBIDDEN.text);
        return;
    }
    if (e->status != STATUS_OK) {
        struct etcd_error why = etcd_error_of(w->stream->call->etcd, e);
        cancel(w, e->status == STATUS_TOO_OLD ? resume + 1 : 0, why.text);
        return;
    }
    take_batch(w, batch);
    if (w->prev_kv)
        read_before(w);
    else
        batch_done(w);
}

static void watch_next(struct ewatch *w)
{
    client_watch_next(w->watch, on_batch, w);
}

/* --- requests --- */

static struct ewatch *find(struct wstream *s, int64_t id)
{
    LIST_FOR(it, &s->watches)
    {
        struct ewatch *w = LIST_ENTRY(it, struct ewatch, link);
        if (w->id == id) return w;
    }
    return NULL;
}

static bool take_filters(const struct json_node *q, struct ewatch *w)
{
    static const char *const names[] = {"NOPUT", "NODELETE"};
    const struct json_node *filters = field(q, "filters");
    unsigned which;
    for (const struct json_node *f = filters != NULL ? filters->first : NULL; f != NULL; f = f->next) {
        if (!enum_of(f, names, 2, &which)) continue; /* one that is not known */
        if (which == 0)
            w->no_put = true;
        else
            w->no_delete = true;
    }
    return true;
}

struct create_asked {
    struct slice key, range_end;
    int64_t start, id;
    uint64_t compacted;
};

static void create(struct wstream *s, const struct create_asked *q, struct ewatch *w)
{
    struct etcd *e = s->call->etcd;
    struct arena *a = &s->call->arena;
    struct slice key = q->key.size > 0 ? q->key : slice_make("", 1);
    struct span span = span_of(a, key, q->range_end);
    if (span.single) {
        uint8_t *end = arena_zalloc(a, span.start.size + 1);
        memcpy(end, span.start.data, span.start.size);
        span.end = slice_make(end, span.start.size + 1);
    }
    const char *wrong = s->count >= WATCHES_MAX                ? "etcdserver: too many watches on one stream"
                        : span.empty                           ? "mvcc: watcher range is empty"
                        : q->id != 0 && find(s, q->id) != NULL ? "mvcc: duplicate watch ID provided on the WatchStream"
                        : !ecall_holds(s->call, AUTH_READ, key, q->range_end)
                            ? "rpc error: code = PermissionDenied desc = etcdserver: permission denied"
                            : NULL;
    if (wrong != NULL) {
        send_canceled(s, -1, true, 0, wrong);
        mem_free(w);
        return;
    }
    w->stream = s;
    w->id = q->id;
    while (w->id == 0 && find(s, s->next_id) != NULL) s->next_id++;
    if (q->id == 0) w->id = s->next_id++;
    w->start = (uint64_t)q->start;
    w->key = arena_dup_slice(a, key);
    w->range_end = arena_dup_slice(a, q->range_end);
    w->told_ns = env_mono_ns(e->env);
    arena_init(&w->arena, 1024);
    struct buf b = message_begin(s, e->newest);
    emit_id(&b, w->id);
    emit_true(&b, "created", true);
    message_send(s, &b);
    if (q->start > 0 && (uint64_t)q->start < q->compacted) {
        send_canceled(s, w->id, false, q->compacted, ERR_COMPACTED.text);
        arena_free(&w->arena);
        mem_free(w);
        return;
    }
    struct client_watch_options o = {.keyspace = etcd_keyspace,
                                     .start = span.start,
                                     .end = span.end,
                                     .after = q->start <= 0  ? s->now
                                              : q->start > 1 ? (uint64_t)q->start - 1
                                                             : 1,
                                     .progress_ms = POLL_MS};
    list_push_back(&s->watches, &w->link);
    s->count++;
    w->watch = client_watch_new(e->client, &o);
    watch_next(w);
}

static bool take_create(struct wstream *s, const struct json_node *q, uint64_t compacted)
{
    struct ecall *c = s->call;
    struct create_asked asked = {.compacted = compacted};
    struct ewatch *w = mem_zalloc(sizeof(*w));
    bool good = take_bytes(c, q, "key", &asked.key) && take_bytes(c, q, "range_end", &asked.range_end) &&
                take_i64(c, q, "start_revision", &asked.start) && take_i64(c, q, "watch_id", &asked.id) &&
                take_bool(c, q, "prev_kv", &w->prev_kv) && take_bool(c, q, "progress_notify", &w->progress_notify) &&
                take_bool(c, q, "fragment", &w->fragment) && take_filters(q, w);
    if (!good) {
        mem_free(w);
        return false;
    }
    create(s, &asked, w);
    return true;
}

/* False: the call has ended. */
static bool take_request(struct wstream *s, const struct json_node *q, uint64_t compacted)
{
    const struct json_node *create_request = field(q, "create_request"), *cancel = field(q, "cancel_request");
    int64_t id;
    if (create_request != NULL && create_request->kind == JSON_IS_OBJECT)
        return take_create(s, create_request, compacted);
    if (cancel != NULL && cancel->kind == JSON_IS_OBJECT) {
        if (!take_i64(s->call, cancel, "watch_id", &id)) return false;
        struct ewatch *w = find(s, id);
        if (w == NULL || w->reading > 0) return true;
        watch_free(w);
        send_canceled(s, id, false, 0, NULL);
    } else if (field(q, "progress_request") != NULL) {
        s->progress_at = s->call->etcd->newest > 0 ? s->call->etcd->newest : 1;
        answer_progress(s);
    }
    return true;
}

static void stream_left(struct ecall *c)
{
    struct wstream *s = c->state;
    s->gone = true;
    LIST_FOR(it, &s->watches) watch_free(LIST_ENTRY(it, struct ewatch, link));
    stream_unhold(s);
}

static void rights_changed(struct ecall *c)
{
    struct wstream *s = c->state;
    LIST_FOR(it, &s->watches)
    {
        struct ewatch *w = LIST_ENTRY(it, struct ewatch, link);
        if (w->reading == 0 && !still_may(w)) cancel(w, 0, ERR_FORBIDDEN.text);
    }
}

static void take_requests(struct ecall *c, uint64_t compacted)
{
    struct wstream *s = c->state;
    struct json_node *q;
    struct errbuf err;
    c->recheck = rights_changed;
    ecall_stream(c, stream_left);
    do {
        if (ecall_read(c, &q, &err) != STATUS_OK) {
            ecall_stream_error(c, GRPC_INVALID_ARGUMENT, "the body is not a row of JSON objects");
            return;
        }
    } while (q != NULL && take_request(s, q, compacted));
}

/* What has been compacted is asked for first; and what is now, over all ranges: a snapshot read's timestamp. */
static void compaction_known(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct ecall *c = ctx;
    if (c->http == NULL) {
        ecall_end(c);
    } else if (e->status != STATUS_OK) {
        ecall_fail(c, e);
    } else {
        ((struct wstream *)c->state)->now = reply->mark.ts;
        etcd_saw(c->etcd, reply->mark.ts);
        take_requests(c, reply->found ? revised_read(reply->value, 0).count : 0);
    }
}

void serve_watch(struct ecall *c, const struct json_node *body)
{
    struct wstream *s = arena_zalloc(&c->arena, sizeof(*s));
    (void)body;
    c->state = s;
    s->call = c;
    list_init(&s->watches);
    struct read_how how = {.mode = READ_SNAPSHOT};
    client_get_how(c->etcd->client, etcd_keyspace, key_compacted(&c->arena), &how, c->timeout_ms, compaction_known, c);
}
