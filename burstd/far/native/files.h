/* What the system says of a file, as others take it. */
#ifndef BURST_FILES_H
#define BURST_FILES_H

#include "native.h"

#include <sys/stat.h>
#include <time.h>

enum { SECOND = 1000000000 };

/* Nanoseconds since 1970; what 64 bits do not hold wraps, as in Python (`signed`). */
static inline int64_t moment(struct timespec time) {
    return (int64_t)((uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec);
}

static inline void stamp_of(const struct stat *seen, int64_t stamp[STAMP]) {
    stamp[0] = seen->st_size;
    stamp[1] = moment(seen->st_mtim);
    stamp[2] = moment(seen->st_ctim);
    stamp[3] = (int64_t)seen->st_ino;
    stamp[4] = seen->st_mode;
}

#endif
