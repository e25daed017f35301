/* Messages that come twice, or behind later ones. A connection does neither; but bytes of one that broke may arrive after those of its
 * successor, and Raft and the liveness of nodes promise to stand it. So of a sender's bytes a frame of theirs is set aside now and then, in
 * place of what is sent or beside it, and sent some sends later. Both ends must speak as they are: the stream's frames are not ciphered. */
#ifndef QUORATE_TESTS_SIM_AGAIN_H
#define QUORATE_TESTS_SIM_AGAIN_H

#include "base/buf.h"
#include "base/prng.h"

struct sim_again {    /* of one direction of a connection */
    struct buf frame; /* set aside; empty: none */
    unsigned left;    /* sends until it goes */
};

struct sim_again_cut { /* what becomes of the bytes of a send: before and behind are sent, in that order, then late */
    struct slice before, behind;
    struct slice late; /* borrowed until the next call */
};

/* per_mille: of these frames. */
struct sim_again_cut sim_again_pass(struct sim_again *a, struct prng *p, unsigned per_mille, struct slice bytes);

#endif
