/* zstd (RFC 8878), by libzstd, which is linked in: the far end may have none. */
#include "native.h"

#include <zstd.h>

size_t burst_bound(size_t size) { return ZSTD_compressBound(size); }

size_t burst_compress(uint8_t *to, size_t room, const uint8_t *from, size_t size, int level) {
    size_t written = ZSTD_compress(to, room, from, size, level);
    return ZSTD_isError(written) ? 0 : written;
}

int burst_decompress(uint8_t *to, size_t size, const uint8_t *from, size_t length) {
    return ZSTD_decompress(to, size, from, length) == size ? 0 : -1;
}
