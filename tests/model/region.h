/* Memory that can be copied and put back: whatever the code under test allocates through base/mem.h lies in one region at one
 * address, so a copy of the region is a copy of the whole world, pointers included. */
#ifndef QUORATE_TESTS_MODEL_REGION_H
#define QUORATE_TESTS_MODEL_REGION_H

#include <stddef.h>

void region_reset(void);
size_t region_used(void);
void region_save(void *to); /* region_used() bytes */
void region_restore(const void *from, size_t size);

#endif
