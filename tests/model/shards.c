/* Ranges of the model: rows of all versions, the log between append and apply, and what a leader does with requests. */
#include "world.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

#define KEYSPACE 1u

static const char *const names[KEYS] = {"a", "b", "m", "n"};
static const char *const starts[SHARDS] = {"", "m"};

struct slice model_user_key(unsigned key)
{
    return slice_str(names[key]);
}

unsigned shard_of(unsigned key)
{
    return key / 2;
}

/* --- rows --- */

static const struct stored *newest(const struct shard *s, struct slice key, uint64_t ts)
{
    const struct stored *best = NULL;
    for (unsigned i = 0; i < s->row_count; i++) {
        const struct stored *r = &s->rows[i];
        if (r->ts <= ts && slice_eq(r->key, key) && (best == NULL || r->ts > best->ts)) best = r;
    }
    return best;
}

static enum status view_get(void *ctx, struct slice key, struct txn_stored *out)
{
    const struct stored *r = newest(ctx, key, UINT64_MAX);
    if (r == NULL || r->is_delete) return STATUS_NOT_FOUND;
    out->version = r->ts;
    out->value = r->value;
    return STATUS_OK;
}

struct txn_view shard_view(struct world *w, unsigned shard)
{
    return (struct txn_view){.get = view_get, .ctx = &w->shards[shard]};
}

static bool is_held_row(struct slice key)
{
    return key.size > TXN_ID_BYTES && key.data[key.size - TXN_ID_BYTES - 1] == ROW_HELD;
}

/* Versions of a key rise: what the store relies on, and readers at a timestamp. */
static void put_row(struct shard *s, const struct txn_write *write)
{
    const struct stored *before = newest(s, write->key, UINT64_MAX);
    ASSERT(before == NULL || write->ts > before->ts);
    if (before != NULL && is_held_row(write->key)) { /* only the newest matters: fewer states that are the same */
        struct stored *old = &s->rows[before - s->rows];
        mem_free((void *)(uintptr_t)old->key.data);
        mem_free((void *)(uintptr_t)old->value.data);
        *old = s->rows[--s->row_count];
    }
    if (write->is_delete && is_held_row(write->key)) return;
    ASSERT(s->row_count < ROWS_MAX);
    s->rows[s->row_count++] = (struct stored){.key = mem_dup_slice(write->key),
                                              .value = mem_dup_slice(write->value),
                                              .ts = write->ts,
                                              .is_delete = write->is_delete};
}

void shard_init(struct world *w, unsigned shard)
{
    struct shard *s = &w->shards[shard];
    s->table = txn_table_new();
    s->gate = gate_new(0);
    for (unsigned key = 2 * shard; key < 2 * shard + 2; key++) {
        if (w->scenario->initial[key] == 0) continue;
        struct buf k;
        uint8_t value[17] = {ROW_COUNTER};
        buf_init(&k, 64);
        key_encode_data(&k, KEYSPACE, model_user_key(key));
        i128_encode(w->scenario->initial[key], value + 1);
        put_row(s, &(struct txn_write){.ts = 1, .key = buf_slice(&k), .value = slice_make(value, 17)});
        buf_free(&k);
    }
}

int world_value(const struct world *w, unsigned key, uint64_t ts)
{
    struct buf k;
    struct row row;
    buf_init(&k, 64);
    key_encode_data(&k, KEYSPACE, model_user_key(key));
    const struct stored *r = newest(&w->shards[shard_of(key)], buf_slice(&k), ts);
    buf_free(&k);
    if (r == NULL || r->is_delete) return 0;
    if (row_decode(r->value, &row) != STATUS_OK) BUG("a row of the model");
    return row.format == ROW_COUNTER ? (int)row.counter : row.raw.data[0];
}

/* --- requests --- */

unsigned request_new(struct world *w, unsigned shard, enum txn_command_kind kind)
{
    unsigned i = 0;
    while (w->requests[i].state != REQUEST_FREE) i++;
    ASSERT(i < REQUESTS_MAX);
    w->requests[i] = (struct request){.state = REQUEST_NEW, .shard = shard, .kind = kind};
    list_init(&w->requests[i].gate.link);
    buf_init(&w->requests[i].body, 1u << 20);
    return i;
}

void request_free(struct world *w, unsigned request)
{
    struct request *q = &w->requests[request];
    gate_leave(w->shards[q->shard].gate, &q->gate);
    buf_free(&q->body);
    *q = (struct request){.state = REQUEST_FREE};
}

/* A Seal's timestamp is left out: it matters for the horizon alone, which no run of the model comes near. */
static bool is_stamped(const struct request *q)
{
    return q->kind == TXN_COMMAND_KIND || q->kind == TXN_COMMAND_PREPARE;
}

bool request_moves(const struct world *w, unsigned request, struct move *out)
{
    const struct request *q = &w->requests[request];
    out->a = request;
    switch (q->state) {
    case REQUEST_NEW: out->kind = MOVE_ASK; return true;
    case REQUEST_ASKED: out->kind = MOVE_ISSUE; return true;
    case REQUEST_ISSUED: out->kind = MOVE_APPEND; return true;
    case REQUEST_PARKED: out->kind = MOVE_ASK; return !txn_table_undecided(w->shards[q->shard].table, &q->waits_for);
    case REQUEST_APPENDED:
    case REQUEST_FREE: break;
    }
    return false;
}

/* The transaction inside, for the gate. */
static void decode_txn(const struct request *q, struct arena *arena, struct txn *t)
{
    struct slice bytes = buf_slice(&q->body);
    struct txn_prepare p;
    if (q->kind == TXN_COMMAND_PREPARE) {
        if (txn_prepare_decode(bytes, arena, &p) != STATUS_OK) BUG("prepare");
        bytes = p.part;
    }
    if (txn_decode(bytes, arena, t, NULL) != STATUS_OK) BUG("transaction");
}

static void append(struct world *w, unsigned request)
{
    struct request *q = &w->requests[request];
    struct shard *s = &w->shards[q->shard];
    ASSERT(s->log_count < LOG_MAX);
    s->log[s->log_count++] = request;
    q->state = REQUEST_APPENDED;
}

/* A request arrives at the leader, or tries again. */
void request_ask(struct world *w, unsigned request)
{
    struct request *q = &w->requests[request];
    struct shard *s = &w->shards[q->shard];
    if (!is_stamped(q)) {
        struct txn_decide d;
        if (q->kind == TXN_COMMAND_DECIDE) {
            if (txn_decide_decode(buf_slice(&q->body), &d) != STATUS_OK) BUG("decide");
            if (d.commit && !w->scenario->no_floor) gate_raise(s->gate, d.ts);
        }
        append(w, request);
        return;
    }
    struct arena arena;
    struct txn t;
    arena_init(&arena, 1024);
    decode_txn(q, &arena, &t);
    gate_leave(s->gate, &q->gate);
    gate_enter(s->gate, &q->gate, &t);
    arena_free(&arena);
    q->state = REQUEST_ASKED;
}

void request_issue(struct world *w, unsigned request)
{
    w->requests[request].ts = w->next_ts++;
    w->requests[request].state = REQUEST_ISSUED;
}

void request_append(struct world *w, unsigned request)
{
    struct request *q = &w->requests[request];
    if (gate_stamp(w->shards[q->shard].gate, &q->gate, q->ts) != STATUS_OK) {
        q->state = REQUEST_ASKED;
        return;
    }
    append(w, request);
}

/* --- the log --- */

static bool older(const struct request *q, const struct txn_id *id, const struct txn_blocked *b)
{
    return q->born != b->born ? q->born < b->born : memcmp(id->bytes, b->holder.bytes, TXN_ID_BYTES) < 0;
}

/* It met a lock: it waits, or dies. */
static void park(struct world *w, unsigned request, const struct txn_blocked *b)
{
    struct request *q = &w->requests[request];
    gate_leave(w->shards[q->shard].gate, &q->gate);
    if (q->kind == TXN_COMMAND_PREPARE && !older(q, &w->actors[q->actor].attempt, b)) {
        actor_blocked(w, request);
        return;
    }
    q->waits_for = b->holder;
    q->state = REQUEST_PARKED;
}

/* What the entry did, to the request that it came from. */
static void applied(struct world *w, unsigned request, struct slice answer, struct arena *arena)
{
    struct txn_blocked b;
    gate_leave(w->shards[w->requests[request].shard].gate, &w->requests[request].gate);
    if (!txn_is_blocked(answer)) {
        actor_answered(w, request, answer);
        return;
    }
    if (txn_blocked_decode(answer, arena, &b) != STATUS_OK) BUG("blocked");
    park(w, request, &b);
}

static void apply(struct world *w, unsigned request, bool tell)
{
    struct request *q = &w->requests[request];
    struct shard *s = &w->shards[q->shard];
    struct txn_command c = {.ts = q->ts, .txn = buf_slice(&q->body), .kind = q->kind};
    struct txn_entry e = {
        .command = &c, .index = ++s->index, .keyspace = KEYSPACE, .range_start = slice_str(starts[q->shard])};
    struct arena arena;
    struct buf answer;
    struct txn_writes writes;
    struct txn_view view = shard_view(w, q->shard);
    arena_init(&arena, 4096);
    buf_init(&answer, 1u << 20);
    if (txn_table_apply(s->table, &e, &view, &arena, &writes, &answer) != STATUS_OK) BUG("apply");
    for (size_t i = 0; i < writes.count; i++) {
        if (writes.items[i].ts == 0) writes.items[i].ts = q->ts;
        put_row(s, &writes.items[i]);
    }
    txn_table_check(s->table);
    if (tell) {
        applied(w, request, buf_slice(&answer), &arena);
    } else {
        actor_lost(w, request, true);
    }
    arena_free(&arena);
    buf_free(&answer);
}

void shard_apply(struct world *w, unsigned shard)
{
    struct shard *s = &w->shards[shard];
    unsigned request = s->log[0];
    memmove(s->log, s->log + 1, --s->log_count * sizeof(s->log[0]));
    apply(w, request, true);
}

/* The log is kept or cut behind what is applied; all that waited for the old leader is told that it is none. The new one
 * knows rows alone. */
void shard_new_leader(struct world *w, unsigned shard, bool keep)
{
    struct shard *s = &w->shards[shard];
    for (unsigned i = 0; i < s->log_count; i++) {
        if (keep) {
            apply(w, s->log[i], false);
        } else {
            actor_lost(w, s->log[i], true);
        }
    }
    s->log_count = 0;
    for (unsigned i = 0; i < REQUESTS_MAX; i++) {
        struct request *q = &w->requests[i];
        if (q->shard == shard && q->state > REQUEST_NEW) actor_lost(w, i, false);
    }
    gate_free(s->gate);
    txn_table_free(s->table);
    s->table = txn_table_new();
    for (unsigned i = 0; i < s->row_count; i++) {
        if (!is_held_row(s->rows[i].key)) continue;
        if (txn_table_load(s->table, s->rows[i].key, s->rows[i].value) != STATUS_OK) BUG("a held row");
    }
    s->gate = gate_new(txn_table_newest(s->table));
    txn_table_check(s->table);
    for (unsigned i = 0; i < ACTORS_MAX; i++) { /* reads are refused and come again */
        struct reading *r = &w->actors[i].reads[shard];
        if (r->state != READ_DONE) *r = (struct reading){.state = READ_NEW};
    }
}

uint64_t shard_fingerprint(const struct world *w, unsigned shard, uint64_t seed)
{
    const struct shard *s = &w->shards[shard];
    uint64_t rows = 0;
    for (unsigned i = 0; i < s->row_count; i++) {
        const struct stored *r = &s->rows[i];
        bool held = is_held_row(r->key); /* its version is the entry's index, which tells nothing */
        rows += hash_bytes(r->key, hash_bytes(r->value, hash_u64(held ? 0 : 2 * r->ts + r->is_delete)));
    }
    seed = hash_u64(seed + rows);
    return hash_u64(seed + gate_floor(s->gate));
}
