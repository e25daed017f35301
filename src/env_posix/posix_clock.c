#define _GNU_SOURCE /* CLOCK_BOOTTIME, getrandom */
#include "env_posix/posix_int.h"

#include "base/assert.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/random.h>
#include <time.h>

static uint64_t clock_read_ns(clockid_t id)
{
    struct timespec t;
    int rc = clock_gettime(id, &t);
    ASSERT(rc == 0);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The raw clock, because a time daemon may slew CLOCK_MONOTONIC by several percent, more than leases allow for; plus the
 * time spent suspended, which the raw clock leaves out, so that a lease held over a suspend has ended after it.
 * The boot-time clock is read before the monotonic one: the difference is then never above the true time suspended, and
 * the largest one seen is kept. Tasks on workers may ask too, hence the atomic. */
uint64_t posix_mono_ns(struct env *e)
{
    _Atomic uint64_t *suspended_ns = &env_posix_of(e)->suspended_ns;
    uint64_t boot = clock_read_ns(CLOCK_BOOTTIME);
    uint64_t mono = clock_read_ns(CLOCK_MONOTONIC);
    uint64_t known = atomic_load_explicit(suspended_ns, memory_order_relaxed);
    uint64_t seen = boot > mono ? boot - mono : 0;
    while (seen > known) {
        if (atomic_compare_exchange_weak_explicit(suspended_ns, &known, seen, memory_order_relaxed,
                                                  memory_order_relaxed))
            known = seen;
    }
    return clock_read_ns(CLOCK_MONOTONIC_RAW) + known;
}

uint64_t posix_wall_ms(struct env *e)
{
    (void)e;
    return clock_read_ns(CLOCK_REALTIME) / NS_PER_MS;
}

void posix_random(struct env *e, void *bytes, size_t size)
{
    uint8_t *at = bytes;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) e->ops->fatal(e, "the system's random generator failed"); /* ids and secrets rest on it */
        at += got;
        size -= (size_t)got;
    }
}
