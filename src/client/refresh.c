/* The shard map from the metadata service, one refresh at a time for all that wait, and the connections to nodes.
 *
 *      idle --- somebody waits or wants, and the gap since the last is over ---> running --- answer, or 5 s ---> idle
 *
 * At the end all waiting requests go on: to routing when it went well (whoever misses something still, waits again), to a
 * pause when not. A request takes the absence of its keyspace for a fact only from a refresh that began after it came. */
#include "client/client_int.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>

/* --- connections --- */

struct client_peer *peer_new(struct client *c, const char *address, uint64_t node_id)
{
    struct client_peer *peer = mem_zalloc(sizeof(*peer));
    peer->rpc = rpc_peer_new(c->env, address, &c->self);
    rpc_peer_expect(peer->rpc, ROLE_NODE, node_id);
    peer->node_id = node_id;
    list_push_back(&c->peers, &peer->link);
    return peer;
}

struct client_peer *peer_of_node(struct client *c, uint64_t node_id)
{
    return map_get(&c->nodes, node_id);
}

void peers_reap(struct client *c)
{
    LIST_FOR(it, &c->peers)
    {
        struct client_peer *peer = LIST_ENTRY(it, struct client_peer, link);
        if (!peer->retired || peer->calls > 0) continue;
        list_remove(&peer->link);
        rpc_peer_free(peer->rpc);
        mem_free(peer);
    }
}

static void learn_node(struct client *c, const struct node_info *info)
{
    char address[LIMIT_ADDRESS_BYTES];
    if (info->address.size == 0 || info->address.size >= sizeof(address)) return;
    memcpy(address, info->address.data, info->address.size);
    address[info->address.size] = '\0';
    struct client_peer *peer = peer_of_node(c, info->id);
    if (peer != NULL && strcmp(rpc_peer_address(peer->rpc), address) == 0) return;
    if (peer != NULL) peer->retired = true; /* it has moved */
    (void)map_put(&c->nodes, info->id, peer_new(c, address, info->id));
}

static void forget_absent_nodes(struct client *c, const struct meta_map_reply *map)
{
    uint64_t id;
    void *peer;
    for (size_t it = 0; map_next(&c->nodes, &it, &id, &peer);) {
        bool present = false;
        for (size_t i = 0; i < map->node_count && !present; i++) present = map->nodes[i].id == id;
        if (present) continue;
        ((struct client_peer *)peer)->retired = true;
        (void)map_remove(&c->nodes, id);
    }
}

/* What a keyspace says (time to live, dropped or not) is looked at again while it is used. */
static uint64_t keyspace_old_at(struct client *c)
{
    return env_mono_ns(c->env) +
           prng_between(&c->prng, CLIENT_KEYSPACE_MS * NS_PER_MS / 2, CLIENT_KEYSPACE_MS * NS_PER_MS);
}

void refresh_learn(struct client *c, const struct meta_map_reply *map, bool whole)
{
    if (map->finalised > c->self.finalised) c->self.finalised = map->finalised;
    for (size_t i = 0; i < map->node_count; i++) learn_node(c, &map->nodes[i]);
    if (map->node_count > 0) forget_absent_nodes(c, map);
    for (size_t i = 0; i < map->keyspace_count; i++) {
        struct route_keyspace *k = routes_learn_keyspace(&c->routes, &map->keyspaces[i]);
        if (k != NULL) k->old_at_ns = keyspace_old_at(c);
    }
    if (whole) routes_forget_absent(&c->routes, map->keyspaces, map->keyspace_count);
    for (size_t i = 0; i < map->range_count; i++) {
        (void)routes_learn_range(&c->routes, &map->ranges[i], map->leaders != NULL ? map->leaders[i] : 0);
    }
#ifdef QUORATE_SLOW_ASSERTS
    routes_check(&c->routes);
#endif
    if (cluster_id_is_none(&c->self.cluster)) c->self.cluster = meta_call_cluster(c->meta);
}

/* --- refreshes --- */

void refresh_keyspace_used(struct client *c, struct route_keyspace *k)
{
    if (client_now_ns(c) < k->old_at_ns || c->refresh.wanted) return;
    k->old_at_ns = keyspace_old_at(c);
    refresh_want(c, slice_make(k->name, k->name_size));
    c->refresh.light = true;
}

void refresh_want(struct client *c, struct slice keyspace)
{
    ASSERT(keyspace.size <= LIMIT_KEYSPACE_NAME);
    c->refresh.wanted = true;
    c->refresh.light = false;
    c->refresh.wanted_size = (uint32_t)keyspace.size;
    if (keyspace.size > 0) memcpy(c->refresh.wanted_keyspace, keyspace.data, keyspace.size);
}

enum step refresh_wait(struct request *r)
{
    if (r->last[0] == '\0')
        (void)snprintf(r->last, sizeof(r->last), "no answer from the metadata service, which knows where the key is");
    request_set_state(r, REQUEST_WAIT_MAP);
    return STEP_WAIT;
}

struct verdict {
    enum status status; /* STATUS_OK: the map is as the metadata service has it */
    char text[CLIENT_TEXT_BYTES / 2];
};

static void wake_waiting(struct client *c, struct request *r, const struct verdict *v)
{
    struct slice keyspace = slice_make(c->refresh.keyspace, c->refresh.keyspace_size);
    if (v->status == STATUS_OK) {
        if (!c->refresh.is_light && c->refresh.started >= r->map_needed && slice_eq(keyspace, r->keyspace_name))
            r->map_fresh = true;
        request_set_state(r, REQUEST_ROUTING);
        request_ready(r);
    } else if (v->status == STATUS_WRONG_CLUSTER || v->status == STATUS_UNSUPPORTED) {
        (void)request_finish(r, v->status, "%s", v->text);
        request_ready(r);
    } else {
        (void)snprintf(r->last, sizeof(r->last), "%s", v->text);
        (void)request_pause(r, env_mono_ns(c->env));
    }
}

static void on_refresh_done(void *ctx, enum status status, bool sent, const struct reply_head *head)
{
    struct client *c = ctx;
    (void)sent;
    ASSERT(c->refresh.running);
    c->refresh.running = false;
    struct verdict v = {.status = status != STATUS_OK ? status : head->status};
    c->refresh.any = v.status != STATUS_OK && v.status != STATUS_NOT_FOUND;
    struct arena arena;
    arena_init(&arena, 16384);
    if (v.status == STATUS_OK) {
        struct meta_map_reply map;
        v.status = unpack_meta_map_reply(head->payload, &arena, &map);
        if (v.status == STATUS_OK) meta_call_learn(c->meta, map.metas, map.meta_count);
        struct slice name = slice_make(c->refresh.keyspace, c->refresh.keyspace_size);
        if (v.status == STATUS_OK) refresh_learn(c, &map, name.size == 0);
        if (v.status == STATUS_OK && name.size > 0 && map.keyspace_count == 0) routes_forget_keyspace(&c->routes, name);
    }
    arena_free(&arena);
    (void)snprintf(v.text, sizeof(v.text), "metadata service: %s: %.*s", status_name(v.status),
                   (int)(head->message.size < 120 ? head->message.size : 120), (const char *)head->message.data);
    if (v.status == STATUS_NOT_FOUND) v.status = STATUS_OK; /* of the keyspace: an answer like any other */
    struct list *waiting = &c->refresh.waiting;
    while (!list_empty(waiting)) wake_waiting(c, LIST_ENTRY(waiting->next, struct request, wait_link), &v);
}

/* Light: the keyspace and one range of it. */
static void refresh_start(struct client *c, struct slice keyspace, bool light, uint64_t now_ns)
{
    c->refresh.is_light = light;
    c->refresh.keyspace_size = (uint32_t)keyspace.size;
    if (keyspace.size > 0) memmove(c->refresh.keyspace, keyspace.data, keyspace.size);
    c->refresh.running = true;
    c->refresh.wanted = false;
    c->refresh.started++;
    c->refresh.not_before_ns =
        now_ns + prng_between(&c->prng, CLIENT_REFRESH_GAP_MS * NS_PER_MS / 2, CLIENT_REFRESH_GAP_MS * NS_PER_MS);
    c->stats.map_refreshes++;
    struct meta_map_request m = {.keyspace = slice_make(c->refresh.keyspace, keyspace.size),
                                 .has_key = light,
                                 .key = SLICE_EMPTY,
                                 .any = c->refresh.any};
    buf_clear(&c->scratch);
    pack_meta_map_request(&c->scratch, &m);
    c->called = true;
    (void)meta_call(c->meta, METHOD_META_MAP, buf_slice(&c->scratch), now_ns + CLIENT_REFRESH_MS * NS_PER_MS,
                    on_refresh_done, c);
}

uint64_t refresh_step(struct client *c, uint64_t now_ns)
{
    bool waited = !list_empty(&c->refresh.waiting);
    if (c->refresh.running || (!waited && !c->refresh.wanted)) return DEADLINE_NONE;
    if (now_ns < c->refresh.not_before_ns) return c->refresh.not_before_ns;
    if (waited)
        refresh_start(c, LIST_ENTRY(c->refresh.waiting.next, struct request, wait_link)->keyspace_name, false, now_ns);
    else
        refresh_start(c, slice_make(c->refresh.wanted_keyspace, c->refresh.wanted_size), c->refresh.light, now_ns);
    return DEADLINE_NONE;
}
