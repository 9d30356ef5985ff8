"""The inputs that an order names, held against the tree that was built of them. Earlier tries may
have left there what the user has removed since, and a conversation that hung may have written what
nobody wants any more."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection, Iterable

from burstd.far import growing, paths
from burstd.far.errors import MISMATCH, FarError
from burstd.far.order import InputFile, Order
from burstd.far.tree import Found, walk

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
        for found in walk(tree):
            if found.kind == "dir":
                if found.path not in places:
                    spare.append(found.parts)
            elif found.path not in self._given:
                with paths.directory(tree, found.parts[:-1]) as above:
                    os.unlink(found.parts[-1], dir_fd=above)
            elif _is(tree, found, self._given[found.path]):
                del lacking[found.path]
        for parts in reversed(spare):  # those below others come behind them
            with paths.directory(tree, parts[:-1]) as above, contextlib.suppress(OSError):
                os.rmdir(parts[-1], dir_fd=above)
        _refuse(lacking)

    def check(self, tree: int, seen: Iterable[Found]) -> None:
        """The same of the inputs alone, by what was found there."""
        lacking = dict(self._given)
        for found in seen:
            entry = self._given.get(found.path)
            if entry is not None and _is(tree, found, entry):
                del lacking[entry.path]
        _refuse(lacking)


def _refuse(lacking: Collection[str]) -> None:
    if lacking:
        first = min(lacking)
        raise FarError(MISMATCH, f"{len(lacking)} inputs are not there as they were sent: {first}")


def _is(tree: int, found: Found, entry: InputFile) -> bool:
    """By its size, time and mode; where the file system can't keep those, by its content."""
    fact = found.fact
    if found.kind != "file" or fact.st_size != entry.size:
        return False
    late = abs(fact.st_mtime_ns - entry.mtime_ns)
    if late < STEP and stat.S_IMODE(fact.st_mode) == entry.mode:
        return True
    with paths.directory(tree, found.parts[:-1]) as above:
        return growing.right(above, found.parts[-1], entry) is not None


def _above(found: Iterable[str]) -> set[str]:
    """The directories above all of them."""
    above = set[str]()
    for path in found:
        while (path := path[: path.rfind("/")]) and path not in above:
            above.add(path)
    return above
