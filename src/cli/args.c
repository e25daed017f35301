#include "cli/args.h"

#include "base/assert.h"

const struct flag cli_global_flags[] = {
    {"output", FLAG_TEXT, "table|json|plain", "how to print (also -o)"},
    {"meta", FLAG_TEXT, "HOST:PORT,...", "the metadata servers; default: $QUORATE_META, else the local cluster's"},
    {"endpoints", FLAG_TEXT, "HOST:PORT,...", "the same as --meta"},
    {"timeout", FLAG_NUMBER, "MS", "how long to try, in milliseconds; default 10000"},
    {"dir", FLAG_TEXT, "DIR", "of the local cluster; default: $QUORATE_DIR, else ./quorate-data"},
    {"certs", FLAG_TEXT, "PREFIX",
     "encrypt: PREFIX.crt, PREFIX.key and authority.crt beside them; default: $QUORATE_CERTS, else the local "
     "cluster's"},
    {"config", FLAG_TEXT, "FILE", "flags as lines of a file, quorate.conf(5); default: $QUORATE_CONFIG"},
    {"log-level", FLAG_TEXT, "LEVEL", "debug, info, warn or error"},
    {"help", FLAG_SWITCH, "", "this help"},
};
const size_t cli_global_flag_count = sizeof(cli_global_flags) / sizeof(cli_global_flags[0]);

#define WORD_MAX 63u

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned word_distance(const char *a, const char *b)
{
    unsigned rows[3][WORD_MAX + 2];
    size_t n = strlen(a), m = strlen(b);
    if (n > WORD_MAX || m > WORD_MAX) return 99;
    for (size_t j = 0; j <= m; j++) rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned d = above[j - 1] + (a[i - 1] != b[j - 1]);
            d = least(d, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) d = least(d, above2[j - 2] + 1);
            row[j] = d;
        }
    }
    return rows[n % 3][m];
}

struct nearest {
    const char *word;
    unsigned distance;
};

static void nearest_offer(struct nearest *n, const char *asked, const char *word)
{
    unsigned d = word_distance(asked, word);
    unsigned allowed = strlen(asked) <= 3 ? 1 : strlen(asked) <= 6 ? 2 : 3;
    if (d <= allowed && (n->word == NULL || d < n->distance)) *n = (struct nearest){.word = word, .distance = d};
}

static const struct flag *flag_find(const struct command *c, const char *name, size_t size, struct nearest *near)
{
    struct slice asked = slice_make(name, size);
    char text[WORD_MAX + 1] = "";
    if (size <= WORD_MAX) memcpy(text, name, size);
    for (size_t i = 0; i < c->flag_count + cli_global_flag_count; i++) {
        const struct flag *f = i < c->flag_count ? &c->flags[i] : &cli_global_flags[i - c->flag_count];
        if (slice_eq(asked, slice_str(f->name))) return f;
        nearest_offer(near, text, f->name);
    }
    return NULL;
}

static bool digits(const char *s)
{
    size_t n = strlen(s);
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9') return false;
    }
    return n > 0 && n <= 19;
}

enum status args_store(struct args *out, const struct flag *f, const char *value, struct errbuf *err)
{
    if (f->kind == FLAG_NUMBER && !digits(value)) {
        errbuf_set(err, "--%s: expected a whole number (%s), got '%s'", f->name, f->value, value);
        return STATUS_INVALID;
    }
    if (args_given(out, f->name)) {
        errbuf_set(err, "--%s is given twice", f->name);
        return STATUS_INVALID;
    }
    if (out->given_count == ARGS_FLAGS_MAX) {
        errbuf_set(err, "too many flags");
        return STATUS_INVALID;
    }
    out->given[out->given_count].flag = f;
    out->given[out->given_count++].value = value;
    if (strcmp(f->name, "help") == 0) out->help = true;
    return STATUS_OK;
}

static const struct flag *flag_named(const struct command *c, const char *name, size_t size, struct errbuf *err)
{
    struct nearest near = {.word = NULL};
    const struct flag *f = flag_find(c, name, size, &near);
    if (f != NULL) return f;
    if (near.word != NULL) {
        errbuf_set(err, "unknown flag '--%.*s' of `quorate %s`; did you mean '--%s'?", (int)size, name, c->name,
                   near.word);
    } else {
        errbuf_set(err, "unknown flag '--%.*s'; `quorate help %s` lists them", (int)size, name, c->name);
    }
    return NULL;
}

const struct flag *args_flag(const struct command *c, const char *name, struct errbuf *err)
{
    return flag_named(c, name, strlen(name), err);
}

/* argv[*at] begins with a dash; takes it and, when it needs one, its value. */
static enum status flag_take(int argc, char *const *argv, int *at, struct args *out, struct errbuf *err)
{
    const char *text = argv[*at];
    const char *name = text + 2, *equals = NULL;
    if (strcmp(text, "-o") == 0) {
        name = "output";
    } else if (strcmp(text, "-h") == 0) {
        name = "help";
    } else if (text[1] != '-') {
        errbuf_set(err, "unknown flag '%s': flags are written --name; short ones are -o and -h only", text);
        return STATUS_INVALID;
    } else {
        equals = strchr(name, '=');
    }
    const struct flag *f = flag_named(out->command, name, equals != NULL ? (size_t)(equals - name) : strlen(name), err);
    if (f == NULL) return STATUS_INVALID;
    if (f->kind == FLAG_SWITCH) {
        if (equals == NULL) return args_store(out, f, "", err);
        errbuf_set(err, "--%s takes no value", f->name);
        return STATUS_INVALID;
    }
    if (equals != NULL) return args_store(out, f, equals + 1, err);
    if (*at + 1 >= argc) {
        errbuf_set(err, "--%s needs a value: --%s %s", f->name, f->name, f->value);
        return STATUS_INVALID;
    }
    return args_store(out, f, argv[++*at], err);
}

static bool command_is(const struct command *c, const char *first, const char *second)
{
    size_t n = strlen(first);
    if (strncmp(c->name, first, n) != 0) return false;
    if (second == NULL) return c->name[n] == '\0';
    return c->name[n] == ' ' && strcmp(c->name + n + 1, second) == 0;
}

/* Is `word` the first of a two-word command? */
static bool is_group(const struct command *commands, size_t count, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i < count; i++) {
        if (strncmp(commands[i].name, word, n) == 0 && commands[i].name[n] == ' ') return true;
    }
    return false;
}

static const struct command *command_find(const struct command *commands, size_t count, const char *first,
                                          const char *second)
{
    for (size_t i = 0; i < count; i++) {
        if (command_is(&commands[i], first, second)) return &commands[i];
    }
    return NULL;
}

static enum status command_unknown(const struct command *commands, size_t count, const char *first, const char *second,
                                   struct errbuf *err)
{
    struct nearest near = {.word = NULL};
    struct errbuf asked, verbs = {.text = ""};
    bool group = is_group(commands, count, first);
    errbuf_set(&asked, "%.40s%s%.40s", first, group && second != NULL ? " " : "",
               group && second != NULL ? second : "");
    for (size_t i = 0; i < count; i++) {
        if (commands[i].hidden) continue;
        nearest_offer(&near, asked.text, commands[i].name);
        if (!group || strncmp(commands[i].name, first, strlen(first)) != 0 || commands[i].name[strlen(first)] != ' ')
            continue;
        struct errbuf before = verbs;
        errbuf_set(&verbs, "%.400s%s%s", before.text, before.text[0] != '\0' ? ", " : "",
                   commands[i].name + strlen(first) + 1);
    }
    if (near.word != NULL && !(group && second == NULL))
        errbuf_set(err, "unknown command '%s'; did you mean '%s'?", asked.text, near.word);
    else if (group)
        errbuf_set(err, "`quorate %s` needs one of: %s", first, verbs.text);
    else
        errbuf_set(err, "unknown command '%s'; `quorate help` lists them", asked.text);
    return STATUS_INVALID;
}

/* The command's words may follow flags' places only at the front: the first word, and the second when it is a group's. */
static enum status command_take(int argc, char *const *argv, const struct command *commands, size_t count,
                                struct args *out, int *used, struct errbuf *err)
{
    const char *second = argc > 1 && argv[1][0] != '-' ? argv[1] : NULL;
    if (second != NULL && (out->command = command_find(commands, count, argv[0], second)) != NULL) {
        *used = 2;
        return STATUS_OK;
    }
    *used = 1;
    if ((out->command = command_find(commands, count, argv[0], NULL)) != NULL) return STATUS_OK;
    return command_unknown(commands, count, argv[0], second, err);
}

enum status args_parse(int argc, char *const *argv, const struct command *commands, size_t count, struct args *out,
                       struct errbuf *err)
{
    memset(out, 0, sizeof(*out));
    if (argc == 0) {
        errbuf_set(err, "no command is given; `quorate help` lists them");
        return STATUS_INVALID;
    }
    if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0) {
        out->help = true;
        return STATUS_OK;
    }
    int at = 0;
    if (argv[0][0] == '-') {
        errbuf_set(err, "flags stand behind the command: quorate COMMAND %s ...", argv[0]);
        return STATUS_INVALID;
    }
    enum status s = command_take(argc, argv, commands, count, out, &at, err);
    bool flags_end = false;
    for (; s == STATUS_OK && at < argc; at++) {
        if (!flags_end && strcmp(argv[at], "--") == 0) {
            flags_end = true;
        } else if (!flags_end && argv[at][0] == '-' &&
                   argv[at][1] != '\0') { /* a lone dash is a word: standard input */
            s = flag_take(argc, argv, &at, out, err);
        } else if (out->word_count == out->command->arguments_max || out->word_count == ARGS_WORDS_MAX) {
            errbuf_set(err, "one word too many: '%s'. Usage: quorate %s %s", argv[at], out->command->name,
                       out->command->arguments);
            s = STATUS_INVALID;
        } else {
            out->words[out->word_count++] = argv[at];
        }
    }
    if (s == STATUS_OK && !out->help && out->word_count < out->command->arguments_min) {
        errbuf_set(err, "something is missing. Usage: quorate %s %s", out->command->name, out->command->arguments);
        s = STATUS_INVALID;
    }
    return s;
}

const char *args_text(const struct args *a, const char *flag, const char *fallback)
{
    for (unsigned i = 0; i < a->given_count; i++) {
        if (strcmp(a->given[i].flag->name, flag) == 0) return a->given[i].value;
    }
    return fallback;
}

bool args_given(const struct args *a, const char *flag)
{
    return args_text(a, flag, NULL) != NULL;
}

bool args_switch(const struct args *a, const char *flag)
{
    return args_given(a, flag);
}

enum status args_number(const struct args *a, const char *flag, uint64_t fallback, uint64_t min, uint64_t max,
                        uint64_t *out, struct errbuf *err)
{
    const char *text = args_text(a, flag, NULL);
    *out = fallback;
    if (text == NULL) return STATUS_OK;
    uint64_t v = 0;
    for (const char *p = text; *p != '\0'; p++) v = v * 10 + (uint64_t)(*p - '0'); /* at most 19 digits: no overflow */
    if (v < min || v > max) {
        errbuf_set(err, "--%s: expected a number from %llu to %llu, got %s", flag, (unsigned long long)min,
                   (unsigned long long)max, text);
        return STATUS_INVALID;
    }
    *out = v;
    return STATUS_OK;
}

void help_all(const struct command *commands, size_t count, struct buf *out)
{
    buf_append_str(out, "quorate: a replicated, strictly serializable key-value database\n\nUsage: quorate COMMAND "
                        "[ARGUMENTS] [FLAGS]\n\n");
    for (size_t i = 0; i < count; i++) {
        if (commands[i].hidden) continue;
        struct errbuf usage;
        errbuf_set(&usage, "%s %s", commands[i].name, commands[i].arguments);
        buf_printf(out, "  %-34s %s\n", usage.text, commands[i].help);
    }
    buf_append_str(out, "\nFlags of every command:\n");
    for (size_t i = 0; i < cli_global_flag_count; i++) {
        struct errbuf text;
        errbuf_set(&text, "--%s %s", cli_global_flags[i].name, cli_global_flags[i].value);
        buf_printf(out, "  %-34s %s\n", text.text, cli_global_flags[i].help);
    }
    buf_append_str(
        out, "\nExit codes: 0 done, 1 failed, 2 wrong usage. `quorate help COMMAND` shows a command's own flags.\n");
}

void help_command(const struct command *c, struct buf *out)
{
    buf_printf(out, "quorate %s%s%s\n    %s\n", c->name, c->arguments[0] != '\0' ? " " : "", c->arguments, c->help);
    if (c->flag_count > 0) buf_append_str(out, "\nFlags:\n");
    for (size_t i = 0; i < c->flag_count; i++) {
        struct errbuf text;
        errbuf_set(&text, "--%s %s", c->flags[i].name, c->flags[i].value);
        buf_printf(out, "  %-30s %s\n", text.text, c->flags[i].help);
    }
    buf_append_str(out, "\nFlags of every command: `quorate help`.\n");
}
