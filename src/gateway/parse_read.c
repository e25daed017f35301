/* The modes of reads, from words (docs/reads.md). */
#include "gateway/parse.h"
#include "gateway/uri.h"

static enum status take_mode(const struct read_words *w, struct read_how *out, struct errbuf *err)
{
    if (!w->has_mode) return STATUS_OK;
    for (int m = READ_STRONG; m <= READ_EVENTUAL; m++) {
        if (!slice_eq(w->mode, slice_str(read_mode_name((enum read_mode)m)))) continue;
        out->mode = (enum read_mode)m;
        return STATUS_OK;
    }
    errbuf_set(err, "read: expected strong, snapshot, bounded or eventual");
    return STATUS_INVALID;
}

static enum status take_replica(const struct read_words *w, struct read_how *out, struct errbuf *err)
{
    if (!w->has_replica) return STATUS_OK;
    if (out->mode == READ_BOUNDED || out->mode == READ_EVENTUAL) {
        errbuf_set(err, "replica: has a meaning with read=strong and read=snapshot only; %s chooses a replica itself",
                   read_mode_name(out->mode));
        return STATUS_INVALID;
    }
    out->any_replica = slice_eq(w->replica, slice_str("any"));
    if (out->any_replica || slice_eq(w->replica, slice_str("leader"))) return STATUS_OK;
    errbuf_set(err, "replica: expected leader or any");
    return STATUS_INVALID;
}

enum status read_how_parse(const struct read_words *w, struct read_how *out, struct errbuf *err)
{
    uint64_t ms = 0;
    *out = (struct read_how){.mode = READ_STRONG};
    enum status s = take_mode(w, out, err);
    if (s == STATUS_OK) s = take_replica(w, out, err);
    if (s != STATUS_OK) return s;
    if (w->has_at && out->mode != READ_SNAPSHOT) {
        errbuf_set(err, "at: has a meaning with read=snapshot only");
        return STATUS_INVALID;
    }
    if (w->has_at && (!text_to_u64(w->at, UINT64_MAX - 1, &out->ts) || out->ts == 0)) {
        errbuf_set(err, "at: expected a timestamp as an earlier answer gave it; leave it out to read as of now");
        return STATUS_INVALID;
    }
    if (w->has_max_staleness_ms != (out->mode == READ_BOUNDED)) {
        errbuf_set(err, "read=bounded and max_staleness_ms go together");
        return STATUS_INVALID;
    }
    if (w->has_max_staleness_ms && (!text_to_u64(w->max_staleness_ms, UINT32_MAX - 1, &ms) || ms == 0)) {
        errbuf_set(err, "max_staleness_ms: expected a number of milliseconds above 0; for 0 ask for read=strong");
        return STATUS_INVALID;
    }
    out->max_staleness_ms = (uint32_t)ms;
    return STATUS_OK;
}
