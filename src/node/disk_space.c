#include "node/disk_space.h"

#include "base/assert.h"
#include "base/log.h"

#define RESERVE_NAME "reserve"
#define GIB (1ull << 30)
#define LOOK_EVERY_NS (1000 * NS_PER_MS)
#define GROW_BYTES 65536u /* written by one task */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

enum space_level space_judge(enum space_level was, uint64_t free_bytes, uint64_t total_bytes)
{
    if (total_bytes == 0) return SPACE_OK;
    uint64_t tight = least(total_bytes / 10, 64 * GIB), full = least(total_bytes / 20, 32 * GIB);
    if (was == SPACE_FULL) full += full / 4;
    if (was != SPACE_OK) tight += tight / 4;
    if (free_bytes < full) return SPACE_FULL;
    return free_bytes < tight ? SPACE_TIGHT : SPACE_OK;
}

/* --- the task: anything that may block --- */

/* Zeroes behind what is there; they are only to take room, so nothing is synced. */
static enum status reserve_grow(struct disk_space *s)
{
    static const uint8_t zeroes[GROW_BYTES];
    struct disk_file *f;
    uint64_t size = 0;
    enum status status = disk_open(s->env->disk, RESERVE_NAME, DISK_READ | DISK_WRITE | DISK_CREATE, &f, NULL);
    if (status != STATUS_OK) return status;
    status = disk_size(f, &size);
    if (status == STATUS_OK && size < s->reserve_bytes) {
        uint64_t more = least(GROW_BYTES, s->reserve_bytes - size);
        status = disk_write(f, size, zeroes, (size_t)more);
        if (status == STATUS_OK) size += more;
    }
    disk_close(f);
    s->reserved_bytes = size;
    return status;
}

static void space_execute(struct task *t)
{
    struct disk_space *s = LIST_ENTRY(t, struct disk_space, task);
    s->status = STATUS_OK;
    if (s->drop) {
        enum status removed = disk_remove(s->env->disk, RESERVE_NAME);
        if (removed == STATUS_OK)
            s->status = disk_sync_dir(s->env->disk, ""); /* until then the room may not be there */
        if (removed == STATUS_OK || removed == STATUS_NOT_FOUND) s->reserved_bytes = 0;
    } else if (s->grow) {
        s->status = reserve_grow(s);
    }
    if (disk_space(s->env->disk, &s->free_bytes, &s->total_bytes) != STATUS_OK) s->total_bytes = 0;
}

static bool is_short(const struct disk_space *s)
{
    return s->total_bytes > 0 && s->free_bytes < 2 * s->reserve_bytes;
}

static void space_complete(struct task *t)
{
    struct disk_space *s = LIST_ENTRY(t, struct disk_space, task);
    s->busy = false;
    if (t->cancelled) return;
    if (s->drop && s->reserved_bytes == 0) {
        COVER("space.reserve_released");
        log_event(s->env->log, LOG_WARN, "disk.reserve_released", "free_bytes=%llu", (unsigned long long)s->free_bytes);
    }
    enum space_level was = s->level;
    s->level = space_judge(was, s->free_bytes, s->total_bytes);
    if (s->level != was) {
        static const char *const NAMES[] = {"ok", "tight", "full"};
        log_event(s->env->log, s->level > was ? LOG_WARN : LOG_INFO, "disk.space",
                  "level=%s free_bytes=%llu total_bytes=%llu", NAMES[s->level], (unsigned long long)s->free_bytes,
                  (unsigned long long)s->total_bytes);
    }
    if (s->status != STATUS_OK && s->status != STATUS_NO_SPACE) {
        s->env->ops->fatal(s->env, "the disk's reserve file cannot be written: check the disk");
        return;
    }
    /* More of the reserve at once; after a failure, as everything else, in a second. */
    if (s->grow && s->status == STATUS_OK && s->reserved_bytes < s->reserve_bytes) s->look_at_ns = 0;
    s->env->ops->wake(s->env);
}

/* --- the loop's --- */

void disk_space_open(struct disk_space *s, struct env *env, uint64_t reserve_bytes)
{
    *s = (struct disk_space){.env = env, .reserve_bytes = reserve_bytes};
    s->task = (struct task){.execute = space_execute, .complete = space_complete};
    list_init(&s->task.link);
    if (disk_space(env->disk, &s->free_bytes, &s->total_bytes) != STATUS_OK) s->total_bytes = 0;
    s->reserved_bytes = UINT64_MAX; /* not known: a former life may have left one */
    if (is_short(s)) {
        s->drop = true;
        space_execute(&s->task);
    }
    s->level = space_judge(SPACE_OK, s->free_bytes, s->total_bytes);
}

uint64_t disk_space_pass(struct disk_space *s, uint64_t now_ns)
{
    if (s->busy) return DEADLINE_NONE;
    if (now_ns < s->look_at_ns) return s->look_at_ns;
    s->look_at_ns = now_ns + LOOK_EVERY_NS;
    s->busy = true;
    bool plenty = s->level == SPACE_OK && s->free_bytes > 4 * s->reserve_bytes;
    s->drop = is_short(s) && s->reserved_bytes > 0;
    s->grow = !s->drop && plenty && s->total_bytes > 0 &&
              (s->reserved_bytes < s->reserve_bytes || s->reserved_bytes == UINT64_MAX) && s->reserve_bytes > 0;
    exec_submit(s->env->exec, LANE_BACKGROUND, &s->task);
    return DEADLINE_NONE;
}
