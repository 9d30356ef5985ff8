/* Small files, many in one call; see files.c. */
#include "native.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const int64_t SECOND = 1000000000;

static void stamp_of(const struct stat *fact, int64_t stamp[STAMP]) {
    stamp[0] = fact->st_size;
    stamp[1] = fact->st_mtim.tv_sec * SECOND + fact->st_mtim.tv_nsec;
    stamp[2] = fact->st_ctim.tv_sec * SECOND + fact->st_ctim.tv_nsec;
    stamp[3] = (int64_t)fact->st_ino;
    stamp[4] = fact->st_mode;
}

/* 0, or -1 where it is none of these, or changes. One byte more than it has is asked for. */
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
    stamp_of(before, stamp);
    stamp_of(&after, then);
    return memcmp(stamp, then, sizeof then) ? -1 : 0;
}

size_t burst_read(const char *paths, size_t count, size_t most, uint8_t *to, size_t room,
                  int64_t *stamps, uint8_t *digests) {
    size_t used = 0;
    for (size_t i = 0; i < count; i++, paths += strlen(paths) + 1) {
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
            return i;
        }
        int failed = whole(fd, &fact, to + used, stamp);
        close(fd);
        if (failed || burst_blake3(to + used, size, digests + i * DIGEST))
            stamp[0] = -1;
        else
            used += size;
    }
    return count;
}
