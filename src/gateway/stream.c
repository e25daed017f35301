#include "gateway/stream.h"

#include "base/assert.h"

#define UNSENT_MAX (256u * 1024u)
#define LOOK_NS (20 * NS_PER_MS)

static const struct http_ops *ops_of(const struct stream *s)
{
    return s->all->env->http->ops;
}

static uint64_t streams_pass(struct actor *a, uint64_t now_ns)
{
    struct streams *all = LIST_ENTRY(a, struct streams, actor);
    struct list round; /* what is called may wait again */
    struct list *it;
    list_init(&round);
    while ((it = list_pop_front(&all->waiting)) != NULL) list_push_back(&round, it);
    while ((it = list_pop_front(&round)) != NULL) {
        struct stream *s = LIST_ENTRY(it, struct stream, link);
        if (ops_of(s)->stream_unsent(s->http) > UNSENT_MAX / 2)
            list_push_back(&all->waiting, it);
        else
            s->room(s->ctx);
    }
    return list_empty(&all->waiting) ? DEADLINE_NONE : now_ns + LOOK_NS;
}

void streams_init(struct streams *s, struct env *env)
{
    *s = (struct streams){.env = env, .actor = {.pass = streams_pass}};
    list_init(&s->waiting);
    list_init(&s->actor.link);
}

void streams_free(struct streams *s)
{
    ASSERT(list_empty(&s->waiting));
    if (s->attached) s->env->ops->detach(s->env, &s->actor);
}

void stream_open(struct stream *s, struct streams *all, struct http_request *http, const struct http_reply_head *head)
{
    list_init(&s->link);
    s->all = all;
    s->http = http;
    ops_of(s)->stream_begin(http, head);
}

void stream_send(struct stream *s, struct slice piece)
{
    if (s->http != NULL) ops_of(s)->stream_send(s->http, piece);
}

bool stream_has_room(struct stream *s, void (*room)(void *ctx), void *ctx)
{
    if (s->http == NULL || ops_of(s)->stream_unsent(s->http) <= UNSENT_MAX) return true;
    s->room = room;
    s->ctx = ctx;
    list_remove(&s->link);
    list_push_back(&s->all->waiting, &s->link);
    if (!s->all->attached) {
        s->all->attached = true;
        s->all->env->ops->attach(s->all->env, &s->all->actor);
    }
    s->all->env->ops->wake(s->all->env);
    return false;
}

void stream_gone(struct stream *s)
{
    list_remove(&s->link);
    s->http = NULL;
}

void stream_end(struct stream *s)
{
    struct http_request *http = s->http;
    list_remove(&s->link);
    s->http = NULL;
    if (http != NULL) ops_of(s)->stream_end(http);
}
