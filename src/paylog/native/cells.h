/* Where the values of regular records go: one Arrow column a slot, all in one piece of memory. */
#ifndef PAYLOG_CELLS_H
#define PAYLOG_CELLS_H
#include <stdint.h>
#include <string.h>

enum { STRING = 0, INTEGER = 1, DOUBLE = 2, BOOLEAN = 3, TIMESTAMP = 4 };

typedef struct {
    int32_t kind, elements, index;         /* elements: of the vector that this is one of, else 0 */
    int32_t nullable;                      /* whether the bit map is in use */
    int64_t values, valid, text;           /* where these begin; values of STRING are its offsets */
    int64_t room, nulls, used;             /* room and used: of text, in bytes */
} Slot;

typedef struct {
    uint8_t *memory;
    Slot *slots;
    int64_t count, row, most_rows;
    int64_t full;                          /* number of the slot that had no more room for a text, or -1 */
} Cells;

#define WITHIN __attribute__((visibility("hidden")))
WITHIN int paylog_integer(const uint8_t *s, const uint8_t *end, int64_t *value);
WITHIN int paylog_double(const uint8_t *s, const uint8_t *end, double *value);
WITHIN int paylog_boolean(const uint8_t *s, const uint8_t *end, uint8_t *value);
WITHIN int paylog_timestamp(const uint8_t *s, const uint8_t *end, int64_t *value);
enum { MISFIT = 0, FITS = 1, IS_NULL = 2 };

static inline void put_bit(uint8_t *bits, int64_t at, int bit) {
    bits[at >> 3] = (uint8_t)((bits[at >> 3] & ~(1 << (at & 7))) | bit << (at & 7));
}

static inline uint8_t *number_at(Cells *c, const Slot *s) {
    int64_t at = s->elements ? c->row * s->elements + s->index : c->row;
    return c->memory + s->values + 8 * at;
}

static inline void put_null(Cells *c, int slot) {
    Slot *s = &c->slots[slot];
    if (!s->nullable) {
        s->nullable = 1;
        memset(c->memory + s->valid, 0xFF, (c->most_rows + 7) / 8);
    }
    put_bit(c->memory + s->valid, c->row, 0);
    if (s->kind == STRING) {
        int32_t *offsets = (int32_t *)(c->memory + s->values);
        offsets[c->row + 1] = offsets[c->row];
    } else if (s->kind != BOOLEAN) {
        memset(number_at(c, s), 0, 8);
    }
}

/* limit: the end of what may be read behind the text. */
static inline int put_text(Cells *c, Slot *s, const uint8_t *text, int64_t size, const uint8_t *limit) {
    int32_t *offsets = (int32_t *)(c->memory + s->values) + c->row;
    uint8_t *to = c->memory + s->text + offsets[0];
    if (offsets[0] + size + 16 > s->room) { c->full = s - c->slots; return 0; }
    /* Mostly short: sixteen bytes at once, where there are as many to read. */
    if (size <= 16 && limit - text >= 16) memcpy(to, text, 16);
    else memcpy(to, text, size);
    offsets[1] = offsets[0] + (int32_t)size;
    return 1;
}

/* A value as its column's type: 0 where it does not fit, and Python has to say why. */
static inline int put(Cells *c, int slot, const uint8_t *text, int64_t size, const uint8_t *limit) {
    Slot *s = &c->slots[slot];
    int fits;
    if (s->kind == STRING) fits = put_text(c, s, text, size, limit);
    else if (s->kind == BOOLEAN) {
        uint8_t bit = 0;
        if ((fits = paylog_boolean(text, text + size, &bit))) put_bit(c->memory + s->values, c->row, bit);
    } else {
        uint8_t *to = number_at(c, s);
        if (s->kind == INTEGER) fits = paylog_integer(text, text + size, (int64_t *)to);
        else if (s->kind == DOUBLE) fits = paylog_double(text, text + size, (double *)to);
        else fits = paylog_timestamp(text, text + size, (int64_t *)to);
    }
    if (fits == IS_NULL) put_null(c, slot);
    else if (s->nullable) put_bit(c->memory + s->valid, c->row, 1);
    return fits;
}
#endif
