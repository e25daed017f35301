/* Private to node/: orders of the metadata service (orders.c). */
#ifndef QUORATE_NODE_ORDERS_INT_H
#define QUORATE_NODE_ORDERS_INT_H

#include "wire/messages.h"

struct node;

struct node_orders {
    uint64_t term; /* highest of a metadata leader that gave orders */
    bool tell_all; /* the next heartbeat names all replicas */
    struct order_verdict *verdicts;
    size_t verdict_count, verdict_capacity, told; /* told: with the heartbeat that is under way */
};
void orders_take(struct node *n, const struct meta_heartbeat_reply *reply); /* a heartbeat's answer */
void orders_report(struct node *n, struct meta_heartbeat_request *request); /* into the next heartbeat */
/* What hindered an order, when that has turned out. */
void orders_verdict(struct node *n, uint64_t op, enum status s, uint32_t percent, const char *text);
void orders_free(struct node *n);

#endif
