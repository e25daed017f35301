/* An admin's request to move one leadership: answered when the asked one leads, or when that is given up. */
#include "base/mem.h"
#include "node/node_int.h"

#define TRANSFER_NS (5000 * NS_PER_MS)

struct node_transfer {
    struct list link;
    struct rpc_request *req;
    struct range_transfer_request asked;
    bool begun;
    uint64_t deadline_ns;
};

static void transfer_end(struct node_transfer *t, const struct reply_head *head)
{
    list_remove(&t->link);
    rpc_reply(t->req, head);
    mem_free(t);
}

static void transfer_refuse(struct node_transfer *t, enum status s, const char *message)
{
    transfer_end(t, &(struct reply_head){.status = s, .message = slice_str(message)});
}

/* Leads already, or leads now: done. Given up: says why. Otherwise it waits on. */
static void transfer_step(struct node *n, struct node_transfer *t, uint64_t now_ns)
{
    struct replica *r = n->host == NULL ? NULL : host_replica(n->host, t->asked.range_id);
    struct errbuf err = {{0}};
    if (r == NULL) {
        transfer_refuse(t, STATUS_RANGE_NOT_FOUND, "no replica of that range is on this node");
        return;
    }
    uint64_t leader = replica_leader_node(r);
    bool ours = leader == n->self.node_id;
    if (leader == t->asked.node_id && (!ours || replica_leads(r))) {
        transfer_end(t, &(struct reply_head){.status = STATUS_OK, .message = SLICE_EMPTY});
    } else if (!t->begun) {
        enum status s = replica_transfer(r, t->asked.node_id, &err);
        t->begun = true;
        if (s == STATUS_OK) return;
        transfer_end(
            t, &(struct reply_head){.status = s, .message = slice_str(err.text), .leader_hint = ours ? 0 : leader});
    } else if (ours && !replica_transferring(r)) {
        transfer_refuse(t, STATUS_RETRY,
                        "the transfer was given up: the other replica did not catch up or answer in time");
    } else if (now_ns >= t->deadline_ns) {
        transfer_refuse(t, STATUS_TIMEOUT, "no leader was heard of in time after the transfer");
    }
}

void transfer_asked(struct node *n, struct rpc_request *req)
{
    struct node_transfer *t = mem_zalloc(sizeof *t);
    t->req = req;
    t->deadline_ns = req->received_ns + TRANSFER_NS;
    list_push_back(&n->transfers, &t->link);
    arena_reset(&n->arena);
    if (unpack_range_transfer_request(req->params, &n->arena, &t->asked) != STATUS_OK)
        transfer_refuse(t, STATUS_INVALID, "not a transfer request");
}

void transfers_pass(struct node *n, uint64_t now_ns)
{
    LIST_FOR(it, &n->transfers)
    {
        transfer_step(n, LIST_ENTRY(it, struct node_transfer, link), now_ns);
    }
}

void transfers_refuse(struct node *n)
{
    while (!list_empty(&n->transfers)) {
        transfer_refuse(LIST_ENTRY(n->transfers.next, struct node_transfer, link), STATUS_NOT_LEADER,
                        "the node is stopping and hands all its leaderships over");
    }
}
