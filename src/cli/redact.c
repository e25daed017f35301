#include "cli/redact.h"

static const char STARS[] = "***";

/* Members and fields; with _b64 behind them, too. */
static const char *const NAMES[] = {"key",  "value",  "start", "end",      "at_key", "split",         "splits",
                                    "keys", "prefix", "token", "password", "secret", "password_hash", "authorization"};
/* Behind these words everything up to the next space or quote. */
static const char *const WORDS[] = {"Bearer ", "Basic ", "Token ", "/v1/kv/", "/v1/scan/", "?"};

static bool at(struct slice rest, const char *word)
{
    size_t n = strlen(word);
    return rest.size >= n && memcmp(rest.data, word, n) == 0;
}

static bool is_name_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/* The size of a secret's name with what stands between it and the value: `name":` or `name=`. 0: none begins here. */
static size_t name_size(struct slice rest, bool after_name)
{
    for (size_t i = 0; !after_name && i < sizeof NAMES / sizeof *NAMES; i++) {
        if (!at(rest, NAMES[i])) continue;
        size_t n = strlen(NAMES[i]);
        if (rest.size >= n + 4 && memcmp(rest.data + n, "_b64", 4) == 0) n += 4;
        if (n < rest.size && rest.data[n] == '=') return n + 1;
        if (n + 1 < rest.size && rest.data[n] == '"' && rest.data[n + 1] == ':') {
            n += 2;
            while (n < rest.size && rest.data[n] == ' ') n++;
            return n;
        }
    }
    return 0;
}

/* A text in quotes, a list up to its bracket, or what there is up to a space or comma. */
static size_t value_size(struct slice v)
{
    size_t i = 0;
    if (v.size > 0 && v.data[0] == '"') {
        for (i = 1; i < v.size && v.data[i] != '"'; i++) {
            if (v.data[i] == '\\') i++;
        }
        return i < v.size ? i + 1 : v.size;
    }
    if (v.size > 0 && v.data[0] == '[') {
        while (i < v.size && v.data[i] != ']') {
            size_t n = v.data[i] == '"' ? value_size(slice_make(v.data + i, v.size - i)) : 1;
            i += n;
        }
        return i < v.size ? i + 1 : v.size;
    }
    while (i < v.size && v.data[i] != ' ' && v.data[i] != ',' && v.data[i] != '\n' && v.data[i] != '}') i++;
    return i;
}

static void put_value(struct buf *out, struct slice v)
{
    if (v.size == 0) return;
    if (v.data[0] == '"')
        buf_append_str(out, v.size > 2 ? "\"***\"" : "\"\"");
    else if (v.data[0] == '[')
        buf_append_str(out, "[]");
    else
        buf_append_str(out, STARS);
}

static size_t pem_size(struct slice rest)
{
    static const char END[] = "-----END ";
    for (size_t i = 0; i + sizeof END <= rest.size; i++) {
        if (memcmp(rest.data + i, END, sizeof END - 1) != 0) continue;
        while (i < rest.size && rest.data[i] != '\n') i++;
        return i;
    }
    return rest.size;
}

/* Up to a space, quote or line end; of paths the keyspace stays: it is up to the next slash. */
static size_t word_size(struct slice rest, const char *word)
{
    size_t i = strlen(word);
    bool path = word[0] == '/';
    if (path) {
        while (i < rest.size && is_name_byte(rest.data[i])) i++;
        if (i < rest.size && rest.data[i] == '/') i++;
    }
    return i;
}

static size_t rest_of_word(struct slice rest)
{
    size_t i = 0;
    while (i < rest.size && rest.data[i] != ' ' && rest.data[i] != '"' && rest.data[i] != '\n') i++;
    return i;
}

/* Something that has to go begins here: it is replaced. The bytes passed, or 0. */
static size_t replace(struct buf *out, struct slice rest, bool after_name)
{
    if (at(rest, "-----BEGIN ")) {
        buf_append_str(out, STARS);
        return pem_size(rest);
    }
    size_t n = name_size(rest, after_name);
    if (n > 0) {
        struct slice v = slice_make(rest.data + n, rest.size - n);
        v.size = value_size(v);
        buf_append(out, rest.data, n);
        put_value(out, v);
        return n + v.size;
    }
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        if (!at(rest, WORDS[i])) continue;
        n = word_size(rest, WORDS[i]);
        size_t gone = rest_of_word(slice_make(rest.data + n, rest.size - n));
        buf_append(out, rest.data, n);
        if (gone > 0) buf_append_str(out, STARS);
        return n + gone;
    }
    return 0;
}

void redact_append(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.size;) {
        size_t n = replace(out, slice_make(text.data + i, text.size - i), i > 0 && is_name_byte(text.data[i - 1]));
        if (n == 0) buf_append_byte(out, text.data[i++]);
        i += n;
    }
}
