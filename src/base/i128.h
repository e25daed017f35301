/* 128-bit signed integers for money: counters and amounts. Stored as 16 bytes, two's complement, little-endian. */
#ifndef QUORATE_BASE_I128_H
#define QUORATE_BASE_I128_H

#include "base/slice.h"

__extension__ typedef __int128 i128;

#define I128_MAX ((((i128)1 << 126) - 1) * 2 + 1)
#define I128_MIN (-I128_MAX - 1)
#define U128_TEXT_MAX 40 /* 39 digits, zero */
#define I128_TEXT_MAX 41 /* sign, 39 digits, zero */

bool i128_add(i128 a, i128 b, i128 *sum);      /* false on overflow */
bool i128_parse(struct slice text, i128 *out); /* optional '-', decimal digits only; false otherwise */
void i128_format(i128 v, char text[I128_TEXT_MAX]);
void u128_format(uint64_t high, uint64_t low, char text[U128_TEXT_MAX]); /* the same of a number without a sign */
void i128_encode(i128 v, uint8_t bytes[16]);
i128 i128_decode(const uint8_t bytes[16]);

#endif
