/* Judges a disk by the writes of the log, and by whether the store gets rid of its memory: pure. Slow is what is far above the peers'
 * median and above 20 ms, for 3 s on end, or a store that is full for 10 s on end; hung is a write that does not end for 20 s. Time during which the loop did not run (a paused process) counts for nothing.
 *
 *   OK -- 6 bad, 20 full in a row ---> SLOW --- no bad window for `patience` ---> OK      patience: 30 s, doubled each time that
 *    |                                  |                                                it was slow again within 10 min
 *    +---- a write under way for 20 s --+--> HUNG, for good
 *
 * A window is half a second of running time. It is bad if the mean of the writes that ended in it, or the age of the one
 * under way, is too high; a window without any says nothing. It is full if the store was so all the time; once SLOW, at any. */
#ifndef QUORATE_RANGE_DISK_HEALTH_H
#define QUORATE_RANGE_DISK_HEALTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum disk_state { DISK_OK, DISK_SLOW, DISK_HUNG };

struct disk_sample { /* of the log, at now_ns */
    uint64_t now_ns;
    uint64_t writes, write_ns_total; /* ended since it was opened */
    bool writing;
    bool store_full;   /* it takes no more until it has flushed or merged */
    uint64_t peers_us; /* median of what the peers say; 0: not known, nothing is called slow */
};

struct disk_health {
    enum disk_state state;
    uint64_t seen_ns;                        /* the last step; 0: none yet */
    uint64_t writes;                         /* as of the last step: another number is another write under way */
    uint64_t writing_ns;                     /* of running time that the present write has taken */
    uint64_t window_ns;                      /* of running time in this window */
    uint64_t window_writes, window_total_ns; /* as of its beginning */
    uint64_t window_full_ns;                 /* of running time with a full store */
    unsigned bad_windows, full_windows;      /* in a row */
    uint64_t good_ns;                        /* SLOW: running time since the last bad window */
    uint64_t ok_ns;                          /* OK: running time since it was slow last */
    uint64_t patience_ns;
    uint64_t write_us; /* of the last window that says something */
};

void disk_health_init(struct disk_health *d);
enum disk_state disk_health_step(struct disk_health *d, const struct disk_sample *s);
/* Median of what is known (values above 0); 0 if nothing is. Sorts the array. */
uint64_t disk_health_median(uint64_t *us, size_t count);

#endif
