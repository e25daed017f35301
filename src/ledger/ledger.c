/* The ledger's life: what is known of accounts, timestamps got in advance, the keyspace, the pass. */
#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "ledger/ledger_int.h"

#define ACCOUNTS_KNOWN_MAX 1000000u
#define STAMPS 65536u
#define STAMPS_FRESH_NS (10 * NS_PER_MS)
#define STAMPS_OLD_NS (1000 * NS_PER_MS)
#define STAMPS_MS 5000u
#define STAMPS_PAUSE_NS (20 * NS_PER_MS)
#define CREATE_MS 10000u
#define WAIT_NS (20 * NS_PER_MS)

/* --- accounts --- */

static uint64_t hash_of(const struct ledger_id *id)
{
    return hash_bytes(slice_make(id->bytes, sizeof(id->bytes)), 6);
}

static struct ledger_known *known(const struct ledger *l, const struct ledger_id *id)
{
    struct ledger_known *k = map_get(&l->accounts, hash_of(id));
    while (k != NULL && !ledger_id_eq(&k->account.id, id)) k = k->same_hash;
    return k;
}

const struct ledger_account *ledger_known_account(void *ledger, const struct ledger_id *id)
{
    const struct ledger_known *k = known(ledger, id);
    return k == NULL ? NULL : &k->account;
}

bool ledger_guess_net(void *ledger, const struct ledger_id *id, i128 *net)
{
    const struct ledger_known *k = known(ledger, id);
    if (k == NULL || !k->net_known) return false;
    *net = k->net;
    return true;
}

void ledger_learn_net(struct ledger *l, const struct ledger_id *id, i128 net)
{
    struct ledger_known *k = known(l, id);
    if (k == NULL) return;
    k->net_known = true;
    k->net = net;
}

void ledger_forget_net(struct ledger *l, const struct ledger_id *id)
{
    struct ledger_known *k = known(l, id);
    if (k != NULL) k->net_known = false;
}

static void forget_accounts(struct ledger *l)
{
    map_free(&l->accounts);
    map_init(&l->accounts);
    arena_free(&l->accounts_arena);
    arena_init(&l->accounts_arena, 64u * 1024u);
}

uint32_t ledger_meet_keyspace(struct ledger *l)
{
    uint32_t id = client_keyspace_id(l->client, l->keyspace);
    if (id == 0 || id == l->keyspace_id) return id;
    if (l->keyspace_id != 0) {
        COVER("ledger.keyspace_made_anew");
        forget_accounts(l);
    }
    l->keyspace_id = id;
    return id;
}

void ledger_learn_account(struct ledger *l, const struct ledger_account *a)
{
    if (known(l, &a->id) != NULL) return;
    if (l->accounts.count >= ACCOUNTS_KNOWN_MAX) forget_accounts(l);
    struct ledger_known *k = arena_zalloc(&l->accounts_arena, sizeof(*k));
    uint64_t hash = hash_of(&a->id);
    k->account = *a;
    k->same_hash = map_get(&l->accounts, hash);
    (void)map_put(&l->accounts, hash, k);
}

/* --- timestamps --- */

static void stamps_done(void *ctx, const struct client_error *e, struct slice payload)
{
    struct ledger *l = ctx;
    struct meta_timestamps_reply reply;
    struct arena arena;
    uint64_t now_ns = env_mono_ns(l->env);
    l->stamps.asking = false;
    l->env->ops->wake(l->env);
    arena_init(&arena, 256);
    if (e->status == STATUS_OK && unpack_meta_timestamps_reply(payload, &arena, &reply) == STATUS_OK) {
        if (reply.first > l->stamps.next) {
            l->stamps.next = reply.first;
            l->stamps.end = reply.first + STAMPS;
            l->stamps.got_ns = now_ns;
        }
    } else {
        l->stamps.not_before_ns = now_ns + STAMPS_PAUSE_NS;
    }
    arena_free(&arena);
}

static void stamps_ask(struct ledger *l, uint64_t now_ns)
{
    if (l->stamps.asking || now_ns < l->stamps.not_before_ns) return;
    struct buf params;
    l->stamps.asking = true;
    buf_init(&params, 256);
    pack_meta_timestamps_request(&params, &(struct meta_timestamps_request){.count = STAMPS});
    client_meta(l->client, METHOD_META_TIMESTAMPS, buf_slice(&params), STAMPS_MS, stamps_done, l);
    buf_free(&params);
}

bool ledger_stamps(struct ledger *l, size_t count, uint64_t *first)
{
    uint64_t now_ns = env_mono_ns(l->env), age_ns = now_ns - l->stamps.got_ns;
    bool enough = l->stamps.end - l->stamps.next >= count && age_ns < STAMPS_OLD_NS;
    ASSERT(count <= STAMPS);
    if (!enough || age_ns >= STAMPS_FRESH_NS) stamps_ask(l, now_ns);
    if (!enough) return false;
    *first = l->stamps.next;
    l->stamps.next += count;
    return true;
}

bool ledger_has_stamps(struct ledger *l)
{
    uint64_t first;
    if (l->stamps.end - l->stamps.next >= 2 * LEDGER_BATCH_MAX) return ledger_stamps(l, 0, &first);
    stamps_ask(l, env_mono_ns(l->env));
    return false;
}

/* --- the keyspace --- */

static void create_done(void *ctx, const struct client_error *e, struct slice payload)
{
    struct ledger *l = ctx;
    (void)payload;
    l->create.asking = false;
    log_event(l->env->log, LOG_INFO, "ledger.keyspace", "status=%s", status_name(e->status));
    l->env->ops->wake(l->env);
}

bool ledger_create_keyspace(struct ledger *l, const struct client_error *e)
{
    if (e->status != STATUS_NOT_FOUND || l->options.keyspace_is_there) return false;
    if (l->create.asking) return true;
    struct buf params;
    l->create.asking = true;
    buf_init(&params, 1024);
    pack_meta_keyspace_request(&params, &(struct meta_keyspace_request){.name = l->keyspace});
    client_meta(l->client, METHOD_META_KEYSPACE_CREATE, buf_slice(&params), CREATE_MS, create_done, l);
    buf_free(&params);
    return true;
}

/* --- calls that are not runs --- */

void call_begin(struct ledger *l, struct ledger_call *c)
{
    c->ledger = l;
    list_push_back(&l->calls, &c->link);
    l->env->ops->wake(l->env);
}

void call_end(struct ledger_call *c)
{
    list_remove(&c->link);
    c->free(c);
}

void call_wait(struct ledger_call *c, uint64_t ms)
{
    c->waiting = true;
    c->again_ns = env_mono_ns(c->ledger->env) + ms * NS_PER_MS;
    c->ledger->env->ops->wake(c->ledger->env);
}

uint32_t ledger_left_ms(const struct ledger *l, uint64_t deadline_ns)
{
    uint64_t now_ns = env_mono_ns(l->env);
    return deadline_ns <= now_ns ? 1 : (uint32_t)((deadline_ns - now_ns) / NS_PER_MS) + 1;
}

static uint64_t calls_pass(struct ledger *l, uint64_t now_ns)
{
    uint64_t next_ns = DEADLINE_NONE;
    LIST_FOR(it, &l->calls)
    {
        struct ledger_call *c = LIST_ENTRY(it, struct ledger_call, link);
        if (!c->waiting) continue;
        if (now_ns >= c->again_ns) {
            c->waiting = false;
            c->again(c, now_ns);
        } else if (c->again_ns < next_ns) {
            next_ns = c->again_ns;
        }
    }
    return next_ns;
}

/* --- life --- */

static uint64_t ledger_pass(struct actor *a, uint64_t now_ns)
{
    struct ledger *l = LIST_ENTRY(a, struct ledger, actor);
    if (l->env->dead) return DEADLINE_NONE;
    uint64_t next_ns = calls_pass(l, now_ns);
    uint64_t expire_ns = l->options.expires ? expire_pass(l, now_ns) : DEADLINE_NONE;
    jobs_pass(l, now_ns);
    if (expire_ns < next_ns) next_ns = expire_ns;
    bool waits = !list_empty(&l->ready) || !list_empty(&l->careful);
    if (waits && now_ns + WAIT_NS < next_ns)
        next_ns = now_ns + WAIT_NS; /* their deadlines, and the next try for timestamps */
    return next_ns;
}

struct ledger *ledger_new(struct env *env, struct client *client, const struct ledger_options *o)
{
    struct ledger *l = mem_zalloc(sizeof(*l));
    l->env = env;
    l->client = client;
    l->options = *o;
    if (l->options.runs_max == 0) l->options.runs_max = 2;
    l->weight_max = LEDGER_RUN_WEIGHT_MAX;
    l->keyspace = mem_dup_slice(slice_str(o->keyspace == NULL ? LEDGER_KEYSPACE : o->keyspace));
    list_init(&l->ready);
    list_init(&l->careful);
    list_init(&l->runs);
    list_init(&l->spare);
    list_init(&l->calls);
    map_init(&l->accounts);
    arena_init(&l->accounts_arena, 64u * 1024u);
    l->actor.pass = ledger_pass;
    env->ops->attach(env, &l->actor);
    return l;
}

static void free_jobs(struct list *jobs)
{
    struct list *it;
    while ((it = list_pop_front(jobs)) != NULL) job_free(LIST_ENTRY(it, struct ledger_job, link));
}

void ledger_free(struct ledger *l)
{
    if (l == NULL) return;
    struct list *it;
    l->env->ops->detach(l->env, &l->actor);
    mem_free(l->sweep.found);
    while ((it = list_pop_front(&l->runs)) != NULL) {
        struct ledger_run *r = LIST_ENTRY(it, struct ledger_run, link);
        free_jobs(&r->jobs);
        run_free(r);
    }
    while ((it = list_pop_front(&l->spare)) != NULL) run_free(LIST_ENTRY(it, struct ledger_run, link));
    while (!list_empty(&l->calls)) call_end(LIST_ENTRY(l->calls.next, struct ledger_call, link));
    free_jobs(&l->ready);
    free_jobs(&l->careful);
    map_free(&l->accounts);
    arena_free(&l->accounts_arena);
    mem_free((void *)(uintptr_t)l->keyspace.data);
    mem_free(l);
}

struct actor *ledger_actor(struct ledger *l)
{
    return &l->actor;
}

void ledger_stats(const struct ledger *l, struct ledger_stats *out)
{
    *out = l->stats;
}
