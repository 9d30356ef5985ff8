"""A pack: a log of chunks, each of which proves itself, with an index once it is finished.
Layout: docs/formats.md."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import struct
import time
from collections.abc import Iterator, Sequence
from typing import Union

from burstd.far import chunks, paths

MAGIC, INDEX_MAGIC = b"burstpk2", b"burstix2"
_ANY = MAGIC[:-1]  # of a pack that another burstd has written in a form of its own
PACK, INDEX = b".pack", b".idx"
_RECORD = struct.Struct(f"<{chunks.DIGEST}sI")  # a chunk's name and size; its bytes follow
_PLACE = struct.Struct(f"<{chunks.DIGEST}sQI")  # a chunk's name, where its bytes begin, its size
_AT_ONCE = 400  #: records in one writev(2), which takes 1024 pieces
_ABANDONED = 1800  #: seconds without a write
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
NEW = b"new."  # what names begin with until a file is whole

Chunk = tuple[bytes, Union[bytes, memoryview]]


class Writer:
    """A pack that grows. Its lock says that somebody is alive here."""

    def __init__(self, directory: int, prefix: bytes) -> None:
        """It gets its name once it has its mode and its lock: others take one that nobody holds
        for abandoned. Raises OSError."""
        self._directory = directory
        self.name = prefix + secrets.token_hex(8).encode() + PACK
        self._places: list[tuple[bytes, int, int]] = []
        temporary = NEW + secrets.token_hex(8).encode()
        self._fd = paths.create(directory, temporary, os.O_RDWR)
        try:
            _lock(self._fd)
            self.size = os.write(self._fd, MAGIC)
            os.rename(temporary, self.name, src_dir_fd=directory, dst_dir_fd=directory)
        except OSError:
            os.close(self._fd)
            _removed(directory, temporary)
            raise

    def append(self, found: Sequence[Chunk]) -> list[tuple[bytes, int, int]]:
        """Where they lie now."""
        places = []
        for at in range(0, len(found), _AT_ONCE):
            pieces: list[Union[bytes, memoryview]] = []
            offset = self.size
            for name, content in found[at : at + _AT_ONCE]:
                pieces += [_RECORD.pack(name, len(content)), content]
                places.append((name, offset + _RECORD.size, len(content)))
                offset += _RECORD.size + len(content)
            self._write(pieces, offset - self.size)
            self.size = offset
        self._places += places
        return places

    def _write(self, pieces: Sequence[Union[bytes, memoryview]], size: int) -> None:
        """All of it, or the pack is as before."""
        try:
            written = os.pwritev(self._fd, pieces, self.size)
            if written < size:
                rest = memoryview(b"".join(pieces))[written:]
                while rest:
                    written = os.pwrite(self._fd, rest, self.size + size - len(rest))
                    rest = rest[written:]
        except OSError:
            os.ftruncate(self._fd, self.size)
            raise

    def give_up(self) -> None:
        """It has been removed."""
        os.close(self._fd)

    def finish(self) -> None:
        """Raises OSError; the pack can be read without an index, too."""
        try:
            os.fsync(self._fd)
            _write_index(self._directory, self.name, self._places)
        finally:
            os.close(self._fd)


def index_of(pack: bytes) -> bytes:
    return pack[: -len(PACK)] + INDEX


def pack_of(index: bytes) -> bytes:
    return index[: -len(INDEX)] + PACK


def _write_index(directory: int, pack: bytes, places: Sequence[tuple[bytes, int, int]]) -> None:
    body = INDEX_MAGIC + b"".join(_PLACE.pack(*place) for place in sorted(places))
    name, temporary = index_of(pack), NEW + secrets.token_hex(8).encode()
    fd = paths.create(directory, temporary, os.O_WRONLY)
    try:
        with open(fd, "wb") as stream:
            stream.write(body + chunks.blake3(body))
            stream.flush()
            os.fsync(fd)
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError:
        _removed(directory, temporary)
        raise


def _removed(directory: int, name: bytes) -> None:
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=directory)


def indexed(directory: int, pack: bytes, ours: bool) -> Iterator[tuple[bytes, int, int]]:
    """What a pack holds: by its index, else by its records. One that somebody writes is left alone,
    unless that is an earlier conversation of this burst, which may not know yet that it is over.
    One that can't be read holds nothing."""
    body = b""
    with contextlib.suppress(OSError):
        body = paths.read_regular(directory, index_of(pack), 1 << 30)
    places = memoryview(body)[len(INDEX_MAGIC) : -chunks.DIGEST]
    right = body.startswith(INDEX_MAGIC) and len(places) % _PLACE.size == 0
    if right and chunks.blake3(body[: -chunks.DIGEST]) == body[-chunks.DIGEST :]:
        return _PLACE.iter_unpack(places)
    with contextlib.suppress(OSError):
        return iter(_read(directory, pack, ours))
    return iter(())


def _read(directory: int, pack: bytes, ours: bool) -> list[tuple[bytes, int, int]]:
    """By its records. Raises OSError."""
    fd = paths.open_regular(directory, (pack,), os.O_RDWR)
    try:
        magic = os.pread(fd, len(MAGIC), 0)
        whole = len(magic) == len(MAGIC)  # a cut may fall in its first bytes
        if whole and magic.startswith(_ANY) and magic != MAGIC:  # it is that one's
            return []
        free = _lock(fd)
        if not free and not ours:
            return []
        found = _records(fd)
        if free:
            with contextlib.suppress(OSError):  # on a full disk it is read all the same
                _mend(directory, pack, fd, found)
        return found
    finally:
        os.close(fd)


def _records(fd: int) -> list[tuple[bytes, int, int]]:
    """The whole ones from the beginning on."""
    found, offset = [], len(MAGIC)
    if os.pread(fd, len(MAGIC), 0) != MAGIC:
        return []
    while len(head := os.pread(fd, _RECORD.size, offset)) == _RECORD.size:
        name, size = _RECORD.unpack(head)
        offset += _RECORD.size
        content = os.pread(fd, size, offset) if size <= chunks.MOST else b""
        if len(content) != size or chunks.blake3(content) != name:
            break
        found.append((name, offset, size))
        offset += size
    return found


def _mend(directory: int, pack: bytes, fd: int, found: list[tuple[bytes, int, int]]) -> None:
    """A pack whose conversation was cut gets the end and the index that it lacks."""
    if not found:
        os.unlink(pack, dir_fd=directory)
        return
    os.ftruncate(fd, found[-1][1] + found[-1][2])
    os.fsync(fd)
    _write_index(directory, pack, found)


def _lock(fd: int) -> bool:
    """False if somebody else may have it: also where the file system has no locks, unless nothing
    was written for longer than any conversation is silent."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return time.time() - os.fstat(fd).st_mtime > _ABANDONED
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        return False
    return True
