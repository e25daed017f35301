/* A disk in memory that forgets, tears and lies on request: the `struct disk` of unit tests.
 *
 * Each file has two images: the cache (what a buffered read returns) and the device (what a power cut leaves), and a list
 * of writes that are not synced yet. Names are kept twice likewise. The rules are those of env/disk.h:
 *  - a write is on the device after a sync of its file, or at once when the file was opened DISK_DSYNC;
 *  - a name is durable after sync_dir of its directory;
 *  - a power cut keeps, drops or tears (512-byte sectors) each unsynced write, and keeps or drops each unsynced name;
 *  - a failed sync leaves a random part of the unsynced writes on the device, forgets the rest, and the cache still shows
 *    all of it: a later sync that succeeds makes nothing of it durable (as Linux behaves);
 *  - a DISK_DIRECT read writes back what is unsynced and returns the device's bytes.
 * After a crash every open handle is dead: calls on it answer STATUS_IO; disk_close still releases it.
 *
 * Single-threaded. All randomness comes from the seed: the same calls give the same disk. */
#ifndef QUORATE_TESTS_MEMDISK_H
#define QUORATE_TESTS_MEMDISK_H

#include "env/disk.h"

struct memdisk;

struct memdisk *memdisk_new(uint64_t seed);
/* A disk with the names and bytes that `d` shows now, all of it durable; no faults armed. */
struct memdisk *memdisk_clone(const struct memdisk *d, uint64_t seed);
void memdisk_free(struct memdisk *d);
struct disk *memdisk_disk(struct memdisk *d); /* lives as long as d */

/* --- faults --- */
enum memdisk_call {
    MEMDISK_OPEN = 1,
    MEMDISK_READ = 2,
    MEMDISK_WRITE = 4,
    MEMDISK_SYNC = 8,
    MEMDISK_TRUNCATE = 16,
    MEMDISK_REMOVE = 32,
    MEMDISK_RENAME = 64,
    MEMDISK_MKDIR = 128,
    MEMDISK_SYNC_DIR = 256,
    MEMDISK_LIST = 512,
    MEMDISK_SIZE = 1024,
    MEMDISK_LINK = 2048,
    MEMDISK_ANY = 4095,
    /* The calls that change something. */
    MEMDISK_CHANGE = MEMDISK_WRITE | MEMDISK_SYNC | MEMDISK_TRUNCATE | MEMDISK_REMOVE | MEMDISK_RENAME | MEMDISK_MKDIR |
                     MEMDISK_SYNC_DIR | MEMDISK_LINK
};
/* The n-th call from now (1: the next) of the kinds in `calls` fails with `with`; n 0 disarms. A failing write is torn.
 * sticky: every later call, of any kind, fails with STATUS_IO, as after a power cut. An open that fails creates nothing.
 * with STATUS_OK (and n 0): what a sticky failure began is over too; calls succeed again in the same life.
 * with STATUS_CLOSED: the process was killed before that call: it and all later ones do nothing at all. */
void memdisk_fail_at(struct memdisk *d, unsigned calls, uint64_t n, enum status with, bool sticky);
bool memdisk_fail_fired(const struct memdisk *d);
/* The n-th write from now lands `delta` bytes off its place, in the file `path` (NULL: in its own), and reports success. */
void memdisk_misdirect_at(struct memdisk *d, uint64_t n, const char *path, int64_t delta);
/* The n-th write from now reports success and never happens. */
void memdisk_lose_at(struct memdisk *d, uint64_t n);
/* Only writes of files whose names end so, opened from now on, are counted and go astray. Not copied. */
void memdisk_stray_only(struct memdisk *d, const char *suffix);
void memdisk_set_capacity(struct memdisk *d,
                          uint64_t bytes);                  /* sum of file sizes; more: STATUS_NO_SPACE. 0: unlimited */
void memdisk_set_direct(struct memdisk *d, bool supported); /* false: DISK_DIRECT opens answer STATUS_UNSUPPORTED */

/* --- crashes --- */
enum memdisk_crash {
    MEMDISK_KEEP,   /* everything unsynced reaches the device: the process died, the machine went on for a while */
    MEMDISK_DROP,   /* nothing unsynced does */
    MEMDISK_RANDOM, /* each unsynced write and name is kept, dropped or torn */
    /* The process died alone: nothing is lost now, but what was unsynced still is, and a later power cut may take it. */
    MEMDISK_PROCESS,
};
void memdisk_crash(struct memdisk *d, enum memdisk_crash how); /* also clears all armed faults */

/* --- looking and damaging --- */
bool memdisk_exists(const struct memdisk *d, const char *path);
struct slice memdisk_content(const struct memdisk *d, const char *path); /* the cache's image; until the next change */
void memdisk_each(const struct memdisk *d, void (*each)(void *ctx, const char *path, struct slice content), void *ctx);
void memdisk_flip(struct memdisk *d, const char *path, uint64_t offset, unsigned bit); /* in both images */
void memdisk_poke(struct memdisk *d, const char *path, uint64_t offset, const void *bytes, size_t size); /* likewise */
uint64_t memdisk_hash(const struct memdisk *d); /* of names and contents, whatever their order of creation */

struct memdisk_stats {
    uint64_t calls; /* of any kind in MEMDISK_ANY */
    uint64_t writes, write_bytes, syncs, dir_syncs, reads, read_bytes;
    uint64_t open_handles;
};
void memdisk_stats(const struct memdisk *d, struct memdisk_stats *out);

#endif
