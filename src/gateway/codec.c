#include "gateway/codec.h"

static const char STANDARD[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char URL_SAFE[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode(struct buf *b, struct slice s, const char *alphabet, bool pad)
{
    size_t tail = s.size % 3;
    size_t need = s.size / 3 * 4 + (tail == 0 ? 0 : pad ? 4 : tail + 1);
    if (need == 0) return;
    uint8_t *out = buf_extend(b, need);
    if (out == NULL) return; /* the buffer remembers the overflow */
    for (size_t i = 0; i + 2 < s.size; i += 3) {
        uint32_t v = (uint32_t)s.data[i] << 16 | (uint32_t)s.data[i + 1] << 8 | s.data[i + 2];
        *out++ = (uint8_t)alphabet[v >> 18];
        *out++ = (uint8_t)alphabet[v >> 12 & 63];
        *out++ = (uint8_t)alphabet[v >> 6 & 63];
        *out++ = (uint8_t)alphabet[v & 63];
    }
    if (tail == 0) return;
    uint32_t v = (uint32_t)s.data[s.size - tail] << 16;
    if (tail == 2) v |= (uint32_t)s.data[s.size - 1] << 8;
    *out++ = (uint8_t)alphabet[v >> 18];
    *out++ = (uint8_t)alphabet[v >> 12 & 63];
    if (tail == 2) *out++ = (uint8_t)alphabet[v >> 6 & 63];
    for (size_t i = tail; pad && i < 3; i++) *out++ = '=';
}

void base64_append(struct buf *b, struct slice s)
{
    encode(b, s, STANDARD, true);
}

void base64url_append(struct buf *b, struct slice s)
{
    encode(b, s, URL_SAFE, false);
}

#define NO_SEXTET 0x80u

/* Of both alphabets, by the character. */
static const uint8_t SEXTETS[256] = {
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    0x80, 0x80, 0x80, 0x80, 0x80, 62,   0x80, 62,   0x80, 63,   52,   53,   54,   55,   56,   57,   58,   59,   60,
    61,   0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0,    1,    2,    3,    4,    5,    6,    7,    8,    9,    10,
    11,   12,   13,   14,   15,   16,   17,   18,   19,   20,   21,   22,   23,   24,   25,   0x80, 0x80, 0x80, 0x80,
    63,   0x80, 26,   27,   28,   29,   30,   31,   32,   33,   34,   35,   36,   37,   38,   39,   40,   41,   42,
    43,   44,   45,   46,   47,   48,   49,   50,   51,   0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
};

bool base64_decode(struct slice text, struct arena *a, struct slice *out)
{
    size_t n = text.size;
    if (n % 4 == 0) { /* padding is only right when it completes a group of four */
        if (n > 0 && text.data[n - 1] == '=') n--;
        if (n > 0 && n + 1 == text.size && text.data[n - 1] == '=') n--;
    }
    if (n % 4 == 1) return false;
    uint8_t *bytes = arena_alloc(a, n / 4 * 3 + 3);
    size_t size = 0;
    uint32_t v = 0;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const uint8_t *in = text.data + i;
        uint32_t a4 = SEXTETS[in[0]], b4 = SEXTETS[in[1]], c4 = SEXTETS[in[2]], d4 = SEXTETS[in[3]];
        if (((a4 | b4 | c4 | d4) & NO_SEXTET) != 0) return false;
        v = a4 << 18 | b4 << 12 | c4 << 6 | d4;
        bytes[size++] = (uint8_t)(v >> 16);
        bytes[size++] = (uint8_t)(v >> 8);
        bytes[size++] = (uint8_t)v;
    }
    for (v = 0; i < n; i++) {
        uint32_t six = SEXTETS[text.data[i]];
        if ((six & NO_SEXTET) != 0) return false;
        v = v << 6 | six;
    }
    if (n % 4 == 2) {
        if ((v & 15) != 0) return false; /* bits that no encoder leaves: two texts must not mean one key */
        bytes[size++] = (uint8_t)(v >> 4);
    } else if (n % 4 == 3) {
        if ((v & 3) != 0) return false;
        bytes[size++] = (uint8_t)(v >> 10);
        bytes[size++] = (uint8_t)(v >> 2);
    }
    *out = slice_make(bytes, size);
    return true;
}

/* Length of the well-formed sequence that starts at p, 0 if there is none (Unicode 15, table 3-7). */
static size_t utf8_sequence(const uint8_t *p, size_t left)
{
    uint8_t c = p[0];
    uint8_t low = 0x80, high = 0xbf; /* bounds of the second byte */
    size_t n;
    if (c < 0x80) return 1;
    if (c >= 0xc2 && c <= 0xdf)
        n = 2;
    else if (c >= 0xe0 && c <= 0xef)
        n = 3;
    else if (c >= 0xf0 && c <= 0xf4)
        n = 4;
    else
        return 0;
    if (c == 0xe0) low = 0xa0;
    if (c == 0xed) high = 0x9f;
    if (c == 0xf0) low = 0x90;
    if (c == 0xf4) high = 0x8f;
    if (left < n || p[1] < low || p[1] > high) return 0;
    for (size_t i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
    }
    return n;
}

bool utf8_valid(struct slice s)
{
    size_t i = 0;
    while (i < s.size) {
        uint64_t eight;
        if (s.size - i >= sizeof(eight)) { /* most text is ASCII: eight bytes a step */
            memcpy(&eight, s.data + i, sizeof(eight));
            if ((eight & 0x8080808080808080ull) == 0) {
                i += sizeof(eight);
                continue;
            }
        }
        size_t n = utf8_sequence(s.data + i, s.size - i);
        if (n == 0) return false;
        i += n;
    }
    return true;
}
