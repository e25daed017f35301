/* From the program's arguments to a subcommand's function and its exit code. The table of subcommands is app/commands.c. */
#include "cli/cli.h"

#include "base/log.h"
#include "cli/cli_int.h"
#include "cli/conf.h"
#include "cli/files.h"
#include "env_posix/process.h"

static int take_output(struct cli *c)
{
    static const char *const words[] = {"table", "json", "plain"};
    const char *text = args_text(&c->args, "output", "table");
    for (int i = 0; i < 3; i++) {
        if (strcmp(text, words[i]) == 0) {
            c->output = (enum output)i;
            return CLI_OK;
        }
    }
    return cli_usage("-o: expected table, json or plain, got '%s'", text);
}

static int take_log_level(struct cli *c)
{
    const char *text = args_text(&c->args, "log-level", NULL);
    if (text == NULL) return CLI_OK;
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
        if (strcmp(text, log_level_name((enum log_level)i)) != 0) continue;
        c->log_level = (enum log_level)i;
        c->log_level_given = true;
        return CLI_OK;
    }
    return cli_usage("--log-level: expected debug, info, warn or error, got '%s'", text);
}

static int show_help(const struct args *a)
{
    struct buf b;
    buf_init(&b, 1u << 16);
    if (a->command != NULL)
        help_command(a->command, &b);
    else
        help_all(cli_commands, cli_command_count, &b);
    out_buf(&b);
    buf_free(&b);
    return CLI_OK;
}

/* The file's text lives on in *text, which the arguments point into. */
static int take_config(struct cli *c, struct buf *text)
{
    const char *path = args_text(&c->args, "config", process_getenv("QUORATE_CONFIG"));
    struct errbuf err;
    if (path == NULL || path[0] == '\0') return CLI_OK;
    if (file_read_all(path, text, &err) != STATUS_OK) return cli_usage("--config: %s", err.text);
    enum status s = conf_apply(path, text, cli_commands, cli_command_count, &c->args, &err);
    return s == STATUS_OK ? CLI_OK : cli_usage("%s", err.text);
}

static int run_command(struct cli *c)
{
    struct errbuf err;
    uint64_t timeout_ms;
    if (args_number(&c->args, "timeout", 10000, 1, 3600000, &timeout_ms, &err) != STATUS_OK)
        return cli_usage("%s", err.text);
    c->timeout_ms = (uint32_t)timeout_ms;
    int code = take_output(c);
    if (code == CLI_OK) code = take_log_level(c);
    if (code == CLI_OK) code = c->args.command->run(c);
    certs_free(&c->certs);
    return code;
}

int cli_main(int argc, char *const *argv)
{
    struct cli c = {.timeout_ms = 10000, .log_level = LOG_INFO};
    struct errbuf err;
    struct buf conf;
    char self[4096];
    c.self = process_executable(self, sizeof(self)) ? self : argv[0];
    if (args_parse(argc - 1, argv + 1, cli_commands, cli_command_count, &c.args, &err) != STATUS_OK)
        return cli_usage("%s", err.text);
    if (c.args.help) return show_help(&c.args);
    buf_init(&conf, 1u << 20);
    int code = take_config(&c, &conf);
    if (code == CLI_OK) code = run_command(&c);
    buf_free(&conf);
    /* `quorate scan ... | head`: who reads has seen enough, and that is no failure. */
    if (out_failed() && code == CLI_OK && !process_reader_gone(1))
        code = cli_fail("standard output could not be written");
    return code;
}
