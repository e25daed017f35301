#include "meta/settings.h"

#include "base/assert.h"

struct setting_row {
    const char *name;
    uint64_t value, low, high;
};

static const struct setting_row ROWS[SETTING_COUNT] = {
#define SETTING_ROW(id, name, value, low, high) {name, value, low, high},
    SETTING_MAP(SETTING_ROW)
#undef SETTING_ROW
};

void settings_default(struct settings *s)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) s->values[i] = ROWS[i].value;
}

const char *setting_name(enum setting_id id)
{
    ASSERT(id < SETTING_COUNT);
    return ROWS[id].name;
}

enum setting_id setting_find(struct slice name)
{
    size_t i = 0;
    while (i < SETTING_COUNT && !slice_eq(slice_str(ROWS[i].name), name)) i++;
    return (enum setting_id)i;
}

bool setting_is_switch(enum setting_id id)
{
    return ROWS[id].low == 0 && ROWS[id].high == 1;
}

enum status setting_parse(enum setting_id id, struct slice text, uint64_t *value, struct errbuf *err)
{
    const struct setting_row *row = &ROWS[id];
    *value = row->value;
    if (text.size == 0) return STATUS_OK;
    if (setting_is_switch(id) && (slice_eq(text, slice_str("on")) || slice_eq(text, slice_str("off")))) {
        *value = text.size == 2;
        return STATUS_OK;
    }
    uint64_t n = 0;
    bool ok = text.size <= 18;
    for (size_t i = 0; ok && i < text.size; i++) {
        ok = text.data[i] >= '0' && text.data[i] <= '9';
        if (ok) n = n * 10 + (uint64_t)(text.data[i] - '0');
    }
    if (ok && n >= row->low && n <= row->high) {
        *value = n;
        return STATUS_OK;
    }
    errbuf_set(err, "%s is %s%llu to %llu", row->name, setting_is_switch(id) ? "on or off, or " : "a number from ",
               (unsigned long long)row->low, (unsigned long long)row->high);
    return STATUS_INVALID;
}
