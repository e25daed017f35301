/* Private to meta/: the operators as the leader keeps them in memory, beside their rows. */
#ifndef QUORATE_META_OPERATORS_H
#define QUORATE_META_OPERATORS_H

#include "base/map.h"
#include "meta/operator.h"

#define OPERATORS_ENDED_MAX 256u

struct meta_operator {
    struct slice bytes; /* owned; row's slices point into it */
    struct operator_row row;
    /* the leader's, of this term */
    bool ending;            /* its end is proposed */
    bool refused;           /* it cannot be done: `step` says why */
    uint64_t moved_ns;      /* when it last got on */
    uint64_t seen_conf_ver; /* of the range, then */
    uint32_t percent;
    char step[160]; /* what it waits for, in words */
};

struct meta_operators {
    struct map running;                               /* range id -> struct meta_operator */
    struct meta_operator *ended[OPERATORS_ENDED_MAX]; /* by id modulo the size; NULL: none */
};
void operators_init(struct meta_operators *o);
void operators_clear(struct meta_operators *o); /* and frees */
void operators_row(struct meta_operators *o, struct slice key, struct slice value, bool is_delete);

#endif
