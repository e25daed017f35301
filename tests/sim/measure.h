#ifndef QUORATE_TESTS_SIM_MEASURE_H
#define QUORATE_TESTS_SIM_MEASURE_H

#include <stdbool.h>

/* Prints how fast the simulator is on one core and, if cores is more, on so many at once: lines "bench sim/...". False: a run failed. */
bool measure(unsigned cores);

#endif
