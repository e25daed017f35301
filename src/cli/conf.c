#include "cli/conf.h"

struct conf {
    const char *name;
    unsigned line;
    const struct command *commands, *section; /* section NULL: before the first one */
    size_t count;
    struct args *args;
    struct args seen; /* what the file has said in this section */
};

static enum status refuse(const struct conf *c, struct errbuf *err)
{
    struct errbuf why = *err;
    errbuf_set(err, "%s line %u: %s", c->name, c->line, why.text);
    return STATUS_INVALID;
}

static char *trim(char *s)
{
    while (*s == ' ' || *s == '\t') s++;
    size_t n = strlen(s);
    while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t' || s[n - 1] == '\r')) s[--n] = '\0';
    return s;
}

static enum status take_section(struct conf *c, char *line, struct errbuf *err)
{
    size_t n = strlen(line);
    const char *name = line + 1;
    if (line[n - 1] != ']') {
        errbuf_set(err, "a section is written [COMMAND], for example [node]; got '%s'", line);
        return refuse(c, err);
    }
    line[n - 1] = '\0';
    c->section = NULL;
    for (size_t i = 0; i < c->count; i++) {
        if (!c->commands[i].hidden && strcmp(c->commands[i].name, name) == 0) c->section = &c->commands[i];
    }
    c->seen = (struct args){.command = c->section};
    if (c->section != NULL) return STATUS_OK;
    errbuf_set(err,
               "no command is called '%s': a section is named like the command it is for, `quorate help` lists them",
               name);
    return refuse(c, err);
}

/* Looked at in any case; taken if it is for this command, and the command line has not said otherwise. */
static enum status take_flag(struct conf *c, const char *name, const char *value, struct errbuf *err)
{
    static const struct command every = {.name = "COMMAND"};
    const struct flag *f = args_flag(c->section != NULL ? c->section : &every, name, err);
    if (f == NULL) return refuse(c, err);
    bool on = strcmp(value, "on") == 0;
    if (f->kind == FLAG_SWITCH && !on && strcmp(value, "off") != 0) {
        errbuf_set(err, "%s is on or off, not '%s'", name, value);
        return refuse(c, err);
    }
    if (strcmp(name, "help") == 0 || strcmp(name, "config") == 0) {
        errbuf_set(err, "%s stands on the command line only", name);
        return refuse(c, err);
    }
    const char *kept = f->kind == FLAG_SWITCH ? "" : value;
    if (args_store(&c->seen, f, kept, err) != STATUS_OK) return refuse(c, err);
    bool ours = c->section == NULL || c->section == c->args->command;
    if (!ours || args_given(c->args, name) || (f->kind == FLAG_SWITCH && !on)) return STATUS_OK;
    return args_store(c->args, f, kept, err) == STATUS_OK ? STATUS_OK : refuse(c, err);
}

static enum status take_line(struct conf *c, char *line, struct errbuf *err)
{
    line = trim(line);
    if (line[0] == '\0' || line[0] == '#') return STATUS_OK;
    if (line[0] == '[') return take_section(c, line, err);
    char *equals = strchr(line, '=');
    if (equals == NULL) {
        errbuf_set(err, "expected NAME = VALUE, got '%.80s'", line);
        return refuse(c, err);
    }
    *equals = '\0';
    return take_flag(c, trim(line), trim(equals + 1), err);
}

enum status conf_apply(const char *name, struct buf *text, const struct command *commands, size_t count, struct args *a,
                       struct errbuf *err)
{
    struct conf c = {.name = name, .commands = commands, .count = count, .args = a};
    if (text->size > 0 && memchr(text->data, '\0', text->size) != NULL) {
        errbuf_set(err, "%s is not a text", name);
        return STATUS_INVALID;
    }
    buf_put_u8(text, '\0');
    for (char *line = (char *)text->data; line != NULL;) {
        char *end = strchr(line, '\n');
        if (end != NULL) *end = '\0';
        c.line++;
        enum status s = take_line(&c, line, err);
        if (s != STATUS_OK) return s;
        line = end != NULL ? end + 1 : NULL;
    }
    return STATUS_OK;
}
