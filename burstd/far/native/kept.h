/* Chunks that are somewhere already. */
#ifndef BURST_KEPT_H
#define BURST_KEPT_H

#include "native.h"

/* `from`: the descriptors in which they lie, and `places` where; or IN_MEMORY, and their addresses.
 * These have been looked at; the others are held against their names. */
struct kept {
    const int32_t *from;
    const uint64_t *places, *sizes;
    const uint8_t *names;
};

/* Appends those from `at` to `end` to an open file, as burst_lay does. */
size_t lay(int to, const struct kept *kept, size_t at, size_t end, size_t hole, int32_t state[2]);

#endif
