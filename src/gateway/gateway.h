/* The gateway: the HTTP/JSON face of a cluster. Stateless: everything that it knows comes from the client below it.
 *
 * Vocabulary. An endpoint is one line of docs (a path pattern); an action is a request after parsing, checked and in the
 * client's terms; an answer is the HTTP answer before it is sent. Requests become actions and results become answers in
 * pure functions (uri.h, parse.h, answer.h), so both are tested without sockets; gateway.c only joins them.
 *
 * Runs on the loop; has no actor of its own: it moves when the http seam or the client calls. Order of the end:
 * gateway_stop, passes until gateway_stopped (or the caller's patience ends), client_free, gateway_free. */
#ifndef QUORATE_GATEWAY_GATEWAY_H
#define QUORATE_GATEWAY_GATEWAY_H

#include "auth/auth.h"
#include "client/client.h"
#include "env/env.h"

struct ledger;

/* Another surface on the same port: requests that it takes, by path and query, are its own, from the first to the last. */
struct gateway_guest {
    bool (*takes)(struct slice path, struct slice query);
    void (*request)(void *ctx, struct http_request *http);
    void (*gone)(void *ctx, struct http_request *http);
    void (*stop)(void *ctx); /* streams are ended, new requests refused */
    bool (*busy)(const void *ctx);
    void *ctx;
};

struct gateway_options {
    const char *listen;          /* "127.0.0.1:7480" */
    struct gateway_guest guest;  /* takes NULL: there is none */
    struct ledger *ledger;       /* borrowed like the client; NULL: no ledger here */
    struct auth *auth;           /* likewise; NULL: everybody may do everything */
    uint32_t timeout_default_ms; /* of a request without ?timeout_ms=; 0: 10,000 */
    const char *cors_origins;    /* whose pages may read answers: "*", or origins with commas between; NULL: nobody's */
    const char *hosts;           /* Host headers beside addresses and localhost: names with commas between, or "*" */
    uint32_t slow_ms;            /* a request that takes longer is logged with its stages; 0: 500 */
    uint32_t in_flight_max;      /* requests waiting for the cluster; beyond it 429. 0: 8192 */
};

struct gateway;
/* The client is borrowed and must outlive the last request. */
MUST_CHECK enum status gateway_new(struct env *env, const struct gateway_options *o, struct client *client,
                                   struct gateway **out, struct errbuf *err);
void gateway_stop(struct gateway *g); /* new requests are refused (503, definite); those under way are finished */
bool gateway_stopped(const struct gateway *g); /* nothing is under way */
void gateway_free(struct gateway *g);          /* answers what is still open with 503, outcome unknown */

#endif
