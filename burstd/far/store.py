"""The store: chunks that have come to this end once, for all bursts of one user.

It is a directory of packs, each written by one conversation: a log of records that prove
themselves, so that what was on the disk when a conversation was cut, or killed, counts for the next
one. A finished pack has an index beside it. Layout: docs/formats.md.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import struct
import time
from collections.abc import Iterator, Sequence
from typing import Callable, Optional, Union

from burstd.far import chunks, paths
from burstd.far.errors import MISMATCH, MISSING, FarError
from burstd.far.models import Models
from burstd.far.table import Table

MAGIC, INDEX_MAGIC = b"burstpk2", b"burstix2"
_ANY = MAGIC[:-1]  # of a pack that another burstd has written in a form of its own
PACK, INDEX = b".pack", b".idx"
_RECORD = struct.Struct(f"<{chunks.DIGEST}sI")  # a chunk's name and size; its bytes follow
_PLACE = struct.Struct(f"<{chunks.DIGEST}sQI")  # a chunk's name, where its bytes begin, its size
_FULL = 256 * 1024 * 1024  #: bytes of a pack from which on another one is begun
_AT_ONCE = 400  #: records in one writev(2), which takes 1024 pieces
_IN_USE = 3600  #: seconds since its last use in which a pack is not swept away
_TOUCHED = 600  #: seconds after which a pack that is used on is marked once more
_LOOSE = 16  #: packs that are not in the table
_ABANDONED = 1800  #: seconds without a write
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)

Chunk = tuple[bytes, Union[bytes, memoryview]]


class Store:
    """One user's chunks. Not for threads; other conversations may use the directory meanwhile, and
    see what this one has added once it is settled."""

    def __init__(self, directory: int, key: str) -> None:
        """`directory`: a descriptor, the store's from now on; `key`: the burst's."""
        self._directory = directory
        self._prefix = key.encode() + b"."
        self._packs: list[bytes] = []
        self._open: dict[int, int] = {}
        #: By name: number of the pack, offset and size as one number, for a store has millions.
        self._places: dict[bytes, int] = {}
        self._writer: Optional[_Writer] = None
        self._buffer = memoryview(bytearray(chunks.MOST))
        self._ours: list[bytes] = []
        #: Packs that this conversation was glad to find, and when.
        self._used: dict[int, float] = {}
        self._gone: set[int] = set()
        listed = {name for name in map(os.fsencode, os.listdir(directory)) if name.endswith(PACK)}
        self._table = Table.open(directory)
        #: Here, of each pack of the table.
        self._numbers = [self._number(name) if name in listed else -1 for name in self._table.packs]
        for name in sorted(listed.difference(self._table.packs)):
            self._learn(name, _indexed(directory, name, name.startswith(self._prefix)))

    def _number(self, pack: bytes) -> int:
        self._packs.append(pack)
        return len(self._packs) - 1

    @classmethod
    def at(cls, root: str, key: str) -> Store:
        """That of whoever calls, ROOT/stores/UID; made, 0700, where it is missing."""
        os.makedirs(os.path.join(root, "stores"), mode=0o700, exist_ok=True)
        top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            own = (b"stores", b"%d" % os.geteuid())
            return cls(paths.open_directory(top, own, create=True), key)
        finally:
            os.close(top)

    def has(self, name: bytes) -> bool:
        """Whether there is a chunk of that name; its pack counts as used."""
        place = self._places.get(name)
        return place is not None and self._in_use(place >> 72)

    def look(self, wanted: bytes, width: int) -> None:
        """Before others are asked for: looks for chunks whose names lie so many bytes apart."""
        for name, pack, offset, size in self._table.find(wanted, width):
            number = self._numbers[pack]
            if number >= 0 and number not in self._gone and name not in self._places:
                self._places[name] = _place(number, offset, size)

    def _in_use(self, number: int) -> bool:
        """Marks a pack as used, now and then. False if it was swept away: we were silent for
        long."""
        now = time.monotonic()
        if now - self._used.get(number, -_TOUCHED) >= _TOUCHED:
            if not self._touch(self._packs[number]):
                self._forget(number)
                return False
            self._used[number] = now
        return True

    def _touch(self, pack: bytes) -> bool:
        for name in (_index_of(pack), pack):  # the latter while there is no index
            with contextlib.suppress(OSError):
                os.utime(name, dir_fd=self._directory)
                return True
        return False

    def add(self, found: Sequence[Chunk]) -> None:
        """Keeps chunks whose names are right. Raises OSError; what is whole by then stays."""
        fresh = {name: content for name, content in found if name not in self._places}
        if not fresh:
            return
        if self._writer is not None and self._writer.size >= _FULL:
            self.settle()
        if self._writer is not None and not self._in_use(len(self._packs) - 1):
            self.add(found)  # its pack is gone, and what that had: into another one
            return
        if self._writer is None:
            self._writer = _Writer(self._directory, self._prefix)
            self._packs.append(self._writer.name)
            self._ours.append(self._writer.name)
        number = len(self._packs) - 1
        for name, offset, size in self._writer.append(list(fresh.items())):
            self._places[name] = _place(number, offset, size)

    def read(self, name: bytes) -> memoryview:
        """A chunk, looked at again: disks rot. It is there until the next is read. Raises
        FarError(missing | mismatch)."""
        place = self._places.get(name)
        if place is None:
            raise FarError(MISSING, f"no chunk {name.hex()}")
        number, offset, size = place >> 72, place >> 24 & (1 << 48) - 1, place & (1 << 24) - 1
        content, have = self._buffer[:size], -1
        with contextlib.suppress(FileNotFoundError):  # somebody has swept meanwhile
            if number not in self._open:
                self._open[number] = paths.open_regular(self._directory, (self._packs[number],))
            have = os.preadv(self._open[number], [content], offset)
        if have != size or chunks.blake3(content) != name:
            self._forget(number)
            raise FarError(MISMATCH, f"a chunk of the store is damaged or gone: {name.hex()}")
        return content

    def settle(self) -> None:
        """What was added is on the disk, with its index."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.finish()

    def forget(self) -> None:
        """Removes what this conversation has added."""
        self.settle()
        for pack in self._ours:
            self._remove(pack)

    def models(self, wanted: bool = True) -> Models:
        """Its whole files; none where none are wanted. The caller closes them."""
        return Models(self._directory, wanted)

    def sweep(self, limit: int, days: int) -> int:
        """Removes packs and models that nobody has used for so many days, then those that were not
        used for longest until all have `limit` bytes; none that was used within the last hour. What
        is removed is only sent or built again. Returns the bytes that are left."""
        models = self.models()
        try:
            return self._sweep(models, limit, days)
        finally:
            models.close()

    def _sweep(self, models: Models, limit: int, days: int) -> int:
        now = time.time()
        found: list[tuple[float, bytes, int, Callable[[bytes], None]]] = []
        found += [(last, name, size, models.remove) for last, name, size in models.sizes()]
        for pack in map(os.fsencode, os.listdir(self._directory)):
            if pack.endswith(PACK):
                with contextlib.suppress(FileNotFoundError):
                    fact = os.stat(pack, dir_fd=self._directory)
                    last = self._last_use(pack, fact)
                    found.append((last, pack, fact.st_size, self._remove))
        left = sum(size for _, _, size, _ in found)
        for last, name, size, remove in sorted(found, key=lambda one: one[:3]):
            idle = now - last
            if idle < _IN_USE or (idle < days * 86400 and left <= limit):
                break
            remove(name)
            left -= size
        return left

    def _last_use(self, pack: bytes, fact: os.stat_result) -> float:
        """Without an index it is being written, or waits for somebody to mend it."""
        with contextlib.suppress(FileNotFoundError):
            fact = os.stat(_index_of(pack), dir_fd=self._directory)
        return fact.st_mtime

    def tabulate(self) -> None:
        """Packs that came since the table was written go into it, once there are many."""
        listed = {name for name in map(os.fsencode, os.listdir(self._directory))}
        loose = sorted(
            name
            for name in listed.difference(self._table.packs)
            if name.endswith(PACK) and _index_of(name) in listed
        )
        if len(loose) >= _LOOSE:
            gone = (n for n, pack in enumerate(self._table.packs) if pack not in listed)
            more = ((pack, _indexed(self._directory, pack, False)) for pack in loose)
            self._table.with_more(self._directory, more, gone)

    def close(self) -> None:
        """Settles, and gives the descriptors back."""
        try:
            self.settle()
            with contextlib.suppress(OSError):  # all is found without it, too
                self.tabulate()
        finally:
            for fd in (*self._open.values(), self._directory):
                os.close(fd)

    def _learn(self, pack: bytes, found: Iterator[tuple[bytes, int, int]]) -> None:
        number = self._number(pack)
        for name, offset, size in found:
            self._places[name] = _place(number, offset, size)

    def _forget(self, number: int) -> None:
        """A pack with damage is not used again: what it had is asked for again."""
        self._places = {n: place for n, place in self._places.items() if place >> 72 != number}
        self._gone.add(number)
        self._remove(self._packs[number])
        if self._writer is not None and self._writer.name == self._packs[number]:
            self._writer.give_up()
            self._writer = None

    def _remove(self, pack: bytes) -> None:
        for name in (pack, _index_of(pack)):
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=self._directory)


class _Writer:
    """A pack that grows. Its lock says that somebody is alive here."""

    def __init__(self, directory: int, prefix: bytes) -> None:
        self._directory = directory
        self.name = prefix + secrets.token_hex(8).encode() + PACK
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._fd = os.open(self.name, flags, 0o600, dir_fd=directory)
        _lock(self._fd)
        self._places: list[tuple[bytes, int, int]] = []
        self.size = os.write(self._fd, MAGIC)

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


def _place(number: int, offset: int, size: int) -> int:
    return number << 72 | offset << 24 | size


def _index_of(pack: bytes) -> bytes:
    return pack[: -len(PACK)] + INDEX


def _write_index(directory: int, pack: bytes, places: Sequence[tuple[bytes, int, int]]) -> None:
    body = INDEX_MAGIC + b"".join(_PLACE.pack(*place) for place in sorted(places))
    name, temporary = _index_of(pack), b"new." + _index_of(pack)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600, dir_fd=directory)
    with open(fd, "wb") as stream:
        stream.write(body + chunks.blake3(body))
        stream.flush()
        os.fsync(fd)
    os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)


def _indexed(directory: int, pack: bytes, ours: bool) -> Iterator[tuple[bytes, int, int]]:
    """What a pack holds: by its index, else by its records. One that somebody writes is left alone,
    unless that is an earlier conversation of this burst, which may not know yet that it is over."""
    body = b""
    with contextlib.suppress(OSError):
        body = paths.read_regular(directory, _index_of(pack), 1 << 30)
    places = memoryview(body)[len(INDEX_MAGIC) : -chunks.DIGEST]
    right = body.startswith(INDEX_MAGIC) and len(places) % _PLACE.size == 0
    if right and chunks.blake3(body[: -chunks.DIGEST]) == body[-chunks.DIGEST :]:
        return _PLACE.iter_unpack(places)
    try:
        fd = paths.open_regular(directory, (pack,), os.O_RDWR)
    except FileNotFoundError:
        return iter(())
    try:
        magic = os.pread(fd, len(MAGIC), 0)
        if magic[:-1] == _ANY and magic != MAGIC:  # it is that one's
            return iter(())
        free = _lock(fd)
        if not free and not ours:
            return iter(())
        found = _records(fd)
        if free:
            _mend(directory, pack, fd, found)
        return iter(found)
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
