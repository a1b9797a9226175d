/* Scoring ids and record ids of rows (see identity.py).
 *
 * XXH3-128 as specified in xxHash's doc/xxhash_spec.md, "XXH3 Algorithm Overview", for texts of up to
 * 128 bytes. Longer ones are left to Python.
 */
#include <stdint.h>
#include <string.h>

#define P32_2 0x85EBCA77u
#define P64_1 0x9E3779B185EBCA87ull
#define P64_2 0xC2B2AE3D27D4EB4Full
#define P64_3 0x165667B19E3779F9ull
#define P64_4 0x85EBCA77C2B2AE63ull
#define MX_1 0x165667919E3779F9ull
#define MX_2 0x9FB21C651E98DF25ull
#define LONGEST 128

static const uint8_t secret[LONGEST] = {
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
    0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
    0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
    0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
    0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
    0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64};

typedef struct {
    uint64_t low, high;
} Pair;

/* Little endian, as every platform that paylog is built for. */
static inline uint64_t word(const uint8_t *at) {
    uint64_t v;
    memcpy(&v, at, 8);
    return v;
}

static inline uint64_t half(const uint8_t *at) {
    uint32_t v;
    memcpy(&v, at, 4);
    return v;
}

static inline uint64_t keys(int at) { return word(secret + at) ^ word(secret + at + 8); }

static inline Pair product(uint64_t a, uint64_t b) {
#ifdef __SIZEOF_INT128__
    unsigned __int128 p = (unsigned __int128)a * b;
    return (Pair){(uint64_t)p, (uint64_t)(p >> 64)};
#else
    uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    uint64_t middle = ah * bl + (al * bl >> 32), other = al * bh + (uint32_t)middle;
    return (Pair){other << 32 | (uint32_t)(al * bl), ah * bh + (middle >> 32) + (other >> 32)};
#endif
}

static inline uint64_t shuffled(uint64_t h) {
    h = (h ^ h >> 37) * MX_1;
    return h ^ h >> 32;
}

static inline uint64_t shuffled_64(uint64_t h) {
    h = (h ^ h >> 33) * P64_2;
    h = (h ^ h >> 29) * P64_3;
    return h ^ h >> 32;
}

static Pair to_3(const uint8_t *s, uint64_t size, uint64_t seed) {
    uint32_t low = (uint32_t)(s[0] << 16 | (uint32_t)s[size >> 1] << 24 | s[size - 1] | size << 8);
    uint32_t high = __builtin_bswap32(low);
    high = high << 13 | high >> 19;
    return (Pair){shuffled_64(low ^ ((half(secret) ^ half(secret + 4)) + seed)),
                  shuffled_64(high ^ ((half(secret + 8) ^ half(secret + 12)) - seed))};
}

static Pair to_8(const uint8_t *s, uint64_t size, uint64_t seed) {
    seed ^= (uint64_t)__builtin_bswap32((uint32_t)seed) << 32;
    uint64_t text = half(s) + (half(s + size - 4) << 32);
    Pair m = product(text ^ (keys(16) + seed), P64_1 + (size << 2));
    m.high += m.low << 1;
    m.low ^= m.high >> 3;
    m.low = (m.low ^ m.low >> 35) * MX_2;
    return (Pair){m.low ^ m.low >> 28, shuffled(m.high)};
}

static Pair to_16(const uint8_t *s, uint64_t size, uint64_t seed) {
    uint64_t low = word(s), high = word(s + size - 8);
    Pair m = product(low ^ high ^ (keys(32) - seed), P64_1);
    m.low += (size - 1) << 54;
    high ^= keys(48) + seed;
    m.high += high + (uint64_t)(uint32_t)high * (P32_2 - 1);
    m.low ^= __builtin_bswap64(m.high);
    Pair h = product(m.low, P64_2);
    return (Pair){shuffled(h.low), shuffled(h.high + m.high * P64_2)};
}

static inline uint64_t mixed(const uint8_t *s, int at, uint64_t seed) {
    Pair p = product(word(s) ^ (word(secret + at) + seed), word(s + 8) ^ (word(secret + at + 8) - seed));
    return p.low ^ p.high;
}

static Pair to_128(const uint8_t *s, uint64_t size, uint64_t seed) {
    Pair sum = {size * P64_1, 0};
    for (int i = (int)((size - 1) / 32); i >= 0; i--) { /* from both ends, the inner pair first */
        const uint8_t *front = s + 16 * i, *back = s + size - 16 * (i + 1);
        sum.low = (sum.low + mixed(front, 32 * i, seed)) ^ (word(back) + word(back + 8));
        sum.high = (sum.high + mixed(back, 32 * i + 16, seed)) ^ (word(front) + word(front + 8));
    }
    uint64_t high = sum.low * P64_1 + sum.high * P64_4 + (size - seed) * P64_2;
    return (Pair){shuffled(sum.low + sum.high), 0 - shuffled(high)};
}

/* XXH3-128 of each text, 16 bytes big endian. Returns 0 if one is empty or too long, and all is void. */
int64_t paylog_record_ids(const int32_t *offsets, const uint8_t *texts, int64_t rows, uint64_t seed,
                          uint8_t *ids) {
    for (int64_t i = 0; i < rows; i++, ids += 16) {
        const uint8_t *s = texts + offsets[i];
        int64_t size = offsets[i + 1] - offsets[i];
        if (size < 1 || size > LONGEST) return 0;
        Pair h = size > 16 ? to_128(s, size, seed) : size > 8 ? to_16(s, size, seed)
               : size > 3  ? to_8(s, size, seed)   : to_3(s, size, seed);
        h = (Pair){__builtin_bswap64(h.low), __builtin_bswap64(h.high)};
        memcpy(ids, &h.high, 8);
        memcpy(ids + 8, &h.low, 8);
    }
    return 1;
}

/* Each event id and "-1", the scoring id of its first row. Returns the bytes written; 0 if an event id is empty. */
int64_t paylog_first_rows(const int32_t *offsets, const uint8_t *texts, int64_t rows, int32_t *to_offsets,
                          uint8_t *to) {
    const uint8_t *first = to;
    for (int64_t i = 0; i < rows; i++) {
        int32_t size = offsets[i + 1] - offsets[i];
        if (!size) return 0;
        *to_offsets++ = (int32_t)(to - first);
        memcpy(to, texts + offsets[i], size);
        memcpy(to + size, "-1", 2);
        to += size + 2;
    }
    *to_offsets = (int32_t)(to - first);
    return to - first;
}
