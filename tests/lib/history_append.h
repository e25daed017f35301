/* For history_check: histories of transactions. */
#ifndef QUORATE_TESTS_LIB_HISTORY_APPEND_H
#define QUORATE_TESTS_LIB_HISTORY_APPEND_H

#include <jansson.h>

int history_append_judge(char *const paths[], int count); /* the exit status */

#endif
