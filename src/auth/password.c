#include "auth/password.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/assert.h"
#include "base/mem.h"

/* 16 MiB and some 40 ms of a core. */
#define LOG2_N 14u
#define COST_R 8u
#define COST_P 1u
#define MEMORY_MAX (256u * 1024u * 1024u)

struct password_task {
    struct task task;
    char password[PASSWORD_MAX];
    size_t size;
    struct auth_secret secret; /* what is compared with; or made */
    bool known, same;
    void (*checked)(void *ctx, bool same, bool cancelled);
    void (*hashed)(void *ctx, const struct auth_secret *secret, bool cancelled);
    void *ctx;
};

static void work(struct task *t)
{
    struct password_task *p = LIST_ENTRY(t, struct password_task, task);
    uint8_t hash[AUTH_HASH_BYTES];
    struct auth_secret *s = &p->secret;
    int ok = EVP_PBE_scrypt(p->password, p->size, s->salt, sizeof(s->salt), 1ull << s->log2_n, s->r, s->p, MEMORY_MAX,
                            hash, sizeof(hash));
    if (p->checked != NULL) {
        p->same = ok == 1 && p->known && CRYPTO_memcmp(hash, s->hash, sizeof(hash)) == 0;
    } else {
        s->set = ok == 1;
        memcpy(s->hash, hash, sizeof(hash));
    }
    OPENSSL_cleanse(p->password, sizeof(p->password));
}

static void over(struct task *t)
{
    struct password_task *p = LIST_ENTRY(t, struct password_task, task);
    OPENSSL_cleanse(p->password, sizeof(p->password));
    if (p->checked != NULL)
        p->checked(p->ctx, p->same, t->cancelled);
    else
        p->hashed(p->ctx, &p->secret, t->cancelled || !p->secret.set);
    mem_free(p);
}

static struct password_task *make(struct slice password, void *ctx)
{
    struct password_task *p = mem_zalloc(sizeof(*p));
    ASSERT(password.size <= PASSWORD_MAX);
    memcpy(p->password, password.data, password.size);
    p->size = password.size;
    p->secret = (struct auth_secret){.log2_n = LOG2_N, .r = COST_R, .p = COST_P};
    p->task.execute = work;
    p->task.complete = over;
    p->ctx = ctx;
    return p;
}

void password_check(struct env *env, struct slice password, const struct auth_secret *secret,
                    void (*done)(void *ctx, bool same, bool cancelled), void *ctx)
{
    struct password_task *p = make(password, ctx);
    p->known = secret != NULL && secret->set;
    if (p->known) p->secret = *secret;
    p->checked = done;
    exec_submit(env->exec, LANE_BACKGROUND, &p->task);
}

void password_hash(struct env *env, struct slice password,
                   void (*done)(void *ctx, const struct auth_secret *secret, bool cancelled), void *ctx)
{
    struct password_task *p = make(password, ctx);
    env->ops->random(env, p->secret.salt, sizeof(p->secret.salt));
    p->hashed = done;
    exec_submit(env->exec, LANE_BACKGROUND, &p->task);
}
