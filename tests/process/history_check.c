/* Judges histories (docs/formats/history.md):  history_check FILE...   Several files are one history.
 *   - strong operations on each key are linearizable (tests/lib/linear.h: by call and return times alone);
 *   - nobody reads what nobody wrote;
 *   - a bounded read is not older than it was asked to be.
 * Of transactions on lists (lines with a type): strict serializability (history_append.c).
 * Exit status 0: all of it holds; 1: it does not, and the operations are shown; 2: the history cannot be read. */
#define _GNU_SOURCE /* getline */
#include "base/buf.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "lib/history_append.h"
#include "lib/linear.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

enum { SHOWN = 24 };

struct event {
    struct linear_op op;
    uint64_t key;
    bool failed; /* it did not happen, and tells nothing */
    bool weak;   /* a bounded or eventual read */
    bool bounded;
    uint64_t staleness_ns;
    char *line;
};

struct events {
    struct event *items;
    size_t count, capacity;
};

static uint64_t number_of(const char *text) /* of a value or a key; 0 is "absent" */
{
    return hash_bytes(slice_str(text), 0) | 1;
}

static uint64_t value_field(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));
    return text == NULL ? 0 : number_of(text);
}

static uint64_t time_field(const json_t *o, const char *name)
{
    json_int_t v = json_integer_value(json_object_get(o, name));
    return v > 0 ? (uint64_t)v : 0;
}

static bool kind_of(const json_t *o, struct event *e)
{
    static const char *const words[] = {"get", "put", "del", "cas"};
    const char *word = json_string_value(json_object_get(o, "op"));
    for (int i = 0; word != NULL && i < 4; i++) {
        if (strcmp(word, words[i]) != 0) continue;
        e->op.kind = (enum linear_kind)i;
        return true;
    }
    return false;
}

static bool status_of(const json_t *o, struct event *e)
{
    const char *status = json_string_value(json_object_get(o, "status"));
    if (status == NULL) return false;
    e->op.refused = json_is_true(json_object_get(o, "refused"));
    if (strcmp(status, "unknown") == 0) e->op.return_ns = LINEAR_NEVER;
    if (strcmp(status, "fail") == 0) e->failed = !e->op.refused;
    return strcmp(status, "ok") == 0 || strcmp(status, "fail") == 0 || strcmp(status, "unknown") == 0;
}

static bool event_of(const json_t *o, struct event *e)
{
    const char *key = json_string_value(json_object_get(o, "key")), *mode;
    memset(e, 0, sizeof *e);
    e->op.call_ns = time_field(o, "call");
    e->op.return_ns = time_field(o, "ret");
    if (key == NULL || e->op.call_ns == 0 || e->op.return_ns < e->op.call_ns) return false;
    if (!kind_of(o, e) || !status_of(o, e)) return false;
    e->key = number_of(key);
    e->op.value = value_field(o, e->op.kind == LINEAR_GET ? "out" : "value");
    e->op.expect = value_field(o, "expect");
    e->op.has_found = json_object_get(o, "found") != NULL;
    e->op.found = json_is_true(json_object_get(o, "found"));
    mode = json_string_value(json_object_get(o, "mode"));
    e->weak = mode != NULL && strcmp(mode, "strong") != 0;
    e->bounded = mode != NULL && strcmp(mode, "bounded") == 0;
    e->staleness_ns = time_field(o, "staleness_ms") * 1000000;
    if (e->op.kind == LINEAR_GET && e->op.return_ns == LINEAR_NEVER) e->failed = true;
    return e->op.kind != LINEAR_PUT || e->op.value != 0;
}

static int read_file(struct events *all, const char *path)
{
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t room = 0, number = 0;
    if (f == NULL) {
        printf("%s cannot be opened\n", path);
        return 2;
    }
    for (ssize_t size; (size = getline(&line, &room, f)) > 0;) {
        number++;
        if (all->count == all->capacity) {
            all->capacity = all->capacity == 0 ? 4096 : all->capacity * 2;
            all->items = mem_realloc(all->items, all->capacity * sizeof *all->items);
        }
        struct event *e = &all->items[all->count];
        json_t *o = json_loadb(line, (size_t)size, 0, NULL);
        bool fine = json_is_object(o) && event_of(o, e);
        json_decref(o);
        if (!fine) {
            printf("%s:%zu is no operation: %s", path, number, line);
            free(line);
            (void)fclose(f);
            return 2;
        }
        e->line = mem_strdup(line);
        all->count++;
    }
    free(line);
    (void)fclose(f);
    return 0;
}

static int by_key(const void *a, const void *b)
{
    const struct event *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return (x->op.call_ns > y->op.call_ns) - (x->op.call_ns < y->op.call_ns);
}

static bool writes(const struct event *e)
{
    return e->op.kind != LINEAR_GET && !e->failed && !e->op.refused;
}

/* The operations around the one that cannot be explained, in order of their calls. */
static void show(const struct event *events, size_t count, size_t at)
{
    size_t from = at > SHOWN ? at - SHOWN : 0;
    for (size_t i = from; i < count && i < at + SHOWN / 4; i++) printf("%s %s", i == at ? "=>" : "  ", events[i].line);
}

/* --- the checks of one key, whose events are in order of their calls --- */

static bool check_origin(const struct event *events, size_t count)
{
    struct map written;
    bool fine = true;
    map_init(&written);
    for (size_t i = 0; i < count; i++) {
        const struct event *e = &events[i];
        if (!writes(e) || e->op.kind == LINEAR_DELETE) continue;
        if (map_put(&written, e->op.value, e->line) != NULL) {
            printf("two operations write the same value: this history cannot be judged\n   %s", e->line);
            fine = false;
        }
    }
    for (size_t i = 0; i < count && fine; i++) {
        const struct event *e = &events[i];
        if (e->op.kind != LINEAR_GET || e->failed || e->op.value == 0 || map_get(&written, e->op.value) != NULL)
            continue;
        printf("a value was read that nobody wrote:\n");
        show(events, count, i);
        fine = false;
    }
    map_free(&written);
    return fine;
}

/* Whether `e` cannot have seen what it saw at `since` or later: `by` replaced it before. */
static bool replaced(const struct event *events, size_t count, const struct event *e, const struct event *by)
{
    for (size_t i = 0; i < count; i++) { /* anything that left the value, and is not wholly before `by` */
        const struct event *w = &events[i];
        if (!writes(w) || w->op.value != e->op.value || w->op.call_ns > e->op.return_ns) continue;
        if (w == by || w->op.return_ns >= by->op.call_ns) return false;
    }
    return true;
}

static bool check_bounds(const struct event *events, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct event *e = &events[i];
        if (e->op.kind != LINEAR_GET || e->failed || !e->bounded) continue;
        uint64_t since = e->op.call_ns > e->staleness_ns ? e->op.call_ns - e->staleness_ns : 0;
        for (size_t j = 0; j < count; j++) {
            const struct event *by = &events[j];
            if (!writes(by) || by->op.return_ns >= since || !replaced(events, count, e, by)) continue;
            printf("a bounded read is older than asked for; what it saw was replaced by\n   %s", by->line);
            show(events, count, i);
            return false;
        }
    }
    return true;
}

static bool check_linear(const struct event *events, size_t count)
{
    struct linear_op *ops = mem_alloc((count + 1) * sizeof *ops);
    size_t *origin = mem_alloc((count + 1) * sizeof *origin), n = 0, stuck = 0;
    for (size_t i = 0; i < count; i++) {
        if (events[i].failed || events[i].weak) continue;
        origin[n] = i;
        ops[n++] = events[i].op;
    }
    enum linear_verdict v = linear_check(ops, n, &stuck);
    if (v != LINEAR_FINE) {
        printf("%s: no order explains the operations on this key up to the marked one\n",
               v == LINEAR_WRONG ? "not linearizable" : "undecided, the search is too large");
        show(events, count, n > 0 ? origin[stuck] : 0);
    }
    mem_free(ops);
    mem_free(origin);
    return v == LINEAR_FINE;
}

static size_t check_all(struct events *all, size_t *keys)
{
    size_t bad = 0;
    if (all->count > 0) qsort(all->items, all->count, sizeof *all->items, by_key);
    for (size_t from = 0, to; from < all->count; from = to) {
        for (to = from + 1; to < all->count && all->items[to].key == all->items[from].key;) to++;
        const struct event *events = &all->items[from];
        bool fine =
            check_origin(events, to - from) && check_linear(events, to - from) && check_bounds(events, to - from);
        bad += !fine;
        ++*keys;
    }
    return bad;
}

/* Told by the first line. */
static bool is_of_transactions(const char *path)
{
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    ssize_t size = f == NULL ? 0 : getline(&line, &room, f);
    json_t *o = size > 0 ? json_loadb(line, (size_t)size, 0, NULL) : NULL;
    bool found = json_object_get(o, "type") != NULL;
    json_decref(o);
    free(line);
    if (f != NULL) (void)fclose(f);
    return found;
}

int main(int argc, char *argv[])
{
    if (argc > 1 && is_of_transactions(argv[1])) return history_append_judge(argv + 1, argc - 1);
    struct events all = {0};
    size_t keys = 0, unknown = 0, failed = 0;
    int code = argc > 1 ? 0 : 2;
    for (int i = 1; i < argc && code == 0; i++) code = read_file(&all, argv[i]);
    if (code == 0 && all.count == 0) {
        printf("the history is empty\n");
        code = 2;
    }
    if (code == 0) {
        size_t bad = check_all(&all, &keys);
        for (size_t i = 0; i < all.count; i++) {
            unknown += all.items[i].op.return_ns == LINEAR_NEVER;
            failed += all.items[i].failed;
        }
        printf("history: %zu operations on %zu keys, %zu failed, %zu unknown: VERDICT %s\n", all.count, keys, failed,
               unknown, bad == 0 ? "linearizable" : "WRONG");
        code = bad == 0 ? 0 : 1;
    }
    for (size_t i = 0; i < all.count; i++) mem_free(all.items[i].line);
    mem_free(all.items);
    return code;
}
