"""What a job has left behind, compared with what it was given."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Callable, Optional, TypeVar

from burstd.far import paths
from burstd.far.chunks import digest_of
from burstd.far.endrecord import Output, StreamDigest
from burstd.far.moments import changed
from burstd.far.order import InputFile

MAX_DEPTH = 200
# Clocks of one file system may differ a little between its servers; a file that was staged within
# this margin is digested once more, which is only a cost.
MARGIN_NS = 5_000_000_000
#: Seconds in which a node may go on to remember what a file is like: ten times what is usual.
REMEMBERED = 600
_GONE = (errno.ENOENT, errno.ESTALE)

Pulse = Callable[[], None]
Seen = TypeVar("Seen")


@dataclass(frozen=True)
class Baseline:
    """The tree before the payload: its directories and links, and the file system's clock. `young`:
    it was taken a moment ago, so that this node may only remember what a file is like which another
    one has written since (nfs(5)); it asks when it opens it."""

    moment_ns: int
    directories: frozenset[str]
    links: Mapping[str, str]
    young: bool = False

    @classmethod
    def take(cls, tree: int, moment_ns: int) -> Baseline:
        """Looks at names only, not at contents."""
        seen = list(_walk(tree, lambda: None))
        return cls(
            moment_ns,
            frozenset(found.path for found in seen if found.kind in ("dir", "deep")),
            {found.path: found.target or "" for found in seen if found.kind == "symlink"},
        )


@dataclass(frozen=True)
class Harvest:
    """Results under the output roots, changes elsewhere, inputs that are gone."""

    outputs: tuple[Output, ...]
    outside: tuple[str, ...]
    deleted: tuple[str, ...]


@dataclass(frozen=True)
class _Found:
    path: str
    kind: str
    fact: os.stat_result
    target: Optional[str] = None
    parts: paths.Parts = field(default=())


def collect(
    tree: int, baseline: Baseline, inputs: Sequence[InputFile], roots: Sequence[str], pulse: Pulse
) -> Harvest:
    """Compares the tree with the manifest and the baseline. Links are named, never followed. What
    goes away meanwhile is not there: a temporary file of somebody who is just being killed.

    `pulse` is called now and then. Files that nobody may read are opened up for their owner.
    """
    given = {entry.path: entry for entry in inputs}
    outputs: list[Output] = []
    outside: list[str] = []
    same: dict[str, tuple[int, int]] = {}
    for found in _walk(tree, pulse):
        if found.kind == "file" and found.fact.st_nlink > 1:
            same[found.path] = (found.fact.st_dev, found.fact.st_ino)
        entry = given.get(found.path)
        if found.kind == "file" and entry is not None:
            del given[found.path]
        output = _compare(tree, baseline, found, entry, pulse)
        if output is None:
            continue
        if paths.beneath(found.path, roots):
            outputs.append(output)
        else:
            outside.append(found.path)
    outputs.sort(key=lambda output: output.path)
    return Harvest(tuple(_joined(outputs, same)), tuple(sorted(outside)), tuple(sorted(given)))


def _joined(outputs: Sequence[Output], same: Mapping[str, tuple[int, int]]) -> Iterator[Output]:
    """Of the names of one file the first is the file, the others have it as their target."""
    first: dict[tuple[int, int], str] = {}
    for output in outputs:
        inode = same.get(output.path)
        name = output.path if inode is None else first.setdefault(inode, output.path)
        yield output if name == output.path else replace(output, target=name)


def _compare(
    tree: int, baseline: Baseline, found: _Found, entry: Optional[InputFile], pulse: Pulse
) -> Optional[Output]:
    if found.kind in ("dir", "deep") and found.path in baseline.directories:
        return None
    if found.kind == "symlink" and baseline.links.get(found.path) == found.target:
        return None
    blake3, mode = None, stat.S_IMODE(found.fact.st_mode)  # as it is before we open it up
    if found.kind == "file":
        if entry is not None and _untouched(found.fact, entry, baseline):
            if not baseline.young:
                return None
            now = _looked_at(tree, found, os.fstat)
            if now is None or _untouched(now, entry, baseline):
                return None
        digested = _looked_at(tree, found, lambda fd: (digest_of(fd, pulse), os.fstat(fd)))
        if digested is None:
            return None
        blake3, found = digested[0], replace(found, fact=digested[1])
        if entry is not None and (found.fact.st_size, blake3) == (entry.size, entry.blake3):
            return None
    return Output(
        path=found.path,
        kind=found.kind,
        size=found.fact.st_size if found.kind == "file" else 0,
        mode=mode,
        mtime_ns=changed(found.fact),
        blake3=blake3,
        target=found.target,
    )


def _untouched(fact: os.stat_result, entry: InputFile, baseline: Baseline) -> bool:
    """A job can set size and mtime back, but not the change time."""
    same = fact.st_size == entry.size and fact.st_mtime_ns == entry.mtime_ns
    return same and fact.st_ctime_ns < baseline.moment_ns - MARGIN_NS


def _looked_at(tree: int, found: _Found, look: Callable[[int], Seen]) -> Optional[Seen]:
    """What is seen of the open file. None where it is gone."""
    try:
        fd = _opened(tree, found.parts, paths.open_regular)
        try:
            return look(fd)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise


def _opened(tree: int, parts: paths.Parts, how: Callable[[int, paths.Parts], int]) -> int:
    """What nobody may read is opened up for its owner. Raises OSError."""
    try:
        return how(tree, parts)
    except PermissionError:
        with paths.directory(tree, parts[:-1]) as parent:
            paths.open_up(parent, parts[-1])
        return how(tree, parts)


def stream_digest(io: int, name: bytes, pulse: Pulse) -> Optional[StreamDigest]:
    """Size and digest of stdout or stderr; None if there is no such file."""
    try:
        fd = paths.open_regular(io, (name,))
    except FileNotFoundError:
        return None
    try:
        return StreamDigest(size=os.fstat(fd).st_size, blake3=digest_of(fd, pulse))
    finally:
        os.close(fd)


def _walk(tree: int, pulse: Pulse) -> Iterator[_Found]:
    heads: list[paths.Parts] = [()]
    while heads:
        head = heads.pop()
        pulse()
        for name, fact, target in _entries(tree, head):
            parts = (*head, name)
            path, kind = paths.join(parts), _kind(fact.st_mode)
            if kind == "dir" and (len(parts) >= MAX_DEPTH or len(path) > paths.MAX_PATH - 512):
                kind = "deep"  # nobody could fetch what lies below
            elif kind == "dir":
                heads.append(parts)
            yield _Found(path, kind, fact, target, parts)


def _entries(tree: int, head: paths.Parts) -> list[tuple[bytes, os.stat_result, Optional[str]]]:
    try:
        fd = _opened(tree, head, paths.open_directory)
    except OSError as error:
        if head and error.errno in _GONE:
            return []
        raise
    try:
        found = []
        for name in sorted(map(os.fsencode, os.listdir(fd))):
            try:
                fact = os.stat(name, dir_fd=fd, follow_symlinks=False)
                link = os.readlink(name, dir_fd=fd) if stat.S_ISLNK(fact.st_mode) else None
            except OSError as error:
                if error.errno in _GONE:
                    continue
                raise
            found.append((name, fact, None if link is None else paths.to_text(link)))
        return found
    finally:
        os.close(fd)


def _kind(mode: int) -> str:
    for test, kind in (
        (stat.S_ISREG, "file"),
        (stat.S_ISDIR, "dir"),
        (stat.S_ISLNK, "symlink"),
        (stat.S_ISFIFO, "fifo"),
        (stat.S_ISSOCK, "socket"),
    ):
        if test(mode):
            return kind
    return "device"
