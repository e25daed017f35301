/* A machine for tests of ranges: each command is a row of its own, named by its index. It can be cut and joined wherever: so its log may
 * hold what changes the range. */
#ifndef QUORATE_TESTS_LIB_ROW_MACHINE_H
#define QUORATE_TESTS_LIB_ROW_MACHINE_H

#include "range/machine.h"

extern const struct machine_ops ROW_MACHINE;

#endif
