/* Private to etcd/: leases, for those who end them. */
#ifndef QUORATE_ETCD_LEASE_H
#define QUORATE_ETCD_LEASE_H

#include "etcd/work.h"

/* From its row's value; 0: that is none. */
uint64_t lease_ttl_s(struct slice value);
struct span span_leases(struct arena *a);                      /* and the marks of those that are ending */
struct slice key_ending(struct arena *a, uint64_t id);         /* such a mark */
struct slice lease_bound_key(const struct work_row *attached); /* a user's */
/* Whoever cannot write all its keys can neither revoke it nor bind a key to it (etcd's checkLeasePuts). */
enum work_step lease_may_bind(struct work *w, uint64_t id, const struct ecall *by);
/* Written anew, if it is there. ttl_s: 0: it is not, or why says that it could not be done. arena: as of work_start. */
typedef void (*lease_renewed)(void *ctx, const struct etcd_error *why, uint64_t ttl_s, uint64_t revision);
void lease_renew(struct etcd *e, struct arena *arena, uint64_t id, lease_renewed done, void *ctx);

/* --- lease_end.c --- */
struct lease_to_end {
    uint64_t id;
    uint64_t version;       /* only if nobody has renewed it since; 0: whichever it is */
    const struct ecall *by; /* who asks, and may write all its keys; NULL: nobody */
    bool marked;            /* its end has begun */
};
typedef void (*lease_ended)(void *ctx, const struct etcd_error *why, uint64_t revision);
void lease_end(struct etcd *e, const struct lease_to_end *l, lease_ended done, void *ctx);
void endings_free(struct etcd *e); /* behind works_free */

/* --- lease_sweep.c --- */
struct sweeper *sweeper_new(void);
void sweeper_free(struct sweeper *s); /* behind endings_free */
/* What is left of a lease's time, as far as this gateway has seen. */
uint64_t lease_left_s(const struct etcd *e, uint64_t id, uint64_t version, uint64_t ttl_s);
uint64_t lease_seen_ttl_s(const struct etcd *e, uint64_t id); /* 0: it has not been seen */

/* --- lease_tidy.c --- */
struct tidier *tidier_new(void);
void tidier_free(struct tidier *t); /* the client has been freed */
uint64_t tidy_pass(struct etcd *e, uint64_t now_ns);

#endif
