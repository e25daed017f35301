#include "env_posix/s3_disk.h"

#include "base/assert.h"
#include "base/list.h"
#include "base/mem.h"
#include "env_posix/s3_http.h"

#include <pthread.h>
#include <stdio.h>

#define SCHEME "s3://"
#define DRAFT_SUFFIX ".tmp"
#define OBJECT_BYTES_MAX ((512u << 20) + DISK_ALIGN) /* a backup's file, and a header of the vault */

struct s3_disk {
    struct disk disk; /* first */
    struct s3_http *http;
    char *bucket, *prefix; /* prefix: "" or with a slash at its end */
    pthread_mutex_t lock;  /* over `drafts` */
    struct list drafts;
};
struct s3_draft { /* was written, synced and closed, and waits for its name */
    struct list link;
    char *path;
    struct buf bytes;
};
struct s3_file {
    struct disk_file file; /* first */
    char *path;
    bool writes, synced;
    struct buf bytes; /* writes */
    uint64_t size;    /* reads */
};

static struct s3_disk *s3_of(struct disk *d)
{
    return (struct s3_disk *)(void *)d;
}
static struct s3_file *file_of(struct disk_file *f)
{
    return (struct s3_file *)(void *)f;
}

/* --- requests --- */

/* NUL-terminated. */
static void object_path(const struct s3_disk *d, const char *path, struct buf *out)
{
    buf_init(out, 16384);
    buf_append_byte(out, '/');
    s3_encode(out, d->bucket, true);
    buf_append_byte(out, '/');
    s3_encode(out, d->prefix, true);
    s3_encode(out, path, true);
    buf_append_byte(out, 0);
}

static enum status ask(struct s3_disk *d, const char *method, const char *path, struct slice body, uint64_t from,
                       uint64_t size, struct s3_answer *answer)
{
    struct buf at;
    object_path(d, path, &at);
    ASSERT(!at.overflow);
    enum status s = s3_ask(
        d->http,
        &(struct s3_request){
            .method = method, .path = (const char *)at.data, .query = "", .body = body, .from = from, .size = size},
        answer);
    buf_free(&at);
    return s;
}

static enum status store(struct s3_disk *d, const char *path, const struct buf *bytes)
{
    struct s3_answer answer;
    enum status s = ask(d, "PUT", path, bytes->size > 0 ? buf_slice(bytes) : SLICE_EMPTY, 0, 0, &answer);
    s3_answer_free(&answer);
    return s == STATUS_NOT_FOUND ? STATUS_IO : s; /* the bucket has gone */
}

static bool is_draft(const char *path)
{
    size_t size = strlen(path), n = strlen(DRAFT_SUFFIX);
    return size > n && strcmp(path + size - n, DRAFT_SUFFIX) == 0;
}

/* --- files --- */

static enum status s3_open(struct disk *disk, const char *path, unsigned flags, struct disk_file **out,
                           struct errbuf *err)
{
    struct s3_answer answer = {.code = 0};
    bool writes = (flags & DISK_WRITE) != 0;
    enum status s = STATUS_OK;
    *out = NULL;
    if ((flags & DISK_DIRECT) != 0) return STATUS_UNSUPPORTED;
    if (writes && (flags & DISK_CREATE) == 0) {
        errbuf_set(err, "%s: an object is not changed", path);
        return STATUS_UNSUPPORTED;
    }
    if (!writes) s = ask(s3_of(disk), "HEAD", path, SLICE_EMPTY, 0, 0, &answer);
    if (s != STATUS_OK)
        errbuf_set(err, "%s cannot be read: %s", path, s == STATUS_NOT_FOUND ? status_text(s) : answer.why);
    s3_answer_free(&answer);
    if (s != STATUS_OK) return s;
    struct s3_file *f = mem_zalloc(sizeof *f);
    f->file.disk = disk;
    f->path = mem_strdup(path);
    f->writes = writes;
    f->size = answer.length;
    buf_init(&f->bytes, OBJECT_BYTES_MAX);
    *out = &f->file;
    return STATUS_OK;
}

static void draft_keep(struct s3_disk *d, struct s3_file *f)
{
    struct s3_draft *draft = mem_zalloc(sizeof *draft);
    draft->path = f->path;
    draft->bytes = f->bytes;
    f->path = NULL;
    buf_init(&f->bytes, 0);
    (void)pthread_mutex_lock(&d->lock);
    list_push_front(&d->drafts, &draft->link);
    (void)pthread_mutex_unlock(&d->lock);
}

static void draft_free(struct s3_draft *draft)
{
    buf_free(&draft->bytes);
    mem_free(draft->path);
    mem_free(draft);
}

static struct s3_draft *draft_take(struct s3_disk *d, const char *path)
{
    struct s3_draft *found = NULL;
    (void)pthread_mutex_lock(&d->lock);
    LIST_FOR(it, &d->drafts)
    {
        struct s3_draft *draft = LIST_ENTRY(it, struct s3_draft, link);
        if (found == NULL && strcmp(draft->path, path) == 0) found = draft;
    }
    if (found != NULL) list_remove(&found->link);
    (void)pthread_mutex_unlock(&d->lock);
    return found;
}

static void s3_close(struct disk_file *file)
{
    struct s3_file *f = file_of(file);
    if (f->writes && f->synced && is_draft(f->path)) draft_keep(s3_of(file->disk), f);
    buf_free(&f->bytes);
    mem_free(f->path);
    mem_free(f);
}

static enum status s3_read(struct disk_file *file, uint64_t offset, void *bytes, size_t size, size_t *got)
{
    struct s3_file *f = file_of(file);
    uint64_t end = f->writes ? f->bytes.size : f->size;
    *got = offset >= end ? 0 : end - offset < size ? (size_t)(end - offset) : size;
    if (*got == 0) return STATUS_OK;
    if (f->writes) {
        memcpy(bytes, f->bytes.data + offset, *got);
        return STATUS_OK;
    }
    struct s3_answer answer;
    enum status s = ask(s3_of(file->disk), "GET", f->path, SLICE_EMPTY, offset, *got, &answer);
    if (s == STATUS_OK && answer.body.size != *got) s = STATUS_IO; /* it has another size than a moment ago */
    if (s == STATUS_OK) memcpy(bytes, answer.body.data, *got);
    s3_answer_free(&answer);
    return s;
}

static enum status s3_write(struct disk_file *file, uint64_t offset, const void *bytes, size_t size)
{
    struct s3_file *f = file_of(file);
    ASSERT(f->writes);
    ASSERT(offset <= f->bytes.size);
    size_t over = f->bytes.size - (size_t)offset < size ? f->bytes.size - (size_t)offset : size;
    if (over > 0) memcpy(f->bytes.data + offset, bytes, over);
    if (size > over) buf_append(&f->bytes, (const uint8_t *)bytes + over, size - over);
    f->synced = false;
    return f->bytes.overflow ? STATUS_TOO_LARGE : STATUS_OK;
}

static enum status s3_sync(struct disk_file *file)
{
    struct s3_file *f = file_of(file);
    enum status s = is_draft(f->path) ? STATUS_OK : store(s3_of(file->disk), f->path, &f->bytes);
    f->synced = s == STATUS_OK;
    return s;
}

static enum status s3_size(struct disk_file *file, uint64_t *size)
{
    const struct s3_file *f = file_of(file);
    *size = f->writes ? f->bytes.size : f->size;
    return STATUS_OK;
}

static enum status s3_truncate(struct disk_file *file, uint64_t size)
{
    struct s3_file *f = file_of(file);
    ASSERT(f->writes);
    if (size < f->bytes.size) f->bytes.size = (size_t)size;
    while (f->bytes.size < size) {
        buf_append_byte(&f->bytes, 0);
        if (f->bytes.overflow) return STATUS_TOO_LARGE;
    }
    f->synced = false;
    return STATUS_OK;
}

/* --- names --- */

static enum status s3_remove(struct disk *disk, const char *path)
{
    struct s3_answer answer;
    enum status s = ask(s3_of(disk), "DELETE", path, SLICE_EMPTY, 0, 0, &answer);
    s3_answer_free(&answer);
    return s;
}

static enum status s3_rename(struct disk *disk, const char *from, const char *to)
{
    struct s3_draft *draft = draft_take(s3_of(disk), from);
    if (draft == NULL) return STATUS_NOT_FOUND;
    enum status s = store(s3_of(disk), to, &draft->bytes);
    draft_free(draft);
    return s;
}

static enum status s3_link(struct disk *disk, const char *from, const char *to)
{
    (void)disk;
    (void)from;
    (void)to;
    return STATUS_UNSUPPORTED;
}

static enum status s3_nothing(struct disk *disk, const char *path)
{
    (void)disk;
    (void)path;
    return STATUS_OK;
}

static enum status s3_space(struct disk *disk, uint64_t *free_bytes, uint64_t *total_bytes)
{
    (void)disk;
    *free_bytes = *total_bytes = UINT64_MAX;
    return STATUS_OK;
}

static enum status s3_lock(struct disk *disk, struct errbuf *err)
{
    (void)disk;
    (void)err;
    return STATUS_OK;
}

/* --- lists: ListObjectsV2, a page at a time --- */

/* The text of the next element of that name from *at on; *at moves behind it. Names and values of ours need no entities. */
static bool element(struct slice xml, size_t *at, const char *name, struct slice *out)
{
    char open[64], close[64];
    (void)snprintf(open, sizeof open, "<%s>", name);
    (void)snprintf(close, sizeof close, "</%s>", name);
    for (size_t i = *at; i + strlen(open) <= xml.size; i++) {
        if (memcmp(xml.data + i, open, strlen(open)) != 0) continue;
        size_t from = i + strlen(open);
        for (size_t j = from; j + strlen(close) <= xml.size; j++) {
            if (xml.data[j] != '<') continue;
            if (memcmp(xml.data + j, close, strlen(close)) != 0) continue;
            *out = slice_make(xml.data + from, j - from);
            *at = j + strlen(close);
            return true;
        }
        return false;
    }
    return false;
}

/* The last part of a key, or of a common prefix, which ends with a slash. */
static void tell_name(struct slice key, void (*each)(void *ctx, const char *name), void *ctx)
{
    char name[512];
    if (key.size > 0 && key.data[key.size - 1] == '/') key.size--;
    size_t from = key.size;
    while (from > 0 && key.data[from - 1] != '/') from--;
    if (key.size == from || key.size - from >= sizeof name) return;
    memcpy(name, key.data + from, key.size - from);
    name[key.size - from] = '\0';
    each(ctx, name);
}

static void tell_page(struct slice xml, void (*each)(void *ctx, const char *name), void *ctx)
{
    struct slice item, key;
    for (size_t at = 0; element(xml, &at, "Contents", &item);) {
        size_t in_item = 0;
        if (element(item, &in_item, "Key", &key)) tell_name(key, each, ctx);
    }
    for (size_t at = 0; element(xml, &at, "CommonPrefixes", &item);) {
        size_t in_item = 0;
        if (element(item, &in_item, "Prefix", &key)) tell_name(key, each, ctx);
    }
}

/* `token`: where the page begins; where the next one does, or "". */
static enum status list_page(struct s3_disk *d, const char *folder, char *token, size_t token_size,
                             struct s3_answer *answer)
{
    struct buf path, query;
    size_t at = 0;
    struct slice next;
    buf_init(&path, 4096);
    buf_append_byte(&path, '/');
    s3_encode(&path, d->bucket, true);
    buf_append_byte(&path, 0);
    buf_init(&query, 16384);
    if (token[0] != '\0') {
        buf_append_str(&query, "continuation-token=");
        s3_encode(&query, token, false);
        buf_append_byte(&query, '&');
    }
    buf_append_str(&query, "delimiter=%2F&list-type=2&prefix=");
    s3_encode(&query, d->prefix, false);
    s3_encode(&query, folder, false);
    if (folder[0] != '\0') buf_append_str(&query, "%2F");
    buf_append_byte(&query, 0);
    ASSERT(!query.overflow);
    enum status s = s3_ask(
        d->http,
        &(struct s3_request){
            .method = "GET", .path = (const char *)path.data, .query = (const char *)query.data, .body = SLICE_EMPTY},
        answer);
    buf_free(&path);
    buf_free(&query);
    token[0] = '\0';
    if (s != STATUS_OK || !element(buf_slice(&answer->body), &at, "NextContinuationToken", &next)) return s;
    if (next.size >= token_size) return STATUS_IO;
    memcpy(token, next.data, next.size);
    token[next.size] = '\0';
    return s;
}

static enum status s3_list(struct disk *disk, const char *path, void (*each)(void *ctx, const char *name), void *ctx)
{
    char token[2048] = "";
    enum status s;
    do {
        struct s3_answer answer;
        s = list_page(s3_of(disk), path, token, sizeof token, &answer);
        if (s == STATUS_OK) tell_page(buf_slice(&answer.body), each, ctx);
        s3_answer_free(&answer);
    } while (s == STATUS_OK && token[0] != '\0');
    return s;
}

/* --- life --- */

static const struct disk_ops s3_ops = {
    .open = s3_open,
    .close = s3_close,
    .read = s3_read,
    .write = s3_write,
    .sync = s3_sync,
    .size = s3_size,
    .truncate = s3_truncate,
    .remove = s3_remove,
    .rename = s3_rename,
    .link = s3_link,
    .mkdir = s3_nothing,
    .sync_dir = s3_nothing,
    .list = s3_list,
    .space = s3_space,
    .lock = s3_lock,
};

bool s3_disk_is_url(const char *text)
{
    return strncmp(text, SCHEME, strlen(SCHEME)) == 0;
}

static bool take_url(struct s3_disk *d, const char *url)
{
    const char *bucket = url + strlen(SCHEME);
    size_t size = strcspn(bucket, "/");
    if (!s3_disk_is_url(url) || size == 0) return false;
    d->bucket = mem_strdup(bucket);
    d->bucket[size] = '\0';
    const char *prefix = bucket[size] == '/' ? bucket + size + 1 : "";
    size_t prefix_size = strlen(prefix);
    bool slash = prefix_size > 0 && prefix[prefix_size - 1] != '/';
    d->prefix = mem_zalloc(prefix_size + 2);
    memcpy(d->prefix, prefix, prefix_size);
    if (slash) d->prefix[prefix_size] = '/';
    return true;
}

static enum status try_to_read(struct s3_disk *d, const char *url, struct errbuf *err)
{
    struct s3_answer answer;
    char token[2048] = "";
    enum status s = list_page(d, "", token, sizeof token, &answer);
    if (s == STATUS_NOT_FOUND)
        errbuf_set(err, "%s: there is no such bucket", url);
    else if (s != STATUS_OK)
        errbuf_set(err, "%s cannot be read: %s", url, answer.why);
    s3_answer_free(&answer);
    return s;
}

enum status s3_disk_new(const struct s3_disk_options *o, struct logger *log, struct disk **out, struct errbuf *err)
{
    struct s3_disk *d = mem_zalloc(sizeof *d);
    const char *region = o->region != NULL ? o->region : "us-east-1";
    char aws[200];
    d->disk.ops = &s3_ops;
    list_init(&d->drafts);
    (void)pthread_mutex_init(&d->lock, NULL);
    (void)snprintf(aws, sizeof aws, "https://s3.%.100s.amazonaws.com", region);
    enum status s = take_url(d, o->url) ? STATUS_OK : STATUS_INVALID;
    if (s != STATUS_OK) errbuf_set(err, "%s: expected s3://BUCKET or s3://BUCKET/PREFIX", o->url);
    if (s == STATUS_OK) {
        const struct s3_http_options h = {.endpoint = o->endpoint != NULL ? o->endpoint : aws,
                                          .keys = {.region = region,
                                                   .access_key = o->access_key,
                                                   .secret_key = o->secret_key,
                                                   .session_token = o->session_token != NULL ? o->session_token : ""},
                                          .ca_file = o->ca_file};
        s = s3_http_new(&h, log, &d->http, err);
    }
    if (s == STATUS_OK) s = try_to_read(d, o->url, err);
    if (s != STATUS_OK) {
        s3_disk_free(&d->disk);
        return s;
    }
    *out = &d->disk;
    return STATUS_OK;
}

void s3_disk_free(struct disk *disk)
{
    if (disk == NULL) return;
    struct s3_disk *d = s3_of(disk);
    LIST_FOR(it, &d->drafts) draft_free(LIST_ENTRY(it, struct s3_draft, link));
    s3_http_free(d->http);
    mem_free(d->bucket);
    mem_free(d->prefix);
    (void)pthread_mutex_destroy(&d->lock);
    mem_free(d);
}
