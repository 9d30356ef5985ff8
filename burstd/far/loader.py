"""The native part, which does the work itself without the GIL: a small library in C that is shipped
inside the program, as the far end has neither BLAKE3 nor zstd of its own."""

from __future__ import annotations

import ctypes
import os
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Union

from burstd.far.errors import REFUSED, FarError
from burstd.far.program import archive, resource

Data = Union[bytes, bytearray, memoryview]


def pointer(data: Union[Data, array[int]]) -> object:
    """Something that ctypes takes as an address; the data are not copied. (An array of ctypes of
    their size would be a new type for each size, and garbage between what is large.)"""
    if isinstance(data, bytes):
        return data
    return ctypes.byref(ctypes.c_char.from_buffer(data)) if len(data) else None


def load() -> None:
    """The library, which is otherwise loaded when it is needed: what it asks of the C library's
    memory holds for threads that begin later. Raises FarError(refused)."""
    library()


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL:
    """Raises FarError(refused) where this program has no native part for this machine."""
    name = f"native/burst-{os.uname().machine}.so"
    try:
        with _loadable(name) as path:
            native = ctypes.CDLL(path)
    except OSError as error:
        raise FarError(REFUSED, f"{name} can't be used here: {error}") from error
    address, size = ctypes.c_void_p, ctypes.c_size_t
    sizes = (ctypes.POINTER(size), ctypes.POINTER(size))
    for function, result, arguments in (
        (native.burst_blake3, ctypes.c_int, (address, size, address)),
        (native.burst_hash_size, size, ()),
        (native.burst_hash, None, (address, address, size)),
        (native.burst_hashed, None, (address, address)),
        (native.burst_cut, size, (address, size, address, size)),
        (native.burst_names, ctypes.c_int, (address, address, size, address)),
        (native.burst_sort, None, (address, size)),
        (native.burst_find, None, (address, size, address, size, size, address)),
        (native.burst_bound, size, (size, size)),
        (native.burst_compress, size, (address, size, address, address, size, ctypes.c_int)),
        (native.burst_texts, None, (address, address, size, address)),
        (native.burst_inflater, address, ()),
        (native.burst_inflate, ctypes.c_int, (address, address, size, address, size, *sizes)),
        (native.burst_inflated, None, (address,)),
        (native.burst_decompress, ctypes.c_int, (address, size, address, size)),
        (native.burst_join, ctypes.c_int, (address, size, size)),
    ):
        function.restype, function.argtypes = result, arguments
    native.burst_files.restype = size
    native.burst_files.argtypes = (ctypes.c_int, size, *[address] * 9, size)
    native.burst_lay.restype = size
    native.burst_lay.argtypes = (ctypes.c_int, size, *[address] * 4, size, address)
    native.burst_read.restype = size
    native.burst_read.argtypes = (address, size, size, address, size, address, address)
    native.burst_list.restype = ctypes.c_int64
    native.burst_list.argtypes = (ctypes.c_char_p, address, size, address, size)
    native.burst_readable.restype = size
    native.burst_readable.argtypes = (address, size)
    native.burst_stamps.argtypes = (address, size, ctypes.c_int, address)
    return native


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
