/* Linearizable reads without a write: ReadIndex (thesis 6.4).
 *
 * Leader: reads gather until raft_flush. If an entry of the own term has committed (T1), the flush begins a round: their read
 * index is the commit index of that moment, and a heartbeat with the round's number goes to everybody. When a majority has
 * answered a heartbeat of that round or a later one, no newer leader can have committed anything before the round began, so
 * the index is good. A read that comes after the round has left waits for the next one (T5).
 *
 * Follower: all reads of a pass ride on one READ message; the leader treats it as a read of its own and answers it. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "raft/raft_int.h"

#define READS_FEW 4u /* so few cost nothing to make again */
#define READS_KEPT 64u

static void reads_push(struct raft *r, uint64_t context, uint64_t from)
{
    if (r->read_count == r->read_capacity) {
        r->read_capacity = r->read_capacity == 0 ? READS_FEW : r->read_capacity * 2;
        r->reads = mem_realloc(r->reads, r->read_capacity * sizeof(*r->reads));
    }
    r->reads[r->read_count++] = (struct raft_read_item){.context = context, .from = from};
}

static void reads_drop(struct raft *r, size_t count)
{
    ASSERT(count <= r->read_count);
    r->read_count -= (uint32_t)count;
    if (r->read_count > 0) memmove(r->reads, r->reads + count, r->read_count * sizeof(*r->reads));
    if (r->read_count > 0 || (r->read_capacity > READS_FEW && r->read_capacity <= READS_KEPT)) return;
    mem_free(r->reads);
    r->reads = NULL;
    r->read_capacity = 0;
}

static void answer(struct raft *r, const struct raft_read_item *item, enum status status, struct raft_effects *fx)
{
    uint64_t index = status == STATUS_OK ? item->index : 0;
    if (item->from == 0) {
        raft_fx_read(fx, item->context, index, status);
        return;
    }
    raft_send(r,
              (struct raft_message){.type = RAFT_MSG_READ_REPLY,
                                    .to = item->from,
                                    .index = index,
                                    .context = item->context,
                                    .reject = status != STATUS_OK},
              fx);
}

static void answer_first(struct raft *r, size_t count, enum status status, struct raft_effects *fx)
{
    for (size_t i = 0; i < count; i++) answer(r, &r->reads[i], status, fx);
    if (count > 0) reads_drop(r, count);
}

/* How many of the oldest reads ride on round `upto` or an earlier one. */
static size_t riding(const struct raft *r, uint64_t upto)
{
    size_t n = 0;
    while (n < r->read_count && r->reads[n].round != 0 && r->reads[n].round <= upto) n++;
    return n;
}

enum status raft_read(struct raft *r, uint64_t context)
{
    if (r->leader == 0 || raft_recovering(r)) return STATUS_NOT_LEADER;
    if (r->read_count >= RAFT_READS_MAX) return STATUS_BUSY;
    reads_push(r, context, 0);
    return STATUS_OK;
}

/* The reads that ride on nothing yet get the round `round`. */
static void board(struct raft *r, uint64_t round)
{
    for (size_t i = r->read_count; i > 0 && r->reads[i - 1].round == 0; i--) {
        struct raft_read_item *item = &r->reads[i - 1];
        item->round = round;
        item->index = r->commit;
        item->sent_ms = r->now_ms;
    }
}

void raft_read_flush(struct raft *r, struct raft_effects *fx)
{
    if (r->read_count == 0 || r->reads[r->read_count - 1].round != 0) return;
    if (r->role == RAFT_LEADER) {
        if (!raft_leader_ready(r)) {
            COVER("raft.read_before_own_commit");
            return; /* a later flush: the commit of the no-op comes in a step, and each pass with one ends in a flush */
        }
        if (MUTANT(read_round_shared) && r->reads[0].round != 0) {
            board(r, r->read_round);
            return;
        }
        board(r, ++r->read_round);
        raft_send_heartbeats(r, fx);
    } else if (r->role == RAFT_FOLLOWER && r->leader != 0) {
        board(r, ++r->read_round);
        raft_send(r, (struct raft_message){.type = RAFT_MSG_READ, .to = r->leader, .context = r->read_round}, fx);
    }
}

static uint64_t round_of(const void *ctx, uint64_t id)
{
    const struct raft *r = ctx;
    const struct raft_progress *p = raft_peer(r, id);
    if (id == r->self.id) return r->read_round;
    return p == NULL || p->recovery_nonce != 0 ? 0 : p->read_acked;
}

void raft_read_settle(struct raft *r, struct raft_effects *fx)
{
    if (r->role != RAFT_LEADER || r->read_count == 0 || r->reads[0].round == 0) return;
    uint64_t heard = MUTANT(read_without_quorum) ? r->read_round : raft_config_quorum(r->config, round_of, r);
    size_t count = riding(r, heard);
    answer_first(r, count, STATUS_OK, fx);
}

/* Leader or leadership is gone: nothing was read, asking again is safe. */
void raft_read_fail(struct raft *r, struct raft_effects *fx)
{
    answer_first(r, r->read_count, STATUS_NOT_LEADER, fx);
}

/* A READ or its answer may be lost: the follower does not wait for ever. (A leader's rounds are repeated by each heartbeat.) */
uint64_t raft_read_deadline_ms(const struct raft *r)
{
    if (r->role == RAFT_LEADER || r->read_count == 0 || r->reads[0].round == 0) return RAFT_NEVER;
    return r->reads[0].sent_ms + r->options->election_ms;
}

void raft_read_expire(struct raft *r, struct raft_effects *fx)
{
    while (r->now_ms >= raft_read_deadline_ms(r)) {
        COVER("raft.read_expired");
        answer_first(r, riding(r, r->reads[0].round), STATUS_NOT_LEADER, fx);
    }
}

void raft_recv_read(struct raft *r, const struct raft_message *m, struct raft_effects *fx)
{
    struct raft_progress *p = r->role == RAFT_LEADER ? raft_peer(r, m->from) : NULL;
    if (p == NULL || r->read_count >= RAFT_READS_MAX) {
        struct raft_read_item refused = {.context = m->context, .from = m->from};
        answer(r, &refused, STATUS_NOT_LEADER, fx);
        return;
    }
    p->heard_ms = r->now_ms;
    p->heard = true;
    reads_push(r, m->context, m->from);
}

void raft_recv_read_reply(struct raft *r, const struct raft_message *m, struct raft_effects *fx)
{
    if (r->role != RAFT_FOLLOWER || m->from != r->leader) return;
    size_t count = riding(r, m->context);
    if (count == 0 || r->reads[count - 1].round != m->context) {
        COVER("raft.read_reply_stale");
        return; /* not to a question that waits; in particular not to one that was asked before we restarted */
    }
    for (size_t i = 0; i < count; i++) r->reads[i].index = m->index;
    answer_first(r, count, m->reject ? STATUS_NOT_LEADER : STATUS_OK, fx);
}
