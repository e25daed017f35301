/* Calls to whoever leads the metadata service: knows its members' addresses, follows leader hints (of a leader that it does not know it
 * asks for the address), goes round on failure.
 * Used by storage nodes, routers and the command line. */
#ifndef QUORATE_RPC_META_CALL_H
#define QUORATE_RPC_META_CALL_H

#include "rpc/rpc.h"

struct meta_call;
/* addresses: "host:port,host:port,..."; copied. STATUS_INVALID with a text when it is malformed. */
MUST_CHECK enum status meta_call_new(struct env *env, const char *addresses, const struct rpc_identity *self,
                                     struct meta_call **out, struct errbuf *err);
/* The members' addresses, as one of them says: those that are not known yet are asked, too, from now on. */
void meta_call_learn(struct meta_call *m, const struct meta_address *metas, size_t count);
void meta_call_free(struct meta_call *m);
/* Only for requests that may safely be repeated (all METHOD_META_* are idempotent): tried again on NOT_LEADER, BUSY, RETRY,
 * UNAVAILABLE, TIMEOUT and CLOSED, at another member, until the deadline; done then gets the last status and the text
 * that came with it. Another cluster or another version ends a call at once. `sent`: some try may have been carried out without
 * an answer that says so; then a refusal by a later one says nothing of it. */
uint64_t meta_call(struct meta_call *m, enum method method, struct slice params, uint64_t deadline_ns, rpc_done done,
                   void *ctx);
void meta_call_cancel(struct meta_call *m, uint64_t call);
/* Delivers, retries, sends: call it after making calls, in the same pass. done may make and cancel calls, not free m. */
uint64_t meta_call_pass(struct meta_call *m, uint64_t now_ns); /* next deadline */
/* The cluster that the members said they belong to in their hellos; none when no member knows one yet. */
struct cluster_id meta_call_cluster(const struct meta_call *m);

#endif
