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

/* Those before `end` that have been looked at, together: small ones are named side by side. The next
 * of them lies at `at`. Begins with an `end` of 0. */
enum { MOST = 131072, ROOM = 2 * MOST }; /* bytes of a chunk, and of some */
struct window {
    size_t end;
    const uint8_t *at;
    uint8_t content[ROOM];
};

/* Appends those from `at` to `end` to an open file, as burst_lay does; those up to `all` will be
 * wanted, too. */
size_t lay(int to, const struct kept *kept, struct window *window, size_t at, size_t end, size_t all,
           size_t hole, int32_t state[2]);

#endif
