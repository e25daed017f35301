/* Reads by mode, judged by all commits of the run (docs/reads.md):
 *
 *   - every write with a timestamp up to the one that was told is in the answer;
 *   - a snapshot holds nothing above it, and each balance is what the transfers up to it make, over all ranges: so no write ever
 *     came in at or below a timestamp that had been read;
 *   - a strong read holds every write with a timestamp up to any that had been answered, to whomever, when it was asked for: the
 *     order of timestamps is one that all reads, of the past too, agree on;
 *   - what was acknowledged before the read was asked for, less the staleness that was asked for or told, is in the answer.
 *
 * Of writes whose outcome is unknown nothing is demanded. */
#include "base/mem.h"
#include "sim/check.h"

void cuts_free(struct cuts *c)
{
    mem_free(c->items);
}

struct cut *cuts_add(struct cuts *c)
{
    if (c->count == c->capacity) {
        c->capacity = c->capacity == 0 ? 256 : c->capacity * 2;
        c->items = mem_realloc(c->items, c->capacity * sizeof *c->items);
    }
    c->items[c->count] = (struct cut){.ts = 0};
    return &c->items[c->count++];
}

static bool must_be_seen(const struct cut *cut, uint64_t ts, uint64_t return_ns)
{
    return ts <= cut->ts || ts <= cut->must_see_ts || return_ns < cut->must_see_ns;
}

/* The writes of one register, in the order of the history: each cut looks at all of them. */
struct writes {
    const struct op **ops;
    size_t count;
};

static void writes_collect(const struct history *h, struct writes by_key[REGISTERS_MAX])
{
    for (unsigned k = 0; k < REGISTERS_MAX; k++)
        by_key[k] = (struct writes){.ops = mem_alloc(h->op_count * sizeof(struct op *))};
    for (size_t i = 0; i < h->op_count; i++) {
        const struct op *op = &h->ops[i];
        if (op->key >= REGISTERS_MAX || op->kind == OP_GET) continue;
        struct writes *of = &by_key[op->key];
        of->ops[of->count++] = op;
    }
}

static void check_register(struct world *w, const struct writes *writes, const struct cut *cut, unsigned key)
{
    const struct op *newest = NULL;
    bool may_be_deleted = false; /* by one that may have happened, or came later than what is demanded */
    uint64_t version = cut->version[key];
    for (size_t i = 0; i < writes->count; i++) {
        const struct op *op = writes->ops[i];
        if (op->kind == OP_DELETE && op->outcome == OP_UNKNOWN) may_be_deleted = true;
        if (op->outcome != OP_DONE) continue;
        bool demanded = must_be_seen(cut, op->version, op->return_ns);
        if (op->kind == OP_DELETE && !demanded && cut->mode != READ_SNAPSHOT) may_be_deleted = true;
        if (demanded && (newest == NULL || op->version > newest->version)) newest = op;
    }
    if (cut->mode == READ_SNAPSHOT && version > cut->ts)
        world_fail(w, "reads: a snapshot as of %llu holds k%u at version %llu", (unsigned long long)cut->ts, key,
                   (unsigned long long)version);
    if (newest == NULL) return;
    bool good = newest->kind == OP_DELETE ? version == 0 || version > newest->version
                                          : version >= newest->version || (version == 0 && may_be_deleted);
    if (good) return;
    world_fail(
        w,
        "reads: a %s read of k%u at %.6f s, told %llu, saw version %llu; version %llu (%s) was acknowledged at %.6f s",
        read_mode_name(cut->mode), key, (double)cut->call_ns / 1e9, (unsigned long long)cut->ts,
        (unsigned long long)version, (unsigned long long)newest->version,
        newest->kind == OP_DELETE ? "delete" : "write", (double)newest->return_ns / 1e9);
}

static void check_bank(struct world *w, const struct money *m, const struct cut *cut, unsigned bank)
{
    int64_t expected[ACCOUNTS_MAX] = {0};
    if (!m->funded[bank] || cut->mode != READ_SNAPSHOT) return;
    bool there = m->funded_ts[bank] <= cut->ts;
    for (unsigned a = 0; a < m->account_count; a++) expected[a] = there ? ACCOUNT_START : 0;
    for (size_t i = 0; i < m->count; i++) {
        const struct transfer *t = &m->transfers[i];
        if (t->bank != bank || !t->answered || !t->posted || t->ts > cut->ts) continue;
        expected[t->from] -= t->amount;
        expected[t->to] += t->amount;
    }
    for (unsigned a = 0; a < m->account_count; a++) {
        if (cut->balance[bank][a] == expected[a]) continue;
        world_fail(w, "reads: as of %llu, read at %.6f s, a%u/c/%u is %lld; the transfers up to there make %lld",
                   (unsigned long long)cut->ts, (double)cut->call_ns / 1e9, bank, a, (long long)cut->balance[bank][a],
                   (long long)expected[a]);
    }
}

static void check_age(struct world *w, const struct history *h, const struct cut *cut)
{
    for (size_t i = 0; cut->is_aged && i < h->commits.count; i++) {
        const struct commit *c = &h->commits.items[i];
        if (c->return_ns >= cut->must_see_ns || c->ts <= cut->ts) continue;
        world_fail(w, "reads: a %s read at %.6f s is said to be as of %llu, but %llu was acknowledged %.6f s before it",
                   read_mode_name(cut->mode), (double)cut->call_ns / 1e9, (unsigned long long)cut->ts,
                   (unsigned long long)c->ts, (double)(cut->call_ns - c->return_ns) / 1e9);
        return;
    }
}

void check_reads(struct world *w, const struct history *h, const struct money *m, const struct cuts *cuts)
{
    struct writes by_key[REGISTERS_MAX];
    writes_collect(h, by_key);
    for (size_t i = 0; i < cuts->count; i++) {
        const struct cut *cut = &cuts->items[i];
        check_age(w, h, cut);
        for (unsigned k = 0; k < REGISTERS_MAX; k++) {
            if ((cut->registers >> k & 1) != 0) check_register(w, &by_key[k], cut, k);
        }
        for (unsigned b = 0; b < m->bank_count; b++) {
            if ((cut->banks >> b & 1) != 0) check_bank(w, m, cut, b);
        }
    }
    for (unsigned k = 0; k < REGISTERS_MAX; k++) mem_free(by_key[k].ops);
}
