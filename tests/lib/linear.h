/* Linearizability of one register: the algorithm that the simulator's and the process tests' checkers share. Pure: it looks
 * at call and return times alone and trusts no timestamp of the database.
 *
 * Wing and Gong's search (1993) in Lowe's form (2017): the entries of the history in order of time, lifted out as operations
 * are placed, with a memory of (set of operations placed, value) that were met before. */
#ifndef QUORATE_TESTS_LIB_LINEAR_H
#define QUORATE_TESTS_LIB_LINEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINEAR_NEVER UINT64_MAX /* return_ns of an operation of unknown outcome: anywhere after its call, or never */

enum linear_kind { LINEAR_GET, LINEAR_PUT, LINEAR_DELETE, LINEAR_CAS };

struct
    linear_op { /* values are numbers; 0: absent. Operations that definitely did not happen are left out by the caller */
    enum linear_kind kind;
    uint64_t value;        /* put, cas: what it writes; get: what it saw */
    uint64_t expect;       /* cas */
    bool refused;          /* cas: served, and the value was another one */
    bool has_found, found; /* delete: whether there was something, if it is known */
    uint64_t call_ns, return_ns;
};

enum linear_verdict { LINEAR_FINE, LINEAR_WRONG, LINEAR_UNDECIDED };

/* A register that holds 0 at first. *stuck: index of an operation up to which no order explains what was seen. */
enum linear_verdict linear_check(const struct linear_op *ops, size_t count, size_t *stuck);

#endif
