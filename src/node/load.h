/* Private to node/: what is counted of requests that were served: load.c. */
#ifndef QUORATE_NODE_LOAD_H
#define QUORATE_NODE_LOAD_H

#include "node/node_int.h"

struct range_counters *node_counters(struct node *n, uint64_t group);
void load_count_read(struct node_request *q, struct slice key);
void load_count_write(struct node_request *q);
void load_count_other(struct node *n);                 /* a get or a transaction: what scans give way to */
uint32_t load_others(struct node *n, uint64_t now_ns); /* of them, in the last 0.2 s or so, a second */

#endif
