/* The file IDENTITY: a few lines of text and a checksum (docs/formats/identity.md). */
#include "range/identity.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/crc32c.h"

#define EMPTY_DIRECTORY_CURE "start with an empty one: the others give it what it held"

enum { IDENTITY_MAX = 1024 };
static const char identity_name[] = "IDENTITY";
static const char identity_temp[] = "IDENTITY.new";

static const char *role_name(enum role r)
{
    return r == ROLE_META ? "meta" : r == ROLE_NODE ? "node" : "?";
}

static void put_bytes(struct buf *b, const uint8_t bytes[16])
{
    for (int i = 0; i < 16; i++) buf_printf(b, "%02x", bytes[i]);
}

static void put_hex(struct buf *b, const char *name, const uint8_t bytes[16])
{
    buf_printf(b, "%s ", name);
    put_bytes(b, bytes);
    buf_append_byte(b, '\n');
}

static void put_founders(struct buf *b, const struct meta_founders *f)
{
    if (f->count == 0) return;
    buf_append_str(b, "founders");
    for (size_t i = 0; i < f->count; i++) {
        buf_printf(b, " %llu:", (unsigned long long)f->items[i].id);
        put_bytes(b, f->items[i].uuid);
    }
    buf_append_byte(b, '\n');
}

static void identity_encode(const struct identity *id, struct buf *b)
{
    bool first = id->finalised <= VERSION_FIRST; /* as programs that know only that one write and read it */
    buf_printf(b, "quorate %d\nrole %s\nnode %llu\n", first ? 1 : 2, role_name(id->role),
               (unsigned long long)id->node_id);
    put_hex(b, "uuid", id->uuid);
    put_hex(b, "cluster", id->cluster.bytes);
    buf_printf(b, "log %d\n", id->has_log ? 1 : 0);
    if (!first) buf_printf(b, "version %u\n", (unsigned)id->finalised);
    if (id->support_ms > 0) buf_printf(b, "support %u\n", (unsigned)id->support_ms);
    put_founders(b, &id->founders);
    buf_printf(b, "crc32c %08x\n", crc32c(0, b->data, b->size));
}

static bool get_hex(const char *text, uint8_t bytes[16])
{
    for (int i = 0; i < 16; i++) {
        unsigned v;
        if (sscanf(text + 2 * i, "%2x", &v) != 1) return false;
        bytes[i] = (uint8_t)v;
    }
    return true;
}

/* From behind the line's name on. */
static bool get_founders(const char *at, struct meta_founders *f)
{
    while (*at == ' ') {
        unsigned long long id;
        char uuid[33];
        int used = 0;
        if (f->count == LIMIT_VOTERS || sscanf(at, " %llu:%32[0-9a-f]%n", &id, uuid, &used) != 2 ||
            strlen(uuid) != 32 || !get_hex(uuid, f->items[f->count].uuid))
            return false;
        f->items[f->count++].id = id;
        at += used;
    }
    return *at == '\n';
}

/* Lines that may be missing; those who do not know them pass them over. */
static bool identity_decode_more(const char *text, struct identity *out)
{
    const char *support = strstr(text, "\nsupport "), *founders = strstr(text, "\nfounders ");
    if (support != NULL && sscanf(support, "\nsupport %9u", &out->support_ms) != 1) return false;
    return founders == NULL || get_founders(founders + strlen("\nfounders"), &out->founders);
}

/* The text is NUL-terminated. */
static enum status identity_decode(const char *text, size_t size, struct identity *out, struct errbuf *err)
{
    char role[16], uuid[33], cluster[33];
    unsigned version = 0, crc = 0, log = 0;
    unsigned long long node = 0;
    memset(out, 0, sizeof *out);
    if (sscanf(text, "quorate %u", &version) == 1 && version != 1 && version != 2) {
        errbuf_set(err, "IDENTITY has format %u; this program knows 1 and 2: start the newer program on this directory",
                   version);
        return STATUS_UNSUPPORTED;
    }
    const char *crc_line = strstr(text, "crc32c "), *version_line = strstr(text, "\nversion ");
    out->finalised = VERSION_FIRST;
    if (sscanf(text, "quorate %u\nrole %15s\nnode %llu\nuuid %32s\ncluster %32s\nlog %1u\n", &version, role, &node,
               uuid, cluster, &log) != 6 ||
        (version == 2 && (version_line == NULL || sscanf(version_line, "\nversion %9u", &out->finalised) != 1)) ||
        crc_line == NULL || sscanf(crc_line, "crc32c %8x", &crc) != 1 || (size_t)(crc_line - text) > size ||
        crc32c(0, text, (size_t)(crc_line - text)) != crc || !get_hex(uuid, out->uuid) ||
        !get_hex(cluster, out->cluster.bytes) || !identity_decode_more(text, out)) {
        errbuf_set(err, "IDENTITY is damaged: restore it from a backup of this directory, or " EMPTY_DIRECTORY_CURE);
        return STATUS_CORRUPT;
    }
    out->node_id = node;
    out->has_log = log != 0;
    out->role = strcmp(role, "meta") == 0 ? ROLE_META : ROLE_NODE;
    return STATUS_OK;
}

enum status identity_save(struct env *env, const struct identity *id, struct errbuf *err)
{
    struct buf text;
    buf_init(&text, IDENTITY_MAX);
    identity_encode(id, &text);
    struct disk_file *f = NULL;
    enum status s = disk_open(env->disk, identity_temp, DISK_WRITE | DISK_CREATE, &f, err);
    if (s == STATUS_OK) s = disk_truncate(f, 0);
    if (s == STATUS_OK) s = disk_write(f, 0, text.data, text.size);
    if (s == STATUS_OK) s = disk_sync(f);
    disk_close(f);
    if (s == STATUS_OK) s = disk_rename(env->disk, identity_temp, identity_name);
    if (s == STATUS_OK) s = disk_sync_dir(env->disk, "");
    if (s != STATUS_OK)
        errbuf_set(err, "cannot write IDENTITY (%s): make room or mend the disk, then start again", status_text(s));
    buf_free(&text);
    return s;
}

/* A segment of the log; not what a damaged log was renamed to. */
static void note_segment(void *ctx, const char *name)
{
    size_t size = strlen(name);
    if (size >= 4 && strcmp(name + size - 4, ".wal") == 0) *(bool *)ctx = true;
}

enum status identity_check_log(struct env *env, const struct identity *id, const char *log_dir, struct errbuf *err)
{
    bool any = false;
    if (!id->has_log) return STATUS_OK;
    enum status s = disk_list(env->disk, log_dir, note_segment, &any);
    if (s != STATUS_OK && s != STATUS_NOT_FOUND) {
        errbuf_set(err, "the log directory '%s' cannot be listed (%s)", log_dir, status_text(s));
        return s;
    }
    if (any) return STATUS_OK;
    errbuf_set(
        err,
        "this data directory once had a log in '%s' and has none now: it has forgotten its votes and must not take "
        "part; restore the whole directory, or " EMPTY_DIRECTORY_CURE,
        log_dir);
    return STATUS_CORRUPT;
}

enum status identity_check_version(const struct identity *id, uint32_t newest, struct errbuf *err)
{
    if (newest == 0) newest = version_newest();
    if (id->finalised <= newest) return STATUS_OK;
    errbuf_set(err,
               "this data directory is of a cluster that has been finalised at version %u, and this program (release "
               "%s) supports up to %u: start a newer release on it",
               (unsigned)id->finalised, version_release(), (unsigned)newest);
    return STATUS_UNSUPPORTED;
}

enum status identity_note_finalised(struct env *env, struct identity *id, uint32_t finalised, struct errbuf *err)
{
    if (finalised <= id->finalised) return STATUS_OK;
    COVER("identity.finalised");
    id->finalised = finalised;
    return identity_save(env, id, err);
}

enum status identity_note_support(struct env *env, struct identity *id, uint32_t support_ms, struct errbuf *err)
{
    if (support_ms <= id->support_ms) return STATUS_OK;
    id->support_ms = support_ms;
    return identity_save(env, id, err);
}

enum status identity_note_log(struct env *env, struct identity *id, struct errbuf *err)
{
    if (id->has_log) return STATUS_OK;
    id->has_log = true;
    return identity_save(env, id, err);
}

struct foreign_search {
    char name[64]; /* of a file that is not ours */
    bool found;
};

static void note_foreign(void *ctx, const char *name)
{
    struct foreign_search *f = ctx;
    static const char *const ours[] = {"LOCK", "IDENTITY.new", "lost+found", "log", "out.log"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        if (strcmp(name, ours[i]) == 0) return;
    }
    f->found = true;
    (void)snprintf(f->name, sizeof f->name, "%s", name);
}

static enum status identity_make(struct env *env, enum role role, struct identity *out, struct errbuf *err)
{
    struct foreign_search foreign = {.found = false};
    enum status s = disk_list(env->disk, "", note_foreign, &foreign);
    if (s != STATUS_OK) {
        errbuf_set(err, "the data directory cannot be listed (%s)", status_text(s));
        return s;
    }
    if (foreign.found) {
        errbuf_set(err,
                   "the data directory has no IDENTITY but holds '%s': it is not Quorate's; name an empty directory",
                   foreign.name);
        return STATUS_INVALID;
    }
    memset(out, 0, sizeof *out);
    out->role = role;
    out->finalised = VERSION_FIRST;
    env->ops->random(env, out->uuid, sizeof out->uuid);
    return identity_save(env, out, err);
}

enum status identity_open(struct env *env, enum role role, struct identity *out, struct errbuf *err)
{
    enum status s = disk_lock(env->disk, err);
    if (s != STATUS_OK) return s;
    struct disk_file *f = NULL;
    s = disk_open(env->disk, identity_name, DISK_READ, &f, err);
    if (s == STATUS_NOT_FOUND) return identity_make(env, role, out, err);
    if (s != STATUS_OK) return s;
    char text[IDENTITY_MAX + 1];
    size_t got = 0;
    s = disk_read(f, 0, text, IDENTITY_MAX, &got);
    disk_close(f);
    if (s != STATUS_OK) {
        errbuf_set(err, "IDENTITY cannot be read (%s)", status_text(s));
        return s;
    }
    text[got] = '\0';
    s = identity_decode(text, got, out, err);
    if (s != STATUS_OK) return s;
    if (out->role != role) {
        errbuf_set(err, "this data directory belongs to a %s, not to a %s: name another directory",
                   role_name(out->role), role_name(role));
        return STATUS_INVALID;
    }
    return STATUS_OK;
}
