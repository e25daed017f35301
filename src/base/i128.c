#include "base/i128.h"

#include "base/assert.h"
#include "base/cursor.h"

__extension__ typedef unsigned __int128 u128;

bool i128_add(i128 a, i128 b, i128 *sum)
{
    i128 result;
    if (__builtin_add_overflow(a, b, &result)) return false;
    *sum = result;
    return true;
}

/* Digits are collected below zero: there the range is one wider, so that I128_MIN needs no case of its own. */
bool i128_parse(struct slice text, i128 *out)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    size_t at = negative ? 1 : 0;
    if (at == text.size) return false;
    i128 v = 0;
    for (; at < text.size; at++) {
        if (text.data[at] < '0' || text.data[at] > '9') return false;
        if (__builtin_mul_overflow(v, (i128)10, &v)) return false;
        if (__builtin_sub_overflow(v, (i128)(text.data[at] - '0'), &v)) return false;
    }
    if (!negative && v == I128_MIN) return false;
    *out = negative ? v : -v;
    return true;
}

/* The lowest digit first, at least so many. */
static size_t put_digits(char *digits, size_t count, uint64_t v, size_t least)
{
    for (size_t end = count + least; v > 0 || count < end; v /= 10) digits[count++] = (char)('0' + (char)(v % 10));
    return count;
}

void u128_format(uint64_t high, uint64_t low, char text[U128_TEXT_MAX])
{
    static const uint64_t CHUNK = 10000000000000000000u; /* divisions of 128 bits are slow: 19 digits at a time */
    u128 rest = (u128)high << 64 | low;
    char digits[U128_TEXT_MAX];
    size_t count = 0, at = 0;
    for (; rest > UINT64_MAX; rest /= CHUNK) count = put_digits(digits, count, (uint64_t)(rest % CHUNK), 19);
    count = put_digits(digits, count, (uint64_t)rest, 1);
    ASSERT(count < U128_TEXT_MAX);
    while (count > 0) text[at++] = digits[--count];
    text[at] = '\0';
}

void i128_format(i128 v, char text[I128_TEXT_MAX])
{
    u128 size = v < 0 ? (u128)0 - (u128)v : (u128)v;
    if (v < 0) *text++ = '-';
    u128_format((uint64_t)(size >> 64), (uint64_t)size, text);
}

void i128_encode(i128 v, uint8_t bytes[16])
{
    le_set_u64(bytes, (uint64_t)(u128)v);
    le_set_u64(bytes + 8, (uint64_t)((u128)v >> 64));
}

i128 i128_decode(const uint8_t bytes[16])
{
    return (i128)((u128)le_u64(bytes + 8) << 64 | le_u64(bytes));
}
