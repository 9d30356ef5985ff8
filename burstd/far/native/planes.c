/* Numbers in planes, as HDF5's shuffle filter and Blosc (Alted, CiSE 2010) have them: the first
 * bytes of all, then the second ones, and so on. Those that say how large a number is are alike from
 * one to the next; zstd does not see that as long as bytes that are noise lie between. */
#include "planes.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

/* A guess is cheap, and wrong where whole numbers are repeated; so some pieces are tried, and others
 * go as the last one of their kind did. */
enum { SAMPLE = 4096, LANES = 8, AGAIN = 32 };

/* Bytes of a hundred that they must promise to save. */
enum { GUESSED = 3, SAVED = 3 };

static float bits_of[SAMPLE + 1]; /* c log2 c */

static double log2_of(double number) {
    double found = 0, place = 1;
    for (; number >= 2; number /= 2)
        found++;
    for (int i = 0; i < 24; i++) {
        place /= 2;
        if ((number *= number) >= 2)
            found += place, number /= 2;
    }
    return found;
}

__attribute__((constructor)) static void make_bits(void) {
    for (int count = 1; count <= SAMPLE; count++)
        bits_of[count] = (float)(count * log2_of(count));
}

/* Bits that symbols of these counts need, with what so few of them hide (Miller and Madow, 1955). */
static double entropy(const uint16_t counts[256], int total) {
    float sum = 0;
    int kinds = 0;
    for (int i = 0; i < 256; i++) {
        sum += bits_of[counts[i]];
        kinds += counts[i] != 0;
    }
    return bits_of[total] - sum + 0.7213 * (kinds - 1); /* 1 / (2 ln 2) */
}

static const uint8_t *middle(const uint8_t *piece, size_t size) {
    return size < SAMPLE ? piece : piece + (size - SAMPLE) / 2 / LANES * LANES;
}

int is_text(const uint8_t *piece, size_t size) {
    const uint8_t *sample = middle(piece, size);
    uint8_t high = 0, least = 255;
    for (size_t i = 0; i < (size < SAMPLE ? size : SAMPLE); i++) {
        high |= sample[i];
        least = sample[i] < least ? sample[i] : least;
    }
    return high < 128 && least;
}

/* As they are, by fours and by eights. */
static void guess(const uint8_t *sample, double bits[3]) {
    uint16_t counts[LANES][256] = {{0}}, merged[256];
    for (int i = 0; i < SAMPLE; i += LANES)
        for (int lane = 0; lane < LANES; lane++)
            counts[lane][sample[i + lane]]++;
    bits[1] = bits[2] = 0;
    for (int lane = 0; lane < LANES; lane++)
        bits[2] += entropy(counts[lane], SAMPLE / LANES);
    for (int lane = 0; lane < LANES / 2; lane++) {
        for (int i = 0; i < 256; i++)
            counts[lane][i] += counts[lane + 4][i];
        bits[1] += entropy(counts[lane], SAMPLE / 4);
    }
    for (int i = 0; i < 256; i++)
        merged[i] = counts[0][i] + counts[1][i] + counts[2][i] + counts[3][i];
    bits[0] = entropy(merged, SAMPLE);
}

#define EACH(width, to_at, from_at)                                                                \
    for (size_t plane = 0; plane < width; plane++)                                                 \
        for (size_t i = 0; i < many; i++)                                                          \
    to[to_at] = from[from_at]

/* With a width that it knows the compiler makes vectors of these loops. */
FAST void split_planes(uint8_t *to, const uint8_t *from, size_t size, size_t width) {
    size_t many = size / width;
    if (width == 1)
        memcpy(to, from, size);
    else if (width == 4)
        EACH(4, plane * many + i, i * 4 + plane);
    else if (width == 8)
        EACH(8, plane * many + i, i * 8 + plane);
    else
        EACH(width, plane * many + i, i * width + plane);
    memcpy(to + many * width, from + many * width, size % width);
}

FAST static void join(uint8_t *to, const uint8_t *from, size_t size, size_t width) {
    size_t many = size / width;
    if (width == 4)
        for (size_t i = 0; i < many; i++)
            for (size_t plane = 0; plane < 4; plane++)
                to[i * 4 + plane] = from[plane * many + i];
    else if (width == 8)
        for (size_t i = 0; i < many; i++)
            for (size_t plane = 0; plane < 8; plane++)
                to[i * 8 + plane] = from[plane * many + i];
    else
        EACH(width, i * width + plane, plane * many + i);
    memcpy(to + many * width, from + many * width, size % width);
}

int burst_join(uint8_t *data, size_t size, size_t width) {
    uint8_t *copy = malloc(size);
    if (copy) {
        memcpy(copy, data, size);
        join(data, copy, size, width);
    }
    free(copy);
    return copy ? 0 : -1;
}

/* How many bytes a piece compresses to, by the rules for what has no known end, as packs are: 0 if
 * it can't be tried. */
static size_t tried(struct chooser *by, const uint8_t *from, size_t size, size_t width) {
    ZSTD_inBuffer in = {from, size, 0};
    ZSTD_outBuffer out = {by->frame, sizeof by->frame, 0};
    if (width > 1) {
        split_planes(by->split, from, size, width);
        in.src = by->split;
    }
    ZSTD_CCtx_reset(by->context, ZSTD_reset_session_only);
    return ZSTD_compressStream2(by->context, &out, &in, ZSTD_e_flush) ? 0 : out.pos;
}

/* Numbers of this size, vectors of three of them, or neither. */
static size_t try_widths(struct chooser *by, const uint8_t *from, size_t size, size_t number) {
    size_t part = size < TRIED ? size : TRIED, chosen = 1;
    from += (size - part) / 2 / (3 * LANES) * (3 * LANES);
    size_t least = tried(by, from, part, 1) * (100 - SAVED) / 100;
    for (size_t width = number; width <= 3 * number; width += 2 * number) {
        size_t found = tried(by, from, part, width);
        if (found && found < least)
            least = found, chosen = width;
    }
    return chosen;
}

size_t choose_width(struct chooser *by, const uint8_t *from, size_t size) {
    double bits[3];
    if (size < SAMPLE || is_text(from, size))
        return 1;
    guess(middle(from, size), bits);
    int wide = bits[2] < 0.98 * bits[1];
    double best = bits[1 + wide];
    if (best > (1 - GUESSED / 100.) * bits[0])
        return 1;
    double share = best / bits[0];
    if (by->left && by->wide == wide && share < 1.1 * by->share && by->share < 1.1 * share) {
        by->left--;
        return by->width;
    }
    by->wide = wide, by->share = share, by->left = AGAIN;
    return by->width = try_widths(by, from, size, wide ? 8 : 4);
}
