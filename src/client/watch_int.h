/* Private to client/: a watch. */
#ifndef QUORATE_CLIENT_WATCH_INT_H
#define QUORATE_CLIENT_WATCH_INT_H

#include "client/client_int.h"
#include "client/watch.h"

struct client_watch {
    struct list link, ready; /* of the client's watches; of those that may have something to tell */
    struct client *client;   /* NULL: it has been freed */
    struct slice keyspace, start, end;
    uint32_t keyspace_id, buckets;
    uint32_t progress_ms;
    bool placed;
    bool starting;
    struct request *first; /* STARTING */
    struct list legs;
    uint32_t leg_count;
    uint64_t begun_ts;  /* issued when it was begun: what is below is told at once */
    uint64_t wanted_ts; /* somebody waits until it has passed this */
    uint64_t after;     /* all changes up to here have been told */
    uint64_t told;      /* where it stood when it last told */
    uint64_t told_ns;
    uint64_t resume;
    client_watch_done done; /* NULL: nobody has asked */
    void *ctx;
    struct arena arena; /* of the batch */
    enum status status; /* not OK: it has ended */
    char text[CLIENT_TEXT_BYTES];
};

void watch_step(struct client_watch *w, uint64_t now_ns);
void watch_forget_client(struct client_watch *w);

#endif
