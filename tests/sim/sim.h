/* The deterministic simulator: whole servers and routers in one thread over a simulated network, disk, clock and executor.
 *
 * A world is an event heap and a set of processes. Each process is a struct env of its own (src/env/): what the server in it
 * asks of its machine, the world answers, from one seed. Everything that happens is an event (time, sequence); the hash over
 * all of them is the run's fingerprint: the same seed gives the same hash, or the code under test is not deterministic.
 *
 * Who sees what: world.c events, clocks and processes; sim_net.c connections; sim_disk.c the disk of one life of a process;
 * sim_exec.c tasks. Above it cluster.c (which servers), faults.c (what breaks), workload.c (what clients do), check_*.c (what
 * must be true), run.c (one seed from beginning to end), main.c. */
#ifndef QUORATE_TESTS_SIM_SIM_H
#define QUORATE_TESTS_SIM_SIM_H

#include "base/arena.h"
#include "base/heap.h"
#include "env/env.h"
#include "lib/memdisk.h"

enum { SIM_PROCESSES_MAX = 16, SIM_TRACE_LINES = 4000, SIM_TRACE_WIDTH = 240 };

#define MS_NS NS_PER_MS
#define SEC_NS (1000 * NS_PER_MS)

struct world;
struct process;

struct sim_event {
    struct heap_node node;
    void (*fire)(struct world *w, struct sim_event *e); /* no longer in the heap when called */
};

/* What the environment is like in this run; drawn by knobs.c. Times in ns, chances in 1/1000. */
struct sim_knobs {
    uint64_t net_min_ns, net_max_ns; /* one way */
    uint64_t net_spike_ns;           /* now and then a delivery takes up to so much more */
    unsigned net_spike, net_split;   /* the latter: chance that a delivery is cut at a random place */
    unsigned net_again;              /* chance that a message between hosts comes twice, or late (sim_again.h) */
    uint64_t pass_gap_ns;            /* between an event and the pass that sees it */
    uint64_t log_min_ns, log_max_ns; /* a task of the log lane */
    uint64_t io_min_ns, io_max_ns;   /* a task of the other lanes */
    unsigned io_spike;               /* chance that a task takes 50 times as long */
    unsigned clock_drift_ppm;        /* largest difference of a clock's rate */
};

/* A link that grows slow: from since_ns on each further second of sending adds slope/10 seconds to what is sent, up to max_ns.
 * So the other side goes on hearing something all the time, of an ever remoter past. */
struct sim_lag {
    uint64_t since_ns, max_ns; /* max_ns 0: none */
    uint64_t slope;
};

/* What runs in a process: filled in by cluster.c. */
struct process_ops {
    enum status (*start)(struct process *p, struct errbuf *err); /* makes the server: p->server */
    void (*stop)(struct process *p);                             /* asks it to end; NULL: cannot */
    bool (*stopped)(struct process *p);
    void (*free)(struct process *p);       /* frees p->server; also after a crash, whatever was under way */
    void (*after_pass)(struct process *p); /* checkers; NULL: none */
};

enum process_state { PROCESS_DOWN, PROCESS_UP, PROCESS_STOPPING };

struct process {
    struct env env; /* first: an env of ours is a process */
    struct world *world;
    unsigned index;
    char name[16], address[32];
    const struct process_ops *ops;
    void *server;
    void *owner; /* cluster.c's */
    enum process_state state;
    unsigned lives;
    struct net net;
    struct exec exec;
    struct logger logger;
    struct prng prng;
    struct list actors;
    struct sim_event pass;
    bool woken, prompted;      /* another pass soon, whatever the deadlines say; something came from outside */
    uint64_t paused_until_ns;  /* no event reaches it before */
    unsigned pause_at_clock;   /* in the middle of what it does: when its clock is read the so many-th time; 0: none */
    uint64_t pause_ns;         /* then: so long */
    uint64_t late_ns;          /* it is past such a pause: what it does now happens so much later */
    uint64_t passes_second_ns; /* start of the second that is being counted, against spinning */
    unsigned passes_second, own_passes_second;
    /* clocks */
    uint64_t mono_base_ns, mono_world_ns; /* mono reads the one when the world's clock reads the other */
    int64_t mono_ppm;
    int64_t wall_jump_ms;
    /* disk: NULL for a process without one */
    struct memdisk *disk;
    struct sim_disk *disk_life;  /* what env.disk points to, one per life */
    uint64_t log_slow, io_slow;  /* factors on latencies of the log's lane and of the others; 1 */
    uint64_t disk_stalls_ns;     /* until when nothing that is begun now ends */
    bool disk_full, disk_faulty; /* for the time being; a fault was armed in this life: fatal is legitimate */
    bool may_go, taken_out;      /* of the metadata service, as an admin said; it has found out, and ends (members.c) */
    bool given_up;               /* by unsafe-recover: it is told so, and stops (salvage.c) */
    bool former, outdated; /* plays the former release in this life; has been told that it is too old (upgrade.c) */
    bool disk_damaged;     /* bytes have rotted: it may stop, and refuse to start, for ever */
    /* dying */
    unsigned crash_at_effect; /* at the so many-th effect on disk or network from now, before it happens; 0: never */
    bool crashing;            /* that has come: everything it does is void until it is taken down */
    /* exec */
    struct list tasks;    /* struct sim_task: all that were submitted and not completed */
    uint64_t log_done_ns; /* completions of the log lane keep their order */
    unsigned
        crash_in_log_tasks; /* the machine stops while the so many-th write of the log from now is under way; 0: none */
    bool cancelling;        /* what is submitted now is cancelled */
    char fatal_why[256];
};

struct world {
    uint64_t seed, now_ns, hash, event_count, pass_count;
    uint64_t fatals; /* legitimate ones */
    struct sim_knobs knobs;
    struct prng prng, stray; /* the latter for faults that came later: without them seeds stay what they were */
    struct heap heap;
    struct arena arena; /* for what lives as long as the world */
    struct process *processes[SIM_PROCESSES_MAX];
    unsigned process_count;
    bool cut[SIM_PROCESSES_MAX][SIM_PROCESSES_MAX]; /* bytes from a to b stall */
    struct sim_lag lag[SIM_PROCESSES_MAX][SIM_PROCESSES_MAX];
    struct list conns, listeners;
    bool rows_rot; /* rows are changed from outside: replicas may find themselves diverged */
    bool failed;
    char failure[1024];
    /* trace: a ring of the last lines */
    bool trace_all; /* print at once */
    unsigned trace_count;
    char (*trace)[SIM_TRACE_WIDTH];
};

/* --- world.c --- */
void world_init(struct world *w, uint64_t seed);
void world_free(struct world *w);                                          /* processes must be down */
void world_schedule(struct world *w, struct sim_event *e, uint64_t at_ns); /* or moves it */
void world_cancel(struct world *w, struct sim_event *e);
bool world_step(struct world *w); /* false: nothing is left to happen, or it failed */
/* Calls fn once, after delay_ns. Not cancellable; pending calls are dropped by world_free, so ctx is best of world_alloc. */
void world_after(struct world *w, uint64_t delay_ns, void (*fn)(struct world *w, void *ctx), void *ctx);
void world_fail(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* the first one counts */
void world_trace(struct world *w, const struct process *p, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void world_trace_dump(const struct world *w, unsigned lines);
void world_note(struct world *w, unsigned kind, uint64_t a, uint64_t b); /* into the hash */
void *world_alloc(struct world *w, size_t size);                         /* zeroed; freed with the world */
uint64_t draw(struct world *w, uint64_t low, uint64_t high);             /* low <= x <= high */
bool chance(struct world *w, unsigned per_mille);

/* --- process.c: processes, their clocks and their ends --- */
struct process *process_new(struct world *w, const char *name, const struct process_ops *ops, void *owner,
                            bool has_disk);
void process_free(struct process *p);
enum status process_start(struct process *p); /* a failure that no disk fault excuses fails the world */
/* At once: nothing more leaves it, memory is released, its disk keeps what `how` says. machine: its clock begins anew and
 * its connections end without a word. */
void process_crash(struct process *p, enum memdisk_crash how, bool machine);
void process_crash_soon(struct process *p,
                        uint64_t within_ns); /* its machine, with what that does to unsynced writes */
/* Called before each effect that others could see: a write, a sync, bytes sent. False: the process has come to its end just
 * before it, and the effect must not happen. */
bool process_effect(struct process *p);
void process_stop(struct process *p); /* in good order; it is down some time later, or crashed if it does not end */
void process_pause(struct process *p, uint64_t ns);
void process_pause_within(struct process *p, uint64_t ns, unsigned clock_reads);
uint64_t process_now_ns(const struct process *p);  /* of the world: when what it does at this moment happens */
uint64_t process_mono_ns(const struct process *p); /* its clock, looked at from outside: no pause begins there */
void process_wall_jump(struct process *p, int64_t ms);
void process_set_drift(struct process *p, int64_t ppm);
void process_pass_soon(struct process *p);
/* After every callback into a process: if it called fatal, it goes down now. */
void process_settle(struct process *p);
/* True when events must not reach it now; *e is put off then. */
bool process_put_off(struct process *p, struct sim_event *e);
static inline bool process_runs(const struct process *p)
{
    return p->state != PROCESS_DOWN;
}

/* --- sim_net.c --- */
void sim_net_attach(struct process *p);            /* sets p->env.net */
void sim_net_down(struct process *p, bool silent); /* its ends are dead; peers hear of it, or (silent) not */
unsigned sim_net_owned(const struct process *p);   /* connections and listeners that it has not let go */
void sim_net_cut(struct world *w, unsigned from, unsigned to, bool cut);
void sim_net_lag(struct world *w, unsigned from, unsigned to, uint64_t slope, uint64_t max_ns); /* max_ns 0: ends it */
void sim_net_reset_some(struct world *w,
                        unsigned per_mille); /* of all connections, in the middle of whatever they carry */
void sim_net_free(struct world *w);

/* --- sim_disk.c --- */
struct sim_disk *sim_disk_new(struct process *p);
struct disk *sim_disk_seam(struct sim_disk *d);
void sim_disk_off(struct sim_disk *d); /* every call fails from now on and changes nothing */
void sim_disk_free(struct sim_disk *d);

/* --- sim_exec.c --- */
void sim_exec_attach(struct process *p); /* sets p->env.exec */
/* A crash: of the tasks that have not run, each runs, runs until its disk breaks, or does not run. */
void sim_exec_crash(struct process *p);
void sim_exec_finish(struct process *p); /* completes all; what has not run is cancelled */

#endif
