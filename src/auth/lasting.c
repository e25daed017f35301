/* What lasts longer than a request: it looks again whether it still may when the book changes, and when its token ends. A token's row goes
 * when its user logs out, or its hour is over; so who holds one looks for the row, twice in AUTH_FRESH_MS.
 *
 *   held: RESTING --due--> ASKED --there, or not known--> RESTING
 *                             '--gone--> ENDED     freed when the last that holds it has ended, and no answer is to come */
#include "auth/auth_int.h"
#include "base/assert.h"
#include "base/mem.h"

#define HELD_PAUSE_NS (AUTH_FRESH_MS / 2 * NS_PER_MS)

struct auth_held { /* a token; auth->held by its digest */
    struct auth_op op;
    struct list link;
    uint8_t digest[AUTH_HASH_BYTES];
    unsigned holders;
    bool asked, ended;
    uint64_t next_ns;
};

static void held_unhold(struct auth_held *h)
{
    if (h->holders > 0 || h->asked) return;
    list_remove(&h->link);
    auth_op_free(&h->op);
}

static struct auth_held *held_find(struct auth *a, const uint8_t digest[AUTH_HASH_BYTES])
{
    LIST_FOR(it, &a->held)
    {
        struct auth_held *h = LIST_ENTRY(it, struct auth_held, link);
        if (memcmp(h->digest, digest, AUTH_HASH_BYTES) == 0) return h;
    }
    return NULL;
}

static void held_ended(struct auth_held *h)
{
    struct auth *a = h->op.auth;
    h->ended = true;
    h->holders++; /* ours, meanwhile */
    LIST_FOR(it, &a->lasting)
    {
        struct auth_lasting *l = LIST_ENTRY(it, struct auth_lasting, link);
        if (l->token == h) l->look(l);
    }
    h->holders--;
}

static void held_looked(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct auth_held *h = ctx;
    struct auth *a = h->op.auth;
    h->asked = false;
    h->next_ns = env_mono_ns(a->env) + HELD_PAUSE_NS;
    if (e->status == STATUS_OK && !reply->found && !h->ended) held_ended(h);
    held_unhold(h);
    a->env->ops->wake(a->env);
}

static uint64_t held_pass(struct actor *actor, uint64_t now_ns)
{
    struct auth *a = LIST_ENTRY(actor, struct auth, holder);
    uint64_t next_ns = DEADLINE_NONE;
    if (a->env->dead) return DEADLINE_NONE;
    LIST_FOR(it, &a->held)
    {
        struct auth_held *h = LIST_ENTRY(it, struct auth_held, link);
        if (h->asked || h->ended) continue;
        if (now_ns < h->next_ns) {
            if (h->next_ns < next_ns) next_ns = h->next_ns;
            continue;
        }
        h->asked = true;
        client_get(a->client, slice_str(AUTH_KEYSPACE), auth_key_token(&h->op.arena, h->digest), AUTH_ASK_MS,
                   held_looked, h);
        arena_reset(&h->op.arena);
    }
    return next_ns;
}

void auth_last(struct auth *a, struct auth_lasting *l, struct slice token, void (*look)(struct auth_lasting *l))
{
    *l = (struct auth_lasting){.auth = a, .look = look};
    list_push_back(&a->lasting, &l->link);
    if (token.size == 0) return;
    uint8_t digest[AUTH_HASH_BYTES];
    auth_token_digest(token, digest);
    struct auth_held *h = held_find(a, digest);
    if (h == NULL) {
        h = auth_op_new(a, sizeof(*h));
        memcpy(h->digest, digest, sizeof(digest));
        list_push_back(&a->held, &h->link);
        a->env->ops->wake(a->env);
    }
    h->holders++;
    l->token = h;
}

void auth_last_end(struct auth_lasting *l)
{
    struct auth_held *h = l->token;
    if (l->auth == NULL) return;
    list_remove(&l->link);
    l->auth = NULL;
    l->token = NULL;
    if (h == NULL) return;
    ASSERT(h->holders > 0);
    h->holders--;
    held_unhold(h);
}

bool auth_last_is_known(const struct auth_lasting *l)
{
    return l->token == NULL || !l->token->ended;
}

void auth_lasting_look(struct auth *a)
{
    LIST_FOR(it, &a->lasting)
    {
        struct auth_lasting *l = LIST_ENTRY(it, struct auth_lasting, link);
        l->look(l);
    }
}

void auth_lasting_init(struct auth *a)
{
    list_init(&a->lasting);
    list_init(&a->held);
    a->holder.pass = held_pass;
    a->env->ops->attach(a->env, &a->holder);
}

void auth_lasting_free(struct auth *a)
{
    struct list *it;
    while ((it = list_pop_front(&a->lasting)) != NULL) {
        struct auth_lasting *l = LIST_ENTRY(it, struct auth_lasting, link);
        l->auth = NULL;
        l->token = NULL;
    }
    a->env->ops->detach(a->env, &a->holder);
}
