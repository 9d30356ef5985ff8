"""A disk that a power cut may take anything from that was not synced: data, names, modes, times,
each for itself. It is told of every system call of a landing and knows what may be left."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

#: strace(1)'s line: process, call, arguments, result.
_LINE = re.compile(r"^(?:\d+ +)?(\w+)\((.*)\) += (-?\d+)")
_PLACE = re.compile(r"^(?:AT_FDCWD|\d+)<(.*)>$")
#: What the landing says when it is done.
REPORT = "REPORT"


@dataclass
class Inode:
    """``synced``: how much of ``size`` a power cut can't take; ``told``: whether mode and time are
    as they were set last."""

    size: int = 0
    synced: int = 0
    told: bool = True
    old: bool = False  #: it was there before anybody landed anything

    @property
    def safe(self) -> bool:
        return self.synced == self.size


@dataclass
class Disk:
    """Names below ``root``; directories are names too, with an inode of their own."""

    root: str
    names: dict[str, Inode] = field(default_factory=dict)
    durable: dict[str, Inode | None] = field(default_factory=dict)
    #: Changes of names since their directory was synced last.
    pending: dict[str, list[tuple[str, Inode | None]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    reported: bool = False
    _open: dict[int, Inode] = field(default_factory=dict)

    def was_there(self, path: str, size: int) -> None:
        """A file or directory of long ago."""
        inode = Inode(size, size, old=True)
        self.names[path], self.durable[path] = inode, inode

    def after_a_cut(self, path: str) -> list[Inode | None]:
        """What ``path`` may be then."""
        changes = [inode for name, inode in self.pending[_parent(path)] if name == path]
        return [self.durable.get(path), *changes]

    def run(self, trace: Iterable[str]) -> Iterator[str]:
        """Follow strace's lines; after each that changed something, say what it was."""
        self._open.clear()  # each trace is of another process
        for line in trace:
            found = _LINE.match(line)
            if found is None or int(found[3]) < 0:
                continue
            name, arguments, result = found[1], _split(found[2]), int(found[3])
            if name == "write" and REPORT in found[2]:
                self.reported = True
                yield REPORT
                continue
            do = getattr(self, f"_{name}", None)
            if do is not None and self.root in found[2] and do(arguments, result):
                yield line.partition(" ")[2]

    # --- system calls: True if they changed what a power cut may leave

    def _openat(self, a: list[str], result: int) -> bool:
        path, made = _join(a[0], a[1]), False
        if "O_CREAT" in a[2] and path not in self.names:
            self._bind(path, Inode())
            made = True
        if path in self.names:
            self._open[result] = self.names[path]
        return made

    def _close(self, a: list[str], _result: int) -> bool:
        self._open.pop(_number(a[0]), None)
        return False

    def _dup(self, a: list[str], result: int) -> bool:
        if _number(a[0]) in self._open:
            self._open[result] = self._open[_number(a[0])]
        return False

    _dup2 = _dup

    def _fcntl(self, a: list[str], result: int) -> bool:
        return self._dup(a, result) if "F_DUPFD" in a[1] else False

    def _write(self, a: list[str], result: int) -> bool:
        self._inode(a[0]).size += result
        return True

    def _pwrite64(self, a: list[str], result: int) -> bool:
        inode = self._inode(a[0])
        inode.size = max(inode.size, int(a[-1]) + result)
        return True

    def _ftruncate(self, a: list[str], _result: int) -> bool:
        self._inode(a[0]).size = int(a[1])
        return True

    def _fsync(self, a: list[str], _result: int) -> bool:
        path, inode = _path(a[0]), self._inode(a[0])
        inode.synced, inode.told = inode.size, True
        for name, bound in self.pending.pop(path, []):
            self.durable[name] = bound
        return True

    def _mkdirat(self, a: list[str], _result: int) -> bool:
        return self._bind(_join(a[0], a[1]), Inode())

    def _linkat(self, a: list[str], _result: int) -> bool:
        return self._bind(_join(a[2], a[3]), self.names[_join(a[0], a[1])])

    def _renameat(self, a: list[str], _result: int) -> bool:
        moved = self.names[_join(a[0], a[1])]
        self._bind(_join(a[0], a[1]), None)
        return self._bind(_join(a[2], a[3]), moved)

    _renameat2 = _renameat

    def _unlinkat(self, a: list[str], _result: int) -> bool:
        return self._bind(_join(a[0], a[1]), None)

    def _fchmod(self, a: list[str], _result: int) -> bool:
        self._inode(a[0]).told = False
        return True

    def _fchmodat(self, a: list[str], _result: int) -> bool:
        self.names[_join(a[0], a[1])].told = False
        return True

    def _utimensat(self, a: list[str], _result: int) -> bool:
        inode = self._inode(a[0]) if a[1] == "NULL" else self.names[_join(a[0], a[1])]
        inode.told = False
        return True

    def _inode(self, descriptor: str) -> Inode:
        """One that openat2(2) has opened is known by its name alone."""
        return self._open.get(_number(descriptor)) or self.names[_path(descriptor)]

    def _bind(self, path: str, inode: Inode | None) -> bool:
        self.pending[_parent(path)].append((path, inode))
        if inode is None:
            self.names.pop(path, None)
        else:
            self.names[path] = inode
        return True


def _parent(path: str) -> str:
    return str(PurePosixPath(path).parent)


def _path(place: str) -> str:
    found = _PLACE.match(place)
    return found[1] if found else place


def _number(place: str) -> int:
    return int(place.partition("<")[0])


def _join(place: str, name: str) -> str:
    return str(PurePosixPath(_path(place), name.strip('"')))


def _split(arguments: str) -> list[str]:
    """At the commas outside of quotes and brackets."""
    return re.findall(r'"[^"]*"(?:\.\.\.)?|\[[^]]*\]|[^,\s](?:[^,]*[^,\s])?', arguments)
