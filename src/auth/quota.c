/* Bytes of a day. Each gateway counts what it passes on for a user who has a quota, and adds it, at most once a second, to the user's row, which
 * holds a day and what all gateways have counted on it. Who is over the quota is refused until the day (UTC) is over.
 *
 *   counted --due--> READING --row--> WRITING, if the row is still so --ok--> told
 *      ^                |                 |  another gateway was first, or it failed: it counts the next time
 *      '----------------+-----------------' */
#include "auth/auth_int.h"
#include "base/cursor.h"
#include "base/hash.h"

#define DAY_MS 86400000u
#define REPORT_NS (1000 * NS_PER_MS)

struct auth_usage { /* auth->usages by a hash of the name */
    struct auth_op op;
    char user[AUTH_NAME_MAX + 1];
    uint64_t day;
    uint64_t told;   /* by the row, when it was written last */
    uint64_t fresh;  /* counted since */
    uint64_t adding; /* READING, WRITING: what the row is to have more */
    bool asking;
    bool looks; /* somebody was refused: the row may say otherwise by now */
};

static uint64_t key_of(struct slice user)
{
    return hash_bytes(user, 12);
}

static void roll(struct auth_usage *u)
{
    uint64_t day = env_wall_ms(u->op.auth->env) / DAY_MS;
    if (u->day >= day) return;
    u->day = day;
    u->told = u->fresh = u->adding = 0;
}

static void ended(struct auth_usage *u, bool added)
{
    if (added)
        u->told += u->adding;
    else
        u->fresh += u->adding;
    u->adding = 0;
    u->asking = false;
    arena_reset(&u->op.arena);
}

static void row_written(void *ctx, const struct client_error *e, const struct txn_result *result)
{
    struct auth_usage *u = ctx;
    bool done = e->status == STATUS_OK && result->status == STATUS_OK;
    ended(u, done || e->unknown_outcome);
}

static void row_read(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct auth_usage *u = ctx;
    struct auth *a = u->op.auth;
    if (e->status != STATUS_OK) {
        ended(u, false);
        return;
    }
    roll(u);
    struct cursor c = cursor_make(reply->found ? reply->value : SLICE_EMPTY);
    uint64_t day = cursor_varint(&c), sum = cursor_varint(&c);
    if (c.failed || day != u->day) sum = 0;
    u->told = sum;
    if (u->adding == 0) {
        ended(u, true);
        return;
    }
    struct buf value;
    buf_init(&value, 32);
    buf_put_varint(&value, u->day);
    buf_put_varint(&value, sum + u->adding);
    struct slice key = auth_key_usage(&u->op.arena, slice_str(u->user));
    struct txn_compare same = {.target = TXN_TARGET_VERSION,
                               .relation = TXN_EQUAL,
                               .key = key,
                               .version = reply->found ? reply->version : 0,
                               .value = SLICE_EMPTY};
    struct txn_op put = {.kind = TXN_PUT, .key = key, .value = buf_slice(&value)};
    struct txn t = {.compares = &same, .compare_count = 1, .ops = &put, .op_count = 1};
    client_txn(a->client, slice_str(AUTH_KEYSPACE), &t, AUTH_ASK_MS, row_written, u);
    buf_free(&value);
}

static uint64_t quota_pass(struct actor *actor, uint64_t now_ns)
{
    struct auth *a = LIST_ENTRY(actor, struct auth, counter);
    uint64_t key;
    void *value;
    if (a->env->dead || a->usages.count == 0) return DEADLINE_NONE;
    if (now_ns < a->report_ns) return a->report_ns;
    a->report_ns = now_ns + REPORT_NS;
    for (size_t it = 0; map_next(&a->usages, &it, &key, &value);) {
        struct auth_usage *u = value;
        if (u->asking || (u->fresh == 0 && !u->looks)) continue;
        u->asking = true;
        u->looks = false;
        u->adding = u->fresh;
        u->fresh = 0;
        client_get(a->client, slice_str(AUTH_KEYSPACE), auth_key_usage(&u->op.arena, slice_str(u->user)), AUTH_ASK_MS,
                   row_read, u);
    }
    return a->report_ns;
}

static uint64_t quota_of(const struct auth *a, struct slice user)
{
    const struct auth_user *u = user.size == 0 || a->book == NULL ? NULL : book_user(a->book, user, NULL);
    return u == NULL ? 0 : u->quota;
}

void auth_count(struct auth *a, struct slice user, size_t bytes)
{
    if (a == NULL || bytes == 0 || quota_of(a, user) == 0) return;
    struct auth_usage *u = map_get(&a->usages, key_of(user));
    if (u == NULL) {
        u = auth_op_new(a, sizeof(*u));
        memcpy(u->user, user.data, user.size);
        (void)map_put(&a->usages, key_of(user), u);
        a->env->ops->wake(a->env);
    }
    roll(u);
    u->fresh += bytes;
}

bool auth_has_bytes(struct auth *a, struct slice user)
{
    uint64_t quota = quota_of(a, user);
    struct auth_usage *u = quota == 0 ? NULL : map_get(&a->usages, key_of(user));
    if (u == NULL) return true;
    roll(u);
    u->looks = u->told + u->adding + u->fresh >= quota;
    return !u->looks;
}

void auth_quota_init(struct auth *a)
{
    map_init(&a->usages);
    a->counter.pass = quota_pass;
    a->env->ops->attach(a->env, &a->counter);
}

void auth_quota_free(struct auth *a) /* the structs are freed with all others under way */
{
    map_free(&a->usages);
    a->env->ops->detach(a->env, &a->counter);
}
