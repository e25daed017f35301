/* Histories of transactions on lists (docs/formats/history.md, second form), judged by tests/lib/append.h, and readings of all
 * balances of a bank, whose sums must be one and the same. */
#define _GNU_SOURCE /* getline */
#include "lib/history_append.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/slice.h"
#include "lib/append.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

struct history {
    struct append_txn *txns;
    size_t count, capacity;
    struct append_item **items; /* of each */
    uint64_t line;
    size_t banks, unknown, failed;
    json_int_t sum;
    bool bad_sum;
};

static uint64_t key_of(const json_t *item)
{
    const char *text = json_string_value(json_array_get(item, 1));
    return text == NULL ? 0 : hash_bytes(slice_str(text), 0) | 1;
}

/* Values are unique in their list: so they are, with it, in the history. */
static uint64_t value_of(uint64_t key, const json_t *value)
{
    return hash_u64(key + (uint64_t)json_integer_value(value)) | 1;
}

static bool read_item(const json_t *o, struct append_item *it)
{
    const char *word = json_string_value(json_array_get(o, 0));
    const json_t *value = json_array_get(o, 2);
    *it = (struct append_item){.key = key_of(o)};
    if (word == NULL || it->key == 0) return false;
    it->appends = strcmp(word, "append") == 0;
    if (it->appends) {
        it->value = value_of(it->key, value);
        return json_is_integer(value);
    }
    if (strcmp(word, "r") != 0) return false;
    if (!json_is_array(value)) return json_is_null(value);
    it->list_size = json_array_size(value);
    uint64_t *list = mem_alloc((it->list_size + 1) * sizeof *list);
    for (size_t i = 0; i < it->list_size; i++) list[i] = value_of(it->key, json_array_get(value, i));
    it->list = list;
    return true;
}

static void free_items(struct append_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) mem_free((void *)(uintptr_t)items[i].list);
    mem_free(items);
}

static bool read_items(struct history *h, size_t at, const json_t *value)
{
    struct append_txn *t = &h->txns[at];
    free_items(h->items[at], t->item_count);
    t->item_count = json_array_size(value);
    h->items[at] = mem_zalloc((t->item_count + 1) * sizeof(struct append_item));
    t->items = h->items[at];
    for (size_t i = 0; i < t->item_count; i++) {
        if (!read_item(json_array_get(value, i), &h->items[at][i])) return false;
    }
    return json_is_array(value);
}

static size_t add_txn(struct history *h, uint64_t call_ns)
{
    if (h->count == h->capacity) {
        h->capacity = h->capacity == 0 ? 4096 : 2 * h->capacity;
        h->txns = mem_realloc(h->txns, h->capacity * sizeof *h->txns);
        h->items = mem_realloc(h->items, h->capacity * sizeof(struct append_item *));
    }
    h->txns[h->count] = (struct append_txn){.outcome = APPEND_UNKNOWN, .call_ns = call_ns, .return_ns = CYCLES_NEVER};
    h->items[h->count] = NULL;
    return h->count++;
}

/* {"0":100,"1":95}: all balances at one time. */
static void read_bank(struct history *h, json_t *balances)
{
    const char *name;
    json_t *value;
    json_int_t sum = 0;
    json_object_foreach(balances, name, value)
    {
        sum += json_integer_value(value);
        if (json_integer_value(value) < 0) h->bad_sum = true;
    }
    if (h->banks++ == 0) h->sum = sum;
    if (sum != h->sum) h->bad_sum = true;
}

static bool read_event(struct history *h, json_t *open, const json_t *o)
{
    const char *type = json_string_value(json_object_get(o, "type"));
    json_t *value = json_object_get(o, "value"), *time = json_object_get(o, "time");
    char process[32];
    uint64_t now = json_is_integer(time) ? (uint64_t)json_integer_value(time) : h->line;
    if (type == NULL || !json_is_integer(json_object_get(o, "process"))) return false;
    if (json_is_object(value)) {
        if (strcmp(type, "ok") == 0) read_bank(h, value);
        return true;
    }
    snprintf(process, sizeof process, "%lld", (long long)json_integer_value(json_object_get(o, "process")));
    json_t *index = json_object_get(open, process);
    if (strcmp(type, "invoke") == 0) {
        if (index != NULL) return false;
        size_t at = add_txn(h, now);
        (void)json_object_set_new(open, process, json_integer((json_int_t)at));
        return read_items(h, at, value);
    }
    if (index == NULL) return false;
    size_t at = (size_t)json_integer_value(index);
    struct append_txn *t = &h->txns[at];
    t->return_ns = now;
    (void)json_object_del(open, process);
    if (strcmp(type, "fail") == 0) t->outcome = APPEND_NOTHING;
    if (strcmp(type, "ok") != 0) return strcmp(type, "fail") == 0 || strcmp(type, "info") == 0;
    t->outcome = APPEND_DONE;
    return read_items(h, at, value);
}

static int read_file(struct history *h, const char *path)
{
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    json_t *open = json_object();
    int code = f == NULL ? 2 : 0;
    if (f == NULL) printf("%s cannot be opened\n", path);
    for (ssize_t size; code == 0 && (size = getline(&line, &room, f)) > 0;) {
        json_t *o = json_loadb(line, (size_t)size, 0, NULL);
        h->line++;
        if (!json_is_object(o) || !read_event(h, open, o)) {
            printf("%s:%llu is no event: %s", path, (unsigned long long)h->line, line);
            code = 2;
        }
        json_decref(o);
    }
    free(line);
    json_decref(open);
    if (f != NULL) (void)fclose(f);
    return code;
}

int history_append_judge(char *const paths[], int count)
{
    struct history h = {.count = 0};
    char why[600] = "";
    int code = 0;
    for (int i = 0; i < count && code == 0; i++) code = read_file(&h, paths[i]);
    if (code == 0 && h.count + h.banks == 0) {
        printf("the history is empty\n");
        code = 2;
    }
    if (code == 0) {
        bool fine = append_check(h.txns, h.count, why, sizeof why);
        for (size_t i = 0; i < h.count; i++) {
            h.unknown += h.txns[i].outcome == APPEND_UNKNOWN;
            h.failed += h.txns[i].outcome == APPEND_NOTHING;
        }
        if (!fine) printf("%s\n", why);
        if (h.bad_sum) printf("the balances of a bank do not sum up as before, or one is negative\n");
        fine = fine && !h.bad_sum;
        printf("history: %zu transactions, %zu failed, %zu unknown, %zu readings of a bank: VERDICT %s\n", h.count,
               h.failed, h.unknown, h.banks, fine ? "strictly serializable" : "WRONG");
        code = fine ? 0 : 1;
    }
    for (size_t i = 0; i < h.count; i++) free_items(h.items[i], h.txns[i].item_count);
    mem_free(h.items);
    mem_free(h.txns);
    return code;
}
