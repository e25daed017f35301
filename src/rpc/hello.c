#include "rpc/rpc_int.h"

#include "base/buf.h"

#include <stdio.h>

static uint32_t newest_of(const struct rpc_identity *self)
{
    return self->newest != 0 ? self->newest : version_newest();
}

void rpc_hello_fill(struct hello *h, const struct rpc_identity *self)
{
    *h = (struct hello){.version = PROTOCOL_VERSION,
                        .role = self->role,
                        .node_id = self->node_id,
                        .cluster = self->cluster,
                        .newest = newest_of(self),
                        .oldest = version_oldest(),
                        .finalised = self->finalised};
    (void)snprintf(h->release, sizeof h->release, "%s", version_release());
}

bool rpc_too_old(const struct rpc_identity *self, const struct hello *other)
{
    return other->newest < self->finalised;
}

/* Each supports what the other knows to be finalised; else err says who does not. */
static enum status versions_fit(const struct rpc_identity *self, const struct hello *other, const char *peer,
                                struct errbuf *err)
{
    static const char CURE[] = "install a release that supports it; `quorate upgrade status` shows who runs what";
    if (rpc_too_old(self, other)) {
        errbuf_set(err, "the cluster has been finalised at version %u, and %s (release %s) supports up to %u: %s",
                   (unsigned)self->finalised, peer, other->release[0] != '\0' ? other->release : "before 0.2",
                   (unsigned)other->newest, CURE);
    } else if (newest_of(self) < other->finalised) {
        errbuf_set(
            err,
            "the cluster of %s has been finalised at version %u, and this process (release %s) supports up to %u: %s",
            peer, (unsigned)other->finalised, version_release(), (unsigned)newest_of(self), CURE);
    } else if (self->finalised != 0 && other->oldest > self->finalised) {
        errbuf_set(
            err,
            "the cluster is at version %u, and %s (release %s) supports %u and later: finalise a release between first",
            (unsigned)self->finalised, peer, other->release, (unsigned)other->oldest);
    } else if (other->finalised != 0 && version_oldest() > other->finalised) {
        errbuf_set(err,
                   "the cluster of %s is at version %u, and this process (release %s) supports %u and later: finalise "
                   "a release between first",
                   peer, (unsigned)other->finalised, version_release(), (unsigned)version_oldest());
    } else {
        return STATUS_OK;
    }
    bool theirs = rpc_too_old(self, other) || (self->finalised != 0 && other->oldest > self->finalised);
    return theirs ? STATUS_UNSUPPORTED : STATUS_UNAVAILABLE;
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
    enum status fit = versions_fit(self, other, peer, err);
    if (fit != STATUS_OK) return fit;
    if (cluster_id_is_none(&self->cluster) || cluster_id_is_none(&other->cluster)) return STATUS_OK;
    if (memcmp(self->cluster.bytes, other->cluster.bytes, CLUSTER_ID_BYTES) == 0) return STATUS_OK;
    char theirs[2 * CLUSTER_ID_BYTES + 1], ours[2 * CLUSTER_ID_BYTES + 1];
    cluster_text(&other->cluster, theirs);
    cluster_text(&self->cluster, ours);
    errbuf_set(err, "%s belongs to cluster %s, this process to cluster %s; check the address or the data directory",
               peer, theirs, ours);
    return STATUS_WRONG_CLUSTER;
}

enum status rpc_refusal(const struct hello *other, enum status why)
{
    if (why == STATUS_UNAVAILABLE) return STATUS_UNSUPPORTED;
    return why == STATUS_UNSUPPORTED && other->version == PROTOCOL_VERSION ? STATUS_CLOSED : why;
}
