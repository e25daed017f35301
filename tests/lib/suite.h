#ifndef QUORATE_TESTS_SUITE_H
#define QUORATE_TESTS_SUITE_H

#include <check.h>

int run_suite(Suite *suite); /* prints the summary; what main returns: EXIT_SUCCESS iff all tests have passed */

#endif
