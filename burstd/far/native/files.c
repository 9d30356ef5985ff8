/* New files, many in one call: their system calls take less time than what a program does
 * around each of them otherwise. */
#include "files.h"
#include "kept.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const int NEW = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;

/* A file that is to end with a hole. */
static int ends_here(int fd) {
    off_t end = lseek(fd, 0, SEEK_CUR);
    return end < 0 ? -1 : ftruncate(fd, end);
}

static int finished(int fd, int64_t mtime, unsigned mode, int64_t fact[FACTS]) {
    int64_t part = (mtime % SECOND + SECOND) % SECOND;
    struct timespec times[2] = {{.tv_sec = (mtime - part) / SECOND, .tv_nsec = part}};
    times[1] = times[0];
    struct stat seen;
    if (fchmod(fd, mode) || futimens(fd, times) || fstat(fd, &seen))
        return -1;
    fact[0] = moment(seen.st_mtim);
    fact[1] = moment(seen.st_ctim);
    fact[2] = (int64_t)seen.st_ino;
    return 0;
}

size_t burst_files(int directory, size_t count, const char *names, const uint32_t *chunks,
                   const int64_t *mtimes, const uint32_t *modes, int64_t *facts,
                   const int32_t *from, const uint64_t *places, const uint64_t *sizes,
                   const uint8_t *digests, size_t hole) {
    struct kept kept = {from, places, sizes, digests};
    struct window window;
    size_t all = 0;
    window.end = 0;
    for (size_t i = 0; i < count; i++)
        all += chunks[i];
    for (size_t i = 0, at = 0; i < count; at += chunks[i++]) {
        int fd = openat(directory, names, NEW, 0600);
        if (fd < 0)
            return i;
        int32_t state[2];
        size_t done = lay(fd, &kept, &window, at, at + chunks[i], all, hole, state);
        int failed = done < chunks[i] || state[0] || (state[1] && ends_here(fd)) ||
                     finished(fd, mtimes[i], modes[i], facts + i * FACTS);
        if (close(fd) || failed)
            return i;
        names += strlen(names) + 1;
    }
    return count;
}
