/* Base64 (RFC 4648 §4) → bytes. */
#include "cells.h"

/* Of the characters from the space to DEL: the digit and 1; 0 for those that are none. */
static const uint8_t DIGITS[96] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 63, 0, 0, 0, 64,
    53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 0, 0, 0, 0, 0, 0,
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
    16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 0, 0, 0, 0, 0,
    0, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41,
    42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 0, 0, 0, 0, 0,
};

static inline uint32_t digit(uint8_t c) { return (uint8_t)(c - 32) < 96 ? DIGITS[c - 32] : 0; }

/* Whole groups of four, the last one padded, nothing between them. Returns the size, or -1 where it is not that. */
int64_t paylog_unbase64(const uint8_t *text, int64_t size, uint8_t *to) {
    uint8_t *from = to;
    if (size < 4 || size % 4) return -1;
    int padding = text[size - 1] != '=' ? 0 : text[size - 2] != '=' ? 1 : 2;
    for (const uint8_t *end = text + size; text < end; text += 4, to += 3) {
        int missing = text + 4 == end ? padding : 0;
        uint32_t a = digit(text[0]), b = digit(text[1]);
        uint32_t c = missing > 1 ? 1 : digit(text[2]), d = missing ? 1 : digit(text[3]);
        if (!a || !b || !c || !d) return -1;
        uint32_t bits = (a - 1) << 18 | (b - 1) << 12 | (c - 1) << 6 | (d - 1);
        if (missing && bits & ((1u << 8 * missing) - 1)) return -1; /* not what an encoder writes */
        to[0] = bits >> 16;
        to[1] = bits >> 8;
        to[2] = bits;
    }
    return to - from - padding;
}
