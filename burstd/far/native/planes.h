/* Which pieces have their numbers in planes on their way. */
#ifndef BURST_PLANES_H
#define BURST_PLANES_H

#include "native.h"

#include <zstd.h>

enum { TRIED = 16384 };

/* What the last piece that was tried has shown. Begins with zeros, and a context of the level that
 * is meant, which stays the owner's. */
struct chooser {
    ZSTD_CCtx *context;
    double share;
    int wide, left;
    size_t width;
    uint8_t split[TRIED], frame[TRIED + 512];
};

/* No byte of a text is 0, or above 127; of numbers some are, mostly. */
int is_text(const uint8_t *piece, size_t size);

/* How many bytes a number of this piece has, or a vector of them: 1 if planes do not help. */
size_t choose_width(struct chooser *by, const uint8_t *from, size_t size);

void split_planes(uint8_t *to, const uint8_t *from, size_t size, size_t width);

#endif
