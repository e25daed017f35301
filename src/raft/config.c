/* Configurations: quorums over one set of voters or two (joint consensus, thesis 4.3), their encoding, and the one that is in
 * force: always the latest in the log, committed or not (thesis 4.1). */
#include "base/assert.h"
#include "base/cursor.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "raft/raft_int.h"

enum { CONFIG_PLAIN = 1, CONFIG_NOTED = 2 }; /* versions of the encoding */
#define CONFIG_BYTES_MAX (4u + 8u * RAFT_MEMBERS_MAX)

static bool has_id(const uint64_t *ids, unsigned count, uint64_t id)
{
    for (unsigned i = 0; i < count; i++) {
        if (ids[i] == id) return true;
    }
    return false;
}

/* The value that more than half of the ids reach: the (n / 2 + 1)-th largest. */
static uint64_t majority_value(const uint64_t *ids, unsigned count, raft_value_fn *value, const void *ctx)
{
    uint64_t sorted[RAFT_VOTERS_MAX];
    ASSERT(count <= RAFT_VOTERS_MAX);
    for (unsigned i = 0; i < count; i++) {
        uint64_t v = value(ctx, ids[i]);
        unsigned at = i;
        for (; at > 0 && sorted[at - 1] < v; at--) sorted[at] = sorted[at - 1];
        sorted[at] = v;
    }
    if (MUTANT(quorum_too_small) && count > 1) return sorted[count / 2 - 1];
    return count == 0 ? 0 : sorted[count / 2];
}

uint64_t raft_config_quorum(const struct raft_config *c, raft_value_fn *value, const void *ctx)
{
    uint64_t v = majority_value(c->voters, c->voter_count, value, ctx);
    if (!raft_config_is_joint(c)) return v;
    uint64_t old = majority_value(c->old_voters, c->old_voter_count, value, ctx);
    return v < old ? v : old;
}

bool raft_config_is_joint(const struct raft_config *c)
{
    return c->old_voter_count > 0;
}

bool raft_config_is_voter(const struct raft_config *c, uint64_t id)
{
    return has_id(c->voters, c->voter_count, id) || has_id(c->old_voters, c->old_voter_count, id);
}

bool raft_config_is_member(const struct raft_config *c, uint64_t id)
{
    return raft_config_is_voter(c, id) || has_id(c->learners, c->learner_count, id);
}

bool raft_config_same_voters(const struct raft_config *a, const struct raft_config *b)
{
    if (a->voter_count != b->voter_count) return false;
    for (unsigned i = 0; i < a->voter_count; i++) {
        if (!has_id(b->voters, b->voter_count, a->voters[i])) return false;
    }
    return true;
}

static bool ids_distinct(const uint64_t *ids, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (ids[i] == 0 || has_id(ids, i, ids[i])) return false;
    }
    return true;
}

/* An old voter may be a learner of the joint configuration: it is being demoted, and votes until the joint phase ends. */
bool raft_config_is_valid(const struct raft_config *c)
{
    if (c->voter_count > RAFT_VOTERS_MAX || c->old_voter_count > RAFT_VOTERS_MAX) return false;
    if (c->learner_count > RAFT_VOTERS_MAX || c->voter_count == 0) return false;
    if (!ids_distinct(c->voters, c->voter_count) || !ids_distinct(c->old_voters, c->old_voter_count)) return false;
    if (!ids_distinct(c->learners, c->learner_count)) return false;
    for (unsigned i = 0; i < c->learner_count; i++) {
        if (has_id(c->voters, c->voter_count, c->learners[i])) return false;
    }
    return true;
}

static size_t add_members(uint64_t *ids, size_t count, const uint64_t *more, unsigned more_count)
{
    for (unsigned i = 0; i < more_count; i++) {
        if (!has_id(ids, (unsigned)count, more[i])) ids[count++] = more[i];
    }
    return count;
}

size_t raft_config_members(const struct raft_config *c, uint64_t ids[RAFT_MEMBERS_MAX])
{
    size_t count = add_members(ids, 0, c->voters, c->voter_count);
    count = add_members(ids, count, c->old_voters, c->old_voter_count);
    return add_members(ids, count, c->learners, c->learner_count);
}

/* --- encoding: docs/raft.md has the byte table --- */

static void put_ids(struct buf *out, const uint64_t *ids, unsigned count)
{
    for (unsigned i = 0; i < count; i++) buf_put_u64(out, ids[i]);
}

void raft_config_encode(const struct raft_config *c, struct slice note, struct buf *out)
{
    ASSERT(note.size <= RAFT_NOTE_BYTES_MAX);
    buf_put_u8(out, note.size > 0 ? CONFIG_NOTED : CONFIG_PLAIN);
    buf_put_u8(out, (uint8_t)c->voter_count);
    buf_put_u8(out, (uint8_t)c->old_voter_count);
    buf_put_u8(out, (uint8_t)c->learner_count);
    put_ids(out, c->voters, c->voter_count);
    put_ids(out, c->old_voters, c->old_voter_count);
    put_ids(out, c->learners, c->learner_count);
    buf_append_slice(out, note);
}

static void take_ids(struct cursor *in, uint64_t *ids, unsigned count)
{
    for (unsigned i = 0; i < count; i++) ids[i] = cursor_u64(in);
}

enum status raft_config_decode(struct slice data, struct raft_config *out)
{
    memset(out, 0, sizeof(*out));
    struct cursor in = cursor_make(data);
    uint8_t version = cursor_u8(&in);
    if (!in.failed && version != CONFIG_PLAIN && version != CONFIG_NOTED) return STATUS_UNSUPPORTED;
    out->voter_count = cursor_u8(&in);
    out->old_voter_count = cursor_u8(&in);
    out->learner_count = cursor_u8(&in);
    bool counts_fit = out->voter_count <= RAFT_VOTERS_MAX && out->old_voter_count <= RAFT_VOTERS_MAX &&
                      out->learner_count <= RAFT_VOTERS_MAX;
    if (counts_fit) {
        take_ids(&in, out->voters, out->voter_count);
        take_ids(&in, out->old_voters, out->old_voter_count);
        take_ids(&in, out->learners, out->learner_count);
    }
    size_t note = cursor_left(&in);
    bool note_fits = version == CONFIG_PLAIN ? note == 0 : note > 0 && note <= RAFT_NOTE_BYTES_MAX;
    if (counts_fit && !in.failed && note_fits && raft_config_is_valid(out)) return STATUS_OK;
    memset(out, 0, sizeof(*out));
    return STATUS_CORRUPT;
}

struct slice raft_config_note(struct slice data)
{
    if (data.size < 4 || data.data[0] != CONFIG_NOTED) return SLICE_EMPTY;
    size_t ids = 8 * ((size_t)data.data[1] + data.data[2] + data.data[3]);
    return slice_make(data.data + 4 + ids, data.size - 4 - ids);
}

/* --- the one in force --- */

static void set_base_bytes(struct raft *r, struct slice bytes)
{
    struct slice copy = bytes.size > 0 ? mem_dup_slice(bytes) : SLICE_EMPTY;
    if (r->base_config.size > 0) mem_free((void *)(uintptr_t)r->base_config.data);
    r->base_config = copy;
}

void raft_config_set_base(struct raft *r, const struct raft_config *c)
{
    struct buf b;
    buf_init(&b, CONFIG_BYTES_MAX);
    if (c->voter_count > 0) raft_config_encode(c, SLICE_EMPTY, &b);
    ASSERT(!b.overflow);
    set_base_bytes(r, buf_slice(&b));
    buf_free(&b);
}

/* Most groups have the configuration of their base in force: then it is not kept twice. */
static void base_only(struct raft *r, uint64_t base_index)
{
    if (r->config_index == base_index) set_base_bytes(r, SLICE_EMPTY);
}

void raft_config_enter(struct raft *r, const struct raft_config *c, uint64_t index)
{
    uint64_t base_index = r->log.base_index;
    if (index > base_index && r->config_index == base_index && r->base_config.size == 0)
        raft_config_set_base(r, r->config);
    raft_config_hold(r, c);
    r->config_index = index;
    r->config_changed = true;
    base_only(r, base_index);
    if (r->peers != NULL) raft_peers_rebuild(r);
}

/* A replica that was never told of a configuration has none at its base: no members, and so it never campaigns. */
static void base_config_decode(const struct raft *r, struct raft_config *c)
{
    memset(c, 0, sizeof(*c));
    if (r->base_config.size == 0 && r->config_index == r->log.base_index) *c = *r->config;
    if (r->base_config.size == 0) return;
    enum status s = raft_config_decode(r->base_config, c);
    ASSERT(s == STATUS_OK);
}

/* The last configuration entry in (base, upto], or NULL. */
static const struct raft_entry *last_config_entry(const struct raft *r, uint64_t upto)
{
    for (uint64_t i = upto; i > r->log.base_index; i--) {
        const struct raft_entry *e = raft_log_at(&r->log, i);
        if (e->type == RAFT_ENTRY_CONFIG) return e;
    }
    return NULL;
}

/* The configuration as of `upto`; the index of its entry, or the base's. */
static uint64_t config_as_of(const struct raft *r, uint64_t upto, struct raft_config *c)
{
    const struct raft_entry *e = last_config_entry(r, upto);
    if (e == NULL) {
        base_config_decode(r, c);
        return r->log.base_index;
    }
    enum status s = raft_config_decode(e->data, c);
    ASSERT(s == STATUS_OK); /* looked at when it came (raft_config_entries_valid), and checksummed on disk */
    return e->index;
}

void raft_config_reload(struct raft *r)
{
    struct raft_config c;
    uint64_t index = config_as_of(r, raft_log_last(&r->log), &c);
    raft_config_enter(r, &c, index);
}

bool raft_config_at(const struct raft *r, uint64_t index, struct raft_config *out)
{
    if (index < r->log.base_index || index > raft_log_last(&r->log)) return false;
    (void)config_as_of(r, index, out);
    return true;
}

void raft_config_rebase(struct raft *r, uint64_t index)
{
    const struct raft_entry *e = last_config_entry(r, index);
    if (e != NULL) set_base_bytes(r, e->data);
    if (r->config_index < index) r->config_index = index;
    base_only(r, index);
}

bool raft_config_entries_valid(const struct raft_message *m)
{
    for (size_t i = 0; i < m->entry_count; i++) {
        struct raft_config c;
        if (m->entries[i].type != RAFT_ENTRY_CONFIG) continue;
        if (raft_config_decode(m->entries[i].data, &c) != STATUS_OK) return false;
    }
    return true;
}
