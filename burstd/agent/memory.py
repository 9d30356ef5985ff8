"""What the agent keeps between two of its lives: a private directory that burst-keep made, and
burstd's copy of the manifest for the case that the whole machine went away.

A life may end between any two of its instructions. What was written to the job's output and not
yet remembered is read off the descriptor itself, which all lives share. Others write to the same
file: we on another descriptor, the next task of an array.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from burstd.domain.data import InputFile, Mark

DIRECTORY = "BURST_AGENT_DIR"


@dataclass
class Memory:
    """``directory`` (0700) holds keys and this state; gone with the stand-in."""

    directory: Path
    positions: dict[str, int] = field(default_factory=dict)
    copies: dict[str, Mark] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    trouble_since: float | None = None  #: seconds since 1970
    began: bool = False  #: what the output held before our first byte is known
    pulled: int = 0  #: bytes that came from the far end, those that came twice counted twice
    told: int = 0  #: of them, that burstd has heard of
    damaged: dict[str, int] = field(default_factory=dict)  #: how often results have arrived so
    #: Large results that have landed, as ``Landing`` has them.
    landed: dict[str, list[object]] = field(default_factory=dict)
    #: What else lies at names of live files: not to be compared again.
    strangers: dict[str, Mark] = field(default_factory=dict)
    #: The stream that is being written to, and before that: where its descriptor stood, its
    #: position. Nothing once that is remembered.
    writing: tuple[str, int, int] | None = None

    def before_writing(self, stream: str, descriptor: int) -> None:
        """Remember where the output stands: a life that ends in the write is followed by one
        that knows how much of it was done. "" is for words of ours, which count for no stream."""
        self.writing = (stream, _end(descriptor), self.positions.get(stream, 0))
        self.save()

    def settle(self) -> None:
        """All that was written is remembered: this life ends as it should."""
        self.writing = None
        self.save()

    def resume(self, descriptors: Mapping[str, int]) -> None:
        """Correct the position by what the last life wrote, whether it remembered that or not."""
        if self.writing is not None and self.writing[0] in descriptors:
            stream, before, position = self.writing
            self.positions[stream] = position + max(0, _offset(descriptors[stream]) - before)

    @property
    def _file(self) -> Path:
        return self.directory / "state.json"

    def save(self) -> None:
        """Whole or not at all."""
        state = {
            "positions": self.positions,
            "copies": {path: mark._asdict() for path, mark in self.copies.items()},
            "said": self.said,
            "trouble_since": self.trouble_since,
            "began": self.began,
            "pulled": self.pulled,
            "told": self.told,
            "damaged": self.damaged,
            "landed": dict(self.landed),  # others land while this is written
            "strangers": self.strangers,
            "writing": self.writing,
        }
        temporary = self.directory / "state.new"
        temporary.write_text(json.dumps(state))
        temporary.rename(self._file)

    def forget(self) -> None:
        """Remove the directory."""
        import shutil

        shutil.rmtree(self.directory, ignore_errors=True)


@dataclass
class Recalled(Mapping[str, Mark]):
    """Marks that burstd keeps, brought when one is asked for: a job may have a hundred thousand of
    them, and most looks at what grows ask for none."""

    bring: Callable[[], Mapping[str, Mark]]

    @cached_property
    def _brought(self) -> Mapping[str, Mark]:
        return self.bring()

    def __getitem__(self, path: str) -> Mark:
        return self._brought[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._brought)

    def __len__(self) -> int:
        return len(self._brought)


def recall() -> Memory:
    """This stand-in's memory: of its earlier lives, or a new one. Raises ``OSError``."""
    prefix = f"burst-agent-{os.environ.get('SLURM_JOB_ID', '')}-"
    # There was no room for it when the stand-in began, or its last life was killed at its very end.
    if not Path(os.environ.get(DIRECTORY, "/nowhere")).is_dir():
        import tempfile

        os.environ[DIRECTORY] = tempfile.mkdtemp(prefix=prefix)
    directory = Path(os.environ[DIRECTORY])
    if (directory / "state.json").exists():
        state = json.loads((directory / "state.json").read_text())
        state["copies"] = {path: Mark(**mark) for path, mark in state["copies"].items()}
        strangers = state.get("strangers", {})  # none: an older version wrote it
        state["strangers"] = {path: Mark(*values) for path, values in strangers.items()}
        known = {one.name for one in fields(Memory)}  # more: a newer one did
        return Memory(directory, **{name: state[name] for name in known & state.keys()})
    memory = Memory(directory)
    memory.save()
    import shutil

    for left in directory.parent.glob(f"{prefix}*"):  # by a stand-in that was killed, keys and all
        if left != directory and left.lstat().st_uid == os.getuid():
            shutil.rmtree(left, ignore_errors=True)
    return memory


def _offset(descriptor: int, whence: int = os.SEEK_CUR) -> int:
    """Where a descriptor stands; one that has no places (a pipe) always stands at 0."""
    try:
        return os.lseek(descriptor, 0, whence)
    except OSError:
        return 0


def _end(descriptor: int) -> int:
    """Move it to where the next write goes: another may have appended since its own last one."""
    return _offset(descriptor, os.SEEK_END)


def to_report(
    files: list[InputFile], marks: Mapping[str, Mark], roots: list[str]
) -> dict[str, Any]:
    """The stage-in report: the egress manifest, and what the landing must know."""
    return {
        "files": [file._asdict() for file in files],
        "marks": dict(marks),
        "roots": roots,
        "bytes": sum(file.size for file in files),
    }


def from_report(body: Mapping[str, Any]) -> tuple[dict[str, Mark], tuple[Path, ...]]:
    """Marks and roots of ``to_report``."""
    marks = {path: Mark(*values) for path, values in body["marks"].items()}
    return marks, tuple(Path(root) for root in body["roots"])
