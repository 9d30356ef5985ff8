/* BLAKE3, the hash without key, as the paper has it (O'Connor, Aumasson, Neves, Wilcox-O'Hearn:
 * "BLAKE3, one function, fast everywhere", 2020). Eight nodes of one level of the tree are
 * compressed at once, one in each lane of a vector. */
#include "native.h"

#include <stdlib.h>
#include <string.h>

enum { LANES = 8, BLOCK = 64, LEAF = 1024, WORDS = 8 };
enum { CHUNK_START = 1, CHUNK_END = 2, PARENT = 4, ROOT = 8 };

typedef uint32_t lanes __attribute__((vector_size(4 * LANES)));

static const uint32_t IV[WORDS] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                   0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

/* Which message word each round takes: the paper's permutation, applied again and again. */
static const uint8_t ORDER[7][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8},
    {3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1},
    {10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6},
    {12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4},
    {9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7},
    {11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13}};

#define TURN(x, n) (((x) >> (n)) | ((x) << (32 - (n))))
#define MIX(a, b, c, d, x, y)                                                                      \
    a += b + (x), d = TURN(d ^ a, 16), c += d, b = TURN(b ^ c, 12);                                \
    a += b + (y), d = TURN(d ^ a, 8), c += d, b = TURN(b ^ c, 7)
#define ROUND(v, m, o)                                                                             \
    MIX(v[0], v[4], v[8], v[12], m[o[0]], m[o[1]]);                                                \
    MIX(v[1], v[5], v[9], v[13], m[o[2]], m[o[3]]);                                                \
    MIX(v[2], v[6], v[10], v[14], m[o[4]], m[o[5]]);                                               \
    MIX(v[3], v[7], v[11], v[15], m[o[6]], m[o[7]]);                                               \
    MIX(v[0], v[5], v[10], v[15], m[o[8]], m[o[9]]);                                               \
    MIX(v[1], v[6], v[11], v[12], m[o[10]], m[o[11]]);                                             \
    MIX(v[2], v[7], v[8], v[13], m[o[12]], m[o[13]]);                                              \
    MIX(v[3], v[4], v[9], v[14], m[o[14]], m[o[15]])

static uint32_t word(const uint8_t *at) {
    uint32_t found;
    memcpy(&found, at, 4);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    found = __builtin_bswap32(found);
#endif
    return found;
}

static void put_word(uint8_t *at, uint32_t value) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap32(value);
#endif
    memcpy(at, &value, 4);
}

static void compress(uint32_t cv[WORDS], const uint8_t *block, uint32_t size, uint64_t counter,
                     uint32_t flags) {
    uint32_t v[16], m[16];
    memcpy(v, cv, 4 * WORDS);
    memcpy(v + 8, IV, 16);
    v[12] = (uint32_t)counter, v[13] = (uint32_t)(counter >> 32), v[14] = size, v[15] = flags;
    for (int i = 0; i < 16; i++)
        m[i] = word(block + 4 * i);
    for (int round = 0; round < 7; round++) {
        const uint8_t *o = ORDER[round];
        ROUND(v, m, o);
    }
    for (int i = 0; i < WORDS; i++)
        cv[i] = v[i] ^ v[i + 8];
}

/* The same of eight nodes, each of `blocks` whole blocks and `stride` bytes behind the one before.
 * Leaves count from `counter`, parents do not. */
FAST static void compress_eight(uint8_t *cvs, const uint8_t *data, size_t stride, int blocks,
                                uint64_t counter, int leaves) {
    lanes cv[WORDS], low, high;
    for (int i = 0; i < WORDS; i++)
        cv[i] = (lanes){0} + IV[i];
    for (int lane = 0; lane < LANES; lane++) {
        uint64_t number = leaves ? counter + (uint64_t)lane : 0;
        low[lane] = (uint32_t)number, high[lane] = (uint32_t)(number >> 32);
    }
    for (int block = 0; block < blocks; block++) {
        lanes v[16], m[16];
        uint32_t flags = !leaves ? PARENT : 0;
        if (leaves)
            flags = (block == 0 ? CHUNK_START : 0) | (block == blocks - 1 ? CHUNK_END : 0);
        for (int i = 0; i < 16; i++)
            for (int lane = 0; lane < LANES; lane++)
                m[i][lane] = word(data + (size_t)lane * stride + (size_t)block * BLOCK + 4 * i);
        for (int i = 0; i < WORDS; i++)
            v[i] = cv[i];
        for (int i = 0; i < 4; i++)
            v[8 + i] = (lanes){0} + IV[i];
        v[12] = low, v[13] = high, v[14] = (lanes){0} + BLOCK, v[15] = (lanes){0} + flags;
        for (int round = 0; round < 7; round++) {
            const uint8_t *o = ORDER[round];
            ROUND(v, m, o);
        }
        for (int i = 0; i < WORDS; i++)
            cv[i] = v[i] ^ v[i + 8];
    }
    for (int lane = 0; lane < LANES; lane++)
        for (int i = 0; i < WORDS; i++)
            put_word(cvs + lane * DIGEST + 4 * i, cv[i][lane]);
}

static void leaf(uint8_t *cv_bytes, const uint8_t *data, size_t size, uint64_t counter,
                 uint32_t root) {
    uint32_t cv[WORDS], flags = CHUNK_START;
    memcpy(cv, IV, sizeof cv);
    for (; size > BLOCK; data += BLOCK, size -= BLOCK, flags = 0)
        compress(cv, data, BLOCK, counter, flags);
    uint8_t last[BLOCK] = {0};
    memcpy(last, data, size);
    compress(cv, last, (uint32_t)size, counter, flags | CHUNK_END | root);
    for (int i = 0; i < WORDS; i++)
        put_word(cv_bytes + 4 * i, cv[i]);
}

static void parent(uint8_t *cv_bytes, const uint8_t *pair, uint32_t root) {
    uint32_t cv[WORDS];
    memcpy(cv, IV, sizeof cv);
    compress(cv, pair, BLOCK, 0, PARENT | root);
    for (int i = 0; i < WORDS; i++)
        put_word(cv_bytes + 4 * i, cv[i]);
}

/* The chaining values of all leaves. */
static void leaves_of(uint8_t *cvs, const uint8_t *data, size_t size, size_t count,
                      uint64_t before) {
    size_t whole = size / LEAF, at = 0;
    for (; at + LANES <= whole; at += LANES)
        compress_eight(cvs + at * DIGEST, data + at * LEAF, LEAF, LEAF / BLOCK, before + at, 1);
    for (; at < count; at++) {
        size_t left = size - at * LEAF;
        leaf(cvs + at * DIGEST, data + at * LEAF, left < LEAF ? left : LEAF, before + at, 0);
    }
}

/* Pairs of one level become the next; who has no partner goes up as it is. That gives the tree of
 * the paper, whose left halves are as large a power of two as they can be. */
static size_t level(uint8_t *cvs, size_t count) {
    size_t pairs = count / 2, at = 0;
    uint8_t done[LANES * DIGEST];
    for (; at + LANES <= pairs; at += LANES) {
        compress_eight(done, cvs + at * BLOCK, BLOCK, 1, 0, 0);
        memcpy(cvs + at * DIGEST, done, sizeof done);
    }
    for (; at < pairs; at++) {
        parent(done, cvs + at * BLOCK, 0);
        memcpy(cvs + at * DIGEST, done, DIGEST);
    }
    if (count % 2)
        memmove(cvs + pairs * DIGEST, cvs + (count - 1) * DIGEST, DIGEST);
    return pairs + count % 2;
}

/* The tree above some data; `before`: leaves that come earlier; `root`: flags of its top. */
static int tree(const uint8_t *data, size_t size, uint64_t before, uint32_t root,
                uint8_t node[DIGEST]) {
    size_t count = size ? (size + LEAF - 1) / LEAF : 1;
    if (count == 1) {
        leaf(node, data, size, before, root);
        return 0;
    }
    uint8_t few[256 * DIGEST], *cvs = count <= 256 ? few : malloc(count * DIGEST);
    if (!cvs)
        return -1;
    leaves_of(cvs, data, size, count, before);
    while (count > 2)
        count = level(cvs, count);
    parent(node, cvs, root);
    if (cvs != few)
        free(cvs);
    return 0;
}

int burst_blake3(const uint8_t *data, size_t size, uint8_t digest[DIGEST]) {
    return tree(data, size, 0, ROOT, digest);
}

int burst_part(const uint8_t *data, size_t size, uint64_t number, uint8_t node[DIGEST]) {
    return tree(data, size, number * (PART / LEAF), 0, node);
}

void burst_pair(const uint8_t pair[2 * DIGEST], int root, uint8_t node[DIGEST]) {
    parent(node, pair, root ? ROOT : 0);
}

int burst_names(const uint8_t *data, const uint64_t *ends, size_t count, uint8_t *digests) {
    uint64_t from = 0;
    for (size_t i = 0; i < count; from = ends[i++])
        if (burst_blake3(data + from, ends[i] - from, digests + i * DIGEST))
            return -1;
    return 0;
}
