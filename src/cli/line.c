#include "cli/line.h"

#include "base/mem.h"

void line_init(struct line *l)
{
    memset(l, 0, sizeof *l);
}

void line_free(struct line *l)
{
    for (size_t i = 0; i < l->history_count; i++) mem_free(l->history[i]);
    l->history_count = 0;
}

void line_begin(struct line *l)
{
    l->size = l->cursor = 0;
    l->text[0] = '\0';
    l->history_at = l->history_count;
    l->escape = 0;
}

void line_remember(struct line *l, struct slice text)
{
    if (text.size == 0 || text.size >= LINE_MAX_BYTES) return;
    if (l->history_count > 0 && slice_eq(slice_str(l->history[l->history_count - 1]), text)) return;
    if (l->history_count == LINE_HISTORY_MAX) {
        mem_free(l->history[0]);
        memmove(l->history, l->history + 1, (LINE_HISTORY_MAX - 1) * sizeof l->history[0]);
        l->history_count--;
    }
    char *copy = mem_alloc(text.size + 1);
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    l->history[l->history_count++] = copy;
}

void line_insert(struct line *l, struct slice text)
{
    if (l->size + text.size >= LINE_MAX_BYTES) return;
    memmove(l->text + l->cursor + text.size, l->text + l->cursor, l->size - l->cursor + 1);
    memcpy(l->text + l->cursor, text.data, text.size);
    l->size += text.size;
    l->cursor += text.size;
}

static void erase(struct line *l, size_t from, size_t to)
{
    memmove(l->text + from, l->text + to, l->size - to + 1);
    l->size -= to - from;
    l->cursor = from;
}

/* Whole characters: bytes 10xxxxxx go on with the one before. */
static size_t left_of(const struct line *l)
{
    size_t at = l->cursor;
    while (at > 0 && ((uint8_t)l->text[--at] & 0xc0) == 0x80) {
    }
    return at;
}

static size_t right_of(const struct line *l)
{
    size_t at = l->cursor;
    if (at < l->size) at++;
    while (at < l->size && ((uint8_t)l->text[at] & 0xc0) == 0x80) at++;
    return at;
}

static void show_history(struct line *l, bool older)
{
    if (older ? l->history_at == 0 : l->history_at >= l->history_count) return;
    if (l->history_at == l->history_count) memcpy(l->draft, l->text, l->size + 1);
    l->history_at = older ? l->history_at - 1 : l->history_at + 1;
    const char *text = l->history_at == l->history_count ? l->draft : l->history[l->history_at];
    l->size = l->cursor = strlen(text);
    memcpy(l->text, text, l->size + 1);
}

static void move_or_erase(struct line *l, uint8_t key)
{
    switch (key) {
    case 'A': show_history(l, true); break;
    case 'B': show_history(l, false); break;
    case 'C': l->cursor = right_of(l); break;
    case 'D': l->cursor = left_of(l); break;
    case 'H': l->cursor = 0; break;
    case 'F': l->cursor = l->size; break;
    default: break;
    }
}

/* ESC [ A, ESC O A, ESC [ 3 ~; what is not known is swallowed whole. */
static void escape_key(struct line *l, uint8_t byte)
{
    if (l->escape == 1) {
        l->escape = byte == '[' || byte == 'O' ? 2 : 0;
    } else if (byte >= '0' && byte <= '9') {
        l->escape_digit = l->escape == 2 ? byte : 0;
        l->escape = 3;
    } else if (byte == ';') {
        l->escape_digit = 0;
    } else {
        if (l->escape == 2) move_or_erase(l, byte);
        if (l->escape == 3 && byte == '~') {
            if (l->escape_digit == '3') erase(l, l->cursor, right_of(l));
            if (l->escape_digit == '1' || l->escape_digit == '7') l->cursor = 0;
            if (l->escape_digit == '4' || l->escape_digit == '8') l->cursor = l->size;
        }
        l->escape = 0;
    }
}

static void erase_word(struct line *l)
{
    size_t at = l->cursor;
    while (at > 0 && l->text[at - 1] == ' ') at--;
    while (at > 0 && l->text[at - 1] != ' ') at--;
    size_t to = l->cursor;
    erase(l, at, to);
}

enum {
    CTRL_A = 1,
    CTRL_C = 3,
    CTRL_D = 4,
    CTRL_E = 5,
    CTRL_H = 8,
    CTRL_K = 11,
    CTRL_U = 21,
    CTRL_W = 23,
    ESC = 27,
    DEL = 127
};

enum line_event line_key(struct line *l, uint8_t byte)
{
    if (l->escape != 0) {
        escape_key(l, byte);
        return LINE_GOES_ON;
    }
    switch (byte) {
    case '\r':
    case '\n': return LINE_DONE;
    case '\t': return LINE_COMPLETES;
    case CTRL_C: return LINE_DROPPED;
    case CTRL_D:
        if (l->size == 0) return LINE_ENDED;
        erase(l, l->cursor, right_of(l));
        break;
    case CTRL_A: l->cursor = 0; break;
    case CTRL_E: l->cursor = l->size; break;
    case CTRL_H:
    case DEL: {
        size_t to = l->cursor;
        erase(l, left_of(l), to);
        break;
    }
    case CTRL_K: erase(l, l->cursor, l->size); break;
    case CTRL_U: erase(l, 0, l->cursor); break;
    case CTRL_W: erase_word(l); break;
    case ESC: l->escape = 1; break;
    default:
        if (byte >= ' ') line_insert(l, slice_make(&byte, 1));
        break;
    }
    return LINE_GOES_ON;
}

bool line_split(char *text, char **words, size_t words_max, size_t *count)
{
    char *out = text, quote = '\0';
    bool in_word = false;
    *count = 0;
    for (char *p = text; *p != '\0'; p++) {
        bool blank = quote == '\0' && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r');
        if (blank) {
            if (in_word) *out++ = '\0';
            in_word = false;
            continue;
        }
        if (!in_word) {
            if (*count == words_max) return false;
            words[(*count)++] = out;
            in_word = true;
        }
        if (quote == '\0' && (*p == '\'' || *p == '"')) {
            quote = *p;
        } else if (quote != '\0' && *p == quote) {
            quote = '\0';
        } else {
            if (*p == '\\' && quote != '\'' && p[1] != '\0') p++;
            *out++ = *p;
        }
    }
    *out = '\0';
    return quote == '\0';
}
