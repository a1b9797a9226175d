/* Reading JSON's tokens (RFC 8259) where they stand, sixteen bytes at a time. */
#ifndef PAYLOG_JSON_H
#define PAYLOG_JSON_H
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))

/* What is being read: NDJSON, or one JSON text that stood in a string of it. */
typedef struct {
    const uint8_t *at, *end;
    int lines;                    /* a line end is the end of a record, no white space in it */
} Text;

typedef struct {
    const uint8_t *start;
    int64_t size;                 /* of a string: of what stands between its quotes */
    int kind, escaped;            /* TEXT … NONE; whether a \ is in it */
} Token;

enum { TEXT = 1, NUMBER = 2, LITERAL = 4, NONE = 8 };

/* One bit for each of sixteen bytes: those that may end a string's plain part, commas, non-ASCII. */
typedef struct {
    uint32_t stop, comma, high;
} Marks;

INLINE Marks marks_of(const uint8_t *s) {
#ifdef __SSE2__
    __m128i w = _mm_loadu_si128((const __m128i *)s);
    __m128i stop = _mm_or_si128(
        _mm_or_si128(_mm_cmpeq_epi8(w, _mm_set1_epi8('"')), _mm_cmpeq_epi8(w, _mm_set1_epi8('\\'))),
        _mm_cmpeq_epi8(_mm_min_epu8(w, _mm_set1_epi8(0x1F)), w));
    return (Marks){(uint32_t)_mm_movemask_epi8(stop),
                   (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(w, _mm_set1_epi8(','))),
                   (uint32_t)_mm_movemask_epi8(w)};
#else
    Marks m = {0, 0, 0};
    for (int i = 0; i < 16; i++) {
        m.stop |= (uint32_t)(s[i] == '"' || s[i] == '\\' || s[i] < 0x20) << i;
        m.comma |= (uint32_t)(s[i] == ',') << i;
        m.high |= (uint32_t)(s[i] >> 7) << i;
    }
    return m;
#endif
}

/* Of the bytes from s on; behind the end there are zeros, which stop. */
INLINE Marks marks(const uint8_t *s, const uint8_t *end) {
    if (end - s >= 16) return marks_of(s);
    uint8_t rest[16] = {0};
    memcpy(rest, s, end - s);
    return marks_of(rest);
}

static inline uint32_t below(uint32_t bit) { return bit ? (bit & -bit) - 1 : 0xFFFF; }

INLINE void spaces(Text *t) {
    if (t->at < t->end && *t->at > ' ') return;
    while (t->at < t->end &&
           (*t->at == ' ' || *t->at == '\t' || *t->at == '\r' || (*t->at == '\n' && !t->lines))) t->at++;
}

INLINE int closes(Text *t, uint8_t mark) {
    spaces(t);
    if (t->at < t->end && *t->at == mark) { t->at++; return 1; }
    return 0;
}

static __attribute__((noinline)) int utf8(const uint8_t *s, const uint8_t *end) {
    while (s < end) {
        uint8_t c = *s;
        int more;
        uint32_t code;
        if (c < 0x80) { s++; continue; }
        if (c >= 0xC2 && c <= 0xDF) { more = 1; code = c & 0x1F; }
        else if ((c & 0xF0) == 0xE0) { more = 2; code = c & 0x0F; }
        else if (c >= 0xF0 && c <= 0xF4) { more = 3; code = c & 0x07; }
        else return 0;
        if (end - s <= more) return 0;
        for (int i = 1; i <= more; i++) {
            if ((s[i] & 0xC0) != 0x80) return 0;
            code = code << 6 | (s[i] & 0x3F);
        }
        if ((more == 2 && (code < 0x800 || (code >= 0xD800 && code <= 0xDFFF))) ||
            (more == 3 && (code < 0x10000 || code > 0x10FFFF))) return 0;
        s += more + 1;
    }
    return 1;
}

/* Passes an escape whose \ is at s; NULL where it is none, or is half a character: Python looks for the other. */
static __attribute__((noinline)) const uint8_t *escape(const uint8_t *s, const uint8_t *end) {
    if (end - s < 2) return NULL;
    if (s[1] != 'u') return s[1] && strchr("\"\\/bfnrt", s[1]) ? s + 2 : NULL;
    if (end - s < 6 || ((s[2] | 32) == 'd' && s[3] >= '8')) return NULL;
    for (int i = 2; i < 6; i++)
        if (!((s[i] >= '0' && s[i] <= '9') || ((s[i] | 32) >= 'a' && (s[i] | 32) <= 'f'))) return NULL;
    return s + 6;
}

/* A string, its opening quote next. */
INLINE int string(Text *t, Token *token) {
    const uint8_t *s = t->at + 1, *end = t->end;
    uint32_t high = 0;
    token->start = s;
    token->escaped = 0;
    for (;;) {
        Marks m = marks(s, end);
        high |= m.high & below(m.stop);
        if (!m.stop) { s += 16; continue; }
        s += __builtin_ctz(m.stop);
        if (s >= end || *s < 0x20) return 0;
        if (*s == '"') break;
        token->escaped = 1;
        if (!(s = escape(s, end))) return 0;
    }
    token->kind = TEXT;
    token->size = s - token->start;
    t->at = s + 1;
    return !high || utf8(token->start, s);
}

/* memcmp for short texts of any length. */
INLINE int same(const uint8_t *a, const uint8_t *b, int64_t size) {
    uint64_t x, y;
    if (size < 8) {
        while (size > 0 && a[size - 1] == b[size - 1]) size--;
        return size == 0;
    }
    for (int64_t at = 0;; at = at + 16 <= size ? at + 8 : size - 8) {
        memcpy(&x, a + at, 8);
        memcpy(&y, b + at, 8);
        if (x != y) return 0;
        if (at + 8 == size) return 1;
    }
}

static inline int digits(Text *t) {
    const uint8_t *from = t->at;
    while (t->at < t->end && (uint8_t)(*t->at - '0') < 10) t->at++;
    return t->at > from;
}

static inline int number(Text *t) {
    if (*t->at == '-') t->at++;
    if (t->at < t->end && *t->at == '0') t->at++;
    else if (!digits(t)) return 0;
    if (t->at < t->end && *t->at == '.') { t->at++; if (!digits(t)) return 0; }
    if (t->at < t->end && (*t->at | 32) == 'e') {
        t->at++;
        if (t->at < t->end && (*t->at == '+' || *t->at == '-')) t->at++;
        if (!digits(t)) return 0;
    }
    return 1;
}

static inline int word(Text *t, const char *text, int size) {
    if (t->end - t->at < size || memcmp(t->at, text, size)) return 0;
    t->at += size;
    return 1;
}

INLINE int scalar(Text *t, Token *token) {
    if (t->at >= t->end) return 0;
    if (*t->at == '"') return string(t, token);
    token->start = t->at;
    token->escaped = 0;
    int ok;
    switch (*t->at) {
        case 't': token->kind = LITERAL; ok = word(t, "true", 4); break;
        case 'f': token->kind = LITERAL; ok = word(t, "false", 5); break;
        case 'n': token->kind = NONE; ok = word(t, "null", 4); break;
        default:
            token->kind = NUMBER;
            ok = (*t->at == '-' || (uint8_t)(*t->at - '0') < 10) && number(t);
    }
    token->size = t->at - token->start;
    return ok;
}
#endif
