#define _POSIX_C_SOURCE 200809L

#include "sim/marks.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>

static struct mark_count *find(struct marks *m, const char *name)
{
    for (unsigned i = 0; i < m->count; i++) {
        if (strcmp(m->items[i].name, name) == 0) return &m->items[i];
    }
    return NULL;
}

/* COVER("name") anywhere in the line. */
static void read_line(struct marks *m, const char *line)
{
    char name[MARK_NAME_MAX];
    for (const char *at = line; (at = strstr(at, "COVER(\"")) != NULL; at++) {
        if (sscanf(at, "COVER(\"%47[^\"]\"", name) != 1 || find(m, name) != NULL || m->count == MARKS_MAX) continue;
        (void)snprintf(m->items[m->count++].name, MARK_NAME_MAX, "%s", name);
    }
}

static bool read_source(struct marks *m, const char *path)
{
    char line[1024];
    FILE *f = fopen(path, "r");
    if (f == NULL) return false;
    while (fgets(line, sizeof line, f) != NULL) read_line(m, line);
    (void)fclose(f);
    return true;
}

static bool read_excuses(struct marks *m)
{
    char line[1024], name[MARK_NAME_MAX], reason[8];
    FILE *f = fopen("tests/sim/unseen.txt", "r");
    if (f == NULL) return false;
    while (fgets(line, sizeof line, f) != NULL) {
        if (line[0] == '#' || sscanf(line, "%47s %7s", name, reason) != 2) continue;
        struct mark_count *mark = find(m, name);
        if (mark != NULL)
            mark->excused = true;
        else
            (void)printf("tests/sim/unseen.txt: src/ has no mark %s\n", name);
    }
    (void)fclose(f);
    return true;
}

bool marks_read(struct marks *m)
{
    glob_t sources;
    memset(m, 0, sizeof *m);
    bool found = glob("src/*/*.c", 0, NULL, &sources) == 0;
    for (size_t i = 0; found && i < sources.gl_pathc; i++) found = read_source(m, sources.gl_pathv[i]);
    globfree(&sources);
    return found && read_excuses(m);
}

void marks_add(struct marks *m, const char *name, uint64_t count)
{
    struct mark_count *mark = find(m, name);
    if (mark != NULL) mark->count += count;
}

unsigned marks_wrong(const struct marks *m)
{
    unsigned wrong = 0;
    for (unsigned i = 0; i < m->count; i++) {
        const struct mark_count *mark = &m->items[i];
        if (mark->count > 0 || mark->excused) continue;
        (void)printf("FAILED: the mark %s was not seen in any seed (tests/sim/unseen.txt is for good reasons)\n",
                     mark->name);
        wrong++;
    }
    return wrong;
}
