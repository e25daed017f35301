/* Probes, as etcd 3.5's: /health, /version, and checks by name below /livez and /readyz:
 *
 *   /livez     serializable_read                        this process answers
 *   /readyz    data_corruption, serializable_read, linearizable_read, non_learner
 *
 * Only linearizable_read asks the cluster: a strong read. /readyz alone is the gateway's own, unless ?verbose or ?exclude= is said. */
#include "etcd/kv.h"

#define PROBE_MS 2000u
#define CLUSTER_VERSION "3.4.0"

static const char *const checks[] = {"data_corruption", "serializable_read", "linearizable_read", "non_learner"};
#define CHECKS (sizeof(checks) / sizeof(checks[0]))
#define SERIALIZABLE_READ 1u
#define LINEARIZABLE_READ 2u

struct probe {
    bool health;
    bool asked[CHECKS];
    bool verbose;
};

/* The next of the query's parameters, raw. */
static bool next_param(struct slice *query, struct slice *name, struct slice *value)
{
    if (query->size == 0) return false;
    const uint8_t *end = memchr(query->data, '&', query->size);
    size_t size = end != NULL ? (size_t)(end - query->data) : query->size;
    const uint8_t *is = memchr(query->data, '=', size);
    size_t name_size = is != NULL ? (size_t)(is - query->data) : size;
    *name = slice_make(query->data, name_size);
    *value = is != NULL ? slice_make(is + 1, size - name_size - 1) : SLICE_EMPTY;
    *query = slice_make(query->data + size + (end != NULL), query->size - size - (end != NULL));
    return true;
}

bool probe_is_asked_in_etcds_words(struct slice query)
{
    struct slice name, value;
    while (next_param(&query, &name, &value)) {
        if (slice_eq(name, slice_str("verbose")) || slice_eq(name, slice_str("exclude"))) return true;
    }
    return false;
}

static void take_query(struct probe *p, struct slice query)
{
    struct slice name, value;
    while (next_param(&query, &name, &value)) {
        p->verbose = p->verbose || slice_eq(name, slice_str("verbose"));
        bool local = slice_eq(name, slice_str("serializable")) && slice_eq(value, slice_str("true"));
        if (p->health && local) p->asked[LINEARIZABLE_READ] = false;
        for (size_t i = 0; i < CHECKS && slice_eq(name, slice_str("exclude")); i++)
            if (slice_eq(value, slice_str(checks[i]))) p->asked[i] = false;
    }
}

static void answer_health(struct ecall *c, const char *why)
{
    if (why == NULL)
        ecall_text(c, 200, "application/json", slice_str("{\"health\":\"true\",\"reason\":\"\"}"));
    else
        ecall_text(c, 503, "text/plain; charset=utf-8",
                   slice_str("{\"health\":\"false\",\"reason\":\"RAFT NO LEADER\"}\n"));
}

/* why: what linearizable_read failed with; NULL: it did not. */
static void probe_answer(struct ecall *c, const char *why)
{
    const struct probe *p = c->state;
    struct buf b;
    if (p->health) {
        answer_health(c, why);
        return;
    }
    buf_init(&b, 1024);
    for (size_t i = 0; i < CHECKS && (p->verbose || why != NULL); i++) {
        if (!p->asked[i]) continue;
        if (i == LINEARIZABLE_READ && why != NULL)
            buf_printf(&b, "[-]%s failed: %s\n", checks[i], why);
        else
            buf_printf(&b, "[+]%s ok\n", checks[i]);
    }
    if (why == NULL) buf_append_str(&b, "ok\n");
    struct slice body = arena_dup_slice(&c->arena, buf_slice(&b));
    buf_free(&b);
    ecall_text(c, why == NULL ? 200 : 503, "text/plain; charset=utf-8", body);
}

static void probe_read(void *ctx, const struct client_error *e, const struct get_reply *reply)
{
    bool fine = e->status == STATUS_OK || e->status == STATUS_NOT_FOUND; /* no keyspace: nobody has written yet */
    (void)reply;
    probe_answer(ctx, fine ? NULL : ERR_TIMEOUT.text);
}

/* False: there is no such probe. */
static bool take_path(struct probe *p, struct slice path)
{
    p->health = slice_eq(path, slice_str("/health"));
    bool live = slice_starts(path, slice_str("/livez"));
    size_t head = live ? strlen("/livez") : strlen("/readyz");
    if (p->health) {
        p->asked[LINEARIZABLE_READ] = true;
        return true;
    }
    struct slice name = path.size > head ? slice_make(path.data + head + 1, path.size - head - 1) : SLICE_EMPTY;
    bool any = false;
    for (size_t i = 0; i < CHECKS; i++) {
        p->asked[i] = (!live || i == SERIALIZABLE_READ) && (name.size == 0 || slice_eq(name, slice_str(checks[i])));
        any = any || p->asked[i];
    }
    return any;
}

void probe_health(struct ecall *c, struct slice path)
{
    const struct http_ops *ops = c->etcd->env->http->ops;
    enum http_method m = ops->method(c->http);
    struct probe *p = arena_zalloc(&c->arena, sizeof(*p));
    c->state = p;
    if (m != HTTP_GET && m != HTTP_HEAD) {
        ecall_text(c, 405, "text/plain; charset=utf-8", slice_str("Method Not Allowed\n"));
    } else if (slice_eq(path, slice_str("/version"))) {
        ecall_text(c, 200, "application/json",
                   slice_str("{\"etcdserver\":\"" SERVER_VERSION "\",\"etcdcluster\":\"" CLUSTER_VERSION "\"}"));
    } else if (!take_path(p, path)) {
        ecall_text(c, 404, "text/plain; charset=utf-8", slice_str("404 page not found\n"));
    } else {
        take_query(p, ops->query(c->http));
        if (p->asked[LINEARIZABLE_READ])
            client_get(c->etcd->client, etcd_keyspace, key_compacted(&c->arena), PROBE_MS, probe_read, c);
        else
            probe_answer(c, NULL);
    }
}
