"""The inputs that an order names, held against the tree that was built of them. Earlier tries may
have left there what the user has removed since, and a conversation that hung may have written what
nobody wants any more."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator

from burstd.far import growing, paths
from burstd.far.errors import MISMATCH, FarError
from burstd.far.order import InputFile, Order

#: Nanoseconds. Some file systems keep times in steps of a second, or of two.
STEP = 2_000_000_000


class Manifest:
    """That of one order."""

    def __init__(self, order: Order) -> None:
        self._given = {entry.path: entry for entry in order.inputs}
        places = (order.cwd, *order.output_roots, *order.binds)
        self._places = _above((*self._given, *(path + "/" for path in places)))

    def enforce(self, tree: int, made: Iterable[str]) -> None:
        """Removes what is neither an input nor above one, nor one of the directories that were
        `made` for this order. Raises FarError(mismatch) unless each input is there as it was sent,
        and OSError."""
        places = self._places | _above(path + "/" for path in made)
        lacking, spare = dict(self._given), list[paths.Parts]()
        for directory, parts, fact in _walk(tree):
            path = paths.join(parts)
            if stat.S_ISDIR(fact.st_mode):
                if path not in places:
                    spare.append(parts)
            elif path not in self._given:
                os.unlink(parts[-1], dir_fd=directory)
            elif _is(directory, parts[-1], fact, self._given[path]):
                del lacking[path]
        for parts in reversed(spare):  # those below others come behind them
            with paths.directory(tree, parts[:-1]) as above, contextlib.suppress(OSError):
                os.rmdir(parts[-1], dir_fd=above)
        _refuse(lacking)

    def check(self, tree: int) -> None:
        """The same of the inputs alone."""
        lacking = dict(self._given)
        for directory, parts, fact in _walk(tree):
            entry = self._given.get(paths.join(parts))
            if entry is not None and _is(directory, parts[-1], fact, entry):
                del lacking[entry.path]
        _refuse(lacking)


def _refuse(lacking: Collection[str]) -> None:
    if lacking:
        first = min(lacking)
        raise FarError(MISMATCH, f"{len(lacking)} inputs are not there as they were sent: {first}")


def _is(directory: int, name: bytes, fact: os.stat_result, entry: InputFile) -> bool:
    """By its size, time and mode; where the file system can't keep those, by its content."""
    if not stat.S_ISREG(fact.st_mode) or fact.st_size != entry.size:
        return False
    late = abs(fact.st_mtime_ns - entry.mtime_ns)
    if late < STEP and stat.S_IMODE(fact.st_mode) == entry.mode:
        return True
    return growing.right(directory, name, entry) is not None


def _above(found: Iterable[str]) -> set[str]:
    """The directories above all of them."""
    above = set[str]()
    for path in found:
        while (path := path[: path.rfind("/")]) and path not in above:
            above.add(path)
    return above


def _walk(tree: int) -> Iterator[tuple[int, paths.Parts, os.stat_result]]:
    """All that is there: a directory, open, what lies in it, and what that is like. A directory
    comes before what lies in it."""
    heads: list[paths.Parts] = [()]
    while heads:
        head = heads.pop()
        with paths.directory(tree, head) as fd:
            for found in list(os.scandir(fd)):
                parts, fact = (*head, os.fsencode(found.name)), found.stat(follow_symlinks=False)
                if stat.S_ISDIR(fact.st_mode):
                    heads.append(parts)
                yield fd, parts, fact
