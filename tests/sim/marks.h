/* The COVER marks of src/: every one must be seen by the suite, or stand in unseen.txt with the reason why it is not. */
#ifndef QUORATE_TESTS_SIM_MARKS_H
#define QUORATE_TESTS_SIM_MARKS_H

#include <stdbool.h>
#include <stdint.h>

enum { MARKS_MAX = 512, MARK_NAME_MAX = 48 };

struct mark_count {
    char name[MARK_NAME_MAX];
    uint64_t count;
    bool excused;
};
struct marks {
    struct mark_count items[MARKS_MAX];
    unsigned count;
};

/* Reads the sources and unseen.txt below the working directory, the top of the tree. False: they are not there. */
bool marks_read(struct marks *m);
void marks_add(struct marks *m, const char *name, uint64_t count); /* names that src/ does not have are ignored */
/* Prints and counts the marks that were not seen and are not excused. */
unsigned marks_wrong(const struct marks *m);

#endif
