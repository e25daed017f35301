/* A node's copy of the metadata that no replica can tell, in the file CATALOGUE (docs/formats/catalogue.md): out of such copies, and
 * of what the nodes hold, a metadata service that is lost is made anew (docs/recovery.md). The node itself takes its peers' addresses
 * from it when it starts, so that ranges find leaders while no metadata service answers. */
#ifndef QUORATE_NODE_CATALOGUE_H
#define QUORATE_NODE_CATALOGUE_H

#include "env/env.h"
#include "wire/messages.h"

struct node_catalogue {
    struct env *env;
    struct catalogue now; /* its rows lie in `rows` */
    struct buf rows;
    uint64_t hash;     /* of the rows; 0: there are none */
    uint64_t heard_ns; /* when a metadata service answered last; 0: not in this life */
    bool stale, busy;  /* the file lacks something; it is being written */
    uint64_t written_ts_bound, at_ns;
    struct task task;
    struct buf file;
    enum status status;
};

/* Reads the file while nothing else runs. A damaged one counts as none. */
void catalogue_open(struct node_catalogue *c, struct env *env);
void catalogue_learn(struct node_catalogue *c, const struct meta_heartbeat_reply *reply, uint64_t now_ns);
/* The nodes that it names: where they were reached when it was told. */
void catalogue_each_node(const struct node_catalogue *c, void (*each)(void *ctx, uint64_t id, const char *address),
                         void *ctx);
uint64_t catalogue_pass(struct node_catalogue *c, uint64_t now_ns); /* the next deadline */
void catalogue_free(struct node_catalogue *c);

/* The file's bytes. STATUS_CORRUPT: they are not. */
void catalogue_file_encode(const struct catalogue *c, struct buf *out);
MUST_CHECK enum status catalogue_file_decode(struct slice bytes, struct catalogue *out);

#endif
