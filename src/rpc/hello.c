#include "rpc/rpc_int.h"

#include "base/buf.h"

void rpc_hello_fill(struct hello *h, const struct rpc_identity *self)
{
    *h = (struct hello){
        .version = PROTOCOL_VERSION, .role = self->role, .node_id = self->node_id, .cluster = self->cluster};
}

static void cluster_text(const struct cluster_id *id, char text[2 * CLUSTER_ID_BYTES + 1])
{
    static const char DIGITS[] = "0123456789abcdef";
    for (size_t i = 0; i < CLUSTER_ID_BYTES; i++) {
        text[2 * i] = DIGITS[id->bytes[i] >> 4];
        text[2 * i + 1] = DIGITS[id->bytes[i] & 15];
    }
    text[2 * CLUSTER_ID_BYTES] = '\0';
}

enum status rpc_hello_check(const struct rpc_identity *self, const struct hello *other, const char *peer,
                            struct errbuf *err)
{
    if (other->version != PROTOCOL_VERSION) {
        errbuf_set(err, "%s speaks protocol version %u, this process version %u; run the same release on both", peer,
                   (unsigned)other->version, (unsigned)PROTOCOL_VERSION);
        return STATUS_UNSUPPORTED;
    }
    if (cluster_id_is_none(&self->cluster) || cluster_id_is_none(&other->cluster)) return STATUS_OK;
    if (memcmp(self->cluster.bytes, other->cluster.bytes, CLUSTER_ID_BYTES) == 0) return STATUS_OK;
    char theirs[2 * CLUSTER_ID_BYTES + 1], ours[2 * CLUSTER_ID_BYTES + 1];
    cluster_text(&other->cluster, theirs);
    cluster_text(&self->cluster, ours);
    errbuf_set(err, "%s belongs to cluster %s, this process to cluster %s; check the address or the data directory",
               peer, theirs, ours);
    return STATUS_WRONG_CLUSTER;
}
