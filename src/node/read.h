/* Private to node/: what a read waits for, by its mode, and what it sees: read.c. */
#ifndef QUORATE_NODE_READ_H
#define QUORATE_NODE_READ_H

#include "node/node_int.h"

void read_begin(struct node_request *q, struct replica *r, const struct read_how *how,
                void (*serve)(struct node_request *q));
void read_confirm(struct node_request *q); /* a strong read whose keys are in no call for timestamps */
void read_at_resolved(struct node_request *q,
                      const struct resolved *resolved); /* a follower's: the leader has answered */
/* STATUS_OK while the rows at q->read_ts are here and whole; otherwise q was refused. */
bool read_may_serve(struct node_request *q);
bool read_stands(struct node_request *q, const struct replica *r); /* after the read; false: it has begun anew */
/* Whether the row is there for the read, whose mark is this: expiry is compared with timestamps, never with a clock. Sets
 * wants_timestamp when none is known that tells: then nothing may be answered, and read_at_timestamp reads anew. */
bool read_sees(struct node_request *q, const struct read_mark *mark, const struct row *row, uint64_t version);
void read_at_timestamp(struct node_request *q);
struct read_mark read_mark(const struct node_request *q, struct replica *r); /* of a read that begins now */
void node_on_resolve(struct node *n, struct rpc_request *req);

#endif
