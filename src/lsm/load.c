/* Fetching blocks: one task per block, or for several that a scan will want, however many wait for it. */
#include "base/mem.h"
#include "lsm/lsm_int.h"

#define AHEAD_BYTES (256u * 1024u) /* of a load of several blocks, at most */

struct load_block {
    struct cache_entry *entry;
    uint8_t *raw;
    struct block block;
    enum status status;
};

struct load {
    struct task task;
    struct lsm *l;
    struct lsm_file *file;     /* referenced */
    struct cache_entry *there; /* it came before the task was made: nothing to read, only somebody to tell; or NULL */
    struct list waiters;       /* then; else the entries have them */
    uint32_t at, count;        /* the first block, and how many */
    struct load_block blocks[];
};

struct load_waiter {
    struct list link;
    void (*done)(void *ctx, enum status s);
    void *ctx;
    enum status status;
};

static void read_each(struct load *ld)
{
    for (uint32_t i = 0; i < ld->count; i++) {
        struct load_block *b = &ld->blocks[i];
        b->status = table_read_block(ld->file->table, ld->at + i, b->entry->room, &b->raw, &b->block);
    }
}

/* Blocks that lie one behind the other, in one read. Whether each is right is its own matter. */
static void read_together(struct load *ld)
{
    const struct table *t = ld->file->table;
    const struct table_block *first = &t->blocks[ld->at], *last = &t->blocks[ld->at + ld->count - 1];
    size_t size = (size_t)(last->offset + last->size - first->offset), got = 0;
    uint8_t *bytes = mem_alloc(size);
    if (disk_read(t->file, first->offset, bytes, size, &got) != STATUS_OK || got < size) {
        read_each(ld);
    } else {
        for (uint32_t i = 0; i < ld->count; i++) {
            struct load_block *b = &ld->blocks[i];
            struct slice sealed = slice_make(bytes + (first[i].offset - first->offset), first[i].size);
            bool good = table_unseal_block(t, ld->at + i, sealed, b->entry->room, &b->raw, &b->block);
            b->status = good ? STATUS_OK : STATUS_CORRUPT;
        }
    }
    mem_free(bytes);
}

static void load_execute(struct task *task)
{
    struct load *ld = (struct load *)(void *)((char *)task - offsetof(struct load, task));
    if (ld->count > 1) {
        read_together(ld);
    } else {
        read_each(ld);
    }
}

static void take_waiters(struct list *from, enum status s, struct list *to)
{
    for (struct list *link; (link = list_pop_front(from)) != NULL;) {
        LIST_ENTRY(link, struct load_waiter, link)->status = s;
        list_push_back(to, link);
    }
}

/* Into the cache, or not. The table is quarantined if it is damaged. */
static void block_loaded(struct load *ld, uint32_t i, bool cancelled, bool dead, struct list *waiters)
{
    struct load_block *b = &ld->blocks[i];
    take_waiters(&b->entry->waiters, b->status, waiters);
    if (b->status == STATUS_OK && !cancelled) {
        cache_load_end(&ld->l->cache, b->entry, b->raw, &b->block);
        return;
    }
    if (b->status == STATUS_OK) table_raw_free(b->entry->room, b->raw);
    cache_load_fail(&ld->l->cache, b->entry);
    if (b->status == STATUS_CORRUPT && !dead) lsm_quarantine(ld->l, ld->file, ld->at + i);
}

static void load_complete(struct task *t)
{
    struct load *ld = (struct load *)(void *)((char *)t - offsetof(struct load, task));
    struct lsm *l = ld->l;
    bool dead = t->cancelled || l->env->dead;
    struct list waiters, *link;
    list_init(&waiters);
    if (ld->there != NULL) {
        take_waiters(&ld->waiters, STATUS_OK, &waiters);
        cache_release(ld->there);
        cache_hold(&l->cache, ld->there);
    }
    for (uint32_t i = 0; i < ld->count; i++) block_loaded(ld, i, t->cancelled, dead, &waiters);
    l->loads--;
    lsm_file_unref(ld->file);
    mem_free(ld);
    while ((link = list_pop_front(&waiters)) != NULL) {
        struct load_waiter w = *LIST_ENTRY(link, struct load_waiter, link);
        mem_free(LIST_ENTRY(link, struct load_waiter, link));
        w.done(w.ctx, dead ? STATUS_CLOSED : w.status); /* who waits has something to release */
    }
}

static struct load *load_new(struct lsm *l, struct lsm_file *f, uint32_t at, uint32_t count)
{
    struct load *ld = mem_zalloc(sizeof(*ld) + count * sizeof(ld->blocks[0]));
    ld->l = l;
    ld->file = lsm_file_ref(f);
    ld->at = at;
    ld->count = count;
    list_init(&ld->waiters);
    for (uint32_t i = 0; i < count; i++) ld->blocks[i].entry = cache_load_begin(&l->cache, f->table, at + i);
    ld->task.execute = load_execute;
    ld->task.complete = load_complete;
    l->loads++;
    return ld;
}

/* The block and those besides that are absent too, without a gap. */
static struct load *load_of_miss(struct lsm *l, const struct lsm_miss *miss)
{
    const struct table *t = miss->file->table;
    uint32_t at = miss->block, count = 1;
    uint64_t bytes = t->blocks[at].size;
    for (int32_t n = miss->ahead; n > 0 && at + count < t->block_count && t->slots[at + count] == NULL; n--) {
        bytes += t->blocks[at + count].size;
        if (bytes > AHEAD_BYTES) break;
        count++;
    }
    for (int32_t n = miss->ahead; n < 0 && at > 0 && t->slots[at - 1] == NULL; n++) {
        bytes += t->blocks[at - 1].size;
        if (bytes > AHEAD_BYTES) break;
        at--;
        count++;
    }
    return load_new(l, miss->file, at, count);
}

void lsm_load(struct lsm *l, struct lsm_miss *miss, void (*done)(void *ctx, enum status s), void *ctx)
{
    ASSERT(miss->file != NULL);
    struct cache_entry *e = miss->file->table->slots[miss->block];
    struct load_waiter *w = mem_zalloc(sizeof(*w));
    struct load *ld = NULL;
    w->done = done;
    w->ctx = ctx;
    if (e == NULL) {
        ld = load_of_miss(l, miss);
        e = miss->file->table->slots[miss->block];
    } else if (e->state != CACHE_LOADING) {
        ld = load_new(l, miss->file, miss->block, 0);
        ld->there = e;
        e->refs++;
    }
    list_push_back(ld != NULL && ld->there != NULL ? &ld->waiters : &e->waiters, &w->link);
    if (ld != NULL) exec_submit(l->env->exec, LANE_READ, &ld->task);
    lsm_miss_drop(miss);
}

/* A reader that may wait fetches the block itself. */
static enum status fetch_now(struct lsm *l, struct lsm_file *f, uint32_t at)
{
    struct table *t = f->table;
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
