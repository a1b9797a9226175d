/* Records of NDJSON → typed columns of the values that a record pattern wants.
 *
 * The pattern is a tree of nodes (see pattern.py). A record that fits it exactly, and whose values fit
 * their types, is regular: it becomes a row. Anything else (malformed JSON, a key twice, an escape where
 * a plain text is wanted, another number of cells, …) makes it irregular, and Python decodes it one by
 * one. So this code never has to explain what is wrong, only to be sure when nothing is.
 */
#include "cells.h"
#include "json.h"

enum { OBJECT = 0, SINGLE = 1, CELLS = 2, CSV_TEXT = 3, JSON_TEXT = 4, EXACT = 5, ABSENT = 6, VALUE = 7, BODY = 8,
       BASE64 = 9 };
#define MAX_DEPTH 64

typedef struct {
    int32_t kind, slot, first_child, next_sibling, accepts, required;
    int32_t name_at, name_size; /* object member's key, in the names buffer */
    int32_t text_at, text_size; /* EXACT: the bytes that the value must have */
} Node;

typedef struct {
    const Node *nodes;
    const uint8_t *names;
    uint8_t *scratch;           /* for unescaped JSON texts, as large as the data and 16 bytes more */
    Cells cells;
} Reader;

/* One call's work: from line and byte `line`, `at` on, until the data ends or there is no more room. */
typedef struct {
    int64_t at, line, rows, left, most;
    int64_t *row_lines, *row_starts;                /* of each regular line */
    int64_t *left_lines, *left_starts, *left_ends;  /* of each irregular one */
} Progress;

static int nested(Reader *r, Text *t, const Node *n, int depth);

static int skip(Text *t, int depth) {
    Token token;
    spaces(t);
    if (t->at >= t->end || depth > MAX_DEPTH) return 0;
    uint8_t open = *t->at;
    if (open != '{' && open != '[') return scalar(t, &token);
    uint8_t close = open == '{' ? '}' : ']';
    t->at++;
    if (closes(t, close)) return 1;
    do {
        if (open == '{') {
            spaces(t);
            if (t->at >= t->end || *t->at != '"' || !string(t, &token) || token.escaped) return 0;
            if (!closes(t, ':')) return 0;
        }
        if (!skip(t, depth + 1)) return 0;
    } while (closes(t, ','));
    return closes(t, close);
}

INLINE int wanted(Reader *r, Text *t, const Node *n) {
    Token token;
    if (!scalar(t, &token) || token.escaped || !(n->accepts & token.kind)) return 0;
    if (n->slot < 0) return 1;
    if (token.kind != NONE) return put(&r->cells, n->slot, token.start, token.size, t->end);
    return put_null(&r->cells, n->slot);
}

/* Most values are scalars, and not worth a call. */
INLINE int value(Reader *r, Text *t, const Node *n, int depth) {
    spaces(t);
    return n->kind == VALUE ? wanted(r, t, n) : nested(r, t, n, depth);
}

/* Whether this member's key and a colon come next; they are then passed. */
INLINE int follows(Reader *r, Text *t, const Node *n) {
    const uint8_t *at = t->at, *key = r->names + n->name_at;
    if (t->end - at < n->name_size + 3 || at[0] != '"' || at[n->name_size + 1] != '"' ||
        at[n->name_size + 2] != ':' || !same(at + 1, key, n->name_size)) return 0;
    t->at = at + n->name_size + 3;
    return 1;
}

/* The member of this key, searched from the expected one on; *bit is its number. */
static int member(Reader *r, const Node *n, const Token *key, int child, int *bit) {
    for (int pass = 0; pass < 2; pass++) {
        for (; child >= 0; child = r->nodes[child].next_sibling, ++*bit)
            if (r->nodes[child].name_size == key->size &&
                same(r->names + r->nodes[child].name_at, key->start, key->size)) return child;
        child = n->first_child;
        *bit = 0;
    }
    return -1;
}

static int object(Reader *r, Text *t, const Node *n, int depth) {
    uint64_t seen = 0;
    int next = n->first_child, next_bit = 0;
    if (t->at >= t->end || *t->at != '{') return 0;
    t->at++;
    if (!closes(t, '}')) {
        do {
            int child = next, bit = next_bit;
            spaces(t);
            if (child < 0 || !follows(r, t, &r->nodes[child])) { /* keys mostly come as in the example */
                Token key;
                if (t->at >= t->end || *t->at != '"' || !string(t, &key) || key.escaped) return 0;
                if (!closes(t, ':')) return 0;
                child = member(r, n, &key, child, &bit);
                if (child < 0) {
                    if (!skip(t, depth + 1)) return 0;
                    continue;
                }
            }
            if (seen >> bit & 1) return 0;
            seen |= 1ull << bit;
            next = r->nodes[child].next_sibling;
            next_bit = bit + 1;
            if (!value(r, t, &r->nodes[child], depth + 1)) return 0;
        } while (closes(t, ','));
        if (!closes(t, '}')) return 0;
    }
    int bit = 0;
    for (int child = n->first_child; child >= 0; child = r->nodes[child].next_sibling, bit++)
        if (r->nodes[child].required && !(seen >> bit & 1)) return 0;
    return 1;
}

static int array(Reader *r, Text *t, const Node *n, int depth) {
    if (t->at >= t->end || *t->at != '[') return 0;
    t->at++;
    for (int child = n->first_child; child >= 0;) {
        const Node *c = &r->nodes[child];
        if (!value(r, t, c, depth + 1)) return 0;
        child = c->next_sibling;
        if (child >= 0 && !closes(t, ',')) return 0;
    }
    return closes(t, ']');
}

/* One line of plain CSV in a JSON string; its line end, if it has one, is the escape \n. */
static int csv_text(Reader *r, Text *t, const Node *n) {
    if (t->at >= t->end || *t->at != '"' || n->first_child < 0) return 0;
    const uint8_t *first = t->at + 1, *cell = first, *s = first, *stop = NULL;
    uint32_t high = 0;
    for (int child = n->first_child; child >= 0; s += 16) {
        Marks m = marks(s, t->end);
        uint32_t plain = below(m.stop), commas = m.comma & plain;
        high |= m.high & plain;
        if (m.stop) stop = s + __builtin_ctz(m.stop);
        while (child >= 0 && (commas || stop)) {
            const uint8_t *end = commas ? s + __builtin_ctz(commas) : stop;
            const Node *c = &r->nodes[child];
            child = c->next_sibling;
            if ((child < 0) != !commas) return 0;
            commas &= commas - 1;
            if (c->slot < 0) ;
            else if (end == cell ? !put_null(&r->cells, c->slot) : !put(&r->cells, c->slot, cell, end - cell, t->end)) return 0;
            cell = end + 1;
        }
    }
    if (t->end - stop >= 3 && stop[0] == '\\' && stop[1] == 'n') t->at = stop + 2;
    else t->at = stop;
    if (t->at >= t->end || *t->at++ != '"' || stop == first) return 0;
    if (stop - first >= 3 && !memcmp(first, "\xEF\xBB\xBF", 3)) return 0; /* a byte order mark */
    return !high || utf8(first, stop);
}

/* The text of a JSON string, with its escapes resolved, into to. Returns its end; NULL for \u and defects. */
static uint8_t *unescaped(Text *t, uint8_t *to) {
    const uint8_t *s = t->at + 1;
    uint8_t *from = to;
    uint32_t high = 0;
    for (;;) {
        Marks m = marks(s, t->end);
        int plain = m.stop ? __builtin_ctz(m.stop) : 16;
        high |= m.high & below(m.stop);
        if (t->end - s >= 16) memcpy(to, s, 16);
        else memcpy(to, s, t->end - s < plain ? t->end - s : plain);
        s += plain;
        to += plain;
        if (!m.stop) continue;
        if (s >= t->end) return NULL;
        if (*s == '"') break;
        if (*s != '\\' || t->end - s < 2) return NULL;
        switch (s[1]) {
            case '"': case '\\': case '/': *to++ = s[1]; break;
            case 'n': *to++ = '\n'; break;
            case 't': *to++ = '\t'; break;
            case 'r': *to++ = '\r'; break;
            default: return NULL;
        }
        s += 2;
    }
    t->at = s + 1;
    return !high || utf8(from, to) ? to : NULL;
}

/* A JSON document in a JSON string, read by the child. */
static int json_text(Reader *r, Text *t, const Node *n, int depth) {
    if (t->at >= t->end || *t->at != '"') return 0;
    uint8_t *end = unescaped(t, r->scratch);
    if (!end) return 0;
    Text inner = {r->scratch, end, 0};
    if (!value(r, &inner, &r->nodes[n->first_child], depth + 1)) return 0;
    spaces(&inner);
    return inner.at == inner.end;
}

/* The very bytes of the example, which were valid JSON: an array or a string, so they end by themselves. */
static int exact(Reader *r, Text *t, const Node *n) {
    if (t->end - t->at < n->text_size || memcmp(t->at, r->names + n->text_at, n->text_size)) return 0;
    t->at += n->text_size;
    return 1;
}

/* An object or an array, as it is written. */
static int body(Reader *r, Text *t, const Node *n, int depth) {
    const uint8_t *from = t->at;
    if (from >= t->end || (*from != '{' && *from != '[') || !skip(t, depth)) return 0;
    return put(&r->cells, n->slot, from, t->at - from, t->end);
}

/* What stands in a string in base64 (RFC 4648 §4), if it may be a JSON object or array. */
static int base64_body(Reader *r, Text *t, const Node *n) {
    Token token;
    if (t->at >= t->end || *t->at != '"' || !string(t, &token) || token.escaped) return 0;
    int64_t size = paylog_unbase64(token.start, token.size, r->scratch);
    if (size < 1 || (r->scratch[0] != '{' && r->scratch[0] != '[')) return 0;
    return put(&r->cells, n->slot, r->scratch, size, r->scratch + size);
}

static int nested(Reader *r, Text *t, const Node *n, int depth) {
    if (depth > MAX_DEPTH) return 0;
    switch (n->kind) {
        case OBJECT: return object(r, t, n, depth);
        case SINGLE: case CELLS: return array(r, t, n, depth);
        case CSV_TEXT: return csv_text(r, t, n);
        case JSON_TEXT: return json_text(r, t, n, depth);
        case EXACT: return exact(r, t, n);
        case BODY: return body(r, t, n, depth);
        case BASE64: return base64_body(r, t, n);
        default: return 0; /* ABSENT: the key must not be there */
    }
}

static const uint8_t *line_end(const uint8_t *at, const uint8_t *end) {
    const uint8_t *found = memchr(at, '\n', end - at);
    return found ? found : end;
}

/* Leaves in each slot how much text it used and how many nulls it has. */
static void close_columns(Cells *c) {
    for (Slot *s = c->slots; s < c->slots + c->count; s++) {
        if (is_text(s)) s->used = ((int32_t *)(c->memory + s->values))[c->row];
        s->nulls = 0;
        for (int64_t i = 0; s->nullable && i < c->row; i++)
            s->nulls += !(c->memory[s->valid + (i >> 3)] >> (i & 7) & 1);
    }
}

/* Reads lines until the data ends, there are `most` regular or irregular ones (-1), or a text finds no more
 * room in its column: that slot's number. optional: the slots that a regular record may lack. */
int64_t paylog_scan(const uint8_t *data, int64_t size, const Node *nodes, const uint8_t *names,
                    uint8_t *scratch, uint8_t *memory, Slot *slots, int64_t count,
                    const int32_t *optional, int64_t optionals, Progress *p) {
    Reader r = {nodes, names, scratch, {memory, slots, count, 0, p->most, -1}};
    Cells *c = &r.cells;
    const uint8_t *end = data + size, *at = data + p->at;
    for (int64_t i = 0; i < count; i++) {
        slots[i].nullable = 0;
        if (is_text(&slots[i])) *(int32_t *)(memory + slots[i].values) = 0;
    }
    p->left = 0;
    while (at < end && c->row < p->most && p->left < p->most) {
        Text t = {at, end, 1};
        for (int64_t i = 0; i < optionals; i++) put_null(c, optional[i]);
        int ok = value(&r, &t, nodes, 0);
        if (ok) { spaces(&t); ok = t.at == end || *t.at == '\n'; }
        if (c->full >= 0) break;
        if (ok) {
            p->row_lines[c->row] = p->line;
            p->row_starts[c->row++] = at - data;
            at = t.at;
        } else {
            const uint8_t *from = at;
            at = line_end(at, end);
            t = (Text){from, at, 1};
            spaces(&t);
            if (t.at < at) {
                p->left_lines[p->left] = p->line;
                p->left_starts[p->left] = from - data;
                p->left_ends[p->left++] = at - data;
            }
        }
        p->line++;
        at++;
    }
    p->at = at < end ? at - data : size;
    p->rows = c->row;
    close_columns(c);
    return c->full;
}
