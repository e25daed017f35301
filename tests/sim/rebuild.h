/* The other disaster behind some runs: all disks of the metadata service are gone. A new one, with empty disks, is made anew out of what
 * the storage nodes tell; nothing may be missing afterwards, and no timestamp or id come twice. */
#ifndef QUORATE_TESTS_SIM_REBUILD_H
#define QUORATE_TESTS_SIM_REBUILD_H

#include "sim/cluster.h"

struct rebuild_run;
struct rebuild_run *rebuild_new(struct cluster *c); /* strikes at once; NULL: not in this run */
void rebuild_free(struct rebuild_run *r);
bool rebuild_done(const struct rebuild_run *r); /* the new service has all */

#endif
