"""How a file is told of by the chunks that it is made of."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Optional, Protocol

from burstd.far import chunks
from burstd.far.fields import BadFields, Fields

WANTED = struct.Struct(f"<{chunks.DIGEST}sI")  # a chunk's name and size

Runs = Sequence[tuple[int, int]]


class Entry(Protocol):
    """What is said of a whole file, at both ends; see `order.InputFile`."""

    @property
    def path(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def blake3(self) -> str: ...

    @property
    def mtime_ns(self) -> int: ...

    @property
    def mode(self) -> int: ...


class Part:
    """A run of a file's bytes as numbers of chunks. ``entry``: of the whole file, with its last
    part; a file whose only part it is may be there already."""

    def __init__(self, path: str, offset: int, runs: Runs, entry: Optional[Entry]) -> None:
        self.path, self.offset, self.runs, self.entry = path, offset, runs, entry

    @classmethod
    def read(cls, row: object) -> Part:
        """Of a row: path, offset, runs, and for the last part of a file its size, digest, time and
        mode. Raises BadFields or FarError(refused). A path is looked at when it is used."""
        if not isinstance(row, list) or len(row) not in (3, 7):
            raise BadFields("a part of three or seven values")
        path, offset, runs, *more = row
        if not isinstance(path, str) or type(offset) is not int or offset < 0:
            raise BadFields("not a part's path and offset")
        from burstd.far.order import InputFile

        return cls(path, offset, _runs(runs, "runs"), InputFile.of([path, *more]) if more else None)

    def text(self) -> str:
        """The row in JSON. It is put together here: of small files there are tens of thousands."""
        runs = ",".join([f"[{first},{count}]" for first, count in self.runs])
        begin, entry = f"[{json.dumps(self.path)},{self.offset},[{runs}]", self.entry
        if entry is None:
            return begin + "]"
        return f'{begin},{entry.size},"{entry.blake3}",{entry.mtime_ns},{entry.mode}]'


def runs_of(fields: Fields, name: str) -> list[tuple[int, int]]:
    """Pairs of a first number and a count. Raises BadFields."""
    return _runs(fields.items(name), name)


def _runs(value: object, name: str) -> list[tuple[int, int]]:
    found = []
    for run in value if isinstance(value, list) else [None]:
        if not isinstance(run, list) or len(run) != 2 or not all(type(n) is int for n in run):
            raise BadFields(f"{name} is not a list of pairs of numbers")
        found.append((run[0], run[1]))
    return found
