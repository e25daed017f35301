/*   STAMPING --at--> LISTING --spans--> READING --all have been read--> done */
#include "backup/inspect.h"

#include "backup/spans.h"
#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>

#define PARALLEL 4u
#define CALL_MS 30000u
#define TRIES_MAX 5u

struct look { /* at one span after the other */
    struct inspect *job;
    struct span *span;
    struct inspected *keyspace;
    struct buf next;
    unsigned tries;
    bool asking;
};
struct inspect {
    struct actor actor;
    struct env *env;
    struct client *client;
    uint64_t at;
    bool begun, planned;
    struct arena arena;
    struct meta_map_reply map;
    struct spans spans;
    struct inspected *keyspaces;
    size_t keyspace_count;
    struct look *looks;
    uint32_t parallel;
    uint64_t bytes, bytes_total;
    struct inspect_report report;
    char text[400];
    inspect_done done;
    void *ctx;
};

static void inspect_fail(struct inspect *p, const struct client_error *e)
{
    if (p->report.status != STATUS_OK) return;
    p->report.status = e->status;
    (void)snprintf(p->text, sizeof p->text, "%.*s", (int)(e->message.size < 380 ? e->message.size : 380),
                   (const char *)e->message.data);
    p->env->ops->wake(p->env);
}

static void on_map(void *ctx, const struct client_error *e, struct slice payload)
{
    struct inspect *p = ctx;
    struct client_error unread = {.status = STATUS_CORRUPT, .message = slice_str("the shard map cannot be read")};
    if (e->status != STATUS_OK) {
        inspect_fail(p, e);
        return;
    }
    if (unpack_meta_map_reply(arena_dup_slice(&p->arena, payload), &p->arena, &p->map) != STATUS_OK) {
        inspect_fail(p, &unread);
        return;
    }
    p->keyspaces = arena_zalloc(&p->arena, (p->map.keyspace_count + 1) * sizeof *p->keyspaces);
    for (size_t i = 0; i < p->map.keyspace_count; i++) {
        const struct keyspace_info *k = &p->map.keyspaces[i];
        if (k->dropped_ts != 0) continue;
        p->keyspaces[p->keyspace_count++] = (struct inspected){.id = k->id, .name = k->name};
    }
    for (size_t i = 0; i < p->map.range_count; i++) p->bytes_total += p->map.reports[i].bytes;
    spans_plan(&p->spans, &p->arena, &p->map, NULL, 0, NULL, 0);
    p->planned = true;
    p->env->ops->wake(p->env);
}

static void ask_map(struct inspect *p)
{
    struct buf params;
    buf_init(&params, 256);
    pack_meta_map_request(&params, &(struct meta_map_request){.keyspace = SLICE_EMPTY, .key = SLICE_EMPTY});
    client_meta(p->client, METHOD_META_MAP, buf_slice(&params), CALL_MS, on_map, p);
    buf_free(&params);
}

static void on_stamp(void *ctx, const struct client_error *e, struct slice payload)
{
    struct inspect *p = ctx;
    struct meta_timestamps_reply reply;
    if (e->status != STATUS_OK) {
        inspect_fail(p, e);
        return;
    }
    if (unpack_meta_timestamps_reply(payload, &p->arena, &reply) == STATUS_OK && p->at == 0) p->at = reply.first;
    ask_map(p);
}

static void on_page(void *ctx, const struct client_error *e, const struct scan_reply *reply)
{
    struct look *l = ctx;
    struct inspect *p = l->job;
    l->asking = false;
    p->env->ops->wake(p->env);
    if (e->status != STATUS_OK) {
        bool passes = e->status == STATUS_TIMEOUT || e->status == STATUS_UNAVAILABLE || e->status == STATUS_BUSY;
        if (!passes || ++l->tries == TRIES_MAX) inspect_fail(p, e);
        return;
    }
    l->tries = 0;
    for (size_t i = 0; i < reply->row_count; i++) {
        const struct scan_row *s = &reply->rows[i];
        struct backup_row row = {.kind = s->is_counter ? BACKUP_COUNTER : BACKUP_RAW,
                                 .ts = s->version,
                                 .ttl_ms = s->ttl_ms,
                                 .key = s->key,
                                 .value = s->value};
        backup_digest_row(&l->keyspace->digest, &row);
        p->bytes += row.key.size + row.value.size;
    }
    if (reply->more && reply->row_count > 0) {
        buf_clear(&l->next);
        buf_append_slice(&l->next, reply->rows[reply->row_count - 1].key);
        buf_append_byte(&l->next, 0);
    } else {
        l->span = NULL;
    }
}

static void look_step(struct look *l)
{
    struct inspect *p = l->job;
    if (l->asking) return;
    if (l->span == NULL && (l->span = spans_pop(&p->spans)) != NULL) {
        for (size_t i = 0; i < p->keyspace_count; i++)
            if (p->keyspaces[i].id == l->span->keyspace) l->keyspace = &p->keyspaces[i];
        buf_clear(&l->next);
        buf_append_slice(&l->next, l->span->start);
    }
    if (l->span == NULL) return;
    struct client_scan s = {
        .start = buf_slice(&l->next), .end = l->span->end, .placed = true, .how = {.mode = READ_SNAPSHOT, .ts = p->at}};
    l->asking = true;
    client_scan(p->client, l->keyspace->name, &s, CALL_MS, on_page, l);
}

static uint64_t inspect_pass(struct actor *actor, uint64_t now_ns)
{
    struct inspect *p = LIST_ENTRY(actor, struct inspect, actor);
    bool idle = p->planned;
    (void)now_ns;
    if (p->env->dead || p->done == NULL) return DEADLINE_NONE;
    if (!p->begun) {
        struct buf params;
        p->begun = true;
        buf_init(&params, 64);
        pack_meta_timestamps_request(&params, &(struct meta_timestamps_request){.count = 1});
        client_meta(p->client, METHOD_META_TIMESTAMPS, buf_slice(&params), CALL_MS, on_stamp, p);
        buf_free(&params);
    }
    for (uint32_t i = 0; i < p->parallel && p->planned && p->report.status == STATUS_OK; i++) {
        look_step(&p->looks[i]);
        idle = idle && p->looks[i].span == NULL;
    }
    if (p->report.status == STATUS_OK && !idle) return DEADLINE_NONE;
    inspect_done done = p->done;
    p->done = NULL;
    p->report.text = p->text;
    p->report.at = p->at;
    p->report.keyspaces = p->keyspaces;
    p->report.keyspace_count = p->keyspace_count;
    done(p->ctx, &p->report);
    return DEADLINE_NONE;
}

struct inspect *inspect_new(struct env *env, struct client *client, uint64_t at, uint32_t parallel, inspect_done done,
                            void *ctx)
{
    struct inspect *p = mem_zalloc(sizeof *p);
    p->env = env;
    p->client = client;
    p->at = at;
    p->done = done;
    p->ctx = ctx;
    p->parallel = parallel != 0 ? parallel : PARALLEL;
    arena_init(&p->arena, 4096);
    spans_init(&p->spans);
    p->looks = mem_zalloc(p->parallel * sizeof *p->looks);
    for (uint32_t i = 0; i < p->parallel; i++) {
        p->looks[i].job = p;
        buf_init(&p->looks[i].next, LIMIT_KEY_BYTES + 2);
    }
    p->actor = (struct actor){.pass = inspect_pass};
    env->ops->attach(env, &p->actor);
    env->ops->wake(env);
    return p;
}

void inspect_progress(const struct inspect *p, uint64_t *bytes, uint64_t *total)
{
    *bytes = p->bytes;
    *total = p->bytes_total;
}

void inspect_free(struct inspect *p)
{
    if (p == NULL) return;
    p->env->ops->detach(p->env, &p->actor);
    client_forget(p->client, p);
    for (uint32_t i = 0; i < p->parallel; i++) {
        client_forget(p->client, &p->looks[i]);
        buf_free(&p->looks[i].next);
    }
    mem_free(p->looks);
    arena_free(&p->arena);
    mem_free(p);
}
