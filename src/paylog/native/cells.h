/* Where the values of regular records go: one Arrow column a slot, all in one piece of memory. */
#ifndef PAYLOG_CELLS_H
#define PAYLOG_CELLS_H
#include <stdint.h>
#include <string.h>

enum { STRING = 0, INTEGER = 1, DOUBLE = 2, BOOLEAN = 3, TIMESTAMP = 4, FIRST_ROW = 5, ROUNDED = 6 };

/* A column, and what its values must be for a record to be regular. */
typedef struct {
    int32_t kind, elements, index;         /* elements: of the vector that this is one of, else 0 */
    int32_t rest;                          /* the vector's element that is 1 less this one, or -1 */
    int32_t required;                      /* no nulls */
    int32_t nullable;                      /* whether the bit map is in use */
    int64_t values, valid, text;           /* where these begin; values of STRING are its offsets */
    int64_t room, nulls, used;             /* room and used: of text, in bytes */
    int64_t least, most;                   /* of TIMESTAMP */
    const uint8_t *labels;                 /* all that STRING (size and text each) or INTEGER may be, or NULL */
    int64_t labels_size;                   /* in bytes */
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
WITHIN int paylog_rounded(const uint8_t *s, const uint8_t *end, int64_t *value);
WITHIN int paylog_boolean(const uint8_t *s, const uint8_t *end, uint8_t *value);
WITHIN int paylog_timestamp(const uint8_t *s, const uint8_t *end, int64_t *value);
WITHIN int64_t paylog_unbase64(const uint8_t *text, int64_t size, uint8_t *to);
enum { MISFIT = 0, FITS = 1, IS_NULL = 2 };

static inline void put_bit(uint8_t *bits, int64_t at, int bit) {
    bits[at >> 3] = (uint8_t)((bits[at >> 3] & ~(1 << (at & 7))) | bit << (at & 7));
}

static inline uint8_t *number_at(Cells *c, const Slot *s) {
    int64_t at = s->elements ? c->row * s->elements + s->index : c->row;
    return c->memory + s->values + 8 * at;
}

static inline int is_text(const Slot *s) { return s->kind == STRING || s->kind == FIRST_ROW; }

/* Returns 0 where there must be a value. */
static inline int put_null(Cells *c, int slot) {
    Slot *s = &c->slots[slot];
    if (s->required) return 0;
    if (!s->nullable) {
        s->nullable = 1;
        memset(c->memory + s->valid, 0xFF, (c->most_rows + 7) / 8);
    }
    put_bit(c->memory + s->valid, c->row, 0);
    if (is_text(s)) {
        int32_t *offsets = (int32_t *)(c->memory + s->values);
        offsets[c->row + 1] = offsets[c->row];
    } else if (s->kind != BOOLEAN) {
        memset(number_at(c, s), 0, 8);
    }
    return 1;
}

/* limit: the end of what may be read behind the text. */
static inline int put_text(Cells *c, Slot *s, const uint8_t *text, int64_t size, const uint8_t *limit) {
    int32_t *offsets = (int32_t *)(c->memory + s->values) + c->row;
    uint8_t *to = c->memory + s->text + offsets[0];
    if (offsets[0] + size + 16 > s->room) { c->full = s - c->slots; return MISFIT; }
    /* Mostly short: sixteen bytes at once, where there are as many to read. */
    if (size <= 16 && limit - text >= 16) memcpy(to, text, 16);
    else memcpy(to, text, size);
    if (s->kind == FIRST_ROW) { /* the scoring id of an event's first row */
        if (!size) return MISFIT;
        memcpy(to + size, "-1", 2);
        size += 2;
    }
    offsets[1] = offsets[0] + (int32_t)size;
    return FITS;
}

static inline int is_label(const Slot *s, const uint8_t *text, int64_t size) {
    for (const uint8_t *at = s->labels, *end = at + s->labels_size; at < end;) {
        int64_t width;
        memcpy(&width, at, 8);
        if (width == size && !memcmp(at + 8, text, size)) return FITS;
        at += 8 + width;
    }
    return MISFIT;
}

static inline int put_number(Cells *c, Slot *s, const uint8_t *text, const uint8_t *end) {
    uint8_t *to = number_at(c, s);
    int64_t whole;
    double number;
    int fits;
    if (s->kind == DOUBLE) {
        if ((fits = paylog_double(text, end, &number)) != FITS) return fits;
        memcpy(to, &number, 8);
        if (s->rest < 0) return FITS;
        number = 1 - number;
        memcpy(to + 8 * (s->rest - s->index), &number, 8);
        return FITS;
    }
    if (s->kind == INTEGER) fits = paylog_integer(text, end, &whole);
    else if (s->kind == TIMESTAMP) fits = paylog_timestamp(text, end, &whole);
    else fits = paylog_rounded(text, end, &whole);
    if (fits != FITS) return fits;
    memcpy(to, &whole, 8);
    if (s->kind == TIMESTAMP) return whole >= s->least && whole <= s->most;
    for (int64_t i = 0; s->labels; i += 8) {
        if (i == s->labels_size) return MISFIT;
        if (!memcmp(s->labels + i, &whole, 8)) break;
    }
    return FITS;
}

/* A value as its column's type: 0 where it does not fit, and Python has to say why. */
static inline int put(Cells *c, int slot, const uint8_t *text, int64_t size, const uint8_t *limit) {
    Slot *s = &c->slots[slot];
    int fits;
    if (is_text(s)) fits = (!s->labels || is_label(s, text, size)) && put_text(c, s, text, size, limit);
    else if (s->kind == BOOLEAN) {
        uint8_t bit = 0;
        if ((fits = paylog_boolean(text, text + size, &bit))) put_bit(c->memory + s->values, c->row, bit);
    } else fits = put_number(c, s, text, text + size);
    if (fits == IS_NULL) return put_null(c, slot);
    if (s->nullable) put_bit(c->memory + s->valid, c->row, 1);
    return fits;
}
#endif
