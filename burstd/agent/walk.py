"""What lies below a directory, as a hundred thousand files want to be looked at: a string each, and
as few system calls as can be."""

from __future__ import annotations

import errno
import os
import stat
from array import array
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from burstd.far.loader import library, pointer

_SYSTEM = frozenset(
    {"bin", "boot", "dev", "etc", "lib", "lib64", "proc", "run", "sbin", "sys", "usr", "var"}
)
#: A directory that nobody may list, or that went away just then, has nothing in it. Whatever else
#: goes wrong (a file server that does not answer) may be over soon.
_EMPTY = frozenset({errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_SEEN = 4  #: native/native.h
_ROOM, _MOST = 2**16, 2**10  #: bytes of names, and how many, of most directories


class Seen(NamedTuple):
    """What lies in a directory, itself and not what a link leads to: type and permissions as in
    ``stat_result.st_mode``, bytes, nanoseconds since 1970."""

    path: str
    mode: int
    size: int
    mtime_ns: int
    inode: int

    @property
    def is_link(self) -> bool:
        """A symbolic one."""
        return stat.S_ISLNK(self.mode)


class Look:
    """At directories, each once, whoever asks."""

    def __init__(self) -> None:
        self._make_room(_ROOM, _MOST)
        self._listed: dict[str, list[Seen]] = {}

    def within(self, directory: str) -> list[Seen]:
        """All that lies there. Raises ``OSError``."""
        found = self._listed.get(directory)
        if found is None:
            found = self._listed[directory] = self._list(directory)
        return found

    def _list(self, directory: str) -> list[Seen]:
        raw = os.fsencode(directory)
        while True:
            room, most = len(self._names), len(self._facts) // _SEEN
            names, facts = pointer(self._names), pointer(self._facts)
            count = library().burst_list(raw, names, room, facts, most)
            if count == -errno.ERANGE:
                self._make_room(2 * room, 2 * most)
            elif count != -errno.EINTR:
                break
        some = os.fsdecode(bytes(self._names[: self._names.find(b"\0\0")])).split("\0")
        paths = [f"{directory.rstrip('/')}/{name}" for name in some if name]
        if count < 0:
            if not paths and -count in _EMPTY:
                return []
            raise OSError(-count, os.strerror(-count), next(iter(paths), directory))
        columns = (self._facts[at : _SEEN * count : _SEEN] for at in range(_SEEN))
        return list(map(Seen._make, zip(paths, *columns, strict=True)))

    def _make_room(self, room: int, most: int) -> None:
        self._names, self._facts = bytearray(room), array("q", bytes(8 * _SEEN * most))


def files_below(look: Look, top: str, links: bool = True) -> Iterator[Seen]:
    """All that is no directory, nor a link to one: with ``links`` what lies there is below, too,
    each once on any way down."""
    waiting = [(top, frozenset([os.path.realpath(top)]))]
    while waiting:
        directory, above = waiting.pop()
        for seen in look.within(directory):
            kind = stat.S_IFMT(seen.mode)
            if kind == stat.S_IFDIR:
                waiting.append((seen.path, above))
            elif kind != stat.S_IFLNK or not os.path.isdir(seen.path):  # noqa: PTH112 - strings
                yield seen
            elif links:
                real = os.path.realpath(seen.path)
                if not (_leads_back(real, directory, above) or of_the_system(real)):
                    waiting.append((seen.path, above | {real}))


def of_the_system(path: str) -> bool:
    """Of an absolute path: programs and libraries come from the image."""
    return path.split("/", 2)[1] in _SYSTEM


def _leads_back(real: str, directory: str, above: frozenset[str]) -> bool:
    """A link to where we are, or have been on our way."""
    return real in above or f"{os.path.realpath(directory)}/".startswith(f"{real.rstrip('/')}/")


def directories_of(paths: Iterable[str]) -> set[str]:
    """All directories that these lie in, up to the root."""
    found = {"/"}
    for path in paths:
        above = path.rpartition("/")[0]
        while above and above not in found:
            found.add(above)
            above = above.rpartition("/")[0]
    return found


class Real:
    """Where paths lead, as ``os.path.realpath`` has it; each directory is looked at once."""

    def __init__(self) -> None:
        self._directories: dict[str, str] = {}

    def path(self, path: str) -> str:
        """Of an absolute path that exists."""
        above, _, name = path.rpartition("/")
        real = self._directories.get(above)
        if real is None:
            real = self._directories[above] = os.path.realpath(above or "/").rstrip("/")
        there = f"{real}/{name}"
        return os.path.realpath(there) if os.path.islink(there) else there  # noqa: PTH114
