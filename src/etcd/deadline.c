/* How long a client wants to wait: the header Grpc-Timeout, as grpc-gateway reads it. A call whose time is over is answered at once, and
 * goes on without its client: what it wrote, or is about to write, stands. A stream ends; who waits for others leaves the queue. */
#include <stdlib.h>
#include <string.h>

#include "etcd/etcd_int.h"
#include "gateway/uri.h"

#define DIGITS_MAX 18u

/* False: not such a text. *ns 0: no limit. */
static bool timeout_read(const char *text, uint64_t *ns)
{
    static const char units[] = "numSMH";
    static const uint64_t unit_ns[] = {1, 1000, 1000000, 1000000000, 60000000000, 3600000000000};
    size_t size = strlen(text);
    const char *unit = size < 2 ? NULL : strchr(units, text[size - 1]);
    uint64_t number;
    if (unit == NULL || size - 1 > DIGITS_MAX) return false;
    if (!text_to_u64(slice_make(text, size - 1), UINT64_MAX, &number)) return false;
    uint64_t each = unit_ns[unit - units], most = 365 * 24 * unit_ns[5];
    *ns = number > most / each ? most : number * each;
    return true;
}

bool ecall_take_deadline(struct ecall *c)
{
    struct etcd *e = c->etcd;
    const char *text = e->env->http->ops->header(c->http, "Grpc-Timeout");
    uint64_t ns = 0;
    if (text == NULL) return true;
    if (!timeout_read(text, &ns)) {
        struct errbuf why;
        errbuf_set(&why, "invalid grpc-timeout: %.100s", text);
        ecall_refuse_text(c, GRPC_INVALID_ARGUMENT, why.text);
        return false;
    }
    if (ns == 0) return true;
    if (ns / NS_PER_MS < c->timeout_ms) c->timeout_ms = (uint32_t)(ns / NS_PER_MS) + 1;
    heap_push(&e->deadlines, &c->deadline, env_mono_ns(e->env) + ns);
    e->env->ops->wake(e->env);
    return true;
}

uint64_t deadlines_pass(struct etcd *e, uint64_t now_ns)
{
    struct heap_node *n;
    while ((n = heap_min(&e->deadlines)) != NULL && n->key <= now_ns) {
        struct ecall *c = HEAP_ENTRY(n, struct ecall, deadline);
        heap_remove(&e->deadlines, n);
        if (c->streaming)
            ecall_stream_error(c, ERR_DEADLINE.code, ERR_DEADLINE.text);
        else if (c->must_leave != NULL)
            c->must_leave(c, &ERR_DEADLINE);
        else if (c->http != NULL)
            ecall_reply_error(c, &ERR_DEADLINE);
    }
    return n == NULL ? DEADLINE_NONE : n->key;
}
