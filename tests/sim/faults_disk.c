/* What befalls disks: slow, full, failing, rotting. */
#include "base/assert.h"
#include "sim/faults_int.h"

#include <limits.h>
#include <stdio.h>

void fault_slow_disk(struct faults *f)
{
    struct process *p = fault_victim(f);
    uint64_t which = draw(f->world, 0, 3), factor = chance(f->world, 300) ? 1 : draw(f->world, 2, 200);
    if (which == 3) {
        p->disk_stalls_ns = f->world->now_ns + draw(f->world, 50, 5000) * MS_NS;
        world_trace(f->world, p, "DISK stalls");
        return;
    }
    if (which != 1) p->log_slow = factor;
    if (which != 0) p->io_slow = factor;
    world_trace(f->world, p, "DISK is slower: log %llu times, the rest %llu times", (unsigned long long)p->log_slow,
                (unsigned long long)p->io_slow);
}

void fault_disk_freed(struct world *w, void *ctx)
{
    struct process *p = ctx;
    memdisk_set_capacity(p->disk, 0);
    if (p->disk_full) world_trace(w, p, "DISK has room again");
    p->disk_full = false;
}

void fault_full_disk(struct faults *f)
{
    struct process *p = fault_any_server(f);
    uint64_t free_bytes, total_bytes;
    if (p->disk_full || disk_space(memdisk_disk(p->disk), &free_bytes, &total_bytes) != STATUS_OK) return;
    uint64_t left = draw(f->world, 0, chance(f->world, 500) ? 20000 : 400000);
    memdisk_set_capacity(p->disk, total_bytes - free_bytes + left);
    p->disk_full = true;
    world_trace(f->world, p, "DISK has room for %llu more bytes", (unsigned long long)left);
    world_after(f->world, draw(f->world, 100, 5000) * MS_NS, fault_disk_freed, p);
}

void fault_failing_disk(struct faults *f)
{
    static const unsigned CALLS[] = {MEMDISK_SYNC, MEMDISK_WRITE, MEMDISK_SYNC_DIR | MEMDISK_RENAME, MEMDISK_CHANGE};
    struct process *p = fault_any_server(f);
    if (!process_runs(p)) return;
    p->disk_faulty = true;
    world_trace(f->world, p, "DISK will fail");
    unsigned calls = CALLS[draw(f->world, 0, 3)];
    uint64_t n = draw(f->world, 1, 40);
    if (prng_chance(&f->world->stray, 1, 6)) calls = MEMDISK_READ;
    memdisk_fail_at(p->disk, calls, n, STATUS_IO, chance(f->world, 300));
}

/* --- rot of tables --- */

struct rot {
    unsigned wanted, seen; /* the so many-th of the tables */
    char path[64];
    size_t size;
};

static void rot_consider(void *ctx, const char *path, struct slice content)
{
    struct rot *r = ctx;
    size_t length = strlen(path);
    if (length < 4 || strcmp(path + length - 4, ".tbl") != 0 || content.size == 0 || r->seen++ != r->wanted) return;
    (void)snprintf(r->path, sizeof r->path, "%s", path);
    r->size = content.size;
}

/* A write of a table that goes nowhere, or to another place: in its own file, or over another table. The disk says that it was done. */
static void stray_write(struct world *w, struct process *p, const char *other)
{
    uint64_t luck = prng_below(&w->stray, 6), n = prng_between(&w->stray, 1, 4);
    if (luck > 2) return;
    if (luck == 0) {
        memdisk_lose_at(p->disk, n);
    } else {
        memdisk_misdirect_at(p->disk, n, luck == 1 ? NULL : other, luck == 1 ? 4096 : 0);
    }
    COVER("sim.stray_write");
    world_trace(w, p, "DISK will %s a write of a table", luck == 0 ? "lose" : "misdirect");
}

/* Rows are fetched again from a peer; but where the damage was met when nobody leads, or in rows that a start needs, the server may
 * refuse to answer, and to start. It takes no part in the liveness phase. The others of its kind are a quorum without it. */
void fault_table_rot(struct faults *f)
{
    struct rot r = {.wanted = UINT_MAX};
    struct process *p = fault_any_server(f);
    if (!f->cluster->placed) return; /* ranges are placed on nodes that can be relied on */
    if (!p->disk_damaged && !fault_may_rot(f, p)) return;
    memdisk_each(p->disk, rot_consider, &r);
    if (r.seen == 0) return;
    r.wanted = (unsigned)draw(f->world, 0, r.seen - 1);
    r.seen = 0;
    memdisk_each(p->disk, rot_consider, &r);
    uint64_t at = draw(f->world, 0, r.size - 1);
    if (!p->disk_damaged) fault_note_rot(f, p);
    p->disk_damaged = true;
    memdisk_flip(p->disk, r.path, at, (unsigned)draw(f->world, 0, 7));
    world_trace(f->world, p, "ROT in %s at %llu", r.path, (unsigned long long)at);
    stray_write(f->world, p, r.path);
}
