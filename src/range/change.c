/* Entries that change what the range is (docs/ranges.md): a function of the entry, of the range's state and of the machine's; so
 * the same on every replica. What becomes of it is carried out when its rows, the new state among them, are in the store. */
#include "base/assert.h"
#include "base/mutant.h"
#include "range/command.h"
#include "range/members_int.h"

#define CHANGE_WRITES 4u /* states of two ranges, with room */

bool change_is(const struct replica *r, const struct raft_entry *e)
{
    return r->host->owner.machine->cut != NULL && range_command_is(e->data);
}

void change_put_write(struct changing *c, struct txn_write w)
{
    struct txn_write *items = arena_alloc(c->arena, (c->writes->count + 1) * sizeof *items);
    if (c->writes->count > 0) memcpy(items, c->writes->items, c->writes->count * sizeof *items);
    items[c->writes->count++] = w;
    c->writes->items = items;
}

void change_put_state(struct changing *c, const struct range_state *s, uint64_t version)
{
    struct buf key, value;
    buf_init(&key, LSM_KEY_MAX);
    buf_init(&value, LIMIT_FRAME_BYTES);
    key_encode_range(&key, s->desc.keyspace, s->desc.start);
    range_state_pack(&value, s);
    change_put_write(c, (struct txn_write){.by_index = true,
                                           .ts = version,
                                           .key = arena_dup_slice(c->arena, buf_slice(&key)),
                                           .value = arena_dup_slice(c->arena, buf_slice(&value))});
    buf_free(&key);
    buf_free(&value);
}

/* --- split --- */

static void put_birth(struct changing *c)
{
    struct buf key, value;
    buf_init(&key, 16);
    buf_init(&value, LIMIT_FRAME_BYTES);
    birth_row_key(&key, c->out->right.desc.id);
    birth_row_value(&value, c->out, c->r->desc->id, c->index);
    change_put_write(c, (struct txn_write){.by_index = true,
                                           .ts = 1,
                                           .key = arena_dup_slice(c->arena, buf_slice(&key)),
                                           .value = arena_dup_slice(c->arena, buf_slice(&value))});
    buf_free(&key);
    buf_free(&value);
}

static bool key_is_inside(const struct range_desc *d, struct slice key)
{
    if (key.size == 0 || key.size > LIMIT_KEY_BYTES) return false;
    int beyond = slice_cmp(key, d->start);
    if (beyond < 0 || (beyond == 0 && !MUTANT(split_at_start))) return false;
    return d->end.size == 0 || slice_cmp(key, d->end) < 0;
}

static enum status split(struct changing *c)
{
    struct replica *r = c->r;
    const struct host_owner *o = &r->host->owner;
    struct range_change *out = c->out;
    if (replica_lineage(r)->merge.phase != RANGE_NORMAL || range_desc_joint(r->desc)) return STATUS_RETRY;
    if (!key_is_inside(r->desc, c->command->key) || c->command->other == r->desc->id) return STATUS_INVALID;
    out->left = out->right = replica_range(r);
    out->left.desc.epoch.version++;
    out->left.desc.end = c->command->key;
    out->left.end_since = 0;
    out->right.desc.epoch.version++;
    out->right.desc.id = c->command->other;
    out->right.desc.start = c->command->key;
    out->right.row_base = r->row_base + c->index;
    struct machine_cut cut = {.left = &out->left.desc,
                              .right = &out->right.desc,
                              .left_version = r->row_base + c->index,
                              .right_version = out->right.row_base + BIRTH_INDEX};
    enum status s = o->machine->cut(o->machine_ctx, replica_machine_state(r), &cut, c->arena, c->writes);
    if (s != STATUS_OK) return s;
    if (MUTANT(split_forgets_held)) c->writes->count = 0;
    change_put_state(c, &out->left, cut.left_version);
    change_put_state(c, &out->right, cut.right_version);
    out->splits = true;
    out->leader = c->command->leader;
    put_birth(c);
    return STATUS_OK;
}

/* --- all kinds --- */

static enum status evaluate(struct changing *c)
{
    const struct range_epoch *now = &c->r->desc->epoch, *then = &c->command->epoch;
    if (now->version != then->version) return STATUS_EPOCH_MISMATCH;
    switch (c->command->kind) {
    case RANGE_SPLIT: return split(c);
    case RANGE_INTEND:
    case RANGE_INTEND_SINCE:
    case RANGE_FREEZE:
    case RANGE_COMMIT:
    case RANGE_ABORT:
    case RANGE_THAW: return merge_evaluate(c);
    }
    BUG("range command");
}

enum status change_evaluate(struct replica *r, const struct raft_entry *e, struct txn_writes *writes,
                            struct range_change *out)
{
    struct range_command command;
    if (range_command_decode(e->data, &command) != STATUS_OK) BUG("a log entry that is no command of this version");
    struct changing c = {
        .r = r, .command = &command, .index = e->index, .arena = &r->host->apply_arena, .writes = writes, .out = out};
    enum status s = evaluate(&c);
    if (s == STATUS_MISS) return s;
    out->effective = s == STATUS_OK;
    if (!out->effective) {
        COVER("range.change_refused");
        writes->count = 0;
        out->splits = false;
        out->absorbs = NULL;
    }
    buf_append_byte(&r->host->answer, (uint8_t)s);
    return STATUS_OK;
}

enum status change_config(struct replica *r, const struct raft_entry *e, struct txn_writes *writes,
                          struct range_change *out)
{
    struct changing c = {.r = r, .index = e->index, .arena = &r->host->apply_arena, .writes = writes, .out = out};
    out->left = replica_range(r);
    reconfigure_desc(r->desc, e->data, &out->left.desc);
    /* Alone again in a new epoch: what it intended to take in finds its version risen, and goes on by itself. */
    bool jumps = out->left.desc.epoch.version != r->desc->epoch.version;
    if (jumps && replica_lineage(r)->merge.phase == RANGE_INTENDING)
        out->left.merge = (struct range_phase_of){.phase = RANGE_NORMAL};
    change_put_state(&c, &out->left, r->row_base + e->index);
    out->effective = out->reconfigures = true;
    return STATUS_OK;
}

bool replica_changes_ahead(const struct replica *r)
{
    for (uint64_t i = r->applied + 1; i <= raft_last_index(r->raft); i++) {
        const struct raft_entry *e = raft_entry_at(r->raft, i);
        if (e != NULL && e->type == RAFT_ENTRY_COMMAND && change_is(r, e)) return true;
    }
    return false;
}

static void reconfigure(struct replica *r, const struct range_change *c)
{
    struct range_desc former; /* its keys are void behind this */
    range_desc_copy(&former, r->desc);
    replica_set_range(r, &c->left);
    reconfigure_carry_out(r, &former);
    if (r->host->owner.changed != NULL) r->host->owner.changed(r->host->owner.ctx, r);
}

void change_carry_out(struct replica *r, const struct range_change *c)
{
    if (c->reconfigures) {
        reconfigure(r, c);
        return;
    }
    struct host *h = r->host;
    uint64_t index = r->applied + 1;
    if (c->splits) {
        COVER("range.split");
        log_event(h->env->log, LOG_INFO, "range.split", "range=%llu right=%llu version=%llu index=%llu",
                  (unsigned long long)r->desc->id, (unsigned long long)c->right.desc.id,
                  (unsigned long long)c->left.desc.epoch.version, (unsigned long long)index);
        birth_of(r, c, index);
    }
    replica_set_range(r, &c->left); /* what c borrows from the former state ends here */
    log_event(h->env->log, LOG_INFO, "range.changed", "range=%llu version=%llu phase=%d index=%llu",
              (unsigned long long)r->desc->id, (unsigned long long)r->desc->epoch.version,
              (int)replica_lineage(r)->merge.phase, (unsigned long long)index);
    if (c->absorbs != NULL) merge_absorb(r, c->absorbs, index);
    if (c->splits || c->absorbs != NULL) replica_state_reset(r); /* who waits there is told the new state of things */
    if (h->owner.changed != NULL) h->owner.changed(h->owner.ctx, r);
}
