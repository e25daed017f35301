/* The sessions of this gateway, those that go on and those that are over: session.h. */
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "gateway/gateway_int.h"

#define OVER_NS (300000 * NS_PER_MS) /* how they ended is remembered for so long */
#define OVER_MAX 8192u

static uint64_t short_id(const uint8_t *id)
{
    uint64_t n;
    memcpy(&n, id, sizeof(n));
    return n;
}

static void session_free(struct session *s)
{
    list_remove(&s->link);
    interact_free(s->txn);
    mem_free(s);
}

void sessions_init(struct gateway *g)
{
    list_init(&g->sessions);
    list_init(&g->sessions_over);
    map_init(&g->sessions_over_by_id);
}

void sessions_free(struct gateway *g)
{
    while (!list_empty(&g->sessions)) session_free(LIST_ENTRY(g->sessions.next, struct session, link));
    while (!list_empty(&g->sessions_over)) session_free(LIST_ENTRY(g->sessions_over.next, struct session, link));
    map_free(&g->sessions_over_by_id);
}

struct session *session_new(struct gateway *g, struct slice keyspace, const char *user)
{
    struct session *s = mem_zalloc(sizeof(*s));
    s->txn = interact_new(g->env, g->client, keyspace);
    snprintf(s->keyspace, sizeof(s->keyspace), "%.*s", (int)keyspace.size, (const char *)keyspace.data);
    snprintf(s->user, sizeof(s->user), "%s", user);
    memcpy(s->id, interact_id(s->txn)->bytes, sizeof(s->id));
    list_push_back(&g->sessions, &s->link);
    g->session_count++;
    return s;
}

struct session *session_find(struct gateway *g, const uint8_t *id, const char *user)
{
    struct session *s = map_get(&g->sessions_over_by_id, short_id(id));
    LIST_FOR(it, &g->sessions)
    {
        struct session *other = LIST_ENTRY(it, struct session, link);
        if (memcmp(other->id, id, sizeof(other->id)) == 0) s = other;
    }
    return s != NULL && memcmp(s->id, id, sizeof(s->id)) == 0 && strcmp(s->user, user) == 0 ? s : NULL;
}

void session_forget(struct gateway *g, struct session *s)
{
    if (s->txn != NULL) {
        ASSERT(g->session_count > 0);
        g->session_count--;
    } else {
        (void)map_remove(&g->sessions_over_by_id, short_id(s->id));
    }
    session_free(s);
}

void session_over(struct gateway *g, struct session *s, enum status status, uint64_t ts, struct slice text)
{
    ASSERT(s->txn != NULL && g->session_count > 0);
    g->session_count--;
    interact_free(s->txn);
    s->txn = NULL;
    s->in_use = s->commit_asked = false;
    s->status = status;
    s->ts = ts;
    snprintf(s->text, sizeof(s->text), "%.*s", (int)text.size, text.size > 0 ? (const char *)text.data : "");
    s->used_ns = env_mono_ns(g->env);
    struct session *alike = map_get(&g->sessions_over_by_id, short_id(s->id));
    if (alike != NULL) session_forget(g, alike);
    list_remove(&s->link);
    list_push_back(&g->sessions_over, &s->link);
    (void)map_put(&g->sessions_over_by_id, short_id(s->id), s);
    if (g->sessions_over_by_id.count > OVER_MAX)
        session_forget(g, LIST_ENTRY(g->sessions_over.next, struct session, link));
}

void sessions_sweep(struct gateway *g)
{
    uint64_t now_ns = env_mono_ns(g->env);
    while (!list_empty(&g->sessions_over)) {
        struct session *s = LIST_ENTRY(g->sessions_over.next, struct session, link);
        if (now_ns - s->used_ns < OVER_NS) break;
        session_forget(g, s);
    }
    LIST_FOR(it, &g->sessions)
    {
        struct session *s = LIST_ENTRY(it, struct session, link);
        if (s->in_use || now_ns - s->used_ns < (s->commit_asked ? OVER_NS : s->idle_ns)) continue;
        COVER("gateway.session_idle");
        if (s->commit_asked)
            session_forget(g, s);
        else
            session_over(g, s, STATUS_RETRY, 0,
                         slice_str("the session was idle for too long: nothing of it was written; begin again"));
    }
}
