/* The marks that COVER(name) has seen in this process (base/assert.h). Names are string literals, compared as text.
 * Safe from several threads. A suite that needs a rare case to have happened says:
 *     ck_assert_uint_gt(cover_count("raft.vote_lost"), 0);  */
#ifndef QUORATE_TESTS_LIB_COVER_H
#define QUORATE_TESTS_LIB_COVER_H

#include <stdint.h>

uint64_t cover_count(const char *name); /* how often since the start or cover_reset; 0 for a mark never seen */
unsigned cover_marks(void);             /* different marks seen */
void cover_each(void (*each)(void *ctx, const char *name, uint64_t count), void *ctx); /* in alphabetical order */
void cover_print(void); /* "cover NAME COUNT" lines on stdout */
void cover_reset(void);

#endif
