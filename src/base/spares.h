/* Memory of objects of one size that come and go by the hundred thousand a second: what was given back is taken again, and malloc is
 * not asked. Not for threads. */
#ifndef QUORATE_BASE_SPARES_H
#define QUORATE_BASE_SPARES_H

#include <stddef.h>

struct spares {
    size_t size; /* of an object */
    size_t count, max;
    void *first; /* the first bytes of each say where the next one is */
};
void spares_init(struct spares *s, size_t size, size_t max);
void spares_free(struct spares *s);
void *spares_take(struct spares *s) __attribute__((returns_nonnull)); /* all zero */
void spares_give(struct spares *s, void *object);                     /* NULL is nothing */

#endif
