/* Framed connections and calls, on the net seam. Runs on the loop; callbacks come from rpc_pass of the owner, never from
 * inside a call of ours.
 *
 * Server side: an rpc_server accepts connections, checks the hello (version, cluster) and queues requests; the owner takes
 * them in its pass. Client side: an rpc_peer is one lasting outgoing connection to one address that reconnects by itself
 * (with growing pauses, at most 500 ms) and carries calls and notifies. */
#ifndef QUORATE_RPC_RPC_H
#define QUORATE_RPC_RPC_H

#include "base/list.h"
#include "env/env.h"
#include "wire/messages.h"

/* Who we are: shared by all connections of a process; may be filled in later (cluster id after init). */
struct rpc_identity {
    enum role role;
    uint64_t node_id;
    struct cluster_id cluster;
    uint32_t newest; /* cluster version that we support at most; 0: the program's */
    uint32_t
        finalised; /* that we know the cluster to be at; 0: not known. It only rises: who is too old is then let go */
};

/* --- server --- */
struct rpc_server;
struct rpc_conn; /* an accepted connection; alive while it has requests that were not answered (then possibly closed) */

struct rpc_request {  /* owned by the receiver until rpc_reply or rpc_request_drop */
    struct list link; /* free for the owner's queues */
    struct rpc_conn *conn;
    uint64_t id;
    enum method method;
    bool notify; /* no reply is wanted: rpc_request_drop */
    enum role peer_role;
    uint64_t peer_node_id;
    struct slice params; /* owned by the request */
    uint64_t received_ns;
};

/* `on_request` is called from rpc_server_pass for each request or notify, in order of arrival per connection; ownership
 * passes to the callee. */
MUST_CHECK enum status rpc_server_new(struct env *env, const char *address, const struct rpc_identity *self,
                                      void (*on_request)(void *ctx, struct rpc_request *), void *ctx,
                                      struct rpc_server **out, struct errbuf *err);
void rpc_server_free(struct rpc_server *s);                  /* all requests must have been answered or dropped */
void rpc_server_pass(struct rpc_server *s, uint64_t now_ns); /* parses, calls on_request; then rpc_server_flush sends */
void rpc_server_flush(struct rpc_server *s);                 /* one send per connection for all replies of the pass */

/* Before the process stops: the connected ones are told to send nothing more here, and new ones are refused. What has been sent
 * is still to be answered. Left: all have closed their connections, so no request can be lost on its way. */
void rpc_server_leave(struct rpc_server *s);
bool rpc_server_left(const struct rpc_server *s);

/* What the sender's process said of itself; as long as the request lives. */
const struct hello *rpc_request_hello(const struct rpc_request *r);
/* The processes that are connected now. */
void rpc_server_each(const struct rpc_server *s, void (*fn)(void *ctx, const struct hello *peer, const char *address),
                     void *ctx);

/* Frees the request. Packs [status.., payload] as reply_head; payload is already encoded. */
void rpc_reply(struct rpc_request *r, const struct reply_head *head);
void rpc_reply_status(struct rpc_request *r, enum status s, const char *message); /* definite refusal, or plain OK */
void rpc_request_drop(struct rpc_request *r);

/* --- client --- */
struct rpc_peer;
/* A call's end. status OK: head and payload are there (head->status tells the callee's verdict). STATUS_TIMEOUT,
 * STATUS_CLOSED: no answer; `sent` tells whether the request may have left us: if false it definitely did not happen.
 * STATUS_WRONG_CLUSTER: the other side belongs to another cluster; STATUS_UNSUPPORTED: it speaks another version;
 * STATUS_BUSY: too much waits for this peer; STATUS_TOO_LARGE: larger than a frame. All four with sent == false.
 * head is never NULL: without an answer it holds the status and a message for a person. Slices are borrowed for the call.
 * It may make, cancel and end other calls, but not free the peer. */
typedef void (*rpc_done)(void *ctx, enum status status, bool sent, const struct reply_head *head);

struct rpc_peer *rpc_peer_new(struct env *env, const char *address, const struct rpc_identity *self);
/* The address is said to be this one's: a connection is made with nobody else. An address may have become another's. */
void rpc_peer_expect(struct rpc_peer *p, enum role role, uint64_t node_id);
void rpc_peer_free(struct rpc_peer *p); /* calls under way end without callback */
const char *rpc_peer_address(const struct rpc_peer *p);
bool rpc_peer_connected(const struct rpc_peer *p); /* hello done */
bool rpc_peer_down(const struct rpc_peer *p);      /* the last attempt failed, and it is not connected again yet */
/* What the other side said of itself in the last hello that fitted; false if there was none yet. */
bool rpc_peer_hello(const struct rpc_peer *p, struct hello *out);
/* Starts a call with params already encoded (copied; empty: nil). done comes exactly once from rpc_peer_pass, or never after
 * rpc_call_cancel / rpc_peer_free. The first call or notify opens the connection; from then on it is kept. Calls made while
 * disconnected wait for the connection until their deadline, or until the next attempt fails (STATUS_CLOSED, not sent).
 * What was called goes out with the owner's next rpc_peer_pass: call it after making calls, in the same pass. */
uint64_t rpc_call(struct rpc_peer *p, enum method method, struct slice params, uint64_t deadline_ns, rpc_done done,
                  void *ctx);
void rpc_call_cancel(struct rpc_peer *p, uint64_t call);
/* The caller of this call, just made, can ask somebody else: when nothing is heard from the other side for half a second, not even the answer to a
 * ping, the call ends so early, as timed out. The connection, and other calls, stay. */
void rpc_call_elsewhere(struct rpc_peer *p, uint64_t call);
bool rpc_peer_silent(const struct rpc_peer *p); /* calls have ended so, and nothing has been heard since */
/* A notify is dropped when not connected or when more than the unsent ceiling waits; returns false then. */
bool rpc_notify(struct rpc_peer *p, enum method method, struct slice params);
size_t rpc_peer_unsent(const struct rpc_peer *p);
/* Delivers answers and timeouts, reconnects, sends. Returns the next deadline in ns. */
uint64_t rpc_peer_pass(struct rpc_peer *p, uint64_t now_ns);

#endif
