/* A table of many packs' chunks: rows of ROW bytes in the order of the names that they begin with,
 * so that a store of millions of chunks is looked up where it lies on the disk. */
#include "native.h"

#include <stdlib.h>
#include <string.h>

static int by_name(const void *one, const void *other) {
    return memcmp(one, other, DIGEST);
}

void burst_sort(uint8_t *rows, size_t count) {
    qsort(rows, count, ROW, by_name);
}

/* The first row that is not before the name. Names are digests, spread evenly: it lies near where
 * its own first bytes say, so that few places of a large table are looked at. */
static size_t first_from(const uint8_t *rows, size_t count, const uint8_t *name) {
    uint64_t share = (uint64_t)name[0] << 24 | name[1] << 16 | name[2] << 8 | name[3];
    size_t low = 0, high = count, at = share * count >> 32;
    for (size_t step = 8; low < high; step *= 2) {
        if (memcmp(rows + at * ROW, name, DIGEST) < 0) {
            low = at + 1;
            if (high < count || step > high - low) break;
            at = low + step - 1;
        } else {
            high = at;
            if (low > 0 || step > high - low) break;
            at = high - step;
        }
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(rows + middle * ROW, name, DIGEST) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void burst_find(const uint8_t *rows, size_t count, const uint8_t *wanted, size_t width, size_t many,
                int64_t *found) {
    for (size_t i = 0; i < many; i++) {
        const uint8_t *name = wanted + i * width;
        size_t row = first_from(rows, count, name);
        found[i] = row < count && !memcmp(rows + row * ROW, name, DIGEST) ? (int64_t)row : -1;
    }
}
