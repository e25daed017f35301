/* libFuzzer entry: any bytes as a stream of frames, as each message, as raft envelopes, as rows of a snapshot.
 * Run by `make fuzz` and `make replay`. */
#include "base/assert.h"
#include "wire/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct scratch {
    struct arena arena;
    struct buf again;
};

/* What is accepted can be packed again, and is then accepted again. Messages take a small multiple of their bytes. */
#define TRY(type)                                                                                                      \
    static void try_##type(struct scratch *k, struct slice bytes)                                                      \
    {                                                                                                                  \
        struct type m;                                                                                                 \
        arena_reset(&k->arena);                                                                                        \
        enum status s = unpack_##type(bytes, &k->arena, &m);                                                           \
        ASSERT(k->arena.used <= 64 * bytes.size + 4096);                                                               \
        if (s != STATUS_OK) return;                                                                                    \
        buf_clear(&k->again);                                                                                          \
        pack_##type(&k->again, &m);                                                                                    \
        ASSERT(!k->again.overflow);                                                                                    \
        ASSERT(unpack_##type(buf_slice(&k->again), &k->arena, &m) == STATUS_OK);                                       \
    }
MESSAGE_MAP(TRY)
#undef TRY

static void try_message(struct scratch *k, unsigned number, struct slice bytes)
{
    static void (*const tries[])(struct scratch *, struct slice) = {
#define TRY_NAME(type) try_##type,
        MESSAGE_MAP(TRY_NAME)
#undef TRY_NAME
    };
    tries[number % (sizeof(tries) / sizeof(tries[0]))](k, bytes);
}

static void try_raft(struct scratch *k, struct slice bytes)
{
    arena_reset(&k->arena);
    struct unpack u = unpack_make(bytes);
    uint32_t count = unpack_array(&u);
    for (uint32_t i = 0; i < count && !u.failed; i++) {
        struct raft_envelope e;
        if (unpack_raft_envelope(&u, &k->arena, &e) != STATUS_OK) break;
        buf_clear(&k->again);
        pack_raft_envelope(&k->again, &e);
    }
}

static void try_frames(struct scratch *k, struct slice rest)
{
    struct frame f;
    size_t used;
    while (frame_parse(rest, &f, &used) == STATUS_OK) {
        ASSERT(used <= rest.size);
        try_message(k, f.method, f.params);
        rest = slice_make(rest.data + used, rest.size - used);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    struct scratch k;
    arena_init(&k.arena, 4096);
    buf_init(&k.again, 1u << 26);
    struct slice rest = slice_make(data + 1, size - 1);
    try_message(&k, data[0], rest);
    try_raft(&k, rest);
    try_frames(&k, rest);
    struct unpack u = unpack_make(rest);
    unpack_skip(&u);
    struct snapshot_row row;
    while (snapshot_row_next(&rest, &row) == STATUS_OK) {
        buf_clear(&k.again);
        snapshot_row_append(&k.again, &row);
    }
    arena_free(&k.arena);
    buf_free(&k.again);
    return 0;
}
