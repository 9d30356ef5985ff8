"""How a file is told of by the chunks that it is made of."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Optional

from burstd.far import chunks
from burstd.far.fields import BadFields, Fields
from burstd.far.order import InputFile

WANTED = struct.Struct(f"<{chunks.DIGEST}sI")  # a chunk's name and size

Runs = Sequence[tuple[int, int]]


class Part:
    """A run of a file's bytes as numbers of chunks. ``entry``: of the whole file, with its last
    part; a file whose only part it is may be there already."""

    def __init__(self, path: str, offset: int, runs: Runs, entry: Optional[InputFile]) -> None:
        self.path, self.offset, self.runs, self.entry = path, offset, runs, entry

    @classmethod
    def read(cls, fields: Fields) -> Part:
        """Raises BadFields or FarError(refused). Its path is looked at when it is used."""
        entry = None
        if fields.has("file"):
            entry = InputFile.read(Fields(fields.raw("file"), "part.file"))
        path = entry.path if entry else fields.text("path")
        return cls(path, fields.integer("offset"), runs_of(fields, "runs"), entry)

    def to_dict(self) -> dict[str, object]:
        """As `read` has it."""
        runs = [list(run) for run in self.runs]
        if self.entry is not None:
            return {"file": self.entry.to_dict(), "offset": self.offset, "runs": runs}
        return {"path": self.path, "offset": self.offset, "runs": runs}


def runs_of(fields: Fields, name: str) -> list[tuple[int, int]]:
    """Pairs of a first number and a count. Raises BadFields."""
    found = []
    for run in fields.items(name):
        if not isinstance(run, list) or len(run) != 2 or not all(type(n) is int for n in run):
            raise BadFields(f"{name} is not a list of pairs of numbers")
        found.append((run[0], run[1]))
    return found
