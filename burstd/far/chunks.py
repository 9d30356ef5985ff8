"""What is done with bytes on their way: they are cut, named and compressed (docs/formats.md)."""

from __future__ import annotations

import ctypes
import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Callable, Union

from burstd.far import planes
from burstd.far.errors import BROKEN, FarError
from burstd.far.loader import Data, library, pointer

DIGEST = 32  #: bytes of a name
ROW = 48  #: bytes of a row of a table of chunks
LEAST, MOST = 8 * 1024, 128 * 1024  #: bytes of a chunk; 30 KiB on average
ALONE = 64 * 1024  #: bytes of a file that is one chunk
WINDOW = 4 * 1024 * 1024  #: bytes of a file in memory at once


def blake3(data: Data) -> bytes:
    """The digest of all of it."""
    name = bytearray(DIGEST)
    if library().burst_blake3(pointer(data), len(data), pointer(name)):
        raise MemoryError
    return bytes(name)


class Blake3:
    """The digest of what comes piece by piece, as hashlib's classes have it."""

    def __init__(self) -> None:
        self._state = bytearray()

    def update(self, data: Data) -> None:
        """Goes on with these bytes."""
        self._state = self._state or bytearray(library().burst_hash_size())
        library().burst_hash(pointer(self._state), pointer(data), len(data))

    def digest(self) -> bytes:
        """Of all that has come so far."""
        if not self._state:
            return blake3(b"")
        name = bytearray(DIGEST)
        library().burst_hashed(pointer(self._state), pointer(name))
        return bytes(name)

    def hexdigest(self) -> str:
        """The same in words."""
        return self.digest().hex()


def digest_of(fd: int, pulse: Callable[[], object] = int) -> str:
    """Of an open file from its first byte to its last, in hex. `pulse` is called now and then."""
    digest, offset = Blake3(), 0
    buffer = memoryview(bytearray(min(WINDOW, os.fstat(fd).st_size + 1)))
    while have := os.preadv(fd, [buffer], offset):
        digest.update(buffer[:have])
        offset += have
        pulse()
    return digest.hexdigest()


def cut(data: Data) -> list[int]:
    """The offsets behind its chunks. Equal content is cut alike wherever it lies; the last chunk
    ends with the data, so only the end of a file may be given with it."""
    room = len(data) // LEAST + 1
    ends = array("Q", bytes(8 * room))
    count = library().burst_cut(pointer(data), len(data), pointer(ends), room)
    return ends[:count].tolist()


def names(data: Data, ends: Sequence[int]) -> bytes:
    """The digests of all pieces, one after the other."""
    count = len(ends)
    if count == 1 and ends[0] == len(data):
        return blake3(data)
    found = bytearray(DIGEST * count)
    borders = array("Q", ends)
    if library().burst_names(pointer(data), pointer(borders), count, pointer(found)):
        raise MemoryError
    return bytes(found)


def each(found: Union[bytes, bytearray]) -> list[bytes]:
    """The names that lie there one after the other."""
    return [bytes(found[at : at + DIGEST]) for at in range(0, len(found), DIGEST)]


def sort_rows(rows: bytearray) -> None:
    """Puts rows of ROW bytes into the order of the names that they begin with."""
    if rows:
        library().burst_sort(pointer(rows), len(rows) // ROW)


def find_rows(rows: Data, wanted: Data, width: int) -> Sequence[int]:
    """The number of each name's row, or -1; the names lie `width` bytes apart."""
    many = len(wanted) // width
    if many and len(rows):
        found = array("q", bytes(8 * many))
        library().burst_find(
            pointer(rows), len(rows) // ROW, pointer(wanted), width, many, pointer(found)
        )
        return found.tolist()
    return [-1] * many


def texts(data: Data, ends: Sequence[int]) -> bytes:
    """Of each piece 1 if it is text, else 0."""
    found, borders = bytearray(len(ends)), array("Q", ends)
    library().burst_texts(pointer(data), pointer(borders), len(ends), pointer(found))
    return bytes(found)


def compress(data: Data, level: int, ends: Sequence[int] = ()) -> bytes:
    """As one zstd frame; `ends`: of pieces that are of different kinds, by default one of all. What
    says where numbers lie in planes counts as a part of it."""
    native, pieces = library(), ends or (len(data),)
    room = native.burst_bound(len(data), len(pieces))
    frame, borders = bytearray(room), array("Q", pieces)
    size = native.burst_compress(
        pointer(frame), room, pointer(data), pointer(borders), len(pieces), level
    )
    if not size:
        raise MemoryError
    return bytes(memoryview(frame)[:size])


def decompress(frame: Data, size: int) -> bytearray:
    """What is in a frame. Raises FarError(broken) unless that is `size` bytes."""
    content, head = bytearray(size), planes.head(frame, size)
    if not head or library().burst_decompress(pointer(content), size, pointer(frame), len(frame)):
        raise FarError(BROKEN, f"a frame that does not hold {size} bytes")
    planes.Joiner(memoryview(content), head[1], _join).upto(size)
    return content


def inflate(blocks: Iterable[bytes], into: memoryview) -> Iterator[int]:
    """What is in a frame, as it comes: how much is there by now. Raises FarError(broken) unless
    that fits exactly."""
    native = library()
    state = native.burst_inflater()
    if not state:
        raise MemoryError
    read, written, have, ended = ctypes.c_size_t(), ctypes.c_size_t(), 0, 0
    came, joiner = bytearray(), None
    try:
        for block in blocks:
            if joiner is None:
                came += block
                if (head := planes.head(came, len(into))) is None:
                    continue
                block, joiner = bytes(came[head[0] :]), planes.Joiner(into, head[1], _join)
            # With no room left a frame can still end, so there must be a place to write nothing to.
            room = into[have:] if have < len(into) else memoryview(bytearray(1))
            ended = ended or native.burst_inflate(
                state, pointer(room), len(into) - have, block, len(block),
                ctypes.byref(read), ctypes.byref(written),
            )  # fmt: skip
            if ended < 0 or read.value < len(block):
                break
            have += written.value
            yield joiner.upto(have)
            read.value = written.value = 0
        else:
            if ended > 0 and have == len(into):
                return
    finally:
        native.burst_inflated(state)
    raise FarError(BROKEN, f"a frame that does not hold {len(into)} bytes")


def _join(stretch: memoryview, width: int) -> None:
    if library().burst_join(pointer(stretch), len(stretch), width):
        raise MemoryError


def files(
    directory: int,
    names: bytes,
    columns: Sequence[array[int]],
    places: Sequence[array[int]],
    digests: bytes,
    hole: int,
) -> int:
    """Makes new files: names that end with NULs; how many chunks they have, their times and modes,
    what becomes known of them; where the chunks lie. How many there are; see native.h."""
    found, count = (*map(pointer, columns), *map(pointer, places)), len(columns[0])
    return int(library().burst_files(directory, count, names, *found, digests, hole))


#: Of a chunk in a store: its name, a descriptor, where it lies there, its size.
Kept = tuple[bytes, int, int, int]


def lay(to: int, found: Sequence[Kept], hole: int) -> tuple[int, bool]:
    """Appends chunks to an open file. Zeros of `hole` bytes and more are passed over. How many are
    there before one that is not what its name says, and whether the last was passed over. Raises
    OSError where the file can't be written."""
    state = array("i", (0, 0))
    names, fds, offsets, sizes = zip(*found)  # noqa: B905 (Python 3.9)
    columns = array("i", fds), array("Q", offsets), array("Q", sizes)
    where = (*map(pointer, columns), b"".join(names))
    done = library().burst_lay(to, len(found), *where, hole, pointer(state))
    if state[0]:
        raise OSError(state[0], os.strerror(state[0]))
    return int(done), bool(state[1])
