/* What sends much over HTTP (imports, demos, loads): many connections in a closed loop, progress, a report.
 *
 * A lane is one connection with one request at a time:
 *
 *   IDLE --next() fills the request--> WAITING --final answer--> IDLE (answer() is called)
 *                                        |  ^
 *     no answer, 5xx or 429              v  | pause over
 *     (it may or may not have happened) RESTING: the same request, byte for byte and with its id, is sent again
 */
#ifndef QUORATE_CLI_HTTP_LOAD_H
#define QUORATE_CLI_HTTP_LOAD_H

#include "cli/cli_int.h"
#include "cli/local.h"

struct lane {
    struct load *load;
    struct http_client *http;
    enum { LANE_IDLE, LANE_WAITING, LANE_RESTING } state;
    enum http_method method;
    struct buf path, body; /* path: NUL-terminated by lane_path_end */
    uint64_t job;          /* the owner's number of it */
    unsigned attempts;
    uint64_t again_ns;
};

struct load {
    struct actor actor;
    struct env *env;
    struct lane *lanes;
    unsigned lane_count, busy;
    /* Fills lane->method, path, body, job; false: no more work (now). */
    bool (*next)(void *ctx, struct lane *lane);
    /* A final answer: 2xx, 3xx, or 4xx but 429. */
    void (*answer)(void *ctx, struct lane *lane, int code, struct slice body);
    uint64_t (*tick)(void *ctx, uint64_t now_ns); /* each pass; returns a deadline */
    void *ctx;
    bool done, failed;
    struct errbuf why;
    uint64_t retries, no_answer, server_errors;
    uint64_t last_answer_ns;
};
void load_open(struct load *l, struct env *env, const char *address, unsigned lanes, void *ctx);
int load_run(
    struct load *l); /* until next() says no and no lane is busy, or failed: CLI_OK or CLI_FAILED (text printed) */
void load_fail(struct load *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void load_close(struct load *l);

void path_escape(struct buf *path, struct slice s); /* percent-encodes all but letters, digits and -._~ */

/* One request and its answer, the loop running meanwhile: set-up work. Repeated until it has a final answer, at most 60 s.
 * The HTTP code, or 0 with `body` holding a text. */
int http_ask(struct env *env, const char *address, enum http_method method, const char *path, struct slice body,
             struct buf *answer);

struct progress {
    const char *label;
    uint64_t total, begun_ns, shown_ns;
    unsigned shown_percent;
    bool terminal;
};
void progress_begin(struct progress *p, struct env *env, const char *label, uint64_t total);
void progress_show(struct progress *p, struct env *env, uint64_t done, double fraction, bool last);

/* Lines for the end of the run: to the terminal and to --report's file. */
struct report {
    struct buf text;
};
void report_line(struct report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int report_end(struct report *r, const struct cli *c, int code); /* writes the file, if one is wanted */

void load_gateway(const struct cli *c, char *address, size_t size);
struct env *load_env(const struct cli *c, const char *data_dir, struct errbuf *err);

#endif
