/* BLAKE3, the hash without key, as the paper has it (O'Connor, Aumasson, Neves, Wilcox-O'Hearn:
 * "BLAKE3, one function, fast everywhere", 2020). Nodes of one level are compressed at once, one in
 * each lane of a vector: eight, or sixteen where the CPU has AVX-512. Chunks are small, so those of
 * many trees are taken together: one alone would leave most lanes empty near its top. */
#include "native.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_LANES = 16, BLOCK = 64, LEAF = 1024, WORDS = 8 };
enum { CHUNK_START = 1, CHUNK_END = 2, PARENT = 4, ROOT = 8 };

typedef uint32_t eight __attribute__((vector_size(4 * 8)));
typedef uint32_t sixteen __attribute__((vector_size(4 * 16)));

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

/* A node: a leaf's `size` bytes, or a pair's; `flags` of its last block. `cv` gets what it comes to. */
struct node {
    const uint8_t *at;
    uint8_t *cv;
    uint64_t counter;
    uint32_t size, flags;
};

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define IN_ORDER(x) ((x) << 24 | ((x) & 0xff00) << 8 | ((x) >> 8 & 0xff00) | (x) >> 24)
#else
#define IN_ORDER(x) (x)
#endif

#define LANES_T eight
#define WIDTH 8
#define SIDE_BY_SIDE compress_eight
#define TARGET FAST
#define LOW_1 ((eight){0, 8, 1, 9, 4, 12, 5, 13})
#define HIGH_1 ((eight){2, 10, 3, 11, 6, 14, 7, 15})
#define LOW_2 ((eight){0, 1, 8, 9, 4, 5, 12, 13})
#define HIGH_2 ((eight){2, 3, 10, 11, 6, 7, 14, 15})
#define LOW_4 ((eight){0, 1, 2, 3, 8, 9, 10, 11})
#define HIGH_4 ((eight){4, 5, 6, 7, 12, 13, 14, 15})
#define TURN_LAST(rows)
#include "lanes.h"

#ifdef FASTER
#define LANES_T sixteen
#define WIDTH 16
#define SIDE_BY_SIDE compress_sixteen
#define TARGET FASTER
#define LOW_1 ((sixteen){0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29})
#define HIGH_1 ((sixteen){2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31})
#define LOW_2 ((sixteen){0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29})
#define HIGH_2 ((sixteen){2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31})
#define LOW_4 ((sixteen){0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27})
#define HIGH_4 ((sixteen){4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31})
#define LOW_8 ((sixteen){0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23})
#define HIGH_8 ((sixteen){8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31})
#define TURN_LAST(rows) TURN_STEP(rows, 8, LOW_8, HIGH_8)
#include "lanes.h"

static int lanes = 8;

__attribute__((constructor)) static void choose(void) {
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"))
        lanes = 16;
}
#else
enum { lanes = 8 };
#endif

/* Of a node that is left alone: the others of its vector would be for nothing. */
static void by_itself(const struct node *node) {
    uint32_t cv[WORDS], flags = node->flags & PARENT ? PARENT : CHUNK_START, size = node->size;
    const uint8_t *at = node->at;
    memcpy(cv, IV, sizeof cv);
    for (; size > BLOCK; at += BLOCK, size -= BLOCK, flags = 0)
        compress(cv, at, BLOCK, node->counter, flags);
    uint8_t last[BLOCK] = {0};
    memcpy(last, at, size);
    compress(cv, last, size, node->counter, flags | node->flags);
    for (int i = 0; i < WORDS; i++)
        put_word(node->cv + 4 * i, cv[i]);
}

/* Nodes that do not need each other. */
struct row {
    struct node nodes[MOST_LANES];
    int count;
};

static void finish(struct row *row) {
    int count = row->count, at = 0;
    row->count = 0;
#ifdef FASTER
    if (lanes == 16 && count > 8) {
        compress_sixteen(row->nodes, count);
        return;
    }
#endif
    for (; at + 1 < count; at += 8)
        compress_eight(row->nodes + at, count - at < 8 ? count - at : 8);
    if (at < count)
        by_itself(row->nodes + at);
}

static void add(struct row *row, const uint8_t *at, size_t size, uint64_t counter, uint32_t flags,
                uint8_t *cv) {
    row->nodes[row->count++] = (struct node){at, cv, counter, (uint32_t)size, flags};
    if (row->count == lanes)
        finish(row);
}

/* The tree above some data: `before`: leaves that come earlier; `cvs`: room for DIGEST bytes of each
 * leaf; `top` gets what stands for it. `count`: nodes of the level that was reached. */
struct tree {
    const uint8_t *data;
    size_t size;
    uint64_t before;
    uint8_t *cvs, *top;
    size_t count;
};

static size_t leaves_of(size_t size) {
    return size ? (size + LEAF - 1) / LEAF : 1;
}

/* Whole leaves, or those that are shorter: side by side each takes as long as the longest. */
static void add_leaves(struct row *row, const struct tree *tree, int whole, uint32_t root) {
    size_t full = tree->size / LEAF, at = whole ? 0 : full, end = whole ? full : tree->count;
    for (; at < end; at++)
        add(row, tree->data + at * LEAF, whole ? LEAF : tree->size % LEAF, tree->before + at,
            CHUNK_END | (tree->count == 1 ? root : 0),
            tree->count == 1 ? tree->top : tree->cvs + at * DIGEST);
}

/* Pairs of one level become the next, in their place; who has no partner goes up as it is, once the
 * row is finished. That gives the tree of the paper, whose left halves are as large a power of two
 * as they can be. */
static void add_pairs(struct row *row, const struct tree *tree, uint32_t root) {
    for (size_t i = 0; i < tree->count / 2; i++)
        add(row, tree->cvs + i * BLOCK, BLOCK, 0, PARENT | (tree->count == 2 ? root : 0),
            tree->count == 2 ? tree->top : tree->cvs + i * DIGEST);
}

static int rise(struct tree *tree) {
    size_t pairs = tree->count / 2;
    if (tree->count > 1 && tree->count % 2)
        memmove(tree->cvs + pairs * DIGEST, tree->cvs + (tree->count - 1) * DIGEST, DIGEST);
    if (tree->count > 1)
        tree->count = pairs + tree->count % 2;
    return tree->count > 1;
}

/* `root`: flags of their tops. */
static void grow(struct tree *trees, size_t many, uint32_t root) {
    struct row row = {.count = 0};
    int more = 0;
    for (int whole = 1; whole >= 0; whole--)
        for (size_t i = 0; i < many; i++) {
            trees[i].count = leaves_of(trees[i].size);
            more |= trees[i].count > 1;
            add_leaves(&row, trees + i, whole, root);
        }
    finish(&row);
    while (more) {
        for (size_t i = 0; i < many; i++)
            add_pairs(&row, trees + i, root);
        finish(&row);
        more = 0;
        for (size_t i = 0; i < many; i++)
            more |= rise(trees + i);
    }
}

/* At once: trees, and leaves of all of them. */
enum { TREES = 32, LEAVES = 1024 };

int burst_blake3(const uint8_t *data, size_t size, uint8_t digest[DIGEST]) {
    uint8_t few[LEAVES * DIGEST], *many = NULL;
    size_t count = leaves_of(size);
    if (count > LEAVES && !(many = malloc(count * DIGEST)))
        return -1;
    struct tree tree = {data, size, 0, many ? many : few, digest, 0};
    grow(&tree, 1, ROOT);
    free(many);
    return 0;
}

/* What comes in pieces is taken in parts, some of them at once. `rest`: what is less than a part, or
 * the last one where no more may come. `nodes`: whole trees before it, which become one where they
 * are alike, once another part follows: the last two may be the digest's. */
enum { PART = 128 * LEAF, SIDE = LEAVES * LEAF / PART, MOST_NODES = 64 };
struct hash {
    uint64_t parts, held;
    uint32_t count;
    uint8_t nodes[MOST_NODES][DIGEST], rest[PART];
};

static void pair(uint8_t left[DIGEST], const uint8_t right[DIGEST], uint32_t root) {
    uint8_t both[BLOCK];
    memcpy(both, left, DIGEST);
    memcpy(both + DIGEST, right, DIGEST);
    by_itself(&(struct node){both, left, 0, BLOCK, PARENT | root});
}

/* One more part, which has become `node`. */
static void append(struct hash *hash, const uint8_t node[DIGEST]) {
    for (uint64_t parts = hash->parts; parts && !(parts & 1); parts >>= 1, hash->count--)
        pair(hash->nodes[hash->count - 2], hash->nodes[hash->count - 1], 0);
    memcpy(hash->nodes[hash->count++], node, DIGEST);
    hash->parts++;
}

/* At most SIDE parts; the last one may be shorter. */
static void append_parts(struct hash *hash, const uint8_t *data, size_t size) {
    uint8_t cvs[LEAVES * DIGEST], tops[SIDE][DIGEST];
    struct tree trees[SIDE];
    size_t many = 0;
    for (size_t at = 0; at < size; at += PART, many++)
        trees[many] = (struct tree){data + at,
                                    size - at < PART ? size - at : PART,
                                    (hash->parts + many) * (PART / LEAF),
                                    cvs + at / LEAF * DIGEST,
                                    tops[many],
                                    0};
    grow(trees, many, 0);
    for (size_t i = 0; i < many; i++)
        append(hash, tops[i]);
}

size_t burst_hash_size(void) {
    return sizeof(struct hash);
}

void burst_hash(void *state, const uint8_t *data, size_t size) {
    struct hash *hash = state;
    if (!size)
        return;
    if (hash->held) {
        size_t some = size < PART - hash->held ? size : PART - hash->held;
        memcpy(hash->rest + hash->held, data, some);
        hash->held += some, data += some, size -= some;
        if (hash->held < PART || !size)
            return;
        append_parts(hash, hash->rest, PART);
        hash->held = 0;
    }
    size_t whole = (size - (hash->parts || !size ? 0 : 1)) / PART;
    for (size_t some; whole; whole -= some, data += some * PART, size -= some * PART) {
        some = whole < SIDE ? whole : SIDE;
        append_parts(hash, data, some * PART);
    }
    memcpy(hash->rest, data, size);
    hash->held = size;
}

void burst_hashed(const void *state, uint8_t digest[DIGEST]) {
    const struct hash *now = state;
    if (!now->parts) {
        burst_blake3(now->rest, now->held, digest); /* has room for so little */
        return;
    }
    struct hash all;
    memcpy(&all, now, offsetof(struct hash, rest));
    if (now->held)
        append_parts(&all, now->rest, now->held);
    while (all.count-- > 1)
        pair(all.nodes[all.count - 1], all.nodes[all.count], all.count == 1 ? ROOT : 0);
    memcpy(digest, all.nodes[0], DIGEST);
}

int burst_names(const uint8_t *data, const uint64_t *ends, size_t count, uint8_t *digests) {
    uint8_t cvs[LEAVES * DIGEST];
    struct tree trees[TREES];
    size_t many = 0, used = 0;
    uint64_t from = 0;
    for (size_t i = 0; i < count; from = ends[i++]) {
        size_t size = ends[i] - from, leaves = leaves_of(size);
        if (many == TREES || used + leaves > LEAVES) {
            grow(trees, many, ROOT);
            many = used = 0;
        }
        if (leaves <= LEAVES) {
            trees[many++] = (struct tree){data + from, size, 0, cvs + used * DIGEST,
                                          digests + i * DIGEST, 0};
            used += leaves;
        } else if (burst_blake3(data + from, size, digests + i * DIGEST))
            return -1;
    }
    grow(trees, many, ROOT);
    return 0;
}
