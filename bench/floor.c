/* What the machine itself allows: a bare server and its clients over loopback, without replication, log format or store.
 *   put_1    one client, one synced 4 KiB write for each request
 *   put_64   64 connections, one request at a time on each, one synced write for all that a pass has read
 *   read_64  the same without a write
 * Prints `floor NAME OPS_PER_SECOND P50_MS` for each; the file that it writes lies in the directory that is named.
 *   floor DIRECTORY [SECONDS] */
#define _GNU_SOURCE /* O_DIRECT */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 64,
    REQUEST_BYTES = 200,
    REPLY_BYTES = 60,
    BLOCK = 4096,
    FILE_BLOCKS = 4096,
    SAMPLES_MAX = 4000000
};

static uint64_t samples_ns[SAMPLES_MAX];

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int open_log(const char *dir, void *block)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/floor.tmp", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0) die(path);
    for (int i = 0; i < FILE_BLOCKS; i++) {
        if (write(fd, block, BLOCK) != BLOCK) die(path);
    }
    if (fsync(fd) != 0) die(path);
    close(fd);
    fd = open(path, O_RDWR | O_DIRECT | O_DSYNC);
    if (fd < 0) fd = open(path, O_RDWR | O_DSYNC);
    unlink(path);
    return fd;
}

static int watch(const int *fds, int count)
{
    int ep = epoll_create1(0);
    for (int i = 0; i < count; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data = {.u32 = (uint32_t)i}};
        if (epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &e) != 0) die("epoll_ctl");
    }
    return ep;
}

static void serve(const int *fds, int count, int log, void *block)
{
    struct epoll_event events[CONNECTIONS_MAX];
    char bytes[BLOCK] = {0};
    off_t at = 0;
    for (int ep = watch(fds, count);;) {
        int ready = epoll_wait(ep, events, CONNECTIONS_MAX, -1);
        for (int i = 0; i < ready; i++) {
            if (recv(fds[events[i].data.u32], bytes, sizeof bytes, 0) <= 0) _exit(0);
        }
        if (log >= 0 && ready > 0) {
            if (pwrite(log, block, BLOCK, at) != BLOCK) die("write");
            at = (at + BLOCK) % (BLOCK * FILE_BLOCKS);
        }
        for (int i = 0; i < ready; i++) (void)!send(fds[events[i].data.u32], bytes, REPLY_BYTES, MSG_NOSIGNAL);
    }
}

static size_t load(const int *fds, int count, double seconds)
{
    struct epoll_event events[CONNECTIONS_MAX];
    uint64_t sent_ns[CONNECTIONS_MAX];
    char bytes[BLOCK] = {0};
    size_t done = 0;
    int ep = watch(fds, count);
    uint64_t now = now_ns(), end = now + (uint64_t)(seconds * 1e9);
    for (int i = 0; i < count; i++) {
        sent_ns[i] = now;
        (void)!send(fds[i], bytes, REQUEST_BYTES, MSG_NOSIGNAL);
    }
    while (now < end && done < SAMPLES_MAX - CONNECTIONS_MAX) {
        int ready = epoll_wait(ep, events, CONNECTIONS_MAX, -1);
        for (int i = 0; i < ready; i++) (void)!recv(fds[events[i].data.u32], bytes, sizeof bytes, 0);
        now = now_ns();
        for (int i = 0; i < ready; i++) {
            uint32_t k = events[i].data.u32;
            samples_ns[done++] = now - sent_ns[k];
            sent_ns[k] = now;
            (void)!send(fds[k], bytes, REQUEST_BYTES, MSG_NOSIGNAL);
        }
    }
    return done;
}

static int by_size(const void *x, const void *y)
{
    const uint64_t *a = x, *b = y;
    return *a < *b ? -1 : *a > *b;
}

static void run(const char *name, int count, const char *dir, double seconds)
{
    int near[CONNECTIONS_MAX], far[CONNECTIONS_MAX], one = 1;
    void *block = aligned_alloc(BLOCK, BLOCK);
    memset(block, 7, BLOCK);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof a;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)(void *)&a, size) != 0 || listen(listener, 128) != 0) die("listen");
    getsockname(listener, (struct sockaddr *)(void *)&a, &size);
    for (int i = 0; i < count; i++) {
        near[i] = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(near[i], (struct sockaddr *)(void *)&a, size) != 0) die("connect");
        far[i] = accept(listener, NULL, NULL);
        setsockopt(near[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        setsockopt(far[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    int log = dir != NULL ? open_log(dir, block) : -1;
    pid_t server = fork();
    if (server == 0) {
        for (int i = 0; i < count; i++) close(near[i]);
        serve(far, count, log, block);
    }
    for (int i = 0; i < count; i++) close(far[i]);
    uint64_t began = now_ns();
    size_t done = load(near, count, seconds);
    double took = (double)(now_ns() - began) / 1e9;
    for (int i = 0; i < count; i++) close(near[i]);
    close(listener);
    if (log >= 0) close(log);
    waitpid(server, NULL, 0);
    qsort(samples_ns, done, sizeof samples_ns[0], by_size);
    printf("floor %s %.0f %.4f\n", name, (double)done / took, (double)samples_ns[done / 2] / 1e6);
    fflush(stdout);
    free(block);
}

int main(int argc, char **argv)
{
    double seconds = argc > 2 ? atof(argv[2]) : 1;
    if (argc < 2) {
        fprintf(stderr, "usage: floor DIRECTORY [SECONDS]\n");
        return 2;
    }
    run("put_1", 1, argv[1], seconds);
    run("put_64", CONNECTIONS_MAX, argv[1], seconds);
    run("read_64", CONNECTIONS_MAX, NULL, seconds);
    return 0;
}
