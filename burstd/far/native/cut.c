/* Content-defined chunks: FastCDC (Xia et al., USENIX ATC 2016, IEEE TPDS 2020) with normalised
 * chunking. A cut is where the rolling gear hash has zeros under a mask: with more bits in the first
 * part of a chunk, with fewer behind it. */
#include "native.h"

enum { LEAST = 8192, MIDDLE = 16384, MOST = 131072 };

/* Sixteen and fourteen bits, of the hash's upper half, where each bit has seen the most bytes. */
static const uint64_t STRICT = 0xffff000000000000, LOOSE = 0xfffc000000000000;

static uint64_t gear[256];

/* The table is itself made of digests, so that a page of text describes it whole: 64 bits, little
 * end first, of BLAKE3 of "burst gear " and the byte. */
__attribute__((constructor)) static void make_gear(void) {
    for (int byte = 0; byte < 256; byte++) {
        uint8_t text[12] = "burst gear ", digest[DIGEST];
        text[11] = (uint8_t)byte;
        burst_blake3(text, sizeof text, digest);
        for (int i = 7; i >= 0; i--)
            gear[byte] = gear[byte] << 8 | digest[i];
    }
}

static size_t next(const uint8_t *data, size_t size) {
    if (size <= LEAST)
        return size;
    size_t middle = size < MIDDLE ? size : MIDDLE, end = size < MOST ? size : MOST, at = LEAST;
    uint64_t hash = 0;
    for (; at < middle; at++) {
        hash = (hash << 1) + gear[data[at]];
        if (!(hash & STRICT))
            return at + 1;
    }
    for (; at < end; at++) {
        hash = (hash << 1) + gear[data[at]];
        if (!(hash & LOOSE))
            return at + 1;
    }
    return end;
}

size_t burst_cut(const uint8_t *data, size_t size, uint64_t *ends, size_t room) {
    size_t count = 0, at = 0;
    while (at < size && count < room) {
        at += next(data + at, size - at);
        ends[count++] = at;
    }
    return count;
}
