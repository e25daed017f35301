/* Assertions. ASSERT is always on: a state that it rules out stops the process, never answers wrongly.
 * ASSERT_SLOW is on in tests and simulation (-DQUORATE_SLOW_ASSERTS). COVER marks a case that a test suite must have seen.
 * No side effects inside; one condition per assert; implication as `if (a) ASSERT(b);`. */
#ifndef QUORATE_BASE_ASSERT_H
#define QUORATE_BASE_ASSERT_H

_Noreturn void assert_fail(const char *file, int line, const char *function, const char *what);
void assert_noted(const char *file, int line, const char *function,
                  const char *what); /* before the end: for a report */

#define ASSERT(condition)                                                                                              \
    do {                                                                                                               \
        if (__builtin_expect(!(condition), 0)) assert_fail(__FILE__, __LINE__, __func__, #condition);                  \
    } while (0)
#define BUG(what) assert_fail(__FILE__, __LINE__, __func__, what)

#ifdef QUORATE_SLOW_ASSERTS
#define ASSERT_SLOW(condition) ASSERT(condition)
/* Counts a mark; the simulator prints and checks them. Storage is the test build's (tests/lib/cover.c). */
void cover_mark(const char *name);
#define COVER(name) cover_mark(name)
#else
#define ASSERT_SLOW(condition) ((void)0)
#define COVER(name) ((void)0)
#endif

#endif
