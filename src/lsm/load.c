/* Fetching blocks: one task per block, however many wait for it. */
#include "base/mem.h"
#include "lsm/lsm_int.h"

struct load {
    struct task task;
    struct lsm *l;
    struct lsm_file *file; /* referenced */
    struct cache_entry *entry;
    uint32_t at; /* the block */
    uint8_t *raw;
    struct block block;
    struct list waiters;
    bool present; /* the block came before the task was made: nothing to read, only somebody to tell */
    enum status status;
};

struct load_waiter {
    struct list link;
    void (*done)(void *ctx, enum status s);
    void *ctx;
};

static void load_execute(struct task *t)
{
    struct load *ld = (struct load *)(void *)((char *)t - offsetof(struct load, task));
    if (ld->present) return;
    ld->status = table_read_block(ld->file->table, ld->at, ld->entry->room, &ld->raw, &ld->block);
}

static void load_complete(struct task *t)
{
    struct load *ld = (struct load *)(void *)((char *)t - offsetof(struct load, task));
    struct lsm *l = ld->l;
    bool dead = t->cancelled || l->env->dead;
    struct list waiters, *link;
    list_init(&waiters);
    struct list *waiting = ld->present ? &ld->waiters : &ld->entry->waiters;
    while ((link = list_pop_front(waiting)) != NULL) list_push_back(&waiters, link);
    if (ld->present) {
        cache_release(ld->entry);
        cache_hold(&l->cache, ld->entry);
    } else if (ld->status == STATUS_OK && !t->cancelled) {
        cache_load_end(&l->cache, ld->entry, ld->raw, &ld->block);
    } else {
        if (ld->status == STATUS_OK) table_raw_free(ld->entry->room, ld->raw);
        cache_load_fail(&l->cache, ld->entry);
        if (ld->status == STATUS_CORRUPT && !dead) lsm_quarantine(l, ld->file, ld->at);
    }
    l->loads--;
    enum status s = ld->status;
    lsm_file_unref(ld->file);
    mem_free(ld);
    while ((link = list_pop_front(&waiters)) != NULL) {
        struct load_waiter w = *LIST_ENTRY(link, struct load_waiter, link);
        mem_free(LIST_ENTRY(link, struct load_waiter, link));
        w.done(w.ctx, dead ? STATUS_CLOSED : s); /* who waits has something to release */
    }
}

static struct load *load_submit(struct lsm *l, const struct lsm_miss *miss, struct cache_entry *e)
{
    struct load *ld = mem_zalloc(sizeof(*ld));
    ld->l = l;
    ld->file = lsm_file_ref(miss->file);
    ld->entry = e;
    ld->at = miss->block;
    list_init(&ld->waiters);
    ld->task.execute = load_execute;
    ld->task.complete = load_complete;
    l->loads++;
    exec_submit(l->env->exec, LANE_READ, &ld->task);
    return ld;
}

void lsm_load(struct lsm *l, struct lsm_miss *miss, void (*done)(void *ctx, enum status s), void *ctx)
{
    ASSERT(miss->file != NULL);
    const struct table *t = miss->file->table;
    struct cache_entry *e = t->slots[miss->block];
    struct load_waiter *w = mem_zalloc(sizeof(*w));
    w->done = done;
    w->ctx = ctx;
    if (e != NULL && e->state != CACHE_LOADING) {
        struct load *ld = load_submit(l, miss, e);
        ld->present = true;
        e->refs++;
        list_push_back(&ld->waiters, &w->link);
    } else {
        if (e == NULL) {
            e = cache_load_begin(&l->cache, t, miss->block);
            (void)load_submit(l, miss, e);
        }
        list_push_back(&e->waiters, &w->link);
    }
    lsm_miss_drop(miss);
}

/* A reader that may wait fetches the block itself. */
static enum status fetch_now(struct lsm *l, struct lsm_file *f, uint32_t at)
{
    const struct table *t = f->table;
    struct cache_entry *e = cache_load_begin(&l->cache, t, at);
    uint8_t *raw = NULL;
    struct block block;
    enum status s = table_read_block(t, at, e->room, &raw, &block);
    if (s == STATUS_OK) {
        cache_load_end(&l->cache, e, raw, &block);
    } else {
        cache_load_fail(&l->cache, e);
    }
    return s;
}

enum status lsm_block(struct lsm_file *f, uint32_t at, struct cache_entry **e)
{
    struct lsm *l = f->owner;
    if (f->table->quarantined) return STATUS_CORRUPT;
    *e = cache_get(&l->cache, f->table, at);
    if (*e != NULL) return STATUS_OK;
    if (!l->blocking || f->table->slots[at] != NULL) return STATUS_MISS;
    enum status s = fetch_now(l, f, at);
    if (s == STATUS_OK) *e = cache_get(&l->cache, f->table, at);
    return s;
}

void lsm_miss_drop(struct lsm_miss *miss)
{
    lsm_file_unref(miss->file);
    miss->file = NULL;
}
