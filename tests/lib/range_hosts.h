/* Three hosts over the simulator's network and disks, with a range of one replica each, and nothing of a node around them. */
#ifndef QUORATE_TESTS_LIB_RANGE_HOSTS_H
#define QUORATE_TESTS_LIB_RANGE_HOSTS_H

#include "range/host_int.h"
#include "sim/sim.h"

enum { HOSTS_COUNT = 3, HOSTS_GROUP = 9, HOSTS_VALUE = 1000 };

struct bare_host { /* a host and nothing else */
    struct actor actor;
    struct rpc_identity self;
    struct rpc_server *server;
    struct host *host;
    struct rpc_peer *peer; /* of a test that sends chunks of its own */
};

extern struct world hosts_world;
extern struct process *hosts_process[HOSTS_COUNT];
extern struct host_options hosts_options;     /* from hosts_begin on */
extern unsigned hosts_chunk_rows;             /* of a snapshot; before hosts_begin */
extern bool hosts_without_range;              /* hosts begin without a replica */
extern uint64_t hosts_written;                /* commands that were answered */
extern uint64_t hosts_frames, hosts_messages; /* of Raft that have come; in these frames */

struct range_desc hosts_range(void);
void hosts_begin(uint64_t seed);
void hosts_end(void);
void hosts_run_ms(uint64_t ms);
int hosts_leader(void); /* -1: there is none */
void hosts_put(void);   /* a row more, by whoever leads */
struct replica *hosts_replica(unsigned i);
uint64_t hosts_applied(unsigned i);
struct lsm *hosts_store(unsigned i);
struct host *hosts_host(unsigned i);

#endif
