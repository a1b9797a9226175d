/* Spans of texts → Arrow string columns. */
#include <stdint.h>
#include <string.h>

/* The slots of the regular lines as Arrow string columns, one behind the other.
 *
 * bases, sizes: by slot, the buffer that its spans point into. offsets: (lines + 1) a slot, valid:
 * (lines + 7) / 8 zeroed bytes a slot, nulls and starts: one number a slot; starts[slot] is where its
 * texts begin in data, which must have room for all texts and 16 bytes more. */
void paylog_columns(const uint8_t **bases, const int64_t *sizes, const int32_t *spans, int32_t slots,
                    int64_t lines, int32_t *offsets, uint8_t *valid, int64_t *nulls, int64_t *starts,
                    uint8_t *data) {
    uint8_t *to = data;
    for (int32_t slot = 0; slot < slots; slot++) {
        const uint8_t *base = bases[slot], *end = base + sizes[slot], *from = to;
        nulls[slot] = 0;
        starts[slot] = to - data;
        for (int64_t i = 0; i < lines; i++) {
            const int32_t *span = spans + 2 * (i * slots + slot);
            *offsets++ = (int32_t)(to - from);
            if (span[1] < 0) { nulls[slot]++; continue; }
            valid[i >> 3] |= 1 << (i & 7);
            const uint8_t *text = base + span[0];
            /* Mostly short: sixteen bytes at once, where there are as many to read. */
            if (span[1] <= 16 && end - text >= 16) memcpy(to, text, 16);
            else memcpy(to, text, span[1]);
            to += span[1];
        }
        *offsets++ = (int32_t)(to - from);
        valid += (lines + 7) / 8;
    }
}
