/* quorate(1), from the table of commands: it cannot fall behind. */
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/cli_int.h"

/* troff's own characters: a backslash, a dash that is a dash, and a dot or an apostrophe at the beginning of a line. */
static void put_text(struct buf *b, const char *s)
{
    if (*s == '.' || *s == '\'') buf_append_str(b, "\\&");
    for (; *s != '\0'; s++) {
        if (*s == '\\') {
            buf_append_str(b, "\\e");
        } else if (*s == '-') {
            buf_append_str(b, "\\-");
        } else {
            buf_put_u8(b, (uint8_t)*s);
        }
    }
}

static void put_flags(struct buf *b, const struct flag *flags, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_append_str(b, ".TP\n.B \\-\\-");
        put_text(b, flags[i].name);
        if (flags[i].value[0] != '\0') {
            buf_append_str(b, "\\fR ");
            put_text(b, flags[i].value);
        }
        buf_put_u8(b, '\n');
        put_text(b, flags[i].help);
        buf_put_u8(b, '\n');
    }
}

static void put_command(struct buf *b, const struct command *c)
{
    buf_append_str(b, ".SS \"quorate ");
    put_text(b, c->name);
    buf_append_str(b, c->arguments[0] != '\0' ? " " : "");
    put_text(b, c->arguments);
    buf_append_str(b, "\"\n");
    put_text(b, c->help);
    buf_append_str(b, ".\n");
    put_flags(b, c->flags, c->flag_count);
}

int run_manual(struct cli *c)
{
    struct buf b;
    (void)c;
    buf_init(&b, 1u << 20);
    buf_append_str(
        &b, ".TH QUORATE 1 \"\" \"Quorate\" \"User commands\"\n.SH NAME\n"
            "quorate \\- a replicated, strictly serializable key\\-value database and ledger\n"
            ".SH SYNOPSIS\n.B quorate\n.I COMMAND\n[\\fIARGUMENTS\\fR] [\\fIFLAGS\\fR]\n"
            ".SH DESCRIPTION\nOne program: the servers (\\fBquorate meta\\fR, \\fBnode\\fR, \\fBgateway\\fR), a local "
            "cluster of all of them\n(\\fBcluster\\fR), the operator's tool and what reads and writes data.\n"
            "Flags stand anywhere behind the command, as \\-\\-name value or \\-\\-name=value.\n.SH COMMANDS\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        if (!cli_commands[i].hidden) put_command(&b, &cli_commands[i]);
    }
    buf_append_str(&b, ".SH FLAGS OF EVERY COMMAND\n");
    put_flags(&b, cli_global_flags, cli_global_flag_count);
    buf_append_str(&b, ".SH EXIT STATUS\n0 done, 1 failed (the reason on standard error), 2 wrong usage.\n"
                       ".SH SEE ALSO\n.BR quorate.conf (5),\n.BR libquorate (3)\n");
    out_buf(&b);
    buf_free(&b);
    return CLI_OK;
}
