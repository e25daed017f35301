/* A small network in memory for unit tests: several hosts, each with a struct env of its own, one virtual clock, one thread.
 * Everything is drawn from the seed: delays, where the byte streams are cut, in which order things happen. Bytes of one
 * direction of one connection stay in order; nothing is lost but by a reset, a close or a host that goes down. */
#ifndef QUORATE_TESTS_FAKENET_H
#define QUORATE_TESTS_FAKENET_H

#include "env/env.h"

struct fakenet;
struct fakenet_options {
    uint64_t seed;
    uint64_t delay_min_ns, delay_max_ns; /* of each delivery */
    size_t chunk_max_bytes; /* 0: a delivery takes all that waits, up to 1 MiB; else 1..chunk_max_bytes at random */
    size_t window_bytes;    /* sent bytes beyond it count as unsent; 0: 64 KiB */
    uint64_t accept_ns;     /* what has been sent counts as unsent for so long: until the kernel has it */
};

struct fakenet *fakenet_new(const struct fakenet_options *o);
void fakenet_free(struct fakenet *n); /* actors must have been detached */
uint64_t fakenet_now_ns(const struct fakenet *n);
void fakenet_chunks(struct fakenet *n, size_t chunk_max_bytes);
/* A new host; its env lives as long as the network. Addresses are any text. */
struct env *fakenet_env(struct fakenet *n);

void fakenet_down(struct env *host, bool down); /* its connections are reset; connecting to it is refused */
void fakenet_silent(struct env *host,
                    bool silent);          /* nothing reaches or leaves it, no connection breaks; then all goes on */
void fakenet_reset(struct env *host);      /* all its connections break; undelivered bytes are lost */
void fakenet_reset_one(struct fakenet *n); /* one connection, drawn at random, breaks */

/* Runs until cond(ctx) holds (looked at after each event), or for span_ns of virtual time; cond may be NULL. Returns whether
 * it held. Aborts when actors spin without the clock moving. */
bool fakenet_run(struct fakenet *n, bool (*cond)(void *ctx), void *ctx, uint64_t span_ns);

struct fakenet_counts {
    uint64_t sends, connects, pauses, passes;
};
struct fakenet_counts fakenet_counts(const struct env *host);
size_t fakenet_logged(const struct env *host, const char *text); /* how many log lines contain it */
const char *fakenet_log(const struct env *host);                 /* all lines */

#endif
