/* Chunks on their way into a file: those of the store are looked at again, and none passes through
 * the interpreter. */
#include "kept.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Chunks at once; their bytes stay in the CPU's cache meanwhile. */
enum { SOME = 32 };

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

/* Reads at most SOME chunks, one behind the other. How many are what their names say before one that
 * is not. */
static size_t right(const struct kept *kept, size_t at, size_t count, uint8_t *to) {
    uint8_t digests[SOME * DIGEST];
    uint64_t ends[SOME], end = 0;
    size_t here = 0;
    for (; here < count; ends[here++] = end) {
        size_t i = at + here;
        if (!got(kept->from[i], to + end, kept->sizes[i], kept->places[i]))
            break;
        end += kept->sizes[i];
    }
    if (burst_names(to, ends, here, digests))
        return 0;
    for (size_t i = 0; i < here; i++)
        if (memcmp(digests + i * DIGEST, kept->names + (at + i) * DIGEST, DIGEST))
            return i;
    return here;
}

static int zeros(const uint8_t *content, size_t size) {
    return !content[0] && !memcmp(content, content + 1, size - 1);
}

/* Appends chunks that lie one behind the other. 0, or the error. */
static int append(int to, const uint8_t *content, const uint64_t *sizes, size_t count, size_t hole,
                  int32_t *passed) {
    const uint8_t *from = content;
    for (size_t i = 0; i < count; content += sizes[i++]) {
        int error = 0;
        *passed = sizes[i] >= hole && zeros(content, sizes[i]);
        if (*passed) {
            error = put(to, from, (size_t)(content - from));
            if (!error && lseek(to, (off_t)sizes[i], SEEK_CUR) < 0)
                error = errno;
            from = content + sizes[i];
        }
        if (error)
            return error;
    }
    return put(to, from, (size_t)(content - from));
}

/* How many of the next ones are read together: those that there is room for. */
static size_t together(const struct kept *kept, size_t at, size_t end) {
    size_t some = 0, size = 0;
    while (at + some < end && some < SOME && kept->from[at + some] != IN_MEMORY &&
           kept->sizes[at + some] <= ROOM - size)
        size += kept->sizes[at + some++];
    return some;
}

/* Makes the next chunks the ones that are looked at: some of those up to `all`. 0 if the first is not
 * what its name says. */
static size_t look(struct window *window, const struct kept *kept, size_t at, size_t all) {
    size_t fine = 1;
    window->at = window->content;
    if (kept->from[at] == IN_MEMORY)
        window->at = (const uint8_t *)(uintptr_t)kept->places[at];
    else
        fine = right(kept, at, together(kept, at, all), window->content);
    window->end = at + fine;
    return fine;
}

size_t lay(int to, const struct kept *kept, struct window *window, size_t at, size_t end, size_t all,
           size_t hole, int32_t state[2]) {
    size_t begin = at;
    state[0] = state[1] = 0;
    while (at < end && !state[0]) {
        if (at == window->end && !look(window, kept, at, all))
            break;
        size_t some = (window->end < end ? window->end : end) - at;
        state[0] = append(to, window->at, kept->sizes + at, some, hole, state + 1);
        for (; some; some--)
            window->at += kept->sizes[at++];
    }
    return at - begin;
}

size_t burst_lay(int to, size_t count, const int32_t *from, const uint64_t *offsets,
                 const uint64_t *sizes, const uint8_t *names, size_t hole, int32_t state[2]) {
    struct window window;
    window.end = 0;
    return lay(to, &(struct kept){from, offsets, sizes, names}, &window, 0, count, count, hole,
               state);
}
