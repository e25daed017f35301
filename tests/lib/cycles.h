/* Cycles of dependencies between transactions: the search that the simulator's and the process tests' checkers share. Pure: it
 * trusts no timestamp of the database, only who saw and wrote what, and call and return times.
 *
 * After Adya ("Weak Consistency", 1999) and Elle (Kingsbury, Alvaro, 2020). A cycle of ww is a G0, with wr a G1c, with one rw a
 * G-single, with more a G2 (write skew, long fork); with rt it breaks real time alone. */
#ifndef QUORATE_TESTS_LIB_CYCLES_H
#define QUORATE_TESTS_LIB_CYCLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cycle_kind {
    CYCLE_WW, /* overwrote, or stands behind in a list */
    CYCLE_WR, /* saw what the other wrote */
    CYCLE_RW, /* did not see what the other wrote */
    CYCLE_RT  /* had ended before the other began */
};

#define CYCLES_NEVER UINT64_MAX /* return_ns of a transaction of unknown outcome */

struct cycle_edge;
struct cycles {
    size_t txn_count;
    struct cycle_edge *edges;
    size_t edge_count, edge_capacity;
    uint32_t node_count; /* transactions, then points in time */
    struct cycle_moment *moments;
    size_t moment_count;
};

void cycles_init(struct cycles *g, size_t txn_count);
void cycles_free(struct cycles *g);
void cycles_add(struct cycles *g, size_t from, size_t to, enum cycle_kind kind); /* from == to: nothing */
/* When it was under way; once for each transaction that happened or may have. */
void cycles_time(struct cycles *g, size_t txn, uint64_t call_ns, uint64_t return_ns);
/* True: there is a cycle, and text tells one: its name and transactions, counted from 1. Call once, at the end. */
bool cycles_find(struct cycles *g, char *text, size_t size);

#endif
