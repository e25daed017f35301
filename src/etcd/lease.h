/* Private to etcd/: leases, for those who end them. */
#ifndef QUORATE_ETCD_LEASE_H
#define QUORATE_ETCD_LEASE_H

#include "etcd/work.h"

uint64_t lease_ends(const struct work_row *row); /* the timestamp */
struct span span_leases(struct arena *a);
/* Its keys and itself. by: who asks, and may write all its keys; NULL: nobody, so nothing if it has been renewed. */
enum work_step lease_do_revoke(struct work *w, uint64_t id, const struct ecall *by);
/* A user who cannot write all its keys could not revoke it, so binds nothing to it (etcd's checkLeasePuts). */
enum work_step lease_may_bind(struct work *w, uint64_t id, const struct ecall *by);

#endif
