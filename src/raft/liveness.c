#include "raft/liveness.h"

#include "base/assert.h"
#include "base/mutant.h"

#include <string.h>

#define CLOCK_MARGIN 100u /* two clocks may differ in rate by 1 part in so many: a lease is shorter by that */

void liveness_init(struct liveness *l, uint64_t grant)
{
    memset(l, 0, sizeof(*l));
    l->grant = grant == 0 ? 1 : grant;
}

void liveness_check(const struct liveness *l)
{
    ASSERT(l->grant != 0);
    ASSERT(l->answered <= l->seq);
    if (l->held_grant != 0) ASSERT(l->answered > 0);
    if (l->held_grant == 0) ASSERT(l->lease_until_ns == 0);
    ASSERT(l->lease_until_ns <= l->held_until_ns);
    if (l->given) ASSERT(l->given_life != 0);
}

/* --- supported --- */

bool liveness_heartbeat(struct liveness *l, const struct liveness_options *o, uint64_t now_ns,
                        struct liveness_message *out)
{
    ASSERT(o->life != 0);
    if (now_ns < l->heartbeat_at_ns) return false;
    l->heartbeat_at_ns = now_ns + o->heartbeat_ns;
    l->seq++;
    l->sent_ns[l->seq % LIVENESS_WINDOW] = now_ns;
    *out = (struct liveness_message){.life = o->life, .seq = l->seq, .support_ns = o->support_ns};
    return true;
}

/* The promise was made after the heartbeat left, so counting from there is safe. Answers that overtook each other, answers to
 * an earlier life and those whose time is up say nothing. */
static unsigned take_answer(struct liveness *l, const struct liveness_options *o, uint64_t now_ns,
                            const struct liveness_message *m)
{
    bool overtaken = m->seq <= l->answered && !MUTANT(overtaken_answer_counts);
    if (m->life != o->life || m->grant == 0 || overtaken || m->seq > l->seq) return 0;
    if (m->seq + LIVENESS_WINDOW <= l->seq || m->support_ns > o->support_ns) return 0;
    uint64_t until = l->sent_ns[m->seq % LIVENESS_WINDOW] + m->support_ns - m->support_ns / CLOCK_MARGIN;
    if (MUTANT(overtaken_answer_counts)) l->held_until_ns = l->lease_until_ns = until;
    if (MUTANT(lease_from_receipt)) until = now_ns + m->support_ns;
    if (until <= now_ns) {
        COVER("liveness.answer_too_late");
        return 0;
    }
    bool another = l->held_grant != m->grant;
    l->answered = m->seq;
    l->held_grant = m->grant;
    if (another || until > l->held_until_ns) l->held_until_ns = until;
    if (another) l->lease_until_ns = 0;
    if (m->seq >= l->lease_from && until > l->lease_until_ns) l->lease_until_ns = until;
    liveness_check(l);
    return another ? LIVENESS_HELD : 0;
}

void liveness_doubt(struct liveness *l, uint64_t now_ns)
{
    COVER("liveness.doubt");
    l->lease_until_ns = 0;
    l->lease_from = l->seq + 1;
    l->heartbeat_at_ns = now_ns; /* at once: reads need a round until it is answered */
}

/* --- supporter --- */

static unsigned withdraw(struct liveness *l)
{
    l->given = false;
    l->grant = l->grant == UINT64_MAX ? 1 : l->grant + 1;
    return LIVENESS_WITHDRAWN;
}

static unsigned take_heartbeat(struct liveness *l, const struct liveness_options *o, uint64_t now_ns,
                               const struct liveness_message *m, struct liveness_message *reply, bool *has_reply)
{
    unsigned changed = 0;
    if (m->life == 0) return 0;
    if (l->given && l->given_life != m->life) {
        if (now_ns < l->given_until_ns) {
            COVER("liveness.another_life");
            return 0;
        }
        changed = withdraw(l);
    }
    uint64_t support = m->support_ns < o->support_ns ? m->support_ns : o->support_ns;
    if (!l->given) l->given_until_ns = 0;
    l->given = true;
    l->given_life = m->life;
    if (now_ns + support > l->given_until_ns) l->given_until_ns = now_ns + support;
    *reply = (struct liveness_message){
        .is_answer = true, .life = m->life, .seq = m->seq, .support_ns = support, .grant = l->grant};
    *has_reply = true;
    liveness_check(l);
    return changed;
}

unsigned liveness_receive(struct liveness *l, const struct liveness_options *o, uint64_t now_ns,
                          const struct liveness_message *m, struct liveness_message *reply, bool *has_reply)
{
    *has_reply = false;
    if (m->is_answer) return take_answer(l, o, now_ns, m);
    return take_heartbeat(l, o, now_ns, m, reply, has_reply);
}

/* --- time --- */

unsigned liveness_tick(struct liveness *l, uint64_t now_ns)
{
    unsigned changed = 0;
    if (l->held_grant != 0 && now_ns >= l->held_until_ns) {
        l->held_grant = 0;
        l->lease_until_ns = 0;
        changed |= LIVENESS_LOST;
    }
    if (l->given && now_ns >= l->given_until_ns) changed |= withdraw(l);
    liveness_check(l);
    return changed;
}

uint64_t liveness_deadline_ns(const struct liveness *l)
{
    uint64_t at = l->heartbeat_at_ns;
    if (l->held_grant != 0 && l->held_until_ns < at) at = l->held_until_ns;
    if (l->given && l->given_until_ns < at) at = l->given_until_ns;
    return at;
}

uint64_t liveness_given(const struct liveness *l, uint64_t life)
{
    return l->given && (life == 0 || life == l->given_life) ? l->grant : 0;
}

uint64_t liveness_held(const struct liveness *l)
{
    return l->held_grant;
}
