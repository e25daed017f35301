/* Who it is: a token is looked up, a password is compared by a worker; what was found is remembered for a moment.
 *
 *   BEGUN --the book is not known--> waits for a reading --> BEGUN (once; then refused)
 *     |--rights are not asked for--> nobody, admitted
 *     |--remembered--> admitted
 *     +--token--> LOOKING (client_get) --+--> admitted, or refused
 *     +--password--> CHECKING (a task) --+     woken by the answer; LOOKING ends by AUTH_ASK_MS */
#include <openssl/evp.h>

#include "auth/auth_int.h"
#include "auth/password.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

#define CHECKS_MAX 4u /* each takes 16 MiB and a worker for 40 ms */
#define CHECKS_WAIT_MAX                                                                                                \
    256u /* in the order in which they came: whoever guesses keeps nobody out, but waits with all others */
#define SEEN_MAX 10000u
#define TOKEN_FRESH_NS (AUTH_FRESH_MS / 2 * NS_PER_MS)
#define PASSWORD_FRESH_NS (30000 * NS_PER_MS)
#define BURST_S 1.0

struct auth_seen {
    uint8_t digest[AUTH_HASH_BYTES];
    char user[AUTH_NAME_MAX + 1];
    uint64_t epoch, until_ns;
};
struct auth_meter {
    double left;
    uint64_t at_ns;
};
struct identify {
    struct auth_op op;
    struct list turn; /* among those whose passwords are to be checked */
    enum { BY_NOTHING, BY_TOKEN, BY_PASSWORD } by;
    bool waited;
    uint8_t digest[AUTH_HASH_BYTES];
    struct slice user, password; /* BY_PASSWORD */
    uint64_t epoch;
    auth_who done;
    void *ctx;
};

static void digest_of(char kind, struct slice one, struct slice two, uint8_t out[AUTH_HASH_BYTES])
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    ASSERT(md != NULL);
    int ok = EVP_DigestInit_ex(md, EVP_sha256(), NULL);
    ok &= EVP_DigestUpdate(md, &kind, 1);
    ok &= EVP_DigestUpdate(md, one.data, one.size);
    ok &= EVP_DigestUpdate(md, "", 1);
    ok &= EVP_DigestUpdate(md, two.data, two.size);
    ok &= EVP_DigestFinal_ex(md, out, NULL);
    ASSERT(ok == 1);
    EVP_MD_CTX_free(md);
}

void auth_token_digest(struct slice token, uint8_t out[AUTH_HASH_BYTES])
{
    digest_of('t', token, SLICE_EMPTY, out);
}

/* --- what is remembered --- */

void auth_seen_free(struct auth *a)
{
    uint64_t key;
    void *value;
    for (size_t it = 0; map_next(&a->seen, &it, &key, &value);) mem_free(value);
    for (size_t it = 0; map_next(&a->meters, &it, &key, &value);) mem_free(value);
    map_free(&a->seen);
    map_free(&a->meters);
    map_init(&a->seen);
    map_init(&a->meters);
}

static uint64_t key_of(const uint8_t digest[AUTH_HASH_BYTES])
{
    uint64_t key;
    memcpy(&key, digest, sizeof(key));
    return key;
}

static void remember(struct identify *q, struct slice user, uint64_t epoch)
{
    struct auth *a = q->op.auth;
    if (a->seen.count >= SEEN_MAX) auth_seen_free(a);
    struct auth_seen *s = map_get(&a->seen, key_of(q->digest));
    if (s == NULL) {
        s = mem_zalloc(sizeof(*s));
        (void)map_put(&a->seen, key_of(q->digest), s);
    }
    memcpy(s->digest, q->digest, sizeof(s->digest));
    memcpy(s->user, user.data, user.size);
    s->user[user.size] = '\0';
    s->epoch = epoch;
    s->until_ns = env_mono_ns(a->env) + (q->by == BY_TOKEN ? TOKEN_FRESH_NS : PASSWORD_FRESH_NS);
}

/* NULL: it has to be looked at again. */
static const struct auth_seen *remembered(const struct identify *q)
{
    const struct auth *a = q->op.auth;
    const struct auth_seen *s = q->by == BY_NOTHING ? NULL : map_get(&a->seen, key_of(q->digest));
    if (s == NULL || memcmp(s->digest, q->digest, sizeof(q->digest)) != 0 || env_mono_ns(a->env) >= s->until_ns)
        return NULL;
    const struct auth_user *u = book_user(a->book, slice_str(s->user), NULL);
    return u != NULL && u->epoch == s->epoch ? s : NULL;
}

/* --- the end --- */

static void end(struct identify *q, enum status s, struct slice user, const char *why)
{
    q->done(q->ctx, s, user, why);
    auth_op_free(&q->op);
}

static void refuse(struct identify *q)
{
    static const char *const texts[] = {
        [BY_NOTHING] = "this cluster asks who you are: send a token (POST /v1/auth/login) or user and password",
        [BY_TOKEN] = "the token is not known, or no longer: log in again",
        [BY_PASSWORD] = "no such user, or not this password"};
    end(q, STATUS_UNAUTHENTICATED, SLICE_EMPTY, texts[q->by]);
}

/* The credential is good if the user still is what they were when it was made. */
static void admit(struct identify *q, struct slice name, uint64_t epoch)
{
    const struct auth *a = q->op.auth;
    const struct auth_user *u = a->book == NULL ? NULL : book_user(a->book, name, NULL);
    if (u == NULL || u->disabled || u->epoch != epoch)
        refuse(q);
    else
        end(q, STATUS_OK, u->name, "");
}

/* The token may have been made after the book was read. */
static bool is_ahead(const struct auth *a, const struct auth_token *t)
{
    const struct auth_user *u = a->book == NULL ? NULL : book_user(a->book, t->user, NULL);
    return u == NULL || u->epoch < t->epoch || (u->disabled && u->epoch == t->epoch);
}

static void book_read(struct auth_wait *w, enum status s);

static void token_found(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    struct identify *q = ctx;
    struct auth_token t;
    if (e->status != STATUS_OK) {
        end(q, STATUS_UNAVAILABLE, SLICE_EMPTY, auth_unreadable);
    } else if (!reply->found || auth_token_get(reply->value, &t) != STATUS_OK) {
        refuse(q);
    } else if (is_ahead(q->op.auth, &t) && !q->waited) {
        q->waited = true;
        auth_wait_for(q->op.auth, &q->op.wait, true, book_read);
    } else {
        remember(q, t.user, t.epoch);
        admit(q, t.user, t.epoch);
    }
}

static void check_password(struct identify *q);

static void check_next(struct auth *a)
{
    struct list *it = list_pop_front(&a->to_check);
    if (it == NULL) return;
    a->to_check_count--;
    check_password(LIST_ENTRY(it, struct identify, turn));
}

static void password_checked(void *ctx, bool same, bool cancelled)
{
    struct identify *q = ctx;
    q->op.auth->checking--;
    check_next(q->op.auth);
    if (cancelled) {
        end(q, STATUS_UNAVAILABLE, SLICE_EMPTY, "this process is stopping");
    } else if (!same) {
        log_event(q->op.auth->env->log, LOG_INFO, "audit.password_refused", "user=%.*s", (int)q->user.size,
                  (const char *)q->user.data);
        refuse(q);
    } else {
        remember(q, q->user, q->epoch);
        admit(q, q->user, q->epoch);
    }
}

static void check_password(struct identify *q)
{
    struct auth *a = q->op.auth;
    const struct auth_user *u = book_user(a->book, q->user, NULL);
    if (a->checking >= CHECKS_MAX && a->to_check_count < CHECKS_WAIT_MAX) {
        a->to_check_count++;
        list_push_back(&a->to_check, &q->turn);
        return;
    }
    if (a->checking >= CHECKS_MAX) {
        end(q, STATUS_BUSY, SLICE_EMPTY, "too many passwords are being checked: use a token, or try again");
        return;
    }
    a->checking++;
    q->epoch = u == NULL ? 0 : u->epoch;
    password_check(a->env, q->password, u == NULL || u->disabled ? NULL : &u->secret, password_checked, q);
}

/* --- the beginning --- */

static void begin(struct identify *q);

static void book_read(struct auth_wait *w, enum status s)
{
    (void)s;
    begin(LIST_ENTRY(w, struct identify, op.wait));
}

static void begin(struct identify *q)
{
    struct auth *a = q->op.auth;
    if (!auth_usable(a)) {
        if (q->waited) {
            end(q, STATUS_UNAVAILABLE, SLICE_EMPTY, auth_closed_why(a)); /* q is gone */
            return;
        }
        q->waited = true;
        auth_wait_for(a, &q->op.wait, false, book_read);
        return;
    }
    if (a->book == NULL || !book_is_on(a->book)) {
        end(q, STATUS_OK, SLICE_EMPTY, "");
        return;
    }
    const struct auth_seen *seen = remembered(q);
    if (seen != NULL) {
        admit(q, slice_str(seen->user), seen->epoch);
    } else if (q->by == BY_NOTHING) {
        refuse(q);
    } else if (q->by == BY_PASSWORD) {
        check_password(q);
    } else {
        client_get(a->client, slice_str(AUTH_KEYSPACE), auth_key_token(&q->op.arena, q->digest), AUTH_ASK_MS,
                   token_found, q);
    }
}

static struct identify *identify_new(struct auth *a, auth_who done, void *ctx)
{
    struct identify *q = auth_op_new(a, sizeof(*q));
    q->done = done;
    q->ctx = ctx;
    list_init(&q->turn);
    return q;
}

void auth_by_nothing(struct auth *a, auth_who done, void *ctx)
{
    if (auth_is_open(a)) /* that is every request of most clusters */
        done(ctx, STATUS_OK, SLICE_EMPTY, "");
    else
        begin(identify_new(a, done, ctx));
}

void auth_by_token(struct auth *a, struct slice token, auth_who done, void *ctx)
{
    struct identify *q = identify_new(a, done, ctx);
    q->by = BY_TOKEN;
    auth_token_digest(token, q->digest);
    begin(q);
}

void auth_by_password(struct auth *a, struct slice user, struct slice password, auth_who done, void *ctx)
{
    struct identify *q = identify_new(a, done, ctx);
    q->by = BY_PASSWORD;
    q->user = arena_dup_slice(&q->op.arena, user);
    q->password = arena_dup_slice(&q->op.arena, password);
    digest_of('p', user, password, q->digest);
    if (auth_name_valid(user) && password.size <= PASSWORD_MAX)
        begin(q);
    else
        refuse(q);
}

/* --- rates --- */

bool auth_spend(struct auth *a, struct slice user, const char **why)
{
    *why = "the bytes of this user's day are used up: the next begins at midnight, UTC";
    if (!auth_has_bytes(a, user)) return false;
    *why = "more requests a second than this user may send";
    const struct auth_user *u = user.size == 0 || a->book == NULL ? NULL : book_user(a->book, user, NULL);
    if (u == NULL || u->rate == 0) return true;
    uint64_t key = hash_bytes(user, 11), now_ns = env_mono_ns(a->env);
    struct auth_meter *m = map_get(&a->meters, key);
    double most = (double)u->rate * BURST_S;
    if (m == NULL) {
        m = mem_zalloc(sizeof(*m));
        *m = (struct auth_meter){.left = most, .at_ns = now_ns};
        (void)map_put(&a->meters, key, m);
    }
    m->left += (double)(now_ns - m->at_ns) / 1e9 * (double)u->rate;
    if (m->left > most) m->left = most;
    m->at_ns = now_ns;
    if (m->left < 1) return false;
    m->left -= 1;
    return true;
}

/* --- tokens --- */

struct login {
    struct auth_op op;
    struct slice user;
    char text[2 * AUTH_TOKEN_BYTES + 1];
    auth_token_done done;
    void *ctx;
};

static void login_end(struct login *g, enum status s, bool unknown, const char *why)
{
    struct slice user = auth_name_valid(g->user) ? g->user : slice_str("-"); /* nothing that forges other fields */
    log_event(g->op.auth->env->log, LOG_INFO, "audit.login", "user=%.*s status=%s", (int)user.size,
              (const char *)user.data, status_name(s));
    g->done(g->ctx, s, unknown, s == STATUS_OK ? slice_str(g->text) : SLICE_EMPTY, why);
    auth_op_free(&g->op);
}

static void token_stored(void *ctx, const struct client_error *e, const struct txn_result *result)
{
    struct login *g = ctx;
    enum status s = e->status != STATUS_OK ? e->status : result->status;
    login_end(g, s, e->unknown_outcome, s == STATUS_OK ? "" : "the token could not be stored");
}

static void login_known(void *ctx, enum status s, struct slice user, const char *why)
{
    struct login *g = ctx;
    struct auth *a = g->op.auth;
    if (s == STATUS_OK && user.size == 0) {
        s = STATUS_CONDITION_FAILED;
        why = "rights are not asked for in this cluster: no token is needed";
    }
    if (s != STATUS_OK) {
        login_end(g, s, false, why);
        return;
    }
    uint8_t bytes[AUTH_TOKEN_BYTES], digest[AUTH_HASH_BYTES];
    a->env->ops->random(a->env, bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        g->text[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        g->text[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    auth_token_digest(slice_str(g->text), digest);
    struct buf value;
    buf_init(&value, 256);
    auth_token_put(&value, &(struct auth_token){.user = user, .epoch = book_user(a->book, user, NULL)->epoch});
    struct txn_op op = {.kind = TXN_INSERT,
                        .key = auth_key_token(&g->op.arena, digest),
                        .value = buf_slice(&value),
                        .has_ttl = true,
                        .ttl_ms = AUTH_TOKEN_MS};
    struct txn t = {.ops = &op, .op_count = 1};
    client_txn(a->client, slice_str(AUTH_KEYSPACE), &t, AUTH_ASK_MS, token_stored, g);
    buf_free(&value);
}

void auth_login(struct auth *a, struct slice user, struct slice password, auth_token_done done, void *ctx)
{
    struct login *g = auth_op_new(a, sizeof(*g));
    g->done = done;
    g->ctx = ctx;
    g->user = arena_dup_slice(&g->op.arena, user);
    auth_by_password(a, user, password, login_known, g);
}

struct logout {
    struct auth_op op;
    auth_changed done;
    void *ctx;
};

static void logged_out(void *ctx, const struct client_error *e, const struct txn_result *result)
{
    struct logout *o = ctx;
    enum status s = e->status != STATUS_OK ? e->status : result->status;
    o->done(o->ctx, s, e->unknown_outcome, s == STATUS_OK ? "" : "the token could not be deleted");
    auth_op_free(&o->op);
}

void auth_logout(struct auth *a, struct slice token, auth_changed done, void *ctx)
{
    struct logout *o = auth_op_new(a, sizeof(*o));
    uint8_t digest[AUTH_HASH_BYTES];
    o->done = done;
    o->ctx = ctx;
    auth_token_digest(token, digest);
    mem_free(map_remove(&a->seen, key_of(digest)));
    struct txn_op op = {.kind = TXN_DELETE, .key = auth_key_token(&o->op.arena, digest)};
    struct txn t = {.ops = &op, .op_count = 1};
    client_txn(a->client, slice_str(AUTH_KEYSPACE), &t, AUTH_ASK_MS, logged_out, o);
}
