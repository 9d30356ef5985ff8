/* zstd (RFC 8878), by libzstd, which is linked in: the far end may have none. */
/* Block by block: from 1.5.5 on zstd.h would rather see streams, which copy what they read. */
#define ZSTD_STATIC_LINKING_ONLY
#define ZSTD_DISABLE_DEPRECATE_WARNINGS
#include "planes.h"

#include <stdlib.h>

#ifdef __GLIBC__
#include <malloc.h>

/* What is read, packed and unpacked are blocks of some MiB, one after the other. The C library would
 * get each from the kernel anew, page by page, which takes longer than to name what is in them. */
__attribute__((constructor)) static void keep_what_is_freed(void) {
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    mallopt(M_ARENA_MAX, 1); /* else each thread keeps as much */
}
#endif

/* Of what lies in planes: how many bytes in a row, and of how many each number is. */
enum { HEAD = 8, STRETCH = 5 };
static const uint32_t PLANES = 0x184D2A5B; /* one of RFC 8878's frames that others skip */

static uint8_t *put(uint8_t *to, uint64_t number, int bytes) {
    for (int i = 0; i < bytes; i++)
        *to++ = (uint8_t)(number >> 8 * i);
    return to;
}

/* Pieces side by side that lie as they were are one stretch; behind the last other one none. */
static size_t tell(uint8_t *to, const uint64_t *ends, const uint8_t *widths, size_t count) {
    uint8_t *at = to + HEAD;
    uint64_t start = 0, told = 0;
    for (size_t i = 0; i < count; start = ends[i++]) {
        if (widths[i] == 1)
            continue;
        if (told < start)
            at = put(put(at, start - told, 4), 1, 1);
        at = put(put(at, (told = ends[i]) - start, 4), widths[i], 1);
    }
    if (!told)
        return 0;
    put(put(to, PLANES, 4), (uint64_t)(at - to) - HEAD, 4);
    return (size_t)(at - to);
}

static ZSTD_CCtx *context_of(int level) {
    ZSTD_CCtx *context = ZSTD_createCCtx();
    if (context)
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
    return context;
}

/* `widths` gets one for each piece. -1 if there is no memory. */
static int choose(uint8_t *widths, const uint8_t *from, const uint64_t *ends, size_t count,
                  int level) {
    struct chooser *by = calloc(1, sizeof *by);
    uint64_t start = 0;
    int failed = !by || !(by->context = context_of(level));
    for (size_t i = 0; !failed && i < count; start = ends[i++]) {
        size_t size = ends[i] - start;
        widths[i] = size > UINT32_MAX ? 1 : (uint8_t)choose_width(by, from + start, size);
    }
    if (by)
        ZSTD_freeCCtx(by->context);
    free(by);
    return failed ? -1 : 0;
}

size_t burst_bound(size_t size, size_t count) {
    /* Of each block that ends early, a header; and two stretches. */
    return ZSTD_compressBound(size) + (16 + 2 * STRETCH) * count + HEAD;
}

/* What lies in one place, the pieces behind each other: zstd looks in two places half as fast. */
static size_t pack(uint8_t *to, size_t room, const uint8_t *from, const uint64_t *ends,
                   size_t count, int level) {
    ZSTD_CCtx *context = ZSTD_createCCtx();
    size_t done = 0, more = context ? ZSTD_compressBegin(context, level) : 0;
    uint64_t start = 0;
    for (size_t i = 0; context && i < count && !ZSTD_isError(more); start = ends[i++]) {
        more = (i + 1 < count ? ZSTD_compressContinue : ZSTD_compressEnd)(
            context, to + done, room - done, from + start, ends[i] - start);
        done += more;
    }
    ZSTD_freeCCtx(context);
    return !ZSTD_isError(more) ? done : 0;
}

static void split_all(uint8_t *to, const uint8_t *from, const uint64_t *ends,
                      const uint8_t *widths, size_t count) {
    uint64_t start = 0;
    for (size_t i = 0; i < count; start = ends[i++])
        split_planes(to + start, from + start, ends[i] - start, widths[i]);
}

size_t burst_compress(uint8_t *to, size_t room, const uint8_t *from, const uint64_t *ends,
                      size_t count, int level) {
    size_t head = 0, found = 0;
    uint8_t *widths = malloc(count), *split = NULL;
    if (widths && room >= burst_bound(ends[count - 1], count) &&
        !choose(widths, from, ends, count, level)) {
        if (!(head = tell(to, ends, widths, count)))
            found = pack(to, room, from, ends, count, level);
        else if ((split = malloc(ends[count - 1]))) {
            split_all(split, from, ends, widths, count);
            found = pack(to + head, room - head, split, ends, count, level);
        }
    }
    free(split);
    free(widths);
    return found ? head + found : 0;
}

void burst_texts(const uint8_t *data, const uint64_t *ends, size_t count, uint8_t *found) {
    uint64_t start = 0;
    for (size_t i = 0; i < count; start = ends[i++])
        found[i] = (uint8_t)is_text(data + start, ends[i] - start);
}

int burst_decompress(uint8_t *to, size_t size, const uint8_t *from, size_t length) {
    return ZSTD_decompress(to, size, from, length) == size ? 0 : -1;
}

void *burst_inflater(void) { return ZSTD_createDCtx(); }

int burst_inflate(void *state, uint8_t *to, size_t room, const uint8_t *from, size_t size,
                  size_t *read, size_t *written) {
    ZSTD_inBuffer in = {from, size, 0};
    ZSTD_outBuffer out = {to, room, 0};
    size_t left = 1, before;
    do {
        before = in.pos + out.pos;
        if (ZSTD_isError(left = ZSTD_decompressStream(state, &out, &in)))
            return -1;
    } while (left && in.pos + out.pos > before);
    *read = in.pos, *written = out.pos;
    return left == 0;
}

void burst_inflated(void *state) { ZSTD_freeDCtx(state); }
