/* Exhaustive search over the transaction core: every order of every step of a few transactions over two ranges.
 *
 *   make model                      all scenarios, whole
 *   build/model --short             the small ones (part of make test)
 *   build/model NAME                one
 * A violation prints the moves that lead to it. */
#include "region.h"
#include "world.h"

#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { DEPTH_MAX = 256 };

struct frame {
    struct move moves[MOVES_MAX];
    unsigned count, at;
    void *saved;
    size_t saved_size, saved_capacity;
};

struct set { /* of fingerprints; 0 is none of them */
    uint64_t *slots;
    size_t capacity, count;
};

struct explorer {
    const struct scenario *scenario;
    struct world *world;
    struct set states, histories;
    struct frame frames[DEPTH_MAX];
    unsigned depth, deepest;
    uint64_t steps, ends;
    bool violated;
};

static bool set_add(struct set *s, uint64_t v)
{
    v += v == 0;
    if (2 * (s->count + 1) > s->capacity) {
        struct set bigger = {.capacity = s->capacity == 0 ? 1u << 16 : 2 * s->capacity};
        bigger.slots = calloc(bigger.capacity, sizeof(*bigger.slots));
        if (bigger.slots == NULL) abort();
        for (size_t i = 0; i < s->capacity; i++) {
            if (s->slots[i] != 0) (void)set_add(&bigger, s->slots[i]);
        }
        free(s->slots);
        *s = bigger;
    }
    size_t at = (size_t)v & (s->capacity - 1);
    while (s->slots[at] != 0) {
        if (s->slots[at] == v) return false;
        at = (at + 1) & (s->capacity - 1);
    }
    s->slots[at] = v;
    s->count++;
    return true;
}

static void save(struct frame *f)
{
    f->saved_size = region_used();
    if (f->saved_size > f->saved_capacity) {
        f->saved_capacity = 2 * f->saved_size;
        free(f->saved);
        f->saved = malloc(f->saved_capacity);
        if (f->saved == NULL) abort();
    }
    region_save(f->saved);
}

static void print_way(struct explorer *x)
{
    printf("  a history that no order explains:\n");
    history_print(x->world);
    printf("  by these moves:\n");
    for (unsigned i = 0; i < x->depth; i++) {
        const struct frame *f = &x->frames[i];
        char text[96];
        region_restore(f->saved, f->saved_size);
        move_text(x->world, &f->moves[f->at - 1], text, sizeof(text));
        printf("    %s\n", text);
    }
}

/* A state from which nothing goes on. */
static void at_end(struct explorer *x)
{
    x->ends++;
    world_check_end(x->world);
    if (!set_add(&x->histories, history_hash(x->world)) || history_explained(x->world)) return;
    x->violated = true;
    if (!x->scenario->must_fail) print_way(x);
}

static bool enter(struct explorer *x)
{
    if (!set_add(&x->states, world_fingerprint(x->world))) return false;
    ASSERT(x->depth < DEPTH_MAX);
    struct frame *f = &x->frames[x->depth];
    f->at = 0;
    f->count = world_moves(x->world, f->moves);
    if (f->count == 0) {
        at_end(x);
        return false;
    }
    save(f);
    x->depth++;
    if (x->depth > x->deepest) x->deepest = x->depth;
    return true;
}

static void explore(struct explorer *x)
{
    (void)enter(x);
    while (x->depth > 0 && !x->violated) {
        struct frame *f = &x->frames[x->depth - 1];
        if (f->at == f->count) {
            x->depth--;
            continue;
        }
        region_restore(f->saved, f->saved_size);
        world_do(x->world, &f->moves[f->at++]);
        x->steps++;
        (void)enter(x);
    }
}

static bool run(const struct scenario *s)
{
    struct explorer *x = calloc(1, sizeof(*x));
    if (x == NULL) abort();
    clock_t begun = clock();
    x->scenario = s;
    region_reset();
    x->world = world_new(s);
    explore(x);
    bool good = x->violated == s->must_fail;
    printf("%s %-34s %9zu states %10llu moves %6zu histories depth %3u %6.1f s%s\n", good ? "ok  " : "FAIL", s->name,
           x->states.count, (unsigned long long)x->steps, x->histories.count, x->deepest,
           (double)(clock() - begun) / CLOCKS_PER_SEC, s->must_fail ? " (a violation is demanded)" : "");
    fflush(stdout);
    for (unsigned i = 0; i < DEPTH_MAX; i++) free(x->frames[i].saved);
    free(x->states.slots);
    free(x->histories.slots);
    free(x);
    return good;
}

int main(int argc, char **argv)
{
    bool short_form = argc > 1 && strcmp(argv[1], "--short") == 0;
    const char *only = argc > 1 && !short_form ? argv[1] : NULL;
    unsigned passed = 0, failed = 0;
    for (size_t i = 0; i < scenario_count; i++) {
        const struct scenario *s = &scenarios[i];
        if (short_form && !s->in_short_form) continue;
        if (only != NULL && strstr(s->name, only) == NULL) continue;
        if (run(s)) {
            passed++;
        } else {
            failed++;
        }
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed == 0 && passed > 0 ? 0 : 1;
}
