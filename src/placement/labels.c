#include "placement/labels.h"

static const char *const LEVELS[PLACEMENT_LEVELS] = {"region", "zone", "host"};

void labels_of(struct slice text, struct slice labels[PLACEMENT_LEVELS])
{
    size_t end = text.size;
    for (int level = PLACEMENT_LEVELS - 1; level >= 0; level--) {
        size_t start = end;
        while (start > 0 && (level == 0 || text.data[start - 1] != '/')) start--;
        labels[level] = slice_make(text.data + start, end - start);
        if (start == 0) {
            for (int k = 0; k < level; k++) labels[k] = SLICE_EMPTY;
            return;
        }
        end = start - 1;
    }
}

/* One alternative, taken off the pattern. False: it is malformed. */
static bool next_of(struct slice *pattern, int *level, struct slice *value)
{
    const uint8_t *comma = memchr(pattern->data, ',', pattern->size);
    size_t size = comma != NULL ? (size_t)(comma - pattern->data) : pattern->size;
    struct slice one = slice_make(pattern->data, size);
    *pattern = comma != NULL ? slice_make(comma + 1, pattern->size - size - 1) : SLICE_EMPTY;
    for (*level = 0; *level < PLACEMENT_LEVELS; ++*level) {
        size_t name = strlen(LEVELS[*level]);
        if (one.size <= name + 1 || memcmp(one.data, LEVELS[*level], name) != 0 || one.data[name] != '=') continue;
        *value = slice_make(one.data + name + 1, one.size - name - 1);
        return true;
    }
    return false;
}

bool label_pattern_good(struct slice pattern)
{
    bool trailing = pattern.size > 0 && pattern.data[pattern.size - 1] == ',';
    int level;
    struct slice value;
    while (pattern.size > 0) {
        if (!next_of(&pattern, &level, &value)) return false;
    }
    return !trailing;
}

bool label_pattern_fits(struct slice pattern, const struct slice labels[PLACEMENT_LEVELS])
{
    int level;
    struct slice value;
    if (pattern.size == 0) return true;
    while (pattern.size > 0) {
        if (next_of(&pattern, &level, &value) && slice_eq(labels[level], value)) return true;
    }
    return false;
}
