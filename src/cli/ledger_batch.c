#define _GNU_SOURCE /* memmem */
#include "cli/ledger_batch.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "gateway/ledger_json.h"

_Static_assert(LEDGER_ACCOUNT_CHAIN_MAX >= LEDGER_CHAIN_MAX, "room for a chain of either kind");

void ledger_batch_init(struct ledger_batch *b, size_t most)
{
    size_t room = most < LEDGER_ACCOUNT_CHAIN_MAX ? LEDGER_ACCOUNT_CHAIN_MAX : most;
    *b = (struct ledger_batch){.most = most};
    b->accounts = mem_zalloc(room * sizeof(*b->accounts));
    b->items = mem_zalloc(room * sizeof(*b->items));
    b->lines = mem_zalloc(room * sizeof(*b->lines));
    b->numbers = mem_zalloc(room * sizeof(*b->numbers));
}

void ledger_batch_free(struct ledger_batch *b)
{
    for (size_t i = 0; i < b->count; i++) mem_free((void *)(uintptr_t)b->lines[i].data);
    mem_free(b->accounts);
    mem_free(b->items);
    mem_free(b->lines);
    mem_free(b->numbers);
}

/* --- CSV --- */

static json_t *flags_json(struct slice text)
{
    json_t *list = json_array();
    while (text.size > 0) {
        const uint8_t *bar = memchr(text.data, '|', text.size);
        size_t size = bar != NULL ? (size_t)(bar - text.data) : text.size;
        json_array_append_new(list, json_stringn((const char *)text.data, size));
        text = bar != NULL ? slice_make(bar + 1, text.size - size - 1) : SLICE_EMPTY;
    }
    return list;
}

/* A row as the object that a line of JSON would hold. */
static json_t *csv_object(const struct ledger_batch *b, struct slice row, struct arena *arena, struct errbuf *err)
{
    json_t *object = json_object();
    struct slice cell;
    size_t i = 0;
    for (; i < b->name_count && csv_cell(&row, arena, &cell); i++) {
        if (cell.size == 0) continue;
        json_t *value = slice_eq(b->names[i], slice_str("flags")) ? flags_json(cell)
                                                                  : json_stringn((const char *)cell.data, cell.size);
        char name[64];
        size_t size = b->names[i].size < 60 ? b->names[i].size : 60;
        snprintf(name, sizeof(name), "%.*s", (int)size, (const char *)b->names[i].data);
        if (value == NULL || json_object_set_new(object, name, value) != 0) break;
    }
    if (i == b->name_count && csv_ended(&row)) return object;
    errbuf_set(err, "the row has not the %zu fields of the first line", b->name_count);
    json_decref(object);
    return NULL;
}

/* --- chains --- */

static bool contains(struct slice text, const char *word)
{
    return memmem(text.data, text.size, word, strlen(word)) != NULL;
}

/* Of a line that is refused: would the chain have gone on behind it? When in doubt, yes. */
static bool may_be_linked(const json_t *object, struct slice line)
{
    const json_t *flags = json_object_get(object, "flags");
    if (!json_is_object(object)) return contains(line, "linked") || contains(line, "flags");
    if (flags == NULL) return false;
    if (json_is_integer(flags)) return (json_integer_value(flags) & LEDGER_LINKED) != 0;
    for (size_t i = 0; i < json_array_size(flags); i++) {
        const char *word = json_string_value(json_array_get(flags, i));
        if (word == NULL || strcmp(word, "linked") == 0) return true;
    }
    return !json_is_array(flags);
}

static void refuse_open_chain(struct ledger_batch *b, const char *why)
{
    for (size_t i = b->whole; i < b->count; i++) {
        b->refuse(b->ctx, b->numbers[i], why, b->lines[i]);
        mem_free((void *)(uintptr_t)b->lines[i].data);
    }
    b->count = b->whole;
}

static void refuse_line(struct ledger_batch *b, uint64_t number, const char *why, struct slice line, bool linked)
{
    refuse_open_chain(b, ledger_result_name(LEDGER_LINKED_EVENT_FAILED));
    b->refuse(b->ctx, number, why, line);
    b->refusing = linked;
}

static void hold(struct ledger_batch *b, uint64_t number, struct slice line)
{
    size_t max = b->transfers ? LEDGER_CHAIN_MAX : LEDGER_ACCOUNT_CHAIN_MAX;
    bool linked =
        b->transfers ? b->items[b->count].flags & LEDGER_LINKED : b->accounts[b->count].flags & LEDGER_ACCOUNT_LINKED;
    b->lines[b->count] = mem_dup_slice(line);
    b->numbers[b->count++] = number;
    if (!linked) b->whole = b->count;
    if (b->count - b->whole < max) return;
    char why[80];
    snprintf(why, sizeof(why), "a chain has at most %zu", max);
    refuse_open_chain(b, why);
    b->refusing = true;
}

/* --- lines --- */

static bool take(struct ledger_batch *b, uint64_t number, struct slice line, const json_t *object, struct json_at *at,
                 struct errbuf *err)
{
    bool transfer =
        json_object_get(object, "debit_account_id") != NULL || json_object_get(object, "pending_id") != NULL;
    if (b->count > 0 && transfer != b->transfers) return false;
    b->transfers = transfer;
    enum status s = transfer ? json_want_transfer(at, &b->items[b->count], err)
                             : json_want_account(at, &b->accounts[b->count], err);
    if (s != STATUS_OK)
        refuse_line(b, number, err->text, line, may_be_linked(object, line));
    else if (b->refusing)
        refuse_line(b, number, ledger_result_name(LEDGER_LINKED_EVENT_FAILED), line, may_be_linked(object, line));
    else
        hold(b, number, line);
    return true;
}

bool ledger_batch_take(struct ledger_batch *b, uint64_t number, struct slice line)
{
    struct errbuf err = {.text = "not an object"};
    struct arena arena;
    ASSERT(!ledger_batch_full(b));
    arena_init(&arena, 1024);
    json_t *tree = b->name_count > 0 ? csv_object(b, line, &arena, &err)
                                     : json_loadb((const char *)line.data, line.size, JSON_REJECT_DUPLICATES, NULL);
    struct json_at at = {.value = tree, .path = {.parent = NULL, .name = ""}};
    bool taken = true;
    if (json_is_object(tree)) {
        taken = take(b, number, line, tree, &at, &err);
    } else {
        bool open = b->count > b->whole || b->refusing;
        refuse_line(b, number, err.text, line, open || may_be_linked(NULL, line));
    }
    json_decref(tree);
    arena_free(&arena);
    return taken;
}

/* --- out --- */

bool ledger_batch_full(const struct ledger_batch *b)
{
    return b->count >= b->most && b->whole > 0;
}

size_t ledger_batch_front(const struct ledger_batch *b, bool ended)
{
    return ended ? b->count : b->whole;
}

void ledger_batch_drop(struct ledger_batch *b, size_t count)
{
    ASSERT(count <= b->count);
    for (size_t i = 0; i < count; i++) mem_free((void *)(uintptr_t)b->lines[i].data);
    size_t left = b->count - count;
    memmove(b->accounts, b->accounts + count, left * sizeof(*b->accounts));
    memmove(b->items, b->items + count, left * sizeof(*b->items));
    memmove(b->lines, b->lines + count, left * sizeof(*b->lines));
    memmove(b->numbers, b->numbers + count, left * sizeof(*b->numbers));
    b->count = left;
    b->whole = b->whole > count ? b->whole - count : 0;
}
