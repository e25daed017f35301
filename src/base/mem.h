/* The only door to malloc. Policy: a small allocation that fails ends the process (mem_alloc); a large one, or one whose
 * size a client drives, goes through mem_try_alloc and answers STATUS_NO_MEMORY. Sizes in bytes. Free accepts NULL. */
#ifndef QUORATE_BASE_MEM_H
#define QUORATE_BASE_MEM_H

#include "base/slice.h"

void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1)));
void *mem_zalloc(size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1)));
void *mem_realloc(void *p, size_t size) __attribute__((returns_nonnull));
void *mem_try_alloc(size_t size);
/* `size` is a multiple of `alignment`, a power of two. */
void *mem_aligned(size_t alignment, size_t size) __attribute__((malloc, returns_nonnull));
/* In large pages of the processor's, of MEM_LARGE_BYTES each, where the kernel has them: what is looked up at random in much memory
 * else waits for its page tables. `size` is a multiple of theirs. */
#define MEM_LARGE_BYTES ((size_t)2 << 20)
void *mem_large(size_t size) __attribute__((malloc, returns_nonnull));
void mem_free(void *p);
void mem_give_back(void); /* what was freed goes back to the machine; takes a while: after a start, not under load */
void *mem_dup(const void *data, size_t size); /* owned copy; size 0 gives a valid pointer */
char *mem_strdup(const char *s);
struct slice mem_dup_slice(struct slice s); /* .data is owned by the caller: mem_free((void *)s.data) */

#endif
