/* Small files, many in one call; see files.c. */
#include "files.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* 0, or -1 (and a stamp of -1) where it changes. One byte more than it has is asked for. */
static int whole(int fd, const struct stat *before, uint8_t *to, int64_t stamp[STAMP]) {
    size_t size = (size_t)before->st_size, have = 0;
    while (have <= size) {
        ssize_t came = read(fd, to + have, size + 1 - have);
        if (came < 0)
            return -1;
        if (!came)
            break;
        have += (size_t)came;
    }
    struct stat after;
    int64_t then[STAMP];
    if (have != size || fstat(fd, &after))
        return -1;
    stamp_of(before, then);
    stamp_of(&after, stamp);
    if (!memcmp(stamp, then, sizeof then))
        return 0;
    stamp[0] = -1;
    return -1;
}

/* Files that lie one behind the other in memory, which are named together. */
enum { SOME = 64 };
struct named {
    const uint8_t *from;
    uint64_t ends[SOME];
    size_t which[SOME], count;
};

/* -1 if there is no memory. */
static int name(struct named *some, uint8_t *digests) {
    uint8_t found[SOME * DIGEST];
    if (burst_names(some->from, some->ends, some->count, found))
        return -1;
    for (size_t i = 0; i < some->count; i++)
        memcpy(digests + some->which[i] * DIGEST, found + i * DIGEST, DIGEST);
    if (some->count)
        some->from += some->ends[some->count - 1];
    some->count = 0;
    return 0;
}

size_t burst_read(const char *paths, size_t count, size_t most, uint8_t *to, size_t room,
                  int64_t *stamps, uint8_t *digests) {
    struct named some = {.from = to};
    size_t used = 0, i = 0, done = 0; /* `done`: named */
    for (; i < count; i++, paths += strlen(paths) + 1) {
        int64_t *stamp = stamps + i * STAMP;
        stamp[0] = -1;
        int fd = open(paths, O_RDONLY | O_CLOEXEC);
        struct stat fact;
        if (fd < 0 || fstat(fd, &fact) || !S_ISREG(fact.st_mode) || fact.st_size > (int64_t)most) {
            if (fd >= 0)
                close(fd);
            continue;
        }
        size_t size = (size_t)fact.st_size;
        if (room - used <= size) {
            close(fd);
            break;
        }
        if (some.count == SOME) {
            if (name(&some, digests))
                return done;
            done = i;
        }
        if (!whole(fd, &fact, to + used, stamp)) {
            used += size;
            some.ends[some.count] = (uint64_t)(to + used - some.from);
            some.which[some.count++] = i;
        }
        close(fd);
    }
    return name(&some, digests) ? done : i;
}
