/* Files of a vault. The header is read when a file is opened, and its data key kept with the handle. */
#include "vault/vault.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/mem.h"
#include "vault/header.h"

#define MARK "ENCRYPTED"
#define MARK_TEXT "quorate vault 1\n"
#define IDENTITY "IDENTITY" /* a server's directory was begun; a backup's: */
#define CHUNKS "chunks"
#define XTS_SUFFIX ".wal"    /* written again and again in place */
#define SEALED_SUFFIX ".tbl" /* tables: written once */
/* Written once, too, under another name first: a backup's files. */
static const char *const SEALED_PREFIXES[] = {"chunks/", "changes/", "backup-", "partial-"};
#define PATH_MAX_BYTES 512u
#define DEPTH_MAX 4u

/* Replaced as a whole and kept to the end: a worker may be looking at a former one. */
struct ring {
    struct ring *former;
    struct vault_keys keys;
};
struct vault {
    struct disk disk; /* first */
    struct disk *below;
    struct logger *log;
    _Atomic(struct ring *) ring;
    atomic_flag headers; /* of files: one is written */
};
struct vault_file {
    struct disk_file file; /* first */
    struct disk_file *below;
    bool blank; /* there is no header, hence no content; it was not opened for writing */
    struct vault_secret secret;
};

static struct vault *vault_of(struct disk *d)
{
    return (struct vault *)(void *)d;
}
static struct vault_file *file_of(struct disk_file *f)
{
    return (struct vault_file *)(void *)f;
}

/* --- headers --- */

static void random_bytes(void *bytes, int size) /* any thread: not the environment's, which is the loop's */
{
    ASSERT(RAND_bytes(bytes, size) == 1);
}

static enum status header_write(struct vault *v, struct disk_file *below, const struct vault_secret *s)
{
    const struct vault_keys *keys = &atomic_load(&v->ring)->keys;
    uint8_t nonce[VAULT_NONCE_BYTES], *block = mem_aligned(DISK_ALIGN, VAULT_HEADER_BYTES);
    random_bytes(nonce, sizeof(nonce));
    vault_header_encode(s, &keys->keys[keys->count - 1], nonce, block);
    enum status status = disk_write(below, 0, block, VAULT_HEADER_BYTES);
    mem_free(block);
    return status;
}

/* The first one of a file. Who rotates keys meanwhile may not see it: it lies under the keys in force when it is there. */
static enum status header_begin(struct vault *v, struct disk_file *below, const struct vault_secret *s)
{
    const struct ring *before;
    enum status status;
    do {
        before = atomic_load(&v->ring);
        status = header_write(v, below, s);
    } while (status == STATUS_OK && atomic_load(&v->ring) != before);
    return status;
}

/* blank: there is none yet. */
static enum status header_read(struct vault *v, struct disk_file *below, struct vault_secret *out, bool *blank,
                               uint8_t by[VAULT_ID_BYTES], struct errbuf *err)
{
    uint8_t *block = mem_aligned(DISK_ALIGN, VAULT_HEADER_BYTES);
    size_t got = 0;
    enum status s = disk_read(below, 0, block, VAULT_HEADER_BYTES, &got);
    *blank = s == STATUS_OK && (got < VAULT_HEADER_BYTES || vault_header_is_blank(block));
    if (s != STATUS_OK)
        errbuf_set(err, "its header cannot be read: %s", status_text(s));
    else if (!*blank)
        s = vault_header_decode(block, &atomic_load(&v->ring)->keys, out, by, err);
    mem_free(block);
    return s;
}

static bool ends_with(const char *path, const char *suffix)
{
    size_t size = strlen(path), n = strlen(suffix);
    return size > n && strcmp(path + size - n, suffix) == 0;
}

static enum vault_mode mode_for(const char *path)
{
    bool sealed = ends_with(path, SEALED_SUFFIX);
    for (size_t i = 0; i < sizeof SEALED_PREFIXES / sizeof *SEALED_PREFIXES; i++)
        sealed = sealed || strncmp(path, SEALED_PREFIXES[i], strlen(SEALED_PREFIXES[i])) == 0;
    return ends_with(path, XTS_SUFFIX) ? VAULT_XTS : sealed ? VAULT_SEALED : VAULT_CTR;
}

/* --- files --- */

static void vault_close(struct disk_file *file)
{
    struct vault_file *f = file_of(file);
    disk_close(f->below);
    OPENSSL_cleanse(&f->secret, sizeof(f->secret));
    mem_free(f);
}

static enum status vault_open(struct disk *disk, const char *path, unsigned flags, struct disk_file **out,
                              struct errbuf *err)
{
    struct vault *v = vault_of(disk);
    struct errbuf why = {.text = ""};
    uint8_t by[VAULT_ID_BYTES];
    bool writes = (flags & DISK_WRITE) != 0;
    struct vault_file *f = mem_zalloc(sizeof(*f));
    f->file.disk = disk;
    *out = NULL;
    enum status s = disk_open(v->below, path, flags | DISK_READ, &f->below, err);
    if (s != STATUS_OK) {
        mem_free(f);
        return s;
    }
    s = header_read(v, f->below, &f->secret, &f->blank, by, &why);
    if (s == STATUS_OK && f->blank && writes) {
        f->blank = false;
        f->secret.mode = mode_for(path);
        random_bytes(f->secret.key, VAULT_DATA_KEY_BYTES);
        s = header_begin(v, f->below, &f->secret);
        errbuf_set(&why, "its header cannot be written: %s", status_text(s));
    }
    if (s == STATUS_OK) {
        *out = &f->file;
        return s;
    }
    errbuf_set(err, "%s: %s", path, why.text);
    log_event(v->log, LOG_ERROR, "vault.refused", "path=%s why=\"%s\"", path, why.text);
    vault_close(&f->file);
    if ((flags & DISK_EXCLUSIVE) != 0 && disk_remove(v->below, path) != STATUS_OK)
        COVER("vault.file_left_behind"); /* without a header: it has no content */
    return s;
}

/* Units that hold [offset, offset + size), by way of memory of its own. */
static enum status read_units(struct vault_file *f, uint64_t offset, uint8_t *bytes, size_t size, size_t *got)
{
    uint64_t from = offset / VAULT_UNIT_BYTES * VAULT_UNIT_BYTES, end = offset + size;
    size_t room = (size_t)((end - from + VAULT_UNIT_BYTES - 1) / VAULT_UNIT_BYTES * VAULT_UNIT_BYTES), have = 0;
    uint8_t *units = mem_aligned(DISK_ALIGN, room);
    enum status s = disk_read(f->below, VAULT_HEADER_BYTES + from, units, room, &have);
    size_t whole = f->secret.mode == VAULT_SEALED ? have : have / VAULT_UNIT_BYTES * VAULT_UNIT_BYTES;
    vault_decrypt(&f->secret, from, units, units, whole);
    if (have > whole) memset(units + whole, 0, have - whole); /* the file was cut off there: no log has such an end */
    size_t skip = (size_t)(offset - from);
    *got = have < skip ? 0 : have - skip < size ? have - skip : size;
    if (s == STATUS_OK && *got > 0) memcpy(bytes, units + skip, *got);
    mem_free(units);
    return s;
}

static enum status vault_read(struct disk_file *file, uint64_t offset, void *bytes, size_t size, size_t *got)
{
    struct vault_file *f = file_of(file);
    *got = 0;
    if (f->blank || size == 0) return STATUS_OK;
    if (f->secret.mode != VAULT_CTR) return read_units(f, offset, bytes, size, got);
    enum status s = disk_read(f->below, VAULT_HEADER_BYTES + offset, bytes, size, got);
    if (s == STATUS_OK) vault_decrypt(&f->secret, offset, bytes, bytes, *got);
    return s;
}

static enum status vault_write(struct disk_file *file, uint64_t offset, const void *bytes, size_t size)
{
    struct vault_file *f = file_of(file);
    ASSERT(!f->blank);
    uint8_t *sealed = mem_aligned(DISK_ALIGN, (size + DISK_ALIGN - 1) / DISK_ALIGN * DISK_ALIGN + DISK_ALIGN);
    vault_encrypt(&f->secret, offset, bytes, sealed, size);
    enum status s = disk_write(f->below, VAULT_HEADER_BYTES + offset, sealed, size);
    mem_free(sealed);
    return s;
}

static enum status vault_sync(struct disk_file *file)
{
    return disk_sync(file_of(file)->below);
}

static enum status vault_size(struct disk_file *file, uint64_t *size)
{
    struct vault_file *f = file_of(file);
    enum status s = disk_size(f->below, size);
    *size = s != STATUS_OK || f->blank || *size < VAULT_HEADER_BYTES ? 0 : *size - VAULT_HEADER_BYTES;
    return s;
}

/* A data key that is written again under another key must still be the file's: two reads and writes of a header take turns, for as long as
 * a few hundred bytes take. */
static void header_lock(struct vault *v)
{
    while (atomic_flag_test_and_set(&v->headers)) continue;
}
static void header_unlock(struct vault *v)
{
    atomic_flag_clear(&v->headers);
}

/* To nothing: what is written next is another content, under another key. */
static enum status vault_truncate(struct disk_file *file, uint64_t size)
{
    struct vault_file *f = file_of(file);
    enum status s = disk_truncate(f->below, VAULT_HEADER_BYTES + size);
    if (s != STATUS_OK || size > 0) return s;
    struct vault *v = vault_of(file->disk);
    header_lock(v);
    random_bytes(f->secret.key, VAULT_DATA_KEY_BYTES);
    s = header_write(v, f->below, &f->secret);
    header_unlock(v);
    return s;
}

/* --- names: as below --- */

static enum status vault_remove(struct disk *d, const char *path)
{
    return disk_remove(vault_of(d)->below, path);
}
static enum status vault_rename(struct disk *d, const char *from, const char *to)
{
    return disk_rename(vault_of(d)->below, from, to);
}
static enum status vault_link(struct disk *d, const char *from, const char *to)
{
    return disk_link(vault_of(d)->below, from, to);
}
static enum status vault_mkdir(struct disk *d, const char *path)
{
    return disk_mkdir(vault_of(d)->below, path);
}
static enum status vault_sync_dir(struct disk *d, const char *path)
{
    return disk_sync_dir(vault_of(d)->below, path);
}

struct listing {
    void (*each)(void *ctx, const char *name);
    void *ctx;
};
static void list_all_but_mark(void *ctx, const char *name)
{
    const struct listing *l = ctx;
    if (strcmp(name, MARK) != 0) l->each(l->ctx, name);
}
static enum status vault_list(struct disk *d, const char *path, void (*each)(void *ctx, const char *name), void *ctx)
{
    struct listing l = {.each = each, .ctx = ctx};
    return disk_list(vault_of(d)->below, path, list_all_but_mark, &l);
}
static enum status vault_space(struct disk *d, uint64_t *free_bytes, uint64_t *total_bytes)
{
    return disk_space(vault_of(d)->below, free_bytes, total_bytes);
}
static enum status vault_lock(struct disk *d, struct errbuf *err)
{
    return disk_lock(vault_of(d)->below, err);
}

/* --- the directory --- */

struct found {
    bool mark, begun;
};
static void find(void *ctx, const char *name)
{
    struct found *f = ctx;
    if (strcmp(name, MARK) == 0) f->mark = true;
    if (strcmp(name, IDENTITY) == 0 || strcmp(name, CHUNKS) == 0) f->begun = true;
}

static enum status mark_make(struct disk *below, struct errbuf *err)
{
    struct disk_file *f = NULL;
    enum status s = disk_open(below, MARK, DISK_WRITE | DISK_CREATE, &f, err);
    if (s == STATUS_OK) s = disk_write(f, 0, MARK_TEXT, strlen(MARK_TEXT));
    if (s == STATUS_OK) s = disk_sync(f);
    disk_close(f);
    if (s == STATUS_OK) s = disk_sync_dir(below, "");
    if (s != STATUS_OK) errbuf_set(err, "the directory cannot be marked as encrypted: %s", status_text(s));
    return s;
}

enum status vault_check(struct vault *v, struct disk *below, struct errbuf *err)
{
    struct found f = {.mark = false};
    enum status s = disk_list(below, "", find, &f);
    if (s != STATUS_OK) {
        errbuf_set(err, "the directory cannot be listed: %s", status_text(s));
        return s;
    }
    if (v == NULL && f.mark) {
        errbuf_set(err, "this directory is encrypted: start with --encryption-keys FILE");
        return STATUS_UNSUPPORTED;
    }
    if (v != NULL && !f.mark && f.begun) {
        errbuf_set(
            err, "this directory was begun without encryption, and is not encrypted afterwards: of a server, add a new "
                 "one with --encryption-keys and remove this one; of a backup, begin another directory");
        return STATUS_UNSUPPORTED;
    }
    return v == NULL || f.mark ? STATUS_OK : mark_make(below, err);
}

/* --- keys --- */

void vault_use(struct vault *v, const struct vault_keys *keys)
{
    struct ring *r = mem_alloc(sizeof(*r));
    ASSERT(keys->count > 0);
    r->keys = *keys;
    r->former = atomic_load(&v->ring);
    atomic_store(&v->ring, r);
}

struct rewrap {
    struct vault *v;
    unsigned changed, depth;
    const char *dir;
    enum status status;
    struct errbuf *err;
};

static void rewrap_dir(struct rewrap *r, const char *path);

static enum status rewrap_file(struct rewrap *r, struct disk_file *f)
{
    const struct vault_keys *keys = &atomic_load(&r->v->ring)->keys;
    struct vault_secret secret;
    uint8_t by[VAULT_ID_BYTES];
    bool blank, former = false;
    header_lock(r->v);
    enum status s = header_read(r->v, f, &secret, &blank, by, r->err);
    if (s == STATUS_OK && !blank) former = memcmp(by, keys->keys[keys->count - 1].id, sizeof(by)) != 0;
    if (former) s = header_write(r->v, f, &secret);
    header_unlock(r->v);
    if (former && s == STATUS_OK) s = disk_sync(f);
    if (former && s == STATUS_OK) r->changed++;
    OPENSSL_cleanse(&secret, sizeof(secret));
    return s;
}

static void rewrap_name(void *ctx, const char *name)
{
    struct rewrap *r = ctx;
    char path[PATH_MAX_BYTES];
    struct disk_file *f = NULL;
    int n = snprintf(path, sizeof(path), "%s%s%s", r->dir, *r->dir == '\0' ? "" : "/", name);
    bool plain = *r->dir == '\0' && (strcmp(name, MARK) == 0 || strcmp(name, "LOCK") == 0 ||
                                     strncmp(name, "crash", 5) == 0); /* reports of crashes */
    if (r->status != STATUS_OK || plain || n >= (int)sizeof(path)) return;
    enum status s = disk_open(r->v->below, path, DISK_READ | DISK_WRITE, &f, NULL);
    if (s == STATUS_OK) {
        s = rewrap_file(r, f);
        disk_close(f);
        if (s != STATUS_OK) r->status = s;
    } else if (s != STATUS_NOT_FOUND && r->depth < DEPTH_MAX) { /* a directory: no file opens like this */
        rewrap_dir(r, path);
    }
}

static void rewrap_dir(struct rewrap *r, const char *path)
{
    const char *former = r->dir;
    r->dir = path;
    r->depth++;
    enum status s = disk_list(r->v->below, path, rewrap_name, r);
    if (s != STATUS_OK && s != STATUS_NOT_FOUND && r->status == STATUS_OK) r->status = s;
    r->depth--;
    r->dir = former;
}

enum status vault_rewrap(struct vault *v, unsigned *changed, struct errbuf *err)
{
    struct rewrap r = {.v = v, .dir = "", .err = err};
    rewrap_dir(&r, "");
    *changed = r.changed;
    return r.status;
}

/* --- life --- */

static const struct disk_ops vault_ops = {
    .open = vault_open,
    .close = vault_close,
    .read = vault_read,
    .write = vault_write,
    .sync = vault_sync,
    .size = vault_size,
    .truncate = vault_truncate,
    .remove = vault_remove,
    .rename = vault_rename,
    .link = vault_link,
    .mkdir = vault_mkdir,
    .sync_dir = vault_sync_dir,
    .list = vault_list,
    .space = vault_space,
    .lock = vault_lock,
};

struct vault *vault_new(struct disk *below, const struct vault_keys *keys, struct logger *log)
{
    struct vault *v = mem_zalloc(sizeof(*v));
    v->disk.ops = &vault_ops;
    atomic_flag_clear(&v->headers);
    v->below = below;
    v->log = log;
    vault_use(v, keys);
    return v;
}

void vault_free(struct vault *v)
{
    if (v == NULL) return;
    for (struct ring *r = atomic_load(&v->ring), *former; r != NULL; r = former) {
        former = r->former;
        vault_keys_wipe(&r->keys);
        mem_free(r);
    }
    mem_free(v);
}

struct disk *vault_disk(struct vault *v)
{
    return &v->disk;
}
