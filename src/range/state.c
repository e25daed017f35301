#include "range/state.h"

#include "base/mem.h"
#include "base/mutant.h"
#include "wire/messages.h"

/* Beside any key versions only rise. The one right after the intent's is of its COMMIT, or of what ended it otherwise; and a COMMIT takes the end
 * away. */
bool range_intent_is_over(uint64_t now, uint64_t end_since, uint64_t version)
{
    if (now <= version) return false;
    bool stood = end_since != 0 && end_since <= version;
    return stood || now == version + 1 || MUTANT(thaws_unproven);
}

void range_state_pack(struct buf *out, const struct range_state *s)
{
    struct buf desc;
    buf_init(&desc, LIMIT_FRAME_BYTES);
    pack_range_desc(&desc, &s->desc);
    pack_array(out, s->end_since != 0 ? 7 : 6);
    pack_bin(out, buf_slice(&desc));
    pack_uint(out, s->row_base);
    pack_uint(out, (uint64_t)s->merge.phase);
    pack_uint(out, s->merge.with);
    pack_uint(out, s->merge.version);
    pack_uint(out, s->merge.frozen_at);
    if (s->end_since != 0) pack_uint(out, s->end_since);
    buf_free(&desc);
}

enum status range_state_unpack(struct slice bytes, struct range_state *out)
{
    struct unpack u = unpack_make(bytes);
    struct arena arena; /* a descriptor's slices borrow from the bytes alone */
    *out = (struct range_state){.row_base = 0};
    uint32_t extra = unpack_open(&u, 6);
    struct slice desc = unpack_bin(&u);
    out->row_base = unpack_uint(&u);
    uint64_t phase = unpack_uint(&u);
    out->merge.with = unpack_uint(&u);
    out->merge.version = unpack_uint(&u);
    out->merge.frozen_at = unpack_uint(&u);
    if (extra > 0) out->end_since = unpack_uint(&u);
    unpack_close(&u, extra > 0 ? extra - 1 : 0);
    if (!unpack_done(&u) || phase > RANGE_FROZEN) return STATUS_INVALID;
    out->merge.phase = (enum range_phase)phase;
    arena_init(&arena, 64);
    enum status s = unpack_range_desc(desc, &arena, &out->desc);
    arena_free(&arena);
    return s;
}

bool range_epoch_newer(const struct range_epoch *a, const struct range_epoch *than)
{
    return a->version > than->version || (a->version == than->version && a->conf_ver > than->conf_ver);
}

struct range_desc *range_desc_keep(const struct range_desc *d)
{
    size_t size = range_desc_size(d);
    struct range_desc *own = mem_alloc(size + d->start.size + d->end.size);
    uint8_t *keys = (uint8_t *)own + size;
    range_desc_copy(own, d);
    if (d->start.size > 0) memcpy(keys, d->start.data, d->start.size);
    if (d->end.size > 0) memcpy(keys + d->start.size, d->end.data, d->end.size);
    own->start = slice_make(keys, d->start.size);
    own->end = slice_make(keys + d->start.size, d->end.size);
    return own;
}

void range_desc_span(const struct range_desc *d, struct buf *start, struct buf *end)
{
    key_encode_bound(start, d->keyspace, d->start);
    key_encode_bound(end, d->end.size > 0 ? d->keyspace : d->keyspace + 1, d->end);
}

static bool reaches(const struct range_desc *d, struct slice key)
{
    return d->end.size == 0 || slice_cmp(d->end, key) > 0;
}

bool range_desc_overlaps(const struct range_desc *a, const struct range_desc *b)
{
    return a->keyspace == b->keyspace && reaches(a, b->start) && reaches(b, a->start);
}
