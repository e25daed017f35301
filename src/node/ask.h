/* Private to node/: reads at a replica that does not lead ask the one that does. */
#ifndef QUORATE_NODE_ASK_H
#define QUORATE_NODE_ASK_H

#include "node/node_int.h"

/* Reads of a range that this node does not lead, waiting for a resolved timestamp of its leader's: ask.c. */
struct ask {
    struct node *node;
    uint64_t group;
    struct list waiting, asked; /* struct node_request: the next call's; the present call's */
    bool busy;
    uint64_t sent_ns, deadline_ns; /* of the present call */
};

void ask_leader(struct node_request *q);
void asks_sweep(struct node *n, uint64_t now_ns);
void asks_fail_all(struct node *n);
void asks_free(struct node *n);

#endif
