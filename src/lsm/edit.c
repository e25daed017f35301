#include "lsm/edit.h"

#include "base/mem.h"

static void *grown(void *array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) return array;
    *capacity = *capacity > 0 ? *capacity * 2 : 8;
    return mem_realloc(array, *capacity * size);
}

void edit_free(struct edit *e)
{
    for (size_t i = 0; i < e->add_count; i++) lsm_file_unref(e->adds[i]);
    mem_free(e->adds);
    mem_free(e->removes);
    mem_free(e->applied);
    erase_list_free(&e->erases);
    *e = (struct edit){.adds = NULL};
}

void edit_add(struct edit *e, struct lsm_file *f)
{
    e->adds = grown(e->adds, e->add_count, &e->add_capacity, sizeof(struct lsm_file *));
    e->adds[e->add_count++] = f;
}

void edit_remove(struct edit *e, uint64_t id)
{
    ASSERT(!edit_removes(e, id));
    e->removes = grown(e->removes, e->remove_count, &e->remove_capacity, sizeof(*e->removes));
    e->removes[e->remove_count++] = id;
}

void edit_applied(struct edit *e, const struct applied *a)
{
    e->applied = grown(e->applied, e->applied_count, &e->applied_capacity, sizeof(*e->applied));
    e->applied[e->applied_count++] = *a;
}

bool edit_removes(const struct edit *e, uint64_t id)
{
    for (size_t i = 0; i < e->remove_count; i++) {
        if (e->removes[i] == id) return true;
    }
    return false;
}

void edit_encode(const struct edit *e, struct buf *payload)
{
    for (size_t i = 0; i < e->remove_count; i++) manifest_put_remove(payload, e->removes[i]);
    for (size_t i = 0; i < e->add_count; i++) manifest_put_add(payload, e->adds[i]);
    for (size_t i = 0; i < e->applied_count; i++) manifest_put_applied(payload, &e->applied[i]);
    if (e->cuts) manifest_put_cut(payload, e->cut_start, e->cut_end);
    manifest_put_erases(payload, &e->erases);
}

struct version *edit_apply(const struct edit *e, const struct version *v)
{
    struct lsm_file **files = mem_alloc((v->file_count + e->add_count) * sizeof(*files));
    size_t count = 0;
    for (size_t i = 0; i < v->file_count; i++) {
        if (!edit_removes(e, v->files[i]->id)) files[count++] = lsm_file_ref(v->files[i]);
    }
    ASSERT(count + e->remove_count == v->file_count);
    for (size_t i = 0; i < e->add_count; i++) files[count++] = lsm_file_ref(e->adds[i]);
    struct version *next = version_new(files, count);
    mem_free(files);
    struct erase_list erases = {.items = NULL};
    erase_list_add_all(&erases, &v->erases);
    if (e->cuts) erase_list_cut(&erases, e->cut_start, e->cut_end);
    erase_list_add_all(&erases, &e->erases);
    version_add_erases(next, &erases);
    erase_list_free(&erases);
    return next;
}

static void keep_part(struct edit *e, const struct lsm_file *f, uint64_t id, struct slice lower, struct slice upper)
{
    f->table->refs++;
    edit_add(e, lsm_file_new(f->owner, id, f->table, f->level, f->run, lower, upper));
}

void edit_excise(struct edit *e, const struct version *v, struct slice start, struct slice end, uint64_t *next_id)
{
    e->cuts = v->erases.count > 0;
    e->cut_start = start;
    e->cut_end = end;
    for (size_t i = 0; i < v->file_count; i++) {
        const struct lsm_file *f = v->files[i];
        if (!lsm_file_overlaps(f, start, end)) continue;
        edit_remove(e, f->id);
        if (slice_cmp(f->lower, start) < 0) keep_part(e, f, (*next_id)++, f->lower, start);
        if (end.size > 0 && slice_cmp(end, f->upper) < 0) keep_part(e, f, (*next_id)++, end, f->upper);
    }
}
