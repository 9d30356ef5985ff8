"""Texts one after the other in a file, each compressed by itself; what is torn costs itself alone.

A frame is a member of a gzip file (RFC 1952), so that zcat(1) reads the whole. Its size stands in
its header, as BGZF does it (SAM specification, 4.1): where no frame begins at its end, or its
checksum is wrong, the next one is looked for.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from io import SEEK_END
from typing import BinaryIO

_HEAD = struct.Struct("<4sIHH2sHI")  # magic and flags, time, flags and system, extra field: size
_TAIL = struct.Struct("<II")  # CRC32, length
_MAGIC = b"\x1f\x8b\x08\x04"  # deflate, with an extra field
_FIELD = b"BD"
_UNIX = 0x0300
_EXTRA = 8  # bytes of the extra field
_LEVEL = 1  # the texts repeat themselves; more is a fifth smaller, for five times the CPU


def frame(text: str) -> bytes:
    """One text."""
    content = text.encode()
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = packer.compress(content) + packer.flush()
    size = _HEAD.size + len(body) + _TAIL.size
    head = _HEAD.pack(_MAGIC, 0, _UNIX, _EXTRA, _FIELD, 4, size)
    return head + body + _TAIL.pack(zlib.crc32(content), len(content) & 0xFFFFFFFF)


def frames(file: BinaryIO, lost: Callable[[str], None]) -> Iterator[str]:
    """The texts that are whole; ``lost`` hears where one is not."""
    torn = 0  # from here on nothing was whole
    at: int | None = 0
    while at is not None:
        file.seek(at)
        found = _read(file)
        if found is None:
            at = _next(file, at + 1)
            continue
        if torn < at:
            lost(f"bytes {torn} to {at} are not whole")
        yield found[0]
        at = torn = at + found[1]
    if torn < (end := file.seek(0, SEEK_END)):
        lost(f"bytes {torn} to {end} are not whole")


def _read(file: BinaryIO) -> tuple[str, int] | None:
    """The frame that begins here, and its size; ``None`` if none does, or it is not whole."""
    head = file.read(_HEAD.size)
    size = _size(head)
    if size is None:
        return None
    rest = file.read(size - _HEAD.size)
    if len(rest) != size - _HEAD.size:
        return None
    checksum, length = _TAIL.unpack(rest[-_TAIL.size :])
    try:
        content = zlib.decompress(rest[: -_TAIL.size], -zlib.MAX_WBITS)
        if (zlib.crc32(content), len(content) & 0xFFFFFFFF) != (checksum, length):
            return None
        return content.decode(), size
    except (zlib.error, UnicodeDecodeError):
        return None


def _size(head: bytes) -> int | None:
    if len(head) < _HEAD.size:
        return None
    magic, _, _, extra, name, length, size = _HEAD.unpack(head)
    ours = (magic, extra, name, length) == (_MAGIC, _EXTRA, _FIELD, 4)
    return size if ours and size > _HEAD.size + _TAIL.size else None


def _next(file: BinaryIO, at: int) -> int | None:
    """Where the next frame may begin."""
    file.seek(at)
    before = b""
    while more := file.read(1 << 20):
        found = (before + more).find(_MAGIC)
        if found >= 0:
            return at - len(before) + found
        at += len(more)
        before = (before + more)[1 - len(_MAGIC) :]
    return None
