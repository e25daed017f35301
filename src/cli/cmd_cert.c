/* quorate cert authority|issue|revoke|show: a small authority in a directory, for clusters without one of their own. Offline. */
#include <stdio.h>

#include "cli/certs.h"
#include "cli/cli_int.h"
#include "cli/files.h"
#include "tls/cert.h"
#include "tls/revoked.h"

#define PEM_BYTES_MAX 65536u
#define LISTS_BYTES_MAX (1024u * 1024u) /* of what is revoked */
#define AUTHORITY_DAYS 3650u
#define ISSUED_DAYS 365u
#define DAYS_MAX 36500u

struct cert_files {
    const char *dir;
    struct buf authority_certificate, authority_key, certificate, key;
};

static void files_init(struct cert_files *f, const struct cli *c)
{
    f->dir = args_text(&c->args, "out", "./certs");
    buf_init(&f->authority_certificate, PEM_BYTES_MAX);
    buf_init(&f->authority_key, PEM_BYTES_MAX);
    buf_init(&f->certificate, PEM_BYTES_MAX);
    buf_init(&f->key, PEM_BYTES_MAX);
}

static void files_free(struct cert_files *f)
{
    buf_free(&f->authority_certificate);
    buf_free(&f->authority_key);
    buf_free(&f->certificate);
    buf_free(&f->key);
}

static void path_of(const struct cert_files *f, const char *name, const char *end, char path[LOCAL_PATH_MAX])
{
    snprintf(path, LOCAL_PATH_MAX, "%.800s/%.100s%s", f->dir, name, end);
}

static bool exists(const struct cert_files *f, const char *name, const char *end)
{
    char path[LOCAL_PATH_MAX];
    struct buf b;
    struct errbuf err;
    path_of(f, name, end, path);
    buf_init(&b, PEM_BYTES_MAX);
    bool there = process_file_read(path, &b, &err) != STATUS_NOT_FOUND;
    buf_free(&b);
    return there;
}

/* The key first: a certificate that stands there has one. */
static int write_both(const struct cert_files *f, const char *name)
{
    char path[LOCAL_PATH_MAX];
    struct errbuf err;
    if (process_make_dirs(f->dir, &err) != STATUS_OK) return cli_fail("%s", err.text);
    path_of(f, name, ".key", path);
    if (process_secret_write(path, buf_slice(&f->key), &err) != STATUS_OK) return cli_fail("%s", err.text);
    path_of(f, name, ".crt", path);
    if (process_file_write(path, buf_slice(&f->certificate), &err) != STATUS_OK) return cli_fail("%s", err.text);
    out_printf("%s/%s.crt and %s/%s.key written\n", f->dir, name, f->dir, name);
    return CLI_OK;
}

static int take_days(struct cli *c, uint64_t fallback, uint32_t *days)
{
    struct errbuf err;
    uint64_t v;
    if (args_number(&c->args, "days", fallback, 1, DAYS_MAX, &v, &err) != STATUS_OK) return cli_usage("%s", err.text);
    *days = (uint32_t)v;
    return CLI_OK;
}

int run_cert_authority(struct cli *c)
{
    struct cert_files f;
    struct errbuf err;
    struct cert_request r = {.name = args_text(&c->args, "name", "quorate"),
                             .role = "authority",
                             .now_s = process_wall_s(),
                             .is_authority = true};
    files_init(&f, c);
    int code = take_days(c, AUTHORITY_DAYS, &r.days);
    if (code == CLI_OK && exists(&f, CERTS_AUTHORITY, ".key")) {
        code =
            cli_fail("%s has an authority already; a new one would make all its certificates worthless. Name another "
                     "directory with --out",
                     f.dir);
    }
    if (code == CLI_OK && cert_make(&r, SLICE_EMPTY, SLICE_EMPTY, &f.certificate, &f.key, &err) != STATUS_OK)
        code = cli_usage("%s", err.text);
    if (code == CLI_OK) code = write_both(&f, CERTS_AUTHORITY);
    if (code == CLI_OK)
        out_printf("keep %s/" CERTS_AUTHORITY ".key where no server is: who has it can be anybody\n", f.dir);
    files_free(&f);
    return code;
}

static int read_authority(struct cert_files *f)
{
    char path[LOCAL_PATH_MAX];
    struct errbuf err;
    path_of(f, CERTS_AUTHORITY, ".crt", path);
    enum status s = process_file_read(path, &f->authority_certificate, &err);
    path_of(f, CERTS_AUTHORITY, ".key", path);
    if (s == STATUS_OK) s = process_file_read(path, &f->authority_key, &err);
    if (s == STATUS_OK) return CLI_OK;
    return cli_fail("%s. `quorate cert authority --out %s` makes an authority", err.text, f->dir);
}

static bool is_name(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");
    return n > 0 && n <= 64 && s[n] == '\0' && s[0] != '.' && strcmp(s, CERTS_AUTHORITY) != 0;
}

int run_cert_issue(struct cli *c)
{
    struct cert_files f;
    struct errbuf err;
    const char *name = c->args.words[0], *role = args_text(&c->args, "role", TLS_ROLE_SERVER);
    struct cert_request r = {
        .name = name, .role = role, .hosts = args_text(&c->args, "hosts", NULL), .now_s = process_wall_s()};
    if (!is_name(name)) return cli_usage("NAME is made of letters, digits, '-', '_' and '.', and is not 'authority'");
    if (strcmp(role, TLS_ROLE_SERVER) != 0 && strcmp(role, TLS_ROLE_ADMIN) != 0)
        return cli_usage("--role is server or admin, not '%s'", role);
    if (strcmp(role, TLS_ROLE_SERVER) == 0 && r.hosts == NULL)
        return cli_usage("--hosts is missing: the names and addresses under which others reach this server");
    int code = take_days(c, ISSUED_DAYS, &r.days);
    if (code != CLI_OK) return code;
    files_init(&f, c);
    if (!args_switch(&c->args, "renew") && exists(&f, name, ".crt"))
        code = cli_fail("%s/%s.crt exists; --renew replaces it", f.dir, name);
    if (code == CLI_OK) code = read_authority(&f);
    if (code == CLI_OK && cert_make(&r, buf_slice(&f.authority_certificate), buf_slice(&f.authority_key),
                                    &f.certificate, &f.key, &err) != STATUS_OK)
        code = cli_usage("%s", err.text);
    if (code == CLI_OK) code = write_both(&f, name);
    files_free(&f);
    return code;
}

int run_cert_revoke(struct cli *c)
{
    struct cert_files f;
    struct errbuf err;
    struct buf former, list;
    char path[LOCAL_PATH_MAX];
    const char *name = c->args.words[0];
    if (!is_name(name)) return cli_usage("NAME is that of a certificate: NAME.crt lies in --out");
    files_init(&f, c);
    buf_init(&former, LISTS_BYTES_MAX);
    buf_init(&list, LISTS_BYTES_MAX);
    int code = read_authority(&f);
    path_of(&f, name, ".crt", path);
    if (code == CLI_OK && process_file_read(path, &f.certificate, &err) != STATUS_OK) code = cli_fail("%s", err.text);
    path_of(&f, CERTS_AUTHORITY, ".crl", path);
    enum status s = code == CLI_OK ? process_file_read(path, &former, &err) : STATUS_OK;
    if (s != STATUS_OK && s != STATUS_NOT_FOUND) code = cli_fail("%s", err.text);
    if (code == CLI_OK &&
        revoked_add(buf_slice(&f.authority_certificate), buf_slice(&f.authority_key), buf_slice(&former),
                    buf_slice(&f.certificate), process_wall_s(), &list, &err) != STATUS_OK)
        code = cli_fail("%s: %s", path, err.text);
    if (code == CLI_OK && process_file_write(path, buf_slice(&list), &err) != STATUS_OK)
        code = cli_fail("%s", err.text);
    if (code == CLI_OK) out_printf("%s written: servers beside which it lies refuse '%s' within seconds\n", path, name);
    buf_free(&former);
    buf_free(&list);
    files_free(&f);
    return code;
}

int run_cert_show(struct cli *c)
{
    static const char *const heads[] = {"FILE", "NAME", "ROLE", "HOSTS", "DAYS LEFT"};
    struct text_table t;
    struct buf pem, out;
    uint64_t now_s = process_wall_s();
    int code = CLI_OK;
    text_table_init(&t, heads, 5);
    buf_init(&pem, PEM_BYTES_MAX);
    for (unsigned i = 0; i < c->args.word_count && code == CLI_OK; i++) {
        struct cert_facts f;
        struct errbuf err;
        buf_clear(&pem);
        enum status s = file_read_all(c->args.words[i], &pem, &err);
        if (s == STATUS_OK) s = cert_read(buf_slice(&pem), &f, &err);
        if (s != STATUS_OK) {
            code = cli_fail("%s: %s", c->args.words[i], err.text);
            break;
        }
        text_table_cell(&t, "%s", c->args.words[i]);
        text_table_cell_bytes(&t, slice_str(f.name), 64);
        text_table_cell_bytes(&t, slice_str(f.role), 64);
        text_table_cell_bytes(&t, slice_str(f.hosts), 200);
        text_table_cell(&t, "%s%llu", f.until_s >= now_s ? "" : "expired, -",
                        (unsigned long long)((f.until_s >= now_s ? f.until_s - now_s : now_s - f.until_s) / 86400));
    }
    if (code == CLI_OK) {
        buf_init(&out, SIZE_MAX / 2);
        text_table_write(&t, c->output == OUTPUT_JSON ? OUTPUT_PLAIN : c->output, &out);
        out_buf(&out);
        buf_free(&out);
    }
    buf_free(&pem);
    text_table_free(&t);
    return code;
}
