"""All that lies in a run's tree. Links are named, never followed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Callable, Optional

from burstd.far import paths

GONE = (errno.ENOENT, errno.ESTALE)

Pulse = Callable[[], None]
#: Hears of a name, or of what lies below it, that can't be looked at.
Lost = Callable[[str, OSError], None]


@dataclass(frozen=True)
class Found:
    """`kind`: as in the end record; `target`: a link's text."""

    path: str
    kind: str
    fact: os.stat_result
    target: Optional[str] = None
    parts: paths.Parts = field(default=())


def quiet() -> None:
    """Nobody waits for a sign of life."""


def raised(_path: str, error: OSError) -> None:
    """All must be seen."""
    raise error


def passed(_path: str, _error: OSError) -> None:
    """What can't be looked at is not missed."""


def walk(
    tree: int,
    pulse: Pulse = quiet,
    deepest: Optional[int] = None,
    lost: Lost = raised,
    tops: Sequence[paths.Parts] = (),
) -> Iterator[Found]:
    """A directory comes before what lies in it; what goes away meanwhile is not there. `pulse` is
    called now and then. What nobody may read is opened up for its owner. A directory at `deepest`
    components, or with a path that leaves no room below, is of kind "deep", and not entered; none:
    all are. `tops`: only these, and what lies below them. Raises OSError, if only where the tree
    itself can't be read."""
    heads: list[tuple[paths.Parts, Optional[bytes]]] = [(top[:-1], top[-1]) for top in tops]
    heads = heads or [((), None)]
    while heads:
        head, only = heads.pop()
        pulse()
        for name, fact, target in _entries(tree, head, only, lost):
            parts = (*head, name)
            path, kind = paths.join(parts), _kind(fact.st_mode)
            if kind == "dir" and deepest is not None and _is_deep(path, parts, deepest):
                kind = "deep"  # nobody could fetch what lies below
            elif kind == "dir":
                heads.append((parts, None))
            yield Found(path, kind, fact, target, parts)


def opened(tree: int, parts: paths.Parts, how: Callable[[int, paths.Parts], int]) -> int:
    """What nobody may read is opened up for its owner. Raises OSError."""
    try:
        return how(tree, parts)
    except PermissionError:
        with paths.directory(tree, parts[:-1]) as parent:
            paths.open_up(parent, parts[-1])
        return how(tree, parts)


def _is_deep(path: str, parts: paths.Parts, deepest: int) -> bool:
    return len(parts) >= deepest or len(path) > paths.MAX_PATH - 512


def _entries(
    tree: int, head: paths.Parts, only: Optional[bytes], lost: Lost
) -> list[tuple[bytes, os.stat_result, Optional[str]]]:
    try:
        fd = opened(tree, head, _entered)
    except OSError as error:
        if not head:
            raise
        _missed(head, error, lost)
        return []
    try:
        found = []
        for name in [only] if only is not None else _names(fd, head, lost):
            try:
                fact = os.stat(name, dir_fd=fd, follow_symlinks=False)
                link = os.readlink(name, dir_fd=fd) if stat.S_ISLNK(fact.st_mode) else None
            except OSError as error:
                _missed((*head, name), error, lost)
                continue
            found.append((name, fact, None if link is None else paths.to_text(link)))
        return found
    finally:
        os.close(fd)


def _entered(tree: int, parts: paths.Parts) -> int:
    """A directory in which names can be looked up, too: to list them takes less."""
    fd = paths.open_directory(tree, parts)
    try:
        os.stat(b".", dir_fd=fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _names(fd: int, head: paths.Parts, lost: Lost) -> list[bytes]:
    try:
        return sorted(map(os.fsencode, os.listdir(fd)))
    except OSError as error:
        if not head:
            raise
        _missed(head, error, lost)
        return []


def _missed(parts: paths.Parts, error: OSError, lost: Lost) -> None:
    if error.errno not in GONE:
        lost(paths.join(parts), error)


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
