/* shell: commands line by line, with history; completion: the same help for bash. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/cli_int.h"
#include "cli/complete.h"
#include "cli/line.h"
#include "env_posix/process.h"

#define PROMPT "quorate> "
enum { WORDS_MAX = 64, INHERITED_MAX = 16 };

struct shell {
    struct cli *cli;
    struct line line;
    const char *inherited[INHERITED_MAX]; /* --meta and such, as the shell was given them: for every command */
    size_t inherited_count;
    char history_path[1024]; /* empty: none */
    int last_code;
};

/* --- completion --- */

static const char bash_script[] =
    "# source this file, or: source <(quorate completion bash)\n"
    "_quorate() {\n"
    "    local IFS=$'\\n'\n"
    "    COMPREPLY=($(\"${COMP_WORDS[0]}\" complete -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null))\n"
    "}\n"
    "complete -o bashdefault -o default -F _quorate quorate\n";

int run_completion(struct cli *c)
{
    if (strcmp(c->args.words[0], "bash") != 0)
        return cli_usage("completion: only bash is known, not '%s'", c->args.words[0]);
    out_printf("%s", bash_script);
    return CLI_OK;
}

int run_complete(struct cli *c)
{
    struct buf b;
    buf_init(&b, 1u << 20);
    complete_word(cli_commands, cli_command_count, c->args.words, c->args.word_count, &b);
    out_buf(&b);
    buf_free(&b);
    return CLI_OK;
}

/* --- one line --- */

static bool same(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static void run_words(struct shell *s, char **words, size_t count)
{
    char *argv[WORDS_MAX + INHERITED_MAX + 2];
    int argc = 0;
    argv[argc++] = mem_strdup("quorate");
    size_t first = same(words[0], "quorate") ? 1 : 0;
    for (size_t i = first; i < count; i++) argv[argc++] = words[i];
    for (size_t i = 0; i < s->inherited_count; i++) {
        bool given = false; /* what the line says goes before what the shell was told */
        size_t name = strcspn(s->inherited[i], "=");
        for (size_t k = first; k < count; k++) {
            given = given || strncmp(words[k], s->inherited[i], name) == 0 ||
                    (same(words[k], "-o") && name == strlen("--output"));
        }
        if (!given) argv[argc++] = (char *)(uintptr_t)s->inherited[i];
    }
    argv[argc] = NULL;
    if (argc > 1) s->last_code = cli_main(argc, argv);
    mem_free(argv[0]);
}

/* False: the shell is over. */
static bool run_line(struct shell *s, char *text)
{
    char *words[WORDS_MAX];
    size_t count;
    if (!line_split(text, words, WORDS_MAX, &count)) {
        s->last_code = cli_usage("a quote is not closed, or there are more than %d words", WORDS_MAX);
        return true;
    }
    if (count == 0 || words[0][0] == '#') return true;
    if (same(words[0], "exit") || same(words[0], "quit")) return false;
    if (same(words[0], "shell")) {
        s->last_code = cli_usage("this is the shell");
        return true;
    }
    run_words(s, words, count);
    return true;
}

/* --- a terminal --- */

static void redraw(const struct line *l)
{
    unsigned behind = 0;
    for (size_t i = l->cursor; i < l->size; i++) behind += ((uint8_t)l->text[i] & 0xc0) != 0x80;
    out_printf("\r\033[K" PROMPT "%s", l->text);
    if (behind > 0) out_printf("\033[%uD", behind);
}

/* What all candidates begin with is put in; several are shown. */
static void complete_line(struct line *l)
{
    char copy[LINE_MAX_BYTES];
    char *words[WORDS_MAX + 1];
    size_t count;
    memcpy(copy, l->text, l->cursor);
    copy[l->cursor] = '\0';
    bool fresh = l->cursor == 0 || l->text[l->cursor - 1] == ' ';
    if (!line_split(copy, words, WORDS_MAX, &count)) return;
    char empty[] = "";
    if (fresh || count == 0) words[count++] = empty;
    struct buf b;
    buf_init(&b, 1u << 20);
    complete_word(cli_commands, cli_command_count, (const char *const *)words, count, &b);
    struct slice all = buf_slice(&b);
    size_t common = 0, candidates = 0, written = strlen(words[count - 1]);
    for (size_t at = 0; at < all.size; candidates++) {
        const uint8_t *end = memchr(all.data + at, '\n', all.size - at);
        size_t size = (size_t)(end - (all.data + at));
        if (candidates == 0) common = size;
        size_t same_bytes = 0;
        while (same_bytes < common && same_bytes < size && all.data[same_bytes] == all.data[at + same_bytes])
            same_bytes++;
        common = same_bytes;
        at += size + 1;
    }
    if (candidates > 0 && common > written) line_insert(l, slice_make(all.data + written, common - written));
    if (candidates == 1) line_insert(l, slice_str(" "));
    if (candidates > 1 && common == written) out_printf("\n%.*s", (int)all.size, (const char *)all.data);
    buf_free(&b);
}

static enum line_event edit(struct shell *s)
{
    line_begin(&s->line);
    redraw(&s->line);
    for (;;) {
        uint8_t byte;
        if (!process_read_byte(0, &byte)) return LINE_ENDED;
        enum line_event e = line_key(&s->line, byte);
        if (e == LINE_COMPLETES) complete_line(&s->line);
        if (e == LINE_GOES_ON || e == LINE_COMPLETES) {
            redraw(&s->line);
            continue;
        }
        out_printf("%s\n", e == LINE_DROPPED ? "^C" : "");
        return e;
    }
}

static void history_load(struct shell *s)
{
    const char *path = process_getenv("QUORATE_HISTORY"), *home = process_getenv("HOME");
    struct buf b;
    if (path != NULL)
        (void)snprintf(s->history_path, sizeof s->history_path, "%s", path);
    else if (home != NULL)
        (void)snprintf(s->history_path, sizeof s->history_path, "%s/.quorate_history", home);
    if (s->history_path[0] == '\0') return;
    buf_init(&b, 16u << 20);
    if (process_file_read(s->history_path, &b, NULL) == STATUS_OK) {
        for (size_t at = 0; at < b.size;) {
            const uint8_t *end = memchr(b.data + at, '\n', b.size - at);
            size_t size = end != NULL ? (size_t)(end - (b.data + at)) : b.size - at;
            line_remember(&s->line, slice_make(b.data + at, size));
            at += size + 1;
        }
    }
    buf_free(&b);
}

static void history_add(struct shell *s)
{
    struct errbuf err;
    struct slice text = slice_make(s->line.text, s->line.size);
    line_remember(&s->line, text);
    if (s->history_path[0] == '\0' || text.size == 0) return;
    struct buf b;
    buf_init(&b, LINE_MAX_BYTES + 1);
    buf_append_slice(&b, text);
    buf_append_byte(&b, '\n');
    if (process_file_append(s->history_path, buf_slice(&b), &err) != STATUS_OK) s->history_path[0] = '\0';
    buf_free(&b);
}

static void run_terminal(struct shell *s)
{
    history_load(s);
    out_printf("Tab completes, Up and Down show former lines, `help` lists commands, `exit` or Ctrl-D ends.\n");
    for (;;) {
        if (!process_terminal_raw(0, true)) return;
        enum line_event e = edit(s);
        (void)process_terminal_raw(0, false);
        if (e == LINE_ENDED) return;
        if (e != LINE_DONE) continue;
        history_add(s);
        if (!run_line(s, s->line.text)) return;
    }
}

/* From a pipe or a file: as it comes, without a prompt; it stops at the first line that fails. */
static void run_lines(struct shell *s)
{
    struct line *l = &s->line;
    bool more = true;
    while (more && s->last_code == CLI_OK) {
        uint8_t byte = '\n';
        line_begin(l);
        while ((more = process_read_byte(0, &byte)) && byte != '\n') line_insert(l, slice_make(&byte, 1));
        if (!run_line(s, l->text)) return;
    }
}

static void inherit(struct shell *s, struct buf *texts)
{
    static const char *const names[] = {"output", "meta", "endpoints", "timeout", "dir", "certs"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = args_text(&s->cli->args, names[i], NULL);
        if (value == NULL) continue;
        buf_printf(texts, "--%s=%s", names[i], value);
        buf_append_byte(texts, 0);
    }
    for (size_t at = 0; at < texts->size && s->inherited_count < INHERITED_MAX;) {
        s->inherited[s->inherited_count++] = (const char *)texts->data + at;
        at += strlen((const char *)texts->data + at) + 1;
    }
}

int run_shell(struct cli *c)
{
    struct shell *s = mem_zalloc(sizeof *s);
    struct buf texts;
    s->cli = c;
    line_init(&s->line);
    buf_init(&texts, 65536);
    inherit(s, &texts);
    if (process_is_terminal(0))
        run_terminal(s);
    else
        run_lines(s);
    int code = process_is_terminal(0) ? CLI_OK : s->last_code;
    line_free(&s->line);
    buf_free(&texts);
    mem_free(s);
    return code;
}
