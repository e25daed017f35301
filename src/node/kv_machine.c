/* The key-value machine: a log entry is a transaction, or a step of one over several ranges (txn/command.h), applied if the range
 * is still what it was when it was proposed. An empty answer says that it is not: EPOCH_MISMATCH, nothing done, on every replica
 * alike. What a replica remembers between entries are the held transactions (txn/table.h). */
#include "base/assert.h"
#include "node/watch.h"
#include "wire/versions.h"

/* A release that does not know of it (docs/upgrade.md). */
static bool plays_former(const struct node *n)
{
    return n->self.newest != 0 && !feature_on(n->self.newest, FEATURE_PREPARES_SHARED);
}

static enum status kv_apply(void *ctx, const struct machine_entry *e, const struct txn_view *view, struct arena *arena,
                            struct txn_writes *writes, uint64_t *ts, struct buf *answer)
{
    struct txn_command c;
    struct kv_state *state = e->state;
    if (txn_command_decode(e->command, &c) != STATUS_OK) BUG("a log entry that is no command of this version");
    if (c.kind == TXN_COMMAND_PREPARES && plays_former(ctx)) BUG("a log entry that is no command of this release");
    *ts = 0;
    if (c.version != e->desc->epoch.version) {
        COVER("apply.epoch_mismatch");
        writes->count = 0;
        return STATUS_OK;
    }
    if (txn_command_has_ts(c.kind)) *ts = c.ts;
    struct txn_entry entry = {.command = &c,
                              .range_id = e->desc->id,
                              .index = e->index,
                              .keyspace = e->desc->keyspace,
                              .range_start = e->desc->start};
    enum status s = txn_table_apply(state->table, &entry, view, arena, writes, answer);
    if (s == STATUS_OK) ASSERT_SLOW((txn_table_check(state->table), true));
    if (s == STATUS_OK && (c.kind == TXN_COMMAND_DECIDE || c.kind == TXN_COMMAND_STEPS)) locks_changed(state);
    return s;
}

static size_t kv_reads(void *ctx, const struct machine_entry *e, struct arena *arena, struct slice **keys)
{
    (void)ctx;
    struct txn_command c;
    const struct kv_state *state = e->state;
    return txn_command_decode(e->command, &c) == STATUS_OK ? txn_table_reads(state->table, &c, arena, keys) : 0;
}

static void kv_applied(void *ctx, const struct machine_entry *e, const struct txn_writes *writes, uint64_t ts)
{
    (void)ctx;
    struct kv_state *state = e->state;
    if (state->watched != NULL) watched_take(state, writes, ts);
}

static void kv_state_prefix(void *ctx, const struct range_desc *desc, struct buf *prefix)
{
    (void)ctx;
    key_encode_held(prefix, desc->keyspace, desc->start, NULL);
}

static enum status kv_state_load(void *ctx, void *state, struct slice key, struct slice value)
{
    (void)ctx;
    struct kv_state *s = state;
    return txn_table_load(s->table, key, value);
}

static struct txn_cut cut_of(const struct machine_cut *c)
{
    return (struct txn_cut){.keyspace = c->left->keyspace,
                            .left_start = c->left->start,
                            .right_start = c->right->start,
                            .left_version = c->left_version,
                            .right_version = c->right_version};
}

static enum status kv_cut(void *ctx, void *state, const struct machine_cut *c, struct arena *arena,
                          struct txn_writes *writes)
{
    (void)ctx;
    const struct kv_state *s = state;
    struct txn_cut cut = cut_of(c);
    return txn_table_cut(s->table, &cut, arena, writes);
}

static void kv_join(void *ctx, void *left, void *right, const struct machine_cut *c, struct arena *arena,
                    struct txn_writes *writes)
{
    (void)ctx;
    const struct kv_state *l = left, *r = right;
    struct txn_cut cut = cut_of(c);
    txn_table_join(l->table, r->table, &cut, arena, writes);
}

const struct machine_ops kv_machine_ops = {.apply = kv_apply,
                                           .reads = kv_reads,
                                           .applied = kv_applied,
                                           .state_new = locks_state_new,
                                           .state_free = locks_state_free,
                                           .state_prefix = kv_state_prefix,
                                           .state_load = kv_state_load,
                                           .cut = kv_cut,
                                           .join = kv_join};
