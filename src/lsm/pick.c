#include "lsm/pick.h"

#include "base/mem.h"
#include "base/mutant.h"

void pick_cursors_free(struct pick_cursors *c)
{
    for (uint32_t i = 0; i < LSM_LEVELS; i++) {
        mem_free((void *)(uintptr_t)c->after[i].data);
        c->after[i] = (struct slice){.data = NULL};
    }
}

void pick_cursors_note(struct pick_cursors *c, uint32_t level, struct slice upper)
{
    uint8_t *copy = mem_dup(upper.data, upper.size);
    mem_free((void *)(uintptr_t)c->after[level].data);
    c->after[level] = slice_make(copy, upper.size);
}

void pick_free(struct pick *p)
{
    mem_free(p->files);
    *p = (struct pick){.files = NULL};
}

void pick_bounds(const struct pick *p, struct slice *start, struct slice *end)
{
    ASSERT(p->count > 0);
    *start = p->files[0]->lower;
    *end = p->files[0]->upper;
    for (size_t i = 1; i < p->count; i++) {
        if (slice_cmp(p->files[i]->lower, *start) < 0) *start = p->files[i]->lower;
        if (slice_cmp(p->files[i]->upper, *end) > 0) *end = p->files[i]->upper;
    }
}

static uint64_t level_target(uint32_t level, uint64_t base_bytes)
{
    uint64_t target = base_bytes;
    for (uint32_t i = 1; i < level; i++) target = target > UINT64_MAX / PICK_RATIO ? UINT64_MAX : target * PICK_RATIO;
    return target;
}

/* 1000: at its target. A level of several runs that ought to be one (the shape was another before) goes first, the deepest
 * of them before the others, so that what it is merged with is one run. */
static uint64_t level_score(const struct version *v, enum lsm_shape shape, uint32_t level, uint64_t base_bytes)
{
    uint64_t runs = version_runs_of_level(v, level);
    if (level == 0) return runs * 1000 / PICK_L0_RUNS;
    bool last = level == version_last_level(v);
    if (runs > 1 && (shape == LSM_LEVELED || last)) return 1000000 + level;
    if (shape == LSM_LAZY && !last) return runs * 1000 / PICK_RATIO;
    return version_bytes_of_level(v, level) * 1000 / level_target(level, base_bytes);
}

static void add(struct pick *p, struct lsm_file *f)
{
    p->files[p->count++] = f;
}

static void add_overlapping(struct pick *p, const struct version *v, uint32_t level, struct slice start,
                            struct slice end)
{
    for (size_t i = 0; i < v->file_count; i++) {
        struct lsm_file *f = v->files[i];
        if (f->level == level && lsm_file_overlaps(f, start, end)) add(p, f);
    }
}

static void add_level(struct pick *p, const struct version *v, uint32_t level)
{
    for (size_t i = 0; i < v->file_count; i++) {
        if (v->files[i]->level == level) add(p, v->files[i]);
    }
}

static void add_next_file(struct pick *p, const struct version *v, uint32_t level, struct slice after)
{
    struct lsm_file *first = NULL;
    for (size_t i = 0; i < v->file_count; i++) {
        struct lsm_file *f = v->files[i];
        if (f->level != level) continue;
        if (first == NULL) first = f;
        if (after.size > 0 && slice_cmp(f->lower, after) < 0) continue;
        add(p, f);
        return;
    }
    add(p, first);
}

/* What cannot be read cannot be merged, and must not keep the others from it: writes come to a halt when level 0 stays. */
static bool move_damaged(struct pick *p)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->count; i++) {
        if (p->files[i]->table->quarantined) p->files[kept++] = p->files[i];
    }
    if (kept == 0) return false;
    p->count = kept;
    p->level = LSM_DAMAGED;
    p->new_run = false;
    return p->move = true;
}

static bool any_overlap(const struct pick *p)
{
    for (size_t i = 0; i < p->count; i++) {
        for (size_t j = i + 1; j < p->count; j++) {
            if (lsm_file_overlaps(p->files[i], p->files[j]->lower, p->files[j]->upper)) return true;
        }
    }
    return false;
}

/* Files that already lie in the level they would go to come along only to be merged. */
static void drop_untouched(struct pick *p)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->count; i++) {
        if (p->files[i]->level != p->level) p->files[kept++] = p->files[i];
    }
    p->count = kept;
}

static void pick_level(const struct version *v, enum lsm_shape shape, uint32_t level,
                       const struct pick_cursors *cursors, struct pick *out)
{
    bool lazy = shape == LSM_LAZY, several = version_runs_of_level(v, level) > 1;
    *out = (struct pick){.files = mem_alloc(v->file_count * sizeof(*out->files)), .level = level + 1};
    out->new_run = lazy && level + 1 < version_last_level(v);
    if (level == 0 || lazy || several) {
        add_level(out, v, level);
    } else {
        add_next_file(out, v, level, cursors->after[level]);
    }
    struct slice start, end;
    pick_bounds(out, &start, &end);
    if (!out->new_run) add_overlapping(out, v, level + 1, start, end);
    if (move_damaged(out)) return;
    out->move = !any_overlap(out);
    if (out->move) drop_untouched(out);
}

/* Nothing is lost by waiting: its rows may come anew before it is in the way of what is due. */
static bool free_if(struct pick *p, bool given_up)
{
    if (given_up) pick_free(p);
    return given_up;
}

bool lsm_pick(const struct version *v, enum lsm_shape shape, uint64_t base_bytes, const struct pick_cursors *cursors,
              struct pick *out)
{
    uint64_t scores[LSM_LEVELS - 1];
    for (uint32_t level = 0; level + 1 < LSM_LEVELS; level++) scores[level] = level_score(v, shape, level, base_bytes);
    uint32_t best = 0;
    for (uint32_t level = 1; level + 1 < LSM_LEVELS; level++) {
        if (scores[level] > scores[best]) best = level;
    }
    if (scores[best] < 1000) return false;
    pick_level(v, shape, best, cursors, out);
    return !free_if(out, MUTANT(damage_in_the_way) && out->level == LSM_DAMAGED);
}

bool lsm_pick_for_reads(const struct version *v, enum lsm_shape shape, uint64_t worth_bytes,
                        const struct pick_cursors *cursors, struct pick *out)
{
    uint32_t level = 0, last = version_last_level(v);
    while (level < last && version_runs_of_level(v, level) == 0) level++;
    if (level == last) return false;
    pick_level(v, shape, level, cursors, out);
    uint64_t bytes = 0;
    for (size_t i = 0; i < out->count && !out->move; i++) bytes += out->files[i]->bytes;
    out->for_reads = true;
    return !free_if(out, bytes > worth_bytes || out->level == LSM_DAMAGED);
}

bool lsm_pick_for_space(const struct version *v, enum lsm_shape shape, const struct pick_cursors *cursors,
                        struct pick *out)
{
    uint32_t last = version_last_level(v), largest = 0;
    uint64_t above = 0;
    for (uint32_t level = 0; level < last; level++) {
        above += version_bytes_of_level(v, level);
        if (version_bytes_of_level(v, level) > version_bytes_of_level(v, largest)) largest = level;
    }
    uint64_t below = version_bytes_of_level(v, last);
    if (shape != LSM_LEVELED || above <= below / PICK_SPACE_SHARE) return false;
    if (below == 0 && version_runs_of_level(v, largest) < 2) return false;
    pick_level(v, shape, largest, cursors, out);
    return !free_if(out, out->level == LSM_DAMAGED);
}
