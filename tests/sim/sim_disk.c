/* The disk of one life of a process: a memdisk behind a switch. When the process dies the switch is thrown, so that what its
 * server still does while it is taken apart changes nothing. Each call that changes something is an effect, before which the
 * process may die. */
#include "sim/sim.h"

#include "base/assert.h"
#include "base/mem.h"

struct sim_disk {
    struct disk seam;
    struct process *p;
    bool off;
    uint64_t open_files;
};

struct sim_file {
    struct disk_file seam;
    struct disk_file *inner;
};

static struct sim_disk *sim_of(struct disk *d)
{
    return (struct sim_disk *)(void *)d;
}

static struct disk *inner(struct disk *d)
{
    return memdisk_disk(sim_of(d)->p->disk);
}

static struct disk_file *inner_file(struct disk_file *f)
{
    return ((struct sim_file *)(void *)f)->inner;
}

static bool file_off(const struct disk_file *f)
{
    return ((const struct sim_disk *)(const void *)f->disk)->off;
}

/* It changes something, or is not to be. A write that is the last thing a process does may be on the disk in part. */
static bool dies(struct disk *d, bool tears)
{
    struct sim_disk *s = sim_of(d);
    if (s->off) return true;
    if (process_effect(s->p)) return false;
    s->off = true;
    if (!tears || !chance(s->p->world, 800)) return true;
    memdisk_fail_at(s->p->disk, MEMDISK_WRITE, 1, STATUS_IO, true);
    return false; /* the inner call fails */
}

static bool file_dies(struct disk_file *f)
{
    return dies(f->disk, false);
}

static enum status op_open(struct disk *d, const char *path, unsigned flags, struct disk_file **out, struct errbuf *err)
{
    *out = NULL;
    if ((flags & DISK_CREATE) != 0 ? dies(d, false) : sim_of(d)->off) return STATUS_IO;
    struct disk_file *file;
    enum status s = disk_open(inner(d), path, flags, &file, err);
    if (s != STATUS_OK) return s;
    struct sim_file *f = mem_zalloc(sizeof *f);
    f->seam.disk = d;
    f->inner = file;
    sim_of(d)->open_files++;
    *out = &f->seam;
    return STATUS_OK;
}

static void op_close(struct disk_file *f)
{
    sim_of(f->disk)->open_files--;
    disk_close(inner_file(f));
    mem_free(f);
}

static enum status op_read(struct disk_file *f, uint64_t offset, void *bytes, size_t size, size_t *got)
{
    *got = 0;
    return file_off(f) ? STATUS_IO : disk_read(inner_file(f), offset, bytes, size, got);
}

static enum status op_write(struct disk_file *f, uint64_t offset, const void *bytes, size_t size)
{
    if (dies(f->disk, true)) return STATUS_IO;
    return disk_write(inner_file(f), offset, bytes, size);
}

static enum status op_sync(struct disk_file *f)
{
    return file_dies(f) ? STATUS_IO : disk_sync(inner_file(f));
}

static enum status op_size(struct disk_file *f, uint64_t *size)
{
    *size = 0;
    return file_off(f) ? STATUS_IO : disk_size(inner_file(f), size);
}

static enum status op_truncate(struct disk_file *f, uint64_t size)
{
    return file_dies(f) ? STATUS_IO : disk_truncate(inner_file(f), size);
}

static enum status op_remove(struct disk *d, const char *path)
{
    return dies(d, false) ? STATUS_IO : disk_remove(inner(d), path);
}

static enum status op_rename(struct disk *d, const char *from, const char *to)
{
    return dies(d, false) ? STATUS_IO : disk_rename(inner(d), from, to);
}

static enum status op_link(struct disk *d, const char *from, const char *to)
{
    return sim_of(d)->off ? STATUS_IO : disk_link(inner(d), from, to);
}

static enum status op_mkdir(struct disk *d, const char *path)
{
    return dies(d, false) ? STATUS_IO : disk_mkdir(inner(d), path);
}

static enum status op_sync_dir(struct disk *d, const char *path)
{
    return dies(d, false) ? STATUS_IO : disk_sync_dir(inner(d), path);
}

static enum status op_list(struct disk *d, const char *path, void (*each)(void *ctx, const char *name), void *ctx)
{
    return sim_of(d)->off ? STATUS_IO : disk_list(inner(d), path, each, ctx);
}

static enum status op_space(struct disk *d, uint64_t *free_bytes, uint64_t *total_bytes)
{
    *free_bytes = *total_bytes = 0;
    return sim_of(d)->off ? STATUS_IO : disk_space(inner(d), free_bytes, total_bytes);
}

static enum status op_lock(struct disk *d, struct errbuf *err)
{
    return sim_of(d)->off ? STATUS_IO : disk_lock(inner(d), err);
}

static const struct disk_ops DISK_OPS = {.open = op_open,
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

struct sim_disk *sim_disk_new(struct process *p)
{
    struct sim_disk *s = mem_zalloc(sizeof *s);
    s->seam.ops = &DISK_OPS;
    s->p = p;
    return s;
}

struct disk *sim_disk_seam(struct sim_disk *d)
{
    return &d->seam;
}

void sim_disk_off(struct sim_disk *d)
{
    d->off = true;
}

void sim_disk_free(struct sim_disk *d)
{
    if (d->open_files > 0)
        world_fail(d->p->world, "%s left %llu files open", d->p->name, (unsigned long long)d->open_files);
    if (d->open_files == 0) mem_free(d); /* otherwise its files still point to it */
}
