/* Which planted bug is on (src/base/mutant.h): sim_mutants sets it, or, for a test program built with the bugs in it, the
 * environment variable QUORATE_MUTANT names it. */
#include "base/mutant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum mutant mutant_planted;

#define NAME(name, trap, what) #name,
static const char *const NAMES[] = {"none", MUTANT_MAP(NAME)};

__attribute__((constructor)) static void plant(void)
{
    const char *wanted = getenv("QUORATE_MUTANT");
    if (wanted == NULL) return;
    for (unsigned m = 0; m < MUTANT_COUNT; m++) {
        if (strcmp(NAMES[m], wanted) == 0) mutant_planted = (enum mutant)m;
    }
    if (mutant_planted == MUTANT_NONE) (void)fprintf(stderr, "QUORATE_MUTANT: no bug is called %s\n", wanted);
}
