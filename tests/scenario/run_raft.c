/* Runs scenario files: a script for a group of Raft cores (tests/lib/raft_cluster.h) with the trace that it must give.
 *
 *   run_raft [FILE or DIRECTORY]...     default: tests/scenario/raft; of a directory with a raft/ inside, that
 *   UPDATE=1 run_raft ...               writes what happened into the files: look at the difference before you keep it
 *
 * A file is blocks separated by empty lines. Lines with # are comments. A block is commands, a line ----, and what they print:
 *   cluster N [voters=1,2] [learners=3] [append_max_bytes=..] [inflight=..] [uncommitted=..] [support=MS] [news=MS]   must come first
 *   auto on|off         whether batches become durable at once, after each command (default: off)
 *   campaign ID         propose ID TEXT      read ID CONTEXT      transfer ID TO      compact ID INDEX
 *   config ID voters=1,2,3 [learners=4]      unreachable ID TO
 *   tick ID...          advance MS (time only)     run MS (time, ticks, all delivered and durable)
 *   persist ID [COUNT] [one]     oldest batches become durable; `one`: only the last mark is reported
 *   deliver|drop|duplicate [FROM->TO] [TYPE]    of the messages that wait now, those that match; * matches any replica
 *   cut A B             both ways;  cut A->B  one way;  heal
 *   rot ID KEEP TERM    of a crashed replica: its disk keeps the first KEEP entries and forgets terms above TERM
 *   beat                with support=MS: all nodes exchange heartbeats now      lease [ID]...   what is left of it
 *   mute ID             its node sends no heartbeats any more
 *   crash ID            restart ID           settle (deliver and persist until nothing is left)
 *   inject FROM->TO TYPE term=.. [index=..] [log_term=..] [commit=..] [context=..] [hint_index=..] [hint_term=..] [reject=1]
 *          [entries=TERM:TEXT,TERM:TEXT,..]
 *   describe [ID]...    queue (messages that wait)      batches ID      log ID
 *   quietly COMMAND     the command without its trace */
#define _POSIX_C_SOURCE 200809L

#include "lib/raft_cluster.h"

#include "base/assert.h"
#include "base/mem.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define WORDS_MAX 16u
#define FILES_MAX 256u
#define TEXT_MAX (4u << 20)
#define U(v) ((unsigned long long)(v))

struct script {
    struct raft_cluster c;
    bool made, automatic;
    struct buf out; /* of the block */
    char words[WORDS_MAX][64];
    unsigned word_count;
};

/* --- words --- */

static void split(struct script *s, const char *line, size_t size)
{
    s->word_count = 0;
    for (size_t i = 0; i < size && s->word_count < WORDS_MAX;) {
        while (i < size && line[i] == ' ') i++;
        size_t start = i;
        while (i < size && line[i] != ' ') i++;
        size_t length = i - start < 63 ? i - start : 63;
        if (length == 0) break;
        memcpy(s->words[s->word_count], line + start, length);
        s->words[s->word_count++][length] = '\0';
    }
}

static const char *word(const struct script *s, unsigned i)
{
    return i < s->word_count ? s->words[i] : "";
}

static uint64_t number(const struct script *s, unsigned i)
{
    return strtoull(word(s, i), NULL, 10);
}

/* The text after `name=`, or NULL. */
static const char *option(const struct script *s, const char *name)
{
    size_t length = strlen(name);
    for (unsigned i = 0; i < s->word_count; i++) {
        if (strncmp(s->words[i], name, length) == 0 && s->words[i][length] == '=') return s->words[i] + length + 1;
    }
    return NULL;
}

static uint64_t option_number(const struct script *s, const char *name, uint64_t otherwise)
{
    const char *text = option(s, name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static uint8_t id_list(const char *text, uint64_t ids[RAFT_VOTERS_MAX])
{
    uint8_t count = 0;
    while (text != NULL && *text != '\0' && count < RAFT_VOTERS_MAX) {
        char *end;
        ids[count++] = strtoull(text, &end, 10);
        text = *end == ',' ? end + 1 : end;
    }
    return count;
}

/* "1->2", "*->2", "1->*": 0 stands for any. False: not a route. */
static bool route(const char *text, uint64_t *from, uint64_t *to)
{
    const char *arrow = strstr(text, "->");
    if (arrow == NULL) return false;
    *from = strtoull(text, NULL, 10);
    *to = strtoull(arrow + 2, NULL, 10);
    return true;
}

static const char *const type_names[] = {
    [RAFT_MSG_PRE_VOTE] = "PRE_VOTE",   [RAFT_MSG_PRE_VOTE_REPLY] = "PRE_VOTE_REPLY",
    [RAFT_MSG_VOTE] = "VOTE",           [RAFT_MSG_VOTE_REPLY] = "VOTE_REPLY",
    [RAFT_MSG_APPEND] = "APPEND",       [RAFT_MSG_APPEND_REPLY] = "APPEND_REPLY",
    [RAFT_MSG_HEARTBEAT] = "HEARTBEAT", [RAFT_MSG_HEARTBEAT_REPLY] = "HEARTBEAT_REPLY",
    [RAFT_MSG_READ] = "READ",           [RAFT_MSG_READ_REPLY] = "READ_REPLY",
    [RAFT_MSG_SNAPSHOT] = "SNAPSHOT",   [RAFT_MSG_TIMEOUT_NOW] = "TIMEOUT_NOW",
    [RAFT_MSG_RECOVERED] = "RECOVERED"};

static unsigned type_named(const char *name)
{
    for (unsigned i = 1; i < sizeof(type_names) / sizeof(type_names[0]); i++) {
        if (strcmp(type_names[i], name) == 0) return i;
    }
    return 0;
}

/* --- commands --- */

static void cmd_cluster(struct script *s)
{
    struct raft_config config = {0};
    size_t nodes = number(s, 1);
    config.voter_count = id_list(option(s, "voters"), config.voters);
    config.learner_count = id_list(option(s, "learners"), config.learners);
    for (unsigned i = 0; i < nodes && option(s, "voters") == NULL; i++) config.voters[config.voter_count++] = i + 1;
    struct raft_options o;
    raft_options_default(&o);
    o.append_max_bytes = (uint32_t)option_number(s, "append_max_bytes", o.append_max_bytes);
    o.inflight_max_count = (uint32_t)option_number(s, "inflight", o.inflight_max_count);
    o.uncommitted_max_bytes = option_number(s, "uncommitted", o.uncommitted_max_bytes);
    o.news_ms = (uint32_t)option_number(s, "news", 0);
    if (s->made) raft_cluster_free(&s->c);
    raft_cluster_init(&s->c, nodes, &config, &o, option_number(s, "support", 0), 1);
    s->made = true;
    s->c.trace = &s->out;
}

static void told(struct script *s, enum status status)
{
    if (status != STATUS_OK) buf_printf(&s->out, "%s: %s\n", word(s, 0), status_name(status));
}

static bool matches(const struct script *s, const struct raft_message *m)
{
    for (unsigned i = 1; i < s->word_count; i++) {
        uint64_t from, to;
        if (route(word(s, i), &from, &to)) {
            if ((from != 0 && m->from != from) || (to != 0 && m->to != to)) return false;
        } else if (type_named(word(s, i)) != m->type) {
            return false;
        }
    }
    return true;
}

/* Only messages that wait when the command begins: what it makes comes behind them. */
static void cmd_messages(struct script *s)
{
    size_t left = s->c.message_count, at = 0;
    bool drop = strcmp(word(s, 0), "drop") == 0, keep = strcmp(word(s, 0), "duplicate") == 0;
    for (; left > 0; left--) {
        if (!matches(s, &s->c.messages[at].m)) {
            at++;
            continue;
        }
        buf_append_str(&s->out, drop ? "lost " : "recv ");
        raft_cluster_message_text(&s->c.messages[at].m, &s->out);
        buf_append_byte(&s->out, '\n');
        if (drop) {
            raft_cluster_drop(&s->c, at);
        } else {
            raft_cluster_deliver(&s->c, at, keep);
            if (keep) at++;
        }
    }
}

/* "1:aa,2:bb": commands that follow the message's index. */
static size_t entry_list(const char *text, uint64_t index, struct raft_entry entries[WORDS_MAX])
{
    size_t count = 0;
    while (text != NULL && *text != '\0' && count < WORDS_MAX) {
        char *at;
        uint64_t term = strtoull(text, &at, 10);
        if (*at == ':') at++;
        size_t size = strcspn(at, ",");
        entries[count] = (struct raft_entry){
            .index = index + 1 + count, .term = term, .type = RAFT_ENTRY_COMMAND, .data = slice_make(at, size)};
        count++;
        text = at + size + (at[size] == ',' ? 1 : 0);
    }
    return count;
}

static void cmd_inject(struct script *s)
{
    struct raft_entry entries[WORDS_MAX];
    struct raft_message m = {.type = (enum raft_message_type)type_named(word(s, 2)),
                             .term = option_number(s, "term", 0),
                             .index = option_number(s, "index", 0),
                             .log_term = option_number(s, "log_term", 0),
                             .commit = option_number(s, "commit", 0),
                             .context = option_number(s, "context", 0),
                             .hint_index = option_number(s, "hint_index", 0),
                             .hint_term = option_number(s, "hint_term", 0),
                             .reject = option_number(s, "reject", 0) != 0};
    (void)route(word(s, 1), &m.from, &m.to);
    m.entry_count = entry_list(option(s, "entries"), m.index, entries);
    m.entries = entries;
    raft_cluster_step(&s->c, m.to, (struct raft_event){.type = RAFT_EVENT_MESSAGE, .message = &m});
}

static void cmd_cut(struct script *s)
{
    uint64_t a, b;
    if (route(word(s, 1), &a, &b)) {
        s->c.cut[a][b] = true;
        return;
    }
    s->c.cut[number(s, 1)][number(s, 2)] = true;
    s->c.cut[number(s, 2)][number(s, 1)] = true;
}

static void cmd_config(struct script *s)
{
    struct raft_config target = {0};
    target.voter_count = id_list(option(s, "voters"), target.voters);
    target.learner_count = id_list(option(s, "learners"), target.learners);
    told(s, raft_cluster_config(&s->c, number(s, 1), &target));
}

static void cmd_describe(struct script *s)
{
    for (uint64_t id = 1; id <= s->c.node_count; id++) {
        bool wanted = s->word_count == 1;
        for (unsigned i = 1; i < s->word_count; i++) wanted = wanted || number(s, i) == id;
        const struct raft *r = raft_cluster_node(&s->c, id)->raft;
        if (!wanted) continue;
        if (r == NULL) {
            buf_printf(&s->out, "%llu: crashed\n", U(id));
            continue;
        }
        raft_describe(r, &s->out);
        buf_append_byte(&s->out, '\n');
    }
}

static void cmd_lease(struct script *s)
{
    for (unsigned i = 1; i < s->word_count; i++) {
        uint64_t left = raft_nodes_lease_ms(&s->c, raft_cluster_node(&s->c, number(s, i)));
        if (left > 0) {
            buf_printf(&s->out, "%llu: lease of %llu ms\n", U(number(s, i)), U(left));
        } else {
            buf_printf(&s->out, "%llu: no lease\n", U(number(s, i)));
        }
    }
}

static void cmd_queue(struct script *s)
{
    for (size_t i = 0; i < s->c.message_count; i++) {
        raft_cluster_message_text(&s->c.messages[i].m, &s->out);
        buf_append_byte(&s->out, '\n');
    }
}

static void cmd_log(struct script *s)
{
    const struct raft *r = raft_cluster_node(&s->c, number(s, 1))->raft;
    for (uint64_t i = raft_first_index(r); i <= raft_last_index(r); i++) {
        const struct raft_entry *e = raft_entry_at(r, i);
        static const char *const marks[] = {"noop", "", "config"};
        buf_printf(&s->out, "%llu/%llu %s", U(i), U(e->term), marks[e->type]);
        if (e->type == RAFT_ENTRY_COMMAND) buf_append_slice(&s->out, e->data);
        buf_append_byte(&s->out, '\n');
    }
}

static void cmd_batches(struct script *s)
{
    const struct rc_node *n = raft_cluster_node(&s->c, number(s, 1));
    for (size_t i = 0; i < n->batch_count; i++) {
        const struct rc_batch *b = &n->batches[i];
        buf_printf(&s->out, "mark=%llu", U(b->mark.seq));
        if (b->count > 0)
            buf_printf(&s->out, " entries=%llu..%llu", U(b->entries[0].index), U(b->entries[b->count - 1].index));
        if (b->count > 0) buf_printf(&s->out, " of term %llu", U(b->entries[0].term));
        buf_append_byte(&s->out, '\n');
    }
}

static void step(struct script *s, enum raft_event_type type)
{
    raft_cluster_step(&s->c, number(s, 1), (struct raft_event){.type = type, .to = number(s, 2)});
}

static void cmd_persist(struct script *s)
{
    size_t count = s->word_count > 2 && number(s, 2) > 0 ? number(s, 2) : SIZE_MAX;
    raft_cluster_persist(&s->c, number(s, 1), count, strcmp(word(s, s->word_count - 1), "one") == 0);
}

/* False: no such command. */
static bool run_more(struct script *s)
{
    const char *name = word(s, 0);
    struct raft_cluster *c = &s->c;
    if (strcmp(name, "tick") == 0) {
        for (unsigned i = 1; i < s->word_count; i++) raft_cluster_tick(c, number(s, i));
    } else if (strcmp(name, "mute") == 0) {
        raft_cluster_node(c, number(s, 1))->mute = true;
    } else if (strcmp(name, "beat") == 0) {
        raft_nodes_beat(c);
    } else if (strcmp(name, "advance") == 0) {
        c->now_ms += number(s, 1);
    } else if (strcmp(name, "run") == 0) {
        raft_cluster_run(c, number(s, 1), 10);
    } else if (strcmp(name, "heal") == 0) {
        memset(c->cut, 0, sizeof(c->cut));
    } else if (strcmp(name, "crash") == 0) {
        raft_cluster_crash(c, number(s, 1));
    } else if (strcmp(name, "rot") == 0) {
        raft_cluster_rot(c, number(s, 1), number(s, 2), number(s, 3));
    } else if (strcmp(name, "restart") == 0) {
        raft_cluster_restart(c, number(s, 1));
    } else if (strcmp(name, "settle") == 0) {
        if (!raft_cluster_settle(c)) buf_append_str(&s->out, "it does not end\n");
    } else if (strcmp(name, "auto") == 0) {
        s->automatic = strcmp(word(s, 1), "on") == 0;
    } else if (strcmp(name, "compact") == 0) {
        raft_cluster_compact(c, number(s, 1), number(s, 2));
    } else if (strcmp(name, "unreachable") == 0) {
        step(s, RAFT_EVENT_UNREACHABLE);
    } else {
        return false;
    }
    return true;
}

static bool run_command(struct script *s)
{
    static const struct {
        const char *name;
        void (*run)(struct script *s);
    } commands[] = {{"persist", cmd_persist},    {"deliver", cmd_messages},  {"drop", cmd_messages},
                    {"duplicate", cmd_messages}, {"inject", cmd_inject},     {"cut", cmd_cut},
                    {"config", cmd_config},      {"describe", cmd_describe}, {"lease", cmd_lease},
                    {"queue", cmd_queue},        {"log", cmd_log},           {"batches", cmd_batches}};
    const char *name = word(s, 0);
    if (strcmp(name, "cluster") == 0) {
        cmd_cluster(s);
        return true;
    }
    if (!s->made) return false;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(name, commands[i].name) != 0) continue;
        commands[i].run(s);
        return true;
    }
    if (strcmp(name, "campaign") == 0) {
        step(s, RAFT_EVENT_CAMPAIGN);
    } else if (strcmp(name, "transfer") == 0) {
        step(s, RAFT_EVENT_TRANSFER);
    } else if (strcmp(name, "propose") == 0) {
        told(s, raft_cluster_propose(&s->c, number(s, 1), slice_str(word(s, 2))));
    } else if (strcmp(name, "read") == 0) {
        told(s, raft_cluster_read(&s->c, number(s, 1), number(s, 2)));
    } else {
        return run_more(s);
    }
    return true;
}

static void persist_all(struct script *s)
{
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < s->c.node_count; i++) {
            if (s->c.nodes[i].raft == NULL || s->c.nodes[i].batch_count == 0) continue;
            raft_cluster_persist(&s->c, i + 1, SIZE_MAX, false);
            again = true;
        }
    }
}

static void run_line(struct script *s, const char *line, size_t size)
{
    bool quiet = size > 8 && strncmp(line, "quietly ", 8) == 0;
    size_t before = s->out.size;
    if (quiet) {
        line += 8;
        size -= 8;
    }
    split(s, line, size);
    if (!run_command(s)) buf_printf(&s->out, "no such command: %s\n", word(s, 0));
    if (s->automatic) persist_all(s);
    if (quiet) s->out.size = before;
}

/* --- files --- */

/* The file as it would be if what happened were what is expected. */
static void run_text(const char *text, size_t size, struct buf *result)
{
    struct script s = {0};
    buf_init(&s.out, TEXT_MAX);
    bool in_output = false;
    for (size_t at = 0; at < size;) {
        const char *line = text + at;
        const char *end = memchr(line, '\n', size - at);
        size_t length = end == NULL ? size - at : (size_t)(end - line);
        at += length + 1;
        if (in_output && length > 0) continue; /* what was expected */
        in_output = false;
        buf_append(result, line, length);
        buf_append_byte(result, '\n');
        if (length == 0 || line[0] == '#') continue;
        if (length != 4 || strncmp(line, "----", 4) != 0) {
            run_line(&s, line, length);
            continue;
        }
        if (s.out.size == 0) buf_append_str(&s.out, "ok\n");
        buf_append_slice(result, buf_slice(&s.out));
        buf_clear(&s.out);
        in_output = true;
    }
    if (s.made) raft_cluster_free(&s.c);
    buf_free(&s.out);
}

static bool read_file(const char *path, struct buf *out)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) return false;
    char chunk[4096];
    for (size_t n; (n = fread(chunk, 1, sizeof(chunk), f)) > 0;) buf_append(out, chunk, n);
    fclose(f);
    return !out->overflow;
}

static size_t line_length(struct slice s, size_t at)
{
    const uint8_t *end = memchr(s.data + at, '\n', s.size - at);
    return end == NULL ? s.size - at : (size_t)(end - (s.data + at));
}

static void show_first_difference(struct slice expected, struct slice got)
{
    unsigned line = 1;
    size_t a = 0, b = 0;
    while (a < expected.size && b < got.size) {
        size_t na = line_length(expected, a), nb = line_length(got, b);
        if (na != nb || memcmp(expected.data + a, got.data + b, na) != 0) break;
        a += na + 1;
        b += nb + 1;
        line++;
    }
    printf("  line %u\n", line);
    if (a < expected.size) printf("  expected: %.*s\n", (int)line_length(expected, a), (const char *)expected.data + a);
    for (unsigned i = 0; i < 8 && b < got.size; i++) {
        size_t n = line_length(got, b);
        printf("  got:      %.*s\n", (int)n, (const char *)got.data + b);
        b += n + 1;
    }
}

static bool run_file(const char *path)
{
    struct buf text, result;
    buf_init(&text, TEXT_MAX);
    buf_init(&result, TEXT_MAX);
    printf("%s\n", path);
    fflush(stdout); /* a violated property ends the process: then this is the last line */
    bool same = false;
    if (!read_file(path, &text)) {
        printf("  cannot be read\n");
    } else {
        run_text((const char *)text.data, text.size, &result);
        same = slice_eq(buf_slice(&text), buf_slice(&result)) && text.size > 0;
    }
    if (!same && getenv("UPDATE") != NULL) {
        FILE *f = fopen(path, "wb");
        same = f != NULL && fwrite(result.data, 1, result.size, f) == result.size;
        if (f != NULL && fclose(f) != 0) same = false;
        printf("  rewritten\n");
    } else if (!same) {
        show_first_difference(buf_slice(&text), buf_slice(&result));
    }
    buf_free(&text);
    buf_free(&result);
    return same;
}

struct files {
    char *paths[FILES_MAX];
    unsigned count;
};

static void add_path(struct files *f, const char *directory, const char *name)
{
    char path[1024];
    (void)snprintf(path, sizeof(path), "%s%s%s", directory, directory[0] != '\0' ? "/" : "", name);
    ASSERT(f->count < FILES_MAX);
    f->paths[f->count++] = mem_strdup(path);
}

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static void add_directory(struct files *f, const char *path)
{
    char inner[1024];
    (void)snprintf(inner, sizeof(inner), "%s/raft", path);
    if (is_directory(inner)) path = inner;
    DIR *d = opendir(path);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        size_t length = strlen(e->d_name);
        if (length > 4 && strcmp(e->d_name + length - 4, ".txt") == 0) add_path(f, path, e->d_name);
    }
    if (d != NULL) closedir(d);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(int argc, char **argv)
{
    struct files f = {0};
    for (int i = 1; i < argc; i++) {
        if (is_directory(argv[i])) {
            add_directory(&f, argv[i]);
        } else {
            add_path(&f, "", argv[i]);
        }
    }
    if (argc == 1) add_directory(&f, "tests/scenario");
    qsort(f.paths, f.count, sizeof(f.paths[0]), by_name);
    unsigned passed = 0;
    for (unsigned i = 0; i < f.count; i++) {
        if (run_file(f.paths[i])) passed++;
        mem_free(f.paths[i]);
    }
    printf("%u passed, %u failed\n", passed, f.count - passed);
    return passed == f.count && f.count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
