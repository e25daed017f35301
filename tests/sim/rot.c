/* Rot: what was durable in a log, or the head of a store's manifest, is no longer what it was when its server starts again. Of
 * members of one kind only one at a time is not sound: fewer than a majority of any group, all of whose members have been
 * there. The last batch is spared: nothing says that it was durable (docs/formats/wal.md, "What can be lost silently"). */
#include "sim/rot.h"

#include "base/assert.h"
#include "range/host_int.h" /* to know when a server has been mended */
#include "wal/wal_format.h"

#include <stdio.h>

enum { BATCHES_MAX = 4096 };

struct spot {
    char path[64];
    uint64_t offset, size, number;
};

struct search {
    struct spot batches[BATCHES_MAX], headers[64];
    unsigned batch_count, header_count;
    uint64_t last; /* batch */
};

static void look(void *ctx, const char *path, struct slice content)
{
    struct search *s = ctx;
    struct wal_segment_header h;
    size_t length = strlen(path);
    if (length < 4 || length >= 64 || strcmp(path + length - 4, ".wal") != 0 || content.size < 2 * WAL_BLOCK) return;
    if (wal_segment_header_decode(content.data, &h) != STATUS_OK || h.epoch == 0) return;
    struct spot spot = {.size = WAL_BLOCK};
    memcpy(spot.path, path, length + 1);
    spot.number = h.first_batch;
    if (s->header_count < 64) s->headers[s->header_count++] = spot;
    for (uint64_t at = WAL_BLOCK; at + WAL_BLOCK <= content.size;) {
        struct wal_batch_header b;
        if (wal_batch_header_decode(content.data + at, &b) != STATUS_OK || b.epoch != h.epoch) return;
        spot.offset = at;
        spot.size = wal_batch_size(b.payload_bytes);
        spot.number = b.number;
        if (s->batch_count < BATCHES_MAX) s->batches[s->batch_count++] = spot;
        if (b.number > s->last) s->last = b.number;
        at += spot.size;
    }
}

static void harm(struct world *w, struct memdisk *d, const struct spot *at)
{
    static const uint8_t zeros[WAL_BLOCK];
    uint64_t block = at->offset + draw(w, 0, at->size / WAL_BLOCK - 1) * WAL_BLOCK;
    if (chance(w, 500)) {
        memdisk_poke(d, at->path, block, zeros, chance(w, 500) ? WAL_BLOCK : 512);
    } else {
        /* In a header: behind it may be padding of a header block, which means nothing. */
        memdisk_flip(d, at->path, block + draw(w, 0, 67), (unsigned)draw(w, 0, 7));
    }
}

static void rot_log(struct world *w, struct process *p)
{
    struct search *s = world_alloc(w, sizeof *s);
    memdisk_each(p->disk, look, s);
    unsigned spots = (unsigned)draw(w, 1, chance(w, 700) ? 1 : 8);
    for (unsigned i = 0; i < spots && s->batch_count > 0; i++) {
        const struct spot *at = &s->batches[draw(w, 0, s->batch_count - 1)];
        if (chance(w, 150)) at = &s->headers[draw(w, 0, s->header_count - 1)];
        if (at->number >= s->last) continue;
        world_trace(w, p, "ROT in %s at %llu, batch %llu of %llu", at->path, (unsigned long long)at->offset,
                    (unsigned long long)at->number, (unsigned long long)s->last);
        harm(w, p->disk, at);
    }
}

static void rot_store(struct world *w, struct process *p)
{
    if (!memdisk_exists(p->disk, "store/MANIFEST")) return;
    world_trace(w, p, "ROT at the head of store/MANIFEST");
    memdisk_flip(p->disk, "store/MANIFEST", draw(w, 0, 7), (unsigned)draw(w, 0, 7));
}

void rot_strike(struct world *w, struct process *p)
{
    ASSERT(!process_runs(p));
    if (chance(w, 800)) rot_log(w, p);
    if (chance(w, 300)) rot_store(w, p);
}

/* --- is it over? --- */

static void count_unsound(void *ctx, struct replica *r)
{
    if (raft_recovering(replica_raft(r)) || r->state == REPLICA_CREATING) (*(unsigned *)ctx)++;
}

static void note_range(void *ctx, struct replica *r)
{
    struct rot_ranges *ranges = ctx;
    ranges->ids[ranges->count++] = replica_group(r);
}

struct rot_ranges *rot_ranges_of(struct world *w, const struct process *p)
{
    const struct host *h = process_host(p);
    struct rot_ranges *ranges = world_alloc(w, sizeof *ranges + host_replica_count(h) * sizeof ranges->ids[0]);
    ranges->count = 0;
    host_each_replica(h, note_range, ranges);
    return ranges;
}

/* It was moved away or taken in: nobody counts on h for it. Whoever is down may know better. */
static bool is_over(const struct process *p, const struct host *h, uint64_t range)
{
    struct process *servers[SERVERS_MAX];
    unsigned count = cluster_servers(process_cluster(p), servers);
    for (unsigned i = 0; i < count; i++) {
        if (process_is_node(servers[i]) != process_is_node(p)) continue;
        const struct host *other = process_host(servers[i]);
        const struct replica *r = other == NULL ? NULL : host_replica(other, range);
        if (other == NULL || (r != NULL && range_desc_replica(replica_desc(r), host_node_id(h)) != NULL)) return false;
    }
    return true;
}

bool rot_mended(const struct process *p, const struct rot_ranges *before)
{
    unsigned unsound = 0;
    const struct host *h = process_host(p);
    if (h == NULL) return false;
    host_each_replica(h, count_unsound, &unsound);
    for (size_t i = 0; i < before->count; i++)
        unsound += host_replica(h, before->ids[i]) == NULL && !is_over(p, h, before->ids[i]);
    return unsound == 0 && !(process_is_node(p) && host_log_lost(h));
}
