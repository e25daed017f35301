#include "range/disk_health.h"

#include <stdlib.h>
#include <string.h>

#define MS 1000000ull
#define STEP_MAX_NS (100 * MS) /* the loop was not running for what is beyond it */
#define WINDOW_NS (500 * MS)
#define SLOW_US_MIN 20000u
#define SLOW_FACTOR 5u
#define BAD_WINDOWS_MAX 6u   /* 3 s */
#define FULL_WINDOWS_MAX 20u /* 10 s: a large merge may take some */
#define HUNG_NS (20000 * MS)
#define PATIENCE_MIN_NS (30000 * MS)
#define PATIENCE_MAX_NS (480000 * MS)
#define RELAPSE_NS (600000 * MS)

void disk_health_init(struct disk_health *d)
{
    *d = (struct disk_health){.state = DISK_OK, .patience_ns = PATIENCE_MIN_NS, .ok_ns = RELAPSE_NS};
}

/* What the window says in us; 0: nothing. */
static uint64_t window_us(const struct disk_health *d, const struct disk_sample *s)
{
    uint64_t us = 0;
    if (s->writes > d->window_writes)
        us = (s->write_ns_total - d->window_total_ns) / (s->writes - d->window_writes) / 1000;
    uint64_t waiting = s->writing ? d->writing_ns / 1000 : 0;
    return us > waiting ? us : waiting;
}

/* Coming back takes half of what going took, so that a disk at the border does not go to and fro. */
static bool is_bad(const struct disk_health *d, uint64_t us, uint64_t peers_us)
{
    uint64_t limit = peers_us * SLOW_FACTOR > SLOW_US_MIN ? peers_us * SLOW_FACTOR : SLOW_US_MIN;
    if (d->state == DISK_SLOW) limit /= 2;
    return us > limit;
}

static void end_window(struct disk_health *d, const struct disk_sample *s)
{
    uint64_t us = window_us(d, s), length_ns = d->window_ns, full_ns = d->window_full_ns;
    d->window_ns = d->window_full_ns = 0;
    d->window_writes = s->writes;
    d->window_total_ns = s->write_ns_total;
    if (us > 0) d->write_us = us;
    bool bad = us > 0 && s->peers_us > 0 && is_bad(d, us, s->peers_us);
    if (d->state == DISK_OK) {
        d->ok_ns += length_ns;
        if (us > 0) d->bad_windows = bad ? d->bad_windows + 1 : 0;
        d->full_windows = full_ns == length_ns ? d->full_windows + 1 : 0;
        if (d->bad_windows < BAD_WINDOWS_MAX && d->full_windows < FULL_WINDOWS_MAX) return;
        bool relapse = d->ok_ns < RELAPSE_NS;
        d->patience_ns = relapse ? d->patience_ns * 2 : PATIENCE_MIN_NS;
        if (d->patience_ns > PATIENCE_MAX_NS) d->patience_ns = PATIENCE_MAX_NS;
        d->state = DISK_SLOW;
        d->good_ns = 0;
    } else {
        d->good_ns = bad || full_ns > 0 ? 0 : d->good_ns + length_ns;
        if (d->good_ns < d->patience_ns) return;
        d->state = DISK_OK;
        d->bad_windows = d->full_windows = 0;
        d->ok_ns = 0;
    }
}

enum disk_state disk_health_step(struct disk_health *d, const struct disk_sample *s)
{
    if (d->state == DISK_HUNG) return d->state;
    uint64_t ran_ns = d->seen_ns == 0 || s->now_ns < d->seen_ns ? 0 : s->now_ns - d->seen_ns;
    if (ran_ns > STEP_MAX_NS) ran_ns = STEP_MAX_NS;
    d->seen_ns = s->now_ns;
    d->writing_ns = s->writing && s->writes == d->writes ? d->writing_ns + ran_ns : 0;
    d->writes = s->writes;
    d->window_ns += ran_ns;
    if (s->store_full) d->window_full_ns += ran_ns;
    if (d->writing_ns >= HUNG_NS) {
        d->state = DISK_HUNG;
    } else if (d->window_ns >= WINDOW_NS) {
        end_window(d, s);
    }
    return d->state;
}

static int by_size(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

uint64_t disk_health_median(uint64_t *us, size_t count)
{
    size_t known = 0;
    for (size_t i = 0; i < count; i++) {
        if (us[i] > 0) us[known++] = us[i];
    }
    if (known == 0) return 0;
    qsort(us, known, sizeof *us, by_size);
    return us[(known - 1) / 2];
}
