/* Chunks of the store on their way into a file, or into memory: each is looked at again, and none
 * passes through the interpreter. */
#include "native.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 131072 };

/* Whether that many bytes lie there. */
static int got(int fd, uint8_t *to, size_t size, uint64_t offset) {
    for (size_t have = 0; have < size;) {
        ssize_t came = pread(fd, to + have, size - have, (off_t)(offset + have));
        if (came < 0 && errno == EINTR)
            continue;
        if (came <= 0)
            return 0;
        have += (size_t)came;
    }
    return 1;
}

static int put(int fd, const uint8_t *from, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t written = write(fd, from + done, size - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written ? errno : EIO;
        done += (size_t)written;
    }
    return 0;
}

static int right(const uint8_t *content, size_t size, const uint8_t name[DIGEST]) {
    uint8_t digest[DIGEST];
    return !burst_blake3(content, size, digest) && !memcmp(digest, name, DIGEST);
}

static int zeros(const uint8_t *content, size_t size) {
    return !content[0] && !memcmp(content, content + 1, size - 1);
}

size_t burst_lay(int to, size_t count, const int32_t *from, const uint64_t *offsets,
                 const uint64_t *sizes, const uint8_t *names, size_t hole, int32_t state[2]) {
    uint8_t content[MOST];
    state[0] = state[1] = 0;
    for (size_t i = 0; i < count; i++) {
        size_t size = sizes[i];
        if (size > MOST || !got(from[i], content, size, offsets[i]) ||
            !right(content, size, names + i * DIGEST))
            return i;
        state[1] = size >= hole && zeros(content, size);
        if (!state[1])
            state[0] = put(to, content, size);
        else if (lseek(to, (off_t)size, SEEK_CUR) < 0)
            state[0] = errno;
        if (state[0])
            return i;
    }
    return count;
}

size_t burst_fetch(size_t count, const int32_t *from, const uint64_t *offsets,
                   const uint64_t *sizes, const uint8_t *names, uint8_t *to) {
    for (size_t i = 0; i < count; to += sizes[i++])
        if (!got(from[i], to, sizes[i], offsets[i]) || !right(to, sizes[i], names + i * DIGEST))
            return i;
    return count;
}
