/* Private to range/: sending and receiving snapshots. */
#ifndef QUORATE_RANGE_SNAPSHOT_INT_H
#define QUORATE_RANGE_SNAPSHOT_INT_H

#include "range/host_int.h"

void snapshot_send_start(struct replica *r,
                         uint64_t to);      /* nothing if it does not lead, or that one is no member any more */
void snapshot_send_next(struct replica *r); /* the one that has waited longest for its turn */
void snapshot_send_tick(struct replica *r);
uint64_t snapshot_send_abort(struct snapshot_send *s); /* freed when its task has ended; to whom it was going */
void snapshot_recv_chunk(struct replica *r, struct rpc_request *req, const struct snapshot_chunk *c);
uint32_t snapshot_send_percent(const struct snapshot_send *s, uint64_t to); /* 0: not known, or to another */
uint64_t snapshot_send_due_ms(const struct snapshot_send *s); /* when it goes on by itself; UINT64_MAX: not by time */
uint64_t snapshot_send_index(const struct snapshot_send *s);
void snapshot_recv_tick(struct replica *r);        /* gives up what nobody goes on with */
void snapshot_recv_step(struct replica *r);        /* installs when apply stands still */
void snapshot_recv_abort(struct snapshot_recv *s); /* unless it is being installed */
void snapshot_recv_close(struct snapshot_recv *s);

#endif
