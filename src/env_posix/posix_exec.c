#define _GNU_SOURCE /* setpriority by thread, pthread_setname_np */
#include "env_posix/posix_int.h"

#include "base/assert.h"
#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

/* A task's way:   submit -> lane.queue -> execute (worker) -> done -> complete (loop)
 *                              '-- quiesce: cancelled = true ---^
 * Locks: one per lane, one for `done`; never two at once. A lane's threads start with its first task, so that a one-shot
 * command has none. */

#define LANE_THREADS_MAX 16u
#define BACKGROUND_NICE 10

struct lane {
    pthread_mutex_t mutex; /* guards queue, stop */
    pthread_cond_t wanted;
    struct list queue;
    bool stop;
    bool started; /* the loop's */
    unsigned thread_count;
    pthread_t threads[LANE_THREADS_MAX];
    struct posix_exec *exec;
    enum exec_lane id;
};

struct posix_exec {
    struct exec seam; /* first */
    struct env_posix *p;
    struct lane lanes[LANE_COUNT];
    pthread_mutex_t done_mutex; /* guards done */
    struct list done;           /* executed or cancelled, in the order of completion */
    int wake_fd;
    struct event *wake_event;
    bool quiesced; /* the loop's */
};

static void mutex_lock(pthread_mutex_t *m)
{
    int rc = pthread_mutex_lock(m);
    ASSERT(rc == 0);
}
static void mutex_unlock(pthread_mutex_t *m)
{
    int rc = pthread_mutex_unlock(m);
    ASSERT(rc == 0);
}

/* The loop is woken once for any number of completions that it has not looked at. */
static void exec_done(struct posix_exec *x, struct task *t)
{
    mutex_lock(&x->done_mutex);
    bool first = list_empty(&x->done);
    list_push_back(&x->done, &t->link);
    mutex_unlock(&x->done_mutex);
    if (!first) return;
    uint64_t one = 1;
    ssize_t written;
    do {
        written = write(x->wake_fd, &one, sizeof(one));
    } while (written < 0 && errno == EINTR);
    ASSERT(written == (ssize_t)sizeof(one));
}

static struct task *lane_next(struct lane *l) /* blocks; NULL: stop */
{
    mutex_lock(&l->mutex);
    while (list_empty(&l->queue) && !l->stop) (void)pthread_cond_wait(&l->wanted, &l->mutex);
    struct list *node = list_pop_front(&l->queue);
    mutex_unlock(&l->mutex);
    return node != NULL ? LIST_ENTRY(node, struct task, link) : NULL;
}

static void *lane_run(void *ctx)
{
    static const char *const names[LANE_COUNT] = {"q-log", "q-read", "q-background"};
    struct lane *l = ctx;
    (void)pthread_setname_np(pthread_self(), names[l->id]);
    /* On Linux a thread has a nice value of its own. Refused or not, the work is done. */
    if (l->id == LANE_BACKGROUND) (void)setpriority(PRIO_PROCESS, (id_t)gettid(), BACKGROUND_NICE);
    for (struct task *t; (t = lane_next(l)) != NULL;) {
        t->execute(t);
        exec_done(l->exec, t);
    }
    return NULL;
}

static void lane_start(struct lane *l)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the loop's thread; workers inherit the mask */
    for (unsigned i = 0; i < l->thread_count; i++) {
        if (pthread_create(&l->threads[i], NULL, lane_run, l) != 0) {
            l->exec->p->env.ops->fatal(&l->exec->p->env,
                                       "a worker thread cannot be started: raise the limit of processes");
        }
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    l->started = true;
}

static void exec_submit_task(struct exec *e, enum exec_lane lane, struct task *t)
{
    struct posix_exec *x = (struct posix_exec *)(void *)e;
    ASSERT(lane < LANE_COUNT);
    struct lane *l = &x->lanes[lane];
    if (x->quiesced) { /* there is no worker any more */
        t->cancelled = true;
        exec_done(x, t);
        return;
    }
    if (!l->started) lane_start(l);
    mutex_lock(&l->mutex);
    list_push_back(&l->queue, &t->link);
    mutex_unlock(&l->mutex);
    (void)pthread_cond_signal(&l->wanted);
}

/* Delivers what was done when it began; returns whether there was anything. */
static bool exec_deliver(struct posix_exec *x)
{
    struct list batch;
    list_init(&batch);
    mutex_lock(&x->done_mutex);
    for (struct list *node; (node = list_pop_front(&x->done)) != NULL;) list_push_back(&batch, node);
    mutex_unlock(&x->done_mutex);
    bool any = !list_empty(&batch);
    for (struct list *node; (node = list_pop_front(&batch)) != NULL;) {
        struct task *t = LIST_ENTRY(node, struct task, link);
        t->complete(t); /* may free the task */
    }
    return any;
}

static void exec_wake_cb(evutil_socket_t fd, short what, void *ctx)
{
    (void)what;
    uint64_t count;
    ssize_t got = read(fd, &count, sizeof(count)); /* before the list is looked at: no completion is missed */
    (void)got;
    (void)exec_deliver(ctx);
}

static void lane_init(struct posix_exec *x, enum exec_lane id, unsigned threads)
{
    struct lane *l = &x->lanes[id];
    l->exec = x;
    l->id = id;
    l->thread_count = threads < LANE_THREADS_MAX ? threads : LANE_THREADS_MAX;
    list_init(&l->queue);
    (void)pthread_mutex_init(&l->mutex, NULL);
    (void)pthread_cond_init(&l->wanted, NULL);
}

struct posix_exec *posix_exec_new(struct env_posix *p, unsigned read_threads, unsigned background_threads)
{
    static const struct exec_ops ops = {.submit = exec_submit_task};
    struct posix_exec *x = mem_zalloc(sizeof(*x));
    x->seam.ops = &ops;
    x->p = p;
    lane_init(x, LANE_LOG, 1); /* the order of its tasks is a promise */
    lane_init(x, LANE_READ, read_threads);
    lane_init(x, LANE_BACKGROUND, background_threads);
    list_init(&x->done);
    (void)pthread_mutex_init(&x->done_mutex, NULL);
    x->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    ASSERT(x->wake_fd >= 0);
    x->wake_event = event_new(p->base, x->wake_fd, EV_READ | EV_PERSIST, exec_wake_cb, x);
    int rc = event_add(x->wake_event, NULL);
    ASSERT(rc == 0);
    return x;
}

struct exec *posix_exec_seam(struct posix_exec *x)
{
    return &x->seam;
}

static void lane_stop(struct lane *l)
{
    struct list cancelled;
    list_init(&cancelled);
    mutex_lock(&l->mutex);
    l->stop = true;
    for (struct list *node; (node = list_pop_front(&l->queue)) != NULL;) list_push_back(&cancelled, node);
    mutex_unlock(&l->mutex);
    (void)pthread_cond_broadcast(&l->wanted);
    for (unsigned i = 0; l->started && i < l->thread_count; i++) (void)pthread_join(l->threads[i], NULL);
    for (struct list *node; (node = list_pop_front(&cancelled)) != NULL;) { /* after the one that ran: FIFO holds */
        struct task *t = LIST_ENTRY(node, struct task, link);
        t->cancelled = true;
        exec_done(l->exec, t);
    }
}

void posix_exec_quiesce(struct posix_exec *x)
{
    if (x->quiesced) return;
    x->quiesced = true;
    for (size_t i = 0; i < LANE_COUNT; i++) lane_stop(&x->lanes[i]);
    while (exec_deliver(x)) { /* a completion may submit again: it comes back cancelled */
    }
}

void posix_exec_free(struct posix_exec *x)
{
    ASSERT(x->quiesced);
    ASSERT(list_empty(&x->done));
    for (size_t i = 0; i < LANE_COUNT; i++) {
        (void)pthread_mutex_destroy(&x->lanes[i].mutex);
        (void)pthread_cond_destroy(&x->lanes[i].wanted);
    }
    (void)pthread_mutex_destroy(&x->done_mutex);
    event_free(x->wake_event);
    (void)close(x->wake_fd);
    mem_free(x);
}
