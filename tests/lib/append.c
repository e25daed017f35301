/* See append.h. The longest list that was seen of a key is its order of appends. Demanded: every other one is a beginning of it; no
 * value of a transaction that did not happen (G1a); none that its transaction wrote over in the same list (G1b); no value twice; own
 * appends are seen. Then who wrote and who saw gives the edges of cycles.h. What was appended and is in no list stands behind all. */
#include "lib/append.h"

#include "base/map.h"
#include "base/mem.h"

#include <stdio.h>

struct value { /* one append */
    size_t txn;
    uint64_t key, value;
    bool last;   /* of its transaction in that list */
    bool listed; /* in the longest list */
    struct value *next_of_key;
};

struct list { /* of a key */
    uint64_t key;
    const uint64_t *longest;
    size_t size;
    struct value *values;
    struct list *next;
};

struct judge {
    const struct append_txn *txns;
    size_t count;
    struct map values, lists;
    struct list *first_list;
    struct cycles graph;
    char *why;
    size_t why_size;
    bool wrong;
};

#define WRONG(j, ...)                                                                                                  \
    do {                                                                                                               \
        if (!(j)->wrong) (void)snprintf((j)->why, (j)->why_size, __VA_ARGS__);                                         \
        (j)->wrong = true;                                                                                             \
    } while (0)

typedef unsigned long long ull;

static struct list *list_of(struct judge *j, uint64_t key)
{
    struct list *l = map_get(&j->lists, key);
    if (l != NULL) return l;
    l = mem_zalloc(sizeof *l);
    l->key = key;
    l->next = j->first_list;
    j->first_list = l;
    (void)map_put(&j->lists, key, l);
    return l;
}

static struct value *value_of(const struct judge *j, uint64_t value)
{
    return map_get(&j->values, value);
}

static void note_appends(struct judge *j, size_t n)
{
    const struct append_txn *t = &j->txns[n];
    for (size_t i = 0; i < t->item_count; i++) {
        const struct append_item *it = &t->items[i];
        if (!it->appends) continue;
        struct value *v = mem_zalloc(sizeof *v);
        struct list *l = list_of(j, it->key);
        *v = (struct value){.txn = n, .key = it->key, .value = it->value, .last = true, .next_of_key = l->values};
        for (struct value *o = l->values; o != NULL && o->txn == n; o = o->next_of_key) o->last = false;
        l->values = v;
        if (map_put(&j->values, it->value, v) != NULL) {
            WRONG(j, "value %llu is appended twice: this history cannot be judged", (ull)it->value);
        }
    }
}

static void note_longest(struct judge *j, size_t n)
{
    const struct append_txn *t = &j->txns[n];
    for (size_t i = 0; i < t->item_count; i++) {
        const struct append_item *it = &t->items[i];
        struct list *l = list_of(j, it->key);
        if (it->appends || it->list == NULL || it->list_size <= l->size) continue;
        l->longest = it->list;
        l->size = it->list_size;
    }
}

static void check_list(struct judge *j, const struct list *l)
{
    for (size_t i = 0; i < l->size; i++) {
        struct value *v = value_of(j, l->longest[i]);
        if (v == NULL || v->key != l->key) {
            WRONG(j, "%llu was seen in list %llu, where nobody appended it", (ull)l->longest[i], (ull)l->key);
            return;
        }
        if (v->listed) WRONG(j, "%llu is twice in list %llu", (ull)v->value, (ull)l->key);
        v->listed = true;
        if (j->txns[v->txn].outcome == APPEND_NOTHING) {
            WRONG(j, "G1a: %llu was seen in list %llu, and transaction %zu did not happen", (ull)v->value, (ull)l->key,
                  v->txn + 1);
        }
    }
}

/* How many of the reader's own appends to the list come before its item. */
static size_t own_before(const struct append_txn *t, size_t item)
{
    size_t own = 0;
    for (size_t i = 0; i < item; i++) own += t->items[i].appends && t->items[i].key == t->items[item].key;
    return own;
}

/* What the read tells of others: the part of the list that is not its own. */
static void check_read(struct judge *j, size_t n, size_t item)
{
    const struct append_txn *t = &j->txns[n];
    const struct append_item *it = &t->items[item];
    const struct list *l = list_of(j, it->key);
    size_t own = own_before(t, item), size = it->list_size;
    for (size_t i = 0; i < it->list_size; i++) {
        if (it->list[i] == l->longest[i]) continue;
        WRONG(j, "transaction %zu saw list %llu with %llu where others saw %llu", n + 1, (ull)it->key, (ull)it->list[i],
              (ull)l->longest[i]);
        return;
    }
    for (; own > 0; own--, size--) {
        const struct value *v = size > 0 ? value_of(j, it->list[size - 1]) : NULL;
        if (v != NULL && v->txn == n) continue;
        WRONG(j, "transaction %zu does not see its own append to list %llu", n + 1, (ull)it->key);
        return;
    }
    const struct value *seen = size > 0 ? value_of(j, it->list[size - 1]) : NULL;
    if (seen != NULL && seen->txn != n) {
        if (!seen->last) WRONG(j, "G1b: transaction %zu saw a part of transaction %zu", n + 1, seen->txn + 1);
        cycles_add(&j->graph, seen->txn, n, CYCLE_WR);
    }
    if (size < l->size) {
        cycles_add(&j->graph, n, value_of(j, l->longest[size])->txn, CYCLE_RW);
        return;
    }
    for (const struct value *v = l->values; v != NULL; v = v->next_of_key) { /* somewhere behind all that was seen */
        if (!v->listed && j->txns[v->txn].outcome == APPEND_DONE) cycles_add(&j->graph, n, v->txn, CYCLE_RW);
    }
}

static void add_order(struct judge *j, const struct list *l)
{
    for (size_t i = 1; i < l->size; i++) {
        cycles_add(&j->graph, value_of(j, l->longest[i - 1])->txn, value_of(j, l->longest[i])->txn, CYCLE_WW);
    }
    if (l->size == 0) return;
    for (const struct value *v = l->values; v != NULL; v = v->next_of_key) {
        if (v->listed || j->txns[v->txn].outcome != APPEND_DONE) continue;
        cycles_add(&j->graph, value_of(j, l->longest[l->size - 1])->txn, v->txn, CYCLE_WW);
    }
}

static void judge_history(struct judge *j)
{
    char text[400];
    for (size_t n = 0; n < j->count; n++) note_appends(j, n);
    for (size_t n = 0; n < j->count; n++) {
        if (j->txns[n].outcome == APPEND_DONE) note_longest(j, n);
    }
    for (const struct list *l = j->first_list; l != NULL; l = l->next) check_list(j, l);
    for (const struct list *l = j->first_list; l != NULL && !j->wrong; l = l->next) add_order(j, l);
    for (size_t n = 0; n < j->count && !j->wrong; n++) {
        const struct append_txn *t = &j->txns[n];
        if (t->outcome == APPEND_NOTHING) continue;
        bool done = t->outcome == APPEND_DONE;
        cycles_time(&j->graph, n, t->call_ns, done ? t->return_ns : CYCLES_NEVER);
        for (size_t i = 0; done && i < t->item_count && !j->wrong; i++) {
            if (!t->items[i].appends && t->items[i].list != NULL) check_read(j, n, i);
        }
    }
    if (!j->wrong && cycles_find(&j->graph, text, sizeof text)) WRONG(j, "a cycle, %s", text);
}

bool append_check(const struct append_txn *txns, size_t count, char *why, size_t size)
{
    struct judge j = {.txns = txns, .count = count, .why = why, .why_size = size};
    map_init(&j.values);
    map_init(&j.lists);
    cycles_init(&j.graph, count);
    judge_history(&j);
    cycles_free(&j.graph);
    for (struct list *l = j.first_list, *next; l != NULL; l = next) {
        next = l->next;
        for (struct value *v = l->values, *after; v != NULL; v = after) {
            after = v->next_of_key;
            mem_free(v);
        }
        mem_free(l);
    }
    map_free(&j.values);
    map_free(&j.lists);
    return !j.wrong;
}
