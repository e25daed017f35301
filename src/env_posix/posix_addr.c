#define _GNU_SOURCE /* getaddrinfo, accept4's flags */
#include "env_posix/posix_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_BACKLOG 1024

static bool parse_port(const char *text, uint16_t *port)
{
    unsigned value = 0;
    if (*text == '\0') return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9') return false;
        value = value * 10 + (unsigned)(*text - '0');
        if (value > 65535) return false;
    }
    *port = (uint16_t)value;
    return true;
}

static bool parse_host_port(const char *address, struct posix_target *out)
{
    const char *host = address, *host_end, *port;
    if (*address == '[') {
        host++;
        host_end = strchr(host, ']');
        if (host_end == NULL || host_end[1] != ':') return false;
        port = host_end + 2;
    } else {
        host_end = strchr(address, ':');
        if (host_end == NULL || strchr(host_end + 1, ':') != NULL) return false; /* IPv6 needs its brackets */
        port = host_end + 1;
    }
    size_t size = (size_t)(host_end - host);
    if (size == 0 || size >= sizeof(out->host)) return false;
    memcpy(out->host, host, size);
    out->host[size] = '\0';
    return parse_port(port, &out->port);
}

enum status posix_target_parse(const char *address, struct posix_target *out, struct errbuf *err)
{
    *out = (struct posix_target){0};
    if (strncmp(address, "unix:", 5) == 0) {
        size_t size = strlen(address + 5);
        if (size > 0 && size < sizeof(((struct sockaddr_un *)0)->sun_path)) {
            out->is_unix = true;
            memcpy(out->host, address + 5, size + 1);
            return STATUS_OK;
        }
        errbuf_set(err, "address \"%s\": the path of a Unix socket has 1 to 107 bytes", address);
        return STATUS_INVALID;
    }
    if (parse_host_port(address, out)) return STATUS_OK;
    errbuf_set(err, "address \"%s\" is malformed: write host:port, 127.0.0.1:7480, [::1]:7480 or unix:/path", address);
    return STATUS_INVALID;
}

bool posix_target_numeric(const struct posix_target *t, struct posix_addr *out)
{
    *out = (struct posix_addr){0};
    struct sockaddr_un *un = (struct sockaddr_un *)(void *)&out->storage;
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&out->storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&out->storage;
    if (t->is_unix) {
        un->sun_family = AF_UNIX;
        (void)snprintf(un->sun_path, sizeof(un->sun_path), "%.107s", t->host);
        out->size = (socklen_t)sizeof(*un);
        return true;
    }
    if (inet_pton(AF_INET, t->host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(t->port);
        out->size = (socklen_t)sizeof(*v4);
        return true;
    }
    if (inet_pton(AF_INET6, t->host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(t->port);
        out->size = (socklen_t)sizeof(*v6);
        return true;
    }
    return false;
}

size_t posix_target_resolve(const struct posix_target *t, struct posix_addr *out, size_t max)
{
    if (posix_target_numeric(t, out)) return 1;
    char port[8];
    (void)snprintf(port, sizeof(port), "%u", t->port);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    if (getaddrinfo(t->host, port, &hints, &found) != 0) return 0;
    size_t count = 0;
    for (const struct addrinfo *a = found; a != NULL && count < max; a = a->ai_next) {
        if (a->ai_addrlen > sizeof(out->storage)) continue;
        out[count] = (struct posix_addr){.size = a->ai_addrlen};
        memcpy(&out[count].storage, a->ai_addr, a->ai_addrlen);
        count++;
    }
    freeaddrinfo(found);
    return count;
}

void posix_addr_format(const struct posix_addr *a, char text[POSIX_ADDR_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (a->storage.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)&a->storage;
        (void)inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
        (void)snprintf(text, POSIX_ADDR_TEXT_MAX, "%s:%u", host, ntohs(v4->sin_port));
    } else if (a->storage.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)&a->storage;
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
        (void)snprintf(text, POSIX_ADDR_TEXT_MAX, "[%s]:%u", host, ntohs(v6->sin6_port));
    } else {
        const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)&a->storage;
        bool named = a->size > offsetof(struct sockaddr_un, sun_path) && un->sun_path[0] != '\0';
        (void)snprintf(text, POSIX_ADDR_TEXT_MAX, "unix:%.107s", named ? un->sun_path : "");
    }
}

static enum status listen_failed(const char *address, int code, struct errbuf *err)
{
    switch (code) {
    case EADDRINUSE:
        errbuf_set(err, "address %s is in use by another process: stop it or choose another port with --listen",
                   address);
        return STATUS_EXISTS;
    case EADDRNOTAVAIL:
        errbuf_set(err, "address %s does not belong to this machine: choose one that does with --listen", address);
        return STATUS_INVALID;
    case EACCES:
    case EPERM:
        errbuf_set(err,
                   "address %s may not be used by this user: choose a port from 1024 up, or a directory that it may "
                   "write, with --listen",
                   address);
        return STATUS_INVALID;
    default:
        errbuf_set(err, "address %s cannot be listened on: %s", address, strerror(code));
        return posix_status_of_errno(code);
    }
}

/* The socket file of a process that was killed stays behind and would block the address for ever: it is stale when
 * nobody answers there. */
static void remove_stale_unix(const struct posix_target *t, const struct posix_addr *a)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    if (connect(fd, (const struct sockaddr *)(const void *)&a->storage, a->size) != 0 && errno == ECONNREFUSED)
        (void)unlink(t->host);
    (void)close(fd);
}

static int open_listener(const struct posix_target *t, const struct posix_addr *a, int *fd) /* returns errno */
{
    int one = 1;
    if (t->is_unix) remove_stale_unix(t, a);
    *fd = socket(a->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*fd < 0) return errno;
    if (!t->is_unix) {
        (void)setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        (void)setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* accepted sockets inherit it */
    }
    if (a->storage.ss_family == AF_INET6) (void)setsockopt(*fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    if (bind(*fd, (const struct sockaddr *)(const void *)&a->storage, a->size) == 0 && listen(*fd, LISTEN_BACKLOG) == 0)
        return 0;
    int code = errno;
    (void)close(*fd);
    *fd = -1;
    return code;
}

enum status posix_listen_socket(const char *address, int *fd, char bound[POSIX_ADDR_TEXT_MAX], struct errbuf *err)
{
    struct posix_target t;
    struct posix_addr a;
    enum status s = posix_target_parse(address, &t, err);
    if (s != STATUS_OK) return s;
    if (posix_target_resolve(&t, &a, 1) == 0) {
        errbuf_set(err, "address %s: the name %s is unknown; use an IP address with --listen", address, t.host);
        return STATUS_INVALID;
    }
    int code = open_listener(&t, &a, fd);
    if (code != 0) return listen_failed(address, code, err);
    a.size = (socklen_t)sizeof(a.storage);
    (void)getsockname(*fd, (struct sockaddr *)(void *)&a.storage, &a.size);
    posix_addr_format(&a, bound);
    return STATUS_OK;
}
