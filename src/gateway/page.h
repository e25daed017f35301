/* The console: one page that needs nothing else, made once from its embedded parts, and the policy that lets a browser run exactly them. */
#ifndef QUORATE_GATEWAY_PAGE_H
#define QUORATE_GATEWAY_PAGE_H

#include "base/buf.h"

struct page {
    struct buf body;
    char policy[320]; /* Content-Security-Policy: nothing but these bytes is run or applied */
    char etag[48];
};
void page_init(struct page *p);
void page_free(struct page *p);

#endif
