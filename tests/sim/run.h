/* One seed, from beginning to end. */
#ifndef QUORATE_TESTS_SIM_RUN_H
#define QUORATE_TESTS_SIM_RUN_H

#include "sim/cluster.h"

struct run_options {
    uint64_t seed;
    bool trace; /* every line at once */
    bool debug; /* servers' debug lines too */
    enum cluster_bench bench;
    unsigned tail_lines; /* of the trace, printed when it fails */
};
struct run_result {
    bool passed;
    char failure[1024];
    uint64_t hash, events, passes, simulated_ns, answers, faults, fatals;
};
void run_seed(const struct run_options *o, struct run_result *out);
void run_report_abort(unsigned lines); /* the trace's end of the run that is under way */

#endif
