/* What the data plane does with bytes: cut, name, compress. Loaded by ctypes, which gives the GIL
 * back meanwhile; nothing here keeps state between two calls. docs/formats.md says what it must
 * come to. */
#ifndef BURST_NATIVE_H
#define BURST_NATIVE_H

#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

enum { DIGEST = 32 };

/* One slower and plain for every CPU, one for those with 256-bit vectors; the loader chooses. What
 * needs vectors of 512 bits asks the CPU itself. */
#if defined(__x86_64__) && defined(__GLIBC__)
#define FAST __attribute__((target_clones("avx2", "default")))
#define FASTER __attribute__((target("avx512f,avx512vl")))
#else
#define FAST
#endif

/* BLAKE3 of `size` bytes. 0, or -1 if there is no memory. */
EXPORT int burst_blake3(const uint8_t *data, size_t size, uint8_t digest[DIGEST]);

/* The same of what comes in pieces. `state` is as many bytes as burst_hash_size says, all 0 before
 * the first piece; it stays as it is when the digest of all that has come is asked for. */
EXPORT size_t burst_hash_size(void);
EXPORT void burst_hash(void *state, const uint8_t *data, size_t size);
EXPORT void burst_hashed(const void *state, uint8_t digest[DIGEST]);

/* Cut `data` into chunks; `ends` gets the offset behind each, at most `room` of them. Returns how
 * many there are. The last one ends where the data do. */
EXPORT size_t burst_cut(const uint8_t *data, size_t size, uint64_t *ends, size_t room);

/* BLAKE3 of each piece of `data`; `ends` as above. `digests` gets DIGEST bytes for each. */
EXPORT int burst_names(const uint8_t *data, const uint64_t *ends, size_t count, uint8_t *digests);

/* One zstd frame of `count` pieces (at least one; `ends` as above), which share what they repeat;
 * but each has its own statistics: text beside numbers costs a sixth more otherwise. Numbers lie in
 * planes where that helps; a frame before it says where. Bytes written, or 0: `room` was not
 * enough, or no memory. */
EXPORT size_t burst_bound(size_t size, size_t count);
EXPORT size_t burst_compress(uint8_t *to, size_t room, const uint8_t *from, const uint64_t *ends,
                             size_t count, int level);

/* `found` gets 1 for each piece that is text, else 0. */
EXPORT void burst_texts(const uint8_t *data, const uint64_t *ends, size_t count, uint8_t *found);

/* A piece whose numbers lie in planes, as they were. 0, or -1 if there is no memory. */
EXPORT int burst_join(uint8_t *data, size_t size, size_t width);

/* The content of one zstd frame, which must be `size` bytes. 0, or -1. */
EXPORT int burst_decompress(uint8_t *to, size_t size, const uint8_t *from, size_t length);

/* The same as it comes: `*read` bytes were taken, `*written` given. Continue with what is left; 1 at
 * the frame's end, 0 before, -1 if it is none. */
EXPORT void *burst_inflater(void);
EXPORT int burst_inflate(void *state, uint8_t *to, size_t room, const uint8_t *from, size_t size,
                         size_t *read, size_t *written);
EXPORT void burst_inflated(void *state);

/* Put rows into the order of the names that they begin with. */
enum { ROW = 48 };
EXPORT void burst_sort(uint8_t *rows, size_t count);

/* For each of `many` names, which lie `width` bytes apart, the number of its row, or -1. */
EXPORT void burst_find(const uint8_t *rows, size_t count, const uint8_t *wanted, size_t width,
                       size_t many, int64_t *found);

/* Make new files in a directory, by their names (each ends with a NUL), of how many chunks each is,
 * times (nanoseconds since 1970) and modes; the chunks as burst_lay has them, or IN_MEMORY and where.
 * Returns how many are there: the next one could not be made, or not whole. `facts` gets of each: time
 * of its last change, of its inode's, inode. */
enum { FACTS = 3, IN_MEMORY = -2 };
EXPORT size_t burst_files(int directory, size_t count, const char *names, const uint32_t *chunks,
                          const int64_t *mtimes, const uint32_t *modes, int64_t *facts,
                          const int32_t *from, const uint64_t *places, const uint64_t *sizes,
                          const uint8_t *digests, size_t hole);

/* Append chunks to an open file: the descriptors in which they lie, where, their sizes and names.
 * Runs of zeros from `hole` bytes on are passed over. Returns how many are there; the next one is not
 * what its name says, or could not be written: `state` gets that error, and whether the last one was
 * passed over. */
EXPORT size_t burst_lay(int to, size_t count, const int32_t *from, const uint64_t *offsets,
                        const uint64_t *sizes, const uint8_t *names, size_t hole,
                        int32_t state[2]);

/* Read files of at most `most` bytes, by their paths (each ends with a NUL), one behind the other.
 * Returns how many were looked at: there was no room for the next. `stamps` gets of each its size,
 * times of its last change and of its inode's (nanoseconds), inode and mode; a size of -1 where it
 * is none of these, or changed meanwhile. */
enum { STAMP = 5 };
EXPORT size_t burst_read(const char *paths, size_t count, size_t most, uint8_t *to, size_t room,
                         int64_t *stamps, uint8_t *digests);

/* What lies in a directory: `names` gets theirs, each ends with a NUL, and so do all of them; `facts`
 * of each its mode, size, time of its last change (nanoseconds since 1970) and inode, not those of
 * what a link leads to. Returns how many there are, or what went wrong as errno has it, below 0: with
 * the one that `names` names then, or with the directory. ERANGE: there is more than there is room
 * for. */
enum { SEEN = 4 };
EXPORT int64_t burst_list(const char *path, char *names, size_t room, int64_t *facts, size_t most);

/* How many of some files, by their paths as above, come before the first that we may not read. */
EXPORT size_t burst_readable(const char *paths, size_t count);

/* The stamps of files, by their paths as above; a size below 0 is what went wrong. `opened`: of an
 * open file: NFS may tell of another one from memory (nfs(5)). */
EXPORT void burst_stamps(const char *paths, size_t count, int opened, int64_t *stamps);

#endif
