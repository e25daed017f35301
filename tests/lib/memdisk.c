#include "lib/memdisk.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/prng.h"
#include "lib/memdisk_image.h"

#include <string.h>

#define SECTOR 512u

/* A write or truncate that is on its way to the device. */
struct change {
    struct change *next;
    bool truncate;
    bool durable;    /* written DISK_DSYNC behind an unsynced one: a crash must keep it, in its place in the order */
    uint64_t offset; /* truncate: the new size */
    size_t size;
    uint8_t data[];
};

struct inode {
    struct inode *next; /* all inodes of the disk */
    bool directory;
    struct image cache, device;
    struct change *first, **last; /* unsynced changes in order; the cache has them, the device has not */
    unsigned refs;                /* names in both tables, pending name changes, handles */
};

struct entry {
    char *path;
    struct inode *inode;
};
struct names {
    struct entry *entries;
    size_t count, capacity;
};

/* Up to two names set or (inode NULL) removed, as one. */
struct name_change {
    struct name_change *next;
    char *path[2];
    struct inode *inode[2];
};

struct memdisk {
    struct disk disk;
    struct prng prng;
    struct names now, durable;
    struct name_change *first_name, **last_name;
    struct inode *inodes;
    uint64_t generation; /* of handles; a crash moves it on */
    bool locked;
    bool direct;
    uint64_t capacity;
    unsigned fail_calls;
    uint64_t fail_in;
    enum status fail_with;
    bool fail_sticky, fail_fired, power_is_off;
    uint64_t misdirect_in, lose_in;
    char *misdirect_path;
    int64_t misdirect_delta;
    const char *stray_suffix; /* NULL: any file */
    struct memdisk_stats stats;
};

struct handle {
    struct disk_file file;
    struct inode *inode;
    unsigned flags;
    bool stray; /* its writes may go astray */
    uint64_t generation;
};

static struct memdisk *memdisk_of(struct disk *d)
{
    return (struct memdisk *)(void *)d;
}

/* --- inodes --- */
static struct inode *inode_new(struct memdisk *d, bool directory)
{
    struct inode *n = mem_zalloc(sizeof *n);
    n->directory = directory;
    n->last = &n->first;
    n->next = d->inodes;
    d->inodes = n;
    return n;
}

static void inode_drop_changes(struct inode *n)
{
    for (struct change *c = n->first; c != NULL;) {
        struct change *next = c->next;
        mem_free(c);
        c = next;
    }
    n->first = NULL;
    n->last = &n->first;
}

static void inode_unref(struct memdisk *d, struct inode *n)
{
    if (n == NULL) return;
    ASSERT(n->refs > 0);
    if (--n->refs > 0) return;
    struct inode **at = &d->inodes;
    while (*at != n) at = &(*at)->next;
    *at = n->next;
    inode_drop_changes(n);
    mem_free(n->cache.data);
    mem_free(n->device.data);
    mem_free(n);
}

static void change_apply(struct image *m, const struct change *c)
{
    if (c->truncate) {
        image_resize(m, (size_t)c->offset);
    } else {
        image_write(m, c->offset, c->data, c->size);
    }
}

static void inode_add_change(struct inode *n, bool truncate, bool durable, uint64_t offset, const void *data,
                             size_t size)
{
    if (durable && n->first == NULL) {
        ASSERT(!truncate);
        image_write(&n->device, offset, data, size);
        return;
    }
    struct change *c = mem_alloc(sizeof *c + size);
    *c = (struct change){.truncate = truncate, .durable = durable, .offset = offset, .size = size};
    if (size > 0) memcpy(c->data, data, size);
    *n->last = c;
    n->last = &c->next;
}

static void inode_sync(struct inode *n)
{
    for (struct change *c = n->first; c != NULL; c = c->next) change_apply(&n->device, c);
    inode_drop_changes(n);
}

/* A random part of the sectors of a write, each whole; `also` (may be NULL) gets the same part. */
static void tear_write(struct memdisk *d, struct image *m, struct image *also, uint64_t offset, const uint8_t *data,
                       size_t size)
{
    bool prefix_only = prng_chance(&d->prng, 1, 3);
    bool open = true;
    for (size_t done = 0; done < size;) {
        size_t n = SECTOR - (size_t)((offset + done) % SECTOR);
        if (n > size - done) n = size - done;
        bool keep = prng_chance(&d->prng, 1, 2);
        if (prefix_only) keep = open = open && prng_chance(&d->prng, 7, 8);
        if (keep) {
            image_write(m, offset + done, data + done, n);
            if (also != NULL) image_write(also, offset + done, data + done, n);
        }
        done += n;
    }
}

/* What a power cut or a failed sync makes of one unsynced change. */
static void change_survive(struct memdisk *d, struct image *m, const struct change *c)
{
    uint64_t luck = c->durable ? 0 : prng_below(&d->prng, 3);
    if (luck == 0) {
        change_apply(m, c);
    } else if (luck == 1 && !c->truncate) {
        tear_write(d, m, NULL, c->offset, c->data, c->size);
    }
    /* A file may be found longer though the bytes did not make it. */
    if (luck != 0 && !c->truncate && c->offset + c->size > m->size && prng_chance(&d->prng, 1, 2))
        image_resize(m, (size_t)c->offset + c->size);
}

/* --- names --- */
static struct entry *names_find(const struct names *t, const char *path)
{
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->entries[i].path, path) == 0) return &t->entries[i];
    return NULL;
}

/* inode NULL removes. */
static void names_set(struct memdisk *d, struct names *t, const char *path, struct inode *inode)
{
    if (inode != NULL) inode->refs++;
    struct entry *e = names_find(t, path);
    if (e != NULL) {
        struct inode *old = e->inode;
        e->inode = inode;
        if (inode == NULL) {
            mem_free(e->path);
            *e = t->entries[--t->count];
        }
        inode_unref(d, old);
        return;
    }
    if (inode == NULL) return;
    if (t->count == t->capacity) {
        t->capacity = t->capacity == 0 ? 16 : t->capacity * 2;
        t->entries = mem_realloc(t->entries, t->capacity * sizeof *t->entries);
    }
    t->entries[t->count++] = (struct entry){.path = mem_strdup(path), .inode = inode};
}

static void names_clear(struct memdisk *d, struct names *t)
{
    for (size_t i = 0; i < t->count; i++) {
        mem_free(t->entries[i].path);
        inode_unref(d, t->entries[i].inode);
    }
    mem_free(t->entries);
    memset(t, 0, sizeof *t);
}

/* Length of the directory part of a path: "a/b/c" -> 3, "c" -> 0. */
static size_t dir_size(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? 0 : (size_t)(slash - path);
}

static bool is_in_dir(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    return dir_size(path) == n && memcmp(path, dir, n) == 0 && strlen(path) > n;
}

static bool parent_exists(const struct names *t, const char *path)
{
    size_t n = dir_size(path);
    if (n == 0) return true;
    for (size_t i = 0; i < t->count; i++) {
        const struct entry *e = &t->entries[i];
        if (e->inode->directory && strlen(e->path) == n && memcmp(e->path, path, n) == 0) return true;
    }
    return false;
}

static void name_change_apply(struct memdisk *d, struct names *t, const struct name_change *c)
{
    for (size_t i = 0; i < 2; i++)
        if (c->path[i] != NULL) names_set(d, t, c->path[i], c->inode[i]);
}

static void name_change_free(struct memdisk *d, struct name_change *c)
{
    for (size_t i = 0; i < 2; i++) {
        mem_free(c->path[i]);
        inode_unref(d, c->inode[i]);
    }
    mem_free(c);
}

static void name_change_add(struct memdisk *d, const char *path, struct inode *inode, const char *path2,
                            struct inode *inode2)
{
    struct name_change *c = mem_zalloc(sizeof *c);
    c->path[0] = mem_strdup(path);
    c->inode[0] = inode;
    if (inode != NULL) inode->refs++;
    if (path2 != NULL) {
        c->path[1] = mem_strdup(path2);
        c->inode[1] = inode2;
        if (inode2 != NULL) inode2->refs++;
    }
    name_change_apply(d, &d->now, c);
    *d->last_name = c;
    d->last_name = &c->next;
}

/* --- faults --- */

/* STATUS_OK, or the status with which this call has to fail. */
static enum status fault(struct memdisk *d, enum memdisk_call call)
{
    d->stats.calls++;
    if (d->power_is_off) return STATUS_IO;
    if (d->fail_in == 0 || (d->fail_calls & (unsigned)call) == 0) return STATUS_OK;
    if (--d->fail_in > 0) return STATUS_OK;
    d->fail_fired = true;
    d->power_is_off = d->fail_sticky || d->fail_with == STATUS_CLOSED;
    return d->fail_with;
}

static uint64_t bytes_in_use(const struct memdisk *d)
{
    uint64_t sum = 0;
    for (const struct inode *n = d->inodes; n != NULL; n = n->next) sum += n->cache.size;
    return sum;
}

static bool ends_with(const char *path, const char *suffix)
{
    size_t a = strlen(path), b = strlen(suffix);
    return a >= b && strcmp(path + a - b, suffix) == 0;
}

/* --- the calls --- */
static enum status op_open(struct disk *disk, const char *path, unsigned flags, struct disk_file **out,
                           struct errbuf *err)
{
    struct memdisk *d = memdisk_of(disk);
    *out = NULL;
    enum status s = fault(d, MEMDISK_OPEN);
    if (s == STATUS_OK && (flags & DISK_DIRECT) != 0 && !d->direct) s = STATUS_UNSUPPORTED;
    if (s != STATUS_OK) {
        errbuf_set(err, "open %s: %s", path, status_text(s));
        return s;
    }
    struct entry *e = names_find(&d->now, path);
    if (e != NULL && (flags & DISK_EXCLUSIVE) != 0) s = STATUS_EXISTS;
    if (e != NULL && e->inode->directory) s = STATUS_INVALID;
    if (e == NULL && ((flags & DISK_CREATE) == 0 || !parent_exists(&d->now, path))) s = STATUS_NOT_FOUND;
    if (s != STATUS_OK) {
        errbuf_set(err, "open %s: %s", path, status_text(s));
        return s;
    }
    struct inode *inode = e != NULL ? e->inode : inode_new(d, false);
    if (e == NULL) name_change_add(d, path, inode, NULL, NULL);
    inode->refs++;
    struct handle *h = mem_zalloc(sizeof *h);
    *h = (struct handle){.file = {.disk = disk}, .inode = inode, .flags = flags, .generation = d->generation};
    h->stray = d->stray_suffix == NULL || ends_with(path, d->stray_suffix);
    d->stats.open_handles++;
    *out = &h->file;
    return STATUS_OK;
}

static struct handle *handle_of(struct disk_file *f)
{
    return (struct handle *)(void *)f;
}

static void op_close(struct disk_file *f)
{
    struct memdisk *d = memdisk_of(f->disk);
    d->stats.open_handles--;
    inode_unref(d, handle_of(f)->inode);
    mem_free(f);
}

static enum status handle_fault(struct disk_file *f, enum memdisk_call call)
{
    struct memdisk *d = memdisk_of(f->disk);
    enum status s = fault(d, call);
    return handle_of(f)->generation != d->generation ? STATUS_IO : s;
}

static void check_aligned(const struct handle *h, uint64_t offset, const void *bytes, size_t size)
{
    if ((h->flags & DISK_DIRECT) == 0) return;
    ASSERT(offset % DISK_ALIGN == 0);
    ASSERT(size % DISK_ALIGN == 0);
    ASSERT((uintptr_t)bytes % DISK_ALIGN == 0);
}

static enum status op_read(struct disk_file *f, uint64_t offset, void *bytes, size_t size, size_t *got)
{
    struct memdisk *d = memdisk_of(f->disk);
    struct handle *h = handle_of(f);
    *got = 0;
    check_aligned(h, offset, bytes, size);
    ASSERT((h->flags & DISK_READ) != 0);
    enum status s = handle_fault(f, MEMDISK_READ);
    if (s != STATUS_OK) return s;
    const struct image *m = &h->inode->cache;
    if ((h->flags & DISK_DIRECT) != 0) {
        inode_sync(h->inode);
        m = &h->inode->device;
    }
    size_t file_size = h->inode->cache.size; /* a direct read of what never reached the device gives zeros */
    if (offset < file_size) *got = file_size - offset < size ? (size_t)(file_size - offset) : size;
    if (*got > 0) memset(bytes, 0, *got);
    if (offset < m->size) memcpy(bytes, m->data + offset, m->size - offset < *got ? (size_t)(m->size - offset) : *got);
    d->stats.reads++;
    d->stats.read_bytes += *got;
    return STATUS_OK;
}

/* Finds where a misdirected write really goes; NULL: the file that it was to be is no more. */
static struct inode *misdirect(struct memdisk *d, struct inode *inode, uint64_t *offset)
{
    if (d->misdirect_in == 0 || --d->misdirect_in > 0) return inode;
    *offset = (uint64_t)((int64_t)*offset + d->misdirect_delta);
    if (d->misdirect_path == NULL) return inode;
    const struct entry *e = names_find(&d->now, d->misdirect_path);
    return e != NULL ? e->inode : NULL;
}

static enum status op_write(struct disk_file *f, uint64_t offset, const void *bytes, size_t size)
{
    struct memdisk *d = memdisk_of(f->disk);
    struct handle *h = handle_of(f);
    check_aligned(h, offset, bytes, size);
    ASSERT((h->flags & DISK_WRITE) != 0);
    bool dsync = (h->flags & DISK_DSYNC) != 0;
    bool was_off = d->power_is_off;
    enum status s = handle_fault(f, MEMDISK_WRITE);
    struct inode *inode = h->inode;
    uint64_t grown = offset + size > inode->cache.size ? offset + size - inode->cache.size : 0;
    if (s == STATUS_OK && d->capacity > 0 && bytes_in_use(d) + grown > d->capacity) return STATUS_NO_SPACE;
    if (s != STATUS_OK) {
        bool happened = !was_off && s != STATUS_CLOSED && h->generation == d->generation;
        if (happened) tear_write(d, &inode->cache, &inode->device, offset, bytes, size);
        return s;
    }
    d->stats.writes++;
    d->stats.write_bytes += size;
    if (h->stray && d->lose_in > 0 && --d->lose_in == 0) return STATUS_OK;
    if (h->stray) inode = misdirect(d, inode, &offset);
    if (inode == NULL) return STATUS_OK;
    image_write(&inode->cache, offset, bytes, size);
    inode_add_change(inode, false, dsync, offset, bytes, size);
    return STATUS_OK;
}

static enum status op_sync(struct disk_file *f)
{
    struct memdisk *d = memdisk_of(f->disk);
    struct handle *h = handle_of(f);
    bool was_off = d->power_is_off;
    enum status s = handle_fault(f, MEMDISK_SYNC);
    if (s == STATUS_OK) {
        d->stats.syncs++;
        inode_sync(h->inode);
    } else if (!was_off && s != STATUS_CLOSED && h->generation == d->generation) {
        for (struct change *c = h->inode->first; c != NULL; c = c->next) change_survive(d, &h->inode->device, c);
        inode_drop_changes(h->inode);
    }
    return s;
}

static enum status op_size(struct disk_file *f, uint64_t *size)
{
    enum status s = handle_fault(f, MEMDISK_SIZE);
    *size = s == STATUS_OK ? handle_of(f)->inode->cache.size : 0;
    return s;
}

static enum status op_truncate(struct disk_file *f, uint64_t size)
{
    struct memdisk *d = memdisk_of(f->disk);
    enum status s = handle_fault(f, MEMDISK_TRUNCATE);
    if (s != STATUS_OK) return s;
    struct inode *inode = handle_of(f)->inode;
    uint64_t grown = size > inode->cache.size ? size - inode->cache.size : 0;
    if (d->capacity > 0 && grown > 0 && bytes_in_use(d) + grown > d->capacity) return STATUS_NO_SPACE;
    image_resize(&inode->cache, (size_t)size);
    inode_add_change(inode, true, false, size, NULL, 0);
    return STATUS_OK;
}

static enum status op_remove(struct disk *disk, const char *path)
{
    struct memdisk *d = memdisk_of(disk);
    enum status s = fault(d, MEMDISK_REMOVE);
    if (s != STATUS_OK) return s;
    if (names_find(&d->now, path) == NULL) return STATUS_NOT_FOUND;
    name_change_add(d, path, NULL, NULL, NULL);
    return STATUS_OK;
}

static enum status op_rename(struct disk *disk, const char *from, const char *to)
{
    struct memdisk *d = memdisk_of(disk);
    enum status s = fault(d, MEMDISK_RENAME);
    if (s != STATUS_OK) return s;
    const struct entry *e = names_find(&d->now, from);
    if (e == NULL || !parent_exists(&d->now, to)) return STATUS_NOT_FOUND;
    ASSERT(!e->inode->directory);
    if (strcmp(from, to) != 0) name_change_add(d, from, NULL, to, e->inode);
    return STATUS_OK;
}

static enum status op_link(struct disk *disk, const char *from, const char *to)
{
    struct memdisk *d = memdisk_of(disk);
    enum status s = fault(d, MEMDISK_LINK);
    if (s != STATUS_OK) return s;
    const struct entry *e = names_find(&d->now, from);
    if (e == NULL || !parent_exists(&d->now, to)) return STATUS_NOT_FOUND;
    if (names_find(&d->now, to) != NULL) return STATUS_EXISTS;
    name_change_add(d, to, e->inode, NULL, NULL);
    return STATUS_OK;
}

static enum status op_mkdir(struct disk *disk, const char *path)
{
    struct memdisk *d = memdisk_of(disk);
    enum status s = fault(d, MEMDISK_MKDIR);
    if (s != STATUS_OK) return s;
    const struct entry *e = names_find(&d->now, path);
    if (e != NULL) return e->inode->directory ? STATUS_OK : STATUS_EXISTS;
    if (!parent_exists(&d->now, path)) return STATUS_NOT_FOUND;
    name_change_add(d, path, inode_new(d, true), NULL, NULL);
    return STATUS_OK;
}

static enum status op_sync_dir(struct disk *disk, const char *path)
{
    struct memdisk *d = memdisk_of(disk);
    enum status s = fault(d, MEMDISK_SYNC_DIR);
    if (s != STATUS_OK) return s;
    d->stats.dir_syncs++;
    struct name_change **at = &d->first_name;
    while (*at != NULL) {
        struct name_change *c = *at;
        bool here = is_in_dir(c->path[0], path) || (c->path[1] != NULL && is_in_dir(c->path[1], path));
        if (!here) {
            at = &c->next;
            continue;
        }
        name_change_apply(d, &d->durable, c);
        *at = c->next;
        name_change_free(d, c);
    }
    d->last_name = at;
    return STATUS_OK;
}

static enum status op_list(struct disk *disk, const char *path, void (*each)(void *ctx, const char *name), void *ctx)
{
    struct memdisk *d = memdisk_of(disk);
    enum status s = fault(d, MEMDISK_LIST);
    if (s != STATUS_OK) return s;
    const struct entry *e = names_find(&d->now, path);
    if (*path != '\0' && (e == NULL || !e->inode->directory)) return STATUS_NOT_FOUND;
    size_t skip = *path == '\0' ? 0 : strlen(path) + 1;
    for (size_t i = 0; i < d->now.count; i++)
        if (is_in_dir(d->now.entries[i].path, path)) each(ctx, d->now.entries[i].path + skip);
    return STATUS_OK;
}

static enum status op_space(struct disk *disk, uint64_t *free_bytes, uint64_t *total_bytes)
{
    const struct memdisk *d = memdisk_of(disk);
    uint64_t used = bytes_in_use(d);
    *total_bytes = d->capacity > 0 ? d->capacity : (uint64_t)1 << 40;
    *free_bytes = *total_bytes > used ? *total_bytes - used : 0;
    return STATUS_OK;
}

static enum status op_lock(struct disk *disk, struct errbuf *err)
{
    struct memdisk *d = memdisk_of(disk);
    if (d->locked) {
        errbuf_set(err, "the disk is locked already");
        return STATUS_LOCKED;
    }
    d->locked = true;
    return STATUS_OK;
}

static const struct disk_ops memdisk_ops = {.open = op_open,
                                            .close = op_close,
                                            .read = op_read,
                                            .write = op_write,
                                            .sync = op_sync,
                                            .size = op_size,
                                            .truncate = op_truncate,
                                            .remove = op_remove,
                                            .rename = op_rename,
                                            .link = op_link,
                                            .mkdir = op_mkdir,
                                            .sync_dir = op_sync_dir,
                                            .list = op_list,
                                            .space = op_space,
                                            .lock = op_lock};

/* --- the test's side --- */
struct memdisk *memdisk_new(uint64_t seed)
{
    struct memdisk *d = mem_zalloc(sizeof *d);
    d->disk.ops = &memdisk_ops;
    d->last_name = &d->first_name;
    d->direct = true;
    prng_init(&d->prng, seed);
    return d;
}

struct memdisk *memdisk_clone(const struct memdisk *from, uint64_t seed)
{
    struct memdisk *d = memdisk_new(seed);
    d->direct = from->direct;
    d->capacity = from->capacity;
    for (size_t i = 0; i < from->now.count; i++) {
        const struct entry *e = &from->now.entries[i];
        struct inode *inode = inode_new(d, e->inode->directory);
        image_copy(&inode->cache, &e->inode->cache);
        image_copy(&inode->device, &e->inode->cache);
        names_set(d, &d->now, e->path, inode);
        names_set(d, &d->durable, e->path, inode);
    }
    return d;
}

struct disk *memdisk_disk(struct memdisk *d)
{
    return &d->disk;
}

static void drop_name_changes(struct memdisk *d)
{
    for (struct name_change *c = d->first_name; c != NULL;) {
        struct name_change *next = c->next;
        name_change_free(d, c);
        c = next;
    }
    d->first_name = NULL;
    d->last_name = &d->first_name;
}

void memdisk_free(struct memdisk *d)
{
    if (d == NULL) return;
    ASSERT(d->stats.open_handles == 0);
    drop_name_changes(d);
    names_clear(d, &d->now);
    names_clear(d, &d->durable);
    ASSERT(d->inodes == NULL);
    mem_free(d->misdirect_path);
    mem_free(d);
}

void memdisk_fail_at(struct memdisk *d, unsigned calls, uint64_t n, enum status with, bool sticky)
{
    d->fail_calls = calls;
    d->fail_in = n;
    d->fail_with = with;
    d->fail_sticky = sticky;
    d->fail_fired = false;
    if (with == STATUS_OK) d->power_is_off = false;
}

bool memdisk_fail_fired(const struct memdisk *d)
{
    return d->fail_fired;
}

void memdisk_stray_only(struct memdisk *d, const char *suffix)
{
    d->stray_suffix = suffix;
}

void memdisk_misdirect_at(struct memdisk *d, uint64_t n, const char *path, int64_t delta)
{
    mem_free(d->misdirect_path);
    d->misdirect_path = path != NULL ? mem_strdup(path) : NULL;
    d->misdirect_in = n;
    d->misdirect_delta = delta;
}

void memdisk_lose_at(struct memdisk *d, uint64_t n)
{
    d->lose_in = n;
}

void memdisk_set_capacity(struct memdisk *d, uint64_t bytes)
{
    d->capacity = bytes;
}

void memdisk_set_direct(struct memdisk *d, bool supported)
{
    d->direct = supported;
}

/* Metadata journals keep order (a prefix of the name changes survives); the contract does not promise it. Both happen. */
static void crash_names(struct memdisk *d, enum memdisk_crash how)
{
    bool in_order = prng_chance(&d->prng, 1, 2);
    bool open = true;
    for (struct name_change *c = d->first_name; c != NULL; c = c->next) {
        bool keep = prng_chance(&d->prng, 1, 2);
        if (in_order) keep = open = open && prng_chance(&d->prng, 3, 4);
        if (how == MEMDISK_KEEP || (how == MEMDISK_RANDOM && keep)) name_change_apply(d, &d->durable, c);
    }
    drop_name_changes(d);
    for (size_t i = 0; i < d->durable.count;) { /* what was in a directory that is gone is gone */
        if (parent_exists(&d->durable, d->durable.entries[i].path)) {
            i++;
        } else {
            names_set(d, &d->durable, d->durable.entries[i].path, NULL);
            i = 0;
        }
    }
    names_clear(d, &d->now);
    for (size_t i = 0; i < d->durable.count; i++)
        names_set(d, &d->now, d->durable.entries[i].path, d->durable.entries[i].inode);
}

void memdisk_crash(struct memdisk *d, enum memdisk_crash how)
{
    for (struct inode *n = d->inodes; n != NULL && how != MEMDISK_PROCESS; n = n->next) {
        for (struct change *c = n->first; c != NULL; c = c->next) {
            if (how == MEMDISK_KEEP || (how == MEMDISK_DROP && c->durable)) change_apply(&n->device, c);
            if (how == MEMDISK_RANDOM) change_survive(d, &n->device, c);
        }
        inode_drop_changes(n);
        if (how != MEMDISK_KEEP) image_copy(&n->cache, &n->device); /* KEEP: the page cache lives on, lies included */
    }
    if (how != MEMDISK_PROCESS) crash_names(d, how);
    d->generation++;
    d->locked = false;
    d->power_is_off = false;
    d->fail_in = d->misdirect_in = d->lose_in = 0;
}

bool memdisk_exists(const struct memdisk *d, const char *path)
{
    return names_find(&d->now, path) != NULL;
}

static struct inode *inode_at(const struct memdisk *d, const char *path)
{
    const struct entry *e = names_find(&d->now, path);
    ASSERT(e != NULL);
    return e->inode;
}

struct slice memdisk_content(const struct memdisk *d, const char *path)
{
    const struct inode *n = inode_at(d, path);
    return n->cache.size == 0 ? SLICE_EMPTY : slice_make(n->cache.data, n->cache.size);
}

void memdisk_each(const struct memdisk *d, void (*each)(void *ctx, const char *path, struct slice content), void *ctx)
{
    for (size_t i = 0; i < d->now.count; i++)
        if (!d->now.entries[i].inode->directory)
            each(ctx, d->now.entries[i].path, memdisk_content(d, d->now.entries[i].path));
}

void memdisk_flip(struct memdisk *d, const char *path, uint64_t offset, unsigned bit)
{
    struct inode *n = inode_at(d, path);
    ASSERT(offset < n->cache.size);
    uint8_t mask = (uint8_t)(1u << (bit & 7u));
    n->cache.data[offset] ^= mask;
    if (offset < n->device.size) n->device.data[offset] ^= mask;
}

void memdisk_poke(struct memdisk *d, const char *path, uint64_t offset, const void *bytes, size_t size)
{
    struct inode *n = inode_at(d, path);
    image_write(&n->cache, offset, bytes, size);
    image_write(&n->device, offset, bytes, size);
}

uint64_t memdisk_hash(const struct memdisk *d)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < d->now.count; i++) {
        const struct entry *e = &d->now.entries[i];
        sum += hash_bytes(slice_str(e->path), hash_bytes(memdisk_content(d, e->path), e->inode->directory ? 1 : 2));
    }
    return sum;
}

void memdisk_stats(const struct memdisk *d, struct memdisk_stats *out)
{
    *out = d->stats;
}
