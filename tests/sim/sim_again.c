#include "sim/sim_again.h"

#include "base/assert.h"
#include "base/cursor.h"
#include "wire/wire.h"

enum { SENDS_MAX = 12, FRAME_BYTES_MAX = 65536 };

/* [2, 0, method, ...]: a notification, in as few bytes as it can be written. */
static bool may_come_again(const uint8_t *frame, size_t size)
{
    const uint8_t *body = frame + FRAME_HEADER_BYTES;
    if (size < FRAME_HEADER_BYTES + 4 || size > FRAME_BYTES_MAX) return false;
    return body[0] == 0x94 && body[1] == FRAME_NOTIFY && body[2] == 0 &&
           (body[3] == METHOD_RAFT || body[3] == METHOD_LIVENESS);
}

/* A send is of whole frames. */
static bool find(struct prng *p, unsigned per_mille, struct slice bytes, size_t *at, size_t *size)
{
    for (*at = 0; *at + FRAME_HEADER_BYTES <= bytes.size; *at += *size) {
        *size = FRAME_HEADER_BYTES + le_u32(bytes.data + *at);
        ASSERT(*size <= bytes.size - *at);
        if (may_come_again(bytes.data + *at, *size) && prng_chance(p, per_mille, 1000)) return true;
    }
    return false;
}

struct sim_again_cut sim_again_pass(struct sim_again *a, struct prng *p, unsigned per_mille, struct slice bytes)
{
    struct sim_again_cut cut = {.before = bytes};
    size_t at, size;
    if (a->left > 0 && --a->left == 0) {
        cut.late = buf_slice(&a->frame);
        return cut;
    }
    if (a->left > 0 || !find(p, per_mille, bytes, &at, &size)) return cut;
    if (a->frame.max == 0) buf_init(&a->frame, FRAME_BYTES_MAX);
    buf_clear(&a->frame);
    buf_append(&a->frame, bytes.data + at, size);
    a->left = (unsigned)prng_between(p, 1, SENDS_MAX);
    if (prng_chance(p, 1, 2)) {
        COVER("sim.comes_twice");
        return cut;
    }
    COVER("sim.comes_late");
    cut.before = slice_make(bytes.data, at);
    cut.behind = slice_make(bytes.data + at + size, bytes.size - at - size);
    return cut;
}
