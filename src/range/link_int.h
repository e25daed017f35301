/* The link to one other host: what link.c does for the rest of the folder. */
#ifndef QUORATE_RANGE_LINK_INT_H
#define QUORATE_RANGE_LINK_INT_H

#include "raft/liveness.h"
#include "range/host.h"

struct link;
struct link_resolve;

struct link_resolve *link_resolve(struct link *l);
uint64_t link_node(const struct link *l);
bool link_notify(struct link *l, enum method method, struct slice params);

struct link *link_new(struct host *h, uint64_t node_id, const char *address);
void link_free(struct link *l);
void link_send(struct host *h, struct replica *r, const struct raft_message *m);
void link_send_to(struct host *h, uint64_t node, uint64_t group, const struct raft_message *m);
void link_flush(struct link *l);
uint64_t link_pass(struct link *l, uint64_t now_ns);
struct liveness *link_liveness(struct link *l);
const char *link_address(const struct link *l);
bool link_hello(const struct link *l, struct hello *out); /* false: not connected */
bool link_connected(const struct link *l);
bool link_unfit(const struct link *l); /* is given leaderships only when nobody else can take them */
void link_set_unfit(struct link *l, bool unfit);
uint64_t link_given(const struct link *l); /* leaderships offered to it so far */
void link_note_given(struct link *l);
struct rpc_peer *link_bulk(struct link *l); /* connection for snapshots, made on first use */

#endif
