/* The command line as data: a command is a struct, a flag is a struct; parsing and help are made from them. Pure. */
#ifndef QUORATE_CLI_ARGS_H
#define QUORATE_CLI_ARGS_H

#include "base/buf.h"
#include "base/status.h"

enum flag_kind { FLAG_TEXT, FLAG_NUMBER, FLAG_SWITCH };

struct flag {
    const char *name; /* without the dashes */
    enum flag_kind kind;
    const char *value; /* how help names the value: "HOST:PORT" */
    const char *help;
};

struct cli;
struct command {
    const char *name;         /* one word or two: "cluster start" */
    const char *arguments;    /* of the usage line: "KEYSPACE KEY"; "" for none */
    const char *help;         /* one line */
    int (*run)(struct cli *); /* exit code */
    unsigned arguments_min, arguments_max;
    const struct flag *flags;
    size_t flag_count;
    bool hidden; /* not listed in help: started by us */
};

/* Flags that every command takes: -o, --meta, --timeout, --dir, --config, --log-level, --help. */
extern const struct flag cli_global_flags[];
extern const size_t cli_global_flag_count;

#define ARGS_FLAGS_MAX 32u
#define ARGS_WORDS_MAX 16u
struct args {
    const struct command *command; /* NULL: none was named */
    const char *words[ARGS_WORDS_MAX];
    unsigned word_count;
    struct {
        const struct flag *flag;
        const char *value; /* "" for a switch */
    } given[ARGS_FLAGS_MAX];
    unsigned given_count;
    bool help;
};

/* STATUS_INVALID with a text that names the mistake and the nearest right word. argv[0] is the first word after the
 * program's name. Flags may stand anywhere: --name value, --name=value, -o value; "--" ends them. */
MUST_CHECK enum status args_parse(int argc, char *const *argv, const struct command *commands, size_t count,
                                  struct args *out, struct errbuf *err);
const char *args_text(const struct args *a, const char *flag, const char *fallback);
bool args_switch(const struct args *a, const char *flag);
/* A flag of the command, or of all. NULL: err names the nearest right word. */
const struct flag *args_flag(const struct command *c, const char *name, struct errbuf *err);
/* As if the command line had said it; the value is borrowed. STATUS_INVALID: it does not fit, or is there already. */
MUST_CHECK enum status args_store(struct args *out, const struct flag *f, const char *value, struct errbuf *err);
bool args_given(const struct args *a, const char *flag);
/* Numbers were checked while parsing; beyond [min, max]: STATUS_INVALID. */
MUST_CHECK enum status args_number(const struct args *a, const char *flag, uint64_t fallback, uint64_t min,
                                   uint64_t max, uint64_t *out, struct errbuf *err);

void help_all(const struct command *commands, size_t count, struct buf *out);
void help_command(const struct command *c, struct buf *out);

/* Edit distance with neighbours swapped counting once (optimal string alignment). Words up to 63 bytes; longer: 99. */
unsigned word_distance(const char *a, const char *b);

#endif
