/* What something costs that goes on beside a load: the time is cut into turns, it goes on in every second one, and the medians of what
 * was done in turns of either kind are compared. So what the machine does meanwhile meets both kinds alike. Pure. */
#ifndef QUORATE_BENCH_TURNS_H
#define QUORATE_BENCH_TURNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TURNS_MAX 4096u /* what comes later is not counted */

struct turns {
    uint64_t begun_ns, length_ns;
    struct {
        uint64_t done;
        bool beside; /* it went on in it, for a part at least */
    } items[TURNS_MAX];
};
void turns_begin(struct turns *t, uint64_t now_ns, uint64_t length_ns);
uint64_t turns_next(const struct turns *t, uint64_t now_ns); /* when the next one begins in which it goes on */
void turns_done(struct turns *t, uint64_t now_ns);           /* an operation of the load */
void turns_beside(struct turns *t, uint64_t from_ns, uint64_t to_ns);
/* Operations per second in the median of the whole turns that ended by then, with it or without. *count: how many; 0: 0 is returned. */
double turns_median(const struct turns *t, bool beside, uint64_t end_ns, size_t *count);

#endif
