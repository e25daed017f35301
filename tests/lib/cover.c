#include "lib/cover.h"

#include "base/assert.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define COVER_MARKS_MAX 1024u

struct mark {
    const char *name;
    uint64_t count;
};

/* Sorted by name. COVER has no object to hang a count on, so the test build keeps it here, for the whole process. */
static struct mark marks[COVER_MARKS_MAX];
static unsigned mark_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The first place whose name is not before `name`. */
static unsigned lower_bound(const char *name)
{
    unsigned low = 0, high = mark_count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (strcmp(marks[middle].name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool found_at(unsigned at, const char *name)
{
    return at < mark_count && strcmp(marks[at].name, name) == 0;
}

void cover_mark(const char *name)
{
    (void)pthread_mutex_lock(&lock);
    unsigned at = lower_bound(name);
    if (!found_at(at, name)) {
        ASSERT(mark_count < COVER_MARKS_MAX);
        memmove(&marks[at + 1], &marks[at], (mark_count - at) * sizeof(marks[0]));
        marks[at] = (struct mark){.name = name, .count = 0};
        mark_count++;
    }
    marks[at].count++;
    (void)pthread_mutex_unlock(&lock);
}

uint64_t cover_count(const char *name)
{
    (void)pthread_mutex_lock(&lock);
    unsigned at = lower_bound(name);
    uint64_t count = found_at(at, name) ? marks[at].count : 0;
    (void)pthread_mutex_unlock(&lock);
    return count;
}

unsigned cover_marks(void)
{
    (void)pthread_mutex_lock(&lock);
    unsigned count = mark_count;
    (void)pthread_mutex_unlock(&lock);
    return count;
}

void cover_each(void (*each)(void *ctx, const char *name, uint64_t count), void *ctx)
{
    for (unsigned i = 0; i < cover_marks(); i++) each(ctx, marks[i].name, marks[i].count);
}

static void print_one(void *ctx, const char *name, uint64_t count)
{
    (void)ctx;
    (void)printf("cover %s %llu\n", name, (unsigned long long)count);
}

void cover_print(void)
{
    cover_each(print_one, NULL);
}

void cover_reset(void)
{
    (void)pthread_mutex_lock(&lock);
    mark_count = 0;
    (void)pthread_mutex_unlock(&lock);
}
