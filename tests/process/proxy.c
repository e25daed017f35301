/* The network between the processes of a local cluster, so that it can be cut in one direction:
 *     proxy RULES BASE DELTA ID...      listens on BASE + DELTA + ID for each ID and passes on to BASE + ID.
 * Who calls is told by the address from which it calls, 127.0.1.N (preload/faults.h). RULES is a file of lines "FROM TO", by
 * ID: bytes from one to the other stay where they are, on any connection of the two, as if every packet were lost; they go on
 * when the line is gone. Nothing is closed meanwhile. The file is looked at 50 times a second; replace it by rename. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { IDS = 256, CONNS = 512, LISTENERS = 16, BYTES = 65536, LOOK_MS = 20 };

struct way { /* from one descriptor of a connection to the other */
    unsigned from, to;
    size_t size;
    bool ended, closed; /* the source has ended; the end was passed on */
    char bytes[BYTES];
};
struct conn {
    int fd[2]; /* the caller's, the callee's */
    struct way way[2];
    bool used, hung[2]; /* ended on a side that nobody may hear of yet */
};

static struct conn conns[CONNS];
static bool cut[IDS][IDS];

static void rules_read(const char *path)
{
    static uint64_t read_ms;
    unsigned from, to;
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    if (now_ms < read_ms + LOOK_MS) return;
    read_ms = now_ms;
    FILE *f = fopen(path, "r");
    memset(cut, 0, sizeof cut);
    if (f == NULL) return;
    while (fscanf(f, "%u %u", &from, &to) == 2) {
        if (from < IDS && to < IDS) cut[from][to] = true;
    }
    (void)fclose(f);
}

static struct sockaddr_in loopback(unsigned port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static int listen_on(unsigned port)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = loopback(port);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (const struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 128) == 0) return fd;
    fprintf(stderr, "proxy: port %u: %s\n", port, strerror(errno));
    exit(1);
}

static void conn_free(struct conn *c)
{
    (void)close(c->fd[0]);
    (void)close(c->fd[1]);
    c->used = false;
}

static void conn_accept(int listener, unsigned base, unsigned id)
{
    struct sockaddr_in from, to = loopback(base + id);
    socklen_t size = sizeof from;
    int one = 1, fd = accept4(listener, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct conn *c = NULL;
    if (fd < 0) return;
    for (int i = 0; i < CONNS && c == NULL; i++) {
        if (!conns[i].used) c = &conns[i];
    }
    int out = c == NULL ? -1 : socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (out < 0 || (connect(out, (const struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS)) {
        if (out >= 0) (void)close(out);
        (void)close(fd);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)setsockopt(out, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    unsigned caller = ntohl(from.sin_addr.s_addr) & 0xFF;
    for (int i = 0; i < 2; i++) {
        struct way *w = &c->way[i];
        w->from = i == 0 ? caller : id;
        w->to = i == 0 ? id : caller;
        w->size = 0;
        w->ended = w->closed = c->hung[i] = false;
    }
    c->fd[0] = fd;
    c->fd[1] = out;
    c->used = true;
}

static bool is_cut(const struct way *w)
{
    return cut[w->from][w->to];
}

static short wanted(const struct conn *c, int side)
{
    const struct way *in = &c->way[side], *out = &c->way[1 - side];
    short events = 0;
    if (!is_cut(in) && !in->ended && in->size < BYTES) events |= POLLIN;
    if (!is_cut(out) && out->size > 0) events |= POLLOUT;
    return events;
}

static bool way_step(struct conn *c, int side) /* false: the connection broke */
{
    struct way *w = &c->way[side];
    if (is_cut(w)) return true;
    if (!w->ended && w->size < BYTES) {
        ssize_t got = recv(c->fd[side], w->bytes + w->size, BYTES - w->size, 0);
        if (got > 0) w->size += (size_t)got;
        if (got == 0) w->ended = true;
        if (got < 0 && errno != EAGAIN && errno != EINTR && errno != ENOTCONN) return false;
    }
    if (w->size > 0) {
        ssize_t sent = send(c->fd[1 - side], w->bytes, w->size, MSG_NOSIGNAL);
        if (sent > 0) {
            memmove(w->bytes, w->bytes + sent, w->size - (size_t)sent);
            w->size -= (size_t)sent;
        }
        if (sent < 0 && errno != EAGAIN && errno != EINTR && errno != ENOTCONN) return false;
    }
    if (w->ended && w->size == 0 && !w->closed) {
        w->closed = true;
        (void)shutdown(c->fd[1 - side], SHUT_WR);
    }
    return true;
}

static void conn_step(struct conn *c, const struct pollfd *p)
{
    bool cut_any = is_cut(&c->way[0]) || is_cut(&c->way[1]);
    for (int side = 0; side < 2; side++) c->hung[side] = cut_any && (p[side].revents & (POLLERR | POLLHUP)) != 0;
    bool fine = way_step(c, 0) && way_step(c, 1);
    bool over = !fine || (c->way[0].closed && c->way[1].closed);
    if (over && !cut_any) conn_free(c);
}

int main(int argc, char *argv[])
{
    static struct pollfd polls[LISTENERS + 2 * CONNS];
    int listeners[LISTENERS], count = argc - 4;
    if (count < 1 || count > LISTENERS) {
        fprintf(stderr, "proxy RULES BASE DELTA ID...\n");
        return 2;
    }
    unsigned base = (unsigned)atoi(argv[2]), delta = (unsigned)atoi(argv[3]);
    for (int i = 0; i < count; i++) listeners[i] = listen_on(base + delta + (unsigned)atoi(argv[4 + i]));
    for (;;) {
        rules_read(argv[1]);
        for (int i = 0; i < count; i++) polls[i] = (struct pollfd){.fd = listeners[i], .events = POLLIN};
        for (int i = 0; i < 2 * CONNS; i++) {
            struct conn *c = &conns[i / 2];
            bool look = c->used && !c->hung[i % 2];
            polls[count + i] = (struct pollfd){.fd = look ? c->fd[i % 2] : -1};
            if (look) polls[count + i].events = wanted(c, i % 2);
        }
        (void)poll(polls, (nfds_t)(count + 2 * CONNS), LOOK_MS);
        for (int i = 0; i < CONNS; i++) {
            if (conns[i].used) conn_step(&conns[i], &polls[count + 2 * i]);
        }
        for (int i = 0; i < count; i++) {
            if ((polls[i].revents & POLLIN) != 0) conn_accept(listeners[i], base, (unsigned)atoi(argv[4 + i]));
        }
    }
}
