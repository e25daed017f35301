/* The local cluster: its processes, addresses and files in one directory. Shared by `quorate cluster ...`, the supervisor
 * and the demo. All files are small text, replaced atomically:
 *
 *   cluster.conf       what it is: made once by `cluster start`. A directory without it, and not empty, is not ours
 *   supervisor.state   who runs, written by the supervisor at each change; process ids outlive a reuse of the pid
 *   hold/NAME          this process is to stay down: made by `cluster kill NAME`, removed by `cluster start NAME`
 *   log/NAME.log       what it printed
 *   meta-1/ ... node-3/ ... data directories
 */
#ifndef QUORATE_CLI_LOCAL_H
#define QUORATE_CLI_LOCAL_H

#include "env_posix/process.h"

#define LOCAL_META 3u
#define LOCAL_NODES 3u      /* unless more are asked for */
#define LOCAL_NODES_MAX 16u /* ports +11..+26 */
#define LOCAL_PROCESSES_MAX (LOCAL_META + 1u + LOCAL_NODES_MAX)
#define LOCAL_BASE_PORT 7400u
#define LOCAL_PATH_MAX 1024u

enum { SIGNAL_KILL = 9, SIGNAL_TERM = 15 }; /* POSIX has these two numbers in `kill` */

enum local_role { LOCAL_ROLE_META, LOCAL_ROLE_NODE, LOCAL_ROLE_GATEWAY };

struct local_process {
    char name[16]; /* "meta-1" */
    enum local_role role;
    unsigned number;  /* 1.. within its role */
    char address[32]; /* "127.0.0.1:7401" */
};

struct local_cluster {
    char dir[LOCAL_PATH_MAX];
    unsigned base_port; /* meta +1.., node +11.., gateway +80 */
    unsigned nodes, process_count;
    struct local_process processes[LOCAL_PROCESSES_MAX]; /* metadata, gateway, nodes: new ones come last */
};
void local_set(struct local_cluster *c, const char *dir, unsigned base_port, unsigned nodes);
const struct local_process *local_gateway(const struct local_cluster *c);
void local_default(struct local_cluster *c, const char *dir);
MUST_CHECK enum status local_load(struct local_cluster *c, const char *dir,
                                  struct errbuf *err); /* NOT_FOUND: none there */
MUST_CHECK enum status local_save(const struct local_cluster *c, struct errbuf *err);
void local_meta_addresses(const struct local_cluster *c, char *text, size_t size); /* "a:1,b:2,c:3" */
void local_path(const struct local_cluster *c, const char *name, char path[LOCAL_PATH_MAX]);
void local_log_path(const struct local_cluster *c, const char *name, char path[LOCAL_PATH_MAX]);
const struct local_process *local_find(const struct local_cluster *c, const char *name); /* NULL */
const struct local_process *local_by_address(const struct local_cluster *c, struct slice address);

/* X(enumerator, word) */
#define LOCAL_STATE_MAP(X)                                                                                             \
    X(DOWN, "down") /* not started, or stopped */                                                                      \
    X(RUNNING, "running")                                                                                              \
    X(WAITING, "waiting") /* it ended; it is started again after a pause */                                            \
    X(HELD, "held")       /* kept down by a hold file */
enum local_state {
#define LOCAL_STATE_ENUM(name, word) LOCAL_STATE_##name,
    LOCAL_STATE_MAP(LOCAL_STATE_ENUM)
#undef LOCAL_STATE_ENUM
        LOCAL_STATE_COUNT
};
const char *local_state_name(enum local_state s);

struct local_child {
    enum local_state state;
    struct process_id id; /* of the running one, or of the last */
    uint64_t since_ms;    /* wall time of the last change */
    unsigned starts;
    int exit_code; /* of the last one that ended; 128 + signal */
};
struct local_status {
    bool supervised; /* the supervisor lives */
    struct process_id supervisor;
    struct local_child children[LOCAL_PROCESSES_MAX]; /* as local_cluster.processes */
};
MUST_CHECK enum status local_status_load(const struct local_cluster *c, struct local_status *out, struct errbuf *err);
MUST_CHECK enum status local_status_save(const struct local_cluster *c, const struct local_status *s,
                                         struct errbuf *err);

bool local_held(const struct local_cluster *c, const struct local_process *p);
/* kill -9, and down it stays. The supervisor must live. */
MUST_CHECK enum status local_kill(const struct local_cluster *c, const struct local_process *p, struct errbuf *err);
MUST_CHECK enum status local_release(const struct local_cluster *c, const struct local_process *p, struct errbuf *err);

#endif
