/* zstd (RFC 8878), by libzstd, which is linked in: the far end may have none. */
#include "native.h"

#include <zstd.h>

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

size_t burst_bound(size_t size, size_t count) {
    return ZSTD_compressBound(size) + 16 * count; /* of each block that ends early, a header */
}

size_t burst_compress(uint8_t *to, size_t room, const uint8_t *from, const uint64_t *ends,
                      size_t count, int level) {
    ZSTD_CCtx *context = ZSTD_createCCtx();
    ZSTD_outBuffer out = {to, room, 0};
    size_t left = 1;
    uint64_t start = 0;
    if (context)
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
    for (size_t i = 0; context && i < count; start = ends[i++]) {
        ZSTD_inBuffer in = {from + start, ends[i] - start, 0};
        do
            left = ZSTD_compressStream2(context, &out, &in,
                                        i + 1 < count ? ZSTD_e_flush : ZSTD_e_end);
        while (!ZSTD_isError(left) && left && out.pos < room);
        if (left)
            break;
    }
    ZSTD_freeCCtx(context);
    return left ? 0 : out.pos;
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
