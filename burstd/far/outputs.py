"""What a job has left behind, compared with what it was given."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Callable, Optional, TypeVar

from burstd.far import paths
from burstd.far.chunks import digest_of
from burstd.far.endrecord import UNREADABLE, Output, StreamDigest
from burstd.far.moments import changed
from burstd.far.order import InputFile
from burstd.far.tree import GONE, Found, Pulse, opened, walk

MAX_DEPTH = 200
# Clocks of one file system may differ a little between its servers; a file that was staged within
# this margin is digested once more, which is only a cost.
MARGIN_NS = 5_000_000_000
#: Seconds in which a node may go on to remember what a file is like: ten times what is usual.
REMEMBERED = 600
#: What this process lacks, and not a file.
_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
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
    def of(cls, seen: Collection[Found], moment_ns: int) -> Baseline:
        """What was found in it at that moment."""
        return cls(
            moment_ns,
            frozenset(found.path for found in seen if found.kind in ("dir", "deep")),
            {found.path: found.target or "" for found in seen if found.kind == "symlink"},
        )


@dataclass(frozen=True)
class Harvest:
    """Results under the output roots, changes elsewhere, inputs that are gone. What can't be read
    is there as such, and so may be what lay below it."""

    outputs: tuple[Output, ...]
    outside: tuple[str, ...]
    deleted: tuple[str, ...]


def collect(
    tree: int,
    baseline: Baseline,
    inputs: Sequence[InputFile],
    roots: Sequence[str],
    pulse: Pulse,
    tops: Sequence[paths.Parts] = (),
) -> Harvest:
    """Compares the tree, or what lies at `tops`, with the manifest and the baseline. Links are
    named, never followed. What goes away meanwhile is not there: a temporary file of somebody who
    is just being killed. A disk's fault, or a file of somebody else's, concerns that file alone.

    `pulse` is called now and then. Files that nobody may read are opened up for their owner. Raises
    OSError where not even a root can be looked into.
    """
    given = {entry.path: entry for entry in inputs}
    made: list[Output] = []
    same: dict[str, tuple[int, int]] = {}
    unread: set[str] = set()

    def lost(path: str, error: OSError) -> None:
        if error.errno in _OURS or any(paths.beneath(root, [path]) for root in roots):
            raise error
        unread.add(path)
        why = error.strerror or str(error)
        made.append(Output(path, UNREADABLE, size=0, mode=0, mtime_ns=0, target=why))

    for found in walk(tree, pulse, MAX_DEPTH, lost, tops):
        if found.kind == "file" and found.fact.st_nlink > 1:
            same[found.path] = (found.fact.st_dev, found.fact.st_ino)
        entry = given.get(found.path)
        if found.kind == "file" and entry is not None:
            del given[found.path]
        try:
            output = _compare(tree, baseline, found, entry, pulse)
        except OSError as error:
            lost(found.path, error)
            continue
        if output is not None:
            made.append(output)
    outputs = sorted((o for o in made if paths.beneath(o.path, roots)), key=lambda o: o.path)
    outside = {o.path for o in made if not paths.beneath(o.path, roots)}
    deleted = (path for path in given if not below(path, unread))
    return Harvest(tuple(_joined(outputs, same)), tuple(sorted(outside)), tuple(sorted(deleted)))


def below(path: str, tops: Collection[str]) -> bool:
    """Whether a path is one of many, or lies in one."""
    while path and path not in tops:
        path = path[: path.rfind("/")]
    return bool(path)


def _joined(outputs: Sequence[Output], same: Mapping[str, tuple[int, int]]) -> Iterator[Output]:
    """Of the names of one file the first is the file, the others have it as their target."""
    first: dict[tuple[int, int], str] = {}
    for output in outputs:
        inode = None if output.kind == UNREADABLE else same.get(output.path)
        name = output.path if inode is None else first.setdefault(inode, output.path)
        yield output if name == output.path else replace(output, target=name)


def _compare(
    tree: int, baseline: Baseline, found: Found, entry: Optional[InputFile], pulse: Pulse
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


def _looked_at(tree: int, found: Found, look: Callable[[int], Seen]) -> Optional[Seen]:
    """What is seen of the open file. None where it is gone."""
    try:
        fd = opened(tree, found.parts, paths.open_regular)
        try:
            return look(fd)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno in GONE:
            return None
        raise


def stream_digest(io: int, name: bytes, pulse: Pulse) -> Optional[StreamDigest]:
    """Size and digest of stdout or stderr; None if there is no such file, or nobody can read it:
    whoever asks for its bytes hears why."""
    try:
        fd = paths.open_regular(io, (name,))
        try:
            return StreamDigest(size=os.fstat(fd).st_size, blake3=digest_of(fd, pulse))
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno in _OURS:
            raise
        return None
