"""What is done with bytes on their way: they are cut, named and compressed (docs/formats.md).

The work itself is done by a small library in C that is shipped inside the program: the far end has
neither BLAKE3 nor zstd of its own. It runs without the GIL.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Union

from burstd.far.errors import BROKEN, REFUSED, FarError
from burstd.far.program import archive, resource

Data = Union[bytes, bytearray, memoryview]

DIGEST = 32  #: bytes of a name
ROW = 48  #: bytes of a row of a table of chunks
PART = 1024 * 1024
LEAST, AVERAGE, MOST = 16 * 1024, 64 * 1024, 256 * 1024  #: bytes of a chunk
WINDOW = 4 * 1024 * 1024  #: bytes of a file in memory at once


def blake3(data: Data) -> bytes:
    """The digest of all of it."""
    name = ctypes.create_string_buffer(DIGEST)
    if _library().burst_blake3(_pointer(data), len(data), name):
        raise MemoryError
    return name.raw


class Blake3:
    """The digest of what comes piece by piece, as hashlib's classes have it."""

    def __init__(self) -> None:
        self._rest = bytearray()  # never empty once something has come: the last part is special
        self._parts = 0
        self._nodes: list[bytes] = []

    def update(self, data: Data) -> None:
        """Goes on with these bytes."""
        self._rest += data
        taken = 0
        while len(self._rest) - taken > PART:
            self._push(memoryview(self._rest)[taken : taken + PART])
            taken += PART
        if taken:
            del self._rest[:taken]

    def digest(self) -> bytes:
        """Of all that has come so far."""
        if not self._nodes:
            return blake3(self._rest)
        node = _part(self._rest, self._parts)
        for at in range(len(self._nodes) - 1, -1, -1):
            node = _pair(self._nodes[at], node, root=at == 0)
        return node

    def hexdigest(self) -> str:
        """The same in words."""
        return self.digest().hex()

    def _push(self, part: Data) -> None:
        node = _part(part, self._parts)
        self._parts += 1
        # As many complete pairs end here as the count of parts has zeros at its end.
        pairs = self._parts
        while not pairs & 1:
            node = _pair(self._nodes.pop(), node, root=False)
            pairs >>= 1
        self._nodes.append(node)


def _part(data: Data, number: int) -> bytes:
    node = ctypes.create_string_buffer(DIGEST)
    if _library().burst_part(_pointer(data), len(data), number, node):
        raise MemoryError
    return node.raw


def _pair(left: bytes, right: bytes, root: bool) -> bytes:
    node = ctypes.create_string_buffer(DIGEST)
    _library().burst_pair(left + right, root, node)
    return node.raw


def cut(data: Data) -> Sequence[int]:
    """The offsets behind its chunks. Equal content is cut alike wherever it lies; the last chunk
    ends with the data, so only the end of a file may be given with it."""
    room = len(data) // LEAST + 1
    ends = (ctypes.c_uint64 * room)()
    count = _library().burst_cut(_pointer(data), len(data), ends, room)
    return ends[:count]


def names(data: Data, ends: Sequence[int]) -> list[bytes]:
    """The digest of each piece."""
    count = len(ends)
    if count == 1 and ends[0] == len(data):
        return [blake3(data)]
    found = ctypes.create_string_buffer(DIGEST * count)
    if _library().burst_names(_pointer(data), (ctypes.c_uint64 * count)(*ends), count, found):
        raise MemoryError
    raw = found.raw
    return [raw[at : at + DIGEST] for at in range(0, DIGEST * count, DIGEST)]


@dataclass(frozen=True)
class Window:
    """Some chunks of a file that lie side by side, from `offset` on; `ends` count from there."""

    offset: int
    content: memoryview
    ends: Sequence[int]
    names: Sequence[bytes]

    def pieces(self) -> Iterator[tuple[bytes, int, memoryview]]:
        """Name, offset in the file and bytes of each chunk."""
        start = 0
        for name, end in zip(self.names, self.ends):  # noqa: B905 (Python 3.9)
            yield name, self.offset + start, self.content[start:end]
            start = end


def windows(fd: int, size: int, start: int = 0) -> Iterator[Window]:
    """All chunks of an open file that has so many bytes, or of those from `start` on, which are cut
    as if the file began there; fewer if it is shorter by now."""
    offset, rest = start, memoryview(b"")
    while offset < size:
        window = bytearray(max(len(rest), min(WINDOW, size - offset)))
        window[: len(rest)] = rest
        have = len(rest)
        while have < len(window):
            came = os.preadv(fd, [memoryview(window)[have:]], offset + have)
            if not came:
                return
            have += came
        view = memoryview(window)
        ends = [len(view)] if size - start <= AVERAGE else cut(view)
        if offset + len(window) < size:  # the last ends where the window does, not where it should
            ends = [end for end in ends[:-1] if end <= len(window) - MOST] or ends[:1]
        yield Window(offset, view[: ends[-1]], ends, names(view, ends))
        rest = view[ends[-1] :]
        offset += ends[-1]


def sort_rows(rows: bytearray) -> None:
    """Puts rows of ROW bytes into the order of the names that they begin with."""
    if rows:
        _library().burst_sort(_pointer(rows), len(rows) // ROW)


def find_rows(rows: Data, wanted: Data, width: int) -> Sequence[int]:
    """The number of each name's row, or -1; the names lie `width` bytes apart."""
    many = len(wanted) // width
    found = (ctypes.c_int64 * many)()
    if many and len(rows):
        _library().burst_find(
            _pointer(rows), len(rows) // ROW, _pointer(wanted), width, many, found
        )
        return found[:]
    return [-1] * many


def compress(data: Data, level: int, ends: Sequence[int] = ()) -> bytes:
    """As one zstd frame; `ends`: of pieces that are of different kinds, by default one of all."""
    library, pieces = _library(), ends or (len(data),)
    room = library.burst_bound(len(data), len(pieces))
    frame, count = ctypes.create_string_buffer(room), len(pieces)
    borders = (ctypes.c_uint64 * count)(*pieces)
    size = library.burst_compress(frame, room, _pointer(data), borders, count, level)
    if not size:
        raise MemoryError
    return ctypes.string_at(frame, size)


def decompress(frame: Data, size: int) -> bytearray:
    """What is in a frame. Raises FarError(broken) unless that is `size` bytes."""
    content = bytearray(size)
    if _library().burst_decompress(_pointer(content), size, _pointer(frame), len(frame)):
        raise FarError(BROKEN, f"a frame that does not hold {size} bytes")
    return content


def inflate(blocks: Iterable[bytes], into: memoryview) -> Iterator[int]:
    """What is in a frame, as it comes: how much is there by now. Raises FarError(broken) unless
    that fits exactly."""
    library = _library()
    state = library.burst_inflater()
    if not state:
        raise MemoryError
    read, written, have, ended = ctypes.c_size_t(), ctypes.c_size_t(), 0, 0
    try:
        for block in blocks:
            # With no room left a frame can still end, so there must be a place to write nothing to.
            room = into[have:] if have < len(into) else memoryview(bytearray(1))
            ended = ended or library.burst_inflate(
                state, _pointer(room), len(into) - have, block, len(block),
                ctypes.byref(read), ctypes.byref(written),
            )  # fmt: skip
            if ended < 0 or read.value < len(block):
                break
            have += written.value
            yield have
            read.value = written.value = 0
        else:
            if ended > 0 and have == len(into):
                return
    finally:
        library.burst_inflated(state)
    raise FarError(BROKEN, f"a frame that does not hold {len(into)} bytes")


def _pointer(data: Data) -> object:
    """Something that ctypes takes as an address; the data are not copied. (An array of their size
    would be a new type for each size.)"""
    if isinstance(data, bytes):
        return data
    return ctypes.byref(ctypes.c_char.from_buffer(data)) if len(data) else None


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    """Raises FarError(refused) where this program has no native part for this machine."""
    name = f"native/burst-{os.uname().machine}.so"
    try:
        with _loadable(name) as path:
            library = ctypes.CDLL(path)
    except OSError as error:
        raise FarError(REFUSED, f"{name} can't be used here: {error}") from error
    address, size = ctypes.c_void_p, ctypes.c_size_t
    sizes = (ctypes.POINTER(size), ctypes.POINTER(size))
    for function, result, arguments in (
        (library.burst_blake3, ctypes.c_int, (address, size, address)),
        (library.burst_part, ctypes.c_int, (address, size, ctypes.c_uint64, address)),
        (library.burst_pair, None, (address, ctypes.c_int, address)),
        (library.burst_cut, size, (address, size, address, size)),
        (library.burst_names, ctypes.c_int, (address, address, size, address)),
        (library.burst_sort, None, (address, size)),
        (library.burst_find, None, (address, size, address, size, size, address)),
        (library.burst_bound, size, (size, size)),
        (library.burst_compress, size, (address, size, address, address, size, ctypes.c_int)),
        (library.burst_inflater, address, ()),
        (library.burst_inflate, ctypes.c_int, (address, address, size, address, size, *sizes)),
        (library.burst_inflated, None, (address,)),
        (library.burst_decompress, ctypes.c_int, (address, size, address, size)),
    ):
        function.restype, function.argtypes = result, arguments
    return library


@contextmanager
def _loadable(name: str) -> Iterator[str]:
    """A path that the loader can open. The far end's disks may all be mounted noexec: out of the
    program's one file it goes into memory."""
    if archive() is None:
        yield os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
        return
    content = resource(name)
    try:
        fd = os.memfd_create("burst-native", os.MFD_CLOEXEC)
    except (AttributeError, OSError):  # Linux before 3.17
        import tempfile

        with tempfile.NamedTemporaryFile(prefix="burst-native-") as file:
            file.write(content)
            file.flush()
            yield file.name
        return
    try:
        with open(fd, "wb", closefd=False) as stream:
            stream.write(content)
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)
