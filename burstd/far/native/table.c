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

void burst_find(const uint8_t *rows, size_t count, const uint8_t *wanted, size_t width, size_t many,
                int64_t *found) {
    for (size_t i = 0; i < many; i++) {
        const uint8_t *name = wanted + i * width;
        size_t low = 0, high = count;
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (memcmp(rows + middle * ROW, name, DIGEST) < 0)
                low = middle + 1;
            else
                high = middle;
        }
        found[i] = low < count && !memcmp(rows + low * ROW, name, DIGEST) ? (int64_t)low : -1;
    }
}
