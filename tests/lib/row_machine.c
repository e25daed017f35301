#include "lib/row_machine.h"

#include <stdio.h>

#include "wire/descriptors.h"

static enum status apply(void *ctx, const struct machine_entry *e, const struct txn_view *view, struct arena *arena,
                         struct txn_writes *writes, uint64_t *ts, struct buf *answer)
{
    (void)ctx;
    (void)view;
    struct buf key;
    char text[16];
    buf_init(&key, 64);
    (void)snprintf(text, sizeof text, "k%05llu", (unsigned long long)e->index);
    key_encode_data(&key, e->desc->keyspace, slice_str(text));
    writes->items = arena_alloc(arena, sizeof *writes->items);
    writes->items[0] = (struct txn_write){.key = arena_dup_slice(arena, buf_slice(&key)), .value = e->command};
    writes->count = 1;
    buf_free(&key);
    *ts = e->index;
    buf_clear(answer);
    return STATUS_OK;
}

static enum status cut(void *ctx, void *state, const struct machine_cut *c, struct arena *arena,
                       struct txn_writes *writes)
{
    (void)ctx;
    (void)state;
    (void)c;
    (void)arena;
    (void)writes;
    return STATUS_OK;
}

static void join(void *ctx, void *left, void *right, const struct machine_cut *c, struct arena *arena,
                 struct txn_writes *writes)
{
    (void)right;
    (void)cut(ctx, left, c, arena, writes);
}

const struct machine_ops ROW_MACHINE = {.apply = apply, .cut = cut, .join = join};
