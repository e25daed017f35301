#include "lsm/version.h"

#include "base/mem.h"
#include "lsm/lsm_int.h"

#include <stdlib.h>

struct lsm_file *lsm_file_new(struct lsm *owner, uint64_t id, struct table *t, uint32_t level, uint64_t run,
                              struct slice lower, struct slice upper)
{
    ASSERT(slice_cmp(lower, upper) < 0);
    struct lsm_file *f = mem_zalloc(sizeof(*f));
    f->id = id;
    f->table = t;
    f->owner = owner;
    f->level = level;
    f->run = run;
    f->lower = mem_dup_slice(lower);
    f->upper = mem_dup_slice(upper);
    f->clipped = slice_cmp(lower, t->props.smallest) > 0 || slice_cmp(upper, t->props.largest) <= 0;
    f->bytes = f->clipped ? table_range_bytes(t, lower, upper) : t->id.size;
    f->refs = 1;
    return f;
}

struct lsm_file *lsm_file_ref(struct lsm_file *f)
{
    ASSERT(f->refs > 0);
    f->refs++;
    return f;
}

void lsm_file_unref(struct lsm_file *f)
{
    if (f == NULL) return;
    ASSERT(f->refs > 0);
    if (--f->refs > 0) return;
    lsm_table_unref(f->owner, f->table);
    mem_free((void *)(uintptr_t)f->lower.data);
    mem_free((void *)(uintptr_t)f->upper.data);
    mem_free(f);
}

void lsm_file_whole(const struct table *t, struct slice *lower, struct slice *upper)
{
    *lower = t->props.smallest;
    size_t size = t->props.largest.size;
    uint8_t *p = mem_alloc(size + 1);
    memcpy(p, t->props.largest.data, size);
    p[size] = 0;
    *upper = slice_make(p, size + 1);
}

bool lsm_file_overlaps(const struct lsm_file *f, struct slice start, struct slice end)
{
    return slice_cmp(f->upper, start) > 0 && (end.size == 0 || slice_cmp(f->lower, end) < 0);
}

static int cmp_files(const void *pa, const void *pb)
{
    const struct lsm_file *a = *(struct lsm_file *const *)pa, *b = *(struct lsm_file *const *)pb;
    if (a->level != b->level) return a->level < b->level ? -1 : 1;
    if (a->run != b->run) return a->run > b->run ? -1 : 1;
    return slice_cmp(a->lower, b->lower);
}

static void run_heads(struct run *r, uint64_t *heads)
{
    r->prefix = (uint32_t)key_shared(r->files[0]->upper, r->files[r->count - 1]->upper);
    for (size_t i = 0; i < r->count; i++) heads[i] = key_head(r->files[i]->upper, r->prefix);
    r->heads = heads;
}

struct version *version_new(struct lsm_file **files, size_t count)
{
    struct version *v = mem_zalloc(sizeof(*v));
    v->refs = 1;
    v->file_count = count;
    v->files = mem_dup(files, count * sizeof(*files));
    if (count > 0) qsort(v->files, count, sizeof(*v->files), cmp_files);
    v->runs = mem_zalloc((count > 0 ? count : 1) * sizeof(*v->runs));
    for (size_t i = 0; i < count; i++) {
        struct lsm_file *f = v->files[i];
        if (f->level == LSM_DAMAGED) { /* it and all behind it */
            v->damaged = &v->files[i];
            v->damaged_count = count - i;
            break;
        }
        struct run *last = v->run_count > 0 ? &v->runs[v->run_count - 1] : NULL;
        if (last == NULL || last->level != f->level || last->run != f->run) {
            last = &v->runs[v->run_count++];
            *last = (struct run){.level = f->level, .run = f->run, .files = &v->files[i]};
        }
        last->count++;
    }
    v->heads = mem_alloc((count > 0 ? count : 1) * sizeof(*v->heads));
    for (size_t r = 0, at = 0; r < v->run_count; at += v->runs[r++].count) run_heads(&v->runs[r], v->heads + at);
    version_check(v);
    return v;
}

struct version *version_ref(struct version *v)
{
    ASSERT(v->refs > 0);
    v->refs++;
    return v;
}

void version_unref(struct version *v)
{
    if (v == NULL) return;
    ASSERT(v->refs > 0);
    if (--v->refs > 0) return;
    for (size_t i = 0; i < v->file_count; i++) lsm_file_unref(v->files[i]);
    mem_free(v->files);
    mem_free(v->runs);
    mem_free(v->heads);
    erase_list_free(&v->erases);
    mem_free(v);
}

/* What is flushed or applied anew later has higher timestamps, so without older rows it is of no use any more. */
static bool hides_any(const struct version *v, const struct erase *e)
{
    for (size_t i = 0; i < v->file_count; i++) {
        const struct lsm_file *f = v->files[i];
        if (e->clean > 0 && f->table->id.number >= e->clean) continue;
        if (f->table->props.ts_min < e->ts && lsm_file_overlaps(f, e->start, e->end)) return true;
    }
    return false;
}

void version_add_erases(struct version *v, const struct erase_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (hides_any(v, &list->items[i])) erase_list_add(&v->erases, &list->items[i]);
    }
}

void version_check(const struct version *v)
{
    for (size_t r = 0; r < v->run_count; r++) {
        const struct run *run = &v->runs[r];
        ASSERT(run->count > 0);
        ASSERT(run->level < LSM_LEVELS);
        for (size_t i = 1; i < run->count; i++) ASSERT(slice_cmp(run->files[i - 1]->upper, run->files[i]->lower) <= 0);
    }
}

bool version_is_damaged(const struct version *v, struct slice start, struct slice end)
{
    for (size_t i = 0; i < v->damaged_count; i++) {
        if (lsm_file_overlaps(v->damaged[i], start, end)) return true;
    }
    return false;
}

bool version_is_damaged_at(const struct version *v, struct slice key)
{
    for (size_t i = 0; i < v->damaged_count; i++) {
        if (slice_cmp(v->damaged[i]->lower, key) <= 0 && slice_cmp(key, v->damaged[i]->upper) < 0) return true;
    }
    return false;
}

/* Narrows [*low, *high) to the files whose bound's head is the key's. */
static void find_head(const struct run *r, struct slice key, size_t *low, size_t *high)
{
    struct slice prefix = slice_make(r->files[0]->upper.data, r->prefix);
    if (!slice_starts(key, prefix)) {
        *low = *high = slice_cmp(key, prefix) < 0 ? 0 : r->count;
        return;
    }
    uint64_t head = key_head(key, r->prefix);
    *low = *high = heads_below(r->heads, (unsigned)r->count, head);
    while (*high < r->count && r->heads[*high] == head) ++*high;
}

size_t run_find(const struct run *r, struct slice key)
{
    size_t low = 0, high = r->count;
    if (r->heads != NULL) find_head(r, key, &low, &high);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_cmp(r->files[middle]->upper, key) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool version_deeper_holds(const struct version *v, uint32_t level, struct slice key)
{
    for (size_t r = 0; r < v->run_count; r++) {
        const struct run *run = &v->runs[r];
        if (run->level <= level) continue;
        size_t i = run_find(run, key);
        if (i < run->count && slice_cmp(run->files[i]->lower, key) <= 0) return true;
    }
    return false;
}

uint32_t version_last_level(const struct version *v)
{
    uint32_t last = 1;
    for (size_t r = 0; r < v->run_count; r++) last = v->runs[r].level > last ? v->runs[r].level : last;
    return last;
}

size_t version_runs_of_level(const struct version *v, uint32_t level)
{
    size_t n = 0;
    for (size_t r = 0; r < v->run_count; r++) n += v->runs[r].level == level ? 1 : 0;
    return n;
}

uint64_t version_bytes_of_level(const struct version *v, uint32_t level)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < v->file_count; i++) bytes += v->files[i]->level == level ? v->files[i]->bytes : 0;
    return bytes;
}
