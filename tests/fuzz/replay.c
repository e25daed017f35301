/* Runs a fuzz target without a fuzzer:  fuzz_x CORPUS.hex   A line of the corpus is one input in hex. Each is tried as it is,
 * cut at every length and changed at random, from a fixed seed: the same inputs in every run. */
#include "base/mem.h"
#include "base/prng.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT_MAX = 8192, INPUTS_MAX = 4096, CHANGED_PER_INPUT = 200, CUTS_MAX = 256 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    uint8_t *bytes;
    size_t size;
};

static int nibble(int c)
{
    return isdigit(c) ? c - '0' : tolower(c) - 'a' + 10;
}

static size_t read_corpus(const char *path, struct input *inputs)
{
    static char line[2 * INPUT_MAX + 2];
    FILE *f = fopen(path, "r");
    size_t count = 0;
    while (f != NULL && count < INPUTS_MAX && fgets(line, sizeof line, f) != NULL) {
        size_t size = strspn(line, "0123456789abcdefABCDEF") / 2;
        inputs[count].bytes = mem_alloc(size + 1);
        for (size_t i = 0; i < size; i++)
            inputs[count].bytes[i] = (uint8_t)(nibble(line[2 * i]) << 4 | nibble(line[2 * i + 1]));
        inputs[count++].size = size;
    }
    if (f != NULL) (void)fclose(f);
    return count;
}

/* A copy that ends where its memory ends, so that a sanitizer sees a read beyond it. */
static void try_bytes(const uint8_t *bytes, size_t size)
{
    uint8_t *exact = mem_alloc(size == 0 ? 1 : size);
    if (size > 0) memcpy(exact, bytes, size);
    (void)LLVMFuzzerTestOneInput(exact, size);
    mem_free(exact);
}

static size_t change(struct prng *p, const struct input *inputs, size_t count, uint8_t *bytes, size_t size)
{
    for (uint64_t n = prng_between(p, 1, 4); n > 0 && size > 0; n--) {
        size_t at = prng_below(p, size);
        const struct input *other = &inputs[prng_below(p, count)];
        size_t from = other->size == 0 ? 0 : prng_below(p, other->size), part = other->size - from;
        switch (prng_below(p, 5)) {
        case 0: bytes[at] ^= (uint8_t)(1u << prng_below(p, 8)); break;
        case 1: bytes[at] = (uint8_t)prng_next(p); break;
        case 2: bytes[at] = prng_chance(p, 1, 2) ? 0xFF : 0; break;
        case 3: size = at; break;
        default: /* the rest of another one */
            if (part > INPUT_MAX - at) part = INPUT_MAX - at;
            memcpy(bytes + at, other->bytes + from, part);
            size = at + part;
        }
    }
    return size;
}

int main(int argc, char *argv[])
{
    static struct input inputs[INPUTS_MAX];
    static uint8_t bytes[INPUT_MAX];
    struct prng p;
    size_t count = argc == 2 ? read_corpus(argv[1], inputs) : 0;
    unsigned long long tried = 0;
    if (count == 0) {
        printf("no corpus at %s\n", argc == 2 ? argv[1] : "(one argument, please)");
        return 1;
    }
    prng_init(&p, 1);
    for (size_t i = 0; i < count; i++) {
        for (size_t size = 0; size <= inputs[i].size && size < CUTS_MAX; size++, tried++)
            try_bytes(inputs[i].bytes, size);
        try_bytes(inputs[i].bytes, inputs[i].size);
        for (unsigned n = 0; n < CHANGED_PER_INPUT; n++, tried++) {
            memcpy(bytes, inputs[i].bytes, inputs[i].size);
            try_bytes(bytes, change(&p, inputs, count, bytes, inputs[i].size));
        }
    }
    for (size_t i = 0; i < count; i++) mem_free(inputs[i].bytes);
    printf("%zu inputs, %llu variations\n1 passed, 0 failed\n", count, tried);
    return 0;
}
