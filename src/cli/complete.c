#include "cli/complete.h"

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static void offer(struct buf *out, const char *prefix, const char *word, size_t size)
{
    struct slice all = buf_slice(out);
    size_t at = 0;
    while (at < all.size) { /* "cluster start" and "cluster stop" offer one "cluster" */
        const uint8_t *end = memchr(all.data + at, '\n', all.size - at);
        size_t length = (size_t)(end - (all.data + at));
        size_t skip = strlen(prefix);
        if (length == skip + size && memcmp(all.data + at + skip, word, size) == 0) return;
        at += length + 1;
    }
    buf_append_str(out, prefix);
    buf_append(out, word, size);
    buf_append_byte(out, '\n');
}

/* The command that the words name: two words before one. */
static const struct command *command_of(const struct command *commands, size_t count, const char *const *words,
                                        size_t word_count)
{
    const struct command *found = NULL;
    for (size_t i = 0; i < count; i++) {
        const char *space = strchr(commands[i].name, ' ');
        size_t first = space != NULL ? (size_t)(space - commands[i].name) : strlen(commands[i].name);
        if (word_count == 0 || strlen(words[0]) != first || memcmp(words[0], commands[i].name, first) != 0) continue;
        if (space == NULL && found == NULL) found = &commands[i];
        if (space != NULL && word_count > 1 && strcmp(words[1], space + 1) == 0) return &commands[i];
    }
    return found;
}

static void offer_flags(const struct command *c, const char *written, struct buf *out)
{
    for (size_t i = 0; i < c->flag_count + cli_global_flag_count; i++) {
        const struct flag *f = i < c->flag_count ? &c->flags[i] : &cli_global_flags[i - c->flag_count];
        if (starts(f->name, written + 2)) offer(out, "--", f->name, strlen(f->name));
    }
}

/* A flag's value is one of a few words when its help says so: "table|json|plain". */
static bool offer_values(const struct command *c, const char *flag, const char *written, struct buf *out)
{
    const char *name = strcmp(flag, "-o") == 0 ? "output" : flag + 2;
    for (size_t i = 0; i < c->flag_count + cli_global_flag_count; i++) {
        const struct flag *f = i < c->flag_count ? &c->flags[i] : &cli_global_flags[i - c->flag_count];
        if (strcmp(f->name, name) != 0 || f->kind == FLAG_SWITCH) continue;
        for (const char *p = f->value; strchr(f->value, '|') != NULL && *p != '\0';) {
            size_t size = strcspn(p, "|");
            if (strncmp(p, written, strlen(written)) == 0) offer(out, "", p, size);
            p += size + (p[size] == '|');
        }
        return true;
    }
    return false;
}

void complete_word(const struct command *commands, size_t command_count, const char *const *words, size_t word_count,
                   struct buf *out)
{
    if (word_count == 0) return;
    const char *written = words[word_count - 1], *before = word_count > 1 ? words[word_count - 2] : "";
    const struct command *c = command_of(commands, command_count, words, word_count - 1);
    if (c != NULL && (strcmp(before, "-o") == 0 || (starts(before, "--") && strchr(before, '=') == NULL)) &&
        offer_values(c, before, written, out))
        return;
    if (c != NULL && starts(written, "--")) {
        offer_flags(c, written, out);
        return;
    }
    for (size_t i = 0; i < command_count && word_count <= 2; i++) {
        const char *name = commands[i].name, *space = strchr(name, ' ');
        size_t first = space != NULL ? (size_t)(space - name) : strlen(name);
        if (commands[i].hidden) continue;
        if (word_count == 1) {
            if (strncmp(name, written, strlen(written)) == 0 && strlen(written) <= first) offer(out, "", name, first);
        } else if (space != NULL && strlen(words[0]) == first && memcmp(words[0], name, first) == 0 &&
                   starts(space + 1, written)) {
            offer(out, "", space + 1, strlen(space + 1));
        }
    }
}
