/* The seam between Quorate and the world: everything that a process may do to or ask of its machine. Production fills it
 * in env_posix/, the simulator in tests/sim/. Objects get a struct env * and keep it for life. */
#ifndef QUORATE_ENV_ENV_H
#define QUORATE_ENV_ENV_H

#include "base/list.h"
#include "base/log.h"
#include "base/prng.h"
#include "env/disk.h"
#include "env/exec.h"
#include "env/http.h"
#include "env/net.h"

#define NS_PER_MS 1000000ull
#define DEADLINE_NONE UINT64_MAX

struct env;

/* Something that runs on the loop. `pass` is called after any callback was delivered to this env, after loop_wake, and
 * when the deadline that it returned has come: it does all the work that is possible now and returns the next deadline on
 * the monotonic clock in ns, or DEADLINE_NONE. It must not block. */
struct actor {
    uint64_t (*pass)(struct actor *, uint64_t now_ns);
    struct list link; /* the loop's */
    uint64_t deadline_ns;
};

struct env_ops {
    uint64_t (*mono_ns)(struct env *); /* monotonic; unaffected by steps of wall time */
    /* Milliseconds since 1970; may jump: for people, and for timestamps' first guess only. */
    uint64_t (*wall_ms)(struct env *);
    void (*random)(struct env *, void *bytes, size_t size); /* from the system's generator: ids, secrets, seeds */
    void (*attach)(struct env *, struct actor *);
    void (*detach)(struct env *, struct actor *);
    void (*wake)(struct env *); /* another pass of all actors soon; from the loop only */
    /* The process must stop at once and for good (a failed sync, damage, an impossible state). Nothing more leaves it: no
     * send, no write. In production it does not return. */
    void (*fatal)(struct env *, const char *why);
};

struct env {
    const struct env_ops *ops;
    struct disk *disk; /* rooted at this process's data directory; NULL when it has none */
    struct exec *exec;
    struct net *net;
    struct http *http; /* NULL in simulation */
    struct logger *log;
    uint64_t pass_ns; /* when the pass that is under way began; 0: none is, or this env does not say */
    bool dead;        /* set by fatal; actors return without work when it is set */
};

static inline uint64_t env_mono_ns(struct env *e)
{
    return e->ops->mono_ns(e);
}
/* For what may be late by a pass: reading the clock costs as much as parsing a small request. */
static inline uint64_t env_pass_ns(struct env *e)
{
    return e->pass_ns != 0 ? e->pass_ns : e->ops->mono_ns(e);
}
static inline uint64_t env_wall_ms(struct env *e)
{
    return e->ops->wall_ms(e);
}

#endif
