/* Arrow columns → rows of PostgreSQL's binary COPY format (documentation: COPY, "Binary Format"). */
#include <stdint.h>
#include <string.h>

enum { STRING = 0, INT64 = 1, FLOAT64 = 2, TIMESTAMP = 3, BOOL = 4, FIXED = 5, VECTOR = 6, ALL_NULL = 7 };
#define FLOAT8_OID 701
#define SPARE 16 /* texts are written sixteen bytes at a time */
#define POSTGRES_EPOCH 946684800000000ll

typedef struct {
    int64_t kind, width, start;   /* start: the first row's index in the buffers */
    const uint8_t *valid;         /* bit map, or NULL without nulls */
    const int32_t *offsets;       /* STRING, VECTOR */
    const uint8_t *data, *end;    /* end: of what may be read */
} Column;

static inline uint8_t *put16(uint8_t *to, uint16_t v) {
    v = __builtin_bswap16(v);
    memcpy(to, &v, 2);
    return to + 2;
}

static inline uint8_t *put32(uint8_t *to, uint32_t v) {
    v = __builtin_bswap32(v);
    memcpy(to, &v, 4);
    return to + 4;
}

static inline uint8_t *put64(uint8_t *to, uint64_t v) {
    v = __builtin_bswap64(v);
    memcpy(to, &v, 8);
    return to + 8;
}

static inline uint64_t word64(const uint8_t *data, int64_t i) {
    uint64_t v;
    memcpy(&v, data + 8 * i, 8);
    return v;
}

static uint8_t *vector(uint8_t *to, const Column *c, int64_t i) {
    int32_t from = c->offsets[i], size = c->offsets[i + 1] - from;
    to = put32(to, size ? 20 + 12 * size : 12);
    to = put32(to, size != 0);
    to = put32(to, 0);
    to = put32(to, FLOAT8_OID);
    if (!size) return to;
    to = put32(to, size);
    to = put32(to, 1);
    for (int32_t k = 0; k < size; k++) to = put64(put32(to, 8), word64(c->data, from + k));
    return to;
}

/* What a row takes at most, but for its texts and the elements of its vectors. */
static int64_t fixed_part(const Column *columns, int32_t count) {
    int64_t size = 2 + SPARE;
    for (const Column *c = columns; c < columns + count; c++)
        size += 4 + (c->kind == VECTOR ? 20 : c->kind == FIXED ? c->width : 8);
    return size;
}

/* Rows from *first on, up to `end`, as many as `room` bytes take; *first is then the next one. Returns the
 * bytes written: none if a single row finds no room. */
int64_t paylog_copy_rows(const Column *columns, int32_t count, int64_t *first, int64_t end, uint8_t *out,
                         int64_t room) {
    int64_t fixed = fixed_part(columns, count);
    uint8_t *to = out, *limit = out + room - fixed;
    for (int64_t row = *first; row < end && to <= limit; row++) {
        uint8_t *begin = to;
        to = put16(to, (uint16_t)count);
        for (const Column *c = columns; c < columns + count; c++) {
            int64_t i = c->start + row;
            if (c->kind == ALL_NULL || (c->valid && !(c->valid[i >> 3] >> (i & 7) & 1))) {
                to = put32(to, 0xFFFFFFFFu);
                continue;
            }
            switch (c->kind) {
                case STRING: {
                    int32_t from = c->offsets[i], size = c->offsets[i + 1] - from;
                    if (size > limit - to) return begin - out;
                    to = put32(to, size);
                    const uint8_t *text = c->data + from;
                    if (size <= SPARE && c->end - text >= SPARE) memcpy(to, text, SPARE);
                    else if (size) memcpy(to, text, size); /* no text at all: no buffer either */
                    to += size;
                    break;
                }
                case INT64: case FLOAT64:
                    to = put64(put32(to, 8), word64(c->data, i));
                    break;
                case TIMESTAMP:
                    to = put64(put32(to, 8), word64(c->data, i) - (uint64_t)POSTGRES_EPOCH);
                    break;
                case BOOL:
                    to = put32(to, 1);
                    *to++ = c->data[i >> 3] >> (i & 7) & 1;
                    break;
                case FIXED:
                    to = put32(to, (uint32_t)c->width);
                    memcpy(to, c->data + c->width * i, c->width);
                    to += c->width;
                    break;
                default:
                    if (12 * (int64_t)(c->offsets[i + 1] - c->offsets[i]) > limit - to) return begin - out;
                    to = vector(to, c, i);
            }
        }
        *first = row + 1;
    }
    return to - out;
}
