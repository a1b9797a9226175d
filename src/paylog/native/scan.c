/* Records of NDJSON → spans of the values that a record pattern wants.
 *
 * The pattern is a tree of nodes (see pattern.py). A record that fits it exactly is regular: the
 * span of each wanted value is noted. Anything else (malformed JSON, a key twice, an escape where
 * a plain text is wanted, another number of cells, …) makes it irregular, and Python decodes it
 * one by one. So this code never has to explain what is wrong, only to be sure when nothing is.
 */
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { OBJECT = 0, SINGLE = 1, CELLS = 2, CSV_TEXT = 3, JSON_TEXT = 4, EXACT = 5, ABSENT = 6, VALUE = 7 };
enum { TEXT = 1, NUMBER = 2, LITERAL = 4, NONE = 8 };
enum { REGULAR = 0, IRREGULAR = 1, BLANK = 2 };
#define MAX_DEPTH 64

typedef struct {
    int32_t kind, slot, first_child, next_sibling, accepts, required;
    int32_t name_at, name_size; /* object member's key, in the names buffer */
    int32_t text_at, text_size; /* EXACT: the bytes that the value must have */
} Node;

typedef struct {
    const uint8_t *at, *end;      /* what is being read: the record, or an unescaped text in it */
    const uint8_t *base;          /* spans are counted from here */
    const Node *nodes;
    const uint8_t *names;
    int32_t *spans;               /* this record's: start, size by slot; size -1 is null */
    uint8_t *scratch;             /* unescaped JSON texts */
    int64_t scratch_used, scratch_size;
} Reader;

static int value(Reader *r, int node, int depth);

static inline void spaces(Reader *r) {
    if (r->at < r->end && *r->at > ' ') return;
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\r' || *r->at == '\n')) r->at++;
}

static int utf8(const uint8_t *s, const uint8_t *end) {
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

/* A string; *start and *size are what stands between the quotes, *escaped whether a \ does. */
static int string(Reader *r, const uint8_t **start, int64_t *size, int *escaped) {
    const uint8_t *s = r->at + 1, *end = r->end;
    uint8_t high = 0;
    *start = s;
    *escaped = 0;
    for (;;) {
#ifdef __SSE2__
        while (end - s >= 16) { /* sixteen bytes at a time while none is a quote, a \ or a control */
            __m128i w = _mm_loadu_si128((const __m128i *)s);
            __m128i stop = _mm_or_si128(
                _mm_or_si128(_mm_cmpeq_epi8(w, _mm_set1_epi8('"')), _mm_cmpeq_epi8(w, _mm_set1_epi8('\\'))),
                _mm_cmpeq_epi8(_mm_min_epu8(w, _mm_set1_epi8(0x1F)), w));
            int found = _mm_movemask_epi8(stop), tops = _mm_movemask_epi8(w);
            if (found) {
                int plain = __builtin_ctz(found);
                high |= (tops & ((1 << plain) - 1)) != 0;
                s += plain;
                break;
            }
            high |= tops != 0;
            s += 16;
        }
#else
        while (end - s >= 8) { /* eight bytes at a time while none is a quote, a \ or a control */
            uint64_t w;
            memcpy(&w, s, 8);
            uint64_t q = w ^ 0x2222222222222222ull, b = w ^ 0x5C5C5C5C5C5C5C5Cull;
            uint64_t stop = ((q - 0x0101010101010101ull) & ~q) | ((b - 0x0101010101010101ull) & ~b) |
                            ((w - 0x2020202020202020ull) & ~w);
            if (stop & 0x8080808080808080ull) break;
            high |= (w & 0x8080808080808080ull) != 0;
            s += 8;
        }
#endif
        if (s >= end) return 0;
        uint8_t c = *s;
        if (c == '"') break;
        if (c < 0x20) return 0;
        high |= c >> 7;
        if (c == '\\') {
            *escaped = 1;
            if (end - s < 2) return 0;
            s++;
            if (*s == 'u') {
                if (end - s < 5) return 0;
                for (int i = 1; i <= 4; i++) {
                    uint8_t h = s[i];
                    if (!((h >= '0' && h <= '9') || ((h | 32) >= 'a' && (h | 32) <= 'f'))) return 0;
                }
                if ((s[1] | 32) == 'd' && s[2] >= '8') return 0; /* half a character: Python looks for the other */
                s += 4;
            } else if (*s == 0 || !strchr("\"\\/bfnrt", *s)) return 0;
        }
        s++;
    }
    *size = s - *start;
    r->at = s + 1;
    return !high || utf8(*start, s);
}

static int digits(Reader *r) {
    const uint8_t *from = r->at;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9') r->at++;
    return r->at > from;
}

static int number(Reader *r) {
    if (*r->at == '-') r->at++;
    if (r->at < r->end && *r->at == '0') r->at++;
    else if (!digits(r)) return 0;
    if (r->at < r->end && *r->at == '.') { r->at++; if (!digits(r)) return 0; }
    if (r->at < r->end && (*r->at | 32) == 'e') {
        r->at++;
        if (r->at < r->end && (*r->at == '+' || *r->at == '-')) r->at++;
        if (!digits(r)) return 0;
    }
    return 1;
}

static int word(Reader *r, const char *text, int size) {
    if (r->end - r->at < size || memcmp(r->at, text, size)) return 0;
    r->at += size;
    return 1;
}

/* A scalar. *kind is one of TEXT … NONE; a string's span is without its quotes. */
static int scalar(Reader *r, const uint8_t **start, int64_t *size, int *kind, int *escaped) {
    *escaped = 0;
    if (r->at >= r->end) return 0;
    if (*r->at == '"') { *kind = TEXT; return string(r, start, size, escaped); }
    *start = r->at;
    int ok;
    switch (*r->at) {
        case 't': *kind = LITERAL; ok = word(r, "true", 4); break;
        case 'f': *kind = LITERAL; ok = word(r, "false", 5); break;
        case 'n': *kind = NONE; ok = word(r, "null", 4); break;
        default: *kind = NUMBER; ok = (*r->at == '-' || (*r->at >= '0' && *r->at <= '9')) && number(r);
    }
    *size = r->at - *start;
    return ok;
}

static int closes(Reader *r, uint8_t mark) {
    spaces(r);
    if (r->at < r->end && *r->at == mark) { r->at++; return 1; }
    return 0;
}

static int comma(Reader *r) { return closes(r, ','); }

static int skip(Reader *r, int depth) {
    const uint8_t *start;
    int64_t size;
    int kind, escaped;
    spaces(r);
    if (r->at >= r->end || depth > MAX_DEPTH) return 0;
    uint8_t open = *r->at;
    if (open != '{' && open != '[') return scalar(r, &start, &size, &kind, &escaped);
    uint8_t close = open == '{' ? '}' : ']';
    r->at++;
    if (closes(r, close)) return 1;
    do {
        if (open == '{') {
            spaces(r);
            if (r->at >= r->end || *r->at != '"' || !string(r, &start, &size, &escaped) || escaped) return 0;
            if (!closes(r, ':')) return 0;
        }
        if (!skip(r, depth + 1)) return 0;
    } while (comma(r));
    return closes(r, close);
}

static void note(Reader *r, int slot, const uint8_t *start, int64_t size) {
    if (slot < 0) return;
    r->spans[2 * slot] = (int32_t)(start - r->base);
    r->spans[2 * slot + 1] = (int32_t)size;
}

static int wanted(Reader *r, const Node *n) {
    const uint8_t *start;
    int64_t size;
    int kind, escaped;
    if (!scalar(r, &start, &size, &kind, &escaped) || escaped || !(n->accepts & kind)) return 0;
    note(r, n->slot, start, kind == NONE ? -1 : size);
    return 1;
}

/* Whether this member's key and a colon come next; they are then passed. */
static inline int follows(Reader *r, const Node *n) {
    const uint8_t *at = r->at, *key = r->names + n->name_at;
    if (r->end - at < n->name_size + 3 || at[0] != '"' || at[n->name_size + 1] != '"' ||
        at[n->name_size + 2] != ':' || memcmp(at + 1, key, n->name_size)) return 0;
    r->at = at + n->name_size + 3;
    return 1;
}

static int object(Reader *r, const Node *n, int depth) {
    uint64_t seen = 0;
    int hint = n->first_child, hint_bit = 0;
    if (r->at >= r->end || *r->at != '{') return 0;
    r->at++;
    if (!closes(r, '}')) {
        do {
            const uint8_t *key;
            int64_t size;
            int escaped;
            spaces(r);
            if (hint >= 0 && follows(r, &r->nodes[hint])) { /* keys mostly come as in the example */
                if (seen >> hint_bit & 1) return 0;
                seen |= 1ull << hint_bit;
                int child = hint;
                hint = r->nodes[child].next_sibling;
                hint_bit++;
                if (!value(r, child, depth + 1)) return 0;
                continue;
            }
            if (r->at >= r->end || *r->at != '"' || !string(r, &key, &size, &escaped) || escaped) return 0;
            if (!closes(r, ':')) return 0;
            int child = hint, bit = hint_bit;
            for (int pass = 0; pass < 2; pass++) {
                while (child >= 0 && (r->nodes[child].name_size != size ||
                       memcmp(r->names + r->nodes[child].name_at, key, size))) {
                    child = r->nodes[child].next_sibling;
                    bit++;
                }
                if (child >= 0 || pass) break;
                child = n->first_child;
                bit = 0;
            }
            if (child < 0) {
                if (!skip(r, depth + 1)) return 0;
                continue;
            }
            if (seen >> bit & 1) return 0;
            seen |= 1ull << bit;
            hint = r->nodes[child].next_sibling;
            hint_bit = bit + 1;
            if (!value(r, child, depth + 1)) return 0;
        } while (comma(r));
        if (!closes(r, '}')) return 0;
    }
    int bit = 0;
    for (int child = n->first_child; child >= 0; child = r->nodes[child].next_sibling, bit++)
        if (r->nodes[child].required && !(seen >> bit & 1)) return 0;
    return 1;
}

static int array(Reader *r, const Node *n, int depth) {
    if (r->at >= r->end || *r->at != '[') return 0;
    r->at++;
    for (int child = n->first_child; child >= 0; child = r->nodes[child].next_sibling) {
        if (child != n->first_child && !comma(r)) return 0;
        if (!value(r, child, depth + 1)) return 0;
    }
    return closes(r, ']');
}

/* One line of plain CSV in a JSON string; its line end, if it has one, is the escape \n. */
static int csv_text(Reader *r, const Node *n) {
    const uint8_t *start;
    int64_t size;
    int escaped;
    if (r->at >= r->end || *r->at != '"' || !string(r, &start, &size, &escaped)) return 0;
    if (escaped) {
        if (size < 2 || start[size - 2] != '\\' || start[size - 1] != 'n') return 0;
        size -= 2;
        if (memchr(start, '\\', size)) return 0;
    }
    if (!size || (size >= 3 && !memcmp(start, "\xEF\xBB\xBF", 3))) return 0; /* empty; a byte order mark */
    const uint8_t *end = start + size;
    for (int child = n->first_child; child >= 0; child = r->nodes[child].next_sibling) {
        const uint8_t *stop = start;
        while (stop < end && *stop != ',') stop++;
        int last = r->nodes[child].next_sibling < 0;
        if (last != (stop == end)) return 0;
        note(r, r->nodes[child].slot, start, stop == start ? -1 : stop - start);
        start = stop + 1;
    }
    return 1;
}

/* A JSON document in a JSON string: unescaped into the scratch buffer, then read by the children. */
static int json_text(Reader *r, const Node *n, int depth) {
    const uint8_t *start;
    int64_t size;
    int escaped;
    if (r->at >= r->end || *r->at != '"' || !string(r, &start, &size, &escaped)) return 0;
    if (r->scratch_used + size > r->scratch_size) return 0;
    uint8_t *to = r->scratch + r->scratch_used;
    const uint8_t *from = start, *end = start + size;
    while (from < end) {
        const uint8_t *mark = memchr(from, '\\', end - from);
        int64_t plain = (mark ? mark : end) - from;
        memcpy(to, from, plain);
        to += plain;
        from += plain;
        if (!mark) break;
        switch (from[1]) {
            case '"': case '\\': case '/': *to++ = from[1]; break;
            case 'n': *to++ = '\n'; break;
            case 't': *to++ = '\t'; break;
            case 'r': *to++ = '\r'; break;
            default: return 0;
        }
        from += 2;
    }
    Reader inner = *r;
    inner.at = r->scratch + r->scratch_used;
    inner.end = to;
    inner.base = r->scratch;
    inner.scratch_used = to - r->scratch;
    int ok = value(&inner, n->first_child, depth + 1);
    spaces(&inner);
    r->scratch_used = inner.scratch_used;
    return ok && inner.at == inner.end;
}

/* The very bytes of the example, which were valid JSON: an array or a string, so they end by themselves. */
static int exact(Reader *r, const Node *n) {
    if (r->end - r->at < n->text_size || memcmp(r->at, r->names + n->text_at, n->text_size)) return 0;
    r->at += n->text_size;
    return 1;
}

static int value(Reader *r, int node, int depth) {
    const Node *n = &r->nodes[node];
    spaces(r);
    if (depth > MAX_DEPTH) return 0;
    switch (n->kind) {
        case OBJECT: return object(r, n, depth);
        case SINGLE: case CELLS: return array(r, n, depth);
        case CSV_TEXT: return csv_text(r, n);
        case JSON_TEXT: return json_text(r, n, depth);
        case VALUE: return wanted(r, n);
        case EXACT: return exact(r, n);
        default: return 0; /* ABSENT: the key must not be there */
    }
}

/* Reads every line of data. states[i]: REGULAR, IRREGULAR or BLANK; spans: slots of each regular
 * line, one regular line after the other. Returns the number of lines, or -1 if there are more than
 * max_lines. */
int64_t paylog_scan(const uint8_t *data, int64_t size, const Node *nodes, const uint8_t *names,
                    int32_t slots, uint8_t *states, int64_t max_lines, int32_t *spans,
                    uint8_t *scratch, int64_t scratch_size) {
    Reader r = {.base = data, .nodes = nodes, .names = names, .spans = spans,
                .scratch = scratch, .scratch_size = scratch_size};
    const uint8_t *at = data, *end = data + size;
    int64_t lines = 0;
    while (at < end) {
        const uint8_t *stop = memchr(at, '\n', end - at);
        if (!stop) stop = end;
        if (lines == max_lines) return -1;
        for (int32_t i = 0; i < slots; i++) { r.spans[2 * i] = 0; r.spans[2 * i + 1] = -1; }
        r.at = at;
        r.end = stop;
        int64_t used = r.scratch_used;
        spaces(&r);
        if (r.at == stop) states[lines] = BLANK;
        else {
            int ok = value(&r, 0, 0);
            if (ok) { spaces(&r); ok = r.at == stop; }
            states[lines] = ok ? REGULAR : IRREGULAR;
            if (ok) r.spans += 2 * slots;
            else r.scratch_used = used;
        }
        lines++;
        at = stop + 1;
    }
    return lines;
}
